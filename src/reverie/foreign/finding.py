"""Where other people's models are: folders, the hub's cache, the hub; and whether all of a model is there."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import re
import struct
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from reverie.core.errors import BadWeights, ReverieError

INDEX = "model_index.json"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
WEIGHTS = (".safetensors", ".bin")
SAMPLES, SAMPLE = 16, 1 << 16  # of a weight file's bytes, what its fingerprint is taken of
NEEDS = 'other people\'s models need diffusers: pip install "reverie[diffusers]"'


def is_foreign(model: Any) -> bool:
    """Whether ``model`` names a diffusers pipeline: a folder with a model_index.json, or owner/name on the hub."""
    if not isinstance(model, (str, Path)) or str(model) == "base":
        return False
    try:
        folder = Path(model)
        if folder.is_dir():
            return (folder / INDEX).exists()
    except (OSError, ValueError):
        return False
    return bool(HUB_NAME.fullmatch(str(model)))


def locate(model: str | Path, tell: Callable[[str], None] = lambda text: None) -> Path:
    """The folder of a model: itself, or its snapshot in the hub's cache, fetched if it is not there yet.

    Raises ReverieError where it can be had neither way.
    """
    folder = Path(model)
    if folder.is_dir():
        return folder
    diffusers = import_diffusers()
    name = str(model)
    with contextlib.suppress(Exception):  # it is not in the cache, or not all of it
        found = Path(diffusers.DiffusionPipeline.download(name, local_files_only=True))
        parts(found)
        return found
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    if HF_HUB_OFFLINE:
        raise ReverieError(f"the model {name} is not in the cache here, or not all of it, and the hub may not be asked "
                           "(HF_HUB_OFFLINE is set): check the name, or give a folder")
    tell(f"{name} is not in the cache: it is fetched from the hub now")

    try:
        if sys.stderr.isatty():
            enable_progress_bars()
        return Path(diffusers.DiffusionPipeline.download(name))
    except Exception as error:
        raise ReverieError(f"the model {name} is not in the cache here and cannot be fetched ({reason(error)}): check "
                           "the name and the network, or give a folder") from error
    finally:
        disable_progress_bars()


def import_diffusers() -> Any:
    """The package diffusers, made quiet: this program's stderr is for its own lines. Raises ReverieError."""
    try:
        import diffusers
        import transformers
    except ImportError as error:
        raise ReverieError(f"{NEEDS} ({reason(error)})") from error
    for package in (diffusers.utils.logging, transformers.utils.logging):
        package.set_verbosity_error()
        package.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    return diffusers


def reason(error: BaseException) -> str:
    """An error of a library in a few words: its kind, and the first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return f"{type(error).__name__}: {textwrap.shorten(lines[0], 160, placeholder=' ...')}"


def read_index(folder: Path) -> dict:
    """A model's model_index.json. Raises BadWeights."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadWeights(f"{folder / INDEX} cannot be read ({reason(error)})") from error
    if not isinstance(index, dict) or not index.get("_class_name"):
        raise BadWeights(f"{folder / INDEX} names no pipeline class (_class_name)")
    return index


def pipeline_class(folder: Path) -> type:
    """The class of diffusers that the model in ``folder`` belongs to. Raises as ``check``."""
    name = _class_name(folder)
    return getattr(import_diffusers(), name)


def check(folder: Path) -> None:
    """Raise BadWeights for a model of an unknown class, or one that is not whole; without diffusers, whose import takes
    seconds, but for ReverieError where it is not installed."""
    _class_name(folder)
    parts(folder)


def _class_name(folder: Path) -> str:
    name = read_index(folder)["_class_name"]
    if not isinstance(name, str):
        raise BadWeights(f"{folder} brings a pipeline class of its own, {name[-1]}: code that comes with weights is "
                         "not run")
    package = importlib.util.find_spec("diffusers")
    if package is None or package.origin is None:
        raise ReverieError(NEEDS)
    listed = Path(package.origin).read_text(encoding="utf-8")  # it names all that it has, and imports none of it
    if not re.fullmatch(r"\w+Pipeline", name) or f'"{name}"' not in listed:
        raise BadWeights(f"{folder} is a {name}, which diffusers {importlib.metadata.version('diffusers')} does not "
                         "know: a newer diffusers may")
    return name


def parts(folder: Path) -> dict[str, tuple[str, str]]:
    """A model's parts: name -> (library, class), those that are not there by intention left out. Raises BadWeights
    where a part's folder, config or weights are missing or cut off."""
    found = {}
    for name, about in read_index(folder).items():
        if name.startswith("_") or not (isinstance(about, list) and len(about) == 2) or about[0] is None:
            continue
        inside = folder / name
        if not inside.is_dir():
            raise BadWeights(f"{folder} has no {name}/ ({about[1]}): part of the model is missing")
        found[name] = (str(about[0]), str(about[1]))
        config = inside / "config.json"
        for file in weight_files(inside):
            parameters(file)
        if config.exists() and not weight_files(inside):
            raise BadWeights(f"{inside} has no weights (.safetensors): part of the model is missing")
    return found


def variant(folder: Path) -> str | None:
    """The variant (as "fp16") in whose name weights are, where they are there in no other."""
    for path in sorted(folder.glob("*/*.safetensors")):
        marked = re.search(r"\.(fp16|bf16|fp8)[.-]", path.name)
        if marked and all(re.search(rf"\.{marked[1]}[.-]", each.name) for each in path.parent.glob("*.safetensors")):
            return marked[1]
    return None


def weight_files(folder: Path) -> list[Path]:
    """The weight files of one part that will be loaded. Raises BadWeights where its index names one that is missing."""
    for name in sorted(folder.glob("*.safetensors.index.json"), key=lambda path: path.name.count(".")):
        try:
            listed = sorted(set(json.loads(name.read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise BadWeights(f"{name} cannot be read ({reason(error)})") from error
        for each in listed:
            if not (folder / each).exists():
                raise BadWeights(f"{folder} has no {each}: part of the model is missing")
        return [folder / each for each in listed]
    for ending in WEIGHTS:
        files = [path for path in folder.glob(f"*{ending}") if "training" not in path.name]
        plain = [path for path in files if not re.search(r"\.(fp16|bf16|fp8)[.-]", path.name)]
        if files:
            return sorted(plain or files)
    return []


def parameters(file: Path) -> int:
    """How many numbers a weight file holds, from its header alone. Raises BadWeights for one that is cut off."""
    if file.suffix != ".safetensors":
        return file.stat().st_size // 2
    try:
        length = file.stat().st_size
        with open(file, "rb") as opened:
            size = struct.unpack("<Q", opened.read(8))[0]
            if size > min(length, 100 << 20):
                raise ValueError("its header does not fit in it")
            header = json.loads(opened.read(size))
        ends = [about["data_offsets"][1] for name, about in header.items() if name != "__metadata__"]
        if max(ends, default=0) + size + 8 > length:
            raise ValueError("it is cut off")
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise BadWeights(f"{file} is damaged ({reason(error)})") from error
    shapes = [about["shape"] for name, about in header.items() if name != "__metadata__"]
    count = 0
    for shape in shapes:
        product = 1
        for side in shape:
            product *= side
        count += product
    return count


def fingerprint(folder: Path, *more: Path) -> str:
    """What tells one set of weights from another: 16 hex digits, of names, lengths, heads and samples of the files."""
    mark = hashlib.sha256()
    for root in (folder, *more):
        files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
        for path in files:
            if path.suffix not in (*WEIGHTS, ".json"):
                continue
            length = path.stat().st_size
            mark.update(f"{path.name if root is path else path.relative_to(root).as_posix()} {length}".encode())
            with open(path, "rb") as opened:
                for k in range(SAMPLES if length > SAMPLES * SAMPLE else 1):
                    opened.seek(length // SAMPLES * k)
                    mark.update(opened.read(SAMPLE if length > SAMPLES * SAMPLE else length))
    return mark.hexdigest()[:16]


def here() -> Iterator[tuple[str, Path]]:
    """(name, folder) of the models on this machine: in the hub's cache, and in folders of the working folder."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    for store in sorted(cache.glob("models--*")):
        newest = sorted(store.glob(f"snapshots/*/{INDEX}"), key=lambda path: path.stat().st_mtime)
        if newest:
            yield store.name.removeprefix("models--").replace("--", "/"), newest[-1].parent
    for pattern in (INDEX, f"*/{INDEX}", f"models/*/{INDEX}"):
        for path in sorted(Path().glob(pattern)):
            yield str(path.parent), path.parent
