"""Things at rest: how one is put down, and what rests beside the action."""

from __future__ import annotations

import numpy as np

from reverie.data.scenes.record import Thing
from reverie.data.scenes.stage import Beat, Misfit

LYING = np.array([np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0])  # a cylinder whose axis is along -y


def settled(beat: Beat, index: int) -> None:
    """Misfit unless the thing rests on the ground in view."""
    thing, state = beat.things[index], beat.states[index]
    if state.gone or np.linalg.norm(state.velocity) > 0.06 or beat.view.margin(state.position, 0) < 0.1:
        raise Misfit
    if state.position[2] > max(thing.body.extent) + 0.02 or any(d.thing == index for d in beat.drives):
        raise Misfit


def rests(beat: Beat, kind: str, lead: int | None, wild: bool) -> None:
    """The main thing is simply there; what rests is found for all things when the clip is done."""
    rng = beat.rng
    thing = beat.cast(kind, "rests", wild=wild)
    if kind == "hoop" or (kind == "pendulum"):
        x, y = beat.spot(thing.body.reach)
        yaw = rng.uniform(-2.2, -0.9) + rng.choice([0.0, 1.6]) if kind == "hoop" else rng.uniform(-0.5, 0.5)
        lift = 0.12 if kind == "pendulum" else 0.0
        beat.add(thing, x, y, thing.body.extent[2] + lift, yaw=yaw)
    else:
        stand(beat, thing)


def stand(beat: Beat, thing: Thing) -> int:
    """Adds a thing that stands at a free place, turned at random where that shows."""
    rng = beat.rng
    x, y = beat.spot(thing.body.reach)
    quat = None
    if thing.kind == "cylinder" and rng.random() < 0.3:
        yaw = rng.uniform(-0.6, 0.6)
        quat = times(np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]), LYING)
        return beat.add(thing, x, y, thing.body.extent[0], quat=quat)
    wide = thing.kind in ("wall", "screen", "plank", "ramp", "table")
    yaw = rng.uniform(-0.5, 0.5) if wide else rng.uniform(-np.pi, np.pi)
    if thing.kind == "ramp" and rng.random() < 0.5:
        yaw += np.pi
    if thing.kind == "pendulum":
        return beat.add(thing, x, y, thing.body.extent[2] + 0.12, yaw=rng.uniform(-0.5, 0.5))
    if thing.kind == "hoop":
        yaw = rng.uniform(-2.2, -0.9)
    return beat.add(thing, x, y, yaw=yaw)


def times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    w, v = a[0], a[1:]
    return np.concatenate([[w * b[0] - v @ b[1:]], w * b[1:] + b[0] * v + np.cross(v, b[1:])])


def bystanders(beat: Beat, count: int) -> None:
    """Things that rest beside the action; often several alike, or alike but for their colour."""
    rng = beat.rng
    kinds = (
        "ball",
        "box",
        "cylinder",
        "cone",
        "plank",
        "ramp",
        "domino",
        "basketball",
        "chair",
        "table",
        "wall",
        "person",
        "dog",
        "bird",
        "hoop",
        "pendulum",
        "screen",
    )
    style = rng.random()
    model = beat.things[0] if style < 0.3 and beat.things[0].kind not in ("pendulum", "hoop") else None
    alike: Thing | None = None
    for _ in range(count):
        if model is not None:
            thing = beat.cast(
                model.kind, "rests", size=model.size, colour=None if rng.random() < 0.7 else model.colour
            )
        elif style < 0.5 and alike is not None:
            thing = beat.cast(
                alike.kind,
                "rests",
                size=alike.size,
                colour=None if rng.random() < 0.5 else alike.colour,
                material=alike.material,
            )
        else:
            thing = beat.cast(str(rng.choice(kinds)), "rests")
        try:
            stand(beat, thing)
        except Misfit:
            return
        alike = thing
