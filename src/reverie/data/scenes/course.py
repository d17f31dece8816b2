"""The course of one thing from a frame on: taken from a record, simulated anew among the others, put into a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from reverie.data.scenes.record import ARRAYS, Record, Thing, heading
from reverie.data.scenes.simulator import Drive, Span, State

_FAR = np.array([60.0, 60.0, -60.0])  # where a thing is, as the others see it, while it is not in the world


@dataclass
class Course:
    """One thing over K frames: arrays (K, ...) as in Record; touches: per frame, what it touches (-1 the ground)."""

    exists: np.ndarray
    position: np.ndarray
    quat: np.ndarray
    velocity: np.ndarray
    spin: np.ndarray
    phase: np.ndarray
    stride: np.ndarray
    touches: list[set[int]]

    @classmethod
    def of(cls, record: Record, index: int, first: int) -> Course:
        """A thing's course in a record from frame ``first`` on (a copy)."""
        rows = (getattr(record, name)[first:, index].copy() for name in ARRAYS)
        return cls(*rows, touched(record, index, first))

    def state(self, frame: int) -> State:
        """Where the thing is in a frame of the course, and how it moves."""
        return State(*(getattr(self, name)[frame].copy() for name in ("position", "quat", "velocity", "spin")))

    def joined(self, later: Course) -> Course:
        """This course and then ``later``."""
        rows = (np.concatenate([getattr(self, name), getattr(later, name)]) for name in ARRAYS)
        return Course(*rows, self.touches + later.touches)

    def until(self, frame: int) -> Course:
        """Its first frames, ``frame`` of them."""
        return Course(*(getattr(self, name)[:frame] for name in ARRAYS), self.touches[:frame])

    def since(self, frame: int) -> Course:
        """It without its first frames, ``frame`` of them."""
        return Course(*(getattr(self, name)[frame:] for name in ARRAYS), self.touches[frame:])


def touched(record: Record, index: int, first: int) -> list[set[int]]:
    """What a thing touches in each frame from ``first`` on; -1 is the ground."""
    return [{a + b - index for a, b in pairs if index in (a, b)} for pairs in record.contacts[first:]]


def put(
    record: Record, index: int, first: int, course: Course | None, thing: Thing | None = None, beside: bool = False
) -> Record:
    """A record in which a thing goes another course from a frame on. course: None where it is no more.

    thing: if given, it is at the end of the cast and goes that course from that frame on, in the place of thing
    ``index`` or (beside) along with it.
    """
    things = [*record.things, *([] if thing is None else [thing])]
    out = Record.empty(things, record.fps, len(record.exists))
    for name in ARRAYS:
        getattr(out, name)[:, : len(record.things)] = getattr(record, name)
    kept = [{pair for pair in pairs if beside or index not in pair} for pairs in record.contacts[first:]]
    out.contacts = [set(pairs) for pairs in record.contacts[:first]] + kept
    if not beside:
        out.exists[first:, index] = False
    if course is not None:
        mine = index if thing is None else len(things) - 1
        for name in ARRAYS:
            getattr(out, name)[first:, mine] = getattr(course, name)
        for there, pairs, others in zip(course.exists, out.contacts[first:], course.touches, strict=True):
            pairs |= {(max(mine, other), min(mine, other)) for other in others if there}
    return out


def again(
    record: Record, index: int, first: int, state: State, thing: Thing, alter: Callable[[Span], None] | None = None
) -> Course:
    """The course from frame ``first`` on of a thing that physics moves, from its ``state`` in the frame before.

    It takes the place of thing ``index``; all others go the way they went, whatever runs into them. alter: what is
    done to the physics before it runs.
    """
    things, states, drives = [], [], []
    for i, other in enumerate(record.things):
        there = record.exists[first - 1 :, i]
        if i == index:
            things.append(replace(thing, mode="free"))
            states.append(state)
            continue
        things.append(replace(other, mode="fixed"))
        place, quat = record.position[first - 1 :, i], record.quat[first - 1 :, i]
        states.append(State(place[0].copy(), quat[0].copy(), gone=not there.any()))
        if there.any() and (not there.all() or np.ptp(place, 0).max() + np.ptp(quat, 0).max() > 1e-6):
            drives.append(Drive(i, 0.0, 1e9, _played(record, i)))
    span = Span(things, states, drives, record.fps)
    if alter is not None:
        alter(span)
    return Course.of(span.run(first, len(record.exists) - first), index, 0)


def _played(record: Record, index: int) -> Callable:
    """A motion that goes as a record has it, evenly between its frames."""
    last = len(record.exists) - 1

    def motion(now: float):
        low = min(int(now * record.fps + 1e-6), last)
        high, part = min(low + 1, last), now * record.fps - low
        if not (record.exists[low, index] and record.exists[high, index]):
            return _FAR, heading(0.0), np.zeros(3), 0.0, 0.0
        place = (1 - part) * record.position[low, index] + part * record.position[high, index]
        one, two = record.quat[low, index], record.quat[high, index]
        turn = (1 - part) * one + part * (two if one @ two > 0 else -two)
        return place, turn / np.linalg.norm(turn), record.velocity[low, index], 0.0, 0.0

    return motion
