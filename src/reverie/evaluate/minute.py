"""Suite ``minute``: does the end of a minute look like the end of a true minute of the same script?

Each script is the caption of a held-out minute with something happening in its last ten seconds; what it
is compared with is that minute as it was drawn. Captions tell of half of the camera's moves; a dream is
told all of them, for where the camera looks is asked for and not imagined.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reverie.core.beside import each
from reverie.core.clip import Clip, Line, Truth
from reverie.core.errors import BadData
from reverie.core.files import writing
from reverie.core.moves import DIRECTIONS, Move
from reverie.data.make import choose_renderer
from reverie.data.scenes import SCENES
from reverie.direction import STILL
from reverie.evaluate.figures import figure, share
from reverie.evaluate.pictures import save_picture
from reverie.evaluate.quality import picture_statistics
from reverie.evaluate.study import SEED, Study

if TYPE_CHECKING:
    from reverie.data.shards import ClipSet

SECONDS, LAST = 60.0, 10.0
BEGIN, END = (1.0, 3.0), (58.0, 60.0)  # seconds: is the end as sharp as the beginning?
LOOK_EVERY = 8  # frames between two looks of the observer
GOAL = ">= 0.8 and <= 1.2"
ON_SHEET, COLUMNS = 12, 8
LEAST = 0.05  # degrees or metres: of a move


def measure(study: Study) -> list[dict]:
    """Each statistic of the last ten seconds as the ratio imagined to true, pooled over n prompts; the sharpness of
    END over that of BEGIN; and a contact sheet of the first twelve as minute.png, with their whole scripts as
    minute.txt, in the study's folder."""
    (clips, chosen), fps = eventful(study), study.world.fps
    rows, texts, shown, made, true, sharp = [], [], [], [], [], []
    with study.track(len(chosen), "minutes") as bar:
        minutes = each(partial(_minute, replace(study, progress=False), fps), asked(clips, chosen))
        for i, one in zip(chosen, minutes, strict=True):
            for all_of_them, own in zip((rows, made, true, sharp), one, strict=True):
                all_of_them.append(own)
            if len(texts) < ON_SHEET:
                texts.append(f"{len(texts) + 1}.  {_told(script_of(clips.meta(i), i))}")
                same = _told(script_of(clips.meta(i), 0))
                shown.append(f"{len(texts)}.  {'' if i % 2 == 0 else '(it was told in Chinese) '}{same}")
            bar.advance()
    _write_sheet(rows[:ON_SHEET], shown, study.data / "minute.png")  # in English: few machines have a Chinese font
    with writing(study.data / "minute.txt") as file:
        file.write("\n\n".join(texts) + "\n")
    figures = []
    for name in made[0]:
        ratio = share(sum(m[name] for m in made), sum(t[name] for t in true))
        figures.append(figure(f"last_10_s_{name}", ratio, "ratio", GOAL, len(chosen)))
    first, end, true_first, true_end = np.array(sharp).sum(0)
    figures += [figure("sharpness_end_over_begin_imagined", share(end, first), "ratio", None, len(chosen)),
                figure("sharpness_end_over_begin_true", share(true_end, true_first), "ratio", None, len(chosen)),
                figure("sharpness_end_over_begin", share(share(end, first), share(true_end, true_first)), "ratio", GOAL,
                       len(chosen))]
    for name, what in (("imagined", made), ("true", true)):
        count = np.mean([row["things"] for row in what])
        figures.append(figure(f"last_10_s_things_seen_{name}", count, "things", None, len(chosen)))
    return figures


def _minute(study: Study, fps: float, script: Sequence[Line], seed: int, moves: Sequence, provenance: dict
            ) -> tuple[np.ndarray, dict, dict, list[float]]:
    """Of one minute: the pictures for the sheet; what its last seconds are like, and what truth's are; the sharpness of
    its BEGIN and END, and of truth's."""
    blocks = study.world.imagine(script, seconds=SECONDS, seed=seed, moves=moves)
    frames = np.concatenate([block.frames for block in blocks])
    begins, ends = (true_part(provenance, fps, start, end - start) for start, end in (BEGIN, (SECONDS - LAST, SECONDS)))
    parts = [frames[round(start * fps) : round(end * fps)] for start, end in (BEGIN, END)]
    parts += [begins, ends[round((END[0] - SECONDS) * fps) :]]
    return (frames[np.linspace(0, len(frames) - 1, COLUMNS).round().astype(int)],
            _statistics(study, frames[-round(LAST * fps) :]), _statistics(study, ends),
            [picture_statistics(part)["sharpness"] for part in parts])


def eventful(study: Study) -> tuple[ClipSet, list[int]]:
    """Held-out minutes, and n of them in whose last seconds something happens; parts of them can be drawn from now on
    in this process. Raises BadData when there is none."""
    if renderer := choose_renderer():  # before MuJoCo is loaded here
        os.environ.setdefault("MUJOCO_GL", renderer)
    clips = study.clips(study.n + max(1, study.n // 10), SECONDS, drawn=False)
    chosen = [i for i in range(len(clips)) if late_event(clips.clip(i, views=False).truth)][: study.n]
    if not chosen:
        raise BadData(f"in none of {len(clips)} held-out clips does anything happen in the last {LAST:g} s")
    return clips, chosen


def asked(clips: ClipSet, chosen: Sequence[int]) -> list[tuple[list[Line], int, list, dict]]:
    """What each of the chosen minutes is dreamt from: script, seed and moves; and the truth's provenance."""
    return [(script_of(clips.meta(i), i), SEED + k, moves_of(clips.clip(i, views=False)), clips.meta(i)["provenance"])
            for k, i in enumerate(chosen)]


def late_event(truth: Truth) -> bool:
    """Whether something but the camera begins to happen in the last ten seconds."""
    return any(e.start >= SECONDS - LAST and e.kind not in ("camera", "rests") for e in truth.events)


def moves_of(clip: Clip) -> list[tuple[float, tuple[Move, ...]]]:
    """How a clip's camera goes, whether its captions tell of it or not, as World.imagine takes moves."""
    parts = [(0.0, STILL)]
    for event in sorted((e for e in clip.truth.events if e.kind == "camera"), key=lambda e: e.start):
        first, last = round(event.start * clip.fps), round(event.end * clip.fps) + 1
        way = clip.actions[first:last].sum(0) / clip.fps
        moves = tuple(Move(channel, DIRECTIONS[channel][int(far < 0)], abs(float(far)))
                      for channel, far in zip(clip.action_names, way, strict=True) if abs(far) > LEAST)
        parts += [(first / clip.fps, moves or STILL), (last / clip.fps, STILL)]
    return parts


def script_of(meta: dict, i: int) -> list[Line]:
    """Clip i's script: its first caption in English for even i, in Chinese for odd."""
    language = ("en", "zh")[i % 2]
    caption = next(c for c in meta["captions"] if c["language"] == language and not c["held_out"])
    return [Line(line["start"], line["text"]) for line in caption["lines"]]


def _told(script: Sequence[Line]) -> str:
    return "  ".join(f"[{line.start:.0f} s] {line.text}" for line in script)


def true_part(made: dict, fps: float, start: float, seconds: float) -> np.ndarray:
    """So many seconds of a held-out minute of that provenance, from ``start`` on, drawn: uint8 (T, H, W, 3)."""
    scene, frames = SCENES[made["world"]], round(seconds * fps)
    plan = scene.plan(made["seed"], made["plan_seconds"], fps=fps, split=made["split"], size=tuple(made["size"]))
    rest = scene.ending(plan, plan.seconds - start)
    part = replace(rest, seconds=frames / fps, record=rest.record.since(0, frames), path=rest.path[:frames],
                   actions=rest.actions[:frames])
    return next(iter(scene.draw(part).views.values()))


def _statistics(study: Study, frames: np.ndarray) -> dict[str, float]:
    seen = study.observer.detect(frames[::LOOK_EVERY])
    return {**picture_statistics(frames), "things": float(np.mean([len(found) for found in seen]))}


def _write_sheet(rows: Sequence[np.ndarray], texts: Sequence[str], path: Path) -> None:
    from reverie.data.sheet import contact_sheet

    save_picture(contact_sheet(rows, texts, COLUMNS), path)
