"""A model of a log: trained a few steps from a log that somebody drove, it answers to that log's own actions."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from reverie.core.actions import CAMERA, Action, by_name, checked_actions, scaled
from reverie.core.errors import BadInput
from reverie.core.video import VideoWriter, stream_video
from reverie.ingesting import ingest, log_shards
from reverie.model.checkpoint import load_model
from reverie.model.rollout import Rollout
from reverie.model.sampling import Sampling
from reverie.model.schedule import Conditions
from reverie.model.tokenizer import PRESETS, Tokenizer
from reverie.model.transformer import Config, Transformer
from reverie.model.window import Window
from reverie.train.log import encode_log, is_log, log_actions
from reverie.train.recipes import train
from reverie.world import World, step_together

ROWS, STEP = 400, 0.08


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log whose pictures move aside as it is steered."""
    folder = tmp_path_factory.mktemp("my_drive")
    rng, place, pictures, rows = np.random.default_rng(0), 0.0, [], ["time_s,steering,throttle,speed_mps"]
    stripes = np.indices((32, 256)).sum(0) // 8 % 2 * 200
    for k in range(ROWS):
        steering = round(float(np.sin(k / 7) + 0.1 * rng.normal()) / 2, 3)
        place += 4 * steering
        pictures.append(np.repeat(np.roll(stripes, round(place), 1)[:, :64, None], 3, 2).astype(np.uint8))
        rows.append(f"{k * STEP:.2f},{steering},0.5,{8 + k % 3}")
    with VideoWriter(folder / "center.mp4", fps=12.5, size=(32, 64)) as video:
        video.write(np.stack(pictures))
    (folder / "log.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def shards(log, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    ingest([log], folder, size=(32, 64), seconds=4.0)
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A tiny model of the lab, untrained."""
    from reverie.model.checkpoint import save_model

    folder = tmp_path_factory.mktemp("start")
    torch.manual_seed(0)
    Tokenizer(PRESETS["tiny"]).save(folder / "tokenizer.safetensors", {})
    model = Transformer(Config(depth=2, channels=8, slots=4))
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    save_model(folder / "transformer.safetensors", model.state_dict(), {"config": {
        **model.config.to_dict(), "actions": 5}})
    return folder


@pytest.fixture(scope="module")
def made(shards, start, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return train("debug", data=shards, out=out, start_from=start, steps=3, progress=False, device="cpu")


@pytest.fixture(scope="module")
def world(made):
    return World.load(made)


def past(shards) -> tuple[np.ndarray, np.ndarray]:
    from reverie.data.shards import ClipSet

    clip = ClipSet(shards).clip(0)
    return next(iter(clip.views.values()))[:16], clip.actions[:16]


def test_a_saved_model_keeps_its_channels(world, made, shards) -> None:
    names = [action.name for action in world.drive]
    assert {"steering", "throttle"} <= set(names) and world.transformer.config.actions == len(names)
    steering = world.drive[names.index("steering")]
    assert steering.scale == pytest.approx(0.7, abs=0.1)
    assert all(action.low <= 0 <= action.high and action.scale > 0 for action in world.drive)
    meta = load_model(made / "transformer.safetensors")[1]
    assert Config(**json.loads(json.dumps(meta["config"]))) == world.transformer.config
    assert world.default_size == (32, 64) and world.fps == pytest.approx(12.5)
    assert "held_out_loss" in meta["scores"] and meta["recipe"]["trained_steps"] == 3


def test_dreams_answer_to_actions(world, shards) -> None:
    frames, driven = past(shards)
    for parameter in world.transformer.actions_in.parameters():  # three steps say little: louder
        parameter.data *= 30
    seen = world.seen(frames, world.fps)

    def dreamt(**asked) -> np.ndarray:
        dream = world.dream(past=list(seen), driven=driven, seed=3)
        return np.concatenate([dream.step(rates=asked or None).frames for _ in range(2)])

    left, right = dreamt(steering=-0.5), dreamt(steering=0.5)
    assert left.shape == (8, 32, 64, 3) and (left != right).any()
    assert (left == dreamt(steering=[-0.5] * 4)).all(), "one number, or four"
    assert (dreamt() != left).any()
    other = world.dream(past=list(seen), driven=-driven, seed=3).step().frames
    assert (other != dreamt()[:4]).any(), "what was done in the past counts"
    pair = [world.dream(past=list(seen), driven=driven, seed=3) for _ in range(2)]
    blocks = step_together(pair, [{"rates": {"steering": s}} for s in (-0.5, 0.5)])
    assert np.abs(blocks[0].frames.astype(int) - left[:4]).max() <= 1
    imagined = list(world.imagine([], seconds=8 / world.fps, past=frames, driven=driven, seed=3,
                                  actions=[{"steering": -0.5}] * 2))
    assert (np.concatenate([block.frames for block in imagined]) == left).all()


@pytest.mark.parametrize("asked, why", [
    ({"pan": 3.0}, "'pan': this model's are"), ({"steering": 2.0}, "steering: 2.0 is not a number from"),
    ({"steering": float("nan")}, "steering: nan"), ({"steering": "left"}, "steering: left"),
    ({"steering": [0.0, 0.1]}, "has 2 numbers"), ({"speed": 3.0}, "speed is measured"),
])
def test_wrong_actions_are_one_clear_line(world, shards, asked, why) -> None:
    dream = world.dream(past=past(shards)[0], driven=past(shards)[1])
    drive = tuple(Action(a.name, a.unit, -1.0, 1.0, a.scale) if a.name == "steering" else
                  Action(a.name, a.unit, a.low, a.high, a.scale, a.name == "speed") for a in world.drive)
    with pytest.raises(BadInput, match=why) as caught:
        checked_actions(asked, drive)
    assert "\n" not in str(caught.value)
    if "pan" in asked:
        with pytest.raises(BadInput, match=why):
            dream.step(rates=asked)
        assert dream.n < 0


def test_what_a_log_cannot(world, shards, start, tmp_path) -> None:
    from reverie.core.clip import Line

    with pytest.raises(BadInput, match="no words"):
        world.dream([Line(0.0, "a red ball falls")])
    with pytest.raises(BadInput, match="stage observer needs the truth"):
        train("debug", data=shards, out=tmp_path, start_from=start, stage="observer")
    with pytest.raises(BadInput, match="--from base"):
        train("debug", data=shards, out=tmp_path)


def test_futures_are_driven(world, log, shards, tmp_path, monkeypatch) -> None:
    from reverie.futures import tracks
    from reverie.futures.driven import driven_on
    from reverie.futures.making import futures

    driven = past(shards)[1]
    driven = by_name(driven, ("steering", "throttle", "speed"), world.drive, len(driven))
    steering = [action.name for action in world.drive].index("steering")
    going = {word: driven_on(word, world.drive, driven, frames=8, fps=12.5).rates
             for word in ("keep", "left", "right", "brake", "none")}
    assert going["none"] == [None, None] and going["left"][0]["steering"] < 0 < going["right"][1]["steering"]
    assert going["keep"][0]["steering"] == pytest.approx(driven[-12:, steering].mean(), abs=1e-4)
    assert going["brake"][0]["throttle"] == 0 and "speed" not in going["keep"][0]
    table = tmp_path / "acts.csv"
    table.write_text("time,steering\n0,0.1\n0.2,-0.3\n")
    rates = driven_on(str(table), world.drive, driven, frames=8, fps=12.5).rates
    assert rates[0]["steering"] == pytest.approx([0.1, 0.1, 0.1, -0.3])
    assert rates[0]["throttle"] == pytest.approx([0.5] * 4), "what a table leaves out goes on"
    table.write_text("steering,pan\n0,0\n")
    with pytest.raises(BadInput, match="acts.csv row 1: no model has learned the action 'pan'"):
        driven_on(str(table), world.drive, driven, frames=8, fps=12.5)
    bare = tuple(action for action in world.drive if action.name != "steering")
    with pytest.raises(BadInput, match="none is called steering"):
        driven_on("left", bare, driven[:, [a.name != "steering" for a in world.drive]], frames=8, fps=12.5)

    row = {"frame": 2, "time": 0.16, "thing": 0, "kind": "box", "colour": "red", "box": [1, 2, 9, 12], "sure": False}
    monkeypatch.setattr(tracks, "observer_is_there", lambda: "")
    monkeypatch.setattr(tracks, "observed", lambda frames, fps: [row])
    made = [futures(log, tmp_path / word, count=1, seconds=0.5, actions=word, model=world)
            for word in ("left", "right")]
    assert made[0].fps == pytest.approx(12.5) and any("steering -" in note for note in made[0].notes)
    assert json.loads((tmp_path / "left" / "future-1.jsonl").read_text())["sure"] is False  # what no judge knows
    assert any("nothing that the observer knows" in note for note in made[0].notes)
    videos = [next(iter(stream_video(tmp_path / word / "future-1.mp4"))) for word in ("left", "right")]
    assert (videos[0] != videos[1]).any()


def test_hands_drive_it_in_a_browser(world, made, shards) -> None:
    from reverie.serve.live_driving import by_hand
    from reverie.serve.live_process import load_world

    drive = (Action("steering", "1", -1, 1, 0.5), Action("throttle", "1", -1, 1, 1), Action("brake", "1", 0, 1, 1),
             Action("speed", "m/s", 0, 20, 9, True))
    assert by_hand({"orbit": -40.0, "dolly": 1.2}, drive) == {"steering": -0.5, "throttle": 1.0, "brake": 0.0}
    assert by_hand({"pan": 400.0, "dolly": -0.6}, drive) == {"steering": 1.0, "throttle": 0.0, "brake": 0.5}
    assert by_hand({"dolly": -1.2}, drive[:2]) == {"steering": 0.0, "throttle": -1.0}
    live, step = load_world(str(made))
    frames = past(shards)[0]
    dream = live.dream((), size=live.default_size, fps=live.fps, past=frames)
    assert step([dream], [{}])[0].frames.shape == (4, 32, 64, 3)
    assert step([dream], [{"rates": {"pan": 40.0, "orbit": 0.0, "dolly": 0.5}}])[0].start == 4


def test_the_suite_log(made, shards) -> None:
    from reverie.evaluate import suite

    report = suite.run("log", model=made, n=2, data=shards, progress=False)
    found = {figure["name"]: figure for figure in report["figures"]}
    assert {"dream_psnr_0.5s", "copied_ssim_1s", "round_trip_psnr_0.5s", "dream_frechet_1s",
            "probe_on_truth_correlation", "steered_gently_slope", "seeds_apart_over_actions_apart"} <= set(found)
    assert found["round_trip_frechet_1s"]["value"] > 0 and ", observer " in report["model"]
    assert found["copied_psnr_0.5s"]["value"] > 0 and found["copied_psnr_0.5s"]["n"] == 2
    with pytest.raises(BadInput, match="no ingested log"):
        suite.run("log", model=made, n=1, data=shards / "no", progress=False)
    with pytest.raises(BadInput, match="base was not: make one"):
        suite.run("log", n=1, data=shards, progress=False)


def test_a_video_alone_is_a_log_without_actions(log, start, tmp_path) -> None:
    from reverie.data.shards import ClipSet, split_of
    from reverie.evaluate import suite
    from reverie.futures.making import futures

    (tmp_path / "film").mkdir()
    shutil.copyfile(log / "center.mp4", film := tmp_path / "film" / "walk.mp4")
    shards = log_shards(film, tmp_path / "shards", 32)
    clips = ClipSet(shards)
    ends = [(split_of(clips.meta(i)), clips.meta(i)["frames"]) for i in range(len(clips))]
    with pytest.raises(BadInput, match=r"no file .*nothing\.mp4"):
        log_shards(tmp_path / "nothing.mp4", tmp_path / "x", 32)
    assert is_log(shards) and log_actions(clips) == () and log_shards(shards, tmp_path / "x", 32) == shards
    assert ends == [("train", 124), ("train", 124), ("train", 92), ("test", 60)] and clips.meta(0)["size"] == [32, 64]
    made = train("debug", data=shards, out=tmp_path / "run", start_from=start, steps=3, progress=False, device="cpu")
    world = World.load(made)
    assert world.drive == () and load_model(made / "transformer.safetensors")[1]["data"]["log"] == "video"
    names = {figure["name"] for figure in suite.run("log", model=made, n=2, data=shards, progress=False)["figures"]}
    assert {"dream_psnr_1s", "round_trip_frechet_0.5s"} <= names and not any("steered" in name for name in names)
    for word in ("none", "keep"):
        futures(film, tmp_path / word, count=2, seconds=0.5, actions=word, model=world)
    videos = [np.stack(list(stream_video(tmp_path / "keep" / f"future-{k}.mp4"))) for k in (1, 2)]
    assert videos[0].shape == (6, 32, 64, 3) and (videos[0] != videos[1]).any()
    with pytest.raises(BadInput, match="actions left: this model's log has none that can be asked for"):
        futures(film, tmp_path / "left", count=1, seconds=0.5, actions="left", model=world)
    with pytest.raises(BadInput, match="the action 'steering': this model's are none"):
        world.dream().step(rates={"steering": 0.1})


def test_held_out_is_never_trained_on(shards, start) -> None:
    from reverie.data.shards import ClipSet, split_of

    clips, tokenizer = ClipSet(shards), Tokenizer.load(start / "tokenizer.safetensors")
    assert is_log(shards) and not is_log(start)
    actions = log_actions(clips)
    keys = {split: {item.key.split("+")[0] for item in encode_log(clips, tokenizer, actions, split=split).items}
            for split in ("train", "test")}
    assert keys["train"] and keys["test"] and not keys["train"] & keys["test"]
    assert keys["test"] == {key for i, key in enumerate(clips.keys) if split_of(clips.meta(i)) == "test"}


def test_numbers_as_the_network_sees_them() -> None:
    drive = (Action("steering", "1", -1, 1, 0.5), Action("speed", "m/s", 0, 20, 10.0, True))
    values = by_name(np.array([[1.0, 0.5]] * 8), ("throttle", "steering"), drive, 8)
    assert scaled(values, drive).shape == (2, 8) and scaled(values, drive)[0, 0] == 1.0
    assert np.isnan(scaled(values, drive)[0, 1])
    old = Config(**{**{k: v for k, v in Config().to_dict().items() if k != "drive"}, "actions": 5})
    assert old == Config() and old.drive == CAMERA and not old.of_a_log


@torch.no_grad()
def test_without_a_stride_nothing_older_is_seen() -> None:
    """Sampling with memory gives what one pass over the whole gives, and the first latent is forgotten too."""
    torch.manual_seed(0)
    drive = (Action("steering", "1", -1, 1, 0.5),)
    model = Transformer(Config(depth=4, channels=4, text=16, views_window=3, stride=0, drive=drive)).eval()
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    plain = Sampling(steps=1, doubt=0.0)
    rollout = Rollout(model, model.no_words(1), fps=torch.tensor([12.0]), grid=(2, 3), sampling=plain,
                      generator=torch.Generator().manual_seed(1), with_things=False)
    views, actions, length = torch.randn(9, 1, 2, 3, 4), torch.randn(9, 4), 9
    line, since = torch.tensor([-1]), torch.zeros(1)
    for n in range(length):
        rollout.step(Conditions(line, since, actions[n : n + 1]), view=views[n])
    assert sorted(rollout.memory.views) == [6, 7, 8] or sorted(rollout.memory.views) == [5, 6, 7, 8]
    index = torch.arange(length)[None]
    whole = model(Window(index=index, fps=torch.tensor([12.0]), line=torch.full_like(index, -1),
                         since=torch.zeros(1, length), actions=actions[None], views=views.transpose(0, 1),
                         views_noise=torch.zeros(1, length), views_known=torch.ones(1, length, dtype=torch.bool)),
                  model.no_words(1))
    last = torch.stack([key for key, _ in whole.views_keys])[:, :, -6:]
    assert torch.allclose(rollout.memory.views[8].keys, last.transpose(2, 3), atol=1e-5)
