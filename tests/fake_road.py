"""A street without SUMO: two lanes to the east that end at a light, a pavement and a crossing, and traffic on it."""

from __future__ import annotations

import numpy as np

from reverie.data.road.net import Lane, Net
from reverie.data.road.trace import Trace

FPS, LONG = 24.0, 160.0


def line(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, float)


def street() -> Net:
    """Lanes 0 and 1 (to the east, 0 the outer one), 2 the pavement, 3 the crossing at 150 m, 4 and 5 on beyond it."""
    lanes = (Lane("a", 1, line((0, 0), (LONG, 0)), 3.2, "drive", 10.0, (4,)),
             Lane("a", 2, line((0, 3.2), (LONG, 3.2)), 3.2, "drive", 10.0),
             Lane("a", 0, line((0, -2.6), (LONG, -2.6)), 2.0, "walk", 1.5),
             Lane(":j_c0", 0, line((150, -4), (150, 6)), 4.0, "cross", 1.5),
             Lane(":j_0", 0, line((LONG, 0), (LONG + 10, 0)), 3.2, "drive", 10.0, (5,), "straight"),
             Lane("b", 0, line((LONG + 10, 0), (LONG + 90, 0)), 3.2, "drive", 10.0))
    corner = line((LONG, -2), (LONG + 10, -2), (LONG + 10, 5), (LONG, 5))
    return Net(lanes, (corner,), (), np.array([(0, 4)], np.int32))


def trace(frames: int = 48, speed: float = 8.0) -> Trace:
    """Our car (agent 1) to the east from 100 m; a car 12 m ahead that comes from the lane beside; a person who crosses;
    a truck that is there only later, far behind."""
    t = np.arange(frames) / FPS
    own = np.stack([100 + speed * t, np.zeros(frames)], -1)
    beside = np.where(t < 0.3, 3.2, np.maximum(3.2 - 4 * (t - 0.3), 0.0))
    place = np.stack([own + np.stack([np.full(frames, 12.0), beside], -1), own,
                      np.stack([np.full(frames, 124.0), -4 + 1.3 * t], -1), own - (25.0, 0.0)], 1)
    exists = np.ones((frames, 4), bool)
    exists[: frames // 2, 3] = False
    lane = np.tile(np.array([0, 0, 3, 0], np.int16), (frames, 1))
    heading = np.tile(np.array([0.0, 0.0, np.pi / 2, 0.0]), (frames, 1))
    speeds = np.tile(np.array([speed, speed, 1.3, speed]), (frames, 1))
    size = np.array([(4.4, 1.8, 1.5), (4.4, 1.8, 1.5), (0.4, 0.5, 1.72), (7.5, 2.4, 3.2)], np.float32)
    return Trace(street(), FPS, ["car", "car", "person", "truck"], np.array([1, 0, 2, 3], np.uint8), size, exists,
                 np.where(exists[..., None], place, 0.0), np.where(exists, heading, 0.0), np.where(exists, speeds, 0.0),
                 np.where(exists, lane, -1).astype(np.int16), np.zeros((frames, 1), np.uint8), 1,
                 np.zeros((frames, 2), np.float32), "smooth", [(20, "straight")])
