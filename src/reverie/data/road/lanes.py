"""Where a car is on the lanes of a net, and whether two footprints overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reverie.core.errors import BadInput
from reverie.data.road.net import Net, along, even


class Near:
    """Where a car is on the nearest lane that goes its way: metres from its middle line, half its width, radians that
    the car is turned from it, its limit in m/s."""

    def __init__(self, aside: float, half: float, turned: float, limit: float) -> None:
        self.aside, self.half, self.turned, self.limit = aside, half, turned, limit


class Lanes:
    """The middle lines of a net's lanes for driving, a point every metre."""

    def __init__(self, net: Net) -> None:
        points, ways, lanes = [], [], []
        for lane in net.lanes:
            if lane.use == "drive" and along(lane.line)[-1] > 0.5:
                line = even(lane.line)[0]
                step = np.gradient(line, axis=0)
                points.append(line)
                ways.append(np.arctan2(step[:, 1], step[:, 0]))
                lanes += [(lane.width / 2, lane.limit)] * len(line)
        if not points:
            raise BadInput("the trace's net has no lane to drive on")
        self.points, self.ways, self.lanes = np.concatenate(points), np.concatenate(ways), lanes

    def around(self, place: np.ndarray, reach: float) -> Lanes:
        """Those within so many metres of a place, or all where there are none: nine times as fast to ask."""
        rows = np.flatnonzero((np.abs(self.points - place) < reach).all(1))
        if not len(rows):
            return self
        some = Lanes.__new__(Lanes)
        some.points, some.ways, some.lanes = self.points[rows], self.ways[rows], [self.lanes[n] for n in rows]
        return some

    def ahead(self, place: np.ndarray, heading: float, metres: Sequence[float]) -> np.ndarray:
        """Places (M, 2) in the middle of lanes that go one's way, so many metres ahead: from each the next is the
        nearest to straight on."""
        out, spot, way, gone = [], np.asarray(place, float), float(heading), 0.0
        for far in metres:
            spot = spot + (far - gone) * np.array([np.cos(way), np.sin(way)])
            gaps = np.hypot(*(self.points - spot).T)
            turned = np.abs((way - self.ways + np.pi) % (2 * np.pi) - np.pi)
            n = int(np.where(turned < np.pi / 2, gaps, gaps + 1e3).argmin())
            if gaps[n] < 6:
                spot, way = self.points[n], float(self.ways[n])
            out.append(spot)
            gone = far
        return np.array(out)

    def nearest(self, place: np.ndarray, heading: float) -> Near:
        """Of lanes that go within 90 degrees of the heading the nearest, of none any."""
        gap = place - self.points
        far = np.hypot(*gap.T)
        turned = (heading - self.ways + np.pi) % (2 * np.pi) - np.pi
        n = int(np.where(np.abs(turned) < np.pi / 2, far, far + 1e3).argmin())
        aside = abs(gap[n, 1] * np.cos(self.ways[n]) - gap[n, 0] * np.sin(self.ways[n]))
        return Near(float(max(aside, far[n] - 1.0)), *self.lanes[n][:1], float(turned[n]), self.lanes[n][1])


def corners(place: np.ndarray, heading: float, size: Sequence[float]) -> np.ndarray:
    """The corners (4, 2) of a footprint."""
    ahead, left = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
    return np.array([place + a * size[0] / 2 * ahead + b * size[1] / 2 * left for a, b in ((1, 1), (1, -1), (-1, -1),
                                                                                          (-1, 1))])


def meet(one: np.ndarray, two: np.ndarray) -> bool:
    """Whether two rectangles (4, 2) overlap: no line along a side parts them."""
    for side in (*(one[1] - one[0], one[2] - one[1]), *(two[1] - two[0], two[2] - two[1])):
        normal = np.array([-side[1], side[0]])
        a, b = one @ normal, two @ normal
        if a.max() < b.min() or b.max() < a.min():
            return False
    return True
