"""What the pixels of a road's picture meet: agents' boxes, solids and the ground; geometry, without gradients.

Legend: P pixels, N agents, S solids, M meetings of a pixel's ray, G pixels that show ground, L lamps, W numbers of the
weather, E features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.model.road.eye import WEATHER, Eye, Moment, around, frames, lit, pairs, sun_of
from reverie.model.road.solids import HIDDEN, Met, features, shade, stand
from reverie.model.road.streets import KERB, PAVEMENT, Solids, Streets

NEAREST = 8  # meetings laid over each other in one pixel
MARGIN = 1.08  # how far beyond an agent's sizes a ray is still asked what it sees
AGENT = 3 * 3 + 3 + 2 + 3
CONTENT = 5 + 3 + 1 + 3 + 3 + 1 + 3 + 2 + 2 + WEATHER
GROUND = 17
KINDS = 5  # as data.road.trace has them


@dataclass
class Sight:
    """Everything that is asked of P pixels. Pixels of meetings, ground and sky are numbered 0..P - 1; ``row`` counts
    the pictures of several sights that were joined, ``agent`` rows of content.

    weather (R, W), row (P,). Solids: s_pixel, s_depth, s_cover, s_numbers (M, E), s_tint and s_lit (M, 3). Agents:
    a_pixel, a_depth, a_who, a_numbers (M, E), content (A, CONTENT). Ground: g_pixel, g_numbers (G, E), g_share (G, 5)
    of road, pavement, white, yellow and kerb (the rest is grass), g_sun (G,): what of the sun's light comes here,
    g_depth. Shadows of agents: c_ground (into G), c_who, c_numbers. Sky: k_pixel, k_high (K,).
    """

    weather: Tensor
    row: Tensor
    s_pixel: Tensor
    s_depth: Tensor
    s_cover: Tensor
    s_numbers: Tensor
    s_tint: Tensor
    s_lit: Tensor
    a_pixel: Tensor
    a_depth: Tensor
    a_who: Tensor
    a_numbers: Tensor
    content: Tensor
    g_pixel: Tensor
    g_numbers: Tensor
    g_share: Tensor
    g_sun: Tensor
    g_depth: Tensor
    c_ground: Tensor
    c_who: Tensor
    c_numbers: Tensor
    k_pixel: Tensor
    k_high: Tensor

    @classmethod
    def joined(cls, sights: list[Sight]) -> Sight:
        """Several as one."""
        shifts = {"row": [len(s.weather) for s in sights], "a_who": [len(s.content) for s in sights],
                  "c_ground": [len(s.g_pixel) for s in sights], "s_pixel": [len(s.row) for s in sights]}
        shifts |= {name: shifts["s_pixel"] for name in ("a_pixel", "g_pixel", "k_pixel")} | {"c_who": shifts["a_who"]}
        parts = {}
        for field in fields(cls):
            values = [getattr(s, field.name) for s in sights]
            if field.name in shifts:
                base = [0, *torch.tensor(shifts[field.name]).cumsum(0).tolist()]
                values = [v.long() + b for v, b in zip(values, base, strict=False)]
            parts[field.name] = torch.cat(values)
            if parts[field.name].dtype == torch.float16:
                parts[field.name] = parts[field.name].float()
        return cls(**parts)

    def packed(self) -> Sight:
        """The same in half the memory."""
        return Sight(**{f.name: v.half() if (v := getattr(self, f.name)).is_floating_point() else v.int()
                        for f in fields(self)})


def looked(streets: Streets, moment: Moment, eye: Eye, pixels: Tensor | None = None) -> Sight:
    """What the pixels (P,), numbered row by row, of a picture meet; None: all of them."""
    number = torch.arange(eye.height * eye.width) if pixels is None else pixels
    local = torch.stack([(number % eye.width + 0.5 - eye.width / 2) * eye.spot,
                         (eye.height / 2 - number // eye.width - 0.5) * eye.spot, -torch.ones(len(number))], -1)
    way = local @ eye.turn.T
    lamps = lit(streets, moment)
    agents = _agents(moment)
    solid = stand(streets.solids, moment, eye, number, local, way, pixels is None)
    pixel, who = pairs(frames(agents.corners, eye), number, eye, pixels is None)
    met = _passing(agents, pixel, who, eye.place.expand(len(pixel), 3), way[pixel], 0.12)
    solid, met, clear = _kept(solid, met, len(number))
    met_numbers = _numbers(met, eye.spot * met.enter)
    content = _content(moment, agents, streets, lamps)
    ground = _ground(streets, moment, eye, way, lamps, agents, clear)
    sky = ((way[:, 2] > -1e-3) & (clear > HIDDEN)).nonzero()[:, 0]
    return Sight(moment.weather[None], torch.zeros(len(number), dtype=torch.long), solid.pixel, solid.depth,
                 solid.cover, *features(solid, streets, moment, eye, way, lamps), met.index, met.enter, met.who,
                 met_numbers, content, *ground, sky, way[sky, 2] / way[sky].norm(dim=-1))


# -- agents -------------------------------------------------------------------------------------------


def _agents(moment: Moment) -> Solids:
    """Agents' boxes."""
    n = len(moment.kind)
    none = torch.zeros(n, dtype=torch.long)
    return Solids(none, torch.cat([moment.pose[:, :2], moment.half[:, 2:]], 1), moment.pose[:, 2],
                  MARGIN * moment.half, moment.paint, none, none)


@dataclass
class Passing:
    """M rays that pass through agents' boxes: index and who (M,), N more for an agent that is mirrored, o and d (M, 3)
    in half sizes, half (M, 3), enter and leave (M,) along the ray."""

    index: Tensor
    who: Tensor
    o: Tensor
    d: Tensor
    half: Tensor
    enter: Tensor
    leave: Tensor

    def kept(self, some: Tensor) -> Passing:
        """Some of them."""
        return Passing(*(v[some] for v in vars(self).values()))


def _passing(agents: Solids, index: Tensor, who: Tensor, start: Tensor, way: Tensor, least: float) -> Passing:
    """Which of the rays from start (M, 3) along way (M, 3) pass through the boxes of agents who (M,), farther than
    ``least``."""
    turn, half = agents.turn[who], agents.half[who]
    o = ((start - agents.place[who])[:, None] @ turn)[:, 0] / half
    d = (way[:, None] @ turn)[:, 0] / half
    d = torch.where(d.abs() < 1e-5, 1e-5, d)
    middle, reach = -o / d, 1 / d.abs()
    enter, leave = (middle - reach).amax(-1), (middle + reach).amin(-1)
    other = (d[:, 1] < 0).long()  # agents are alike on both sides: every ray comes from their right
    side = torch.stack([torch.ones_like(enter), 1.0 - 2 * other, torch.ones_like(enter)], -1)
    who = who + len(agents.part) * other
    met = Passing(index, who, o * side, d * side, half, enter.clamp(min=least), leave)
    return met.kept(((enter < leave) & (leave > least)).nonzero()[:, 0])


def _numbers(met: Passing, wide: Tensor) -> Tensor:
    """What a field is asked (M, AGENT); wide (M,): of a pixel there, in metres."""
    o, d, enter, leave = met.o, met.d, met.enter, met.leave
    nearest = (-(o * d).sum(-1) / d.square().sum(-1)).clamp(enter, leave)
    first, deep, last = (o + d * t[:, None] for t in (enter, nearest, leave))
    metres = d * met.half
    depth = torch.stack([1 - deep.norm(dim=-1), 1 - deep.abs().amax(-1), (leave - enter) * metres.norm(dim=-1) / 4], -1)
    return torch.cat([first, last, deep, F.normalize(metres, dim=-1), (wide * 8).clamp(max=3)[:, None],
                      enter.clamp(min=0.1).log()[:, None] / 2 - 1, depth], -1)


def _content(moment: Moment, agents: Solids, streets: Streets, lamps: Tensor) -> Tensor:
    """What is known of each agent, and of each mirrored (2 N, CONTENT)."""
    to = sun_of(moment)[2]
    top = agents.place.clone()
    dark = shade(streets.solids, moment, top, torch.full((len(top),), 1.0))
    own = torch.einsum("nij,i->nj", agents.turn, to)
    cos, sin = (agents.heading - moment.ours[2]).cos(), (agents.heading - moment.ours[2]).sin()
    close = around(agents.place, moment, lamps)
    known = torch.cat([F.one_hot(moment.kind, KINDS).float(), moment.paint, moment.brakes[:, None], moment.stride, own,
                       dark[:, None], close[:, [2, 0, 1]], close[:, 3:], torch.stack([cos, sin], -1),
                       moment.weather.expand(len(top), -1)], -1)
    mirrored = known.clone()
    mirrored[:, [9, 10, 13]] *= -1  # a step with the other leg, and the light from the other side
    return torch.cat([known, mirrored])


# -- the ground ---------------------------------------------------------------------------------------


def _kept(solid: Met, met: Passing, count: int) -> tuple[Met, Passing, Tensor]:
    """The same without what is hidden behind solids, and how much of each pixel (P,) no solid covers."""
    pixel, depth = torch.cat([solid.pixel, met.index]), torch.cat([solid.depth, met.enter])
    log = torch.cat([torch.log1p(-solid.cover.clamp(max=0.9999)), torch.zeros(len(met.index))])
    order = torch.argsort(pixel.double() * 1e3 + depth.double().clamp(0, 999))
    pixel, log = pixel[order], log[order].double()
    before = log.cumsum(0) - log
    first = torch.searchsorted(pixel, pixel)
    shown = before - before[first] > math.log(HIDDEN) if len(pixel) else before > 0
    shown &= torch.arange(len(pixel)) - first < NEAREST
    kept = torch.zeros(len(order), dtype=torch.bool)
    kept[order[shown]] = True
    solid, met = solid.kept(kept[: len(solid.pixel)]), met.kept(kept[len(solid.pixel) :])
    left = torch.zeros(count).index_add(0, solid.pixel, torch.log1p(-solid.cover.clamp(max=0.9999)))
    return solid, met, left.exp()


def _ground(streets: Streets, moment: Moment, eye: Eye, way: Tensor, lamps: Tensor, agents: Solids, clear: Tensor
            ) -> list[Tensor]:
    """pixel, numbers, share, sun and depth of the ground, and ground, agent and numbers of agents' shadows."""
    pixel = ((way[:, 2] <= -1e-3) & (clear > HIDDEN)).nonzero()[:, 0]
    way = way[pixel]

    def meet(above: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        height = eye.place[2] - above
        far = height / -way[:, 2]
        step = far[:, None] * eye.spot
        slope = far[:, None] * way[:, :2] / height
        across, along = (step * (eye.turn[:2, k] + slope * eye.turn[2, k]) for k in (0, 1))
        return far, eye.place[:2] + far[:, None] * way[:, :2], across, along

    far, place, across, along = meet(0.0)
    share = streets.ground.covers(place, across, along)
    raised = streets.raised.covers(*meet(KERB)[1:])[:, 0]
    road, below, white, yellow = share.unbind(-1)
    kerb = (below - raised).clamp(min=0) * (1 - raised)
    rest = (1 - raised - kerb).clamp(min=0)
    paint = (white + yellow).clamp(min=1)
    white, yellow = white / paint, yellow / paint
    share = torch.stack([rest * (1 - white - yellow) * road, raised, rest * white, rest * yellow, kerb], -1)
    spot = torch.cat([place, torch.full((len(place), 1), 0.0)], -1)
    wide = (across.square().sum(-1) + along.square().sum(-1)).sqrt().clamp(max=3)
    _, _, to, casts = sun_of(moment)
    sun = -to[2] * (1 - shade(streets.solids, moment, spot, wide))
    nothing = torch.zeros(0, dtype=torch.long)
    cast = [nothing, nothing, torch.zeros(0, AGENT)]
    if casts and len(agents.part):
        # a place can be in an agent's shadow only near the line from it down along the light
        reach = agents.half.norm(dim=-1)
        long = 2 * agents.half[:, 2] * to[:2].norm() / -to[2]
        near = torch.cdist(place, agents.place[:, :2] + F.normalize(to[:2], dim=0) * (long / 2)[:, None])
        g, n = (near < reach + long / 2).nonzero().unbind(1)
        dark = _passing(agents, g, n, spot[g], -to.expand(len(g), 3), 0.01)
        cast = [dark.index, dark.who, _numbers(dark, wide[dark.index])]
    cos, sin = moment.ours[2].cos(), moment.ours[2].sin()
    unit = F.normalize(way, dim=-1)
    level, light = F.normalize(way[:, :2], dim=-1), F.normalize(to[:2], dim=0)
    glance = -(unit * (to * torch.tensor([1.0, 1.0, -1.0]))).sum(-1)
    gap = (place - moment.ours[:2]).norm(dim=-1)
    turned = (level[:, 0] * cos + level[:, 1] * sin, level[:, 1] * cos - level[:, 0] * sin)
    numbers = torch.cat([around(spot, moment, lamps), torch.stack([
        unit[:, 2], *turned, glance, glance.clamp(min=0) ** 8, level @ light, torch.exp(-gap / 5), torch.exp(-gap / 15),
        torch.exp(-gap / 40), far.log() / 2 - 1, sun / -to[2],
        share[:, PAVEMENT]], -1)], -1)
    return [pixel, numbers, share, sun, far, *cast]
