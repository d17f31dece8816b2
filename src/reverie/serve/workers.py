"""The server's workers: started, heard, and started again when they die."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import socket
import sys
import time

from reverie.serve.jobs import Store
from reverie.serve.settings import Settings

LONGEST_PAUSE = 30.0  # seconds between two starts of a worker that dies at once
LOOK_EVERY = 1.0  # seconds between looks for jobs that were lost
GRACE = 10.0  # seconds that a worker has to end


class Workers:
    """All worker processes of one server."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        self.restarts = 0
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._ready: set[str] = set()
        self._answers: dict[int, asyncio.Future] = {}
        self._numbers = itertools.count()
        self._tasks: list[asyncio.Task] = []
        self._stopping = False

    @property
    def state(self) -> str:
        """ready, loading or down, as the best of them is."""
        return "ready" if self._ready else "loading" if self._running else "down"

    def start(self) -> None:
        """Start them, and look after them until ``stop``."""
        self._tasks = [asyncio.create_task(self._keep()) for _ in range(self.settings.workers)]
        self._tasks.append(asyncio.create_task(self._look()))

    async def stop(self) -> None:
        """End them; what they were doing goes back into the queue."""
        self._stopping = True
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        done, late = await asyncio.wait(self._tasks, timeout=GRACE)
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for task in late:
            task.cancel()
        await asyncio.gather(*done, *late, return_exceptions=True)

    def wake(self) -> None:
        """Tell them that there is a job."""
        for process in self._running.values():
            self._say(process, {"wake": True})

    async def unknown_words(self, text: str, patience: float = 2.0) -> list[str] | None:
        """Words that the model never met; None while it is loading."""
        name = next(iter(self._ready), None)
        if name is None:
            return None
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            self._say(self._running[name], {"n": number, "text": text})
            return await asyncio.wait_for(answer, patience)
        except (TimeoutError, KeyError):
            return None
        finally:
            self._answers.pop(number, None)

    @staticmethod
    def _say(process: asyncio.subprocess.Process, message: dict) -> None:
        if process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _keep(self) -> None:
        """One worker, for as long as the server lives."""
        pause = 0.0
        while not self._stopping:
            name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
            began = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "reverie.serve.worker", "--data", str(self.settings.data),
                *(word for model in self.settings.models for word in ("--model", model)), "--name", name,
                "--batch", str(self.settings.batch),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env={
                    **os.environ, **({"OMP_NUM_THREADS": str(self.settings.threads)} if self.settings.threads else {})})
            self._running[name] = process
            try:
                await self._hear(name, process)
                await process.wait()
            finally:
                self._running.pop(name, None)
                self._ready.discard(name)
                if process.returncode is None:
                    process.kill()
            self.store.recover(self.settings.stall)
            self.settings.folder("workers").joinpath(name).unlink(missing_ok=True)
            if self._stopping:
                return
            self.restarts += 1
            lived = time.monotonic() - began
            pause = min(LONGEST_PAUSE, max(0.2, pause * 2)) if lived < 10 else 0.0
            print(f"reverie: a worker ended (status {process.returncode}); another is started"
                  + (f" in {pause:.1f} s" if pause else ""), file=sys.stderr, flush=True)
            await asyncio.sleep(pause)

    async def _hear(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            try:
                message = json.loads(line)
            except ValueError:
                continue  # something that a library printed
            if message.get("ready"):
                self._ready.add(name)
            future = self._answers.get(message.get("n"))
            if future is not None and not future.done():
                future.set_result(message["unknown"])

    async def _look(self) -> None:
        """Find jobs whose worker is dead (another server's too) or hangs."""
        while not self._stopping:
            for name, process in list(self._running.items()):
                if self.store.stalled(name, self.settings.stall):
                    print(f"reverie: the worker {name} hangs and is ended", file=sys.stderr, flush=True)
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
            if self.store.recover(self.settings.stall):
                self.wake()
            await asyncio.sleep(LOOK_EVERY)
