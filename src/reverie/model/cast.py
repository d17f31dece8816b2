"""Who plays, and when: what of the things of dreams words settle before the network imagines the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from reverie.core.vocabulary import MAX_THINGS
from reverie.model import things as th

COMES, ACTS = 0.25, 0.25  # the least chance, of each latent, that who is due comes, and that who is cued is set going


@dataclass(frozen=True)
class Cast:
    """Of B dreams and each of their slots (B, things), -1 where nothing is settled.

    kind, colour: the numbers of their channels. present: 1 where a thing is there at the opening, 0 where nothing may
    come to be. due: the line in which it comes, after the opening. cued: that in which it is set going.
    """

    kind: Tensor
    colour: Tensor
    present: Tensor
    due: Tensor
    cued: Tensor

    @classmethod
    def open(cls, batch: int, device: torch.device | None = None) -> Cast:
        """Nothing is settled."""
        return cls(*(torch.full((batch, MAX_THINGS), -1, device=device) for _ in fields(cls)))

    @classmethod
    def stacked(cls, casts: Sequence[Cast]) -> Cast:
        """Several as the rows of one."""
        return cls(*(torch.cat([getattr(cast, f.name) for cast in casts]) for f in fields(cls)))

    def to(self, device: torch.device) -> Cast:
        """On a device."""
        return Cast(*(getattr(self, f.name).to(device) for f in fields(self)))

    def rows(self, rows: Tensor) -> Cast:
        """Those rows of it."""
        return Cast(*(getattr(self, f.name)[rows] for f in fields(self)))

    def comes(self, chance: Tensor, line: Tensor, met: Tensor, opening: bool) -> Tensor:
        """The chances (B, things) that things exist, as settled; line (B,) is in force; met: what ever did exist."""
        none = ~met & (self.present == 0)
        if opening:
            return torch.where(self.present == 1, 1.0, torch.where(none | (self.due >= 0), 0.0, chance))
        due = (self.due == line[:, None]) & ~met
        return torch.where(none, 0.0, torch.where(due, chance.clamp(min=COMES), chance))

    def acts(self, chance: Tensor, line: Tensor) -> Tensor:
        """The chances (B, things) that things move, as settled."""
        return torch.where(self.cued == line[:, None], chance.clamp(min=ACTS), chance)

    def acted(self, moves: Tensor) -> Cast:
        """The cast once those (B, things) move: they need no cue."""
        return replace(self, cued=torch.where(moves, -1, self.cued))

    def played(self, things: Tensor) -> Tensor:
        """Things (B, things, WIDTH), each with the kind and the colour that it is told to have."""
        things = things.clone()
        for name, told in (("kind", self.kind), ("colour", self.colour)):
            part = things[..., th.THING[name]]
            sharp = one_hot(told.clamp(min=0), part.shape[-1]).to(part.dtype) * th.ONE_HOT
            things[..., th.THING[name]] = torch.where(told[..., None] < 0, part, sharp)
        return things
