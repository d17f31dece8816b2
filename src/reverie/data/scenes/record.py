"""What happened in a simulated clip, frame by frame, before anyone draws it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from reverie.data.scenes.bodies import Body, make, scaled


@dataclass
class Thing:
    """One thing of the cast.

    mode: "free" (moved by physics), "fixed" (stands where it was put), "hung" (a screen on cords),
    "hinge" (a pendulum on its stand) or "alive" (walks or flies by its gait). scale: how many times as large as its
    kind and size say; not 1 only where a crime is planted (crimes.py).
    """

    kind: str
    colour: str
    size: str
    material: str
    mode: str = "free"
    scale: float = 1.0

    @property
    def body(self) -> Body:
        """Its geoms and extent."""
        return make(self.kind, self.size) if self.scale == 1 else scaled(self.kind, self.size, self.scale)


@dataclass
class Record:
    """T frames of N things; arrays as in core.clip.Truth, rotations as quaternions (w, x, y, z)."""

    things: list[Thing]
    fps: float
    exists: np.ndarray  # (T, N) bool
    position: np.ndarray  # (T, N, 3)
    quat: np.ndarray  # (T, N, 4)
    velocity: np.ndarray  # (T, N, 3)
    spin: np.ndarray  # (T, N, 3) rad/s in the thing's frame
    phase: np.ndarray  # (T, N)
    stride: np.ndarray  # (T, N) 0 standing .. 1 in full motion
    contacts: list[set[tuple[int, int]]] = field(default_factory=list)  # per frame

    @classmethod
    def empty(cls, things: list[Thing], fps: float, frames: int) -> Record:
        """A record of nothing yet."""
        n = len(things)
        quat = np.zeros((frames, n, 4))
        quat[..., 0] = 1
        return cls(
            things,
            fps,
            np.zeros((frames, n), bool),
            np.zeros((frames, n, 3)),
            quat,
            np.zeros((frames, n, 3)),
            np.zeros((frames, n, 3)),
            np.zeros((frames, n)),
            np.zeros((frames, n)),
            [set() for _ in range(frames)],
        )

    def joined(self, later: Record) -> Record:
        """This record and then ``later``, whose cast begins with this one's."""
        wide = Record.empty(later.things, self.fps, len(self.exists))
        n = len(self.things)
        for name in ARRAYS:
            getattr(wide, name)[:, :n] = getattr(self, name)
            setattr(wide, name, np.concatenate([getattr(wide, name), getattr(later, name)]))
        wide.contacts = self.contacts + later.contacts
        return wide

    def since(self, frame: int, count: int | None = None) -> Record:
        """This record from a frame on, or ``count`` frames of it."""
        part = slice(frame, None if count is None else frame + count)
        rows = (getattr(self, name)[part] for name in ARRAYS)
        return Record(self.things, self.fps, *rows, self.contacts[part])

    def up(self, index: int) -> np.ndarray:
        """The thing's own z axis in the world (T, 3)."""
        return matrices(self.quat[:, index])[..., 2]

    def prop_pose(self, index: int, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Pose of what holds a thing: a stand keeps the first frame's heading, cords follow the screen."""
        thing = self.things[index]
        if thing.mode != "hinge":
            return self.position[frame, index], self.quat[frame, index]
        turn = matrices(self.quat[frame : frame + 1, index])[0]
        hinge = self.position[frame, index] + turn @ np.array([0, 0, thing.body.pivot])
        yaw = np.arctan2(turn[1, 1], turn[0, 1]) - np.pi / 2  # the hinge's axis is the thing's y
        return hinge, np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])


ARRAYS = ("exists", "position", "quat", "velocity", "spin", "phase", "stride")


def matrices(quat: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) of unit quaternions (..., 4)."""
    w, x, y, z = np.moveaxis(np.asarray(quat, float), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def heading(yaw: float) -> np.ndarray:
    """Quaternion (4,) of a turn by ``yaw`` radians about the vertical."""
    return np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])
