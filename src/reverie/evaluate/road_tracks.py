"""Suite ``road_tracks``: futures with the true actions as tracks through the car's cameras, against what followed.

Nothing is painted: a thing's box is its projection through the rig, as ``reverie futures`` has it, hidden or not, and
its track is its token's. Over two seconds these are held against the true boxes by HOTA (tracking.py); a clip's
pictures through all cameras are one sequence, so that a thing is to be the same one in each of them. Beside them stand
things that go on as fast and as straight as they went. Who comes or goes in truth, which nobody can foretell, counts as
missed.

Over ten seconds those are counted that are lost or invented in plain sight: there in one frame and not in the next, or
somewhere else, though the whole box is in a picture, near by and behind nothing. A token lasts, and others come and go
far beyond what is looked at, so that a future should have none. In truth there are some: SUMO lets cars set out in the
middle of a street for the first eight seconds, and takes people away where they have arrived.

Legend: T frames, N agents.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from reverie.core.camera import CameraPath
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.road.drawing import boxes_of
from reverie.data.road.trace import Trace
from reverie.data.road.weather import of_seed
from reverie.data.road.world import Look, from_start, part
from reverie.evaluate import tracking
from reverie.evaluate.figures import figure, share
from reverie.evaluate.forecast import constant
from reverie.evaluate.road import model_name, model_of
from reverie.evaluate.study import SEED, Study
from reverie.evaluate.traffic import traces
from reverie.model.road.canvas import RoadCanvas
from reverie.painter import Painter
from reverie.road import Road

__all__ = ["Rig", "driven", "measure", "model_name"]
SECONDS, PRESENT = 12.5, 2.0  # of a clip, and where its past ends
FOLLOWED, WATCHED = 2.0, 10.0  # seconds of a future that are held against truth, and in which who is lost is counted
FAR, LEAST = 40.0, 30  # metres within which, and pixels of a box from which on, agents are looked for
LEAP = 2.0  # metres between two frames, from which on it is another that is there
SPOTS = np.stack(np.meshgrid([0.3, 0.5, 0.7], [0.3, 0.5, 0.7]), -1).reshape(-1, 2)  # of a box, that are looked at
CLEAR = 0.75  # share of these that show nothing nearer, from which on it is in plain sight
F = FRAMES_PER_LATENT


def measure(study: Study) -> list[dict]:
    """Of one future of each of n clips."""
    model = model_of(study)
    sequences: dict[str, list[dict]] = {"": [], "_constant_velocity": []}
    lost, minutes = {"": np.zeros(2), "_in_truth": np.zeros(2)}, 0.0
    files = traces(study, study.n, SECONDS)
    with study.track(len(files), "futures followed") as bar:
        for i, path in enumerate(files):
            true, begins = from_start(Trace.load(path)), round(PRESENT * 24) // F * F
            look = Look.of({"seed": SEED + i})
            soon, long = (round(seconds * 24) for seconds in (FOLLOWED, WATCHED))
            future = driven(model, true, begins, WATCHED, SEED + i, arrivals=True)
            after = Rig(part(true, begins + 1, begins + 1 + soon), look)
            for said, other in (("", part(future, 1, 1 + soon)), ("_constant_velocity", straight(true, begins, soon))):
                sequences[said].append(followed(after, Rig(other, look)))
            way = true.place[:, true.ego]
            for said, whole in (("", part(future, 0, 1 + long)), ("_in_truth", part(true, begins, begins + 1 + long))):
                lost[said] += Rig(whole, look, way).broken()
            minutes += long / 24 / 60
            bar.advance()
    figures = []
    for said, found in sequences.items():
        score = tracking.scores(found)
        boxes = sum(data["num_gt_dets"] for data in found)
        figures += [figure(f"{name}_{FOLLOWED:g}s{said}", value, "share", None, boxes)
                    for name, value in score.items()]
    for said, counts in lost.items():
        figures += [figure(f"{what}_per_minute{said}", share(count, minutes), "1/min", None, round(60 * minutes))
                    for what, count in zip(("lost", "invented"), counts, strict=True)]
    return figures


def driven(model: Road, trace: Trace, begins: int, seconds: float, seed: int, *, arrivals: bool = False,
           actions: np.ndarray | None = None) -> Trace:
    """The future from frame ``begins`` of a trace on, with the true actions or others (T, 2): a trace that begins with
    that frame."""
    latents = -(-round(seconds * 24) // F)
    actions = trace.actions[begins : begins + latents * F] if actions is None else actions
    ride = model.begin(trace, begins, [seed], arrivals=arrivals)
    for n in range(latents):
        ride.step(actions[None, (n * F + np.arange(F)).clip(max=len(actions) - 1)])
    return ride.trace_of(0, past=1, frame=begins)


def straight(trace: Trace, begins: int, frames: int) -> Trace:
    """What would follow if all but our car went on as in the latent before frame ``begins``."""
    now, before = trace.exists[begins], trace.exists[begins] & trace.exists[begins - F]
    old = np.where(before[:, None], trace.place[begins - F], trace.place[begins])
    after = slice(begins + 1, begins + 1 + frames)
    place, heading = constant(trace.place[begins], old, frames, F), np.tile(trace.heading[begins], (frames, 1))
    place[:, trace.ego], heading[:, trace.ego] = trace.place[after, trace.ego], trace.heading[after, trace.ego]
    rows = {name: getattr(trace, name)[after] for name in ("speed", "lane", "signals", "actions")}
    return replace(trace, **rows, exists=np.tile(now, (frames, 1)), place=place, heading=heading)


def followed(true: Rig, made: Rig) -> dict:
    """A clip's pictures through all cameras as trackeval takes them."""
    (boxes, asked), (own, found) = ((np.concatenate(one.boxes), np.concatenate(one.asked)) for one in (true, made))
    rows = [(np.flatnonzero(some), box[some]) for some, box in zip(found, own, strict=True)]
    return tracking.sequence(boxes, np.isfinite(boxes[..., 0]), asked, rows)


class Rig:
    """A trace through its car's cameras. paths: of each camera; boxes: of each camera (T, N, 4) in pixels, NaN where
    nothing is; asked: of each camera (T, N), who is near, and large enough; whole: of these, who is wholly within the
    picture; near (T, N): who is near our car. way (K, 2): places around which the town is
    built, if not our car's in the trace."""

    def __init__(self, trace: Trace, look: Look, way: np.ndarray | None = None) -> None:
        self.trace, self.look, self.way = trace, look, way
        own = trace.place[:, trace.ego], trace.heading[:, trace.ego]
        self.paths: list[CameraPath] = [mount.path(*own, look.size) for mount in look.mounts]
        self.boxes = [boxes_of(trace, path, look.size) for path in self.paths]
        self.near = np.hypot(*(trace.place - trace.place[:, trace.ego, None]).transpose(2, 0, 1)) < FAR
        self.asked = [self.near & ((box[..., 2:] - box[..., :2]).prod(-1) >= LEAST) for box in self.boxes]
        self.whole = [some & (box[..., :2] > 0).all(-1) & (box[..., 2:] < look.size[::-1]).all(-1)
                      for some, box in zip(self.asked, self.boxes, strict=True)]

    def painter(self, canvas: RoadCanvas | None = None) -> Painter:
        """What paints it, in rain, when nothing casts a shadow."""
        return Painter(self.trace, of_seed(self.look.seed, "rain"), self.look.size, self.look.seed, self.way, canvas)

    def plain(self, painter: Painter, m: int, t: int) -> np.ndarray:
        """Who (N,) is in plain sight of camera m: wholly within its picture, and nearer than anything else where one
        looks at its box."""
        box, seen, width = self.boxes[m][t], self.whole[m][t].copy(), self.look.size[1]
        chosen = np.flatnonzero(seen)
        if not len(chosen):
            return seen
        spots = (box[chosen, None, :2] + SPOTS * (box[chosen, None, 2:] - box[chosen, None, :2])).astype(int)
        painter.at(t)
        painter.through(self.paths[m], t, 1.0)
        sight = painter.sight(torch.from_numpy((spots[..., 1] * width + spots[..., 0]).reshape(-1)))
        here = painter.others[self.trace.exists[t, painter.others]]
        depth, pixel = sight.a_depth.numpy(), sight.a_pixel.numpy()
        first, nearest = np.full(spots.shape[0] * len(SPOTS), -1), np.full(spots.shape[0] * len(SPOTS), np.inf)
        order = np.argsort(-depth, kind="stable")  # the nearest is written last
        first[pixel[order]] = here[sight.a_who.numpy()[order] % len(here)]
        nearest[pixel[order]] = depth[order]
        solid = sight.s_pixel.numpy()
        before = solid[(sight.s_cover.numpy() > 0.5) & (sight.s_depth.numpy() < nearest[solid])]
        first[before] = -1
        seen[chosen] = (first.reshape(len(chosen), -1) == chosen[:, None]).mean(1) >= CLEAR
        return seen

    def broken(self) -> np.ndarray:
        """How many are lost, and how many invented, in plain sight of a camera."""
        there, leap = self.trace.exists, np.linalg.norm(np.diff(self.trace.place, axis=0), axis=-1) > LEAP
        ends = there[:-1] & (~there[1:] | leap), there[1:] & (~there[:-1] | leap)
        painter, found = self.painter(), np.zeros(2)
        for k, some in enumerate(ends):
            for t in np.flatnonzero(some.any(1)):
                seen = np.any([self.plain(painter, m, int(t) + k) for m in range(len(self.paths))], 0)
                found[k] += (some[t] & seen).sum()
        return found
