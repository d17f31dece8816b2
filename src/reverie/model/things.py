"""Things as vectors, cameras as vectors, and where a camera sees a thing: computed, not learned.

A latent frame holds MAX_THINGS thing tokens, one camera token and one setting token; each is a vector
of ``WIDTH`` numbers, scaled to about unit size (a thing's channels are listed in ``THING``).
Legend: B batch, T latent frames, S thing slots, F frames in a latent, H W latent cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

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
STRIDING = ("person", "dog")  # what has legs that change places
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
CORNERS = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)  # of a box, in half sizes
GRAVITY = 9.81  # m/s2
SINKING = 0.03  # metres that simulated things may press into the ground


def encode_things(truth: Truth) -> np.ndarray:
    """Truth of T frames to (T // 4, N, WIDTH) float32 vectors, in the order of the truth."""
    latents, count = len(truth.exists) // F, len(truth.kinds)
    exists = truth.exists[: latents * F].reshape(latents, F, count)
    out = np.zeros((latents, count, WIDTH), np.float32)
    there = exists.any(1)
    out[..., 0] = np.where(there, 1.0, -1.0)
    for i, (kind, colour, material) in enumerate(zip(truth.kinds, truth.colours, truth.materials, strict=True)):
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


def frame_from_two(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two axes made orthonormal, the first kept."""
    a = torch.nn.functional.normalize(a, dim=-1, eps=1e-4)
    b = torch.nn.functional.normalize(b - (a * b).sum(-1, keepdim=True) * a, dim=-1, eps=1e-4)
    return a, b


def cameras_of(vectors: Tensor) -> Cameras:
    """(B, T, WIDTH) camera vectors to poses; also noisy ones give valid poses."""
    position = vectors[..., CAMERA["position"]].unflatten(-1, (F, 3)) * POSITION_SCALE
    position = position + position.new_tensor(CAMERA_CENTRE)
    axes = vectors[..., CAMERA["rotation"]].unflatten(-1, (F, 2, 3))
    back, right = frame_from_two(axes[..., 1, :], axes[..., 0, :])
    rotation = torch.stack([right, torch.linalg.cross(back, right), back], -1)
    fovy = 40.0 * torch.exp(0.2 * vectors[..., CAMERA["fovy"].start].clamp(-4, 4))
    return Cameras(position, rotation, fovy)


def facing(ahead: Tensor) -> Tensor:
    """(..., 2) level directions of length 1 to the two axes (..., 6) of upright things that look there, as a rotation
    is kept."""
    flat = torch.zeros_like(ahead[..., :1])
    return torch.cat([ahead, flat, -ahead[..., 1:], ahead[..., :1], flat], -1)


def positions_of(vectors: Tensor) -> Tensor:
    """(..., WIDTH) thing vectors to positions (..., F, 3) in metres."""
    position = vectors[..., THING["position"]].unflatten(-1, (F, 3)) * POSITION_SCALE
    return position + position.new_tensor(POSITION_CENTRE)


def at_positions(vectors: Tensor, path: Tensor) -> Tensor:
    """Thing vectors (..., WIDTH) at other positions (..., F, 3), in metres."""
    out = vectors.clone()
    out[..., THING["position"]] = ((path - path.new_tensor(POSITION_CENTRE)) / POSITION_SCALE).flatten(-2)
    return out


def rotations_of(vectors: Tensor) -> Tensor:
    """(..., WIDTH) thing vectors to rotation matrices (..., 2, 3, 3) at the sub-frames HALVES."""
    axes = vectors[..., THING["rotation"]].unflatten(-1, (2, 2, 3))
    first, second = frame_from_two(axes[..., 0, :], axes[..., 1, :])
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def at_rotations(vectors: Tensor, turns: Tensor) -> Tensor:
    """Thing vectors (..., WIDTH) turned by other rotation matrices (..., 2, 3, 3) at the sub-frames HALVES."""
    out = vectors.clone()
    out[..., THING["rotation"]] = turns[..., :2].mT.flatten(-3)
    return out


def turns_of(vectors: Tensor) -> Tensor:
    """(..., WIDTH) thing vectors to rotation matrices (..., F, 3, 3) of every frame: between those that are kept, and
    a little before the first of them."""
    one, two = vectors[..., THING["rotation"]].unflatten(-1, (2, 2, 3)).unbind(-3)
    axes = torch.stack([1.5 * one - 0.5 * two, one, 0.5 * (one + two), two], -3)
    first, second = frame_from_two(axes[..., 0, :], axes[..., 1, :])
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def phases_of(vectors: Tensor) -> Tensor:
    """(..., WIDTH) thing vectors to sine and cosine (..., F, 2) of the gait's phase in every frame."""
    one, two = vectors[..., THING["phase"]].unflatten(-1, (2, 2)).unbind(-1)  # sines and cosines at each of HALVES
    return torch.stack([1.5 * one - 0.5 * two, one, 0.5 * (one + two), two], -2)


def extents_of(vectors: Tensor) -> Tensor:
    """(..., WIDTH) thing vectors to half sizes (..., 3) in metres."""
    return 0.3 * torch.exp(0.7 * vectors[..., THING["extent"]].clamp(-4, 4))


def at_extents(vectors: Tensor, size: Tensor) -> Tensor:
    """Thing vectors (..., WIDTH) of other half sizes (..., 3), in metres."""
    out = vectors.clone()
    out[..., THING["extent"]] = torch.log(size.clamp(min=1e-3) / 0.3) / 0.7
    return out


def of_kind(things: Tensor, names: Sequence[str]) -> Tensor:
    """(...,) bool: which of the thing vectors (..., WIDTH) are of these kinds."""
    kind = things[..., THING["kind"]].argmax(-1)
    return _among(tuple(names), kind.device)[kind]


@cache
def _among(names: tuple[str, ...], device: torch.device) -> Tensor:
    """(kinds,) bool: of each number of a kind whether it is one of these."""
    numbers = THING["kind"].stop - THING["kind"].start
    with torch.inference_mode(False):  # for it is used with gradients, too
        return torch.tensor([k < len(KINDS) and KINDS[k] in names for k in range(numbers)], device=device)


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


def mirrored(things: Tensor, camera: Tensor) -> Tensor:
    """Thing vectors (B, S, WIDTH) with left and right exchanged, as the first frame of a camera (B, WIDTH) sees them.

    Every kind has a left side like its right one, and so is its own mirror image, turned; legs change places.
    """
    seen = cameras_of(camera[:, None].float())
    right, eye = seen.rotation[:, 0, 0, :, 0][:, None], seen.position[:, 0, 0][:, None]

    def over(x: Tensor) -> Tensor:  # (B, ..., 3)
        way = right.view(len(right), *[1] * (x.ndim - 2), 3)
        return x - 2 * (x * way).sum(-1, keepdim=True) * way

    centre = (eye - eye.new_tensor(POSITION_CENTRE)) / POSITION_SCALE
    out = things.clone()
    place = things[..., THING["position"]].unflatten(-1, (F, 3)) - centre[:, :, None]
    out[..., THING["position"]] = (over(place) + centre[:, :, None]).flatten(-2)
    out[..., THING["velocity"]] = over(things[..., THING["velocity"]])
    axes = over(things[..., THING["rotation"]].unflatten(-1, (len(HALVES), 2, 3)))
    out[..., THING["rotation"]] = torch.stack([axes[..., 0, :], -axes[..., 1, :]], -2).flatten(-3)
    strides = of_kind(things, STRIDING)[..., None]
    out[..., THING["phase"]] = torch.where(strides, -things[..., THING["phase"]], things[..., THING["phase"]])
    return out


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
