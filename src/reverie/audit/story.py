"""One thing through a whole clip, freed of the camera's motion: what audit.happenings has its rules about.

Legend: m frames from a thing's first to its last, T frames of a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from reverie.audit.findings import FOVY, Motion, Track
from reverie.audit.motion_moves import DISTANCE, TARGET
from reverie.audit.scene import Path, Scene, smoothed
from reverie.audit.tracks import at_border, merged
from reverie.core.camera import CameraPath, look_at, project
from reverie.core.moves import integrate

BACK = 0.2  # metres of depth that are a way to the front or the back
KNOWN = 0.9  # share of frames whose camera moves must be told for things to be freed of them in space


@dataclass
class Stage(Scene):
    """A scene whose things are freed of the camera's motion in space, by its moves and the things' distances. path:
    the camera's, where it is known."""

    path: CameraPath | None = None

    @cached_property
    def camera(self) -> CameraPath | None:
        """The camera's path, if it is not known as its rates tell it, from a usual place; None where nothing does."""
        motion = self.motion
        if self.path is not None:
            return self.path
        if motion is None or len(motion.rates) != self.frames or not self.frames:
            return None
        if np.isfinite(motion.rates).all(1).mean() < KNOWN:
            return None
        place = np.array([0.0, -DISTANCE * np.cos(0.165), TARGET + DISTANCE * np.sin(0.165)])
        view = look_at(place, np.array([0.0, 0.0, TARGET]))
        return integrate(np.nan_to_num(motion.rates), place, view, FOVY, self.fps)

    def fixed(self, points: np.ndarray, depth: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (m, 2) in pixels, ``depth`` (m,) metres away in frames (m,), as the first frame's camera has them:
        pixels (m, 2) and metres (m,)."""
        if self.camera is None:
            return self.steady(points, frames) if self.motion is not None and len(self.motion.warp) else points, depth
        height, width = self.size
        focal = 0.5 * height / np.tan(np.radians(FOVY) / 2)
        frames = np.clip(frames, 0, self.frames - 1)
        rays = np.stack([(points[:, 0] - 0.5 * width) / focal, (0.5 * height - points[:, 1]) / focal,
                         -np.ones(len(points))], 1)
        turn, place = self.camera.rotation.astype(float), self.camera.position.astype(float)
        world = place[frames] + np.einsum("mij,mj->mi", turn[frames], rays * depth[:, None])
        return project(world, place[0], turn[0], FOVY, height, width)


@dataclass(frozen=True)
class Spell:
    """When it happened, in seconds, and which way: left, right, front, back, two of them, or ""."""

    start: float
    end: float
    way: str = ""


@dataclass
class Story:
    """One thing through the whole clip: its track, or the pieces of it that no other thing can be, as one."""

    track: Track
    path: Path
    scene: Stage
    gaps: tuple[tuple[int, int], ...] = ()  # frames (last seen, seen again) of the pieces' joints

    @cached_property
    def times(self) -> np.ndarray:
        """Seconds of each of its m frames."""
        return (self.path.first + np.arange(len(self.path))) / self.scene.fps

    @cached_property
    def metre(self) -> float:
        """Pixels of a metre where it is, most of the time."""
        return float(np.median(self.path.metre))

    @cached_property
    def cut(self) -> np.ndarray:
        """Frames (m,) in which its box touches the picture's border."""
        return np.array([at_border(box, self.scene.size) for box in self.path.box])

    @cached_property
    def _fixed(self) -> tuple[np.ndarray, np.ndarray]:
        frames = self.path.first + np.arange(len(self.path))
        away = 0.5 * self.scene.size[0] / np.tan(np.radians(FOVY) / 2) / self.path.metre
        corners = [self.scene.fixed(self.path.box[:, k : k + 2], away, frames) for k in (0, 2)]
        return np.concatenate([c[0] for c in corners], 1), smoothed(corners[0][1][:, None], 9)[:, 0]

    @property
    def steady(self) -> np.ndarray:
        """Its box (m, 4) freed of the camera's motion, in metres: x to the right, y up."""
        return self._fixed[0] / self.metre * (1, -1, 1, -1)

    @property
    def depth(self) -> np.ndarray:
        """Metres (m,) to it, as if the camera had stayed."""
        return self._fixed[1]

    @cached_property
    def x(self) -> np.ndarray:
        """Its middle (m,) across the picture, metres; while it is cut by a side, by the edge that is in sight."""
        left, right = self.steady[:, 0].copy(), self.steady[:, 2].copy()
        width = self.scene.size[1]
        wide = right - left
        half = 0.5 * float(np.median(wide[~self.cut]) if (~self.cut).any() else wide.max())
        margin = 0.02 * width
        at_left, at_right = self.path.box[:, 0] <= margin, self.path.box[:, 2] >= width - margin
        middle = (left + right) / 2
        middle = np.where(at_left & ~at_right, right - half, middle)
        return smoothed(np.where(at_right & ~at_left, left + half, middle)[:, None], 3)[:, 0]

    @cached_property
    def foot(self) -> np.ndarray:
        """Its lower edge (m,), metres, up."""
        return smoothed(self.steady[:, 3:4], 3)[:, 0]

    @cached_property
    def height(self) -> float:
        """Its height in metres, where it is whole."""
        tall = self.steady[:, 1] - self.steady[:, 3]
        return float(np.median(tall[~self.cut] if (~self.cut).any() else tall))

    @cached_property
    def speed(self) -> np.ndarray:
        """Across and up (m, 2), metres a second."""
        over = max(1, round(0.06 * self.scene.fps))
        n, at = len(self.x), np.stack([self.x, self.foot], 1)
        low, high = np.maximum(np.arange(n) - over, 0), np.minimum(np.arange(n) + over, n - 1)
        return (at[high] - at[low]) / (np.maximum(high - low, 1) / self.scene.fps)[:, None]

    def spell(self, low: int, high: int, way: str = "") -> Spell:
        """From row low to row high."""
        return Spell(float(self.times[low]), float(self.times[min(high, len(self.times) - 1)]), way)

    def way(self, low: int, high: int) -> str:
        """Which way it went between two rows: a side, and "front" or "back" if it went that way about as far."""
        across = float(self.x[high] - self.x[low])
        back = float(self.depth[high] - self.depth[low])
        ways = ["left" if across < 0 else "right"] if abs(across) > 0.4 * abs(back) or abs(back) < BACK else []
        if abs(back) > max(BACK, abs(across)):
            ways.append("back" if back > 0 else "front")
        return " ".join(ways)


def stories(tracks: Sequence[Track], scene: Stage, at_most: int) -> list[Story]:
    """Tracks of one name as things: pieces that follow one another are one, where no more things are asked for."""
    pieces = sorted(tracks, key=lambda t: t.first)
    chains: list[list[Track]] = []
    for piece in pieces:
        ended = [c for c in chains if c[-1].last < piece.first and c[-1].ended in ("hidden", "sight", "clip")
                 and piece.began in ("hidden", "sight", "clip")]
        spare = len(pieces) > at_most
        if ended and spare:
            min(ended, key=lambda c: piece.first - c[-1].last).append(piece)
        else:
            chains.append([piece])
    out = []
    for chain in chains:
        whole = chain[0]
        for piece in chain[1:]:
            whole = replace(merged(whole, piece), ended=piece.ended)
        joints = tuple((a.last, b.first) for a, b in zip(chain, chain[1:], strict=False))
        out.append(Story(whole, Path.of(whole, scene), scene, joints))
    return out


def stage_of(tracks: Sequence[Track], motion: Motion, fps: float, size: tuple[int, int], frames: int) -> Stage:
    """A stage of so many frames; a motion whose warp is of another length is no motion."""
    return Stage(list(tracks), [()] * frames, fps, size, motion if len(motion.warp) == frames else None)


def runs(flags: np.ndarray, gap: int = 0) -> list[tuple[int, int]]:
    """Runs of True in (m,) bool as (first, last), those at most ``gap`` apart as one."""
    rows = np.flatnonzero(flags)
    if not len(rows):
        return []
    cuts = np.flatnonzero(np.diff(rows) > gap + 1)
    return list(zip(rows[np.r_[0, cuts + 1]].tolist(), rows[np.r_[cuts, len(rows) - 1]].tolist(), strict=True))
