"""Training the eyes of the road: its observer and its lane probe, on stills of streets with their truth.

Of each clip some moments are drawn by MuJoCo, and a part of them painted by the road's canvas instead, so that neither
is taken for the world; in half of them our car is put beside its lane and turned, further than its driver ever is.

Legend: N pictures, A agents in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reverie.audit.observer import Observer, overlap
from reverie.audit.observer_net import ObserverConfig, ObserverNet, to_input
from reverie.core.camera import CameraPath, project
from reverie.core.errors import BadData
from reverie.core.progress import track
from reverie.core.runtime import commit
from reverie.data.road import found
from reverie.data.road.gates import RED, Gates
from reverie.data.road.lanes import Lanes
from reverie.data.road.lights import LIGHTS
from reverie.data.road.rig import FOUR
from reverie.data.road.trace import KINDS, Trace
from reverie.data.road.world import SIZE, Look
from reverie.data.shards import ClipSet
from reverie.eyes.observer import WORLD, RoadObserver
from reverie.eyes.probe import CELL, LANE, NUMBERS, SCALES, STOP, Config, ProbeNet, RoadProbe
from reverie.model.checkpoint import save_model
from reverie.painter import Painter
from reverie.train.loop import fit
from reverie.train.observer import degraded, focal, observer_loss
from reverie.train.observer_frames import LEAST_SIDE, Example, Targets, Variation, jpeg, varied
from reverie.train.road_stills import Kept

if TYPE_CHECKING:
    from reverie.data.road.drawing import Stage

HELD = 16  # one clip in so many is only looked at
PAINTED, STRAYED, GATED = 0.35, 0.5, 0.4  # shares of moments; GATED: chosen of those at which a light is ahead
EVERY = 4  # frames
ASIDE, TURNED = 2.5, 0.35  # metres and radians by which our car is put elsewhere at the most
ROOM = 6.0  # metres around it that must be free then
BATCH, FRONTS = 12, 32  # pictures of a step
MOST, LIT_FAR = 6, 45.0  # of a picture at the most; metres to one
LIGHTED, SWITCHED = 3.0, 0.5  # how much more often pictures with our lane's light are shown; share of these switched
GREEN = LIGHTS.index("g")
HOUSING = 0.2, 0.5  # metres: half sizes of a light's housing, about its middle bulb
BESIDE = 8.0  # metres from a stop line within which its light stands
BEHIND = 1.5  # metres from our car's front back to its first camera
NEAR = 20.0  # metres to a stop line from which its light should be read
CROWDED = 4.0  # how much more often pictures with large agents are shown
SHARE = 0.8  # of the minutes, for the observer
VARIATION = Variation(zoom=1.6, worn=0.3)
OBSERVER = ObserverConfig(widths=(12, 20, 28, 32, 28), appearance=8, kinds=len(KINDS), colours=8)
PLAIN, LARGE = 0.5, 8.0  # share in sight and pixels of a side from which an agent must be found
ADAM = ("stem", "head")


@dataclass
class Stills(Kept):
    """pictures (N, H, W, 3) uint8; masks (N, H, W) uint8: which of a picture's agents is seen where, counted from 1;
    clip (N,); first (N + 1,): where each one's agents begin; of these the boxes (A, 4) in pixels, kinds and paints
    (A,), visible (A,) 0..1, metres (A,): pixels that a metre takes up; told (N, NUMBERS): what the probe should say;
    lights (N, MOST, 5): of the lights in a picture, our lane's first, x, y in pixels, what it shows (a place in
    lights.LIGHTS), whether it is our lane's, and then metres to its line, else NaN; all NaN in what no probe sees."""

    pictures: np.ndarray
    masks: np.ndarray
    clip: np.ndarray
    first: np.ndarray
    boxes: np.ndarray
    kinds: np.ndarray
    paints: np.ndarray
    visible: np.ndarray
    metres: np.ndarray
    told: np.ndarray
    lights: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[Stills]) -> Stills:
        """Several as one."""
        whole = {name: np.concatenate([getattr(one, name) for one in parts]) for name in vars(parts[0])}
        counts = np.concatenate([np.diff(one.first) for one in parts])
        return cls(**{**whole, "first": np.concatenate([[0], counts.cumsum()])})

    def example(self, n: int) -> Example:
        """Picture n as an observer is trained on it."""
        rows = slice(self.first[n], self.first[n + 1])
        count = self.first[n + 1] - self.first[n]
        return Example(self.pictures[n], self.masks[n], self.boxes[rows], self.visible[rows], self.kinds[rows],
                       self.paints[rows], np.zeros(count, int), np.arange(count), self.metres[rows],
                       np.full(count, np.nan, np.float32), "")


def drawn(clips: ClipSet, moments: int = 2, fronts: int = 6, size: tuple[int, int] = SIZE, progress: bool = True
          ) -> Stills:
    """So many moments of every clip through all cameras, and more through the first alone. Needs mujoco with a working
    GL. Raises BadData for clips that are not of the road."""
    parts = []
    with track(len(clips), "clips drawn", quiet=not progress) as bar:
        for number in range(len(clips)):
            parts.append(_drawn(clips, number, moments, fronts, size))
            bar.advance()
    return Stills.joined(parts)


def _drawn(clips: ClipSet, number: int, moments: int, fronts: int, size: tuple[int, int]) -> Stills:
    """A clip's stills."""
    from reverie.data.road.drawing import staged

    meta = clips.meta(number)
    if not found.is_road(meta):
        raise BadData(f"{clips.folder} clip {clips.keys[number]} is not of the road")
    trace, look = found.trace_of(clips, number)[0], Look.of(meta["provenance"])
    rng, way = np.random.default_rng([number, 61]), trace.place[:, trace.ego].copy()
    trace = replace(trace, place=trace.place.copy(), heading=trace.heading.copy())
    lanes, gates = Lanes(trace.net), Gates(trace.net)
    painter = Painter(trace, look.weather, size, look.seed, way)
    parts: dict[str, list] = {name: [] for name in Stills.__dataclass_fields__}
    with staged(trace, look.weather, size, look.seed, way) as stage:
        held_up = [t for t in range(0, trace.frames, EVERY) if _gate(trace, t, gates)[0] >= 0]
        for k, t in enumerate(rng.integers(trace.frames, size=moments + fronts)):
            if held_up and rng.random() < GATED:
                t = int(rng.choice(held_up))
            if rng.random() < STRAYED:
                _stray(trace, t, rng)
            brush = painter if rng.random() < PAINTED else stage
            stage.at(t)
            brush.at(t)
            pose = trace.place[t, trace.ego], float(trace.heading[t, trace.ego])
            for mount in look.mounts if k < moments else look.mounts[:1]:
                path = mount.path(pose[0][None], np.array([pose[1]]), size)
                for one in {id(one): one for one in (stage, brush)}.values():
                    one.through(path, 0, size[1] / size[0], now=t)
                picture = np.empty((*size, 3), np.uint8)
                brush.picture(picture)
                mask, asked = stage.mask(), mount == FOUR[0]
                told = _told(trace, t, lanes) if asked else np.full(NUMBERS, np.nan)
                lights = _lights(stage, t, path, mask, gates) if asked else np.full((MOST, 5), np.nan, np.float32)
                row = {"pictures": picture, "clip": number, "told": told.astype(np.float32), "lights": lights,
                       **_agents(trace, t, path, mask)}
                for name, value in row.items():
                    parts[name].append(value)
    parts["first"] = [0, *np.cumsum(parts["first"])]
    flat = ("boxes", "kinds", "paints", "visible", "metres")
    return Stills(**{name: np.concatenate(values) if name in flat else np.array(values)
                     for name, values in parts.items()})


def _stray(trace: Trace, t: int, rng: np.random.Generator) -> None:
    """Put our car elsewhere in a frame of a trace, where there is room."""
    heading, ego = float(trace.heading[t, trace.ego]), trace.ego
    aside, turn = rng.uniform(-ASIDE, ASIDE), np.clip(rng.normal(0, TURNED / 2), -TURNED, TURNED)
    place = trace.place[t, ego] + aside * np.array([-np.sin(heading), np.cos(heading)])
    far = np.hypot(*(trace.place[t] - place).T)[trace.exists[t] & (np.arange(len(trace.kinds)) != ego)]
    if far.min(initial=np.inf) > ROOM:
        trace.place[t, ego], trace.heading[t, ego] = place, heading + turn


def _told(trace: Trace, t: int, lanes: Lanes) -> np.ndarray:
    """What the probe should say of a frame: (NUMBERS,)."""
    place, heading = trace.place[t, trace.ego].astype(float), float(trace.heading[t, trace.ego])
    ahead = np.array([np.cos(heading), np.sin(heading)])
    near = lanes.nearest(place, heading)
    lane = (lanes.ahead(place, heading, LANE) - place) @ np.stack([ahead, [-ahead[1], ahead[0]]], 1)
    return np.array([min(near.aside, 6.0), near.half, np.clip(near.turned, -1, 1), *lane.ravel()]) / SCALES


def _lights(stage: Stage, t: int, path: CameraPath, mask: np.ndarray, gates: Gates) -> np.ndarray:
    """The lights in a picture that are turned to it and that no agent hides, as Stills has them, the nearest first."""
    trace, out = stage.trace, np.full((MOST, 5), np.nan, np.float32)
    if not stage.lights:
        return out
    at = np.array([stage.data.geom_xpos[bulbs[1]] for _, bulbs in stage.lights])
    shown = np.array([trace.signals[t, number] for number, _ in stage.lights])
    way = np.array([np.subtract(*trace.net.lanes[trace.net.signals[number, 0]].line[[-1, -2]])
                    for number, _ in stage.lights])
    way /= np.hypot(*way.T)[:, None]
    ours, (gate, far) = np.zeros(len(at), bool), _gate(trace, t, gates)
    if gate >= 0:
        end, turned, *_ = gates.ends[gate]
        gap = np.where(way @ (np.cos(turned), np.sin(turned)) > 0.9, np.hypot(*(at[:, :2] - end).T), np.inf)
        ours[gap.argmin()] = gap.min() < BESIDE
    spots, depth = project(at, path.position[0], path.rotation[0], path.fovy, *mask.shape)
    facing = ((at - path.position[0])[:, :2] * way).sum(1) > 0.3 * depth
    inside = ((spots > 1) & (spots < np.subtract(mask.shape[::-1], 1))).all(1)
    some = np.flatnonzero((depth > 1) & (depth < LIT_FAR) & facing & inside)
    some = some[mask[tuple(spots[some, ::-1].astype(int).T)] == 0]
    some = some[np.lexsort([depth[some], ~ours[some]])][:MOST]
    out[: len(some)] = np.column_stack([spots[some], shown[some], ours[some], np.where(ours[some], far, np.nan)])
    return out


def _gate(trace: Trace, t: int, gates: Gates) -> tuple[int, float]:
    """The stop line that our car comes to next in a frame, and metres to it; -1 for none."""
    heading = float(trace.heading[t, trace.ego])
    front = trace.size[trace.ego, 0] / 2 * np.array([np.cos(heading), np.sin(heading)])
    return gates.ahead(trace.place[t, trace.ego] + front, heading)


def _agents(trace: Trace, t: int, path: CameraPath, mask: np.ndarray) -> dict:
    """Who is seen in a picture, as Stills has it; first: how many."""
    from reverie.data.road.drawing import FILLED, boxes_of

    now = {name: getattr(trace, name)[t : t + 1] for name in ("exists", "place", "heading")}
    boxes = boxes_of(replace(trace, **now), path, mask.shape)[0]
    pixels = np.bincount(mask.ravel(), minlength=len(boxes) + 1)[1 : len(boxes) + 1]
    some = np.flatnonzero((pixels > 0) & np.isfinite(boxes[:, 0]))
    number = np.zeros(len(boxes) + 1, np.uint8)
    number[some + 1] = np.arange(len(some)) + 1
    middle = np.column_stack([trace.place[t, some], trace.size[some, 2] / 2])
    depth = np.maximum((middle - path.position[0]) @ -path.rotation[0, :, 2], 0.1)
    area = (boxes[some, 2:] - boxes[some, :2]).prod(-1)
    kinds = np.array([KINDS.index(trace.kinds[n]) for n in some], int)
    return {"masks": number[mask], "first": len(some), "boxes": boxes[some], "kinds": kinds,
            "paints": trace.paints[some].astype(int),
            "visible": np.clip(pixels[some] / (FILLED * np.maximum(area, 1)), 0, 1).astype(np.float32),
            "metres": (len(mask) / 2 / np.tan(np.radians(path.fovy) / 2) / depth).astype(np.float32)}


class Streets:
    """Batches of pictures for the observer: a pure function of step and random state."""

    def __init__(self, stills: Stills, rows: np.ndarray) -> None:
        self.stills, self.rows = stills, rows
        large = (stills.boxes[:, 2:] - stills.boxes[:, :2]).min(-1, initial=np.inf) >= LEAST_SIDE
        many = np.concatenate([[0], large.cumsum()])
        weight = np.where(many[stills.first[rows + 1]] > many[stills.first[rows]], CROWDED, 1.0)
        self.chance = weight / weight.sum()

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """See train.observer_frames.Targets, and frames uint8 (B, H, W, 3)."""
        del step
        size = self.stills.masks.shape[1:]
        targets, pictures = Targets(BATCH, size), []
        for b, n in enumerate(rng.choice(self.rows, BATCH, p=self.chance)):
            example = varied(self.stills.example(n), size, VARIATION, rng)
            targets.add(b, example)
            pictures.append(example.picture)
        batch = targets.batch()
        some = {name: batch[name][:, : len(KINDS)].contiguous() for name in ("heat", "weight")}
        return {"frames": torch.from_numpy(np.stack(pictures)), **batch, **some}


class Fronts:
    """Batches of front pictures for the probe: a pure function of step and random state."""

    def __init__(self, stills: Stills, rows: np.ndarray) -> None:
        self.stills, self.rows = stills, rows
        weight = np.where(stills.lights[rows, 0, 3] == 1, LIGHTED, 1.0)
        self.chance = weight / weight.sum()

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """frames uint8 (B, H, W, 3), told (B, NUMBERS) and lights (B, MOST, 5)."""
        del step
        some = rng.choice(self.rows, FRONTS, p=self.chance)
        pictures, lights = self.stills.pictures[some], self.stills.lights[some]
        for picture, light in zip(pictures, lights[:, 0], strict=True):
            if light[3] == 1 and rng.random() < SWITCHED:
                switch(picture, light)
        worn = [jpeg(one, int(rng.integers(25, 85))) if rng.random() < VARIATION.worn else one for one in pictures]
        return {"frames": torch.from_numpy(np.stack(worn)), "told": torch.from_numpy(self.stills.told[some]),
                "lights": torch.from_numpy(lights)}


def switch(picture: np.ndarray, light: np.ndarray) -> None:
    """Make our lane's light in a picture (H, W, 3), as Stills has it, red instead of green or green instead of red: its
    housing upside down, red and green exchanged. Drivers stop out of its sight, so that red ones are seldom seen."""
    x, y, shown, _, stop = light
    metre = picture.shape[1] / 2 / np.tan(np.radians(FOUR[0].across) / 2) / (stop + BEHIND)
    (left, top), (right, low) = (np.round([x + s * HOUSING[0] * metre, y + s * HOUSING[1] * metre]).astype(int)
                                 for s in (-1, 1))
    part = picture[max(top, 0) : low + 1, max(left, 0) : right + 1]
    if shown in (RED, GREEN):
        red, green, blue = part[::-1].transpose(2, 0, 1)
        blue = np.minimum(blue, red) if shown == GREEN else np.maximum(blue, red // 3)  # a green one is a little blue
        part[:] = np.stack([green, red, blue], -1)
        light[2] = RED + GREEN - shown


def observed_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
    """The observer's loss, for train.loop.fit: appearance is not asked, for these are stills."""
    return observer_loss(model(degraded(to_input(batch["frames"]))), batch, 0.0)


def probe_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
    """The probe's loss, for train.loop.fit."""
    (said, maps), told = model(degraded(to_input(batch["frames"]))), batch["told"]
    mean = F.smooth_l1_loss(said, told, reduction="none", beta=0.1).mean(0)
    found, shown, stop = lights_loss(maps, batch["lights"])
    figures = {"aside": mean[0], "turned": mean[2], "lane": mean[3:].mean(), "light": found, "shown": shown,
               "stop": stop}
    # the car's own place counts as much as all that is ahead
    total = 4 * mean[0] + mean[1] + 4 * mean[2] + mean[3:].sum() + found + shown + stop
    return total, {name: v.detach() for name, v in figures.items()}


def lights_loss(maps: Tensor, lights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of LightsNet's maps and Stills' lights (B, MOST, 5): where our lane's light is; what it and others show; metres
    to its line."""
    some = ~lights[..., 0].isnan()
    ours = some[:, 0] & (lights[:, 0, 3] == 1)
    spots, (rows, columns) = lights[..., :2].nan_to_num() / CELL, maps.shape[2:]
    away = [(torch.arange(side, device=maps.device) + 0.5 - spots[:, :1, k]).square()
            for k, side in ((1, rows), (0, columns))]
    heat = torch.exp(-(away[0][:, :, None] + away[1][:, None])) * ours[:, None, None]
    r, c = spots[..., 1].long().clamp(max=rows - 1), spots[..., 0].long().clamp(max=columns - 1)
    b = torch.arange(len(maps), device=maps.device)
    peak = torch.zeros_like(heat, dtype=torch.bool)
    peak[b, r[:, 0], c[:, 0]] = ours
    at, count = maps[b[:, None], :, r, c], ours.sum().clamp(min=1)
    shown = F.cross_entropy(at[some][:, 2:], lights[some][:, 2].long(), reduction="sum") / some.sum().clamp(min=1)
    stop = F.smooth_l1_loss(at[ours, 0, 1], lights[ours, 0, 4] / STOP, reduction="sum", beta=0.1) / count
    return focal(maps[:, 0], heat, peak).sum() / count, shown, stop


def seen_scores(net: nn.Module, stills: Stills, rows: Sequence[int]) -> dict[str, float]:
    """Shares of large agents in plain sight that are found, of what is found that is an agent, and the mean overlap of
    boxes with theirs."""
    observer, asked, hit, right, said, alike = RoadObserver(Observer(net)), 0, 0, 0, 0, []
    for n in rows:
        example, seen = stills.example(n), observer.see(stills.pictures[n][None])[0]
        common = overlap(example.boxes, np.array([one.box for one in seen], np.float32).reshape(-1, 4))
        sides = (example.boxes[:, 2:] - example.boxes[:, :2]).min(-1, initial=np.inf)
        some = (example.visible >= PLAIN) & (sides >= LARGE)
        best = common.max(1, initial=0.0)[some]
        asked, hit = asked + len(best), hit + int((best >= 0.5).sum())
        right, said = right + int((common.max(0, initial=0.0) >= 0.5).sum()), said + len(seen)
        alike += best[best >= 0.5].tolist()
    return {"recall": hit / max(asked, 1), "precision": right / max(said, 1), "overlap": float(np.mean(alike or [0.0])),
            "agents": float(asked)}


@torch.no_grad()
def read_scores(net: nn.Module, stills: Stills, rows: Sequence[int]) -> dict[str, float]:
    """Mean errors of what the probe says, and shares of pictures in which it tells rightly whether our lane's light is
    there, and, where it is within NEAR, whether it is red."""
    probe, told, first = RoadProbe(net), stills.told[rows], stills.lights[rows, 0]
    said = [probe.read(stills.pictures[n][None])[0] for n in rows]
    light, near = first[:, 3] == 1, first[:, 4] < NEAR
    likely, red = (np.array([getattr(one, name) for one in said]) > 0.5 for name in ("light", "red"))

    def error(k: int, values: list[float]) -> float:
        return float(np.abs(told[:, k] * SCALES[k] - values).mean())

    return {"aside": error(0, [one.aside for one in said]), "turned": error(2, [one.turned for one in said]),
            "lane_14m": error(8, [one.lane[2, 1] for one in said]),
            "light": float((likely == light).mean()), "light_found": float(likely[near].mean()) if near.any() else 1.0,
            "red": float((red == (first[:, 2] == RED))[near].mean()) if near.any() else 1.0,
            "stop": float(np.abs(first[:, 4] - [one.stop for one in said])[near].mean()) if near.any() else 0.0}


def train_eyes(data: str | Path, out: str | Path, *, minutes: float | None = None, steps: int | None = None,
               observer: ObserverConfig = OBSERVER, probe: Config | None = None, device: str = "cpu", seed: int = 0,
               precision: str = "fp32", start_from: str | Path | None = None, progress: bool = True) -> Path | None:
    """Train both on clips of the road with their truth, drawn or not; stills of them are drawn first (needs mujoco with
    a working GL), and kept in ``out/stills.npz``. One clip in 16 is only looked at. minutes: of both; steps: of each.
    start_from: an observer to begin from. Returns the observer's path, the probe's is beside it, or None when the run
    was interrupted; the same command goes on with it. Raises what ``train.loop.fit`` does, and BadData."""
    out, clips = Path(out), ClipSet(data)
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "stills.npz").exists():
        drawn(clips, progress=progress).save(out / "stills.npz")
    stills = Stills.load(out / "stills.npz")
    held = np.isin(stills.clip, np.unique(stills.clip)[::HELD])
    learned = ~held if (~held).any() else held
    fronts = np.isfinite(stills.told[:, 0])
    about = {"commit": commit(), "data": {"clips": len(clips), "pictures": len(stills.pictures)}}
    how = {"steps": steps, "seed": seed, "precision": precision, "progress": progress, "adam": ADAM, "ema": 0.998}
    torch.manual_seed(seed)
    seen = fit(ObserverNet(observer).to(device), Streets(stills, np.flatnonzero(learned)), observed_loss, out=out,
               minutes=minutes and SHARE * minutes, lr=3e-3, warm_up=50, hold=0.4, start_from=start_from,
               evaluate=lambda net: seen_scores(net, stills, np.flatnonzero(held)), **how)
    if not seen.finished:
        return None
    read = fit(ProbeNet(probe).to(device), Fronts(stills, np.flatnonzero(learned & fronts)), probe_loss,
               out=out / "probe", minutes=minutes and (1 - SHARE) * minutes, lr=3e-3, warm_up=50, hold=0.4,
               evaluate=lambda net: read_scores(net, stills, np.flatnonzero(held & fronts)), **how)
    if not read.finished:
        return None
    for name, made, card in (("road_observer", seen, {"kind": "observer", "world": WORLD, "config": asdict(observer)}),
                             ("road_probe", read, RoadProbe(ProbeNet(probe)).card())):
        save_model(out / f"{name}.safetensors", made.weights, {
            **card, **about, "scores": {key: round(v, 4) for key, v in made.scores.items()},
            "recipe": {"trained_steps": made.step, "trained_seconds": round(made.elapsed)}})
    return out / "road_observer.safetensors"
