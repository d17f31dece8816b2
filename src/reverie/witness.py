"""What a past in pictures holds, as things: what the observer sees in it, put where a camera would see it so.

A network that is shown pictures alone says of most things in them that they are not there (of eleven things in five
clips it named none), and what is not there it does not paint. The observer names them. The camera must stand still; how
high is guessed from how far away things are that stand on the ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from reverie.core.camera import CameraPath, look_at
from reverie.core.clip import Truth
from reverie.core.errors import BadWeights
from reverie.core.vocabulary import FRAMES_PER_LATENT, KINDS, STAGE_CENTRE
from reverie.model import things as th

if TYPE_CHECKING:
    from reverie.audit.observer import Detection, SeenThing

AWAY, FOVY = 6.0, 40.0  # metres from the stage's middle and degrees, as in training
HEIGHTS = np.linspace(0.9, 3.0, 43)  # metres that the camera may be high
USUAL, SPREAD = 1.8, 0.4  # and mostly is, in training, give or take
DOUBT = 0.15  # metres by which the foot of what stands on the ground may seem to be off it
GROUND = 0.12  # metres above it up to which a thing is taken to stand on it
STILL = 1.5  # pixels by which what lies still may seem to move
MOVED, SHARE = 12, 0.06  # grey levels, and share of the pixels around the things, from which the camera has moved
LEAST = 0.3  # share of the looks at a past in which a thing must be seen, and mean confidence that it must have
F = FRAMES_PER_LATENT


class Seen(list[Tensor]):
    """The latents of past pictures (1, H, W, C), and the tokens (L, S, WIDTH) of what is seen in them, if anything."""

    tokens: np.ndarray | None = None


def tokens_of(frames: np.ndarray, fps: float, slots: int, sizes: Sequence = ()) -> np.ndarray | None:
    """Tokens (L, S, WIDTH) of the things in frames uint8 (4 L, H, W, 3), and of their camera; None where nothing is
    seen, or the camera moves. slots: how many the model has; sizes: for each kind the extents it had in training."""
    from reverie.audit.judge import package_observer
    from reverie.audit.observer import seen_over_clip

    try:
        observer = package_observer()
    except BadWeights:  # there is none: then the network guesses, as far as it can
        return None
    if len(frames) < F:
        return None
    shown = frames[F - 1 :: F]
    looks = observer.detect(shown)
    if any(_moved(shown[k], shown[-1], [*looks[k], *looks[-1]]) for k in (0, len(shown) // 2)):
        return None
    found = [thing for thing in seen_over_clip(looks, least=max(1, round(LEAST * len(looks))), patience=len(looks))
             if thing.confidence >= LEAST]
    found = sorted(found, key=lambda thing: (-thing.frames, -thing.confidence))[:slots]
    if not found:
        return None
    height, width = frames.shape[1:3]
    traces = [_Trace(thing, looks, (height, width)) for thing in found]
    camera = _camera(traces)
    truth = _truth(traces, camera, len(looks), fps, sizes)
    out = np.zeros((len(looks), th.TOKENS, th.WIDTH), np.float32)
    out[:, : th.MAX_THINGS, 0] = -1.0
    out[:, : len(found)] = th.encode_things(truth)
    path = CameraPath(camera.position.repeat(len(looks) * F, 0), camera.rotation.repeat(len(looks) * F, 0), FOVY)
    out[:, th.CAMERA_TOKEN] = th.encode_camera(path)
    return out


def _moved(one: np.ndarray, other: np.ndarray, things: Sequence[Detection]) -> bool:
    """Whether two pictures (H, W, 3) differ in more than what is around their things."""
    around = np.ones(one.shape[:2], bool)
    for thing in things:
        x0, y0, x1, y1 = (round(side) for side in thing.box)
        around[max(y0 - 3, 0) : y1 + 8, max(x0 - 3, 0) : x1 + 4] = False
    change = np.abs(one.astype(int) - other).max(-1)[around]
    return bool(len(change) and (change > MOVED).mean() > SHARE)


class _Trace:
    """A thing from look to look, those in which it was not seen in between: boxes (L, 4) px from the picture's middle
    over the focal length; depth (L,) m; lift m, in the middle; first, last."""

    def __init__(self, thing: SeenThing, looks: Sequence[Sequence[Detection]], size: tuple[int, int]) -> None:
        self.kind, self.colour = thing.kind, thing.colour
        focal = 0.5 * size[0] / np.tan(np.radians(FOVY) / 2)
        at, boxes = thing.path[:, 0].astype(int), thing.path[:, 1:].astype(float)
        said = [_nearest(looks[t], box) for t, box in zip(at, boxes, strict=True)]
        self.first, self.last = int(at[0]), int(at[-1])
        times = np.arange(len(looks))
        if np.abs(boxes - np.median(boxes, 0)).max() <= STILL:
            boxes = np.broadcast_to(np.median(boxes, 0), boxes.shape)
        boxes = (boxes - np.array([size[1], size[0]] * 2) / 2) / focal
        self.boxes = np.stack([np.interp(times, at, side) for side in boxes.T], 1)
        self.depth = float(np.nanmedian([focal / d.metre for d in said]))
        self.lift = np.interp(times, at, np.nan_to_num([d.lift for d in said]))
        self.stands = bool(np.median(self.lift) < GROUND)


def _nearest(look: Sequence[Detection], box: np.ndarray) -> Detection:
    """That of what one look found whose box it is."""
    return min(look, key=lambda one: float(np.abs(np.subtract(one.box, box)).max()))


def _camera(traces: Sequence[_Trace]) -> CameraPath:
    """One pose, from which what stands on the ground stands on it."""
    on = [(t.boxes[-1, 3], t.depth) for t in traces if t.stands]

    def miss(height: float) -> float:
        pose = _pose(height)
        feet = [pose.position[0, 2] + depth * (pose.rotation[0] @ (0.0, -low, -1.0))[2] for low, depth in on]
        return float(np.square(feet).sum()) / DOUBT**2 + ((height - USUAL) / SPREAD) ** 2

    return _pose(min(HEIGHTS, key=miss))


def _pose(height: float) -> CameraPath:
    centre = np.array(STAGE_CENTRE, float)
    place = centre + (0.0, -np.sqrt(max(AWAY**2 - (height - centre[2]) ** 2, 1.0)), height - centre[2])
    return CameraPath(place[None].astype(np.float32), look_at(place, centre)[None].astype(np.float32), FOVY)


def _truth(traces: Sequence[_Trace], camera: CameraPath, looks: int, fps: float, sizes: Sequence) -> Truth:
    """The things as they would be, had the camera been there: T = 4 looks frames, each look at the last of four."""
    frames, at = np.arange(looks * F), np.arange(looks) * F + F - 1
    shape = (len(frames), len(traces))
    exists, position = np.zeros(shape, bool), np.zeros((*shape, 3), np.float32)
    velocity, rotation = np.zeros((*shape, 3), np.float32), np.zeros((*shape, 3, 3), np.float32)
    extent = np.zeros((len(traces), 3), np.float32)
    for i, one in enumerate(traces):
        extent[i], turn = _shape(one, sizes)
        middle = (one.boxes[:, :2] + one.boxes[:, 2:]) / 2 * [1, -1]
        local = np.concatenate([middle, -np.ones((looks, 1))], 1) * one.depth
        places = camera.position[0] + local @ camera.rotation[0].T
        if one.stands:
            places[:, 2] = extent[i, 2]
        position[:, i] = np.stack([np.interp(frames, at, axis) for axis in places.T], 1)
        velocity[:, i] = np.gradient(position[:, i], axis=0) * fps
        exists[one.first * F : (one.last + 1) * F, i] = True
        rotation[:, i] = turn
    none = np.zeros(shape, np.float32)
    return Truth("", [t.kind for t in traces], [t.colour for t in traces], ["medium"] * len(traces),
                 ["heavy"] * len(traces), extent, exists, position, rotation, velocity, none,
                 np.zeros((0, 3), np.int32), [], [0.0], source="seen")


def _shape(one: _Trace, sizes: Sequence) -> tuple[np.ndarray, np.ndarray]:
    """Half sizes (3,) in metres, of those that the kind has, and the turn (3, 3), along or across, that fit its box."""
    wide, tall = np.median(one.boxes[:, 2:] - one.boxes[:, :2], 0) * one.depth / 2
    number = KINDS.index(one.kind)
    known = [0.3 * np.exp(0.7 * np.array(size)) for size in (sizes[number] if number < len(sizes) else ())]
    along, across = np.eye(3), np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    fits = [(abs(np.log(size[axis] / wide)) + abs(np.log(size[2] / tall)), k, turn)
            for k, size in enumerate(known) for axis, turn in ((0, along), (1, across))]
    if not fits:
        return np.array([wide, wide, tall]), along
    _, k, turn = min(fits, key=lambda fit: fit[:2])
    return known[k], turn
