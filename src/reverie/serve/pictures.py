"""Small pictures of a video: what shows while it grows, its thumbnail, and its sheet of frames."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SHEET = (6, 4)  # pictures across and down in a sheet
SHEET_SIDE, THUMBNAIL_SIDE = 160, 480  # pixels, of the longer side


def jpeg(pixels: np.ndarray) -> bytes:
    """A frame (H, W, 3) as a JPEG."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=80)
    return out.getvalue()


def pictures(video: Path, folder: Path, frames: int) -> None:
    """Write thumbnail.webp (a frame from a third in) and spritesheet.jpg (evenly spaced frames) of a video file."""
    from PIL import Image

    from reverie.core.video import pick_frames

    across, down = SHEET
    count = max(1, min(across * down, frames))
    numbers = sorted({round((i + 0.5) * frames / count - 0.5) for i in range(count)})
    shown = [Image.fromarray(pixels) for pixels in pick_frames(video, numbers)]
    if not shown:
        return
    small = shown[len(shown) // 3].copy()
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    _save(small, folder / "thumbnail.webp")
    for image in shown:
        image.thumbnail((SHEET_SIDE, SHEET_SIDE))
    width, height = shown[0].size
    sheet = Image.new("RGB", (min(across, len(shown)) * width, -(-len(shown) // across) * height))
    for i, image in enumerate(shown):
        sheet.paste(image, (i % across * width, i // across * height))
    _save(sheet, folder / "spritesheet.jpg")


def _save(image, path: Path) -> None:
    growing = path.with_name(f".{os.getpid()}.{path.name}")
    image.save(growing, quality=85)
    os.replace(growing, path)
