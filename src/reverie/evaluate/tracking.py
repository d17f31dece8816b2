"""Suite ``tracking``: does the judge follow each true thing, all of it and nothing else, at both sizes it is asked for?

HOTA (Luiten et al. 2021, arXiv 2009.07736) and IDF1 as the package trackeval has them, over the tracks of audit.tracks;
average precision over single frames as train.observer_scores has it.

Legend: T pictures, N true things, M things found in one of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reverie.audit.observer import overlap
from reverie.core.errors import ReverieError
from reverie.evaluate.figures import figure
from reverie.evaluate.study import Study
from reverie.evaluate.watch import Watched, watched
from reverie.train.observer_scores import LEAST_VISIBLE, LEAST_WIDTH, observer_scores

SIZES = (128, 256)  # pixels of a side
SECONDS = 6.0
GOALS = {"map50": ">= 0.9", "hota": ">= 0.8", "idf1": ">= 0.9"}
TOUCHES = 0.3  # overlap from which a track's box is excused by a lesser thing


def measure(study: Study) -> list[dict]:
    """For each of SIZES, over n held-out clips of 6 s: mAP50 of things at least 12 pixels wide and high and half in
    sight, HOTA and IDF1 of the tracks of these; a track on a lesser thing is neither right nor wrong."""
    scores([])  # where trackeval is missing, nothing need be drawn
    figures: list[dict] = []
    for side in SIZES:
        clips = study.clips(study.n, SECONDS, drawn=True, size=(side, side))
        sequences: list[dict] = []
        with study.track(len(clips), f"clips followed at {side}x{side}") as bar:
            for seen in watched(clips, range(len(clips)), "plain", study.model, study.observer):
                data = judged(seen)
                sequences += [data] if data["num_gt_dets"] else []
                bar.advance()
        followed = scores(sequences)
        frames = observer_scores(study.observer, clips, range(len(clips)), every=12)
        things = int(frames["things"])
        figures += [figure(f"map50_{side}", frames["map50"], "share", GOALS["map50"], things),
                    figure(f"precision_{side}", frames["precision"], "share", None, things),
                    figure(f"recall_{side}", frames["recall"], "share", None, things),
                    figure(f"hota_{side}", followed["hota"], "share", GOALS["hota"], len(sequences)),
                    figure(f"idf1_{side}", followed["idf1"], "share", GOALS["idf1"], len(sequences))]
    return figures


def judged(seen: Watched) -> dict:
    """A clip that was judged, as trackeval takes it; asked for are true things that are large and half in sight."""
    truth, count = seen.truth, min(seen.verdict.frames, len(seen.truth.exists))
    boxes, visible = truth.boxes[seen.camera], truth.visible[seen.camera]
    sides = np.nan_to_num(boxes[..., 2:] - boxes[..., :2]).min(-1)
    there = truth.exists & (visible > 0)
    rows: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(count)]
    for n, track in enumerate(seen.verdict.tracks):
        for t, box in zip(track.frames, track.boxes, strict=True):
            if t < count:
                rows[int(t)].append((n, box))
    found = [(np.array([n for n, _ in row], int), np.array([box for _, box in row], np.float32).reshape(-1, 4))
             for row in rows]
    return sequence(boxes, there, there & (visible >= LEAST_VISIBLE) & (sides >= LEAST_WIDTH), found)


def sequence(boxes: np.ndarray, there: np.ndarray, asked: np.ndarray, found: Sequence[tuple[np.ndarray, np.ndarray]]
             ) -> dict:
    """Pictures as trackeval takes them: true boxes (T, N, 4) of things that are there and asked for (T, N), and in each
    picture the numbers (M,) and boxes (M, 4) of what was found. What lies on a thing that is there and not asked for,
    and on none that is, is left out."""
    rows = []
    for t, (numbers, own) in enumerate(found):
        mine, lesser = np.flatnonzero(asked[t]), there[t] & ~asked[t]
        alike = overlap(boxes[t, mine], own)
        excused = (overlap(boxes[t, lesser], own) >= TOUCHES).any(0) & ~(alike >= 0.5).any(0)
        rows.append((mine, numbers[~excused], alike[:, ~excused]))
    return gathered(rows)


def gathered(rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict:
    """As trackeval takes it: of each picture the numbers of true things (N,), of those found (M,), and how alike they
    are (N, M) in 0..1."""
    true_ids, things = _numbered([row[0] for row in rows])
    found_ids, tracks = _numbered([row[1] for row in rows])
    return {"num_gt_ids": things, "num_tracker_ids": tracks, "num_gt_dets": sum(map(len, true_ids)),
            "num_tracker_dets": sum(map(len, found_ids)), "num_timesteps": len(rows), "gt_ids": true_ids,
            "tracker_ids": found_ids, "similarity_scores": [row[2] for row in rows]}


def scores(sequences: Sequence[dict]) -> dict[str, float]:
    """hota, deta, assa (means over its thresholds) and idf1 of sequences together, NaN of none. Raises ReverieError
    without trackeval."""
    try:
        from trackeval.metrics import HOTA, Identity
    except ImportError:
        raise ReverieError('following is scored by the package trackeval: pip install "reverie[eval]"') from None
    if not any(data["num_gt_dets"] + data["num_tracker_dets"] for data in sequences):
        return dict.fromkeys(("hota", "deta", "assa", "idf1"), float("nan"))
    hota, identity = HOTA(), Identity({"PRINT_CONFIG": False})
    together = hota.combine_sequences({str(k): hota.eval_sequence(data) for k, data in enumerate(sequences)})
    same = identity.combine_sequences({str(k): identity.eval_sequence(data) for k, data in enumerate(sequences)})
    return {name.lower(): float(np.mean(together[name])) for name in ("HOTA", "DetA", "AssA")} | {
        "idf1": float(same["IDF1"])}


def _numbered(ids: list[np.ndarray]) -> tuple[list[np.ndarray], int]:
    """The same identities, counted from 0, and how many there are."""
    known = np.unique(np.concatenate(ids)) if ids else np.zeros(0, int)
    return [np.searchsorted(known, row) for row in ids], len(known)
