"""Prompts that differ only in which of two things has which of two colours: are their videos told apart?

Part of the suite ``prompts``. Each video is scored under both prompts, by the judge and from pixels alone; it is told
apart when its own prompt fits it better than the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reverie.audit.judge import audit_frames
from reverie.audit.prompt import judge_prompt
from reverie.core.clip import Event, Line, Truth
from reverie.core.vocabulary import COLOURS, DEFAULT_FPS, FRAMES_PER_LATENT
from reverie.data.captions import ALONE
from reverie.data.teller import Teller
from reverie.evaluate.dreams import dream, pixels_of
from reverie.evaluate.figures import figure, share
from reverie.evaluate.study import SEED, Study

SECONDS = 3.0
GOAL = ">= 0.95"
LANGUAGES = {"en": "english", "zh": "chinese"}
KINDS = tuple(kind for kind in ALONE if kind not in ("pendulum", "bird"))  # what can simply stand there


def swapped_prompts(rng: np.random.Generator, n: int, language: str) -> list[tuple[str, str]]:
    """n pairs of texts in held-out phrasings, each of two things of two kinds and colours, and the same with the
    colours swapped: "a red ball and a blue box", "a blue ball and a red box"."""
    pairs = []
    for _ in range(n):
        kinds = [str(kind) for kind in rng.choice(KINDS, 2, replace=False)]
        colours = [str(colour) for colour in rng.choice(list(COLOURS), 2, replace=False)]
        seed = int(rng.integers(2**31))
        pairs.append((_told(kinds, colours, language, seed), _told(kinds, colours[::-1], language, seed)))
    return pairs


def _told(kinds: list[str], colours: list[str], language: str, seed: int) -> str:
    """Two things that stand side by side, in words; one seed, one wording."""
    position = np.array([[[-0.7, 0, 0.3], [0.7, 0, 0.3]]], np.float32)
    turn, none = np.tile(np.eye(3, dtype=np.float32), (1, 2, 1, 1)), np.zeros((1, 2, 3), np.float32)
    truth = Truth("room", kinds, colours, ["medium"] * 2, ["heavy"] * 2, np.full((2, 3), 0.3, np.float32),
                  np.ones((1, 2), bool), position, turn, none, np.zeros((1, 2), np.float32), np.zeros((0, 3), np.int32),
                  [Event("rests", 0.0, 1.0, i) for i in range(2)], [0.0])
    teller = Teller(truth, np.random.default_rng(seed), language, False, True, None, DEFAULT_FPS)
    teller.coloured = True
    return teller.line(0.0, np.inf, True).text


def measure(study: Study, pairs: int) -> list[dict]:
    """The share of videos, two for each of so many pairs of prompts in English and in Chinese in turn, that fit their
    own prompt better than its swap; the share that fit neither better; and each language's."""
    world = study.world
    count = {"en": pairs - pairs // 2, "zh": pairs // 2}
    rng = np.random.default_rng(SEED)
    asked = [(language, pair) for language, n in count.items() for pair in swapped_prompts(rng, n, language)]
    scripts = [[Line(0.0, text)] for _, pair in asked for text in pair]
    found: dict[str, list[tuple[float, float]]] = {language: [] for language in LANGUAGES}
    with study.track(2 * len(scripts), "swapped prompts") as bar:
        things, views = dream(world, scripts, round(SECONDS * world.fps) // FRAMES_PER_LATENT, seed=SEED,
                              tell=bar.advance)
        for i in range(len(scripts)):
            frames = pixels_of(world, things[i], None if views is None else views[i])
            language, pair = asked[i // 2]
            own, other = pair[i % 2], pair[1 - i % 2]
            found[language].append(tuple(fits(study, frames, [own, other])))
            bar.advance()
    every = [pair for some in found.values() for pair in some]
    out = [figure("swapped_colours_told_apart", *_apart(every), goal=GOAL, n=len(every)),
           figure("swapped_colours_undecided", share(sum(a == b for a, b in every), len(every)), "share", None,
                  len(every))]
    return out + [figure(f"{name}_swapped_colours_told_apart", *_apart(found[language]), n=len(found[language]))
                  for language, name in LANGUAGES.items()]


def fits(study: Study, frames: np.ndarray, texts: Sequence[str]) -> list[float]:
    """How well each of some texts fits a video, uint8 (T, H, W, 3): its mean score over kinds and colours."""
    verdict = audit_frames(frames, study.world.fps, observer=study.observer)
    return [float(np.mean([aspect.score for aspect in judge_prompt(text, verdict.tracks, verdict.motion, verdict.fps,
                                                                   verdict.size, verdict.seconds)
                           if aspect.name in ("kind", "colour") and aspect.score is not None] or [0.0]))
            for text in texts]


def _apart(scores: Sequence[tuple[float, float]]) -> tuple[float, str]:
    return share(sum(own > other for own, other in scores), len(scores)), "share"
