"""A ForeignWorld: a pipeline of diffusers with the interface of reverie.world.World, so that every verb drives it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from reverie.core.clip import Line
from reverie.core.errors import BadInput
from reverie.core.moves import Move
from reverie.foreign import finding, loading
from reverie.foreign.asking import Abilities, ask
from reverie.foreign.job import Job, Step
from reverie.foreign.memory import Plan
from reverie.model.block import Block


@dataclass
class ForeignWorld:
    """A model in ``folder``, asked but not loaded until it has to imagine."""

    name: str
    folder: Path
    able: Abilities
    hash: str
    lora: list[Path] = field(default_factory=list)
    chunk: float | None = None  # seconds that one call makes at most
    loaded: tuple[Any, Plan] | None = None  # with its weights, and how they were fitted in; kept for the next video
    colours: np.ndarray | None = None  # of its latents, as far as they are known: preview.py
    bare: Any = None  # the pipeline without weights, for questions
    imagines_things = False

    @classmethod
    def load(cls, model: str | Path, *, lora: Sequence[str | Path] = (), chunk: float | None = None,
             tell: Callable[[str], None] = lambda text: None) -> ForeignWorld:
        """The model in a folder, or of a name on the hub. lora: files or folders of LoRA weights. chunk: seconds that
        one call makes at most (None: the model's own length).

        Raises BadInput, BadWeights, or ReverieError where it cannot be had.
        """
        if not finding.is_foreign(model):
            raise BadInput(f"no model {str(model)!r}: a folder with a model_index.json, or OWNER/NAME on the hub")
        adapters = [loading.check_lora(path) for path in lora]
        folder = finding.locate(model, tell)
        finding.check(folder)
        pipe = loading.bare(folder)
        return cls(str(model), folder, ask(pipe, folder), finding.fingerprint(folder, *adapters), adapters, chunk,
                   bare=pipe)

    @property
    def default_size(self) -> tuple[int, int]:
        """(H, W) that it makes by itself."""
        return self.able.nearest_size(self.able.size)

    @property
    def fps(self) -> float:
        """Frames per second that it makes by itself."""
        return self.able.fps

    def unknown_words(self, text: str) -> list[str]:
        """Nobody knows which words it never met."""
        return []

    def nearest(self, size: tuple[int, int], fps: float, note: Callable[[str], None]) -> tuple[tuple[int, int], float]:
        """The size and fps nearest to what was asked that it can make; what differs is noted."""
        found = self.able.nearest_size(size), self.able.nearest_fps(fps)
        if found[0] != tuple(size):
            note(f"{self.able.kind} makes {'only ' if self.able.fixed_size else ''}{found[0][1]}x{found[0][0]}, the "
                 f"nearest to {size[1]}x{size[0]}")
        if abs(found[1] - fps) > 1e-3:
            note(f"{self.able.kind} makes {found[1]:g} frames per second, not {fps:g}")
        return found

    def free(self) -> None:
        """Let the weights go; they are loaded again when they are needed."""
        if self.loaded is not None:
            import torch

            self.loaded = None
            gc.collect()  # hooks that move weights about hold each other
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def longest(self, fps: float) -> int:
        """Frames of one call at most."""
        wanted = self.able.frames if self.chunk is None else max(2, round(self.chunk * fps))
        return self.able.nearest_frames(wanted)

    def imagine(self, script: Sequence[Line], *, seconds: float, size: tuple[int, int] | None = None,
                fps: float | None = None, seed: int = 0, steps: int | None = None, guidance: float | None = None,
                avoid: str = "", past: np.ndarray | None = None, goal: np.ndarray | None = None,
                loop: bool = False, moves: Sequence = (), things: bool = True, out: str | Path | None = None,
                note: Callable[[str], None] = lambda text: None,
                watch: Callable[[Step], None] = lambda step: None) -> Iterator[Block]:
        """As World.imagine, piece by piece. out: the video's name, beside which finished pieces are kept until it is
        complete. note: told what could not be met; watch: told of every step. avoid: the negative prompt. things
        changes nothing.

        Raises BadInput for what the model cannot do, ReverieError where it fails or does not fit in memory.
        """
        size, fps = self.nearest(size or self.default_size, fps or self.fps, lambda text: None)
        lines = _with_moves(script, moves, note)
        total = max(1, round(seconds * fps))
        more = {"guidance_scale": guidance, "negative_prompt": avoid or None}
        job = Job(self, lines, total, size, fps, seed, steps, past, goal, loop, None, note, watch,
                  more={name: value for name, value in more.items() if value is not None})
        yield from job.blocks(out)


def _with_moves(script: Sequence[Line], moves: Sequence, note: Callable[[str], None]) -> list[Line]:
    """The script, with the camera's moves said in its texts: other models know no other way."""
    lines = list(script) or [Line(0.0, "")]
    if not moves:
        return lines
    parts = [(0.0, moves)] if isinstance(moves[0], Move) else list(moves)
    told = {start: ", ".join(move.text for move in part if move.text) for start, part in parts}
    if not any(told.values()):
        return lines
    note("the camera's moves are told in the prompt: the model may or may not follow them")
    whole = told.get(0.0, "") if isinstance(moves[0], Move) else ""
    return [Line(line.start, f"{line.text}. Camera: {said}" if (said := whole or told.get(line.start, "")) else
                 line.text) for line in lines]
