"""Acts that need an arrangement: a swinging pendulum, rows and towers that fall, a hoop, walls, a screen."""

from __future__ import annotations

import numpy as np

from reverie.core.clip import Event
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
        lift = thing.body.extent[2] + 0.12 + thing.body.pivot  # of the hinge
        cos, sin = np.cos(angle / 2), np.sin(angle / 2)
        quat = np.array(
            [np.cos(yaw / 2) * cos, -np.sin(yaw / 2) * sin, np.cos(yaw / 2) * sin, np.sin(yaw / 2) * cos]
        )
        down = np.array([-np.sin(angle) * np.cos(yaw), -np.sin(angle) * np.sin(yaw), -np.cos(angle)])
        place = np.array([x, y, lift]) + thing.body.pivot * down
        lead = beat.add(thing, *place, quat=quat)
    else:
        if beat.stage.things[lead].mode != "hinge" or np.linalg.norm(beat.states[lead].velocity) > 0.2:
            raise Misfit
        start = beat.start + rng.uniform(0.1, 0.8)
        beat.kick(lead, start, None, np.array([0.0, rng.uniform(1.8, 2.8) * rng.choice([-1, 1]), 0.0]))
    i = lead

    def check(run: Beat) -> list[Event]:
        k0 = run.at(start)
        if np.ptp(run.record.position[k0:, i, 0]) < 0.3 or not run.in_view(i, k0, run.frames - 1, 0.9):
            raise Misfit
        return [Event("swung", start, run.end, i)]

    beat.expect(check)


ACTS = {"swung": swung}
