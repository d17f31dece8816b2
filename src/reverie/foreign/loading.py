"""Making pipelines: a bare one, without weights, that can be asked; and the whole one, as memory.py plans it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reverie.core.errors import BadInput, BadWeights, ReverieError
from reverie.foreign.finding import import_diffusers, parts, pipeline_class, reason, variant

if TYPE_CHECKING:
    from reverie.foreign.memory import Plan

ASKED = ("vae", "transformer", "transformer_2", "unet")  # the parts whose configs say what a pipeline can do
LORA = ".safetensors"


def bare(folder: Path) -> Any:
    """The pipeline in ``folder`` without weights, text encoders and tokenizers: it takes no memory and answers
    asking.ask. Raises BadWeights."""
    diffusers = import_diffusers()
    cls, made = pipeline_class(folder), {}
    for name, (library, kind) in parts(folder).items():
        part = getattr(diffusers, kind, None) if library == "diffusers" and name in ASKED else None
        if part is not None:
            made[name] = _empty(part, folder / name)
    takes = _init_names(cls)
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    plain = {name: value for name, value in index.items() if name in takes and not isinstance(value, list)}
    try:
        return cls(**{**dict.fromkeys(takes), **plain, **made})
    except Exception:  # one that will not be made without its other parts still has its class and these
        pipe = cls.__new__(cls)
        pipe.__dict__.update({**dict.fromkeys(takes), **made})
        return pipe


def _empty(part: type, folder: Path) -> Any:
    """A network on the meta device."""
    from accelerate import init_empty_weights

    try:
        with init_empty_weights():
            return part.from_config(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except Exception as error:
        raise BadWeights(f"{folder / 'config.json'} does not fit {part.__name__} ({reason(error)})") from error


def _init_names(cls: type) -> list[str]:
    import inspect

    return [name for name, about in inspect.signature(cls.__init__).parameters.items()
            if name != "self" and about.kind is not inspect.Parameter.VAR_KEYWORD]


def load(folder: Path, plan: Plan, lora: list[Path] | None = None) -> Any:
    """The pipeline in ``folder`` with its weights, where ``plan`` has them. Nothing is fetched.

    Raises BadWeights for files that are missing, damaged or do not fit, BadInput for LoRA that it cannot take.
    """
    cls = pipeline_class(folder)
    options = {"dtype": plan.dtype, "local_files_only": True, "variant": variant(folder), **plan.quantised()}
    try:
        pipe = cls.from_pretrained(folder, **options)
    except MemoryError:
        raise
    except Exception as error:
        raise BadWeights(f"the model in {folder} cannot be loaded: {reason(error)}") from error
    pipe.set_progress_bar_config(disable=True)
    for path in lora or ():
        _add_lora(pipe, path)
    plan.put(pipe)
    return pipe


def check_lora(path: str | Path) -> Path:
    """``path`` where it is a .safetensors file or a folder with exactly one. Raises BadInput."""
    path = Path(path)
    if path.is_dir():
        files = sorted(path.glob(f"*{LORA}"))
        if len(files) != 1:
            raise BadInput(f"the LoRA folder {path} holds {len(files)} {LORA} files: it should hold one, or name the "
                           "file")
        return files[0]
    if path.suffix != LORA or not path.is_file():
        raise BadInput(f"there is no LoRA {path}: give a {LORA} file, or a folder with one")
    return path


def _add_lora(pipe: Any, path: Path) -> None:
    if not hasattr(pipe, "load_lora_weights"):
        raise BadInput(f"{type(pipe).__name__} takes no LoRA")
    before = _adapters(pipe)
    try:
        pipe.load_lora_weights(str(path.parent), weight_name=path.name, local_files_only=True)
    except ImportError as error:
        raise ReverieError(f'LoRA needs the package peft: pip install "reverie[diffusers]" ({reason(error)})') from None
    except Exception as error:
        raise BadInput(f"the LoRA {path} does not fit {type(pipe).__name__}: {reason(error)}") from error
    if len(_adapters(pipe)) == len(before):
        raise BadInput(f"the LoRA {path} changes nothing in {type(pipe).__name__}: it was made for another model")
    pipe.set_adapters(sorted(_adapters(pipe)))


def _adapters(pipe: Any) -> set[str]:
    return {name for names in pipe.get_list_adapters().values() for name in names}
