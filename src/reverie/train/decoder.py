"""Training a tokenizer's decoder to finish what its canvas begins; the latents and the canvas stay as they are.

A step sees windows of true frames in one of three ways: from their latents alone (as images, past video and worlds
without truth are decoded); from a canvas and latents of some noise level; from a canvas alone.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reverie.core.runtime import commit
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.shards import ClipSet
from reverie.data.sheet import contact_sheet
from reverie.model import flow
from reverie.model.canvas import Drawing, Scene
from reverie.model.checkpoint import content_hash, load_model
from reverie.model.tokenizer import Tokenizer
from reverie.train.canvas import Drawn, parted
from reverie.train.loop import fit
from reverie.train.losses import PooledError, tokenizer_loss
from reverie.train.tokenizer import near

ADAM = ("decoder.stem", "decoder.head", "decoder.shown", "decoder.over", "decoder.levels_in")
F = FRAMES_PER_LATENT
EDGE = 8  # pixels along a part's edges that are not judged


@dataclass(frozen=True)
class DecoderRecipe:
    """windows: in a step; latents: of a window; cells: latent cells along each side of the part of a picture that is
    seen, around things in ``around`` of them. pool: how many windows there are, whose canvases are drawn once: what
    follows in the same clip teaches little. alone, drawn: shares of steps from latents alone and from the canvas
    alone, the rest from both. noise: as in TokenizerRecipe."""

    windows: int = 24
    latents: int = 2
    cells: int = 4
    around: float = 0.8
    pool: int = 800
    alone: float = 0.25
    drawn: float = 0.4
    noise: float = 0.15
    lr: float = 1e-3
    ema: float = 0.995


class Windows:
    """Parts of drawn clips with their latents and canvases, which are made once and kept: a pure function of step and
    random state."""

    def __init__(self, drawn: Drawn, tokenizer: Tokenizer, recipe: DecoderRecipe) -> None:
        self.drawn, self.recipe = drawn, recipe
        self.tokenizer = copy.deepcopy(tokenizer).eval()
        self.device = next(tokenizer.parameters()).device
        self._drawings: dict[tuple[int, int], np.ndarray] = {}
        self._latents: dict[tuple[int, int], np.ndarray] = {}
        ends = np.array([len(tokens) for tokens in drawn.tokens])[drawn.latents[:, 0]]
        starts = drawn.latents[drawn.latents[:, 1] + recipe.latents <= ends]
        self._starts = np.random.default_rng(0).permutation(starts)[: recipe.pool]

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """frames uint8 (B, T, H, W, 3), shows uint8 (B, T, H, W), latents float16 (B, N, h, w, C), way (): 0 latents
        alone, 1 both, 2 canvas alone; drawing uint8 (B N, F, P, 8) where there is one. H and W are those of a part."""
        d, r, side = self.drawn, self.recipe, self.tokenizer.config.spatial
        chance = rng.random()
        way = 0 if chance < r.alone else 2 if chance < r.alone + r.drawn else 1
        batch: dict[str, list] = {"frames": [], "shows": [], "latents": [], "drawing": []}
        for i, n in self._starts[rng.integers(len(self._starts), size=r.windows)]:
            shows = d.shows[i][F * n : F * (n + r.latents)]
            top, left = self._corner(shows[0], rng)
            cells = np.s_[:, top : top + r.cells, left : left + r.cells]
            pixels = np.s_[:, side * top : side * (top + r.cells), side * left : side * (left + r.cells)]
            batch["frames"].append(d.frames[i][F * n : F * (n + r.latents)][pixels])
            batch["shows"].append(shows[pixels])
            batch["latents"].append(self.latents(i, n)[cells])
            if way:
                batch["drawing"] += [self.drawing(i, n + k)[pixels].reshape(F, -1, 8) for k in range(r.latents)]
        out = {name: torch.from_numpy(np.stack(values)) for name, values in batch.items() if values}
        return {**out, "way": torch.tensor(way)}

    def _corner(self, shows: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
        """Row and column of the latent cell where a part begins, mostly so that it holds some of a thing."""
        side, r = self.tokenizer.config.spatial, self.recipe
        last = np.maximum(np.array(shows.shape) // side - r.cells, 0)
        things = np.argwhere(shows)
        if len(things) and rng.random() < r.around:
            aim = things[rng.integers(len(things))] // side - rng.integers(r.cells, size=2)
            return tuple(np.clip(aim, 0, last))
        return tuple(rng.integers(last + 1))

    @torch.no_grad()
    def latents(self, i: int, n: int) -> np.ndarray:
        """The latents of clip i from n on, encoded as they are decoded, as if the clip began there: (N, h, w, C)."""
        if (i, n) not in self._latents:
            count = self.recipe.latents
            frames = torch.from_numpy(self.drawn.frames[i][None, F * n : F * (n + count)]).to(self.device)
            self._latents[i, n] = self.tokenizer.encode(frames)[0][0].half().cpu().numpy()
        return self._latents[i, n]

    @torch.no_grad()
    def drawing(self, i: int, n: int) -> np.ndarray:
        """The canvas of one latent: uint8 (F, H, W, 8)."""
        if (i, n) not in self._drawings:
            tokens = torch.from_numpy(self.drawn.tokens[i][n : n + 1]).to(self.device)
            made = self.tokenizer.decoder.canvas(Scene.of(tokens), *self.drawn.size)
            whole = torch.cat([made.things, made.cover, made.back, made.shade], -1)[0].unflatten(1, self.drawn.size)
            self._drawings[i, n] = (whole.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        return self._drawings[i, n]


def as_drawing(stored: Tensor) -> Drawing:
    """What Windows.drawing stores, in batches, as the Drawing that it is."""
    return Drawing(*(stored.float() / 255).split([3, 1, 3, 1], -1))


def loss_fn(recipe: DecoderRecipe):
    """The loss of a batch of Windows, for train.loop.fit."""

    def loss(model: Tokenizer, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
        frames = batch["frames"].float() / 127.5 - 1
        latents = batch["latents"].float()
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
        inner = np.s_[:, :, EDGE:-EDGE, EDGE:-EDGE]  # beyond a part's edge stands nothing, where the picture goes on
        value, figures = tokenizer_loss(decoded[inner], frames[inner], batch["shows"][inner])
        return value, {f"{('alone', 'both', 'drawn')[way]}_{name}": v for name, v in figures.items()}

    return loss


@torch.no_grad()
def decoder_scores(tokenizer: Tokenizer, drawn: Drawn, latents: int = 6) -> dict[str, float]:
    """PSNR in dB of the first latents of each clip, from latents alone, half noise and canvas, canvas alone: over all
    pixels, and within 2 pixels of things."""
    pools = {f"{way}_{what}": PooledError() for way in ("alone", "half", "drawn") for what in ("psnr", "things")}
    rng, device = torch.Generator().manual_seed(0), next(tokenizer.parameters()).device
    for frames, masks, tokens in zip(drawn.frames, drawn.masks, drawn.tokens, strict=True):
        true = torch.from_numpy(frames[None, : F * latents])
        z, _ = tokenizer.encode(true.to(device))
        given = torch.from_numpy(tokens[None, :latents]).to(device)
        noise = torch.randn(z.shape, generator=rng).to(device)
        for way, level in (("alone", 0.0), ("half", 0.5), ("drawn", 1.0)):
            shown = given if way != "alone" else None
            made = tokenizer.decode((1 - level) * z + level * noise, None, shown, level)[0][0].cpu()
            seen = true[0].float() / 127.5 - 1
            pools[f"{way}_psnr"].add(made, seen)
            pools[f"{way}_things"].add(made, seen, torch.from_numpy(near(masks[: F * latents] > 0)))
    return {name: pool.psnr for name, pool in pools.items()}


@torch.no_grad()
def decoder_sheet(tokenizer: Tokenizer, drawn: Drawn, path: Path, rows: int = 6, columns: int = 8) -> None:
    """A contact sheet: for so many clips a row of truth, of what its latents alone give, and of what its things
    alone give."""
    device, pictures = next(tokenizer.parameters()).device, []
    for i in np.linspace(0, len(drawn.frames) - 1, min(rows, len(drawn.frames))).astype(int):
        n = min(columns, len(drawn.tokens[i]))
        true = drawn.frames[i][: F * n]
        z, _ = tokenizer.encode(torch.from_numpy(true[None]).to(device))
        tokens = torch.from_numpy(drawn.tokens[i][None, :n]).to(device)
        made = (tokenizer.decode(z)[0], tokenizer.decode(z, None, tokens, 1.0)[0])
        pictures += [true, *(((m[0] + 1) * 127.5).round().to(torch.uint8).cpu().numpy() for m in made)]
    part = path.with_name(f".{path.name}")
    contact_sheet(pictures, ["truth", "latents", "things"] * (len(pictures) // 3), columns).save(part, "PNG")
    part.replace(path)


def grown(tokenizer: Tokenizer, canvas: str | Path) -> Tokenizer:
    """A tokenizer with a trained canvas (a file) put into its decoder, which does not heed it yet."""
    tensors, meta = load_model(canvas)
    model = Tokenizer(replace(tokenizer.config, canvas=meta["config"]["hidden"]))
    own = tokenizer.state_dict()
    if not tokenizer.config.canvas:
        own = {**model.state_dict(), **own}
    model.load_state_dict({**own, **{f"decoder.canvas.{name}": tensor for name, tensor in tensors.items()}})
    return model


def train_decoder(data: str | Path, out: str | Path, *, tokenizer: str | Path, canvas: str | Path,
                  minutes: float | None = None, steps: int | None = None, recipe: DecoderRecipe | None = None,
                  device: str = "cpu", seed: int = 0, precision: str = "auto", progress: bool = True) -> Path | None:
    """Put a canvas into a tokenizer's decoder and train the two to go together: ``out/tokenizer.safetensors``.

    tokenizer, canvas: model files; a tokenizer that has a canvas already trains on with the new one. Latents stay
    what they are. Else as train_canvas.
    """
    recipe, out, clips = recipe or DecoderRecipe(), Path(out), ClipSet(data)
    drawn, held = parted(clips, 16)
    torch.manual_seed(seed)
    model = grown(Tokenizer.load(tokenizer), canvas).to(device)
    model.fix_latents()
    model.fix_canvas()
    result = fit(model, Windows(drawn, model, recipe), loss_fn(recipe), out=out, minutes=minutes, steps=steps,
                 lr=recipe.lr, adam=ADAM, ema=recipe.ema, warm_up=20, hold=0.4, seed=seed, precision=precision,
                 progress=progress, evaluate=lambda m: decoder_scores(m, held),
                 sheet=lambda m, path: decoder_sheet(m, held, path.with_suffix(".png")))
    if not result.finished:
        return None
    path = out / "tokenizer.safetensors"
    model.save(path, {
        "recipe": {**asdict(recipe), "minutes": minutes, "steps": result.step, "seconds": round(result.elapsed)},
        "began": {"tokenizer": content_hash(tokenizer), "canvas": load_model(canvas)[1]}, "commit": commit(),
        "data": clips.digest()[:16], "scores": {name: round(value, 3) for name, value in result.scores.items()}})
    return path
