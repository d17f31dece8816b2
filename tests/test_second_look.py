"""The observer's second look: its crops, what it trains on, its files, and what it leaves as it is."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from test_observer import SMALL, painted_clip

from reverie.audit.observer import COLOUR_NAMES, Observer
from reverie.audit.observer_net import ObserverConfig, ObserverNet
from reverie.audit.second_look import PLACE, SecondConfig, SecondLook, crops, mirrored, places
from reverie.core.errors import BadData, BadInput, BadWeights
from reverie.core.vocabulary import COLOURS, KINDS
from reverie.data.sample import Sample
from reverie.data.shards import ClipSet, write_shard
from reverie.model.checkpoint import load_model, save_model
from reverie.model.tokenizer import PRESETS, Tokenizer
from reverie.train.loop import fit
from reverie.train.observer import ADAM, ObserverRecipe, second_loss_fn, train_observer
from reverie.train.observer_second import (
    NOTHING,
    Boxes,
    Scene,
    SecondRecipe,
    gathered,
    named,
    recoloured,
    scenes,
    second_scores,
    softened,
)

TINY = SecondConfig(side=16, widths=(8, 16, 32), hidden=32)
RECIPE = SecondRecipe(frames=16, every=4, found=20)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("painted")
    write_shard(folder / "a.tar", (Sample(f"paint-{i:04d}", painted_clip(i)) for i in range(40)))
    write_shard(folder / "b.tar", (Sample(f"test-{i:04d}", painted_clip(1000 + i), {"split": "test"})
                                   for i in range(6)))
    return folder


@pytest.fixture(scope="module")
def trained(shards, tmp_path_factory):
    """An observer, and one whose second look was trained a little beside the first's first look."""
    out = tmp_path_factory.mktemp("observer")
    recipe = ObserverRecipe(second=RECIPE, share=1.0)
    torch.manual_seed(0)
    meta = {"kind": "observer", "config": asdict(SMALL)}
    save_model(out / "first.safetensors", ObserverNet(SMALL).state_dict(), meta)
    path = train_observer(shards, out / "both", steps=3, config=replace(SMALL, second=TINY), recipe=recipe,
                          start_from=out / "first.safetensors", precision="fp32", progress=False)
    return out / "first.safetensors", path


def scene(boxes, visible=None, kinds=None) -> Scene:
    count = len(boxes)
    return Scene(np.zeros((64, 64, 3), np.uint8), np.array(boxes, np.float32).reshape(-1, 4),
                 np.ones(count) if visible is None else np.array(visible),
                 np.arange(count) if kinds is None else np.array(kinds), np.arange(count) + 3)


# -- the network ----------------------------------------------------------------------------------------


def test_both_looks_together_are_small():
    net = ObserverNet(ObserverConfig(second=SecondConfig()))
    assert sum(p.numel() for p in net.second.parameters()) <= 500_000
    assert sum(p.numel() for p in net.parameters()) <= 2_000_000


def test_configs_that_make_no_sense():
    for bad in ({"side": 30}, {"widths": (8, 8)}, {"hidden": 0}, {"first": (1.0,)}, {"doubt": -1.0}, {"around": 0.0}):
        with pytest.raises(BadInput):
            SecondConfig(**bad)


def test_a_crop_is_what_stands_in_the_box():
    frames = torch.zeros(2, 3, 64, 96)
    frames[1, 0, 20:30, 40:60] = 1
    made = crops(frames, torch.tensor([[[40.0, 20, 60, 30]], [[40.0, 20, 60, 30]]]), 16, 2.0)
    assert made.shape == (2, 1, 4, 16, 16) and made[0, 0, :3].abs().max() == 0
    red = made[1, 0, 0]  # 20 pixels of 40 wide, 10 of 40 high, in the middle
    assert red[6:10, 4:12].min() > 0.99 and red[:5].abs().max() < 0.01 and red[:, :3].abs().max() < 0.01
    assert (made[1, 0, 3, 6:10, 4:12] == 1).all() and (made[1, 0, 3, :5] == 0).all()


def test_beyond_the_frame_a_crop_says_so():
    frames = torch.rand(1, 3, 64, 64)
    made = crops(frames, torch.tensor([[[0.0, 24, 16, 40]]]), 16, 2.0)[0, 0]
    assert (made[3, :, :4] == -1).all() and (made[3, 4:12, 4:12] == 1).all()
    assert (made[:3, :, 0] - made[:3, :, 3]).abs().max() < 1e-5  # the last pixels go on


def test_crops_of_large_boxes_do_not_alias():
    frames = torch.ones(1, 3, 64, 64)
    frames[..., ::2] = -1  # stripes of one pixel
    assert crops(frames, torch.tensor([[[0.0, 0, 64, 64]]]), 16, 1.0)[0, 0, :3].abs().max() < 0.5


def test_a_crop_does_not_depend_on_its_company():
    frames, boxes = torch.rand(2, 3, 64, 64), torch.tensor([[[3.0, 5, 20, 33], [30, 30, 50, 64]]] * 2)
    many = crops(frames, boxes, 16, 1.4)
    for b in range(2):
        for n in range(2):
            alone = crops(frames[b : b + 1], boxes[b : b + 1, n : n + 1], 16, 1.4)[0, 0]
            assert torch.allclose(alone, many[b, n], atol=1e-5)


def test_places_say_size_and_edges():
    said = places(torch.tensor([[[0.0, 0, 24, 24], [32, 64, 80, 128]]]), (128, 128))
    assert said.shape == (1, 2, PLACE)
    assert said[0, 0, 3:6].abs().max() < 1e-5 and said[0, 0, 6:].tolist() == [1, 1, 0, 0]
    assert said[0, 1, 1] == 1 and said[0, 1, 6:].tolist() == [0, 0, 0, 1]
    assert torch.allclose(places(torch.tensor([[[0.0, 0, 48, 48]]]), (256, 256))[..., 3:6], said[:, :1, 3:6])


def test_mirrored_places_are_those_of_mirrored_boxes():
    boxes = torch.tensor([[[0.0, 8, 30, 60], [50, 40, 96, 64]]])
    other = torch.stack([96 - boxes[..., 2], boxes[..., 1], 96 - boxes[..., 0], boxes[..., 3]], -1)
    assert torch.allclose(mirrored(places(boxes, (64, 96))), places(other, (64, 96)), atol=1e-6)


# -- what it trains on ----------------------------------------------------------------------------------


def test_what_stands_in_a_box():
    true = scene([(10, 10, 30, 30), (30, 10, 50, 30), (10, 40, 30, 60), (50, 50, 54, 54)], [1.0, 0.1, 1.0, 1.0])
    boxes = np.array([(11, 9, 31, 31), (31, 10, 50, 30), (10, 44, 30, 64), (10, 18, 30, 38), (34, 34, 48, 48),
                      (50, 50, 54, 54)], np.float32)
    kinds, colours = named(boxes, true)
    # a thing; a thing hardly seen; a thing; half a thing; nothing; a thing too small to tell
    assert kinds.tolist() == [0, -1, 2, -1, NOTHING, -1] and colours.tolist() == [3, -1, 5, -1, -1, -1]
    over = scene([(10, 10, 30, 30), (10, 10, 30, 31)], [0.2, 1.0])
    assert named(boxes[:1], over)[0].tolist() == [1]  # the one in front
    assert named(boxes[:1], scene([]))[0].tolist() == [NOTHING]


def test_boxes_and_pictures_stay_together(shards):
    clips = ClipSet(shards)
    plain = replace(RECIPE, worn=0.0, recoloured=0.0, moved=0.02)
    boxes = Boxes(gathered(clips, range(40), plain, None, None), plain)
    batch, again = (boxes(3, np.random.default_rng(3)) for _ in range(2))
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert batch["frames"].shape == (16, 64, 64, 3) and batch["boxes"].shape == (16, 3, 4)
    assert (batch["boxes"][..., 2:] > batch["boxes"][..., :2]).all() and (batch["kind"] == NOTHING).any()
    hits = total = 0
    for b, n in torch.nonzero(batch["colour"] >= 0).tolist():
        x, y = ((batch["boxes"][b, n, :2] + batch["boxes"][b, n, 2:]) / 2).long().clamp(0, 63).tolist()
        colour = np.array(COLOURS[COLOUR_NAMES[batch["colour"][b, n]]])
        total += 1
        hits += np.abs(batch["frames"][b, y, x].numpy() / 255 - colour).max() < 0.15
    assert total > 25 and hits > 0.9 * total  # the rest stand behind another


def test_recoloured_things_are_not_asked_for_their_colour(shards):
    recipe = replace(RECIPE, recoloured=1.0)
    batch = Boxes(gathered(ClipSet(shards), range(5), recipe, None, None), recipe)(0, np.random.default_rng(0))
    assert (batch["colour"] == -1).all() and (batch["kind"] >= 0).any()


def test_some_frames_go_through_the_tokenizer_and_some_get_the_first_looks_boxes(shards):
    torch.manual_seed(0)
    clips, recipe = ClipSet(shards), replace(RECIPE, trips=5, every=8)
    found = gathered(clips, range(8), recipe, Tokenizer(PRESETS["tiny"]).eval(), Observer(ObserverNet(SMALL)))
    assert sum(s.made for s in found) >= 10 and not all(s.made for s in found)
    less = gathered(clips, range(8), recipe, None, None, memory=8 * 16 * 64 * 64 * 3 // 16)
    assert len(less) <= 8  # of each clip a frame, when there is no room for more


def test_frames_made_soft():
    torch.manual_seed(0)
    frames = torch.rand(4, 3, 64, 64)
    soft = softened(frames, 0.5)
    assert soft.shape == frames.shape and torch.equal(soft[2:], frames[2:])
    assert soft[:2].std() < 0.8 * frames[:2].std() and softened(frames, 0.0) is frames


def test_other_colours_are_the_same_shapes():
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[2:6, 2:6] = (200, 100, 20)
    for seed in range(20):
        other = recoloured(picture, np.random.default_rng(seed))
        assert other.dtype == np.uint8 and other[0].max() == 0 and (other[2:6, 2:6] == other[3, 3]).all()
        assert other[3, 3].min() >= 20 and other[3, 3].max() <= 200


def test_nothing_to_train_on_is_refused(tmp_path):
    clip = painted_clip(0)
    clip.truth.visible["front"][:] = 0
    write_shard(tmp_path / "a.tar", [Sample("paint-0", clip)])
    with pytest.raises(BadData):
        gathered(ClipSet(tmp_path), [0], RECIPE, None, None)
    assert not any(len(s.boxes) for s in scenes(clip, [0, 4]))


def test_a_second_look_alone_needs_a_first(shards, tmp_path):
    with pytest.raises(BadInput, match="start_from"):
        train_observer(shards, tmp_path, steps=1, recipe=ObserverRecipe(share=1.0), progress=False)


# -- both looks together --------------------------------------------------------------------------------


def test_it_learns_to_tell_kinds_colours_and_nothing(shards, tmp_path):
    torch.manual_seed(0)
    clips, recipe = ClipSet(shards), replace(RECIPE, frames=8, lr=4e-3, ema=0.96, recoloured=0.3, soft=0.0, worn=0.0,
                                             moved=0.04)
    some = Boxes(gathered(clips, range(40), recipe, None, None), recipe)
    plain = replace(recipe, recoloured=0.0)
    held = Boxes(gathered(clips, range(40, 46), plain, None, None), plain)
    look = SecondLook(SecondConfig(side=24, widths=(16, 32, 32), hidden=32), len(KINDS), len(COLOURS))
    scores = fit(look, some, second_loss_fn(recipe), out=tmp_path, steps=240, lr=recipe.lr, adam=ADAM, ema=recipe.ema,
                 warm_up=20, hold=0.4, prefetch=0, precision="fp32", progress=False,
                 evaluate=lambda m: second_scores(m, held)).scores
    assert scores["kind"] > 0.7 and scores["nothing"] > 0.75 and scores["colour"] > 0.85, scores  # of 2, 1 and 3


def test_the_first_look_is_kept(trained, shards):
    first, both = trained
    tensors, kept = load_model(both)[0], load_model(first)[0]
    assert all(torch.equal(tensors[name], tensor) for name, tensor in kept.items())
    one, two = Observer.load(first), Observer.load(both)
    assert one.net.second is None and two.net.config.second == TINY and two.meta["recipe"]["second_steps"] == 3
    view = ClipSet(shards).clip(0).views["front"][:3]
    before, alone, after = (o.detect(view, threshold=0.015, second=second)
                            for o, second in ((one, True), (two, False), (two, True)))
    assert sum(map(len, before)) > 3
    assert [[d.box for d in seen] for seen in alone] == [[d.box for d in seen] for seen in before]
    assert [[d.confidence for d in seen] for seen in alone] != [[d.confidence for d in seen] for seen in after]
    for seen in after:
        for d in seen:
            assert abs(d.kind_scores.sum() - 1) < 1e-4 and abs(d.colour_scores.sum() - 1) < 1e-4
            assert d.kind == KINDS[d.kind_scores.argmax()] and d.colour == COLOUR_NAMES[d.colour_scores.argmax()]
        assert [d.confidence for d in seen] == sorted((d.confidence for d in seen), reverse=True)


def test_batches_change_nothing(trained, shards):
    observer = Observer.load(trained[1])
    view = ClipSet(shards).clip(0).views["front"][:5]
    for a, b in zip(*(observer.detect(view, batch, 0.012) for batch in (1, 16)), strict=True):
        assert [(d.kind, d.colour) for d in a] == [(d.kind, d.colour) for d in b]
        assert np.allclose([d.confidence for d in a], [d.confidence for d in b], atol=1e-3)


def test_any_size_and_no_frame_at_all():
    torch.manual_seed(0)
    observer = Observer(ObserverNet(replace(SMALL, second=TINY)))
    for size in ((32, 32), (100, 150), (360, 640)):
        seen = observer.detect(np.zeros((2, *size, 3), np.uint8), threshold=0.0)
        assert len(seen) == 2 and seen[0]
    assert observer.detect(np.zeros((0, 64, 64, 3), np.uint8)) == []
    assert observer.detect(np.zeros((1, 64, 64, 3), np.uint8), threshold=1.0) == [[]]


def test_files_whose_second_look_does_not_fit(trained, tmp_path):
    tensors, meta = load_model(trained[1])
    bad = tmp_path / "observer.safetensors"
    save_model(bad, {n: t for n, t in tensors.items() if n != "second.head.bias"}, meta)
    with pytest.raises(BadWeights, match="does not fit"):
        Observer.load(bad)
    save_model(bad, tensors, {**meta, "config": {**meta["config"], "second": None}})
    with pytest.raises(BadWeights, match="does not fit"):
        Observer.load(bad)
    save_model(bad, tensors, {**meta, "config": {**meta["config"], "second": {"side": 30}}})
    with pytest.raises(BadWeights):
        Observer.load(bad)
