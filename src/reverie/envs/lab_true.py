"""reverie/LabTrue-v0: the same task as reverie/Lab-v0 in the true lab, simulated and drawn by MuJoCo.

What happens does not hear of the camera, so that the whole of it is simulated at reset and drawn as the camera goes:
0.4 s of CPU time a step, most of it for setting up the drawing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reverie.core.camera import CameraPath
from reverie.core.errors import BadInput, ReverieError
from reverie.core.moves import integrate
from reverie.core.vocabulary import CAMERA_CHANNELS, DEFAULT_FPS, FRAMES_PER_LATENT
from reverie.envs.base import Env, action_space, checked_action, checked_options, picture_space
from reverie.envs.filming import Filming, rates_of

TRIES = 8
F = FRAMES_PER_LATENT


class LabTrueEnv(Env):
    """Spaces, reward and ends as of lab.LabEnv. split: "train" or "test", what is held out of training among it.

    reset's options: clip (a folder or shard of simulated clips) and key: the very clip, from its first frame on.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 6}

    def __init__(self, *, size: tuple[int, int] = (128, 128), seconds: float = 20.0, reward: str = "observer",
                 split: str = "train", render_mode: str | None = None) -> None:
        self.size, self.fps, self.seconds, self.split = tuple(size), DEFAULT_FPS, seconds, split
        self.reward, self.render_mode = reward, render_mode
        self.observation_space, self.action_space = picture_space(self.size), action_space(len(CAMERA_CHANNELS))
        self.task = Filming(reward, self.size, self.fps)
        self.plan: Any = None
        self.camera: CameraPath | None = None
        self.frame: np.ndarray | None = None
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """A new scene in which something can be filmed. Raises BadInput, BadData, and ReverieError without MuJoCo."""
        super().reset(seed=seed)
        options = checked_options(options, ("clip", "key"))
        for _ in range(TRIES):
            self.plan, chosen = self._plan(options)
            self.fps, self.steps = self.plan.fps, 0
            self.task = Filming(self.reward, self.size, self.fps)
            self.camera = CameraPath(self.plan.path.position[:1].repeat(F, 0), self.plan.path.rotation[:1].repeat(F, 0),
                                     self.plan.path.fovy)
            rows = self._look()
            if self.task.begin(self.frame, rows):
                return self.frame.copy(), {"target": self.task.name, "seed": chosen}
            if options:
                break
        raise ReverieError("the scene shows nothing that can be filmed in its first frames: give another seed or clip")

    def _plan(self, options: Mapping) -> tuple[Any, int]:
        from reverie.data.scenes import SCENES

        if not options.get("clip"):
            seed = int(self.np_random.integers(2**31))
            return SCENES["lab"].plan(seed, self.seconds, fps=self.fps, split=self.split, size=self.size), seed
        from reverie.data.shards import ClipSet

        clips = ClipSet(options["clip"])
        key = options.get("key") or clips.keys[0]
        if key not in clips.keys:
            raise BadInput(f"{options['clip']} has no clip {key}: it has {', '.join(clips.keys[:5])}")
        meta = clips.meta(clips.keys.index(key))
        about = meta["provenance"]
        if about.get("world") != "lab" or about.get("crime"):
            raise BadInput(f"clip {key} is not of the true lab: it cannot be simulated again")
        plan = SCENES["lab"].plan(about["seed"], about["plan_seconds"], fps=meta["fps"], split=about["split"],
                                  size=tuple(about["size"]))
        return plan, about["seed"]

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        """One latent on. Raises BadInput for an action that is none."""
        if self.plan is None:
            raise BadInput("reset the environment before its first step")
        values = checked_action(action, len(CAMERA_CHANNELS))
        rates = rates_of(values, self.camera, self.fps)
        whole = integrate(np.tile(list(rates.values()), (F + 1, 1)), self.camera.position[-1], self.camera.rotation[-1],
                          self.camera.fovy, self.fps)
        self.camera, self.steps = whole[1:], self.steps + 1
        rows = self._look()
        reward, lost, info = self.task.judge(self.frame, rows, values)
        ends = (self.steps + 2) * F > len(self.plan.path) or self.steps >= round(self.seconds * self.fps / F)
        return self.frame.copy(), reward, lost, ends, info

    def _look(self) -> list[dict]:
        """Draw the last frame of this latent; the things in it as Block has them."""
        from reverie.data.scenes.drawing import see

        now = min((self.steps + 1) * F, len(self.plan.path)) - 1
        seen = see(self.plan.record.since(now, 1), self.plan.look, self.camera[F - 1 :], *self.size)
        self.frame = seen.frames[0]
        return [{"frame": now, "thing": n, "kind": thing.kind, "colour": thing.colour, "box": seen.boxes[0, n].tolist()
                 if np.isfinite(seen.boxes[0, n]).all() else None} for n, thing in enumerate(self.plan.record.things)]

    def render(self) -> np.ndarray | None:
        """The newest frame."""
        return None if self.frame is None else self.frame.copy()
