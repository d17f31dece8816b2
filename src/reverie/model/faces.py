"""What pixels see of solids: which of them their rays meet first, and how much light falls there. Geometry, without
gradients.

Legend: X latents (batch and time as one), F frames of a latent, P pixels of a frame, K rays through a pixel, B bodies,
N solids, M pairs of a pixel and a solid, E features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.model import things as th
from reverie.model.solids import Solids, cells, met, rows
from reverie.model.stage import Stage, towards_light

WITHIN = ((-0.125, -0.375), (0.375, -0.125), (-0.375, 0.125), (0.125, 0.375))  # of a pixel: where its rays go
SKIN = 2e-3  # metres above a face from which it is asked whether light falls on it
NUMBERS = 3 + 3 + 3 + 5 + (th.THING["material"].stop - th.THING["material"].start) + 3 + 1  # of a face


@dataclass
class Faces:
    """M places at which pixels see solids: ray (M,) into X F P, row (M,) into X, share (M,) of the pixel, tint (M, 3),
    and numbers (M, E): how light falls on them, and who looks at them."""

    ray: Tensor
    row: Tensor
    share: Tensor
    tint: Tensor
    numbers: Tensor


def _pairs(solids: Solids, origin: Tensor, direction: Tensor, spot: Tensor | None = None,
           asked: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Which rays come near which bodies: ray (M,) into X F P, body (M,) into B; of bodies that rest only those of the
    first frame. origin (X, F, 1 or P, 3), direction (X, F, P, 3); spot (X,): how wide rays are, for each metre;
    asked (X, F, P) bool: only these."""
    frames, pixels = direction.shape[1:3]
    some = frames if bool((~solids.rests).any()) else 1
    origin, direction = origin[:, :some], direction[:, :some]
    centre = solids.bodies.place.unflatten(0, (-1, frames))[:, :some].transpose(2, 3)  # X F 3 B
    reach = solids.around[:, None, None]
    along = direction @ centre - (direction * origin).sum(-1, keepdim=True)  # X F P B
    gap = centre.square().sum(2)[:, :, None] - 2 * origin @ centre + origin.square().sum(-1, keepdim=True)
    long = direction.square().sum(-1, keepdim=True)
    wide = reach if spot is None else reach + spot[:, None, None, None] * gap.clamp(min=0).sqrt()
    near = (gap - wide.square()) * long < along * along.clamp(min=0)
    first = torch.arange(some, device=near.device)[:, None] == 0
    near &= ((solids.around[:, None] > 0) & (first | ~solids.rests[:, None]))[:, :, None]
    if asked is not None:
        near &= asked[:, :some, :, None]
    ray, body = near.flatten(0, 2).nonzero().unbind(1)
    ray = ray + ray // (some * pixels) * (frames - some) * pixels
    return ray, body


def _passing(solids: Solids, frame: Tensor, body: Tensor, start: Tensor, way: Tensor, spot: Tensor | None = None
             ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of rays from start (M, 3) along way (M, 3) that come near bodies (M,) in frames (M,) those that pass through the
    boxes of their solids: the number (m,) of the ray and of the solid (m,), and where it starts and goes (m, 3) in the
    solid's own frame. spot (M,): how wide rays are, for each metre."""
    asked = [frame, body, start, way, *([] if spot is None else [spot])]
    kept, _, _ = solids.bodies.entered(*asked)
    asked = [rows(part, kept) for part in asked]
    pair, solid = solids.parts(*asked)
    frame, _, *ray = (rows(part, pair) for part in asked)
    passing, o, d = solids.boxes.entered(frame, solid, *ray)
    return rows(rows(kept, pair), passing), rows(solid, passing), o, d


def _everywhere(still: Tensor, pixels: int, *parts: Tensor) -> list[Tensor]:
    """Of M pairs whose rays (the first of ``parts``, (M,) into X F P) are of the first frames, where they are still
    (M,) bool, copies for the other frames behind them."""
    again = still.nonzero()[:, 0]
    ray, *rest = parts
    rays = torch.cat([ray, *(rows(ray, again) + f * pixels for f in range(1, th.F))])
    number = torch.cat([torch.arange(len(ray), device=ray.device), again.repeat(th.F - 1)])
    return [rays, *(rows(part, number) for part in rest)]


def _nearest(solids: Solids, stage: Stage, camera: Tensor) -> tuple[Tensor, ...]:
    """Of K rays through each pixel each sees the solid that it meets first: pixel (M,) into X F P and solid (M,) into N
    of those that are seen, by which rays (M, K) bool, how far along them (M, K), and the outward directions there
    (M, K, 3) in the solids' own frames."""
    x, f, p, _ = stage.direction.shape
    eyes, ways = stage.origin.flatten(0, 1), stage.direction.flatten(0, 2)
    ray, body = _pairs(solids, stage.origin[:, :, None], stage.direction, stage.spot)
    frame = ray // p
    pair, solid, o, d = _passing(solids, frame, body, rows(eyes, frame), rows(ways, ray), rows(stage.spot, frame // f))
    ray, frame = rows(ray, pair), rows(frame, pair)
    axes = th.cameras_of(camera[:, None]).rotation[:, 0, ..., :2] * stage.spot[:, None, None, None]
    around = (axes @ axes.new_tensor(WITHIN).T).flatten(0, 1)  # frames 3 K
    aside = cells((solids.boxes.turn.mT @ around[:, None]).mT.contiguous(), frame, solid)  # M K 3
    row = frame // f
    far, normal = met(cells(solids.shape, row, solid), cells(solids.boxes.size, frame, solid), o[:, None],
                      d[:, None] + aside)
    still = cells(solids.rests, row, rows(solids.body, solid))
    ray, solid, far, normal = _everywhere(still, p, ray, solid, far, normal)
    number = ray[:, None] * len(WITHIN) + torch.arange(len(WITHIN), device=ray.device)
    first = far.new_full((x * f * p * len(WITHIN),), torch.inf)
    first.scatter_reduce_(0, number.flatten(), far.flatten(), "amin")
    wins = (far == rows(first, number)) & far.isfinite()
    order = torch.arange(number.numel(), device=ray.device).view(number.shape)  # of two that lie in one another one
    order = torch.where(wins, order, number.numel())
    least = torch.full_like(first, number.numel(), dtype=torch.long)
    least.scatter_reduce_(0, number.flatten(), order.flatten(), "amin")
    wins = wins & (order == rows(least, number))
    seen = wins.any(1).nonzero()[:, 0]
    return rows(ray, seen), rows(solid, seen), rows(wins, seen), rows(far, seen), rows(normal, seen)


def surfaces(solids: Solids, origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """What rays from origin (X, F, 3) along direction (X, F, P, 3) meet first: how far along them (X, F, P), inf where
    nothing is, and the body (X, F, P) whose it is, -1 there."""
    frames, pixels = direction.shape[1:3]
    ray, body = _pairs(solids, origin[:, :, None], direction)
    frame = ray // pixels
    pair, solid, o, d = _passing(solids, frame, body, origin.flatten(0, 1)[frame], direction.flatten(0, 2)[ray])
    ray, frame = ray[pair], frame[pair]
    row, body = frame // frames, solids.body[solid]
    far = met(solids.shape[row, solid], solids.boxes.size[frame, solid], o[:, None], d[:, None])[0][:, 0]
    ray, body, far = _everywhere(solids.rests[row, body], pixels, ray, body, far)
    first = far.new_full((direction[..., 0].numel(),), torch.inf).scatter_reduce(0, ray, far, "amin")
    wins = (far == first[ray]) & far.isfinite()
    whose = torch.full_like(first, -1, dtype=torch.long).scatter(0, ray[wins], body[wins])
    return first.view(direction.shape[:-1]), whose.view(direction.shape[:-1])


def faces_seen(solids: Solids, stage: Stage, camera: Tensor, setting: Tensor) -> Faces:
    """What pixels see of solids, and how that is lit: by cameras (X, WIDTH), in settings (X, WIDTH)."""
    ray, solid, wins, far, normal = _nearest(solids, stage, camera)
    frame = ray // stage.direction.shape[2]
    row, eye = frame // th.F, rows(stage.origin.flatten(0, 1), frame)
    share = wins.to(far.dtype) / len(WITHIN)
    whole = share.sum(1, keepdim=True)
    share = share / whole
    normal = (cells(solids.boxes.turn, frame, solid) @ (normal * share[..., None]).sum(1)[..., None])[..., 0]
    normal = F.normalize(normal, dim=-1, eps=1e-6)
    place = eye + rows(stage.direction.flatten(0, 2), ray) * (torch.where(wins, far, 0.0) * share).sum(1, keepdim=True)
    look = F.normalize(eye - place, dim=-1)
    light, sun = towards_light(place[:, None], rows(setting, row))
    light, sun = light[:, 0], sun[:, 0]
    falls = (normal * light).sum(-1, keepdim=True)
    back = 2 * falls * normal - light
    hidden = _dark(solids, frame, solid, place + SKIN * normal, light, sun, falls[:, 0] > 0)[:, None]
    tint, material = cells(solids.tint, row, solid), cells(solids.material, row, solid)
    numbers = torch.cat([tint, normal, look, falls, hidden, (normal * look).sum(-1, keepdim=True),
                         (back * look).sum(-1, keepdim=True).clamp(min=0) ** 8, falls.clamp(min=0) * (1 - hidden),
                         material, place / 4, (eye - place).norm(dim=-1, keepdim=True).log() - 1.8], -1)
    return Faces(ray, row, whole[:, 0], tint, numbers)


def _dark(solids: Solids, frame: Tensor, solid: Tensor, place: Tensor, light: Tensor, sun: Tensor, asked: Tensor
          ) -> Tensor:
    """(M,) 0 or 1: whether something stands between places (M, 3) on solids (M,) in frames (M,) and the light, in
    directions (M, 3), so far (M,) away; asked (M,) bool: only of these."""
    out = torch.zeros_like(sun)
    some = asked.nonzero()[:, 0]
    if not len(some):
        return out
    when = rows(frame, some)
    centre, reach = rows(solids.bodies.place, when), rows(solids.around, when // th.F)  # m B 3, m B
    gap = centre - rows(place, some)[:, None]
    along = (gap * rows(light, some)[:, None]).sum(-1)
    near = (gap.square().sum(-1) - reach.square() < along * along.clamp(min=0)) & (reach > 0)
    which, body = near.nonzero().unbind(1)
    which = rows(some, which)
    which, stops = _stopped(solids, rows(frame, which), body, *(rows(part, which) for part in (place, light, sun)),
                            which, solid)
    return out.index_add(0, which, stops).clamp(max=1)


def _stopped(solids: Solids, frame: Tensor, body: Tensor, place: Tensor, light: Tensor, sun: Tensor, which: Tensor,
             own: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Of places (M, 3), numbered ``which`` (M,), from which the light comes past bodies (M,) in frames (M,): the
    numbers (m,), and 1 or 0: whether a solid of them is in its way. own: which solid each number is on itself."""
    ray, solid, o, d = _passing(solids, frame, body, place, light)
    if own is not None:
        other = (rows(own, rows(which, ray)) != solid).nonzero()[:, 0]
        ray, solid, o, d = (rows(part, other) for part in (ray, solid, o, d))
    frame = rows(frame, ray)
    far, _ = met(cells(solids.shape, frame // th.F, solid), cells(solids.boxes.size, frame, solid), o[:, None],
                 d[:, None])
    return rows(which, ray), (far[:, 0] < rows(sun, ray)).to(place.dtype)


def shadows(solids: Solids, stage: Stage) -> Tensor:
    """(X, F, P) 0 or 1: whether something stands between the ground where rays meet it and the light."""
    place, light, sun = (rows(part, stage.of) for part in (stage.place, stage.light, stage.sun))
    p, count = place.shape[2], math.prod(place.shape[:3])
    ray, body = _pairs(solids, place, light, asked=place[..., 2] == 0)
    frame = ray // p
    pair, stops = _stopped(solids, frame, body, rows(place.flatten(0, 2), ray), rows(light.flatten(0, 2), ray),
                           rows(sun.flatten(), ray), torch.arange(len(ray), device=ray.device))
    still = cells(solids.rests, rows(frame, pair) // th.F, rows(body, pair))
    ray, stops = _everywhere(still, p, rows(ray, pair), stops)
    return place.new_zeros(count).index_add(0, ray, stops).clamp(max=1).view(place.shape[:3])
