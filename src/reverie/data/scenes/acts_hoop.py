"""The act of shooting a basketball at a hoop."""

from __future__ import annotations

import numpy as np

from reverie.core.clip import Event
from reverie.data.scenes.acts_loose import GRAVITY
from reverie.data.scenes.acts_still import settled
from reverie.data.scenes.bodies import RIM, rim_centre
from reverie.data.scenes.record import heading, matrices
from reverie.data.scenes.stage import Beat, Misfit


def shot(beat: Beat, kind: str, lead: int | None, wild: bool, *, event: str) -> None:
    """A basketball is shot at a hoop; whether it scored or missed is what the physics says."""
    rng = beat.rng
    start = beat.start + rng.uniform(0.15, 0.9)
    hoops = [
        j
        for j, (t, s) in enumerate(zip(beat.things, beat.states, strict=True))
        if t.kind == "hoop" and t.mode == "fixed" and not s.gone
    ]
    if lead is not None and hoops:
        settled(beat, lead)
        i, target, ball = lead, hoops[0], beat.things[lead]
        place = beat.states[i].position
        frame, turn = beat.states[target].position, matrices(beat.states[target].quat[None])[0]
    elif beat.first == 0:
        size = int(rng.integers(3))
        ball = beat.cast(
            "basketball",
            event,
            wild=wild,
            size=("small", "small", "medium")[size],
            mode="free",
            material=("heavy", "bouncy")[rng.integers(2)],
        )
        hoop = beat.cast("hoop", "rests", size=("small", "medium", "large")[size])
        side = int(rng.choice([-1, 1]))
        yaw = rng.uniform(0.2, 1.0)
        yaw = yaw if side > 0 else np.pi - yaw
        wide = beat.half(0.0)
        x, y = side * rng.uniform(0.35, 0.75) * wide, rng.uniform(-0.2, 0.6)
        turn, frame = matrices(heading(yaw)[None])[0], np.array([x, y, hoop.body.extent[2]])
        out = -turn[:, 0]
        place = frame + out * rng.uniform(1.5, 2.6) + np.array([0, rng.uniform(-0.2, 0.2), 0])
        place[2] = ball.body.extent[2]
        if not (beat.fits(*frame[:2], hoop.body.reach) and beat.fits(*place[:2], ball.body.reach)):
            raise Misfit
        i = beat.add(ball, *place)
        target = beat.add(hoop, x, y, yaw=yaw)
        beat.lanes.append((float(place[1] + y) / 2, abs(place[1] - y) / 2 + 0.3))
    else:
        raise Misfit
    hoop = beat.things[target]
    rim = frame + turn @ rim_centre(hoop.size)
    radius = RIM[hoop.size][0]
    way = place[:2] - rim[:2]
    if (
        np.linalg.norm(way) < 0.8
        or way @ -turn[:2, 0] < 0.35 * np.linalg.norm(way)
        or ball.body.extent[0] > 0.8 * radius
    ):
        raise Misfit
    apex = rim[2] + ball.body.extent[2] + rng.uniform(0.25, 0.6)
    if apex + ball.body.extent[2] > beat.view.top(*rim[:2], 0) + 0.2:
        raise Misfit
    up = np.sqrt(2 * GRAVITY * (apex - place[2]))
    flight = up / GRAVITY + np.sqrt(2 * (apex - rim[2]) / GRAVITY)
    spread = 0.05 if event == "scored" else rng.uniform(0.45, 0.9) * radius + 0.1
    aside = rng.uniform(0, 2 * np.pi)
    goal = rim[:2] + spread * np.array([np.cos(aside), np.sin(aside)])
    velocity = np.array([*((goal - place[:2]) / flight), up])
    beat.kick(i, start, velocity, rng.normal(0, 1.5, 3))
    beat.quiet.add(i)

    def check(run: Beat) -> list[Event]:
        k0 = run.at(start)
        z = run.record.position[:, i, 2] - rim[2]
        for k in range(k0 + 4, run.frames):
            if z[k - 1] > 0 >= z[k]:
                part = z[k - 1] / (z[k - 1] - z[k])
                spot = run.record.position[k - 1, i] * (1 - part) + run.record.position[k, i] * part
                inside = np.linalg.norm(spot[:2] - rim[:2]) < radius - 0.4 * ball.body.extent[0]
                if not inside and np.linalg.norm(spot[:2] - rim[:2]) < radius + 0.05:
                    continue  # hangs on the rim; it falls one way or the other later
                if not run.in_view(i, k0, k, 0.8):
                    raise Misfit
                end = (run.first + k - 1 + part) / run.stage.fps
                return [Event("scored" if inside else "missed", start, float(end), i, target)]
        raise Misfit

    beat.expect(check)


def scored(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """A shot aimed well."""
    shot(beat, kind, lead, wild, event="scored")


def missed(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """A shot aimed badly."""
    shot(beat, kind, lead, wild, event="missed")
