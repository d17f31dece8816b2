"""Making data: many processes simulate, draw and caption clips of one world into tar shards.

Each clip is determined by (world, split, seed, index) alone, so it does not matter which process
makes it, how many there are, or whether the work was interrupted. A process leaves each finished
clip in a hidden folder beside the shards; when all clips of a shard are there they are joined.
The same command goes on where it stopped: at most the clips in the making are lost.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from reverie.core.errors import BadData, BadInput, CannotWrite, ReverieError
from reverie.core.progress import track
from reverie.data.sample import FORMAT, Reader, Sample, encode
from reverie.data.shards import scan, write_members

PARAMETERS = "make.json"
_PARTS = ".parts"
# (language, held out, long) of each clip's captions; training data has no held-out phrasing
_CAPTIONS = [*(("en", False, number % 2 == 1) for number in range(6)),
             *(("zh", False, number == 1) for number in range(3))]
_HELD_OUT_CAPTIONS = [*(("en", True, number == 1) for number in range(3)),
                      *(("zh", True, number == 1) for number in range(2))]


@dataclass(frozen=True)
class Job:
    """What determines the clips of a folder. seconds: ((low, high, weight), ...); size: (H, W)."""

    world: str
    split: str
    seed: int
    clips: int
    things_only: bool
    seconds: tuple[tuple[float, float, float], ...]
    size: tuple[int, int]
    fps: float
    shard_size: int
    format: int = FORMAT
    planted: tuple[str, ...] = ()  # crimes (data.scenes.crimes) of which each clip has one, in turn
    rig: str = ""  # of the road, its cameras as JSON
    traces: str = ""  # of the road, a folder of traffic that is used, or else kept; it is not a part of what is made

    @property
    def shards(self) -> int:
        return -(-self.clips // self.shard_size)

    def key(self, index: int) -> str:
        return f"{self.world}-{index:08d}"

    def shard(self, number: int) -> str:
        return f"{self.world}-{self.split}-{number:06d}.tar"

    def indices(self, number: int) -> range:
        """The clips of shard ``number``."""
        return range(number * self.shard_size, min((number + 1) * self.shard_size, self.clips))


def parse_seconds(text: str) -> tuple[tuple[float, float, float], ...]:
    """Clip lengths as written on a command line: "8", "6..60", or weighted "6..12:3,30..60:1".

    Returns ((low, high, weight), ...); a length is drawn evenly on a logarithmic scale between low
    and high. Raises BadInput.
    """
    ranges = []
    for part in text.split(","):
        span, _, weight = part.partition(":")
        low, _, high = span.partition("..")
        try:
            ranges.append((float(low), float(high or low), float(weight or 1)))
        except ValueError:
            raise BadInput(f'clip seconds {text!r}: write "8", "6..60" or "6..12:3,30..60:1"') from None
    return _ranges(ranges)


def _ranges(seconds: float | str | Sequence) -> tuple[tuple[float, float, float], ...]:
    if isinstance(seconds, str):
        return parse_seconds(seconds)
    if isinstance(seconds, int | float):
        seconds = [(seconds, seconds, 1)]
    elif len(seconds) == 2 and all(isinstance(value, int | float) for value in seconds):
        seconds = [(*seconds, 1)]
    ranges = tuple((float(low), float(high), float(weight)) for low, high, weight in seconds)
    for low, high, weight in ranges:
        if not (0.5 <= low <= high <= 600 and 0 < weight < float("inf")):
            raise BadInput(f"clip seconds {low:g}..{high:g} (weight {weight:g}): "
                           "give 0.5 to 600, the lower first, and a weight over 0")
    return ranges


def parse_planted(crimes: str | Sequence[str]) -> tuple[str, ...]:
    """Names of crimes (data.scenes.crimes) from a list of them, or as written on a command line: "all",
    "deleted,ghost". Raises BadInput."""
    if not crimes:
        return ()
    from reverie.data.scenes.crimes import CRIMES

    names = tuple(crimes.replace(" ", "").split(",")) if isinstance(crimes, str) else tuple(crimes)
    names = tuple(CRIMES) if names == ("all",) else names
    unknown = [name for name in names if name not in CRIMES]
    if unknown:
        raise BadInput(f"no crime {unknown[0]!r}: give all, or some of {', '.join(CRIMES)}")
    return names


def clip_seed(job: Job, index: int) -> int:
    """The scene's seed for clip ``index``: the same whether it is drawn or not, another in each split."""
    text = f"{job.world} {job.split} {job.seed} {index}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def _clip_seconds(job: Job, rng: np.random.Generator) -> float:
    weights = np.array([weight for _, _, weight in job.seconds])
    low, high, _ = job.seconds[rng.choice(len(weights), p=weights / weights.sum())]
    seconds = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    frames = max(4 * round(seconds * job.fps / 4), 4)  # whole latents of 4 frames
    return frames / job.fps


def make_sample(job: Job, index: int) -> Sample:
    """Clip ``index`` of a job, with its captions. Raises what the scene raises."""
    from reverie.data.scenes import SCENES

    seed = clip_seed(job, index)
    rng = np.random.default_rng([seed, 1])
    seconds = _clip_seconds(job, rng)
    scene, crime = SCENES[job.world], None
    options = {"fps": job.fps, "split": job.split, "size": job.size}
    options |= scene.options(job.key(index), seed, seconds, job.fps, rig=job.rig, traces=job.traces)
    if job.planted:
        from reverie.data.scenes.crimes import plant

        plan, crime = plant(seed, job.planted[index % len(job.planted)], seconds, **options)
    else:
        plan = scene.plan(seed, seconds, **options)
    clip = scene.simulate(plan) if job.things_only else scene.draw(plan, job.size)
    told = clip.truth
    if crime is not None and crime.other >= 0:  # the text asks for what should be: of a double it knows nothing
        told = replace(told, exists=told.exists & (np.arange(len(told.kinds)) != crime.other))
    captions = []
    for language, held_out, long in _CAPTIONS + (_HELD_OUT_CAPTIONS if job.split != "train" else []):
        lines = scene.caption(told, rng, language=language, long=long, held_out=held_out,
                              cameras=clip.cameras, fps=clip.fps)
        stored = [{"start": float(line.start), "text": line.text, "template": list(line.template),
                   "order": [int(thing) for thing in line.order]} for line in lines]
        captions.append({"language": language, "long": long, "held_out": held_out, "lines": stored})
    provenance = {"world": job.world, "seed": seed, "index": index, "plan_seconds": seconds,
                  "split": job.split, "things_only": job.things_only, "size": list(job.size)}
    provenance |= scene.about(plan)
    if crime is not None:
        provenance["crime"] = asdict(crime)
    return Sample(job.key(index), clip, provenance, captions)


# ---------------------------------------------------------------- the worker's side


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it stops the workers


def _make_part(job: Job, index: int, folder: str) -> tuple[int, int, str]:
    """Make one clip into the hidden folder: (index, frames, error), error "" when it went well."""
    try:
        sample = make_sample(job, index)
        write_members(Path(folder) / f"{job.key(index)}.tar", [(sample.key, encode(sample))])
    except (ReverieError, ImportError):
        raise  # bad arguments, a missing package, a full disk: it would be the same with every clip
    except Exception as error:  # one scene in a thousand may blow up: leave it out and go on
        return index, 0, f"{job.key(index)} (seed {clip_seed(job, index)}): {type(error).__name__}: {error}"
    return index, sample.clip.frames, ""


def choose_renderer() -> str:
    """The value of MUJOCO_GL that works here: what is set, else egl, else osmesa.

    "" is the system's own, outside Linux. Raises BadInput with what to install when none works.
    """
    chosen = os.environ.get("MUJOCO_GL")
    if not sys.platform.startswith("linux"):
        return chosen or ""
    # tried in a process of its own: MuJoCo fixes its backend on import, and a bad driver may crash
    code = "import mujoco; c = mujoco.GLContext(32, 32); c.make_current(); c.free()"
    said = ""
    for name in [chosen] if chosen else ["egl", "osmesa"]:
        tried = subprocess.run([sys.executable, "-c", code], env={**os.environ, "MUJOCO_GL": name},
                               capture_output=True, text=True, timeout=120, check=False)
        if tried.returncode == 0:
            return name
        said = (tried.stderr.strip().splitlines() or ["no message"])[-1]
    if "No module named 'mujoco'" in said:
        raise BadInput('drawing needs MuJoCo: pip install "reverie[sim]"')
    raise BadInput("MuJoCo can draw with neither EGL nor OSMesa here: install libegl1 and libgl1-mesa-dri, "
                   f"or libosmesa6 (Debian's names), or set MUJOCO_GL; things-only data needs none ({said})")


# ---------------------------------------------------------------- the parent's side


def make(world: str, out: Path | str, *, clips: int, things_only: bool = False,
         seconds: float | str | Sequence = 8.0, size: tuple[int, int] = (128, 128), fps: float = 24.0,
         seed: int = 0, split: str = "train", workers: int | None = None, shard_size: int = 32,
         planted: str | Sequence[str] = (), rig: Path | str | None = None, traces: Path | str | None = None,
         progress: bool = True) -> dict:
    """Make ``clips`` clips of a world into shards in folder ``out``; the same call goes on after a stop.

    seconds: a length, a (low, high) range, a list of (low, high, weight), or text as
    ``parse_seconds`` takes it; lengths are rounded to whole latents. size: (H, W), multiples of 32.
    split: "train" or "test" (where held-out combinations and phrasings may appear). workers:
    processes, default one per CPU core; 0 makes everything in this process. planted: names of crimes
    (data.scenes.crimes), or text as ``parse_planted`` takes it: clip i has crime i in turn in it, and
    says so in its provenance. rig: of the road, a JSON file of cameras (default: four). traces: of the road, a folder
    of traffic: what is there needs no SUMO, what is not is simulated and kept. progress: a bar, on stderr.

    Returns {"folder", "clips", "made", "frames", "failed", "seconds", "fps"}: clips in the folder,
    clips and frames made by this call, messages of scenes that could not be made (left out; more
    than 1 in 50 is an error), wall seconds, frames per second.
    Raises BadInput (arguments, or a folder made with others), CannotWrite, BadData, KeyboardInterrupt.
    """
    job = _checked(Job(world, split, seed, clips, things_only, _ranges(seconds), tuple(size), float(fps),
                       shard_size, planted=parse_planted(planted), rig=_rig(rig), traces=str(traces or "")))
    out = Path(out)
    _claim(out, job)
    began, made, frames, failed = time.monotonic(), 0, 0, []
    todo = _unfinished(out, job)
    with track(job.clips, "clips", done=job.clips - len(todo), quiet=not progress) as bar:
        try:
            for index, count, error in _run(job, todo, out / _PARTS, workers):
                made, frames = made + (not error), frames + count
                if error:
                    failed.append(error)
                    bar.say(f"left out {error}")
                    if len(failed) > 3 + made // 50 or len(failed) == job.clips:
                        raise BadData(f"{len(failed)} of {made + len(failed)} scenes failed, the last: {error}")
                bar.advance(note=f"{frames / (time.monotonic() - began):.0f} fps")
                _join(out, job, index // job.shard_size)
        except KeyboardInterrupt:
            bar.say(f"stopped: {bar.done} of {job.clips} clips are kept; the same command goes on")
            raise
    for number in range(job.shards):  # those with clips left out, and those stopped before joining
        _join(out, job, number, gaps=True)
    shutil.rmtree(out / _PARTS, ignore_errors=True)
    wall = time.monotonic() - began
    there = sum(len(scan(out / job.shard(number))) for number in range(job.shards))
    return {"folder": str(out), "clips": there, "made": made, "frames": frames, "failed": failed,
            "seconds": round(wall, 2), "fps": round(frames / max(wall, 1e-9), 1)}


def _rig(path: Path | str | None) -> str:
    if path is None:
        return ""
    from reverie.data.road.rig import load, saved

    return saved(load(path))


def _checked(job: Job) -> Job:
    from reverie.data.scenes import SCENES

    if job.world not in SCENES:
        raise BadInput(f"no world {job.world!r}: there is {', '.join(sorted(SCENES))}")
    if job.planted and job.world != "lab":
        raise BadInput(f"crimes can be planted in the lab, not in {job.world}")
    if job.world != "road" and (job.rig or job.traces):
        raise BadInput(f"cameras of a rig, and traces of traffic, are of the road, not of {job.world}")
    if job.planted and min(low for low, _, _ in job.seconds) < 3:
        raise BadInput("a clip with a crime in it lasts at least 3 seconds")
    if job.split not in ("train", "test"):
        raise BadInput(f"split {job.split!r}: give train or test")
    if job.clips < 1 or job.shard_size < 1:
        raise BadInput(f"{job.clips} clips in shards of {job.shard_size}: both must be at least 1")
    if len(job.size) != 2 or any(side % 32 or not 32 <= side <= 2048 for side in job.size):
        raise BadInput(f"size {'x'.join(map(str, job.size))}: give height x width in multiples of 32 to 2048")
    if not 1 <= job.fps <= 120:
        raise BadInput(f"{job.fps} frames per second: give 1 to 120")
    return job


def _claim(out: Path, job: Job) -> None:
    """Write the folder's parameters, or check that they are the ones it was begun with."""
    wanted = json.loads(json.dumps(asdict(job)))
    del wanted["traces"]
    for name in ("planted", "rig"):  # as in folders made before there were any
        if not wanted[name]:
            del wanted[name]
    try:
        (out / _PARTS).mkdir(parents=True, exist_ok=True)
        if (out / PARAMETERS).exists():
            found = json.loads((out / PARAMETERS).read_text())
            other = [f"{name} {found.get(name)} (now {wanted.get(name)})"
                     for name in dict.fromkeys([*wanted, "planted", "rig"]) if found.get(name) != wanted.get(name)]
            if other:
                raise BadInput(f"{out} was made with {', '.join(other)}: choose another folder")
            return
        if any(out.glob("*.tar")):
            raise BadInput(f"{out} holds shards but no {PARAMETERS}: choose another folder")
        partial = out / f"{PARAMETERS}.tmp"
        partial.write_text(json.dumps(wanted, indent=1))
        os.replace(partial, out / PARAMETERS)
    except ValueError as error:
        raise BadData(f"{out / PARAMETERS} is damaged: delete it and the shards beside it") from error
    except OSError as error:
        raise CannotWrite(f"cannot write to {out}: {error.strerror or error}") from error


def _unfinished(out: Path, job: Job) -> list[int]:
    """The clips in no shard and not yet among the parts. Clears what a kill left half-written."""
    for stray in [*out.glob(".*.tmp"), *(out / _PARTS).glob(".*.tmp")]:
        stray.unlink(missing_ok=True)
    todo = []
    for number in range(job.shards):
        if not (out / job.shard(number)).exists():
            todo += [index for index in job.indices(number)
                     if not _whole(out / _PARTS / f"{job.key(index)}.tar")]
    return todo


def _whole(part: Path) -> bool:
    try:
        return part.exists() and len(scan(part)) == 1
    except BadData:  # a power cut may leave a file without its bytes
        return False


def _join(out: Path, job: Job, number: int, gaps: bool = False) -> None:
    """Join the parts of shard ``number`` into it, if they are all there, or with ``gaps`` anyway."""
    parts = [out / _PARTS / f"{job.key(index)}.tar" for index in job.indices(number)]
    if not all(part.exists() for part in parts) and not gaps:
        return
    parts = [part for part in parts if part.exists()]

    def samples() -> Iterator[tuple[str, dict[str, bytes]]]:
        for part in parts:
            for key, places in scan(part).items():
                reader = Reader(part, key, places)
                yield key, {suffix: reader.bytes(suffix) for suffix in places}

    if not (out / job.shard(number)).exists():
        write_members(out / job.shard(number), samples())
    for part in parts:
        part.unlink()


def _run(job: Job, todo: list[int], parts: Path, workers: int | None) -> Iterator[tuple[int, int, str]]:
    """Make the clips of ``todo``, in whatever order they are ready: (index, frames, error)."""
    if not todo:
        return
    settings = {"OMP_NUM_THREADS": "1", "LP_NUM_THREADS": "0"}  # one core a process, Mesa's threads too
    if not job.things_only and (renderer := choose_renderer()):
        settings["MUJOCO_GL"] = renderer
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        if workers == 0:
            yield from (_make_part(job, index, str(parts)) for index in todo)
        else:
            yield from _run_processes(job, todo, parts, min(workers or os.cpu_count() or 1, len(todo)))
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def _run_processes(job: Job, todo: list[int], parts: Path, workers: int) -> Iterator[tuple[int, int, str]]:
    # spawn: a forked child would share the parent's GL and CUDA state
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)
    waiting, ahead = iter(todo), set()
    try:
        for index in waiting:
            ahead.add(pool.submit(_make_part, job, index, str(parts)))
            if len(ahead) >= 2 * workers:
                done, ahead = wait(ahead, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while ahead:
            done, ahead = wait(ahead, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
        pool.shutdown()
    except BrokenProcessPool as error:
        raise BadData("a process that makes clips died (out of memory, or the graphics driver crashed): "
                      "run the same command again, with fewer workers") from error
    finally:
        children = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for child in children:  # after a stop nobody waits for the clips in the making
            child.terminate()
