"""Road nets: streets at random, joined by SUMO's netconvert, and read into lanes, crossings and lights.

SUMO (Lopez et al. 2018, Eclipse Public License 2.0) is needed to make a net, not to use one.
Frame: metres, x to the east and y to the north, as SUMO has it. Legend: K points of a line.
"""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reverie.core.errors import ReverieError
from reverie.data.road.lights import Program, letter, program

USES = ("drive", "walk", "cross", "bike")  # what a lane is for
TURNS = {"s": "straight", "l": "left", "L": "left", "r": "right", "R": "right", "t": "back"}  # SUMO's letters
LANE, PAVEMENT = 3.2, 2.0  # metres wide


@dataclass(frozen=True)
class Lane:
    """One lane. road: the street and way it belongs to (junctions' begin with ":"); index: from the right, the
    outermost 0; line (K, 2) float64: its middle; width in metres; use: one of USES; limit: m/s; after: numbers of the
    lanes that it leads to; turn: of a lane through a junction, where it goes ("straight", "left", "right", "back"),
    else "".
    """

    road: str
    index: int
    line: np.ndarray
    width: float
    use: str
    limit: float
    after: tuple[int, ...] = ()
    turn: str = ""

    @property
    def inside(self) -> bool:
        """Whether it is a way through a junction."""
        return self.road.startswith(":")

    @property
    def length(self) -> float:
        """Of its middle line, in metres."""
        return float(along(self.line)[-1])


@dataclass(frozen=True)
class Net:
    """Lanes; junctions, corners: outlines (K, 2) of what is road there, and of what is pavement; signals: (S, 2) int32,
    the lane that a light stops, and the lane through the junction that it opens; programs: by which they change, ()
    where nobody knows."""

    lanes: tuple[Lane, ...]
    junctions: tuple[np.ndarray, ...]
    corners: tuple[np.ndarray, ...]
    signals: np.ndarray
    programs: tuple[Program, ...] = ()

    def beside(self, number: int) -> list[int]:
        """Lanes for driving of the same road, one to the right or left."""
        lane = self.lanes[number]
        return [n for n, other in enumerate(self.lanes) if other.road == lane.road and other.use == "drive"
                and abs(other.index - lane.index) == 1]

    def outermost(self, number: int) -> bool:
        """Whether no lane for driving of the same road is further to the right."""
        lane = self.lanes[number]
        return not any(other.road == lane.road and other.use == "drive" and other.index < lane.index
                       for other in self.lanes)

    def stop(self, number: int, onward: int) -> int:
        """The number of the light that stops who goes from one lane to another, or -1."""
        found = np.flatnonzero((self.signals == (number, onward)).all(1)) if len(self.signals) else ()
        return int(found[0]) if len(found) else -1


def along(line: np.ndarray) -> np.ndarray:
    """Metres (K,) from a line's start to each of its points."""
    return np.concatenate([[0.0], np.hypot(*np.diff(line, axis=0).T).cumsum()])


def even(line: np.ndarray, step: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A line with a point every so many metres, and for each the number of the last point of the old one before it."""
    old = along(line)
    new = np.linspace(0, old[-1], max(int(old[-1] / step), 1) + 1)
    keep = (np.searchsorted(old, new, side="right") - 1).clip(0, len(line) - 1)
    return np.stack([np.interp(new, old, line[:, n]) for n in (0, 1)], -1), keep


def made(seed: int, folder: Path) -> Path:
    """A random net of streets as SUMO's file net.net.xml in a folder: 3 x 3 crossings that are nowhere square, some
    streets missing, most of them bent, 1 to 2 lanes each way, pavements, crossings for walkers, lights at half of the
    larger junctions. Raises ReverieError without SUMO, or when it fails."""
    rng = np.random.default_rng([seed, 7])
    side, far = 3, rng.uniform(75, 105)
    spots = {(i, j): np.array([i * far, j * far]) + rng.uniform(-14, 14, 2) for i in range(side) for j in range(side)}
    streets = [(a, b) for a in spots for b in spots if a < b and abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1]
    for k in rng.permutation(len(streets))[: rng.integers(1, 4)]:  # some are missing, none leads nowhere
        less = [s for n, s in enumerate(streets) if n != k and s is not None]
        if streets[k] and all(sum(spot in s for s in less) >= 2 for spot in streets[k]):
            streets[k] = None
    streets = [s for s in streets if s]
    degree = {spot: sum(spot in s for s in streets) for spot in spots}
    nodes = [f'<node id="{i}{j}" x="{x:.2f}" y="{y:.2f}" type="'
             f'{"traffic_light" if degree[i, j] > 2 and rng.random() < 0.5 else "priority"}"/>'
             for (i, j), (x, y) in spots.items()]
    edges = []
    for a, b in streets:
        line = _bent(spots[a], spots[b], rng.uniform(-0.16, 0.16) if rng.random() < 0.7 else 0.0)
        lanes, limit = rng.choice([1, 1, 2]), rng.choice([8.3, 11.1, 13.9])
        for way, (one, two) in ((1, (a, b)), (-1, (b, a))):
            shape = " ".join(f"{x:.2f},{y:.2f}" for x, y in line[::way])
            here, there = (f"{i}{j}" for i, j in (one, two))
            edges.append(f'<edge id="{here}to{there}" from="{here}" to="{there}" numLanes="{lanes}" speed="{limit}" '
                         f'width="{LANE}" sidewalkWidth="{PAVEMENT}" shape="{shape}"/>')
    (folder / "nodes.nod.xml").write_text(f"<nodes>{''.join(nodes)}</nodes>")
    (folder / "edges.edg.xml").write_text(f"<edges>{''.join(edges)}</edges>")
    out = folder / "net.net.xml"
    ran(["netconvert", "-n", str(folder / "nodes.nod.xml"), "-e", str(folder / "edges.edg.xml"), "-o", str(out),
         "--crossings.guess", "true", "--walkingareas", "true", "--no-turnarounds.except-deadend", "true",
         "--default.junctions.radius", "6", "--offset.disable-normalization", "true", "--no-warnings", "true",
         "--tls.default-type", "static", "--junctions.corner-detail", "5"])
    return out


def ran(command: Sequence[str]) -> None:
    """Run one of SUMO's programs. Raises ReverieError where it is missing or fails."""
    try:
        import sumo
    except ImportError as error:
        raise ReverieError('traffic needs SUMO: pip install "reverie[traffic]"') from error
    program = Path(sumo.SUMO_HOME) / "bin" / command[0]
    done = subprocess.run([str(program), *command[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no message"]
        raise ReverieError(f"SUMO's {command[0]} failed: {said[0]}")


def _bent(start: np.ndarray, end: np.ndarray, sag: float) -> np.ndarray:
    """An arc (K, 2) between two places that leaves the straight line by a share of its length in the middle."""
    t = np.linspace(0, 1, 12 if sag else 2)[:, None]
    way = end - start
    return start + t * way + 4 * t * (1 - t) * sag * np.array([-way[1], way[0]])


def read(path: Path) -> tuple[Net, list[tuple[str, int]]]:
    """A net from SUMO's file, and for each of its signals the junction's light in SUMO and the place of its letter.
    Raises ReverieError for a file that is none."""
    try:
        root = ET.parse(path).getroot()
    except (ET.ParseError, OSError) as error:
        raise ReverieError(f"{path} is no road net of SUMO ({error})") from None
    links = root.findall("connection")
    turns = {(c.get("via"), c.get("dir")) for c in links if c.get("via")}
    turn = {via: TURNS.get(letter, "") for via, letter in turns}
    names: dict[str, int] = {}
    raw = []
    for edge in root.findall("edge"):
        if edge.get("function") == "walkingarea":
            continue
        for lane in edge.findall("lane"):
            names[lane.get("id")] = len(raw)
            raw.append((edge, lane))
    after: dict[int, list[int]] = {n: [] for n in range(len(raw))}
    signals = []
    for link in links:
        here = names.get(f"{link.get('from')}_{link.get('fromLane')}")
        there = names.get(link.get("via") or f"{link.get('to')}_{link.get('toLane')}")
        if here is None or there is None:
            continue
        after[here].append(there)
        if link.get("tl") is not None:
            signals.append((here, there, link.get("tl"), int(link.get("linkIndex"))))
    lanes = tuple(Lane(edge.get("id"), int(lane.get("index")), _points(lane.get("shape")),
                       float(lane.get("width", LANE)), _use(edge, lane), float(lane.get("speed")),
                       tuple(dict.fromkeys(after[n])), turn.get(lane.get("id"), ""))
                  for n, (edge, lane) in enumerate(raw))
    outlines = tuple(_points(j.get("shape")) for j in root.findall("junction")
                     if j.get("type") != "internal" and len((j.get("shape") or "").split()) > 2)
    signals = [s for s in signals if lanes[s[0]].use == "drive"]
    stops = np.array([s[:2] for s in signals], np.int32).reshape(-1, 2)
    corners = tuple(_points(lane.get("shape")) for edge in root.findall("edge") if edge.get("function") == "walkingarea"
                    for lane in edge.findall("lane") if len(lane.get("shape").split()) > 2)
    letters = [(tl, place) for _, _, tl, place in signals]
    return Net(lanes, outlines, corners, stops, _programs(root, letters)), letters


def _programs(root: ET.Element, letters: Sequence[tuple[str, int]]) -> tuple[Program, ...]:
    """By which the signals, of which each is a letter of a light's state, change."""
    out = []
    for light in root.findall("tlLogic"):
        own = [(n, place) for n, (tl, place) in enumerate(letters) if tl == light.get("id")]
        phases = [(float(phase.get("duration")), phase.get("state")) for phase in light.findall("phase")]
        if own and phases and light.get("type", "static") == "static":
            out.append(program([n for n, _ in own], [seconds for seconds, _ in phases],
                               ["".join(letter(state[place]) for _, place in own) for _, state in phases]))
    return tuple(out)


def _points(shape: str) -> np.ndarray:
    return np.array([[float(v) for v in point.split(",")[:2]] for point in shape.split()])


def _use(edge: ET.Element, lane: ET.Element) -> str:
    if edge.get("function") == "crossing":
        return "cross"
    allowed = (lane.get("allow") or "").split()
    if allowed == ["pedestrian"]:
        return "walk"
    return "bike" if allowed == ["bicycle"] else "drive"
