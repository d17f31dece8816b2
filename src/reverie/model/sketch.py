"""Things sketched onto a view: what geometry alone says of each spot of the picture, made into features.

A view's latent cell is divided into FINE x FINE spots. From each spot a ray goes out through the camera; where it
passes through a thing's box (grown by MARGIN) it is told, in the thing's own frame, where it enters, where
it comes nearest to the middle and where it leaves, and how deep it dips into the ellipsoid, cylinder, cone
and box that the thing's sizes span. From these numbers a small network says what is seen there and how much
it covers; the nearest things are laid over each other. Where a ray meets the ground it says where, and what
stands nearest to that place (for its shadow). Nothing of where things appear is learned, only how they look.

Legend: B batch, T latent frames, S thing slots, F sketched sub-frames, P spots of a view, K nearest things,
M rays that pass through some thing, H W latent cells, E features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reverie.model import things as th

FINE = 4  # spots along each side of a latent cell
MARGIN = 1.3  # how far beyond a thing's sizes a ray still says how near it passes
NEAREST = 3  # things laid over each other in one spot
_SAMPLES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the way through a box, where it is felt for what is inside
_GEOMETRY = 3 + 3 + 3 + 4 + 2 + 3 + 3
_BOX = 12  # which of them tells how deep a ray dips into the box
_GROUND = 3 + 1 + 6 + 1 + 5
_FAR = 30.0  # metres to the ground, beyond which it is as good as sky


@dataclass
class Rays:
    """Rays of a camera: origin (B, T, F, 3), direction (B, T, F, P, 3) whose length is 1 along the view's axis, and
    the metres that a spot is wide for each metre of depth (B, T)."""

    origin: Tensor
    direction: Tensor
    spot: Tensor


def rays_of(cameras: th.Cameras, rows: int, columns: int) -> Rays:
    """The rays through the middles of rows x columns spots, at the sub-frames HALVES."""
    device = cameras.position.device
    half = torch.tan(torch.deg2rad(cameras.fovy) / 2)
    y = 1 - (torch.arange(rows, device=device) + 0.5) * (2 / rows)
    x = ((torch.arange(columns, device=device) + 0.5) * (2 / columns) - 1) * (columns / rows)
    plane = torch.stack([x.expand(rows, -1), y[:, None].expand(-1, columns)], -1).flatten(0, 1)  # P 2
    plane = plane * half[..., None, None]  # B T P 2
    local = torch.cat([plane, -torch.ones_like(plane[..., :1])], -1)
    turn = cameras.rotation[:, :, list(th.HALVES)]
    direction = torch.einsum("btfij,btpj->btfpi", turn, local)
    return Rays(cameras.position[:, :, list(th.HALVES)], direction, half * (2 / rows))


class Sketch(nn.Module):
    """Features (B, T, H, W, D) of a view's cells from its things, camera and setting; see the module's head."""

    def __init__(self, width: int, hidden: int = 64, features: int = 24) -> None:
        super().__init__()
        content = th.WIDTH - 12 - 12 + 3  # without places and turns; the velocity as the camera sees it too
        self.content = nn.Linear(content, 2 * hidden)
        self.geometry = nn.Linear(_GEOMETRY, hidden)
        self.mix = nn.Linear(hidden, hidden)
        self.look = nn.Linear(hidden, features + 1)
        self.ground = nn.Linear(_GROUND + th.WIDTH, hidden)
        self.floor = nn.Linear(hidden, features)
        self.out = nn.Linear(FINE * FINE * (len(th.HALVES) + 1) * features, width)
        self.features = features

    def forward(self, things: Tensor, camera: Tensor, setting: Tensor, height: int, width: int) -> Tensor:
        """things (B, T, S, WIDTH), camera and setting (B, T, WIDTH) -> (B, T, H, W, D) for H x W cells."""
        b, t, s, _ = things.shape
        rows, columns, parts = height * FINE, width * FINE, len(th.HALVES)
        with torch.no_grad(), torch.autocast(things.device.type, enabled=False):
            things, camera = things.float(), camera.float()
            cameras = th.cameras_of(camera)
            rays = rays_of(cameras, rows, columns)
            where, which, geometry = _meetings(things, rays)
            ground = torch.cat([_ground(things, rays), setting.float()[:, :, None].expand(-1, -1, rows * columns, -1)],
                               -1)
            velocity = torch.einsum("btij,btsi->btsj", cameras.rotation[:, :, -1], things[..., th.THING["velocity"]])
            content = torch.cat([things[..., : th.THING["position"].start], things[..., th.THING["velocity"].start :],
                                 velocity], -1)
        # what each meeting of a ray with a thing looks like: (M, E), and how much of the spot it covers
        base, gain = self.content(content).flatten(0, 2).chunk(2, -1)  # (B T S, hidden)
        row = which[0]
        x = F.silu(base[row] + self.geometry(geometry))
        x = F.silu(self.mix(x * (1 + gain[row])))
        look, cover = self.look(x).float().split([self.features, 1], -1)
        cover = torch.sigmoid(cover[:, 0] + 1) * torch.sigmoid(8 * things[..., 0].flatten()[row])
        spots = b * t * parts * rows * columns
        covers = cover.new_zeros(spots * NEAREST).index_put((where * NEAREST + which[1],), cover)
        covers = covers.view(spots, NEAREST)
        seen = torch.cumprod(torch.cat([torch.ones_like(covers[:, :1]), 1 - covers[:, :-1]], 1), 1) * covers
        share = seen.flatten()[where * NEAREST + which[1]]
        drawn = look.new_zeros(spots, self.features).index_add(0, where, look * share[:, None])
        drawn = drawn.view(b, t, parts, rows * columns, self.features)
        floor = self.floor(F.silu(self.ground(ground))).float()[:, :, None]
        fine = torch.cat([drawn, floor], 2).to(base.dtype)
        fine = fine.unflatten(3, (height, FINE, width, FINE))  # B T parts H y W x E
        cells = fine.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4)
        return self.out(cells)


@torch.no_grad()
def covered(things: Tensor, camera: Tensor, height: int, width: int) -> Tensor:
    """(B, T, H, W) in 0..1: the share of each cell's rays (2 x 2 in each sub-frame) that pass through a thing's box.

    things (B, T, S, WIDTH), camera (B, T, WIDTH); for H x W cells.
    """
    b, t = things.shape[:2]
    where, _, numbers = _meetings(things.float(), rays_of(th.cameras_of(camera.float()), 2 * height, 2 * width))
    hit = torch.zeros(b * t * len(th.HALVES) * 4 * height * width, device=things.device)
    hit[where[numbers[:, _BOX] > 0]] = 1.0
    return hit.view(b, t, len(th.HALVES), height, 2, width, 2).mean((2, 4, 6))


def _meetings(things: Tensor, rays: Rays) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
    """Where rays meet things: spot (M,) into B T F P, (row (M,) into B T S, rank (M,) 0 for the nearest), and
    the numbers (M, _GEOMETRY) of each meeting."""
    b, t, s, _ = things.shape
    parts, spots = rays.direction.shape[2:4]
    turn = th.rotations_of(things).transpose(2, 3)  # B T F S 3 3, columns are the thing's axes
    place = th.positions_of(things)[..., list(th.HALVES), :].transpose(2, 3)  # B T F S 3
    size = th.extents_of(things)[:, :, None]  # B T 1 S 3
    origin = torch.einsum("btfsij,btfsi->btfsj", turn, rays.origin[:, :, :, None] - place) / size
    way = torch.einsum("btfsij,btfpi->btfspj", turn, rays.direction) / size[..., None, :]
    way = torch.where(way.abs() < 1e-5, 1e-5, way)
    middle = -origin[..., None, :] / way
    reach = MARGIN / way.abs()
    near, axis = (middle - reach).max(-1)
    far = (middle + reach).amin(-1)
    hit = (near < far) & (far > 0.2) & (things[..., 0] > 0)[:, :, None, :, None]
    near = near.clamp(min=0.1)
    order = torch.where(hit, near, torch.inf).transpose(3, 4)  # B T F P S
    first, slot = order.topk(min(NEAREST, s), dim=-1, largest=False)
    found = torch.isfinite(first).flatten(0, 3).nonzero()  # M 2
    spot, rank = found[:, 0], found[:, 1]
    slot = slot.flatten(0, 3)[spot, rank]
    frame, p = spot // spots, spot % spots  # frame counts B T F
    thing = frame * s + slot  # into B T F S
    o, d = origin.flatten(0, 3)[thing], way.flatten(0, 3)[thing, p]
    start, end = near.flatten(0, 3)[thing, p], far.flatten(0, 3)[thing, p]
    axes = turn.flatten(0, 3)[thing]  # M 3 3
    latent = frame // parts
    middles = (-(o * d).sum(-1) / d.square().sum(-1)).clamp(start, end)
    deepest = o + d * middles[:, None]
    upright = (-(o[:, :2] * d[:, :2]).sum(-1) / d[:, :2].square().sum(-1)).clamp(start, end)
    across = (o + d * upright[:, None])[:, :2]
    ball = 1 - deepest.square().sum(-1)
    tube = 1 - across.square().sum(-1)
    times = start[:, None] + (end - start)[:, None] * start.new_tensor(_SAMPLES)
    inside = o[:, None] + d[:, None] * times[..., None]  # M 5 3
    cone = ((1 - inside[..., 2]) / 2 - inside[..., :2].norm(dim=-1)).minimum(inside[..., 2] + 1).amax(-1)
    box = (1 - inside.abs().amax(-1)).amax(-1)
    surface = o + d * (middles - ball.clamp(min=0).sqrt() / d.norm(dim=-1))[:, None]
    round_face = F.normalize(torch.einsum("mij,mj->mi", axes, surface / size.expand(-1, -1, parts, -1, -1)
                                          .flatten(0, 3)[thing]), dim=-1)
    side = axis.flatten(0, 3)[thing, p]
    towards = -torch.sign(d.gather(1, side[:, None]))
    flat_face = axes.gather(2, side[:, None, None].expand(-1, 3, 1))[..., 0] * towards
    fine = (rays.spot.flatten()[latent] * start).log() - size.expand(-1, -1, parts, -1, -1).flatten(0, 3)[
        thing].log().mean(-1)
    geometry = torch.cat([inside[:, 0], deepest, inside[:, -1], ball[:, None], tube[:, None], cone[:, None],
                          box[:, None], start.log()[:, None] - 1.8, fine[:, None] + 2, round_face, flat_face], -1)
    return spot, (latent * s + slot, rank), geometry.clamp(-4, 4)


def _ground(things: Tensor, rays: Rays) -> Tensor:
    """What the ground and the way to it say of each spot at the last sub-frame: (B, T, P, _GROUND)."""
    direction, origin = rays.direction[:, :, -1], rays.origin[:, :, -1, None]
    down = -direction[..., 2:]
    far = torch.where(down > 1e-4, origin[..., 2:] / down.clamp(min=1e-4), _FAR).clamp(0.1, _FAR)
    floor = (far < _FAR).float()
    place = (origin + far * direction)[..., :2]  # B T P 2
    centre = th.positions_of(things)[..., -1, :]
    size = th.extents_of(things)
    off = place[:, :, None] - centre[..., None, :2]  # B T S P 2
    away = off.norm(dim=-1) / size[..., :2].norm(dim=-1)[..., None] + 100.0 * (things[..., :1] <= 0)
    least, slot = away.min(2)  # B T P
    nearest = off.gather(2, slot[:, :, None, :, None].expand(-1, -1, 1, -1, 2))[:, :, 0]
    low = (centre[..., 2] - size[..., 2]).gather(2, slot)
    tall = size[..., 2].gather(2, slot)
    near = (torch.exp(-0.5 * least.square()) * floor[..., 0])[..., None]
    waves = torch.cat([place / 4, torch.sin(place * 1.5), torch.cos(place * 1.5)], -1) * floor
    return torch.cat([F.normalize(direction, dim=-1), floor, waves, far.log() / 2, near, near * nearest,
                      near * low[..., None], near * tall[..., None]], -1).clamp(-4, 4)
