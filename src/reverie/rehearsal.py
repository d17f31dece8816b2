"""Takes: what a line asks for is imagined several times, as things alone, and goes on from the take that shows most.

Things cost little beside their pictures (model.chorus), so that a line can be rehearsed before it is painted. How far
a take shows what is asked is told by the judge's grammar and its rules of what happens (audit.prompt), of which all of
truth's own things pass; whether the pictures show it the judge says later, from pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from reverie.audit.asking import Claim, asked
from reverie.audit.findings import Track
from reverie.audit.prompt import judge_claims
from reverie.audit.story import Stage
from reverie.core.clip import Line
from reverie.core.errors import ReverieError
from reverie.core.vocabulary import COLOURS, FRAMES_PER_LATENT, KINDS, MAX_THINGS
from reverie.model import contact
from reverie.model import things as th
from reverie.model.outline import sights
from reverie.model.rollout import Rollout
from reverie.model.schedule import Conditions
from reverie.model.solids import Table

F = FRAMES_PER_LATENT
HORIZON = 6.0  # seconds of a line that are rehearsed
CHECKED = 1.0  # seconds after which takes that show less go on from those that show most; one that shows all is taken
HIDDEN = 0.15  # share of a thing below which it is out of sight
CLEAR = 0.4  # share of a thing that is to be seen at least once, or it can't be told what it is
PLAIN, LONG, WIDE = 0.9, 0.5, 0.09  # share, for how many seconds, and of the picture's side, that is seen plainly
MOST_PAIRS = 6  # of things that change places in an opening

Next = Callable[[int], tuple[Conditions, Tensor | None, Tensor | None]]


class Shown(NamedTuple):
    """How much of what is claimed is shown, 0..1: the mean over the aspects; how plainly the things are seen, 0..1: the
    mean over the things; and of what is claimed what happens, and in which order."""

    whole: float
    plain: float
    happened: float


def claims_of(script: Sequence[Line]) -> list[Claim]:
    """What the last line of a script claims of its things, by a clock that begins with it; nothing where nobody can
    read it."""
    try:
        claims = asked(list(script))
    except ReverieError:
        return []
    last, start = len(script) - 1, script[-1].start
    told = [c for c in claims if c.aspect in ("event", "place") and c.start == start]
    named = {thing for claim in told for thing in (*claim.things, *claim.others)}
    told += [c for c in claims if c.aspect in ("kind", "colour", "count") and any(
        thing.line == last or c.aspect == "kind" and thing in named for thing in c.things)]
    own = {id(claim): replace(claim, start=0.0, end=claim.end - start) for claim in told}
    return [*own.values(), *(replace(c, start=0.0, first=own[id(c.first)], second=own[id(c.second)]) for c in claims
                             if c.aspect == "order" and {id(c.first), id(c.second)} <= own.keys())]


def rehearsed(rollout: Rollout, claims: Sequence[Claim], following: Next, latents: int,
              size: tuple[int, int], table: Table) -> tuple[Rollout, list[Tensor]]:
    """The next so many latents of one dream: the best take's rollout, which has made them, and its things
    (S, WIDTH) of each.

    following: conditions of the n-th latent from now, and what of its things is given, as Rollout.step has it,
    (1, ...) each. size: H, W. table: what things are made of.
    """
    fps, takes = float(rollout.fps[0]), rollout.sampling.takes
    many, before = rollout.rows([0] * takes), [] if rollout.things is None else [rollout.things.expand(takes, -1, -1)]
    told = torch.stack(before, 1) if before else None
    every = max(1, round(CHECKED * fps / F))

    def scored(takes: Tensor) -> list[Shown]:
        return [shown(claims, one.numpy(), fps, size, table) for one in takes.cpu()]

    for n in range(latents):
        made = _opened(many, following, scored, _pairs(claims)) if many.n == 0 else _stepped(many, *following(n))
        told = made[:, None] if told is None else torch.cat([told, made[:, None]], 1)
        last = n + 1 == latents
        if n and n % every and not last:
            continue
        scores = scored(told)
        best = max(scores)
        if best.whole == 1.0 or last:
            chosen = [scores.index(best)]
            return many.rows(chosen), list(told[chosen[0], len(before) :])
        most = max(one.happened for one in scores)  # who is there already is no better than who is still to come
        kept = [i for i, one in enumerate(scores) if one.happened == most]
        rows = [kept[i % len(kept)] for i in range(takes)]
        many, told = many.rows(rows), told[rows]
    raise ValueError("nothing was to be rehearsed")


def _pairs(claims: Sequence[Claim]) -> list[tuple[int, int]]:
    """The slots, in an opening, of each two things of which one is said where it is."""
    named = sorted({thing.number for c in claims for thing in (*c.things, *c.others) if thing.number < MAX_THINGS})
    told = {thing.number for c in claims if c.aspect == "place" for thing in (*c.things, *c.others)}
    return [(a, b) for a in named for b in named if a < b and (a in told or b in told)][:MOST_PAIRS]


def _swapped(made: Tensor, one: int, two: int) -> Tensor:
    """Openings (takes, S, WIDTH) in which two things change places on the ground, where both are there, upright boxes
    apart from all others."""
    out, path = made.clone(), th.positions_of(made[:, :MAX_THINGS])
    other = path.clone()
    other[:, one, :, :2], other[:, two, :, :2] = path[:, two, :, :2], path[:, one, :, :2]
    out[:, :MAX_THINGS] = contact.pushed_apart(th.at_positions(made[:, :MAX_THINGS], other), None)
    both = (made[:, one, 0] > 0) & (made[:, two, 0] > 0)
    return torch.where(both[:, None, None], out, made)


def _opened(many: Rollout, following: Next, scored: Callable[[Tensor], list], pairs: Sequence[tuple[int, int]]
            ) -> Tensor:
    """Things (takes, S, WIDTH) of the first latent of so many takes: of as many openings, their mirror images, and
    those in which two things have changed places, those that show most."""
    found = many.rows(range(many.batch))
    found.sampling = replace(many.sampling, candidates=1)  # these are the candidates
    conditions, given, known = following(0)
    made = _stepped(found, conditions, given, known)
    other = made.clone()
    other[:, :MAX_THINGS] = th.mirrored(made[:, :MAX_THINGS], made[:, th.CAMERA_TOKEN])
    both = torch.cat([made, other])
    both = torch.cat([both, *(_swapped(both, *pair) for pair in pairs)])
    scores = scored(both[:, None])
    best = sorted(range(len(both)), key=lambda i: scores[i][:2], reverse=True)[: many.batch]
    return _stepped(many, conditions, both[best], torch.ones_like(both[best][..., 0], dtype=torch.bool))


def _stepped(many: Rollout, conditions: Conditions, given: Tensor | None, known: Tensor | None) -> Tensor:
    def each(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.expand(many.batch, *x.shape[1:])

    conditions = Conditions(each(conditions.line), each(conditions.since), each(conditions.actions))
    return many.step(conditions, things=each(given), known=each(known))[0]


def shown(claims: Sequence[Claim], tokens: np.ndarray, fps: float, size: tuple[int, int], table: Table
          ) -> Shown:
    """How much of what is claimed things (T, S, WIDTH) show. Half of it, and nothing of what happens, where what was
    not there is without having come (in truth 453 of 454 come over the border), or what was is no more without having
    gone."""
    camera = th.decode_camera(tokens[:, th.CAMERA_TOKEN])
    stage = Stage(tracks_of(tokens, size, table), [()] * (len(tokens) * F), fps, size, path=camera)
    scores = {aspect.name: aspect.score for aspect in judge_claims(claims, stage) if aspect.score is not None}
    happened = [score for name, score in scores.items() if name in ("event", "order")]
    whole, happened = (float(np.mean(some or [1.0])) for some in ([*scores.values()], happened))
    amiss = any("sight" in (track.began, track.ended) or track.began == "hidden" and tokens[0, track.number, 0] <= 0
                for track in stage.tracks)
    plain = float(np.mean([_plain(track, fps, size) for track in stage.tracks] or [0.0]))
    return Shown(whole / 2, plain, 0.0) if amiss else Shown(whole, plain, happened)


def _plain(track: Track, fps: float, size: tuple[int, int]) -> float:
    """How plainly a thing is seen, 0..1: by the share of it that is in sight, and by its size, for LONG seconds."""
    sides = (track.boxes[:, 2:] - track.boxes[:, :2]).min(1) / (WIDE * min(size))
    seen = np.sort((track.visible / PLAIN).clip(0, 1) * sides.clip(0, 1))[::-1]
    return float(seen[min(len(seen), max(1, round(LONG * fps))) - 1])


def tracks_of(tokens: np.ndarray, size: tuple[int, int], table: Table) -> list[Track]:
    """Things (T, S, WIDTH) as an eye would follow them that makes no mistakes; a thing's number is its slot."""
    (height, width), frames, tracks = size, len(tokens) * F, []
    found = sights(tokens, table, height, width)
    for s in np.flatnonzero(found.seen.any(0)):
        seen, whole, box = found.seen[:, s], found.whole[:, s], found.box[:, s]
        rows = np.flatnonzero(seen & (found.bare[:, s] > HIDDEN))
        if len(rows) < F or found.visible[rows, s].max() < CLEAR:
            continue
        cut = (np.abs(whole - box) > 0.02 * width).any(1) | (box[:, :2] < 2).any(1) | (
            box[:, 2:] > np.array([width, height]) - 2).any(1)

        def end(row: int, beyond: int, seen: np.ndarray = seen, cut: np.ndarray = cut) -> str:
            if not 0 <= beyond < frames:
                return "clip"
            return "hidden" if seen[beyond] else "border" if cut[row] else "sight"

        names = []
        for name, known in (("kind", KINDS), ("colour", tuple(COLOURS))):
            number = min(int(tokens[rows[0] // F, s, th.THING[name]].argmax()), len(known) - 1)
            names.append((known[number], np.tile(np.eye(len(known))[number], (len(rows), 1))))
        (kind, kinds), (colour, colours) = names
        tracks.append(Track(int(s), kind, colour, rows, box[rows].astype(np.float32), np.ones(len(rows)),
                            found.visible[rows, s], found.depth[rows, s], found.lift[rows, s], kinds, colours,
                            np.ones((len(rows), 1)), end(rows[0], rows[0] - 1), end(rows[-1], rows[-1] + 1)))
    return tracks
