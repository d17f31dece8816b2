"""Frames per second of generation, split into text, things, views, decoder and file.

python bench/generation.py [--model NAME|DIR] [--seconds 60] [--anyway]
"""

import argparse
import sys
import tempfile
from pathlib import Path

from reverie.core.errors import ReverieError
from reverie.evaluate import machine
from reverie.evaluate.speed import split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="base")
    parser.add_argument("--seconds", type=float, default=60.0, help="of video")
    parser.add_argument("--anyway", action="store_true", help="measure even if something else is running")
    args = parser.parse_args()
    machine.require_quiet(args.anyway)
    about = machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        parts = split(args.model, args.seconds, Path(folder) / "out.mp4")
    frames, whole = parts.pop("frames"), sum(parts.values())
    print(f"{frames:.0f} frames on {machine.line(about)}\n")
    print(f"{'part':<10} {'seconds':>9} {'share':>7} {'frames/s':>10}")
    for name, seconds in [*parts.items(), ("all", whole)]:
        pace = f"{frames / seconds:10.1f}" if seconds > 1e-6 else f"{'-':>10}"
        print(f"{name:<10} {seconds:9.2f} {seconds / whole:7.1%} {pace}")


if __name__ == "__main__":
    try:
        main()
    except ReverieError as error:
        sys.exit(f"bench: {error}")
