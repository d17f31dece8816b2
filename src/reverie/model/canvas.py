"""The canvas: a first picture of a latent's frames, drawn pixel by pixel from its things, camera and setting.

From each pixel a ray goes out through the camera. Where it passes through a thing's box, a small network (a light
field in the thing's own frame) says how much of the pixel the thing covers and in what colour and light; nearer
things are laid over farther ones. Behind them a second network paints the setting from where the ray meets the
ground. From the ground another ray goes to the light: what it passes through casts its shadow there. Where things
are is computed, only how they look is learned; so their edges are as sharp as the pixels, whatever the latents say.

Legend: X latents (batch and time as one), F frames of a latent, S thing slots, P pixels of a frame, M meetings of
a ray with a thing, E features. Colours are in 0..1 here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reverie.model import things as th
from reverie.model.pendulum import STAND, with_stands

MARGIN = 1.15  # how far beyond a thing's sizes a ray is still asked what it sees
NEAREST = 4  # things laid over each other in one pixel
FAR = 40.0  # metres to the ground, beyond which it is as good as sky
REPEATS = (0.35, 0.40, 0.45, 0.50, 0.70, 0.80, 0.90, 1.00)  # waves per metre in which the ground is described
_SAMPLES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the way through a box, where it is felt for what is inside
_WAVES = 3  # of a place in a thing's frame
_NUMBERS = 9 * (1 + 2 * _WAVES) + 3 + 3 + 4 + 4 + 2 + 6 + 2 + 3 * 4
_LINE = 0.05  # how far a ball's lines reach from the planes through its middle, in its radii
_GROUND = 3 + 3 + 1 + 2 + 4 * len(REPEATS) + 1
_LOOK = th.SETTING["look"].stop
_WHAT = [i for name in ("exists", "kind", "colour", "material", "extent")
         for i in range(th.THING[name].start, th.THING[name].stop)]
_CONTENT = len(_WHAT) + 2 + 3 + _LOOK


@dataclass
class Scene:
    """What is drawn: things (X, S, WIDTH), camera (X, WIDTH), setting (X, WIDTH), finished (not noisy)."""

    things: Tensor
    camera: Tensor
    setting: Tensor

    @classmethod
    def of(cls, tokens: Tensor) -> Scene:
        """Of a latent's tokens (X, S + 2, WIDTH), as a rollout gives them; slots that are empty everywhere are left
        out."""
        things = tokens[:, :-2]
        used = (things[..., 0] > 0).any(0).nonzero()[:, 0]
        return cls(things[:, used], tokens[:, -2], tokens[:, -1])


@dataclass
class Stage:
    """What a camera sees without things: origin (X, F, 3) and direction (X, F, P, 3) of its rays, spot (X,) how wide
    a pixel is, of (X, F) which of R different looks each frame is; of these the place (R, Q, 3) on the ground (below
    it where there is none), the light (R, Q, 3) and how far it is, sun (R, Q), and the colours (R, P, 6) lit and in
    the shade. Q is P, or a quarter of it for whole pictures."""

    origin: Tensor
    direction: Tensor
    spot: Tensor
    of: Tensor
    place: Tensor
    light: Tensor
    sun: Tensor
    colours: Tensor


@dataclass
class Drawing:
    """A canvas: ``things`` (X, F, P, 3) their colours times their cover, ``cover`` (X, F, P, 1), ``back``
    (X, F, P, 3) what is behind them, shadows included, ``shade`` (X, F, P, 1) how much of it is shadow; in 0..1.
    ``stands`` (X, F, P) bool: rays through the box of what is drawn and no thing."""

    things: Tensor
    cover: Tensor
    back: Tensor
    shade: Tensor
    stands: Tensor

    @property
    def picture(self) -> Tensor:
        """(X, F, P, 3) in 0..1."""
        return self.things + (1 - self.cover) * self.back


class Field(nn.Module):
    """A network asked at single points: E numbers of a point, in the light of a row of conditions."""

    def __init__(self, numbers: int, conditions: int, hidden: int, out: int) -> None:
        super().__init__()
        self.condition = nn.Linear(conditions, 3 * hidden)
        self.enter = nn.Linear(numbers, hidden)
        self.mix = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(2))
        self.out = nn.Linear(hidden, out)

    def forward(self, numbers: Tensor, conditions: Tensor, row: Tensor | None = None) -> Tensor:
        """numbers (M, E) with conditions (R, C) of row (M,), or (R, M, E) with one row of conditions for each R."""
        found = self.condition(conditions)
        found = found[:, None] if row is None else found[row]
        base, *gains = found.chunk(3, -1)
        x = F.silu(base + self.enter(numbers))
        for layer, gain in zip(self.mix, gains, strict=True):
            x = x + F.silu(layer(x) * (1 + gain))
        return self.out(x)


class Canvas(nn.Module):
    """Draws scenes; see the module's head."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.colours = nn.Linear(th.THING["colour"].stop - th.THING["colour"].start, 3)
        self.look = Field(_NUMBERS, _CONTENT, hidden, 7)
        self.shadow = Field(_NUMBERS, _CONTENT, hidden // 2, 1)
        self.ground = Field(_GROUND, _LOOK, 3 * hidden // 4, 6)
        self._kept: tuple[tuple, Stage] | None = None

    def train(self, mode: bool = True) -> Canvas:
        """As nn.Module's; what was kept of other weights is forgotten."""
        self._kept = None
        return super().train(mode)

    def forward(self, scene: Scene, height: int, width: int, pixels: Tensor | None = None) -> Drawing:
        """The whole pictures of height x width pixels, or the pixels (X, F, P) of them, numbered row by row."""
        with torch.no_grad(), torch.autocast(scene.camera.device.type, enabled=False):
            things, camera, setting = (v.float() for v in (scene.things, scene.camera, scene.setting))
            things = with_stands(things)
            stage = self._stage(camera, setting, height, width, pixels)
            boxes = _boxes(things, stage.of[:, -1] == stage.of[:, 0])
            seen = _meetings(boxes, stage.origin[:, :, None], stage.direction, stage.spot, setting)
            cast = _meetings(boxes, stage.place[stage.of], stage.light[stage.of], stage.spot, setting,
                             (stage.place[..., 2] == 0)[stage.of], stage.sun[stage.of])
            content = self._content(things, setting).flatten(0, 2)
        tint = torch.sigmoid(self.colours(things[..., th.THING["colour"]] / th.ONE_HOT).float())
        tint = tint[:, None].expand(-1, th.F, -1, -1).flatten(0, 2)
        shape = stage.direction.shape[:3]
        drawn, cover = self._things(seen, content, tint, shape)
        shade = self._shadows(cast, content, (*shape[:2], stage.place.shape[1]))
        if pixels is None:
            shade = F.interpolate(shade.flatten(0, 1).view(-1, 1, height // 2, width // 2), scale_factor=2,
                                  mode="bilinear").view(*shape)
        shade = shade[..., None]
        lit, dark = stage.colours[stage.of].chunk(2, -1)
        stands = torch.zeros(math.prod(shape), dtype=torch.bool, device=shade.device)
        stands[seen.ray[(things[..., STAND] > 0)[:, None].expand(-1, th.F, -1).flatten()[seen.thing]]] = True
        return Drawing(drawn, cover, lit + shade * (dark - lit), shade, stands.view(*shape))

    def _stage(self, camera: Tensor, setting: Tensor, height: int, width: int, pixels: Tensor | None) -> Stage:
        """What there is to see without things. The last one is kept: from latent to latent a camera mostly stands
        still."""
        key = (camera, setting, height, width)
        if pixels is None and not torch.is_grad_enabled() and self._kept is not None:
            before, stage = self._kept
            if before[2:] == key[2:] and torch.equal(before[0], camera) and torch.equal(before[1], setting):
                return stage
        with torch.no_grad():
            origin, direction, spot = rays(camera, height, width, pixels)
            looks, of = _looks(origin, direction)
            row = looks // th.F
            eye, way = origin.flatten(0, 1)[looks], direction.flatten(0, 1)[looks]
            numbers, place = _on_ground(eye, way, spot[row])
            if pixels is None:  # shadows of whole pictures are cast onto every second pixel
                place = _on_ground(eye, _halved(way, height, width), spot[row])[1]
            light, sun = _towards_light(place, setting[row])
        colours = torch.sigmoid(self.ground(numbers, setting[row, :_LOOK]).float())
        stage = Stage(origin, direction, spot, of, place, light, sun, colours)
        if pixels is None and not torch.is_grad_enabled() and len(camera) == 1:
            self._kept = (key, stage)
        return stage

    @staticmethod
    def _content(things: Tensor, setting: Tensor) -> Tensor:
        """(X, F, S, C): what a thing is, and what it does in each frame, and in what setting."""
        x, s, _ = things.shape
        still = things[:, None, :, _WHAT].expand(-1, th.F, -1, -1)
        own = torch.einsum("xfsij,xsi->xfsj", th.turns_of(things).transpose(1, 2), things[..., th.THING["velocity"]])
        around = setting[:, None, None, :_LOOK].expand(-1, th.F, s, -1)
        return torch.cat([still, th.phases_of(things).transpose(1, 2), own, around], -1)

    def _things(self, met: Meetings, content: Tensor, tint: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Colours times cover (X, F, P, 3) and cover (X, F, P, 1) of the things met, the nearer over the farther."""
        look = self.look(met.numbers, content, met.thing).float()
        own, mixed, bright, gloss, cover = look.split([3, 1, 1, 1, 1], -1)
        colour = torch.lerp(tint[met.thing], torch.sigmoid(own), torch.sigmoid(mixed - 1))
        colour = colour * F.softplus(bright + 0.3) + F.softplus(gloss - 4)
        colour = colour.clamp(max=1)
        ray, rank, again = met.everywhere(shape)
        cover, colour = torch.sigmoid(cover[:, 0])[again], colour[again]
        count = math.prod(shape)
        covers = cover.new_zeros(count * NEAREST).index_put((ray * NEAREST + rank,), cover).view(count, NEAREST)
        clear = [torch.ones_like(covers[:, 0])]
        for k in range(NEAREST):
            clear.append(clear[-1] * (1 - covers[:, k]))
        share = torch.stack(clear[:-1], 1).flatten()[ray * NEAREST + rank] * cover
        drawn = colour.new_zeros(count, 3).index_add(0, ray, colour * share[:, None])
        return drawn.view(*shape, 3), (1 - clear[-1]).view(*shape, 1)

    def _shadows(self, met: Meetings, content: Tensor, shape: Sequence[int]) -> Tensor:
        """(X, F, P): how much of the light what stands in its way takes from the ground."""
        clear = F.logsigmoid(-self.shadow(met.numbers, content, met.thing).float()[:, 0])
        ray, _, again = met.everywhere(shape)
        return 1 - torch.exp(clear.new_zeros(math.prod(shape)).index_add(0, ray, clear[again])).view(*shape)


# -- geometry, without gradients -------------------------------------------------------------------------------


def rays(camera: Tensor, height: int, width: int, pixels: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Of camera vectors (X, WIDTH): origins (X, F, 3), directions (X, F, P, 3) whose length is 1 along the view's
    axis, and the metres that a pixel is wide for each metre of depth (X,)."""
    seen = th.cameras_of(camera[:, None])
    half = torch.tan(torch.deg2rad(seen.fovy[:, 0]) / 2)
    number = torch.arange(height * width, device=camera.device) if pixels is None else pixels
    y = 1 - (number // width + 0.5) * (2 / height)
    x = ((number % width + 0.5) * (2 / width) - 1) * (width / height)
    plane = torch.stack([x, y], -1) * half.view(-1, *[1] * (number.ndim if pixels is not None else 2))
    local = torch.cat([plane, -torch.ones_like(plane[..., :1])], -1)  # X P 3 or X F P 3
    if pixels is None:
        local = local[:, None].expand(-1, th.F, -1, -1)
    direction = torch.einsum("xfij,xfpj->xfpi", seen.rotation[:, 0], local)
    return seen.position[:, 0], direction, half * (2 / height)


def _looks(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """The frames (R,) of X F that differ in what their rays are, and which of these each is like (X, F): a camera that
    stands still looks once in a latent."""
    still = ((origin - origin[:, :1]).abs().amax((1, 2)) < 1e-4) & (
        (direction[:, :, :: max(1, direction.shape[2] // 64)] - direction[:, :1, :: max(1, direction.shape[2] // 64)])
        .abs().amax((1, 2, 3)) < 1e-4)
    first = torch.zeros(origin.shape[:2], dtype=torch.bool, device=origin.device)
    first[:, 0] = True
    first |= ~still[:, None]
    return first.flatten().nonzero()[:, 0], first.flatten().cumsum(0).view(origin.shape[:2]) - 1


@dataclass
class Boxes:
    """Things' boxes in each frame: place (X, F, S, 3), turn (X, F, S, 3, 3) with their axes as columns, half sizes
    (X, S, 3), there (X, S) bool, still (X, S) bool: seen alike in all frames."""

    place: Tensor
    turn: Tensor
    size: Tensor
    there: Tensor
    still: Tensor


def _boxes(things: Tensor, watched: Tensor) -> Boxes:
    """watched (X,) bool: seen by a camera that stands still."""
    place, turn = th.positions_of(things).transpose(1, 2), th.turns_of(things).transpose(1, 2)
    still = ((place - place[:, :1]).abs().amax((1, 3)) < 1e-3) & ((turn - turn[:, :1]).abs().amax((1, 3, 4)) < 3e-3)
    phase = things[..., th.THING["phase"]].unflatten(-1, (2, 2))
    still &= ((phase[..., 0] - phase[..., 1]).abs().amax(-1) < 1e-3) & watched[:, None]
    return Boxes(place, turn, th.extents_of(things), things[..., 0] > 0, still)


@dataclass
class Meetings:
    """M passages of rays through boxes: ray (M,) into X F P, thing (M,) into X F S, depth (M,) where along the ray,
    still (M,) bool: the same in all frames and told of the first alone, numbers (M, E) of each."""

    ray: Tensor
    thing: Tensor
    depth: Tensor
    still: Tensor
    numbers: Tensor

    def everywhere(self, shape: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Of all passages in all frames, the still ones' copies too: ray, rank along it (0 the nearest), and which of
        the M it is. Only the NEAREST of a ray."""
        again = torch.arange(len(self.ray), device=self.ray.device)
        copies = again[self.still]
        ray = torch.cat([self.ray, *(self.ray[copies] + f * shape[2] for f in range(1, th.F))])
        again = torch.cat([again, copies.repeat(th.F - 1)])
        order = torch.argsort(ray.double() * 1e3 + self.depth[again].double().clamp(0, 999))
        ray, again = ray[order], again[order]
        rank = torch.arange(len(ray), device=ray.device) - torch.searchsorted(ray, ray)
        near = (rank < NEAREST).nonzero()[:, 0]
        return ray[near], rank[near], again[near]


def _meetings(boxes: Boxes, origin: Tensor, direction: Tensor, spot: Tensor, setting: Tensor,
              asked: Tensor | None = None, until: Tensor | None = None) -> Meetings:
    """Which rays pass through which boxes. origin (X, F, P or 1, 3), direction (X, F, P, 3); asked (X, F, P): only
    these rays; until (X, F, P): how far along its direction a ray goes."""
    x, f, p, _ = direction.shape
    s = boxes.size.shape[1]
    # a ball around each box is soon ruled out
    reach = (MARGIN * boxes.size.norm(dim=-1)).square()[:, None, None]  # X 1 1 S
    centre = boxes.place.transpose(2, 3)  # X F 3 S
    along = direction @ centre - (direction * origin).sum(-1, keepdim=True)  # X F P S
    gap = centre.square().sum(2)[:, :, None] - 2 * origin @ centre + origin.square().sum(-1, keepdim=True)
    near = (gap - reach) * direction.square().sum(-1, keepdim=True) < along * along.clamp(min=0)
    first = torch.arange(f, device=direction.device)[None, :, None] == 0
    near &= (boxes.there[:, None] & (first | ~boxes.still[:, None]))[:, :, None]
    if asked is not None:
        near &= asked[..., None]
    ray, slot = near.view(-1, s).nonzero().unbind(1) if s else (near.new_zeros(0, dtype=torch.long),) * 2
    frame = ray // p
    thing = frame * s + slot
    size = boxes.size[:, None].expand(-1, f, -1, -1).flatten(0, 2)[thing]
    turn = boxes.turn.flatten(0, 2)[thing]
    way = direction.flatten(0, 2)[ray]
    start = (origin.flatten(0, 1)[frame, 0] if origin.shape[2] == 1 else origin.flatten(0, 2)[ray])
    o = torch.einsum("mij,mi->mj", turn, start - boxes.place.flatten(0, 2)[thing]) / size
    d = torch.einsum("mij,mi->mj", turn, way) / size
    d = torch.where(d.abs() < 1e-5, 1e-5, d)
    middle, half = -o / d, MARGIN / d.abs()
    enter, axis = (middle - half).max(-1)
    leave = (middle + half).amin(-1)
    if until is not None:
        leave = leave.minimum(until.flatten()[ray])
    hit = ((enter < leave) & (leave > (0.2 if until is None else 0.01))).nonzero()[:, 0]
    ray, thing, o, d, size, turn, axis, way = (v[hit] for v in (ray, thing, o, d, size, turn, axis, way))
    enter, leave = enter[hit].clamp(min=0.1 if until is None else 0.0), leave[hit]
    row = ray // (f * p)
    light = th.light_of(setting)[0][row]
    still = boxes.still[:, None].expand(-1, f, -1).flatten()[thing]
    return Meetings(ray, thing, enter, still, _numbers(o, d, enter, leave, axis, size, turn, way, light, spot[row]))


def _numbers(o: Tensor, d: Tensor, enter: Tensor, leave: Tensor, axis: Tensor, size: Tensor, turn: Tensor,
             way: Tensor, light: Tensor, spot: Tensor) -> Tensor:
    """(M, E): a passage in the box's own frame (in units of its half sizes), and as the light and the pixels see it."""
    norm = d.square().sum(-1)
    nearest = (-(o * d).sum(-1) / norm).clamp(enter, leave)
    deepest = o + d * nearest[:, None]
    flat = d[:, :2].square().sum(-1)
    upright = (-(o[:, :2] * d[:, :2]).sum(-1) / flat).clamp(enter, leave)
    ball = 1 - deepest.square().sum(-1)
    tube = 1 - (o + d * upright[:, None])[:, :2].square().sum(-1)
    times = enter[:, None] + (leave - enter)[:, None] * enter.new_tensor(_SAMPLES)
    inside = o[:, None] + d[:, None] * times[..., None]  # M 5 3
    cone = ((1 - inside[..., 2]) / 2 - inside[..., :2].norm(dim=-1)).minimum(inside[..., 2] + 1).amax(-1)
    box = (1 - inside.abs().amax(-1)).amax(-1)
    depths = torch.stack([ball, tube, cone, box], -1)
    pixel = (spot * enter.clamp(min=0.5))[:, None] / size.mean(-1, keepdim=True)  # in half sizes
    places = torch.cat([inside[:, 0], deepest, inside[:, -1]], -1)
    waves = [w for k in range(_WAVES) for w in ((math.pi * 2**k * places).sin(), (math.pi * 2**k * places).cos())]
    surface = o + d * (nearest - ball.clamp(min=0).sqrt() / norm.sqrt())[:, None]
    round_face = F.normalize(torch.einsum("mij,mj->mi", turn, surface / size), dim=-1)
    wide = pixel.clamp(min=0.02)
    lines = ((_LINE + wide / 2 - surface.abs()) / wide).clamp(0, 1) * (2 * _LINE / wide).clamp(max=1)
    face = (o + d * (-o / d - 1 / d.abs()).amax(-1, keepdim=True)).clamp(-1.5, 1.5)  # where it enters the box itself
    fine = (4 * math.pi * torch.cat([face, face + 0.125], -1)).sin() * (1 - wide).clamp(min=0)
    towards = -torch.sign(d.gather(1, axis[:, None]))
    flat_face = turn.gather(2, axis[:, None, None].expand(-1, 3, 1))[..., 0] * towards
    return torch.cat([
        places, *waves, F.normalize(d * size, dim=-1), torch.einsum("mij,mi->mj", turn, light), depths,
        (depths / pixel.clamp(min=0.02)).clamp(-3, 3), pixel.clamp(min=0.02).log() / 2 + 1,
        enter.clamp(min=0.1).log()[:, None] - 1.8, round_face, flat_face,
        (round_face * light).sum(-1, keepdim=True), (flat_face * light).sum(-1, keepdim=True),
        lines, face, fine], -1).clamp(-4, 4)


def _on_ground(origin: Tensor, direction: Tensor, spot: Tensor) -> tuple[Tensor, Tensor]:
    """What the ground and the way to it say of each ray (R, P, E), and where it meets the ground (R, P, 3); of
    origins (R, 3) and directions (R, P, 3)."""
    down = -direction[..., 2:]
    height = origin[:, None, 2:]
    far = torch.where(down > 1e-4, height / down.clamp(min=1e-4), FAR).clamp(0.1, FAR)
    floor = (far < FAR).float()
    place = origin[:, None] + far * direction
    turns = place[..., :2, None] * (2 * math.pi * place.new_tensor(REPEATS))
    blur = spot[:, None, None] * far.square() / height.clamp(min=0.2)  # how long a pixel is on the ground
    fade = torch.exp(-0.5 * (blur[..., None] * 2 * place.new_tensor(REPEATS)).square()) * floor[..., None]
    waves = torch.cat([turns.sin() * fade, turns.cos() * fade], -1).flatten(-2)
    way = F.normalize(direction, dim=-1)
    numbers = torch.cat([way, origin[:, None].expand_as(way) / 4, floor, place[..., :2] * floor / 4, waves,
                         far.log() / 2], -1)
    # where there is no ground, somewhere deep below it
    return numbers, torch.cat([place[..., :2] * floor, floor - 1], -1)


def _halved(direction: Tensor, height: int, width: int) -> Tensor:
    """Directions (R, P, 3) of every pixel to those of the middles of 2 x 2 pixels (R, P / 4, 3)."""
    return direction.unflatten(1, (height // 2, 2, width // 2, 2)).mean((2, 4)).flatten(1, 2)


def _towards_light(place: Tensor, setting: Tensor) -> tuple[Tensor, Tensor]:
    """From places on the ground (R, P, 3) to the light: directions of length 1 (R, P, 3), and how far it is."""
    direction, near = th.light_of(setting)
    direction, near = direction[:, None], near[:, None, None]
    gap = direction - place * near  # towards a lamp, in units of its distance
    length = gap.norm(dim=-1, keepdim=True)
    far = length / near.clamp(min=1e-3)
    return gap / length, torch.where(near > 0.01, far, FAR)[..., 0]
