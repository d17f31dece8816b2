"""How things lie, what they stand on, and how they tip over: what holds of all that is on the ground or on another.

Thing vectors are those of things.py. Legend: B batch, N thing slots, F frames in a latent.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from reverie.core.vocabulary import ALIVE
from reverie.model.contact import ROUND, gaps, reaches, support
from reverie.model.things import (
    GRAVITY,
    POSITION_SCALE,
    THING,
    F,
    at_positions,
    at_rotations,
    extents_of,
    of_kind,
    positions_of,
    rotations_of,
)

HELD_UP = (*ALIVE, "hoop", "pendulum", "screen")  # what need not fall where nothing is under it
SLOPING = 0.06  # metres between a slope and the lowest point of what lies on it
SEAT = -0.03  # of half a chair's height, over its middle
HOLDS_NOTHING = ("hoop", "pendulum")  # on which nothing comes to rest
LOW = 0.3  # metres above the ground in which nothing lies
CLEAR = 0.06  # metres around a thing within which it may be touching another, or the ground
LEANING = ("domino",)  # what may lean on another when it rests
TILTED = 0.09  # radians from which it does not lie flat
FALLS, TURNS = 0.12, 0.35  # radians that it turns in a latent, at least, as it falls over, and where it rises
SUNK = 0.02  # metres that something moving may be in the ground: of 52,031 latents of truth 42 are more than 0.012


def tipping(things: Tensor) -> Tensor:
    """Unit directions (..., 3) in the world, at the latent's end, of what shall point down when things have tipped."""
    turn = rotations_of(things)[..., -1, :, :]
    return (turn @ _underside(things, -turn[..., 2, :])[..., None])[..., 0]


def _tilt(down: Tensor) -> Tensor:
    """Radians (...) between directions (..., 3) and straight down."""
    return torch.atan2(down[..., :2].norm(dim=-1), -down[..., 2])


def laid(turn: Tensor, down: Tensor, by: Tensor | float) -> Tensor:
    """Rotations (..., 3, 3), turned the least way that takes the directions ``down`` (..., 3) straight down, but by so
    many radians (...) at most."""
    about = torch.stack([-down[..., 1], down[..., 0], torch.zeros_like(down[..., 0])], -1)
    sine = about.norm(dim=-1)
    angle = torch.atan2(sine, -down[..., 2]).clamp(max=by)[..., None, None]
    axis = about / sine[..., None].clamp(min=1e-6)
    cross = torch.linalg.cross(axis[..., None, :].expand_as(turn), turn.mT, dim=-1).mT
    along = axis[..., :, None] * (axis[..., None, :] @ turn)
    whole = turn * angle.cos() + cross * angle.sin() + along * (1 - angle.cos())
    return torch.where(sine[..., None, None] < 1e-5, turn, whole)


def toppled(things: Tensor, before: Tensor, awake: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
    """Thing vectors (B, N, WIDTH) of which those that stand on an edge or a tip, on the ground or on something flat,
    and hardly turn, tip over as weight has it; and which these are (B, N) bool. before: one latent earlier; awake
    (B, N): which may; seconds (B,): the time between two frames.
    """
    there = awake & (things[..., 0] > 0) & (before[..., 0] > 0) & ~of_kind(things, HELD_UP + ROUND)
    if not bool(there.any()):
        return things, there
    down = tipping(before)
    tilt = _tilt(down)
    tilted = there & (torch.maximum(tilt, _tilt(tipping(things))) > TILTED)
    if not bool(tilted.any()):
        return things, tilted
    place, turn, half = positions_of(before)[..., -1, :], rotations_of(before), 2 * seconds[:, None]
    low, touches = place[..., 2] - depth(before), touching(before, place)
    slope, leans = (touches & of_kind(before, ("ramp",))[:, None]).any(-1), of_kind(before, LEANING) & touches.any(-1)
    stands = ((low < CLEAR) | standing_on(before, place).any(-1)) & ~slope & ~leans
    own = turn[..., -1, :, :].mT @ down[..., None]  # the same direction in the thing's own frame
    now = rotations_of(things)[..., -1, :, :]
    earlier, after = (_tilt((rotation @ own)[..., 0]) for rotation in (turn[..., 0, :, :], now))
    speed = ((earlier - tilt) / half).clamp(min=0)
    force = GRAVITY / (2 * extents_of(before).amax(-1))
    first = (speed + force * half) * half
    whole = first + (speed + 2 * force * half) * half
    turned = now @ turn[..., -1, :, :].mT
    turns = torch.acos(((turned.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1))
    still = turns < torch.where(after < tilt, FALLS, TURNS)
    topples = tilted & stands & still & (after > (tilt - whole).clamp(min=0))
    if not bool(topples.any()):
        return things, topples
    out = at_rotations(things, torch.stack([laid(turn[..., -1, :, :], down, by) for by in (first, whole)], -3))
    path = positions_of(things).clone()
    share = torch.arange(1, F + 1, device=place.device, dtype=place.dtype) / F
    path[..., 2] = place[..., 2:] + share * (low + depth(out) - place[..., 2])[..., None]
    out = at_positions(out, path)
    out[..., THING["velocity"].stop - 1] = 0.0
    return torch.where(topples[..., None], out, things), topples


def flat(things: Tensor) -> Tensor:
    """Thing vectors (..., WIDTH), turned the least way to what is nearly level and does not spin: as they are put down.
    """
    turn = rotations_of(things)[..., -1, :, :]
    down = one_hot(turn[..., 2, :].abs().argmax(-1), 3) * -turn[..., 2, :].sign()
    down = torch.where(of_kind(things, ("cone",))[..., None], -torch.eye(3, device=down.device)[2], down)
    level = laid(turn, (turn @ down[..., None])[..., 0], torch.pi)
    return at_rotations(things, torch.stack([level, level], -3))


def lying(things: Tensor) -> Tensor:
    """Thing vectors (B, N, WIDTH), at rest, that lie flat and, less than CLEAR above the ground, or LOW where they
    stand on nothing, on it; but for what hangs and what leans on another.

    So it is, to a tenth of a degree, in 3,580 of 3,581 latents of truth in which something rests alone on the ground;
    of 756 in which it touches another, it leans in those of dominoes only; of 91 on another it lies flat in 90.
    """
    place = positions_of(things)[..., -1, :]
    leans = touching(things, place).any(-1) & of_kind(things, LEANING)
    loose, low = ~of_kind(things, HELD_UP) & (things[..., 0] > 0), place[..., 2] - depth(things)
    near = loose & (low < torch.where(standing_on(things, place).any(-1), CLEAR, LOW))
    turn = rotations_of(things)[..., -1, :, :]
    down = laid(turn, tipping(things), torch.pi)
    out = at_rotations(things, torch.stack([down, down], -3))
    out = torch.where((loose & ~leans)[..., None], out, things)
    lower = torch.where(near, place[..., 2] - depth(out), 0.0)
    out[..., THING["position"].start + 2 : THING["position"].stop : 3] -= lower[..., None] / POSITION_SCALE
    return out


def not_sunk(things: Tensor, before: Tensor | None) -> Tensor:
    """Thing vectors (B, N, WIDTH) of which none ends the latent more than SUNK in the ground, nor in the table's top or
    the chair's seat over which it was one latent earlier, and is. before: that latent, None for the first."""
    path = positions_of(things).clone()
    end, ground = path[..., -1, :], torch.zeros_like(path[..., -1, 2])
    flats = of_kind(things, ("table", "chair")) & (things[..., 0] > 0)
    if before is not None and bool(flats.any()):
        place = positions_of(before)[..., -1, :]
        tops = floors(before, place)
        apart = (end[:, :, None] - end[:, None])[..., None, :] @ rotations_of(things)[:, None, :, -1]
        over = (apart[..., 0, :2].abs() < extents_of(things)[:, None, :, :2]).all(-1) & flats[:, None]
        over &= (before[..., 0] > 0)[:, :, None] & (before[..., 0] > 0)[:, None]
        over &= (place[..., 2] - depth(before))[..., None] > tops - CLEAR
        ground = torch.where(over, tops, 0.0).amax(-1)
    sunk = (ground + depth(things) - end[..., 2] - SUNK).clamp(min=0)
    path[..., 2] += sunk[..., None] * torch.arange(1, F + 1, device=path.device, dtype=path.dtype) / F
    out = at_positions(things, path)
    fall = THING["velocity"].stop - 1
    out[..., fall] = torch.where(sunk > 0, out[..., fall].clamp(min=0), out[..., fall])
    return out


def _underside(things: Tensor, down: Tensor) -> Tensor:
    """Of the directions (..., 3), in things' own frames, on which they can lie the one they tip onto: where what is
    straight down (..., 3) of the middle leaves them (of cones, of the middle of their mass)."""
    size = extents_of(things)
    flat = one_hot((down.abs() / size).argmax(-1), 3) * down.sign()
    side = torch.cat([down[..., :2], torch.zeros_like(down[..., :1])], -1)
    side = normalize(side, dim=-1, eps=1e-4)
    base = torch.zeros_like(down)
    base[..., 2] = -1.0
    end = torch.where(down[..., 2:] > 0, -base, base)
    aside = down[..., :2].norm(dim=-1, keepdim=True) / size[..., :1]
    rolls = torch.where(aside > down[..., 2:].abs() / size[..., 2:], side, end)
    slope = normalize(torch.stack([2 * size[..., 2], size[..., 0]], -1), dim=-1)
    slant = torch.cat([side[..., :2] * slope[..., :1], slope[..., 1:]], -1)
    tips = torch.where(aside > -2 * down[..., 2:] / size[..., 2:], slant, base)
    for names, own in ((("cylinder",), rolls), (("cone",), tips), (ROUND, down)):
        flat = torch.where(of_kind(things, names)[..., None], own, flat)
    return flat


def depth(things: Tensor) -> Tensor:
    """How far thing vectors (..., WIDTH) reach down from their middles (...,) in the latent's last frame, in metres."""
    return support(things, things.new_tensor([[0.0, 0.0, -1.0]]))[..., 0]


def touching(things: Tensor, place: Tensor, others: Tensor | None = None) -> Tensor:
    """(B, N, N) bool: which, at their places (B, N, 3), touch which others that exist, at ``others`` (default: place),
    themselves left out."""
    near = gaps(place, place if others is None else others, reaches(things)) < CLEAR
    return near & (things[..., 0] > 0)[:, None] & ~torch.eye(near.shape[-1], dtype=torch.bool, device=near.device)


def floors(things: Tensor, place: Tensor) -> Tensor:
    """(B, N, N): the height at which the second of two things, at their places (B, N, 3), holds up the first: its top,
    but of a chair the seat, of a slope its height where the first is."""
    size, turn = extents_of(things), rotations_of(things)[..., -1, :, :]
    along = ((place[:, :, None] - place[:, None]) * turn[:, None, :, :, 0]).sum(-1) / size[:, None, :, 0]
    top = support(things, things.new_tensor([[0.0, 0.0, 1.0]]))[..., 0]
    height = top[:, None].expand_as(along)
    for kind, own in (("chair", SEAT), ("ramp", along.clamp(-1, 1))):
        height = torch.where(of_kind(things, (kind,))[:, None], own * size[:, None, :, 2], height)
    return place[:, None, :, 2] + height


def standing_on(things: Tensor, place: Tensor) -> Tensor:
    """(B, N, N) bool: which, at their places (B, N, 3), stand or lie on which others."""
    over = ((place[..., 2] - depth(things))[..., None] - floors(things, place)).abs()
    return touching(things, place) & (over < CLEAR + SLOPING) & ~of_kind(things, HOLDS_NOTHING)[:, None]


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
