"""Training steps per second of a recipe's tokenizer and transformer, on batches of its own shapes.

    python bench/training.py [--recipe cpu] [--steps 20] [--device auto] [--anyway]

The batches are noise: time does not depend on what is in them.
"""

import argparse
import sys
import tempfile

import numpy as np
import torch

from reverie.core import runtime
from reverie.core.errors import ReverieError
from reverie.core.vocabulary import COLOURS, FRAMES_PER_LATENT
from reverie.evaluate import machine
from reverie.model import things as th
from reverie.model.tokenizer import PRESETS, Tokenizer
from reverie.model.transformer import Config, Transformer
from reverie.train.encode import Bank, Item
from reverie.train.loop import fit
from reverie.train.recipes import RECIPES
from reverie.train.tokenizer import ADAM as TOKENIZER_ADAM
from reverie.train.tokenizer import TokenizerRecipe, loss_fn
from reverie.train.transformer import ADAM, transformer_loss
from reverie.train.windows import draw_windows

WORDS, LATENTS, LENGTH = 24, 96, 12  # tokens of a line, latents of a clip, frames of a tokenizer window


def noise_bank(recipe, rng: np.random.Generator) -> Bank:
    """A bank of one clip with latents, as large as the recipe's."""
    config = PRESETS[recipe.tokenizer]
    height, width = (side // config.spatial for side in recipe.size)
    things = rng.standard_normal((LATENTS, 5, th.WIDTH)).astype(np.float16)
    things[..., 0] = 1
    caption = {
        "start": [0.0],
        "tokens": [np.arange(WORDS, dtype=np.int32)],
        "order": np.arange(5),
        "language": "en",
    }
    latents = rng.standard_normal((LATENTS, height, width, config.channels)).astype(np.float16)
    actions = np.zeros((LATENTS, FRAMES_PER_LATENT * 5), np.float16)
    camera = rng.standard_normal((LATENTS, th.WIDTH)).astype(np.float16)
    item = Item("noise", 24.0, things, camera, camera[0], actions, [caption], latents, latents[::8])
    return Bank([item], rng.standard_normal((max(WORDS, len(COLOURS)), 512)).astype(np.float16))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="cpu", choices=sorted(RECIPES))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--anyway", action="store_true", help="measure even if something else is running")
    args = parser.parse_args()
    machine.require_quiet(args.anyway)
    about, recipe = machine.describe(), RECIPES[args.recipe]
    device, rows = runtime.device(args.device), []
    bank, plan = noise_bank(recipe, np.random.default_rng(0)), TokenizerRecipe()
    height, width = recipe.size
    count = max(1, round(plan.pixels / (LENGTH * height * width)))

    def pictures(step: int, rng: np.random.Generator) -> dict:
        frames = rng.integers(0, 256, (count, LENGTH, height, width, 3), np.uint8)
        shows = rng.integers(0, 3, frames.shape[:4], np.uint8)
        return {"frames": torch.from_numpy(frames), "shows": torch.from_numpy(shows)}

    def windows(kind):
        return lambda step, rng: draw_windows(bank.items, bank.vectors, kind, rng)

    config = Config(
        depth=recipe.depth, channels=PRESETS[recipe.tokenizer].channels, views_window=recipe.views_window
    )
    for name, model, batches, loss, adam in (
        ("tokenizer", Tokenizer(PRESETS[recipe.tokenizer]), pictures, loss_fn(plan), TOKENIZER_ADAM),
        ("transformer, things", Transformer(config), windows(recipe.things), transformer_loss, ADAM),
        ("transformer, with views", Transformer(config), windows(recipe.drawn), transformer_loss, ADAM),
    ):
        size = sum(p.numel() for p in model.parameters()) / 1e6
        with tempfile.TemporaryDirectory() as folder:
            result = fit(
                model.to(device),
                batches,
                loss,
                out=folder,
                steps=args.steps,
                adam=adam,
                precision=recipe.precision,
                progress=False,
            )
        rows.append((name, size, result.step / result.elapsed))
    print(f"recipe {args.recipe}, {args.steps} steps each on {device}; {machine.line(about)}\n")
    print(f"{'model':<26} {'M params':>9} {'steps/s':>9}")
    for name, size, pace in rows:
        print(f"{name:<26} {size:9.2f} {pace:9.2f}")


if __name__ == "__main__":
    try:
        main()
    except ReverieError as error:
        sys.exit(f"bench: {error}")
