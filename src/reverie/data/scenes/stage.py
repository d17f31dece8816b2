"""The stage as a plan is made: who is there, where there is room, and one beat at a time tried out.

A beat is a few seconds in which one or two things happen. It is proposed at random, simulated, and
kept only if what was meant to happen did happen; otherwise another is tried from the same state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from reverie.core.clip import Event
from reverie.core.vocabulary import ALIVE, COLOURS, MATERIALS, MAX_THINGS, SIZES
from reverie.data.heldout import combination_held_out
from reverie.data.scenes.record import Record, Thing, heading
from reverie.data.scenes.simulator import Drive, Span, State
from reverie.data.scenes.view import Pose, View, still

DEPTH = (-1.2, 0.8)  # metres in front of and behind the stage's centre where things stand
LANES = (-1.5, 1.0)  # and where they pass


class Misfit(Exception):
    """This try did not work out; never leaves the scenes."""


@dataclass
class Stage:
    """What is settled so far of a clip being planned."""

    split: str
    fps: float
    pose: Pose  # the camera after the last frame settled
    home: float  # its distance at the start
    things: list[Thing] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    drives: list[Drive] = field(default_factory=list)
    record: Record | None = None
    views: list[View] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    beats: list[float] = field(default_factory=list)

    @property
    def frame(self) -> int:
        """Number of the next frame."""
        return 0 if self.record is None else len(self.record.exists)

    def pose_margin(self, point: np.ndarray) -> float:
        """How far in metres a point is inside the picture's left and right borders, as the camera stands."""
        return still(self.pose, 1).margin(point, 0)

    def allowed(self, thing: Thing, event: str) -> bool:
        """Whether this split may show the combination."""
        return self.split != "train" or not combination_held_out(thing.colour, thing.kind, event)


class Beat:
    """One try at one beat: a proposal, then its run. ``view`` is the camera over its frames."""

    def __init__(self, stage: Stage, rng: np.random.Generator, frames: int, view: View) -> None:
        self.stage, self.rng, self.frames, self.view = stage, rng, frames, view
        self.first = stage.frame
        self.start, self.end = self.first / stage.fps, (self.first + frames - 1) / stage.fps
        self.things, self.states = list(stage.things), list(stage.states)
        self.drives = [replace(d, done=False) for d in stage.drives]
        self.checks: list[Callable[[Beat], list[Event]]] = []
        self.quiet: set[int] = set()  # things whose being knocked about is no event of its own
        self.lanes: list[tuple[float, float]] = []  # (y, half width) kept free of bystanders
        self.record: Record | None = None
        self.events: list[Event] = []

    # casting -------------------------------------------------------------------------------------

    def cast(
        self,
        kind: str,
        event: str,
        *,
        colour: str | None = None,
        size: str | None = None,
        material: str | None = None,
        mode: str | None = None,
        wild: bool = False,
    ) -> Thing:
        """A new thing that this split may show in this event (wild: one that only "test" may show)."""
        rng = self.rng
        colours = list(COLOURS)
        if wild:
            held = [c for c in colours if combination_held_out(c, kind, event)]
            colour = held[rng.integers(len(held))] if held else colour
        if colour is None:
            if self.stage.split == "train":
                colours = [
                    c
                    for c in colours
                    if not combination_held_out(c, kind, event) and not combination_held_out(c, kind, "rests")
                ]
            colour = colours[rng.integers(len(colours))]
        thing = Thing(
            kind,
            colour,
            size or SIZES[rng.integers(len(SIZES))],
            material or MATERIALS[rng.integers(len(MATERIALS))],
            mode or {"pendulum": "hinge"}.get(kind, "alive" if kind in ALIVE else "free"),
        )
        if kind == "hoop" and mode is None:
            thing.mode = "fixed"
        if not (self.stage.allowed(thing, event) and self.stage.allowed(thing, "rests")):
            raise Misfit
        return thing

    def add(
        self,
        thing: Thing,
        x: float,
        y: float,
        z: float | None = None,
        *,
        yaw: float = 0.0,
        quat: np.ndarray | None = None,
        since: float | None = None,
        velocity=(0.0, 0.0, 0.0),
        spin=(0.0, 0.0, 0.0),
    ) -> int:
        """Puts a new thing into the world (z None: standing on the ground) and returns its index."""
        if len(self.things) >= MAX_THINGS:
            raise Misfit
        if z is None:
            z = thing.body.extent[2]
        place = np.array([x, y, z], float)
        turn = heading(yaw) if quat is None else np.asarray(quat, float)
        late = since is not None and since > 0
        if not late and self.first > 0:
            since = self.start
        if thing.mode == "free" and late:
            still = (place, turn, np.zeros(3), 0.0, 0.0)
            self.drives.append(
                Drive(
                    len(self.things),
                    since,
                    since,
                    lambda now: still,
                    np.array(velocity, float),
                    np.array(spin, float),
                )
            )
        self.things.append(thing)
        self.states.append(
            State(place, turn, np.array(velocity, float), np.array(spin, float), 0.0, since or 0.0)
        )
        return len(self.things) - 1

    # room ----------------------------------------------------------------------------------------

    def taken(self, skip: tuple[int, ...] = ()) -> list[tuple[float, float, float]]:
        """(x, y, reach) of every thing in the world now."""
        return [
            (s.position[0], s.position[1], _foot(t))
            for i, (t, s) in enumerate(zip(self.things, self.states, strict=True))
            if not s.gone and i not in skip and s.position[2] < 30
        ]

    def fits(self, x: float, y: float, reach: float, skip: tuple[int, ...] = (), gap: float = 0.08) -> bool:
        """Whether a thing of that reach has room at (x, y), in view at the beat's start and end."""
        if any(np.hypot(x - a, y - b) < reach + r + gap for a, b, r in self.taken(skip)):
            return False
        if any(abs(y - lane) < half + reach for lane, half in self.lanes):
            return False
        point = np.array([x, y, 0.5])
        return (
            min(
                self.view.margin(point, 0),
                self.view.margin(point, self.frames - 1),
                self.view.margin(point, self.frames // 2),
            )
            > 0.8 * reach
        )

    def spot(
        self, reach: float, xs: tuple[float, float] = (-9.0, 9.0), ys: tuple[float, float] = DEPTH
    ) -> tuple[float, float]:
        """A free place, where possible not in line with another thing as the camera sees it."""
        best, found = -np.inf, None
        others = [(self.view.local(np.array([a, b, 0.4]), 0), r) for a, b, r in self.taken()]
        wide = self.half(0.0)
        for _ in range(24):
            x = self.rng.uniform(max(xs[0], -wide), min(xs[1], wide))
            y = self.rng.uniform(*ys)
            if not self.fits(x, y, reach):
                continue
            here = self.view.local(np.array([x, y, 0.4]), 0)
            apart = min((abs(here[0] - o[0]) - 0.8 * (reach + r) for o, r in others), default=1.0)
            if apart > 0:
                return x, y
            if apart > best:
                best, found = apart, (x, y)
        if found is None or best < (-0.7 if self.first else -0.55):
            raise Misfit
        return found

    def half(self, y: float) -> float:
        """Half the width in metres of the picture at depth y."""
        right = self.view.edge(1, y, 0.5, 0.0, 0)
        left = self.view.edge(-1, y, 0.5, 0.0, 0)
        return float(min(right, -left, 3.4))

    def lane(
        self,
        reach: float,
        ys: tuple[float, float] = LANES,
        skip: tuple[int, ...] = (),
        xs: tuple[float, float] = (-4.0, 4.0),
        careful: bool = False,
    ) -> float:
        """A depth y along which a thing can pass from side to side without touching anything."""
        careless = (
            not careful and self.first > 0 and self.rng.random() < 0.5
        )  # then it may run into something
        for _ in range(16):
            y = self.rng.uniform(*ys)
            if careless:
                return y
            if all(
                abs(y - b) > reach + r + 0.06 or not xs[0] - r < a < xs[1] + r for a, b, r in self.taken(skip)
            ):
                return y
        raise Misfit

    # acting --------------------------------------------------------------------------------------

    def kick(self, index: int, when: float, velocity=None, spin=None) -> None:
        """Gives a thing a velocity (m/s) and spin (rad/s, own frame) at a time."""
        self.drives.append(
            Drive(
                index,
                when,
                when,
                None,
                None if velocity is None or callable(velocity) else np.asarray(velocity, float),
                None if spin is None else np.asarray(spin, float),
                aim=velocity if callable(velocity) else None,
            )
        )

    def drive(
        self, index: int, start: float, end: float, motion, *, leave: bool = False, velocity=None
    ) -> None:
        """Moves a thing along ``motion`` (seconds -> simulator.Pose) from start to end."""
        self.drives.append(Drive(index, start, end, motion, velocity, None, leave=leave))

    def expect(self, check: Callable[[Beat], list[Event]]) -> None:
        """Adds a check on the run, which gives the events that did happen or raises Misfit."""
        self.checks.append(check)

    # the run -------------------------------------------------------------------------------------

    def run(self) -> None:
        """Simulates the beat; ``record`` then holds its frames."""
        reaches = [0.9 * float(np.linalg.norm(t.body.extent)) for t in self.things]

        def left(i: int, k: int, place: np.ndarray, velocity: np.ndarray) -> bool:
            if abs(velocity[0]) + abs(velocity[1]) < 0.05 or self.view.margin(place, k) > -reaches[i]:
                return False
            across = self.view.local(place + velocity, k)[0] - self.view.local(place, k)[0]
            return across * self.view.local(place, k)[0] > 0

        span = Span(self.things, self.states, self.drives, self.stage.fps)
        self.record = span.run(self.first, self.frames, left)
        self.after = [
            State(
                self.record.position[-1, i],
                self.record.quat[-1, i],
                self.record.velocity[-1, i],
                self.record.spin[-1, i],
                float(self.record.phase[-1, i]),
                s.since,
                i in span.removed,
            )
            if not s.gone
            else s
            for i, s in enumerate(self.states)
        ]

    def pan_after_actor(self, follow: Callable) -> None:
        """Lets the camera pan after the main actor, unless something comes or goes at the border."""
        acting = [e for e in self.events if e.actor >= 0 and e.kind != "rests"]
        if not acting or any(e.kind in ("enters", "leaves") for e in acting) or not self.record.exists.all():
            return
        view = follow(
            self.stage.pose,
            self.stage.home,
            self.record.position[:, acting[0].actor],
            self.record.exists[:, acting[0].actor],
            self.stage.fps,
        )
        if view is not None and abs(view.actions[:, 0]).sum() / self.stage.fps > 2.5:
            self.view = view

    def time(self, k: int) -> float:
        """Seconds of this beat's frame k."""
        return (self.first + int(k)) / self.stage.fps

    def at(self, when: float) -> int:
        """The frame of this beat nearest a time."""
        return int(np.clip(round(when * self.stage.fps) - self.first, 0, self.frames - 1))

    def touch(self, index: int, since: int = 0, other: int | None = None) -> int | None:
        """First frame from ``since`` on in which a thing touches another (None: anything)."""
        for k in range(since, self.frames):
            for a, b in self.record.contacts[k]:
                if index in (a, b) and (other is None or other in (a, b)):
                    return k
        return None

    def speed(self, index: int) -> np.ndarray:
        """Speed (T,) in m/s."""
        return np.linalg.norm(self.record.velocity[:, index], axis=1)

    def heading_of(self, index: int, k0: int, k1: int) -> str:
        """In which direction a thing went between two frames, as seen: left, right, front or back."""
        there = np.flatnonzero(self.record.exists[k0 : k1 + 1, index]) + k0
        if len(there) < 2:
            return ""
        way = self.record.position[there[-1], index] - self.record.position[there[0], index]
        right, back = way @ self.view.path.rotation[k0][:, 0], way @ self.view.path.rotation[k0][:, 2]
        if abs(back) > 1.5 * abs(right):
            return "front" if back > 0 else "back"
        return "left" if right < 0 else "right"

    def in_view(self, index: int, k0: int, k1: int, share: float = 0.6) -> bool:
        """Whether a thing's centre is in the picture in at least a share of the frames k0..k1."""
        pixel = self.view.pixels(self.record.position[:, index])[k0 : k1 + 1]
        there = self.record.exists[k0 : k1 + 1, index]
        inside = (
            there & (pixel > 0).all(1) & (pixel[:, 0] < self.view.width) & (pixel[:, 1] < self.view.height)
        )
        return bool(inside.mean() >= share)


def _foot(thing: Thing) -> float:
    """Radius in metres of the ground that a thing takes up, its stand included."""
    return thing.body.reach + (0.25 if thing.kind == "pendulum" else 0.0)
