"""How things and cameras go on: at rest, or as before; and what a rollout decides of them before all else.

Thing and camera vectors are those of things.py. Legend: B batch, T latent frames, S thing slots, F frames in a latent,
N things of a clip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reverie.model.physics import falling
from reverie.model.things import (
    CAMERA,
    CAMERA_CENTRE,
    DECIDED,
    GRAVITY,
    POSITION_CENTRE,
    POSITION_SCALE,
    THING,
    VELOCITY_SCALE,
    WIDTH,
    F,
    cameras_of,
    frame_from_two,
    rotations_of,
)

STILL = (0.004, 0.05)  # metres in a latent and m/s up to which a thing counts as at rest: things asleep have 0, and 0
TURNED = 0.02  # of rotations and phases, the same as STILL
HELD = 0.0015  # of a camera's numbers, the same
# of a camera's numbers from frame to frame, the most in truth: 1 m/s and 9 degrees/s on each axis; and what is left of
# its speed after a latent
FASTEST = {"position": 0.0205, "rotation": 0.0068}
DAMPED = 0.95
# where the cameras of 222 held-out clips of truth stand (x, y, z in metres, least and most), and how many degrees they
# look aside of the stage's middle (left and right, down and up)
WHERE = ((-3.6, -7.0, 0.7), (3.6, -4.3, 3.1))
ASIDE = ((-11.0, 11.0), (-7.0, 8.0))
# how far a thing that was there departs from going on as before, as a variance of its channels: set by hand, so that
# what is decided stays open and what only moves does not
_DEPARTS = {"exists": 0.3, "moving": 0.5, "position": 0.01, "rotation": 0.03, "velocity": 0.03, "phase": 0.1}


def decided(things: Tensor, before: Tensor | None = None, gone: Tensor | None = None, *,
            slack: float | Tensor = 1.0) -> Tensor:
    """Thing vectors (..., S, WIDTH) with ``moving`` and ``gone`` said of each.

    before: the same one latent earlier, None for the first; gone (..., S) bool: slots whose thing was and is no
    more; slack: how many times as far as STILL is still taken for rest.
    """
    there = things[..., :1] > 0
    before = torch.full_like(things, -1.0) if before is None else before
    continues = (before[..., :1] > 0)[..., None]
    slack = torch.as_tensor(slack, device=things.device, dtype=things.dtype).expand(*things.shape[:-1], 1, 1)
    moving = things[..., THING["velocity"]].abs().amax(-1) * VELOCITY_SCALE > slack[..., 0, 0] * STILL[1]
    for name, parts, least in (("position", F, slack * STILL[0] / POSITION_SCALE), ("rotation", 2, TURNED),
                               ("phase", 2, TURNED)):
        now, then = (x[..., THING[name]].unflatten(-1, (parts, -1)) for x in (things, before))
        if name == "phase":  # sines of both sub-frames, then cosines
            now, then = now.transpose(-2, -1), then.transpose(-2, -1)
        start = torch.where(continues, then[..., -1:, :], now[..., :1, :])
        moving = moving | ((now - start).abs() > least).flatten(-2).any(-1)
    out = things.clone()
    out[..., THING["moving"]] = torch.where(moving, 1.0, -1.0)[..., None].to(things.dtype) * there
    out[..., THING["gone"]] = 0.0 if gone is None else (gone & ~there[..., 0])[..., None].to(things.dtype)
    return out


def camera_decided(camera: Tensor, before: Tensor | None = None) -> Tensor:
    """Camera vectors (..., WIDTH) with ``moving`` said of each; before: one latent earlier, None for the first."""
    moving = torch.zeros_like(camera[..., 0], dtype=torch.bool)
    for name in ("position", "rotation"):
        now = camera[..., CAMERA[name]].unflatten(-1, (F, -1))
        start = now[..., :1, :] if before is None else before[..., CAMERA[name]].unflatten(-1, (F, -1))[..., -1:, :]
        moving = moving | ((now - start).abs() > HELD).flatten(-2).any(-1)
    out = camera.clone()
    out[..., CAMERA["moving"]] = torch.where(moving, 1.0, -1.0)[..., None].to(camera.dtype)
    return out


def decided_clip(things: np.ndarray, camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``decided`` and ``camera_decided`` for a whole clip's things (T, N, WIDTH) and camera (T, WIDTH)."""
    pose = torch.from_numpy(camera).float()
    pose = camera_decided(pose, torch.cat([camera_at_rest(pose[:1]), pose[:-1]])).numpy().astype(camera.dtype)
    vectors = torch.from_numpy(things).float()
    if not vectors.shape[1]:
        return things, pose
    was = torch.cummax((vectors[..., 0] > 0).int(), 0).values > 0
    before = torch.cat([torch.full_like(vectors[:1], -1.0), vectors[:-1]])
    return decided(vectors, before, was).numpy().astype(things.dtype), pose


def plain(tokens: Tensor) -> Tensor:
    """Tokens (..., S + 2, WIDTH) without what a rollout decides for itself: as they are shown and drawn."""
    out = tokens.clone()
    out[..., :-2, DECIDED] = 0.0
    out[..., -2, CAMERA["moving"]] = 0.0
    return out


def sized(things: Tensor, sizes: Sequence) -> Tensor:
    """Thing vectors (..., WIDTH) of the nearest of the extents (n, 3) that ``sizes`` has for their kinds, where it has
    any: a ball that is imagined a little longer than wide is no ball."""
    if not len(sizes):
        return things
    kind = things[..., THING["kind"]].argmax(-1).clamp(max=len(sizes) - 1)
    known = things.new_tensor(sizes)[kind]  # (..., n, 3)
    nearest = (known - things[..., None, THING["extent"]]).square().sum(-1).argmin(-1)
    out = things.clone()
    out[..., THING["extent"]] = known.gather(-2, nearest[..., None, None].expand(*nearest.shape, 1, 3))[..., 0, :]
    return out


def camera_at_rest(camera: Tensor) -> Tensor:
    """Camera vectors (..., WIDTH) that stay as they are in their last frame, exactly."""
    out = camera.clone()
    for name in ("position", "rotation"):
        last = camera[..., CAMERA[name]].unflatten(-1, (F, -1))[..., -1:, :]
        out[..., CAMERA[name]] = last.expand(*last.shape[:-2], F, -1).flatten(-2)
    out[..., CAMERA["moving"]] = -1.0
    return out


def upright(vectors: Tensor) -> Tensor:
    """Thing vectors (..., WIDTH) whose rotations are rotations, so that no error of them adds up."""
    out = vectors.clone()
    axes = vectors[..., THING["rotation"]].unflatten(-1, (2, 2, 3))
    out[..., THING["rotation"]] = torch.stack(frame_from_two(axes[..., 0, :], axes[..., 1, :]), -2).flatten(-3)
    return out


def camera_on_stage(camera: Tensor) -> Tensor:
    """Camera vectors (..., WIDTH) that never roll, stand where cameras stand and keep the stage in sight, as those of
    truth do (WHERE, ASIDE): a dreamt one that looks away does not find back."""
    out = camera.clone()
    seen = cameras_of(camera)
    place = seen.position.clamp(*camera.new_tensor(WHERE))
    out[..., CAMERA["position"]] = ((place - camera.new_tensor(CAMERA_CENTRE)) / POSITION_SCALE).flatten(-2)
    towards = torch.nn.functional.normalize(camera.new_tensor(POSITION_CENTRE) - place, dim=-1)
    angles = []
    for way in (-seen.rotation[..., 2], towards):
        angles += [torch.atan2(way[..., 0], way[..., 1]), torch.asin(way[..., 2].clamp(-1, 1))]
    yaw, pitch = (middle + (angle - middle).clamp(*(math.radians(limit) for limit in limits))
                  for angle, middle, limits in zip(angles[:2], angles[2:], ASIDE, strict=True))
    right = torch.stack([yaw.cos(), -yaw.sin(), torch.zeros_like(yaw)], -1)
    back = -torch.stack([pitch.cos() * yaw.sin(), pitch.cos() * yaw.cos(), pitch.sin()], -1)
    out[..., CAMERA["rotation"]] = torch.stack([right, back], -2).flatten(-3)
    return out


def camera_within_reach(camera: Tensor, before: Tensor | None) -> Tensor:
    """Camera vectors (..., WIDTH) no further from where it was one latent before than it gets at its fastest."""
    if before is None:
        return camera
    out = camera.clone()
    for name, most in FASTEST.items():
        last = before[..., CAMERA[name]].unflatten(-1, (F, -1))[..., -1:, :]
        reach = most * torch.arange(1, F + 1, device=camera.device, dtype=camera.dtype)[:, None]
        part = camera[..., CAMERA[name]].unflatten(-1, (F, -1))
        out[..., CAMERA[name]] = torch.minimum(torch.maximum(part, last - reach), last + reach).flatten(-2)
    return out


def extrapolate(previous: Tensor, seconds: float | Tensor) -> Tensor:
    """The next latent's thing vectors if all went on as before: the network learns what differs.

    previous (..., S, WIDTH) thing vectors; seconds: the time between two frames, a number or (..., 1, 1). Positions
    move at the last velocity, turns and gaits go on as between the last two halves, what was falling freely falls on.
    """
    seconds = torch.as_tensor(seconds, device=previous.device, dtype=previous.dtype)
    seconds = seconds if seconds.ndim else seconds.view(1, 1)
    ahead = torch.arange(1, F + 1, device=previous.device, dtype=previous.dtype)[:, None] * seconds
    path = previous[..., THING["position"]].unflatten(-1, (F, 3)) * POSITION_SCALE
    velocity = previous[..., THING["velocity"]] * VELOCITY_SCALE
    falls = falling(path, velocity, seconds[..., 0, 0])
    pull = torch.zeros_like(velocity)
    pull[..., 2] = torch.where(falls, -GRAVITY, 0.0)
    path = path[..., -1:, :] + ahead * velocity[..., None, :] + 0.5 * ahead**2 * pull[..., None, :]
    velocity = velocity + F * seconds[..., 0] * pull
    first, last = rotations_of(previous).unbind(-3)
    turn = last @ first.mT
    rotation = torch.stack([turn @ last, turn @ turn @ last], -3)[..., :2].mT
    sine, cosine = previous[..., THING["phase"]].unflatten(-1, (2, 2)).unbind(-2)
    angle = torch.atan2(sine, cosine)
    strides = angle[..., 1:] + (angle[..., 1:] - angle[..., :1]) * torch.arange(1, 3, device=previous.device)
    alive = torch.hypot(sine, cosine)[..., 1:]
    phase = torch.cat([strides.sin() * alive, strides.cos() * alive], -1)
    return torch.cat([previous[..., : THING["position"].start], path.flatten(-2) / POSITION_SCALE,
                      rotation.flatten(-3), velocity / VELOCITY_SCALE, phase], -1)


def continuation(previous: Tensor, noise: Tensor, fps: Tensor) -> tuple[Tensor, Tensor]:
    """What each token would be if all went on as before, and the variance about it (B, T, S + 2, WIDTH) twice.

    previous (B, T, S + 2, WIDTH): things, camera and setting one latent before; noise (B, T, S + 2): theirs, 1 where
    there is no past; fps (B,). Where the past is unknown, and for what comes into an empty slot, that is 0 and 1:
    as in an opening.
    """
    before, camera = previous[:, :, :-2], previous[:, :, -2:-1]
    there = before[..., :1] > 0
    ahead = extrapolate(before, (1.0 / fps)[:, None, None, None, None]) * there
    ahead = torch.cat([torch.where(there, 1.0, -1.0).to(ahead.dtype), ahead[..., 1:]], -1)
    steps = torch.arange(1, F + 1, device=camera.device, dtype=camera.dtype)[:, None]
    moved = []
    for name, most in FASTEST.items():
        part = camera[..., CAMERA[name]].unflatten(-1, (F, -1))
        slope = (DAMPED * (part[..., -1:, :] - part[..., :1, :]) / (F - 1)).clamp(-most, most)
        moved.append((part[..., -1:, :] + steps * slope).flatten(-2))
    whole = torch.cat([ahead, torch.cat([*moved, camera[..., 36:]], -1), previous[:, :, -1:]], 2)
    small = whole.new_full((WIDTH,), 0.003)
    for name, value in _DEPARTS.items():
        small[THING[name]] = value
    empty = whole.new_ones(WIDTH)
    empty[0] = _DEPARTS["exists"]
    others = whole.new_full((2, WIDTH), 0.003)  # camera, setting
    others[0, CAMERA["moving"]] = _DEPARTS["moving"]
    departs = torch.cat([torch.where(there, small, empty), others.expand(*whole.shape[:2], 2, WIDTH)], 2)
    sure = (noise < 0.25)[..., None]
    departs = departs + 4 * noise[..., None] ** 2  # the past itself is as noisy as that
    return whole * sure, torch.where(sure, departs.clamp(max=1.0), 1.0)
