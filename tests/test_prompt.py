"""The prompt judge: prompts are read right in both languages, each event's rule holds both ways, and what is missing,
swapped or frozen is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reverie.audit.asking import asked
from reverie.audit.findings import Motion, Track
from reverie.audit.happenings import RULES
from reverie.audit.prompt import ASPECTS, judge_prompt
from reverie.audit.story import stage_of, stories
from reverie.core.clip import Line
from reverie.core.errors import BadInput
from reverie.core.vocabulary import COLOURS, EVENTS, KINDS

FPS, SIZE, SECONDS = 24.0, (128, 128), 3.0
T = round(FPS * SECONDS)
METRE, GROUND = 30.0, 100.0  # pixels
TIME = np.arange(T) / FPS


# -- what is asked ------------------------------------------------------------------------------------------


def things(text):
    """The things that a text names, as "2 red ball", sorted."""
    names = [c.things[0].name for c in asked(text) if c.aspect == "kind" and c.known]
    return sorted(f"{names.count(n)} {n}" for n in set(names))


def events(text):
    return [(c.what, c.things[0].name, c.detail) for c in asked(text) if c.aspect == "event"]


NAMED = {
    "a red ball falls": ["1 red ball"],
    "a crimson sphere plummets": ["1 red ball"],
    "two small blue boxes and a green cone": ["1 green cone", "2 blue box"],
    "a hound": ["1 dog"],
    "three dogs chase a bird": ["1 bird", "3 dog"],
    "several yellow crates stand in a room": ["2 yellow box"],
    "a row of five dominoes topples": ["5 domino"],
    "a row of dominoes": ["3 domino"],
    "a pair of white chairs": ["2 white chair"],
    "a red and a blue ball": ["1 blue ball", "1 red ball"],
    "a man in red walks past a woman in blue": ["1 blue person", "1 red person"],
    "A traffic cone, a wooden board and a basketball hoop.": ["1 cone", "1 hoop", "1 plank"],
    "an orange basketball flies into the hoop": ["1 hoop", "1 orange basketball"],
    "a ball rolls. the ball stops. it rests": ["1 ball"],
    "a red ball and another red ball": ["2 red ball"],
    "two red balls. one of the red balls rolls away": ["2 red ball"],
    "a large, bright red ball on a table top": ["1 red ball"],
    "a chair on the floor of a room, at night": ["1 chair"],
    "一个红球落下": ["1 red ball"],
    "两只小狗": ["2 dog"],
    "两个蓝色的盒子和一个绿色的圆锥": ["1 green cone", "2 blue box"],
    "一排五块黄色的骨牌倒下": ["5 yellow domino"],
    "一个穿红衣服的人走过一面白墙": ["1 red person", "1 white wall"],
    "三只黑鸟飞过": ["3 black bird"],
    "红球在蓝箱子左边": ["1 blue box", "1 red ball"],
    "有一个红球。红球向右滚": ["1 red ball"],
    "一个篮球落进篮筐": ["1 basketball", "1 hoop"],
    "几个紫色的圆柱": ["2 purple cylinder"],
    "a heavy crate and no ball": ["1 box"],
    "三个小朋友": ["3 person"],
    "一把椅子和一张桌子在桌面上": ["1 chair", "1 table"],
    "另一个红球": ["1 red ball"],
}


@pytest.mark.parametrize("text", NAMED)
def test_things_are_read(text):
    assert things(text) == sorted(NAMED[text])


TOLD = {
    "a red ball is dropped": [("dropped", "red ball", "")],
    "a ball rolls to the left": [("rolled", "ball", "left")],
    "a blue box slides right into a wall": [("slid", "blue box", "right")],
    "a box pushes a ball to the right": [("pushed", "ball", "right")],
    "a ball and a box. the ball rolls to the box and pushes it": [("rolled", "ball", ""), ("pushed", "box", "")],
    "a ball knocks over a row of dominoes": [("toppled", "domino", "")],
    "someone throws a basketball": [("thrown", "basketball", "")],
    "the ball is pushed by a box": [("pushed", "ball", "")],
    "a pendulum swings to and fro": [("swung", "pendulum", "")],
    "a tower of boxes collapses": [("toppled", "box", "")],
    "a cone is placed on a box": [("stacked", "cone", "")],
    "a ball jumps up again and again": [("launched", "ball", "")],
    "a ball bounces off the wall": [("bounced", "ball", "")],
    "a dog walks behind a wall and comes out again": [("hidden", "dog", "")],
    "a screen comes down in front of a dog": [("covered", "dog", "")],
    "a basketball goes through the hoop": [("scored", "basketball", "")],
    "a basketball misses the hoop": [("missed", "basketball", "")],
    "a dog comes in from the left": [("enters", "dog", "left")],
    "from the right comes a bird": [("enters", "bird", "right")],
    "a bird flies away to the right": [("leaves", "bird", "right")],
    "a bird flies to the left": [("walks", "bird", "left")],
    "a person strolls towards the camera": [("walks", "person", "front")],
    "a green cylinder is thrown to the right": [("thrown", "green cylinder", "right")],
    "a cone stands still": [("rests", "cone", "")],
    "a ball falls and then rolls left": [("dropped", "ball", ""), ("rolled", "ball", "left")],
    "一个红球落下": [("dropped", "red ball", "")],
    "一个红球被蓝箱子向左推开": [("pushed", "red ball", "left")],
    "小狗从左边进来，然后走到墙后面": [("enters", "dog", "left"), ("hidden", "dog", "")],
    "幕布在球前面落下": [("covered", "ball", "")],
    "篮球没投进": [("missed", "basketball", "")],
    "一个人把篮球扔进篮筐": [("scored", "basketball", "")],
    "钟摆来回摆动": [("swung", "pendulum", "")],
    "鸟向右飞走": [("leaves", "bird", "right")],
    "一个球滚动，接着它向右离开": [("rolled", "ball", ""), ("leaves", "ball", "right")],
    "箱子被放到桌子上": [("stacked", "box", "")],
}


@pytest.mark.parametrize("text", TOLD)
def test_events_are_read(text):
    assert events(text) == TOLD[text]


def test_places_are_read():
    def places(text):
        return [(c.what, c.things[0].name, [o.name for o in c.others]) for c in asked(text) if c.aspect == "place"]

    assert places("a red ball left of a blue box") == [("rel left", "red ball", ["blue box"])]
    assert places("to the right of a dog there is a bird") == [("rel right", "bird", ["dog"])]
    assert places("a cone is behind a wall") == [("rel behind", "cone", ["wall"])]
    assert places("a cone on a table, in front of a wall")[0] == ("rel on", "cone", ["table"])
    assert places("a ball in the middle. on the left is a cone") == [
        ("spot middle", "ball", []), ("spot left", "cone", [])]
    assert places("红球在蓝箱子左边") == [("rel left", "red ball", ["blue box"])]
    assert places("在墙后面有一只狗") == [("rel behind", "dog", ["wall"])]
    assert places("球在桌子上") == [("rel on", "ball", ["table"])]


def test_order_is_read():
    def order(text):
        return [(c.first.what, c.second.what) for c in asked(text) if c.aspect == "order"]

    assert order("a ball falls, then a dog walks") == [("dropped", "walks")]
    assert order("a ball falls before a dog walks") == [("dropped", "walks")]
    assert order("a ball falls after a dog walks") == [("walks", "dropped")]
    assert order("once a ball falls, a dog walks") == [("dropped", "walks")]
    assert order("a ball falls while a dog walks") == []
    assert order("一个球落下，然后一只狗走过") == [("dropped", "walks")]
    assert order("一个球落下的同时一只狗走过") == []
    assert order([Line(0.0, "a ball falls"), Line(2.0, "a dog walks in")])[:1] == [("dropped", "enters")]


def test_the_camera_is_read():
    def camera(text, moves=None):
        return [(c.what, c.detail) for c in asked(text, moves) if c.aspect == "camera"]

    assert camera("a ball falls while the camera pans to the left") == [("pan", "left")]
    assert camera("The camera orbits right by 30 degrees and the camera tilts up. A dog.") == [
        ("orbit", "right"), ("tilt", "up")]
    assert camera("the camera moves closer") == [("dolly", "in")]
    assert camera("the camera does not move") == [("still", "")]
    assert camera("the camera follows a dog") == [("follow", "")]
    assert camera("镜头向左摇，一个球落下") == [("pan", "left")]
    assert camera("镜头跟着狗") == [("follow", "")]
    assert camera("", "orbit left 30, dolly in 0.5") == [("orbit", "left"), ("dolly", "in")]
    assert camera("a dog walks towards the camera") == []
    with pytest.raises(BadInput):
        asked("", "fly away")


@pytest.mark.parametrize(("text", "word"), [
    ("a zeppelin lands on a red ball", "zeppelin"), ("an elephant walks", "elephant"), ("一艘飞艇飞过", "艇")])
def test_unknown_words_are_told(text, word):
    unknown = [c.words for c in asked(text) if not c.known]
    assert any(word in said for said in unknown)
    aspects = judge_prompt(text, [], still(), FPS, SIZE, SECONDS)
    assert any(a.score is None and "can't judge" in a.found and word in a.found for a in aspects)


@pytest.mark.parametrize("text", ["", "   ", "...", "?!,;:", "the of and", "{then} <a> #3", "的了着", "a" * 300,
                                  "red " * 75, "a ball, " * 37, "球" * 300, "一个" * 150, "then then before",
                                  "ball\x00dog \ue000\ue001 cone"])
def test_odd_texts_are_no_error(text):
    asked(text)
    judge_prompt(text, [], still(), FPS, SIZE, SECONDS)


# -- what is seen -------------------------------------------------------------------------------------------


def thing(kind, colour, x, z=0.0, *, size=(0.4, 0.4), frames=None, visible=1.0, depth=None, began="clip", ended="clip",
          number=1):
    """A track of a thing whose foot is at x (metres from the middle) and z (over the ground), each a number or (T,)."""
    frames = np.arange(T) if frames is None else frames
    full = [np.broadcast_to(np.asarray(v, float), (T,))[frames] for v in (x, z, size[0], size[1], visible)]
    x, z, wide, tall, visible = full
    away = np.broadcast_to(np.asarray(0.5 * SIZE[0] / np.tan(np.radians(20)) / METRE if depth is None else depth), (T,))
    middle, foot = SIZE[1] / 2 + METRE * x, GROUND - METRE * z
    boxes = np.stack([middle - METRE * wide / 2, foot - METRE * tall, middle + METRE * wide / 2, foot], -1)
    boxes = np.clip(boxes, 0, 128).astype(np.float32)
    n = len(frames)
    kinds = np.eye(len(KINDS), dtype=np.float32)[[KINDS.index(kind)] * n]
    colours = np.eye(len(COLOURS), dtype=np.float32)[[list(COLOURS).index(colour)] * n]
    return Track(number, kind, colour, frames, boxes, np.ones(n, np.float32), visible.astype(np.float32),
                 away[frames].astype(np.float32), z.astype(np.float32), kinds, colours, np.ones((n, 2), np.float32),
                 began, ended)


def still(moves="still"):
    rates = np.zeros((T, 5), np.float32)
    return Motion(np.tile(np.eye(2, 3, dtype=np.float32), (T, 1, 1)), np.ones(T, bool), rates, (), moves)


def numbered(*tracks):
    return [replace(t, number=n + 1) for n, t in enumerate(tracks)]


def judged(text, *tracks, motion=None, camera=None):
    found = judge_prompt(text, numbered(*tracks), motion or still(), FPS, SIZE, SECONDS, camera)
    assert [a.name for a in found if a.score is not None] == sorted(
        (a.name for a in found if a.score is not None), key=ASPECTS.index)
    return {a.name: a.score for a in found if a.score is not None}


def ramp(low, high, start=0.5, end=2.0):
    return np.interp(TIME, [start, end], [low, high])


def fall(height, start=0.5):
    since = np.maximum(TIME - start, 0)
    return np.maximum(height - 4.9 * since**2, 0)


def hop(start=0.5, up=4.0):
    since = np.clip(TIME - start, 0, 2 * up / 9.81)
    return up * since - 4.905 * since**2


BALL = ("ball", "red")
WALL = thing("wall", "blue", 0.0, size=(1.0, 1.2), number=2)
HOOP = thing("hoop", "blue", 0.8, size=(0.7, 1.9), number=2)
BESIDE = np.abs(ramp(-1.2, 1.2)) < 0.5
# event -> (tracks in which it happens to the first, tracks in which it does not)
HAPPENS = {
    "rests": ([thing(*BALL, 0.0)], [thing(*BALL, ramp(-1.5, 1.5, 0, 3))]),
    "dropped": ([thing(*BALL, 0.0, fall(1.5))], [thing(*BALL, 0.0), ]),
    "thrown": ([thing(*BALL, ramp(-1.2, 1.2, 0.5, 1.3), hop())], [thing(*BALL, ramp(-1.2, 1.2))]),
    "rolled": ([thing(*BALL, ramp(-1.0, 1.0))], [thing(*BALL, 0.0)]),
    "slid": ([thing(*BALL, ramp(-1.0, 1.0))], [thing(*BALL, 0.0, fall(1.5))]),
    "pushed": ([thing(*BALL, ramp(0.4, 1.2, 1.0, 1.6)), thing("box", "blue", ramp(-1.5, 0.1, 0.2, 1.0))],
               [thing(*BALL, 0.4), thing("box", "blue", ramp(-1.5, -0.5, 0.2, 1.0))]),
    "swung": ([thing("pendulum", "red", 0.3 * np.sin(5 * TIME), size=(0.3, 1.0))],
              [thing("pendulum", "red", 0.0, size=(0.3, 1.0))]),
    "toppled": ([thing("domino", "red", 0.0, size=(np.interp(TIME, [1, 1.3], [0.15, 0.6]), np.interp(
        TIME, [1, 1.3], [0.6, 0.15])))], [thing("domino", "red", ramp(-1, 1), size=(0.15, 0.6))]),
    "stacked": ([thing("cone", "red", 0.0, ramp(2.0, 0.5, 0.3, 1.6)), thing("box", "blue", 0.0, size=(0.5, 0.5))],
                [thing("cone", "red", 1.0), thing("box", "blue", 0.0, size=(0.5, 0.5))]),
    "launched": ([thing(*BALL, 0.0, hop())], [thing(*BALL, 0.0, fall(1.5))]),
    "bounced": ([thing(*BALL, np.interp(TIME, [0, 1, 2], [-1, 1, -1]))], [thing(*BALL, ramp(-1, 1))]),
    "hidden": ([thing(*BALL, ramp(-1.2, 1.2), visible=1.0 - BESIDE), WALL], [thing(*BALL, ramp(-1.2, 1.2)), WALL]),
    "covered": ([thing(*BALL, 0.0, visible=1.0 - (np.abs(TIME - 1.5) < 0.5)), thing(
        "screen", "blue", 0.0, np.interp(TIME, [0.5, 1, 2, 2.5], [3, 0, 0, 3]), size=(1.0, 1.0))],
        [thing(*BALL, 0.0), WALL]),
    "scored": ([thing("basketball", "red", ramp(-1.0, 0.8, 0.5, 1.6), 1.2 * hop(0.5, 6.0), size=(0.25, 0.25)), HOOP],
               [thing("basketball", "red", ramp(-1.0, -0.3, 0.5, 1.6), 1.2 * hop(0.5, 6.0), size=(0.25, 0.25)), HOOP]),
    "missed": ([thing("basketball", "red", ramp(-1.0, 0.2, 0.5, 1.6), 1.2 * hop(0.5, 6.0), size=(0.25, 0.25)), HOOP],
               [thing("basketball", "red", -1.0, size=(0.25, 0.25)), HOOP]),
    "enters": ([thing(*BALL, ramp(-2.2, 0.0), frames=np.arange(14, T), began="border")], [thing(*BALL, ramp(-1, 0))]),
    "leaves": ([thing(*BALL, ramp(0.0, 2.2), frames=np.arange(0, 46), ended="border")], [thing(*BALL, ramp(0, 1))]),
    "walks": ([thing("dog", "red", ramp(1.0, -1.0))], [thing("dog", "red", 0.0)]),
}


def test_every_event_has_a_rule_and_a_test():
    assert set(RULES) == set(HAPPENS) == set(EVENTS) - {"camera"}


@pytest.mark.parametrize("event", HAPPENS)
def test_each_rule_holds_both_ways(event):
    for tracks, happens in zip(HAPPENS[event], (True, False), strict=True):
        stage = stage_of(numbered(*tracks), still(), FPS, SIZE, T)
        first, *others = [stories([t], stage, 1)[0] for t in stage.tracks]
        assert bool(RULES[event](first, others)) == happens


def test_directions_are_told_apart():
    right = thing(*BALL, ramp(-1.0, 1.0))
    assert judged("a red ball rolls to the right", right)["event"] == 1
    assert judged("a red ball rolls to the left", right)["event"] == 0
    assert judged("一个红球向左滚", right)["event"] == 0
    near = thing(*BALL, 0.0, depth=np.interp(TIME, [0.5, 2], [6.0, 4.5]))
    assert judged("a red ball rolls towards the camera", near)["event"] == 1
    comes = HAPPENS["enters"][0][0]
    assert judged("a red ball comes in from the left", comes)["event"] == 1
    assert judged("a red ball comes in from the right", comes)["event"] == 0


PROMPT = "a red ball falls left of a blue box, then the box slides to the right. the camera pans left"


def test_what_is_asked_for_and_there_is_right():
    moved = replace(still("pan left 8"), rates=np.tile(np.float32([-8 / SECONDS, 0, 0, 0, 0]), (T, 1)))
    ball, box = thing(*BALL, -0.8, fall(1.5, 0.3)), thing("box", "blue", ramp(0.3, 1.3, 1.5, 2.5))
    assert judged(PROMPT.split(". ")[0], ball, box) == dict.fromkeys(ASPECTS[:6], 1.0)
    assert judged("the camera pans left", motion=moved)["camera"] > 0.9
    assert judged("the camera pans right", motion=moved)["camera"] < 0.1
    assert judged("", motion=moved, camera="pan left 8")["camera"] > 0.9


def test_an_empty_video_scores_nothing():
    assert judged(PROMPT) == dict.fromkeys(ASPECTS, 0.0)
    assert judge_prompt("", [], still(), FPS, SIZE, SECONDS) == []


def test_a_frozen_video_scores_nothing_that_moves():
    frozen = judged(PROMPT, thing(*BALL, -0.8, 1.0), thing("box", "blue", 0.3))
    assert (frozen["event"], frozen["order"], frozen["camera"]) == (0, 0, 0)
    assert (frozen["kind"], frozen["colour"], frozen["count"], frozen["place"]) == (1, 1, 1, 1)


def test_what_is_missing_fails_whatever_depends_on_it():
    only = judged(PROMPT.split(". ")[0], thing(*BALL, -0.8, fall(1.5, 0.3)))
    assert only["kind"] == only["colour"] == only["count"] == 0.5
    assert only["place"] == only["order"] == 0 and only["event"] == 0.5


def test_swaps_are_told_apart():
    red, blue = thing(*BALL, -0.8), thing("box", "blue", 0.8)
    assert judged("a red ball and a blue box", red, blue)["colour"] == 1
    assert judged("a blue ball and a red box", red, blue)["colour"] == 0
    assert judged("a red ball left of a blue box", red, blue)["place"] == 1
    assert judged("a blue box left of a red ball", red, blue)["place"] == 0
    assert judged("一个红球在一个蓝箱子右边", red, blue)["place"] == 0
    falls, walks = thing(*BALL, -0.8, fall(1.5, 0.3)), thing("dog", "black", ramp(1.0, 0.0, 1.5, 2.5))
    told = ("a red ball falls", "a black dog walks")
    for first, second, score in ((*told, 1), (*told[::-1], 0)):
        assert judged(f"{first}, then {second}", falls, walks)["order"] == score
        assert judged(f"{second} after {first}", falls, walks)["order"] == score
        assert judged([Line(0.0, first), Line(1.2, second)], falls, walks)["order"] == score


def test_counts_are_told():
    two = [thing(*BALL, -0.8), thing(*BALL, 0.8)]
    assert judged("two red balls", *two)["count"] == 1
    assert judged("a red ball", *two)["count"] == 0
    assert judged("three red balls", *two)["count"] == 0
    assert judged("several red balls", *two)["count"] == 1
    assert judged("several red balls", two[0])["count"] == 0
    behind = [thing(*BALL, -0.8, frames=np.arange(30), ended="hidden"),
              thing(*BALL, 0.8, frames=np.arange(40, T), began="hidden")]
    assert judged("a red ball", *behind)["count"] == 1  # one ball, followed in two pieces


def test_the_camera_is_no_motion_of_things():
    """What rests while the camera pans does not move; what moves with the picture still moves."""
    rates = np.tile(np.float32([8.0, 0, 0, 0, 0]), (T, 1))
    panned = replace(still("pan right 24"), rates=rates)
    shift = -np.radians(8.0) * TIME * 0.5 * SIZE[0] / np.tan(np.radians(20)) / METRE
    assert judged("a red ball rolls", thing(*BALL, 1.0 + shift), motion=panned)["event"] == 0
    assert judged("a red ball rolls to the right", thing(*BALL, 0.0), motion=panned)["event"] == 1
