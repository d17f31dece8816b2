"""Suite ``physics``: how often do the model's own videos break the laws, and how often would truth be said to?

Minutes are imagined from held-out scripts with the model's defaults and judged from their pixels; beside them minutes
of truth (the floor: what the judge says where nothing is wrong but the lab's unseen hand) and the same truth through
the tokenizer (the best that the model could reach).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from reverie.audit.findings import Verdict, Violation
from reverie.audit.judge import audit_frames
from reverie.audit.laws import RULES
from reverie.core.beside import each
from reverie.core.clip import Line
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.evaluate.dreams import dream, pixels_of
from reverie.evaluate.figures import figure, share
from reverie.evaluate.minute import script_of
from reverie.evaluate.pictures import save_picture
from reverie.evaluate.study import SEED, Study
from reverie.evaluate.watch import watched

SECONDS = 60.0
WORST, COLUMNS = 5, 8  # moments that are shown, and pictures of each
AROUND = (-0.5, 0.9)  # seconds before and after a moment that are shown
WORLDS = ("lab",)
GOALS = {"all": "<= 1", "permanence": "<= 0.2"}  # of what is imagined; the second is more than what is said of truth

Moment = tuple[float, np.ndarray, str]  # by how much a limit was passed, pictures, what happened when


@dataclass
class Tally:
    """Violations of some videos. minutes of video; thing_minutes: of all tracks together."""

    minutes: float = 0.0
    thing_minutes: float = 0.0
    laws: Counter = field(default_factory=Counter)

    def add(self, verdict: Verdict) -> None:
        """One more video."""
        self.minutes += verdict.seconds / 60
        self.thing_minutes += sum(len(t.frames) for t in verdict.tracks) / verdict.fps / 60
        self.laws.update(v.law for v in verdict.violations)

    def figures(self, name: str, goals: Mapping[str, str]) -> list[dict]:
        """Per minute and per tracked thing-minute, all together and by law. goals: of all, and of laws."""
        total, n = sum(self.laws.values()), round(self.minutes)
        out = [figure(f"{name}_a_minute", share(total, self.minutes), "1/min", goals.get("all"), n),
               figure(f"{name}_a_thing_minute", share(total, self.thing_minutes), "1/min", None, n)]
        return out + [figure(f"{name}_{law}", share(self.laws[law], self.minutes), "1/min", goals.get(law), n)
                      for law in RULES]


def measure(study: Study) -> list[dict]:
    """Violations of n imagined minutes, of n minutes of truth, and of these through the tokenizer, in each world; and
    the worst moments of the imagined ones as offences.png in the study's folder."""
    figures = []
    for world in WORLDS:
        figures += _imagined(study).figures(f"{world}_imagined", GOALS)
        clips = study.clips(study.n, SECONDS, drawn=True)
        for condition, name in (("plain", "truth"), ("tokenizer", "truth_through_tokenizer")):
            tally = Tally()
            with study.track(len(clips), f"minutes of truth judged ({condition})") as bar:
                for seen in watched(clips, range(len(clips)), condition, study.model, study.observer):
                    tally.add(seen.verdict)
                    bar.advance()
            figures += tally.figures(f"{world}_{name}", {})
    return figures


def _imagined(study: Study) -> Tally:
    clips, tally = study.clips(study.n, SECONDS, drawn=False), Tally()
    scripts = [script_of(clips.meta(i), i) for i in range(len(clips))]
    moments: list[Moment] = []
    with study.track(len(clips), "minutes imagined and judged") as bar:
        for verdict, own in each(partial(_minute, replace(study, progress=False)), list(enumerate(scripts))):
            tally.add(verdict)
            moments = worst([*moments, *own])
            bar.advance()
    if moments:
        _write_sheet(moments, study.data / "offences.png")
    return tally


def _minute(study: Study, k: int, script: Sequence[Line]) -> tuple[Verdict, list[Moment]]:
    """A minute as it is judged, and its own worst moments."""
    world = study.world
    things, views = dream(world, [script], round(SECONDS * world.fps) // FRAMES_PER_LATENT, seed=SEED + k)
    frames = pixels_of(world, things[0], None if views is None else views[0])
    verdict = audit_frames(frames, world.fps, observer=study.observer)
    return verdict, worst([(v.amount / max(abs(v.limit), 1e-6), shown(frames, v, verdict.fps),
                            f"minute {k + 1}, {v.start:.1f} s: {v.text} ({v.law})") for v in verdict.violations])


def worst(moments: Sequence[Moment]) -> list[Moment]:
    """The WORST of moments, by how far beyond the limit they are, of as many laws as there are."""
    ranked = sorted(moments, key=lambda m: -m[0])
    laws: Counter = Counter()
    order = []
    for moment in ranked:
        law = moment[2].rsplit("(", 1)[-1]
        order.append((laws[law], -moment[0], moment))
        laws[law] += 1
    return [m for _, _, m in sorted(order, key=lambda row: row[:2])[:WORST]]


def shown(frames: np.ndarray, violation: Violation, fps: float) -> np.ndarray:
    """COLUMNS frames (COLUMNS, H, W, 3) around a violation, with its box in red from its moment on."""
    start = round(violation.start * fps)
    at = np.linspace(start + AROUND[0] * fps, start + AROUND[1] * fps, COLUMNS).round().astype(int)
    out = []
    for t in at.clip(0, len(frames) - 1):
        picture = frames[t].copy()
        if t >= start:
            x0, y0, x1, y1 = (int(round(value)) for value in violation.box)
            height, width = picture.shape[:2]
            rows, columns = slice(max(y0, 0), min(y1, height)), slice(max(x0, 0), min(x1, width))
            for line in ((rows, max(x0, 0)), (rows, min(x1, width) - 1), (max(y0, 0), columns),
                         (min(y1, height) - 1, columns)):
                picture[line] = (255, 0, 0)
        out.append(picture)
    return np.stack(out)


def _write_sheet(moments: Sequence[Moment], path: Path) -> None:
    from reverie.data.sheet import contact_sheet

    pictures, texts = [pictures for _, pictures, _ in moments], [text for _, _, text in moments]
    save_picture(contact_sheet(pictures, texts, COLUMNS), path)
