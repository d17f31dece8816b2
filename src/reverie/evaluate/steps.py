"""Suite ``steps``: what more denoising steps buy, and what they cost.

The dial is that of ``reverie generate --steps``: of a latent's things, and of its view where views are painted.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from reverie.core.clip import Line
from reverie.evaluate import control, physics
from reverie.evaluate.figures import figure
from reverie.evaluate.pictures import plots, save_picture
from reverie.evaluate.study import SEED, Study

STEPS = (1, 2, 3, 4)
SECONDS = 3.2  # of the clips that are gone on from: physics.GIVEN and the farthest of its horizons
TIMED = 4.0  # seconds of a dream that is timed
PROMPT = "a red ball rolls behind a wall and a blue box falls"
SHOWN = {"thing_alone": "share", "motion_error_1_s": "m", "cpu_seconds_a_second": "s"}  # what is plotted, in what unit


def measure(study: Study) -> list[dict]:
    """At each of STEPS: over n prompts the share in which the named thing is there and nothing else (as suite
    ``control``), over n held-out clips the error in metres of what moves, a second after a true second (as suite
    ``things``), and the seconds of CPU time, over all cores, that a second takes. As steps.png in the study's folder:
    plots."""
    given = physics.given(study, SECONDS)
    figures, lines = [], {name: [] for name in SHOWN}
    for steps in STEPS:
        own = at(study, steps)
        told = {f["name"]: f for f in control.measure(own)}
        moved = {f["name"]: f for f in physics.measure(own, *given)}
        took = timed(own)
        rows = (("thing_alone", told["thing_alone"]["value"], study.n),
                ("motion_error_1_s", moved["all_error_1_s"]["value"], moved["all_error_1_s"]["n"]),
                ("cpu_seconds_a_second", took, 1))
        for name, value, n in rows:
            figures.append(figure(f"{steps}_steps_{name}", float("nan") if value is None else value, SHOWN[name], None,
                                  n))
            lines[name].append(value or 0.0)
    save_picture(plots([(name.replace("_", " "), unit, {"": lines[name]}) for name, unit in SHOWN.items()], STEPS,
                       "steps"), study.data / "steps.png")
    return figures


def at(study: Study, steps: int) -> Study:
    """The same study of the same model with another number of steps."""
    world = study.world
    sampling = {**world.meta.get("sampling", {}), "steps": steps, "things_steps": steps}
    return replace(study, model=replace(world, meta={**world.meta, "sampling": sampling}))


@torch.inference_mode()
def timed(study: Study) -> float:
    """Seconds of CPU time that a second of video takes, once a dream has begun: others on the machine do not count."""
    dream = study.world.dream([Line(0.0, PROMPT)], seed=SEED)
    dream.step()
    began = time.process_time()
    while dream.seconds < TIMED:
        dream.step()
    return (time.process_time() - began) / TIMED
