"""The simulated worlds, by name; each is loaded when it is first used.

A scene has plan(seed, seconds, *, fps, split, size) -> Plan, simulate(plan) -> Clip (things only),
draw(plan, size=None) -> Clip and ending(plan, seconds) -> Plan. One that is told in other words than the lab's has
caption as well; one whose plans can be given more has options(key, seed, seconds, fps, ...) -> what they are given;
one that has more to say of a plan than its truth has about(plan) -> plain values, kept with the clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from reverie.core.clip import Clip, Truth
from reverie.core.errors import BadInput

if TYPE_CHECKING:
    from reverie.data.teller import CaptionLine


@dataclass(frozen=True)
class Scene:
    """A world by its module's name."""

    module: str

    def plan(self, seed: int, seconds: float, **options: Any) -> Any:
        """Every decision of a clip: see the world's own ``plan`` for the options."""
        return import_module(self.module).plan(seed, seconds, **options)

    def simulate(self, plan: Any) -> Clip:
        """The things-only clip of a plan."""
        return import_module(self.module).simulate(plan)

    def draw(self, plan: Any, size: tuple[int, int] | None = None) -> Clip:
        """The drawn clip of a plan, at (H, W) pixels (None: the plan's own size)."""
        return import_module(self.module).draw(plan, size)

    def ending(self, plan: Any, seconds: float) -> Any:
        """The last seconds of a plan, as a plan of their own."""
        return import_module(self.module).ending(plan, seconds)

    def caption(self, truth: Truth, rng: np.random.Generator, **how: Any) -> list[CaptionLine]:
        """A line for each beat, in the world's own words: see data.captions.caption."""
        own = getattr(import_module(self.module), "caption", None)
        return (own or import_module("reverie.data.captions").caption)(truth, rng, **how)

    def about(self, plan: Any) -> dict:
        """What is kept with a clip besides its truth: plain values."""
        own = getattr(import_module(self.module), "about", None)
        return own(plan) if own else {}

    def options(self, key: str, seed: int, seconds: float, fps: float, **more: str) -> dict:
        """What a clip's plan is given besides; more: of what only some worlds have, empty for none. Raises BadInput."""
        own, asked = getattr(import_module(self.module), "options", None), {k: v for k, v in more.items() if v}
        if asked and own is None:
            raise BadInput(f"{' and '.join(asked)}: that is of another world")
        return own(key, seed, seconds, fps, **asked) if asked else {}


SCENES = {"lab": Scene("reverie.data.scenes.lab"), "road": Scene("reverie.data.road.world")}
