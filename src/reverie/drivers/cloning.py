"""Behaviour cloning, the baseline: what the drivers of traces did, learned by heart.

Only smooth and clumsy drivers are copied, and only where they went where the observation's lane goes: at a junction
they turn as their way goes, which a driver that is told of no way cannot see.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from reverie.core.errors import BadData
from reverie.core.progress import track
from reverie.data.road.gates import Gates
from reverie.data.road.lanes import Lanes
from reverie.data.road.trace import Trace
from reverie.drivers.policy import WIDTHS, Policy, of_modules
from reverie.envs.road import F, acted
from reverie.envs.seeing import LANE, VECTOR, vector

COPIED = ("smooth", "clumsy")
ASTRAY, AHEAD = 1.2, 48  # metres from the lane that is seen, in the frames to come, from which one is not copied
STEERING = 25.0  # weight of the wheel's error beside the pedal's: its values are a fifth as large


def examples(files: list[Path], *, progress: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Observations (N, VECTOR) and actions (N, 2) of the traces' own drivers. Raises BadData where there are none."""
    seen, done = [], []
    with track(len(files), "traces", quiet=not progress) as bar:
        for path in files:
            trace = Trace.load(path)
            if trace.driver in COPIED:
                lanes, lights = Lanes(trace.net), Gates(trace.net)
                for now in range(0, trace.frames - F, F):
                    if _follows(trace, now, lanes):
                        seen.append(vector(trace, now, lanes, lights))
                        done.append(acted(*trace.actions[now : now + F].mean(0)))
            bar.advance()
    if not seen:
        raise BadData(f"none of {len(files)} traces has a {' or '.join(COPIED)} driver to copy")
    return np.array(seen, np.float32), np.array(done, np.float32)


def _follows(trace: Trace, now: int, lanes: Lanes) -> bool:
    """Whether our car goes where the lane goes that it sees."""
    place, heading = trace.place[now, trace.ego].astype(float), float(trace.heading[now, trace.ego])
    line = np.concatenate([place[None], lanes.ahead(place, heading, LANE)])
    spots = np.concatenate([line[:-1] + share * np.diff(line, axis=0) for share in np.linspace(0, 1, 9)])
    way = trace.place[now + F : now + AHEAD : 2 * F, trace.ego]
    far = np.hypot(*(way[:, None] - spots[None]).transpose(2, 0, 1)).min(1) if len(way) else np.zeros(1)
    return bool(far.max() < ASTRAY)


def clone(files: list[Path], *, epochs: int = 60, seed: int = 0, progress: bool = True) -> Policy:
    """Learn to do as they did. Raises BadData."""
    seen, done = (torch.from_numpy(values) for values in examples(files, progress=progress))
    torch.manual_seed(seed)
    layers = [nn.Linear(a, b) for a, b in zip((VECTOR, *WIDTHS), (*WIDTHS, 2), strict=True)]
    network = nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])
    learner = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-3)
    pace = torch.optim.lr_scheduler.CosineAnnealingLR(learner, epochs)
    weigh = torch.tensor([STEERING, 1.0])
    for _ in range(epochs):
        for rows in torch.randperm(len(seen)).split(256):
            loss = (weigh * (network(seen[rows]) - done[rows]).square()).mean()
            learner.zero_grad()
            loss.backward()
            learner.step()
        pace.step()
    return of_modules(layers, {"way": "clone", "examples": len(seen), "traces": len(files), "epochs": epochs,
                               "seed": seed, "loss": round(loss.item(), 5)})
