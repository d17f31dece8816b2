"""How far imagined motion is from MuJoCo's, going on from the same first second.

A thing is counted, at each time after that second, under what has happened to it by then: a collision
(it came to touch another thing), else a bounce (it was or went into the air and came to touch the
ground), else a fall (it is in the air since the first second ended), else a glide (rolling, sliding,
walking, swinging: all other moving things).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reverie.core.clip import Clip, Line, Truth
from reverie.core.vocabulary import ALIVE, FIXTURES, FRAMES_PER_LATENT
from reverie.evaluate.dreams import Happening, Known, dream
from reverie.evaluate.figures import figure
from reverie.evaluate.study import SEED, Study, held_out_caption
from reverie.train.encode import slot_order, true_tokens

F = FRAMES_PER_LATENT
GIVEN = 1.0  # seconds of truth
HORIZONS = (0.5, 1.0, 2.0)  # seconds after it
KINDS_OF_MOTION = ("fall", "bounce", "collision", "glide")
MOVING = 0.05  # m/s, as train.tokenizer has it


def given(study: Study, seconds: float) -> tuple[list[Clip], list[list[Line]], list[np.ndarray]]:
    """n held-out clips of so many seconds, never drawn, with the scripts that tell them, and which thing of each stands
    in which slot: what ``measure`` goes on from."""
    clips = study.clips(study.n, seconds, drawn=False)
    truths = [clips.clip(i, views=False) for i in range(len(clips))]
    captions = [held_out_caption(clips.meta(i), i) for i in range(len(clips))]
    return truths, [told(c) for c in captions], [slots(c, clip) for c, clip in zip(captions, truths, strict=True)]


def told(caption: dict) -> list[Line]:
    """A caption as a script."""
    return [Line(line["start"], line["text"]) for line in caption["lines"]]


def slots(caption: dict, clip: Clip) -> np.ndarray:
    """Which thing of a clip stands in which slot, as a caption names them."""
    return slot_order([line["order"] for line in caption["lines"]], len(clip.truth.kinds))


def measure(study: Study, clips: Sequence[Clip], scripts: Sequence[Sequence[Line]], orders:
            Sequence[np.ndarray]) -> list[dict]:
    """Mean position errors in metres of the things that move within the horizon, beside those of going on
    at constant velocity. orders: which thing of each truth stands in which slot."""
    world = study.world
    given = round(GIVEN * world.fps / F)
    latents = given + -(-round(max(HORIZONS) * world.fps) // F)
    tokens = [true_tokens(clip, order) for clip, order in zip(clips, orders, strict=True)]
    with study.track(len(clips), "going on from a true second") as bar:
        made, _ = dream(world, scripts, latents, seed=SEED, with_views=False, tell=bar.advance,
                        known=Known(things=np.stack([t[:given] for t in tokens])))
    found = [row for tokens, clip, order in zip(made, clips, orders, strict=True)
             for row in errors(Happening.of(tokens), clip.truth, order, given * F, world.fps)]
    figures = []
    for name in ("all", *KINDS_OF_MOTION):
        for h in HORIZONS:
            chosen = [row for row in found if row[1] == h and name in ("all", row[0])]
            for k, suffix in ((2, ""), (3, "_constant_velocity")):
                value = np.mean([row[k] for row in chosen]) if chosen else np.nan
                figures.append(figure(f"{name}_error_{h:g}_s{suffix}", value, "m", None, len(chosen)))
    return figures


def errors(made: Happening, truth: Truth, order: np.ndarray, start: int, fps:
           float) -> list[tuple[str, float, float, float]]:
    """(kind of motion, seconds, error, error of constant velocity) of every moving thing at each horizon.

    start: the first frame that was not given. An imagined thing that has ceased to exist is taken to be
    where it was last.
    """
    rows = []
    until = start + round(max(HORIZONS) * fps)
    for slot, i in enumerate(order[: made.exists.shape[1]]):
        if not truth.exists[start - 1 : until, i].all() or len(truth.exists) < until:
            continue
        if np.linalg.norm(truth.velocity[start - 1 : until, i], axis=-1).max() <= MOVING:
            continue
        here = np.repeat(made.exists[:, slot], F)
        for h in HORIZONS:
            frame = start - 1 + round(h * fps)
            last = frame - int(here[frame::-1].argmax()) if here[: frame + 1].any() else 0
            true = truth.position[frame, i]
            straight = truth.position[start - 1, i] + h * truth.velocity[start - 1, i]
            rows.append((motion(truth, i, start, frame), h, float(np.linalg.norm(made.position[last, slot] - true)),
                        float(np.linalg.norm(straight - true))))
    return rows


def motion(truth: Truth, thing: int, start: int, frame: int) -> str:
    """Which kind of motion a thing is in, from frame ``start`` on, at ``frame``."""
    contacts = truth.contacts[(truth.contacts[:, 1:] == thing).any(1)]
    other = np.where(contacts[:, 1] == thing, contacts[:, 2], contacts[:, 1])
    before = set(other[(contacts[:, 0] >= start - 3) & (contacts[:, 0] < start)].tolist())
    after = set(other[(contacts[:, 0] >= start) & (contacts[:, 0] <= frame)].tolist())
    if truth.kinds[thing] in (*ALIVE, *FIXTURES, "pendulum"):  # held or driven: never in free flight
        return "glide"
    if any(o >= 0 for o in after - before):
        return "collision"
    times = contacts[(other == -1) & (contacts[:, 0] >= start - 1) & (contacts[:, 0] <= frame), 0]
    grounded = np.isin(np.arange(start - 1, frame + 1), times)
    if any(~grounded[:-1] & grounded[1:]):
        return "bounce"
    return "glide" if grounded.any() or before else "fall"
