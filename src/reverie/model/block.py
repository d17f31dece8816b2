"""A block: four frames of a dream, and what is in them, for people and programs to read."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from reverie.core.vocabulary import COLOURS, FRAMES_PER_LATENT, KINDS, MAX_THINGS, SETTINGS
from reverie.model import things as th
from reverie.model.outline import outlines
from reverie.model.solids import Table

if TYPE_CHECKING:
    from reverie.model.plate import Plate
    from reverie.model.tokenizer import Tokenizer

F = FRAMES_PER_LATENT


@dataclass
class Block:
    """Frames as they are made: uint8 (n, H, W, 3) from frame ``start`` on, and the things in them, one
    dictionary per thing and frame: frame, time, thing (its number), kind, colour, position [x, y, z] in
    metres, velocity in m/s, box [x0, y0, x1, y1] in pixels (None out of the picture). vectors: the latent's tokens
    (S, WIDTH) as model/things.py has them, None where none were imagined. coming: its frames and things, where somebody
    else still draws them."""

    start: int
    frames: np.ndarray
    things: list[dict] = field(default_factory=list)
    vectors: np.ndarray | None = None
    coming: Future[tuple[np.ndarray, list[dict]]] | None = None


def picture(pixels_THWC: torch.Tensor) -> np.ndarray:
    """Pixels in [-1, 1] as uint8 (T, H, W, 3)."""
    return ((pixels_THWC.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()


def drawn(tokenizer: Tokenizer, vectors: np.ndarray, start: int, fps: float, size: tuple[int, int],
          plate: Plate | None = None) -> tuple[np.ndarray, list[dict]]:
    """Frames and things, as in a Block, of a latent of which the thing vectors (S, WIDTH) say all: on the CPU, by the
    tokenizer's canvas, at size (H, W), before a plate."""
    side, tokens = tokenizer.config.spatial, torch.from_numpy(vectors)[None, None]
    nothing = tokens.new_zeros(1, 1, size[0] // side, size[1] // side, tokenizer.config.channels)
    pixels, _ = tokenizer.decode(nothing, None, tokens, 1.0, plate)
    return picture(pixels[0]), describe(vectors, start, fps, *size, tokenizer.canvas.table)


def describe(vectors: np.ndarray, start: int, fps: float, height: int, width: int, table: Table, count: int = F
             ) -> list[dict]:
    """Thing vectors (S, WIDTH) of one latent to JSON-ready rows, see Block. table: what things are made of."""
    tokens = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))[None]
    positions = th.positions_of(tokens[0, :MAX_THINGS]).numpy()
    seen = outlines(tokens[:, :MAX_THINGS], tokens[:, th.CAMERA_TOKEN], table, height, width)
    setting = SETTINGS[int(vectors[th.SETTING_TOKEN, : len(SETTINGS)].argmax())]
    rows = []
    for slot in np.flatnonzero(vectors[:MAX_THINGS, 0] > 0):
        kind = KINDS[min(int(vectors[slot, th.THING["kind"]].argmax()), len(KINDS) - 1)]
        colour = list(COLOURS)[min(int(vectors[slot, th.THING["colour"]].argmax()), len(COLOURS) - 1)]
        velocity = vectors[slot, th.THING["velocity"]] * th.VELOCITY_SCALE
        for f in range(count):
            box = None
            if bool(seen.front[0, f, slot]):
                found = seen.box[0, f, slot].numpy().clip(0, (width, height, width, height))
                box = [round(float(v), 1) for v in found] if (found[2:] - found[:2]).min() > 0 else None
            rows.append({"frame": start + f, "time": round((start + f) / fps, 4), "thing": int(slot), "kind": kind,
                         "colour": colour, "position": [round(float(v), 3) for v in positions[slot, f]],
                         "velocity": [round(float(v), 3) for v in velocity], "box": box, "setting": setting})
    return rows
