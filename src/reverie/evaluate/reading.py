"""Suite ``reading``: what is read from the road's pictures, beside what is so: who is there, and what a ride is worth.

The observer of the road looks at MuJoCo's pictures of traffic and at what the canvas paints of imagined futures with
the true actions: whether what it sees lies where the things say, and its tracks stay on one agent each.

Rides: a driver that was cloned from recorded ones, whose wheel and pedal are jerked at random, in the true simulator
among recorded traffic, and in the dream, painted. At each step the reward that is read from the pictures of all
cameras (envs.road) is held against the one that the ride itself knows, and each reading against what is so.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from reverie.audit.observer import overlap
from reverie.audit.tracks import FAINT, follow
from reverie.core.beside import Beside
from reverie.core.vocabulary import FRAMES_PER_LATENT as F
from reverie.data.road.rig import FOUR
from reverie.data.road.trace import Trace
from reverie.data.road.weather import WEATHERS, of_seed
from reverie.data.road.world import SIZE, Look, from_start, part
from reverie.drivers.policy import find
from reverie.envs import seeing
from reverie.envs.road import RoadEnv
from reverie.evaluate import tracking
from reverie.evaluate.figures import figure, share
from reverie.evaluate.road import model_of
from reverie.evaluate.road_tracks import PRESENT, SECONDS, Rig, driven
from reverie.evaluate.study import SEED, Study
from reverie.evaluate.traffic import traces
from reverie.eyes.observer import RoadObserver, named
from reverie.eyes.reader import LIT
from reverie.model.checkpoint import content_hash
from reverie.painter import canvas_file, filmed, shipped, stage_of
from reverie.road import WEIGHTS

WORLDS = ("truth", "dream")
RIDDEN, WATCHED, EVERY = 10.0, 2.0, 2  # seconds of a ride; of what is looked at, and one frame in so many
JERKED, LASTS = (0.12, 0.3), 0.8  # of the wheel's and the pedal's full reach; how much of it is left a step later
LARGE = 100  # pixels of a box from which on an agent in plain sight must be found
FAR = 20.0  # metres to who is ahead or to a light within which it must be read
BLIND = 30.0  # and beyond which nobody is ahead


def measure(study: Study) -> list[dict]:
    """Of n clips, one weather after the other."""
    model, canvas = model_of(study), canvas_file(study.model)
    files = traces(study, study.n, SECONDS)
    asked: dict[tuple[str, str], list[Future]] = {}
    with Beside(_answer, torch.get_num_threads()) as others, study.track(2 * len(files), "rides read") as bar:
        for i, path in enumerate(files):
            trace, begins = from_start(Trace.load(path)), round(PRESENT * 24) // F * F
            look = Look(of_seed(SEED + i, WEATHERS[i % len(WEATHERS)]), FOUR, SIZE, SEED + i)
            way, frames = trace.place[:, trace.ego], round(WATCHED * 24)
            future = part(driven(model, trace, begins, WATCHED, SEED + i), 0, frames)
            for world, shown, painted in (("truth", part(trace, begins, begins + frames), None),
                                          ("dream", future, canvas)):
                asked.setdefault(("seen", world), []).append(others.ask("seen", shown, look, way, painted))
                weights = weights_of(study) if world == "dream" else None
                asked.setdefault(("ridden", world), []).append(others.ask(
                    "ridden", path, look.weather.name, SEED + i, weights, RIDDEN))
        found = {}
        for key, futures in asked.items():
            found[key] = []
            for future in futures:
                found[key].append(future.result())
                bar.advance(0.5)
    figures = []
    for world in WORLDS:
        figures += _seen_figures(world, found["seen", world])
    for world in WORLDS:
        figures += _ridden_figures(world, np.concatenate(found["ridden", world]))
    return figures


def weights_of(study: Study) -> str:
    """What imagines traffic, as an environment is told: the model folder's own weights where it has them, or base."""
    own = Path(study.model) / WEIGHTS.name if isinstance(study.model, (str, Path)) else WEIGHTS
    return str(own) if own.exists() else "base"


def model_name(study: Study) -> str:
    """The names and hashes of what imagines, paints and reads."""
    from reverie.eyes import observer, probe

    eyes = ", ".join(f"{path.stem} {content_hash(path)}" for path in (observer.WEIGHTS, probe.WEIGHTS))
    return f"{model_of(study).name}, {shipped(canvas_file(study.model))[1]}, {eyes}"


def _answer(what: str, *given):
    """In another process."""
    return {"seen": seen, "ridden": ridden}[what](*given)


@lru_cache(maxsize=1)
def _observer() -> RoadObserver:
    return RoadObserver.load()


def seen(trace: Trace, look: Look, way: np.ndarray, canvas: Path | None) -> dict:
    """What the observer sees of a trace through its car's cameras, painted by the canvas in a file or (None) drawn by
    MuJoCo: agents that were asked for and found, what was found and is an agent, overlaps of boxes, whose kind is
    right, and each camera's tracks as trackeval takes them. What is found and smaller than half of LARGE is left out:
    it can be none that was asked for."""
    times = range(0, trace.frames, EVERY)
    with stage_of(trace, look, way, canvas) as stage:
        views = filmed(stage, trace, look, times)
    rig = Rig(trace, look, way)
    painter, out = rig.painter(), {"asked": 0, "found": 0, "said": 0, "right": 0, "alike": [], "kind": [], "tracks": []}
    for m, view in enumerate(views):
        boxes = rig.boxes[m][list(times)]
        large = (boxes[..., 2:] - boxes[..., :2]).prod(-1) >= LARGE
        asked = np.stack([rig.plain(painter, m, t) & some for t, some in zip(times, large, strict=True)])
        each = _observer().detect(view, threshold=FAINT)
        least = _observer().observer.net.config.threshold
        for t, all_seen in enumerate(each):
            sure = [one for one in all_seen if one.confidence >= least and _area(one.box) >= LARGE / 2]
            alike = overlap(boxes[t], np.array([one.box for one in sure], np.float32).reshape(-1, 4))
            best, some = alike.max(1, initial=0.0), np.flatnonzero(asked[t])
            hit = some[best[some] >= 0.5]
            out["asked"], out["found"] = out["asked"] + len(some), out["found"] + len(hit)
            out["said"] += len(sure)
            out["right"] += int((alike.max(0, initial=0.0) >= tracking.TOUCHES).sum())
            out["alike"] += best[hit].tolist()
            kinds = named(sure)
            out["kind"] += [kinds[int(alike[n].argmax())].kind == trace.kinds[n] for n in hit]
        rows: list[list[tuple[int, np.ndarray]]] = [[] for _ in times]
        for track in follow(each, 24 / EVERY, look.size):
            for t, box in zip(track.frames, track.boxes, strict=True):
                rows[int(t)] += [(track.number, box)] if _area(box) >= LARGE / 2 else []
        numbered = [(np.array([n for n, _ in row], int), np.array([box for _, box in row], np.float32).reshape(-1, 4))
                    for row in rows]
        out["tracks"].append(tracking.sequence(boxes, np.isfinite(boxes[..., 0]), asked, numbered))
    return out


def _area(box: Sequence[float] | np.ndarray) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def ridden(path: Path, weather: str, seed: int, model: str | None, seconds: float) -> np.ndarray:
    """A ride step by step (S, 14), in truth (model: None) or in the dream: pairs of what is so and what is read of
    reward, speed, turning, metres aside, how it is turned, gap and red light."""
    driver, rng, jerk = find(None, "clone"), np.random.default_rng([seed, 53]), np.zeros(2)
    env = RoadEnv(model, traces=[path], weather=weather, seconds=seconds,
                  painted=model is not None, reward="observer")
    env.reset(seed=seed)
    rows, over = [], False
    told = seeing.vector(env.trace, env.now, env.lanes, env.judge.lights)
    while not over:
        jerk = LASTS * jerk + np.array(JERKED) * rng.standard_normal(2)
        before = env.car
        _, _, crashed, ended, info = env.step((driver.act(told) + jerk).clip(-1, 1))
        over = crashed or ended
        told = seeing.vector(env.trace, env.now, env.lanes, env.judge.lights)
        gate, far, red, _, there, gap, _ = told[seeing.OWN : seeing.OWN + 7]
        read, second = info["read"], F / 24
        turned = (env.car.heading - before.heading + np.pi) % (2 * np.pi) - np.pi
        rows.append((info["rewards"]["things"], info["rewards"]["observer"], (before.speed + env.car.speed) / 2,
                     read.speed, turned / second, read.turning, info["aside"], read.lane.aside, info["turned"],
                     read.lane.turned, 20 * gap if there else np.inf, read.gap,
                     20 * far if gate and red else np.inf, read.lane.light * read.lane.red))
    env.close()
    return np.array(rows)


def _seen_figures(world: str, clips: list[dict]) -> list[dict]:
    whole = {name: sum((clip[name] for clip in clips), type(clips[0][name])()) for name in clips[0]}
    score = tracking.scores(whole["tracks"])
    figures = [figure(f"agents_found_in_{world}", share(whole["found"], whole["asked"]), "share", None, whole["asked"]),
               figure(f"found_that_are_agents_in_{world}", share(whole["right"], whole["said"]), "share", None,
                      whole["said"]),
               figure(f"iou_in_{world}", share(sum(whole["alike"]), len(whole["alike"])), "", None,
                      len(whole["alike"])),
               figure(f"kind_right_in_{world}", share(sum(whole["kind"]), len(whole["kind"])), "share", None,
                      len(whole["kind"]))]
    return figures + [figure(f"{name}_in_{world}", value, "", None, whole["asked"]) for name, value in score.items()]


def _ridden_figures(world: str, rows: np.ndarray) -> list[dict]:
    count, pairs = len(rows), rows.reshape(len(rows), -1, 2)
    rewards, speed, turning, aside, turned, gap, red = pairs.transpose(1, 2, 0)

    def error(pair: np.ndarray) -> float:
        return float(np.abs(pair[1] - pair[0]).mean())

    ahead, clear = gap[0] < FAR, gap[0] > BLIND
    held, free = red[0] < FAR, np.isinf(red[0])
    both = ahead & np.isfinite(gap[1])
    return [figure(f"rewards_correlation_in_{world}", float(np.corrcoef(rewards)[0, 1]), "", None, count),
            figure(f"rewards_apart_in_{world}", error(rewards), "", None, count),
            figure(f"reward_mean_in_{world}", float(rewards[0].mean()), "", None, count),
            figure(f"reward_read_mean_in_{world}", float(rewards[1].mean()), "", None, count),
            figure(f"speed_error_in_{world}", error(speed), "m/s", None, count),
            figure(f"turning_error_in_{world}", error(turning), "rad/s", None, count),
            figure(f"aside_error_in_{world}", error(aside), "m", None, count),
            figure(f"turned_error_in_{world}", error(turned), "rad", None, count),
            figure(f"leaders_read_in_{world}", share(both.sum(), ahead.sum()), "share", None, int(ahead.sum())),
            figure(f"leaders_invented_in_{world}", share((clear & (gap[1] < FAR)).sum(), clear.sum()), "share", None,
                   int(clear.sum())),
            figure(f"gap_error_in_{world}", error(gap[:, both]) if both.any() else np.nan, "m", None, int(both.sum())),
            figure(f"red_lights_read_in_{world}", share((held & (red[1] > LIT)).sum(), held.sum()), "share", None,
                   int(held.sum())),
            figure(f"red_lights_invented_in_{world}", share((free & (red[1] > LIT)).sum(), free.sum()), "share", None,
                   int(free.sum()))]
