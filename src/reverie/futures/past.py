"""What futures go on from: the last seconds of a video, of several cameras' videos, of a recorded log, or of a clip of
data, whose things are known where the model has learned that world.

Legend: T frames, P latents, S tokens of a latent, N things.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from reverie.core.clip import Clip
from reverie.core.errors import BadData, BadInput, BadMedia
from reverie.core.video import probe, stream_video
from reverie.core.vocabulary import COLOURS, FRAMES_PER_LATENT, KINDS, MAX_THINGS, SETTINGS
from reverie.data.readers import Recording, recognise
from reverie.data.shards import ClipSet, has_truth
from reverie.model import things as th
from reverie.model.record import things_of
from reverie.train.encode import true_tokens

SECONDS = 8.0  # of the past's end that are looked at, at the most
F = FRAMES_PER_LATENT


@dataclass
class Past:
    """The end of a past. cameras: name -> uint8 (T, H, W, 3), the first looks ahead; {} for things alone. known: its
    things (P, S, WIDTH) where they are known exactly, and names of those in slots 0, 1, ...; after: what followed in
    truth, as the first camera saw it, where that is recorded; driven: of a log, its numbers (T, channels) and their
    names."""

    source: str
    fps: float
    cameras: dict[str, np.ndarray]
    known: np.ndarray | None = None
    names: list[str] = field(default_factory=list)
    after: np.ndarray | None = None
    driven: tuple[np.ndarray, tuple[str, ...]] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How much of it is looked at."""
        frames = len(self.known) * F if self.known is not None else len(next(iter(self.cameras.values())))
        return frames / self.fps


def read_past(paths: Sequence[str | Path], *, size: tuple[int, int], fps: float, least: int, slots: int,
              key: str | None = None, until: float | None = None) -> Past:
    """The end of a past at ``size`` (H, W), a video's at ``fps``, a log's or clip's at its own.

    paths: one video, log or data set, or a video of each camera. least: frames that it must have. slots: things that
    the model can hold. key: which clip of a data set (default: the first). until: the second at which the past ends
    (default: its end). Raises BadInput, BadMedia, BadData: one line that names the file, and in a log the row.
    """
    if not paths:
        raise BadInput("there is no past to go on from: give a video, a log or a clip")
    if until is not None and not until > 0:
        raise BadInput(f"the past ends at {until:g} s: give a time after its beginning")
    found, one = [Path(path) for path in paths], Path(paths[0])
    if len(found) > 1:
        past = _of_videos(found, size, fps, until)
    elif one.suffix == ".tar" or one.is_dir() and any(one.rglob("*.tar")):
        past = _of_data(one, key, size, slots, until)
    elif (reader := recognise(one)) is not None:
        past = _of_log(one, [r for r in reader.read(one) if len(r)], size, least, until)
    elif one.is_dir():
        raise BadInput(f"{one} holds no driving log and no clips of data: give a video, a log or a clip")
    else:
        past = _of_videos(found, size, fps, until)
    if key is not None and past.known is None and not (one.suffix == ".tar" or one.is_dir()):
        raise BadInput(f"{one} is no data set: only a data set has clips with keys")
    frames = round(past.seconds * past.fps)
    if frames < least:
        raise BadInput(f"the past {past.source} has {frames} frames: the model looks at {least} at least "
                       f"({least / past.fps:.2g} s)")
    return past


def _of_videos(paths: Sequence[Path], size: tuple[int, int], fps: float, until: float | None) -> Past:
    about = [probe(path) for path in paths]
    lengths = [entry["seconds"] or entry["frames"] / entry["fps"] for entry in about]
    if max(lengths) - min(lengths) > 1.5 / min(entry["fps"] for entry in about):
        short, long = int(np.argmin(lengths)), int(np.argmax(lengths))
        raise BadInput(f"cameras of different length: {paths[short]} has {lengths[short]:.2f} s and {paths[long]} "
                       f"{lengths[long]:.2f} s: cut them to the same moments")
    if until is not None and until > max(lengths) + 0.5:
        raise BadInput(f"{paths[0]} has {lengths[0]:.2f} s: the past cannot end at {until:g} s")
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        raise BadInput(f"two cameras are called {max(names, key=names.count)}: give their files different names")
    cameras, notes = {}, []
    for name, path, entry in zip(names, paths, about, strict=True):
        last: deque = deque(maxlen=round(SECONDS * fps))
        begin = max(0.0, (until or entry["seconds"]) - SECONDS - 1.0)  # a second to spare: durations are not exact
        frames = stream_video(path, fps=fps, size=size, from_seconds=begin)
        last.extend(frames if until is None else islice(frames, max(0, round(until * fps) - math.ceil(begin * fps))))
        if not last:
            raise BadMedia(f"{path} has no frame to go on from")
        cameras[name] = np.stack(last)
        if abs(entry["fps"] - fps) > 0.01:
            notes.append(f"{path.name} has {entry['fps']:.4g} fps; its nearest frames are taken at {fps:g} fps")
    fewest = min(map(len, cameras.values()))
    past = Past(", ".join(map(str, paths)), fps, {name: frames[-fewest:] for name, frames in cameras.items()},
                notes=notes)
    if len(paths) == 1:
        _with_carried(past, paths[0], until)
    return past


def _with_carried(past: Past, path: Path, until: float | None) -> None:
    """Give a past the things that its video carries, if it does; then it ends with a whole latent."""
    frames = probe(path)["frames"]
    things = things_of(path, past.fps, frames)
    if things is None:
        return
    frames = frames if until is None else min(frames, round(until * past.fps))
    end = frames // F
    if end < 1:
        return
    past.known = things[max(0, end - int(SECONDS * past.fps) // F) : end]
    kinds, colours = (things[:, :MAX_THINGS, th.THING[name]].argmax(-1) for name in ("kind", "colour"))
    there = things[:, :MAX_THINGS, 0] > 0
    for slot in range(int(there.any(0).nonzero()[0].max(initial=-1)) + 1):
        first = int(there[:, slot].argmax())
        kind, colour = min(kinds[first, slot], len(KINDS) - 1), min(colours[first, slot], len(COLOURS) - 1)
        named = f"{list(COLOURS)[colour]} {KINDS[kind]}"
        past.names.append(named if there[:, slot].any() else "nothing")
    name, seen = next(iter(past.cameras.items()))
    past.cameras = {name: seen[: len(seen) - frames % F]}


def _of_log(path: Path, recordings: list[Recording], size: tuple[int, int], least: int, until: float | None) -> Past:
    if not recordings:
        raise BadData(f"{path}: no row of it can be used")
    log = recordings[-1]
    rows = np.arange(len(log))
    if until is not None:
        rows = rows[log.times - log.times[0] <= until]
    whole = [part for part in log.stretches() if part.start < len(rows)]
    stretch = range(whole[-1].start, min(whole[-1].stop, len(rows)))
    notes = [str(one) for one in (*log.dropped, *log.splits())]
    if len(stretch) < least:
        why = f" ({notes[-1]})" if notes else ""
        raise BadData(f"{log.log}: its last unbroken stretch, from {log.place(stretch.start)} on, has {len(stretch)} "
                      f"rows, and the model looks at {least}{why}")
    rows = np.array(stretch)[-int(SECONDS * log.fps) :]
    cameras = {}
    for name, source in log.cameras.items():
        taken = source.take(rows)
        frames = list(taken.frames(size))
        lost = next((n for n, frame in enumerate(frames) if frame is None), None)
        if lost is not None:
            raise BadData(f"{log.log}: {log.place(int(rows[lost]))}: the picture {taken.where(lost)} of camera {name} "
                          "cannot be read")
        if len(frames) != len(rows):
            raise BadData(f"{log.log}: camera {name} has {len(frames)} pictures for the last {len(rows)} rows")
        cameras[name] = np.stack(frames)
    return Past(str(path), min(max(log.fps, 1.0), 60.0), cameras, notes=notes,
                driven=(log.actions[rows], tuple(channel.name for channel in log.channels)))


def _of_data(path: Path, key: str | None, size: tuple[int, int], slots: int, until: float | None) -> Past:
    clips = ClipSet(path)
    if key is not None and key not in clips.keys:
        raise BadInput(f"{path} has no clip {key}: it has {', '.join(clips.keys[:5])}"
                       + (f" and {len(clips) - 5} more" if len(clips) > 5 else ""))
    number = 0 if key is None else clips.keys.index(key)
    whole = clips.clip(number, masks=False)
    source = f"{path} clip {clips.keys[number]}"
    end = whole.frames if until is None else round(until * whole.fps)
    if end > whole.frames:
        raise BadInput(f"{source} has {whole.frames / whole.fps:.2f} s: the past cannot end at {until:g} s")
    end -= end % F
    start = max(0, end - int(SECONDS * whole.fps) // F * F)
    past = Past(source, whole.fps, {name: _sized(view[start:end], size) for name, view in whole.views.items()})
    if whole.views:
        past.after = _sized(next(iter(whole.views.values()))[end:], size)
    if whole.channels:
        past.driven = whole.actions[start:end], whole.action_names
    if end - start < F:
        raise BadInput(f"the past {source} has {end} frames before {until or 0:g} s: that is no latent of {F}")
    clip = clips.clip(number, start, end, views=False)
    if has_truth(clips.meta(number)) and known_world(clip):
        order = _most_seen_first(clip, size)[:slots]
        past.known = true_tokens(clip, order)
        past.names = [f"{clip.truth.colours[n]} {clip.truth.kinds[n]}" for n in order]
        if len(order) < len(clip.truth.kinds):
            past.notes.append(f"{len(clip.truth.kinds) - len(order)} things are left out: the model holds {slots}")
        past.cameras = {name: past.cameras[name] for name in list(past.cameras)[:1]}
    elif not whole.views:
        raise BadInput(f"{source} has no pictures, and its world is not one that the model has learned")
    elif clip.truth is not None:
        past.notes.append("the model has not learned this clip's world: it goes on from its pictures, not its things")
    return past


def known_world(clip: Clip) -> bool:
    """Whether a clip is of the world whose things the model's tokens can say: the lab, through one camera."""
    truth = clip.exact
    return (truth is not None and truth.setting in SETTINGS and len(clip.cameras) == 1
            and set(truth.kinds) <= set(KINDS) and set(truth.colours) <= set(COLOURS) and not clip.channels)


def _most_seen_first(clip: Clip, size: tuple[int, int]) -> list[int]:
    """The things' numbers: first what is in the picture at the end, then what exists, then the rest."""
    vectors = torch.from_numpy(th.encode_things(clip.truth)[-1])
    camera = torch.from_numpy(th.encode_camera(next(iter(clip.cameras.values())))[-1])
    seen = th.in_picture(vectors[None], camera[None], size[1] / size[0])[0].numpy()
    exists = vectors[:, 0].numpy() > 0
    return sorted(range(len(exists)), key=lambda n: (-int(exists[n] and seen[n]), -int(exists[n]), n))


def _sized(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Frames (T, H, W, 3), their middle cut and scaled to a size (H, W)."""
    from PIL import Image, ImageOps

    if frames.shape[1:3] == size:
        return frames
    scaled = [np.asarray(ImageOps.fit(Image.fromarray(frame), size[::-1], Image.Resampling.BOX)) for frame in frames]
    return np.stack(scaled) if scaled else np.zeros((0, *size, 3), np.uint8)
