"""Laws about what moves things: what nothing holds falls, what falls falls freely, what meets gives way, and what rests
moves only when it is moved.

Positions are those of a thing's box in the picture, freed of the camera's motion, in metres of where it is; so what
comes towards the camera or goes away from it is not seen as motion, and not judged.
"""

from __future__ import annotations

import numpy as np

from reverie.audit.findings import Track, Violation
from reverie.audit.laws_things import _box, _evident
from reverie.audit.scene import Path, Scene, grown, meet
from reverie.core.vocabulary import ALIVE

HELD = ("hoop", "screen", "pendulum", *ALIVE)  # kinds that are held up, or hold themselves up
ALOFT = 0.3  # metres over the ground from which a thing is in the air
FREE = 9.81  # metres a second squared
LEAST_FALL = 3.5  # the same: the downward acceleration that a thing in the air has at least
MOVES, RESTS = 0.45, 0.15  # metres a second: a thing that is faster moves; that is slower rests
WINDOW = 0.29  # seconds over which an acceleration is told
HANGS = 0.5  # seconds for which a thing must hang
STARTS = 0.9  # metres a second that a thing at rest has within a third of a second, if it is pushed
REST = 0.35  # seconds for which it must have rested
REACH = 0.35  # of its sides: what is nearer may have touched it
SINKS = 0.3  # of its height that a thing loses from below as it sinks into the ground
GAIN = 1.5  # ratio of speeds after and before, when nothing touched it
FOOT = 0.07  # of their widths: things whose feet are so level are at one depth


def support(scene: Scene) -> list[Violation]:
    """Things that came to hang in the air. amount: for how long, in seconds."""
    found = []
    for track, path in _lifeless(scene):
        for low, high in _runs(_airborne(scene, track, path) & (_speed(path, scene) < RESTS)):
            if (high - low) / scene.fps >= HANGS:
                found.append(_violation(scene, track, path, "support", "hangs", low, high, (high - low) / scene.fps,
                                        HANGS, "s", f"the {track.name} hangs in the air with nothing under it"))
    return found


def gravity(scene: Scene) -> list[Violation]:
    """Things that move through the air without falling. amount: downward acceleration in m/s^2."""
    found = []
    for track, path in _lifeless(scene):
        pull, error = _pull(path, scene)
        odd = _airborne(scene, track, path) & (pull < LEAST_FALL) & (error < 0.035) & (_speed(path, scene) > MOVES)
        for low, high in _runs(odd):
            if high - low >= max(3, round(0.16 * scene.fps)):
                amount = float(np.median(pull[low:high]))
                start = max(0, low - round(0.2 * WINDOW * scene.fps))
                found.append(_violation(scene, track, path, "gravity", "does not fall", start, high, amount, LEAST_FALL,
                                        "m/s²", f"the {track.name} moves through the air and gravity does not pull it"))
    return found


def _lifeless(scene: Scene) -> list[tuple[Track, Path]]:
    least = round(0.5 * scene.fps)
    return [(t, scene.paths[t.number]) for t in scene.tracks if t.kind not in HELD and len(t.frames) >= least]


def _airborne(scene: Scene, track: Track, path: Path) -> np.ndarray:
    """Frames (m,) bool in which a thing is in sight and in the air, with nothing beside or under it."""
    aloft = path.whole & (path.lift > ALOFT)
    for k in np.flatnonzero(aloft):
        box, t = path.box[k], path.first + k
        reach = box + np.array([-2, -2, 2, 0.25 * (box[3] - box[1]) + 2])
        for other in scene.tracks:
            if other is track:
                continue
            row = int(np.searchsorted(other.frames, t))
            rows = [r for r in (row - 1, row) if 0 <= r < len(other.frames) and abs(int(other.frames[r]) - t) <= 6]
            if any(meet(reach, other.boxes[r]) for r in rows):
                aloft[k] = False
                break
    return aloft


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
    """By how much of its height a thing went down at its end with its foot near the ground, and from which frame on."""
    span = round(0.8 * scene.fps)
    low = max(0, len(path) - span)
    height = float(np.median(path.box[max(0, low - 6) : low + 6, 3] - path.box[max(0, low - 6) : low + 6, 1]))
    top = path.box[low:, 1]
    sunk = (top[-1] - top) / max(height, 1.0)
    near_ground = path.lift[low:] < ALOFT
    if not near_ground[-3:].all():
        return 0.0, low
    rows = np.flatnonzero(near_ground & (sunk > 0.03))
    return (0.0, low) if not len(rows) else (float(sunk[rows].max()), low + int(rows[0]))


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
                if (level & grounded)[a - 1 : b + 1].mean() > 0.9 and b - a < scene.fps:
                    k = int(both[(a + b) // 2]) - path.first
                    found.append(_violation(scene, track, path, "collision", "passed through", int(both[a]) - path.first,
                                            int(both[b]) - path.first, 1.0, 0.9, "share", f"the {track.name} went "
                                            f"through the {other.name}", at=k, other=other))
    return found


def _sped(scene: Scene) -> list[Violation]:
    """A moving thing that is faster all at once with nothing near. amount: ratio of speeds."""
    found = []
    for track, path in _lifeless(scene):
        half = max(2, round(0.12 * scene.fps))
        for k in range(2 * half, len(path) - 2 * half):
            if not path.whole[k - 2 * half : k + 2 * half + 1].all():
                continue
            before = (path.at[k - 1] - path.at[k - 1 - half]) / half * scene.fps / path.metre[k]
            after = (path.at[k + 1 + half] - path.at[k + 1]) / half * scene.fps / path.metre[k]
            slow, fast = float(np.hypot(*before)), float(np.hypot(*after))
            if slow > MOVES and fast > GAIN * (slow + FREE * 3 * half / scene.fps) + STARTS and abs(after[0]) > abs(
                    before[0]) + STARTS and not scene.near(track, path.first + k, REACH, half):
                found.append(_violation(scene, track, path, "collision", "sped up", k, k + half, fast / slow, GAIN,
                                        "times", f"the {track.name} gained speed from nothing"))
                break
    return found


def causality(scene: Scene) -> list[Violation]:
    """Things that rest and then move sideways with nothing near. amount: speed in m/s after a third of a second."""
    found = []
    third = max(2, round(0.33 * scene.fps))
    rest = max(3, round(REST * scene.fps))
    for track, path in _lifeless(scene):
        velocity = path.velocity(scene.fps, max(1, round(0.08 * scene.fps)))
        speed = np.hypot(*velocity.T)
        k = rest
        while k < len(path) - third:
            calm = path.whole[k - rest : k + third + 1].mean() > 0.9 and speed[k - rest : k].max() < RESTS
            side = np.abs(path.at[k + third, 0] - path.at[k, 0]) / path.metre[k] / (third / scene.fps)
            down = np.abs(path.at[k + third, 1] - path.at[k, 1]) / path.metre[k] / (third / scene.fps)
            if not (calm and speed[k] >= RESTS and side > STARTS and side > down):
                k += 1
                continue
            around = scene.near(track, path.first + k, REACH, third)
            later = [o for o in scene.near(track, path.first + k + third, REACH, 0) if o not in around]
            if not around:
                what = "moved too early" if later else "moved by itself"
                text = (f"the {track.name} moved before the {later[0].name} reached it" if later else
                        f"the {track.name} began to move with nothing touching it")
                found.append(_violation(scene, track, path, "causality", what, k, k + third, float(side), STARTS, "m/s",
                                        text, other=later[0] if later else None))
            k += third + rest
    return found


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Runs of True in (m,) bool as (first, one past the last)."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(steps[::2], steps[1::2], strict=True)]


def _violation(scene: Scene, track: Track, path: Path, law: str, what: str, low: int, high: int, amount: float,
               limit: float, unit: str, text: str, *, at: int | None = None, other: Track | None = None) -> Violation:
    k = min(low if at is None else at, len(path) - 1)
    return Violation(law, what, track.number, (path.first + low) / scene.fps, (path.first + high) / scene.fps,
                     amount, limit, unit, text, _box(grown(path.box[k], 0.0)), None if other is None else other.number)
