"""The verbs ``driver train`` and ``driver test``: their arguments, and the functions they call."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from reverie.core.errors import BadInput
from reverie.verbs.reading import count, whole

KEEP = 300.0  # seconds after which what has been learned so far is written again

_TRAIN = """\
--in dream learns by trying (PPO) among imagined traffic, --in true among recorded traffic (with --live among traffic
that heeds it), and --in clone does as the drivers of the traces did. DIR then has driver_dream.safetensors,
driver_true... or driver_clone... Traces are made by reverie data make road --things-only --traces DIR -o OUT.
"""
_TEST = """\
Rides are in the true simulator: one for each trace, whose traffic does not heed the driver, or with --live in towns of
their own, where SUMO moves the traffic as the ride goes. A good ride is what the environment's info calls a success.
Test with traces that were not trained on: reverie data make road --split test --things-only --traces DIR ...
"""


def add_driver(verbs, verb: Callable, say: Callable[[str], None], print_json: Callable) -> None:
    """Register both. verb(verbs, name, function, help, epilog) makes a parser and returns its add_argument."""
    both = verbs.add_parser("driver", help="train a driver of the road, in the dream or in truth, and test it")
    both = both.add_subparsers(title="verbs", metavar="VERB", required=True)

    def run_train(args) -> None:
        print(_train(args, say))

    def run_test(args) -> None:
        figures = _test(args)
        if args.json:
            print_json(figures)
            return
        for name, value in figures.items():
            print(f"  {name:<16} {value if isinstance(value, (str, int)) else format(value, '.3g')}")

    add = verb(both, "train", run_train, "train a driver", epilog=_TRAIN)
    add("--in", dest="way", required=True, choices=("dream", "true", "clone"), help="where it learns (see below)")
    _where(add)
    add("--steps", type=count, default=100_000, metavar="N", help="of a sixth of a second each (default 100000)")
    add("--seed", type=whole, default=0, metavar="N", help="(default 0)")
    add("--from", dest="start_from", metavar="FILE", help="go on from this driver (default: from nothing)")
    add("--model", default="base", metavar="DIR|FILE", help="of the dream's traffic (default base)")
    add("-o", "--output", default="runs/driver", metavar="DIR", help="where the driver goes (default runs/driver)")
    add = verb(both, "test", run_test, "let a driver drive, and count how it did", epilog=_TEST)
    add("driver", metavar="FILE", help="a driver, or dream, true or clone: one of those that ship")
    _where(add)
    add("--rides", type=count, default=50, metavar="N", help="(default 50; of traces at most one each)")
    add("--alone", action="store_true", help="without traffic and lights")
    add("--dream", metavar="NAME|FILE", help="drive in the dream of this model instead, base or a file")
    add("--sheet", metavar="FILE.png", help="draw the first twelve rides from above")
    add("--json", action="store_true", help="print one JSON object on stdout and nothing else")


def _where(add: Callable) -> None:
    add("--traces", metavar="DIR", help="recorded traffic to drive among")
    add("--live", action="store_true", help="drive among traffic that SUMO moves as you go, and that heeds you")


def _files(args) -> list[Path] | None:
    """The traces that are to be driven in, None in live traffic."""
    from reverie.envs.road import trace_files

    if bool(args.traces) == args.live:
        raise BadInput("give --traces DIR or --live, one of them")
    return None if args.live else trace_files(args.traces)


def _train(args, say: Callable[[str], None]) -> Path:
    from reverie.core.runtime import set_threads
    from reverie.drivers.cloning import clone
    from reverie.drivers.learning import learn

    def tell(row: dict, so_far: Callable) -> None:
        nonlocal kept
        say("{steps} steps, {what}: of the last rides {success:.0%} good, {crashed:.0%} ended early, "
            "{steps_per_second:.0f} steps/s".format(what="among traffic" if row["traffic"] else "alone", **row))
        if time.monotonic() - kept > KEEP:
            so_far().save(out)
            kept = time.monotonic()

    set_threads()
    kept = time.monotonic()
    files, out = _files(args), Path(args.output) / f"driver_{args.way}.safetensors"
    if args.way == "clone":
        if files is None:
            raise BadInput("a clone learns from the drivers of traces: give --traces DIR")
        return clone(files, seed=args.seed).save(out)
    start = _driver(args.start_from) if args.start_from else None
    made = learn(args.way, files, steps=args.steps, model=args.model, seed=args.seed, start_from=start, tell=tell)
    path = made.save(out)
    if made.meta.get("stopped"):
        raise KeyboardInterrupt(f"stopped; what was learned in {made.meta['steps']} steps is in {path}")
    return path


def _test(args) -> dict:
    from reverie.core.files import check_output
    from reverie.core.runtime import set_threads
    from reverie.drivers.driving import drive

    set_threads()
    sheet = check_output(args.sheet, ".png") if args.sheet else None
    policy, files = _driver(args.driver), _files(args)
    ridden = drive(policy, args.rides if files is None else files[: args.rides], model=args.dream, sheet=sheet,
                   traffic="live" if args.live and not args.alone else not args.alone)
    return {"driver": policy.name, **ridden.figures()}


def _driver(name: str):
    """A driver by its file, or one that ships."""
    from reverie.drivers.policy import WAYS, Policy, find

    if name not in WAYS and not Path(name).is_file():
        raise BadInput(f"no driver {name[:60]!r}: a file that reverie driver train made, or {', '.join(WAYS)}")
    return find(None, name) if name in WAYS else Policy.load(name)
