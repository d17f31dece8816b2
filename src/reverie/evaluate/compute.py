"""Suite ``compute``: what more training buys.

What imagines things and what paints them are trained anew from nothing, for longer and longer, each time with the whole
schedule of learning rates, and held against the same held-out clips; beside what ships. Each run has one core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from reverie.core.beside import each
from reverie.data.make import make
from reverie.evaluate import physics
from reverie.evaluate.figures import figure
from reverie.evaluate.pictures import plots, save_picture
from reverie.evaluate.study import Study
from reverie.model.canvas import Canvas
from reverie.model.text import TokenVectors
from reverie.model.tokenizer import Tokenizer
from reverie.model.transformer import Config, Transformer
from reverie.train.canvas import Drawn, canvas_scores, train_canvas, with_canvas
from reverie.train.encode import Bank, encode
from reverie.train.loop import fit, learns_only
from reverie.train.recipes import RECIPES
from reverie.train.transformer import ADAM, transformer_loss
from reverie.train.windows import of_things

BLANK = "blank.safetensors"
MINUTES = (1.0, 2.0, 4.0, 8.0)  # of each run, on one core
DRAWN, THINGS = (160, "2..3"), (1600, "2.4..6")  # clips that are trained on, and their seconds
SECONDS = 3.2  # of held-out clips, of which the first is given
SHOWN = {"motion_error_1_s": "m", "painted_psnr_things": "dB"}


def measure(study: Study) -> list[dict]:
    """After each of MINUTES, and of what ships: over n held-out clips the error in metres of what moves, a second after
    a true second (as suite ``things``), and over a quarter as many drawn ones the PSNR in dB within two pixels of
    things that are painted from truth. As compute.png in the study's folder: plots."""
    given = physics.given(study, SECONDS)
    clips = study.clips(max(study.n // 4, 1), SECONDS, drawn=True)
    drawn = Drawn(clips, range(len(clips)))

    def seen(transformer: Transformer, canvas: Canvas) -> tuple[float, float]:
        own = replace(study, model=replace(study.world, transformer=transformer.eval()), progress=False)
        error = next(f["value"] for f in physics.measure(own, *given) if f["name"] == "all_error_1_s")
        return float("nan") if error is None else error, canvas_scores(canvas, drawn)["psnr_things"]

    rows = {"as_it_ships": seen(study.world.transformer, study.world.tokenizer.canvas)}
    for minutes, (mover, painter) in _trained(study).items():
        rows[f"{minutes:g}_minutes"] = seen(mover, painter)
    held = {"motion_error_1_s": len(given[0]), "painted_psnr_things": len(clips)}
    panels = [(name.replace("_", " "), unit, {"trained anew": [rows[f"{m:g}_minutes"][k] for m in MINUTES],
                                              "as it ships": [rows["as_it_ships"][k]] * len(MINUTES)})
              for k, (name, unit) in enumerate(SHOWN.items())]
    save_picture(plots(panels, MINUTES, "minutes of training"), study.data / "compute.png")
    return [figure(f"{when}_{name}", values[k], SHOWN[name], None, held[name])
            for when, values in rows.items() for k, name in enumerate(SHOWN)]


def _trained(study: Study) -> dict[float, tuple[Transformer, Canvas]]:
    """After each of MINUTES, what imagines and what paints: the longest runs first, as many at once as there are
    cores."""
    own = study.world.tokenizer
    with TemporaryDirectory(dir=study.data) as folder:
        with_canvas(own, 0).save(Path(folder) / BLANK, {})
        training = Training(
            study.world.transformer.config, own.config.canvas,
            encode(_made(study, *THINGS, things_only=True), None, vectors=study.world.vectors or TokenVectors.load()),
            _made(study, *DRAWN, things_only=False), Path(folder))
        runs = [(what, minutes) for minutes in sorted(MINUTES, reverse=True) for what in ("mover", "painter")]
        found = {}
        with study.track(len(runs), "trained anew") as bar:
            for run, model in zip(runs, each(training, runs), strict=True):
                if model is None:
                    raise KeyboardInterrupt
                found[run] = model
                bar.advance()
    return {minutes: (found["mover", minutes], found["painter", minutes]) for minutes in MINUTES}


@dataclass(frozen=True)
class Training:
    """What trains, from nothing, for so many minutes, a ``mover``, a transformer of these sizes that learns from a bank
    how things move, or a ``painter``, a canvas of a hidden width that learns from a folder of drawn clips. folder:
    where runs are kept, and a tokenizer without a canvas lies. Answers with None where it was interrupted."""

    sizes: Config
    hidden: int
    bank: Bank
    pictures: Path
    folder: Path

    @torch.inference_mode(False)
    def __call__(self, what: str, minutes: float) -> Transformer | Canvas | None:
        return getattr(self, what)(self.folder / f"{what}-{minutes:g}", minutes)

    def mover(self, out: Path, minutes: float) -> Transformer | None:
        """A transformer whose things were trained for so long."""
        recipe = RECIPES["cpu"]
        torch.manual_seed(0)
        model = Transformer(self.sizes)
        learns_only(model, model.things_parameters())
        windows = of_things(self.bank, recipe.things, recipe.beginning, recipe.beginning_share, self.sizes.slots)
        result = fit(model, windows, transformer_loss, out=out, minutes=minutes, lr=recipe.lr, adam=ADAM,
                     ema=recipe.ema, hold=0.4, progress=False)
        return model if result.finished else None

    def painter(self, out: Path, minutes: float) -> Canvas | None:
        """A canvas that was trained for so long."""
        made = train_canvas(self.pictures, out, tokenizer=self.folder / BLANK, minutes=minutes, hidden=self.hidden,
                            progress=False)
        return made and Tokenizer.load(made).canvas


def _made(study: Study, clips: int, seconds: str, *, things_only: bool) -> Path:
    """A folder of clips to train on, made if they are not there yet."""
    height, width = study.world.default_size
    folder = study.data / f"train-{'things' if things_only else 'drawn'}-{clips}x{seconds}s-{width}x{height}"
    make("lab", folder, clips=clips, seconds=seconds, things_only=things_only, size=(height, width),
         fps=study.world.fps, seed=1, progress=study.progress)
    return folder
