"""The road's canvas: pictures through a car's cameras, drawn pixel by pixel from a town, a moment and a camera.

Where everything is, is computed (``sights``): which agents' boxes, walls, trees and poles a pixel's ray meets, what
lies on the ground there and how much of the pixel each fills, what stands between it and the sun, and how far the haze
has swallowed it. How it looks is learned: what an agent's shape covers of its box and in which colours (a light field
in its own frame), and how each part of the town and the ground looks in a weather, beside what an even, dull thing
would.

Legend: P pixels, M meetings, G pixels with ground, R pictures. Colours are in 0..1.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reverie.core.errors import BadWeights
from reverie.model.canvas import Field
from reverie.model.checkpoint import load_into, load_model
from reverie.model.road.eye import WEATHER
from reverie.model.road.sights import AGENT, CONTENT, GROUND, KINDS, Sight
from reverie.model.road.solids import SOLID

NEAREST = 6  # meetings laid over each other in one pixel
SKY = 3
ADAM = ("tint", "agents.grid", *(f"{net}.{part}" for net in ("agents.field", "solids", "ground", "sky")
                                 for part in ("enter", "condition", "out")))  # names of parameters, for the optimiser
# of an agent's box, planes across its axes, in half sizes; GRID: how much of the numbers written there counts
PLANES, GRID = ((-0.9, -0.4, 0.4, 0.9), (-0.86, 0.0, 0.86), (-0.6, 0.05, 0.86)), 4.0
_SCALES = [1.0] * 18 + [0.01, 0.01, 1.0]  # of the weather's numbers


@dataclass(frozen=True)
class Config:
    """Widths of the networks that paint agents, solids and the ground; cells: along the sides of each plane on which
    agents' looks are written down, and of each cell so many numbers."""

    agents: int = 64
    solids: int = 40
    ground: int = 40
    cells: tuple[int, int] = (20, 14)
    features: int = 4


@dataclass
class Drawing:
    """picture (P, 3) in 0..1; agents (P,): how much of each pixel shows agents; cover (M,) of each meeting with one."""

    picture: Tensor
    agents: Tensor
    cover: Tensor


class Agents(nn.Module):
    """The light field of agents' boxes: where a ray crosses some planes of the box it finds numbers that were learned
    there, and a network says from these what it sees."""

    def __init__(self, config: Config, out: int) -> None:
        super().__init__()
        self.cells, planes = config.cells, sum(map(len, PLANES))
        self.grid = nn.Parameter(0.02 * torch.randn(KINDS * planes * config.cells[0] * config.cells[1],
                                                    config.features))
        self.field = Field(AGENT + planes * (config.features + 1), CONTENT, config.agents, out)

    def forward(self, numbers: Tensor, content: Tensor, who: Tensor) -> Tensor:
        """Of M passages (M, AGENT) through the boxes of agents who (M,) with content (N, CONTENT)."""
        with torch.no_grad():
            index, weight, when = self._crossings(numbers, content[who, :KINDS].argmax(1))
        found = F.embedding_bag(index.view(-1, 4), GRID * self.grid, mode="sum", per_sample_weights=weight.view(-1, 4))
        found = found.view(len(numbers), when.shape[1] * found.shape[1])
        return self.field(torch.cat([numbers, found, when], -1), _scaled(content), who)

    def _crossings(self, numbers: Tensor, kind: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cells (M, planes, 4) and their weights, and where between entry and exit each plane is crossed (M, planes);
        of each axis the planes that are crossed first come first."""
        first, way = numbers[:, :3], numbers[:, 3:6] - numbers[:, :3]
        way = torch.where(way.abs() < 1e-3, torch.where(way < 0, -1e-3, 1e-3), way)
        many, (wide, tall) = sum(map(len, PLANES)), self.cells
        cells, weights, when, plane = [], [], [], 0
        for axis, places in enumerate(PLANES):
            one, two = (k for k in range(3) if k != axis)
            back = (way[:, axis] < 0)[:, None]
            at = torch.where(back, numbers.new_tensor(places[::-1]), numbers.new_tensor(places))
            number = torch.where(back, torch.arange(len(places) - 1, -1, -1), torch.arange(len(places))) + plane
            t = (at - first[:, axis, None]) / way[:, axis, None]
            u, v = (first[:, k, None] + t * way[:, k, None] for k in (one, two))
            inside = (10 * (1.05 - u.abs().maximum(v.abs()))).clamp(0, 1)
            x, y = (((c.clamp(-1, 1) + 1) / 2 * (n - 1)).clamp(max=n - 1.001) for c, n in ((u, wide), (v, tall)))
            left, low = x.floor(), y.floor()
            x, y = x - left, y - low
            base = (((kind[:, None] * many + number) * wide + left.long()) * tall) + low.long()
            cells.append(torch.stack([base, base + tall, base + 1, base + tall + 1], -1))
            weights.append(torch.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], -1) * inside[..., None])
            when.append(t.clamp(-1, 2))
            plane += len(places)
        return torch.cat(cells, 1), torch.cat(weights, 1), torch.cat(when, 1)


class RoadCanvas(nn.Module):
    """Draws what is looked at; see the module's head."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = c = config or Config()
        self.agents = Agents(c, 11)
        self.solids = Field(SOLID, WEATHER, c.solids, 6)
        self.ground = Field(GROUND, WEATHER, c.ground, 21)
        self.sky = Field(SKY, WEATHER, 16, 4)
        self.tint = nn.Parameter(torch.tensor([0.27, 0.59, 0.87, 0.62, 0.5, 0.3]).logit()[:, None].repeat(1, 3))
        for field in (self.solids, self.ground, self.sky):
            nn.init.normal_(field.out.weight, std=0.01)
            nn.init.zeros_(field.out.bias)

    def forward(self, sight: Sight) -> Drawing:
        """The pixels of a sight."""
        count = len(sight.row)
        weather = sight.weather * sight.weather.new_tensor(_SCALES)
        weather = torch.cat([weather[:, :12], weather[:, 12:14] * 0, weather[:, 14:]], -1)
        pixel = torch.cat([sight.s_pixel, sight.a_pixel])
        depth = torch.cat([sight.s_depth, sight.a_depth])
        look, solid = self._agent(sight), self._solid(sight, weather)
        cover = torch.cat([sight.s_cover, look[1]])
        colour = self._hazy(torch.cat([solid, look[0]]), depth, pixel, sight)
        agent = torch.cat([torch.zeros_like(sight.s_cover), torch.ones_like(look[1])])
        order = torch.argsort(pixel.double() * 1e3 + depth.double().clamp(0, 999))
        pixel, cover, colour, agent = pixel[order], cover[order], colour[order], agent[order]
        rank = torch.arange(len(pixel)) - torch.searchsorted(pixel, pixel)
        near = (rank < NEAREST).nonzero()[:, 0]
        pixel, cover, colour, agent = pixel[near], cover[near], colour[near], agent[near]
        slot = pixel * NEAREST + rank[near]
        covers = cover.new_zeros(count * NEAREST).index_put((slot,), cover).view(count, NEAREST)
        clear = (1 - covers).cumprod(1)
        share = torch.cat([torch.ones_like(clear[:, :1]), clear[:, :-1]], 1).flatten()[slot] * cover
        picture = (clear[:, -1:] * self._back(sight, weather)).index_add(0, pixel, share[:, None] * colour)
        shown = cover.new_zeros(count).index_add(0, pixel, share * agent)
        return Drawing(picture, shown, look[1])

    def _agent(self, sight: Sight) -> tuple[Tensor, Tensor]:
        """Colours (M, 3) and covers (M,) of agents that are met."""
        look = self.agents(sight.a_numbers, sight.content, sight.a_who).float()
        own, mixed, sunny, gain, glow, cover = look[:, :10].split([3, 1, 1, 1, 3, 1], -1)
        paint = sight.content[:, 5:8][sight.a_who]
        weather = sight.content[:, -WEATHER:][sight.a_who]
        light = weather[:, 6:9] + weather[:, 9:12] * torch.sigmoid(sunny)
        colour = torch.lerp(paint * torch.exp(0.3 * gain), torch.sigmoid(own), torch.sigmoid(mixed - 1))
        return (colour * light + F.softplus(glow - 4)).clamp(max=1), torch.sigmoid(cover[:, 0])

    def _solid(self, sight: Sight, weather: Tensor) -> Tensor:
        """Colours (M, 3) of solids that are met."""
        look = self.solids(sight.s_numbers, weather, sight.row[sight.s_pixel]).float()
        return _painted(sight.s_tint, sight.s_lit, look[:, :3], look[:, 3:])

    def _back(self, sight: Sight, weather: Tensor) -> Tensor:
        """Colours (P, 3) of the ground and the sky."""
        row = sight.row[sight.g_pixel]
        sun = sight.g_sun
        if len(sight.c_ground):
            cast = self.agents(sight.c_numbers, sight.content, sight.c_who).float()[:, 10]
            dark = sun.new_zeros(len(sun)).index_add(0, sight.c_ground, F.logsigmoid(-cast))
            sun = sun * dark.exp()
        lit = sight.weather[row, 6:9] + sun[:, None] * sight.weather[row, 9:12]
        look = self.ground(sight.g_numbers, weather, row).float()
        tint = torch.sigmoid(self.tint)
        grass = 1 - sight.g_share.sum(-1, keepdim=True)
        share = torch.cat([sight.g_share, grass], -1)
        gains = look[:, :18].view(-1, 6, 3)
        bright = torch.cat([torch.ones_like(sight.weather[row, :1]).expand(-1, 5), sight.weather[row, 20:]], -1)
        even = ((share * bright)[..., None] * tint * torch.exp(gains)).sum(1)
        colour = self._hazy(even * lit + look[:, 18:] * 0.3, sight.g_depth, sight.g_pixel, sight)
        above = sight.row[sight.k_pixel]
        high = sight.k_high
        sky = self.sky(torch.stack([high, high.square(), high.clamp(min=0).sqrt()], -1), weather, above).float()
        gap = sight.weather[above, 3:6] - sight.weather[above, :3]
        blend = torch.sigmoid(sky[:, :1] + 6 * high[:, None] - 3)
        heaven = sight.weather[above, :3] + gap * blend + 0.3 * sky[:, 1:]
        back = colour.new_zeros(len(sight.row), 3)
        return back.index_put((sight.g_pixel,), colour).index_put((sight.k_pixel,), heaven)

    @staticmethod
    def _hazy(colour: Tensor, depth: Tensor, pixel: Tensor, sight: Sight) -> Tensor:
        """Colours (M, 3) through the haze of so many metres."""
        row = sight.row[pixel]
        near, far = sight.weather[row, 18], sight.weather[row, 19]
        haze = ((depth - near) / (far - near)).clamp(0, 1)[:, None]
        return torch.lerp(colour, sight.weather[row, :3], haze)

    @classmethod
    def load(cls, path: Path | str) -> tuple[RoadCanvas, dict]:
        """A model file's network, in evaluation mode, and what it says of itself. Raises BadWeights."""
        tensors, meta = load_model(path)
        if meta.get("kind") != "road_canvas":
            raise BadWeights(f"{path} is no canvas of the road but of {meta.get('kind')}")
        model = cls(Config(**{**meta["config"], "cells": tuple(meta["config"]["cells"])}))
        load_into(model, tensors, path)
        return model.eval(), meta

    def card(self) -> dict:
        """What a model file says of its network."""
        return {"kind": "road_canvas", "config": asdict(self.config)}


def _painted(tint: Tensor, lit: Tensor, gain: Tensor, glow: Tensor) -> Tensor:
    return tint * lit * torch.exp(gain) + 0.3 * glow


def _scaled(content: Tensor) -> Tensor:
    """Content with the weather's numbers in 0..1 or so, and no direction of the world's."""
    known, weather = content[:, :-WEATHER], content[:, -WEATHER:]
    scaled = weather * weather.new_tensor(_SCALES)
    return torch.cat([known, scaled[:, :12], scaled[:, 12:14] * 0, scaled[:, 14:]], -1)
