"""What holds during a latent: the line of a script, for how long it has held, and the actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reverie.core.vocabulary import FRAMES_PER_LATENT


@dataclass(frozen=True)
class Conditions:
    """What holds during one latent: (B,) line in force, (B,) seconds since it began, (B, 4 A) actions."""

    line: Tensor
    since: Tensor
    actions: Tensor


class Schedule:
    """Which line of a script holds in which latent. starts: seconds at which each begins; first: the number of the
    first of them. actions: how many the model has; none is known. device: of what holds."""

    def __init__(self, starts: Sequence[float], fps: float, first: int = 0, *, actions: int,
                 device: torch.device | None = None) -> None:
        self.starts, self.fps, self.first, self.device = np.array(starts), fps, first, device
        self.unknown = torch.full((1, FRAMES_PER_LATENT * actions), torch.nan, device=device)

    def at(self, n: int) -> Conditions:
        """What holds in latent n; before the beginning, the first line with its clock at zero."""
        time = max(n, 0) * FRAMES_PER_LATENT / self.fps
        line = max(int(np.searchsorted(self.starts, time + 1e-6, side="right")) - 1, 0)
        since = torch.tensor([max(time - self.starts[line], 0.0)], dtype=torch.float32, device=self.device)
        return Conditions(torch.tensor([line + self.first], device=self.device), since, self.unknown)
