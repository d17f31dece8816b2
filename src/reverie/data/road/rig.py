"""The cameras of a car: where each is mounted, which way it looks, and how wide.

The car's frame: x forward, y to the left, z up, metres, from the middle of its footprint on the ground.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from reverie.core.camera import CameraPath
from reverie.core.errors import BadInput

MOST = 8  # cameras of a rig


@dataclass(frozen=True)
class Mount:
    """One camera. at: metres in the car's frame; yaw: degrees to the left of straight ahead; pitch: degrees up; across:
    its horizontal field of view in degrees."""

    name: str
    at: tuple[float, float, float]
    yaw: float = 0.0
    pitch: float = 0.0
    across: float = 90.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", tuple(float(v) for v in self.at))  # JSON gives lists
        if not self.name or set(self.name) & set("./\\"):
            raise BadInput(f"a camera can't be called {self.name!r}: leave out dots and slashes")
        if len(self.at) != 3 or not 10 <= self.across <= 140 or abs(self.pitch) > 60:
            raise BadInput(f"camera {self.name}: give a place of 3 metres, 10 to 140 degrees across, a pitch within 60")

    def path(self, place: np.ndarray, heading: np.ndarray, size: tuple[int, int]) -> CameraPath:
        """Its poses on a car at places (T, 2) with headings (T,) in radians, for pictures of (H, W) pixels."""
        yaw, pitch = heading + np.radians(self.yaw), np.full(len(heading), np.radians(self.pitch))
        flat = np.zeros_like(yaw)
        right = np.stack([np.sin(yaw), -np.cos(yaw), flat], -1)
        back = -np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], -1)
        forward, left = (np.stack([np.cos(heading + turn), np.sin(heading + turn), flat], -1)
                         for turn in (0, np.pi / 2))
        spot = np.concatenate([place, flat[:, None]], -1) + self.at[0] * forward + self.at[1] * left
        spot[:, 2] = self.at[2]
        turn = np.stack([right, np.cross(back, right), back], -1)
        fovy = 2 * np.degrees(np.arctan(np.tan(np.radians(self.across) / 2) * size[0] / size[1]))
        return CameraPath(spot.astype(np.float32), turn.astype(np.float32), float(fovy))


FOUR = (Mount("front", (0.7, 0.0, 1.35), pitch=-4, across=100), Mount("left", (0.3, 0.9, 1.25), 80, -4),
        Mount("right", (0.3, -0.9, 1.25), -80, -4), Mount("rear", (-2.1, 0.0, 1.15), 180, -4))


def load(path: Path | str) -> tuple[Mount, ...]:
    """A rig from a JSON file, a list of objects with the fields of Mount. Raises BadInput."""
    try:
        mounts = tuple(Mount(**mount) for mount in json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(f"{path} is no rig of cameras ({error})") from None
    return checked(mounts)


def checked(mounts: Sequence[Mount]) -> tuple[Mount, ...]:
    """A rig of 1 to MOST cameras with names of their own. Raises BadInput for another."""
    names = [mount.name for mount in mounts]
    if not 1 <= len(names) <= MOST or len(set(names)) < len(names):
        raise BadInput(f"a rig has 1 to {MOST} cameras with different names, not {', '.join(names) or 'none'}")
    return tuple(mounts)


def saved(mounts: Sequence[Mount]) -> str:
    """A rig as ``load`` reads it."""
    return json.dumps([asdict(mount) for mount in mounts], indent=1)
