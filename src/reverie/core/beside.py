"""Work beside this process: others that are equipped once and then asked, one thread each.

What they are equipped with is called with what they are asked. Both go to a process through its standard input, answers
come back through its standard output: no script needs a guard for it, as multiprocessing would.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Any

import torch

from reverie.core.errors import ReverieError
from reverie.core.runtime import cores, set_threads

WORTH = 4  # things to be asked from which on it pays to start processes
NICE = 19  # how much they give way to the process that asks


class Beside:
    """So many processes, equipped with something that can be pickled and called; a context, which ends them. Meanwhile
    this process keeps the other cores, or one thread: two would wait for one another."""

    def __init__(self, equipment: Callable, count: int) -> None:
        self._equipment = pickle.dumps(equipment)
        self._idle: queue.SimpleQueue[subprocess.Popen] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(count, "beside")
        module = getattr(equipment, "func", equipment).__module__  # a partial's is functools
        self._all = [_started(module) for _ in range(count)]
        self._threads = torch.get_num_threads()

    def __enter__(self):
        torch.set_num_threads(min(self._threads, max(1, cores() - len(self._all))))
        for process in self._all:
            self._pool.submit(self._equip, process)
        return self

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._threads)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in self._all:
            process.kill()
            process.communicate()

    def ask(self, *what: Any) -> Future:
        """What the equipment answers, as soon as somebody has. The future raises ReverieError where the process that
        was to answer has ended."""
        return self._pool.submit(self._asked, what)

    def _equip(self, process: subprocess.Popen) -> None:
        with suppress(OSError):  # if it has ended, who asks it will be told
            told, _ = _pipes(process)
            told.write(self._equipment)
            told.flush()
        self._idle.put(process)

    def _asked(self, what: tuple) -> Any:
        process = self._idle.get()
        try:
            told, answers = _pipes(process)
            pickle.dump(what, told)
            told.flush()
            return pickle.load(answers)
        except (OSError, EOFError, pickle.UnpicklingError):
            raise ReverieError("a process that works beside this one has ended") from None
        finally:
            self._idle.put(process)


def each(equipment: Callable, asked: Sequence[tuple]) -> Iterator[Any]:
    """What the equipment answers to each of what is asked, in that order, as it comes: by as many processes as there
    are cores; here, if it would not pay. Raises ReverieError where a process has ended."""
    count = min(cores(), len(asked))
    if count < 2 or len(asked) < WORTH:
        yield from (equipment(*what) for what in asked)
        return
    with Beside(equipment, count) as others:
        for answer in [others.ask(*what) for what in asked]:
            yield answer.result()


def _pipes(process: subprocess.Popen) -> tuple[IO[bytes], IO[bytes]]:
    """What a process is told through, and what it answers through."""
    assert process.stdin is not None and process.stdout is not None  # _started made both
    return process.stdin, process.stdout


def _started(module: str) -> subprocess.Popen:
    """A process that imports a module before it is equipped: it takes time."""
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    code = f"import {module}; from {__name__} import serve; serve()"
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=paths)


@torch.inference_mode()
def serve() -> None:
    """In a process of its own: answer until the standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks, and who then ends this
    with suppress(AttributeError, OSError):
        os.nice(NICE)
    told, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    set_threads(1)
    with suppress(EOFError, BrokenPipeError):
        equipment = pickle.load(told)
        while True:
            pickle.dump(equipment(*pickle.load(told)), answers)
            answers.flush()
