"""A driver: a small network from what a ride's ``vector`` observation says to an action, kept in one small file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from reverie.core.errors import BadWeights
from reverie.envs.seeing import VECTOR
from reverie.model.checkpoint import content_hash, load_model, save_model

WIDTHS = (64, 64)
WAYS = ("dream", "true", "clone")
SHIPPED = Path(__file__).resolve().parents[1] / "weights"


@dataclass
class Policy:
    """layers: weights (out, in) and biases (out,), tanh between them. meta: how it was made. name: file and hash."""

    layers: list[tuple[np.ndarray, np.ndarray]]
    meta: dict
    name: str = ""

    def act(self, seen: np.ndarray) -> np.ndarray:
        """The action (2,) in -1..1 for an observation (VECTOR,)."""
        out = seen
        for n, (weight, bias) in enumerate(self.layers):
            out = weight @ out + bias
            out = np.tanh(out) if n < len(self.layers) - 1 else out
        return out.clip(-1, 1).astype(np.float32)

    def save(self, path: Path | str) -> Path:
        """Write it as one .safetensors. Raises CannotWrite."""
        tensors = {f"{what}{n}": torch.from_numpy(np.ascontiguousarray(value, np.float32)) for n, layer in
                   enumerate(self.layers) for what, value in zip(("weight", "bias"), layer, strict=True)}
        return save_model(path, tensors, {"kind": "driver", **self.meta}, half=False)[0]

    @classmethod
    def load(cls, path: Path | str) -> Policy:
        """Read what ``save`` wrote. Raises BadWeights for a file that is no driver of this program."""
        tensors, meta = load_model(path)
        if meta.get("kind") != "driver" or "weight0" not in tensors:
            raise BadWeights(f"{path} is no driver: train one with reverie driver train")
        if tensors["weight0"].shape[1] != VECTOR:
            raise BadWeights(f"{path} is a driver that sees {tensors['weight0'].shape[1]} numbers, and this program's "
                             f"road shows {VECTOR}: train it again with reverie driver train")
        layers = [(tensors[f"weight{n}"].numpy(), tensors[f"bias{n}"].numpy()) for n in range(len(tensors) // 2)]
        return cls(layers, meta, f"{Path(path).stem} {content_hash(path)}")


def find(folder: Path | str | None, way: str) -> Policy:
    """The driver that was made in a way of WAYS, from a folder (None: what ships). Raises BadWeights."""
    return Policy.load(Path(folder or SHIPPED) / f"driver_{way}.safetensors")


def of_modules(modules: list[torch.nn.Linear], meta: dict) -> Policy:
    """Of torch's linear layers in their order."""
    return Policy([(m.weight.detach().cpu().numpy().copy(), m.bias.detach().cpu().numpy().copy()) for m in modules],
                  meta)
