"""Acts that need an arrangement: a pendulum, a domino row, a tower, a stack, two walls, a ramp."""

from __future__ import annotations

import numpy as np

from reverie.core.clip import Event
from reverie.data.scenes import acts_loose
from reverie.data.scenes.acts_loose import ROUND, rolling, travels
from reverie.data.scenes.acts_still import times
from reverie.data.scenes.record import heading, matrices
from reverie.data.scenes.stage import Beat, Misfit


def swung(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """A pendulum swings: let go from aside at the clip's start, or set going later."""
    rng = beat.rng
    start = beat.start
    if lead is None:
        if beat.first > 0:
            raise Misfit
        thing = beat.cast("pendulum", "swung", wild=wild, mode="hinge")
        x, y = beat.spot(thing.body.reach + 0.5)
        yaw, angle = rng.uniform(-0.5, 0.5), rng.uniform(0.45, 0.95) * rng.choice([-1, 1])
        hinge = np.array([x, y, thing.body.extent[2] + 0.12 + thing.body.pivot])
        way = np.array([np.cos(yaw), np.sin(yaw), 0.0])  # of the swing
        quat = times(heading(yaw), np.array([np.cos(angle / 2), 0.0, np.sin(angle / 2), 0.0]))
        place = hinge - thing.body.pivot * (np.sin(angle) * way + np.array([0, 0, np.cos(angle)]))
        lead = beat.add(thing, *place, quat=quat)
        if rng.random() < 0.3:  # something in its way
            other = beat.cast(str(rng.choice(["ball", "box"])), "pushed", material="bouncy", size="small")
            side = np.sign(angle)  # the bob hangs on the -way side for a positive angle
            spot = hinge + way * side * (thing.body.extent[0] + other.body.extent[0] + 0.04)
            beat.add(other, spot[0], spot[1], yaw=yaw)
    else:
        if beat.things[lead].mode != "hinge" or np.linalg.norm(beat.states[lead].velocity) > 0.2:
            raise Misfit
        start = beat.start + rng.uniform(0.1, 0.8)
        beat.kick(lead, start, None, np.array([0.0, rng.uniform(1.8, 2.8) * rng.choice([-1, 1]), 0.0]))
    i = lead

    def check(run: Beat) -> list[Event]:
        k0 = run.at(start)
        if np.ptp(run.record.position[k0:, i, :2], axis=0).max() < 0.3 or not run.in_view(
            i, k0, run.frames - 1, 0.9
        ):
            raise Misfit
        return [Event("swung", start, run.end, i)]

    beat.expect(check)


def toppled(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """A row of dominoes or a tower of boxes falls over."""
    if beat.first > 0:
        raise Misfit
    if kind == "domino":
        _row(beat, wild)
    else:
        _tower(beat, wild)


def _row(beat: Beat, wild: bool) -> None:
    rng = beat.rng
    first = beat.cast("domino", "toppled", wild=wild, material="heavy", mode="free")
    half = first.body.extent
    gap = 2 * half[0] + rng.uniform(0.55, 0.85) * half[2]
    yaw = rng.uniform(0.15, 0.45) * rng.choice([-1, 1]) + rng.choice([0.0, np.pi])
    way = np.array([np.cos(yaw), np.sin(yaw)])
    room = 2 * beat.half(0.0) - 0.5 - 2 * half[2]
    count = min(int(rng.integers(4, 7)), 1 + int(room / gap))
    if count < 3:
        raise Misfit
    start_at = (
        -way * (count - 1) * gap / 2
        - way * 0.4 * half[2]
        + np.array([rng.uniform(-0.15, 0.15), rng.uniform(-0.4, 0.3)])
    )
    mixed = rng.random() < 0.4
    row = []
    for k in range(count):
        colour = None if mixed else first.colour
        thing = (
            first
            if k == 0
            else beat.cast("domino", "rests", colour=colour, size=first.size, material="heavy")
        )
        x, y = start_at + way * gap * k
        if not beat.fits(x, y, 0.0) or beat.view.margin(np.array([x, y, 0.5]), beat.frames - 1) < 0.2:
            raise Misfit
        row.append(beat.add(thing, float(x), float(y), yaw=yaw))
    if beat.view.margin(np.array([*(start_at + way * (gap * (count - 1) + 1.6 * half[2])), 0.2]), 0) < 0:
        raise Misfit
    start = beat.start + rng.uniform(0.3, 1.0)
    ball = None
    if rng.random() < 0.5:
        ball = beat.cast(str(rng.choice(["ball", "basketball"])), "rolled", material="heavy", size="large")
        far = beat.view.edge(-int(np.sign(way[0])), float(start_at[1]), 0.4, ball.body.reach, 0)
        place = start_at - way * abs(far - start_at[0]) / abs(way[0])
        mover = beat.add(ball, *place, since=start)
        velocity = np.array([*(way * rng.uniform(3.2, 4.4)), 0.0])
        beat.kick(mover, start, velocity, rolling(heading(0.0), velocity, ball.body.extent[0]))
        travels(beat, "rolled", mover, start, 0.3, 0.15)
    else:
        turn = rng.uniform(1.9, 2.6)
        beat.kick(
            row[0], start, np.array([*(way * turn * half[2]), turn * half[0]]), np.array([0.0, turn, 0.0])
        )
    beat.quiet |= set(row)

    def check(run: Beat) -> list[Event]:
        down = [np.flatnonzero(run.record.up(i)[:, 2] < 0.7) for i in row]
        if any(len(d) == 0 for d in down) or not run.in_view(row[0], 0, run.frames - 1, 0.9):
            raise Misfit
        k0 = run.at(start) if ball is None else run.touch(row[0], run.at(start), mover)
        if k0 is None:
            raise Misfit
        still = np.flatnonzero(run.speed(row[-1])[down[-1][0] :] < 0.15)
        k1 = down[-1][0] + (still[0] if len(still) else 0)
        return [Event("toppled", run.time(k0), run.time(k1), row[0], -1 if ball is None else mover)]

    beat.expect(check)


def _tower(beat: Beat, wild: bool) -> None:
    rng = beat.rng
    top = beat.cast(
        "box", "toppled", wild=wild, material="bouncy", mode="free", size=("small", "medium")[rng.integers(2)]
    )
    half = top.body.extent[0]
    count = 3 if top.size == "medium" else int(rng.integers(3, 5))
    x, y = beat.spot(top.body.reach, xs=(-0.9, 0.9), ys=(-0.4, 0.4))
    mixed = rng.random() < 0.6
    tower = []
    for k in range(count):  # the topmost is the main actor and so comes first
        thing = (
            top
            if k == 0
            else beat.cast(
                "box", "rests", size=top.size, material="heavy", colour=None if mixed else top.colour
            )
        )
        jitter = rng.normal(0, 0.012, 2)
        tower.append(
            beat.add(
                thing, x + jitter[0], y + jitter[1], half * (2 * (count - k) - 1), yaw=rng.normal(0, 0.06)
            )
        )
    side = int(rng.choice([-1, 1]))
    ball = beat.cast(str(rng.choice(["ball", "basketball"])), "rolled", material="heavy", size="large")
    start = beat.start + rng.uniform(0.2, 0.8)
    reach = ball.body.reach
    mover = beat.add(ball, beat.view.edge(side, y, reach, reach, 0), y + rng.normal(0, 0.05), since=start)
    velocity = np.array([-side * rng.uniform(4.0, 5.5), 0.0, 0.0])
    beat.kick(mover, start, velocity, rolling(heading(0.0), velocity, ball.body.extent[0]))
    travels(beat, "rolled", mover, start, 0.4, 0.3)
    beat.quiet |= set(tower)

    def check(run: Beat) -> list[Event]:
        hit = min((k for i in tower if (k := run.touch(i, run.at(start), mover)) is not None), default=None)
        fallen = np.flatnonzero(run.record.position[:, tower[0], 2] < half * (2 * count - 3))
        if hit is None or not len(fallen) or not run.in_view(tower[0], 0, run.frames - 1, 0.9):
            raise Misfit
        still = np.flatnonzero(run.speed(tower[0])[fallen[0] :] < 0.25)
        return [
            Event(
                "toppled",
                run.time(hit),
                run.time(fallen[0] + (still[0] if len(still) else 0)),
                tower[0],
                mover,
            )
        ]

    beat.expect(check)


def lowered(place: np.ndarray, quat: np.ndarray, speed: float, end: float):
    """A motion that comes straight down at ``speed`` and is at ``place`` at time ``end``."""
    down = np.array([0.0, 0.0, -speed])

    def motion(now: float):
        return place - down * (end - now), quat, down, 0.0, 0.0

    return motion


_BASES = ("box", "cylinder", "table", "plank", "wall")


def stacked(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """Let down gently upon another thing, and perhaps one more upon that."""
    rng = beat.rng
    sizes = ("small", "medium", "large")
    step = int(rng.integers(0, 2))
    thing = beat.cast(kind, "stacked", wild=wild, material="heavy", mode="free", size=sizes[step])
    # the base stands already, or at the clip's start is put there
    bases = [
        j
        for j, (t, s) in enumerate(zip(beat.things, beat.states, strict=True))
        if t.kind in _BASES
        and not s.gone
        and np.linalg.norm(s.velocity) < 0.03
        and abs(matrices(s.quat[None])[0][2, 2]) > 0.995
        and min(t.body.extent[:2]) > 0.75 * min(thing.body.extent[:2])
        and beat.view.margin(s.position, 0) > 0.3
    ]
    start = beat.start + rng.uniform(0.1, 0.7)
    if beat.first == 0:
        below = beat.cast(
            str(rng.choice(_BASES[:3])), "rests", material="heavy", mode="free", size=sizes[min(2, step + 1)]
        )
        x, y = beat.spot(below.body.reach, ys=(-0.8, 0.5))
        yaw, z = rng.uniform(-0.4, 0.4), 2 * below.body.extent[2]
    elif bases:
        base = bases[rng.integers(len(bases))]
        state = beat.states[base]
        (x, y, z), yaw = state.position, float(2 * np.arctan2(state.quat[3], state.quat[0]))
        z += beat.things[base].body.extent[2]
        if any(
            j != base and s.position[2] > z and np.hypot(s.position[0] - x, s.position[1] - y) < 0.8
            for j, s in enumerate(beat.states)
            if not s.gone
        ):
            raise Misfit
    else:
        raise Misfit

    def put(upper, top: float, begin: float) -> tuple[int, float]:
        goal = np.array([x, y, top + upper.body.extent[2] + 0.004])
        high = beat.view.top(float(x), float(y), beat.at(begin)) + upper.body.extent[2] + 0.05
        speed = rng.uniform(1.0, 1.5)
        end = begin + (high - goal[2]) / speed
        if high - goal[2] < 0.3 or end > beat.end - 0.6:
            raise Misfit
        i = beat.add(upper, *(goal + [0, 0, high - goal[2]]), since=max(begin, 1e-3))
        beat.drives = [d for d in beat.drives if d.thing != i]
        beat.drive(i, begin, end, lowered(goal, heading(yaw), speed, end), velocity=np.zeros(3))
        return i, end

    i, done = put(thing, z, start)
    if beat.first == 0:
        base = beat.add(below, x, y, yaw=yaw)
    placed = [(i, base, start, done)]
    if rng.random() < 0.35 and kind in ("box", "cylinder") and thing.size != "small":
        upper = beat.cast(
            str(rng.choice(["box", "cone", "cylinder"])), "stacked", material="heavy", size="small"
        )
        j, end = put(upper, z + 2 * thing.body.extent[2], done + 0.3)
        placed.append((j, i, done + 0.3, end))

    def check(run: Beat) -> list[Event]:
        events = []
        for up, low, begin, end in placed:
            height = run.record.position[-1, up, 2] - run.record.position[-1, low, 2]
            wanted = run.things[up].body.extent[2] + run.things[low].body.extent[2]
            if abs(height - wanted) > 0.06 or run.touch(up, run.at(end), low) is None:
                raise Misfit
            if not run.in_view(up, run.at(end), run.frames - 1, 0.9):
                raise Misfit
            events.append(Event("stacked", begin, end, up, low))
        return events

    beat.expect(check)


def bounced(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """To and fro between two walls."""
    rng = beat.rng
    if beat.first > 0:
        raise Misfit
    thing = beat.cast(
        kind, "bounced", wild=wild, material="sliding", mode="free", size=("small", "medium")[rng.integers(2)]
    )
    wide, y = beat.half(0.0), rng.uniform(-0.3, 0.4)
    walls = [
        beat.cast("wall", "rests", size=("small", "medium")[rng.integers(2)], material="bouncy", mode="fixed")
    ]
    same = rng.random() < 0.6
    walls.append(
        beat.cast(
            "wall",
            "rests",
            size=walls[0].size,
            material="bouncy",
            mode="fixed",
            colour=walls[0].colour if same else None,
        )
    )
    side = int(rng.choice([-1, 1]))
    gap = wide * rng.uniform(0.55, 0.78)
    i = beat.add(thing, rng.uniform(-0.4, 0.4) * gap, y)
    pair = []
    for s, other in zip((-1, 1), walls, strict=True):
        x = s * gap
        if (
            beat.view.margin(np.array([x, y, 0.3]), 0) < 0.2
            or beat.view.margin(np.array([x, y, 0.3]), beat.frames - 1) < 0.2
        ):
            raise Misfit
        pair.append(beat.add(other, x, y, yaw=np.pi / 2))
    start = beat.start + rng.uniform(0.15, 0.6)
    speed = rng.uniform(3.4, 4.6)
    beat.kick(i, start, np.array([side * speed, rng.normal(0, 0.04), 0.0]), np.zeros(3))
    if beat.end - beat.start > 7:  # a long beat: it is sent off again
        for k, when in enumerate(np.arange(start + 4.0, beat.end - 2.0, 4.0)):
            beat.kick(i, float(when), np.array([side * (-1) ** k * speed, 0.0, 0.0]))
    beat.lanes.append((y, thing.body.reach))

    def check(run: Beat) -> list[Event]:
        hits, last = [], -1
        for k in range(run.at(start), run.frames):
            for j in pair:
                if (max(i, j), min(i, j)) in run.record.contacts[k] and j != last:
                    hits.append(k)
                    last = j
        if len(hits) < 2 or not run.in_view(i, 0, run.frames - 1, 0.95):
            raise Misfit
        return [Event("bounced", start, run.time(hits[-1]), i, j) for j in pair]

    beat.expect(check)


def rolled(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """Rolls along the ground, or, now and then at the clip's start, down a ramp."""
    if kind in ROUND and beat.first == 0 and beat.rng.random() < 0.25:
        _down_ramp(beat, kind, wild)
    else:
        acts_loose.rolled(beat, kind, lead, wild)


def _down_ramp(beat: Beat, kind: str, wild: bool) -> None:
    """Rolls down a ramp, from near its top at the clip's first instant."""
    rng = beat.rng
    ball = beat.cast(
        kind, "rolled", wild=wild, material="heavy", mode="free", size=("small", "medium")[rng.integers(2)]
    )
    ramp = beat.cast("ramp", "rests", size="large", material="heavy", mode="fixed")
    side = int(rng.choice([-1, 1]))  # where the ramp stands; the ball rolls to the other side
    yaw = rng.uniform(-0.35, 0.35) + (0.0 if side > 0 else np.pi)
    x, y = beat.spot(ramp.body.reach, xs=(0.2, 1.4) if side > 0 else (-1.4, -0.2), ys=(-0.5, 0.4))
    half, r = ramp.body.extent, ball.body.extent[0]
    slope = np.arctan2(half[2], half[0])
    local = np.array([0.62 * half[0] - r * np.sin(slope), 0.0, 0.62 * half[2] + r * np.cos(slope)])
    place = np.array([x, y, half[2]]) + matrices(heading(yaw)[None])[0] @ local
    i = beat.add(ball, *place)
    j = beat.add(ramp, x, y, yaw=yaw)
    beat.lanes.append((y, r + 0.1))

    def check(run: Beat) -> list[Event]:
        landed = run.touch(i, 0, -1)
        if landed is None or not run.in_view(i, 0, landed, 0.9):
            raise Misfit
        there = np.flatnonzero(run.record.exists[landed:, i]) + landed
        slow = there[run.speed(i)[there] < 0.12]
        k1 = int(slow[0]) if len(slow) else int(there[-1])
        return [Event("rolled", run.start, run.time(k1), i, j, run.heading_of(i, 0, k1))]

    beat.expect(check)
