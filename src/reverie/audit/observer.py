"""The observer: finds the things in a frame, from its pixels and nothing else, and counts them over a clip.

It judges generated video, so it shares no code with the generator: this file reads its own weights.

A frame is looked at twice: as a whole, for boxes, and once more at each box alone, for what is in it.

Legend: B batch, T frames, H W pixels, h w cells, P candidates, C colours, K kinds, E appearance.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from reverie.audit.observer_net import STRIDE, Maps, ObserverConfig, ObserverNet, resized, to_input, working_size
from reverie.audit.second_look import SecondLook
from reverie.core.errors import BadInput, BadWeights
from reverie.core.vocabulary import COLOURS, KINDS

WEIGHTS = Path(__file__).parent.parent / "weights" / "observer.safetensors"
COLOUR_NAMES = tuple(COLOURS)
CANDIDATES = 40  # peaks of a frame that are looked at


@dataclass(frozen=True)
class Detection:
    """One thing in one frame.

    kind, colour: names of core.vocabulary. box: x0 y0 x1 y1 in pixels of the frame, of the whole thing
    as far as it is inside the picture, hidden parts included. confidence: 0..1. kind_scores (K,) and
    colour_scores (C,): float32, each of sum 1, in the vocabulary's order. appearance (E,): float32 of
    length 1; the same thing in two frames has nearly the same. visible: share of it that is in sight, 0..1; metre:
    pixels that a metre takes up where it is; lift: metres from the ground to its lowest point. All three are guesses
    from this one picture; NaN where an observer doesn't say.
    """

    kind: str
    colour: str
    box: tuple[float, float, float, float]
    confidence: float
    kind_scores: np.ndarray
    colour_scores: np.ndarray
    appearance: np.ndarray
    visible: float = math.nan
    metre: float = math.nan
    lift: float = math.nan

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the box, x and y in pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


class Observer:
    """A network with its reading of frames: ``detect`` is what it is for."""

    def __init__(self, net: ObserverNet, meta: dict | None = None) -> None:
        self.net = net.eval()
        self.meta = meta or {}

    @classmethod
    def load(cls, path: str | Path | None = None, device: str | torch.device = "cpu") -> Observer:
        """The observer in a safetensors file (default: the one that comes with the package).

        Raises BadWeights when it is missing, damaged, or not an observer.
        """
        path = WEIGHTS if path is None else Path(path)
        tensors, meta = _read(path)
        try:
            net = ObserverNet(ObserverConfig(**meta["config"]))
        except (KeyError, TypeError, BadInput) as error:
            raise BadWeights(f"{path} is no observer of this program ({error}): get it again") from None
        expected = net.state_dict()
        if set(expected) != set(tensors) or any(expected[n].shape != t.shape for n, t in tensors.items()):
            raise BadWeights(f"{path} does not fit its config: get it again")
        if not all(bool(t.isfinite().all()) for t in tensors.values()):
            raise BadWeights(f"{path} holds values that are not finite: get it again")
        net.load_state_dict(tensors)
        return cls(net.to(device), meta)

    @torch.no_grad()
    def detect(self, frames: np.ndarray, batch: int = 16, threshold: float | None = None, *,
               second: bool = True, every: int = 1, half: bool = False) -> list[list[Detection]]:
        """What is seen in each frame by itself, the most confident first.

        frames: uint8 (T, H, W, 3), H and W at least 32. batch: frames looked at together (it changes
        nothing but speed). threshold: least confidence, default the config's. second: whether to look
        again at each box, if this observer can; every: in one frame of so many. half: reckon in bfloat16, which
        changes confidences by about 0.01. Raises BadInput.
        """
        shaped = frames.ndim == 4 and frames.shape[3] == 3 and min(frames.shape[1:3]) >= 32
        if not shaped or frames.dtype != np.uint8:
            raise BadInput(f"an observer sees uint8 frames (T, H, W, 3) of at least 32x32 pixels, "
                           f"not {frames.dtype} {frames.shape}")
        least = self.net.config.threshold if threshold is None else threshold
        device = next(self.net.parameters()).device
        height, width = frames.shape[1:3]
        size = working_size(height, width)
        scale = np.array([width / size[1], height / size[0]] * 2, np.float32)
        again = self.net.second if second else None
        seen: list[list[Detection]] = []
        for start in range(0, len(frames), max(1, batch)):
            piece = torch.from_numpy(np.ascontiguousarray(frames[start : start + max(1, batch)])).to(device)
            shown = to_input(resized(piece, size))
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                found = [_thinned(peaks, size) for peaks in _peaks(_both_ways(self.net, shown), least)]
                if again is not None:
                    rows = [b for b in range(len(piece)) if (start + b) % every == 0]
                    for b, peaks in zip(rows, _looked_at(again, shown[rows], [found[b] for b in rows], least),
                                        strict=True):
                        found[b] = peaks
            seen += [_separate(peaks, scale, (width, height)) for peaks in found]
        return seen


def _both_ways(net: ObserverNet, shown_BCHW: Tensor) -> Maps:
    """What the network says of frames as they are and mirrored, averaged: it errs differently there."""
    maps = net(torch.cat([shown_BCHW, shown_BCHW.flip(-1)]))
    kinds, colours, looks, place = ((a + b.flip(-1)) / 2 for a, b in (
        part.chunk(2) for part in (maps.kinds, maps.colours, maps.looks, maps.place)))
    ahead, mirrored = maps.edges.chunk(2)
    edges = (ahead + mirrored.flip(-1)[:, [2, 1, 0, 3]]) / 2
    return Maps(kinds, colours, edges, F.normalize(looks, dim=1), place)


def overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4), x0 y0 x1 y1; 0 where one is NaN."""
    boxes, others = np.nan_to_num(boxes[:, None]), np.nan_to_num(others[None])
    sides = np.minimum(boxes[..., 2:], others[..., 2:]) - np.maximum(boxes[..., :2], others[..., :2])
    common = sides.clip(0).prod(-1)
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(-1) + (others[..., 2:] - others[..., :2]).prod(-1)
    return common / np.maximum(areas - common, 1e-9)


@dataclass
class _Peaks:
    """Candidates of one frame, the most confident first: P rows of each."""

    confidence: np.ndarray
    kind: np.ndarray
    boxes: np.ndarray  # in pixels of the size looked at
    kind_scores: np.ndarray
    colour_scores: np.ndarray
    looks: np.ndarray
    place: np.ndarray  # share in sight, a metre in pixels of the size looked at, metres above the ground

    def chosen(self, rows: Sequence[int] | np.ndarray) -> _Peaks:
        """Those candidates alone, in that order."""
        rows = np.asarray(rows, int)
        return _Peaks(self.confidence[rows], self.kind[rows], self.boxes[rows], self.kind_scores[rows],
                      self.colour_scores[rows], self.looks[rows], self.place[rows])


def _peaks(maps: Maps, least: float) -> list[_Peaks]:
    """The greatest local maxima of the kinds' maps and what stands at their cells, for each frame."""
    heat = maps.kinds.sigmoid()
    batch, _, height, width = heat.shape
    top = heat * (F.max_pool2d(heat, 3, 1, 1) == heat)
    values, places = top.flatten(1).topk(min(CANDIDATES, top[0].numel()), 1)
    kinds, cells = places // (height * width), places % (height * width)

    def at(plane: Tensor) -> np.ndarray:
        """(B, C, h, w) at the candidates' cells: (B, P, C)."""
        index = cells[:, None].expand(-1, plane.shape[1], -1)
        return plane.flatten(2).gather(2, index).transpose(1, 2).cpu().numpy()

    edges, colours, looks = at(maps.edges.exp()), at(maps.colours.softmax(1)), at(maps.looks)
    share, metre, lift = maps.place.split(1, 1)
    said = at(torch.cat([share.sigmoid(), STRIDE * metre.exp(), lift], 1))
    shares = at(heat / heat.sum(1, keepdim=True))
    found, kind, place = values.cpu().numpy(), kinds.cpu().numpy(), cells.cpu().numpy()
    middle = np.stack([place % width, place // width], -1) + 0.5
    boxes = STRIDE * np.concatenate([middle - edges[..., :2], middle + edges[..., 2:]], -1)
    frames = []
    for b in range(batch):
        keep = found[b] >= max(least, 1e-6)
        frames.append(_Peaks(found[b, keep], kind[b, keep], boxes[b, keep].astype(np.float32),
                             shares[b, keep], colours[b, keep], looks[b, keep], said[b, keep]))
    return frames


def _looked_at(look: SecondLook, shown_BCHW: Tensor, found: list[_Peaks], least: float) -> list[_Peaks]:
    """Candidates with what the second look says of their boxes, those of at least ``least`` confidence.

    The two looks' scores are multiplied, the first's with the config's exponents: they err differently.
    """
    count = max((len(peaks.boxes) for peaks in found), default=0)
    if not count:
        return found
    boxes = np.tile(np.array([0, 0, 8, 8], np.float32), (len(found), count, 1))  # frames with fewer are filled up
    for b, peaks in enumerate(found):
        boxes[b, : len(peaks.boxes)] = peaks.boxes
    said = [part.cpu().numpy() for part in look.look(shown_BCHW, torch.from_numpy(boxes).to(shown_BCHW.device))]
    out = []
    for peaks, kinds, colours in zip(found, *said, strict=True):
        kinds, colours = kinds[: len(peaks.boxes)], colours[: len(peaks.boxes)]
        something = (1 - kinds[:, -1]).clip(1e-6)
        kinds = kinds[:, :-1] * peaks.kind_scores.clip(1e-6) ** look.config.first[0]
        colours = colours * peaks.colour_scores.clip(1e-6) ** look.config.first[1]
        kinds, colours = (x / x.sum(1, keepdims=True).clip(1e-12) for x in (kinds, colours))
        sure = (peaks.confidence * something**look.config.doubt).astype(np.float32)
        new = replace(peaks, confidence=sure, kind=kinds.argmax(1), kind_scores=kinds.astype(np.float32),
                      colour_scores=colours.astype(np.float32))
        order = np.argsort(-sure, kind="stable")
        out.append(new.chosen(order[sure[order] >= least]))
    return out


def _thinned(peaks: _Peaks, size: tuple[int, int]) -> _Peaks:
    """Candidates without those that stand where a more confident one does, their boxes within (H, W)."""
    boxes = np.clip(peaks.boxes, 0, np.array((size[1], size[0]) * 2, np.float32))
    return replace(peaks, boxes=boxes).chosen(_apart(boxes, peaks.kind))


def _apart(boxes: np.ndarray, kinds: np.ndarray) -> list[int]:
    """Of two boxes for one thing the first; boxes (P, 4) and kinds (P,) by confidence.

    Two boxes are one thing when they overlap by half and are of one kind, or by more than two thirds
    whatever their kinds: things in front of one another seldom fill the same box.
    """
    common = overlap(boxes, boxes)
    kept: list[int] = []
    for i in range(len(boxes)):
        if all(common[i, k] <= (0.5 if kinds[i] == kinds[k] else 0.67) for k in kept):
            kept.append(i)
    return kept


def _separate(peaks: _Peaks, scale: np.ndarray, size: tuple[int, int]) -> list[Detection]:
    """Candidates to detections in a frame of size (W, H): of two boxes for one thing the more confident stays."""
    boxes = np.clip(peaks.boxes * scale, 0, np.array(size * 2, np.float32))
    out = []
    for i in _apart(boxes, peaks.kind):
        x0, y0, x1, y1 = map(float, boxes[i])
        colour = COLOUR_NAMES[int(peaks.colour_scores[i].argmax())]
        out.append(Detection(KINDS[peaks.kind[i]], colour, (x0, y0, x1, y1), float(peaks.confidence[i]),
                             peaks.kind_scores[i], peaks.colour_scores[i], peaks.looks[i], float(peaks.place[i, 0]),
                             float(peaks.place[i, 1] * scale[1]), float(peaks.place[i, 2])))
    return out


def _read(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors (as float32) and meta of a model file."""
    if not path.is_file():
        raise BadWeights(f"no observer at {path}: check the path, or train one")
    try:
        with safe_open(path, framework="pt") as opened:
            header = json.loads((opened.metadata() or {})["reverie"])
            tensors = {name: opened.get_tensor(name).float() for name in opened.keys()}  # noqa: SIM118
        meta = header["meta"]
        if header["format"] != 1 or meta["kind"] != "observer":
            raise BadWeights(f"{path} is no observer of this program: get one, or train one")
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadWeights(f"{path} is damaged or no observer ({reason}): get it again") from None
    return tensors, meta


# -- over a clip --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SeenThing:
    """One thing that was there for a while. first, last: frame numbers; frames: in how many it was seen.

    confidence: mean over these. path: (frames, 5) float32 rows of frame, x0, y0, x1, y1.
    """

    kind: str
    colour: str
    frames: int
    first: int
    last: int
    confidence: float
    path: np.ndarray


class _Track:
    def __init__(self) -> None:
        self.seen: list[tuple[int, Detection]] = []

    def cost(self, frame: int, detection: Detection) -> float:
        """How ill a detection fits; infinite when it cannot be this thing."""
        at, last = self.seen[-1]
        box, other = np.array([last.box]), np.array([detection.box])
        size = float(np.sqrt(np.prod(np.maximum(box[0, 2:] - box[0, :2], 1))))
        step = float(np.hypot(*np.subtract(last.centre, detection.centre)))
        # it may fly a box's length in a frame, and a few over the time in which it was not seen
        if step > size * min(1.0 + 0.25 * (frame - at - 1), 3.0):
            return float("inf")
        other_look = 1 - float(last.appearance @ detection.appearance)
        return (step / size + (1 - float(overlap(box, other)[0, 0])) + 0.5 * other_look
                + (last.kind != detection.kind) + (last.colour != detection.colour))


def seen_over_clip(detections_per_frame: Sequence[Sequence[Detection]], *, least: int = 4, patience: int = 12
                   ) -> list[SeenThing]:
    """Things that were there, from what was seen in each frame of a clip, by their first frames.

    Detections are linked from frame to frame, the best fitting first; a thing may be out of sight for
    ``patience`` frames; its kind and colour are voted on, each frame by its scores. A thing seen in
    fewer than ``least`` frames is a flicker and left out (a clip shorter than that asks for all of its
    frames). Links that end where another of the same kind and colour begins are joined, however long
    the gap, when the two never stood side by side: a ball behind a wall is one ball. What stays inside a larger thing
    of its colour is a part of that: the bob of a pendulum is no ball.
    """
    open_tracks: list[_Track] = []
    tracks: list[_Track] = []
    for frame, detections in enumerate(detections_per_frame):
        open_tracks = [t for t in open_tracks if frame - t.seen[-1][0] <= patience + 1]
        pairs = sorted(((track.cost(frame, d), i, j) for i, track in enumerate(open_tracks)
                        for j, d in enumerate(detections)), key=lambda pair: pair[0])
        taken: set[int] = set()
        used: set[int] = set()
        for cost, i, j in pairs:
            if cost < 3.0 and i not in taken and j not in used:
                open_tracks[i].seen.append((frame, detections[j]))
                taken.add(i)
                used.add(j)
        for j, detection in enumerate(detections):
            if j not in used:
                track = _Track()
                track.seen.append((frame, detection))
                tracks.append(track)
                open_tracks.append(track)
    least = max(1, min(least, len(detections_per_frame)))
    things = _joined([_voted(track.seen) for track in tracks if len(track.seen) >= least])
    whole = [thing for thing in things if not any(_part_of(thing, other) for other in things)]
    return sorted(whole, key=lambda thing: (thing.first, -thing.frames))


def _voted(seen: list[tuple[int, Detection]]) -> SeenThing:
    weights = np.array([d.confidence for _, d in seen])
    kind = int((weights[:, None] * np.stack([d.kind_scores for _, d in seen])).sum(0).argmax())
    colour = int((weights[:, None] * np.stack([d.colour_scores for _, d in seen])).sum(0).argmax())
    path = np.array([(frame, *d.box) for frame, d in seen], np.float32)
    return SeenThing(KINDS[kind], COLOUR_NAMES[colour], len(seen), seen[0][0], seen[-1][0],
                     float(weights.mean()), path)


def _part_of(thing: SeenThing, other: SeenThing) -> bool:
    """Whether a thing is a part of a larger one of its colour: inside it whenever both are seen, or all but.

    They are seen together within a frame of one another, for what is now taken for the whole and now for its part is
    never both. What is seen beside the other for long, a ball that passes a wall of its colour, is no part of it.
    """
    if thing is other or thing.colour != other.colour or other.frames < 0.4 * thing.frames:
        return False
    when, whole = thing.path[:, 0], other.path[:, 0]
    nearest = np.abs(when[:, None] - whole).argmin(1)
    together = np.abs(when - whole[nearest]) <= 1
    if together.sum() < 2:
        return False
    a, b = thing.path[together, 1:], other.path[nearest[together], 1:]
    common = (np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])).clip(0).prod(1)
    area, around = ((box[:, 2:] - box[:, :2]).prod(1) for box in (a, b))
    return bool(((common > 0.75 * area) & (around > 1.15 * area)).mean() >= 0.7)


def _joined(things: list[SeenThing]) -> list[SeenThing]:
    """Join things of one kind and colour whose times do not overlap, where only one is there at a time."""
    together: Counter[tuple[str, str]] = Counter()
    names = {(t.kind, t.colour) for t in things}
    for name in names:
        same = [t for t in things if (t.kind, t.colour) == name]
        together[name] = max(sum(o.first <= t.first <= o.last for o in same) for t in same)
    out: list[SeenThing] = []
    for name in names:
        same = sorted((t for t in things if (t.kind, t.colour) == name), key=lambda t: t.first)
        if together[name] > 1:
            out += same
            continue
        path = np.concatenate([t.path for t in same])
        confidence = float(np.average([t.confidence for t in same], weights=[t.frames for t in same]))
        out.append(SeenThing(*name, len(path), same[0].first, same[-1].last, confidence, path))
    return out
