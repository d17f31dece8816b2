"""Houses, trees, lamps and lights: how much of a pixel they cover, where, in what light; and what shadow they cast.

Legend: P pixels, S solids, M meetings of a pixel's ray with one, or places, E features.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.model.road.eye import Eye, Moment, around, frames, pairs, sun_of
from reverie.model.road.streets import PARTS, Solids, Streets, outlines

SHADED = 36.0  # metres around our car, across the sunlight, within which shadows fall
HIDDEN = 0.02  # share of a pixel, less than which is not drawn
SOLID = len(PARTS) + 17


@dataclass
class Met:
    """M pixels that meet solids. pixel (M,); of the solids, which (M,); depth and cover (M,); axis (M,) of the face
    that is met, o and d (M, 3) the eye and the ray in half sizes, normal (M, 3)."""

    solids: Solids
    pixel: Tensor
    which: Tensor
    depth: Tensor
    cover: Tensor
    axis: Tensor
    o: Tensor
    d: Tensor
    normal: Tensor

    def kept(self, some: Tensor) -> Met:
        """Some of the meetings."""
        return Met(self.solids, *(getattr(self, f.name)[some] for f in fields(self)[1:]))


def stand(solids: Solids, moment: Moment, eye: Eye, number: Tensor, local: Tensor, way: Tensor, whole: bool) -> Met:
    """Which pixels (P,) meet which solids, with rays local in the eye's frame and way in the world's (P, 3)."""
    gap = (solids.place - eye.place) @ eye.turn
    reach = solids.half.norm(dim=-1)
    aside = eye.spot * torch.tensor([eye.width / 2, eye.height / 2])
    depth = -gap[:, 2]
    seen = (depth > -reach) & (depth - reach < moment.weather[19])
    seen &= (gap[:, :2].abs() < depth[:, None].clamp(min=0) * aside + reach[:, None] * (1 + aside)).all(-1)
    solids = solids.chosen(seen.nonzero()[:, 0]).faced(eye.place)
    corners = solids.corners
    plane = outlines(corners, solids.place, solids.turn, solids.half, eye.place)[0] @ eye.turn  # S 12 3
    size = plane[..., :2].norm(dim=-1)
    plane = torch.where(size > 1e-9, 1.0, 0.0)[..., None] * plane / (size.clamp(min=1e-9) * eye.spot)[..., None]
    plane, size = _fewer(plane, size)
    p, s = pairs(frames(corners, eye), number, eye, whole)
    far = plane.new_empty(0, plane.shape[1]) if not len(p) else (plane[s] @ local[p][..., None])[..., 0]
    part = 1 - ((0.5 - far).clamp(0, 1) * size[s]).sum(-1)
    kept = ((part > HIDDEN) | solids.ball[s]).nonzero()[:, 0]
    p, s, part = p[kept], s[kept], part[kept]
    turn, half = solids.turn[s], solids.half[s]
    o = ((eye.place - solids.place)[:, None] @ solids.turn)[:, 0][s] / half
    d = (way[p][:, None] @ turn)[:, 0] / half
    d = torch.where(d.abs() < 1e-6, 1e-6, d)
    enter, axis = (-o / d - 1 / d.abs()).max(-1)
    normal = turn.gather(2, axis[:, None, None].expand(-1, 3, 1))[..., 0] * -torch.sign(d.gather(1, axis[:, None]))
    cover = part.clamp(0, 1)
    b = solids.ball[s].nonzero()[:, 0]
    square = d[b].square().sum(-1)
    nearest = -(o[b] * d[b]).sum(-1) / square
    deep = o[b] + d[b] * nearest[:, None]
    gap = deep.norm(dim=-1)
    radius = (deep * half[b]).norm(dim=-1) / gap.clamp(min=1e-6)
    cover[b] = ((1 - gap) * radius / (eye.spot * nearest.clamp(min=0.1)) + 0.5).clamp(0, 1)
    enter[b] = front = nearest - ((1 - gap.square()).clamp(min=0) / square).sqrt()
    outward = (turn[b] @ ((o[b] + d[b] * front[:, None]) / half[b])[..., None])[..., 0]
    normal[b] = F.normalize(outward, dim=-1)
    met = Met(solids, p, s, enter, cover, axis, o, d, normal)
    return met.kept(((cover > HIDDEN) & (enter > 0.1)).nonzero()[:, 0])


def _fewer(plane: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Of 12 edges the at most 6 that are an outline, and 1 where there is one, else 0."""
    there = size > 1e-9
    order = there.float().argsort(dim=1, descending=True, stable=True)[:, :6]
    return plane.gather(1, order[..., None].expand(-1, -1, plane.shape[2])), there.gather(1, order).float()


def features(met: Met, streets: Streets, moment: Moment, eye: Eye, way: Tensor, lamps: Tensor) -> list[Tensor]:
    """Numbers (M, SOLID) of meetings, the solids' tint and the light on them (M, 3)."""
    s, enter, normal, way = met.which, met.depth, met.normal, way[met.pixel]
    place = eye.place + way * enter[:, None]
    inside = met.o + met.d * enter[:, None]
    ambient, sun, to, casts = sun_of(moment)
    facing = (normal @ -to).clamp(min=0)
    light = facing.clone()
    if casts:
        lit = (facing > 0).nonzero()[:, 0]
        dark = shade(streets.solids, moment, place[lit] + 0.05 * normal[lit], eye.spot * enter[lit])
        light[lit] *= 1 - dark
    kind = met.solids.part[s]
    bulb = kind == PARTS.index("bulb")
    shows = F.pad(moment.shows, (0, 1), value=-1)[met.solids.signal[s]]
    glow = bulb & (shows == met.solids.shows[s])
    looks = -(normal * way).sum(-1) / way.norm(dim=-1)
    window = _windows(kind == 0, met.axis, inside, met.d, met.solids.half[s], eye.spot * enter)
    numbers = torch.cat([F.one_hot(kind, len(PARTS)).float(), (normal @ -to)[:, None], normal[:, 2:], looks[:, None],
                         window, glow[:, None].float(), (place[:, 2:] / 8).clamp(max=3), inside[:, 1:2].clamp(-1, 1),
                         around(place, moment, lamps), enter.clamp(min=0.1).log()[:, None] / 2 - 1], -1)
    tint = torch.where((bulb & ~glow)[:, None], 0.1, met.solids.tint[s])
    return [numbers, tint, ambient + light[:, None] * sun]


def _windows(wall: Tensor, axis: Tensor, inside: Tensor, d: Tensor, half: Tensor, wide: Tensor) -> Tensor:
    """Of places on walls (M, 3), in half sizes, how much of the pixel there is window, and window with its frame, and
    which of four windows it is (M, 5). wide (M,): of the pixel, in metres, seen frontally."""
    side = 1 - axis.clamp(max=1)  # the level axis along the wall
    across = inside.gather(1, side[:, None])[:, 0]
    metres = (d * half).abs()
    tilt = metres.gather(1, axis[:, None])[:, 0].clamp(min=1e-3)
    out = []
    for where, slope, scale in ((0.5 * (across + 1), metres.gather(1, side[:, None])[:, 0],
                                 half[:, 0] / (2 * half.gather(1, side[:, None])[:, 0])),
                                (0.5 * (1 - inside[:, 2]), metres[:, 2], half[:, 1] / (2 * half[:, 2]))):
        turn = 0.16 * (half[:, 1] if len(out) else half[:, 0]) * where
        blur = 128 * 0.16 * scale * wide * (1 + (slope / tilt).square()).sqrt()
        out.append((128 * turn, blur.clamp(min=0.5)))
    (column, fine), (row, tall) = out

    def share(w: float, h: float) -> Tensor:
        one = ((w - (column % 64 - 32).abs()) / fine + 0.5).clamp(0, 1) * (2 * w / fine).clamp(max=1)
        return one * ((h - (row % 64 - 32).abs()) / tall + 0.5).clamp(0, 1) * (2 * h / tall).clamp(max=1)

    one, two = (torch.sign(v % 128 - 64) for v in (column, row))
    fade = (32 / fine.maximum(tall)).clamp(max=1)
    found = torch.stack([share(14, 16), share(17, 19), one * fade, two * fade, one * two * fade], -1)
    return found * (wall & (axis < 2))[:, None]


def shade(solids: Solids, moment: Moment, place: Tensor, wide: Tensor) -> Tensor:
    """How much of the sunlight solids keep from places (M, 3), 0..1; wide (M,): metres over which that is blurred."""
    _, _, to, casts = sun_of(moment)
    out = torch.zeros(len(place))
    if not casts or not len(place) or not len(solids.part):
        return out
    one = F.normalize(torch.linalg.cross(to, torch.tensor([0.0, 0.0, 1.0])), dim=0)
    basis = torch.stack([one, torch.linalg.cross(to, one)], -1)  # 3 2
    origin = F.pad(moment.ours[:2], (0, 1)) @ basis
    flat = place @ basis - origin
    asked = (flat.abs().amax(-1) < SHADED).nonzero()[:, 0]
    spots, reach = solids.place @ basis - origin, solids.half.norm(dim=-1)
    some = (spots.abs().amax(-1) < SHADED + reach).nonzero()[:, 0]
    near = torch.cdist(flat[asked], spots[some]) < reach[some] + 0.5
    m, s = near.nonzero().unbind(1)
    m, s = asked[m], some[s]
    plane, on = outlines(solids.corners[some], solids.place[some], solids.turn[some], solids.half[some], None, to)
    size = plane.norm(dim=-1)
    plane, there = _fewer(torch.cat([plane, on[..., None]], -1) / size.clamp(min=1e-9)[..., None], size)
    again = torch.zeros(len(solids.part), dtype=torch.long)
    again[some] = torch.arange(len(some))
    blur = wide[m, None].clamp(min=0.02)
    x, y, z = place[m].split(1, 1)
    sides = plane.transpose(1, 2).reshape(len(some), -1)[again[s]]  # M 24
    east, north, up, away = sides.split(6, 1)
    far = (east * x).addcmul_(north, y).addcmul_(up, z).sub_(away)
    part = 1 - ((0.5 - far / blur).clamp_(0, 1) * there[again[s]]).sum(-1)
    turn, half = solids.turn[s], solids.half[s]
    o = ((place[m] - solids.place[s])[:, None] @ turn)[:, 0] / half
    d = (-to @ solids.turn)[s] / half
    d = torch.where(d.abs() < 1e-6, 1e-6, d)
    leave = (-o / d + 1 / d.abs()).amin(-1)
    square = d.square().sum(-1)
    nearest = -(o * d).sum(-1) / square
    gap = (o + d * nearest[:, None]).norm(dim=-1)
    ball = ((1 - gap) * half.amin(-1) / blur[:, 0] + 0.5)
    ball = torch.where(nearest > 0, ball, 0)
    part = torch.where(solids.ball[s], ball, torch.where(leave > 0.06, part, 0)).clamp(0, 1)
    return 1 - torch.exp(out.index_add(0, m, torch.log1p(-part * 0.9999)))
