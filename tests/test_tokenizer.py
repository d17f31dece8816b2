"""The tokenizer: shapes, streaming without a seam, files, and that it learns."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from reverie.core.camera import CameraPath
from reverie.core.clip import Clip, Truth
from reverie.core.errors import BadData, BadInput, BadWeights
from reverie.data.sample import Sample
from reverie.data.shards import ClipSet, write_shard
from reverie.model.checkpoint import load_model, save_model
from reverie.model.tokenizer import (
    PRESETS,
    Tokenizer,
    TokenizerConfig,
    flops_per_frame,
    from_patches,
    to_patches,
)
from reverie.train.losses import MOVING, THING, PooledError, tokenizer_loss
from reverie.train.tokenizer import (
    TokenizerRecipe,
    Windows,
    drawn,
    moving_pixels,
    near,
    round_trip,
    tokenizer_scores,
    train_tokenizer,
)


def random_tokenizer(name: str = "tiny") -> Tokenizer:
    """A tokenizer whose every weight matters: the zero-initialised ones too."""
    torch.manual_seed(0)
    model = Tokenizer(PRESETS[name]).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.02 * torch.randn_like(p))
    model.latent_mean.uniform_(-0.2, 0.2)
    model.latent_variance.uniform_(0.5, 2.0)
    return model


@torch.no_grad()
@pytest.mark.parametrize("name", ["tiny", "s16", "s32"])
def test_streamed_equals_whole(name):
    model = random_tokenizer(name)
    frames = torch.rand(2, 16, 64, 96, 3) * 2 - 1
    whole_latents, whole_state = model.encode(frames)
    whole_frames, _ = model.decode(whole_latents)
    encoder_state = decoder_state = None
    latents, decoded = [], []
    for n in range(4):
        z, encoder_state = model.encode(frames[:, 4 * n:4 * n + 4], encoder_state)
        y, decoder_state = model.decode(z, decoder_state)
        latents.append(z)
        decoded.append(y)
    assert (torch.cat(latents, 1) - whole_latents).abs().max() < 1e-5
    assert (torch.cat(decoded, 1) - whole_frames).abs().max() < 1e-5
    assert all((a - b).abs().max() < 1e-5 for a, b in zip(encoder_state, whole_state, strict=True))
    # and the state matters: without it the second latent is another
    assert (model.encode(frames[:, 4:8])[0] - whole_latents[:, 1:2]).abs().max() > 1e-4
    assert (model.decode(whole_latents[:, 1:2])[0] - whole_frames[:, 4:8]).abs().max() > 1e-4


def test_refined_latents_decode_to_the_frames_more_nearly():
    model = random_tokenizer()
    with torch.inference_mode():  # as World calls it
        frames = torch.rand(2, 12, 32, 64, 3) * 2 - 1
        latents, _ = model.encode(frames)
        _, state = model.decode(latents[:, :1])
        errors = [(model.decode(model.refined(latents[:, 1:], frames[:, 4:], state, steps), state)[0]
                   - frames[:, 4:]).square().mean() for steps in (0, 4, 16)]
        assert errors[2] < errors[1] < errors[0]
        alone = model.refined(latents[:1], frames[:1])  # the clips of a batch have nothing to do with each other
        assert (alone - model.refined(latents, frames)[:1]).abs().max() < 1e-3
        given = torch.randint(256, (1, 4, 32, 32, 3), dtype=torch.uint8)
        latents, _ = model.encode(given)
        assert torch.equal(model.refined(latents, given), model.refined(latents, given.float() / 127.5 - 1))
    assert all(p.grad is None for p in model.parameters())


@torch.no_grad()
def test_causal_a_later_frame_changes_no_earlier_latent():
    model = random_tokenizer()
    frames = torch.rand(1, 12, 32, 32, 3) * 2 - 1
    changed = frames.clone()
    changed[:, 8:] = 0
    before, after = model.encode(frames)[0], model.encode(changed)[0]
    assert (before[:, :2] - after[:, :2]).abs().max() < 1e-6
    assert (before[:, 2] - after[:, 2]).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("height,width", [(32, 32), (64, 160), (160, 96), (96, 224)])
@pytest.mark.parametrize("name", ["tiny", "s32"])
def test_shapes_of_odd_aspect_ratios(name, height, width):
    model = random_tokenizer(name)
    side, channels = model.config.spatial, model.config.channels
    latents, _ = model.encode(torch.zeros(1, 8, height, width, 3))
    assert latents.shape == (1, 2, height // side, width // side, channels)
    frames, _ = model.decode(latents)
    assert frames.shape == (1, 8, height, width, 3)
    assert frames.dtype == torch.float32 and frames.abs().max() <= 1


@torch.no_grad()
def test_uint8_frames_are_the_same_frames():
    model = random_tokenizer()
    frames = torch.randint(0, 256, (1, 4, 32, 32, 3), dtype=torch.uint8)
    assert torch.equal(model.encode(frames)[0], model.encode(frames.float() / 127.5 - 1)[0])


def test_patches_and_back():
    frames = torch.randn(2, 8, 16, 24, 3)
    patches = to_patches(frames)
    assert patches.shape == (4, 192, 4, 6) and patches.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(from_patches(patches, 2), frames)


def test_bad_frames_latents_and_configs():
    model = random_tokenizer()
    for shape in ((1, 5, 32, 32, 3), (1, 4, 40, 32, 3), (1, 4, 32, 32, 4), (4, 32, 32, 3), (1, 0, 32, 32, 3)):
        with pytest.raises(BadInput):
            model.encode(torch.zeros(shape))
    with pytest.raises(BadInput):
        model.decode(torch.zeros(1, 1, 2, 2, 9))
    for bad in ({"spatial": 32}, {"widths": (8, 8)}, {"encoder_blocks": (1,)}, {"channels": 0}):
        with pytest.raises(BadInput):
            TokenizerConfig(**bad)


def test_sizes_are_within_the_budget():
    config = TokenizerConfig()
    assert sum(p.numel() for p in Tokenizer(config).parameters()) <= 4e6
    encoding, decoding = flops_per_frame(config, 256, 256)
    print(f"encoder {encoding / 1e9:.3f}, decoder {decoding / 1e9:.3f} GFLOP per 256x256 frame")
    assert encoding <= decoding <= 1.5e9


@torch.no_grad()
def test_save_and_load(tmp_path):
    model = random_tokenizer()
    path = tmp_path / "tokenizer.safetensors"
    model.save(path, {"recipe": {"minutes": 1}})
    loaded = Tokenizer.load(path)
    assert loaded.config == model.config and not loaded.training
    frames = torch.rand(1, 8, 32, 32, 3) * 2 - 1
    assert (loaded.encode(frames)[0] - model.encode(frames)[0]).abs().max() < 0.05  # bf16 on disk
    again = tmp_path / "again.safetensors"
    loaded.save(again, {"recipe": {"minutes": 1}})
    assert again.read_bytes() == path.read_bytes()

    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadWeights):
        Tokenizer.load(path)
    tensors = model.state_dict()
    for meta in ({"kind": "transformer"}, {"kind": "tokenizer"}, {"kind": "tokenizer", "config": {"d": 3}},
                 {"kind": "tokenizer", "config": {"channels": 9}}):
        save_model(path, tensors, meta)
        with pytest.raises(BadWeights):
            Tokenizer.load(path)
    tensors.pop("latent_mean")
    save_model(path, tensors, {"kind": "tokenizer", "config": vars(model.config)})
    with pytest.raises(BadWeights, match="latent_mean"):
        Tokenizer.load(path)


@torch.no_grad()
def test_measured_latents_have_unit_scale():
    model = random_tokenizer()
    windows = [torch.rand(2, 8, 64, 64, 3) * 2 - 1 for _ in range(3)]
    model.measure_latents(windows)
    latents = torch.cat([model.encode(w)[0].flatten(0, 3) for w in windows])
    assert latents.mean(0).abs().max() < 1e-3 and (latents.std(0) - 1).abs().max() < 1e-2


def test_loss_weighs_moving_pixels():
    frames = torch.zeros(1, 4, 8, 8, 3)
    shows = torch.zeros(1, 4, 8, 8, dtype=torch.uint8)
    shows[..., :4, :] = MOVING
    upper, lower = frames.clone(), frames.clone()
    upper[..., :4, :, :] = 0.2
    lower[..., 4:, :, :] = 0.2
    on_moving, beside = (tokenizer_loss(made, frames, shows, edge=0.0)[0] for made in (upper, lower))
    assert on_moving > 5 * beside
    shows[..., 4:, :] = THING
    assert tokenizer_loss(lower, frames, shows, edge=0.0)[0] > 2 * beside
    _, figures = tokenizer_loss(upper, frames, shows)
    assert figures["square_moving"].item() == pytest.approx(0.04)
    assert figures["square"].item() == pytest.approx(0.02)
    even = tokenizer_loss(upper, frames)[0], tokenizer_loss(lower, frames)[0]
    assert even[0].item() == pytest.approx(even[1].item(), rel=1e-4)


def test_pooled_psnr():
    true = torch.zeros(4, 8, 8, 3)
    pooled = PooledError()
    assert pooled.psnr != pooled.psnr  # NaN
    pooled.add(true + 0.2, true)
    assert pooled.psnr == pytest.approx(20.0, abs=1e-3)
    mask = torch.zeros(4, 8, 8, dtype=torch.bool)
    mask[:, 2] = True
    made = true.clone()
    made[:, 2] = 0.02
    alone = PooledError()
    alone.add(made, true, mask)
    assert alone.psnr == pytest.approx(40.0, abs=1e-3)


def shapes_clip(seed: int, frames: int = 24, size: tuple[int, int] = (64, 96)) -> Clip:
    """Coloured discs that slide over a shaded ground, with their truth: what a drawn clip looks like."""
    rng = np.random.default_rng(seed)
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ground = (0.4 + 0.3 * y / height + 0.1 * np.sin(x / 7 + seed))[..., None] * rng.uniform(0.6, 1, 3)
    things = 3
    radius = rng.uniform(7, 14, things)
    place = rng.uniform(0.2, 0.8, (things, 2)) * [width, height]
    speed = rng.uniform(-2, 2, (things, 2))
    speed[0] = 0  # one rests
    colour = rng.uniform(0, 1, (things, 3))
    video = np.empty((frames, height, width, 3), np.uint8)
    masks = np.zeros((frames, height, width), np.uint8)
    for t in range(frames):
        picture = ground.copy()
        for n in range(things):
            cx, cy = place[n] + speed[n] * t
            inside = (x - cx) ** 2 + (y - cy) ** 2 < radius[n] ** 2
            light = 0.6 + 0.4 * np.exp(-((x - cx + 3) ** 2 + (y - cy + 3) ** 2) / radius[n] ** 2)
            picture[inside] = (light[..., None] * colour[n])[inside]
            masks[t][inside] = n + 1
        video[t] = (picture.clip(0, 1) * 255).astype(np.uint8)
    velocity = np.zeros((frames, things, 3), np.float32)
    velocity[..., :2] = speed / 5
    truth = Truth(
        "room", ["ball"] * things, ["red", "green", "blue"], ["small"] * things, ["heavy"] * things,
        np.ones((things, 3), np.float32), np.ones((frames, things), bool),
        np.zeros((frames, things, 3), np.float32),
        np.tile(np.eye(3, dtype=np.float32), (frames, things, 1, 1)), velocity,
        np.zeros((frames, things), np.float32), np.zeros((0, 3), np.int32), [], [0.0],
        boxes={"front": np.zeros((frames, things, 4), np.float32)}, masks={"front": masks})
    still = CameraPath(np.zeros((frames, 3), np.float32),
                       np.tile(np.eye(3, dtype=np.float32), (frames, 1, 1)), 45.0)
    return Clip(24.0, views={"front": video}, cameras={"front": still}, truth=truth)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    write_shard(folder / "a.tar", [Sample(f"shapes-{i:04d}", shapes_clip(i)) for i in range(4)])
    wide = [Sample(f"wide-{i:04d}", shapes_clip(i, 14, (32, 64))) for i in range(1, 3)]
    write_shard(folder / "b.tar", wide)
    return folder


def test_windows_are_a_pure_function_and_the_memory_changes_nothing(shards):
    clips = ClipSet(shards)
    recipe = TokenizerRecipe(pixels=64 * 64 * 96)
    kept, read = (Windows(clips, drawn(clips), recipe, memory) for memory in (2**30, 0))
    shapes = set()
    for step in range(12):
        first, again, third = (w(step, np.random.default_rng([5, step])) for w in (kept, kept, read))
        assert all(torch.equal(first[n], again[n]) and torch.equal(first[n], third[n]) for n in first)
        shape = tuple(first["frames"].shape)
        assert first["frames"].dtype == torch.uint8 and first["shows"].shape == shape[:4]
        assert shape[1] in (8, 12, 16)
        shapes.add(shape[1:4])
    assert {s[1:] for s in shapes} == {(64, 96), (32, 64)} and max(s[0] for s in shapes if s[1] == 32) == 12


def test_moving_pixels_are_the_moving_things_and_two_pixels_around():
    clip = shapes_clip(0)
    moving = moving_pixels(clip.truth, "front")
    masks = clip.truth.masks["front"]
    assert np.array_equal(moving, masks > 1)  # the first thing rests
    point = np.zeros((1, 9, 9), bool)
    point[0, 4, 0] = True
    grown = near(point)
    assert grown.sum() == 5 * 3 and grown[0, 2:7, :3].all() and point.sum() == 1


def test_scores_are_of_the_pixels_they_name(shards):
    class Spoiler:
        """Stands for a tokenizer whose round trip is exact but for a dark band on the left."""

        def parameters(self):
            return iter([torch.zeros(1)])

        def encode(self, frames, state):
            return frames.float() / 127.5 - 1, None

        def decode(self, latents, state):
            out = latents.clone()
            out[:, :, :, :8] -= 0.2
            return out, None

    clips = ClipSet(shards)
    scores = tokenizer_scores(Spoiler(), clips, frames=16)
    error, total, chosen, count = 0.0, 0, 0.0, 0
    for i in range(len(clips)):
        clip = clips.clip(i, 0, min(16, clips.meta(i)["frames"] // 4 * 4))
        true = clip.views["front"]
        made = round_trip(Spoiler(), true)
        squared = ((made.astype(float) - true) / 127.5) ** 2
        mask = near(moving_pixels(clip.truth, "front"))
        error, total = error + squared.sum(), total + squared.size
        chosen, count = chosen + squared[mask].sum(), count + 3 * mask.sum()
    assert scores["psnr"] == pytest.approx(10 * np.log10(4 * total / error), abs=1e-3)
    assert scores["psnr_moving"] == pytest.approx(10 * np.log10(4 * count / chosen), abs=1e-3)
    assert np.isfinite(scores["psnr_moving_16_32"]) and np.isnan(scores["psnr_moving_over_32"])


def test_the_recipe_learns_and_the_same_command_resumes(shards, tmp_path):
    recipe = TokenizerRecipe(pixels=64 * 96 * 16, lr=1e-2, warm_up=5, ema=0.9)
    how = {"config": "tiny", "recipe": recipe, "progress": False, "precision": "fp32"}
    path = train_tokenizer(shards, tmp_path / "run", steps=120, **how)
    model, (_, meta) = Tokenizer.load(path), load_model(path)
    assert meta["config"]["channels"] == 8 and meta["recipe"]["steps"] == 120
    assert meta["data"] and meta["scores"]["psnr"] > 15
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-2]["square"] < 0.7 * log[0]["square"]
    assert (tmp_path / "run" / "sheet-0000120.png").exists()
    frames = torch.from_numpy(shapes_clip(3).views["front"])[None]
    with torch.no_grad():
        latents = model.encode(frames)[0].flatten(0, 3)
    assert 0.5 < latents.std() < 2 and latents.mean().abs() < 0.5
    polished = train_tokenizer(shards, tmp_path / "polished", steps=10, start_from=path, decoder_only=True,
                               **how)
    with torch.no_grad():
        same = Tokenizer.load(polished).encode(frames)[0].flatten(0, 3)
    assert (same - latents).abs().max() < 1e-4  # its latents are the same, its pictures are not
    assert load_model(polished)[1]["scores"] != meta["scores"]
    before = path.read_bytes()
    assert train_tokenizer(shards, tmp_path / "run", steps=120, **how) == path  # nothing left to do
    assert load_model(path)[1]["scores"] == meta["scores"] and len(path.read_bytes()) == len(before)


def test_recipe_refuses_what_makes_no_sense(shards, tmp_path):
    with pytest.raises(BadInput, match="no tokenizer config"):
        train_tokenizer(shards, tmp_path, steps=1, config="s8")
    with pytest.raises(BadInput, match="to begin from"):
        train_tokenizer(shards, tmp_path, steps=1, decoder_only=True)
    with pytest.raises(BadData):
        train_tokenizer(tmp_path / "none", tmp_path, steps=1)
