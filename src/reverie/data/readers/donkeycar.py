"""Donkeycar tubs, version 2: manifest.json, the catalogs that it lists, and a folder of pictures.

The manifest is five lines of JSON: the names of what is recorded, their types, two of metadata, and which catalogs and
how many records there are and which of them were deleted. A catalog is one JSON object a line.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from reverie.core.clip import Channel
from reverie.core.errors import BadData
from reverie.data.readers import Pictures, Recording, Sieve, driving_channels, near, number, read_text

FORMAT = "Donkeycar tub"
MANIFEST = "manifest.json"
LAG = 0.175  # seconds: the car answers three to four frames after the record, of 0.05 s each
BY_PERSON = {"steering": ("user", None), "throttle": ("user", "local_angle", None)}  # modes in which a person gives it
COMMANDS = {"steering": "angle", "throttle": "throttle"}  # of "user/..." and "pilot/..."


def recognises(path: Path) -> bool:
    """Whether ``path`` is such a tub: its folder, or its manifest.json."""
    folder = path.parent if path.name == MANIFEST else path
    return (folder / MANIFEST).is_file() and any(folder.glob("*.catalog"))


def read(path: Path) -> Iterator[Recording]:
    """The one recording in it; times are seconds since 1970. Raises BadData."""
    folder = path.parent if path.name == MANIFEST else path
    types, catalogs, listed, deleted = _manifest(folder / MANIFEST)
    records, places, bad = [], [], []
    missing = [name for name in catalogs if not (folder / name).is_file()]
    for name in catalogs:
        lines = read_text(folder / name).splitlines() if name not in missing else []
        for at, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                records.append({**record, "_index": int(record["_index"])})
                places.append(f"{near(folder / name)} row {at}")
            except (ValueError, TypeError, KeyError, OverflowError):
                bad += [f"{near(folder / name)} row {at}"] if line.strip() else []
    sieve = Sieve(folder, len(records), places.__getitem__)
    sieve.lose(len(missing), "catalogs", f"listed in {MANIFEST} and not there", near(folder / "".join(missing[:1])))
    sieve.lose(len(bad), "rows", "no record (JSON with an _index)", "".join(bad[:1]))
    present = {record["_index"] for record in records}
    first = f"{near(folder / MANIFEST)}, _index {next(n for n in itertools.count() if n not in present)}"
    absent = listed - sum(0 <= n < listed for n in present)
    sieve.lose(absent, "rows", f"listed in {MANIFEST} and in no catalog", first)
    sieve.drop(np.array([record["_index"] in deleted for record in records], bool), f"deleted in {MANIFEST}")

    there = {file.name for file in (folder / "images").iterdir()} if (folder / "images").is_dir() else set()
    cameras = {}
    for key in [key for key, type in types.items() if type == "image_array"]:
        files = [str(record.get(key, "")) for record in records]
        sieve.drop(np.array([file not in there for file in files], bool), "its picture is not in images",
                   lambda row, files=files: files[row])
        cameras[key.removeprefix("cam/").replace("image_array", "").strip("_/.") or "front"] = Pictures(
            [folder / "images" / file for file in files])
    if not cameras:
        raise BadData(f"{folder / MANIFEST} row 2: no camera (a column of type image_array)")
    times = np.array([number(record.get("_timestamp_ms")) for record in records]) / 1000
    sieve.drop(np.isnan(times), "no _timestamp_ms")

    channels, actions = _actions(types, records)
    sieve.check(channels, actions)
    yield sieve.recording(FORMAT, cameras, times, actions, channels)


def _manifest(path: Path) -> tuple[dict[str, str], list[str], int, set[int]]:
    """Types by column, catalogs, how many records are listed, which are deleted."""
    lines, at = read_text(path).splitlines(), 1
    try:
        names = json.loads(lines[0])
        at = 2
        types = dict(zip(map(str, names), json.loads(lines[1]), strict=True))
        at = 5
        about = json.loads(lines[4])
        return types, [str(name) for name in about["paths"]], int(about["current_index"]), set(about["deleted_indexes"])
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise BadData(f"{path} row {at}: not as a tub of version 2 has it") from error


def _actions(types: dict[str, str], records: list[dict]) -> tuple[list[Channel], np.ndarray]:
    """Channels, and actions (T, A): whoever drove, person or pilot; every other number is a measured one."""
    known = driving_channels(LAG)
    channels, columns = [], []
    for name, key in COMMANDS.items():
        if f"user/{key}" in types:
            who = ["user" if record.get("user/mode") in BY_PERSON[name] else "pilot" for record in records]
            channels.append(known[name])
            columns.append([number(record.get(f"{by}/{key}")) for by, record in zip(who, records, strict=True)])
    for key in [key for key, type in types.items() if type == "float" and key.split("/")[0] not in ("user", "pilot")]:
        speed = key == "enc/speed"
        channels.append(known["speed"] if speed else Channel(key.replace("/", "."), lag=0.0, measured=True))
        columns.append([number(record.get(key)) for record in records])
    return channels, np.array(columns, np.float64).reshape(len(columns), len(records)).T
