"""A clip of the road as a trace again: its own where that is kept, SUMO's once more, or else what the clip says, whose
net nobody knows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reverie.core.clip import Clip, Truth
from reverie.core.errors import BadData, ReverieError
from reverie.data.road.agents import PAINT_NAMES
from reverie.data.road.net import Net
from reverie.data.road.trace import Trace
from reverie.data.road.world import from_start, part
from reverie.data.shards import ClipSet

SAME = 0.05  # metres within which a trace's agents must be where the clip has them


def is_road(meta: dict) -> bool:
    """Whether a clip of data is of the road, by what is stored with it."""
    return meta.get("provenance", {}).get("world") == "road" and meta.get("truth") is not None


def trace_of(clips: ClipSet, number: int) -> tuple[Trace, str]:
    """Clip ``number`` of a set as a trace in the clip's own frame, and what is to be said of it. Raises BadData where
    its agents are not told exactly."""
    clip, meta = clips.clip(number, views=False), clips.meta(number)
    truth = clip.exact
    if truth is None or truth.ego < 0 or clip.actions is None:
        raise BadData(f"{clips.folder} clip {clips.keys[number]} does not tell its agents exactly")
    folder = clips.folder.parent if clips.folder.is_file() else clips.folder
    beside = folder / "traces" / f"{clips.keys[number]}.npz"
    if beside.exists() and (trace := _same(Trace.load(beside), truth)) is not None:
        return trace, ""
    about = meta["provenance"]
    try:
        from reverie.data.road.traffic import traffic

        again = traffic(int(about["seed"]), float(about["plan_seconds"]), fps=clip.fps)
        if (trace := _same(again, truth)) is not None:
            return trace, "its net was not kept beside it and was simulated again"
    except (ReverieError, ImportError, KeyError, ValueError):
        pass
    return told(clip, truth), (f"nobody knows its net: there is neither {beside} nor SUMO here that makes it again, so "
                               "its traffic goes on without lanes and lights")


def _same(trace: Trace, truth: Truth) -> Trace | None:
    """A trace as a clip has it, if it is that clip's."""
    frames = len(truth.exists)
    if trace.frames < frames:
        return None
    cut = from_start(part(trace, 0, frames))
    if cut.exists.shape != truth.exists.shape or not (cut.exists == truth.exists).all():
        return None
    gap = np.abs(cut.place - truth.position[..., :2])[truth.exists]
    return cut if not len(gap) or float(gap.max()) < SAME else None


def told(clip: Clip, truth: Truth) -> Trace:
    """The trace that a clip's truth tells, without a net."""
    there = truth.exists
    heading = np.unwrap(np.arctan2(truth.rotation[..., 1, 0], truth.rotation[..., 0, 0]), axis=0)
    paints = [PAINT_NAMES.index(name) if name in PAINT_NAMES else 0 for name in truth.colours]
    nowhere = Net((), (), (), np.zeros((0, 2), np.int32))
    return Trace(nowhere, clip.fps, list(truth.kinds), np.array(paints, np.uint8), 2 * truth.extent, there,
                 truth.position[..., :2].astype(float), np.where(there, heading, 0.0),
                 np.linalg.norm(truth.velocity, axis=-1), np.full(there.shape, -1, np.int16),
                 np.zeros((len(there), 0), np.uint8), truth.ego, np.asarray(clip.actions)[:, :2], "", [])


def named(path: Path | str) -> Trace:
    """The trace in a file, in the frame in which our car starts at the origin. Raises BadData."""
    if not Path(path).is_file():
        raise BadData(f"there is no file {path}")
    return from_start(Trace.load(path))
