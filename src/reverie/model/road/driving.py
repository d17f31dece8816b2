"""How imagined traffic goes on: latent by latent, every agent along its line, our own car by its actions.

    drive = Drive(model, start)          several futures, or scenes, side by side
    frames = drive.step(actions)         four frames; actions None: the model's own

By construction: cars, vans, trucks and bicycles head the way they move and turn no tighter than wheels can, nobody who
drives runs into what is ahead of it on its line, our own car moves by the bicycle model whoever says its actions.
Legend: B scenes, N agents, F frames of a latent, P points of a line, S signals.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from reverie.model.road.manners import Patience, let_pass
from reverie.model.road.sight import BEHIND, PERSON, STEP, WINDOW, Scene, Sight, placed, wrapped
from reverie.model.road.traffic import ASIDE, BEND, PACE, Traffic

F = 4
TIGHTEST = 0.18  # 1/m that our own car can steer, as data.road.driver has it
HARDEST, EAGER = 7.0, 2.5  # m/s^2
WHEELS = 0.3  # 1/m that others' headings turn at most
CLOSE = 0.4  # metres that who drives keeps to what is ahead
BRAKES = 5.0  # m/s^2 that are counted on before one runs into what is ahead
STILL = 0.1  # m/s below which an agent stands


def _safe(sight: Sight) -> Tensor:
    """The speed (B, N) in m/s from which who is ahead is not run into, if it brakes no harder than BRAKES."""
    room = (sight.gap - 2 * CLOSE).clamp(min=0)
    return (sight.lead.clamp(min=0).square() + 2 * BRAKES * room).sqrt()


@dataclass
class Start:
    """Where futures begin. kind (B, N), size (B, N, 3), ego (B, N), there (B, N), past (B, N, PAST + 1, 4) and seen (B,
    N, PAST + 1) as in sight.Scene; pace (B,): our car's speed in m/s; points (B, N, P, 2), about (B, N, P, 5) as
    data.road.routes has them, count (B, N): how many of P are there, 0 on no line; cursor (B, N): the nearest point;
    lights (B, S): what signals show, 0 red, 1 yellow, 2 green."""

    kind: Tensor
    size: Tensor
    ego: Tensor
    there: Tensor
    past: Tensor
    seen: Tensor
    pace: Tensor
    points: Tensor
    about: Tensor
    count: Tensor
    cursor: Tensor
    lights: Tensor


@dataclass
class Frames:
    """Four frames of it. place (B, F, N, 2), heading and speed (B, F, N); actions (B, F, 2): our car's curvature and
    acceleration, what it was given or chose."""

    place: Tensor
    heading: Tensor
    speed: Tensor
    actions: Tensor


@dataclass
class Drive:
    """Traffic in B scenes. seeds: of each scene's chances; heat: see Mixture.draw."""

    model: Traffic
    now: Start
    seeds: list[int]
    heat: float = 1.0
    told: dict[tuple[int, int], float] = field(default_factory=dict)  # (scene, agent): m/s^2 that it is made to drive

    def __post_init__(self) -> None:
        self.patience = Patience.of(self.now.kind.shape)
        self.chance = [torch.Generator().manual_seed(seed) for seed in self.seeds]

    def scene(self) -> Scene:
        """What there is to see now."""
        s = self.now
        first = (s.cursor - BEHIND).clamp(min=0)
        index = first[..., None] + torch.arange(WINDOW)
        index = torch.minimum(index, (s.count - 1).clamp(min=0)[..., None])
        line = s.points.gather(2, index[..., None].expand(*index.shape, 2))
        about = s.about.gather(2, index[..., None].expand(*index.shape, 5))
        lined = (s.count > 0) & (s.cursor < s.count - 2)
        return Scene(s.kind, s.size[..., :2], s.ego, s.there, s.past, s.seen, line, self._shown(about), lined)

    def _shown(self, about: Tensor) -> Tensor:
        """about (B, N, W, 5) with each signal as what it shows: (B, N, W, 7)."""
        b = len(about)
        lights = torch.cat([torch.full((b, 1), 99), self.now.lights, torch.full((b, 1), 99)], 1)
        number = about[..., 4].long().clamp(0, lights.shape[1] - 1)
        shows = lights.gather(1, number.flatten(1)).view_as(number)
        return torch.cat([about[..., :4], (shows[..., None] == torch.arange(3)).to(about.dtype)], -1)

    @torch.no_grad()
    def step(self, actions: Tensor | None = None) -> Frames:
        """A latent on. actions (B, F, 2): our car's curvature in 1/m and acceleration in m/s^2 in each frame; None, or
        NaN in a scene: the model's own."""
        s = self.now
        scene, sight = self.model.see(self.scene())
        mixture = self.model(sight)
        shape = mixture.weights.shape[1]
        noise = torch.stack([torch.randn(shape, 2, generator=g) for g in self.chance])
        choice = torch.stack([torch.rand(shape, generator=g) for g in self.chance])
        what = mixture.draw(noise, choice, self.heat)
        place, heading = self._others(scene, sight, what)
        share = torch.arange(1, F + 1)[:, None] / F
        before = s.past[..., -1, :]
        places = before[:, None, :, :2] + share[..., None] * (place - before[..., :2])[:, None]
        headings = before[:, None, :, 2] + share * wrapped(heading - before[..., 2])[:, None]
        speeds = ((place - before[..., :2]).norm(dim=-1) / STEP)[:, None].expand(-1, F, -1).clone()
        chosen = self._own(scene, sight, what, actions)
        self._drive(places, headings, speeds, chosen)
        self._remember(scene, places, headings)
        return Frames(places, headings, speeds, chosen)

    def _others(self, scene: Scene, sight: Sight, what: Tensor) -> tuple[Tensor, Tensor]:
        """Where everybody but us is a latent later (B, N, 2), and how it is turned (B, N)."""
        speed, walks = scene.past[..., -1, 3], scene.kind == PERSON
        pace = (speed + PACE * what[..., 0]).clamp(0, 25)
        for (b, n), push in self.told.items():
            pace[b, n] = (speed[b, n] + push * STEP).clamp(0, 25)
        sight = self.patience.used(scene, sight)
        pace = self.patience.held(pace, walks)
        pace = torch.where(walks, pace, torch.minimum(torch.minimum(pace, _safe(sight)), let_pass(scene, sight)))
        far = pace * STEP
        far = torch.where(walks, far, torch.minimum(far, (sight.gap - CLOSE).clamp(min=0)))
        far = torch.where(pace < STILL, torch.zeros_like(far), far)
        aside = ASIDE * what[..., 1]
        most = torch.where(walks, far + 0.02, 0.35 * far)
        aside = torch.where(far > 0, torch.maximum(torch.minimum(aside, most), -most), torch.zeros_like(aside))
        place, way = placed(scene.line, sight.along + far, sight.aside + aside)
        before = scene.past[..., -1, :]
        place = torch.where((far > 0)[..., None] & scene.there[..., None], place, before[..., :2])
        turn = wrapped(way + torch.atan2(aside, far.clamp(min=0.4)) - before[..., 2])
        turn = torch.where(walks, turn * (far > 0.03), torch.maximum(torch.minimum(turn, WHEELS * far), -WHEELS * far))
        return place, before[..., 2] + turn

    def _own(self, scene: Scene, sight: Sight, what: Tensor, actions: Tensor | None) -> Tensor:
        """Our car's actions (B, F, 2)."""
        ego = scene.ego.to(what.dtype)
        bend = ((sight.pursuit + BEND * what[..., 1]) * ego).sum(-1)
        push = (PACE / STEP * what[..., 0] * ego).sum(-1)
        safe = (_safe(sight) * ego).sum(-1)  # it brakes as hard as it can before it runs into who is ahead
        push = torch.minimum(push, (safe - self.now.pace) / STEP)
        chosen = torch.stack([bend.clamp(-TIGHTEST, TIGHTEST), push.clamp(-HARDEST, EAGER)], -1)
        chosen = chosen[:, None].expand(-1, F, 2).clone()
        return chosen if actions is None else torch.where(actions.isnan(), chosen, actions.to(chosen.dtype))

    def _drive(self, places: Tensor, headings: Tensor, speeds: Tensor, chosen: Tensor) -> None:
        """Move our car by the bicycle model, frame by frame, in place."""
        s, second = self.now, STEP / F
        rows = torch.arange(len(s.ego))[s.ego.any(-1)]
        if not len(rows):
            return
        own = s.ego[rows].to(torch.uint8).argmax(-1)
        spot, heading, pace = s.past[rows, own, -1, :2], s.past[rows, own, -1, 2], s.pace[rows]
        for f in range(F):
            after = (pace + chosen[rows, f, 1] * second).clamp(min=0)
            far = 0.5 * (pace + after) * second
            middle = heading + 0.5 * chosen[rows, f, 0] * far
            spot = spot + far[:, None] * torch.stack([middle.cos(), middle.sin()], -1)
            heading, pace = heading + chosen[rows, f, 0] * far, after
            places[rows, f, own], headings[rows, f, own], speeds[rows, f, own] = spot, heading, pace
        s.pace = s.pace.index_copy(0, rows, pace)

    def _remember(self, scene: Scene, places: Tensor, headings: Tensor) -> None:
        """What was now is past; the cursors follow."""
        s = self.now
        place, heading = places[:, -1], headings[:, -1]
        pace = (place - s.past[..., -1, :2]).norm(dim=-1) / STEP
        newest = torch.cat([place, heading[..., None], pace[..., None]], -1)
        s.past = torch.cat([s.past[..., 1:, :], newest[..., None, :]], -2)
        s.seen = torch.cat([s.seen[..., 1:], s.there[..., None]], -1)
        gaps = (scene.line - place[..., None, :]).square().sum(-1)
        nearest, where = gaps.min(-1)
        first = (s.cursor - BEHIND).clamp(min=0)
        s.cursor = torch.where(scene.lined, first + where, s.cursor)
        lost = scene.lined & (nearest > 6.0**2)
        s.count = torch.where(lost, torch.zeros_like(s.count), s.count)
