"""Suite ``speed``: a minute of video, and four futures of the road, from the command line, as a user would wait."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import torch

from reverie.core.clip import Line
from reverie.core.errors import BadInput, ReverieError
from reverie.core.runtime import cores, peak_memory_bytes
from reverie.core.video import VideoWriter
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.evaluate import machine
from reverie.evaluate.dreams import imagined
from reverie.evaluate.figures import figure
from reverie.evaluate.study import PACKAGE, SEED, Study
from reverie.evaluate.traffic import traces
from reverie.generation import generate
from reverie.model.beside import Drawers
from reverie.model.canvas import Canvas
from reverie.model.rollout import Rollout
from reverie.model.tokenizer import Decoder
from reverie.world import World

F = FRAMES_PER_LATENT
PROMPT = "a red ball rolls behind a wall and a blue box falls"
SECONDS = 60.0
SIZES = {128: 20, 256: 60}  # pixels along each side of a video; the seconds that a minute of it may take
PAST = 3.0  # seconds of the road that futures go on from
DECODED, FRAME = 256, "<= 12"  # pixels along each side of frames, and the goal in milliseconds of each
WARM, LATENTS = 8, 48  # latents that are decoded before those that count
PARTS = ("load", "text", "things", "views", "decoder", "file")


def measure(study: Study) -> list[dict]:
    """At each of SIZES wall seconds (the median of n runs) and peak memory of ``reverie generate`` for a minute, model
    load and file included, all its processes together; the same of ``reverie futures`` with what it makes if it is not
    told otherwise, of a past of the road; how busy others kept the machine, for such a time means nothing on a busy
    one; and where the time goes in one process, measured once within this one, at the model's own size; and what a
    frame takes on all cores, decoded from latents and drawn from things."""
    if isinstance(study.model, World):
        raise BadInput("the speed suite runs the command line: give a model by name or folder")
    others, figures = machine.busy(), []
    past = traces(study, 1, PAST)[0]
    with tempfile.TemporaryDirectory() as folder, study.track(len(SIZES) * study.n + 2, "runs") as bar:
        out = Path(folder) / "out.mp4"
        command = [sys.executable, "-m", "reverie", "generate", PROMPT, "--seconds", f"{SECONDS:g}", "-o", str(out)]
        for side, goal in SIZES.items():
            runs = []
            for _ in range(study.n):
                runs.append(timed_command([*command, "--size", f"{side}x{side}", "--model", str(study.model)]))
                bar.advance()
            wall, peak = statistics.median(r[0] for r in runs), max(r[1] for r in runs)
            figures += [figure(f"wall_seconds_{side}", wall, "s", f"<= {goal}", len(runs)),
                        figure(f"peak_memory_{side}", peak / 2**30, "GB", "< 2", len(runs))]
        wall, peak = timed_command([sys.executable, "-m", "reverie", "futures", str(past), "--count", "4", "--seconds",
                                    "10", "--model", str(study.model), "-o", str(Path(folder) / "futures")])
        figures += [figure("wall_seconds_four_futures_of_ten_seconds_four_cameras", wall, "s", None, 1),
                    figure("peak_memory_futures", peak / 2**30, "GB", None, 1)]
        bar.advance()
        parts, decoding = split(study.model, SECONDS, out), decoded(World.load(study.model, device="cpu"))
        bar.advance()
    frames = parts.pop("frames")
    figures.append(figure("cores_busy_with_other_work", others, "cores", "<= 0.25", 1))
    figures += [figure(f"{name}_seconds", parts[name], "s", None, 1) for name in PARTS]
    figures += [figure(f"{name}_milliseconds_a_frame_{DECODED}", took, "ms", FRAME, 1)
                for name, took in decoding.items()]
    figures.append(figure("frames_per_second", frames / sum(parts.values()), "fps", None, 1))
    return figures


def timed_command(command: list[str]) -> tuple[float, int]:
    """(wall seconds, peak resident bytes) of a command, with the processes that it starts itself; what they have mapped
    from files is counted once. Raises ReverieError when it fails."""
    paths = [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}
    began, peak = time.perf_counter(), 0
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    # rusage would count what this process held when it forked
    while True:
        try:
            _, said = child.communicate(timeout=0.05)
            break
        except subprocess.TimeoutExpired:
            held = [_held(pid) for pid in (child.pid, *_started_by(child.pid))]
            peak = max(peak, sum(own for own, _ in held) + max(mapped for _, mapped in held))
    wall = time.perf_counter() - began
    if child.returncode != 0:
        raise ReverieError(f"{' '.join(command[1:4])} failed: {(said.strip().splitlines() or ['no message'])[-1]}")
    return wall, peak or peak_memory_bytes(children=True)


def _started_by(pid: int) -> list[int]:
    """The processes that one has started, where the system says so."""
    try:
        return [int(other) for path in Path(f"/proc/{pid}/task").glob("*/children") for other in
                path.read_text().split()]
    except (OSError, ValueError):
        return []


def _held(pid: int) -> tuple[int, int]:
    """Bytes that a process holds of its own, and mapped from files; 0 where the system does not say."""
    try:
        rows = dict(row.split(":", 1) for row in Path(f"/proc/{pid}/status").read_text().splitlines())
        own, mapped = (int(rows[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))
    except (OSError, KeyError, ValueError):
        return 0, 0  # it has ended, or this system has no /proc
    return own, mapped


def split(model: str | Path | World, seconds: float, out: Path) -> dict[str, float]:
    """Of making one video: seconds in each of PARTS and in the rest ("rest"), and its number of "frames"."""
    spent: dict[str, float] = defaultdict(float)
    began = time.perf_counter()
    with ExitStack() as stack:
        for owner, method, part in ((World, "load", "load"), (World, "_encode_text", "text"), (Rollout, "_imagine",
                                    "things"), (Rollout, "_paint", "views"), (Canvas, "forward", "views"), (Decoder,
                                    "forward", "decoder"), (VideoWriter, "write", "file"), (VideoWriter, "close",
                                    "file")):
            stack.enter_context(_clocked(owner, method, part, spent))
        world = model if isinstance(model, World) else World.load(model)  # a loaded one draws in this process
        made = generate(PROMPT, out, seconds=seconds, model=world, seed=SEED)
    whole = time.perf_counter() - began
    return {**{name: spent[name] for name in PARTS}, "rest": whole - sum(spent.values()), "frames": made.frames}


@torch.inference_mode()
def decoded(world: World) -> dict[str, float]:
    """Milliseconds a frame at DECODED pixels: of the decoder, with all threads, and of the canvas, as many processes as
    there are cores."""
    size, latents = (DECODED, DECODED), torch.randn(1, LATENTS, *[DECODED // world.tokenizer.config.spatial] * 2,
                                                    world.tokenizer.config.channels)
    world.tokenizer.decode(latents)
    began = time.perf_counter()
    world.tokenizer.decode(latents)
    took = time.perf_counter() - began
    things = imagined(world, LATENTS + WARM, [Line(0.0, PROMPT)], SEED)
    spent = {"decoder": took}
    with Drawers(world.tokenizer, size, cores()) as others:
        for chosen in (range(WARM), range(WARM, LATENTS + WARM)):
            began = time.perf_counter()
            for picture in [others.draw(things[n], n * F, world.fps) for n in chosen]:
                picture.result()
            spent["canvas"] = time.perf_counter() - began
    return {name: 1000 * seconds / LATENTS / F for name, seconds in spent.items()}


@contextmanager
def _clocked(owner: type, method: str, part: str, spent: dict[str, float]) -> Iterator[None]:
    """While inside, the time in a method of a class is added to ``spent[part]``."""
    inner = getattr(owner, method)
    bound = isinstance(vars(owner).get(method), classmethod)

    def clocked(*args, **options):
        began = time.perf_counter()
        try:
            return call(*args, **options)
        finally:
            spent[part] += time.perf_counter() - began

    call: Callable = (lambda cls, *args, **options: inner(*args, **options)) if bound else inner
    with mock.patch.object(owner, method, classmethod(clocked) if bound else clocked):
        yield
