"""How long from a key to a changed pixel in the live channel, with 1 and 4 sessions, beside the model's time a step.

python bench/live.py [--presses 40] [--sessions 1 4] [--size 128x128] [--anyway]

A real server is started. Each client drives a dream in which all is at rest: it presses a key at a random moment, and
the clock stops when a frame comes whose pixels have changed by more than they do at rest; then it lets go and waits.
"""

import argparse
import io
import json
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from server import Server  # noqa: E402 - the tests' own

from reverie.evaluate import machine  # noqa: E402 - as above
from reverie.serve.live_outbox import FRAME_HEAD  # noqa: E402 - as above

REST = 1.0  # seconds after a key was let go, in which the picture comes to rest and what it does then is measured
SCENE = "a yellow box and a green cylinder in a room"


class Driver:
    """One client: what it measured is in ``pixels`` and ``frames`` (seconds), ``steps`` (ms), ``rate`` (frames/s)."""

    def __init__(self, url: str, size: str, seed: int):
        self.socket = connect(url, open_timeout=60, max_size=None, ping_interval=None)
        self.random, self.seq = random.Random(seed), 0
        self.pixels: list[float] = []
        self.frames: list[float] = []
        self.steps: list[float] = []
        self.together: list[int] = []
        self.rate, self.failed = 0.0, 0
        self.say("start", prompt=SCENE, size=size, seed=seed)
        while self.hear()[0] is None:
            pass

    def say(self, kind: str, **fields) -> None:
        self.socket.send(json.dumps({"type": f"session.{kind}", **fields}))

    def hear(self) -> tuple:
        """The next message: (seq, picture as int16) of a frame, (None, None) of anything else."""
        message = self.socket.recv(timeout=300)
        if isinstance(message, bytes):
            number, seq, _, _ = FRAME_HEAD.unpack_from(message)
            if number % 4 == 3:
                self.say("shown", frame=number)
            return seq, np.asarray(Image.open(io.BytesIO(message[FRAME_HEAD.size :]))).astype(np.int16)
        said = json.loads(message)
        if said["type"] == "error":
            raise SystemExit(said["error"]["message"])
        if said["type"] == "session.state":
            self.steps.append(said["step_ms"])
            self.together.append(said["together"])
        return None, None

    def press(self, keys: list[str]) -> float:
        self.seq += 1
        self.say("interaction", seq=self.seq, keys=keys)
        return time.perf_counter()

    def run(self, presses: int) -> None:
        end = time.perf_counter() + 2 * REST
        while time.perf_counter() < end:  # what came while the others began
            self.hear()
        self.steps.clear()
        self.together.clear()
        began, shown = time.perf_counter(), 0
        for _ in range(presses):
            end = time.perf_counter() + REST + self.random.random()
            last, moves = None, 0.0
            while time.perf_counter() < end or last is None:
                seq, picture = self.hear()
                if picture is not None:
                    shown += 1
                    if last is not None and time.perf_counter() > end - 0.5 * REST:
                        moves = max(moves, float(np.abs(picture - last).mean()))
                    last = picture
            when, seen = self.press([self.random.choice("adqe")]), None
            while time.perf_counter() < when + 30:
                seq, picture = self.hear()
                if picture is None:
                    continue
                shown += 1
                if seq < self.seq:  # it was made before the key was known
                    last = picture
                    continue
                if seen is None:
                    seen = time.perf_counter() - when
                if float(np.abs(picture - last).mean()) > 1.5 * moves + 0.3:
                    self.pixels.append(time.perf_counter() - when)
                    self.frames.append(seen if seen is not None else float("nan"))
                    break
            else:
                self.failed += 1
            self.press([])
        self.rate = shown / (time.perf_counter() - began)
        self.say("stop")


def measure(url: str, sessions: int, presses: int, size: str) -> tuple:
    drivers = [Driver(url, size, seed) for seed in range(sessions)]
    threads = [threading.Thread(target=driver.run, args=(presses,)) for driver in drivers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pixels = 1000 * np.array([second for driver in drivers for second in driver.pixels])
    frames = 1000 * np.array([second for driver in drivers for second in driver.frames])
    steps = np.array([step for driver in drivers for step in driver.steps])
    together = float(np.mean([count for driver in drivers for count in driver.together]))
    return (sessions, *np.percentile(pixels, (50, 95)), np.nanpercentile(frames, 50), *np.percentile(steps, (50, 95)),
            together, float(np.mean([driver.rate for driver in drivers])), sum(driver.failed for driver in drivers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presses", type=int, default=40, help="of each session")
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--size", default="128x128")
    parser.add_argument("--anyway", action="store_true", help="measure even if something else is running")
    args = parser.parse_args()
    machine.require_quiet(args.anyway)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "data").start()
        try:
            url = f"ws://127.0.0.1:{server.port}/v1/realtime/video"
            rows = [measure(url, n, args.presses, args.size) for n in args.sessions]
        finally:
            server.stop()
    print(f"{machine.line(machine.describe())}; load {os.getloadavg()[0]:.1f}; {args.size}; "
          f"{args.presses} presses a session")
    print(f"{'sessions':>8} {'key to pixel, ms: p50':>22} {'p95':>6} {'to its frame: p50':>18} {'a step, ms: p50':>16} "
          f"{'p95':>6} {'together':>9} {'frames/s each':>14} {'missed':>7}")
    for n, p50, p95, frame, step, slow, together, rate, missed in rows:
        print(f"{n:>8} {p50:>22.0f} {p95:>6.0f} {frame:>18.0f} {step:>16.0f} {slow:>6.0f} {together:>9.1f} "
              f"{rate:>14.1f} {missed:>7}")


if __name__ == "__main__":
    main()
