"""The director: which act comes next, tried until it works out, and made part of the stage."""

from __future__ import annotations

import numpy as np

from reverie.core.clip import Event
from reverie.core.vocabulary import ALIVE, KINDS, MAX_THINGS
from reverie.data.scenes import acts_alive, acts_hoop, acts_loose, acts_made, acts_masked, acts_still
from reverie.data.scenes.notice import notice
from reverie.data.scenes.stage import Beat, Misfit, Stage
from reverie.data.scenes.view import follow, moving, still

FOLLOW = "follow"  # detail of a camera event whose camera pans after an actor; no move of core.moves
_BEAT = (4.2, 7.0)  # seconds of one beat among several
_LONE = (5.2, 9.0)  # seconds up to which a clip is one beat, less or more often

# kind -> events of which it can be the main actor, a more likely one standing more than once
_EVENTS = {
    "ball": "rests dropped dropped thrown rolled rolled pushed launched enters leaves bounced hidden covered",
    "box": "rests dropped thrown slid pushed launched enters leaves toppled stacked bounced hidden covered",
    "cylinder": "rests dropped thrown rolled slid pushed launched enters leaves stacked hidden covered",
    "cone": "rests dropped thrown slid pushed launched enters leaves stacked hidden covered",
    "plank": "rests dropped thrown slid pushed launched stacked enters leaves covered",
    "ramp": "rests dropped slid pushed enters leaves covered",
    "domino": "rests dropped toppled toppled toppled covered",
    "pendulum": "rests swung swung swung",
    "basketball": "rests dropped thrown rolled launched enters leaves scored scored missed missed bounced "
    "hidden covered pushed",
    "hoop": "rests",
    "chair": "rests dropped slid pushed enters leaves covered",
    "table": "rests dropped slid pushed enters leaves covered",
    "wall": "rests dropped slid pushed enters leaves",
    "screen": "rests dropped slid pushed enters leaves",
    "person": "rests walks walks walks enters leaves hidden covered",
    "dog": "rests walks walks walks enters leaves hidden covered",
    "bird": "rests walks walks walks enters leaves covered",
}
REPERTOIRE = {kind: events.split() for kind, events in _EVENTS.items()}
# in later beats: what something new can do, and what something that is there can do
_NEW = {"dropped", "thrown", "rolled", "slid", "enters", "walks", "hidden", "stacked"}
_THERE = {"rolled", "slid", "pushed", "launched", "leaves", "covered", "swung", "scored", "missed", "walks"}
_ACTS = {
    "rests": acts_still.rests,
    "dropped": acts_loose.dropped,
    "thrown": acts_loose.thrown,
    "rolled": acts_made.rolled,
    "slid": acts_loose.slid,
    "pushed": acts_loose.pushed,
    "launched": acts_loose.launched,
    "enters": acts_loose.enters,
    "leaves": acts_loose.leaves,
    "swung": acts_made.swung,
    "toppled": acts_made.toppled,
    "stacked": acts_made.stacked,
    "scored": acts_hoop.scored,
    "missed": acts_hoop.missed,
    "bounced": acts_made.bounced,
    "hidden": acts_masked.hidden,
    "covered": acts_masked.covered,
    "walks": acts_alive.walks,
}
_ALIVE_ACTS = {"enters": acts_alive.enters, "leaves": acts_alive.leaves}


def next_beat(
    stage: Stage, rng: np.random.Generator, left: int, wild: bool, opening: tuple[tuple[str, str], ...] = ()
) -> None:
    """Settles one more beat; ``left`` frames are still to fill. wild: try to show a held-out combination.

    opening: (kind, event) of which the clip's first beat shows one, where any are given.
    """
    fps = stage.fps
    if stage.frame == 0:
        frames = int(rng.uniform(*_BEAT) * fps)
        if left <= rng.uniform(*_LONE) * fps or (left <= 21 * fps and rng.random() < 0.15):
            frames = left
        elif left - frames < 3.0 * fps:
            frames = left // 2
        beat = _opening(stage, rng, frames, left, wild, opening)
    else:
        frames = min(left, int(rng.uniform(*_BEAT) * fps))
        if left - frames < 3.0 * fps:  # no short remainder, and no last beat that goes dead
            frames = left if left <= _BEAT[1] * fps else left // 2
        beat = _later(stage, rng, frames)
    _settle(stage, beat)


def _opening(
    stage: Stage, rng: np.random.Generator, frames: int, left: int, wild: bool, opening: tuple[tuple[str, str], ...]
) -> Beat:
    if opening:
        kind, event = opening[rng.integers(len(opening))]
        events = [event]
    else:
        kind = KINDS[rng.integers(len(KINDS))]
        events = [e for e in REPERTOIRE[kind] if e != "rests" or left <= 16 * stage.fps or kind == "hoop"]
        event = events[rng.integers(len(events))]
    extra = int(rng.choice([0, 0, 0, 0, 1, 1, 2, 3, 4]))
    for attempt in range(120):
        if attempt % 12 == 11:  # this event finds no room or no luck; the main kind stays
            event = events[rng.integers(len(events))]
        beat = _try(
            stage,
            rng,
            frames,
            kind,
            event,
            None,
            wild and attempt < 60,
            max(0, extra - attempt // 4),
            attempt < 80,
        )
        if beat is not None:
            return beat
    return _anything(stage, rng, frames)


def _later(stage: Stage, rng: np.random.Generator, frames: int) -> Beat:
    present = [i for i, s in enumerate(stage.states) if not s.gone and stage.pose_margin(s.position) > 0.1]
    full = len(stage.things) > MAX_THINGS - 3
    crowded = len(present) >= 5
    for _ in range(60):
        if present and (full or rng.random() < (0.7 if crowded else 0.45)):
            lead = int(present[rng.integers(len(present))])
            kind = stage.things[lead].kind
            options = [
                e for e in REPERTOIRE[kind] if e in _THERE and not (full and e in ("covered", "pushed"))
            ]
            if crowded and "leaves" in options:
                options += ["leaves"] * 4
        else:
            lead, kind = None, KINDS[rng.integers(len(KINDS))]
            options = [e for e in REPERTOIRE[kind] if e in _NEW]
            if full:
                kind, options = ("bird", "person", "dog")[rng.integers(3)], ["walks"]
        if not options:
            continue
        event = options[rng.integers(len(options))]
        beat = _try(stage, rng, frames, kind, event, lead, False, 0, True)
        if beat is not None:
            return beat
    return _anything(stage, rng, frames)


_SAFE = (("bird", "walks"), ("ball", "dropped"), ("person", "walks"), ("ball", "rolled"))


def _anything(stage: Stage, rng: np.random.Generator, frames: int) -> Beat:
    """A simple act that nearly always works; failing even that, everything goes on as it is."""
    for attempt in range(80):
        if len(stage.things) >= MAX_THINGS:
            break
        beat = _try(stage, rng, frames, *_SAFE[attempt % len(_SAFE)], None, False, 0, False)
        if beat is not None:
            return beat
    beat = Beat(stage, rng, frames, still(stage.pose, frames))
    beat.run()
    return beat


def _try(
    stage: Stage,
    rng: np.random.Generator,
    frames: int,
    kind: str,
    event: str,
    lead: int | None,
    wild: bool,
    extra: int,
    free_camera: bool,
) -> Beat | None:
    """One attempt at a beat, with its events; None when it did not work out."""
    moves, style = (), rng.random() if free_camera else 1.0
    view = still(stage.pose, frames)
    begin = int(rng.integers(0, max(1, frames // 6)))
    if style < 0.38:
        view, moves = moving(rng, stage.pose, stage.home, frames, stage.fps, begin)
    beat = Beat(stage, rng, frames, view)
    act = (_ALIVE_ACTS if kind in ALIVE else {}).get(event) or _ACTS[event]
    try:
        act(beat, kind, lead, wild)
        if extra:
            acts_still.bystanders(beat, extra)
        beat.run()
        beat.events = notice(beat)
    except Misfit:
        return None
    if 0.38 <= style < 0.5:
        beat.pan_after_actor(follow)
    if moves:
        detail = ", ".join(move.text for move in moves)
        beat.events.append(Event("camera", beat.time(begin), beat.end, -1, detail=detail))
    elif beat.view is not view:
        main = next(e.actor for e in beat.events if e.actor >= 0)
        beat.events.append(Event("camera", beat.start, beat.end, -1, main, FOLLOW))
    return beat


def _settle(stage: Stage, beat: Beat) -> None:
    """Makes a beat part of the stage."""
    stage.beats.append(beat.first / stage.fps)
    stage.events += beat.events
    stage.record = beat.record if stage.record is None else stage.record.joined(beat.record)
    stage.views.append(beat.view)
    stage.pose = beat.view.last()
    stage.things, stage.states = beat.things, beat.after
    stage.drives = [d for d in beat.drives if not d.done and not stage.states[d.thing].gone]
