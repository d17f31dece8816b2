"""Contact sheets: what clips look like, on one picture, with their texts and (on wish) truth boxes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reverie.core.errors import BadInput
from reverie.core.vocabulary import COLOURS

_LATIN_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf",
                "Helvetica.ttc")
_CHINESE_FONTS = ("NotoSansCJK-Regular.ttc", "NotoSansSC-Regular.otf", "SourceHanSansSC-Regular.otf",
                  "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf", "DroidSansFallback.ttf",
                  "msyh.ttc", "simhei.ttf", "PingFang.ttc", "STHeiti Light.ttc", "Arial Unicode.ttf")
_PAPER, _INK, _GAP = (255, 255, 255), (20, 20, 20), 4
_MOST_LINES = 4  # of text above a row


def contact_sheet(rows: Sequence[np.ndarray], captions: Sequence[str], columns: int = 8, *,
                  cell_height: int | None = None) -> Image.Image:
    """One picture with a row for each clip: its text, under it evenly spaced frames, first to last.

    rows: uint8 (T, H, W, 3) each, of any sizes; a clip of fewer than ``columns`` frames shows each
    once. captions: one text a row ("" for none), wrapped to the sheet's width. cell_height: pixels
    a frame is high, default its own height. Characters that no font here has become "?".
    Raises BadInput for nothing to show, a wrong shape, or another number of texts than rows.
    """
    if not len(rows) or len(rows) != len(captions) or columns < 1:
        raise BadInput(f"a contact sheet of {len(rows)} clips, {len(captions)} texts, {columns} columns: "
                       "give at least one clip, a text for each, and one column")
    strips = [_strip(frames, columns, cell_height) for frames in rows]
    width = max(max(strip.shape[1] for strip in strips), 320) + 2 * _GAP
    texts = [_wrap(text, width - 2 * _GAP) for text in captions]
    line = _font(False).size + 4
    height = sum(strip.shape[0] + 3 * _GAP for strip in strips) + sum(len(text) for text in texts) * line
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw, y = ImageDraw.Draw(sheet), 0
    for strip, text in zip(strips, texts, strict=True):
        y += _GAP
        for words in text:
            draw.text((_GAP, y), words, _INK, _font(_chinese(words)))
            y += line
        sheet.paste(Image.fromarray(strip), (_GAP, y))
        y += strip.shape[0] + 2 * _GAP
    return sheet


def spaced(frames: int, columns: int) -> np.ndarray:
    """The numbers of at most ``columns`` evenly spaced frames out of ``frames``, first and last included."""
    return np.unique(np.linspace(0, frames - 1, min(columns, frames)).round().astype(int))


def frame_boxes(frames: np.ndarray, boxes: np.ndarray, names: Sequence[str], *, scale: int = 2) -> np.ndarray:
    """Frames with boxes and names drawn on them: uint8 (T, H * scale, W * scale, 3).

    frames: uint8 (T, H, W, 3); boxes: (T, N, 4) x0 y0 x1 y1 in pixels of ``frames``, NaN for unseen;
    names: N; a name that begins with a colour of the vocabulary gets a box of that colour.
    """
    drawn = []
    for frame, row in zip(frames, boxes, strict=True):
        size = frame.shape[1] * scale, frame.shape[0] * scale
        picture = Image.fromarray(frame).resize(size, Image.NEAREST)
        draw = ImageDraw.Draw(picture)
        for (x0, y0, x1, y1), name in zip(row * scale, names, strict=True):
            if not np.isfinite([x0, y0, x1, y1]).all():
                continue
            colour = tuple(round(255 * part) for part in COLOURS.get(name.split(" ")[0], (1, 0, 1)))
            box = (x0, y0, max(x0, x1 - 1), max(y0, y1 - 1))
            draw.rectangle([box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1], outline=(0, 0, 0))
            draw.rectangle(box, outline=colour)
            draw.text((x0 + 2, y0 + 1), name, colour, _font(False, 10), stroke_width=1,
                      stroke_fill=(0, 0, 0) if sum(colour) > 300 else (255, 255, 255))
        drawn.append(np.asarray(picture))
    return np.stack(drawn)


def _strip(frames: np.ndarray, columns: int, cell_height: int | None) -> np.ndarray:
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise BadInput(f"a contact sheet shows uint8 frames (T, H, W, 3), got {frames.dtype} {frames.shape}")
    cells = []
    for number in spaced(len(frames), columns):
        picture = Image.fromarray(frames[number])
        if cell_height and cell_height != picture.height:
            width = max(round(picture.width * cell_height / picture.height), 1)
            picture = picture.resize((width, cell_height), Image.LANCZOS)
        cells += [np.asarray(picture), np.full((picture.height, 2, 3), 255, np.uint8)]
    return np.concatenate(cells[:-1], 1)


# ---------------------------------------------------------------- text


@lru_cache
def _font(chinese: bool, size: int = 13) -> ImageFont.FreeTypeFont:
    for name in (*_CHINESE_FONTS, *_LATIN_FONTS) if chinese else _LATIN_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _chinese(text: str) -> bool:
    return any(ord(character) >= 0x2E80 for character in text)


@lru_cache(4096)
def _has(character: str, chinese: bool) -> bool:
    """Whether the font has the character: otherwise it draws the same as one that no font has."""
    font = _font(chinese)
    shown, missing = font.getmask(character), font.getmask("\U0010fffd")
    return character.isspace() or (shown.size, bytes(shown)) != (missing.size, bytes(missing))


def _wrap(text: str, width: int) -> list[str]:
    """Lines that fit ``width`` pixels: broken at spaces, in Chinese anywhere."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        chinese = _chinese(paragraph)
        shown = "".join(character if _has(character, chinese) else "?" for character in paragraph)
        pieces = list(shown) if chinese else [word + " " for word in shown.split(" ")]
        line = ""
        for piece in pieces:
            if line and _font(chinese).getlength((line + piece).rstrip()) > width:
                lines.append(line.rstrip())
                line = ""
            line += piece
        lines.append(line.rstrip())
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES - 1], lines[_MOST_LINES - 1] + " ..."]
    return lines
