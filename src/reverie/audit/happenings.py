"""What happened to a thing, read from where it was seen: each event of core.vocabulary has a rule here.

A rule takes a Story (one thing's path over the whole clip) and gives the times at which that event happened to it.
Positions are freed of the camera's motion and in metres of where the thing is; heights are those of its box's lower
edge and what the observer guesses. Limits stand at the head, with their units, set on the simulator's own clips.

Legend: m frames from a thing's first to its last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from reverie.audit.findings import Track
from reverie.audit.scene import Path, grown, meet, smoothed
from reverie.audit.story import Spell, Stage, Story, runs
from reverie.audit.tracks import at_border

AWAY = 0.35  # metres that a thing goes at least, rolling, sliding or walking
NUDGED = 0.08  # metres that a thing goes at least, pushed
GOES = 0.13  # metres a second: what is slower rests
FALLS = 0.45  # of its height that a thing falls at least; and not less than
FALLS_LEAST = 0.12  # metres
FAST = 0.9  # metres a second that what falls reaches
LEAPS = 0.2  # metres that what is launched, or bounces up and down, rises at least
AIRBORNE = 0.1  # metres over the ground
ASIDE = 0.35  # metres that what is thrown goes sideways in the air
SWINGS = 0.05  # of its height that a swinging thing's box goes to each side
TOPPLES = 0.72  # of its height that what toppled has left
UNSEEN, SEEN = 0.3, 0.55  # share in sight of what is hidden; of what is there again
NEAR = 0.22  # of its sides: what is nearer touches
COMES = 0.9  # seconds that a cover takes to come
DEEP = 0.4  # metres that a thing goes at least to the front or the back
STAYS = 0.12  # metres within which what rests stays


# -- the rules ------------------------------------------------------------------------------------------------


def _travelled(story: Story, least: float) -> list[Spell]:
    """Times in which it goes one way, across or in depth."""
    found = []
    wait = round(0.3 * story.scene.fps)
    for sign in (-1, 1):
        for low, high in runs(sign * story.speed[:, 0] > GOES, wait):
            if sign * (story.x[high] - story.x[low]) >= least:
                found.append(story.spell(low, high, story.way(low, high)))
    depth = story.depth
    step = max(1, round(0.2 * story.scene.fps))
    pace = np.abs(depth - np.roll(depth, step)) * story.scene.fps / step
    pace[:step] = 0
    for low, high in runs(pace > 0.4, wait):
        low = max(0, low - step)
        if abs(depth[high] - depth[low]) >= max(least, DEEP) and not any(
                s.start <= story.times[high] and story.times[low] <= s.end for s in found):
            found.append(story.spell(low, high, story.way(low, high)))
    return sorted(found, key=lambda s: s.start)


def _along(story: Story, others: Sequence[Story]) -> list[Spell]:
    """Rolls, slides or walks."""
    return _travelled(story, AWAY)


def _falls(story: Story, others: Sequence[Story]) -> list[Spell]:
    """Goes down by more than half of its height, fast, and not thrown aside."""
    found = []
    need = max(FALLS * story.height, FALLS_LEAST)
    for low, high in runs(story.speed[:, 1] < -0.25, 1):
        fell = float(story.foot[low] - story.foot[high])
        aside = abs(float(story.x[high] - story.x[low]))
        fast = -float(story.speed[low : high + 1, 1].min())
        aloft = float(story.path.lift[max(0, low - 1) : low + 2].max() - story.path.lift[high])
        wide = story.steady[[low, high], 2] - story.steady[[low, high], 0]
        straight = fast >= 2 * FAST and aside < 0.3 * fell and abs(np.log(wide[1] / max(wide[0], 1e-6))) < 0.12
        if fell >= need and fast >= FAST and aside < 1.2 * fell and (aloft > 0.25 * fell or straight):
            found.append(story.spell(low, high))
    return found


def _flights(story: Story) -> list[tuple[int, int]]:
    """Rows in which it is in the air."""
    up = (story.path.lift > AIRBORNE) & (np.abs(story.speed).max(1) > GOES)
    return runs(up, round(0.06 * story.scene.fps))


def _flies(story: Story, others: Sequence[Story]) -> list[Spell]:
    """Goes through the air sideways, and up or down."""
    return [story.spell(low, high, story.way(low, high)) for low, high in _flights(story)
            if abs(story.x[high] - story.x[low]) >= ASIDE and np.ptp(story.foot[low : high + 1]) >= FALLS_LEAST]


def _rises(story: Story, least: float) -> list[tuple[int, int]]:
    """Rows from which to which it goes up by itself, fast."""
    return [(low, high) for low, high in runs(story.speed[:, 1] > 0.3, 1)
            if story.foot[high] - story.foot[low] >= least and story.speed[low : high + 1, 1].max() > FAST]


def _leaps(story: Story, others: Sequence[Story]) -> list[Spell]:
    """Goes up from where it was, and down again."""
    found = []
    for low, high in _rises(story, LEAPS):
        after = story.foot[high:]
        falls = after[0] - after.min() >= 0.5 * LEAPS or high >= len(story.x) - 3
        if story.path.lift[max(0, low - 1)] < 0.5 and falls:
            end = high + int(after.argmin())
            found.append(story.spell(low, min(end, len(story.x) - 1)))
    return found


def _bounces(story: Story, others: Sequence[Story]) -> list[Spell]:
    """Turns back: up after down, or to one side after the other."""
    fps = story.scene.fps
    found: list[Spell] = []
    reach = max(2, round(0.15 * fps))
    for axis, least, kept in ((0, 0.3, 0.12), (1, 0.5, 0.3)):
        v = story.speed[:, axis]
        for k in range(2, len(v) - 2):
            before, after = v[max(0, k - reach) : k], v[k : k + reach + 1]
            if axis == 1:
                turned = before.min() < -least and after.max() > kept and v[k - 1] <= 0 < v[k]
                turned = turned and story.foot[k : k + 3 * reach].max() - story.foot[k] > 0.03
            else:
                turned = v[k - 1] * v[k] <= 0 and (
                    before.max() > least and after.min() < -kept or before.min() < -least and after.max() > kept)
            if turned and not any(abs(s.end - story.times[k]) < 0.1 for s in found):
                found.append(story.spell(max(0, k - reach), k))
    return sorted(found, key=lambda s: s.start)


def _pushed(story: Story, others: Sequence[Story]) -> list[Spell]:
    """Begins to move sideways, having rested; with others given, one of them is at it then."""
    found = []
    fps = story.scene.fps
    for spell in _travelled(story, NUDGED):
        low = int(np.abs(story.times - spell.start).argmin())
        rest = np.hypot(*story.speed[max(0, low - round(0.25 * fps)) : max(1, low - round(0.06 * fps))].T)
        if len(rest) and np.median(rest) > 2.5 * GOES:
            continue
        if others and not any(_touch(story, other, low, round(0.3 * fps)) for other in others):
            continue
        found.append(spell)
    return found


def _touch(story: Story, other: Story, row: int, about: int, reach: float = NEAR) -> bool:
    """Whether two things' boxes meet about a row."""
    frame = story.path.first + row
    for t in range(frame - about, frame + about + 1):
        i, j = t - story.path.first, t - other.path.first
        if 0 <= i < len(story.path) and 0 <= j < len(other.path) and meet(
                grown(story.path.box[i], reach), grown(other.path.box[j], reach)):
            return True
    return False


def _swings(story: Story, others: Sequence[Story]) -> list[Spell]:
    """To and fro: an edge of its box, or its middle, turns back."""
    for values in (story.x, story.steady[:, 0], story.steady[:, 2]):
        smooth = smoothed(values[:, None], max(3, round(0.12 * story.scene.fps) | 1))[:, 0]
        least = max(SWINGS * story.height, 0.04)
        turns, extreme, way = [], 0, 0
        for k in range(1, len(smooth)):
            gone = smooth[k] - smooth[extreme]
            if way == 0 and abs(gone) >= least or way * gone < 0 and abs(gone) >= least:
                turns.append(extreme)
                way, extreme = (1 if gone > 0 else -1), k
            elif way * gone > 0:
                extreme = k
        if len(turns) >= 2:
            return [story.spell(turns[0], len(smooth) - 1)]
    return []


def _topples(story: Story, others: Sequence[Story]) -> list[Spell]:
    """Its box gets lower, or wider for its height, or it comes down."""
    tall = smoothed((story.steady[:, 1] - story.steady[:, 3])[:, None], 3)[:, 0]
    wide = smoothed((story.steady[:, 2] - story.steady[:, 0])[:, None], 3)[:, 0]
    middle = smoothed((story.steady[:, 1] + story.steady[:, 3])[:, None] / 2, 3)[:, 0]
    some = max(2, round(0.15 * story.scene.fps))
    if len(tall) < 2 * some:
        return []
    whole = np.flatnonzero(~story.cut)
    if len(whole) < 2 * some:
        return []
    first_tall, first_form, first_at = (float(np.median(v[whole[:some]])) for v in (tall, tall / wide, middle))
    fallen = ((tall < TOPPLES * first_tall) | (tall / wide < 0.6 * first_form)) & ~story.cut
    every = [_story_of(t, story.scene) for t in story.scene.tracks if t.number != story.track.number]
    if any(on_top(story, other, int(whole[0])) for other in every):
        fallen |= middle < first_at - 0.4 * first_tall
    rows = [r for r in runs(fallen, 2) if r[1] - r[0] >= some or r[1] >= len(tall) - 2]
    if not rows:
        return []
    begins = np.flatnonzero(np.hypot(*story.speed[: rows[0][0] + 1].T) < GOES)
    return [story.spell(int(begins[-1]) if len(begins) else 0, rows[0][0] + some)]


def _stacked(story: Story, others: Sequence[Story]) -> list[Spell]:
    """Comes down, and comes to rest on another."""
    found = []
    every = others or [_story_of(t, story.scene) for t in story.scene.tracks if t.number != story.track.number]
    for low, high in runs(story.speed[:, 1] < -0.15, 2):
        if story.foot[low] - story.foot[high] < 0.15:
            continue
        row = min(high + round(0.2 * story.scene.fps), len(story.x) - 1)
        calm = np.hypot(*story.speed[min(high + 3, row) : row + 1].T).min() < 0.3
        gently = not others and story.path.lift[row] < 0.15 and -story.speed[low : high + 1, 1].min() < GENTLY
        if calm and (any(on_top(story, other, row) for other in every) or gently):
            found.append(story.spell(low, high))
    return found


def _story_of(track: Track, scene: Stage) -> Story:
    return Story(track, Path.of(track, scene), scene)


def on_top(story: Story, other: Story, row: int) -> bool:
    """Whether a thing's lower edge is at another's upper part, one over the other."""
    t = story.path.first + row - other.path.first
    if not 0 <= t < len(other.path):
        return False
    a, b = story.path.box[row], other.path.box[t]
    middle = (a[0] + a[2]) / 2
    over = b[0] - 0.15 * (b[2] - b[0]) <= middle <= b[2] + 0.15 * (b[2] - b[0])
    gap = (a[3] - b[1]) / max(b[3] - b[1], a[3] - a[1], 1.0)
    return bool(over and -0.2 < gap < 0.45 and a[1] < b[1])


def _hidden(story: Story, others: Sequence[Story]) -> list[Spell]:
    """Goes out of sight behind another, and is there again."""
    found = []
    n = len(story.path)
    gone = (story.path.visible < UNSEEN) | ~story.path.seen
    for last, again in story.gaps:
        gone[max(0, last - story.path.first) : again - story.path.first + 1] = True
    some = max(1, round(0.08 * story.scene.fps))
    for low, high in runs(gone, some):
        before, after = story.path.visible[:low] >= SEEN, story.path.visible[high + 1 :] >= SEEN
        if not before.any() or not after.any() or high - low + 1 < 2:
            continue
        every = others or [_story_of(t, story.scene) for t in story.scene.tracks if t.number != story.track.number]
        if any(_touch(story, other, (low + high) // 2, high - low, 0.05) for other in every):
            found.append(story.spell(low, high, story.way(max(0, low - 3), min(high + 3, n - 1))))
    return found


def _hoop(story: Story, others: Sequence[Story]) -> list[tuple[int, float, Story]]:
    """Rows at which it comes down past a hoop's ring, how far aside of it (of the hoop's width), and the hoop."""
    found = []
    every = others or [_story_of(t, story.scene) for t in story.scene.tracks if t.kind == "hoop"]
    for other in every:
        for k in range(1, len(story.path)):
            t = story.path.first + k - other.path.first
            if not 1 <= t < len(other.path):
                continue
            box = other.path.box[t]
            ring = box[1] + RING * (box[3] - box[1])
            if story.path.centre[k - 1, 1] < ring <= story.path.centre[k, 1]:
                middle = (box[0] + box[2]) / 2
                found.append((k, float((story.path.centre[k, 0] - middle) / max(box[2] - box[0], 1)), other))
    return found


GENTLY = 1.9  # metres a second that what is put down is at most
RING = 0.3  # of a hoop's height from its top, where its ring is


def _covered(story: Story, others: Sequence[Story]) -> list[Spell]:
    """As hidden, from when what covers it begins to come."""
    comes = COMES if any(other.track.kind == "screen" for other in others) else 0.0
    return [replace(spell, start=max(0.0, spell.start - comes)) for spell in _hidden(story, others)]


def _shot(story: Story, row: int) -> Spell:
    """From when it was last at rest, in the two seconds before, to a row."""
    low = max(0, row - round(2 * story.scene.fps))
    calm = np.flatnonzero(np.hypot(*story.speed[low:row].T) < 2 * GOES)
    return story.spell(low + int(calm[-1]) if len(calm) else max(0, row - round(story.scene.fps)), row)


def _scores(story: Story, others: Sequence[Story]) -> list[Spell]:
    """Comes down through a hoop's ring."""
    return [_shot(story, k) for k, off, _ in _hoop(story, others) if abs(off) < 0.5]


def _misses(story: Story, others: Sequence[Story]) -> list[Spell]:
    """Comes down beside a hoop's ring, or bounces off it."""
    return [_shot(story, k) for k, off, _ in _hoop(story, others) if 0.3 < abs(off) < 2.0]


def _enters(story: Story, others: Sequence[Story]) -> list[Spell]:
    """Comes into the picture from a side."""
    width, some = story.scene.size[1], max(2, round(0.1 * story.scene.fps))
    late = story.path.first >= 2
    begins = story.cut[: some].any() or story.track.began == "border"
    inside = np.flatnonzero(~story.cut)
    grows = begins and len(inside) and inside[0] > 0 or late and story.track.began == "border"
    if not (grows or late and story.track.began in ("sight", "hidden")):
        return []
    middle = float(story.path.centre[0, 0])
    box = story.path.box[0]
    left, right = float(box[0]), float(width - box[2])
    side = ("left" if left < right else "right") if min(left, right) < 0.12 * width else (
        "left" if middle < width / 2 else "right")
    end = int(inside[0]) if len(inside) else len(story.path) - 1
    if abs(story.x[min(end + some, len(story.x) - 1)] - story.x[0]) < 0.15 and story.track.began in ("clip", "border"):
        return []  # the camera's doing, or it fell in from above
    return [story.spell(0, max(end, 1), side)]


def _leaves(story: Story, others: Sequence[Story]) -> list[Spell]:
    """Goes out of the picture at a side."""
    width, box = story.scene.size[1], story.path.box[-1]
    if story.track.ended == "clip":
        wide = (story.path.box[:, 2] - story.path.box[:, 0])[~story.cut]
        whole = float(np.median(wide)) if len(wide) else 0.0
        if not (at_border(box, story.scene.size) and box[2] - box[0] < 0.5 * whole):
            return []
    elif story.track.ended != "border":
        return []
    left, right = float(box[0]), float(width - box[2])
    whole_rows = np.flatnonzero(~story.cut)
    start = int(whole_rows[-1]) if len(whole_rows) else 0
    if abs(story.x[-1] - story.x[start - min(start, round(0.2 * story.scene.fps))]) < 0.12:
        return []  # the camera's doing
    return [story.spell(start, len(story.path) - 1, "left" if left < right else "right")]


def _rests(story: Story, others: Sequence[Story]) -> list[Spell]:
    """Stays where it is for half a second at least."""
    at = np.stack([story.x, story.foot], 1)
    span = max(2, round(0.5 * story.scene.fps))
    if len(at) < span:
        return []
    still = np.array([np.ptp(at[k : k + span], axis=0).max() < STAYS for k in range(len(at) - span + 1)])
    return [story.spell(low, high + span - 1) for low, high in runs(still)]


RULES: dict[str, Callable[[Story, Sequence[Story]], list[Spell]]] = {
    "rests": _rests, "dropped": _falls, "thrown": _flies, "rolled": _along, "slid": _along, "pushed": _pushed,
    "swung": _swings, "toppled": _topples, "stacked": _stacked, "launched": _leaps, "bounced": _bounces,
    "hidden": _hidden, "covered": _covered, "scored": _scores, "missed": _misses, "enters": _enters, "leaves": _leaves,
    "walks": _along,
}
