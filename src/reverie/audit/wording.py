"""Noun phrases of a prompt: which things it names. A text becomes the same text with a mark for each mention.

A mark is one character of Unicode's private area, so that patterns over the text can speak of "a thing" whatever its
name; audit.asking has these patterns. English and Chinese may stand in one text's lines, not in one line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from reverie.audit import lexicon

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
        fits = [t for t in self.things if t.kind == kind and (not colours or not t.colours or set(colours) & set(t.colours))]
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
        for pattern, plain in _IDIOMS_EN:
            text = re.sub(pattern, plain, text)
        text = re.sub(lexicon.SETTINGS_EN, " ", text)
        words = re.findall(r"#[\d.]+[a-z]+|[a-z]+(?:[-'][a-z]+)*|\d+|[.,;:!?]|[^\sa-z]", text)
        types, values, spelt = _typed(words)
        out: list[str] = []
        at = 0
        while at < len(types):
            found = _PHRASE.match(types, at)
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
            if _ACTS.search(before) and _BEGINS.match(text[m.end():]):
                return m[0]
            return self.mark(tuple(dict.fromkeys(t for mark in marks for t in self.of(mark).things)))

        return re.sub(rf"{MARK}(?:, {MARK})*,? and {MARK}", joined, text)

    # -- Chinese -----------------------------------------------------------------------------------------

    def _chinese(self, text: str) -> str:
        text = re.sub(r"\s+", "", text.lower())
        text = text.translate(str.maketrans("，。；：！？、（）", ",.;:!?|()"))
        for pattern, plain in _IDIOMS_ZH:
            text = re.sub(pattern, plain, text)
        text = re.sub("在?(?:" + "|".join(lexicon.SETTINGS_ZH) + ")", "", text)
        out, at, run = [], 0, ""
        while at < len(text):
            found = _PHRASE_ZH.match(text, at)
            if found is not None and found.end() > at:
                self._strange(run)
                run = ""
                out.append(self._phrase_zh(found))
                at = found.end()
                continue
            word = _LONGEST_ZH.match(text, at)
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
        colours = tuple(dict.fromkeys(_TONES_ZH[c] for c in re.findall(_COLOUR_ZH, described)))
        number = found["number"]
        count = _number_zh(number) if number and number != "几" else 0
        some = bool(found["some"]) or number in ("几", "些")
        if found["strange"]:
            self._note(found["strange"])
            return self.mark(self.new(found["strange"], colours, max(count, 1), known=False))
        kind = _KINDS_ZH[found["head"]]
        lead = found["lead"] or ""
        form = bool(re.search("排|列|行|摞|堆|叠|塔", lead)) or bool(found["tower"])
        definite = lead.startswith("那") or (not number and not some)
        several = form or some or found["them"] is not None
        if form and not count and not definite:
            count, some = 3, True
        return self.mark(self.meant(kind, colours, count, definite=definite, another=lead.startswith(("另", "又")),
                                    part=lead.startswith("其中"), several=several, loose=some and not lead.startswith("那")))


# -- the tables, made ready ---------------------------------------------------------------------------------

_IDIOMS_EN = (
    (r"\b(?:one|we|you) can (?:also |now )?see\b", "there is"), (r"\bcan (?:now |also )?be (?:seen|found)\b", "is there"),
    (r"\bin the (?:dark|darkness)\b(?! blue)|\bin darkness\b", " "), (r"\bmakes? a basket\b|\bhits? the target\b|\bdrops? in for a score\b", "scores"),
    (r"\b(camera|view|shot) inclines\b", r"\1 tilts"), (r"\bmakes? a stack\b", "is stacked"), (r"\bit is a score for\b", "scores:"), (r"\b(the rim|the ring|the edge) of\b", ""), (r"\bat rest\b", "at-rest"),
    (r"\b(stays?|remains?) where (it|they) (is|are)\b", "stays still"), (r"\bit stays calm\b", "nothing happens"),
    (r"\bblocks? the view of\b", "conceals"), (r"\b(from )?left to right\b|\bfrom side to side\b", "to and fro"),
    (r"\bas it (closes|comes down)\b", ""), (r"\bon the (other|far) side\b|\b(out )?the other side\b", "out"),
    (r"\b(it|this) is (what happens|a)\b", "there is"), (r"\bwith this:", "and"),
)
_IDIOMS_ZH = (
    ("进球得分|得分了?|空心入网", "得分"), ("移动的同时", "移动,同时"), ("位置在", "在"), ("放在地上", "放下"), ("一排排", "一排"),
)


def _typed(words: list[str]) -> tuple[str, list, list[str]]:
    """Words, or phrases of two or three, as (types, a character each; values; spelling)."""
    types, values, spelt = [], [], []
    at = 0
    while at < len(words):
        for length in (3, 2, 1):
            phrase = tuple(words[at : at + length])
            entry = _ENTRIES.get(phrase) if len(phrase) == length else None
            if entry is not None:
                break
        else:
            phrase, entry = (words[at],), _other(words[at])
        types.append(entry[0])
        values.append(entry[1])
        spelt.append(" ".join(phrase))
        at += len(phrase)
    return "".join(types), values, spelt


def _other(word: str) -> tuple[str, object]:
    if word.isdigit():
        return "n", min(int(word), 99)
    if not word[0].isalpha() or word in lexicon.PASSED_EN or _ACTS.fullmatch(word):
        return "o", None
    return ("u", None) if len(word) > 1 else ("o", None)


def _entries() -> dict[tuple[str, ...], tuple[str, object]]:
    table: dict[tuple[str, ...], tuple[str, object]] = {(w,): ("a", None) for w in lexicon.ADJECTIVES_EN}
    table |= {(w,): ("d", None) for w in ("a", "an", "the", "this", "that", "these", "those", "its", "his", "her",
                                          "their", "each", "every")}
    table |= {(w,): ("n", n) for n, w in enumerate(lexicon.NUMBERS_EN)}
    table |= {tuple(w.split()): ("s", None) for w in lexicon.SEVERAL_EN}
    table |= {(w,): ("c", colour) for w, colour in lexicon.colours_en().items()}
    table |= {(w,): ("x", None) for w in ("another", "other", "more", "second")}
    table |= {(w,): ("t", None) for w in ("it", "they", "them")}
    table |= {(w, "of"): ("f", n) for w, n in lexicon.FORMS_EN.items()}
    table |= {(w,): ("g", None) for w in lexicon.FORMS_EN}
    table |= {("of",): ("q", None), ("in",): ("i", None), ("wearing",): ("i", None), ("dressed", "in"): ("i", None),
              ("and",): ("&", None), (",",): (",", None)}
    table |= {noun: ("p" if several else "k", (kind, several)) for noun, (kind, several) in lexicon.kinds_en().items()}
    return table


_ENTRIES = _entries()
# d determiner, n number, s several, x another, f "row of", g "row", a adjective, c colour, k p a noun (one, several),
# i in or wearing, t pronoun, q of, u unknown, o others
_PHRASE = re.compile(
    r"(?P<elided>[dn]a*c(?:(?:,|&|,&)[dn]a*c)+a*[kp])"
    r"|(?P<part>nqd)?(?P<det>d*)(?P<form>f?)(?P<num>[ns]?)(?P<more>x?)(?:(?<=x)n)?"
    r"(?P<adj>(?:[acn]|(?<=[dnxsfac])u(?=[acukp])|(?<=c),?&?(?=c)|(?<=a),(?=[ac])|(?<=u)u)*)(?P<head>[kp])"
    r"(?P<tail>(?:id?a*c(?:(?:,|&|,&)a*c)*)?)"
    r"|(?:d+|n)(?P<uadj>[ac]*)(?P<unknown>u+)|(?P<bare>dg)(?!q)|(?P<pronoun>t)")
_ACTS = re.compile(
    r"\b(?:fall|drop|plummet|plung|tumbl|crash|throw|thrown|toss|hurl|flung|fling|lob|fl(?:y|ies|ew|ying)|sail|shoot|shot"
    r"|roll|trundl|slid|glid|slip|slither|skid|push|shov|nudg|knock|swing|swung|sway|oscillat|rock|toppl|tip|collaps|keel"
    r"|overturn|brought|stack|pil|plac|lower|settl|laid|heap|built|land|launch|jump|hop|leap|fir|kick|spring|bounc|rebound"
    r"|ricochet|pass|hid|disappear|vanish|cross|travel|run|cover|uncover|conceal|scor|swish|sink|miss|glanc|enter|arriv"
    r"|appear|leav|exit|depart|head|walk|stroll|wander|step|march|saunter|pan|tilt|orbit|circl|crane|doll|follow|track"
    r"|swivel|rotat|turn|creep|float|drift|zoom|inclin|angl|arc|bump|strik|ris|open|clos|releas|pitch|cast|descend|ascend"
    r"|dart|dash|jog|hit|drift|spin|lift|driv|gets?|given|comes?|goes|go|is|are|moves?|stands?|stays?|does)"
    r"(?:[a-z]{0,5})?\b|\bnon-stop\b|\bat-rest\b|\btrot(?:s|ting|ted)?\b|\bmotionless\b|\bentrance\b")
_BEGINS = re.compile(rf"\s*(?:[a-z]+ly )?(?:{_ACTS.pattern})")

_KINDS_ZH, _TONES_ZH = lexicon.kinds_zh(), lexicon.colours_zh()
_PASSED_ZH = set(lexicon.PASSED_ZH)


def _longest(words: object) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))  # type: ignore[call-overload]


_COLOUR_ZH = _longest(_TONES_ZH)
_NUMBER_ZH = r"(?:十[一二三四五六七八九]?|[一二两三四五六七八九]|\d+|几|些)"
_ADJ_ZH = rf"(?:(?:{_COLOUR_ZH})的?(?:[和与|](?:{_COLOUR_ZH})的?)*|{_longest(lexicon.ADJECTIVES_ZH)})"
_MANY_ZH = "一些|许多|很多|好几|若干|几"
_HEAD_ZH = _longest(_KINDS_ZH)
_FORM_ZH = "(?:[一那]?(?:排成一[列行]的?|叠起来的?|排|列|摞|堆))"
_ACTS_ZH = (
    "滚动 翻滚 滚 滑动 滑行 滑 推动 推开 推走 推 顶开 摆动 摇摆 荡来荡去 荡 晃动 倒下 倒塌 翻倒 推倒 撞倒 倒 垮 塌 歪倒 倾倒 叠起来 放到 放在 堆 放下 落 摆到 搁 垒 弹起 弹射 跳 抛 发射 跃 蹦"
    " 飞 弹 反弹 经过 躲 藏 挡住 挡 穿过 隐没 不见 盖住 遮住 遮 降 升 投 命中 进了 掉进 没进 碰 打在 错过 偏离 擦过 投失 投丢 进来 进入 移 来 登场 入场 进场 离开 离去 退场 远去 退出 离场"
    " 走 行走 散步 漫步 迈步 跑 掉 坠落 坠 跌落 下落 松开 扔 丢 掷 甩 绕 露出 游 撞 碰到 撞到 挨了 受到 推力 移动 不动 静止 环绕 旋转 倾斜 仰俯 推移 行进 升降 飘 运动").split()
_LONGEST_ZH = re.compile(_longest([*_ACTS_ZH, *_PASSED_ZH, *_TONES_ZH, "得分", "进球"]))
_PHRASE_ZH = re.compile(
    rf"(?P<pronoun>它们?)|(?P<bare>那个塔|那座塔)|"
    rf"(?P<lead>其中的?|另外的?|另|又(?=[一两])|那{_FORM_ZH}?|{_FORM_ZH})?(?:(?P<some>{_MANY_ZH})|(?P<number>{_NUMBER_ZH}))?"
    rf"(?:[{lexicon.MEASURES_ZH}](?!子))?(?P<adj>{_ADJ_ZH}*?)"
    rf"(?P<clothes>穿(?:着)?(?:{_COLOUR_ZH})(?:的?衣服?|衣)的)?(?P<adj2>{_ADJ_ZH}*?)(?P<head>{_HEAD_ZH})(?P<them>们)?"
    rf"(?P<tower>叠成的?塔|摞成的?塔)?"
    rf"|[一两三四五六七八九十几](?:艘|辆|架|匹|头|朵|棵|台|颗|只|个|条|位|座)(?P<sadj>{_ADJ_ZH}*)"
    rf"(?P<strange>(?:(?!{_longest([*_ACTS_ZH, *_PASSED_ZH, *_TONES_ZH, *_KINDS_ZH])})[\u4e00-\u9fff])+)")


def _number_zh(word: str) -> int:
    if word.isdigit():
        return min(int(word), 99)
    word = word.replace("二", "两") if len(word) == 1 else word
    if word in lexicon.NUMBERS_ZH:
        return lexicon.NUMBERS_ZH.index(word)
    return lexicon.NUMBERS_ZH.index(word.replace("两", "二")) if word.replace("两", "二") in lexicon.NUMBERS_ZH else 2
