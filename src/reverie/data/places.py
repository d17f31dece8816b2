"""Where things stand for whoever looks at them, and which of them form a row or a tower."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reverie.core.camera import CameraPath
from reverie.core.clip import Truth

_STACKABLE = ("box", "cylinder", "plank")


def view_axes(camera: CameraPath | None, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Horizontal unit vectors (3,) to the right and away, of the camera or of one looking along +y."""
    if camera is None:
        return np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    right = camera.rotation[min(frame, len(camera) - 1)][:, 0].astype(float) * (1, 1, 0)
    right /= max(float(np.linalg.norm(right)), 1e-9)
    return right, np.array([-right[1], right[0], 0.0])


def _where(truth: Truth, thing: int, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Centre and half sizes along the world's axes, at the frame or when the thing first exists after it."""
    here = np.flatnonzero(truth.exists[frame:, thing])
    t = frame + int(here[0]) if len(here) else frame
    return truth.position[t, thing].astype(float), np.abs(truth.rotation[t, thing]).astype(
        float
    ) @ truth.extent[thing]


def _on(truth: Truth, above: int, below: int, frame: int) -> bool:
    (top, half_top), (base, half_base) = _where(truth, above, frame), _where(truth, below, frame)
    gap = (top[2] - half_top[2]) - (base[2] + half_base[2])
    over = np.all(np.abs(top - base)[:2] <= np.maximum(half_base[:2], 0.6 * half_top[:2]))
    return bool(over and abs(gap) < 0.25 * half_top[2] + 0.02)


def relation(
    truth: Truth,
    things: Sequence[int],
    others: Sequence[int],
    frame: int,
    axes: tuple[np.ndarray, np.ndarray],
) -> str:
    """ "on", "left", "right", "behind", "front" of the others, or "" when they are too close to say."""
    if all(any(_on(truth, a, b, frame) for b in others) for a in things):
        return "on"
    apart = np.mean([_where(truth, i, frame)[0] for i in things], 0) - np.mean(
        [_where(truth, i, frame)[0] for i in others], 0
    )
    across, away = float(apart @ axes[0]), float(apart @ axes[1])
    if max(abs(across), abs(away)) < 0.12:
        return ""
    if abs(across) >= 0.8 * abs(away):
        return "left" if across < 0 else "right"
    return "behind" if away > 0 else "front"


def spot(truth: Truth, things: Sequence[int], frame: int, axes: tuple[np.ndarray, np.ndarray]) -> str:
    """ "left", "right", "middle", "front" or "back" of the stage, whose centre is the origin."""
    centre = np.mean([_where(truth, i, frame)[0] for i in things], 0)
    across, away = float(centre @ axes[0]), float(centre @ axes[1])
    if max(abs(across), abs(away)) < 0.45:
        return "middle"
    if abs(across) >= 0.8 * abs(away):
        return "left" if across < 0 else "right"
    return "back" if away > 0 else "front"


def form_groups(truth: Truth, things: Sequence[int], frame: int) -> dict[tuple[int, ...], str]:
    """Rows of dominoes and towers, of three or more things: members (in order) -> "row" or "tower"."""
    forms: dict[tuple[int, ...], str] = {}
    row = [i for i in things if truth.kinds[i] == "domino"]
    if len(row) >= 3:
        forms[tuple(row)] = "row"
    for kind in _STACKABLE:
        left = [i for i in things if truth.kinds[i] == kind]
        left.sort(key=lambda i: _where(truth, i, frame)[0][2])
        while left:
            tower = [left.pop(0)]
            for i in list(left):
                if _on(truth, i, tower[-1], frame):
                    tower.append(i)
                    left.remove(i)
            if len(tower) >= 3:
                forms[tuple(tower)] = "tower"
    return forms
