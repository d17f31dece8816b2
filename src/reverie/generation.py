"""From a sentence (or a picture, a video, a script) to an MP4: files around World.imagine."""

from __future__ import annotations

import contextlib
import json
import math
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from reverie.core.clip import Line
from reverie.core.errors import BadInput, ReverieError
from reverie.core.files import check_output, require_space, writing
from reverie.core.moves import parse_moves
from reverie.core.runtime import cores
from reverie.core.script import Script, clean_text, load_script

if TYPE_CHECKING:
    from reverie.world import World

MAX_SECONDS = 600.0
MAX_TAKES = 16
LONG, MOST_DRAWERS = 120, 8  # frames from which it pays to start processes that draw; how many, at most
PAST_SECONDS = 10.0  # of a given video, how much of its end the model is shown
BYTES_PER_PIXEL = 0.06  # of video at the writer's quality, generously; twice while it is rewritten


@dataclass(frozen=True)
class Limits:
    """Of what may be asked: sides are multiples of step pixels, from least to most; steps at most so many."""

    step: int
    least: int
    most: int
    steps: int


OWN = Limits(32, 64, 1024, 64)
FOREIGN = Limits(1, 16, 4096, 200)  # which of them a model can make it says itself


@dataclass
class Made:
    """What ``generate`` made. size: (H, W); seconds, frames: the whole file's; wall_seconds: time taken."""

    output: str
    things: str | None
    frames: int
    seconds: float
    fps: float
    size: tuple[int, int]
    seed: int
    steps: int | None
    model: str
    wall_seconds: float
    unknown_words: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict:
        """JSON-ready; the size as on the command line, WIDTHxHEIGHT."""
        return {**asdict(self), "size": f"{self.size[1]}x{self.size[0]}"}


class Stopped(KeyboardInterrupt):
    """Ctrl-C during ``generate``. kept: the playable file of what there was, or None; seconds: its length."""

    def __init__(self, kept: Path | None, seconds: float):
        left = f"the first {seconds:.1f} s are in {kept}" if kept else "there was nothing yet to keep"
        super().__init__(f"stopped: {left}")
        self.kept, self.seconds = kept, seconds


def generate(prompt: str = "", out: str | Path = "out.mp4", *, seconds: float = 60.0,
             size: tuple[int, int] | None = None, fps: float | None = None,
             model: str | Path | World = "base", seed: int | None = 0,
             steps: int | None = None, takes: int | None = None, image: str | Path | None = None,
             end_image: str | Path | None = None, loop: bool = False, video: str | Path | None = None,
             script: str | Path | None = None, camera: str = "", things: bool = True,
             things_out: str | Path | None = None, lora: Sequence[str | Path] = (), chunk: float | None = None,
             paint: str | Path | None = None, paint_from: str = "depth", control: str | Path | None = None,
             device: str = "auto", tell: Callable[[str], None] | None = None, quiet: bool = True) -> Made:
    """Imagine a video and write it to ``out`` (.mp4) as it is made; memory stays flat with its length.

    prompt: what happens; may be "" with image, video or script. seconds: of new video, up to 600. size: (H, W),
    multiples of 32 from 64 to 1024; fps: 1 to 60 (None: what the model was trained at). model: a name, a folder, or
    a loaded World. seed: 0 to 2**63 - 1, None draws one. steps: 1 to 64 denoising steps. takes: 1 to 16 times that
    each line's things are imagined before the best are painted (None: the model's; where a past or an end is given
    nothing is rehearsed). image: the first frame. end_image: the last. loop: the end meets the beginning. video: a
    past to extend; the new seconds are appended to it (at the size and fps of the result) in the output. script: a
    TOML file of texts with times. camera: moves over the whole clip. things: imagine things before painting them;
    things_out: a .jsonl file to write them to.

    model may also be somebody else's (foreign/): a folder with a model_index.json, or owner/name on the hub. Then size,
    fps and steps are met by the nearest that it can make; lora: LoRA weights for it; chunk: seconds that it makes at
    once, at most. paint: such a model paints what ``model`` imagines, guided by paint_from, one of control.KINDS.
    control: a folder to write the control videos to. Finished pieces lie beside ``out`` until it is complete.
    device: of our own model, auto, cpu or cuda. tell: called with each warning or note; quiet: no progress bar.

    Raises BadInput, BadMedia, BadWeights, CannotWrite; Stopped (a KeyboardInterrupt) on Ctrl-C.
    Nothing is ever half-written under the final names.
    """
    import numpy as np

    from reverie.core.image import read_image
    from reverie.core.progress import track
    from reverie.core.video import VideoWriter
    from reverie.foreign.finding import is_foreign
    from reverie.model.record import packed

    began = time.perf_counter()
    tell = tell or (lambda note: None)
    check_numbers(seconds=seconds, size=size, fps=fps, seed=seed, steps=steps, takes=takes,
                  limits=FOREIGN if paint or is_foreign(model) or hasattr(model, "nearest") else OWN)
    _check_together(prompt, image, end_image, loop, video, script, things, things_out, control, chunk)
    prompt = clean_text(prompt) if prompt else ""
    plan = load_script(script, seconds) if script else Script((Line(0.0, prompt),))
    moves = parse_moves(camera) if camera else plan.moves
    if camera and plan.moves:
        raise BadInput("the script moves the camera already: leave out --camera, or its camera lines")
    out = check_output(out, ".mp4")
    if things_out is not None:
        things_out = check_output(things_out, ".jsonl")
    for given in (image, end_image, video):
        _check_readable(given, is_video=given is video)
    seed = secrets.randbits(31) if seed is None else seed

    found: list[str] = []  # notes from before there was a video to note them of

    def note(text: str) -> None:
        found.append(text)
        tell(text)

    world = load_world(model, paint, paint_from, lora, chunk, note, device)
    size, fps = size or tuple(world.default_size), float(fps or world.fps)
    foreign = hasattr(world, "nearest")
    if foreign:
        size, fps = world.nearest(size, fps, note)
        if things_out is not None and not world.imagines_things:
            raise BadInput(f"{world.name} imagines no things that could be written (--things)")
        if takes is not None:
            raise BadInput("takes are of our own model alone: leave out --takes")
    if control is not None and not getattr(world, "imagines_things", True):
        raise BadInput(f"{world.name} imagines no things that control videos could be made of (--control)")
    frames = max(1, round(seconds * fps))
    require_space(out.parent, int(frames * size[0] * size[1] * BYTES_PER_PIXEL * 2) + (1 << 20))
    made = Made(str(out), None if things_out is None else str(things_out), 0, 0.0, fps, size, seed, steps,
                world.hash, 0.0, _unknown_words(world, plan.lines), found)
    if made.unknown_words:
        words = ", ".join(made.unknown_words)
        tell(f"the model never met these words in training and may not understand them: {words}")

    goal = read_image(end_image, size) if end_image else None
    metadata = _provenance(made, prompt, plan, camera, image, end_image, loop, video, things, seconds, takes)
    if foreign:
        metadata |= {"made_with": world.name, "lora": [Path(each).name for each in lora], "chunk": chunk,
                     "painted_from": paint_from if paint else None}
    with contextlib.ExitStack() as stack:
        writer = VideoWriter(out, fps=fps, size=size, metadata=metadata)
        stack.callback(writer.discard)
        try:
            rows = stack.enter_context(writing(things_out)) if things_out is not None else None
            past, known, shown = None, None, 0
            if video:
                past = _copy_past(video, writer, fps, size, note)
                if things and goal is None and not foreign:
                    known, shown = _things_of(video, fps, writer.frames)
            elif image:
                past = read_image(image, size)[None]
            offset = writer.frames
            total = frames + offset
            progress = stack.enter_context(track(frames, "frames", quiet=quiet))
            more: dict = {"past": past} if known is None else {"known": known, "past": past[: len(past) - shown]}
            if foreign:
                more |= {"out": out, "note": note, "watch": lambda step: progress.advance(0, note=step.words())}
            else:
                asked = {"beside": _drawers(model, frames) or None, "takes": takes}
                more |= {name: value for name, value in asked.items() if value is not None}
            if known is not None:
                note("it goes on from the things that the video carries")
            blocks = world.imagine(plan.lines, seconds=seconds + shown / fps, size=size, fps=fps, seed=seed,
                                   steps=steps, goal=goal, loop=loop, moves=moves, things=things, **more)
            vectors = []
            for block in blocks:
                new = block.frames[max(shown - block.start, 0) :][: total - writer.frames]
                writer.write(new)
                if not foreign and block.vectors is not None:
                    vectors.append(block.vectors)
                if rows is not None:
                    _write_things(rows, [row for row in block.things if row["frame"] >= shown], offset - shown, total)
                progress.advance(len(new))
                if writer.frames >= total:
                    break
            if writer.frames < total:
                raise ReverieError(f"the model stopped after {writer.frames} of {total} frames")
            if vectors and (known is not None or not video):
                writer.carried = packed(np.stack([*([] if known is None else known), *vectors]), fps)
            writer.close()
            if foreign:
                list(blocks)  # it is told that all has arrived: it keeps what it made until then
        except KeyboardInterrupt as stop:
            raise Stopped(writer.keep_partial(), writer.encoded / fps) from stop
    if control is not None:
        _write_control(control, world, vectors, size, fps, frames, note)
    made.frames, made.seconds = writer.frames, writer.frames / fps
    made.wall_seconds = time.perf_counter() - began
    return made


def _drawers(model: str | Path | World, frames: int) -> int:
    """How many processes are to draw beside this one: none for who loaded the model, and may have others to serve."""
    alone = isinstance(model, str | Path) and cores() > 1
    return min(cores(), MOST_DRAWERS) if alone and frames >= LONG else 0


def check_numbers(*, seconds: float, size: tuple[int, int] | None, fps: float | None, seed: int | None,
                  steps: int | None, takes: int | None = None, limits: Limits = OWN) -> None:
    """Raise BadInput for the first of these that makes no sense."""
    if not math.isfinite(seconds) or not 0 < seconds <= MAX_SECONDS:
        raise BadInput(f"seconds must be above 0 and at most {MAX_SECONDS:g}, not {seconds:g}")
    if size is not None:
        for side in size:
            if side % limits.step or not limits.least <= side <= limits.most:
                multiple = f"a multiple of {limits.step} " if limits.step > 1 else ""
                raise BadInput(f"size {size[1]}x{size[0]}: each side must be {multiple}from {limits.least} to "
                               f"{limits.most}")
    if fps is not None and not (math.isfinite(fps) and 1 <= fps <= 60):
        raise BadInput(f"fps must be from 1 to 60, not {fps:g}")
    if seed is not None and not 0 <= seed < 2**63:
        raise BadInput(f"seed must be from 0 to 2**63 - 1, not {seed}")
    if steps is not None and not 1 <= steps <= limits.steps:
        raise BadInput(f"steps must be from 1 to {limits.steps}, not {steps}")
    if takes is not None and not 1 <= takes <= MAX_TAKES:
        raise BadInput(f"takes must be from 1 to {MAX_TAKES}, not {takes}")


def _check_together(prompt, image, end_image, loop, video, script, things, things_out, control, chunk) -> None:
    if not prompt and not (image or video or script):
        raise BadInput("the prompt is empty: write what should happen, or give an image, a video or a script")
    if prompt and script:
        raise BadInput("give a prompt or a script, not both: the script holds the texts")
    if image and video:
        raise BadInput("give an image or a video to begin from, not both")
    if loop and end_image:
        raise BadInput("a loop ends where it begins: give no end image with it")
    if loop and video:
        raise BadInput("a video that is extended cannot also loop")
    if control is not None and not things:
        raise BadInput("control videos are made of things: leave out --no-things")
    if chunk is not None and not (math.isfinite(chunk) and 0 < chunk <= MAX_SECONDS):
        raise BadInput(f"--chunk must be above 0 and at most {MAX_SECONDS:g} seconds, not {chunk:g}")
    if things_out is not None and not things:
        raise BadInput("there are no things to write when they are not imagined (no things)")


def _check_readable(path, *, is_video: bool) -> None:
    """Find a missing or broken input before the model is loaded."""
    if path is None:
        return
    from reverie.core.image import read_image
    from reverie.core.video import probe

    if is_video:
        probe(path)
    else:
        read_image(path, (OWN.least, OWN.least))


def load_world(model, paint=None, paint_from: str = "depth", lora: Sequence[str | Path] = (),
               chunk: float | None = None, note: Callable[[str], None] = lambda text: None,
               device: str = "auto") -> World:
    """The world that was asked for: ours, somebody else's, or ours painted by somebody else's; see ``generate``."""
    from reverie.core.runtime import set_threads
    from reverie.foreign.finding import is_foreign

    if isinstance(model, (str, Path)):
        set_threads()
    if is_foreign(model):
        from reverie.foreign.world import ForeignWorld

        if paint:
            raise BadInput("--paint paints what our own model imagines: leave out --model, or --paint")
        return ForeignWorld.load(model, lora=lora, chunk=chunk, tell=note)
    if isinstance(model, (str, Path)):
        from reverie.world import World

        model = World.load(model, device=device)
    if paint:
        from reverie.foreign.painting import PaintedWorld
        from reverie.foreign.world import ForeignWorld

        return PaintedWorld(model, ForeignWorld.load(paint, lora=lora, chunk=chunk, tell=note), paint_from)
    if lora or chunk is not None:
        raise BadInput("--lora and --chunk are for other people's models (--model or --paint)")
    return model


def _write_control(folder, world, vectors: list, size: tuple[int, int], fps: float, frames: int, note) -> None:
    """The control videos of what was imagined."""
    import numpy as np

    from reverie.foreign.control import Happening, write

    happening = getattr(world, "happening", None)
    if happening is None:
        happening = Happening(np.stack(vectors), fps, world.table)
    write(folder, happening, size=size, fps=fps, frames=frames, note=note)


def _things_of(video, fps: float, frames: int):
    """The things (P, S, WIDTH) that a video of so many frames carries, where they are those of its very frames, or
    None; and how many frames there are beyond those of whole latents, which the next latent begins with."""
    from reverie.core.vocabulary import FRAMES_PER_LATENT
    from reverie.model.record import things_of

    known, whole = things_of(video, fps, frames), frames // FRAMES_PER_LATENT
    return (None, 0) if known is None or whole < 1 else (known[:whole], frames % FRAMES_PER_LATENT)


def _unknown_words(world, lines: tuple[Line, ...]) -> list[str]:
    return list(dict.fromkeys(word for line in lines if line.text for word in world.unknown_words(line.text)))


def _copy_past(video, writer, fps: float, size: tuple[int, int], note: Callable[[str], None]):
    """Copy the given video to the output; its last seconds (T, H, W, 3) are what the model sees."""
    import numpy as np

    from reverie.core.video import probe, stream_video

    about = probe(video)
    if abs(about["fps"] - fps) > 0.01:
        note(f"{video} has {about['fps']:.4g} fps; its nearest frames are taken at {fps:g} fps")
    if (about["height"], about["width"]) != size:
        note(f"{video} is {about['width']}x{about['height']}; its middle is scaled to {size[1]}x{size[0]}")
    tail: deque = deque(maxlen=max(1, round(PAST_SECONDS * fps)))
    for frame in stream_video(video, fps=fps, size=size):
        writer.write(frame[None])
        tail.append(frame)
    return np.stack(tail)


def _write_things(rows, things: list[dict], offset: int, total: int) -> None:
    """One JSON object a line; frame numbers are those of the output file."""
    for thing in things:
        frame = thing["frame"] + offset
        if frame < total:
            rows.write(json.dumps({**thing, "frame": frame}, ensure_ascii=False) + "\n")


def _provenance(made: Made, prompt: str, plan: Script, camera: str, image, end_image, loop: bool, video,
                things: bool, seconds: float, takes: int | None) -> dict:
    """What the file says of itself; with it and the same model the video can be made again."""
    from reverie import __version__
    from reverie.core.runtime import commit

    return {
        "made_by": f"reverie {__version__}", "commit": commit(), "model": made.model,
        "prompt": prompt or plan.lines[0].text, "script": [asdict(line) for line in plan.lines],
        "camera": camera or [{"start": start, "moves": ", ".join(move.text for move in moves)}
                             for start, moves in plan.moves],
        "seed": made.seed, "steps": made.steps, "takes": takes, "seconds": seconds, "fps": made.fps,
        "size": f"{made.size[1]}x{made.size[0]}", "things": things, "loop": loop,
        **{key: Path(path).name if path else None
           for key, path in (("image", image), ("end_image", end_image), ("video", video))},
    }
