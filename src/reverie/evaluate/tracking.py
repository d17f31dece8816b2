"""Suite ``tracking``: does the judge follow each true thing, all of it and nothing else, at both sizes it is asked for?

HOTA (Luiten et al. 2021, arXiv 2009.07736) and IDF1 as the package trackeval has them, over the tracks of audit.tracks;
average precision over single frames as train.observer_scores has it.
"""

from __future__ import annotations

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
    try:
        from trackeval.metrics import HOTA, Identity
    except ImportError:
        raise ReverieError('following is scored by the package trackeval: pip install "reverie[eval]"') from None
    figures = []
    for side in SIZES:
        clips = study.clips(study.n, SECONDS, drawn=True, size=(side, side))
        hota, identity = HOTA(), Identity({"PRINT_CONFIG": False})
        scores: dict[str, tuple[dict, dict]] = {}
        with study.track(len(clips), f"clips followed at {side}x{side}") as bar:
            for seen in watched(clips, range(len(clips)), "plain", study.model, study.observer):
                data = sequence(seen)
                if data["num_gt_dets"]:
                    scores[str(seen.index)] = hota.eval_sequence(data), identity.eval_sequence(data)
                bar.advance()
        together = hota.combine_sequences({k: a for k, (a, _) in scores.items()})
        same = identity.combine_sequences({k: b for k, (_, b) in scores.items()})
        frames = observer_scores(study.observer, clips, range(len(clips)), every=12)
        things = int(frames["things"])
        figures += [figure(f"map50_{side}", frames["map50"], "share", GOALS["map50"], things),
                    figure(f"precision_{side}", frames["precision"], "share", None, things),
                    figure(f"recall_{side}", frames["recall"], "share", None, things),
                    figure(f"hota_{side}", float(np.mean(together["HOTA"])), "share", GOALS["hota"], len(scores)),
                    figure(f"idf1_{side}", float(same["IDF1"]), "share", GOALS["idf1"], len(scores))]
    return figures


def sequence(seen: Watched) -> dict:
    """A clip as trackeval takes it: per frame the numbers of true things and of tracks, and their boxes' overlaps."""
    truth, count = seen.truth, min(seen.verdict.frames, len(seen.truth.exists))
    boxes, visible = truth.boxes[seen.camera], truth.visible[seen.camera]
    sides = np.nan_to_num(boxes[..., 2:] - boxes[..., :2]).min(-1)
    there = truth.exists & (visible > 0)
    asked = there & (visible >= LEAST_VISIBLE) & (sides >= LEAST_WIDTH)
    rows: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(count)]
    for n, track in enumerate(seen.verdict.tracks):
        for t, box in zip(track.frames, track.boxes, strict=True):
            if t < count:
                rows[int(t)].append((n, box))
    true_ids, track_ids, common = [], [], []
    for t, found in enumerate(rows):
        mine, lesser = np.flatnonzero(asked[t]), there[t] & ~asked[t]
        own = np.array([box for _, box in found], np.float32).reshape(-1, 4)
        alike = overlap(boxes[t, mine], own)
        excused = (overlap(boxes[t, lesser], own) >= TOUCHES).any(0) & ~(alike >= 0.5).any(0)
        true_ids.append(mine)
        track_ids.append(np.array([n for n, _ in found], int)[~excused])
        common.append(alike[:, ~excused])
    true_ids, things = _numbered(true_ids)
    track_ids, tracks = _numbered(track_ids)
    return {"num_gt_ids": things, "num_tracker_ids": tracks, "num_gt_dets": sum(map(len, true_ids)),
            "num_tracker_dets": sum(map(len, track_ids)), "num_timesteps": count, "gt_ids": true_ids,
            "tracker_ids": track_ids, "similarity_scores": common}


def _numbered(ids: list[np.ndarray]) -> tuple[list[np.ndarray], int]:
    """The same identities, counted from 0, and how many there are."""
    known = np.unique(np.concatenate(ids)) if ids else np.zeros(0, int)
    return [np.searchsorted(known, row) for row in ids], len(known)
