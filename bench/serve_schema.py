"""Requests made from the server's own schema, valid and not: is any answered with a 500?

python bench/serve_schema.py [--examples 50]
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from server import Server  # noqa: E402 - the tests' own


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=50, help="of each route at most")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "data", fake=True).start()
        try:
            done = subprocess.run(
                [Path(sys.executable).with_name("schemathesis"), "run", f"{server.url}/openapi.json", "--url",
                 server.url,
                 "--checks", "not_a_server_error", "--max-examples", str(args.examples), "--mode", "all", "--phases",
                 "examples,coverage,fuzzing", "--exclude-path", "/v1/videos/sync", "--request-timeout", "60",
                 "--no-color"], cwd=folder)
            well = server.get("/healthz")[0] == 200
        finally:
            server.stop()
        print(Path(folder, "data.log").read_text()[-3000:])
    sys.exit(done.returncode or not well)


if __name__ == "__main__":
    main()
