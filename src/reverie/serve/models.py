"""What models say of themselves, asked without loading it, and without torch in the process that answers clients."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from reverie.core.errors import BadInput, BadWeights, ReverieError
from reverie.foreign.finding import check, is_foreign

WEIGHTS = Path(__file__).parent.parent / "weights"
_MAX_HEADER = 16 << 20  # bytes of a model file's header


@dataclass(frozen=True)
class ModelFacts:
    """Of a model that is served. name: the API's for it; given: the server's; size: (H, W); foreign: somebody else's,
    through the package diffusers."""

    name: str
    size: tuple[int, int]
    fps: float
    created: int
    foreign: bool = False
    given: str = "base"


def called(model: str) -> str:
    """The API's name for a model: its folder's, or its own on the hub."""
    return Path(model).resolve().name if model != "base" and Path(model).is_dir() else model


def chosen(facts: Sequence[ModelFacts], *names: str | None) -> ModelFacts:
    """The one that the first of these names means that means any, else the first one."""
    for name in names:
        for one in facts:
            if name and name in (one.name, one.given):
                return one
    return facts[0]


def model_facts(model: str) -> ModelFacts:
    """Of one model, as ``models_facts``."""
    return models_facts((model,))[0]


@lru_cache
def models_facts(models: tuple[str, ...]) -> tuple[ModelFacts, ...]:
    """From the header of each model's file; of somebody else's, what foreign/telling.py says in a process of its own.
    Raises BadInput, BadWeights, ReverieError."""
    names = [called(model) for model in models]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise BadInput(f"two of the models are called {twice}: rename a folder")
    own = {model: _of_own(model) for model in models if not is_foreign(model)}
    others = _of_foreign([model for model in models if model not in own])
    return tuple(own.get(model) or others[model] for model in models)


def _of_own(model: str) -> ModelFacts:
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
        return ModelFacts(called(model), (int(height), int(width)), float(meta.get("fps", 24.0)),
                          int(files[0].stat().st_mtime), given=model)
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise BadWeights(f"{files[0]} is no model of this program, or it is damaged ({error})") from None


def _of_foreign(models: list[str]) -> dict[str, ModelFacts]:
    if not models:
        return {}
    for folder in map(Path, models):
        if folder.is_dir():
            check(folder)  # what is wrong with it is said before the seconds that the import takes
    done = subprocess.run([sys.executable, "-m", "reverie.foreign.telling", *models], stdout=subprocess.PIPE, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or len(rows) != len(models):
        raise ReverieError(next((row["error"] for row in rows if "error" in row), f"{models[0]} could not be asked"))
    found = {}
    for model, said in zip(models, rows, strict=True):
        found[model] = ModelFacts(called(model), tuple(said["size"]), said["fps"],
                                  int(Path(said["folder"]).stat().st_mtime), foreign=True, given=model)
    return found
