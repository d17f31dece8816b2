"""What another's model says of itself, one JSON object on standard output: python -m reverie.foreign.telling MODEL.

Its folder, its size (H, W), and its frames per second; for programs that do not want diffusers in their own process.
"""

from __future__ import annotations

import json
import sys

from reverie.core.errors import ReverieError
from reverie.foreign.world import ForeignWorld


def main() -> None:
    """Ask it."""
    try:
        world = ForeignWorld.load(sys.argv[1], tell=lambda text: print(text, file=sys.stderr, flush=True))
        print(json.dumps({"folder": str(world.folder), "size": world.default_size, "fps": world.fps}))
    except ReverieError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
