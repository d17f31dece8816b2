"""The observer of the road: which agents are in a picture of a car's camera, and how far away.

The network and the reading of its maps are those of the judge's eye (audit/observer.py), smaller and without a second
look; its kinds and colours are the road's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reverie.audit.observer import COLOUR_NAMES, Detection, Observer
from reverie.core.errors import BadWeights
from reverie.core.vocabulary import KINDS as OTHER_KINDS
from reverie.data.road.agents import PAINT_NAMES
from reverie.data.road.trace import KINDS

WEIGHTS = Path(__file__).parents[1] / "weights" / "road_observer.safetensors"
WORLD = "road"  # of its meta


@dataclass(frozen=True)
class Agent:
    """One agent in one picture. kind: a name of trace.KINDS; paint: of agents.PAINT_NAMES. box: x0 y0 x1 y1 in pixels,
    of all of it that is within the picture, hidden parts included. confidence, visible: 0..1. metre: pixels that a
    metre takes up where it is."""

    kind: str
    paint: str
    box: tuple[float, float, float, float]
    confidence: float
    visible: float
    metre: float


class RoadObserver:
    """An observer whose names are the road's."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer

    @classmethod
    def load(cls, path: str | Path | None = None) -> RoadObserver:
        """The one in a safetensors file (default: what comes with the package). Raises BadWeights."""
        path = WEIGHTS if path is None else Path(path)
        observer = Observer.load(path)
        if observer.meta.get("world") != WORLD:
            raise BadWeights(f"{path} is an observer of another world: get the road's")
        return cls(observer)

    def detect(self, pictures: np.ndarray, threshold: float | None = None) -> list[list[Detection]]:
        """What ``see`` returns as audit.tracks takes it, under the numbers of the other vocabulary's names."""
        return self.observer.detect(pictures, threshold=threshold)

    def see(self, pictures: np.ndarray, threshold: float | None = None) -> list[list[Agent]]:
        """Who is in each of some pictures uint8 (N, H, W, 3), the most confident first. Raises BadInput."""
        return [named(seen) for seen in self.detect(pictures, threshold)]


def named(seen: Sequence[Detection]) -> list[Agent]:
    """Detections under the road's own names."""
    return [Agent(KINDS[OTHER_KINDS.index(one.kind)], PAINT_NAMES[COLOUR_NAMES.index(one.colour)], one.box,
                  one.confidence, one.visible, one.metre) for one in seen]
