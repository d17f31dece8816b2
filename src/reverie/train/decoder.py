"""Training a tokenizer's decoder to finish what its canvas begins; the latents and the canvas stay as they are.

A step sees windows of true frames in one of three ways: from their latents alone (as images, past video and worlds
without truth are decoded); from a canvas and latents of some noise level; from a canvas alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.model import flow
from reverie.model.canvas import Drawing, Scene
from reverie.model.tokenizer import Tokenizer
from reverie.train.canvas import Drawn
from reverie.train.losses import PooledError, tokenizer_loss
from reverie.train.tokenizer import near

ADAM = ("decoder.stem", "decoder.head", "decoder.shown", "decoder.over", "decoder.levels_in")
F = FRAMES_PER_LATENT


@dataclass(frozen=True)
class DecoderRecipe:
    """windows: in a step; latents: of a window. alone, drawn: shares of steps from latents alone and from the canvas
    alone, the rest from both. noise: as in TokenizerRecipe."""

    windows: int = 12
    latents: int = 2
    alone: float = 0.25
    drawn: float = 0.4
    noise: float = 0.15
    lr: float = 1e-3
    ema: float = 0.995


class Windows:
    """Windows of drawn clips with their canvases, which are drawn once and kept: a pure function of step and random
    state."""

    def __init__(self, drawn: Drawn, tokenizer: Tokenizer, recipe: DecoderRecipe) -> None:
        self.drawn, self.recipe = drawn, recipe
        self.canvas = tokenizer.decoder.canvas
        self._kept: dict[tuple[int, int], np.ndarray] = {}
        ends = np.array([len(tokens) for tokens in drawn.tokens])[drawn.latents[:, 0]]
        self._starts = drawn.latents[drawn.latents[:, 1] + recipe.latents <= ends]

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """frames uint8 (B, T, H, W, 3), shows uint8 (B, T, H, W), way (): 0 latents alone, 1 both, 2 canvas alone;
        drawing uint8 (B N, F, P, 8) where there is one."""
        d, r = self.drawn, self.recipe
        chance = rng.random()
        way = 0 if chance < r.alone else 2 if chance < r.alone + r.drawn else 1
        chosen = self._starts[rng.integers(len(self._starts), size=r.windows)]
        spans = [(i, slice(F * n, F * (n + r.latents))) for i, n in chosen]
        batch = {"frames": np.stack([d.frames[i][span] for i, span in spans]),
                 "shows": np.stack([d.shows[i][span] for i, span in spans]), "way": np.array(way)}
        if way:
            batch["drawing"] = np.stack([self.drawing(i, n + k) for i, n in chosen for k in range(r.latents)])
        return {name: torch.from_numpy(value) for name, value in batch.items()}

    @torch.no_grad()
    def drawing(self, i: int, n: int) -> np.ndarray:
        """The canvas of one latent: uint8 (F, P, 8)."""
        if (i, n) not in self._kept:
            tokens = torch.from_numpy(self.drawn.tokens[i][n : n + 1])
            made = self.canvas(Scene.of(tokens), *self.drawn.size)
            whole = torch.cat([made.things, made.cover, made.back, made.shade], -1)[0]
            self._kept[i, n] = (whole.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        return self._kept[i, n]


def as_drawing(stored: Tensor) -> Drawing:
    """What Windows.drawing stores, in batches, as the Drawing that it is."""
    return Drawing(*(stored.float() / 255).split([3, 1, 3, 1], -1))


def loss_fn(recipe: DecoderRecipe):
    """The loss of a batch of Windows, for train.loop.fit."""

    def loss(model: Tokenizer, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
        frames = batch["frames"].float() / 127.5 - 1
        with torch.no_grad():
            latents, _ = model.encode(frames)
        way, drawing, level = int(batch["way"]), None, 0.0
        if way:
            drawing = as_drawing(batch["drawing"])
            level = torch.ones(latents.shape[:2], device=frames.device)
            if way == 1:
                level = torch.rand(len(latents), 1, device=frames.device).expand_as(level)
            latents = flow.add_noise(latents, torch.randn_like(latents),
                                     level[:, :, None, None].expand(latents.shape[:-1]))
            level = level.flatten()
        else:
            latents = latents + recipe.noise * torch.rand(len(latents), 1, 1, 1, 1, device=frames.device) * (
                torch.randn_like(latents))
        decoded, _ = model.rendered(latents, None, drawing, level)
        value, figures = tokenizer_loss(decoded, frames, batch["shows"])
        return value, {f"{('alone', 'both', 'drawn')[way]}_{name}": v for name, v in figures.items()}

    return loss


@torch.no_grad()
def decoder_scores(tokenizer: Tokenizer, drawn: Drawn, latents: int = 6) -> dict[str, float]:
    """PSNR in dB of the first latents of each clip, from latents alone, half noise and canvas, canvas alone: over all
    pixels, and within 2 pixels of things."""
    pools = {f"{way}_{what}": PooledError() for way in ("alone", "half", "drawn") for what in ("psnr", "things")}
    rng = torch.Generator().manual_seed(0)
    for frames, masks, tokens in zip(drawn.frames, drawn.masks, drawn.tokens, strict=True):
        true = torch.from_numpy(frames[None, : F * latents])
        z, _ = tokenizer.encode(true)
        given = torch.from_numpy(tokens[None, :latents])
        noise = torch.randn(z.shape, generator=rng)
        for way, level in (("alone", 0.0), ("half", 0.5), ("drawn", 1.0)):
            shown = given if way != "alone" else None
            made = tokenizer.decode((1 - level) * z + level * noise, None, shown, level)[0][0]
            seen = true[0].float() / 127.5 - 1
            pools[f"{way}_psnr"].add(made, seen)
            pools[f"{way}_things"].add(made, seen, torch.from_numpy(near(masks[: F * latents] > 0)))
    return {name: pool.psnr for name, pool in pools.items()}
