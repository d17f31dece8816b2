"""The verb ``futures``: its arguments, and the one function it calls."""

from __future__ import annotations

from collections.abc import Callable

from reverie.core.errors import BadInput
from reverie.verbs.reading import number, whole

_EPILOG = """\
PAST is a video, a video of each camera, a driving log (see reverie data ingest), or a folder or shard of
clips (--key says which). Of a clip of the lab with its truth the things are known: its futures are drawn
from them, and --edit tells a thing of it to do otherwise: brake, left, right (of the picture), go, vanish.

actions: none (the model's own), keep, left, right, brake, or a CSV with a header of camera rates: pan, tilt,
orbit (degrees/s), dolly, crane (m/s); a row for each frame, or a column time. The shipped model has learned
how cameras move, and no car: that is what these words do here; a model trained on a log has its own actions.

Of a clip of the road, or a file of its traffic (.npz, as reverie data make road --traces keeps them), the
traffic goes on, every agent imagined: seen from above, and through the car's cameras (future-N-seen.mp4, all of
them tiled, and future-N-CAMERA.mp4) as the model paints it; --above leaves these out, and with
--draw MuJoCo draws them instead. There --actions is our car's curvature (1/m, to the left) and acceleration
(m/s^2), and --edit tells another agent to brake (to a stand), go, vanish, or change to the lane on its left or
right; the others answer.

In DIR: future-N.mp4, future-N.jsonl (tracks), future-N-tracks.mp4, compare.mp4, sheet.png, paths.png (the
ways of the camera, or our car, from above) and futures.json.
"""


def add_futures(verbs, verb: Callable, say: Callable[[str], None], print_json: Callable) -> None:
    """Add the verb. verb(verbs, name, function, help, epilog) makes its parser and returns its add_argument."""
    def run(args) -> None:
        from reverie.futures.making import futures

        if args.above and args.draw:
            raise BadInput("--above leaves out what --draw has drawn: give one of the two")
        made = futures(args.past, args.output, count=args.count, seconds=args.seconds, actions=args.actions,
                       edits=args.edit, prompt=args.prompt, seed=args.seed, model=args.model, key=args.key,
                       until=args.until, draw=args.draw, painted=not args.above, quiet=False,
                       tell=lambda text: say(f"note: {text}"))
        if args.json:
            print_json(made.as_dict())
            return
        print(f"{made.output}: {made.count} futures of {made.seconds:g} s, {made.fps:g} fps, seeds {made.seed} to "
              f"{made.seed + made.count - 1}, made in {made.wall_seconds:.1f} s")
        for n, name in enumerate(made.things):
            print(f"  thing {n}: {name}")

    add = verb(verbs, "futures", run, "imagine several futures of a past, with every thing in them tracked",
               epilog=_EPILOG)
    add("past", nargs="+", metavar="PAST", help="what they go on from: its last 8 seconds are looked at")
    add("--count", type=whole, default=4, metavar="K", help="how many, 1 to 16 (default 4)")
    add("--seconds", type=number, default=10.0, metavar="S", help="of each, up to 60 (default 10)")
    add("--actions", default="none", metavar="WORD|FILE.csv", help="how the camera moves (default none; see below)")
    add("--edit", action="append", default=[], metavar="TEXT", help="\"3: brake at 1.5\": thing 3 brakes after 1.5 s")
    add("--prompt", default="", metavar="TEXT", help="what shall happen (default: whatever may)")
    add("--key", metavar="KEY", help="which clip of a data set (default the first)")
    add("--until", type=number, metavar="S", help="the second at which the past ends (default: its end)")
    add("--above", action="store_true", help="of the road: only from above, and not what its cameras would see")
    add("--draw", action="store_true", help="of the road: what its cameras would see drawn by MuJoCo, not painted")
    add("--seed", type=whole, default=0, metavar="N", help="of the first future; the next has N + 1 (default 0)")
    add("--model", default="base", metavar="NAME|DIR", help="a model (default base)")
    add("-o", "--output", default="futures", metavar="DIR", help="where to write (default futures)")
    add("--json", action="store_true", help="print one JSON object on stdout and nothing else")
