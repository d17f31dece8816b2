"""A stand-in for World.dream and step_together with no network: a square that the camera's pan moves; it says what it
is told by its colour. ``load`` is what a live process calls instead of loading a model."""

import time

import numpy as np


class Block:
    def __init__(self, start, frames):
        self.start, self.frames, self.things = start, frames, []


class Dream:
    def __init__(self, script, size, fps, seed, past):
        self.size, self.fps, self.seed = size, fps, seed
        self.n, self.place, self.things = 0, 0.0, []
        self.past = 0 if past is None else len(past)
        self.ground = 40 if past is None else int(past[-1].mean())
        self.colour = (200, 30, 30)

    @property
    def seconds(self):
        return self.n * 4 / self.fps

    def step(self, *, text=None, rates=None):
        if text == "break":
            raise RuntimeError("the network\nbroke")
        if text:
            self.colour = (30, 30, 200)
        height, width = self.size
        frames = np.full((4, height, width, 3), self.ground, np.uint8)
        for frame in frames:
            self.place += (rates or {}).get("pan", 0.0) / self.fps
            x = int(self.place) % (width - 16)
            frame[8:24, x : x + 16] = self.colour
        self.n += 1
        return Block((self.n - 1) * 4, frames)


class World:
    default_size, fps = (64, 96), 24.0

    def __init__(self, pause):
        self.pause = pause

    def dream(self, script=(), *, size=None, fps=None, seed=0, past=None, **rest):
        return Dream(script, size or self.default_size, fps or self.fps, seed, past)

    def unknown_words(self, text):
        return [word for word in text.split() if word.startswith("zorb")]


def load(model):
    """The world called "quick" or "slow" (0.1 s a step), or a failure."""
    if model == "broken":
        raise RuntimeError("no such weights")
    if model == "dying":
        import os

        os._exit(3)
    world = World(0.1 if model == "slow" else 0.0)

    def step_together(dreams, inputs):
        time.sleep(world.pause)
        return [dream.step(**told) for dream, told in zip(dreams, inputs, strict=True)]

    return world, step_together
