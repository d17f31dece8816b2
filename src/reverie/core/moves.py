"""Camera moves: what a person may ask for in words, and the path and actions that it becomes.

A list of moves is text such as "orbit left 30, dolly in 0.5": a kind, a direction and an amount
(degrees for pan, tilt and orbit, metres for dolly and crane), or "still" alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from reverie.core.camera import CameraPath
from reverie.core.errors import BadInput
from reverie.core.vocabulary import CAMERA_CHANNELS, STAGE_CENTRE

# kind -> (the direction whose rate is positive in the action channel, the other one)
DIRECTIONS = {
    "pan": ("right", "left"),
    "tilt": ("up", "down"),
    "orbit": ("right", "left"),
    "dolly": ("in", "out"),
    "crane": ("up", "down"),
}
LIMITS = {"pan": 360.0, "tilt": 360.0, "orbit": 360.0, "dolly": 20.0, "crane": 20.0}
_UNIT = {"pan": "degrees", "tilt": "degrees", "orbit": "degrees", "dolly": "metres", "crane": "metres"}
_NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)
_EASE = 0.25  # seconds in which a move reaches its rate, and leaves it


@dataclass(frozen=True)
class Move:
    """One move. kind: a camera channel or "still"; direction: "" for still; amount: degrees or metres."""

    kind: str
    direction: str
    amount: float

    @property
    def text(self) -> str:
        """The move as parse_moves reads it."""
        return self.kind if self.kind == "still" else f"{self.kind} {self.direction} {self.amount:.9g}"

    @property
    def signed(self) -> float:
        """The amount with the sign of its action channel (0 for still)."""
        if self.kind == "still":
            return 0.0
        return self.amount if self.direction == DIRECTIONS[self.kind][0] else -self.amount


def parse_moves(text: str) -> tuple[Move, ...]:
    """Moves from text like "orbit left 30, dolly in 0.5"; BadInput when it makes no sense.

    Amounts are plain positive numbers, at most 360 degrees or 20 metres; each kind may stand once,
    and "still" only alone.
    """
    if not text.strip():
        raise BadInput('camera move is empty: write something like "orbit left 30, dolly in 0.5" or "still"')
    moves = [_parse_one(part) for part in text.split(",")]
    kinds = [move.kind for move in moves]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise BadInput(f'camera move "{_brief(text)}": {kind} is given twice, give it once')
    if "still" in kinds and len(kinds) > 1:
        raise BadInput(f'camera move "{_brief(text)}": still goes with no other move')
    return tuple(moves)


def _brief(text: str) -> str:
    """Text fit for a one-line message."""
    flat = " ".join(text.split())
    return flat if len(flat) <= 60 else flat[:57] + "..."


def _parse_one(part: str) -> Move:
    words = part.lower().split()
    where = f'camera move "{_brief(part)}"'
    if not words:
        raise BadInput("camera move has an empty part between commas: take the spare comma out")
    kind = words[0]
    if kind == "still":
        if len(words) > 1:
            raise BadInput(f"{where}: still takes nothing after it")
        return Move("still", "", 0.0)
    if kind not in DIRECTIONS:
        raise BadInput(f"{where}: its first word is none of still, {', '.join(DIRECTIONS)}")
    positive, negative = DIRECTIONS[kind]
    if len(words) < 2 or words[1] not in DIRECTIONS[kind]:
        raise BadInput(f"{where}: {kind} needs a direction, {positive} or {negative}")
    if len(words) < 3:
        raise BadInput(f'{where}: an amount in {_UNIT[kind]} is missing, as in "{kind} {words[1]} 1"')
    if len(words) > 3:
        raise BadInput(f"{where}: too many words; separate moves with commas")
    if not _NUMBER.fullmatch(words[2]) or len(words[2]) > 30:
        raise BadInput(f'{where}: "{_brief(words[2])}" is not a positive number of {_UNIT[kind]}')
    amount = float(words[2])
    if not 1e-3 <= amount <= LIMITS[kind]:
        raise BadInput(f"{where}: the amount must be above 0 and at most {LIMITS[kind]:g} {_UNIT[kind]}")
    return Move(kind, words[1], amount)


def _turn(axis: np.ndarray, degrees: float) -> np.ndarray:
    """Rotation matrix (3, 3) by ``degrees`` about the unit vector ``axis``."""
    x, y, z = axis
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew


def integrate(actions: np.ndarray, position: np.ndarray, rotation: np.ndarray, fovy: float, fps: float) -> CameraPath:
    """The path that camera actions make, from a first pose.

    actions (T, 5) rates in vocabulary.CAMERA_CHANNELS; position (3,), rotation (3, 3): the pose of
    frame 0, so that actions[0], which would lead to it, is not used. The rates of frame t take the
    camera from t-1 to t: first the orbit (position and view turn together about the vertical axis
    through STAGE_CENTRE), then pan (about the vertical), tilt (about the camera's own right axis),
    dolly (along the view) and crane (along the vertical).
    """
    steps = np.asarray(actions, np.float32).astype(np.float64) / float(fps)
    centre, up = np.array(STAGE_CENTRE), np.array([0.0, 0.0, 1.0])
    place, view = np.asarray(position, np.float64), np.asarray(rotation, np.float64)
    places, views = [place], [view]
    for pan, tilt, orbit, dolly, crane in steps[1:]:
        if orbit:
            turn = _turn(up, orbit)
            place, view = centre + turn @ (place - centre), turn @ view
        if pan:
            view = _turn(up, -pan) @ view
        if tilt:
            view = _turn(view[:, 0], tilt) @ view
        place = place - dolly * view[:, 2] + crane * up
        places.append(place)
        views.append(view)
    return CameraPath(
        np.array(places[: len(steps)], np.float32).reshape(-1, 3),
        np.array(views[: len(steps)], np.float32).reshape(-1, 3, 3),
        float(fovy),
    )


def camera_path(
    moves: tuple[Move, ...],
    position: np.ndarray,
    rotation: np.ndarray,
    fovy: float,
    frames: int,
    fps: float,
    *,
    start: int = 0,
    end: int | None = None,
) -> tuple[CameraPath, np.ndarray]:
    """Path of T = ``frames`` poses and its actions (T, 5) float32, all moves made at the same time.

    The camera stands as given until frame ``start``, moves between frames ``start`` and ``end``
    (the last frame by default) at a constant rate but for a quarter of a second of easing at either
    end, and then stands still. The path is ``integrate`` of the actions, exactly.
    """
    last = frames - 1 if end is None else min(end, frames - 1)
    actions = np.zeros((frames, len(CAMERA_CHANNELS)), np.float32)
    steps = last - start
    if steps > 0:
        ease = max(1.0, min(_EASE * fps, steps / 3))
        ramp = np.arange(steps) + 0.5
        weight = np.minimum(1.0, np.minimum(ramp, ramp[::-1]) / ease)
        weight /= weight.sum()
        for move in moves:
            if move.kind != "still":
                actions[start + 1 : last + 1, CAMERA_CHANNELS.index(move.kind)] += move.signed * weight * fps
    return integrate(actions, position, rotation, fovy, fps), actions
