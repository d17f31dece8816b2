"""A driving log, or a video, of the person who starts the server: its end becomes a finished video to drive on from."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from reverie.core.errors import BadData
from reverie.serve.asking import nearest_size
from reverie.serve.jobs import Store
from reverie.serve.models import model_facts
from reverie.serve.settings import Settings

if TYPE_CHECKING:
    import numpy as np

LAST_SECONDS = 10.0  # of a log that are kept: more of it a model does not look at


def import_log(settings: Settings, path: Path) -> str:
    """The id of the video in the server's gallery. Raises BadData, BadMedia, BadInput."""
    from reverie.core.video import VideoWriter

    settings.make_folders()
    home, frames = model_facts(settings.model).size, 0
    with tempfile.TemporaryDirectory(dir=settings.folder("incoming")) as folder:
        film = Path(folder) / "video.mp4"
        fps, pictures = _log(path, home) if path.is_dir() or path.suffix == ".csv" else _video(path, home)
        writer = None
        for picture in pictures:
            size = (picture.shape[0], picture.shape[1])
            writer = writer or VideoWriter(film, fps=fps, size=size, metadata={"prompt": path.name})
            writer.write(picture[None])
            frames += 1
        if writer is None:
            raise BadData(f"{path}: none of its pictures can be read")
        writer.close()
        store = Store(settings.data)
        try:
            return store.adopt("", kind="drive", prompt=path.name, seconds=frames / fps, size=f"{size[1]}x{size[0]}",
                               fps=fps, seed=0, files={"video.mp4": film}).id
        finally:
            store.close()


def _video(path: Path, home: tuple[int, int]) -> tuple[float, Iterator[np.ndarray]]:
    from reverie.core.video import probe, stream_video

    about = probe(path)
    fps = min(max(about["fps"], 1.0), 60.0)
    first = next(stream_video(path))
    begin = max(0.0, about["seconds"] - LAST_SECONDS)
    size = nearest_size(first.shape[1], first.shape[0], home)
    return fps, stream_video(path, fps=fps, size=size, from_seconds=begin)


def _log(path: Path, home: tuple[int, int]) -> tuple[float, Iterator[np.ndarray]]:
    """The end of the last unbroken stretch of a log, as its first camera saw it."""
    import numpy as np

    from reverie.data.readers import recognise

    reader = recognise(path)
    if reader is None:
        raise BadData(f"{path} is no log that is known: a donkeycar, udacity or lerobot log, or videos with a CSV")
    recording = next(iter(reader.read(path)), None)
    if recording is None or not recording.cameras:
        raise BadData(f"{path} holds no picture")
    fps = min(max(float(recording.fps), 1.0), 60.0)
    last = recording.stretches()[-1]
    rows = np.arange(max(last.start, last.stop - round(LAST_SECONDS * fps)), last.stop)
    camera = next(iter(recording.cameras.values())).take(rows)
    first = next((picture for picture in camera.frames() if picture is not None), None)
    if first is None:
        raise BadData(f"{path}: none of its pictures can be read")
    size = nearest_size(first.shape[1], first.shape[0], home)
    return fps, (picture for picture in camera.frames(size) if picture is not None)
