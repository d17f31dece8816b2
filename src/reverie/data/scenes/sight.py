"""What the camera sees of the things of a record, computed and not drawn; and where they are in one another's way."""

from __future__ import annotations

import numpy as np

from reverie.core.camera import CameraPath
from reverie.data.scenes.drawing import extents_in_view, outline
from reverie.data.scenes.record import Record, Thing, matrices

_MARGIN = 4  # pixels from the border from which a thing is wholly in the picture
_STAND = np.array([0.42, 0.25])  # metres by which a pendulum's stand is wider than its rod, and lower


class Sight:
    """Boxes (T, N, 4) px, not cut at the border, NaN where there is none; depths (T, N) m, along the view axis.

    pixels (T, N): of a metre at that depth. crowds (T, N, N): share of thing i's box that thing j's box meets.
    """

    def __init__(self, record: Record, path: CameraPath, height: int, width: int) -> None:
        things = record.things
        self.size = (height, width)
        self.boxes = np.stack(
            [extents_in_view(t, record, i, path, height, width) for i, t in enumerate(things)], 1
        )
        self.depths = np.einsum("tni,ti->tn", path.position[:, None] - record.position, path.rotation[..., 2])
        focal = 0.5 * height / np.tan(np.radians(path.fovy) / 2)
        self.pixels = focal / np.maximum(self.depths, 0.05)
        self.sides = self.boxes[..., 2:] - self.boxes[..., :2]
        wide = self.boxes.copy()
        for i in (i for i, t in enumerate(things) if t.mode == "hinge"):
            wide[:, i] += self.pixels[:, i, None] * np.array([-_STAND[0], 0, *_STAND])
        low = np.maximum(self.boxes[:, :, None, :2], wide[:, None, :, :2])
        high = np.minimum(self.boxes[:, :, None, 2:], wide[:, None, :, 2:])
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.clip(high - low, 0, None).prod(-1) / self.sides.prod(-1)[:, :, None]
        self.crowds = np.nan_to_num(share)
        self.crowds[:, np.arange(len(things)), np.arange(len(things))] = 0

    def whole(self, least: float) -> np.ndarray:
        """Whether a thing (T, N) is wholly in the picture and its smaller side measures ``least`` pixels."""
        height, width = self.size
        with np.errstate(invalid="ignore"):
            inside = (self.boxes[..., :2] >= _MARGIN).all(-1) & (
                self.boxes[..., 2:] <= (width - _MARGIN, height - _MARGIN)).all(-1)
            return inside & (self.sides.min(-1) >= least)

    def apart(self, skip: int = -1) -> np.ndarray:
        """Whether a thing (T, N) is neither crowded by another nor behind it. skip: a thing that does not count.

        A quarter of its box may meet another's, a tenth that of one nearer to the camera.
        """
        share = self.crowds.copy()
        if skip >= 0:
            share[..., skip] = 0
        nearer = self.depths[:, None, :] < self.depths[:, :, None]
        return (share < np.where(nearer, 0.1, 0.25)).all(-1)


def lowest(thing: Thing, position: np.ndarray, quat: np.ndarray) -> float:
    """Height in metres of the lowest point of a lifeless thing's shown geoms at a position (3,) and quat (4,)."""
    turn = matrices(quat)
    found = np.inf
    for geom in thing.body.shown:
        points, radius = outline(geom)
        local = points @ matrices(np.array(geom.quat)).T + np.array(geom.pos)
        found = min(found, float((position[2] + local @ turn[2] - radius).min()))
    return found


def spans(record: Record, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corners (T, 3) of the upright box around a thing."""
    thing = record.things[index]
    half = np.abs(matrices(record.quat[:, index])) @ np.array(thing.body.extent)
    if thing.kind in ("ball", "basketball"):
        half = np.broadcast_to(thing.body.extent, half.shape)
    if thing.mode == "hinge":
        half = half + np.array([_STAND[0], _STAND[0], 0])
    return record.position[:, index] - half, record.position[:, index] + half


def in_the_way(record: Record, index: int, first: int, skip: int = -1) -> bool:
    """Whether a thing's upright box meets another's in any frame from ``first`` on."""
    low, high = spans(record, index)
    here = record.exists[:, index].copy()
    here[:first] = False
    for other in range(len(record.things)):
        if other in (index, skip):
            continue
        bottom, top = spans(record, other)
        meet = ((low < top + 0.02) & (high > bottom - 0.02)).all(-1) & here & record.exists[:, other]
        if meet.any():
            return True
    return False


def floor_below(record: Record, index: int, frame: int) -> float:
    """Height in metres of the highest thing, or else the ground, straight below a thing."""
    low, high = (corner[frame] for corner in spans(record, index))
    found = 0.0
    for other in np.flatnonzero(record.exists[frame]):
        bottom, top = (corner[frame] for corner in spans(record, int(other)))
        if other != index and (low < top)[:2].all() and (high > bottom)[:2].all() and bottom[2] < low[2]:
            found = max(found, float(top[2]))
    return found
