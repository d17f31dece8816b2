"""The plate: what is behind the things in pictures of the past, as it was seen, where the canvas would paint what it
makes of such a setting.

A camera that stands still sees what is behind things as soon as they have gone aside; what nobody ever saw is filled in
from what is around it. It is laid where each ray meets the ground, or what ends it, so that the camera may move on:
beyond its sides it is what it is before them, mirrored.

Legend: L looks, R different ones of a canvas, P pixels, H W of a picture. Colours are in 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.core.vocabulary import SETTINGS
from reverie.model import stage
from reverie.model import things as th
from reverie.model.canvas import Canvas, Drawing, Scene

LOOKS, SAME = 5, 1e-3  # of a past, at most, that differ from its end, from which a plate is made; and by how much
SMALL = 32  # pixels high are the pictures of which is asked which look a setting has, and twice that how it is lit
ASTRAY = 0.2  # difference of a colour beyond which it says no more about the setting
LIGHT = 4  # of a look's numbers, the first: where the light is
ENDS = {"room": stage.WALL, "table": 14.0, "lawn": 14.0}  # metres behind the stage to what stands there, in training
BEYOND = 3  # of half pictures from the middle: what is farther away than that is as there
# of a colour by which, on the mean, what is behind is other than what a canvas shows: it is 0.005 in videos that the
# canvas drew, 0.03 to 0.044 in those that went on from pictures
OTHER = 0.015
EDGE, SHADE = 5, 0.03  # pixels across by which things are kept off; share of shadow from which what is seen is not bare


@dataclass(eq=False)
class Plate:
    """seen (3, H, W): what is behind, from a camera (WIDTH,); ends: metres behind the stage to where that ends."""

    seen: Tensor
    camera: Tensor
    ends: float

    def laid(self, colours: Tensor, eye: Tensor, way: Tensor) -> Tensor:
        """Over a canvas's colours (R, P, 6), lit and in the shade, of rays from eyes (R, 3) along ways (R, P, 3)."""
        far = (eye[:, None, 2:] / -way[..., 2:].clamp(max=-1e-4)).clamp(max=stage.FAR)
        ends = (self.ends - eye[:, None, 1:2]) / way[..., 1:2].clamp(min=1e-3)
        far = torch.minimum(far, torch.where(ends > 0, ends, stage.FAR))
        own = th.cameras_of(self.camera[None, None])
        apart = torch.where(far < stage.FAR, eye[:, None] - own.position[0, 0, -1], 0.0)  # the sky is without end
        local = (apart + far * way) @ own.rotation[0, 0, -1]
        half = torch.tan(torch.deg2rad(own.fovy[0, 0]) / 2)
        height, width = self.seen.shape[1:]
        flat = local[..., :2] / -local[..., 2:].clamp(max=-1e-3) / half * local.new_tensor([height / width, -1.0])
        bare = F.grid_sample(self.seen.expand(len(flat), -1, -1, -1), flat[:, None].clamp(-BEYOND, BEYOND),
                             align_corners=False, padding_mode="reflection")[:, :, 0].mT
        lit, dark = colours.chunk(2, -1)
        return torch.cat([bare, (dark * bare / lit.clamp(min=0.02)).clamp(max=1)], -1)


def plate_of(canvas: Canvas, shown: np.ndarray, hidden: np.ndarray, tokens: np.ndarray, looks: Sequence
             ) -> tuple[Plate, Tensor]:
    """The plate of pictures uint8 (L, H, W, 3) in which things (L, S, WIDTH) are, seen by a camera that stands still;
    and the setting (WIDTH,) that is most like it, of the looks that each had in training. hidden (L, H, W) bool: where
    something else is in the way."""
    other = (np.abs(tokens - tokens[-1]).max((1, 2)) > SAME) | (hidden != hidden[-1]).any((1, 2))
    some = np.append(np.flatnonzero(other)[:: max(1, -(-int(other.sum()) // LOOKS))], len(tokens) - 1)
    height, width = shown.shape[1:3]
    device = canvas.bodies.device
    seen = torch.from_numpy(shown[some]).to(device).float().permute(0, 3, 1, 2) / 255
    told, hides = torch.from_numpy(tokens[some]).to(device), torch.from_numpy(hidden[some, None]).to(device)
    camera = told[-1, th.CAMERA_TOKEN].clone()
    settings = torch.zeros(sum(map(len, looks)), th.WIDTH, device=device)
    settings[:, th.SETTING["look"]] = torch.tensor([look for own in looks for look in own], device=device)
    settings[torch.arange(len(settings)), [n for n, own in enumerate(looks) for _ in own]] = th.ONE_HOT
    small = _resized(seen[-1:], SMALL)
    cover, _ = _covered(canvas, told[-1:], settings[0], *small.shape[2:])
    stands = (cover > 0) | (_resized(hides[-1:].float(), SMALL) > 0)
    bare = 1 - F.max_pool2d(stands.float(), 3, 1, 1)
    empty = canvas.empty(camera.expand(len(settings), -1), settings, *small.shape[2:])
    setting = settings[((empty - small).abs().clamp(max=ASTRAY) * bare).sum((1, 2, 3)).argmin()]
    setting = _lit(canvas, told[-1], _resized(seen[-1:], 2 * SMALL)[0], setting, settings)
    cover, shade = _covered(canvas, told, setting, height, width)
    found, known = _median(seen, hides | (cover > 0) | (shade > SHADE))
    empty = canvas.empty(camera[None], setting[None], height, width)
    seen = (empty + _filled(found - empty, known[None].float())).clamp(0, 1)
    name = SETTINGS[int(setting[th.SETTING["name"]].argmax())]
    return Plate(seen[0], camera, ENDS.get(name, stage.FAR)), setting


def apart(canvas: Canvas, shown: np.ndarray, tokens: np.ndarray) -> float:
    """How much of a colour, on the mean, what is bare in a picture uint8 (H, W, 3) in which things (S, WIDTH) are is
    other than what a canvas shows there."""
    told = torch.from_numpy(tokens).to(canvas.bodies.device)
    seen = torch.from_numpy(shown).to(told).permute(2, 0, 1) / 255
    setting, size = told[th.SETTING_TOKEN], seen.shape[1:]
    cover, shade = _covered(canvas, told[None], setting, *size)
    bare = F.max_pool2d(((cover > 0) | (shade > SHADE)).float(), EDGE, 1, EDGE // 2)[0] == 0
    other = (canvas.empty(told[None, th.CAMERA_TOKEN], setting[None], *size)[0] - seen).abs().mean(0, keepdim=True)
    return float(other[bare].mean()) if bool(bare.any()) else 0.0


def _lit(canvas: Canvas, told: Tensor, seen: Tensor, setting: Tensor, settings: Tensor) -> Tensor:
    """A setting (WIDTH,) in the light of that of others of its name (R, WIDTH) in which a picture (3, H, W) of things
    (S, WIDTH) is most like what is seen."""
    own = settings[settings[:, th.SETTING["name"]].argmax(1) == setting[th.SETTING["name"]].argmax()]
    light = slice(th.SETTING["look"].start, th.SETTING["look"].start + LIGHT)
    lit = setting.expand(len(own), -1).clone()
    lit[:, light] = own[:, light]
    drawing = _drawn(canvas, told.expand(len(own), -1, -1), lit, *seen.shape[1:])
    made = drawing.picture[:, -1].mT.unflatten(2, seen.shape[1:])
    return lit[(made - seen).abs().clamp(max=ASTRAY).sum((1, 2, 3)).argmin()]


def _drawn(canvas: Canvas, told: Tensor, setting: Tensor, height: int, width: int) -> Drawing:
    """Things (L, S, WIDTH) in a setting, or one each, (WIDTH,) or (L, WIDTH)."""
    told = told.clone()
    told[:, th.SETTING_TOKEN] = setting
    return canvas(Scene.of(told), height, width)


def _resized(x: Tensor, height: int) -> Tensor:
    """Pictures (L, C, H, W) so many pixels high."""
    return F.interpolate(x, (height, max(1, round(height * x.shape[3] / x.shape[2]))), mode="area")


def _covered(canvas: Canvas, told: Tensor, setting: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """How much of pixels things (L, S, WIDTH) cover, (L, 1, H, W), and how much is in their shadow."""
    drawing = _drawn(canvas, told, setting, height, width)
    return tuple(part[:, -1, :, 0].unflatten(1, (height, width))[:, None] for part in (drawing.cover, drawing.shade))


def _median(seen: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Of pictures (L, 3, H, W) the median (3, H, W) of what is not hidden (L, 1, H, W) or beside it; and where that is
    known (1, H, W)."""
    hidden = F.max_pool2d(hidden.float(), EDGE, 1, EDGE // 2) > 0
    found = torch.where(hidden, torch.nan, seen).nanmedian(0).values
    return found.nan_to_num(), ~hidden.all(0)


def _filled(x: Tensor, known: Tensor) -> Tensor:
    """(1, C, H, W) as it is where it is known (1, 1, H, W), and elsewhere smoothly from there."""
    if bool(known.all()) or not bool(known.any()):
        return x * known
    share = F.avg_pool2d(known, 2, ceil_mode=True, count_include_pad=False)
    small = F.avg_pool2d(x * known, 2, ceil_mode=True, count_include_pad=False) / share.clamp(min=1e-6)
    wide = F.interpolate(_filled(small, (share > 0).float()), x.shape[-2:], mode="bilinear", align_corners=False)
    return torch.where(known > 0, x, wide)
