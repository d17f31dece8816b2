"""Suite ``live``: how long from a key to a changed pixel in the live channel, beside the model's own time a step.

A real server is started. Each client drives a dream in which all is at rest: it presses a key at a random moment, and
the clock stops when a frame comes whose pixels have changed by more than they do at rest; then it lets go and waits.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from reverie.core.errors import BadInput, ReverieError
from reverie.evaluate import machine
from reverie.evaluate.figures import figure, share
from reverie.evaluate.server import Server
from reverie.evaluate.study import Study
from reverie.serve.live_outbox import FRAME_HEAD
from reverie.world import World

REST = 1.0  # seconds after a key was let go, in which the picture comes to rest and what it does then is measured
PATIENCE = 30.0  # seconds after which a key has not been answered
SCENE = "a yellow box and a green cylinder in a room"
TOGETHER = (1, 4)  # sessions


def measure(study: Study) -> list[dict]:
    """n presses of each session, alone and four at once, at the model's own size and rate."""
    if isinstance(study.model, World):
        raise BadInput("the live suite runs the command line: give a model by name or folder")
    figures = [figure("cores_busy_with_other_work", machine.busy(), "cores", "<= 0.25", 1)]
    with (tempfile.TemporaryDirectory() as folder, study.track(len(TOGETHER) * study.n, "presses") as bar,
          Server(Path(folder) / "data", "--model", str(study.model)) as server):
        for sessions in TOGETHER:
            drivers = drive(server, sessions, study.n, bar.advance)
            figures += figures_of(drivers, "1_session" if sessions == 1 else f"{sessions}_sessions")
    return figures


def drive(server: Server, sessions: int, presses: int, tell=lambda: None) -> list[Driver]:
    """So many clients at once, each pressing so often. tell: called at each press of the first."""
    url = f"ws://127.0.0.1:{server.port}/v1/realtime/video"
    drivers = [Driver(url, seed) for seed in range(sessions)]
    threads = [threading.Thread(target=driver.run, args=(presses, tell if driver is drivers[0] else lambda: None))
               for driver in drivers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = next((driver.error for driver in drivers if driver.error is not None), None)
    if failed is not None:
        raise ReverieError(f"a live session ended: {failed}")
    return drivers


def figures_of(drivers: list[Driver], said: str) -> list[dict]:
    """What the drivers saw, as figures."""
    pixels = [1e3 * second for driver in drivers for second in driver.pixels]
    steps = [step for driver in drivers for step in driver.steps]
    missed = sum(driver.missed for driver in drivers)
    rate = float(np.mean([driver.rate for driver in drivers]))
    return [figure(f"key_to_pixel_p50_{said}", percentile(pixels, 50), "ms", None, len(pixels)),
            figure(f"key_to_pixel_p95_{said}", percentile(pixels, 95), "ms", None, len(pixels)),
            figure(f"model_step_p50_{said}", percentile(steps, 50), "ms", None, len(steps)),
            figure(f"model_step_p95_{said}", percentile(steps, 95), "ms", None, len(steps)),
            figure(f"frames_a_second_each_{said}", rate, "", None, len(drivers)),
            figure(f"keys_not_answered_{said}", share(missed, missed + len(pixels)), "share", "<= 0",
                   missed + len(pixels))]


def percentile(values: list[float], q: float) -> float:
    """NaN of none."""
    return float(np.percentile(values, q)) if values else float("nan")


class Driver:
    """One client: what it measured is in ``pixels`` (seconds), ``steps`` (ms), ``rate`` (frames a second)."""

    def __init__(self, url: str, seed: int):
        from websockets.sync.client import connect

        self.held = contextlib.ExitStack()
        self.socket = self.held.enter_context(connect(url, open_timeout=60, max_size=None, ping_interval=None))
        self.random, self.seq = random.Random(seed), 0
        self.pixels: list[float] = []
        self.steps: list[float] = []
        self.rate, self.shown, self.missed = 0.0, 0, 0
        self.error: Exception | None = None
        self.say("start", prompt=SCENE, seed=seed)
        while self.hear()[0] is None:
            pass

    def say(self, kind: str, **fields) -> None:
        """Send a message."""
        self.socket.send(json.dumps({"type": f"session.{kind}", **fields}))

    def hear(self) -> tuple[int | None, np.ndarray | None]:
        """The next message: (seq, picture as int16) of a frame, (None, None) of anything else."""
        message = self.socket.recv(timeout=300)
        if isinstance(message, bytes):
            number, seq, _, _ = FRAME_HEAD.unpack_from(message)
            self.shown += 1
            if number % 4 == 3:
                self.say("shown", frame=number)
            return seq, np.asarray(Image.open(io.BytesIO(message[FRAME_HEAD.size :]))).astype(np.int16)
        said = json.loads(message)
        if said["type"] == "error":
            raise ReverieError(said["error"]["message"])
        if said["type"] == "session.state":
            self.steps.append(said["step_ms"])
        return None, None

    def press(self, keys: list[str]) -> float:
        """Hold these keys; the moment."""
        self.seq += 1
        self.say("interaction", seq=self.seq, keys=keys)
        return time.perf_counter()

    def run(self, presses: int, tell) -> None:
        """Press so often; what goes wrong is in ``error``."""
        try:
            self._run(presses, tell)
        except Exception as error:
            self.error = error
        finally:
            self.held.close()

    def _run(self, presses: int, tell) -> None:
        end = time.perf_counter() + 2 * REST
        while time.perf_counter() < end:  # what came while the others began
            self.hear()
        self.steps.clear()
        began, self.shown = time.perf_counter(), 0
        for _ in range(presses):
            last, moves = self._rest(REST + self.random.random())
            seconds = self._answered(self.press([self.random.choice("adqe")]), last, 1.5 * moves + 0.3)
            if seconds is None:
                self.missed += 1
            else:
                self.pixels.append(seconds)
            self.press([])
            tell()
        self.rate = self.shown / (time.perf_counter() - began)
        self.say("stop")

    def _rest(self, seconds: float) -> tuple[np.ndarray, float]:
        """Wait so long: the last picture, and how much pictures still change (levels, in the mean)."""
        end, last, moves = time.perf_counter() + seconds, None, 0.0
        while time.perf_counter() < end or last is None:
            _, picture = self.hear()
            if picture is None:
                continue
            if last is not None and time.perf_counter() > end - 0.5 * REST:
                moves = max(moves, float(np.abs(picture - last).mean()))
            last = picture
        return last, moves

    def _answered(self, when: float, last: np.ndarray, least: float) -> float | None:
        """Seconds since ``when`` until a picture that was made knowing of the key has changed by so many levels."""
        while time.perf_counter() < when + PATIENCE:
            seq, picture = self.hear()
            if picture is None:
                continue
            if seq < self.seq:
                last = picture
            elif float(np.abs(picture - last).mean()) > least:
                return time.perf_counter() - when
        return None
