"""A study: the model under measurement and the held-out clips it is measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from reverie.core.errors import ReverieError
from reverie.core.progress import Progress, track
from reverie.world import World

if TYPE_CHECKING:
    from reverie.audit.observer import Observer
    from reverie.data.shards import ClipSet

# what held-out clips depend on
TOLD_BY = ("core/camera.py", "core/vocabulary.py", "data/scenes/*.py", "data/captions.py", "data/clauses.py",
           "data/heldout.py", "data/make.py", "data/naming.py", "data/p[hl]*.py", "data/te*.py")
PACKAGE = Path(__file__).resolve().parents[1]
SEED = 2026  # of all held-out clips and dreams; the test split shares no clip with training at any seed


@dataclass
class Study:
    """What a suite is given.

    model: a name, a folder or a loaded World; n: how many cases; data: where clips are kept.
    """

    model: str | Path | World
    n: int
    data: Path
    progress: bool = True

    @cached_property
    def world(self) -> World:
        """The model, loaded when it is first needed; figures are of the CPU and of torch alone."""
        return self.model if isinstance(self.model, World) else World.load(self.model, device="cpu", fast=False)

    @cached_property
    def observer(self) -> Observer:
        """The judge's eye: the package's for every model; before there is one, the model folder's."""
        from reverie.audit.observer import WEIGHTS, Observer

        if WEIGHTS.exists() or isinstance(self.model, World):
            return Observer.load()
        own = Path(self.model) / "observer.safetensors"
        return Observer.load(own if own.exists() else None)

    @property
    def name(self) -> str:
        """The model's name and the hash of its weights."""
        return f"{self.world.name} {self.world.hash}".strip()

    def clips(self, n: int, seconds: float, *, drawn: bool, planted: Sequence[str] = (),
              size: tuple[int, int] | None = None, seed: int = SEED) -> ClipSet:
        """n held-out clips of the lab at the model's frame rate and size (or another), made if they are not there
        yet. planted: crimes that are committed in them in turn (data.scenes.crimes).

        The folder's name carries the seed and a hash of the code that simulates and tells: other code, other clips.
        Raises ReverieError when MuJoCo is missing.
        """
        from reverie.data.make import make
        from reverie.data.shards import ClipSet

        height, width = size or self.world.default_size
        code = digest(PACKAGE, TOLD_BY)
        kind = "planted" if planted else "drawn" if drawn else "things"
        folder = self.data / f"{kind}-{n}x{seconds:g}s-{width}x{height}-{self.world.fps:g}fps-{seed}-{code[:8]}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            make("lab", folder, clips=n, things_only=not drawn, seconds=seconds, size=(height, width),
                 fps=self.world.fps, seed=seed, split="test", planted=planted, progress=self.progress)
        except ImportError as error:
            raise ReverieError(
                f"held-out clips are simulated, and the package {error.name} is missing: "
                'pip install "reverie[sim]"'
            ) from None
        return ClipSet(folder)

    def track(self, total: int, title: str) -> Progress:
        """A progress bar, if progress is shown."""
        return track(total, title, quiet=not self.progress)


def digest(root: Path, patterns: Sequence[str]) -> str:
    """One hash (hex) over names and bytes of the files under root that match the patterns."""
    whole = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in root.glob(pattern)}):
        whole.update(f"{path.relative_to(root).as_posix()} {path.stat().st_size}\n".encode() + path.read_bytes())
    return whole.hexdigest()


def held_out_caption(meta: dict, i: int) -> dict:
    """Clip i's caption in phrasings that training never sees: English for even i, Chinese for odd, short
    and long in turn."""
    language = ("en", "zh")[i % 2]
    found = [c for c in meta["captions"] if c["held_out"] and c["language"] == language]
    return found[i // 2 % len(found)]
