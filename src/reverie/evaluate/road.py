"""Suite ``road``: imagined traffic as a forecaster, its futures, and whether our car does as it is told.

Every figure is of clips that the suite simulates itself, with seeds that training never sees. What lights show is known
of the past only: in the futures they go on by their programs.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.road.again import again
from reverie.data.road.driver import EAGER, HARDEST, TIGHTEST
from reverie.data.road.trace import Trace
from reverie.evaluate import forecast
from reverie.evaluate.figures import figure, share
from reverie.evaluate.study import SEED, Study
from reverie.evaluate.traffic import seed_of, traces
from reverie.road import WEIGHTS, Road, Told

SECONDS, PRESENT = 8.5, 3.0  # of a clip, and where its past ends
HORIZONS = (1.0, 3.0, 5.0)
FEW, MANY = 6, 8  # futures
NEAR = 40.0  # metres from our car
AT, MOVES = 3.0, 1.0  # seconds at which futures without actions are judged; metres by then of who moves
ACTED = 4.0  # seconds of a ride with actions
F = FRAMES_PER_LATENT
SAID = {"model": "", "blind": "_without_map", "constant": "_constant_velocity", "again": "_SUMO_again"}


def measure(study: Study) -> list[dict]:
    """Of every second of n clips forecasts and futures, of all n actions; and how many steps a second."""
    model = model_of(study)
    found = [Trace.load(path) for path in traces(study, study.n, SECONDS)]
    return [*_forecasts(study, model, found[::2]), *_obeyed(study, model, found), *_speed(model, found[0])]


def model_name(study: Study) -> str:
    """The model of traffic's name and hash."""
    return model_of(study).name


def model_of(study: Study) -> Road:
    """The model folder's own model of traffic where it has one, or what ships."""
    own = Path(study.model) / WEIGHTS.name if isinstance(study.model, (str, Path)) else WEIGHTS
    return Road.load(own if own.exists() else None)


# -- foretelling --------------------------------------------------------------------------------------


class _Counts:
    """Collisions and frames off the road, over agent-minutes."""

    def __init__(self) -> None:
        self.crashes = self.minutes = self.left = self.driven = 0.0

    def add(self, trace: Trace, told_place: np.ndarray, heading: np.ndarray, there: np.ndarray, agents: np.ndarray,
            paved: forecast.Paved) -> None:
        """A future's agents (T, N, ...), those that drive and our car's driver's mistakes left out of off-road."""
        wheels = np.array([trace.kinds[n] != "person" for n in agents])
        self.crashes += 2 * forecast.collisions(told_place, heading, there, trace.size[agents], wheels)
        self.minutes += there.sum() / trace.fps / 60
        others = wheels & (agents != trace.ego)
        rows = there[::12][:, others]
        off = paved.left(told_place[::12][:, others]) & rows
        self.left += float((off[1:] & ~off[:-1]).sum())
        self.driven += rows.sum() * 12 / trace.fps / 60


def _forecasts(study: Study, model: Road, found: list[Trace]) -> list[dict]:
    begins = round(PRESENT * 24) // F * F
    tallies = {(name, h): forecast.Tally() for name in SAID for h in HORIZONS}
    moving = {name: forecast.Tally() for name in SAID}
    counts = {"": _Counts(), "_in_truth": _Counts()}
    lights: list[tuple[float, float]] = []  # the share of a clip's lights that show right at the last horizon; if held
    with study.track(len(found), "futures") as bar:
        for i, trace in enumerate(found):
            paved = forecast.Paved(trace.net)
            told = model.futures(trace, at=begins / 24, count=MANY, seconds=HORIZONS[-1], seed=SEED + 100 * i)
            blind = model.futures(trace, at=begins / 24, count=MANY, seconds=HORIZONS[-1], seed=SEED + 100 * i,
                                  mapped=False)
            agents, frames = told.agents, told.place.shape[1]
            true = trace.place[begins + 1 : begins + 1 + frames][:, agents]
            plain = forecast.constant(trace.place[begins, agents], trace.place[begins - F, agents], frames, F)[None]
            plain = np.where(trace.exists[begins - F, agents][None, None, :, None], plain, trace.place[begins, agents])
            sumo = again(trace, seed_of(2 * i), begins, frames, MANY)[:, :, agents]
            _score(trace, begins, told, true, {"model": told.place, "blind": blind.place, "constant": plain,
                                               "again": sumo}, tallies, moving)
            there = trace.exists[begins + 1 : begins + 1 + frames][:, agents]
            counts[""].add(trace, told.place[0], told.heading[0], told.there[0] & there, agents, paved)
            counts["_in_truth"].add(trace, true, trace.heading[begins + 1 : begins + 1 + frames][:, agents], there,
                                    agents, paved)
            if trace.signals.shape[1]:
                shown = trace.signals[begins + frames]
                lights.append((float((told.signals[:, -1] == shown).mean()),
                               float((trace.signals[begins] == shown).mean())))
            bar.advance()
    figures = [figure(f"lights_right_at_{HORIZONS[-1]:g}s{said}", share(sum(one[n] for one in lights), len(lights)),
                      "share", None, len(lights)) for n, said in enumerate(("", "_if_they_stay"))]
    for h in HORIZONS:
        for name, said in SAID.items():
            tally = tallies[name, h]
            ade, fde = tally.least()
            figures += [figure(f"minADE{FEW}_{h:g}s{said}", ade, "m", None, tally.agents),
                        figure(f"minFDE{FEW}_{h:g}s{said}", fde, "m", None, tally.agents)]
    for said, count in counts.items():
        figures += [figure(f"collisions_per_agent_minute{said}", share(count.crashes, count.minutes), "", None,
                           round(count.minutes)),
                    figure(f"leaves_the_road_per_agent_minute{said}", share(count.left, count.driven), "", None,
                           round(count.driven))]
    return figures + _of_moving(moving)


def _score(trace: Trace, begins: int, told: Told, true: np.ndarray, made: dict, tallies: dict, moving: dict) -> None:
    """One scene's errors into the tallies. Whoever is near our car now, and there until the horizon, counts."""
    agents = told.agents
    far = np.hypot(*(trace.place[begins, agents] - trace.place[begins, trace.ego]).T)
    for h in HORIZONS:
        frames = round(h * trace.fps)
        whole = (far < NEAR) & trace.exists[begins + 1 : begins + 1 + frames][:, agents].all(0)
        moves = whole & (np.hypot(*(true[frames - 1] - trace.place[begins, agents]).T) > MOVES)
        for name, places in made.items():
            ade, fde = forecast.errors(places, true, frames)
            known = np.isfinite(ade).all(0)  # SUMO is told where our car goes
            tallies[name, h].add(ade[:FEW, whole & known], fde[:FEW, whole & known])
            if h == AT:
                moving[name].add(ade[:, moves & known], fde[:, moves & known])


def _of_moving(moving: dict) -> list[dict]:
    """Futures without actions at 3 s, of agents that move."""
    figures, plain = [], moving["constant"].least()[0]
    for name, said, goals in (("model", "", ("<= 0.5", "<= 0.2", "<= 2")), ("blind", "_without_map", (None,) * 3)):
        tally = moving[name]
        n = tally.agents
        joint, mean, missed = tally.together()
        least = tally.least()[0]
        figures += [figure(f"moving_minADE{MANY}_over_constant_velocity{said}", share(least, plain), "", goals[0], n),
                    figure(f"moving_minADE{MANY}_{AT:g}s{said}", least, "m", None, n),
                    figure(f"moving_missed{said}", tally.missed(), "share", goals[1], n),
                    figure(f"moving_mean_over_least_ADE{said}", share(mean, least), "", goals[2], n),
                    figure(f"whole_futures_minADE{MANY}_over_constant_velocity{said}", share(joint, plain), "", None,
                           n),
                    figure(f"whole_futures_missed{said}", missed, "share", None, n),
                    figure(f"whole_futures_mean_over_least_ADE{said}", share(mean, joint), "", None, n)]
    for name in ("constant", "again"):
        tally, least = moving[name], "" if name == "constant" else f"min{MANY}_"
        figures += [figure(f"moving_{least}ADE_{AT:g}s{SAID[name]}", tally.least()[0], "m", None, tally.agents),
                    figure(f"moving_missed{SAID[name]}", tally.missed(), "share", None, tally.agents)]
    return figures


# -- actions ------------------------------------------------------------------------------------------


def commanded(rng: np.random.Generator, frames: int, lock: bool) -> np.ndarray:
    """Actions (frames, 2) that change every half to one and a half seconds: gentle, or at the wheel's full lock."""
    out, t = np.zeros((frames, 2), np.float32), 0
    while t < frames:
        until = t + int(rng.integers(12, 36))
        bend = rng.choice([-1.0, 0.0, 1.0]) * TIGHTEST if lock else 0.05 * rng.uniform(-1, 1)
        push = rng.choice([-HARDEST, 0.0, EAGER]) if lock else rng.uniform(-1.5, 1.5)
        out[t:until] = bend, push
        t = until
    return out


def _obeyed(study: Study, model: Road, found: list[Trace]) -> list[dict]:
    begins, figures = round(PRESENT * 24) // F * F, []
    for lock in (False, True):
        told_turn, made_turn, told_pace, made_pace = [], [], [], []
        with study.track(len(found), "rides at full lock" if lock else "gentle rides") as bar:
            for i, trace in enumerate(found):
                rng = np.random.default_rng([SEED, i, lock])
                frames = round(ACTED * 24)
                actions = commanded(rng, frames, lock)
                told = model.futures(trace, at=begins / 24, count=1, seconds=ACTED, seed=SEED + i, actions=actions)
                ego = told.ego
                start = trace.place[begins, trace.ego][None]
                place = np.concatenate([start, told.place[0, :, ego]])
                heading = np.concatenate([[trace.heading[begins, trace.ego]], told.heading[0, :, ego]])
                gone = np.hypot(*np.diff(place[::F], axis=0).T) * 24 / F  # read from where it is, as a probe would
                made_turn.append(np.diff(np.diff(np.unwrap(heading[::F])) * 24 / F))
                made_pace.append(np.diff(gone))
                pace = _paces(float(trace.speed[begins, trace.ego]), actions[:, 1])
                told_turn.append(np.diff((actions[:, 0] * pace).reshape(-1, F).mean(1)))
                told_pace.append(np.diff(pace.reshape(-1, F).mean(1)))
                bar.advance()
        said = "full_lock" if lock else "gentle"
        for what, told_all, made_all in (("yaw_rate", told_turn, made_turn), ("speed", told_pace, made_pace)):
            x, y = np.concatenate(told_all), np.concatenate(made_all)
            figures += [figure(f"{what}_changes_correlation_{said}", _alike(x, y), "", ">= 0.95",
                               len(found)),
                        figure(f"{what}_changes_slope_{said}", share((x * y).sum(), (x * x).sum()), "",
                               ">= 0.9 and <= 1.1", len(found))]
    return figures


def _alike(x: np.ndarray, y: np.ndarray) -> float:
    """The correlation of two series, NaN where one is constant."""
    return float(np.corrcoef(x, y)[0, 1]) if min(x.std(), y.std()) > 1e-9 else float("nan")


def _paces(pace: float, pushes: np.ndarray) -> np.ndarray:
    """The speed in the middle of each frame that follows from accelerations (T,), which never roll a car back."""
    out = []
    for push in pushes:
        after = max(pace + float(push) / 24, 0.0)
        out.append((pace + after) / 2)
        pace = after
    return np.array(out)


def _speed(model: Road, trace: Trace) -> list[dict]:
    figures = []
    for count in (1, 16):
        ride = model.begin(trace, 48, list(range(count)))
        for _ in range(3):
            ride.step()
        began, steps = time.perf_counter(), 20
        for _ in range(steps):
            ride.step()
        figures.append(figure(f"steps_per_second_batch_{count}", steps / (time.perf_counter() - began), "1/s", None,
                              steps))
    return figures
