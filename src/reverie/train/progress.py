"""How a training run tells of itself: JSON lines, tensorboard where it is installed, bar or plain lines."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from reverie.core.errors import CannotWrite
from reverie.core.progress import clock


class Reporter:
    """Writes a run's log to ``out/log.jsonl`` and shows its progress on stderr.

    step: where the run begins; lines of later steps, left by a run that died after its checkpoint,
    are taken out, so that every step is in the log once. show: False says nothing on stderr.
    """

    def __init__(self, out: Path, step: int, show: bool = True) -> None:
        self.show = show
        self._last = 0.0
        self._bar = self._board = None
        path = out / "log.jsonl"
        try:
            if path.exists():
                _forget_after(path, step)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise CannotWrite(f"cannot write {path}: {error.strerror}") from None
        try:
            from torch.utils.tensorboard import SummaryWriter
            self._board = SummaryWriter(str(out), purge_step=step or None)
        except ImportError:  # an extra; the JSON lines say the same
            pass
        if show and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
            self._bar = Progress(TextColumn("training"), BarColumn(), TextColumn("{task.percentage:.1f}%"),
                                 TimeElapsedColumn(), TextColumn("{task.description}"),
                                 console=Console(stderr=True))
            self._task = self._bar.add_task("", total=1.0)
            self._bar.start()

    def line(self, step: int, elapsed: float, progress: float, figures: dict[str, float]) -> None:
        """One line of the log; on stderr at most one every ten seconds, with the time that is left."""
        self._write(step, elapsed, figures)
        if not self.show:
            return
        left = elapsed * (1 - progress) / progress if 0 < progress < 1 else 0.0
        text = (f"step {step} loss {figures['loss']:.4f} {figures['steps_per_second']:.2f} steps/s "
                f"{clock(left)} left")
        if self._bar is not None:
            self._bar.update(self._task, completed=min(progress, 1.0), description=text)
        elif time.monotonic() - self._last > 10 or progress >= 1:
            self._last = time.monotonic()
            self.say(f"{100 * min(progress, 1):.1f}% {text}")

    def scores(self, step: int, elapsed: float, scores: dict[str, float]) -> None:
        """Held-out scores, into the log and onto stderr."""
        self._write(step, elapsed, {f"held/{name}": value for name, value in scores.items()})
        self.say("held out: " + ", ".join(f"{name} {value:.2f}" for name, value in scores.items()))

    def say(self, text: str) -> None:
        """A plain line for the person who watches."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False)
        elif self.show:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the bar and close the files."""
        if self._bar is not None:
            self._bar.stop()
        self._file.close()
        if self._board is not None:
            self._board.close()

    def _write(self, step: int, elapsed: float, figures: dict[str, float]) -> None:
        # NaN is no JSON: a score over nothing (no thing of that width) is null.
        known = {name: value if value == value else None for name, value in figures.items()}
        try:
            self._file.write(json.dumps({"step": step, "elapsed": round(elapsed, 2), **known}) + "\n")
            self._file.flush()
        except OSError as error:
            raise CannotWrite(f"cannot write the log {self._file.name}: {error.strerror}") from None
        if self._board is not None:
            for name, value in known.items():
                if value is not None:
                    self._board.add_scalar(name, value, step)


def _forget_after(path: Path, step: int) -> None:
    kept = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(text)["step"] <= step:
                kept.append(text + "\n")
        except (ValueError, KeyError, TypeError):  # the half line of a run that was killed
            continue
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text("".join(kept), encoding="utf-8")
    os.replace(part, path)
