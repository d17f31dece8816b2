"""Gymnasium environments in the dream and in the true simulators, with the same spaces.

    import gymnasium, reverie.envs
    env = gymnasium.make("reverie/Lab-v0")                  # dreamed
    env = gymnasium.make("reverie/LabTrue-v0")              # simulated and drawn by MuJoCo
    env = gymnasium.make("reverie/Road-v0")                 # SUMO moves the traffic, live; RoadTrue-v0 is the same
    env = gymnasium.make("reverie/Road-v0", traces="DIR")   # recorded traffic, which does not heed our car
    env = gymnasium.make("reverie/RoadDream-v0", traces="DIR", observation="vector")   # its traffic imagined
    envs = gymnasium.make_vec("reverie/Lab-v0", num_envs=4, vectorization_mode="vector_entry_point")

One step is one latent: four frames. The observation is the newest frame of the camera that looks ahead.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

from reverie.core.errors import ReverieError

IDS = {"reverie/Lab-v0": ("lab:LabEnv", "vector:LabVectorEnv"), "reverie/LabTrue-v0": ("lab_true:LabTrueEnv", None),
       "reverie/Road-v0": ("road:RoadEnv", None), "reverie/RoadTrue-v0": ("road:RoadEnv", None),
       "reverie/RoadDream-v0": ("road:RoadEnv", None)}
DREAMS = {"reverie/RoadDream-v0": {"model": "base"}}


def register() -> None:
    """Make the environments known to gymnasium; importing this package does it where gymnasium is there. Raises
    ReverieError without it."""
    try:
        registration = import_module("gymnasium.envs.registration")
    except ImportError:
        raise ReverieError('environments need the package gymnasium: pip install "reverie[gym]"') from None
    for name, (single, several) in IDS.items():
        if name not in registration.registry:
            registration.register(name, entry_point=f"reverie.envs.{single}", kwargs=DREAMS.get(name, {}),
                                  vector_entry_point=f"reverie.envs.{several}" if several else None)


with suppress(ReverieError):  # said when an environment is asked for
    register()
