"""Pictures: reading them safely and writing them whole (Pillow)."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reverie.core.errors import BadMedia, CannotWrite
from reverie.core.files import check_input, check_output, reason

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 50_000_000  # of one picture or frame
PICTURES = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")  # not EPS, which runs programs


def read_image(path: str | Path | bytes, size: tuple[int, int] | None = None) -> np.ndarray:
    """A picture (a file, or its bytes) as uint8 (H, W, 3); ``size`` (H, W): its middle is cut to that shape and scaled.

    Turned upright (EXIF); grey, palette and 16-bit pictures become RGB; what is transparent becomes
    white. Raises BadMedia.
    """
    from PIL import Image, ImageOps

    source = io.BytesIO(path) if isinstance(path, bytes) else check_input(path)
    path = "the picture" if isinstance(path, bytes) else path
    Image.init()
    formats = [name for name in PICTURES if name in Image.OPEN]  # AVIF is not in every build
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=formats) as file:
                width, height = file.size
                if width * height > MAX_PIXELS:
                    raise BadMedia(f"{path}: {width}x{height} is over 50 megapixels; make it smaller first")
                picture = _rgb(ImageOps.exif_transpose(file))
        if size is not None:
            picture = ImageOps.fit(picture, (size[1], size[0]), Image.Resampling.LANCZOS)
        return np.array(picture)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadMedia(f"{path} is more than 50 megapixels; make it smaller first") from error
    except (OSError, SyntaxError, ValueError, ArithmeticError, EOFError, KeyError, IndexError, TypeError,
            MemoryError) as error:  # Pillow's decoders raise all of these on damaged files
        raise BadMedia(f"{path} is no picture that can be read (PNG, JPEG, ...), or it is damaged") from error


def _rgb(picture: Image.Image) -> Image.Image:
    from PIL import Image

    if picture.mode.startswith("I") or picture.mode == "F":  # 16 bits a pixel or more
        grey = np.asarray(picture, np.float32)
        scale = 255.0 / 65535.0 if grey.max() > 255 else 1.0
        picture = Image.fromarray((grey * scale).clip(0, 255).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def write_image(path: str | Path, pixels: np.ndarray) -> Path:
    """Write uint8 (H, W, 3) as PNG or JPEG by the name's ending, atomically. Raises CannotWrite."""
    from PIL import Image

    path = check_output(path)
    growing = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        Image.fromarray(pixels).save(growing)
        os.replace(growing, path)
    except (OSError, ValueError, KeyError) as error:
        growing.unlink(missing_ok=True)
        raise CannotWrite(f"cannot write {path}: {reason(error)}") from error
    return path


def jpeg(pixels: np.ndarray, quality: int = 88) -> bytes:
    """uint8 (H, W, 3) as a JPEG file's bytes."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()
