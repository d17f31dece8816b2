"""What a script's words settle before a network imagines the rest: the camera's moves, and who plays.

The camera makes its moves to the degree: a network that reads the same words made 0.28 of such moves (0.05 of those
that were asked for in Chinese).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import torch
from torch import Tensor

from reverie.audit.asking import Claim, asked
from reverie.audit.prompt_camera import USUAL
from reverie.audit.wording import Wanted
from reverie.audit.wording_grammar import ACTS
from reverie.core.camera import CameraPath
from reverie.core.clip import Line
from reverie.core.errors import ReverieError
from reverie.core.moves import DIRECTIONS, LIMITS, Move, camera_path
from reverie.core.vocabulary import ALIVE, COLOURS, KINDS, MAX_THINGS
from reverie.model import things as th
from reverie.model.cast import MOST_LINES, SIDES, WAYS, Cast
from reverie.model.steering import Pose, first_pose, in_sight

TAKES, LONGEST = 3.0, 8.0  # seconds from which on a move of no given size is a usual one; that a move takes at most
SHARES = (1.0, 0.75, 0.5, 0.25)  # of a usual move, of which the first is made that keeps the stage in sight
STEPS = 9  # poses of a move, to see where it leads
STILL = (Move("still", "", 0.0),)
# words of ACTS that say of nothing that it moves, and those that may say it of the camera
STAYS = re.compile(r"is|are|stand\w*|stay\w*|motionless|at-rest|golden|place\w*|close\w*|inclin\w*|slippery|springy"
                   r"|bouncy")
MOVES = re.compile(r"(?:pan|tilt|orbit|circl|crane|doll|track|swivel|rotat|turn|creep|drift|zoom|inclin|angl|pitch|ris"
                   r"|mov|go|com|push|lower|lift|descend|ascend|driv|glid|slid|travel|arc|sink)\w*")
ACTS_ZH = re.compile("[撞碰打击踢跑走跳飞滚掉落飘]|(?<!光)滑(?!溜)|移动|旋转|消失|出现")
CAMERA_ZH = re.compile("(?:镜头|摄像机|视角|相机|机位|画面)[^,，。;；]*")
# what may begin after the opening: who does it comes then
LATE = ("enters", "dropped", "stacked", "thrown", "covered", "hidden")
FROM_ABOVE = ("stacked", "covered")  # by a hand that is not seen
# what is said of a screen that a hand lets down, and does not fall, though it has nothing with a name to cover
LET_DOWN = re.compile(r"\b(?:in front of|everything|(?:and|then|it) (?:\w+ )?(?:rises|lifts|goes up))\b"
                      r"|[遮挡升]|前面|一切")
BY_OTHERS = ("covered", "pushed")  # what another does
# centimetres a second that truth's hand gives; to what pushes another as well; a shot at a hoop takes what it needs
KICKED = {"slid": 230, "rolled": 235, "leaves": 320, "launched": 410, "pushed": 300, "hidden": 300, "scored": 0,
          "missed": 0}
SHOT = {"scored": "through", "missed": "short"}  # as cast.WAYS has them


def moves_told(script: Sequence[Line], seconds: float, opening: CameraPath | None = None
               ) -> list[tuple[float, tuple[Move, ...]]]:
    """Moves of the camera by start second, as World.imagine has them, for a video of so many seconds; empty where no
    move is told, or one that depends on where things will be ("follows the dog"). A line that tells none stands still;
    a move is over after LONGEST seconds. What words leave open is such that a camera that begins at ``opening``, or
    where cameras that are told to go begin, does not lose the stage."""
    try:
        claims = [claim for claim in asked(list(script)) if claim.aspect == "camera"]
    except ReverieError:  # a language that nobody reads: the network may
        return []
    if not claims or any(claim.what not in ("still", *DIRECTIONS) for claim in claims):
        return []
    parts: list[tuple[float, tuple[Move, ...]]] = []
    script = [line for line in script if line.start < seconds]
    ends, pose = [*(line.start for line in script[1:]), seconds], first_pose(opening)
    for start, end in zip((line.start for line in script), ends, strict=True):
        lasts = min(end - start, LONGEST)
        told = {claim.what: claim for claim in claims if claim.start == start and claim.what != "still"}
        moves, pose = _moves(list(told.values()), lasts, pose)
        parts.append((start, moves or STILL))
        if moves and start + lasts < end:
            parts.append((start + lasts, STILL))
    return parts


def _moves(claims: Sequence[Claim], lasts: float, pose: Pose) -> tuple[tuple[Move, ...], Pose]:
    """Claims of one line as moves in so many seconds, from a pose on, and the pose that they lead to."""
    ways = [[claim.detail] if claim.detail in DIRECTIONS[claim.what] else DIRECTIONS[claim.what] for claim in claims]
    for share in SHARES:
        for chosen in product(*ways):
            moves = tuple(_move(claim, way, share * min(lasts / TAKES, 1.0))
                          for claim, way in zip(claims, chosen, strict=True))
            end = camera_path(moves, *pose, STEPS, 1.0)[0][-1:]
            if in_sight(end):
                return moves, first_pose(end)
    return moves, first_pose(end)


def _move(claim: Claim, way: str, share: float) -> Move:
    """A claim as a move; where no size is given, a share of a usual one."""
    return Move(claim.what, way, min(claim.count / 1000 or USUAL[claim.what] * share, LIMITS[claim.what]))


def cast_told(script: Sequence[Line], things: Tensor | None = None, met: Tensor | None = None,
              numbers: Sequence[int] | None = None, now: int = 0) -> Cast:
    """Who a script's words say is there, comes, and does something, in the slots in which training has them: by first
    mention. Where all that is named is understood, nothing else may come.

    things (S, WIDTH), met (S,) bool: what was there when the script was first cast, and which slots ever held a thing;
    who is named and there is he, others take the slots that are free. numbers: of the script's lines, if not 0, 1 ...
    now: that of the line that is in force; who does something in several lines is cast for it, or for the last before.
    """
    cast = Cast.open(1)
    try:
        claims = asked(list(script))
    except ReverieError:
        return cast
    named = [claim for claim in claims if claim.aspect == "kind"]
    met = torch.zeros(MAX_THINGS, dtype=torch.bool) if met is None else met.cpu()
    slots, free = _slots([claim.things[0] for claim in named if claim.known], things, met)
    events = [_covers(claim, script) for claim in claims if claim.aspect == "event" and claim.known]
    firsts = {id(claim.second): claim.first for claim in claims
              if claim.aspect == "order" and claim.first.start == claim.second.start}  # a later line waits for nobody
    numbers = list(numbers or range(len(script)))
    line = {one.start: n for one, n in zip(script, numbers, strict=True)}
    shot = {thing.number for claim in events if claim.what in SHOT and _hoop_of(claim, slots) >= 0
            for thing in claim.things if thing.line == 0}
    late = {thing.number: line[claim.start] for claim in reversed(events) if claim.what in LATE
            for thing in (claim.others if claim.what == "covered" else claim.things) if thing.number not in shot}
    acting: dict[int, int] = {}  # who is cast for what happens in which line
    for n, thing in sorted({(line[claim.start], thing.number) for claim in events for thing in _actors(claim)}):
        acting[thing] = n if n <= now else acting.get(thing, n)
    for thing, slot in slots.items():
        cast.kind[0, slot] = KINDS.index(thing.kind)
        row = [one for one in slots if (one.kind, one.colours, one.line) == (thing.kind, thing.colours, thing.line)]
        if len(thing.colours) == 1 or 1 < len(thing.colours) <= len(row):  # of a row in several colours each has one
            colour = thing.colours[row.index(thing) % len(thing.colours)]
            cast.colour[0, slot] = list(COLOURS).index(colour)
        if thing.line > 0 or things is not None:  # who is named later comes then
            cast.due[0, slot] = numbers[thing.line]
        elif thing.number not in late:
            cast.present[0, slot] = 1
    leaves = {(claim.start, thing): claim for claim in events if claim.what == "leaves" for thing in claim.things}
    hit = {(claim.start, thing) for claim in events if claim.what == "pushed" and claim.others
           for thing in claim.things}
    for claim in events:
        actors, first = _actors(claim), firsts.get(id(claim))
        lead = None if first is None else slots.get(_actors(first)[0])
        for thing in actors:
            slot = slots.get(thing, -1)
            if slot >= 0 and thing.number in late:
                cast.due[0, slot] = late[thing.number]
            if slot < 0 or claim.what == "rests" or claim.what == "leaves" and (claim.start, thing) in hit:
                continue  # nothing is to be done, or another does it
            if acting[thing.number] != line[claim.start]:
                continue  # what it does now, or did last, is another thing
            if claim.what == "enters" and claim.detail in SIDES[:2]:
                cast.side[0, slot] = SIDES.index(claim.detail)
            if claim.what == "thrown" and thing.kind not in ALIVE and cast.due[0, slot] >= 0:
                cast.pace[0, slot] = KICKED["launched"]
                cast.side[0, slot] = 1 - SIDES.index(claim.detail) if claim.detail in SIDES[:2] else cast.side[0, slot]
            kicked = claim.what in KICKED and thing.kind not in (*ALIVE, "pendulum")
            if claim.what in SHOT:
                cast.target[0, slot] = _hoop_of(claim, slots)
                kicked = kicked and cast.target[0, slot] >= 0
            if kicked and actors == claim.others and slots.get(claim.things[0], slot) != slot:
                cast.target[0, slot] = slots[claim.things[0]]
                cast.side[0, slot] = 1 - SIDES.index(claim.detail) if claim.detail in SIDES[:2] else -1
            if claim.what == "hidden" and claim.others and slots.get(claim.others[0], slot) != slot:
                cast.target[0, slot], cast.behind[0, slot] = slots[claim.others[0]], 1
                if cast.side[0, slot] < 0 and claim.detail in SIDES[:2]:
                    cast.side[0, slot] = 1 - SIDES.index(claim.detail)
            if claim.what in FROM_ABOVE:
                others = claim.things if actors == claim.others else claim.others
                cast.side[0, slot] = SIDES.index("above")
                cast.target[0, slot] = next((slots[other] for other in others if slots.get(other, slot) != slot), -1)
            if cast.cued[0, slot] >= 0 or first is not None and lead in (None, slot):
                continue  # it was cued before, or goes on by itself
            cast.cued[0, slot], cast.after[0, slot] = line[claim.start], -1 if lead is None else lead
            if kicked:
                off = leaves.get((claim.start, thing))
                way = SHOT.get(claim.what) or (
                    "up" if claim.what == "launched" else claim.detail or (off.detail if off else ""))
                cast.way[0, slot] = WAYS.index(way if way in WAYS else "out" if off else "aside")
                cast.pace[0, slot] = KICKED["leaves" if off else claim.what]
    cast.pace[(cast.target >= 0) & (cast.pace > 0)] = KICKED["pushed"]
    if named and all(claim.known and not claim.things[0].loose for claim in named):
        cast.present[0, free] = 0
    cast.idle[:] = 0
    for start, n in line.items():
        own = [claim for claim in claims if claim.start == start]
        if n <= MOST_LINES and own and all(claim.known for claim in own) and not _unread(own, script, start):
            acts = [slots.get(thing, -1) for claim in events if claim.start == start and claim.what != "rests"
                    for thing in _actors(claim)]
            cast.idle[0, [slot for slot in range(MAX_THINGS) if slot not in acts]] += 1 << n
    return cast


def _unread(claims: Sequence[Claim], script: Sequence[Line], start: float) -> bool:
    """Whether a line of which no event was read has words that may say one all the same ("hits", "spins")."""
    if any(claim.aspect == "event" for claim in claims):
        return False
    text = _text(script, start).lower().replace("nothing moves", "")
    camera = any(claim.aspect == "camera" for claim in claims)
    found = [match[0] for match in ACTS.finditer(text)]
    return bool(ACTS_ZH.search(CAMERA_ZH.sub("", text))) or any(
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


def _slots(named: Sequence[Wanted], things: Tensor | None, met: Tensor) -> tuple[dict[Wanted, int], list[int]]:
    """The slots of things that are named, and those that are left."""
    kinds, colours = ([0] * MAX_THINGS if things is None else things[:MAX_THINGS, th.THING[name]].argmax(-1).tolist()
                      for name in ("kind", "colour"))
    there = [] if things is None else (things[:MAX_THINGS, 0] > 0).nonzero()[:, 0].tolist()
    free = (~met).nonzero()[:, 0].tolist()  # nothing that is gone comes back
    slots: dict[Wanted, int] = {}
    for thing in named:
        told = [list(COLOURS).index(colour) for colour in thing.colours]
        own = [s for s in there if kinds[s] == KINDS.index(thing.kind) and (not told or colours[s] in told)]
        new = free[:1] if things is not None else [thing.number] if thing.number in free else []
        if own or new:
            slots[thing] = (own or new)[0]
            (there if own else free).remove(slots[thing])
    return slots, free
