"""LeRobot datasets, versions 2.0, 2.1 and 3.0: meta/info.json, rows in parquet, pictures in videos or in the rows.

info.json names the columns ("features") and how files are called. To 2.1 an episode has files of its own
(data/chunk-000/episode_000007.parquet, videos/chunk-000/CAMERA/episode_000007.mp4) and a line of meta/episodes.jsonl;
from 3.0 on files hold many (data/chunk-000/file-000.parquet, videos/CAMERA/chunk-000/file-000.mp4), and
meta/episodes/chunk-000/file-000.parquet says which episode is in which, and from which second of each video.

An episode is a recording. ``action`` is what was asked for, ``observation.state`` what was measured, by the names that
the dataset gives their parts; it says no units and no lags. Rows are counted from 0. Needs the package pyarrow.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from reverie.core.clip import Channel
from reverie.core.errors import BadData, BadMedia, ReverieError
from reverie.core.image import read_image
from reverie.core.video import probe
from reverie.data.readers import Film, Recording, Sieve, Source, near, number, read_text, rises

FORMAT = "LeRobot dataset"
INFO = Path("meta") / "info.json"
VERSIONS = ("v2.0", "v2.1", "v3.0")
VECTORS = {"action": "", "observation.state": "state."}  # column -> what its channels' names begin with
CAMERAS = ("video", "image")
MAX_NUMBERS = 4096  # of a vector
_OWN = {"timestamp", "frame_index", "episode_index", "index", "task_index"}


def recognises(path: Path) -> bool:
    """Whether ``path`` is the folder of such a dataset."""
    return (path / INFO).is_file()


def read(path: Path) -> Iterator[Recording]:
    """A recording for each episode; times are seconds from its beginning. Raises BadData, and ReverieError without
    pyarrow."""
    info = _info(path / INFO)
    later = info["codebase_version"].startswith("v3")
    table, file = None, None
    for episode in _episodes(path, later):
        index = int(episode["episode_index"])
        places = {"episode_index": index, "episode_chunk": index // info["chunks_size"]}
        places |= {"chunk_index": episode.get("data/chunk_index"), "file_index": episode.get("data/file_index")}
        if file != (named := _named(path, info, "data_path", places)):
            file, table = named, _rows(named)
        yield _episode(path, info, episode, places, file, table)


@dataclass(frozen=True)
class Embedded:
    """Pictures that stand in the rows of a parquet file: those of the rows ``numbers`` (T,), rising."""

    path: Path
    column: str
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: np.ndarray) -> Embedded:
        """See Source."""
        return replace(self, numbers=self.numbers[rows])

    def frames(self, size: tuple[int, int] | None = None) -> Iterator[np.ndarray | None]:
        """See Source."""
        wanted, at = set(self.numbers.tolist()), 0
        for batch in _parquet().ParquetFile(self.path).iter_batches(64, columns=[self.column]):
            for row in [row for row in range(at, at + len(batch)) if row in wanted]:
                picture, cell = None, batch.column(0)[row - at].as_py()
                with contextlib.suppress(BadMedia, TypeError, KeyError):
                    picture = read_image(bytes(cell["bytes"]), size)
                yield picture
            at += len(batch)

    def where(self, row: int) -> str:
        """See Source."""
        return f"{self.path.name} row {self.numbers[row]}, {self.column}"


def _parquet() -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise ReverieError('LeRobot datasets are read with pyarrow: pip install "reverie[lerobot]"') from None
    return parquet


def _info(path: Path) -> dict:
    """info.json, with what is used of it as it should be. Raises BadData."""
    try:
        info = json.loads(read_text(path))
        version, features = info["codebase_version"], info["features"]
        info["fps"], info["chunks_size"] = float(info["fps"]), int(info.get("chunks_size", 1000))
        for name, feature in features.items():
            feature["dtype"] = str(feature["dtype"])
            feature["info"] = dict(feature.get("info") or {}) | dict(feature.get("video_info") or {})
            if name in VECTORS and not 0 < int(feature["shape"][0]) <= MAX_NUMBERS:
                raise ValueError
        if not (0 < info["fps"] < 1000 and info["chunks_size"] > 0):
            raise ValueError
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise BadData(f"{path} is not the info of a LeRobot dataset (codebase_version, fps, features)") from error
    if version not in VERSIONS:
        raise BadData(f"{path}: codebase_version {str(version)[:20]}; {', '.join(VERSIONS)} can be read")
    if not any(feature["dtype"] in CAMERAS for feature in features.values()):
        raise BadData(f"{path}: no camera among its features (dtype video or image)")
    return info


def _episodes(path: Path, later: bool) -> list[dict]:
    """What the dataset says of each episode: episode_index, tasks, and from 3.0 on where its files are."""
    if not later:
        file, found = path / "meta" / "episodes.jsonl", []
        for at, line in enumerate(read_text(file).splitlines(), 1):
            try:
                if line:
                    found.append(about := json.loads(line))
                    about["episode_index"] = int(about["episode_index"])
            except (ValueError, TypeError, KeyError, OverflowError) as error:
                raise BadData(f"{file} row {at}: no episode_index") from error
        return found
    found = []
    for file in sorted((path / "meta" / "episodes").glob("*/*.parquet")):
        table = _table(file, lambda name: not name.startswith("stats/"))
        if "episode_index" not in table.column_names:
            raise BadData(f"{file} row 1: no column episode_index")
        found += table.to_pylist()
    if not found:
        raise BadData(f"{path}: no episodes in meta/episodes (*/*.parquet)")
    return sorted(found, key=lambda episode: episode["episode_index"])


def _table(file: Path, wanted: Callable[[str], bool]) -> Any:
    """The columns of a parquet file whose names are wanted. Raises BadData."""
    parquet = _parquet()
    from pyarrow import ArrowException

    try:
        opened = parquet.ParquetFile(file)
        return opened.read(columns=[name for name in opened.schema_arrow.names if wanted(name)])
    except (ArrowException, OSError, ValueError) as error:
        raise BadData(f"{file} is no parquet file that can be read, or it is damaged") from error


def _named(path: Path, info: dict, which: str, places: dict) -> Path:
    try:
        return path / info[which].format(**places)
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise BadData(f"{path / INFO}: no file of episode {places['episode_index']} by {which} {info.get(which)}") \
            from error


def _rows(file: Path) -> dict[str, Any]:
    """A data file's columns but pictures; none where it is not there."""
    if not file.is_file():
        return {}
    table = _table(file, lambda name: name in _OWN | set(VECTORS))
    if lacking := {"episode_index", "frame_index"} - set(table.column_names):
        raise BadData(f"{file} row 1: no column {min(lacking)}")
    columns = {name: column.to_pylist() for name, column in zip(table.column_names, table.columns, strict=True)}
    return {**columns, "episode_index": _numbers(columns["episode_index"])}


def _episode(path: Path, info: dict, episode: dict, places: dict, file: Path, table: dict[str, Any]) -> Recording:
    episode_index, fps = places["episode_index"], info["fps"]
    rows = np.flatnonzero(table.get("episode_index", np.zeros(0)) == episode_index)
    sieve = Sieve(path, len(rows), lambda row: f"{near(file)} row {rows[row]}")
    sieve.lose(int(not len(rows)), "episodes", "their rows are not there", f"{near(file)}, episode {episode_index}")
    columns = {name: [values[row] for row in rows] for name, values in table.items()}
    index = _numbers(columns.get("frame_index", []))
    times = _numbers(columns["timestamp"]) if "timestamp" in columns else index / fps
    sieve.drop(~np.isfinite(times + index), "no timestamp or frame_index")
    sieve.drop(~rises(index, sieve.kept), "its frame_index is not after the row's above", lambda row: f"{index[row]:g}")
    index = np.where(sieve.kept, index, 0).astype(np.int64)

    other = [name for name, feature in info["features"].items()
             if name not in _OWN | set(VECTORS) and feature["dtype"] not in CAMERAS]
    if episode_index == 0:
        first = f"{near(path / INFO)}, {''.join(other[:1])}"
        sieve.lose(len(other), "columns", "neither action nor observation.state", first)
    channels, parts = [], [np.zeros((len(rows), 0))]
    for name, begin in VECTORS.items():
        if name in columns and info["features"].get(name, {}).get("dtype", "").startswith(("float", "int")):
            found, values = _vector(sieve, name, begin, info["features"][name], columns[name])
            channels, parts = channels + found, [*parts, values]
    actions = np.concatenate(parts, 1)
    sieve.check(channels, actions)
    cameras = dict(_cameras(path, info, episode, places, file, sieve, rows, index))
    tasks = episode.get("tasks")
    tasks = [task for task in (tasks if isinstance(tasks, list) else [tasks]) if isinstance(task, str)]
    text = " ".join("; ".join(tasks).split())[:500]
    return sieve.recording(FORMAT, cameras, times, actions, channels, text)


def _vector(sieve: Sieve, name: str, begin: str, feature: dict, cells: list) -> tuple[list[Channel], np.ndarray]:
    """The channels of a column of vectors, and its numbers (T, A)."""
    cells = [cell if isinstance(cell, list) else [cell] for cell in cells]
    count = int(feature["shape"][0])
    sieve.drop(np.array([len(cell) != count for cell in cells], bool), f"{name} has not {count} numbers",
               lambda row: f"{len(cells[row])} numbers")
    names = feature.get("names")
    names = next(iter(names.values())) if isinstance(names, dict) and len(names) == 1 and count > 1 else names
    names = [str(part) for part in names] if isinstance(names, list | dict) and len(names) == count else \
        [f"{name}.{n}" for n in range(count)]
    measured = bool(begin)
    channels = [Channel(part if part.startswith(name) else begin + part, lag=0.0 if measured else None,
                        measured=measured) for part in names]
    values = [_numbers(cell) if len(cell) == count else np.full(count, np.nan) for cell in cells]
    return channels, np.array(values, np.float64).reshape(len(cells), count)


def _numbers(cells: list) -> np.ndarray:
    """Cells as (T,) float64, NaN for what is no number."""
    return np.array([number(cell) for cell in cells], np.float64)


def _cameras(path: Path, info: dict, episode: dict, places: dict, file: Path, sieve: Sieve, rows: np.ndarray,
             index: np.ndarray) -> Iterator[tuple[str, Source]]:
    """Each camera's pictures of T rows; depth is no picture."""
    for key, feature in info["features"].items():
        if feature["dtype"] not in CAMERAS:
            continue
        if feature["info"].get("is_depth_map") or feature["info"].get("video.is_depth_map"):
            once = int(places["episode_index"] == 0)
            sieve.lose(once, "cameras", "depth, not a picture", f"{near(path / INFO)}, {key}")
            continue
        name = key.removeprefix("observation.").removeprefix("images.").replace(".", "_").replace("/", "_")
        if feature["dtype"] == "image":
            yield name, Embedded(file, key, rows)
            continue
        there = {**places, "video_key": key, "chunk_index": episode.get(f"videos/{key}/chunk_index"),
                 "file_index": episode.get(f"videos/{key}/file_index")}
        video, start = _named(path, info, "video_path", there), float(episode.get(f"videos/{key}/from_timestamp") or 0)
        count = 0
        with contextlib.suppress(BadMedia):
            seen = probe(video)
            count = seen["frames"] or round(seen["seconds"] * seen["fps"])
        sieve.drop(index >= count - round(start * info["fps"]), "a video ends before it, or is not there",
                   lambda row, v=video, c=count: f"{v.relative_to(path)}: {c} frames")
        yield name, Film(video, index, start, info["fps"])
