"""The boxes that things take in a picture: around the outlines of what they are made of, exactly.

A solid's outline lies between those of its ends: balls and discs, which are seen as ellipses, and corners, which are
such without a size. An ellipsoid of matrix D about c, in a camera's frame, is seen as the conic that is dual to
D - c c' (Hartley and Zisserman, Multiple View Geometry, 2004, section 8.3); its extremes solve two equations.

Legend: X latents, F frames of a latent, Y = X F, S thing slots, N solids, E ends of a solid, m frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reverie.core.vocabulary import MAX_THINGS
from reverie.model import things as th
from reverie.model.solids import SHAPES, Table, solids_of

INSIDE = (np.arange(6) + 0.5) / 6  # of a box's sides, where it is asked whether another covers it
LEAST = 1.0  # pixels of a thing that is seen
NEAR = 0.1  # metres before the eye within which nothing has a box
_WEDGE = torch.tensor([[-1.0, y, -1.0] for y in (-1, 1, -1, 1)] + [[1.0, y, z] for z in (-1, 1) for y in (-1, 1)])
_LAST, _FIRST = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 0.0, -1.0])
_ENDS = torch.zeros(len(SHAPES), 8, 3)  # of each shape: where its ends are, in its half sizes
_WIDE = torch.zeros(len(SHAPES), 8, 3)  # and how large
for _name, _ends, _wide in (("box", th.CORNERS, 0), ("ellipsoid", torch.zeros(8, 3), 1), ("wedge", _WEDGE, 0),
                            ("cylinder", torch.stack([_FIRST, _LAST] * 4), torch.tensor([1.0, 1.0, 0.0])),
                            ("capsule", torch.stack([_FIRST, _LAST] * 4), 1),
                            ("cone", torch.stack([_FIRST, _LAST] * 4), torch.tensor([[1.0, 1.0, 0.0], [0, 0, 0]] * 4))):
    _ENDS[SHAPES.index(_name)], _WIDE[SHAPES.index(_name)] = _ends, _wide


@dataclass
class Outlines:
    """Of things in pictures: box (X, F, S, 4) x0 y0 x1 y1 in pixels, not cut at the edges; front (X, F, S) bool: those
    that are there and wholly before the camera, others have NaN for a box; depth (X, F, S): metres to their middles
    along the view's axis; lift (X, F, S): metres of their lowest points above the ground."""

    box: Tensor
    front: Tensor
    depth: Tensor
    lift: Tensor


def outlines(things: Tensor, camera: Tensor, table: Table, height: int, width: int) -> Outlines:
    """Of things (X, S, WIDTH), as cameras (X, WIDTH) see them in pictures of height x width pixels."""
    x, s, _ = things.shape
    solids = solids_of(things, table)
    seen = th.cameras_of(camera[:, None].float())
    turn = seen.rotation[:, 0].flatten(0, 1) * seen.rotation.new_tensor([1.0, 1.0, -1.0])  # right, up, ahead
    eye = seen.position[:, 0].flatten(0, 1)
    row = torch.arange(x, device=things.device).repeat_interleave(th.F)
    shape, size = solids.shape[row], solids.boxes.size  # Y N, Y N 3
    capsule = (shape == SHAPES.index("capsule"))[..., None]
    length = torch.where(capsule, size - size[..., :1], size)
    around = torch.where(capsule, size[..., :1].expand_as(size), size)
    ends = _ENDS.to(size)[shape] * length[..., None, :]  # Y N E 3
    wide = _WIDE.to(size)[shape] * around[..., None, :]
    place = solids.boxes.place[:, :, None] + ends @ solids.boxes.turn.mT  # Y N E 3
    lowest = (place[..., 2] - (solids.boxes.turn[:, :, None, 2] * wide).norm(dim=-1)).amin(-1)
    centre = (place - eye[:, None, None]) @ turn[:, None]
    axes = (turn.mT[:, None] @ solids.boxes.turn)[:, :, None] * wide[..., None, :]  # Y N E 3 3
    dual = axes @ axes.mT - centre[..., :, None] * centre[..., None, :]
    middle, outer, depth = dual[..., :2, 2], dual[..., (0, 1), (0, 1)], dual[..., 2:, 2]
    ahead = (centre[..., 2] - axes[..., 2, :].norm(dim=-1)).amin(-1) > NEAR  # Y N
    root = (middle.square() - outer * depth).clamp(min=0).sqrt()
    depth = torch.where(ahead[..., None, None], depth, -1.0)
    both = torch.stack([(middle - root) / depth, (middle + root) / depth], -1)  # Y N E 2 2
    low, high = both.amin((2, 4)), both.amax((2, 4))  # Y N 2
    focal = (0.5 * height / torch.tan(torch.deg2rad(seen.fovy[:, 0]) / 2))[row, None]
    boxes = torch.stack([width / 2 + focal * low[..., 0], height / 2 - focal * high[..., 1],
                         width / 2 + focal * high[..., 0], height / 2 - focal * low[..., 1]], -1)
    there = solids.there[row]
    away = ((th.positions_of(things).transpose(1, 2).flatten(0, 1) - eye[:, None]) @ turn)[..., 2]  # Y S
    out, lift = things.new_full((len(row), s, 4), torch.nan), torch.zeros_like(away)
    front = torch.zeros_like(away, dtype=torch.bool)
    for body in solids.body[solids.body < s].unique().tolist():
        own = solids.body == body
        exists = there[:, own]
        first = torch.where(exists[..., None], boxes[:, own, :2], torch.inf).amin(1)
        last = torch.where(exists[..., None], boxes[:, own, 2:], -torch.inf).amax(1)
        lift[:, body] = torch.where(exists, lowest[:, own], torch.inf).amin(1)
        front[:, body] = exists.any(1) & (ahead[:, own] | ~exists).all(1)
        out[:, body] = torch.where(front[:, body, None], torch.cat([first, last], -1), torch.nan)
    return Outlines(*(part.unflatten(0, (x, th.F)) for part in (out, front, away, lift)))


@dataclass
class Sights:
    """Of things in m frames: whole (m, S, 4), as Outlines has boxes but 0 where there are none, and box (m, S, 4), what
    of that is in the picture; seen (m, S) bool: those of which more than LEAST pixels are, in all directions; bare
    (m, S), the share of that which no nearer box covers, and visible (m, S), the share of the whole box that is bare
    and in the picture; depth and lift (m, S) as in Outlines."""

    whole: np.ndarray
    box: np.ndarray
    seen: np.ndarray
    bare: np.ndarray
    visible: np.ndarray
    depth: np.ndarray
    lift: np.ndarray


def sights(tokens: np.ndarray, table: Table, height: int, width: int) -> Sights:
    """Of the things of tokens (X, S, WIDTH), as their own cameras see them in pictures of height x width pixels."""
    vectors = torch.from_numpy(np.ascontiguousarray(tokens, np.float32))
    found = outlines(vectors[:, :MAX_THINGS], vectors[:, th.CAMERA_TOKEN], table, height, width)
    whole, front, depth, lift = (part.flatten(0, 1).numpy() for part in vars(found).values())
    whole = np.nan_to_num(whole)
    box = whole.clip(0, [width, height] * 2)
    sides, full = box[..., 2:] - box[..., :2], whole[..., 2:] - whole[..., :2]
    seen = front & (sides.min(-1) > LEAST)
    bare = _uncovered(box, depth, seen)
    return Sights(whole, box, seen, bare, bare * sides.clip(0).prod(-1) / np.maximum(full.prod(-1), 1), depth, lift)


def _uncovered(box: np.ndarray, depth: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The share (m, S) of each box (m, S, 4) that no nearer one covers, of those that are seen (m, S); depth (m, S)."""
    shares = np.zeros(seen.shape)
    for s in np.flatnonzero(seen.any(0)):
        own = box[:, s, :, None]
        x, y = (own[:, k] + (own[:, k + 2] - own[:, k]) * INSIDE for k in (0, 1))  # (m, 6)
        covered = np.zeros((len(box), len(INSIDE), len(INSIDE)), bool)
        for o in np.flatnonzero(seen.any(0)):
            nearer = seen[:, o] & (depth[:, o] < depth[:, s])
            if o != s and nearer.any():
                low, high = box[:, o, :2, None], box[:, o, 2:, None]
                across, down = ((v >= low[:, k]) & (v <= high[:, k]) for k, v in enumerate((x, y)))
                covered |= nearer[:, None, None] & down[:, :, None] & across[:, None]
        shares[:, s] = 1 - covered.mean((1, 2))
    return shares
