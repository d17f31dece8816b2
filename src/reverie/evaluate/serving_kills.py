"""Kills at random moments under load: is any accepted job lost, done twice, or broken?"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from reverie.core.video import read_video
from reverie.evaluate.server import Server, wait_for
from reverie.serve.jobs import Store

BODY = {"prompt": "a red ball falls", "seconds": 1, "size": "64x64", "fps": 24}
FRAMES = 24
SOON = 1.5  # seconds at most before a kill: half of them since the last one, half since the worker was ready to work
PATIENCE = 600.0  # seconds in which the last job must have ended


@dataclass
class Killed:
    """What became of the accepted jobs. killed: what was, how often; lost, doubled, corrupt: jobs; given_up: failed
    with a reason, as many workers died over them; attempts: jobs by how many they took."""

    killed: Counter = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    attempts: Counter = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    corrupt: int = 0
    given_up: int = 0


def kill(server: Server, kills: int, *, most: int = 2, seed: int = 0,
         tell: Callable[[], None] = lambda: None) -> Killed:
    """Start a server, and kill it, its worker or both so many times, while up to ``most`` videos are asked for before
    each. tell: called at each kill."""
    draw, made = random.Random(seed), Killed()
    with server:
        for number in range(kills):
            for _ in range(draw.randint(0, most)):
                status, _, video = server.post("/v1/videos", {**BODY, "seed": number})
                if status == 200:
                    made.accepted.append(video["id"])
            if draw.random() < 0.5:
                server.wait_ready()
            time.sleep(draw.uniform(0, SOON))
            what = draw.choice(("server", "worker", "both"))
            made.killed[what] += 1
            if what != "server":
                server.kill_workers()
            if what != "worker":
                server.kill()
                server.start()
            tell()
        for name in made.accepted:
            _end(server, name, made)
        _count(server.data, made)
    wait_for(lambda: not server.workers())
    return made


def _end(server: Server, name: str, made: Killed) -> None:
    """Wait until a job has ended, and look at what it made."""
    video = server.finish(name, PATIENCE)
    if video["status"] != "completed":
        made.given_up += video["error"]["code"] == "worker_lost"
        made.lost += video["error"]["code"] != "worker_lost"
        return
    film = server.data.with_suffix(".mp4")
    film.write_bytes(server.get(f"/v1/videos/{name}/content")[2])
    try:
        made.corrupt += len(read_video(film)[0]) != FRAMES
    except Exception:
        made.corrupt += 1


def _count(data: Path, made: Killed) -> None:
    """Compare what was accepted with the table, with what was told of it, and with the folders of results."""
    store = Store(data)
    rows = {row["id"]: row["attempts"] for row in store._db.execute("SELECT id, attempts FROM jobs")}
    told = Counter(row[0] for row in store._db.execute("SELECT job FROM events"))
    store.close()
    folders = Counter(path.name.rpartition("-")[0] for path in (data / "results").iterdir())
    made.attempts.update(rows.values())
    made.lost += sum(name not in rows or name not in told for name in made.accepted)
    made.doubled += sum(count > 1 for count in (*told.values(), *folders.values()))
