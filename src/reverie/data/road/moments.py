"""Traces as numbers a network learns from: who was where at every latent, and on which line.

Legend: T latents, N agents, S signals, H latents of the past, W points of a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reverie.core.errors import BadData
from reverie.data.road.routes import ABOUT, ASTRAY, Bound, Line, bound
from reverie.data.road.trace import KINDS, Trace

F = 4  # frames of a latent


@dataclass
class Moments:
    """A trace at its latents. place (T, N, 2), heading, speed (T, N): speed is the distance of the last latent over its
    time; there (T, N) bool; kind (N,), size (N, 2); ego: its number; actions (T, 2): mean curvature and acceleration
    until the next latent; signals (T, S) uint8. points (P, 2), about (P, 5): all lines, one behind the other; first
    (T, N) int64: of each agent the point nearest to it, -1 on no line; ends (T, N): behind its line's last."""

    place: np.ndarray
    heading: np.ndarray
    speed: np.ndarray
    there: np.ndarray
    kind: np.ndarray
    size: np.ndarray
    ego: int
    actions: np.ndarray
    signals: np.ndarray
    points: np.ndarray
    about: np.ndarray
    first: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, trace: Trace, rng: np.random.Generator) -> Moments:
        """Of a trace whose latents are a sixth of a second. Raises BadData for another frame rate."""
        checked(trace)
        return cls(**paces(trace), **flat(bound(trace, rng), trace))


def checked(trace: Trace, where: Path | str = "the trace") -> Trace:
    """The trace, if the model can use it. Raises BadData."""
    if abs(trace.fps - 24.0) > 1e-6:
        raise BadData(f"{where} has {trace.fps:g} frames a second, and the model of traffic has learned 24")
    if trace.frames < 2 * F:
        raise BadData(f"{where} has {trace.frames} frames: at least {2 * F} are needed")
    return trace


def paces(trace: Trace) -> dict:
    """All of Moments but its lines."""
    rows = np.arange(0, trace.frames - F + 1, F)
    place, there = trace.place[rows].astype(np.float32), trace.exists[rows]
    speed = trace.speed[rows].astype(np.float32)
    gone = np.hypot(*np.diff(place, axis=0).transpose(2, 0, 1)) / (F / trace.fps)
    speed[1:] = np.where(there[1:] & there[:-1], gone, speed[1:])
    actions = np.stack([trace.actions[r : r + F].mean(0) for r in rows]).astype(np.float32)
    return {"place": place, "heading": trace.heading[rows].astype(np.float32), "speed": speed, "there": there,
            "kind": np.array([KINDS.index(k) for k in trace.kinds]), "size": trace.size[:, :2].astype(np.float32),
            "ego": trace.ego, "actions": actions, "signals": trace.signals[rows]}


def flat(lines: Bound, trace: Trace) -> dict:
    """The lines of Moments, each cut to what is looked at."""
    rows = np.arange(0, trace.frames - F + 1, F)
    number, nearest = lines.number[: len(rows)], lines.nearest[: len(rows)]
    first, ends = np.full(number.shape, -1, np.int64), np.zeros(number.shape, np.int64)
    points, about, so_far = [], [], 0
    for k, line in enumerate(lines.lines):
        mine = number == k
        if not mine.any():
            continue
        low = max(int(nearest[mine].min()) - 10, 0)
        high = min(int(nearest[mine].max()) + 76, len(line.points))
        t, n = np.nonzero(mine)
        gap = np.hypot(*(trace.place[rows[t], n] - line.points[nearest[t, n]]).T)
        near = gap < ASTRAY
        first[t[near], n[near]] = nearest[t[near], n[near]] - low + so_far
        ends[t, n] = so_far + high - low
        points.append(line.points[low:high].astype(np.float32))
        about.append(line.about[low:high].astype(np.float16))
        so_far += high - low
    return {"points": np.concatenate(points) if points else np.zeros((1, 2), np.float32),
            "about": np.concatenate(about) if about else np.zeros((1, len(ABOUT)), np.float16),
            "first": first, "ends": ends}


def window(points: np.ndarray, about: np.ndarray, first: np.ndarray, ends: np.ndarray, signals: np.ndarray, *,
           behind: int = 8, length: int = 72) -> tuple[np.ndarray, np.ndarray]:
    """Of lines one behind the other, those (N, W, 2) from ``behind`` points before the points ``first`` (N,) on, and
    what is known of each point (N, W, 7), with what the signals (S,) show now. Past a line's end stands its last
    point."""
    index = (np.maximum(first - behind, 0)[:, None] + np.arange(length)).clip(max=np.maximum(ends - 1, 0)[:, None])
    line, rest = points[index], about[index].astype(np.float32)
    return line, shown(rest, signals)


def shown(about: np.ndarray, signals: np.ndarray) -> np.ndarray:
    """What is known of points (..., 5), with each signal's number as what it shows: (..., 7)."""
    signal = about[..., 4].astype(np.int64)
    padded = np.concatenate([[99], signals, [99]])  # 0: no signal; one that is not known shows nothing
    shows = padded[np.clip(signal, 0, len(padded) - 1)]
    colours = (shows[..., None] == np.array([0, 1, 2])).astype(np.float32)
    return np.concatenate([about[..., :4], colours], -1)


def trace_paths(folder: Path | str | Sequence[Path]) -> list[Path]:
    """The traces below a folder. Raises BadData where there is none."""
    found = sorted(Path(folder).rglob("*.npz")) if isinstance(folder, (str, Path)) else list(folder)
    if not found:
        raise BadData(f"no traces of traffic below {folder}: make some with: reverie data make road --traces DIR "
                      "-o OUT")
    return found


__all__ = ["ABOUT", "Line", "Moments", "checked", "paces", "trace_paths", "window"]
