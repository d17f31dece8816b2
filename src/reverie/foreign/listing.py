"""The models of other people that are on this machine, and what each can do."""

from __future__ import annotations

import contextlib
from pathlib import Path

from reverie.core.errors import ReverieError
from reverie.foreign import finding
from reverie.foreign.asking import ask


def cached() -> list[dict]:
    """One row for each model in the hub's cache or a folder here: name, class, bytes, takes (text, image, video,
    control), perhaps (other forms of the same weights, which go on from pictures or videos where a trial at work shows
    that they can), size, frames, fps; error instead where it cannot be used. Without a model here nothing heavy is
    loaded."""
    return [{"name": name, **_about(folder)} for name, folder in finding.here()]


def _about(folder: Path) -> dict:
    from reverie.foreign import loading, siblings

    try:
        kind = finding.read_index(folder)["_class_name"]
        total = sum(file.stat().st_size for part in finding.parts(folder)
                    for file in finding.weight_files(folder / part))
        pipe = loading.bare(folder)
        able = ask(pipe, folder)
    except ReverieError as error:
        return {"error": str(error)}
    high, wide = able.nearest_size(able.size)
    more = {}
    if not able.image and not able.past and not able.guided:
        with contextlib.suppress(Exception):  # of a pipeline that could not be made without its weights
            more["perhaps"] = ", ".join(siblings.that_may_continue(pipe, finding.parts(folder)))
    return {"class": kind, "bytes": total, "takes": able.words(), **more, "size": f"{wide}x{high}",
            "frames": able.frames, "fps": able.fps, "seconds": round(able.frames / able.fps, 2)}
