"""The one value that travels through Reverie: a Clip."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from reverie.core.camera import CameraPath
from reverie.core.vocabulary import LOOK


@dataclass(frozen=True)
class Line:
    """One line of a script: ``text`` holds from ``start`` seconds until the next line's start."""

    start: float
    text: str


@dataclass(frozen=True)
class Event:
    """Something that happened, exactly timed.

    kind: one of core.vocabulary.EVENTS; start, end: seconds; actor: index of the thing it happened
    to; other: index of the thing it involved (-1 for none); detail: a direction ("left", "right",
    "front", "back") or, for kind "camera" (actor -1), the move as core.moves parses it.
    """

    kind: str
    start: float
    end: float
    actor: int
    other: int = -1
    detail: str = ""


@dataclass
class Truth:
    """What is exactly known of a simulated clip, or was seen in a recorded one: N things over T frames.

    kinds, colours, sizes, materials: N names from core.vocabulary. A thing's position is the centre
    of its bounding box in its own frame, so that ``extent`` (its half sizes along its own axes,
    metres, constant) and ``rotation`` make its oriented box.

    Two things may never share an index; a thing that is not (yet, or any more) in the world has
    exists False and zeros elsewhere. A thing that exists may be out of the picture.

    lane: of the road, (T, N) int16, the number of each agent's lane in the road's net, -1 for none; else None.
    ego: which thing carries the cameras, -1 for none.
    source: "simulated", or "seen" where an observer guessed all of it from the pixels (see ``Clip.exact``); then
    setting and materials are "", for nobody knows them.
    """

    setting: str
    kinds: list[str]
    colours: list[str]
    sizes: list[str]
    materials: list[str]
    extent: np.ndarray  # (N, 3) float32 half sizes, m
    exists: np.ndarray  # (T, N) bool
    position: np.ndarray  # (T, N, 3) float32 m
    rotation: np.ndarray  # (T, N, 3, 3) float32, thing to world
    velocity: np.ndarray  # (T, N, 3) float32 m/s
    phase: np.ndarray  # (T, N) float32 gait phase in radians (0 for the lifeless)
    contacts: np.ndarray  # (K, 3) int32: frame, thing, thing or -1 for the ground
    events: list[Event]  # by start time
    beats: list[float]  # seconds at which a new line of the script begins, the first 0.0
    boxes: dict[str, np.ndarray] = field(default_factory=dict)  # camera -> (T, N, 4) x0 y0 x1 y1 px, NaN when unseen
    visible: dict[str, np.ndarray] = field(default_factory=dict)  # camera -> (T, N) float32 0..1
    masks: dict[str, np.ndarray] = field(default_factory=dict)  # camera -> (T, H, W) uint8: thing + 1, 0 background
    look: np.ndarray = field(default_factory=lambda: np.zeros(len(LOOK), np.float32))  # of the setting, see LOOK
    source: str = "simulated"
    lane: np.ndarray | None = None
    ego: int = -1


@dataclass(frozen=True)
class Channel:
    """What one number of a recorded action vector is.

    unit: "1" for a share of the whole, "" when unknown. low, high: its range, None where it has none. lag: seconds from
    its row until the camera shows its effect, None when unknown. measured: it is what happened (a speed), not what was
    asked for, so that it is known of the past only; a measured number may be NaN.
    """

    name: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    lag: float | None = None
    measured: bool = False


@dataclass
class Clip:
    """Video of one or several cameras, with whatever else is known of it.

    views: camera name -> uint8 frames (T, H, W, 3); empty for a things-only clip.
    actions: (T, A) float32, or None when unknown: recorded ones are what ``channels`` says (a row's number holds until
    the next row), simulated ones have no channels and are in the units of core.vocabulary.CAMERA_UNITS.
    times: (T,) float64 seconds from the first frame, as recorded; None where frames come exactly at ``fps``. Of a
    recording ``fps`` is its median rate.
    cameras: camera name -> CameraPath of T poses; empty when unknown.
    truth: None for recorded video in which nobody looked for things.
    sound: (samples, channels) float32 at sound_rate, or None.
    """

    fps: float
    script: list[Line] = field(default_factory=list)
    views: dict[str, np.ndarray] = field(default_factory=dict)
    actions: np.ndarray | None = None
    action_names: tuple[str, ...] = ()
    cameras: dict[str, CameraPath] = field(default_factory=dict)
    truth: Truth | None = None
    sound: np.ndarray | None = None
    sound_rate: int = 0
    channels: tuple[Channel, ...] = ()
    times: np.ndarray | None = None

    @property
    def exact(self) -> Truth | None:
        """The truth, for whoever measures or learns: None also where the things were only seen."""
        return self.truth if self.truth is not None and self.truth.source == "simulated" else None

    @property
    def frames(self) -> int:
        """Number of frames T."""
        if self.views:
            return len(next(iter(self.views.values())))
        return len(self.truth.exists) if self.truth is not None else 0
