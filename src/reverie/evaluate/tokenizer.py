"""Suite ``tokenizer``: how much of the pixels is left after the round trip through latents."""

from __future__ import annotations

from reverie.evaluate.figures import figure
from reverie.evaluate.study import Study
from reverie.model.tokenizer import REFINING
from reverie.train.tokenizer import BANDS, tokenizer_scores

SECONDS = 4.0
GOALS = {"psnr": ">= 33", **dict.fromkeys(["psnr_moving", *(f"psnr_moving_{band}" for band in BANDS)], ">= 28")}


def measure(study: Study) -> list[dict]:
    """PSNR in dB of the pooled error on n held-out clips: over all pixels, and within 2 pixels of the masks
    of moving things, by the mask's width in pixels; encoded in one pass, and refined as what a user gives is."""
    clips = study.clips(study.n, SECONDS, drawn=True)
    frames = round(SECONDS * study.world.fps)
    figures = []
    for before, steps in (("", 0), ("refined_", REFINING)):
        scores = tokenizer_scores(study.world.tokenizer, clips, frames=frames, refining=steps)
        figures += [figure(before + name, scores[name], "dB", goal, len(clips)) for name, goal in GOALS.items()]
    return figures
