"""Pendulums: how they swing, which is computed, and where the stands are from which they hang, which are no things.

Thing vectors are those of things.py. Legend: X latents (batch and time as one), S thing slots, F frames of a latent.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reverie.core.vocabulary import KINDS
from reverie.model import things as th
from reverie.model.things import GRAVITY

PENDULUM = th.THING["kind"].start + KINDS.index("pendulum")
# as the simulated worlds have them: metres from its upper end down to its hinge, metres from the ground up to its
# lowest point, and what slows it, N m s a radian and kg of its bob
HINGE, ABOVE, DAMPING = 0.045, 0.12, 0.0287
WIDEST = 0.95  # radians that one swings aside, at most
HANGS = (0.03, 0.05)  # radians and radians/s up to which a pendulum may be at rest
_STEPS = 6  # of a frame, in which a swing is computed


def are_pendulums(things: Tensor) -> Tensor:
    """(...,) bool: which of the thing vectors (..., WIDTH) are pendulums that exist."""
    return (things[..., PENDULUM] > th.ONE_HOT / 2) & (things[..., 0] > 0)


def swung(things: Tensor, before: Tensor, rests: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
    """Thing vectors (B, S, WIDTH) of which the pendulums swing about their hinges, and which may not rest (B, S) bool.

    before: the same one latent earlier; of a pendulum that is new, its own vector. rests (B, S) bool: which hung still
    until now and go as ``things`` says, where it says that they go. seconds (B,): the time between two frames.
    """
    found = are_pendulums(things)
    if not bool(found.any()):
        return things, found
    extent = th.extents_of(before)
    turn = th.rotations_of(before)[..., -1, :, :]
    below = extent[..., 2] - HINGE
    hinge = torch.cat([_hinges(before)[..., :2], (2 * extent[..., 2:] + ABOVE - HINGE)], -1)
    axis = _level(turn[..., 1])
    ahead = torch.stack([axis[..., 1], -axis[..., 0], torch.zeros_like(axis[..., 0])], -1)
    angle = torch.atan2((turn[..., 2] * ahead).sum(-1), turn[..., 2, 2]).clamp(-WIDEST, WIDEST)
    speed = torch.where(rests[..., None], things[..., th.THING["velocity"]], before[..., th.THING["velocity"]])
    rate = -(_along(angle, ahead) * speed).sum(-1) * th.VELOCITY_SCALE / below
    bob = extent[..., 2] * 2 - extent[..., 0] - HINGE  # from the hinge to the middle of the bob
    inertia = bob.square() + 0.4 * extent[..., 0].square()
    fastest = (2 * GRAVITY * bob * (angle.cos() - math.cos(WIDEST)) / inertia).clamp(min=0).sqrt()
    rate = torch.minimum(torch.maximum(rate, -fastest), fastest)
    step = seconds[:, None] / _STEPS
    angles, free = [], (angle.abs() > HANGS[0]) | (rate.abs() > HANGS[1])
    for _ in range(th.F):
        for _ in range(_STEPS):  # symplectic: nothing is gained or lost but by what slows it
            rate = rate - step * (GRAVITY * bob * angle.sin() + DAMPING * rate) / inertia
            angle = angle + step * rate
        angles.append(angle)
    up = torch.stack([_up(a, ahead) for a in angles], -2)  # B S F 3
    place = (hinge[..., None, :] - below[..., None, None] * up - up.new_tensor(th.POSITION_CENTRE)) / th.POSITION_SCALE
    level = torch.cat([axis, torch.zeros_like(axis[..., :1])], -1)
    columns = [v for f in th.HALVES for v in (torch.linalg.cross(level, up[..., f, :]), level)]
    out = things.clone()
    out[..., th.THING["position"]] = place.flatten(-2)
    out[..., th.THING["rotation"]] = torch.cat(columns, -1)
    out[..., th.THING["velocity"]] = -_along(angle, ahead) * (rate * below)[..., None] / th.VELOCITY_SCALE
    return torch.where(found[..., None], out, things), found & free


def _hinges(things: Tensor) -> Tensor:
    """(..., 3): where pendulums (..., WIDTH) hang from, in metres, in the latent's last frame."""
    up = th.rotations_of(things)[..., -1, :, 2]
    return th.positions_of(things)[..., -1, :] + up * (th.extents_of(things)[..., 2:] - HINGE)


def _level(axis: Tensor) -> Tensor:
    """(..., 2): the heading of a hinge's axis (..., 3), of length 1: pendulums swing in upright planes."""
    return torch.nn.functional.normalize(axis[..., :2], dim=-1, eps=1e-4)


def _up(angle: Tensor, ahead: Tensor) -> Tensor:
    """(..., 3): from bob to hinge, of swings by an angle (...,) towards ``ahead`` (..., 3)."""
    return angle.sin()[..., None] * ahead + angle.cos()[..., None] * ahead.new_tensor([0.0, 0.0, 1.0])


def _along(angle: Tensor, ahead: Tensor) -> Tensor:
    """(..., 3): how ``_up`` changes with the angle."""
    return angle.cos()[..., None] * ahead - angle.sin()[..., None] * ahead.new_tensor([0.0, 0.0, 1.0])


def stands(things: Tensor) -> tuple[Tensor, Tensor]:
    """Where the stands of pendulums (X, S, WIDTH) hold them, (X, S, 3) in metres, and the stands' axes (X, S, 3, 3) as
    columns: upright, along the hinge's."""
    hinge, axis = _hinges(things), _level(th.rotations_of(things)[..., -1, :, 1])
    flat = torch.zeros_like(axis[..., 0])
    ahead = torch.stack([axis[..., 1], -axis[..., 0], flat], -1)
    side = torch.stack([axis[..., 0], axis[..., 1], flat], -1)
    return hinge, torch.stack([ahead, side, torch.linalg.cross(ahead, side)], -1)
