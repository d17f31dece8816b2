"""What a camera sees where nothing stands: the rays of its pixels, where they meet the ground or a room's end, and the
light there. Geometry, without gradients.

Legend: X latents (batch and time as one), F frames of a latent, P pixels of a frame, R different looks, E features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.model import things as th

FAR = 40.0  # metres to the ground, beyond which it is as good as sky
REPEATS = (0.35, 0.40, 0.45, 0.50, 0.70, 0.80, 0.90, 1.00)  # waves per metre in which the ground is described
WALL, STRIPES = 4.2, (0.7, 1.4, 2.1)  # metres to where a room ends, and waves per metre in which its end is described
NUMBERS = 3 + 3 + 1 + 2 + 4 * len(REPEATS) + 1 + 2 + 2 * len(STRIPES)  # of a place that is seen


@dataclass
class Stage:
    """Origin (X, F, 3) and direction (X, F, P, 3) of rays, spot (X,) how wide a pixel is for each metre, of (X, F)
    which of R different looks each frame is. Of these: row (R,) into X, the place (R, P, 3) on the ground (below it
    where there is none), the light (R, P, 3) and how far it is, sun (R, P), and numbers (R, P, E) of what is seen."""

    origin: Tensor
    direction: Tensor
    spot: Tensor
    of: Tensor
    row: Tensor
    place: Tensor
    light: Tensor
    sun: Tensor
    numbers: Tensor

    @property
    def looks(self) -> tuple[Tensor, Tensor]:
        """Origins (R, 3) and directions (R, P, 3) of the looks that differ."""
        first = (self.of.flatten() == torch.arange(len(self.row), device=self.of.device)[:, None]).int().argmax(1)
        return self.origin.flatten(0, 1)[first], self.direction.flatten(0, 1)[first]


def stage_of(camera: Tensor, setting: Tensor, height: int, width: int, pixels: Tensor | None = None) -> Stage:
    """What cameras (X, WIDTH) see of settings (X, WIDTH); of whole pictures, or of pixels (X, F, P)."""
    origin, direction, spot = rays(camera, height, width, pixels)
    different, of = _looks(origin, direction)
    row = different // th.F
    eye, way = origin.flatten(0, 1)[different], direction.flatten(0, 1)[different]
    numbers, place = _on_ground(eye, way, spot[row])
    return Stage(origin, direction, spot, of, row, place, *towards_light(place, setting[row]), numbers)


def rays(camera: Tensor, height: int, width: int, pixels: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Of camera vectors (X, WIDTH): origins (X, F, 3), directions (X, F, P, 3) whose length is 1 along the view's
    axis, and the metres that a pixel is wide for each metre of depth (X,)."""
    seen = th.cameras_of(camera[:, None])
    half = torch.tan(torch.deg2rad(seen.fovy[:, 0]) / 2)
    number = torch.arange(height * width, device=camera.device) if pixels is None else pixels
    y = 1 - (number // width + 0.5) * (2 / height)
    x = ((number % width + 0.5) * (2 / width) - 1) * (width / height)
    plane = torch.stack([x, y], -1) * half.view(-1, *[1] * (number.ndim if pixels is not None else 2))
    local = torch.cat([plane, -torch.ones_like(plane[..., :1])], -1)  # X P 3 or X F P 3
    if pixels is None:
        local = local[:, None].expand(-1, th.F, -1, -1)
    direction = torch.einsum("xfij,xfpj->xfpi", seen.rotation[:, 0], local)
    return seen.position[:, 0], direction, half * (2 / height)


def _looks(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """The frames (R,) of X F that differ in what their rays are, and which of these each is like (X, F): a camera that
    stands still looks once in a latent."""
    still = ((origin - origin[:, :1]).abs().amax((1, 2)) < 1e-4) & (
        (direction[:, :, :: max(1, direction.shape[2] // 64)] - direction[:, :1, :: max(1, direction.shape[2] // 64)])
        .abs().amax((1, 2, 3)) < 1e-4)
    first = torch.zeros(origin.shape[:2], dtype=torch.bool, device=origin.device)
    first[:, 0] = True
    first |= ~still[:, None]
    return first.flatten().nonzero()[:, 0], first.flatten().cumsum(0).view(origin.shape[:2]) - 1


def _on_ground(origin: Tensor, direction: Tensor, spot: Tensor) -> tuple[Tensor, Tensor]:
    """What the ground and the way to it say of each ray (R, P, E), and where it meets the ground (R, P, 3); of
    origins (R, 3) and directions (R, P, 3)."""
    down = -direction[..., 2:]
    height = origin[:, None, 2:]
    far = torch.where(down > 1e-4, height / down.clamp(min=1e-4), FAR).clamp(0.1, FAR)
    floor = (far < FAR).float()
    place = origin[:, None] + far * direction
    turns = place[..., :2, None] * (2 * math.pi * place.new_tensor(REPEATS))
    blur = spot[:, None, None] * far.square() / height.clamp(min=0.2)  # how long a pixel is on the ground
    fade = torch.exp(-0.5 * (blur[..., None] * 2 * place.new_tensor(REPEATS)).square()) * floor[..., None]
    waves = torch.cat([turns.sin() * fade, turns.cos() * fade], -1).flatten(-2)
    way = F.normalize(direction, dim=-1)
    numbers = torch.cat([way, origin[:, None].expand_as(way) / 4, floor, place[..., :2] * floor / 4, waves,
                         far.log() / 2, _on_wall(origin, direction, spot, far)], -1)
    # where there is no ground, somewhere deep below it
    return numbers, torch.cat([place[..., :2] * floor, floor - 1], -1)


def _on_wall(origin: Tensor, direction: Tensor, spot: Tensor, far: Tensor) -> Tensor:
    """(R, P, 2 + 2 stripes): whether a ray comes to where a room would end before the ground, ``far`` (R, P, 1) along
    it, how high there, and where across."""
    ahead = direction[..., 1:2]
    there = (WALL - origin[:, None, 1:2]) / ahead.clamp(min=1e-3)
    ends = ((ahead > 1e-3) & (there > 0) & (there < far)).float()
    across = (origin[:, None, :1] + there * direction[..., :1]) * ends
    height = (origin[:, None, 2:] + there * direction[..., 2:]).clamp(-4, 8) * ends
    repeats = direction.new_tensor(STRIPES)
    fade = torch.exp(-0.5 * (spot[:, None, None] * there * 2 * repeats).square()) * ends
    turns = 2 * math.pi * repeats * across
    return torch.cat([ends, height / 4, turns.sin() * fade, turns.cos() * fade], -1)


def towards_light(place: Tensor, setting: Tensor) -> tuple[Tensor, Tensor]:
    """From places on the ground (R, P, 3) to the light: directions of length 1 (R, P, 3), and how far it is."""
    direction, near = th.light_of(setting)
    direction, near = direction[:, None], near[:, None, None]
    gap = direction - place * near  # towards a lamp, in units of its distance
    length = gap.norm(dim=-1, keepdim=True)
    far = length / near.clamp(min=1e-3)
    return gap / length, torch.where(near > 0.01, far, FAR)[..., 0]
