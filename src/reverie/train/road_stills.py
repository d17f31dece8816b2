"""Stills of the road: a few moments of each clip, far apart, drawn by MuJoCo through every camera and kept in a file.

Legend: N pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from reverie.core.errors import BadData
from reverie.core.files import writing
from reverie.core.progress import track
from reverie.data.road import found
from reverie.data.road.world import Look
from reverie.data.shards import ClipSet

SIZE = (128, 192)


class Kept:
    """Arrays of a dataclass that are kept in a file."""

    def save(self, path: Path) -> None:
        """Write them as one file. Raises CannotWrite."""
        with writing(path, "wb") as file:
            np.savez(file, **vars(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote. Raises BadData."""
        try:
            with np.load(path) as stored:
                return cls(**{name: stored[name] for name in stored.files})
        except (OSError, ValueError, TypeError) as error:
            raise BadData(f"{path} is damaged ({error}): delete it, and it is made again") from None


@dataclass
class Stills(Kept):
    """pictures (N, H, W, 3) and masks (N, H, W) uint8: who is seen where, agent + 1; clip, frame, mount (N,): of each,
    the clip's number, the trace's frame, and the camera's place in the rig."""

    pictures: np.ndarray
    masks: np.ndarray
    clip: np.ndarray
    frame: np.ndarray
    mount: np.ndarray


def drawn(clips: ClipSet, moments: int = 3, size: tuple[int, int] = SIZE, progress: bool = True) -> Stills:
    """So many moments of every clip, at the middles of as many parts of it. Needs mujoco with a working GL. Raises
    BadData for clips that are not of the road."""
    from reverie.data.road.drawing import staged

    parts: dict[str, list] = {name: [] for name in ("pictures", "masks", "clip", "frame", "mount")}
    with track(len(clips), "clips drawn", quiet=not progress) as bar:
        for number in range(len(clips)):
            meta = clips.meta(number)
            if not found.is_road(meta):
                raise BadData(f"{clips.folder} clip {clips.keys[number]} is not of the road")
            trace, look = found.trace_of(clips, number)[0], Look.of(meta["provenance"])
            own = trace.place[:, trace.ego], trace.heading[:, trace.ego]
            with staged(trace, look.weather, size, look.seed) as stage:
                for t in ((np.arange(moments) + 0.5) * trace.frames / moments).astype(int):
                    stage.at(t)
                    for m, mount in enumerate(look.mounts):
                        stage.through(mount.path(*own, size), t, size[1] / size[0])
                        picture = np.empty((*size, 3), np.uint8)
                        stage.picture(picture)
                        for name, value in zip(parts, (picture, stage.mask(), number, t, m), strict=True):
                            parts[name].append(value)
            bar.advance()
    return Stills(**{name: np.array(values) for name, values in parts.items()})
