"""Does a batch of jobs go faster than one after the other? 1, 2 and 4 videos stepped together, at some seconds' age.

python bench/serve_batch.py [--size 128] [--latents 12] [--rounds 3]
"""

import argparse
import time

from reverie.core.clip import Line
from reverie.core.runtime import set_threads
from reverie.evaluate import machine
from reverie.world import World, step_together


def frames_per_second(world: World, batch: int, size: int, latents: int) -> float:
    """Frames of all videos together, a second of the clock; their slower first moments are not counted."""
    dreams = [world.dream([Line(0.0, "a red ball falls and a blue box slides")], size=(size, size), seed=seed)
              for seed in range(batch)]
    step_together(dreams, [{}] * batch)
    began = time.perf_counter()
    for _ in range(latents):
        step_together(dreams, [{}] * batch)
    return batch * latents * 4 / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--latents", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    threads = set_threads()
    world = World.load()
    frames_per_second(world, 1, args.size, 1)
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
