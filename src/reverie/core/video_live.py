"""Video that is watched while it is made: H.264 in MP4 fragments, one for each frame.

The codecs' other file (see core/video.py): what a browser's MediaSource takes piece by piece. The first piece is the
header (ftyp, moov); each later one is a fragment (moof, mdat) that can be appended as soon as it arrives.
"""

from __future__ import annotations

import io
from collections import deque
from fractions import Fraction

import numpy as np

from reverie.core.errors import BadInput, CannotWrite
from reverie.core.video import BT709, GROUP_SECONDS, LIMITED

HEADER, FRAGMENT = b"ftyp", b"moof"


class FragmentWriter:
    """Frames in, pieces of an MP4 out, nothing on disk.

    fps: frames per second; size: (H, W), both even. ``pieces`` returns what has become ready; the last frame's fragment
    is ready when the next frame has come, since only then is its length known. Raises BadInput for an odd size.
    """

    def __init__(self, *, fps: float, size: tuple[int, int], crf: int = 23):
        import av

        height, width = size
        if height % 2 or width % 2 or min(size) < 16 or not 0 < fps < 1000:
            raise BadInput(f"{width}x{height} at {fps} fps: sizes must be even and from 16 up, fps over 0")
        self.fps = Fraction(fps).limit_denominator(1001)
        self._size, self._frames = (height, width), 0
        self._out = _Pieces()
        self._container = av.open(self._out, "w", format="mp4", options={
            "movflags": "frag_every_frame+empty_moov+default_base_moof", "flush_packets": "1"})
        stream = self._container.add_stream("libx264", rate=self.fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "ultrafast", "tune": "zerolatency", "bf": "0",
                          "g": str(max(1, round(GROUP_SECONDS * self.fps)))}
        context = stream.codec_context
        context.time_base, context.thread_count = 1 / self.fps, 1
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        self._stream = stream
        self._keys: deque[bool] = deque()  # of the frames whose fragments are still to come

    def pieces(self, frames: np.ndarray) -> list[tuple[bytes, bool]]:
        """Append uint8 frames (n, H, W, 3); returns (bytes, whether playing can begin here) for each ready piece."""
        import av

        if frames.dtype != np.uint8 or frames.shape[1:] != (*self._size, 3):
            raise BadInput(f"frames of {frames.dtype} {frames.shape} for a video of size {self._size}")
        try:
            for pixels in frames:
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                    format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation="AREA")
                frame.pts, frame.time_base = self._frames, 1 / self.fps
                self._frames += 1
                for packet in self._stream.encode(frame):
                    self._keys.append(bool(packet.is_keyframe))
                    self._container.mux(packet)
        except av.FFmpegError as error:
            raise CannotWrite(f"cannot encode the video: {error.strerror}") from error
        return [(piece, False if kind == HEADER else self._keys.popleft()) for kind, piece in self._out.take()]

    def close(self) -> None:
        """Let the encoder go."""
        self._container.close()


def mime_of(header: bytes) -> str:
    """The MediaSource type of a stream that begins with this header, as in ``video/mp4; codecs="avc1.42c01e"``."""
    at = header.find(b"avcC")
    if at < 0:
        raise BadInput("no H.264 configuration stands in this header")
    return f'video/mp4; codecs="avc1.{header[at + 5 : at + 8].hex()}"'


class _Pieces(io.RawIOBase):
    """A file that FFmpeg writes to, taken apart at the borders of its boxes."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self._held += data
        return len(data)

    def take(self) -> list[tuple[bytes, bytes]]:
        """(kind of its first box, bytes) of every whole piece: header = ftyp + moov, fragment = moof + mdat."""
        found, start, at, kind = [], 0, 0, b""
        while at + 8 <= len(self._held):
            length = int.from_bytes(self._held[at : at + 4])
            box = bytes(self._held[at + 4 : at + 8])
            if length < 8 or at + length > len(self._held):
                break
            kind = kind or box
            at += length
            if box in (b"moov", b"mdat"):
                found.append((kind, bytes(self._held[start:at])))
                start, kind = at, b""
        del self._held[:start]
        return found
