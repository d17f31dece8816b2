"""Things turned, laid down and tinted at random, and drawn by the canvas: what a world's own staging seldom shows.

A world stands its screens before its cameras and lays few dominoes on their sides; dreams do as they like. Who is to
read both must have seen every kind from every side.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from reverie.core.vocabulary import COLOURS, MAX_THINGS
from reverie.model import things as th
from reverie.model.block import picture
from reverie.model.contact import reaches
from reverie.model.outline import sights
from reverie.model.solids import Table
from reverie.model.tokenizer import Tokenizer

TURNED, LAID, TINTED = 0.5, 0.3, 0.3  # shares of things that are turned, laid on their sides, and given another colour
UPRIGHT, LEVEL = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 0]]), torch.tensor([[0.0, 0, 0], [0, 0, -1], [0, 1, 0]])
LIE = ("box", "domino", "cone", "cylinder", "plank", "chair", "table", "wall")  # what can be laid on its side


def posed(tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tokens (T, S, WIDTH) with some of their things turned about the vertical, laid on their sides and of other
    colours: each one all the time, and no nearer to the ground than it was."""
    out = tokens.copy()
    things = torch.from_numpy(out[:, :MAX_THINGS])
    turned, laid, tinted = (torch.from_numpy(rng.random(MAX_THINGS) < share) for share in (TURNED, LAID, TINTED))
    angle = torch.from_numpy(rng.uniform(-math.pi, math.pi, MAX_THINGS)) * turned
    side = torch.from_numpy(rng.choice([-1.0, 1.0], MAX_THINGS)) * laid * math.pi / 2
    turn = th.rotations_of(things)  # T S 2 3 3
    side = side * th.of_kind(things, LIE).any(0)
    spin = torch.matrix_exp(angle[:, None, None] * UPRIGHT) @ torch.matrix_exp(side[:, None, None] * LEVEL)
    new = spin.to(turn)[None, :, None] @ turn
    moved, path = th.at_rotations(things, new), th.positions_of(things).clone()
    path[..., 2] += (reaches(moved) - reaches(things))[..., 2:]
    moved = th.at_positions(moved, path)
    colour = torch.nn.functional.one_hot(torch.from_numpy(rng.integers(len(COLOURS), size=MAX_THINGS)),
                                         th.THING["colour"].stop - th.THING["colour"].start) * th.ONE_HOT
    part = moved[..., th.THING["colour"]]
    moved[..., th.THING["colour"]] = torch.where(tinted[:, None], colour.to(part), part)
    out[:, :MAX_THINGS] = torch.where(things[..., :1] > 0, moved, things).numpy()
    return out


def boxes_of(tokens: np.ndarray, table: Table, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Of each thing in pictures of (H, W) pixels its box (T F, S, 4) in pixels, NaN where it has none, and the share
    (T F, S) of it that no box before it covers, 0 where it is out of the picture."""
    found = sights(tokens, table, *size)
    return np.where(found.seen[..., None], found.whole, np.nan), np.where(found.seen, found.visible, 0.0)


@torch.no_grad()
def drawn_of(tokens: np.ndarray, tokenizer: Tokenizer, size: tuple[int, int]) -> np.ndarray:
    """Frames uint8 (T F, H, W, 3) as the tokenizer's canvas draws tokens (T, S, WIDTH)."""
    device = next(tokenizer.parameters()).device
    cells = [side // tokenizer.config.spatial for side in size]
    nothing = torch.zeros(1, len(tokens), *cells, tokenizer.config.channels, device=device)
    made, _ = tokenizer.decode(nothing, None, torch.from_numpy(tokens[None]).to(device), level=1.0)
    return picture(made[0])
