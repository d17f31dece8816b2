"""Futures of the road as the car's cameras would see them: imagined traffic in the known streets, painted by the road's
canvas or drawn by MuJoCo.

Legend: K futures, T frames.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from reverie.core.beside import Beside
from reverie.core.progress import track
from reverie.data.road.trace import Trace
from reverie.data.road.world import Look
from reverie.futures.drawing import tiled
from reverie.futures.making import Futures, provenance
from reverie.painter import filmed, stage_of

PIECE = 24  # frames that are drawn at a time

def draw_futures(traces: Sequence[Trace], past: np.ndarray, look: Look, made: Futures, frames: int, out: Path,
                 quiet: bool, canvas: Path | None) -> None:
    """Write future-k-seen.mp4, all cameras tiled, and future-k-CAMERA.mp4 of each of K futures' traces, and name them
    in ``made``. past (T, 2): our car's places in the past; around these and the futures' the one town of all is built.
    canvas: the file of the model that paints them, in as many processes as torch has threads; None: MuJoCo does, which
    needs it with a working GL."""
    from reverie.core.video import VideoWriter

    way = np.concatenate([past, *(trace.place[:frames, trace.ego] for trace in traces)])
    height, width = look.size
    names = [mount.name for mount in look.mounts]
    shape = tiled([np.zeros((1, height, width, 3), np.uint8)] * len(names)).shape[1:3]
    with contextlib.ExitStack() as whole:
        pieces = whole.enter_context(_pieces(traces, look, way, frames, canvas))
        bar = whole.enter_context(track(len(traces) * frames, "moments painted" if canvas else "moments drawn",
                                        quiet=quiet))
        for k in range(len(traces)):
            files = [out / f"future-{k + 1}-{name}.mp4" for name in names]
            with contextlib.ExitStack() as stack:
                films = [stack.enter_context(VideoWriter(path, fps=made.fps, size=look.size, metadata=provenance(
                    made, k))) for path in files]
                seen = stack.enter_context(VideoWriter(out / f"future-{k + 1}-seen.mp4", fps=made.fps, size=shape,
                                                       metadata=provenance(made, k)))
                for _ in range(0, frames, PIECE):
                    views = next(pieces)
                    for view, film in zip(views, films, strict=True):
                        film.write(view)
                    seen.write(tiled(list(views)))
                    bar.advance(views.shape[1])
            made.futures[k] |= {"seen": str(out / f"future-{k + 1}-seen.mp4"), "cameras": [str(path) for path in files]}


@contextlib.contextmanager
def _pieces(traces: Sequence[Trace], look: Look, way: np.ndarray, frames: int, canvas: Path | None
            ) -> Iterator[Iterator[np.ndarray]]:
    """Pictures (cameras, T, H, W, 3) of PIECE frames after PIECE frames of one trace after the other."""
    tasks = [(k, t, min(t + PIECE, frames)) for k in range(len(traces)) for t in range(0, frames, PIECE)]
    workers = min(torch.get_num_threads(), len(tasks)) if canvas is not None else 1
    if workers == 1:
        with _Pen(traces, look, way, canvas) as pen:
            yield map(pen, tasks)
        return
    with Beside(_Pen(traces, look, way, canvas), workers) as others:
        asked = [others.ask(task) for task in tasks]
        yield (piece.result() for piece in asked)


class _Pen:
    """Draws pieces of traces; a context, for what it draws with is kept from one piece to the next."""

    def __init__(self, traces: Sequence[Trace], look: Look, way: np.ndarray, canvas: Path | None) -> None:
        self.traces, self.look, self.way, self.canvas = traces, look, way, canvas
        self.number, self.stage, self._open = -1, None, contextlib.ExitStack()

    def __enter__(self) -> _Pen:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __call__(self, task: tuple[int, int, int]) -> np.ndarray:
        """Frames from first to last of a trace: (cameras, T, H, W, 3)."""
        number, first, last = task
        trace, look = self.traces[number], self.look
        if number != self.number:
            self._open.close()
            self.number, self.stage = number, self._open.enter_context(stage_of(trace, look, self.way, self.canvas))
        return filmed(self.stage, trace, look, range(first, last))
