"""Training the road's canvas: single pixels of stills, told from their towns, moments and cameras.

What each pixel meets is computed once; then only the networks are at work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.core.progress import track
from reverie.core.runtime import commit
from reverie.data.road import found
from reverie.data.road.world import Look
from reverie.data.shards import ClipSet
from reverie.data.sheet import contact_sheet
from reverie.model.checkpoint import save_model
from reverie.model.road.canvas import ADAM, Config, RoadCanvas
from reverie.model.road.sights import Sight
from reverie.painter import Painter
from reverie.train.loop import fit
from reverie.train.losses import PooledError
from reverie.train.road_stills import Stills, drawn
from reverie.train.tokenizer import near

HELD = 16  # one clip in so many is only looked at
PIXELS = 640  # of a picture that are learned from
AROUND, EDGES = 0.6, 0.2  # shares of these from where agents are, and from where the picture changes
FRINGE = 2  # pixels around an agent that count as where it is


@dataclass
class Seen:
    """A picture's pixels: what they meet, their colours (P, 3) and masks (P,) uint8, and which they are (P,)."""

    sight: Sight
    colours: Tensor
    masks: Tensor
    pixels: Tensor


def chosen(picture: np.ndarray, mask: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers of so many pixels of a picture (H, W, 3) with mask (H, W)."""
    free = rng.integers(mask.size, size=count)
    grey = picture.astype(np.int16).sum(-1)
    change = np.zeros(mask.shape, bool)
    change[:, 1:] |= np.abs(np.diff(grey, axis=1)) > 40
    change[1:] |= np.abs(np.diff(grey, axis=0)) > 40
    start = 0
    for share, where in ((AROUND, near(mask[None] > 0, FRINGE)[0]), (EDGES, change)):
        there = np.flatnonzero(where)
        many = min(int(share * count), 2 * len(there))
        if many:
            free[start : start + many] = there[rng.integers(len(there), size=many)]
        start += many
    return free


def gathered(clips: ClipSet, stills: Stills, count: int, numbers: np.ndarray, progress: bool) -> list[Seen]:
    """What ``count`` pixels (0: all) of every still of the clips with these numbers meet."""
    out, rng = [], np.random.default_rng(3)
    size = stills.masks.shape[1:]
    with track(len(numbers), "clips looked at", quiet=not progress) as bar:
        for number in numbers:
            trace, look = found.trace_of(clips, number)[0], Look.of(clips.meta(number)["provenance"])
            painter = Painter(trace, look.weather, size, look.seed, canvas=RoadCanvas())
            own = trace.place[:, trace.ego], trace.heading[:, trace.ego]
            for k in np.flatnonzero(stills.clip == number):
                painter.at(int(stills.frame[k]))
                path = look.mounts[stills.mount[k]].path(*own, size)
                painter.through(path, int(stills.frame[k]), size[1] / size[0])
                picture, mask = stills.pictures[k], stills.masks[k]
                pixels = torch.from_numpy(chosen(picture, mask, count, rng) if count else np.arange(mask.size))
                sight = painter.sight(pixels)
                out.append(Seen(sight.packed(), torch.from_numpy(picture).view(-1, 3)[pixels],
                                torch.from_numpy(mask).view(-1)[pixels], pixels))
            bar.advance()
    return out


class Pixels:
    """Batches of pictures' pixels, three times as often of pictures with agents: a pure function of step and random
    state."""

    def __init__(self, seen: Sequence[Seen], pictures: int = 8) -> None:
        self.seen, self.pictures = seen, pictures
        weight = np.array([3.0 if float((one.masks > 0).float().mean()) > 0.1 else 1.0 for one in seen])
        self.chance = weight / weight.sum()

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """A sight's parts, and colours (P, 3) and masks (P,) uint8."""
        del step
        some = [self.seen[k] for k in rng.choice(len(self.seen), self.pictures, p=self.chance)]
        return {**vars(Sight.joined([one.sight for one in some])), "colours": torch.cat([one.colours for one in some]),
                "masks": torch.cat([one.masks for one in some])}


def loss_fn(model: torch.nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
    """The loss of a batch of Pixels, for train.loop.fit."""
    made = model(Sight(**{name: v for name, v in batch.items() if name not in ("colours", "masks")}))
    squared = (made.picture - batch["colours"].float() / 255).square()
    each = ((squared + 1e-4).sqrt() + 4 * squared).mean(-1)
    shown = (batch["masks"] > 0).float()
    outline = F.binary_cross_entropy(made.agents.clamp(1e-4, 1 - 1e-4), shown)
    figures = {"square": squared.detach().mean(), "outline": outline.detach(),
               "square_agents": (squared.detach().mean(-1) * shown).sum() / shown.sum().clamp(min=1)}
    return (each * (1 + shown)).mean() + 0.2 * outline, figures


@torch.no_grad()
def canvas_scores(canvas: torch.nn.Module, held: Sequence[Seen], size: tuple[int, int]) -> dict[str, float]:
    """PSNR in dB of whole pictures: over all pixels, and within 2 pixels of agents."""
    pools = {"psnr": PooledError(), "psnr_agents": PooledError()}
    for one in held:
        made = canvas(Sight.joined([one.sight])).picture.clamp(0, 1).view(1, *size, 3) * 2 - 1
        true = one.colours.view(1, *size, 3).float() / 127.5 - 1
        where = near(one.masks.view(1, *size).numpy() > 0, FRINGE)
        pools["psnr"].add(made, true)
        if where.any():
            pools["psnr_agents"].add(made, true, torch.from_numpy(where))
    return {name: pool.psnr for name, pool in pools.items()}


@torch.no_grad()
def canvas_sheet(canvas: torch.nn.Module, held: Sequence[Seen], size: tuple[int, int], path: Path, rows: int = 10
                 ) -> None:
    """A contact sheet: of so many moments, four cameras each, a row of truth and under it a row of the canvas."""
    pictures: list[np.ndarray] = []
    many = -(-len(held) // 4)
    for start in np.linspace(0, many - 1, min(rows, many)).astype(int) * 4:
        some = held[start : start + 4]
        made = [(canvas(Sight.joined([one.sight])).picture.clamp(0, 1) * 255).round().to(torch.uint8) for one in some]
        pictures += [torch.stack(v).view(-1, *size, 3).numpy() for v in ([one.colours for one in some], made)]
    part = path.with_name(f".{path.name}")
    contact_sheet(pictures, ["truth", "canvas"] * (len(pictures) // 2), 4).save(part, "PNG")
    part.replace(path)


def train_road_canvas(data: str | Path, out: str | Path, *, minutes: float | None = None, steps: int | None = None,
                      config: Config | None = None, moments: int = 3, device: str = "cpu", seed: int = 0,
                      precision: str = "fp32", start_from: str | Path | None = None, progress: bool = True
                      ) -> Path | None:
    """Train a canvas on clips of the road with their truth, drawn or not: so many ``moments`` of each are drawn through
    all cameras first (needs mujoco with a working GL), and kept in ``out/stills.npz``. One in 16 of the clips is only
    looked at. Returns the model's path, or None when the run was interrupted; the same command goes on with it. Raises
    what ``train.loop.fit`` does, and BadData."""
    out, clips = Path(out), ClipSet(data)
    out.mkdir(parents=True, exist_ok=True)
    store = out / "stills.npz"
    if not store.exists():
        drawn(clips, moments, progress=progress).save(store)
    stills = Stills.load(store)
    size, numbers = stills.masks.shape[1:], np.unique(stills.clip)
    held = gathered(clips, stills, 0, numbers[::HELD], progress)
    learned = gathered(clips, stills, PIXELS, np.setdiff1d(numbers, numbers[::HELD]) if len(numbers) > 1 else numbers,
                       progress)
    torch.manual_seed(seed)
    model = RoadCanvas(config).to(device)
    result = fit(model, Pixels(learned), loss_fn, out=out, minutes=minutes, steps=steps, lr=8e-3, adam_lr=4e-3,
                 adam=ADAM, ema=0.995, warm_up=30, hold=0.4, seed=seed, precision=precision, start_from=start_from,
                 progress=progress, look_every_minutes=6.0, evaluate=lambda m: canvas_scores(m, held, size),
                 sheet=lambda m, path: canvas_sheet(m, held, size, path.with_suffix(".png")))
    if not result.finished:
        return None
    path = out / "road_canvas.safetensors"
    save_model(path, result.weights, {
        **model.card(), "commit": commit(), "scores": {name: round(v, 3) for name, v in result.scores.items()},
        "data": {"clips": len(clips), "pictures": len(stills.pictures), "size": list(size)},
        "recipe": {"trained_steps": result.step, "trained_seconds": round(result.elapsed)}})
    return path
