"""Video files: the only file of the project that knows codecs (PyAV).

Frames are uint8 RGB (T, H, W, 3), full range sRGB. Files are written as H.264, 4:2:0, BT.709,
limited range, and tagged so, which every player of the last fifteen years opens.

While it grows, a video lies beside its final name as ``NAME.<process>.partial.mp4``, cut into
fragments, so that even a killed process leaves something that plays. When it is complete it is
rewritten (without encoding again) as a plain MP4 whose index stands first, under its final name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from reverie.core.carried import add_box, from_tags, to_tags
from reverie.core.errors import BadInput, BadMedia, CannotWrite
from reverie.core.files import FULL, check_input, check_output, partial_name, reason
from reverie.core.image import MAX_PIXELS

MAX_SECONDS = 600.0  # of a video that is read
MAX_MEMORY = 4 << 30  # bytes of frames that read_video may hold
GROUP_SECONDS = 1.0  # a key frame, and so a new fragment, this often
CHUNK = 8  # frames handed to the encoder at once
# FFmpeg would also read play lists (and follow them to other files) and draw text files as video.
CONTAINERS = {"mov", "mp4", "m4a", "m4v", "matroska", "webm", "avi", "mpegts", "mpeg", "mpegvideo", "flv",
              "gif", "apng", "asf", "ogg", "h264", "hevc", "ivf", "obu", "mjpeg", "nut", "mxf", "dv"}
BT709, UNTOLD, LIMITED = 1, 2, 1  # FFmpeg's numbers for matrices and ranges
OLD_MATRICES = (4, 5, 6)  # FCC and BT.601, which differ by nothing that an eye could see


class VideoWriter:
    """Write an MP4 frame by frame; encoding runs in a thread of its own, beside the caller.

        with VideoWriter("out.mp4", fps=24, size=(256, 256), metadata={"prompt": "..."}) as video:
            video.write(frames)

    path: ends in .mp4; its folder must exist. size: (H, W), both even. fps: frames per second, any
    fraction. metadata: JSON-ready, kept in the file (see ``probe``). Leaving the block normally
    puts the whole video under ``path``; leaving it by KeyboardInterrupt puts what there is under
    ``NAME.partial.mp4`` (attribute ``kept``); by any other exception removes it. When the disk is
    full what fits is kept as ``NAME.partial.mp4`` and CannotWrite says so.

    Raises BadInput for an impossible path, size or fps, CannotWrite when the file cannot be written.
    """

    def __init__(self, path: str | Path, *, fps: float, size: tuple[int, int],
                 metadata: dict | None = None, crf: int = 18, depth: int = 4):
        import av

        self.path = check_output(path, ".mp4")
        height, width = size
        if height % 2 or width % 2 or min(size) < 16 or not 0 < fps < 1000:
            raise BadInput(f"{width}x{height} at {fps} fps: sizes must be even and from 16 up, fps over 0")
        self.fps = Fraction(fps).limit_denominator(1001)
        self.frames = 0  # handed in
        self.encoded = 0
        self.kept: Path | None = None  # the file that was left, whole or partial
        self.carried = b""  # what it shall carry beside its pictures (see ``core.carried``); may be set until it ends
        self._size = (height, width)
        self._growing = self.path.with_name(f"{self.path.stem}.{os.getpid()}.partial.mp4")
        self._failure: BaseException | None = None
        self._closed = False
        try:
            self._container = av.open(str(self._growing), "w", format="mp4", options={
                "movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"})
            self._container.metadata.update(to_tags(metadata or {}))
            stream = self._container.add_stream("libx264", rate=self.fps)
        except (OSError, av.FFmpegError) as error:
            raise self._cannot(error) from error
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        group = max(1, round(GROUP_SECONDS * self.fps))
        stream.options = {"crf": str(crf), "preset": "veryfast", "g": str(group), "bf": "0"}
        # Without B frames (bf) the first frame is shown at time 0 in every player.
        context = stream.codec_context
        context.time_base = 1 / self.fps
        context.thread_count = 1  # the other cores are the model's, and the bytes depend on it
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        self._stream = stream
        self._queue: queue.Queue = queue.Queue(depth)
        self._thread = threading.Thread(target=self._encode, name="video encoder", daemon=True)
        self._thread.start()

    def write(self, frames: np.ndarray) -> None:
        """Append uint8 frames (n, H, W, 3); waits when the encoder is ``depth`` pieces behind."""
        if frames.dtype != np.uint8 or frames.shape[1:] != (*self._size, 3):
            raise BadInput(f"frames of {frames.dtype} {frames.shape} for a video of size {self._size}")
        for start in range(0, len(frames), CHUNK):
            if self._failure is not None:
                self._finish()
            self._queue.put(frames[start : start + CHUNK].copy())
        self.frames += len(frames)

    def close(self) -> Path:
        """Finish the video and put it under its final name, which is returned."""
        self._finish()
        made = self._settle(self.path)
        if made is None:
            raise CannotWrite(f"cannot write {self.path}: not one frame was given")
        return made

    def keep_partial(self) -> Path | None:
        """Finish early: what there is goes to NAME.partial.mp4; None if there was not one frame."""
        self._finish()
        return self._settle(partial_name(self.path))

    def discard(self) -> None:
        """Finish and leave nothing behind."""
        with contextlib.suppress(CannotWrite):
            self._finish()
        self._growing.unlink(missing_ok=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if kind is None:
            self.close()
        elif issubclass(kind, KeyboardInterrupt):
            self.keep_partial()
        elif self.kept is None:
            self.discard()

    def _encode(self) -> None:
        """The encoder's thread: goes on taking pieces after a failure, so that nobody waits for ever."""
        import av

        while (piece := self._queue.get()) is not None:
            if self._failure is not None:
                continue
            try:
                for pixels in piece:
                    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                    frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG",
                                           interpolation="AREA")
                    frame.pts, frame.time_base = self.encoded, 1 / self.fps
                    for packet in self._stream.encode(frame):
                        self._container.mux(packet)
                    self.encoded += 1
            except BaseException as error:  # noqa: B036 - handed to the caller's thread, raised there
                self._failure = error

    def _finish(self) -> None:
        """Stop the thread and end the growing file; raises CannotWrite if anything had failed."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        try:
            if self._failure is None:
                for packet in self._stream.encode(None):
                    self._container.mux(packet)
        except Exception as error:
            self._failure = error
        try:
            self._container.close()
        except Exception as error:
            self._failure = self._failure or error
        if self._failure is None:
            return
        seconds = _playable_seconds(self._growing)
        if seconds > 0:
            self.kept = partial_name(self.path)
            os.replace(self._growing, self.kept)
        else:
            self._growing.unlink(missing_ok=True)
        raise self._cannot(self._failure, seconds) from self._failure

    def _settle(self, name: Path) -> Path | None:
        """Rewrite the fragments as a plain MP4 under ``name``."""
        import av

        if self.kept is not None:
            return self.kept
        if self.encoded == 0:
            self._growing.unlink(missing_ok=True)
            return None
        whole = self._growing.with_suffix(".whole.mp4")
        try:
            with av.open(str(self._growing)) as source, av.open(str(whole), "w", format="mp4", options={
                    "movflags": "faststart"}) as target:
                target.metadata.update(source.metadata)
                stream = target.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is not None:
                        packet.stream = stream
                        target.mux(packet)
            if self.carried:
                add_box(whole, self.carried)
            os.replace(whole, name)
        except (OSError, av.FFmpegError) as error:  # no room for a second copy: the fragments play as well
            whole.unlink(missing_ok=True)
            if getattr(error, "errno", None) not in (*FULL, errno.EFBIG):
                raise self._cannot(error) from error
            os.replace(self._growing, name)
        self._growing.unlink(missing_ok=True)
        self.kept = name
        return name

    def _cannot(self, error: BaseException | None, seconds: float = 0.0) -> CannotWrite:
        left = f"; its first {seconds:.1f} s are in {self.kept}" if self.kept else ""
        return CannotWrite(f"cannot write {self.path}: {reason(error)}{left}")


def probe(path: str | Path) -> dict:
    """What a video file is, without decoding it.

    Returns width, height (pixels as shown, before rotation), fps, frames (0 when unknown), seconds
    (0.0 when unknown), codec, and metadata: what VideoWriter was given, or the container's own
    tags. Raises BadMedia.
    """
    with _opened(path) as (container, stream):
        return {
            "width": stream.codec_context.width, "height": stream.codec_context.height,
            "fps": _rate(stream), "frames": stream.frames, "seconds": _duration(container, stream),
            "codec": stream.codec_context.name, "metadata": from_tags(container.metadata),
        }


def stream_video(path: str | Path, *, fps: float | None = None, size: tuple[int, int] | None = None,
                 from_seconds: float = 0.0) -> Iterator[np.ndarray]:
    """Yield a video's frames, uint8 (H, W, 3), one by one, at the times k / fps.

    At another ``fps`` than the file's own (None: its own) each is the nearest frame there is, never
    a mixture. ``size`` (H, W): the middle of the picture is cut to that shape and scaled. The first
    frame yielded is the first at or after ``from_seconds``. Memory stays flat. Raises BadMedia
    for what is no video, is damaged before its first frame, or passes the limits at this file's head.
    """
    import av

    with _opened(path) as (container, stream):
        step = 1.0 / (fps or _rate(stream))
        if from_seconds > 0:
            with contextlib.suppress(av.FFmpegError):
                container.seek(int(from_seconds * av.time_base), backward=True)
        origin, index, waiting = None, 0, None
        start = float(stream.start_time * stream.time_base) if stream.start_time else 0.0
        try:
            for frame in container.decode(stream):
                if frame.width * frame.height > MAX_PIXELS:
                    raise BadMedia(f"{path}: a frame of {frame.width}x{frame.height} is over 50 megapixels")
                time = frame.time - start if frame.time is not None else (
                    0.0 if waiting is None else waiting[0] + 1.0 / _rate(stream))
                if time > MAX_SECONDS + from_seconds:
                    raise BadMedia(f"{path} is longer than {MAX_SECONDS:.0f} s; cut it first")
                if origin is None:
                    origin = time
                    index = max(0, int(np.ceil((max(time, from_seconds) - 1e-6) / step)))
                # A moment belongs to the frame nearest to it, so it is known when the next has come.
                while waiting is not None and index * step <= (waiting[0] + time) / 2 + 1e-9:
                    yield _pixels(waiting[1], size)
                    index += 1
                waiting = (time, frame)
        except av.FFmpegError as error:
            if waiting is None:
                raise BadMedia(f"{path} cannot be decoded: {error.strerror}; is it damaged?") from error
            # Cut off in the middle: what came before the damage is a video all the same.
        if waiting is None:
            raise BadMedia(f"{path} holds no frame that can be decoded")
        # Times are rounded, in Matroska to milliseconds: that makes no further frame.
        rounding = min(float(stream.time_base or 0), step / 4) + 1e-9
        end = waiting[0] + 1.0 / _rate(stream) - rounding
        first = True
        while first and origin == waiting[0] or index * step < end:
            yield _pixels(waiting[1], size)
            index += 1
            first = False


def pick_frames(path: str | Path, numbers: Iterable[int], size: tuple[int, int] | None = None) -> Iterator[np.ndarray]:
    """Yield the frames of these numbers, counted from 0 as they are stored, whatever their times, each as
    ``stream_video`` gives it; fewer where the video ends or breaks off. Of any length. Raises BadMedia."""
    import av
    wanted = frozenset(numbers)
    with _opened(path) as (container, stream), contextlib.suppress(av.FFmpegError):
        for number, frame in zip(range(max(wanted, default=-1) + 1), container.decode(stream), strict=False):
            if number in wanted:
                yield _pixels(frame, size)


def read_video(path: str | Path, *, fps: float | None = None, size: tuple[int, int] | None = None,
               last_seconds: float | None = None) -> tuple[np.ndarray, float]:
    """A video's frames, uint8 (T, H, W, 3), and their fps; see ``stream_video``.

    last_seconds: only so much of its end, and only that is held in memory. Raises BadMedia.
    """
    about = probe(path)
    rate = fps or about["fps"]
    begin = 0.0
    if last_seconds is not None and about["seconds"] > last_seconds:
        begin = max(0.0, about["seconds"] - last_seconds - 1.0)  # a second to spare: durations are not exact
    height, width = size or (about["height"], about["width"])
    limit = MAX_MEMORY // (height * width * 3)
    keep = None if last_seconds is None else max(1, round(last_seconds * rate))
    frames: deque[np.ndarray] = deque(maxlen=keep)
    for frame in stream_video(path, fps=rate, size=size, from_seconds=begin):
        if len(frames) >= limit and keep != len(frames):
            raise BadMedia(f"{path}: over {MAX_MEMORY >> 30} GB of frames; make it smaller or shorter")
        frames.append(frame)
    if not frames:
        raise BadMedia(f"{path} holds no frame that can be decoded")
    return np.stack(frames), float(rate)


@contextlib.contextmanager
def _opened(path: str | Path):
    """The file's container and its video stream, checked against the limits."""
    import av

    check_input(path)
    try:  # the absolute path, because FFmpeg takes "a:b.mp4" for a protocol
        container = av.open(str(Path(path).absolute()), options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BadMedia(f"{path} is no video that can be read, or it is damaged") from error
    with container:
        covers = av.stream.Disposition.attached_pic  # of a song: a "video" of one picture
        moving = [stream for stream in container.streams.video if not stream.disposition & covers]
        if not moving or not CONTAINERS & set(container.format.name.split(",")):
            hint = "; it is a picture: use it with --image" if "pipe" in container.format.name else ""
            raise BadMedia(f"{path} is no video{hint}")
        stream = moving[0]
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > MAX_PIXELS:
            raise BadMedia(f"{path}: frames of {width}x{height} are more than 50 megapixels")
        if width == 0 or height == 0:
            raise BadMedia(f"{path} is no video that can be read, or it is damaged")
        yield container, stream


def _rate(stream) -> float:
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    return float(rate) if rate and 0.01 < rate < 1001 else 24.0


def _duration(container, stream) -> float:
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration and container.duration > 0 else 0.0


def _playable_seconds(path: Path) -> float:
    """How much of an unfinished file plays; 0.0 if none of it does."""
    try:
        with _opened(path) as (container, stream):
            last = 0.0
            for packet in container.demux(stream):
                if packet.pts is not None:
                    last = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            return last
    except Exception:
        return 0.0


def _pixels(frame, size: tuple[int, int] | None) -> np.ndarray:
    """One decoded frame as RGB, upright, square pixels, cut and scaled to ``size``."""
    turns = round((getattr(frame, "rotation", 0) or 0) / 90) % 4
    width, height = frame.width, frame.height
    aspect = getattr(frame, "sample_aspect_ratio", None)
    if size is not None:
        wide, high = (width * float(aspect) if aspect else width), height
        want_high, want_wide = size if turns % 2 == 0 else size[::-1]
        scale = max(want_wide / wide, want_high / high)
        width, height = max(want_wide, round(wide * scale)), max(want_high, round(high * scale))
    old = frame.colorspace in OLD_MATRICES or (frame.colorspace == UNTOLD and frame.height < 720)
    shrinks = width < frame.width
    pixels = frame.reformat(width=width, height=height, format="rgb24",
                            src_colorspace="ITU601" if old else "ITU709",
                            dst_colorspace="ITU709", dst_color_range="JPEG",
                            interpolation="AREA" if shrinks else "BICUBIC").to_ndarray()
    if size is not None:
        top, left = (height - want_high) // 2, (width - want_wide) // 2
        pixels = pixels[top : top + want_high, left : left + want_wide]
    return np.ascontiguousarray(np.rot90(pixels, turns))
