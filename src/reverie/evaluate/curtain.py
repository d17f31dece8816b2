"""Held-out clips of the lab in which a screen comes down before all there is, stays for so long, and rises.

What stands behind it lies still: what comes to light again is what went out of sight, and where it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reverie.core.clip import Clip
from reverie.core.errors import BadData
from reverie.core.vocabulary import KINDS, SETTINGS
from reverie.data.scenes.acts_masked import behind
from reverie.data.scenes.direct import REPERTOIRE
from reverie.data.scenes.lab import Plan, draw
from reverie.data.scenes.record import heading
from reverie.data.scenes.settings import look
from reverie.data.scenes.sight import Sight
from reverie.data.scenes.stage import Beat, Misfit, Stage
from reverie.data.scenes.view import first_pose, still

SEEN = 3.0  # seconds before the screen comes
AFTER = 1.25  # seconds after it is gone
SPEED = 2.1  # m/s, of the screen: in training 1.7 to 2.6
ASIDE, DEEP = 0.85, (-0.2, 0.7)  # metres from the screen's middle, and from the stage's, where things stand
LEAST = 10  # pixels of a thing's smaller side
TRIES = 1000
HIDEABLE = tuple(kind for kind in KINDS if "covered" in REPERTOIRE[kind] and kind not in ("table", "ramp"))


@dataclass(frozen=True)
class Curtain:
    """A clip decided in full. screen: its number, and that of the things behind it; down, up, gone: seconds at which
    it hides them all, begins to rise, and is out of the picture."""

    plan: Plan
    screen: int
    down: float
    up: float
    gone: float

    def drawn(self, start: float, end: float) -> Clip:
        """A part of it, from ``start`` to ``end`` seconds, drawn."""
        plan, fps = self.plan, self.plan.fps
        first = round(start * fps)
        count = min(round(end * fps), len(plan.path)) - first
        part = slice(first, first + count)
        return draw(replace(plan, seconds=count / fps, path=plan.path[part], actions=plan.actions[part], events=(),
                            beats=(0.0,), record=plan.record.since(first, count)))


def curtain(seed: int, hidden: float, *, fps: float, size: tuple[int, int]) -> Curtain:
    """Two or three things that stand for SEEN seconds, are out of sight for ``hidden``, and are seen again for AFTER.

    size: (H, W) in pixels. Equal seeds have equal things in equal places, however long they are hidden. Raises
    BadData where no try works out.
    """
    for number in range(TRIES):
        try:
            return _tried(np.random.default_rng([int(seed), 23, number]), seed, hidden, fps, size)
        except Misfit:
            continue
    raise BadData(f"in {TRIES} tries no screen hides all there is (seed {seed}, {size[1]}x{size[0]})")


def _tried(rng: np.random.Generator, seed: int, hidden: float, fps: float, size: tuple[int, int]) -> Curtain:
    setting = SETTINGS[rng.integers(len(SETTINGS))]
    scenery, pose = look(setting, int(rng.integers(2**31))), first_pose(rng, *size)
    stage = Stage("test", fps, pose, float(np.linalg.norm(pose.position)))
    beat = Beat(stage, rng, 1, still(pose, 1))
    x, front = rng.uniform(-0.4, 0.4), np.inf
    for _ in range(int(rng.integers(2, 4))):
        kind, wild = HIDEABLE[rng.integers(len(HIDEABLE))], bool(rng.random() < 0.5)
        thing = beat.cast(kind, "covered", wild=wild, size="small")
        if any((thing.kind, thing.colour) == (other.kind, other.colour) for other in beat.things):
            raise Misfit
        place = beat.spot(thing.body.reach, (x - ASIDE, x + ASIDE), DEEP)
        beat.add(thing, *place, yaw=rng.uniform(-np.pi, np.pi))
        front = min(front, place[1] - thing.body.reach)
    screen = beat.cast("screen", "rests", size="large", material="heavy", mode="hung")
    _, deep, tall = screen.body.extent
    front -= deep + 0.12
    begin = beat.view.top(x, front, 0) + tall + 0.1
    start = SEEN + 2 / fps
    down = start + (begin - tall) / SPEED
    up = down + hidden
    gone = up + down - start

    def motion(now: float):
        z = max(tall, begin - SPEED * (now - start), tall + SPEED * (now - up))
        rate = -SPEED if now < down else SPEED if now > up else 0.0
        return np.array([x, front, z]), heading(0.0), np.array([0.0, 0.0, rate]), 0.0, 0.0

    number = beat.add(screen, x, front, begin, since=start)
    beat.drive(number, start, gone, motion, leave=True)
    beat.frames = round((gone + AFTER) * fps)
    beat.view = still(pose, beat.frames)
    beat.run()
    _check(beat, number, down)
    return Curtain(Plan(int(seed), beat.frames / fps, fps, "test", size, setting, scenery, beat.record,
                        beat.view.path, beat.view.actions, (), (0.0,)), number, down, up, gone)


def _check(beat: Beat, screen: int, down: float) -> None:
    """Misfit unless all stand apart in the picture, lie still, and are hidden while the screen is down."""
    sight = Sight(beat.record.since(0, 1), beat.view.path[:1], beat.view.height, beat.view.width)
    good = (sight.whole(LEAST) & sight.apart())[0, :screen]
    place = beat.record.position[:, :screen]
    middle = round(down * beat.stage.fps) + 2
    hides = [behind(beat, i, screen)[middle] for i in range(screen)]
    if not (good.all() and all(hides) and np.abs(place - place[:1]).max() < 0.03):
        raise Misfit
