"""What an observer trains on: frames of drawn clips, varied, and what should be said of them.

Legend: B frames of a batch, S frames of a window, N things, P cells, H W pixels, h w cells, K kinds.
"""

from __future__ import annotations

import io
import math
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reverie.audit.observer import COLOUR_NAMES
from reverie.audit.observer_net import STRIDE, resized, working_size
from reverie.core.clip import Clip, Truth
from reverie.core.errors import BadData
from reverie.core.video import VideoWriter, read_video
from reverie.core.vocabulary import KINDS, MAX_THINGS, SIZES
from reverie.data.shards import ClipSet, has_truth
from reverie.model.block import picture
from reverie.model.tokenizer import Tokenizer
from reverie.train.encode import true_tokens
from reverie.train.posing import drawn_of

WINDOW = 8  # frames that are read together; those of SHOWN are trained on
SHOWN = (4, 7)  # late ones: by then the tokenizer's memory holds what a long video's would
ROUND = ("ball", "basketball")
LEAST_VISIBLE, LEAST_SIDE = 0.25, 6.0  # below, a thing is neither asked for nor forbidden


@dataclass(frozen=True)
class Variation:
    """How frames are varied.

    pixels: per step, frames times height times width. zoom: greatest enlargement of a crop; canvas:
    least and greatest size of a batch, of its clips'. worn: share of frames degraded by JPEG. paste:
    how often, twice over, another clip's thing is put into a frame. trip: share taken through the
    tokenizer, where there is one, its latents with noise of up to ``noise``; drawn: share drawn by its canvas, where it
    has one, from their true things; coded: share of the rest taken through H.264, at a crf of ``crf``. recoloured:
    share of the pairs of frames that are given other colours (theirs are not asked then): things are to be told in all
    of them.
    """

    pixels: int = 48 * 128 * 128
    zoom: float = 1.5
    canvas: tuple[float, float] = (0.75, 1.25)
    worn: float = 0.25
    paste: float = 0.3
    trip: float = 0.4
    noise: float = 0.2
    drawn: float = 0.2
    coded: float = 0.25
    crf: tuple[int, int] = (24, 38)
    recoloured: float = 0.5


@dataclass
class Example:
    """A frame with the truth of its N things.

    picture uint8 (H, W, 3); mask uint8 (H, W), thing + 1; boxes (N, 4) of whole things, x0 y0 x1 y1
    pixels, NaN for the unseen; visible (N,) 0..1; kinds, colours, sizes (N,) numbers of core.vocabulary;
    names (N,): the same number for the same thing, all over a batch. metres (N,): pixels that a metre takes up
    where it is; lifts (N,): metres from the ground to its lowest point; NaN where they are not known.
    """

    picture: np.ndarray
    mask: np.ndarray
    boxes: np.ndarray
    visible: np.ndarray
    kinds: np.ndarray
    colours: np.ndarray
    sizes: np.ndarray
    names: np.ndarray
    metres: np.ndarray
    lifts: np.ndarray
    setting: str

    @property
    def nbytes(self) -> int:
        """Bytes of its pictures."""
        return self.picture.nbytes + self.mask.nbytes

    def parts(self) -> np.ndarray:
        """Boxes (N, 4) around the pixels of each thing; NaN where it has none."""
        out = np.full((len(self.kinds), 4), np.nan, np.float32)
        for value in np.unique(self.mask[self.mask > 0]):
            mine = self.mask == value
            rows, columns = np.flatnonzero(mine.any(1)), np.flatnonzero(mine.any(0))
            out[value - 1] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        return out


def examples(clip: Clip, chosen: Sequence[int]) -> list[Example]:
    """The chosen frames of a drawn clip's first camera, in working size."""
    name, view = next(iter(clip.views.items()))
    truth, chosen = clip.truth, list(chosen)
    height, width = view.shape[1:3]
    size = working_size(height, width)
    scale = np.array([size[1] / width, size[0] / height] * 2, np.float32)
    pictures = resized(torch.from_numpy(np.ascontiguousarray(view[chosen])), size).numpy()
    kinds = np.array([KINDS.index(kind) for kind in truth.kinds], int)
    colours = np.array([COLOUR_NAMES.index(colour) for colour in truth.colours], int)
    sizes = np.array([SIZES.index(s) for s in truth.sizes], int)
    metres, lifts = pixels_per_metre(clip, name, size[0])[chosen], lifted(truth)[chosen]
    return [Example(picture, _resize(truth.masks[name][t], size, Image.Resampling.NEAREST),
                    truth.boxes[name][t] * scale, truth.visible[name][t], kinds, colours, sizes,
                    np.arange(len(kinds)), metre, lift, truth.setting)
            for picture, t, metre, lift in zip(pictures, chosen, metres, lifts, strict=True)]


def pixels_per_metre(clip: Clip, camera: str, height: int) -> np.ndarray:
    """Pixels (T, N) that a metre takes up where each thing is, in frames of a height; NaN behind the camera, or where
    it is unknown."""
    if camera not in clip.cameras:
        return np.full(clip.truth.exists.shape, np.nan, np.float32)
    path = clip.cameras[camera]
    gap = clip.truth.position - path.position[:, None]
    depth = -np.einsum("ti,tni->tn", path.rotation[..., 2], gap)
    focal = 0.5 * height / math.tan(math.radians(path.fovy) / 2)
    return np.where(depth > 0.1, focal / np.maximum(depth, 0.1), np.nan).astype(np.float32)


def lifted(truth: Truth) -> np.ndarray:
    """Metres (T, N) from the ground to each thing's lowest point, as its box has it."""
    down = (np.abs(truth.rotation[:, :, 2]) * truth.extent).sum(-1)
    round_ = np.isin(truth.kinds, ROUND)
    down[:, round_] = truth.extent[round_, 0]
    return np.maximum(truth.position[..., 2] - down, 0).astype(np.float32)


def varied(example: Example, size: tuple[int, int], variation: Variation, rng: np.random.Generator) -> Example:
    """An example cropped, mirrored, worn and resized to (H, W), its truth with it."""
    picture = example.picture
    if rng.random() < variation.worn:
        picture = jpeg(picture, int(rng.integers(25, 85)))
    height, width = picture.shape[:2]
    zoom = math.exp(rng.uniform(0, math.log(variation.zoom))) if rng.random() < 0.7 else 1.0
    wide, high = width / zoom, height / zoom
    left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
    crop = (left, top, left + wide, top + high)
    picture = _resize(picture, size, Image.Resampling.BILINEAR, crop)
    mask = _resize(example.mask, size, Image.Resampling.NEAREST, crop)
    boxes = (example.boxes - np.array([left, top] * 2)) * np.array([size[1] / wide, size[0] / high] * 2)
    whole = _area(boxes)
    boxes = boxes.clip(0, (size[1], size[0], size[1], size[0]))
    inside = np.nan_to_num(_area(boxes) / np.maximum(whole, 1e-6))
    if rng.random() < 0.5:
        picture, mask = picture[:, ::-1], mask[:, ::-1]
        boxes = np.stack([size[1] - boxes[:, 2], boxes[:, 1], size[1] - boxes[:, 0], boxes[:, 3]], 1)
    return replace(example, picture=np.ascontiguousarray(picture), mask=np.ascontiguousarray(mask),
                   boxes=boxes.astype(np.float32), visible=example.visible * inside,
                   metres=example.metres * (size[0] / high))


def pasted(example: Example, donor: Example, rng: np.random.Generator) -> Example:
    """An example with one more thing, cut out of another and put in front of what is there.

    The thing is one that is wholly seen in the donor, which has the same light. It goes a little up or
    down and anywhere to the sides. The example itself where the donor has no such thing.
    """
    whole = [n for n in np.flatnonzero(donor.visible > 0.98) if (donor.mask == n + 1).any()]
    if not whole or len(example.kinds) > 250:
        return example
    n = int(rng.choice(whole))
    height, width = example.mask.shape
    x0, y0, x1, y1 = donor.boxes[n]
    right = int(rng.integers(-int(x0), width - int(np.ceil(x1)) + 1))
    down = int(np.clip(rng.normal(0, 0.08 * height), -int(y0), height - int(np.ceil(y1))))
    rows, columns = np.nonzero(donor.mask == n + 1)
    there = (rows + down >= 0) & (rows + down < height) & (columns + right >= 0) & (columns + right < width)
    rows, columns = rows[there], columns[there]
    picture, mask = example.picture.copy(), example.mask.copy()
    picture[rows + down, columns + right] = donor.picture[rows, columns]
    mask[rows + down, columns + right] = len(example.kinds) + 1
    before, after = (np.bincount(m.ravel(), minlength=256)[1 : 1 + len(example.kinds)] for m in (example.mask, mask))
    visible = example.visible * after / np.maximum(before, 1)
    box = donor.boxes[n] + np.array([right, down, right, down], np.float32)
    more = {name: np.append(getattr(example, name), getattr(donor, name)[n])
            for name in ("kinds", "colours", "sizes", "names", "metres")}
    return replace(example, picture=picture, mask=mask, boxes=np.concatenate([example.boxes, box[None]]),
                   visible=np.append(visible, donor.visible[n]), lifts=np.append(example.lifts, np.nan), **more)


class Frames:
    """Training batches from the windows of drawn clips: a pure function of step and random state.

    memory: bytes of decoded frames to keep. tokenizer: makes variation.trip and variation.drawn of the frames again.
    """

    def __init__(self, clips: ClipSet, chosen: Sequence[int], variation: Variation, *,
                 tokenizer: Tokenizer | None = None, memory: int = 2 * 2**30) -> None:
        self.clips, self.variation, self.tokenizer, self.memory = clips, variation, tokenizer, memory
        self._kept: OrderedDict[tuple, list[Example]] = OrderedDict()
        self._used = 0
        sizes: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for i in chosen:
            meta = clips.meta(i)
            if has_truth(meta) and any(suffix.endswith(".masks") for suffix in meta["members"]):
                windows = [(i, n * WINDOW) for n in range(meta["frames"] // WINDOW)]
                sizes.setdefault(working_size(*meta["size"]), []).extend(windows)
        sizes = {size: windows for size, windows in sizes.items() if windows}
        if not sizes:
            raise BadData(f"no drawn clip of {WINDOW} frames with truth in {clips.folder}; "
                          "make some with: reverie data make lab")
        self._sizes = sorted(sizes)
        self._members = [np.array(sizes[size]) for size in self._sizes]
        shares = np.array([len(members) for members in self._members], float)
        self._shares = shares / shares.sum()

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """The batch of a step: see ``Targets``, and frames uint8 (B, H, W, 3)."""
        group = int(rng.choice(len(self._sizes), p=self._shares))
        (height, width), members = self._sizes[group], self._members[group]
        scale = math.exp(rng.uniform(*np.log(self.variation.canvas)))
        size = tuple(max(64, round(side * scale / 32) * 32) for side in (height, width))
        pairs = max(1, round(self.variation.pixels / (len(SHOWN) * size[0] * size[1])))
        plain = []
        for pair, row in enumerate(rng.choice(len(members), pairs, replace=pairs > len(members))):
            way = self._way(rng.random())
            tint = int(rng.integers(2**31)) if rng.random() < self.variation.recoloured else None
            for example in self._window(*map(int, members[row]), way):
                example = replace(example, names=example.names + 256 * pair)
                if tint is not None:  # the same for both frames
                    example = replace(example, picture=recoloured(example.picture, np.random.default_rng(tint)),
                                      colours=-1 - example.colours)
                plain.append(varied(example, size, self.variation, rng))
        targets, pictures = Targets(len(plain), size), []
        for b, example in enumerate(plain):
            donors = [donor for d, donor in enumerate(plain)
                      if donor.setting == example.setting and d // len(SHOWN) != b // len(SHOWN)]
            for _ in range(2):
                if donors and rng.random() < self.variation.paste:
                    example = pasted(example, donors[rng.integers(len(donors))], rng)
            targets.add(b, example)
            pictures.append(example.picture)
        return {"frames": torch.from_numpy(np.stack(pictures)), **targets.batch()}

    def _way(self, draw: float) -> str:
        """What a window goes through, of a draw of 0..1: "tokenizer", "things", "h264" or nothing, ""."""
        v, eyes = self.variation, self.tokenizer
        trip = v.trip if eyes is not None else 0.0
        made = trip + (v.drawn if eyes is not None and eyes.config.canvas else 0.0)
        if draw < made:
            return "tokenizer" if draw < trip else "things"
        return "h264" if draw < made + (1 - made) * v.coded else ""

    def _window(self, i: int, start: int, way: str) -> list[Example]:
        if (i, start, way) in self._kept:
            self._kept.move_to_end((i, start, way))
            return self._kept[i, start, way]
        clip = self.clips.clip(i, start, start + WINDOW, views=True)
        window = examples(clip, SHOWN)
        if way == "things" and len(clip.truth.kinds) > MAX_THINGS:
            way = ""  # more than tokens have room for
        if way:
            rng = np.random.default_rng([i, start])  # the window's own: so it may be kept
            if way == "h264":
                made = through_h264(next(iter(clip.views.values())), clip.fps, int(rng.integers(*self.variation.crf)))
            elif way == "things":
                made = drawn_of(true_tokens(clip), self.tokenizer, next(iter(clip.views.values())).shape[1:3])
            else:
                made = there_and_back(clip, self.tokenizer, self.variation.noise, rng)
            pictures = resized(torch.from_numpy(made[list(SHOWN)]), window[0].mask.shape).numpy()
            window = [replace(e, picture=picture) for e, picture in zip(window, pictures, strict=True)]
        self._kept[i, start, way] = window
        self._used += sum(example.nbytes for example in window)
        while self._used > self.memory and len(self._kept) > 1:
            self._used -= sum(example.nbytes for example in self._kept.popitem(last=False)[1])
        return window


@torch.no_grad()
def there_and_back(clip: Clip, tokenizer: Tokenizer, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Frames uint8 (T, H, W, 3) of a clip's first camera after the tokenizer, whose latents have noise of up to
    ``noise``."""
    view = torch.from_numpy(next(iter(clip.views.values()))[None]).to(next(tokenizer.parameters()).device)
    latents, _ = tokenizer.encode(view)
    error = noise * rng.random() * rng.standard_normal(latents.shape)
    made, _ = tokenizer.decode(latents + torch.from_numpy(error).to(latents))
    return picture(made[0])


class Targets:
    """What the network should say of each frame of a batch of B frames of a size (H, W).

    The batch: heat (B, K, h, w) 0..1; weight (B, K, h, w) 0 where nothing is asked; and P cells that
    are things: where (P, 3) frame, row and column; edges (P, 4) as in Maps; colour (P,), -1 not asked; middle (P,)
    bool, the one cell of a thing whose appearance counts; place (P, 3): share in sight, logarithm of a metre in cells,
    metres above the ground, NaN where not asked; thing and look (P,): equal for the same
    thing of a clip, and for what cannot be told apart.
    """

    def __init__(self, frames: int, size: tuple[int, int]) -> None:
        self.height, self.width = size[0] // STRIDE, size[1] // STRIDE
        self.heat = np.zeros((frames, len(KINDS), self.height, self.width), np.float32)
        self.weight = np.ones_like(self.heat)
        self.cells: list[tuple] = []
        self._columns, self._rows = np.arange(self.width) + 0.5, np.arange(self.height) + 0.5

    def add(self, b: int, example: Example) -> None:
        """The things of frame b."""
        boxes, parts = example.boxes / STRIDE, example.parts() / STRIDE
        visible = np.where(np.isnan(parts[:, 0]) | np.isnan(boxes[:, 0]), 0.0, example.visible)
        sides = STRIDE * (boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf)
        there = np.flatnonzero(visible > 0)
        asked = there[(visible[there] >= LEAST_VISIBLE) & (sides[there] >= LEAST_SIDE)]
        for n in set(there) - set(asked):
            x0, y0, x1, y1 = boxes[n].astype(int)
            self.weight[b, example.kinds[n], y0 : y1 + 1, x0 : x1 + 1] = 0
        for n in asked:
            box, part, kind, colour = boxes[n], parts[n], example.kinds[n], example.colours[n]
            x, y = (part[0] + part[2]) / 2, (part[1] + part[3]) / 2
            wide = np.clip(0.1 * (part[2:] - part[:2]), 0.5, 2.5)
            column, row = min(int(x), self.width - 1), min(int(y), self.height - 1)
            bump = np.exp(-0.5 * (((self._rows - row - 0.5) / wide[1])[:, None] ** 2
                                  + ((self._columns - column - 0.5) / wide[0]) ** 2)).astype(np.float32)
            np.maximum(self.heat[b, kind], bump, out=self.heat[b, kind])
            self.weight[b, kind][bump > 0.1] = 1
            look = int((kind * len(COLOUR_NAMES) + colour) * len(SIZES) + example.sizes[n])
            place = (visible[n], np.log(example.metres[n] / STRIDE), example.lifts[n])
            for r in range(max(row - 1, 0), min(row + 2, self.height)):
                for c in range(max(column - 1, 0), min(column + 2, self.width)):
                    edges = np.array([c + 0.5 - box[0], r + 0.5 - box[1], box[2] - c - 0.5, box[3] - r - 0.5])
                    middle = (r, c) == (row, column)
                    if middle or edges.min() > 0.25:
                        self.cells.append((b, r, c, np.maximum(edges, 0.05), place, max(colour, -1), middle,
                                           example.names[n], look))

    def batch(self) -> dict[str, Tensor]:
        """All of it as tensors."""
        where, edges = np.zeros((len(self.cells), 3), np.int64), np.zeros((len(self.cells), 4), np.float32)
        places, rest = np.zeros((len(self.cells), 3), np.float32), np.zeros((4, len(self.cells)), np.int64)
        for p, (b, r, c, edge, place, *others) in enumerate(self.cells):
            where[p], edges[p], places[p], rest[:, p] = (b, r, c), edge, place, others
        colour, middle, thing, look = torch.from_numpy(rest)
        return {"heat": torch.from_numpy(self.heat), "weight": torch.from_numpy(self.weight),
                "where": torch.from_numpy(where), "edges": torch.from_numpy(edges),
                "place": torch.from_numpy(places), "colour": colour,
                "middle": middle.bool(), "thing": thing, "look": look}


def through_h264(frames: np.ndarray, fps: float, crf: int) -> np.ndarray:
    """Frames uint8 (T, H, W, 3) after an H.264 file of a quality of 0..51, worst last; as they are without PyAV."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "coded.mp4"
            with VideoWriter(path, fps=fps, size=frames.shape[1:3], crf=crf) as video:
                video.write(frames)
            return read_video(path)[0]
    except ImportError:
        return frames


def jpeg(frame: np.ndarray, quality: int) -> np.ndarray:
    """A picture uint8 (H, W, 3) after a JPEG of a quality of 1..95."""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def recoloured(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A picture uint8 (H, W, 3) whose channels are mixed at random: mostly exchanged or doubled, sometimes grey."""
    mix = rng.dirichlet((0.4, 0.4, 0.4), 3)
    return (picture.astype(np.float32) @ mix.T.astype(np.float32)).round().astype(np.uint8)


def _resize(picture: np.ndarray, size: tuple[int, int], way: Image.Resampling,
            crop: tuple[float, float, float, float] | None = None) -> np.ndarray:
    """A picture or mask, or a crop (x0, y0, x1, y1) of it, in another size (H, W)."""
    height, width = picture.shape[:2]
    if size == (height, width) and crop in (None, (0, 0, width, height)):
        return picture
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), way, box=crop))


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)
