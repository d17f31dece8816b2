"""Tells the truth of a clip in sentences: what data.captions is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from reverie.core.camera import CameraPath
from reverie.core.clip import Event, Truth
from reverie.core.moves import parse_moves
from reverie.core.vocabulary import ALIVE, FIXTURES
from reverie.data.clauses import AT_ONCE, Clause, merge, present_things
from reverie.data.naming import Namer, allowed
from reverie.data.places import form_groups, relation, spot, view_axes

# Events in which a thing stays about its place, so that it makes sense to say where.
_STANDING = ("dropped", "launched", "swung", "toppled", "bounced", "stacked")


@dataclass(frozen=True)
class CaptionLine:
    """The text of one beat.

    start: seconds. order: the things that the text names, in its order, each once. template: the
    unfilled templates used, whose hashes decide what is held out (data.heldout.template_held_out).
    """

    start: float
    text: str
    order: tuple[int, ...]
    template: tuple[str, ...]


class Teller(Namer):
    """Writes the lines of one caption."""

    def __init__(
        self,
        truth: Truth,
        rng: np.random.Generator,
        language: str,
        long: bool,
        held_out: bool,
        camera: CameraPath | None,
        fps: float,
    ) -> None:
        super().__init__(truth, rng, language, long, held_out)
        self.camera, self.fps = camera, fps

    # -- clauses ------------------------------------------------------------------------------------------

    def clause(self, clause: Clause, *, subject: str = "", title: bool = False) -> str:
        """What happens, as a clause. subject: a pronoun, if any; title: like "a red ball falling"."""
        blanks: dict[str, Callable[[], str] | str] = {"a": subject or (lambda: self.name(clause.actors))}
        way = clause.detail
        if way in self.words.DIRECTIONS and (self.long or self.chance(0.75)):
            blanks["dir"] = str(self.any_of(self.words.DIRECTIONS[way]))
        if way in self.words.SIDES and (self.long or self.chance(0.75)):
            blanks["side"] = str(self.any_of(self.words.SIDES[way]))
        if clause.others:
            blanks["o"] = lambda: self.name(clause.others)
            phrases = self.tables.WITH.get(clause.kind)
            if phrases:
                key = (
                    "several"
                    if len(clause.others) > 1 and "several" in phrases
                    else self.truth.kinds[clause.others[0]]
                )
                phrase = str(self.any_of(phrases.get(key, phrases["*"])))
                blanks["with"] = lambda: phrase.format(o=self.name(clause.others))
        options = self.tables.EVENTS[clause.kind]
        titles = self.tables.TITLES.get(clause.kind, ())
        if title and allowed(titles, self.held_out):
            options = titles
        chosen = self.template(
            options, list(blanks), lambda t: not clause.others or "{o}" in t or "{with}" in t
        )
        first = clause.others if chosen.find("{o}") == 0 else clause.actors
        return self.fill(chosen, blanks, self.several(first))

    def happenings(self, clauses: list[Clause], *, title: bool = False) -> str:
        """All clauses joined in the order of time."""
        if len(clauses) == 1:
            return self.clause(clauses[0], title=title)
        chained = (lambda t: t.startswith("{x}")) if len(clauses) > 2 else None

        def joined() -> str:
            return self.clause(clauses[0])

        for before, now in zip(clauses, clauses[1:], strict=False):
            at_once = now.start - before.start < AT_ONCE
            options = self.tables.MEANWHILE if at_once else self.tables.THEN
            chosen = self.template(options, ("x", "y"), chained)
            alive = self.truth.kinds[now.actors[0]] in ALIVE
            same = before.actors == now.actors and not alive
            same = same and (self.chance(0.7) or set(now.actors) != set(self._alike(now.actors[0])))
            subject = self.words.pronoun(self.several(now.actors)) if same else ""

            def joined(
                chosen: str = chosen,
                first: Callable[[], str] = joined,
                then: Clause = now,
                subject: str = subject,
            ) -> str:
                return self.fill(chosen, {"x": first, "y": lambda: self.clause(then, subject=subject)}, False)

        return joined()

    # -- where, and the camera ----------------------------------------------------------------------------

    def axes(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        return view_axes(self.camera, self._frame(seconds))

    def _frame(self, seconds: float) -> int:
        last = len(self.truth.exists) - 1
        return last if seconds == np.inf else min(max(round(seconds * self.fps), 0), last)

    def place(self, things: Sequence[int], others: Sequence[int], seconds: float) -> str:
        """A phrase with {o} for where the things are from the others, or "" when that is not clear."""
        found = relation(self.truth, things, others, self._frame(seconds), self.axes(seconds))
        return str(self.any_of(self.words.PLACES[found])) if found else ""

    def placed(self, things: Sequence[int], others: Sequence[int], seconds: float) -> str:
        """A sentence that says where the things are from the others (or in the picture, with no others)."""
        if others:
            phrase = self.place(things, others, seconds)
        else:
            phrase = str(
                self.any_of(
                    self.words.SPOTS[spot(self.truth, things, self._frame(seconds), self.axes(seconds))]
                )
            )
        if not phrase:
            return ""
        chosen = self.template(self.tables.PLACED, ("a", "place"))
        return self.fill(
            chosen,
            {
                "a": lambda: self.name(things),
                "place": lambda: phrase.format(o=self.name(others)) if others else phrase,
            },
            self.several(things),
        )

    def all_placed(self, things: Sequence[int], seconds: float) -> str:
        """Where each group is: the first in the picture, the others from one named before."""
        groups = self.groups(things)
        sentences = [self.placed(groups[0], (), seconds)]
        for number, group in enumerate(groups[1:], 1):
            told = (self.placed(group, other, seconds) for other in reversed(groups[:number]))
            sentences.append(next((text for text in told if text), ""))
        return ". ".join(text for text in sentences if text)

    def camera_moves(self, events: list[Event]) -> str:
        """How the camera moves, as clauses."""
        clauses = []
        for event in events:
            if event.detail.startswith("follow"):
                blanks = {"o": lambda i=event.other: self.name([i])} if event.other >= 0 else {}
                clauses.append(
                    self.fill(self.template(self.tables.CAMERA["follow"], list(blanks)), blanks, False)
                )
                continue
            for move in parse_moves(event.detail):
                blanks = {}
                if move.kind != "still":
                    blanks["way"] = str(self.any_of(self.words.WAYS[move.kind, move.direction]))
                chosen = self.template(self.tables.CAMERA[move.kind], list(blanks))
                if move.kind != "still" and self.chance(0.4 if self.long else 0.15):
                    unit = "degrees" if move.kind in ("pan", "tilt", "orbit") else "metres"
                    amount = str(self.any_of(self.words.AMOUNTS[unit])).format(n=f"{move.amount:.3g}")
                    if "{amount}" in chosen:
                        blanks["amount"] = amount
                    else:
                        blanks["way"] += " " + amount
                clauses.append(self.fill(chosen, blanks, False))
        return self.words.enumerate_things(clauses) if clauses else ""

    # -- lines --------------------------------------------------------------------------------------------

    def line(self, start: float, end: float, first: bool) -> CaptionLine:
        """The line of the beat from ``start`` to ``end`` seconds."""
        self.order, self.used, self.recalled = [], [], not first
        told = [e for e in self.truth.events if (start <= e.start or first) and e.start < end]
        present = present_things(self.truth, self._frame(start), self._frame(end - 1 / self.fps), end)
        single = {e.actor for e in told if e.kind not in ("toppled", "pushed", "rests")}
        for members, form in form_groups(self.truth, present, self._frame(start)).items():
            if not set(members) & (self.named | single):
                self.forms[members] = form
        happened = [e for e in told if e.kind not in ("rests", "camera")]
        clauses = self._told(merge(happened, self.truth, self._formed))
        acting = {i for clause in clauses for i in [*clause.actors, *clause.others]}
        rest = [i for i in present if i not in acting and i not in self.named]
        rest.sort(key=lambda i: self.truth.kinds[i] in FIXTURES)

        def body() -> str:
            return self._first(clauses, rest, start) if first else self._later(clauses, rest)

        camera = [e for e in told if e.kind == "camera"]
        if self.long and first and not camera and self.chance(0.2):
            camera = [Event("camera", start, end, -1, detail="still")]
        if camera and (self.long or not (clauses or rest) or self.chance(0.4)):
            names = any(e.other >= 0 for e in camera)  # then after what the line says of that thing
            suits = (lambda t: t.startswith("{line}")) if names or not first else None
            chosen = self.template(self.tables.WITH_CAMERA, ("line", "camera"), suits)
            if clauses or rest or first:
                text = self.fill(chosen, {"line": body, "camera": lambda: self.camera_moves(camera)}, False)
            else:
                self.used.remove(chosen)
                text = self.camera_moves(camera)
        else:
            text = body()
        text = self.words.sentence(text, self.long or self.chance(0.5))
        return CaptionLine(float(start), text, tuple(dict.fromkeys(self.order)), tuple(self.used))

    def _told(self, clauses: list[Clause]) -> list[Clause]:
        """All of them in a long caption; in a short one the first two, and whatever brings a thing in."""
        if self.long:
            return clauses[:5]
        return [c for number, c in enumerate(clauses) if number < 2 or c.kind in ("enters", "covered")][:5]

    def _first(self, clauses: list[Clause], rest: list[int], start: float) -> str:
        blanks: dict[str, Callable[[], str] | str] = {}
        openings = self.tables.OPENINGS
        if self.long or self.chance(0.5):
            blanks["setting"] = str(self.any_of(self.words.SETTINGS[self.truth.setting]))
        if not clauses and not rest:
            return self.fill(self.template(openings["empty"], ()), {}, False)
        if not clauses:
            return self._still(rest, blanks, start)
        everything = [*dict.fromkeys(i for c in clauses for i in [*c.actors, *c.others]), *rest]
        if len(everything) > 1 and self.chance(0.8 if self.long else 0.25):
            entering = {i for c in clauses if c.kind == "enters" for i in c.actors}
            seen = [i for i in everything if i not in entering]
            if seen:
                return self._scene(clauses, seen, blanks, start)
        if rest:
            lone = len(clauses) == 1 and clauses[0].kind in _STANDING and len(self.groups(rest)) == 1
            where = self.place(clauses[0].actors, rest, start) if lone and self.chance(0.6) else ""
            if where:
                blanks["place"] = lambda: where.format(o=self.name(rest))
                blanks["events"] = lambda: self.happenings(clauses)
                return self.fill(self.template(openings["beside"], list(blanks)), blanks, False)
            blanks["rest"] = lambda: self.name(rest)
            blanks["events"] = lambda: self.happenings(clauses)
            return self.fill(self.template(openings["rest"], list(blanks)), blanks, self.several(rest))
        title = self.chance(0.3)
        if "setting" not in blanks and self.chance(0.7):
            return self.happenings(clauses, title=title)
        blanks["events"] = lambda: self.happenings(clauses, title=title)
        chosen = self.template(openings["plain"], list(blanks))
        title = title and chosen.startswith("{events}")
        return self.fill(chosen, blanks, False)

    def _still(self, rest: list[int], blanks: dict, start: float) -> str:
        groups = self.groups(rest)
        if len(groups) == 2 and not self.long and self.chance(0.6):
            text = self.placed(groups[0], groups[1], start)
            if text:
                return text
        if len(groups) == 1 and not self.long and self.chance(0.4):
            return self.clause(Clause("rests", start, groups[0], [], ""), title=self.chance(0.5))
        blanks["things"] = lambda: self.name(rest)
        text = self.fill(
            self.template(self.tables.OPENINGS["still"], list(blanks)), blanks, self.several(rest)
        )
        where = self.all_placed(rest, start) if self.long else ""
        return f"{text}. {where}" if where else text

    def _scene(self, clauses: list[Clause], things: list[int], blanks: dict, start: float) -> str:
        def events() -> str:
            where = self.all_placed(things, start) if self.long else ""
            return ". ".join(text for text in (where, self.happenings(clauses)) if text)

        plural = self.several(things)
        blanks.update(things=lambda: self.name(things), events=events)
        ends = (lambda t: t.replace(" ", "").endswith(".{events}")) if self.long else None
        return self.fill(self.template(self.tables.OPENINGS["scene"], list(blanks), ends), blanks, plural)

    def _later(self, clauses: list[Clause], rest: list[int]) -> str:
        new = ""
        if rest:
            chosen = self.template(self.tables.OPENINGS["new"], ("rest",))
            new = self.fill(chosen, {"rest": lambda: self.name(rest)}, self.several(rest))
        if not clauses:
            return new or self.fill(self.template(self.tables.OPENINGS["empty"], ()), {}, False)
        if self.chance(0.35):
            text = self.happenings(clauses)
        else:
            text = self.fill(
                self.template(self.tables.LATER, ("events",)),
                {"events": lambda: self.happenings(clauses)},
                False,
            )
        return f"{new}. {text}" if new else text
