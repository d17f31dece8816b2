"""Spoilt uploads, thousands of them: does any crash the server, hang it, or get a 500?

python bench/serve_fuzz.py [--uploads 10000] [--clients 8] [--seed 0]
"""

import argparse
import base64
import io
import random
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from server import Server  # noqa: E402 - the tests' own

from reverie.core.video import VideoWriter  # noqa: E402 - as above
from reverie.evaluate import machine  # noqa: E402 - as above

EDGE = "xyzBOUNDARYxyz"


def samples(folder: Path) -> list[tuple[str, bytes]]:
    """Whole files of many formats, by kind."""
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    found = []
    for form in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"):
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, form)
        found.append(("input_reference", out.getvalue()))
    with VideoWriter(folder / "a.mp4", fps=12, size=(48, 64)) as writer:
        writer.write(np.stack([np.roll(pixels, i, 1) for i in range(8)]))
    found += [("video", (folder / "a.mp4").read_bytes())] * 5
    return found


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


def form(fields: dict[str, bytes], name: str, data: bytes, draw: random.Random) -> tuple[bytes, str]:
    """A multipart body, one in twenty of them spoilt too."""
    parts = [f'--{EDGE}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n'.encode() + value + b"\r\n"
             for key, value in fields.items()]
    parts.append(f'--{EDGE}\r\nContent-Disposition: form-data; name="{name}"; filename="../../x.bin"\r\n'
                 f"Content-Type: application/octet-stream\r\n\r\n".encode() + data + f"\r\n--{EDGE}--\r\n".encode())
    body = b"".join(parts)
    return spoil(body, draw) if draw.random() < 0.05 else body, f"multipart/form-data; boundary={EDGE}"


def attack(server: Server, files, numbers, seed: int, statuses: Counter, slow: list[float]) -> None:
    for number in numbers:
        draw = random.Random(f"{seed}-{number}")
        name, whole = draw.choice(files)
        data = spoil(whole, draw)
        path = "/v1/videos/extensions" if name == "video" else "/v1/videos"
        fields = {"prompt": b"a ball", "seconds": b"0.5", "size": b"64x64"}
        if name != "video" and draw.random() < 0.3:
            url = "data:image/png;base64," + base64.b64encode(data).decode()
            body, kind = f'{{"prompt": "a", "input_reference": {{"image_url": "{url}"}}}}'.encode(), "application/json"
        else:
            body, kind = form(fields, name, data, draw)
        request = urllib.request.Request(server.url + path, body, {"Content-Type": kind})
        began = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=200) as answer:
                statuses[answer.status] += 1
        except urllib.error.HTTPError as error:
            statuses[error.code] += 1
        except Exception as error:
            statuses[type(error).__name__] += 1
        slow.append(time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uploads", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(machine.line(machine.describe()))
    statuses, slow, began = Counter(), [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        files = samples(Path(folder))
        # A fake world: it is the reading of uploads that is tried; the queue is full soon, and what is read is refused.
        server = Server(Path(folder) / "data", "--queue", "200", fake=True).start()
        first = server.process.pid
        threads = [threading.Thread(target=attack, args=(
            server, files, range(i, args.uploads, args.clients), args.seed, statuses, slow))
            for i in range(args.clients)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(30)
            print(f"{len(slow)} uploads, {time.monotonic() - began:.0f} s: {dict(statuses)}", flush=True)
        well = server.get("/healthz")[0] == 200 and server.process.pid == first
        left = len(list((server.data / "incoming").iterdir()))
        server.stop()
    print(f"{len(slow)} uploads in {time.monotonic() - began:.0f} s; answers: {dict(statuses)}")
    print(f"slowest {max(slow):.1f} s; server well: {well}; files left over: {left}")
    bad = {key: count for key, count in statuses.items() if key not in (200, 400, 413, 422, 429)}
    sys.exit(f"unexpected: {bad}" if bad or not well else 0)


if __name__ == "__main__":
    main()
