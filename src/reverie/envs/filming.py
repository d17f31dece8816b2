"""The task of the lab: keep a named thing in the middle of the picture by moving the camera.

What is seen of it is read from the pixels by the judge's observer (33 ms of CPU time a frame, beside 75 ms of a dreamed
step), so that the same reading serves in the dream and in truth; ``reward="things"`` takes what the world itself says.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reverie.core.camera import CameraPath
from reverie.core.errors import BadInput
from reverie.core.moves import integrate
from reverie.core.vocabulary import ACTION_SCALE, CAMERA_CHANNELS, FRAMES_PER_LATENT

REWARDS = ("observer", "things")
SURE = 0.4  # the observer's confidence from which a thing may become the target
FAINT = 0.15  # and from which it is still seen
LOST = 2.0  # seconds out of sight that end an episode
EFFORT = 0.05  # taken off for an action of full strength
HEIGHT, REACH = (0.3, 8.0), 12.0  # metres: how high a camera may stand, and how far from the stage's middle
F = FRAMES_PER_LATENT


class Filming:
    """One episode's task. reward: one of REWARDS; size: (H, W); fps: frames a second."""

    def __init__(self, reward: str, size: tuple[int, int], fps: float) -> None:
        if reward not in REWARDS:
            raise BadInput(f"no reward {reward!r}: {' or '.join(REWARDS)}")
        self.reward, self.size, self.fps = reward, size, fps
        self.target: tuple[str, str] | None = None  # colour and kind
        self.number: int | None = None  # of the thing, where the world says it
        self.centre = np.full(2, 0.5)  # where it was seen last, as shares of the picture
        self.unseen = 0

    @property
    def name(self) -> str:
        """The target as a person says it."""
        return " ".join(self.target) if self.target else ""

    def begin(self, frame: np.ndarray, rows: Sequence[dict], wish: str = "") -> bool:
        """Choose what to film in the first frame: what the wish names, else what is seen best. False if nothing is."""
        found = self._found(frame, rows)
        found = [one for one in found if one["confidence"] >= SURE]
        if not found:
            return False
        words = wish.lower().replace(",", " ").split()
        best = max(found, key=lambda one: (one["kind"] in words, one["colour"] in words, one["confidence"]))
        self.target, self.number = (best["colour"], best["kind"]), best["thing"]
        self.centre, self.unseen = best["centre"], 0
        return True

    def judge(self, frame: np.ndarray, rows: Sequence[dict], action: np.ndarray,
              seen: Sequence | None = None) -> tuple[float, bool, dict]:
        """Reward, whether the target is lost for good, and info. seen: the observer's detections, if it has looked."""
        centre = self._where(self._found(frame, rows, seen))
        self.unseen = 0 if centre is not None else self.unseen + 1
        if centre is None:
            value = -1.0
        else:
            self.centre = centre
            value = 1.0 - 2.0 * float(np.hypot(*(centre - 0.5)))
        value -= EFFORT * float(np.mean(np.square(action)))
        info = {"target": self.name, "in_sight": centre is not None, "x": float(self.centre[0]),
                "y": float(self.centre[1])}
        return value, self.unseen * F / self.fps >= LOST, info

    def _where(self, found: Sequence[dict]) -> np.ndarray | None:
        """Of what was found the target's middle: of its kind, best of its colour too, nearest to where it was."""
        if self.reward == "things":
            mine = [one for one in found if one["thing"] == self.number]
        else:
            mine = [one for one in found if one["kind"] == self.target[1]]
            mine = [one for one in mine if one["colour"] == self.target[0]] or mine
        near = min(mine, key=lambda one: float(np.hypot(*(one["centre"] - self.centre))), default=None)
        return None if near is None else near["centre"]

    def _found(self, frame: np.ndarray, rows: Sequence[dict], seen: Sequence | None = None) -> list[dict]:
        """Things with their middles as shares of the picture."""
        scale = np.array([self.size[1], self.size[0]], float)
        if self.reward == "things":
            last = max((row["frame"] for row in rows), default=-1)
            return [{"thing": row["thing"], "kind": row["kind"], "colour": row["colour"], "confidence": 1.0,
                     "centre": (np.array(row["box"][:2]) + row["box"][2:]) / 2 / scale}
                    for row in rows if row["frame"] == last and row["box"] is not None]
        seen = detections(frame[None])[0] if seen is None else seen
        return [{"thing": None, "kind": one.kind, "colour": one.colour, "confidence": one.confidence,
                 "centre": np.array(one.centre) / scale} for one in seen]


def detections(frames: np.ndarray) -> list[list]:
    """What the observer that comes with the package sees in frames (N, H, W, 3)."""
    from reverie.audit.judge import package_observer

    return package_observer().detect(frames, threshold=FAINT)


def rates_of(action: np.ndarray, camera: CameraPath, fps: float) -> dict[str, float]:
    """Camera rates of an action (5,) in -1..1, of full strength ACTION_SCALE; those that would carry the camera under
    the ground or far away are left out."""
    rates = action * np.array(ACTION_SCALE)
    moved = integrate(np.tile(rates, (F + 1, 1)), camera.position[-1], camera.rotation[-1], camera.fovy, fps)
    x, y, z = moved.position[-1]
    if not (HEIGHT[0] <= z <= HEIGHT[1] and np.hypot(x, y) <= REACH):
        rates = rates * np.array([1, 1, 0, 0, 0])
    return dict(zip(CAMERA_CHANNELS, rates.tolist(), strict=True))
