"""Traffic that heeds our car: SUMO, stepped while it drives. Without SUMO only what is said then is tested."""

import importlib.util

import numpy as np
import pytest
from fake_road import trace

import reverie.envs  # noqa: F401 - makes them known to gymnasium
from reverie.cli import main
from reverie.core.errors import BadData, BadInput, ReverieError
from reverie.data.road.again import again
from reverie.data.road.driver import Car
from reverie.data.road.live import ROUTE, Live, _Run
from reverie.data.road.net import even
from reverie.data.road.traffic import started, traffic

gymnasium = pytest.importorskip("gymnasium")
sumo = pytest.mark.skipif(importlib.util.find_spec("libsumo") is None, reason="traffic needs SUMO (the extra traffic)")


def ours(told) -> Car:
    return Car(told.place[0, 0], float(told.heading[0, 0]), float(told.speed[0, 0]))


def on(live: Live, told, now: int, car: Car, push: float, gone=()) -> Car:
    """Four frames on."""
    cars = [car]
    for _ in range(4):
        cars.append(cars[-1].moved(0.0, push, 1 / told.fps))
    live.drive(told, now, cars[2::2], gone)
    return cars[-1]


@sumo
def test_it_begins_as_recorded_traffic_does_and_is_the_same_again() -> None:
    live, made = Live(), []
    recorded = traffic(7, 2.0)
    for _ in range(2):
        told = live.begin(7, 2.0, 24.0)
        car = ours(told)
        for now in range(0, 40, 4):
            car = on(live, told, now, car, -2.0)
        made.append(told)
    assert np.allclose(told.place[0, 0], recorded.place[0, recorded.ego], atol=1e-6) and told.ego == 0
    near = recorded.place[0][recorded.exists[0]]
    gaps = np.hypot(*(near[:, None] - told.place[0][None, told.exists[0]]).transpose(2, 0, 1)).min(1)
    assert gaps.max() < 1e-3 and told.frames == 48 and (told.signals[0] == recorded.signals[0]).all()
    for name in ("exists", "place", "heading", "speed", "lane", "signals", "paints", "size"):
        assert np.array_equal(getattr(made[0], name), getattr(made[1], name)), name
    assert made[0].kinds == made[1].kinds and not made[0].exists[41:, 1:].any()
    moved = np.hypot(*np.diff(told.place[:40], axis=0).transpose(2, 0, 1))[told.exists[1:40] & told.exists[:39]]
    assert moved.max() < 1.0  # nobody jumps


@sumo
def test_who_comes_from_behind_stops_for_us() -> None:
    live = Live()
    told = live.begin(3, 20.0, 24.0)
    roads = [lane for lane in told.net.lanes if lane.use == "drive" and not lane.inside]
    found = []
    for n in np.flatnonzero(told.exists[0] & (told.speed[0] > 4)):
        lane = told.net.lanes[told.lane[0, n]] if told.lane[0, n] >= 0 else None
        if n and lane in roads and told.kinds[n] != "person":
            line = even(lane.line)[0]
            at = int(np.hypot(*(line - told.place[0, n]).T).argmin())
            others = told.place[0, told.exists[0] & (np.arange(len(told.kinds)) != n)]
            if at + 38 < len(line) and np.hypot(*(others[:, None] - line[at : at + 36]).transpose(2, 0, 1)).min() > 3:
                found.append((n, line[at + 32], line[at + 33] - line[at + 32]))
    n, place, way = found[0]
    car = Car(place, float(np.arctan2(way[1], way[0])), 0.0)
    for now in range(0, 240, 4):
        car = on(live, told, now, car, 0.0)
    ahead = np.array([np.cos(car.heading), np.sin(car.heading)])
    gap = (car.place - told.place[:241, n]) @ ahead
    assert told.exists[:241, n].all() and gap.min() > 4.4  # bumper to bumper
    assert gap[240] < 12 and told.speed[240, n] < 0.3


@sumo
def test_sumo_is_told_which_way_we_go_and_where_we_are() -> None:
    with started(3, 24.0) as parts:
        run = _Run(*parts)
        first = run.begin(5.0)
        for place in (first.place[0, 0], first.place[0, 0] + (9.0, 9.0)):  # on its lane, and beside every lane
            run.on([Car(place, float(first.heading[0, 0]), 3.0)] * 2, [])  # it is told of what it knew before
            lane = run.lanes[run.sumo.vehicle.getLaneID("ego")]
            route = run.sumo.vehicle.getRoute("ego")
            assert route[-ROUTE] == run.net.lanes[lane].road and run.sumo.vehicle.getSpeed("ego") < 8


@sumo
def test_who_is_taken_away_comes_again_elsewhere() -> None:
    live = Live()
    told = live.begin(5, 20.0, 24.0)
    car, some = ours(told), [int(np.flatnonzero(told.exists[0] & (np.array(told.kinds) == kind))[1])
                             for kind in ("car", "person")]
    car = on(live, told, 0, car, -7.0, some)
    assert not told.exists[2:5, some].any()
    for now in range(4, 240, 4):
        car = on(live, told, now, car, -7.0)
    assert told.exists[240, some].all()
    for n in some:
        first = 5 + int(told.exists[5:, n].argmax())
        assert np.hypot(*(told.place[first, n] - car.place)) > 40


@sumo
def test_rides_in_it_are_the_same_again_two_at_once() -> None:
    envs = [gymnasium.make("reverie/Road-v0", observation="vector", seconds=1.5).unwrapped for _ in range(2)]
    seen = [env.reset(seed=4)[0] for env in envs]
    assert np.array_equal(*seen) and envs[0].observation_space.contains(seen[0])
    for _ in range(8):
        made = [env.step(np.array([0.0, 0.1])) for env in envs]
        assert np.array_equal(made[0][0], made[1][0]) and made[0][1:] == made[1][1:]
    assert made[0][3] and envs[0].trace.exists[envs[0].now].sum() > 10
    envs[0].live._process.kill()
    with pytest.raises(ReverieError, match="has ended: reset"):
        envs[0].step(np.zeros(2))
    envs[0].reset(seed=1)
    for env in envs:
        env.close()
        env.close()


@sumo
def test_it_is_painted_and_one_can_drive_alone() -> None:
    env = gymnasium.make("reverie/Road-v0", seconds=1.0, painted=True, size=(16, 24)).unwrapped
    env.reset(seed=2)
    before = env.render()
    assert env.step(np.array([0.0, 1.0]))[0].shape == (16, 24, 3) and (env.render() != before).any()
    env.close()
    env = gymnasium.make("reverie/Road-v0", seconds=1.0, traffic=False, observation="vector").unwrapped
    env.reset(seed=2)
    assert len(env.trace.kinds) == 1 and not env.step(np.zeros(2))[2]
    with pytest.raises(BadInput, match="leave the option trace out"):
        env.reset(options={"trace": "x.npz"})


@sumo
def test_drivers_learn_and_are_tested_in_it() -> None:
    pytest.importorskip("stable_baselines3")
    from reverie.drivers.driving import drive
    from reverie.drivers.learning import learn

    made = learn("true", None, steps=8, rides=1, round_of=4)
    assert made.meta["traffic"] == "live" and made.meta["way"] == "true" and made.meta["traces"] == 0
    ride = drive(made, 2, traffic="live", seconds=0.3)
    assert len(ride.ends) == 2 and ride.figures()["rides"] == 2
    with pytest.raises(BadInput, match="goes on from a trace"):
        learn("dream", None)


def test_what_makes_no_sense_is_said(tmp_path, capsys, monkeypatch) -> None:
    trace(96).save(tmp_path / "one.npz")
    from reverie.envs.road import RoadEnv

    with pytest.raises(BadInput, match="leave traces and model out"):
        RoadEnv(traces=tmp_path, traffic="live")
    with pytest.raises(BadInput, match="no traffic 'busy'"):
        RoadEnv(traffic="busy")
    with pytest.raises(BadInput, match="no weather 'hail'"):
        RoadEnv(weather="hail")
    with pytest.raises(BadInput, match="give 0.1 to 3600 s"):
        Live().begin(0, float("nan"), 24.0)
    with pytest.raises(ReverieError, match="has ended"):
        Live().drive(trace(96), 0, [])
    for words, said in ((["test", "clone"], "one of them"),
                        (["test", "clone", "--live", "--traces", "x"], "one of them"),
                        (["train", "--in", "clone", "--live"], "drivers of traces"),
                        (["train", "--in", "dream", "--live"], "from a trace"),
                        (["test", "clone", "--live", "--dream", "base"], "leave traces and model out")):
        assert main(["driver", *words]) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "libsumo.py").write_text("raise ImportError('none here')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ReverieError, match=r'pip install "reverie\[traffic\]"'):
        Live().begin(0, 2.0, 24.0)
    assert main(["driver", "test", "clone", "--live", "--rides", "1"]) == 1
    assert "traffic needs SUMO" in capsys.readouterr().err


@sumo
def test_the_same_past_goes_on_by_other_chances() -> None:
    told = traffic(9, 5.0)
    begins, frames = 72, 30
    made = again(told, 9, begins, frames, 3)
    others = told.exists[begins] & (np.arange(len(told.kinds)) != told.ego)
    assert made.shape == (3, frames, len(told.kinds), 2)
    assert (np.isfinite(made).all((0, 1, 3)) == others).all()
    stays = others & told.exists[begins : begins + frames + 1].all(0)
    far = np.hypot(*(made - told.place[begins + 1 : begins + 1 + frames]).transpose(3, 0, 1, 2))[..., stays]
    assert far[:, 0].max() < 0.2 and np.median(far[:, -1]) < 0.5  # SUMO knows where all are going
    moves = np.hypot(*np.diff(made, axis=1).transpose(3, 0, 1, 2))[..., stays]
    assert moves.max() < 1.0 and len({one[-1][stays].tobytes() for one in made}) == 3
    with pytest.raises(BadData, match="nowhere"):
        again(told, 10, begins, frames, 1)
