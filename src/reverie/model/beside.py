"""Drawing beside imagining: other processes draw what was imagined, while this one imagines what comes next.

What things alone make the picture of is drawn from one latent's thing vectors and nothing else, so that anybody can
draw any of them. Vectors go to a process through its standard input, frames come back through its standard output.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import torch

from reverie.core.errors import ReverieError
from reverie.core.runtime import cores, set_threads
from reverie.model.block import drawn

if TYPE_CHECKING:
    from reverie.model.tokenizer import Tokenizer

NICE = 19  # how much they give way to the process that imagines, which nobody can do for it


class Drawers:
    """So many processes that draw with a tokenizer's canvas at a size (H, W), one thread each; a context, which ends
    them. Meanwhile this process keeps the other cores, or one thread: two would wait for one another."""

    def __init__(self, tokenizer: Tokenizer, size: tuple[int, int], count: int) -> None:
        self._equipment = pickle.dumps((tokenizer, size))
        self._idle: queue.SimpleQueue[subprocess.Popen] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(count, "drawing")
        self._all = [_started() for _ in range(count)]
        self._threads = torch.get_num_threads()

    def __enter__(self) -> Drawers:
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

    def draw(self, vectors: np.ndarray, start: int, fps: float) -> Future[tuple[np.ndarray, list[dict]]]:
        """What ``drawn`` makes of a latent's thing vectors (S, WIDTH), as soon as somebody has drawn it. The future
        raises ReverieError where the process that was to has ended."""
        return self._pool.submit(self._asked, vectors, start, fps)

    def _equip(self, process: subprocess.Popen) -> None:
        with suppress(OSError):  # if it has ended, who asks it for a picture will be told
            process.stdin.write(self._equipment)
            process.stdin.flush()
        self._idle.put(process)

    def _asked(self, *latent: object) -> tuple[np.ndarray, list[dict]]:
        process = self._idle.get()
        try:
            pickle.dump(latent, process.stdin)
            process.stdin.flush()
            return pickle.load(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            raise ReverieError("a process that draws has ended") from None
        finally:
            self._idle.put(process)


def _started() -> subprocess.Popen:
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen([sys.executable, "-c", f"from {__name__} import serve; serve()"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, env=paths)


@torch.inference_mode()
def serve() -> None:
    """In a process of its own: draw until the standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks, and who then ends this
    with suppress(AttributeError, OSError):
        os.nice(NICE)
    told, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    set_threads(1)
    with suppress(EOFError, BrokenPipeError):
        tokenizer, size = pickle.load(told)
        while True:
            vectors, start, fps = pickle.load(told)
            pickle.dump(drawn(tokenizer, vectors, start, fps, size), answers)
            answers.flush()
