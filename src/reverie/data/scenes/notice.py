"""What else happened: events that no act planned, found in a run; and whether a run is sound at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reverie.core.clip import Event
from reverie.data.scenes.acts_loose import push_event
from reverie.data.scenes.record import Record, matrices
from reverie.data.scenes.stage import Beat, Misfit

_SUNK = -0.07  # metres below ground that a soft contact may take a corner for an instant
_FASTEST = 11.0


def notice(beat: Beat) -> list[Event]:
    """Events of a run: the planned ones, then entries, exits and pushes. Misfit if it is not sound."""
    _sound(beat)
    events = [event for check in beat.checks for event in check(beat)]
    for i in range(len(beat.things)):
        events += _crossings(beat, i)
    events += _pushes(beat, {e.actor for e in events if e.kind in ("pushed", "toppled")} | beat.quiet)
    for event in events:
        if event.actor >= 0 and not beat.stage.allowed(beat.things[event.actor], event.kind):
            raise Misfit
    return [replace(e, start=float(e.start), end=float(e.end), actor=int(e.actor)) for e in events]


def _sound(beat: Beat) -> None:
    record = beat.record
    if (
        not np.isfinite(record.position).all()
        or abs(record.velocity[record.exists]).max(initial=0) > _FASTEST
    ):
        raise Misfit
    empty = sum(
        not any(
            record.exists[k, i] and beat.view.margin(record.position[k, i], k) > 0
            for i in range(len(beat.things))
        )
        for k in range(0, beat.frames, 6)
    )
    if empty > 0.35 * len(range(0, beat.frames, 6)):
        raise Misfit  # too little to see
    for i, thing in enumerate(beat.things):
        there = record.exists[:, i]
        if not there.any() or thing.mode not in ("free", "alive"):
            continue
        turn = matrices(record.quat[there, i])
        if thing.kind in ("ball", "basketball"):
            lowest = record.position[there, i, 2] - thing.body.extent[2]
        else:
            lowest = record.position[there, i, 2] - (abs(turn[:, 2]) * thing.body.extent).sum(-1)
            if thing.kind in ("cylinder", "cone"):
                lowest = lowest + 0.5 * thing.body.extent[0] * (1 - abs(turn[:, 2, 2]))
        if lowest.min() < _SUNK:
            raise Misfit
        before = beat.states[i]
        if beat.first and np.linalg.norm(before.velocity) > 0.05 and before.since < beat.start:
            continue  # it was on its way already, and was found fit then
        last, soon = record.position[-1, i], record.position[-1, i] + 2.0 * record.velocity[-1, i]
        if (
            there[-1]
            and beat.view.margin(last, beat.frames - 1) > 0
            and not (_near(last[1]) and _near(soon[1]))
        ):
            raise Misfit  # rolling off towards the camera or into the far


def _near(y: float) -> bool:
    """Whether a depth is one at which things are of a fit size in the picture."""
    return bool(-2.6 < y < 2.3)


def _crossings(beat: Beat, i: int) -> list[Event]:
    """Coming into and going out of the picture, by the thing's own motion."""
    there = np.flatnonzero(beat.record.exists[:, i])
    if len(there) < 3 or beat.things[i].mode == "hung":
        return []
    reach = float(np.linalg.norm(beat.things[i].body.extent))
    place = beat.record.position[:, i]
    margin = np.array([beat.view.margin(place[k], k) for k in there])
    events = []
    new = (
        beat.states[i].since >= beat.start
        if beat.first or beat.states[i].since > 0
        else margin[0] < -0.5 * reach
    )
    if new and margin[0] < -0.5 * reach:
        seen = np.flatnonzero(margin > -0.9 * reach)
        full = np.flatnonzero(margin > 0.6 * reach)
        if len(full):
            events.append(
                Event(
                    "enters",
                    beat.time(there[seen[0]]),
                    beat.time(there[full[0]]),
                    i,
                    detail=beat.view.side(place[there[0]], there[0]),
                )
            )
    if there[-1] < beat.frames - 1 and margin[-1] < 0:
        full = np.flatnonzero(margin > 0.6 * reach)
        begin = there[full[-1]] if len(full) else there[0]
        events.append(
            Event(
                "leaves",
                beat.time(begin),
                beat.time(there[-1]),
                i,
                detail=beat.view.side(place[there[-1]], there[-1]),
            )
        )
    return events


def _pushes(beat: Beat, known: set[int]) -> list[Event]:
    """Things at rest that a moving thing ran into and moved."""
    events = []
    speeds = np.linalg.norm(beat.record.velocity, axis=-1)
    for k in range(3, beat.frames):
        for a, b in sorted(beat.record.contacts[k]):
            if b < 0:
                continue
            for i, j in ((a, b), (b, a)):
                if i in known or beat.things[i].mode != "free":
                    continue
                if speeds[k - 3 : k - 1, i].max() < 0.05 and speeds[k - 3 : k, j].max() > 0.3:
                    later = min(beat.frames - 1, k + int(beat.stage.fps))
                    moved = np.linalg.norm(beat.record.position[later, i] - beat.record.position[k, i])
                    if beat.record.exists[k - 3 : later + 1, i].all() and moved > 0.12:
                        known.add(i)
                        events.append(push_event(beat, i, j, k))
    return events


def resting(record: Record, events: list[Event], beats: list[float]) -> list[Event]:
    """One "rests" event for each unbroken run of beats in which nothing happens to a thing that is there."""
    found = []
    frames = len(record.exists)
    bounds = [*(round(b * record.fps) for b in beats), frames]
    for i in range(len(record.things)):
        since = None
        for k0, k1 in zip(bounds, bounds[1:], strict=False):
            start, end = k0 / record.fps, (k1 - 1) / record.fps
            busy = any(i == e.actor and e.start <= end and e.end >= start for e in events)
            there = record.exists[k0:k1, i]
            place = record.position[k0:k1, i]
            quiet = not busy and there.all() and abs(place - place[0]).max() < 0.05
            if quiet and since is None:
                since = start
            if since is not None and (not quiet or k1 == frames):
                found.append(Event("rests", since, end if quiet else start, i))
                since = None
    return found
