"""What a model says of itself, asked without loading it, and without torch in the process that answers clients."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from reverie.core.errors import BadInput, BadWeights, ReverieError
from reverie.foreign.finding import is_foreign

WEIGHTS = Path(__file__).parent.parent / "weights"
_MAX_HEADER = 16 << 20  # bytes of a model file's header


@dataclass(frozen=True)
class ModelFacts:
    """Of the model that is served. size: (H, W); foreign: somebody else's, through the package diffusers."""

    name: str
    size: tuple[int, int]
    fps: float
    created: int
    foreign: bool = False


@lru_cache
def model_facts(model: str) -> ModelFacts:
    """From the header of the model's file; of somebody else's, what foreign/telling.py says in a process of its own.
    Raises BadInput, BadWeights, ReverieError."""
    if is_foreign(model):
        return _of_foreign(model)
    folder = WEIGHTS if model == "base" else Path(model)
    if not folder.is_dir():
        raise BadInput(f"no model {model!r}: 'base', a folder with tokenizer.safetensors and transformer.safetensors, "
                       "or somebody else's (a folder with a model_index.json, or OWNER/NAME on the hub)")
    files = sorted(folder.glob("transformer*.safetensors"))
    if not files or not any(folder.glob("tokenizer*.safetensors")):
        raise BadWeights(f"{folder} has no transformer.safetensors and tokenizer.safetensors")
    try:
        with open(files[0], "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _MAX_HEADER:
                raise ValueError("its header is too long")
            meta = json.loads(json.loads(file.read(length))["__metadata__"]["reverie"])["meta"]
        height, width = meta.get("size", (128, 128))
        name = "base" if model == "base" else folder.resolve().name
        return ModelFacts(name, (int(height), int(width)), float(meta.get("fps", 24.0)), int(files[0].stat().st_mtime))
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise BadWeights(f"{files[0]} is no model of this program, or it is damaged ({error})") from None


def _of_foreign(model: str) -> ModelFacts:
    done = subprocess.run([sys.executable, "-m", "reverie.foreign.telling", model], capture_output=True, text=True)
    if done.returncode:
        raise ReverieError((done.stderr.strip().splitlines() or [f"{model} could not be asked"])[-1])
    said = json.loads(done.stdout.splitlines()[-1])
    folder = Path(said["folder"])
    name = folder.resolve().name if Path(model).is_dir() else model
    return ModelFacts(name, tuple(said["size"]), said["fps"], int(folder.stat().st_mtime), foreign=True)
