"""The road imagined: the model of traffic, loaded, and the futures of a trace that it can tell.

    model = Road.load()
    told = model.futures(trace, at=3.0, count=6, seconds=5.0)

Legend: K futures, T frames, N agents, P points of a line, S signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from reverie.core.errors import BadInput
from reverie.data.road import routes
from reverie.data.road.arrivals import GONE, Arrivals, Comer
from reverie.data.road.lights import Lights
from reverie.data.road.moments import F, checked
from reverie.data.road.trace import KINDS, Trace
from reverie.model.checkpoint import content_hash
from reverie.model.road.driving import Drive, Frames, Start
from reverie.model.road.sight import PAST, PERSON, STEP
from reverie.model.road.traffic import Traffic

WEIGHTS = Path(__file__).parent / "weights" / "road.safetensors"
MOST, REACH = 48, 90.0  # agents, the nearest to our car, and metres from it
HEAT = 0.3  # of the spread of what may come: at 1 the mean error of futures is 2.3 times the least, at 0.2 1.9 times
CHANGE = 0.03  # chance that who could is about to change lanes
LONG = 320  # points of a line that are kept
COMERS = 24  # seats of those who come, of one future
LOOK = 2  # latents from one look at who comes to the next


@dataclass
class Told:
    """Futures of a trace. place (K, T, N, 2) metres, heading and speed (K, T, N), there (K, T, N) from the frame after
    the past's last on; agents: which of the trace's these N are, those who came later numbered on from there; kind (K,
    N) places in trace.KINDS, paint (K, N), size (K, N, 3): who they are; actions (K, T, 2): our car's curvature and
    acceleration; ego: our car's place among the N; lines: of each future, of each agent the line (P, 2) that it was
    bound for, or None; signals (K, T, S): what the lights show, places in lights.LIGHTS."""

    place: np.ndarray
    heading: np.ndarray
    speed: np.ndarray
    there: np.ndarray
    agents: np.ndarray
    kind: np.ndarray
    paint: np.ndarray
    size: np.ndarray
    actions: np.ndarray
    ego: int
    lines: list[list[np.ndarray | None]]
    signals: np.ndarray


@dataclass
class Road:
    """The model of traffic. name: its file's name and hash."""

    network: Traffic
    meta: dict
    name: str = ""
    heat: float = HEAT

    @classmethod
    def load(cls, path: Path | str | None = None) -> Road:
        """From a file, or what ships. Raises BadWeights."""
        path = Path(path) if path is not None else WEIGHTS
        if path.is_dir():
            path = path / WEIGHTS.name
        network, meta = Traffic.load(path)
        heat = meta.get("sampling", {}).get("heat", HEAT)
        return cls(network, meta, f"{path.stem} {content_hash(path)}", heat)

    def begin(self, trace: Trace, frame: int, seeds: Sequence[int], *, mapped: bool = True,
              heat: float | None = None, arrivals: bool = False) -> Ride:
        """Futures that begin at a frame of a trace, one for each seed. mapped: whether its net and lights are known;
        arrivals: whether others come into what is imagined and go, which takes a net. Raises BadInput for a frame that
        has no past, BadData for a trace of another frame rate."""
        checked(trace)
        if not F <= frame < trace.frames:
            raise BadInput(f"futures begin at frame {F} at the earliest and {trace.frames - 1} at the latest, not "
                           f"{frame}")
        agents = near(trace, frame)
        roads = routes.Roads(trace.net) if mapped else None
        more = COMERS if arrivals and roads is not None else 0
        starts, lines, comers = [], [], []
        paint = np.tile(np.pad(trace.paints[agents], (0, more)), (len(seeds), 1))
        for k, seed in enumerate(seeds):
            rng = np.random.default_rng([seed, 41])
            own = [self._line(roads, trace, frame, int(n), rng) for n in agents]
            starts.append(_roomier(_start(trace, frame, agents, own, mapped), more))
            lines.append([*own, *[None] * more])
            if more:
                here = np.flatnonzero(trace.exists[frame])
                feet = np.array([trace.kinds[n] == "person" for n in here])
                comers.append(Arrivals(roads, trace.place[frame, here], feet, trace.place[frame, trace.ego],
                                       np.random.default_rng([seed, 53])))
                kinds, paint[k, len(agents):], sizes = comers[-1].bodies(more, float(feet.mean()))
                starts[-1].kind[len(agents):] = torch.tensor([KINDS.index(kind) for kind in kinds])
                starts[-1].size[len(agents):] = torch.from_numpy(sizes)
        start = Start(**{name: torch.stack([getattr(s, name) for s in starts]) for name in Start.__dataclass_fields__})
        drive = Drive(self.network, start, [int(s) % 2**63 for s in seeds], self.heat if heat is None else heat)
        lights = [Lights(trace.net.programs, trace.signals[: frame + 1], trace.fps, np.random.default_rng([s, 47]))
                  for s in seeds] if mapped else []
        return Ride(drive, trace, roads, agents, paint, lines, [np.random.default_rng([s, 43]) for s in seeds], lights,
                    comers)

    def _line(self, roads: routes.Roads | None, trace: Trace, frame: int, n: int, rng: np.random.Generator
              ) -> routes.Line | None:
        """The line that an agent is bound for in a future, None where that is not known."""
        place, heading = trace.place[frame, n].astype(float), float(trace.heading[frame, n])
        if roads is None:
            return None
        lane = int(trace.lane[frame, n])
        line = routes.guessed(roads, trace.kinds[n], place, heading, lane, rng, change=CHANGE)
        return line if line is not None and routes.fits(line, place, heading) else None

    def futures(self, trace: Trace, *, at: float, count: int, seconds: float, seed: int = 0, mapped: bool = True,
                actions: np.ndarray | None = None, heat: float | None = None) -> Told:
        """``count`` futures of a trace from second ``at`` on, seeds seed, seed + 1, ... actions (T, 2) or (K, T, 2):
        our car's curvature in 1/m and acceleration in m/s^2 of each frame; None: its own. Raises BadInput, BadData."""
        ride = self.begin(trace, round(at * trace.fps) // F * F, [seed + k for k in range(count)], mapped=mapped,
                          heat=heat)
        given = None if actions is None else np.broadcast_to(actions, (count, *actions.shape[-2:]))
        for n in range(-(-round(seconds * trace.fps) // F)):
            ride.step(None if given is None else _latent(given, n))
        return ride.told()


def near(trace: Trace, frame: int) -> np.ndarray:
    """The agents near our car in a frame, our car first, then the nearest."""
    far = np.hypot(*(trace.place[frame] - trace.place[frame, trace.ego]).T)
    there = np.flatnonzero(trace.exists[frame] & (far < REACH))
    order = there[far[there].argsort(kind="stable")]
    return np.concatenate([[trace.ego], order[order != trace.ego]])[:MOST]


def _latent(actions: np.ndarray, n: int) -> np.ndarray:
    """Actions (K, F, 2) of latent n; the last ones hold."""
    rows = (n * F + np.arange(F)).clip(max=actions.shape[1] - 1)
    return actions[:, rows]


class Ride:
    """Futures of a trace while they are made: what Drive does, and where it is written down."""

    def __init__(self, drive: Drive, trace: Trace, roads: routes.Roads | None, agents: np.ndarray, paint: np.ndarray,
                 lines: list[list[routes.Line | None]], chances: list[np.random.Generator],
                 programs: list[Lights], comers: list[Arrivals]) -> None:
        self.drive, self.trace, self.roads, self.lines = drive, trace, roads, lines
        self.chances, self.programs, self.comers = chances, programs, comers
        self.known, slots = len(agents), drive.now.kind.shape[1]  # behind the past's agents are those who come
        self.agents = np.concatenate([agents, len(trace.kinds) + np.arange(slots - self.known)])
        self.own = int(np.flatnonzero(agents == trace.ego)[0])  # our car's slot
        self.used = np.tile(np.arange(slots) < self.known, (len(chances), 1))  # slots that somebody has or had
        self.paint = paint
        self.made: list[tuple[np.ndarray, ...]] = []
        self.scripted = False  # whether somebody says what lights show

    def step(self, actions: np.ndarray | None = None):
        """A latent on; returns model.driving.Frames. actions (K, F, 2), NaN where the model chooses."""
        self.ready()
        given = None if actions is None else torch.tensor(np.asarray(actions), dtype=torch.float32)
        frames = self.drive.step(given)
        self.keep(frames)
        return frames

    def ready(self) -> None:
        """What must be so before a step: lines long enough, lights as late as it is."""
        if len(self.made) % LOOK == LOOK - 1:
            self._come_and_go()
        self._go_on()
        if self.programs and not self.scripted:
            self.drive.now.lights[:] = torch.from_numpy(self._shown(0))

    def _shown(self, frame: int) -> np.ndarray:
        """(K, S) int64: what lights show so many frames after the last that was made, if nobody says otherwise."""
        after = (len(self.made) * F + frame) / self.trace.fps
        return np.stack([lights.at(after) for lights in self.programs]).astype(np.int64)

    def keep(self, frames: Frames) -> None:
        """Write a step down."""
        there = self.drive.now.there[:, None].repeat(1, F, 1)  # copies: what is there changes
        lights = self.drive.now.lights.numpy().copy()
        shows = np.stack([lights if self.scripted or not self.programs else self._shown(f + 1) for f in range(F)], 1)
        self.made.append((*(t.numpy() for t in (frames.place, frames.heading, frames.speed, there, frames.actions)),
                          shows))

    def _go_on(self) -> None:
        """Give whoever nears its line's end a longer one."""
        now = self.drive.now
        if self.roads is None:
            return
        if len(self.made) % 3 == 2:
            self._find_walks()
        short = (now.count > 0) & (now.count - now.cursor < 76 + routes.AHEAD)
        for k, n in torch.nonzero(short & now.there).tolist():
            old, place = self.lines[k][n], now.past[k, n, -1, :2].numpy()
            if old is None:
                continue
            left = len(old.points) - int(np.hypot(*(old.points - place).T).argmin())
            if left < 76 + routes.AHEAD and self.roads.steps(old.lanes[-1]):
                longer = self.roads.chain(self.roads.extended(old.lanes[-4:], 150.0, self.chances[k]))
                old = longer if routes.fits(longer, place, float(now.past[k, n, -1, 2])) else old
            if old is not self.lines[k][n] or left > int(now.count[k, n] - now.cursor[k, n]):
                self.put(k, n, old)

    def _find_walks(self) -> None:
        """A line for people who had none and have come to a pavement or a crossing, or near one."""
        now = self.drive.now
        for k, n in torch.nonzero((now.count == 0) & (now.kind == PERSON) & now.there).tolist():
            x, y, heading, speed = (float(v) for v in now.past[k, n, -1])
            place = np.array([x, y])
            if speed > 0.3:
                line = routes.guessed(self.roads, "person", place, heading, routes.walk_at(self.roads, place),
                                      self.chances[k])
                if line is not None and routes.fits(line, place, heading):
                    self.put(k, n, line)

    def _come_and_go(self) -> None:
        """Let others come at the edge of what is imagined, and those go who are far beyond it."""
        now = self.drive.now
        for k, comers in enumerate(self.comers):
            place, kinds = now.past[k, :, -1, :2].numpy(), now.kind[k].numpy()
            car, empty = place[self.own], self.known + np.flatnonzero(~now.there[k, self.known :].numpy())
            now.there[k] &= torch.from_numpy(np.hypot(*(place - car).T) < GONE)
            here = now.there[k].numpy()
            free = {int(n): KINDS[kinds[n]] for n in empty[self.used[k, empty].argsort(kind="stable")]}
            for comer in comers.look(place[here], (kinds == PERSON)[here], car, free):
                self._seat(k, comer)

    def _seat(self, k: int, comer: Comer) -> None:
        """Let one who comes have its seat in future k, as if it had always driven so."""
        now, n = self.drive.now, comer.seat
        now.there[k, n], now.seen[k, n], self.used[k, n] = True, True, True
        way = np.array([np.cos(comer.heading), np.sin(comer.heading)])
        back = comer.speed * STEP * np.arange(PAST, -1, -1)[:, None]
        past = np.concatenate([comer.place - back * way, np.tile([comer.heading, comer.speed], (PAST + 1, 1))], 1)
        now.past[k, n] = torch.from_numpy(past.astype(np.float32))
        self.put(k, n, comer.line)

    def lights(self, shows: np.ndarray) -> None:
        """What the signals (S,) show from now on, in every future."""
        self.scripted, lights = True, self.drive.now.lights
        lights[:] = torch.from_numpy(np.asarray(shows, np.int64))[: lights.shape[1]]

    def put(self, k: int, n: int, line: routes.Line | None) -> None:
        """Let agent n of future k be bound for a line from now on."""
        now = self.drive.now
        place = now.past[k, n, -1, :2].numpy()
        points, about, count, cursor = _kept(line, place)
        now.points[k, n], now.about[k, n] = torch.from_numpy(points), torch.from_numpy(about)
        now.count[k, n], now.cursor[k, n] = count, cursor
        self.lines[k][n] = line

    def told(self) -> Told:
        """What was made so far."""
        place, heading, speed, there, actions, lights = (np.concatenate(parts, 1)
                                                         for parts in zip(*self.made, strict=True))
        lines = [[None if line is None else line.points for line in own] for own in self.lines]
        now = self.drive.now
        kind, size = now.kind.numpy().copy(), now.size.numpy().copy()
        return Told(place, heading, speed, there, self.agents, kind, self.paint.copy(), size, actions, self.own, lines,
                    lights)

    def trace_of(self, k: int, *, past: int = 0, frame: int = 0) -> Trace:
        """Future k as a trace of its own, behind ``past`` frames of the true one that end with ``frame``."""
        told, old = self.told(), self.trace
        rows = slice(frame + 1 - past, frame + 1)
        known = self.agents[self.agents < len(old.kinds)]

        def joined(before: np.ndarray, after: np.ndarray) -> np.ndarray:
            first = np.zeros((past, *after.shape[1:]), before.dtype)
            first[:, : len(known)] = before[rows][:, known] if past else first[:, : len(known)]
            return np.concatenate([first, after]).astype(before.dtype)

        there = joined(old.exists, told.there[k])
        signals = told.signals[k] if told.signals.shape[2] else np.repeat(old.signals[frame : frame + 1],
                                                                          len(told.there[k]), 0)
        signals = np.concatenate([old.signals[rows], signals]) if past else signals
        return replace(old, kinds=[KINDS[n] for n in told.kind[k]], paints=told.paint[k],
                       size=told.size[k], exists=there, place=joined(old.place, told.place[k]),
                       heading=joined(old.heading, told.heading[k]), speed=joined(old.speed, told.speed[k]),
                       lane=np.full(there.shape, -1, np.int16), signals=signals.astype(np.uint8), ego=told.ego,
                       actions=np.concatenate([old.actions[rows], told.actions[k]]) if past else told.actions[k],
                       turns=[])


def _kept(line: routes.Line | None, place: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int]:
    """A line's points (LONG, 2) and about (LONG, 5) from shortly behind a place on, how many, and the nearest."""
    points, about = np.zeros((LONG, 2), np.float32), np.zeros((LONG, 5), np.float32)
    if line is None:
        return points, about, 0, 0
    nearest = int(np.hypot(*(line.points - place).T).argmin())
    first = max(nearest - 12, 0)
    kept = line.points[first : first + LONG]
    points[: len(kept)], about[: len(kept)] = kept, line.about[first : first + LONG]
    return points, about, len(kept), nearest - first


def _roomier(start: Start, more: int) -> Start:
    """A future's start with empty seats for so many more agents."""
    def grown(value: torch.Tensor) -> torch.Tensor:
        return torch.cat([value, value.new_zeros(more, *value.shape[1:])])

    agents = {name: grown(getattr(start, name)) for name in ("kind", "size", "ego", "there", "past", "seen", "points",
                                                             "about", "count", "cursor")}
    return replace(start, **agents)


def _start(trace: Trace, frame: int, agents: np.ndarray, lines: list, mapped: bool) -> Start:
    """Where one future begins."""
    rows = frame - F * np.arange(PAST, -1, -1)
    known = rows >= 0
    rows = rows.clip(0)
    seen = trace.exists[rows][:, agents].T & known
    place = trace.place[rows][:, agents].transpose(1, 0, 2).astype(np.float32)
    heading = trace.heading[rows][:, agents].T.astype(np.float32)
    speed = trace.speed[rows][:, agents].T.astype(np.float32)
    gone = np.hypot(*np.diff(place, axis=1).transpose(2, 0, 1)) / STEP
    both = seen[:, 1:] & seen[:, :-1]
    speed[:, 1:] = np.where(both, gone, speed[:, 1:])
    kept = [_kept(line, trace.place[frame, n]) for line, n in zip(lines, agents, strict=True)]
    points, about, count, cursor = (np.stack([row[c] for row in kept]) for c in range(4))
    signals = trace.signals[frame].astype(np.int64) if mapped else np.zeros(0, np.int64)
    past = np.concatenate([place, heading[..., None], speed[..., None]], -1)
    return Start(torch.tensor([KINDS.index(trace.kinds[n]) for n in agents]), torch.from_numpy(trace.size[agents]),
                 torch.from_numpy(agents == trace.ego), torch.ones(len(agents), dtype=torch.bool),
                 torch.from_numpy(past), torch.from_numpy(seen),
                 torch.tensor(float(trace.speed[frame, trace.ego])), torch.from_numpy(points), torch.from_numpy(about),
                 torch.from_numpy(count), torch.from_numpy(cursor), torch.from_numpy(signals))
