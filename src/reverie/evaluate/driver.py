"""Suite ``driver``: drivers that learned in the dream, in truth and from drivers, all driving in the true simulator.

The drivers are those that ship (or a model folder's), as ``reverie driver train`` makes them. Rides are in traffic that
the suite simulates itself, with seeds that training never sees, recorded and live; what a good ride is: envs.judging.
"""

from __future__ import annotations

from pathlib import Path

from reverie.data.road.trace import Trace
from reverie.drivers.driving import Recorded, Ridden, drive
from reverie.drivers.policy import WAYS, Policy, find
from reverie.evaluate.figures import figure, share
from reverie.evaluate.study import Study
from reverie.evaluate.traffic import traces

SECONDS = 11.0  # of a clip, of which a ride takes ten
SAID = {"dream": "dream_trained", "true": "true_trained", "clone": "cloned"}


def measure(study: Study) -> list[dict]:
    """n rides of each driver, alone, among recorded and among live traffic."""
    files, figures = traces(study, study.n, SECONDS), []
    policies = {way: _find(study, way) for way in WAYS}
    for traffic, where in ((False, "alone"), (True, "in_traffic"), ("live", "in_live_traffic")):
        rides: dict[str, dict] = {}
        with study.track(len(WAYS), f"drivers {where}") as bar:
            for way in WAYS:
                rides[way] = drive(policies[way], study.n if traffic == "live" else files, traffic=traffic).figures()
                bar.advance()
        for way in WAYS:
            figures += _told(f"{SAID[way]}_{where}", rides[way])
        figures.append(figure(f"success_{where}_dream_trained_over_true_trained",
                              share(rides["dream"]["success"], rides["true"]["success"]), "", ">= 0.95",
                              rides["true"]["rides"]))
    figures += _recorded(files)
    figures += [figure(f"steps_of_training_{SAID[way]}", policies[way].meta["steps"]) for way in WAYS
                if "steps" in policies[way].meta]
    return figures


def model_name(study: Study) -> str:
    """The drivers' names and hashes."""
    return ", ".join(_find(study, way).name for way in WAYS)


def _find(study: Study, way: str) -> Policy:
    own = Path(study.model) if isinstance(study.model, (str, Path)) else Path("base")
    return find(own if (own / f"driver_{way}.safetensors").exists() else None, way)


def _told(name: str, found: dict) -> list[dict]:
    n = found["rides"]
    return [figure(f"{what}_{name}", found[what], "m/s" if what == "speed" else "share", None, n) for what in (
        "success", "collisions", "left_the_road", "red_lights", "too_slow", "too_fast",
        "struck_by_others", "speed")]


def _recorded(files: list[Path]) -> list[dict]:
    whole = Ridden([], [], [])
    for path in files:
        trace = Trace.load(path)
        if trace.driver == "smooth":
            one = drive(Recorded(trace), [path])
            whole = Ridden(whole.ends + one.ends, whole.speeds + one.speeds, whole.seconds + one.seconds)
    return _told("recorded_smooth_drivers_in_traffic", whole.figures()) if whole.ends else []
