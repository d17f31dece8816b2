"""Rectified flow with diffusion forcing: what noise is, and one step towards less of it.

A noisy latent at level t in 0..1 is (1 - t) x + t e with e ~ N(0, 1); the network says x. Every latent
frame has a level of its own. Sources: rectified flow (arXiv 2209.03003), diffusion forcing (arXiv 2407.01392).
"""

from __future__ import annotations

import torch
from torch import Tensor


def add_noise(x: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """x and noise (..., C), level (...) to the noisy x."""
    level = level[..., None]
    return (1 - level) * x + level * noise


def levels(steps: int, device: torch.device | None = None) -> Tensor:
    """(steps + 1,) noise levels from 1 down to 0."""
    return torch.linspace(1.0, 0.0, steps + 1, device=device)


def step(noisy: Tensor, clean: Tensor, level: float, target: float) -> Tensor:
    """From ``level`` to ``target`` along the straight line to the network's ``clean``."""
    return clean + (target / level) * (noisy - clean)


def training_levels(shape: tuple[int, int], generator: torch.Generator, *, calm: float = 0.1,
                    shares: tuple[float, ...] = (0.25, 0.55, 0.85)) -> Tensor:
    """Noise levels (B, T): each clip has its own share of latents that are context (levels up to ``calm``);
    the others' are logit-normal."""
    b, t = shape
    share = torch.tensor(shares)[torch.randint(len(shares), (b, 1), generator=generator)]
    context = torch.rand(b, t, generator=generator) < share
    free = torch.sigmoid(1.2 * torch.randn(b, t, generator=generator) + 0.7)
    low = calm * torch.rand(b, t, generator=generator) ** 2
    return torch.where(context, low, free)


def weight(level: Tensor) -> Tensor:
    """Loss weight of an x-prediction error at a noise level: more where little noise allows precision, but
    not velocity's 1 / level**2, which leaves little to the high levels that decide what is there."""
    return 1.0 / (level + 0.2)
