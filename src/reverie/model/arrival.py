"""How what is new stands before the camera, and that who comes, comes over the border of the picture.

In truth of 458 things that come after the opening none is whole in the first picture that has it: 175 are outside, 121
cut by the upper edge, 162 by a side; and of 167 screens, ramps, tables and planks 95% look across the picture to within
30 degrees, when they are first there. Thing vectors are those of things.py. Legend: B batch, N thing slots.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reverie.core.vocabulary import ALIVE
from reverie.model import things as th
from reverie.model.resting import HELD_UP, depth, laid, tipping

ACROSS, MOST = ("screen", "ramp", "table", "plank"), 0.52  # what looks across the picture, to within so many radians
ALOFT = 0.3  # metres above the ground from which what does not fly by itself comes from above
SLANT, FLIES = 0.3, 1.0  # radians that what is dropped leans at most; m/s across from which it is thrown
SLOWLY, LOWERED = 1.6, 2.6  # m/s down at which it comes at most, and at which a screen may
ALONG = 0.8  # metres above the ground below which what comes comes along it
GOING = 0.2  # m/s across the picture from which it comes from where it goes away from


def faced(things: Tensor, camera: Tensor, new: Tensor) -> Tensor:
    """Thing vectors (B, N, WIDTH) of which those that are new (B, N) bool, and of ACROSS, are turned about the vertical
    until they look across the picture, one way or the other. camera (B, WIDTH)."""
    turned = new & th.of_kind(things, ACROSS)
    if not bool(turned.any()):
        return things
    right = th.cameras_of(camera[:, None].float()).rotation[:, 0, 0, :2, 0]
    turn = th.rotations_of(things)  # B N 2 3 3
    ahead = turn[..., 1, :2, 0]
    angle = torch.atan2(ahead[..., 1], ahead[..., 0]) - torch.atan2(right[:, 1], right[:, 0])[:, None]
    angle = angle - torch.pi * (angle / torch.pi).round()
    back = torch.polar(torch.ones_like(angle), angle.clamp(-MOST, MOST) - angle)[..., None, None]
    level = torch.complex(turn[..., 0, :], turn[..., 1, :]) * back
    turn = torch.stack([level.real, level.imag, turn[..., 2, :]], -2)
    return torch.where(turned[..., None], th.at_rotations(things, turn), things)


def along_ground(things: Tensor, new: Tensor) -> Tensor:
    """Thing vectors (B, N, WIDTH) of which those that are new (B, N) bool, and not high up, come flat along the ground,
    if nothing holds them up: in truth who slides or rolls in touches it, and who is thrown in is 0.86 m up and more."""
    high = th.positions_of(things)[..., -1, 2] - depth(things)
    comes = new & ~th.of_kind(things, (*ALIVE, *HELD_UP)) & (high < ALONG)
    turn = laid(th.rotations_of(things)[..., -1, :, :], tipping(things), torch.pi)
    flat, path = th.at_rotations(things, torch.stack([turn, turn], -3)), th.positions_of(things).clone()
    path[..., 2] = depth(flat)[..., None]
    flat = th.at_positions(flat, path)
    flat[..., th.THING["velocity"].stop - 1] = 0.0
    return torch.where(comes[..., None], flat, things)


def over_border(things: Tensor, camera: Tensor, new: Tensor, aspect: float) -> Tensor:
    """Thing vectors (B, N, WIDTH) of which those that are new (B, N) bool, and whole in the latent's first picture, are
    moved so far aside, or up, that its edge cuts them in two; who is not high up stands on the ground (along_ground).
    Who falls, and does not fly, begins just above the picture, straight and slowly, wherever it was: so do all 39
    things that truth drops later.

    camera (B, WIDTH); aspect: the picture's width over its height.
    """
    if not bool(new.any()):
        return things
    things = along_ground(things, new)
    seen = th.cameras_of(camera[:, None].float())
    axes, eye = seen.rotation[:, 0, 0], seen.position[:, 0, 0]  # (B, 3, 3) right, up and back as columns
    path, size = th.positions_of(things), th.extents_of(things)
    corners = path[:, :, :1] + (th.CORNERS.to(path) * size[:, :, None]) @ th.rotations_of(things)[:, :, 0].mT
    high = torch.tan(torch.deg2rad(seen.fovy) / 2)  # (B, 1)
    x, y, away = ((torch.cat([corners, path[:, :, :1]], 2) - eye[:, None, None]) @ axes[:, None]).unbind(-1)
    edge = -away * high[..., None]  # of the picture's height, so far away
    whole = ((x.abs() < edge * aspect) & (y.abs() < edge)).all(-1)
    velocity = things[..., th.THING["velocity"]] * th.VELOCITY_SCALE
    speed = (velocity @ axes)[..., 0]
    aside = torch.where(speed.abs() > GOING, -speed, x[..., -1]).sign() * edge[..., -1] * aspect - x[..., -1]
    above = (edge[..., -1] - y[..., -1]) / axes[:, None, 2, 1].clamp(min=0.2)  # straight up
    falls = ~th.of_kind(things, ALIVE) & (path[:, :, 0, 2] - size.amin(-1) > ALOFT) & (
        velocity[..., :2].norm(dim=-1) < FLIES)
    up = torch.zeros_like(axes[:, None, :, 0]) + axes.new_tensor([0.0, 0.0, 1.0])
    shift = torch.where(falls[..., None], above[..., None] * up, aside[..., None] * axes[:, None, :, 0])
    come = th.at_positions(things, path + shift[:, :, None])
    come = torch.where((new & whole)[..., None], come, things)
    drops = new & falls & (x[..., -1].abs() < edge[..., -1] * aspect)
    if not bool(drops.any()):
        return come
    turn = th.rotations_of(things)
    leans = torch.acos(turn[..., 1, 2, 2].clamp(-1, 1))
    turn = laid(turn[..., 1, :, :], -turn[..., 1, :, 2], (leans - SLANT).clamp(min=0))
    onto = (edge - y).amax(-1) / axes[:, None, 2, 1].clamp(min=0.2)  # until its lowest corner is at the edge
    place = (path[:, :, -1] + onto[..., None] * up)[:, :, None].expand_as(path)
    fall = th.at_rotations(th.at_positions(things, place), torch.stack([turn, turn], -3))
    most = torch.where(th.of_kind(things, ("screen",)), LOWERED, SLOWLY)
    speed = torch.minimum(-velocity[..., 2], most).clamp(min=0)[..., None]
    fall[..., th.THING["velocity"]] = -up * speed / th.VELOCITY_SCALE
    return torch.where(drops[..., None], fall, come)
