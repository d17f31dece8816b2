"""The machine that a figure was measured on, and whether anything else keeps it busy."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from reverie.core import runtime
from reverie.core.errors import ReverieError


def describe() -> dict:
    """Cores that may be used, what they reach in matrix products, and the software."""
    import torch

    runtime.set_threads()
    return {
        "cores": runtime.cores(),
        "matmul_gflops": round(runtime.matmul_gflops(), 1),
        "processor": _processor(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
    }


def line(machine: dict) -> str:
    """A description in one line."""
    return (
        f"{machine['cores']} cores ({machine['processor']}), {machine['matmul_gflops']} GFLOP/s in float32 "
        f"matrix products, {machine['system']}, Python {machine['python']}, torch {machine['torch']}"
    )


def _processor() -> str:
    try:
        for row in Path("/proc/cpuinfo").read_text().splitlines():
            if row.startswith("model name"):
                return row.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def busy(seconds: float = 1.0) -> float:
    """How many cores' worth of work others do right now on the cores that we may use."""
    try:
        before = _ticks()
        time.sleep(seconds)
        after = _ticks()
    except (OSError, ValueError, AttributeError):  # no /proc: what the system says of the last minute
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return sum((b[0] - a[0]) / max(b[1] - a[1], 1) for a, b in zip(before, after, strict=True))


def _ticks() -> list[tuple[int, int]]:
    """(busy, all) clock ticks of each core we may use."""
    ours = {f"cpu{n}" for n in os.sched_getaffinity(0)}
    rows = [row.split() for row in Path("/proc/stat").read_text().splitlines() if row.split(" ")[0] in ours]
    counts = [[int(v) for v in row[1:9]] for row in rows]  # the fourth and fifth are idle and waiting
    return [(sum(c) - c[3] - c[4], sum(c)) for c in counts]


def require_quiet(anyway: bool = False, most: float = 0.25) -> None:
    """Raise ReverieError when others keep more than ``most`` cores busy, unless it is to run anyway."""
    load = busy()
    if load > most and not anyway:
        raise ReverieError(
            f"something else keeps {load:.1f} cores busy: a time measured now would be wrong "
            "(--anyway measures all the same)"
        )
