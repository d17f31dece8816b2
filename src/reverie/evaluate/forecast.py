"""How well futures of traffic foretell what happened: distances to the nearest of several, collisions, roads left.

Legend: K futures, T frames, N agents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reverie.data.road.lanes import corners, meet
from reverie.data.road.net import Net, along, even

MISSED = 2.0  # metres from where an agent really is
EDGE = 2.4  # metres from the middle of the nearest lane from which on what drives has left the road
GRID = 6  # frames from one look at collisions to the next


def constant(place: np.ndarray, before: np.ndarray, frames: int, step: int) -> np.ndarray:
    """Places (frames, N, 2) of agents that go on as between two moments, ``step`` frames apart."""
    pace = (place - before) / step
    return place[None] + np.arange(1, frames + 1)[:, None, None] * pace[None]


def errors(made: np.ndarray, true: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Of futures (K, T, N, 2) against truth (T, N, 2): the mean distance over so many frames, and that at their end,
    each (K, N)."""
    far = np.linalg.norm(made[:, :frames] - true[None, :frames], axis=-1)
    return far.mean(1), far[:, -1]


class Tally:
    """Errors gathered over scenes. add: (K, N) means and ends of a scene."""

    def __init__(self) -> None:
        self.ade: list[np.ndarray] = []
        self.fde: list[np.ndarray] = []

    def add(self, ade: np.ndarray, fde: np.ndarray) -> None:
        """One scene's agents."""
        if ade.shape[1]:
            self.ade.append(ade)
            self.fde.append(fde)

    @property
    def agents(self) -> int:
        """How many agents."""
        return sum(ade.shape[1] for ade in self.ade)

    def least(self) -> tuple[float, float]:
        """Mean over agents of each one's least ADE, and least FDE."""
        return self._over(self.ade, lambda v: v.min(0)), self._over(self.fde, lambda v: v.min(0))

    def mean(self) -> float:
        """Mean ADE over agents and futures."""
        return self._over(self.ade, lambda v: v.mean(0))

    def missed(self) -> float:
        """Share of agents that in no future end within MISSED."""
        return self._over(self.fde, lambda v: v.min(0) > MISSED)

    def together(self) -> tuple[float, float, float]:
        """Of whole futures: least ADE (of the one future that is best for all agents of a scene at once), mean ADE, and
        the share of agents that end beyond MISSED in the future that is best by ends; scenes weigh as their agents."""
        best = [ade[:, :].mean(1).argmin() for ade in self.ade]
        last = [fde.mean(1).argmin() for fde in self.fde]
        total = max(self.agents, 1)
        return (sum(ade[k].sum() for ade, k in zip(self.ade, best, strict=True)) / total, self.mean(),
                sum((fde[k] > MISSED).sum() for fde, k in zip(self.fde, last, strict=True)) / total)

    @staticmethod
    def _over(values: Sequence[np.ndarray], what) -> float:
        found = [what(v) for v in values]
        return float(np.concatenate(found).mean()) if found else float("nan")


def collisions(place: np.ndarray, heading: np.ndarray, there: np.ndarray, size: np.ndarray, wheels: np.ndarray) -> int:
    """How many pairs begin to overlap: place (T, N, 2), heading, there (T, N), size (N, 3); of each pair one at least
    drives (wheels (N,)). Those that overlap in the first frame do not count."""
    found, before = 0, None
    for t in range(0, len(place), GRID):
        now = overlapping(place[t], heading[t], there[t], size, wheels)
        if before is not None:
            found += len(now - before)
        before = now if before is None else before | now
    return found


def overlapping(place: np.ndarray, heading: np.ndarray, there: np.ndarray, size: np.ndarray, wheels: np.ndarray
                ) -> set[tuple[int, int]]:
    """Pairs of agents whose footprints (each 10 cm smaller all round) overlap."""
    less, reach = (size[:, :2] - 0.2).clip(min=0.1), np.hypot(size[:, 0], size[:, 1]) / 2
    far = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1))
    close = (far < reach[:, None] + reach[None]) & there[:, None] & there[None] & (wheels[:, None] | wheels[None])
    return {(int(a), int(b)) for a, b in np.argwhere(np.triu(close, 1))
            if meet(corners(place[a], float(heading[a]), less[a]), corners(place[b], float(heading[b]), less[b]))}


class Paved:
    """Where there is road to drive on: near the middle of a lane."""

    def __init__(self, net: Net) -> None:
        lines = [even(lane.line)[0] for lane in net.lanes if lane.use in ("drive", "bike") and
                 along(lane.line)[-1] > 0.5]
        self.points = np.concatenate(lines)

    def left(self, place: np.ndarray) -> np.ndarray:
        """Which of places (..., 2) lie more than EDGE from the middle of any lane."""
        flat = place.reshape(-1, 2)
        near = np.array([np.hypot(*(self.points - spot).T).min() for spot in flat])
        return (near > EDGE).reshape(place.shape[:-1])
