"""Did the camera move as asked? Words and moves of a prompt beside the motion that was seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from reverie.audit.asking import Claim
from reverie.audit.findings import Aspect, Motion
from reverie.audit.story import Stage, Story
from reverie.audit.wording import Wanted
from reverie.core.errors import BadInput
from reverie.core.moves import DIRECTIONS, Move, parse_moves
from reverie.core.vocabulary import CAMERA_CHANNELS

# degrees or metres where none are given: the means of 438 moves of the lab's
USUAL = {"pan": 7.5, "tilt": 5.0, "orbit": 22.0, "dolly": 0.7, "crane": 0.55}
LEAST = {"pan": 1.0, "tilt": 1.0, "orbit": 3.0, "dolly": 0.1, "crane": 0.08}  # what can't be told from none
FOLLOWED = 0.25  # of the picture's width: what is followed stays so near its middle, on average


def camera_score(claims: Sequence[Claim], motion: Motion, stage: Stage,
                 cast: Callable[[Sequence[Wanted]], list[Story]]) -> Aspect:
    """One aspect of all that is asked of the camera; claims of one line are judged together."""
    scores: list[float] = []
    said: list[str] = []
    for start, end in dict.fromkeys((c.start, c.end) for c in claims):
        those = [c for c in claims if (c.start, c.end) == (start, end)]
        part = _part(motion, stage.fps, start, end)
        moves = tuple(dict.fromkeys(m for c in those for m in _moves(c, part)))
        if moves:
            score, found = _scored(part, moves)
            said.append(found)
            if score is not None:
                scores += [score] * len(moves)
        for claim in those:
            if claim.what == "follow":
                scores.append(_followed(claim, stage, part, cast))
                said.append("followed" if scores[-1] else "not followed")
            elif claim.what not in ("still", *DIRECTIONS):
                said.append(f"can't judge: {claim.words}")
    return Aspect("camera", "; ".join(dict.fromkeys(c.words for c in claims)),
                  float(np.mean(scores)) if scores else None, "; ".join(dict.fromkeys(said)))


def _scored(part: Motion, moves: tuple[Move, ...]) -> tuple[float | None, str]:
    from reverie.audit.motion import path_score

    kinds = [m.kind for m in moves]
    if len(set(kinds)) < len(kinds):  # told twice, or both ways: each by itself
        each = [path_score(part, (m,)) for m in moves]
        known = [score for score, _ in each if score is not None]
        return (float(np.mean(known)) if known else None), each[0][1]
    return path_score(part, moves)


def _moves(claim: Claim, part: Motion) -> list[Move]:
    """A claim as moves; where it gives no amount or no direction, those seen, or else usual ones."""
    if claim.what == "still":
        return [Move("still", "", 0.0)]
    if claim.what not in DIRECTIONS:
        return []
    seen = _seen(part).get(claim.what)
    ways = DIRECTIONS[claim.what]
    way = claim.detail if claim.detail in ways else seen.direction if seen else ways[0]
    amount = claim.count / 1000
    if not amount:
        amount = seen.amount if seen and seen.direction == way else USUAL[claim.what]
    return [Move(claim.what, way, amount)]


def _seen(part: Motion) -> dict[str, Move]:
    try:
        return {m.kind: m for m in parse_moves(part.moves)} if part.moves else {}
    except BadInput:
        return {}


def _part(motion: Motion, fps: float, start: float, end: float) -> Motion:
    """The motion in a line's time, its moves told anew from its rates."""
    low, high = round(start * fps), min(len(motion.rates), round(min(end, 1e6) * fps))
    if low <= 0 and high >= len(motion.rates) or not len(motion.rates):
        return motion
    rates = motion.rates[low:high]
    known = motion.known[low:high]
    if not len(rates) or known.mean() < 0.7:
        return replace(motion, rates=rates, known=known, warp=motion.warp[low:high], moves="")
    total = np.nan_to_num(rates).sum(0) / fps
    moves = [Move(kind, DIRECTIONS[kind][0 if much > 0 else 1], float(f"{abs(much):.2g}"))
             for kind, much in zip(CAMERA_CHANNELS, total, strict=True) if abs(much) >= LEAST[kind]]
    return replace(motion, rates=rates, known=known, warp=motion.warp[low:high],
                   moves=", ".join(m.text for m in moves) or "still")


def _followed(claim: Claim, stage: Stage, part: Motion, cast: Callable[[Sequence[Wanted]], list[Story]]) -> float:
    """Whether the camera moves and keeps the thing (or whatever moves) about the middle."""
    if part.moves in ("", "still"):
        return 0.0
    width = stage.size[1]
    for story in cast(claim.things) if claim.things else []:
        if np.abs(story.path.centre[:, 0] / width - 0.5).mean() < FOLLOWED:
            return 1.0
    return float(not claim.things)
