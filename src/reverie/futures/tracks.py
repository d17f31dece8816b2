"""The tracks of what moves in futures, and how far futures come apart: in pixels, and in where the things are.

Legend: K futures, T frames, N things.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import combinations

import numpy as np

ALIKE = 0.3  # overlap from which two futures' tracks at the start are of one thing
SOON = 0.5  # seconds within which a track begins at the start


def observed(frames: np.ndarray, fps: float) -> list[dict]:
    """Tracks of frames (T, H, W, 3) as the judge's eye follows them, a row per thing and frame: frame, time, thing,
    kind, colour, box, sure (False for what is nothing that it knows). Raises ReverieError without its packages."""
    from reverie.audit import judge, tracks

    found, motion, size = judge.look(frames, fps)
    followed = tracks.follow(found, fps, size, motion.cuts)
    abroad = judge.foreign(followed)
    rows = []
    for one in followed:
        sure = not judge.strange_thing(one, abroad)
        for frame, box in zip(one.frames, one.boxes, strict=True):
            rows.append({"frame": int(frame), "time": round(int(frame) / fps, 4), "thing": one.number,
                         "kind": one.kind, "colour": one.colour, "box": [round(float(v), 1) for v in box],
                         "sure": sure})
    return sorted(rows, key=lambda row: (row["frame"], row["thing"]))


def boxes_of(rows: Sequence[dict], frames: int) -> tuple[np.ndarray, list[str]]:
    """Rows to boxes (T, N, 4), NaN where unseen, and the names of the N things."""
    things = sorted({row["thing"] for row in rows})
    boxes, names = np.full((frames, len(things), 4), np.nan, np.float32), [""] * len(things)
    for row in rows:
        n = things.index(row["thing"])
        unsure = "" if row.get("sure", True) else "?"
        names[n] = f"{row['colour']} {row['kind']} {row['thing']}{unsure}"
        if row["box"] is not None and row["frame"] < frames:
            boxes[row["frame"], n] = row["box"]
    return boxes, names


def pixel_divergence(futures: Sequence[np.ndarray]) -> np.ndarray:
    """(T,) the mean absolute difference of pixels, as a share of white, over all pairs of futures (T, H, W, 3)."""
    if len(futures) < 2:
        return np.zeros(len(futures[0]))
    pairs = [np.array([np.abs(a.astype(np.int16) - b).mean() for a, b in zip(one, two, strict=True)])
             for one, two in combinations(futures, 2)]
    return np.mean(pairs, 0) / 255


def known_divergence(futures: Sequence[Sequence[dict]], frames: int, past: Sequence[int]) -> np.ndarray:
    """(T,) metres between a thing of the past in one future and in another, the mean over things and pairs that both
    hold it; NaN where there is none. past: the things' numbers."""
    places = np.full((len(futures), frames, max(past, default=-1) + 1, 3), np.nan)
    for k, rows in enumerate(futures):
        for row in rows:
            if row["thing"] in past:
                places[k, row["frame"], row["thing"]] = row["position"]
    return _mean_apart([np.linalg.norm(a - b, axis=-1) for a, b in combinations(places, 2)], frames)


def seen_divergence(futures: Sequence[Sequence[dict]], frames: int, fps: float, width: int) -> np.ndarray:
    """(T,) how far apart what was one thing at the start is seen in two futures, as a share of the picture's width, the
    mean over things and pairs; NaN where there is none."""
    apart = []
    for one, two in combinations([boxes_of(rows, frames)[0] for rows in futures], 2):
        for track in one.transpose(1, 0, 2):
            other = _same(track, two.transpose(1, 0, 2), round(SOON * fps))
            if other is not None:
                gap = (track[:, :2] + track[:, 2:] - other[:, :2] - other[:, 2:]) / 2
                apart.append(np.linalg.norm(gap, axis=-1)[:, None] / width)
    return _mean_apart(apart, frames)


def _same(track: np.ndarray, others: np.ndarray, soon: int) -> np.ndarray | None:
    """Of other tracks (M, T, 4) the one that overlaps a track (T, 4) most where both begin."""
    from reverie.audit.observer import overlap

    best, most = None, ALIKE
    for other in others:
        both = np.flatnonzero(np.isfinite(track[:soon, 0]) & np.isfinite(other[:soon, 0]))
        if both.size and (alike := float(overlap(track[both[:1]], other[both[:1]])[0, 0])) > most:
            best, most = other, alike
    return best


def _mean_apart(apart: Sequence[np.ndarray], frames: int) -> np.ndarray:
    """The mean over things and pairs of distances (T, N) each, NaN where none is known."""
    whole = np.concatenate(apart, 1) if apart else np.full((frames, 0), np.nan)
    known = np.isfinite(whole)
    total = np.where(known, whole, 0).sum(1)
    return np.where(known.any(1), total / np.maximum(known.sum(1), 1), np.nan)


def observer_is_there() -> str:
    """Why tracks cannot be read from pixels here, "" if they can."""
    missing = next((name for name in ("trackers", "cv2") if find_spec(name) is None), None)
    return f'tracks in pictures need the package {missing}: pip install "reverie[audit]"' if missing else ""
