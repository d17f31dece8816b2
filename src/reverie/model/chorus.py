"""Several rollouts of one row each, of any age, stepped in one pass.

A pass over the 14 thing tokens of one latent is mostly overhead: on one core of two, at 128x128, imagining a latent's
things takes 51 ms of CPU time alone and 29, 18, 15, 13 ms of each of 2, 4, 8, 16 dreams. Drawing them takes 24 ms and
gains nothing from a batch (56 ms of each of 4: the canvas outgrows the caches), so that each dream is drawn alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.model.cast import Cast
from reverie.model.memory import Memories, side_by_side
from reverie.model.rollout import Rollout
from reverie.model.schedule import Conditions
from reverie.model.transformer import Past, Text, Window


class Chorus(Rollout):
    """Rollouts of equal model, grid and sampling as one, for one step; they must all be at their first latent, or all
    be past it. ``step`` moves each of them on, as if it had been stepped alone, but for the last bits of sums that are
    added up in another order."""

    def __init__(self, rollouts: Sequence[Rollout]) -> None:
        first = rollouts[0]
        super().__init__(first.model, stacked([r.text for r in rollouts]), fps=torch.cat([r.fps for r in rollouts]),
                         grid=first.grid, generator=[g for r in rollouts for g in r.generators],
                         sampling=first.sampling, with_things=first.with_things, with_views=first.with_views)
        if len({r.n > 0 for r in rollouts}) > 1 or any(r.batch != 1 for r in rollouts):
            raise ValueError("a chorus is of single dreams that have all begun, or of such that all begin")
        self.rollouts = rollouts
        self.n = max(r.n for r in rollouts)  # only whether it is the first is asked; see _index
        self.cast = Cast.stacked([r.cast for r in rollouts])
        self.memory = Memories([r.memory for r in rollouts], [r.n for r in rollouts])
        if first.owed is not None:
            self.owed = Window.stacked([r.owed for r in rollouts])
        if first.things is not None:
            self.things = torch.cat([r.things for r in rollouts])
            self.identity, self.met, self.shown = (torch.cat([getattr(r, name) for r in rollouts])
                                                   for name in ("identity", "met", "shown"))

    def step(self, conditions: Conditions, *, view: Tensor | None = None, things: Tensor | None = None,
             known: Tensor | None = None) -> tuple[Tensor | None, Tensor | None]:
        """As Rollout.step, and each rollout has made its step."""
        out = super().step(conditions, view=view, things=things, known=known)
        for b, rollout in enumerate(self.rollouts):
            row = slice(b, b + 1)
            rollout.n += 1
            rollout.owed = None if self.owed is None else self.owed.rows(row)
            if self.things is not None:
                rollout.things, rollout.identity = self.things[row].clone(), self.identity[row].clone()
                rollout.met, rollout.shown = self.met[row].clone(), self.shown[row].clone()
                rollout.cast = self.cast.rows(torch.tensor([b], device=self.device))
        return out

    def _index(self) -> Tensor:
        return torch.tensor([[r.n] for r in self.rollouts], device=self.device)

    def past_of_things(self, n: int | None = None) -> Past:
        """As Passes.past_of_things."""
        pasts = [r.past_of_things(None if n is None else r.n + n - self.n) for r in self.rollouts]
        return Past(things=side_by_side([p.things for p in pasts]), given=side_by_side([p.given for p in pasts]))

    def past_of_views(self) -> Past:
        """As Passes.past_of_views."""
        return Past(views=side_by_side([r.past_of_views().views for r in self.rollouts]))

    def _past_of_two(self) -> Past:
        return Past(things=side_by_side([r._past_of_two().things for r in self.rollouts]))


def stacked(texts: Sequence[Text]) -> Text:
    """Several scripts as the rows of one; the shorter are padded."""
    longest = max(text.line.shape[1] for text in texts)

    def padded(x: Tensor, value: int) -> Tensor:
        return F.pad(x, [0, 0] * (x.ndim - 2) + [0, longest - x.shape[1]], value=value)

    layers = {group: [(torch.cat([padded(k, 0) for k, _ in pairs]), torch.cat([padded(v, 0) for _, v in pairs]))
                      for pairs in zip(*(text.layers[group] for text in texts), strict=True)]
              for group in texts[0].layers}
    return Text(layers, torch.cat([padded(text.line, -1) for text in texts]))
