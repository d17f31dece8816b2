"""Suite ``compute``: what more training buys.

What imagines things and what paints them are trained anew from nothing, for longer and longer, each time with the whole
schedule of learning rates, and held against the same held-out clips; beside what ships.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from reverie.data.make import make
from reverie.evaluate import physics
from reverie.evaluate.figures import figure
from reverie.evaluate.pictures import plots, save_picture
from reverie.evaluate.study import Study
from reverie.model.canvas import Canvas
from reverie.model.text import TokenVectors
from reverie.model.tokenizer import Tokenizer
from reverie.model.transformer import Transformer
from reverie.train.canvas import Drawn, canvas_scores, train_canvas, with_canvas
from reverie.train.encode import Bank, encode
from reverie.train.loop import fit, learns_only
from reverie.train.recipes import RECIPES
from reverie.train.transformer import ADAM, transformer_loss
from reverie.train.windows import of_things

MINUTES = (1.0, 2.0, 4.0, 8.0)  # of each run, on all cores
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

    pictures = _made(study, *DRAWN, things_only=False)
    bank = encode(_made(study, *THINGS, things_only=True), None, vectors=study.world.vectors or TokenVectors.load())
    rows = {"as_it_ships": seen(study.world.transformer, study.world.tokenizer.canvas)}
    with study.track(len(MINUTES), "trained anew") as bar, TemporaryDirectory(dir=study.data) as folder:
        for minutes in MINUTES:
            out = Path(folder) / f"{minutes:g}"
            rows[f"{minutes:g}_minutes"] = seen(mover(study, bank, out / "things", minutes),
                                                painter(study, pictures, out / "canvas", minutes))
            bar.advance()
    held = {"motion_error_1_s": len(given[0]), "painted_psnr_things": len(clips)}
    panels = [(name.replace("_", " "), unit, {"trained anew": [rows[f"{m:g}_minutes"][k] for m in MINUTES],
                                              "as it ships": [rows["as_it_ships"][k]] * len(MINUTES)})
              for k, (name, unit) in enumerate(SHOWN.items())]
    save_picture(plots(panels, MINUTES, "minutes of training"), study.data / "compute.png")
    return [figure(f"{when}_{name}", values[k], SHOWN[name], None, held[name])
            for when, values in rows.items() for k, name in enumerate(SHOWN)]


def mover(study: Study, bank: Bank, out: Path, minutes: float) -> Transformer:
    """A transformer of the study's sizes whose things were trained from nothing for so long."""
    recipe, sizes = RECIPES["cpu"], study.world.transformer.config
    torch.manual_seed(0)
    model = Transformer(sizes)
    learns_only(model, model.things_parameters())
    windows = of_things(bank, recipe.things, recipe.beginning, recipe.beginning_share, sizes.slots)
    if not fit(model, windows, transformer_loss, out=out, minutes=minutes, lr=recipe.lr,
               adam=ADAM, ema=recipe.ema, hold=0.4, progress=False).finished:
        raise KeyboardInterrupt
    return model


def painter(study: Study, pictures: Path, out: Path, minutes: float) -> Canvas:
    """A canvas of the study's width that was trained from nothing for so long on a folder of drawn clips."""
    own = study.world.tokenizer
    blank = with_canvas(own, 0)
    out.mkdir(parents=True)
    blank.save(out / "blank.safetensors", {})
    made = train_canvas(pictures, out, tokenizer=out / "blank.safetensors", minutes=minutes, hidden=own.config.canvas,
                        progress=False)
    if made is None:
        raise KeyboardInterrupt
    return Tokenizer.load(made).canvas


def _made(study: Study, clips: int, seconds: str, *, things_only: bool) -> Path:
    """A folder of clips to train on, made if they are not there yet."""
    height, width = study.world.default_size
    folder = study.data / f"train-{'things' if things_only else 'drawn'}-{clips}x{seconds}s-{width}x{height}"
    make("lab", folder, clips=clips, seconds=seconds, things_only=things_only, size=(height, width),
         fps=study.world.fps, seed=1, progress=study.progress)
    return folder
