"""Recorded logs: what a car, a simulator or a robot wrote down, read in place, with its own times and numbers.

    reader = recognise(Path("my_drive"))  # one of the modules of this folder
    for recording in reader.read(Path("my_drive")):
        recording.times, recording.actions, recording.cameras["center"].frames((160, 320))

To read another format, copy one of those modules (udacity is the plainest), give it the same three names, FORMAT,
``recognises`` and ``read``, and add it to FORMATS. A reader never stops at a bad row: it leaves it out and says so, a
line for each reason, with where it met the first. It raises BadData for a log of which nothing can be understood.

Legend: T rows that are kept, each with one picture of every camera; A action channels.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import importlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, repeat
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np

from reverie.core.clip import Channel
from reverie.core.errors import BadData, BadMedia
from reverie.core.files import check_input
from reverie.core.image import read_image
from reverie.core.video import pick_frames, probe, stream_video

FORMATS = ("lerobot", "donkeycar", "udacity", "folder")  # the surest first
GAP = 2.5  # median intervals: where more time passes between two rows, what comes after is another recording
MPH = 0.44704  # m/s


@dataclass(frozen=True)
class Dropped:
    """``count`` of what ("rows", "gaps", "cameras", ...) for one reason; first: where the first is, file and row.
    split: nothing is lost, but clips end there."""

    count: int
    what: str
    reason: str
    first: str
    split: bool = False

    def __str__(self) -> str:
        one = self.what[:-1] if self.count == 1 else self.what
        return f"{'split at' if self.split else 'left out:'} {self.count} {one}: {self.reason} (first: {self.first})"


class Source(Protocol):
    """One camera's pictures, one to a row, read when they are asked for."""

    def __len__(self) -> int: ...

    def take(self, rows: np.ndarray) -> Source:
        """Only these rows: their numbers, rising, or (T,) bool."""

    def frames(self, size: tuple[int, int] | None = None) -> Iterator[np.ndarray | None]:
        """Every picture, uint8 (H, W, 3), cut and scaled to ``size`` (H, W); None for one that cannot be read."""

    def where(self, row: int) -> str:
        """Which file, and what in it."""


@dataclass(frozen=True)
class Pictures:
    """A file for each row."""

    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: np.ndarray) -> Pictures:
        """See Source."""
        return Pictures([self.paths[row] for row in np.arange(len(self.paths))[rows]])

    def frames(self, size: tuple[int, int] | None = None) -> Iterator[np.ndarray | None]:
        """See Source."""
        for path in self.paths:
            picture = None
            with contextlib.suppress(BadMedia):
                picture = read_image(path, size)
            yield picture

    def where(self, row: int) -> str:
        """See Source."""
        return self.paths[row].name


@dataclass(frozen=True)
class Film:
    """A video, and which of its frames (T,) belong to the rows, rising: counted from 0 as they are stored, whatever
    their times; or, with ``start`` over 0, from the frame shown at so many seconds on, at ``fps``."""

    path: Path
    numbers: np.ndarray
    start: float = 0.0
    fps: float | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: np.ndarray) -> Film:
        """See Source."""
        return replace(self, numbers=self.numbers[rows])

    def frames(self, size: tuple[int, int] | None = None) -> Iterator[np.ndarray | None]:
        """See Source."""
        given = 0
        with contextlib.suppress(BadMedia):
            for frame in self._from_start(size) if self.start else pick_frames(self.path, self.numbers.tolist(), size):
                yield frame
                given += 1
        yield from repeat(None, len(self) - given)

    def _from_start(self, size: tuple[int, int] | None) -> Iterator[np.ndarray]:
        fps = self.fps or probe(self.path)["fps"]
        begin = max(0.0, self.start - 0.25 / fps)  # times are rounded: the frame at ``start`` may be a little before it
        stream = stream_video(self.path, fps=fps, size=size, from_seconds=begin)
        for step in np.diff(self.numbers, prepend=-1):
            yield from islice(stream, step - 1, step)

    def where(self, row: int) -> str:
        """See Source."""
        return f"{self.path.name} frame {self.numbers[row]}" + (f" from {self.start:.2f} s on" if self.start else "")


@dataclass
class Recording:
    """One log as it was recorded, in its own order.

    log: the file or folder that messages name. cameras: by name, each T pictures; the first is the one that looks
    ahead. times: (T,) float64 seconds by the log's own clock. actions: (T, A) float32 in the units of ``channels``; a
    row's numbers hold until the next row. text: what it shows, or "". place: names file and row of a kept row.
    """

    log: Path
    format: str
    cameras: dict[str, Source]
    times: np.ndarray
    actions: np.ndarray
    channels: tuple[Channel, ...]
    place: Callable[[int], str]
    text: str = ""
    dropped: list[Dropped] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def interval(self) -> float:
        """The median of the seconds from one row to the next."""
        return median_interval(self.times)

    @property
    def fps(self) -> float:
        """The log's own median rate, rows a second."""
        return round(1 / self.interval, 4)

    def stretches(self) -> list[slice]:
        """The unbroken recordings in it: rows between gaps of over GAP intervals, or where time runs backwards."""
        steps = np.diff(self.times)
        ends = np.flatnonzero((steps <= 0) | (steps > GAP * self.interval)) + 1
        bounds = [0, *ends.tolist(), len(self)]
        return [slice(a, b) for a, b in zip(bounds, bounds[1:], strict=False) if b > a]

    def splits(self) -> list[Dropped]:
        """What is said of the places where stretches end."""
        steps, said = np.diff(self.times), []
        for what, reason, found in (("jumps", "time runs backwards or stands", steps <= 0),
                                    ("gaps", f"over {GAP:g} times the median interval", steps > GAP * self.interval)):
            if (rows := np.flatnonzero(found)).size:
                place = f"{self.place(int(rows[0]) + 1)}, {steps[rows[0]]:.3g} s"
                said.append(Dropped(len(rows), what, reason, place, split=True))
        return said

    def mark(self) -> str:
        """Eight letters that stand for all of its times, numbers, pictures' names and text."""
        whole = hashlib.sha256(self.times.tobytes() + self.actions.tobytes() + self.text.encode())
        for name, camera in self.cameras.items():
            whole.update(f"{name} {len(camera)} ".encode())
            whole.update(" ".join(camera.where(row) for row in range(len(camera))).encode())
        whole.update(" ".join(channel.name for channel in self.channels).encode())
        return whole.hexdigest()[:8]


def median_interval(times: np.ndarray) -> float:
    """The median of the steps forward in (T,) seconds; 1.0 where there is none."""
    steps = np.diff(times)
    return float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0


def rises(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Which of (T,) values are higher than all those above them that are kept, (T,) bool."""
    highest = np.maximum.accumulate(np.concatenate([[-np.inf], np.where(kept, values, -np.inf)]))
    return np.asarray(values > highest[:-1])


class Sieve:
    """Which of a log's rows are kept, and how many are not, a reason at a time.

    place: names file and row of a row number. Rows that are no rows at all are told by ``lose``.
    """

    def __init__(self, log: Path, count: int, place: Callable[[int], str], dropped: Sequence[Dropped] = ()):
        self.log, self.place, self.dropped = log, place, list(dropped)
        self.kept = np.ones(count, bool)

    def drop(self, bad: np.ndarray, reason: str, detail: Callable[[int], object] | None = None) -> None:
        """Leave out the rows where ``bad`` (T,) and say why; of the first of them, ``detail`` tells more."""
        rows = np.flatnonzero(bad & self.kept)
        if rows.size:
            more = f", {detail(int(rows[0]))}" if detail else ""
            self.dropped.append(Dropped(len(rows), "rows", reason, self.place(int(rows[0])) + more))
            self.kept[rows] = False

    def lose(self, count: int, what: str, reason: str, first: str) -> None:
        """Say that ``count`` of what else there is are left out."""
        if count:
            self.dropped.append(Dropped(count, what, reason, first))

    def check(self, channels: Sequence[Channel], actions: np.ndarray) -> None:
        """Leave out rows of (T, A) numbers in which one is missing or out of its channel's range."""
        for channel, values in zip(channels, actions.T, strict=True):
            if not channel.measured:
                self.drop(~np.isfinite(values), f"no number for {channel.name}")
            low = -np.inf if channel.low is None else channel.low
            high = np.inf if channel.high is None else channel.high
            with np.errstate(invalid="ignore"):
                self.drop((values < low - 1e-4) | (values > high + 1e-4),
                          f"{channel.name} is out of its range {low:g}..{high:g}", lambda row, v=values: f"{v[row]:g}")

    def recording(self, format: str, cameras: dict[str, Source], times: np.ndarray, actions: np.ndarray,
                  channels: Sequence[Channel], text: str = "") -> Recording:
        """What is left of T rows, T pictures a camera, times (T,), actions (T, A)."""
        rows = np.flatnonzero(self.kept)
        return Recording(self.log, format, {name: camera.take(rows) for name, camera in cameras.items()},
                         np.asarray(times, np.float64)[rows], np.asarray(actions, np.float32)[rows], tuple(channels),
                         lambda row: self.place(int(rows[row])), text, self.dropped)


# ---------------------------------------------------------------- what several readers need


def recognise(path: Path) -> ModuleType | None:
    """The module that reads what is at ``path`` (a folder, or a log's own file), or None: ``FORMAT`` is its name,
    ``read(path)`` yields its Recordings."""
    for name in FORMATS:
        reader = importlib.import_module(f"reverie.data.readers.{name}")
        if reader.recognises(path):
            return reader
    return None


def inside(path: Path) -> tuple[list[Path], list[Path]]:
    """The logs (folders, or their own files) and the videos that belong to none, at a path or below it, sorted."""
    if not path.is_dir():
        return ([path], []) if recognise(path) else ([], [path])
    folder = importlib.import_module("reverie.data.readers.folder")
    logs, videos = [], []
    for place, below, names in os.walk(path):
        here, below[:] = Path(place), sorted(below)
        reader = recognise(here)
        logs += [here] if reader is not None else []
        if reader not in (None, folder):
            below.clear()  # its pictures, its chunks
            continue
        taken = {video for own in folder.logs(here).values() for video in own}
        videos += [file for file in (here / name for name in names) if file.suffix.lower() in folder.VIDEOS
                   and file.is_file() and file not in taken and not file.name.startswith(".")]
    return logs, sorted(videos)


def driving_channels(lag: float | None) -> dict[str, Channel]:
    """A car's channels by name. Steering and throttle: -1..1 of what there is, positive is right and forward."""
    return {"steering": Channel("steering", "1", -1.0, 1.0, lag), "throttle": Channel("throttle", "1", -1.0, 1.0, lag),
            "brake": Channel("brake", "1", 0.0, 1.0, lag), "speed": Channel("speed", "m/s", lag=0.0, measured=True)}


def near(path: Path) -> str:
    """A file's name with its folder's, as messages have it."""
    return f"{path.absolute().parent.name}/{path.name}"


def read_text(path: Path) -> str:
    """A log's text; a byte that is no UTF-8 spoils its row only. Raises BadMedia for no, an empty or a huge file."""
    return check_input(path).read_bytes().decode("utf-8-sig", "replace")


def read_table(path: Path) -> tuple[list[int], list[list[str]]]:
    """The rows of a CSV that are not empty: their numbers, as an editor counts lines, and their cells without the white
    space around. Raises BadData, BadMedia."""
    numbers, table = [], []
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                numbers.append(reader.line_num)
                table.append([cell.strip() for cell in cells])
    except csv.Error as error:
        raise BadData(f"{path} row {reader.line_num}: {error}") from error
    if not table:
        raise BadData(f"{path} holds no row")
    return numbers, table


def number(cell: object) -> float:
    """A cell as a number, NaN for what is none."""
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
