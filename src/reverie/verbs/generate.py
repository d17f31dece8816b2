"""The verb ``generate`` of the command line: its arguments, and the one function that it calls."""

from __future__ import annotations

from reverie.verbs.reading import number, size, whole

_GENERATE = """\
a script (times in seconds, the first 0; camera is optional, and is spread over its line):
  [[line]]
  start = 0.0
  text = "a red ball rolls behind a wall"
  camera = "orbit left 30"
  [[line]]
  start = 8.0
  text = "the ball comes out again"

Other people's video models (pip install "reverie[diffusers]") make pieces of seconds that go on from
each other; a line of a script that begins "cut to" is a cut. Finished pieces lie beside the output in
NAME.*.pieces until it is complete, and the same command goes on from them.

Ctrl-C leaves what there is, playable, as NAME.partial.mp4 and exits with 130. Prompt, seed,
model and all else that made a video are kept in its metadata (the comment).
"""


def _generate(args) -> None:
    from reverie import cli
    from reverie.generation import generate

    made = generate(
        args.prompt or "", args.output, seconds=args.seconds, size=args.size, fps=args.fps, model=args.model,
        seed=args.seed, steps=args.steps, takes=args.takes, image=args.image, end_image=args.end_image, loop=args.loop,
        video=args.video, script=args.script, camera=args.camera or "", things=not args.no_things,
        things_out=args.things, lora=args.lora, chunk=args.chunk, paint=args.paint, paint_from=args.paint_from,
        control=args.control, device=args.device, tell=lambda text: cli._say(f"note: {text}"), quiet=False)
    if args.json:
        cli._print_json(made.as_dict())
    else:
        print(f"{made.output}: {round(made.seconds, 2):g} s, {made.size[1]}x{made.size[0]}, {made.fps:g} fps, "
              f"seed {made.seed}, made in {made.wall_seconds:.1f} s")
        if made.things:
            print(f"{made.things}: the things in it")


def register(verbs) -> None:
    """Add the verb to the command line's."""
    from reverie import cli

    add = cli._verb(verbs, "generate", _generate, "make a video from a sentence", epilog=_GENERATE)
    add("prompt", nargs="?", metavar="PROMPT", help="what happens, in English or Chinese")
    add("--seconds", type=number, default=60.0, metavar="S", help="of new video, up to 600 (default 60)")
    add("--size", type=size, metavar="WxH", help="multiples of 32, 64 to 1024 (default: the model's own)")
    add("--fps", type=number, metavar="N", help="frames per second, 1 to 60 (default: the model's own)")
    add("--model", default="base", metavar="NAME|DIR", help="a model: base, a folder, or a video model of "
        "diffusers as OWNER/NAME (default base; see reverie models)")
    add("--seed", type=whole, default=0, metavar="N", help="same seed, same video (default 0)")
    add("--steps", type=whole, metavar="N", help="1 to 64: fewer is faster (default: the model's)")
    add("--takes", type=whole, metavar="N", help="1 to 16: how often each line is rehearsed, as things alone, "
        "before the take that shows most of it is painted (default: the model's)")
    add("--image", metavar="FILE", help="begin with this picture")
    add("--end-image", metavar="FILE", help="end with this picture")
    add("--loop", action="store_true", help="let the end meet the beginning")
    add("--video", metavar="FILE", help="extend this video: the output is it (its middle, scaled to size, "
                                        "at the fps, without sound) followed by the new seconds")
    add("--script", metavar="FILE.toml", help="texts with start times, instead of PROMPT (see below)")
    add("--camera", metavar="MOVES", help="over the whole video: pan, tilt, orbit (degrees), dolly, crane "
                                          "(metres), as in \"orbit left 30, dolly in 0.5\"")
    add("--no-things", action="store_true", help="paint without imagining the things first, for comparison")
    add("-o", "--output", default="out.mp4", metavar="FILE.mp4", help="where to write (default out.mp4)")
    add("--things", metavar="FILE.jsonl", help="also write what was imagined: one line per thing and frame")
    add("--lora", action="append", default=[], metavar="FILE|DIR", help="LoRA weights for another's model; or several")
    add("--chunk", type=number, metavar="S", help="seconds that another's model makes at once, at most")
    add("--paint", metavar="MODEL", help="let another's model paint what ours imagines (Wan VACE, CogVideoX Fun, ...)")
    add("--paint-from", default="depth", metavar="KIND", help="guided by its depth, kinds, boxes, edges or picture "
                                                              "(default depth)")
    add("--control", metavar="DIR", help="also write depth.mp4, kinds.mp4, boxes.mp4, edges.mp4 and things.jsonl there")
    add("--device", default="auto", metavar="NAME", help="of our own model: auto, cpu or cuda (default auto)")
    cli._add_json(add)
