"""The painter of the road: what a car's cameras see of a trace, by the road's canvas, without MuJoCo.

    painter = Painter(trace, look.weather, look.size, look.seed)
    painter.at(t); painter.through(path, t, width / height); painter.picture(out)

It stands in for ``data.road.drawing.Stage``. Legend: T frames, N agents.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reverie.core.camera import CameraPath
from reverie.core.errors import BadInput
from reverie.data.road.agents import PAINTS
from reverie.data.road.net import along
from reverie.data.road.town import Post, Town, built
from reverie.data.road.trace import KINDS, Trace
from reverie.data.road.weather import Weather
from reverie.data.road.world import Look
from reverie.data.scenes.bodies import make
from reverie.data.scenes.gaits import STRIDE
from reverie.model.checkpoint import content_hash
from reverie.model.road.canvas import RoadCanvas
from reverie.model.road.eye import Eye, Moment
from reverie.model.road.sights import Sight, looked
from reverie.model.road.streets import PARTS, Flats, Solids, Streets

WEIGHTS = Path(__file__).parent / "weights" / "road_canvas.safetensors"
BRAKES = -0.8  # m/s^2 from which brake lights are lit
SIDES = (16, 1024)  # pixels of a picture's sides
_FACETS = 0.98  # of a ball's radius is left where it is drawn with flat faces
_BULBS = ((0.95, 0.08, 0.05), (1.0, 0.75, 0.05), (0.10, 0.90, 0.30))  # what a light shows, as trace.LIGHTS has them


class Painter:
    """A trace ready to be painted, in (H, W) pixels. Our car's place and heading are read from the trace when they are
    needed. way (K, 2): places around which the town is built, if not our car's in the trace. canvas: None paints with
    what ships. Raises BadInput for a size that is none and for a trace without a net, BadWeights."""

    def __init__(self, trace: Trace, weather: Weather, size: tuple[int, int], seed: int, way: np.ndarray | None = None,
                 canvas: RoadCanvas | None = None) -> None:
        height, width = size
        if not all(isinstance(v, int | np.integer) and SIDES[0] <= v <= SIDES[1] for v in size):
            raise BadInput(f"a picture of {height} x {width} cannot be painted: give {SIDES[0]} to {SIDES[1]} pixels "
                           "each way")
        if not trace.net.lanes:
            raise BadInput("nobody knows the roads of this trace, so they cannot be painted")
        self.trace, self.size = trace, (int(height), int(width))
        self.canvas = canvas or shipped()[0]
        self.streets = streets_of(built(trace.net, trace.place[:, trace.ego] if way is None else way, seed))
        self.weather = _numbers(weather, seed)
        self.others = np.array([n for n in range(len(trace.kinds)) if n != trace.ego], int)
        self.kind = torch.tensor([KINDS.index(trace.kinds[n]) for n in self.others], dtype=torch.long)
        self.paint = torch.tensor([PAINTS[trace.paints[n]] for n in self.others], dtype=torch.float32).view(-1, 3)
        self.half = torch.from_numpy(trace.size[self.others].astype(np.float32) / 2)
        self.moment: Moment | None = None
        self.eye: Eye | None = None
        self.now = 0

    def at(self, t: int, without: int | None = None) -> None:
        """Put everybody where they are in a frame; without: an agent that is left out."""
        trace, here = self.trace, self.trace.exists[t, self.others] & (self.others != without)
        some, rows = torch.from_numpy(np.flatnonzero(here)), self.others[here]
        pose = np.column_stack([trace.place[t, rows], trace.heading[t, rows]]).astype(np.float32)
        ego = trace.ego
        slowing = (trace.speed[max(t, 1), rows] - trace.speed[max(t, 1) - 1, rows]) * trace.fps < BRAKES
        ours = torch.tensor([*trace.place[t, ego], trace.heading[t, ego]], dtype=torch.float32)
        self.moment = Moment(ours, self.kind[some], self.paint[some], self.half[some], torch.from_numpy(pose),
                             torch.from_numpy(slowing.astype(np.float32)), torch.from_numpy(_strides(trace, t, rows)),
                             torch.from_numpy(trace.signals[t].astype(np.int64)), self.weather)

    def through(self, path: CameraPath, t: int, aspect: float, now: int | None = None) -> None:
        """Look through a camera at pose t of its path."""
        del aspect, now
        spot = 2 * float(np.tan(np.radians(path.fovy) / 2)) / self.size[0]
        self.eye = Eye(torch.from_numpy(np.asarray(path.position[t], np.float32)),
                       torch.from_numpy(np.asarray(path.rotation[t], np.float32)), spot, *self.size)

    def sight(self, pixels: torch.Tensor | None = None) -> Sight:
        """What is to be painted; pixels: see model.road.sights.looked."""
        with torch.no_grad():
            return looked(self.streets, self.moment, self.eye, pixels)

    def picture(self, out: np.ndarray) -> None:
        """Paint into ``out``, uint8 (H, W, 3)."""
        with torch.inference_mode():
            made = self.canvas(self.sight()).picture
            out[:] = (made.clamp(0, 1) * 255).round().to(torch.uint8).view(*self.size, 3).numpy()


@lru_cache(maxsize=2)
def shipped(path: Path = WEIGHTS) -> tuple[RoadCanvas, str]:
    """A canvas from its file, and its name and hash. Raises BadWeights."""
    return RoadCanvas.load(path)[0], f"{path.stem} {content_hash(path)}"


def canvas_file(model: object) -> Path:
    """The file of a model's canvas: the model folder's own where it has one, or what ships."""
    own = Path(model) / WEIGHTS.name if isinstance(model, (str, Path)) else WEIGHTS
    return own if own.exists() else WEIGHTS


@contextlib.contextmanager
def stage_of(trace: Trace, look: Look, way: np.ndarray, canvas: Path | None) -> Iterator[Any]:
    """What draws a trace: a Painter with a canvas' file, or MuJoCo's Stage. way (K, 2): what its town is around."""
    if canvas is not None:
        yield Painter(trace, look.weather, look.size, look.seed, way, shipped(canvas)[0])
        return
    from reverie.data.road.drawing import staged

    with staged(trace, look.weather, look.size, look.seed, way) as stage:
        yield stage


def filmed(stage: Any, trace: Trace, look: Look, frames: Sequence[int]) -> np.ndarray:
    """What our car's cameras see in some frames of a trace, from what draws it: uint8 (cameras, frames, H, W, 3)."""
    own, (height, width) = (trace.place[:, trace.ego], trace.heading[:, trace.ego]), look.size
    paths = [mount.path(*own, look.size) for mount in look.mounts]
    views = np.empty((len(paths), len(frames), height, width, 3), np.uint8)
    for n, t in enumerate(frames):
        stage.at(t)
        for view, path in zip(views, paths, strict=True):
            stage.through(path, t, width / height)
            stage.picture(view[n])
    return views


def streets_of(town: Town) -> Streets:
    """A town as rays ask for it."""
    flats, what = [], []
    for k, name in enumerate(("road", "pavement", "white", "yellow")):
        quads = np.concatenate([np.zeros((0, 4, 2)), *town.meshes[name].flats])
        flats.append(torch.from_numpy(quads))
        what.append(torch.full((len(quads),), k))
    corners, kinds = torch.cat(flats), torch.cat(what)
    raised = flats[1]
    rows = [part for post in town.posts for part in _parts(post)]
    kind, place, heading, half, tint, signal, shows = zip(*rows, strict=True) if rows else ((),) * 7
    solids = Solids(torch.tensor([PARTS.index(k) for k in kind], dtype=torch.long), _floats(place), _floats(heading, 0),
                    _floats(half), _floats(tint), torch.tensor(signal, dtype=torch.long),
                    torch.tensor(shows, dtype=torch.long))
    lamps = [post.at for post in town.posts if post.what == "lamp"]
    return Streets(Flats(corners, kinds, 4), Flats(raised, torch.zeros(len(raised), dtype=torch.long), 1), solids,
                   _floats(lamps, 2))


def _floats(rows, columns: int = 3) -> torch.Tensor:
    return torch.tensor(np.array(rows, np.float32)).view(-1, columns) if columns else torch.tensor(
        np.array(rows, np.float32))


def _parts(post: Post) -> list[tuple]:
    """Part, place, heading, half sizes, tint, signal and letter of each solid of something that stands."""
    cos, sin = np.cos(post.heading), np.sin(post.heading)

    def part(kind: str, ahead: float, up: float, half: tuple, tint: tuple, shows: int = -1) -> tuple:
        at = (post.at[0] + ahead * cos, post.at[1] + ahead * sin, up)
        return kind, at, post.heading, half, tint, post.number, shows

    if post.what == "house":
        length, depth, height = post.size
        return [part("wall", 0, height / 2, (length / 2, depth / 2, height / 2), post.tint),
                part("roof", 0, height + 0.1, (length / 2 + 0.2, depth / 2 + 0.2, 0.2), (0.35, 0.33, 0.32))]
    height = post.size[0]
    if post.what == "tree":
        crown = post.size[1]
        return [part("trunk", 0, height / 3, (0.14, 0.14, height / 3), (0.34, 0.25, 0.17)),
                part("crown", 0, 0.68 * height, (_FACETS * crown, _FACETS * crown, _FACETS * 0.4 * height), post.tint)]
    if post.what == "lamp":
        return [part("pole", 0, height / 2, (0.07, 0.07, height / 2), (0.30, 0.31, 0.33)),
                part("head", 0.3, height, (0.35, 0.12, 0.06), (1.0, 0.95, 0.75))]
    return [part("pole", 0, height / 2, (0.06, 0.06, height / 2), (0.25, 0.26, 0.27)),
            part("case", 0, height - 0.2, (0.12, 0.2, 0.5), (0.07, 0.07, 0.08)),
            *(part("bulb", -0.14, height + 0.1 - 0.3 * n, (0.13,) * 3, tint, n) for n, tint in enumerate(_BULBS))]


def _numbers(weather: Weather, seed: int) -> torch.Tensor:
    grass = float(np.random.default_rng([seed, 17]).uniform(0.9, 1.1))
    return torch.tensor([*weather.low, *weather.high, *weather.ambient, *weather.sun, *weather.to, weather.shadows,
                         weather.dark, weather.wet, *weather.haze, grass], dtype=torch.float32)


def _strides(trace: Trace, t: int, rows: np.ndarray) -> np.ndarray:
    """Cosine and sine of each walker's step in a frame, and how far it swings (N, 3); 0 of others."""
    out = np.zeros((len(rows), 3), np.float32)
    long = STRIDE["person"] * 2 * make("person", "large").extent[2]
    for k, n in enumerate(rows):
        if trace.kinds[n] == "person":
            turn = 2 * np.pi * along(trace.place[: t + 1, n])[-1] / long
            out[k] = np.cos(turn), np.sin(turn), np.clip(trace.speed[t, n] / 1.3, 0, 1)
    return out
