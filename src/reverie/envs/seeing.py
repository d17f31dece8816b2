"""What a ride's driver sees without a camera: numbers, or the road from above.

The numbers, in our car's frame (x forward, y to the left): speed / 10, metres aside / 2, how it is turned on its lane
(sin, cos), the limit / 10; the middle of the lane ahead at LANE metres, / 20; then of the OTHERS nearest agents: 1
where there is one, place / 20, velocity / 10, length / 5, width / 2, whether it walks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from reverie.data.road.lanes import Lanes
from reverie.data.road.trace import Trace
from reverie.envs.base import spaces
from reverie.futures.above import Above

LANE = (4.0, 8.0, 14.0, 22.0, 32.0)
OTHERS, FAR = 8, 50.0  # agents, and metres within which they are seen
VECTOR = 5 + 2 * len(LANE) + 8 * OTHERS
SIDE, REACH = 128, 35.0  # pixels, and metres to the picture's side


def space(observation: str) -> Any:
    """The observation space of "vector" or "above"."""
    if observation == "vector":
        return spaces().Box(-10.0, 10.0, (VECTOR,), np.float32)
    return spaces().Box(0, 255, (SIDE, SIDE, 3), np.uint8)


def observed(observation: str, trace: Trace, now: int, lanes: Lanes) -> np.ndarray:
    """What is seen in frame ``now``."""
    return vector(trace, now, lanes) if observation == "vector" else above(trace, now)


def vector(trace: Trace, now: int, lanes: Lanes) -> np.ndarray:
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
    return np.concatenate([own, lane.ravel(), rows.ravel()]).clip(-10, 10).astype(np.float32)


def above(trace: Trace, now: int) -> np.ndarray:
    """The road around our car from above, uint8 (SIDE, SIDE, 3), its way up."""
    place, heading = trace.place[now, trace.ego], float(trace.heading[now, trace.ego])
    wide = Above(trace.net, place, REACH * 1.45, round(SIDE * 1.45))
    page = Image.fromarray(wide.picture(trace.kinds, trace.paints, trace.size, trace.exists[now], trace.place[now],
                                        trace.heading[now], trace.ego, lights=trace.signals[now]))
    turned = page.rotate(90 - np.degrees(heading), Image.Resampling.BILINEAR)
    edge = (turned.size[0] - SIDE) // 2
    return np.asarray(turned.crop((edge, edge, edge + SIDE, edge + SIDE)))
