"""What moves the weights: Muon with AdamW in one optimiser, a schedule by progress, averaged weights.

Muon (Jordan et al. 2024; the scale of Liu et al. 2025, arXiv 2502.16982) replaces the momentum of a
matrix by the nearest orthogonal one, so that every direction is learned at the same pace. The scale
0.2 sqrt(max(rows, columns)) gives its steps the size of AdamW's: one learning rate suits both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from reverie.core.errors import BadInput


def orthogonalise(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """About the nearest (semi-)orthogonal matrices to (K, rows, columns), by five Newton-Schulz steps.

    Singular values come out between about 0.7 and 1.2, which serves as well as 1. dtype: to work in.
    """
    x = matrices.to(dtype)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if tall else x


class MuonAdamW(torch.optim.Optimizer):
    """Muon for hidden matrices (convolution kernels flattened), AdamW for all else.

    lr: peak of Muon's, and of AdamW's unless adam_lr is given. adam: beginnings of the names of
    parameters that AdamW takes although they are matrices (first and last layers, embeddings).
    ns_dtype: the type in which matrices are orthogonalised; bfloat16 is faster where the machine has it.
    ``set_scale`` multiplies all learning rates.
    """

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], *, lr: float = 2e-3,
                 adam_lr: float | None = None, momentum: float = 0.95,
                 betas: tuple[float, float] = (0.9, 0.95), weight_decay: float = 0.01,
                 adam: Sequence[str] = (), ns_dtype: torch.dtype = torch.float32) -> None:
        trained = [(name, p) for name, p in named if p.requires_grad]
        if not trained:
            raise BadInput("there is nothing to train: no parameter asks for a gradient")
        hidden = [p for name, p in trained if p.ndim >= 2 and not name.startswith(tuple(adam))]
        taken = set(map(id, hidden))
        rest = [p for _, p in trained if id(p) not in taken]
        self.ns_dtype = ns_dtype
        # Sorted by shape, so that equal shapes are orthogonalised together, one batch of matrices each.
        hidden.sort(key=lambda p: tuple(p.shape))
        groups = []
        if hidden:
            groups.append({"params": hidden, "kind": "muon", "peak": lr, "lr": lr, "decay": weight_decay})
        if rest:
            adam_lr = lr if adam_lr is None else adam_lr
            groups.append({"params": rest, "kind": "adamw", "peak": adam_lr, "lr": adam_lr, "decay": weight_decay})
        super().__init__(groups, {"momentum": momentum, "betas": betas})

    def set_scale(self, scale: float) -> None:
        """Set every group's learning rate to ``scale`` times its peak."""
        for group in self.param_groups:
            group["lr"] = group["peak"] * scale

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One update from the gradients that are there; parameters without one are left alone."""
        for group in self.param_groups:
            with_gradient = [p for p in group["params"] if p.grad is not None]
            if group["kind"] == "muon":
                self._muon(group, with_gradient)
            else:
                self._adamw(group, with_gradient)

    def _muon(self, group: dict, params: list[nn.Parameter]) -> None:
        by_shape: dict[tuple, list[nn.Parameter]] = {}
        for p in params:
            by_shape.setdefault((p.shape, p.device), []).append(p)
        for same in by_shape.values():
            updates = []
            for p in same:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                ahead = p.grad.lerp(state["momentum"], group["momentum"])  # Nesterov
                updates.append(ahead.reshape(p.shape[0], -1))
            rows, columns = updates[0].shape
            moved = orthogonalise(torch.stack(updates), self.ns_dtype).to(same[0].dtype)
            for p, update in zip(same, moved, strict=True):
                p.mul_(1 - group["lr"] * group["decay"])
                p.add_(update.view(p.shape), alpha=-group["lr"] * 0.2 * math.sqrt(max(rows, columns)))

    def _adamw(self, group: dict, params: list[nn.Parameter]) -> None:
        first, second = group["betas"]
        for p in params:
            state = self.state[p]
            if not state:
                state["step"] = torch.zeros(())
                state["mean"], state["square"] = torch.zeros_like(p), torch.zeros_like(p)
            state["step"] += 1
            state["mean"].lerp_(p.grad, 1 - first)
            state["square"].lerp_(p.grad.square(), 1 - second)
            step = float(state["step"])
            size = (state["square"] / (1 - second**step)).sqrt_().add_(1e-8)
            if p.ndim >= 2:  # biases and scales are not pulled to zero
                p.mul_(1 - group["lr"] * group["decay"])
            p.addcdiv_(state["mean"], size, value=-group["lr"] / (1 - first**step))


def schedule(progress: float, step: int, *, warm_up: int = 100, hold: float = 0.0, shape: str = "cosine") -> float:
    """Multiplier of the learning rate: up in ``warm_up`` steps, held, then down to zero at progress 1.

    progress: 0..1 of the minutes or steps; hold: progress until which the peak is kept;
    shape: "cosine" or "linear", how it goes down.
    """
    if shape not in ("cosine", "linear"):
        raise BadInput(f"a schedule is cosine or linear, not {shape!r}")
    done = min(max((progress - hold) / max(1 - hold, 1e-9), 0.0), 1.0)
    down = 0.5 * (1 + math.cos(math.pi * done)) if shape == "cosine" else 1 - done
    return min((step + 1) / max(warm_up, 1), 1.0) * down


class Ema:
    """A running average of a module's weights; buffers are taken as they are.

    decay: of the average, once ``step`` is well beyond 1 / (1 - decay); younger averages are shorter,
    so that the random start is soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.averaged = [name for name, _ in module.named_parameters()]
        self.tensors = {name: t.detach().clone() for name, t in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after ``step`` (the first is 0)."""
        now = module.state_dict()
        names = set(self.averaged)
        decay = min(self.decay, (1 + step) / (10 + step))
        mine, new = [self.tensors[n] for n in self.averaged], [now[n] for n in self.averaged]
        torch._foreach_lerp_(mine, new, 1 - decay)
        for name, tensor in now.items():
            if name not in names:
                self.tensors[name].copy_(tensor)
