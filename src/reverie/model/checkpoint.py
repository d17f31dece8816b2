"""Model files: safetensors with everything that is known of the model in the header.

A model is one file ``name.safetensors``, or, when that would be larger than 15 MiB, the files
``name-1-of-2.safetensors``, ``name-2-of-2.safetensors``... that belong together. Matrices are kept
in bfloat16, vectors (biases, scales, latent statistics) in float32: they are few and they matter.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from reverie.core.errors import BadInput, BadWeights, CannotWrite

FORMAT = 1
SHARD_BYTES = 15 * 2**20
_HEADER_ROOM = 64 * 1024  # what names, shapes and meta may take of a shard


def save_model(path: str | Path, tensors: dict[str, Tensor], meta: dict, *, half: bool = True,
               shard_bytes: int = SHARD_BYTES) -> list[Path]:
    """Write tensors and meta to ``path`` (``.../name.safetensors``) and return the files written.

    meta: anything JSON can hold: kind of model, config, recipe, data hash, commit, scores, version.
    half: matrices as bfloat16 instead of float32. Whatever stood under the name before is replaced.
    Raises CannotWrite, or BadInput when the path does not end in .safetensors.
    """
    path = _model_path(path)
    stored = {name: _stored(tensor, half) for name, tensor in sorted(tensors.items())}
    shards = _split(stored, max(shard_bytes - _HEADER_ROOM, 1))
    names = _shard_paths(path, len(shards))
    # The same mark in every shard: files of two different saves never pass for one model.
    mark = hashlib.sha256()
    for name, tensor in stored.items():
        mark.update(name.encode() + tensor.flatten().view(torch.uint8).numpy().tobytes())
    mark.update(json.dumps(meta, sort_keys=True).encode())
    header = {"format": FORMAT, "set": mark.hexdigest()[:16], "shards": len(shards), "meta": meta}
    stale = set(_files(path)) - set(names)
    temporary = [name.with_name(f".{name.name}.{os.getpid()}.part") for name in names]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for shard, part in zip(shards, temporary, strict=True):
            part.write_bytes(to_bytes(shard, metadata={"reverie": json.dumps(header)}))
        for part, name in zip(temporary, names, strict=True):
            os.replace(part, name)
        for old in stale:
            old.unlink()
    except OSError as error:
        raise CannotWrite(f"cannot write the model {path}: {error.strerror or error}") from None
    finally:
        for part in temporary:
            with contextlib.suppress(OSError):
                part.unlink()
    return names


def load_model(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Read a model: its tensors (floating ones as float32) and its meta.

    path: ``.../name.safetensors``, also where the model lies there as ``name-1-of-2`` and so on.
    Raises BadWeights when a file is missing, truncated, or not a model of this program.
    """
    path = _model_path(path)
    files = _files(path)
    if not files:
        raise BadWeights(f"no model at {path}: check the path, or train one")
    tensors: dict[str, Tensor] = {}
    header: dict | None = None
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                text = (opened.metadata() or {}).get("reverie")
                for name in opened.keys():  # noqa: SIM118  (safe_open is no dict)
                    tensors[name] = opened.get_tensor(name)
        except (SafetensorError, OSError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BadWeights(f"{file} is damaged or no safetensors file ({reason}): get it again") from None
        header = _checked_header(file, text, header, len(files))
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}, header["meta"]


def content_hash(path: str | Path) -> str:
    """Twelve hex digits that name a model by the bytes of its files. Raises BadWeights if missing."""
    files = _files(_model_path(path))
    if not files:
        raise BadWeights(f"no model at {path}: check the path, or train one")
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def load_into(module: torch.nn.Module, tensors: dict[str, Tensor], where: str | Path) -> None:
    """Load tensors into a module, every name and shape as it must be.

    where: what the message names when they do not fit. Raises BadWeights.
    """
    expected = module.state_dict()
    missing = sorted(set(expected) - set(tensors))
    surplus = sorted(set(tensors) - set(expected))
    if missing or surplus:
        example = f"without {missing[0]}" if missing else f"with an unknown {surplus[0]}"
        raise BadWeights(f"{where} does not fit its config: it comes {example} "
                         f"({len(missing)} missing, {len(surplus)} unknown)")
    for name, tensor in expected.items():
        if tensor.shape != tensors[name].shape:
            raise BadWeights(f"{where} does not fit its config: {name} is {tuple(tensors[name].shape)} "
                             f"and must be {tuple(tensor.shape)}")
        if tensors[name].is_floating_point() and not bool(tensors[name].isfinite().all()):
            raise BadWeights(f"{where} holds values that are not finite in {name}: get it again")
    module.load_state_dict(tensors)


def _model_path(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".safetensors":
        raise BadInput(f"a model file ends in .safetensors, not {path.name!r}")
    return path


def _stored(tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        tensor = tensor.to(torch.bfloat16 if half and tensor.ndim >= 2 else torch.float32)
    return tensor.contiguous().clone()


def _split(tensors: dict[str, Tensor], room: int) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{}]
    used = 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        if shards[-1] and used + size > room:
            shards.append({})
            used = 0
        shards[-1][name] = tensor
        used += size
    return shards


def _shard_paths(path: Path, count: int) -> list[Path]:
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{i + 1}-of-{count}.safetensors") for i in range(count)]


def _files(path: Path) -> list[Path]:
    """The files that make up the model of that name: the whole one, or else its shards in order."""
    if path.is_file():
        return [path]
    found = path.parent.glob(f"{path.stem}-*-of-*.safetensors") if path.parent.is_dir() else []
    return sorted(found, key=lambda file: (len(file.name), file.name))


def _checked_header(file: Path, text: str | None, first: dict | None, files: int) -> dict:
    try:
        header = json.loads(text or "")
        known = header["format"] == FORMAT
        mark, shards, _ = header["set"], header["shards"], header["meta"]
    except (ValueError, KeyError, TypeError):
        raise BadWeights(f"{file} is not a model of this program: its header says nothing of one") from None
    if not known:
        raise BadWeights(f"{file} is of format {header['format']}, this program reads {FORMAT}: update it")
    if shards != files:
        raise BadWeights(f"{file} is one of {shards} files and {files} are there: get the rest")
    if first is not None and first["set"] != mark:
        raise BadWeights(f"{file} belongs to another model than the files beside it: get them again")
    return header
