"""A key frame of the background, and how it is found again in a later frame.

Besides corners, points on mere edges are followed too, for the lab's and many a generated background has few corners.
An edge tells of motion across itself only; each point therefore counts with the information its surroundings hold
in each direction (the structure tensor, Lucas and Kanade 1981), and all together tell an affine map.

Legend: h w pixels of a frame as looked at, P points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

CORNERS = 110  # corners followed at most
CELL = 10  # pixels: in each such square the clearest point is followed, corner or not
FEWEST = 10  # points below which nothing is said
WINDOW = 13  # pixels of a point's surroundings
LEVELS = 3
NOISE = 2.0  # levels of 255 by which a pixel is off
LOOSE = 0.5  # pixels by which a clear point is off all the same
STILL = 0.2  # pixels: less than this is no motion from a key frame
# pixels by which a map may differ from the last frame's: see _affine
PRIOR = np.array([0.5, 0.5, 0.5, 0.5, 2.5, 2.5])


@dataclass(frozen=True)
class Match:
    """How a key frame's background lies in another frame.

    map (2, 3): affine, from the key frame's pixels; rows (P,): which of its points were found; shift (P, 2): how they
    moved; agree: share of them, by what they tell, that moved as the map says; spread: pixels by which the map's shift
    is unsure; still: whether so many of them rest that it is things that move.
    """

    map: np.ndarray
    rows: np.ndarray
    shift: np.ndarray
    agree: float
    spread: float
    still: bool


class Key:
    """A key frame: its points (P, 2) off the things, in pixels from the upper left corner, and its warp (2, 3).

    roots (P, 2, 2): roots of the information that each point holds, 1 / pixels: errors times these are of size 1.
    grey: uint8 (h, w); free: float32 (h, w), 1 where no thing is; warp: from the shot's first frame to this one.
    """

    def __init__(self, cv: Any, grey: np.ndarray, free: np.ndarray, warp: np.ndarray) -> None:
        self._cv, self._grey, self._free, self.warp = cv, grey, free, warp
        self._blurred = cv.blur(grey, (3, 3)).astype(np.float32)
        across = cv.Sobel(grey, cv.CV_32F, 1, 0, scale=1 / 8)
        along = cv.Sobel(grey, cv.CV_32F, 0, 1, scale=1 / 8)
        self._slope = cv.blur(cv.magnitude(across, along), (3, 3))
        tensor = np.stack([cv.boxFilter(a * b * free, cv.CV_32F, (WINDOW, WINDOW), normalize=False)
                           for a, b in ((across, across), (across, along), (along, along))], -1)
        here = self._chosen(tensor)
        self._points = np.ascontiguousarray(here[:, None].astype(np.float32))
        self.points = here + 0.5
        rows = tensor[here[:, 1], here[:, 0]].astype(float)
        tensors = rows[:, [0, 1, 1, 2]].reshape(-1, 2, 2) / (NOISE**2 * 4)  # pixels of a window go together
        values, axes = np.linalg.eigh(tensors) if len(rows) else (np.zeros((0, 2)), np.zeros((0, 2, 2)))
        values = values.clip(1e-6)
        self._across = axes[:, :, 1]
        self._clear = values[:, 0] > 1 / 0.35**2
        known = 1 / (1 / values + LOOSE**2)
        self._told = known.sum(1)
        self.roots = np.sqrt(known)[:, :, None] * axes.transpose(0, 2, 1)
        self._map = np.eye(2, 3)

    def _chosen(self, tensor: np.ndarray) -> np.ndarray:
        """Where points are followed: corners, and the clearest edge of each cell off the corners. (P, 2) int."""
        cv, (h, w) = self._cv, self._grey.shape
        mask = (self._free > 0).astype(np.uint8)
        mask[:4] = mask[-4:] = 0
        mask[:, :4] = mask[:, -4:] = 0
        found = cv.goodFeaturesToTrack(self._grey, CORNERS, 0.005, 4, mask=mask, blockSize=5)
        corners = np.zeros((0, 2), int) if found is None else found[:, 0].round().astype(int)
        for x, y in corners:
            mask[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] = 0
        strong = self._slope * mask * (tensor[..., 0] + tensor[..., 2] > NOISE**2 * 4 / 0.5**2)
        rows, columns = h // CELL, w // CELL
        cells = strong[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL).transpose(0, 2, 1, 3)
        cells = cells.reshape(rows * columns, -1)
        best = cells.argmax(1)
        keep = np.flatnonzero(cells[np.arange(len(cells)), best] > 0)
        edges = np.stack([keep % columns * CELL + best[keep] % CELL, keep // columns * CELL + best[keep] // CELL], -1)
        return np.concatenate([corners, edges])

    def unchanged(self, grey: np.ndarray, free: np.ndarray) -> bool:
        """Whether the background is, pixel by pixel, the key frame's."""
        keep = (free > 0) & (self._free > 0)
        if keep.sum() < 0.1 * keep.size:
            return False
        apart = np.abs(self._cv.blur(grey, (3, 3)).astype(np.float32) - self._blurred)[keep]
        slope = self._slope[keep]
        shares = apart / (slope + 3.0)
        textured = slope > 4.0
        if textured.sum() >= 40 and np.quantile(shares[textured], 0.8) > 0.1:
            return False
        return bool(np.quantile(shares, 0.9) < 0.15)

    def match(self, grey: np.ndarray, free: np.ndarray) -> Match | None:
        """How this background lies in another frame of the shot; None with too few points to tell."""
        if len(self._points) < FEWEST:
            return None
        here, there, rows = self._followed(grey, free)
        if len(rows) < FEWEST:
            return None
        shift, told = there - here, self._told[rows]
        h, w = grey.shape
        middle, radius = np.array([0.5 * w, 0.5 * h]), 0.5 * max(h, w)
        reach = 0.5 + 0.1 * float(np.median(np.hypot(*shift.T)))
        start = _shifts(self._map, here)
        clear = self._clear[rows]
        if clear.sum() >= FEWEST:
            found, inside = self._cv.estimateAffine2D(here[clear], there[clear], method=self._cv.RANSAC, maxIters=200,
                                                      ransacReprojThreshold=reach, confidence=0.99, refineIters=2)
            if found is not None and inside.mean() > 0.4:
                start = _shifts(found, here)
        roots = self.roots[rows]
        base = np.concatenate([(here - middle) / radius, np.ones((len(here), 1))], 1)
        sides = (roots[:, :, None] * base[:, None, :, None]).reshape(-1, 6)  # six shifts: see _affine
        seen = (roots @ shift[..., None]).reshape(-1)
        off = seen - (roots @ start[..., None]).reshape(-1)
        prior = _affine(self._map, middle, radius) / PRIOR**2
        for _ in range(4):
            apart = (off**2).reshape(-1, 2).sum(1) / told
            held = sides * np.repeat(1 / (1 + apart / reach**2) ** 2, 2)[:, None]
            left = held.T @ sides + np.diag(1 / PRIOR**2)
            solved = np.linalg.solve(left, held.T @ seen + prior)
            off = seen - sides @ solved
        apart = (off**2).reshape(-1, 2).sum(1) / told
        agree = float(told[apart < (1.5 * reach) ** 2].sum() / told.sum())
        rest = (seen**2).reshape(-1, 2).sum(1) / told
        still = bool(told[rest < STILL**2].sum() >= 0.5 * agree * told.sum())
        agree *= min(1.0, len(rows) / (0.3 * len(self._points)))
        spread = float(np.sqrt(np.trace(np.linalg.inv(left)[4:, 4:])))
        self._map = _map(solved, middle, radius)
        return Match(self._map, rows, shift, 1.0 if still else agree, spread, still)

    def _followed(self, grey: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points here and there (P, 2) that are found in another frame and back, and which they are."""
        cv, (h, w) = self._cv, grey.shape
        how = {"winSize": (WINDOW, WINDOW), "maxLevel": LEVELS, "criteria": (3, 10, 0.03),
               "flags": cv.OPTFLOW_USE_INITIAL_FLOW, "minEigThreshold": 1e-6}
        guess = np.ascontiguousarray((self._points[:, 0] + _shifts(self._map, self.points))[:, None], np.float32)
        found, ok, _ = cv.calcOpticalFlowPyrLK(self._grey, grey, self._points, guess, **how)
        back, ok2, _ = cv.calcOpticalFlowPyrLK(grey, self._grey, found, self._points.copy(), **{**how, "maxLevel": 1})
        there, off = found[:, 0], (back - self._points)[:, 0]
        good = (ok.ravel() > 0) & (ok2.ravel() > 0) & (np.abs((off * self._across).sum(1)) < 0.4)
        good &= ~self._clear | (np.abs(off).max(1) < 0.6)
        good &= (there >= 0).all(1) & (there[:, 0] <= w - 1) & (there[:, 1] <= h - 1)
        at = np.clip(np.nan_to_num(there).round(), 0, (w - 1, h - 1)).astype(int)
        rows = np.flatnonzero(good & (free[at[:, 1], at[:, 0]] > 0))
        return self.points[rows], there[rows].astype(float) + 0.5, rows


def _shifts(warp: np.ndarray, points: np.ndarray) -> np.ndarray:
    """How points (P, 2) move in an affine map (2, 3)."""
    return points @ (warp[:, :2] - np.eye(2)).T + warp[:, 2]


def _affine(warp: np.ndarray, middle: np.ndarray, radius: float) -> np.ndarray:
    """A map (2, 3) as six shifts in pixels: at the picture's right and lower border beyond the middle's, and there."""
    rest = warp[:, :2] - np.eye(2)
    return np.concatenate([(rest * radius).T.reshape(-1), rest @ middle + warp[:, 2]])


def _map(shifts: np.ndarray, middle: np.ndarray, radius: float) -> np.ndarray:
    """The map (2, 3) of which ``_affine`` makes these shifts (6,)."""
    rest = shifts[:4].reshape(2, 2).T / radius
    return np.concatenate([rest + np.eye(2), (shifts[4:] - rest @ middle)[:, None]], 1)
