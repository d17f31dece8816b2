"""What an audit found, drawn into the pixels of a copy of the video, frame by frame."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from reverie import __version__
from reverie.audit.findings import Track, Verdict, Violation
from reverie.audit.report import HELD, sentence, shown_size
from reverie.core.errors import BadInput
from reverie.core.files import check_input, check_output
from reverie.core.progress import track as progress_of
from reverie.core.video import VideoWriter, stream_video

if TYPE_CHECKING:
    from PIL import ImageDraw

LEAST, MOST = 360, 1080  # pixels of the short side: smaller pictures are enlarged by a whole number
STRIP = 40  # pixels below the picture, at its least, in which the timeline is drawn
RED, PALE_RED, WHITE, GROUND, RAIL = (229, 25, 45), (255, 120, 128), (255, 255, 255), (18, 21, 24), (70, 78, 88)
# As in page/report.js: told apart by people who see few colours too, and none the red of violations.
TINTS = ((59, 130, 246), (245, 158, 11), (16, 185, 129), (168, 85, 247), (6, 182, 212), (217, 140, 95), (132, 184, 25),
         (99, 102, 241), (232, 111, 181), (13, 148, 136))
_Name: TypeAlias = "tuple[str, np.ndarray, tuple[int, int, int], Any]"  # words, box, ground, font


def write_overlay(verdict: Verdict, video: str | Path, out: str | Path, *, quiet: bool = True) -> Path:
    """Write ``video`` with boxes, numbers, names, violations and a timeline drawn in; memory stays flat.

    video: the file that was judged. out: another file, ends in .mp4. A violation is shown for at least HELD seconds.
    quiet: no progress bar. Raises BadInput, BadMedia, CannotWrite; after Ctrl-C what there is stays, playable, as
    NAME.partial.mp4.
    """
    out = check_output(out, ".mp4")
    if out.exists() and check_input(video).samefile(out):
        raise BadInput(f"the output {out} is the video itself: give it another name")
    first = next(stream_video(video))
    height, width = shown_size(verdict.size, first.shape[:2], MOST)
    times = max(1, -(-LEAST // min(height, width)))
    size = (height * times, width * times)
    pen = _Pen(verdict, size)
    source = Path(verdict.source).name.encode("utf-8", "replace").decode()
    metadata = {"made_by": f"reverie {__version__}", "audit_of": source, "verdict": sentence(verdict)}
    writer = VideoWriter(out, fps=verdict.fps, size=(size[0] + pen.strip, size[1]), metadata=metadata)
    try:
        with writer, progress_of(verdict.frames, "frames drawn", quiet=quiet) as progress:
            for number, frame in enumerate(islice(stream_video(video, fps=verdict.fps, size=size), verdict.frames)):
                writer.write(pen.draw(frame, number)[None])
                progress.advance()
    except KeyboardInterrupt as stop:
        left = f"the first {writer.encoded / verdict.fps:.1f} s are in {writer.kept}" if writer.kept else ""
        raise KeyboardInterrupt(f"stopped: {left or 'there was nothing yet to keep'}") from stop
    return out


class _Pen:
    """Draws one frame after the other; holds where each thing is and the fonts."""

    def __init__(self, verdict: Verdict, size: tuple[int, int]):
        from PIL import ImageFont

        self.verdict, self.size = verdict, size
        self.scale = np.array([size[1] / verdict.size[1], size[0] / verdict.size[0]] * 2)
        unit = min(size) / LEAST  # how much larger than the least everything is drawn
        self.line = max(2, round(2 * unit))
        self.strip = 2 * round(STRIP * unit / 2)
        self.font, self.large = (ImageFont.load_default(round(points * unit)) for points in (13, 16))
        self.tracks = {track.number: track for track in verdict.tracks}
        self.ends = [max(v.end, v.start + HELD) for v in verdict.violations]

    def draw(self, frame: np.ndarray, number: int) -> np.ndarray:
        """The frame (H, W, 3) with all that is known of it, and the strip below."""
        from PIL import Image, ImageDraw

        whole = np.empty((self.size[0] + self.strip, self.size[1], 3), np.uint8)
        whole[: self.size[0]], whole[self.size[0] :] = frame, GROUND
        picture = Image.fromarray(whole)
        brush = ImageDraw.Draw(picture)
        when = number / self.verdict.fps
        now = [v for v, end in zip(self.verdict.violations, self.ends, strict=True)
               if v.start - 0.5 / self.verdict.fps <= when <= end]
        guilty = {v.track for v in now} | {v.other for v in now}
        names: list[_Name] = []
        for v in now:
            names += self._crime(brush, v, number)
        for track in self.verdict.tracks:
            box = _box_at(track, number)
            if box is not None and track.number not in guilty:
                tint = TINTS[(track.number - 1) % len(TINTS)]
                self._outline(brush, box * self.scale, tint, self.line)
                names.append((f"{track.number} {track.name}", box * self.scale, tint, self.font))
        self._write(brush, names)
        if now:
            brush.rectangle((0, 0, self.size[1] - 1, self.size[0] - 1), outline=RED, width=2 * self.line)
        self._timeline(brush, when, bool(now))
        return np.asarray(picture)

    def _crime(self, brush: ImageDraw.ImageDraw, v: Violation, number: int) -> list[_Name]:
        track, other = self.tracks.get(v.track), self.tracks.get(-1 if v.other is None else v.other)
        box = _box_at(track, number) if track is not None else None
        second = _box_at(other, number) if other is not None else None
        if second is not None:
            self._outline(brush, second * self.scale, RED, self.line)
        if box is None:  # it is not there: where it was
            box = np.array(v.box, float)
        if not np.isfinite(box).all():
            return []
        self._outline(brush, box * self.scale, RED, 2 * self.line)
        name = f"{v.track} {track.name}: {v.what}" if track is not None else v.what
        return [(name.upper(), box * self.scale, RED, self.large)]

    def _outline(self, brush: ImageDraw.ImageDraw, box: np.ndarray, colour: tuple, width: int) -> None:
        high, wide = self.size
        x0, x1 = np.clip(np.sort(box[[0, 2]]), 0, wide - 1)
        y0, y1 = np.clip(np.sort(box[[1, 3]]), 0, high - 1)
        brush.rectangle((float(x0), float(y0), float(x1), float(y1)), outline=colour, width=width)

    def _write(self, brush: ImageDraw.ImageDraw, names: list[_Name]) -> None:
        """Each name above its box, or wherever near it no other name stands."""
        high, wide = self.size
        placed: list[tuple[float, float, float, float]] = []
        for words, box, ground, font in names:
            words = _cut(words, font, wide - 10)
            _, above, long, low = font.getbbox(words)
            tall, long = low + above, long + 8
            x = float(np.clip(box[0], 0, max(0, wide - long)))
            for y in (box[1] - tall, box[3], box[1], box[3] - tall, box[1] - 2 * tall, box[3] + tall):
                if 0 <= y <= high - tall and not any(x < right and x + long > left and y < bottom and y + tall > top
                                                     for left, top, right, bottom in placed):
                    break
            else:
                y = np.clip(box[1] - tall, 0, high - tall)
            placed.append((x, float(y), x + long, float(y) + tall))
            brush.rectangle(placed[-1], fill=ground)
            brush.text((x + 4, float(y)), words, fill=WHITE, font=font)

    def _timeline(self, brush: ImageDraw.ImageDraw, when: float, alarm: bool) -> None:
        """A rail along the whole video, its violations on it, where we are, and the time."""
        high, wide = self.size
        left, right, line = 5 * self.line, wide - 5 * self.line, self.line
        rail = high + self.strip - 6 * line
        seconds = self.verdict.seconds

        def place(time: float) -> float:
            return left + (right - left) * min(max(time / seconds, 0.0), 1.0)

        brush.rectangle((left, rail, right, rail + line), fill=RAIL)
        for v in self.verdict.violations:
            brush.rectangle((place(v.start) - line, rail - 2 * line, max(place(v.end), place(v.start)) + line,
                             rail + 3 * line), fill=RED)
        brush.rectangle((place(when) - line / 2, rail - 4 * line, place(when) + line / 2, rail + 4 * line), fill=WHITE)
        begun = sum(v.start <= when + 0.5 / self.verdict.fps for v in self.verdict.violations)
        count = f"{begun} of {len(self.verdict.violations)} violations" if self.verdict.violations else "no violation"
        brush.text((left, high + line), f"{when:.2f} s", fill=WHITE, font=self.font)
        brush.text((right, high + line), count, fill=PALE_RED if alarm else WHITE, font=self.font, anchor="ra")


def _box_at(track: Track, number: int) -> np.ndarray | None:
    """Its box at a frame, between two sightings on a straight line; None before its first and after its last."""
    n = int(np.searchsorted(track.frames, number))
    if n == len(track.frames) or number < track.first:
        return None
    if track.frames[n] == number:
        return np.asarray(track.boxes[n], float)
    before, after = track.frames[n - 1], track.frames[n]
    return track.boxes[n - 1] + (track.boxes[n] - track.boxes[n - 1]) * float((number - before) / (after - before))


def _cut(words: str, font, most: float) -> str:
    """The words, shortened until they are at most that many pixels long."""
    while len(words) > 4 and font.getlength(words) > most:
        words = words[:-4].rstrip() + "..."
    return words
