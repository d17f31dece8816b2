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
STAYS = (*ALIVE, "hoop", "pendulum", "domino")  # what goes by itself, is held, or topples instead
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
    lies = here & ~moving & ~th.of_kind(before, STAYS)
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
    way = -way.transpose(1, 2).gather(2, by[..., None, None].expand(*by.shape, 1, 3))[..., 0, :]
    left = torch.minimum(deep / closing.clamp(min=HARD), latent).transpose(1, 2).gather(2, by[..., None])  # seconds
    after = th.F - torch.arange(1, th.F + 1, device=things.device, dtype=things.dtype)
    since = (left - after * seconds[:, None, None]).clamp(min=0)  # B N F
    slides = ~th.of_kind(before, contact.ROUND)
    slows = (before.new_tensor(FRICTION)[_material(before)] * th.GRAVITY * slides)[..., None]
    since = torch.minimum(since, gets[..., None] / slows.clamp(min=1e-3))
    goes = place[:, :, None] + way[:, :, None] * (gets[..., None] * since - slows * since.square() / 2)[..., None]
    speed = (gets - slows[..., 0] * since[..., -1]).clamp(min=0)
    own = (things[..., th.THING["velocity"]] * way).sum(-1) * th.VELOCITY_SCALE
    pushed = (speed > SOON) & (speed > own)
    out = th.at_positions(before, goes)
    out[..., th.THING["velocity"]] = way * speed[..., None] / th.VELOCITY_SCALE
    out[..., th.THING["moving"]] = 1.0
    return torch.where(pushed[..., None], out, things)


def masses(things: Tensor) -> Tensor:
    """(B, N) kilograms of thing vectors (B, N, WIDTH)."""
    fills = torch.ones_like(things[..., 0])
    for kind, share in FILLS.items():
        fills = torch.where(th.of_kind(things, (kind,)), share, fills)
    return things.new_tensor(DENSITY)[_material(things)] * fills * 8 * th.extents_of(things).prod(-1)


def _material(things: Tensor) -> Tensor:
    return things[..., th.THING["material"]].argmax(-1)
