"""Planted violations: one crime in a clip of the lab, of which kind, thing and time are known exactly.

    plant(seed, crime) -> Plan, Crime

Plans are tried, each from a seed drawn from the given one, until one has a thing to which the crime can be done in
plain sight. Up to the crime the clip is what it was without it; from then on only that thing is another, and what
others did with it must not have mattered to them. Same arguments, same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from reverie.core.errors import BadInput
from reverie.core.vocabulary import DEFAULT_FPS, MAX_THINGS
from reverie.data.scenes import lab
from reverie.data.scenes.deeds import DEEDS, IN_SIGHT, LEAST_PIXELS, Case, Done, ripe
from reverie.data.scenes.lab import Plan
from reverie.data.scenes.sight import Sight

# name -> the law that it breaks (audit.findings.LAWS), what is done
CRIMES = {
    "deleted": ("permanence", "a thing in sight ceases to exist, in mid-flight where one flies"),
    "doubled": ("permanence", "from one frame on there are two of a thing, side by side, that do the same"),
    "recoloured": ("identity", "a thing has another colour from one frame on"),
    "transformed": ("identity", "a thing is of another kind, about as large, from one frame on"),
    "scaled": ("rigidity", "a thing is 1.6 to 2.2 times as large or as small from one frame on"),
    "moved": ("continuity", "a thing is elsewhere from one frame to the next, by 1.5 to 4 of its widths"),
    "weightless": ("gravity", "a thing in flight goes on straight, at the speed it has"),
    "frozen": ("support", "a thing in mid-fall stops dead in the air and stays hanging"),
    "ghost": ("collision", "a thing sinks through what it lies or lands on, or passes through what it meets"),
    "pushed": ("causality", "a thing that lies still, touched by nothing, starts to move by itself"),
}
FROM_ENDS = 1.2  # seconds from a clip's start and end in which no crime is done
_TRIES, _CASES = 600, 8  # plans that are tried, and victims of each
_TOSSED = tuple((kind, "launched") for kind in ("ball", "box", "basketball", "plank", "cylinder"))
_STANDING = tuple((kind, "rests") for kind in ("ball", "box", "cylinder", "cone", "basketball", "chair", "table"))
_TO_AND_FRO = tuple((kind, "bounced") for kind in ("ball", "box", "basketball"))
_OPENINGS = {  # how plans begin for crimes that few things of any plan would lend themselves to
    "weightless": _TOSSED,
    "frozen": _TOSSED,
    "ghost": (*_TOSSED, *_STANDING[::2], *_TO_AND_FRO, *_TO_AND_FRO),  # it lands, lies, or meets a wall
    "pushed": _STANDING,
}


@dataclass(frozen=True)
class Crime:
    """What was done. kind: a key of CRIMES; law: the one it breaks; thing: index of the victim in the clip's truth.

    time: seconds, of the first frame that shows it; frame: that one's number. other: index of the victim's double, or
    of the thing that took its place; -1 for none.
    """

    kind: str
    law: str
    thing: int
    time: float
    frame: int
    other: int = -1


def opening(crime: str) -> tuple[tuple[str, str], ...]:
    """The ``opening`` of lab.plan with which plans are tried for a crime."""
    return _OPENINGS.get(crime, ())


def plant(
    seed: int,
    crime: str,
    seconds: float = 4.0,
    *,
    fps: float = DEFAULT_FPS,
    split: str = "test",
    size: tuple[int, int] | None = None,
) -> tuple[Plan, Crime]:
    """A plan of the lab with a crime in it, and which; arguments as of lab.plan, seconds at least 3.

    Up to the crime its record is that of lab.plan(plan.seed, ..., opening=opening(crime)). Raises BadInput for an
    unknown crime or what lab.plan refuses.
    """
    if crime not in CRIMES:
        raise BadInput(f'no crime "{crime}": there is {", ".join(CRIMES)}')
    if not seconds >= 3:
        raise BadInput(f"a clip with a crime in it lasts at least 3 seconds, not {seconds}")
    seeds = np.random.default_rng([int(seed), 11, list(CRIMES).index(crime)])
    for _ in range(_TRIES):
        made = lab.plan(int(seeds.integers(2**31)), seconds, fps=fps, split=split, size=size, opening=opening(crime))
        for case in _cases(made, crime):
            done = DEEDS[crime](case)
            if done is not None:
                what = Crime(crime, CRIMES[crime][0], case.i, float(case.k / fps), case.k, done.other)
                return _told(made, what, done), what
    raise RuntimeError(f"no plan of {_TRIES} from seed {seed} has a victim for the crime {crime}")


def _cases(made: Plan, crime: str) -> Iterator[Case]:
    """Things in plain sight to which it may be done, with a frame each; those that fly or move come first."""
    if len(made.record.things) >= MAX_THINGS:
        return
    good, stir = ripe(made, crime)
    fps = made.fps
    good[: int(np.ceil(FROM_ENDS * fps))] = good[int((made.seconds - FROM_ENDS) * fps) + 1 :] = False
    if not good.any():
        return
    sight = Sight(made.record, made.path, *made.size)
    for count, seen in ((IN_SIGHT, sight.whole(LEAST_PIXELS)), (0.4, sight.apart())):
        for k in np.flatnonzero(good.any(1)):
            good[k] &= seen[max(0, k - int(np.ceil(count * fps))) : k].all(0)
    rng = np.random.default_rng([made.seed, 13])
    lively = crime != "pushed" and rng.random() < 0.6  # then only what moves will do, so that not all victims rest
    found = np.argwhere(good & (stir > 0) if lively else good)
    order = np.argsort(rng.random(len(found)) - stir[found[:, 0], found[:, 1]])
    for k, i in found[order[:_CASES]]:
        yield Case(made, sight, int(i), int(k), rng)


def _told(made: Plan, crime: Crime, done: Done) -> Plan:
    """The plan with the crime: without events that were to come to the victim, those under way cut short."""
    others = {crime.thing, *done.alien}
    events = []
    for event in made.events:
        if event.kind == "camera" or not others & {event.actor, event.other} or event.end < crime.time:
            events.append(event)
        elif event.start < crime.time:
            events.append(replace(event, end=max(event.start, (crime.frame - 1) / made.fps)))
    return replace(made, record=done.record, events=tuple(events))
