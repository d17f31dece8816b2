"""A rollout: latent frame after latent frame, first its things, then its views, remembered for the next.

Legend as in transformer.py. Batch B runs several dreams at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields

import torch
from torch import Tensor

from reverie.core.vocabulary import MAX_THINGS
from reverie.model import contact, flow, impulse, motion, physics
from reverie.model import things as th
from reverie.model.arrival import faced, over_border
from reverie.model.cast import Cast, inventory
from reverie.model.passes import Passes
from reverie.model.sampling import Sampling
from reverie.model.schedule import Conditions
from reverie.model.transformer import Past, Text, Transformer

GUIDED = 1.0  # seconds after a new line began in which guidance acts
TWIN = 0.4  # metres
STOPPING = 4.0  # times as far as rest goes at which what moved has come to rest: 0.1 m/s; else it creeps for minutes
LOATH = 0.02  # taken off the chance that the camera moves: without it 0.55 of the time, with 0.04 never; in truth 0.2
SLOW = 0.5  # m/s up to which a hand may set going what moves
RARE = 0.02  # chances of existing below it are taken for none, and those as near to 1 for certain


class Rollout(Passes):
    """Steps a batch of dreams from latent to latent. grid: (H, W) cells of the views. generator: where chance comes
    from, one for all rows or one for each."""

    def __init__(self, model: Transformer, text: Text, *, fps: Tensor, grid: tuple[int, int],
                 generator: torch.Generator | Sequence[torch.Generator], sampling: Sampling,
                 with_things: bool = True, with_views: bool = True) -> None:
        super().__init__(model, text, fps, grid, sampling, with_things, with_views)
        self.generators = [generator] if isinstance(generator, torch.Generator) else list(generator)
        self.identity: Tensor | None = None  # (B, things, static channels) of every slot that ever existed
        self.met = torch.zeros(self.batch, MAX_THINGS, dtype=torch.bool, device=self.device)
        self.shown = self.met  # (B, things) bool: which slots' things have ever been in the picture
        self.cast = Cast.open(self.batch, self.device)
        self._pictured: tuple[Tensor, Tensor] | None = None  # of which things, and which of them are in the picture

    # -- one latent ---------------------------------------------------------------------------------------

    def step(self, conditions: Conditions, *, view: Tensor | None = None, things: Tensor | None = None,
             known: Tensor | None = None) -> tuple[Tensor | None, Tensor | None]:
        """The next latent: things (B, S, WIDTH) and view (B, H, W, C).

        view: given instead of painted (an image, the past). things with known (B, S) bool: tokens that are
        given instead of imagined.
        """
        self.begin(pay=view is not None or known is not None and bool(known.all()))
        if view is not None:
            output = self.over_views(conditions, view, 0.0, self.past_of_views(), known=True)
            self.memory.remember(self.n, "views", output, given=True)
        scene = None
        if self.with_things:
            self.things, scene = self._imagine(conditions, things, known)
        if self.with_views and view is None:
            view = self._paint(conditions, scene)
        self.n += 1
        return None if self.things is None else motion.plain(self.things), view

    def rows(self, rows: Sequence[int]) -> Rollout:
        """Of its dreams these, each as often as it is named, to go on from here by other chances."""
        at = torch.tensor(rows, device=self.device)
        some = Rollout(self.model, self.text.rows(at), fps=self.fps[at], grid=self.grid, generator=self.generators[0],
                       sampling=self.sampling, with_things=self.with_things, with_views=self.with_views)
        some.memory, some.n, some.met, some.cast = self.memory.rows(at), self.n, self.met[at], self.cast.rows(at)
        some.shown = self.shown[at]
        some.owed = None if self.owed is None else self.owed.rows(at)
        if self.things is not None:
            some.things, some.identity = self.things[at], self.identity[at]
        return some

    def gone(self, row: int) -> list[int]:
        """Of one dream the slots whose things were and are no more."""
        return [] if self.things is None else self._gone()[row].nonzero()[:, 0].tolist()

    def vacate(self, slots: Sequence[int], row: int = 0) -> None:
        """Let others come, in one dream, into the slots of things that are gone."""
        if slots:
            self.met, self.shown, self.things = self.met.clone(), self.shown.clone(), self.things.clone()
            self.met[row, slots] = self.shown[row, slots] = False
            self.things[row, slots, th.THING["gone"].start] = 0.0

    def aim(self, conditions: Conditions, view: Tensor, at: int) -> None:
        """Make ``view`` (B, H, W, C) the goal that stands at latent ``at``."""
        self.pay()
        output = self.over_views(conditions, view, 0.0, Past(), goal=at)
        self.memory.remember(-1, "views", output)

    # -- things -------------------------------------------------------------------------------------------

    def _imagine(self, conditions: Conditions, given: Tensor | None,
                 known: Tensor | None) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        shape = (self.batch, th.TOKENS, th.WIDTH)
        if given is None or known is None:
            given = torch.zeros(shape, device=self.device)
            known = torch.zeros(shape[:2], dtype=torch.bool, device=self.device)
        elif bool(known.any()):
            before, seen = self._before()
            given = torch.cat([motion.decided(given[:, :MAX_THINGS], before, self.met),
                               motion.camera_decided(given[:, th.CAMERA_TOKEN], seen)[:, None],
                               given[:, th.SETTING_TOKEN :]], 1)
        if bool(known.all()):
            x = given
        elif self.n == 0 and self.sampling.candidates > 1:
            x = self._elected(conditions, given, known)
        else:
            x = self._single(self._denoised(conditions, given, known))
        new = (x[:, :MAX_THINGS, 0] > 0) & ~self.met
        if bool(new.any()):
            things, camera = x[:, :MAX_THINGS], x[:, th.CAMERA_TOKEN]
            things = faced(self.cast.placed(things, camera, new), camera, new)
            if self.n:
                things = over_border(things, camera, new, self._aspect)
                things = self.cast.held_back(things, camera, new, self._aspect)
            x = torch.cat([self.cast.aimed(things, new), x[:, MAX_THINGS:]], 1)
        x = torch.where(known[..., None], given, x)
        before, some = self._before()[0], known[:, :MAX_THINGS]
        loose = contact.pushed_apart(impulse.knocked(x[:, :MAX_THINGS], before, 1 / self.fps, some), before, some)
        x = torch.cat([loose, x[:, MAX_THINGS:]], 1)
        self._meet(x, conditions.line)
        return x, self.finished(conditions, x, known)

    def _denoised(self, conditions: Conditions, given: Tensor, known: Tensor) -> Tensor:
        """The things of this latent, from noise; what exists and what moves is decided first."""
        noise = self._drawn(torch.randn, given.shape)
        heat = torch.ones_like(noise[..., :1])
        if self.things is not None:  # chance is in what is decided and in what is new; what goes on does so without
            heat = torch.full_like(heat, self.sampling.heat)
            heat[:, :MAX_THINGS] = torch.where(self.things[:, :MAX_THINGS, :1] > 0, self.sampling.heat, 1.0)
        x = torch.where(known[..., None], given, noise * heat)
        steps = self.sampling.things_steps if self.n else self.sampling.opening_steps
        times = flow.levels(steps).tolist()
        decided = None
        for level, target in zip(times[:-1], times[1:], strict=True):
            clean = self._clean_things(conditions, x, level, known)
            if decided is None:
                decided = self._decided(clean, conditions.line)
                starts = self._starts(decided, conditions.line) & ~known[:, :MAX_THINGS]
                if bool(starts.any()):  # which way and how fast is chance, whose mean is to stay
                    x[:, :MAX_THINGS] = torch.where(starts[..., None], noise[:, :MAX_THINGS], x[:, :MAX_THINGS])
                    clean = self._clean_things(conditions, x, level, known)
            clean = self._steady(torch.where(decided == 0, clean, decided))
            x = torch.where(known[..., None], given, flow.step(x, clean, level, target))
        if bool(starts.any()):
            chance = torch.special.ndtr(noise[:, :MAX_THINGS, 0])
            x[:, :MAX_THINGS] = self.cast.kicked(x[:, :MAX_THINGS], self.things, starts, conditions.line,
                                                 1 / self.fps, chance, self._aspect)
        return self._settle(x)

    def _decided(self, clean: Tensor, line: Tensor) -> Tensor:
        """What exists and what moves, -1 or 1, and 0 in all other channels (B, S, WIDTH); drawn from what the network
        says at pure noise.

        What it says there is the mean of -1 and 1, and so a chance, which is right to within a percent on truth (of
        6,434 empty slots it gave 0.008 and 0.004 were filled), where few steps from noise fill ten times as many. One
        number is drawn for all things of a dream, so that what comes together comes at once.
        """
        moving, camera = th.THING["moving"].start, th.CAMERA["moving"].start
        exists = (clean[:, :MAX_THINGS, 0] / 2 + 0.5).clamp(0, 1)
        sure = torch.where(line <= 0, self.sampling.sure, 1.0)[:, None]
        exists = exists**sure / (exists**sure + (1 - exists) ** sure)
        exists = torch.where(exists < RARE, 0.0, torch.where(exists > 1 - RARE, 1.0, exists))
        exists = self.cast.comes(exists, line, self.met, self.n == 0)
        exists[:, self.model.config.slots :] = 0.0  # whom it has no slot for it can't move
        moves = torch.cat([clean[:, :MAX_THINGS, moving], clean[:, th.CAMERA_TOKEN, camera, None]], 1) / 2 + 0.5
        still = ~self.met if self.things is None else ~contact.struck(self.things[:, :MAX_THINGS])
        moves[:, :-1] = self.cast.acts(moves[:, :-1], line, still, self.n == 0)
        moves[:, -1] -= LOATH
        drawn = self._drawn(torch.rand, (self.batch, MAX_THINGS + 2))
        out = torch.zeros_like(clean)
        out[:, :MAX_THINGS, 0] = torch.where(exists > drawn[:, :1], 1.0, -1.0)
        moves = torch.where(moves > drawn[:, 1:], 1.0, -1.0)
        out[:, :MAX_THINGS, moving], out[:, th.CAMERA_TOKEN, camera] = moves[:, :-1], moves[:, -1]
        return out

    def _starts(self, decided: Tensor, line: Tensor) -> Tensor:
        """(B, things) bool: what was at rest in the last latent, or goes so slowly that the hand that is to set it
        going may, and is decided to move."""
        if self.things is None:
            return torch.zeros_like(self.met)
        moving, was = th.THING["moving"].start, self.things[:, :MAX_THINGS]
        still = (was[..., moving] <= 0) | self.cast.by_hand(line) & ~self._evades(line)
        return (was[..., 0] > 0) & still & (decided[:, :MAX_THINGS, moving] > 0)

    def _evades(self, line: Tensor) -> Tensor:
        """(B, things) bool: of what a hand is to set going now, what flew in the last latent, or went faster than SLOW.
        """
        if self.things is None or not bool((hand := self.cast.by_hand(line)).any()):
            return torch.zeros_like(self.met)
        was, part = self.things[:, :MAX_THINGS], th.THING["velocity"]
        speed = was[..., part] * th.VELOCITY_SCALE
        fast = physics.falling(th.positions_of(was), speed, 1 / self.fps[:, None]) | (speed.norm(dim=-1) > SLOW)
        return hand & (was[..., 0] > 0) & fast

    def _before(self) -> tuple[Tensor | None, Tensor | None]:
        """Things (B, things, WIDTH) and camera (B, WIDTH) of the last latent."""
        if self.things is None:
            return None, None
        return self.things[:, :MAX_THINGS], self.things[:, th.CAMERA_TOKEN]

    def _clean_things(self, conditions: Conditions, x: Tensor, level: float, known: Tensor) -> Tensor:
        clean = self.over_things(conditions, x, level, known)
        fresh = conditions.since < GUIDED if self.n else torch.ones_like(conditions.since, dtype=torch.bool)
        if self.sampling.guidance != 1.0 and bool(fresh.any()):
            free = Conditions(torch.full_like(conditions.line, -1), conditions.since, conditions.actions)
            other = self.over_things(free, x, level, known)
            leaning = other + self.sampling.guidance * (clean - other)
            leaning[:, :MAX_THINGS, 0] = clean[:, :MAX_THINGS, 0]  # a chance, and right as it is
            if self.n:  # and so is whether what is there is set going
                moving = th.THING["moving"].start
                leaning[:, :MAX_THINGS, moving] = clean[:, :MAX_THINGS, moving]
            clean = torch.where(fresh[:, None, None], leaning, clean)
        return clean

    def _elected(self, conditions: Conditions, given: Tensor, known: Tensor) -> Tensor:
        """Of several openings of each dream the first of the fewest things among those whose kinds and colours at
        least a quarter agree on: what is missing may yet come, what is too much stays."""
        count = self.sampling.candidates
        rows = torch.arange(self.batch, device=self.device).repeat_interleave(count)
        many = Rollout(self.model, self.text.rows(rows), fps=self.fps[rows], grid=self.grid,
                       generator=self.generators, sampling=self.sampling, with_views=False)
        many.cast = self.cast.rows(rows)
        many.seen = Past(given=[tuple(part.repeat_interleave(count, 0) for part in layer)
                                for layer in self.past_of_things().given])
        again = Conditions(*(getattr(conditions, f.name).repeat_interleave(count, 0) for f in fields(conditions)))
        found = many._denoised(again, given.repeat_interleave(count, 0), known.repeat_interleave(count, 0))
        found = found.unflatten(0, (self.batch, count))
        chosen = []
        for openings in found:
            signs = [inventory(opening) for opening in openings]
            often = [signs.count(sign) for sign in signs]
            least = min(max(often), count / 4)
            chosen.append(openings[min(range(count), key=lambda i: (often[i] < least, len(signs[i]), -often[i], i))])
        return torch.stack(chosen)

    def _steady(self, clean: Tensor) -> Tensor:
        """A thing that was ever seen keeps its kind, colour, material and size: the same slot, the same thing; one
        that is new is whom the words cast for it. And what is in the picture goes on being there, and who is cast until
        he has been in it: they may leave, not vanish."""
        clean = torch.cat([self.cast.played(clean[:, :MAX_THINGS]), clean[:, MAX_THINGS:]], 1)
        if self.identity is None:
            return clean
        there = self.met[..., None]
        kept = torch.where(there, self.identity, clean[:, :MAX_THINGS, th.STATIC])
        seen = self._in_picture
        self.shown = self.shown | seen
        stays = seen | (self.things[:, :MAX_THINGS, 0] > 0) & (self.cast.kind >= 0) & ~self.shown
        exists = torch.where(stays[..., None], 1.0, clean[:, :MAX_THINGS, :1])
        exists = torch.where(self._gone()[..., None], -1.0, exists)
        things = torch.cat([exists, kept, clean[:, :MAX_THINGS, th.STATIC.stop :]], -1)
        things[..., th.DECIDED] = clean[:, :MAX_THINGS, th.DECIDED]
        return torch.cat([things, clean[:, MAX_THINGS:]], 1)

    def _gone(self) -> Tensor:
        """(B, things) bool: slots whose thing was and is no more. Nothing that ceased to exist comes back."""
        return self.met & (self.things[:, :MAX_THINGS, 0] <= 0)

    @property
    def _aspect(self) -> float:
        """The picture's width over its height."""
        return self.grid[1] / self.grid[0]

    @property
    def _in_picture(self) -> Tensor:
        """(B, things) bool: what exists in the last latent, and in its picture."""
        if self._pictured is None or self._pictured[0] is not self.things:
            things = self.things[:, :MAX_THINGS]
            seen = th.in_picture(things, self.things[:, th.CAMERA_TOKEN], self._aspect)
            self._pictured = self.things, seen & (things[..., 0] > 0)
        return self._pictured[1]

    def _single(self, x: Tensor) -> Tensor:
        """Nothing appears within TWIN metres of one of its own kind and colour: that would be one thing doubled."""
        if self.things is None:
            return x
        old, new = self.things[:, :MAX_THINGS], x[:, :MAX_THINGS]
        comes = (old[..., 0] <= 0) & (new[..., 0] > 0)
        if not bool(comes.any()):
            return x
        names = torch.cat([new[..., th.THING["kind"]], new[..., th.THING["colour"]]], -1)
        alike = torch.cdist(names, names) < 0.1
        place = th.positions_of(new)[:, :, -1]
        near = torch.cdist(place, place) < TWIN
        was = (old[..., 0] > 0) & (new[..., 0] > 0)
        double = (alike & near & was[:, None, :]).any(2) & comes
        empty = torch.zeros_like(new)
        empty[..., 0] = -1.0
        return torch.cat([torch.where(double[..., None], empty, new), x[:, MAX_THINGS:]], 1)

    def _settle(self, x: Tensor) -> Tensor:
        """Decisions made sharp: a thing is or is not, has one kind, one colour, one material, moves or lies exactly
        still; and stands on the ground at the lowest."""
        things = x[:, :MAX_THINGS].clone()
        exists, moving = things[..., :1] > 0, things[..., th.THING["moving"]] > 0
        for name in ("kind", "colour", "material"):
            part = things[..., th.THING[name]]
            sharp = torch.nn.functional.one_hot(part.argmax(-1), part.shape[-1]).to(part.dtype)
            things[..., th.THING[name]] = sharp * th.ONE_HOT
        things = th.above_ground(physics.standing(motion.upright(motion.sized(things, self.sampling.sizes))))
        before, seen = self._before()
        hung = torch.zeros_like(exists)
        if before is not None:
            things, lifted = self.cast.hung(things, before, 1 / self.fps)
            hung = lifted[..., None]
        slack = 1.0 if before is None else torch.where(before[..., th.THING["moving"]] > 0, STOPPING, 1.0)[..., None]
        moving = moving & (motion.decided(things, before, slack=slack)[..., th.THING["moving"]] > 0) | hung
        things[..., th.THING["moving"]] = 1.0
        things = physics.obeyed(things, before, moving, 1 / self.fps, self.cast.lowered())
        things = torch.where(exists, things, torch.zeros_like(things))
        things[..., :1] = torch.where(exists, 1.0, -1.0)
        things[..., th.THING["gone"]] = (self.met[..., None] & ~exists).to(things.dtype)
        camera = motion.camera_on_stage(motion.camera_within_reach(x[:, th.CAMERA_TOKEN], seen))
        held = camera[:, th.CAMERA["moving"]] <= 0
        camera = torch.where(held, motion.camera_at_rest(camera if seen is None else seen), camera)
        camera[:, th.CAMERA["moving"]] = torch.where(held, -1.0, 1.0)
        return torch.cat([things, camera[:, None], self._place(x)[:, None]], 1)

    def _place(self, x: Tensor) -> Tensor:
        """(B, WIDTH): the setting, one by name; once a dream has begun it is what it was, and looks as it did."""
        if self.things is not None:
            return self.things[:, th.SETTING_TOKEN]
        setting = torch.zeros_like(x[:, th.SETTING_TOKEN])
        name = x[:, th.SETTING_TOKEN, th.SETTING["name"]]
        setting[:, th.SETTING["name"]] = torch.nn.functional.one_hot(name.argmax(-1), name.shape[-1]) * th.ONE_HOT
        looks = zip(name.argmax(-1), x[:, th.SETTING_TOKEN, th.SETTING["look"]], strict=True)
        setting[:, th.SETTING["look"]] = torch.stack([self._look(b, *pair) for b, pair in enumerate(looks)])
        return setting

    def _look(self, b: int, name: Tensor, look: Tensor) -> Tensor:
        """One of the looks that the setting had in training, where the sampling knows some: any, for no text says
        which; beside views that are given the nearest to what the network sees in them."""
        if int(name) >= len(self.sampling.looks) or not self.sampling.looks[int(name)]:
            return look
        known = look.new_tensor(self.sampling.looks[int(name)])
        if self.memory.given or self.memory.goal:
            return known[(known - look).norm(dim=-1).argmin()]
        generator = self.generators[b * len(self.generators) // self.batch]
        return known[int(torch.randint(len(known), (), generator=generator))]

    def _drawn(self, chance: Callable[..., Tensor], shape: Sequence[int]) -> Tensor:
        """Numbers (B, ...) by chance, each row's from its own generator; drawn on the CPU, so that a seed means the
        same on every device."""
        rows = shape[0] // len(self.generators)
        return torch.cat([chance(rows, *shape[1:], generator=g) for g in self.generators]).to(self.device)

    def _meet(self, x: Tensor, line: Tensor) -> None:
        static = x[:, :MAX_THINGS, th.STATIC]
        new = (x[:, :MAX_THINGS, 0] > 0) & ~self.met
        self.identity = static if self.identity is None else torch.where(new[..., None], static, self.identity)
        self.met = self.met | new
        exists, moves = x[:, :MAX_THINGS, 0] > 0, x[:, :MAX_THINGS, th.THING["moving"].start] > 0
        done = exists & moves & ~self._evades(line) | self.met & ~exists  # nobody waits for who is gone
        self.cast = self.cast.acted(done, exists & ~moves, line).stood(exists & ~moves, 1 / self.fps)

    # -- views --------------------------------------------------------------------------------------------

    def _paint(self, conditions: Conditions, scene_keys: list[tuple[Tensor, Tensor]] | None) -> Tensor:
        shape = (self.batch, *self.grid, self.model.config.channels)
        x = self._drawn(torch.randn, shape)
        past = self.past_of_views()
        past.scene = scene_keys or []
        sketch = None if scene_keys is None else self.model.draw(self.things[:, None, self.slots], self.grid)
        times = flow.levels(self.sampling.steps).tolist()
        for level, target in zip(times[:-1], times[1:], strict=True):
            clean = self.over_views(conditions, x, level, past, sketch=sketch).views[:, 0]
            if self.sampling.lean != 1.0:
                free = Conditions(conditions.line, conditions.since, torch.full_like(conditions.actions, torch.nan))
                other = self.over_views(free, x, level, past, sketch=sketch).views[:, 0]
                clean = other + self.sampling.lean * (clean - other)
            x = flow.step(x, clean, level, target)
        kept, doubt = x, self.sampling.doubt if self.n else 0.0
        if doubt:
            noise = self._drawn(torch.randn, shape)
            kept = flow.add_noise(x, noise, torch.full(shape[:-1], doubt, device=self.device))
        output = self.over_views(conditions, kept, max(self.sampling.calm, doubt), past, sketch=sketch)
        self.memory.remember(self.n, "views", output)
        return x
