"""How well an observer sees, on clips whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reverie.audit.observer import Detection, Observer, overlap
from reverie.core.clip import Truth
from reverie.core.errors import BadData
from reverie.core.vocabulary import KINDS
from reverie.data.shards import ClipSet

LEAST_WIDTH, LEAST_VISIBLE = 12.0, 0.5  # pixels, share: what an observer is answerable for
RIGHT = 0.5  # overlap from which a box is the thing's
_SLIGHT = 0.02  # confidence down to which detections count for the average precision


def observer_scores(observer: Observer, clips: ClipSet, chosen: Sequence[int], *, every: int = 6) -> dict[str, float]:
    """Scores over every ``every``-th frame of the chosen drawn clips.

    "precision", "recall": at the observer's threshold and an overlap of 0.5, whatever the kind, of
    things at least 12 pixels wide and high and half visible; a detection of a lesser thing is neither
    right nor wrong. "kind", "colour": share of right ones among matched detections. "map50": mean over
    kinds of the average precision at overlap 0.5. "things": how many were to be found. A figure over
    nothing is NaN. Raises BadData when there is no frame.
    """
    tally = _Tally()
    for i in chosen:
        clip = clips.clip(i, views=True, masks=False)
        name, view = next(iter(clip.views.items()))
        frames = range(0, len(view), every)
        if clip.exact is None or name not in clip.exact.boxes:
            continue
        seen = observer.detect(view[::every], threshold=_SLIGHT)
        for t, detections in zip(frames, seen, strict=True):
            tally.add(detections, clip.exact, name, t, observer.net.config.threshold)
    if not tally.frames:
        raise BadData(f"no drawn clip in {clips.folder} to measure an observer on")
    return tally.scores()


class _Tally:
    def __init__(self) -> None:
        self.frames = self.found = self.wrong = self.kind = self.colour = 0
        self.asked = np.zeros(len(KINDS), int)
        self.ranked: list[list[tuple[float, bool]]] = [[] for _ in KINDS]

    def add(self, detections: list[Detection], truth: Truth, camera: str, t: int, threshold: float) -> None:
        """Take in what was seen in frame t."""
        self.frames += 1
        boxes, visible = truth.boxes[camera][t], truth.visible[camera][t]
        sides = np.nan_to_num(boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf)
        there = visible > 0
        asked = there & (visible >= LEAST_VISIBLE) & (sides >= LEAST_WIDTH)
        kinds = np.array([KINDS.index(k) for k in truth.kinds], int)
        self.asked += np.bincount(kinds[asked], minlength=len(KINDS))
        sure = [d for d in detections if d.confidence >= threshold]
        for d, n, excused in _matched(sure, boxes, asked, there, None):
            self.found += n is not None
            self.wrong += n is None and not excused
            if n is not None:
                self.kind += d.kind == truth.kinds[n]
                self.colour += d.colour == truth.colours[n]
        for k in {KINDS.index(d.kind) for d in detections}:
            of_kind = [d for d in detections if d.kind == KINDS[k]]
            for d, n, excused in _matched(of_kind, boxes, asked, there, kinds == k):
                if n is not None or not excused:
                    self.ranked[k].append((d.confidence, n is not None))

    def scores(self) -> dict[str, float]:
        """The figures of ``observer_scores``."""
        seen, asked = self.found + self.wrong, int(self.asked.sum())
        precisions = [_average_precision(ranked, int(n))
                      for ranked, n in zip(self.ranked, self.asked, strict=True) if n]
        return {"precision": _share(self.found, seen), "recall": _share(self.found, asked),
                "kind": _share(self.kind, self.found), "colour": _share(self.colour, self.found),
                "map50": float(np.mean(precisions)) if precisions else float("nan"), "things": float(asked)}


def _matched(detections: list[Detection], boxes: np.ndarray, asked: np.ndarray, there: np.ndarray,
             of_kind: np.ndarray | None) -> list[tuple[Detection, int | None, bool]]:
    """Each detection (most confident first) with its thing, or None and whether it is excused for one.

    Nearest first in the box, so that of two things in one place each finds its own; a lesser thing, one
    that is small or mostly hidden, excuses a detection that overlaps it at all well.
    """
    if not len(boxes):
        return [(d, None, False) for d in detections]
    free = asked if of_kind is None else asked & of_kind
    free = free.copy()
    out: list[tuple[Detection, int | None, bool]] = []
    for d in detections:
        common = overlap(np.array([d.box]), boxes)[0]
        n = int(np.where(free, common, -1).argmax())
        if free[n] and common[n] >= RIGHT:
            free[n] = False
            out.append((d, n, False))
        else:
            out.append((d, None, bool((common[there & ~asked] >= 0.3).any())))
    return out


def _average_precision(ranked: list[tuple[float, bool]], asked: int) -> float:
    """Area under precision (made monotonous) over recall."""
    if not ranked:
        return 0.0
    right = np.array([hit for _, hit in sorted(ranked, key=lambda pair: -pair[0])], float)
    recall = right.cumsum() / asked
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((best * np.diff(recall, prepend=0.0)).sum())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
