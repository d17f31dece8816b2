"""Things as vectors, cameras as vectors, and where a camera sees a thing: computed, not learned.

A latent frame holds MAX_THINGS thing tokens, one camera token and one setting token; each is a vector
of ``WIDTH`` numbers, scaled to about unit size (a thing's channels are listed in ``THING``).
Legend: B batch, T latent frames, S thing slots, F frames in a latent, H W latent cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reverie.core.camera import CameraPath
from reverie.core.clip import Truth
from reverie.core.vocabulary import (
    COLOURS,
    FRAMES_PER_LATENT,
    KINDS,
    LOOK,
    MATERIALS,
    MAX_THINGS,
    SETTINGS,
)

F = FRAMES_PER_LATENT
TOKENS = MAX_THINGS + 2  # things, camera, setting
CAMERA_TOKEN, SETTING_TOKEN = MAX_THINGS, MAX_THINGS + 1
HALVES = (1, 3)  # the sub-frames at which rotation and gait phase are kept

# channel slices of a thing; the vocabularies have room to grow. gone: 1 in a slot whose thing was and is no more.
# moving: 1 or -1, whether the thing moves in this latent: a decision of its own, as exists is, because most things
# lie exactly still (0.65 to 0.88 of all latents), which no average over what may happen ever says
THING = {
    "exists": slice(0, 1), "kind": slice(1, 23), "gone": slice(23, 24), "moving": slice(24, 25),
    "colour": slice(25, 37), "material": slice(37, 40),
    "extent": slice(40, 43), "position": slice(43, 55), "rotation": slice(55, 67),
    "velocity": slice(67, 70), "phase": slice(70, 74),
}
CAMERA = {"position": slice(0, 12), "rotation": slice(12, 36), "fovy": slice(36, 37),
          "moving": slice(37, 38)}  # moving as of a thing: three quarters of all latents are seen from where one stood
SETTING = {"name": slice(0, 8), "look": slice(8, 8 + len(LOOK))}
STATIC = slice(1, 43)  # what never changes while a thing exists, but for DECIDED
DECIDED = slice(23, 25)  # gone and moving
WIDTH = 74
ONE_HOT = 2.0  # the size of a one-hot's one: at 1 the noise drowns it until late
POSITION_SCALE = 2.0  # metres
POSITION_CENTRE = (0.0, 0.0, 0.7)
CAMERA_CENTRE = (0.0, -6.0, 1.8)
VELOCITY_SCALE = 3.0  # m/s
SINKING = 0.03  # metres that simulated things may press into the ground
STILL = (0.004, 0.05)  # metres in a latent and m/s up to which a thing counts as at rest: things asleep have 0, and 0
GRAVITY = 9.81  # m/s2, as the simulated worlds have it
FALLING = 2.0  # m/s2 about it within which a thing that is sped up downwards falls freely
HELD = 0.0015  # of a camera's numbers, the same
TURNED = 0.02  # of rotations and phases, the same


def encode_things(truth: Truth) -> np.ndarray:
    """Truth of T frames to (T // 4, N, WIDTH) float32 vectors, in the order of the truth."""
    latents, count = len(truth.exists) // F, len(truth.kinds)
    exists = truth.exists[: latents * F].reshape(latents, F, count)
    out = np.zeros((latents, count, WIDTH), np.float32)
    there = exists.any(1)
    out[..., 0] = np.where(there, 1.0, -1.0)
    for i, (kind, colour, material) in enumerate(
            zip(truth.kinds, truth.colours, truth.materials, strict=True)):
        out[:, i, 1 + KINDS.index(kind)] = ONE_HOT
        out[:, i, 25 + list(COLOURS).index(colour)] = ONE_HOT
        out[:, i, 37 + MATERIALS.index(material)] = ONE_HOT
    out[..., THING["extent"]] = np.log(np.maximum(truth.extent, 1e-3) / 0.3) / 0.7

    def frames(values: np.ndarray) -> np.ndarray:
        """(T, N, ...) to (latents, F, N, ...), a sub-frame without the thing copied from one with it."""
        values = values[: latents * F].reshape(latents, F, count, *values.shape[2:]).copy()
        for f in range(1, F):  # gone by then: where it was last
            gap = ~exists[:, f] & exists[:, :f].any(1)
            values[:, f][gap] = values[:, f - 1][gap]
        for f in range(F - 2, -1, -1):  # not there yet: where it will be first
            gap = ~exists[:, : f + 1].any(1) & exists[:, f + 1 :].any(1)
            values[:, f][gap] = values[:, f + 1][gap]
        return values

    position = (frames(truth.position) - np.array(POSITION_CENTRE, np.float32)) / POSITION_SCALE
    out[..., THING["position"]] = position.transpose(0, 2, 1, 3).reshape(latents, count, 3 * F)
    rotation = frames(truth.rotation)[:, list(HALVES)][..., :2]  # two columns of the matrix
    out[..., THING["rotation"]] = rotation.transpose(0, 2, 1, 4, 3).reshape(latents, count, 12)
    out[..., THING["velocity"]] = frames(truth.velocity)[:, -1] / VELOCITY_SCALE
    phase = frames(truth.phase)[:, list(HALVES)].transpose(0, 2, 1)
    alive = (np.abs(truth.phase).max(0) > 0).astype(np.float32)[None, :, None]
    out[..., THING["phase"]] = np.concatenate([np.sin(phase), np.cos(phase)], -1) * alive
    out[~there, 1:] = 0.0
    return out


def decided(things: Tensor, before: Tensor | None = None, gone: Tensor | None = None) -> Tensor:
    """Thing vectors (..., S, WIDTH) with ``moving`` and ``gone`` said of each.

    before: the same one latent earlier, None for the first; gone (..., S) bool: slots whose thing was and is no more.
    """
    there = things[..., :1] > 0
    before = torch.full_like(things, -1.0) if before is None else before
    continues = (before[..., :1] > 0)[..., None]
    moving = things[..., THING["velocity"]].abs().amax(-1) * VELOCITY_SCALE > STILL[1]
    for name, parts, least in (("position", F, STILL[0] / POSITION_SCALE), ("rotation", 2, TURNED),
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


def camera_at_rest(camera: Tensor) -> Tensor:
    """Camera vectors (..., WIDTH) that stay as they are in their last frame, exactly."""
    out = camera.clone()
    for name in ("position", "rotation"):
        last = camera[..., CAMERA[name]].unflatten(-1, (F, -1))[..., -1:, :]
        out[..., CAMERA[name]] = last.expand(*last.shape[:-2], F, -1).flatten(-2)
    out[..., CAMERA["moving"]] = -1.0
    return out


def plain(tokens: Tensor) -> Tensor:
    """Tokens (..., S + 2, WIDTH) without what a rollout decides for itself: as they are shown and drawn."""
    out = tokens.clone()
    out[..., :-2, DECIDED] = 0.0
    out[..., -2, CAMERA["moving"]] = 0.0
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


def encode_camera(path: CameraPath) -> np.ndarray:
    """A camera's T poses to (T // 4, WIDTH) float32 vectors."""
    latents = len(path) // F
    out = np.zeros((latents, WIDTH), np.float32)
    position = (path.position[: latents * F] - np.array(CAMERA_CENTRE, np.float32)) / POSITION_SCALE
    out[:, CAMERA["position"]] = position.reshape(latents, 3 * F)
    # right and back axes; their cross product gives the third
    rotation = path.rotation[: latents * F][..., [0, 2]].transpose(0, 2, 1)
    out[:, CAMERA["rotation"]] = rotation.reshape(latents, 6 * F)
    out[:, CAMERA["fovy"]] = np.log(path.fovy / 40.0) / 0.2
    return out


def decode_camera(vectors: np.ndarray) -> CameraPath:
    """(T, WIDTH) camera vectors to the CameraPath of 4 T frames."""
    camera = cameras_of(torch.as_tensor(vectors, dtype=torch.float32)[None])
    return CameraPath(camera.position[0].flatten(0, 1).numpy(), camera.rotation[0].flatten(0, 1).numpy(),
                      float(camera.fovy.mean()))


_LOOK_CENTRE = np.array([0, 0, 0, 0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0], np.float32)
_LOOK_SCALE = np.array([1, 1, 1, 0.2, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 1], np.float32)


def encode_setting(setting: str, look: np.ndarray) -> np.ndarray:
    """(WIDTH,) float32: the setting's name, and its look in the numbers of vocabulary.LOOK."""
    out = np.zeros(WIDTH, np.float32)
    out[SETTINGS.index(setting)] = ONE_HOT
    out[SETTING["look"]] = (look - _LOOK_CENTRE) / _LOOK_SCALE
    return out


def light_of(setting: Tensor) -> tuple[Tensor, Tensor]:
    """(..., WIDTH) setting vectors to the direction of the light (..., 3), of length 1, and its nearness
    (...), 1 / metres: 0 for a sun."""
    look = setting[..., SETTING["look"]]
    return torch.nn.functional.normalize(look[..., :3], dim=-1, eps=1e-4), (look[..., 3] * 0.2).clamp(0, 0.5)


@dataclass
class Cameras:
    """Cameras read out of camera vectors: position (B, T, F, 3), rotation (B, T, F, 3, 3), fovy (B, T)."""

    position: Tensor
    rotation: Tensor
    fovy: Tensor


def _frame_from_two(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two axes made orthonormal, the first kept."""
    a = torch.nn.functional.normalize(a, dim=-1, eps=1e-4)
    b = torch.nn.functional.normalize(b - (a * b).sum(-1, keepdim=True) * a, dim=-1, eps=1e-4)
    return a, b


def cameras_of(vectors: Tensor) -> Cameras:
    """(B, T, WIDTH) camera vectors to poses; also noisy ones give valid poses."""
    position = vectors[..., CAMERA["position"]].unflatten(-1, (F, 3)) * POSITION_SCALE
    position = position + position.new_tensor(CAMERA_CENTRE)
    axes = vectors[..., CAMERA["rotation"]].unflatten(-1, (F, 2, 3))
    back, right = _frame_from_two(axes[..., 1, :], axes[..., 0, :])
    rotation = torch.stack([right, torch.linalg.cross(back, right), back], -1)
    fovy = 40.0 * torch.exp(0.2 * vectors[..., CAMERA["fovy"].start].clamp(-4, 4))
    return Cameras(position, rotation, fovy)


def positions_of(vectors: Tensor) -> Tensor:
    """(..., WIDTH) thing vectors to positions (..., F, 3) in metres."""
    position = vectors[..., THING["position"]].unflatten(-1, (F, 3)) * POSITION_SCALE
    return position + position.new_tensor(POSITION_CENTRE)


def rotations_of(vectors: Tensor) -> Tensor:
    """(..., WIDTH) thing vectors to rotation matrices (..., 2, 3, 3) at the sub-frames HALVES."""
    axes = vectors[..., THING["rotation"]].unflatten(-1, (2, 2, 3))
    first, second = _frame_from_two(axes[..., 0, :], axes[..., 1, :])
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def turns_of(vectors: Tensor) -> Tensor:
    """(..., WIDTH) thing vectors to rotation matrices (..., F, 3, 3) of every frame: between those that are kept, and
    a little before the first of them."""
    one, two = vectors[..., THING["rotation"]].unflatten(-1, (2, 2, 3)).unbind(-3)
    axes = torch.stack([1.5 * one - 0.5 * two, one, 0.5 * (one + two), two], -3)
    first, second = _frame_from_two(axes[..., 0, :], axes[..., 1, :])
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def phases_of(vectors: Tensor) -> Tensor:
    """(..., WIDTH) thing vectors to sine and cosine (..., F, 2) of the gait's phase in every frame."""
    one, two = vectors[..., THING["phase"]].unflatten(-1, (2, 2)).unbind(-1)  # sines and cosines at each of HALVES
    return torch.stack([1.5 * one - 0.5 * two, one, 0.5 * (one + two), two], -2)


def upright(vectors: Tensor) -> Tensor:
    """Thing vectors (..., WIDTH) whose rotations are rotations, so that no error of them adds up."""
    out = vectors.clone()
    axes = vectors[..., THING["rotation"]].unflatten(-1, (2, 2, 3))
    out[..., THING["rotation"]] = torch.stack(_frame_from_two(axes[..., 0, :], axes[..., 1, :]), -2).flatten(-3)
    return out


def extents_of(vectors: Tensor) -> Tensor:
    """(..., WIDTH) thing vectors to half sizes (..., 3) in metres."""
    return 0.3 * torch.exp(0.7 * vectors[..., THING["extent"]].clamp(-4, 4))


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
    slowed = velocity[..., 2] - (path[..., -1, 2] - path[..., 0, 2]) / ((F - 1) * seconds[..., 0, 0])
    falls = (slowed / (0.5 * (F - 1) * seconds[..., 0, 0]) + GRAVITY).abs() < FALLING
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


# how far a thing that was there departs from going on as before, as a variance of its channels: set by hand, so that
# what is decided stays open and what only moves does not
_DEPARTS = {"exists": 0.3, "moving": 0.5, "position": 0.01, "rotation": 0.03, "velocity": 0.03, "phase": 0.1}


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
    parts = (camera[..., CAMERA[name]].unflatten(-1, (F, -1)) for name in ("position", "rotation"))
    moved = [(p[..., -1:, :] + steps * (p[..., -1:, :] - p[..., :1, :]) / (F - 1)).flatten(-2) for p in parts]
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


def place(things: Tensor, cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Where things are as a camera sees them, in the camera's own frame.

    things (B, T, S, WIDTH) -> local positions (B, T, S, F, 3) in metres along the camera's right, up and
    forward axes, and rotations thing to camera (B, T, S, 2, 3, 3).
    """
    offset = positions_of(things) - cameras.position[:, :, None]
    local = torch.einsum("btfij,btsfi->btsfj", cameras.rotation, offset)
    turned = torch.einsum("btfij,btsfik->btsfjk", cameras.rotation[:, :, list(HALVES)], rotations_of(things))
    return local * local.new_tensor([1.0, 1.0, -1.0]), turned


def in_picture(things: Tensor, camera: Tensor, aspect: float) -> Tensor:
    """(B, S) bool: whether the middle of each thing is in the picture, at the latent's first or last frame.

    things (B, S, WIDTH), camera (B, WIDTH); aspect: the picture's width over its height.
    """
    cameras = cameras_of(camera[:, None].float())
    local = place(things[:, None].float(), cameras)[0][:, 0][:, :, [0, -1]]  # B S 2 3
    reach = local[..., 2] * torch.tan(torch.deg2rad(cameras.fovy) / 2)[..., None]
    inside = (local[..., 1].abs() < reach) & (local[..., 0].abs() < reach * aspect)
    return (inside & (local[..., 2] > 0)).any(-1)


def above_ground(things: Tensor) -> Tensor:
    """Thing vectors (..., WIDTH) of which none is sunk into the ground (z = 0) by more than SINKING.

    What was is lifted, and falls no further. A thing reaches as far down as the ellipsoid that its sizes span, so that
    no truth is lifted.
    """
    reach = (rotations_of(things)[..., 2, :] * extents_of(things)[..., None, :]).norm(dim=-1)  # (..., 2)
    reach = reach.repeat_interleave(F // len(HALVES), -1)
    place = positions_of(things)
    sunk = (reach - SINKING - place[..., 2]).clamp(min=0)
    lift = torch.zeros_like(place)
    lift[..., 2] = sunk / POSITION_SCALE
    out = things.clone()
    out[..., THING["position"]] += lift.flatten(-2)
    fall = THING["velocity"].stop - 1
    out[..., fall] = torch.where(sunk[..., -1] > 0, out[..., fall].clamp(min=0), out[..., fall])
    return out
