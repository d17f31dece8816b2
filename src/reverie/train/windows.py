"""Windows of clips, as the transformer trains on them: which latents, which words, what is given.

A window is a run of latents, mostly preceded by some of every eighth one of the clip's past, as a
rollout remembers it. What is known beforehand varies: nothing, the camera, all things, the first views
(an image, a video to extend), an end image.

Legend: B batch, T latent frames, S thing tokens, R script lines, P text tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from reverie.core.errors import BadData
from reverie.core.vocabulary import FRAMES_PER_LATENT, MAX_THINGS
from reverie.model import motion
from reverie.model import things as th
from reverie.train.encode import STILL_STRIDE, Bank, Item
from reverie.train.mirror import ACTIONS, mirrored


@dataclass(frozen=True)
class WindowPlan:
    """How windows are drawn. latents: T of a window; batch: B; past: at most so many of
    the far past."""

    latents: int
    batch: int
    past: int = 6
    remembers: float = 0.6  # share of windows with some of it
    slots: int = MAX_THINGS  # clips of more things than this are left out
    words: int = 48  # tokens of a line: longer captions are taken only where there is no other
    lines: int = 2  # of the script: only the last ones of a window are read
    views: bool = False
    from_start: float = 0.25  # share of windows that begin where the clip begins
    at_line: float = 0.5  # of the others: share of those that lie about the beginning of a line, where things happen
    mirrored: float = 0.5  # share of windows without views that are seen in a mirror, and told so
    sided: float = 0.3  # of the clips that some captions tell with left and right: share told by one of these
    no_text: float = 0.1  # share of windows without any text
    camera_known: float = 0.25
    things_known: float = 0.1  # all things given (a scene to be painted)
    thing_known: float = 0.1  # of the others: some things given from the start
    no_things: float = 0.25  # of windows with views: things unknown and left out
    given: float = 0.25  # of windows with views: the first views given, as an image or a video
    goal: float = 0.1  # of windows with views: an end image


def _chosen(length: int, plan: WindowPlan, rng: np.random.Generator, lines: np.ndarray) -> np.ndarray:
    """Latent numbers of one window, ascending: a few of the far past, then a run. lines: latents at which the
    script's lines begin."""
    t = plan.latents
    if length < t:
        raise BadData(f"a clip of {length} latents is too short for windows of {t}")
    if rng.random() < plan.from_start:
        start = 0
    elif rng.random() < plan.at_line:
        # mostly soon after the window's beginning, at times with all that a rollout sees of the near past
        start = int(rng.choice(lines)) - int(min(16, t - 4) * rng.random() ** 2) if t > 4 else int(rng.choice(lines))
        start = min(max(start, 0), length - t)
    else:
        start = int(rng.integers(0, length - t + 1))
    keys = np.arange(0, start, STILL_STRIDE)
    if len(keys) and plan.past and rng.random() < plan.remembers:
        count = min(int(rng.integers(1, plan.past + 1)), len(keys), t - 2)
        keys = np.sort(rng.choice(keys, count, replace=False))
        return np.concatenate([keys, np.arange(start, start + t - count)])
    return np.arange(start, start + t)


def draw_windows(items: list[Item], vectors: np.ndarray, plan: WindowPlan, rng: np.random.Generator,
                 odds: np.ndarray | None = None) -> dict[str, Tensor]:
    """One batch: clean windows with their conditions, as flat tensors (see ``train.losses``).

    odds: how much of all chances the items up to each have, ascending to 1; without it all have the same.
    """
    b, t = plan.batch, plan.latents
    things = np.zeros((b, t, th.TOKENS, th.WIDTH), np.float32)
    things[:, :, :MAX_THINGS, 0] = -1.0
    previous, own = things.copy(), things.copy()
    out = {
        "index": np.zeros((b, t), np.int64), "fps": np.zeros(b, np.float32),
        "line": np.full((b, t), -1, np.int64), "since": np.zeros((b, t), np.float32),
        "actions": np.zeros((b, t, 20), np.float32), "things": things, "previous": previous, "own": own,
        "follows": np.zeros((b, t), bool), "things_known": np.zeros((b, t, th.TOKENS), bool),
        "things_seen": np.ones((b, t), bool), "agrees": np.ones((b, t, th.TOKENS), bool),
    }
    size = None
    texts: list[list[np.ndarray]] = []
    for row in range(b):
        item = items[int(rng.integers(len(items)) if odds is None else np.searchsorted(odds, rng.random()))]
        while plan.views and size is not None and item.latents.shape[1:3] != size:
            item = items[int(rng.integers(len(items)))]
        brief = [c for c in item.captions if max(map(len, c["tokens"])) <= plan.words] or item.captions
        if rng.random() < plan.sided:
            brief = [c for c in brief if "other" in c] or brief
        caption = brief[int(rng.integers(len(brief)))]
        order = caption["order"]
        starts = np.array(caption["start"])
        lines = np.ceil(starts * item.fps / FRAMES_PER_LATENT - 1e-3).astype(int)
        numbers = _chosen(len(item), plan, rng, lines)
        past = item.things if item.own is None else item.own
        rows = (numbers, things, item.things), (numbers, own, past), (numbers - 1, previous, past)
        for source, target, made in rows:
            safe = np.maximum(source, 0)
            target[row, :, : len(order)] = made[safe][:, order]
            target[row, :, th.CAMERA_TOKEN] = item.camera[safe]
            target[row, :, th.SETTING_TOKEN] = item.setting
        if item.agrees is not None:
            out["agrees"][row, :, : len(order)] = item.agrees[numbers][:, order]
        turned = not plan.views and rng.random() < plan.mirrored
        if turned:
            for target in (things, previous, own):
                target[row] = mirrored(target[row])
        out["index"][row], out["fps"][row] = numbers, item.fps
        out["follows"][row, 1:] = np.diff(numbers) == 1
        seconds = numbers * FRAMES_PER_LATENT / item.fps
        line = np.maximum(np.searchsorted(starts, seconds + 1e-6, side="right") - 1, 0)
        out["since"][row] = seconds - starts[line]
        used, local = np.unique(line, return_inverse=True)
        kept = used[-plan.lines :]  # older lines belong to the far past alone: words cost time
        local = np.where(line >= kept[0], local - (len(used) - len(kept)), -1)
        told = caption.get("other", caption["tokens"]) if turned else caption["tokens"]
        if rng.random() < plan.no_text:
            texts.append([])
        else:
            texts.append([told[i] for i in kept])
            out["line"][row] = local
        out["actions"][row] = item.actions[numbers] * (ACTIONS if turned else 1) if rng.random() < 0.8 else np.nan
        _given_things(out["things_known"][row], plan, rng)
        if plan.views:
            size = item.latents.shape[1:3]
            _views(out, row, item, numbers, plan, rng)
    out["text"], out["text_mask"] = padded(texts, vectors)
    # empty slots cost as much as full ones: mostly only a few of them come along
    used = np.flatnonzero((things[:, :, :MAX_THINGS, 0] > 0).any((0, 1)))
    most = int(used[-1]) + 1 if len(used) else 0
    slots = plan.slots if rng.random() < 0.2 else min(plan.slots, most + int(rng.integers(1, 3)))
    kept = np.r_[:slots, th.CAMERA_TOKEN, th.SETTING_TOKEN]
    for name in ("things", "previous", "own", "agrees", "things_known"):
        out[name] = out[name][:, :, kept]
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in out.items()}


def _given_things(known: np.ndarray, plan: WindowPlan, rng: np.random.Generator) -> None:
    if rng.random() < plan.things_known:
        known[:] = True
    elif rng.random() < plan.thing_known:
        known[:, :MAX_THINGS] = rng.random(MAX_THINGS) < 0.5
    if rng.random() < plan.camera_known:
        known[:, th.CAMERA_TOKEN] = True


def _views(out: dict, row: int, item: Item, numbers: np.ndarray, plan: WindowPlan, rng: np.random.Generator) -> None:
    """Fill in the views of one window: latents, which are given, the goal."""
    b, t = out["index"].shape
    if "views" not in out:
        out["views"] = np.zeros((b, t, *item.latents.shape[1:]), np.float32)
        out["views_known"] = np.zeros((b, t), bool)
        out["goal"] = np.zeros((b, t), bool)
    out["views"][row] = item.latents[numbers]
    if not item.seen or rng.random() < plan.no_things:
        out["things_seen"][row] = False
    if rng.random() < plan.given:
        # a dream that begins here: its first views are given, one still image or up to half the window
        if numbers[0] % STILL_STRIDE == 0 and rng.random() < 0.5:
            out["views"][row, 0] = item.still[numbers[0] // STILL_STRIDE]
            out["views_known"][row, 0] = True
        else:
            out["views_known"][row, : int(rng.integers(1, t // 2 + 1))] = True
        out["index"][row] -= numbers[0]
    if rng.random() < plan.goal:
        ends = np.arange(0, len(item), STILL_STRIDE)
        ends = ends[ends > numbers[-1]]
        if len(ends):
            # the first place of the window becomes the end image, with the time position of its own
            end = int(ends[0] if rng.random() < 0.7 else rng.choice(ends))
            shift = out["index"][row, -1] - numbers[-1]
            out["goal"][row, 0] = True
            out["views"][row, 0] = item.still[end // STILL_STRIDE]
            out["views_known"][row, 0] = False
            out["index"][row, 0] = end + shift
            out["follows"][row, 1] = False


def padded(texts: list[list[np.ndarray]], vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Token numbers per line to padded vectors (B, R, P, D) float32 and mask (B, R, P)."""
    lines = max(1, max(len(t) for t in texts))
    longest = max([1] + [len(line) for t in texts for line in t])
    out = np.zeros((len(texts), lines, longest, vectors.shape[1]), np.float32)
    mask = np.zeros(out.shape[:3], bool)
    for row, text in enumerate(texts):
        for r, line in enumerate(text):
            out[row, r, : len(line)] = vectors[line]
            mask[row, r, : len(line)] = True
    return out, mask


class Mixture:
    """The batches of a run: each step one kind, things only or with views, by its share.

    things, drawn: the two kinds' plans; drawn_share: share of steps with views (0 where no clip is drawn).
    opening: a plan of a few latents from where clips begin, where the text alone decides what is there (a long window
    has one such latent and mostly none); opening_share: its share of the steps.
    """

    def __init__(self, bank: Bank, things: WindowPlan, drawn: WindowPlan, drawn_share: float,
                 opening: WindowPlan | None = None, opening_share: float = 0.0) -> None:
        self.bank, self.things, self.drawn, self.share = bank, things, drawn, drawn_share
        self.opening, self.opening_share = opening, opening_share
        self.bank = Bank([], bank.vectors, bank.digest)
        self.add(bank)
        if not self.all and not self.with_views:
            raise BadData(f"no clip is as long as a window of {things.latents} latents: make longer clips")

    def add(self, fresh: Bank) -> None:
        """Take up more clips, whose token table begins with the one there is."""
        for item in fresh.items:
            if item.own is None:
                item.things, item.camera = motion.decided_clip(item.things, item.camera)
            else:  # what its things do was said when they were laid beside what was made
                item.own, item.camera = motion.decided_clip(item.own, item.camera)
        self.bank = Bank([*self.bank.items, *fresh.items], fresh.vectors, self.bank.digest)
        known = [i for i in self.bank.items if i.seen and i.things.shape[1] <= self.things.slots]
        self.all = [i for i in known if len(i) >= self.things.latents]
        odds = np.array([len(i) for i in self.all], float)  # each latent has the same
        own = np.array([i.own is not None for i in self.all], bool)
        if own.any() and not own.all():
            odds[own] *= odds[~own].sum() / odds[own].sum()  # but what a model made is half of what is shown
        self.odds = np.cumsum(odds) / max(1.0, odds.sum())
        self.openings = [i for i in known if self.opening and len(i) >= self.opening.latents]
        self.with_views = [i for i in self.bank.drawn if len(i) >= self.drawn.latents
                           and i.things.shape[1] <= self.drawn.slots]

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """The batch of a step."""
        chance = rng.random()
        if self.openings and chance < self.opening_share:
            return draw_windows(self.openings, self.bank.vectors, self.opening, rng)
        if self.with_views and (chance < self.opening_share + self.share or not self.all):
            return draw_windows(self.with_views, self.bank.vectors, self.drawn, rng)
        return draw_windows(self.all, self.bank.vectors, self.things, rng, self.odds)


def of_things(bank: Bank, long: WindowPlan, opening: WindowPlan, share: float, slots: int) -> Mixture:
    """What the stages things, distil and rollouts train on: windows without views in which no thing is given, and
    clips' first seconds, their share of the steps. slots: how many things the model knows."""
    long, opening = (replace(p, slots=slots, things_known=0.0) for p in (long, opening))
    return Mixture(bank, long, replace(long, views=True), 0.0, opening, share)
