"""What holds for all tests: MuJoCo draws without a display, torch alone makes passes, tiny pipelines are built once.
MuJoCo reads the first when it is first loaded, by any test."""

import os
import sys

import pytest

os.environ["REVERIE_ONNX"] = "0"  # but for its own tests: exporting takes seconds, and is kept in the user's folder

if sys.platform.startswith("linux"):
    os.environ.setdefault("MUJOCO_GL", "egl")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """name -> the folder of that tiny pipeline of diffusers, built when it is first asked for."""
    import tiny_pipelines

    from reverie.foreign import finding

    finding.import_diffusers()
    root, made = tmp_path_factory.mktemp("pipelines"), {}

    def folder(name):
        if name not in made:
            made[name] = tiny_pipelines.build(name, root / name)
        return made[name]

    return folder
