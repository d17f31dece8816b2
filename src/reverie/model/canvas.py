"""The canvas: a picture of a latent's frames, drawn from its things, camera and setting.

From each pixel four rays go out through the camera. What things are made of is known (solids.py), so where a ray meets
which of them first is computed, and how far the light is on its way to that place and to the ground: edges and shadows
are as sharp as the pixels, whatever the latents say. How a face is lit that looks there, in such a setting, is
learned, and so is the setting, from where a pixel's ray meets the ground.

Legend: X latents (batch and time as one), F frames of a latent, S thing slots, N solids, P pixels of a frame, K rays
through a pixel, M pairs of a pixel and a solid, R looks, E features. Colours are in 0..1 here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reverie.model import faces, stage
from reverie.model import things as th
from reverie.model.solids import Table, rows, solids_of

if TYPE_CHECKING:
    from reverie.model.plate import Plate

_LOOK = th.SETTING["look"].stop
POINTS = 1 << 14  # at which a network is asked at once, where it learns nothing: what it makes stays in the cache


@dataclass
class Scene:
    """What is drawn: things (X, S, WIDTH), camera (X, WIDTH), setting (X, WIDTH), finished (not noisy)."""

    things: Tensor
    camera: Tensor
    setting: Tensor

    @classmethod
    def of(cls, tokens: Tensor) -> Scene:
        """Of a latent's tokens (X, S + 2, WIDTH), as a rollout gives them; slots that are empty everywhere are left
        out."""
        things = tokens[:, :-2]
        used = (things[..., 0] > 0).any(0).nonzero()[:, 0]
        return cls(things[:, used], tokens[:, -2], tokens[:, -1])


@dataclass
class Drawing:
    """A canvas: ``things`` (X, F, P, 3) their colours times their cover, ``cover`` (X, F, P, 1), ``back``
    (X, F, P, 3) what is behind them, shadows included, ``shade`` (X, F, P, 1) how much of it is shadow; in 0..1."""

    things: Tensor
    cover: Tensor
    back: Tensor
    shade: Tensor

    @property
    def picture(self) -> Tensor:
        """(X, F, P, 3) in 0..1."""
        return self.things + (1 - self.cover) * self.back


class Field(nn.Module):
    """A network asked at single points: E numbers of a point, in the light of a row of conditions."""

    def __init__(self, numbers: int, conditions: int, hidden: int, out: int) -> None:
        super().__init__()
        self.condition = nn.Linear(conditions, 3 * hidden)
        self.enter = nn.Linear(numbers, hidden)
        self.mix = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(2))
        self.out = nn.Linear(hidden, out)

    def forward(self, numbers: Tensor, conditions: Tensor, row: Tensor | None = None) -> Tensor:
        """numbers (M, E) with conditions (R, C) of row (M,), or (R, M, E) with one row of conditions for each R."""
        found = self.condition(conditions)
        if row is not None and len(found) > 1:
            found = rows(found, row)
        if torch.is_grad_enabled():
            return self._asked(numbers, found if row is not None else found[:, None])
        if row is not None:
            return self._in_pieces(numbers, found)
        return torch.stack([self._in_pieces(*look) for look in zip(numbers, found[:, None], strict=True)])

    def _in_pieces(self, numbers: Tensor, found: Tensor) -> Tensor:
        """Of numbers (M, E), with (1 or M, 3 hidden) found of the conditions."""
        pieces = zip(numbers.split(POINTS), found.expand(len(numbers), -1).split(POINTS), strict=True)
        return torch.cat([self._asked(*piece) for piece in pieces])

    def _asked(self, numbers: Tensor, found: Tensor) -> Tensor:
        over = not torch.is_grad_enabled()  # what is no longer needed may be written over: it is still in the cache
        base, *gains = found.chunk(3, -1)
        x = self.enter(numbers)
        x = F.silu(torch.add(x, base, out=x if over else None), inplace=over)
        for layer, gain in zip(self.mix, gains, strict=True):
            more = layer(x)
            more = F.silu(torch.mul(more, 1 + gain, out=more if over else None), inplace=over)
            x = torch.add(x, more, out=x if over else None)
        return self.out(x)


class Canvas(nn.Module):
    """Draws scenes; see the module's head. What things are made of it is taught (train.bodies); until
    then they are boxes."""

    bodies: Tensor
    extents: Tensor
    gaits: Tensor
    tints: Tensor

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.light = Field(faces.NUMBERS, _LOOK, hidden // 2, 6)
        self.ground = Field(stage.NUMBERS, _LOOK, 3 * hidden // 4, 6)
        for name, part in vars(Table.plain()).items():
            self.register_buffer(name, part)
        self._kept: tuple[tuple, stage.Stage, Tensor] | None = None

    @property
    def table(self) -> Table:
        """What things are made of."""
        return Table(self.bodies, self.extents, self.gaits, self.tints)

    def train(self, mode: bool = True) -> Canvas:
        """As nn.Module's; what was kept of other weights is forgotten."""
        self._kept = None
        return super().train(mode)

    def forward(self, scene: Scene, height: int, width: int, pixels: Tensor | None = None,
                plate: Plate | None = None) -> Drawing:
        """The whole pictures of height x width pixels, or the pixels (X, F, P) of them, numbered row by row. plate:
        what was seen behind the things."""
        things, camera, setting = (v.float() for v in (scene.things, scene.camera, scene.setting))
        seen, colours = self._stage(camera, setting, height, width, pixels, plate)
        with torch.no_grad(), torch.autocast(scene.camera.device.type, enabled=False):
            solids = solids_of(things, self.table)
            watched = (seen.of[:, -1] == seen.of[:, 0])[:, None]  # by a camera that stands still
            solids.rests = solids.rests & watched
            met, shade = faces.faces_seen(solids, seen, camera, setting), faces.shadows(solids, seen)
        shape = seen.direction.shape[:3]
        gain, glow = self.light(met.numbers, setting[:, :_LOOK], met.row).float().chunk(2, -1)
        colour = (met.tint * F.softplus(gain + 0.3) + F.softplus(glow - 4)).clamp(max=1)
        drawn = colour.new_zeros(math.prod(shape), 3).index_add(0, met.ray, colour * met.share[:, None])
        cover = met.share.new_zeros(math.prod(shape)).index_add(0, met.ray, met.share)
        if pixels is None:
            shade = _softened(shade, height, width)
        lit, dark = rows(colours, seen.of).chunk(2, -1)
        shade = shade[..., None]
        return Drawing(drawn.view(*shape, 3), cover.view(*shape, 1), lit + shade * (dark - lit), shade)

    @torch.no_grad()
    def empty(self, camera: Tensor, setting: Tensor, height: int, width: int) -> Tensor:
        """(X, 3, H, W) what is seen where nothing stands, by cameras (X, WIDTH) that do not move."""
        _, colours = self._stage(camera, setting, height, width, None, None)
        return colours[..., :3].unflatten(1, (height, width)).permute(0, 3, 1, 2)

    def _stage(self, camera: Tensor, setting: Tensor, height: int, width: int, pixels: Tensor | None,
               plate: Plate | None) -> tuple[stage.Stage, Tensor]:
        """What there is to see without things, and its colours (R, P, 6) lit and in the shade. The last one is kept:
        from latent to latent a camera mostly stands still."""
        key, alone = (camera, setting, height, width, plate), pixels is None and not torch.is_grad_enabled()
        if alone and self._kept is not None:
            before, seen, colours = self._kept
            if before[2:] == key[2:] and torch.equal(before[0], camera) and torch.equal(before[1], setting):
                return seen, colours
        with torch.no_grad(), torch.autocast(camera.device.type, enabled=False):
            seen = stage.stage_of(camera, setting, height, width, pixels)
        colours = torch.sigmoid(self.ground(seen.numbers, setting[seen.row, :_LOOK]).float())
        if plate is not None:
            colours = plate.laid(colours, *seen.looks)
        if alone and len(camera) == 1:
            self._kept = (key, seen, colours)
        return seen, colours


def _softened(shade: Tensor, height: int, width: int) -> Tensor:
    """(X, F, P) with edges as wide as a pixel."""
    across = F.pad(shade.flatten(0, 1).view(-1, height, width), (1, 1, 1, 1), mode="replicate")
    down = across[:, :, :-2] + 2 * across[:, :, 1:-1] + across[:, :, 2:]
    return ((down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]) / 16).view(shade.shape)
