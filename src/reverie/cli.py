"""The command ``reverie``: each verb reads its arguments and calls one function.

Exit 0 only when the thing was done, 2 for a bad argument, 1 for a failure, 130 when stopped by
Ctrl-C (or terminated); one line on stderr says why. stdout is for results alone. Heavy imports
stand inside the verbs, so that ``reverie --help`` is instant.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

from reverie import __version__
from reverie.core.errors import ReverieError
from reverie.core.stopping import stop_on_signals
from reverie.verbs import generate as generate_verb
from reverie.verbs.driver import add_driver
from reverie.verbs.futures import add_futures
from reverie.verbs.reading import above_zero, count, number, size, whole
from reverie.verbs.serve import add_serve

STOPPED = 130  # what shells use for Ctrl-C
_EXAMPLES = """\
examples:
  reverie generate "a red ball falls on a table and bounces"
  reverie generate "a dog walks behind a wall and comes out" --seconds 10 --camera "orbit left 30" -o dog.mp4
  reverie generate "一个红球落下" --seed 7 --json
  reverie generate --video dog.mp4 "the dog walks away" --seconds 5 -o longer.mp4
  reverie audit dog.mp4 -o report.html
  reverie models

exit status: 0 done; 1 it failed; 2 a bad argument; 130 stopped by Ctrl-C. Why is said on stderr.
"""


class _Parser(argparse.ArgumentParser):
    """argparse, with errors of one line and no guessing of abbreviated options."""

    def __init__(self, *args, **kwargs):
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(*args, allow_abbrev=False, formatter_class=layout, **kwargs)

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    args, signals = None, stop_on_signals()
    warnings.filterwarnings("ignore", "Initializing zero-element tensors")  # of a model that has no actions
    try:
        args = _parser().parse_args(argv)
        args.verb(args)
        return 0
    except SystemExit as leaving:  # argparse has said why
        return leaving.code if isinstance(leaving.code, int) else 1
    except KeyboardInterrupt as stop:
        _say(str(stop) or "stopped")
        return STOPPED
    except BrokenPipeError:  # the reader of our output has gone, as in ``reverie models | head -1``
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if args is None or args.debug:
            traceback.print_exc()
        _say(_explain(error))
        return getattr(error, "exit_code", 1)
    finally:
        for number, handler in signals.items():
            signal.signal(number, handler)


def _explain(error: Exception) -> str:
    if isinstance(error, ReverieError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "reverie").startswith("reverie"):
        return f'this needs the package {error.name}: pip install "reverie[train]" brings all of them'
    if isinstance(error, MemoryError):
        return "out of memory: try a smaller --size"
    return f"unexpected failure: {type(error).__name__}: {str(error)[:300]} (--debug shows where)"


def _say(text: str) -> None:
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    print(f"reverie: {line}", file=sys.stderr, flush=True)


def _print_json(value) -> None:
    plain = "utf" not in (sys.stdout.encoding or "").lower()
    print(json.dumps(value, ensure_ascii=plain, default=str), flush=True)


# ---------------------------------------------------------------- the verbs


def _audit(args) -> None:
    from reverie.auditing import audit_video

    made = audit_video(args.video, prompt=args.prompt, camera=args.camera, report=args.output, overlay=args.overlay,
                       quiet=False)
    if args.json:
        _print_json(made.as_dict())
    else:
        print(made.as_text())


def _data_make(args) -> None:
    from reverie.data.make import make

    made = make(args.world, args.output, clips=args.clips, things_only=args.things_only, seconds=args.seconds,
                size=args.size, fps=args.fps, seed=args.seed, split=args.split, workers=args.workers,
                shard_size=args.shard_size, planted=args.planted, rig=args.rig, traces=args.traces, progress=True)
    if args.json:
        _print_json(made)
    else:
        print(f"{made['folder']}: {made['clips']} clips ({made['made']} made now, {made['frames']} frames, "
              f"{made['fps']:g} frames/s)")


def _data_ingest(args) -> None:
    from reverie.ingesting import ingest

    made = ingest(args.paths, args.output, see=args.see, seconds=args.seconds, size=args.size, quiet=False)
    if args.json:
        _print_json(made.as_dict())
    else:
        print(made.as_text())


def _data_info(args) -> None:
    from reverie.data.info import info

    about = info(args.folder, args.key, args.sheet)
    if args.json:
        _print_json(about)
    elif "text" in about:
        print(about["text"])
    else:
        _print_tree(about)


def _train(args) -> None:
    from reverie.train.recipes import train

    data = args.data
    if data is not None:
        from reverie.ingesting import log_shards
        from reverie.train.recipes import RECIPES

        out = Path(args.output or f"runs/{args.recipe}")
        data = log_shards(Path(data), out / "shards", RECIPES[args.recipe].log.side, quiet=False)
    made = train(args.recipe, minutes=args.minutes, stage=args.stage, data=data, out=args.output,
                 start_from=args.start_from, words=args.words, device=args.device)
    if made is None:
        raise KeyboardInterrupt("stopped; the same command goes on from here")
    print(made)


def _evaluate(args) -> None:
    from reverie.evaluate.suite import run

    report = run(args.suite, model=args.model, n=args.n, **({} if args.data is None else {"data": args.data}))
    if args.json:
        _print_json(report)
        return
    print(f"{report['suite']}: model {report['model']}, commit {report['commit']}, {report['seconds']:.0f} s")
    for figure in report["figures"]:
        value = figure["value"]
        shown = f"{value:.4g}" if isinstance(value, (int, float)) else str(value)
        goal = f"   goal {figure['goal']}" if figure.get("goal") else ""
        print(f"  {figure['name']:<44} {shown:>10} {figure.get('unit') or '':<8} n={figure.get('n')}{goal}")


def _models(args) -> None:
    if args.name is not None:
        from reverie.cards import card

        text = card(args.name)
        if args.json:
            _print_json({"name": args.name, "card": text})
        else:
            print(text, end="")
        return
    from reverie.cards import models
    from reverie.foreign.listing import cached

    found = models() + cached()
    if args.json:
        _print_json(found)
    else:
        for model in found:  # recipes and scores, which are long, are for --json
            print("  ".join([str(model["name"]), *(f"{key}={value}" for key, value in model.items() if key != "name"
                                                   and not isinstance(value, dict))]))


def _print_tree(value, depth: int = 0) -> None:
    """A dict of plain values as indented lines."""
    for key, inner in value.items():
        if isinstance(inner, dict):
            print(f"{'  ' * depth}{key}:")
            _print_tree(inner, depth + 1)
        elif isinstance(inner, list) and inner and isinstance(inner[0], dict):
            print(f"{'  ' * depth}{key}: {len(inner)}")
            for row in inner:
                print(f"{'  ' * (depth + 1)}{json.dumps(row, ensure_ascii=False, default=str)}")
        else:
            print(f"{'  ' * depth}{key}: {inner}")


# ---------------------------------------------------------------- their arguments


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="reverie", epilog=_EXAMPLES,
                     description="An open world simulator: a sentence becomes a minute of video.")
    parser.add_argument("--version", action="version", version=f"reverie {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    generate_verb.register(verbs)
    _add_audit(verbs)
    add_futures(verbs, _verb, _say, _print_json)
    data = verbs.add_parser("data", help="make training data, and look at it").add_subparsers(
        title="verbs", metavar="VERB", required=True)
    _add_data(data)
    _add_rest(verbs)
    add_serve(verbs, _verb)
    add_driver(verbs, _verb, _say, _print_json)
    return parser


def _verb(verbs, name: str, function, help: str, epilog: str = ""):
    """A verb's parser; returns its add_argument."""
    parser = verbs.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".", epilog=epilog)
    parser.set_defaults(verb=function)
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure")
    return parser.add_argument


def _add_json(add) -> None:
    add("--json", action="store_true", help="print one JSON object on stdout and nothing else")


def _add_audit(verbs) -> None:
    add = _verb(verbs, "audit", _audit, "find what is wrong with the physics of a video, from any model or camera",
                epilog="Without -o the verdict is printed. The exit status is 0 whether or not something was found.")
    add("video", metavar="VIDEO", help="up to 10 minutes, 1 GB")
    add("--prompt", metavar="TEXT", help="what it should show: this is scored too")
    add("--camera", metavar="MOVES", help="what the camera should do, as in \"orbit left 30, dolly in 0.5\"")
    add("-o", "--output", metavar="FILE.html", help="write a page: the video with what was found in it")
    add("--overlay", metavar="FILE.mp4", help="write the video with what was found drawn into it")
    _add_json(add)


def _add_data(verbs) -> None:
    add = _verb(verbs, "make", _data_make, "simulate, draw and caption clips into tar shards",
                epilog="The same command goes on where it was stopped.")
    add("world", metavar="WORLD", help="lab, or road")
    add("-o", "--output", required=True, metavar="DIR", help="the folder of shards")
    add("--clips", type=whole, default=256, metavar="N", help="how many (default 256)")
    add("--things-only", action="store_true", help="simulate without drawing: 100 times as fast")
    add("--seconds", default="8", metavar="S", help="of each clip: 8, 6..60, or 6..12:3,30..60:1 (default 8)")
    add("--size", type=size, default=(128, 128), metavar="WxH", help="multiples of 32 (default 128x128)")
    add("--fps", type=number, default=24.0, metavar="N", help="frames per second (default 24)")
    add("--seed", type=whole, default=0, metavar="N", help="another seed, other clips (default 0)")
    add("--split", choices=("train", "test"), default="train",
        help="test holds what training never sees (default train)")
    add("--planted", default="", metavar="CRIMES", help="violations that things commit in turn: all, or deleted,moved")
    add("--rig", metavar="FILE.json", help="of the road: its cameras (default: front, left, right, rear)")
    add("--traces", metavar="DIR", help="of the road: traffic that is drawn without SUMO, or else kept there")
    add("--workers", type=whole, metavar="N", help="processes (default: one per core)")
    add("--shard-size", type=whole, default=32, metavar="N", help="clips in a shard (default 32)")
    _add_json(add)
    add = _verb(verbs, "ingest", _data_ingest, "turn recorded videos and driving logs into tar shards",
                epilog="Logs are recognised: Udacity's simulator, Donkeycar tubs, LeRobot datasets, videos with a CSV. "
                       "The same command goes on where it was stopped, and adds what is new.")
    add("paths", nargs="+", metavar="PATH", help="videos (perhaps with a NAME.txt), logs, or folders of them")
    add("-o", "--output", required=True, metavar="DIR", help="the folder of shards")
    add("--see", action="store_true", help="look for things in videos: kept as seen, not as truth")
    add("--seconds", type=number, default=10.0, metavar="S", help="of each clip at most (default 10)")
    add("--size", type=size, metavar="WxH", help="multiples of 32 (default: their own, a short side of 160 at most)")
    _add_json(add)
    add = _verb(verbs, "info", _data_info, "counts of a data set, or the truth of one clip")
    add("folder", metavar="FOLDER")
    add("key", nargs="?", metavar="KEY", help="one clip")
    add("--sheet", metavar="FILE.png", help="also draw a contact sheet")
    _add_json(add)


def _add_rest(verbs) -> None:
    add = _verb(verbs, "train", _train, "train a model",
                epilog="The same command goes on where it was stopped; what is learned is in DIR.")
    add("recipe", choices=("cpu", "one_gpu", "debug"), help="for which machine; debug takes a minute")
    add("--minutes", type=above_zero, metavar="N", help="how long in all (default: the recipe's)")
    add("--stage", default="all",
        choices=("all", "tokenizer", "canvas", "latents", "transformer", "observer", "words", "things", "distil",
                 "rollouts", "views", "traffic", "road_canvas", "eyes"),
        help="only this part (default all); words: the captions as arrays, for --words elsewhere; traffic: the road's "
             "things, from traces; road_canvas: what paints its pictures; eyes: what reads them")
    add("--data", metavar="DIR", help="shards made by reverie data make (default: made as it goes); or a driving log, "
        "raw or ingested: then the model learns that road, and the log's own actions")
    add("-o", "--output", metavar="DIR", help="where the run goes (default runs/RECIPE)")
    add("--from", dest="start_from", metavar="MODEL", help="begin from this model's weights (base: the shipped ones)")
    add("--words", metavar="FILE", help="captions as arrays, where the text package is missing")
    add("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (default auto)")
    add = _verb(verbs, "evaluate", _evaluate, "measure a model: one suite of figures")
    add("suite", metavar="SUITE")
    add("--model", default="base", metavar="NAME|DIR", help="a model (default base)")
    add("--n", type=count, metavar="N", help="how many cases, instead of the suite's own number")
    add("--data", metavar="DIR", help="where the suite keeps its clips; of the suite log, the shards of that log")
    _add_json(add)
    add = _verb(verbs, "models", _models, "list the models that are here, or show one's card")
    add("name", nargs="?", metavar="NAME", help="the whole card of this one that ships: data, recipe, scores")
    _add_json(add)

