"""Does a batch of jobs go faster than one after the other? The rollout and the decoder with 1, 2 and 4 at once.

python bench/serve_batch.py [--size 128] [--latents 24] [--rounds 3]
"""

import argparse
import time

import torch

from reverie.core.clip import Line
from reverie.core.runtime import set_threads
from reverie.evaluate import machine
from reverie.model.rollout import Conditions, Rollout, Sampling
from reverie.world import World


@torch.inference_mode()
def frames_per_second(world: World, batch: int, size: int, latents: int) -> float:
    """Frames of all videos together, a second of the clock."""
    text = world._encode_text([Line(0.0, "a red ball falls and a blue box slides")])
    many = text.repeated(batch)
    sampling = Sampling.of(world.meta)
    spatial = world.tokenizer.config.spatial
    rollout = Rollout(world.transformer, many, fps=torch.tensor([world.fps] * batch),
                      grid=(size // spatial, size // spatial), generator=torch.Generator().manual_seed(0),
                      sampling=sampling, with_things=True, with_views=world.paints(sampling, True))
    decoder, began = None, time.perf_counter()
    unknown = torch.full((batch, 4 * 5), torch.nan)
    for n in range(latents):
        since = torch.full((batch,), 4.0 * n / world.fps)
        vectors, latent = rollout.step(Conditions(torch.zeros(batch, dtype=torch.long), since, unknown))
        _, decoder = world.decode(latent, vectors, decoder, sampling, size=(size, size))
    return batch * latents * 4 / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--latents", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    threads = set_threads()
    world = World.load()
    frames_per_second(world, 1, args.size, 4)
    print(f"{machine.line(machine.describe())}; {threads} threads; {args.size}x{args.size}")
    print(f"{'batch':<6} {'frames/s of all, best of ' + str(args.rounds):>28}")
    best = dict.fromkeys((1, 2, 4), 0.0)
    for _ in range(args.rounds):  # in turns, so that what else runs here disturbs all alike
        for batch in best:
            best[batch] = max(best[batch], frames_per_second(world, batch, args.size, args.latents))
    for batch, speed in best.items():
        print(f"{batch:<6} {speed:>28.1f}")


if __name__ == "__main__":
    main()
