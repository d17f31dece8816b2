"""What a past in pictures holds, as things: what the observer sees in it, put where a camera would see it so.

A network that is shown pictures alone says of most things in them that they are not there (of eleven things in five
clips it named none), and what is not there it does not paint. The observer names them. The camera must stand still; how
high is guessed from how far away things are that stand on the ground. How large a thing is and how it is turned is what
makes its outline most like what is seen of it.

Legend: L looks, one for each latent; N things; R poses that are tried of one thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from reverie.core.camera import CameraPath, look_at
from reverie.core.clip import Truth
from reverie.core.errors import BadWeights
from reverie.core.vocabulary import COLOURS, FIXTURES, FRAMES_PER_LATENT, KINDS
from reverie.model import things as th
from reverie.model.faces import surfaces
from reverie.model.outline import outlines, sights
from reverie.model.plate import Plate
from reverie.model.solids import Table, solids_of

if TYPE_CHECKING:
    from reverie.audit.observer import Detection, SeenThing

AWAY, AIM, FOVY = 6.05, 0.82, 40.0  # metres to what it looks at, and of that above the ground; degrees: as in training
HEIGHTS = np.linspace(0.9, 3.0, 43)  # metres that the camera may be high
USUAL, SPREAD = 1.8, 0.4  # and mostly is, in training, give or take
DOUBT = 0.15  # metres by which the foot of what stands on the ground may seem to be off it
GROUND = 0.12  # metres above it up to which a thing is taken to stand on it
FAR = (0.75, 1.35)  # of its depth as its size tells it, within which what stands on the ground may be
STILL = 1.5  # pixels by which what lies still may seem to move
MOSTLY = 0.75  # of the looks in which it seems to lie still
MOVED, SHARE = 12, 0.06  # grey levels, and share of the pixels around the things, from which the camera has moved
LEAST = 0.3  # share of the looks from its first on in which a thing must be seen, and mean confidence that it must have
TWICE, SURE = 2, 0.5  # looks, at least, if there are as many; mean confidence of a thing that is seen in few
FITS = 4  # times that a thing is moved to where its outline is that which is seen
TURNS, ROUND, LIES = 16, ("ball", "basketball", "cone", "pendulum"), ("domino", "cylinder")  # ways round that are tried
LEANS = (0, 30, 60, 90)  # degrees by which what may have fallen is tried
HANGS = ("pendulum", "screen", "bird")  # what may be still in the air
OTHERWISE = 3  # pixels by which its box is another one where it is not posed as it was then
APART, AROUND = 24, 2  # grey levels by which a thing's pixels differ from what is behind; pixels around a box
FINE = 24  # pixels across of an outline that are compared, at least
LINED = 0.03  # of the likeness that a box which is off by a pixel costs
F = FRAMES_PER_LATENT


class Seen(list[Tensor]):
    """The latents of past pictures (1, H, W, C); the tokens (L, S, WIDTH) of what is seen in them, if anything, and
    what is behind it."""

    tokens: np.ndarray | None = None
    plate: Plate | None = None


def tokens_of(frames: np.ndarray, fps: float, slots: int, table: Table, sizes: Sequence = ()
              ) -> tuple[np.ndarray, np.ndarray] | None:
    """Tokens (L, S, WIDTH) of the things in frames uint8 (4 L, H, W, 3), and of their camera, and which pixels of the
    looks are of things that were posed otherwise then (L, H, W) bool; None where the camera moves. slots: how many the
    model has; table: what things are made of; sizes: for each kind the extents it had in training."""
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
    found = [thing for thing in seen_over_clip(looks, least=1, patience=len(looks)) if _there(thing, len(looks))]
    found = sorted(found, key=lambda thing: (-thing.frames, -thing.confidence))[:slots]
    traces = [_Trace(thing, looks, frames.shape[1:3]) for thing in found]
    for one in traces:
        one.stands |= one.rests and not any(other.bears(one) for other in traces if other is not one)
    eye = _Eye(_camera(traces, frames.shape[1]), table, *frames.shape[1:3])
    out = np.zeros((len(looks), th.TOKENS, th.WIDTH), np.float32)
    out[:, : th.MAX_THINGS, 0] = -1.0
    if found:
        out[:, : len(found)] = th.encode_things(_truth(traces, eye, shown, fps, sizes))
    out[:, th.CAMERA_TOKEN] = eye.token
    made = sights(out, table, *frames.shape[1:3]).box[F - 1 :: F]
    hidden = np.zeros(shown.shape[:3], bool)
    for i, one in enumerate(traces):
        for k in np.flatnonzero(np.abs(made[:, i] - one.boxes).max(1) > OTHERWISE):
            if one.first <= k <= one.last:
                hidden[(k, *_inside(one.boxes[k]))] = True
    return out, hidden


def _there(thing: SeenThing, looks: int) -> bool:
    """Whether it must be there: seen often enough since it was seen first, and surely, if that is not long ago."""
    often, since = thing.frames >= LEAST * looks, looks - thing.path[0, 0]
    return thing.frames >= max(LEAST * since, min(TWICE, looks)) and thing.confidence >= (LEAST if often else SURE)


def _moved(one: np.ndarray, other: np.ndarray, things: Sequence[Detection]) -> bool:
    """Whether two pictures (H, W, 3) differ in more than what is around their things."""
    around = np.ones(one.shape[:2], bool)
    for thing in things:
        x0, y0, x1, y1 = (round(side) for side in thing.box)
        around[max(y0 - 3, 0) : y1 + 8, max(x0 - 3, 0) : x1 + 4] = False
    change = np.abs(one.astype(int) - other).max(-1)[around]
    return bool(len(change) and (change > MOVED).mean() > SHARE)


class _Trace:
    """A thing from look to look, those in which it was not seen in between: boxes (L, 4) px; depth m, as its size tells
    it; stands (L,) bool, on the ground; rests: all the time where it is; first, last."""

    def __init__(self, thing: SeenThing, looks: Sequence[Sequence[Detection]], size: tuple[int, int]) -> None:
        self.kind, self.colour = thing.kind, thing.colour
        at, boxes = thing.path[:, 0].astype(int), thing.path[:, 1:].astype(float)
        said = [_nearest(looks[t], box) for t, box in zip(at, boxes, strict=True)]
        self.first, self.last = int(at[0]), int(at[-1])
        times = np.arange(len(looks))
        away = np.abs(boxes - np.median(boxes, 0)).max(1)
        still = away.max() <= STILL
        # scenery that others go by is hidden in part, and seems to move
        still |= self.kind in FIXTURES and np.quantile(away, MOSTLY) <= STILL and away[-1] <= 4 * STILL
        self.rests = still and len(boxes) > 2 and self.kind not in HANGS  # too long to be falling
        if still:
            boxes = np.broadcast_to(np.median(boxes, 0), boxes.shape)
        self.boxes = np.stack([np.interp(times, at, side) for side in boxes.T], 1)
        self.depth = float(np.nanmedian([_focal(size[0]) / d.metre for d in said]))
        self.stands = np.interp(times, at, np.nan_to_num([d.lift for d in said])) < GROUND

    def bears(self, other: _Trace) -> bool:
        """Whether the other one may stand on this one."""
        (x0, y0, x1, _), (left, _, right, foot) = self.boxes[-1], other.boxes[-1]
        return bool(left < x1 and x0 < right and abs(foot - y0) < (foot - other.boxes[-1, 1]) / 4)


def _held(boxes: np.ndarray, stands: np.ndarray) -> np.ndarray:
    """What boxes (R, 4) are held by, x and y px (R, 2): the foot of what stands (R,), the middle of what does not."""
    low = np.where(stands, boxes[:, 3], (boxes[:, 1] + boxes[:, 3]) / 2)
    return np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, low], 1)


def _nearest(look: Sequence[Detection], box: np.ndarray) -> Detection:
    """That of what one look found whose box it is."""
    return min(look, key=lambda one: float(np.abs(np.subtract(one.box, box)).max()))


def _inside(box: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns of a picture in a box (4,) px and a little around it."""
    (x0, y0), (x1, y1) = np.floor(box[:2] - AROUND).astype(int).clip(0), np.ceil(box[2:] + AROUND).astype(int).clip(0)
    return slice(y0, y1), slice(x0, x1)


def _focal(height: int) -> float:
    return float(0.5 * height / np.tan(np.radians(FOVY) / 2))


@dataclass
class _Eye:
    """A camera that stands still, and how its pictures are made: what things are made of; px high and wide."""

    camera: CameraPath  # one pose
    table: Table
    height: int
    width: int

    @property
    def token(self) -> np.ndarray:
        """(WIDTH,) of a latent."""
        position, rotation = self.camera.position.repeat(F, 0), self.camera.rotation.repeat(F, 0)
        return th.encode_camera(CameraPath(position, rotation, FOVY))[0]

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """World directions (R, 3), a metre deep, through pixels (R, 2), x and y."""
        across, down = ((pixels - np.array([self.width, self.height]) / 2) / _focal(self.height)).T
        return np.stack([across, -down, -np.ones(len(pixels))], 1) @ self.camera.rotation[0].T

    def boxes(self, things: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Of things (R, 1, WIDTH), each alone: the boxes (R, 4) px in the picture, and how high above the ground their
        lowest points are (R,) m."""
        camera = torch.from_numpy(self.token).expand(len(things), -1)
        made = outlines(things, camera, self.table, self.height, self.width)
        return made.box[:, -1, 0].numpy().clip(0, [self.width, self.height] * 2), made.lift[:, -1, 0].numpy()

    def silhouettes(self, things: Tensor, pixels: np.ndarray) -> np.ndarray:
        """Which of the pixels (P, 2), x and y, show each of things (R, 1, WIDTH), alone: (R, P) bool."""
        solids = solids_of(things, self.table)
        eye = torch.from_numpy(self.camera.position[0]).expand(len(things), F, -1)
        rays = torch.from_numpy(self.rays(pixels).astype(np.float32)).expand(len(things), F, -1, -1)
        return (surfaces(solids, eye, rays)[1][:, -1] >= 0).numpy()


def _camera(traces: Sequence[_Trace], height: int) -> CameraPath:
    """One pose, from which what stands on the ground stands on it, in pictures so high."""
    on = [((t.boxes[-1, 3] - height / 2) / _focal(height), t.depth) for t in traces if t.stands[-1]]

    def miss(height: float) -> float:
        pose = _pose(height)
        feet = [pose.position[0, 2] + depth * (pose.rotation[0] @ (0.0, -low, -1.0))[2] for low, depth in on]
        return float(np.square(feet).sum()) / DOUBT**2 + ((height - USUAL) / SPREAD) ** 2

    return _pose(min(HEIGHTS, key=miss))


def _pose(height: float) -> CameraPath:
    aim = np.array([0.0, 0.0, AIM])
    place = np.array([0.0, -np.sqrt(max(AWAY**2 - (height - AIM) ** 2, 1.0)), height])
    return CameraPath(place[None].astype(np.float32), look_at(place, aim)[None].astype(np.float32), FOVY)


def _truth(traces: Sequence[_Trace], eye: _Eye, shown: np.ndarray, fps: float, sizes: Sequence) -> Truth:
    """The things as they would be, had the camera been there: T = 4 L frames, each look at the last of four."""
    looks = len(shown)
    frames, at = np.arange(looks * F), np.arange(looks) * F + F - 1
    shape = (len(frames), len(traces))
    exists, position, rotation = np.zeros(shape, bool), np.zeros((*shape, 3)), np.zeros((*shape, 3, 3))
    extent = np.zeros((len(traces), 3), np.float32)
    for i, one in enumerate(traces):
        extent[i], rotation[:, i] = _turned(one, eye, shown[one.last], [t for t in traces if t is not one], sizes)
        posed = (np.stack([part] * looks) for part in (extent[i], rotation[0, i]))
        places, *_ = _placed(one, eye, one.boxes, one.stands, *posed)
        position[:, i] = np.stack([np.interp(frames, at, axis) for axis in places.T], 1)
        exists[one.first * F : (one.last + 1) * F, i] = True
    velocity = np.gradient(position, axis=0) * fps
    return _truth_of([(t.kind, t.colour) for t in traces], extent, exists, position, rotation, velocity)


def _truth_of(things: Sequence[tuple[str, str]], extent: np.ndarray, exists: np.ndarray, position: np.ndarray,
              rotation: np.ndarray, velocity: np.ndarray) -> Truth:
    """Truth of N things of a kind and a colour each."""
    kinds, colours = map(list, zip(*things, strict=True))
    moves = (part.astype(np.float32) for part in (position, rotation, velocity))
    return Truth("", kinds, colours, ["medium"] * len(kinds), ["heavy"] * len(kinds), extent, exists, *moves,
                 np.zeros(exists.shape, np.float32), np.zeros((0, 3), np.int32), [], [0.0], source="seen")


def _placed(one: _Trace, eye: _Eye, boxes: np.ndarray, stands: np.ndarray, extent: np.ndarray, turn: np.ndarray
            ) -> tuple[np.ndarray, Tensor, np.ndarray]:
    """Where a thing of half sizes (R, 3) and turns (R, 3, 3) is to be, (R, 3), that it is seen in boxes (R, 4), on the
    ground where it stands (R,); and it there, (R, 1, WIDTH), and the boxes in which it is seen."""
    many, aim, high = len(boxes), _held(boxes, stands), extent[:, 2].astype(float)
    for _ in range(FITS):  # high: its middle above its lowest point
        rays, depth = eye.rays(aim), np.full(many, one.depth)
        if stands.any():  # where the ground is behind its foot, if it may be as far away as that; and so in the air
            ground = (-eye.camera.position[0, 2] / np.minimum(rays[:, 2], -1e-3)).clip(*(one.depth * np.array(FAR)))
            depth = np.interp(np.arange(many), np.flatnonzero(stands), ground[stands])
        places = eye.camera.position[0] + rays * depth[:, None]
        places[:, 2] = np.where(stands, high, places[:, 2])
        truth = _truth_of([(one.kind, one.colour)] * many, extent, np.ones((F, many), bool),
                          np.broadcast_to(places, (F, many, 3)), np.broadcast_to(turn, (F, many, 3, 3)),
                          np.zeros((F, many, 3)))
        things = torch.from_numpy(th.encode_things(truth)).transpose(0, 1)
        made, lift = eye.boxes(things)
        high = places[:, 2] - lift
        aim = aim + np.nan_to_num(_held(boxes, stands) - _held(made, stands))
    return places, things, made


def _turned(one: _Trace, eye: _Eye, picture: np.ndarray, others: Sequence[_Trace], sizes: Sequence
            ) -> tuple[np.ndarray, np.ndarray]:
    """Half sizes (3,) in metres, of those that the kind has, and the turn (3, 3) with which it looks most like what is
    seen of it in a picture (H, W, 3)."""
    number, box = KINDS.index(one.kind), one.boxes[one.last]
    known = sorted({tuple(size) for size in (sizes[number] if number < len(sizes) else ())})
    if not known:
        wide, tall = (box[2:] - box[:2]) * one.depth / _focal(eye.height) / 2
        return np.array([wide, wide, tall]), np.eye(3)
    turns = _turns(one.kind)
    extent = np.repeat(0.3 * np.exp(0.7 * np.array(known)), len(turns), 0).astype(np.float32)
    turn = np.concatenate([turns] * len(known))
    again = np.full(len(turn), one.last)
    _, things, made = _placed(one, eye, one.boxes[again], one.stands[again], extent, turn)
    every = max(1, int((box[2:] - box[:2]).max()) // FINE)
    y, x, own = (part[_inside(box)][::every, ::every] for part in (
        *np.mgrid[: eye.height, : eye.width], _own_pixels(one, picture, others)))
    drawn = eye.silhouettes(things, np.stack([x.ravel(), y.ravel()], 1) + 0.5)
    like = (drawn & own.ravel()).sum(1) / np.maximum((drawn | own.ravel()).sum(1), 1)
    like = like - LINED * np.abs(np.nan_to_num(made) - box).mean(1)
    best = int(like.argmax())
    return extent[best], turn[best]


def _turns(kind: str) -> np.ndarray:
    """Ways (R, 3, 3) in which a thing may be turned: round, and, where it may have fallen, leaning and lying."""
    if kind in ROUND:
        return np.eye(3)[None]
    angle = np.arange(TURNS) * 2 * np.pi / TURNS
    cos, sin, zero, one = np.cos(angle), np.sin(angle), np.zeros(TURNS), np.ones(TURNS)
    yaw = np.array([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]]).transpose(2, 0, 1)
    tilts = np.radians(LEANS if kind in LIES else [0])
    return np.concatenate([yaw @ np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
                           for a in tilts])


def _own_pixels(one: _Trace, picture: np.ndarray, others: Sequence[_Trace]) -> np.ndarray:
    """Which pixels (H, W) of a picture (H, W, 3) are a thing's: those in its box that differ from the rest of their
    row, by more than a shadow does where it has a colour."""
    free = np.ones(picture.shape[:2], bool)
    for each in (one, *others):
        free[_inside(each.boxes[one.last])] = False
    behind = np.ma.median(np.ma.masked_array(picture, np.repeat(~free[..., None], 3, 2)), 1, keepdims=True)
    behind = np.ma.filled(behind.astype(float), picture.mean((0, 1)))
    own = np.abs(picture - behind).max(-1) > APART

    def pure(colour: np.ndarray) -> np.ndarray:
        return colour / np.maximum(np.linalg.norm(colour, axis=-1, keepdims=True), 1)

    tint = np.array(COLOURS[one.colour]) * 255
    if np.ptp(tint) > APART:
        shade = pure(picture.astype(float))
        own &= (shade * pure(tint)).sum(-1) > (shade * pure(behind)).sum(-1)
    return own
