"""How a noun phrase is put together, in English and Chinese: what audit.wording reads by.

An English word, or a phrase of two or three, has a type of one character: d determiner, n number, s several, x another,
f "row of", g "row", a adjective, c colour, k and p a noun (one, several), i in or wearing, t pronoun, q of, u unknown,
o others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from reverie.audit import lexicon

IDIOMS_EN = (
    (r"\b(?:one|we|you) can (?:also |now )?see\b", "there is"),
    (r"\bcan (?:now |also )?be (?:seen|found)\b", "is there"),
    (r"\bin the (?:dark|darkness)\b(?! blue)|\bin darkness\b", " "),
    (r"\b(?:walk|stroll|wander|run|roll|slide|glide|fl(?:y|ie)|saunter|march|trot)s? "
     r"(?:in(?=$|[.,;!]| and\b| from\b)|into (?:view|(?:the|a) (?:picture|frame|scene|shot))\b)", "enters"),
    (r"\bmakes? a basket\b|\bhits? the target\b|\bdrops? in for a score\b", "scores"),
    (r"\b(camera|view|shot) inclines\b", r"\1 tilts"), (r"\bmakes? a stack\b", "is stacked"),
    (r"\bit is a score for\b", "scores:"), (r"\bafter (?:that|which)\b", "afterwards"),
    (r"\b(the rim|the ring|the edge) of\b", ""), (r"\bat rest\b", "at-rest"),
    (r"\b(stays?|remains?) where (it|they) (is|are)\b", "stays still"), (r"\bit stays calm\b", "nothing happens"),
    (r"\bblocks? the view of\b", "conceals"), (r"\b(from )?left to right\b|\bfrom side to side\b", "to and fro"),
    (r"\bas it (closes|comes down)\b", ""), (r"\bon the (other|far) side\b|\b(out )?the other side\b", "out"),
    (r"\b(it|this) is (what happens|a)\b", "there is"), (r"\bwith this:", "and"),
)
IDIOMS_ZH = (
    ("进球得分|得分了?|空心入网", "得分"), ("移动的同时", "移动,同时"), ("位置在", "在"),
    ("放在地上", "放下"), ("一排排", "一排"),
)


def typed(words: list[str]) -> tuple[str, list, list[str]]:
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
    if not word[0].isalpha() or word in lexicon.PASSED_EN or ACTS.fullmatch(word):
        return "o", None
    return ("u", None) if len(word) > 1 else ("o", None)


def _entries() -> dict[tuple[str, ...], tuple[str, object]]:
    table: dict[tuple[str, ...], tuple[str, object]] = {(w,): ("a", None) for w in lexicon.ADJECTIVES_EN}
    table |= {(w,): ("d", None) for w in ("a", "an", "the", "this", "that", "these", "those", "its", "his", "her",
                                          "their", "each", "every")}
    table |= {(w,): ("n", n) for n, w in enumerate(lexicon.NUMBERS_EN)}
    table[("no",)] = ("n", 0)
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
PHRASE = re.compile(
    r"(?P<elided>[dn]a*c(?:(?:,|&|,&)[dn]a*c)+a*[kp])"
    r"|(?P<part>nqd)?(?P<det>d*)(?P<form>f?)(?P<num>[ns]?)(?P<more>x?)(?:(?<=x)n)?"
    r"(?P<adj>(?:[acn]|(?<=[dnxsfac])u(?=[acukp])|(?<=c),?&?(?=c)|(?<=a),(?=[ac])|(?<=u)u)*)(?P<head>[kp])"
    r"(?P<tail>(?:id?a*c(?:(?:,|&|,&)a*c)*)?)"
    r"|(?:d+|n)(?P<uadj>[ac]*)(?P<unknown>u+)|(?P<bare>dg)(?!q)|(?P<pronoun>t)")
ACTS = re.compile(
    r"\b(?:fall|drop|plummet|plung|tumbl|crash|throw|thrown|toss|hurl|flung|fling|lob|fl(?:y|ies|ew|ying)|sail|shoot"
    r"|shot"
    r"|roll|trundl|slid|glid|slip|slither|skid|push|shov|nudg|knock|swing|swung|sway|oscillat|rock|toppl|tip|collaps"
    r"|keel"
    r"|overturn|brought|stack|pil|plac|lower|settl|laid|heap|built|land|launch|jump|hop|leap|fir|kick|spring|bounc"
    r"|rebound"
    r"|ricochet|pass|hid|disappear|vanish|cross|travel|run|cover|uncover|conceal|scor|swish|sink|miss|glanc|enter|arriv"
    r"|appear|leav|exit|depart|head|walk|stroll|wander|step|march|saunter|pan|tilt|orbit|circl|crane|doll|follow|track"
    r"|swivel|rotat|turn|creep|float|drift|zoom|inclin|angl|arc|bump|strik|ris|open|clos|releas|pitch|cast|descend"
    r"|ascend"
    r"|dart|dash|jog|hit|drift|spin|lift|driv|gets?|given|comes?|goes|go|is|are|moves?|stands?|stays?|does)"
    r"(?:[a-z]{0,5})?\b|\bnon-stop\b|\bat-rest\b|\btrot(?:s|ting|ted)?\b|\bmotionless\b|\bentrance\b")
BEGINS = re.compile(rf"\s*(?:[a-z]+ly )?(?:{ACTS.pattern})")

KINDS_ZH, TONES_ZH = lexicon.kinds_zh(), lexicon.colours_zh()
_PASSED_ZH = set(lexicon.PASSED_ZH)


def _longest(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


COLOUR_ZH = _longest(TONES_ZH)
_NUMBER_ZH = r"(?:十[一二三四五六七八九]?|[一二两三四五六七八九]|\d+|几|些)"
_ADJ_ZH = rf"(?:(?:{COLOUR_ZH})的?(?:[和与|](?:{COLOUR_ZH})的?)*|{_longest(lexicon.ADJECTIVES_ZH)})"
_MANY_ZH = "一些|许多|很多|好几|若干|几"
_HEAD_ZH = _longest(KINDS_ZH)
_FORM_ZH = "(?:[一那]?(?:排成一[列行]的?|叠起来的?|排|列|摞|堆))"
_ACTS_ZH = lexicon.listed(
    "滚动 翻滚 滚 滑动 滑行 滑 推动 推开 推走 推 顶开 摆动 摇摆 荡来荡去 荡 晃动 倒下 倒塌 翻倒 推倒 撞倒 倒 垮 塌"
    " 歪倒 倾倒 叠起来 放到 放在 堆 放下 落 摆到 搁 垒 弹起 弹射 跳 抛 发射 跃 蹦"
    " 飞 弹 反弹 经过 躲 藏 挡住 挡 穿过 隐没 不见 盖住 遮住 遮 降 升 投 命中 进了 掉进 没进 碰 打在 错过 偏离 擦过"
    " 投失 投丢 进来 进入 移 来 登场 入场 进场 离开 离去 退场 远去 退出 离场"
    " 走 行走 散步 漫步 迈步 跑 掉 坠落 坠 跌落 下落 松开 扔 丢 掷 甩 绕 露出 游 撞 碰到 撞到 挨了 受到 推力 移动"
    " 不动 静止 环绕 旋转 倾斜 仰俯 推移 行进 升降 飘 运动")
LONGEST_ZH = re.compile(_longest([*_ACTS_ZH, *_PASSED_ZH, *TONES_ZH, "得分", "进球"]))
PHRASE_ZH = re.compile(
    rf"(?P<pronoun>它们?)|(?P<bare>那个塔|那座塔)|"
    rf"(?P<lead>其中的?|另外的?|另|又(?=[一两])|那{_FORM_ZH}?|{_FORM_ZH})?(?:(?P<some>{_MANY_ZH})"
    rf"|(?P<number>{_NUMBER_ZH}))?"
    rf"(?:(?<=[一二两三四五六七八九十几些多那这另又\d])[{lexicon.MEASURES_ZH}](?!子))?(?P<adj>{_ADJ_ZH}*?)"
    rf"(?P<clothes>穿(?:着)?(?:{COLOUR_ZH})(?:的?衣服?|衣)的)?(?P<adj2>{_ADJ_ZH}*?)(?P<head>{_HEAD_ZH})(?P<them>们)?"
    rf"(?P<tower>叠成的?塔|摞成的?塔)?"
    rf"|[一两三四五六七八九十几](?:艘|辆|架|匹|头|朵|棵|台|颗|只|个|条|位|座)(?P<sadj>{_ADJ_ZH}*)"
    rf"(?P<strange>(?:(?!{_longest([*_ACTS_ZH, *_PASSED_ZH, *TONES_ZH, *KINDS_ZH])})[\u4e00-\u9fff])+)")


def number_zh(word: str) -> int:
    """A Chinese number up to sixteen, or digits."""
    if word.isdigit():
        return min(int(word), 99)
    word = word.replace("二", "两") if len(word) == 1 else word
    if word in lexicon.NUMBERS_ZH:
        return lexicon.NUMBERS_ZH.index(word)
    return lexicon.NUMBERS_ZH.index(word.replace("两", "二")) if word.replace("两", "二") in lexicon.NUMBERS_ZH else 2
