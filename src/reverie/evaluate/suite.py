"""The suites: what can be measured, by name, and the one function that runs any of them.

Every suite measures the model as it ships (its own size, steps, guidance), with fixed seeds and no
selection, on worlds and phrasings that training never sees.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from reverie.core import runtime
from reverie.core.errors import BadInput
from reverie.evaluate.study import Study

if TYPE_CHECKING:
    from reverie.world import World


@dataclass(frozen=True)
class Suite:
    """A module with ``measure(study) -> list of figures``, or a function of another name; n: how many cases; weights,
    sources (patterns under src/reverie): what its figures depend on, to be measured again when it changes."""

    module: str
    about: str
    n: int
    weights: tuple[str, ...]
    sources: tuple[str, ...]
    function: str = "measure"


_WORLDS = ("core/camera.py", "core/vocabulary.py", "data/heldout.py", "data/scenes/*.py")
_TEXTS = ("data/captions.py", "data/teller.py", "data/templates_*.py", "data/phrases_*.py", "model/text.py")
_MODEL = ("world.py", "dream.py", "casting.py", "direction.py", "rehearsal.py", "audit/asking.py",
          "audit/happenings.py", "audit/placing.py", "audit/prompt*.py", "audit/story.py", "audit/wording*.py",
          "model/*.py")
_PAST = ("witness.py", "audit/observer*.py")  # what a past in pictures is gone on from with
_BOTH = ("tokenizer", "transformer")
_JUDGE = ("audit/findings.py", "audit/judge.py", "audit/laws*.py", "audit/motion*.py", "audit/observer*.py",
          "audit/scene.py", "audit/second_look.py", "audit/tracks.py", "evaluate/watch.py")

SUITES = {
    "tokenizer": Suite("tokenizer", "pixels after the round trip through latents", 32, ("tokenizer",), (*_WORLDS,
                       "model/tokenizer.py")),
    "things": Suite("things", "things before they are painted: as the prompt says, as physics says", 200,
                    ("transformer",), (*_WORLDS, *_TEXTS, *_MODEL, "evaluate/physics.py", "evaluate/dreams.py")),
    "painting": Suite("painting", "pixels painted from true things; pictures gone on from", 16, (*_BOTH, "observer"),
                      (*_WORLDS, *_TEXTS, *_MODEL, *_PAST, "evaluate/dreams.py")),
    "control": Suite("control", "one coloured thing named: is it there, and nothing else", 200, (*_BOTH, "observer"),
                     (*_TEXTS, *_MODEL, "audit/observer*.py", "evaluate/dreams.py")),
    "prompts": Suite("prompts", "whole prompts: is all there that was asked for, and does all of it happen", 150,
                     (*_BOTH, "observer"), (*_WORLDS, *_TEXTS, *_MODEL, "audit/*.py", "evaluate/dreams.py",
                                            "evaluate/swaps.py")),
    "minute": Suite("minute", "the last ten seconds of a minute, beside truth's", 20, (*_BOTH, "observer"), (*_WORLDS,
                    *_TEXTS, *_MODEL, "audit/observer*.py", "evaluate/quality.py", "evaluate/dreams.py")),
    "drift": Suite("drift", "a minute's end beside its beginning: violations, pictures, motion, things", 16, (*_BOTH,
                   "observer"), (*_WORLDS, *_TEXTS, *_MODEL, *_JUDGE, "evaluate/minute.py", "evaluate/quality.py",
                   "evaluate/features.py")),
    "lasting": Suite("lasting", "things of many minutes: what vanishes, doubles, changes, jumps, hovers, leans", 24,
                     ("transformer",), (*_WORLDS, *_TEXTS, *_MODEL, "evaluate/drift.py", "evaluate/dreams.py",
                                        "evaluate/minute.py")),
    "memory": Suite("memory", "what a screen hides for 1, 5, 20 s: is it there when the screen has risen", 40, (*_BOTH,
                    "observer"), (*_WORLDS, *_MODEL, *_PAST, "evaluate/curtain.py", "evaluate/dreams.py",
                    "evaluate/watch.py")),
    "steps": Suite("steps", "quality and time at 1, 2, 3, 4 steps", 48, (*_BOTH, "observer"), (*_TEXTS, *_MODEL,
                   "audit/observer*.py", "evaluate/control.py", "evaluate/dreams.py", "evaluate/physics.py")),
    "compute": Suite("compute", "what more training buys: things and canvas trained anew, for longer and longer", 64,
                     _BOTH, (*_WORLDS, *_TEXTS, *_MODEL, "evaluate/physics.py", "evaluate/dreams.py", "train/bodies.py",
                             "train/canvas.py", "train/encode.py", "train/loop.py", "train/losses.py", "train/optim.py",
                             "train/plans.py", "train/recipes.py", "train/transformer.py", "train/windows.py")),
    "observer": Suite("observer", "the judge's eye on unseen truth, and how fast it is", 64, ("observer",), (*_WORLDS,
                      "audit/observer*.py")),
    "tracking": Suite("tracking", "the judge's eye and its tracks on unseen truth, at two sizes", 32, ("observer",),
                      (*_WORLDS, *_JUDGE)),
    "audit": Suite("audit", "the judge on unseen truth and on planted violations", 60, ("observer",),
                   (*_WORLDS, *_JUDGE)),
    "physics": Suite("offences", "violations of imagined minutes, of truth, and of truth through the tokenizer", 12,
                     (*_BOTH, "observer"), (*_WORLDS, *_TEXTS, *_MODEL, *_JUDGE, "evaluate/dreams.py")),
    "audit_tokenizer": Suite("audit", "the same after the round trip through latents", 60, ("observer", "tokenizer"),
                             (*_WORLDS, *_JUDGE, "model/tokenizer.py"), "measure_tokenizer"),
    "audit_h264": Suite("audit", "the same after H.264 at crf 32", 60, ("observer",), (*_WORLDS, *_JUDGE),
                        "measure_h264"),
    "road": Suite("road", "traffic of the road imagined without a picture: as a forecaster, and as it is told", 200,
                  ("road",), ("road.py", "model/road/_*.py", "model/road/[dt]*.py", "model/road/sight.py",
                              "data/road/[lmnr]*.py", "data/road/dri*.py", "data/road/tra*.py",
                              "evaluate/forecast.py", "evaluate/traffic.py")),
    "road_pictures": Suite("road_pictures", "the road's cameras as the model paints them, beside MuJoCo's pictures", 24,
                           ("road", "road_canvas", "observer", "tokenizer"),
                           ("painter.py", "road.py", "model/road/*.py", "model/tokenizer.py", "data/road/*.py",
                            "audit/observer*.py", "evaluate/features.py", "evaluate/quality.py", "evaluate/road.py",
                            "evaluate/road_tracks.py", "evaluate/tr*.py")),
    "reading": Suite("reading", "what is read from the road's pictures: who is there, and what a ride is worth", 16,
                     ("road", "road_canvas", "road_observer", "road_probe", "driver_clone"),
                     ("painter.py", "road.py", "model/road/*.py", "data/road/*.py", "eyes/*.py", "envs/road.py",
                      "envs/judging.py", "envs/seeing.py", "drivers/policy.py", "audit/observer*.py", "audit/tracks.py",
                      "evaluate/road_tracks.py", "evaluate/tr*.py")),
    "road_tracks": Suite("road_tracks", "futures with the true actions as tracks through the car's cameras", 48,
                         ("road",), ("painter.py", "road.py", "model/road/*.py", "data/road/*.py", "evaluate/road.py",
                                     "evaluate/forecast.py", "evaluate/tracking.py", "evaluate/traffic.py")),
    "road_actions": Suite("road_actions", "our car does as it is told, as a probe reads it from the pictures", 200,
                          ("road", "road_canvas"), ("painter.py", "road.py", "model/road/*.py", "data/road/*.py",
                                                    "eyes/odometer.py", "evaluate/road.py",
                                                    "evaluate/road_tracks.py", "evaluate/tr*.py",
                                                    "evaluate/turning.py")),
    "driver": Suite("driver", "drivers trained in the dream, in truth, and cloned, driving in the true simulator", 50,
                    ("driver_dream", "driver_true", "driver_clone"),
                    ("drivers/*.py", "envs/road.py", "envs/judging.py", "envs/seeing.py", "data/road/[gln]*.py",
                     "data/road/dri*.py", "data/road/tra*.py", "evaluate/traffic.py")),
    "speed": Suite("speed", "a minute of video from the command line, and futures: time, memory, and where it goes", 3,
                   (*_BOTH, "road", "road_canvas"), (*_MODEL, "generation.py", "core/video.py", "painter.py", "road.py",
                                                     "futures/*.py", "model/road/*.py")),
    "serve": Suite("serving", "a server under 200 clients, kill -9 at random moments, and broken uploads and requests",
                   100, (), ("serve/*.py", "generation.py", "core/image.py", "core/video.py", "evaluate/serv*.py")),
    "live": Suite("live", "from a key to a changed pixel, beside the model's own time a step", 40, _BOTH,
                  (*_MODEL, "serve/live*.py", "core/image.py", "evaluate/server.py")),
}

# of models that do not ship: measured by name, and no part of make results
APART = {
    "log": Suite("log", "a model of a recorded log on the log's held-out end: pictures, and actions obeyed", 12, (),
                 (*_MODEL, "core/actions.py", "train/log.py", "evaluate/turning.py", "evaluate/quality.py",
                  "evaluate/features.py")),
}


def run(suite: str, *, model: str | Path | World = "base", n: int | None = None, data: str | Path | None = None,
        progress: bool = True) -> dict:
    """Measure one suite: {"suite", "commit", "model", "seconds", "figures": [...]}.

    model: a name, a folder, or a loaded World. n: how many cases (None: the suite's own number). data:
    where the held-out clips, made by the suite itself, are kept (default data/evaluate); of the suite log, its shards.
    Raises BadInput for an unknown suite or model and n below 1, BadWeights, and ReverieError where a
    package that simulating needs is missing.
    """
    found = {**SUITES, **APART}
    if suite not in found:
        raise BadInput(f"no suite {suite!r}: {', '.join(found)}")
    if n is not None and n < 1:
        raise BadInput(f"n must be at least 1, not {n}")
    runtime.set_threads()
    began = time.perf_counter()
    study = Study(model, n or found[suite].n, Path(data or "data/evaluate"), progress)
    module = import_module(f"reverie.evaluate.{found[suite].module}")
    figures = getattr(module, found[suite].function)(study)
    return {
        "suite": suite,
        "commit": runtime.commit(),
        "model": getattr(module, "model_name", lambda one: one.name)(study),
        "seconds": round(time.perf_counter() - began, 1),
        "figures": figures,
    }
