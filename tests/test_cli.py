"""The command line's contract, over a stand-in world: exit codes, one line, what is left behind."""

import importlib
import inspect
import json
import os
import resource
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")
import fake_world  # noqa: E402
from PIL import Image  # noqa: E402

import reverie  # noqa: E402
from reverie import cli  # noqa: E402
from reverie.core.errors import BadInput, CannotWrite  # noqa: E402
from reverie.core.moves import parse_moves  # noqa: E402
from reverie.core.video import VideoWriter, probe, read_video  # noqa: E402
from reverie.generation import Stopped, generate  # noqa: E402

FAKE = str(Path(fake_world.__file__))
ONE_LINE = ["generate", "a ball falls", "--seconds", "1", "-o"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Every test in an empty folder, with the stand-in in the place of reverie.world."""
    before = sys.modules.get("reverie.world")
    monkeypatch.chdir(tmp_path)
    fake_world.install()
    fake_world.World.calls = []
    monkeypatch.setattr(fake_world.World, "fail_after", None)
    yield tmp_path
    sys.modules.pop("reverie.world", None)
    if before is not None:  # in both places: a test that imports the real one anew leaves that in the package
        sys.modules["reverie.world"] = reverie.world = before


def run(*args) -> int:
    return cli.main([str(arg) for arg in args])


def refused(capsys, code: int, *args) -> str:
    """Run what must fail: that code, one line on stderr, nothing else, nothing left. Returns the line."""
    before = sorted(os.listdir("."))
    assert run(*args) == code
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("reverie"), (out, err)
    assert sorted(os.listdir(".")) == before
    return err


def a_video(name="past.mp4", frames=24, fps=12, size=(64, 96)) -> str:
    with VideoWriter(name, fps=fps, size=size) as writer:
        for number in range(frames):
            writer.write(np.full((1, *size, 3), number * 5 % 256, np.uint8))
    return name


# ---------------------------------------------------------------- what it does


def test_a_sentence_becomes_a_video(capsys):
    assert run("generate", "a red box zorbs by", "--seconds", 2.5, "--seed", 3, "--things", "t.jsonl") == 0
    out, err = capsys.readouterr()
    assert out.startswith("out.mp4: 2.5 s, 96x64, 12 fps, seed 3") and "zorbs" in err
    assert sorted(os.listdir(".")) == ["out.mp4", "t.jsonl"]
    assert read_video("out.mp4")[0].shape == (30, 64, 96, 3)
    rows = [json.loads(line) for line in Path("t.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["frame"] for row in rows] == list(range(30))


def test_json_is_one_object_and_nothing_else(capsys):
    assert run("generate", "一个红球 zorb", "--seconds", 1, "--size", "128x64", "--fps", 23.976,
               "--json") == 0
    out, _ = capsys.readouterr()
    made = json.loads(out)
    assert out.count("\n") == 1 and made["unknown_words"] == ["zorb"]
    assert (made["output"], made["size"], made["fps"], made["frames"]) == ("out.mp4", "128x64", 23.976, 24)


def test_provenance_is_in_the_file():
    assert run("generate", "一个红球", "--seconds", 1, "--seed", 5, "--steps", 4,
               "--camera", "pan left 20") == 0
    about = probe("out.mp4")["metadata"]
    assert about["prompt"] == "一个红球" and about["script"] == [{"start": 0.0, "text": "一个红球"}]
    assert (about["seed"], about["steps"], about["size"], about["model"]) == (5, 4, "96x64", "fake0123")
    assert about["camera"] == "pan left 20" and about["made_by"].startswith("reverie ")


def test_every_flag_reaches_the_world():
    Image.new("RGB", (200, 100), "red").save("a.png")
    Image.new("RGB", (100, 200), "blue").save("b.png")
    assert run("generate", "x", "--seconds", "1", "--image", "a.png", "--end-image", "b.png", "--no-things",
               "--steps", "8", "--seed", str(2**40)) == 0
    call = fake_world.World.calls[-1]
    assert call["past"].shape == (1, 64, 96, 3) and call["past"][0, 30, 40].tolist() == [255, 0, 0]
    assert call["goal"].shape == (64, 96, 3) and call["goal"][30, 40].tolist() == [0, 0, 255]
    assert (call["things"], call["steps"], call["seed"], call["fps"]) == (False, 8, 2**40, 12.0)
    assert run("generate", "--image", "a.png", "--loop", "--seconds", "1") == 0
    assert fake_world.World.calls[-1]["loop"] and fake_world.World.calls[-1]["script"][0].text == ""
    assert run("generate", "x", "--camera", "orbit left 30, dolly in 0.5", "--seconds", "1") == 0
    assert fake_world.World.calls[-1]["moves"] == parse_moves("orbit left 30, dolly in 0.5")


def test_a_script():
    Path("s.toml").write_text('[[line]]\nstart = 0\ntext = "a"\n'
                              '[[line]]\nstart = 1\ntext = "b"\ncamera = "pan left 9"')
    assert run("generate", "--script", "s.toml", "--seconds", "2") == 0
    call = fake_world.World.calls[-1]
    assert [(line.start, line.text) for line in call["script"]] == [(0.0, "a"), (1.0, "b")]
    assert call["moves"] == ((0.0, parse_moves("still")), (1.0, parse_moves("pan left 9")))


def test_a_video_is_extended(capsys):
    past = a_video(fps=24, frames=48, size=(64, 128))
    assert run("generate", "more", "--video", past, "--seconds", "1", "--things", "t.jsonl") == 0
    frames, fps = read_video("out.mp4")
    assert len(frames) == 24 + 12 and fps == 12
    assert [round(frame.mean() / 5) for frame in frames[:24]] == list(range(0, 48, 2))
    assert len(fake_world.World.calls[-1]["past"]) == 24
    assert json.loads(Path("t.jsonl").read_text().splitlines()[0])["frame"] == 24
    err = capsys.readouterr().err
    assert "24 fps" in err and "128x64" in err  # it says what was done to the video


def test_a_long_past_is_copied_whole_and_its_end_shown():
    assert generate("more", "o.mp4", video=a_video(frames=240), seconds=1).frames == 240 + 12
    past = fake_world.World.calls[-1]["past"]
    assert len(past) == 120 and round(past[-1].mean()) == 239 * 5 % 256


def test_the_same_seed_gives_the_same_bytes():
    for name in ("a.mp4", "b.mp4"):
        generate("x", name, seconds=2, seed=4)
    assert Path("a.mp4").read_bytes() == Path("b.mp4").read_bytes()
    drawn = [generate("x", "c.mp4", seconds=1, seed=None).seed for _ in range(2)]
    assert drawn[0] != drawn[1]


def test_models_and_help(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "reverie.cards", types.SimpleNamespace(models=fake_world.models))
    assert run("models", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [{"name": "base", "bytes": 12}]
    assert run("models") == 0 and "base" in capsys.readouterr().out
    monkeypatch.setattr(sys.modules["reverie.cards"], "card", lambda name: f"# {name}\n", raising=False)
    assert run("models", "base") == 0 and capsys.readouterr().out == "# base\n"
    assert run("models", "base", "--json") == 0 and json.loads(capsys.readouterr().out)["card"] == "# base\n"
    assert run("--version") == 0
    for verb in ("", "generate", "data", "data make", "data info", "train", "evaluate", "models"):
        assert run(*verb.split(), "--help") == 0
    assert "130" in capsys.readouterr().out


def test_help_needs_nothing_heavy():
    """Beside ``python -c pass``, as a ratio of processor time: the machine may be busy."""
    code = ("import sys\nfrom reverie.cli import main\nmain(['--help'])\n"
            "print(sorted({'torch', 'numpy', 'rich', 'av', 'PIL'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")

    def used():
        children = resource.getrusage(resource.RUSAGE_CHILDREN)  # to the microsecond; os.times counts in hundredths
        return children.ru_utime + children.ru_stime

    def best(*args):
        spent = []
        for _ in range(5):
            before = used()
            subprocess.run([sys.executable, *args], capture_output=True, check=True)
            spent.append(used() - before)
        return min(spent)

    assert best("-m", "reverie", "--help") < 15 * best("-c", "pass")  # 6.5; torch alone would make it 100


def other(monkeypatch, module: str, name: str, answer):
    """Put a function that notes its arguments and gives ``answer`` in the place of module.name."""
    calls = []

    def function(*args, **kwargs):
        calls.append((args, kwargs))
        return answer

    monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(**{name: function}))
    return calls


def test_data_verbs(capsys, monkeypatch):
    made = {"folder": "d", "clips": 4, "made": 2, "frames": 96, "failed": [], "seconds": 1.0,
            "fps": 96.0}
    calls = other(monkeypatch, "reverie.data.make", "make", made)
    assert run("data", "make", "lab", "-o", "d", "--clips", 4, "--size", "96x64", "--seconds", "6..60") == 0
    assert calls[0][0] == ("lab", "d")
    assert calls[0][1]["size"] == (64, 96) and calls[0][1]["seconds"] == "6..60"
    assert "4 clips" in capsys.readouterr().out
    about = {"clips": 4, "kinds": {"ball": 3}, "rows": [{"a": 1}]}
    calls = other(monkeypatch, "reverie.data.info", "info", about)
    assert run("data", "info", "d", "lab-00000001", "--sheet", "s.png") == 0
    assert calls[0][0] == ("d", "lab-00000001", "s.png") and "  ball: 3" in capsys.readouterr().out
    assert run("data", "info", "d", "--json") == 0 and json.loads(capsys.readouterr().out)["clips"] == 4


def test_train_and_evaluate(capsys, monkeypatch):
    calls = other(monkeypatch, "reverie.train.recipes", "train", "runs/cpu/model")
    assert run("train", "cpu", "--minutes", 5, "--from", "m", "-o", "r", "--stage", "latents") == 0
    assert calls[0][0] == ("cpu",) and calls[0][1]["minutes"] == 5 and calls[0][1]["start_from"] == "m"
    assert capsys.readouterr().out == "runs/cpu/model\n"
    other(monkeypatch, "reverie.train.recipes", "train", None)  # it was interrupted, and kept its state
    assert run("train", "cpu") == cli.STOPPED and "goes on" in capsys.readouterr().err
    figures = [{"name": "psnr", "value": 30.123, "unit": "dB", "goal": ">= 29", "n": 8}]
    report = {"suite": "tokenizer", "commit": "c", "model": "m", "seconds": 3.2, "figures": figures}
    calls = other(monkeypatch, "reverie.evaluate.suite", "run", report)
    assert run("evaluate", "tokenizer", "--n", 8) == 0 and calls[0][1] == {"model": "base", "n": 8}
    assert "30.12 dB" in capsys.readouterr().out
    assert run("evaluate", "tokenizer", "--json") == 0 and json.loads(capsys.readouterr().out) == report


# ---------------------------------------------------------------- what it refuses


@pytest.mark.parametrize("extra", [
    ["--seconds", "0"], ["--seconds", "-5"], ["--seconds", "nan"], ["--seconds", "inf"],
    ["--seconds", "10000"], ["--seconds", "soon"], ["--fps", "0"], ["--fps", "0.5"], ["--fps", "61"],
    ["--fps", "nan"], ["--fps", "-1"],
    ["--size", "100x100"], ["--size", "0x0"], ["--size", "32x64"], ["--size", "2048x64"], ["--size", "64"],
    ["--size", "-64x64"], ["--size", "64x64x64"], ["--size", "٦٤x64"], ["--size", "9" * 5000 + "x64"],
    ["--steps", "0"], ["--steps", "65"], ["--steps", "2.5"], ["--seed", "-1"], ["--seed", str(2**63)],
    ["--seed", "x"], ["--model", "nothing"], ["--camera", "fly up"], ["--camera", " "],
    ["--loop", "--end-image", "p.png"], ["--image", "p.png", "--video", "v.mp4"],
    ["--loop", "--video", "v.mp4"], ["--script", "none.toml"],
    ["--no-things", "--things", "t.jsonl"], ["--things", "t.txt"], ["-o", "out.avi"], ["--nothing"],
    ["--second", "3"], ["two", "prompts"],
])
def test_arguments_without_sense_exit_with_2(capsys, extra):
    refused(capsys, 2, "generate", "a ball", *extra)


def test_prompts_without_sense(capsys):
    for args in ([], [""], ["  "], ["x" * 1001], ["a\ud800b"]):
        assert "prompt" in refused(capsys, 2, "generate", *args)
    Path("s.toml").write_text('[[line]]\nstart = 0\ntext = "a"\ncamera = "pan left 9"')
    assert "not both" in refused(capsys, 2, "generate", "x", "--script", "s.toml")
    assert "camera" in refused(capsys, 2, "generate", "--script", "s.toml", "--camera", "pan left 9")
    Path("late.toml").write_text('[[line]]\nstart = 0\ntext = "a"\n'
                                 '[[line]]\nstart = 5\ntext = "b"')
    assert "line 2" in refused(capsys, 2, "generate", "--script", "late.toml", "--seconds", "5")


def test_no_verb_or_a_wrong_one(capsys):
    for args in ([], ["genrate"], ["data"], ["data", "mkae"], ["train", "moon"],
                 ["train", "cpu", "--minutes", "0"],
                 ["train", "cpu", "--minutes", "nan"], ["train", "cpu", "--stage", "x"], ["evaluate"],
                 ["evaluate", "x", "--n", "0"], ["data", "make", "lab"]):
        assert "--help" in refused(capsys, 2, *args)


@pytest.mark.parametrize("flag", ["--image", "--end-image", "--video"])
def test_inputs_that_cannot_be_read(capsys, flag):
    Path("empty").write_bytes(b"")
    Path("noise.mp4").write_bytes(os.urandom(3000))
    Path("text.png").write_text("hello" * 100)
    os.mkdir("folder")
    for name in ("none.png", "empty", "noise.mp4", "text.png", "folder", "zero\0byte"):
        line = refused(capsys, 1, "generate", "x", flag, name)
        assert name.split("\0")[0] in line and "\0" not in line
    assert not fake_world.World.calls  # found before the model was used


def test_outputs_that_cannot_be_written(capsys):
    os.mkdir("d.mp4")
    assert "folder" in refused(capsys, 1, *ONE_LINE, "d.mp4")
    assert "no folder" in refused(capsys, 1, *ONE_LINE, "none/o.mp4")
    assert "name" in refused(capsys, 1, *ONE_LINE, "x" * 260 + ".mp4")
    assert "no folder" in refused(capsys, 1, *ONE_LINE, "o.mp4", "--things", "none/t.jsonl")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(capsys):
    os.mkdir("locked", 0o500)
    assert "permission" in refused(capsys, 1, *ONE_LINE, "locked/o.mp4")


def test_not_enough_room_is_found_before_the_work(capsys, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: types.SimpleNamespace(free=1000))
    assert "MB free" in refused(capsys, 1, *ONE_LINE, "o.mp4")
    assert not fake_world.World.calls


def test_a_failure_in_the_middle_leaves_nothing(capsys, monkeypatch):
    monkeypatch.setattr(fake_world.World, "fail_after", 12)
    line = refused(capsys, 1, "generate", "x", "--seconds", "5", "--things", "t.jsonl")
    assert "RuntimeError: the network broke" in line and "--debug" in line
    assert run("generate", "x", "--debug") == 1
    assert "Traceback" in capsys.readouterr().err
    assert run("generate", "x", "--seconds", "0", "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_full_disk_in_the_middle(monkeypatch):
    """The encoder's failure reaches the caller, and the things' file does not stay behind half-written."""
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("av.VideoFrame.from_ndarray", full)
    with pytest.raises(CannotWrite, match="the disk is full"):
        generate("x", "o.mp4", seconds=20, things_out="t.jsonl")
    assert os.listdir(".") == []


def test_a_missing_package_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert "the package av" in refused(capsys, 1, *ONE_LINE, "o.mp4")


# ---------------------------------------------------------------- stopping it


def start(*args):
    return subprocess.Popen([sys.executable, FAKE, "generate", "x", "--model", "slow", *args],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_a_playable_file(here, number):
    process = start("-o", "o.mp4", "--things", "t.jsonl", "--json", "--seconds", "60")  # nine, for a slow machine
    until = time.monotonic() + 200
    while not any(path.stat().st_size > 5000 for path in here.glob("*.mp4")) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=200)
    assert process.returncode == cli.STOPPED and out == ""
    said = [line for line in err.splitlines() if not line.startswith("frames: ")]  # on a slow machine: how far
    assert len(said) == 1 and "o.partial.mp4" in said[0]
    assert sorted(os.listdir(here)) == ["o.partial.mp4", "t.partial.jsonl"]
    frames = len(read_video("o.partial.mp4")[0])
    assert frames >= 24
    assert probe("o.partial.mp4")["metadata"]["prompt"] == "x"
    rows = Path("t.partial.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["frame"] <= frames


def test_stopping_in_a_program(monkeypatch):
    def stop(self, *args, **kwargs):
        yield fake_world.Block(0, np.zeros((4, 64, 96, 3), np.uint8), [])
        raise KeyboardInterrupt

    monkeypatch.setattr(fake_world.World, "imagine", stop)
    with pytest.raises(Stopped) as caught:
        generate("x", "o.mp4", seconds=5)
    assert caught.value.kept == Path("o.partial.mp4") and caught.value.seconds == pytest.approx(4 / 12)


def test_main_puts_the_signal_handlers_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run("models")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_generate_checks_what_programs_give():
    for bad in (dict(size=(64, 100)), dict(seconds=float("nan")), dict(seed=-1), dict(fps=0), dict(steps=0)):
        with pytest.raises(BadInput):
            generate("x", "o.mp4", **bad)


# ---------------------------------------------------------------- progress


def test_plain_progress_says_how_far_and_how_long(monkeypatch):
    import io

    from reverie.core import progress

    file, clock = io.StringIO(), [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with progress.Progress(100, "frames", file=file) as bar:
        for _ in range(100):
            clock[0] += 0.5
            bar.advance(1, note="2 fps")
    lines = file.getvalue().splitlines()
    assert lines[0] == "frames: 10/100 (10%), 0:45 left, 2 fps" and lines[-1] == "frames: 100 in 0:50"
    assert 3 <= len(lines) <= 6 and progress.clock(3723) == "1:02:03"


def test_a_bar_on_a_terminal(monkeypatch):
    import io

    from reverie.core import progress

    file = io.StringIO()
    file.isatty = lambda: True
    monkeypatch.setenv("TERM", "xterm")
    with progress.Progress(10, "frames", file=file) as bar:
        for _ in range(10):
            bar.advance()
    assert "10/10" in file.getvalue()


# ---------------------------------------------------------------- the functions behind the verbs


@pytest.mark.parametrize("module, name, args, names", [
    ("reverie.data.make", "make", 2,
     "clips things_only seconds size fps seed split workers shard_size progress"),
    ("reverie.data.info", "info", 3, ""),
    ("reverie.train.recipes", "train", 1, "minutes stage data out start_from words device"),
    ("reverie.evaluate.suite", "run", 1, "model n"),
])
def test_verbs_call_functions_that_take_what_they_give(module, name, args, names):
    sys.modules.pop("reverie.world", None)  # the real ones, over the real world
    function = getattr(importlib.import_module(module), name)
    inspect.signature(function).bind(*[None] * args, **dict.fromkeys(names.split()))


def test_the_stand_in_has_the_world_s_interface():
    sys.modules.pop("reverie.world", None)
    world = importlib.import_module("reverie.world").World
    mine, real = (inspect.signature(made.imagine).parameters for made in (fake_world.World, world))
    assert set(mine) <= set(real)
    assert all(mine[name].kind == real[name].kind for name in mine)
    for name in ("load", "default_size", "fps", "unknown_words"):
        assert hasattr(world, name)
    assert "hash" in world.__dataclass_fields__
