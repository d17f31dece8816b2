"""Laws about what things are: they stay, keep their looks and size, and go from place to place by the way between.

Their crimes happen at one moment. So a thing must have been seen well before it or after it, and what a tired eye
might have missed is asked of all detections, however faint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from reverie.audit.findings import Track, Violation
from reverie.audit.observer import overlap
from reverie.audit.scene import STEP, Path, Scene, grown, meet, stepped
from reverie.audit.tracks import ahead, alike, at_border, share
from reverie.core.vocabulary import ALIVE

WITNESS = 0.35  # seconds for which a thing must be seen before it vanishes, or after it appears
WELL_SEEN = 0.7  # share of these frames in which it is seen
CLEAR, PLAIN = 0.35, 0.78  # mean confidence in them, and mean share of it in sight
LIFE, BRIEF = 0.7, 1.0  # seconds that a thing is seen at all: a shadow that is taken for a thing lasts for less; and
# that a thing is seen which came from nothing and vanishes
SHADOW = 0.45, 0.5  # mean confidence from which what is black is a thing, and what lives, and no shadow of one
GONE = 0.4  # seconds for which there must be nothing, however faint, where it should be
TWICE = 6, 3  # of so many frames before and after: those in which something else is seen in the same place
SEEN_AGAIN, SAME_BOX, APART = 0.3, 0.6, 0.1  # overlap: of a thing where it should be; of one thing's boxes; of two
FAINTLY = 0.25  # share of these frames in which there may be
BLUR = 0.13  # seconds around a moment over which compression smears what was before and what is after
DWINDLES, SLIPS = 0.68, 0.92  # of its area: what is so much smaller at its end dwindles; and if something touches it
LESS_SEEN, ON = 0.08, 0.15  # and so much less of it is in sight; of its sides: what is nearer touches it
BACK = 2.0  # widths from where it was lost to where what was hidden is seen again
TOGETHER = 0.35  # seconds between an end and a beginning that are one crime
SURE_JUMP = 0.26  # confidence before and after a jump
FAR = 1.5  # widths within which what changes its size at once is one thing
JUMP = 1.05  # widths: a thing that goes further from one frame to the next jumps
GROWTH = 1.33  # ratio of sizes from one moment to the next
SURE_SIZE, GREATLY = 0.3, 1.8  # mean confidence before and after; the ratio where that is less
ALIKE_SIZE = 1.8  # ratio of sizes below which one of two things may be taken for the other
SKEW = 0.35  # logarithm of the ratio by which one side may grow more than the other
STEADY = 0.3  # seconds for which a thing must look the same before and after it changes
BETWEEN = 0.3  # share of a thing that another covers: then what changes may be which of the two is seen


def permanence(scene: Scene) -> list[Violation]:
    """Things that vanish, appear, split in two or merge. amount: share of the frames in which it is not there."""
    ends, begins = _breaks(scene)
    found = []
    for track in ends:
        if not any(_paired(track, other, scene) for other in scene.tracks if other is not track):
            twin = _twin(track, scene, track.last)
            what = "merged" if twin else "vanished"
            text = (f"the {track.name} merged with another like it" if twin else f"the {track.name} vanished while in "
                    "sight")
            found.append(_broken(scene, track, what, text, twin, forward=True))
    for track in begins:
        if not any(_paired(other, track, scene) for other in scene.tracks if other is not track):
            twin = _twin(track, scene, track.first)
            what = "split" if twin else "appeared"
            text = f"the {track.name} is there twice all at once" if twin else f"a {track.name} appeared from nothing"
            found.append(_broken(scene, track, what, text, twin, forward=False))
    return found


def _broken(scene: Scene, track: Track, what: str, text: str, twin: Track | None, *, forward: bool) -> Violation:
    edge = track.last + 1 if forward else track.first
    gone = 1 - _faintly(scene, track, forward=forward)
    return Violation("permanence", what, track.number, edge / scene.fps, edge / scene.fps, gone, 1 - FAINTLY, "share",
                     text, as_box(track.boxes[-1 if forward else 0]), None if twin is None else twin.number)


def _breaks(scene: Scene) -> tuple[list[Track], list[Track]]:
    """Tracks that end, and that begin, in sight, and for which there is good evidence."""
    ends = [t for t in scene.tracks if t.ended == "sight" and evident(scene, t, forward=True)
            and not _slips(scene, t, forward=True)]
    begins = [t for t in scene.tracks if t.began == "sight" and evident(scene, t, forward=False)
              and not _slips(scene, t, forward=False) and not _comes_back(t, scene)]
    return ends, begins


def _comes_back(track: Track, scene: Scene) -> bool:
    """Whether a thing that looks the same went behind something before, near where a track begins, and has not come
    back yet; who is back the moment it is gone was not behind anything."""
    near, sooner = grown(track.boxes[0], BACK), track.first - BLUR * scene.fps
    same = [other for other in scene.tracks if other is not track and alike(other, track)]
    gone = [other for other in same if other.ended == "hidden" and other.last < sooner and meet(near, other.boxes[-1])]
    back = [other for other in same if other.began == "hidden" and other.first < track.first]
    return any(not any(old.last < new.first for new in back) for old in gone)


def evident(scene: Scene, track: Track, *, forward: bool) -> bool:
    """Whether a thing was seen well up to its end (from its beginning on), and then (before) not at all."""
    span = max(3, round(WITNESS * scene.fps))
    edge = track.last if forward else track.first
    rows = _edge(scene, track, forward)
    room = scene.frames - 1 - edge if forward else edge
    if rows.sum() < WELL_SEEN * span or room < 0.25 * scene.fps:
        return False
    if track.confidence[rows].mean() < CLEAR or np.nan_to_num(track.visible[rows], nan=1.0).mean() < PLAIN:
        return False
    if any(at_border(box, scene.size) for box in track.boxes[rows]) or len(track.frames) < LIFE * scene.fps:
        return False
    if track.confidence.mean() < max(SHADOW[0] * (track.colour == "black"), SHADOW[1] * (track.kind in ALIVE)):
        return False
    if track.began == track.ended == "sight" and len(track.frames) < BRIEF * scene.fps:
        return False
    return not _read_twice(track, scene.tracks, edge) and _faintly(scene, track, forward=forward) <= FAINTLY


def _edge(scene: Scene, track: Track, forward: bool, more: int = 0) -> np.ndarray:
    """The rows (n,) bool of WITNESS seconds, and so many frames more, at a track's end, or at its beginning."""
    span = max(3, round(WITNESS * scene.fps)) + more
    return (track.frames > track.last - span) if forward else (track.frames < track.first + span)


def _slips(scene: Scene, track: Track, *, forward: bool) -> bool:
    """Whether less and less is seen of a thing at its end (at its beginning, more and more): it dwindles by itself, for
    longer than compression smears what is gone, or goes behind what it touches."""
    smear = round(BLUR * scene.fps) + 1
    sooner = np.flatnonzero(_edge(scene, track, forward, smear))[:: 1 if forward else -1]
    rows = np.flatnonzero(_edge(scene, track, forward))[:: 1 if forward else -1]
    few, area = max(2, len(rows) // 4), track.sides.prod(1)
    before = area[sooner[: max(len(sooner) - smear, few)]]
    if np.median(before[-few:]) < DWINDLES * max(float(np.median(before[:few])), 1.0):
        return True
    area, visible = area[rows], np.nan_to_num(track.visible[rows], nan=1.0)
    usual = max(float(np.median(area[:few])), 1.0)
    less, hidden = float(np.median(area[-few:])) / usual, visible[:few].mean() - visible[-few:].mean()
    if less >= DWINDLES and hidden < (LESS_SEEN if less < SLIPS else 2 * LESS_SEEN):
        return False
    edge, box = (track.last if forward else track.first), grown(track.boxes[rows[-1]], ON)
    return any(meet(box, other) for other in scene.beside(track, edge))


def _read_twice(track: Track, others: Sequence[Track], frame: int) -> bool:
    """Whether another thing of the same colour is seen in the same place at once: one of the two is a misreading."""
    for other in others:
        if other is not track and other.colour == track.colour:
            both, mine, its = np.intersect1d(track.frames, other.frames, return_indices=True)
            near = np.flatnonzero(np.abs(both - frame) <= TWICE[0])
            same = [max(share(a, b), share(b, a)) > 0.5
                    for a, b in zip(track.boxes[mine[near]], other.boxes[its[near]], strict=True)]
            if sum(same) >= TWICE[1]:
                return True
    return False


def _faintly(scene: Scene, track: Track, *, forward: bool) -> float:
    """Share of the frames after a track's end (before its beginning) in which something is about where it would be.

    What is smeared over the first frames does not count, nor what is the twin's that stood beside it.
    """
    edge, span = (track.last if forward else track.first), max(3, round(GONE * scene.fps))
    others = _beside(scene, track, edge, forward)
    usual = np.maximum(np.median(track.sides[slice(-9, None) if forward else slice(None, 9)], 0), 1)
    first = 1 + round(BLUR * scene.fps)
    hits = []
    for step in range(first, first + span):
        t = edge + step if forward else edge - step
        if 0 <= t < scene.frames:
            boxes = np.array([d.box for d in scene.seen[t]], np.float32).reshape(-1, 4)
            theirs = [o.boxes[row] for o in others for row in np.flatnonzero(o.frames == t)]
            if theirs and len(boxes):
                boxes = boxes[overlap(boxes, np.array(theirs)).max(1) < SAME_BOX]
            guesses = np.stack([ahead(track, step, forward=forward), track.boxes[-1 if forward else 0]])
            size = np.log(np.maximum(boxes[:, 2:] - boxes[:, :2], 1) / usual)
            like = np.abs(size.mean(1)) < np.log(GREATLY)
            hits.append(bool(like.any()) and bool(overlap(guesses, boxes[like]).max() >= SEEN_AGAIN))
    return float(np.mean(hits)) if hits else 1.0


def _beside(scene: Scene, track: Track, frame: int, forward: bool) -> list[Track]:
    """Others that are there after a frame (before it), and at it not where the track is. What looks otherwise must be
    there on both sides of it: else it may be what the track became."""
    mine = track.boxes[int(np.abs(track.frames - frame).argmin())]
    out = []
    for other in scene.tracks:
        after, before = other.last > frame + 2, other.first < frame - 2
        there = (after if forward else before) if alike(other, track) else after and before
        if other is not track and there:
            its = other.boxes[int(np.abs(other.frames - frame).argmin())]
            if overlap(mine[None], its[None])[0, 0] < APART:
                out.append(other)
    return out


def changes(scene: Scene) -> list[tuple[Track, Track]]:
    """Pairs of a track's end and another's beginning at one moment, of which at least one is beyond doubt."""
    ends, begins = _breaks(scene)
    pairs = [(old, new) for old in ends for new in scene.tracks if new is not old and new.began != "clip"]
    pairs += [(old, new) for new in begins for old in scene.tracks if old is not new and old.ended != "clip"
              and not any(old is end for end in ends)]
    return [(old, new) for old, new in pairs if _paired(old, new, scene)]


def _paired(old: Track, new: Track, scene: Scene) -> bool:
    """Whether one track's end and another's beginning are the same thing, changed at one moment."""
    gap = (new.first - old.last) / scene.fps
    if abs(gap) > TOGETHER:
        return False
    same_place = overlap(grown(ahead(old, 1), 0.2)[None], grown(new.boxes[0], 0.2)[None])[0, 0] > 0.15
    if same_place:
        return alike(old, new) or old.kind == new.kind or old.colour == new.colour
    near = _leap(old.boxes[-1], new.boxes[0]) < FAR or abs(_grown_by(old.sides[-5:], new.sides[:5])) < np.log(GROWTH)
    return near and alike(old, new) and _sure(old, new)  # else no law would call it a change


def _twin(track: Track, scene: Scene, frame: int) -> Track | None:
    """Another thing that looks the same, is as large, was there before and after, and stands near."""
    for other in scene.tracks:
        if other is track or not alike(other, track) or other.kind != track.kind:
            continue
        if not other.first < frame - 2 or not other.last > frame + 2:
            continue
        mine = track.boxes[int(np.abs(track.frames - frame).argmin())]
        its = other.boxes[int(np.abs(other.frames - frame).argmin())]
        sides, others = mine[2:] - mine[:2], its[2:] - its[:2]
        apart = np.hypot(*((mine[:2] + mine[2:] - its[:2] - its[2:]) / 2))
        if apart < 2.5 * max(*sides, *others) and np.abs(np.log(sides / np.maximum(others, 1))).max() < 0.5:
            return other
    return None


def continuity(scene: Scene) -> list[Violation]:
    """Things that jump. amount: how far, in their own widths."""
    found = []
    for old, new in changes(scene):
        if not alike(old, new):
            continue
        far, by = _leap(ahead(old, new.first - old.last), new.boxes[0]), _grown_by(old.sides[-5:], new.sides[:5])
        if _sure(old, new) and far > JUMP and abs(by) < np.log(GROWTH):
            found.append(_leapt(scene, old, new.first, far, new))
    for track in scene.tracks:
        path = scene.paths[track.number]
        in_steps = stepped(track.centres)
        sides = np.maximum(np.maximum(track.sides[:-1], track.sides[1:]), 4)  # what topples is not narrow for long
        step = np.hypot(*(np.diff(track.centres, axis=0) / sides).T)
        for k in np.flatnonzero((step > JUMP) & (np.diff(track.frames) <= 3)):
            before, after = track.frames[k], track.frames[k + 1]
            usual = np.median(step[max(0, k - 5) : k + 6]) if len(step) > 1 else 0.0
            if in_steps:  # then as far as it goes in the latent before or after this one
                usual = max(usual, *step[max(0, k - STEP) : k - STEP + 1], *step[k + STEP : k + STEP + 1])
            clear = min(track.confidence[k], track.confidence[k + 1], track.confidence.mean() - 0.1) > SURE_JUMP
            if clear and step[k] > JUMP + 2 * usual and whole(path, before, after, scene):
                found.append(_leapt(scene, track, int(after), float(step[k]), None, int(k)))
    return found


def _sure(old: Track, new: Track) -> bool:
    """Whether what ends and what begins were both seen well enough to be one thing that jumped."""
    return bool(min(old.confidence[-8:].mean(), new.confidence[:8].mean()) > SURE_JUMP)


def _leapt(scene: Scene, track: Track, frame: int, far: float, new: Track | None, row: int = -1) -> Violation:
    return Violation("continuity", "jumped", track.number, frame / scene.fps, frame / scene.fps, far, JUMP, "widths",
                     f"the {track.name} jumped {far:.1f} of its widths at once", as_box(track.boxes[row]),
                     None if new is None else new.number)


def _leap(box: np.ndarray, other: np.ndarray) -> float:
    """How far from one box to another, sideways in widths and upwards in heights of the larger."""
    sides = np.maximum(np.maximum(other[2:] - other[:2], box[2:] - box[:2]), 4)
    return float(np.hypot(*((box[:2] + box[2:] - other[:2] - other[2:]) / 2 / sides)))


def plain(scene: Scene, track: Track, k: int, could: Callable[[Track], bool] = lambda other: True) -> bool:
    """Whether a track's rows k - 1 and k are one thing for certain: near one another, nothing else between that
    ``could`` be what is seen before or after."""
    old, new = track.boxes[max(k - 3, 0) : k].mean(0), track.boxes[k : k + 3].mean(0)
    if _leap(old, new) > 0.8 or abs(_grown_by(track.sides[k - 3 : k], track.sides[k : k + 3])) > np.log(3):
        return False
    frame = int(track.frames[k])
    for other in scene.tracks:
        if other is track or other.confidence.mean() < CLEAR or _stands_by(other, frame):
            continue
        if not could(other):
            continue
        for row in np.flatnonzero(np.abs(other.frames - frame) <= 5):
            mine = old if other.frames[row] < frame else new
            if share(mine, other.boxes[row]) > (BETWEEN if other.name != track.name else BETWEEN / 2):
                return False
    return True


def _stands_by(other: Track, frame: int) -> bool:
    """Whether another thing was seen well before a frame, and after it in the same place: so no other became it."""
    if other.first > frame - 10:
        return False
    before = other.boxes[(other.frames >= frame - 6) & (other.frames < frame - 1)]
    after = other.boxes[(other.frames > frame) & (other.frames <= frame + 5)]
    if min(len(before), len(after)) < 3:
        return False
    return bool(overlap(before.mean(0)[None], after.mean(0)[None])[0, 0] > WELL_SEEN)


def whole(path: Path, before: int, after: int, scene: Scene) -> bool:
    """Whether a thing is whole for STEADY seconds before and after."""
    span = max(2, round(0.15 * scene.fps))
    a, b = before - path.first, after - path.first
    rows = path.whole[max(0, a - span + 1) : a + 1], path.whole[b : b + span]
    return min(len(r) for r in rows) >= 2 and all(r.mean() > 0.6 for r in rows)


def rigidity(scene: Scene) -> list[Violation]:
    """Things that grow or shrink at once. amount: ratio of sizes."""
    found = []
    for old, new in changes(scene):
        by = _grown_by(old.sides[-5:], new.sides[:5])
        same = alike(old, new) or old.colour == new.colour
        if same and rescaled(old.sides[-5:], new.sides[:5]) and _leap(old.boxes[-1], new.boxes[0]) < FAR:
            found.append(_grew(scene, old, new.first, by, new))
    for track in scene.tracks:
        found += _grows_at_once(scene, track)
    return found


def _grows_at_once(scene: Scene, track: Track) -> list[Violation]:
    """The moment at which a track's size changes most, of those at which that is no motion."""
    path = scene.paths[track.number]
    span = max(3, round(STEADY * scene.fps))
    for was, now, k in sorted(_spurts(track, span), key=lambda found: -abs(found[1] - found[0])):
        by, frame = float(now - was), int(track.frames[k])
        sure = min(track.confidence[k - span : k].mean(), track.confidence[k : k + span].mean())
        if abs(by) < np.log(GROWTH if sure > SURE_SIZE else GREATLY):
            continue
        if whole(path, int(track.frames[k - 1]), frame, scene) and plain(
                scene, track, k, lambda other: _as_large(other, frame, float(was), float(now))):  # noqa: B023
            return [_grew(scene, track, frame, by, None, k)]
    return []


def _spurts(track: Track, span: int) -> Iterator[tuple[np.floating, np.floating, int]]:
    """Where a track's size changes at once, both sides alike, and is steady for ``span`` rows before and after: the
    sizes before and after (logarithms of pixels), and the row."""
    shape = np.log(np.maximum(track.sides, 1))
    size = shape.mean(1)
    for k in range(span, len(track.frames) - span + 1):
        if track.frames[k] - track.frames[k - 1] > 4 or track.frames[k + span - 1] - track.frames[k - span] > 3 * span:
            continue
        was, now = np.median(size[k - span : k]), np.median(size[k : k + span])
        by = float(now - was)
        at_once = np.median(size[k : k + 3]) - np.median(size[k - 3 : k])
        both = shape[k : k + 3].mean(0) - shape[k - 3 : k].mean(0)
        steady = max(size[k : k + span].std(), size[k - span : k].std())
        if (abs(at_once) > 0.7 * abs(by) and both.prod() > 0 and abs(both).min() > 0.5 * abs(both).max()
                and steady < 0.25 * abs(by)):
            yield was, now, k


def _as_large(other: Track, frame: int, was: float, now: float) -> bool:
    """Whether another, near a frame, has about one of two sizes (logarithms of pixels)."""
    row = int(np.abs(other.frames - frame).argmin())
    its = float(np.log(np.maximum(other.sides[max(row - 3, 0) : row + 4], 1)).mean())
    return min(abs(its - was), abs(its - now)) < np.log(ALIKE_SIZE)


def _grown_by(before: np.ndarray, after: np.ndarray) -> float:
    """Logarithm of the ratio of sizes, of sides (n, 2) before and after."""
    return float(np.log(np.maximum(np.median(after, 0), 1) / np.maximum(np.median(before, 0), 1)).mean())


def rescaled(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether sides (n, 2) are larger or smaller after than before, both by about the same."""
    by = np.log(np.maximum(np.median(after, 0), 1) / np.maximum(np.median(before, 0), 1))
    return bool(np.abs(by).min() > np.log(GROWTH) and np.ptp(by) < SKEW)


def _grew(scene: Scene, track: Track, frame: int, by: float, new: Track | None, row: int = -1) -> Violation:
    what = "grew" if by > 0 else "shrank"
    return Violation("rigidity", what, track.number, frame / scene.fps, frame / scene.fps, float(np.exp(abs(by))),
                     GROWTH, "times", f"the {track.name} {what} to {np.exp(by):.1f} times its size at once",
                     as_box(track.boxes[row]), None if new is None else new.number)


def as_box(box: np.ndarray) -> tuple[float, float, float, float]:
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])
