"""A recorded log as clips: its unbroken stretches, cut to a length, the end of each kept for tests.

Pictures are never interpolated and rows never moved: a clip has its rows' own times, and its fps is the log's median
rate. A row of which a picture turns out to be damaged ends a clip there.

Legend: T rows of a clip, A action channels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path

import numpy as np

from reverie.core.clip import Clip, Line
from reverie.core.errors import BadData, BadInput
from reverie.core.video import MAX_MEMORY
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.readers import Dropped, Recording
from reverie.data.sample import Sample
from reverie.data.shards import write_shard

SHORT_SIDE, LONGEST = 160, 2048  # pixels: of a clip whose size nobody chose; of any clip
SHORT = f"fewer than the {FRAMES_PER_LATENT} that a clip takes, at a stretch's end"
HELD_OUT = 0.15  # of every stretch, at its end: split "test"


@dataclass(frozen=True)
class Piece:
    """Rows start..stop, of stretch number ``stretch``, that become one clip of a split, "train" or "test"."""

    stretch: int
    start: int
    stop: int
    split: str


def plan(recording: Recording, most: int) -> tuple[list[Piece], list[Dropped]]:
    """The clips of a recording, of ``most`` rows at most, and what is said of the rows that no clip holds."""
    pieces, left, first = [], 0, 0
    for number, stretch in enumerate(recording.stretches()):
        length = stretch.stop - stretch.start
        train = trained_on(length)
        for start, stop, split in ((stretch.start, stretch.start + train, "train"),
                                   (stretch.start + train, stretch.stop, "test")):
            for begin in range(start, stop, most):
                end = min(begin + most, stop)
                if end - begin >= FRAMES_PER_LATENT:
                    pieces.append(Piece(number, begin, end, split))
                else:
                    left, first = left + end - begin, first if left else begin
    said = [Dropped(left, "rows", SHORT, recording.place(first))] if left else []
    return pieces, recording.splits() + said


def trained_on(length: int) -> int:
    """How many first rows of a stretch of so many are trained on: whole latents, or all of a short one."""
    train = int(length * (1 - HELD_OUT)) // FRAMES_PER_LATENT * FRAMES_PER_LATENT
    return length if length - train < FRAMES_PER_LATENT or not train else train


@dataclass(frozen=True)
class Drive:
    """A log on its way into a folder of shards. key: what its clips' keys begin with; it names all that the log says.
    size: (H, W) of every camera; pieces: the clips that are still to be made."""

    log: Recording
    key: str
    size: tuple[int, int]
    pieces: list[Piece]

    @classmethod
    def of(cls, log: Recording, out: Path, seconds: float, size: tuple[int, int] | None,
           whole: Callable[[Path], bool], say: Callable[[Dropped], object]) -> Drive:
        """What is to be done for clips of so many ``seconds`` at most, of a size (H, W) or their own; ``whole`` knows
        which shards are there. Raises BadData without a picture, BadInput for clips over MAX_MEMORY."""
        folder = log.log.absolute() if log.log.is_dir() else log.log.absolute().parent
        name = re.sub("[^0-9A-Za-z_]+", "-", folder.name).strip("-")
        key = f"{name[:40] or 'log'}-{log.mark()}"
        if size is None:
            shown = next(iter(log.cameras.values())).frames()
            first = next((picture for picture in shown if picture is not None), None)
            if first is None:
                raise BadData(f"{log.log}: none of its pictures can be read")
            size = own_size(*first.shape[:2])
        most = max(1, int(seconds * log.fps + 1e-6) // FRAMES_PER_LATENT) * FRAMES_PER_LATENT
        check_memory(log.log, seconds, log.fps, size, most * len(log.cameras))
        pieces, said = plan(log, most)
        for one in said:
            say(one)
        there = {n for n in {piece.stretch for piece in pieces} if whole(out / f"{key}-{n:03d}.tar")}
        return cls(log, key, size, [piece for piece in pieces if piece.stretch not in there])

    @property
    def rows(self) -> int:
        """How many rows there are to be done."""
        return sum(piece.stop - piece.start for piece in self.pieces)

    def write(self, out: Path, count: Callable[[Sample], Sample], tell: Callable[[int], object],
              say: Callable[[Dropped], object]) -> None:
        """Write a shard for each stretch. count hears of every clip, tell of so many more rows, say of damaged ones."""
        for stretch, parts in groupby(self._samples(tell, say), lambda pair: pair[0]):
            clips = (count(sample) for _, some in parts for sample in some)
            if (first := next(clips, None)) is not None:
                write_shard(out / f"{self.key}-{stretch:03d}.tar", chain([first], clips))

    def _samples(self, tell: Callable[[int], object],
                 say: Callable[[Dropped], object]) -> Iterator[tuple[int, list[Sample]]]:
        """(stretch number, clips) of one piece after the other: each camera is read once, in order."""
        rows = np.array([row for piece in self.pieces for row in range(piece.start, piece.stop)], np.int64)
        streams = [camera.take(rows).frames(self.size) for camera in self.log.cameras.values()]
        for piece in self.pieces:
            got = list(zip(range(piece.start, piece.stop), *streams, strict=False))
            tell(len(got))
            yield piece.stretch, list(_clips(self.log, piece, got, self.key, say))


def own_size(height: int, width: int, most: int = SHORT_SIDE) -> tuple[int, int]:
    """A picture's size (H, W) in multiples of 32: nearly its own, or of its shape with a short side of ``most``."""
    short, shape = min(height, width), max(height, width) / min(height, width)
    short = 32 * min(max(1, round(short / 32)), most // 32)
    long = min(32 * max(short // 32, round(short * shape / 32)), LONGEST)
    return (short, long) if height <= width else (long, short)


def check_memory(path: Path, seconds: float, fps: float, size: tuple[int, int], frames: int) -> None:
    """Raise BadInput for a clip of so many ``frames`` (of all cameras) of a size (H, W) that is over MAX_MEMORY."""
    if frames * size[0] * size[1] * 3 > MAX_MEMORY:
        raise BadInput(f"{path}: {seconds:g} s of {size[1]}x{size[0]} at {fps:g} fps are over "
                       f"{MAX_MEMORY >> 30} GB: ask for fewer --seconds or a smaller --size")


def _clips(recording: Recording, piece: Piece, got: list[tuple], key: str,
           say: Callable[[Dropped], object]) -> Iterator[Sample]:
    whole = [not any(picture is None for picture in row[1:]) for row in got]
    for good, run in groupby(zip(got, whole, strict=True), lambda pair: pair[1]):
        part = [row for row, _ in run]
        first, stop = part[0][0], part[-1][0] + 1
        if not good:
            camera = next(camera for camera, picture in zip(recording.cameras.values(), part[0][1:], strict=True)
                          if picture is None)
            where = f"{recording.place(first)}, {camera.where(first)}"
            say(Dropped(len(part), "rows", "a picture cannot be read", where))
        elif len(part) < FRAMES_PER_LATENT:
            say(Dropped(len(part), "rows", SHORT, recording.place(first)))
        else:
            clip = _clip(recording, slice(first, stop), list(zip(*part, strict=True))[1:])
            yield Sample(f"{key}-{first:06d}", clip, {
                "world": "recorded", "format": recording.format, "log": recording.log.name, "stretch": piece.stretch,
                "first": recording.place(first), "split": piece.split,
                "from_seconds": round(float(recording.times[first] - recording.times[0]), 3)})


def _clip(recording: Recording, rows: slice, pictures: list[tuple]) -> Clip:
    times = recording.times[rows]
    return Clip(recording.fps, [Line(0.0, recording.text)] if recording.text else [],
                {name: np.stack(shown) for name, shown in zip(recording.cameras, pictures, strict=True)},
                recording.actions[rows] if recording.channels else None,
                tuple(channel.name for channel in recording.channels), channels=recording.channels,
                times=times - times[0])
