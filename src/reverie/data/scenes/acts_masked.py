"""Acts of hiding: a thing passes behind a wall and out again; a screen comes down before it and rises."""

from __future__ import annotations

import numpy as np

from reverie.core.clip import Event
from reverie.core.vocabulary import ALIVE, SIZES
from reverie.data.scenes.acts_alive import cross
from reverie.data.scenes.acts_loose import go, travels
from reverie.data.scenes.acts_still import settled, stand
from reverie.data.scenes.drawing import extents_in_view
from reverie.data.scenes.record import heading, matrices
from reverie.data.scenes.stage import Beat, Misfit


def behind(run: Beat, i: int, j: int) -> np.ndarray:
    """In which frames (T,) bool thing i is wholly behind thing j, as the camera sees their boxes."""
    boxes = [
        extents_in_view(run.things[k], run.record, k, run.view.path, run.view.height, run.view.width)
        for k in (i, j)
    ]
    with np.errstate(invalid="ignore"):
        return (boxes[0][:, :2] > boxes[1][:, :2] - 0.5).all(1) & (
            boxes[0][:, 2:] < boxes[1][:, 2:] + 0.5
        ).all(1)


def hidden(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """Goes behind a wall and comes out on its other side."""
    rng = beat.rng
    walls = [
        j
        for j, (t, s) in enumerate(zip(beat.things, beat.states, strict=True))
        if t.kind == "wall"
        and not s.gone
        and matrices(s.quat[None])[0][2, 2] > 0.99
        and abs(matrices(s.quat[None])[0][0, 0]) > 0.9
        and beat.view.margin(s.position, 0) > 0.8
    ]
    if lead is not None or (beat.first > 0 and not walls):
        raise Misfit
    if walls:
        place, wall = beat.states[walls[0]].position, beat.things[walls[0]]
    else:
        size = "large" if kind in ALIVE else ("medium", "large")[rng.integers(2)]
        wall = beat.cast("wall", "rests", size=size, material="heavy", mode="fixed")
        place = np.array([rng.uniform(-0.5, 0.5), rng.uniform(-0.75, -0.35), wall.body.extent[2]])
    small = "small" if kind in ALIVE or wall.size != "large" else ("small", "medium")[rng.integers(2)]
    y = place[1] + wall.body.extent[1] + {"person": 0.45, "dog": 0.45}.get(kind, 0.6) + rng.uniform(0, 0.15)
    if y > 1.0 or kind == "bird" or kind == "person" and wall.size != "large":
        raise Misfit
    if kind in ALIVE:
        i, start = cross(beat, kind, wild, y, small)
    else:
        event = "rolled" if kind in ("ball", "basketball") else "slid"
        i, start, _ = go(
            beat,
            "hidden",
            kind,
            None,
            wild,
            rolls=event == "rolled",
            y=y,
            size=small,
            inside=False,
            speed=(2.0, 2.8),
        )
        travels(beat, event, i, start, 1.0)
    j = walls[0] if walls else beat.add(wall, place[0], place[1], yaw=rng.uniform(-0.12, 0.12))
    beat.lanes.append((y, beat.things[i].body.reach))

    def check(run: Beat) -> list[Event]:
        masked = np.flatnonzero(behind(run, i, j))
        if len(masked) < 3 or masked[-1] > run.frames - 4 or not run.record.exists[masked[-1] + 3, i]:
            raise Misfit
        k0, k1 = int(masked[0]), int(masked[-1])
        if k0 < 2 or not run.record.exists[k0 - 2, i] or run.view.margin(run.record.position[k1, i], k1) < 0:
            raise Misfit
        return [Event("hidden", run.time(k0), run.time(k1), i, j, run.heading_of(i, k0 - 2, k1 + 3))]

    beat.expect(check)


def covered(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """A screen comes down in front of it, stays a while, and rises out of the picture again."""
    rng = beat.rng
    if lead is None:
        if beat.first > 0:
            raise Misfit
        size = ("small", "medium")[rng.integers(2)] if kind not in ("person", "table", "domino") else "small"
        i = stand(beat, beat.cast(kind, "covered", wild=wild, size=size))
    else:
        settled(beat, lead)
        i = lead
    thing, state = beat.things[i], beat.states[i]
    x, y = float(state.position[0]), float(state.position[1])
    for size in SIZES:  # the smallest that covers it
        screen = beat.cast("screen", "rests", size=size, material="heavy", mode="hung")
        wide, deep, tall = screen.body.extent
        if thing.body.reach < 0.8 * wide and 2 * thing.body.extent[2] < 1.75 * tall:
            break
    front = y - (thing.body.reach if thing.kind != "domino" else thing.body.extent[1]) - deep - 0.12
    if thing.body.reach > 0.9 * wide or 2 * thing.body.extent[2] > 1.85 * tall or front < -2.0:
        raise Misfit
    if any(abs(x - a) < wide + r and abs(front - b) < deep + r for a, b, r in beat.taken(skip=(i,))):
        raise Misfit
    start = beat.start + rng.uniform(0.3, 1.0)
    speed = rng.uniform(1.7, 2.6)
    begin = beat.view.top(x, front, beat.at(start)) + tall + 0.1
    fall = (begin - tall) / speed
    stay = rng.uniform(0.7, 1.6)
    later = beat.view.top(x, front, beat.frames - 1) + tall + 0.1
    end = start + fall + stay + (later - tall) / speed
    if end > beat.end - 0.2:
        raise Misfit

    def motion(now: float):
        if now < start + fall:
            z, rate = begin - speed * (now - start), -speed
        elif now < start + fall + stay:
            z, rate = tall, 0.0
        else:
            z, rate = tall + speed * (now - start - fall - stay), speed
        return np.array([x, front, z]), heading(0.0), np.array([0.0, 0.0, rate]), 0.0, 0.0

    j = beat.add(screen, x, front, begin, since=max(start, 1e-3))
    beat.drive(j, start, end, motion, leave=True)
    beat.lanes.append((front, deep))

    def check(run: Beat) -> list[Event]:
        if not behind(run, i, j).any() or not run.in_view(i, 0, run.frames - 1, 0.9):
            raise Misfit
        return [Event("covered", start, min(end, run.end), i, j)]

    beat.expect(check)
