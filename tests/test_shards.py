"""Shards: a clip survives, damage is named, making resumes; info, sheets and the held-out check."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from reverie.core.camera import CameraPath
from reverie.core.clip import Clip, Event, Line, Truth
from reverie.core.errors import BadData, BadInput, CannotWrite
from reverie.core.vocabulary import CAMERA_CHANNELS, COLOURS, EVENTS, KINDS
from reverie.data import make as making
from reverie.data.heldout import combination_held_out, template_held_out
from reverie.data.info import check_held_out, info, readable
from reverie.data.shards import ClipSet, Sample, read_shard, write_shard
from reverie.data.sheet import contact_sheet, frame_boxes

TRAINED = next(text for text in ("a {colour} {kind}", "one {colour} {kind}") if not template_held_out(text))
FPS, FRAMES, H, W = 8.0, 20, 32, 64


def tiny_clip(seed: int = 0, drawn: bool = True, frames: int = FRAMES) -> Clip:
    """A red ball crossing the picture beside a standing blue box, drawn by hand."""
    rng = np.random.default_rng(seed)
    position = np.zeros((frames, 2, 3), np.float32)
    position[:, 0, 0] = np.linspace(-1, 1, frames) + rng.normal() * 0.01
    position[:, 1] = rng.normal(size=3)
    rotation = np.broadcast_to(np.eye(3, dtype=np.float32), (frames, 2, 3, 3)).copy()
    exists = np.ones((frames, 2), bool)
    exists[:2, 0] = False
    seconds = frames / FPS
    truth = Truth(
        "room", ["ball", "box"], ["red", "blue"], ["small", "large"], ["bouncy", "heavy"],
        rng.uniform(0.1, 0.3, (2, 3)).astype(np.float32), exists, position, rotation,
        np.gradient(position, axis=0).astype(np.float32) * FPS, np.zeros((frames, 2), np.float32),
        np.array([[1, 0, -1], [7, 0, 1], [frames - 1, 1, -1]], np.int32),
        [Event("rests", 0.0, seconds, 1), Event("rolled", 0.25, 1.0, 0, 1, "right")],
        [0.0, 1.0])
    truth.boxes["front"] = rng.uniform(0, 32, (frames, 2, 4)).astype(np.float32)
    truth.boxes["front"][:2, 0] = np.nan
    truth.visible["front"] = rng.uniform(0, 1, (frames, 2)).astype(np.float32)
    clip = Clip(FPS, [Line(0.0, "a red ball rolls"), Line(1.0, "it stops")], truth=truth)
    clip.actions = rng.normal(size=(frames, 5)).astype(np.float32)
    clip.action_names = CAMERA_CHANNELS
    clip.cameras["front"] = CameraPath(rng.normal(size=(frames, 3)).astype(np.float32), rotation[:, 0], 45.0)
    if drawn:
        masks = np.zeros((frames, H, W), np.uint8)
        for t in range(frames):
            masks[t, 8:16, 2 * t:2 * t + 8] = 1
        masks[:, 16:28, 40:52] = 2
        truth.masks["front"] = masks
        clip.views["front"] = np.array([[200, 200, 190], [217, 26, 26], [26, 56, 217]], np.uint8)[masks]
    return clip


def assert_same(one: Clip, two: Clip) -> None:
    assert (one.fps, one.script, one.action_names) == (two.fps, two.script, two.action_names)
    np.testing.assert_array_equal(one.actions, two.actions)
    np.testing.assert_array_equal(one.cameras["front"].position, two.cameras["front"].position)
    np.testing.assert_array_equal(one.cameras["front"].rotation, two.cameras["front"].rotation)
    assert one.cameras["front"].fovy == two.cameras["front"].fovy
    for name in ("setting", "kinds", "colours", "sizes", "materials", "events", "beats"):
        assert getattr(one.truth, name) == getattr(two.truth, name), name
    for name in ("extent", "exists", "position", "rotation", "velocity", "phase", "contacts"):
        a, b = getattr(one.truth, name), getattr(two.truth, name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, err_msg=name)
    for name in ("boxes", "visible", "masks"):
        a, b = getattr(one.truth, name), getattr(two.truth, name)
        assert a.keys() == b.keys()
        for camera in a:
            np.testing.assert_array_equal(a[camera], b[camera], err_msg=name)
    assert one.views.keys() == two.views.keys()
    for camera in one.views:
        error = one.views[camera].astype(float) - two.views[camera]
        assert one.views[camera].shape == two.views[camera].shape and np.abs(error).mean() < 2


def write_some(folder, shards: int = 2, each: int = 3) -> None:
    for number in range(shards):
        write_shard(folder / f"sub{number}" / f"lab-{number:06d}.tar", (
            Sample(f"lab-{index:08d}", tiny_clip(index, index % 2 == 0), {"world": "lab", "split": "train"})
            for index in range(number * each, number * each + each)))


@pytest.mark.parametrize("drawn", [True, False])
def test_a_clip_survives_a_shard(tmp_path, drawn):
    clip = tiny_clip(drawn=drawn)
    captions = [{"language": "zh", "long": False, "held_out": False,
                 "lines": [{"start": 0.0, "text": "红球", "order": [0], "template": ["t"]}]}]
    write_shard(tmp_path / "a.tar", [Sample("lab-00000007", clip, {"seed": np.int64(3)}, captions)])
    [back] = read_shard(tmp_path / "a.tar")
    assert (back.key, back.provenance, back.captions) == ("lab-00000007", {"seed": 3}, captions)
    assert_same(clip, back.clip)


def test_same_clips_same_bytes(tmp_path):
    for name in "ab":
        write_shard(tmp_path / f"{name}.tar", [Sample("k", tiny_clip())])
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_recorded_video_without_truth(tmp_path):
    clip = Clip(10.0, views={"left": np.full((5, 32, 32, 3), 90, np.uint8)},
                sound=np.zeros((500, 1), np.float32), sound_rate=1000)
    write_shard(tmp_path / "a.tar", [Sample("tub-1", clip)])
    part = ClipSet(tmp_path).clip(0, 2, 4)
    assert part.truth is None and part.actions is None and part.cameras == {} and part.frames == 2
    assert part.sound.shape == (200, 1)


def test_random_access_is_the_same_as_cutting_the_whole(tmp_path):
    write_some(tmp_path)
    clips = ClipSet(tmp_path)
    assert len(clips) == 6 and clips.keys == [f"lab-{index:08d}" for index in range(6)]
    whole, part = clips.clip(4), clips.clip(4, 6, 14)
    np.testing.assert_array_equal(part.views["front"], whole.views["front"][6:14])
    np.testing.assert_array_equal(part.truth.masks["front"], whole.truth.masks["front"][6:14])
    np.testing.assert_array_equal(part.truth.position, whole.truth.position[6:14])
    np.testing.assert_array_equal(part.actions, whole.actions[6:14])
    assert len(part.cameras["front"]) == 8
    assert part.truth.contacts.tolist() == [[1, 0, 1]]
    assert part.script == [Line(0.0, "a red ball rolls"), Line(0.25, "it stops")]
    assert part.truth.beats == [0.0, 0.25]
    assert [(event.kind, event.start) for event in part.truth.events] == [("rests", -0.75), ("rolled", -0.5)]
    blind = clips.clip(4, views=False)
    assert not blind.views and not blind.truth.masks and blind.frames == FRAMES
    assert clips.clip(4, views=False, masks=True).truth.masks
    for start, stop in ((5, 5), (-1, 3), (0, FRAMES + 1)):
        with pytest.raises(BadInput, match="lab-00000004"):
            clips.clip(4, start, stop)


def test_the_index_is_cached_and_follows_change(tmp_path):
    write_some(tmp_path)
    digest = ClipSet(tmp_path).digest()
    assert (tmp_path / ".shards-index.json").exists()
    assert ClipSet(tmp_path).digest() == digest
    assert pickle.loads(pickle.dumps(ClipSet(tmp_path))).clip(0).frames == FRAMES
    write_shard(tmp_path / "sub1" / "lab-000001.tar", [Sample("other", tiny_clip(9))])
    changed = ClipSet(tmp_path)
    assert changed.keys[3:] == ["other"] and changed.digest() != digest
    (tmp_path / ".shards-index.json").write_text("not json")
    assert ClipSet(tmp_path).digest() == changed.digest()
    shutil.rmtree(tmp_path / "sub1")
    assert len(ClipSet(tmp_path)) == 3


def test_webdataset_layout(tmp_path):
    write_some(tmp_path, 1)
    webdataset = pytest.importorskip("webdataset", reason="the webdataset package is not installed")
    samples = list(webdataset.WebDataset(str(tmp_path / "sub0" / "lab-000000.tar"), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [f"lab-{index:08d}" for index in range(3)]
    assert json.loads(samples[0]["json"])["frames"] == FRAMES and "front.jpgs" in samples[0]


@pytest.mark.parametrize("where", [0.1, 0.5, 0.8, "before the end mark"])
def test_a_cut_off_shard_is_named_and_can_be_skipped(tmp_path, where):
    write_some(tmp_path)
    path = tmp_path / "sub0" / "lab-000000.tar"
    data = path.read_bytes()
    cut = len(data.rstrip(b"\0")) // 512 * 512 + 512 if isinstance(where, str) else int(len(data) * where)
    path.write_bytes(data[:cut])
    with pytest.raises(BadData, match="lab-000000.tar"):
        ClipSet(tmp_path)
    clips = ClipSet(tmp_path, skip_damaged=True)
    assert len(clips) == 3 and "lab-000000.tar" in clips.damaged[0]
    assert clips.clip(0, 3, 5).frames == 2


def test_flipped_bytes_are_found_in_every_member(tmp_path):
    write_shard(tmp_path / "a.tar", [Sample("lab-00000000", tiny_clip())])
    good = (tmp_path / "a.tar").read_bytes()
    for suffix, (offset, size) in ClipSet(tmp_path)._readers[0].places.items():
        bad = bytearray(good)
        bad[offset + size // 2:offset + size // 2 + 8] = b"\x00\xffdamage"
        (tmp_path / "a.tar").write_bytes(bad)
        with pytest.raises(BadData, match=r"a\.tar: lab-00000000"):
            ClipSet(tmp_path).clip(0)
        assert suffix


def test_what_is_no_data_is_refused(tmp_path):
    with pytest.raises(BadData, match="no such"):
        ClipSet(tmp_path / "none")
    with pytest.raises(BadData, match="no shards"):
        ClipSet(tmp_path)
    (tmp_path / "a.tar").write_bytes(b"nonsense" * 300)
    with pytest.raises(BadData, match=r"a\.tar"):
        ClipSet(tmp_path)
    with pytest.raises(BadInput, match="dots"):
        write_shard(tmp_path / "b.tar", [Sample("a.b", tiny_clip())])
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="file"):
        write_shard(tmp_path / "file" / "c.tar", [Sample("k", tiny_clip())])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "file"]


# ---------------------------------------------------------------- making, with a world of two things


@dataclass
class CaptionLine:
    start: float
    text: str
    order: list[int]
    template: tuple[str, ...]


@pytest.fixture
def fake_world(monkeypatch):
    """A world "tiny" in place of the real ones; counts the clips made."""
    made = []

    def plan(seed, seconds, *, fps, split, size):
        return seed, round(seconds * fps), split, size

    def simulate(plan):
        made.append(plan)
        if len(made) == stop_at:
            raise KeyboardInterrupt
        return tiny_clip(plan[0], False, plan[1])

    def draw(plan, size):
        made.append(plan)
        return tiny_clip(plan[0], True, plan[1])

    def caption(truth, rng, *, language, long, held_out, cameras, fps):
        return [CaptionLine(0.0, f"{truth.colours[0]} {rng.integers(1000)}", [0, 1], (TRAINED,))]

    stop_at = 0

    def stop(after):
        nonlocal stop_at
        stop_at = after

    scenes = types.ModuleType("reverie.data.scenes")
    world = types.SimpleNamespace(plan=plan, simulate=simulate, draw=draw, caption=caption, made=made, stop=stop,
                                  options=lambda *clip, **more: {}, about=lambda plan: {})
    scenes.SCENES = {"tiny": world}
    monkeypatch.setitem(sys.modules, "reverie.data.scenes", scenes)
    return world


def make_tiny(out, **other):
    arguments = {"clips": 7, "things_only": True, "seconds": (1, 3), "size": (H, W), "fps": FPS, "workers": 0,
                 "shard_size": 3, "progress": False}
    return making.make("tiny", out, **(arguments | other))


def test_made_data(tmp_path, fake_world):
    result = make_tiny(tmp_path)
    clips = ClipSet(tmp_path)
    assert (result["clips"], result["made"], len(clips)) == (7, 7, 7)
    names = sorted(path.name for path in tmp_path.glob("*.tar"))
    assert names == [f"tiny-train-{number:06d}.tar" for number in range(3)]
    assert not (tmp_path / ".parts").exists()
    meta = clips.meta(2)
    assert meta["provenance"]["split"] == "train" and not meta["drawn"]
    kinds = [(variant["language"], variant["held_out"]) for variant in meta["captions"]]
    assert kinds == [("en", False)] * 6 + [("zh", False)] * 3
    assert {variant["long"] for variant in meta["captions"][:6]} == {True, False}
    assert len({clips.meta(i)["frames"] for i in range(7)}) > 1
    assert all(clips.meta(i)["frames"] % 4 == 0 for i in range(7))
    make_tiny(tmp_path / "test", split="test", clips=2)
    assert sum(variant["held_out"] for variant in ClipSet(tmp_path / "test").meta(0)["captions"]) == 5


def test_a_stopped_make_goes_on(tmp_path, fake_world, capsys):
    make_tiny(tmp_path / "whole")
    fake_world.made.clear()
    fake_world.stop(5)
    with pytest.raises(KeyboardInterrupt):
        make_tiny(tmp_path / "stopped", progress=True)
    assert "4 of 7 clips are kept" in capsys.readouterr().err
    assert len(ClipSet(tmp_path / "stopped")) == 3
    (tmp_path / "stopped" / ".tiny-train-000002.tar.99.tmp").write_text("left by a kill")
    fake_world.stop(0)
    fake_world.made.clear()
    result = make_tiny(tmp_path / "stopped")
    assert result["made"] == len(fake_world.made) == 3 and result["clips"] == 7
    for path in (tmp_path / "whole").glob("*.tar"):
        assert path.read_bytes() == (tmp_path / "stopped" / path.name).read_bytes()
    assert not list((tmp_path / "stopped").glob(".*.tmp"))
    assert make_tiny(tmp_path / "stopped")["made"] == 0


def test_other_parameters_are_refused(tmp_path, fake_world):
    make_tiny(tmp_path)
    with pytest.raises(BadInput, match=r"fps 8\.0 \(now 9\.0\)"):
        make_tiny(tmp_path, fps=9.0)
    (tmp_path / "make.json").unlink()
    with pytest.raises(BadInput, match="holds shards"):
        make_tiny(tmp_path)


@pytest.mark.parametrize("wrong", [
    {"seconds": (0, 5)}, {"seconds": (9, 5)}, {"seconds": "abc"}, {"seconds": float("nan")},
    {"seconds": 10_000}, {"size": (100, 128)}, {"size": (0, 0)}, {"fps": 0}, {"fps": float("nan")},
    {"clips": 0}, {"split": "dev"},
])
def test_bad_arguments(tmp_path, fake_world, wrong):
    with pytest.raises(BadInput):
        make_tiny(tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()
    with pytest.raises(BadInput, match="tiny"):
        making.make("nowhere", tmp_path / "out", clips=1)


def test_a_scene_that_fails_is_left_out_and_many_are_an_error(tmp_path, fake_world, monkeypatch):
    simulate = fake_world.simulate
    job = making.Job("tiny", "train", 0, 7, True, ((1, 3, 1),), (H, W), FPS, 3)
    fails = {making.clip_seed(job, 4)}

    def sometimes(plan):
        if plan[0] in fails or "all" in fails:
            raise ArithmeticError("the simulation blew up")
        return simulate(plan)

    monkeypatch.setattr(fake_world, "simulate", sometimes)
    result = make_tiny(tmp_path / "one")
    assert result["clips"] == len(ClipSet(tmp_path / "one")) == 6 and "tiny-00000004" in result["failed"][0]
    fails.add("all")
    with pytest.raises(BadData, match="blew up"):
        make_tiny(tmp_path / "all")
    fails.clear()  # the scene is mended: what was left out is made after all
    assert make_tiny(tmp_path / "all")["clips"] == 7


def test_seconds_as_text():
    assert making.parse_seconds("8") == ((8, 8, 1),)
    assert making.parse_seconds("6..12:3,30..60") == ((6, 12, 3), (30, 60, 1))


def test_the_lab_made_by_two_processes_is_the_one_made_by_none(tmp_path):
    pytest.importorskip("mujoco", reason="MuJoCo is not installed")
    arguments = {"clips": 5, "things_only": True, "seconds": (1, 2), "shard_size": 4, "progress": False}
    for name, workers in (("none", 0), ("two", 2)):
        assert making.make("lab", tmp_path / name, workers=workers, **arguments)["failed"] == []
    for path in (tmp_path / "none").glob("*.tar"):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    clips = ClipSet(tmp_path / "two")
    assert len(clips) == 5 and check_held_out(clips) == []


def test_the_lab_drawn(tmp_path):
    pytest.importorskip("mujoco", reason="MuJoCo is not installed")
    try:
        making.choose_renderer()
    except BadInput as error:
        pytest.skip(str(error))
    making.make("lab", tmp_path, clips=2, seconds=1, size=(64, 96), split="test", workers=1, progress=False)
    clips = ClipSet(tmp_path)
    for i in range(2):
        clip = clips.clip(i)
        [(camera, frames)] = clip.views.items()
        assert frames.shape == (24, 64, 96, 3) and frames.std() > 5
        assert clip.truth.masks[camera].shape == (24, 64, 96) and clip.script
        assert {variant["held_out"] for variant in clips.meta(i)["captions"]} == {True, False}


# ---------------------------------------------------------------- looking at it


def test_info_counts_and_describes(tmp_path):
    write_some(tmp_path)
    (tmp_path / "cut.tar").write_bytes(b"damaged")
    result = info(tmp_path, "lab-00000002", tmp_path / "sheet.png")
    assert (result["clips"], result["drawn"], result["things_only"]) == (6, 3, 3)
    assert result["frames"] == 6 * FRAMES and result["things"] == 12
    assert result["kinds"] == {"ball": 6, "box": 6} and result["events"] == {"rests": 6, "rolled": 6}
    assert result["sizes"] == {"64x32": 3} and result["splits"] == {"train": 6}
    assert len(result["damaged"]) == 1 and "cut.tar" in result["damaged"][0]
    assert result["digest"] == ClipSet(tmp_path, skip_damaged=True).digest()
    json.dumps(result)
    text = readable(result)
    for words in ("6 clips", "red ball (small, bouncy", "rolled: red ball with blue box (right)", "it stops"):
        assert words in text
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width >= 8 * 2 * W
    with pytest.raises(BadInput, match="nope"):
        info(tmp_path, "nope")
    with pytest.raises(BadInput, match="only things"):
        info(tmp_path, "lab-00000001", tmp_path / "sheet.png")
    with pytest.raises(CannotWrite):
        info(tmp_path, sheet=tmp_path / "cut.tar" / "sheet.png")


def test_a_planted_breach_of_the_held_out_rule_is_found(tmp_path):
    held = [(colour, kind, event) for colour in COLOURS for kind in KINDS for event in EVENTS
            if combination_held_out(colour, kind, event)]
    rolled = next((colour, kind) for colour, kind, event in held if event == "rolled")
    rests = next((colour, kind) for colour, kind, event in held if event == "rests")
    template = next(text for text in (f"a {{colour}} {n}" for n in range(100)) if template_held_out(text))
    fine = next((colour, kind) for colour in COLOURS for kind in KINDS
                if not any((colour, kind, event) in held for event in EVENTS))

    def sample(key, first, second, template, split="train", quiet=False):
        clip = tiny_clip()
        clip.truth.colours, clip.truth.kinds = map(list, zip(first, second, strict=True))
        if quiet:  # no event at all: both simply rest
            clip.truth.events = []
        line = {"start": 0.0, "text": "", "order": [], "template": [TRAINED, template]}
        captions = [{"language": "en", "long": False, "held_out": False, "lines": [line]}]
        return Sample(key, clip, {"split": split}, captions)

    write_shard(tmp_path / "a.tar", [sample("fine", fine, fine, TRAINED),
                                     sample("test", rolled, rests, template, "test")])
    assert check_held_out(ClipSet(tmp_path)) == [] and info(tmp_path)["held_out"] == []
    write_shard(tmp_path / "b.tar", [
        sample("rolls", rolled, fine, TRAINED), sample("rests", fine, rests, TRAINED),
        sample("quiet", fine, rests, TRAINED, quiet=True), sample("words", fine, fine, template)])
    assert check_held_out(ClipSet(tmp_path)) == [
        f"rolls: {' '.join(rolled)} rolled", f"rests: {' '.join(rests)} rests",
        f"quiet: {' '.join(rests)} rests", f"words: template {template!r}"]
    assert "4 breaches" in readable(info(tmp_path))


def test_contact_sheet():
    rng = np.random.default_rng(0)
    shapes = ((20, 32, 64, 3), (3, 32, 32, 3), (1, 32, 96, 3))
    rows = [rng.integers(0, 255, shape, np.uint8) for shape in shapes]
    texts = ["a red ball falls, " * 30, "一个红球落下，撞到蓝色的箱子", ""]
    sheet = contact_sheet(rows, texts)
    assert sheet.mode == "RGB" and sheet.width >= 8 * 64 and sheet.height > 3 * 32
    pixels = np.asarray(sheet)
    bottom = next(y for y in range(sheet.height - 32, -1, -1)
                  if np.array_equal(pixels[y:y + 32, 4:100], rows[2][0]))  # a lone frame: shown untouched
    assert bottom > 64
    assert contact_sheet(rows, texts, 4, cell_height=16).height < sheet.height
    for wrong in (([], []), (rows, texts[:1]), ([rows[0][0]], ["x"]), ([rows[0].astype(float)], ["x"])):
        with pytest.raises(BadInput):
            contact_sheet(*wrong)


def test_frame_boxes_draw_where_the_things_are():
    clip = tiny_clip()
    boxes = np.full((FRAMES, 2, 4), np.nan, np.float32)
    boxes[:, 1] = [40, 16, 52, 28]
    drawn = frame_boxes(clip.views["front"], boxes, ["red ball", "blue box"], scale=1)
    changed = (drawn != clip.views["front"]).any(-1)
    assert drawn.shape == clip.views["front"].shape
    assert changed[:, 15, 40:52].all() and not changed[:, :, :30].any() and not changed[:, 30:].any()
    assert frame_boxes(clip.views["front"], boxes, ["", ""]).shape == (FRAMES, 2 * H, 2 * W, 3)
