"""Futures of the road as the car's cameras would see them: imagined traffic in the known streets, painted by the road's
canvas or drawn by MuJoCo.

Legend: K futures, T frames.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reverie.core.progress import track
from reverie.data.road.trace import Trace
from reverie.data.road.world import Look
from reverie.futures.drawing import tiled
from reverie.futures.making import Futures, provenance
from reverie.painter import Painter, shipped


def draw_futures(traces: Sequence[Trace], past: np.ndarray, look: Look, made: Futures, frames: int, out: Path,
                 quiet: bool, canvas: Path | None) -> None:
    """Write future-k-seen.mp4, all cameras tiled, and future-k-CAMERA.mp4 of each of K futures' traces, and name them
    in ``made``. past (T, 2): our car's places in the past; around these and the futures' the one town of all is built.
    canvas: the file of the model that paints them; None: MuJoCo does, which needs it with a working GL."""
    from reverie.core.video import VideoWriter

    way = np.concatenate([past, *(trace.place[:frames, trace.ego] for trace in traces)])
    height, width = look.size
    names = [mount.name for mount in look.mounts]
    shape = tiled([np.zeros((1, height, width, 3), np.uint8)] * len(names)).shape[1:3]
    with track(len(traces) * frames, "moments painted" if canvas else "moments drawn", quiet=quiet) as bar:
        for k, trace in enumerate(traces):
            files = [out / f"future-{k + 1}-{name}.mp4" for name in names]
            with contextlib.ExitStack() as stack:
                stage = stack.enter_context(stage_of(trace, look, way, canvas))
                films = [stack.enter_context(VideoWriter(path, fps=made.fps, size=look.size, metadata=provenance(
                    made, k))) for path in files]
                whole = stack.enter_context(VideoWriter(out / f"future-{k + 1}-seen.mp4", fps=made.fps, size=shape,
                                                        metadata=provenance(made, k)))
                paths = [mount.path(trace.place[:, trace.ego], trace.heading[:, trace.ego], look.size)
                         for mount in look.mounts]
                views = np.empty((len(names), 1, height, width, 3), np.uint8)
                for t in range(frames):
                    stage.at(t)
                    for view, path, film in zip(views, paths, films, strict=True):
                        stage.through(path, t, width / height)
                        stage.picture(view[0])
                        film.write(view)
                    whole.write(tiled(list(views)))
                    bar.advance()
            made.futures[k] |= {"seen": str(out / f"future-{k + 1}-seen.mp4"), "cameras": [str(path) for path in files]}


@contextlib.contextmanager
def stage_of(trace: Trace, look: Look, way: np.ndarray, canvas: Path | None) -> Iterator[Any]:
    """What draws a trace: a Painter with a canvas' file, or MuJoCo's Stage. way (K, 2): what its town is around."""
    if canvas is not None:
        yield Painter(trace, look.weather, look.size, look.seed, way, shipped(canvas)[0])
        return
    from reverie.data.road.drawing import staged

    with staged(trace, look.weather, look.size, look.seed, way) as stage:
        yield stage
