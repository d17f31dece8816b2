"""Laws about what moves things: what nothing holds falls, what falls falls freely, what meets gives way, and what rests
moves only when it is moved.

Positions are those of a thing's box in the picture, freed of the camera's motion, in metres of where it is; so what
comes towards the camera or goes away from it is not seen as motion, and not judged.
"""

from __future__ import annotations

import numpy as np

from reverie.audit.findings import Track, Violation
from reverie.audit.laws_things import as_box
from reverie.audit.observer import overlap
from reverie.audit.scene import Path, Scene, grown, meet, smoothed
from reverie.audit.tracks import at_border
from reverie.core.vocabulary import ALIVE, KINDS

HELD = ("hoop", "screen", "pendulum", *ALIVE)  # kinds that are held up, or hold themselves up
_HELD = [KINDS.index(kind) for kind in HELD]
LIVELY = 0.4  # score of these kinds together from which a thing may be one of them for a while
ALOFT = 0.07  # metres over the ground, as guessed, from which a thing that moves is in the air: what lies has 0.02
PLAINLY = 0.25  # the same of one whose fall stops there for all to see
HIGH = 0.45  # the same for one that was never seen to get there
SMALL = 0.1  # of the picture's height: of what is less wide or high nobody can say how high it is
STOPS = 1.0  # metres a second that a thing had which stops in the air
FREE = 9.81  # metres a second squared
ROLLS = 0.35  # metres a second, freed of the camera and in the picture: what is slower may roll far away
FLIES, RISES = 0.2, 0.6  # metres over the ground from which a thing flies; metres a second at which it goes up
BOUNCES = -4.0  # metres a second squared: what is thrown up harder has met something
LEAST_FALL = 3.5  # the same: the downward acceleration that a thing in the air has at least
MOVES, RESTS = 0.45, 0.15  # metres a second: a thing that is faster moves; that is slower rests
UNSTEADY = 0.4  # the same under a moving camera, for things nearer than the background
WINDOW = 0.29  # seconds over which an acceleration is told
ROUGH = 0.035  # metres that a parabola through a flight may miss it by; more, and it has met something
LASTS, THROUGH_NET = 0.16, 0.4  # seconds for which it must not fall; if slow, or beside a hoop, whose net holds
HANGS = 0.5  # seconds for which a thing must hang
STARTS, STARTS_UNSTEADY = 0.85, 1.3  # metres a second that a thing at rest has within a third of a second, if pushed
STILL = 0.05  # metres that a thing at rest is seen to move by at most before
UNDERWAY = 0.25  # share of the way of a third of a second that lies behind it at half time
SHOWN = 0.4  # share of this that it moves by in the picture, whatever the camera does
HOLDS_NOTHING = ("hoop", "screen")  # kinds on which nothing lies
ASLANT = ("ramp", "plank", "domino")  # kinds from which things roll and slide by themselves
UNDER = 0.2  # of its width: what holds a thing is under it by so much from either side
HOLDS_FROM = 0.15  # confidence from which what is seen in a frame, followed or not, may hold a thing
ON = 0.05  # of its sides: what is nearer touches it
STIRRED = 80  # percentile of the speeds of what may have pushed: a few wrong ones are no push
REST = 0.35  # seconds for which it must have rested
REACH = 0.35  # of its sides: what is nearer may have touched it
RESHAPED = 0.15  # logarithm of the ratio of a side's lengths, before and after


def support(scene: Scene) -> list[Violation]:
    """Things that hang in the air, or came to. amount: for how long, in seconds."""
    found = []
    for track, path in lifeless(scene):
        speed, shown, still = _speed(path, scene), _speed(path, scene, shown=True), round(0.25 * scene.fps)
        limit = UNSTEADY if scene.moving(path.first, path.first + len(path)) else RESTS
        calm = (path.whole | ~path.seen) & (smoothed(np.minimum(speed, shown)[:, None], 2 * (still // 2) + 1)[:, 0]
                                                   < limit)
        for low, high in runs(calm):
            if (high - low) / scene.fps < HANGS:
                continue
            lift = float(np.median(path.lift[low:high]))
            stopped = low > still and speed[low - still : low].max() > STOPS and _upright(path, low, still, scene)
            stopped = stopped and path.whole[low - still : low].mean() > 0.8
            sides = path.box[low:high, 2:] - path.box[low:high, :2]
            if np.median(sides, 0).min() < SMALL * scene.size[0] or _alive(track, path.first + low, path.first + high):
                continue
            if lift > (ALOFT if stopped else HIGH) and _airborne(scene, track, path, low, high, 0.0).mean() > 0.8:
                what = "stopped" if stopped and lift > PLAINLY else "hangs"
                text = f"the {track.name} {'stopped and ' * (what == 'stopped')}hangs in the air with nothing under it"
                found.append(violation(scene, track, path, "support", what, low, high, (high - low) / scene.fps,
                                        HANGS, "s", text))
    return found


def _alive(track: Track, low: int, high: int) -> bool:
    """Whether a track looks like something that holds itself up in the frames low..high, whatever its name."""
    rows = (track.frames >= low) & (track.frames < high)
    return bool(rows.any() and track.kind_scores[rows][:, _HELD].mean(0).sum() > LIVELY)


def _upright(path: Path, low: int, span: int, scene: Scene) -> bool:
    """Whether a thing moved up or down more than sideways, in the frames before ``low``."""
    way = np.abs(path.velocity(scene.fps, 1)[max(low - span, 0) : low])
    return bool(way[:, 1].max() > 0.6)


def gravity(scene: Scene) -> list[Violation]:
    """Things that move through the air without falling. amount: downward acceleration in m/s^2."""
    found = []
    for track, path in lifeless(scene):
        pull, error = _pull(path, scene)
        speeds, shown = _speed(path, scene), _speed(path, scene, shown=True)
        odd = (pull < LEAST_FALL) & (pull > BOUNCES) & (error < ROUGH) & ((speeds > RESTS) | (path.lift > HIGH))
        free = odd & path.whole
        odd &= _eroded(_airborne(scene, track, path, 0, len(path), FLIES), 2)
        for low, high in runs(odd):
            nets = any(o.kind == "hoop" for o in scene.near(track, path.first + low, 0.1, high - low))
            speed = min(float(np.median(speeds[low:high])), float(np.median(shown[low:high])))
            if speed < (ROLLS if np.median(path.lift[low:high]) < HIGH else RESTS):
                continue
            slow = speed < MOVES
            if high - low >= max(3, round((THROUGH_NET if nets or slow else LASTS) * scene.fps)):
                amount = float(np.median(pull[low:high]))
                start = low  # how high a thing is comes to be known late: it may have flown before
                while start > 0 and free[start - 1]:
                    start -= 1
                if low - start > max(2 * (high - low), 0.3 * scene.fps):
                    continue  # it rolled, most of the time
                start = max(0, start - round(0.2 * WINDOW * scene.fps))
                found.append(violation(scene, track, path, "gravity", "does not fall", start, high, amount, LEAST_FALL,
                                        "m/s²", f"the {track.name} moves through the air and gravity does not pull it"))
    return found


def _eroded(flags: np.ndarray, by: int) -> np.ndarray:
    """True where so many neighbours on both sides are True as well; what is beyond the ends counts as True."""
    out = flags.copy()
    for step in range(1, by + 1):
        out[step:] &= flags[:-step]
        out[:-step] &= flags[step:]
    return out


def lifeless(scene: Scene) -> list[tuple[Track, Path]]:
    least = round(0.5 * scene.fps)
    return [(t, scene.paths[t.number]) for t in scene.tracks if t.kind not in HELD and len(t.frames) >= least]


def _airborne(scene: Scene, track: Track, path: Path, low: int, high: int, least: float) -> np.ndarray:
    """Frames low..high (one past the last) in which a thing is in sight and so many metres up, with nothing beside or
    under it that could hold it: bool. What rises is held by nothing that stands still."""
    aloft = path.whole[low:high] & (path.lift[low:high] > least)
    rises = _rises(path, scene)[low:high]
    for k in np.flatnonzero(aloft):
        box, t = path.box[low + k], int(path.first + low + k)
        reach = _holding(box)
        beside = [o for o in scene.tracks if o is not track and o.kind not in HOLDS_NOTHING and _reached(o, t, reach)]
        if rises[k]:
            beside = [o for o in beside if not _stands(scene, o, t)]
        aloft[k] = not beside and (rises[k] or not _held_faintly(scene, track, t, reach))
    return aloft


def _holding(box: np.ndarray) -> np.ndarray:
    """Where what holds a thing with this box must reach: a fifth of its width inside, and to a little below it."""
    wide, high = box[2] - box[0], box[3] - box[1]
    return box + np.array([UNDER * wide, -2, -UNDER * wide, 0.12 * high + 2])


def _stands(scene: Scene, other: Track, frame: int) -> bool:
    """Whether a lifeless thing is well seen, and rests, in the quarter seconds before and after a frame."""
    path, over = scene.paths[other.number], round(0.25 * scene.fps)
    rows = slice(max(frame - path.first - over, 0), max(frame - path.first + over + 1, 0))
    if other.kind in ALIVE or len(path.seen[rows]) < over or path.seen[rows].mean() < 0.8:
        return False
    limit = UNSTEADY if scene.moving(frame - over, frame + over) else RESTS
    return bool(np.median(_speed(path, scene)[rows]) < limit)


def _reached(other: Track, frame: int, reach: np.ndarray) -> bool:
    """Whether a thing's box, in the frames that are nearest to one, meets another box."""
    row = int(np.searchsorted(other.frames, frame))
    rows = [r for r in (row - 1, row) if 0 <= r < len(other.frames) and abs(int(other.frames[r]) - frame) <= 6]
    return any(meet(reach, other.boxes[r]) for r in rows)


def _rises(path: Path, scene: Scene) -> np.ndarray:
    """Frames (m,) bool in which a thing goes up, in the picture as well as freed of the camera's motion."""
    over = max(1, round(0.06 * scene.fps))
    low, high = np.maximum(np.arange(len(path)) - over, 0), np.minimum(np.arange(len(path)) + over, len(path) - 1)
    span = np.maximum(high - low, 1) / scene.fps * path.metre
    return np.maximum(path.at[high, 1] - path.at[low, 1], path.centre[high, 1] - path.centre[low, 1]) / span < -RISES


def _held_faintly(scene: Scene, track: Track, frame: int, reach: np.ndarray) -> bool:
    """Whether anything that is seen in a frame, even if too faint to be followed, is beside or under a thing, and is
    not the thing itself or in it."""
    row = int(np.abs(track.frames - frame).argmin())
    mine = track.boxes[row]
    boxes = [np.array(d.box) for d in scene.seen[frame] if d.confidence >= HOLDS_FROM and d.kind not in HOLDS_NOTHING]
    return any(meet(reach, box) and box[3] > mine[3] + 2 and overlap(box[None], mine[None])[0, 0] < 0.5
               for box in boxes)


def _speed(path: Path, scene: Scene, *, shown: bool = False) -> np.ndarray:
    """Metres a second (m,) of each frame; shown: as in the picture, with the camera's motion in it."""
    return np.hypot(*path.velocity(scene.fps, max(1, round(0.06 * scene.fps)), shown=shown).T)


def _pull(path: Path, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Downward acceleration (m,) in m/s^2 of a parabola through WINDOW seconds about each frame, and what is left of it
    as a root mean square in metres; infinite where there are too few frames."""
    half = max(2, round(WINDOW * scene.fps / 2))
    t = np.arange(-half, half + 1) / scene.fps
    basis = np.stack([np.ones_like(t), t, t * t], -1)
    solve = np.linalg.pinv(basis)
    n = len(path)
    pull, error = np.full(n, np.inf), np.full(n, np.inf)
    for k in range(half, n - half):
        if not path.whole[k - half : k + half + 1].mean() > 0.8:
            continue
        y = path.at[k - half : k + half + 1, 1] / path.metre[k]
        terms = solve @ y
        pull[k], error[k] = 2 * terms[2], float(np.sqrt(np.mean((y - basis @ terms) ** 2)))
    return pull, error


def causality(scene: Scene) -> list[Violation]:
    """Things that rest and then move sideways with nothing near. amount: speed in m/s after a third of a second."""
    found = []
    third, rest = max(2, round(0.33 * scene.fps)), max(3, round(REST * scene.fps))
    for track, path in lifeless(scene):
        k = rest
        while k < len(path) - third:
            start = _start(scene, path, k, rest, third)
            if start is None:
                k += 1
                continue
            k, speed = start
            around = [o for o in scene.near(track, path.first + k, REACH, third)
                      if _stirs(scene, track, o, path.first + k, third + rest)]
            later = [o for o in scene.near(track, path.first + k + third, REACH, 0) if o not in around]
            unseen = _from_outside(scene, track, path, k, third) or any(o.first > path.first + k for o in later)
            if not around and not unseen and not reshaped(track, path.first + k):
                what = "moved too early" if later else "moved by itself"
                text = (f"the {track.name} moved before the {later[0].name} reached it" if later else
                        f"the {track.name} began to move with nothing touching it")
                found.append(violation(scene, track, path, "causality", what, k, k + third, speed, STARTS, "m/s",
                                        text, other=later[0] if later else None))
            k += third + rest
    return found


def _from_outside(scene: Scene, track: Track, path: Path, k: int, third: int) -> bool:
    """Whether something, however faintly seen, stands in the border's way of a thing that starts away from it at k."""
    box, way = grown(path.box[k], REACH), path.at[k + third, 0] - path.at[k, 0]
    if not (box[0] < 0 if way > 0 else box[2] > scene.size[1]):
        return False
    seen = [d for t in range(path.first + k - third, min(path.first + k + third, scene.frames)) for d in scene.seen[t]]
    return any(d.colour != track.colour and at_border(np.array(d.box), scene.size) and meet(box, np.array(d.box))
               and (d.box[0] < path.box[k][0] if way > 0 else d.box[2] > path.box[k][2]) for d in seen)


def reshaped(track: Track, frame: int) -> bool:
    """Whether a thing's box takes another shape all at once about a frame: then its middle moves, and it need not."""
    rows = np.flatnonzero(np.abs(track.frames - frame) <= 4)
    sides = np.log(np.maximum(track.sides[rows], 1))
    steps = [np.abs(np.median(sides[k + 1 : k + 4], 0) - np.median(sides[max(k - 3, 0) : k], 0)).max()
             for k in range(2, len(rows) - 2)]
    return bool(steps and max(steps) > RESHAPED)


def _stirs(scene: Scene, track: Track, other: Track, frame: int, ago: int) -> bool:
    """Whether another may have set a thing going about a frame: it is alive, or aslant and under it, or moved shortly
    before, or was not seen well enough to tell."""
    path = scene.paths[other.number]
    low, high = frame - ago - path.first, frame - path.first + 1
    if other.kind in ALIVE or low < 0 or high >= len(path):
        return True
    if other.kind in ASLANT and other in scene.near(track, frame, ON):
        return True
    rows = slice(low, high + 1)
    limit = UNSTEADY if scene.moving(frame - ago, frame) else RESTS
    return bool(path.seen[rows].mean() < 0.8 or np.percentile(_speed(path, scene)[rows], STIRRED) > limit)


def _start(scene: Scene, path: Path, k: int, rest: int, third: int) -> tuple[int, float] | None:
    """If a thing that rests begins to move sideways about row k: the row at which it does, and its speed in m/s."""

    def speeds(row: int) -> tuple[float, float, float]:
        before = np.hypot(*(path.at[row] - path.at[row - rest])) / path.metre[row] / rest * scene.fps
        way = np.abs(path.at[row + third] - path.at[row]) / path.metre[row] / third * scene.fps
        return float(before), float(way[0]), float(way[1])

    rows = range(k, min(k + third, len(path) - third))
    unsteady = scene.moving(path.first + k - rest, path.first + k + 2 * third)
    limit, starts = (UNSTEADY, STARTS_UNSTEADY) if unsteady else (RESTS, STARTS)
    before, side, down = speeds(k)
    if not (before < limit and side > 0.5 * starts and path.whole[k - rest : k + third + 1].mean() > 0.9):
        return None
    row = max(rows, key=lambda r: speeds(r)[1] - 2 * speeds(r)[0])
    before, side, down = speeds(row)
    shown = np.abs(path.centre[row + third, 0] - path.centre[row, 0]) / path.metre[row] / third * scene.fps
    early = abs(path.at[row + third // 2, 0] - path.at[row, 0])
    if early < UNDERWAY * abs(path.at[row + third, 0] - path.at[row, 0]):  # all at once, at the end: a misreading
        return None
    if shown < SHOWN * starts:  # only the camera's motion says that it moves, and that may be misread
        return None
    spread = np.abs(path.at[row - rest : row + 1] - path.at[row]).max() / path.metre[row]
    if spread < STILL and before < RESTS:  # it is at rest beyond doubt, whatever the camera does
        starts = STARTS
    if before < limit and side > starts and side > down and side > 4 * before and spread < REST * limit + 0.02:
        return row, side
    return None


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Runs of True in (m,) bool as (first, one past the last)."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(steps[::2], steps[1::2], strict=True)]


def violation(scene: Scene, track: Track, path: Path, law: str, what: str, low: int, high: int, amount: float,
               limit: float, unit: str, text: str, *, at: int | None = None, other: Track | None = None) -> Violation:
    k = min(low if at is None else at, len(path) - 1)
    return Violation(law, what, track.number, (path.first + low) / scene.fps, (path.first + high) / scene.fps,
                     amount, limit, unit, text, as_box(path.box[k]), None if other is None else other.number)
