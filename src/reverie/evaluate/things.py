"""Suite ``things``: the things before they are painted: as the prompt says, and as physics says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from reverie.core.camera import CameraPath
from reverie.core.clip import Truth
from reverie.core.vocabulary import COLOURS, FRAMES_PER_LATENT, KINDS
from reverie.data.naming import TABLES
from reverie.evaluate import physics
from reverie.evaluate.dreams import Happening, dream
from reverie.evaluate.figures import figure, share
from reverie.evaluate.study import SEED, Study, held_out_caption

SECONDS = 6.0
APART = 0.3  # metres across the picture, from which on a thing is clearly left or right of another
F = FRAMES_PER_LATENT


def measure(study: Study) -> list[dict]:
    """Agreement with n held-out prompts, and physics from their first seconds."""
    world = study.world
    clips = study.clips(study.n, SECONDS, drawn=False)
    truths = [clips.clip(i, views=False) for i in range(len(clips))]
    captions = [held_out_caption(clips.meta(i), i) for i in range(len(clips))]
    scripts = [physics.told(caption) for caption in captions]
    with study.track(len(clips), "things of prompts") as bar:
        made, _ = dream(world, scripts, round(SECONDS * world.fps) // F, seed=SEED, with_views=False, tell=bar.advance)
    judged = [judge(Happening.of(tokens), clip.truth, next(iter(clip.cameras.values())), caption, world.fps)
              for tokens, clip, caption in zip(made, truths, captions, strict=True)]
    placed = [j for j in judged if j.place is not None]
    figures = []
    for name, those in (("kinds", judged), ("colours", judged), ("count", judged), ("place", placed)):
        right = sum(getattr(j, name) for j in those)
        figures.append(figure(f"prompt_{name}_right", share(right, len(those)), "share", None, len(those)))
    whole = [j.kinds and j.colours and j.count and j.place is not False for j in judged]
    figures.append(figure("prompt_all_right", share(sum(whole), len(whole)), "share", None, len(whole)))
    orders = [physics.slots(caption, clip) for caption, clip in zip(captions, truths, strict=True)]
    return figures + physics.measure(study, truths, scripts, orders)


# -- as the prompt says --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judgement:
    """What of a prompt came true; place is None where the prompt says nothing of left and right."""

    kinds: bool
    colours: bool
    count: bool
    place: bool | None


def judge(made: Happening, truth: Truth, camera: CameraPath, caption: dict, fps: float) -> Judgement:
    """Hold a dream against what its caption names: which kinds, which coloured kinds, how many of each kind
    are there at any time; and, where the text speaks of left or right, whether all named things that are
    clearly apart in truth at the start are so in the dream."""
    named = sorted({i for line in caption["lines"] for i in line["order"] if 0 <= i < len(truth.kinds)})
    said = Counter(truth.kinds[i] for i in named)
    told = {(truth.kinds[i], truth.colours[i]) for i in named}
    slots = np.flatnonzero(made.exists.any(0))
    first = made.exists[:, slots].argmax(0)  # kind and colour are for ever: read where a thing begins
    names = [(KINDS[min(made.kinds[t, s], len(KINDS) - 1)], list(COLOURS)[min(made.colours[t, s], len(COLOURS) - 1)])
             for t, s in zip(first, slots, strict=True)]
    there = Counter(kind for kind, _ in names)
    place = None
    if speaks_of_sides(" ".join(line["text"] for line in caption["lines"]), caption["language"]):
        place = _sides(made, dict(zip(slots.tolist(), names, strict=True)), truth, named, camera, fps)
    return Judgement(set(said) == set(there), told == set(names), said == there, place)


def speaks_of_sides(text: str, language: str) -> bool:
    """Whether a text says of a thing that it is left or right of another, or of the picture."""
    words = TABLES[language][0]
    phrases = [p.replace("{o}", "").strip() for table in (words.PLACES, words.SPOTS) for side in ("left", "right")
               for p in table[side]]
    return any(phrase in text.lower() for phrase in phrases)


def _sides(made: Happening, names: dict[int, tuple[str, str]], truth: Truth, named: list[int], camera: CameraPath, fps:
           float) -> bool | None:
    """Whether all named pairs that stand clearly apart at the start stand the same way in the dream."""
    second = round(fps)
    right_true, right_made = camera.rotation[0][:, 0], made.camera.rotation[0][:, 0]
    pairs = 0
    for n, a in enumerate(named):
        for b in named[n + 1 :]:
            one, other = ((truth.kinds[i], truth.colours[i]) for i in (a, b))
            both = truth.exists[:second, a] & truth.exists[:second, b]
            if one == other or not both.any():
                continue
            gap = truth.position[both.argmax(), a] - truth.position[both.argmax(), b]
            if abs(gap @ right_true) < max(APART, 0.8 * abs(gap @ camera.rotation[0][:, 2])):
                continue
            pairs += 1
            found = [(s, t) for s in names for t in names if names[s] == one and names[t] == other]
            across = [_gap(made, s, t, second) @ right_made for s, t in found]
            if not any(x * (gap @ right_true) > 0 for x in across):
                return False
    return True if pairs else None


def _gap(made: Happening, a: int, b: int, frames: int) -> np.ndarray:
    """From thing b to thing a when both are first there, in the first so many frames (zeros if never)."""
    both = made.exists[: -(-frames // F), a] & made.exists[: -(-frames // F), b]
    if not both.any():
        return np.zeros(3)
    at = both.argmax() * F
    return made.position[at, a] - made.position[at, b]
