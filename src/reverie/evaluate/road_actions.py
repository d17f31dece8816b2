"""Suite ``road_actions``: does our car do as it is told in the pictures that the model paints, as a probe reads them?

The probe (odometer.py) was trained on MuJoCo's pictures of other towns and knows nothing of what was asked for. It is
held first against the true simulator, in which our car is driven by the same commands: what it reads there is as good
as it can be. What is compared is how the speed and the turning of one second differ from those of the second before.
Of the same past, other seeds with the same commands go the same way, and the same seed with other commands another.

Legend: T frames, L latents, C cameras.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from reverie.core.vocabulary import FRAMES_PER_LATENT as F
from reverie.data.road.driver import Car
from reverie.data.road.trace import Trace
from reverie.data.road.weather import WEATHERS, of_seed
from reverie.data.road.world import SIZE, Look, from_start, part
from reverie.evaluate.figures import figure
from reverie.evaluate.odometer import MOUNTS, Odometer, moved, trained
from reverie.evaluate.pictures import save_picture, scatters
from reverie.evaluate.road import PRESENT, SECONDS, commanded, model_of
from reverie.evaluate.road_tracks import driven
from reverie.evaluate.study import SEED, Study
from reverie.evaluate.traffic import traces
from reverie.evaluate.turning import by_blocks, line
from reverie.futures.drawn import stage_of
from reverie.painter import canvas_file, shipped

ACTED, BLOCK = 4, 6  # seconds of a ride; latents of a second
TOWNS, MINUTES, WARM_UP = 420, 25.0, 6.0  # that the probe is trained on, and for; seconds of their traffic
WAYS = {"gentle": False, "full_lock": True}
WHAT = ("speed", "yaw_rate")
AGAIN = 10  # one clip in so many is dreamed with another seed, and with other commands, too


def measure(study: Study) -> list[dict]:
    """Of n clips, every other one at full lock; of a quarter of them the true simulator's pictures, too."""
    model, canvas = model_of(study), canvas_file(study.model)
    towns = traces(study, min(TOWNS, 3 * study.n), WARM_UP, split="train")
    probe = trained(study.data / "odometer", towns, MINUTES * min(1.0, study.n / 200))
    pairs: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray]]] = {}
    apart: dict[str, list[np.ndarray]] = {"seeds": [], "commands": []}
    files = traces(study, study.n, SECONDS)
    with study.track(len(files), "rides read from pictures") as bar:
        for i, path in enumerate(files):
            trace, begins = from_start(Trace.load(path)), round(PRESENT * 24) // F * F
            look = Look(of_seed(SEED + i, WEATHERS[i // 2 % len(WEATHERS)]), MOUNTS, SIZE, SEED + i)
            way = list(WAYS)[i % 2]
            actions = commanded(np.random.default_rng([SEED, i, WAYS[way]]), ACTED * 24, WAYS[way])

            def dreamed(seed: int, told: np.ndarray, trace=trace, begins=begins, look=look) -> np.ndarray:
                return _read(probe, driven(model, trace, begins, ACTED, seed, actions=told), look, canvas)

            true = _true(trace, begins, actions)
            asked, made = _motion(true), dreamed(SEED + i, actions)
            pairs.setdefault((way, "dream"), []).append((asked, made))
            if i // 2 % 4 == 0:
                pairs.setdefault((way, "truth"), []).append((asked, _read(probe, true, look, None)))
            if i % AGAIN == 0:
                others = commanded(np.random.default_rng([SEED, i, 2]), ACTED * 24, WAYS[way])
                apart["seeds"].append(dreamed(SEED + 1000 + i, actions) - made)
                apart["commands"].append(dreamed(SEED + i, others) - made)
            bar.advance()
    save_picture(_curves(pairs), study.data / "road_actions.png")
    return _figures(pairs, apart)


def model_name(study: Study) -> str:
    """The names and hashes of what imagines traffic and of what paints it."""
    return f"{model_of(study).name}, {shipped(canvas_file(study.model))[1]}"


def _true(trace: Trace, begins: int, actions: np.ndarray) -> Trace:
    """The ride in truth: our car as the commands move it, all others as recorded, from frame ``begins`` on."""
    rows, ego = part(trace, begins, begins + len(actions) + 1), trace.ego
    cars = [Car(rows.place[0, ego].astype(float), float(rows.heading[0, ego]), float(rows.speed[0, ego]))]
    for bend, push in actions:
        cars.append(cars[-1].moved(float(bend), float(push), 1 / trace.fps))
    own = {name: getattr(rows, name).copy() for name in ("place", "heading", "speed")}
    for name, values in own.items():
        values[:, ego] = [getattr(car, name) for car in cars]
    return replace(rows, **own)


def _motion(trace: Trace) -> np.ndarray:
    """Speed and turning of our car (L, 2), latent by latent."""
    cars = [Car(trace.place[t, trace.ego], float(trace.heading[t, trace.ego]), 0.0) for t in range(0, trace.frames, F)]
    return np.array([moved(one, two) for one, two in zip(cars, cars[1:], strict=False)])


def _read(probe: Odometer, trace: Trace, look: Look, canvas: Path | None) -> np.ndarray:
    """What the probe reads (L, 2) from a ride's pictures, painted by the canvas in a file or (None) drawn by MuJoCo."""
    own, way = (trace.place[:, trace.ego], trace.heading[:, trace.ego]), trace.place[:, trace.ego]
    shown = range(0, trace.frames, F)
    frames = np.empty((len(shown), len(MOUNTS), *SIZE, 3), np.uint8)
    with stage_of(trace, look, way, canvas) as stage:
        for row, t in zip(frames, shown, strict=True):
            stage.at(t)
            for picture, mount in zip(row, MOUNTS, strict=True):
                stage.through(mount.path(*own, SIZE), t, SIZE[1] / SIZE[0])
                stage.picture(picture)
    return probe.read(frames)


def _changes(read: np.ndarray) -> np.ndarray:
    """How much the means of each second differ from those of the second before: (L, 2) -> (seconds - 1, 2)."""
    return np.diff(np.stack([by_blocks(read[:, k], BLOCK) for k in (0, 1)], 1), axis=0)


def _gathered(pairs: dict, way: str, of: str) -> tuple[np.ndarray, np.ndarray]:
    """All changes (M, 2) that were asked for, and that were read."""
    some = pairs.get((way, of), [])
    asked, read = (np.concatenate([_changes(pair[k]) for pair in some] or [np.zeros((0, 2))]) for k in (0, 1))
    return asked, read


def _figures(pairs: dict, apart: dict[str, list[np.ndarray]]) -> list[dict]:
    figures = []
    for of, said, goal in (("truth", "probe_on_truth_", ">= 0.98"), ("dream", "", ">= 0.95")):
        for way in WAYS:
            asked, read = _gathered(pairs, way, of)
            n = len(pairs.get((way, of), []))
            for k, what in enumerate(WHAT):
                correlation, slope = line(asked[:, k], read[:, k])
                figures += [figure(f"{said}{what}_changes_correlation_{way}", correlation, "", goal, n),
                            figure(f"{said}{what}_changes_slope_{way}", slope, "", None if said else
                                   ">= 0.9 and <= 1.1", n)]
    for k, (what, unit) in enumerate(zip(WHAT, ("m/s", "rad/s"), strict=True)):
        figures += [figure(f"{what}_apart_other_{name}", np.sqrt(np.mean([np.square(by_blocks(one[:, k], BLOCK)).mean()
                                                                         for one in some])), unit, None, len(some))
                    for name, some in apart.items()]
    return figures


def _curves(pairs: dict):
    """Changes that were asked for, and those read."""
    panels = []
    for way in WAYS:
        asked, read = _gathered(pairs, way, "dream")
        panels += [(f"changes of {what.replace('_', ' ')}, {way.replace('_', ' ')}", unit, asked[:, k].tolist(),
                    read[:, k].tolist()) for k, (what, unit) in enumerate(zip(WHAT, ("m/s", "rad/s"), strict=True))]
    return scatters(panels, "asked for", "read from the pictures")
