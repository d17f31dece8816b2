"""The observer's second look: a crop around one box to what stands in it, or that nothing does.

The first look (observer_net) sees whole frames at 0.85 GFLOP each, which makes it dear to train; a crop is
0.03 GFLOP, so in the same minutes this network sees ten times as many things as the first one does frames.

Legend: B frames, N boxes of each, H W pixels, S side of a crop, G numbers of a box's place, K kinds, C colours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reverie.core.errors import BadInput

PLACE = 10  # numbers that say where a box stands and how large it is
_FINER = 2  # samples of a frame along each side of a crop's pixel: a thing that is made smaller must not alias


@dataclass(frozen=True)
class SecondConfig:
    """What a second look is built from, and how it is used.

    side: pixels of a crop; around: a crop's side, of the box's longer one. widths: channels at 1/2, 1/4 and
    1/8 of a crop. hidden: width of the last layer but one. first: exponent of the first look's scores beside
    the second's, for kinds and for colours. doubt: exponent of the share that is something in a detection's
    confidence.
    """

    side: int = 32
    around: float = 1.4
    widths: tuple[int, ...] = (32, 64, 96)
    hidden: int = 128
    first: tuple[float, ...] = (0.25, 0.25)
    doubt: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))  # JSON gives lists
        object.__setattr__(self, "first", tuple(self.first))
        if self.side < 8 or self.side % 8 or len(self.widths) != 3 or min(*self.widths, self.hidden) < 1:
            raise BadInput(f"a second look has a side that is a multiple of 8, and three widths, not {self}")
        if len(self.first) != 2 or min(*self.first, self.doubt) < 0 or not 0 < self.around < 10:
            raise BadInput(f"a second look has two exponents for the first look's scores, not {self}")


class _Block(nn.Module):
    """Two 3x3 convolutions and the way around them, which is all of it at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return F.relu(x_NCHW + self.second(F.relu(self.first(x_NCHW))))


class SecondLook(nn.Module):
    """Crops to logits of kinds (the last one: nothing) and of colours."""

    def __init__(self, config: SecondConfig, kinds: int, colours: int) -> None:
        super().__init__()
        self.config, self.kinds = config, kinds
        w2, w4, w8 = config.widths
        self.stem = nn.Conv2d(16, w2, 3, padding=1)
        self.level2 = _Block(w2)
        self.down4 = nn.Conv2d(w2, w4, 3, 2, 1)
        self.level4 = _Block(w4)
        self.down8 = nn.Conv2d(w4, w8, 3, 2, 1)
        self.level8 = _Block(w8)
        self.gather = nn.Conv2d(w8, 24, 1)
        self.mix = nn.Linear(24 * (config.side // 8) ** 2 + w8 + PLACE, config.hidden)
        self.head = nn.Linear(config.hidden, kinds + 1 + colours)

    def forward(self, crops_NCSS: Tensor, places_NG: Tensor) -> tuple[Tensor, Tensor]:
        """crops: (N, 4, S, S) of ``crops``; places: (N, G) of ``places``.

        Logits of kinds (N, K + 1), the last one nothing, and of colours (N, C), float32.
        """
        x = F.pixel_unshuffle(crops_NCSS, 2).contiguous(memory_format=torch.channels_last)
        x = self.level2(F.relu(self.stem(x)))
        x = self.level4(F.relu(self.down4(x)))
        x = self.level8(F.relu(self.down8(x)))
        whole = torch.cat([F.relu(self.gather(x)).flatten(1), x.mean((2, 3)), places_NG.to(x.dtype)], 1)
        out = self.head(F.relu(self.mix(whole))).float()
        return out[:, : self.kinds + 1], out[:, self.kinds + 1 :]

    def look(self, frames_BCHW: Tensor, boxes_BN4: Tensor) -> tuple[Tensor, Tensor]:
        """Shares of kinds (B, N, K + 1) and of colours (B, N, C) in N boxes of each frame (-1..1).

        Every crop is seen as it is, mirrored, and twice with its colour channels exchanged (its colour is not
        asked then), and the logits are averaged: kinds are told by shape in colours in which training never
        showed them. Mirrored alone 0.910 of kinds are right on the held-out suite, with exchanged colours 0.931.
        """
        made = crops(frames_BCHW, boxes_BN4, self.config.side, self.config.around).flatten(0, 1)
        where = places(boxes_BN4, (int(frames_BCHW.shape[2]), int(frames_BCHW.shape[3]))).flatten(0, 1)
        other = mirrored(where)
        kinds, colours = self(
            torch.cat([made, made.flip(-1), made[:, (1, 2, 0, 3)], made[:, (2, 0, 1, 3)].flip(-1)]),
            torch.cat([where, other, where, other]))
        kinds = kinds.unflatten(0, (4, *boxes_BN4.shape[:2])).mean(0)
        colours = colours.unflatten(0, (4, *boxes_BN4.shape[:2]))[:2].mean(0)
        return kinds.softmax(-1), colours.softmax(-1)


def crops(frames_BCHW: Tensor, boxes_BN4: Tensor, side: int, around: float) -> Tensor:
    """Square crops (B, N, 4, side, side) in the middle of N boxes (x0 y0 x1 y1, pixels) of each frame (-1..1).

    A crop's side is ``around`` times the box's longer side, so that a plank stays long. Beyond a frame's edge
    its last pixels go on. The fourth plane says where the box is: 1 inside, 0 around it, -1 beyond the frame.
    """
    height, width = frames_BCHW.shape[2:]
    batch, count = boxes_BN4.shape[:2]
    fine = side * _FINER
    steps = ((torch.arange(fine, device=boxes_BN4.device) + 0.5) / fine * 2 - 1).to(boxes_BN4.dtype)
    sides = (boxes_BN4[..., 2:] - boxes_BN4[..., :2]).clamp(min=1)
    half = around * sides.amax(2, keepdim=True) / 2
    x = (boxes_BN4[..., 0:1] + boxes_BN4[..., 2:3]) / 2 + half * steps  # (B, N, fine), pixels
    y = (boxes_BN4[..., 1:2] + boxes_BN4[..., 3:4]) / 2 + half * steps
    where = torch.stack(torch.broadcast_tensors(x[..., None, :] / width, y[..., :, None] / height), -1) * 2 - 1
    # one call for all crops of a frame, one below the other: a frame is not copied for each of its boxes
    picture = F.grid_sample(frames_BCHW, where.flatten(1, 2), "bilinear", "border", align_corners=False)
    picture = picture.unflatten(2, (count, fine)).transpose(1, 2)

    def between(at: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
        return ((at >= low) & (at <= high)).to(picture.dtype)

    x0, y0, x1, y1 = boxes_BN4.split(1, 2)
    inside = between(y, y0, y1)[..., :, None] * between(x, x0, x1)[..., None, :]
    shown = between(y, 0.0, float(height))[..., :, None] * between(x, 0.0, float(width))[..., None, :]
    planes = torch.cat([picture, (inside + shown - 1)[:, :, None]], 2).flatten(0, 1)
    return F.avg_pool2d(planes, _FINER).unflatten(0, (batch, count))


def places(boxes_BN4: Tensor, size: tuple[int, int]) -> Tensor:
    """Where boxes stand in a frame of (H, W) pixels and how large they are: (B, N, PLACE), each about -2..2.

    Sizes are logarithms, in pixels of a frame 128 high: with how high in the frame a thing's foot is, they tell
    a domino nearby from a wall far away.
    """
    height, width = size
    scale = torch.tensor([width, height] * 2, dtype=boxes_BN4.dtype, device=boxes_BN4.device)
    left, top, right, bottom = (boxes_BN4 / scale).split(1, 2)
    sides = (boxes_BN4[..., 2:] - boxes_BN4[..., :2]).clamp(min=1)
    wide, high = ((sides * (128 / height)).log() - math.log(24)).split(1, 2)
    touch = torch.cat([left < 0.01, top < 0.01, right > 0.99, bottom > 0.99], 2).to(boxes_BN4.dtype)
    return torch.cat([top * 2 - 1, bottom * 2 - 1, left + right - 1, wide, high, wide - high, touch], 2)


def mirrored(places_NG: Tensor) -> Tensor:
    """Places (..., PLACE) as they are in a frame whose left and right are exchanged."""
    top, bottom, across, wide, high, aspect, left, up, right, down = places_NG.split(1, -1)
    return torch.cat([top, bottom, -across, wide, high, aspect, right, up, left, down], -1)
