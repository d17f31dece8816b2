"""What happens in a beat, as clauses to tell: events of one kind that belong together, and who is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reverie.core.clip import Event, Truth

AT_ONCE = 0.35  # seconds within which two events count as simultaneous


@dataclass
class Clause:
    """Events of one kind told as one: who acts, what with, which way."""

    kind: str
    start: float
    actors: list[int]
    others: list[int]
    detail: str


def present_things(truth: Truth, start: int, end: int, seconds: float) -> list[int]:
    """Things that are there in frames start..end, which end at ``seconds``.

    That is those that exist, and where it is known what is seen, are seen; but not those that an event
    after the beat brings in: what enters, and the screen that comes down.
    """
    here = truth.exists[start : end + 1].any(0)
    if truth.visible:
        here &= np.any([seen[start : end + 1].max(0) > 0.02 for seen in truth.visible.values()], 0)
    met: set[int] = set()
    for event in truth.events:
        comer = event.other if event.kind == "covered" else event.actor
        if comer >= 0 and comer not in met:
            met.add(comer)
            if event.start >= seconds and event.kind in ("enters", "covered"):
                here[comer] = False
    return [int(i) for i in np.flatnonzero(here)]


def merge(events: list[Event], truth: Truth, formed: Callable[[int], tuple[int, ...]]) -> list[Clause]:
    """Events as clauses: the same happening to several things, or many times to one, is told once."""
    clauses: list[Clause] = []
    for event in events:
        kind = truth.kinds[event.actor]
        for clause in clauses:
            same_kind = truth.kinds[clause.actors[0]] == kind
            if clause.kind != event.kind or not (same_kind or event.start - clause.start < AT_ONCE):
                continue
            repeated = event.actor in clause.actors
            together = same_kind and event.kind in ("toppled", "stacked")
            alike = clause.detail == event.detail and event.start - clause.start < AT_ONCE
            if repeated or together or (alike and event.other in [*clause.others, -1]):
                clause.actors += [] if repeated else [event.actor]
                clause.others += (
                    [event.other] if event.other >= 0 and event.other not in clause.others else []
                )
                break
        else:
            others = [event.other] if event.other >= 0 else []
            clauses.append(Clause(event.kind, event.start, [event.actor], others, event.detail))
    for clause in clauses:
        if clause.kind in ("toppled", "pushed"):  # a tower or a row goes as a whole
            clause.actors = list(dict.fromkeys(i for a in clause.actors for i in formed(a) or (a,)))
        others = clause.others if clause.kind == "bounced" else clause.others[:1]
        clause.others = list(dict.fromkeys(i for a in others for i in formed(a) or (a,)))
        clause.others = [i for i in clause.others if i not in clause.actors]
    return clauses
