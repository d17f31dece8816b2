"""Reverie: an open world simulator. A sentence becomes a minute of video, on two CPU cores.

    import reverie
    reverie.generate("a red ball falls on a table", "out.mp4", seconds=10)

    world = reverie.World.load("base")
    for block in world.imagine([reverie.Line(0.0, "a dog walks in")], seconds=5):
        ...  # block.frames: uint8 (n, H, W, 3)

Names are loaded when they are first used, so that ``import reverie`` is instant.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_HOME = {
    "World": "reverie.world",
    "generate": "reverie.generation",
    "Clip": "reverie.core.clip",
    "Event": "reverie.core.clip",
    "Line": "reverie.core.clip",
    "Truth": "reverie.core.clip",
    "ReverieError": "reverie.core.errors",
    "BadInput": "reverie.core.errors",
    "BadMedia": "reverie.core.errors",
    "BadWeights": "reverie.core.errors",
    "BadData": "reverie.core.errors",
    "CannotWrite": "reverie.core.errors",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'reverie' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
