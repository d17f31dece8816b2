"""Who comes: agents that no past showed, at the edge of what is imagined, so that streets stay as full as they were.

Legend: N agents, P spots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reverie.data.road.agents import PAINTS
from reverie.data.road.net import even
from reverie.data.road.routes import Line, Roads, fits, guessed
from reverie.data.road.traffic import BODIES, PERSON

REACH = 90.0  # metres from our car within which streets are kept as full as they were
EDGE = 80.0  # metres from our car beyond which one comes
GONE = 115.0  # metres from our car at which one is given up
ROOM = {True: 3.0, False: 14.0}  # metres of nobody around who comes, on foot and on wheels
BEFORE = 20.0  # metres that who comes on wheels has to its lane's end
SOON = 0.5  # chance that one of those who are missing comes, at each look
PACES = (0.6, 0.95)  # of the limit, on wheels
WALKS, CYCLES = (1.0, 1.7), 5.5  # m/s


@dataclass
class Comer:
    """One who comes. seat: the number that it has from now on; place (2,) metres, heading radians, speed m/s; line:
    where it is bound for."""

    seat: int
    place: np.ndarray
    heading: float
    speed: float
    line: Line


class Arrivals:
    """Who comes in one future. place (N, 2), feet (N,) bool: everybody when the past ends, and who of them walks; car
    (2,): our car's place then."""

    def __init__(self, roads: Roads, place: np.ndarray, feet: np.ndarray, car: np.ndarray,
                 chance: np.random.Generator) -> None:
        self.roads, self.chance = roads, chance
        self.spots: dict[bool, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}  # on foot: spots, headings, lanes
        for walks, use, end in ((False, "drive", BEFORE), (True, "walk", 1.0)):
            parts = []
            for n, lane in enumerate(roads.net.lanes):
                if lane.use == use and not lane.inside and lane.length > end + 2:
                    line = even(lane.line)[0]
                    way = np.arctan2(*np.gradient(line, axis=0).T[::-1])
                    kept = len(line) - round(end)
                    parts.append((line[:kept], way[:kept], np.full(kept, n)))
            whole = [np.concatenate(rows) for rows in zip(*parts, strict=True)] if parts else [np.zeros((0, 2)), *[
                np.zeros(0)] * 2]
            self.spots[walks] = whole[0], whole[1], whole[2]
        self.full = {walks: self._within(place[feet == walks], car) / max(self._within(self.spots[walks][0], car), 1)
                     for walks in self.spots}

    @staticmethod
    def _within(places: np.ndarray, car: np.ndarray) -> int:
        """How many of some places (N, 2) are near our car."""
        return int((np.hypot(*(places - car).T) < REACH).sum())

    def bodies(self, count: int, feet: float) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Who may come: count names of trace.KINDS, a share of them on foot; their paints (count,), places in
        agents.PAINTS; their sizes (count, 3) in metres."""
        shares = np.array([body[-1] for body in BODIES.values()])
        walks = min(max(round(feet * count), 1), count - 1)
        kinds = ["person"] * walks + self.chance.choice(list(BODIES), count - walks, p=shares / shares.sum()).tolist()
        sizes = [PERSON if kind == "person" else BODIES[kind][1:4] for kind in kinds]
        return kinds, self.chance.integers(len(PAINTS), size=count).astype(np.uint8), np.array(sizes, np.float32)

    def look(self, place: np.ndarray, feet: np.ndarray, car: np.ndarray, free: dict[int, str]) -> list[Comer]:
        """Who comes now, among everybody else there, as for the past's end. free: numbers that nobody has, in the
        order in which they are taken, and of what kind who has it is."""
        found = []
        for walks, (spots, ways, lanes) in self.spots.items():
            far = np.hypot(*(spots - car).T)
            missing = self.full[walks] * int((far < REACH).sum()) - self._within(place[feet == walks], car)
            edge = np.flatnonzero((far > EDGE) & (far < REACH))
            seat = next((n for n, kind in free.items() if (kind == "person") == walks), None)
            if seat is None or not len(edge) or self.chance.random() >= SOON * missing:
                continue
            n = int(edge[int(self.chance.integers(len(edge)))])
            if len(place) == 0 or np.hypot(*(place - spots[n]).T).min() > ROOM[walks]:
                comer = self._comer(seat, free[seat], spots[n], float(ways[n]), int(lanes[n]))
                found += [comer] if comer is not None else []
        return found

    def _comer(self, seat: int, kind: str, place: np.ndarray, way: float, lane: int) -> Comer | None:
        chance = self.chance
        if kind == "person":
            speed = float(chance.uniform(*WALKS))
            way += np.pi * int(chance.integers(2))
        else:
            limit = min(self.roads.net.lanes[lane].limit, CYCLES if kind == "bicycle" else np.inf)
            speed = limit * float(chance.uniform(*PACES))
        line = guessed(self.roads, kind, place, way, lane, chance)
        if line is None or not fits(line, place, way):
            return None
        return Comer(seat, place, way, speed, line)
