"""What cars, vans, trucks and those who ride bicycles or walk are made of.

An agent's own frame: x forward, y to the left, z up, from the middle of its footprint on the ground, metres.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from reverie.data.scenes.bodies import TINTS, Geom, make
from reverie.data.scenes.gaits import STRIDE, pose

# sRGB of what is the same in every agent
PARTS = {**TINTS, "glass": (0.13, 0.17, 0.21), "tyre": (0.06, 0.06, 0.07), "hub": (0.55, 0.56, 0.58),
         "lamp": (0.95, 0.94, 0.85), "tail": (0.75, 0.05, 0.05), "cargo": (0.90, 0.90, 0.88)}
PAINTS = ((0.80, 0.08, 0.08), (0.10, 0.22, 0.70), (0.93, 0.93, 0.93), (0.12, 0.12, 0.13), (0.60, 0.62, 0.65),
          (0.10, 0.45, 0.20), (0.95, 0.78, 0.12), (0.90, 0.45, 0.08))
PAINT_NAMES = ("red", "blue", "white", "black", "grey", "green", "yellow", "orange")


def _box(length: float, width: float, height: float, at: tuple[float, float, float], tint: str = "main") -> Geom:
    return Geom("box", (length / 2, width / 2, height / 2), at, tint=tint)


def _wedge(low: tuple[float, float], high: tuple[float, float], width: float, bottom: float, top: float,
           tint: str) -> Geom:
    """A cabin: its foot from x low[0] to low[1], its roof from high[0] to high[1], which is a little narrower."""
    points = [(x, s * width / 2, bottom) for x in low for s in (-1, 1)]
    points += [(x, s * 0.42 * width, top) for x in high for s in (-1, 1)]
    return Geom("mesh", (), tint=tint, points=tuple(points))


def _wheel(x: float, y: float, radius: float, thick: float = 0.2) -> list[Geom]:
    turn = (np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0)
    return [Geom("cylinder", (radius, thick / 2), (x, y, radius), turn, tint="tyre"),
            Geom("cylinder", (0.55 * radius, thick / 2 + 0.01), (x, y, radius), turn, tint="hub")]


def _lamps(front: float, back: float, width: float, height: float) -> list[Geom]:
    at = 0.36 * width
    return [*(_box(0.06, 0.22 * width, 0.12, (front, s * at, height), "lamp") for s in (-1, 1)),
            *(_box(0.06, 0.20 * width, 0.12, (back, s * at, height), "tail") for s in (-1, 1))]


@cache
def geoms(kind: str) -> tuple[Geom, ...]:
    """The geoms of a kind of trace.KINDS. A bicycle's first ones are its own, then come its rider's."""
    if kind == "car":
        return (_box(4.3, 1.74, 0.52, (0, 0, 0.53)), _wedge((-1.75, 1.05), (-1.15, 0.35), 1.66, 0.78, 1.45, "glass"),
                _box(1.5, 1.36, 0.05, (-0.4, 0, 1.45)), *_lamps(2.14, -2.14, 1.74, 0.62),
                *(g for x in (-1.35, 1.4) for y in (-0.82, 0.82) for g in _wheel(x, y, 0.32)))
    if kind == "van":
        return (_box(5.0, 1.9, 1.2, (0, 0, 0.95)), _box(3.7, 1.86, 0.75, (-0.62, 0, 1.85)),
                _wedge((1.2, 2.4), (1.2, 1.75), 1.84, 1.5, 2.18, "glass"), *_lamps(2.5, -2.5, 1.9, 0.85),
                *(g for x in (-1.6, 1.65) for y in (-0.9, 0.9) for g in _wheel(x, y, 0.36)))
    if kind == "truck":
        return (_box(1.9, 2.3, 1.9, (2.7, 0, 1.55)), _box(0.06, 2.0, 0.75, (3.66, 0, 2.05), "glass"),
                _box(5.2, 2.4, 2.3, (-1.1, 0, 2.05), "cargo"), _box(7.2, 1.0, 0.3, (0, 0, 0.75), "ink"),
                *_lamps(3.68, -3.72, 2.3, 0.95),
                *(g for x in (-2.6, -1.6, 2.6) for y in (-1.05, 1.05) for g in _wheel(x, y, 0.46, 0.3)))
    if kind == "bicycle":
        tilt = (np.cos(0.15), 0.0, np.sin(0.15), 0.0)
        return (*(g for x in (-0.52, 0.52) for g in _wheel(x, 0, 0.34, 0.05)), _box(0.9, 0.05, 0.07, (0, 0, 0.62)),
                _box(0.06, 0.5, 0.05, (0.45, 0, 1.0), "ink"), Geom("capsule", (0.17, 0.22), (0.02, 0, 1.17), tilt),
                Geom("sphere", (0.125,), (0.16, 0, 1.58), tint="skin"),
                *(Geom("capsule", (0.075, 0.22), (0.02, s * 0.11, 0.7), tilt, tint="ink") for s in (-1, 1)))
    return make("person", "large").shown


def walked(places: np.ndarray, speeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where walkers' geoms are (N, G, 3) and how they are turned, quaternions (N, G, 4), each in its walker's frame, at
    the end of their ways (T, N, 2) in metres, at speeds (N,) in m/s."""
    far, half = np.hypot(*np.diff(places, axis=0).transpose(2, 0, 1)).sum(0), make("person", "large").extent[2]
    spots, quats = pose("person", "large", 2 * np.pi * far / (STRIDE["person"] * 2 * half), np.clip(speeds / 1.3, 0, 1))
    return spots + np.array([0, 0, half]), quats
