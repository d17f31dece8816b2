"""``reverie serve --ray`` on one machine: two replicas, one queue, one gallery. Needs the extra "scale"."""

import os
import signal
import subprocess
import sys
import urllib.request

import pytest
from server import FAKES, ROOT, Server, wait_for

pytest.importorskip("ray", reason="Ray is not here: it comes with the extra scale")


def test_two_replicas_are_one_server(tmp_path):
    server = Server(tmp_path / "data", fake=True)
    server.port = 18763
    paths = os.pathsep.join([str(FAKES), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "reverie", "serve", "--ray", "--replicas", "2", "--port", str(server.port), "--data",
         str(server.data)], env={**os.environ, "PYTHONPATH": paths}, start_new_session=True)
    try:
        wait_for(lambda: server.get("/healthz")[0] == 200, 300)
        wait_for(lambda: len(server.workers()) == 2, 60)
        body = {"prompt": "a ball", "seconds": 1, "size": "64x64", "fps": 12}
        names = [server.post("/v1/videos", body)[2]["id"] for _ in range(8)]
        os.kill(server.workers()[0], signal.SIGKILL)
        for name in names:
            for _ in range(4):  # whichever replica is asked
                assert server.finish(name)["status"] == "completed"
            with urllib.request.urlopen(f"{server.url}/v1/videos/{name}/content") as content:
                assert content.read()[4:8] == b"ftyp"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert wait_for(lambda: not server.workers())
