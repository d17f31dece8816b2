"""What the laws of the worlds say of things, computed and not imagined: flight, swings, rest, standing on the ground.

All of it holds exactly in truth. Thing vectors are those of things.py. Legend: B batch, N thing slots, F frames in a
latent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reverie.core.vocabulary import ALIVE
from reverie.model.contact import ROUND, gaps, reaches, support
from reverie.model.pendulum import swung
from reverie.model.things import (
    GRAVITY,
    HALVES,
    POSITION_CENTRE,
    POSITION_SCALE,
    THING,
    VELOCITY_SCALE,
    F,
    at_positions,
    at_rotations,
    extents_of,
    facing,
    of_kind,
    positions_of,
    rotations_of,
)

UPRIGHT = (*ALIVE, "hoop", "screen", "ramp", "wall", "table")  # what in all of 1,353 things of truth never leans
GROUNDED = ("person", "dog", "hoop")  # of these, what never leaves the ground
HELD_UP = (*ALIVE, "hoop", "pendulum", "screen")  # what need not fall where nothing is under it
SINKS = -0.1  # m/s
HOLDS_NOTHING = ("hoop", "pendulum")  # on which nothing comes to rest
HUNG, SLOW = 0.06, 0.6  # metres less that it fell in a latent, and metres a second, of what hangs in the air
SLOPING = 0.06  # metres between a slope and the lowest point of what lies on it
SEAT = -0.03  # of half a chair's height, over its middle
CLEAR = 0.06  # metres around a thing within which it may be touching another, or the ground
LEANING = ("domino",)  # what may lean on another when it rests
PACES = {"person": 3.927, "dog": 3.106}  # radians of their gait a metre, for each metre that they are half high
WINGS = 15.08  # radians/s of a bird's
GOING = 0.2  # m/s from which what is alive goes somewhere
HASTE, JERK = 1.3, 0.03  # of its speed, and metres a frame: how far what is new has come from one to the next
SPINNING = 0.996  # cosine of a turn in two frames (5 degrees) from which what is new spins
FALLING = 2.0  # m/s2 about it within which a thing that is sped up downwards falls freely


def obeyed(things: Tensor, before: Tensor | None, moves: Tensor, seconds: Tensor) -> Tensor:
    """Thing vectors (B, N, WIDTH) as they can be: what nothing holds flies, pendulums swing, and what rests stays
    exactly as it is, or as it came to lie.

    before: the same one latent earlier, None for the first; moves (B, N, 1) bool: which shall move, if they have the
    choice; seconds (B,): the time between two frames.
    """
    was = slept = torch.zeros_like(moves)
    if before is not None:
        was = before[..., :1] > 0
        slept = was & (before[..., THING["moving"]] <= 0)
        things, flies = flown(things, before, seconds)
        moves = moves | flies[..., None]
    things = coming(things, (things[..., 0] > 0) & ~was[..., 0], seconds)
    things = walking(things, before, seconds)
    earlier = things if before is None else torch.where(was, before, things)
    things, swings = swung(things, earlier, (slept & moves)[..., 0], seconds)
    moves = moves | (swings[..., None] & ~slept)
    still = at_rest(torch.where(was, earlier, things))
    return torch.where(moves, things, torch.where(slept, still, lying(still)))


def coming(things: Tensor, new: Tensor, seconds: Tensor) -> Tensor:
    """Thing vectors (B, N, WIDTH) of which those that are new (B, N) bool come to where they are in steps no longer
    than their speed allows, and spin with reason or not at all. In truth 2 of 3,726 take a longer step; of 1,046 in the
    air a thirtieth spins, but slowly.
    """
    path, speed = positions_of(things), (things[..., THING["velocity"]] * VELOCITY_SCALE).norm(dim=-1)
    longest = (HASTE * speed * seconds[:, None] + JERK)[..., None]
    places = [path[..., -1, :]]
    for f in range(F - 2, -1, -1):
        step = path[..., f, :] - places[0]
        places.insert(0, places[0] + step * (longest / step.norm(dim=-1, keepdim=True).clamp(min=1e-9)).clamp(max=1))
    turns = rotations_of(things)
    slow = (_spins(turns).diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2 > SPINNING
    turns = torch.where(slow[..., None, None, None], turns[..., 1:, :, :], turns)
    come = at_rotations(at_positions(things, torch.stack(places, -2)), turns)
    return torch.where(new[..., None], come, things)


def standing(things: Tensor) -> Tensor:
    """Thing vectors (..., WIDTH) of which those that never lean are upright, and those that never leave the ground
    stand on it."""
    straight, walks = of_kind(things, UPRIGHT), of_kind(things, GROUNDED)
    ahead = things[..., THING["rotation"]].unflatten(-1, (2, 2, 3))[..., 0, :2]
    ahead = torch.nn.functional.normalize(ahead, dim=-1, eps=1e-4)  # (..., 2 halves, 2)
    out = things.clone()
    turn = facing(ahead).flatten(-2)
    out[..., THING["rotation"]] = torch.where(straight[..., None], turn, out[..., THING["rotation"]])
    heights = slice(THING["position"].start + 2, THING["position"].stop, 3)
    foot = (extents_of(things)[..., 2:] - POSITION_CENTRE[2]) / POSITION_SCALE
    out[..., heights] = torch.where(walks[..., None], foot, out[..., heights])
    fall = THING["velocity"].stop - 1
    out[..., fall] = torch.where(walks, 0.0, out[..., fall])
    return out


def walking(things: Tensor, before: Tensor | None, seconds: Tensor) -> Tensor:
    """Thing vectors (B, N, WIDTH) of which what walks faces where it goes, and what is alive moves its limbs as it gets
    on: so far for each metre, or as wings beat. before: one latent earlier, where there is one."""
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
    out = things.clone()
    alive, walks = of_kind(things, ALIVE), of_kind(things, tuple(PACES)) & (velocity[..., :2].norm(dim=-1) > GOING)
    limbs = torch.cat([(angle + going).sin(), (angle + going).cos()], -1)
    out[..., THING["phase"]] = torch.where(alive[..., None] & went, limbs, 0.0)
    ahead = torch.nn.functional.normalize(velocity[..., :2], dim=-1, eps=1e-4)
    turn = facing(ahead).repeat(1, 1, len(HALVES))
    out[..., THING["rotation"]] = torch.where(walks[..., None], turn, out[..., THING["rotation"]])
    return out


def lying(things: Tensor) -> Tensor:
    """Thing vectors (B, N, WIDTH), at rest, that lie flat and, less than CLEAR above the ground, on it; but for what
    hangs and what leans on another.

    So it is, to a tenth of a degree, in 3,580 of 3,581 latents of truth in which something rests alone on the ground;
    of 756 in which it touches another, it leans in those of dominoes only; of 91 on another it lies flat in 90.
    """
    place = positions_of(things)[..., -1, :]
    leans = _touching(things, reaches(things), place, place)
    leans = (leans & ~torch.eye(leans.shape[-1], dtype=torch.bool, device=leans.device)).any(-1)
    leans &= of_kind(things, LEANING)
    loose = ~of_kind(things, HELD_UP) & (things[..., 0] > 0)
    near = (place[..., 2] - depth(things) < CLEAR) & loose
    turn = rotations_of(things)[..., -1, :, :]
    down = (turn @ _underside(things, -turn[..., 2, :])[..., None])[..., 0]  # what shall point down, as it does now
    # the least turn that takes it there: about the level axis at right angles to it
    about = torch.stack([-down[..., 1], down[..., 0], torch.zeros_like(down[..., 0])], -1)
    sine = about.norm(dim=-1)[..., None, None]
    axis = about / sine[..., 0].clamp(min=1e-6)
    cross = torch.linalg.cross(axis[..., None, :].expand_as(turn), turn.mT, dim=-1).mT
    along = axis[..., :, None] * (axis[..., None, :] @ turn)
    cosine = -down[..., 2, None, None]
    flat = torch.where(sine < 1e-5, turn, turn * cosine + cross * sine + along * (1 - cosine))[..., :2].mT
    out = things.clone()
    out[..., THING["rotation"]] = torch.stack([flat, flat], -3).flatten(-3)
    out = torch.where((loose & ~leans)[..., None], out, things)
    lower = torch.where(near, place[..., 2] - depth(out), 0.0)
    out[..., THING["position"].start + 2 : THING["position"].stop : 3] -= lower[..., None] / POSITION_SCALE
    return out


def _underside(things: Tensor, down: Tensor) -> Tensor:
    """Of the directions (..., 3), in things' own frames, on which they can lie the one they tip onto: where what is
    straight down (..., 3) of the middle leaves them (of cones, of the middle of their mass)."""
    size = extents_of(things)
    flat = torch.nn.functional.one_hot((down.abs() / size).argmax(-1), 3) * down.sign()
    side = torch.cat([down[..., :2], torch.zeros_like(down[..., :1])], -1)
    side = torch.nn.functional.normalize(side, dim=-1, eps=1e-4)
    base = torch.zeros_like(down)
    base[..., 2] = -1.0
    end = torch.where(down[..., 2:] > 0, -base, base)
    aside = down[..., :2].norm(dim=-1, keepdim=True) / size[..., :1]
    rolls = torch.where(aside > down[..., 2:].abs() / size[..., 2:], side, end)
    slope = torch.nn.functional.normalize(torch.stack([2 * size[..., 2], size[..., 0]], -1), dim=-1)
    slant = torch.cat([side[..., :2] * slope[..., :1], slope[..., 1:]], -1)
    tips = torch.where(aside > -2 * down[..., 2:] / size[..., 2:], slant, base)
    for names, own in ((("cylinder",), rolls), (("cone",), tips), (ROUND, down)):
        flat = torch.where(of_kind(things, names)[..., None], own, flat)
    return flat


def flown(things: Tensor, before: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
    """Thing vectors (B, N, WIDTH) of which those in free flight fly as gravity has it and spin as they did, and which
    these are (B, N) bool. The spin is right to 0.07 degrees a latent (median of 4,204 of truth).

    before: the same one latent earlier; seconds (B,): the time between two frames. In free flight is what fell freely
    before, or did not sink (what sinks slowly may be lowered by a hand that is not seen), and touches neither the
    ground nor what hangs, directly or through others, from where it was to where its flight takes it in this latent:
    in truth nothing rests but on something.
    """
    ahead = torch.arange(1, F + 1, device=things.device, dtype=things.dtype) * seconds[:, None]  # B F
    velocity = before[..., THING["velocity"]] * VELOCITY_SCALE
    start = positions_of(before)[..., -1, :]
    path = start[..., None, :] + velocity[..., None, :] * ahead[:, None, :, None]
    path[..., 2] -= 0.5 * GRAVITY * ahead[:, None].square()
    there = (things[..., 0] > 0) & (before[..., 0] > 0)
    loose = there & ~of_kind(things, HELD_UP)
    free = loose & (falling(positions_of(before), velocity, seconds[:, None]) | (velocity[..., 2] > SINKS))
    others = positions_of(things)[..., -1, :]
    hangs = loose & (velocity[..., 2] > SINKS) & (others[..., 2] - path[..., -1, 2] > HUNG) & (
        (things[..., THING["velocity"]] * VELOCITY_SCALE).norm(dim=-1) < SLOW)
    hangs &= start[..., 2] - depth(before) > CLEAR  # and not on the ground
    for place, turned, rest in ((start, before, start), (path[..., -1, :], things, others)):
        touches = _touching(things, reaches(turned), place, rest)
        low = place[..., 2] - depth(turned)
        free = free & ~_held((there & ~loose) | (low <= CLEAR), touches)
        if not bool(hangs.any()):
            continue
        over = (low[..., None] - _floors(turned, place, rest)).abs()
        stands = touches & ((over < CLEAR + SLOPING) | over.isinf())
        never = of_kind(things, HOLDS_NOTHING)
        hangs = hangs & ~_held((there & ~loose & ~never) | (low <= CLEAR), stands & ~never[:, None])
    free = free | hangs
    turns = rotations_of(before)
    spin = _spins(turns)
    first = spin @ turns[..., 1, :, :]
    out = at_rotations(at_positions(things, path), torch.stack([first, spin @ first], -3))
    fallen = velocity.clone()
    fallen[..., 2] -= GRAVITY * ahead[:, -1:]
    out[..., THING["velocity"]] = fallen / VELOCITY_SCALE
    return torch.where(free[..., None], out, things), free


def _held(held: Tensor, touches: Tensor) -> Tensor:
    """(B, N) bool: what is held, by itself or by what touches it and is held."""
    for _ in range(6):  # so high a tower is held up
        held = held | (touches & held[:, None]).any(-1)
    return held


def _floors(things: Tensor, place: Tensor, others: Tensor) -> Tensor:
    """(B, N, N): the height at which the second of two things, at ``others`` (B, N, 3), holds up the first, at
    ``place``: of what is hollow the table's top, the chair's seat, the slope's height there; of all else infinite."""
    size, turn = extents_of(things), rotations_of(things)[..., -1, :, :]
    along = ((place[:, :, None] - others[:, None]) * turn[:, None, :, :, 0]).sum(-1) / size[:, None, :, 0]
    height = torch.full_like(along, torch.inf)
    for kind, own in (("table", torch.ones_like(along)), ("chair", torch.full_like(along, SEAT)),
                      ("ramp", along.clamp(-1, 1))):
        height = torch.where(of_kind(things, (kind,))[:, None], own, height)
    return others[:, None, :, 2] + height * size[:, None, :, 2]


def _spins(turns: Tensor) -> Tensor:
    """(..., 3, 3): by how much things turn from one of HALVES to the next, by their rotations (..., 2, 3, 3)."""
    return turns[..., 1, :, :] @ turns[..., 0, :, :].mT


def falling(path: Tensor, velocity: Tensor, seconds: Tensor) -> Tensor:
    """(...,) bool: what was sped up downwards as in free fall, by its path (..., F, 3) and last velocity (..., 3)."""
    slowed = velocity[..., 2] - (path[..., -1, 2] - path[..., 0, 2]) / ((F - 1) * seconds)
    return (slowed / (0.5 * (F - 1) * seconds) + GRAVITY).abs() < FALLING


def depth(things: Tensor) -> Tensor:
    """How far thing vectors (..., WIDTH) reach down from their middles (...,) in the latent's last frame, in metres."""
    return support(things, things.new_tensor([[0.0, 0.0, -1.0]]))[..., 0]


def _touching(things: Tensor, reach: Tensor, place: Tensor, others: Tensor) -> Tensor:
    """(B, N, N) bool: which, at their places (B, N, 3), touch which of all things that exist, those at ``others``
    (B, N, 3)."""
    return (gaps(place, others, reach) < CLEAR) & (things[..., 0] > 0)[:, None]


def at_rest(things: Tensor) -> Tensor:
    """Thing vectors (..., WIDTH) that stay as they are at their last sub-frame, exactly."""
    out = things.clone()
    for name, parts in (("position", F), ("rotation", 2)):
        part = things[..., THING[name]].unflatten(-1, (parts, -1))[..., -1:, :]
        out[..., THING[name]] = part.expand(*part.shape[:-2], parts, part.shape[-1]).flatten(-2)
    out[..., THING["velocity"]] = 0.0
    out[..., THING["phase"]] = things[..., THING["phase"]].unflatten(-1, (2, 2))[..., 1:].expand(
        *things.shape[:-1], 2, 2).flatten(-2)
    out[..., THING["moving"]] = -1.0
    return out

