"""How the living go: people and dogs walk, birds fly, and none of them creeps or hangs in the air.

Thing vectors are those of things.py. Legend: B batch, N thing slots, F frames in a latent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reverie.core.vocabulary import ALIVE
from reverie.model.resting import CLEAR, depth, standing_on
from reverie.model.things import (
    HALVES,
    THING,
    VELOCITY_SCALE,
    F,
    at_positions,
    extents_of,
    facing,
    of_kind,
    positions_of,
)

PACES = {"person": 3.927, "dog": 3.106}  # radians of their gait a metre, for each metre that they are half high
WINGS = 15.08  # radians/s of a bird's
GOING = 0.2  # m/s from which what is alive goes somewhere
STROLLS, EVEN = 0.3, 0.25  # m/s from which it keeps its pace, and of that by how much it may differ
CREEPS = 0.05, 0.6  # m/s from and up to which nobody goes for two latents, but who sets out
LEVEL, SETTLES, SLOWS = 0.15, 1.2, 0.8  # m/s up or down of level flight; m/s down of who lands; what it keeps a latent


def strolled(things: Tensor, before: Tensor, seconds: Tensor) -> Tensor:
    """Thing vectors (B, N, WIDTH) of which what is alive, and goes nearly as it went (EVEN), goes on just so: in truth
    three quarters of 1,332 latents are even to a thousandth, and in others it starts, stops or turns; this is right to
    0.4 mm a latent (median of 1,136; 3% more than 3 cm off). before: one latent earlier; seconds (B,): the time between
    two frames."""
    up, there = THING["velocity"].stop - 1, (things[..., 0] > 0) & (before[..., 0] > 0)
    went, goes = (x[..., THING["velocity"].start : up] * VELOCITY_SCALE for x in (before, things))
    pace = went.norm(dim=-1)
    even = there & of_kind(things, ALIVE) & (pace > STROLLS) & ((goes - went).norm(dim=-1) < EVEN * pace)
    if not bool(even.any()):
        return things
    time, path = seconds[:, None] * torch.arange(1, F + 1, device=pace.device, dtype=pace.dtype), positions_of(things)
    level = positions_of(before)[..., -1:, :2] + went[..., None, :] * time[:, None, :, None]
    out = at_positions(things, torch.cat([level, path[..., 2:]], -1))
    out[..., THING["velocity"].start : up] = went / VELOCITY_SCALE
    return torch.where(even[..., None], out, things)


def crept(things: Tensor, before: Tensor) -> Tensor:
    """(B, N) bool: who is alive, goes too slowly to go anywhere, and is getting slower: it stands. Of 138,386 latents
    of truth in which the living move 78 are so slow twice. before: one latent earlier."""
    went, goes = (x[..., THING["velocity"]].norm(dim=-1) * VELOCITY_SCALE for x in (before, things))
    slow = (went > CREEPS[0]) & (went < CREEPS[1]) & (goes < went)
    return slow & of_kind(things, ALIVE) & (things[..., 0] > 0) & (before[..., 0] > 0)


def flapping(things: Tensor, before: Tensor | None, moves: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
    """Thing vectors (B, N, WIDTH) of which birds in level flight, or new, do not rise, and those in the air that would
    stop there, on nothing, come down as they go on; and which these are (B, N) bool. In 13,566 latents of truth with a
    bird in the air none is at rest, and none rises after level flight; of 638 that come none rises. before: one latent
    earlier, None for the first; moves (B, N) bool; seconds (B,): the time between two frames."""
    birds, up = of_kind(things, ("bird",)) & (things[..., 0] > 0), THING["velocity"].stop - 1
    if not bool(birds.any()):
        return things, birds
    earlier = things if before is None else before
    known = torch.zeros_like(birds) if before is None else birds & (before[..., 0] > 0)
    place, went = positions_of(earlier)[..., -1, :], earlier[..., THING["velocity"]] * VELOCITY_SCALE
    high = place[..., 2] - depth(earlier) > CLEAR
    level = birds & torch.where(known, high & (went[..., 2] < LEVEL), True)
    path, top = positions_of(things).clone(), torch.where(known, place[..., 2], positions_of(things)[..., 0, 2])
    path[..., 2] = torch.where(level[..., None], torch.minimum(path[..., 2], top[..., None]), path[..., 2])
    out = at_positions(things, path)
    out[..., up] = torch.where(level, out[..., up].clamp(max=0), out[..., up])
    slow = out[..., THING["velocity"].start : up].norm(dim=-1) * VELOCITY_SCALE < STROLLS
    hangs = known & high & (slow | ~moves)
    hangs = hangs & ~standing_on(earlier, place).any(-1) if bool(hangs.any()) else hangs
    if not bool(hangs.any()):
        return out, hangs
    time = seconds[:, None] * torch.arange(1, F + 1, device=place.device, dtype=place.dtype)  # B F
    glide = place[..., None, :2] + went[..., None, :2] * time[:, None, :, None]
    sinks = torch.maximum(place[..., 2:] - SETTLES * time[:, None], extents_of(things)[..., 2:])
    down = at_positions(out, torch.cat([glide, sinks[..., None]], -1))
    lands = sinks[..., -1] <= extents_of(things)[..., 2]
    down[..., THING["velocity"].start : up] = torch.where(lands[..., None], 0.0, SLOWS * went[..., :2] / VELOCITY_SCALE)
    down[..., up] = torch.where(lands, 0.0, -SETTLES / VELOCITY_SCALE)
    return torch.where(hangs[..., None], down, out), hangs


def walking(things: Tensor, before: Tensor | None, seconds: Tensor) -> Tensor:
    """Thing vectors (B, N, WIDTH) of which what walks faces where it goes, and what is alive moves its limbs as it gets
    on: so far for each metre, or as wings beat. before: one latent earlier, where there is one."""
    alive, out = of_kind(things, ALIVE), things.clone()
    out[..., THING["phase"]] = 0.0
    if not bool(alive.any()):
        return out
    path, velocity = positions_of(things), things[..., THING["velocity"]] * VELOCITY_SCALE
    start = path[..., :1, :]
    phase, known = things[..., THING["phase"]], torch.zeros_like(things[..., 0], dtype=torch.bool)
    if before is not None:
        known = (before[..., 0] > 0) & (things[..., 0] > 0)
        start = torch.where(known[..., None, None], positions_of(before)[..., -1:, :], start)
        phase = torch.where(known[..., None], before[..., THING["phase"]], phase)
    sine, cosine = (part[..., -1:] for part in phase.unflatten(-1, (2, 2)).unbind(-2))
    angle, fast = torch.atan2(sine, cosine), velocity.norm(dim=-1, keepdim=True) > GOING
    went = fast | (torch.hypot(sine, cosine) > 0.5)  # what has never gone anywhere has no phase
    steps = torch.diff(torch.cat([start, path], -2), dim=-2)[..., :2].norm(dim=-1).cumsum(-1)[..., list(HALVES)]
    flaps = WINGS * seconds[:, None, None] * torch.tensor(HALVES, device=path.device).add(1)
    going = torch.where(of_kind(things, ("bird",))[..., None] & fast, flaps, 0.0)
    for kind, pace in PACES.items():
        pace = pace / extents_of(things)[..., 2:]
        going = torch.where(of_kind(things, (kind,))[..., None], pace * steps, going)
    going = going - torch.where(known[..., None], 0.0, going[..., -1:])  # of what is new the last is what is imagined
    walks = of_kind(things, tuple(PACES)) & (velocity[..., :2].norm(dim=-1) > GOING)
    limbs = torch.cat([(angle + going).sin(), (angle + going).cos()], -1)
    out[..., THING["phase"]] = torch.where(alive[..., None] & went, limbs, 0.0)
    ahead = torch.nn.functional.normalize(velocity[..., :2], dim=-1, eps=1e-4)
    turn = facing(ahead).repeat(1, 1, len(HALVES))
    out[..., THING["rotation"]] = torch.where(walks[..., None], turn, out[..., THING["rotation"]])
    return out
