"""What training minimises, and the figures that go with it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

MOVING_WEIGHT = 10.0  # of a pixel of a moving thing, where one of the background has 1


def tokenizer_loss(decoded_BTHWC: Tensor, frames_BTHWC: Tensor, moving_BTHW: Tensor | None = None, *,
                   moving_weight: float = MOVING_WEIGHT, square: float = 4.0,
                   edge: float = 0.5) -> tuple[Tensor, dict[str, Tensor]]:
    """How far decoded frames are from the true ones (both float, [-1, 1]), and figures for the log.

    A smooth absolute error (edges stay sharp) plus ``square`` times the squared one (what PSNR
    measures) plus ``edge`` times the absolute error of the differences to the right and lower
    neighbour. moving_BTHW: bool, pixels of and near moving things, weighing ``moving_weight`` each:
    they are few, and all that happens, happens there. None weighs all the same.
    """
    error = decoded_BTHWC.float() - frames_BTHWC
    squared = error.square()
    each = (squared + 1e-4).sqrt() + square * squared
    across = (error[:, :, :, 1:] - error[:, :, :, :-1]).abs()
    down = (error[:, :, 1:] - error[:, :, :-1]).abs()
    figures = {}
    if moving_BTHW is None:
        loss = each.mean() + edge * (across.mean() + down.mean())
    else:
        weights = (1 + (moving_weight - 1) * moving_BTHW.float())[..., None]
        total = 3 * weights.sum()  # three colours
        loss = (each * weights).sum() + edge * ((across * weights[:, :, :, 1:]).sum()
                                                + (down * weights[:, :, 1:]).sum())
        loss = loss / total
        with torch.no_grad():
            chosen = 3 * moving_BTHW.sum().clamp_min(1)
            figures["square_moving"] = (squared.detach() * moving_BTHW[..., None]).sum() / chosen
    figures["square"] = squared.detach().mean()
    return loss, figures


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
