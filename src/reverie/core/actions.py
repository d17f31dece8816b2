"""The numbers that a model is steered with, one vector a frame: what they are called, their units and ranges.

A model of simulated worlds moves its camera (CAMERA); one that was trained on a recorded log has that log's own.

Legend: T frames, A actions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reverie.core.errors import BadInput
from reverie.core.moves import LIMITS
from reverie.core.vocabulary import ACTION_SCALE, CAMERA_CHANNELS, CAMERA_UNITS, FRAMES_PER_LATENT

F = FRAMES_PER_LATENT


@dataclass(frozen=True)
class Action:
    """One of them. low, high: its range in ``unit``; scale: what a network sees as 1; measured: it is what happened (a
    speed), not what was asked for, so that it is known of the past only."""

    name: str
    unit: str
    low: float
    high: float
    scale: float
    measured: bool = False

    def checked(self, value: object) -> float:
        """A value of it. Raises BadInput for what is no number, or out of its range."""
        if isinstance(value, (int, float, np.number)) and math.isfinite(value) and self.low <= value <= self.high:
            return float(value)
        unit = f" {self.unit}" if self.unit not in ("", "1") else ""
        raise BadInput(f"the action {self.name}: {str(value)[:30]} is not a number from {self.low:g} to "
                       f"{self.high:g}{unit}")


CAMERA = tuple(Action(name, unit, -LIMITS[name], LIMITS[name], scale)
               for name, unit, scale in zip(CAMERA_CHANNELS, CAMERA_UNITS, ACTION_SCALE, strict=True))


def told(actions: Sequence[Action]) -> list[Action]:
    """Those that may be asked for: what is not measured."""
    return [action for action in actions if not action.measured]


def scaled(values: np.ndarray, actions: Sequence[Action]) -> np.ndarray:
    """Values (T, A) in their units, NaN where unknown, as a network sees them: float32 (T // 4, 4 A)."""
    latents = len(values) // F
    seen = np.asarray(values, np.float32)[: latents * F] / np.array([action.scale for action in actions], np.float32)
    return seen.reshape(latents, F * len(actions)).astype(np.float32)


def by_name(values: np.ndarray | None, names: Sequence[str], actions: Sequence[Action], frames: int) -> np.ndarray:
    """A log's numbers (frames, its channels) as these actions (frames, A) float32, NaN where the log has them not."""
    found = np.full((frames, len(actions)), np.nan, np.float32)
    for a, action in enumerate(actions):
        if values is not None and action.name in names:
            found[:, a] = np.asarray(values)[:frames, list(names).index(action.name)]
    return found


def checked_actions(asked: Mapping[str, float | Sequence[float]], actions: Sequence[Action]) -> np.ndarray:
    """What is asked for the four frames of a latent, float32 (4, A): each a number that holds for all of them, or four.

    What is not named is unknown (NaN). Raises BadInput for an action that the model has not, or only measures, and for
    a number out of its range.
    """
    known = {action.name: a for a, action in enumerate(actions)}
    out = np.full((F, len(actions)), np.nan, np.float32)
    for name, value in asked.items():
        may = ", ".join(action.name for action in told(actions)) or "none"
        if name not in known:
            raise BadInput(f"the action {str(name)[:30]!r}: this model's are {may}")
        action = actions[known[name]]
        if action.measured:
            raise BadInput(f"the action {name} is measured, and known of the past only: ask for {may}")
        each = list(value) if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str) else [value] * F
        if len(each) != F:
            raise BadInput(f"the action {name} has {len(each)} numbers: give one, or one for each of {F} frames")
        out[:, known[name]] = [action.checked(one) for one in each]
    return out
