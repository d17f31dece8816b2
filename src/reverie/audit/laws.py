"""The laws that a video is held to, by name, and the one function that holds it to them.

A law is a pure function of what was seen: it takes a Scene and gives the violations that it finds. Its limits are
constants at the head of its file, with their units, set where truth's own 60-second clips stay below (LOG.md says how
far). What a law can't judge it leaves alone: a thing that is half hidden, or cut by the border, or seen for too
short a time is no evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reverie.audit.findings import LAWS, Violation
from reverie.audit.laws_collision import collision
from reverie.audit.laws_forces import causality, gravity, support
from reverie.audit.laws_looks import TURN_COLOUR, identity
from reverie.audit.laws_things import continuity, permanence, rigidity
from reverie.audit.scene import Scene

RULES: dict[str, Callable[[Scene], list[Violation]]] = {
    "permanence": permanence, "identity": identity, "rigidity": rigidity, "continuity": continuity,
    "support": support, "gravity": gravity, "collision": collision, "causality": causality,
}
assert tuple(RULES) == tuple(LAWS)
SAME_MOMENT = 0.3  # seconds within which two violations of one thing are one


# of two laws that are broken at one moment the one that says more goes first: what sinks also vanishes
ORDER = ("continuity", "collision", "identity", "rigidity", "permanence", "causality", "support", "gravity")
LAST = ("sped up",)  # what is said only where nothing else is: what jumps or is changed also gains speed


def violations(scene: Scene, laws: Sequence[str] = ORDER) -> list[Violation]:
    """What the laws find, by time; of one thing at one moment only what says most."""
    found: list[Violation] = []
    for new in sorted((v for law in laws for v in RULES[law](scene)), key=_rank):
        if not any(_same(new, old) for old in found):
            found.append(new)
    return sorted(found, key=lambda v: (v.start, v.track))


def _rank(v: Violation) -> float:
    if v.law == "identity" and v.amount < TURN_COLOUR:
        return ORDER.index("causality") + 0.5  # what is set going may look otherwise
    return len(ORDER) if v.what in LAST else ORDER.index(v.law)


def _same(new: Violation, old: Violation) -> bool:
    if {new.law, old.law} == {"identity", "rigidity"}:
        return False  # what became another thing of another size did both
    sinking = old.law == "collision" and old.start <= new.start <= old.end + SAME_MOMENT
    return new.track in (old.track, old.other) and (sinking or abs(new.start - old.start) < SAME_MOMENT)
