"""reverie/Road-v0: keep to a lane, a car of the bicycle model among traffic that was recorded; and
reverie/RoadDream-v0, the same ride among traffic that is imagined.

In truth others drive as they did in the trace and do not heed our car; in the dream the model of traffic moves them,
and they do. Pictures are drawn by MuJoCo in both. Running into somebody ends the episode.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reverie.core.errors import BadInput
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.road.driver import EAGER, HARDEST, TIGHTEST, Car
from reverie.data.road.lanes import Lanes, corners, meet
from reverie.data.road.rig import FOUR, Mount, checked
from reverie.data.road.trace import Trace
from reverie.data.road.world import SIZE, from_start, plan
from reverie.envs import seeing
from reverie.envs.base import Env, action_space, checked_action, checked_options, picture_space, spaces
from reverie.road import Ride, Road

FPS = 24.0
SHOULDER = 0.6  # metres beyond a lane's edge that our car's middle may stray
CRASH = -5.0  # reward of leaving the road, and of running into somebody
ASIDE = 0.5  # taken off a step's reward at the lane's edge
PAST = 24  # frames of a trace from which a dream goes on
F = FRAMES_PER_LATENT


class RoadEnv(Env):
    """Observation "camera": the newest frame of the camera that looks ahead, uint8 (H, W, 3); with several ``cameras``,
    a dict of all; "above": uint8 (128, 128, 3), the 70 m around our car from above, its way up; "vector": float32
    (VECTOR,), see ``envs.seeing``; neither of these needs MuJoCo.

    Action (2,) in -1..1: curvature (1 is the tightest circle, 0.18 / m, to the left) and acceleration (1 is
    2.5 m/s^2, -1 braking with 7). Reward: metres along the nearest lane as a share of what its limit allows (1.2 at the
    most), less ASIDE at the lane's edge; CRASH at the end of a ride that left the road or ran into somebody, which is
    terminated; truncated after ``seconds``, or at the trace's end.

    model: None drives in truth; "base", or a folder or file of weights, has everybody else imagined from the ride's
    first second on (lights stay as recorded, then as they are; nobody new comes). traces: a folder of traffic,
    or such files, as ``reverie data make road --traces DIR`` keeps them: with it no SUMO is needed; None simulates.
    traffic: False drives alone. weather: see data.road.weather, None draws one. mounts: the rig; cameras: names of it.
    reset's options: trace, a file.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 6}

    def __init__(self, model: str | None = None, *, traces: str | Path | Sequence[str | Path] | None = None,
                 traffic: bool = True, weather: str | None = "day", seconds: float = 20.0,
                 mounts: Sequence[Mount] = FOUR, cameras: Sequence[str] = ("front",), size: tuple[int, int] = SIZE,
                 observation: str = "camera", render_mode: str | None = None) -> None:
        if observation not in ("camera", "above", "vector"):
            raise BadInput(f"no observation {str(observation)[:30]!r}: camera, above or vector")
        self.road = None if model is None else _loaded(model)
        self.ride: Ride | None = None
        self.observation = observation
        self.mounts = checked(mounts)
        known = {mount.name: mount for mount in self.mounts}
        unknown = [name for name in cameras if name not in known]
        if unknown or not cameras:
            raise BadInput(f"no camera {unknown[0] if unknown else ''!r}: the rig has {', '.join(known)}")
        self.cameras = [known[name] for name in cameras]
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
        chosen, trace = int(self.np_random.integers(2**31)), None
        if options.get("trace") or self.traces:
            pick = options.get("trace") or self.traces[int(self.np_random.integers(len(self.traces)))]
            trace = Trace.load(pick)
        longest = self.seconds if trace is None else min(self.seconds, trace.frames / trace.fps)
        fps = FPS if trace is None else trace.fps
        made = plan(chosen, longest, fps=fps, weather=self.weather, trace=trace, mounts=self.mounts, size=self.size)
        self.trace = _alone(made.trace) if not self.traffic else replace(
            made.trace, place=made.trace.place.copy(), heading=made.trace.heading.copy())
        self.now = 0
        if self.road is not None:
            self._dream(chosen)
        self.lanes = Lanes(self.trace.net)
        ego, now = self.trace.ego, self.now
        self.car = Car(self.trace.place[now, ego].astype(float), float(self.trace.heading[now, ego]),
                       float(self.trace.speed[now, ego]), tuple(self.trace.size[ego].astype(float)))
        if self.observation == "camera":
            from reverie.data.road.drawing import staged

            self.stage = self._open.enter_context(staged(self.trace, made.weather, self.size, chosen))
        self._draw()
        return self._observed(), {"seed": chosen, "weather": made.weather.name, **self._told()}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        """Four frames on. Raises BadInput for an action that is none."""
        if self.trace is None:
            raise BadInput("reset the environment before its first step")
        bend, pedal = checked_action(action, 2)
        acceleration = pedal * (EAGER if pedal > 0 else HARDEST)
        if self.ride is not None:
            self._imagine(bend * TIGHTEST, acceleration)
        gone, crashed, ego = 0.0, "", self.trace.ego
        for _ in range(F):
            before = self.car
            self.car = before.moved(bend * TIGHTEST, acceleration, 1 / self.trace.fps)
            self.now = min(self.now + 1, self.trace.frames - 1)
            self.trace.place[self.now, ego], self.trace.heading[self.now, ego] = self.car.place, self.car.heading
            near = self.lanes.nearest(self.car.place, self.car.heading)
            gone += float(np.hypot(*(self.car.place - before.place))) * np.cos(near.turned)
            crashed = crashed or ("left the road" if near.aside > near.half + SHOULDER else "") or self._hit()
        self._draw()
        allowed = near.limit * F / self.trace.fps
        reward = min(gone / allowed, 1.2) - ASIDE * min(near.aside / near.half, 1.0)
        info = {**self._told(), "metres": gone, "crash": crashed}
        over = self.now + F >= self.trace.frames
        return self._observed(), CRASH if crashed else float(reward), bool(crashed), bool(over), info

    def render(self) -> np.ndarray | None:
        """The newest frame of the first camera, or the ride from above where no camera looks."""
        if self.trace is not None and self.observation != "camera":
            return seeing.above(self.trace, self.now)
        return self.frames[self.cameras[0].name].copy() if self.frames else None

    def close(self) -> None:
        """Let the renderer go."""
        self._open.close()

    def _dream(self, seed: int) -> None:
        """Begin to imagine: the trace's first second is the past, and all behind it is forgotten."""
        trace, frames = self.trace, round(self.seconds * FPS) + PAST
        if trace.frames <= PAST:
            raise BadInput(f"a dream begins from a trace's first {PAST} frames, and this one has {trace.frames}")
        rows = np.arange(frames).clip(max=trace.frames - 1)
        cut = {name: getattr(trace, name)[rows].copy() for name in ("exists", "place", "heading", "speed", "lane",
                                                                    "signals", "actions")}
        self.trace, self.now = replace(trace, **cut), PAST - F
        self.trace.exists[self.now + 1 :] = False
        self.trace.exists[:, trace.ego] = True
        self.ride = self.road.begin(self.trace, self.now, [seed])

    def _imagine(self, bend: float, acceleration: float) -> None:
        """What everybody else does while our car acts, into the trace."""
        ride, trace = self.ride, self.trace
        ride.lights(trace.signals[self.now])
        frames = ride.step(np.tile(np.array([bend, acceleration], np.float32), (1, F, 1)))
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
        if self.observation != "camera":
            return
        self.stage.at(self.now)
        place, heading = self.car.place[None], np.array([self.car.heading])
        for mount in self.cameras:
            path = mount.path(place, heading, self.size)
            self.stage.through(path, 0, self.size[1] / self.size[0], now=self.now)
            self.frames[mount.name] = np.empty((*self.size, 3), np.uint8)
            self.stage.picture(self.frames[mount.name])

    def _observed(self) -> Any:
        if self.observation != "camera":
            return seeing.observed(self.observation, self.trace, self.now, self.lanes)
        if len(self.cameras) == 1:
            return self.frames[self.cameras[0].name].copy()
        return {name: frame.copy() for name, frame in self.frames.items()}

    def _told(self) -> dict:
        near = self.lanes.nearest(self.car.place, self.car.heading)
        return {"speed": self.car.speed, "aside": near.aside, "turned": near.turned, "limit": near.limit}

    def _hit(self) -> str:
        """Whom our car overlaps now, in words."""
        trace, t = self.trace, self.now
        own = corners(self.car.place, self.car.heading, self.car.size)
        far = np.hypot(*(trace.place[t] - self.car.place).T)
        for n in np.flatnonzero(trace.exists[t] & (far < 8.0)):
            if n != trace.ego and meet(own, corners(trace.place[t, n], float(trace.heading[t, n]), trace.size[n])):
                return f"ran into a {trace.kinds[n]}"
        return ""


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


def _alone(trace: Trace) -> Trace:
    """A trace without anybody else."""
    own = [trace.ego]
    cut = {name: getattr(trace, name)[:, own].copy() for name in ("exists", "place", "heading", "speed", "lane")}
    return from_start(replace(trace, **cut, kinds=[trace.kinds[trace.ego]], paints=trace.paints[own],
                              size=trace.size[own], ego=0))
