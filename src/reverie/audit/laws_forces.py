"""Laws about what moves things: what nothing holds falls, what falls falls freely, what meets gives way, and what rests
moves only when it is moved.

Positions are those of a thing's box in the picture, freed of the camera's motion, in metres of where it is; so what
comes towards the camera or goes away from it is not seen as motion, and not judged.
"""

from __future__ import annotations

import numpy as np

from reverie.audit.findings import Track, Violation
from reverie.audit.laws_things import _box, _evident
from reverie.audit.observer import overlap
from reverie.audit.scene import Path, Scene, grown, meet, smoothed
from reverie.audit.tracks import at_border
from reverie.core.vocabulary import ALIVE

HELD = ("hoop", "screen", "pendulum", *ALIVE)  # kinds that are held up, or hold themselves up
ALOFT = 0.07  # metres over the ground, as guessed, from which a thing that moves is in the air: what lies has 0.02
HIGH = 0.35  # the same for one that was never seen to get there
STOPS = 1.0  # metres a second that a thing had which stops in the air
FREE = 9.81  # metres a second squared
FLIES = 0.2  # metres over the ground from which a thing flies
BOUNCES = -4.0  # metres a second squared: what is thrown up harder has met something
LEAST_FALL = 3.5  # the same: the downward acceleration that a thing in the air has at least
MOVES, RESTS = 0.45, 0.15  # metres a second: a thing that is faster moves; that is slower rests
UNSTEADY = 0.4  # the same under a moving camera, for things nearer than the background
WINDOW = 0.29  # seconds over which an acceleration is told
ROUGH = 0.035  # metres that a parabola through a flight may miss it by; more, and it has met something
LASTS, THROUGH_NET = 0.16, 0.4  # seconds for which it must not fall; if slow, or beside a hoop, whose net holds
HANGS = 0.5  # seconds for which a thing must hang
STARTS, STARTS_UNSTEADY = 0.9, 1.3  # metres a second that a thing at rest has within a third of a second, if pushed
SHOWN = 0.4  # share of this that it moves by in the picture, whatever the camera does
HOLDS_NOTHING = ("hoop", "screen")  # kinds on which nothing lies
ASLANT = ("ramp", "plank", "domino")  # kinds from which things roll and slide by themselves
HOLDS_FROM = 0.15  # confidence from which what is seen in a frame, followed or not, may hold a thing
REST = 0.35  # seconds for which it must have rested
REACH = 0.35  # of its sides: what is nearer may have touched it
SINKS = 0.2  # of its height that a thing's top comes down as it sinks into the ground, and how far its foot may
SLIPS = 0.45
LEVEL = 0.12  # of its height: a foot that moves by less stays
LANDS, CUT = 1.5, 0.8  # metres a second that falls through the ground; share of its height that is left of it then
DRIFTS = 0.4  # of its width that it may move sideways meanwhile
GAIN, SPURT = 1.5, 1.6  # ratio of speeds after and before, when nothing touched it, and metres a second besides
SPURTS = 0.25  # seconds before and after, over which these are taken: longer than a latent
RESHAPED = 0.15  # logarithm of the ratio of a side's lengths, before and after
FOOT = 0.07  # of their widths: things whose feet are so level are at one depth


def support(scene: Scene) -> list[Violation]:
    """Things that hang in the air, or came to. amount: for how long, in seconds."""
    found = []
    for track, path in _lifeless(scene):
        speed, still = _speed(path, scene), round(0.25 * scene.fps)
        limit = UNSTEADY if scene.moving(path.first, path.first + len(path)) else RESTS
        calm = (path.whole | ~path.seen) & (smoothed(speed[:, None], 2 * (still // 2) + 1)[:, 0] < limit)
        for low, high in _runs(calm):
            if (high - low) / scene.fps < HANGS:
                continue
            lift = float(np.median(path.lift[low:high]))
            stopped = low > still and speed[low - still : low].max() > STOPS and _upright(path, low, still, scene)
            if lift > (ALOFT if stopped else HIGH) and _airborne(scene, track, path, low, high, 0.0).mean() > 0.8:
                found.append(_violation(scene, track, path, "support", "hangs", low, high, (high - low) / scene.fps,
                                        HANGS, "s", f"the {track.name} hangs in the air with nothing under it"))
    return found


def _upright(path: Path, low: int, span: int, scene: Scene) -> bool:
    """Whether a thing moved up or down more than sideways, in the frames before ``low``."""
    way = np.abs(path.velocity(scene.fps, 1)[max(low - span, 0) : low])
    return bool(way[:, 1].max() > 0.6)


def gravity(scene: Scene) -> list[Violation]:
    """Things that move through the air without falling. amount: downward acceleration in m/s^2."""
    found = []
    for track, path in _lifeless(scene):
        pull, error = _pull(path, scene)
        odd = (pull < LEAST_FALL) & (pull > BOUNCES) & (error < ROUGH) & (_speed(path, scene) > RESTS)
        free = odd & path.whole
        odd &= _eroded(_airborne(scene, track, path, 0, len(path), FLIES), 2)
        for low, high in _runs(odd):
            nets = any(o.kind == "hoop" for o in scene.near(track, path.first + low, 0.1, high - low))
            slow = np.median(_speed(path, scene)[low:high]) < MOVES
            if high - low >= max(3, round((THROUGH_NET if nets or slow else LASTS) * scene.fps)):
                amount = float(np.median(pull[low:high]))
                start = low  # how high a thing is comes to be known late: it may have flown before
                while start > 0 and free[start - 1]:
                    start -= 1
                start = max(0, start - round(0.2 * WINDOW * scene.fps))
                found.append(_violation(scene, track, path, "gravity", "does not fall", start, high, amount, LEAST_FALL,
                                        "m/s²", f"the {track.name} moves through the air and gravity does not pull it"))
    return found


def _eroded(flags: np.ndarray, by: int) -> np.ndarray:
    """True where so many neighbours on both sides are True as well; what is beyond the ends counts as True."""
    out = flags.copy()
    for step in range(1, by + 1):
        out[step:] &= flags[:-step]
        out[:-step] &= flags[step:]
    return out


def _lifeless(scene: Scene) -> list[tuple[Track, Path]]:
    least = round(0.5 * scene.fps)
    return [(t, scene.paths[t.number]) for t in scene.tracks if t.kind not in HELD and len(t.frames) >= least]


def _airborne(scene: Scene, track: Track, path: Path, low: int, high: int, least: float) -> np.ndarray:
    """Frames low..high (one past the last) in which a thing is in sight and so many metres up, with nothing beside or
    under it: bool."""
    aloft = path.whole[low:high] & (path.lift[low:high] > least)
    for k in np.flatnonzero(aloft):
        box, t = path.box[low + k], path.first + low + k
        reach = box + np.array([-2, -2, 2, 0.25 * (box[3] - box[1]) + 2])
        if _held_faintly(scene, track, int(t), reach):
            aloft[k] = False
            continue
        for other in scene.tracks:
            if other is track or other.kind in HOLDS_NOTHING:
                continue
            row = int(np.searchsorted(other.frames, t))
            rows = [r for r in (row - 1, row) if 0 <= r < len(other.frames) and abs(int(other.frames[r]) - t) <= 6]
            if any(meet(reach, other.boxes[r]) for r in rows):
                aloft[k] = False
                break
    return aloft


def _held_faintly(scene: Scene, track: Track, frame: int, reach: np.ndarray) -> bool:
    """Whether anything that is seen in a frame, even if too faint to be followed, is beside or under a thing, and is
    not the thing itself or in it."""
    row = int(np.abs(track.frames - frame).argmin())
    mine = track.boxes[row]
    boxes = [np.array(d.box) for d in scene.seen[frame] if d.confidence >= HOLDS_FROM and d.kind not in HOLDS_NOTHING]
    return any(meet(reach, box) and box[3] > mine[3] + 2 and overlap(box[None], mine[None])[0, 0] < 0.5
               for box in boxes)


def _speed(path: Path, scene: Scene) -> np.ndarray:
    return np.hypot(*path.velocity(scene.fps, max(1, round(0.06 * scene.fps))).T)


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


def collision(scene: Scene) -> list[Violation]:
    """Things that sink through what they stand on, pass through one another, or gain speed from nothing."""
    return [*_sunk(scene), *_passed(scene), *_sped(scene)]


def _sunk(scene: Scene) -> list[Violation]:
    """A thing that ends in sight and had lost its lower part. amount: of its height."""
    found = []
    for track, path in _lifeless(scene):
        if track.ended != "sight" or not _evident(scene, track, forward=True):
            continue
        lost, start = _lowered(scene, track, path)
        if lost >= SINKS:
            found.append(_violation(scene, track, path, "collision", "sank", start, len(path) - 1, lost, SINKS,
                                    "of its height", f"the {track.name} sank through what it stood on"))
    return found


def _lowered(scene: Scene, track: Track, path: Path) -> tuple[float, int]:
    """By how much of its height a thing's top came down at its end while its foot stayed, and from which frame on."""
    low = max(0, len(path) - round(0.8 * scene.fps))
    rows = track.frames >= path.first + low
    raw, frames = track.boxes[rows], track.frames[rows] - path.first
    lost, start = _sinking(scene, path, raw, frames)
    if lost < SINKS:
        lost, start = _sinking(scene, path, *_grounded(raw, frames))
    return (lost, start) if lost >= SINKS else (0.0, low)


def _sinking(scene: Scene, path: Path, raw: np.ndarray, frames: np.ndarray) -> tuple[float, int]:
    """The same of boxes (n, 4) in rows ``frames`` of a path."""
    rest = np.median(raw[: max(3, len(raw) // 4)], 0)
    height, wide = max(float(rest[3] - rest[1]), 1.0), max(float(rest[2] - rest[0]), 1.0)
    sunk, foot = (raw[:, 1] - rest[1]) / height, (raw[:, 3] - rest[3]) / height
    if foot[-3:].max() > SLIPS:
        return _fallen_on(scene, path, raw, frames)
    # what comes after the last row that had not begun is the sinking
    begun = np.flatnonzero(np.arange(len(sunk)) > (np.flatnonzero(sunk <= 0.04)[-1] if (sunk <= 0.04).any() else -1))
    middle = (raw[:, 0] + raw[:, 2]) / 2
    if not len(begun) or np.ptp(middle[begun[0] :]) > DRIFTS * wide or np.diff(raw[-4:, 1]).min() < -0.05 * height:
        return 0.0, int(frames[0])
    return float(sunk[-1]), max(int(frames[begun[0]]) - round(0.06 * scene.fps), 0)


def _grounded(raw: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of a thing's last boxes (n, 4) and frames those since its foot is where it ends, if they are some; else all."""
    foot, high = np.median(raw[-3:, 3]), max(float((raw[:, 3] - raw[:, 1]).max()), 1.0)
    away = np.flatnonzero(np.abs(raw[:, 3] - foot) > LEVEL * high)
    first = int(away[-1]) + 1 if len(away) else 0
    return (raw[first:], frames[first:]) if first and len(raw) - first >= 3 else (raw, frames)


def _fallen_on(scene: Scene, path: Path, raw: np.ndarray, frames: np.ndarray) -> tuple[float, int]:
    """The same of a thing that fell, reached the ground and fell on: what is left of its height then is cut by it."""
    last, before = int(frames[-1]), raw[-min(len(raw), round(0.4 * scene.fps)) : -2]
    down = path.velocity(scene.fps, 2)[max(last - 3, 0) : last + 1, 1].max()
    high, left = float(np.median(before[:, 3] - before[:, 1])) if len(before) else 0.0, raw[-1, 3] - raw[-1, 1]
    if high <= 0 or down < LANDS or path.lift[last] > ALOFT or left > CUT * high:
        return 0.0, last
    return 1 - float(left / high), last - 1


def _passed(scene: Scene) -> list[Violation]:
    """A thing on the ground that went from one side of another to the other, both at one depth."""
    found: list[Violation] = []
    for track, path in _lifeless(scene):
        for other in scene.tracks:
            if other is track or other.kind in (*ALIVE, "hoop", "table", "chair", "screen", "ramp", "pendulum"):
                continue
            both = np.intersect1d(track.frames, other.frames)
            if len(both) < 6:
                continue
            mine, its = path.box[both - path.first], scene.paths[other.number].box[both - other.first]
            wide = np.minimum(mine[:, 2] - mine[:, 0], its[:, 2] - its[:, 0])
            level = np.abs(mine[:, 3] - its[:, 3]) < FOOT * wide
            grounded = path.lift[both - path.first] < 0.1
            left, right = mine[:, 2] < its[:, 0] + 0.1 * wide, mine[:, 0] > its[:, 2] - 0.1 * wide
            inside = ~left & ~right
            for a, b in _runs(inside):
                if a == 0 or b >= len(both) or not (left[a - 1] and right[b] or right[a - 1] and left[b]):
                    continue
                ends = both[[a - 1, b]]
                if np.ptp(path.at[ends - path.first, 0]) < np.ptp(scene.paths[other.number].at[ends - other.first, 0]):
                    continue  # it is the other that went, and that is asked in its turn
                if (level & grounded)[a - 1 : b + 1].mean() > 0.9 and b - a < scene.fps:
                    k = int(both[(a + b) // 2]) - path.first
                    low, high = int(both[a]) - path.first, int(both[b]) - path.first
                    found.append(_violation(scene, track, path, "collision", "passed through", low, high, 1.0, 0.9,
                                            "share", f"the {track.name} went through the {other.name}", at=k,
                                            other=other))
    return found


def _sped(scene: Scene) -> list[Violation]:
    """A moving thing that is faster all at once with nothing near. amount: ratio of speeds."""
    found = []
    for track, path in _lifeless(scene):
        half = max(2, round(SPURTS * scene.fps))
        for k in range(half + 1, len(path) - half - 1):
            if not path.whole[k - half - 1 : k + half + 2].all():
                continue
            before = (path.at[k - 1] - path.at[k - 1 - half]) / half * scene.fps / path.metre[k]
            after = (path.at[k + 1 + half] - path.at[k + 1]) / half * scene.fps / path.metre[k]
            slow, fast = float(np.hypot(*before)), float(np.hypot(*after))
            middle = path.at[k - 1 - half // 2]
            early = (middle - path.at[k - 1 - half]) / (half - half // 2) * scene.fps / path.metre[k]
            late = (path.at[k - 1] - middle) / (half // 2) * scene.fps / path.metre[k]
            moved = min(np.hypot(*early), np.hypot(*late)) > MOVES  # what starts is causality's
            level = max(abs(before[1]), abs(after[1])) < MOVES and path.lift[k - half : k + half + 1].max() < ALOFT
            spurts = abs(after[0]) > GAIN * abs(before[0]) + SPURT
            if not (level and moved and spurts) or _reshaped(track, path.first + k):
                continue
            if not scene.near(track, path.first + k, REACH, half):
                found.append(_violation(scene, track, path, "collision", "sped up", k, k + half, fast / slow, GAIN,
                                        "times", f"the {track.name} gained speed from nothing"))
                break
    return found


def causality(scene: Scene) -> list[Violation]:
    """Things that rest and then move sideways with nothing near. amount: speed in m/s after a third of a second."""
    found = []
    third, rest = max(2, round(0.33 * scene.fps)), max(3, round(REST * scene.fps))
    for track, path in _lifeless(scene):
        k = rest
        while k < len(path) - third:
            start = _start(scene, path, k, rest, third)
            if start is None:
                k += 1
                continue
            k, speed = start
            around = [o for o in scene.near(track, path.first + k, REACH, third)
                      if _stirs(scene, o, path.first + k, third + rest)]
            later = [o for o in scene.near(track, path.first + k + third, REACH, 0) if o not in around]
            unseen = _from_outside(scene, track, path, k, third)
            if not around and not unseen and not _reshaped(track, path.first + k):
                what = "moved too early" if later else "moved by itself"
                text = (f"the {track.name} moved before the {later[0].name} reached it" if later else
                        f"the {track.name} began to move with nothing touching it")
                found.append(_violation(scene, track, path, "causality", what, k, k + third, speed, STARTS, "m/s",
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


def _reshaped(track: Track, frame: int) -> bool:
    """Whether a thing's box takes another shape all at once about a frame: then its middle moves, and it need not."""
    rows = np.flatnonzero(np.abs(track.frames - frame) <= 4)
    sides = np.log(np.maximum(track.sides[rows], 1))
    steps = [np.abs(np.median(sides[k + 1 : k + 4], 0) - np.median(sides[max(k - 3, 0) : k], 0)).max()
             for k in range(2, len(rows) - 2)]
    return bool(steps and max(steps) > RESHAPED)


def _stirs(scene: Scene, other: Track, frame: int, ago: int) -> bool:
    """Whether a thing may have set another going about a frame: it is alive, or aslant, or moved shortly before, or was
    not seen well enough to tell."""
    path = scene.paths[other.number]
    low, high = frame - ago - path.first, frame - path.first + 1
    if other.kind in (*ALIVE, *ASLANT) or low < 0 or high >= len(path):
        return True
    rows = slice(low, high + 1)
    limit = UNSTEADY if scene.moving(frame - ago, frame) else RESTS
    return bool(path.seen[rows].mean() < 0.8 or _speed(path, scene)[rows].max() > limit)


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
    if shown < SHOWN * starts:  # only the camera's motion says that it moves, and that may be misread
        return None
    spread = np.abs(path.at[row - rest : row + 1] - path.at[row - rest : row + 1].mean(0)).max() / path.metre[row]
    if before < limit and side > starts and side > down and side > 4 * before and spread < 0.5 * limit:
        return row, side
    return None


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Runs of True in (m,) bool as (first, one past the last)."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(steps[::2], steps[1::2], strict=True)]


def _violation(scene: Scene, track: Track, path: Path, law: str, what: str, low: int, high: int, amount: float,
               limit: float, unit: str, text: str, *, at: int | None = None, other: Track | None = None) -> Violation:
    k = min(low if at is None else at, len(path) - 1)
    return Violation(law, what, track.number, (path.first + low) / scene.fps, (path.first + high) / scene.fps,
                     amount, limit, unit, text, _box(grown(path.box[k], 0.0)), None if other is None else other.number)
