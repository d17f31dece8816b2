"""Traffic on a random net: SUMO drives cars, vans, trucks and bicycles and lets people walk, and one car is ours.

    traffic(seed, seconds) -> Trace

SUMO's own agents heed our car, which it is told to move where our driver took it.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reverie.core.errors import BadInput, ReverieError
from reverie.data.road import net as nets
from reverie.data.road.agents import PAINTS
from reverie.data.road.driver import DRIVERS, Car, Driver, Sight, Way
from reverie.data.road.lights import LIGHTS, letter
from reverie.data.road.trace import Trace

# of each kind: SUMO's class, length, width, height in metres, share of the traffic
BODIES = {"car": ("passenger", 4.4, 1.8, 1.5, 0.66), "van": ("delivery", 5.2, 2.0, 2.2, 0.12),
          "truck": ("truck", 7.5, 2.4, 3.2, 0.08), "bicycle": ("bicycle", 1.8, 0.6, 1.7, 0.14)}
PERSON = (0.4, 0.5, 1.72)
SETTLE = 30.0  # seconds that traffic runs before the clip
VEHICLES, WALKERS = (30, 90), (20, 70)  # on a net
NEAR = 90.0  # metres from our car within which an agent belongs to the clip
EGO = "ego"


def traffic(seed: int, seconds: float, *, fps: float = 24.0, driver: str | None = None) -> Trace:
    """Simulate a clip's traffic. Same arguments, same trace. driver: one of DRIVERS (None: drawn).

    Raises BadInput for an unknown driver or a length that is none, ReverieError without SUMO.
    """
    if driver is not None and driver not in DRIVERS:
        raise BadInput(f"no driver {driver!r}: {', '.join(DRIVERS)}")
    if not (0.1 <= seconds <= 600 and 1 <= fps <= 120):
        raise BadInput(f"{seconds:g} s at {fps:g} frames a second: give 0.1 to 600 s and 1 to 120")
    with started(seed, fps, driver) as parts:
        return Run(*parts).clip(seconds)


@contextlib.contextmanager
def started(seed: int, fps: float, driver: str | None = None, more: Sequence[str] = ()) -> Iterator[tuple[Any, ...]]:
    """SUMO on a seed's net, without anybody yet: what a Run is made of. more: of SUMO's options. Raises ReverieError
    without SUMO."""
    try:
        import libsumo
    except ImportError as error:
        raise ReverieError('traffic needs SUMO: pip install "reverie[traffic]"') from error
    rng = np.random.default_rng([seed, 11])
    manner = driver or str(rng.choice(DRIVERS, p=[0.4, 0.25, 0.15, 0.2]))
    with tempfile.TemporaryDirectory() as folder:
        path = nets.made(seed, Path(folder))
        net, letters = nets.read(path)
        kinds = Path(folder) / "kinds.add.xml"
        kinds.write_text("<additional>" + "".join(
            f'<vType id="{name}" vClass="{kind}" length="{length}" width="{width}" height="{height}" sigma="0.4"/>'
            for name, (kind, length, width, height, _) in BODIES.items()) + "</additional>")
        libsumo.start(["sumo", "-n", str(path), "-a", str(kinds), "--step-length", str(2 / fps),
                       "--seed", str(seed % 2**31),
                       "--no-step-log", "--no-warnings", "--collision.action", "none", "--time-to-teleport", "-1",
                       "--lanechange.duration", "2.5", "--pedestrian.striping.dawdling", "0.1", *more])
        try:
            yield libsumo, net, letters, fps, manner, rng
        finally:
            libsumo.close()


class Run:
    """One simulation. Two frames are one of SUMO's steps; between them others go straight."""

    keep = 2  # SUMO's keepRoute: our car may be beside every lane, of which SUMO now and then dies; 0: on the nearest

    def __init__(self, sumo, net: nets.Net, letters: list[tuple[str, int]], fps: float, manner: str,
                 rng: np.random.Generator) -> None:
        self.sumo, self.net, self.letters, self.fps, self.manner, self.rng = sumo, net, letters, fps, manner, rng
        self.lanes = {f"{lane.road}_{lane.index}": n for n, lane in enumerate(net.lanes)}
        self.names: dict[str, int] = {}
        self.kinds: list[str] = []
        self.sizes: list[tuple[float, float, float]] = []

    def clip(self, seconds: float) -> Trace:
        """Let traffic settle, then drive."""
        frames = round(seconds * self.fps)
        way, car = self.settled(seconds)
        driver = Driver(way, self.manner, self.fps, self.rng)
        rows, ego, actions, lights = [self._others()], [car], [], [self._lights()]
        for _ in range(-(-frames // 2)):
            for _ in range(2):
                actions.append(driver.act(ego[-1], self._sight(rows[-1], lights[-1])))
                ego.append(ego[-1].moved(*actions[-1], 1 / self.fps))
            self._place(ego[-1])
            self.sumo.simulationStep()
            rows.append(self._others())
            lights.append(self._lights())
        return self._trace(frames, way, rows, ego, actions, lights)

    def settled(self, seconds: float) -> tuple[Way, Car]:
        """Let traffic settle; a way for our car, for so many seconds, and the car at its start."""
        self._people()
        for _ in range(round(SETTLE * self.fps / 2)):
            self.sumo.simulationStep()
        return self._begin(seconds)

    def _people(self) -> None:
        """Vehicles and walkers, each with somewhere to go."""
        rng, names = self.rng, list(BODIES)
        self.drive = sorted({x.road for x in self.net.lanes if x.use == "drive" and not x.inside})
        shares = np.array([body[-1] for body in BODIES.values()])
        for n in range(int(rng.integers(*VEHICLES))):
            self._sent(f"v{n}", str(rng.choice(names, p=shares / shares.sum())), f"r{n}", (0.0, SETTLE + 8))
        for n in range(int(rng.integers(*WALKERS))):
            self._sent(f"p{n}", "person", "", (0.0, SETTLE))

    def _sent(self, name: str, kind: str, route: str, when: tuple[float, float]) -> bool:
        """Let somebody set out on a way that is drawn, in a span of seconds; whether there is a way."""
        sumo, rng = self.sumo, self.rng
        one, two = rng.choice(self.drive, 2, replace=False)
        if kind == "person":
            stages = sumo.simulation.findIntermodalRoute(one, two)
            found = bool(stages and stages[0].edges) and self._walks(list(stages[0].edges))
            if found:
                at = min(float(rng.uniform(2, 30)), sumo.lane.getLength(f"{one}_0"))  # some streets are short
                sumo.person.add(name, one, at, depart=float(rng.uniform(*when)))
                sumo.person.appendWalkingStage(name, list(stages[0].edges), -1)
                sumo.person.setSpeed(name, float(rng.uniform(1.0, 1.7)))
            return found
        edges = sumo.simulation.findRoute(one, two, kind).edges
        edges = list(edges) + list(sumo.simulation.findRoute(two, one, kind).edges)[1:] * (len(edges) > 0)
        if len(edges) > 1:
            sumo.route.add(route, edges)
            sumo.vehicle.add(name, route, kind, depart=str(rng.uniform(*when)), departLane="best",
                             departPos="random_free", departSpeed="max")
        return len(edges) > 1

    def _walks(self, edges: list[str]) -> bool:
        """Whether SUMO can walk these. Who only wants to the other side of his street may set out backwards, and where
        nothing leads across at that end SUMO dies of it."""
        sumo, one = self.sumo, edges[0]
        node = sumo.edge.getFromJunction(one)
        if len(edges) < 2 or sumo.edge.getToJunction(edges[1]) != node:
            return True
        parts = [edge for edge in sumo.junction.getIncomingEdges(node) if edge.startswith((f":{node}_w", f":{node}_c"))]
        joined = [(edge, link[0].rpartition("_")[0]) for edge in (*parts, edges[1]) for link in sumo.lane.getLinks(
            f"{edge}_0")]
        reached, before = {edges[1]}, 0
        while len(reached) > before:
            before = len(reached)
            reached |= {edge for pair in joined if not reached.isdisjoint(pair) for edge in pair}
        return one in reached

    def _begin(self, seconds: float) -> tuple[Way, Car]:
        """A way for our car that starts where nobody is, and the car there."""
        others = np.array([row[0] for row in self._others().values()]).reshape(-1, 2)
        starts = [n for n, x in enumerate(self.net.lanes) if x.use == "drive" and not x.inside and x.length > 30]
        best: tuple[float, Way, float] | None = None
        for _ in range(24):
            way = Way.random(self.net, int(self.rng.choice(starts)), 30 + 15 * seconds, self.rng)
            at = float(self.rng.uniform(6, max(7, min(45, way.along[-1] / 3))))
            room = min(float(np.hypot(*(others - way.at(at)).T).min()) if len(others) else 99.0, 14.0)
            score = room + min(way.along[-1] - at, 14 * seconds) / 10
            if best is None or score > best[0]:
                best = score, way, at
        _, way, at = best
        gap = way.at(at + 1) - way.at(at)
        limit = float(np.interp(at, way.along, way.limits))
        car = Car(way.at(at), float(np.arctan2(gap[1], gap[0])), float(self.rng.uniform(0.3, 0.9)) * limit)
        lane = self.net.lanes[int(way.lanes[int(np.searchsorted(way.along, at))])]
        self.sumo.route.add("ours", [lane.road])
        self.sumo.vehicle.add(EGO, "ours", "car", departLane=str(lane.index), departPos=str(min(at, lane.length - 1)),
                              departSpeed="0")
        self._place(car)
        return way, car

    def _place(self, car: Car) -> None:
        """Tell SUMO where our car is; its foremost point is what SUMO moves."""
        front = car.place + 0.5 * car.size[0] * np.array([np.cos(car.heading), np.sin(car.heading)])
        try:
            self.sumo.vehicle.moveToXY(EGO, "", -1, *front, angle=90 - np.degrees(car.heading), keepRoute=self.keep)
            self.sumo.vehicle.setSpeed(EGO, car.speed)
        except self.sumo.TraCIException:
            pass  # far from every road: then SUMO's agents don't see it for a while

    def _others(self) -> dict[int, tuple[np.ndarray, float, float, int]]:
        """Everyone but us now: number -> place of the middle, heading, speed, lane."""
        sumo, out = self.sumo, {}
        for name in sumo.vehicle.getIDList():
            if name != EGO:
                kind = sumo.vehicle.getTypeID(name)
                heading = np.radians(90 - sumo.vehicle.getAngle(name))
                front = np.array(sumo.vehicle.getPosition(name)[:2])
                place = front - 0.5 * BODIES[kind][1] * np.array([np.cos(heading), np.sin(heading)])
                number = self._number(name, kind, BODIES[kind][1:4])
                lane = self.lanes.get(sumo.vehicle.getLaneID(name), -1)
                out[number] = place, heading, sumo.vehicle.getSpeed(name), lane
        for name in sumo.person.getIDList():
            number = self._number(name, "person", PERSON)
            out[number] = (np.array(sumo.person.getPosition(name)[:2]), np.radians(90 - sumo.person.getAngle(name)),
                           sumo.person.getSpeed(name), self.lanes.get(sumo.person.getLaneID(name), -1))
        return out

    def _number(self, name: str, kind: str, size: tuple[float, float, float]) -> int:
        if name not in self.names:
            self.names[name] = len(self.kinds)
            self.kinds.append(kind)
            self.sizes.append(size)
        return self.names[name]

    def _lights(self) -> str:
        """What each of the net's signals shows: letters of LIGHTS."""
        states = {tl: self.sumo.trafficlight.getRedYellowGreenState(tl) for tl in {tl for tl, _ in self.letters}}
        return "".join(letter(states[tl][place]) for tl, place in self.letters)

    def _sight(self, row: dict, lights: str) -> Sight:
        numbers = list(row)
        return Sight(np.array([row[n][0] for n in numbers]).reshape(-1, 2), np.array([row[n][2] for n in numbers]),
                     np.array([self.sizes[n][0] / 2 for n in numbers]), lights)

    def _trace(self, frames: int, way: Way, rows: list[dict], ego: list[Car], actions: list, lights: list[str]
               ) -> Trace:
        """All of it, frame by frame, and of the others those that come near."""
        count = len(self.kinds)
        there = np.zeros((len(rows), count + 1), bool)
        state = np.full((len(rows), count + 1, 4), np.nan)
        lane = np.full((len(rows), count + 1), -1, np.int16)
        for k, row in enumerate(rows):
            for n, (place, heading, speed, number) in row.items():
                there[k, n + 1], state[k, n + 1], lane[k, n + 1] = True, (*place, heading, speed), number
        state[..., 2] = _unwrapped(state[..., 2])
        half = np.arange(frames) / 2
        low, high, share = half.astype(int), np.ceil(half).astype(int), (half % 1)[:, None, None]
        out = (1 - share) * state[low] + share * state[high]
        exists, lanes = there[low] & there[high], lane[low]
        exists[:, 0] = True
        for k, car in enumerate(ego[:frames]):
            out[k, 0] = *car.place, car.heading, car.speed
            lanes[k, 0] = way.lanes[int(np.searchsorted(way.along, way.nearest(car.place)).clip(0, len(way.lanes) - 1))]
        far = np.hypot(*(out[..., :2] - out[:, :1, :2]).transpose(2, 0, 1))
        near = np.flatnonzero((exists & (np.nan_to_num(far, nan=np.inf) < NEAR)).any(0))
        exists = exists[:, near]
        out = np.where(exists[..., None], out[:, near], 0.0)
        signals = np.array([[LIGHTS.index(x) for x in lights[k]] for k in low], np.uint8).reshape(frames, -1)
        size = np.array([ego[0].size, *self.sizes], np.float32)[near]
        along = np.array([way.nearest(car.place) for car in ego[:frames]])
        turns = [(int(np.argmax(along >= far)), turn) for far, turn in way.turns if along[0] < far <= along.max()]
        kinds = [["car", *self.kinds][n] for n in near]
        paints = self.rng.integers(len(PAINTS), size=len(near)).astype(np.uint8)
        return Trace(self.net, self.fps, kinds, paints, size, exists, out[..., :2], out[..., 2], out[..., 3],
                     np.where(exists, lanes[:, near], -1).astype(np.int16), signals, 0,
                     np.array(actions[:frames], np.float32), self.manner, turns)


def _unwrapped(headings: np.ndarray) -> np.ndarray:
    """Headings (T, N) with NaN, without jumps of a whole turn."""
    out = headings.copy()
    for k in range(1, len(out)):
        turn = np.round((out[k] - out[k - 1]) / (2 * np.pi))
        out[k] -= 2 * np.pi * np.nan_to_num(turn)
    return out
