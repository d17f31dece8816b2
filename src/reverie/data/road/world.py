"""The road as a world: a plan is a trace of traffic, a weather and a rig; its clip has a view for each camera.

    plan(seed, seconds) -> Plan        SUMO's traffic around our car, or a trace that is given
    simulate(plan) -> Clip             things only
    draw(plan) -> Clip                 the same, with every camera's pictures
    ending(plan, seconds) -> Plan      its last seconds alone

World frame: our car starts at the origin and looks along y; metres. Same arguments, same bytes.
Legend: T frames, N agents.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from reverie.core.clip import Channel, Clip, Event, Truth
from reverie.core.errors import BadInput
from reverie.core.vocabulary import LOOK
from reverie.data.road.agents import PAINT_NAMES
from reverie.data.road.driver import EAGER, HARDEST, TIGHTEST
from reverie.data.road.net import Net
from reverie.data.road.rig import FOUR, Mount, checked
from reverie.data.road.telling import caption, command
from reverie.data.road.trace import Trace
from reverie.data.road.weather import WEATHERS, Weather, of_seed

__all__ = ["Plan", "about", "caption", "draw", "ending", "options", "plan", "simulate"]
SIZE = (128, 192)  # of each camera's picture
CHANNELS = (Channel("curvature", "1/m", -TIGHTEST, TIGHTEST, 0.0),
            Channel("acceleration", "m/s^2", -HARDEST, EAGER, 0.0),
            Channel("speed", "m/s", 0.0, None, 0.0, measured=True))
_SIZES = {"person": "small", "bicycle": "small", "car": "medium", "van": "large", "truck": "large"}
STANDS, HARD = 0.3, -4.0  # m/s; m/s^2 of hard braking
TOLD_BEFORE = 2.0  # seconds before it does something that the driver is told to
AHEAD = 28.0  # metres before our car in which what others do is told


@dataclass(frozen=True)
class Plan:
    """A clip decided in full. size: (H, W) of each camera's picture."""

    seed: int
    seconds: float
    fps: float
    split: str
    size: tuple[int, int]
    trace: Trace
    weather: Weather
    mounts: tuple[Mount, ...]


@dataclass(frozen=True)
class Look:
    """How a clip of the road is drawn: its weather, its cameras, size (H, W) of their pictures, and its seed."""

    weather: Weather
    mounts: tuple[Mount, ...]
    size: tuple[int, int]
    seed: int

    @classmethod
    def of(cls, about: dict) -> Look:
        """As the provenance of a clip of data says; what it does not say is as a clip of seed 0 by day would be."""
        seed = int(about.get("seed", 0))
        weather, name = of_seed(seed), about.get("weather", "day")
        rig = [Mount(**mount) for mount in about.get("rig", [])]
        height, width = about.get("size", SIZE)
        return cls(weather if weather.name == name else of_seed(seed, name), checked(rig or FOUR), (height, width),
                   seed)

    @property
    def pixels(self) -> int:
        """Of a moment, all cameras together."""
        return len(self.mounts) * self.size[0] * self.size[1]


def plan(seed: int, seconds: float, *, fps: float = 24.0, split: str = "train", size: tuple[int, int] | None = None,
         trace: Trace | None = None, weather: str | None = None, driver: str | None = None,
         mounts: Sequence[Mount] = FOUR) -> Plan:
    """Every decision of a clip. trace: traffic to be used instead of SUMO's, cut to the length; weather: one of
    WEATHERS, driver: one of driver.DRIVERS (None: drawn from the seed). Raises BadInput, and ReverieError without SUMO
    where there is no trace."""
    if weather is not None and weather not in WEATHERS:
        raise BadInput(f"no weather {weather!r}: {', '.join(WEATHERS)}")
    chosen = of_seed(seed, weather)
    if trace is None:
        from reverie.data.road.traffic import traffic

        trace = traffic(seed, seconds, fps=fps, driver=driver)
    frames = round(seconds * fps)
    if trace.fps != fps or trace.frames < frames:
        raise BadInput(f"a trace of {trace.frames} frames at {trace.fps:g} a second is no {seconds:g} s at {fps:g}")
    return Plan(seed, seconds, fps, split, tuple(size or SIZE), from_start(part(trace, 0, frames)), chosen,
                checked(mounts))


def options(key: str, seed: int, seconds: float, fps: float, *, rig: str = "", traces: str = "") -> dict:
    """What ``plan`` is given for a clip of data. rig: cameras as rig.saved wrote them; traces: a folder of traffic, in
    which the clip's own is KEY.npz: used where it is there, and kept there where it is not."""
    given: dict = {}
    if rig:
        given["mounts"] = checked([Mount(**mount) for mount in json.loads(rig)])
    if traces:
        path = Path(traces) / f"{key}.npz"
        if not path.exists():
            from reverie.data.road.traffic import traffic

            path.parent.mkdir(parents=True, exist_ok=True)
            traffic(seed, seconds, fps=fps).save(path)
        given["trace"] = kept = Trace.load(path)
        if kept.fps != fps or kept.frames < round(seconds * fps):
            raise BadInput(f"{path} has {kept.frames} frames at {kept.fps:g} a second, and the clip asks for "
                           f"{seconds:g} s at {fps:g}: another folder, or another length")
    return given


def about(plan: Plan) -> dict:
    """Who drives, the weather and the cameras; and what the driver was told, and when, in both languages: a line at the
    start, and one two seconds before each turn, stop and start."""
    rng = np.random.default_rng([plan.seed, 23])
    own = [event for event in events_of(plan.trace) if event.actor == plan.trace.ego and event.kind != "brakes"]
    told = [(0.0, None), *((max(event.start - TOLD_BEFORE, 0.0), event) for event in own)]
    commands = [{"start": start, **{language: command(event, language, rng) for language in ("en", "zh")}}
                for start, event in told]
    return {"driver": plan.trace.driver, "weather": plan.weather.name, "commands": commands,
            "rig": [asdict(mount) for mount in plan.mounts]}


def ending(plan: Plan, seconds: float) -> Plan:
    """The last seconds of a plan, as a plan of their own."""
    frames = min(round(seconds * plan.fps), plan.trace.frames)
    rest = from_start(part(plan.trace, plan.trace.frames - frames, plan.trace.frames))
    return replace(plan, seconds=frames / plan.fps, trace=rest)


def simulate(plan: Plan) -> Clip:
    """The things of a plan, without pictures."""
    clip = _clip(plan)
    own = plan.trace.place[:, plan.trace.ego], plan.trace.heading[:, plan.trace.ego]
    clip.cameras = {mount.name: mount.path(*own, plan.size) for mount in plan.mounts}
    return clip


def draw(plan: Plan, size: tuple[int, int] | None = None) -> Clip:
    """The whole clip, in pictures of (H, W) pixels (None: the plan's)."""
    from reverie.data.road.drawing import see

    clip = _clip(plan)
    seen, clip.cameras = see(plan.trace, plan.weather, plan.mounts, size or plan.size, plan.seed)
    for name, view in seen.items():
        clip.views[name] = view.frames
        clip.truth.boxes[name], clip.truth.visible[name], clip.truth.masks[name] = view.boxes, view.visible, view.masks
    return clip


def part(trace: Trace, start: int, stop: int) -> Trace:
    """Frames start to stop - 1 of a trace, with the agents that are there then."""
    kept = np.flatnonzero(trace.exists[start:stop].any(0))
    cut = {name: getattr(trace, name)[start:stop][:, kept] for name in ("exists", "place", "heading", "speed", "lane")}
    return replace(trace, **cut, kinds=[trace.kinds[n] for n in kept], paints=trace.paints[kept], size=trace.size[kept],
                   signals=trace.signals[start:stop], actions=trace.actions[start:stop],
                   ego=int(np.flatnonzero(kept == trace.ego)[0]),
                   turns=[(k - start, turn) for k, turn in trace.turns if start <= k < stop])


def from_start(trace: Trace) -> Trace:
    """A trace in the frame in which our car starts at the origin and looks along y."""
    origin, turn = trace.place[0, trace.ego].astype(float), np.pi / 2 - float(trace.heading[0, trace.ego])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def moved(points: np.ndarray) -> np.ndarray:
        return (points - origin) @ rotation.T

    net = trace.net
    lanes = tuple(replace(lane, line=moved(lane.line)) for lane in net.lanes)
    there = trace.exists
    outlines = tuple(map(moved, net.junctions)), tuple(map(moved, net.corners))
    return replace(trace, net=Net(lanes, *outlines, net.signals, net.programs),
                   place=np.where(there[..., None], moved(trace.place), 0.0),
                   heading=np.where(there, trace.heading + turn, 0.0))


def _clip(plan: Plan) -> Clip:
    trace = plan.trace
    frames, count = trace.exists.shape
    position = np.concatenate([trace.place, np.broadcast_to(trace.size[:, 2] / 2, (frames, count))[..., None]], -1)
    position = np.where(trace.exists[..., None], position, 0.0)
    cos, sin, flat = np.cos(trace.heading), np.sin(trace.heading), np.zeros_like(trace.heading)
    rotation = np.stack([np.stack([cos, -sin, flat], -1), np.stack([sin, cos, flat], -1),
                         np.stack([flat, flat, flat + 1], -1)], -2)
    velocity = trace.speed[..., None] * np.stack([cos, sin, flat], -1) * trace.exists[..., None]
    events = events_of(trace)
    truth = Truth(
        plan.weather.name, list(trace.kinds), [PAINT_NAMES[p] for p in trace.paints], [_SIZES[k] for k in trace.kinds],
        [""] * count, (trace.size / 2).astype(np.float32), trace.exists, position.astype(np.float32),
        rotation.astype(np.float32), velocity.astype(np.float32), np.zeros((frames, count), np.float32),
        np.zeros((0, 3), np.int32), events, _beats(events, frames / plan.fps), look=np.zeros(len(LOOK), np.float32),
        lane=trace.lane, ego=trace.ego)
    actions = np.column_stack([trace.actions, trace.speed[:, trace.ego]]).astype(np.float32)
    return Clip(plan.fps, actions=actions, action_names=tuple(channel.name for channel in CHANNELS), channels=CHANNELS,
                truth=truth)


# -- what happens -------------------------------------------------------------------------------------


def events_of(trace: Trace) -> list[Event]:
    """What our car does, and what others do ahead of it: "turns" (left, right, straight), "stops", "sets off",
    "brakes", "cuts in", "crosses", "comes" (the other way)."""
    fps, ego, frames = trace.fps, trace.ego, trace.frames
    found = [Event("turns", k / fps, min(k / fps + 2, frames / fps), ego, detail=turn) for k, turn in trace.turns
             if turn != "back"]
    speed = trace.speed[:, ego]
    stands = speed < STANDS
    for k in np.flatnonzero(np.diff(stands.astype(int))):
        if (stands[k + 1 : k + 1 + round(0.5 * fps)] == stands[k + 1]).all():
            found.append(Event("stops" if stands[k + 1] else "sets off", (k + 1) / fps, (k + 1) / fps, ego))
    hard = trace.actions[:, 1] < HARD
    for k in np.flatnonzero(np.diff(hard.astype(int), prepend=0) == 1):
        if hard[k : k + round(0.3 * fps)].all() and speed[k] > 3:
            found.append(Event("brakes", k / fps, k / fps, ego))
    gap = trace.place - trace.place[:, ego, None]
    cos, sin = np.cos(trace.heading[:, ego])[:, None], np.sin(trace.heading[:, ego])[:, None]
    ahead, aside = gap[..., 0] * cos + gap[..., 1] * sin, gap[..., 1] * cos - gap[..., 0] * sin
    near = trace.exists & (ahead > 2) & (ahead < AHEAD)
    for n, kind in enumerate(trace.kinds):
        if n == ego:
            continue
        if kind == "person":
            cross = [i for i, lane in enumerate(trace.net.lanes) if lane.use == "cross"]
            rows = near[:, n] & np.isin(trace.lane[:, n], cross) & (abs(aside[:, n]) < 6)
            _first(found, "crosses", rows, n, fps)
        else:
            turn = np.cos(trace.heading[:, n] - trace.heading[:, ego])
            before = np.zeros(frames, bool)  # whether it was beside a second ago
            before[round(fps) :] = (near[:, n] & (abs(aside[:, n]) > 2.0))[: max(frames - round(fps), 0)]
            rows = near[:, n] & (turn > 0.9) & (abs(aside[:, n]) < 1.2) & before & (speed > 1)
            _first(found, "cuts in", rows, n, fps)
            _first(found, "comes", near[:, n] & (turn < -0.9) & (abs(aside[:, n]) < 6), n, fps)
    return sorted(found, key=lambda event: (event.start, event.actor))


def _first(found: list[Event], what: str, rows: np.ndarray, agent: int, fps: float) -> None:
    """The first time that something holds for a quarter of a second."""
    least = max(round(0.25 * fps), 1)
    runs = np.convolve(rows, np.ones(least), "valid") == least
    if len(runs) and runs.any():
        start = int(np.argmax(runs))
        found.append(Event(what, start / fps, (start + least) / fps, agent))


def _beats(events: Sequence[Event], seconds: float) -> list[float]:
    """When a new line of the script begins: at what happens, at least a second after the one before."""
    beats = [0.0]
    for event in events:
        if event.start - beats[-1] >= 1.0 and event.start < seconds - 0.5:
            beats.append(float(event.start))
    return beats
