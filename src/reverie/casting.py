"""Who plays in a script, line by line: what its words settle of the things before a network imagines the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from reverie.audit.asking import Claim, asked
from reverie.audit.wording import Wanted
from reverie.audit.wording_camera import CAMERA_ZH
from reverie.audit.wording_grammar import ACTS
from reverie.core.clip import Line
from reverie.core.errors import ReverieError
from reverie.core.vocabulary import ALIVE, COLOURS, KINDS, MAX_THINGS
from reverie.model import things as th
from reverie.model.cast import MOST_LINES, SIDES, WAYS, Cast

# words of ACTS that say of nothing that it moves, and those that may say it of the camera
STAYS = re.compile(r"is|are|stand\w*|stay\w*|motionless|at-rest|golden|place\w*|close\w*|inclin\w*|slippery|springy"
                   r"|bouncy")
MOVES = re.compile(r"(?:pan|tilt|orbit|circl|crane|doll|track|swivel|rotat|turn|creep|drift|zoom|inclin|angl|pitch|ris"
                   r"|mov|go|com|push|lower|lift|descend|ascend|driv|glid|slid|travel|arc|sink)\w*")
ACTS_ZH = re.compile("[撞碰打击踢跑走跳飞滚掉落飘]|(?<!光)滑(?!溜)|移动|旋转|消失|出现")
OF_CAMERA_ZH = re.compile(f"(?:{CAMERA_ZH})[^,，。;；]*")
# what may begin after the opening: who does it comes then
LATE = ("enters", "dropped", "stacked", "thrown", "covered", "hidden")
FROM_ABOVE = ("stacked", "covered")  # by a hand that is not seen
# what is said of a screen that is lifted (the camera goes up as well), and of one that a hand lets down, and does not
# fall, though it has nothing with a name to cover
UP, UP_ZH = r"(?:rises?|lifts?|lifted|raised|goes up|opens?)\b", "(?:升|拉起|打开)"
RISES = re.compile(rf"\b(?:screen|curtain|shutter|blind|drape|it)s?\b(?:(?!camera|gaze|view|lens)[^,.;])*\b{UP}"
                   rf"|(?:幕|屏|帘|它)[^,，。;；]*{UP_ZH}")
LET_DOWN = re.compile(rf"\b(?:in front of|everything|(?:and|then) (?:\w+ )?{UP})\b|[遮挡升]|前面|一切|{RISES.pattern}")
STANDS, LONG = 115, 1_000_000  # hundredths of a second that truth's screens stand (70 to 160), and for good
# what is said of what is thrown up more than once; seconds between two throws of truth (1.5 to 2.1), and that one takes
AGAIN = re.compile(r"\b(?:again and again|over and over|repeatedly|keeps?)\b|一次又?一?次|反复|不断|不停|一再|连续")
EVERY, FLIGHT = 1.8, 0.9
BY_OTHERS = ("covered", "pushed")  # what another does
# centimetres a second that truth's hand gives; to what pushes another as well; a shot at a hoop takes what it needs
KICKED = {"slid": 230, "rolled": 235, "leaves": 320, "launched": 410, "pushed": 300, "hidden": 300, "scored": 0,
          "missed": 0}
SHOT = {"scored": "through", "missed": "short"}  # as cast.WAYS has them


class Casting:
    """A script's words, read once and cast line by line: who is there, who comes, and who does something, in the slots
    in which training has them: by first mention. Where all that is named is understood, nothing else may come.

    things (S, WIDTH), met (S,) bool: what is there already, and which slots ever held a thing; who is named and there
    is he, others take the slots that are free. numbers: of the script's lines, if not 0, 1 ... seats: slots that the
    network has. Who comes when they are taken has none, until ``seat`` gives him that of somebody who is gone.
    """

    def __init__(self, script: Sequence[Line], things: Tensor | None = None, met: Tensor | None = None,
                 numbers: Sequence[int] | None = None, seats: int = MAX_THINGS) -> None:
        self._script, numbers = list(script), list(numbers or range(len(script)))
        self._line = {one.start: n for one, n in zip(script, numbers, strict=True)}
        self.slots: dict[Wanted, int] = {}  # of things that are named
        self._waiting: list[Wanted] = []  # for a seat
        self._claims = None
        try:
            self._claims = asked(self._script)
        except ReverieError:  # a language that nobody reads
            return
        named = [claim for claim in self._claims if claim.aspect == "kind"]
        self._settled = bool(named) and all(claim.known and not claim.things[0].loose for claim in named)
        self._seat([claim.things[0] for claim in named if claim.known], things,
                   torch.zeros(MAX_THINGS, dtype=torch.bool) if met is None else met.cpu(), seats)
        self._events = [_covers(claim, script) for claim in self._claims if claim.aspect == "event" and claim.known]
        self._hit = {(claim.start, thing) for claim in self._events if claim.what == "pushed" and claim.others
                     for thing in claim.things}
        self._firsts = {id(claim.second): claim.first for claim in self._claims  # a later line waits for nobody
                        if claim.aspect == "order" and claim.first.start == claim.second.start}
        shot = {thing.number for claim in self._events if claim.what in SHOT and _hoop_of(claim, self.slots) >= 0
                for thing in claim.things if thing.line == 0}
        late = {thing.number: self._line[claim.start] for claim in reversed(self._events) if claim.what in LATE
                for thing in (claim.others if claim.what == "covered" else claim.things) if thing.number not in shot}
        # of who is not there at the opening, the line in which he comes
        self._due = {thing.number: numbers[thing.line] for thing in (*self.slots, *self._waiting)
                     if thing.line > 0 or things is not None} | late

    def _seat(self, named: Sequence[Wanted], things: Tensor | None, met: Tensor, seats: int) -> None:
        """Say where those who are named sit, who must wait, and which slots are left."""
        known = torch.zeros(MAX_THINGS, th.WIDTH) if things is None else things[:MAX_THINGS]
        kinds, colours = (known[:, th.THING[name]].argmax(-1).tolist() for name in ("kind", "colour"))
        there = (known[:, 0] > 0).nonzero()[:, 0].tolist()
        self._free = (~met).nonzero()[:, 0].tolist()
        for thing in named:
            told = [list(COLOURS).index(colour) for colour in thing.colours]
            own = [s for s in there if kinds[s] == KINDS.index(thing.kind) and (not told or colours[s] in told)]
            new = self._free[:1] if things is not None else [thing.number] if thing.number in self._free else []
            if own or new and new[0] < seats:
                self.slots[thing] = (own or new)[0]
                (there if own else self._free).remove(self.slots[thing])
            else:
                self._waiting.append(thing)

    def seat(self, now: int, gone: Sequence[int]) -> list[int]:
        """Of the slots whose things are gone, those that who comes in the line ``now`` takes, for want of others."""
        left, taken = list(gone), []
        for thing in [thing for thing in self._waiting if self._due.get(thing.number, now) <= now and left]:
            taken.append(left.pop(0))
            self._waiting.remove(thing)
            self.slots = {other: slot for other, slot in self.slots.items() if slot != taken[-1]} | {thing: taken[-1]}
        return taken

    def at(self, now: int) -> Cast:
        """The cast in the line of that number; who does something in several lines is cast for it, or for the last
        before."""
        cast, slots = Cast.open(1), self.slots
        if self._claims is None:
            return cast
        acting: dict[int, int] = {}  # who is cast for what happens in which line
        for n, number in sorted({(self._line[claim.start], thing.number) for claim in self._events
                                 for thing in _actors(claim)}):
            acting[number] = n if n <= now else acting.get(number, n)
        for thing, slot in slots.items():
            cast.kind[0, slot] = KINDS.index(thing.kind)
            row = [one for one in slots if (one.kind, one.colours, one.line) == (thing.kind, thing.colours, thing.line)]
            if len(thing.colours) == 1 or 1 < len(thing.colours) <= len(row):  # of several each of a row has one
                colour = thing.colours[row.index(thing) % len(thing.colours)]
                cast.colour[0, slot] = list(COLOURS).index(colour)
            if thing.number in self._due:
                cast.due[0, slot] = self._due[thing.number]
            else:
                cast.present[0, slot] = 1
        for claim in self._events:
            for thing in _actors(claim):
                by_another = claim.what == "leaves" and (claim.start, thing) in self._hit
                now_or_last = acting[thing.number] == self._line[claim.start]
                if thing in slots and now_or_last and claim.what != "rests" and not by_another:
                    self._cast(cast, claim, thing, now)
        cast.pace[(cast.target >= 0) & (cast.pace > 0)] = KICKED["pushed"]
        if self._settled:
            cast.present[0, self._free] = 0
        cast.idle[:] = 0
        for start, n in self._line.items():
            own = [claim for claim in self._claims if claim.start == start]
            if n <= MOST_LINES and own and all(claim.known for claim in own) and not _unread(own, self._script, start):
                acts = [slots.get(thing, -1) for claim in self._events if claim.start == start and claim.what != "rests"
                        for thing in _actors(claim)]
                cast.idle[0, [slot for slot in range(MAX_THINGS) if slot not in acts]] += 1 << n
        return cast

    def _lifted(self, start: float) -> int:
        """The line in which a screen is lifted that the line which begins then lets down: that, but where only a later
        one, which lets down none, says that one rises."""
        others = {claim.start for claim in self._events if claim.what in FROM_ABOVE and claim.start != start
                  and any(thing.kind == "screen" for thing in _actors(claim))}
        return next((self._line[one.start] for one in self._script if one.start >= start and one.start not in others
                     and RISES.search(one.text)), self._line[start])

    def _cast(self, cast: Cast, claim: Claim, thing: Wanted, now: int) -> None:
        """Cast one thing, in the line ``now``, for what happens to it."""
        slots, slot, first = self.slots, self.slots[thing], self._firsts.get(id(claim))
        lead = None if first is None else slots.get(_actors(first)[0])
        by_others = _actors(claim) == claim.others
        if claim.what == "enters" and claim.detail in SIDES[:2]:
            cast.side[0, slot] = SIDES.index(claim.detail)
        if claim.what == "thrown" and thing.kind not in ALIVE and cast.due[0, slot] >= 0:
            cast.pace[0, slot] = KICKED["launched"]
            cast.side[0, slot] = 1 - SIDES.index(claim.detail) if claim.detail in SIDES[:2] else cast.side[0, slot]
        kicked = claim.what in KICKED and thing.kind not in (*ALIVE, "pendulum")
        if claim.what in SHOT:
            cast.target[0, slot] = _hoop_of(claim, slots)
            kicked = kicked and cast.target[0, slot] >= 0
        if kicked and by_others and slots.get(claim.things[0], slot) != slot:
            cast.target[0, slot] = slots[claim.things[0]]
            cast.side[0, slot] = 1 - SIDES.index(claim.detail) if claim.detail in SIDES[:2] else -1
        if claim.what == "hidden" and claim.others and slots.get(claim.others[0], slot) != slot:
            cast.target[0, slot], cast.behind[0, slot] = slots[claim.others[0]], 1
            if cast.side[0, slot] < 0 and claim.detail in SIDES[:2]:
                cast.side[0, slot] = 1 - SIDES.index(claim.detail)
        if claim.what in FROM_ABOVE:
            others = claim.things if by_others else claim.others
            cast.side[0, slot] = SIDES.index("above")
            cast.target[0, slot] = next((slots[other] for other in others if slots.get(other, slot) != slot), -1)
            if thing.kind == "screen":
                cast.stands[0, slot] = STANDS if now >= self._lifted(claim.start) else LONG
        own = [other for other in self._events if other.what != "rests" and thing in (*other.things, *other.others)]
        off = next((other for other in own if other.what == "leaves" and other.start == claim.start
                    and thing in other.things), None)
        cast.kept[0, slot] = off is None and any(other.start > claim.start for other in own)
        if cast.cued[0, slot] >= 0 or first is not None and lead in (None, slot):
            return  # it was cued before, or goes on by itself
        cast.cued[0, slot], cast.after[0, slot] = self._line[claim.start], -1 if lead is None else lead
        if kicked:
            way = SHOT.get(claim.what) or (
                "up" if claim.what == "launched" else claim.detail or (off.detail if off else ""))
            cast.way[0, slot] = WAYS.index(way if way in WAYS else "out" if off else "aside")
            cast.pace[0, slot] = KICKED["leaves" if off else claim.what]
            if claim.what == "launched" and AGAIN.search(_text(self._script, claim.start).lower()):
                later = next((line.start for line in self._script if line.start > claim.start), LONG / 100)
                cast.hops[0, slot] = max(1, int((later - claim.start - FLIGHT) / EVERY) - 1)


def _unread(claims: Sequence[Claim], script: Sequence[Line], start: float) -> bool:
    """Whether a line of which no event was read has words that may say one all the same ("hits", "spins")."""
    if any(claim.aspect == "event" for claim in claims):
        return False
    text = _text(script, start).lower().replace("nothing moves", "")
    camera = any(claim.aspect == "camera" for claim in claims)
    found = [match[0] for match in ACTS.finditer(text)]
    return bool(ACTS_ZH.search(OF_CAMERA_ZH.sub("", text))) or any(
        not STAYS.fullmatch(word) and not (camera and MOVES.fullmatch(word)) for word in found)


def _text(script: Sequence[Line], start: float) -> str:
    """Of the line that begins then."""
    return next(line.text for line in script if line.start == start)


def _covers(claim: Claim, script: Sequence[Line]) -> Claim:
    """What is hidden behind a screen is covered by it: it does not go there; and a screen that comes down in front of
    what has no name, or rises again, is put down: it does not fall."""
    if claim.what == "dropped" and all(thing.kind == "screen" for thing in claim.things):
        return replace(claim, what="stacked") if LET_DOWN.search(_text(script, claim.start)) else claim
    screens = claim.what == "hidden" and not claim.detail and claim.others
    return replace(claim, what="covered") if screens and claim.others[0].kind == "screen" else claim


def _hoop_of(claim: Claim, slots: Mapping[Wanted, int]) -> int:
    """The slot of the hoop at which a shot goes: that which is named with it, or the only one; -1 where there is none.
    """
    named = [slots[other] for other in claim.others if other.kind == "hoop" and other in slots]
    known = named or [slot for thing, slot in slots.items() if thing.kind == "hoop"]
    return known[0] if named or len(known) == 1 else -1


def _actors(claim: Claim) -> tuple[Wanted, ...]:
    """Who does what happens."""
    return claim.others if claim.what in BY_OTHERS and claim.others else claim.things
