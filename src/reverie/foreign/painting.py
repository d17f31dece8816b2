"""What Reverie imagined, painted by a large model: physics and identity come from the things, looks from the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reverie.core.clip import Line
from reverie.core.errors import BadInput
from reverie.foreign.control import KINDS, Happening
from reverie.foreign.job import Job
from reverie.foreign.world import ForeignWorld
from reverie.model.block import Block
from reverie.world import World

FROM = (*KINDS, "picture")  # what a painter can be guided by


@dataclass(frozen=True)
class Thought:
    """Of the things that are imagined before anything is painted: how many seconds there are."""

    seconds: float

    def words(self) -> str:
        """As in "3.5 s imagined"."""
        return f"{self.seconds:.3g} s imagined"


@dataclass
class PaintedWorld:
    """Imagines with ``own``, paints with ``painter``, guided by ``kind``, one of FROM."""

    own: World
    painter: ForeignWorld
    kind: str = "depth"
    happening: Happening | None = None
    imagines_things = True

    def __post_init__(self) -> None:
        if self.kind not in FROM:
            raise BadInput(f"--paint-from {self.kind!r}: one of {', '.join(FROM)}")

    @property
    def name(self) -> str:
        """Of both."""
        return f"{self.own.name} painted by {self.painter.name}"

    @property
    def hash(self) -> str:
        """Of both."""
        return f"{self.own.hash}+{self.painter.hash}"

    @property
    def default_size(self) -> tuple[int, int]:
        """(H, W) that the painter makes by itself."""
        return self.painter.default_size

    @property
    def fps(self) -> float:
        """Frames per second that the painter makes by itself."""
        return self.painter.fps

    def unknown_words(self, text: str) -> list[str]:
        """Words that the one that imagines never met: what they mean will not happen."""
        return self.own.unknown_words(text)

    def nearest(self, size: tuple[int, int], fps: float, note: Callable[[str], None]) -> tuple[tuple[int, int], float]:
        """As ForeignWorld.nearest."""
        return self.painter.nearest(size, fps, note)

    def imagine(self, script: Sequence[Line], *, seconds: float, size: tuple[int, int] | None = None,
                fps: float | None = None, seed: int = 0, steps: int | None = None, past: np.ndarray | None = None,
                goal: np.ndarray | None = None, loop: bool = False, moves: Sequence = (), things: bool = True,
                out: Any = None, note: Callable[[str], None] = lambda text: None,
                watch: Callable[[Any], None] = lambda step: None) -> Iterator[Block]:
        """As ForeignWorld.imagine; the blocks have our things. steps are the painter's."""
        if past is not None or goal is not None or loop or not things:
            raise BadInput("what is painted is imagined from a text or a script alone: leave out --image, --end-image, "
                           "--video, --loop and --no-things")
        size, fps = self.nearest(size or self.default_size, fps or self.fps, lambda text: None)
        total = max(1, round(seconds * fps))

        def numbers(wanted: np.ndarray) -> list[int]:
            return [self.happening.frame_at(min(max(int(k), 0), total - 1) / fps) for k in wanted]

        def control(wanted: np.ndarray, kind: str) -> np.ndarray:
            return np.stack([self.happening.frame(kind, number, size) for number in numbers(wanted)])

        job = Job(self.painter, list(script), total, size, fps, seed, steps, None, None, False, control, note, watch,
                  {"imagined": self.own.hash, "from": self.kind, "moves": repr(moves)}, self.kind)
        job.prepare()  # what it refuses, it refuses before the work
        vectors, frames = [], []
        for block in self.own.imagine(script, seconds=seconds, seed=seed, moves=moves):
            vectors.append(block.vectors)
            frames.append(block.frames)
            watch(Thought((block.start + len(block.frames)) / self.own.fps))
        self.happening = Happening(np.stack(vectors), self.own.fps, self.own.table, np.concatenate(frames))
        for block in job.blocks(out):
            those = numbers(np.arange(block.start, block.start + len(block.frames)))
            yield Block(block.start, block.frames, self.happening.rows(those, block.start, fps, size))
