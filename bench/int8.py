"""What int8 would win and lose in a dream's passes by ONNX Runtime: time beside fp32, and how far the numbers are off.

Dynamic quantization of the matrix products, per channel, with a reduced range (for cores without VNNI). Run on the
passes of a dream that has begun, in turns.

python bench/int8.py [--model NAME|DIR] [--rounds 40] [--anyway]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import quantize_dynamic

from reverie.core.clip import Line
from reverie.core.errors import ReverieError
from reverie.evaluate import machine
from reverie.model.exported import Exported, exported
from reverie.world import World

LATENTS = 40  # of the dream before its passes are taken


class Caught(Exported):
    """Exported passes that keep what they were last given."""

    def made(self, group: str, latents: int, inputs: dict[str, torch.Tensor]):
        """As Exported.made."""
        self.given = {**getattr(self, "given", {}), (group, latents): {k: v.clone() for k, v in inputs.items()}}
        return super().made(group, latents, inputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="base")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--anyway", action="store_true", help="measure even if something else is running")
    args = parser.parse_args()
    machine.require_quiet(args.anyway)
    torch.set_num_threads(1)
    world = World.load(args.model)
    world.transformer.runner = caught = Caught(world.transformer, world.hash)
    world.dream([Line(0.0, "a red ball rolls behind a wall")], seed=3, seconds=20.0).imagined(LATENTS)
    print(f"one thread of {machine.line(machine.describe())}\n")
    print(f"{'pass':<10} {'fp32 ms':>8} {'int8 ms':>8} {'ratio':>6} {'MB':>12} {'things off, at most':>20}")
    for (group, latents), inputs in caught.given.items():
        with tempfile.TemporaryDirectory() as folder:
            plain, small = Path(folder) / "plain.onnx", Path(folder) / "small.onnx"
            plain.write_bytes(exported(group, world.transformer, inputs))
            quantize_dynamic(plain, small, per_channel=True, reduce_range=True)
            sizes = [path.stat().st_size / 1e6 for path in (plain, small)]
            sessions = [_session(path) for path in (plain, small)]
        feeds = {one.name: inputs[one.name].numpy() for one in sessions[0].get_inputs()}
        spent, made = ([], []), [session.run(None, feeds)[0] for session in sessions]
        for _ in range(args.rounds):
            for session, times in zip(sessions, spent, strict=True):
                begun = time.process_time()
                session.run(None, feeds)
                times.append(1000 * (time.process_time() - begun))
        one, other = (float(np.median(times)) for times in spent)
        print(f"{group} {latents:<3} {one:8.2f} {other:8.2f} {other / one:6.2f} {sizes[0]:5.1f} {sizes[1]:5.1f}  "
              f"{float(np.abs(made[0] - made[1]).max()):16.3f}")


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    try:
        main()
    except ReverieError as error:
        sys.exit(f"bench: {error}")
