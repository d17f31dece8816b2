"""What stands around other people's models: pieces, drift, the work folder, memory, previews, control videos."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("av")
import fake_pipeline  # noqa: E402
from fake_pipeline import FakePipeline  # noqa: E402
from PIL import Image  # noqa: E402

from reverie import cli  # noqa: E402
from reverie.core.camera import CameraPath, look_at, project  # noqa: E402
from reverie.core.clip import Line, Truth  # noqa: E402
from reverie.core.errors import BadInput, ReverieError  # noqa: E402
from reverie.core.video import probe, read_video  # noqa: E402
from reverie.foreign import drift, job, memory  # noqa: E402
from reverie.foreign.asking import ask  # noqa: E402
from reverie.foreign.calling import as_frames, new_frames  # noqa: E402
from reverie.foreign.control import FAR, Happening, write  # noqa: E402
from reverie.foreign.keeping import Work  # noqa: E402
from reverie.foreign.memory import Machine  # noqa: E402
from reverie.foreign.pieces import context_frames, pieces_of, without_cut  # noqa: E402
from reverie.foreign.preview import Preview  # noqa: E402
from reverie.generation import generate  # noqa: E402
from reverie.model import things as th  # noqa: E402
from reverie.train.bodies import table  # noqa: E402


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(FakePipeline, "fail_at", None)
    monkeypatch.setattr(FakePipeline, "drift", 0.0)
    return tmp_path


# ---------------------------------------------------------------- pieces


def test_the_pipeline_is_asked():
    able = ask(FakePipeline())
    assert (able.frames, able.step, able.rest, able.size, able.multiple) == (9, 4, 1, (48, 64), 8)
    assert able.text and able.image and not able.needs and able.end == "last_image" and able.fps_argument == "fps"
    assert [able.nearest_frames(n) for n in (1, 2, 5, 6, 9, 50)] == [1, 5, 5, 9, 9, 9]
    assert able.nearest_size((50, 61)) == (48, 64) and able.nearest_fps(7.7) == 8

    class Pictures(FakePipeline):
        def __call__(self, prompt, height=64, width=64):
            """No frames."""

    with pytest.raises(BadInput, match="makes no video"):
        ask(Pictures())


@pytest.mark.parametrize("total, starts", [(80, [0]), (9, [0]), (1, [0]), (77, [0, 3.3, 3.9, 9]), (200, [0, 12.5])])
@pytest.mark.parametrize("context", [0, 1, 5])
def test_pieces_make_every_frame_once_and_keep_to_the_lines(total, starts, context):
    able = ask(FakePipeline())
    lines = [Line(start, f"line {i}") for i, start in enumerate(starts)]
    pieces = pieces_of(lines, total, 8, able, context=context)
    assert [n for p in pieces for n in range(p.start, p.start + p.count)] == list(range(total))
    begins = {min(round(start * 8), total) for start in starts}
    assert {p.start for p in pieces if p.begins} == begins
    for p in pieces:
        assert p.frames <= 9 and (p.frames - 1) % 4 == 0 and p.context + p.count + p.after <= p.frames
        assert p.context == (0 if p.start == 0 else context)
        assert not any(p.start < begin < p.start + p.count for begin in begins)


def test_only_the_script_cuts():
    able = ask(FakePipeline())
    lines = [Line(0, "a ball"), Line(1, "it stops"), Line(2, "cut to: a dog"), Line(3, "切到一只狗")]
    pieces = pieces_of(lines, 32, 8, able, context=1)
    at = {p.start: p for p in pieces if p.begins}
    assert [at[s].context for s in (0, 8, 16, 24)] == [0, 1, 0, 0]
    assert at[16].text == "a dog" and at[24].text == "一只狗"
    assert without_cut("cut to the dog running") == ("the dog running", True)
    assert without_cut("cuttlefish swim") == ("cuttlefish swim", False) == without_cut("cuttlefish swim")
    assert context_frames(able, 8) == 1


def test_a_script_and_a_minute_from_a_model_that_makes_a_second(tmp_path):
    Path("s.toml").write_text('[[line]]\nstart = 0\ntext = "a ball"\n[[line]]\nstart = 30.5\ntext = "cut to a dog"\n')
    steps = []
    world = fake_pipeline.world(tmp_path)
    made = generate("", "m.mp4", model=world, seconds=60, script="s.toml", tell=steps.append)
    assert made.frames == 480 and len(FakePipeline.calls) == 61 and made.size == (48, 64) and made.fps == 8
    assert [c["prompt"] for c in FakePipeline.calls] == ["a ball"] * 31 + ["a dog"] * 30
    assert [i for i, c in enumerate(FakePipeline.calls) if c["image"] is None] == [0, 31]
    assert any("61 pieces" in note and "last frame" in note for note in made.notes)
    assert sorted(os.listdir()) == ["m.mp4", "s.toml"]
    assert probe("m.mp4")["metadata"]["made_with"] == "fake"


def test_the_camera_is_told_in_the_prompt_and_the_nearest_is_noted(tmp_path):
    made = generate("a ball", "c.mp4", model=fake_pipeline.world(tmp_path), seconds=1, camera="orbit left 30",
                    size=(50, 60), fps=12.4)
    assert FakePipeline.calls[0]["prompt"] == "a ball. Camera: orbit left 30"
    assert made.size == (48, 64) and made.fps == 12 and made.frames == 12 and len(made.notes) == 5, made.notes


def test_a_video_is_extended_and_a_picture_begins_and_ends_it(tmp_path):
    Image.new("RGB", (64, 48), (200, 30, 30)).save("p.png")
    world = fake_pipeline.world(tmp_path)
    generate("a", "past.mp4", model=world, seconds=2)
    made = generate("b", "longer.mp4", model=world, seconds=1, video="past.mp4")
    assert made.frames == 24 and FakePipeline.calls[-1]["image"] is not None
    past, whole = read_video("past.mp4")[0], read_video("longer.mp4")[0]
    assert np.abs(whole[:16].astype(int) - past).mean() < 4
    generate("b", "p.mp4", model=world, seconds=1, image="p.png", end_image="p.png")
    assert np.abs(read_video("p.mp4")[0][0].astype(int) - (200, 30, 30)).mean() < 4
    assert FakePipeline.calls[-1]["end"] is not None
    generate("b", "loop.mp4", model=world, seconds=1, loop=True)
    assert FakePipeline.calls[-2]["image"] is None and FakePipeline.calls[-1]["end"] is not None


# ---------------------------------------------------------------- failing, and going on


@pytest.mark.parametrize("failure, says", [
    (RuntimeError("a kernel\nhas no image"), "failed in piece 3 of 4, after step 1 (RuntimeError: a kernel)"),
    (torch.OutOfMemoryError("CUDA out of memory. Tried"), "ran out of memory in piece 3 of 4"),
    (MemoryError(), "ran out of memory")])
def test_what_is_done_is_kept_and_the_same_command_goes_on(tmp_path, monkeypatch, failure, says):
    whole = fake_pipeline.world(tmp_path)
    generate("a ball", "whole.mp4", model=whole, seconds=4)
    world = fake_pipeline.world(tmp_path)
    monkeypatch.setattr(FakePipeline, "fail_at", 2)
    monkeypatch.setattr(FakePipeline, "failure", failure)
    with pytest.raises(ReverieError) as caught:
        generate("a ball", "out.mp4", model=world, seconds=4)
    line = str(caught.value)
    assert says in line and "\n" not in line and "2 finished pieces are in" in line
    folder = next(Path().glob("out.*.pieces"))
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "piece-001.npz", "piece-002.npz"}
    assert not Path("out.mp4").exists()
    world = fake_pipeline.world(tmp_path)
    generate("another", "out.mp4", model=world, seconds=1)  # other settings: these pieces are not touched
    assert folder.exists()
    monkeypatch.setattr(FakePipeline, "fail_at", None)
    world = fake_pipeline.world(tmp_path)
    made = generate("a ball", "out.mp4", model=world, seconds=4)
    assert len(FakePipeline.calls) == 2 and any("2 of 4 pieces were made before" in note for note in made.notes)
    one, other = (read_video(name)[0].astype(int) for name in ("out.mp4", "whole.mp4"))
    assert not folder.exists() and one.shape == other.shape  # sums may differ in their last bits from run to run
    assert np.abs(one - other).mean() < 0.5


def test_stopping_keeps_the_pieces(tmp_path, monkeypatch):
    world = fake_pipeline.world(tmp_path)
    monkeypatch.setattr(FakePipeline, "fail_at", 2)
    monkeypatch.setattr(FakePipeline, "failure", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt, match="the first 2.0 s are in"):
        generate("a ball", "out.mp4", model=world, seconds=4)
    assert len(list(Path().glob("out.*.pieces/piece-*.npz"))) == 2 and Path("out.partial.mp4").exists()


def test_the_work_folder(tmp_path):
    work = Work("o.mp4", {"seed": 1})
    assert work.folder != Work("o.mp4", {"seed": 2}).folder and work.read(0) is None and work.done == 0
    work.preview(np.zeros((4, 4, 3), np.uint8))
    work.tidy()
    assert not work.folder.exists()
    frames = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), dtype=np.uint8)
    work.write(0, frames)
    assert (work.read(0) == frames).all() and json.loads((work.folder / "manifest.json").read_text())["settings"]
    (work.folder / "piece-001.npz").write_bytes(b"PK cut off")
    assert work.read(0) is None


@pytest.mark.parametrize("options, says", [
    (["--things", "t.jsonl"], "imagines no things"), (["--control", "c"], "imagines no things"),
    (["--lora", "nothing.safetensors"], "there is no LoRA"), (["--chunk", "-1"], "must be above 0"),
    (["--size", "9x9"], "each side must be from 16 to 4096"), (["--steps", "999"], "from 1 to 200")])
def test_bad_arguments_are_one_line(tmp_path, monkeypatch, capsys, options, says):
    from reverie.foreign.world import ForeignWorld

    if "--lora" not in options:
        monkeypatch.setattr(ForeignWorld, "load", lambda *a, **k: fake_pipeline.world(tmp_path))
    assert cli.main(["generate", "a", "--model", "some/model", "--seconds", "1", *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and says in err, err


def test_what_belongs_to_other_models_only(capsys):
    for options in (["--lora", "x"], ["--chunk", "2"], ["--model", "a/b", "--paint", "c/d"]):
        assert cli.main(["generate", "a", "--seconds", "1", *options]) == 2
    assert cli.main(["generate", "a", "--no-things", "--control", "c"]) == 2
    assert capsys.readouterr().err.count("\n") == 4


# ---------------------------------------------------------------- drift


def _off(one: drift.Look, other: drift.Look) -> tuple[float, float, float]:
    return (float(np.abs(one.mean - other.mean).max()), float(np.abs(one.spread / other.spread - 1).max()),
            abs(one.detail / other.detail - 1))


def test_colour_and_sharpness_are_held_over_a_minute(tmp_path, monkeypatch):
    """480 frames in 60 pieces of a pipeline that reddens, pales and softens every frame a little."""
    looks = {}
    for held in (False, True):
        monkeypatch.setattr(FakePipeline, "drift", 0.02)
        with monkeypatch.context() as patch:
            if not held:
                patch.setattr(job.drift, "hold", lambda frames, *rest: frames)
            frames = np.concatenate([block.frames for block in fake_pipeline.world(tmp_path).imagine(
                [Line(0, "a")], seconds=60)])
        assert len(frames) == 480
        looks[held] = _off(drift.Look.of(frames[-8:]), drift.Look.of(frames[:8]))
        jumps = np.abs(np.diff(frames.astype(np.float32).mean((1, 2)), axis=0)).max()
        assert jumps < 3, "a seam shows"
    assert looks[False][0] > 25 and looks[False][2] > 0.3, looks  # it does drift
    assert looks[True][0] < 6 and looks[True][1] < 0.15 and looks[True][2] < 0.2, looks


def test_a_seam_is_taken_back_exactly():
    rng = np.random.default_rng(1)
    before = rng.integers(60, 180, (5, 32, 32, 3)).astype(np.uint8)
    made = (np.concatenate([before, before]).astype(np.float32) * 0.9 + (12, 0, -4)).clip(0, 255).astype(np.uint8)
    held = drift.hold(made, 5, before, None)
    assert np.abs(held[:5].astype(int) - before).mean() < 4 < np.abs(made[:5].astype(int) - before).mean()
    assert drift.hold(made, 0, None, None) is made


# ---------------------------------------------------------------- memory, previews, what comes back


def test_memory_is_planned_for_the_machine():
    able, counts = ask(FakePipeline()), {"transformer": 14 * 10**9, "text_encoder": 5 * 10**9, "vae": 10**8}
    size = (480, 832)

    def chosen(ram, vram=0):
        found = memory.choose(counts, FakePipeline(), able, size, 81, "big", Machine(ram << 30, "cuda" * bool(vram),
                                                                                    vram << 30))
        return found.place, found.quantise, found.dtype

    assert chosen(128, 80) == ("whole", "", torch.bfloat16)
    assert chosen(128, 36) == ("parts", "", torch.bfloat16)
    assert chosen(128, 20)[:2] == ("parts", "fp8")
    assert chosen(128, 9)[0] in ("parts", "layers")
    assert chosen(256) == ("cpu", "", torch.float32)
    assert chosen(64) == ("cpu", "", torch.bfloat16)
    with pytest.raises(ReverieError, match=r"big does not fit: 38.2 GB of weights and about .* no GPU") as error:
        chosen(16)
    assert "\n" not in str(error.value)
    small = Machine(8 << 30)
    assert memory.choose({"vae": 10**6}, FakePipeline(), able, (4096, 4096), 9, "x", small).tiled
    assert not memory.choose({"vae": 10**6}, FakePipeline(), able, (64, 64), 9, "x", small).tiled
    assert Machine.here().ram > 1 << 26


@pytest.mark.parametrize("place, calls", [("whole", ["to"]), ("parts", ["enable_model_cpu_offload"]),
                                          ("layers", ["enable_sequential_cpu_offload"]), ("cpu", [])])
def test_a_plan_is_put_on_a_pipeline(place, calls):
    """As diffusers names it: there is no GPU in the tests."""
    from unittest.mock import MagicMock

    pipe = MagicMock()
    memory.Plan(torch.bfloat16, place, "fp8", True, 0, 0, ("transformer",)).put(pipe)
    assert [name for name, *_ in pipe.method_calls if "." not in name] == calls
    pipe.transformer.enable_layerwise_casting.assert_called_once_with(
        storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.bfloat16)
    pipe.vae.enable_tiling.assert_called_once_with()
    pipe.vae.enable_slicing.assert_called_once_with()


@pytest.mark.parametrize("layout", ["channels first", "time first", "packed"])
def test_a_preview_learns_its_colours(layout):
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(3, 6, 8, 5)).astype(np.float32)  # T H W C
    colours = latents @ rng.normal(0, 20, (5, 3)) + 120
    frames = colours[[0, 0, 0, 0, 1, 1, 1, 1, 2]].repeat(8, 1).repeat(8, 2).clip(0, 255).astype(np.uint8)
    given = {"channels first": np.moveaxis(latents, 3, 0), "time first": np.moveaxis(latents, 3, 1),
             "packed": latents.reshape(-1, 5)}[layout]
    preview = Preview((48, 64), 9, 4, 8, 8)
    given = torch.from_numpy(np.ascontiguousarray(given))[None]
    assert preview.picture(given).shape == (192, 256, 3)  # before it has learned
    assert preview.learn(given, frames) < 8
    error = np.abs(preview.picture(given)[::32, ::32].astype(int) - frames[4, ::8, ::8]).mean()
    assert error < 8
    assert preview.picture(torch.zeros(1, 7)) is None


def test_what_pipelines_return_becomes_frames():
    grey = np.full((1, 3, 4, 6, 3), 0.5, np.float32)
    for value in (grey, torch.from_numpy(np.moveaxis(grey, -1, 2).copy()), [list((grey[0] * 255).astype(np.uint8))],
                  [[Image.new("RGB", (6, 4), (128, 128, 128))] * 3]):
        assert as_frames(value).shape == (3, 4, 6, 3) and as_frames(value).dtype == np.uint8
    with pytest.raises(ReverieError, match="no colours"):
        as_frames(grey * np.nan)
    with pytest.raises(ReverieError, match="no video"):
        as_frames(np.zeros((4, 4)))


def test_whether_the_past_is_repeated():
    past = np.random.default_rng(0).integers(0, 255, (9, 16, 16, 3), dtype=np.uint8)
    assert new_frames(np.concatenate([past, past]), past, 9) == 9
    assert new_frames(np.repeat(past[-1:], 12, 0), past, 9) == 0
    assert new_frames(past, None, 0) == 0


# ---------------------------------------------------------------- control videos


def _happening(*things, frames=8, eye=(0.0, -6.0, 1.8)) -> Happening:
    """Things as (kind, half sizes, position), seen from ``eye``."""
    n, count = len(things), frames
    position = np.broadcast_to(np.array([t[2] for t in things], np.float32), (count, n, 3)).copy()
    truth = Truth(
        "room", [t[0] for t in things], ["red"] * n, ["medium"] * n, ["bouncy"] * n,
        np.array([t[1] for t in things], np.float32), np.ones((count, n), bool), position,
        np.broadcast_to(np.eye(3, dtype=np.float32), (count, n, 3, 3)).copy(), np.zeros((count, n, 3), np.float32),
        np.zeros((count, n), np.float32), np.zeros((0, 3), np.int32), [], [0.0])
    path = CameraPath(np.repeat(np.array([eye], np.float32), count, 0),
                      np.repeat(look_at(np.array(eye), np.array([0.0, 0, 0.7]))[None], count, 0), 40.0)
    vectors = np.zeros((count // 4, th.TOKENS, th.WIDTH), np.float32)
    vectors[:, :, 0] = -1
    vectors[:, :n] = th.encode_things(truth)
    vectors[:, th.CAMERA_TOKEN] = th.encode_camera(path)
    return Happening(vectors, 24.0, table())


SIZE = (120, 160)


def test_a_ball_is_where_the_camera_sees_it():
    at = np.array([0.4, 0.5, 1.0])
    happening = _happening(("ball", (0.3, 0.3, 0.3), at))
    depth, slots = (values[0].view(SIZE) for values in happening._seen(0, SIZE))
    eye = np.array([0.0, -6.0, 1.8])
    rotation = look_at(eye, np.array([0.0, 0, 0.7]))
    pixel, far = project(at, eye, rotation, 40.0, *SIZE)
    ys, xs = np.nonzero((slots == 0).numpy())
    assert abs(xs.mean() + 0.5 - pixel[0]) < 0.7 and abs(ys.mean() + 0.5 - pixel[1]) < 0.7
    radius = 0.3 / far * 0.5 * SIZE[0] / np.tan(np.radians(20))
    assert len(xs) == pytest.approx(np.pi * radius**2, rel=0.06)
    assert float(depth[slots == 0].min()) == pytest.approx(float(far) - 0.3, abs=0.03)
    assert float(depth[0].min()) == FAR and float(depth[-1].max()) < 7  # sky above, ground below


@pytest.mark.parametrize("kind, share", [("box", 1.0), ("cylinder", 1.0), ("cone", 0.5), ("ball", np.pi / 4)])
def test_each_shape_has_its_outline(kind, share):
    """Seen level and from afar, of the square that it stands in."""
    happening = _happening((kind, (0.5, 0.5, 0.5), (0, 0, 0.7)), eye=(0.0, -20.0, 0.7))
    slots = happening._seen(0, (400, 400))[1][0]
    square = (400 / (2 * np.tan(np.radians(20)) * 20)) ** 2
    assert int((slots == 0).sum()) == pytest.approx(share * square, rel=0.07)


def test_nearer_things_hide_farther_ones_and_every_kind_is_drawn():
    happening = _happening(("box", (0.4, 0.4, 0.4), (0, 2, 0.4)), ("ball", (0.3, 0.3, 0.3), (0, -1, 0.9)),
                           ("person", (0.25, 0.2, 0.8), (1.2, 1, 0.8)))
    slots = happening._seen(0, SIZE)[1][0].view(SIZE)
    assert {int(s) for s in slots.unique()} == {-2, -1, 0, 1, 2}
    depth, kinds, boxes, edges = (happening.frame(kind, 5, SIZE) for kind in ("depth", "kinds", "boxes", "edges"))
    assert depth.std() > 20 and (depth[..., 0] == depth[..., 1]).all()
    assert len(np.unique(kinds.reshape(-1, 3), axis=0)) == 5
    assert len(np.unique(boxes.reshape(-1, 3), axis=0)) == 4  # three outlines on black
    change = (np.diff(slots.numpy(), axis=1) != 0)
    assert (edges[:, :-1, 0][change] == 255).all() and 0.01 < (edges > 0).mean() < 0.2
    rows = happening.rows([0, 2, 4], 7, 16.0, SIZE)
    assert [row["frame"] for row in rows] == [7] * 3 + [8] * 3 + [9] * 3 and rows[0]["time"] == 0.4375


def test_control_videos_are_written():
    happening = _happening(("ball", (0.3, 0.3, 0.3), (0, 0, 0.9)), frames=24)
    files = write("c", happening, size=(48, 64), fps=12.0, frames=11)
    assert sorted(os.listdir("c")) == ["boxes.mp4", "depth.mp4", "edges.mp4", "kinds.mp4", "things.jsonl"]
    for file in files[:4]:
        assert read_video(file)[0].shape == (11, 48, 64, 3)
    assert "ball" in probe("c/kinds.mp4")["metadata"]["legend"]
    rows = [json.loads(line) for line in Path("c/things.jsonl").read_text().splitlines()]
    assert [row["frame"] for row in rows] == list(range(11))
    with pytest.raises(ReverieError, match="cannot make the folder"):
        Path("file").write_text("")
        write("file/c", happening, size=(48, 64), fps=12.0, frames=1)
