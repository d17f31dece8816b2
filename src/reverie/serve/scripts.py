"""Scripts as the API has them, a list of {"start", "text", "camera"?}, and as ``generate`` reads them, a TOML file."""

from __future__ import annotations

import json
import math
from typing import Any

from reverie.core.errors import BadInput
from reverie.core.script import parse_script


def check_script(rows: Any, seconds: float) -> list[dict[str, Any]]:
    """The lines, evened out. The first may leave its start out. Raises BadInput."""
    if isinstance(rows, dict):
        rows = rows.get("lines") or rows.get("line")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise BadInput('script must be JSON: [{"start": 0, "text": "..."}, ...]')
    given = [{"start": 0} | row if i == 0 else row for i, row in enumerate(rows)]
    for row in given:
        for key, value in row.items():
            known = value is None or isinstance(value, str) or isinstance(value, (int, float)) and math.isfinite(value)
            if not known or isinstance(value, bool):
                raise BadInput(f"script: {str(key)[:40]} must be text or a number")
    script = parse_script(toml_of(given), seconds)
    moved = {start: ", ".join(move.text for move in moves) for start, moves in script.moves}
    return [{"start": line.start, "text": line.text} | ({"camera": moved[line.start]} if line.start in moved else {})
            for line in script.lines]


def toml_of(lines: list[dict[str, Any]]) -> str:
    """The lines as core.script reads them."""
    said = []
    for line in lines:
        said.append("[[line]]")
        said += [f"{_text(str(key))} = {_text(value) if isinstance(value, str) else value}"
                 for key, value in line.items() if value is not None]
    return "\n".join(said) + "\n"


def _text(text: str) -> str:
    """A TOML string. JSON's escapes are TOML's too, but TOML wants 0x7f escaped as well."""
    return json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007f")
