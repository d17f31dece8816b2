"""What a prompt claims: patterns over its marked text for places, happenings, their order, and the camera.

In a pattern <a> is a mark of who it happens to, <o> one of the other thing. What a pattern has read is blanked out, so
the special ones stand before the plain ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from reverie.audit.wording import MARK, Marked, Reader, Wanted
from reverie.audit.wording_camera import camera_asked
from reverie.audit.wording_patterns import CONNECTORS, DIRECTIONS, EVENTS, GOVERNED, OTHERS, PLACES, RELATIONS
from reverie.core.clip import Line


@dataclass(frozen=True)
class Claim:
    """One thing that a prompt asks for.

    aspect: of findings.Aspect. what: "" or the relation, spot or event by name, a camera move's kind. things, others:
    what it is about. count: how many (aspect count). detail: a direction or side, "" for any. words: as asked. line,
    start, end: of the script's line, seconds (end infinite for the last). first: for order, the claim that comes before
    ``second``; unknown words have aspect kind and known False.
    """

    aspect: str
    words: str
    what: str = ""
    things: tuple[Wanted, ...] = ()
    others: tuple[Wanted, ...] = ()
    count: int = 0
    detail: str = ""
    start: float = 0.0
    end: float = float("inf")
    turn: int = 0
    first: Claim | None = None
    second: Claim | None = None
    known: bool = True


@dataclass
class _Told:
    """An event as the text has it: at characters low..high of its line."""

    kind: str
    low: int
    high: int
    things: tuple[Wanted, ...]
    others: tuple[Wanted, ...]
    detail: str
    words: str


def asked(prompt: str | Sequence[Line], camera: str | None = None) -> list[Claim]:
    """The claims of a prompt, or of a script's lines, in English or Chinese (each line in one of them).

    camera: moves as core.moves has them, besides those that the text tells. An empty text claims nothing. Raises
    BadInput for camera moves that make no sense.
    """
    lines = [Line(0.0, prompt)] if isinstance(prompt, str) else list(prompt)
    reader, claims = Reader(), []
    happened: list[Claim] = []
    ends = [line.start for line in lines[1:]] + [float("inf")]
    for line, end in zip(lines, ends, strict=True):
        marked = reader.read(re.sub("[{}<>#\u00b7\ue000-\uf8ff]", " ", line.text)[:2000])
        made, events = _of_line(reader, marked, line, end)
        if happened and events:
            claims.append(_order(happened[-1], events[0]))
        happened += events
        claims += made
    claims = [*_there(reader), *_numbered(claims), *camera_claims(camera)]
    return claims + [Claim("kind", word, known=False) for word in reader.unknown]


def camera_claims(camera: str | None) -> list[Claim]:
    """The claim that moves in core.moves' form make."""
    from reverie.core.moves import parse_moves

    return [Claim("camera", f"camera: {camera}", m.kind, detail=m.direction, count=round(1000 * m.amount))
            for m in (parse_moves(camera) if camera and camera.strip() else ())]


def _there(reader: Reader) -> list[Claim]:
    """Claims about which things there are: kinds, colours, counts."""
    claims = []
    known = [t for t in reader.things if t.known]
    for thing in known:
        claims.append(Claim("kind", thing.name, thing.kind, (thing,)))
        if thing.colours:
            claims.append(Claim("colour", thing.name, "", (thing,)))
    for kind, colours in dict.fromkeys((t.kind, t.colours) for t in known):
        alike = tuple(t for t in known if (t.kind, t.colours) == (kind, colours))
        if any(not t.colours for t in known if t.kind == kind):  # "a red ball and a ball": only their sum is said
            alike = tuple(t for t in known if t.kind == kind)
        more = "or more " if any(t.loose for t in alike) else ""
        claims.append(Claim("count", f"{len(alike)} {more}{alike[0].name}", "more" if more else "", alike,
                            count=len(alike)))
    return list(dict.fromkeys(claims))


def _numbered(claims: list[Claim]) -> list[Claim]:
    """With the turn of each event: 0 for the first time that this happens to these things, 1 for the second ..."""
    turns: dict[tuple, int] = {}
    new: dict[int, Claim] = {}
    for claim in claims:
        if claim.aspect == "event":
            key = (claim.what, claim.things)
            new[id(claim)] = replace(claim, turn=turns.get(key, 0))
            turns[key] = turns.get(key, 0) + 1
    return [new[id(c)] if id(c) in new else c if c.aspect != "order" else replace(
        c, first=new.get(id(c.first), c.first), second=new.get(id(c.second), c.second)) for c in claims]


def _order(first: Claim, second: Claim) -> Claim:
    return Claim("order", f"{first.words}, then {second.words}", "then", first.things, second.things, first=first,
                 second=second, start=first.start, end=second.end)


# -- one line -------------------------------------------------------------------------------------------------


@dataclass
class _Text:
    """A line's text while it is read: what is read is blanked out, the marks of who acts stay."""

    text: str
    language: str
    reader: Reader
    told: list[_Told] = field(default_factory=list)

    def blank(self, low: int, high: int, keep: Sequence[int] = ()) -> None:
        chars = list(self.text)
        for k in range(low, high):
            if k not in keep:
                chars[k] = "\u00b7"
        self.text = "".join(chars)

    def things(self, mark: str) -> tuple[Wanted, ...]:
        return self.reader.of(mark).things


def _of_line(reader: Reader, marked: Marked, line: Line, end: float) -> tuple[list[Claim], list[Claim]]:
    """A line's claims about places, events and the camera, and the events among them in the order of time."""
    plain, moves = camera_asked(marked, reader)
    for pattern, token in [*RELATIONS[marked.language], *DIRECTIONS[marked.language], *CONNECTORS[marked.language]]:
        plain = re.sub(pattern, token, plain)
    text = _Text(plain, marked.language, reader)
    for pattern, kind in EVENTS[marked.language]:
        for found in re.finditer(pattern, text.text):
            if not set(found[0]) <= {"\u00b7", " "}:
                _take(text, found, kind)
    text.told.sort(key=lambda t: t.low)
    _meant(text)
    places = _places(text, line, end)
    events = [(t, Claim("event", t.words, t.kind, t.things, t.others, detail=t.detail, start=line.start, end=end))
              for t in text.told]
    orders, rank = _orders(text, [c for _, c in events])
    claims = places + [c for _, c in events] + orders
    claims += [Claim("camera", words, kind, things, detail=way, count=round(1000 * amount), start=line.start, end=end)
               for kind, way, amount, things, words in moves]
    return claims, rank


def _take(text: _Text, found: re.Match, kind: str) -> None:
    """One event: who, with what, which way. Its characters are blanked out, but for the mark of who acts."""
    roles = {name[0]: name for name, value in found.groupdict().items() if value}
    low, high = found.span()
    if "\u00b7" in found[0]:
        return  # partly read already
    subject = found[roles["a"]] if "a" in roles else ""
    before = text.text[:low]
    clause = re.split(r"[.;:,?!]|\{(?:then|while|once|before|after|until)[^}]*\}", before)[-1]
    free = [m for m in re.finditer(MARK, clause) if not re.search(GOVERNED[text.language], clause[: m.start()])]
    governed = [m[0] for m in re.finditer(MARK, clause) if m not in free]
    around = found[0] + re.split(r"[.;,]|\{(?:then|while|once|before|after)[^}]*\}", text.text[high:])[0]
    other = found[roles["o"]] if "o" in roles else ""
    if not other:
        after = re.match(OTHERS[text.language], text.text[high:])
        if after:
            other = after[1]
        elif governed and text.language == "zh":
            other = governed[-1]
        elif kind == "pushed" and subject and free:  # "it rolls to the box and pushes it"
            other = free[-1][0]
    who = subject or (free[-1][0] if free else "")
    things = text.things(who) if who else ()
    if who and not things and not text.reader.of(who).pronoun:  # of "no ball" nothing is asked
        text.blank(low, high)
        return
    if subject and not things and kind == "pushed":
        named = [text.things(m) for m in re.findall(MARK, before)]
        doer = text.things(other) if other else ()
        things = next((m for m in reversed(named) if m and m != doer), ())
    if kind == "thrown" and things and all(t.kind == "bird" for t in things):
        kind = "walks"  # a bird that flies is not thrown
    if kind in ("scored", "missed") and other and text.language == "en":
        hoop = all(t.kind == "hoop" or not t.known for t in text.things(other))
        if not hoop:
            return
    if kind == "enters":
        way = re.search(r"\{from (\w+)\}", clause[-30:] + around) or re.search(r"\{from (\w+)\}", around)
    else:
        way = re.search(r"\{(?:to) (\w+)\}", (clause[-40:] if text.language == "zh" else "") + around)
    words = _spelt(text, found[0])
    text.told.append(_Told(kind, low, high, things, text.things(other) if other else (), way[1] if way else "", words))
    if who:
        text.told[-1].words = f"{_names(things)}: {kind}"
    text.blank(low, high, [found.start(roles["a"])] if subject else [])
    if not who:
        text.told[-1].things = (Wanted(-1, "?"),)


def _spelt(text: _Text, words: str) -> str:
    return re.sub(r"\{[^}]*\}|\u00b7", " ", re.sub(MARK, lambda m: _names(text.things(m[0])), words)).strip()


def _names(things: Sequence[Wanted]) -> str:
    """ "red ball", "3 red box"."""
    names = dict.fromkeys(t.name for t in things)
    return ", ".join(name if (n := sum(t.name == name for t in things)) == 1 else f"{n} {name}" for name in names)


def _meant(text: _Text) -> None:
    """Events whose doer is a pronoun, or not said, happen to who acted last, or is named last or next."""
    last: tuple[Wanted, ...] = ()
    kept = []
    for told in text.told:
        unsaid = told.things == (Wanted(-1, "?"),)
        if not told.things or unsaid:
            marks = [text.things(m[0]) for m in re.finditer(MARK, text.text[: told.low])]
            later = [text.things(m[0]) for m in re.finditer(MARK, text.text[told.high :])]
            named = [m for m in marks if m] or ([] if not unsaid else [m for m in later[:1] if m])
            earlier = [m.things for m in text.reader.mentions if m.things]
            told.things = last or (named[-1] if named else ()) or (earlier[-1] if earlier and not unsaid else ())
        if not told.things:
            continue
        told.others = tuple(t for t in told.others if t not in told.things)
        told.words = f"{_names(told.things)} {told.kind}" + (f" {told.detail}" if told.detail else "") + (
            f" ({_names(told.others)})" if told.others else "")
        last = told.things
        kept.append(told)
    text.told = kept


def _orders(text: _Text, events: list[Claim]) -> tuple[list[Claim], list[Claim]]:
    """Which event comes before which, as said; and all of them in the order of time."""
    orders, rank = [], list(range(len(events)))
    for n in range(len(events) - 1):
        one, two = text.told[n], text.told[n + 1]
        between = text.text[one.high : two.low]
        start = max(text.text.rfind(stop, 0, one.low) for stop in ".;") + 1
        lead = text.text[start : one.low] if not n or text.told[n - 1].high <= start else ""
        if "{then}" in between or "{before}" in between:
            orders.append(_order(events[n], events[n + 1]))
        elif "{after}" in between:
            orders.append(_order(events[n + 1], events[n]))
            rank[n], rank[n + 1] = rank[n + 1], rank[n]
        elif ("{once}" in lead or "{after}" in lead) and "." not in between:
            orders.append(_order(events[n], events[n + 1]))
        elif "{before}" in lead and "." not in between:
            orders.append(_order(events[n + 1], events[n]))
            rank[n], rank[n + 1] = rank[n + 1], rank[n]
    return orders, [events[n] for n in sorted(range(len(events)), key=lambda k: rank[k])]


def _places(text: _Text, line: Line, end: float) -> list[Claim]:
    """Where things are, of one another or in the picture."""
    claims = []
    found = [(m, name) for pattern, name in PLACES[text.language] for m in re.finditer(pattern, text.text)]
    for m, name in sorted(found, key=lambda pair: pair[0].start()):
        others = text.things(m[1]) if m[1] else ()
        who = tuple(t for t in _placed(text, m) if t not in others)
        if who and (others or name.startswith("spot")):
            side = name.split()[1]
            words = {"left": "left of", "right": "right of", "front": "in front of"}.get(side, side)
            words = words if others else f"at the {side}"
            claims.append(Claim("place", f"{_names(who)} {words} {_names(others)}".strip(), name, who, others,
                                start=line.start, end=end))
    return claims


def _placed(text: _Text, found: re.Match) -> tuple[Wanted, ...]:
    """Of what a place is said: what the sentence named or told before it, or, if it opens the clause, what follows."""
    low, high = found.span()
    start = max(text.text.rfind(stop, 0, low) for stop in ".;:") + 1
    before = text.text[start:low]
    after = re.split(r"[.;]", text.text[high:])[0]
    acts = [t for t in text.told if start <= t.low < low]
    later = [t for t in text.told if high <= t.low < high + len(after)]
    marks = [m for m in re.finditer(MARK, before) if not re.search(GOVERNED[text.language], before[: m.start()])]
    clause = re.split(",", before)[-1]
    opens = not re.search(MARK, clause) and not [t for t in acts if t.low >= low - len(clause)]
    follows = re.match(_FOLLOWS[text.language], after)
    if opens and (follows or not (marks or acts)):
        mark = re.search(MARK, after)
        acting = later[0].things if later else ()
        return (text.things(mark[0]) if mark else ()) or acting
    if acts and not re.search(MARK, text.text[acts[-1].high : low]):
        return acts[-1].things
    return text.things(marks[-1][0]) if marks else ()


# What stands between a place that opens a clause and the thing that it is said of.
_FOLLOWS = {"en": rf"\s*(?:,|is|are|stands?|we see|you see|there (?:is|are)|sits?|lies?|waits?)?\s*{MARK}",
            "zh": rf"(?:处|就)?,?(?:的是|有|能看到|可以看到|看到|摆着|停着|站着|坐着|是)?{MARK}"}
