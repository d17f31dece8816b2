"""Looking at a model while it trains: dreams of a few prompts as one contact sheet."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path

import numpy as np

from reverie.core.clip import Line
from reverie.core.errors import BadData
from reverie.data.sheet import contact_sheet
from reverie.world import World

PROMPTS = (
    "a red ball is dropped on the lawn", "a blue box slides from left to right in a room",
    "a person in green walks in from the right", "a yellow cone and a purple cylinder",
    "a dog walks across the table top", "一个红球落下",
)
SECONDS = 4.0


def dream_sheet(model, tokenizer, vectors, size: tuple[int, int], path: Path) -> None:
    """Write a contact sheet of PROMPTS, dreamt by a transformer in training (on the CPU)."""
    world = World(copy.deepcopy(tokenizer).cpu(), copy.deepcopy(model).cpu().eval(), {"size": size}, "", "training",
                  vectors=vectors)
    rows, captions = [], []
    for text in PROMPTS:
        with contextlib.suppress(BadData):  # exported token arrays may lack it
            blocks = list(world.imagine([Line(0.0, text)], seconds=SECONDS, seed=1, takes=1))
            rows.append(np.concatenate([block.frames for block in blocks]))
            names = dict.fromkeys((row["thing"], f"{row['colour']} {row['kind']}")
                                  for block in blocks for row in block.things)
            captions.append(f"{text}  ->  " + ", ".join(name for _, name in names))
    if rows:
        part = path.with_name(f".{path.name}")
        contact_sheet(rows, captions).save(part, "PNG")
        part.replace(path)
