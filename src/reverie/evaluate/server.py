"""A real server process, to be measured and tested: started on a free port, stopped or killed, and spoken to."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from reverie.core.errors import ReverieError

SOURCE = Path(__file__).resolve().parents[2]


class Server:
    """``reverie serve`` with these arguments over a data folder."""

    def __init__(self, data: Path, *args: str, env: dict | None = None):
        self.data, self.args = data, args
        paths = [os.environ.get("PYTHONPATH", ""), str(SOURCE)]
        self.env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **(env or {})}
        self.process: subprocess.Popen | None = None
        self.port = 0

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Server:
        """Raises ReverieError when it does not."""
        self.log = open(self.data.with_suffix(".log"), "ab")  # noqa: SIM115 - as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reverie", "serve", "--port", str(self.port), "--data", str(self.data), *self.args],
            env=self.env, stdout=subprocess.PIPE, stderr=self.log, start_new_session=True)
        line = self.process.stdout.readline().decode()
        if "http://" not in line:
            raise ReverieError(f"the server did not start: {self.data.with_suffix('.log').read_text()[-500:]}")
        self.port = int(line.split("http://")[1].split("/")[0].rpartition(":")[2])
        wait_for(lambda: self.get("/healthz")[0] == 200)
        return self

    def kill(self) -> None:
        """SIGKILL to the server alone."""
        self.process.kill()
        self.process.wait()
        self.log.close()

    def workers(self) -> list[int]:
        """The ids of its worker processes."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if b"reverie.serve.worker" in words and str(self.data).encode() in words:
                    found.append(int(path.parent.name))
        return found

    def kill_workers(self) -> None:
        """SIGKILL to each of them."""
        for pid in self.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> int:
        """As Ctrl-C does; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        return self.process.returncode

    def get(self, path: str, method: str = "GET", body=None, headers: dict | None = None):
        """Status, headers, and the body: as JSON where it is that."""
        data = json.dumps(body).encode() if body is not None else None
        kind = {"Content-Type": "application/json"} if data else {}
        request = urllib.request.Request(self.url + path, data, {**kind, **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers, _read(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.headers, _read(error)
        except (urllib.error.URLError, ConnectionError, http.client.HTTPException):
            return 0, {}, b""

    def post(self, path: str, body, headers: dict | None = None):
        """As ``get``."""
        return self.get(path, "POST", body, headers)

    def wait_ready(self, seconds: float = 300) -> None:
        """Until a worker of it has its model. Raises ReverieError when none has in so many seconds."""
        def ready() -> bool:
            status, _, said = self.get("/healthz")
            return status == 200 and said["worker"] == "ready"

        wait_for(ready, seconds)

    def finish(self, name: str, seconds: float = 120) -> dict:
        """The video, once it has ended."""
        return wait_for(lambda: _ended(self.get(f"/v1/videos/{name}")[2]), seconds)


def _ended(video):
    return video if isinstance(video, dict) and video.get("status") in ("completed", "failed") else None


def _read(answer):
    body = answer.read()
    return json.loads(body) if "json" in answer.headers.get("Content-Type", "") and body[:1] in b"{[" else body


def wait_for(what, seconds: float = 60):
    """What ``what()`` returns as soon as it is true. Raises ReverieError when it is not in so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = what()
        if got:
            return got
        time.sleep(0.05)
    raise ReverieError(f"waited {seconds:g} s in vain")
