"""The camera's motion, from the picture alone: how the background moves, where a shot ends, and what move it was.

Points of the background are followed from a key frame to each later frame, and an affine map is fitted to them: see
audit.motion_key. A key frame serves until too few of its points are left or the picture has moved too far; a picture
that has not moved from it gets exactly its map, so a still camera doesn't wander. The moves behind the motion are
reckoned in audit.motion_moves.

Legend: T frames, H W pixels of a frame, h w pixels of the frame as looked at, P points, N things.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from reverie.audit.findings import FOVY, Motion
from reverie.audit.motion_key import FEWEST, STILL, Key
from reverie.audit.motion_moves import Shot, path_score, stage_warp, words
from reverie.core.errors import BadInput, ReverieError

__all__ = ["MotionMeter", "camera_motion", "path_score", "stage_warp"]

SHORT_SIDE = 160  # pixels; larger frames are looked at in this size
AGREE = 0.5  # share of the points that must move as one map says
UNSURE = 0.6  # pixels looked at by which a map may be unsure
GROWN = 0.08  # by how much of its sides a thing's box is grown, besides two pixels
FARTHEST = 0.05  # of the short side: a key frame serves until the background has moved so far
REST = 0.25  # seconds without motion after which a camera that moved is said to have come to rest
CELLS = 16  # a picture is compared for cuts in so many cells each way
CHANGED = 14.0  # levels of 255 by which a cell that belongs to another shot differs, at least
UNLIKE = 0.2  # share of the cells that differ at a cut, where no motion explains it
SUDDEN = 4.0  # times as much as lately the cells must change at a cut, and 5 levels more
WIDEST = 4.0  # times: a map that enlarges or shrinks more than that has lost the shot's first frame from sight


def camera_motion(frames: Iterable[np.ndarray], fps: float, boxes_per_frame: Sequence[np.ndarray] | None = None, *,
                  fovy: float = FOVY) -> Motion:
    """The camera's motion over a clip: see MotionMeter.

    frames: uint8 (H, W, 3) each; boxes_per_frame: of things in each frame, (N, 4) pixels, or None for no things.
    """
    meter: MotionMeter | None = None
    for t, frame in enumerate(frames):
        meter = meter or MotionMeter(fps, frame.shape[:2], fovy=fovy)
        meter.add(frame, () if boxes_per_frame is None else boxes_per_frame[t])
    return (meter or MotionMeter(fps, (32, 32), fovy=fovy)).finish()


class MotionMeter:
    """Measures the camera's motion frame by frame: ``add`` each, then ``finish``.

    fps; size: H, W of the frames in pixels; fovy: degrees, the vertical field of view that is assumed. Holds two
    frames and about 1.5 kB for each frame that was added. Raises BadInput for sizes and frames that make no sense,
    ReverieError without OpenCV.
    """

    def __init__(self, fps: float, size: tuple[int, int], *, fovy: float = FOVY) -> None:
        self._cv = _opencv()
        height, width = (int(side) for side in size)
        if not (fps > 0 and min(height, width) >= 16):
            raise BadInput(f"camera motion needs frames of at least 16x16 pixels and fps above 0, not "
                           f"{width}x{height} at {fps}")
        self.fps, self.size = float(fps), (height, width)
        shrink = min(1.0, SHORT_SIDE / min(height, width))
        self._looked = (max(16, round(height * shrink)), max(16, round(width * shrink)))
        self._scale = np.array([width / self._looked[1], height / self._looked[0]])
        h, w = self._looked
        self._grid = np.array([[x, y] for y in (0, h / 2, h) for x in (0, w / 2, w)])  # where a map is judged
        self._fovy = fovy
        self._warps: list[np.ndarray] = []  # in pixels looked at
        self._known: list[bool] = []
        self._cuts: list[int] = []
        self._shots = [Shot(self._looked, fovy)]
        self._key: Key | None = None
        self._last: np.ndarray | None = None
        self._thumb: np.ndarray | None = None
        self._covered = np.zeros((CELLS, CELLS), bool)
        self._steps: deque[float] = deque(maxlen=max(3, round(fps)))  # how much the cells changed lately
        self._places: deque[np.ndarray] = deque(maxlen=max(4, round(REST * fps)))
        self._lost = 0  # frames on end of which nothing is known
        self._gone = False  # whether the shot's first frame is no longer in sight

    def add(self, frame: np.ndarray, boxes: np.ndarray | Sequence = ()) -> None:
        """The next frame, uint8 (H, W, 3), and the boxes (N, 4) of things in it: x0 y0 x1 y1 in its pixels."""
        if frame.dtype != np.uint8 or frame.shape != (*self.size, 3):
            raise BadInput(f"camera motion: frame {len(self._warps)} is {frame.dtype} {frame.shape}, "
                           f"not uint8 {(*self.size, 3)}")
        cv, (h, w) = self._cv, self._looked
        small = frame if self.size == self._looked else cv.resize(frame, (w, h), interpolation=cv.INTER_AREA)
        grey = cv.cvtColor(small, cv.COLOR_RGB2GRAY)
        free = self._background(np.asarray(boxes, float).reshape(-1, 4))
        thumb = cv.resize(small, (CELLS, CELLS), interpolation=cv.INTER_AREA).astype(np.float32)
        covered = cv.resize(free, (CELLS, CELLS), interpolation=cv.INTER_AREA) < 0.4
        if self._key is None:
            self._begin(grey, free)
        else:
            self._follow(grey, free, thumb, covered)
        self._thumb, self._covered = thumb, covered

    def finish(self) -> Motion:
        """What was measured of all frames added."""
        back, forth = np.diag(1 / self._scale), np.diag(self._scale)
        warps = [np.concatenate([forth @ m[:, :2] @ back, forth @ m[:, 2:]], 1) for m in self._warps]
        warp = np.array(warps, np.float32).reshape(-1, 2, 3)
        parts = [shot.rates(self.fps) for shot in self._shots]
        rates = np.concatenate(parts)[: len(warp)] if len(warp) else np.zeros((0, 5), np.float32)
        known = np.array(self._known, bool)
        return Motion(warp, known, rates.astype(np.float32), tuple(self._cuts), words(rates, self.fps))

    def _background(self, boxes: np.ndarray) -> np.ndarray:
        """Where no thing is: float32 (h, w), 1 or 0."""
        h, w = self._looked
        free = np.ones((h, w), np.float32)
        for box in boxes[np.isfinite(boxes).all(1)] / np.tile(self._scale, 2):
            grow = np.tile(2 + GROWN * (box[2:] - box[:2]), 2) * (-1, -1, 1, 1)
            x0, y0, x1, y1 = np.clip(np.round(box + grow), 0, (w, h, w, h)).astype(int)
            free[y0:y1, x0:x1] = 0
        return free

    def _begin(self, grey: np.ndarray, free: np.ndarray) -> None:
        """A first frame of a shot."""
        self._note(np.eye(2, 3), True)
        self._renew(grey, free)
        self._shots[-1].stay()
        self._gone = False

    def _renew(self, grey: np.ndarray, free: np.ndarray) -> None:
        """This frame becomes the key frame, standing where the last map says."""
        self._key = Key(self._cv, grey, free, self._warps[-1])
        self._shots[-1].open(self._key.points, self._key.roots)
        self._places.clear()
        self._lost = 0

    def _note(self, warp: np.ndarray, known: bool) -> None:
        """The map to the next frame, and whether it is known."""
        self._warps.append(warp)
        self._known.append(known)

    def _follow(self, grey: np.ndarray, free: np.ndarray, thumb: np.ndarray, covered: np.ndarray) -> None:
        """One more frame of a shot, or the first of the next."""
        key = self._key
        assert key is not None
        shot = self._shots[-1]
        unlike, amount = self._unlike(thumb, covered)
        usual = float(np.median(self._steps)) if self._steps else 0.0
        if key.unchanged(grey, free):
            self._steps.append(amount)
            self._note(key.warp, not self._gone)
            shot.stay()
            self._places.append(self._grid)
            return
        found = key.match(grey, free)
        enough = found is not None and found.agree >= AGREE and found.spread < UNSURE
        if not enough and unlike > UNLIKE and amount > SUDDEN * usual + 5:
            self._cuts.append(len(self._warps))
            self._shots.append(Shot(self._looked, self._fovy))
            self._steps.clear()
            self._begin(grey, free)
            return
        self._steps.append(amount)
        if found is None or not enough:
            self._note(self._warps[-1], False)
            shot.skip()
            self._lost += 1
            if self._lost >= 2:
                self._renew(grey, free)
            return
        self._lost = 0
        moved = _apply(found.map, self._grid)
        if found.still or np.abs(moved - self._grid).max() < STILL:
            self._note(key.warp, not self._gone)
            shot.stay()
            moved = self._grid
        else:
            shot.move(found.rows, found.shift)
            warp = _after(found.map, key.warp)
            sizes = np.linalg.svd(warp[:, :2], compute_uv=False)
            self._gone |= bool(sizes[0] > WIDEST or sizes[1] < 1 / WIDEST)
            self._note(self._warps[-1] if self._gone else warp, not self._gone)
        self._places.append(moved)
        far = float(np.hypot(*(moved - self._grid).T).mean()) > FARTHEST * min(self._looked)
        rests = (len(self._places) == self._places.maxlen and moved is not self._grid
                 and np.abs(self._places[0] - moved).max() < STILL)
        if far or rests or len(found.rows) < max(FEWEST, 0.5 * len(key.points)):
            self._renew(grey, free)

    def _unlike(self, thumb: np.ndarray, covered: np.ndarray) -> tuple[float, float]:
        """How the background's cells differ from the last frame's: share that does, mean of all in levels.

        A cell is like the nearest of those around it, so that a camera that moves fast makes no cut.
        """
        assert self._thumb is not None
        keep = ~(covered | self._covered)
        if keep.sum() < 0.15 * keep.size:
            keep = np.ones_like(keep)
        padded = np.pad(self._thumb, ((1, 1), (1, 1), (0, 0)), mode="edge")
        near = np.stack([padded[y : y + CELLS, x : x + CELLS] for y in range(3) for x in range(3)])
        low, high = near.min(0), near.max(0)  # between neighbours lies what a part of a cell's shift makes
        apart = np.maximum(np.maximum(low - thumb, thumb - high), 0).max(-1)[keep]
        return float((apart > CHANGED).mean()), float(apart.mean())


def _apply(warp: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (P, 2) through an affine map (2, 3)."""
    return points @ warp[:, :2].T + warp[:, 2]


def _after(later: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The affine map (2, 3) that is ``first`` and then ``later``."""
    return np.concatenate([later[:, :2] @ first[:, :2], later[:, :2] @ first[:, 2:] + later[:, 2:]], 1)


def _opencv() -> Any:
    """OpenCV, or ReverieError with how to get it."""
    try:
        import cv2
    except ImportError:
        raise ReverieError('an audit needs the package opencv-python: pip install "reverie[audit]"') from None
    return cv2
