"""The ten deeds: how a crime is done to one thing of a plan, from one frame on.

A deed takes a Case and gives a Done, or None where it would not be plain to see, or where what others did with the
thing would no longer be true. See crimes.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from reverie.core.vocabulary import ALIVE, COLOURS, SIZES
from reverie.data.heldout import combination_held_out
from reverie.data.scenes.acts_loose import ROUND, rolling
from reverie.data.scenes.bodies import make
from reverie.data.scenes.course import Course, again, put, touched
from reverie.data.scenes.gaits import cycle_rate
from reverie.data.scenes.lab import Plan
from reverie.data.scenes.record import Record, Thing, heading
from reverie.data.scenes.sight import Sight, floor_below, in_the_way, lowest, spans
from reverie.data.scenes.simulator import State

IN_SIGHT = 0.8  # seconds before and after the crime for which the victim is wholly in the picture
LEAST_PIXELS, LEAST_SCALED = 14.0, 12.0  # of its box's smaller side; and of that of a thing made small
AT_REST = 0.03  # m/s
_WEIGHTLESS, _HANGS = 0.4, 0.5  # seconds before it meets something; metres over what is below it
_DRIFTS = 0.6  # m/s sideways, up or down at which it goes on, so that it is not taken for hanging
_PASSES = 0.4  # seconds for which it stays in the picture, and is through within
_FALLS = 0.5  # m/s downwards: what stops at the top of its toss might as well have been caught
_SINKS = 4  # frames that a ghost takes to be gone at least: of what takes fewer nobody sees how it went
_PUSHED = 0.5  # metres, and half its width, that a push moves a thing by within IN_SIGHT seconds
_FAR_COLOUR = 0.8  # distance in sRGB, each channel 0..1
_KINDS = ("ball", "box", "cylinder", "cone", "basketball", "ramp", "domino", "chair", "table", "person", "dog")
_LIKE = (  # kinds that one may take for one another from some side
    {"ball", "basketball"}, {"box", "cylinder"}, {"box", "ramp"}, {"cone", "ramp"}, {"wall", "screen"},
    {"wall", "box"}, {"plank", "table"}, {"box", "table"}, {"domino", "box"}, {"domino", "cylinder"},
)


@dataclass(frozen=True)
class Done:
    """The record with the crime; other: the double's index, or that of the new identity; alien: things whose events
    after it are no longer true, besides the victim."""

    record: Record
    other: int = -1
    alien: tuple[int, ...] = ()


@dataclass
class Case:
    """Thing i of a plan, that could be a victim from frame k on."""

    plan: Plan
    sight: Sight
    i: int
    k: int
    rng: np.random.Generator

    @property
    def record(self) -> Record:
        """The plan's."""
        return self.plan.record

    @property
    def thing(self) -> Thing:
        """The victim."""
        return self.record.things[self.i]

    def sideways(self) -> np.ndarray:
        """The camera's left or right (3,), level."""
        way = self.plan.path.rotation[self.k][:, 0].astype(float) * (1, 1, 0)
        return self.rng.choice([-1.0, 1.0]) * way / np.linalg.norm(way)

    def width(self) -> float:
        """Metres that the victim is wide in the picture."""
        return float(self.sight.sides[self.k, self.i, 0] / self.sight.pixels[self.k, self.i])

    def frames(self, seconds: float) -> int:
        """That time in frames, rounded up."""
        return int(np.ceil(seconds * self.plan.fps - 1e-6))

    def course(self) -> Course:
        """What the victim would do."""
        return Course.of(self.record, self.i, self.k)

    def touches(self) -> set[int]:
        """What it would touch from the frame before the crime on."""
        return set().union(*touched(self.record, self.i, self.k - 1))

    def alone(self) -> bool:
        """Whether that is nothing but the ground."""
        return self.touches() <= {-1}

    def spared(self) -> bool:
        """Whether nothing that it would touch would be moved by it."""
        return all(other < 0 or self.steadfast(other) for other in self.touches())

    def steadfast(self, other: int) -> bool:
        """Whether another thing stands where it is from the frame before the crime on, and leans on nothing."""
        record, first = self.record, self.k - 1
        place, quat = record.position[first:, other], record.quat[first:, other]
        still = np.ptp(place, 0).max() < 0.01 and np.ptp(quat, 0).max() < 0.01 and record.exists[first:, other].all()
        tilt = abs(record.up(other)[first, 2])
        level = record.things[other].kind in ROUND or tilt > 0.99 or tilt < 0.01
        stands = level and (other, -1) in record.contacts[first]
        return bool(still and (stands or record.things[other].mode == "fixed"))

    def seen(self, record: Record, index: int, *, seconds: float = IN_SIGHT, least: float = LEAST_PIXELS,
             skip: int = -1) -> bool:
        """Whether a thing of a record is in plain sight for that long from the crime on."""
        count = self.frames(seconds)
        sight = Sight(record.since(self.k, count), self.plan.path[self.k : self.k + count], *self.plan.size)
        return bool((sight.whole(least) & sight.apart(skip))[:, index].all())


# ---------------------------------------------------------------- from one frame to the next


def deleted(case: Case) -> Done | None:
    """It is no more."""
    if not case.spared() or not case.seen(case.record, case.i):
        return None
    return Done(put(case.record, case.i, case.k, None))


def doubled(case: Case) -> Done | None:
    """There are two of it."""
    if not case.alone():
        return None
    course = _shifted(case, case.rng.uniform(1.1, 1.6) * case.width() * case.sideways())
    record = put(case.record, case.i, case.k, course, replace(case.thing), beside=True)
    other = len(record.things) - 1
    plain = case.seen(record, other) and case.seen(record, case.i)
    return Done(record, other) if plain and not in_the_way(record, other, case.k, case.i) else None


def moved(case: Case) -> Done | None:
    """It is elsewhere."""
    if not case.alone():
        return None
    course = _shifted(case, case.rng.uniform(1.5, 4.0) * case.width() * case.sideways())
    record = put(case.record, case.i, case.k, course)
    return Done(record) if case.seen(record, case.i) and not in_the_way(record, case.i, case.k) else None


def recoloured(case: Case) -> Done | None:
    """It has another colour."""
    kind, mine = case.thing.kind, np.array(COLOURS[case.thing.colour])
    far = [name for name, rgb in COLOURS.items() if np.linalg.norm(mine - rgb) > _FAR_COLOUR
           and _may_show(case, name, kind)]
    if not far:
        return None
    new = replace(case.thing, colour=str(case.rng.choice(far)))
    record = put(case.record, case.i, case.k, case.course(), new)
    other = len(record.things) - 1
    return Done(record, other) if case.seen(record, other) else None


def transformed(case: Case) -> Done | None:
    """It is of another kind."""
    old = case.thing

    def alike(kind: str, size: str) -> bool:
        one, two = old.body, make(kind, size)
        return 0.6 < two.reach / one.reach < 1.6 and 0.65 < two.extent[2] / one.extent[2] < 1.5

    others = [
        (kind, size) for kind in _KINDS for size in SIZES
        if kind != old.kind and {kind, old.kind} not in _LIKE and _may_show(case, old.colour, kind)
        and (old.kind in ("person", "dog") or kind not in ALIVE)
        and alike(kind, size)
    ]
    if not others or not case.alone():
        return None
    kind, size = others[case.rng.integers(len(others))]
    new = Thing(kind, old.colour, size, old.material, "alive" if kind in ALIVE else "free")
    if kind in ALIVE:
        rate = cycle_rate(kind, size, 1.0) / cycle_rate(old.kind, old.size, 1.0)
        return _instead(case, new, _gone_on(case, new, rate))
    course = case.course()
    place = course.position[0].copy()
    if -1 in course.touches[0]:
        low = 0.0 if old.mode == "alive" else lowest(old, place, course.quat[0])
        place[2] = low + new.body.extent[2]
    back = case.plan.path.rotation[case.k][:, 2]
    yaw = np.arctan2(back[1], back[0]) + case.rng.uniform(0.3, 1.2)  # shows two of its sides
    return _instead(case, new, _simulated(case, new, State(place, heading(yaw), course.velocity[0])))


def scaled(case: Case) -> Done | None:
    """It is larger or smaller, and its foot is where it was."""
    old, scale = case.thing, float(case.rng.uniform(1.6, 2.2)) ** case.rng.choice([-1, 1])
    if not case.alone():
        return None
    new, course = replace(old, scale=scale), case.course()
    if old.mode != "free":
        rate = 1.0 if old.kind not in ALIVE or old.kind == "bird" else 1 / scale
        return _instead(case, new, _gone_on(case, new, rate), LEAST_SCALED)
    state = course.state(0)
    foot = lowest(old, state.position, state.quat)
    state.position[2] = foot + scale * (state.position[2] - foot)
    return _instead(case, new, _simulated(case, new, state), LEAST_SCALED)


def _may_show(case: Case, colour: str, kind: str) -> bool:
    return case.plan.split != "train" or not combination_held_out(colour, kind, "rests")


def _shifted(case: Case, way: np.ndarray) -> Course:
    """What the victim would do, so far beside."""
    course = case.course()
    course.position += way
    return course


def _gone_on(case: Case, new: Thing, rate: float) -> Course:
    """What a new thing does that goes on as the victim would, on its own feet, with so many times its paces."""
    course = case.course()
    course.position[:, 2] += new.body.extent[2] - case.thing.body.extent[2]
    course.phase = course.phase[0] + rate * (course.phase - course.phase[0])
    return course


def _simulated(case: Case, new: Thing, state: State) -> Course:
    """What a new thing does that is in a state in the crime's frame."""
    course = case.course().until(1)
    course.position[0], course.quat[0], course.velocity[0], course.spin[0] = (
        state.position, state.quat, state.velocity, state.spin)
    course.phase[0] = course.stride[0] = 0
    return course.joined(again(case.record, case.i, case.k + 1, state, new))


def _instead(case: Case, new: Thing, course: Course, least: float = LEAST_PIXELS) -> Done | None:
    """The victim replaced by a new thing, if that is in plain sight and in nobody's way."""
    record = put(case.record, case.i, case.k, course, new)
    other = len(record.things) - 1
    free = set().union(*course.touches) <= {-1} and not in_the_way(record, other, case.k)
    return Done(record, other) if free and case.seen(record, other, least=least) else None


# ---------------------------------------------------------------- from one frame on


def weightless(case: Case) -> Done | None:
    """It goes on straight, until it hits something."""
    before = Course.of(case.record, case.i, case.k - 1).state(0)
    if not case.spared():
        return None
    course = again(case.record, case.i, case.k, before, case.thing, lambda span: span.lift(case.i))
    hits = [k for k, touches in enumerate(course.touches) if touches]
    if hits and hits[0] < case.frames(_WEIGHTLESS):
        return None
    if hits and hits[0] + 1 < len(course.touches):
        then = again(case.record, case.i, case.k + hits[0] + 1, course.state(hits[0]), case.thing)
        course = course.until(hits[0] + 1).joined(then)
    record = put(case.record, case.i, case.k, course)
    plain = set().union(*course.touches) <= {-1} and case.seen(record, case.i)
    return Done(record) if plain else None


def frozen(case: Case) -> Done | None:
    """It stays where it is, in the air."""
    course = case.course()
    foot = lowest(case.thing, course.position[0], course.quat[0])
    falls = course.velocity[0, 2] < -_FALLS
    if not (falls and case.spared() and foot - floor_below(case.record, case.i, case.k) > _HANGS):
        return None
    course.position[:], course.quat[:], course.velocity[:], course.spin[:] = (
        course.position[0], course.quat[0], 0, 0)
    course.exists[:] = True
    course.touches = [set() for _ in course.touches]
    record = put(case.record, case.i, case.k, course)
    return Done(record) if case.seen(record, case.i) and not in_the_way(record, case.i, case.k) else None


def ghost(case: Case) -> Done | None:
    """It sinks through what it lies or lands on, or passes through what it meets."""
    met = [other for other in touched(case.record, case.i, case.k)[0] if other >= 0]
    speed = case.record.velocity[case.k - 1, case.i]
    if met and np.hypot(speed[0], speed[1]) > max(0.8, -speed[2]):
        return _passing(case, met[0]) if len(met) == 1 else None
    if not case.spared():
        return None
    before = Course.of(case.record, case.i, case.k - 1).state(0)
    course = again(case.record, case.i, case.k, before, case.thing, lambda span: span.release(case.i))
    record = put(case.record, case.i, case.k, course)
    sunk = np.flatnonzero(spans(record, case.i)[1][case.k :, 2] < -0.05)
    if not len(sunk) or sunk[0] < _SINKS:
        return None
    record.exists[case.k + int(sunk[0]) :, case.i] = False
    sight = Sight(record, case.plan.path, *case.plan.size)
    last = case.k + int(sunk[0]) // 2  # by then most of it is in the ground
    rows = slice(case.k, last)
    plain = (sight.whole(LEAST_PIXELS) & sight.apart())[rows, case.i].all()
    return Done(record) if plain else None


def _passing(case: Case, other: int) -> Done | None:
    """Through one thing, that stays as it lay."""
    record, first = case.record, case.k - 1
    stood = first - case.frames(0.4)
    still = np.ptp(record.position[stood : first + 1, other], 0).max() < 0.01 and record.exists[stood:, other].all()
    grounded = record.things[other].mode == "fixed" or (other, -1) in record.contacts[first]
    if not (still and grounded and record.things[other].mode in ("fixed", "free")):
        return None
    spared = all(one in (-1, other) or case.steadfast(one) for one in case.touches())
    if not (spared and set().union(*touched(record, other, first)) <= {-1, case.i}):
        return None
    rests = Course.of(record, other, first)
    for rows in (rests.position, rests.quat):
        rows[:] = rows[0]
    rests.velocity[:] = rests.spin[:] = 0
    rests.touches = [{-1}] * len(rests.touches)
    quiet = put(record, other, case.k, rests.since(1))
    before = Course.of(quiet, case.i, first).state(0)
    course = again(quiet, case.i, case.k, before, case.thing, lambda span: span.release(other))
    way = before.velocity * (1, 1, 0) / np.hypot(*before.velocity[:2])
    beyond = (course.position[: case.frames(_PASSES)] - record.position[first, other]) @ way
    done = put(quiet, case.i, case.k, course)
    plain = case.seen(done, case.i, seconds=_PASSES, skip=other) and set().union(*course.touches) <= {-1}
    return Done(done, alien=(other,)) if plain and beyond.max() > 0.5 * case.thing.body.extent[0] else None


def pushed(case: Case) -> Done | None:
    """It starts to move by itself."""
    if not case.spared():
        return None
    before = Course.of(case.record, case.i, case.k - 1).state(0)
    velocity = case.rng.uniform(1.5, 3.0) * case.sideways()
    rolls = case.thing.kind in ROUND
    kick = replace(before, velocity=velocity,
                   spin=rolling(before.quat, velocity, case.thing.body.extent[0]) if rolls else np.zeros(3))
    course = again(case.record, case.i, case.k, kick, case.thing)
    record = put(case.record, case.i, case.k, course)
    gone = np.linalg.norm(course.position[case.frames(IN_SIGHT) - 1] - before.position)
    plain = set().union(*course.touches) <= {-1} | case.touches() and case.seen(record, case.i)
    return Done(record) if plain and gone > max(_PUSHED, case.width() / 2) else None


# ---------------------------------------------------------------- when


def ripe(plan: Plan, crime: str) -> tuple[np.ndarray, np.ndarray]:
    """In which frames each thing could be a victim (T, N) bool, and how much happens to it then (T, N): 0 it rests,
    1 it moves, 2 it flies freely; for a ghost 0 it lies, 1 it lands, 2 it meets another."""
    record, fps = plan.record, plan.fps
    frames, count = record.exists.shape
    free = np.array([t.mode == "free" for t in record.things])
    speed = np.linalg.norm(record.velocity, axis=-1)
    touching = np.zeros((frames, count), bool)
    for k, pairs in enumerate(record.contacts):
        for pair in pairs:
            touching[k, [i for i in pair if i >= 0]] = True
    fall = np.zeros((frames, count))
    fall[1:] = np.diff(record.velocity[..., 2], axis=0) * fps
    falls = (abs(fall + 9.81) < 0.4) & ~touching & free
    flight = falls.copy()
    flight[1:] &= falls[:-1]
    stir = np.where(flight, 2, np.where(speed > 0.3, 1, 0))
    kinds = [t.kind for t in record.things]
    if crime in ("weightless", "frozen"):
        ahead = int(np.ceil(0.35 * fps))
        good = np.zeros_like(flight)
        for k in range(frames - ahead):
            good[k] = flight[k : k + ahead].all(0)
        if crime == "weightless":  # of the others the centre of the box, that is recorded, does not go straight
            good &= [kind in ("ball", "basketball", "box", "cylinder", "plank", "domino") for kind in kinds]
            good &= np.hypot(record.velocity[..., 0], record.velocity[..., 2]) > _DRIFTS
    elif crime in ("ghost", "pushed"):
        long, lies = int(np.ceil(IN_SIGHT * fps)), (speed < AT_REST) & touching
        good = np.zeros_like(lies)
        for k in range(long, frames):
            good[k] = lies[k - long : k].all(0)
            if crime == "ghost":
                lands = flight[k - 1] & touching[k] & (record.velocity[k - 1, :, 2] < -1)
                meets = np.zeros_like(lands)
                for pair in record.contacts[k] - record.contacts[k - 1] - record.contacts[k - 2]:
                    meets[list(pair)] = min(pair) >= 0
                meets &= speed[k - 1] > 0.8
                good[k] |= lands | meets
                stir[k] = np.where(meets, 2, np.where(lands, 1, 0))
        good &= [kind not in ("hoop", "screen", "pendulum") for kind in kinds]
    elif crime in ("deleted", "recoloured"):
        return record.exists.copy(), stir
    else:
        return record.exists & [t.mode not in ("hinge", "hung") for t in record.things], stir
    return good & record.exists & free, stir


DEEDS: dict[str, Callable[[Case], Done | None]] = {
    deed.__name__: deed
    for deed in (deleted, doubled, recoloured, transformed, scaled, moved, weightless, frozen, ghost, pushed)
}
