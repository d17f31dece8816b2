"""Cameras: pose, projection, and the moves that a person can ask for.

World frame: x right, y away from the default camera, z up, metres; the stage's centre is near the
origin and the ground is z = 0. A camera's rotation matrix has as columns its right, up and *back*
axes in the world's frame (the OpenGL and MuJoCo convention: it looks along minus its third axis).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CameraPath:
    """Where a camera is in each frame.

    position (T, 3) float32 metres; rotation (T, 3, 3) float32, camera to world; fovy degrees
    (vertical field of view, the same in all frames).
    """

    position: np.ndarray
    rotation: np.ndarray
    fovy: float

    def __len__(self) -> int:
        return len(self.position)

    def __getitem__(self, frames: slice) -> CameraPath:
        return CameraPath(self.position[frames], self.rotation[frames], self.fovy)


def project(points: np.ndarray, position: np.ndarray, rotation: np.ndarray, fovy: float,
            height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """World points (..., 3) to pixels (..., 2) as (x, y) and depth (...) in metres.

    Pixel (0, 0) is the upper left corner of the upper left pixel; depth is along the view axis,
    positive in front. Points with depth <= 0 are behind the camera and their pixels mean nothing.
    position and rotation broadcast against the leading dimensions of points.
    """
    local = np.einsum("...ij,...i->...j", rotation, points - position)
    depth = -local[..., 2]
    focal = 0.5 * height / np.tan(np.radians(fovy) / 2)
    safe = np.where(np.abs(depth) < 1e-6, 1e-6, depth)
    x = 0.5 * width + focal * local[..., 0] / safe
    y = 0.5 * height - focal * local[..., 1] / safe
    return np.stack([x, y], -1), depth


def look_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) of a camera at ``position`` that faces ``target`` with the horizon level."""
    back = np.asarray(position, float) - np.asarray(target, float)
    back = back / np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right = right / max(np.linalg.norm(right), 1e-9)
    return np.stack([right, np.cross(back, right), back], -1).astype(np.float32)
