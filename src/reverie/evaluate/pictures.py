"""Pictures that suites make to be looked at: written whole or not at all, and lines over numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

INKS = ((31, 92, 166), (200, 60, 40), (40, 140, 70), (130, 70, 160))
PANEL, MARGIN = (300, 190), (56, 40)  # pixels of one plot's inside, and around it: at the sides, above and below
_INK, _GRID = (30, 30, 30), (222, 222, 222)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG under its name when it is complete, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    picture.save(part, "PNG")
    part.replace(path)


def plots(panels: Sequence[tuple[str, str, dict[str, Sequence[float]]]], xs: Sequence[float], across: str
          ) -> Image.Image:
    """Plots side by side: (title, unit, name -> a value for each of xs), with lines through the points. across: what xs
    are. Values start at 0."""
    wide, high = PANEL[0] + 2 * MARGIN[0], PANEL[1] + 2 * MARGIN[1]
    picture = Image.new("RGB", (wide * len(panels), high), (255, 255, 255))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    for p, (title, unit, lines) in enumerate(panels):
        left, top = p * wide + MARGIN[0], MARGIN[1]
        # with room above the lines for their names
        most = max((v for values in lines.values() for v in values), default=0.0) * (1.07 + 0.08 * len(lines)) or 1.0
        span = max(xs) - min(xs) or 1.0

        def at(x: float, y: float, left: int = left, top: int = top, most: float = most, span: float = span
               ) -> tuple[float, float]:
            return left + 12 + (PANEL[0] - 24) * (x - min(xs)) / span, top + PANEL[1] * (1 - y / most)

        draw.text((left, 8), f"{title} ({unit})", _INK, font)
        for k in range(5):
            y = at(min(xs), most * k / 4)[1]
            draw.line((left, y, left + PANEL[0], y), _GRID)
            draw.text((left - 6, y), f"{most * k / 4:.3g}", _INK, font, anchor="rm")
        for x in xs:
            draw.text((at(x, 0)[0], top + PANEL[1] + 4), f"{x:g}", _INK, font, anchor="mt")
        draw.text((left + PANEL[0] / 2, top + PANEL[1] + 20), across, _INK, font, anchor="mt")
        for n, (name, values) in enumerate(lines.items()):
            ink, points = INKS[n % len(INKS)], [at(x, y) for x, y in zip(xs, values, strict=True)]
            draw.line(points, ink, 2)
            for x, y in points:
                draw.ellipse((x - 3, y - 3, x + 3, y + 3), ink)
            draw.text((left + PANEL[0] - 4, top + 4 + 14 * n), name, ink, font, anchor="ra")
    return picture


def scatters(panels: Sequence[tuple[str, str, Sequence[float], Sequence[float]]], across: str, up: str) -> Image.Image:
    """Clouds of points side by side, with the line on which both are the same: (title, unit, xs, ys)."""
    wide, high = PANEL[0] + 2 * MARGIN[0], PANEL[0] + 2 * MARGIN[1]
    picture = Image.new("RGB", (wide * len(panels), high), (255, 255, 255))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    for p, (title, unit, xs, ys) in enumerate(panels):
        left, top = p * wide + MARGIN[0], MARGIN[1]
        most = max((abs(v) for v in (*xs, *ys)), default=0.0) * 1.05 or 1.0

        def at(x: float, y: float, left: int = left, top: int = top, most: float = most) -> tuple[float, float]:
            return left + PANEL[0] * (x / most + 1) / 2, top + PANEL[0] * (1 - y / most) / 2

        draw.text((left, 4), f"{title} ({unit})", _INK, font)
        draw.text((left, 20), up, _INK, font)
        for k in (-most, -most / 2, 0.0, most / 2, most):
            draw.line((at(k, -most), at(k, most)), _GRID)
            draw.line((at(-most, k), at(most, k)), _GRID)
            draw.text((at(k, 0)[0], top + PANEL[0] + 4), f"{k:.2g}", _INK, font, anchor="mt")
            draw.text((left - 6, at(0, k)[1]), f"{k:.2g}", _INK, font, anchor="rm")
        draw.line((at(-most, -most), at(most, most)), INKS[1], 1)
        for x, y in zip(xs, ys, strict=True):
            spot = at(x, y)
            draw.ellipse((spot[0] - 2, spot[1] - 2, spot[0] + 2, spot[1] + 2), INKS[0])
        draw.text((left + PANEL[0] / 2, top + PANEL[0] + 20), across, _INK, font, anchor="mt")
    return picture
