"""Suite ``observer``: how well the judge's eye sees the things of unseen truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reverie.audit.observer import Detection, overlap
from reverie.core.clip import Truth
from reverie.evaluate.figures import figure, share
from reverie.evaluate.study import Study

SECONDS, LOOK_EVERY = 6.0, 12  # frames between two looks
IN_SIGHT, GLIMPSED = 0.5, 0.05  # share of its silhouette from which a thing should be, and may be, detected
MATCH = 0.5  # overlap of two boxes that mean the same thing
GOAL = ">= 0.95"


def measure(study: Study) -> list[dict]:
    """On frames of n held-out clips: of the detections that are a true thing, the share with the right kind,
    the right colour; of all detections, the share that are a true thing (precision); of the things at
    least half in sight, the share detected (recall)."""
    clips = study.clips(study.n, SECONDS, drawn=True)
    totals = np.zeros(6)
    with study.track(len(clips), "clips looked at") as bar:
        for i in range(len(clips)):
            clip = clips.clip(i, masks=False)
            name, frames = next(iter(clip.views.items()))
            looks = range(0, len(frames), LOOK_EVERY)
            seen = study.observer.detect(frames[::LOOK_EVERY])
            for t, detections in zip(looks, seen, strict=True):
                totals += score(detections, clip.truth, name, t)
            bar.advance()
    matched, kinds, colours, made, there, found = totals
    return [figure("kind_accuracy", share(kinds, matched), "share", GOAL, matched), figure("colour_accuracy",
            share(colours, matched), "share", GOAL, matched), figure("precision", share(matched, made), "share", None,
            made), figure("recall", share(found, there), "share", None, there)]


def score(detections: Sequence[Detection], truth: Truth, camera: str, t: int) -> np.ndarray:
    """Of one frame: detections matched to a thing in sight at all, those with its kind, with its colour, all
    detections; things well in sight, those matched. Boxes match greedily, the most confident first."""
    boxes, visible = truth.boxes[camera][t], truth.visible[camera][t]
    here = np.flatnonzero(truth.exists[t] & (visible > GLIMPSED) & np.isfinite(boxes).all(-1))
    common = overlap(np.array([d.box for d in detections], np.float32).reshape(-1, 4), boxes[here])
    matched: dict[int, Detection] = {}
    for row, detection in zip(common, detections, strict=True):
        fits = [j for j in np.argsort(-row) if row[j] >= MATCH and here[j] not in matched]
        if fits:
            # of things in nearly the same box, the one it says it is
            best = next((j for j in fits if row[j] > row[fits[0]] - 0.1 and truth.kinds[here[j]] == detection.kind),
                        fits[0])
            matched[int(here[best])] = detection
    kinds = sum(truth.kinds[i] == d.kind for i, d in matched.items())
    colours = sum(truth.colours[i] == d.colour for i, d in matched.items())
    clear = [i for i in here if visible[i] >= IN_SIGHT]
    return np.array([len(matched), kinds, colours, len(detections), len(clear), sum(i in matched for i in clear)])
