"""A recorded log to train on: its clips as latents with the log's own actions, windows of them, and the loss. A video
of which nothing else was recorded is a log without actions.

There is no truth in a log, so that nothing is learned of things: views are painted from the views before and from what
the driver did, and that alone. A rollout paints from its own pictures, which are not quite right; in training the past
is therefore as noisy as chance has it, and a rollout says how much it doubts its own.

Legend: B batch, T latent frames, F frames of a latent, H W cells, C latent channels, A actions.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from reverie.core import runtime
from reverie.core.actions import Action, by_name, scaled
from reverie.core.errors import BadData, BadInput
from reverie.core.progress import track
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.shards import ClipSet, split_of
from reverie.model import flow
from reverie.model import things as th
from reverie.model.checkpoint import load_model, save_model
from reverie.model.tokenizer import Tokenizer
from reverie.model.transformer import Config, Transformer
from reverie.model.window import Window
from reverie.train.encode import Bank, Item, latents_of, load_bank, save_bank
from reverie.train.loop import fit
from reverie.train.transformer import ADAM

if TYPE_CHECKING:
    from reverie.train.recipes import Recipe

F = FRAMES_PER_LATENT
TAIL = 1.25  # times the largest number seen in training, up to which an action without a range of its own may go
FREE = 0.15  # share of windows whose actions are unknown
GIVEN = 0.5  # share of windows that begin with a true past, as a dream does
PAINTED = 0.5  # share of latents that are painted; the others are the past of these
FROM_NOTHING = 0.6  # of these: pure noise, as painting begins
DOUBT = 0.7  # most noise of a past that was painted
HELD_OUT = 24  # windows by which the loss on what was held out is measured
STAGES = ("tokenizer", "latents", "transformer")


@dataclass(frozen=True)
class LogPlan:
    """How a model is finetuned on a log. latents: of a window, ``batch`` of them a step; window: latents that a view
    sees; pixels: of a tokenizer's step; share: of the minutes, for the tokenizer; steps, doubt, lean: see Sampling.
    side: the pictures' short side, where a raw log is taken in. phases: frames at which a clip's first latent begins:
    more than one make a short log longer."""

    latents: int = 9
    batch: int = 4
    window: int = 6
    pixels: int = 32 * 64 * 128
    share: float = 0.25
    lr: float = 2e-3
    ema: float = 0.995
    steps: int = 2
    doubt: float = 0.3
    lean: float = 3.0
    side: int = 64
    phases: tuple[int, ...] = (0,)


def is_log(data: str | Path) -> bool:
    """Whether a folder of shards holds what was recorded, with channels of actions or without: clips of no simulated
    world."""
    path = Path(data)
    if not path.exists() or not (path.is_file() or any(path.rglob("*.tar"))):
        return False
    clips = ClipSet(path, skip_damaged=True)
    metas = [clips.meta(i) for i in {0, len(clips) - 1}]
    return all(meta.get("provenance", {}).get("world") == "recorded" for meta in metas)


def log_actions(clips: ClipSet) -> tuple[Action, ...]:
    """The actions of a log, from the channels of its first clip; ranges that these do not say, and scales, from the
    numbers of its training split. None for a video alone. Raises BadData where channels have no numbers."""
    channels = clips.meta(0).get("channels") or ()
    seen = []
    for i in range(len(clips)):
        if split_of(clips.meta(i)) == "train":
            clip = clips.clip(i, views=False)
            seen.append(by_name(clip.actions, clip.action_names, [Action(c["name"], "", 0, 0, 1) for c in channels],
                                clips.meta(i)["frames"]))
    if not seen:
        raise BadData(f"{clips.folder}: all of its clips are held out, and nothing is left to train on")
    values = np.concatenate(seen)
    found = []
    for c, channel in enumerate(channels):
        own = values[np.isfinite(values[:, c]), c].astype(float)
        if not len(own):
            continue
        low, high = (channel[side] for side in ("low", "high"))
        rms = math.sqrt(float(np.square(own).mean()))
        found.append(Action(channel["name"], channel["unit"],
                            round(float(min(TAIL * own.min(), 0.0)), 4) if low is None else low,
                            round(float(max(TAIL * own.max(), 0.0)), 4) if high is None else high,
                            float(f"{2 * rms:.3g}") if rms > 1e-6 else 1.0, bool(channel["measured"])))
    if channels and not found:
        raise BadData(f"{clips.folder}: no row of it has a number for any action")
    return tuple(found)


def encode_log(clips: ClipSet, tokenizer: Tokenizer, actions: Sequence[Action], *, split: str, device: str = "cpu",
               phases: Sequence[int] = (0,), tell: Callable[[], object] = lambda: None) -> Bank:
    """The clips of a split, seen by the camera that looks ahead, as latents with their actions."""
    bank, half = Bank(digest=clips.digest()), runtime.bf16_pays(torch.device(device))
    for i in range(len(clips)):
        if split_of(clips.meta(i)) != split:
            continue
        clip = clips.clip(i, masks=False)
        view = next(iter(clip.views.values()))
        told = by_name(clip.actions, clip.action_names, actions, clip.frames)
        for phase in phases:
            count = (len(view) - phase) // F
            if count < 1:
                continue
            part = slice(phase, phase + count * F)
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
                latents = latents_of(tokenizer, view[part], device)
            empty = np.zeros((count, 0, th.WIDTH), np.float16)
            bank.items.append(Item(f"{clips.keys[i]}+{phase}", clip.fps, empty, np.zeros((count, 0), np.float16),
                                   np.zeros(0, np.float16), scaled(told[part], actions).astype(np.float16), [],
                                   latents, seen=False))
        tell()
    return bank


class LogWindows:
    """Windows of ``latents`` latents, ``batch`` at a time: a pure function of step and random state."""

    def __init__(self, bank: Bank, actions: Sequence[Action], latents: int, batch: int, past: int) -> None:
        self.latents, self.batch, self.past = latents, batch, past
        self.measured = np.tile(np.array([action.measured for action in actions], bool), F)
        self.items = [item for item in bank.drawn if len(item) >= latents]
        if not self.items:
            raise BadData(f"no unbroken stretch of this log is as long as a window of {latents} latents "
                          f"({latents * F} frames)")
        self.odds = np.cumsum([len(item) - latents + 1 for item in self.items], dtype=float)

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """views (B, T, H, W, C), actions (B, T, F A), fps (B,), and given (B,): how many latents begin it, known."""
        out: dict[str, list] = {"views": [], "actions": [], "fps": [], "given": []}
        size = None
        while len(out["fps"]) < self.batch:
            item = self.items[int(np.searchsorted(self.odds, rng.random() * self.odds[-1], side="right"))]
            if size not in (None, item.latents.shape[1:]):
                continue
            size = item.latents.shape[1:]
            start = int(rng.integers(len(item) - self.latents + 1))
            part = slice(start, start + self.latents)
            given = int(rng.integers(1, self.past + 1)) if rng.random() < GIVEN else 0
            told = item.actions[part].astype(np.float32)
            told[given or int(rng.integers(self.past + 1)) :, self.measured] = np.nan
            out["views"].append(item.latents[part].astype(np.float32))
            out["actions"].append(told if rng.random() >= FREE else np.full_like(told, np.nan))
            out["fps"].append(np.float32(item.fps))
            out["given"].append(given)
        return {name: torch.from_numpy(np.stack(value)) for name, value in out.items()}


def log_loss(model: Transformer, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch of LogWindows, and its parts. Noise comes from torch's global generator."""
    views = batch["views"]
    b, t = views.shape[:2]
    chance = torch.Generator().manual_seed(int(torch.randint(2**31, ()).item()))

    def drawn(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=chance)

    past = DOUBT * drawn(b, 1) * (0.8 + 0.2 * drawn(b, t))
    level = torch.where(drawn(b, t) < FROM_NOTHING, 1.0, drawn(b, t))
    level = torch.where(drawn(b, t) < PAINTED, level, past).to(views.device)
    index = torch.arange(t, device=views.device).expand(b, t)
    known = index < batch["given"][:, None]
    level = torch.where(known, 0.0, level)
    noisy = flow.add_noise(views, torch.randn_like(views), level[:, :, None, None].expand(views.shape[:-1]))
    out = model(Window(index=index, fps=batch["fps"], line=torch.full_like(index, -1),
                       since=torch.zeros_like(level), actions=batch["actions"], views=noisy, views_noise=level,
                       views_known=known), model.no_words(b))
    error = (out.views.float() - views).square().mean((2, 3, 4))
    counted = (~known).float()
    loss = (error * level / (level + 0.2) * counted).sum() / counted.sum().clamp(min=1)
    first = (level > 0.99).float() * counted
    return loss, {"from_nothing": ((error * first).sum() / first.sum().clamp(min=1)).detach()}


@torch.no_grad()
def held_out_loss(model: Transformer, windows: LogWindows) -> dict[str, float]:
    """The loss of windows that were never trained on, always the same ones with the same noise."""
    device, sums, count = model.marks.device, {}, max(1, HELD_OUT // windows.batch)
    state = torch.get_rng_state()
    for n in range(count):
        batch = windows(n, np.random.default_rng([7, n]))
        torch.manual_seed(n)
        loss, parts = log_loss(model, {name: value.to(device) for name, value in batch.items()})
        for name, value in {"held_out_loss": loss, **{f"held_out_{k}": v for k, v in parts.items()}}.items():
            sums[name] = sums.get(name, 0.0) + float(value) / count
    torch.set_rng_state(state)
    return sums


# -- the stages ---------------------------------------------------------------------------------------------


def train_log(plan: Recipe, name: str, *, data: Path, out: Path, start_from: Path | None, minutes: float | None = None,
              stage: str = "all", device: str = "cpu", progress: bool = True) -> Path | None:
    """Finetune a model on a folder of shards of a log; returns the folder of the finished one, None when interrupted.

    What paints is trained, with the log's actions; what imagines things is left out, for a log has no truth. Every
    stage goes on where it was stopped. Raises BadInput for a stage that a log does not have or without ``start_from``,
    BadData for a log too short or whose channels have no numbers, BadWeights.
    """
    if stage not in (*STAGES, "all"):
        raise BadInput(f"{data} is a log, and the stage {stage} needs the truth of a simulated world: a log has "
                       f"{', '.join(STAGES)}")
    if start_from is None or not start_from.is_dir():
        raise BadInput(f"{data} is a log, and training on it begins from a model: give --from base, or a folder")
    run = _LogRun(plan, name, data, out, start_from, device, progress)
    budget = minutes or plan.minutes
    if stage in ("tokenizer", "all") and not run.tokenizer(budget if stage != "all" else plan.log.share * budget):
        return None
    if stage == "tokenizer":
        return run.gather()
    run.latents()
    if stage != "latents" and not run.transformer(budget if stage != "all" else (1 - plan.log.share) * budget):
        return None
    return run.gather()


@dataclass
class _LogRun:
    plan: Recipe
    name: str
    data: Path
    out: Path
    start_from: Path
    device: str
    progress: bool

    def file(self, name: str) -> Path:
        """Weights as this run made them, or else those it begins from."""
        own = self.out / name / f"{name}.safetensors"
        return own if own.exists() else self.start_from / own.name

    def budget(self, minutes: float) -> dict:
        """What ``fit`` is given."""
        return {"steps": self.plan.steps} if self.plan.steps else {"minutes": minutes}

    def tokenizer(self, minutes: float) -> bool:
        """Finetune the tokenizer on the log's pictures; True when it is finished."""
        from reverie.train.tokenizer import TokenizerRecipe, train_tokenizer

        if (self.out / "tokenizer" / "tokenizer.safetensors").exists():
            return True
        made = train_tokenizer(self.data, self.out / "tokenizer", recipe=TokenizerRecipe(pixels=self.plan.log.pixels),
                               start_from=self.start_from / "tokenizer.safetensors", device=self.device,
                               precision=self.plan.precision, progress=self.progress, **self.budget(minutes))
        return made is not None

    def latents(self) -> None:
        """Encode what is trained on, and what is held out, into two banks."""
        clips = ClipSet(self.data)
        actions = log_actions(clips)
        tokenizer = Tokenizer.load(self.file("tokenizer")).to(self.device).eval()
        for split in ("train", "test"):
            path = self.out / f"{split}.npz"
            if not path.exists():
                with track(None, f"encoding clips to {split}", quiet=not self.progress) as bar:
                    bank = encode_log(clips, tokenizer, actions, split=split, device=self.device, tell=bar.advance,
                                      phases=self.plan.log.phases if split == "train" else (0,))
                save_bank(bank, path)

    def transformer(self, minutes: float) -> bool:
        """Finetune what paints, with the log's actions; True when it is finished."""
        plan, folder = self.plan.log, self.out / "transformer"
        path = folder / "transformer.safetensors"
        if path.exists():
            return True
        clips = ClipSet(self.data)
        actions, bank, held = log_actions(clips), load_bank(self.out / "train.npz"), load_bank(self.out / "test.npz")
        windows = LogWindows(bank, actions, plan.latents, plan.batch, plan.window)
        unseen = (LogWindows(held, actions, plan.latents, min(plan.batch, HELD_OUT), plan.window)
                  if any(len(item) >= plan.latents for item in held.drawn) else None)
        tensors, meta = load_model(self.start_from / path.name)
        config = Config(**{**meta["config"], "drive": actions, "views_window": plan.window, "stride": 0})
        torch.manual_seed(0)
        model = Transformer(config).to(self.device)
        own = model.state_dict()
        for name in [name for name, tensor in tensors.items() if tensor.shape != own[name].shape]:
            tensors[name] = own[name]  # what reads the actions, of which there are others now, begins anew
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in painting_parameters(model))
        result = fit(model, windows, log_loss, out=folder, lr=plan.lr, adam=ADAM, ema=plan.ema, hold=0.5,
                     precision=self.plan.precision, start_from=tensors, progress=self.progress,
                     evaluate=None if unseen is None else lambda model: held_out_loss(model, unseen),
                     **self.budget(minutes))
        if result.finished:
            first = clips.meta(0)
            save_model(path, result.weights, {
                "kind": "transformer", "config": config.to_dict(), "size": list(first["size"]),
                "fps": float(np.median([item.fps for item in bank.items for _ in range(len(item))])),
                "recipe": {"name": self.name, **asdict(plan), "trained_steps": result.step,
                           "trained_seconds": round(result.elapsed)},
                "data": {"digest": bank.digest[:16], "clips": len(bank.items), "log": first["provenance"]["format"],
                         "hours": round(sum(len(i) * F / i.fps for i in bank.items) / len(plan.phases) / 3600, 2)},
                "commit": runtime.commit(), "scores": result.scores, "words": [],
                "sampling": {"steps": plan.steps, "doubt": plan.doubt, "lean": plan.lean}})
        return result.finished

    def gather(self) -> Path:
        """Copy what is finished into out/model, which --model takes."""
        folder = self.out / "model"
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("tokenizer", "transformer"):
            own = self.file(name)
            for file in own.parent.glob(f"{name}*.safetensors"):
                shutil.copyfile(file, folder / file.name)
        return folder


def painting_parameters(model: Transformer) -> set[str]:
    """The names of what paints views of a log: what reads its actions too, and nothing that looks at things."""
    names = {*model.views_parameters(), "actions_in.weight", "actions_in.bias", "marks"}
    return {name for name in names if not name.startswith("sketch.") and ".text." not in name}
