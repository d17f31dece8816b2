"""Acts of loose things: dropped, thrown, rolled, slid, pushed, launched, coming and going.

An act proposes what happens in one beat and adds a check that finds, in the run, the exact times of
what did happen. ``lead`` is the main actor's index if it is there already, else None.
"""

from __future__ import annotations

import numpy as np

from reverie.core.clip import Event
from reverie.data.scenes.acts_still import LYING, settled, times
from reverie.data.scenes.record import heading, matrices
from reverie.data.scenes.stage import Beat, Misfit

GRAVITY = 9.81
ROUND = ("ball", "basketball")
ROLLERS = ("ball", "basketball", "cylinder")
SLIDERS = ("box", "cylinder", "cone", "plank", "chair", "table", "ramp", "wall", "screen")
TOSSED = ("ball", "basketball", "box", "cylinder", "cone", "plank")


def rolling(quat: np.ndarray, velocity: np.ndarray, radius: float) -> np.ndarray:
    """Spin (rad/s, own frame) with which a round thing rolls without slipping."""
    spin = np.array([-velocity[1], velocity[0], 0.0]) / radius
    return matrices(quat[None])[0].T @ spin


def dropped(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """Let fall from the air, in view at the clip's first instant, or else from above the picture."""
    rng = beat.rng
    thing = beat.cast(kind, "dropped", wild=wild, mode="free")
    body = thing.body
    x, y = beat.spot(body.reach)
    yaw = rng.uniform(-0.6, 0.6)
    start = beat.start
    if beat.first == 0 and rng.random() < 0.6:
        z = rng.uniform(1.2, 2.0) + body.extent[2]
        z = min(z, beat.view.top(x, y, 0) - body.extent[2] - 0.1)
    else:
        start = beat.start + rng.uniform(0.1, 0.8)
        z = beat.view.top(x, y, beat.at(start)) + body.extent[2] + 0.05
    if z - body.extent[2] < 0.5 or z > 4.6:
        raise Misfit
    tilt = 0.0 if kind in ("hoop", "screen", "wall", "table", "chair", "ramp") else rng.uniform(-0.3, 0.3)
    turn = np.array([np.cos(tilt / 2), 0.0, np.sin(tilt / 2), 0.0])
    quat = times(heading(yaw), turn)
    i = beat.add(thing, x, y, z, quat=quat, since=start)

    def check(run: Beat) -> list[Event]:
        k0 = run.at(start)
        landed = run.touch(i, k0)
        if landed is None or landed - k0 < 2 or not run.in_view(i, landed, run.frames - 1, 0.8):
            raise Misfit
        return [Event("dropped", start, run.time(landed), i)]

    beat.expect(check)


def thrown(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """Flies in from one side and lands on the stage."""
    rng = beat.rng
    thing = beat.cast(kind, "thrown", wild=wild, mode="free", size=("small", "medium")[rng.integers(2)])
    reach = float(max(thing.body.extent))
    side = int(rng.choice([-1, 1]))
    start = beat.start + rng.uniform(0.0, 0.8)
    z, flight = rng.uniform(0.8, 1.5), rng.uniform(0.62, 0.9)
    y = rng.uniform(-0.7, 0.5)
    x = beat.view.edge(side, y, z, reach, beat.at(start))
    goal, goal_y = beat.half(y) * rng.uniform(-0.55, 0.45) * -side, y + rng.uniform(-0.4, 0.4)
    if any(np.hypot(goal - a, goal_y - b) < r + reach + 0.3 for a, b, r in beat.taken()):
        raise Misfit
    velocity = np.array(
        [
            (goal - x) / flight,
            (goal_y - y) / flight,
            (thing.body.extent[2] - z) / flight + GRAVITY * flight / 2,
        ]
    )
    if abs(velocity[0]) > 6.0:
        raise Misfit
    spin = rng.normal(0, 2.0, 3)
    i = beat.add(thing, x, y, z, since=max(start, 1e-3), velocity=velocity, spin=spin)

    def check(run: Beat) -> list[Event]:
        k0 = run.at(start)
        landed = run.touch(i, k0)
        if landed is None or landed - k0 < 4 or run.view.margin(run.record.position[landed, i], landed) < 0:
            raise Misfit
        return [Event("thrown", start, run.time(landed), i, detail=run.heading_of(i, k0, landed))]

    beat.expect(check)


def travels(beat: Beat, event: str, i: int, start: float, least: float, share: float = 0.55) -> None:
    """Expects a thing to go at least ``least`` metres along the ground, in view for a share of that time.

    Its event ends when it stops.
    """

    def check(run: Beat) -> list[Event]:
        k0 = run.at(start)
        there = np.flatnonzero(run.record.exists[k0:, i]) + k0
        if len(there) < 6:
            raise Misfit
        slow = there[(run.speed(i)[there] < 0.12) & (there > k0 + 2)]
        k1 = int(slow[0]) if len(slow) else int(there[-1])
        way = run.record.position[k1, i] - run.record.position[k0, i]
        if np.hypot(way[0], way[1]) < least or not run.in_view(i, k0, k1, share):
            raise Misfit
        if abs(run.record.position[k0:k1, i, 2] - run.record.position[k0, i, 2]).max() > 0.5:
            raise Misfit
        return [Event(event, start, run.time(k1), i, detail=run.heading_of(i, k0, k1))]

    beat.expect(check)


def go(
    beat: Beat,
    event: str,
    kind: str,
    lead: int | None,
    wild: bool,
    *,
    inside: bool | None = None,
    rolls: bool | None = None,
    speed: tuple[float, float] | None = None,
    delay: float = 0.0,
    y: float | None = None,
    size: str | None = None,
) -> tuple[int, float, int]:
    """A thing that rolls or slides along x, from outside or from where it stands.

    Returns its index, the start time and the sign of its motion in x.
    """
    rng = beat.rng
    start = beat.start + delay + rng.uniform(0.1, 0.9)
    if rolls is None:
        rolls = kind in ROUND or event == "rolled"
    fast = rng.uniform(*(speed or ((1.5, 3.2) if rolls else (1.7, 2.9))))
    if lead is not None:
        settled(beat, lead)
        thing, state = beat.things[lead], beat.states[lead]
        if kind == "cylinder" and rolls != (abs(matrices(state.quat[None])[0, 2, 2]) < 0.3):
            raise Misfit
        if not rolls and thing.material != "sliding":
            fast = 3.4
        direction = -np.sign(state.position[0] + rng.normal(0, 0.8))
        velocity = np.array([direction * fast, rng.normal(0, 0.05) * fast, 0.0])
        if kind == "cylinder" and rolls:
            axis = matrices(state.quat[None])[0][:, 2]
            along = np.array([axis[1], -axis[0], 0.0])
            velocity = fast * along * np.sign(along[0] * direction)
        i, quat = lead, state.quat
    else:
        material = ("heavy", "bouncy")[rng.integers(2)] if rolls else "sliding"
        thing = beat.cast(kind, event, wild=wild, material=material, mode="free", size=size)
        side = int(rng.choice([-1, 1]))
        quat = LYING if kind == "cylinder" and rolls else heading(0.0)
        z = thing.body.extent[0] if rolls else thing.body.extent[2]
        reach = thing.body.reach
        y = beat.lane(reach) if y is None else y
        if inside is None:
            inside = beat.first == 0 and rng.random() < 0.5
        if inside and beat.first > 0:
            raise Misfit
        if inside:
            x, y = beat.spot(reach, ys=(y - 0.01, y + 0.01))
            side = int(np.sign(x) or 1) if abs(x) > 0.5 else side
            i = beat.add(thing, x, y, z, quat=quat)
        else:
            x = beat.view.edge(side, y, z, reach, beat.at(start))
            i = beat.add(thing, x, y, z, quat=quat, since=start)
        velocity = np.array([-side * fast, 0.0, 0.0])
        direction = -side
    beat.kick(i, start, velocity, rolling(quat, velocity, thing.body.extent[0]) if rolls else np.zeros(3))
    return i, start, int(direction)


def rolled(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """Rolls along the ground."""
    i, start, _ = go(beat, "rolled", kind, lead, wild)
    travels(beat, "rolled", i, start, 0.9)


def slid(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """Slides along the ground."""
    i, start, _ = go(beat, "slid", kind, lead, wild)
    travels(beat, "slid", i, start, 0.5)


def pushed(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """Another thing rolls or slides into it and moves it."""
    rng = beat.rng
    if lead is None:
        if beat.first > 0:
            raise Misfit
        light = (
            ("bouncy", "sliding")[rng.integers(2)]
            if kind not in ("table", "wall", "chair", "screen", "ramp")
            else "sliding"
        )
        thing = beat.cast(kind, "pushed", wild=wild, material=light, mode="free")
        x, y = beat.spot(thing.body.reach, xs=(-1.2, 1.2), ys=(-0.6, 0.4))
        i = beat.add(thing, x, y, yaw=rng.uniform(-0.3, 0.3))
    else:
        settled(beat, lead)
        i, thing = lead, beat.things[lead]
        x, y, _ = beat.states[lead].position
    pusher = str(rng.choice(["ball", "basketball", "box", "cylinder"]))
    event = "slid" if pusher in ("box", "cylinder") else "rolled"
    mover = beat.cast(
        pusher,
        event,
        size=("medium", "large")[rng.integers(2)],
        mode="free",
        material="sliding" if event == "slid" else "heavy",
    )
    side = int(rng.choice([-1, 1]))
    far, near = sorted((x + side * 0.3, side * 9.0))
    reach = mover.body.reach
    if any(abs(y - b) < reach + r and far < a < near and abs(a - x) > 0.05 for a, b, r in beat.taken()):
        raise Misfit
    start = beat.start + rng.uniform(0.1, 0.8)
    z = mover.body.extent[2]
    j = beat.add(
        mover, beat.view.edge(side, y, z, reach, beat.at(start)), y + rng.normal(0, 0.03), z, since=start
    )
    velocity = np.array([-side * rng.uniform(2.4, 3.6), 0.0, 0.0])
    quat = heading(0.0)
    beat.kick(j, start, velocity, rolling(quat, velocity, z) if event == "rolled" else np.zeros(3))
    travels(beat, event, j, start, 0.5)

    def check(run: Beat) -> list[Event]:
        hit = run.touch(i, run.at(start), j)
        if hit is None or np.linalg.norm(run.record.position[-1, i] - run.record.position[hit, i]) < 0.12:
            raise Misfit
        return [push_event(run, i, j, hit)]

    beat.quiet.add(i)
    beat.expect(check)


def push_event(run: Beat, i: int, j: int, hit: int) -> Event:
    """The event of thing j having pushed thing i at frame ``hit``, until i is still again or gone."""
    there = np.flatnonzero(run.record.exists[hit:, i]) + hit
    slow = there[(run.speed(i)[there] < 0.1) & (there > hit + 3)]
    k1 = int(slow[0]) if len(slow) else int(there[-1])
    return Event("pushed", run.time(hit), run.time(k1), i, j, run.heading_of(i, hit, k1))


def launched(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """Tossed up again and again, on the spot or across the stage."""
    rng = beat.rng
    if lead is None:
        if beat.first > 0:
            raise Misfit
        thing = beat.cast(
            kind,
            "launched",
            wild=wild,
            mode="free",
            size=("small", "medium")[rng.integers(2)],
            material=("heavy", "bouncy")[rng.integers(2)],
        )
        x, y = beat.spot(thing.body.reach)
        i = beat.add(thing, x, y, yaw=rng.uniform(-1, 1))
    else:
        settled(beat, lead)
        i, thing = lead, beat.things[lead]
        x, y, _ = beat.states[lead].position
    # other things must be out of its way
    across = rng.random() < 0.4
    goals = (
        [(x, y), (float(np.clip(-x, -1, 1)) if abs(x) > 0.4 else x + 0.9 * rng.choice([-1, 1]), y)]
        if across
        else [(x, y)]
    )
    for a, b, r in beat.taken(skip=(i,)):
        if any(np.hypot(a - g, b - h) < r + thing.body.reach + 0.25 for g, h in goals):
            raise Misfit
    every = rng.uniform(1.5, 2.1)
    up = rng.uniform(3.4, 4.8)
    tallest = max(thing.body.extent)

    def toss(turn: int):
        def aim(place: np.ndarray) -> np.ndarray | None:
            if place[2] > tallest + 0.12:
                return None
            goal = goals[turn % len(goals)]
            flight = 2 * up / GRAVITY
            return np.array(
                [
                    np.clip((goal[0] - place[0]) / flight, -2.5, 2.5),
                    np.clip((goal[1] - place[1]) / flight, -1.5, 1.5),
                    up,
                ]
            )

        return aim

    first = beat.start + rng.uniform(0.15, 0.6)
    times = np.arange(first, beat.end - 0.9, every)
    if len(times) < 2:
        raise Misfit
    for turn, when in enumerate(times):
        beat.kick(i, float(when), toss(turn + 1), rng.normal(0, 0.5, 3) if kind not in ROUND else None)

    def check(run: Beat) -> list[Event]:
        height = run.record.position[:, i, 2]
        leaps = [k for k in map(run.at, times) if height[k : k + 12].max() > height[k] + 0.4]
        if len(leaps) < 2 or not run.in_view(i, leaps[0], run.frames - 1, 0.9):
            raise Misfit
        flying = leaps[-1] + 4
        landed = run.touch(i, flying)
        return [Event("launched", run.time(leaps[0]), run.time(landed if landed else run.frames - 1), i)]

    beat.expect(check)


def enters(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """Rolls or slides in from one side (the event itself is found in the run)."""
    event = "rolled" if kind in ROUND else "slid"
    i, start, _ = go(beat, "enters", kind, None, wild, inside=False, speed=(1.6, 2.8), rolls=kind in ROUND)
    travels(beat, event, i, start, 0.8)

    def check(run: Beat) -> list[Event]:
        if not run.record.exists[-1, i] or run.view.margin(run.record.position[-1, i], run.frames - 1) < 0:
            raise Misfit
        return []

    beat.expect(check)


def leaves(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """Rolls or slides out of the picture (the event itself is found in the run)."""
    rolls = kind in ROUND or (kind == "cylinder" and beat.rng.random() < 0.5)
    event = "rolled" if rolls else "slid"
    wait = 0.0 if beat.first else 0.25 * (beat.end - beat.start)
    if lead is not None and not rolls and beat.things[lead].material != "sliding":
        i, start = lead, drawn_off(beat, lead)
    else:
        i, start, _ = go(
            beat, "leaves", kind, lead, wild, inside=True, speed=(2.6, 3.8), rolls=rolls, delay=wait
        )
    travels(beat, event, i, start, 0.5, 0.4)
    beat.expect(lambda run: gone(run, i))


def drawn_off(beat: Beat, i: int) -> float:
    """Draws a thing that would not slide by itself steadily out of the picture; returns the start time."""
    settled(beat, i)
    rng, state = beat.rng, beat.states[i]
    here, reach = state.position.copy(), beat.things[i].body.reach
    side = int(np.sign(here[0] + rng.normal(0, 0.5)) or 1)
    start, speed = beat.start + rng.uniform(0.1, 0.6), rng.uniform(1.0, 1.6)
    far = beat.view.edge(side, here[1], here[2], 1.3 * reach, beat.frames - 1)
    for a, b, r in beat.taken(skip=(i,)):
        if abs(b - here[1]) < r + reach and (a - here[0]) * side > 0:
            raise Misfit
    ease = 0.4

    def motion(now: float):
        t = now - start
        gone_by = speed * (t * t / (2 * ease) if t < ease else t - ease / 2)
        velocity = np.array([side * speed * min(1.0, t / ease), 0.0, 0.0])
        return here + np.array([side * gone_by, 0.0, 0.0]), state.quat, velocity, 0.0, 0.0

    beat.drive(i, start, start + ease + (abs(far - here[0]) + 0.6) / speed, motion, leave=True)
    return start


def gone(run: Beat, i: int) -> list[Event]:
    """Misfit unless the thing has left by the beat's end."""
    if run.record.exists[-1, i]:
        raise Misfit
    return []
