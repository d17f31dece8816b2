"""What holds for all tests: MuJoCo draws without a display. It reads this when it is first loaded, by any test."""

import os
import sys

if sys.platform.startswith("linux"):
    os.environ.setdefault("MUJOCO_GL", "egl")
