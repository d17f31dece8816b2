"""Traffic of which suites take their figures: simulated with seeds that training never sees, once, and kept."""

from __future__ import annotations

from pathlib import Path

from reverie.core.errors import ReverieError
from reverie.data.make import Job, clip_seed
from reverie.evaluate.study import PACKAGE, SEED, Study, digest

_JOB = Job("road", "test", SEED, 1, True, ((8.0, 8.0, 1.0),), (128, 128), 24.0, 32)  # its seeds are no other job's


def seed_of(k: int) -> int:
    """The seed of the traffic of clip k."""
    return clip_seed(_JOB, k)


def traces(study: Study, n: int, seconds: float) -> list[Path]:
    """n files of traffic, simulated where they are not there yet. Raises ReverieError without SUMO."""
    code = digest(PACKAGE, ("data/road/driver.py", "data/road/net.py", "data/road/tra*.py"))
    folder = study.data / f"road-{seconds:g}s-{SEED}-{code[:8]}"
    files = [folder / f"{_JOB.key(k)}.npz" for k in range(n)]
    with study.track(n, "clips of traffic") as bar:
        for k, path in enumerate(files):
            if not path.exists():
                from reverie.data.road.traffic import traffic

                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    traffic(seed_of(k), seconds).save(path)
                except ImportError as error:
                    raise ReverieError(f'traffic needs {error.name}: pip install "reverie[traffic]"') from None
            bar.advance()
    return files
