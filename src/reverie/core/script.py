"""Scripts: a text that changes with time, and the camera moves that go with it, from a TOML file.

    [[line]]
    start = 0.0                                # seconds; the first line starts at 0
    text = "a red ball rolls behind a wall"
    camera = "orbit left 30"                   # optional, spread over this line's time

    [[line]]
    start = 8.0
    text = "the ball comes out again and a dog walks in"
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path

from reverie.core.clip import Line
from reverie.core.errors import BadInput
from reverie.core.moves import Move, parse_moves

MAX_TEXT = 1000  # characters of one line
MAX_LINES = 200


STILL = (Move("still", "", 0.0),)


@dataclass(frozen=True)
class Script:
    """lines: by start time, the first at 0.0. moves: empty, or for each line (start, moves)."""

    lines: tuple[Line, ...]
    moves: tuple[tuple[float, tuple[Move, ...]], ...] = ()


def clean_text(text: str, where: str = "the prompt") -> str:
    """``text`` with its white space evened out; BadInput when it is empty or far too long."""
    text = " ".join(text.split())
    if not text:
        raise BadInput(f"{where} is empty: write what should happen")
    if len(text) > MAX_TEXT:
        raise BadInput(f"{where} has {len(text)} characters; at most {MAX_TEXT} are read")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{where} is not valid text (a stray surrogate)") from error
    return text


def load_script(path: str | Path, seconds: float) -> Script:
    """The script in a TOML file, for a clip of ``seconds``. Raises BadInput with the line at fault."""
    try:
        text = Path(path).read_bytes().decode()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise BadInput(f"cannot read the script {str(path)[:200]}: {why}") from error
    return parse_script(text, seconds, str(path))


def parse_script(text: str, seconds: float, where: str = "the script") -> Script:
    """The script in a TOML text; see ``load_script``."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{where} is not valid TOML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise BadInput(f"{where} is not valid TOML: nested too deeply") from error
    _only(table, {"line"}, where)
    rows = table.get("line")
    if not isinstance(rows, list) or not rows:
        raise BadInput(f"{where} has no [[line]]: give each text as [[line]] with start and text")
    if len(rows) > MAX_LINES:
        raise BadInput(f"{where} has {len(rows)} lines; at most {MAX_LINES} are read")
    lines: list[Line] = []
    moves: list[tuple[float, tuple[Move, ...]]] = []
    for number, row in enumerate(rows, 1):
        place = f"{where}, line {number}"
        if not isinstance(row, dict):
            raise BadInput(f"{place} is not a [[line]] with start and text")
        _only(row, {"start", "text", "camera"}, place)
        lines.append(Line(_start(row, lines, seconds, place), _text(row, "text", place)))
        moves.append((lines[-1].start, _moves(row, place)))
    return Script(tuple(lines), tuple(moves) if any("camera" in row for row in rows) else ())


def _only(table: dict, known: set[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise BadInput(f"{where}: unknown key {key!r}; known: {', '.join(sorted(known))}")


def _text(row: dict, key: str, where: str) -> str:
    if key not in row:
        raise BadInput(f"{where} has no {key}")
    if not isinstance(row[key], str):
        raise BadInput(f"{where}: {key} must be text in quotes, not {row[key]!r}")
    return clean_text(row[key], f"{where}: {key}")


def _moves(row: dict, where: str) -> tuple[Move, ...]:
    if "camera" not in row:
        return STILL
    try:
        return parse_moves(_text(row, "camera", where))
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error


def _start(row: dict, before: list[Line], seconds: float, where: str) -> float:
    start = row.get("start")
    if start is None:
        raise BadInput(f"{where} has no start (in seconds)")
    if isinstance(start, bool) or not isinstance(start, (int, float)) or not math.isfinite(start):
        raise BadInput(f"{where}: start must be a number of seconds, not {start!r}")
    if start < 0:
        raise BadInput(f"{where}: start {start:g} is negative")
    if not before and start != 0:
        raise BadInput(f"{where}: the first line must start at 0, not at {start:g}")
    if before and start == before[-1].start:
        raise BadInput(f"{where} overlaps the one before it: both start at {start:g}")
    if before and start < before[-1].start:
        raise BadInput(f"{where} starts at {start:g}, before the line above it; sort them by time")
    if start >= seconds:
        raise BadInput(f"{where} starts at {start:g}, but the video ends at {seconds:g} s")
    return float(start)
