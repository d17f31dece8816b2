"""Hands that move a camera, driving a car: in a world that was trained on a log, keys and axes are its actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reverie.core.actions import Action, told
from reverie.serve.live_messages import FULL

STEERS = {"orbit": 1.0, "pan": 1.0}  # A and D, the arrows, a wheel: positive is right
SHARE = 0.5  # of the whole lock, for a key that is held: few bends of a road take more


def by_hand(rates: Mapping[str, float], drive: Sequence[Action]) -> dict[str, float]:
    """A camera's rates by channel, as hands give them, as the actions of a car: across is steering, forward the
    throttle, backward the brake (without one, the throttle as far as it goes back)."""
    across = sum(sign * rates.get(name, 0.0) / FULL[name] for name, sign in STEERS.items())
    along = rates.get("dolly", 0.0) / FULL["dolly"]
    asked = {action.name: action for action in told(drive)}
    pushed = {"steering": SHARE * across, "throttle": max(along, 0.0) if "brake" in asked else along,
              "brake": max(-along, 0.0)}
    return {name: _of(asked[name], share) for name, share in pushed.items() if name in asked}


def _of(action: Action, share: float) -> float:
    """That share of an action's range, in its unit."""
    share = max(-1.0, min(1.0, share))
    return share * (action.high if share > 0 else -action.low)


def stepping(drive: Sequence[Action], step: Callable) -> Callable:
    """``step``, a world.step_together, for dreams of a log that are driven by hands."""
    def driven(dreams: Sequence, inputs: Sequence[Mapping[str, Any]]) -> Any:
        return step(dreams, [{**given, "rates": by_hand(given["rates"], drive)} if given.get("rates") is not None
                             else given for given in inputs])

    return driven
