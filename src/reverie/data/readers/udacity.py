"""Logs of Udacity's driving simulator: driving_log.csv, and beside it the folder IMG of its three cameras' pictures.

A row is center, left and right picture, steering, throttle, brake, speed (mph), with or without a line of names above.
Pictures are recorded with the absolute path that they had (Windows or not), of which only the name is used; the name
holds the time, to the millisecond: center_2019_03_26_17_45_20_295.jpg.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from reverie.core.errors import BadData
from reverie.data.readers import MPH, Pictures, Recording, Sieve, driving_channels, near, number, read_table

FORMAT = "Udacity simulator log"
LOG = "driving_log.csv"
CAMERAS = ("center", "left", "right")
NUMBERS = ("steering", "throttle", "brake", "speed")
LAG = 0.12  # seconds: the car answers one to two frames after the row, of 0.08 s each
_TIME = re.compile(r"_(\d{4})_(\d\d?)_(\d\d?)_(\d\d?)_(\d\d?)_(\d\d?)_(\d{3})\.")


def recognises(path: Path) -> bool:
    """Whether ``path`` is such a log: its folder, or driving_log.csv itself."""
    return (path / LOG).is_file() or (path.name == LOG and path.is_file())


def read(path: Path) -> Iterator[Recording]:
    """The one recording in it; times are seconds since 1970 by the clock on that wall. Raises BadData."""
    log = path / LOG if path.is_dir() else path
    rows, table = read_table(log)
    names = [cell.lower() for cell in table[0]]
    if "center" in names or "steering" in names:
        rows, table = rows[1:], table[1:]
    elif len(names) == len(CAMERAS + NUMBERS):
        names = [*CAMERAS, *NUMBERS]
    if not {"center", "steering"} <= set(names):
        raise BadData(f"{log} row 1: it has the columns {', '.join(names)[:120]}, not "
                      f"{', '.join(CAMERAS + NUMBERS)}")
    sieve = Sieve(log, len(rows), lambda row: f"{near(log)} row {rows[row]}")
    sieve.drop(np.array([len(cells) != len(names) for cells in table], bool),
               f"not {len(names)} cells like the first", lambda row: f"{len(table[row])} cells")
    columns = {name: [cells[n] if n < len(cells) else "" for cells in table] for n, name in enumerate(names)}

    folder = next((log.parent / name for name in ("IMG", "img") if (log.parent / name).is_dir()), log.parent)
    there = {file.name for file in folder.iterdir()}
    cameras = {}
    for name in [name for name in CAMERAS if name in columns]:
        files = [re.split(r"[/\\]", cell)[-1] for cell in columns[name]]
        missing = np.array([file not in there for file in files], bool)
        if name != "center" and missing.all():
            sieve.lose(1, "cameras", f"none of its pictures is in {folder.name}", f"{name}, {''.join(files[:1])}")
            continue
        sieve.drop(missing, f"a picture is not in {folder.name}", lambda row, files=files: files[row])
        cameras[name] = Pictures([folder / file for file in files])
    times = np.array([_time(cell) for cell in columns["center"]])
    sieve.drop(np.isnan(times), "no time in the picture's name", lambda row: cameras["center"].where(row))

    known = driving_channels(LAG)
    channels = [known[name] for name in NUMBERS if name in columns]
    actions = np.array([[number(cell) for cell in columns[channel.name]] for channel in channels]).T
    actions[:, [channel.name == "speed" for channel in channels]] *= MPH
    sieve.check(channels, actions)
    yield sieve.recording(FORMAT, cameras, times, actions, channels)


def _time(name: str) -> float:
    """Seconds since 1970 from a picture's name, NaN where it holds no time."""
    found = _TIME.search(name)
    try:
        *clock, milliseconds = map(int, found.groups() if found else ())
        return datetime(*clock, tzinfo=UTC).timestamp() + milliseconds / 1000
    except ValueError:
        return float("nan")
