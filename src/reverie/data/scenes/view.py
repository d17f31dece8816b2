"""The camera of a lab clip: where it stands, what it sees of the stage, and moves that keep it in view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reverie.core.camera import CameraPath, look_at, project
from reverie.core.moves import Move, camera_path, integrate
from reverie.core.vocabulary import CAMERA_CHANNELS, STAGE_CENTRE

SMALLEST = 0.54  # metres: width of the smallest thing
LEAST_PIXELS = 12.0  # what it must measure in the picture
_FAR = 0.8  # metres behind the stage's centre that things may stand


@dataclass(frozen=True)
class Pose:
    """A camera pose and lens: position (3,), rotation (3, 3), fovy in degrees, picture height and width."""

    position: np.ndarray
    rotation: np.ndarray
    fovy: float
    height: int
    width: int

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return 0.5 * self.height / np.tan(np.radians(self.fovy) / 2)

    @property
    def farthest(self) -> float:
        """Distance in metres at which the smallest thing is just wide enough, at most 7.6."""
        return float(np.clip(SMALLEST * self.focal / LEAST_PIXELS - _FAR, 2.9, 7.6))


def first_pose(rng: np.random.Generator, height: int, width: int) -> Pose:
    """A camera near (0, -6, 1.8) that faces the stage; nearer where few pixels ask for it."""
    short = np.tan(np.radians(rng.uniform(38.5, 41.5)) / 2)
    fovy = float(2 * np.degrees(np.arctan(short * height / min(height, width))))
    blank = Pose(np.zeros(3), np.eye(3), fovy, height, width)
    distance = min(rng.uniform(5.7, 6.4), blank.farthest - 0.1)
    aside, target = rng.uniform(-0.17, 0.17), np.array([rng.uniform(-0.1, 0.1), 0.0, rng.uniform(0.72, 0.92)])
    above = rng.uniform(0.06, 0.27)
    target[2] = min(target[2], 0.15 * distance)
    out = np.array([np.sin(aside) * np.cos(above), -np.cos(aside) * np.cos(above), np.sin(above)])
    position = target + distance * out
    return Pose(position, look_at(position, target).astype(float), fovy, height, width)


class View:
    """A camera over a span of frames: path (T poses), its actions (T, 5), and what is in the picture."""

    def __init__(self, path: CameraPath, actions: np.ndarray, height: int, width: int) -> None:
        self.path, self.actions, self.height, self.width = path, actions, height, width
        self.focal = 0.5 * height / np.tan(np.radians(path.fovy) / 2)
        self._slope = 0.5 * width / self.focal
        self._lean = np.sqrt(1 + self._slope**2)
        self._rows = [
            (p.astype(float), r.astype(float)) for p, r in zip(path.position, path.rotation, strict=True)
        ]

    def local(self, point: np.ndarray, frame: int) -> np.ndarray:
        """A world point (3,) in the camera's axes (right, up, back)."""
        position, rotation = self._rows[min(max(frame, 0), len(self._rows) - 1)]
        return (np.asarray(point) - position) @ rotation

    def margin(self, point: np.ndarray, frame: int) -> float:
        """How far in metres a point is inside the left and right borders (negative: outside)."""
        x, _, back = self.local(point, frame)
        return float((-back * self._slope - abs(x)) / self._lean)

    def side(self, point: np.ndarray, frame: int) -> str:
        """On which half of the picture a point is."""
        return "left" if self.local(point, frame)[0] < 0 else "right"

    def edge(self, side: int, y: float, z: float, reach: float, frame: int) -> float:
        """The x nearest the middle, towards ``side`` (-1 or 1), where a ball of radius reach is unseen."""
        low, high = 0.0, 14.0
        for _ in range(20):
            middle = (low + high) / 2
            if self.margin(np.array([side * middle, y, z]), frame) < -reach:
                high = middle
            else:
                low = middle
        return side * high

    def top(self, x: float, y: float, frame: int) -> float:
        """Height above which nothing at (x, y) is in the picture."""
        low, high = 0.0, 12.0
        for _ in range(20):
            middle = (low + high) / 2
            _, up, back = self.local(np.array([x, y, middle]), frame)
            if up > -back * 0.5 * self.height / self.focal:
                high = middle
            else:
                low = middle
        return high

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Pixels (T, 2) of world points (T, 3), frame by frame."""
        return project(
            points, self.path.position, self.path.rotation, self.path.fovy, self.height, self.width
        )[0]

    def last(self) -> Pose:
        """Pose of the last frame."""
        position, rotation = self._rows[-1]
        return Pose(position, rotation, self.path.fovy, self.height, self.width)


def _fits(view: View, pose: Pose, home: float) -> bool:
    """Whether the camera stays above ground, near enough, and keeps the stage in view."""
    position, rotation = view.path.position.astype(float), view.path.rotation.astype(float)
    gap = np.array(STAGE_CENTRE) - position
    distance = np.linalg.norm(gap, axis=1)
    across = np.degrees(
        np.arctan2(
            np.einsum("ti,ti->t", gap, rotation[..., 0]), -np.einsum("ti,ti->t", gap, rotation[..., 2])
        )
    )
    along = np.degrees(
        np.arctan2(
            np.einsum("ti,ti->t", gap, rotation[..., 1]), -np.einsum("ti,ti->t", gap, rotation[..., 2])
        )
    )
    around = np.degrees(np.arctan2(position[:, 0], -position[:, 1]))
    return bool(
        (distance < pose.farthest).all()
        and (distance > home - 1.5).all()
        and (position[:, 2] > 0.55).all()
        and (position[:, 2] < 3.2).all()
        and (abs(across) < 11).all()
        and (along > -8).all()
        and (along < 7).all()
        and (abs(around) < 38).all()
    )


def _draw_move(rng: np.random.Generator, kind: str, seconds: float) -> Move:
    direction = {
        "pan": ("left", "right"),
        "orbit": ("left", "right"),
        "tilt": ("up", "down"),
        "dolly": ("in", "out"),
        "crane": ("up", "down"),
    }[kind][rng.integers(2)]
    low, high = {"pan": (4, 14), "tilt": (3, 8), "orbit": (8, 45), "dolly": (0.3, 1.4), "crane": (0.3, 1.2)}[
        kind
    ]
    amount = rng.uniform(low, high) * min(1.0, seconds / 3)
    return Move(kind, direction, float(f"{amount:.1f}" if high < 2 else f"{amount:.0f}") or 0.1)


def moving(
    rng: np.random.Generator, pose: Pose, home: float, frames: int, fps: float, start: int
) -> tuple[View, tuple[Move, ...]]:
    """A view whose camera makes one or two moves between frame ``start`` and the last, or else stands still.

    home: the camera's distance at the clip's start in metres. With no fitting move in a few tries the
    moves are empty.
    """
    for _ in range(8):
        kinds = rng.choice(CAMERA_CHANNELS, size=1 if rng.random() < 0.75 else 2, replace=False)
        moves = tuple(_draw_move(rng, str(kind), (frames - start) / fps) for kind in kinds)
        path, actions = camera_path(moves, pose.position, pose.rotation, pose.fovy, frames, fps, start=start)
        view = View(path, actions, pose.height, pose.width)
        if _fits(view, pose, home):
            return view, moves
    return still(pose, frames), ()


def still(pose: Pose, frames: int) -> View:
    """A view whose camera does not move."""
    path = CameraPath(
        np.repeat(pose.position[None].astype(np.float32), frames, 0),
        np.repeat(pose.rotation[None].astype(np.float32), frames, 0),
        pose.fovy,
    )
    return View(path, np.zeros((frames, len(CAMERA_CHANNELS)), np.float32), pose.height, pose.width)


def follow(pose: Pose, home: float, targets: np.ndarray, there: np.ndarray, fps: float) -> View | None:
    """A view that pans after an actor: targets (T, 3), there (T,) bool. None if it would lose the stage.

    The pan makes up for most of the actor's bearing, smoothed over half a second.
    """
    local = (targets - pose.position) @ pose.rotation
    bearing = np.degrees(np.arctan2(local[:, 0], -local[:, 2]))
    bearing = np.where(there, bearing, 0.0)
    # the camera stands at its first bearing until the actor goes beyond it
    wanted = 0.75 * (bearing - bearing[0])
    width = max(1, int(fps / 2))
    padded = np.concatenate([np.zeros(width), wanted, np.full(width, wanted[-1])])
    kernel = np.hanning(2 * width + 1)[1:] if width > 1 else np.ones(2)
    smooth = np.convolve(padded, kernel / kernel.sum(), mode="same")[width:-width]
    smooth = smooth - smooth[0]
    actions = np.zeros((len(targets), len(CAMERA_CHANNELS)), np.float32)
    actions[1:, 0] = np.diff(smooth) * fps
    path = integrate(actions, pose.position, pose.rotation, pose.fovy, fps)
    view = View(path, actions, pose.height, pose.width)
    return view if _fits(view, pose, home) else None
