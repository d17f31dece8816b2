"""A probe that reads from pictures how fast a car turns: by how far what is ahead moves aside from frame to frame.

Bands of one frame are laid over those of the next, shifted; how well they fit at each shift is what a ridge regression
reads. It is fitted to a log's own steering times the way that was made in a frame, and so in units of these.

Legend: T frames, H W pixels, K features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reverie.eyes.odometer import GREY

APART = 1  # frames between the two that are compared
SHIFT = 0.2  # of the width: as far as bands are shifted, each way
BANDS = ((0.15, 0.35), (0.3, 0.5), (0.45, 0.65))  # of the height
LAGS = range(6)  # frames after which a car may begin to answer
ANSWER = 3  # frames over which it does
RIDGE = 3.0
SHARP = 20.0  # how much the best fit counts more than the second best


def features(frames: np.ndarray) -> np.ndarray:
    """What is read from uint8 frames (T, H, W, 3): (T, K) float32; the first APART rows repeat the one after them."""
    grey = frames.astype(np.float32) @ GREY
    height, width = grey.shape[1:]
    reach = max(1, round(SHIFT * width))
    steps = np.arange(-reach, reach + 1)
    found = []
    for low, high in BANDS:
        band = grey[:, int(low * height) : int(high * height)]
        band = np.diff(band, axis=2)
        fits = np.stack([_fit(band[:-APART, :, reach : -reach], band[APART:, :, reach + s : band.shape[2] - reach + s])
                         for s in steps], 1)
        share = np.exp(SHARP * (fits - fits.max(1, keepdims=True)))
        place = (share * steps).sum(1) / share.sum(1) / width
        found += [fits, 50 * place[:, None]]
    rows = np.concatenate(found, 1).astype(np.float32)
    return np.concatenate([np.repeat(rows[:1], APART, 0), rows])


def _fit(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The correlation of each two (T, h, w)."""
    one, other = (x - x.mean((1, 2), keepdims=True) for x in (one, other))
    return (one * other).sum((1, 2)) / np.sqrt(np.square(one).sum((1, 2)) * np.square(other).sum((1, 2)) + 1e-3)


@dataclass(frozen=True)
class Probe:
    """weights (K + 1,); lag: frames until what was done is seen."""

    weights: np.ndarray
    lag: int

    @classmethod
    def fitted(cls, films: Sequence[np.ndarray], turning: Sequence[np.ndarray]) -> Probe:
        """From films (T, H, W, 3) and what was done in each of their frames (T,), at the lag that fits best."""
        seen = [features(film) for film in films]
        best = None
        for lag in LAGS:
            x = np.concatenate([part[APART + lag :] for part in seen])
            y = np.concatenate([answered(part, lag)[APART + lag :] for part in turning])
            x = np.concatenate([x, np.ones((len(x), 1), np.float32)], 1)
            penalty = RIDGE * np.eye(x.shape[1])
            penalty[-1, -1] = 0
            weights = np.linalg.solve(x.T @ x + penalty, x.T @ y)
            error = float(np.square(x @ weights - y).mean())
            if best is None or error < best[0]:
                best = error, cls(weights, lag)
        return best[1]

    def read(self, film: np.ndarray) -> np.ndarray:
        """How fast it turns in each frame (T,)."""
        return features(film) @ self.weights[:-1] + self.weights[-1]


def answered(values: np.ndarray, lag: int) -> np.ndarray:
    """Values (T,) as a car answers to them: ``lag`` frames later, and not at once."""
    whole = np.concatenate([np.repeat(values[:1], lag + ANSWER - 1), values])[: len(values) + ANSWER - 1]
    return np.convolve(whole, np.ones(ANSWER) / ANSWER, "valid")


def by_blocks(values: np.ndarray, length: int) -> np.ndarray:
    """Means of (T,) over whole blocks of ``length``."""
    count = len(values) // length
    return values[: count * length].reshape(count, length).mean(1)


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Correlation of x and y, and the slope of y over x."""
    if len(x) < 3 or x.std() < 1e-9 or y.std() < 1e-9:
        return float("nan"), float("nan")
    return float(np.corrcoef(x, y)[0, 1]), float(np.polyfit(x, y, 1)[0])
