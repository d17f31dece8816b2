"""What training minimises, and the figures that go with it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

BACKGROUND, THING, MOVING = 0, 1, 2  # what a pixel shows, as train.tokenizer.Windows gives it
WEIGHTS = (1.0, 3.0, 25.0)  # of a pixel of each: all that happens, happens on a few of them


def tokenizer_loss(decoded_BTHWC: Tensor, frames_BTHWC: Tensor, shows_BTHW: Tensor | None = None, *,
                   weights: Sequence[float] = WEIGHTS, square: float = 4.0,
                   edge: float = 0.5) -> tuple[Tensor, dict[str, Tensor]]:
    """How far decoded frames are from the true ones (both float, [-1, 1]), and figures for the log.

    A smooth absolute error (edges stay sharp) plus ``square`` times the squared one (what PSNR measures) plus
    ``edge`` times the absolute error of the differences to the right and lower neighbour and to the next frame
    (where four frames are soon one, blurred). shows_BTHW: integers, BACKGROUND, THING or MOVING, with ``weights`` for
    each; None weighs all pixels the same.
    """
    error = decoded_BTHWC.float() - frames_BTHWC
    squared = error.square()
    each = (squared + 1e-4).sqrt() + square * squared
    across = (error[:, :, :, 1:] - error[:, :, :, :-1]).abs()
    down = (error[:, :, 1:] - error[:, :, :-1]).abs()
    later = (error[:, 1:] - error[:, :-1]).abs()
    figures = {"square": squared.detach().mean()}
    if shows_BTHW is None:
        return each.mean() + edge * (across.mean() + down.mean() + later.mean()), figures
    weight = torch.tensor(weights, device=error.device)[shows_BTHW.int()][..., None]
    loss = (each * weight).sum() + edge * (
        (across * weight[:, :, :, 1:]).sum() + (down * weight[:, :, 1:]).sum() + (later * weight[:, 1:]).sum())
    moving = shows_BTHW == MOVING
    if bool(moving.any()):
        figures["square_moving"] = squared.detach()[moving].mean()
    return loss / (3 * weight.sum()), figures  # three colours


class PooledError:
    """Squared error summed over many pictures, for a PSNR of the pooled error."""

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0

    def add(self, made: Tensor, true: Tensor, mask: Tensor | None = None) -> None:
        """made, true: (..., H, W, 3) in [-1, 1]; mask: (..., H, W) bool, the pixels that count."""
        squared = (made.float() - true.float()).square()
        if mask is None:
            self.total += float(squared.double().sum())
            self.count += squared.numel()
        else:
            self.total += float(squared[mask].double().sum())
            self.count += 3 * int(mask.sum())

    @property
    def psnr(self) -> float:
        """Decibels against the full range (255 of uint8, 2 of [-1, 1]); NaN where nothing was added."""
        if self.count == 0:
            return math.nan
        return 10 * math.log10(4.0 / max(self.total / self.count, 1e-12))
