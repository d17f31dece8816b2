"""How a car is driven on, in a dream of the log that its model was trained on: a word, or a table of its actions.

Legend: T frames, A actions of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reverie.core.actions import Action, by_name, told
from reverie.core.errors import BadInput
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.futures.wishes import read_actions

if TYPE_CHECKING:
    from reverie.futures.past import Past
    from reverie.model.transformer import Config

F = FRAMES_PER_LATENT
KEPT = 1.0  # seconds at the past's end over which what was done is averaged, to go on so



@dataclass(frozen=True)
class Driving:
    """rates: the actions of each latent, as Dream.step takes them; said: of a word, what it does."""

    rates: list[dict | None]
    said: str = ""


def past_driven(given: Past, config: Config) -> np.ndarray | None:
    """What was done in each frame of a past (T, A), NaN where unknown; None for a model that is not of a log, and then
    a past that is one is told so."""
    if config.of_a_log:
        return by_name(*(given.driven or (None, ())), config.drive, len(next(iter(given.cameras.values()))))
    if given.driven is not None:
        given.notes.append("the model has learned the lab, no road and no car: it goes on from a log's pictures as "
                           "best it can, and does not know its actions; reverie train cpu --from base --data LOG "
                           "makes one that does")
    return None


def driven_on(actions: str, drive: Sequence[Action], past: np.ndarray, *, frames: int, fps: float) -> Driving:
    """How ``frames`` frames after a past (T, A) are driven; drive: the model's actions.

    actions: a word of wishes.WORDS, or a CSV file. left and right steer as far as twice the log's own deviation; brake
    lets go of the throttle and brakes; all else goes on as in the past's last second. Raises BadInput, BadMedia.
    """
    latents, asked = -(-frames // F), told(drive)
    if not asked and actions not in ("none", "keep"):
        raise BadInput(f"actions {actions[:80]}: this model's log has none that can be asked for: leave them out")
    if actions == "none" or not asked:
        return Driving([None] * latents)
    last = past[-max(1, round(KEPT * fps)) :]
    going = {}
    for action in asked:
        own = last[:, list(drive).index(action)]
        own = own[np.isfinite(own)]
        going[action.name] = float(np.clip(own.mean(), action.low, action.high)) if len(own) else 0.0
    steering, throttle, brake = (next((a for a in asked if a.name.startswith(name)), None)
                                 for name in ("steer", "throttle", "brake"))
    may = ", ".join(action.name for action in asked)
    if actions in ("left", "right"):
        if steering is None:
            raise BadInput(f"{actions}: this model's actions are {may}, and none is called steering: give a CSV")
        far = steering.scale if actions == "right" else -steering.scale
        going[steering.name] = float(np.clip(far, steering.low, steering.high))
    elif actions == "brake":
        if throttle is None and brake is None:
            raise BadInput(f"brake: this model's actions are {may}, and none is called throttle or brake: give a CSV")
        going |= {action.name: value for action, value in ((throttle, 0.0), (brake, brake.high if brake else 0.0))
                  if action is not None}
    elif actions != "keep":
        table = read_actions(actions, frames=frames, fps=fps, missing=[going[action.name] for action in asked],
                             channels={action.name: (action.unit, action.low, action.high) for action in asked})
        table = np.concatenate([table, np.repeat(table[-1:], latents * F - len(table), 0)])
        return Driving([{action.name: rows[:, a].tolist() for a, action in enumerate(asked)}
                        for rows in table.reshape(latents, F, -1)])
    said = ", ".join(f"{name} {value:.2g}" for name, value in going.items())
    return Driving([dict(going)] * latents, f"for {actions} the car is driven on with {said}")
