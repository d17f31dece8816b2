"""From recorded videos and logs to tar shards: any camera's, any model's, as ``reverie data ingest`` asks for them.

A log (cameras with times and actions: data.readers) becomes a shard for each unbroken stretch of it (data.recorded).

A video becomes one shard, cut into clips of one camera, "front"; the end of what is longer than a clip is kept for
tests, as a log's is. Nothing is known of it but its pixels, its frame rate and, where a text of the same name lies
beside it (walk.txt beside walk.mp4), what that says it shows. With ``see`` the judge's eye adds the things that it
sees: guesses, marked as seen and never taken for truth (core.clip.Clip.exact).

Where things are is guessed through a lens of FOVY degrees, in a camera that stands still at STAND and looks along +y:
the lab's usual place, not the recording's, so that a camera that moved makes everything else seem to move.

Legend: n frames of a track, T frames of a clip, N things.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reverie.core.camera import CameraPath, look_at
from reverie.core.clip import Clip, Line, Truth
from reverie.core.errors import BadData, BadInput, BadMedia, CannotWrite
from reverie.core.files import check_input, writing
from reverie.core.progress import track as progress_bar
from reverie.core.script import clean_text
from reverie.core.video import MAX_SECONDS, probe, stream_video
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.readers import Dropped, Recording, inside, recognise
from reverie.data.readers.folder import VIDEOS
from reverie.data.recorded import LONGEST, Drive, check_memory, own_size, trained_on
from reverie.data.sample import FORMAT, Sample
from reverie.data.shards import scan, write_shard

if TYPE_CHECKING:
    from reverie.audit.findings import Track

CAMERA = "front"
PARAMETERS = "ingest.json"
FILES = {*VIDEOS, ".csv", ".tar"}  # what is no folder that is still to be made
STRETCH = MAX_SECONDS - 10.0  # seconds of a video that are read at once
STAND = (0.0, -6.0, 1.6)  # metres: where the camera is taken to be
STEADY = 0.5  # seconds over which a thing's distance is averaged: from one picture it jumps by metres
WHOLE = 0.7  # share in sight from which a thing's box is as large as the thing


@dataclass(frozen=True)
class Video:
    """One video to be taken in. key: what its clips' keys begin with; it names the bytes of video and text."""

    path: Path
    key: str
    text: str
    fps: float
    frames: int  # about
    asked: bool  # for by name; it is then an error if it can't be read


@dataclass
class Ingested:
    """What ``ingest`` made. clips: all that are in the folder; made, frames, things: clips, moments and things seen
    that were added now; left_out: a line for each video or log that could not be read; dropped: what was left out of
    logs, and where they were split, a reason each; seconds: how long it took."""

    folder: str
    clips: int = 0
    made: int = 0
    frames: int = 0
    things: int = 0
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.0
    dropped: list[Dropped] = field(default_factory=list)

    def as_dict(self) -> dict:
        """JSON-ready."""
        return asdict(self)

    def as_text(self) -> str:
        """Plain lines."""
        seen = f", {self.things} things seen" if self.things else ""
        return "\n".join([f"{self.folder}: {self.clips} clips ({self.made} made now, {self.frames} frames{seen})",
                          *map(str, self.dropped), *(f"left out: {line}" for line in self.left_out)])

    def count(self, sample: Sample) -> Sample:
        """Count a clip that is made, and give it back."""
        self.made, self.frames = self.made + 1, self.frames + sample.clip.frames
        self.things += len(sample.clip.truth.kinds) if sample.clip.truth is not None else 0
        return sample

    def drop(self, more: Dropped) -> None:
        """Count ``more`` with what was left out for the same reason."""
        for n, one in enumerate(self.dropped):
            if (one.what, one.reason) == (more.what, more.reason):
                self.dropped[n] = replace(one, count=one.count + more.count)
                return
        self.dropped.append(more)


def ingest(paths: Sequence[str | Path], out: str | Path, *, see: bool = False, seconds: float = 10.0,
           size: tuple[int, int] | None = None, quiet: bool = True) -> Ingested:
    """Videos, logs, or folders of them (searched recursively), into shards of the folder ``out``, which may hold others
    that were taken in with the same settings: what is there already stays, so the same call goes on after a stop.

    seconds: a clip's length at most, rounded down to whole latents; a rest of under one latent is dropped. size:
    (H, W), multiples of 32; the middle of the picture is cut to that shape (default: see ``own_size``). see: look for
    things in videos. Raises BadInput, BadMedia for a file that is no video and BadData for a log of which nothing can
    be used (in a folder such are left out), CannotWrite.
    """
    began, out = time.monotonic(), Path(out)
    if not 0.5 <= seconds <= MAX_SECONDS:
        raise BadInput(f"clips of {seconds:g} s: give 0.5 to {MAX_SECONDS:g}")
    if size is not None and any(side % 32 or not 32 <= side <= LONGEST for side in size):
        raise BadInput(f"size {size[1]}x{size[0]}: give multiples of 32 to {LONGEST}")
    made = Ingested(str(out))
    if see:
        from reverie.core.runtime import set_threads

        set_threads()
    videos, logs = _found([Path(path) for path in paths], made)
    if see and logs:
        raise BadInput(f"{logs[0].log} is a log: --see looks at videos of a camera that stands still")
    _claim(out, {"format": FORMAT, "see": see, "seconds": seconds, "size": list(size) if size else None})
    todo = [video for video in videos if not _whole(out / f"{video.key}.tar")]
    drives: list[Drive] = []
    for log in logs:  # all recordings of a log are of one size
        like = drives[-1].size if drives and drives[-1].log.log == log.log else None
        drives.append(Drive.of(log, out, seconds, size or like, _whole, made.drop))
    count = sum(video.frames for video in todo) + sum(drive.rows for drive in drives)
    with progress_bar(count or None, "frames", quiet=quiet) as bar:
        for drive in drives:
            try:
                drive.write(out, made.count, bar.advance, made.drop)
            except KeyboardInterrupt:
                bar.say(f"stopped before the end of {drive.log.log}; the same command goes on")
                raise
        for video in todo:
            try:
                write_shard(out / f"{video.key}.tar", map(made.count, samples(video, seconds, size, see, bar.advance)))
            except BadMedia as error:  # damaged before its first frame, or of fewer frames than a clip takes
                if video.asked:
                    raise
                made.left_out.append(str(error))
            except KeyboardInterrupt:
                bar.say(f"stopped before the end of {video.path}; the same command goes on")
                raise
    made.clips = sum(len(scan(path)) for path in out.glob("*.tar"))
    if not made.clips and logs:
        raise BadData(f"{logs[0].log}: no clip, which takes {FRAMES_PER_LATENT} rows in a row; {made.dropped[0]}")
    if not made.clips:
        raise BadMedia(f"no video that can be read: {made.left_out[0]}")
    made.seconds = round(time.monotonic() - began, 2)
    return made


def log_shards(data: Path, out: Path, side: int, quiet: bool = True) -> Path:
    """A raw log or video, or a folder of such, as shards in the folder ``out``, of pictures whose short side is
    ``side``; data itself where that is neither. Raises what ``ingest`` does."""
    if data.suffix.lower() in FILES and not data.exists():
        raise BadInput(f"no file {data}")
    made = not data.exists() or data.suffix == ".tar" or (data.is_dir() and any(data.rglob("*.tar")))
    logs, videos = ([], []) if made else inside(data)
    if not logs and not videos:
        return data
    shown = (picture for log in logs for recording in recognise(log).read(log) if len(recording)
             for picture in next(iter(recording.cameras.values())).frames() if picture is not None)
    first = next(chain(shown, *map(stream_video, videos)), None)
    ingest([data], out, size=None if first is None else own_size(*first.shape[:2], side), quiet=quiet)
    return out


def _found(paths: Sequence[Path], made: Ingested) -> tuple[list[Video], list[Recording]]:
    """The videos and the logs of files and folders, each once. Raises BadInput where there is none, or the error of one
    that was asked for by name."""
    videos: dict[str, Video] = {}
    logs: dict[str, Recording] = {}
    for path in paths:
        within, files = inside(path)
        if not within and not files:
            raise BadInput(f"no video in the folder {path}: it should hold files like NAME.mp4, or a driving log")
        for log in within:
            try:
                read = list(recognise(log).read(log))
                if not any(map(len, read)):
                    why = next((f": {line}" for recording in read for line in recording.dropped), "")
                    raise BadData(f"{log}: no row of it can be used{why}")
            except (BadMedia, BadData) as error:
                if log == path:
                    raise
                made.left_out.append(str(error))
                continue
            logs |= {f"{log.resolve()} {n}": recording for n, recording in enumerate(read)}
        for file in files:
            try:
                video = _video(file, file == path)
            except BadMedia as error:
                if file == path:
                    raise
                made.left_out.append(str(error))
                continue
            videos[video.key] = video
    if not videos and not logs:
        raise BadMedia(f"no video that can be read: {made.left_out[0]}" if made.left_out else "no video was given")
    for recording in logs.values():
        for one in recording.dropped:
            made.drop(one)
    return list(videos.values()), [recording for recording in logs.values() if len(recording)]


def _video(path: Path, asked: bool) -> Video:
    about = probe(path)
    beside = path.with_suffix(".txt")
    text = b""
    if beside.is_file():
        text = check_input(beside).read_bytes() if beside.stat().st_size else b""
    try:
        said = text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"the text {beside} is not UTF-8") from None
    said = clean_text(said, f"the text {beside}") if said.strip() else ""
    with open(path, "rb") as file:
        whole = hashlib.file_digest(file, "sha256")
    whole.update(said.encode())
    name = re.sub("[^0-9A-Za-z_]+", "-", path.stem).strip("-")[:40] or "video"
    return Video(path, f"{name}-{whole.hexdigest()[:8]}", said, about["fps"],
                 about["frames"] or round(about["seconds"] * about["fps"]), asked)


def _claim(out: Path, settings: dict) -> None:
    """Write the folder's settings, or check that they are those it was begun with."""
    file = out / PARAMETERS
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            if any(out.glob("*.tar")) or (out / "make.json").exists():
                raise BadInput(f"{out} holds another data set: choose another folder")
            with writing(file) as new:
                json.dump(settings, new, indent=1)
            return
        found = json.loads(file.read_text())
        other = [f"{name} {found.get(name)} (now {value})" for name, value in settings.items()
                 if found.get(name) != value]
    except (ValueError, AttributeError) as error:
        raise BadData(f"{file} is damaged: delete it and the shards beside it") from error
    except OSError as error:
        raise CannotWrite(f"cannot write to {out}: {error.strerror or error}") from error
    if other:
        raise BadInput(f"{out} was made with {', '.join(other)}: choose another folder")


def _whole(shard: Path) -> bool:
    with contextlib.suppress(BadData):
        return bool(scan(shard))
    return False


# ---------------------------------------------------------------- one video


def samples(video: Video, seconds: float, size: tuple[int, int] | None, see: bool,
            tell: Callable[[int], object] = int) -> Iterator[Sample]:
    """The clips of a video, one after the other. tell hears of so many more frames. Raises BadMedia, BadInput."""
    if size is None:
        first = next(stream_video(video.path))  # upright, as a phone's file may not say
        size = own_size(*first.shape[:2])
    most = max(1, int(seconds * video.fps + 1e-6) // FRAMES_PER_LATENT) * FRAMES_PER_LATENT
    check_memory(video.path, seconds, video.fps, size, most)
    stream, at, train = frames(video.path, video.fps, size), 0, trained_on(video.frames)
    train = train if most < video.frames > train else math.inf  # what is one clip is not cut
    while len(piece := list(islice(stream, min(most, train - at) if at < train else most))) >= FRAMES_PER_LATENT:
        clip = Clip(video.fps, [Line(0.0, video.text)] if video.text else [], {CAMERA: np.stack(piece)})
        if see:
            clip.truth = seen(clip, tell)
            clip.cameras[CAMERA] = stand(len(piece))
        else:
            tell(len(piece))
        yield Sample(f"{video.key}-{at:06d}", clip, {
            "world": "recorded", "format": "video", "video": video.path.name, "stretch": 0,
            "from_seconds": round(at / video.fps, 3), "split": "train" if at < train else "test"})
        at += len(piece)
    if not at:
        raise BadMedia(f"{video.path} has {len(piece)} frames: a clip takes {FRAMES_PER_LATENT} at least")


def frames(path: Path, fps: float, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """All frames of a video of any length, in stretches of STRETCH seconds."""
    start, most = 0, max(1, int(STRETCH * fps))
    while True:
        got, stream = 0, stream_video(path, size=size, from_seconds=start / fps)
        try:
            for frame in islice(stream, most):
                yield frame
                got += 1
        except BadMedia:
            if not start:
                raise
            return  # a stretch that begins at the very end
        if got < most:
            return
        start += most


# ---------------------------------------------------------------- what is seen in it


def stand(count: int) -> CameraPath:
    """The camera as it is taken to be for so many frames: see this file's head."""
    from reverie.audit.findings import FOVY

    where = np.array(STAND, np.float32)
    return CameraPath(np.tile(where, (count, 1)), np.tile(look_at(where, where + (0, 1, 0)), (count, 1, 1)), FOVY)


def seen(clip: Clip, tell: Callable[[int], object] = int) -> Truth:
    """The things that the judge's eye sees in a clip; those that it does not know are left out."""
    from reverie.audit import judge, tracks

    def shown() -> Iterator[np.ndarray]:
        for frame in clip.views[CAMERA]:
            yield frame
            tell(1)

    found, motion, size = judge.look(shown(), clip.fps)
    followed = tracks.follow(found, clip.fps, size, motion.cuts)
    return truth_of([one for one in followed if not judge.strange_thing(one)], clip.frames, clip.fps, size)


def truth_of(tracks: Sequence[Track], count: int, fps: float, size: tuple[int, int]) -> Truth:
    """Tracks of a clip of ``count`` frames of a size (H, W) as its things, of source "seen".

    A thing is there from its track's first frame to its last, in gaps on the straight way, with no box. Its distance is
    the observer's guess, averaged over STEADY; it is as deep as it is wide, and never turns.
    """
    shape, camera = (count, len(tracks)), stand(1)
    exists, boxes = np.zeros(shape, bool), np.full((*shape, 4), np.nan, np.float32)
    visible, extent = np.zeros(shape, np.float32), np.zeros((len(tracks), 3), np.float32)
    position, velocity = np.zeros((*shape, 3), np.float32), np.zeros((*shape, 3), np.float32)
    metre = 0.5 * size[0] / np.tan(np.radians(camera.fovy) / 2)  # pixels that it takes up at a metre's distance
    for i, one in enumerate(tracks):
        there = slice(one.first, one.last + 1)
        exists[there, i], boxes[one.frames, i] = True, one.boxes
        visible[one.frames, i] = np.nan_to_num(one.visible, nan=1.0)
        depth = _steady(np.nan_to_num(one.depth, nan=-STAND[1]), round(STEADY * fps))
        aside = (one.centres - np.array([size[1], size[0]]) / 2) * [1, -1] / metre * depth[:, None]
        local = np.concatenate([aside, -depth[:, None]], 1)  # the camera looks along minus its third axis
        places = camera.position[0] + local @ camera.rotation[0].T
        times = np.arange(one.first, one.last + 1)
        way = np.stack([np.interp(times, one.frames, axis) for axis in places.T], 1)
        position[there, i] = way
        velocity[there, i] = np.gradient(way, axis=0) * fps if len(way) > 1 else 0.0
        clear = visible[one.frames, i] >= WHOLE
        half = np.median((one.sides / 2 / metre * depth[:, None])[clear if clear.any() else slice(None)], 0)
        extent[i] = half[0], half[0], half[1]
    names = [one.kind for one in tracks], [one.colour for one in tracks]
    turned = np.tile(np.eye(3, dtype=np.float32), (*shape, 1, 1)) * exists[..., None, None]
    return Truth("", *names, ["medium"] * len(tracks), [""] * len(tracks), extent, exists, position, turned, velocity,
                 np.zeros(shape, np.float32), np.zeros((0, 3), np.int32), [], [0.0], {CAMERA: boxes},
                 {CAMERA: visible}, source="seen")


def _steady(values: np.ndarray, over: int) -> np.ndarray:
    """Running means (n,) over about so many values, fewer at the ends."""
    window = np.ones(2 * min(over // 2, (len(values) - 1) // 2) + 1)
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")
