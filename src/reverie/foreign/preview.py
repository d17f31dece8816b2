"""A rough picture of latents, while the denoiser is still at work.

Which channels mean which colours no pipeline says; but as soon as one piece is decoded, its latents and its pictures
are both known, and the least-squares map from the one to the other makes a fair picture of all later ones. Until then
three groups of channels stand for the colours: shapes and motion can be told, colours cannot.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SIDE = 256  # pixels of the preview's longer side, about


class Preview:
    """Previews of a pipeline's latents, for frames of ``size`` (H, W), ``frames`` of them; one latent stands for
    ``step`` frames and ``multiple`` (as a network takes it) or ``ratio`` (as the VAE gives it) pixels."""

    def __init__(self, size: tuple[int, int], frames: int, step: int, ratio: int, multiple: int):
        self.long = -(-frames // step)
        self.grids = [(size[0] // ratio, size[1] // ratio), (size[0] // multiple, size[1] // multiple)]
        self.size = size
        self.map: np.ndarray | None = None  # (channels + 1, 3)

    def picture(self, latents: Any) -> np.ndarray | None:
        """uint8 (H, W, 3), of the middle latent; None for latents of a shape that is not understood."""
        grid = self._grid(latents)
        if grid is None:
            return None
        middle = grid[len(grid) // 2]
        if self.map is not None and self.map.shape[0] == middle.shape[-1] + 1:
            colours = np.concatenate([middle, np.ones_like(middle[..., :1])], -1) @ self.map
        else:
            thirds = np.array_split(middle, min(3, middle.shape[-1]), -1)
            colours = np.stack([third.mean(-1) for third in thirds] * (3 if len(thirds) < 3 else 1), -1)[..., :3]
            low, high = np.percentile(colours, (2, 98))
            colours = (colours - low) / max(high - low, 1e-6) * 255
        small = colours.round().clip(0, 255).astype(np.uint8)
        times = max(1, SIDE // max(small.shape[:2]))
        return small.repeat(times, 0).repeat(times, 1)

    def learn(self, latents: Any, frames: np.ndarray) -> float | None:
        """Fit the map to a finished piece: its last latents, and the frames (T, H, W, 3) they became. Returns the root
        mean square error in levels, None where the latents were not understood."""
        grid = self._grid(latents)
        if grid is None:
            return None
        long, high, wide, channels = grid.shape
        at = np.unique(np.linspace(0, len(frames) - 1, long).round().astype(int))
        if len(at) != long:
            return None
        down, across = frames.shape[1] // high, frames.shape[2] // wide
        if not down or not across:
            return None
        some = frames[at][:, : high * down, : wide * across].astype(np.float32)
        colours = some.reshape(long, high, down, wide, across, 3).mean((2, 4)).reshape(-1, 3)
        known = np.concatenate([grid.reshape(-1, channels), np.ones((len(colours), 1), np.float32)], 1)
        # a little ridge: a latent may have more channels than the piece has places
        square = known.T @ known + 1e-3 * len(known) * np.eye(channels + 1, dtype=np.float32)
        self.map = np.linalg.solve(square, known.T @ colours)
        return float(np.sqrt(np.square(known @ self.map - colours).mean()))

    def _grid(self, latents: Any) -> np.ndarray | None:
        """Latents of whatever layout as float32 (T, H, W, C), the first of a batch."""
        values = np.nan_to_num(latents.detach()[0].float().cpu().numpy())
        for grid in dict.fromkeys(self.grids):
            if values.ndim == 4 and values.shape[2:] == grid:
                return np.moveaxis(values, 0, -1) if values.shape[1] == self.long or values.shape[0] != self.long \
                    else np.moveaxis(values, 1, -1)
            if values.ndim == 2 and len(values) and len(values) % (grid[0] * grid[1]) == 0:
                return values.reshape(-1, *grid, values.shape[-1])
        return None
