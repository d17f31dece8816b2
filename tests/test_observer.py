"""The observer: its targets and their reading, its files, its scores, and that it learns to see."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from reverie.audit.observer import (
    COLOUR_NAMES,
    Detection,
    Observer,
    _peaks,
    _separate,
    overlap,
    seen_over_clip,
)
from reverie.audit.observer_net import (
    SHORT_SIDE,
    Maps,
    ObserverConfig,
    ObserverNet,
    resized,
    working_size,
)
from reverie.audit.second_look import SecondConfig
from reverie.core.clip import Clip, Truth
from reverie.core.errors import BadData, BadInput, BadWeights
from reverie.core.vocabulary import COLOURS, KINDS
from reverie.data.sample import Sample
from reverie.data.shards import ClipSet, write_shard
from reverie.model.checkpoint import load_model, save_model
from reverie.model.tokenizer import PRESETS, Tokenizer
from reverie.train.observer import (
    ObserverRecipe,
    appearance_loss,
    box_loss,
    grown,
    observer_loss,
    train_observer,
)
from reverie.train.observer_frames import Frames, Targets, Variation, examples, pasted
from reverie.train.observer_scores import observer_scores

SMALL = ObserverConfig(widths=(8, 32, 32, 32, 32), appearance=8)
PLAIN = Variation(pixels=8 * 64 * 64, zoom=1.0, canvas=(1.0, 1.0), worn=0.0, paste=0.0, recoloured=0.0)


def painted_clip(seed: int, frames: int = 16, size: tuple[int, int] = (64, 64)) -> Clip:
    """Squares ("box") and discs ("ball") in plain colours that slide over a grey ground; no physics."""
    rng = np.random.default_rng(seed)
    height, width = size
    count = int(rng.integers(1, 4))
    kinds = [("box", "ball")[rng.integers(2)] for _ in range(count)]
    colours = [("red", "green", "blue")[rng.integers(3)] for _ in range(count)]
    place = rng.uniform(12, (width - 12, height - 12), (count, 2))
    step = rng.uniform(-0.5, 0.5, (count, 2))
    half = rng.integers(7, 11, count)
    view = np.full((frames, height, width, 3), 110, np.uint8)
    view += rng.integers(0, 8, view.shape, dtype=np.uint8)
    masks = np.zeros((frames, height, width), np.uint8)
    boxes = np.full((frames, count, 4), np.nan, np.float32)
    visible = np.zeros((frames, count), np.float32)
    y, x = np.mgrid[:height, :width] + 0.5
    for t in range(frames):
        shapes = []
        for n in range(count):
            cx, cy = place[n] + t * step[n]
            far = np.maximum(abs(x - cx), abs(y - cy)) if kinds[n] == "box" else np.hypot(x - cx, y - cy)
            shapes.append(far <= half[n])
            view[t][shapes[n]] = np.array(COLOURS[colours[n]]) * 255
            masks[t][shapes[n]] = n + 1
            edges = np.array([cx - half[n], cy - half[n], cx + half[n], cy + half[n]])
            boxes[t, n] = edges.clip(0, (width, height, width, height))
        for n in range(count):
            visible[t, n] = (masks[t] == n + 1).sum() / max(shapes[n].sum(), 1)
    nothing = np.zeros((frames, count, 3), np.float32)
    truth = Truth("room", kinds, colours, ["medium"] * count, ["heavy"] * count,
                  np.ones((count, 3), np.float32), visible > 0, nothing,
                  np.zeros((frames, count, 3, 3), np.float32), nothing, np.zeros((frames, count), np.float32),
                  np.zeros((0, 3), np.int32), [], [0.0],
                  {"front": boxes}, {"front": visible}, {"front": masks})
    return Clip(24.0, views={"front": view}, truth=truth)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("painted")
    write_shard(folder / "a.tar", (Sample(f"paint-{i:04d}", painted_clip(i)) for i in range(60)))
    write_shard(folder / "b.tar", (Sample(f"test-{i:04d}", painted_clip(1000 + i), {"split": "test"})
                                   for i in range(8)))
    return folder


@pytest.fixture(scope="module")
def trained(shards, tmp_path_factory):
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("observer")
    recipe = ObserverRecipe(Variation(pixels=16 * 64 * 64, zoom=1.2, canvas=(1.0, 1.0), recoloured=0.2),
                            lr=4e-3, ema=0.98, warm_up=10)
    path = train_observer(shards, out, steps=160, config=SMALL, recipe=recipe, precision="fp32",
                          progress=False)
    return path, shards


def sight(kind="ball", colour="red", box=(10.0, 10.0, 30.0, 30.0), confidence=0.9, look=0) -> Detection:
    kinds, colours = np.full(len(KINDS), 0.01, np.float32), np.full(len(COLOURS), 0.01, np.float32)
    kinds[KINDS.index(kind)] = colours[COLOUR_NAMES.index(colour)] = 0.8
    return Detection(kind, colour, tuple(map(float, box)), confidence, kinds, colours,
                     np.eye(8, dtype=np.float32)[look])


# -- network and reading --------------------------------------------------------------------------------


def test_it_is_small_and_takes_any_size():
    assert sum(p.numel() for p in ObserverNet().parameters()) <= 1_500_000
    observer = Observer(ObserverNet(SMALL))
    for size in ((32, 32), (96, 160), (128, 128), (100, 150), (256, 256), (360, 640)):
        seen = observer.detect(np.zeros((2, *size, 3), np.uint8), threshold=0.0)
        assert len(seen) == 2 and seen[0]
        boxes = np.array([d.box for d in seen[0]])
        assert (boxes >= 0).all() and (boxes <= (size[1], size[0], size[1], size[0])).all()
        assert abs(seen[0][0].kind_scores.sum() - 1) < 1e-4 and abs(seen[0][0].colour_scores.sum() - 1) < 1e-4
    assert observer.detect(np.zeros((0, 64, 64, 3), np.uint8)) == []


def test_working_size():
    assert working_size(128, 128) == (128, 128) and working_size(96, 224) == (96, 224)
    assert working_size(256, 256) == (SHORT_SIDE, SHORT_SIDE) and working_size(720, 1280) == (160, 288)
    frames = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    assert resized(frames, (64, 64)) is frames
    assert resized(frames, (32, 96)).shape == (2, 32, 96, 3)


def test_batches_change_nothing():
    torch.manual_seed(0)
    observer = Observer(ObserverNet(SMALL))
    frames = np.random.default_rng(0).integers(0, 256, (5, 64, 96, 3), dtype=np.uint8)
    one, many = (observer.detect(frames, batch=batch, threshold=0.015) for batch in (1, 16))
    for a, b in zip(one, many, strict=True):
        assert len(a) == len(b)
        for d, e in zip(a, b, strict=True):
            assert d.kind == e.kind and np.allclose(d.box, e.box, atol=1e-2)


@pytest.mark.parametrize("frames", [np.zeros((64, 64, 3), np.uint8), np.zeros((1, 64, 64, 3), np.float32),
                                    np.zeros((1, 16, 64, 3), np.uint8), np.zeros((1, 64, 64, 4), np.uint8)])
def test_what_is_no_frames_is_refused(frames):
    with pytest.raises(BadInput):
        Observer(ObserverNet(SMALL)).detect(frames)


def test_configs_that_make_no_sense():
    for bad in ({"widths": (8, 8)}, {"appearance": 0}, {"kinds": 99}, {"colours": 0}):
        with pytest.raises(BadInput):
            ObserverConfig(**bad)


def perfect_maps(batch: dict[str, torch.Tensor]) -> Maps:
    """The maps of a network that says exactly what it should."""
    b, r, c = batch["where"].unbind(1)
    heat = batch["heat"]
    colours = torch.zeros(len(heat), len(COLOURS), *heat.shape[2:])
    edges, looks = torch.zeros(len(heat), 4, *heat.shape[2:]), torch.ones(len(heat), 8, *heat.shape[2:])
    colours[b, batch["colour"], r, c] = 20.0
    edges[b, :, r, c] = batch["edges"].log()
    middle = batch["middle"]  # where cells of two things meet, the middle's word counts
    edges[b[middle], :, r[middle], c[middle]] = batch["edges"][middle].log()
    colours[b[middle], :, r[middle], c[middle]] = 0
    colours[b[middle], batch["colour"][middle], r[middle], c[middle]] = 20.0
    place = torch.zeros(len(heat), 3, *heat.shape[2:])
    true = batch["place"].nan_to_num()
    place[b, :, r, c] = torch.cat([torch.logit(true[:, :1], 1e-4), true[:, 1:]], 1)
    return Maps(torch.logit(heat, 1e-4), colours, edges, looks / 8**0.5, place)


def test_targets_read_back_are_the_truth():
    """What the network is asked for, said perfectly, reads as the things that were there."""
    asked = right = 0
    for seed in range(20):
        clip = painted_clip(seed)
        [example] = examples(clip, [3])
        targets = Targets(1, (64, 64))
        targets.add(0, example)
        found = _separate(_peaks(perfect_maps(targets.batch()), 0.5)[0], np.ones(4, np.float32), (64, 64))
        for n in np.flatnonzero(example.visible > 0.6):
            asked += 1
            right += any(d.kind == clip.truth.kinds[n] and d.colour == clip.truth.colours[n]
                         and overlap(np.array([d.box]), example.boxes[n : n + 1])[0, 0] > 0.98 for d in found)
    assert asked > 25 and right >= 0.95 * asked


def test_a_perfect_answer_has_a_smaller_loss_than_any_other():
    clip = painted_clip(3)
    targets = Targets(2, (64, 64))
    for b, example in enumerate(examples(clip, [3, 5])):
        targets.add(b, example)
    batch = targets.batch()
    best = perfect_maps(batch)
    loss, figures = observer_loss(best, batch)
    for other in (replace(best, kinds=best.kinds.flip(1)), replace(best, colours=best.colours.flip(1)),
                  replace(best, edges=best.edges + 0.3), replace(best, place=best.place + 3)):
        assert observer_loss(other, batch)[0] > loss + 0.1
    assert figures["box"] < 0.01 and figures["colour"] < 0.01


def test_losses_of_nothing_are_zero():
    batch = Targets(2, (64, 64)).batch()
    maps = ObserverNet(SMALL)(torch.zeros(2, 3, 64, 64))
    loss, _ = observer_loss(maps, batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert box_loss(torch.ones(3, 4), torch.ones(3, 4)).abs().max() < 1e-6


def test_appearance_draws_the_same_together():
    things, looks = torch.tensor([0, 0, 1, 1]), torch.tensor([5, 5, 6, 6])
    good = torch.eye(4)[[0, 0, 1, 1]]
    assert appearance_loss(good, things, looks) < 0.01
    assert appearance_loss(torch.eye(4)[[0, 1, 0, 1]], things, looks) > 1


# -- frames and their truth -----------------------------------------------------------------------------


def test_frames_and_truth_stay_together(shards):
    """However a frame is cropped, mirrored and resized, each thing's middle has its colour."""
    clips = ClipSet(shards)
    frames = Frames(clips, range(len(clips)), Variation(pixels=64 * 64 * 64, worn=0.0, canvas=(0.75, 1.25)))
    hits = total = 0
    for step in range(6):
        batch = frames(step, np.random.default_rng(step))
        middle = batch["middle"]
        where, colours = batch["where"][middle].tolist(), batch["colour"][middle].tolist()
        for (b, r, c), colour in zip(where, colours, strict=True):
            if colour < 0:  # in other colours than its own
                continue
            pixel = batch["frames"][b, 4 * r + 2, 4 * c + 2].numpy() / 255
            total += 1
            hits += np.abs(pixel - np.array(COLOURS[COLOUR_NAMES[colour]])).max() < 0.15
    assert total > 100 and hits > 0.9 * total  # the rest is behind another, where the boxes' middles meet


def test_batches_are_a_pure_function_of_step_and_state(shards):
    clips = ClipSet(shards)
    first = Frames(clips, range(20), Variation(pixels=PLAIN.pixels))
    first(0, np.random.default_rng(9))
    again = Frames(clips, range(20), Variation(pixels=PLAIN.pixels), memory=1)  # keeps nothing
    for name, value in first(1, np.random.default_rng(4)).items():
        assert torch.equal(value.nan_to_num(-1), again(1, np.random.default_rng(4))[name].nan_to_num(-1)), name


def test_hidden_and_tiny_things_are_neither_asked_nor_forbidden():
    [example] = examples(painted_clip(0), [0])
    mask = np.zeros((64, 64), np.uint8)
    mask[11:13, 11:13] = 1
    for visible, box in ((0.1, (10, 10, 30, 30)), (1.0, (10, 10, 14, 14))):
        targets = Targets(1, (64, 64))
        boxes, seen = np.full_like(example.boxes, np.nan), np.zeros(len(example.kinds))
        boxes[0], seen[0] = box, visible
        targets.add(0, replace(example, mask=mask, boxes=boxes, visible=seen))
        assert not targets.cells and targets.weight[0, example.kinds[0], 3, 3] == 0
        assert targets.weight[0].min(0).mean() > 0.7


def test_a_pasted_thing_hides_what_is_behind_it():
    rng = np.random.default_rng(0)
    hidden = 0
    for seed in range(30):
        [example], [donor] = examples(painted_clip(seed), [2]), examples(painted_clip(500 + seed), [2])
        more = pasted(example, donor, rng)
        if more is example:
            assert not (donor.visible > 0.98).any()
            continue
        count = len(example.kinds)
        assert len(more.kinds) == len(more.boxes) == len(more.visible) == len(more.names) == count + 1
        colour = np.array(COLOURS[COLOUR_NAMES[more.colours[-1]]]) * 255
        assert np.abs(more.picture[more.mask == count + 1] - colour).max() < 3
        x0, y0, x1, y1 = more.parts()[-1]
        assert np.abs(more.boxes[-1] - (x0, y0, x1, y1)).max() < 1.5
        assert (more.visible[:-1] <= example.visible + 1e-6).all()
        hidden += (more.visible[:-1] < example.visible - 0.1).any()
    assert hidden > 2


def test_half_of_the_frames_go_through_the_tokenizer(shards):
    torch.manual_seed(0)
    tokenizer = Tokenizer(PRESETS["tiny"]).eval()
    clips = ClipSet(shards)
    plain = Frames(clips, range(20), PLAIN)(0, np.random.default_rng(0))["frames"].float()
    never = Frames(clips, range(20), replace(PLAIN, trip=0.0), tokenizer=tokenizer)
    half = Frames(clips, range(20), replace(PLAIN, trip=1.0), tokenizer=tokenizer)
    assert not torch.equal(half(0, np.random.default_rng(0))["frames"].float(), plain)
    first, second = (f(0, np.random.default_rng(0)) for f in (half, half))
    assert torch.equal(first["frames"], second["frames"])
    assert never(0, np.random.default_rng(0))["frames"].shape == plain.shape


def test_data_without_pictures_is_refused(tmp_path):
    clip = painted_clip(0)
    clip.views, clip.truth.masks = {}, {}
    write_shard(tmp_path / "a.tar", [Sample("paint-0", clip)])
    with pytest.raises(BadData):
        train_observer(tmp_path, tmp_path / "out", steps=1, progress=False)


# -- learning, files, scores ----------------------------------------------------------------------------


def test_it_learns_to_see(trained):
    path, shards = trained
    clips = ClipSet(shards)
    test = [i for i in range(len(clips)) if clips.keys[i].startswith("test")]
    scores = observer_scores(Observer.load(path), clips, test)
    assert scores["things"] > 20
    assert scores["precision"] > 0.7 and scores["recall"] > 0.6, scores
    assert scores["kind"] > 0.7 and scores["colour"] > 0.8, scores
    meta = load_model(path)[1]
    assert meta["kind"] == "observer" and meta["data"] and meta["commit"] is not None
    assert set(scores) == set(meta["scores"])
    assert meta["scores"]["recall"] == pytest.approx(scores["recall"], abs=1e-3)  # what is loaded was scored


def test_it_grows_with_the_vocabulary(tmp_path, shards):
    """One that knows fewer kinds and colours sees, and begins one that knows more, which says the same of them."""
    second = SecondConfig(side=16, widths=(4, 4, 4), hidden=8)
    few = replace(SMALL, kinds=len(KINDS) - 2, colours=len(COLOURS) - 1, second=second)
    torch.manual_seed(3)
    old, new = ObserverNet(few).eval(), ObserverNet(replace(SMALL, second=second)).eval()
    save_model(tmp_path / "few.safetensors", old.state_dict(), {"kind": "observer", "config": asdict(few)})
    frames = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8)
    assert all(d.kind in KINDS[:-2] for found in Observer.load(tmp_path / "few.safetensors").detect(
        frames, threshold=0.0) for d in found)

    new.load_state_dict(grown(old.state_dict(), new.state_dict(), (few.kinds, few.colours), (len(KINDS), len(COLOURS))))
    x, boxes = torch.randn(1, 3, 64, 64), torch.tensor([[[10.0, 10, 40, 40]]])
    before, after = old(x), new(x)
    assert torch.equal(before.kinds, after.kinds[:, :-2]) and torch.equal(before.colours, after.colours[:, :-1])
    assert torch.equal(before.edges, after.edges) and torch.equal(before.looks, after.looks)
    (kinds, colours), (more_kinds, more_colours) = old.second.look(x, boxes), new.second.look(x, boxes)
    old_ones = torch.cat([more_kinds[..., :-3], more_kinds[..., -1:]], -1)  # the last is nothing
    assert torch.allclose(kinds, old_ones / old_ones.sum(-1, keepdim=True), atol=1e-6)
    assert torch.allclose(colours, more_colours[..., :-1] / more_colours[..., :-1].sum(-1, keepdim=True), atol=1e-6)

    made = train_observer(shards, tmp_path / "out", steps=2, progress=False, start_from=tmp_path / "few.safetensors",
                          config=SMALL, recipe=ObserverRecipe(variation=PLAIN, warm_up=1))
    assert Observer.load(made).net.config.kinds == len(KINDS)
    with pytest.raises(BadInput, match="only grow"):
        train_observer(shards, tmp_path / "less", steps=2, progress=False, start_from=made,
                       config=replace(SMALL, kinds=3), recipe=ObserverRecipe(variation=PLAIN, warm_up=1))


def test_over_a_whole_clip_it_counts_the_things(trained):
    path, shards = trained
    observer, clips = Observer.load(path), ClipSet(shards)
    right = 0
    test = [i for i in range(len(clips)) if clips.keys[i].startswith("test")]
    for i in test:
        clip = clips.clip(i)
        things = seen_over_clip(observer.detect(clip.views["front"]))
        clear = clip.truth.visible["front"].min(0) > 0.6
        names = zip(clip.truth.kinds, clip.truth.colours, clear, strict=True)
        wanted = {(kind, colour) for kind, colour, is_clear in names if is_clear}
        right += wanted <= {(t.kind, t.colour) for t in things}
    assert right >= len(test) - 3


def test_damaged_and_foreign_files(trained, tmp_path):
    path, _ = trained
    whole = path.read_bytes()
    bad = tmp_path / "observer.safetensors"
    with pytest.raises(BadWeights, match="no observer"):
        Observer.load(bad)
    for content in (whole[:1000], whole[: len(whole) // 2], b"", b"not weights"):
        bad.write_bytes(content)
        with pytest.raises(BadWeights):
            Observer.load(bad)
    tensors, meta = load_model(path)
    save_model(bad, tensors, {**meta, "kind": "tokenizer"})
    with pytest.raises(BadWeights):
        Observer.load(bad)
    save_model(bad, {n: t for n, t in tensors.items() if n != "stem.bias"}, meta)
    with pytest.raises(BadWeights, match="does not fit"):
        Observer.load(bad)
    save_model(bad, {n: t * float("nan") for n, t in tensors.items()}, meta)
    with pytest.raises(BadWeights, match="finite"):
        Observer.load(bad)
    save_model(bad, tensors, {**meta, "config": {"widths": [1]}})
    with pytest.raises(BadWeights):
        Observer.load(bad)


class Told:
    """An observer that says what it is told to."""

    def __init__(self, said) -> None:
        self.said, self.net = said, ObserverNet(SMALL)

    def detect(self, frames, batch=16, threshold=None):
        return [self.said(t) for t in range(len(frames))]


def test_scores_of_known_answers(tmp_path):
    clip = painted_clip(11, size=(96, 96))
    write_shard(tmp_path / "a.tar", [Sample("paint-0", clip)])
    truth = clip.truth
    clips = ClipSet(tmp_path)

    def told(t, kind=None, move=0.0):
        return [sight(kind or k, c, truth.boxes["front"][t, n] + move, 0.9)
                for n, (k, c) in enumerate(zip(truth.kinds, truth.colours, strict=True))]

    perfect = observer_scores(Told(told), clips, [0], every=1)
    assert {perfect[n] for n in ("precision", "recall", "kind", "colour", "map50")} == {1.0}
    ghost = observer_scores(Told(lambda t: [*told(t), sight(box=(0, 0, 20, 90))]), clips, [0], every=1)
    assert ghost["precision"] < 1 and ghost["recall"] == 1
    blind = observer_scores(Told(lambda t: []), clips, [0], every=1)
    assert blind["recall"] == 0 and np.isnan(blind["precision"]) and blind["map50"] == 0
    aside = observer_scores(Told(lambda t: told(t, move=40.0)), clips, [0], every=1)
    assert aside["recall"] < 0.5
    wrong = observer_scores(Told(lambda t: told(t, "hoop")), clips, [0], every=1)
    assert wrong["recall"] == 1 and wrong["kind"] == 0 and wrong["map50"] == 0


# -- over a clip ----------------------------------------------------------------------------------------


def moving(t: float, y: float = 10.0) -> tuple[float, ...]:
    return (10.0 + 2 * t, y, 30.0 + 2 * t, y + 20.0)


def test_one_thing_is_one_thing():
    things = seen_over_clip([[sight(box=moving(t))] for t in range(20)])
    assert [(t.kind, t.colour, t.frames, t.first, t.last) for t in things] == [("ball", "red", 20, 0, 19)]
    assert things[0].confidence == pytest.approx(0.9) and things[0].path.shape == (20, 5)


def test_flickers_are_left_out_and_gaps_are_not():
    frames = [[sight(box=moving(t))] if t % 6 else [] for t in range(30)]
    frames[10] = [*frames[10], sight("cone", "blue", (80, 80, 100, 100))]
    frames[11] = [*frames[11], sight("cone", "blue", (80, 80, 100, 100))]
    things = seen_over_clip(frames)
    assert [(t.kind, t.colour) for t in things] == [("ball", "red")] and things[0].frames == 25


def test_a_ball_behind_a_wall_is_one_ball_and_two_balls_are_two():
    frames = [[sight(box=moving(t))] if t < 10 or t > 50 else [] for t in range(60)]
    assert len(seen_over_clip(frames)) == 1
    frames = [[sight(box=moving(t)), sight(box=moving(t, 70.0))] for t in range(20)]
    assert len(seen_over_clip(frames)) == 2


def test_kind_and_colour_are_voted_on():
    frames = [[sight("ball" if t % 4 else "box", "red" if t % 5 else "orange", moving(t))] for t in range(20)]
    assert [(t.kind, t.colour, t.frames) for t in seen_over_clip(frames)] == [("ball", "red", 20)]


def test_things_that_cross_keep_their_names():
    frames = [[sight("ball", "red", (10.0 + 3 * t, 10, 30.0 + 3 * t, 30), look=1),
               sight("ball", "blue", (70.0 - 3 * t, 12, 90.0 - 3 * t, 32), look=2)] for t in range(21)]
    assert sorted((t.colour, t.frames) for t in seen_over_clip(frames)) == [("blue", 21), ("red", 21)]


def test_clips_of_nothing_and_of_one_frame():
    assert seen_over_clip([]) == [] and seen_over_clip([[], []]) == []
    assert len(seen_over_clip([[sight()]])) == 1


def test_what_stays_inside_a_larger_thing_of_its_colour_is_part_of_it() -> None:
    whole = sight("pendulum", box=(10, 10, 40, 60), look=1)

    def seen(colour: str, box: tuple, frames: int = 10) -> set[tuple[str, str]]:
        clip = [[whole, sight("ball", colour, box)] if t < frames else [whole] for t in range(10)]
        return {(thing.kind, thing.colour) for thing in seen_over_clip(clip)}

    bob = (15, 38, 37, 60)
    assert seen("red", bob) == {("pendulum", "red")}
    assert seen("blue", bob) == {("pendulum", "red"), ("ball", "blue")}  # something else in front of it
    assert seen("red", (35, 38, 57, 60)) == {("pendulum", "red"), ("ball", "red")}  # beside it
    assert seen("red", bob, frames=6) == {("pendulum", "red")}


def test_what_is_now_the_whole_and_now_its_part_is_the_whole() -> None:
    whole, bob = sight("pendulum", "red", (10, 10, 40, 60)), sight("ball", "red", (15, 38, 37, 60))

    def seen(whole_in: set[int]) -> set[str]:
        clip = [[whole, bob] if t in (4, 5) else [whole] if t in whole_in else [bob] for t in range(20)]
        return {thing.kind for thing in seen_over_clip(clip)}

    assert seen({0, 1, 2, 3, 4, 5, 12, 13, 14}) == {"pendulum"}
    assert "ball" in seen({4, 5, 6, 7})  # so seldom seen, the whole is the mistake
    wall, ball = sight("wall", "red", (10, 10, 40, 40)), sight("ball", "red")
    passing = [[wall, replace(ball, box=(x, 20.0, x + 14.0, 34.0))] for x in range(0, 120, 3)]
    assert {thing.kind for thing in seen_over_clip(passing)} == {"wall", "ball"}  # it was in front of it for a while
