"""How much worse a model says what comes next after what it imagined itself than after truth: what training on its own
rollouts (reverie train RECIPE --stage rollouts) could win at most.

Held-out clips are gone on with; then the same windows of them are shown twice, with what the model made of the past,
and as they were, the same noise in both, and it is asked of the same things.

python bench/own_pasts.py [--model NAME|DIR] [--clips 100] [--batches 16]
"""

import argparse
import tempfile
from collections import defaultdict
from dataclasses import replace

import numpy as np
import torch

from reverie.data.make import make
from reverie.model.sampling import Sampling
from reverie.model.text import TokenVectors
from reverie.train.encode import Bank, encode
from reverie.train.plans import RECIPES
from reverie.train.rollouts import own_pasts
from reverie.train.transformer import transformer_loss
from reverie.train.windows import draw_windows, of_things
from reverie.world import World

SHOWN = {"things": "loss", "metres": "metres off of what goes on", "moving_error": "error of what moves"}


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="base")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--batches", type=int, default=16)
    args = parser.parse_args()
    world, plan = World.load(args.model), RECIPES["cpu"]
    with tempfile.TemporaryDirectory() as folder:
        make("lab", folder, clips=args.clips, seconds="6..16", seed=7, split="test", things_only=True)
        bank = encode(folder, None, vectors=TokenVectors.load())
    own = own_pasts(world.transformer, Sampling.of(world.meta), bank.items, bank.vectors, plan.things.latents, 0)
    truth = {item.key: item.things for item in bank.items}
    plain = [replace(item, own=None, things=truth[item.key][: len(item)]) for item in own]
    found: dict[str, dict[str, list[float]]] = {}
    for name, items in (("truth", plain), ("own", own)):
        mixture = of_things(Bank(items, bank.vectors), plan.things, plan.beginning, 0.0, world.transformer.config.slots)
        rng, kept = np.random.default_rng(0), replace(mixture.things, mirrored=0.0, from_start=0.0)
        found[name] = defaultdict(list)
        for seed in range(args.batches):
            windows = draw_windows(mixture.all, bank.vectors, kept, rng, mixture.odds)
            torch.manual_seed(seed)
            for figure, value in transformer_loss(world.transformer, windows)[1].items():
                found[name][figure].append(float(value))
    print(f"{world.name}, {len(own)} clips, {args.batches} batches of {plan.things.batch} windows")
    for figure, words in SHOWN.items():
        after, before = (float(np.mean(found[name][figure])) for name in ("own", "truth"))
        print(f"{words:<28} after truth {before:.4f}, after its own {after:.4f}: {after / before:.3f}")


if __name__ == "__main__":
    main()
