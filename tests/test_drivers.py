"""Drivers of the road: what a good ride is, what drivers see of lights, and how they are made, kept and tested."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_road import street, trace

from reverie.cli import main
from reverie.core.errors import BadData, BadWeights, ReverieError
from reverie.data.road.gates import Gates
from reverie.drivers import cloning, learning, policy
from reverie.drivers.driving import drive
from reverie.drivers.policy import Policy
from reverie.envs.judging import GREEN
from reverie.envs.road import RoadEnv
from reverie.envs.seeing import VECTOR, braking
from reverie.envs.together import foresee
from reverie.model.checkpoint import save_model
from reverie.model.road.traffic import Config, Traffic

pytest.importorskip("gymnasium")
SMALL = Config(width=32, depth=1, heads=2, parts=3)
RED = 0


class Says:
    """A driver that always does the same."""

    def __init__(self, *action: float) -> None:
        self.action = np.array(action, np.float32)

    def act(self, seen: np.ndarray) -> np.ndarray:
        return self.action


@pytest.fixture
def traces(tmp_path: Path) -> list[Path]:
    """One file: a street whose light at 160 m is red."""
    trace(240).save(tmp_path / "one.npz")
    return [tmp_path / "one.npz"]


def saved(path: Path, **changes) -> list[Path]:
    replace(trace(240), **changes).save(path)
    return [path]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "road.safetensors"
    save_model(path, Traffic(SMALL).state_dict(), {"kind": "traffic", "config": SMALL.to_dict()})
    return path


def tiny(seed: int = 0) -> Policy:
    rng = np.random.default_rng(seed)
    shapes = ((4, VECTOR), (2, 4))
    return Policy([(rng.normal(size=s).astype(np.float32), np.zeros(s[0], np.float32)) for s in shapes], {"way": "x"})


# -- what a good ride is ------------------------------------------------------------------------------


def test_who_drives_on_well_succeeds_and_who_stands_does_not(traces) -> None:
    good = drive(Says(0, 0), traces, traffic=False)
    assert good.ends[0]["success"] and good.ends[0]["progress"] == pytest.approx(0.8, abs=0.1)
    slow = drive(Says(0, -1), traces, traffic=False)
    assert not slow.ends[0]["success"] and slow.figures()["too_slow"] == 1.0
    off = drive(Says(-0.4, 0), traces, traffic=False)
    assert off.ends[0]["crash"] == "left the road" and off.figures()["left_the_road"] == 1.0
    assert off.seconds[0] < 5 and off.speeds[0] == pytest.approx(8.0, abs=0.1)


def test_a_red_light_ends_a_ride_among_traffic_only(tmp_path) -> None:
    alone = {"exists": trace(240).exists & (np.arange(4) == 1)}
    red = saved(tmp_path / "red.npz", **alone)
    ride = drive(Says(0, 0), red)
    assert ride.ends[0]["crash"] == "passed a red light" and ride.figures()["red_lights"] == 1.0
    assert 6.5 < ride.seconds[0] < 8  # the light is 57.8 m before our bumper
    green = saved(tmp_path / "green.npz", **alone, signals=np.full((240, 1), GREEN, np.uint8))
    assert drive(Says(0, 0), green).ends[0]["success"] and drive(Says(0, 0), red, traffic=False).ends[0]["success"]
    waits = drive(Says(0, -0.3), red).ends[0]
    assert not waits["success"] and not waits["crash"]  # it stands 40 m before the line: no reason to


def test_who_is_driven_into_is_not_to_blame(tmp_path) -> None:
    ours, then = trace(240), np.arange(240) / 24
    place = ours.place.copy()
    place[:, 3] = np.stack([75 + 12 * then, np.zeros(240)], -1)  # a truck that comes from behind
    exists = np.zeros((240, 4), bool)
    exists[:, (1, 3)] = True
    ride = drive(Says(0, 0), saved(tmp_path / "behind.npz", exists=exists, place=place,
                                   signals=np.full((240, 1), GREEN, np.uint8)))
    assert ride.ends[0]["success"] and ride.ends[0]["struck"] == 1 and ride.figures()["struck_by_others"] == 1
    place[:, 3] = 125.0, 0.0  # and one that stands ahead
    ride = drive(Says(0, 0), saved(tmp_path / "ahead.npz", exists=exists, place=place))
    assert ride.ends[0]["crash"] == "ran into a truck" and ride.figures()["collisions"] == 1


def test_the_next_light_is_seen(traces) -> None:
    lights = Gates(street())
    assert lights.ahead(np.array([140.0, 0.5]), 0.0) == (0, pytest.approx(20.0))
    for place, heading in (((100.0, 0), 0.0), ((161.0, 0), 0.0), ((140.0, 9), 0.0), ((140.0, 0), 3.0)):
        assert lights.ahead(np.array(place), heading)[0] == -1
    assert lights.closed(0, np.array([RED])) and not lights.closed(0, np.array([GREEN]))
    assert Gates(replace(street(), signals=np.zeros((0, 2), np.int32))).ahead(np.zeros(2), 0.0)[0] == -1


def test_the_light_and_who_is_ahead_are_in_the_numbers(traces, tmp_path) -> None:
    alone = saved(tmp_path / "alone.npz", exists=trace(240).exists & (np.arange(4) == 1))
    env = RoadEnv(traces=alone, observation="vector")
    env.reset(seed=0)
    for _ in range(30):
        seen = env.step(np.array([0.0, 0.0]))[0]
    assert seen[15:19].tolist() == [1, pytest.approx((160 - 140 - 2.2) / 20, abs=0.01), 1, 0]
    assert not seen[19:22].any()
    hard = braking(env.trace, env.now, env.lanes, env.judge.lights)
    assert hard == pytest.approx(env.car.speed**2 / (2 * 17.8), rel=0.02)
    assert braking(env.trace, env.now, env.lanes) == 0  # where lights do not count
    env = RoadEnv(traces=traces, observation="vector")
    env.reset(seed=0)
    for _ in range(8):  # until the car beside has come before us
        seen = env.step(np.array([0.0, 0.0]))[0]
    assert seen[19:22].tolist() == [1, pytest.approx((12 - 4.4) / 20, abs=0.06), pytest.approx(0.8)]
    closing = max(env.car.speed - 8, 0.0)
    assert braking(env.trace, env.now, env.lanes) == pytest.approx(closing**2 / (2 * (20 * seen[20] - 0.5)), abs=1e-3)


# -- dreams side by side ------------------------------------------------------------------------------


def test_dreams_in_one_pass_are_as_each_alone(traces, weights) -> None:
    made = {"traces": traces, "observation": "vector", "seconds": 3.0}
    single, (one, two) = RoadEnv(str(weights), **made), (RoadEnv(str(weights), **made) for _ in range(2))
    few = RoadEnv(str(weights), **made, most=2, arrivals=False)
    for env, seed in ((single, 5), (one, 5), (two, 6), (few, 6)):
        env.reset(seed=seed)
    assert few.ride.agents.size == 2 < one.ride.agents.size
    for k in range(8):
        action = np.array([0.05 * np.sin(k), 0.1])
        foresee([one, two], [action, action])
        alone, together = single.step(action), one.step(action)
        two.step(action)
        assert np.allclose(alone[0], together[0], atol=1e-4) and alone[1] == pytest.approx(together[1], abs=1e-4)
    foresee([two, few], [action, action])  # of as many agents as the fuller one
    assert two.foreseen.place.shape[2] == two.ride.agents.size and few.foreseen.place.shape[2] == 2
    few.step(action)
    assert few.foreseen is None


# -- drivers ------------------------------------------------------------------------------------------


def test_a_driver_is_kept_and_found_again(tmp_path) -> None:
    made = tiny()
    again = Policy.load(made.save(tmp_path / "driver_dream.safetensors"))
    seen = np.random.default_rng(1).normal(size=VECTOR).astype(np.float32)
    assert np.array_equal(made.act(seen), again.act(seen)) and abs(again.act(seen)).max() <= 1
    assert again.meta["way"] == "x" and policy.find(tmp_path, "dream").name == again.name
    Policy([(np.zeros((2, 7), np.float32), np.zeros(2, np.float32))], {}).save(tmp_path / "old.safetensors")
    with pytest.raises(BadWeights, match="sees 7 numbers"):
        Policy.load(tmp_path / "old.safetensors")
    save_model(tmp_path / "other.safetensors", {"x": torch.zeros(2)}, {"kind": "traffic"})
    with pytest.raises(BadWeights, match="no driver"):
        Policy.load(tmp_path / "other.safetensors")
    with pytest.raises(BadWeights, match="no model at"):
        policy.find(tmp_path, "true")


def test_a_clone_does_as_it_was_shown(tmp_path) -> None:
    acts = np.tile(np.array([0.0, 0.5], np.float32), (240, 1))
    files = saved(tmp_path / "one.npz", actions=acts, signals=np.full((240, 1), GREEN, np.uint8))
    seen, done = cloning.examples(files, progress=False)
    assert len(seen) == len(done) > 20 and np.allclose(done, (0.0, 0.2))
    made = cloning.clone(files, epochs=30, progress=False)
    assert np.allclose(made.act(seen[3]), (0.0, 0.2), atol=0.1) and made.meta["examples"] == len(seen)
    with pytest.raises(BadData, match="smooth or clumsy"):
        cloning.clone(saved(tmp_path / "two.npz", driver="wrong"), progress=False)


@pytest.mark.parametrize("where", ["dream", "true"])
def test_drivers_learn_by_trying(where, traces, weights) -> None:
    pytest.importorskip("stable_baselines3")
    told: list[dict] = []
    steps: list[int] = []

    def tell(row: dict, so_far) -> None:
        told.append(row)
        steps.append(so_far().meta["steps"])

    made = learning.learn(where, traces, steps=32, model=str(weights), rides=2, round_of=8, tell=tell)
    assert made.meta["way"] == where and made.meta["steps"] == 48 and len(made.layers) == 3
    assert made.act(np.zeros(VECTOR, np.float32)).shape == (2,) and ("traffic" in made.meta) == (where == "dream")
    on = learning.learn(where, traces, steps=16, model=str(weights), rides=2, round_of=8, start_from=made)
    assert on.meta["steps"] == 48 + 16 + learning.WARM * 16 and "start_from" in on.meta
    assert all(set(row) == {"steps", "traffic", "rides", "success", "crashed", "steps_per_second"} for row in told)
    assert steps == [row["steps"] for row in told]  # at any time there is a driver to keep


def test_drivers_from_the_command_line(traces, tmp_path, capsys) -> None:
    out = str(tmp_path / "out")
    assert main(["driver", "train", "--in", "clone", "--traces", str(traces[0]), "-o", out]) == 0
    made = capsys.readouterr().out.strip()
    assert made.endswith("driver_clone.safetensors")
    sheet = tmp_path / "rides.png"
    assert main(["driver", "test", made, "--traces", str(traces[0]), "--sheet", str(sheet), "--json"]) == 0
    assert '"rides": 1' in capsys.readouterr().out and sheet.stat().st_size > 1000
    assert main(["driver", "test", "nobody", "--traces", str(traces[0])]) == 2
    assert "no driver 'nobody'" in capsys.readouterr().err
    assert main(["driver", "train", "--in", "true", "--traces", str(tmp_path / "none")]) == 2
    assert "no traffic in" in capsys.readouterr().err


def test_without_the_learner_it_says_what_to_install(traces, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(ReverieError, match=r'pip install "reverie\[rl\]"'):
        learning.learn("true", traces)
