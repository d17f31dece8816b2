"""Holding colour and sharpness over many pieces, each of which was made from the last frames of the one before.

Every such step loses a little: the VAE's round trip shifts colours and blurs, and models saturate as they go on. A
piece is brought back twice: at its seam the frames that it repeats must look as they did (the difference is known,
pixel for pixel), and towards its end the piece must look as the first one of its line did, in the mean and the spread
of three decorrelated colour axes and in the strength of fine detail. Both within limits: a sunset may darken.
Legend: T frames, H W pixels; colours 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

AXES = np.array([[1, 1, 1], [1, -1, 0], [1, 1, -2]], np.float32)
AXES /= np.linalg.norm(AXES, axis=1, keepdims=True)  # brightness, red against green, yellow against blue: orthonormal
GAIN, SHIFT = (0.7, 1.4), 40.0  # how far a spread is ever scaled and a mean ever moved
DETAIL = (0.6, 1.8)  # how far fine detail is ever weakened or strengthened
FLAT = 0.5  # levels of spread, or of detail, below which there is nothing to match


@dataclass(frozen=True)
class Look:
    """mean, spread (3,): of the colour axes; detail: root mean square of what a 3x3 blur takes from the brightness."""

    mean: np.ndarray
    spread: np.ndarray
    detail: float

    @classmethod
    def of(cls, frames: np.ndarray) -> Look:
        """Of uint8 or float frames (T, H, W, 3); of many, 16 evenly spaced ones."""
        some = frames[np.unique(np.linspace(0, len(frames) - 1, min(16, len(frames))).astype(int))].astype(np.float32)
        axes = some @ AXES.T
        return cls(axes.mean((0, 1, 2)), axes.std((0, 1, 2)), float(np.sqrt(np.square(_fine(axes[..., 0])).mean())))


def hold(frames: np.ndarray, overlap: int, before: np.ndarray | None, first: Look | None) -> np.ndarray:
    """Frames of a piece (T, H, W, 3) uint8 without their drift.

    overlap: how many at its beginning repeat ``before``, the last frames (n, H, W, 3) as they were shown. first: how
    the line's first piece looked, None where this is it. The correction passes from the seam's to the line's over the
    piece, so that no frame jumps.
    """
    if not len(frames) or (first is None and not overlap):
        return frames
    seam = _change(Look.of(frames[:overlap]), Look.of(before[-overlap:])) if overlap and before is not None else None
    late = frames[len(frames) // 2 :]
    whole = _change(Look.of(late), first) if first is not None else None
    begin, end = seam or whole, whole or seam
    if begin is None or end is None:
        return frames
    out = np.empty_like(frames)
    for t, frame in enumerate(frames):
        share = min(1.0, t / max(1, len(frames) * 0.5))  # the line's own look is reached in the middle
        out[t] = _apply(frame, *((1 - share) * a + share * b for a, b in zip(begin, end, strict=True)))
    return out


def _change(now: Look, wanted: Look) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """(mean now, gain, mean after, gain of detail), within the limits."""
    gain = np.where((now.spread > FLAT) & (wanted.spread > FLAT), wanted.spread / np.maximum(now.spread, 1e-3), 1.0)
    gain = np.clip(gain, *GAIN)
    mean = now.mean + np.clip(wanted.mean - now.mean, -SHIFT, SHIFT)
    detail = 1.0
    if now.detail > FLAT and wanted.detail > FLAT:  # the gain of the brightness scales it as well
        detail = float(np.clip(wanted.detail / (now.detail * gain[0]), *DETAIL))
    return now.mean, gain, mean, detail


def _apply(frame: np.ndarray, mean: np.ndarray, gain: np.ndarray, after: np.ndarray, detail: float) -> np.ndarray:
    axes = frame.astype(np.float32) @ AXES.T
    axes = (axes - mean) * gain + after
    axes[..., 0] += (detail - 1) * _fine(axes[None, ..., 0])[0]
    return (axes @ AXES).round().clip(0, 255).astype(np.uint8)


def _fine(bright: np.ndarray) -> np.ndarray:
    """What a 3x3 blur takes from (T, H, W)."""
    wide = np.pad(bright, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = wide[:, :, :-2] + wide[:, :, 1:-1] + wide[:, :, 2:]
    return bright - (across[:, :-2] + across[:, 1:-1] + across[:, 2:]) / 9
