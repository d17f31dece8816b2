"""``make results``: measure again what has changed, and write docs/results.json, docs/RESULTS.md and the scores that
stand in the model cards.

A suite is measured again when its weights or the code that its figures depend on are other than when it
was last measured; until then its figures keep the commit they were measured at.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from reverie.core.errors import BadInput, ReverieError
from reverie.core.files import writing
from reverie.core.stopping import stop_on_signals
from reverie.evaluate import machine
from reverie.evaluate.figures import met
from reverie.evaluate.study import PACKAGE, digest
from reverie.evaluate.suite import APART, SUITES, run
from reverie.world import card_of

HEAD = """# Results

Every figure with the command that made it, the commit it was made at, and how long that took. All of
them are of the model as it ships, with its default settings, fixed seeds and no selection, on worlds,
prompts and combinations that training never sees. `make results` makes this page again, measuring anew
whatever has changed; the same figures for programs are in [results.json](results.json).
"""


# what a suite makes to be looked at
SHOWN = {"minute": ("minute.png", "minute.txt"), "physics": ("offences.png",), "memory": ("memory.png",),
         "steps": ("steps.png",), "compute": ("compute.png",), "road_actions": ("road_actions.png",),
         "painting": ("pictures.png",)}

NOTES = {  # what stands under a suite's table
    "minute": "The first twelve of these minutes, evenly spaced from first to last frame; their whole scripts are in "
              "[minute.txt](minute.txt):\n\n![twelve imagined minutes](minute.png)",
    "physics": "The worst five moments, each from half a second before it to a second after:\n\n"
               "![the worst moments of imagined minutes](offences.png)",
    "memory": "The screen is given along its true path, the camera is told to stand; *things* goes on from the things "
              "of the past, *pixels* from pictures alone. Clips in which something is lost come first:\n\n"
              "![what a screen hides](memory.png)",
    "painting": "The last picture of a past, and the second after it at its beginning, middle and end, as imagined; "
                "the same in truth:\n\n![pictures gone on from](pictures.png)",
    "steps": "![quality and time over steps](steps.png)",
    "compute": "![quality over minutes of training](compute.png)",
    "road_actions": "![changes of speed and turning that were asked for and that were read](road_actions.png)",
    "driver": "Alone both learners keep the lane; among traffic all three run into others at junctions, the clone, who "
              "is slower, less. A ratio of two shares of 50 rides is rough.",
}

# in a model card, what stands between is written here; of these suites it has all figures, of others what has a goal
SCORES, END = "<!-- scores, by make results -->\n", "<!-- end of scores -->\n"
WHOLE = ("steps",)

OF_A_LOG = "A model that does not ship, trained as [LOG_OF_YOUR_OWN.md](LOG_OF_YOUR_OWN.md) says."


def state_of(suite: str, root: Path = PACKAGE) -> str:
    """A hash of the weights that ship and of the code that a suite's figures depend on."""
    about = {**SUITES, **APART}[suite]
    weights = [f"weights/{name}{part}.safetensors" for name in about.weights for part in ("", "-*")]
    own = [f"evaluate/{name}.py" for name in (about.module, "study", "figures")]
    return digest(root, [*weights, *about.sources, *own])[:16]


def update(docs: Path, *, only: Sequence[str] = (), force: bool = False, n: int | None = None,
           data: Path | None = None, model: str | Path = "base") -> list[str]:
    """Bring docs up to date; returns the suites that were measured. Each is written as soon as it is done.

    only: these suites alone. force: whether or not anything has changed. Raises BadInput for an unknown
    suite, and ReverieError at the end for those that could not be measured; they keep their old figures.
    """
    for name in only:
        if name not in SUITES:
            raise BadInput(f"no suite {name!r}: {', '.join(SUITES)}")
    data = Path(data or "data/evaluate")
    stored = read(docs / "results.json")
    measured, failed = [], []
    for name in only or SUITES:
        state = state_of(name)
        if not force and stored.get(name, {}).get("state") == state:
            continue
        print(f"measuring {name}: {SUITES[name].about}", file=sys.stderr, flush=True)
        about = machine.describe()
        try:
            report = {**run(name, model=model, n=n, data=data), "state": state, "machine": about}
        except ReverieError as error:  # the other suites' figures do not wait for this one's
            failed.append(f"{name}: {error}")
            continue
        measured.append(name)
        stored = {**read(docs / "results.json"), name: report}  # another process may have measured meanwhile
        write(docs, stored)
        for shown in SHOWN.get(name, ()):
            if (data / shown).exists():
                shutil.copyfile(data / shown, docs / f".{shown}")
                (docs / f".{shown}").replace(docs / shown)
    write(docs, stored)
    if failed:
        tried = len(failed) + len(measured)
        raise ReverieError(f"could not measure {len(failed)} of {tried} suites: " + "; ".join(failed))
    return measured


def update_log(docs: Path, name: str, *, model: str | Path, data: str | Path, n: int | None = None) -> None:
    """Measure a model of a recorded log on the shards it was trained on, and keep that under the log's name: such
    models do not ship, so that nobody else can bring it up to date. Raises what ``suite.run`` does."""
    about = machine.describe()
    report = run("log", model=model, data=data, n=n)
    report |= {"of": name, "state": state_of("log"), "machine": about,
               "model": report["model"].replace(str(model), name)}  # no path of whoever measured it
    write(docs, {**read(docs / "results.json"), f"log {name}": report})


def read(path: Path) -> dict[str, dict]:
    """Reports by suite (and log) from a results.json; {} when there is none. Raises BadInput when it is damaged."""
    try:
        return {_called(report): report for report in json.loads(path.read_text(encoding="utf-8"))}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is damaged ({error}): restore it, or delete it and measure again") from None


def _called(report: dict) -> str:
    return f"{report['suite']} {report['of']}" if "of" in report else report["suite"]


def write(docs: Path, stored: dict[str, dict]) -> None:
    """Write results.json and RESULTS.md, the suites in their order, then the logs."""
    docs.mkdir(parents=True, exist_ok=True)
    logs = sorted(name for name, report in stored.items() if report["suite"] in APART)
    reports = [stored[name] for name in (*SUITES, *logs) if name in stored]
    with writing(docs / "results.json") as file:
        file.write(json.dumps(reports, indent=1, ensure_ascii=False) + "\n")
    with writing(docs / "RESULTS.md") as file:
        file.write(page(reports))
    for path in sorted((docs.resolve().parent / "src" / "reverie" / "weights").glob("*.md")):
        with writing(path) as file:
            file.write(scored(path.read_text(encoding="utf-8"), path.stem, reports))


def scored(card: str, name: str, reports: Sequence[dict]) -> str:
    """A model card's text with the figures that have a goal, of the suites whose first weights are this card's; the
    judge's own stand on the page alone: cards are light."""
    if SCORES not in card:
        return card
    before, _, rest = card.partition(SCORES)
    after = rest.partition(END)[2]
    lines = []
    for report in reports:
        suite = {**SUITES, **APART}[report["suite"]]
        shown = [f for f in report["figures"] if f["goal"] is not None or report["suite"] in WHOLE]
        if suite.weights and suite.weights[0] != "observer" and card_of(suite.weights[0]).stem == name and shown:
            said = "; ".join(f"{called} {value.removesuffix(' share').removesuffix(' ratio')}"
                             f"{f' ({goal})' if goal else ''}{', missed' if 'no' in fulfilled else ''}"
                             for f in shown for called, value, goal, fulfilled, _ in [cells(f)])
            lines.append(f"- `{report['suite']}` ({(report['commit'] or 'unknown')[:7]}): {said}.\n")
    return before + SCORES + "".join(lines) + END + after


def cells(f: dict) -> tuple[str, str, str, str, str]:
    """A figure's cells in a table: name, value, goal, whether it is met, and of how many cases."""
    value = "-" if f["value"] is None else f"{f['value']:.4g} {f['unit']}".strip()
    fulfilled = {None: "", True: "yes", False: "**no**"}[met(f["value"], f["goal"])]
    return f["name"].replace("_", " "), value, f["goal"] or "", fulfilled, str(f["n"])


def page(reports: Sequence[dict]) -> str:
    """The reports as a page of tables."""
    parts = [HEAD]
    for report in reports:
        name, given = report["suite"], " --model OUT/model --data SHARDS" if "of" in report else ""
        about = {**SUITES, **APART}[name].about
        parts.append(f"\n## {_called(report)}: {about}\n\n`reverie evaluate {name}{given}`, commit "
                     f"`{report['commit'] or 'unknown'}`, model `{report['model']}`, {report['seconds']:.0f} s on "
                     f"{machine.line(report['machine'])}.\n")
        parts.append("| figure | value | goal | met | n |\n|---|---|---|---|---|")
        parts += [f"| {' | '.join(cells(f))} |" for f in report["figures"]]
        parts += [f"\n{NOTES[name]}"] if name in NOTES else []
        parts += [f"\n{OF_A_LOG}"] if given else []
    return "\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of ``python -m reverie.evaluate.results``."""
    parser = argparse.ArgumentParser(prog="reverie.evaluate.results", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], metavar="SUITE", help="this suite (may be repeated)")
    parser.add_argument("--force", action="store_true", help="measure again even if nothing has changed")
    parser.add_argument("--log", nargs=3, metavar=("NAME", "MODEL", "SHARDS"),
                        help="measure this model of a recorded log instead, and keep it under the log's name")
    parser.add_argument("--docs", type=Path, default=Path("docs"), metavar="DIR", help="default docs")
    args = parser.parse_args(arguments)
    stop_on_signals()
    try:
        if args.log:
            update_log(args.docs, args.log[0], model=args.log[1], data=args.log[2])
            measured = [f"log {args.log[0]}"]
        else:
            measured = update(args.docs, only=args.only, force=args.force)
    except ReverieError as error:
        print(f"reverie: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("reverie: stopped; what was measured is kept", file=sys.stderr)
        return 130
    done = ", ".join(measured) or "nothing: nothing has changed"
    print(f"measured {done}; see {args.docs / 'RESULTS.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
