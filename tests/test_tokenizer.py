"""The tokenizer: shapes, streaming without a seam, files, and that it learns."""

from __future__ import annotations

import pytest
import torch

from reverie.core.errors import BadInput, BadWeights
from reverie.model.checkpoint import save_model
from reverie.model.tokenizer import (
    PRESETS,
    Tokenizer,
    TokenizerConfig,
    flops_per_frame,
    from_patches,
    to_patches,
)
from reverie.train.losses import PooledError, tokenizer_loss


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
    moving = torch.zeros(1, 4, 8, 8, dtype=torch.bool)
    moving[..., :4, :] = True
    upper, lower = frames.clone(), frames.clone()
    upper[..., :4, :, :] = 0.2
    lower[..., 4:, :, :] = 0.2
    on_moving = tokenizer_loss(upper, frames, moving, edge=0.0)[0]
    beside = tokenizer_loss(lower, frames, moving, edge=0.0)[0]
    assert on_moving > 5 * beside
    loss, figures = tokenizer_loss(upper, frames, moving)
    assert figures["square_moving"] == pytest.approx(0.04) and figures["square"] == pytest.approx(0.02)
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
