"""Suite ``drift``: is a minute's end as good as its beginning?

Of held-out minutes in whose last ten seconds something happens the seconds 5 to 15 and 50 to 60 are held against one
another: violations that the judge finds, pictures (the distance of the observer's features from truth's), motion and
how many things there are. True minutes change too as they go on; each change is taken relative to theirs. Captions tell
of half of the camera's moves; a dream is told all of them, for where the camera looks is asked for and not imagined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from reverie.audit.judge import audit_frames
from reverie.audit.observer import Observer
from reverie.core.beside import each
from reverie.core.clip import Line
from reverie.evaluate import minute
from reverie.evaluate.features import features, named
from reverie.evaluate.figures import figure, share
from reverie.evaluate.quality import frechet, picture_statistics
from reverie.evaluate.study import Study

WINDOWS = {"early": (5.0, 15.0), "late": (50.0, 60.0)}  # seconds
GOAL, BOTH_WAYS = "<= 1.2", ">= 0.8333 and <= 1.2"
LOOK_EVERY = 8  # frames between two of which the features are taken
NONE_YET = 0.5  # violations added to each count, so that there is a ratio where none was found


@dataclass
class Seen:
    """What one window of many videos holds. minutes of video; violations; things: seen at a time, by video; motion:
    as quality.picture_statistics has it, by video; features: (N, D)."""

    minutes: float = 0.0
    violations: int = 0
    things: list[float] = field(default_factory=list)
    motion: list[float] = field(default_factory=list)
    features: list[np.ndarray] = field(default_factory=list)

    def add(self, frames: np.ndarray, fps: float, observer: Observer) -> None:
        """One more video, uint8 (T, H, W, 3)."""
        verdict = audit_frames(frames, fps, observer=observer)
        self.minutes += len(frames) / fps / 60
        self.violations += len(verdict.violations)
        self.things.append(sum(len(t.frames) for t in verdict.tracks) / len(frames))
        self.motion.append(picture_statistics(frames)["motion"])
        self.features.append(features(observer, frames[::LOOK_EVERY]))

    def take_in(self, other: Seen) -> None:
        """The same window of other videos."""
        self.minutes, self.violations = self.minutes + other.minutes, self.violations + other.violations
        for name in ("things", "motion", "features"):
            getattr(self, name).extend(getattr(other, name))


def measure(study: Study) -> list[dict]:
    """Each statistic's late value over its early one, imagined over true, over n minutes; the Fréchet distance, which
    is from truth already, late over early; and the values that these are made of."""
    (clips, chosen), fps = minute.eventful(study), study.world.fps
    made, true = ({name: Seen() for name in WINDOWS} for _ in range(2))
    with study.track(len(chosen), "minutes, early and late") as bar:
        for both in each(partial(_seen, replace(study, progress=False), fps), minute.asked(clips, chosen)):
            for all_of_them, own in zip((made, true), both, strict=True):
                for name in WINDOWS:
                    all_of_them[name].take_in(own[name])
            bar.advance()
    return figures(made, true, len(chosen))


def _seen(study: Study, fps: float, script: Sequence[Line], seed: int, moves: Sequence, provenance: dict
          ) -> tuple[dict[str, Seen], dict[str, Seen]]:
    """What the windows of one dreamt minute hold, and those of the true one."""
    blocks = list(study.world.imagine(script, seconds=minute.SECONDS, seed=seed, moves=moves))
    made, true = ({name: Seen() for name in WINDOWS} for _ in range(2))
    for name, (start, end) in WINDOWS.items():
        frames = np.concatenate([b.frames for b in blocks if start <= b.start / fps + 1e-6 < end])
        made[name].add(frames, fps, study.observer)
        true[name].add(minute.true_part(provenance, fps, start, end - start), fps, study.observer)
    return made, true


def model_name(study: Study) -> str:
    """The model's name and hash, and the observer's."""
    return f"{study.name}, {named(study.observer)}"


def figures(made: dict[str, Seen], true: dict[str, Seen], n: int) -> list[dict]:
    """The figures of what was seen in each of WINDOWS of n imagined minutes, and of as many true ones."""

    def ratio(value) -> float:
        (a, b), (c, d) = (tuple(value(seen[name]) for name in ("late", "early")) for seen in (made, true))
        return share(share(a, b), share(c, d))

    apart = {name: frechet(*(np.concatenate(seen[name].features) for seen in (made, true))) for name in WINDOWS}
    offences = ratio(lambda s: (s.violations + NONE_YET) / s.minutes)
    out = [figure("violations_late_over_early", offences, "ratio", GOAL, n),
           figure("frechet_late_over_early", share(apart["late"], apart["early"]), "ratio", GOAL, n),
           figure("motion_late_over_early", ratio(lambda s: np.mean(s.motion)), "ratio", BOTH_WAYS, n),
           figure("things_late_over_early", ratio(lambda s: np.mean(s.things)), "ratio", BOTH_WAYS, n)]
    for name in WINDOWS:
        out.append(figure(f"{name}_frechet", apart[name], "", None, n))
        for whose, seen in (("imagined", made[name]), ("true", true[name])):
            out += [figure(f"{name}_violations_{whose}", share(seen.violations, seen.minutes), "1/min", None, n),
                    figure(f"{name}_motion_{whose}", np.mean(seen.motion), "grey levels", None, n),
                    figure(f"{name}_things_{whose}", np.mean(seen.things), "things", None, n)]
    return out
