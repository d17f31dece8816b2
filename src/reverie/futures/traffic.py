"""The futures of a clip of the road: its traffic imagined without a picture, shown from above.

Legend: K futures, T frames, N agents.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from reverie.core.camera import CameraPath
from reverie.core.errors import BadInput
from reverie.core.files import require_space, writing
from reverie.core.progress import track
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.road import found, routes
from reverie.data.road.agents import PAINT_NAMES
from reverie.data.road.trace import KINDS, Trace
from reverie.data.road.world import CHANNELS, Look
from reverie.data.shards import ClipSet
from reverie.futures.above import Above
from reverie.futures.drawing import Comparison, from_above, save, tint
from reverie.futures.drawn import draw_futures
from reverie.futures.making import Futures, provenance
from reverie.futures.tracks import known_divergence
from reverie.futures.wishes import WORDS, Edit, check_edits, read_actions
from reverie.road import Ride, Road, Told, near

F = FRAMES_PER_LATENT
ACTIONS = {channel.name: (channel.unit, float(channel.low), float(channel.high))  # type: ignore[arg-type]
           for channel in CHANNELS[:2]}
SIDEWAYS, TIGHT = 2.2, 0.12  # m/s^2 and 1/m at most of "left" and "right"
BRAKES, GOES, GOES_FOR = -5.0, 2.5, 2.0  # m/s^2 of what is told to brake, and to go; seconds that it goes so
REACH, AROUND, SIDE = 45.0, 20.0, 320  # metres from middle to side at least, and beyond our car; pixels


def road_trace(past: Path, key: str | None) -> tuple[Trace, str, str, Look] | None:
    """The trace of a past that is a clip of the road: a trace's file, or a clip of data; with its name, what is to be
    said of it, and how it looks. None for any other past. Raises BadInput, BadData."""
    if past.suffix == ".npz":
        return found.named(past), str(past), "", Look.of({})
    if not (past.suffix == ".tar" and past.exists() or past.is_dir() and any(past.rglob("*.tar"))):
        return None
    clips = ClipSet(past)
    number = clips.keys.index(key) if key in clips.keys else 0
    if not found.is_road(clips.meta(number)):
        return None
    if key is not None and key not in clips.keys:
        raise BadInput(f"{past} has no clip {key}: its keys are like {clips.keys[0]}")
    trace, said = found.trace_of(clips, number)
    return trace, f"{past} clip {clips.keys[number]}", said, Look.of(clips.meta(number)["provenance"])


def road_futures(trace: Trace, source: str, out: Path, *, count: int, seconds: float, actions: str,
                 edits: Sequence[Edit], seed: int, model: Road, until: float | None, notes: Sequence[str],
                 look: Look | None, mujoco: bool, canvas: Path, tell: Callable[[str], None], quiet: bool) -> Futures:
    """Imagine ``count`` futures of a trace and write them to the folder ``out``, as ``futures`` does. look: they are
    painted so by the model in the file ``canvas``, through every camera, too, or drawn by MuJoCo; None: from above
    alone."""
    began = time.perf_counter()
    end = trace.frames if until is None else round(until * trace.fps)
    if not 2 * F <= end <= trace.frames:
        raise BadInput(f"{source} has {trace.frames / trace.fps:.2f} s: the past ends between {2 * F / trace.fps:.2f} "
                       f"and {trace.frames / trace.fps:.2f} s")
    frame = F * ((end - 1) // F)
    frames = max(1, round(seconds * trace.fps))
    names = _names(trace, frame)
    ride = model.begin(trace, frame, [seed + k for k in range(count)], mapped=len(trace.net.lanes) > 0,
                       arrivals=True)
    check_edits(edits, names, np.isin(np.arange(len(names)), ride.agents))
    for edit in edits:
        if edit.thing == trace.ego:
            raise BadInput(f"thing {edit.thing} is our own car: say what it does with --actions")
    told = _actions(actions, trace, frame, frames)
    if look is not None and not trace.net.lanes:
        if mujoco:
            raise BadInput(f"{source}: nobody knows its roads, so they cannot be drawn")
        look, notes = None, [*notes, "nobody knows its roads, so what the cameras see is not painted"]
    require_space(out, 4 * count * frames * (SIDE * SIDE + (look.pixels if look else 0)) // 8 + (1 << 20))
    made = Futures(str(out), source, (frame + 1) / trace.fps, count, frames / trace.fps, trace.fps, seed, model.name,
                   actions, [edit.text for edit in edits], ["above"], names)
    for text in (*notes, _said(actions, told), _lights(ride)):
        if text:
            made.notes.append(text)
            tell(text)
    _imagine(ride, made, edits, told, frames, quiet)
    _write(ride, trace, frame, made, edits, frames, out, quiet)
    if look is not None:
        if mujoco:
            text = "what the cameras see is drawn by MuJoCo: imagined are the agents, not the pictures"
            made.notes.append(text)
            tell(text)
        traces = [ride.trace_of(k) for k in range(count)]
        draw_futures(traces, trace.place[:, trace.ego], look, made, frames, out, quiet, None if mujoco else canvas)
    made.wall_seconds = round(time.perf_counter() - began, 2)
    with writing(out / "futures.json") as file:
        json.dump(made.as_dict(), file, indent=1, ensure_ascii=False)
    return made


def _names(trace: Trace, frame: int) -> list[str]:
    """What each agent of the trace is called, and where it is when the past ends."""
    there = set(near(trace, frame).tolist())
    gaps = trace.place[frame] - trace.place[frame, trace.ego]
    heading = float(trace.heading[frame, trace.ego])
    ahead = gaps @ (np.cos(heading), np.sin(heading))
    left = gaps @ (-np.sin(heading), np.cos(heading))
    names = []
    for n, kind in enumerate(trace.kinds):
        name = f"{PAINT_NAMES[int(trace.paints[n])]} {kind}"
        if n == trace.ego:
            names.append(f"{name}, our own")
        elif n not in there:
            names.append(f"{name}, far away")
        else:
            names.append(f"{name}, {abs(ahead[n]):.0f} m {'ahead' if ahead[n] >= 0 else 'behind'}, "
                         f"{abs(left[n]):.0f} m {'left' if left[n] >= 0 else 'right'}")
    return names


def _actions(actions: str, trace: Trace, frame: int, frames: int) -> np.ndarray | None:
    """Our car's actions (T, 2) that a word or a table asks for, None for its own."""
    if actions == "none":
        return None
    if actions not in WORDS:
        return read_actions(actions, frames=frames, fps=trace.fps, channels=ACTIONS).astype(np.float32)
    speed = float(trace.speed[frame, trace.ego])
    bend = float(trace.actions[max(frame - 1, 0), 0])
    turn = min(TIGHT, SIDEWAYS / max(speed, 1.0) ** 2)
    row = {"keep": (bend, 0.0), "left": (turn, 0.0), "right": (-turn, 0.0), "brake": (bend, BRAKES)}[actions]
    return np.tile(np.array(row, np.float32), (frames, 1))


def _said(actions: str, told: np.ndarray | None) -> str:
    """What an action word came to."""
    if told is None or actions not in WORDS:
        return ""
    return f"for {actions} our car has a curvature of {told[0, 0]:.3f} 1/m and {told[0, 1]:g} m/s^2 all the time"


def _lights(ride: Ride) -> str:
    """What becomes of the lights."""
    if ride.programs and ride.programs[0].known.all():
        return ""
    return "nobody knows the programs of the lights: they stay as the past's end shows them, but yellow becomes red"


# -- what happens -------------------------------------------------------------------------------------


def _imagine(ride: Ride, made: Futures, edits: Sequence[Edit], actions: np.ndarray | None, frames: int, quiet: bool
             ) -> None:
    """All futures together, latent by latent."""
    latents = -(-frames // F)
    with track(latents, "latents", quiet=quiet) as bar:
        for n in range(latents):
            for edit in edits:
                _tell(ride, edit, n, made)
            rows = None
            if actions is not None:
                chosen = actions[(n * F + np.arange(F)).clip(max=len(actions) - 1)]
                rows = np.broadcast_to(chosen, (made.count, F, 2))
            ride.step(rows)
            bar.advance()


def _tell(ride: Ride, edit: Edit, n: int, made: Futures) -> None:
    """Let an agent do otherwise in latent n, in every future."""
    agent = int(np.flatnonzero(ride.agents == edit.thing)[0])
    first = int(edit.at * made.fps / F)
    drive, count = ride.drive, made.count
    if edit.deed == "go" and n == first + round(GOES_FOR * made.fps / F):
        for k in range(count):
            drive.told.pop((k, agent), None)
    if n != first:
        return
    if edit.deed == "vanish":
        drive.now.there[:, agent] = False
        drive.now.count[:, agent] = 0
    elif edit.deed in ("brake", "go"):
        drive.told |= {(k, agent): BRAKES if edit.deed == "brake" else GOES for k in range(count)}
    else:
        changed = [_change(ride, k, agent, 1 if edit.deed == "left" else -1) for k in range(count)]
        if not all(changed):
            made.notes.append(f"{edit.text}: there is no lane on that side in {changed.count(False)} of {count} "
                              "futures")


def _change(ride: Ride, k: int, agent: int, side: int) -> bool:
    """Let an agent of future k make for the lane beside; whether there is one. side: 1 left, -1 right."""
    if ride.roads is None:
        return False
    pose = ride.drive.now.past[k, agent, -1].numpy().astype(float)
    lane = routes.lane_at(ride.roads, pose[:2], float(pose[2]))
    lanes = ride.roads.net.lanes
    other = next((m for m in ride.roads.net.beside(lane) if lanes[m].index == lanes[lane].index + side),
                 None) if lane >= 0 else None
    if other is None:
        return False
    ride.put(k, agent, ride.roads.chain(ride.roads.extended([(other, 1)], 150.0, ride.chances[k])))
    return True


# -- what is written ----------------------------------------------------------------------------------


def _write(ride: Ride, trace: Trace, frame: int, made: Futures, edits: Sequence[Edit], frames: int, out: Path,
           quiet: bool) -> None:
    from reverie.core.video import VideoWriter
    from reverie.data.sheet import contact_sheet

    told, agents = ride.told(), ride.agents
    marked = [int(np.flatnonzero(agents == edit.thing)[0]) for edit in edits]
    ways = np.concatenate([trace.place[frame, trace.ego][None], told.place[:, :frames, told.ego].reshape(-1, 2)])
    low, high = ways.min(0), ways.max(0)
    above = Above(trace.net if len(trace.net.lanes) else None, (low + high) / 2,
                  max(REACH, float((high - low).max()) / 2 + AROUND), SIDE)
    there = agents[agents < len(trace.kinds)].tolist()
    views, rows = [], []
    with track((made.count + 1) * frames, "frames drawn", quiet=quiet) as bar:
        for k in range(made.count):
            path = out / f"future-{k + 1}.mp4"
            with VideoWriter(path, fps=made.fps, size=(SIDE, SIDE), metadata=provenance(made, k)) as video:
                view = np.stack([_seen(above, told, k, t, marked) for t in range(frames)])
                video.write(view)
            bar.advance(frames)
            views.append(view)
            rows.append(_rows(told, k, frames, made.fps))
            with writing(out / f"future-{k + 1}.jsonl") as file:
                for row in rows[-1]:
                    file.write(json.dumps({"future": k + 1, **row}, ensure_ascii=False) + "\n")
            made.futures.append({"video": str(path), "tracks": str(out / f"future-{k + 1}.jsonl"),
                                 "things": int(told.there[k, :frames].any(0).sum()),
                                 "came": int(ride.used[k].sum()) - len(there),
                                 "left": int((told.there[k, :frames].any(0) & ~told.there[k, frames - 1]).sum())})
        curves = [("agents apart, metres", known_divergence(rows, frames, there)),
                  ("our car apart, metres", known_divergence([[r for r in some if r["thing"] == trace.ego]
                                                              for some in rows], frames, [trace.ego]))]
        if made.count == 1:
            curves = []
        comparison = Comparison(views, curves, made.fps)
        with VideoWriter(out / "compare.mp4", fps=made.fps, size=comparison.size, metadata=provenance(made, 0)) as film:
            for page in comparison.frames():
                film.write(page[None])
                bar.advance()
    texts = [f"future {k + 1} (seed {made.seed + k})" for k in range(made.count)]
    after = trace.frames - 1 - frame
    if after > F:
        views.append(np.stack([_true(above, trace, frame + 1 + t) for t in range(min(after, frames))]))
        texts.append(f"what followed in truth, {len(views[-1]) / made.fps:.1f} s of it")
    save(contact_sheet(views, texts, 6, cell_height=220), out / "sheet.png")
    paths = [_way(told, k, frames) for k in range(made.count)]
    save(from_above(paths, [f"future {k + 1}" for k in range(made.count)]), out / "paths.png")
    for k, way in enumerate(paths):
        made.futures[k]["path"] = [[round(float(v), 3) for v in spot[:2]] for spot in way.position[::F]]
        made.futures[k]["actions"] = [[round(float(v), 4) for v in row] for row in told.actions[k, :frames:F]]
    for name, values in curves:
        every = values[:: max(1, round(made.fps))]
        made.divergence[name] = [None if not np.isfinite(v) else round(float(v), 4) for v in every]


def _seen(above: Above, told: Told, k: int, t: int, marked: Sequence[int]) -> np.ndarray:
    """Frame t of future k from above, with the ways that were gone."""
    gone, there = told.place[k, : t + 1 : F], told.there[k, : t + 1 : F]
    trails = [(gone[there[:, n], n], tint(k)) for n in np.flatnonzero(told.there[k, t])]
    return above.picture([KINDS[n] for n in told.kind[k]], told.paint[k], told.size[k], told.there[k, t],
                         told.place[k, t], told.heading[k, t], told.ego, lights=told.signals[k, t], marked=marked,
                         trails=trails)


def _true(above: Above, trace: Trace, t: int) -> np.ndarray:
    return above.picture(trace.kinds, trace.paints, trace.size, trace.exists[t], trace.place[t], trace.heading[t],
                         trace.ego, lights=trace.signals[t])


def _rows(told: Told, k: int, frames: int, fps: float) -> list[dict]:
    """A row per agent and frame: frame, time, thing, kind, colour, position [x, y, z] in metres, heading in radians,
    velocity [x, y] in m/s."""
    rows = []
    for t in range(frames):
        for n in np.flatnonzero(told.there[k, t]):
            thing, tall = int(told.agents[n]), float(told.size[k, n, 2])
            heading, speed = float(told.heading[k, t, n]), float(told.speed[k, t, n])
            rows.append({"frame": t, "time": round(t / fps, 4), "thing": thing, "kind": KINDS[told.kind[k, n]],
                         "colour": PAINT_NAMES[int(told.paint[k, n])],
                         "position": [*(round(float(v), 3) for v in told.place[k, t, n]),
                                      round(tall / 2, 3)],
                         "heading": round(heading, 4), "velocity": [round(speed * float(np.cos(heading)), 3),
                                                                    round(speed * float(np.sin(heading)), 3)]})
    return rows


def _way(told: Told, k: int, frames: int) -> CameraPath:
    """The way of our car in a future, as a camera's."""
    place, heading = told.place[k, :frames, told.ego], told.heading[k, :frames, told.ego]
    cos, sin, flat = np.cos(heading), np.sin(heading), np.zeros_like(heading)
    turn = np.stack([np.stack([sin, flat, -cos], -1), np.stack([-cos, flat, -sin], -1),
                     np.stack([flat, flat + 1, flat], -1)], -2)
    position = np.concatenate([place, np.ones((len(place), 1))], -1)
    return CameraPath(position.astype(np.float32), turn.astype(np.float32), 60.0)
