"""Planted violations: crimes against the laws of things, committed inside the simulator, so that kind, thing and moment
of each are known exactly.

A plan is searched in which a thing is plainly in sight, and from one frame on its record is another: either edited, or
simulated again for that thing alone, with everything else as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reverie.core.errors import BadInput, ReverieError
from reverie.core.vocabulary import ALIVE, COLOURS, DEFAULT_FPS
from reverie.data.scenes.drawing import extents_in_view
from reverie.data.scenes.lab import Plan, plan
from reverie.data.scenes.record import Record, Thing, heading, matrices
from reverie.data.scenes.simulator import Drive, Span, State

CRIMES = {  # name -> the law that it breaks, and what is done
    "deleted": ("permanence", "a thing in sight, in flight where one flies, is no more"),
    "doubled": ("permanence", "there are two of a thing, side by side"),
    "recoloured": ("identity", "a thing has another colour"),
    "transformed": ("identity", "a thing is of another kind"),
    "scaled": ("rigidity", "a thing is larger or smaller"),
    "moved": ("continuity", "a thing is elsewhere"),
    "weightless": ("gravity", "gravity is off for a thing in flight, which goes on straight"),
    "frozen": ("support", "a thing in flight stops, and hangs in the air"),
    "ghost": ("collision", "contacts are off for a thing, which sinks through what it lies on"),
    "pushed": ("causality", "a thing that lies still moves off, and nothing has touched it"),
}
BEFORE, AFTER = 0.8, 0.8  # seconds for which the victim is wholly in the picture
LEAST_SIDE = 14.0  # pixels of its box
CROWDED = 0.25  # share of its box that another's may cover
_TRIES = 400  # plans that are looked through
_HELD = ("hoop", "screen", "pendulum", *ALIVE)
_OTHER_KINDS = ("ball", "box", "cone", "cylinder", "chair", "domino")
_ALIKE = ({"ball", "basketball"}, {"box", "domino", "wall", "screen", "plank"}, {"box", "cylinder"}, {"chair", "table"})


@dataclass(frozen=True)
class Crime:
    """What was done. kind: of CRIMES; law: which it breaks; thing: index in the truth; frame: the first that shows it;
    time: that in seconds; other: index of the double or of what the thing became, -1 where there is none."""

    kind: str
    law: str
    thing: int
    frame: int
    time: float
    other: int = -1


def plant(seed: int, crime: str, seconds: float = 4.0, *, fps: float = DEFAULT_FPS, split: str = "test",
          size: tuple[int, int] | None = None) -> tuple[Plan, Crime]:
    """A plan of the lab in which a crime is committed, and which. See lab.plan for the arguments.

    The same arguments give the same bytes. Raises BadInput for an unknown crime or less than 3 seconds, and
    ReverieError where no plan has a victim.
    """
    if crime not in CRIMES:
        raise BadInput(f"no crime {crime!r}: {', '.join(CRIMES)}")
    if seconds < 3:
        raise BadInput(f"a planted crime takes at least 3 seconds, not {seconds:g}")
    for attempt in range(_TRIES):
        rng = np.random.default_rng([seed, list(CRIMES).index(crime), attempt])
        made = plan(int(rng.integers(2**31)), seconds, fps=fps, split=split, size=size)
        for thing, frame in _victims(made, crime, rng):
            done = _committed(made, crime, thing, frame, rng)
            if done is not None:
                record, other = done
                law = CRIMES[crime][0]
                return _told(made, record, thing, frame), Crime(crime, law, thing, frame, frame / fps, other)
    raise ReverieError(f"no plan of {_TRIES} has a victim for the crime {crime!r} (seed {seed}): take another seed")


def _told(made: Plan, record: Record, thing: int, frame: int) -> Plan:
    """A plan with another record, without what the victim was to do later."""
    time = frame / made.fps
    events = [e if thing not in (e.actor, e.other) or e.end <= time else replace(e, end=time)
              for e in made.events if thing not in (e.actor, e.other) or e.start < time]
    return replace(made, record=record, events=tuple(events))


@dataclass
class _Sight:
    """What the camera would see: boxes (T, N, 4) not cut, depths (T, N) metres, inside (T, N): wholly in the picture."""

    boxes: np.ndarray
    depths: np.ndarray
    inside: np.ndarray

    @classmethod
    def of(cls, made: Plan, record: Record) -> _Sight:
        height, width = made.size
        boxes = np.stack([extents_in_view(t, record, i, made.path, height, width)
                          for i, t in enumerate(record.things)], 1)
        gap = record.position - made.path.position[:, None]
        depths = -np.einsum("ti,tni->tn", made.path.rotation[..., 2], gap)
        with np.errstate(invalid="ignore"):
            inside = (boxes[..., :2] > 3).all(-1) & (boxes[..., 2] < width - 3) & (boxes[..., 3] < height - 3)
        return cls(boxes, depths, inside)

    def clear(self, thing: int, low: int, high: int) -> bool:
        """Whether a thing is wholly in the picture, large enough and not crowded in the frames low..high."""
        if not self.inside[low : high + 1, thing].all():
            return False
        mine = self.boxes[low : high + 1, thing]
        sides = mine[:, 2:] - mine[:, :2]
        if sides.min() < LEAST_SIDE:
            return False
        for other in range(self.boxes.shape[1]):
            if other != thing:
                its = np.nan_to_num(self.boxes[low : high + 1, other], nan=-1e3)
                common = (np.minimum(mine[:, 2:], its[:, 2:]) - np.maximum(mine[:, :2], its[:, :2])).clip(0).prod(1)
                if (common > CROWDED * sides.prod(1)).any():
                    return False
        return True


def _victims(made: Plan, crime: str, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Things to which the crime can be done, each with a frame: the moving ones first."""
    record, fps = made.record, made.fps
    sight = _Sight.of(made, record)
    frames = len(record.exists)
    low, high = round(1.2 * fps), frames - round(1.2 * fps)
    before, after = round(BEFORE * fps), round(AFTER * fps)
    speed = np.linalg.norm(record.velocity, axis=-1)
    found = []
    for i, thing in enumerate(record.things):
        if not _fits(thing, crime):
            continue
        times = [k for k in range(low, high) if _time(record, crime, i, k, fps, speed)]
        if crime in ("weightless", "frozen"):
            before, after = round(0.25 * fps), 1
        elif crime in ("ghost", "pushed"):
            after = 1
        times = [k for k in times if sight.clear(i, k - before, min(k + after, frames - 1))]
        if times:
            k = times[int(rng.integers(len(times)))]
            if crime == "deleted":
                moving = [t for t in times if speed[t, i] > 0.7]
                k = moving[int(rng.integers(len(moving)))] if moving else k
            found.append((speed[k, i], i, k))
    return [(i, k) for _, i, k in sorted(found, reverse=True)]


def _fits(thing: Thing, crime: str) -> bool:
    if crime in ("weightless", "frozen", "ghost", "pushed"):
        return thing.mode == "free" and thing.kind not in _HELD
    if crime in ("scaled", "transformed"):
        return thing.kind not in _HELD and thing.mode == "free"
    return thing.kind not in ("screen", "pendulum")


def _time(record: Record, crime: str, i: int, k: int, fps: float, speed: np.ndarray) -> bool:
    """Whether a thing is, in frame k, in the state in which the crime is done."""
    if crime in ("weightless", "frozen"):
        span = slice(k - 2, k + round(0.3 * fps) + 1)
        if record.position[k, i, 2] < 0.75 or any(i in pair for pairs in record.contacts[span] for pair in pairs):
            return False
        pull = np.diff(record.velocity[span, i], axis=0) * fps
        return bool(np.abs(pull - np.array([0, 0, -9.81])).max() < 1.0 and np.abs(record.velocity[k, i]).max() > 1.0)
    if crime in ("ghost", "pushed"):
        still = speed[k - round(0.6 * fps) : k + 1, i].max() < 0.05
        alone = not any(i in pair and pair[1] >= 0 for pair in record.contacts[k])
        return bool(still and alone and (i, -1) in record.contacts[k])
    return True


def _committed(made: Plan, crime: str, i: int, k: int, rng: np.random.Generator) -> tuple[Record, int] | None:
    """The record with the crime in it, and the index of what came of it; None where it would not be seen."""
    record, n = made.record, len(made.record.things)
    thing = record.things[i]
    if crime == "deleted":
        return _without(_copy(record), i, k), -1
    if crime in ("weightless", "frozen", "ghost", "pushed"):
        return _driven(made, crime, i, k, rng)
    right = made.path.rotation[k][:, 0].astype(float)
    box = _Sight.of(made, record).boxes[k, i]
    wide = (box[2] - box[0]) / _focal(made) * _depth(made, record, i, k)
    if crime == "doubled":
        away = rng.uniform(1.1, 1.6) * wide * rng.choice((-1, 1)) * right
        out = _joined(record, i, k, thing, away)
    elif crime == "moved":
        away = rng.uniform(1.5, 4.0) * max(wide, 0.3) * rng.choice((-1, 1)) * right
        out = _without(_joined(record, i, k, thing, away), i, k)
        out.exists[k:, i], out.exists[k:, n] = record.exists[k:, i], False
        out.position[k:, i] = record.position[k:, i] + away
    elif crime == "recoloured":
        mine = np.array(COLOURS[thing.colour])
        far = [c for c, rgb in COLOURS.items() if np.linalg.norm(mine - rgb) > 0.6]
        out = _without(_joined(record, i, k, replace(thing, colour=str(rng.choice(far)))), i, k)
    else:
        new = _transformed(thing, rng) if crime == "transformed" else _scaled(thing, box, rng)
        if new is None:
            return None
        up = new.body.extent[2] - _half_height(record, i, k)
        out = _without(_joined(record, i, k, new, np.array([0, 0, up])), i, k)
        if crime == "transformed":
            out.quat[k:, n] = heading(0.0)
    sight = _Sight.of(made, out)
    victim = i if crime == "moved" else n
    if not sight.clear(victim, k, min(k + round(AFTER * made.fps), len(out.exists) - 1)):
        return None
    if crime == "moved":  # the row that was joined to be looked at is not needed
        out = replace(out, things=out.things[:n], **{name: getattr(out, name)[:, :n] for name in _ROWS})
    return out, -1 if crime == "moved" else n


def _focal(made: Plan) -> float:
    return 0.5 * made.size[0] / float(np.tan(np.radians(made.path.fovy) / 2))


def _depth(made: Plan, record: Record, i: int, k: int) -> float:
    return float(-(record.position[k, i] - made.path.position[k]) @ made.path.rotation[k][:, 2])


def _half_height(record: Record, i: int, k: int) -> float:
    extent = np.array(record.things[i].body.extent)
    if record.things[i].kind in ("ball", "basketball"):
        return float(extent[0])
    return float((np.abs(matrices(record.quat[k : k + 1, i])[0][2]) * extent).sum())


def _transformed(thing: Thing, rng: np.random.Generator) -> Thing:
    """A thing of the same colour and of a kind that is not like its own."""
    others = [k for k in _OTHER_KINDS if k != thing.kind and not any({k, thing.kind} <= pair for pair in _ALIKE)]
    return replace(thing, kind=str(rng.choice(others)))


def _scaled(thing: Thing, box: np.ndarray, rng: np.random.Generator) -> Thing | None:
    """The same thing, larger or smaller; None where it would be too small to see."""
    scale = float(rng.uniform(1.6, 2.2))
    if rng.random() < 0.5 and (box[2:] - box[:2]).min() / scale > 13:
        scale = 1 / scale
    return replace(thing, scale=thing.scale * scale)


_ROWS = ("exists", "position", "quat", "velocity", "spin", "phase", "stride")


def _copy(record: Record) -> Record:
    rows = {name: getattr(record, name).copy() for name in _ROWS}
    return replace(record, things=list(record.things), contacts=[set(pairs) for pairs in record.contacts], **rows)


def _without(record: Record, i: int, k: int) -> Record:
    """Takes a thing out of the world from frame k on."""
    record.exists[k:, i] = False
    record.contacts[k:] = [{pair for pair in pairs if i not in pair} for pairs in record.contacts[k:]]
    return record


def _joined(record: Record, i: int, k: int, new: Thing, away: np.ndarray | None = None) -> Record:
    """A record with one thing more, which from frame k on does what thing i does, ``away`` (3,) metres from it."""
    out = _copy(record)
    n = len(record.things)
    out.things.append(new)
    for name in _ROWS:
        rows = getattr(record, name)
        setattr(out, name, np.concatenate([rows, rows[:, i : i + 1]], 1))
    out.exists[:k, n] = False
    out.position[:, n] += 0 if away is None else away
    out.contacts[k:] = [{*pairs, *((n, b) for a, b in pairs if a == i and b < 0)} for pairs in out.contacts[k:]]
    return out


def _driven(made: Plan, crime: str, i: int, k: int, rng: np.random.Generator) -> tuple[Record, int] | None:
    """The record with thing i simulated again from frame k on; the others do what they did."""
    record, fps = made.record, made.fps
    out = _copy(record)
    count = len(record.exists) - k
    if crime == "frozen":
        out.position[k:, i], out.quat[k:, i] = record.position[k, i], record.quat[k, i]
        out.velocity[k:, i] = out.spin[k:, i] = 0
    else:
        run = _alone(made, crime, i, k, rng).run(k, count)
        for name in _ROWS:
            getattr(out, name)[k:, i] = getattr(run, name)[:, i]
        below = out.position[k:, i, 2] < -1.5
        if below.any():
            out.exists[k + int(below.argmax()) :, i] = False
    out.contacts[k:] = [{pair for pair in pairs if i not in pair} for pairs in out.contacts[k:]]
    sight = _Sight.of(made, out)
    long = round((0.3 if crime == "ghost" else 0.55) * fps)
    if not sight.inside[k : k + long, i].all():
        return None
    moved = np.linalg.norm(out.position[k + round(0.35 * fps), i] - out.position[k, i])
    if crime == "pushed" and moved < 0.4:
        return None
    if crime != "frozen" and not sight.clear(i, k, min(k + round(0.3 * fps), len(out.exists) - 1)):
        return None
    return out, -1


def _alone(made: Plan, crime: str, i: int, k: int, rng: np.random.Generator) -> Span:
    """The physics in which thing i is free and all others go the way they went."""
    record, fps = made.record, made.fps

    def along(j: int):
        def motion(now: float):
            at = min(max(now * fps, 0.0), len(record.exists) - 1.0)
            a = int(at)
            b, part = min(a + 1, len(record.exists) - 1), at - a
            place = record.position[a, j] * (1 - part) + record.position[b, j] * part
            return place, record.quat[a, j], record.velocity[a, j], 0.0, 0.0
        return motion

    there = record.exists[k - 1 :].all(0) | (np.arange(len(record.things)) == i)
    things = [t if j == i else replace(t, mode="fixed") for j, t in enumerate(record.things)]
    states = [State(record.position[k - 1, j].copy(), record.quat[k - 1, j].copy(), record.velocity[k - 1, j].copy(),
                    record.spin[k - 1, j].copy(), gone=not there[j]) for j in range(len(things))]
    drives = [Drive(j, 0.0, 1e6, along(j)) for j in range(len(things)) if j != i and there[j]]
    if crime == "pushed":
        way = made.path.rotation[k][:, 0].astype(float) * rng.choice((-1, 1))
        way[2] = 0
        states[i].velocity = way / np.linalg.norm(way) * rng.uniform(2.2, 3.2)
    span = Span(things, states, drives, fps)
    if crime == "weightless":
        span.lift(i)
    elif crime == "ghost":
        span.release(i)
    return span
