"""Suite ``lasting``: what of imagined minutes no truth has, in their beginning and in their end.

It asks the things themselves: nothing hides from it, no judge errs, and it is cheap enough for far more minutes than a
judge can watch. True minutes of the same scripts are asked the same.

Legend: T latents, S thing slots, W channels of a thing, F frames in a latent.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from reverie.core.vocabulary import ALIVE, COLOURS, KINDS, MAX_THINGS
from reverie.core.vocabulary import FRAMES_PER_LATENT as F
from reverie.evaluate.dreams import dream
from reverie.evaluate.drift import GOAL, NONE_YET, WINDOWS
from reverie.evaluate.figures import figure, share
from reverie.evaluate.minute import script_of
from reverie.evaluate.study import SEED, Study
from reverie.model import things as th
from reverie.model.contact import HOLLOW, ROUND, overlaps
from reverie.model.resting import CLEAR, HELD_UP, TILTED, depth, tipping, touching
from reverie.train.encode import true_tokens

SECONDS = 60.0
TWIN = 0.3  # metres within which a second thing of the same kind and colour is a double
FASTEST = 9.0  # m/s
UNPULLED = 5.0  # m/s2 up or down, below which what touches nothing neither falls nor bounces
LOWERED = -0.1  # m/s up from which it is not let down by a hand that is not seen
ALOFT, ROLLS = 0.08, 0.025  # metres above the ground from which a thing hangs in the air, and a ball does
DEEP = 0.1  # metres of one thing in another, in two latents: longer than a blow lasts
OTHERWISE = (*ALIVE, *HOLLOW, "domino")  # of which truth, too, has some in the boxes of others
GROWN = 0.01  # of a channel of its size
NEVER = ("vanishes", "doubles", "changes")  # laws that no dream may break
EXAMPLES = 12  # breaks that are told as they are found


def measure(study: Study) -> list[dict]:
    """Breaks a minute of n imagined minutes and of the true ones, by law, early, late, and late over early."""
    world, latents = study.world, round(SECONDS * study.world.fps) // F
    clips = study.clips(study.n, SECONDS, drawn=False)
    scripts = [script_of(clips.meta(i), i) for i in range(study.n)]
    aspect = world.default_size[1] / world.default_size[0]
    with study.track(study.n, "minutes of things") as bar:
        made, _ = dream(world, scripts, latents, seed=SEED, with_views=False, tell=bar.advance)
        found = [broken(tokens, world.fps, aspect) for tokens in made]
        for k, (tokens, breaks) in enumerate(zip(made, found, strict=True)):
            for law, t, s in breaks[: max(0, EXAMPLES - k)]:
                bar.say(f"minute {k}: {_name(tokens[t, s])} {law} at {t * F / world.fps:.1f} s")
    true = [broken(true_tokens(clips.clip(i, views=False)), world.fps, aspect) for i in range(study.n)]
    return figures({"imagined": found, "true": true}, world.fps)


def figures(found: dict[str, list[list[tuple[str, int, int]]]], fps: float) -> list[dict]:
    """The figures of the breaks of many minutes, imagined and true."""
    out, n = [], len(found["imagined"])
    for whose, minutes in found.items():
        each = Counter(law for breaks in minutes for law, _, _ in breaks)
        out.append(figure(f"breaks_{whose}", share(sum(each.values()), n * SECONDS / 60), "1/min", None, n))
        out += [figure(f"{law}_{whose}", share(each[law], n * SECONDS / 60), "1/min",
                       "<= 0" if whose == "imagined" and law in NEVER else None, n) for law in LAWS]
        count = {name: sum(start <= t * F / fps < end for breaks in minutes for _, t, _ in breaks)
                 for name, (start, end) in WINDOWS.items()}
        out += [figure(f"{name}_{whose}", share(count[name] * 60, n * (end - start)), "1/min", None, n)
                for name, (start, end) in WINDOWS.items()]
        if whose == "imagined":
            out.append(figure("late_over_early", (count["late"] + NONE_YET) / (count["early"] + NONE_YET), "ratio",
                              GOAL, n))
    return out


@torch.inference_mode()
def broken(tokens: np.ndarray, fps: float, aspect: float) -> list[tuple[str, int, int]]:
    """Each break of a minute's tokens (T, S + 2, W): its law, the latent in which it begins, and the slot. aspect: the
    picture's width over its height."""
    things, camera = torch.from_numpy(np.ascontiguousarray(tokens)).float().split([MAX_THINGS, 2], 1)
    found = []
    for law, asked in LAWS.items():
        breaks = asked(things, camera[:, 0], fps, aspect)
        begins = breaks & ~torch.cat([torch.zeros_like(breaks[:1]), breaks[:-1]])
        found += [(law, t, s) for t, s in begins.nonzero().tolist()]
    return sorted(found, key=lambda one: one[1])


def _name(thing: np.ndarray) -> str:
    kind, colour = (int(thing[th.THING[name]].argmax()) for name in ("kind", "colour"))
    return f"{list(COLOURS)[colour]} {KINDS[kind]}"


# -- laws, (T, S) bool each: of things (T, S, W), camera (T, W), frames a second and the picture's aspect --------


def _there(things: Tensor, latents: int = 1) -> Tensor:
    """What exists in this latent and in so many before, less one."""
    here = things[..., 0] > 0
    for _ in range(latents - 1):
        here = here & _before(here)
    return here


def _before(values: Tensor) -> Tensor:
    """What was one latent before; in the first, nothing."""
    return torch.cat([torch.zeros_like(values[:1]), values[:-1]])


def _vanishes(things: Tensor, camera: Tensor, fps: float, aspect: float) -> Tensor:
    return _before(_there(things) & th.in_picture(things, camera, aspect)) & ~_there(things)


def _doubles(things: Tensor, camera: Tensor, fps: float, aspect: float) -> Tensor:
    names = torch.cat([things[..., th.THING[name]] for name in ("kind", "colour")], -1)
    place, here = th.positions_of(things)[:, :, -1], _there(things)
    new = here & ~_before(here)
    new[0] = False
    twins = (torch.cdist(names, names) < 0.1) & (torch.cdist(place, place) < TWIN)
    return new & (twins & (here & ~new)[:, None]).any(-1)


def _changes(things: Tensor, camera: Tensor, fps: float, aspect: float) -> Tensor:
    same = [things[..., th.THING[name]] for name in ("kind", "colour", "material", "extent")]
    known = torch.cat(same, -1)
    return _there(things, 2) & ((known - _before(known)).abs() > GROWN).any(-1)


def _jumps(things: Tensor, camera: Tensor, fps: float, aspect: float) -> Tensor:
    path = th.positions_of(things)
    steps = torch.cat([_before(path)[:, :, -1:], path], 2).diff(dim=2).norm(dim=-1) * fps  # T S F
    return (steps[..., 1:] > FASTEST).any(-1) & _there(things) | (steps[..., 0] > FASTEST) & _there(things, 2)


def _hovers(things: Tensor, camera: Tensor, fps: float, aspect: float) -> Tensor:
    path = th.positions_of(things)
    heights = torch.cat([_before(path)[:, :, -2:, 2], path[..., 2]], -1)  # T S F + 2
    rates = heights.diff(dim=-1) * fps
    floats = ((rates.diff(dim=-1) * fps).abs() < UNPULLED) & (rates[..., 1:] > LOWERED)
    free = path[:, :, -1, 2] - depth(things) > torch.where(th.of_kind(things, ROUND), ROLLS, ALOFT)
    free &= ~touching(things, path[:, :, -1]).any(-1) & floats.all(-1)
    return free & _before(free) & _there(things, 3) & ~th.of_kind(things, HELD_UP)


def _leans(things: Tensor, camera: Tensor, fps: float, aspect: float) -> Tensor:
    place, still = th.positions_of(things)[:, :, -1], things[..., th.THING["velocity"]].abs().amax(-1) == 0
    alone = ~touching(things, place).any(-1) & (place[..., 2] - depth(things) < CLEAR)
    tilted = (-tipping(things)[..., 2] < math.cos(TILTED)) & ~th.of_kind(things, (*HELD_UP, *ROUND))
    return _there(things, 2) & still & _before(still) & alone & tilted


def _enters(things: Tensor, camera: Tensor, fps: float, aspect: float) -> Tensor:
    solid = _there(things) & ~th.of_kind(things, OTHERWISE)
    deep = (overlaps(things)[0] > DEEP) & solid[:, None] & solid[:, :, None]
    return (deep & _before(deep)).any(-1)


LAWS: dict[str, Callable[[Tensor, Tensor, float, float], Tensor]] = {
    "vanishes": _vanishes, "doubles": _doubles, "changes": _changes, "jumps": _jumps, "hovers": _hovers,
    "leans": _leans, "enters_another": _enters}
