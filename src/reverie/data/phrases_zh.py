"""Chinese words of the captions: the same names as in phrases_en, see there for the blanks.

Chinese has no agreement, so no "[x|y]" parts; it has measure words, given with each noun.
"""

from __future__ import annotations

import re

NOUNS = {  # kind -> (noun, measure word, whether a one-syllable colour may stand right before it)
    "ball": (("球", "个", True), ("圆球", "个", False), ("小球", "个", False), ("球体", "个", False)),
    "box": (("箱子", "个", True), ("盒子", "个", True), ("立方体", "个", False), ("方块", "个", True)),
    "cylinder": (("圆柱", "个", False), ("圆柱体", "个", False), ("圆筒", "个", False), ("罐子", "个", True)),
    "cone": (("圆锥", "个", False), ("锥体", "个", False), ("圆锥体", "个", False)),
    "plank": (("木板", "块", False), ("板子", "块", True), ("长板", "块", False)),
    "ramp": (("斜坡", "个", False), ("坡道", "条", False), ("斜面", "个", False)),
    "domino": (("骨牌", "块", False), ("多米诺骨牌", "块", False), ("多米诺", "块", False)),
    "pendulum": (("钟摆", "个", False), ("摆锤", "个", False), ("吊锤", "个", False)),
    "basketball": (("篮球", "个", False),),
    "hoop": (("篮筐", "个", False), ("篮圈", "个", False), ("篮球架", "个", False)),
    "chair": (("椅子", "把", True), ("座椅", "把", False)),
    "table": (("桌子", "张", True), ("台子", "张", True)),
    "wall": (("墙", "面", True), ("墙壁", "面", False), ("隔墙", "道", False)),
    "screen": (("幕布", "块", False), ("屏幕", "块", False), ("帘子", "块", True)),
    "person": (("人", "个", True), ("男人", "个", True), ("女人", "个", True), ("行人", "个", True)),
    "dog": (("狗", "只", True), ("小狗", "只", False), ("狗狗", "只", False)),
    "bird": (("鸟", "只", True), ("小鸟", "只", False), ("鸟儿", "只", False)),
}
COLOURS = {
    "red": ("红色", "鲜红色", "大红色", "深红色"),
    "orange": ("橙色", "橘色", "橘黄色"),
    "yellow": ("黄色", "金黄色", "亮黄色"),
    "green": ("绿色", "翠绿色", "草绿色"),
    "cyan": ("青色", "青绿色", "蓝绿色"),
    "blue": ("蓝色", "深蓝色", "宝蓝色", "湛蓝色"),
    "purple": ("紫色", "紫罗兰色", "深紫色"),
    "pink": ("粉色", "粉红色", "浅粉色"),
    "white": ("白色", "雪白色", "纯白色"),
    "black": ("黑色", "漆黑色", "纯黑色"),
}
SIZES = {
    "small": ("小", "小小的"),
    "medium": ("中等大小的", "不大不小的"),
    "large": ("大", "很大的", "大大的"),
}
MATERIALS = {
    "bouncy": ("有弹性的", "橡胶的"),
    "sliding": ("光滑的", "滑溜溜的"),
    "heavy": ("沉重的", "很重的"),
}
SETTINGS = {
    "room": ("在房间里", "在屋里", "在室内", "在一个房间里"),
    "table": ("在桌面上", "在一张桌面上", "在木头桌面上"),
    "lawn": ("在草地上", "在草坪上", "在阳光下的草地上", "在院子的草坪上"),
    "night": ("在夜里的地板上", "在夜晚", "在黑暗中", "夜里在地上"),
}
NUMBERS = (
    "零",
    "一",
    "两",
    "三",
    "四",
    "五",
    "六",
    "七",
    "八",
    "九",
    "十",
    "十一",
    "十二",
    "十三",
    "十四",
    "十五",
    "十六",
)
FORMS = {  # several things standing as one: first named, named again
    "row": (("一排{n}{x}", "排成一列的{n}{x}", "排成一行的{n}{x}"), ("那排{x}", "那列{x}")),
    "tower": (("{n}{x}叠成的塔", "一摞{n}{x}", "叠起来的{n}{x}"), ("那摞{x}", "那堆{x}", "那个塔")),
}
DIRECTIONS = {
    "left": ("向左", "往左", "朝左边", "向左边"),
    "right": ("向右", "往右", "朝右边", "向右边"),
    "front": ("向前", "朝镜头", "往前", "朝我们"),
    "back": ("向后", "往远处", "朝远处", "往后"),
}
SIDES = {
    "left": ("从左边", "从左侧"),
    "right": ("从右边", "从右侧"),
    "front": ("从前面", "从镜头后面"),
    "back": ("从后面", "从远处"),
}
PLACES = {
    "left": ("在{o}左边", "在{o}的左侧", "在{o}的左面"),
    "right": ("在{o}右边", "在{o}的右侧", "在{o}的右面"),
    "behind": ("在{o}后面", "在{o}的后方"),
    "front": ("在{o}前面", "在{o}的前方"),
    "on": ("在{o}上", "在{o}上面"),
}
SPOTS = {
    "left": ("在左边", "在左侧"),
    "right": ("在右边", "在右侧"),
    "middle": ("在中间", "在中央"),
    "back": ("在远处", "在后面"),
    "front": ("在近处", "在前面", "在镜头前"),
}
WAYS = {
    ("pan", "left"): ("向左", "往左"),
    ("pan", "right"): ("向右", "往右"),
    ("tilt", "up"): ("向上", "往上"),
    ("tilt", "down"): ("向下", "往下"),
    ("orbit", "left"): ("向左", "往左"),
    ("orbit", "right"): ("向右", "往右"),
    ("dolly", "in"): ("向前", "往前", "向内"),
    ("dolly", "out"): ("向后", "往后"),
    ("crane", "up"): ("向上", "往上", "往高处"),
    ("crane", "down"): ("向下", "往下", "往低处"),
}
AMOUNTS = {"degrees": ("{n}度",), "metres": ("{n}米",)}
WORD_EXTRAS = ("矮小高大", "零点百", "红橙黄绿青蓝紫粉白黑色的衣服", "其中另外那它们和的", "穿")
_STATURE = {"小": "矮小的", "大": "高大的", "很": "高大的"}
_SHORT = {
    "红色": "红",
    "橙色": "橙",
    "黄色": "黄",
    "绿色": "绿",
    "青色": "青",
    "蓝色": "蓝",
    "紫色": "紫",
    "粉色": "粉",
    "白色": "白",
    "黑色": "黑",
}


def agree(text: str, several: bool) -> str:
    """Chinese verbs do not agree."""
    return text


def number(count: int) -> str:
    """ "两" for 2."""
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def counted(count: int, noun: tuple[str, str, bool]) -> str:
    """ "五块": the number with the noun's measure word."""
    return number(count) + noun[1]


def colours_of(noun: str, colours: list[str]) -> str:
    """Things of several colours: "红色和蓝色的箱子"."""
    return f"{enumerate_things(colours)}的{noun}"


def described(
    kind: str, noun: tuple[str, str, bool], count: int, colour: str, size: str, material: str
) -> str:
    """The noun with its adjectives: "小红球", "光滑的红色的大箱子", "穿红衣服的人"; no measure word."""
    name, _, short_allowed = noun
    if kind == "person":  # a person's colour is that of their clothes
        clothes = f"穿{_SHORT.get(colour, colour)}衣服的" if colour else ""
        return _STATURE.get(size[:1], "") + clothes + name
    if size in ("小", "大"):
        size, name = "", name if name.startswith("小") else size + name
        short_name = name[1:] if name[0] in "小大" and not noun[0].startswith("小") else ""
    else:
        short_name = ""
    if not colour:
        return size + material + name
    if colour in _SHORT and short_allowed and not material:
        front = name[0] if short_name else ""
        return size + front + _SHORT[colour] + (short_name or name)
    return size + material + colour + "的" + name


def indefinite(words: str, count: int, another: bool, noun: tuple[str, str, bool]) -> str:
    """ "一个球", "两个球", "另一个球", "另外两个球"."""
    return ("" if not another else "另" if count == 1 else "另外") + counted(count, noun) + words


def definite(words: str, count: int, total: int, plural: str, noun: tuple[str, str, bool]) -> str:
    """ "红球" (bare nouns are definite), "那两个红球"; of several alike: "其中一个红球"."""
    if count < total:
        return "其中" + counted(count, noun) + words
    return words if count == 1 else "那" + counted(count, noun) + words


def enumerate_things(names: list[str]) -> str:
    """ "甲、乙和丙"."""
    return names[0] if len(names) == 1 else "、".join(names[:-1]) + "和" + names[-1]


def pronoun(several: bool) -> str:
    """What stands for lifeless things just named, as subject."""
    return "它们" if several else "它"


def sentence(text: str, formal: bool) -> str:
    """No spaces, full-width punctuation; formal: a full stop at the end."""
    text = re.sub(r"\.(?!\d)", "。", re.sub(r"\s+", "", text))
    for narrow, wide in ((",", "，"), (";", "；"), (":", "：")):
        text = text.replace(narrow, wide)
    text = re.sub(r"^[，；：、。]+|[，；：、。]+$", "", text)
    text = re.sub(r"，+(?=[，；：。])", "", text)
    return text + "。" if formal else text
