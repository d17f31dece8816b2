"""Who plays, and when: what of the things of dreams words settle before the network imagines the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from reverie.core.vocabulary import ALIVE, MAX_THINGS
from reverie.model import hoops
from reverie.model import things as th
from reverie.model.contact import ROUND
from reverie.model.impulse import moving_by
from reverie.model.physics import ROLLS, SLIPS
from reverie.model.resting import CLEAR, flat


def inventory(tokens: Tensor) -> tuple:
    """What a latent's tokens (S, WIDTH) hold: the setting, and the kind and colour of each thing."""
    things = tokens[:MAX_THINGS]
    kinds, colours = (things[:, th.THING[name]].argmax(-1).tolist() for name in ("kind", "colour"))
    there = (things[:, 0] > 0).tolist()
    pairs = sorted(pair for pair, exists in zip(zip(kinds, colours, strict=True), there, strict=True) if exists)
    return (int(tokens[th.SETTING_TOKEN, th.SETTING["name"]].argmax()), *pairs)


MOST_LINES = 62  # that an int64 has bits for
SIDES = ("left", "right", "above")
WAYS = ("by itself", "left", "right", "front", "back", "aside", "out", "up", "through", "short")
SHOTS = ("through", "short")  # of WAYS: at the ring of a hoop, and down through it or not
BEFORE = 0.12  # metres between a screen and what it covers
PASSES = (0.45, 0.65)  # metres beyond what it hides behind, in which what is alive passes, and what is not
LEVEL = slice(th.THING["velocity"].start, th.THING["velocity"].stop - 1)  # of a velocity, what is not up or down
SHOVED, FASTEST = 0.2, 4.5  # metres that what is run into goes at least; m/s at which who runs into it comes at most
THROWN = (1.1, 2.2)  # metres above the ground where truth's throws come into the picture, and m/s upwards there
RUN_UP = 1.6  # metres at least between what runs into another and the other, to begin with
OUTER = 0.8  # metres from the picture's middle from which what goes aside goes inwards
LIFTED, HANGS = 2.2, 0.5  # m/s at which truth lets screens down and lifts them (1.8 to 2.6), and below which none hangs
STANDS, RISES = 0.05, 0.02  # metres above the ground up to which a screen stands, and in a latent by which it rises
INSIDE, CREEPS = 0.8, 0.45  # of the way to the picture's edge, and m/s at least, that who is kept in it goes
FAR = 50.0  # metres: there is no edge that way
COMES, ACTS = 0.25, 0.25  # the least chance, of each latent, that who is due comes, and that who is cued is set going


@dataclass(frozen=True)
class Cast:
    """Of B dreams and each of their slots (B, things), -1 where nothing is settled.

    kind, colour: the numbers of their channels. present: 1 where a thing is there at the opening, 0 where nothing may
    come to be. due: the line in which it comes, after the opening; side: from where, of SIDES. cued: that in which it
    is set going, by itself or, as in truth, by an unseen hand: way, of WAYS, and pace, in centimetres a second; who has
    a pace, a line in which it is due, and neither way nor target, is thrown in. after: the slot whose thing must have
    been set going before. target: the slot of what it runs into, in whose lane it is, at whose ring it is shot, on
    which it is put down, or before which it, a screen, is let down; behind: 1 where it passes behind that. hops: how
    often more a hand throws it up, once it lies still again. kept: 1 where it takes part in a later line, and must not
    be sent out of the picture. stands: hundredths of a second for which a screen that is let down stands yet before it
    is lifted. idle: a sum of 1 << n over those lines n of which all is understood, and in which it is told to do
    nothing: it stays at rest unless something hits it (so do all 178 such things of truth; 27 are hit).
    """

    kind: Tensor
    colour: Tensor
    present: Tensor
    due: Tensor
    side: Tensor
    cued: Tensor
    way: Tensor
    pace: Tensor
    after: Tensor
    target: Tensor
    behind: Tensor
    hops: Tensor
    kept: Tensor
    stands: Tensor
    idle: Tensor

    @classmethod
    def open(cls, batch: int, device: torch.device | None = None) -> Cast:
        """Nothing is settled."""
        return cls(*(torch.full((batch, MAX_THINGS), -1, device=device) for _ in fields(cls)))

    @classmethod
    def stacked(cls, casts: Sequence[Cast]) -> Cast:
        """Several as the rows of one."""
        return cls(*(torch.cat([getattr(cast, f.name) for cast in casts]) for f in fields(cls)))

    def to(self, device: torch.device) -> Cast:
        """On a device."""
        return Cast(*(getattr(self, f.name).to(device) for f in fields(self)))

    def rows(self, rows: Tensor) -> Cast:
        """Those rows of it."""
        return Cast(*(getattr(self, f.name)[rows] for f in fields(self)))

    def comes(self, chance: Tensor, line: Tensor, met: Tensor, opening: bool) -> Tensor:
        """The chances (B, things) that things exist, as settled; line (B,) is in force; met: what ever did exist."""
        none = ~met & ((self.present == 0) | (self.due > line[:, None]))
        if opening:
            return torch.where(self.present == 1, 1.0, torch.where(none | (self.due >= 0), 0.0, chance))
        due = (self.due == line[:, None]) & ~met & self._turn()
        return torch.where(none, 0.0, torch.where(due, chance.clamp(min=COMES), chance))

    def acts(self, chance: Tensor, line: Tensor, still: Tensor, opening: bool) -> Tensor:
        """The chances (B, things) that things move, as settled; at the opening what waits for a hand is at rest. still
        (B, things): what was at rest, and is not hit."""
        told = (self.idle < 0) | (self.idle >> line.clamp(0, MOST_LINES)[:, None] & 1 == 0)
        chance = torch.where(told | ~still, chance, 0.0)
        if opening:
            return torch.where(self.way > 0, 0.0, chance)
        waits = torch.where((self.way > 0) & (self.cued == line[:, None]), 0.0, chance)  # for a hand
        return torch.where(self._on_cue(line), chance.clamp(min=ACTS), waits)

    def lowered(self) -> Tensor:
        """(B, things) bool: what a hand that is not seen may lower: what is put down, and what nothing is said of."""
        return (self.kind < 0) | (self.side == SIDES.index("above"))

    def by_hand(self, line: Tensor) -> Tensor:
        """(B, things) bool: those that a hand is to set going now."""
        return (self.way > 0) & self._on_cue(line)

    def _on_cue(self, line: Tensor) -> Tensor:
        """(B, things) bool: those that are to be set going now."""
        return (self.cued == line[:, None]) & self._turn()

    def _shot(self) -> Tensor:
        """(B, things) bool: those that are shot at a hoop."""
        return (self.way >= WAYS.index(SHOTS[0])) & (self.target >= 0)

    def _turn(self) -> Tensor:
        """(B, things) bool: those whose turn it is, for whom they come after has been set going."""
        return (self.after < 0) | (self.cued.gather(1, self.after.clamp(min=0)) < 0)

    def placed(self, things: Tensor, camera: Tensor, new: Tensor) -> Tensor:
        """Things (B, things, WIDTH), those that are new (B, things) and come from the other side than they are told as
        a mirror shows them, and in the lane of what they run into. camera: (B, WIDTH)."""
        seen = th.cameras_of(camera[:, None].float())
        away = th.positions_of(things)[:, :, 0] - seen.position[:, 0, :1]
        across = (away * seen.rotation[:, 0, :1, :, 0]).sum(-1)
        left, right, above = (self.side == number for number in range(3))
        wrong = new & (left & (across > 0) | right & (across <= 0))
        things = torch.where(wrong[..., None], th.mirrored(things, camera), things)
        flies = new & (self.due >= 0) & (self.way < 0) & (self.target < 0) & (self.pace > 0)
        things = torch.where(flies[..., None], self._thrown(things, seen), things) if bool(flies.any()) else things
        if not bool((self.target >= 0).any()):
            return things
        path, size = th.positions_of(things), th.extents_of(things)
        goal = self._goals(things, path)
        lane = path.clone()
        lane[..., 1] += (goal - path)[..., -1:, 1]
        waits = (goal - path)[..., -1:, 0]  # who is there already stands so far to the side
        away = torch.where(right, 1.0, torch.where(left, -1.0, -waits[..., 0].sign()))[..., None]
        aside = goal[..., 0] + away * waits.abs().clamp(min=RUN_UP)
        lane[..., 0] = torch.where((self.due < 0)[..., None], aside, lane[..., 0])
        lane[..., :2] = torch.where(above[..., None, None], goal[..., -1:, :2], lane[..., :2])
        before = size[..., :2].norm(dim=-1).gather(1, self.target.clamp(min=0)) + size[..., 1] + BEFORE
        lane[..., 1] -= torch.where(above & th.of_kind(things, ("screen",)), before, 0.0)[..., None]
        stands = th.at_positions(things, lane)
        stands[..., LEVEL] = torch.where(above[..., None], 0.0, stands[..., LEVEL])
        stands = torch.where(above[..., None], flat(stands), stands)
        ready = self._ready(things)
        return torch.where((new & (self.target >= 0))[..., None], torch.where(self._shot()[..., None], ready, stands),
                           things)

    def aimed(self, things: Tensor, new: Tensor) -> Tensor:
        """Things (B, things, WIDTH), those that are new (B, things) and come along the ground going straight for what
        they run into, or pass behind."""
        comes = new & (self.target >= 0) & (self.due >= 0) & (self.side != SIDES.index("above")) & ~self._shot()
        if not bool(comes.any()):
            return things
        path, out = th.positions_of(things), things.clone()
        way = normalize((self._goals(things, path) - path)[:, :, -1, :2], dim=-1)
        pace = torch.where(self.pace > 0, self.pace / 100 / th.VELOCITY_SCALE, things[..., LEVEL].norm(dim=-1))
        needed = moving_by(things, self._targets(things), SHOVED).clamp(max=FASTEST) / th.VELOCITY_SCALE
        pace = torch.where(self.behind > 0, pace, torch.maximum(pace, needed))
        out[..., LEVEL] = way * pace[..., None]
        return torch.where(comes[..., None], out, things)

    def held_back(self, things: Tensor, camera: Tensor, new: Tensor, aspect: float) -> Tensor:
        """Things (B, things, WIDTH), those that are new (B, things), come along the ground and are kept, no faster than
        that they stop in the picture. camera (B, WIDTH)."""
        on = new & (self.kept == 1) & (self.due >= 0) & (self.target < 0) & (self.side != SIDES.index("above"))
        if not bool(on.any()):
            return things
        seen, out, place = th.cameras_of(camera[:, None].float()), things.clone(), th.positions_of(things)[:, :, -1]
        pace = things[..., LEVEL].norm(dim=-1, keepdim=True)
        way = torch.cat([things[..., LEVEL] / pace.clamp(min=1e-6), torch.zeros_like(pace)], -1)
        most = _stops(things, place - seen.position[:, 0, -1:], way, seen, aspect)[..., None] / th.VELOCITY_SCALE
        out[..., LEVEL] = torch.where(on[..., None] & (pace > most), way[..., :2] * most, things[..., LEVEL])
        return out

    def _thrown(self, things: Tensor, seen: th.Cameras) -> Tensor:
        """Things (B, things, WIDTH) as they are thrown onto the stage from the side on which they are."""
        path, right = th.positions_of(things).clone(), seen.rotation[:, 0, 0, :, 0][:, None]
        across = ((path[:, :, -1] - seen.position[:, 0, :1]) * right).sum(-1, keepdim=True)
        path[..., 2] = torch.maximum(path[..., 2], path.new_tensor(THROWN[0]))
        out, part = th.at_positions(things, path), th.THING["velocity"]
        out[..., part] = -across.sign() * right * (self.pace / 100)[..., None] / th.VELOCITY_SCALE
        out[..., part.stop - 1] = THROWN[1] / th.VELOCITY_SCALE
        return out

    def _targets(self, things: Tensor) -> Tensor:
        """Of things (B, things, WIDTH) each one's target, or the first of them where it has none."""
        return things.gather(1, self.target.clamp(min=0)[..., None].expand_as(things))

    def _ready(self, things: Tensor) -> Tensor:
        """Things (B, things, WIDTH) where they lie before they are shot at hoops, and no larger than can pass."""
        place, size = hoops.before_ring(things, self._targets(things))
        return th.at_extents(th.at_positions(things, place[:, :, None].expand(-1, -1, th.F, -1)), size)

    def _goals(self, things: Tensor, path: Tensor) -> Tensor:
        """Where (B, things, F, 3) that is which things go for, by their path: beyond it for those that pass behind."""
        number = self.target.clamp(min=0)
        goal = path.gather(1, number[..., None, None].expand_as(path)).clone()
        room = torch.where(th.of_kind(things, ALIVE), *PASSES) + th.extents_of(things)[..., 1].gather(1, number)
        goal[..., 1] += torch.where(self.behind > 0, room, 0.0)[..., None]
        return goal

    def hung(self, things: Tensor, before: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        """Things (B, things, WIDTH) of which screens that are let down go straight down, stand, and, once they rise, go
        straight up, at an even pace, until they are out of sight, and others that are named stay on the ground, once
        they are there; and which of them are on their way (B, things) bool. before: one latent earlier; seconds (B,):
        of a frame."""
        screens, above = th.of_kind(things, ("screen",)) & (before[..., 0] > 0), self.side == SIDES.index("above")
        if not bool(screens.any()):
            return things, screens
        hung, path, place = screens & above, th.positions_of(things), th.positions_of(before)[..., -1:, :]
        half, up = th.extents_of(things)[..., None, 2], th.THING["velocity"].stop - 1
        stands = path.clone()
        stands[..., 2] = half
        down = screens & ~above & (self.kind >= 0) & (place[..., 0, 2] < stands[..., -1, 2] + CLEAR)
        things = torch.where(down[..., None], th.at_positions(things, stands), things)
        speed, aloft = before[..., up] * th.VELOCITY_SCALE, place[..., 2] > half + STANDS
        starts = (path[..., -1, 2] > place[..., 0, 2] + RISES) & (things[..., th.THING["moving"].start] > 0)
        starts = ~aloft[..., 0] & torch.where(self.stands < 0, starts, self.stands == 0)
        pace = torch.where(starts | (speed > HANGS), speed.clamp(min=LIFTED), speed.clamp(max=-HANGS))
        pace = torch.where((speed.abs() < HANGS) & ~starts, -LIFTED, pace)
        time = seconds[:, None, None] * torch.arange(1, th.F + 1, device=things.device, dtype=things.dtype)
        goes = hung & (aloft[..., 0] | starts)
        path = place.expand_as(path).clone()
        path[..., 2] = torch.where(goes[..., None], torch.maximum(path[..., 2] + pace[..., None] * time, half),
                                   path[..., 2])
        still = th.at_rotations(th.at_positions(things, path), th.rotations_of(before)[..., -1:, :, :].expand(
            *hung.shape, len(th.HALVES), 3, 3))
        still[..., LEVEL] = 0.0
        still[..., up] = torch.where(goes & (path[..., -1, 2] > half[..., 0]), pace / th.VELOCITY_SCALE, 0.0)
        return torch.where(hung[..., None], still, things), goes

    def kicked(self, things: Tensor, before: Tensor, starts: Tensor, line: Tensor, seconds: Tensor, chance: Tensor,
               aspect: float) -> Tensor:
        """Things (B, things, WIDTH), those of ``starts`` (B, things) that a hand sets going in this line as they leave
        it, a little faster or slower by chance (B, things), 0..1; who is kept not so fast that friction would not stop
        it in the picture. before: the latent before, its camera too; seconds: of a frame; aspect: the picture's width
        over its height."""
        seen = th.cameras_of(before[:, None, th.CAMERA_TOKEN].float())
        axes, eye = seen.rotation[:, 0, -1], seen.position[:, 0, -1:]
        right, back = (normalize(axes[:, :, k] * axes.new_tensor([1.0, 1.0, 0.0]), dim=-1) for k in (0, 2))
        up = torch.zeros_like(right) + right.new_tensor([0.0, 0.0, 1.0])
        ways = torch.stack([torch.zeros_like(up), -right, right, back, -back, right, right, up], 1)
        path = th.positions_of(before[:, :MAX_THINGS])
        place, goal = path[:, :, -1], self._goals(before[:, :MAX_THINGS], path)[:, :, -1]
        across = ((place - eye) * right[:, None]).sum(-1)
        aside, out = (self.way == WAYS.index(name) for name in ("aside", "out"))
        other = aside & torch.where(across.abs() > OUTER, across > 0, chance < 0.5) | out & (across < 0)
        velocity = ways.gather(1, self.way.clamp(0, ways.shape[1] - 1)[..., None].expand(-1, -1, 3))
        velocity = torch.where(other[..., None], -velocity, velocity)
        ahead = normalize((goal - place) * (1 - up[:, None]), dim=-1)
        velocity = torch.where((self.target >= 0)[..., None], ahead, velocity)
        pace, most = self.pace / 100 * (0.85 + 0.6 * chance % 0.3), _stops(things, place - eye, velocity, seen, aspect)
        level = (self.kept == 1) & (self.target < 0) & (self.way != WAYS.index("up"))
        pace = torch.where(level, torch.minimum(pace, most), pace)
        velocity = velocity * pace[..., None]
        shot, still = self._shot(), before[:, :MAX_THINGS]
        arc = hoops.aimed(still, self._targets(still), chance, self.way == WAYS.index("short"))
        velocity = torch.where(shot[..., None], arc, velocity)[:, :, None]
        fall = torch.where(shot | (self.way == WAYS.index("up")), th.GRAVITY, 0.0)[..., None, None] * up[:, None, None]
        time = (seconds[:, None, None] * torch.arange(1, th.F + 1, device=seconds.device))[..., None]
        path = place[:, :, None] + velocity * time - fall * time.square() / 2
        gone = th.at_positions(things, path.to(things.dtype))
        gone[..., th.THING["velocity"]] = ((velocity - fall * time)[:, :, -1] / th.VELOCITY_SCALE).to(things.dtype)
        return torch.where((starts & self.by_hand(line))[..., None], gone, things)

    def acted(self, moves: Tensor, still: Tensor, line: Tensor) -> Cast:
        """The cast once those (B, things) move in this line: they need no cue, until they lie ``still`` (B, things), if
        they are thrown up again and again."""
        done, again = moves & (self.cued == line[:, None]), still & (self.cued < 0) & (self.hops > 0)
        cued = torch.where(again, line[:, None], torch.where(done, -1, self.cued))
        return replace(self, cued=cued, hops=torch.where(again, self.hops - 1, self.hops))

    def stood(self, still: Tensor, seconds: Tensor) -> Cast:
        """The cast after a latent in which those (B, things) did not move. seconds (B,): of a frame."""
        stood = (100 * th.F * seconds).round().to(self.stands.dtype)[:, None]
        return replace(self, stands=torch.where(still & (self.stands > 0), (self.stands - stood).clamp(min=0),
                                                self.stands))

    def played(self, things: Tensor) -> Tensor:
        """Things (B, things, WIDTH), each with the kind and the colour that it is told to have; who is told none has
        none of those of the others."""
        things = things.clone()
        part = things[..., th.THING["colour"]]
        named = one_hot(self.colour.clamp(min=0), part.shape[-1]) * (self.colour >= 0)[..., None]
        free = ((self.kind >= 0) & (self.colour < 0))[..., None]
        things[..., th.THING["colour"]] = torch.where(free & (named.amax(1, keepdim=True) > 0), 0.0, part)
        for name, told in (("kind", self.kind), ("colour", self.colour)):
            part = things[..., th.THING[name]]
            sharp = one_hot(told.clamp(min=0), part.shape[-1]).to(part.dtype) * th.ONE_HOT
            things[..., th.THING[name]] = torch.where(told[..., None] < 0, part, sharp)
        return things


def _stops(things: Tensor, away: Tensor, way: Tensor, seen: th.Cameras, aspect: float) -> Tensor:
    """The speeds (B, N) in m/s from which friction stops things (B, N, WIDTH), ``away`` (B, N, 3) from the eye, before
    the picture's edge, if they go the ``way`` (B, N, 3), of length 1. seen: the camera."""
    axes, wide = seen.rotation[:, 0, -1], torch.tan(torch.deg2rad(seen.fovy) / 2) * aspect
    x, deep = (away @ axes)[..., 0], -(away @ axes)[..., 2]
    aside, onward = (way @ axes)[..., 0], -(way @ axes)[..., 2]
    nears = aside.abs() - wide * onward  # the edge, in a metre
    room = torch.where(nears > 0, (wide * deep - aside.sign() * x) / nears, FAR).clamp(0, FAR)
    return (2 * INSIDE * torch.where(th.of_kind(things, ROUND), ROLLS, SLIPS) * room).sqrt().clamp(min=CREEPS)
