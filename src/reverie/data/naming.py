"""Templates and noun phrases: how a caption picks its words and names things.

Blanks are filled from left to right, so that the order in which things are named is the order in which
the text has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType

import numpy as np

from reverie.core.clip import Truth
from reverie.core.errors import BadInput
from reverie.data import phrases_en, phrases_zh, templates_en, templates_zh
from reverie.data.heldout import template_held_out

TABLES = {"en": (phrases_en, templates_en), "zh": (phrases_zh, templates_zh)}
_OPTIONAL = re.compile(r"\(([^()]*)\)")
_BLANK = re.compile(r"\{(\w+)\}")
_OF_MATERIAL = ("ball", "box", "cylinder", "cone", "plank", "basketball")


@cache
def allowed(options: tuple[str, ...], held_out: bool) -> tuple[str, ...]:
    return tuple(t for t in options if template_held_out(t) == held_out)


class Namer:
    """Names the things of one truth, remembering what has been named and by which words."""

    def __init__(
        self,
        truth: Truth,
        rng: np.random.Generator,
        language: str,
        long: bool,
        held_out: bool,
    ) -> None:
        self.truth, self.rng, self.long, self.held_out = truth, rng, long, held_out
        self.words: ModuleType = TABLES[language][0]
        self.tables: ModuleType = TABLES[language][1]
        self.named: set[int] = set()
        self.chosen: dict[tuple[str, str], object] = {}  # one word for one thing all through a caption
        self.forms: dict[tuple[int, ...], str] = {}
        self.order: list[int] = []
        self.used: list[str] = []
        self.coloured = False  # name every colour, even that of a basketball
        self.recalled = False  # a line after the first names colours always: it must stand alone

    # -- templates ----------------------------------------------------------------------------------------

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def any_of(self, options: Sequence) -> object:
        return options[int(self.rng.integers(len(options)))]

    def template(
        self, options: Sequence[str], blanks: Sequence[str], suits: Callable[[str], bool] | None = None
    ) -> str:
        """One of the templates allowed here whose required blanks are all known."""
        usable = [
            t
            for t in allowed(tuple(options), self.held_out)
            if set(_BLANK.findall(_OPTIONAL.sub("", t))) <= set(blanks)
        ]
        usable = [t for t in usable if suits is None or suits(t)] or usable
        if not usable:
            raise BadInput(
                f"no caption template with held_out={self.held_out} among: {'; '.join(options)[:80]}"
            )
        chosen = str(self.any_of(usable))
        self.used.append(chosen)
        return chosen

    def fill(self, template: str, blanks: dict[str, Callable[[], str] | str], several: bool) -> str:
        """The template with its blanks filled from left to right (so that things are named in that order)."""
        text = _OPTIONAL.sub(lambda m: m[1] if set(_BLANK.findall(m[1])) <= set(blanks) else "", template)
        text = self.words.agree(text, several)

        def value(match: re.Match) -> str:
            found = blanks[match[1]]
            return found if isinstance(found, str) else found()

        return _BLANK.sub(value, text)

    # -- noun phrases -------------------------------------------------------------------------------------

    def word(self, table: str, key: str, plain: float) -> object:
        """A synonym, the plainest with the chance ``plain``, the same all through the caption."""
        if (table, key) not in self.chosen:
            options = getattr(self.words, table)[key]
            self.chosen[table, key] = options[0] if self.chance(plain) else self.any_of(options)
        return self.chosen[table, key]

    def groups(self, things: Sequence[int]) -> list[list[int]]:
        """Things told in one breath: rows and towers, then the same kind and colour."""
        left, groups = list(things), []
        for members in self.forms:
            if set(members) <= set(left):
                groups.append(list(members))
                left = [i for i in left if i not in members]
        alike: dict[tuple, list[int]] = {}
        for i in left:
            key = (self.truth.kinds[i], self.truth.colours[i], i in self.named, i in self._formed(i))
            alike.setdefault(key, []).append(i)
        groups += alike.values()
        return sorted(groups, key=lambda group: min(things.index(i) for i in group))

    def _formed(self, thing: int) -> tuple[int, ...]:
        return next((members for members in self.forms if thing in members), ())

    def _alike(self, thing: int) -> list[int]:
        """All things of this one's kind and colour."""
        pairs = list(zip(self.truth.kinds, self.truth.colours, strict=True))
        return [i for i, pair in enumerate(pairs) if pair == pairs[thing]]

    def several(self, things: Sequence[int]) -> bool:
        """Whether the verb is that of several."""
        groups = self.groups(things)
        return len(groups) > 1 or (len(groups[0]) > 1 and tuple(groups[0]) not in self.forms)

    def name(self, things: Sequence[int]) -> str:
        """Noun phrases of the things, which from now on are named."""
        return self.words.enumerate_things([self._name_group(group) for group in self.groups(things)])

    def _name_group(self, group: list[int]) -> str:
        truth, words = self.truth, self.words
        kind = truth.kinds[group[0]]
        noun = self.word("NOUNS", kind, 0.6)
        form, again = self.forms.get(tuple(group)), set(group) <= self.named
        alike = [
            i for i in self.named if (truth.kinds[i], truth.colours[i]) == (kind, truth.colours[group[0]])
        ]
        self.order += group
        self.named |= set(group)
        if form:
            return self._name_form(group, form, noun, again)
        colour = str(self.word("COLOURS", truth.colours[group[0]], 0.7))
        if again:
            alone = all(truth.kinds[i] != kind for i in self.named - set(group))
            shown = "" if alone and not self.recalled and self.chance(0.5) else colour
            total = max(len(alike) if shown else len(group), len(group))
            return words.definite(
                words.described(kind, noun, len(group), shown, "", ""),
                len(group),
                total,
                words.described(kind, noun, 2, shown, "", ""),
                noun,
            )
        if (
            kind == "basketball"
            and truth.colours[group[0]] == "orange"
            and not self.coloured
            and self.chance(0.4)
        ):
            colour = ""
        return words.indefinite(
            words.described(kind, noun, len(group), colour, *self._looks(group)),
            len(group),
            bool(alike),
            noun,
        )

    def _looks(self, group: list[int]) -> tuple[str, str]:
        """Words for the size and the material, where they are told."""
        size, material = self.truth.sizes[group[0]], self.truth.materials[group[0]]
        share = (0.25 if size == "medium" else 0.7) if self.long else 0.15 * (size != "medium")
        same = all(self.truth.sizes[i] == size for i in group)
        told = str(self.word("SIZES", size, 0.5)) if same and self.chance(share) else ""
        same = self.truth.kinds[group[0]] in _OF_MATERIAL and all(
            self.truth.materials[i] == material for i in group
        )
        made = (
            str(self.word("MATERIALS", material, 0.5))
            if same and self.chance(0.4 if self.long else 0.05)
            else ""
        )
        return told, made

    def _name_form(self, group: list[int], form: str, noun: tuple, again: bool) -> str:
        words, kind = self.words, self.truth.kinds[group[0]]
        bare = words.described(kind, noun, len(group), "", "", "")
        if again:
            return str(self.any_of(words.FORMS[form][1])).format(x=bare)
        colours = list(dict.fromkeys(str(self.word("COLOURS", self.truth.colours[i], 0.7)) for i in group))
        what = (
            words.described(kind, noun, len(group), colours[0], "", "")
            if len(colours) == 1
            else words.colours_of(bare, colours)
        )
        return str(self.any_of(words.FORMS[form][0])).format(n=words.counted(len(group), noun), x=what)
