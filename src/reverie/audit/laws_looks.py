"""The law about looks: a thing keeps its colour and its kind. See laws_things, of which it is a part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reverie.audit.findings import Track, Violation
from reverie.audit.laws_things import BLUR, LIFE, STEADY, as_box, changes, plain, rescaled, whole
from reverie.audit.observer import COLOUR_NAMES
from reverie.audit.scene import Scene
from reverie.audit.tracks import alike
from reverie.core.vocabulary import COLOURS, KINDS

BEYOND_DOUBT = 0.68  # of a kind's score: it is another kind, however it moves and whatever its size
TURN, TURN_COLOUR = 0.55, 0.7  # of a kind's or colour's score: before one and after the other
KIN = ({"ramp", "plank"}, {"pendulum", "ball"}, {"ball", "basketball"})  # kinds of which one looks like the other
# edge-on, or where compression took what they differ by
LEAST_TURN = 0.2  # of either
CERTAIN = 0.95  # of the one that changes more, whatever the other does: it is not what it was
SEEN = 0.2  # mean confidence before and after
SHARP = 0.8  # share of this that happens within half of STEADY seconds
JOLT = 0.6  # widths in five frames by which a thing's way before and after a moment may differ
FAR, FAR_SMEARED = 0.35, 0.78  # least distance in sRGB of two colours that are told apart for certain; by and by


def identity(scene: Scene) -> list[Violation]:
    """Things that change their colour or kind. amount: by how much its score changes, 0..1."""
    found = []
    for old, new in changes(scene):
        resized = old.colour == new.colour and rescaled(old.sides[-5:], new.sides[:5])
        if not alike(old, new) and not resized:
            changed = "colour" if old.colour != new.colour else "kind"
            found.append(_changed(scene, old, new.first, changed, old.name, new.name, 1.0, new))
    for track in scene.tracks:
        for names, scores, which in ((COLOUR_NAMES, track.colour_scores, "colour"), (KINDS, track.kind_scores, "kind")):
            turn, far = _turn(scene, track, scores, names, 0), FAR
            if turn is None:
                turn, far = _turn(scene, track, scores, names, round(BLUR * scene.fps / 2)), FAR_SMEARED
            if turn is None:
                continue
            k, before, after, amount, most = turn
            if which == "colour":
                if amount < TURN_COLOUR and most < CERTAIN:
                    continue
                if np.linalg.norm(np.subtract(COLOURS[names[before]], COLOURS[names[after]])) < far:
                    continue
                was, now = f"{names[before]} {track.kind}", f"{names[after]} {track.kind}"
            elif _doubtful(track, k, {names[before], names[after]}, amount, most, far == FAR_SMEARED):
                continue
            else:
                was, now = f"{track.colour} {names[before]}", f"{track.colour} {names[after]}"
            found.append(_changed(scene, track, int(track.frames[k]), which, was, now, amount, None, k))
    return found


def _doubtful(track: Track, k: int, kinds: set[str], amount: float, most: float, smeared: bool) -> bool:
    """Whether a turn of kinds' scores at row k may be another look at one thing: by and by, of kinds that look like
    one another, or as it lands or its size changes where neither kind's score changes by ``most`` enough."""
    if smeared and amount < TURN_COLOUR:
        return True
    stirred = most < BEYOND_DOUBT and (
        _jolted(track, k) or rescaled(track.sides[max(k - 4, 0) : k], track.sides[k : k + 4]))
    return amount < BEYOND_DOUBT and (kinds in KIN or stirred)


def _turn(scene: Scene, track: Track, scores: np.ndarray, names: Sequence[str], smear: int
          ) -> tuple[int, int, int, float, float] | None:
    """Where scores (n, ...) turn for good from one name to another: row, names before and after, how much on average
    and at most. smear: rows before and after it that may be in between."""
    span = max(3, round(STEADY * scene.fps))
    n, life = len(scores), round(LIFE / 2 * scene.fps)
    total = np.concatenate([np.zeros((1, scores.shape[1])), scores.cumsum(0)])
    turns = []
    for k in range(max(span, life), n - max(span, life) + 1):
        near = (total[k] - total[k - span]) / span, (total[k + span] - total[k]) / span
        before, after = int(near[0].argmax()), int(near[1].argmax())
        less, more = near[0][before] - near[1][before], near[1][after] - near[0][after]
        amount = float(less + more) / 2 if min(less, more) > LEAST_TURN else 0.0
        if before != after and amount > TURN:
            turns.append((k, before, after, amount, float(max(less, more))))
    turns.sort(key=lambda turn: -turn[3])
    return next((turn for turn in turns if _at_once(scene, track, total, names, smear, turn)), None)


def _at_once(scene: Scene, track: Track, total: np.ndarray, names: Sequence[str], smear: int,
             turn: tuple[int, int, int, float, float]) -> bool:
    """Whether scores, summed up as total (n + 1, ...), turn at once and for good, and the thing is in plain sight."""
    k, before, after, amount, _ = turn
    n, span = len(total) - 1, max(3, round(STEADY * scene.fps))
    first_part, rest = (total[k] / k, (total[n] - total[k]) / (n - k))
    lasting = first_part[before] > first_part[after] and rest[after] > rest[before]
    close = max(2, span // 2)  # it turns at once: what tumbles looks like something else by and by
    first, last = max(k - smear - close, 0), min(k + smear + close, n)
    change = (total[last] - total[last - close]) - (total[first + close] - total[first])
    sharp = (change[after] - change[before]) / close / 2
    looks = names[before], names[after]
    could = lambda other: (other.colour if names is COLOUR_NAMES else other.kind) in looks  # noqa: E731
    seen = min(track.confidence[k - span : k].mean(), track.confidence[k : k + span].mean()) > SEEN
    path = scene.paths[track.number]
    return bool(seen and lasting and sharp > SHARP * amount and plain(scene, track, k, could)
                and whole(path, int(track.frames[k - 1]), int(track.frames[k]), scene))


def _jolted(track: Track, k: int) -> bool:
    """Whether a track moves otherwise from row k on: what lands is smeared before and sharp after."""
    size = np.sqrt(max(float(track.sides[k - 3 : k + 3].prod(1).mean()), 16.0))
    before = track.centres[k - 1] - track.centres[max(k - 6, 0)]
    after = track.centres[min(k + 5, len(track.frames) - 1)] - track.centres[k]
    return bool(np.hypot(*(after - before)) > JOLT * size)


def _changed(scene: Scene, track: Track, frame: int, which: str, was: str, now: str, amount: float, new: Track | None,
             row: int = -1) -> Violation:
    return Violation("identity", which, track.number, frame / scene.fps, frame / scene.fps, amount, TURN,
                     "of its score", f"the {was} became a {now}", as_box(track.boxes[row]),
                     None if new is None else new.number)
