"""How long work shows how far it is: a bar with the time left on a terminal, plain lines otherwise.

    with track(1440, "frames") as progress:
        progress.advance(4, note="25 fps")

Everything goes to stderr; stdout belongs to results.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, TextIO

FIRST_LINE = 5.0  # seconds before the first plain line
LINE_EVERY = 15.0  # seconds between plain lines


class Progress:
    """One piece of work of ``total`` units (None when nobody knows), of which ``done`` were there before. Use it as a
    context manager."""

    def __init__(self, total: int | None, title: str, *, done: int = 0, quiet: bool = False,
                 file: TextIO | None = None):
        self.total, self.title, self.done, self._before = total, title, done, done
        self._file = sys.stderr if file is None else file
        self._quiet = quiet
        self._bar: Any = None
        self._note = ""
        self._began = self._spoke = time.monotonic()

    def __enter__(self) -> Progress:
        self._began = time.monotonic()
        self._spoke = self._began - LINE_EVERY + FIRST_LINE
        if not self._quiet and self._file.isatty() and os.environ.get("TERM") != "dumb":
            self._bar = _rich_bar(self._file)
            self._task = self._bar.add_task(self.title, total=self.total, completed=self.done, note="")
            self._bar.start()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif kind is None and not self._quiet and time.monotonic() - self._began > FIRST_LINE:
            self.say(f"{self.title}: {self.done} in {clock(time.monotonic() - self._began)}")

    def advance(self, n: int = 1, note: str = "") -> None:
        """``n`` more units are done; ``note`` is a short remark shown beside them."""
        self.done += n
        self._note = note or self._note
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, note=self._note)
            return
        now = time.monotonic()
        if self._quiet or now - self._spoke < LINE_EVERY:
            return
        self._spoke = now
        share = left = ""
        if self.total:
            share = f"/{self.total} ({100 * self.done // self.total}%)"
            left = f", {clock(self.seconds_left())} left"
        self.say(f"{self.title}: {self.done}{share}{left}{', ' + self._note if self._note else ''}")

    def seconds_left(self) -> float:
        """Seconds until the end at the pace so far; infinite before the first unit or without a total."""
        if self.done <= self._before or not self.total:
            return float("inf")
        pace = (time.monotonic() - self._began) / (self.done - self._before)
        return pace * max(0, self.total - self.done)

    def say(self, text: str) -> None:
        """A line for the person who watches, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        elif not self._quiet:
            print(text, file=self._file, flush=True)


def track(total: int | None, title: str, *, done: int = 0, quiet: bool = False) -> Progress:
    """A Progress on stderr; ``quiet`` shows nothing."""
    return Progress(total, title, done=done, quiet=quiet)


def clock(seconds: float) -> str:
    """Seconds as 0:07, 12:30 or 1:02:03; "?" when infinite."""
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _rich_bar(file: TextIO) -> Any:
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description}"), progress.BarColumn(), progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(), progress.TextColumn("left"), progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[note]}", markup=False), console=Console(file=file))
