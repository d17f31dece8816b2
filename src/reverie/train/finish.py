"""Training what finishes a canvas: drawings of true things to the pictures that they are of.

The canvas stays as it is, and so do the encoder and the decoder: they are for pictures whose things are unknown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reverie.core.runtime import commit
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.shards import ClipSet
from reverie.data.sheet import contact_sheet
from reverie.model.canvas import Drawing, Scene
from reverie.model.checkpoint import content_hash, load_model
from reverie.model.tokenizer import Finish, Tokenizer, from_patches
from reverie.train.canvas import Drawn, parted
from reverie.train.loop import fit
from reverie.train.losses import PooledError, tokenizer_loss
from reverie.train.tokenizer import near

ADAM = ("stem", "head")
F = FRAMES_PER_LATENT
EDGE = 8  # pixels along a part's edges that are not judged: beyond them stands nothing, where the picture goes on


@dataclass(frozen=True)
class FinishRecipe:
    """parts: of pictures, in a step; side: pixels of their sides; around: the share of them that hold some of a thing.
    pool: how many latents there are, whose canvases are drawn once: what follows in the same clip teaches little."""

    parts: int = 32
    side: int = 64
    around: float = 0.8
    pool: int = 1600
    lr: float = 2e-3
    ema: float = 0.997


class Parts:
    """Parts of drawn clips and of their canvases, which are drawn once and kept: a pure function of step and random
    state."""

    def __init__(self, drawn: Drawn, tokenizer: Tokenizer, recipe: FinishRecipe) -> None:
        self.drawn, self.recipe, self.canvas = drawn, recipe, tokenizer.canvas
        self.device = next(tokenizer.parameters()).device
        self._kept: dict[tuple[int, int], np.ndarray] = {}
        self._pool = np.random.default_rng(0).permutation(drawn.latents)[: recipe.pool]

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """frames uint8 (X, F, H, W, 3), shows uint8 (X, F, H, W), drawing uint8 (X, F, H, W, 8) of parts."""
        d, side = self.drawn, self.recipe.side
        batch: dict[str, list] = {"frames": [], "shows": [], "drawing": []}
        for i, n in self._pool[rng.integers(len(self._pool), size=self.recipe.parts)]:
            shows = d.shows[i][F * n : F * n + F]
            top, left = self._corner(shows[0], rng)
            part = np.s_[:, top : top + side, left : left + side]
            batch["frames"].append(d.frames[i][F * n : F * n + F][part])
            batch["shows"].append(shows[part])
            batch["drawing"].append(self.drawing(int(i), int(n))[part])
        return {name: torch.from_numpy(np.stack(values)) for name, values in batch.items()}

    def _corner(self, shows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Row and column where a part begins, mostly so that it holds some of a thing."""
        last, things = np.array(shows.shape) - self.recipe.side, np.argwhere(shows)
        if len(things) and rng.random() < self.recipe.around:
            return np.clip(things[rng.integers(len(things))] - rng.integers(self.recipe.side, size=2), 0, last)
        return rng.integers(last + 1)

    @torch.no_grad()
    def drawing(self, i: int, n: int) -> np.ndarray:
        """The canvas of latent n of clip i: uint8 (F, H, W, 8)."""
        if (i, n) not in self._kept:
            tokens = torch.from_numpy(self.drawn.tokens[i][n : n + 1]).to(self.device)
            made = self.canvas(Scene.of(tokens), *self.drawn.size)
            whole = torch.cat([made.things, made.cover, made.back, made.shade], -1)[0].unflatten(1, self.drawn.size)
            self._kept[i, n] = (whole.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        return self._kept[i, n]


def loss_fn(model: Finish, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
    """The loss of a batch of Parts, for train.loop.fit."""
    drawing = Drawing(*(batch["drawing"].flatten(2, 3).float() / 255).split([3, 1, 3, 1], -1))
    made = from_patches(model(drawing, *batch["drawing"].shape[2:4]).float(), len(batch["frames"]))
    inner = np.s_[:, :, EDGE:-EDGE, EDGE:-EDGE]
    return tokenizer_loss(made[inner], batch["frames"][inner].float() / 127.5 - 1, batch["shows"][inner])


@torch.no_grad()
def finish_scores(tokenizer: Tokenizer, drawn: Drawn, every: int = 8) -> dict[str, float]:
    """PSNR in dB of every so many latents' pictures made from true things: over all pixels, and within 2 pixels of
    things; and how sharp these pictures are (mean brightness gradient, the ratio to truth's)."""
    pools, sharp = {"psnr": PooledError(), "psnr_things": PooledError()}, np.zeros(2)
    for i, n in drawn.latents[::every]:
        made = pictures_of(tokenizer, drawn, i, n)
        part = slice(F * n, F * (n + 1))
        true = torch.from_numpy(drawn.frames[i][part]).float() / 127.5 - 1
        pools["psnr"].add(made, true)
        pools["psnr_things"].add(made, true, torch.from_numpy(near(drawn.masks[i][part] > 0)))
        sharp += [float(v.mean(-1).diff(dim=2).square().mean().sqrt()) for v in (made, true)]
    return {**{name: pool.psnr for name, pool in pools.items()}, "sharpness": sharp[0] / sharp[1]}


@torch.no_grad()
def pictures_of(tokenizer: Tokenizer, drawn: Drawn, i: int, n: int) -> Tensor:
    """Latent n of clip i, drawn from its true things: (F, H, W, 3) in -1..1."""
    config = tokenizer.config
    device = next(tokenizer.parameters()).device
    empty = torch.zeros(1, 1, *(side // config.spatial for side in drawn.size), config.channels, device=device)
    tokens = torch.from_numpy(drawn.tokens[i][None, n : n + 1]).to(device)
    return tokenizer.decode(empty, None, tokens, 1.0)[0][0].cpu()


@torch.no_grad()
def finish_sheet(tokenizer: Tokenizer, drawn: Drawn, path: Path, rows: int = 8, columns: int = 8) -> None:
    """A contact sheet: for so many clips a row of truth, and of what is made of its things."""
    pictures = []
    for i in np.linspace(0, len(drawn.frames) - 1, min(rows, len(drawn.frames))).astype(int):
        chosen = np.linspace(0, len(drawn.tokens[i]) - 1, columns).astype(int)
        made = np.stack([((pictures_of(tokenizer, drawn, i, n)[0] + 1) * 127.5).round().numpy() for n in chosen])
        pictures += [drawn.frames[i][F * chosen], made.astype(np.uint8)]
    part = path.with_name(f".{path.name}")
    contact_sheet(pictures, ["truth", "from things"] * (len(pictures) // 2), columns).save(part, "PNG")
    part.replace(path)


def grown(tokenizer: Tokenizer, canvas: str | Path) -> Tokenizer:
    """A tokenizer with a trained canvas (a file) put into it, and what finishes it untrained where it was not there."""
    tensors, meta = load_model(canvas)
    model = Tokenizer(replace(tokenizer.config, canvas=meta["config"]["hidden"]))
    own = {**model.state_dict(), **tokenizer.state_dict()} if not tokenizer.config.canvas else tokenizer.state_dict()
    model.load_state_dict({**own, **{f"canvas.{name}": tensor for name, tensor in tensors.items()}})
    return model


def train_finish(data: str | Path, out: str | Path, *, tokenizer: str | Path, canvas: str | Path,
                 minutes: float | None = None, steps: int | None = None, recipe: FinishRecipe | None = None,
                 device: str = "cpu", seed: int = 0, precision: str = "auto", progress: bool = True) -> Path | None:
    """Put a canvas into a tokenizer and train what finishes it: the whole is ``out/tokenizer.safetensors``.

    tokenizer, canvas: model files; a tokenizer that has a canvas already gets the new one and trains on. Encoder and
    decoder stay as they are. Else as train_canvas.
    """
    recipe, out, clips = recipe or FinishRecipe(), Path(out), ClipSet(data)
    drawn, held = parted(clips)
    torch.manual_seed(seed)
    whole = grown(Tokenizer.load(tokenizer), canvas).to(device).eval()
    result = fit(whole.finish, Parts(drawn, whole, recipe), loss_fn, out=out, minutes=minutes, steps=steps,
                 lr=recipe.lr, adam=ADAM, ema=recipe.ema, warm_up=20, hold=0.4, seed=seed, precision=precision,
                 progress=progress, evaluate=lambda m: finish_scores(whole, held),
                 sheet=lambda m, path: finish_sheet(whole, held, path.with_suffix(".png")))
    if not result.finished:
        return None
    path = out / "tokenizer.safetensors"
    whole.save(path, {
        "recipe": {**asdict(recipe), "minutes": minutes, "steps": result.step, "seconds": round(result.elapsed)},
        "began": {"tokenizer": content_hash(tokenizer), "canvas": load_model(canvas)[1]}, "commit": commit(),
        "data": clips.digest()[:16], "scores": {name: round(value, 3) for name, value in result.scores.items()}})
    return path
