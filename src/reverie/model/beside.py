"""Drawing beside imagining: other processes draw what was imagined, while this one imagines what comes next.

What things alone make the picture of is drawn from one latent's thing vectors and nothing else, so that anybody can
draw any of them.
"""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from reverie.core.beside import Beside
from reverie.model.block import drawn

if TYPE_CHECKING:
    from reverie.model.plate import Plate
    from reverie.model.tokenizer import Tokenizer


class Drawers(Beside):
    """So many processes that draw with a tokenizer's canvas at a size (H, W), before a plate."""

    def __init__(self, tokenizer: Tokenizer, size: tuple[int, int], count: int, plate: Plate | None = None) -> None:
        super().__init__(partial(drawn, tokenizer, size=size, plate=plate), count)

    def draw(self, vectors: np.ndarray, start: int, fps: float) -> Future[tuple[np.ndarray, list[dict]]]:
        """What ``drawn`` makes of a latent's thing vectors (S, WIDTH), as soon as somebody has drawn it. The future
        raises ReverieError where the process that was to has ended."""
        return self.ask(vectors, start, fps)
