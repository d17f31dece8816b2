"""What was driven, kept: the frames as a video, and what was asked of the camera and said as a log beside it."""

from __future__ import annotations

import csv
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reverie import __version__
from reverie.core.files import writing
from reverie.core.video import MAX_SECONDS, VideoWriter
from reverie.core.vocabulary import CAMERA_CHANNELS, CAMERA_UNITS

HEAD = ("time_s", *(f"{name}_{unit.replace('/', '_per_')}" for name, unit in zip(CAMERA_CHANNELS, CAMERA_UNITS,
                                                                                  strict=True)), "text")


@dataclass(frozen=True)
class Recorded:
    """A finished recording. video: .mp4; log: .csv, a row for each frame; size: WIDTHxHEIGHT."""

    video: Path
    log: Path
    prompt: str
    seconds: float
    size: str
    fps: float
    seed: int


class Recording:
    """Growing files ``folder/drive-TIME-SESSION-LATENT.mp4`` and ``.csv``; both appear when ``close`` is called.

    The log's rows hold the time of a frame, the camera's rates in the interval that leads to it (empty where the dream
    moves the camera itself) and the text from the frame on at which it was said. Raises CannotWrite.
    """

    def __init__(self, folder: Path, session: str, dream: Any, opening: Any):
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"drive-{time.strftime('%Y%m%d-%H%M%S')}-{session}-{dream.n}.mp4"
        self._dream, self._opening = dream, opening
        self._fps, self._size = float(dream.fps), tuple(dream.size)
        self._rows: list[tuple] = []
        self._texts: list[str] = []
        self._writer = VideoWriter(self._path, fps=self._fps, size=self._size, metadata={
            "made_by": f"reverie {__version__}", "prompt": opening.prompt, "seed": opening.seed, "driven": True,
            "fps": self._fps, "size": f"{self._size[1]}x{self._size[0]}"})

    def write(self, frames: np.ndarray, told: dict) -> bool:
        """Append a step's frames and what it was told; True when the recording is as long as it may be."""
        self._writer.write(frames)
        rates = told.get("rates")
        numbers = ["" if rates is None else f"{rates.get(channel, 0.0):.6g}" for channel in CAMERA_CHANNELS]
        for i in range(len(frames)):
            text = told.get("text") or "" if i == 0 else ""
            self._rows.append((f"{len(self._rows) / self._fps:.6f}", *numbers, text))
        if told.get("text"):
            self._texts.append(told["text"])
        return len(self._rows) >= (MAX_SECONDS - 1) * self._fps

    def close(self) -> Recorded | None:
        """Finish both files; None, and nothing left, where there was not one frame."""
        if not self._rows:
            self._writer.discard()
            return None
        video = self._writer.close()
        log = self._path.with_suffix(".csv")
        with writing(log) as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(HEAD)
            table.writerows(self._rows)
        prompt = "; ".join(dict.fromkeys(text for text in (self._opening.prompt, *self._texts) if text))
        return Recorded(video, log, prompt, len(self._rows) / self._fps, f"{self._size[1]}x{self._size[0]}", self._fps,
                        self._opening.seed)
