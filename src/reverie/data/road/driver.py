"""Who drives the ego car: a way along lanes, and drivers that keep to it well, badly, late, or do something wrong.

The car is a bicycle model: an action is a curvature (1/m, positive to the left) and an acceleration (m/s^2), and the
pose of the next frame follows from them alone. Steering is pure pursuit (Coulter 1992), speed the intelligent driver
model (Treiber, Hennecke and Helbing 2000) behind whatever is ahead on the way, with a red light as a standing car.

Legend: K points of a way, M others.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from reverie.data.road.net import Net, along, even

DRIVERS = ("smooth", "clumsy", "late", "wrong")
TIGHTEST = 0.18  # 1/m: of the tightest circle that a car can drive
HARDEST, EAGER = 7.0, 2.5  # m/s^2: of braking with all its might, and of setting off
COMFORT, HEADWAY, GAP = 2.0, 1.3, 2.5  # m/s^2 of braking; seconds and metres kept to who drives ahead
SIDEWAYS = 2.2  # m/s^2 that a bend may push
CLEAR = 0.6  # metres beside the car within which another is in its way
WRONGS = ("brakes", "speeds", "swerves left", "swerves right", "heeds nothing")


@dataclass(frozen=True)
class Way:
    """A way along lanes. line (K, 2) metres; along (K,) metres from its start; lanes (K,): the lane's number at each
    point; limits (K,) m/s; stops: (metres, number of the light); turns: (metres, where it goes at a junction)."""

    line: np.ndarray
    along: np.ndarray
    lanes: np.ndarray
    limits: np.ndarray
    stops: tuple[tuple[float, int], ...]
    turns: tuple[tuple[float, str], ...]

    @classmethod
    def random(cls, net: Net, lane: int, length: float, rng: np.random.Generator) -> Way:
        """From the start of a lane on, over at least so many metres where lanes go on so far; now and then it changes
        to the lane beside."""
        points, numbers, stops, turns, far = [], [], [], [], 0.0
        while True:
            here = net.lanes[lane]
            line, beside = here.line, net.beside(lane)
            if beside and here.length > 45 and not here.inside and rng.random() < 0.4:
                other = int(rng.choice(beside))
                line = _shifted(line, net.lanes[other].line, rng.uniform(0.25, 0.5))
                lane, here = other, net.lanes[other]
            points.append(line if not points else line[1:])
            numbers += [lane] * len(points[-1])
            far += float(along(line)[-1])
            onward = [n for n in here.after if net.lanes[n].use == "drive" and net.lanes[n].turn != "back"]
            if not onward or far > length:
                break
            after = int(rng.choice(onward))
            stop = net.stop(lane, after)
            if stop >= 0:
                stops.append((far, stop))
            if net.lanes[after].turn:
                turns.append((far, net.lanes[after].turn))
            lane = after
        line, keep = even(np.concatenate(points))
        numbers = np.array(numbers)[keep]
        limits = np.array([net.lanes[n].limit for n in numbers])
        return cls(line, along(line), numbers, limits, tuple(stops), tuple(turns))

    def nearest(self, place: np.ndarray, about: float | None = None) -> float:
        """Metres along the way of the point of it that is nearest to a place; about: not far from so many metres."""
        far = np.hypot(*(self.line - place).T)
        if about is not None:
            far = np.where(abs(self.along - about) < 25, far, np.inf)
        return float(self.along[int(far.argmin())])

    def at(self, metres: float) -> np.ndarray:
        """The place (2,) so many metres along."""
        return np.array([np.interp(metres, self.along, self.line[:, n]) for n in (0, 1)])

    def bend(self, low: float, high: float) -> float:
        """The greatest curvature between two places along, in 1/m."""
        spots = np.array([self.at(m) for m in np.arange(low, max(high, low + 6.1), 2.0)])
        way = np.unwrap(np.arctan2(*np.diff(spots, axis=0).T[::-1]))
        return float(abs(np.diff(way)).max() / 2.0) if len(way) > 1 else 0.0


def _shifted(line: np.ndarray, other: np.ndarray, where: float) -> np.ndarray:
    """A line (K, 2) that leaves one for another that runs beside it, from a share of its length on, over 25 metres."""
    length = float(along(line)[-1])
    t = np.linspace(0, 1, max(int(length / 2), 2))
    both = [np.stack([np.interp(t, np.linspace(0, 1, len(x)), x[:, n]) for n in (0, 1)], -1) for x in (
        even(line)[0], even(other)[0])]
    share = np.clip((t - where) * length / 25.0, 0, 1)[:, None]
    share = share * share * (3 - 2 * share)
    return (1 - share) * both[0] + share * both[1]


@dataclass
class Car:
    """A car's pose and speed: the middle of its footprint (2,), heading in radians, m/s."""

    place: np.ndarray
    heading: float
    speed: float
    size: tuple[float, float, float] = (4.4, 1.8, 1.5)

    def moved(self, curvature: float, acceleration: float, seconds: float) -> Car:
        """After so many seconds of one action; it never rolls backwards."""
        speed = max(self.speed + acceleration * seconds, 0.0)
        far = 0.5 * (self.speed + speed) * seconds
        middle = self.heading + 0.5 * curvature * far
        place = self.place + far * np.array([np.cos(middle), np.sin(middle)])
        return Car(place, self.heading + curvature * far, speed, self.size)


@dataclass(frozen=True)
class Sight:
    """What a driver sees at a moment: places (M, 2), speeds (M,) and half lengths (M,) of others; what lights show."""

    places: np.ndarray
    speeds: np.ndarray
    halves: np.ndarray
    lights: str


@dataclass
class Driver:
    """One who drives a way in a manner of DRIVERS. act() once a frame, in order."""

    way: Way
    manner: str
    fps: float
    rng: np.random.Generator
    _late: deque = field(default_factory=deque)
    _sway: np.ndarray = field(default_factory=lambda: np.zeros(2))
    _wrong: tuple[str, int] = ("", 0)
    _along: float | None = None

    def act(self, car: Car, sight: Sight) -> tuple[float, float]:
        """Curvature and acceleration from now until the next frame."""
        self._late.append((car, sight))
        if len(self._late) > (round(0.7 * self.fps) if self.manner == "late" else 1):
            self._late.popleft()
        seen_car, sight = self._late[0]
        self._along = self.way.nearest(car.place, self._along)
        believed = self.way.nearest(seen_car.place, self._along)
        curvature = self._steering(seen_car if self.manner == "late" else car, believed)
        acceleration = self._pedal(car, sight, believed)
        if self.manner == "clumsy":
            pull = 1.2 / self.fps
            self._sway += -pull * self._sway + np.sqrt(2 * pull) * self.rng.normal(size=2)
            curvature += 0.02 * self._sway[0] * min(1.0, 6 / max(car.speed, 1))
            acceleration += 1.0 * self._sway[1]
        if self.manner == "wrong":
            curvature, acceleration = self._mistaken(car, sight, believed, curvature, acceleration)
        return float(np.clip(curvature, -TIGHTEST, TIGHTEST)), float(np.clip(acceleration, -HARDEST, EAGER))

    def _steering(self, car: Car, along: float) -> float:
        """Pure pursuit of a point ahead on the way."""
        ahead = max(4.0, 0.8 * car.speed)
        gap = self.way.at(along + ahead) - car.place
        angle = np.arctan2(gap[1], gap[0]) - car.heading
        return 2 * float(np.sin(angle)) / max(float(np.hypot(*gap)), 2.0)

    def _pedal(self, car: Car, sight: Sight, along: float, heed: bool = True) -> float:
        """The intelligent driver model's acceleration."""
        bend = self.way.bend(along, along + 4 + 1.5 * car.speed)
        limit = float(np.interp(along, self.way.along, self.way.limits))
        wanted = max(min(limit, np.sqrt(SIDEWAYS / max(bend, 1e-3))), 1.5)
        free = EAGER * (1 - (car.speed / wanted) ** 4)
        left = self.way.along[-1] - along - 3
        gaps = [(left, 0.0)] if left < 40 else []
        if heed:
            gaps += self._ahead(car, sight, along)
        pedal = free
        for gap, speed in gaps:
            closing = car.speed * (car.speed - speed) / (2 * np.sqrt(EAGER * COMFORT))
            wish = GAP + max(0.0, car.speed * HEADWAY + closing)
            pedal = min(pedal, free - EAGER * (wish / max(gap, 0.3)) ** 2)
        return float(max(pedal, -HARDEST))

    def _ahead(self, car: Car, sight: Sight, along: float) -> list[tuple[float, float]]:
        """Gaps in metres to what is in the way, and its speed: others, and lights that are not green."""
        found = []
        for metres, light in self.way.stops:
            gap = metres - along - car.size[0] / 2
            shown = sight.lights[light] if light < len(sight.lights) else "g"
            if -1 < gap < 45 and (shown == "r" or shown == "y" and gap > car.speed**2 / (2 * COMFORT)):
                found.append((gap, 0.0))
        rows = (self.way.along > along) & (self.way.along < along + 45)
        if len(sight.places) and rows.any():
            far = np.hypot(*(sight.places[:, None] - self.way.line[rows][None]).transpose(2, 0, 1))
            near, where = far.min(1), self.way.along[rows][far.argmin(1)]
            for k in np.flatnonzero(near < car.size[1] / 2 + CLEAR):
                found.append((float(where[k] - along - car.size[0] / 2 - sight.halves[k]), float(sight.speeds[k])))
        return found

    def _mistaken(self, car: Car, sight: Sight, along: float, curvature: float, acceleration: float
                  ) -> tuple[float, float]:
        """What one does who for a second or two does something wrong."""
        what, left = self._wrong
        if left <= 0 and self.rng.random() < 1 / (2.5 * self.fps):
            what, left = str(self.rng.choice(WRONGS)), round(self.rng.uniform(0.8, 2.0) * self.fps)
        self._wrong = what, left - 1
        if left <= 0:
            return curvature, acceleration
        swerve = min(TIGHTEST, 1.5 / max(car.speed, 3))
        return {"brakes": (curvature, -HARDEST), "speeds": (curvature, EAGER),
                "swerves left": (curvature + swerve, acceleration), "swerves right": (curvature - swerve, acceleration),
                "heeds nothing": (curvature, self._pedal(car, sight, along, heed=False))}[what]
