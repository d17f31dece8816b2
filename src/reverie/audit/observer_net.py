"""The observer's network: a frame to maps of what is in the middle of every cell.

Like CenterNet (Zhou et al. 2019, arXiv 1904.07850): a feature map at a quarter of the frame's size on
which every kind has a heat map with a peak in the middle of the visible part of each thing; at the peak
are read the distances to the edges of its whole box, its colour, a vector of its appearance, and its place: how
much of it is in sight, how large a metre is there, and how far it is above the ground.

Legend: B batch, H W pixels, h w cells of STRIDE pixels, C channels or colours, K kinds, E appearance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reverie.audit.second_look import SecondConfig, SecondLook
from reverie.core.errors import BadInput
from reverie.core.vocabulary import COLOURS, KINDS

STRIDE = 4  # pixels of a cell
SHORT_SIDE = 160  # pixels; larger frames are looked at in this size: training saw things no larger
_DEEPEST = 32  # pixels of the coarsest feature map's cells


@dataclass(frozen=True)
class ObserverConfig:
    """What an observer is built from.

    widths: channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the frame's size. appearance: numbers in an
    appearance vector. kinds, colours: how many of the vocabularies it knows (they only ever grow).
    threshold: confidence from which a peak counts as a thing. second: of the second look, if there is one.
    """

    widths: tuple[int, ...] = (24, 64, 96, 96, 96)
    appearance: int = 16
    kinds: int = len(KINDS)
    colours: int = len(COLOURS)
    threshold: float = 0.28
    second: SecondConfig | None = None

    def __post_init__(self) -> None:
        if isinstance(self.second, dict):  # of a file
            object.__setattr__(self, "second", SecondConfig(**self.second))
        object.__setattr__(self, "widths", tuple(self.widths))  # JSON gives lists
        if len(self.widths) != 5 or min(self.widths) < 1 or self.appearance < 1:
            raise BadInput(f"an observer has five widths and an appearance of at least 1, not {self}")
        if not (1 <= self.kinds <= len(KINDS) and 1 <= self.colours <= len(COLOURS)):
            raise BadInput(f"an observer of {self.kinds} kinds and {self.colours} colours: "
                           f"the vocabularies have {len(KINDS)} and {len(COLOURS)}")


@dataclass(frozen=True)
class Maps:
    """What the network says of every cell.

    kinds (B, K, h, w): logits of a thing's middle being here. colours (B, C, h, w): logits. edges
    (B, 4, h, w): logarithm of the distances from the cell's centre to the box's left, top, right and
    bottom, in cells. looks (B, E, h, w): appearance, of length 1. place (B, 3, h, w): logit of the share in
    sight, logarithm of a metre's size in cells, metres from the ground to the thing's lowest point.
    """

    kinds: Tensor
    colours: Tensor
    edges: Tensor
    looks: Tensor
    place: Tensor


class _Block(nn.Module):
    """Two 3x3 convolutions and the way around them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():  # a block begins as nothing but the way around
            self.second.weight.zero_()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return F.relu(x_BCHW + self.second(F.relu(self.first(x_BCHW))))


class ObserverNet(nn.Module):
    """Frames to Maps: down to 1/32 for the context, and up again to 1/4. ``second``: what looks at boxes."""

    def __init__(self, config: ObserverConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ObserverConfig()
        w2, w4, w8, w16, w32 = config.widths
        self.stem = nn.Conv2d(12, w2, 3, padding=1)
        self.down4 = nn.Conv2d(w2, w4, 3, 2, 1)
        self.level4 = _Block(w4)
        self.down8 = nn.Conv2d(w4, w8, 3, 2, 1)
        self.level8 = nn.Sequential(_Block(w8), _Block(w8))
        self.down16 = nn.Conv2d(w8, w16, 3, 2, 1)
        self.level16 = _Block(w16)
        self.down32 = nn.Conv2d(w16, w32, 3, 2, 1)
        self.level32 = _Block(w32)
        self.up16 = nn.Conv2d(w32, w16, 1)
        self.join16 = nn.Conv2d(w16, w16, 3, padding=1)
        self.up8 = nn.Conv2d(w16, w8, 1)
        self.join8 = _Block(w8)
        self.up4 = nn.Conv2d(w8, w4, 1)
        self.join4 = _Block(w4)
        self.find = nn.Conv2d(w4, w4, 3, padding=1)
        self.describe = nn.Conv2d(w4, w4, 3, padding=1)
        self.head_find = nn.Conv2d(w4, config.kinds, 1)
        self.head_describe = nn.Conv2d(w4, config.colours + 4 + config.appearance, 1)
        self.locate = nn.Conv2d(w4, w4, 3, padding=1)
        self.head_locate = nn.Conv2d(w4, 3, 1)
        second = config.second
        self.second = None if second is None else SecondLook(second, config.kinds, config.colours)
        # hardly any cell is a thing's middle
        self.head_find.bias = nn.Parameter(torch.full((config.kinds,), -4.0))

    def forward(self, frames_BCHW: Tensor) -> Maps:
        """frames: (B, 3, H, W) in -1..1, H and W multiples of 32."""
        x = F.pixel_unshuffle(frames_BCHW, 2).contiguous(memory_format=torch.channels_last)
        x4 = self.level4(F.relu(self.down4(F.relu(self.stem(x)))))
        x8 = self.level8(F.relu(self.down8(x4)))
        x16 = self.level16(F.relu(self.down16(x8)))
        x32 = self.level32(F.relu(self.down32(x16)))
        x16 = F.relu(self.join16(x16 + _doubled(self.up16(x32))))
        x8 = self.join8(F.relu(x8 + _doubled(self.up8(x16))))
        x4 = self.join4(F.relu(x4 + _doubled(self.up4(x8))))
        found = self.head_find(F.relu(self.find(x4))).float()
        described = self.head_describe(F.relu(self.describe(x4))).float()
        colours, edges, looks = described.split([self.config.colours, 4, self.config.appearance], 1)
        place = self.head_locate(F.relu(self.locate(x4))).float()
        return Maps(found, colours, edges.clamp(-6, 6), F.normalize(looks, dim=1), place)


def working_size(height: int, width: int) -> tuple[int, int]:
    """The size (multiples of 32) in which a frame is looked at: its own, unless it is large or uneven."""
    scale = min(1.0, SHORT_SIDE / min(height, width)) / _DEEPEST
    return max(1, round(height * scale)) * _DEEPEST, max(1, round(width * scale)) * _DEEPEST


def resized(frames_BHWC: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 frames (B, H, W, 3) in another size, smoothly; the very same where it is the size they have."""
    if tuple(frames_BHWC.shape[1:3]) == tuple(size):
        return frames_BHWC
    planes = frames_BHWC.permute(0, 3, 1, 2).float()
    planes = F.interpolate(planes, size, mode="bilinear", antialias=True, align_corners=False)
    return planes.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def to_input(frames_BHWC: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) to float (B, 3, H, W) in -1..1."""
    return frames_BHWC.permute(0, 3, 1, 2).float() / 127.5 - 1


def _doubled(x_BCHW: Tensor) -> Tensor:
    return F.interpolate(x_BCHW, scale_factor=2, mode="nearest")
