"""Control videos: what Reverie imagined, as depth, kinds, boxes and edges, for a large model to paint over.

They are computed from the things, their camera and the ground, pixel by pixel and exactly: no estimator guesses them
from pictures. Balls, boxes, cylinders and cones are met by rays in closed form; things of other shapes (people, dogs,
chairs) have the outline that the canvas draws them with. Legend: N latents, F frames of a latent, P pixels, S slots.
"""

from __future__ import annotations

import colorsys
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reverie.core.errors import CannotWrite, ReverieError
from reverie.core.files import reason, writing
from reverie.core.vocabulary import KINDS as THINGS
from reverie.core.vocabulary import MAX_THINGS
from reverie.model import things as th
from reverie.model.block import describe
from reverie.model.canvas import Scene
from reverie.model.solids import Table
from reverie.model.stage import FAR, rays

KINDS = ("depth", "kinds", "boxes", "edges")
F = th.F
BALLS, TUBES, CONES = ("ball", "basketball"), ("cylinder",), ("cone",)
FLAT = ("box", "plank", "domino", "wall", "screen")
GROUND, SKY = -1, -2  # where no thing is
CREASE = 0.02  # of the nearest disparity, a bend of it from pixel to pixel that is an edge of a flat-sided thing
NEAR_SIDE = 48  # pixels of the pictures in which the nearest surface of the whole video is looked for


def colour_of(number: int) -> tuple[int, int, int]:
    """A bright colour for a kind or a slot, far from its neighbours' in hue."""
    return tuple(round(255 * v) for v in colorsys.hsv_to_rgb(number * 0.618034 % 1, 0.85 - 0.3 * (number % 3 == 2), 1))


GROUND_COLOUR, SKY_COLOUR = (80, 80, 80), (0, 0, 0)


class Happening:
    """What was imagined: vectors (N, S + 2, WIDTH), one latent after another, at ``fps`` frames per second. canvas: of
    the model that imagined it, or None. pictures: uint8 (T, H, W, 3) of it, or None."""

    def __init__(self, vectors: np.ndarray, fps: float, canvas: Any = None, pictures: np.ndarray | None = None):
        self.vectors, self.fps, self.canvas, self.pictures = torch.from_numpy(vectors).float(), fps, canvas, pictures
        self.table = Table.plain() if canvas is None else canvas.table.to("cpu")
        self._kept: tuple[tuple, tuple[Tensor, Tensor]] | None = None
        self._near: float | None = None

    def frame_at(self, seconds: float) -> int:
        """The number of the frame nearest to that time."""
        return min(max(round(seconds * self.fps), 0), len(self.vectors) * F - 1)

    def frame(self, kind: str, number: int, size: tuple[int, int]) -> np.ndarray:
        """Frame ``number`` as a control frame, uint8 (H, W, 3). kind: one of KINDS, or "picture"."""
        if kind == "picture":
            return self._picture(number, size)
        if kind == "boxes":
            return self._boxes(number, size)
        depth, slots = (values[number % F].view(size) for values in self._seen(number // F, size))
        if kind == "depth":  # nearer is brighter, as depth estimators have it
            near, far = 1 / self.nearest(), 1 / FAR
            grey = ((1 / depth - far) / (near - far)).clamp(0, 1)
            return (grey[..., None].expand(*size, 3) * 255).round().byte().numpy()
        if kind == "kinds":
            return self._palette(number)[(slots + 2).numpy()]
        return self._edges(depth, slots, number)

    def rows(self, numbers: list[int], first: int, fps: float, size: tuple[int, int]) -> list[dict]:
        """The things in our frames ``numbers``, as rows of a video at ``fps`` whose frames from ``first`` on they are:
        see reverie.world.Block."""
        found = []
        for place, number in enumerate(numbers):
            latent = self.vectors[number // F].numpy()
            for row in describe(latent, number // F * F, self.fps, *size, self.table):
                if row["frame"] == number:
                    found.append({**row, "frame": first + place, "time": round((first + place) / fps, 4)})
        return found

    def nearest(self) -> float:
        """Metres to the nearest surface that is ever seen, which is white in every frame: depth does not pump."""
        if self._near is None:
            seen = [self._seen(n, (NEAR_SIDE, NEAR_SIDE))[0] for n in range(0, len(self.vectors), 2)]
            self._near = max(0.3, float(torch.stack([torch.quantile(d.flatten(), 0.002) for d in seen]).min()))
        return self._near

    # -- the four kinds ----------------------------------------------------------------------------------------

    def _palette(self, number: int) -> np.ndarray:
        """(S + 2, 3) uint8: sky, ground, and each slot by its kind."""
        kinds = self._kind(number // F)
        return np.array([SKY_COLOUR, GROUND_COLOUR, *(colour_of(int(kind)) for kind in kinds)], np.uint8)

    def _kind(self, n: int) -> Tensor:
        return self.vectors[n, :MAX_THINGS, th.THING["kind"]].argmax(-1).clamp(max=len(THINGS) - 1)

    def _boxes(self, number: int, size: tuple[int, int]) -> np.ndarray:
        """Outlines of the things' boxes, each thing in its own colour from beginning to end."""
        picture, thick = np.zeros((*size, 3), np.uint8), max(1, min(size) // 120)
        for row in self.rows([number], number, self.fps, size):
            if row["box"] is None:
                continue
            x0, y0, x1, y1 = (round(v) for v in row["box"])
            inner = picture[y0 + thick : y1 - thick, x0 + thick : x1 - thick].copy()
            picture[y0:y1, x0:x1] = colour_of(row["thing"])
            picture[y0 + thick : y1 - thick, x0 + thick : x1 - thick] = inner
        return picture

    def _edges(self, depth: Tensor, slots: Tensor, number: int) -> np.ndarray:
        """White where one thing ends and another begins, and along the edges of flat-sided things: over a plane the
        disparity (1 / depth) changes evenly from pixel to pixel."""
        flat = torch.tensor([THINGS[int(kind)] in FLAT for kind in self._kind(number // F)] + [False])
        edge = torch.zeros(slots.shape, dtype=torch.bool)
        near = 1 / depth
        for axis in (0, 1):
            one, two = slots.narrow(axis, 0, slots.shape[axis] - 1), slots.narrow(axis, 1, slots.shape[axis] - 1)
            edge.narrow(axis, 0, slots.shape[axis] - 1).logical_or_(one != two)
            length = slots.shape[axis] - 2
            before, here, behind = (near.narrow(axis, shift, length) for shift in range(3))
            inside = flat[slots.narrow(axis, 1, length).clamp(min=-1)]
            bend = (before - 2 * here + behind).abs() > CREASE / self.nearest()
            edge.narrow(axis, 1, length).logical_or_(bend & inside)
        return (edge[..., None].expand(*slots.shape, 3) * 255).byte().numpy()

    def _picture(self, number: int, size: tuple[int, int]) -> np.ndarray:
        from PIL import Image, ImageOps

        if self.pictures is None:
            raise ReverieError("there are no pictures of what was imagined")
        picture = Image.fromarray(self.pictures[min(number, len(self.pictures) - 1)])
        return np.asarray(ImageOps.fit(picture, (size[1], size[0]), Image.Resampling.LANCZOS))

    # -- what each ray meets -----------------------------------------------------------------------------------

    @torch.inference_mode()
    def _seen(self, n: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """(depth (F, P) in metres along the view's axis, slots (F, P)) of latent n; the last one is kept."""
        key = (n, size)
        if self._kept is not None and self._kept[0] == key:
            return self._kept[1]
        tokens = self.vectors[n]
        origin, direction, _ = rays(tokens[None, th.CAMERA_TOKEN], *size)
        origin, direction = origin[0], direction[0]  # (F, 3), (F, P, 3)
        down = direction[..., 2]
        depth = torch.where(down < -1e-4, -origin[:, None, 2] / down.clamp(max=-1e-4), FAR).clamp(0.1, FAR)
        slots = torch.where(depth < FAR, GROUND, SKY)
        for slot in (tokens[:MAX_THINGS, 0] > 0).nonzero()[:, 0].tolist():
            met = self._meet(tokens, slot, origin, direction, size)
            nearer = met < depth
            depth, slots = torch.where(nearer, met, depth), torch.where(nearer, slot, slots)
        self._kept = key, (depth, slots)
        return depth, slots

    def _meet(self, tokens: Tensor, slot: int, origin: Tensor, direction: Tensor, size: tuple[int, int]) -> Tensor:
        """(F, P): how far along each ray the thing's surface is, infinite where it is not met."""
        thing = tokens[slot]
        name = THINGS[min(int(thing[th.THING["kind"]].argmax()), len(THINGS) - 1)]
        half, turn = th.extents_of(thing), th.turns_of(thing)  # (3,), (F, 3, 3)
        o = torch.einsum("fij,fi->fj", turn, origin - th.positions_of(thing)) / half
        d = torch.einsum("fij,fpi->fpj", turn, direction) / half
        o, d = o[:, None], torch.where(d.abs() < 1e-6, 1e-6, d)
        if name in BALLS:
            return _first(*_quadric(o, d, (1, 1, 1), 1.0))
        if name in TUBES:
            return _first(*_both(_quadric(o, d, (1, 1, 0), 1.0), _slab(o, d, (2,))))
        if name in CONES:
            return _first(*_both(_cone(o, d), _slab(o, d, (2,))))
        enter, leave = _slab(o, d, (0, 1, 2))
        if name in FLAT or self.canvas is None:
            return _first(enter, leave)
        seen = thing[None, None], tokens[None, th.CAMERA_TOKEN], tokens[None, th.SETTING_TOKEN]
        drawn = self.canvas(Scene(*(part.to(self.canvas.bodies.device) for part in seen)), *size)
        middle = (torch.maximum(enter, torch.zeros_like(enter)) + leave) / 2
        beside = (-(o * d).sum(-1) / d.square().sum(-1)).clamp(min=0.1)  # drawn a little beyond its box
        where = torch.where(enter < leave, middle, beside)
        return torch.where(drawn.cover[0, ..., 0].cpu() > 0.5, where, torch.inf)


def _first(enter: Tensor, leave: Tensor) -> Tensor:
    """The first surface in front of the eye."""
    return torch.where((enter < leave) & (leave > 0.1), enter.clamp(min=0.1), torch.inf)


def _both(one: tuple[Tensor, Tensor], two: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return torch.maximum(one[0], two[0]), torch.minimum(one[1], two[1])


def _slab(o: Tensor, d: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Where rays enter and leave -1..1 along these axes."""
    middle, half = -o[..., axes] / d[..., axes], 1 / d[..., axes].abs()
    return (middle - half).amax(-1), (middle + half).amin(-1)


def _quadric(o: Tensor, d: Tensor, weights: tuple[float, float, float], square: float) -> tuple[Tensor, Tensor]:
    """Where rays enter and leave sum(w x^2) < square."""
    w = d.new_tensor(weights)
    return _roots((w * d * d).sum(-1), (w * o * d).sum(-1), (w * o * o).sum(-1) - square)


def _cone(o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays enter and leave the cone whose tip is at z = 1 and whose radius is 1 at z = -1: as far as its slab
    goes, its mirror image above the tip is out of reach."""
    w = d.new_tensor((1.0, 1.0, -0.25))
    shifted = o - d.new_tensor((0.0, 0.0, 1.0))
    a, b, c = (w * d * d).sum(-1), (w * shifted * d).sum(-1), (w * shifted * shifted).sum(-1)
    enter, leave = _roots(a, b, c)
    steep = a < 0  # such a ray is inside beyond one of its roots; the slab bounds the other side
    low = torch.where(d[..., 2] < 0, torch.maximum(enter, leave), torch.full_like(enter, -torch.inf))
    high = torch.where(d[..., 2] < 0, torch.full_like(enter, torch.inf), torch.minimum(enter, leave))
    return torch.where(steep, low, enter), torch.where(steep, high, leave)


def _roots(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Roots of a t^2 + 2 b t + c in order; (inf, -inf) where there are none."""
    inside = b * b - a * c
    root = inside.clamp(min=0).sqrt()
    a = torch.where(a.abs() < 1e-9, 1e-9, a)
    one, two = (-b - root) / a, (-b + root) / a
    none = inside < 0
    return (torch.where(none, torch.inf, torch.minimum(one, two)),
            torch.where(none, -torch.inf, torch.maximum(one, two)))


# -- files -----------------------------------------------------------------------------------------------------


def write(folder: str | Path, happening: Happening, *, size: tuple[int, int], fps: float, frames: int,
          note: Callable[[str], None] = lambda text: None) -> list[str]:
    """Write ``frames`` control frames of each kind as KIND.mp4, and things.jsonl, into ``folder``, which is made.

    size (H, W), even; fps: at which our nearest frames are taken. Returns the files. Raises CannotWrite.
    """
    from reverie.core.video import VideoWriter

    folder = Path(folder)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"cannot make the folder {folder}: {reason(error)}") from error
    numbers = [happening.frame_at(k / fps) for k in range(frames)]
    legend = {"kinds": {name: colour_of(i) for i, name in enumerate(THINGS)} | {"ground": GROUND_COLOUR},
              "depth": f"white is {happening.nearest():.2f} m away, black {FAR:g} m, evenly in 1 / distance"}
    writers = [VideoWriter(folder / f"{kind}.mp4", fps=fps, size=size, crf=12,
                           metadata={"made_by": "reverie", "control": kind, "legend": legend.get(kind, "")})
               for kind in KINDS]
    try:
        for number in numbers:
            for kind, writer in zip(KINDS, writers, strict=True):
                writer.write(happening.frame(kind, number, size)[None])
        for writer in writers:
            writer.close()
    finally:
        for writer in writers:
            if writer.kept is None:
                writer.discard()
    with writing(folder / "things.jsonl") as file:
        for row in happening.rows(numbers, 0, fps, size):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    note(f"the control videos ({', '.join(KINDS)}) are in {folder}")
    return [str(folder / f"{kind}.mp4") for kind in KINDS] + [str(folder / "things.jsonl")]
