"""What a ride's driver sees without a camera: numbers, or the road from above.

The numbers, in our car's frame (x forward, y to the left): speed / 10, metres aside / 2, how it is turned on its lane
(sin, cos), the limit / 10; the middle of the lane ahead at LANE metres, / 20; the next light: 1 where there is one,
metres to its line / 20, whether it is red, whether it is yellow; the nearest on the lane ahead: 1 where there is one,
metres between us / 20, its speed / 10; then of the OTHERS nearest agents: 1 where there is one, place / 20, velocity /
10, length / 5, width / 2, whether it walks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from reverie.data.road.gates import Gates
from reverie.data.road.lanes import Lanes
from reverie.data.road.lights import LIGHTS
from reverie.data.road.trace import Trace
from reverie.envs.base import spaces
from reverie.futures.above import Above

LANE = (4.0, 8.0, 14.0, 22.0, 32.0)
OTHERS, FAR = 8, 50.0  # agents, and metres within which they are seen
BESIDE = 0.5  # metres beside our car within which another is on the lane ahead
OWN = 5 + 2 * len(LANE)  # numbers of our car and its lane, which come first
VECTOR = OWN + 4 + 3 + 8 * OTHERS
ROOM = 0.5  # metres that are left to who is ahead
SIDE, REACH = 128, 35.0  # pixels, and metres to the picture's side


def space(observation: str) -> Any:
    """The observation space of "vector" or "above"."""
    if observation == "vector":
        return spaces().Box(-10.0, 10.0, (VECTOR,), np.float32)
    return spaces().Box(0, 255, (SIDE, SIDE, 3), np.uint8)


def observed(observation: str, trace: Trace, now: int, lanes: Lanes, lights: Gates | None = None) -> np.ndarray:
    """What is seen in frame ``now``. lights: None where they do not count."""
    return vector(trace, now, lanes, lights) if observation == "vector" else above(trace, now)


def vector(trace: Trace, now: int, lanes: Lanes, lights: Gates | None = None) -> np.ndarray:
    """float32 (VECTOR,)."""
    ego, place, heading = trace.ego, trace.place[now, trace.ego], float(trace.heading[now, trace.ego])
    ahead = np.array([np.cos(heading), np.sin(heading)])
    turn = np.stack([ahead, [-ahead[1], ahead[0]]], 1)  # of the world, into our car's frame
    near = lanes.nearest(place, heading)
    own = [trace.speed[now, ego] / 10, near.aside / 2, np.sin(near.turned), np.cos(near.turned), near.limit / 10]
    lane = (lanes.ahead(place, heading, LANE) - place) @ turn / 20
    far = np.hypot(*(trace.place[now] - place).T)
    seen = [n for n in np.argsort(far, kind="stable") if n != ego and trace.exists[now, n] and far[n] < FAR][:OTHERS]
    rows = np.zeros((OTHERS, 8))
    for row, n in zip(rows, seen, strict=False):
        way = np.array([np.cos(trace.heading[now, n]), np.sin(trace.heading[now, n])])
        row[:] = 1, *((trace.place[now, n] - place) @ turn / 20), *(trace.speed[now, n] * way @ turn / 10), \
            trace.size[n, 0] / 5, trace.size[n, 1] / 2, trace.kinds[n] == "person"
    told = [*_light(trace, now, lights), *_leader(trace, now, lane * 20, turn)]
    return np.concatenate([own, lane.ravel(), told, rows.ravel()]).clip(-10, 10).astype(np.float32)


def braking(trace: Trace, now: int, lanes: Lanes, lights: Gates | None = None) -> float:
    """How hard our car must brake, in m/s^2, if it shall stop before the next red light and not run into who is ahead.
    lights: None where they do not count."""
    place, heading = trace.place[now, trace.ego], float(trace.heading[now, trace.ego])
    ahead, speed = np.array([np.cos(heading), np.sin(heading)]), float(trace.speed[now, trace.ego])
    turn = np.stack([ahead, [-ahead[1], ahead[0]]], 1)
    there, metres, its = _leader(trace, now, (lanes.ahead(place, heading, LANE) - place) @ turn, turn)
    gate, far, red, _ = _light(trace, now, lights)
    closing = max(speed - 10 * its, 0.0)
    return max(there * closing**2 / (2 * max(20 * metres - ROOM, ROOM)),
               gate * red * speed**2 / (2 * max(20 * far, ROOM)))


def _leader(trace: Trace, now: int, lane: np.ndarray, turn: np.ndarray) -> list[float]:
    """The nearest on the lane ahead, whose places (P, 2) are in our car's frame."""
    ego = trace.ego
    spots = np.concatenate([[[0.0, 0.0]], lane])
    line = np.stack([np.interp(np.arange(0, LANE[-1]), (0.0, *LANE), spots[:, n]) for n in (0, 1)], -1)
    some = np.flatnonzero(trace.exists[now] & (np.hypot(*(trace.place[now] - trace.place[now, ego]).T) < LANE[-1] + 4))
    some = some[some != ego]
    spots = (trace.place[now, some] - trace.place[now, ego]) @ turn
    far = np.hypot(*(spots[:, None] - line[None]).transpose(2, 0, 1))
    near = (far.min(1) < (trace.size[ego, 1] + trace.size[some, 1]) / 2 + BESIDE) & (far.argmin(1) > 0)
    if not near.any():
        return [0.0] * 3
    metres = far.argmin(1) - (trace.size[ego, 0] + trace.size[some, 0]) / 2
    first = int(np.where(near, metres, np.inf).argmin())
    return [1.0, metres[first] / 20, trace.speed[now, some[first]] / 10]


def _light(trace: Trace, now: int, lights: Gates | None) -> list[float]:
    """The next light, as our car's foremost point comes to it."""
    place, heading = trace.place[now, trace.ego], float(trace.heading[now, trace.ego])
    front = place + trace.size[trace.ego, 0] / 2 * np.array([np.cos(heading), np.sin(heading)])
    n, far = (-1, 0.0) if lights is None else lights.ahead(front, heading)
    if n < 0:
        return [0.0] * 4
    shown = LIGHTS[lights.shown(n, trace.signals[now])]
    return [1.0, far / 20, float(shown == "r"), float(shown == "y")]


def above(trace: Trace, now: int) -> np.ndarray:
    """The road around our car from above, uint8 (SIDE, SIDE, 3), its way up."""
    place, heading = trace.place[now, trace.ego], float(trace.heading[now, trace.ego])
    wide = Above(trace.net, place, REACH * 1.45, round(SIDE * 1.45))
    page = Image.fromarray(wide.picture(trace.kinds, trace.paints, trace.size, trace.exists[now], trace.place[now],
                                        trace.heading[now], trace.ego, lights=trace.signals[now]))
    turned = page.rotate(90 - np.degrees(heading), Image.Resampling.BILINEAR)
    edge = (turned.size[0] - SIDE) // 2
    return np.asarray(turned.crop((edge, edge, edge + SIDE, edge + SIDE)))
