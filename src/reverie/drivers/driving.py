"""How a driver drives: rides in the true simulator (or the dream), counted, and seen from above."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from reverie.data.road.trace import Trace
from reverie.drivers.policy import Policy
from reverie.envs.judging import MOST, PROGRESS
from reverie.envs.road import F, RoadEnv, acted
from reverie.futures.above import Above
from reverie.futures.drawing import save

SECONDS = 10.0
UNSEEN = 900_000  # seeds of live rides begin here: learners' begin at 0
SIDE, REACH = 240, 45.0  # pixels of a ride from above, and metres to its side
WAY, BAD = (37, 99, 235), (200, 30, 30)


@dataclass
class Ridden:
    """Rides. ends: the last info of each; speeds: the mean speed of each, m/s; seconds: how long each lasted."""

    ends: list[dict]
    speeds: list[float]
    seconds: list[float]

    def figures(self) -> dict:
        """Shares of all rides, and the mean speed over the time driven."""
        crashes = Counter(end["crash"].split(" a ")[0] for end in self.ends)
        count = len(self.ends)
        return {"rides": count, "success": sum(end["success"] for end in self.ends) / count,
                "collisions": crashes["ran into"] / count, "left_the_road": crashes["left the road"] / count,
                "red_lights": sum("red light" in end["crash"] for end in self.ends) / count,
                "too_slow": sum(not end["crash"] and end["progress"] < PROGRESS for end in self.ends) / count,
                "too_fast": sum(not end["crash"] and end["fast"] > MOST for end in self.ends) / count,
                "struck_by_others": sum(end["struck"] for end in self.ends) / count,
                "speed": float(np.average(self.speeds, weights=self.seconds))}


class Recorded:
    """The driver of a trace, its actions again: what can be had in recorded traffic."""

    def __init__(self, trace: Trace) -> None:
        self.actions, self.now = trace.actions, 0

    def act(self, seen: np.ndarray) -> np.ndarray:
        """The next action (2,), whatever is seen."""
        action = acted(*self.actions[self.now : self.now + F].mean(0))
        self.now += F
        return np.array(action)


def drive(policy: Policy | Recorded, files: list[Path] | int, *, traffic: bool | str = True, model: str | None = None,
          seconds: float = SECONDS, sheet: Path | None = None, shown: int = 12) -> Ridden:
    """A ride of each trace; or so many in towns of their own, whose traffic SUMO simulates as they go. model: None
    drives in truth, else in the dream; sheet: a PNG of the first ``shown`` rides from above. Raises BadInput, BadData,
    CannotWrite, and ReverieError without SUMO where there are no traces."""
    ends, speeds, lasted, pages = [], [], [], []
    make, live = partial(RoadEnv, model, traffic=traffic, seconds=seconds, observation="vector"), isinstance(files, int)
    for n, env in enumerate([make()] * files if live else (make(traces=[path]) for path in files)):
        seen, _ = env.reset(seed=n + UNSEEN * live)
        way, pace, over = [env.car.place], [env.car.speed], False
        while not over:
            seen, _, crashed, ended, info = env.step(policy.act(seen))
            over = crashed or ended
            way.append(env.car.place)
            pace.append(env.car.speed)
        ends.append(info)
        speeds.append(float(np.mean(pace)))
        lasted.append(len(pace) * F / env.trace.fps)
        if sheet is not None and n < shown:
            pages.append(_page(env, np.array(way), f"{n}: {info['crash'] or _said(info)}, {speeds[-1]:.1f} m/s"))
    if pages:
        save(_sheet(pages), sheet)
    return Ridden(ends, speeds, lasted)


def _said(info: dict) -> str:
    faults = [what for what, bad in (("too slow", info["progress"] < PROGRESS), ("astray", info["astray"] > MOST),
                                     ("too fast", info["fast"] > MOST)) if bad]
    return "good" if info["success"] else ", ".join(faults)


def _page(env: RoadEnv, way: np.ndarray, title: str) -> Image.Image:
    """The end of a ride from above, and the way that was driven."""
    trace, now = env.trace, env.now
    view = Above(trace.net, (way.min(0) + way.max(0)) / 2, max(REACH, 0.6 * float(np.ptp(way, axis=0).max())), SIDE)
    good = WAY if title.split(":")[1].startswith(" good") else BAD
    picture = view.picture(trace.kinds, trace.paints, trace.size, trace.exists[now], trace.place[now],
                           trace.heading[now], trace.ego, lights=trace.signals[now], trails=[(way, good)])
    page = Image.new("RGB", (SIDE, SIDE + 14), "white")
    page.paste(Image.fromarray(picture), (0, 14))
    ImageDraw.Draw(page).text((2, 1), title, fill=good)
    return page


def _sheet(pages: list[Image.Image]) -> Image.Image:
    """Pages in rows of four."""
    wide, high = pages[0].size
    whole = Image.new("RGB", (4 * wide, -(-len(pages) // 4) * high), "white")
    for n, page in enumerate(pages):
        whole.paste(page, (n % 4 * wide, n // 4 * high))
    return whole
