"""A World: a model that has been loaded, and the one path through it: a Dream (dream.py), stepped latent by latent.

Knows nothing of files but its own weights, and nothing of HTTP.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reverie.core.actions import Action
from reverie.core.clip import Line
from reverie.core.errors import BadInput, BadWeights
from reverie.core.moves import Move
from reverie.core.runtime import bf16_pays
from reverie.core.runtime import device as device_called
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.dream import Dream, step_together, take_in_pasts
from reverie.model import graphed
from reverie.model import things as th
from reverie.model.beside import Drawers
from reverie.model.block import Block
from reverie.model.checkpoint import content_hash, load_into, load_model
from reverie.model.exported import Exported, installed
from reverie.model.plate import OTHER, SAME, Plate, apart, plate_of
from reverie.model.sampling import Sampling
from reverie.model.solids import Table
from reverie.model.text import TokenVectors, unknown_words
from reverie.model.tokenizer import Tokenizer
from reverie.model.transformer import Config, Text, Transformer
from reverie.witness import Seen, tokens_of

__all__ = ["WEIGHTS", "Dream", "World", "card_of", "step_together", "take_in_pasts"]
WEIGHTS = Path(__file__).parent / "weights"
CONTEXT_SECONDS = 8.0  # of a past video; more of it is not looked at
F = FRAMES_PER_LATENT


@dataclass
class World:
    """A tokenizer and a transformer that belong together."""

    tokenizer: Tokenizer
    transformer: Transformer
    meta: dict
    hash: str
    name: str
    vectors: TokenVectors | None = None  # loaded from the text package when it is first needed


    @classmethod
    def load(cls, name: str | Path = "base", *, device: str = "auto", half: bool | None = None,
             fast: bool | None = None) -> World:
        """The model of that name in the package, or of a folder with tokenizer and transformer weights.

        device: auto (the GPU if there is one), cpu or cuda. half: whether pictures are made in bfloat16; None: on a
        GPU, where it pays. fast: whether ONNX Runtime makes the transformer's passes on a CPU (model.exported), CUDA
        graphs on a GPU (model.graphed); None: where there is what it takes. Raises BadInput for a name or device that
        is not there, BadWeights for files that are damaged or do not fit.
        """
        on = device_called(device)
        folder = WEIGHTS if str(name) == "base" else Path(name)
        if not folder.is_dir():
            raise BadInput(f"no model {str(name)!r}: 'base', a folder with tokenizer.safetensors and "
                           "transformer.safetensors, or somebody else's (a folder with a model_index.json, or "
                           "OWNER/NAME on the hub)")
        tokenizer = Tokenizer.load(folder / "tokenizer.safetensors").eval()
        tensors, meta = load_model(folder / "transformer.safetensors")
        try:
            config = Config(**meta["config"])
        except (KeyError, TypeError) as error:
            raise BadWeights(f"{folder / 'transformer.safetensors'} has no usable config ({error})") from None
        transformer = Transformer(config)
        load_into(transformer, tensors, folder / "transformer.safetensors")
        if config.channels != tokenizer.config.channels:
            raise BadWeights(f"the tokenizer and the transformer in {folder} do not belong together")
        both = content_hash(folder / "tokenizer.safetensors") + content_hash(folder / "transformer.safetensors")
        transformer.half = on.type == "cuda" and bf16_pays(on) if half is None else half
        if on.type == "cpu" and not transformer.half and (installed() if fast is None else fast):
            transformer.runner = Exported(transformer, both)
        elif on.type == "cuda" and (graphed.wanted() if fast is None else fast):
            transformer.runner = graphed.Graphed(transformer)
        return cls(tokenizer.to(on), transformer.to(on).eval(), meta, both, str(name))

    @property
    def device(self) -> torch.device:
        """Where the networks are, and all that goes into them."""
        return self.transformer.marks.device

    @property
    def default_size(self) -> tuple[int, int]:
        """(H, W) that the model was trained at."""
        return tuple(self.meta.get("size", (128, 128)))

    @property
    def table(self) -> Table:
        """What things are made of, as the canvas knows it, on the CPU."""
        return self.tokenizer.canvas.table.to("cpu") if self.tokenizer.config.canvas else Table.plain()

    @property
    def fps(self) -> float:
        """Frames per second that the model was trained at."""
        return float(self.meta.get("fps", 24.0))

    @property
    def drive(self) -> tuple[Action, ...]:
        """The actions that the model knows: a camera's, or those of the log it was trained on."""
        return self.transformer.config.drive

    def unknown_words(self, text: str) -> list[str]:
        """Words of a prompt that the model never met in training."""
        return unknown_words(text, set(self.meta.get("words", [])))

    def imagine(self, script: Sequence[Line], *, seconds: float, size: tuple[int, int] | None = None,
                fps: float | None = None, seed: int = 0, steps: int | None = None,
                guidance: float | None = None, past: np.ndarray | None = None, goal: np.ndarray | None = None,
                loop: bool = False, moves: Sequence[Move] | Sequence[tuple[float, Sequence[Move]]] = (),
                things: bool = True, known: np.ndarray | None = None, driven: np.ndarray | None = None, actions:
                Sequence[Mapping | None] = (), takes: int | None = None, beside: int = 0,
                step: Callable[[Dream], Block] | None = None) -> Iterator[Block]:
        """Imagine ``seconds`` of video, block by block of four frames, as it is made.

        script: lines by start time, the first at 0. size (H, W): multiples of 32. steps: denoising steps of a latent
        (default: the model's). past: uint8 (T, H, W, 3) frames at fps that it goes on from (the last 8 s count, and
        they are not yielded again; an image is T = 1, and the video begins with it). goal: an end image, uint8
        (H, W, 3). loop: end where it began. moves: camera moves over the whole length, or (start second, moves) for
        each part; none: what the script's words ask for. things=False: pictures alone. known, driven: as of ``dream``.
        actions: the rates of each latent, as Dream.step takes them. takes: how often each line is rehearsed before it
        is painted (default: the model's; 1: not at all), see Dream.rehearse; not with past, goal or actions. beside:
        how many processes draw what was imagined while this one imagines more, on a CPU, where things alone make it.
        step: what makes a dream's next block, if not the dream alone (others in the same pass).
        """
        dream = Dream(self, script, size=size, fps=fps, seed=seed, steps=steps, guidance=guidance, past=past,
                      known=known, driven=driven, moves=moves, seconds=seconds, things=things,
                      painted=goal is not None or loop, takes=takes)
        frames = max(1, round(seconds * dream.fps))
        latents = math.ceil(frames / F)
        if goal is not None:
            dream.aim(goal, latents - 1)
        with ExitStack() as stack:
            if beside and dream.by_things_alone and self.device.type == "cpu":
                dream.drawers = stack.enter_context(Drawers(self.tokenizer, dream.size, beside, dream.plate))
            waiting: deque[Block] = deque()
            for n in range(latents):
                asked = actions[n] if n < len(actions) else None
                if not len(actions):
                    dream.rehearse(latents)
                waiting.append(dream.step(rates=asked) if step is None or asked is not None else step(dream))
                if n == 0 and loop:
                    dream.aim(waiting[0].frames[0], latents - 1)
                while waiting and (n == latents - 1 or waiting[0].coming is None or waiting[0].coming.done()):
                    block = dream.shown(waiting.popleft())
                    block.frames = block.frames[: frames - block.start]
                    block.things = [row for row in block.things if row["frame"] < frames]
                    yield block

    def dream(self, script: Sequence[Line] = (), *, size: tuple[int, int] | None = None, fps: float | None = None,
              seed: int = 0, steps: int | None = None, guidance: float | None = None,
              past: np.ndarray | list[Tensor] | None = None, known: np.ndarray | None = None, moves: Sequence = (),
              seconds: float = 60.0, things: bool = True, driven: np.ndarray | None = None,
              takes: int | None = None) -> Dream:
        """A dream to be stepped one latent at a time, for as long as one likes; arguments as of ``imagine``.

        past: frames, or what ``seen`` made of them (one latent is an image). seconds: over which the moves are
        spread. known: the things of the past, (latents, S, WIDTH) as model.things has them: true ones, instead of those
        seen in pictures; of the past's frames counts what is behind them, then, see ``behind``. driven: of a model of a
        log, its actions (T, A) in each frame of the past, NaN where unknown; such a model imagines no things, and has
        learned no words and no camera moves (BadInput).
        """
        return Dream(self, script, size=size, fps=fps, seed=seed, steps=steps, guidance=guidance, past=past,
                     known=known, driven=driven, moves=moves, seconds=seconds, things=things, takes=takes)

    # -- decoding -----------------------------------------------------------------------------------------

    def paints(self, sampling: Sampling, things: bool) -> bool:
        """Whether views have to be painted to be seen: not where things alone make the picture, drawn on a canvas."""
        return not things or sampling.haze < 1 or not self.tokenizer.config.canvas

    def decode(self, view: Tensor | None, tokens: Tensor | None, state: list[Tensor] | None, sampling: Sampling, *,
               size: tuple[int, int], plate: Plate | None = None) -> tuple[Tensor, list[Tensor]]:
        """One latent's pictures (B, F, H, W, 3) in [-1, 1] and the state for the next latent.

        view (B, h, w, C): as painted or given, None where nothing was. tokens (B, S, WIDTH): the things in it; None
        for a view that was given, or painted without things. plate: what is behind the things, if that was seen.
        """
        if view is None:
            side = self.tokenizer.config.spatial
            view = tokens.new_zeros(len(tokens), size[0] // side, size[1] // side, self.tokenizer.config.channels)
        level = sampling.haze if tokens is not None else 0.0
        with self.transformer.reckoning():
            given = None if tokens is None else tokens[:, None]
            return self.tokenizer.decode(view[:, None], state, given, level, plate)

    # -- encoding -----------------------------------------------------------------------------------------

    def _encode_text(self, script: Sequence[Line]) -> Text:
        if self.transformer.config.of_a_log:
            if any(line.text for line in script):
                raise BadInput(f"the model {self.name} was trained on a log, and has learned no words")
            return self.transformer.no_words(1)
        source = self.vectors = self.vectors or TokenVectors.load()
        rows = [torch.from_numpy(source.encode(line.text)[1]) for line in script] or [torch.zeros(0, 1)]
        longest = max(1, max(len(row) for row in rows))
        vectors = torch.zeros(1, len(rows), longest, self.transformer.config.text)
        mask = torch.zeros(1, len(rows), longest, dtype=torch.bool)
        for r, row in enumerate(rows):
            vectors[0, r, : len(row)] = row
            mask[0, r, : len(row)] = True
        return self.transformer.encode_text(vectors.to(self.device), mask.to(self.device))

    @torch.inference_mode()
    def seen(self, past: np.ndarray, fps: float) -> Seen:
        """Past frames to latents (1, H, W, C), one still or whole groups of four, the last 8 s, and what the observer
        sees in them: what dreams of one past may share."""
        if len(past) == 1:
            frames, found = past.repeat(F, 0), Seen([self._encode_still(past[0])])
        else:
            keep = int(min(len(past), CONTEXT_SECONDS * fps)) // F * F
            frames = past[len(past) - keep :] if keep else np.repeat(past[:1], F, 0)
            found = Seen(self._encode_video(frames))
        sampling = Sampling.of(self.meta)
        witnessed = tokens_of(frames, fps, self.transformer.config.slots, self.table, sampling.sizes)
        found.tokens, hidden = witnessed or (None, None)
        if hidden is None:
            return found
        if self.tokenizer.config.canvas and any(sampling.looks):
            shown, tokens = frames[F - 1 :: F], found.tokens
            found.plate, setting = plate_of(self.tokenizer.canvas, shown, hidden, tokens, sampling.looks)
            found.tokens[:, th.SETTING_TOKEN] = setting.cpu()
        elif not (found.tokens[:, : th.CAMERA_TOKEN, 0] > 0).any():
            found.tokens = None  # nothing to draw, and nothing to draw it on
        return found

    @torch.inference_mode()
    def behind(self, past: np.ndarray, known: np.ndarray, fps: float) -> Plate | None:
        """What is behind things known (L, S, WIDTH) in past frames uint8 (T, H, W, 3) that end with them, from where
        the camera is at their end; None where it is what the canvas shows there."""
        count, looks = min(len(past), int(CONTEXT_SECONDS * fps)) // F, Sampling.of(self.meta).looks
        if not count or not self.tokenizer.config.canvas or not any(looks):
            return None
        shown, known = past[len(past) - count * F :][F - 1 :: F][-len(known) :], known[-count:].astype(np.float32)
        there = known[:, th.CAMERA_TOKEN]
        same = np.abs(there - there[-1]).max(1) < SAME
        shown, known, canvas = shown[same], known[same], self.tokenizer.canvas
        if apart(canvas, shown[-1], known[-1]) < OTHER:
            return None
        return plate_of(canvas, shown, np.zeros(shown.shape[:3], bool), known, looks)[0]

    def _encode_video(self, frames: np.ndarray) -> list[Tensor]:
        """Frames (4 L, H, W, 3) to L latents (1, H, W, C); what the first new picture sees of them is refined."""
        pixels = self._pixels(frames)
        latents, _ = self.tokenizer.encode(pixels)
        near, state = self.transformer.config.views_window, None
        if len(frames) > near * F:
            _, state = self.tokenizer.decode(latents[:, :-near])
        fine = self.tokenizer.refined(latents[:, -near:], pixels[:, -near * F :], state)
        return [*latents[:, :-near].unbind(1), *fine.unbind(1)]

    def _encode_still(self, image: np.ndarray) -> Tensor:
        """An image (H, W, 3) to the latent (1, H, W, C) of four equal frames."""
        frames = self._pixels(np.repeat(image[None], F, 0))
        return self.tokenizer.refined(self.tokenizer.encode(frames)[0], frames)[:, 0]

    def _pixels(self, frames: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(frames)).to(self.device)[None].float() / 127.5 - 1


def card_of(name: str) -> Path:
    """The card that speaks of a file of weights in the package, by its name."""
    return next((path for path in sorted(WEIGHTS.glob("*.md")) if name.startswith(path.stem)), WEIGHTS / "base.md")
