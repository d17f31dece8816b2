"""The work folder of a long job, beside its output: finished pieces as they are, so that the same command goes on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from reverie.core.errors import CannotWrite
from reverie.core.files import reason, writing
from reverie.core.image import write_image

MANIFEST = "manifest.json"
PREVIEW = "preview.png"


class Work:
    """Pieces of a video under way. ``out``: its final name; ``settings``: all that decides its pixels, JSON-ready.

    The folder's name holds the settings' hash: other settings never meet these pieces. It is made with the first piece.
    """

    def __init__(self, out: str | Path, settings: dict[str, Any]):
        text = json.dumps(settings, sort_keys=True, ensure_ascii=False, default=str)
        self.mark = hashlib.sha256(text.encode()).hexdigest()[:10]
        out = Path(out)
        self.folder = out.with_name(f"{out.stem}.{self.mark}.pieces")
        self.settings = settings

    @property
    def done(self) -> int:
        """How many pieces are there."""
        return len(list(self.folder.glob("piece-*.npz")))

    def read(self, number: int) -> np.ndarray | None:
        """The frames of a finished piece, uint8 (n, H, W, 3), or None; a damaged one counts as not there."""
        try:
            with np.load(self._name(number), allow_pickle=False) as kept:
                frames = kept["frames"]
        except Exception:  # missing, or cut off in whatever way zip files can be
            return None
        return frames if frames.dtype == np.uint8 and frames.ndim == 4 else None

    def write(self, number: int, frames: np.ndarray) -> None:
        """Keep a piece, lossless. Raises CannotWrite."""
        self._make()
        with writing(self._name(number), "wb") as file:
            np.savez_compressed(file, frames=frames)

    def preview(self, picture: np.ndarray) -> Path:
        """Show uint8 (H, W, 3) as preview.png in the folder, and say where that is."""
        self._make()
        return write_image(self.folder / PREVIEW, picture)

    def remove(self) -> None:
        """The video is complete: the folder goes."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def tidy(self) -> None:
        """The work stops here: the preview goes, and the folder where no piece is in it."""
        with contextlib.suppress(OSError):
            (self.folder / PREVIEW).unlink(missing_ok=True)
            if self.folder.is_dir() and not self.done:
                self.remove()

    def _name(self, number: int) -> Path:
        return self.folder / f"piece-{number + 1:03d}.npz"

    def _make(self) -> None:
        if self.folder.is_dir():
            return
        try:
            os.makedirs(self.folder, exist_ok=True)
        except OSError as error:
            raise CannotWrite(f"cannot make the work folder {self.folder}: {reason(error)}") from error
        with writing(self.folder / MANIFEST) as file:
            json.dump({"hash": self.mark, "settings": self.settings}, file, ensure_ascii=False, indent=1, default=str)
