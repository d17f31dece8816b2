"""Training a canvas: single pixels of drawn clips, told from their true things, camera and setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reverie.core.errors import BadData
from reverie.core.runtime import commit
from reverie.core.vocabulary import FRAMES_PER_LATENT, MAX_THINGS
from reverie.data.shards import ClipSet, has_truth
from reverie.data.sheet import contact_sheet
from reverie.model import things as th
from reverie.model.canvas import Canvas, Scene
from reverie.model.checkpoint import load_model
from reverie.model.tokenizer import Tokenizer
from reverie.train.bodies import taught
from reverie.train.encode import true_tokens
from reverie.train.loop import fit
from reverie.train.losses import PooledError
from reverie.train.tokenizer import drawn as drawn_clips
from reverie.train.tokenizer import kept_out, near, shown

ADAM = ("enter", "condition", "out")
AROUND = 0.6  # share of pixels from where things are; the rest from anywhere
FRINGE = 6  # pixels around a thing that count as where it is: its edge, and much of its shadow


class Drawn:
    """Drawn clips in memory: their pictures, and their truth as tokens.

    Of clip i: frames[i] uint8 (4 T, H, W, 3), masks[i] uint8 (4 T, H, W), shows[i] uint8 (4 T, H, W) as in
    train.losses, tokens[i] float32 (T, MAX_THINGS + 2, WIDTH).
    """

    def __init__(self, clips: ClipSet, chosen: Sequence[int]) -> None:
        self.frames, self.masks, self.shows, self.tokens = [], [], [], []
        for i in chosen:
            meta = clips.meta(i)
            if not meta["drawn"] or not has_truth(meta) or len(meta["truth"]["kinds"]) > MAX_THINGS:
                continue
            clip = clips.clip(i, 0, meta["frames"] // FRAMES_PER_LATENT * FRAMES_PER_LATENT, views=True)
            self.frames.append(next(iter(clip.views.values())))
            self.masks.append(next(iter(clip.truth.masks.values())))
            self.shows.append(shown(clip, next(iter(clip.views))))
            self.tokens.append(true_tokens(clip))
        sizes = {frames.shape[1:3] for frames in self.frames}
        if len(sizes) != 1:
            raise BadData(f"{clips.folder} has no drawn clip with truth, or clips of several sizes: {sizes}")
        self.size = sizes.pop()
        self.latents = np.array([(i, n) for i, tokens in enumerate(self.tokens) for n in range(len(tokens))])


class Pixels:
    """Batches of single pixels: a pure function of step and random state."""

    def __init__(self, drawn: Drawn, latents: int = 48, pixels: int = 256) -> None:
        self.drawn, self.count, self.pixels = drawn, latents, pixels

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """tokens (X, S + 2, WIDTH), pixels (X, F, P) and their colours (X, F, P, 3) uint8 and masks (X, F, P)."""
        d, f = self.drawn, FRAMES_PER_LATENT
        chosen = d.latents[rng.integers(len(d.latents), size=self.count)]
        pixels = np.empty((self.count, f, self.pixels), np.int64)
        colours, shows = np.empty((*pixels.shape, 3), np.uint8), np.empty(pixels.shape, np.uint8)
        for x, (i, n) in enumerate(chosen):
            masks = d.masks[i][f * n : f * n + f].reshape(f, -1)
            there = np.flatnonzero(near(d.masks[i][f * n : f * n + 1] > 0, FRINGE))
            free = rng.integers(masks.shape[1], size=(f, self.pixels))
            pixels[x] = free
            if len(there):
                some = rng.random((f, self.pixels)) < AROUND
                pixels[x][some] = there[rng.integers(len(there), size=int(some.sum()))]
            colours[x] = np.take_along_axis(d.frames[i][f * n : f * n + f].reshape(f, -1, 3), pixels[x][..., None], 1)
            shows[x] = np.take_along_axis(masks, pixels[x], 1)
        tokens = np.stack([d.tokens[i][n] for i, n in chosen])
        used = np.r_[np.flatnonzero((tokens[:, :MAX_THINGS, 0] > 0).any(0)), th.CAMERA_TOKEN, th.SETTING_TOKEN]
        return {name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in
                {"tokens": tokens[:, used], "pixels": pixels, "colours": colours, "shown": shows}.items()}


def loss_fn(size: tuple[int, int]):
    """The loss of a batch of Pixels, for train.loop.fit."""

    def loss(model: Canvas, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
        made = model(Scene.of(batch["tokens"]), *size, batch["pixels"])
        error = 2 * (made.picture - batch["colours"].float() / 255)
        squared = error.square()
        shown = (batch["shown"] > 0).float()
        each = ((squared + 1e-4).sqrt() + 4 * squared).mean(-1)
        figures = {"square": squared.detach().mean(),
                   "square_things": (squared.detach().mean(-1) * shown).sum() / shown.sum().clamp(min=1)}
        return (each * (1 + 2 * shown)).mean(), figures

    return loss


@torch.no_grad()
def canvas_scores(canvas: Canvas, drawn: Drawn, every: int = 6) -> dict[str, float]:
    """PSNR in dB of every so many latents' pictures: over all pixels, and within 2 pixels of things."""
    pools = {"psnr": PooledError(), "psnr_things": PooledError()}
    for i, n in drawn.latents[::every]:
        made = draw(canvas, drawn.tokens[i][n : n + 1], drawn.size)[0]
        part = slice(FRAMES_PER_LATENT * n, FRAMES_PER_LATENT * (n + 1))
        true = torch.from_numpy(drawn.frames[i][part]).float() / 127.5 - 1
        pools["psnr"].add(made, true)
        pools["psnr_things"].add(made, true, torch.from_numpy(near(drawn.masks[i][part] > 0)))
    return {name: pool.psnr for name, pool in pools.items()}


def draw(canvas: Canvas, tokens: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Tokens (X, S + 2, WIDTH) to pictures (X, F, H, W, 3) in [-1, 1]."""
    device = next(canvas.parameters()).device
    picture = canvas(Scene.of(torch.from_numpy(tokens).to(device)), *size).picture
    return (picture.unflatten(2, size).clamp(0, 1) * 2 - 1).cpu()


def train_canvas(data: str | Path, out: str | Path, *, tokenizer: str | Path, minutes: float | None = None,
                 steps: int | None = None, hidden: int = 64, device: str = "cpu", seed: int = 0,
                 precision: str = "auto", progress: bool = True) -> Path | None:
    """Train a canvas of a hidden width on the drawn clips of a folder of shards, and put it into a tokenizer, of which
    all else stays as it is: the whole is ``out/tokenizer.safetensors``.

    One in 20 of the clips is only looked at. tokenizer: a model file; a canvas in it of the same width trains on. The
    run itself (checkpoint, log, sheets) is in ``out`` too, and the same command goes on with it. Returns the model's
    path, or None when the run was interrupted. Raises what ``train.loop.fit`` does, and BadData.
    """
    out, clips, before = Path(out), ClipSet(data), Tokenizer.load(tokenizer)
    drawn, held = parted(clips)
    torch.manual_seed(seed)
    whole = with_canvas(before, hidden)
    taught(whole.canvas)
    result = fit(whole.canvas.to(device), Pixels(drawn), loss_fn(drawn.size), out=out, minutes=minutes, steps=steps,
                 lr=3e-3, adam=ADAM, ema=0.995, warm_up=20, hold=0.4, seed=seed, precision=precision,
                 progress=progress, evaluate=lambda m: canvas_scores(m, held),
                 sheet=lambda m, path: canvas_sheet(m, held, path.with_suffix(".png")))
    if not result.finished:
        return None
    path, meta = out / "tokenizer.safetensors", load_model(tokenizer)[1]
    whole.cpu().save(path, {**meta, "canvas": {
        "commit": commit(), "data": clips.digest()[:16], "minutes": minutes, "steps": result.step,
        "seconds": round(result.elapsed), "scores": {name: round(v, 3) for name, v in result.scores.items()}}})
    return path


def with_canvas(tokenizer: Tokenizer, hidden: int) -> Tokenizer:
    """A tokenizer with a canvas of a hidden width: its own, if it has such a one, or else an untrained one."""
    if tokenizer.config.canvas == hidden:
        return tokenizer
    model = Tokenizer(replace(tokenizer.config, canvas=hidden)).eval()
    fresh = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("canvas.")}
    own = {name: tensor for name, tensor in tokenizer.state_dict().items() if not name.startswith("canvas.")}
    model.load_state_dict({**fresh, **own})
    return model


def parted(clips: ClipSet, held: int = 24) -> tuple[Drawn, Drawn]:
    """The drawn clips to train on, and up to so many of the one in 20 that are only looked at."""
    chosen = drawn_clips(clips)
    test = [i for i in chosen if kept_out(clips.keys[i])] or chosen[-1:]
    return Drawn(clips, [i for i in chosen if i not in set(test)] or chosen), Drawn(clips, test[:held])


@torch.no_grad()
def canvas_sheet(canvas: Canvas, drawn: Drawn, path: Path, rows: int = 8, columns: int = 8) -> None:
    """A contact sheet: for so many clips a row of truth and under it a row of the canvas."""
    pictures = []
    for i in np.linspace(0, len(drawn.frames) - 1, min(rows, len(drawn.frames))).astype(int):
        chosen = np.linspace(0, len(drawn.tokens[i]) - 1, columns).astype(int)
        made = np.stack([draw(canvas, drawn.tokens[i][n : n + 1], drawn.size)[0, 0].numpy() for n in chosen])
        pictures += [drawn.frames[i][FRAMES_PER_LATENT * chosen], ((made + 1) * 127.5).round().astype(np.uint8)]
    part = path.with_name(f".{path.name}")
    contact_sheet(pictures, ["truth", "canvas"] * (len(pictures) // 2), columns).save(part, "PNG")
    part.replace(path)
