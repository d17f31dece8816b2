"""A dream, which is stepped one latent at a time; alone or together with others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from reverie.casting import Casting
from reverie.core.actions import checked_actions, scaled
from reverie.core.camera import CameraPath
from reverie.core.clip import Line
from reverie.core.errors import BadInput, ReverieError
from reverie.core.script import clean_text
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.direction import CAMERA, STILL, moves_told
from reverie.model import things as th
from reverie.model.block import Block, describe, drawn, picture
from reverie.model.rollout import Rollout
from reverie.model.sampling import Sampling
from reverie.model.schedule import Conditions, Schedule
from reverie.model.steering import Steering, checked_rates, opening_camera
from reverie.model.wanted import Wanted, advance
from reverie.rehearsal import HORIZON, claims_of, rehearsed

if TYPE_CHECKING:
    from reverie.model.beside import Drawers
    from reverie.world import World

F = FRAMES_PER_LATENT


class Dream:
    """A dream, stepped one latent at a time: see ``World.dream``. Attributes: fps; size (H, W); n, latents so far;
    things, the rows of the last Block; tokens, its thing vectors (S, WIDTH), None without things; drawers, who draws
    its blocks instead of this process (only if ``by_things_alone``; ``shown`` waits for them), or None.

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
                 driven: np.ndarray | None = None, painted: bool = False, takes: int | None = None) -> None:
        self.world, self.size, self.fps = world, tuple(size or world.default_size), float(fps or world.fps)
        self._of_a_log, things = world.transformer.config.of_a_log, things and not world.transformer.config.of_a_log
        if self._of_a_log and (moves or known is not None):
            raise BadInput(f"the model {world.name} was trained on a log: it has no camera moves and no things")
        self.things: list[dict] = []
        self.tokens: np.ndarray | None = None
        self.sampling = Sampling.of(world.meta, steps=steps, things_steps=steps, guidance=guidance, takes=takes)
        behind, past = (past, None) if known is not None and isinstance(past, np.ndarray) else (None, past)
        seen = past if past is None or isinstance(past, list) else world.seen(past, self.fps)
        witnessed = getattr(seen, "tokens", None) if things and known is None else None
        # pictures that were given are gone on from as pictures, where nobody saw what is in them; else the things are
        # drawn, before what is behind them as it was seen
        self._drawn = things and (past is None or witnessed is not None) and not painted
        self.plate = getattr(seen, "plate", None) if witnessed is not None and self._drawn else None
        if behind is not None and self._drawn:
            self.plate = world.behind(behind, known, self.fps)
        if witnessed is not None and self._drawn and self.plate is None:
            self.sampling = replace(self.sampling, haze=0.0)
        side = world.tokenizer.config.spatial
        script = list(script) or [Line(0.0, "")]
        opening = opening_camera(seed) if past is None and known is None else None
        moves = moves or ([] if self._of_a_log else moves_told(script, seconds, opening))
        self._stands = not moves and self.plate is not None and not any(CAMERA.search(line.text) for line in script)
        moves = [(0.0, STILL)] if self._stands else moves  # it stood still in what was seen
        self._rollout = Rollout(
            world.transformer, world._encode_text(script), fps=torch.tensor([self.fps], device=world.device),
            grid=(self.size[0] // side, self.size[1] // side), generator=torch.Generator().manual_seed(seed),
            sampling=self.sampling, with_things=things, with_views=world.paints(self.sampling, self._drawn))
        known = witnessed if known is None else known
        self._given = [] if self.plate is not None else list(seen or [])
        self._known = [] if known is None else list(torch.from_numpy(np.asarray(known, np.float32)).to(world.device))
        told = np.zeros((0, len(world.drive))) if driven is None else driven[-len(self._given) * F :]
        self._driven = list(torch.from_numpy(scaled(told, world.drive)).to(world.device))
        self._still = past is not None and len(past) == 1
        self.n = 0 if self._still else -len(self._known or self._given)  # below 0 until the past was taken in
        self._schedule = Schedule([line.start for line in script], self.fps, actions=len(world.drive),
                                  device=world.device)
        self._script, self._numbers = script, list(range(len(script)))
        self._casting: Casting | None = None  # None while its words are still to be read
        self._cast_for = -1  # which line
        self._steering = Steering(moves, math.ceil(max(1, round(seconds * self.fps)) / F), self.fps, opening)
        self._decoder: list[Tensor] | None = None
        self._rehearses = self.sampling.takes > 1 and things and not painted and not self._rollout.with_views
        self._ready: list[Tensor] = []  # those of latents that were rehearsed, and are still to be shown
        self.drawers: Drawers | None = None

    @property
    def by_things_alone(self) -> bool:
        """Whether its things are all that its pictures are drawn from, so that somebody else may draw them."""
        return self._drawn and not self._rollout.with_views and not self._given

    @property
    def seconds(self) -> float:
        """How much was dreamed so far."""
        return max(self.n, 0) * F / self.fps

    def step(self, *, text: str | None = None, rates: Mapping[str, float] | None = None,
             given: Mapping[int, Tensor] | None = None) -> Block:
        """The next four frames; see above."""
        return step_together([self], [{"text": text, "rates": rates, "given": given}])[0]

    @torch.inference_mode()
    def rehearse(self, latents: int) -> None:
        """If a line begins here, imagine its things by takes (see rehearsal), not beyond so many latents of the dream;
        of them, as they are stepped, nothing else can be told. What goes on from pictures is not rehearsed."""
        if self._rehearses:
            take_in_pasts([self])
        conditions = self._schedule.at(self.n)
        begins = float(conditions.since) < F / self.fps - 1e-6 or self._still and self.n == 1
        if not self._rehearses or self._ready or self._known or not begins:
            return
        begun = [line for line in self._script if line.start <= self.seconds + 1e-6]
        later = [math.ceil(line.start * self.fps / F - 1e-6) for line in self._script[len(begun) :]]
        end = min(latents, self.n + round(HORIZON * self.fps / F), *later)
        claims = claims_of(begun)
        if claims and end > self.n:
            self._take_cast()
            self._rollout, self._ready = rehearsed(self._rollout, claims, lambda n: self._said(self.n + n),
                                                   end - self.n, self.size, self.world.table)

    @torch.inference_mode()
    def imagined(self, latents: int) -> np.ndarray:
        """The things (latents, S, WIDTH) of so many latents from here, as ``imagine`` makes them, but unpainted."""
        made: list[Tensor] = []

        def keep(tokens: Tensor, view: Tensor | None) -> None:
            self.n += 1
            made.append(tokens[0].cpu())

        take_in_pasts([self])
        end = self.n + latents
        while self.n < end:
            self.rehearse(end)
            advance([replace(self._next(None, None), made=keep)])
        return torch.stack(made).numpy()

    @torch.inference_mode()
    def aim(self, image: np.ndarray, at: int) -> None:
        """Let an image, uint8 (H, W, 3), be what latent ``at`` shows."""
        behind = self._rollout.n - self.n
        self._rollout.aim(self._schedule.at(at), self.world._encode_still(image), at + behind)

    def checked(self, rates: Mapping) -> dict[str, float] | np.ndarray:
        """Rates as ``_next`` takes them. Raises BadInput."""
        return checked_actions(rates, self.world.drive) if self._of_a_log else checked_rates(rates)

    def _hear(self, text: str) -> None:
        number = self._numbers[-1] + 1 if self.n else 0  # at the very beginning it takes the first line's place
        heard = sum(line.start < self.seconds for line in self._script)
        if self._stands and CAMERA.search(text):
            self._stands, self._steering = False, Steering([], 0, self.fps)
        self._script = [*self._script[:heard], Line(self.seconds, text)]
        self._numbers, self._casting = [*self._numbers[:heard], number], None
        self._rollout.pay()
        self._rollout.text = self.world._encode_text([Line(0.0, text)])
        self._rollout.text.line[self._rollout.text.line == 0] = number
        self._schedule = Schedule([self.n * F / self.fps], self.fps, number, actions=len(self.world.drive),
                                  device=self.world.device)

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
        if self._ready:
            wanted.ready = self._ready.pop(0)[None]
            return wanted
        self._take_cast()
        wanted.conditions, wanted.things, wanted.known = self._said(self.n, rates, given)
        return wanted

    def _said(self, n: int, rates: Mapping[str, float] | None = None, given: Mapping[int, Tensor] | None = None
              ) -> tuple[Conditions, Tensor | None, Tensor | None]:
        """What holds in latent n, and which of its things are given, as Rollout.step has it."""
        rollout, device, conditions = self._rollout, self.world.device, self._schedule.at(n)
        before = None if rollout.things is None else rollout.things[0, th.CAMERA_TOKEN].cpu()
        camera = self._steering.at(n, before, rates)
        if camera is not None:
            conditions = Conditions(conditions.line, conditions.since, camera[1][None].to(device))
        vectors = dict(given or {}) | ({th.CAMERA_TOKEN: camera[0]} if camera is not None else {})
        if not vectors or not rollout.with_things:
            return conditions, None, None
        things = torch.zeros(1, th.TOKENS, th.WIDTH, device=device)
        known = torch.zeros(1, th.TOKENS, dtype=torch.bool, device=device)
        for slot, vector in vectors.items():
            things[0, slot], known[0, slot] = vector.to(device), True
        return conditions, things, known

    def _take_cast(self) -> None:
        """Cast the words that are new, and, in each line, who does something in it."""
        rollout, line = self._rollout, int(self._schedule.at(self.n).line)
        if not rollout.with_things:
            return
        if self._casting is None:
            there, seats = None if rollout.things is None else rollout.things[0], rollout.model.config.slots
            self._casting, self._cast_for = Casting(self._script, there, rollout.met[0], self._numbers, seats), -1
        if line != self._cast_for:
            rollout.vacate(self._casting.seat(line, rollout.gone(0)))
            rollout.cast, self._cast_for = self._casting.at(line).to(rollout.device), line

    def _made(self, tokens: Tensor | None, view: Tensor | None) -> Block:
        """The pictures of a latent, and what is in them."""
        drawn = self._drawn and (view is None or not (self._still and self.n == 0))  # what is given is shown as it is
        start, self.n = self.n * F, self.n + 1
        self.tokens = None if tokens is None else tokens[0].cpu().numpy()
        block = Block(start, np.zeros((0, *self.size, 3), np.uint8), [], self.tokens)
        if self.drawers is not None and start >= 0:
            block.coming = self.drawers.draw(self.tokens, start, self.fps)
            return block
        pixels, self._decoder = self.world.decode(view, tokens if drawn else None, self._decoder, self.sampling,
                                                  size=self.size, plate=self.plate)
        block.frames = picture(pixels[0])
        if tokens is not None and start >= 0:
            block.things = describe(self.tokens, start, self.fps, *self.size, self.world.table)
        self.things = block.things
        return block

    @torch.inference_mode()
    def shown(self, block: Block) -> Block:
        """A block with its frames and things, once they are drawn; here, if who was to draw them has ended."""
        if block.coming is not None:
            try:
                block.frames, block.things = block.coming.result()
            except ReverieError:
                tokenizer = self.world.tokenizer
                block.frames, block.things = drawn(tokenizer, block.vectors, block.start, self.fps, self.size,
                                                    self.plate)
            block.coming, self.things = None, block.things
        return block

    @property
    def camera(self) -> CameraPath | None:
        """The poses of the last four frames, None without things."""
        return None if self.tokens is None else th.decode_camera(self.tokens[None, th.CAMERA_TOKEN])


@torch.inference_mode()
def step_together(dreams: Sequence[Dream], inputs: Sequence[Mapping]) -> list[Block]:
    """Each dream's next Block, as by ``step`` with its inputs, those that fit together in one pass.

    Equal to stepping them alone but for the last bits of sums: thing vectors within 5e-3, unless a chance falls within
    such a bit. They may be of any age. Raises BadInput, and then nothing has happened.
    """
    heard = [{"text": None, "rates": None, "given": None, **given} for given in inputs]
    for dream, given in zip(dreams, heard, strict=True):
        if dream._ready and any(told is not None for told in given.values()):
            raise BadInput("the line is rehearsed: until what was imagined of it is shown nothing else can be told")
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
