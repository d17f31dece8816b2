"""Requests made from the server's own schema, valid and not, by schemathesis: is any answered with a 500?"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

from reverie.core.errors import ReverieError
from reverie.evaluate.server import Server


def installed() -> bool:
    """Whether schemathesis is."""
    return importlib.util.find_spec("schemathesis") is not None


def requests(server: Server, examples: int) -> tuple[int, int]:
    """Start a server: (requests that were made, of each route at most ``examples`` besides those for coverage; how many
    of them got an answer of 500 and above, or none). Raises ReverieError when schemathesis made none."""
    with server:
        done = subprocess.run(
            [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run",
             f"{server.url}/openapi.json", "--url", server.url, "--checks", "not_a_server_error", "--max-examples",
             str(examples), "--mode", "all", "--phases", "examples,coverage,fuzzing", "--exclude-path",
             "/v1/videos/sync", "--request-timeout", "60", "--seed", "1", "--generation-database", "none",
             "--no-color"],
            cwd=server.data.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        status, _, said = server.get("/metrics")
    made = re.search(r"(\d+) generated", done.stdout)
    if made is None:
        raise ReverieError(f"schemathesis made no requests: {done.stdout[-500:]}")
    if status != 200:
        return int(made[1]), 1
    counts = re.findall(r'reverie_requests_total\{.*status="5\d\d"\} (\d+)', said.decode())
    unanswered = done.returncode != 0 and not counts  # it saw a failure that the server does not know of
    return int(made[1]), sum(map(int, counts)) + unanswered
