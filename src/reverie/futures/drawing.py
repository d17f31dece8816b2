"""Futures as pictures: side by side with how far they have come apart, tracks over a video, and the ways of the camera
from above."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reverie.core.camera import CameraPath
from reverie.core.files import writing

if TYPE_CHECKING:
    from collections.abc import Iterator

# told apart by people who see few colours too
TINTS = ((59, 130, 246), (245, 158, 11), (16, 185, 129), (168, 85, 247), (6, 182, 212), (217, 140, 95), (132, 184, 25),
         (99, 102, 241), (232, 111, 181), (13, 148, 136))
PAPER, INK, RAIL = (255, 255, 255), (30, 34, 38), (205, 209, 214)
COLUMNS, LEAST = 4, 160  # futures in a row; pixels that a future's shorter side is shown in at least
LABEL, PLOT = 18, 110  # pixels of a future's name, and of the curves below


def tint(k: int) -> tuple[int, int, int]:
    """The colour of future k."""
    return TINTS[k % len(TINTS)]


def tiled(views: Sequence[np.ndarray]) -> np.ndarray:
    """The frames (T, H, W, 3) of several cameras as one picture, at most COLUMNS in a row."""
    columns = min(COLUMNS, len(views))
    blank = np.zeros_like(views[0])
    rows = [list(views[i : i + columns]) for i in range(0, len(views), columns)]
    rows[-1] += [blank] * (columns - len(rows[-1]))
    return np.concatenate([np.concatenate(row, 2) for row in rows], 1)


def enlargement(size: tuple[int, int]) -> int:
    """How many times (H, W) is enlarged to be looked at."""
    return max(1, -(-LEAST // min(size)))


class Comparison:
    """Futures side by side, and below them curves that grow. futures: (T, H, W, 3) each; curves: (name, (T,))."""

    def __init__(self, futures: Sequence[np.ndarray], curves: Sequence[tuple[str, np.ndarray]], fps: float) -> None:
        self.futures, self.fps = futures, fps
        self.curves = [(name, values) for name, values in curves if np.isfinite(values).any()]
        self.times = enlargement(futures[0].shape[1:3])
        self.columns = min(COLUMNS, len(futures))
        rows = -(-len(futures) // self.columns)
        self.cell = futures[0].shape[1] * self.times + LABEL, futures[0].shape[2] * self.times
        wide, high = max(self.cell[1] * self.columns, 320), self.cell[0] * rows + PLOT * len(self.curves)
        self.size = high + high % 2, wide + wide % 2
        self.font = ImageFont.load_default(12)

    def frames(self) -> Iterator[np.ndarray]:
        """The frames, uint8 (*size, 3), first to last."""
        for number in range(len(self.futures[0])):
            page = Image.new("RGB", self.size[::-1], PAPER)
            brush = ImageDraw.Draw(page)
            for k, future in enumerate(self.futures):
                top, left = self.cell[0] * (k // self.columns), self.cell[1] * (k % self.columns)
                brush.rectangle((left, top, left + self.cell[1] - 1, top + LABEL - 1), fill=tint(k))
                brush.text((left + 4, top + 2), f"future {k + 1}", fill=PAPER, font=self.font)
                shown = Image.fromarray(future[number])
                page.paste(shown.resize((self.cell[1], self.cell[0] - LABEL), Image.Resampling.NEAREST),
                           (left, top + LABEL))
            first = self.cell[0] * -(-len(self.futures) // self.columns)
            for c, (name, values) in enumerate(self.curves):
                self._curve(brush, name, values, number, first + PLOT * c)
            yield np.asarray(page)

    def _curve(self, brush: ImageDraw.ImageDraw, name: str, values: np.ndarray, now: int, top: int) -> None:
        left, right, high, low = 8, self.size[1] - 8, top + 24, top + PLOT - 10
        most = max(float(np.nanmax(values)), 1e-6)
        brush.line((left, low, right, low), fill=RAIL)
        shown = f"{values[now]:.3g}" if np.isfinite(values[now]) else "?"
        brush.text((left, top + 5), f"{name}: {shown} at {now / self.fps:.1f} s", fill=INK, font=self.font)
        brush.text((right, top + 5), f"most {most:.3g}", fill=INK, font=self.font, anchor="ra")
        step = (right - left) / max(len(values) - 1, 1)
        points = [(left + step * t, low - (low - high) * float(values[t]) / most)
                  for t in np.flatnonzero(np.isfinite(values))]
        if len(points) > 1:
            brush.line(points, fill=RAIL, width=2)
        so_far = points[: int(np.isfinite(values[: now + 1]).sum())]
        if len(so_far) > 1:
            brush.line(so_far, fill=TINTS[0], width=2)


def from_above(paths: Sequence[CameraPath], names: Sequence[str], side: int = 640) -> Image.Image:
    """The ways of cameras from above, x to the right and y up: where each began, a dot; which way it looked, thin
    lines; and a scale in metres."""
    page, font = Image.new("RGB", (side, side), PAPER), ImageFont.load_default(12)
    brush = ImageDraw.Draw(page)
    spots = np.concatenate([path.position[:, :2] for path in paths]).astype(float)
    middle = (spots.max(0) + spots.min(0)) / 2
    reach = max(float((spots.max(0) - spots.min(0)).max()) * 1.3, 1.0)
    scale = (side - 80) / reach

    def at(spot: np.ndarray) -> tuple[float, float]:
        return (side / 2 + float(spot[0] - middle[0]) * scale, side / 2 - float(spot[1] - middle[1]) * scale)

    for k, path in enumerate(paths):
        line = [at(spot) for spot in path.position[:, :2].astype(float)]
        brush.line([*line, line[-1]], fill=tint(k), width=3, joint="curve")
        for t in sorted({*range(0, len(path), max(1, len(path) // 6)), len(path) - 1}):
            look = -path.rotation[t][:2, 2].astype(float)
            tip = line[t][0] + 22 * look[0], line[t][1] - 22 * look[1]
            brush.line((*line[t], *tip), fill=tint(k), width=1)
        x, y = line[0]
        brush.ellipse((x - 4, y - 4, x + 4, y + 4), outline=INK)
        brush.text((8, 8 + 15 * k), names[k], fill=tint(k), font=font)
    metre = next(m for m in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1e9) if m * scale > 60)
    brush.line((side - 20 - metre * scale, side - 20, side - 20, side - 20), fill=INK, width=2)
    brush.text((side - 20, side - 38), f"{metre:g} m", fill=INK, font=font, anchor="ra")
    return page


def from_its_start(path: CameraPath) -> CameraPath:
    """A way as seen from where it began: from the origin, looking along y."""
    x, y = -path.rotation[0][:2, 2].astype(float)
    length = max(float(np.hypot(x, y)), 1e-6)
    turn = np.array([[y / length, -x / length, 0], [x / length, y / length, 0], [0, 0, 1]])
    return CameraPath((path.position - path.position[0] * [1, 1, 0]) @ turn.T, turn @ path.rotation, path.fovy)


def save(picture: Image.Image, path: Path) -> None:
    """As a PNG, whole or not at all. Raises CannotWrite."""
    with writing(path, "wb") as file:
        picture.save(file, "PNG")
