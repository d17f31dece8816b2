"""Where batches come from: a bank that stays as it is, or one that grows while clips are being drawn."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from reverie.core.errors import BadData
from reverie.data.shards import ClipSet
from reverie.train.encode import encode
from reverie.train.windows import Mixture

LOOK_EVERY = 15.0  # seconds between looks for new shards


@contextlib.contextmanager
def fixed(mixture: Mixture) -> Iterator[Mixture]:
    """The mixture as it is."""
    yield mixture


@contextlib.contextmanager
def growing(mixture: Mixture, folder: Path, tokenizer, vectors, *, device: str) -> Iterator[Mixture]:
    """The mixture, to which a thread adds every finished shard that appears in ``folder``.

    Renderers write there in processes of their own ("reverie data make lab"). Which clips a step sees
    then depends on when they were finished: a run on a growing bank is not repeatable step by step.
    """
    known = {item.key for item in mixture.bank.drawn}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(LOOK_EVERY):
            with contextlib.suppress(BadData):  # a shard being written, or none yet: look again
                clips = ClipSet(folder, skip_damaged=True)
                if set(clips.keys) - known:
                    fresh = encode(folder, tokenizer, vectors=vectors, device=device,
                                   keep=lambda meta: meta["key"] not in known, table=mixture.bank.vectors)
                    known.update(item.key for item in fresh.items)
                    mixture.add(fresh)

    thread = threading.Thread(target=watch, name="new shards", daemon=True)
    thread.start()
    try:
        yield mixture
    finally:
        done.set()
        thread.join()
