"""Recorded logs: each format read as it was recorded, split at gaps, with one line for whatever is left out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_logs import STEP, donkeycar, film, grey, lake, lerobot, one, said, shown, times, udacity, write_rows
from PIL import Image

from reverie.cli import main
from reverie.core.clip import Channel
from reverie.core.errors import BadData, BadInput, ReverieError
from reverie.core.video import pick_frames
from reverie.data import recorded
from reverie.data.info import info
from reverie.data.readers import FORMATS, Film, Pictures, inside, median_interval, recognise
from reverie.data.readers.folder import averages
from reverie.data.shards import ClipSet, read_shard, write_shard
from reverie.ingesting import ingest
from reverie.train.encode import encode_clip

SHARED = Path(__file__).parents[2] / "shared" / "data"


MAKERS = {"udacity": udacity, "donkeycar": donkeycar, "folder": lake,
          "lerobot": lambda path: lerobot(path, "v2.1")}


# ---------------------------------------------------------------- what all readers keep to


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_recognised_and_keeps_the_contract(tmp_path, name):
    path = MAKERS[name](tmp_path / "log")
    reader = recognise(path)
    assert reader.__name__.endswith(name) and isinstance(reader.FORMAT, str)
    for recording in reader.read(path):
        count = len(recording)
        assert count and recording.times.dtype == np.float64 and recording.actions.dtype == np.float32
        assert recording.times.shape == (count,) and recording.actions.shape == (count, len(recording.channels))
        assert all(isinstance(channel, Channel) for channel in recording.channels) and recording.format == reader.FORMAT
        for camera in recording.cameras.values():
            assert len(camera) == count and len(camera.take(np.arange(0, count, 2))) == (count + 1) // 2
            frames = list(camera.frames())
            assert len(frames) == count and shown(frames) == list(range(shown(frames)[0], shown(frames)[0] + count))
            assert shown(camera.take(np.array([1, 3])).frames((32, 32))) == [shown(frames)[1], shown(frames)[3]]
            assert "row" in recording.place(1) and camera.where(1)
    made = ingest([tmp_path], tmp_path / "out", seconds=1)
    assert made.clips and made.left_out == []
    read = list(reader.read(path))
    short = sum(line.count for line in made.dropped if line.reason == recorded.SHORT)
    assert made.frames + short == sum(map(len, read))  # nothing is lost without a word
    again = ingest([path], tmp_path / "out", seconds=1)
    assert (again.made, again.clips) == (0, made.clips)


def test_what_is_none_of_them(tmp_path):
    film(tmp_path / "a.mp4", 4)
    (tmp_path / "manifest.json").write_text("{}")
    assert recognise(tmp_path) is None and recognise(tmp_path / "a.mp4") is None and recognise(tmp_path / "no") is None
    assert inside(tmp_path) == ([], [tmp_path / "a.mp4"])


def test_many_logs_and_plain_videos_in_one_folder(tmp_path):
    lake(tmp_path / "in" / "one")
    film(tmp_path / "in" / "one" / "deep" / "plain.mp4", 8)
    donkeycar(tmp_path / "in" / "two")
    film(tmp_path / "in" / "two" / "images" / "made_of_it.mp4", 8)
    udacity(tmp_path / "in" / "bad")
    (tmp_path / "in" / "bad" / "driving_log.csv").write_text("a,b\n1,2\n")
    made = ingest([tmp_path / "in"], tmp_path / "out", seconds=10)
    clips = ClipSet(tmp_path / "out")
    formats = {clips.meta(i)["provenance"].get("format", "video") for i in range(made.clips)}
    assert formats == {"video", "Donkeycar tub", "folder of videos with a CSV"}
    assert len(made.left_out) == 1 and "driving_log.csv row 1" in made.left_out[0]


# ---------------------------------------------------------------- each format


@pytest.mark.parametrize("header", ["", "center,left,right,steering,throttle,brake,speed"])
def test_udacity(tmp_path, header):
    recording = one(udacity(tmp_path / "run", header=header))
    assert list(recording.cameras) == ["center", "left", "right"] and recording.dropped == []
    np.testing.assert_allclose(recording.times, times(30), atol=1e-6)
    assert recording.fps == 12.5 and [c.name for c in recording.channels] == ["steering", "throttle", "brake", "speed"]
    steering, _, _, speed = recording.channels
    assert (steering.low, steering.high, steering.lag, steering.measured) == (-1, 1, 0.12, False)
    assert speed.measured and speed.unit == "m/s" and recording.actions[0, 3] == pytest.approx(4.4704)
    assert len(one(tmp_path / "run" / "driving_log.csv")) == 30


def test_a_camera_that_is_not_there(tmp_path):
    path = udacity(tmp_path / "run")
    for file in (path / "IMG").glob("left_*"):
        file.unlink()
    recording = one(path)
    assert list(recording.cameras) == ["center", "right"] and len(recording) == 30
    assert "1 camera: none of its pictures is in IMG (first: left, left_2019" in said(recording)[0]


def test_donkeycar(tmp_path):
    path = donkeycar(tmp_path / "tub", deleted=[3, 4])
    recording = one(path)
    assert list(recording.cameras) == ["front"] and len(recording) == 18 and recording.fps == 20
    assert recording.times[0] == 1706111570.011 and recording.actions[5].tolist() == pytest.approx([-0.07, 0.5, 1.5])
    assert [c.name for c in recording.channels if not c.measured] == ["steering", "throttle"]
    assert said(recording)[:3] == [
        "left out: 1 catalog: listed in manifest.json and not there (first: tub/catalog_2.catalog)",
        "left out: 10 rows: listed in manifest.json and in no catalog (first: tub/manifest.json, _index 20)",
        "left out: 2 rows: deleted in manifest.json (first: tub/catalog_0.catalog row 4)"]
    assert said(recording)[3].startswith("split at 1 gap: over 2.5 times the median interval (first: tub/catalog_0")


def test_donkeycar_driven_by_a_pilot(tmp_path):
    pilot = {"user/mode": "local", "pilot/angle": 0.25, "pilot/throttle": 0.75}
    assert one(donkeycar(tmp_path / "tub", **pilot)).actions[3].tolist() == pytest.approx([0.25, 0.75, 1.5])
    path = donkeycar(tmp_path / "other", **{"user/mode": "local"})
    with pytest.raises(BadData, match=r"other: no row of it can be used"):
        ingest([path], tmp_path / "out")
    recording = one(path)
    assert len(recording) == 0
    assert "20 rows: no number for steering (first: other/catalog_0.catalog row 1)" in said(recording)[-1]


def test_folder_with_a_frame_per_row(tmp_path):
    recording = one(lake(tmp_path / "run"))
    assert list(recording.cameras) == ["center", "left"] and recording.fps == 12.5  # the videos say 10
    assert recording.channels[2] == Channel("speed", "m/s", lag=0.0, measured=True)
    assert recording.channels[0].lag is None and recording.actions[7].tolist() == pytest.approx([0.07, 0.5, 4.4704])
    path = tmp_path / "run" / "log.csv"
    path.write_text(path.read_text().replace("speed_mph", "wind_kmh").replace("throttle", "angle_deg"))
    path.with_suffix(".txt").write_text(" a lake\n road ")
    recording = one(tmp_path / "run" / "log.csv")
    assert [(c.name, c.unit) for c in recording.channels] == [("steering", "1"), ("angle", "deg"), ("wind", "m/s")]
    assert recording.text == "a lake road" and recording.actions[0, 2] == pytest.approx(10 / 3.6)


def test_rows_may_name_few_of_the_frames(tmp_path):
    write_rows(tmp_path / "log.csv", [(k, k / 10, 0) for k in range(3, 30, 3)], "frame,time_s,steering")
    film(tmp_path / "a.mp4", 30)
    recording = one(tmp_path)
    assert shown(recording.cameras["front"].frames()) == list(range(3, 30, 3))
    assert recording.fps == pytest.approx(3.3333)


def test_actions_are_averaged_over_each_frame(tmp_path):
    film(tmp_path / "drive.mp4", 20)
    film(tmp_path / "other.mp4", 20)
    fast = np.arange(0, 1.6, 0.01)
    fast = fast[(fast < 0.5) | (fast > 0.62)]
    write_rows(tmp_path / "drive.csv", [(f"{t:.3f}", f"{t / 2:.4f}") for t in fast], "time_s,steering")
    recording = one(tmp_path)
    assert list(recording.cameras) == ["front"] and recording.fps == 10
    np.testing.assert_allclose(recording.times, np.array([0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 13, 14, 15]) / 10)
    np.testing.assert_allclose(recording.actions[:, 0], recording.times / 2 + 0.0225, atol=2e-3)
    assert shown(recording.cameras["front"].frames()) == np.round(recording.times * 10).tolist()
    assert [line.count for line in recording.dropped] == [4, 3] and "in a gap of drive.csv" in said(recording)[1]
    assert inside(tmp_path) == ([tmp_path], [tmp_path / "other.mp4"])


def test_averages_are_of_what_holds():
    got = averages(np.array([0.0, 1.0, 1.5]), np.array([[0.0], [2.0], [4.0]]), np.array([0.0, 1.0, 2.0, 5.0]))
    assert got[:, 0].tolist() == pytest.approx([0.0, 3.0, 4.0])
    assert averages(np.array([0.0, 1.0]), np.zeros((2, 0)), np.array([0.0, 1.0])).shape == (1, 0)


@pytest.mark.parametrize(("version", "image"), [("v2.1", False), ("v2.1", True), ("v3.0", False), ("v3.0", True)])
def test_lerobot(tmp_path, version, image):
    path = lerobot(tmp_path / "arm", version, image=image)
    one_, two = recognise(path).read(path)
    assert (len(one_), len(two), one_.fps, two.text) == (12, 9, 10, "pick cube 1")
    assert list(one_.cameras) == ["top"]
    first = 12 if version == "v3.0" else 0
    assert shown(two.cameras["top"].frames()) == list(range(first, first + 9))
    assert shown(two.cameras["top"].take(np.array([2, 5])).frames()) == [first + 2, first + 5]
    assert [c.name for c in two.channels] == ["pan", "lift", "state.pan", "state.lift"]
    assert [c.measured for c in two.channels] == [False, False, True, True] and two.channels[0].unit == ""
    np.testing.assert_allclose(two.times, np.arange(9) / 10, atol=1e-6)
    assert two.actions[3].tolist() == pytest.approx([0.3, 1.0, 0.2, 2.0])
    assert said(one_) == [
        "left out: 1 column: neither action nor observation.state (first: meta/info.json, next.reward)",
        "left out: 1 camera: depth, not a picture (first: meta/info.json, observation.depth)"] and said(two) == []


def test_lerobot_with_parts_missing(tmp_path):
    path = lerobot(tmp_path / "arm", "v2.1", action=lambda n: [[0.0, 1.0]] * (n - 1) + [[0.0]])
    (path / "data" / "chunk-000" / "episode_000001.parquet").unlink()
    film(path / "videos" / "chunk-000" / "observation.images.top" / "episode_000000.mp4", 9)
    one_, two = recognise(path).read(path)
    assert len(one_) == 9 and len(two) == 0
    file = "chunk-000/episode_00000"
    assert said(two) == [f"left out: 1 episode: their rows are not there (first: {file}1.parquet, episode 1)"]
    assert f"1 row: action has not 2 numbers (first: {file}0.parquet row 11, 1 numbers)" in said(one_)[1]
    assert "2 rows: a video ends before it, or is not there" in said(one_)[2]


def test_lerobot_that_cannot_be_read(tmp_path, monkeypatch):
    path = lerobot(tmp_path / "arm", "v3.0")
    about = path / "meta" / "info.json"
    text = about.read_text()
    for old, new, match in (('"v3.0"', '"v1.6"', r"info\.json: codebase_version v1\.6"),
                            ("features", "f", "is not the info"), ('"video"', '"depth"', "no camera"),
                            ("chunk_index:", "chunk:", "episode 0 by data_path")):
        about.write_text(text.replace(old, new))
        with pytest.raises(BadData, match=match):
            list(recognise(path).read(path))
    about.write_text(text)
    (path / "data" / "chunk-000" / "file-000.parquet").write_bytes(b"none")
    with pytest.raises(BadData, match=r"file-000\.parquet is no parquet file"):
        list(recognise(path).read(path))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ReverieError, match=r'pip install "reverie\[lerobot\]"'):
        list(recognise(path).read(path))


# ---------------------------------------------------------------- bad rows, a line for each reason


def _edit(row: int, cell: int, value: str):
    def spoil(path: Path) -> None:
        log = next(path.glob("*.csv"))
        rows = [line.split(",") for line in log.read_text().splitlines()]
        rows[row - 1][cell:cell + 1] = [value] if value else []
        log.write_text("\n".join(",".join(cells) for cells in rows))
    return spoil


def _unlink(pattern: str):
    return lambda path: sorted(path.glob(pattern))[3].unlink()


@pytest.mark.parametrize(("maker", "spoil", "kept", "line"), [
    (udacity, _unlink("IMG/left_*"), 29, "1 row: a picture is not in IMG (first: run/driving_log.csv row 4, left_"),
    (udacity, _edit(5, 3, "1.7"), 29,
     "1 row: steering is out of its range -1..1 (first: run/driving_log.csv row 5, 1.7)"),
    (udacity, _edit(6, 4, "fast"), 29, "1 row: no number for throttle (first: run/driving_log.csv row 6)"),
    (udacity, _edit(7, 6, ""), 29, "1 row: not 7 cells like the first (first: run/driving_log.csv row 7, 6 cells)"),
    (lake, _edit(9, 2, "-1.5"), 29, "1 row: steering is out of its range -1..1 (first: run/log.csv row 9, -1.5)"),
    (lake, _edit(9, 1, "soon"), 29, "1 row: no number for time_s (first: run/log.csv row 9)"),
    (lake, _edit(9, 0, "3"), 29, "1 row: its frame is not after the row's above (first: run/log.csv row 9, frame 3)"),
    (lake, lambda path: film(path / "left.mp4", 26), 26,
     "4 rows: a video ends before it (first: run/log.csv row 28, left.mp4: 26 frames)"),
    (lake, lambda path: film(path / "left.mp4", 31), 30, "1 frame: after the last row (first: run/left.mp4 frame 30)"),
    (donkeycar, _unlink("images/*"), 19, "1 row: its picture is not in images (first: tub/catalog_1.catalog row 3, 12"),
    (donkeycar, lambda path: (path / "catalog_1.catalog").write_text("{\n"), 10,
     "1 row: no record (JSON with an _index) (first: tub/catalog_1.catalog row 1)"),
])
def test_a_bad_row_is_told_and_nothing_else_is_lost(tmp_path, maker, spoil, kept, line):
    path = maker(tmp_path / ("tub" if maker is donkeycar else "run"))
    spoil(path)
    recording = one(path)
    assert len(recording) == kept and all(len(camera) == kept for camera in recording.cameras.values())
    assert any(line in told for told in said(recording)), said(recording)
    made = ingest([path], tmp_path / "out")
    short = sum(one.count for one in made.dropped if one.reason == recorded.SHORT)
    assert made.frames + short == kept and line in made.as_text()


@pytest.mark.parametrize(("maker", "file", "text", "line"), [
    (udacity, "driving_log.csv", "a,b\n1,2\n", "run/driving_log.csv row 1: it has the columns a, b, not center, left"),
    (udacity, "driving_log.csv", "\n", "run/driving_log.csv holds no row"),
    (udacity, "driving_log.csv", "center_x.jpg,l.jpg,r.jpg,0,0,0,0\n", "1 row: a picture is not in IMG (first: run/"),
    (lake, "log.csv", "frame,steering\n0,0\n", "run/log.csv row 1: it has the columns frame, steering, and none is"),
    (lake, "log.csv", "frame,time_s\n0,0\n1,0.1\n2,0.2\n", "no clip, which takes 4 rows in a row; left out: 54 frames"),
    (lake, "other.csv", "time_s\n0\n", "is log.csv or other.csv the log of its videos"),
    (lake, "log.csv", "time_s\n7\n8\n9\n", "no row of it can be used: left out: 30 rows: outside the times of log.csv"),
    (lake, "center.mp4", "no video", "run/center.mp4 is no video that can be read"),
    (donkeycar, "manifest.json", "[]\n", "run/manifest.json row 2: not as a tub of version 2 has it"),
    (donkeycar, "manifest.json", '["a"]\n["float"]\n{}\n{}\n{"paths": [], "current_index": 0, "deleted_indexes": []}',
     "run/manifest.json row 2: no camera"),
])
def test_a_log_of_no_use_is_one_line(tmp_path, capsys, maker, file, text, line):
    path = maker(tmp_path / "run")
    (path / file).write_text(text)
    assert main(["data", "ingest", str(path), "-o", str(tmp_path / "out")]) == 1
    [told] = [told for told in capsys.readouterr().err.splitlines() if told]
    assert line in told and not list((tmp_path / "out").glob("*.tar"))


# ---------------------------------------------------------------- from rows to clips


def test_gaps_and_time_running_backwards_split(tmp_path):
    stamps = times(30) + np.where(np.arange(30) >= 12, 0.13, 0) - np.where(np.arange(30) >= 25, 5.0, 0)
    recording = one(udacity(tmp_path / "run", stamps=stamps))
    assert [(s.start, s.stop) for s in recording.stretches()] == [(0, 12), (12, 25), (25, 30)]
    assert said(recording) == [
        "split at 1 jump: time runs backwards or stands (first: run/driving_log.csv row 26, -4.92 s)",
        "split at 1 gap: over 2.5 times the median interval (first: run/driving_log.csv row 13, 0.21 s)"]
    slow = one(udacity(tmp_path / "slow", stamps=times(30) + np.where(np.arange(30) >= 12, 0.11, 0)))
    assert len(slow.stretches()) == 1 and median_interval(np.zeros(3)) == 1.0


def test_clips_have_their_own_times_actions_and_cameras(tmp_path):
    stamps = times(30) + 0.01 * (np.arange(30) % 2) + np.where(np.arange(30) >= 23, 9, 0)
    udacity(tmp_path / "run", stamps=stamps)
    made = ingest([tmp_path / "run"], tmp_path / "out", seconds=0.8, size=(32, 64))
    clips = ClipSet(tmp_path / "out")
    metas = [clips.meta(i) for i in range(len(clips))]
    spans = [(meta["provenance"]["split"], meta["frames"]) for meta in metas]
    assert spans == [("train", 8), ("train", 8), ("test", 7), ("train", 7)] and len(set(clips.keys)) == 4
    assert len(list((tmp_path / "out").glob("*.tar"))) == 2 and made.frames == 30
    clip = clips.clip(1)
    assert {name: shown(view) for name, view in clip.views.items()} == dict.fromkeys(("center", "left", "right"),
                                                                                      list(range(8, 16)))
    np.testing.assert_allclose(clip.times, stamps[8:16] - stamps[8], atol=2e-6)
    assert clip.times.dtype == np.float64 and clip.fps == one(tmp_path / "run").fps
    np.testing.assert_allclose(clip.actions[:, 0], np.arange(8, 16) / 100, atol=1e-6)
    assert clip.channels == one(tmp_path / "run").channels
    assert clip.action_names == ("steering", "throttle", "brake", "speed")
    assert metas[1]["provenance"]["first"] == "run/driving_log.csv row 9"
    part = clips.clip(1, 2, 6)
    assert part.times[0] == 0 and part.actions.shape == (4, 4)
    np.testing.assert_allclose(part.times, clip.times[2:6] - clip.times[2])
    about = info(tmp_path / "out", clips.keys[1])
    assert about["actions"]["steering"] == 4 and "cameras: center, left, right; 0.070..0.090 s" in about["text"]
    assert "steering (asked for, unit 1, seen 0.12 s later): 0.080..0.150" in about["text"]
    item = encode_clip(clip, "k", [], lambda text: np.zeros(0, np.int32), None, "cpu")
    assert np.isnan(item.actions).all()  # a car's numbers are no camera's


def test_a_damaged_picture_ends_a_clip(tmp_path):
    path = donkeycar(tmp_path / "tub")
    (path / "images" / "6_cam_image_array_.jpg").write_bytes(b"\xff\xd8 no more")
    (path / "images" / "9_cam_image_array_.jpg").write_bytes(b"")
    made = ingest([path], tmp_path / "out")
    clips = ClipSet(tmp_path / "out")
    assert [clips.meta(i)["frames"] for i in range(len(clips))] == [6, 6, 4] and made.frames == 16
    assert "left out: 2 rows: a picture cannot be read (first: tub/catalog_0.catalog row 7, 6_cam" in made.as_text()
    assert "left out: 2 rows: fewer than the 4 that a clip takes" in made.as_text()


def test_a_stopped_call_goes_on(tmp_path, monkeypatch):
    path = lake(tmp_path / "run", stamps=STEP * np.arange(30) + np.where(np.arange(30) >= 16, 5, 0))
    whole = ingest([path], tmp_path / "whole", seconds=1)
    write = recorded.write_shard

    def stop(file, samples):
        if file.name.endswith("-001.tar"):
            raise KeyboardInterrupt
        write(file, samples)

    monkeypatch.setattr(recorded, "write_shard", stop)
    with pytest.raises(KeyboardInterrupt):
        ingest([path], tmp_path / "out", seconds=1)
    monkeypatch.setattr(recorded, "write_shard", write)
    again = ingest([path], tmp_path / "out", seconds=1)
    assert 0 < again.made < whole.made and again.dropped == whole.dropped
    for file in (tmp_path / "whole").glob("*.tar"):
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()


def test_what_a_log_cannot_be_asked(tmp_path):
    path = lake(tmp_path / "run")
    with pytest.raises(BadInput, match="--see looks at videos"):
        ingest([path], tmp_path / "out", see=True)
    with pytest.raises(BadInput, match="over 4 GB"):
        ingest([path], tmp_path / "out", size=(2048, 2048), seconds=600)
    assert not list((tmp_path / "out").glob("*.tar")) if (tmp_path / "out").exists() else True


def test_sources_go_on_after_what_cannot_be_read(tmp_path):
    video = film(tmp_path / "a.mp4", 6)
    assert [frame is None for frame in Film(video, np.arange(4, 9)).frames()] == [False, False, True, True, True]
    assert [frame is None for frame in Film(tmp_path / "no.mp4", np.arange(2)).frames()] == [True, True]
    assert shown(Film(video, np.array([0, 2]), start=0.2, fps=10).frames()) == [2, 4]
    assert shown(pick_frames(video, [5, 1])) == [1, 5] and list(pick_frames(video, [])) == []
    pictures = Pictures([tmp_path / "none.jpg", tmp_path / "b.png"])
    Image.fromarray(grey(3)).save(tmp_path / "b.png")
    assert [None if frame is None else shown([frame]) for frame in pictures.frames()] == [None, [3]]


def test_simulated_shards_are_as_they_were(tmp_path):
    import test_shards

    write_shard(tmp_path / "a.tar", [test_shards.Sample("k", test_shards.tiny_clip())])
    [sample] = read_shard(tmp_path / "a.tar")
    assert sample.clip.channels == () and sample.clip.times is None and sample.clip.actions.shape[1] == 5
    assert "channels" not in ClipSet(tmp_path).meta(0) and b"times.npy" not in (tmp_path / "a.tar").read_bytes()


def test_the_verb(tmp_path, capsys):
    udacity(tmp_path / "run", stamps=times(30) + np.where(np.arange(30) >= 27, 9, 0))
    out = str(tmp_path / "out")
    assert main(["data", "ingest", str(tmp_path / "run"), "-o", out, "--size", "64x32"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{out}: 2 clips (2 made now, 27 frames)",
        "split at 1 gap: over 2.5 times the median interval (first: run/driving_log.csv row 28, 9.08 s)",
        "left out: 3 rows: fewer than the 4 that a clip takes, at a stretch's end (first: run/driving_log.csv row 28)"]
    assert main(["data", "ingest", str(tmp_path / "run"), "-o", out, "--size", "64x32", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["made"] == 0 and [line["count"] for line in made["dropped"]] == [1, 3]


# ---------------------------------------------------------------- real logs, where they are at hand


@pytest.mark.skipif(not (SHARED / "udacity_original").is_dir(), reason="no recorded logs in ../shared/data")
def test_real_logs_agree():
    """The same 260 moments, as the simulator wrote them and as rows 649.. of the videos' log."""
    original, videos = one(SHARED / "udacity_original"), one(SHARED / "udacity_lake" / "tshanmukh")
    assert len(original) == 260 and original.dropped == [] and len(videos) == 3395 and len(videos.stretches()) == 4
    same = np.arange(649, 909)
    np.testing.assert_allclose(videos.actions[same], original.actions, atol=1e-4)
    np.testing.assert_allclose(np.diff(videos.times[same]), np.diff(original.times), atol=1.1e-3)
    for name in ("center", "right"):  # the videos are compressed, and yet no other frame is nearly as close
        [picture] = original.cameras[name].take(np.array([40])).frames((128, 256))
        apart = [np.abs(picture.astype(float) - frame).mean()
                 for frame in videos.cameras[name].take(np.arange(688, 691)).frames()]
        assert apart[1] < 8 < 16 < min(apart[0], apart[2])
    tub = one(SHARED / "donkeycar_original")
    assert len(tub) == 4852 and len(tub.stretches()) == 8 and tub.fps == 20 and np.abs(tub.actions[:, 0]).max() == 1
