"""Suite ``road_pictures``: what the canvas paints of the road's cameras, beside MuJoCo's pictures of the same.

Pictures of true things, and of futures with the true actions beside the last picture seen and beside MuJoCo's own
after the round trip through the lab's tokenizer (its last TRIP frames, and of these the last), which the road is
painted without; whether an agent is where the rig says, read from the pixels that change when it is left out. Of
traffic that the suite simulates itself, with seeds that training never sees, in all weathers.

What an observer of the road sees in these pictures is measured by the suite ``reading``. HOTA and IoU here are of the
pixels that change when an agent is left out, in rain, when nothing casts a shadow: against MuJoCo's masks of the same
agents, and their box against the box of the thing by the rig, where it is in plain sight (road_tracks.py); MuJoCo's own
masks beside, for a car fills less than its box. Whose pixels they are is therefore known, and what is painted of nobody
is not seen by these figures: they say that each thing is there, whole, where it should be, and nothing of it elsewhere.

Fréchet distances are of the lab's observer's features, which are some of any picture (features.py). Copied pictures are
true ones, so that theirs are small however wrong they are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F

from reverie.audit.observer import Observer, overlap
from reverie.core.camera import CameraPath
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.road.trace import Trace
from reverie.data.road.weather import WEATHERS, of_seed
from reverie.data.road.world import Look, from_start
from reverie.evaluate import tracking
from reverie.evaluate.features import features, frechet_figures, named
from reverie.evaluate.figures import figure, share
from reverie.evaluate.road import model_of
from reverie.evaluate.road_tracks import LEAST, Rig, driven
from reverie.evaluate.study import SEED, Study
from reverie.evaluate.traffic import traces
from reverie.model.road.canvas import RoadCanvas
from reverie.model.tokenizer import Tokenizer
from reverie.painter import Painter, canvas_file, shipped
from reverie.road import Road
from reverie.train.tokenizer import round_trip

SECONDS, PRESENT = 12.5, 2.0  # of a clip, and where its past ends
HORIZONS = (0.5, 1.0, 2.0, 5.0, 10.0)
FRINGE = 2  # pixels around agents that are "near"
MOMENTS = (0.0, 0.5, 1.0, 1.5, 2.0)  # seconds at which agents are looked for
TRIP = 8  # frames that go through the tokenizer together
ROUND_TRIP = ">= 30", ">= 26"  # dB after it: over all pixels, near agents
CHANGED = 2.5 / 255  # of a colour, from which on a pixel has changed
EVENTS = 4  # handovers of a clip that are looked at
STEP = 4  # frames


def measure(study: Study) -> list[dict]:
    """Of n clips, one weather after the other."""
    model, canvas = model_of(study), shipped(canvas_file(study.model))[0]
    files = traces(study, study.n, SECONDS)
    found = _Found()
    with study.track(len(files), "clips painted") as bar:
        for i, path in enumerate(files):
            trace = from_start(Trace.load(path))
            look = replace(Look.of({"seed": SEED + i}), weather=of_seed(SEED + i, WEATHERS[i % len(WEATHERS)]))
            _Clip(trace, look, canvas, study.observer, found).measure(model, study.world.tokenizer, SEED + i)
            bar.advance()
    return _figures(found)


def model_name(study: Study) -> str:
    """The canvas's name and hash, and the observer's."""
    return f"{shipped(canvas_file(study.model))[1]}, {named(study.observer)}"


@dataclass
class _Found:
    """By name: every measurement; the observer's features of each clip's pictures; agents as trackeval takes them, of
    each clip."""

    marks: dict[str, list[float]] = field(default_factory=dict)
    features: dict[str, list[np.ndarray]] = field(default_factory=dict)
    sequences: dict[str, list[dict]] = field(default_factory=dict)


@dataclass
class _Clip:
    """One clip, and what it adds to what was found."""

    trace: Trace
    look: Look
    canvas: RoadCanvas
    observer: Observer
    found: _Found

    def mark(self, name: str, value: float) -> None:
        self.found.marks.setdefault(name, []).append(float(value))

    def measure(self, model: Road, tokenizer: Tokenizer, seed: int) -> None:
        trace, begins = self.trace, round(PRESENT * 24) // FRAMES_PER_LATENT * FRAMES_PER_LATENT
        frames, moments = ([begins + round(s * 24) for s in times] for times in (HORIZONS, MOMENTS))
        rig, way = Rig(trace, self.look), trace.place[:, trace.ego]
        future = Rig(driven(model, trace, begins, HORIZONS[-1], seed), self.look, way)
        before = {t - k for t in frames for k in range(TRIP)}
        shown = sorted({begins, *frames, *moments, *before})
        true, masks, floor = self.drawn(rig, shown)
        painted = dict(zip([begins, *frames], self.painted(rig, [begins, *frames]), strict=True))
        dreamed = self.painted(future, [frame - begins for frame in frames])
        for t, made in painted.items():
            self.compare("true_things", made, true[t], masks[t])
            self.compare(f"true_things_{self.look.weather.name}", made, true[t], masks[t])
        for h, t, made in zip(HORIZONS, frames, dreamed, strict=True):
            self.compare(f"future_{h:g}s", made, true[t], masks[t])
            self.compare(f"copy_{h:g}s", true[begins], true[t], masks[t])
            window = np.stack([true[t - k] for k in reversed(range(TRIP))], 1)
            trip = np.stack([round_trip(tokenizer, view, TRIP)[-1] for view in window])
            self.compare(f"tokenizer_{h:g}s", trip, true[t], masks[t])
            for name, seen in (("", true[t]), ("future", made), ("copy", true[begins]), ("true_things", painted[t]),
                               ("tokenizer", trip)):
                self.found.features.setdefault(f"{name}_{h:g}s", []).append(features(self.observer, seen))
        self.shown("", rig, {t: masks[t] for t in moments})
        self.shown("_in_futures", future, {t - begins: None for t in moments})
        self.agree("", rig, floor)
        self.agree("_in_futures", future, None)

    def drawn(self, rig: Rig, frames: list[int]) -> tuple[dict, dict, dict]:
        """MuJoCo's pictures (cameras, H, W, 3) and masks of each frame, and masks of the trace's handovers."""
        from reverie.data.road.drawing import staged

        look, size = self.look, self.look.size
        pictures = {t: np.empty((len(look.mounts), *size, 3), np.uint8) for t in frames}
        masks, events = {t: np.empty((len(look.mounts), *size), np.uint8) for t in frames}, {}
        with staged(self.trace, look.weather, size, look.seed) as stage:
            for t in frames:
                stage.at(t)
                for m, path in enumerate(rig.paths):
                    stage.through(path, t, size[1] / size[0])
                    stage.picture(pictures[t][m])
                    masks[t][m] = stage.mask()
            for t, n, m in handovers(rig):
                stage.at(t)
                stage.through(rig.paths[m], t, size[1] / size[0])
                events[t, n, m] = stage.mask() == n + 1
        return pictures, masks, events

    def painted(self, rig: Rig, frames: list[int]) -> Iterator[np.ndarray]:
        """The canvas's pictures (cameras, H, W, 3) of each frame, in the town of the whole true way."""
        look = self.look
        way = self.trace.place[:, self.trace.ego]
        painter = Painter(rig.trace, look.weather, look.size, look.seed, way, self.canvas)
        for t in frames:
            painter.at(t)
            out = np.empty((len(look.mounts), *look.size, 3), np.uint8)
            began = time.process_time()
            for m, path in enumerate(rig.paths):
                painter.through(path, t, 1.0)
                painter.picture(out[m])
            self.mark("seconds", (time.process_time() - began) / len(out))
            yield out

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

    def shown(self, said: str, rig: Rig, masks: dict[int, np.ndarray | None]) -> None:
        """What is shown of agents against MuJoCo's masks (cameras, H, W) of some frames, where these are known, and
        against where the things are that are in plain sight; and MuJoCo's masks against these."""
        painter = rig.painter(self.canvas)
        rows: dict[str, list[tuple]] = {}

        def take(name: str, chosen: np.ndarray, shown: np.ndarray, alike: np.ndarray) -> None:
            seen = shown.sum((1, 2)) >= LEAST / 4
            rows.setdefault(name, []).append((chosen, chosen[seen], alike[:, seen]))
            for value in alike.diagonal():
                self.mark(f"{name} iou", value)

        for t, mask in masks.items():
            for m, path in enumerate(rig.paths):
                plain, near = rig.plain(painter, m, t), rig.near[t]
                pixels = np.zeros(len(near)) if mask is None else np.bincount(mask[m].ravel(), minlength=len(near) + 1
                                                                              )[1:]
                chosen = np.flatnonzero(plain | (pixels >= LEAST) & near)
                made, some = changed(painter, path, t, chosen), plain[chosen]
                box = rig.boxes[m][t, chosen[some]]
                take(f"lie{said}", chosen[some], made[some], overlap(box, _around(made[some])))
                if mask is not None:
                    true = mask[m] == chosen[:, None, None] + 1
                    take("lie_in_truth", chosen[some], true[some], overlap(box, _around(true[some])))
                    some = pixels[chosen] >= LEAST
                    true, made = true[some][:, None], made[some][None]
                    both, either = (true & made).sum((2, 3)), (true | made).sum((2, 3))
                    take("masks", chosen[some], made[0], both / np.maximum(either, 1))
        for name, pictures in rows.items():
            self.found.sequences.setdefault(name, []).append(tracking.gathered(pictures))

    def agree(self, said: str, rig: Rig, floor: dict | None) -> None:
        """Degrees between where an agent that came over from another camera is seen and where the rig has it."""
        painter = rig.painter(self.canvas)
        for t, n, m in handovers(rig):
            if floor is not None and floor[t, n, m].sum() < LEAST / 2:
                continue  # something stands before it
            box, path = rig.boxes[m][t, n], rig.paths[m]
            bearing = self.bearing(path, (box[0] + box[2]) / 2)
            made = changed(painter, path, t, [n])[0]
            if floor is not None:
                self.mark("unseen", made.sum() < LEAST / 4)
                self.mark("agree_in_truth", abs(self.bearing(path, _middle(floor[t, n, m])) - bearing))
            if made.sum() >= LEAST / 4:
                self.mark(f"agree{said}", abs(self.bearing(path, _middle(made)) - bearing))

    def bearing(self, path: CameraPath, x: float) -> float:
        """Degrees to the right of the camera's axis of a column of its picture."""
        height, width = self.look.size
        return float(np.degrees(np.arctan((x - width / 2) / (height / 2) * np.tan(np.radians(path.fovy) / 2))))


def _middle(shown: np.ndarray) -> float:
    """The middle between the leftmost and the rightmost column of pixels (H, W) that has more than one."""
    columns = np.flatnonzero(shown.sum(0) > 1)
    return (columns[0] + columns[-1] + 1) / 2 if len(columns) else float(np.flatnonzero(shown.any(0)).mean() + 0.5)


def _around(shown: np.ndarray) -> np.ndarray:
    """The boxes (K, 4) around pixels (K, H, W), NaN around none."""
    out = np.full((len(shown), 4), np.nan)
    for box, one in zip(out, shown, strict=True):
        y, x = np.nonzero(one)
        if len(x):
            box[:] = x.min(), y.min(), x.max() + 1, y.max() + 1
    return out


def handovers(rig: Rig) -> list[tuple[int, int, int]]:
    """Frame, agent and camera of some agents that come wholly into a camera's picture from another's."""
    whole, found = np.stack(rig.whole)[:, ::STEP], []
    for n in range(whole.shape[2]):
        before = -1
        for k in range(whole.shape[1]):
            for m in np.flatnonzero(whole[:, k, n]):
                if before not in (-1, m):
                    found.append((k * STEP, n, int(m)))
                before = int(m)
    return found[:: max(1, len(found) // EVENTS)][:EVENTS]


def changed(painter: Painter, path: CameraPath, t: int, agents: Sequence[int] | np.ndarray
            ) -> np.ndarray:
    """Pixels (K, H, W) bool that are others when one of K agents is left out."""
    views = []
    for without in (None, *agents) if len(agents) else ():
        painter.at(t, without)
        painter.through(path, t, 1.0)
        with torch.inference_mode():
            views.append(painter.canvas(painter.sight()).picture.view(*painter.size, 3).numpy())
    return np.array([np.abs(view - views[0]).max(-1) > CHANGED for view in views[1:]], bool).reshape(-1, *painter.size)


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


def _figures(found: _Found) -> list[dict]:
    figures, marks = [], found.marks

    def mean(name: str) -> tuple[float, int]:
        values = marks.get(name, [])
        return share(sum(values), len(values)), len(values)

    weathers = [f"true_things_{name}" for name in WEATHERS if f"true_things_{name} all" in marks]
    for name in ("true_things", *weathers, *(f"{what}_{h:g}s" for h in HORIZONS
                                                      for what in ("future", "copy", "tokenizer"))):
        for part, said in (("", ""), (" near", "_near_agents")):
            error, n = mean(f"{name}{part or ' all'}")
            likeness, _ = mean(f"{name} ssim{part}")
            goal = ROUND_TRIP[bool(said)] if name.startswith("tokenizer") else None
            figures += [figure(f"{name}_psnr{said}", -10 * np.log10(error) if n else float("nan"), "dB", goal, n),
                        figure(f"{name}_ssim{said}", likeness, "", None, n)]
    for h in HORIZONS:
        made = {name: found.features[f"{name}_{h:g}s"] for name in (
            "future", "copy", "true_things", "tokenizer")}
        figures += frechet_figures(found.features[f"_{h:g}s"], made, f"{{}}_{h:g}s_frechet")
    for name, called in (("masks", "agents_{}_with_true_masks"), *(
            (f"lie{said}", f"agents_{{}}_with_things{said}") for said in ("", "_in_futures", "_in_truth"))):
        figures.append(figure(called.format("iou"), *_valued(mean(f"{name} iou"))))
        boxes = sum(data["num_gt_dets"] for data in found.sequences[name])
        figures += [figure(called.format(score), value, "share", None, boxes)
                    for score, value in tracking.scores(found.sequences[name]).items() if score != "idf1"]
    for said in ("", "_in_truth", "_in_futures"):
        angles = marks.get(f"agree{said}", [])
        middle = np.median(angles) if angles else float("nan")
        figures += [figure(f"cameras_agree{said}", mean(f"agree{said}")[0], "degrees", None, len(angles)),
                    figure(f"cameras_agree{said}_median", middle, "degrees", None, len(angles))]
    figures.append(figure("handed_over_but_not_seen", *_valued(mean("unseen"))))
    figures.append(figure("seconds_per_picture", *_valued(mean("seconds"), "s")))
    return figures


def _valued(found: tuple[float, int], unit: str = "share"):
    return found[0], unit, None, found[1]
