"""Learning to drive by trying (PPO, Schulman et al. 2017, as stable-baselines3 has it), in the dream or in truth.

The same learner, the same rides and as many steps in both: first alone, to keep the lane, then among traffic.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

from reverie.core.errors import BadInput, ReverieError
from reverie.drivers.policy import WIDTHS, Policy, of_modules
from reverie.envs.road import RoadEnv
from reverie.envs.seeing import OWN
from reverie.envs.together import foresee

RIDES = 16  # that are driven side by side
SECONDS = 10.0  # of a ride
GAMMA = 0.97  # what a reward is worth a step, a sixth of a second, later
CRASH = -10.0  # at -5 one who went on from the clone drove faster and crashed twice as often
MOST = 24  # agents of a dream: half as many take half the time
ALONE, KEPT = 0.2, 4  # of the steps, without traffic; and later of so many rides one, or that would be forgotten
WARM = 8  # rounds in which a driver who goes on only judges
ROUND, LATER = 64, 192  # steps of each ride between two updates, and of one who goes on, whose steps are finer


def learner():
    """The package stable_baselines3. Raises ReverieError without it."""
    try:
        return import_module("stable_baselines3")
    except ImportError:
        raise ReverieError('learning by trying needs stable-baselines3: pip install "reverie[rl]"') from None


def learn(where: str, files: list[Path] | None, *, steps: int = 100_000, model: str = "base", seed: int = 0,
          start_from: Policy | None = None, rides: int = RIDES, round_of: int | None = None,
          tell: Callable[[dict, Callable[[], Policy]], None] = lambda row, so_far: None) -> Policy:
    """Learn in the "dream" or in the "true" simulator, from traces; None: in truth among live traffic, for which each
    of the rides has a process of its own. model: of the dream's traffic. start_from: a driver who goes on learning,
    among traffic at once; else one who knows nothing drives alone first. Among traffic one ride in KEPT is alone. tell:
    is given a row of figures after each round, and what makes the driver so far. KeyboardInterrupt ends it early, with
    meta's "stopped". Raises BadInput, BadWeights, and ReverieError without stable-baselines3."""
    if files is None and where == "dream":
        raise BadInput("a dream goes on from a trace: give traces")
    ppo, began, network, name, stopped = learner().PPO, time.perf_counter(), None, "live" * (files is None), False
    returns, round_of = None, round_of or (ROUND if start_from is None else LATER)

    def made() -> Policy:
        before = start_from.meta.get("steps", 0) if start_from is not None else 0
        meta = {"way": where, "steps": before + int(network.num_timesteps), "seed": seed, "traces": len(files or ()),
                "rides": rides, "seconds": round(time.perf_counter() - began)}
        meta |= ({"traffic": name} if name else {}) | ({"stopped": True} if stopped else {})
        return of_modules(_layers(network), meta | ({"start_from": start_from.name} if start_from is not None else {}))

    def say(row: dict) -> None:
        tell(row, made)

    for traffic, share in ((False, ALONE), (True, 1 - ALONE)) if start_from is None else ((True, 1.0),):
        make = partial(RoadEnv, model if where == "dream" else None, traces=files, seconds=SECONDS, most=MOST,
                       observation="vector", arrivals=False, crash=CRASH)  # few come in ten seconds
        makes = [partial(make, traffic=traffic and bool((n + 1) % KEPT)) for n in range(rides)]
        envs = _side_by_side()(makes)
        if where == "dream":
            name = envs.envs[0].road.name
        envs = import_module("stable_baselines3.common.vec_env").VecNormalize(envs, norm_obs=False, gamma=GAMMA)
        if returns is not None:
            envs.ret_rms = returns  # measured anew, rewards would be of another size, and what was learned lost
        returns = envs.ret_rms
        if network is None:
            rate, most = (3e-4, 0.03) if start_from is None else (1e-4, 0.01)  # who can drive unlearns it at 2e-4
            network = ppo("MlpPolicy", envs, n_steps=round_of, batch_size=min(2, rides) * round_of, n_epochs=8,
                          gamma=GAMMA, seed=seed, learning_rate=rate, target_kl=most, device="cpu",
                          policy_kwargs={"net_arch": list(WIDTHS), "log_std_init": -1.5})
            with torch.no_grad():  # who drives alone learns nothing of others, and shall not heed them at random later
                for layers in (network.policy.mlp_extractor.policy_net, network.policy.mlp_extractor.value_net):
                    layers[0].weight[:, OWN:] = 0.0
        else:
            envs.seed(seed + 1)
            network.set_env(envs)
        try:
            if start_from is not None:
                _take_over(network, start_from, WARM * rides * round_of, _watch(traffic, say))
            network.learn(max(round(steps * share), rides * round_of), callback=_watch(traffic, say),
                          reset_num_timesteps=False)
        except KeyboardInterrupt:
            stopped = True
            break
        finally:
            envs.close()
    return made()


def _layers(network) -> list[torch.nn.Linear]:
    """Those that say what to do."""
    net = network.policy
    return [m for m in (*net.mlp_extractor.policy_net, net.action_net) if isinstance(m, torch.nn.Linear)]


def _take_over(network, start: Policy, steps: int, watch) -> None:
    """Begin as another driver, who tries less; at first only what a moment is worth is learned."""
    with torch.no_grad():
        for layer, (weight, bias) in zip(_layers(network), start.layers, strict=True):
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))
        network.policy.log_std.fill_(-2.3)
    held = [p for layer in _layers(network) for p in layer.parameters()] + [network.policy.log_std]
    for parameter in held:
        parameter.requires_grad_(False)
    network.learn(steps, callback=watch, reset_num_timesteps=False)
    for parameter in held:
        parameter.requires_grad_(True)


def _side_by_side():
    """The class of several rides, whose dreams are imagined in one forward pass."""
    vec_env = import_module("stable_baselines3.common.vec_env")

    class SideBySide(vec_env.DummyVecEnv):
        def step_wait(self):
            foresee(self.envs, self.actions)
            return super().step_wait()

    return SideBySide


def _watch(traffic: bool, tell: Callable[[dict], None]):
    """A callback that counts how rides end."""
    callbacks = import_module("stable_baselines3.common.callbacks")

    class Watch(callbacks.BaseCallback):
        def _on_training_start(self) -> None:
            self.ends, self.began, self.first = [], time.perf_counter(), self.num_timesteps

        def _on_step(self) -> bool:
            of = zip(self.locals["infos"], self.locals["dones"], strict=True)
            self.ends += [info for n, (info, done) in enumerate(of) if done and ((n + 1) % KEPT or not traffic)]
            return True

        def _on_rollout_end(self) -> None:
            last, pace = self.ends[-100:], (self.num_timesteps - self.first) / (time.perf_counter() - self.began)
            if last:
                tell({"steps": self.num_timesteps, "traffic": traffic, "rides": len(self.ends),
                      "success": float(np.mean([info["success"] for info in last])),
                      "crashed": float(np.mean([bool(info["crash"]) for info in last])), "steps_per_second": pace})

    return Watch()
