"""A real server for tests, over the shipped model or over a world without a network."""

import os
from pathlib import Path

from reverie.evaluate import server
from reverie.evaluate.server import wait_for

__all__ = ["FAKES", "ROOT", "Server", "wait_for"]
ROOT = Path(__file__).resolve().parents[1]
FAKES = ROOT / "tests" / "fake_server"


class Server(server.Server):
    """``reverie serve`` over a data folder. fake: with the tests' own world, so that its worker starts at once."""

    def __init__(self, data: Path, *args: str, fake: bool = False, env: dict | None = None):
        paths = [*([str(FAKES)] if fake else []), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
        super().__init__(data, *args, env={"PYTHONPATH": os.pathsep.join(paths), **(env or {})})
