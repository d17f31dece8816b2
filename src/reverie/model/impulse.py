"""What is run into is set going: momentum, as the worlds pass it on.

In 240 clips of truth 27 things that lay still were about to be run into so; a latent later they went at speeds that
differ from these by 0.42 m/s (mean; 1.27 m/s from none), and were 4 cm from these places (12 cm from where they had
lain). Thing vectors are those of things.py. Legend: B batch, N thing slots, F frames in a latent.
"""

from __future__ import annotations

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


def knocked(things: Tensor, before: Tensor | None, seconds: Tensor, known: Tensor | None = None) -> Tensor:
    """Thing vectors (B, N, WIDTH) of which those that lay still, and that something is about to run into, move on.

    before: the same one latent earlier, None for the first; seconds (B,): the time between two frames; known (B, N)
    bool: what is given, and stays. What moves by itself faster than it would be pushed is left as it is.
    """
    if before is None:
        return things
    here, moving = (before[..., 0] > 0) & (things[..., 0] > 0), before[..., th.THING["moving"]][..., 0] > 0
    speed = before[..., th.THING["velocity"]] * th.VELOCITY_SCALE
    comes = here & moving & (speed.norm(dim=-1) > HARD)
    held = th.of_kind(before, STAYS) | th.of_kind(before, ("wall",)) & (_material(before) == 0)
    lies = here & ~moving & ~held
    lies = lies if known is None else lies & ~known
    latent = seconds[:, None, None] * th.F
    place = th.positions_of(before)[:, :, -1]
    near = contact.gaps(place, place, contact.reaches(before)) < speed.norm(dim=-1)[..., None] * latent
    asked = comes[:, :, None] & lies[:, None] & near
    if not bool(asked.any()):
        return things
    ahead = torch.where(comes[..., None], th.at_positions(before, (place + speed * latent)[..., None, :].expand(
        *place.shape[:2], th.F, 3)), before)
    deep, way, steep = contact.overlaps(ahead)
    closing = -(speed[:, :, None] * way).sum(-1)
    late = closing * seconds[:, None, None]  # what they meet by in the last frame may be the next latent's
    hit = asked & (deep > late) & ~steep & (closing > HARD) & (contact.overlaps(before)[0] <= contact.TIGHT)
    mass = masses(before)
    bouncy = (_material(before) == 0) & ~th.of_kind(before, (*FIXTURES, "domino"))
    share = mass[:, :, None] / (mass[:, :, None] + mass[:, None]).clamp(min=1e-6)
    gets = torch.where(hit, closing * share * (1 + REBOUNDS * (bouncy[:, :, None] | bouncy[:, None])), 0.0)
    gets, by = gets.max(1)  # of several the hardest
    at = by[..., None]
    way = -way.transpose(1, 2).gather(2, at[..., None].expand(*by.shape, 1, 3))[..., 0, :]
    left = torch.minimum(deep / closing.clamp(min=HARD), latent).transpose(1, 2).gather(2, at)  # seconds, B N 1
    until = latent - left
    time = seconds[:, None, None] * torch.arange(1, th.F + 1, device=things.device, dtype=things.dtype)  # B 1 F
    slows = slowing(before)[..., None]
    since = torch.minimum((time - until).clamp(min=0), gets[..., None] / slows.clamp(min=1e-3))
    goes = place[:, :, None] + way[:, :, None] * (gets[..., None] * since - slows * since.square() / 2)[..., None]
    pace = (gets - slows[..., 0] * since[..., -1]).clamp(min=0)
    own = (things[..., th.THING["velocity"]] * way).sum(-1) * th.VELOCITY_SCALE
    pushed = (pace > SOON) & (pace > own)
    out = th.at_positions(before, goes)
    out[..., th.THING["velocity"]] = way * pace[..., None] / th.VELOCITY_SCALE
    out[..., th.THING["moving"]] = 1.0
    things = torch.where(pushed[..., None], out, things)
    # who runs into it loses as much: the hardest of several counts
    loss = torch.where(pushed[:, None] & (by[:, None] == torch.arange(by.shape[1], device=by.device)[:, None]),
                       (gets * mass)[:, None] / mass[:, :, None].clamp(min=1e-6), 0.0)
    loss, onto = loss.max(2)
    brakes = (loss > 0) & ~th.of_kind(before, ALIVE)
    brakes = brakes if known is None else brakes & ~known
    ahead = way.gather(1, onto[..., None].expand_as(way)) * loss[..., None]
    until = until.gather(1, onto[..., None])
    path, level = th.positions_of(things), place.new_tensor([1.0, 1.0, 0.0])
    goes = place[:, :, None] + speed[:, :, None] * time[..., None] - ahead[:, :, None] * (time - until).clamp(
        min=0)[..., None]
    out = th.at_positions(things, torch.where(level > 0, goes, path))
    slower = (speed - ahead) / th.VELOCITY_SCALE
    out[..., th.THING["velocity"]] = torch.where(level > 0, slower, out[..., th.THING["velocity"]])
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
