"""Noun phrases of a prompt: which things it names. A text becomes the same text with a mark for each mention.

A mark is one character of Unicode's private area, so that patterns over the text can speak of "a thing" whatever its
name; audit.asking has these patterns. English and Chinese may stand in one text's lines, not in one line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from reverie.audit import lexicon
from reverie.audit.wording_grammar import (
    ACTS,
    BEGINS,
    COLOUR_ZH,
    IDIOMS_EN,
    IDIOMS_ZH,
    KINDS_ZH,
    LONGEST_ZH,
    PHRASE,
    PHRASE_ZH,
    TONES_ZH,
    number_zh,
    typed,
)

FIRST = 0xE000  # the first mark
MARK = "[\ue000-\uefff]"
_HANZI = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True)
class Wanted:
    """One thing that a prompt names. number: from 0, in the order of naming. kind: of core.vocabulary, or, when it is
    not known, the word itself. colours: one, or several of which it has one, or none. loose: whether there may be more
    of its like ("several boxes"). line: that which names it first."""

    number: int
    kind: str
    colours: tuple[str, ...] = ()
    known: bool = True
    loose: bool = False
    line: int = 0

    @property
    def name(self) -> str:
        """As a person would say it."""
        return " ".join([" or ".join(self.colours), self.kind]).strip()


@dataclass(frozen=True)
class Mention:
    """Things that a text speaks of at one place. pronoun: "it" or "they", whose meaning is not known yet."""

    things: tuple[Wanted, ...]
    pronoun: bool = False


@dataclass
class Marked:
    """A line with its mentions marked: text, chr(FIRST + n) for mention n; language "en" or "zh"."""

    text: str
    language: str


@dataclass
class Reader:
    """Reads the lines of one prompt in turn: things are remembered from line to line."""

    things: list[Wanted] = field(default_factory=list)
    mentions: list[Mention] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    line: int = -1

    def read(self, text: str) -> Marked:
        """The next line, marked."""
        self.line += 1
        if _HANZI.search(text):
            return Marked(self._chinese(text), "zh")
        return Marked(self._english(text), "en")

    def mark(self, things: tuple[Wanted, ...], pronoun: bool = False) -> str:
        """The mark of a new mention."""
        self.mentions.append(Mention(things, pronoun))
        return chr(FIRST + min(len(self.mentions) - 1, 0xFFF))

    def of(self, mark: str) -> Mention:
        """The mention of a mark."""
        return self.mentions[ord(mark) - FIRST]

    # -- who is meant ------------------------------------------------------------------------------------

    def new(self, kind: str, colours: tuple[str, ...], count: int, *, known: bool = True, loose: bool = False
            ) -> tuple[Wanted, ...]:
        """So many things that were not named before."""
        made = tuple(Wanted(len(self.things) + n, kind, colours, known, loose, self.line) for n in range(count))
        self.things += made
        return made

    def meant(self, kind: str, colours: tuple[str, ...], count: int, *, definite: bool, another: bool, part: bool,
              several: bool, loose: bool) -> tuple[Wanted, ...]:
        """Things named before, or new ones. count: 0 where the text gives none."""
        fits = [t for t in self.things if t.kind == kind]
        fits = [t for t in fits if not colours or not t.colours or set(colours) & set(t.colours)]
        if colours and any(t.colours for t in fits):
            fits = [t for t in fits if t.colours]
        recent = self.mentions[-1].things if self.mentions else ()
        if another and definite:
            fits = [t for t in fits if t not in recent]
        if fits and (definite or part):
            if part:
                return tuple(fits[: max(count, 1)])
            if count:
                return tuple(fits[:count]) if len(fits) >= count else tuple(fits)
            if several:
                return tuple(fits)
            singly = [m.things[0] for m in self.mentions if len(m.things) == 1 and m.things[0] in fits]
            return (singly[-1] if singly else fits[0],)
        told = [t for t in fits if t.line < self.line and set(t.colours) == set(colours)]
        if told and not another and not several and count in (0, 1) and len(told) == 1:
            return tuple(told)  # a later line says it again
        return self.new(kind, colours, count or (2 if several else 1), loose=loose or (several and not count))

    def _formed(self) -> tuple[Wanted, ...]:
        """The last several that were named together: what "the tower" means."""
        return next((m.things for m in reversed(self.mentions) if len(m.things) > 2), ())

    # -- English -----------------------------------------------------------------------------------------

    def _english(self, text: str) -> str:
        text = text.lower().replace("\u2019", "'")
        text = re.sub(r"(\d+(?:\.\d+)?)\s*(degrees?|met(?:er|re)s?)", r" #\1\2 ", text)
        for pattern, plain in IDIOMS_EN:
            text = re.sub(pattern, plain, text)
        text = re.sub(lexicon.SETTINGS_EN, " ", text)
        words = re.findall(r"#[\d.]+[a-z]+|[a-z]+(?:[-'][a-z]+)*|\d+|[.,;:!?]|[^\sa-z]", text)
        types, values, spelt = typed(words)
        out: list[str] = []
        at = 0
        while at < len(types):
            found = PHRASE.match(types, at)
            if found is None or found.end() == at:
                if types[at] == "u":
                    self._note(spelt[at])
                out.append(spelt[at])
                at += 1
                continue
            out.append(self._phrase(found, values, spelt))
            at = found.end()
        text = re.sub(r"\s+([.,;:!?])", r"\1", " ".join(out))
        return self._grouped(text)

    def _note(self, word: str) -> None:
        if word not in self.unknown:
            self.unknown.append(word)

    def _phrase(self, found: re.Match, values: list, spelt: list[str]) -> str:
        """The mark of one noun phrase."""
        def inside(name: str) -> range:
            return range(*found.span(name)) if found[name] else range(0)

        if found["pronoun"]:
            return self.mark((), True)
        if found["bare"]:
            whole = self._formed()
            if not whole:
                self._note(spelt[found.end() - 1])
            return self.mark(whole or self.new(spelt[found.end() - 1], (), 1, known=False))
        definite = any(spelt[i] in ("the", "that", "these", "those", "this") for i in inside("det"))
        colours = tuple(dict.fromkeys(values[i] for name in ("adj", "tail", "uadj") for i in inside(name) if
                                      isinstance(values[i], str)))
        if found["elided"]:  # "a red and a blue ball"
            kind = values[found.end() - 1][0]
            tones = [values[i] for i in inside("elided") if isinstance(values[i], str)]
            return self.mark(tuple(t for tone in tones for t in self.new(kind, (tone,), 1)))
        for i in [*inside("adj"), *inside("unknown")]:
            if found.string[i] == "u":
                self._note(spelt[i])
        if found["unknown"]:
            return self.mark(self.new(spelt[found.end("unknown") - 1], colours, 1, known=False))
        kind, several = values[found.start("head")]
        numbers = [values[i] for i in inside("num") if isinstance(values[i], int)]
        if numbers == [0]:  # "no ball"
            return self.mark(())
        part = values[found.start("part")] if found["part"] else 0
        count = part or (numbers[0] if numbers else 0)
        form = values[found.start("form")] if found["form"] else 0
        some = bool(found["num"]) and not numbers
        if form == 2 and found["form"] and spelt[found.start("form")].startswith(("pair", "couple")):
            count = 2
        if form and not count and not definite:
            return self.mark(self.meant(kind, colours, form, definite=False, another=False, part=False, several=True,
                                        loose=True))
        return self.mark(self.meant(kind, colours, count, definite=definite and not part, another=bool(found["more"]),
                                    part=bool(part), several=several or some, loose=some))

    def _grouped(self, text: str) -> str:
        """Enumerations as one mark, but where the last of them begins a clause of its own."""
        def joined(m: re.Match) -> str:
            marks = re.findall(MARK, m[0])
            before = re.split(r"[.;:]|, (?!\S*$)", text[: m.start()])[-1]
            if ACTS.search(before) and BEGINS.match(text[m.end():]):
                return m[0]
            return self.mark(tuple(dict.fromkeys(t for mark in marks for t in self.of(mark).things)))

        return re.sub(rf"{MARK}(?:, {MARK})*,? and {MARK}", joined, text)

    # -- Chinese -----------------------------------------------------------------------------------------

    def _chinese(self, text: str) -> str:
        text = re.sub(r"\s+", "", text.lower())
        text = text.translate(str.maketrans("，。；：！？、（）", ",.;:!?|()"))
        for pattern, plain in IDIOMS_ZH:
            text = re.sub(pattern, plain, text)
        text = re.sub("在?(?:" + "|".join(lexicon.SETTINGS_ZH) + ")", "", text)
        out, at, run = [], 0, ""
        while at < len(text):
            found = PHRASE_ZH.match(text, at)
            if found is not None and found.end() > at:
                self._strange(run)
                run = ""
                out.append(self._phrase_zh(found))
                at = found.end()
                continue
            word = LONGEST_ZH.match(text, at)
            if word is None and _HANZI.match(text[at]):
                run += text[at]
            else:
                self._strange(run)
                run = ""
            out.append(word[0] if word else text[at])
            at += len(out[-1])
        self._strange(run)
        return re.sub(rf"{MARK}(?:[|和与跟]{MARK})+", lambda m: self.mark(tuple(dict.fromkeys(
            t for mark in re.findall(MARK, m[0]) for t in self.of(mark).things))), "".join(out))

    def _strange(self, run: str) -> None:
        if run:
            self._note(run)

    def _phrase_zh(self, found: re.Match) -> str:
        if found["pronoun"]:
            return self.mark((), True)
        if found["bare"]:
            return self.mark(self._formed() or self.new(found["bare"], (), 1, known=False))
        described = "".join(found[name] or "" for name in ("adj", "clothes", "adj2", "sadj"))
        colours = tuple(dict.fromkeys(TONES_ZH[c] for c in re.findall(COLOUR_ZH, described)))
        number = found["number"]
        count = number_zh(number) if number and number != "几" else 0
        some = bool(found["some"]) or number in ("几", "些")
        if found["strange"]:
            self._note(found["strange"])
            return self.mark(self.new(found["strange"], colours, max(count, 1), known=False))
        kind = KINDS_ZH[found["head"]]
        lead = found["lead"] or ""
        form = bool(re.search("排|列|行|摞|堆|叠|塔", lead)) or bool(found["tower"])
        definite = lead.startswith("那") or (not number and not some and not lead.startswith("一"))
        several = form or some or found["them"] is not None
        if form and not count and not definite:
            count, some = 3, True
        return self.mark(self.meant(kind, colours, count, definite=definite, another=lead.startswith(("另", "又")),
                                    part=lead.startswith("其中"), several=several,
                                    loose=some and not lead.startswith("那")))
