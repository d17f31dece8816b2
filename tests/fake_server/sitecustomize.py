"""Python runs this first where this folder is on its path: the worker finds the tests' fake world, and no torch."""

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if "reverie.serve.worker" in sys.orig_argv:
    import fake_world

    torch = ModuleType("torch")
    torch.set_num_threads = lambda count: None
    sys.modules["torch"] = torch
    fake_world.World.pause = float(os.environ.get("FAKE_PAUSE", "0.02"))
    sys.modules["reverie.world"] = SimpleNamespace(
        World=fake_world.World, models=fake_world.models, step_together=fake_world.step_together)
