"""Suite ``memory``: what a screen hides, is it still there when the screen has risen?

Three true seconds of a held-out clip of the lab show two or three things; then the model goes on, and a screen comes
down before all of them, stays for HIDDEN seconds and rises. No text says what is behind it. The screen is given in
every latent, as an edit of its own token along the true path: no line can ask for one that stays for twenty seconds.
How often the line alone brings a screen, for as long as it likes, is a figure of its own. The camera is told to stand.

What is there then is judged by the observer, from the pixels of the second after the screen has left the picture. The
model goes on in both its ways: from the things of the past, as videos of its own carry them (``things``), and from
pictures alone (``pixels``).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reverie.audit.observer import SeenThing, seen_over_clip
from reverie.core.clip import Clip, Line
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.make import choose_renderer
from reverie.data.scenes.lab import simulate
from reverie.evaluate.curtain import SEEN, Curtain, curtain
from reverie.evaluate.dreams import Known, dream, pixels_of
from reverie.evaluate.figures import figure, share
from reverie.evaluate.pictures import save_picture
from reverie.evaluate.study import SEED, Study
from reverie.model import things as th
from reverie.model.plate import Plate
from reverie.train.encode import true_tokens
from reverie.train.tokenizer import round_trip
from reverie.world import World

HIDDEN = {1.0: ">= 0.98", 5.0: ">= 0.95", 20.0: ">= 0.9"}  # seconds, and the share that shall be right then
TEXTS = ("A screen comes down in front of everything and rises again.", "一块幕布落下遮住一切，然后升起。")
WAYS = {"things": 1, "pixels": 4}  # one clip of so many
PARTS = ("right", "kind", "colour", "place")
F = FRAMES_PER_LATENT
WARM = 4  # latents that are decoded before those that are judged
LOOK_EVERY = 3  # frames between two looks of the observer
ON_SHEET, COLUMNS = 6, 12  # clips of each way on the sheet, those that went wrong first; and pictures of each


@dataclass
class Hit:
    """Of one thing that was hidden: is one in its place (within one width), of its kind, of its colour."""

    place: bool = False
    kind: bool = False
    colour: bool = False

    @property
    def right(self) -> bool:
        """Whether it is all of that."""
        return self.place and self.kind and self.colour


@dataclass
class GoneOn:
    """How n clips went on: things (N, T, S, W), and views (N, T, H, W, C) where they were painted. plates: of each,
    what is behind its things, where it was from pictures. drawn: of each, whether its things are drawn."""

    world: World
    curtains: Sequence[Curtain]
    things: np.ndarray
    views: Tensor | None
    plates: Sequence[Plate | None]
    drawn: Sequence[bool]

    def frames(self, k: int, first: int = 0, last: int | None = None) -> np.ndarray:
        """The frames uint8 (T, H, W, 3) of clip k's latents from ``first`` to ``last``."""
        start = max(first - WARM, 0)
        things = self.things[k, start:last] if self.drawn[k] else None
        views = None if self.views is None else self.views[k, start:last]
        haze = None if self.views is None else 0.0  # as World.dream has it: what was seen is drawn before the picture
        return pixels_of(self.world, things, views, haze, self.plates[k])[(first - start) * F :]


def measure(study: Study) -> list[dict]:
    """For each of HIDDEN, over n clips and a quarter as many: the share of hidden things that are there again, of their
    kind and colour and within one width of their place; beside it truth as it is, through the tokenizer, and drawn by
    the model; and how often the line alone brings a screen that hides all, and takes it away. As memory.png in the
    study's folder: what went wrong."""
    if renderer := choose_renderer():  # before MuJoCo is loaded here: these clips are drawn in this process
        os.environ.setdefault("MUJOCO_GL", renderer)
    world, figures = study.world, []
    clips = {hidden: [curtain(SEED + i, hidden, fps=world.fps, size=world.default_size) for i in range(study.n)]
             for hidden in HIDDEN}
    one = clips[min(HIDDEN)]
    cases: list[_Case] = []
    asked = sum(math.ceil(study.n / of) * len(HIDDEN) for of in WAYS.values()) + study.n
    with study.track(2 * asked, "clips hidden behind a screen") as bar:
        truths = [_ending(c) for c in one]
        for way, of in WAYS.items():
            for hidden, goal in HIDDEN.items():
                chosen = clips[hidden][: math.ceil(study.n / of)]
                made = go_on(world, chosen, way, tell=bar.advance)
                hits = []
                for k, (c, truth) in enumerate(zip(chosen, truths, strict=False)):
                    first, last = _span(c)
                    hits.append(judge(_seen(study, made.frames(k, first, last)), truth))
                    cases.append(_Case(made, k, hits[-1], way, hidden, truth))
                    bar.advance()
                figures += _figures(f"{way}_screen_given_{hidden:g}_s", [h for some in hits for h in some], goal)
        told = go_on(world, one, "things", given=False, tell=bar.advance)
        figures += _told(study, told, truths, bar.advance)
    figures += _truth(study, one, truths)
    _sheet(cases, study.data / "memory.png")
    return figures


def go_on(world: World, clips: Sequence[Curtain], way: str, *, given: bool = True,
          tell: Callable[[int], None] | None = None) -> GoneOn:
    """Let the model go on from the first SEEN seconds of clips, as of WAYS. given: whether the screen is given."""
    past, count = round(SEEN * world.fps) // F, len(clips)
    tokens = [true_tokens(simulate(c.plan)) for c in clips]
    longest = max(map(len, tokens))
    things = np.stack([np.concatenate([t, t[-1:].repeat(longest - len(t), 0)]) for t in tokens])
    which, views = np.zeros(things.shape[:3], bool), None
    plates: list[Plate | None] = [None] * count
    drawn = [True] * count
    which[:, :past] = way == "things"
    if way == "pixels":
        seen = [world.seen(next(iter(c.drawn(0, SEEN).views.values())), world.fps) for c in clips]
        drawn, plates = [one.tokens is not None for one in seen], [one.plate for one in seen]
        if painted := any(plate is None for plate in plates):
            views, plates = torch.cat([torch.stack(list(one), 1) for one in seen]), [None] * count
        for b, one in enumerate(seen):  # as World.dream has it
            if one.tokens is not None:
                things[b, :past], which[b, :past, : th.SETTING_TOKEN] = one.tokens, True
                which[b, :past, th.SETTING_TOKEN] = not painted
    if given:
        which[:, past:, th.CAMERA_TOKEN] = True
        if way == "pixels":
            things[:, past:, th.CAMERA_TOKEN] = things[:, past - 1, None, th.CAMERA_TOKEN]
        for b, c in enumerate(clips):
            slot = int((things[b, past - 1, : th.MAX_THINGS, 0] > 0).sum())  # the first that is empty
            things[b, past:, slot], which[b, past:, slot] = things[b, past:, c.screen], True
    scripts = [[Line(0.0, TEXTS[b % 2])] for b in range(count)]
    made = dream(world, scripts, longest, seed=SEED, tell=tell,
                 known=Known(things=things, which=which, views=views, past=past))
    return GoneOn(world, clips, *made, plates, drawn)


def judge(seen: Sequence[SeenThing], truth: Clip) -> list[Hit]:
    """What was seen held against truth's things: each with what fits it best, none with what another has."""
    told, boxes = truth.truth, next(iter(truth.truth.boxes.values()))
    there = [i for i in range(len(told.kinds)) if told.exists[:, i].all()]
    table = [[*(_hit(told.kinds[i], told.colours[i], np.nanmedian(boxes[:, i], 0), thing) for thing in seen),
              *(Hit() for _ in there)] for i in there]

    def worth(order: Sequence[int]) -> int:
        return sum(3 * hit.right + hit.place + hit.kind + hit.colour
                   for hit in (table[row][k] for row, k in enumerate(order)))

    best = max(permutations(range(len(seen) + len(there)), len(there)), key=worth)
    return [table[row][k] for row, k in enumerate(best)]


def _hit(kind: str, colour: str, box: np.ndarray, thing: SeenThing) -> Hit:
    own = np.median(thing.path[:, 1:], 0)
    gap = np.hypot(*(own[:2] + own[2:] - box[:2] - box[2:]) / 2)
    return Hit(bool(gap <= box[2] - box[0]), thing.kind == kind, thing.colour == colour)


def _span(c: Curtain) -> tuple[int, int]:
    """The first latent without the screen, and the one after the last."""
    return math.ceil(c.gone * c.plan.fps / F), len(c.plan.path) // F


def _ending(c: Curtain) -> Clip:
    first, last = _span(c)
    return c.drawn(first * F / c.plan.fps, last * F / c.plan.fps)


def _seen(study: Study, frames: np.ndarray) -> list[SeenThing]:
    return seen_over_clip(study.observer.detect(frames[::LOOK_EVERY]))


def _figures(name: str, hits: Sequence[Hit], goal: str | None = None, parts: Sequence[str] = PARTS) -> list[dict]:
    return [figure(f"{name}_{part}", share(sum(getattr(h, part) for h in hits), len(hits)), "share",
                   goal if part == "right" else None, len(hits)) for part in parts]


def _truth(study: Study, clips: Sequence[Curtain], truths: Sequence[Clip]) -> list[dict]:
    """The same of truth: as it was drawn, through the tokenizer, and drawn by the model from true things."""
    found: dict[str, list[Hit]] = {"truth": [], "truth_through_tokenizer": [], "truth_drawn_by_the_model": []}
    for c, truth in zip(clips, truths, strict=True):
        frames, (first, last) = next(iter(truth.views.values())), _span(c)
        tokens = true_tokens(simulate(c.plan))[first:last]
        drawn = pixels_of(study.world, tokens, None) if study.world.tokenizer.config.canvas else frames
        for name, shown in zip(found, (frames, round_trip(study.world.tokenizer, frames), drawn), strict=True):
            found[name] += judge(_seen(study, shown), truth)
    return [one for name, hits in found.items() for one in _figures(name, hits, parts=("right",))]


def _told(study: Study, made: GoneOn, truths: Sequence[Clip], tell: Callable[[int], None]) -> list[dict]:
    """What the line alone brings: a screen; one behind which nothing is seen; and that goes again."""
    comes, hides, rises, hits = 0, 0, 0, []
    past = round(SEEN * made.world.fps) // F
    for k, truth in enumerate(truths):
        frames = made.frames(k, past)
        looks = study.observer.detect(frames[::LOOK_EVERY])
        screens = [any(d.kind == "screen" for d in look) for look in looks]
        alone = [screen and len(look) == 1 for screen, look in zip(screens, looks, strict=True)]
        late = screens[-max(1, len(screens) // 8) :]
        comes, hides = comes + (sum(screens) > 1), hides + any(alone)
        rises += sum(screens) > 1 and not any(late)
        hits += judge(seen_over_clip(looks[-len(looks) // 4 :]), truth)
        tell(1)
    n = len(truths)
    shares = {"screen_comes": comes, "screen_hides_all": hides, "screen_comes_and_rises": rises}
    return [*(figure(f"line_alone_{name}", share(value, n), "share", None, n) for name, value in shares.items()),
            *_figures("line_alone", hits, parts=("right",))]


# -- the sheet -----------------------------------------------------------------------------------------------


@dataclass
class _Case:
    """One clip that went on: which, how well, and what was true in the end."""

    made: GoneOn
    k: int
    hits: Sequence[Hit]
    way: str
    hidden: float
    truth: Clip

    @property
    def right(self) -> bool:
        return all(h.right for h in self.hits)

    def row(self) -> tuple[np.ndarray, str]:
        """Its pictures, the last of them truth's, and what they are."""
        last = _span(self.made.curtains[self.k])[1]
        at = np.linspace(0, last - 1, COLUMNS - 1).round().astype(int)
        made, plate = self.made, self.made.plates[self.k]
        frames = (made.frames(self.k, 0, last)[F - 1 :: F][at] if made.views is not None else
                  pixels_of(made.world, made.things[self.k, at], None, plate=plate)[F - 1 :: F])
        things = self.made.curtains[self.k].plan.record.things[:-1]
        wrong = [f"{', '.join(p for p in PARTS[1:] if not getattr(h, p))} of the {t.colour} {t.kind}"
                 for t, h in zip(things, self.hits, strict=True) if not h.right]
        names = ", ".join(f"{t.colour} {t.kind}" for t in things)
        lost = "; ".join(wrong) or "nothing"
        return (np.concatenate([frames, next(iter(self.truth.views.values()))[-1:]]),
                f"from {self.way}, {self.hidden:g} s: {names}; wrong: {lost} (the last: truth)")


def _sheet(cases: Sequence[_Case], path: Path) -> None:
    """Those that went wrong, of the ways in turn, then those that did not."""
    from reverie.data.sheet import contact_sheet

    shown = [case for way in WAYS
             for case in sorted((c for c in cases if c.way == way), key=lambda c: c.right)[:ON_SHEET]]
    pictures, texts = zip(*(case.row() for case in shown), strict=True)
    save_picture(contact_sheet(pictures, texts, COLUMNS), path)
