"""From detections in frames to tracks of things: linked, mended, named, and why each begins and ends.

Linking is ByteTrack's (Zhang et al. 2022, arXiv 2110.06864) in the package ``trackers``, with boxes grown a little,
for small things fall further in a frame than they are wide. It is asked to give up early; what belongs together over
a longer gap is joined here, where the whole clip is known.

Legend: n frames of a track, T frames of a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from reverie.audit.findings import FOVY, Track
from reverie.audit.observer import COLOUR_NAMES, Detection, overlap
from reverie.core.errors import ReverieError
from reverie.core.vocabulary import KINDS

FAINT = 0.1  # confidence from which detections are looked at: what is there is seldom below
SURE = 0.28  # confidence from which a detection may begin a track
PATIENCE = 0.25  # seconds for which the linker waits for a thing
LONGEST_GAP = 1.5  # seconds over which pieces in sight of one another are joined
LEAST = 0.15  # seconds that a track lasts at least; less is a flicker
READ_AGAIN = 0.6  # of a detection's confidence: what is less sure in the same place is a second reading of it
COVERED = 0.4  # share of a box that another covers when the thing behind it is lost from sight
SAME_SHAPE = 0.5  # overlap of a thing's boxes from one frame to the next
OUT = 0.6  # share of a box that is in the picture, below which it could not be seen
EDGE = 0.015  # of the picture's size: what is so near its border touches it


def follow(seen: Sequence[Sequence[Detection]], fps: float, size: tuple[int, int], cuts: Sequence[int] = ()
           ) -> list[Track]:
    """Tracks of a clip, by their first frames.

    seen: the detections of each frame, those of confidence FAINT and more. size: H, W of the frames in pixels.
    cuts: frames that begin a new shot; no track goes on over one. Raises ReverieError without the package trackers.
    """
    pieces: list[list[tuple[int, Detection]]] = []
    bounds = [0, *sorted(cuts), len(seen)]
    for start, stop in zip(bounds, bounds[1:], strict=False):
        for piece in _linked(seen, start, stop, fps):
            pieces += _of_one(piece)
    shots = np.searchsorted(np.array(bounds[1:-1], int), np.arange(len(seen)), side="right")
    tracks = [_track(piece, size) for piece in pieces if len(piece) >= max(3, round(0.6 * LEAST * fps))]
    tracks = _joined(tracks, fps, shots)
    tracks = [t for t in tracks if _lasting(t, fps)]
    tracks = _without_parts(tracks)
    tracks.sort(key=lambda t: (t.first, t.frames[-1]))
    tracks = [replace(t, number=n + 1) for n, t in enumerate(tracks)]
    return [replace(t, began=_why(t, tracks, bounds, size, fps, forward=False),
                    ended=_why(t, tracks, bounds, size, fps, forward=True)) for t in tracks]


def _linked(seen: Sequence[Sequence[Detection]], start: int, stop: int, fps: float
            ) -> list[list[tuple[int, Detection]]]:
    """Detections of the frames start..stop-1 in pieces of one thing each."""
    try:
        import supervision as sv
        from trackers import BIoU, ByteTrackTracker
    except ImportError as error:
        raise ReverieError(f'an audit needs the package {error.name}: pip install "reverie[audit]"') from None
    tracker = ByteTrackTracker(lost_track_buffer=max(2, round(PATIENCE * fps)), frame_rate=30.0,
                               track_activation_threshold=SURE, minimum_consecutive_frames=1,
                               minimum_iou_threshold=0.2, high_conf_det_threshold=SURE, iou=BIoU(0.35))
    pieces: dict[int, list[tuple[int, Detection]]] = {}
    for t in range(start, stop):
        found = _distinct(seen[t])
        boxes = np.array([d.box for d in found], np.float32).reshape(-1, 4)
        given = sv.Detections(xyxy=boxes, confidence=np.array([d.confidence for d in found], np.float32),
                              data={"row": np.arange(len(found))})
        said = tracker.update(given)
        numbers = said.tracker_id if said.tracker_id is not None else ()
        for row, number in zip(said.data["row"] if len(said) else (), numbers, strict=True):
            if number >= 0:
                pieces.setdefault(int(number), []).append((t, found[int(row)]))
    return list(pieces.values())


def _of_one(piece: list[tuple[int, Detection]]) -> list[list[tuple[int, Detection]]]:
    """A piece, cut where it goes on with another thing: of another kind, colour and shape all at once, and for good."""
    for k in range(3, len(piece) - 2):
        before, after = ([d for _, d in piece[rows]] for rows in (slice(k - 3, k), slice(k, k + 3)))
        if overlap(np.array([before[-1].box]), np.array([after[0].box]))[0, 0] < SAME_SHAPE and not (
                {d.colour for d in before} & {d.colour for d in after}) and not (
                {d.kind for d in before} & {d.kind for d in after}):
            return [piece[:k], *_of_one(piece[k:])]
    return [piece]


def _distinct(found: Sequence[Detection]) -> list[Detection]:
    """Detections of a frame without those that are a far surer one read again: of its colour, and all but inside it
    or around it."""
    kept: list[Detection] = []
    for d in sorted(found, key=lambda d: -d.confidence):
        if not any(d.confidence < READ_AGAIN * k.confidence and d.colour == k.colour and max(
                share(d.box, k.box), share(k.box, d.box)) > 0.7 for k in kept):
            kept.append(d)
    return kept


def _track(piece: Sequence[tuple[int, Detection]], size: tuple[int, int]) -> Track:
    """A track of linked detections."""
    kept = [d for _, d in piece]
    metre = np.array([d.metre for d in kept], np.float32)
    focal = 0.5 * size[0] / np.tan(np.radians(FOVY) / 2)
    return _named(Track(
        0, "", "", np.array([t for t, _ in piece]), np.array([d.box for d in kept], np.float32),
        np.array([d.confidence for d in kept], np.float32), np.array([d.visible for d in kept], np.float32),
        (focal / np.maximum(metre, 1e-3)).astype(np.float32), np.array([d.lift for d in kept], np.float32),
        np.stack([d.kind_scores for d in kept]), np.stack([d.colour_scores for d in kept]),
        np.stack([d.appearance for d in kept])))


def _named(track: Track) -> Track:
    """With the kind and colour that most of its frames say, the clearer ones louder."""
    weight = (track.confidence * np.sqrt(np.maximum(np.nan_to_num(track.visible, nan=1.0), 0.05)))[:, None]
    return replace(track, kind=KINDS[int((weight * track.kind_scores).sum(0).argmax())],
                   colour=COLOUR_NAMES[int((weight * track.colour_scores).sum(0).argmax())])


def merged(first: Track, later: Track) -> Track:
    """Two tracks as one, by frames; where both have a frame, the first's."""
    keep = ~np.isin(later.frames, first.frames)
    frames = np.concatenate([first.frames, later.frames[keep]])
    order = np.argsort(frames, kind="stable")

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(first, name), getattr(later, name)[keep]])[order]

    return _named(replace(
        first, frames=frames[order], boxes=joined("boxes"), confidence=joined("confidence"), visible=joined("visible"),
        depth=joined("depth"), lift=joined("lift"), kind_scores=joined("kind_scores"),
        colour_scores=joined("colour_scores"), looks=joined("looks")))


def ahead(track: Track, frames: float, *, forward: bool = True, over: int = 6) -> np.ndarray:
    """The box (4,) that a track would have so many frames after its end (or before its beginning)."""
    rows = slice(-over, None) if forward else slice(None, over)
    t, boxes = track.frames[rows].astype(float), track.boxes[rows].astype(float)
    edge = track.boxes[-1 if forward else 0].astype(float)
    if len(t) < 2:
        return edge
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    way = np.polyfit(t - t.mean(), centres, 1)[0] * (frames if forward else -frames)
    return edge + np.tile(way, 2)


def alike(one: Track, two: Track) -> bool:
    """Whether two tracks could be one thing by their looks: colour, and kind or appearance."""
    same_colour = one.colour == two.colour
    near = float(_look(one) @ _look(two))
    return (same_colour and (one.kind == two.kind or near > 0.5)) or (one.kind == two.kind and near > 0.8)


def _look(track: Track) -> np.ndarray:
    look = (track.looks * track.confidence[:, None]).sum(0)
    return look / max(float(np.linalg.norm(look)), 1e-6)


def _joined(tracks: list[Track], fps: float, shots: np.ndarray) -> list[Track]:
    """Pieces that are one thing become one track: the best fitting pair first."""
    tracks = list(tracks)
    while True:
        best, pair = 1.0, None
        for i, a in enumerate(tracks):
            for j, b in enumerate(tracks):
                if i == j or b.first <= a.last or shots[a.last] != shots[b.first]:
                    continue
                cost = _misfit(a, b, fps)
                if cost < best:
                    best, pair = cost, (i, j)
        if pair is None:
            return tracks
        i, j = pair
        tracks[i] = merged(tracks[i], tracks[j])
        del tracks[j]


def _misfit(a: Track, b: Track, fps: float) -> float:
    """How ill b goes on from a, from 0; 1 and more: it does not."""
    gap = (b.first - a.last) / fps
    if gap > LONGEST_GAP or not alike(a, b):
        return np.inf
    wide = float(np.sqrt(np.prod(np.maximum((a.sides[-1] + b.sides[0]) / 2, 1))))
    grown = np.abs(np.log(np.maximum(b.sides[0], 1) / np.maximum(a.sides[-1], 1))).max()
    if grown > 0.5:
        return np.inf
    steps = b.first - a.last
    there, back = ahead(a, steps), ahead(b, steps, forward=False)
    miss = min(_distance(there, b.boxes[0]), _distance(back, a.boxes[-1]))
    return miss / (wide * (0.5 + 0.8 * min(gap, 0.6))) + 0.3 * gap


def _distance(box: np.ndarray, other: np.ndarray) -> float:
    return float(np.hypot(*((box[:2] + box[2:]) / 2 - (other[:2] + other[2:]) / 2)))


def _lasting(track: Track, fps: float) -> bool:
    """Whether a track is more than a flicker: long enough, and sure somewhere."""
    long = track.last - track.first + 1 >= LEAST * fps
    return bool(long and len(track.frames) >= 3 and np.sort(track.confidence)[-3:].mean() > 0.35)


def _without_parts(tracks: list[Track]) -> list[Track]:
    """Without tracks of a part of another thing (the bob of a pendulum) and of what another track has as well."""
    kept: list[Track] = []
    for track in sorted(tracks, key=lambda t: -len(t.frames)):
        if not any(_part_of(track, other) for other in kept):
            kept.append(track)
    return kept


def _part_of(track: Track, other: Track) -> bool:
    both, mine, its = np.intersect1d(track.frames, other.frames, return_indices=True)
    if track.colour != other.colour or len(both) < 0.5 * len(track.frames):
        return False
    a, b = track.boxes[mine], other.boxes[its]
    inner = (np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])).clip(0).prod(1)
    area, around = ((x[:, 2:] - x[:, :2]).prod(1) for x in (a, b))
    inside = (inner > 0.75 * area).mean() > 0.8
    return bool(inside and (other.kind == "pendulum" or (inner > 0.6 * np.maximum(area, around)).mean() > 0.6))


def at_border(box: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether a box touches the border of a picture of (H, W) pixels."""
    height, width = size
    x, y = EDGE * width, EDGE * height
    return bool(box[0] <= x or box[1] <= y or box[2] >= width - x or box[3] >= height - y)


def _why(track: Track, tracks: Sequence[Track], bounds: Sequence[int], size: tuple[int, int], fps: float, *,
         forward: bool) -> str:
    """Why there is no more of a track after its end, or before its beginning: see Track.began."""
    edge = track.last if forward else track.first
    near = max(2, round(0.1 * fps))
    limits = [b - 1 if forward else b for b in (bounds[1:] if forward else bounds[:-1])]
    if any(abs(edge - limit) < near and (edge <= limit if forward else edge >= limit) for limit in limits):
        return "clip"
    boxes = [track.boxes[-1 if forward else 0], ahead(track, 0.5 * near, forward=forward),
             ahead(track, near, forward=forward), ahead(track, 2.5 * near, forward=forward)]  # a quarter of a second
    picture = (0, 0, size[1], size[0])
    if at_border(boxes[0], size) or any(share(box, picture) < OUT for box in boxes[1:]):
        return "border"
    if any(covers(other, track, edge, boxes) for other in tracks if other is not track and other.name != track.name):
        return "hidden"
    return "sight"


def covers(other: Track, track: Track, edge: int, boxes: Sequence[np.ndarray], soon: int = 6) -> bool:
    """Whether another thing comes to stand where a track ends or begins, within so many frames.

    One that stood there as well while this one was wholly in sight stands behind it, or beside it. What looks just
    the same is not asked: a thing that splits in two is not hidden behind itself.
    """
    forward = edge == track.last
    after, before = (edge, edge + soon) if forward else (edge - soon, edge), edge - 5 if forward else edge + 5
    rows = np.flatnonzero((other.frames >= after[0]) & (other.frames <= after[1]))
    cover = max((share(box, other.boxes[row]) for row in rows for box in boxes), default=0.0)
    if cover < COVERED:
        return False
    seen = np.nan_to_num(track.visible[slice(-3, None) if forward else slice(None, 3)], nan=0.0)
    then, mine = int(np.abs(other.frames - before).argmin()), int(np.abs(track.frames - before).argmin())
    already = share(track.boxes[mine], other.boxes[then]) if abs(int(other.frames[then]) - before) <= 2 else 0.0
    return cover - already > 0.15 or seen.min() < 0.7


def share(box: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray) -> float:
    """The share of a box that another covers."""
    box, other = np.asarray(box), np.asarray(other)
    common = (np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])).clip(0).prod()
    return float(common / max(float(np.prod(box[2:] - box[:2])), 1e-6))
