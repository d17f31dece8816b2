"""Many clients at once: how long a poll takes while a video is made, and what a minute of it does to memory.

python bench/serve_load.py [--seconds 60] [--pollers 200] [--creators 20] [--every 0.5]
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from server import Server  # noqa: E402 - the tests' own

from reverie.evaluate import machine  # noqa: E402 - as above

BODY = json.dumps({"prompt": "a red ball falls", "seconds": 1, "size": "64x64"}).encode()


class Client:
    """One kept connection."""

    def __init__(self, port: int, statuses: Counter):
        self.port, self.statuses, self.reader = port, statuses, None

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        if self.reader is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        kind = "Content-Type: application/json\r\n" if body else ""
        self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{kind}"
                          f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await self.reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                      if line.startswith(b"content-length:"))
        self.statuses[method, status] += 1
        return status, await self.reader.readexactly(length)


async def load(server: Server, args) -> tuple[Counter, list[float], list[float], list[int]]:
    statuses, polls, creates, memory, names = Counter(), [], [], [], []
    end = time.monotonic() + args.seconds

    async def poll(number: int) -> None:
        client = Client(server.port, statuses)
        await asyncio.sleep(number * args.every / args.pollers)
        while time.monotonic() < end:
            name = names[(number + len(polls)) % len(names)] if names else ""
            began = time.perf_counter()
            await client.ask("GET", f"/v1/videos/{name}" if name else "/v1/videos")
            polls.append(time.perf_counter() - began)
            await asyncio.sleep(args.every)

    async def create() -> None:
        client = Client(server.port, statuses)
        while time.monotonic() < end:
            began = time.perf_counter()
            status, body = await client.ask("POST", "/v1/videos", BODY)
            creates.append(time.perf_counter() - began)
            if status == 200:
                names.append(json.loads(body)["id"])
            await asyncio.sleep(0.2 if status == 200 else 1.0)

    async def watch() -> None:
        while time.monotonic() < end:
            memory.append(resident(server.process.pid))
            await asyncio.sleep(1)

    await asyncio.gather(watch(), *(create() for _ in range(args.creators)), *(poll(i) for i in range(args.pollers)))
    return statuses, polls, creates, memory


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pollers", type=int, default=200)
    parser.add_argument("--creators", type=int, default=20)
    parser.add_argument("--every", type=float, default=0.5, help="seconds between a client's polls")
    args = parser.parse_args()
    print(machine.line(machine.describe()))
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "data").start()
        try:
            statuses, polls, creates, memory = asyncio.run(load(server, args))
            done = server.get("/v1/about")[2]["queue"], server.get("/metrics")[2].decode()
        finally:
            server.stop()
    finished = next(line.split()[1] for line in done[1].splitlines() if 'status="completed"' in line)
    print(f"{args.pollers} clients polled every {args.every:g} s and {args.creators} created for {args.seconds:g} s; "
          f"{finished} videos were finished")
    for (method, status), count in sorted(statuses.items()):
        print(f"{method:<5} {status}  {count}")
    print(f"{'':<8} {'n':>7} {'median':>9} {'p99':>9} {'most':>9}")
    for name, times in (("GET", sorted(polls)), ("POST", sorted(creates))):
        middle, late = times[len(times) // 2], times[int(len(times) * 0.99)]
        print(f"{name:<8} {len(times):>7} {middle * 1e3:>6.1f} ms {late * 1e3:>6.1f} ms {times[-1] * 1e3:>6.1f} ms")
    quarter = memory[len(memory) // 4]
    print(f"memory of the server: {memory[0] / 1e6:.0f} MB at first, {quarter / 1e6:.0f} MB after a quarter, "
          f"{memory[-1] / 1e6:.0f} MB at the end")
    errors = {key: count for key, count in statuses.items() if key[1] not in (200, 429)}
    sys.exit(f"errors: {errors}" if errors else 0)


if __name__ == "__main__":
    main()
