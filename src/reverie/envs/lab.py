"""reverie/Lab-v0: the lab as the model dreams it, filmed by a camera that the action moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from reverie.core.clip import Line
from reverie.core.errors import BadInput, ReverieError
from reverie.core.script import clean_text
from reverie.core.vocabulary import CAMERA_CHANNELS, FRAMES_PER_LATENT
from reverie.envs.base import Env, action_space, checked_action, checked_options, picture_space
from reverie.envs.filming import Filming, rates_of
from reverie.model.block import Block
from reverie.world import Dream, World, step_together

PROMPTS = ("a red ball rolls to the right", "a dog walks to the left", "a blue box is pushed", "a person walks by",
           "a yellow ball is thrown and bounces", "a green cylinder stands on the ground")
TRIES = 8  # openings that are dreamt until something can be filmed
F = FRAMES_PER_LATENT


@lru_cache(maxsize=2)
def loaded(model: str) -> World:
    """A model by name or folder, loaded once."""
    return World.load(model)


class LabEnv(Env):
    """Keep the named thing in the middle of the picture; see filming.Filming for the reward.

    Observation: the newest frame, uint8 (H, W, 3). Action (5,) in -1..1: rates of pan, tilt, orbit, dolly and crane, at
    full strength vocabulary.ACTION_SCALE (30 degrees or 1 m a second). Terminated when the thing has been out of sight
    for two seconds; truncated after ``seconds``.

    model: a name, a folder or a World. prompts: texts of which each episode has one. reward: "observer" or "things".
    reset's options: prompt, or clip (a video, log or data set to go on from), key and until, as futures have them.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 6}

    def __init__(self, model: str | Path | World = "base", *, prompts: Sequence[str] = PROMPTS, seconds: float = 20.0,
                 reward: str = "observer", render_mode: str | None = None) -> None:
        self.world = model if isinstance(model, World) else loaded(str(model))
        self.size, self.fps = tuple(self.world.default_size), self.world.fps
        self.prompts = tuple(clean_text(prompt) for prompt in prompts)
        if not self.prompts:
            raise BadInput("there is no prompt to dream of")
        if not seconds >= F / self.fps:
            raise BadInput(f"episodes of {seconds:g} s: one step takes {F / self.fps:.2f} s")
        self.limit, self.reward, self.render_mode = round(seconds * self.fps / F), reward, render_mode
        self.observation_space, self.action_space = picture_space(self.size), action_space(len(CAMERA_CHANNELS))
        self.task = Filming(reward, self.size, self.fps)
        self.dream: Dream | None = None
        self.frame: np.ndarray | None = None
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """A new dream in which something can be filmed. Raises BadInput, and ReverieError if TRIES show nothing."""
        super().reset(seed=seed)
        options = checked_options(options, ("prompt", "clip", "key", "until"))
        prompt = str(options.get("prompt") or self.prompts[int(self.np_random.integers(len(self.prompts)))])
        past = self._past(options)
        script = [Line(0.0, clean_text(prompt) if past is None or options.get("prompt") else "")]
        for _ in range(TRIES):
            seed = int(self.np_random.integers(2**31))
            self.dream = self.world.dream(script, seed=seed, **(past or {}))
            block = self.dream.step(rates={} if past is None else None)
            self.task = Filming(self.reward, self.size, self.dream.fps)
            self.frame, self.steps = block.frames[-1], 0
            if self.task.begin(self.frame, block.things, prompt):
                return self.frame.copy(), {"target": self.task.name, "prompt": script[0].text, "seed": seed}
        raise ReverieError(f"{TRIES} dreams of {prompt!r} showed nothing that can be filmed: give another prompt or "
                           "clip")

    def _past(self, options: Mapping) -> dict | None:
        """What a dream goes on from, as World.dream takes it."""
        if not options.get("clip"):
            return None
        from reverie.futures.past import read_past

        config = self.world.transformer.config
        past = read_past([options["clip"]], size=self.size, fps=self.fps, least=config.views_window * F,
                         slots=config.slots, key=options.get("key"), until=options.get("until"))
        if past.known is not None:
            return {"known": past.known, "fps": past.fps}
        return {"past": next(iter(past.cameras.values())), "fps": past.fps}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        """One latent on. Raises BadInput for an action that is none."""
        block = step_together([self.dream], [self.inputs(action)])[0]
        return self.after(block, action)

    def inputs(self, action: Any) -> dict:
        """What the dream is told for an action."""
        if self.dream is None:
            raise BadInput("reset the environment before its first step")
        return {"rates": rates_of(checked_action(action, len(CAMERA_CHANNELS)), self.dream.camera, self.dream.fps)}

    def after(self, block: Block, action: Any, seen: Sequence | None = None
              ) -> tuple[np.ndarray, float, bool, bool, dict]:
        """What step returns for the block that was made. seen: what the observer saw in its last frame."""
        self.frame, self.steps = block.frames[-1], self.steps + 1
        reward, lost, info = self.task.judge(self.frame, block.things, np.asarray(action, float).clip(-1, 1), seen)
        return self.frame.copy(), reward, lost, self.steps >= self.limit, info

    def render(self) -> np.ndarray | None:
        """The newest frame."""
        return None if self.frame is None else self.frame.copy()
