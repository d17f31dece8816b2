"""Suite ``control``: a prompt names one coloured thing; is it there, and nothing that was not asked for?

Judged from the pixels of the last two of three seconds, by the observer, which knows nothing of the model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from reverie.audit.observer import SeenThing, seen_over_clip
from reverie.core.clip import Line
from reverie.core.vocabulary import FIXTURES, FRAMES_PER_LATENT
from reverie.data.captions import prompts_one_thing
from reverie.data.naming import TABLES
from reverie.evaluate.dreams import dream, pixels_of
from reverie.evaluate.figures import figure, share
from reverie.evaluate.study import SEED, Study

SECONDS, JUDGED = 3.0, 2.0
LANGUAGES = {"en": "english", "zh": "chinese"}
GOAL = ">= 0.85"


def measure(study: Study) -> list[dict]:
    """Over n prompts in held-out phrasings, half English and half Chinese: the share in which the named
    thing is there and nothing else; its kind alone, its colour alone; and the same rate when each video
    is held against another's prompt (what chance would give)."""
    count = {"en": study.n - study.n // 2, "zh": study.n // 2}
    figures, hits, chance = [], [], []
    latents = round(SECONDS * study.world.fps) // FRAMES_PER_LATENT
    with study.track(study.n, "prompts") as bar:
        for language, name in LANGUAGES.items():
            prompts = prompts_one_thing(np.random.default_rng(SEED), count[language], language, held_out=True)
            scripts = [[Line(0.0, text)] for text, *_ in prompts]
            things, views = dream(study.world, scripts, latents, seed=SEED)
            seen = []
            for i in range(len(scripts)):
                frames = pixels_of(study.world, things[i], None if views is None else views[i])
                seen.append(seen_over_clip(study.observer.detect(frames[-round(JUDGED * study.world.fps) :])))
                bar.advance()
            n = len(prompts)
            rows = [right(found, *prompt[:3], language) for found, prompt in zip(seen, prompts, strict=True)]
            shuffled = [prompts[(i + 1 + n // 3) % n] for i in range(n)] if n > 1 else []  # never its own
            mixed = [right(f, *p[:3], language)[0] for f, p in zip(seen, shuffled, strict=False)]
            hits += [row[0] for row in rows]
            chance += mixed
            for k, what in enumerate(("thing_alone", "thing", "kind", "colour")):
                value = share(sum(row[k] for row in rows), n)
                figures.append(figure(f"{name}_{what}", value, "share", None if k else GOAL, n))
            value = share(sum(mixed), len(mixed))
            figures.append(figure(f"{name}_thing_alone_shuffled", value, "share", None, len(mixed)))
    return [figure("thing_alone", share(sum(hits), len(hits)), "share", GOAL, len(hits)),
            figure("thing_alone_shuffled", share(sum(chance), len(chance)), "share", None, len(chance)), *figures]


def right(seen: Sequence[SeenThing], text: str, colour: str, kind: str, language: str
          ) -> tuple[bool, bool, bool, bool]:
    """Of what was seen: is the one named thing there and nothing else (but scenery that the text names too);
    is the thing there; is something of its kind; is something of its colour."""
    exact = [thing for thing in seen if (thing.kind, thing.colour) == (kind, colour)]
    others = [thing for thing in seen if (thing.kind, thing.colour) != (kind, colour)]
    scenery = named_scenery(text, language)
    alone = len(exact) == 1 and all(thing.kind in scenery for thing in others)
    return (alone, bool(exact), any(thing.kind == kind for thing in seen),
            any(thing.colour == colour for thing in seen))


def named_scenery(text: str, language: str) -> set[str]:
    """The kinds of scenery (walls, tables, ...) that a text names, besides the setting's table top."""
    words, found = TABLES[language][0], set()
    for phrase in sorted((p for table in words.SETTINGS.values() for p in table), key=len, reverse=True):
        text = re.sub(re.escape(phrase), " ", text, flags=re.IGNORECASE)
    for kind in FIXTURES:
        nouns = [noun for forms in words.NOUNS[kind] for noun in (forms[:2] if language == "en" else forms[:1])]
        pattern = "|".join(rf"\b{re.escape(n)}\b" if language == "en" else re.escape(n) for n in nouns)
        if re.search(pattern, text, re.IGNORECASE):
            found.add(kind)
    return found
