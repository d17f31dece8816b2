"""A dream on a GPU: no tensor is made in the wrong place, and it is the dream that the CPU has."""

import numpy as np
import pytest
import torch
from fake_gpu import GPU, FakeGPU, mark, move
from tiny_world import tiny_world

from reverie.core.clip import Line
from reverie.core.errors import BadInput
from reverie.core.moves import parse_moves
from reverie.world import World, step_together

SCRIPT = [Line(0.0, "a red ball falls"), Line(0.3, "a blue box slides in")]
PICTURE = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8)
ASKED = {
    "text": {"moves": parse_moves("orbit left 30"), "actions": [None, {"pan": 10.0}]}, "image": {"past": PICTURE},
    "video": {"past": PICTURE.repeat(9, 0)}, "loop": {"loop": True}, "pixels": {"things": False},
}
FEW = {"sampling": {"opening_steps": 2, "things_steps": 2, "candidates": 2}}


def on_gpu() -> World:
    world = tiny_world(**FEW)
    move(world.transformer)
    move(world.tokenizer)
    return world


def test_the_fake_gpu_fails_on_mixing():
    with FakeGPU():
        there, here = torch.zeros(3, device=GPU), torch.ones(3)
        assert (there + 1).device == GPU == there.new_zeros(2).device and here.device.type == "cpu"
        for mixed in (lambda: there + here, lambda: torch.cat([there, here]), lambda: there.numpy(),
                      lambda: here[there > 0], lambda: torch.rand(2, device=GPU, generator=torch.Generator())):
            with pytest.raises((RuntimeError, TypeError)):
                mixed()
        assert float((there + here.to(GPU)).cpu().numpy().sum()) == 3.0
    assert mark(torch.zeros(1)).device.type == "cpu"  # outside of it all is as it was


@pytest.mark.parametrize("name", ASKED)
def test_a_whole_generation_is_where_the_networks_are(name):
    asked = {"seconds": 0.5, "seed": 3, "fps": 12.0, **ASKED[name]}
    plain = list(tiny_world(**FEW).imagine(SCRIPT, **asked))
    world = on_gpu()
    with FakeGPU():
        assert world.device == GPU
        made = list(world.imagine(SCRIPT, **asked))
    for block, true in zip(made, plain, strict=True):
        assert np.array_equal(block.frames, true.frames) and block.things == true.things


def test_dreams_together_are_where_the_networks_are():
    told = [{"text": "a dog walks in"}, {"rates": {"tilt": 5.0}}, {}]
    worlds = tiny_world(**FEW), on_gpu()

    def run(world: World):
        dreams = [world.dream(SCRIPT, seed=n, past=PICTURE if n == 2 else None) for n in range(3)]
        blocks = [step_together(dreams, told if n == 1 else [{}] * 3) for n in range(3)]
        vector = torch.from_numpy(dreams[0].tokens[0])
        blocks.append([dreams[0].step(given={0: vector})])
        return [block.frames for step in blocks for block in step]

    plain = run(worlds[0])
    with FakeGPU():
        made = run(worlds[1])
    assert all(map(np.array_equal, made, plain))


@pytest.mark.parametrize("asked", [{}, {"past": PICTURE}], ids=["drawn", "painted"])
def test_pictures_in_half_are_near_and_things_the_same(asked):
    """On a CPU bfloat16 is the same thing, only slower."""
    def run(half: bool):
        world = tiny_world(**FEW)
        world.transformer.half = half
        blocks = list(world.imagine([Line(0.0, "a red ball rolls")], seconds=0.5, seed=3, fps=12.0, **asked))
        return np.concatenate([b.frames for b in blocks]).astype(int), np.stack([b.vectors for b in blocks])

    (plain, things), (half, same) = run(False), run(True)
    assert 0 < np.abs(plain - half).mean() < 3.0
    assert asked or np.array_equal(things, same)


def test_a_device_that_is_not_there():
    with pytest.raises(BadInput, match="no device 'abacus'"):
        World.load(device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(BadInput, match="no CUDA GPU"):
            World.load(device="cuda")
