"""Jobs: one SQLite table that servers and workers share, so that a job outlives every process.

A job is queued, in_progress, then completed or failed. A worker takes one with a single UPDATE, which counts an
attempt; from then on each of its own updates names worker and attempt, so that whoever lost a job (deleted, or given to
another) is told so by a row count of 0 and can spoil nothing. What it makes lies in a folder of that attempt's name,
which is moved whole to its place before the row says completed.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import shutil
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reverie.core.errors import ReverieError

VIDEO_KINDS = ("generate", "extend", "edit", "remix", "future", "drive")
EVENT_SECONDS = 86400.0  # after which nobody is told of an event any more
MAX_ATTEMPTS = 5  # a job that takes its worker down with it must end some time
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, kind TEXT NOT NULL,
    status TEXT NOT NULL, priority INTEGER NOT NULL, spec TEXT NOT NULL, grp TEXT, source TEXT,
    frames INTEGER NOT NULL, frames_done INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL, started REAL, completed REAL, worker TEXT, beat REAL, attempts INTEGER NOT NULL DEFAULT 0,
    result TEXT, bytes INTEGER NOT NULL DEFAULT 0, code TEXT, error TEXT, facts TEXT NOT NULL DEFAULT '{{}}');
CREATE INDEX IF NOT EXISTS jobs_waiting ON jobs (status, priority DESC, seq);
CREATE INDEX IF NOT EXISTS jobs_page ON jobs (tenant, seq);
CREATE INDEX IF NOT EXISTS jobs_source ON jobs (source);
CREATE TABLE IF NOT EXISTS events (
    id TEXT PRIMARY KEY, job TEXT NOT NULL, type TEXT NOT NULL, created REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL DEFAULT 0, sent REAL);
CREATE TRIGGER IF NOT EXISTS job_ended AFTER UPDATE OF status ON jobs
WHEN NEW.status IN ('completed', 'failed') AND OLD.status <> NEW.status AND NEW.kind IN {VIDEO_KINDS}
BEGIN
    INSERT INTO events (id, job, type, created)
    VALUES ('evt_' || lower(hex(randomblob(16))), NEW.id, 'video.' || NEW.status, NEW.completed);
END;
"""


_ALIKE = ("$.model')", "$.size')", "$.fps')", "$.steps')", "$.guidance')", "$.things')", "$.loop')",
          "$.image') IS NULL", "$.upload') IS NULL")
_BESIDE = f" AND attempts = 0 AND kind IN {VIDEO_KINDS}" + "".join(  # what can be stepped in one pass
    f" AND (json_extract(spec, '{what}) IS (json_extract(?, '{what})" for what in _ALIKE)


class QueueFull(ReverieError):
    """As many jobs wait as may."""


@dataclass(frozen=True)
class Job:
    """One row. Times are seconds since 1970; frames: how many the result has (0 where it is no video)."""

    seq: int
    id: str
    tenant: str
    kind: str
    status: str
    priority: int
    spec: dict[str, Any]
    group: str | None
    source: str | None
    frames: int
    frames_done: int
    created: float
    started: float | None
    completed: float | None
    worker: str | None
    attempts: int
    result: str | None
    code: str | None
    error: str | None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The name of this attempt's folder, in work and then in results."""
        return f"{self.id}-{self.attempts}"


@dataclass(frozen=True)
class New:
    """A job that is asked for."""

    kind: str
    spec: dict[str, Any]
    frames: int = 0
    priority: int = 0
    group: str | None = None
    source: str | None = None
    id: str = ""


def new_id(prefix: str) -> str:
    """A name that nobody can guess: video_ and 32 hexadecimal digits."""
    return f"{prefix}_{secrets.token_hex(16)}"


class Store:
    """The jobs of one data folder. Each process (and thread) opens its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._db = sqlite3.connect(data / "jobs.sqlite3", timeout=30.0, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")  # every kill is survived; power cuts lose a moment
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # -- for who asks -------------------------------------------------------------------------------------

    def add(self, tenant: str, wanted: Sequence[New], limit: int) -> list[Job]:
        """Accept all of these jobs, or none. Raises QueueFull when more than ``limit`` would wait."""
        ids = [new.id or new_id("video") for new in wanted]
        now = time.time()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            (waiting,) = self._db.execute("SELECT count(*) FROM jobs WHERE status = 'queued'").fetchone()
            if waiting + len(wanted) > limit:
                raise QueueFull(f"{waiting} jobs are waiting already, of at most {limit}: try again later")
            self._db.executemany(
                "INSERT INTO jobs (id, tenant, kind, status, priority, spec, grp, source, frames, created) "
                "VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?)",
                [(name, tenant, new.kind, new.priority, json.dumps(new.spec), new.group, new.source, new.frames, now)
                 for name, new in zip(ids, wanted, strict=True)])
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        found = {job.id: job for job in self._jobs(f"id IN ({','.join('?' * len(ids))})", *ids)}
        return [found[name] for name in ids]

    def adopt(self, tenant: str, *, kind: str, prompt: str, seconds: float, size: str, fps: float, seed: int,
              files: Mapping[str, Path]) -> Job:
        """A video that was made elsewhere becomes a completed job; its files are moved. From any thread."""
        width, height = size.split("x")
        spec = {"prompt": prompt, "seconds": seconds, "size": [int(height), int(width)], "fps": fps, "seed": seed}
        name, now = new_id("video"), time.time()
        place = self.data / "results" / f"{name}-0"
        place.mkdir(mode=0o700)
        for inner, path in files.items():
            shutil.move(path, place / inner)
        total = sum(path.stat().st_size for path in place.iterdir())
        own = Store(self.data)
        try:
            own._db.execute(
                "INSERT INTO jobs (id, tenant, kind, status, priority, spec, frames, frames_done, created, started, "
                "completed, result, bytes) VALUES (?, ?, ?, 'completed', 0, ?, ?, ?, ?, ?, ?, ?, ?)",
                (name, tenant, kind, json.dumps(spec), *[round(seconds * fps)] * 2, now, now, now, place.name, total))
            return own._jobs("id = ?", name)[0]
        finally:
            own.close()

    def get(self, tenant: str, name: str) -> Job | None:
        """The job of that name, if it is this tenant's."""
        found = self._jobs("id = ? AND tenant = ?", name, tenant)
        return found[0] if found else None

    def page(self, tenant: str, kinds: Sequence[str], *, limit: int, after: str | None = None,
             newest_first: bool = True, group: str | None = None) -> tuple[list[Job], bool]:
        """At most ``limit`` jobs in the order they were accepted, and whether there are more. An ``after`` that is
        gone ends the list."""
        where, values = [f"kind IN ({','.join('?' * len(kinds))})", "tenant = ?"], [*kinds, tenant]
        if group is not None:
            where.append("grp = ?")
            values.append(group)
        if after is not None:
            where.append(f"seq {'<' if newest_first else '>'} (SELECT seq FROM jobs WHERE id = ? AND tenant = ?)")
            values += [after, tenant]
        order = f"ORDER BY seq {'DESC' if newest_first else 'ASC'} LIMIT {int(limit) + 1}"
        found = self._jobs(f"{' AND '.join(where)} {order}", *values)
        return found[:limit], len(found) > limit

    def delete(self, tenant: str, name: str) -> Job | None:
        """Forget a job, with what was made from looking at it; a worker that has it will find out."""
        job = self.get(tenant, name)
        if job is None:
            return None
        gone = self._jobs("kind = 'audit' AND source = ?", name) + [job]
        for one in gone:
            self._db.execute("DELETE FROM jobs WHERE id = ?", (one.id,))
            self.remove_files(one)
        return job

    def result(self, job: Job, name: str) -> Path | None:
        """A file of a completed job, if it is (still) there."""
        if job.status != "completed" or not job.result:
            return None
        path = self.data / "results" / job.result / name
        return path if path.is_file() else None

    def before(self, job: Job) -> int:
        """How many jobs will be taken before this one."""
        return self._db.execute(
            "SELECT count(*) FROM jobs WHERE status = 'queued' AND (priority > ? OR (priority = ? AND seq < ?))",
            (job.priority, job.priority, job.seq)).fetchone()[0]

    def counts(self) -> dict[str, int]:
        """Jobs by status."""
        rows = self._db.execute("SELECT status, count(*) FROM jobs GROUP BY status").fetchall()
        return {"queued": 0, "in_progress": 0, "completed": 0, "failed": 0} | {row[0]: row[1] for row in rows}

    def named(self, tenant: str, kind: str) -> list[Job]:
        """All of a tenant's jobs of a kind, newest first."""
        return self._jobs("tenant = ? AND kind = ? ORDER BY seq DESC", tenant, kind)

    def of_source(self, kind: str, source: str) -> Job | None:
        """The newest job of a kind that was made from ``source``."""
        found = self._jobs("source = ? AND kind = ? ORDER BY seq DESC LIMIT 1", source, kind)
        return found[0] if found else None

    # -- for workers --------------------------------------------------------------------------------------

    def claim(self, worker: str, beside: Job | None = None) -> Job | None:
        """Take the next job, for this worker alone. beside: only if that one is a video that can be made together with
        this one; what was tried before is made alone, for it may be what its worker died of."""
        if self._db.execute("SELECT 1 FROM jobs WHERE status = 'queued' LIMIT 1").fetchone() is None:
            return None  # without the lock for writing, which a worker of low priority might hold for long
        only = "" if beside is None else _BESIDE
        values = [] if beside is None else [json.dumps(beside.spec)] * only.count("?")
        rows = self._db.execute(
            "UPDATE jobs SET status = 'in_progress', worker = ?, beat = ?, started = ?, frames_done = 0, "
            "attempts = attempts + 1 WHERE seq = (SELECT seq FROM jobs WHERE status = 'queued' "
            f"ORDER BY priority DESC, seq LIMIT 1){only} RETURNING *",
            (worker, time.time(), time.time(), *values)).fetchall()
        return _job(rows[0]) if rows else None

    def progress(self, job: Job, frames_done: int) -> bool:
        """Say how far it is; False when the job is this worker's no longer."""
        return self._mine(job, "frames_done = ?, beat = ?", frames_done, time.time())

    def finish(self, job: Job, size: int, facts: dict) -> bool:
        """It is completed, and its folder is in its place."""
        return self._mine(job, "status = 'completed', result = ?, bytes = ?, facts = ?, frames_done = frames, "
                               "completed = ?", job.folder, size, json.dumps(facts), time.time())

    def fail(self, job: Job, code: str, message: str) -> bool:
        """It cannot be done, and why."""
        return self._mine(job, "status = 'failed', code = ?, error = ?, completed = ?",
                          code, message[:1000], time.time())

    def give_back(self, job: Job) -> bool:
        """Not this worker's fault, nor the job's: it waits again, and this attempt does not count."""
        return self._mine(job, "status = 'queued', worker = NULL, frames_done = 0, attempts = attempts - 1")

    def _mine(self, job: Job, change: str, *values: Any) -> bool:
        done = self._db.execute(f"UPDATE jobs SET {change} WHERE id = ? AND worker = ? AND attempts = ? "
                                "AND status = 'in_progress'", (*values, job.id, job.worker, job.attempts))
        return done.rowcount == 1

    # -- for whoever looks after workers ------------------------------------------------------------------

    def recover(self, stall: float) -> list[str]:
        """Put back the jobs of workers that are dead, or that made no frame for ``stall`` seconds; their names.

        What such an attempt left on the disk goes, a result that it had no time to say included."""
        late = time.time() - stall
        running = self._db.execute("SELECT * FROM jobs WHERE status = 'in_progress'").fetchall()
        lost = [row for row in running if row["beat"] < late or not alive(self.data, row["worker"])]
        for row in lost:
            ends = row["attempts"] >= MAX_ATTEMPTS
            taken = self._db.execute(
                "UPDATE jobs SET status = ?, worker = NULL, frames_done = 0, code = ?, error = ?, completed = ? "
                "WHERE id = ? AND worker = ? AND attempts = ? AND status = 'in_progress'",
                ("failed" if ends else "queued", "worker_lost" if ends else None,
                 f"its worker died {MAX_ATTEMPTS} times while it worked on this" if ends else None,
                 time.time() if ends else None, row["id"], row["worker"], row["attempts"]))
            if taken.rowcount == 1:
                for folder in ("work", "results"):
                    shutil.rmtree(self.data / folder / _job(row).folder, ignore_errors=True)
        return [row["id"] for row in lost]

    def stalled(self, worker: str, stall: float) -> bool:
        """Whether this worker has a job and made no frame of it for so long."""
        return self._db.execute("SELECT 1 FROM jobs WHERE status = 'in_progress' AND worker = ? AND beat < ?",
                                (worker, time.time() - stall)).fetchone() is not None

    def finished(self, before: float | None = None) -> list[tuple[Job, int]]:
        """Completed jobs that still have files, oldest first, with their bytes."""
        rows = self._db.execute("SELECT * FROM jobs WHERE status IN ('completed', 'failed') AND completed < ? "
                                "ORDER BY completed", (before or float("inf"),)).fetchall()
        return [(_job(row), row["bytes"]) for row in rows]

    def used_bytes(self) -> int:
        """What results take on the disk."""
        return self._db.execute("SELECT coalesce(sum(bytes), 0) FROM jobs").fetchone()[0]

    def forget(self, job: Job) -> None:
        """Remove a job that has ended, and its files."""
        self.delete(job.tenant, job.id)

    def names(self) -> tuple[set[str], set[str]]:
        """The folders in use, and the uploads in use."""
        folders, uploads = set(), set()
        for row in self._db.execute("SELECT id, status, attempts, result, spec FROM jobs"):
            if row["status"] == "in_progress":
                folders.add(f"{row['id']}-{row['attempts']}")
            if row["status"] in ("queued", "in_progress"):
                folders.add(row["id"])  # its finished pieces
            if row["result"]:
                folders.add(row["result"])
            uploads |= {value for key, value in json.loads(row["spec"]).items() if key in ("image", "upload") and value}
        return folders, uploads

    def remove_files(self, job: Job) -> None:
        """What a job that has ended left on the disk, but its uploads, which others may share."""
        if job.result:
            shutil.rmtree(self.data / "results" / job.result, ignore_errors=True)

    # -- events -------------------------------------------------------------------------------------------

    def due_event(self, now: float, hold: float) -> sqlite3.Row | None:
        """The next event to be sent, held for ``hold`` seconds so that nobody else sends it meanwhile."""
        rows = self._db.execute(
            "UPDATE events SET due = ?, tries = tries + 1 WHERE id = (SELECT id FROM events WHERE sent IS NULL "
            "AND due <= ? AND created > ? ORDER BY created LIMIT 1) RETURNING *",
            (now + hold, now, now - EVENT_SECONDS)).fetchall()
        return rows[0] if rows else None

    def event_later(self, name: str, due: float) -> None:
        """It was not taken: the next try is due then."""
        self._db.execute("UPDATE events SET due = ? WHERE id = ?", (due, name))

    def event_sent(self, name: str) -> None:
        """It has arrived, or nobody will try again."""
        self._db.execute("UPDATE events SET sent = ? WHERE id = ?", (time.time(), name))

    def drop_events(self, before: float) -> None:
        """Forget old ones."""
        self._db.execute("DELETE FROM events WHERE created < ?", (before,))

    def _jobs(self, where: str, *values: Any) -> list[Job]:
        return [_job(row) for row in self._db.execute(f"SELECT * FROM jobs WHERE {where}", values).fetchall()]


def _job(row: sqlite3.Row) -> Job:
    values = {name: row[name] for name in row.keys() if name not in ("grp", "beat", "bytes")}  # noqa: SIM118 - a Row
    values["spec"], values["facts"] = json.loads(values["spec"]), json.loads(values["facts"])
    return Job(**values, group=row["grp"])


def hold_name(data: Path, worker: str):
    """The lock by which others see that this worker lives; it is held until the file is closed or the process ends."""
    file = open(data / "workers" / worker, "w")  # noqa: SIM115 - held for life
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def alive(data: Path, worker: str | None) -> bool:
    """Whether the worker of that name still holds its lock."""
    try:
        with open(data / "workers" / str(worker)) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False
