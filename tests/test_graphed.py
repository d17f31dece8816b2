"""Passes as CUDA graphs: with something on the CPU that is captured and made again in the same place, as a graph is."""

import numpy as np
import pytest
import torch
from fake_gpu import FakeGPU, move
from tiny_world import tiny_world

from reverie.core.clip import Line
from reverie.model import graphed
from reverie.model.graphed import Graphed, padded

FEW = {"sampling": {"opening_steps": 2, "things_steps": 2, "candidates": 2}}
SCRIPT = [Line(0.0, "a red ball falls"), Line(0.3, "a blue box slides in")]
PICTURE = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8)


def frames(world, **asked) -> np.ndarray:
    return np.concatenate([block.frames for block in world.imagine(SCRIPT, **{"seconds": 0.6, "seed": 3} | asked)])


def standing(run):
    """What is made again lands where it was made first, from what is where it was then."""
    results = [x.clone() for x in run()]

    def again() -> None:
        for result, fresh in zip(results, run(), strict=True):
            result.copy_(fresh)

    return again, results


@pytest.mark.parametrize("asked", [{}, {"past": PICTURE}, {"loop": True, "size": (64, 96)}],
                         ids=["text", "image", "loop"])
def test_it_dreams_as_the_plain_path_does(asked):
    said, captured = [], []
    world = tiny_world(**FEW)
    world.transformer.runner = Graphed(world.transformer, said.append,
                                       capture=lambda run: captured.append(run) or standing(run))
    apart = np.abs(frames(tiny_world(**FEW), **asked).astype(int) - frames(world, **asked))
    assert not said and world.transformer.runner.trusted and apart.max() <= 1
    assert 0 < len(captured) <= 24  # one for each size, and not for each pass


def test_a_gpu_gets_it_and_all_it_is_given_is_there(monkeypatch):
    said, world = [], tiny_world(**FEW)
    move(world.transformer)
    move(world.tokenizer)
    world.transformer.runner = Graphed(world.transformer, said.append, capture=standing)
    with FakeGPU():
        made = frames(world)
    assert not said and np.abs(made.astype(int) - frames(tiny_world(**FEW))).max() <= 1
    monkeypatch.setenv(graphed.SWITCH, "0")
    assert not graphed.wanted()


def test_what_cannot_be_captured_or_goes_astray_is_not_used():
    """Here there is no CUDA; and a graph whose results are others'."""
    for capture, why in ((None, "without CUDA graphs: "), (lambda run: (lambda: None, [x + 1 for x in run()]),
                                                              "differs by")):
        said, world = [], tiny_world(**FEW)
        world.transformer.runner = Graphed(world.transformer, said.append, capture=capture)
        assert np.array_equal(frames(world), frames(tiny_world(**FEW)))
        assert len(said) == 1 and why in said[0]


def test_few_graphs_are_kept(monkeypatch):
    monkeypatch.setattr(graphed, "KEPT", 2)
    world = tiny_world(**FEW)
    world.transformer.runner = runner = Graphed(world.transformer, capture=standing)
    assert np.abs(frames(world).astype(int) - frames(tiny_world(**FEW))).max() <= 1 and len(runner.graphs) == 2


def test_the_past_is_padded_to_few_sizes():
    assert padded("key0", torch.ones(1, 2, 3, 4)).shape == (1, 2, 128, 4)
    own = padded("own5", torch.ones(1, 2, 129, dtype=torch.bool))
    assert own.shape == (1, 2, 256) and own.sum() == 258 and own.dtype == torch.bool
    assert padded("value1", torch.ones(1, 2, 128, 4)).shape[2] == 128
    assert padded("words", torch.ones(1, 7)).shape[1] == 7
