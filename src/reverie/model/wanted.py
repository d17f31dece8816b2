"""What the next latents of several dreams are made from; those that fit together are made in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from reverie.model import things as th
from reverie.model.block import Block
from reverie.model.chorus import Chorus
from reverie.model.rollout import Rollout
from reverie.model.schedule import Conditions


@dataclass
class Wanted:
    """The next latent of a dream: its rollout, what makes a Block of its things and view, its conditions, and what of
    it is given, as Rollout.step has it."""

    rollout: Rollout
    made: Callable[[Tensor | None, Tensor | None], Block]
    conditions: Conditions
    view: Tensor | None
    things: Tensor | None = None
    known: Tensor | None = None
    ready: Tensor | None = None  # its things (1, S, WIDTH), if the rollout has made them before

    def fits(self, other: Wanted) -> bool:
        """Whether both can be made in one pass."""
        a, b = self.rollout, other.rollout
        return (a.model is b.model and a.grid == b.grid and a.sampling == b.sampling
                and torch.equal(a.fps, b.fps) and (a.n > 0) == (b.n > 0)
                and (a.with_things, a.with_views) == (b.with_things, b.with_views)
                and (self.view is None) == (other.view is None) and self.whole == other.whole
                and (a.memory.goal is None, a.owed is None) == (b.memory.goal is None, b.owed is None))

    @property
    def whole(self) -> bool:
        """Whether all its things are given."""
        return self.known is not None and bool(self.known.all())


def advance(wanted: Sequence[Wanted]) -> list[Block]:
    """Make those latents, each of another dream."""
    groups: list[list[int]] = []
    made: list[Block | None] = [None if one.ready is None else one.made(one.ready, None) for one in wanted]
    for i, one in enumerate(wanted):
        if one.ready is not None:
            continue
        fitting = next((group for group in groups if wanted[group[0]].fits(one)), None)
        groups.append([i]) if fitting is None else fitting.append(i)
    for group in groups:
        rows = [wanted[i] for i in group]
        one = rows[0] if len(rows) == 1 else _side_by_side(rows)
        rollout = one.rollout if len(rows) == 1 else Chorus([row.rollout for row in rows])
        tokens, views = rollout.step(one.conditions, view=one.view, things=one.things, known=one.known)
        for b, i in enumerate(group):
            made[i] = wanted[i].made(*(None if x is None else x[b : b + 1] for x in (tokens, views)))
    return made


def _side_by_side(rows: Sequence[Wanted]) -> Wanted:
    conditions = Conditions(*(torch.cat([getattr(row.conditions, f.name) for row in rows]) for f in fields(Conditions)))
    view = None if rows[0].view is None else torch.cat([row.view for row in rows])
    both = Wanted(rows[0].rollout, rows[0].made, conditions, view)
    if any(row.known is not None for row in rows):
        empty = torch.zeros(1, th.TOKENS, th.WIDTH, device=conditions.line.device)
        both.things = torch.cat([empty if row.known is None else row.things for row in rows])
        both.known = torch.cat([empty[..., 0] > 0 if row.known is None else row.known for row in rows])
    return both
