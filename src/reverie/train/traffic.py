"""Training the model of traffic: from traces alone, a latent ahead, agents nudged aside to learn to come back.

Legend: B scenes, N agents, H latents of the past, W points of a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reverie.core import runtime
from reverie.core.errors import BadData
from reverie.core.files import writing
from reverie.core.progress import track
from reverie.data.road.moments import Moments, checked, trace_paths, window
from reverie.data.road.trace import Trace
from reverie.model.checkpoint import save_model
from reverie.model.road.sight import BEHIND, PAST, PERSON, WINDOW, Scene
from reverie.model.road.traffic import ADAM, Config, Traffic, done
from reverie.train.loop import fit

HELD = 0.04  # share of the traces that are kept apart, to be scored on


@dataclass(frozen=True)
class TrafficPlan:
    """What a batch is made of. scenes, agents: B and N. No line for anybody in a share of ``mapless`` scenes, for one
    agent in ``lineless``; signals unknown in ``unlit`` scenes; a past of two latents in ``short``. nudged: of the
    agents, those that stand ``nudge`` metres aside; ``kept``: how much of that is left a latent later."""

    scenes: int = 24
    agents: int = 24
    mapless: float = 0.15
    lineless: float = 0.08
    unlit: float = 0.05
    short: float = 0.15
    nudged: float = 0.5
    nudge: float = 0.35
    kept: float = 0.88
    lr: float = 2e-3
    ema: float = 0.998


def gathered(folder: Path | str, progress: bool = True) -> list[Moments]:
    """All traces below a folder. Raises BadData for one that is damaged or has another frame rate."""
    paths = trace_paths(folder)
    with track(len(paths), "traces", quiet=not progress) as bar:
        found = []
        for path in paths:
            trace = checked(Trace.load(path), path)
            found.append(Moments.of(trace, np.random.default_rng([len(found), 31])))
            bar.advance()
    return found


def save_moments(moments: Sequence[Moments], path: Path) -> None:
    """Write them as one file. Raises CannotWrite."""
    arrays = {f"{n:06d}.{f.name}": np.asarray(getattr(m, f.name)) for n, m in enumerate(moments) for f in fields(m)}
    with writing(path, "wb") as file:
        np.savez(file, **arrays)


def load_moments(path: Path) -> list[Moments]:
    """Read what save_moments wrote. Raises BadData."""
    try:
        with np.load(path) as stored:
            count = 1 + max(int(name[:6]) for name in stored.files)
            rows = [{f.name: stored[f"{n:06d}.{f.name}"] for f in fields(Moments)} for n in range(count)]
    except (OSError, ValueError, KeyError) as error:
        raise BadData(f"{path} is damaged ({error}): delete it, and it is made again") from None
    return [Moments(**{**row, "ego": int(row["ego"])}) for row in rows]


class Scenes:
    """Batches of moments: a pure function of (step, rng), as ``fit`` wants them."""

    def __init__(self, moments: Sequence[Moments], plan: TrafficPlan) -> None:
        self.moments = [m for m in moments if len(m.place) > 2]
        self.plan = plan
        if not self.moments:
            raise BadData("no trace is long enough to learn from")

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """A batch."""
        del step
        rows = [self._one(self.moments[int(rng.integers(len(self.moments)))], rng) for _ in range(self.plan.scenes)]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def _one(self, m: Moments, rng: np.random.Generator) -> dict[str, np.ndarray]:
        plan = self.plan
        t = int(rng.integers(1 if rng.random() < 0.2 else min(PAST, len(m.place) - 2), len(m.place) - 1))
        there = np.flatnonzero(m.there[t])
        far = np.hypot(*(m.place[t, there] - m.place[t, m.ego]).T)
        chosen = there[far.argsort(kind="stable")[: plan.agents]]
        return sample(m, t, chosen, plan, rng)


def sample(m: Moments, t: int, chosen: np.ndarray, plan: TrafficPlan, rng: np.random.Generator
           ) -> dict[str, np.ndarray]:
    """The agents ``chosen`` of a moment and what they did next, padded to plan.agents."""
    n, count = plan.agents, len(chosen)
    times = np.arange(t - PAST, t + 1)
    known = times >= 0
    rows = times.clip(0)
    seen = m.there[rows][:, chosen].T & known
    if rng.random() < plan.short:
        seen[:, : PAST - 1] = False
    pose = np.concatenate([m.place[rows][:, chosen], m.heading[rows][:, chosen, None], m.speed[rows][:, chosen, None]],
                          -1).transpose(1, 0, 2)
    first, after = m.first[t, chosen], m.place[t + 1, chosen].copy()
    lined = first >= 0
    signals = m.signals[t] if rng.random() >= plan.unlit else np.zeros(0, np.uint8)
    line, about = window(m.points, m.about, first, m.ends[t, chosen], signals, behind=BEHIND, length=WINDOW)
    if rng.random() < plan.mapless:
        lined[:] = False
    lined &= rng.random(count) >= plan.lineless
    aside = np.where((rng.random(count) < plan.nudged) & lined & (m.kind[chosen] != PERSON),
                     plan.nudge * rng.normal(size=count), 0.0).astype(np.float32)
    left = np.stack([-np.sin(pose[:, -1, 2]), np.cos(pose[:, -1, 2])], -1)
    pose[..., :2] += (aside[:, None] * left)[:, None]
    after += plan.kept * aside[:, None] * left
    scored = m.there[t + 1, chosen]

    def padded(values: np.ndarray, dtype: type = np.float32) -> np.ndarray:
        out = np.zeros((n, *values.shape[1:]), dtype)
        out[:count] = values
        return out

    return {"kind": padded(m.kind[chosen], np.int64), "size": padded(m.size[chosen]),
            "ego": padded(chosen == m.ego, bool), "there": padded(np.ones(count, bool), bool), "past": padded(pose),
            "seen": padded(seen, bool), "line": padded(line), "about": padded(about), "lined": padded(lined, bool),
            "after": padded(after), "scored": padded(scored, bool), "actions": m.actions[t].astype(np.float32)}


def scene_of(batch: dict[str, Tensor]) -> Scene:
    """A batch's scene."""
    return Scene(*(batch[f.name] for f in fields(Scene)))


def traffic_loss(model: torch.nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """How little the network expected what happened, and figures for the log."""
    with torch.no_grad():
        scene, sight = model.see(scene_of(batch))
        what = done(scene, sight, batch["after"], batch["actions"])
    cost = model(sight).cost(what)
    who = batch["scored"]
    walks, ego = who & (scene.kind == PERSON), who & scene.ego
    wheels = who & ~walks & ~ego
    figures = {name: cost.detach()[rows].mean() for name, rows in (("walkers", walks), ("ego", ego), ("wheels", wheels))
               if bool(rows.any())}
    return cost[who].mean(), figures


def train_traffic(folder: Path | str, out: Path, *, config: Config | None = None, plan: TrafficPlan | None = None,
                  minutes: float | None = None, steps: int | None = None, device: str = "cpu",
                  precision: str = "fp32", start_from: Path | str | None = None, progress: bool = True,
                  name: str = "traffic") -> Path | None:
    """Train on the traces below a folder; returns the model's file, None when it was interrupted (the same call goes
    on). Raises BadData, BadInput, CannotWrite."""
    config, plan = config or Config(), plan or TrafficPlan()
    out.mkdir(parents=True, exist_ok=True)
    store = out / "moments.npz"
    if store.exists():
        moments = load_moments(store)
    else:
        moments = gathered(folder, progress)
        save_moments(moments, store)
    held = max(1, round(HELD * len(moments)))
    learned = moments[held:] or moments
    torch.manual_seed(0)
    model = Traffic(config).to(device)
    scenes, apart = Scenes(learned, plan), Scenes(moments[:held], plan)

    def evaluate(network: torch.nn.Module) -> dict[str, float]:
        found = [traffic_loss(network, {k: v.to(device) for k, v in apart(n, np.random.default_rng([n, 5])).items()})
                 for n in range(min(12, 2 * held))]
        return {"loss": float(torch.stack([loss for loss, _ in found]).mean())}

    result = fit(model, scenes, traffic_loss, out=out, minutes=minutes, steps=steps, lr=plan.lr, adam=ADAM,
                 ema=plan.ema, hold=0.3, precision=precision, evaluate=evaluate, start_from=start_from,
                 progress=progress, look_every_minutes=5.0)
    if not result.finished:
        return None
    latents = sum(len(m.place) for m in moments)
    card = {"kind": "traffic", "config": config.to_dict(), "fps": 24.0,
            "recipe": {"name": name, **asdict(plan), "trained_steps": result.step,
                       "trained_seconds": round(result.elapsed)},
            "data": {"traces": len(moments), "hours": round(latents / 6 / 3600, 2)},
            "commit": runtime.commit(), "scores": result.scores}
    save_model(out / "road.safetensors", result.weights, card)
    return out / "road.safetensors"
