"""What the laws of the worlds say of things, computed and not imagined: flight, swings, rest, standing on the ground.

All of it holds exactly in truth. Thing vectors are those of things.py. Legend: B batch, N thing slots, F frames in a
latent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reverie.core.vocabulary import ALIVE, MATERIALS
from reverie.model import hoops
from reverie.model.contact import ROUND
from reverie.model.impulse import FRICTION
from reverie.model.living import crept, flapping, strolled, walking
from reverie.model.pendulum import swung
from reverie.model.resting import (
    CLEAR,
    HELD_UP,
    HOLDS_NOTHING,
    at_rest,
    depth,
    lying,
    not_sunk,
    standing_on,
    toppled,
    touching,
)
from reverie.model.things import (
    GRAVITY,
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
SINKS = -0.1  # m/s
AWAKE, RISES = 0.05, 0.03  # m/s of what moves; metres that it rises for nothing
HUNG, SLOW = 0.06, 0.6  # metres less that it fell in a latent, and m/s up or down, of what hangs in the air
FELL, DULL = -1.5, 0.25  # m/s up of what fell; of its speed, what it keeps at most unless it is bouncy
HASTE, JERK = 1.3, 0.03  # of its speed, and metres a frame: how far what is new has come from one to the next
SPINNING = 0.996  # cosine of a turn in two frames (5 degrees) from which what is new spins
HOPS = 0.15, 0.5  # m/s up or down before, and up after, from which a ball does not roll
# m/s2 that what slides loses, and a ball that rolls: so do, as medians, 4,987 and 1,221 of truth
SLIPS, ROLLS = FRICTION[MATERIALS.index("sliding")] * GRAVITY, 0.05
GLIDES, UPRIGHTS = 0.1, 0.9998  # m/s from which they do; cosine (1 degree) of a turn in two frames of what tips
BOUNCES, CONTACT = 0.76, 0.018  # of its speed, what a bouncy ball keeps; seconds for which it is on the ground
SLIDES = 0.94, 0.72  # of its speed along the ground, what a ball keeps as it lands: a bouncy one, and another
FALLING = 2.0  # m/s2 about it within which a thing that is sped up downwards falls freely


def obeyed(things: Tensor, before: Tensor | None, moves: Tensor, seconds: Tensor,
           lowered: Tensor | None = None) -> Tensor:
    """Thing vectors (B, N, WIDTH) as they can be: what nothing holds flies, pendulums swing, and what rests stays
    exactly as it is, or as it came to lie.

    before: the same one latent earlier, None for the first; moves (B, N, 1) bool: which shall move, if they have the
    choice; seconds (B,): the time between two frames; lowered: see flown.
    """
    was = slept = torch.zeros_like(moves)
    if before is not None:
        was = before[..., :1] > 0
        slept = was & (before[..., THING["moving"]] <= 0)
        things, flies = flown(things, before, seconds, lowered)
        things, bounces = rebounded(things, before, seconds, lowered)
        things = rolled(spent(things, before), before, moves[..., 0], seconds)
        things, glides = glided(things, before, seconds)
        things, topples = toppled(things, before, ~slept[..., 0], seconds)
        moves = moves | (flies | bounces | topples | glides)[..., None]
    things = coming(things, (things[..., 0] > 0) & ~was[..., 0], seconds)
    if before is not None:
        moves = moves & ~crept(things, before)[..., None]
        things = strolled(things, before, seconds)
    things, settles = flapping(things, before, moves[..., 0], seconds)
    things, moves = walking(things, before, seconds), moves | settles[..., None]
    earlier = things if before is None else torch.where(was, before, things)
    things, swings = swung(things, earlier, (slept & moves)[..., 0], seconds)
    moves = moves | (swings[..., None] & ~slept)
    still = at_rest(torch.where(was, earlier, things))
    lies = (things[..., :1] > 0) & ~moves & ~slept
    still = torch.where(lies, lying(still), still) if bool(lies.any()) else still
    return torch.where(moves, not_sunk(things, before), still)


def rebounded(things: Tensor, before: Tensor, seconds: Tensor, lowered: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Thing vectors (B, N, WIDTH) of which balls that come down on the ground in this latent, or leave it, and touch
    nothing else, stay there, or, if they are bouncy, rebound; and which these are (B, N) bool. Of truth's heights this
    is 4 mm off for bouncy ones (median of 1,666 latents), 9 mm for others (of 588). before: one latent earlier; seconds
    (B,): the time between two frames; lowered: see flown.
    """
    velocity, place = before[..., THING["velocity"]] * VELOCITY_SCALE, positions_of(before)[..., -1, :]
    high, rate, latent = (place[..., 2] - depth(before)).clamp(min=0), velocity[..., 2], F * seconds[:, None]
    loose = falling(positions_of(before), velocity, seconds[:, None]) | ~_sinking(rate, lowered)
    on = (things[..., 0] > 0) & (before[..., 0] > 0) & of_kind(things, ROUND) & loose & torch.where(
        high > CLEAR, high + rate * latent - GRAVITY * latent.square() / 2 < CLEAR, rate.abs() > HOPS[0])
    if not bool(on.any()):
        return things, on
    bouncy = things[..., THING["material"]].argmax(-1) == MATERIALS.index("bouncy")
    time = seconds[:, None, None] * torch.arange(1, F + 1, device=place.device, dtype=place.dtype)  # B 1 F
    speed = (rate.square() + 2 * GRAVITY * high).sqrt()
    first = lands = ((rate + speed) / GRAVITY)[..., None]
    height = high[..., None] + rate[..., None] * time - GRAVITY * time.square() / 2
    rise = rate[..., None] - GRAVITY * time
    for _ in range(F):  # so often at most in a latent
        speed = torch.where(bouncy & (BOUNCES * speed > HOPS[0]), BOUNCES * speed, 0.0)
        since, leaves = time - lands - CONTACT, speed[..., None]
        height = torch.where(time > lands, (leaves * since - GRAVITY * since.square() / 2) * (since > 0), height)
        rise = torch.where(time > lands, leaves - GRAVITY * since.clamp(min=0), rise)
        height, rise = (torch.where((time > lands) & (leaves == 0), 0.0, x) for x in (height, rise))
        lands = lands + torch.where(leaves > 0, CONTACT + 2 * leaves / GRAVITY, 0.0)
    keeps = torch.where(bouncy, *SLIDES)[..., None]
    far = torch.minimum(time, first) + keeps * (time - first).clamp(min=0)
    path = torch.cat([place[..., None, :2] + velocity[..., None, :2] * far[..., None],
                      (depth(things)[..., None] + height.clamp(min=0))[..., None]], -1)
    on = on & ~(touching(before, place) | touching(things, path[..., -1, :], positions_of(things)[..., -1, :])).any(-1)
    out = at_positions(things, path)
    level = velocity[..., :2] * torch.where(time[..., -1:] > first, keeps, 1.0)
    out[..., THING["velocity"]] = torch.cat([level, rise[..., -1:]], -1) / VELOCITY_SCALE
    return torch.where(on[..., None], out, things), on


def spent(things: Tensor, before: Tensor) -> Tensor:
    """Thing vectors (B, N, WIDTH) of which those that moved one latent earlier rise no higher than their speed took
    them: of 9,325 of truth 24 do, which a hand that is not seen hits; and of which those that fell, and are not bouncy,
    rebound no faster than DULL of their speed: of 842 of truth 4 do, basketballs apart, which rims throw up."""
    speed = before[..., THING["velocity"]].norm(dim=-1) * VELOCITY_SCALE
    loose = (before[..., 0] > 0) & ~of_kind(things, HELD_UP) & (speed > AWAKE)
    top = positions_of(before)[..., -1, 2] + speed.square() / (2 * GRAVITY) + RISES
    path = positions_of(things).clone()
    path[..., 2] = torch.minimum(path[..., 2], top[..., None])
    out = at_positions(things, path)
    fall = THING["velocity"].stop - 1
    most, sank = (2 * GRAVITY * (top - path[..., -1, 2])).sqrt(), before[..., fall] * VELOCITY_SCALE
    dull = (things[..., THING["material"]].argmax(-1) != MATERIALS.index("bouncy")) & ~of_kind(things, ("basketball",))
    deeper = (positions_of(before)[..., -1, 2] - path[..., -1, 2]).clamp(min=0)
    most = torch.where(dull & (sank < FELL), DULL * (sank.square() + 2 * GRAVITY * deeper).sqrt(), most)
    out[..., fall] = torch.minimum(out[..., fall], most / VELOCITY_SCALE)
    return torch.where(loose[..., None], out, things)


def rolled(things: Tensor, before: Tensor, moves: Tensor, seconds: Tensor) -> Tensor:
    """Thing vectors (B, N, WIDTH) of which balls that roll (moves (B, N) bool), were on the ground one latent earlier,
    and touch nothing else, stay on it, unless something lifts them (HOPS). seconds (B,): the time between two frames.
    """
    on = moves & of_kind(things, ROUND) & (before[..., 0] > 0)
    if not bool(on.any()):
        return things
    way, end = positions_of(before), positions_of(things)[..., -1, :]
    place, velocity = way[..., -1, :], before[..., THING["velocity"]] * VELOCITY_SCALE
    on = on & (place[..., 2] - depth(before) < CLEAR) & (velocity[..., 2].abs() < HOPS[0])
    on = on & (things[..., THING["velocity"].stop - 1] * VELOCITY_SCALE < HOPS[1])
    on = on & ~falling(way, velocity, seconds[:, None]) & ~(touching(before, place) | touching(things, end)).any(-1)
    path, share = positions_of(things).clone(), torch.arange(1, F + 1, device=way.device, dtype=way.dtype) / F
    path[..., 2] = torch.lerp(place[..., 2:], depth(things)[..., None], share)
    out = at_positions(things, path)
    out[..., THING["velocity"].stop - 1] = 0.0
    return torch.where(on[..., None], out, things)


def glided(things: Tensor, before: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
    """Thing vectors (B, N, WIDTH) of which those that slide over the ground, for their material lets them, or roll, as
    other balls do, and touch nothing else, go straight on and lose as much speed as friction takes; and which these are
    (B, N) bool. before: one latent earlier; seconds (B,): the time between two frames.
    """
    slippery = things[..., THING["material"]].argmax(-1) == MATERIALS.index("sliding")
    balls, there = of_kind(things, ROUND), (things[..., 0] > 0) & (before[..., 0] > 0)
    velocity, up = before[..., THING["velocity"]] * VELOCITY_SCALE, THING["velocity"].stop - 1
    pace = velocity[..., :2].norm(dim=-1)
    on = there & (slippery ^ balls) & (pace > GLIDES) & ~of_kind(things, (*ALIVE, "hoop", "pendulum"))
    on = on & (velocity[..., 2].abs() < HOPS[0]) & (things[..., up] * VELOCITY_SCALE < HOPS[1])
    if not bool(on.any()):
        return things, on
    way, turns = positions_of(before), rotations_of(before)
    place, level = way[..., -1, :], (turns[..., 0, 2, :] * turns[..., 1, 2, :]).sum(-1) > UPRIGHTS
    on = on & (balls | level) & (place[..., 2] - depth(before) < CLEAR) & ~falling(way, velocity, seconds[:, None])
    on = on & ~touching(before, place).any(-1) if bool(on.any()) else on
    if not bool(on.any()):
        return things, on
    loss = torch.where(balls, ROLLS, SLIPS)
    time = torch.arange(1, F + 1, device=way.device, dtype=way.dtype) * seconds[:, None]
    time = torch.minimum(time[:, None], (pace / loss)[..., None])
    far = pace[..., None] * time - loss[..., None] * time.square() / 2
    ahead = velocity[..., :2] / pace.clamp(min=GLIDES)[..., None]
    path = torch.cat([place[..., None, :2] + far[..., None] * ahead[..., None, :], positions_of(things)[..., 2:]], -1)
    path[..., 2] = torch.where(balls[..., None], path[..., 2], place[..., 2:])
    on = on & ~touching(things, path[..., -1, :], positions_of(things)[..., -1, :]).any(-1)
    out, now = at_positions(things, path), rotations_of(things)
    tips = ~balls & ((turns[..., 1, None, 2, :] * now[..., 2, :]).sum(-1) < UPRIGHTS).any(-1)
    out = torch.where(tips[..., None], at_rotations(out, turns[..., -1:, :, :].expand_as(turns)), out)
    left = ahead * (pace - loss * time[..., -1])[..., None]
    out[..., THING["velocity"]] = torch.cat([left, torch.zeros_like(left[..., :1])], -1) / VELOCITY_SCALE
    return torch.where(on[..., None], out, things), on


def coming(things: Tensor, new: Tensor, seconds: Tensor) -> Tensor:
    """Thing vectors (B, N, WIDTH) of which those that are new (B, N) bool come to where they are in steps no longer
    than their speed allows, and spin on the ground, with reason, or not at all. In truth 2 of 3,726 take a longer step;
    of 1,046 in the air a thirtieth spins, but slowly.
    """
    if not bool(new.any()):
        return things
    path, speed = positions_of(things), (things[..., THING["velocity"]] * VELOCITY_SCALE).norm(dim=-1)
    longest = (HASTE * speed * seconds[:, None] + JERK)[..., None]
    places = [path[..., -1, :]]
    for f in range(F - 2, -1, -1):
        step = path[..., f, :] - places[0]
        places.insert(0, places[0] + step * (longest / step.norm(dim=-1, keepdim=True).clamp(min=1e-9)).clamp(max=1))
    turns = rotations_of(things)
    slow = (_spins(turns).diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2 > SPINNING
    slow |= places[-1][..., 2] - depth(things) > CLEAR
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


def flown(things: Tensor, before: Tensor, seconds: Tensor, lowered: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Thing vectors (B, N, WIDTH) of which those in free flight fly as gravity has it and spin as they did, and which
    these are (B, N) bool. The spin is right to 0.07 degrees a latent (median of 4,204 of truth).

    before: the same one latent earlier; seconds (B,): the time between two frames; lowered (B, N) bool: what may sink
    slowly, by a hand that is not seen (None: everything). In free flight is what fell freely before, did not sink or
    may not be lowered, and touches neither the ground nor what hangs, directly or through others, from where it was to
    where its flight takes it in this latent; and what would stay in the air, or sink slowly, though it stands on
    nothing: of 563 latents of truth in which something rests on another, 99% have its foot within 1 mm of the top.
    """
    ahead = torch.arange(1, F + 1, device=things.device, dtype=things.dtype) * seconds[:, None]  # B F
    velocity = before[..., THING["velocity"]] * VELOCITY_SCALE
    start = positions_of(before)[..., -1, :]
    path = start[..., None, :] + velocity[..., None, :] * ahead[:, None, :, None]
    path[..., 2] -= 0.5 * GRAVITY * ahead[:, None].square()
    there = (things[..., 0] > 0) & (before[..., 0] > 0)
    drops = of_kind(things, ("screen",)) & (False if lowered is None else ~lowered)
    loose = there & (drops | ~of_kind(things, HELD_UP))
    sinks = _sinking(velocity[..., 2], lowered)
    free = loose & (falling(positions_of(before), velocity, seconds[:, None]) | ~sinks)
    others, end = positions_of(things)[..., -1, :], path[..., -1, :]
    reach = depth(before)
    low, under = start[..., 2] - reach, end[..., 2] - depth(things)
    hangs = loose & ~sinks & (others[..., 2] - path[..., -1, 2] > HUNG) & (low > CLEAR) & (
        things[..., THING["velocity"].stop - 1].abs() * VELOCITY_SCALE < SLOW)
    free = free & (low > CLEAR) & (under > CLEAR)
    if not bool((free | hangs | (loose & sinks)).any()):
        return things, free
    touches, comes_to = touching(before, start), touching(things, end, others)
    rings = of_kind(things, ("hoop",)) & there
    if bool(rings.any()):  # what is in a hoop's box need not touch it
        near = hoops.touching(things, start, path, extents_of(things).amax(-1))
        touches, comes_to = (torch.where(rings[:, None], near, x) for x in (touches, comes_to))
    if bool(hangs.any()):
        never = of_kind(things, HOLDS_NOTHING)
        hangs = hangs & ~_held((there & ~loose & ~never) | (low <= CLEAR), standing_on(before, start))
    for near, above in ((touches, low), (comes_to, under)):
        free = free & ~_held((there & ~loose) | (above <= CLEAR), near)
    free = free | hangs
    path[..., 2] = torch.where(hangs[..., None], torch.maximum(path[..., 2], reach[..., None]), path[..., 2])
    turns = rotations_of(before)
    held = loose & sinks & ~touches.any(-1)  # what is lowered does not turn
    things = torch.where(held[..., None], at_rotations(things, turns[..., -1:, :, :].expand_as(turns)), things)
    spin = _spins(turns)
    first = spin @ turns[..., 1, :, :]
    out = at_rotations(at_positions(things, path), torch.stack([first, spin @ first], -3))
    fallen = velocity.clone()
    fallen[..., 2] -= GRAVITY * ahead[:, -1:]
    out[..., THING["velocity"]] = fallen / VELOCITY_SCALE
    return torch.where(free[..., None], out, things), free


def _sinking(rate: Tensor, lowered: Tensor | None) -> Tensor:
    """(B, N) bool: what goes down at a rate (B, N) in m/s upwards, and may be let down by a hand that is not seen."""
    return (rate <= SINKS) & (True if lowered is None else lowered)


def _held(held: Tensor, touches: Tensor) -> Tensor:
    """(B, N) bool: what is held, by itself or by what touches it and is held."""
    for _ in range(6):  # so high a tower is held up
        held = held | (touches & held[:, None]).any(-1)
    return held


def _spins(turns: Tensor) -> Tensor:
    """(..., 3, 3): by how much things turn from one of HALVES to the next, by their rotations (..., 2, 3, 3)."""
    return turns[..., 1, :, :] @ turns[..., 0, :, :].mT


def falling(path: Tensor, velocity: Tensor, seconds: Tensor) -> Tensor:
    """(...,) bool: what was sped up downwards as in free fall, by its path (..., F, 3) and last velocity (..., 3)."""
    slowed = velocity[..., 2] - (path[..., -1, 2] - path[..., 0, 2]) / ((F - 1) * seconds)
    return (slowed / (0.5 * (F - 1) * seconds) + GRAVITY).abs() < FALLING
