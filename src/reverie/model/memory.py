"""What a rollout remembers: the keys and values of the latents before, of one dream or of several side by side.

Legend as in transformer.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from reverie.model.transformer import Output

LONGEST = 3600  # latents, ten minutes of 24 frames a second: what lies further back is forgotten, so that memory ends


@dataclass
class Entry:
    """Keys and values of one latent in every layer: (layers, B, K, tokens, E) each, as attention goes through them."""

    keys: Tensor
    values: Tensor

    @classmethod
    def of(cls, output: Output, group: str) -> Entry:
        """The clean pass over a latent, of its things or of its views."""
        pairs = [(k, v) for k, _, v in output.things_keys] if group == "things" else output.views_keys
        keys, values = (torch.stack(parts).transpose(2, 3).contiguous() for parts in zip(*pairs, strict=True))
        return cls(keys, values)

    def rows(self, rows: Sequence[int] | Tensor) -> Entry:
        """A copy of that of these rows, which may be kept when the others are not."""
        return Entry(self.keys[:, rows], self.values[:, rows])


@dataclass
class Memory:
    """What a rollout keeps of the past; forgets what no later latent may see."""

    things: dict[int, Entry] = field(default_factory=dict)
    views: dict[int, Entry] = field(default_factory=dict)
    given: dict[int, Entry] = field(default_factory=dict)  # views that were given: things see them
    goal: Entry | None = None

    def remember(self, n: int, group: str, output: Output, *, given: bool = False) -> None:
        """Store the clean pass over latent n."""
        self._store(n, group, Entry.of(output, group), given)

    def _store(self, n: int, group: str, entry: Entry, given: bool) -> None:
        if group == "things":
            self.things[n] = entry
        elif n < 0:
            self.goal = entry
        else:
            self.views[n] = entry
            if given:
                self.given[n] = entry

    def rows(self, rows: Tensor) -> Memory:
        """What these rows remember."""
        return Memory(*({n: entry.rows(rows) for n, entry in store.items()} for store in
                        (self.things, self.views, self.given)), None if self.goal is None else self.goal.rows(rows))

    def forget(self, n: int, things_window: int, views_window: int, stride: int) -> None:
        """Drop what latent n and all after it do not see."""
        for store, window in ((self.things, things_window), (self.views, views_window), (self.given, 2)):
            keep = stride if store is not self.given else 0
            for m in [m for m in store if n - m >= window]:
                if not (keep and m % keep == 0 and (m == 0 or n - m < LONGEST)):
                    del store[m]


class Memories:
    """Those of several dreams of one row each, as one rollout uses them; ages: which latent each dream is at, when the
    oldest is at the one that is spoken of."""

    def __init__(self, own: Sequence[Memory], ages: Sequence[int]) -> None:
        self.own, self.ages = own, ages

    @property
    def given(self) -> bool:
        """Whether views were given to any of them."""
        return any(memory.given for memory in self.own)

    @property
    def goal(self) -> bool:
        """Whether any of them has a goal."""
        return any(memory.goal for memory in self.own)

    def remember(self, n: int, group: str, output: Output, *, given: bool = False) -> None:
        """Each dream's row of the clean pass, as that of its own latent."""
        entry = Entry.of(output, group)
        for b, (memory, age) in enumerate(zip(self.own, self.ages, strict=True)):
            memory._store(age + n - max(self.ages), group, entry.rows([b]), given)

    def forget(self, n: int, things_window: int, views_window: int, stride: int) -> None:
        """Drop what no later latent of each dream sees."""
        for memory, age in zip(self.own, self.ages, strict=True):
            memory.forget(age + n - max(self.ages), things_window, views_window, stride)


def joined(entries: list[Entry]) -> Entry | None:
    """Several latents' entries as one, one after the other."""
    if not entries:
        return None
    return Entry(torch.cat([e.keys for e in entries], 3), torch.cat([e.values for e in entries], 3))


def layers(entry: Entry | None) -> list[tuple[Tensor, Tensor]]:
    """Its keys and values, layer by layer, (B, tokens, K, E) each."""
    if entry is None:
        return []
    return list(zip(entry.keys.transpose(2, 3).unbind(0), entry.values.transpose(2, 3).unbind(0), strict=True))


def side_by_side(rows: Sequence[list[tuple[Tensor, ...]]]) -> list[tuple[Tensor, ...]]:
    """What several dreams of one row each may see, layer by layer as in Past, as one batch; where some see more than
    others, these are padded, and masked."""
    depth, batch = max(map(len, rows)), []
    for i in range(depth):
        seen = [row[i] if row else None for row in rows]
        like = next(pair for pair in seen if pair)
        longest = max(pair[0].shape[1] if pair else 0 for pair in seen)
        size = len(rows), like[0].shape[2], longest, like[0].shape[3]
        padded = [like[0].new_zeros(size).transpose(1, 2) for _ in range(2)]
        latents = like[2].shape[1] if len(like) > 2 else 1
        there = torch.zeros(len(rows), latents, longest, dtype=torch.bool, device=like[0].device)
        for b, pair in enumerate(seen):
            for whole, own in zip(padded, pair[:2] if pair else (), strict=False):
                whole[b, : own.shape[1]] = own[0]
            if pair:
                there[b, :, : pair[0].shape[1]] = pair[2][0] if len(pair) > 2 else True
        batch.append((*padded,) if bool(there.all()) else (*padded, there))
    return batch
