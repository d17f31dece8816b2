"""Suite ``serve``: a real server under many clients, under kill -9, and under requests and files that are broken."""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from reverie.core.errors import BadInput
from reverie.evaluate import machine
from reverie.evaluate.figures import figure
from reverie.evaluate.server import Server
from reverie.evaluate.serving_fuzz import Fuzzed, fuzz
from reverie.evaluate.serving_kills import Killed, kill
from reverie.evaluate.serving_load import CREATORS, POLLERS, Load, load
from reverie.evaluate.serving_schema import installed, requests
from reverie.evaluate.study import Study
from reverie.world import World

UPLOADS, SECONDS, EXAMPLES = 100, 0.6, 0.5  # for each kill: with 100 kills 10,000 uploads, a minute, 50 of each route
QUEUE = 200  # jobs that may wait while uploads come; beyond, they are read and then refused


def measure(study: Study) -> list[dict]:
    """n kills, and what belongs to so many: see UPLOADS. Each on a server and a data folder of its own."""
    if isinstance(study.model, World):
        raise BadInput("the serve suite runs the command line: give a model by name or folder")
    figures = [figure("cores_busy_with_other_work", machine.busy(), "cores", "<= 0.25", 1)]
    uploads = UPLOADS * study.n
    with tempfile.TemporaryDirectory() as folder:
        def server(name: str, *more: str) -> Server:
            return Server(Path(folder) / name, "--model", str(study.model), *more)

        figures += of_load(load(server("load"), SECONDS * study.n))
        with study.track(study.n, "kills") as bar:
            figures += of_kills(kill(server("kills"), study.n, tell=bar.advance), study.n)
        with study.track(uploads, "uploads") as bar:
            figures += of_fuzz(fuzz(server("fuzz", "--queue", str(QUEUE)), uploads, tell=bar.advance), uploads)
        made, failed = 0, math.nan
        if installed():
            made, failed = requests(server("schema"), max(1, round(EXAMPLES * study.n)))
        else:
            print('schemathesis is not installed, and its requests were not made: pip install "reverie[dev]"',
                  file=sys.stderr, flush=True)
        figures.append(figure("schemathesis_answers_of_500", failed, "", "<= 0", made))
    return figures


def of_load(made: Load) -> list[dict]:
    """Figures of 200 clients that poll twice a second and 20 that create as fast as they are let."""
    asked = sum(made.statuses.values())
    return [figure(f"get_p50_{POLLERS}_pollers", 1e3 * statistics.median(made.polls), "ms", None, len(made.polls)),
            figure(f"get_p99_{POLLERS}_pollers", 1e3 * late(made.polls), "ms", "<= 50", len(made.polls)),
            figure(f"post_p99_{CREATORS}_creators", 1e3 * late(made.creates), "ms", None, len(made.creates)),
            figure("errors_other_than_429", made.errors, "", "<= 0", asked),
            figure("polls_a_second", len(made.polls) / made.seconds, "", None, 1),
            figure("memory_of_the_server", made.memory[-1] / 1e6, "MB", None, 1),
            figure("memory_growth", made.growth / 1e6, "MB", "<= 5", len(made.memory)),
            figure("videos_made_meanwhile", made.finished, "", None, 1)]


def of_kills(made: Killed, kills: int) -> list[dict]:
    """Figures of kill -9 to the server, its worker, or both."""
    return [figure("jobs_lost", made.lost, "", "<= 0", kills), figure("jobs_doubled", made.doubled, "", "<= 0", kills),
            figure("files_corrupt", made.corrupt, "", "<= 0", kills),
            figure("jobs_given_up_with_a_reason", made.given_up, "", None, kills),
            figure("jobs_accepted_while_killing", len(made.accepted), "", None, kills)]


def of_fuzz(made: Fuzzed, uploads: int) -> list[dict]:
    """Figures of spoilt uploads."""
    return [figure("uploads_answered_with_500", made.refused, "", "<= 0", uploads),
            figure("uploads_that_hang", made.hangs, "", "<= 0", uploads),
            figure("crashes_by_uploads", made.crashes, "", "<= 0", uploads),
            figure("uploads_left_over", made.left, "", "<= 0", uploads),
            figure("slowest_upload", made.slowest, "s", None, uploads)]


def late(times: Sequence[float]) -> float:
    """The 99th percentile."""
    return sorted(times)[int(len(times) * 0.99)]
