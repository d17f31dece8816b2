"""What a drive is called, in English and Chinese: captions of the scene and of what happens, and commands.

A caption is written from the truth alone; a template's hash decides whether it is held out of training (data.heldout).
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from reverie.core.clip import Event, Truth
from reverie.core.errors import BadInput
from reverie.data.heldout import template_held_out
from reverie.data.teller import CaptionLine

SCENE = {
    "en": {
        "day": ("a drive through town on a clear day", "a car drives through the town in daylight",
                "town streets in bright daylight, seen from a car", "a sunny day on the streets of a town"),
        "dusk": ("a drive through town at dusk", "a car drives through the town as the sun goes down",
                 "town streets at dusk, seen from a car", "evening light on the streets of a town"),
        "night": ("a drive through town at night", "a car drives through the dark town with its lamps lit",
                  "town streets at night, seen from a car", "a night on the streets of a town"),
        "rain": ("a drive through town on a grey, rainy day", "a car drives through the wet town under grey clouds",
                 "wet town streets in rainy weather, seen from a car", "a rainy day on the streets of a town"),
        "fog": ("a drive through town in thick fog", "a car drives through the foggy town",
                "town streets in fog, seen from a car", "a foggy day on the streets of a town"),
    },
    "zh": {
        "day": ("晴天里开车穿过城镇", "一辆车在白天驶过城镇", "从车里看到的阳光下的街道", "街道上的一个晴天"),
        "dusk": ("黄昏时开车穿过城镇", "日落时一辆车驶过城镇", "从车里看到的黄昏的街道", "傍晚的光照在街道上"),
        "night": ("夜里开车穿过城镇", "亮着灯的车驶过黑暗的城镇", "从车里看到的夜晚的街道", "街道上的一个夜晚"),
        "rain": ("阴雨天开车穿过城镇", "车在乌云下驶过湿漉漉的城镇", "从车里看到的雨天的街道", "街道上的一个雨天"),
        "fog": ("大雾中开车穿过城镇", "一辆车驶过雾蒙蒙的城镇", "从车里看到的雾中的街道", "街道上的一个雾天"),
    },
}
HAPPENS = {  # event and detail -> how it is told; {who}: the agent
    "en": {
        "turns left": ("the car turns left at the crossing", "it takes the street to the left", "a left turn"),
        "turns right": ("the car turns right at the crossing", "it takes the street to the right", "a right turn"),
        "turns straight": ("the car goes straight on over the crossing", "it crosses the junction", "straight on"),
        "stops": ("the car stops", "it comes to a halt", "then it stands still"),
        "sets off": ("the car sets off", "it starts again", "then it drives on"),
        "brakes": ("the car brakes hard", "it slows down sharply", "a hard stop"),
        "cuts in": ("{who} cuts in ahead", "{who} moves into the lane in front", "{who} squeezes in before the car"),
        "crosses": ("{who} crosses the street ahead", "{who} walks over the road in front", "{who} goes across"),
        "comes": ("{who} comes the other way", "{who} passes on the other side", "{who} drives past the other way"),
    },
    "zh": {
        "turns left": ("车在路口左转", "它拐进左边的街道", "向左转弯"),
        "turns right": ("车在路口右转", "它拐进右边的街道", "向右转弯"),
        "turns straight": ("车直行通过路口", "它穿过路口", "一直向前"),
        "stops": ("车停了下来", "它停住了", "然后它不动了"),
        "sets off": ("车起步了", "它又开动了", "然后它继续行驶"),
        "brakes": ("车急刹车", "它猛地减速", "一次急停"),
        "cuts in": ("{who}在前面插队", "{who}并到前面的车道", "{who}挤到车的前面"),
        "crosses": ("{who}在前方过马路", "{who}从前面走过马路", "{who}横穿过去"),
        "comes": ("{who}迎面开来", "{who}从对面驶过", "{who}从另一边开过去"),
    },
}
COMMANDS = {
    "en": {"turns left": ("turn left at the crossing", "take the next left"),
           "turns right": ("turn right at the crossing", "take the next right"),
           "turns straight": ("go straight on at the crossing", "keep straight on"),
           "stops": ("stop", "come to a halt"),
           "sets off": ("drive on", "set off"), "keeps": ("follow the road", "keep to the lane")},
    "zh": {"turns left": ("在路口左转", "下一个路口向左"), "turns right": ("在路口右转", "下一个路口向右"),
           "turns straight": ("在路口直行", "一直往前开"), "stops": ("停车", "停下来"), "sets off": ("继续开", "起步"),
           "keeps": ("沿着路开", "保持车道")},
}
WHO = {"en": {"car": ("car", "cars"), "van": ("van", "vans"), "truck": ("truck", "trucks"),
              "bicycle": ("bicycle", "bicycles"), "person": ("person", "people")},
       "zh": {"car": "辆汽车", "van": "辆面包车", "truck": "辆卡车", "bicycle": "辆自行车", "person": "个行人"}}
COLOURS = {"red": "红色", "blue": "蓝色", "white": "白色", "black": "黑色", "grey": "灰色", "green": "绿色",
           "yellow": "黄色", "orange": "橙色"}
NUMBERS = {"en": ("no", "one", "two", "three", "four", "five"), "zh": ("零", "一", "两", "三", "四", "五")}
MANY = {"en": "many", "zh": "许多"}


def caption(truth: Truth, rng: np.random.Generator, *, language: str = "en", long: bool = False,
            held_out: bool = False, cameras: object = None, fps: float = 24.0) -> list[CaptionLine]:
    """One line for each beat: what the scene is, and what happens in it. long: who else is there is told as well.
    held_out: with templates that training never sees. Raises BadInput for another language than en and zh."""
    if language not in SCENE:
        raise BadInput(f'captions are written in en and zh, not in "{language}"')
    lines, ends = [], [*truth.beats[1:], np.inf]
    for number, (start, end) in enumerate(zip(truth.beats, ends, strict=True)):
        parts, used, order = [], [], []
        if number == 0:
            used.append(_chosen(SCENE[language][truth.setting], rng, held_out))
            parts.append(used[-1])
            if long and (others := _others(truth, language)):
                parts.append(others)
        for event in truth.events:
            if start <= event.start < end and (name := _named(event)) in HAPPENS[language]:
                template = _chosen(HAPPENS[language][name], rng, held_out)
                used.append(template)
                parts.append(template.format(who=_who(truth, event.actor, language)))
                if event.actor != truth.ego:
                    order.append(event.actor)
        lines.append(CaptionLine(float(start), _joined(parts, language), tuple(dict.fromkeys(order)), tuple(used)))
    return lines


def command(event: Event | None, language: str, rng: np.random.Generator) -> str:
    """What a driver was told who did this; None: nothing in particular."""
    table = COMMANDS[language]
    return str(rng.choice(table.get(_named(event) if event else "keeps", table["keeps"])))


def _named(event: Event) -> str:
    return f"{event.kind} {event.detail}".strip()


def _chosen(templates: tuple[str, ...], rng: np.random.Generator, held_out: bool) -> str:
    """One of the templates that are held out, or of the others; of all where there are none."""
    kept = [t for t in templates if template_held_out(t) == held_out] or list(templates)
    return str(kept[rng.integers(len(kept))])


def _who(truth: Truth, agent: int, language: str) -> str:
    kind, colour = truth.kinds[agent], truth.colours[agent]
    if language == "zh":
        return "一" + WHO["zh"][kind][0] + (COLOURS.get(colour, "") and COLOURS[colour] + "的") + WHO["zh"][kind][1:]
    return f"a {colour} {WHO['en'][kind][0]}".replace("a orange", "an orange").replace("a  ", "a ")


def _others(truth: Truth, language: str) -> str:
    """Who else is seen in the clip: how many of each kind."""
    shown = np.zeros(len(truth.kinds), bool)
    for visible in truth.visible.values():
        shown |= (visible > 0.3).any(0)
    shown |= truth.exists.any(0) if not truth.visible else False
    shown[truth.ego] = False
    counts = Counter(truth.kinds[n] for n in np.flatnonzero(shown))

    def said(kind: str, count: int) -> str:
        number = NUMBERS[language][count] if count < len(NUMBERS[language]) else MANY[language]
        if language == "zh":
            return f"{'一' if count == 1 else number}{WHO['zh'][kind]}" if count < 6 else f"许多{WHO['zh'][kind][1:]}"
        return f"{number} {WHO['en'][kind][count != 1]}"

    told = [said(kind, count) for kind, count in counts.items()]
    if not told:
        return ""
    if language == "zh":
        return "有" + "、".join(told)
    return "with " + (told[0] if len(told) == 1 else ", ".join(told[:-1]) + " and " + told[-1])


def _joined(parts: list[str], language: str) -> str:
    if not parts:
        return "接着开" if language == "zh" else "the drive goes on"
    return "，".join(parts) if language == "zh" else ", ".join(parts)
