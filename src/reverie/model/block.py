"""A block: four frames of a dream, and what is in them, for people and programs to read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from reverie.core.camera import CameraPath, project
from reverie.core.vocabulary import COLOURS, FRAMES_PER_LATENT, KINDS, MAX_THINGS, SETTINGS
from reverie.model import things as th

F = FRAMES_PER_LATENT
CORNERS = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), -1).reshape(8, 3)


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


def corners_seen(tokens: np.ndarray, camera: CameraPath, height: int, width: int
                 ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The corners of the boxes of things (T, S, WIDTH) in each of their m frames: in the world (m, S, 8, 3), in pixels
    (m, S, 8, 2), and how far away (m, S, 8), metres along the view axis."""
    things = torch.from_numpy(np.ascontiguousarray(tokens[:, :MAX_THINGS], np.float32))
    place = th.positions_of(things).transpose(1, 2).flatten(0, 1).numpy()  # (m, S, 3)
    turn = np.repeat(th.rotations_of(things).transpose(1, 2).flatten(0, 1).numpy(), F // len(th.HALVES), 0)
    reach = np.repeat(th.extents_of(things).numpy(), F, 0)
    corners = place[:, :, None] + np.einsum("msij,mskj->mski", turn, CORNERS * reach[:, :, None])
    return corners, *project(corners, camera.position[:, None, None], camera.rotation[:, None, None], camera.fovy,
                             height, width)


def describe(vectors: np.ndarray, start: int, fps: float, height: int, width: int, count: int = F) -> list[dict]:
    """Thing vectors (S, WIDTH) of one latent to JSON-ready rows, see Block."""
    camera = th.decode_camera(vectors[None, th.CAMERA_TOKEN])
    things = torch.from_numpy(vectors[:MAX_THINGS].astype(np.float32))
    positions = th.positions_of(things).numpy()
    _, pixels, depth = corners_seen(vectors[None], camera, height, width)
    setting = SETTINGS[int(vectors[th.SETTING_TOKEN, : len(SETTINGS)].argmax())]
    rows = []
    for slot in np.flatnonzero(vectors[:MAX_THINGS, 0] > 0):
        kind = KINDS[min(int(vectors[slot, th.THING["kind"]].argmax()), len(KINDS) - 1)]
        colour = list(COLOURS)[min(int(vectors[slot, th.THING["colour"]].argmax()), len(COLOURS) - 1)]
        velocity = vectors[slot, th.THING["velocity"]] * th.VELOCITY_SCALE
        for f in range(count):
            box = None
            if (depth[f, slot] > 0.1).all():
                low = np.clip(pixels[f, slot].min(0), 0, (width, height))
                high = np.clip(pixels[f, slot].max(0), 0, (width, height))
                box = [round(float(v), 1) for v in (*low, *high)] if (high - low).min() > 0 else None
            rows.append({"frame": start + f, "time": round((start + f) / fps, 4), "thing": int(slot), "kind": kind,
                         "colour": colour, "position": [round(float(v), 3) for v in positions[slot, f]],
                         "velocity": [round(float(v), 3) for v in velocity], "box": box, "setting": setting})
    return rows
