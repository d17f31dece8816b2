"""Traffic from above, as pictures: roads, lights, and everybody on them.

North is up. Legend: T frames, N agents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from reverie.data.road.agents import PAINTS
from reverie.data.road.net import Net

GRASS, ROAD, WALK, CROSS, LINE = (214, 222, 205), (122, 126, 131), (188, 186, 180), (222, 222, 222), (168, 171, 175)
LIGHT = ((220, 38, 38), (234, 179, 8), (22, 163, 74))
SKIN, RING = (180, 60, 120), (37, 99, 235)


class Above:
    """A part of a net from above. middle (2,): the picture's, in metres; reach: metres from there to its side; side: in
    pixels."""

    def __init__(self, net: Net | None, middle: Sequence[float], reach: float = 50.0, side: int = 320) -> None:
        self.net, self.middle, self.side = net, np.asarray(middle, float), side
        self.scale = side / (2 * reach)
        self.ground = Image.new("RGB", (side, side), GRASS)
        if net is not None:
            self._pave(net)

    def at(self, points: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of places (..., 2)."""
        return (np.asarray(points, float) - self.middle) * (self.scale, -self.scale) + self.side / 2

    def _pave(self, net: Net) -> None:
        brush = ImageDraw.Draw(self.ground)
        for outlines, colour in ((net.corners, WALK), (net.junctions, ROAD)):
            for outline in outlines:
                brush.polygon([tuple(p) for p in self.at(outline)], fill=colour)
        for use, colour in (("walk", WALK), ("drive", ROAD), ("bike", ROAD), ("cross", CROSS)):
            for lane in net.lanes:
                if lane.use == use and not (lane.inside and use == "drive"):
                    line = [tuple(p) for p in self.at(lane.line)]
                    brush.line(line, fill=colour, width=round(lane.width * self.scale) + 1, joint="curve")
        for lane in net.lanes:
            if lane.use == "drive" and not lane.inside:
                brush.line([tuple(p) for p in self.at(lane.line)], fill=LINE, width=1)

    def picture(self, kinds: Sequence[str], paints: np.ndarray, size: np.ndarray, there: np.ndarray, place: np.ndarray,
                heading: np.ndarray, ego: int, *, lights: np.ndarray | None = None, marked: Sequence[int] = (),
                trails: Sequence[tuple[np.ndarray, tuple[int, int, int]]] = ()) -> np.ndarray:
        """A moment, uint8 (side, side, 3): N agents with size (N, 3), there (N,), place (N, 2), heading (N,); lights
        (S,): what signals show; marked: agents with a ring; trails: lines (P, 2) and their colours."""
        page = self.ground.copy()
        brush = ImageDraw.Draw(page)
        if self.net is not None and lights is not None:
            for (lane, _), shows in zip(self.net.signals, lights, strict=False):
                x, y = self.at(self.net.lanes[lane].line[-1])
                brush.ellipse((x - 3, y - 3, x + 3, y + 3), fill=LIGHT[int(shows)])
        for line, colour in trails:
            if len(line) > 1:
                brush.line([tuple(p) for p in self.at(line)], fill=colour, width=2)
        for n in np.flatnonzero(there):
            length, width = float(size[n, 0]), float(size[n, 1])
            if kinds[n] == "person":
                x, y = self.at(place[n])
                brush.ellipse((x - 2, y - 2, x + 2, y + 2), fill=SKIN)
                continue
            ahead = np.array([np.cos(heading[n]), np.sin(heading[n])])
            left = np.array([-ahead[1], ahead[0]])
            corners = [place[n] + a * length / 2 * ahead + b * width / 2 * left
                       for a, b in ((1, 0.7), (1, -0.7), (0.7, -1), (-1, -1), (-1, 1), (0.7, 1))]
            colour = tuple(round(255 * v) for v in PAINTS[int(paints[n])])
            edge = RING if n == ego else (30, 34, 38)
            brush.polygon([tuple(self.at(c)) for c in corners], fill=colour, outline=edge,
                          width=2 if n == ego else 1)
        for n in marked:
            x, y = self.at(place[n])
            brush.ellipse((x - 11, y - 11, x + 11, y + 11), outline=LIGHT[0], width=2)
        return np.asarray(page)
