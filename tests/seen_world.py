"""A stand-in for the observer's eye: what it would say of things that go where they are told to, seen from the side.

A stage in metres: x to the right from the picture's left border, lift up from the ground; METRE pixels each at the
depth where most things are. ``see`` gives the detections of each frame, ``staged`` the scene that the laws are asked
about.

Legend: T frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reverie.audit.findings import Motion
from reverie.audit.observer import COLOUR_NAMES, Detection
from reverie.audit.scene import Scene
from reverie.audit.tracks import FAINT, follow
from reverie.core.vocabulary import KINDS

FPS, SIZE = 24.0, (128, 224)
METRE, GROUND = 30.0, 108.0  # pixels: of a metre, and from the picture's top to the ground's line at that depth
FRAMES = 96
FREE = 9.81


@dataclass
class Thing:
    """One thing over T frames; numbers stand for all of them.

    x: metres of its middle; lift: of its foot over the ground; wide, high: metres. kind, colour: names, or one for each
    frame. there: whether it is in the world. nearer: pixels by which its place on the ground is lower in the picture;
    a thing hides those that are less near. metre: pixels of one. sunk: metres of it that are below the ground and so
    out of sight. confidence: when it is in plain sight.
    """

    x: np.ndarray | float
    lift: np.ndarray | float = 0.0
    kind: str | Sequence[str] = "ball"
    colour: str | Sequence[str] = "red"
    wide: np.ndarray | float = 0.6
    high: np.ndarray | float = 0.6
    there: np.ndarray | bool = True
    nearer: float = 0.0
    metre: np.ndarray | float = METRE
    sunk: np.ndarray | float = 0.0
    confidence: np.ndarray | float = 0.85

    def boxes(self, frames: int) -> np.ndarray:
        """Its whole boxes (T, 4) in pixels, as far as it is above the ground."""
        x, lift, wide, high, metre, sunk = (np.broadcast_to(np.asarray(v, float), frames) for v in (
            self.x, self.lift, self.wide, self.high, self.metre, self.sunk))
        foot = GROUND + self.nearer - lift * metre
        top = foot - (high - sunk) * metre
        return np.stack([(x - wide / 2) * metre, top, (x + wide / 2) * metre, foot], -1)


def seconds(frames: int = FRAMES) -> np.ndarray:
    """The time (T,) of each frame."""
    return np.arange(frames) / FPS


def since(time: float, frames: int = FRAMES) -> np.ndarray:
    """Seconds (T,) since a moment, 0 before it."""
    return np.maximum(seconds(frames) - time, 0)


def before(time: float, frames: int = FRAMES) -> np.ndarray:
    """Whether a frame (T,) is before a moment."""
    return seconds(frames) < time - 1e-6


def dropped(height: float, keeps: float = 0.0, frames: int = FRAMES, start: float = 0.0, floor: float = 0.0
            ) -> np.ndarray:
    """Lift (T,) of a thing that is let go at ``start`` and keeps a share of its speed whenever it lands."""
    lift, speed, out, steps = height, 0.0, [], 40
    for t in seconds(frames):
        out.append(lift)
        for _ in range(steps * (t >= start)):
            speed -= FREE / FPS / steps
            lift += speed / FPS / steps
            if lift < floor:
                lift, speed = floor, -keeps * speed if speed < -0.6 else 0.0
    return np.array(out)


def see(things: Sequence[Thing], frames: int = FRAMES, *, noise: float = 0.0, misses: float = 0.0, seed: int = 0,
        warp: np.ndarray | None = None, size: tuple[int, int] = SIZE) -> list[list[Detection]]:
    """What an eye says of them in each frame.

    noise: pixels by which each edge errs (a normal law's width). misses: share of the detections that it does not make.
    warp (T, 2, 3): the camera's motion, as Motion.warp. Things of which a fifth or less is in sight are not seen.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    border = np.array([width, height, width, height], float)
    paths = np.stack([thing.boxes(frames) for thing in things], 1)
    if warp is not None:
        paths = np.concatenate([np.einsum("tij,tnj->tni", warp[:, :, :2], paths[..., corner]) + warp[:, None, :, 2]
                                for corner in (slice(0, 2), slice(2, 4))], -1)
    there = np.stack([np.broadcast_to(thing.there, frames) for thing in things], 1)
    seen: list[list[Detection]] = []
    for t in range(frames):
        found = []
        for n, thing in enumerate(things):
            box = paths[t, n]
            shown = _share_in_sight(box, border, [paths[t, m] for m, other in enumerate(things)
                                                  if there[t, m] and other.nearer > thing.nearer])
            missed = rng.random() < misses
            edges = np.clip(box + noise * rng.normal(size=4), 0, border)
            if not there[t, n] or shown <= 0.2 or missed or (edges[2:] - edges[:2]).min() < 3:
                continue
            found.append(detection(_at(thing.kind, t), _at(thing.colour, t), edges,
                                   float(np.broadcast_to(thing.confidence, frames)[t]) * min(1.0, 1.5 * shown), shown,
                                   float(np.broadcast_to(thing.metre, frames)[t]),
                                   float(np.broadcast_to(thing.lift, frames)[t] + 0.01 * noise * rng.normal())))
        seen.append(sorted((d for d in found if d.confidence >= FAINT), key=lambda d: -d.confidence))
    return seen


def detection(kind: str = "ball", colour: str = "red", box: Sequence[float] = (40, 40, 60, 60),
              confidence: float = 0.85, visible: float = 1.0, metre: float = METRE, lift: float = 0.0) -> Detection:
    """One detection; what it looks like is told by its kind and colour."""
    kinds, colours = np.full(len(KINDS), 0.005, np.float32), np.full(len(COLOUR_NAMES), 0.01, np.float32)
    kinds[KINDS.index(kind)] += 1 - kinds.sum()
    colours[COLOUR_NAMES.index(colour)] += 1 - colours.sum()
    look = np.concatenate([kinds > 0.5, colours > 0.5]).astype(np.float32) / np.sqrt(2).astype(np.float32)
    return Detection(kind, colour, tuple(float(edge) for edge in box), confidence, kinds, colours, look, visible, metre,
                     lift)


def staged(things: Sequence[Thing], frames: int = FRAMES, *, warp: np.ndarray | None = None,
           cuts: Sequence[int] = (), size: tuple[int, int] = SIZE, **eye) -> Scene:
    """The scene that is made of them; arguments as of ``see``."""
    seen = see(things, frames, warp=warp, size=size, **eye)
    motion = None
    if warp is not None or cuts:
        still = np.tile(np.eye(2, 3, dtype=np.float32), (frames, 1, 1))
        motion = Motion(still if warp is None else warp.astype(np.float32), np.ones(frames, bool),
                        np.zeros((frames, 5), np.float32), tuple(cuts))
    return Scene(follow(seen, FPS, size, cuts), seen, FPS, size, motion)


def _at(name: str | Sequence[str], t: int) -> str:
    return name if isinstance(name, str) else name[t]


def _share_in_sight(box: np.ndarray, border: np.ndarray, nearer: Sequence[np.ndarray]) -> float:
    """The share of a box that is in the picture and behind none of the nearer ones."""
    grid = (np.arange(16) + 0.5) / 16
    x, y = (box[i] + grid * (box[i + 2] - box[i]) for i in (0, 1))
    shown = ((y > 0) & (y < border[1]))[:, None] & ((x > 0) & (x < border[0]))
    for other in nearer:
        shown &= ~(((y > other[1]) & (y < other[3]))[:, None] & ((x > other[0]) & (x < other[2])))
    return float(shown.mean())
