"""What others' models say of themselves, a line of JSON each: python -m reverie.foreign.telling MODEL...

The folder, the size (H, W), and the frames per second; or the error that ends it. For programs that do not want
diffusers in their own process.
"""

from __future__ import annotations

import json
import sys

from reverie.core.errors import ReverieError
from reverie.foreign.world import ForeignWorld


def main() -> None:
    """Ask them."""
    try:
        for model in sys.argv[1:]:
            world = ForeignWorld.load(model, tell=lambda text: print(f"reverie: {text}", file=sys.stderr, flush=True))
            print(json.dumps({"folder": str(world.folder), "size": world.default_size, "fps": world.fps}))
    except ReverieError as error:
        print(json.dumps({"error": str(error)}))
        sys.exit(1)


if __name__ == "__main__":
    main()
