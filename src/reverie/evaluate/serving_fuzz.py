"""Spoilt uploads, thousands of them: does any crash the server, hang it, or get a 500?"""

from __future__ import annotations

import base64
import io
import random
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from reverie.core.video import VideoWriter
from reverie.evaluate.server import Server

CLIENTS = 8
HANG = 60.0  # seconds without an answer
GOOD = (200, 400, 413, 422, 429)
EDGE = "xyzBOUNDARYxyz"


@dataclass
class Fuzzed:
    """What the uploads did. answers: by status, or by what happened instead; slowest: seconds of one; crashes: of the
    server; left: files that nobody needs and that are there still."""

    answers: Counter = field(default_factory=Counter)
    slowest: float = 0.0
    crashes: int = 0
    left: int = 0

    @property
    def refused(self) -> int:
        """Answers of 500 and above."""
        return sum(count for status, count in self.answers.items() if isinstance(status, int) and status >= 500)

    @property
    def hangs(self) -> int:
        """Uploads without any answer in time, or with one that is none of these."""
        return sum(count for status, count in self.answers.items() if status not in GOOD) - self.refused


def fuzz(server: Server, uploads: int, *, seed: int = 0, tell: Callable[[], None] = lambda: None) -> Fuzzed:
    """Start it and send so many; what can be read after all becomes a job. tell: called after each."""
    made, lock, files = Fuzzed(), threading.Lock(), whole_files(server.data.parent)

    def attack(first: int) -> None:
        for number in range(first, uploads, CLIENTS):
            draw = random.Random(f"{seed}-{number}")
            began = time.monotonic()
            status = send(server.url, *upload(draw, files))
            with lock:
                made.answers[status] += 1
                made.slowest = max(made.slowest, time.monotonic() - began)
                tell()

    with server:
        threads = [threading.Thread(target=attack, args=(first,)) for first in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        made.crashes = int(server.process.poll() is not None or server.get("/healthz")[0] != 200)
        made.left = len(list((server.data / "incoming").iterdir()))
    return made


def whole_files(folder: Path) -> list[tuple[str, bytes]]:
    """Files of many formats, by the name of their field."""
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    found = []
    for form in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"):
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, form)
        found.append(("input_reference", out.getvalue()))
    with VideoWriter(folder / "whole.mp4", fps=12, size=(48, 64)) as writer:
        writer.write(np.stack([np.roll(pixels, i, 1) for i in range(8)]))
    return found + [("video", (folder / "whole.mp4").read_bytes())] * 5


def upload(draw: random.Random, files: list[tuple[str, bytes]]) -> tuple[str, bytes, str]:
    """One spoilt upload: path, body and its type."""
    name, whole = draw.choice(files)
    data = spoil(whole, draw)
    path = "/v1/videos/extensions" if name == "video" else "/v1/videos"
    if name != "video" and draw.random() < 0.3:
        url = "data:image/png;base64," + base64.b64encode(data).decode()
        return path, f'{{"prompt": "a", "input_reference": {{"image_url": "{url}"}}}}'.encode(), "application/json"
    fields = {"prompt": b"a ball", "seconds": b"0.5", "size": b"64x64"}
    return path, form(fields, name, data, draw), f"multipart/form-data; boundary={EDGE}"


def spoil(data: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, removed, doubled, or the end cut off."""
    spoilt = bytearray(data)
    for _ in range(draw.choice((1, 2, 5, 20, 100))):
        at = draw.randrange(len(spoilt))
        how = draw.randrange(5)
        if how == 0:
            spoilt[at] = draw.randrange(256)
        elif how == 1:
            spoilt[at : at + 4] = draw.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0"))
        elif how == 2:
            del spoilt[at : at + draw.randrange(1, 64)]
        elif how == 3:
            spoilt[at:at] = spoilt[at : at + draw.randrange(1, 64)]
        elif draw.random() < 0.2:
            del spoilt[at:]
        if not spoilt:
            return b"\0"
    return bytes(spoilt)


def form(fields: dict[str, bytes], name: str, data: bytes, draw: random.Random) -> bytes:
    """A multipart body, one in twenty of them spoilt too."""
    parts = [f'--{EDGE}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n'.encode() + value + b"\r\n"
             for key, value in fields.items()]
    parts.append(f'--{EDGE}\r\nContent-Disposition: form-data; name="{name}"; filename="../../x.bin"\r\n'
                 f"Content-Type: application/octet-stream\r\n\r\n".encode() + data + f"\r\n--{EDGE}--\r\n".encode())
    body = b"".join(parts)
    return spoil(body, draw) if draw.random() < 0.05 else body


def send(url: str, path: str, body: bytes, kind: str) -> int | str:
    """The answer's status, or the name of what came instead of one."""
    request = urllib.request.Request(url + path, body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=HANG) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except Exception as error:
        return type(error).__name__
