"""The law about what meets: nothing goes into or through what is solid, and nothing is faster all at once when nothing
touched it. Positions are as in laws_forces."""

from __future__ import annotations

import numpy as np

from reverie.audit.findings import Track, Violation
from reverie.audit.laws_forces import ALOFT, MOVES, REACH, SHOWN, lifeless, reshaped, runs, violation
from reverie.audit.laws_things import evident
from reverie.audit.scene import Path, Scene
from reverie.audit.tracks import at_border, share
from reverie.core.vocabulary import ALIVE, KINDS

SINKS = 0.2  # of its height that a thing's top comes down as it sinks into the ground
SLIPS, SINKING = 0.45, 0.5  # the same of its foot; seconds that it takes at most
COVERS = {"sight": 0.3, "hidden": 0.1}  # by how it ended: share of where it would be that what hides it may cover
LEVEL = 0.12  # of its height: a foot that moves by less stays
LANDS, CUT = 1.5, 0.8  # metres a second that falls through the ground; share of its height that is left of it then
LANDED = 0.15  # metres over the ground, as guessed, at which what is cut off as it falls may have reached it
DRIFTS = 0.4  # of its width that it may move sideways meanwhile
GAIN, SPURT = 1.5, 1.6  # ratio of speeds after and before, when nothing touched it, and metres a second besides
SPURTS = 0.25  # seconds before and after, over which these are taken: longer than a latent
_WALL = KINDS.index("wall")
SLAB_LIKE = 0.2  # mean score of a wall: seen end on, it is like a domino now and then
SLAB = 0.65  # of its height: a wall that is seen less wide stands end on, and what is before its middle is beside it
INSIDE, CUT_OFF = 0.2, 0.12  # of its width: how far a thing's front is in the wall's picture; how much of it is gone
GOES_ON = 0.2  # of its width that its back goes on by meanwhile
FOOT = 0.07  # of their widths: things whose feet are so level are at one depth


def collision(scene: Scene) -> list[Violation]:
    """Things that sink through what they stand on, pass through one another, or gain speed from nothing."""
    return [*_sunk(scene), *_passed(scene), *_entered(scene), *_sped(scene)]


def _sunk(scene: Scene) -> list[Violation]:
    """A thing that ends in sight and had lost its lower part. amount: of its height."""
    found = []
    for track, path in lifeless(scene):
        if track.ended not in COVERS or not _bare(scene, track) or not evident(scene, track, forward=True):
            continue
        lost, start = _lowered(scene, track, path)
        if lost >= SINKS:
            found.append(violation(scene, track, path, "collision", "sank", start, len(path) - 1, lost, SINKS,
                                    "of its height", f"the {track.name} sank through what it stood on"))
    return found


def _bare(scene: Scene, track: Track) -> bool:
    """Whether nothing else is seen where what is gone of a thing at its end would be: below what is left of it, and
    where it ends beside something that may hide it, above, too."""
    x0, y0, x1, y1 = track.boxes[-1]
    high = max(y1 - y0, float(track.sides[:, 1].max()))
    gone = np.array([x0, y1 if track.ended == "sight" else y1 - high, x1, y0 + high], np.float32)
    return not any(share(gone, box) > COVERS[track.ended] for box in scene.beside(track, track.last))


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
    if len(begun) < 2 or frames[-1] - frames[begun[0]] > SINKING * scene.fps:
        return 0.0, int(frames[0])
    if np.ptp(middle[begun[0] :]) > DRIFTS * wide or np.diff(raw[-4:, 1]).min() < -0.05 * height:
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
    if high <= 0 or down < LANDS or path.lift[last] > LANDED or left > CUT * high:
        return 0.0, last
    return 1 - float(left / high), last - 1


def _passed(scene: Scene) -> list[Violation]:
    """A thing on the ground that went from one side of another to the other, both at one depth."""
    found: list[Violation] = []
    for track, path in lifeless(scene):
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
            cut = np.array([any(at_border(box, scene.size) for box in pair) for pair in zip(mine, its, strict=True)])
            for a, b in runs(inside):
                if a == 0 or b >= len(both) or not (left[a - 1] and right[b] or right[a - 1] and left[b]):
                    continue
                ends = both[[a - 1, b]]
                if np.ptp(path.at[ends - path.first, 0]) < np.ptp(scene.paths[other.number].at[ends - other.first, 0]):
                    continue  # it is the other that went, and that is asked in its turn
                if (level & grounded & ~cut)[a - 1 : b + 1].mean() > 0.9 and b - a < scene.fps:
                    k = int(both[(a + b) // 2]) - path.first
                    low, high = int(both[a]) - path.first, int(both[b]) - path.first
                    found.append(violation(scene, track, path, "collision", "passed through", low, high, 1.0, 0.9,
                                            "share", f"the {track.name} went through the {other.name}", at=k,
                                            other=other))
    return found


def _entered(scene: Scene) -> list[Violation]:
    """A thing that goes along the ground into a wall seen end on: its front is cut off within the wall's picture, where
    what goes behind is cut off at the wall's edge, and what meets it turns back. amount: of its width."""
    found = []
    for track, path in lifeless(scene):
        for other in scene.tracks:
            if other.kind_scores[:, _WALL].mean() < SLAB_LIKE or other is track or other.colour == track.colour:
                continue
            both, mine, its = np.intersect1d(track.frames, other.frames, return_indices=True)
            for way in (1, -1) if len(both) > 8 else ():
                k, gone = _cut_off(track.boxes[mine], other.boxes[its], track.confidence[mine],
                                   np.nan_to_num(track.visible[mine], nan=1.0), way)
                if k >= 0 and path.lift[both[k] - path.first] < ALOFT:
                    low = int(both[k]) - path.first
                    found.append(violation(scene, track, path, "collision", "entered", low, low + 2, gone, CUT_OFF,
                                           "of its width", f"the {track.name} went into the {other.name}", other=other))
    return found


def _cut_off(mine: np.ndarray, its: np.ndarray, sure: np.ndarray, visible: np.ndarray, way: int) -> tuple[int, float]:
    """Where a thing's boxes (n, 4), going right (way 1) or left (-1), begin to be cut off within another's, and how
    much is gone at most; -1 where they are not."""
    front = mine[:, 2] - its[:, 0] if way > 0 else its[:, 2] - mine[:, 0]
    back = mine[:, 0] - its[:, 0] if way > 0 else its[:, 2] - mine[:, 2]
    wide, slab = mine[:, 2] - mine[:, 0], its[:, 2:] - its[:, :2]
    beside = (mine[:, 3] < its[:, 3]) & (mine[:, 1] > its[:, 1]) & (slab[:, 0] < SLAB * slab[:, 1])
    for k in np.flatnonzero((front[:-1] < 1) & (front[1:] >= 1)):
        whole, later = float(np.median(wide[max(k - 7, 0) : k + 1])), slice(k + 1, k + 16)
        if k < 3 or back[k] - back[k - 3] < 0.1 * whole or not beside[k]:
            continue
        gone, within = np.maximum(1 - wide[later] / whole, 1 - visible[later]), front[later] / whole
        cut = (gone > CUT_OFF) & (sure[later] > 0.2) & beside[later] & (front[later] < slab[later, 0] - 1)
        inside = cut & (within > INSIDE) & (back[later] - back[k] > GOES_ON * whole)
        if inside.sum() >= 2 and inside.sum() > 0.7 * cut.sum():
            return int(k + 1 + np.flatnonzero(inside)[0]), float(gone[inside].max())
    return -1, 0.0


def _sped(scene: Scene) -> list[Violation]:
    """A moving thing that is faster all at once with nothing near. amount: ratio of speeds."""
    found = []
    for track, path in lifeless(scene):
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
            was, now = ((path.centre[j + half, 0] - path.centre[j, 0]) / half * scene.fps / path.metre[k]
                        for j in (k - 1 - half, k + 1))  # in the picture, whatever the camera does
            spurts = abs(after[0]) > GAIN * abs(before[0]) + SPURT and abs(now) > abs(was) + SHOWN * SPURT
            if not (level and moved and spurts) or reshaped(track, path.first + k):
                continue
            if not scene.near(track, path.first + k, REACH, half):
                found.append(violation(scene, track, path, "collision", "sped up", k, k + half, fast / slow, GAIN,
                                        "times", f"the {track.name} gained speed from nothing"))
                break
    return found
