"""What happened on a road: where every agent was in every frame, kept in one small file that needs no SUMO.

Legend: T frames, N agents, S signals, K points.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reverie.core.errors import BadData
from reverie.core.files import writing
from reverie.data.road.lights import Program
from reverie.data.road.net import Lane, Net

KINDS = ("car", "van", "truck", "bicycle", "person")
_ARRAYS = ("paints", "size", "exists", "place", "heading", "speed", "lane", "signals", "actions")
_FORMAT = 1


@dataclass
class Trace:
    """Traffic over T frames, in the frame of its net.

    kinds: N names of KINDS. paints (N,) uint8: of each, its colour in agents.PAINTS. size (N, 3): length, width and
    height in metres. exists (T, N) bool. place (T, N, 2): the middle of its footprint; heading (T, N)
    radians, 0 to the east, anticlockwise; speed (T, N) m/s; lane (T, N) int16: the net's number, -1 for none.
    signals (T, S) uint8: places in lights.LIGHTS. ego: which agent carries the cameras; actions (T, 2): its curvature
    in 1/m (positive to the left) and acceleration in m/s^2, each until the next frame. driver: how it drives; turns:
    (frame, "straight", "left", "right" or "back") where it enters a junction.
    """

    net: Net
    fps: float
    kinds: list[str]
    paints: np.ndarray
    size: np.ndarray
    exists: np.ndarray
    place: np.ndarray
    heading: np.ndarray
    speed: np.ndarray
    lane: np.ndarray
    signals: np.ndarray
    ego: int
    actions: np.ndarray
    driver: str
    turns: list[tuple[int, str]]

    @property
    def frames(self) -> int:
        """T."""
        return len(self.exists)

    def save(self, path: Path | str) -> None:
        """Write it as one .npz, lines to a centimetre. Raises CannotWrite."""
        lanes = self.net.lanes
        meta = {"format": _FORMAT, "fps": self.fps, "kinds": self.kinds, "ego": self.ego, "driver": self.driver,
                "turns": self.turns, "junctions": len(self.net.junctions),
                "programs": [[x.signals, x.seconds, x.shows] for x in self.net.programs],
                "lanes": [[x.road, x.index, x.width, x.use, x.limit, list(x.after), x.turn] for x in lanes]}
        lines = [*(lane.line for lane in lanes), *self.net.junctions, *self.net.corners]
        packed = io.BytesIO()
        np.savez_compressed(
            packed, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), stops=self.net.signals,
            counts=np.array([len(line) for line in lines], np.int32),
            points=np.concatenate(lines).round(2).astype(np.float32),
            **{name: _compact(getattr(self, name)) for name in _ARRAYS})
        with writing(path, "wb") as file:
            file.write(packed.getvalue())

    @classmethod
    def load(cls, path: Path | str) -> Trace:
        """Read what ``save`` wrote. Raises BadData for a file that is none, or damaged."""
        try:
            with np.load(path) as stored:
                meta = json.loads(stored["meta"].tobytes())
                if meta["format"] != _FORMAT:
                    raise BadData(f"{path} is a trace of format {meta['format']}, and this program reads {_FORMAT}")
                lines = np.split(stored["points"].astype(float), np.cumsum(stored["counts"])[:-1])
                arrays = {name: stored[name] for name in _ARRAYS}
                stops = stored["stops"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, json.JSONDecodeError) as error:
            raise BadData(f"{path} is no trace of traffic, or damaged ({error})") from None
        count = len(meta["lanes"])
        lanes = tuple(Lane(road, index, line, width, use, limit, tuple(after), turn) for line, (
            road, index, width, use, limit, after, turn) in zip(lines[:count], meta["lanes"], strict=True))
        outlines = lines[count : count + meta["junctions"]], lines[count + meta["junctions"] :]
        programs = tuple(Program(*map(tuple, parts)) for parts in meta.get("programs", ()))  # older traces have none
        return cls(Net(lanes, *map(tuple, outlines), stops, programs), meta["fps"], meta["kinds"], ego=meta["ego"],
                   driver=meta["driver"], turns=[(int(k), turn) for k, turn in meta["turns"]], **arrays)


def _compact(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) if values.dtype == np.float64 else values
