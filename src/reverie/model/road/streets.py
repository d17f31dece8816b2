"""What stands still along a road, as rays ask for it: flat quads on the ground, found through a grid, and solids.

How much of a pixel a quad, a box or a ball covers is computed from how far the pixel's middle is from its outline, in
pixels, so that edges are as sharp as the pixels and thin lines fade as they should.

Legend: Q quads, S solids, P points or pixels, M of these that meet something.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CELL, AROUND = 2.0, 1.0  # metres of a cell's side; within which of a cell a quad is asked
KERB = 0.12  # metres that pavements are above the road
ROAD, PAVEMENT, WHITE, YELLOW = range(4)
PARTS = ("wall", "roof", "trunk", "crown", "pole", "head", "case", "bulb")
ROUND = (2, 4)  # parts that always turn the same width to the eye: upright cylinders
BALLS = (3, 7)
_CORNERS = torch.tensor([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
# of each of a box's 12 edges: its two corners, and the two faces (axis + 3 if positive) that meet there
EDGES = [(a, b) for a in range(8) for b in range(a + 1, 8) if (a ^ b) in (1, 2, 4)]
_FACES = [[axis + 3 * (a >> (2 - axis) & 1) for axis in range(3) if not (a ^ b) >> (2 - axis) & 1] for a, b in EDGES]


class Flats:
    """Quads on the ground. corners (Q, 4, 2), anticlockwise, in metres; what (Q,): ROAD, PAVEMENT, ...; K kinds."""

    def __init__(self, corners: Tensor, what: Tensor, kinds: int) -> None:
        way = corners.roll(-1, 1) - corners
        length = way.norm(dim=-1)
        turned = (way[:, 0, 0] * way[:, 1, 1] - way[:, 0, 1] * way[:, 1, 0]) > 0  # the rest is seen from below
        corners, way, length, what = (v[turned] for v in (corners, way, length, what))
        inward = torch.stack([-way[..., 1], way[..., 0]], -1) / length.clamp(min=1e-9)[..., None]
        away = torch.where(length > 1e-6, (inward * corners).sum(-1), -1e6)
        self.inward, self.away, self.what, self.kinds = inward.float(), away.float(), what, kinds
        self.sides = torch.cat([self.inward[..., 0], self.inward[..., 1], self.away], 1)  # Q 12, one look-up for all
        self.low = corners.flatten(0, 1).amin(0) - AROUND if len(corners) else torch.zeros(2)
        first = ((corners.amin(1) - AROUND - self.low) / CELL).floor().long()
        last = ((corners.amax(1) + AROUND - self.low) / CELL).floor().long()
        self.shape = (last.amax(0) + 1).tolist() if len(corners) else [1, 1]
        wide = last - first + 1
        count = wide[:, 0] * wide[:, 1]
        quad = torch.arange(len(count)).repeat_interleave(count)
        rest = torch.arange(len(quad)) - (count.cumsum(0) - count).repeat_interleave(count)
        x, y = first[quad, 0] + rest // wide[quad, 1], first[quad, 1] + rest % wide[quad, 1]
        middle = self.low + CELL * (torch.stack([x, y], -1) + 0.5)
        reach = (self.inward[quad] * middle[:, None].float()).sum(-1) - self.away[quad]
        near = (reach > -(AROUND + 0.71 * CELL)).all(-1)
        cell, quad = (x * self.shape[1] + y)[near], quad[near]
        order = cell.argsort(stable=True)
        self.items = quad[order]
        self.start = torch.searchsorted(cell[order], torch.arange(self.shape[0] * self.shape[1] + 1))

    def covers(self, place: Tensor, across: Tensor, along: Tensor) -> Tensor:
        """How much of pixels is of each kind (P, K), 0..1. place (P, 2): where their middles meet the ground; across,
        along (P, 2): how far that is from the next pixel's to the right, and above."""
        x, y = ((place - self.low) / CELL).floor().long().unbind(-1)
        inside = (x >= 0) & (y >= 0) & (x < self.shape[0]) & (y < self.shape[1])
        cell = torch.where(inside, x * self.shape[1] + y, 0)
        count = torch.where(inside, self.start[cell + 1] - self.start[cell], 0)
        point = torch.arange(len(place)).repeat_interleave(count)
        rest = torch.arange(len(point)) - (count.cumsum(0) - count).repeat_interleave(count)
        quad = self.items[self.start[cell][point] + rest]
        east, north, away = self.sides[quad].split(4, 1)
        x, y, right, ahead, up, on = torch.cat([place, across, along], 1)[point].split(1, 1)
        far = (east * x).addcmul_(north, y).sub_(away)  # M 4
        wide = (east * right).addcmul_(north, ahead).square_().add_((east * up).addcmul_(north, on).square_())
        part = far.div_(wide.sqrt_().clamp_(min=1e-4)).add_(0.5).clamp_(0, 1)
        share = (part[:, 0] + part[:, 2] - 1).clamp(min=0) * (part[:, 1] + part[:, 3] - 1).clamp(min=0)
        index = point * self.kinds + self.what[quad]
        return share.new_zeros(len(place) * self.kinds).index_add(0, index, share).view(-1, self.kinds).clamp(max=1)


@dataclass
class Solids:
    """What stands upright. part (S,): places in PARTS; place (S, 3) their middles, heading (S,), half (S, 3) sizes in
    metres, tint (S, 3), signal (S,): of bulbs, the light's number; shows (S,): of bulbs, the letter's place."""

    part: Tensor
    place: Tensor
    heading: Tensor
    half: Tensor
    tint: Tensor
    signal: Tensor
    shows: Tensor

    def __post_init__(self) -> None:
        self.turn = upright(self.heading)
        self.ball = sum(self.part == p for p in BALLS) > 0
        self.round = sum(self.part == p for p in ROUND) > 0

    def chosen(self, which: Tensor) -> Solids:
        """Some of them."""
        return Solids(*(getattr(self, name)[which] for name in Solids.__dataclass_fields__))

    def faced(self, eye: Tensor) -> Solids:
        """With upright cylinders as boards that face an eye (3,)."""
        way = eye[:2] - self.place[:, :2]
        heading = torch.where(self.round, torch.atan2(way[:, 1], way[:, 0]), self.heading)
        return Solids(self.part, self.place, heading, self.half, self.tint, self.signal, self.shows)

    @property
    def corners(self) -> Tensor:
        """(S, 8, 3)."""
        return self.place[:, None] + torch.einsum("sij,scj->sci", self.turn, _CORNERS * self.half[:, None])


@dataclass
class Streets:
    """A town. ground: road, pavement, white and yellow at the road's height; raised: pavements at theirs; solids; lamps
    (L, 2): places of those that can shed light."""

    ground: Flats
    raised: Flats
    solids: Solids
    lamps: Tensor


def upright(heading: Tensor) -> Tensor:
    """Rotations (..., 3, 3) about the vertical; columns are what is ahead, left and above."""
    cos, sin, flat = heading.cos(), heading.sin(), torch.zeros_like(heading)
    return torch.stack([torch.stack([cos, -sin, flat], -1), torch.stack([sin, cos, flat], -1),
                        torch.stack([flat, flat, flat + 1], -1)], -2)


def outlines(corners: Tensor, place: Tensor, turn: Tensor, half: Tensor, eye: Tensor | None,
             way: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Planes (S, 12, 3) through an eye (3,) and the edges of boxes that are their outline as seen from there, positive
    inside, or zero for an edge within the outline; and what they say (S, 12) of places on them. way (3,): instead of
    an eye, a direction in which all is seen."""
    gap = (eye - place) if way is None else -way.expand_as(place)
    aside = torch.einsum("sji,sj->si", turn, gap)  # along the box's axes
    reach = half if way is None else torch.zeros_like(half)
    front = torch.cat([-aside > reach, aside > reach], 1)  # S 6
    faces = torch.tensor(_FACES)
    edge = front[:, faces[:, 0]] != front[:, faces[:, 1]]
    first, second = (corners[:, [e[k] for e in EDGES]] for k in (0, 1))
    if way is None:
        plane = torch.linalg.cross(first - eye, second - eye)
        side = (plane * (place - eye)[:, None]).sum(-1)
    else:
        plane = torch.linalg.cross(second - first, way.expand_as(first))
        side = (plane * (place[:, None] - first)).sum(-1)
    plane = plane * (side.sign() * edge)[..., None]
    return plane, (plane * first).sum(-1)
