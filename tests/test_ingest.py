"""Recorded videos into shards: pieces, sizes, texts, going on, errors of one line; what is seen is never truth."""

from __future__ import annotations

import json
import types

import numpy as np
import pytest

from reverie import ingesting
from reverie.audit import judge, tracks
from reverie.audit.findings import Motion, Track
from reverie.cli import main
from reverie.core.camera import project
from reverie.core.errors import BadInput, BadMedia, CannotWrite
from reverie.core.video import VideoWriter, read_video
from reverie.data.info import check_held_out, info, readable
from reverie.data.shards import ClipSet, has_truth, read_shard, write_shard
from reverie.ingesting import ingest, own_size, truth_of
from reverie.train.canvas import Drawn
from reverie.train.encode import encode_clip
from reverie.train.observer_frames import Frames
from reverie.train.observer_scores import observer_scores
from reverie.train.tokenizer import eventful_frames, read_window

FPS = 10.0


def film(path, frames: int = 26, size: tuple[int, int] = (64, 96), fps: float = FPS):
    """A red square that crosses a grey picture, brighter from frame to frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps=fps, size=size) as video:
        for t in range(frames):
            frame = np.full((1, *size, 3), 60 + 4 * t, np.uint8)
            frame[:, 20:40, 2 * t:2 * t + 20] = (200, 20, 20)
            video.write(frame)
    return path


def red_square(number: int, frames, boxes, sure: float = 0.9, **more) -> Track:
    count = len(frames)
    rows = {"confidence": np.full(count, sure), "visible": np.ones(count), "depth": np.full(count, 5.0),
            "lift": np.zeros(count)} | more
    return Track(number, "box", "red", np.asarray(frames), np.asarray(boxes, np.float32), **rows,
                 kind_scores=np.zeros((count, 1)), colour_scores=np.zeros((count, 1)), looks=np.zeros((count, 1)))


@pytest.fixture
def eye(monkeypatch):
    """Instead of the judge's eye: it sees the square, and a second thing that it can't name."""
    def look(frames, fps, size=None, observer=None):
        seen = [frame.shape[:2] for frame in frames]
        return seen, Motion(np.zeros((len(seen), 2, 3)), np.ones(len(seen), bool), np.zeros((len(seen), 5))), seen[0]

    def follow(seen, fps, size, cuts=()):
        boxes = np.array([[2 * t, 20, 2 * t + 20, 40] for t in range(len(seen))])
        return [red_square(1, range(1, len(seen)), boxes[1:]), red_square(2, range(len(seen)), boxes, 0.2)]

    monkeypatch.setattr(judge, "look", look)
    monkeypatch.setattr(tracks, "follow", follow)


def one_clip(folder, i: int = 0):
    clips = ClipSet(folder)
    return clips.meta(i), clips.clip(i)


# ---------------------------------------------------------------- without looking


def test_a_long_video_becomes_pieces_that_join_without_a_seam(tmp_path):
    video = film(tmp_path / "my walk.v2.mp4")
    made = ingest([video], tmp_path / "out", seconds=1)
    clips = ClipSet(tmp_path / "out")
    assert (made.clips, made.made, made.frames, made.things) == (4, 4, 26, 0)  # 8, 8, 4, and 6 that are held out
    assert all(key.startswith("my-walk-v2-") for key in clips.keys) and len(set(clips.keys)) == 4
    joined = np.concatenate([clips.clip(i).views["front"] for i in range(4)]).astype(float)
    assert np.abs(joined - read_video(video)[0][:26]).mean() < 2
    meta, clip = one_clip(tmp_path / "out", 1)
    assert clip.fps == FPS and clip.truth is None and clip.cameras == {} and clip.script == []
    assert meta["provenance"] == {"world": "recorded", "format": "video", "video": "my walk.v2.mp4", "stretch": 0,
                                  "from_seconds": 0.8, "split": "train"}
    assert [clips.meta(i)["provenance"]["split"] for i in range(4)] == ["train"] * 3 + ["test"]
    assert not has_truth(meta) and info(tmp_path / "out")["things"] == 0


def test_a_video_longer_than_is_read_at_once(tmp_path, monkeypatch):
    video = film(tmp_path / "a.mp4", 40)
    ingest([video], tmp_path / "whole")
    monkeypatch.setattr(ingesting, "STRETCH", 0.7)
    ingest([video], tmp_path / "parts")
    for one, two in zip((tmp_path / "whole").glob("*.tar"), (tmp_path / "parts").glob("*.tar"), strict=True):
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(("own", "kept"), [
    ((272, 640), (160, 384)), ((720, 1280), (160, 288)), ((1920, 1080), (288, 160)), ((128, 256), (128, 256)),
    ((144, 176), (128, 160)), ((20, 20), (32, 32)), ((16, 4000), (32, 2048))])
def test_the_size_that_a_clip_has_by_itself(own, kept):
    assert own_size(*own) == kept


def test_size_and_text(tmp_path):
    video = film(tmp_path / "in" / "deep" / "a.mp4")
    film(tmp_path / "in" / "b.mp4", 8)
    (tmp_path / "in" / "b.txt").write_bytes(b"")
    video.with_suffix(".txt").write_text(" a red square\n moves ", encoding="utf-8")
    ingest([tmp_path / "in"], tmp_path / "out", size=(64, 32))
    clips = ClipSet(tmp_path / "out")
    assert [[line.text for line in clips.clip(i).script] for i in range(2)] == [["a red square moves"], []]
    assert {tuple(clips.meta(i)["size"]) for i in range(2)} == {(64, 32)}
    for text in ("x" * 2000, "\xff"):
        video.with_suffix(".txt").write_bytes(text.encode("latin-1"))
        with pytest.raises(BadInput, match=r"a\.txt"):
            ingest([tmp_path / "in"], tmp_path / "out", size=(64, 32))


def test_the_same_call_goes_on_and_adds(tmp_path):
    film(tmp_path / "in" / "a.mp4", 8)
    out = tmp_path / "out"
    assert ingest([tmp_path / "in"], out).made == 1
    [shard] = out.glob("*.tar")
    before = shard.stat().st_mtime_ns
    film(tmp_path / "in" / "b.mp4", 12)
    again = ingest([tmp_path / "in", tmp_path / "in" / "a.mp4"], out)
    assert (again.made, again.clips, again.frames) == (1, 2, 12) and shard.stat().st_mtime_ns == before
    shard.write_bytes(shard.read_bytes()[:3000])  # as a power cut leaves it
    assert ingest([tmp_path / "in"], out).made == 1 and len(ClipSet(out)) == 2
    assert [path.name for path in out.iterdir() if path.name.startswith(".") and path.name.endswith("tmp")] == []


def test_what_is_refused(tmp_path):
    video, out = film(tmp_path / "a.mp4", 8), tmp_path / "out"
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.mp4").write_bytes(b"no video at all")
    for paths, options, error, match in (
            ([tmp_path / "empty"], {}, BadInput, "no video in the folder"),
            ([tmp_path / "none.mp4"], {}, BadMedia, "no file"),
            ([tmp_path / "bad.mp4"], {}, BadMedia, r"bad\.mp4"),
            ([film(tmp_path / "short.mp4", 3)], {}, BadMedia, "3 frames"),
            ([video], {"seconds": 0.1}, BadInput, "0.5"), ([video], {"seconds": float("nan")}, BadInput, "0.5"),
            ([video], {"size": (40, 64)}, BadInput, "64x40"),
            ([video], {"size": (2048, 2048), "seconds": 600}, BadInput, "4 GB")):
        with pytest.raises(error, match=match) as raised:
            ingest(paths, out, **options)
        assert "\n" not in str(raised.value) and not list(out.glob("*.tar"))
        (out / "ingest.json").unlink(missing_ok=True)
    ingest([video], out)
    with pytest.raises(BadInput, match=r"seconds 10\.0 \(now 5\)"):
        ingest([video], out, seconds=5)
    (out / "ingest.json").unlink()
    with pytest.raises(BadInput, match="another data set"):
        ingest([video], out)
    with pytest.raises(CannotWrite):
        ingest([video], video)


def test_a_folder_with_damaged_files_keeps_the_others(tmp_path):
    film(tmp_path / "in" / "a.mp4", 8)
    film(tmp_path / "in" / "b.mp4", 2)
    (tmp_path / "in" / "c.mp4").write_bytes(b"no video at all")
    (tmp_path / "in" / "notes.md").write_text("not looked at")
    made = ingest([tmp_path / "in"], tmp_path / "out")
    assert made.clips == 1 and len(made.left_out) == 2 and "left out: " in made.as_text()
    (tmp_path / "in" / "a.mp4").unlink()
    with pytest.raises(BadMedia, match="no video that can be read"):
        ingest([tmp_path / "in"], tmp_path / "other")


# ---------------------------------------------------------------- what is seen


def test_tracks_become_things():
    size, frames = (64, 96), [1, 2, 3, 6, 7]
    boxes = [[10 + 2 * t, 20, 30 + 2 * t, 40] for t in frames]
    truth = truth_of([red_square(1, frames, boxes, visible=np.array([1, 1, 0.2, np.nan, 1]))], 9, FPS, size)
    there = np.arange(1, 8)
    assert truth.source == "seen" and truth.sizes == ["medium"] and truth.setting == "" and len(truth.contacts) == 0
    assert np.flatnonzero(truth.exists[:, 0]).tolist() == there.tolist()
    unseen = np.isnan(truth.boxes["front"][:, 0]).all(-1)
    assert np.flatnonzero(unseen).tolist() == [0, 4, 5, 8]
    assert truth.visible["front"][:, 0].tolist() == pytest.approx([0, 1, 1, 0.2, 0, 0, 1, 1, 0])
    camera = ingesting.stand(1)
    assert camera.rotation[0] @ [0, 0, -1] == pytest.approx([0, 1, 0]) and camera.fovy == 40
    pixels, depth = project(truth.position[there, 0], camera.position[0], camera.rotation[0], 40.0, *size)
    assert depth == pytest.approx(5.0, abs=1e-4)  # through gaps too, a straight way
    assert pixels == pytest.approx(np.stack([20 + 2 * there, np.full(7, 30)], 1), abs=1e-3)
    metre = 32 / np.tan(np.radians(20)) / 5
    assert truth.extent[0] == pytest.approx([10 / metre] * 3, rel=1e-4)
    assert truth.velocity[there, 0, 0] == pytest.approx(2 * FPS / metre, rel=1e-3)
    assert not truth.position[[0, 8]].any() and not truth.velocity[[0, 8]].any() and not truth.rotation[[0, 8]].any()
    assert (truth.rotation[there, 0] == np.eye(3)).all()


def test_unsteady_and_unknown_distances():
    boxes = np.tile([20, 20, 40, 40], (20, 1))
    depth = 5 + np.where(np.arange(20) % 2, 0.5, -0.5)
    steady = truth_of([red_square(1, range(20), boxes, depth=depth)], 20, FPS, (64, 96))
    assert np.abs(steady.velocity[2:-2, 0, 1]).max() < 0.7 and np.abs(steady.position[:, 0, 1] + 1).max() < 0.3
    blind = truth_of([red_square(1, [4], boxes[:1], depth=np.full(1, np.nan))], 20, FPS, (64, 96))
    assert blind.position[4, 0, 1] == 0 and not blind.velocity.any()
    assert truth_of([], 5, FPS, (64, 96)).exists.shape == (5, 0)


def test_things_that_were_seen_are_kept_and_are_not_truth(tmp_path, eye):
    out = tmp_path / "out"
    made = ingest([film(tmp_path / "a.mp4", 16)], out, see=True)
    assert made.things == 1 and "1 things seen" in made.as_text()
    meta, clip = one_clip(out)
    assert meta["truth"]["source"] == clip.truth.source == "seen" and not has_truth(meta) and clip.exact is None
    assert clip.truth.kinds == ["box"] and clip.truth.masks == {} and len(clip.cameras["front"]) == 16
    assert clip.truth.boxes["front"][3, 0].tolist() == [6, 20, 26, 40] and not clip.truth.exists[0, 0]
    [back] = read_shard(next(out.glob("*.tar")))
    write_shard(tmp_path / "again.tar", [back])
    assert ClipSet(tmp_path / "again.tar").clip(0).truth.source == "seen"

    key = meta["key"]
    about = info(out, key, tmp_path / "sheet.png")
    assert about["things"] == about["things_seen"] == 1 and about["kinds"] == {"box": 1} and about["settings"] == {}
    assert "things: seen, not truth\n   0 red box (medium, 1.14 x" in about["text"] and "events" not in about["text"]
    assert "1 things (1 seen, not truth)" in readable(about) and check_held_out(ClipSet(out)) == []


def test_nothing_learns_or_measures_on_what_was_seen(tmp_path, eye):
    out = tmp_path / "out"
    ingest([film(tmp_path / "a.mp4", 16)], out, see=True)
    clips = ClipSet(out)
    item = encode_clip(clips.clip(0), "k", [], lambda text: np.zeros(0, np.int32), None, "cpu")
    assert not item.seen and item.things.shape[1] == 0
    assert not read_window(clips, 0, 0, 8)[1].any() and len(eventful_frames(clips, 0, 0)[1]) == 0
    for reader in (lambda: Frames(clips, [0], None), lambda: Drawn(clips, [0]),
                   lambda: observer_scores(types.SimpleNamespace(), clips, [0])):
        with pytest.raises(Exception, match="no drawn clip"):
            reader()


def test_simulated_clips_say_nothing_new(tmp_path):
    import test_shards

    write_shard(tmp_path / "a.tar", [test_shards.Sample("k", test_shards.tiny_clip())])
    meta, clip = one_clip(tmp_path)
    assert "source" not in meta["truth"] and clip.truth.source == "simulated" and clip.exact is clip.truth
    assert has_truth(meta)


def test_the_package_own_eye(tmp_path):
    pytest.importorskip("trackers", reason="the extra audit is not installed")
    made = ingest([film(tmp_path / "a.mp4", 12)], tmp_path / "out", see=True)
    meta, clip = one_clip(tmp_path / "out")
    assert made.clips == 1 and clip.truth.source == "seen" and len(clip.truth.kinds) == made.things
    assert clip.truth.exists.shape == (12, made.things) and np.isfinite(clip.truth.position).all()


# ---------------------------------------------------------------- the verb


def test_the_verb(tmp_path, capsys):
    film(tmp_path / "in" / "a.mp4", 8)
    out = str(tmp_path / "out")
    assert main(["data", "ingest", str(tmp_path / "in"), "-o", out, "--size", "64x32", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["clips"] == 1 and made["left_out"] == []
    assert main(["data", "ingest", str(tmp_path / "in"), "-o", out, "--size", "64x32"]) == 0
    assert capsys.readouterr().out == f"{out}: 1 clips (0 made now, 0 frames)\n"
    assert main(["data", "ingest", str(tmp_path / "none"), "-o", out]) == 1
    assert main(["data", "ingest", str(tmp_path / "in"), "-o", out, "--seconds", "0"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and "no file" in said[0] and "0.5" in said[1]
