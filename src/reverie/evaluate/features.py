"""Pictures as the observer's network describes them, and how far apart sets of pictures lie so.

The network is frozen: whoever compares figures compares its hash first, which stands beside the model's name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from reverie.audit.observer import Observer
from reverie.audit.observer_net import resized, to_input, working_size
from reverie.evaluate.figures import figure
from reverie.evaluate.quality import frechet


@torch.no_grad()
def features(observer: Observer, frames: np.ndarray) -> np.ndarray:
    """The observer's deepest features (T, D) of frames uint8 (T, H, W, 3), averaged over each."""
    found: list[torch.Tensor] = []
    hook = observer.net.level32.register_forward_hook(lambda _, given, made: found.append(made.mean((2, 3))))
    try:
        for start in range(0, len(frames), 16):
            piece = torch.from_numpy(np.ascontiguousarray(frames[start : start + 16]))
            observer.net(to_input(resized(piece, working_size(*frames.shape[1:3]))))
    finally:
        hook.remove()
    return torch.cat(found).float().numpy()


def named(observer: Observer) -> str:
    """"observer" and twelve hex digits, a hash of its network's weights as they are in memory."""
    digest = hashlib.sha256()
    for name, tensor in sorted(observer.net.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return f"observer {digest.hexdigest()[:12]}"


def frechet_figures(true: Sequence[np.ndarray], made: Mapping[str, Sequence[np.ndarray]], names: str
                    ) -> list[dict]:
    """Fréchet distances of made pictures from true ones, and of true ones from true ones: features (P, D) of each case.
    names: what a figure is called, {} the name of what was made.

    A distance of few pictures is too large, and the larger the fewer they are. So all are of as many: every second
    case, and the others, once each; n is how many pictures that are. "truth_halves": from the true pictures of the
    one half to those of the other, which are of other scenes. Made pictures are held against what followed of the same
    scenes, so that they may be nearer. NaN of fewer than two cases.
    """
    halves = [slice(k, len(true) // 2 * 2, 2) for k in (0, 1)]
    if len(true) < 2:
        return [figure(names.format(name), float("nan")) for name in (*made, "truth_halves")]
    real = [np.concatenate(true[half]) for half in halves]
    found = {name: np.mean([frechet(np.concatenate(own[half]), one) for half, one in zip(halves, real, strict=True)])
             for name, own in made.items()} | {"truth_halves": frechet(*real)}
    return [figure(names.format(name), value, "", None, min(map(len, real))) for name, value in found.items()]
