"""What the observer's second look trains on: boxes in frames of drawn clips, and what stands in them.

Boxes are truth's, moved as much as the first look errs, the first look's own, and boxes of nothing. Frames are
plain, worn, or drawn by the tokenizer: from their latents, or, where it has a canvas, from their true things, posed
otherwise (train.posing).

Legend: B frames of a batch, N boxes of each, H W pixels, K kinds, C colours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.audit.observer import COLOUR_NAMES, Observer, overlap
from reverie.audit.observer_net import resized, to_input, working_size
from reverie.audit.second_look import SecondLook, crops, places
from reverie.core.clip import Clip
from reverie.core.errors import BadData
from reverie.core.vocabulary import FRAMES_PER_LATENT, KINDS, MAX_THINGS
from reverie.data.shards import ClipSet, has_truth
from reverie.model import things as th
from reverie.model.tokenizer import Tokenizer
from reverie.train.encode import true_tokens
from reverie.train.observer_frames import LEAST_SIDE, jpeg, recoloured, there_and_back
from reverie.train.posing import boxes_of, drawn_of, posed

NOTHING = len(KINDS)  # the kind of a box with nothing in it; -1: a box that is not asked about
LEAST_SEEN = 0.15  # share of a thing's outline that must be seen for it to be asked about
GLIMPSED = 0.05  # below it, a box around a thing is a box of nothing
THINGS, NONE = 0.5, 0.3  # overlap from which a box is a thing's, and below which it is nothing's
CANDIDATE = 0.15  # confidence from which the first look's boxes are trained on
_WINDOW, _KEPT = 8, (3, 5, 7)  # frames that go through the tokenizer together, and those that are kept


@dataclass(frozen=True)
class SecondRecipe:
    """How a second look is trained. lr, ema, warm_up, hold: see train.loop.fit.

    frames, boxes: of a batch. every: which frames of a clip are kept, one in so many. trips, drawings: windows
    taken through the tokenizer and, where it has a canvas, posed otherwise and drawn. found: frames whose
    boxes of the first look are trained on. moved: deviation of a box's edges, in shares of its sides. worn,
    soft, recoloured: shares of the frames degraded by JPEG, made small and large again, and given other colours
    (theirs are not asked then): 640 clips have six ramps of a colour, too few to tell that ramps come in all.
    """

    frames: int = 40
    boxes: int = 3
    every: int = 2
    trips: int = 240
    drawings: int = 600
    found: int = 3600
    moved: float = 0.09
    worn: float = 0.2
    soft: float = 0.25
    recoloured: float = 0.5
    noise: float = 0.2
    lr: float = 1.6e-3
    ema: float = 0.995
    warm_up: int = 20
    hold: float = 0.4


@dataclass
class Scene:
    """A frame and the truth of its n things.

    picture: uint8 (H, W, 3); boxes (n, 4) x0 y0 x1 y1 pixels, of all that are glimpsed at least; visible (n,) 0..1;
    kinds, colours (n,); made: drawn by the tokenizer; found (m, 4): boxes of the first look, if it was asked.
    """

    picture: np.ndarray
    boxes: np.ndarray
    visible: np.ndarray
    kinds: np.ndarray
    colours: np.ndarray
    made: bool = False
    found: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))


def scenes(clip: Clip, chosen: Sequence[int], pictures: np.ndarray | None = None) -> list[Scene]:
    """The chosen frames of a drawn clip's first camera in working size, or other pictures (T, H, W, 3) of them."""
    name, view = next(iter(clip.views.items()))
    truth = clip.truth
    height, width = view.shape[1:3]
    size = working_size(height, width)
    scale = np.array([size[1] / width, size[0] / height] * 2, np.float32)
    taken = view[list(chosen)] if pictures is None else pictures
    shown = resized(torch.from_numpy(np.ascontiguousarray(taken)), size).numpy()
    kinds = np.array([KINDS.index(kind) for kind in truth.kinds], int)
    colours = np.array([COLOUR_NAMES.index(colour) for colour in truth.colours], int)
    out = []
    for picture, t in zip(shown, chosen, strict=True):
        boxes, visible = truth.boxes[name][t] * scale, truth.visible[name][t]
        here = np.flatnonzero((visible > GLIMPSED) & np.isfinite(boxes).all(-1))
        out.append(Scene(picture, boxes[here].astype(np.float32), visible[here], kinds[here], colours[here],
                         pictures is not None))
    return out


def posed_scenes(clip: Clip, tokenizer: Tokenizer, rng: np.random.Generator) -> list[Scene]:
    """The frames _KEPT of a window's clip, its things posed otherwise and drawn by the tokenizer's canvas."""
    size = next(iter(clip.views.values())).shape[1:3]
    tokens, shown = posed(true_tokens(clip), rng), working_size(*size)
    pictures = resized(torch.from_numpy(drawn_of(tokens, tokenizer, size)[list(_KEPT)]), shown).numpy()
    boxes, visible = (part[list(_KEPT)] for part in boxes_of(tokens, tokenizer.canvas.table.to("cpu"), shown))
    kinds, colours = (tokens[:, :MAX_THINGS, th.THING[name]].argmax(-1)[-1] for name in ("kind", "colour"))
    out = []
    for picture, box, share in zip(pictures, boxes, visible, strict=True):
        here = np.flatnonzero(share > GLIMPSED)
        out.append(Scene(picture, box[here].astype(np.float32), share[here], kinds[here], colours[here], True))
    return out


def gathered(clips: ClipSet, chosen: Sequence[int], recipe: SecondRecipe, tokenizer: Tokenizer | None,
             first: Observer | None, seed: int = 0, memory: int = 2 * 2**30) -> list[Scene]:
    """Scenes of the chosen drawn clips, all in memory: of more bytes than ``memory``, fewer frames of each clip.

    first: gives its boxes; tokenizer: draws some again. Raises BadData where there is none.
    """
    rng = np.random.default_rng([seed, 5])
    out: list[Scene] = []
    with_truth = [i for i in chosen if has_truth(clips.meta(i)) and clips.meta(i)["drawn"]]
    whole = sum(3 * clips.meta(i)["frames"] * int(np.prod(clips.meta(i)["size"])) for i in with_truth)
    every = max(recipe.every, -(-whole // memory))
    for i in with_truth:
        out += scenes(clips.clip(i, masks=False), range(0, clips.meta(i)["frames"], every))
    windows = [(i, start) for i in with_truth
               for start in range(0, clips.meta(i)["frames"] - _WINDOW + 1, FRAMES_PER_LATENT)]
    trips = 0 if tokenizer is None else recipe.trips
    drawings = 0 if tokenizer is None or not tokenizer.config.canvas else recipe.drawings
    for from_things, count in ((False, trips), (True, drawings)):
        for w in rng.permutation(len(windows))[:count]:
            i, start = windows[w]
            if not from_things or len(clips.meta(i)["truth"]["kinds"]) <= MAX_THINGS:
                clip = clips.clip(i, start, start + _WINDOW, masks=False)
                out += (posed_scenes(clip, tokenizer, rng) if from_things else
                        scenes(clip, _KEPT, there_and_back(clip, tokenizer, recipe.noise, rng)[list(_KEPT)]))
    out = [scene for scene in out if len(scene.boxes)]
    if not out:
        raise BadData(f"no drawn clip with truth in {clips.folder}; make some with: reverie data make lab")
    if first is not None:
        add_found(out, first, recipe.found, rng)
    return out


def add_found(all_scenes: Sequence[Scene], first: Observer, count: int, rng: np.random.Generator) -> None:
    """Give ``count`` scenes, half of them drawn ones as far as there are any, the boxes of the first look."""
    made = [s for s in all_scenes if s.made]
    plain = [s for s in all_scenes if not s.made]
    half = min(count // 2, len(made))
    some = [made[i] for i in rng.permutation(len(made))[:half]]
    some += [plain[i] for i in rng.permutation(len(plain))[: count - half]]
    some.sort(key=lambda s: s.picture.shape)
    for start in range(0, len(some), 16):
        part = [s for s in some[start : start + 16] if s.picture.shape == some[start].picture.shape]
        boxes = first.detect(np.stack([s.picture for s in part]), threshold=CANDIDATE, second=False)
        for scene, seen in zip(part, boxes, strict=True):
            scene.found = np.array([d.box for d in seen], np.float32).reshape(-1, 4)


def named(boxes: np.ndarray, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Kinds and colours (n,) of what stands in boxes (n, 4): NOTHING, or -1 where nobody should say."""
    if not len(scene.boxes):
        return np.full(len(boxes), NOTHING), np.full(len(boxes), -1)
    common = overlap(boxes, scene.boxes)
    # of two things in nearly the same box, the one that is seen better
    best = (common + 0.1 * scene.visible).argmax(1)
    most = common.max(1)
    hit = common[np.arange(len(boxes)), best] >= THINGS
    sides = (scene.boxes[:, 2:] - scene.boxes[:, :2]).min(1)
    clear = (scene.visible[best] >= LEAST_SEEN) & (sides[best] >= LEAST_SIDE)
    kinds = np.where(hit & clear, scene.kinds[best], np.where(most < NONE, NOTHING, -1))
    return kinds, np.where(hit & clear, scene.colours[best], -1)


class Boxes:
    """Training batches: a pure function of step and random state.

    A batch: frames uint8 (B, H, W, 3); boxes (B, N, 4) float32; kind (B, N), NOTHING or -1 where not asked; colour
    (B, N), -1 where not asked. Things are chosen so that rare kinds come as often as the square root of their share.
    """

    def __init__(self, all_scenes: Sequence[Scene], recipe: SecondRecipe) -> None:
        self.recipe = recipe
        sizes: dict[tuple[int, ...], list[Scene]] = {}
        for scene in all_scenes:
            sizes.setdefault(scene.picture.shape, []).append(scene)
        self._groups = [sizes[size] for size in sorted(sizes)]
        self._things, self._shares = [], []
        for group in self._groups:
            things = np.array([(s, n) for s, scene in enumerate(group) for n in range(len(scene.kinds))])
            kinds = np.array([group[s].kinds[n] for s, n in things])
            weight = np.bincount(kinds, minlength=len(KINDS))[kinds] ** -0.5
            weight *= np.array([3.0 if group[s].made else 1.0 for s, _ in things])  # few, and what is judged
            self._things.append(things)
            self._shares.append((weight / weight.sum()).cumsum())
        counts = np.array([len(things) for things in self._things], float)
        self._chance = counts / counts.sum()

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """The batch of a step."""
        r = self.recipe
        g = int(rng.choice(len(self._groups), p=self._chance))
        group, things = self._groups[g], self._things[g]
        rows = np.minimum(np.searchsorted(self._shares[g], rng.random(r.frames)), len(things) - 1)
        pictures, boxes = [], np.zeros((r.frames, r.boxes, 4), np.float32)
        kinds, colours = np.full(boxes.shape[:2], -1), np.full(boxes.shape[:2], -1)
        for b, (s, n) in enumerate(things[rows]):
            scene = group[s]
            boxes[b] = self._some(scene, n, group[int(rng.integers(len(group)))], rng)
            kinds[b], colours[b] = named(boxes[b], scene)
            picture = scene.picture
            if rng.random() < r.worn:
                picture = jpeg(picture, int(rng.integers(25, 85)))
            if rng.random() < 0.5:
                picture = picture[:, ::-1]
                boxes[b, :, [0, 2]] = picture.shape[1] - boxes[b, :, [2, 0]]
            if rng.random() < r.recoloured:
                picture, colours[b] = recoloured(picture, rng), -1
            pictures.append(np.ascontiguousarray(picture))
        return {"frames": torch.from_numpy(np.stack(pictures)), "boxes": torch.from_numpy(boxes),
                "kind": torch.from_numpy(kinds), "colour": torch.from_numpy(colours)}

    def _some(self, scene: Scene, n: int, other: Scene, rng: np.random.Generator) -> np.ndarray:
        """Boxes (N, 4) of a scene: around thing n, around others or as found, and one of another scene's things."""
        height, width = scene.picture.shape[:2]
        out = [_moved(scene.boxes[n], self.recipe.moved, rng)]
        while len(out) < self.recipe.boxes - 1:
            if len(scene.found) and rng.random() < 0.8:
                out.append(scene.found[rng.integers(len(scene.found))])
            else:
                out.append(_moved(scene.boxes[rng.integers(len(scene.boxes))], self.recipe.moved, rng))
        if rng.random() < 0.5:
            out.append(_moved(other.boxes[rng.integers(len(other.boxes))], 0.2, rng))
        else:  # beside a thing of this scene, or a part of it
            out.append(_moved(scene.boxes[rng.integers(len(scene.boxes))], 0.5, rng))
        boxes = np.stack(out[: self.recipe.boxes]).clip(0, (width, height, width, height))
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 2)
        return boxes.astype(np.float32)


def _moved(box: np.ndarray, far: float, rng: np.random.Generator) -> np.ndarray:
    """A box with every edge moved by a normal share of its sides: mostly little, sometimes much."""
    sides = np.tile(box[2:] - box[:2], 2)
    moved = box + sides * rng.normal(0, far * rng.choice((0.4, 1.0, 1.6)), 4)
    low, high = np.minimum(moved[:2], moved[2:]), np.maximum(moved[:2], moved[2:])
    return np.concatenate([low, np.maximum(high, low + 2)])


def softened(frames_BCHW: Tensor, share: float) -> Tensor:
    """Frames of which about a share is made smaller, down to two fifths of their size, and large again."""
    count = int(round(share * len(frames_BCHW)))
    if not count:
        return frames_BCHW
    scale = float(torch.empty(()).uniform_(0.4, 0.9))  # one for all of a batch: one call
    size = frames_BCHW.shape[2:]
    small = F.interpolate(frames_BCHW[:count], [max(8, round(side * scale)) for side in size], mode="bilinear",
                          antialias=True, align_corners=False)
    soft = F.interpolate(small, size, mode="bilinear", align_corners=False)
    return torch.cat([soft, frames_BCHW[count:]])


def second_loss(model: SecondLook, frames_BCHW: Tensor, batch: dict[str, Tensor],
                vary: Callable[[Tensor], Tensor] | None = None) -> tuple[Tensor, dict]:
    """Cross-entropy of kinds and of colours where they are asked, and the shares that are right.

    vary: changes the crops' pictures (N, 3, S, S): a sixth of the pixels of their frames (217 ms a step there).
    """
    boxes, kind, colour = batch["boxes"], batch["kind"].flatten(), batch["colour"].flatten()
    made = crops(frames_BCHW, boxes, model.config.side, model.config.around).flatten(0, 1)
    if vary is not None:
        made = torch.cat([vary(made[:, :3]), made[:, 3:]], 1)
    size = (int(frames_BCHW.shape[2]), int(frames_BCHW.shape[3]))
    kinds, colours = model(made, places(boxes, size).flatten(0, 1))
    losses = [F.cross_entropy(said, true, ignore_index=-1, label_smoothing=0.02, reduction="sum")
              / (true >= 0).sum().clamp(min=1) for said, true in ((kinds, kind), (colours, colour))]
    asked, nothing, tinted = (kind >= 0) & (kind < model.kinds), kind == model.kinds, colour >= 0
    figures = {"kind": _share(kinds.argmax(1) == kind, asked), "nothing": _share(kinds.argmax(1) == kind, nothing),
               "colour": _share(colours.argmax(1) == colour, tinted)}
    return losses[0] + 0.5 * losses[1], figures


def second_scores(model: SecondLook, held: Boxes, batches: int = 6) -> dict[str, float]:
    """Shares right of kinds, of nothing and of colours, over batches of held-out boxes as they are."""
    device, sums = next(model.parameters()).device, {}
    for step in range(batches):
        batch = {name: t.to(device) for name, t in held(step, np.random.default_rng([step, 7])).items()}
        _, figures = second_loss(model, to_input(batch["frames"]), batch)
        for name, value in figures.items():
            sums[name] = sums.get(name, 0.0) + float(value) / batches
    return sums


def _share(right: Tensor, asked: Tensor) -> Tensor:
    return (right & asked).sum() / asked.sum().clamp(min=1)
