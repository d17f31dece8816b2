"""One video from a pipeline: piece by piece, each going on from the one before, kept as it is done."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reverie.core.clip import Line
from reverie.core.errors import BadInput, ReverieError
from reverie.core.files import require_space
from reverie.foreign import calling, drift, finding, loading, memory, siblings
from reverie.foreign.keeping import Work
from reverie.foreign.pieces import BLEND_FRAMES, Piece, context_frames, pieces_of, without_cut
from reverie.foreign.preview import Preview
from reverie.model.block import Block

if TYPE_CHECKING:
    from reverie.foreign.asking import Abilities
    from reverie.foreign.world import ForeignWorld

BLOCK = 24  # frames handed on at once
SEEDS = 1_000_003  # from one piece's seed to the next one's


class PieceFailed(ReverieError):
    """A call of the pipeline failed. brief: what went wrong, without what is left and where; code: for programs."""

    def __init__(self, brief: str, kept: str, code: str):
        super().__init__(brief + kept)
        self.brief, self.code = brief, code


@dataclass(frozen=True)
class Step:
    """How far the work is: piece and step from 1, steps None where nobody knows; preview: uint8 (H, W, 3) or None."""

    piece: int
    pieces: int
    step: int
    steps: int | None
    preview: np.ndarray | None

    def words(self) -> str:
        """As in "piece 2/8, step 13/50"."""
        return f"piece {self.piece}/{self.pieces}, step {self.step}" + (f"/{self.steps}" if self.steps else "")


@dataclass
class Job:
    """One video under way. control: of frame numbers and a kind, the control frames uint8 (n, H, W, 3), or None."""

    world: ForeignWorld
    lines: list[Line]
    total: int
    size: tuple[int, int]
    fps: float
    seed: int
    steps: int | None
    past: np.ndarray | None
    goal: np.ndarray | None
    loop: bool
    control: Callable[[np.ndarray, str], np.ndarray] | None
    note: Callable[[str], None]
    watch: Callable[[Step], None]
    about: dict = field(default_factory=dict)  # more of what decides the pixels: how the control was made
    guide: str = ""  # the kind of control frames that is wanted
    more: dict = field(default_factory=dict)  # of the call: calling.Wish.more
    _main: tuple[Any, Abilities] | None = None  # what makes a piece from text alone, and what goes on from pictures
    _next: tuple[Any, Abilities] | None = None
    _placed: Any = None  # which of them the weights are placed for
    _context: int = 0

    def blocks(self, out: str | Path | None) -> Iterator[Block]:
        """The video; see ForeignWorld.imagine."""
        work = Work(out, self._settings()) if out is not None else None
        if work is not None:
            require_space(work.folder.parent, self.total * self.size[0] * self.size[1] * 3)
        try:
            yield from self._all(work)
        except BaseException:
            if work is not None:
                work.tidy()
            raise
        if work is not None:
            work.remove()

    def _all(self, work: Work | None) -> Iterator[Block]:
        self.prepare()
        pieces = self._pieces()
        if work is not None:
            self.note(f"{work.done} of {len(pieces)} pieces were made before" if work.done else
                      f"until it is complete, finished pieces and a preview are in {work.folder}")
        tail, first, surplus = self.past, None, None  # what comes before; how the line looks; what is to be blended
        opening = None
        for piece in pieces:
            frames = work.read(piece.number) if work is not None else None
            if frames is None or frames.shape != (piece.count + piece.after, *self.size, 3):
                frames = self._make(piece, pieces, tail, None if piece.begins else first, surplus, opening, work)
            shown = frames[: piece.count]
            if piece.begins:
                first = drift.Look.of(shown)
            opening = frames[0] if opening is None else opening
            surplus = frames[piece.count :] if piece.after else None
            tail = shown if tail is None or len(shown) >= self._context else np.concatenate([tail, shown])
            tail = tail[-max(1, self._context) :]
            for start in range(0, piece.count, BLOCK):
                yield Block(piece.start + start, shown[start : start + BLOCK])

    # -- the pipelines -----------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Load the model, and choose what makes the first piece and what the others. Raises as ``blocks`` does."""
        world, able = self.world, self.world.able
        if self._main is not None:
            return
        if self.past is None and able.needs and self.control is None:
            raise BadInput(f"{able.kind} goes on from a picture: give one with --image, or a video with --video")
        if self.control is None and able.guided:
            raise BadInput(f"{able.kind} paints over a video: use it with --paint")
        if self.steps is not None and "num_inference_steps" not in able.arguments:
            self.note(f"{able.kind} takes no number of steps: it makes its own")
        for name in sorted(set(self.more) - able.arguments):
            self.note(f"{name} is not used: {able.kind} does not take it")
        longest = world.longest(self.fps)
        if world.loaded is not None and world.loaded[1].pixels < self.size[0] * self.size[1] * longest:
            world.loaded = None  # planned for a smaller video
        if world.loaded is None:
            counts = memory.weigh(world.folder, list(finding.parts(world.folder)))
            plan = memory.choose(counts, world.bare, able, self.size, longest, world.name)
            self.note(f"{world.name}: {plan.words()}")
            world.loaded = loading.load(world.folder, plan, world.lora), plan
        main, self.plan = world.loaded
        self._main = self._next = (main, able)
        self._placed = None  # of an earlier video the other form may have been the last
        more = self.total > longest or self.past is not None or self.loop or len(self.lines) > 1
        if more and self.control is None and not (able.image or able.past):
            found = siblings.that_continues(main, world.folder, self._place)
            self._next = found or self._next
        if self.control is not None:
            self._choose_painter(main)
        can = self._next[1].image or self._next[1].past
        self._context = context_frames(self._next[1], self.fps, longest) if self.control is None or can else 0
        if self.past is not None and not can:
            raise BadInput(f"{able.kind} makes video from text alone, and has no form that goes on from a picture or a "
                           "video: take an image-to-video model")
        if self.goal is None and not self.loop:
            return
        name = self._next[1].kind
        if self.goal is not None and self.past is None and self.total <= longest:
            raise BadInput(f"{name} ends with a picture only where it begins with one: give --image too")
        if not self._next[1].end or not siblings.works(*self._next, self._place, end=True):
            raise BadInput(f"{name} cannot end with a given picture (as for --end-image and --loop)")

    def _choose_painter(self, main: Any) -> None:
        """The model itself where it takes control videos; else its form that paints pictures anew."""
        able = self.world.able
        if not able.control:
            found = siblings.that_repaints(main, self.world.folder)
            if found is None:
                raise BadInput(f"{able.kind} takes no control video and no video to paint anew: it cannot paint")
            self._next = found
        if self._next[1].repaints and self.guide != "picture":
            self.note(f"{self._next[1].kind} paints pictures anew: it is given ours, not {self.guide}")
            self.guide = "picture"

    def _pieces(self) -> list[Piece]:
        longest, able = self.world.longest(self.fps), self._next[1]
        if self.loop and (self.past is None or len(self.past) == 1) and len(self.lines) == 1:
            longest = able.nearest_frames(min(longest, -(-self.total // 2) + 1))  # the end is another piece's
        blend = 0 if self._context or self.control is None else min(BLEND_FRAMES, longest // 4)
        extends = self.past is not None and len(self.past) > 1
        if self.world.able.needs and any(without_cut(line.text)[1] for line in self.lines[1:]):
            self.note(f"{able.kind} always goes on from a picture: it makes no cuts")
            self.lines = [Line(line.start, without_cut(line.text)[0]) for line in self.lines]
        pieces = pieces_of(self.lines, self.total, self.fps, self.world.able, longest=longest, context=self._context,
                           given=min(self._context, len(self.past)) if extends else 0, blend=blend)
        if len(pieces) > 1:
            each = f"{pieces[0].count / self.fps:.2g} s or so"
            self.note(f"it is made in {len(pieces)} pieces of {each}: {self._how(blend)}")
        return pieces

    def _how(self, blend: int) -> str:
        able = self._next[1]
        if self._context > 1:
            return f"each goes on from the last {self._context} frames of the one before ({able.kind})"
        if self._context:
            return f"each goes on from the last frame of the one before ({able.kind})"
        if blend:
            return "each is painted over the same happening and passes into the next"
        return f"{able.kind} cannot go on from pictures, so there is a cut between them"

    def _place(self, pipe: Any) -> None:
        if pipe is not self._placed:
            self.plan.place_parts(pipe)
            self._placed = pipe

    # -- one piece ---------------------------------------------------------------------------------------------

    def _make(self, piece: Piece, pieces: list[Piece], tail: np.ndarray | None, first: drift.Look | None,
              surplus: np.ndarray | None, opening: np.ndarray | None, work: Work | None) -> np.ndarray:
        """The piece's frames, without drift, kept in the work folder."""
        given = self.past if piece.start == 0 else None
        past = tail[-piece.context :] if piece.context and tail is not None else given
        pipe, able = self._next if past is not None or self.control is not None else self._main
        last = piece.number == len(pieces) - 1
        end = (self.goal if self.goal is not None else opening if self.loop else None) if last else None
        wish = calling.Wish(piece.text, self.size, piece.frames, self.fps,
                            (self.seed + SEEDS * piece.number) % 2**63, self.steps, past, end, thrifty=self.plan.tiled,
                            more=self.more)
        if self.control is not None:
            wish.control = self.control(np.arange(piece.frames) - piece.context + piece.start, self.guide)
        preview = Preview(self.size, piece.frames, able.step, able.ratio, able.multiple)
        preview.map = self.world.colours
        state = {"latents": None, "step": 0}

        def at_step(step: int, latents: Any) -> None:
            state.update(latents=latents, step=step + 1)
            picture = preview.picture(latents) if latents is not None else None
            if picture is not None and work is not None:
                work.preview(picture)
            self.watch(Step(piece.number + 1, len(pieces), step + 1, self.steps or able.steps, picture))

        try:
            self._place(pipe)
            made = calling.run(pipe, able, wish, at_step)
        except Exception as error:
            raise self._failed(error, piece, pieces, state["step"], work) from error
        if state["latents"] is not None and preview.learn(state["latents"], made) is not None:
            self.world.colours = preview.map
        need = piece.count + piece.after
        before, repeats = (surplus, min(len(surplus), len(made))) if surplus is not None else (
            past, calling.new_frames(made, past, piece.context or (past is not None and len(past) == 1)))
        made = drift.hold(made, repeats, before, first)
        if surplus is not None:
            share = (np.arange(repeats) + 1)[:, None, None, None] / (repeats + 1)
            made[:repeats] = (made[:repeats] * share + surplus[:repeats] * (1 - share)).round().astype(np.uint8)
        elif piece.context:
            made = made[repeats:]
        if len(made) < need:
            raise ReverieError(f"{able.kind} made {len(made)} new frames where {need} were asked for")
        made = made[:need]
        if work is not None:
            work.write(piece.number, made)
        return made

    def _failed(self, error: Exception, piece: Piece, pieces: list[Piece], step: int,
                work: Work | None) -> PieceFailed:
        """In one line: what went wrong, where, and what is left."""
        import torch

        where = f"in piece {piece.number + 1} of {len(pieces)}" if len(pieces) > 1 else ""
        where += f"{', ' if where else ''}after step {step}" if step else ""
        short = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or re.search(
            r"out of memory|not enough memory|alloc.*memory", str(error), re.IGNORECASE)
        if short:
            why = "ran out of memory"
            hint = "; try a smaller --size or a shorter --chunk"
        elif isinstance(error, NameError) and "transforms" in str(error):
            why, hint = "failed", " (it needs torchvision: install the one that belongs to your torch)"
        else:
            why, hint = "failed", f" ({finding.reason(error)})" if not isinstance(error, ReverieError) else f": {error}"
        done = work.done if work is not None else 0
        kept = f"; {done} finished pieces are in {work.folder}, and the same command goes on from there" if done else ""
        brief = f"{self.world.name} {why} {where}{hint}".replace("  ", " ").rstrip()
        return PieceFailed(brief, kept, "out_of_memory" if short else "model_failed")

    def _settings(self) -> dict:
        """All that decides the pixels."""
        def mark(pixels: np.ndarray | None) -> str | None:
            return None if pixels is None else hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()[:16]

        return {"format": 1, "model": self.world.name, "weights": self.world.hash, "chunk": self.world.chunk,
                "lines": [[line.start, line.text] for line in self.lines], "frames": self.total,
                "size": list(self.size), "fps": self.fps, "seed": self.seed, "steps": self.steps,
                "past": mark(self.past), "end": mark(self.goal), "loop": self.loop, **self.about,
                **({"more": self.more} if self.more else {})}
