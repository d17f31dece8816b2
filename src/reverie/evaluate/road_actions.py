"""Suite ``road_actions``: does our car do as it is told in the pictures that the model paints, as a probe reads them?

The probe (eyes/odometer.py) knows nothing of what was asked for. It is held first against the true simulator, in which
our car is driven by the same commands and MuJoCo draws: what it reads there is as good as it can be. What is compared
is how the speed and the turning of one second differ from those of the second before, where the probe is SURE of both:
on ground without a mark, or in a column that goes as fast as we do, nobody can tell. Of the same past, other seeds with
the same commands go the same way, and the same seed with other commands another.

Legend: L latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from reverie.core.beside import Beside
from reverie.core.vocabulary import FRAMES_PER_LATENT as F
from reverie.data.road.driver import Car
from reverie.data.road.rig import FOUR, Mount
from reverie.data.road.trace import Trace
from reverie.data.road.weather import WEATHERS, of_seed
from reverie.data.road.world import SIZE, Look, from_start, part
from reverie.evaluate.figures import figure, share
from reverie.evaluate.pictures import save_picture, scatters
from reverie.evaluate.road import PRESENT, SECONDS, commanded, model_of
from reverie.evaluate.road_tracks import driven
from reverie.evaluate.study import SEED, Study
from reverie.evaluate.traffic import traces
from reverie.evaluate.turning import by_blocks, line
from reverie.eyes.odometer import Odometer
from reverie.painter import canvas_file, filmed, shipped, stage_of

ACTED, BLOCK = 4, 6  # seconds of a ride; latents of a second
SURE = 0.05  # of a speed, from which on it counts: there the probe errs by 0.15 m/s, of all by 0.24
WAYS = {"gentle": False, "full_lock": True}
WHAT, UNITS = ("speed", "yaw_rate"), ("m/s", "rad/s")
TRUTH, AGAIN = 4, 10  # one clip in so many is drawn in truth, too; is dreamed with another seed, and other commands


def measure(study: Study) -> list[dict]:
    """Of n clips, every other one at full lock."""
    model, canvas = model_of(study), canvas_file(study.model)
    asked: list[tuple[str, str, np.ndarray, Future]] = []
    files = traces(study, study.n, SECONDS)
    with Beside(read, torch.get_num_threads()) as others, study.track(len(files), "rides read from pictures") as bar:
        for i, path in enumerate(files):
            trace, begins = from_start(Trace.load(path)), round(PRESENT * 24) // F * F
            look = Look(of_seed(SEED + i, WEATHERS[i // 2 % len(WEATHERS)]), FOUR, SIZE, SEED + i)
            way = list(WAYS)[i % 2]
            actions, otherwise = (commanded(np.random.default_rng([SEED, i, k]), ACTED * 24, WAYS[way]) for k in (0, 1))
            true = _true(trace, begins, actions)
            rides = [("dream", SEED + i, actions)]
            if i // 2 % AGAIN == 0:
                rides += [("seeds", SEED + 1000 + i, actions), ("commands", SEED + i, otherwise)]
            for name, seed, told in rides:
                ride = driven(model, trace, begins, ACTED, seed, actions=told)
                asked.append((way, name, _motion(true), others.ask(ride, look, canvas)))
            if i // 2 % TRUTH == 0:
                asked.append((way, "truth", _motion(true), others.ask(true, look, None)))
        found: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray]]] = {}
        for way, name, motion, made in asked:
            found.setdefault((way, name), []).append((motion, made.result()))
            bar.advance(name == "dream")
    save_picture(_curves(found), study.data / "road_actions.png")
    return _figures(found)


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
    own = np.concatenate([trace.place[::F, trace.ego], trace.heading[::F, trace.ego, None]], 1)
    gone = np.diff(own, axis=0) * trace.fps / F
    return np.stack([np.hypot(*gone[:, :2].T), gone[:, 2]], 1)


def read(trace: Trace, look: Look, canvas: Path | None) -> np.ndarray:
    """What the probe reads (L, 3) from a ride's pictures, painted by the canvas in a file or (None) drawn by MuJoCo."""
    with stage_of(trace, look, trace.place[:, trace.ego], canvas) as stage:
        views = filmed(stage, trace, look, range(0, trace.frames, F))
    return _probe(look.mounts, look.size).read(views.swapaxes(0, 1))


@lru_cache(maxsize=1)
def _probe(mounts: tuple[Mount, ...], size: tuple[int, int]) -> Odometer:
    return Odometer(mounts, size)


def _seconds(motion: np.ndarray) -> np.ndarray:
    """Means (S, 2) of speed and turning (L, 2) over seconds."""
    return np.stack([by_blocks(motion[:, k], BLOCK) for k in (0, 1)], 1)


def _changes(found: dict, ways: Sequence[str], of: str) -> tuple[np.ndarray, np.ndarray, int]:
    """How much each second differs from that before: what was asked for and what was read (M, 2), of those of which the
    probe is sure; and how many there are in all."""
    pairs = [pair for way in ways for pair in found.get((way, of), [])]
    asked, made, sure = [np.zeros((0, 2))], [np.zeros((0, 2))], [np.zeros(0, bool)]
    for motion, seen in pairs:
        asked.append(np.diff(_seconds(motion), axis=0))
        made.append(np.diff(_seconds(seen), axis=0))
        known = np.median(seen[: len(seen) // BLOCK * BLOCK, 2].reshape(-1, BLOCK), 1) > SURE
        sure.append(known[1:] & known[:-1])
    some = np.concatenate(sure)
    return np.concatenate(asked)[some], np.concatenate(made)[some], len(some)


def _figures(found: dict) -> list[dict]:
    cases = [("truth", "probe_on_truth_", list(WAYS), "", ">= 0.98", None)]
    cases += [("truth", "probe_on_truth_", [way], f"_{way}", None, None) for way in WAYS]
    cases += [("dream", "", [way], f"_{way}", ">= 0.95", ">= 0.9 and <= 1.1") for way in WAYS]
    figures = []
    for of, before, ways, after, like, steep in cases:
        asked, made, whole = _changes(found, ways, of)
        for k, what in enumerate(WHAT):
            x, y = asked[:, k], made[:, k]
            figures += [figure(f"{before}{what}_changes_correlation{after}", line(x, y)[0], "", like, len(x)),
                        figure(f"{before}{what}_changes_slope{after}", share((x * y).sum(), (x * x).sum()), "", steep,
                               len(x))]
        figures.append(figure(f"{before}changes_that_can_be_read{after}", share(len(asked), whole), "share", None,
                              whole))
    for k, (what, unit) in enumerate(zip(WHAT, UNITS, strict=True)):
        for name in ("seeds", "commands"):
            gaps = [_seconds(one)[:, k] - _seconds(other)[:, k] for way in WAYS for (_, one), (_, other) in zip(
                found.get((way, name), []), found.get((way, "dream"), [])[::AGAIN], strict=True)]
            rms = np.sqrt(np.square(np.concatenate(gaps)).mean()) if gaps else np.nan
            figures.append(figure(f"{what}_apart_other_{name}", rms, unit, None, len(gaps)))
    return figures


def _curves(found: dict) -> Image.Image:
    """Changes that were asked for, and those read."""
    panels = []
    for way in WAYS:
        asked, made, _ = _changes(found, [way], "dream")
        panels += [(f"changes of {what.replace('_', ' ')}, {way.replace('_', ' ')}", unit, asked[:, k].tolist(),
                    made[:, k].tolist()) for k, (what, unit) in enumerate(zip(WHAT, UNITS, strict=True))]
    return scatters(panels, "asked for", "read from the pictures")
