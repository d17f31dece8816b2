"""Does a video show what its prompt asks for? One score for each aspect of the prompt, from tracks alone.

What is asked for is read by audit.asking; what happened by audit.happenings. A thing that was asked for and is not
there fails every claim that is made of it, so an empty video scores nothing, and a frozen one nothing where motion was
asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from reverie.audit.asking import Claim, asked
from reverie.audit.findings import Aspect, Motion, Track
from reverie.audit.happenings import RULES, Spell
from reverie.audit.placing import holds
from reverie.audit.prompt_camera import camera_score
from reverie.audit.story import Stage, Story, stage_of, stories
from reverie.audit.wording import Wanted
from reverie.core.clip import Line

ASPECTS = ("kind", "colour", "count", "place", "event", "order", "camera")
EARLY = LATE = 0.7  # seconds by which what a script's line asks for may be before it, or after its end
CROWD = 3  # of so many things told of as one, it is enough that SHARE does what is asked
SHARE = 0.4
BRIEF = 0.5  # seconds for which more things than asked for must be there at once to count
TIE = 0.05  # seconds by which what comes first may be later: two frames are no order
ROWS = {"walks": ("walks", "thrown"), "thrown": ("thrown",)}


@dataclass
class _Part:
    """Things of one name that were asked for, and those of the video that may be they."""

    wanted: tuple[Wanted, ...]
    exact: list[Story]
    cast: list[Story]


@dataclass
class _Play:
    """The video beside what was asked for."""

    stage: Stage
    parts: dict[tuple[str, tuple[str, ...]], _Part] = field(default_factory=dict)
    chosen: dict[int, Spell | None] = field(default_factory=dict)  # of event claims, by id

    def of(self, things: Sequence[Wanted]) -> list[tuple[_Part, int]]:
        """The parts of some things, and how many of each are meant."""
        counts: dict[tuple[str, tuple[str, ...]], int] = {}
        for thing in things:
            counts[thing.kind, thing.colours] = counts.get((thing.kind, thing.colours), 0) + 1
        return [(self.parts[name], n) for name, n in counts.items() if name in self.parts]

    def cast(self, things: Sequence[Wanted]) -> list[Story]:
        """The stories of all things that may be these."""
        return [story for part, _ in self.of(things) for story in part.cast]


def judge_prompt(prompt: str | Sequence[Line], tracks: Sequence[Track], motion: Motion, fps: float,
                 size: tuple[int, int], seconds: float, camera: str | None = None) -> list[Aspect]:
    """How far a video shows what its prompt asks for: an Aspect for each aspect that it speaks of, in ASPECTS' order.

    prompt: a text, or a script's lines with their start times. tracks, motion: what was seen of the video, of ``size``
    (H, W) pixels and so many seconds. camera: the moves asked for besides the text, as core.moves has them. An aspect's
    score is the share of its claims that hold. Words that are not known come last, each an Aspect of score None.
    Raises BadInput for camera moves that make no sense.
    """
    frames = max(round(seconds * fps), len(motion.warp))
    return judge_claims(asked(prompt, camera), stage_of(tracks, motion, fps, size, frames), motion)


def judge_claims(claims: Sequence[Claim], stage: Stage, motion: Motion | None = None) -> list[Aspect]:
    """How far what happens on a stage is what is claimed of it: as judge_prompt. motion: without it the claims about
    the camera are left out."""
    play = _Play(stage)
    _cast(play, [c for c in claims if c.aspect == "kind" and c.known])
    aspects = []
    for name in ASPECTS:
        those = [c for c in claims if c.aspect == name and c.known]
        if those and name != "camera":
            aspects.append(_aspect(name, those, play))
        elif those and motion is not None:
            aspects.append(camera_score(those, motion, play.stage, play.cast))
    aspects = [a for a in aspects if a is not None]
    unknown = [c.words for c in claims if not c.known]
    return aspects + [Aspect("kind", word, None, f"can't judge: '{word}'") for word in unknown]


def _cast(play: _Play, claims: Sequence[Claim]) -> None:
    """Who plays whom: of things of a kind those of the colour asked for, else those that nothing else asks for."""
    wanted = [claim.things[0] for claim in claims]
    names = list(dict.fromkeys((t.kind, t.colours) for t in wanted))
    tracks = play.stage.tracks
    taken: set[int] = set()
    exact: dict[tuple[str, tuple[str, ...]], list[Track]] = {}
    for kind, colours in sorted(names, key=lambda n: (not n[1], len(n[1]))):
        fits = [t for t in tracks if t.kind == kind and t.number not in taken and (not colours or t.colour in colours)]
        exact[kind, colours] = fits
        taken |= {t.number for t in fits}
    for name in names:
        things = tuple(t for t in wanted if (t.kind, t.colours) == name)
        told = stories(exact[name], play.stage, len(things))
        spare = [t for t in tracks if t.kind == name[0] and t.number not in taken]
        play.parts[name] = _Part(things, told, told or stories(spare, play.stage, len(things)))


def _aspect(name: str, claims: Sequence[Claim], play: _Play) -> Aspect:
    """The share of an aspect's claims that hold, and what was seen where they don't."""
    score = {"kind": _kind, "colour": _colour, "count": _count, "place": _place, "event": _event, "order": _order}[name]
    said = "; ".join(dict.fromkeys(c.words for c in claims))
    results = [score(claim, play) for claim in claims]
    judged = [value for value, _ in results if value is not None]
    wrong = dict.fromkeys(words for value, words in results if value is None or value < 1)
    found = "; ".join(words for words in wrong if words) or "as asked"
    return Aspect(name, said, float(np.mean(judged)) if judged else None, found)


def _kind(claim: Claim, play: _Play) -> tuple[float | None, str]:
    thing = claim.things[0]
    alike = [t for part in play.parts.values() for t in part.wanted if t.kind == thing.kind]
    seen = sum(t.kind == thing.kind for t in play.stage.tracks)
    there = alike.index(thing) < seen
    return float(there), f"no {thing.kind}" if not seen else f"only {seen} {thing.kind}"


def _colour(claim: Claim, play: _Play) -> tuple[float | None, str]:
    thing = claim.things[0]
    part = play.parts[thing.kind, thing.colours]
    there = part.wanted.index(thing) < len(part.exact)
    if len(thing.colours) > 1 and there:
        shown = {s.track.colour for s in part.exact} & set(thing.colours)
        return len(shown) / len(thing.colours), f"only {', '.join(sorted(shown))} {thing.kind}"
    seen = ", ".join(dict.fromkeys(s.track.name for s in part.cast)) if not part.exact else ""
    return float(there), seen or f"no {thing.name}"


def _count(claim: Claim, play: _Play) -> tuple[float | None, str]:
    asked_for = play.of(claim.things)
    seen = [story.track for part, _ in asked_for for story in part.exact]
    at_once = _at_once(seen, play.stage)
    right = len(seen) >= claim.count and (claim.what == "more" or at_once <= claim.count)
    return float(right), f"{at_once if len(seen) >= claim.count else len(seen)} {claim.things[0].name}"


def _at_once(tracks: Sequence[Track], stage: Stage) -> int:
    """How many of some things are there at one time, for longer than a moment."""
    there = np.zeros(stage.frames + 1, int)
    for track in tracks:
        there[track.first] += 1
        there[min(track.last + 1, stage.frames)] -= 1
    there = np.cumsum(there)[: stage.frames]
    least = max(2, round(BRIEF * stage.fps))
    return max((n for n in range(int(there.max(initial=0)) + 1) if (there >= n).sum() >= least), default=0)


def _place(claim: Claim, play: _Play) -> tuple[float | None, str]:
    if not all(t.known for t in [*claim.things, *claim.others]):
        return None, ""
    right = holds(claim.what, play.cast(claim.things), play.cast(claim.others), play.stage, claim.start, claim.end)
    return float(right), f"not {claim.words}"


def _event(claim: Claim, play: _Play) -> tuple[float | None, str]:
    """Share of the things to which it happened, in the line's time and the direction asked for."""
    if not all(t.known for t in [*claim.things, *claim.others]):
        return None, ""
    others = play.cast(claim.others) if claim.others else []
    if claim.others and not others:
        return 0.0, f"no {claim.others[0].name}"
    hits, total = 0, len(claim.things)
    found: list[Spell] = []
    for part, n in play.of(claim.things):
        done = 0
        for story in part.cast:
            spells = [s for rule in ROWS.get(claim.what, (claim.what,)) for s in RULES[rule](story, others)]
            spells = [s for s in spells if s.start < claim.end + LATE and s.end > claim.start - EARLY
                      and (not claim.detail or claim.detail in s.way.split())]
            done += bool(spells)
            found += spells
        hits += min(done, n)
    found.sort(key=lambda s: s.start)
    within = [s for s in found if s.start >= claim.start - EARLY] or found
    play.chosen[id(claim)] = within[min(claim.turn, len(within) - 1)] if within else None
    enough = hits >= max(1, SHARE * total) if total >= CROWD else hits == total
    return (1.0 if enough else hits / total), f"no {claim.words}"


def _order(claim: Claim, play: _Play) -> tuple[float | None, str]:
    spells = []
    for part in (claim.first, claim.second):
        assert part is not None
        if not all(t.known for t in part.things):
            return None, ""
        if id(part) not in play.chosen:
            _event(part, play)
        spells.append(play.chosen.get(id(part)))
    first, second = spells
    if first is None or second is None:
        return 0.0, f"not {claim.words}"
    return float(first.start <= second.start + TIE), f"not {claim.words}"
