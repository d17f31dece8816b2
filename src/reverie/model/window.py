"""What the transformer is given and gives: a window of latents with their conditions, a script, the past, the output.

Legend as in transformer.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass
class Window:
    """What the transformer is given: some latent frames, with their conditions.

    A missing ``things`` or ``views`` means that this pass is about the other group alone.
    """

    index: Tensor  # (B, T) int64: which latent of the clip
    fps: Tensor  # (B,)
    line: Tensor  # (B, T) int64: the script's line in force, -1 for none
    since: Tensor  # (B, T) seconds since that line began
    actions: Tensor  # (B, T, 4 A) in units of the channel's typical size, NaN where unknown
    things: Tensor | None = None  # (B, T, S, WIDTH), noisy
    things_noise: Tensor | None = None  # (B, T, S) in 0..1, 1 is pure noise
    things_known: Tensor | None = None  # (B, T, S) bool: given, not to be imagined
    things_seen: Tensor | None = None  # (B, T) bool: False where the clip's things are unknown and left out
    things_done: Tensor | None = None  # (B, T) bool: False where they are being denoised, unseen by later latents
    previous: Tensor | None = None  # (B, T, S, WIDTH): things one latent before, as noisy as they stand
    previous_noise: Tensor | None = None  # (B, T, S), 1 where there is none
    ahead: tuple[Tensor, Tensor] | None = None  # of these what motion.continuation says, where it is known
    views: Tensor | None = None  # (B, T, H, W, C), noisy
    views_noise: Tensor | None = None  # (B, T)
    views_known: Tensor | None = None  # (B, T) bool
    goal: Tensor | None = None  # (B, T) bool: an end image, standing first, seen by all
    sketch: Tensor | None = None  # (B, T, H, W, D): the finished things sketched, where views are painted alone
    grid: tuple[int, int] | None = None  # (H, W) of the views, where things are denoised alone and views follow

    def to(self, device: torch.device) -> Window:
        """The same on another device."""
        return self._each(lambda x: x.to(device))

    def rows(self, rows: Tensor) -> Window:
        """That of these rows, each as often as it is named."""
        return self._each(lambda x: x[rows])

    def followed_by(self, other: Window) -> Window:
        """Two windows about the same, one after the other in time; what is finished in this one the other sees."""
        return self._each(lambda x, y: x if x is self.fps else torch.cat([x, y], 1), other)

    @staticmethod
    def stacked(windows: Sequence[Window]) -> Window:
        """Windows about the same as the rows of one."""
        return windows[0]._each(lambda *each: torch.cat(each), *windows[1:])

    def _each(self, change: Callable[..., Tensor], *others: Window) -> Window:
        """With each tensor changed, by itself and those of others."""
        def changed(x: object, *rest: object) -> object:
            if isinstance(x, tuple) and isinstance(x[0], Tensor):
                return tuple(change(*parts) for parts in zip(x, *rest, strict=True))
            return change(x, *rest) if isinstance(x, Tensor) else x

        return replace(self, **{name: changed(x, *(getattr(one, name) for one in others))
                                for name, x in vars(self).items()})


@dataclass
class Text:
    """A script, encoded: per layer with text attention its keys and values, and each token's line."""

    layers: dict[str, list[tuple[Tensor, Tensor]]]  # group -> per text layer (B, R P, K, E) twice
    line: Tensor  # (B, R P) int64, -1 for padding

    def rows(self, rows: Tensor) -> Text:
        """Those of its scripts, each as often as it is named."""
        layers = {group: [(k[rows], v[rows]) for k, v in pairs] for group, pairs in self.layers.items()}
        return Text(layers, self.line[rows])


@dataclass
class Past:
    """The keys and values of the past that one layer of each group may see, and, if not all of it, which of its tokens
    each latent of the window sees: (B, T, M) bool."""

    things: list[tuple[Tensor, ...]] = field(default_factory=list)  # per layer, for things
    given: list[tuple[Tensor, ...]] = field(default_factory=list)  # per layer, given views for things
    views: list[tuple[Tensor, ...]] = field(default_factory=list)  # per layer, views for views
    scene: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # per layer, this latent's things for views


@dataclass
class Output:
    """x-prediction (things (B, T, S, WIDTH), views (B, T, H, W, C)) and, per layer, the new keys and values."""

    things: Tensor | None
    views: Tensor | None
    things_keys: list[tuple[Tensor, Tensor, Tensor]]  # key by time, key by place, value
    views_keys: list[tuple[Tensor, Tensor]]

    def of_first(self) -> Output:
        """What is to be remembered of the first of two latents' things."""
        keys = [tuple(part[:, : part.shape[1] // 2] for part in layer) for layer in self.things_keys]
        return Output(None, None, keys, [])
