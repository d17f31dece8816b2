"""Things do not stand in one another: how deep two overlap, and what pushes them apart.

In 400 clips of truth nothing solid is more than 2 cm in another. Thing vectors are those of things.py. Legend: B batch,
N thing slots, A directions, F frames in a latent.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from reverie.core.vocabulary import FIXTURES
from reverie.model import things as th

ROUND = ("ball", "basketball")
HOLLOW = ("hoop", "chair", "table", "pendulum")  # what can be within their boxes and not in them
BULKY = ("wall", "screen", "person", "chair", "table", "ramp")  # and what cannot
# between whose legs only what is narrower than SLIM of them goes, and no higher than so far above their middles, of
# half their height: of 89 pairs of truth with one of these, 6 are more than 5 cm in one another by this rule
SEATS, SLIM = {"chair": 0.0, "table": 0.5}, 0.8
TIGHT = 0.01  # metres that two may be in one another
STEEP = 0.7  # of a way out that leads up
CLOSE = 0.5  # metres that pushes, or a latent, may bring two nearer to one another


def support(things: Tensor, directions: Tensor) -> Tensor:
    """How far thing vectors (..., WIDTH) reach from their middles in unit directions (..., A, 3) of the world: (..., A)
    metres, in the latent's last frame. Balls, cylinders, cones and ramps as they are, all else as its box."""
    local, size = directions @ th.rotations_of(things)[..., -1, :, :], th.extents_of(things)[..., None, :]
    flat, ends = size[..., 0] * local[..., :2].norm(dim=-1), size[..., 2] * local[..., 2]
    out = (size * local.abs()).sum(-1)
    slope = (size * local).unbind(-1)
    slope = slope[1].abs() + torch.maximum(slope[0] + slope[2].abs(), -slope[0] - slope[2])
    for names, own in ((ROUND, size[..., 0].expand_as(out)), (("cylinder",), flat + ends.abs()),
                       (("cone",), torch.maximum(ends, flat - ends)), (("ramp",), slope)):
        out = torch.where(th.of_kind(things, names)[..., None], own, out)
    return out


def reaches(things: Tensor) -> Tensor:
    """How far thing vectors (..., WIDTH) reach from their middles along the world's axes (..., 3), in metres: the boxes
    about their turned boxes, in the latent's last frame."""
    return (th.rotations_of(things)[..., -1, :, :].abs() * th.extents_of(things)[..., None, :]).sum(-1)


def gaps(place: Tensor, others: Tensor, reach: Tensor) -> Tensor:
    """(B, N, N): how far, in metres, the upright boxes of things at ``place`` (B, N, 3) are from those of all things at
    ``others``, along the axis where they are farthest; below 0 where they meet. reach (B, N, 3): see reaches."""
    return ((place[:, :, None] - others[:, None]).abs() - reach[:, :, None] - reach[:, None]).amax(-1)


def struck(things: Tensor) -> Tensor:
    """(B, N) bool: which of thing vectors (B, N, WIDTH) move, or are so near to something that moves that it may hit
    them within a latent."""
    moves = (things[..., 0] > 0) & (things[..., th.THING["moving"].start] > 0)
    place = th.positions_of(things)[:, :, -1]
    return moves | ((gaps(place, place, reaches(things)) < CLOSE) & moves[:, None]).any(-1)


def overlaps(things: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How deep (B, N, N) metres each two things (B, N, WIDTH) are in one another, 0 where they are not; the direction
    (B, N, N, 3) in which the first gets out, on the shortest way or on the shortest level one; and whether the shortest
    leads up (or down).

    The least over the directions in which two boxes can be apart (their faces', and those at right angles to two
    of their edges), the one between their middles and those of cones' slopes: exact for boxes, hardly too much for what
    is round.
    """
    count, place = things.shape[1], th.positions_of(things)[:, :, -1]
    apart = place[:, :, None] - place[:, None]
    axes = th.rotations_of(things)[:, :, -1].mT  # rows: a thing's own axes in the world
    mine, others = (x.expand(-1, count, count, -1, -1) for x in (axes[:, :, None], axes[:, None]))
    edges = torch.linalg.cross(mine[..., :, None, :].expand(*mine.shape[:-2], 3, 3, 3),
                               others[..., None, :, :].expand(*mine.shape[:-2], 3, 3, 3), dim=-1).flatten(-3, -2)
    slopes = torch.stack([apart, _slopes(things[:, :, None], -apart), _slopes(things[:, None], apart)], -2)
    ways = torch.cat([mine, others, edges, slopes], -2)  # B N N A 3
    ways = torch.cat([ways, ways * ways.new_tensor((1.0, 1.0, 0.0))], -2)
    long = ways.norm(dim=-1)
    ways = ways / long.clamp(min=1e-6)[..., None]
    far = (ways * apart[..., None, :]).sum(-1)
    ways = ways * torch.where(far < 0, -1.0, 1.0)[..., None]
    deep = support(things[:, :, None], -ways) + support(things[:, None], ways) - far.abs()
    deep = torch.where(long < 1e-3, torch.inf, deep)
    least = deep.min(-1).values.clamp(min=0)
    shortest = _taken(ways, deep.argmin(-1))
    bulky = th.of_kind(things, BULKY)  # of which none stands on another
    steep = (shortest[..., 2].abs() > STEEP) & ~(bulky[:, :, None] & bulky[:, None])
    half = ways.shape[-2] // 2
    level, which = deep[..., half:].min(-1)
    way = torch.where(steep[..., None], shortest, _taken(ways[..., half:, :], which))
    return torch.where(least > 0, torch.where(steep, least, level), 0.0) * _solid(things), way, steep


def pushed_apart(things: Tensor, before: Tensor | None, known: Tensor | None = None, rounds: int = 3) -> Tensor:
    """Thing vectors (B, N, WIDTH) of which none is in another: what is new or moves gives way, level or upwards.

    before: the same one latent earlier, None for the first; known (B, N) bool: what is given, and stays. What was there
    gets out by the end of the latent, what is new is elsewhere from its beginning; what goes on into the other does so
    no more. Of what stands about for ever the lesser part gives way. rounds: in a heap one push leads to another.
    """
    new = things[..., 0] > 0
    if before is not None:
        new = new & (before[..., 0] <= 0)
    free = (new | (things[..., th.THING["moving"]][..., 0] > 0)) & (things[..., 0] > 0)
    free = (free if known is None else free & ~known).to(things.dtype)
    free = free * torch.where(th.of_kind(things, FIXTURES), 0.05, 1.0)
    some = _close(things, free)
    if not len(some):
        return things
    whole, things, new, free = things, things[:, some], new[:, some], free[:, some]
    lasts = torch.arange(1, th.F + 1, device=things.device, dtype=things.dtype) / th.F
    shares = torch.where(new[..., None], 1.0, lasts)[..., None]  # B N F 1
    out = things
    for _ in range(rounds):
        deep, way, steep = overlaps(out)
        deep = torch.where(deep > TIGHT, deep, 0.0)
        if not bool((deep * free[:, :, None]).any()):
            break
        gives = free[:, :, None] / (free[:, :, None] + free[:, None]).clamp(min=1e-6)
        gives = torch.where(steep, (way[..., 2] > 0).to(gives.dtype) * (free[:, :, None] > 0), gives)
        # the longest push of each, and not their sum: what stands in three is not thrown out three times
        push = _taken(way * (deep * gives)[..., None], (deep * gives).argmax(-1))
        out = th.at_positions(out, th.positions_of(out) + push[:, :, None] * shares)
        against = normalize(push, dim=-1, eps=1e-6)
        into = (out[..., th.THING["velocity"]] * against).sum(-1, keepdim=True).clamp(max=0)
        out[..., th.THING["velocity"]] -= into * against
    return whole.index_copy(1, some, out)


def _close(things: Tensor, free: Tensor) -> Tensor:
    """The numbers of slots whose things' upright boxes are within CLOSE of that of one that gives way (B, N) > 0, or
    that give way so; none where no two meet at all."""
    place = th.positions_of(things)[:, :, -1]
    gap = gaps(place, place, reaches(things))
    asked = (_solid(things) > 0) & ((free[:, :, None] > 0) | (free[:, None] > 0))
    if not bool((asked & (gap < 0)).any()):
        return torch.empty(0, dtype=torch.long, device=things.device)
    return (asked & (gap < CLOSE)).any(2).any(0).nonzero()[:, 0]


def _taken(ways: Tensor, which: Tensor) -> Tensor:
    """Of ways (..., A, 3) those of the numbers (...)."""
    return ways.gather(-2, which[..., None, None].expand(*which.shape, 1, 3))[..., 0, :]


def _solid(things: Tensor) -> Tensor:
    """(B, N, N) 0 or 1: which two of the things cannot be in each other's boxes."""
    hollow, bulky, here = th.of_kind(things, HOLLOW), th.of_kind(things, BULKY), things[..., 0] > 0
    middle, reach = th.positions_of(things)[:, :, -1, 2], reaches(things)
    below = (middle - reach[..., 2])[:, None] < middle[:, :, None] - TIGHT  # what lies on it does not count
    wide = reach[..., :2].amax(-1)[:, None] > SLIM * reach[..., :2].amin(-1)[:, :, None]
    top, among = (middle + reach[..., 2])[:, None], torch.zeros_like(below)
    for kind, high in SEATS.items():
        tall = top > (middle + high * reach[..., 2])[:, :, None]
        among = among | th.of_kind(things, (kind,))[:, :, None] & below & (wide | tall)
    fits = hollow[:, :, None] & ~bulky[:, None] & (~among | hollow[:, None])
    fits = fits | fits.mT
    other = ~torch.eye(things.shape[1], dtype=torch.bool, device=things.device)
    return (here[:, :, None] & here[:, None] & other & ~fits).to(things.dtype)


def _slopes(things: Tensor, towards: Tensor) -> Tensor:
    """Unit directions (..., 3) at right angles to a ramp's slope, or a cone's on the side of ``towards`` (..., 3)."""
    turn, size = th.rotations_of(things)[..., -1, :, :], th.extents_of(things)
    local = (turn.mT @ towards[..., None])[..., 0]
    side = normalize(local[..., :2], dim=-1, eps=1e-6)
    slope = normalize(torch.stack([2 * size[..., 2], size[..., 0]], -1), dim=-1)
    slope = slope.expand(*side.shape)
    ramp = normalize(torch.stack([-size[..., 2], 0 * size[..., 0], size[..., 0]], -1), dim=-1).expand_as(local)
    own = torch.cat([side * slope[..., :1], slope[..., 1:]], -1)
    return (turn @ torch.where(th.of_kind(things, ("ramp",))[..., None], ramp, own)[..., None])[..., 0]
