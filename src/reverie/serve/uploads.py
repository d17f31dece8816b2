"""What clients send: bodies as plain fields, and files that are decoded elsewhere before anything is believed."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import itertools
import json
import os
import re
import secrets
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from reverie.serve.answers import Wrong, bad
from reverie.serve.settings import Settings

MAX_FIELDS, MAX_FIELD = 100, 1 << 20  # of a form; bytes of one that is no file
MAX_DEPTH = 8  # of a form's keys: a[b][c]
LARGE, LARGE_AT_ONCE = 1 << 20, 4  # bytes of a JSON body; how many such are read at once
AT_ONCE = 2  # pieces of work that the decoder has in hand
PATIENCE = 120.0  # seconds in which the decoder's process must answer; it ends its children sooner
_large = asyncio.Semaphore(LARGE_AT_ONCE)
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[\w.+-]+)*;base64,", re.ASCII)


async def read_body(request: Request) -> dict[str, Any]:
    """The fields of a JSON object or a form; a form's keys ``a[b]`` become {"a": {"b": ...}}. Raises Wrong."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        form = await request.form(max_files=MAX_FIELDS, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD)
        return nested(list(form.multi_items()))
    if kind not in ("application/json", ""):
        raise bad(f"the body is {kind[:80]}: send JSON or multipart/form-data", code="unsupported_media_type")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) < LARGE:
        body = _loads(await request.body())
    else:  # a picture in it: not many of them in memory at once, and the loop goes on meanwhile
        async with _large:
            try:
                text = await asyncio.wait_for(request.body(), PATIENCE)
            except TimeoutError:
                raise Wrong(408, "the body does not come", code="timeout") from None
            body = await asyncio.to_thread(_loads, text)
    if not isinstance(body, dict):
        raise bad("the body is not a JSON object", code="invalid_json")
    return body


def _loads(text: bytes) -> Any:
    if not text.strip():
        return {}
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise bad("the body is no valid JSON", code="invalid_json") from None


def nested(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """A form's pairs as one dict. Raises Wrong for keys that contradict each other."""
    fields: dict[str, Any] = {}
    for key, value in items:
        match = _KEY.fullmatch(key)
        if match is None:
            raise bad(f"the field {key[:80]!r} has no name that can be read", key[:80])
        names = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        many = len(names) > 1 and names[-1] == ""
        *path, last = names[:-1] if many else names
        place: Any = fields
        for name in path:
            place = place.setdefault(name, {}) if isinstance(place, dict) else None
        if not isinstance(place, dict) or "" in names[:-1] or len(names) > MAX_DEPTH:
            raise bad(f"the field {key[:80]!r} does not fit the others", key[:80])
        if not many:
            place[last] = value
        elif isinstance(place.setdefault(last, []), list):
            place[last].append(value)
        else:
            raise bad(f"the field {key[:80]!r} does not fit the others", key[:80])
    return fields


@dataclass(frozen=True)
class Kept:
    """A picture or video of a client's, decoded and written anew. name: of its file in the uploads folder."""

    name: str
    about: dict[str, Any]


class Decoder:
    """The process of decoding.py, and its answers."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: dict[int, asyncio.Future] = {}
        self._numbers = itertools.count()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._reader: asyncio.Task | None = None

    async def take(self, given: UploadFile | bytes, kind: str, param: str) -> Kept:
        """Keep a picture ("image") or a "video". Raises Wrong when it can't be read, or is too large."""
        name = secrets.token_hex(16)
        source = self.settings.folder("incoming") / name
        target = source.with_suffix(".png" if kind == "image" else ".mp4")
        try:
            await asyncio.to_thread(_spool, given if isinstance(given, bytes) else given.file, source)
            if source.stat().st_size == 0:
                raise bad(f"{param} is empty", param)
            about = await self.work(kind, source, target, param=param)
            place = self.settings.folder("uploads") / target.name
            os.replace(target, place)
            return Kept(place.name, about)
        finally:
            source.unlink(missing_ok=True)
            target.unlink(missing_ok=True)

    async def work(self, do: str, source: Path, target: Path, *, param: str | None = None, frames: int = 0) -> dict:
        """Have something decoded. Raises Wrong (400) where that cannot be."""
        async with self._places:
            said = None
            for _ in range(2):  # once more, if the process of all the children was killed
                said = await self._ask({
                    "do": do, "source": str(source), "target": str(target), "frames": frames,
                    "pixels": self.settings.upload_pixels, "seconds": self.settings.upload_seconds})
                if said is not None:
                    break
        if said is None:
            raise Wrong(503, "what was sent cannot be looked at just now: try again", code="unavailable",
                        headers={"Retry-After": "2"})
        if "error" in said:
            raise bad(f"{param or 'the file'}: {said['error']}", param, "invalid_media")
        return said["about"]

    async def close(self) -> None:
        """End the process."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._reader is not None:
            await self._reader

    async def _ask(self, wanted: dict) -> dict | None:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "reverie.serve.decoding", stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
            self._reader = asyncio.create_task(self._read(self._process))
        assert self._process.stdin is not None
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._process.stdin.write(json.dumps({"n": number, **wanted}).encode() + b"\n")
            await self._process.stdin.drain()
            return await asyncio.wait_for(answer, PATIENCE)
        except (ConnectionError, RuntimeError, TimeoutError):
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            return None
        finally:
            self._waiting.pop(number, None)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            said = json.loads(line)
            future = self._waiting.get(said["n"])
            if future is not None and not future.done():
                future.set_result(said)
        await process.wait()
        for future in self._waiting.values():
            if not future.done():
                future.set_result(None)


def data_url(text: str, most: int, param: str) -> bytes:
    """The bytes of a base64 data: URL. Raises Wrong."""
    match = _DATA.match(text)
    if match is None:
        raise bad(f"{param}: this data: URL holds no base64", param)
    if (len(text) - match.end()) * 3 // 4 > most:
        raise Wrong(413, f"{param} is larger than the {most >> 20} MB that are taken", param=param, code="too_large")
    try:
        return base64.b64decode(text[match.end():], validate=True)
    except (binascii.Error, ValueError):
        raise bad(f"{param}: this data: URL holds no valid base64", param) from None


def _spool(given: bytes | IO[bytes], path: Path) -> None:
    with open(path, "wb") as file:
        if isinstance(given, bytes):
            file.write(given)
        else:
            given.seek(0)
            shutil.copyfileobj(given, file, 1 << 20)
