"""The machine that the program runs on: cores, device, seeds, memory, speed, and which code this is."""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from reverie.core.errors import BadInput

_TRIM_FROM, _MMAP_FROM = -1, -3  # numbers of glibc's dials, of malloc.h


def cores() -> int:
    """CPU cores that this process may use: its affinity, or a container's quota if that is less."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:  # in a container of 2 CPUs on a machine of 64, 64 threads would be far slower than 2
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            count = min(count, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return count


def set_threads(count: int | None = None) -> int:
    """Let torch use ``count`` threads (None: OMP_NUM_THREADS, or every core we may use); returns it."""
    import torch

    if count is None:
        wanted = os.environ.get("OMP_NUM_THREADS", "")
        count = int(wanted) if wanted.isdigit() and int(wanted) > 0 else cores()
    if count < 1:
        raise BadInput(f"{count} threads: give at least 1")
    torch.set_num_threads(count)
    keep_memory()
    return count


def keep_memory() -> bool:
    """Let the C library keep what is freed, pieces of up to 64 MiB and 512 MiB in all, for what is asked for next;
    returns whether it does.

    Else every tensor of some size is new memory, which the kernel clears page by page: 40% of a canvas's time at
    256x256. Nothing but glibc has the dials.
    """
    with suppress(OSError, AttributeError, TypeError):
        dial = ctypes.CDLL(None).mallopt
        pieces = dial(_MMAP_FROM, 64 << 20) or dial(_MMAP_FROM, 32 << 20)  # an older one refuses the former
        return bool(pieces and dial(_TRIM_FROM, 512 << 20))
    return False


def device(name: str = "auto"):
    """The torch device called ``name``; "auto" is the GPU if there is one, else the CPU."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(name)
    except RuntimeError as error:
        raise BadInput(f"there is no device {name!r}: use auto, cpu or cuda") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise BadInput("this machine has no CUDA GPU that torch can use: use cpu")
    return chosen


@functools.cache
def bf16_pays(device) -> bool:
    """Whether bfloat16 is faster than float32 here: known of GPUs, measured (20 ms) on CPUs."""
    import torch
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if device.type != "cpu":
        return False
    spent = {}
    for dtype in (torch.float32, torch.bfloat16):
        picture = torch.randn(8, 64, 32, 32).to(dtype).contiguous(memory_format=torch.channels_last)
        kernel = torch.randn(64, 64, 3, 3).to(dtype).contiguous(memory_format=torch.channels_last)
        times = []
        for _ in range(4):
            start = time.perf_counter()
            torch.nn.functional.conv2d(picture, kernel, padding=1)
            times.append(time.perf_counter() - start)
        spent[dtype] = min(times)
    return spent[torch.bfloat16] < 0.75 * spent[torch.float32]


def generator(seed: int, *, on="cpu"):
    """A torch random generator. Draw on the CPU, so that a seed means the same on every device."""
    import torch

    return torch.Generator(device=on).manual_seed(seed)


def peak_memory_bytes(children: bool = False) -> int:
    """The most memory (resident set) this process has held so far, or any one that it started and that has ended; 0
    where the system does not say."""
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def matmul_gflops(seconds: float = 0.5, width: int = 1024) -> float:
    """What this machine reaches in float32 matrix products with torch's threads, in GFLOP/s.

    Figures from two machines, or from one that is busy, can be compared when this stands beside them.
    """
    import torch

    left, right = torch.randn(width, width), torch.randn(width, width)
    left @ right  # the first call sets up threads and buffers
    began, rounds = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        left @ right
        rounds += 1
    return rounds * 2 * width**3 / (time.perf_counter() - began) / 1e9


@functools.cache
def commit() -> str:
    """The git commit of the running code, "+" behind it when code in src has changed since; "" if unknown."""
    root = Path(__file__).resolve().parents[3]
    if not (root / "src" / "reverie").is_dir() or not (root / ".git").exists():
        return ""
    try:
        ask = functools.partial(subprocess.run, cwd=root, capture_output=True, text=True, timeout=10, check=True)
        head = ask(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
        changed = ask(["git", "status", "--porcelain", "--untracked-files=no", "--", "src",
                       ":(exclude)*.md"]).stdout.strip()  # measuring writes model cards
    except (OSError, subprocess.SubprocessError):
        return ""
    return head + ("+" if changed else "")
