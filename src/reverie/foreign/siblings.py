"""The pipeline of the same weights that takes a picture or a video: text-to-video models often have one.

It is looked for among the classes that live beside the model's own, by what they are made of and what their call takes,
and believed only when a trial of one step at the smallest size goes through: a denoiser that was not trained on
pictures has too few channels for them, and says so there.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

from reverie.foreign import asking, calling
from reverie.foreign.asking import DENOISERS, Abilities


def siblings(pipe: Any, parts: Collection[str] = ()) -> list[type]:
    """Other pipeline classes beside this one's that its parts are enough for; parts: others that it has, not loaded."""
    package = importlib.import_module(type(pipe).__module__.rpartition(".")[0])
    there = {name for name, part in pipe.components.items() if part is not None} | set(parts)
    found = []
    for name in sorted(name for name in dir(package) if name.endswith("Pipeline")):
        cls = getattr(package, name)
        if cls is type(pipe) or not inspect.isclass(cls) or "Modular" in name:
            continue
        optional = set(getattr(cls, "_optional_components", []))
        takes = inspect.signature(cls.__init__).parameters
        needed = {part for part, about in takes.items()
                  if part != "self" and about.default is inspect.Parameter.empty} - optional
        must_fit = [part for part in {*needed, *DENOISERS} & set(takes) if pipe.components.get(part) is not None]
        if needed <= there and all(_fits(cls, part, pipe.components[part]) for part in must_fit):
            found.append(cls)
    return found


def _fits(cls: type, name: str, part: Any) -> bool:
    """Whether the class's own word for this part, where it is a class, is kept."""
    wanted = inspect.signature(cls.__init__).parameters[name].annotation
    return not (inspect.isclass(wanted) and inspect.isclass(type(part))) or isinstance(part, wanted) or "Tokenizer" in \
        wanted.__name__ or "Scheduler" in wanted.__name__


def made_of(cls: type, pipe: Any) -> Any:
    """A pipeline of ``cls`` that shares all parts and settings of ``pipe`` that it takes; nothing is copied or cast."""
    takes = inspect.signature(cls.__init__).parameters
    told = {name: pipe.config[name] for name in takes if name in pipe.config and name not in pipe.components}
    told |= {name: part for name, part in pipe.components.items() if name in takes}
    new = cls(**told)
    new.set_progress_bar_config(disable=True)
    return new


def that_continues(pipe: Any, folder: Path | None, place: Callable[[Any], None]) -> tuple[Any, Abilities] | None:
    """The sibling that goes on from given frames, best one that takes video; None where there is none. place(pipe)
    lets it work where the weights are."""
    ranked = []
    for cls in siblings(pipe):
        if not _goes_on(cls):
            continue
        with contextlib.suppress(Exception):  # one that cannot be made of these parts is no sibling
            new = made_of(cls, pipe)
            able = asking.ask(new, folder)
            if able.image or able.past:
                ranked.append((not able.past, cls.__name__, new, able))
    for _, _, new, able in sorted(ranked, key=lambda each: each[:2]):
        if works(new, able, place):
            return new, able
    return None


def that_may_continue(pipe: Any, parts: Collection[str]) -> list[str]:
    """Names of the siblings that would go on from given frames, if the weights were made for it: no trial is made."""
    return [cls.__name__ for cls in siblings(pipe, parts) if _goes_on(cls)
            and {"image", "video", "conditions"} & set(asking.parameters(cls))]


def _goes_on(cls: type) -> bool:
    takes = asking.parameters(cls)
    return "prompt" in takes and ("strength" not in takes or "image" in takes)


def that_repaints(pipe: Any, folder: Path | None) -> tuple[Any, Abilities] | None:
    """The sibling that paints a video anew (video to video), None where there is none."""
    for cls in siblings(pipe):
        takes = asking.parameters(cls)
        if {"prompt", "video", "strength"} <= set(takes) and "image" not in takes:
            with contextlib.suppress(Exception):
                new = made_of(cls, pipe)
                return new, asking.ask(new, folder)
    return None


def works(pipe: Any, able: Abilities, place: Callable[[Any], None], *, end: bool = False) -> bool:
    """Whether one step of the smallest video goes through, from a grey picture; end: and towards one."""
    side = able.multiple * max(1, -(-32 // able.multiple))
    size = able.size if able.fixed_size else (side, side)
    grey = np.full((1 + able.step if able.past else 1, *size, 3), calling.GREY, np.uint8)
    wish = calling.Wish("", size, able.nearest_frames(2 * able.step + 1), able.fps, 0, 1, past=grey,
                        end=grey[0] if end else None)
    try:
        place(pipe)
        calling.run(pipe, able, wish)
    except (KeyboardInterrupt, MemoryError):
        raise
    except Exception:  # too few channels, a missing encoder: whatever it says, it cannot do it
        return False
    return True
