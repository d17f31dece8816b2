"""What an MP4 carries beside its pictures: tags that tools show, and bytes in a box that players skip.

The box is of type ``uuid`` (ISO/IEC 14496-12, section 11.1), the last of the file: size (4 bytes, big-endian), "uuid",
NAME, and the bytes.
"""

from __future__ import annotations

import contextlib
import json
import struct
from pathlib import Path

NAME = bytes.fromhex("7d0f2c1b5e9a4b57a3c86e1f90d24ab1")  # drawn once, at random
MOST = 64 << 20  # bytes that are read
HEAD = 8


def to_tags(values: dict) -> dict[str, str]:
    """The container's own tags that every tool shows: the title, and all of it as JSON in the comment."""
    if not values:
        return {}
    tags = {"comment": json.dumps(values, ensure_ascii=False, allow_nan=False)}
    if values.get("prompt"):
        tags["title"] = str(values["prompt"])[:200]
    return tags


def from_tags(tags: dict[str, str]) -> dict:
    """What ``to_tags`` was given; the tags themselves where they hold something else."""
    with contextlib.suppress(ValueError, TypeError):
        values = json.loads(tags.get("comment", ""))
        if isinstance(values, dict):
            return values
    return dict(tags)


def add_box(path: Path, carried: bytes) -> None:
    """Append the box to a finished MP4."""
    with path.open("ab") as file:
        file.write(struct.pack(">I4s", HEAD + len(NAME) + len(carried), b"uuid") + NAME + carried)


def carried_by(path: str | Path) -> bytes | None:
    """The bytes in a file's box; None where there is no such box, or no MP4. Raises OSError."""
    with Path(path).open("rb") as file:
        end = file.seek(0, 2)
        at = 0
        while at + HEAD <= end:
            file.seek(at)
            size, kind = struct.unpack(">I4s", file.read(HEAD))
            if size == 1 and at + 2 * HEAD <= end:
                size = struct.unpack(">Q", file.read(HEAD))[0]
            if size < HEAD or at + size > end:
                return None
            if kind == b"uuid" and size <= MOST and file.read(len(NAME)) == NAME:
                return file.read(size - HEAD - len(NAME))
            at += size
    return None
