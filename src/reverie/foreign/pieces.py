"""A minute from a model that makes seconds: which pieces it is made in, and what each goes on from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reverie.core.clip import Line
from reverie.foreign.asking import Abilities

CUT = re.compile(r"^\s*(?:(?:hard\s+)?cut(?:\s+to)?\s*[:,.\-—]|cut\s+to\s|切到|切换到|镜头切换)[\s:：,，]*",
                 re.IGNORECASE)
CONTEXT_SECONDS = 0.5  # of what was before, about, that a model which takes video is shown
BLEND_FRAMES = 6  # over which pieces that cannot see each other, but show the same things, pass into each other


@dataclass(frozen=True)
class Piece:
    """One call. number: from 0. start, count: which frames of the video it makes. context: frames before it that it is
    shown (0: it goes on from nothing). frames: how many the call makes, context and surplus included. text: its
    prompt. begins: it is the first of a line of the script, or after a cut. after: frames of the next piece that it
    makes too, to be blended."""

    number: int
    start: int
    count: int
    context: int
    frames: int
    text: str
    begins: bool
    after: int = 0


def pieces_of(lines: Sequence[Line], total: int, fps: float, able: Abilities, *, longest: int | None = None,
              context: int = 0, given: int = 0, blend: int = 0) -> list[Piece]:
    """The pieces of ``total`` frames. A piece never reaches over the start of a line of the script.

    longest: frames of a call at most (None: the model's own number). context: how many frames before it a piece can
    be shown. given: frames of a video that the first one extends. blend: frames that a piece shares with the next.
    """
    most = able.nearest_frames(min(longest or able.frames, able.frames))
    starts = [min(round(line.start * fps), total) for line in lines] + [total]
    pieces: list[Piece] = []
    for line, begin, end in zip(lines, starts[:-1], starts[1:], strict=True):
        text, cut = without_cut(line.text)
        at, first = begin, True
        while at < end:
            shown = min(given if at == 0 else 0 if cut and first else context, most - 1)
            room, later = max(1, most - shown - blend), max(1, most - min(context, most - 1) - blend)
            left = end - at
            # pieces of one line are about equally long: none of three frames stands at its end
            calls = 1 + -(-max(0, left - room) // later)
            count = min(room, -(-left // calls))
            after = min(blend, total - at - count) if blend else 0
            pieces.append(Piece(len(pieces), at, count, shown, able.nearest_frames(shown + count + after), text,
                                first or (at == 0), after))
            at, first = at + count, False
    return pieces


def without_cut(text: str) -> tuple[str, bool]:
    """A line's text without its "cut to", and whether it had one: only then does the picture begin anew."""
    found = CUT.match(text)
    return (text[found.end() :].strip() or text, True) if found else (text, False)


def context_frames(able: Abilities, fps: float, longest: int | None = None) -> int:
    """How many frames before it a piece is shown: about half a second where the model takes video, 1 where it takes a
    picture, 0 where neither."""
    if not able.past:
        return 1 if able.image else 0
    most = min(longest or able.frames, able.frames)
    latents = max(1, min(round(CONTEXT_SECONDS * fps / able.step), (most - 1) // (3 * able.step)))
    return max(1, min(latents * able.step + able.rest % max(able.step, 1), most - 1))
