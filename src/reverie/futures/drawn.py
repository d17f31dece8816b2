"""Futures of the road as the car's cameras would see them: imagined traffic in the known streets, drawn by MuJoCo.

Legend: K futures, T frames.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reverie.core.progress import track
from reverie.data.road.rig import FOUR, Mount, checked
from reverie.data.road.trace import Trace
from reverie.data.road.weather import Weather, of_seed
from reverie.data.road.world import SIZE
from reverie.futures.drawing import tiled
from reverie.futures.making import Futures, provenance


@dataclass(frozen=True)
class Look:
    """How a clip of the road is drawn: its weather, its cameras, size (H, W) of their pictures, and its seed."""

    weather: Weather
    mounts: tuple[Mount, ...]
    size: tuple[int, int]
    seed: int

    @classmethod
    def of(cls, about: dict) -> Look:
        """As the provenance of a clip of data says; what it does not say is as a clip of seed 0 by day would be."""
        seed = int(about.get("seed", 0))
        weather, name = of_seed(seed), about.get("weather", "day")
        rig = [Mount(**mount) for mount in about.get("rig", [])]
        height, width = about.get("size", SIZE)
        return cls(weather if weather.name == name else of_seed(seed, name), checked(rig or FOUR), (height, width),
                   seed)

    @property
    def pixels(self) -> int:
        """Of a moment, all cameras together."""
        return len(self.mounts) * self.size[0] * self.size[1]


def draw_futures(traces: Sequence[Trace], past: np.ndarray, look: Look, made: Futures, frames: int, out: Path,
                 quiet: bool) -> None:
    """Write future-k-seen.mp4, all cameras tiled, and future-k-CAMERA.mp4 of each of K futures' traces, and name them
    in ``made``. past (T, 2): our car's places in the past; around these and the futures' the one town of all is built.
    Needs mujoco with a working GL."""
    from reverie.core.video import VideoWriter
    from reverie.data.road.drawing import staged

    way = np.concatenate([past, *(trace.place[:frames, trace.ego] for trace in traces)])
    height, width = look.size
    names = [mount.name for mount in look.mounts]
    shape = tiled([np.zeros((1, height, width, 3), np.uint8)] * len(names)).shape[1:3]
    with track(len(traces) * frames, "moments drawn", quiet=quiet) as bar:
        for k, trace in enumerate(traces):
            files = [out / f"future-{k + 1}-{name}.mp4" for name in names]
            with contextlib.ExitStack() as stack:
                stage = stack.enter_context(staged(trace, look.weather, look.size, look.seed, way))
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
