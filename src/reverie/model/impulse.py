"""What is run into is set going: momentum, as the worlds pass it on.

In 240 clips of truth 28 things that lay still were about to be run into so; a latent later they went at speeds that
differ from these by 0.44 m/s (mean; 1.29 m/s from none), and were 4.3 cm from these places (12 cm from where they had
lain); who ran into them went on at what is said here to 0.16 m/s (median). Thing vectors are those of things.py.
Legend: B batch, N thing slots, F frames in a latent.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reverie.core.vocabulary import ALIVE, FIXTURES
from reverie.model import contact
from reverie.model import things as th

# of the lab's simulator: kg/m3 and friction of each material; share of its box that a kind fills, with how dense it is
DENSITY, FRICTION = (220.0, 400.0, 900.0), (0.6, 0.07, 0.75)
FILLS = {"ball": 0.524, "basketball": 0.524, "cylinder": 0.785, "cone": 0.258, "ramp": 0.5, "wall": 0.5, "chair": 0.243,
         "screen": 0.158, "table": 0.11, "domino": 0.35}
REBOUNDS = 0.7  # of the speed at which two meet of which one is bouncy, unless it is furniture
STAYS = (*ALIVE, "hoop", "pendulum", "domino")  # what goes by itself, is held, or topples instead; bouncy walls, too:
# balls are thrown at them, to bounce
HARD = 0.5  # m/s: what is run into more slowly is left to the network
SOON = 0.02  # m/s that it must get


@dataclass
class _Blows:
    """What each thing (B, N) is hit by, the hardest of several: that one's number; the way (B, N, 3) in which it is
    pushed; the speed in m/s that it gets so, 0 where nothing hits it; and the seconds of the latent until then."""

    by: Tensor
    way: Tensor
    gets: Tensor
    until: Tensor


def knocked(things: Tensor, before: Tensor | None, seconds: Tensor, known: Tensor | None = None) -> Tensor:
    """Thing vectors (B, N, WIDTH) of which those that lay still, and that something is about to run into, move on, and
    who runs into them is slower for it.

    before: the same one latent earlier, None for the first; seconds (B,): the time between two frames; known (B, N)
    bool: what is given, and stays. What moves by itself faster than it would be pushed is left as it is.
    """
    if before is None:
        return things
    free = torch.ones_like(before[..., 0], dtype=torch.bool) if known is None else ~known
    blows = _blows(things, before, seconds, free)
    if blows is None:
        return things
    time = seconds[:, None, None] * torch.arange(1, th.F + 1, device=things.device, dtype=things.dtype)  # B 1 F
    things, pushed = _pushed(things, before, blows, time)
    return _braked(things, before, blows, time, pushed, free)


def _blows(things: Tensor, before: Tensor, seconds: Tensor, free: Tensor) -> _Blows | None:
    """Who is run into within this latent, if all go straight on; None where nobody is near enough."""
    here, moving = (before[..., 0] > 0) & (things[..., 0] > 0), before[..., th.THING["moving"]][..., 0] > 0
    speed, bouncy = before[..., th.THING["velocity"]] * th.VELOCITY_SCALE, _material(before) == 0
    comes = here & moving & (speed.norm(dim=-1) > HARD)
    lies = here & free & ~moving & ~th.of_kind(before, STAYS) & ~(th.of_kind(before, ("wall",)) & bouncy)
    latent, place = seconds[:, None, None] * th.F, th.positions_of(before)[:, :, -1]
    near = contact.gaps(place, place, contact.reaches(before)) < speed.norm(dim=-1)[..., None] * latent
    asked = comes[:, :, None] & lies[:, None] & near
    if not bool(asked.any()):
        return None
    apart = contact.overlaps(before)[0] <= contact.TIGHT
    hit, deep, way, closing, span = _met(before, place, speed, comes, latent)
    half = _met(before, place, speed, comes, latent / 2)  # nearer to where they meet: from which side is plainer there
    soon = half[0] & asked & apart
    hit = soon | hit & asked & apart & (deep > closing * seconds[:, None, None])  # in the last frame: maybe the next's
    deep, closing, span = (torch.where(soon, half[k], value) for k, value in ((1, deep), (3, closing), (4, span)))
    way = torch.where(soon[..., None], half[2], way)
    mass, bouncy = masses(before), bouncy & ~th.of_kind(before, (*FIXTURES, "domino"))
    share = mass[:, :, None] / (mass[:, :, None] + mass[:, None]).clamp(min=1e-6)
    gets = torch.where(hit, closing * share * (1 + REBOUNDS * (bouncy[:, :, None] | bouncy[:, None])), 0.0)
    gets, by = gets.max(1)
    until = span - torch.minimum(deep / closing.clamp(min=HARD), span)
    until = until.transpose(1, 2).gather(2, by[..., None])[..., 0]
    way = -way.transpose(1, 2).gather(2, by[..., None, None].expand(*by.shape, 1, 3))[..., 0, :]
    return _Blows(by, way, gets, until)


def _met(before: Tensor, place: Tensor, speed: Tensor, comes: Tensor, span: Tensor) -> tuple[Tensor, ...]:
    """What is met within ``span`` seconds (B, 1, 1), if who ``comes`` (B, N) goes straight on from ``place``: whether
    hard, and from the side (B, N, N); how deep; the way (B, N, N, 3); the speed at which; and the span for each."""
    on = (place + speed * span)[..., None, :].expand(*place.shape[:2], th.F, 3)
    deep, way, steep = contact.overlaps(torch.where(comes[..., None], th.at_positions(before, on), before))
    closing = -(speed[:, :, None] * way).sum(-1)
    return (deep > 0) & ~steep & (closing > HARD), deep, way, closing, span.expand_as(deep)


def _pushed(things: Tensor, before: Tensor, blows: _Blows, time: Tensor) -> tuple[Tensor, Tensor]:
    """Thing vectors of which those that are hit slide or roll on from then; and which (B, N) bool these are. time
    (B, 1, F): of the latent's frames."""
    slows, gets = slowing(before)[..., None], blows.gets[..., None]
    since = torch.minimum((time - blows.until[..., None]).clamp(min=0), gets / slows.clamp(min=1e-3))
    way = blows.way[:, :, None] * (gets * since - slows * since.square() / 2)[..., None]
    pace = (blows.gets - slows[..., 0] * since[..., -1]).clamp(min=0)
    own = (things[..., th.THING["velocity"]] * blows.way).sum(-1) * th.VELOCITY_SCALE
    pushed = (pace > SOON) & (pace > own)
    out = th.at_positions(before, th.positions_of(before)[:, :, -1:] + way)
    out[..., th.THING["velocity"]] = blows.way * pace[..., None] / th.VELOCITY_SCALE
    out[..., th.THING["moving"]] = 1.0
    return torch.where(pushed[..., None], out, things), pushed


def _braked(things: Tensor, before: Tensor, blows: _Blows, time: Tensor, pushed: Tensor, free: Tensor) -> Tensor:
    """Thing vectors of which those that run into what is pushed lose as much as that gains, the most of several, on
    the level; up and down they go as they do."""
    mass, numbers = masses(before), torch.arange(before.shape[1], device=before.device)
    mine = pushed[:, None] & (blows.by[:, None] == numbers[:, None])
    loss = torch.where(mine, (blows.gets * mass)[:, None] / mass[:, :, None].clamp(min=1e-6), 0.0)
    loss, onto = loss.max(2)
    brakes = (loss > 0) & free & ~th.of_kind(before, ALIVE)
    less = blows.way.gather(1, onto[..., None].expand_as(blows.way)) * loss[..., None]
    speed = before[..., th.THING["velocity"]] * th.VELOCITY_SCALE
    since = (time - blows.until.gather(1, onto)[..., None]).clamp(min=0)[..., None]
    on = th.positions_of(before)[:, :, -1:] + speed[:, :, None] * time[..., None] - less[:, :, None] * since
    level, velocity = speed.new_tensor([1.0, 1.0, 0.0]) > 0, th.THING["velocity"]
    out = th.at_positions(things, torch.where(level, on, th.positions_of(things)))
    out[..., velocity] = torch.where(level, (speed - less) / th.VELOCITY_SCALE, out[..., velocity])
    return torch.where(brakes[..., None], out, things)


def masses(things: Tensor) -> Tensor:
    """(B, N) kilograms of thing vectors (B, N, WIDTH)."""
    fills = torch.ones_like(things[..., 0])
    for kind, share in FILLS.items():
        fills = torch.where(th.of_kind(things, (kind,)), share, fills)
    return things.new_tensor(DENSITY)[_material(things)] * fills * 8 * th.extents_of(things).prod(-1)


def slowing(things: Tensor) -> Tensor:
    """(B, N) m/s2 at which friction slows thing vectors (B, N, WIDTH) down on the ground: none for what rolls."""
    slides = ~th.of_kind(things, contact.ROUND)
    return things.new_tensor(FRICTION)[_material(things)] * th.GRAVITY * slides


def moving_by(things: Tensor, others: Tensor, far: float) -> Tensor:
    """(B, N) m/s at which things (B, N, WIDTH) must run into others, one each, for these to slide so many metres."""
    share = masses(things) / (masses(things) + masses(others)).clamp(min=1e-6)
    return (2 * slowing(others) * far).sqrt() / share.clamp(min=1e-3)


def _material(things: Tensor) -> Tensor:
    return things[..., th.THING["material"]].argmax(-1)
