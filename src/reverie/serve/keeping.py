"""What is kept and for how long: old videos, files that nobody needs, and the room they may take."""

from __future__ import annotations

import asyncio
import shutil
import time

from reverie.serve.jobs import Store
from reverie.serve.settings import Settings

EVERY = 60.0  # seconds
YOUNG = 600.0  # seconds: a younger file may belong to a request or a job that is just coming to be


def sweep(settings: Settings, store: Store) -> None:
    """Forget jobs whose time is over, then the oldest ones until the rest fits, then files of no job."""
    now = time.time()
    for job, _ in store.finished(now - settings.keep_hours * 3600):
        store.forget(job)
    left = store.finished()
    used = sum(size for _, size in left)
    for job, size in left:
        if used <= settings.disk_bytes:
            break
        store.forget(job)
        used -= size
    store.drop_events(now - max(settings.keep_hours, 24) * 3600)
    folders, uploads = store.names()
    for name, needed in (("work", folders), ("results", folders), ("uploads", uploads), ("incoming", set())):
        for path in settings.folder(name).iterdir():
            try:
                if path.name in needed or now - path.stat().st_mtime < YOUNG:
                    continue
            except FileNotFoundError:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


async def keep(settings: Settings) -> None:
    """Sweep now and then, until cancelled; in a thread with a connection of its own."""
    def once() -> None:
        store = Store(settings.data)
        try:
            sweep(settings, store)
        finally:
            store.close()

    while True:
        await asyncio.to_thread(once)
        await asyncio.sleep(EVERY)
