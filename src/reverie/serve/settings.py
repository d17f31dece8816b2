"""What a server is told when it starts, and where it keeps things."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from reverie.core.errors import BadInput

MAX_SECONDS = 60.0  # of new video in one job


@dataclass(frozen=True)
class Settings:
    """One server. Folders under ``data`` are made when they are missing.

    keys: SHA-256 digests of the API keys, none for a server without. hosts: names it may be called by besides its
    own. cors: origins of other pages that may use it. queue: jobs that may wait. keep_hours: how long a finished video
    is kept. disk_bytes: how much finished videos may take; over that the oldest go. upload_bytes, upload_pixels,
    upload_seconds: of one upload. max_pixels: of one frame that is made. rate: requests a minute and key, 0 for no
    limit. model: what answers where no other is asked for; others: that a request may ask for. stall: seconds without a
    sign of life after which a job is taken from its worker. workers: processes that generate; threads: of each, 0 for
    as many as there are cores. batch: jobs that a worker makes at once, 0 for what suits its device.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8000
    model: str = "base"
    others: tuple[str, ...] = ()
    keys: tuple[bytes, ...] = ()
    hosts: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()
    webhook_url: str = ""
    webhook_secret: str = ""
    allow_image_urls: bool = False
    queue: int = 100
    keep_hours: float = 168.0
    disk_bytes: int = 10 << 30
    upload_bytes: int = 64 << 20
    upload_pixels: int = 25_000_000
    upload_seconds: float = 120.0
    max_pixels: int = 512 * 512
    rate: int = 6000
    stall: float = 300.0
    workers: int = 1
    threads: int = 0
    batch: int = 0

    @property
    def models(self) -> tuple[str, ...]:
        """All that are served, each once, the first the one that answers where no other is asked for."""
        return tuple(dict.fromkeys((self.model, *self.others)))

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def database(self) -> Path:
        """The file of jobs."""
        return self.data / "jobs.sqlite3"

    def folder(self, name: str) -> Path:
        """One of the data folder's own: incoming, uploads, work, results, workers."""
        return self.data / name

    def make_folders(self) -> None:
        """Make the data folder, readable by its owner alone. Raises BadInput where that cannot be."""
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            for name in ("incoming", "uploads", "work", "results", "workers"):
                self.folder(name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise BadInput(f"cannot keep data in {self.data}: {error.strerror or error}") from None
        if not os.access(self.data, os.W_OK | os.X_OK):
            raise BadInput(f"cannot keep data in {self.data}: no permission")
