"""Training the judge's eye: frames and truth of drawn clips to an observer's weights, and its scores.

Each step sees pairs of frames from short windows all over the clips, cropped, mirrored and resized, a
part of them worn by JPEG or taken through the tokenizer, so that compression is not mistaken for
something that happened. Colours are what is to be learned, so the light is hardly changed. The second
look, at boxes alone, is trained after it, on crops (train.observer_second).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.audit.observer import Observer
from reverie.audit.observer_net import Maps, ObserverConfig, ObserverNet, to_input
from reverie.audit.second_look import SecondConfig, SecondLook
from reverie.core.errors import BadInput
from reverie.core.runtime import commit
from reverie.data.shards import ClipSet
from reverie.model.checkpoint import load_into, save_model
from reverie.model.tokenizer import Tokenizer
from reverie.train.loop import AGAIN, FitResult, fit, starting_weights
from reverie.train.observer_frames import Frames, Variation
from reverie.train.observer_scores import observer_scores
from reverie.train.observer_second import Boxes, SecondRecipe, gathered, second_loss, second_scores, softened
from reverie.train.tokenizer import drawn

SECOND = "second."  # what the names of the second look's tensors begin with
ADAM = ("stem", "head")  # what comes in and goes out


@dataclass(frozen=True)
class ObserverRecipe:
    """How an observer is trained. lr: see MuonAdamW. looks: weight of the appearance loss.

    share: of the minutes, for the second look, whose recipe is ``second``; at 1 the first look stays as it is, at 0
    the second.
    """

    variation: Variation = field(default_factory=Variation)
    second: SecondRecipe = field(default_factory=SecondRecipe)
    share: float = 0.4
    lr: float = 3e-3
    looks: float = 0.1
    ema: float = 0.998
    warm_up: int = 50
    hold: float = 0.4


def loss_fn(recipe: ObserverRecipe):
    """The loss of a batch of Frames, for train.loop.fit."""

    def loss(model: ObserverNet, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
        return observer_loss(model(degraded(to_input(batch["frames"]))), batch, recipe.looks)

    return loss


def observer_loss(maps: Maps, batch: dict[str, Tensor], looks: float = 0.1) -> tuple[Tensor, dict]:
    """Heat maps by the focal loss, boxes by overlap, colours, and appearance by contrast."""
    b, r, c = batch["where"].unbind(1)
    middle = batch["middle"]
    heat, things = batch["heat"], middle.sum().clamp(min=1)
    found = (focal(maps.kinds.float(), heat, heat == 1) * batch["weight"]).sum() / things
    edges, true = maps.edges[b, :, r, c], batch["edges"]
    box = (box_loss(edges.exp(), true) + 0.3 * F.smooth_l1_loss(edges, true.log(), reduction="none").mean(1))
    colour = F.cross_entropy(maps.colours[b, :, r, c], batch["colour"], reduction="none", ignore_index=-1)
    look = appearance_loss(maps.looks[b, :, r, c][middle], batch["thing"][middle], batch["look"][middle])
    cells = max(len(b), 1)
    box, colour = box.sum() / cells, colour.sum() / (batch["colour"] >= 0).sum().clamp(min=1)
    place = place_loss(maps.place[b, :, r, c], batch["place"])
    total = found + 2 * box + colour + looks * look + place
    return total, {"heat": found.detach(), "box": box.detach(), "colour": colour.detach(), "look": look.detach(),
                   "place": place.detach()}


def focal(hit: Tensor, heat: Tensor, peak: Tensor) -> Tensor:
    """The focal loss of CornerNet, place by place, of logits of something being there: where ``peak`` it is, elsewhere
    the less it matters the nearer heat is to 1."""
    share = hit.sigmoid()
    right = F.logsigmoid(hit) * (1 - share) ** 2
    wrong = F.logsigmoid(-hit) * share**2 * (1 - heat) ** 4
    return -torch.where(peak, right, wrong)


def place_loss(said: Tensor, true: Tensor) -> Tensor:
    """Of shares in sight (logits), logarithms of a metre and lifts (P, 3), where the true ones are not NaN."""
    known = ~true.isnan()
    true = true.nan_to_num()
    share = F.binary_cross_entropy_with_logits(said[:, 0], true[:, 0].clamp(0, 1), reduction="none")
    metre = 3 * F.smooth_l1_loss(said[:, 1], true[:, 1], reduction="none", beta=0.1)
    lift = F.smooth_l1_loss(said[:, 2], true[:, 2], reduction="none", beta=0.3)
    losses = torch.stack([share, metre, lift], 1) * known
    return losses.sum() / known.any(1).sum().clamp(min=1)


def box_loss(edges: Tensor, true: Tensor) -> Tensor:
    """1 - intersection over union (P,) of boxes (P, 4) around the same points, given by their edges."""
    common = (torch.minimum(edges, true)[:, :2] + torch.minimum(edges, true)[:, 2:]).prod(1)
    areas = (edges[:, :2] + edges[:, 2:]).prod(1) + (true[:, :2] + true[:, 2:]).prod(1)
    return 1 - common / (areas - common).clamp(min=1e-6)


def appearance_loss(looks: Tensor, thing: Tensor, look: Tensor, heat: float = 0.1) -> Tensor:
    """Contrast: the same thing in another frame is nearer than things that look otherwise."""
    if len(looks) < 2:
        return looks.sum() * 0
    near = looks @ looks.T / heat
    same = (thing[:, None] == thing) & ~torch.eye(len(thing), dtype=torch.bool, device=thing.device)
    other = look[:, None] != look
    same_sum = near.masked_fill(~same, -1e4).logsumexp(1)
    all_sum = near.masked_fill(~(same | other), -1e4).logsumexp(1)
    there = same.any(1)
    return ((all_sum - same_sum) * there).sum() / there.sum().clamp(min=1)


def degraded(frames_BCHW: Tensor) -> Tensor:
    """Frames (-1..1) a little brighter or darker, blurred and noisy, each in its own measure."""
    count, device = len(frames_BCHW), frames_BCHW.device

    def draw(low: float, high: float) -> Tensor:
        return torch.empty(count, 1, 1, 1, device=device).uniform_(low, high)

    x = (frames_BCHW + 1) * draw(0.88, 1.12) - 1 + draw(-0.05, 0.05)
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    x = torch.lerp(x, soft, draw(-0.5, 1).clamp(min=0))
    noise = draw(-0.06, 0.06).clamp(min=0)  # half of the frames stay clean
    return (x + noise * torch.randn_like(x)).clamp(-1, 1)


def second_loss_fn(recipe: SecondRecipe):
    """The loss of a batch of Boxes, for train.loop.fit."""

    def loss(model: SecondLook, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
        return second_loss(model, softened(to_input(batch["frames"]), recipe.soft), batch, degraded)

    return loss


def train_observer(data: str | Path, out: str | Path, *, tokenizer: str | Path | None = None,
                   minutes: float | None = None, steps: int | None = None, device: str = "cpu",
                   precision: str = "auto", held: str | Path | None = None, progress: bool = True,
                   start_from: str | Path | None = None, config: ObserverConfig | None = None,
                   recipe: ObserverRecipe | None = None, seed: int = 0, memory: int = 2 * 2**30
                   ) -> Path | None:
    """Train an observer on the drawn clips of a folder of shards; the model is ``out/observer.safetensors``.

    tokenizer: a model file; half of the frames are taken through it. held: a folder of shards that is
    only looked at (default: data's own clips of the split "test", or else one in 20, kept out of
    training). minutes: for both looks (recipe.share); steps: of each. config: without a second look, none
    is trained. start_from: an observer to begin from; with recipe.share 1 its first look is kept. The runs
    are in ``out`` and ``out/second``, and the same command goes on with them. memory: bytes for decoded
    frames. Returns the model's path, or None when the run was interrupted.
    Raises what ``train.loop.fit`` does, BadWeights for the tokenizer, and BadData.
    """
    recipe, out, clips = recipe or ObserverRecipe(), Path(out), ClipSet(data)
    config = config or ObserverConfig(second=SecondConfig())
    share = 0.0 if config.second is None else recipe.share
    if share >= 1 and start_from is None:
        raise BadInput("to train the second look alone, say what the first is: start_from")
    looked_at = clips if held is None else ClipSet(held)
    train, test = _parted(clips)
    if held is not None:
        train, test = [i for i in drawn(clips) if not _is_test(clips, i)], drawn(looked_at)
    eyes = None if tokenizer is None else Tokenizer.load(tokenizer).to(device).eval()
    begin = None if start_from is None else starting_weights(start_from)
    torch.manual_seed(seed)
    model = ObserverNet(replace(config, second=None)).to(device)
    if begin is not None:  # what is new begins as it is built: a head, and the kinds and colours of a new world
        begin = grown(begin, ObserverNet(config).state_dict(), _known(begin, config), (config.kinds, config.colours))
        begin = {**{name: t.detach().cpu().clone() for name, t in model.state_dict().items()}, **begin}
    taken = 0
    if share < 1:
        frames = Frames(clips, train, recipe.variation, tokenizer=eyes, memory=memory)
        first = fit(
            model, frames, loss_fn(recipe), out=out, minutes=minutes and minutes * (1 - share), steps=steps,
            lr=recipe.lr * (AGAIN if begin else 1), adam=ADAM, ema=recipe.ema, warm_up=recipe.warm_up,
            hold=recipe.hold, seed=seed, precision=precision, start_from=_of(begin, second=False), progress=progress,
            evaluate=lambda m: observer_scores(Observer(m), looked_at, test[:40], every=24))
        if not first.finished:
            return None
        weights, taken = first.weights, first.step
    else:
        weights = _of(begin, second=False)
        load_into(model, weights, str(start_from))
    seconds = 0
    if config.second is not None and share == 0:
        if _of(begin, second=True) is None:
            raise BadInput("to train the first look alone, say what the second is: start_from")
        weights = {**weights, **{name: t for name, t in begin.items() if name.startswith(SECOND)}}
    elif config.second is not None:
        result = _fit_second(
            Observer(model), config, clips, train, looked_at, test, eyes, recipe, memory, seed, out=out / "second",
            minutes=minutes and minutes * share, steps=steps, precision=precision,
            start_from=_of(begin, second=True), progress=progress)
        if not result.finished:
            return None
        weights = {**weights, **{SECOND + name: t for name, t in result.weights.items()}}
        seconds = result.step
    path = out / "observer.safetensors"
    meta = {"kind": "observer", "config": asdict(config),
            "recipe": {**asdict(recipe), "tokenizer": eyes is not None, "minutes": minutes, "steps": taken,
                       "second_steps": seconds, "seed": seed},
            "data": clips.digest()[:16], "held": looked_at.digest()[:16], "commit": commit()}
    _finish(weights, meta, looked_at, test, path, device)
    return path


def _known(weights: dict[str, Tensor], config: ObserverConfig) -> tuple[int, int]:
    """How many kinds and colours weights know, by their heads. Raises BadInput for more than ``config`` has."""
    kinds = len(weights["head_find.bias"])
    colours = len(weights["head_describe.bias"]) - 4 - config.appearance
    if not (1 <= kinds <= config.kinds and 1 <= colours <= config.colours):
        raise BadInput(f"an observer of {kinds} kinds and {colours} colours can't begin one of {config.kinds} and "
                       f"{config.colours}: the vocabularies only grow")
    return kinds, colours


def grown(weights: dict[str, Tensor], fresh: dict[str, Tensor], known: tuple[int, int], asked: tuple[int, int]
          ) -> dict[str, Tensor]:
    """Weights whose heads have rows for more kinds and colours: the old rows where they were, new ones from ``fresh``.

    known, asked: how many kinds and colours there are, and are to be. Every other tensor is as it was.
    """
    (kinds, colours), (more_kinds, more_colours) = known, asked
    # the rows of each head, as runs of (old, new) lengths; the second look has a row for nothing after its kinds
    heads = {"head_find": [(kinds, more_kinds)], "head_describe": [(colours, more_colours)],
             f"{SECOND}head": [(kinds, more_kinds), (1, 1), (colours, more_colours)]}
    out = dict(weights)
    for head, runs in heads.items():
        for name in (f"{head}.weight", f"{head}.bias"):
            if name not in weights or name not in fresh or known == asked:
                continue
            rows, at, to = [], 0, 0
            for old, new in runs:
                rows += [weights[name][at : at + old], fresh[name][to + old : to + new].to(weights[name])]
                at, to = at + old, to + new
            out[name] = torch.cat([*rows, weights[name][at:]]).detach().cpu().clone()
    return out


def _fit_second(first: Observer, config: ObserverConfig, clips: ClipSet, train: Sequence[int], held: ClipSet,
                test: Sequence[int], eyes: Tokenizer | None, recipe: ObserverRecipe, memory: int, seed: int,
                **how) -> FitResult:
    """Train a second look beside a first one; how: what ``fit`` takes."""
    device, second = next(first.net.parameters()).device, recipe.second
    some = Boxes(gathered(clips, train, second, eyes, first, seed=seed, memory=memory), second)
    plain = replace(second, every=max(6, second.every), worn=0.0, recoloured=0.0)
    looked_at = Boxes(gathered(held, test, plain, None, None, memory=memory), plain)
    torch.manual_seed(seed + 1)
    look = SecondLook(config.second, config.kinds, config.colours).to(device)
    return fit(look, some, second_loss_fn(second), lr=second.lr * (AGAIN if how["start_from"] else 1), adam=ADAM,
               ema=second.ema, warm_up=second.warm_up, hold=second.hold, seed=seed,
               evaluate=lambda m: second_scores(m, looked_at),
               prefetch=0 if device.type == "cpu" else 2, **how)  # on a CPU the batches' thread is another core


def _of(weights: dict[str, Tensor] | None, *, second: bool) -> dict[str, Tensor] | None:
    """The weights of one look; None where there are none."""
    kept = {name.removeprefix(SECOND): t for name, t in (weights or {}).items() if name.startswith(SECOND) == second}
    return kept or None


def _parted(clips: ClipSet) -> tuple[list[int], list[int]]:
    """Clips to train on, and clips to look at."""
    test = [i for i in drawn(clips) if _is_test(clips, i)]
    train = [i for i in drawn(clips) if i not in set(test)]
    if not test:
        test = [i for i in train if zlib.crc32(clips.keys[i].encode()) % 20 == 0] or train[-1:]
        train = [i for i in train if i not in set(test)] or train
    return train, test


def _is_test(clips: ClipSet, i: int) -> bool:
    return clips.meta(i)["provenance"].get("split", "train") == "test"


def _finish(weights: dict[str, Tensor], meta: dict, held: ClipSet, test: Sequence[int], path: Path,
            device: str) -> None:
    """Score what will be loaded, the rounded weights, and write the model."""
    save_model(path, weights, meta)
    scores = observer_scores(Observer.load(path, device), held, test)
    meta["scores"] = {name: None if math.isnan(value) else round(value, 4) for name, value in scores.items()}
    save_model(path, weights, meta)
