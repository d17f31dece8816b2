"""The simulated worlds, by name; each is loaded when it is first used.

A scene has plan(seed, seconds, *, fps, split, size) -> Plan, simulate(plan) -> Clip (things only) 
draw(plan, size=None) -> Clip and ending(plan, seconds) -> Plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from reverie.core.clip import Clip


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


SCENES = {"lab": Scene("reverie.data.scenes.lab")}
