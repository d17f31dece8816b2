"""Kills at random moments under load, with the shipped model: is any accepted job lost, done twice, or broken?

python bench/serve_kills.py [--kills 100] [--seed 0]
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from server import Server, wait_for  # noqa: E402 - the tests' own

from reverie.core.video import read_video  # noqa: E402 - as above
from reverie.evaluate import machine  # noqa: E402 - as above
from reverie.serve.jobs import Store  # noqa: E402 - as above

BODY = {"prompt": "a red ball falls", "seconds": 0.5, "size": "64x64"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(machine.line(machine.describe()))
    draw, accepted, killed, began = random.Random(args.seed), [], Counter(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "data").start()
        for kill in range(args.kills):
            for _ in range(draw.randrange(3)):
                status, _, video = server.post("/v1/videos", {**BODY, "seed": kill})
                if status == 200:
                    accepted.append(video["id"])
            time.sleep(draw.choice((draw.uniform(0, 1), draw.uniform(0, 12))))
            what = draw.choice(("server", "worker", "both"))
            killed[what] += 1
            if what != "server":
                server.kill_workers()
            if what != "worker":
                server.kill()
                server.start()
        print(f"killed: {dict(killed)}, {len(accepted)} jobs accepted, {time.monotonic() - began:.0f} s", flush=True)
        ends, broken, attempts = Counter(), 0, Counter()
        for name in accepted:
            video = server.finish(name, 600)
            ends[video["status"] if video["status"] == "completed" else video["error"]["code"]] += 1
            if video["status"] == "completed":
                film = Path(folder) / "it.mp4"
                film.write_bytes(server.get(f"/v1/videos/{name}/content")[2])
                broken += len(read_video(film)[0]) != 12
        store = Store(server.data)
        events = Counter(row[0] for row in store._db.execute("SELECT job FROM events"))
        rows = [row[0] for row in store._db.execute("SELECT id FROM jobs")]
        attempts.update(row[0] for row in store._db.execute("SELECT attempts FROM jobs"))
        store.close()
        folders = Counter(path.name.rpartition("-")[0] for path in (server.data / "results").iterdir())
        server.stop()
        wait_for(lambda: not server.workers())
    lost = len(set(accepted) - set(rows)) + len(set(accepted) - set(events))
    doubled = sum(count > 1 for count in events.values()) + sum(count > 1 for count in folders.values())
    print(f"ended: {dict(ends)}; attempts a job took: {dict(sorted(attempts.items()))}")
    print(f"lost {lost}, doubled {doubled}, corrupt {broken}")
    sys.exit(bool(lost or doubled or broken))


if __name__ == "__main__":
    main()
