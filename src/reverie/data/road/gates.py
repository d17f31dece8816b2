"""The stop lines of a net, and what their lights show to who comes to them."""

from __future__ import annotations

import numpy as np

from reverie.data.road.lights import LIGHTS
from reverie.data.road.net import Net

FAR = 30.0  # metres to a stop line from which its light counts
RED = LIGHTS.index("r")


class Gates:
    """The stop lines of a net and the signals that open them."""

    def __init__(self, net: Net) -> None:
        self.ends: list[tuple[np.ndarray, float, float, np.ndarray, int]] = []
        for number in np.unique(net.signals[:, 0]) if len(net.signals) else ():
            lane, own = net.lanes[number], np.flatnonzero(net.signals[:, 0] == number)
            step = lane.line[-1] - lane.line[-2]
            turns = [net.lanes[net.signals[n, 1]].turn for n in own]
            onward = int(own[turns.index("straight") if "straight" in turns else 0])
            self.ends.append((lane.line[-1], float(np.arctan2(step[1], step[0])), lane.width / 2, own, onward))
        self.places = np.array([end[0] for end in self.ends]).reshape(-1, 2)

    def ahead(self, place: np.ndarray, heading: float) -> tuple[int, float]:
        """The stop line that a car comes to next, and metres to it; (-1, FAR) where there is none within FAR."""
        best = -1, FAR
        for n in np.flatnonzero(np.hypot(*(self.places - place).T) < FAR):
            end, way, half, *_ = self.ends[n]
            turned = (heading - way + np.pi) % (2 * np.pi) - np.pi
            gap = end - place
            along, aside = gap @ (np.cos(way), np.sin(way)), gap @ (-np.sin(way), np.cos(way))
            if 0 < along < best[1] and abs(aside) < half + 0.1 * along and abs(turned) < np.pi / 4:
                best = int(n), float(along)
        return best

    def shown(self, n: int, signals: np.ndarray) -> int:
        """What the light of a stop line shows (a place in LIGHTS) to whom drives straight on, if anybody can."""
        return int(signals[self.ends[n][4]])

    def closed(self, n: int, signals: np.ndarray) -> bool:
        """Whether it is red whichever way one goes."""
        return bool((signals[self.ends[n][3]] == RED).all())
