"""Where things are in the picture, and of one another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reverie.audit.findings import FOVY
from reverie.audit.happenings import on_top
from reverie.audit.story import Stage, Story

ASIDE = 0.2  # metres from the middle of the picture from which a thing is at a side
MIDDLE = 0.7  # metres within which it is in the middle
CLOSE = 1.0  # of the picture's width: gap between things that are beside one another


def holds(what: str, things: Sequence[Story], others: Sequence[Story], stage: Stage, start: float, end: float) -> bool:
    """Whether things are where a claim has them: ``what`` is "rel SIDE" (of the others) or "spot SIDE"."""
    kind, side = what.split()
    if not things or kind == "rel" and not others:
        return False
    frame = _when(things, others, stage, start, end)
    if frame is None:
        return False
    things = [s for s in things if s.path.first <= frame < s.path.first + len(s.path)] or things
    others = [s for s in others if s.path.first <= frame < s.path.first + len(s.path)] or others
    mine = [_at(story, frame) for story in things]
    if kind == "spot":
        return _spot(side, mine, stage)
    if len(things) > 1 and {s.track.number for s in things} == {s.track.number for s in others}:  # one of its like
        return any(holds(what, [a], [b], stage, start, end) for a in things for b in things if a is not b)
    its = [_at(story, frame) for story in others]
    if side == "on":
        rows = [(a, b) for a in things for b in others]
        return any(on_top(a, b, frame - a.path.first) for a, b in rows if 0 <= frame - a.path.first < len(a.path))
    a, b = np.mean(mine, 0), np.mean(its, 0)
    if side in ("left", "right"):
        return bool((a[0] < b[0]) == (side == "left"))
    if side == "beside":
        return bool(abs(a[0] - b[0]) < CLOSE * stage.size[1])
    return bool((a[2] > b[2]) == (side == "behind"))


def _when(things: Sequence[Story], others: Sequence[Story], stage: Stage, start: float, end: float) -> int | None:
    """The first frame of a line's time in which one thing of either side is in sight."""
    def there(group: Sequence[Story]) -> np.ndarray:
        seen = np.zeros(stage.frames, bool)
        for story in group:
            seen[story.path.first : story.path.first + len(story.path)] |= story.path.seen[: stage.frames]
        return seen

    both = there(things) & (there(others) if others else True)
    low, high = round(start * stage.fps), min(stage.frames, round(min(end, 1e6) * stage.fps))
    rows = np.flatnonzero(both[low:high])
    return low + int(rows[0]) if len(rows) else None


def _at(story: Story, frame: int) -> np.ndarray:
    """Middle across the picture, lower edge (pixels) and distance (metres) at a frame, or at the nearest it has."""
    k = int(np.clip(frame - story.path.first, 0, len(story.path) - 1))
    focal = 0.5 * story.scene.size[0] / np.tan(np.radians(FOVY) / 2)
    return np.array([story.path.centre[k, 0], story.path.box[k, 3], focal / story.path.metre[k]])


def _spot(side: str, mine: Sequence[np.ndarray], stage: Stage) -> bool:
    at = np.mean(mine, 0)
    focal = 0.5 * stage.size[0] / np.tan(np.radians(FOVY) / 2)
    across = float((at[0] - 0.5 * stage.size[1]) * at[2] / focal)
    if side == "middle":
        return abs(across) < MIDDLE
    if side in ("left", "right"):
        return across < -ASIDE if side == "left" else across > ASIDE
    return bool((at[2] > FAR[1]) if side == "back" else (at[2] < FAR[0]))


FAR = (6.2, 5.2)  # metres: what is at the front is nearer, what is at the back farther
