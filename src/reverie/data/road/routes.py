"""Where agents of a trace are bound for: chains of lanes as even lines, those they took and those they could take.

    Roads(net)              which lane leads to which, for wheels and for feet
    Roads.chain(lanes)      a line with a point every metre, and what is known of each point
    bound(trace)            of every agent, at every latent, the line it is on

Vehicles go the way of their lanes, people walk pavements and crossings either way.
Legend: T frames, N agents, P points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reverie.data.road.net import Net, along, even
from reverie.data.road.trace import Trace

BEHIND, AHEAD = 10, 84  # metres of a line behind an agent and before it, at least
ASTRAY = 4.5  # metres from its line at which an agent is on none
REACH = 10.5  # metres between the ends of two walks that one can go on from one to the other
WIDE = 25.0  # the same where there is none so near
SOON = 1.2  # seconds before its lane's number changes that a vehicle begins to change lanes
# of each point of a line: limit in m/s / 10; inside a junction; turn (-1 right, 1 left); on a crossing; signal (its
# number + 1, 0 for none)
ABOUT = ("limit", "inside", "turn", "crossing", "signal")
_TURN = {"left": 1.0, "right": -1.0}
Step = tuple[int, int]  # a lane's number, and 1 along its line or -1 against it


@dataclass
class Line:
    """points (P, 2) metres, one every metre; about (P, len(ABOUT)) float32; lanes: the steps that it is made of."""

    points: np.ndarray
    about: np.ndarray
    lanes: tuple[Step, ...]


class Roads:
    """A net's lanes and what each leads to."""

    def __init__(self, net: Net) -> None:
        self.net = net
        lanes = net.lanes
        self.length = np.array([lane.length for lane in lanes])
        self.onward = [[n for n in lane.after if lanes[n].use in ("drive", "bike") and lanes[n].turn != "back"]
                       if lane.use in ("drive", "bike") else [] for lane in lanes]
        self.before: list[list[int]] = [[] for _ in lanes]
        for n, after in enumerate(self.onward):
            for m in after:
                self.before[m].append(n)
        self.walks = [n for n, lane in enumerate(lanes) if lane.use in ("walk", "cross")]
        ends = np.array([(lanes[n].line[0], lanes[n].line[-1]) for n in self.walks]).reshape(-1, 2, 2)
        self._starts = ends[:, 0], ends[:, 1]  # of walking along, of walking against

    def steps(self, step: Step) -> list[Step]:
        """What one can go on to."""
        number, way = step
        if self.net.lanes[number].use in ("drive", "bike"):
            return [(n, 1) for n in self.onward[number]]
        # nobody turns back; at the outside of a wide bend it is farther, and the nearest is taken
        return self._walks_on(step, REACH, 0.3, -0.6) or self._walks_on(step, WIDE, 0.1, -0.75)[:1]

    def _walks_on(self, step: Step, reach: float, ahead: float, along: float) -> list[Step]:
        """Walks to go on to, the nearest first. reach: metres; ahead, along: cosines from which a walk's beginning is
        ahead, and it goes on the same way."""
        number, way = step
        line = self.net.lanes[number].line[::way]
        on = (line[-1] - line[-2]) / max(np.hypot(*(line[-1] - line[-2])), 1e-6)
        found = []
        for other, side in self.walks_from(line[-1], without=number, reach=reach):
            then = self.net.lanes[other].line[::side]
            gap, turn = then[0] - line[-1], then[1] - then[0]
            if gap @ on >= ahead * np.hypot(*gap) and turn @ on >= along * np.hypot(*turn):
                found.append((float(np.hypot(*gap)), (other, side)))
        return [one for _, one in sorted(found)]

    def walks_from(self, place: np.ndarray, without: int = -1, reach: float = REACH) -> list[Step]:
        """Walks that begin near a place (2,)."""
        found = []
        for way, starts in zip((1, -1), self._starts, strict=True):
            if len(starts):
                near = np.flatnonzero(np.hypot(*(starts - place).T) < reach)
                found += [(self.walks[n], way) for n in near if self.walks[n] != without]
        return found

    def extended(self, steps: Sequence[Step], metres: float, rng: np.random.Generator) -> list[Step]:
        """Steps with more at random behind them, until these are so many metres long or nothing goes on."""
        steps, far = list(steps), 0.0
        while far < metres:
            onward = self.steps(steps[-1])
            fresh = [s for s in onward if s[0] not in {n for n, _ in steps[-4:]}] or onward
            if not fresh:
                break
            steps.append(fresh[int(rng.integers(len(fresh)))])
            far += self.length[steps[-1][0]]
        return steps

    def chain(self, steps: Sequence[Step], start: np.ndarray | None = None) -> Line:
        """The line along steps, straight on for BEHIND metres before it and for AHEAD behind it; start (2,): where it
        begins, before the first lane."""
        lanes = self.net.lanes
        points, rows, stops = [], [], []  # a stop: how many points come before it, and its signal
        if start is not None:
            points.append(start[None])
            rows.append(np.zeros((1, len(ABOUT)), np.float32))
        for k, (number, way) in enumerate(steps):
            lane = lanes[number]
            line = lane.line[::way]
            row = np.zeros((len(line), len(ABOUT)), np.float32)
            row[:, :4] = lane.limit / 10, lane.inside, _TURN.get(lane.turn, 0.0), lane.use == "cross"
            if k + 1 < len(steps) and lane.use == "drive":
                stops.append((sum(map(len, points)) + len(line) - 1, self.net.stop(number, steps[k + 1][0]) + 1))
            points.append(line)
            rows.append(row)
        raw, about = np.concatenate(points), np.concatenate(rows)
        marks = [(along(raw)[place], signal) for place, signal in stops if signal]
        # where a lane begins at the end of another, the point is the later one's
        keep = np.concatenate([np.hypot(*np.diff(raw, axis=0).T) > 1e-3, [True]])
        raw, about = raw[keep], about[keep]
        line, old = even(raw) if along(raw)[-1] > 0.5 else (raw[[0, -1]], np.array([0, len(raw) - 1]))
        about = about[old]
        for metres, signal in marks:
            about[min(round(metres), len(about) - 1), 4] = signal
        line = smooth(_straight_on(line))
        empty = np.zeros_like(about[:1])
        empty[0, 0] = about[0, 0]
        tail = np.repeat(about[-1:], AHEAD, 0)
        tail[:, 4] = 0
        about = np.concatenate([np.repeat(empty, BEHIND, 0), about, tail])
        return Line(line, about.astype(np.float32), tuple(steps))


def smooth(line: np.ndarray, width: int = 5) -> np.ndarray:
    """A line (P, 2) as the middle of a car follows it: the mean over so many points, its ends as they are."""
    half = width // 2
    padded = np.concatenate([line[:1] + (line[:1] - line[half:0:-1]), line,
                             line[-1:] + (line[-1:] - line[-2 : -half - 2 : -1])])
    whole = np.concatenate([np.zeros((1, 2)), padded.cumsum(0)])
    return (whole[width:] - whole[:-width]) / width


def _straight_on(line: np.ndarray) -> np.ndarray:
    """A line that goes straight on at both ends."""
    first, last = line[0] - line[min(3, len(line) - 1)], line[-1] - line[-min(4, len(line))]
    first, last = (v / max(np.hypot(*v), 1e-6) for v in (first, last))
    return np.concatenate([line[0] + np.arange(BEHIND, 0, -1)[:, None] * first, line,
                           line[-1] + np.arange(1, AHEAD + 1)[:, None] * last])


# -- what was done ------------------------------------------------------------------------------------


@dataclass
class Bound:
    """Of each agent at each latent the line that it is on. lines: all of them; number (T // 4, N) int32: whose, -1 for
    none; nearest (T // 4, N) int32: the line's point that is nearest to the agent."""

    lines: list[Line]
    number: np.ndarray
    nearest: np.ndarray


def bound(trace: Trace, rng: np.random.Generator, *, stride: int = 4) -> Bound:
    """Truth's lines: those that the agents took, gone on at random beyond the trace's end."""
    roads = Roads(trace.net)
    times = np.arange(0, trace.frames, stride)
    number = np.full((len(times), len(trace.kinds)), -1, np.int32)
    nearest = np.zeros_like(number)
    lines: list[Line] = []
    for n, kind in enumerate(trace.kinds):
        here = trace.exists[:, n]
        if not here.any():
            continue
        parts = _walked(roads, trace, n) if kind == "person" else _driven(roads, trace, n)
        for first, last, steps, start in parts:  # frames first..last
            rows = np.flatnonzero((times >= first) & (times <= last) & here[times])
            if not len(rows):
                continue
            line = roads.chain(roads.extended(steps, 90.0, rng), start)
            gap = np.hypot(*(trace.place[times[rows], n][:, None] - line.points[None]).transpose(2, 0, 1))
            number[rows, n], nearest[rows, n] = len(lines), gap.argmin(1)
            lines.append(line)
    return Bound(lines, number, nearest)


def _driven(roads: Roads, trace: Trace, n: int) -> list[tuple[int, int, list[Step], None]]:
    """Of a vehicle: (first frame, last frame, steps) of each lane that it kept to, from when it made for it."""
    labels, there = trace.lane[:, n], trace.exists[:, n]
    changes = np.flatnonzero(there & (labels >= 0))
    if not len(changes):
        return []
    runs: list[list[int]] = []  # lane, first frame
    for k in changes:
        if not runs or runs[-1][0] != labels[k]:
            runs.append([int(labels[k]), int(k)])
    parts: list[tuple[int, list[Step]]] = [(runs[0][1], [(runs[0][0], 1)])]
    lanes = roads.net.lanes
    for lane, first in runs[1:]:
        steps = parts[-1][1]
        last = steps[-1][0]
        between = [c for c in roads.onward[last] if lane in roads.onward[c]]
        if lane in roads.onward[last]:
            steps.append((lane, 1))
        elif between:
            steps += [(between[0], 1), (lane, 1)]
        else:
            sooner = round(SOON * trace.fps) if lanes[lane].road == lanes[last].road else 0
            parts.append((max(first - sooner, parts[-1][0] + 1), [(lane, 1)]))
    out = []
    for k, (first, steps) in enumerate(parts):
        last = parts[k + 1][0] - 1 if k + 1 < len(parts) else trace.frames - 1
        before = roads.before[steps[0][0]]
        out.append((first if k else 0, last, [(before[0], 1), *steps] if before else steps, None))
    return out


def _walked(roads: Roads, trace: Trace, n: int) -> list[tuple[int, int, list[Step], np.ndarray | None]]:
    """Of one who walks: all of it as one line, from where it is first seen if that is on no walk."""
    labels, there = trace.lane[:, n], np.flatnonzero(trace.exists[:, n])
    steps: list[Step] = []
    for k in there:
        lane = int(labels[k])
        if lane >= 0 and roads.net.lanes[lane].use in ("walk", "cross") and (not steps or steps[-1][0] != lane):
            steps.append((lane, way_on(roads.net.lanes[lane].line, trace.place[k, n], float(trace.heading[k, n]))))
    if not steps:
        return []
    start = None if labels[there[0]] >= 0 else trace.place[there[0], n].astype(float)
    return [(int(there[0]), int(there[-1]), steps, start)]


def way_on(line: np.ndarray, place: np.ndarray, heading: float) -> int:
    """1 where who is at a place (2,) with a heading goes along a line (K, 2), -1 against it."""
    k = int(np.hypot(*(line - place).T).argmin())
    step = line[min(k + 1, len(line) - 1)] - line[max(k - 1, 0)]
    return 1 if step @ (np.cos(heading), np.sin(heading)) >= 0 else -1


# -- what could be done -------------------------------------------------------------------------------


def guessed(roads: Roads, kind: str, place: np.ndarray, heading: float, lane: int, rng: np.random.Generator,
            *, metres: float = 170.0, change: float = 0.0) -> Line | None:
    """A line that an agent at a place (2,) in a lane (-1: none) may be on, drawn at random; None where there is none.
    change: the chance that it makes for the lane beside, where there is one."""
    lanes = roads.net.lanes
    if kind == "person":
        if lane >= 0 and lanes[lane].use in ("walk", "cross"):
            step = (lane, way_on(lanes[lane].line, place, heading))
            return roads.chain(roads.extended([step], metres, rng))
        ahead = [s for s in roads.walks_from(place) if _before(lanes[s[0]].line[:: s[1]][0], place, heading)]
        if not ahead:
            return None
        return roads.chain(roads.extended([ahead[int(rng.integers(len(ahead)))]], metres, rng), place.astype(float))
    if lane < 0 or lanes[lane].use not in ("drive", "bike"):
        return None
    beside = roads.net.beside(lane) if lanes[lane].use == "drive" and not lanes[lane].inside else []
    if beside and rng.random() < change:
        lane = int(beside[int(rng.integers(len(beside)))])
    steps = roads.extended([(lane, 1)], metres, rng)
    before = roads.before[lane]
    return roads.chain([(before[0], 1), *steps] if before else steps)


def _before(spot: np.ndarray, place: np.ndarray, heading: float) -> bool:
    """Whether a spot lies ahead of who is at a place with a heading."""
    gap = spot - place
    return float(gap @ (np.cos(heading), np.sin(heading))) > 0.5 * float(np.hypot(*gap))


def fits(line: Line, place: np.ndarray, heading: float) -> bool:
    """Whether who is at a place with a heading may be on a line: it is near, and goes the same way there."""
    far = np.hypot(*(line.points - place).T)
    n = int(far.argmin())
    step = line.points[min(n + 1, len(far) - 1)] - line.points[max(n - 1, 0)]
    return float(far[n]) < ASTRAY and float(step @ (np.cos(heading), np.sin(heading))) > 0.5 * float(np.hypot(*step))


def walk_at(roads: Roads, place: np.ndarray) -> int:
    """The pavement or crossing whose middle is within two metres, or -1."""
    for n in roads.walks:
        if np.hypot(*(even(roads.net.lanes[n].line)[0] - place).T).min() < 2.0:
            return n
    return -1


def lane_at(roads: Roads, place: np.ndarray, heading: float) -> int:
    """The lane for driving, no way through a junction, whose middle is nearest to who heads along it; -1 for none."""
    best, least = -1, 3.0
    for n, lane in enumerate(roads.net.lanes):
        if lane.use == "drive" and not lane.inside and way_on(lane.line, place, heading) > 0:
            far = float(np.hypot(*(even(lane.line)[0] - place).T).min())
            if far < least:
                best, least = n, far
    return best
