"""What an agent of traffic sees: itself, the line it is on, and who is near, all in its own frame.

Nothing here depends on where in the world a scene lies or which way it is turned, so the network need not learn that.
Legend: B scenes, N agents, H latents of the past, W points of a line (one a metre), K neighbours, P points ahead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

STEP = 4 / 24  # seconds of a latent, which every agent takes at once
PAST = 6  # latents of the past that are looked at
BEHIND, WINDOW = 8, 72  # points of a line behind an agent, and in all
KINDS = 5  # as data.road.trace has them: car, van, truck, bicycle, person
PERSON = 4
ABOUT = 7  # of each point of a line: limit / 10 m/s, inside a junction, turn, crossing, red, yellow, green
AHEAD = (0, 2, 4, 7, 10, 14, 19, 25, 32, 40, 50, 60)  # metres
MEETING = 2.6  # metres within which two lines meet
OWN = 15 + 5 * PAST + 8 * len(AHEAD) + 7 + 5
NEAR = 25


@dataclass
class Scene:
    """Agents at a moment. kind (B, N) int64; size (B, N, 2) length and width in metres; ego, there (B, N) bool; past
    (B, N, PAST + 1, 4): place, heading, speed (metres of the last latent / STEP) of each latent up to now, seen (B, N,
    PAST + 1) bool; line (B, N, WINDOW, 2) and about (B, N, WINDOW, ABOUT): what each is bound for, from BEHIND metres
    behind it, where lined (B, N) bool."""

    kind: Tensor
    size: Tensor
    ego: Tensor
    there: Tensor
    past: Tensor
    seen: Tensor
    line: Tensor
    about: Tensor
    lined: Tensor

    def on_lines(self) -> Scene:
        """The same, with an arc that goes on as it went for whoever is on no line."""
        arcs = arc(self.past[..., -1, :], self.bend())
        lined = self.lined[..., None, None]
        return replace(self, line=torch.where(lined, self.line, arcs),
                       about=torch.where(lined, self.about, torch.zeros_like(self.about)))

    def bend(self) -> Tensor:
        """The curvature (B, N) in 1/m that the last two latents had; 0 of who walks or hardly moved."""
        now, before = self.past[..., -1, :], self.past[..., -3, :]
        far = (now[..., :2] - before[..., :2]).norm(dim=-1)
        turn = wrapped(now[..., 2] - before[..., 2])
        known = self.seen[..., -3] & (far > 0.5) & (self.kind != PERSON)
        return torch.where(known, (turn / far.clamp(min=0.5)).clamp(-0.18, 0.18), torch.zeros_like(far))


@dataclass
class Sight:
    """own (B, N, OWN); near (B, N, K, NEAR) of the neighbours who (B, N, K), where beside (B, N, K) is True. along,
    aside (B, N): metres along its line and to the left of it; mine, theirs (B, N, K): metres on its own line and on
    a neighbour's to where they meet, 99 where they do not; pursuit (B, N): the curvature that leads back to it;
    gap, lead (B, N): metres to who is ahead on it, 99 without, and how fast that one goes along with it, m/s; ahead
    (B, N): its number."""

    own: Tensor
    near: Tensor
    who: Tensor
    beside: Tensor
    along: Tensor
    aside: Tensor
    pursuit: Tensor
    gap: Tensor
    lead: Tensor
    ahead: Tensor
    mine: Tensor
    theirs: Tensor


def wrapped(angle: Tensor) -> Tensor:
    """An angle in -pi..pi."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def arc(pose: Tensor, bend: Tensor) -> Tensor:
    """The line (..., WINDOW, 2) of poses (..., 4) that go on with a curvature (...)."""
    far = torch.arange(WINDOW, device=pose.device, dtype=pose.dtype) - BEHIND
    half = 0.5 * bend[..., None] * far
    middle = pose[..., 2, None] + half
    chord = far * torch.sinc(half / math.pi)
    return pose[..., None, :2] + chord[..., None] * torch.stack([middle.cos(), middle.sin()], -1)


def tangents(line: Tensor) -> Tensor:
    """Unit vectors (..., W, 2) along lines (..., W, 2)."""
    step = torch.cat([line[..., 1:2, :] - line[..., :1, :], line[..., 2:, :] - line[..., :-2, :],
                      line[..., -1:, :] - line[..., -2:-1, :]], -2)
    return F.normalize(step, dim=-1, eps=1e-6)


def located(line: Tensor, ways: Tensor, place: Tensor, step: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Of places (..., 2) on lines (..., W, 2) with tangents and a point every ``step`` metres: metres along, metres to
    the left, and how far the nearest point is, each (...)."""
    gaps = (line - place[..., None, :]).square().sum(-1)
    n = gaps[..., 1:-1].argmin(-1) + 1
    index = n[..., None, None].expand(*n.shape, 1, 2)
    spot, way = line.gather(-2, index)[..., 0, :], ways.gather(-2, index)[..., 0, :]
    gap = place - spot
    along = (gap * way).sum(-1)
    aside = way[..., 0] * gap[..., 1] - way[..., 1] * gap[..., 0]
    return n * step + along, aside, gaps.amin(-1).sqrt()


def spots(line: Tensor, ways: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """Places and unit ways (..., M, 2) at so many points along (..., M) lines (..., W, 2)."""
    along = along.clamp(0, line.shape[-2] - 1.001)
    low = along.long()
    share = (along - low)[..., None]
    index = low[..., None].expand(*low.shape, 2)
    here, way = (v.gather(-2, index) + share * (v.gather(-2, index + 1) - v.gather(-2, index)) for v in (line, ways))
    return here, F.normalize(way, dim=-1, eps=1e-6)


def placed(line: Tensor, along: Tensor, aside: Tensor) -> tuple[Tensor, Tensor]:
    """Places (..., 2) and the line's headings (...) so many points along and metres to the left."""
    spot, way = spots(line, tangents(line), along[..., None])
    spot, way = spot[..., 0, :], way[..., 0, :]
    return spot + aside[..., None] * torch.stack([-way[..., 1], way[..., 0]], -1), torch.atan2(way[..., 1], way[..., 0])


def turned(vectors: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Vectors (..., 2) of the world in the frame of who looks along (cos, sin)."""
    x, y = vectors.unbind(-1)
    return torch.stack([x * cos + y * sin, y * cos - x * sin], -1)


def neighbours_of(values: Tensor, who: Tensor) -> Tensor:
    """Values (B, N, ...) of each one's neighbours who (B, N, K): (B, N, K, ...)."""
    b, n, k = who.shape
    index = (who + n * torch.arange(b, device=who.device)[:, None, None]).flatten()
    return values.flatten(0, 1)[index].view(b, n, k, *values.shape[2:])


def look(scene: Scene, neighbours: int = 8) -> Sight:
    """What every agent of a scene (on_lines) sees."""
    now = scene.past[..., -1, :]
    place, heading, speed = now[..., :2], now[..., 2], now[..., 3]
    cos, sin = heading.cos(), heading.sin()
    ways = tangents(scene.line)
    along, aside, _ = located(scene.line, ways, place)

    ahead = along[..., None] + torch.tensor(AHEAD, dtype=place.dtype, device=place.device)
    spot, way = spots(scene.line, ways, ahead)
    seen_spot = turned(spot - place[..., None, :], cos[..., None], sin[..., None])
    seen_way = turned(way, cos[..., None], sin[..., None])
    index = ahead.round().long().clamp(0, WINDOW - 1)[..., None].expand(*ahead.shape, 4)
    there = scene.about[..., :4].gather(-2, index)
    line_features = torch.cat([seen_spot / 20, seen_way[..., 1:], seen_way[..., :1] - 1, there], -1).flatten(-2)

    pursuit = _pursuit(scene.line, ways, along, place, cos, sin, speed)
    who, beside, near, gap, leader, ahead, mine, theirs = _neighbours(scene, ways, along, cos, sin, neighbours)

    before = scene.past[..., :-1, :]
    path = turned(before[..., :2] - place[..., None, :], cos[..., None], sin[..., None]) / 5
    turn = wrapped(before[..., 2] - heading[..., None])
    known = scene.seen[..., :-1]
    history = torch.cat([path, turn.clamp(-1.5, 1.5)[..., None], before[..., 3:] / 10,
                         torch.ones_like(before[..., :1])], -1) * known[..., None]
    own = torch.cat([
        F.one_hot(scene.kind, KINDS).to(place.dtype), scene.ego[..., None], scene.lined[..., None], scene.size / 5,
        (speed / 10)[..., None], (aside / 2).clamp(-3, 3)[..., None], (pursuit * 10)[..., None], seen_way[..., 0, :],
        (scene.bend() * 10)[..., None], history.flatten(-2), line_features, _signal(scene.about, along), leader], -1)
    return Sight(own, near, who, beside, along, aside, pursuit, gap, leader[..., 3] * 10, ahead, mine, theirs)


def _pursuit(line: Tensor, ways: Tensor, along: Tensor, place: Tensor, cos: Tensor, sin: Tensor, speed: Tensor
             ) -> Tensor:
    """The curvature of pure pursuit of a point ahead, as the drivers of the true road steer."""
    reach = (0.8 * speed).clamp(min=4.0)
    gap = turned(spots(line, ways, (along + reach)[..., None])[0][..., 0, :] - place, cos, sin)
    return (2 * gap[..., 1] / gap.square().sum(-1).clamp(min=4.0)).clamp(-0.18, 0.18)


def _signal(about: Tensor, along: Tensor) -> Tensor:
    """The next signal on the line: whether there is one, how far, what it shows (..., 7)."""
    colours = about[..., 4:]
    far = torch.arange(WINDOW, device=about.device) - along[..., None]
    there = (colours.sum(-1) > 0) & (far > -1.0)
    first = torch.where(there, far, 99.0).argmin(-1, keepdim=True)
    some = there.any(-1)
    metres = torch.where(some, far.gather(-1, first)[..., 0], torch.full_like(along, 99.0))
    shown = colours.gather(-2, first[..., None].expand(*first.shape, 3))[..., 0, :] * some[..., None]
    near = (-metres.clamp(min=0) / 5).exp()
    return torch.cat([some[..., None], (metres / 30).clamp(max=2)[..., None], near[..., None], shown,
                      (near * shown[..., 0])[..., None]], -1).to(along.dtype)


def _neighbours(scene: Scene, ways: Tensor, along: Tensor, cos: Tensor, sin: Tensor, count: int
                ) -> tuple[Tensor, ...]:
    """The nearest of the others, what is seen of them, who is ahead on the line, and where lines meet."""
    now = scene.past[..., -1, :]
    b, n = now.shape[:2]
    place, heading, speed = now[..., :2], now[..., 2], now[..., 3]
    apart = torch.cdist(place, place) + 1e4 * (~scene.there)[:, None, :] + 1e5 * torch.eye(n, device=place.device)
    count = min(count, n)
    far, who = apart.topk(count, largest=False)
    beside = far < 60.0

    def of(values: Tensor) -> Tensor:
        return neighbours_of(values, who)

    c, s = cos[..., None], sin[..., None]
    gap = turned(of(place) - place[..., None, :], c, s)
    turn = of(heading) - heading[..., None]
    moving = of(speed)[..., None] * torch.stack([turn.cos(), turn.sin()], -1)
    lines = scene.line[:, :, None, ::2].expand(b, n, count, WINDOW // 2, 2)
    on, off, away = located(lines, ways[:, :, None, ::2].expand_as(lines), of(place), 2.0)
    on = on - along[..., None]
    mine, theirs = _meetings(scene.line, ways, along, of)
    sizes = of(scene.size)
    near = torch.cat([
        gap / 20, (-far / 8).exp()[..., None], turn.cos()[..., None], turn.sin()[..., None], moving / 10,
        (moving - torch.stack([speed, torch.zeros_like(speed)], -1)[..., None, :])[..., :1] / 10, sizes / 5,
        F.one_hot(of(scene.kind), KINDS), of(scene.ego)[..., None], (on / 20).clamp(-2, 4)[..., None],
        (off / 3).clamp(-3, 3)[..., None], (away < 4)[..., None],
        (mine < 90)[..., None], (mine / 20).clamp(max=3)[..., None], (theirs / 20).clamp(max=3)[..., None],
        (-mine.clamp(min=0) / 6).exp()[..., None], (-theirs.clamp(min=0) / 6).exp()[..., None],
        ((mine / speed[..., None].clamp(min=1) - theirs / of(speed).clamp(min=1)) / 4).clamp(-2, 2)[..., None]],
        -1).to(place.dtype)
    aheads = (on > 0) & (away < 3) & beside & (off.abs() < (sizes[..., 1] + scene.size[..., 1, None]) / 2 + 0.3)
    room = on - (sizes[..., 0] + scene.size[..., 0, None]) / 2
    room, first = torch.where(aheads, room, 99.0).min(-1, keepdim=True)
    some = room < 90
    pace = moving[..., 0].gather(-1, first)
    leader = torch.cat([some, (room / 20).clamp(max=3), (-room.clamp(min=0) / 4).exp(), some * pace / 10,
                        some * (speed[..., None] - pace) / 5], -1).to(place.dtype)
    return who, beside, near, room[..., 0], leader, who.gather(-1, first)[..., 0], mine, theirs


def _meetings(line: Tensor, ways: Tensor, along: Tensor, of) -> tuple[Tensor, Tensor]:
    """Metres (B, N, K) on one's own line, and on a neighbour's, to where they first come within MEETING; 99 where they
    do not in the next 45 metres."""
    steps = torch.arange(0, 46, 3, device=line.device, dtype=line.dtype)
    ahead = spots(line, ways, along[..., None] + steps)[0]
    apart = torch.cdist(ahead[:, :, None].expand(*of(along).shape, len(steps), 2).contiguous(), of(ahead))
    meets = apart < MEETING
    some = meets.any(-1)
    first = some.to(torch.uint8).argmax(-1)
    index = first[..., None, None].expand(*first.shape, 1, len(steps))
    theirs = apart.gather(-2, index)[..., 0, :].argmin(-1)
    none = ~some.any(-1)
    return (torch.where(none, torch.full_like(steps[first], 99.0), steps[first]),
            torch.where(none, torch.full_like(steps[theirs], 99.0), steps[theirs]))
