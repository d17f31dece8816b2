"""A dream's passes of the transformer as CUDA graphs: the same kernels, launched at once instead of one by one.

A graph has fixed sizes. So what is seen of the past is padded to the next power of two, and the rest of it is seen by
nobody: a minute's things need four of them.

Legend as in transformer.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.model.standin import Flat, StandIn
from reverie.model.transformer import Transformer

SWITCH = "REVERIE_CUDA_GRAPHS"  # in the environment: 0 leaves them alone
LEAST = 128  # tokens of the past that a graph is made for
KEPT = 48  # graphs
WARM = 2  # passes before one is captured

Capture = Callable[[Callable[[], Sequence[Tensor]]], tuple[Callable[[], None], Sequence[Tensor]]]


def wanted() -> bool:
    """Whether nobody said no."""
    return os.environ.get(SWITCH, "") != "0"


class Graphed(StandIn):
    """capture: what makes, of a pass, something that makes it again in the same place, and where its results are."""

    called = "CUDA graphs"

    def __init__(self, model: Transformer, tell: Callable[[str], None] | None = None, *, capture: Capture | None = None
                 ) -> None:
        super().__init__(model, tell)
        self.capture = capture or captured
        self.graphs: dict[tuple, tuple[dict[str, Tensor], Callable[[], None], Sequence[Tensor]]] = {}

    @torch.inference_mode()
    def made(self, group: str, latents: int, inputs: dict[str, Tensor]) -> Sequence[Tensor]:
        """As StandIn.made."""
        inputs = {name: padded(name, x) for name, x in inputs.items()}
        key = (group, latents, *(tuple(x.shape) for x in inputs.values()))
        if key not in self.graphs:
            if len(self.graphs) == KEPT:
                del self.graphs[next(iter(self.graphs))]
            own = {name: x.clone() for name, x in inputs.items()}
            one = Flat(group, self.model, list(own))
            self.graphs[key] = (own, *self.capture(lambda: self._run(group, one, own)))
        own, again, results = self.graphs[key]
        for name, x in inputs.items():
            own[name].copy_(x)
        again()
        return [result.clone() for result in results]

    def _run(self, group: str, one: Flat, own: dict[str, Tensor]) -> Sequence[Tensor]:
        half = self.model.half and group == "views"
        with torch.autocast(self.model.marks.device.type, torch.bfloat16, enabled=half,
                            cache_enabled=False):  # what is cached ends with the context, and a graph would read it
            return one(*own.values())


def padded(name: str, x: Tensor) -> Tensor:
    """What is seen of the past, with as many tokens as graphs are made for."""
    if not name.startswith(("key", "value", "own")):
        return x
    count, axis = x.shape[2], x.ndim - 3  # axes after that of the tokens: keys and values have one, masks none
    size = max(LEAST, 1 << (count - 1).bit_length())
    return F.pad(x, [0, 0] * axis + [0, size - count])


def captured(run: Callable[[], Sequence[Tensor]]) -> tuple[Callable[[], None], Sequence[Tensor]]:
    """A CUDA graph of a pass."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = run()
    return graph.replay, results
