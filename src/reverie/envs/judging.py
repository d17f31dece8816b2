"""Whether a ride on the road is a good one, in the dream and in truth by the same rules, and by no reward.

A ride succeeds that came to its end without a fault: it left no road, ran into nobody, passed no red light; made
PROGRESS of the way that a car makes which sets off gently and keeps to the limit, the time left out in which a light or
somebody ahead is a reason to wait; and was neither beside its lane nor over the limit by a quarter for more than a
tenth of the time. Who drives into us from behind, or while we stand, is counted as ``struck`` and taken off the road:
recorded traffic does not heed us and would do so whatever we did; live traffic brakes for us.
"""

from __future__ import annotations

import numpy as np

from reverie.data.road.driver import Car
from reverie.data.road.gates import Gates
from reverie.data.road.lanes import Near, corners, meet
from reverie.data.road.lights import LIGHTS
from reverie.data.road.trace import Trace

SHOULDER = 0.6  # metres beyond a lane's edge that our car's middle may stray
PROGRESS, MOST, OVER = 0.5, 0.1, 1.25  # shares of the way and of the time; of the limit
GENTLE = 1.0  # m/s^2 with which the car that ours is held against sets off
STANDS = 0.5  # m/s
GREEN = LIGHTS.index("g")


class Judge:
    """One ride's. heeds: whether lights count. frame() once for each frame, step() once for each step."""

    def __init__(self, trace: Trace, car: Car, heeds: bool) -> None:
        self.trace, self.lights, self.heeds = trace, Gates(trace.net), heeds
        self.fault, self.struck, self.model = "", 0, car.speed
        self.frames = self.astray = self.fast = 0
        self.gone = self.allowed = 0.0
        self.gate = self._gate(car)

    def frame(self, car: Car, now: int, near: Near, metres: float) -> list[int]:
        """A frame has passed, in which our car came so far along its lane; returns who has driven into us."""
        signals, gate = self.trace.signals[now], self._gate(car)
        passed = self.gate[0] >= 0 and gate[0] != self.gate[0] and self.gate[1] < 2.0
        found = "left the road" if near.aside > near.half + SHOULDER else ""
        if not found and self.heeds and passed and self.lights.closed(self.gate[0], signals):
            found = "passed a red light"
        self.gate = gate
        who, struck = self._hit(car, now)
        self.fault = self.fault or found or who
        self.struck += len(struck)
        self.frames += 1
        self.astray += near.aside > near.half
        self.fast += car.speed > OVER * near.limit
        second = 1 / self.trace.fps
        if self._waits(car, now):
            self.model = car.speed
        else:
            self.model = min(self.model + GENTLE * second, near.limit)
            self.gone += metres
            self.allowed += self.model * second
        return struck

    def told(self) -> dict:
        """The ride so far."""
        progress = self.gone / self.allowed if self.allowed > 1.0 else 1.0
        count = max(self.frames, 1)
        good = progress >= PROGRESS and self.astray <= MOST * count and self.fast <= MOST * count
        return {"crash": self.fault, "struck": self.struck, "progress": float(progress),
                "astray": self.astray / count, "fast": self.fast / count, "success": bool(good and not self.fault)}

    def _gate(self, car: Car) -> tuple[int, float]:
        """The stop line before our car's foremost point."""
        front = car.place + car.size[0] / 2 * np.array([np.cos(car.heading), np.sin(car.heading)])
        return self.lights.ahead(front, car.heading)

    def _waits(self, car: Car, now: int) -> bool:
        """Whether there is a reason not to drive on: a light that is not green, or somebody ahead."""
        n, _ = self.gate
        if self.heeds and n >= 0 and self.lights.shown(n, self.trace.signals[now]) != GREEN:
            return True
        trace = self.trace
        ahead, left = _seen(car, trace.place[now])
        near = (ahead > 0) & (ahead < 10.0 + 1.5 * car.speed) & (np.abs(left) < 2.5) & trace.exists[now]
        near[trace.ego] = False
        return bool(near.any())

    def _hit(self, car: Car, now: int) -> tuple[str, list[int]]:
        """Whom our car has run into, in words, and who has run into it."""
        trace, struck = self.trace, []
        far = np.hypot(*(trace.place[now] - car.place).T)
        for n in np.flatnonzero(trace.exists[now] & (far < 8.0)):
            other = corners(trace.place[now, n], float(trace.heading[now, n]), trace.size[n])
            if n == trace.ego or not meet(corners(car.place, car.heading, car.size), other):
                continue
            ahead, _ = _seen(car, trace.place[now, n])
            if car.speed > STANDS and ahead > -0.25 * car.size[0]:
                return f"ran into a {trace.kinds[n]}", struck
            struck.append(int(n))
        return "", struck


def _seen(car: Car, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Metres ahead of our car and to its left."""
    gap, cos, sin = places - car.place, np.cos(car.heading), np.sin(car.heading)
    return gap[..., 0] * cos + gap[..., 1] * sin, gap[..., 1] * cos - gap[..., 0] * sin
