"""The camera's motion, from the picture alone: how the background moves, where a shot ends, and what move it was.

Corners of the background are followed from a key frame to each later frame (pyramidal Lucas-Kanade, forwards and
back), and an affine map is fitted to them that a minority can't mislead (RANSAC). A key frame serves until too few of
its corners are left or the picture has moved too far; a picture that has not moved from it gets exactly its map, so a
still camera doesn't wander. The moves behind the motion are reckoned in audit.motion_moves.

Legend: T frames, H W pixels of a frame, h w pixels of the frame as looked at, P corners, N things.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from reverie.audit.findings import FOVY, Motion
from reverie.audit.motion_moves import Shot, path_score, words
from reverie.core.errors import BadInput, ReverieError

__all__ = ["MotionMeter", "camera_motion", "path_score"]

SHORT_SIDE = 160  # pixels; larger frames are looked at in this size
CORNERS = 160  # corners followed at most
FEWEST = 10  # corners below which nothing is said
AGREE = 0.5  # share of the corners that must move as one map says
GROWN = 0.08  # by how much of its sides a thing's box is grown, besides two pixels
STILL = 0.2  # pixels looked at: less than this is no motion from a key frame
FARTHEST = 0.07  # of the short side: a key frame serves until the background has moved so far
REST = 0.25  # seconds without motion after which a camera that moved is said to have come to rest
CELLS = 16  # a picture is compared for cuts in so many cells each way
CHANGED = 14.0  # levels of 255 by which a cell that belongs to another shot differs, at least
UNLIKE = 0.55  # share of the cells that differ at a cut


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
    frames and some numbers for each frame that was added. Raises BadInput for sizes and frames that make no sense,
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
        self._key: _Key | None = None
        self._last: np.ndarray | None = None
        self._thumb: np.ndarray | None = None
        self._covered = np.zeros((CELLS, CELLS), bool)
        self._steps: deque[float] = deque(maxlen=max(3, round(fps)))  # how much the cells changed lately
        self._places: deque[np.ndarray] = deque(maxlen=max(4, round(REST * fps)))
        self._lost = 0

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
            self._begin(grey, free, np.eye(2, 3), True)
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
        return Motion(warp, known, rates.astype(np.float32), tuple(self._cuts), words(self._shots, known))

    def _background(self, boxes: np.ndarray) -> np.ndarray:
        """Where no thing is: float32 (h, w), 1 or 0."""
        h, w = self._looked
        free = np.ones((h, w), np.float32)
        for box in boxes[np.isfinite(boxes).all(1)] / np.tile(self._scale, 2):
            grow = np.tile(2 + GROWN * (box[2:] - box[:2]), 2) * (-1, -1, 1, 1)
            x0, y0, x1, y1 = np.clip(np.round(box + grow), 0, (w, h, w, h)).astype(int)
            free[y0:y1, x0:x1] = 0
        return free

    def _begin(self, grey: np.ndarray, free: np.ndarray, warp: np.ndarray, known: bool) -> None:
        """A first frame of a shot: it is its own key frame."""
        self._key = _Key(self._cv, grey, free, warp)
        self._shots[-1].open(self._key.corners)
        self._shots[-1].stay()
        self._note(warp, known)
        self._places.clear()
        self._lost = 0

    def _renew(self, grey: np.ndarray, free: np.ndarray) -> None:
        """This frame becomes the key frame, standing where the last map says."""
        self._key = _Key(self._cv, grey, free, self._warps[-1])
        self._shots[-1].open(self._key.corners)
        self._places.clear()
        self._lost = 0

    def _note(self, warp: np.ndarray, known: bool) -> None:
        self._warps.append(warp)
        self._known.append(known)

    def _follow(self, grey: np.ndarray, free: np.ndarray, thumb: np.ndarray, covered: np.ndarray
                ) -> None:
        """One more frame of a shot, or the first of the next."""
        key = self._key
        assert key is not None
        shot = self._shots[-1]
        unlike, amount = self._unlike(thumb, covered)
        usual = float(np.median(self._steps)) if self._steps else 0.0
        if key.unchanged(grey, free):
            self._steps.append(amount)
            self._note(key.warp, True)
            shot.stay()
            self._places.append(self._grid)
            return
        found = key.match(grey, free)
        enough = found is not None and found.agree >= AGREE
        if not enough and unlike > UNLIKE and amount > 3 * usual + 4:
            self._cuts.append(len(self._warps))
            self._shots.append(Shot(self._looked, self._fovy))
            self._steps.clear()
            self._begin(grey, free, np.eye(2, 3), True)
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
            self._note(key.warp, True)
            shot.stay()
            moved = self._grid
        else:
            self._note(_after(found.map, key.warp), True)
            shot.move(found.rows, found.shift, found.weight)
        self._places.append(moved)
        far = float(np.hypot(*(moved - self._grid).T).mean()) > FARTHEST * min(self._looked)
        rests = (len(self._places) == self._places.maxlen and moved is not self._grid
                 and np.abs(self._places[0] - moved).max() < STILL)
        if far or rests or len(found.rows) < max(FEWEST, 0.5 * len(key.corners)):
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


_WINDOW = (13, 13)
_LEVELS = 3


class _Found:
    """How a key frame's corners are found again. map (2, 3): from the key frame; rows: which corners; shift (P, 2):
    how they moved; weight (P,): how far they move as the map says, 0..1; agree: share; still: most of them rest."""

    def __init__(self, found: np.ndarray, rows: np.ndarray, shift: np.ndarray, weight: np.ndarray, agree: float,
                 still: bool) -> None:
        self.map, self.rows, self.shift, self.weight = found, rows, shift, weight
        self.agree, self.still = agree, still


class _Key:
    """A key frame: its corners (P, 2) off the things, in pixels from the upper left corner, and its warp (2, 3)."""

    def __init__(self, cv: Any, grey: np.ndarray, free: np.ndarray, warp: np.ndarray) -> None:
        self._cv, self._grey, self._free, self.warp = cv, grey, free, warp
        self._blurred = cv.blur(grey, (3, 3)).astype(np.float32)
        slope = cv.magnitude(cv.Sobel(grey, cv.CV_32F, 1, 0, scale=1 / 8), cv.Sobel(grey, cv.CV_32F, 0, 1, scale=1 / 8))
        self._slope = cv.blur(slope, (3, 3))
        mask = (free > 0).astype(np.uint8)
        edge = 3
        mask[:edge] = mask[-edge:] = 0
        mask[:, :edge] = mask[:, -edge:] = 0
        found = cv.goodFeaturesToTrack(grey, CORNERS, 0.005, 4, mask=mask, blockSize=5)
        self._points = np.zeros((0, 1, 2), np.float32) if found is None else found.reshape(-1, 1, 2)
        self.corners = self._points[:, 0] + 0.5
        self._guess = self._points.copy()

    def unchanged(self, grey: np.ndarray, free: np.ndarray) -> bool:
        """Whether the background is, pixel by pixel, the key frame's."""
        keep = (free > 0) & (self._free > 0)
        if keep.sum() < 0.1 * keep.size:
            return False
        apart = np.abs(self._cv.blur(grey, (3, 3)).astype(np.float32) - self._blurred)[keep]
        slope = self._slope[keep]
        shares = apart / (slope + 8.0)
        textured = slope > 4.0
        if textured.sum() >= 40 and np.quantile(shares[textured], 0.8) > 0.1:
            return False
        return bool(np.quantile(shares, 0.9) < 0.15)

    def match(self, grey: np.ndarray, free: np.ndarray) -> _Found | None:
        """How the key frame's background lies in another frame; None with too few corners to tell."""
        cv = self._cv
        if len(self._points) < FEWEST:
            return None
        flags, stop = cv.OPTFLOW_USE_INITIAL_FLOW, (3, 12, 0.02)
        there, ok, _ = cv.calcOpticalFlowPyrLK(self._grey, grey, self._points, self._guess.copy(),
                                               winSize=_WINDOW, maxLevel=_LEVELS, criteria=stop, flags=flags,
                                               minEigThreshold=1e-4)
        back, ok2, _ = cv.calcOpticalFlowPyrLK(grey, self._grey, there, self._points.copy(),
                                               winSize=_WINDOW, maxLevel=_LEVELS, criteria=stop, flags=flags,
                                               minEigThreshold=1e-4)
        here, there2 = self._points[:, 0], there[:, 0]
        h, w = free.shape
        good = (ok.ravel() > 0) & (ok2.ravel() > 0) & (np.abs(back[:, 0] - here).max(1) < 0.5)
        good &= (there2 >= 0).all(1) & (there2[:, 0] <= w - 1) & (there2[:, 1] <= h - 1)
        cells = np.clip(np.round(there2), 0, (w - 1, h - 1)).astype(int)
        good &= free[cells[:, 1], cells[:, 0]] > 0
        rows = np.flatnonzero(good)
        if len(rows) < FEWEST:
            return None
        here, there2 = here[rows] + 0.5, there2[rows] + 0.5
        shift = there2 - here
        size = np.hypot(*shift.T)
        reach = 0.6 + 0.12 * float(np.median(size))
        found, inside = cv.estimateAffine2D(here, there2, method=cv.RANSAC, ransacReprojThreshold=reach,
                                            maxIters=500, confidence=0.99, refineIters=5)
        if found is None:
            return None
        apart = np.hypot(*(_apply(found, here) - there2).T)
        weight = 1 / (1 + (apart / reach) ** 2)
        agree = float((inside > 0).mean()) * min(1.0, len(rows) / (0.4 * len(self._points)))
        still = bool((size < STILL).mean() >= 0.5)
        self._guess = _apply(found, self.corners)[:, None].astype(np.float32) - 0.5
        return _Found(found, rows, shift, weight, 1.0 if still else agree, still)


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
