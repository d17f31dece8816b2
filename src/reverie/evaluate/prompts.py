"""Suite ``prompts``: does a generated video show what its prompt asks for, in every aspect of it?

Judged from pixels alone, by audit.judge and audit.prompt, which know nothing of the model; beside it the same videos
held against other prompts (what chance would give), and drawn truth held against its own (what the judge allows).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from reverie.audit import judge
from reverie.audit.findings import Aspect, Verdict
from reverie.audit.prompt import ASPECTS, judge_prompt
from reverie.core.clip import Line, Truth
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.heldout import combination_held_out
from reverie.evaluate import physics, swaps
from reverie.evaluate.dreams import dream, pixels_of
from reverie.evaluate.figures import figure, share
from reverie.evaluate.study import SEED, Study, held_out_caption

SECONDS = 4.0
LANGUAGES = {"en": "english", "zh": "chinese"}
GOALS = {"kind": ">= 0.95", "colour": ">= 0.95", "count": ">= 0.9", "place": ">= 0.9", "event": ">= 0.9",
         "order": ">= 0.85", "camera": ">= 0.9"}
TRUTH = 4  # one true clip for so many prompts
SWAPS = 5  # one pair of prompts with swapped colours for so many prompts


def measure(study: Study) -> list[dict]:
    """Over n held-out prompts, half English and half Chinese: each aspect's mean score, and the share of videos in
    which all that can be judged is right; the same in each language, of prompts with a combination that training never
    shows and of those without, against another's prompt, and of drawn truth. By how much the mean over the aspects is
    lower in Chinese than in English, and of unseen combinations than of seen ones; and swaps.measure."""
    world, size = study.world, study.world.default_size
    clips = study.clips(study.n, SECONDS, drawn=False)
    captions = [held_out_caption(clips.meta(i), i) for i in range(len(clips))]
    scripts = [physics.told(caption) for caption in captions]
    seen: list[Verdict] = []
    with study.track(2 * len(scripts), "prompts") as bar:
        things, views = dream(world, scripts, round(SECONDS * world.fps) // FRAMES_PER_LATENT, seed=SEED,
                              tell=bar.advance)
        for i in range(len(scripts)):
            frames = pixels_of(world, things[i], None if views is None else views[i])
            seen.append(judge.audit_frames(frames, world.fps, observer=study.observer))
            bar.advance()
    own = [_judged(script, verdict, size) for script, verdict in zip(scripts, seen, strict=True)]
    n = len(scripts)
    others = [scripts[(i + 2 * (n // 6) + 2) % n] for i in range(n)] if n > 2 else []  # of its language, never its own
    mixed = [_judged(script, verdict, size) for script, verdict in zip(others, seen, strict=False)]
    figures = _figures("", own, GOALS)
    parts = {name: [a for a, c in zip(own, captions, strict=True) if c["language"] == language]
             for language, name in LANGUAGES.items()}
    held = [held_out(clips.clip(i, views=False).truth) for i in range(n)]
    parts |= {"unseen": [a for a, h in zip(own, held, strict=True) if h],
              "seen": [a for a, h in zip(own, held, strict=True) if not h]}
    for less, more, goal in (("chinese", "english", "<= 0.03"), ("unseen", "seen", "<= 0.05")):
        figures.append(figure(f"{less}_behind_{more}", mean_score(parts[more]) - mean_score(parts[less]), "share", goal,
                              len(parts[less])))
    for name, part in parts.items():
        figures += _figures(f"{name}_", part)
    return [*figures, *swaps.measure(study, max(2, n // SWAPS)), *_figures("shuffled_", mixed), *_truth(study)]


def held_out(truth: Truth) -> bool:
    """Whether a clip shows a combination of colour, kind and event that no clip of training does."""
    return any(e.actor >= 0 and combination_held_out(truth.colours[e.actor], truth.kinds[e.actor], e.kind)
               for e in truth.events)


def mean_score(judged: Sequence[Sequence[Aspect]]) -> float:
    """The mean over the aspects of each one's mean score; NaN of nothing."""
    scores = [[a.score for aspects in judged for a in aspects if a.name == name and a.score is not None]
              for name in ASPECTS]
    found = [sum(some) / len(some) for some in scores if some]
    return share(sum(found), len(found))


def _judged(script: Sequence[Line], verdict: Verdict, size: tuple[int, int]) -> list[Aspect]:
    return judge_prompt(script, verdict.tracks, verdict.motion, verdict.fps, size, verdict.seconds)


def _truth(study: Study) -> list[dict]:
    """The same of true clips as they are drawn: how much of a right video this judge sees."""
    clips = study.clips(max(1, study.n // TRUTH), SECONDS, drawn=True)
    judged = []
    with study.track(len(clips), "truth") as bar:
        for i in range(len(clips)):
            clip = clips.clip(i, masks=False)
            verdict = judge.audit_frames(next(iter(clip.views.values())), clip.fps, observer=study.observer)
            judged.append(_judged(physics.told(held_out_caption(clips.meta(i), i)), verdict, verdict.size))
            bar.advance()
    return _figures("truth_", judged)


def _figures(prefix: str, judged: Sequence[Sequence[Aspect]], goals: dict[str, str] | None = None) -> list[dict]:
    """Mean score of each aspect over the videos whose prompts speak of it, and the share of videos that are right in
    all; what no prompt speaks of is left out."""
    figures = []
    for name in ASPECTS:
        scores = [a.score for aspects in judged for a in aspects if a.name == name and a.score is not None]
        if scores:
            figures.append(figure(prefix + name, share(sum(scores), len(scores)), "share", (goals or {}).get(name),
                                  len(scores)))
    whole = [aspects for aspects in judged if any(a.score is not None for a in aspects)]
    right = sum(all(a.score is None or math.isclose(a.score, 1.0) for a in aspects) for aspects in whole)
    if not whole:
        return []
    return [figure(f"{prefix}all_right", share(right, len(whole)), "share", None, len(whole)), *figures]
