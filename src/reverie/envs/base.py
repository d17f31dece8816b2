"""What all environments share: their spaces, and a base class that is there without gymnasium too."""

from __future__ import annotations

from typing import Any

import numpy as np

from reverie.core.errors import BadInput, ReverieError

try:
    from gymnasium import Env
except ImportError:  # the package can be imported without it; ``spaces`` says what to install
    Env = object  # type: ignore[assignment,misc]


def spaces() -> Any:
    """gymnasium.spaces. Raises ReverieError without the package."""
    try:
        import gymnasium
    except ImportError:
        raise ReverieError('environments need the package gymnasium: pip install "reverie[gym]"') from None
    return gymnasium.spaces


def picture_space(size: tuple[int, int]) -> Any:
    """Pictures of (H, W) pixels."""
    return spaces().Box(0, 255, (*size, 3), np.uint8)


def action_space(count: int) -> Any:
    """So many numbers from -1 to 1."""
    return spaces().Box(-1.0, 1.0, (count,), np.float32)


def checked_action(action: Any, count: int) -> np.ndarray:
    """An action (count,) cut to -1..1. Raises BadInput for another shape, or what is no number."""
    try:
        values = np.asarray(action, np.float64)
    except (TypeError, ValueError):
        raise BadInput(f"the action {str(action)[:60]} is not made of numbers") from None
    if values.shape != (count,) or not np.isfinite(values).all():
        raise BadInput(f"the action {str(action)[:60]} is not {count} finite numbers")
    return values.clip(-1, 1)


def checked_options(options: dict | None, known: tuple[str, ...]) -> dict:
    """The options of a reset. Raises BadInput for one that is none."""
    for name in options or {}:
        if name not in known:
            raise BadInput(f"no option {name!r} of reset: there is {', '.join(known)}")
    return dict(options or {})
