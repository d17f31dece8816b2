"""From the truth of a clip to the text that a person might have typed for it, in English and Chinese.

A caption has one line for each beat of the script. The first line names everything that is there, by
kind, colour and count (so that a prompt naming one thing means just one thing), and what happens
first; each later line tells what happens then. A long caption adds sizes, materials, places, the
setting and the camera; a short one may leave those open.

Words and sentence templates stand in phrases_* and templates_*. Which templates are held out of
training is decided by data.heldout; a caption uses either only the ones or only the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import numpy as np

from reverie.core.camera import CameraPath
from reverie.core.clip import Event, Truth
from reverie.core.errors import BadInput
from reverie.core.vocabulary import COLOURS, DEFAULT_FPS
from reverie.data.naming import TABLES, allowed
from reverie.data.teller import CaptionLine, Teller

__all__ = ["ALONE", "CaptionLine", "caption", "known_words", "prompts_one_thing"]

# What each kind can do with nothing else in the picture.
ALONE = {
    "ball": ("dropped", "thrown", "rolled", "launched", "bounced", "slid"),
    "box": ("dropped", "thrown", "slid", "pushed"),
    "cylinder": ("dropped", "thrown", "rolled", "pushed"),
    "cone": ("dropped", "thrown", "slid", "pushed"),
    "plank": ("dropped", "slid", "toppled"),
    "pendulum": ("swung",),
    "basketball": ("dropped", "thrown", "rolled", "bounced"),
    "person": ("walks", "enters"),
    "dog": ("walks", "enters"),
    "bird": ("walks", "enters"),
}


def caption(
    truth: Truth,
    rng: np.random.Generator,
    *,
    language: str = "en",
    long: bool = False,
    held_out: bool = False,
    cameras: CameraPath | dict[str, CameraPath] | None = None,
    fps: float = DEFAULT_FPS,
) -> list[CaptionLine]:
    """One CaptionLine for each beat of the truth.

    language: "en" or "zh". held_out: whether to use only templates that training never sees, or only
    the others. cameras: from where left, right and behind are meant (of several the first); without
    it a camera that looks along +y. fps: frames a second of the truth's arrays, in which events are
    looked up. Raises BadInput for another language.
    """
    if language not in TABLES:
        raise BadInput(f'captions are written in en and zh, not in "{language}"')
    camera = next(iter(cameras.values()), None) if isinstance(cameras, dict) else cameras
    teller = Teller(truth, rng, language, long, held_out, camera, fps)
    ends = [*truth.beats[1:], np.inf]
    return [
        teller.line(start, end, number == 0)
        for number, (start, end) in enumerate(zip(truth.beats, ends, strict=True))
    ]


def _lone(kind: str, colour: str) -> Truth:
    """A still truth of one thing, enough to be told about."""
    return Truth(
        "room",
        [kind],
        [colour],
        ["medium"],
        ["bouncy"],
        np.ones((1, 3), np.float32),
        np.ones((1, 1), bool),
        np.zeros((1, 1, 3), np.float32),
        np.eye(3, dtype=np.float32)[None, None],
        np.zeros((1, 1, 3), np.float32),
        np.zeros((1, 1), np.float32),
        np.zeros((0, 3), np.int32),
        [],
        [0.0],
    )


def prompts_one_thing(
    rng: np.random.Generator, n: int, language: str = "en", held_out: bool = True
) -> list[tuple[str, str, str, str]]:
    """n prompts that each name exactly one coloured thing: (text, colour, kind, event).

    Colours and the kinds that can act alone (ALONE) come equally often, in every order.
    """
    if language not in TABLES:
        raise BadInput(f'captions are written in en and zh, not in "{language}"')
    kinds, colours = list(ALONE), list(COLOURS)
    prompts = []
    for number in range(n):
        if number % len(kinds) == 0:
            kinds = list(rng.permutation(list(ALONE)))
        if number % len(colours) == 0:
            colours = list(rng.permutation(list(COLOURS)))
        kind, colour = str(kinds[number % len(kinds)]), str(colours[number % len(colours)])
        event = str(rng.choice(ALONE[kind]))
        detail = str(rng.choice(["left", "right", ""]))
        truth = _lone(kind, colour)
        truth.events = [Event(event, 0.0, 1.0, 0, detail=detail)]
        teller = Teller(truth, rng, language, False, held_out, None, DEFAULT_FPS)
        teller.coloured = True
        text = teller.line(0.0, np.inf, True).text
        prompts.append((text, colour, kind, event))
    return prompts


def _strings(table: object) -> Iterator[str]:
    """All strings among the values of nested tables."""
    if isinstance(table, str):
        yield table
    elif isinstance(table, (tuple, dict)):
        for value in table.values() if isinstance(table, dict) else table:
            yield from _strings(value)


@cache
def known_words(language: str) -> frozenset[str]:
    """Every word (English, lower case) or character (Chinese) that the captions of training can contain."""
    if language not in TABLES:
        raise BadInput(f'captions are written in en and zh, not in "{language}"')
    words, templates = TABLES[language]
    found: set[str] = set()
    for name, table in [*vars(words).items(), *vars(templates).items()]:
        if not name.isupper():
            continue
        for text in _strings(table):
            if vars(templates).get(name) is table and name != "WITH" and not allowed((text,), False):
                continue
            for several in (False, True):
                plain = re.sub(r"\{\w+\}", " ", words.agree(text, several)).lower()
                found.update(
                    re.findall(r"[a-z]+", plain)
                    if language == "en"
                    else re.findall(r"[\u4e00-\u9fff]", plain)
                )
    return frozenset(found)
