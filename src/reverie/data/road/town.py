"""What stands still along the roads: asphalt, lines, kerbs, crossings, lights, lamps, houses and trees.

Everything is placed by a seed alone, so that a trace, its seed and its weather are a picture. Frame: the net's, metres.
Legend: K points of a line, V corners and F triangles of a mesh.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from reverie.data.road.net import LANE, PAVEMENT, Lane, Net, along, even

KERB, PAINT = 0.12, 0.012  # metres above the road: pavements, lines
DASH, DASH_GAP = 3.0, 4.5  # metres of a broken line
WIDE = 0.13  # metres of a line
AROUND = 110.0  # metres from the way of our car within which the town is drawn
WALLS = ((0.72, 0.62, 0.52), (0.62, 0.38, 0.30), (0.80, 0.78, 0.72), (0.50, 0.53, 0.57), (0.70, 0.66, 0.50),
         (0.58, 0.62, 0.55))
LEAVES = ((0.16, 0.38, 0.12), (0.24, 0.44, 0.14), (0.33, 0.42, 0.12))


@dataclass
class Mesh:
    """Triangles that are drawn in one colour. points: V rows of 3; faces: F rows of 3 numbers of points; flats: the
    same from above, as quads (Q, 4, 2) that overlap at most at junctions (of a triangle the last corner comes twice).
    """

    points: list[np.ndarray] = field(default_factory=list)
    faces: list[np.ndarray] = field(default_factory=list)
    flats: list[np.ndarray] = field(default_factory=list)
    count: int = 0

    def add(self, points: np.ndarray, faces: np.ndarray) -> None:
        """More of it."""
        self.points.append(points)
        self.faces.append(faces + self.count)
        self.count += len(points)

    def strip(self, line: np.ndarray, width: float, top: float, thick: float = 0.2) -> None:
        """A band along a line (K, 2) with its sides, ``top`` metres up."""
        left, right = offset(line, width / 2), offset(line, -width / 2)
        k = len(line)
        points = np.concatenate([np.column_stack([side, np.full(k, z)]) for z in (top, top - thick)
                                 for side in (left, right)])
        a = np.arange(k - 1)
        quads = [(a, a + k, a + k + 1, a + 1), (a + 1, a + 2 * k + 1, a + 2 * k, a),  # the top, the left side
                 (a + k, a + 3 * k, a + 3 * k + 1, a + k + 1)]
        self.add(points, np.concatenate([np.stack(q, -1) for p, s, r, t in quads for q in ((p, s, r), (p, r, t))]))
        self.flats.append(np.stack([right[:-1], right[1:], left[1:], left[:-1]], 1))

    def patch(self, outline: np.ndarray, top: float) -> None:
        """What is inside an outline (K, 2), flat, as seen from its middle."""
        middle = outline.mean(0)
        (x, y), (u, v) = (outline - middle).T, (np.roll(outline, -1, 0) - middle).T
        area = float((x * v - y * u).sum())
        ring = outline if area > 0 else outline[::-1]
        k = len(ring)
        points = np.column_stack([np.concatenate([ring, middle[None]]), np.full(k + 1, top)])
        a = np.arange(k)
        self.add(points, np.stack([a, (a + 1) % k, np.full(k, k)], -1))
        self.flats.append(np.stack([ring, np.roll(ring, -1, 0), *[np.broadcast_to(middle, ring.shape)] * 2], 1))

    def block(self, at: np.ndarray, way: np.ndarray, length: float, width: float, top: float) -> None:
        """A flat bar about a place (2,), so long along a direction (2,)."""
        self.strip(np.stack([at - way * length / 2, at + way * length / 2]), width, top, 0.02)


@dataclass(frozen=True)
class Post:
    """Something that stands upright. what: "house", "tree", "lamp" or "light"; at (2,); heading in radians; size: what
    it is told by (a house's length, depth and height; a tree's height and crown); tint: of its walls or leaves; number:
    of a light, the net's signal."""

    what: str
    at: np.ndarray
    heading: float
    size: tuple[float, ...]
    tint: tuple[float, float, float] = (0.5, 0.5, 0.5)
    number: int = -1


@dataclass
class Town:
    """Meshes by name ("road", "pavement", "white", "yellow"), and posts."""

    meshes: dict[str, Mesh]
    posts: list[Post]


def offset(line: np.ndarray, left: float) -> np.ndarray:
    """A line (K, 2) so many metres to the left of another."""
    way = np.gradient(line, axis=0)
    way /= np.maximum(np.hypot(*way.T), 1e-9)[:, None]
    return line + left * np.stack([-way[:, 1], way[:, 0]], -1)


def built(net: Net, path: np.ndarray, seed: int) -> Town:
    """The town around a path (K, 2) that our car drives."""
    rng = np.random.default_rng([seed, 13])
    meshes = {name: Mesh() for name in ("road", "pavement", "white", "yellow")}
    near = [lane for lane in net.lanes if _reach(lane.line, path) < AROUND]
    for lane in near:
        if lane.use in ("drive", "bike") and not lane.inside:
            meshes["road"].strip(lane.line, lane.width + 0.05, 0.0)
        elif lane.use == "walk":
            meshes["pavement"].strip(lane.line, lane.width, KERB)
        elif lane.use == "cross":
            for at, way in _steps(lane.line, 1.0):
                meshes["white"].block(at, way, 0.5, lane.width, PAINT)
    for outline in net.junctions:
        if _reach(outline, path) < AROUND:
            meshes["road"].patch(outline, -0.005)
    for outline in net.corners:
        if _reach(outline, path) < AROUND:
            meshes["pavement"].patch(outline, KERB)
    roads: dict[str, list[Lane]] = {}
    for lane in near:
        if lane.use == "drive" and not lane.inside:
            roads.setdefault(lane.road, []).append(lane)
    for lanes in roads.values():
        _lines(meshes, sorted(lanes, key=lambda lane: lane.index))
    stops = {int(n) for n in net.signals[:, 0]}
    for n in stops:
        lane = net.lanes[n]
        if _reach(lane.line, path) < AROUND:
            way = _way(lane.line[-2:])
            meshes["white"].block(lane.line[-1] - 0.4 * way, np.array([-way[1], way[0]]), lane.width - 0.2, 0.4, PAINT)
    posts = [*_lights(net, path), *_along(net, near, roads, rng)]
    return Town(meshes, posts)


def _lines(meshes: dict[str, Mesh], lanes: Sequence[Lane]) -> None:
    """The lines of one way of a street: solid at its edges, broken between lanes."""
    for lane in lanes:
        if lane.index > lanes[0].index:
            border = offset(lane.line, -lane.width / 2)
            for at, way in _steps(border, DASH + DASH_GAP):
                meshes["white"].block(at, way, DASH, WIDE, PAINT)
    meshes["white"].strip(offset(lanes[0].line, -lanes[0].width / 2 + 0.18), WIDE, PAINT, 0.02)
    meshes["yellow"].strip(offset(lanes[-1].line, lanes[-1].width / 2 - 0.12), WIDE, PAINT, 0.02)


def _lights(net: Net, path: np.ndarray) -> Iterator[Post]:
    """A light beside the end of each outermost lane that has one; it shows the signal of its first way on."""
    seen = set()
    for number, (lane, _) in enumerate(net.signals):
        line = net.lanes[int(lane)].line
        if int(lane) in seen or not net.outermost(int(lane)) or _reach(line, path) > AROUND:
            continue
        seen.add(int(lane))
        way = _way(line[-2:])
        at = line[-1] + (LANE / 2 + 0.7) * np.array([way[1], -way[0]])
        yield Post("light", at, float(np.arctan2(way[1], way[0])), (3.4,), number=number)


def _along(net: Net, near: Sequence[Lane], roads: dict[str, list[Lane]], rng: np.random.Generator) -> list[Post]:
    """Lamps and trees at the pavements' far side, and houses behind them, where no lane is."""
    dense = [(even(lane.line, 2.0)[0], lane.width / 2) for lane in near]
    taken = np.concatenate([np.column_stack([line, np.full(len(line), half)]) for line, half in dense])
    posts: list[Post] = []
    houses: list[tuple[np.ndarray, float]] = []

    def free(spots: np.ndarray, room: float) -> bool:
        gap = np.hypot(*(spots[:, None] - taken[None, :, :2]).transpose(2, 0, 1)) - taken[None, :, 2]
        return bool(gap.min() > room)

    for lanes in roads.values():
        outer = min(lanes, key=lambda lane: lane.index)
        edge = outer.width / 2 + PAVEMENT
        for n, (at, way) in enumerate(_steps(outer.line, 11.0)):
            right, heading = np.array([way[1], -way[0]]), float(np.arctan2(way[1], way[0]))
            spot = at + (edge + 0.9) * right
            if free(spot[None], 0.6):
                if n % 3 == 1:
                    posts.append(Post("lamp", spot, heading + np.pi / 2, (5.2,)))
                elif rng.random() < 0.6:
                    size = rng.uniform(3.5, 7), rng.uniform(1.2, 2.2)
                    posts.append(Post("tree", spot + 0.8 * right, 0.0, size, LEAVES[rng.integers(len(LEAVES))]))
            length, depth, height = rng.uniform(8, 15), rng.uniform(7, 12), 3.1 * rng.integers(2, 7)
            middle = at + (edge + rng.uniform(2.5, 6) + depth / 2) * right
            corners = np.array([middle + a * length / 2 * way + b * depth / 2 * right for a in (-1, 0, 1)
                                for b in (-1, 0, 1)])
            reach = 0.5 * float(np.hypot(length, depth))
            if rng.random() < 0.85 and free(corners, 1.8) and all(
                    np.hypot(*(middle - other)) > 0.8 * (reach + its) for other, its in houses):
                houses.append((middle, reach))
                posts.append(Post("house", middle, heading, (length, depth, height), WALLS[rng.integers(len(WALLS))]))
    return posts


def _way(line: np.ndarray) -> np.ndarray:
    way = line[-1] - line[0]
    return way / max(float(np.hypot(*way)), 1e-9)


def _steps(line: np.ndarray, step: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places (2,) along a line, so far apart, and the direction there."""
    metres = along(line)
    for far in np.arange(step / 2, metres[-1], step):
        k = int(np.searchsorted(metres, far).clip(1, len(line) - 1))
        way = _way(line[k - 1 : k + 1])
        yield line[k - 1] + (far - metres[k - 1]) * way, way


def _reach(line: np.ndarray, path: np.ndarray) -> float:
    """The least distance in metres between the points of two lines."""
    return float(np.hypot(*(line[:, None] - path[None]).transpose(2, 0, 1)).min())
