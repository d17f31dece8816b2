"""Files that come in and go out: what is refused before it is opened, and writing that leaves no halves."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from reverie.core.errors import BadInput, BadMedia, CannotWrite

MAX_BYTES = 1 << 30  # of a file that is read
FULL = (errno.ENOSPC, errno.EDQUOT)


def check_output(path: str | Path, suffix: str = "") -> Path:
    """``path`` as a Path, if a file can be made there.

    Raises BadInput for a wrong ending, CannotWrite for a folder in its place, a missing folder, or
    one without permission.
    """
    path = Path(path)
    if suffix and path.suffix.lower() != suffix:
        raise BadInput(f"the output {path} must end in {suffix}")
    try:
        if "\0" in str(path) or len(os.fsencode(path.name)) > 230:  # and we add to it while it is written
            raise CannotWrite(f"cannot write {str(path)[:80]!r}: it cannot be a file's name")
        if path.is_dir():
            raise CannotWrite(f"cannot write {path}: it is a folder")
        if not path.parent.is_dir():
            raise CannotWrite(f"cannot write {path}: there is no folder {path.parent}")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise CannotWrite(f"cannot write {path}: no permission in {path.parent}")
        if path.exists() and not path.is_file():
            raise CannotWrite(f"cannot write {path}: it is not an ordinary file")
    except (OSError, ValueError) as error:  # too long a name, a zero byte in it
        why = getattr(error, "strerror", None) or error
        raise CannotWrite(f"cannot write {str(path)[:80]!r}: {why}") from error
    return path


def check_input(path: str | Path) -> Path:
    """``path``, if a file of a sane length is there that may be read. Raises BadMedia otherwise."""
    path = Path(path)
    try:
        if "\0" in str(path):
            raise BadMedia(f"{str(path)[:80]!r} cannot be a file's name")
        if path.is_dir():
            raise BadMedia(f"{path} is a folder, not a file")
        if not path.exists():
            raise BadMedia(f"there is no file {path}")
        if not path.is_file():
            raise BadMedia(f"{path} is not an ordinary file")
        if not os.access(path, os.R_OK):
            raise BadMedia(f"{path} may not be read (permission)")
        length = path.stat().st_size
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadMedia(f"{str(path)[:80]!r} cannot be opened: {why}") from error
    if length == 0:
        raise BadMedia(f"{path} is empty")
    if length > MAX_BYTES:
        raise BadMedia(f"{path} is {length / 2**30:.1f} GB; at most {MAX_BYTES >> 30} GB is read")
    return path


def reason(error: BaseException | None) -> str:
    """Why the system refused, in a few words."""
    if getattr(error, "errno", None) in FULL:
        return "the disk is full"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def require_space(folder: str | Path, need: int) -> None:
    """Raise CannotWrite when ``folder`` (or the nearest parent there is) has not ``need`` bytes free."""
    folder = Path(folder).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < need:
        raise CannotWrite(f"{folder} has {free / 1e6:.0f} MB free and about {need / 1e6:.0f} MB are needed")


@contextlib.contextmanager
def writing(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """An open file that becomes ``path`` when the block ends normally, and nothing at all otherwise.

    After KeyboardInterrupt what was written is kept as ``NAME.partial.EXT``. Raises CannotWrite.
    """
    path = check_output(path)
    growing = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(growing, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
        os.replace(growing, path)
    except KeyboardInterrupt:
        if growing.exists():
            os.replace(growing, partial_name(path))
        raise
    except OSError as error:
        if error.filename not in (None, str(growing), growing):  # another file's, from inside the block
            raise
        raise CannotWrite(f"cannot write {path}: {reason(error)}") from error
    finally:
        growing.unlink(missing_ok=True)


def partial_name(path: Path) -> Path:
    """Where the unfinished form of ``path`` is kept: out.mp4 -> out.partial.mp4."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")
