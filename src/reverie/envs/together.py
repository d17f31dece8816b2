"""Several dreams of the road in one forward pass: each then takes its own part of it as its next step.

Legend: B dreams, N agents, S signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from reverie.envs.road import F, RoadEnv, meant
from reverie.model.road.driving import Drive, Frames, Start
from reverie.model.road.manners import Patience

_OF_AGENTS = ("kind", "size", "ego", "there", "past", "seen", "points", "about", "count", "cursor")


def foresee(envs: Sequence[RoadEnv], actions: Sequence[Any]) -> None:
    """Imagine the next step of every dream, for its action; the dream's own step(action) then uses it. Chances are
    drawn for as many agents as the fullest dream has: a dream alone goes on otherwise. Raises BadInput."""
    some = [n for n, env in enumerate(envs) if env.ride is not None]
    envs, actions = [envs[n] for n in some], [actions[n] for n in some]
    rides = [env.ride for env in envs]
    if not rides:
        return
    for env in envs:
        env.ride.lights(env.trace.signals[env.now])
        env.ride.ready()
    starts = [ride.drive.now for ride in rides]
    whole = {name: _padded([getattr(start, name) for start in starts], 1 if name == "size" else 0)
             for name in (*_OF_AGENTS, "lights")}
    drive = Drive(rides[0].drive.model, Start(pace=torch.cat([start.pace for start in starts]), **whole),
                  [seed for ride in rides for seed in ride.drive.seeds], rides[0].drive.heat)
    drive.chance = [ride.drive.chance[0] for ride in rides]
    patience = [ride.drive.patience for ride in rides]
    drive.patience = Patience(_padded([p.waited for p in patience], 0), _padded([p.by for p in patience], 0))
    told = torch.tensor([meant(action) for action in actions], dtype=torch.float32)
    frames = drive.step(told[:, None].expand(-1, F, -1))
    for b, (env, start) in enumerate(zip(envs, starts, strict=True)):
        one, count = slice(b, b + 1), start.kind.shape[1]
        for name in ("past", "seen", "count", "cursor"):
            setattr(start, name, getattr(drive.now, name)[one, :count].clone())
        start.pace = drive.now.pace[one].clone()
        env.ride.drive.patience = Patience(drive.patience.waited[one, :count].clone(),
                                           drive.patience.by[one, :count].clone())
        env.foreseen = Frames(frames.place[one, :, :count], frames.heading[one, :, :count],
                              frames.speed[one, :, :count], frames.actions[one])
        env.ride.keep(env.foreseen)


def _padded(parts: list[Tensor], fill: int) -> Tensor:
    """Tensors (1, N, ...) as one (B, most N, ...)."""
    most = max(part.shape[1] for part in parts)
    out = parts[0].new_full((len(parts), most, *parts[0].shape[2:]), fill)
    for row, part in zip(out, parts, strict=True):
        row[: part.shape[1]] = part[0]
    return out
