"""The models of other people that are on this machine, and what each can do."""

from __future__ import annotations

from pathlib import Path

from reverie.core.errors import ReverieError
from reverie.foreign import finding
from reverie.foreign.asking import ask


def cached() -> list[dict]:
    """One row for each model in the hub's cache or a folder here: name, class, bytes, takes (text, image, video,
    control), size, frames, fps; error instead where it cannot be used. Without a model here nothing heavy is loaded."""
    return [{"name": name, **_about(folder)} for name, folder in finding.here()]


def _about(folder: Path) -> dict:
    from reverie.foreign import loading

    try:
        kind = finding.read_index(folder)["_class_name"]
        total = sum(file.stat().st_size for part in finding.parts(folder)
                    for file in finding.weight_files(folder / part))
        able = ask(loading.bare(folder), folder)
    except ReverieError as error:
        return {"error": str(error)}
    high, wide = able.nearest_size(able.size)
    return {"class": kind, "bytes": total, "takes": able.words(), "size": f"{wide}x{high}", "frames": able.frames,
            "fps": able.fps, "seconds": round(able.frames / able.fps, 2)}
