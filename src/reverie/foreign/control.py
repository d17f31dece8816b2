"""Control videos: what Reverie imagined, as depth, kinds, boxes and edges, for a large model to paint over.

They are computed from what the things are made of, their camera and the ground, pixel by pixel and exactly: no
estimator guesses them from pictures. Legend: N latents, F frames of a latent, P pixels, S slots.
"""

from __future__ import annotations

import colorsys
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reverie.core.errors import CannotWrite, ReverieError
from reverie.core.files import reason, writing
from reverie.core.vocabulary import KINDS as THINGS
from reverie.core.vocabulary import MAX_THINGS
from reverie.model import things as th
from reverie.model.block import describe
from reverie.model.faces import surfaces
from reverie.model.solids import Table, solids_of
from reverie.model.stage import FAR, rays

KINDS = ("depth", "kinds", "boxes", "edges")
F = th.F
FLAT = ("box", "plank", "domino", "wall", "screen")
GROUND, SKY = -1, -2  # where no thing is
CREASE = 0.02  # of the nearest disparity, a bend of it from pixel to pixel that is an edge of a flat-sided thing
NEAR_SIDE = 48  # pixels of the pictures in which the nearest surface of the whole video is looked for


def colour_of(number: int) -> tuple[int, int, int]:
    """A bright colour for a kind or a slot, far from its neighbours' in hue."""
    return tuple(round(255 * v) for v in colorsys.hsv_to_rgb(number * 0.618034 % 1, 0.85 - 0.3 * (number % 3 == 2), 1))


GROUND_COLOUR, SKY_COLOUR = (80, 80, 80), (0, 0, 0)


class Happening:
    """What was imagined: vectors (N, S + 2, WIDTH), one latent after another, at ``fps`` frames per second. table: what
    things are made of. pictures: uint8 (T, H, W, 3) of it, or None."""

    def __init__(self, vectors: np.ndarray, fps: float, table: Table, pictures: np.ndarray | None = None):
        self.vectors, self.fps, self.table, self.pictures = torch.from_numpy(vectors).float(), fps, table, pictures
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
        far, body = (part[0] for part in surfaces(solids_of(tokens[None, :MAX_THINGS], self.table), origin[None],
                                                  direction[None]))
        nearer = far < depth
        depth = torch.where(nearer, far.clamp(min=0.1), depth)
        slots = torch.where(nearer, torch.where(body < MAX_THINGS, body, GROUND), slots)  # what holds things is none
        self._kept = key, (depth, slots)
        return depth, slots


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
