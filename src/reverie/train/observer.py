"""Training the judge's eye: frames and truth of drawn clips to an observer's weights, and its scores.

Each step sees pairs of frames from short windows all over the clips, cropped, mirrored and resized, a
part of them worn by JPEG or taken through the tokenizer, so that compression is not mistaken for
something that happened. Colours are what is to be learned, so the light is hardly changed.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.audit.observer import Observer
from reverie.audit.observer_net import Maps, ObserverConfig, ObserverNet, to_input
from reverie.core.runtime import commit
from reverie.data.shards import ClipSet
from reverie.model.checkpoint import save_model
from reverie.model.tokenizer import Tokenizer
from reverie.train.loop import FitResult, fit
from reverie.train.observer_frames import Frames, Variation
from reverie.train.observer_scores import observer_scores
from reverie.train.tokenizer import drawn

ADAM = ("stem", "head")  # what comes in and goes out


@dataclass(frozen=True)
class ObserverRecipe:
    """How an observer is trained. lr: see MuonAdamW. looks: weight of the appearance loss."""

    variation: Variation = field(default_factory=Variation)
    lr: float = 3e-3
    looks: float = 0.1
    ema: float = 0.998
    warm_up: int = 50
    hold: float = 0.4


def loss_fn(recipe: ObserverRecipe):
    """The loss of a batch of Frames, for train.loop.fit."""

    def loss(model: ObserverNet, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
        return observer_loss(model(degraded(to_input(batch["frames"]))), batch, recipe.looks)

    return loss


def observer_loss(maps: Maps, batch: dict[str, Tensor], looks: float = 0.1) -> tuple[Tensor, dict]:
    """Heat maps by the focal loss of CornerNet, boxes by overlap, colours, and appearance by contrast."""
    b, r, c = batch["where"].unbind(1)
    middle = batch["middle"]
    heat, things = batch["heat"], middle.sum().clamp(min=1)
    hit, share = maps.kinds.float(), maps.kinds.float().sigmoid()
    peak = heat == 1
    right = F.logsigmoid(hit) * (1 - share) ** 2
    wrong = F.logsigmoid(-hit) * share**2 * (1 - heat) ** 4
    found = -(torch.where(peak, right, wrong) * batch["weight"]).sum() / things
    edges, true = maps.edges[b, :, r, c], batch["edges"]
    box = (box_loss(edges.exp(), true) + 0.3 * F.smooth_l1_loss(edges, true.log(), reduction="none").mean(1))
    colour = F.cross_entropy(maps.colours[b, :, r, c], batch["colour"], reduction="none")
    look = appearance_loss(maps.looks[b, :, r, c][middle], batch["thing"][middle], batch["look"][middle])
    cells = max(len(b), 1)
    box, colour = box.sum() / cells, colour.sum() / cells
    total = found + 2 * box + colour + looks * look
    return total, {"heat": found.detach(), "box": box.detach(), "colour": colour.detach(),
                   "look": look.detach()}


def box_loss(edges: Tensor, true: Tensor) -> Tensor:
    """1 - intersection over union (P,) of boxes (P, 4) around the same points, given by their edges."""
    common = (torch.minimum(edges, true)[:, :2] + torch.minimum(edges, true)[:, 2:]).prod(1)
    areas = (edges[:, :2] + edges[:, 2:]).prod(1) + (true[:, :2] + true[:, 2:]).prod(1)
    return 1 - common / (areas - common).clamp(min=1e-6)


def appearance_loss(looks: Tensor, thing: Tensor, look: Tensor, heat: float = 0.1) -> Tensor:
    """Contrast: the same thing in another frame is nearer than things that look otherwise."""
    if len(looks) < 2:
        return looks.sum() * 0
    near = looks @ looks.T / heat
    same = (thing[:, None] == thing) & ~torch.eye(len(thing), dtype=torch.bool, device=thing.device)
    other = look[:, None] != look
    same_sum = near.masked_fill(~same, -1e4).logsumexp(1)
    all_sum = near.masked_fill(~(same | other), -1e4).logsumexp(1)
    there = same.any(1)
    return ((all_sum - same_sum) * there).sum() / there.sum().clamp(min=1)


def degraded(frames_BCHW: Tensor) -> Tensor:
    """Frames (-1..1) a little brighter or darker, blurred and noisy, each in its own measure."""
    count, device = len(frames_BCHW), frames_BCHW.device

    def draw(low: float, high: float) -> Tensor:
        return torch.empty(count, 1, 1, 1, device=device).uniform_(low, high)

    x = (frames_BCHW + 1) * draw(0.88, 1.12) - 1 + draw(-0.05, 0.05)
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    x = torch.lerp(x, soft, draw(-0.5, 1).clamp(min=0))
    noise = draw(-0.06, 0.06).clamp(min=0)  # half of the frames stay clean
    return (x + noise * torch.randn_like(x)).clamp(-1, 1)


def train_observer(data: str | Path, out: str | Path, *, tokenizer: str | Path | None = None,
                   minutes: float | None = None, steps: int | None = None, device: str = "cpu",
                   precision: str = "auto", held: str | Path | None = None, progress: bool = True,
                   start_from: str | Path | None = None, config: ObserverConfig | None = None,
                   recipe: ObserverRecipe | None = None, seed: int = 0, memory: int = 2 * 2**30
                   ) -> Path | None:
    """Train an observer on the drawn clips of a folder of shards; the model is ``out/observer.safetensors``.

    tokenizer: a model file; half of the frames are taken through it. held: a folder of shards that is
    only looked at (default: data's own clips of the split "test", or else one in 20, kept out of
    training). The run itself is in ``out`` too, and the same command goes on with it. memory: bytes
    for decoded frames. Returns the model's path, or None when the run was interrupted.
    Raises what ``train.loop.fit`` does, BadWeights for the tokenizer, and BadData.
    """
    recipe, out, clips = recipe or ObserverRecipe(), Path(out), ClipSet(data)
    looked_at = clips if held is None else ClipSet(held)
    train, test = _parted(clips)
    if held is not None:
        train, test = [i for i in drawn(clips) if not _is_test(clips, i)], drawn(looked_at)
    eyes = None if tokenizer is None else Tokenizer.load(tokenizer).to(device).eval()
    frames = Frames(clips, train, recipe.variation, tokenizer=eyes, memory=memory)
    torch.manual_seed(seed)
    model = ObserverNet(config).to(device)
    result = fit(
        model, frames, loss_fn(recipe), out=out, minutes=minutes, steps=steps, lr=recipe.lr, adam=ADAM,
        ema=recipe.ema, warm_up=recipe.warm_up, hold=recipe.hold, seed=seed, precision=precision,
        start_from=start_from, progress=progress,
        evaluate=lambda m: observer_scores(Observer(m), looked_at, test[:40], every=24))
    if not result.finished:
        return None
    path = out / "observer.safetensors"
    _finish(model, frames, result, recipe, looked_at, test, path, minutes, seed)
    return path


def _parted(clips: ClipSet) -> tuple[list[int], list[int]]:
    """Clips to train on, and clips to look at."""
    test = [i for i in drawn(clips) if _is_test(clips, i)]
    train = [i for i in drawn(clips) if i not in set(test)]
    if not test:
        test = [i for i in train if zlib.crc32(clips.keys[i].encode()) % 20 == 0] or train[-1:]
        train = [i for i in train if i not in set(test)] or train
    return train, test


def _is_test(clips: ClipSet, i: int) -> bool:
    return clips.meta(i)["provenance"].get("split", "train") == "test"


def _finish(model: ObserverNet, frames: Frames, result: FitResult, recipe: ObserverRecipe, held: ClipSet,
            test: Sequence[int], path: Path, minutes: float | None, seed: int) -> None:
    """Score what will be loaded, the rounded weights, and write the model."""
    meta = {"kind": "observer", "config": asdict(model.config),
            "recipe": {**asdict(recipe), "tokenizer": frames.tokenizer is not None, "minutes": minutes,
                       "steps": result.step, "seed": seed, "seconds": round(result.elapsed)},
            "data": frames.clips.digest()[:16], "held": held.digest()[:16], "commit": commit()}
    save_model(path, result.weights, meta)
    scores = observer_scores(Observer.load(path, next(model.parameters()).device), held, test)
    meta["scores"] = {name: None if math.isnan(value) else round(value, 4) for name, value in scores.items()}
    save_model(path, result.weights, meta)
