"""From a past to the several futures that could follow it: files around World.dream.

Legend: K futures, T frames of each.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reverie.core.camera import CameraPath
from reverie.core.clip import Line
from reverie.core.errors import BadInput, CannotWrite
from reverie.core.files import require_space, writing
from reverie.core.progress import track
from reverie.core.script import clean_text
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.futures.driven import Driving, driven_on, past_driven
from reverie.futures.wishes import WORDS, Edit, check_edits, parse_edit, rates_of, read_actions, told_of

if TYPE_CHECKING:
    from reverie.futures.past import Past
    from reverie.world import Dream, World

MOST, LONGEST = 16, 60.0  # futures, and seconds of each
F = FRAMES_PER_LATENT


@dataclass
class Futures:
    """What ``futures`` made in the folder ``output``. things: those of the past, by number; divergence: curves over
    time, each second's value; futures: the files of each."""

    output: str
    past: str
    past_seconds: float
    count: int
    seconds: float
    fps: float
    seed: int
    model: str
    actions: str
    edits: list[str]
    cameras: list[str]
    things: list[str]
    futures: list[dict] = field(default_factory=list)
    divergence: dict[str, list] = field(default_factory=dict)
    wall_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict:
        """JSON-ready."""
        return asdict(self)


@dataclass
class _Future:
    """One future while it is made: of each camera a dream and its frames; rows of its things; poses of its camera."""

    dreams: list[Dream]
    frames: list[list[np.ndarray]]
    rows: list[dict] = field(default_factory=list)
    poses: list[CameraPath] = field(default_factory=list)

    def view(self, camera: int) -> np.ndarray:
        """(T, H, W, 3) of one camera."""
        return np.concatenate(self.frames[camera])

    def path(self) -> CameraPath | None:
        """The way of its first camera."""
        positions, rotations = [p.position for p in self.poses], [p.rotation for p in self.poses]
        if not positions:
            return None
        return CameraPath(np.concatenate(positions), np.concatenate(rotations), self.poses[-1].fovy)


def futures(past: str | Path | Sequence[str | Path], out: str | Path = "futures", *, count: int = 4,
            seconds: float = 10.0, actions: str | Path = "none", edits: Sequence[str] = (), prompt: str = "",
            seed: int = 0, model: str | Path | World = "base", key: str | None = None, until: float | None = None,
            draw: bool = False, painted: bool = True, tell: Callable[[str], None] | None = None,
            quiet: bool = True) -> Futures:
    """Imagine ``count`` futures of a past and write them to the folder ``out``.

    past: a video, several cameras' videos, a recorded log, or a folder or shard of clips (key: which one; until: the
    second at which its past ends). actions: how the camera moves, or of a model of a log the car: a word of
    wishes.WORDS or a CSV of rates. edits: what things of a known past do otherwise, like "3: brake at 1.5". Future k
    has seed + k - 1. Written for each future k: future-k.mp4, with several cameras tiled, and each as
    future-k-CAMERA.mp4; future-k.jsonl, its tracks; future-k-tracks.mp4, them drawn. For all: compare.mp4, sheet.png,
    paths.png and futures.json. Of a clip of the road (unless ``painted`` is False) what its cameras would see, as
    future-k-seen.mp4 and future-k-CAMERA.mp4, painted by the model; draw: by MuJoCo.
    Raises BadInput, BadMedia, BadData, BadWeights, CannotWrite; KeyboardInterrupt says what is kept.
    """
    from reverie.futures.past import read_past
    from reverie.futures.traffic import road_futures, road_trace
    from reverie.painter import canvas_file

    began = time.perf_counter()
    wanted = _checked(count, seconds, seed, edits)
    prompt, actions = clean_text(prompt) if prompt else "", str(actions)
    if actions not in WORDS and not Path(actions).exists():
        raise BadInput(f"actions {actions[:80]}: give a CSV file, or one of {', '.join(WORDS)}")
    paths = [past] if isinstance(past, (str, Path)) else list(past)
    if len(paths) == 1 and (road := road_trace(Path(paths[0]), key)) is not None:
        trace, source, said, look = road
        if prompt:
            raise BadInput(f"{source} is of the road, whose model has learned no words: leave out the prompt")
        return road_futures(trace, source, _folder(out), count=count, seconds=seconds, actions=actions,
                            edits=wanted, seed=seed, model=_road_model(model), until=until, notes=[said] * bool(said),
                            look=look if draw or painted else None, mujoco=draw, canvas=canvas_file(model),
                            tell=tell or (lambda _: None), quiet=quiet)
    if draw:
        raise BadInput("only clips of the road are drawn by the simulator: leave out --draw")
    out = _folder(out)
    world = _loaded(model)
    size, config = tuple(world.default_size), world.transformer.config
    given = read_past(paths, size=size, fps=world.fps, least=config.views_window * F, slots=config.slots, key=key,
                      until=until)
    frames = max(1, round(seconds * given.fps))
    driven = past_driven(given, config)
    driving = None if driven is None else driven_on(actions, config.drive, driven, frames=frames, fps=given.fps)
    if driven is None and actions not in WORDS:
        read_actions(actions, frames=frames, fps=given.fps)
    _check_known(given, wanted)
    cameras = list(given.cameras)[: 1 if given.known is not None or config.of_a_log else None] or ["front"]
    require_space(out, int(4 * count * len(cameras) * frames * size[0] * size[1] * 0.12) + (1 << 20))
    made = Futures(str(out), given.source, given.seconds, count, frames / given.fps, given.fps, seed, world.hash,
                   actions, [edit.text for edit in wanted], cameras, list(given.names))

    def note(text: str) -> None:
        made.notes.append(text)
        (tell or (lambda _: None))(text)

    for text in given.notes:
        note(text)
    if given.known is None and len(cameras) > 1:
        note("the model has learned one camera: each goes on by itself, and they need not agree")
    pasts = ([{"known": given.known}] if given.known is not None else
             [{"past": world.seen(given.cameras[name], given.fps), "driven": driven} for name in cameras])
    whole = [_begin(world, given.fps, pasts, prompt, seed + k) for k in range(count)]
    _dream(whole, made, wanted, frames, driving, out, note, quiet)
    _finish(whole, made, given, frames, out, note, quiet)
    made.wall_seconds = round(time.perf_counter() - began, 2)
    with writing(out / "futures.json") as file:
        json.dump(made.as_dict(), file, indent=1, ensure_ascii=False)
    return made


def _road_model(model: str | Path | World):
    from reverie.core.runtime import set_threads
    from reverie.road import Road

    set_threads()
    given = Path(model) if isinstance(model, (str, Path)) and Path(model).exists() else None
    return Road.load(given)


def _checked(count: int, seconds: float, seed: int, edits: Sequence[str]) -> list[Edit]:
    if not 1 <= count <= MOST:
        raise BadInput(f"{count} futures: give 1 to {MOST}")
    if not (math.isfinite(seconds) and 0.1 <= seconds <= LONGEST):
        raise BadInput(f"futures of {seconds:g} s: give 0.1 to {LONGEST:g}")
    if not 0 <= seed < 2**62:
        raise BadInput(f"seed must be from 0 to 2**62 - 1, not {seed}")
    return [parse_edit(text, seconds) for text in edits]


def _folder(out: str | Path) -> Path:
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"cannot write to {out}: {error.strerror or error}") from None
    return out


def _loaded(model: str | Path | World) -> World:
    if isinstance(model, (str, Path)):
        from reverie.core.runtime import set_threads
        from reverie.world import World

        set_threads()
        return World.load(model)
    return model


def _check_known(given: Past, edits: Sequence[Edit]) -> None:
    if edits and given.known is None:
        raise BadInput(f"{given.source}: nobody knows its things, so none can be told to do otherwise: --edit needs a "
                       "clip of the lab with its truth, or a video that carries its things")
    if given.known is not None:
        check_edits(edits, given.names, given.known[-1][:, 0] > 0)


def _begin(world: World, fps: float, pasts: list[dict], prompt: str, seed: int) -> _Future:
    dreams = [world.dream([Line(0.0, prompt)], fps=fps, seed=seed, **past) for past in pasts]
    return _Future(dreams, [[] for _ in dreams])


def _dream(whole: list[_Future], made: Futures, edits: Sequence[Edit], frames: int, driving: Driving | None, out: Path,
           note: Callable[[str], None], quiet: bool) -> None:
    """Step all dreams together, and write their videos as they are made."""
    from reverie.world import step_together, take_in_pasts

    dreams = [dream for future in whole for dream in future.dreams]
    latents, fps, targets = math.ceil(frames / F), made.fps, {}
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(track(latents * len(dreams), "latents", quiet=quiet))
        take_in_pasts(dreams)
        seen = dreams[0].camera
        told = told_of(made.actions, seen, fps) if driving is None else driving.said
        rates = [rates_of(made.actions, latents=latents, frames=frames, fps=fps, seen=dream.camera)
                 if driving is None else driving.rates for dream in dreams]
        if told:
            note(told)
        writers = _Writers(out, made, dreams[0].size, stack)
        try:
            for n in range(latents):
                inputs = []
                for d, dream in enumerate(dreams):
                    acts = [edit for edit in edits if edit.holds(n, fps)]
                    given = {edit.thing: _told(edit, dream, n, targets, d) for edit in acts}
                    inputs.append({"rates": rates[d][n], "given": given})
                blocks = iter(step_together(dreams, inputs))
                for future in whole:
                    _keep(future, blocks, frames)
                writers.write(whole)
                progress.advance(len(dreams))
            writers.close()
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(f"stopped: {writers.keep()}") from stop


def _told(edit: Edit, dream: Dream, n: int, targets: dict, d: int):
    """What a thing that is told to do otherwise is given in latent n."""
    import torch

    tokens = torch.from_numpy(dream.tokens)
    if (d, edit) not in targets:
        targets[d, edit] = edit.target(tokens)
    return edit.vector(n, tokens, targets[d, edit], dream.fps)


def _keep(future: _Future, blocks, frames: int) -> None:
    for c, dream in enumerate(future.dreams):
        block = next(blocks)
        rest = frames - block.start
        future.frames[c].append(block.frames[:rest])
        if c == 0:
            future.rows += [row for row in block.things if row["frame"] < frames]
            if dream.camera is not None:
                future.poses.append(dream.camera[:rest])


class _Writers:
    """The videos of all futures while they grow."""

    def __init__(self, out: Path, made: Futures, size: tuple[int, int], stack: contextlib.ExitStack) -> None:
        from reverie.core.video import VideoWriter
        from reverie.futures.drawing import tiled

        self.tiled, self.fps, self.out = tiled, made.fps, out
        several = len(made.cameras) > 1
        shape = tiled([np.zeros((1, *size, 3), np.uint8)] * len(made.cameras)).shape[1:3]
        self.all: list[tuple] = []  # writer, future, camera (None: all)
        for k in range(made.count):
            files = {None: out / f"future-{k + 1}.mp4"}
            if several:
                files |= {c: out / f"future-{k + 1}-{name}.mp4" for c, name in enumerate(made.cameras)}
            for camera, path in files.items():
                writer = VideoWriter(path, fps=made.fps, size=shape if camera is None else size,
                                     metadata=provenance(made, k))
                stack.callback(writer.discard)
                self.all.append((writer, k, camera))
            made.futures.append({"video": str(files[None]),
                                 **({"cameras": [str(files[c]) for c in range(len(made.cameras))]} if several else {})})

    def write(self, whole: list[_Future]) -> None:
        """The newest frames of all futures."""
        for writer, k, camera in self.all:
            newest = [frames[-1] for frames in whole[k].frames]
            writer.write(self.tiled(newest) if camera is None else newest[camera])

    def close(self) -> None:
        """All are complete."""
        for writer, _, _ in self.all:
            writer.close()

    def keep(self) -> str:
        """What is left of them, in words."""
        kept = [writer.keep_partial() for writer, _, _ in self.all]
        seconds = min(writer.encoded for writer, _, _ in self.all) / self.fps
        return (f"the first {seconds:.1f} s are in {len(kept)} videos like {kept[0]}" if all(kept) else
                "there was nothing yet to keep")


def provenance(made: Futures, k: int) -> dict:
    """What a future's video says of itself."""
    from reverie import __version__
    from reverie.core.runtime import commit

    return {"made_by": f"reverie {__version__}", "commit": commit(), "model": made.model, "past": made.past,
            "future": k + 1, "seed": made.seed + k, "actions": made.actions, "edits": made.edits,
            "seconds": made.seconds, "fps": made.fps}


# -- what is told of them -----------------------------------------------------------------------------


def _finish(whole: list[_Future], made: Futures, given: Past, frames: int, out: Path, note: Callable[[str], None],
            quiet: bool) -> None:
    """Tracks, comparisons and ways."""
    from reverie.core.video import VideoWriter
    from reverie.futures import drawing, tracks

    views = [future.view(0) for future in whole]
    rows = [future.rows for future in whole]
    curves = [("pixels apart, share of white", tracks.pixel_divergence(views))]
    if given.known is not None:
        there = [n for n in range(len(given.names)) if given.known[-1][n, 0] > 0]
        curves.append(("things of the past apart, metres", tracks.known_divergence(rows, frames, there)))
    elif why := tracks.observer_is_there():
        note(why)
        rows = [[] for _ in whole]
    else:
        with track(len(whole), "futures looked at", quiet=quiet) as progress:
            rows = []
            for view in views:
                rows.append(tracks.observed(view, made.fps))
                progress.advance()
        if any(not row["sure"] for some in rows for row in some):
            note('some tracks are of nothing that the observer knows ("sure": false)')
        curves.append(("seen things apart, share of width",
                       tracks.seen_divergence(rows, frames, made.fps, views[0].shape[2])))
    comparison = drawing.Comparison(views, curves, made.fps)
    with track((len(whole) + 1) * frames, "frames drawn", quiet=quiet) as progress:
        about = provenance(made, 0)
        with VideoWriter(out / "compare.mp4", fps=made.fps, size=comparison.size, metadata=about) as video:
            for frame in comparison.frames():
                video.write(frame[None])
                progress.advance()
        for k, view in enumerate(views):
            _write_tracks(view, rows[k], made, k, out)
            progress.advance(frames)
    _sheet(views, given, made, out)
    ways = [drawing.from_its_start(way) for future in whole if (way := future.path()) is not None]
    if ways:
        drawing.save(drawing.from_above(ways, [f"future {k + 1}" for k in range(len(ways))]), out / "paths.png")
        for k, way in enumerate(ways):
            made.futures[k]["path"] = [[round(float(v), 3) for v in spot] for spot in way.position[::F]]
        if given.known is None:
            note("the camera's ways are the model's own reading of the past's pictures, not measured")
    for name, values in curves:
        every = values[:: max(1, round(made.fps))]
        made.divergence[name] = [None if not np.isfinite(v) else round(float(v), 4) for v in every]


def _write_tracks(view: np.ndarray, rows: list[dict], made: Futures, k: int, out: Path) -> None:
    """A future's tracks as JSON lines, and drawn over its first camera's video."""
    from reverie.core.video import VideoWriter
    from reverie.data.sheet import frame_boxes
    from reverie.futures.drawing import enlargement
    from reverie.futures.tracks import boxes_of

    with writing(out / f"future-{k + 1}.jsonl") as file:
        for row in rows:
            file.write(json.dumps({"future": k + 1, **row}, ensure_ascii=False) + "\n")
    boxes, names = boxes_of(rows, len(view))
    times = enlargement(view.shape[1:3])
    path = out / f"future-{k + 1}-tracks.mp4"
    with VideoWriter(path, fps=made.fps, size=(view.shape[1] * times, view.shape[2] * times),
                     metadata=provenance(made, k)) as video:
        for start in range(0, len(view), 32):
            part = slice(start, start + 32)
            video.write(frame_boxes(view[part], boxes[part], names, scale=times))
    made.futures[k] |= {"tracks": str(out / f"future-{k + 1}.jsonl"), "tracks_video": str(path),
                        "things": len(names)}


def _sheet(views: list[np.ndarray], given: Past, made: Futures, out: Path) -> None:
    from reverie.data.sheet import contact_sheet
    from reverie.futures.drawing import save

    rows, texts = list(views), [f"future {k + 1} (seed {made.seed + k})" for k in range(len(views))]
    if given.cameras:
        rows.insert(0, next(iter(given.cameras.values())))
        texts.insert(0, f"the past: its last {given.seconds:.1f} s")
    if given.after is not None and len(given.after):
        rows.append(given.after[: len(views[0])])
        texts.append(f"what followed in truth, {len(rows[-1]) / made.fps:.1f} s of it")
    save(contact_sheet(rows, texts, cell_height=128), out / "sheet.png")
