"""reverie/Road-v0: keep to a lane, a car of the bicycle model among traffic that SUMO moves, or that was recorded; and
reverie/RoadDream-v0, the same ride among traffic that is imagined.

Live traffic and the dream's heed our car; recorded traffic drives as it did in the trace, whatever we do. Pictures are
drawn by MuJoCo, or painted by the model. Running into somebody, leaving the road, and among traffic passing a red
light, end the episode.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from reverie.core.errors import BadInput
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.road.driver import EAGER, HARDEST, TIGHTEST, Car
from reverie.data.road.lanes import Lanes
from reverie.data.road.lights import Lights
from reverie.data.road.live import Live
from reverie.data.road.rig import FOUR, Mount, checked
from reverie.data.road.trace import KINDS, Trace
from reverie.data.road.weather import WEATHERS, Weather, of_seed
from reverie.data.road.world import SIZE, from_start, plan
from reverie.envs import seeing
from reverie.envs.base import Env, action_space, checked_action, checked_options, picture_space, spaces
from reverie.envs.judging import Judge
from reverie.model.road.driving import Frames
from reverie.painter import Painter
from reverie.road import MOST, Ride, Road
from reverie.road import near as nearest

FPS = 24.0
REWARDS = ("things", "observer")
CRASH = -5.0  # reward of what ends a ride
ASIDE = 0.5  # taken off a step's reward at the lane's edge
LATE, GENTLY, HARD = 1.0, 2.0, 5.0  # and where it takes so many m/s^2 more than gently to stop in time
ROUND = 64.0  # metres around our car in which lanes are looked for
PAST = 24  # frames of a trace from which a dream goes on
F = FRAMES_PER_LATENT


class RoadEnv(Env):
    """Observation "camera": the newest frame of the camera that looks ahead, uint8 (H, W, 3); with several ``cameras``,
    a dict of all; "above": uint8 (128, 128, 3), the 70 m around our car from above, its way up; "vector": float32
    (VECTOR,), see ``envs.seeing``; neither of these needs MuJoCo.

    Action (2,) in -1..1: curvature (1 is the tightest circle, 0.18 / m, to the left) and acceleration (1 is
    2.5 m/s^2, -1 braking with 7). Reward: metres along the nearest lane as a share of what its limit allows (what is
    more than that is taken off instead), less ASIDE at the lane's edge and LATE where only hard braking is left, before
    a red light or who is ahead; ``crash`` at the end of a ride that left the road, ran into somebody or passed a red
    light, which is terminated; truncated after ``seconds``, or at the trace's end. info: "crash" says why, "success"
    whether the ride is a good one so far, by the rules of ``envs.judging``, which also tells the rest of it.
    reward: "things" takes what the ride itself knows of lanes, lights and others, "observer" what is read of them from
    the pictures of all cameras of the rig (``eyes.reader``; the limit is told, and what ends a ride does so by the
    rules all the same); info then has both under "rewards", and "read".

    traces: a folder of traffic, or such files, as ``reverie data make road --traces DIR`` keeps them: with it no SUMO
    is needed. traffic: True is "live" where there are neither traces nor a model: SUMO moves everybody while we drive,
    in a process of each environment's own; "recorded" is what a driver of ours met, from the traces or simulated
    before the ride; False drives alone, and lights do not count. model: None drives in truth; "base", or a folder or
    file of weights, has everybody else imagined from a recorded ride's first second on (lights are as recorded, then go
    on by their programs). most: how many are imagined, those that are nearest when the dream begins; arrivals: whether
    others come and go later, by ``data.road.arrivals``.
    weather: see data.road.weather, None draws one. mounts: the rig; cameras: names of it; painted: by the model instead
    of MuJoCo (0.1 s a picture). reset's options: trace, a file.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 6}

    def __init__(self, model: str | None = None, *, traces: str | Path | Sequence[str | Path] | None = None,
                 traffic: bool | str = True, weather: str | None = "day", seconds: float = 20.0,
                 mounts: Sequence[Mount] = FOUR, cameras: Sequence[str] = ("front",), size: tuple[int, int] = SIZE,
                 observation: str = "camera", painted: bool = False, most: int = MOST, arrivals: bool = True,
                 crash: float = CRASH, reward: str = "things", render_mode: str | None = None) -> None:
        if observation not in ("camera", "above", "vector"):
            raise BadInput(f"no observation {str(observation)[:30]!r}: camera, above or vector")
        if reward not in REWARDS:
            raise BadInput(f"no reward {str(reward)[:30]!r}: {' or '.join(REWARDS)}")
        if weather is not None and weather not in WEATHERS:
            raise BadInput(f"no weather {str(weather)[:30]!r}: {', '.join(WEATHERS)}")
        if traffic not in (True, False, "recorded", "live"):
            raise BadInput(f"no traffic {str(traffic)[:30]!r}: live, recorded, True or False")
        if traffic == "live" and (traces is not None or model is not None):
            raise BadInput("live traffic is simulated as the ride goes: leave traces and model out")
        self.road = None if model is None else _loaded(model)
        self.live = Live() if traces is None and model is None and traffic != "recorded" else None
        self.ride: Ride | None = None
        self.foreseen: Frames | None = None  # the next step's, where several dreams are stepped together
        self.observation, self.painted, self.crash = observation, painted, crash
        self.most, self.arrivals = most, arrivals
        self.mounts = checked(mounts)
        known = {mount.name: mount for mount in self.mounts}
        unknown = [name for name in cameras if name not in known]
        if unknown or not cameras:
            raise BadInput(f"no camera {unknown[0] if unknown else ''!r}: the rig has {', '.join(known)}")
        self.cameras = [known[name] for name in cameras]
        self.drawn = [known[name] for name in cameras] if observation == "camera" else []
        self.reader: Any = None
        if reward == "observer":
            from reverie.eyes.reader import Reader

            self.drawn, self.reader = list(self.mounts), Reader(self.mounts, tuple(size))
        self.traces = None if traces is None else trace_files(traces)
        self.traffic, self.weather, self.seconds, self.size = traffic, weather, seconds, tuple(size)
        self.render_mode = render_mode
        one = picture_space(self.size)
        self.observation_space = one if len(self.cameras) == 1 else spaces().Dict(
            {mount.name: picture_space(self.size) for mount in self.cameras})
        if observation != "camera":
            self.observation_space = seeing.space(observation)
        self.action_space = action_space(2)
        self._open = contextlib.ExitStack()
        self.trace: Trace | None = None
        self.frames: dict[str, np.ndarray] = {}
        self.now = 0

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        """A new ride. Raises BadInput, BadData, and ReverieError without SUMO (where there is no trace) or MuJoCo."""
        super().reset(seed=seed)
        options = checked_options(options, ("trace",))
        self._open.close()
        chosen, self.now, self.gone = int(self.np_random.integers(2**31)), 0, []
        if self.live is None:
            trace, weather = self._recorded(chosen, options.get("trace"))
        elif options.get("trace"):
            raise BadInput("this ride's traffic is simulated as it goes: leave the option trace out")
        else:
            trace, weather = self.live.begin(chosen, self.seconds, FPS), of_seed(chosen, self.weather)
        self.trace = trace if self.traffic else _alone(trace)
        if self.road is not None:
            self._dream(chosen)
        self._lanes = Lanes(self.trace.net)
        ego, now = self.trace.ego, self.now
        self.car = Car(self.trace.place[now, ego].astype(float), float(self.trace.heading[now, ego]),
                       float(self.trace.speed[now, ego]), tuple(self.trace.size[ego].astype(float)))
        self.lanes, self.about = self._lanes.around(self.car.place, ROUND), self.car.place
        self.judge = Judge(self.trace, self.car, bool(self.traffic))
        way = None if self.live is None else np.concatenate([lane.line for lane in self.trace.net.lanes])
        if self.drawn and self.painted:
            self.stage: Any = Painter(self.trace, weather, self.size, chosen, way)
        elif self.drawn:
            from reverie.data.road.drawing import staged

            self.stage = self._open.enter_context(staged(self.trace, weather, self.size, chosen, way))
        self._draw()
        if self.reader is not None:
            self.reader.begin(self.frames)
        return self._observed(), {"seed": chosen, "weather": weather.name, **self._told()}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        """Four frames on. Raises BadInput for an action that is none."""
        if self.trace is None:
            raise BadInput("reset the environment before its first step")
        bend, acceleration = meant(action)
        if np.hypot(*(self.car.place - self.about)) > ROUND / 4:
            self.lanes, self.about = self._lanes.around(self.car.place, ROUND), self.car.place
        if self.ride is not None:
            self._imagine(bend, acceleration)
        elif self.live is not None and self.traffic:
            cars = [self.car]
            for _ in range(F):
                cars.append(cars[-1].moved(bend, acceleration, 1 / FPS))
            self.live.drive(self.trace, self.now, cars[2::2], self.gone)
            self.gone = []
        gone, ego = 0.0, self.trace.ego
        for _ in range(F):
            before = self.car
            self.car = before.moved(bend, acceleration, 1 / self.trace.fps)
            self.now = min(self.now + 1, self.trace.frames - 1)
            self.trace.place[self.now, ego], self.trace.heading[self.now, ego] = self.car.place, self.car.heading
            near = self.lanes.nearest(self.car.place, self.car.heading)
            along = float(np.hypot(*(self.car.place - before.place)) * np.cos(near.turned))
            gone += along
            self._take_away(self.judge.frame(self.car, self.now, near, along))
        self._draw()
        hard = seeing.braking(self.trace, self.now, self.lanes, self.judge.lights if self.traffic else None)
        reward = driven(gone * self.trace.fps / (near.limit * F), near.aside / near.half, hard)
        info = {**self._told(), "metres": gone, **self.judge.told()}
        if self.reader is not None:
            read = self.reader.read(self.frames)
            known = driven(read.speed * np.cos(read.lane.turned) / near.limit, read.lane.aside / read.lane.half,
                           read.braking)
            info |= {"read": read, "rewards": {"things": reward, "observer": known}}
            reward = known
        crashed, over = info["crash"], self.now + F >= self.trace.frames
        return self._observed(), self.crash if crashed else float(reward), bool(crashed), bool(over), info

    def render(self) -> np.ndarray | None:
        """The newest frame of the first camera, or the ride from above where no camera looks."""
        if self.trace is not None and self.observation != "camera":
            return seeing.above(self.trace, self.now)
        return self.frames[self.cameras[0].name].copy() if self.frames else None

    def close(self) -> None:
        """Let the renderer and SUMO go."""
        self._open.close()
        if self.live is not None:
            self.live.close()

    def _recorded(self, chosen: int, file: str | Path | None) -> tuple[Trace, Weather]:
        """A ride's traffic as it was recorded, or is simulated now, and its weather."""
        trace = None
        if file or self.traces:
            trace = _read(Path(file or self.traces[int(self.np_random.integers(len(self.traces)))]))
        longest = self.seconds if trace is None else min(self.seconds, trace.frames / trace.fps)
        fps = FPS if trace is None else trace.fps
        made = plan(chosen, longest, fps=fps, weather=self.weather, trace=trace, mounts=self.mounts, size=self.size)
        return replace(made.trace, **{name: getattr(made.trace, name).copy() for name in (
            "place", "heading", "speed", "exists")}), made.weather

    def _dream(self, seed: int) -> None:
        """Begin to imagine: the trace's first second is the past, and all behind it is forgotten."""
        trace, frames = self.trace, round(self.seconds * FPS) + PAST
        if trace.frames <= PAST:
            raise BadInput(f"a dream begins from a trace's first {PAST} frames, and this one has {trace.frames}")
        rows = np.arange(frames).clip(max=trace.frames - 1)
        cut = {name: getattr(trace, name)[rows].copy() for name in ("exists", "place", "heading", "speed", "lane",
                                                                    "signals", "actions")}
        lights = Lights(trace.net.programs, trace.signals, trace.fps, np.random.default_rng([seed, 47]))
        for t in range(trace.frames, frames):  # nobody recorded what they show then
            cut["signals"][t] = lights.at((t - trace.frames + 1) / trace.fps)
        self.trace, self.now = replace(trace, **cut), PAST - F
        self.trace.exists[self.now + 1 :] = False
        self.trace.exists[:, trace.ego] = True
        kept = np.isin(np.arange(len(trace.kinds)), nearest(self.trace, self.now)[: max(self.most, 1)])
        self.trace.exists &= kept
        others = int(self.trace.exists[self.now].sum()) > 1  # alone there is nothing to imagine
        self.ride = self.road.begin(self.trace, self.now, [seed], arrivals=self.arrivals) if others else None
        self.trace = self.trace if self.ride is None else _seated(self.trace, self.ride)

    def _take_away(self, agents: list[int]) -> None:
        """Let agents be there no more."""
        self.gone += agents
        for n in agents:
            self.trace.exists[self.now :, n] = False
            if self.ride is not None:
                self.ride.drive.now.there[0, np.flatnonzero(self.ride.agents == n)] = False

    def _imagine(self, bend: float, acceleration: float) -> None:
        """What everybody else does while our car acts, into the trace."""
        ride, trace = self.ride, self.trace
        ride.lights(trace.signals[self.now])
        acted = np.tile(np.array([bend, acceleration], np.float32), (1, F, 1))
        frames, self.foreseen = self.foreseen or ride.step(acted), None
        others = ride.agents != trace.ego
        agents, there = ride.agents[others], ride.drive.now.there[0].numpy()[others]
        for f in range(F):
            now = min(self.now + 1 + f, trace.frames - 1)
            trace.exists[now, agents] = there
            trace.place[now, agents] = frames.place[0, f].numpy()[others]
            trace.heading[now, agents] = frames.heading[0, f].numpy()[others]
            trace.speed[now, agents] = frames.speed[0, f].numpy()[others]

    def _draw(self) -> None:
        self.trace.speed[self.now, self.trace.ego] = self.car.speed
        if not self.drawn:
            return
        self.stage.at(self.now)
        place, heading = self.car.place[None], np.array([self.car.heading])
        for mount in self.drawn:
            path = mount.path(place, heading, self.size)
            self.stage.through(path, 0, self.size[1] / self.size[0], now=self.now)
            self.frames[mount.name] = np.empty((*self.size, 3), np.uint8)
            self.stage.picture(self.frames[mount.name])

    def _observed(self) -> Any:
        if self.observation != "camera":
            return seeing.observed(self.observation, self.trace, self.now, self.lanes,
                                   self.judge.lights if self.traffic else None)
        if len(self.cameras) == 1:
            return self.frames[self.cameras[0].name].copy()
        return {mount.name: self.frames[mount.name].copy() for mount in self.cameras}

    def _told(self) -> dict:
        near = self.lanes.nearest(self.car.place, self.car.heading)
        return {"speed": self.car.speed, "aside": near.aside, "turned": near.turned, "limit": near.limit}


@lru_cache(maxsize=256)
def _read(path: Path) -> Trace:
    """A trace, which nobody may change."""
    return Trace.load(path)


def meant(action: Any) -> tuple[float, float]:
    """Curvature (1/m) and acceleration (m/s^2) of an action. Raises BadInput for one that is none."""
    bend, pedal = checked_action(action, 2)
    return float(bend * TIGHTEST), float(pedal * (EAGER if pedal > 0 else HARDEST))


def driven(share: float, aside: float, hard: float) -> float:
    """A step's reward, of the share of the limit that was made along the lane, of half the lane's width by which it is
    beside its middle, and of how hard it must brake in m/s^2."""
    return min(share, 2 - share) - ASIDE * min(aside, 1.0) - LATE * min(max((hard - GENTLY) / HARD, 0.0), 1.0)


def acted(bend: float, push: float) -> tuple[float, float]:
    """The action that means a curvature (1/m) and an acceleration (m/s^2)."""
    return bend / TIGHTEST, push / (EAGER if push > 0 else HARDEST)


def _loaded(model: str | Path) -> Road:
    """The model of traffic. Raises BadInput where there is none, BadWeights."""
    path = None if str(model) == "base" else Path(model)
    if path is not None and not path.exists():
        raise BadInput(f"no model of traffic at {str(model)[:60]!r}: give base, or a folder or file of weights; leave "
                       "out model to drive in the true simulator")
    return Road.load(path)


def trace_files(traces: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files of a folder of traffic, or those that are given. Raises BadInput where there is none."""
    if isinstance(traces, (str, Path)):
        folder = Path(traces)
        found = sorted(folder.glob("*.npz")) if folder.is_dir() else [folder]
    else:
        found = [Path(one) for one in traces]
    missing = next((path for path in found if not path.is_file()), None)
    if missing is not None or not found:
        raise BadInput(f"no traffic in {missing or traces}: make some with: reverie data make road --traces DIR -o OUT")
    return found


def _seated(trace: Trace, ride: Ride) -> Trace:
    """A trace with a place for everybody who may come."""
    new = ride.agents >= len(trace.kinds)
    wide = {name: np.pad(getattr(trace, name), [(0, 0), (0, int(new.sum()))] + [(0, 0)] * (name == "place"))
            for name in ("exists", "place", "heading", "speed", "lane")}
    return replace(trace, **wide, kinds=[*trace.kinds, *(KINDS[n] for n in ride.drive.now.kind[0].numpy()[new])],
                   paints=np.concatenate([trace.paints, ride.paint[0, new]]),
                   size=np.concatenate([trace.size, ride.drive.now.size[0].numpy()[new]]))


def _alone(trace: Trace) -> Trace:
    """A trace without anybody else."""
    own = [trace.ego]
    cut = {name: getattr(trace, name)[:, own].copy() for name in ("exists", "place", "heading", "speed", "lane")}
    return from_start(replace(trace, **cut, kinds=[trace.kinds[trace.ego]], paints=trace.paints[own],
                              size=trace.size[own], ego=0))
