"""What the laws are asked about: the tracks of a clip, freed of the camera's motion, in seconds and metres.

Legend: T frames of a clip, n frames of a track.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reverie.audit.findings import FOVY, Motion, Track
from reverie.audit.motion_moves import stage_warp
from reverie.audit.observer import Detection
from reverie.audit.tracks import at_border

STEP, STEPPED = 4, 0.45  # frames of a latent; share of all motion that goes on between one latent and the next


@dataclass
class Scene:
    """A clip as it was seen.

    tracks: see tracks.follow; seen: all detections of each of the T frames, faint ones too; fps; size: H, W in pixels;
    motion: the camera's, or None for a camera that stands still.
    """

    tracks: list[Track]
    seen: Sequence[Sequence[Detection]]
    fps: float
    size: tuple[int, int]
    motion: Motion | None = None

    @property
    def frames(self) -> int:
        """T."""
        return len(self.seen)

    @cached_property
    def paths(self) -> dict[int, Path]:
        """The path of each track, by its number."""
        return {track.number: Path.of(track, self) for track in self.tracks}

    @cached_property
    def warp(self) -> np.ndarray | None:
        """Where the stage goes (T, 2, 3): as the background does, but where the camera leaves its place, as things at
        rest on the stage would; None for no motion."""
        if self.motion is None or not len(self.motion.warp):
            return None
        travels = any(move in self.motion.moves for move in ("orbit", "dolly", "crane"))
        return stage_warp(self.motion, self.fps, self.size) if travels else self.motion.warp

    def steady(self, points: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Points (n, 2) of frames (n,) where the background's first frame (of the shot) had them."""
        if self.warp is None:
            return points
        warp = self.warp[np.clip(frames, 0, len(self.warp) - 1)]
        return np.einsum("nij,nj->ni", np.linalg.inv(warp[:, :, :2]), points - warp[:, :, 2])

    def moving(self, low: int, high: int) -> bool:
        """Whether the camera moves between two frames, by more than a pixel; then rest is known less well."""
        if self.warp is None:
            return False
        warp = self.warp[max(low, 0) : high + 1].reshape(-1, 6)
        middle = np.array([self.size[1] / 2, self.size[0] / 2, 1.0])
        spots = np.stack([warp[:, :3] @ middle, warp[:, 3:] @ middle], -1)
        return bool(len(spots) and np.ptp(spots, axis=0).max() > 1.0)

    def near(self, track: Track, frame: int, reach: float = 0.3, ago: int = 0) -> list[Track]:
        """Other tracks whose boxes meet a track's, grown by a share of its sides, between ``frame - ago`` and frame."""
        k = int(np.abs(track.frames - frame).argmin())
        box = grown(track.boxes[k], reach)
        out = []
        for other in self.tracks:
            if other is track:
                continue
            rows = np.flatnonzero((other.frames >= frame - ago - 1) & (other.frames <= frame + 1))
            if any(meet(box, other.boxes[row]) for row in rows):
                out.append(other)
        return out

    def beside(self, track: Track, frame: int) -> Iterator[np.ndarray]:
        """The boxes (4,) of other tracks that are seen within three frames of one."""
        for other in self.tracks:
            if other is not track:
                yield from other.boxes[np.abs(other.frames - frame) <= 3]


@dataclass
class Path:
    """A track on every frame from its first to its last, gaps filled in straight.

    first: its first frame. centre (m, 2), box (m, 4): pixels, smoothed over five frames; at (m, 2): the centre freed
    of the camera's motion; metre (m,): pixels of a metre there; lift (m,) metres; seen (m,) bool: really seen;
    whole (m,) bool: seen, in sight and not cut by the border.
    """

    first: int
    centre: np.ndarray
    box: np.ndarray
    at: np.ndarray
    metre: np.ndarray
    lift: np.ndarray
    visible: np.ndarray
    seen: np.ndarray
    whole: np.ndarray

    @classmethod
    def of(cls, track: Track, scene: Scene) -> Path:
        """Of a track."""
        frames = np.arange(track.first, track.last + 1)

        def filled(values: np.ndarray) -> np.ndarray:
            values = values.reshape(len(values), -1)
            return np.stack([np.interp(frames, track.frames, column) for column in values.T], -1)

        raw = filled(track.boxes)
        box = smoothed(raw, 3)
        focal = 0.5 * scene.size[0] / np.tan(np.radians(FOVY) / 2)
        depth = smoothed(_median(filled(track.depth)[:, 0], round(0.25 * scene.fps) * 2 + 1)[:, None], 9)[:, 0]
        visible = _median(filled(np.nan_to_num(track.visible, nan=1.0))[:, 0], 3)
        lift = _median(filled(np.nan_to_num(track.lift))[:, 0], 5)
        seen = np.isin(frames, track.frames)
        whole = seen & (visible > 0.75) & ~np.array([at_border(b, scene.size) for b in raw])
        centre = (box[:, :2] + box[:, 2:]) / 2
        at = scene.steady(centre, frames)
        if stepped(scene.steady((raw[:, :2] + raw[:, 2:]) / 2, frames)):
            at = evened(at)
        return cls(track.first, centre, box, at, focal / np.maximum(depth, 0.1), lift,
                   visible, seen, whole)

    def __len__(self) -> int:
        return len(self.box)

    def velocity(self, fps: float, over: int = 2, *, shown: bool = False) -> np.ndarray:
        """Velocity (m, 2) in metres a second, x to the right and y down, between ``over`` frames before and after.
        shown: in the picture, with the camera's motion in it."""
        at = self.centre if shown else self.at
        n = len(at)
        low, high = np.maximum(np.arange(n) - over, 0), np.minimum(np.arange(n) + over, n - 1)
        span = np.maximum(high - low, 1)[:, None] / fps
        return (at[high] - at[low]) / span / self.metre[:, None]


def smoothed(values: np.ndarray, width: int) -> np.ndarray:
    """Values (m, d) averaged over ``width`` rows (odd), fewer at the ends."""
    if len(values) < 2 or width < 2:
        return values.astype(float)
    total = np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), values]), 0)
    n, half = len(values), width // 2
    reach = np.minimum(np.minimum(np.arange(n), np.arange(n)[::-1]), half)
    low, high = np.arange(n) - reach, np.arange(n) + reach + 1
    return (total[high] - total[low]) / (high - low)[:, None]


def stepped(at: np.ndarray) -> bool:
    """Whether positions (m, 2), in pixels, go on in one of STEP frames and hardly in the others, as in a video that
    went through latents of so many frames each."""
    steps = np.abs(np.diff(at, axis=0)).sum(1)
    if len(steps) < 3 * STEP or steps.sum() < 8:
        return False
    return max(steps[phase::STEP].sum() for phase in range(STEP)) > STEPPED * steps.sum()


def evened(at: np.ndarray) -> np.ndarray:
    """Positions (m, d) averaged over STEP frames about each: steps of that period are gone, falls stay falls."""
    weights = np.array([0.5, *[1.0] * (STEP - 1), 0.5]) / STEP
    half = STEP // 2
    ends = np.concatenate([2 * at[:1] - at[half:0:-1], at, 2 * at[-1:] - at[-2 : -half - 2 : -1]])
    return sum(w * ends[k : k + len(at)] for k, w in enumerate(weights))


def _median(values: np.ndarray, width: int) -> np.ndarray:
    """Running median (m,) over ``width`` values (odd)."""
    if width < 3 or len(values) < 3:
        return values
    half = width // 2
    padded = np.pad(values, half, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, width), -1)


def grown(box: np.ndarray, share: float) -> np.ndarray:
    """A box larger by a share of its sides, on every side."""
    sides = np.tile(box[2:] - box[:2], 2) * np.array([-share, -share, share, share])
    return box + sides


def meet(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether two boxes have a point in common."""
    return bool((np.minimum(box[2:], other[2:]) > np.maximum(box[:2], other[:2])).all())
