"""The things of a whole video as bytes that travel in its file, so that whatever goes on from it knows them.

Half precision holds positions to 2 mm within 4 m, a tenth of a pixel at 256x256; a minute of two things is 19 KB.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np

from reverie.core.carried import carried_by
from reverie.core.vocabulary import FRAMES_PER_LATENT


def packed(vectors: np.ndarray, fps: float) -> bytes:
    """Things (N, S, WIDTH) of latents at so many frames a second, as bytes."""
    file = io.BytesIO()
    np.savez_compressed(file, things=vectors.astype(np.float16), fps=np.float64(fps), frames=FRAMES_PER_LATENT)
    return file.getvalue()


def unpacked(carried: bytes | None, fps: float) -> np.ndarray | None:
    """The things (N, S, WIDTH), float32; None where there are none, of another layout, at another rate, or damaged."""
    if not carried:
        return None
    from reverie.model import things as th  # which loads torch: only where there is something to read

    with contextlib.suppress(ValueError, KeyError, OSError, zipfile.BadZipFile), np.load(io.BytesIO(carried)) as held:
        things = held["things"].astype(np.float32)
        fits = things.ndim == 3 and things.shape[1:] == (th.TOKENS, th.WIDTH) and len(things) > 0
        if fits and abs(float(held["fps"]) - fps) < 0.01 and int(held["frames"]) == FRAMES_PER_LATENT:
            return things if bool(np.isfinite(things).all()) else None
    return None


def latents(frames: int) -> int:
    """How many latents it takes to show so many frames; the last may be shown in part."""
    return -(-frames // FRAMES_PER_LATENT)


def things_of(video: str | Path, fps: float, frames: int | None = None) -> np.ndarray | None:
    """The things that a video carries, as ``unpacked``; None where they are not those of its ``frames``, if given."""
    things = unpacked(carried_by(video), fps)
    if things is not None and frames is not None and len(things) != latents(frames):
        return None
    return things
