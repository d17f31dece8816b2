"""Training a tokenizer, from drawn clips to a model file, and measuring one.

The recipe: windows of 8 to 16 frames from anywhere in the drawn clips, whole frames, some of them held
still (an image is four equal frames); the loss weighs what moves; latents are decoded with noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reverie.core.clip import Clip, Truth
from reverie.core.errors import BadData, BadInput
from reverie.core.runtime import commit
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.shards import ClipSet, split_of
from reverie.model.block import picture
from reverie.model.checkpoint import load_model
from reverie.model.tokenizer import PRESETS, Tokenizer, TokenizerConfig
from reverie.train.loop import AGAIN, FitResult, fit
from reverie.train.losses import MOVING, THING, WEIGHTS, PooledError, tokenizer_loss

MOVING_SPEED = 0.05  # m/s, above which a thing counts as moving
NEAR = 2  # pixels around a moving thing's mask that count as its own
BANDS = {"12_16": (12, 16), "16_32": (16, 32), "over_32": (32, math.inf)}  # pixels: low <= width < high
LENGTHS = (8, 12, 16)  # frames of a training window
STILL = 0.05  # share of windows that show one frame, held
EVENTFUL = 0.85  # share of windows chosen around a frame in which something moves: most of a clip is at rest
ADAM = ("encoder.stem", "encoder.head", "decoder.stem", "decoder.head")  # what comes in and goes out


@dataclass(frozen=True)
class TokenizerRecipe:
    """How a tokenizer is trained.

    pixels: per step, frames times height times width. lr: see MuonAdamW. noise: greatest deviation of
    what is added to latents of unit scale before they are decoded; each window draws its own below it.
    """

    pixels: int = 96 * 128 * 128
    lr: float = 1.2e-3
    noise: float = 0.15
    weights: tuple[float, float, float] = WEIGHTS
    square: float = 8.0
    edge: float = 0.5
    ema: float = 0.998
    warm_up: int = 50
    hold: float = 0.3


class Windows:
    """Random windows of drawn clips as training batches: a pure function of step and random state.

    clips: a ClipSet; chosen: the numbers of the clips to draw from; memory: bytes of decoded frames to
    keep, so that a clip is decoded once instead of for each window.
    """

    def __init__(self, clips: ClipSet, chosen: Sequence[int], recipe: TokenizerRecipe,
                 memory: int = 4 * 2**30) -> None:
        self.clips, self.recipe, self.memory = clips, recipe, memory
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        sizes: dict[tuple[int, int], list[tuple[int, int]]] = {}
        total = 0
        for i in chosen:
            meta = clips.meta(i)
            if meta["frames"] >= LENGTHS[0]:
                height, width = meta["size"]
                sizes.setdefault((height, width), []).append((i, meta["frames"]))
                total += meta["frames"] * height * width * 4
        if not sizes:
            raise BadData(f"no drawn clip of {LENGTHS[0]} frames in {clips.folder}; "
                          "make some with: reverie data make lab")
        # Where all cannot be kept, a clip is thrown out before it is drawn again: then read windows only.
        self._whole = total <= memory
        self._sizes = sorted(sizes)
        self._members = [np.array(sizes[size]) for size in self._sizes]
        frames = np.array([members[:, 1].sum() for members in self._members], float)
        self._shares = frames / frames.sum()
        # Per size, each frame in which something in the picture moves, as (row of members, frame), and how much does.
        self._eventful = []
        for members in self._members:
            found = [eventful_frames(clips, row, int(i)) for row, i in enumerate(members[:, 0])]
            moving = np.concatenate([pixels for _, pixels in found])
            self._eventful.append((np.concatenate([frames for frames, _ in found]), moving.cumsum()))

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """frames uint8 (B, T, H, W, 3) and what their pixels show (see losses) uint8 (B, T, H, W)."""
        group = int(rng.choice(len(self._sizes), p=self._shares))
        (height, width), members, (eventful, moving) = self._sizes[group], self._members[group], self._eventful[group]
        # All windows of a batch are of one length, which the shortest clips may not have.
        length = min(int(rng.choice(LENGTHS)), int(members[:, 1].min()) // FRAMES_PER_LATENT * FRAMES_PER_LATENT)
        count = max(1, round(self.recipe.pixels / (length * height * width)))
        frames = np.empty((count, length, height, width, 3), np.uint8)
        shows = np.empty((count, length, height, width), np.uint8)
        shares = members[:, 1] / members[:, 1].sum()
        for b in range(count):
            if len(eventful) and rng.random() < EVENTFUL:
                row, frame = eventful[np.searchsorted(moving, rng.random() * moving[-1], side="right")]
                i, long = members[row]
                start = int(np.clip(frame - rng.integers(length), 0, long - length))
            else:
                i, long = members[rng.choice(len(members), p=shares)]
                start = int(rng.integers(long - length + 1))
            frames[b], shows[b] = self._window(int(i), start, start + length)
            if rng.random() < 0.5:
                frames[b], shows[b] = frames[b, :, :, ::-1].copy(), shows[b, :, :, ::-1].copy()
            if rng.random() < STILL:
                frames[b], shows[b] = frames[b, :1], np.minimum(shows[b, :1], THING)
        return {"frames": torch.from_numpy(frames), "shows": torch.from_numpy(shows)}

    def _window(self, i: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        if not self._whole:
            return read_window(self.clips, i, start, stop)
        if i not in self._kept:
            self._kept[i] = read_window(self.clips, i, 0, None)
        frames, shows = self._kept[i]
        return frames[start:stop], shows[start:stop]


def read_window(clips: ClipSet, i: int, start: int, stop: int | None) -> tuple[np.ndarray, np.ndarray]:
    """uint8 frames (T, H, W, 3) of a clip's first camera, and uint8 (T, H, W): what each pixel shows.

    THING and MOVING reach NEAR pixels beyond their masks.
    """
    clip = clips.clip(i, start, stop, views=True)
    name = next(iter(clip.views))
    frames = clip.views[name]
    if clip.truth is None or name not in clip.truth.masks:
        return frames, np.zeros(frames.shape[:3], np.uint8)  # a recorded clip: nobody knows
    return frames, shown(clip, name)


def shown(clip: Clip, name: str) -> np.ndarray:
    """uint8 (T, H, W): what each pixel of a camera shows, see read_window."""
    shows = near(clip.truth.masks[name] > 0).astype(np.uint8) * THING
    shows[near(moving_pixels(clip.truth, name))] = MOVING
    return shows


def eventful_frames(clips: ClipSet, row: int, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each frame of clip i in which a thing in the picture moves: ``row`` and its number (K, 2), and the pixels (K,)
    that the boxes of what moves take there."""
    truth = clips.clip(i, views=False).exact
    if truth is None or not truth.boxes:
        return np.zeros((0, 2), int), np.zeros(0)
    box = next(iter(truth.boxes.values()))
    area = np.nan_to_num((box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1]))
    area = np.where(moving_things(truth), area, 0.0).sum(1)
    found = np.flatnonzero(area > 0)
    return np.stack([np.full(len(found), row), found], 1), area[found]


def moving_things(truth: Truth) -> np.ndarray:
    """bool (T, N): which things are there and move."""
    return truth.exists & (np.linalg.norm(truth.velocity, axis=-1) > MOVING_SPEED)


def moving_pixels(truth: Truth, camera: str) -> np.ndarray:
    """bool (T, H, W): the pixels of moving things."""
    masks = truth.masks[camera]
    moves = np.zeros((len(masks), 256), bool)  # by mask value, 0 the background
    moves[:, 1:1 + len(truth.kinds)] = moving_things(truth)
    return np.take_along_axis(moves, masks.reshape(len(masks), -1).astype(np.intp), 1).reshape(masks.shape)


def near(pixels: np.ndarray, distance: int = NEAR) -> np.ndarray:
    """bool (..., H, W) grown by ``distance`` pixels in every direction, diagonals included."""
    for axis in (-1, -2):
        grown = pixels.copy()
        flat, out = np.moveaxis(pixels, axis, 0), np.moveaxis(grown, axis, 0)
        for shift in range(1, distance + 1):
            out[shift:] |= flat[:-shift]
            out[:-shift] |= flat[shift:]
        pixels = grown
    return pixels


def loss_fn(recipe: TokenizerRecipe):
    """The loss of a batch of Windows, for train.loop.fit."""

    def loss(model: Tokenizer, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
        frames = batch["frames"].float() / 127.5 - 1
        noise = recipe.noise * torch.rand(len(frames), 1, 1, 1, 1, device=frames.device)
        decoded, _ = model(frames, noise)
        return tokenizer_loss(decoded, frames, batch["shows"], weights=recipe.weights,
                              square=recipe.square, edge=recipe.edge)

    return loss


@torch.no_grad()
def tokenizer_scores(tokenizer: Tokenizer, clips: ClipSet, chosen: Sequence[int] | None = None, *,
                     frames: int = 96, chunk: int = 16, refining: int = 0) -> dict[str, float]:
    """PSNR (dB, of the pooled error) of the round trip through latents, as a viewer would see it.

    Of each chosen clip (default: all drawn ones) the first ``frames`` frames are encoded, refined by ``refining``
    steps, decoded as a stream and rounded to uint8. Keys: "psnr" over all pixels, "psnr_moving" within 2 pixels of
    a moving thing's mask, "psnr_moving_12_16", "_16_32", "_over_32" the same by the mask's width in that frame. A
    figure over nothing is NaN. Raises BadData when no clip is drawn.
    """
    chosen = drawn(clips) if chosen is None else chosen
    pools = {name: PooledError() for name in ("psnr", "psnr_moving", *(f"psnr_moving_{b}" for b in BANDS))}
    for i in chosen:
        stop = min(frames, clips.meta(i)["frames"]) // FRAMES_PER_LATENT * FRAMES_PER_LATENT
        clip = clips.clip(i, 0, stop, views=True)
        name, true = next(iter(clip.views.items()))
        made = torch.from_numpy(round_trip(tokenizer, true, chunk, refining)).float() / 127.5 - 1
        seen = torch.from_numpy(true).float() / 127.5 - 1
        pools["psnr"].add(made, seen)
        if clip.truth is None or name not in clip.truth.masks:
            continue
        pools["psnr_moving"].add(made, seen, torch.from_numpy(near(moving_pixels(clip.truth, name))))
        for band, mask in _by_width(clip.truth, name).items():
            pools[f"psnr_moving_{band}"].add(made, seen, torch.from_numpy(mask))
    if not pools["psnr"].count:
        raise BadData(f"no drawn clip in {clips.folder} to measure a tokenizer on")
    return {name: pool.psnr for name, pool in pools.items()}


@torch.no_grad()
def round_trip(tokenizer: Tokenizer, frames: np.ndarray, chunk: int = 16, refining: int = 0) -> np.ndarray:
    """uint8 (T, H, W, 3), T cut to fours, through the tokenizer and back, ``chunk`` frames at a time, their latents
    refined by ``refining`` steps."""
    made, coming, going = [frames[:0]], None, None
    device, frames = next(tokenizer.parameters()).device, frames[: len(frames) // 4 * 4]
    for start in range(0, len(frames), chunk):
        piece = torch.from_numpy(np.ascontiguousarray(frames[None, start : start + chunk])).to(device)
        latents, coming = tokenizer.encode(piece, coming)
        latents = tokenizer.refined(latents, piece, going, refining) if refining else latents
        out, going = tokenizer.decode(latents, going)
        made.append(picture(out[0]))
    return np.concatenate(made)


def drawn(clips: ClipSet) -> list[int]:
    """Numbers of the clips that have pictures."""
    return [i for i in range(len(clips)) if clips.meta(i)["drawn"]]


def train_tokenizer(data: str | Path, out: str | Path, *, minutes: float | None = None,
                    steps: int | None = None, config: TokenizerConfig | str = "s16",
                    recipe: TokenizerRecipe | None = None, held: str | Path | None = None,
                    device: str = "cpu", seed: int = 0, precision: str = "auto", memory: int = 10 * 2**30,
                    start_from: str | Path | None = None, decoder_only: bool = False,
                    progress: bool = True) -> Path | None:
    """Train a tokenizer on the drawn clips of a folder of shards; the model is ``out/tokenizer.safetensors``.

    config: a TokenizerConfig or the name of one in PRESETS; a file's own where start_from is one. held: a folder of
    shards that is only looked at (default: of data's own clips those of split "test", or else one in 20, by their keys,
    kept out of training). The
    run itself (checkpoint, log, sheets) is in ``out`` too, and the same command goes on with it. memory: bytes for
    decoded clips. start_from: a tokenizer's file to begin from, whose canvas is kept as it is, or a checkpoint; with
    decoder_only its latents stay as they are, and so do models that were trained on them.
    Returns the model's path, or None when the run was interrupted.
    Raises what ``train.loop.fit`` does, and BadData, BadInput.
    """
    if isinstance(config, str):
        if config not in PRESETS:
            raise BadInput(f"no tokenizer config {config!r}: use one of {', '.join(PRESETS)}")
        config = PRESETS[config]
    meta = {}
    if start_from is not None and Path(start_from).suffix == ".safetensors":
        meta = load_model(start_from)[1]
        config = TokenizerConfig(**meta["config"])
    recipe, out, clips = recipe or TokenizerRecipe(), Path(out), ClipSet(data)
    train, looked_at = drawn(clips), clips
    if held is not None:
        looked_at = ClipSet(held)
        test = drawn(looked_at)
    else:
        test = [i for i in train if split_of(clips.meta(i)) == "test"] or [
            i for i in train if kept_out(clips.keys[i])] or train[-1:]
        train = [i for i in train if i not in set(test)] or train
    test = test[:24]  # looked at every few minutes: a minute each time would be too dear
    torch.manual_seed(seed)
    model = Tokenizer(config).to(device)
    if config.canvas:
        model.canvas.requires_grad_(False)
    if decoder_only:
        if start_from is None:
            raise BadInput("training the decoder only needs a tokenizer to begin from")
        model.fix_latents()
    windows = Windows(clips, train, recipe, memory)
    result = fit(
        model, windows, loss_fn(recipe), out=out, minutes=minutes, steps=steps, adam=ADAM,
        lr=recipe.lr * (AGAIN if start_from else 1), ema=recipe.ema, warm_up=recipe.warm_up, hold=recipe.hold,
        seed=seed, precision=precision, start_from=start_from, progress=progress,
        evaluate=lambda m: tokenizer_scores(m, looked_at, test[:8], frames=48),
        sheet=lambda m, path: write_sheet(m, looked_at, test[:4], path.with_suffix(".png")))
    if not result.finished:
        return None
    path = out / "tokenizer.safetensors"
    kept = {"canvas": meta["canvas"]} if "canvas" in meta else {}
    _finish(model, windows, result, recipe, looked_at, test, path, {"minutes": minutes, "seed": seed}, kept)
    return path


def write_sheet(tokenizer: Tokenizer, clips: ClipSet, chosen: Sequence[int], path: Path) -> None:
    """A contact sheet: for each chosen clip a row of truth and under it a row of its round trip."""
    from reverie.data.sheet import contact_sheet

    rows, captions = [], []
    for i in chosen:
        stop = min(48, clips.meta(i)["frames"]) // FRAMES_PER_LATENT * FRAMES_PER_LATENT
        true = next(iter(clips.clip(i, 0, stop, views=True, masks=False).views.values()))
        rows += [true, round_trip(tokenizer, true)]
        captions += [clips.keys[i], ""]
    part = path.with_name(f".{path.name}")
    contact_sheet(rows, captions).save(part, "PNG")
    part.replace(path)


def _finish(model: Tokenizer, windows: Windows, result: FitResult, recipe: TokenizerRecipe, held: ClipSet,
            test: Sequence[int], path: Path, asked: dict, kept: dict) -> None:
    """Measure the latents' scale anew with the averaged weights, score, and write the model."""
    device = next(model.parameters()).device
    if not model.latents_fixed:
        some = (windows(0, np.random.default_rng([asked["seed"], 2**31, n]))["frames"] for n in range(24))
        model.measure_latents([frames.to(device) for frames in some])
    scores = tokenizer_scores(model, held, test)
    model.save(path, {
        **kept,
        "recipe": {**asdict(recipe), **asked, "steps": result.step, "seconds": round(result.elapsed)},
        "data": windows.clips.digest()[:16], "held": held.digest()[:16], "commit": commit(),
        "scores": {name: None if math.isnan(value) else round(value, 3) for name, value in scores.items()}})


def kept_out(key: str) -> bool:
    """Whether a clip of that key is only looked at: one in 20."""
    digits = "".join(c for c in key if c.isdigit())
    return int(digits or 0) % 20 == 0


def _by_width(truth: Truth, camera: str) -> dict[str, np.ndarray]:
    """For each band of widths, bool (T, H, W): within NEAR pixels of a moving thing whose mask is so wide."""
    masks, moves = truth.masks[camera], moving_things(truth)
    found = {band: np.zeros(masks.shape, bool) for band in BANDS}
    for t, n in zip(*np.nonzero(moves), strict=True):
        mask = masks[t] == n + 1
        columns = np.flatnonzero(mask.any(0))
        width = columns[-1] - columns[0] + 1 if len(columns) else 0
        for band, (low, high) in BANDS.items():
            if low <= width < high:
                found[band][t] |= near(mask)
    return found
