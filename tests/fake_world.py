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
    def load(cls, name="base", device="auto"):
        from reverie.core.errors import BadInput

        if name not in ("base", "slow"):
            raise BadInput(f"no model {name!r}: 'base', or a folder")
        world = cls()
        if name == "slow":
            world.pause = 0.05
        return world

    def unknown_words(self, text):
        return [word for word in text.split() if word.startswith("zorb")]

    def dream(self, size, seed, text):
        return Dream(self, size, seed, text)

    def imagine(self, script, *, seconds, size=None, fps=None, seed=0, steps=None, past=None, goal=None,
                loop=False, moves=(), things=True, step=None, beside=0):
        self.calls.append(dict(script=script, seconds=seconds, size=size, fps=fps, seed=seed, steps=steps,
                               past=past, goal=goal, loop=loop, moves=moves, things=things))
        total = round(seconds * fps)
        dream = self.dream(size, seed, script[0].text if script else "")
        for start in range(0, total, 4):
            if self.fail_after is not None and start >= self.fail_after:
                raise RuntimeError("the network\nbroke")
            block = step_together([dream], [{}])[0] if step is None else step(dream)
            yield block if things else Block(block.start, block.frames, [])


class Dream:
    def __init__(self, world, size, seed, text):
        self.world, self.size, self.seed, self.text, self.n = world, size, seed, text, 0

    def step(self):
        if "explode" in self.text:
            raise RuntimeError("the network exploded")
        height, width = self.size
        frames, start, rows = np.full((4, height, width, 3), 40, np.uint8), 4 * self.n, []
        for f in range(4):
            x = (self.seed + 2 * (start + f)) % (width - 16)
            frames[f, 20:36, x : x + 16] = (200, 30, 30)
            rows.append({"frame": start + f, "thing": 0, "kind": "box", "box": [x, 20, x + 16, 36]})
        self.n += 1
        return Block(start, frames, rows)


def step_together(dreams, inputs):
    """A pause for all of them, however many there are."""
    time.sleep(dreams[0].world.pause)
    return [dream.step() for dream in dreams]


def models():
    return [{"name": "base", "bytes": 12}]


def install():
    """Put this module in the place of reverie.world."""
    module = types.ModuleType("reverie.world")
    module.World, module.models, module.step_together = World, models, step_together
    sys.modules["reverie.world"] = module


if __name__ == "__main__":
    install()
    from reverie.cli import main

    raise SystemExit(main())
