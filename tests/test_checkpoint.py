"""Model files: what goes in comes out, and whatever is wrong is one clear line."""

from __future__ import annotations

import pytest
import torch

from reverie.core.errors import BadInput, BadWeights, CannotWrite
from reverie.model.checkpoint import content_hash, load_into, load_model, save_model

META = {"kind": "test", "config": {"width": 3}, "scores": {"psnr": 31.5}}


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {"a.weight": torch.randn(64, 32, generator=generator),
            "a.bias": torch.randn(64, generator=generator),
            "b.weight": torch.randn(8, 4, 3, 3, generator=generator), "count": torch.tensor(7)}


def test_round_trip_keeps_matrices_in_bf16_and_vectors_exactly(tmp_path):
    path = tmp_path / "m.safetensors"
    assert save_model(path, tensors(), META) == [path]
    loaded, meta = load_model(path)
    assert meta == META
    assert set(loaded) == set(tensors()) and loaded["count"].item() == 7
    for name, tensor in tensors().items():
        assert loaded[name].dtype == (torch.int64 if name == "count" else torch.float32)
        kept = tensor.bfloat16().float() if tensor.ndim >= 2 else tensor
        assert torch.equal(loaded[name], kept)
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]


def test_fp32_option_is_exact_and_same_content_has_the_same_hash(tmp_path):
    a, b = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_model(a, tensors(), META, half=False)
    save_model(b, tensors(), META, half=False)
    assert all(torch.equal(t, tensors()[name]) for name, t in load_model(a)[0].items())
    assert content_hash(a) == content_hash(b) and len(content_hash(a)) == 12
    save_model(b, tensors(), {**META, "kind": "other"}, half=False)
    assert content_hash(a) != content_hash(b)


def test_a_large_model_is_split_and_read_as_one(tmp_path):
    path = tmp_path / "m.safetensors"
    files = save_model(path, tensors(), META, shard_bytes=64 * 1024 + 4500)
    assert [f.name for f in files] == ["m-1-of-2.safetensors", "m-2-of-2.safetensors"]
    loaded, meta = load_model(path)
    assert meta == META and set(loaded) == set(tensors())
    whole = content_hash(path)
    save_model(path, tensors(), META)  # one file again: the shards go
    assert [f.name for f in tmp_path.iterdir()] == ["m.safetensors"] and content_hash(path) != whole


def test_shards_that_are_missing_or_of_another_model_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    first, second = save_model(path, tensors(), META, shard_bytes=64 * 1024 + 4500)
    other = tmp_path / "o.safetensors"
    save_model(other, {n: t + 1 for n, t in tensors().items()}, META, shard_bytes=64 * 1024 + 4500)
    kept = second.read_bytes()
    second.write_bytes((tmp_path / "o-2-of-2.safetensors").read_bytes())
    with pytest.raises(BadWeights, match="another model"):
        load_model(path)
    second.write_bytes(kept)
    first.unlink()
    with pytest.raises(BadWeights, match="get the rest"):
        load_model(path)


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.999])
def test_truncated_file(tmp_path, keep):
    path = tmp_path / "m.safetensors"
    save_model(path, tensors(), META)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(BadWeights) as raised:
        load_model(path)
    assert "\n" not in str(raised.value) and "m.safetensors" in str(raised.value)


def test_missing_foreign_and_wrongly_named_files(tmp_path):
    from safetensors.torch import save_file
    with pytest.raises(BadWeights, match="no model at"):
        load_model(tmp_path / "none.safetensors")
    with pytest.raises(BadWeights, match="no model at"):
        content_hash(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("this is no model, whatever its name says" * 10)
    with pytest.raises(BadWeights, match="damaged"):
        load_model(tmp_path / "text.safetensors")
    save_file(tensors(), tmp_path / "foreign.safetensors")
    with pytest.raises(BadWeights, match="not a model of this program"):
        load_model(tmp_path / "foreign.safetensors")
    with pytest.raises(BadInput):
        load_model(tmp_path / "model.bin")


def test_unwritable_place_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWrite):
        save_model(tmp_path / "file" / "m.safetensors", tensors(), META)
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


def test_load_into_is_strict():
    module = torch.nn.Linear(3, 2)
    good = {n: t + 1 for n, t in module.state_dict().items()}
    load_into(module, good, "here")
    assert torch.equal(module.weight, good["weight"])
    with pytest.raises(BadWeights, match="without bias"):
        load_into(module, {"weight": good["weight"]}, "here")
    with pytest.raises(BadWeights, match="unknown"):
        load_into(module, {**good, "more": good["bias"]}, "here")
    with pytest.raises(BadWeights, match="must be"):
        load_into(module, {**good, "bias": torch.zeros(3)}, "here")
    with pytest.raises(BadWeights, match="not finite"):
        load_into(module, {**good, "bias": torch.tensor([0.0, float("nan")])}, "here")
