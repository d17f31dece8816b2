"""A World: a model that has been loaded, and the one path through it: a Dream, which is stepped one latent at a time.

Knows nothing of files but its own weights, and nothing of HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reverie.core.actions import Action, checked_actions, scaled
from reverie.core.camera import CameraPath
from reverie.core.clip import Line
from reverie.core.errors import BadInput, BadWeights
from reverie.core.moves import Move
from reverie.core.runtime import bf16_pays
from reverie.core.runtime import device as device_called
from reverie.core.script import clean_text
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.direction import cast_told, moves_told
from reverie.model import things as th
from reverie.model.block import Block, describe
from reverie.model.checkpoint import content_hash, load_into, load_model
from reverie.model.exported import Exported, installed
from reverie.model.rollout import Rollout
from reverie.model.sampling import Sampling
from reverie.model.schedule import Conditions, Schedule
from reverie.model.steering import Steering, checked_rates
from reverie.model.text import TokenVectors, unknown_words
from reverie.model.tokenizer import Tokenizer
from reverie.model.transformer import Config, Text, Transformer
from reverie.model.wanted import Wanted, advance
from reverie.witness import Seen, tokens_of

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
             exported: bool | None = None) -> World:
        """The model of that name in the package, or of a folder with tokenizer and transformer weights.

        device: auto (the GPU if there is one), cpu or cuda. half: whether pictures are made in bfloat16; None: on a
        GPU, where it pays. exported: whether ONNX Runtime makes the transformer's passes, on a CPU (model.exported);
        None: where it is installed. Raises BadInput for a name or device that is not there, BadWeights for files that
        are damaged or do not fit.
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
        if on.type == "cpu" and not transformer.half and (installed() if exported is None else exported):
            transformer.runner = Exported(transformer, both)
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
                Sequence[Mapping | None] = (), step: Callable[[Dream], Block] | None = None) -> Iterator[Block]:
        """Imagine ``seconds`` of video, block by block of four frames, as it is made.

        script: lines by start time, the first at 0. size (H, W): multiples of 32. steps: denoising steps of a latent
        (default: the model's). past: uint8 (T, H, W, 3) frames at fps that it goes on from (the last 8 s count, and
        they are not yielded again; an image is T = 1, and the video begins with it). goal: an end image, uint8
        (H, W, 3). loop: end where it began. moves: camera moves over the whole length, or (start second, moves) for
        each part; none: what the script's words ask for. things=False: pictures alone. known, driven: as of ``dream``.
        actions: the rates of each latent, as Dream.step takes them. step: what makes a dream's next block, if not the
        dream alone (others in the same pass).
        """
        dream = Dream(self, script, size=size, fps=fps, seed=seed, steps=steps, guidance=guidance, past=past,
                      known=known, driven=driven, moves=moves, seconds=seconds, things=things,
                      painted=goal is not None or loop)
        frames = max(1, round(seconds * dream.fps))
        latents = math.ceil(frames / F)
        if goal is not None:
            dream.aim(goal, latents - 1)
        for n in range(latents):
            asked = actions[n] if n < len(actions) else None
            block = dream.step(rates=asked) if step is None or asked is not None else step(dream)
            if n == 0 and loop:
                dream.aim(block.frames[0], latents - 1)
            seen = [row for row in block.things if row["frame"] < frames]
            yield Block(block.start, block.frames[: frames - n * F], seen, block.vectors)

    def dream(self, script: Sequence[Line] = (), *, size: tuple[int, int] | None = None, fps: float | None = None,
              seed: int = 0, steps: int | None = None, guidance: float | None = None,
              past: np.ndarray | list[Tensor] | None = None, known: np.ndarray | None = None, moves: Sequence = (),
              seconds: float = 60.0, things: bool = True, driven: np.ndarray | None = None) -> Dream:
        """A dream to be stepped one latent at a time, for as long as one likes; arguments as of ``imagine``.

        past: frames, or what ``seen`` made of them (one latent is an image). seconds: over which the moves are
        spread. known: the things of the past, (latents, S, WIDTH) as model.things has them: true ones, instead of a
        past in pictures. driven: of a model of a log, its actions (T, A) in each frame of the past, NaN where unknown;
        such a model imagines no things, and has learned no words and no camera moves (BadInput).
        """
        return Dream(self, script, size=size, fps=fps, seed=seed, steps=steps, guidance=guidance, past=past,
                     known=known, driven=driven, moves=moves, seconds=seconds, things=things)

    # -- decoding -----------------------------------------------------------------------------------------

    def paints(self, sampling: Sampling, things: bool) -> bool:
        """Whether views have to be painted to be seen: not where things alone make the picture, drawn on a canvas."""
        return not things or sampling.haze < 1 or not self.tokenizer.config.canvas

    def decode(self, view: Tensor | None, tokens: Tensor | None, state: list[Tensor] | None, sampling: Sampling, *,
               size: tuple[int, int]) -> tuple[Tensor, list[Tensor]]:
        """One latent's pictures (B, F, H, W, 3) in [-1, 1] and the state for the next latent.

        view (B, h, w, C): as painted or given, None where nothing was. tokens (B, S, WIDTH): the things in it; None
        for a view that was given, or painted without things.
        """
        if view is None:
            side = self.tokenizer.config.spatial
            view = tokens.new_zeros(len(tokens), size[0] // side, size[1] // side, self.tokenizer.config.channels)
        level = sampling.haze if tokens is not None else 0.0
        with self.transformer.reckoning():
            return self.tokenizer.decode(view[:, None], state, None if tokens is None else tokens[:, None], level)

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
        found.tokens = tokens_of(frames, fps, self.transformer.config.slots, Sampling.of(self.meta).sizes)
        return found

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


class Dream:
    """A dream, stepped one latent at a time: see ``World.dream``. Attributes: fps; size (H, W); n, latents so far;
    things, the rows of the last Block; tokens, its thing vectors (S, WIDTH), None without things.

    ``step``: text is a new line that holds from this latent on, and takes the place of all that was still to come of
    the script; None goes on. rates: how fast the camera moves during this latent, see model.steering; None as the
    dream itself moves it, or still if it was driven before. Of a model of a log: its actions, see core.actions; None
    as its own driver may. given: thing vectors (WIDTH,) by slot that are given in this latent instead of imagined.
    Raises BadInput, and then nothing has happened.
    """

    @torch.inference_mode()
    def __init__(self, world: World, script: Sequence[Line], *, size: tuple[int, int] | None, fps: float | None,
                 seed: int, steps: int | None, guidance: float | None, past: np.ndarray | list[Tensor] | None,
                 moves: Sequence, seconds: float, things: bool, known: np.ndarray | None = None,
                 driven: np.ndarray | None = None, painted: bool = False) -> None:
        self.world, self.size, self.fps = world, tuple(size or world.default_size), float(fps or world.fps)
        self._of_a_log, things = world.transformer.config.of_a_log, things and not world.transformer.config.of_a_log
        if self._of_a_log and (moves or known is not None):
            raise BadInput(f"the model {world.name} was trained on a log: it has no camera moves and no things")
        self.things: list[dict] = []
        self.tokens: np.ndarray | None = None
        self.sampling = Sampling.of(world.meta, steps=steps, things_steps=steps, guidance=guidance)
        seen = past if past is None or isinstance(past, list) else world.seen(past, self.fps)
        witnessed = getattr(seen, "tokens", None) if things and known is None else None
        # pictures that were given are gone on from as pictures: 20.1 dB a second after a true past, 15.2 if its things
        # are guessed and drawn. What the observer saw in them is drawn before what is painted: 24.0 dB, 22.9 without
        self._drawn = things and (past is None or witnessed is not None) and not painted
        if witnessed is not None and self._drawn:
            self.sampling = replace(self.sampling, haze=0.0)
        side = world.tokenizer.config.spatial
        script = list(script) or [Line(0.0, "")]
        moves = moves or ([] if self._of_a_log else moves_told(script, seconds))
        self._rollout = Rollout(
            world.transformer, world._encode_text(script), fps=torch.tensor([self.fps], device=world.device),
            grid=(self.size[0] // side, self.size[1] // side), generator=torch.Generator().manual_seed(seed),
            sampling=self.sampling, with_things=things, with_views=world.paints(self.sampling, self._drawn))
        known = witnessed if known is None else known
        self._given = list(seen or [])
        self._known = [] if known is None else list(torch.from_numpy(np.asarray(known, np.float32)).to(world.device))
        told = np.zeros((0, len(world.drive))) if driven is None else driven[-len(self._given) * F :]
        self._driven = list(torch.from_numpy(scaled(told, world.drive)).to(world.device))
        self._still = past is not None and len(past) == 1
        self.n = 0 if self._still else -len(self._known or self._given)  # below 0 until the past was taken in
        self._schedule = Schedule([line.start for line in script], self.fps, actions=len(world.drive),
                                  device=world.device)
        self._script, self._lines, self._numbers = script, len(script), list(range(len(script)))
        self._uncast = things  # whether its words are still to be cast, among the things that are there
        self._steering = Steering(moves, math.ceil(max(1, round(seconds * self.fps)) / F), self.fps)
        self._decoder: list[Tensor] | None = None

    @property
    def seconds(self) -> float:
        """How much was dreamed so far."""
        return max(self.n, 0) * F / self.fps

    def step(self, *, text: str | None = None, rates: Mapping[str, float] | None = None,
             given: Mapping[int, Tensor] | None = None) -> Block:
        """The next four frames; see above."""
        return step_together([self], [{"text": text, "rates": rates, "given": given}])[0]

    @torch.inference_mode()
    def aim(self, image: np.ndarray, at: int) -> None:
        """Let an image, uint8 (H, W, 3), be what latent ``at`` shows."""
        behind = self._rollout.n - self.n
        self._rollout.aim(self._schedule.at(at), self.world._encode_still(image), at + behind)

    def checked(self, rates: Mapping) -> dict[str, float] | np.ndarray:
        """Rates as ``_next`` takes them. Raises BadInput."""
        return checked_actions(rates, self.world.drive) if self._of_a_log else checked_rates(rates)

    def _hear(self, text: str) -> None:
        number = self._lines if self.n else 0  # at the very beginning it is the first line, and takes its place
        heard = sum(line.start < self.seconds for line in self._script)
        self._script = [*self._script[:heard], Line(self.seconds, text)]
        self._numbers, self._uncast = [*self._numbers[:heard], number], self._rollout.with_things
        self._rollout.text = self.world._encode_text([Line(0.0, text)])
        self._rollout.text.line[self._rollout.text.line == 0] = number
        self._schedule = Schedule([self.n * F / self.fps], self.fps, number, actions=len(self.world.drive),
                                  device=self.world.device)
        self._lines += 1

    def _next(self, rates: Mapping[str, float] | None, given: Mapping[int, Tensor] | None) -> Wanted:
        """What the next latent is made from."""
        rollout, device = self._rollout, self.world.device
        wanted = Wanted(rollout, self._made, self._schedule.at(self.n), self._given.pop(0) if self._given else None)
        if self._known:
            wanted.things = self._known.pop(0)[None].clone()
            wanted.known = torch.ones(1, th.TOKENS, dtype=torch.bool, device=device)
            wanted.known[:, th.SETTING_TOKEN] = wanted.view is None  # nobody told what is seen in pictures how it looks
            return wanted
        if self._of_a_log:
            told = wanted.conditions.actions
            if rates is not None:
                told = torch.from_numpy(scaled(rates, self.world.drive)).to(device)
            told = self._driven.pop(0)[None] if self.n < 0 and self._driven else told
            wanted.conditions = Conditions(wanted.conditions.line, torch.zeros(1, device=device), told)
            return wanted
        if self.n < 0:
            return wanted
        if self._uncast:
            there = None if rollout.things is None else rollout.things[0]
            rollout.cast = cast_told(self._script, there, rollout.met[0], self._numbers).to(device)
            self._uncast = False
        before = None if rollout.things is None else rollout.things[0, th.CAMERA_TOKEN].cpu()
        camera = self._steering.at(self.n, before, rates)
        if camera is not None:
            wanted.conditions = Conditions(wanted.conditions.line, wanted.conditions.since,
                                           camera[1][None].to(device))
        vectors = dict(given or {}) | ({th.CAMERA_TOKEN: camera[0]} if camera is not None else {})
        if vectors and rollout.with_things:
            wanted.things = torch.zeros(1, th.TOKENS, th.WIDTH, device=device)
            wanted.known = torch.zeros(1, th.TOKENS, dtype=torch.bool, device=device)
            for slot, vector in vectors.items():
                wanted.things[0, slot], wanted.known[0, slot] = vector.to(device), True
        return wanted

    def _made(self, tokens: Tensor | None, view: Tensor | None) -> Block:
        """The pictures of a latent, and what is in them."""
        drawn = self._drawn and not (self._still and self.n == 0)  # a picture that is given is shown as it is
        pixels, self._decoder = self.world.decode(view, tokens if drawn else None, self._decoder, self.sampling,
                                                  size=self.size)
        start, self.n = self.n * F, self.n + 1
        self.tokens = None if tokens is None else tokens[0].cpu().numpy()
        picture = ((pixels[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()
        self.things = [] if tokens is None or start < 0 else describe(self.tokens, start, self.fps, *self.size)
        return Block(start, picture, self.things, self.tokens)

    @property
    def camera(self) -> CameraPath | None:
        """The poses of the last four frames, None without things."""
        return None if self.tokens is None else th.decode_camera(self.tokens[None, th.CAMERA_TOKEN])


@torch.inference_mode()
def step_together(dreams: Sequence[Dream], inputs: Sequence[Mapping]) -> list[Block]:
    """Each dream's next Block, as by ``step`` with its inputs, those that fit together in one pass.

    Equal to stepping them alone but for the last bits of sums: thing vectors within 1e-4, unless a chance falls within
    such a bit. They may be of any age. Raises BadInput, and then nothing has happened.
    """
    heard = [{"text": None, "rates": None, "given": None, **given} for given in inputs]
    for dream, given in zip(dreams, heard, strict=True):
        given["text"] = None if given["text"] is None else clean_text(given["text"], "the line")
        given["rates"] = None if given["rates"] is None else dream.checked(given["rates"])
    take_in_pasts(dreams)
    for dream, given in zip(dreams, heard, strict=True):
        if given["text"] is not None:
            dream._hear(given["text"])
    return advance([dream._next(given["rates"], given["given"])
                     for dream, given in zip(dreams, heard, strict=True)])


@torch.inference_mode()
def take_in_pasts(dreams: Sequence[Dream]) -> None:
    """Bring dreams that go on from a past to its end, in one pass where they fit together; a first step does it too."""
    while early := [dream for dream in dreams if dream.n < 0]:
        advance([dream._next(None, None) for dream in early])
