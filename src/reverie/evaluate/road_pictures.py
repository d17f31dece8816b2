"""Suite ``road_pictures``: what the canvas paints of the road's cameras, beside MuJoCo's pictures of the same.

Pictures of true things, and of futures with the true actions beside the last picture seen; whether an agent is where
the rig says, read from the pixels that change when it is left out. Of traffic that the suite simulates itself, with
seeds that training never sees, in all weathers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from reverie.core.camera import CameraPath, project
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.road.trace import Trace
from reverie.data.road.weather import WEATHERS, of_seed
from reverie.data.road.world import Look, from_start
from reverie.evaluate.figures import figure, share
from reverie.evaluate.study import SEED, Study
from reverie.evaluate.traffic import traces
from reverie.painter import Painter, canvas_file, shipped
from reverie.road import WEIGHTS, Road

SECONDS, PRESENT = 12.5, 2.0  # of a clip, and where its past ends
HORIZONS = (0.5, 1.0, 2.0, 5.0, 10.0)
FRINGE = 2  # pixels around agents that are "near"
FAR, LEAST = 40.0, 30  # metres within which, and pixels from which on, agents are looked for
CHANGED = 2.5 / 255  # of a colour, from which on a pixel has changed
EVENTS = 4  # handovers of a clip that are looked at
STEP = 4  # frames


def measure(study: Study) -> list[dict]:
    """Of n clips, one weather after the other."""
    model, canvas = _models(study)
    files = traces(study, study.n, SECONDS)
    marks: dict[str, list[float]] = {}
    with study.track(len(files), "clips painted") as bar:
        for i, path in enumerate(files):
            trace = from_start(Trace.load(path))
            look = replace(Look.of({"seed": SEED + i}), weather=of_seed(SEED + i, WEATHERS[i % len(WEATHERS)]))
            _Clip(trace, look, canvas, marks).measure(model, SEED + i)
            bar.advance()
    return _figures(marks)


def model_name(study: Study) -> str:
    """The canvas's name and hash."""
    return shipped(canvas_file(study.model))[1]


def _models(study: Study):
    own = Path(study.model) / WEIGHTS.name if isinstance(study.model, (str, Path)) else WEIGHTS
    return Road.load(own if own.exists() else None), shipped(canvas_file(study.model))[0]


@dataclass
class _Clip:
    """One clip; ``marks`` takes every measurement by name."""

    trace: Trace
    look: Look
    canvas: torch.nn.Module
    marks: dict[str, list[float]]

    def mark(self, name: str, value: float) -> None:
        self.marks.setdefault(name, []).append(float(value))

    def measure(self, model: Road, seed: int) -> None:
        trace, begins = self.trace, round(PRESENT * 24) // FRAMES_PER_LATENT * FRAMES_PER_LATENT
        frames = [begins + round(h * 24) for h in HORIZONS]
        actions = trace.actions[begins : begins + round(HORIZONS[-1] * 24) + FRAMES_PER_LATENT]
        ride = model.begin(trace, begins, [seed])
        for n in range(-(-round(HORIZONS[-1] * 24) // FRAMES_PER_LATENT)):
            rows = (n * FRAMES_PER_LATENT + np.arange(FRAMES_PER_LATENT)).clip(max=len(actions) - 1)
            ride.step(actions[None, rows])
        future = ride.trace_of(0)
        true, masks, floor = self.drawn([begins, *frames])
        painted = list(self.painted(trace, [begins, *frames]))
        dreamed = list(self.painted(future, [frame - begins - 1 for frame in frames]))
        for k, made in enumerate(painted):
            self.compare("true_things", made, true[k], masks[k])
            self.compare(f"true_things_{self.look.weather.name}", made, true[k], masks[k])
        for k, h in enumerate(HORIZONS):
            self.compare(f"future_{h:g}s", dreamed[k], true[k + 1], masks[k + 1])
            self.compare(f"copy_{h:g}s", true[0], true[k + 1], masks[k + 1])
        self.overlaps([begins, *frames[1::2]], dict(zip([begins, *frames], masks, strict=True)))
        self.agree("", trace, floor)
        self.agree("_in_futures", future, None)

    def drawn(self, frames: list[int]) -> tuple[np.ndarray, np.ndarray, dict]:
        """MuJoCo's pictures (K, cameras, H, W, 3) and masks of frames, and masks of the trace's handovers."""
        from reverie.data.road.drawing import staged

        look, size = self.look, self.look.size
        pictures = np.empty((len(frames), len(look.mounts), *size, 3), np.uint8)
        masks, events = np.empty(pictures.shape[:-1], np.uint8), {}
        with staged(self.trace, look.weather, size, look.seed) as stage:
            for k, t in enumerate(frames):
                stage.at(t)
                for m, path in enumerate(self.paths(self.trace)):
                    stage.through(path, t, size[1] / size[0])
                    stage.picture(pictures[k, m])
                    masks[k, m] = stage.mask()
            for t, n, m in self.handovers(self.trace):
                stage.at(t)
                stage.through(self.paths(self.trace)[m], t, size[1] / size[0])
                events[t, n, m] = stage.mask() == n + 1
        return pictures, masks, events

    def paths(self, trace: Trace) -> list[CameraPath]:
        own = trace.place[:, trace.ego], trace.heading[:, trace.ego]
        return [mount.path(*own, self.look.size) for mount in self.look.mounts]

    def painted(self, trace: Trace, frames: list[int]) -> Iterator[np.ndarray]:
        """The canvas's pictures (cameras, H, W, 3) of each frame, in the town of the whole true way."""
        painter = self.painter(trace)
        for t in frames:
            painter.at(t)
            out = np.empty((len(self.look.mounts), *self.look.size, 3), np.uint8)
            began = time.process_time()
            for m, path in enumerate(self.paths(trace)):
                painter.through(path, t, 1.0)
                painter.picture(out[m])
            self.mark("seconds", (time.process_time() - began) / len(out))
            yield out

    def painter(self, trace: Trace, weather: str | None = None) -> Painter:
        look = self.look
        there = look.weather if weather is None else of_seed(look.seed, weather)
        return Painter(trace, there, look.size, look.seed, self.trace.place[:, self.trace.ego], self.canvas)

    def compare(self, name: str, made: np.ndarray, true: np.ndarray, masks: np.ndarray) -> None:
        """Squared errors, over all pixels and near agents, and SSIM."""
        error = ((made.astype(np.float32) - true) / 255) ** 2
        near = F.max_pool2d(torch.from_numpy((masks > 0).astype(np.float32))[:, None], 2 * FRINGE + 1, 1, FRINGE)
        close = near[:, 0].numpy() > 0
        self.mark(f"{name} all", error.mean())
        if close.any():
            self.mark(f"{name} near", error[close].mean())
        whole = ssim(made, true)
        self.mark(f"{name} ssim", whole.mean())
        if close.any():
            self.mark(f"{name} ssim near", whole[close].mean())

    def overlaps(self, frames: list[int], masks: dict[int, np.ndarray]) -> None:
        """IoU of the pixels that change when an agent is left out with its true mask."""
        painter, paths = self.painter(self.trace, "rain"), self.paths(self.trace)
        for t in frames:
            for m, mask in enumerate(masks[t]):
                for n in np.unique(mask[mask > 0]).astype(int) - 1:
                    true = mask == n + 1
                    gap = np.hypot(*(self.trace.place[t, n] - self.trace.place[t, self.trace.ego]))
                    if true.sum() >= LEAST and gap < FAR:
                        made = changed(painter, paths[m], t, n)
                        self.mark("iou", (made & true).sum() / (made | true).sum())

    def handovers(self, trace: Trace) -> list[tuple[int, int, int]]:
        """Frame, agent and camera of agents that come wholly into a camera's picture from another's."""
        steps = range(0, trace.frames, STEP)
        boxes = np.array([[self.box(trace, path, t) for path in self.paths(trace)] for t in steps])  # T cameras N 4
        height, width = self.look.size
        size = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
        inside = ((boxes[..., :2] > 0).all(-1) & (boxes[..., 2] < width) & (boxes[..., 3] < height) & (size >= LEAST))
        found = []
        for n in range(len(trace.kinds)):
            before = -1
            for k in range(len(inside)):
                for m in np.flatnonzero(inside[k, :, n]):
                    if before not in (-1, m):
                        found.append((steps[k], n, int(m)))
                    before = int(m)
        return found[:: max(1, len(found) // EVENTS)][:EVENTS]

    def box(self, trace: Trace, path: CameraPath, t: int) -> np.ndarray:
        """Where the rig has agents' boxes (N, 4) in pixels, NaN behind the camera, far away, and for our own car."""
        half, turn = trace.size / 2, trace.heading[t]
        corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 2)]) * half[:, None]
        cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
        place = np.stack([trace.place[t, :, None, 0] + cos * corners[..., 0] - sin * corners[..., 1],
                          trace.place[t, :, None, 1] + sin * corners[..., 0] + cos * corners[..., 1],
                          corners[..., 2]], -1)
        pixel, depth = project(place, path.position[t], path.rotation[t], path.fovy, *self.look.size)
        gap = np.hypot(*(trace.place[t] - trace.place[t, trace.ego]).T)
        out = np.concatenate([pixel.min(1), pixel.max(1)], -1)
        out[(depth < 0.3).any(1) | ~trace.exists[t] | (gap > FAR) | (np.arange(len(gap)) == trace.ego)] = np.nan
        return out

    def agree(self, said: str, trace: Trace, floor: dict | None) -> None:
        """Degrees between where an agent that came over from another camera is seen and where the rig has it."""
        painter, paths = self.painter(trace, "rain"), self.paths(trace)
        for t, n, m in self.handovers(trace):
            if floor is not None and floor[t, n, m].sum() < LEAST / 2:
                continue  # something stands before it
            box = self.box(trace, paths[m], t)[n]
            bearing = self.bearing(paths[m], (box[0] + box[2]) / 2)
            made = changed(painter, paths[m], t, n)
            if floor is not None:
                self.mark("unseen", made.sum() < LEAST / 4)
                self.mark("agree_in_truth", abs(self.bearing(paths[m], _middle(floor[t, n, m])) - bearing))
            if made.sum() >= LEAST / 4:
                self.mark(f"agree{said}", abs(self.bearing(paths[m], _middle(made)) - bearing))

    def bearing(self, path: CameraPath, x: float) -> float:
        """Degrees to the right of the camera's axis of a column of its picture."""
        height, width = self.look.size
        return float(np.degrees(np.arctan((x - width / 2) / (height / 2) * np.tan(np.radians(path.fovy) / 2))))


def _middle(shown: np.ndarray) -> float:
    """The middle between the leftmost and the rightmost column of pixels (H, W) that has more than one."""
    columns = np.flatnonzero(shown.sum(0) > 1)
    return (columns[0] + columns[-1] + 1) / 2 if len(columns) else float(np.flatnonzero(shown.any(0)).mean() + 0.5)


def changed(painter: Painter, path: CameraPath, t: int, n: int) -> np.ndarray:
    """Pixels (H, W) bool that are others when agent n is left out."""
    views = []
    for without in (None, n):
        painter.at(t, without)
        painter.through(path, t, 1.0)
        with torch.inference_mode():
            views.append(painter.canvas(painter.sight()).picture)
    return ((views[0] - views[1]).abs().amax(-1) > CHANGED).view(painter.size).numpy()


def ssim(made: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Structural similarity (Wang et al. 2004) of pictures (N, H, W, 3) uint8 at every pixel (N, H, W), of brightness
    in windows of 7 x 7."""
    weight = np.array([0.299, 0.587, 0.114], np.float32)
    a, b = (torch.from_numpy(v.astype(np.float32) @ weight / 255)[:, None] for v in (made, true))

    def mean(v: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(F.pad(v, (3, 3, 3, 3), mode="reflect"), 7, 1)

    one, two = mean(a), mean(b)
    both, first, second = mean(a * b) - one * two, mean(a * a) - one * one, mean(b * b) - two * two
    out = (2 * one * two + 1e-4) * (2 * both + 9e-4) / ((one * one + two * two + 1e-4) * (first + second + 9e-4))
    return out[:, 0].numpy()


def _figures(marks: dict[str, list[float]]) -> list[dict]:
    figures = []

    def mean(name: str) -> tuple[float, int]:
        values = marks.get(name, [])
        return share(sum(values), len(values)), len(values)

    weathers = [f"true_things_{name}" for name in WEATHERS if f"true_things_{name} all" in marks]
    for name in ("true_things", *weathers, *(f"{what}_{h:g}s" for h in HORIZONS for what in ("future", "copy"))):
        for part, said in (("", ""), (" near", "_near_agents")):
            error, n = mean(f"{name}{part or ' all'}")
            likeness, _ = mean(f"{name} ssim{part}")
            figures += [figure(f"{name}_psnr{said}", -10 * np.log10(error) if n else float("nan"), "dB", None, n),
                        figure(f"{name}_ssim{said}", likeness, "", None, n)]
    figures.append(figure("agents_iou_with_true_masks", *_valued(mean("iou"))))
    for said in ("", "_in_truth", "_in_futures"):
        found = marks.get(f"agree{said}", [])
        figures += [figure(f"cameras_agree{said}", mean(f"agree{said}")[0], "degrees", None, len(found)),
                    figure(f"cameras_agree{said}_median", np.median(found) if found else float("nan"), "degrees", None,
                           len(found))]
    figures.append(figure("handed_over_but_not_seen", *_valued(mean("unseen"))))
    figures.append(figure("seconds_per_picture", *_valued(mean("seconds"), "s")))
    return figures


def _valued(found: tuple[float, int], unit: str = "share"):
    return found[0], unit, None, found[1]
