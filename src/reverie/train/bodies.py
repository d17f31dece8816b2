"""What the lab's things are made of, as a canvas keeps it: read from the bodies and gaits of the worlds."""

from __future__ import annotations

import numpy as np
import torch

from reverie.core.vocabulary import ALIVE, COLOURS, KINDS, SIZES
from reverie.data.scenes.bodies import Geom, make
from reverie.data.scenes.gaits import pose
from reverie.model.canvas import Canvas
from reverie.model.solids import CORDS, PHASES, SHAPES, STAND, STRIDES, Table

TINTS = ("main", "deep", "ink", "net", "skin", "steel", "shoe", "beak")
HOLDERS = (0.42, 0.40, 0.38)  # sRGB of what pendulums and screens hang from


def table() -> Table:
    """Of every kind at every size."""
    from reverie.data.scenes.drawing import tint  # wants mujoco only where it draws

    out = Table.plain()
    out.bodies[..., 0] = -1
    for k, kind in enumerate(KINDS):
        for s, size in enumerate(SIZES):
            body = make(kind, size)
            out.extents[k, s] = torch.tensor(body.extent)
            for g, geom in enumerate(body.shown):
                out.bodies[k, s, g] = torch.tensor(_row(geom, TINTS.index(geom.tint)))
            if kind in HELD_BY:
                row, geoms = HELD_BY[kind]
                for g, geom in enumerate(geoms(body.extent)):
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
    shape, size = {"sphere": "ellipsoid", "mesh": "cone"}.get(geom.shape, geom.shape), geom.size
    if geom.shape == "mesh":
        half = np.abs(np.array(geom.points)).max(0)
        shape, size = ("wedge" if len(geom.points) == 6 else "cone"), tuple(map(float, half))
    elif shape == "capsule":
        size = (size[0], size[0], size[0] + size[1])
    elif shape == "cylinder":
        size = (size[0], size[0], size[1])
    elif len(size) == 1:
        size = size * 3
    return [SHAPES.index(shape), *size, *geom.pos, *geom.quat, tint]


def _stand(extent: tuple[float, float, float]) -> tuple[Geom, ...]:
    """What a pendulum hangs from, in the frame of its hinge, as data.scenes.drawing has it."""
    back, top = extent[1] + 0.16, 2 * extent[2] + 0.18
    return (Geom("box", (0.055, 0.055, top / 2), (0, back, 0.05 - top / 2)),
            Geom("box", (0.045, back / 2 + 0.03, 0.045), (0, back / 2, 0.03)),
            Geom("box", (0.40, 0.10, 0.04), (0, back, 0.09 - top)))


def _cords(extent: tuple[float, float, float]) -> tuple[Geom, ...]:
    """What a screen hangs from, in its own frame, as data.scenes.drawing has it."""
    return tuple(Geom("capsule", (0.02, 3.0), (side * extent[0] * 0.8, 0, extent[2] + 3.0)) for side in (-1, 1))


HELD_BY = {"pendulum": (STAND, _stand), "screen": (CORDS, _cords)}
