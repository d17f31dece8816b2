"""Several dreams of the lab at once, in one forward pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from reverie.core.errors import BadInput, ReverieError
from reverie.envs.filming import detections
from reverie.envs.lab import LabEnv
from reverie.world import step_together

try:
    from gymnasium.vector import AutoresetMode, VectorEnv
except ImportError:  # as in base.py
    VectorEnv = object  # type: ignore[assignment,misc]
    AutoresetMode = None  # type: ignore[assignment,misc]


class LabVectorEnv(VectorEnv):
    """``num_envs`` of LabEnv, whose dreams are stepped together; what has ended is reset by the next step, whose reward
    is then 0 and whose action counts for nothing. Arguments as of LabEnv."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 6,
                "autoreset_mode": AutoresetMode.NEXT_STEP if AutoresetMode else None}

    def __init__(self, num_envs: int = 1, **options: Any) -> None:
        if AutoresetMode is None:
            raise ReverieError('environments need the package gymnasium: pip install "reverie[gym]"')
        if num_envs < 1:
            raise BadInput(f"{num_envs} environments: give 1 at least")
        from gymnasium.vector.utils import batch_space

        self.envs = [LabEnv(**options) for _ in range(num_envs)]
        self.num_envs, self.render_mode = num_envs, self.envs[0].render_mode
        self.single_observation_space = self.envs[0].observation_space
        self.single_action_space = self.envs[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.ended = np.zeros(num_envs, bool)

    def reset(self, *, seed: int | list[int | None] | None = None, options: dict | None = None
              ) -> tuple[np.ndarray, dict]:
        """All anew. seed: of the first, the next has one more; or a list."""
        super().reset(seed=seed if isinstance(seed, int) else None)
        seeds = seed if isinstance(seed, list) else [None if seed is None else seed + n for n in range(self.num_envs)]
        if len(seeds) != self.num_envs:
            raise BadInput(f"{len(seeds)} seeds for {self.num_envs} environments")
        self.ended[:] = False
        pictures, infos = zip(*(env.reset(seed=one, options=options)
                                for env, one in zip(self.envs, seeds, strict=True)), strict=True)
        return np.stack(pictures), self._together(infos)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One latent on, those that had ended begin anew."""
        if len(actions) != self.num_envs:
            raise BadInput(f"{len(actions)} actions for {self.num_envs} environments")
        going = np.flatnonzero(~self.ended)
        blocks = step_together([self.envs[n].dream for n in going], [self.envs[n].inputs(actions[n]) for n in going])
        seen: list = [None] * len(going)
        if len(going) and self.envs[0].reward == "observer":
            seen = detections(np.stack([block.frames[-1] for block in blocks]))
        made = {int(n): self.envs[n].after(block, actions[n], what)
                for n, block, what in zip(going, blocks, seen, strict=True)}
        rows = []
        for n, env in enumerate(self.envs):
            rows.append(made[n] if n in made else (*_anew(env),))
        pictures, rewards, lost, over, infos = zip(*rows, strict=True)
        self.ended = np.array(lost) | np.array(over)
        return np.stack(pictures), np.array(rewards, np.float64), np.array(lost), np.array(over), self._together(infos)

    def _together(self, infos: tuple[dict, ...]) -> dict:
        """Each one's info as gymnasium gives those of several."""
        whole: dict = {}
        for n, info in enumerate(infos):
            whole = self._add_info(whole, info, n)
        return whole

    def render(self) -> tuple[np.ndarray | None, ...]:
        """Each one's newest frame."""
        return tuple(env.render() for env in self.envs)


def _anew(env: LabEnv) -> tuple[np.ndarray, float, bool, bool, dict]:
    picture, info = env.reset()
    return picture, 0.0, False, False, info
