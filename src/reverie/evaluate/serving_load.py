"""Many clients at once: how long a poll takes while a video is made, and what a minute of it does to memory."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from reverie.evaluate.server import Server

POLLERS, CREATORS = 200, 20
EVERY = 0.5  # seconds between a client's polls
BODY = json.dumps({"prompt": "a red ball falls", "seconds": 1, "size": "64x64"}).encode()


@dataclass
class Load:
    """What a load of so many seconds did. statuses: answers by (method, status); polls, creates: seconds of each;
    memory: bytes that the server held, second by second; finished: videos that were made meanwhile."""

    seconds: float
    statuses: Counter = field(default_factory=Counter)
    polls: list[float] = field(default_factory=list)
    creates: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    finished: int = 0

    @property
    def errors(self) -> int:
        """Answers that are neither 200 nor 429."""
        return sum(count for (_, status), count in self.statuses.items() if status not in (200, 429))

    @property
    def growth(self) -> int:
        """Bytes of memory from a quarter of the time to its end."""
        return self.memory[-1] - self.memory[len(self.memory) // 4]


def load(server: Server, seconds: float) -> Load:
    """Start it, and when its worker is ready poll and create for so long."""
    with server:
        server.wait_ready()
        made = asyncio.run(_all_clients(server, seconds))
        said = server.get("/metrics")[2].decode().splitlines()
    made.finished = int(float(next(line.split()[1] for line in said if 'status="completed"' in line)))
    return made


async def _all_clients(server: Server, seconds: float) -> Load:
    made, names = Load(seconds), []
    end = time.monotonic() + seconds

    async def poll(number: int) -> None:
        client = _Client(server.port, made.statuses)
        await asyncio.sleep(number * EVERY / POLLERS)
        while time.monotonic() < end:
            name = names[(number + len(made.polls)) % len(names)] if names else ""
            began = time.perf_counter()
            await client.ask("GET", f"/v1/videos/{name}" if name else "/v1/videos")
            made.polls.append(time.perf_counter() - began)
            await asyncio.sleep(EVERY)

    async def create() -> None:
        client = _Client(server.port, made.statuses)
        while time.monotonic() < end:
            began = time.perf_counter()
            status, body = await client.ask("POST", "/v1/videos", BODY)
            made.creates.append(time.perf_counter() - began)
            if status == 200:
                names.append(json.loads(body)["id"])
            await asyncio.sleep(0.2 if status == 200 else 1.0)

    async def watch() -> None:
        while time.monotonic() < end:
            made.memory.append(resident(server.process.pid))
            await asyncio.sleep(min(1.0, seconds / 8))

    await asyncio.gather(watch(), *(create() for _ in range(CREATORS)), *(poll(i) for i in range(POLLERS)))
    return made


class _Client:
    """One kept connection."""

    def __init__(self, port: int, statuses: Counter):
        self.port, self.statuses, self.reader = port, statuses, None

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the answer; status 0 when there was none."""
        try:
            status, body = await self._ask(method, path, body)
        except (OSError, asyncio.IncompleteReadError):
            status, body, self.reader = 0, b"", None
        self.statuses[method, status] += 1
        return status, body

    async def _ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if self.reader is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        kind = "Content-Type: application/json\r\n" if body else ""
        self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{kind}"
                          f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                      if line.startswith(b"content-length:"))
        return int(head[9:12]), await self.reader.readexactly(length)


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024
