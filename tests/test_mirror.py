"""Clips as a mirror shows them, told with left and right exchanged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reverie.core.vocabulary import MAX_THINGS
from reverie.data.scenes import SCENES
from reverie.model import things as th
from reverie.train import mirror
from reverie.train.encode import action_vectors, true_tokens


@pytest.mark.parametrize("text, other", [
    ("a red ball rolls to the right", "a red ball rolls to the left"),
    ("Right of it a box slides leftwards", "left of it a box slides rightwards"),
    ("it swings from left to right, bright and upright", "it swings from left to right, bright and upright"),
    ("红球在蓝箱左边，往右滚", "红球在蓝箱右边，往左滚"), ("钟摆左右摆动，左摇右摆", "钟摆左右摆动，左摇右摆"),
    ("a dog walks in", "a dog walks in")])
def test_texts_say_the_other_side(text: str, other: str) -> None:
    assert mirror.other_side(text) == other


def test_a_mirror_shows_everything_on_the_other_side() -> None:
    scene = SCENES["lab"]
    seen = set()
    for seed in range(8):
        clip = scene.simulate(scene.plan(seed, 3.0, fps=24.0, split="train", size=(128, 128)))
        tokens = true_tokens(clip)
        other = mirror.mirrored(tokens)
        seen |= set(clip.truth.kinds)
        assert np.array_equal(mirror.mirrored(other), tokens)
        before, after = (th.place(t[None, :, :MAX_THINGS], th.cameras_of(t[None, :, th.CAMERA_TOKEN]))
                         for t in (torch.from_numpy(tokens), torch.from_numpy(other)))
        here = torch.from_numpy(tokens[None, :, :MAX_THINGS, 0] > 0)
        flip = torch.tensor([-1.0, 1.0, 1.0])
        assert torch.allclose(after[0][here], (before[0] * flip)[here], atol=1e-4)
        swap = torch.diag(flip) @ before[1] @ torch.diag(torch.tensor([1.0, -1.0, 1.0]))  # its own left is its right
        assert torch.allclose(after[1][here], swap[here], atol=1e-4)
    assert len(seen) > 5
    pan = action_vectors(np.tile(np.array([[30.0, 1, 30, 1, 1]], np.float32), (4, 1)), 4)
    assert np.allclose(mirror.ACTIONS * pan, pan * np.tile([-1, 1, -1, 1, 1], 4))
