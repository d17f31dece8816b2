"""A stand-in for reverie.world with its interface and no network: a square that moves, its speed by the seed.

``python tests/fake_world.py generate ...`` runs the command line over it.
"""

import sys
import time
import types

import numpy as np


class Block:
    vectors = None

    def __init__(self, start, frames, things):
        self.start, self.frames, self.things = start, frames, things


class World:
    default_size = (64, 96)
    fps = 12.0
    hash = "fake0123"
    calls: list = []
    pause = 0.0  # seconds a block takes
    fail_after = None  # frames

    @classmethod
    def load(cls, name="base"):
        from reverie.core.errors import BadInput

        if name not in ("base", "slow"):
            raise BadInput(f"no model {name!r}: 'base', or a folder")
        world = cls()
        world.pause = 0.05 if name == "slow" else 0.0
        return world

    def unknown_words(self, text):
        return [word for word in text.split() if word.startswith("zorb")]

    def imagine(self, script, *, seconds, size=None, fps=None, seed=0, steps=None, past=None, goal=None,
                loop=False, moves=(), things=True):
        self.calls.append(dict(script=script, seconds=seconds, size=size, fps=fps, seed=seed, steps=steps,
                               past=past, goal=goal, loop=loop, moves=moves, things=things))
        height, width = size
        total = round(seconds * fps)
        for start in range(0, total, 4):
            time.sleep(self.pause)
            if self.fail_after is not None and start >= self.fail_after:
                raise RuntimeError("the network\nbroke")
            frames = np.full((4, height, width, 3), 40, np.uint8)
            rows = []
            for f in range(4):
                x = (seed + 2 * (start + f)) % (width - 16)
                frames[f, 20:36, x : x + 16] = (200, 30, 30)
                rows.append({"frame": start + f, "thing": 0, "kind": "box", "box": [x, 20, x + 16, 36]})
            yield Block(start, frames, rows if things else [])


def models():
    return [{"name": "base", "bytes": 12}]


def install():
    """Put this module in the place of reverie.world."""
    module = types.ModuleType("reverie.world")
    module.World, module.models = World, models
    sys.modules["reverie.world"] = module


if __name__ == "__main__":
    install()
    from reverie.cli import main

    raise SystemExit(main())
