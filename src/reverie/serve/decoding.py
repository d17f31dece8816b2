"""The process that reads what clients send: pictures and videos are decoded here, in children that may do little.

    python -m reverie.serve.decoding

It imports the codecs once and then forks a child for each piece of work, with its own limits of memory, processor time
and file size, which is killed when it takes too long: a file made to break a decoder breaks a child. A line of JSON on
standard input, {"n", "do", "source", "target", ...limits}, is answered by one on standard output, {"n", "about"} or
{"n", "error"}. It ends with its standard input. Paths are the server's own; nothing of a client's is ever in one.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from reverie.core.errors import BadMedia, ReverieError

MEMORY = 3 << 30  # bytes of address space of a child
FILE = 512 << 20  # bytes that it may write
# on the clock; of the processor's time as much
SECONDS = {"image": 15.0, "first": 15.0, "video": 90.0, "pictures": 90.0}
LONGEST_SIDE = {"image": 2048, "video": 1024}  # pixels to which what is sent is made smaller
TOO_SLOW = "it takes too long to read"


def read_picture(wanted: dict) -> dict:
    """A picture, made a plain PNG of at most 2048 pixels a side."""
    from PIL import Image

    from reverie.core.image import read_image, write_image

    _check_pixels(_picture_size(Path(wanted["source"])), wanted["pixels"])
    pixels = read_image(Path(wanted["source"]).read_bytes())
    _check_pixels((pixels.shape[1], pixels.shape[0]), wanted["pixels"])
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST_SIDE["image"],) * 2)
    import numpy as np

    write_image(wanted["target"], np.asarray(image))
    return {"width": image.width, "height": image.height}


def read_film(wanted: dict) -> dict:
    """A video, made a plain MP4 of at most 1024 pixels a side."""
    from reverie.core.video import VideoWriter, probe, stream_video

    about = probe(wanted["source"])
    _check_pixels((about["width"], about["height"]), wanted["pixels"])
    fps = about["fps"] if 1 <= about["fps"] <= 60 else min(max(about["fps"], 1.0), 60.0)
    limit = wanted["seconds"]
    if about["seconds"] > limit + 1:
        raise BadMedia(f"it is {about['seconds']:.0f} s long; at most {limit:g} s are taken")
    first = next(stream_video(wanted["source"]))  # upright: a phone's file may say otherwise of its size
    _check_pixels((first.shape[1], first.shape[0]), wanted["pixels"])
    scale = min(1.0, LONGEST_SIDE["video"] / max(first.shape[:2]))
    height, width = (max(16, round(side * scale) // 2 * 2) for side in first.shape[:2])
    most = round(limit * fps)
    with VideoWriter(wanted["target"], fps=fps, size=(height, width), crf=12) as writer:
        for frame in islice(stream_video(wanted["source"], fps=fps, size=(height, width)), most + 1):
            writer.write(frame[None])
        if writer.frames > most:
            raise BadMedia(f"it is longer than {limit:g} s; at most that is taken")
        frames = writer.frames
    return {"width": width, "height": height, "fps": fps, "frames": frames, "seconds": frames / fps}


def first_frame(wanted: dict) -> dict:
    """The first frame of a video of our own, as a PNG."""
    from reverie.core.image import write_image
    from reverie.core.video import stream_video

    write_image(wanted["target"], next(stream_video(wanted["source"])))
    return {}


def make_pictures(wanted: dict) -> dict:
    """The thumbnail and the sheet of a video of our own that came without."""
    from reverie.core.video import probe
    from reverie.serve.pictures import pictures

    source = Path(wanted["source"])
    pictures(source, Path(wanted["target"]), wanted["frames"] or probe(source)["frames"] or 1)
    return {}


DO: dict[str, Callable[[dict], dict]] = {"image": read_picture, "video": read_film, "first": first_frame,
                                         "pictures": make_pictures}


def _picture_size(path: Path) -> tuple[int, int]:
    """Width and height as the header says, before a pixel is decoded."""
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return image.size
    except Exception:
        raise BadMedia("it is no picture that can be read (PNG, JPEG, ...), or it is damaged") from None


def _check_pixels(size: tuple[int, int], most: int) -> None:
    if size[0] * size[1] > most:
        raise BadMedia(f"{size[0]}x{size[1]} is more than the {most / 1e6:g} megapixels that are taken")


@dataclass
class _Child:
    n: int
    pid: int
    pipe: int
    end: float
    said: bytes = b""


def _start(wanted: dict) -> _Child:
    """Fork a child for one piece of work."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writes)
        return _Child(wanted["n"], pid, reads, time.monotonic() + SECONDS[wanted["do"]])
    try:
        os.setsid()
        for number in (0, 1, reads):
            os.close(number)
        os.open(os.devnull, os.O_RDWR), os.open(os.devnull, os.O_RDWR)  # as 0 and 1
        os.dup2(1, 2)  # what libraries say of damaged files
        _limit(resource.RLIMIT_AS, MEMORY)
        _limit(resource.RLIMIT_CPU, int(SECONDS[wanted["do"]]))
        _limit(resource.RLIMIT_FSIZE, FILE)
        _limit(resource.RLIMIT_CORE, 0)
        said: dict = {"about": DO[wanted["do"]](wanted)}
    except ReverieError as error:
        said = {"error": str(error).replace(str(wanted["source"]), "it").replace("the picture", "it")[:300]}
    except MemoryError:
        said = {"error": "it needs too much memory to read"}
    except BaseException as error:
        said = {"error": f"it cannot be read ({type(error).__name__})"}
    os.write(writes, json.dumps(said).encode())
    os._exit(0)


def _limit(which: int, most: int) -> None:
    hard = resource.getrlimit(which)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (most, most))


def _answer(child: _Child) -> None:
    os.close(child.pipe)
    _, status = os.waitpid(child.pid, 0)
    try:
        said = json.loads(child.said)
    except ValueError:
        slow = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
        said = {"error": TOO_SLOW if slow else "it cannot be read: it breaks the decoder"}
    sys.stdout.buffer.write(json.dumps({"n": child.n, **said}).encode() + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Read work, start children, and answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from PIL import Image

    from reverie.core.video import probe

    Image.init()
    with contextlib.suppress(ReverieError):
        probe("-")  # loads the codecs once, before the forks
    os.nice(5)
    children: list[_Child] = []
    waiting = b""
    while True:
        ready, _, _ = select.select([0, *(child.pipe for child in children)], [], [], 0.25 if children else None)
        now = time.monotonic()
        for child in list(children):
            ended = False
            if child.pipe in ready:
                got = os.read(child.pipe, 1 << 16)
                child.said += got
                ended = not got
            elif now > child.end:
                os.kill(child.pid, signal.SIGKILL)
                ended = True
            if ended:
                children.remove(child)
                _answer(child)
        if 0 in ready:
            got = os.read(0, 1 << 16)
            if not got:
                break
            *lines, waiting = (waiting + got).split(b"\n")
            children += [_start(json.loads(line)) for line in lines]
    for child in children:
        os.kill(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
