"""A job seen while it is done: how far it is, its newest picture, and whether it is still this worker's."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reverie.serve.jobs import Job, Store
from reverie.serve.pictures import jpeg
from reverie.serve.together import Meeting

if TYPE_CHECKING:
    import numpy as np

    from reverie.model.block import Block
    from reverie.world import World

PREVIEW_EVERY = 0.5  # seconds
CHECK_EVERY = 0.2  # seconds between looks whether the job is still ours


class Gone(BaseException):
    """The job is this worker's no longer: somebody deleted it, or gave it to another. It comes through other people's
    code, and is no error of theirs."""


class Watched:
    """A World, as ``generate`` takes it, that tells of each block and gives ``imagine`` what generate does not know.

    keep: where finished pieces of another's model lie, so that whoever is given the job again goes on from them.
    meeting: where its dream's steps are made together with others', if they are.
    """

    def __init__(self, world: World, watch: Watch, spec: dict, keep: Path, meeting: Meeting | None) -> None:
        self._world, self._watch, self._keep, self._meeting = world, watch, keep, meeting
        self._more = {name: spec[name] for name in ("guidance", "avoid") if spec.get(name) is not None}
        if moves := moves_of(spec.get("rates")):
            self._more["moves"] = moves
        if meeting is not None:
            self._more["step"] = partial(meeting.step, watch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)  # whatever else somebody's model has

    def imagine(self, script, **wanted) -> Iterator[Block]:
        """World.imagine."""
        self._watch.begin(wanted)
        if "watch" in wanted:  # a model that tells of every step
            wanted |= {"watch": self._watch.step, "out": self._keep / "video.mp4"}
        try:
            for block in self._world.imagine(script, **{**wanted, **self._more}):
                yield block
                self._watch.block(block.frames)
        finally:
            if self._meeting is not None:
                self._meeting.leave(self._watch)


class Watch:
    """What the server sees of a job while it is done: the count of frames, and the newest of them as a picture."""

    def __init__(self, store: Store, job: Job, folder: Path) -> None:
        self.store, self.job, self.folder = store, job, folder
        self.done = self._given = 0
        self._said = self._shown = 0.0

    def begin(self, wanted: dict) -> None:
        """The frames of the given past are there already."""
        self.done = self._given = max(0, self.job.frames - max(1, round(wanted["seconds"] * wanted["fps"])))
        self.say(force=True)

    def step(self, step: Any) -> None:
        """A step of a piece (foreign.job.Step) is done: as many frames as it is worth are told of. Raises Gone."""
        part = step.piece - 1 + min(1.0, step.step / step.steps if step.steps else 0.0)
        self._show(step.preview)
        self.say(frames=self._given + int((self.job.frames - self._given) * part / step.pieces))

    def block(self, frames: np.ndarray) -> None:
        """Some more frames are there. Raises Gone."""
        self.done = min(self.done + len(frames), self.job.frames)
        self._show(frames[-1])
        self.say()

    def _show(self, picture: np.ndarray | None) -> None:
        if picture is not None and time.monotonic() - self._shown > PREVIEW_EVERY:
            self._shown = time.monotonic()
            growing = self.folder / "preview.new"
            growing.write_bytes(jpeg(picture))
            os.replace(growing, self.folder / "preview.jpg")

    def say(self, force: bool = False, frames: int = 0) -> None:
        """Write it down, if it is time. Raises Gone."""
        if force or time.monotonic() - self._said > CHECK_EVERY:
            self._said = time.monotonic()
            if not self.store.progress(self.job, max(self.done, min(frames, self.job.frames))):
                raise Gone


def moves_of(rates: list[list] | None) -> list:
    """World.imagine's moves from a job's [[start second, "pan left 10, dolly in 1"], ...]."""
    from reverie.core.moves import parse_moves

    return [(float(start), parse_moves(text)) for start, text in rates or ()]
