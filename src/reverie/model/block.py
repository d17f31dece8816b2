"""A block: four frames of a dream, and what is in them, for people and programs to read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from reverie.core.vocabulary import COLOURS, FRAMES_PER_LATENT, KINDS, MAX_THINGS, SETTINGS
from reverie.model import things as th
from reverie.model.outline import outlines
from reverie.model.solids import Table

F = FRAMES_PER_LATENT


@dataclass
class Block:
    """Frames as they are made: uint8 (n, H, W, 3) from frame ``start`` on, and the things in them, one
    dictionary per thing and frame: frame, time, thing (its number), kind, colour, position [x, y, z] in
    metres, velocity in m/s, box [x0, y0, x1, y1] in pixels (None out of the picture). vectors: the latent's tokens
    (S, WIDTH) as model/things.py has them, None where none were imagined."""

    start: int
    frames: np.ndarray
    things: list[dict] = field(default_factory=list)
    vectors: np.ndarray | None = None


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
