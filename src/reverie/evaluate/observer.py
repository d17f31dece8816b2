"""Suite ``observer``: how well the judge's eye sees the things of unseen truth."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from reverie.audit.judge import NAMES_EVERY
from reverie.audit.observer import Detection, Observer, overlap
from reverie.audit.tracks import FAINT
from reverie.core.clip import Truth
from reverie.core.runtime import bf16_pays
from reverie.evaluate.figures import figure, share
from reverie.evaluate.study import Study

SECONDS, LOOK_EVERY = 6.0, 12  # frames between two looks
IN_SIGHT, GLIMPSED = 0.5, 0.05  # share of its silhouette from which a thing should be, and may be, detected
MATCH = 0.5  # overlap of two boxes that mean the same thing
GOAL = ">= 0.95"
PACE = {128: ">= 100", 256: ">= 24"}  # frames a second on two cores, of frames so wide and high
TIMED, BEST_OF = 96, 3  # frames, times


def measure(study: Study) -> list[dict]:
    """On frames of n held-out clips: of the detections that are a true thing, the share with the right kind,
    the right colour; of all detections, the share that are a true thing (precision); of the things at
    least half in sight, the share detected (recall). And how many frames a second it looks at, as the judge has it
    look."""
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
            made), figure("recall", share(found, there), "share", None, there), *(
            figure(f"frames_a_second_{side}", pace(study.observer, frames, side), "1/s", goal, TIMED)
            for side, goal in PACE.items())]


def pace(observer: Observer, frames: np.ndarray, side: int) -> float:
    """Frames a second that the observer looks at, the best of a few times; frames (T, H, W, 3) are made side x side."""
    by = max(1, side // frames.shape[1])
    shown = np.resize(frames.repeat(by, 1).repeat(by, 2), (TIMED, by * frames.shape[1], by * frames.shape[2], 3))
    half = bf16_pays(next(observer.net.parameters()).device)
    took = []
    for _ in range(BEST_OF):
        began = time.perf_counter()
        observer.detect(shown, threshold=FAINT, every=NAMES_EVERY, half=half)
        took.append(time.perf_counter() - began)
    return TIMED / min(took)


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
