"""Traffic that heeds whoever drives our car: SUMO, stepped while it drives.

    live = Live()
    trace = live.begin(seed, seconds, fps)      of its first frame, with a seat for everybody who will ever be there
    live.drive(trace, now, cars)                writes the frames after ``now``

It begins as ``traffic.traffic`` of that seed does. Streets stay as full as they are: the seat of who has come to an end
is taken by another like him, far from our car. libsumo has room for one simulation in a process, so each Live has a
process of its own, which ends with it.
Legend: T frames, N seats (our car's first), S signals.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from reverie.core.errors import BadInput, ReverieError
from reverie.data.road.agents import PAINTS
from reverie.data.road.driver import Car
from reverie.data.road.lights import LIGHTS
from reverie.data.road.trace import Trace
from reverie.data.road.traffic import BODIES, EGO, PERSON, Run, started

AWAY = 60.0  # metres from our car beyond which others set out
ROUTE = 3  # streets of our car's way that SUMO knows


@dataclass
class Row:
    """A moment. exists, heading, speed, lane (N,), place (N, 2), as in Trace; signals (S,) uint8."""

    exists: np.ndarray
    place: np.ndarray
    heading: np.ndarray
    speed: np.ndarray
    lane: np.ndarray
    signals: np.ndarray


class Live:
    """One simulation after another, in a process of its own."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def begin(self, seed: int, seconds: float, fps: float) -> Trace:
        """A new simulation: a trace of so many seconds, where after the first frame our car alone is there, standing.
        Same arguments and same cars later, same traffic. Raises BadInput for a length that is none, ReverieError
        without SUMO, or where it fails."""
        if not (0.1 <= seconds <= 3600 and 1 <= fps <= 120):
            raise BadInput(f"{seconds:g} s at {fps:g} frames a second: give 0.1 to 3600 s and 1 to 120")
        if self._process is None or self._process.poll() is not None:
            paths = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import serve; serve()"], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=paths)
        first = self._asked((seed, seconds, fps))
        names = *(part.name for part in fields(Row)), "actions"
        rows = {name: getattr(first, name).repeat(max(round(seconds * fps), 1), 0) for name in names}
        rows["exists"][1:] = np.arange(len(first.kinds)) == first.ego
        return replace(first, **rows)

    def drive(self, trace: Trace, now: int, cars: Sequence[Car], gone: Sequence[int] = ()) -> None:
        """Go on from frame ``now`` of the trace, into it; past its end its last frame is written over. cars: ours at
        every second frame, one of SUMO's steps; between these others go straight. gone: seats of who is to be taken off
        the road before. Raises ReverieError where SUMO fails."""
        for row in self._asked((cars, gone)):
            turned = (row.heading - trace.heading[now] + np.pi) % (2 * np.pi) - np.pi
            last, now = now, min(now + 2, trace.frames - 1)
            for k, share in ((min(last + 1, now), 0.5), (now, 1.0)):
                trace.exists[k] = row.exists & (trace.exists[last] | (share == 1))
                trace.place[k] = (1 - share) * trace.place[last] + share * row.place
                trace.heading[k] = trace.heading[last] + share * turned
                trace.speed[k] = (1 - share) * trace.speed[last] + share * row.speed
                trace.lane[k], trace.signals[k] = row.lane, row.signals

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    __del__ = close

    def _asked(self, what: tuple) -> Any:
        process = self._process
        try:
            if process is None or process.stdin is None or process.stdout is None:
                raise EOFError
            pickle.dump(what, process.stdin)
            process.stdin.flush()
            answer = pickle.load(process.stdout)
        except (OSError, EOFError):
            self.close()
            raise ReverieError("SUMO's process has ended: reset to begin anew") from None
        if isinstance(answer, str):
            self.close()
            raise ReverieError(answer)
        return answer


class _Run(Run):
    """One simulation, in which our car goes where it is told to."""

    keep = 0

    def begin(self, seconds: float) -> Trace:
        """Where everybody is at the start."""
        _, self.car = self.settled(seconds)
        self.seen, self.sent = self._here(), 0
        row, count = self._row(), len(self.kinds) + 1
        paints = self.rng.integers(len(PAINTS), size=count).astype(np.uint8)
        size = np.array([self.car.size, *self.sizes], np.float32)
        states = {name: value[None] for name, value in vars(row).items()}
        return Trace(self.net, self.fps, ["car", *self.kinds], paints, size, ego=0,
                     actions=np.zeros((1, 2), np.float32), driver="", turns=[], **states)

    def on(self, cars: Sequence[Car], gone: Sequence[int]) -> list[Row]:
        """A row for each of our car's next poses."""
        names, rows = list(self.names), []
        for seat in gone:
            with suppress(self.sumo.TraCIException):
                if self.kinds[seat - 1] == "person":
                    self.sumo.person.removeStages(names[seat - 1])
                else:
                    self.sumo.vehicle.remove(names[seat - 1])
        for self.car in cars:
            self._place(self.car)
            self.sumo.simulationStep()
            rows.append(self._row())
        self._fill()
        return rows

    def _sent(self, name: str, kind: str, route: str, when: tuple[float, float]) -> bool:
        found = super()._sent(name, kind, route, when)
        if found:
            self._number(name, kind, PERSON if kind == "person" else BODIES[kind][1:4])
        return found

    def _here(self) -> set[str]:
        """Whose names are on the road."""
        return {*self.sumo.vehicle.getIDList(), *self.sumo.person.getIDList()} - {EGO}

    def _fill(self) -> None:
        """Let others set out for those who have come to an end."""
        here = self._here()
        ended, self.seen = sorted(self.seen - here), self.seen | here
        if not ended:
            return
        near = {lane.road for lane in self.net.lanes if np.hypot(*(lane.line - self.car.place).T).min() < AWAY}
        whole, self.drive = self.drive, [road for road in self.drive if road not in near]
        for name in ended if len(self.drive) > 1 else ():
            self.sent, now = self.sent + 1, self.sumo.simulation.getTime()
            if self._sent(name, self.kinds[self.names[name]], f"{name} {self.sent}", (now, now + 1)):
                self.seen.remove(name)
        self.drive = whole

    def _place(self, car: Car) -> None:
        """Say where our car is, and that it goes straight on: who does not know its way does not let it pass."""
        super()._place(car)
        lane = self.lanes.get(self.sumo.vehicle.getLaneID(EGO), -1)
        if lane < 0 or self.net.lanes[lane].inside:
            return
        roads = [self.net.lanes[lane].road]
        while len(roads) < ROUTE:
            onward = [n for n in self.net.lanes[lane].after if self.net.lanes[n].use == "drive"]
            if not onward:
                break
            lane = min(onward, key=lambda n: self.net.lanes[n].turn not in ("", "straight"))
            roads += [self.net.lanes[lane].road] * (not self.net.lanes[lane].inside)
        if tuple(roads) != self.sumo.vehicle.getRoute(EGO)[-len(roads):]:
            self.sumo.vehicle.setRoute(EGO, roads)

    def _row(self) -> Row:
        count = len(self.kinds) + 1
        row = Row(np.zeros(count, bool), np.zeros((count, 2)), np.zeros(count), np.zeros(count),
                  np.full(count, -1, np.int16), np.array([LIGHTS.index(x) for x in self._lights()], np.uint8))
        others = {n + 1: state for n, state in self._others().items()}
        for n, state in {0: (self.car.place, self.car.heading, self.car.speed, -1), **others}.items():
            row.exists[n] = True
            row.place[n], row.heading[n], row.speed[n], row.lane[n] = state
        return row


def serve() -> None:
    """Answer what is asked on standard input, until it ends."""
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what SUMO says is no answer

    def told(answer: Any) -> tuple:
        pickle.dump(answer, answers)
        answers.flush()
        return pickle.load(asked)

    try:
        what = pickle.load(asked)
        while True:
            seed, seconds, fps = what
            with started(seed, fps) as parts:
                run = _Run(*parts)
                what = told(run.begin(seconds))
                while len(what) == 2:
                    what = told(run.on(*what))
    except EOFError:
        return
    except Exception as error:  # said where it was asked
        with suppress(EOFError):
            told((str(error).strip().splitlines() or [type(error).__name__])[0])
