"""Every recipe, shrunk, from data it makes itself to a model that imagines; begun again from its weights."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from reverie.core.clip import Line
from reverie.core.errors import BadInput, BadWeights
from reverie.core.vocabulary import SETTINGS
from reverie.model.checkpoint import load_model, save_model
from reverie.model.transformer import Config, Transformer
from reverie.train.observer import ObserverRecipe
from reverie.train.observer_frames import Variation
from reverie.train.observer_second import SecondRecipe
from reverie.train.recipes import RECIPES, train
from reverie.world import World

pytest.importorskip("mujoco")


def small(name: str) -> dict:
    """What makes a recipe small enough for a test, leaving its own shape as it is."""
    plan = RECIPES[name]
    return {"tokenizer": "tiny", "depth": 2, "clips": 3, "things_clips": 2, "seconds": "3", "size": (64, 64),
            "steps": 3, "things": replace(plan.things, latents=8, batch=2, past=2),
            "drawn": replace(plan.drawn, latents=6, batch=2, past=1), "precision": "fp32"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """One small data set for all recipes; skipped where nothing can draw."""
    from reverie.core.errors import ReverieError
    from reverie.data.make import make

    folder = tmp_path_factory.mktemp("data")
    try:
        make("lab", folder / "drawn", clips=3, seconds=3.0, size=(64, 64), workers=0, progress=False)
    except ReverieError as error:
        if "libegl1" in str(error) or "OSMesa" in str(error):
            pytest.skip(str(error))
        raise
    make("lab", folder / "things", clips=2, seconds=3.0, things_only=True, workers=0, seed=1, progress=False)
    return folder


@pytest.fixture(autouse=True)
def brief_looks(monkeypatch) -> None:
    """The contact sheets of a training run, but of a moment only; and an observer that sees few pictures."""
    monkeypatch.setattr("reverie.train.look.SECONDS", 0.2)
    few = ObserverRecipe(Variation(pixels=4 * 64 * 64), SecondRecipe(frames=4, every=6, trips=4, drawings=4, found=40))
    monkeypatch.setattr("reverie.train.observer.ObserverRecipe", lambda: few)


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_from_data_to_video(name, data, tmp_path) -> None:
    words = train(name, data=data, out=tmp_path / "words", stage="words", progress=False) if name == "debug" else None
    model = train(name, data=data, out=tmp_path, words=words, progress=False, device="cpu", **small(name))
    world = World.load(model)
    blocks = list(world.imagine([Line(0.0, "a red ball falls")], seconds=0.5, size=(64, 96)))
    assert np.concatenate([b.frames for b in blocks]).shape == (12, 64, 96, 3)
    assert len(list(world.imagine([Line(0.0, "a red ball falls")], seconds=0.3, things=False))) == 2
    assert world.tokenizer.config.canvas == RECIPES[name].canvas
    meta = load_model(model / "transformer.safetensors")[1]
    assert meta["recipe"]["name"] == name and meta["data"]["drawn"] == 3 and meta["words"]
    lines = (tmp_path / "transformer" / "log.jsonl").read_text().splitlines()
    assert all("step" in json.loads(line) for line in lines)
    if name == "debug":
        goes_on(name, data, tmp_path, model)
    # the same command again finds everything done; from its weights a new run begins
    again = train(name, data=data, out=tmp_path / "again", start_from=model, stage="latents", device="cpu",
                  progress=False, **small(name))
    train(name, data=data, out=tmp_path / "again", start_from=model, stage="transformer", device="cpu",
          progress=False, **small(name))
    assert (again / "transformer.safetensors").exists()


def goes_on(name: str, data: Path, folder: Path, model: Path) -> None:
    """The tokenizer and the eye train on, and what paints learns the latents that have changed; no canvas changes, and
    no things."""
    how = {"data": data, "start_from": model, "device": "cpu", "progress": False, **small(name)}
    more = train(name, out=folder / "more", stage="tokenizer", **how)
    old, new = (load_model(m / "tokenizer.safetensors") for m in (model, more))
    assert new[1]["config"] == old[1]["config"] and new[1]["canvas"] == old[1]["canvas"]
    changed = {n for n in old[0] if not torch.equal(old[0][n], new[0][n])}
    assert changed and not any(n.startswith("canvas.") for n in changed)
    train(name, out=folder / "more", stage="observer", **how)
    eyes = [load_model(m / "observer.safetensors")[0] for m in (model, more)]
    assert any(not torch.equal(eyes[0][n], eyes[1][n]) for n in eyes[0])
    train(name, out=folder / "more", stage="views", **how)
    old, new = (load_model(m / "transformer.safetensors") for m in (model, more))
    of_views = set(Transformer(Config(**old[1]["config"])).views_parameters())
    changed = {n for n in old[0] if not torch.equal(old[0][n], new[0][n])}
    assert changed and changed <= of_views and new[1]["sampling"] == old[1]["sampling"]


@pytest.mark.parametrize("stage", ["things", "distil", "rollouts"])
def test_things_train_on_and_what_paints_stays_as_it_is(stage, tmp_path) -> None:
    from reverie.data.make import make

    make("lab", tmp_path / "data", clips=3, seconds=3.0, things_only=True, workers=0, progress=False)
    torch.manual_seed(0)
    config = Config(depth=2, channels=8, slots=12)
    begun = Transformer(config)
    save_model(tmp_path / "begun.safetensors", begun.state_dict(),
               {"kind": "transformer", "config": config.to_dict(), "sampling": {"guidance": 2.0}})
    train("debug", stage=stage, data=tmp_path / "data", start_from=tmp_path / "begun.safetensors",
          out=tmp_path / "out", progress=False, device="cpu", steps=3, precision="fp32")
    before = load_model(tmp_path / "begun.safetensors")[0]
    after, meta = load_model(tmp_path / "out" / stage / "transformer.safetensors")
    assert meta["config"] == config.to_dict()
    if stage != "distil":
        assert meta["sampling"]["guidance"] == 2.0 and len(meta["sampling"]["looks"]) == len(SETTINGS)
    else:
        assert meta["sampling"] == {"guidance": 1.0, "things_steps": 2}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and changed <= set(begun.things_parameters())
    assert (tmp_path / "out" / "model" / "transformer.safetensors").exists()
    with pytest.raises(BadInput, match="start_from"):
        train("debug", stage=stage, data=tmp_path / "data", out=tmp_path / "other", progress=False, device="cpu")


def test_nonsense_is_refused(tmp_path) -> None:
    with pytest.raises(BadInput, match="no recipe"):
        train("quantum", out=tmp_path)
    with pytest.raises(BadInput, match="no stage"):
        train("debug", stage="dessert", out=tmp_path)
    with pytest.raises(BadInput, match="no model"):
        World.load(tmp_path / "nowhere")
    with pytest.raises(BadWeights):
        World.load(tmp_path)


def test_the_command_line_knows_every_stage(capsys) -> None:
    from reverie.cli import main
    from reverie.train.recipes import ALONE, STAGES

    assert main(["train", "debug", "--stage", "dessert"]) == 2
    said = capsys.readouterr().err
    assert all(stage in said for stage in (*STAGES, *ALONE))
