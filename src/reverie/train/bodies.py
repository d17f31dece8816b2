"""What the lab's things are made of, as a canvas keeps it: read from the bodies and gaits of the worlds."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from reverie.core.vocabulary import ALIVE, COLOURS, KINDS, SIZES
from reverie.data.scenes.bodies import Geom, make
from reverie.data.scenes.drawing import _props, tint
from reverie.data.scenes.gaits import pose
from reverie.model.canvas import Canvas
from reverie.model.solids import CORDS, PHASES, SHAPES, STAND, STRIDES, Table

TINTS = ("main", "deep", "ink", "net", "skin", "steel", "shoe", "beak")
HELD_BY = {"pendulum": (STAND, "hinge"), "screen": (CORDS, "hung")}  # rows of the table, and how they are held there
HOLDERS = (0.42, 0.40, 0.38)  # sRGB of what pendulums and screens hang from


def table() -> Table:
    """Of every kind at every size."""
    out = Table.plain()
    out.bodies[..., 0] = -1
    for k, kind in enumerate(KINDS):
        for s, size in enumerate(SIZES):
            body = make(kind, size)
            out.extents[k, s] = torch.tensor(body.extent)
            for g, geom in enumerate(body.shown):
                out.bodies[k, s, g] = torch.tensor(_row(geom, TINTS.index(geom.tint)))
            if kind in HELD_BY:
                row, mode = HELD_BY[kind]
                for g, geom in enumerate(_props(SimpleNamespace(kind=kind, mode=mode, body=body))):
                    out.bodies[row, s, g] = torch.tensor(_row(geom, len(TINTS)))
    for c, colour in enumerate(COLOURS):
        for t, name in enumerate(TINTS):
            out.tints[t, c] = torch.tensor(tint(Geom("box", (), tint=name), colour))
        out.tints[len(TINTS), c] = torch.tensor(HOLDERS)
    phase = np.arange(PHASES) * 2 * np.pi / PHASES
    for a, kind in enumerate(ALIVE):
        for j, stride in enumerate(np.linspace(0, 1, STRIDES)):
            places, quats = pose(kind, SIZES[1], phase, np.full(PHASES, stride))
            out.gaits[a, j::STRIDES, : places.shape[1]] = torch.from_numpy(np.concatenate([places, quats], -1)).float()
    return out


def taught(canvas: Canvas) -> Canvas:
    """The canvas, which knows from now on what things are made of."""
    for name, part in vars(table()).items():
        getattr(canvas, name).copy_(part)
    return canvas


def _row(geom: Geom, tint: int) -> list[float]:
    """A solid's numbers, as model.solids has them."""
    shape, size = "ellipsoid" if geom.shape == "sphere" else geom.shape, geom.size
    if shape == "mesh":
        half = np.abs(np.array(geom.points)).max(0)
        shape, size = ("wedge" if len(geom.points) == 6 else "cone"), tuple(map(float, half))
    elif shape == "capsule":
        size = (size[0], size[0], size[0] + size[1])
    elif shape == "cylinder":
        size = (size[0], size[0], size[1])
    elif len(size) == 1:
        size = size * 3
    return [SHAPES.index(shape), *size, *geom.pos, *geom.quat, tint]
