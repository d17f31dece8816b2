"""Traffic lights: the programs they run, and where in these a past leaves them.

A past shows what lights showed, not how late it is in their programs: unless one changed before one's eyes, how long
it has shown what it shows is a guess, another in every future.
Legend: S signals, T frames, P phases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LIGHTS = "ryg"  # what a signal shows: red, yellow, green
YELLOW = 1.5  # seconds after which a light that was yellow is red, where nobody knows its program


@dataclass(frozen=True)
class Program:
    """One junction's lights, which go through P phases again and again. signals: which of the net's they are; seconds:
    how long each phase lasts; shows: of each phase what each of these signals shows, letters of LIGHTS."""

    signals: tuple[int, ...]
    seconds: tuple[float, ...]
    shows: tuple[str, ...]


def letter(state: str) -> str:
    """One of SUMO's letters for a signal as one of LIGHTS."""
    state = state.lower()
    return state if state in LIGHTS else "r" if state == "u" else "g"


def program(signals: Sequence[int], seconds: Sequence[float], shows: Sequence[str]) -> Program:
    """A Program without phases that show what the one before shows."""
    kept: list[list] = []
    for length, shown in zip(seconds, shows, strict=True):
        if kept and kept[-1][1] == shown:
            kept[-1][0] += length
        else:
            kept.append([length, shown])
    if len(kept) > 1 and kept[0][1] == kept[-1][1]:  # the last goes on as the first
        kept[0][0] += kept.pop()[0]
    return Program(tuple(signals), tuple(float(length) for length, _ in kept), tuple(shown for _, shown in kept))


class Lights:
    """What the lights of a net show after a past. programs: known ones, of which the lights take those that the past
    agrees with; shown (T, S) uint8: what they showed until now, places in LIGHTS; chance: of how late it is."""

    def __init__(self, programs: Sequence[Program], shown: np.ndarray, fps: float, chance: np.random.Generator) -> None:
        self.last = shown[-1].copy()
        self.running: list[tuple[Program, float]] = []  # and how many seconds after its first phase's start it is
        for one in programs:
            late = _late(one, shown[:, list(one.signals)], fps, chance)
            if late is not None:
                self.running.append((one, late))
        self.known = np.zeros(len(self.last), bool)
        for one, _ in self.running:
            self.known[list(one.signals)] = True

    def at(self, seconds: float) -> np.ndarray:
        """(S,) uint8: what they show so many seconds after the past's end."""
        out = self.last.copy()
        if seconds >= YELLOW:
            out[~self.known & (out == LIGHTS.index("y"))] = LIGHTS.index("r")
        for one, late in self.running:
            ends = np.cumsum(one.seconds)
            phase = int(np.searchsorted(ends, (late + seconds) % ends[-1], side="right")) % len(ends)
            out[list(one.signals)] = [LIGHTS.index(x) for x in one.shows[phase]]
        return out


def _late(one: Program, shown: np.ndarray, fps: float, chance: np.random.Generator) -> float | None:
    """How many seconds after the start of its first phase a program's lights are that showed (T, n), None where the
    past does not agree with it."""
    texts = ["".join(LIGHTS[x] for x in row) for row in shown[::-1]]
    same = next((k for k, text in enumerate(texts) if text != texts[0]), len(texts))  # frames, the present one included
    before, since = (texts[same] if same < len(texts) else ""), same / fps
    found = []
    for p, (length, text) in enumerate(zip(one.seconds, one.shows, strict=True)):
        if text == texts[0] and (not before or one.shows[p - 1] == before) and (before or since <= length):
            found.append((p, max(length - since, 0.0)))
    if not found:
        return None
    room = np.array([left for _, left in found])
    number = int(chance.choice(len(found), p=room / room.sum() if room.sum() > 0 else None))
    phase, left = found[number]
    start = float(sum(one.seconds[:phase]))
    if before:
        return start + min(since, one.seconds[phase])
    return start + since + float(chance.uniform(0, left))
