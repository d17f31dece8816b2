"""How fast the lab is planned, simulated and drawn, on one core.

python bench/rendering.py [--seconds 8] [--clips 4] [--anyway]
"""

import argparse
import os
import sys
import time

from reverie.core.errors import ReverieError
from reverie.data.make import choose_renderer
from reverie.evaluate import machine

SIZES = ((128, 128), (128, 224), (256, 256))  # H, W


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each clip")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--anyway", action="store_true", help="measure even if something else is running")
    args = parser.parse_args()
    machine.require_quiet(args.anyway)
    about = machine.describe()
    os.environ["MUJOCO_GL"] = choose_renderer()
    from reverie.data.scenes import SCENES

    lab, rows = SCENES["lab"], []
    lab.draw(lab.plan(0, 1.0), (128, 128))  # the first clip loads the renderer
    began = time.perf_counter()
    plans = [lab.plan(seed, args.seconds, size=(128, 128)) for seed in range(args.clips)]
    rows.append(("plan and simulate", time.perf_counter() - began))
    for height, width in SIZES:
        began = time.perf_counter()
        for plan in plans:
            lab.draw(plan, (height, width))
        rows.append((f"draw {width}x{height}, with masks", time.perf_counter() - began))
    frames = sum(round(plan.seconds * plan.fps) for plan in plans)
    seconds = sum(plan.seconds for plan in plans)
    print(f"{frames} frames on one of {machine.line(about)}, drawn by {os.environ['MUJOCO_GL']}\n")
    print(f"{'work':<26} {'seconds':>9} {'frames/s':>10} {'x real time':>12}")
    for name, spent in rows:
        print(f"{name:<26} {spent:9.2f} {frames / spent:10.1f} {seconds / spent:12.1f}")


if __name__ == "__main__":
    try:
        main()
    except ReverieError as error:
        sys.exit(f"bench: {error}")
