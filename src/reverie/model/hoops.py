"""Hoops as they are, and not as their boxes: what flies may pass through the ring, and is aimed at it.

A hoop is a post with a board, on whose -x side a ring is held (data.scenes.bodies.hoop). Thing vectors are those of
things.py. Legend: B batch, N thing slots, P points of a path.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from reverie.model import things as th

TUBE, BOARD = 0.035, 0.36  # metres: the ring's half thickness, half of the board's height
BEYOND, BELOW = 0.16, 0.6  # how far the hoop reaches beyond the ring's radius, and above the ring
RING = -0.065  # of the ring's middle along the hoop's own x
NEAR = 0.02  # metres from it at which a thing may be touching it
FINE = 4  # points between two frames at which it is asked whether a thing touches
SNUG = 0.72  # of the ring's radius, that a ball's is at most: so large is a medium one for a small hoop
DISTANCES = (1.5, 2.6)  # metres in front of the ring, from which truth shoots
APEX = (0.3, 0.3)  # metres above the ring that a ball's underside flies at least, and by chance
BESIDE = 0.1  # metres between the ring and a ball that falls short


def ring(hoops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of hoops' thing vectors (..., WIDTH) the middles of their rings (..., 3), the radii (...,), and the unit
    directions (..., 3) in which they look, in the latent's last frame."""
    turn, size = th.rotations_of(hoops)[..., -1, :, :], th.extents_of(hoops)
    own = torch.stack([torch.full_like(size[..., 0], RING), torch.zeros_like(size[..., 0]), size[..., 2] - BELOW], -1)
    middle = th.positions_of(hoops)[..., -1, :] + (turn @ own[..., None])[..., 0]
    return middle, size[..., 0] - BEYOND, -turn[..., 0]


def touching(things: Tensor, start: Tensor, path: Tensor, reach: Tensor) -> Tensor:
    """(B, N, N) bool: which of balls, or what else reaches so far (B, N) from its middle, that fly from ``start``
    (B, N, 3) along ``path`` (B, N, F, 3) come to which hoops; False for all that are no hoops."""
    hoops = th.of_kind(things, ("hoop",)) & (things[..., 0] > 0)
    way = torch.cat([start[..., None, :], path], -2)
    shares = torch.arange(FINE, device=way.device, dtype=way.dtype) / FINE
    points = way[..., :-1, None, :] + shares[:, None] * way.diff(dim=-2)[..., None, :]
    points = torch.cat([points.flatten(-3, -2), way[..., -1:, :]], -2)  # B N P 3
    turn, size = th.rotations_of(things)[..., -1, :, :], th.extents_of(things)
    place = th.positions_of(things)[..., -1, :]
    local = (points[:, :, None] - place[:, None, :, None]) @ turn[:, None]  # B N N P 3
    radius = (size[..., 0] - BEYOND)[:, None, :, None]
    out = torch.hypot(local[..., 0] - RING, local[..., 1]) - radius
    away = torch.hypot(out, local[..., 2] - (size[..., 2] - BELOW)[:, None, :, None]) - TUBE
    half, zero = size[..., 2], torch.zeros_like(size[..., 2])
    parts = [((0.05, 0.95 * (size[..., 0] - BEYOND) + 0.12, zero + BOARD), (size[..., 0] - 0.14, half - BOARD)),
             ((0.07, zero + 0.09, half - BOARD / 2), (size[..., 0] - 0.07, -BOARD / 2 + zero)),
             ((0.30, zero + 0.34, zero + 0.05), (size[..., 0] - 0.30, 0.05 - half))]
    for (x, y, z), (along, up) in parts:
        box, middle = torch.stack([zero + x, y, z], -1), torch.stack([along, zero, up], -1)
        beyond = ((local - middle[:, None, :, None]).abs() - box[:, None, :, None]).clamp(min=0)
        away = torch.minimum(away, beyond.norm(dim=-1))
    near = (away.amin(-1) < reach[..., None] + NEAR) & hoops[:, None]
    return near & ~hoops[..., None]


def before_ring(things: Tensor, hoops: Tensor) -> tuple[Tensor, Tensor]:
    """Places (B, N, 3) on the ground from which things (B, N, WIDTH) can be shot at hoops (B, N, WIDTH), and half sizes
    (B, N, 3) with which they pass through."""
    middle, radius, out = ring(hoops)
    size, way = th.extents_of(things), th.positions_of(things)[..., -1, :] - middle
    size = size * (SNUG * radius / size.amax(-1)).clamp(max=1)[..., None]
    far = way[..., :2].norm(dim=-1, keepdim=True).clamp(*DISTANCES)
    place = middle + far * out
    return torch.cat([place[..., :2], size[..., 2:]], -1), size


def aimed(things: Tensor, hoops: Tensor, chance: Tensor, misses: Tensor) -> Tensor:
    """The velocities (B, N, 3), m/s, with which things (B, N, WIDTH) leave for the rings of hoops (B, N, WIDTH): down
    through their middles, or, where they are to miss (B, N) bool, short of them. chance (B, N): 0..1, how high."""
    middle, radius, _ = ring(hoops)
    place, reach = th.positions_of(things)[..., -1, :], th.extents_of(things).amax(-1)
    back = normalize((place - middle)[..., :2], dim=-1, eps=1e-4)
    goal = middle[..., :2] + torch.where(misses, radius + TUBE + reach + BESIDE, 0.0)[..., None] * back
    apex = torch.maximum(middle[..., 2], place[..., 2]) + reach + APEX[0] + APEX[1] * chance
    up = (2 * th.GRAVITY * (apex - place[..., 2])).sqrt()
    flight = up / th.GRAVITY + (2 * (apex - middle[..., 2]) / th.GRAVITY).sqrt()
    return torch.cat([(goal - place[..., :2]) / flight[..., None], up[..., None]], -1)
