"""A folder of videos with a CSV: walk.csv beside walk.mp4, or one CSV for all the videos of a folder, its cameras.

The CSV begins with a line of names. One column is the time (time_s, time, timestamp, t; or time_ms); each other one
that holds numbers is a channel, whose unit ends its name: speed_mph, accel_mps2. Steering, throttle and brake are -1..1
(0..1), positive is right. Where there is a column ``frame``, or a row for every frame, a row belongs to the frame of
that number, whatever the video's own clock says; else time counts from the videos' first frame, frames come at their
own rate, and actions are averaged over each frame's interval. A text of the CSV's name (walk.txt) says what is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from reverie.core.clip import Channel
from reverie.core.errors import BadData
from reverie.core.script import clean_text
from reverie.core.video import probe
from reverie.data.readers import (
    GAP,
    MPH,
    Film,
    Recording,
    Sieve,
    driving_channels,
    median_interval,
    near,
    number,
    read_table,
    read_text,
    rises,
)

FORMAT = "folder of videos with a CSV"
VIDEOS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".ogv", ".gif"}
AHEAD = ("center", "centre", "front")  # cameras that come first
TIMES = {"time_s": 1.0, "time": 1.0, "timestamp": 1.0, "timestamp_s": 1.0, "t": 1.0, "seconds": 1.0, "time_ms": 0.001,
         "timestamp_ms": 0.001}
UNITS = {"mph": ("m/s", MPH), "kmh": ("m/s", 1 / 3.6), "kph": ("m/s", 1 / 3.6), "mps": ("m/s", 1.0),
         "mps2": ("m/s2", 1.0), "m": ("m", 1.0), "deg": ("deg", 1.0), "rad": ("rad", 1.0), "dps": ("deg/s", 1.0)}


def recognises(path: Path) -> bool:
    """Whether ``path`` is such a folder, or the CSV of such a folder."""
    return bool(logs(path))


def read(path: Path) -> Iterator[Recording]:
    """A recording for each CSV. Raises BadData, BadMedia for a video that cannot be read."""
    found, taken = logs(path), {}
    for log, videos in found.items():
        if (other := taken.setdefault(videos[0], log)) is not log:
            raise BadData(f"{path}: is {other.name} or {log.name} the log of its videos? Give that file as the path")
    for log, videos in found.items():
        yield _one(log, videos)


def logs(path: Path) -> dict[Path, list[Path]]:
    """Each CSV at a path (a folder, or a CSV) with its videos, those that look ahead first."""
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        return {}
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    videos = [file for file in files if file.suffix.lower() in VIDEOS]
    videos.sort(key=lambda file: AHEAD.index(file.stem.lower()) if file.stem.lower() in AHEAD else len(AHEAD))
    tables = [file for file in files if file.suffix.lower() == ".csv"]
    found = {table: own for table in tables if (own := [video for video in videos if video.stem == table.stem])}
    left = [video for video in videos if not any(video in own for own in found.values())]
    found |= {table: left for table in tables if table not in found and left}
    return found if path.is_dir() else {path: found[path]} if path in found else {}


def _one(log: Path, videos: list[Path]) -> Recording:
    about = {_camera(video, videos): probe(video) for video in videos}
    rows, table = read_table(log)
    names, (rows, table) = [cell.lower() for cell in table[0]], (rows[1:], table[1:])
    clock = next((name for name in TIMES if name in names), None)
    if clock is None:
        raise BadData(f"{log} row 1: it has the columns {', '.join(names)[:120]}, and none is a time (time_s, "
                      "time_ms); a table that is no log must lie elsewhere")
    sieve = Sieve(log, len(rows), lambda row: f"{near(log)} row {rows[row]}")
    sieve.drop(np.array([len(cells) != len(names) for cells in table], bool), f"not {len(names)} cells like the first",
               lambda row: f"{len(table[row])} cells")
    columns = {name: np.array([number(cells[n]) if n < len(cells) else np.nan for cells in table])
               for n, name in enumerate(names)}
    times = columns.pop(clock) * TIMES[clock]
    sieve.drop(~np.isfinite(times), f"no number for {clock}")
    numbers = columns.pop("frame", None)
    channels, actions = _channels(sieve, columns)
    sieve.check(channels, actions)
    beside = log.with_suffix(".txt")
    text = read_text(beside).strip() if beside.is_file() and beside.stat().st_size else ""
    text = clean_text(text, f"the text {beside}") if text else ""

    counts = {name: one["frames"] for name, one in about.items()}  # 0 where nobody knows
    if numbers is None and len(rows) not in counts.values():
        return _averaged(sieve, videos, about, times, actions, channels, text)
    numbers = np.arange(len(rows)) if numbers is None else numbers
    sieve.drop(~(np.isfinite(numbers) & (numbers >= 0) & (numbers % 1 == 0)), "no number of a frame")
    for video, count in zip(videos, counts.values(), strict=True):
        if count:
            sieve.drop(numbers >= count, "a video ends before it",
                       lambda row, v=video, c=count: f"{v.name}: {c} frames")
            last = int(numbers[sieve.kept].max(initial=-1)) + 1
            sieve.lose(max(0, count - last), "frames", "after the last row", f"{near(video)} frame {last}")
    sieve.drop(~rises(numbers, sieve.kept), "its frame is not after the row's above",
               lambda row: f"frame {numbers[row]:g}")
    numbers = np.where(sieve.kept, numbers, 0).astype(np.int64)
    cameras = {name: Film(video, numbers) for name, video in zip(about, videos, strict=True)}
    return sieve.recording(FORMAT, cameras, times, actions, channels, text)


def _camera(video: Path, videos: list[Path]) -> str:
    """A video's name as a camera."""
    return "front" if len(videos) == 1 else video.stem.replace(".", "_")


def _channels(sieve: Sieve, columns: dict[str, np.ndarray]) -> tuple[list[Channel], np.ndarray]:
    """Channels, and actions (T, A) in their units; columns without any number are left out."""
    known, channels, kept = driving_channels(None), [], []
    empty = [name for name, values in columns.items() if not np.isfinite(values).any()]
    sieve.lose(len(empty), "columns", "no numbers in it", f"{near(sieve.log)}, {''.join(empty[:1])}")
    for name in [name for name in columns if name not in empty]:
        base, _, last = name.rpartition("_")
        unit, factor = UNITS.get(last, ("", 1.0)) if base else ("", 1.0)
        base = base if unit else name
        channel = known.get(base, Channel(base))
        if unit and unit != channel.unit:
            channel = replace(channel, unit=unit, low=None, high=None)
        elif not unit and channel.unit == "m/s":
            channel = replace(channel, unit="")  # a speed, but in what?
        channels.append(channel)
        kept.append(columns[name] * factor)
    return channels, np.array(kept, np.float64).reshape(len(kept), len(sieve.kept)).T


def _averaged(sieve: Sieve, videos: list[Path], about: dict[str, dict], times: np.ndarray, actions: np.ndarray,
              channels: list[Channel], text: str) -> Recording:
    """A recording whose rows are the videos' frames: rows of the log (S,), (S, A) are averaged over each interval."""
    rates = {one["fps"] for one in about.values()}
    if max(rates) > 1.01 * min(rates):
        raise BadData(f"{sieve.log}: its videos have {', '.join(f'{rate:g}' for rate in sorted(rates))} fps: a column "
                      f"frame must say which frame a row belongs to")
    fps, count = rates.pop(), min(one["frames"] or round(one["seconds"] * one["fps"]) for one in about.values())
    longest = max(one["frames"] for one in about.values())
    sieve.lose(max(0, longest - count), "frames", "another camera ends before", f"{near(videos[0])} frame {count}")
    sieve.drop(~rises(times, sieve.kept), "time runs backwards or stands", lambda row: f"{times[row]:.3f} s")
    sieve.drop(~np.isfinite(actions).all(1), "a number is missing, and none can be averaged")
    times, actions = times[sieve.kept], actions[sieve.kept]
    if len(times) < 2:
        raise BadData(f"{sieve.log}: it has {len(times)} rows that can be used, of two at least"
                      + "".join(f"; {line}" for line in sieve.dropped[:1]))
    frames = Sieve(sieve.log, count, lambda row: f"{near(videos[0])} frame {row}", sieve.dropped)
    edges = np.arange(count + 1) / fps
    frames.drop((edges[:-1] < times[0] - 1e-6) | (edges[:-1] > times[-1]), f"outside the times of {sieve.log.name}")
    held = np.diff(times) > GAP * median_interval(times)
    spans = np.cumsum(np.concatenate([[0], held * np.diff(times)]))  # of gaps so far
    inside = np.diff(np.interp(edges, times, spans)) > 1e-9
    frames.drop(inside, f"in a gap of {sieve.log.name}, of over {GAP:g} times its median interval")
    cameras = {name: Film(video, np.arange(count)) for name, video in zip(about, videos, strict=True)}
    return frames.recording(FORMAT, cameras, edges[:-1], averages(times, actions, edges), channels, text)


def averages(times: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The means (T, A) between edges (T + 1,) of values (S, A) that hold from their time (S,), rising, to the next."""
    ends = np.append(times, max(times[-1], edges[-1]) + 1.0)
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values * np.diff(ends)[:, None], 0)])
    whole = np.stack([np.interp(edges, ends, column) for column in sums.T], 1) if values.shape[1] else sums[:0]
    return np.diff(whole, axis=0) / np.diff(edges)[:, None] if values.shape[1] else np.zeros((len(edges) - 1, 0))
