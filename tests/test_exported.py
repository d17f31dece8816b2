"""Passes by ONNX Runtime: those of the plain path, exported once, and left alone when they go astray."""

import numpy as np
import pytest
from tiny_world import tiny_world

from reverie.core.clip import Line
from reverie.model import exported
from reverie.model.exported import Exported

FEW = {"sampling": {"opening_steps": 2, "things_steps": 2, "candidates": 2}}
SCRIPT = [Line(0.0, "a red ball falls"), Line(0.3, "a blue box slides in")]
PICTURE = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8)


def frames(world, **asked) -> np.ndarray:
    return np.concatenate([block.frames for block in world.imagine(SCRIPT, **{"seconds": 0.4, "seed": 3} | asked)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where exported passes are kept, in all these tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def said(folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return []


def fast(said):
    world = tiny_world(**FEW)
    world.transformer.runner = Exported(world.transformer, world.hash, said.append)
    return world


@pytest.mark.parametrize("asked", [{"past": PICTURE}, {"loop": True, "size": (64, 96)}], ids=["image", "loop"])
def test_it_dreams_as_the_plain_path_does(said, asked):
    world = fast(said)
    apart = np.abs(frames(tiny_world(**FEW), **asked).astype(int) - frames(world, **asked))
    assert not said and world.transformer.runner.trusted
    assert apart.max() <= 1 and apart.mean() < 0.01


def test_dreams_of_any_age_side_by_side(said):
    """Batches, texts and pasts of other lengths, padded and masked, through the same graph."""
    from reverie.world import step_together

    def run(world):
        dreams = [world.dream(SCRIPT, seed=n) for n in range(3)]
        dreams[0].step()
        dreams[0].step(text="a dog walks in")
        dreams[1].step()
        for _ in range(2):
            step_together(dreams[:2], [{}, {}])
        return np.stack([dream.tokens for dream in dreams[:2]])

    np.testing.assert_allclose(run(fast(said)), run(tiny_world(**FEW)), atol=1e-3)
    assert not said


def test_it_is_exported_once_and_anew_for_other_weights(said, folder, monkeypatch):
    frames(fast(said))
    kept = set((folder / "reverie").iterdir())
    assert kept and not [path for path in kept if path.name.startswith(".")]
    with monkeypatch.context() as patched:
        patched.setattr(exported, "exported", lambda *_: pytest.fail("exported again"))
        frames(fast(said))
    other = tiny_world(**FEW)
    other.transformer.runner = Exported(other.transformer, "other weights", said.append)
    frames(other)
    assert set((folder / "reverie").iterdir()) > kept and not said


def test_what_differs_is_not_used(said):
    """A graph of other weights under this name: one line, and the plain path's very frames."""
    world = fast(said)
    frames(world)  # there is a graph
    for parameter in world.transformer.parameters():
        parameter.data += 0.01
    plain = tiny_world(**FEW)
    plain.transformer.load_state_dict(world.transformer.state_dict())
    world.transformer.runner = Exported(world.transformer, world.hash, said.append)
    assert np.array_equal(frames(world), frames(plain))
    assert len(said) == 1 and "differs by" in said[0]


def test_what_fails_is_not_used(said, folder):
    """A damaged file, and a folder that cannot be written."""
    world = fast(said)
    frames(world)
    for path in (folder / "reverie").iterdir():
        path.write_bytes(b"nonsense")
    broken = fast(said)
    assert np.array_equal(frames(broken), frames(tiny_world(**FEW))) and len(said) == 1
    for path in (folder / "reverie").iterdir():
        path.unlink()
    (folder / "reverie").rmdir()
    (folder / "reverie").write_text("no folder")
    frames(fast(said))
    assert len(said) == 1
    (folder / "reverie").unlink()


def test_a_switch(monkeypatch):
    monkeypatch.setenv(exported.SWITCH, "0")
    assert not exported.installed()
    monkeypatch.delenv(exported.SWITCH)
    assert exported.installed()
