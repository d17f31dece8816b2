"""A moment of the road and a camera that looks at it, and what both say of places.

Legend: N agents, M places, P pixels, S boxes, L lamps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.model.road.streets import EDGES, Streets

WEATHER = 21
CLOSE = 0.05  # metres before an eye, nearer than which nothing is seen


@dataclass
class Moment:
    """What is there at a moment besides the town. ours (3,): our car's place and heading. Of agents: kind (N,) int64,
    paint (N, 3) in 0..1, half (N, 3) sizes in metres, pose (N, 3): place and heading, brakes (N,) 0 or 1, stride
    (N, 3): cosine and sine of a walker's step and how far it swings. shows: what each signal shows. weather
    (WEATHER,): the sky's colours below and above, ambient light and the sun's, where sunlight goes, whether it casts
    shadows, whether lamps are lit, how wet it is, metres at which haze begins and ends, how bright the grass is."""

    ours: Tensor
    kind: Tensor
    paint: Tensor
    half: Tensor
    pose: Tensor
    brakes: Tensor
    stride: Tensor
    shows: Tensor
    weather: Tensor


@dataclass
class Eye:
    """A camera: place (3,), turn (3, 3) with its right, up and back as columns; spot: metres that a pixel is wide for
    each metre of depth; (height, width) of the picture."""

    place: Tensor
    turn: Tensor
    spot: float
    height: int
    width: int


def sun_of(moment: Moment) -> tuple[Tensor, Tensor, Tensor, bool]:
    """Ambient light (3,), the sun's (3,), where to (3,), and whether it casts shadows."""
    w = moment.weather
    return w[6:9], w[9:12], F.normalize(w[12:15], dim=0), bool(w[15] > 0)


def lit(streets: Streets, moment: Moment) -> Tensor:
    """The street lamps (L, 2) that shed light."""
    if moment.weather[16] < 0.5 or not len(streets.lamps):
        return torch.zeros(0, 2)
    far = (streets.lamps - moment.ours[:2]).norm(dim=-1)
    return streets.lamps[far.argsort()[:4]]


def around(place: Tensor, moment: Moment, lamps: Tensor) -> Tensor:
    """Of places (M, 3) what our headlights and the lamps may say of them (M, 5)."""
    cos, sin = moment.ours[2].cos(), moment.ours[2].sin()
    gap = place[:, :2] - moment.ours[:2]
    ahead, left = gap[:, 0] * cos + gap[:, 1] * sin, gap[:, 1] * cos - gap[:, 0] * sin
    beam = torch.exp(-(left / (1.5 + 0.4 * ahead.clamp(min=0))).square() - ahead.clamp(min=0) / 20) * (ahead > 0)
    near = torch.cdist(place[:, :2], lamps).amin(1) if len(lamps) else torch.full_like(ahead, 1e3)
    return torch.stack([(ahead / 20).clamp(-3, 3), (left / 10).clamp(-3, 3), beam, torch.exp(-near / 8),
                        torch.exp(-(near / 4).square())], -1)


def frames(corners: Tensor, eye: Eye) -> Tensor:
    """The boxes (S, 4) in pixels, left, top, right and bottom, of what is before the eye of boxes with corners
    (S, 8, 3)."""
    local = (corners - eye.place) @ eye.turn
    first, second = (local[:, [e[k] for e in EDGES]] for k in (0, 1))
    one, two = first[..., 2] + CLOSE, second[..., 2] + CLOSE  # below 0 in front
    share = (one / torch.where((one - two).abs() < 1e-6, 1e-6, one - two)).clamp(0, 1)
    cut = first + share[..., None] * (second - first)
    points = torch.cat([local, torch.where((one * two < 0)[..., None], cut, local[:, :1])], 1)
    depth = -points[..., 2]
    plane = points[..., :2] / depth.clamp(min=CLOSE)[..., None] / eye.spot
    x, y = eye.width / 2 + plane[..., 0], eye.height / 2 - plane[..., 1]
    out = depth < 0.99 * CLOSE
    low = torch.stack([torch.where(out, 1e6, v).amin(1) for v in (x, y)], -1)
    high = torch.stack([torch.where(out, -1e6, v).amax(1) for v in (x, y)], -1)
    return torch.cat([low - 1, high + 1], -1)


def pairs(frames: Tensor, number: Tensor, eye: Eye, whole: bool) -> tuple[Tensor, Tensor]:
    """Which pixels are in which frames: places in number, and frames. whole: number is every pixel, row by row."""
    if not whole:
        x, y = (number % eye.width + 0.5)[:, None], (number // eye.width + 0.5)[:, None]
        return ((x > frames[:, 0]) & (x < frames[:, 2]) & (y > frames[:, 1]) & (y < frames[:, 3])).nonzero().unbind(1)
    ends = torch.tensor([eye.width, eye.height])
    low = (frames[:, :2] - 0.5).ceil().clamp(min=0).minimum(ends)
    high = ((frames[:, 2:] - 0.5).floor() + 1).minimum(ends).maximum(low)
    x, y = low.long().unbind(-1)
    wide, tall = (high - low).long().unbind(-1)
    count = wide * tall
    box = torch.arange(len(count)).repeat_interleave(count)
    rest = torch.arange(len(box)) - (count.cumsum(0) - count)[box]
    wide = wide[box]
    down = torch.div(rest, wide, rounding_mode="floor")
    return (y[box] + down) * eye.width + x[box] + rest - down * wide, box
