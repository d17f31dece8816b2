"""Acts of the living: a person or dog walks, a bird flies, they come, stand and go."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reverie.core.clip import Event
from reverie.data.scenes.acts_loose import gone
from reverie.data.scenes.gaits import cycle_rate
from reverie.data.scenes.record import Thing, heading
from reverie.data.scenes.stage import Beat, Misfit

SPEEDS = {"person": (1.0, 1.6), "dog": (1.2, 2.2), "bird": (1.5, 2.4)}
_TURN = 0.55  # seconds to turn round
_TICK = 1 / 60


def walk(
    thing: Thing, legs: list[np.ndarray], speed: float, start: float, yaw: float | None, phase: float
) -> tuple[Callable, float]:
    """Motion (seconds -> simulator.Pose) along legs, and the time at which it ends.

    A leg is a line through points (M, 3). The thing eases into its stride on each leg, turns on the
    spot between them, and stops at the end; ``yaw`` is where it faces at first (None: along the first).
    """
    first = legs[0][-1] - legs[0][0]
    facing = float(np.arctan2(first[1], first[0])) if yaw is None else yaw
    rows, turn, stride, metres = [legs[0][:1]], [np.array([facing])], [np.zeros(1)], [np.zeros(1)]
    for leg in legs:
        way = leg[-1] - leg[0]
        swing = (np.arctan2(way[1], way[0]) - facing + np.pi) % (2 * np.pi) - np.pi
        if abs(swing) > 0.05:
            share = np.arange(1, max(2, int(_TURN * abs(swing) / np.pi / _TICK)) + 1)
            share = share / share[-1]
            rows.append(np.repeat(leg[:1], len(share), 0))
            turn.append(facing + swing * share)
            stride.append(np.full(len(share), 0.5))
            metres.append(metres[-1][-1] + 0.35 * speed * _TURN * abs(swing) / np.pi * share)
        facing = facing + swing
        steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(leg, axis=0), axis=1))])
        length = steps[-1]
        ease = min(0.35, 0.4 * length / speed)  # seconds of speeding up and of slowing down
        whole = length / speed + ease
        t = np.arange(1, max(3, int(np.ceil(whole / _TICK))) + 1)
        t = t * whole / t[-1]
        rate = np.clip(np.minimum(t, whole - t) / ease, 0, 1)
        along = np.cumsum(rate) / rate.sum() * length
        rows.append(np.stack([np.interp(along, steps, leg[:, c]) for c in range(3)], -1))
        turn.append(np.full(len(t), facing))
        stride.append(np.where(rate > 0, 0.35 + 0.65 * rate, 0.0))
        metres.append(metres[-1][-1] + along)
    place, yaws = np.concatenate(rows), np.concatenate(turn)
    strides, moved = np.concatenate(stride), np.concatenate(metres)
    velocity = np.gradient(place, _TICK, axis=0)
    rate_per_metre = cycle_rate(thing.kind, thing.size, 1.0)
    half, last = thing.body.extent[2], len(place) - 1

    def motion(now: float):
        at = float(np.clip((now - start) / _TICK, 0, last))
        k = min(int(at), last - 1)
        part = at - k
        spot = place[k] * (1 - part) + place[k + 1] * part
        step = float(strides[k] * (1 - part) + strides[k + 1] * part)
        cycle = phase + rate_per_metre * (moved[k] * (1 - part) + moved[k + 1] * part)
        if thing.kind == "bird":  # its wings beat by the clock, and fold as it comes to the ground
            step = float(np.clip((spot[2] - half) / 0.15, 0.0, 1.0))
            cycle = phase + rate_per_metre * (now - start)
        return spot, heading(yaws[k] * (1 - part) + yaws[k + 1] * part), velocity[k], cycle, step

    return motion, start + last * _TICK


def _clear(beat: Beat, legs: list[np.ndarray], reach: float, skip: tuple[int, ...]) -> None:
    """Misfit where a path touches a thing."""
    for leg in legs:
        for t in np.linspace(0, len(leg) - 1, 14):
            x, y, z = leg[int(t)] + (leg[min(int(t) + 1, len(leg) - 1)] - leg[int(t)]) * (t - int(t))
            for p, q, r in beat.taken(skip):
                if z < 1.2 and np.hypot(x - p, y - q) < reach + r + 0.05:
                    raise Misfit


def _height(beat: Beat, thing: Thing, y: float) -> float:
    """Height of the centre of a walking (on the ground) or flying thing."""
    half = thing.body.extent[2]
    if thing.kind != "bird":
        return half
    top = beat.view.top(0.0, y, 0) - half - 0.15
    if top < 1.1:
        raise Misfit
    return beat.rng.uniform(1.0, min(top, 2.1))


def _outside(
    beat: Beat, thing: Thing, side: int, y: float, z: float, when: float, more: float = 0.0
) -> np.ndarray:
    reach = 0.95 * float(np.linalg.norm(thing.body.extent))
    return np.array([beat.view.edge(side, y, z, reach, beat.at(when)) + side * more, y, z])


def _curve(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A leg (M, 3) between two points that eases from one height to the other."""
    share = np.linspace(0, 1, 2 if abs(a[2] - b[2]) < 0.05 else 25)[:, None]
    leg = a + (b - a) * share
    leg[:, 2] = (a[2] + (b[2] - a[2]) * (0.5 - 0.5 * np.cos(np.pi * share)))[:, 0]
    return leg


def _go(
    beat: Beat,
    thing: Thing,
    i: int,
    legs: list[np.ndarray],
    start: float,
    yaw: float | None,
    leave: bool,
    speed: float | None = None,
) -> float:
    speed = speed or beat.rng.uniform(*SPEEDS[thing.kind])
    motion, end = walk(thing, legs, speed, start, yaw, beat.states[i].phase)
    beat.drive(i, start, end, motion, leave=leave)
    return end


def walks(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """Across the stage, to and fro, in and to a stop, or off from where it stood."""
    rng = beat.rng
    start = beat.start + rng.uniform(0.05, 0.6)
    if lead is not None:
        return _on(beat, lead, start, leave=rng.random() < 0.5)
    thing = beat.cast(kind, "walks", wild=wild)
    reach = thing.body.reach
    side = int(rng.choice([-1, 1]))
    slim = thing.body.extent[1]
    y = rng.uniform(-0.8, 0.8) if kind == "bird" else beat.lane(slim, careful=True)
    z = _height(beat, thing, y)
    lasting = beat.end - beat.start
    style = rng.random()
    if beat.first == 0 and style < 0.45 and kind != "bird":  # to and fro, from where it stands
        wide = beat.half(y) - reach
        if wide < 0.5:
            raise Misfit
        x0, x1 = -side * wide * rng.uniform(0.4, 0.95), side * wide * rng.uniform(0.4, 0.95)
        points = [np.array([x0, y, z])]
        speed = rng.uniform(*SPEEDS[kind])
        travelled = 0.0
        while travelled < (lasting + 0.5) * speed and len(points) < 60:
            points.append(np.array([(x1, x0)[(len(points) - 1) % 2], y, z]))
            travelled += abs(x1 - x0) + speed * 0.9
        legs = [np.stack(pair) for pair in zip(points, points[1:], strict=False)]
        _clear(beat, legs[:1], slim, ())
        yaw = 0.0 if x1 > x0 else np.pi
        i = beat.add(thing, x0, y, z, yaw=yaw)
        _go(beat, thing, i, legs, start, yaw, False, speed)
        beat.lanes.append((y, reach))
        return _expect_walk(beat, i, start)
    enter = _outside(beat, thing, side, y, z, start)
    if style < 0.75:  # right across
        speed = rng.uniform(*SPEEDS[kind])
        when = start + 2 * abs(enter[0]) / speed
        exit_point = _outside(beat, thing, -side, y + rng.uniform(-0.2, 0.2), z, when, 0.4)
        legs = [np.stack([enter, exit_point])]
        leave = True
    else:
        speed, leave = None, False
        x1, y1 = beat.spot(reach, ys=(max(-1.1, y - 0.4), min(0.8, y + 0.4)))
        legs = [_curve(enter, np.array([x1, y1, thing.body.extent[2]]))]
    _clear(beat, legs, slim, ())
    yaw = 0.0 if side < 0 else np.pi
    i = beat.add(thing, *enter, yaw=yaw, since=max(start, 1e-3))
    end = _go(beat, thing, i, legs, start, None, leave, speed)
    if end > beat.end + 2.0 and leave or end > beat.end and not leave:
        raise Misfit
    beat.lanes.append((y, reach))
    _expect_walk(beat, i, start)


def cross(beat: Beat, kind: str, wild: bool, y: float, size: str) -> tuple[int, float]:
    """Walks right across at depth y, to pass behind something; gives its index and start time."""
    thing = beat.cast(kind, "hidden", wild=wild, size=size)
    start, side = beat.start + beat.rng.uniform(0.0, 0.3), int(beat.rng.choice([-1, 1]))
    speed = beat.rng.uniform(*SPEEDS[kind])
    enter = _outside(beat, thing, side, y, thing.body.extent[2], start)
    when = start + 2 * abs(enter[0]) / speed
    legs = [np.stack([enter, _outside(beat, thing, -side, y, thing.body.extent[2], when, 0.4)])]
    _clear(beat, legs, thing.body.extent[1], ())
    i = beat.add(thing, *enter, yaw=0.0 if side < 0 else np.pi, since=max(start, 1e-3))
    _go(beat, thing, i, legs, start, None, True, speed)
    _expect_walk(beat, i, start)
    return i, start


def _on(beat: Beat, i: int, start: float, leave: bool) -> None:
    """Someone who stands there walks to another place, or off."""
    rng, thing, state = beat.rng, beat.things[i], beat.states[i]
    if state.gone or any(d.thing == i for d in beat.drives) or beat.view.margin(state.position, 0) < 0.1:
        raise Misfit
    here = state.position.astype(float)
    reach = thing.body.reach
    if leave:
        side = int(rng.choice([-1, 1]))
        y = here[1] + rng.uniform(-0.3, 0.3)
        z = _height(beat, thing, y)
        goal = _outside(beat, thing, side, y, z, start + 3.0, 0.5)
    else:
        x, y = beat.spot(reach, ys=(-0.8, 0.6))
        goal = np.array([x, y, thing.body.extent[2]])
        if np.linalg.norm(goal - here) < 1.0:
            raise Misfit
    legs = [_curve(here, goal)]
    if thing.kind == "bird" and not leave:
        top = (here + goal) / 2 + np.array([0, 0, _height(beat, thing, here[1])])
        legs = [np.concatenate([_curve(here, top), _curve(top, goal)[1:]])]
    _clear(beat, legs, reach, (i,))
    yaw = float(2 * np.arctan2(state.quat[3], state.quat[0]))
    end = _go(beat, thing, i, legs, start, yaw, leave)
    if end > beat.end + (2.0 if leave else 0.0):
        raise Misfit
    _expect_walk(beat, i, start)


def _expect_walk(beat: Beat, i: int, start: float) -> None:
    def check(run: Beat) -> list[Event]:
        k0 = run.at(start)
        there = np.flatnonzero(run.record.exists[k0:, i]) + k0
        going = there[run.record.stride[there, i] > 0.01]
        if len(going) < 8 or not run.in_view(i, int(going[0]), int(going[-1]), 0.5):
            raise Misfit
        k0, k1 = int(going[0]), int(going[-1])
        places = run.record.position[k0 : k1 + 1, i]
        if np.linalg.norm(places - places[0], axis=1).max() < 0.9:
            raise Misfit
        once = np.linalg.norm(places[-1] - places[0]) > 0.8 * np.linalg.norm(places - places[0], axis=1).max()
        return [
            Event("walks", run.time(k0), run.time(k1), i, detail=run.heading_of(i, k0, k1) if once else "")
        ]

    beat.expect(check)


def enters(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """Comes in from one side and stops (the entry itself is found in the run)."""
    rng = beat.rng
    thing = beat.cast(kind, "enters", wild=wild)
    start = beat.start + rng.uniform(0.05, 0.6)
    side = int(rng.choice([-1, 1]))
    x1, y1 = beat.spot(thing.body.reach, ys=(-0.8, 0.6))
    z = _height(beat, thing, y1)
    enter = _outside(beat, thing, side, y1, z, start)
    legs = [_curve(enter, np.array([x1, y1, thing.body.extent[2]]))]
    _clear(beat, legs, thing.body.reach, ())
    i = beat.add(thing, *enter, yaw=0.0 if side < 0 else np.pi, since=max(start, 1e-3))
    if _go(beat, thing, i, legs, start, None, False) > beat.end:
        raise Misfit
    beat.lanes.append((y1, thing.body.reach))
    _expect_walk(beat, i, start)


def leaves(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """Stands there, then goes out of the picture (the exit itself is found in the run)."""
    rng = beat.rng
    if lead is None:
        if beat.first > 0:
            raise Misfit
        thing = beat.cast(kind, "leaves", wild=wild)
        x, y = beat.spot(thing.body.reach, ys=(-0.8, 0.6))
        lead = beat.add(thing, x, y, yaw=rng.uniform(-np.pi, np.pi))
    wait = rng.uniform(0.1, 0.5) + (0.0 if beat.first else 0.22 * (beat.end - beat.start))
    _on(beat, lead, beat.start + wait, leave=True)
    last = lead
    beat.expect(lambda run: gone(run, last))
