"""Who comes, who goes, and who lets whom pass in imagined traffic."""

from dataclasses import replace

import fake_road
import numpy as np
import pytest
import torch

from reverie.data.road import routes
from reverie.data.road.arrivals import EDGE, GONE, REACH, Arrivals
from reverie.data.road.net import Lane, Net
from reverie.data.road.trace import Trace
from reverie.model.road.manners import PATIENCE
from reverie.model.road.traffic import Config, Traffic
from reverie.road import COMERS, Road

FPS, F = 24.0, 4
SMALL = Config(width=32, depth=1, heads=2, parts=3)


@pytest.fixture(scope="module")
def road() -> Road:
    """A model that lets everybody go on as before: nobody chooses."""
    torch.manual_seed(0)
    network = Traffic(SMALL).eval()
    with torch.no_grad():
        for name, value in network.named_parameters():
            if "out" in name or "head" in name:
                value.zero_()
    return Road(network, {}, "tiny", heat=0.0)


def standing(places: list, headings: list, kinds: list[str], net: Net, lanes: list[int], frames: int = 48) -> Trace:
    """Everybody stands, the last of them our car."""
    sizes = {"car": (4.4, 1.8, 1.5), "person": (0.4, 0.5, 1.72)}
    n = len(kinds)
    return replace(fake_road.trace(frames), net=net, kinds=kinds, paints=np.zeros(n, np.uint8),
                   size=np.array([sizes[kind] for kind in kinds], np.float32), exists=np.ones((frames, n), bool),
                   place=np.tile(np.array(places, float), (frames, 1, 1)),
                   heading=np.tile(np.array(headings, float), (frames, 1)), speed=np.zeros((frames, n)),
                   lane=np.tile(np.array(lanes, np.int16), (frames, 1)), signals=np.zeros((frames, 0), np.uint8),
                   ego=n - 1)


def crossing() -> Net:
    """Two ways through one junction that cross at (50, 0)."""
    line = fake_road.line
    lanes = (Lane(":j_0", 0, line((0, 0), (100, 0)), 3.2, "drive", 10.0),
             Lane(":j_1", 0, line((50, -50), (50, 50)), 3.2, "drive", 10.0),
             Lane("far", 0, line((0, 300), (100, 300)), 3.2, "drive", 10.0))
    return Net(lanes, (), (), np.zeros((0, 2), np.int32))


def test_two_who_stand_in_each_others_way_do_not_stand_for_ever(road: Road) -> None:
    trace = standing([(48.3, 0), (50, -1.6), (50, 80.0)], [0.0, np.pi / 2, 0.0], ["car", "car", "car"], crossing(),
                     [0, 1, 2])
    ride = road.begin(trace, 24, [0])
    stops = torch.tensor([[[0.0, -7.0]] * F])
    first = ride.drive.now.past[0, :, -1, :2].numpy().copy()
    for _ in range(PATIENCE):
        ride.step(stops.numpy())
    stood = ride.drive.now.past[0, :, -1, :2].numpy()
    assert np.abs(stood - first)[1:].max() < 0.1
    for _ in range(40):
        ride.step(stops.numpy())
    gone = np.hypot(*(ride.drive.now.past[0, :, -1, :2].numpy() - first).T)
    assert np.sort(gone[1:])[1] > 1.0 and np.sort(gone[1:])[0] < 0.1  # one of them, at the pace at which one sets off


def test_nobody_on_foot_stays_before_who_waits(road: Road) -> None:
    net = fake_road.street()
    trace = standing([(140.0, 0.0), (145.0, 0.0), (100.0, 0.0)], [0.0, np.pi / 2, 0.0], ["car", "person", "car"], net,
                     [0, -1, 0])
    ride = road.begin(trace, 24, [0])
    person = int(np.flatnonzero(ride.agents == 1)[0])
    for _ in range(PATIENCE + 16):
        ride.step(np.tile(np.array([0.0, -7.0], np.float32), (1, F, 1)))
    x, y = ride.drive.now.past[0, person, -1, :2].tolist()
    assert y > 1.5 and np.hypot(x - 145, y) > 2.5


def grid() -> Net:
    """Six long streets with pavements."""
    line = fake_road.line
    lanes = []
    for k in range(6):
        lanes += [Lane(f"s{k}", 1, line((-300, 40 * k - 100), (300, 40 * k - 100)), 3.2, "drive", 10.0),
                  Lane(f"s{k}", 0, line((-300, 40 * k - 103), (300, 40 * k - 103)), 2.0, "walk", 1.5)]
    return Net(tuple(lanes), (), (), np.zeros((0, 2), np.int32))


def test_streets_stay_as_full_as_they_were() -> None:
    roads = routes.Roads(grid())
    chance = np.random.default_rng(0)
    place = np.array([(x, 20.0) for x in range(-80, 90, 20)] + [(x, 17.0) for x in range(-80, 90, 20)])
    feet = np.arange(len(place)) >= 9
    arrivals = Arrivals(roads, place, feet, np.zeros(2), chance)
    some = feet & (np.arange(len(place)) < 12)
    kinds, paints, sizes = arrivals.bodies(8, 0.5)
    assert kinds[:4] == ["person"] * 4 and "person" not in kinds[4:] and sizes.shape == (8, 3) and len(paints) == 8
    assert arrivals.bodies(8, 0.0)[0].count("person") == 1 and arrivals.bodies(8, 1.0)[0].count("person") == 7
    free = dict(zip(range(20, 28), kinds, strict=True))
    found = [comer for _ in range(60) for comer in arrivals.look(place[some], feet[some], np.zeros(2), free)]
    assert {comer.seat for comer in found} == {20, 24}  # the first that is free of each
    for comer in found:
        assert EDGE < np.hypot(*comer.place) < REACH and comer.speed > 0.5
        assert routes.fits(comer.line, comer.place, comer.heading)
    again = Arrivals(roads, place, feet, np.zeros(2), np.random.default_rng(0))
    assert not [comer for _ in range(60) for comer in again.look(place, feet, np.zeros(2), free)]  # nobody is missing
    assert not [comer for _ in range(60) for comer in again.look(place[some], feet[some], np.zeros(2), {})]  # no seat


def test_others_come_and_go_as_our_car_drives_on(road: Road) -> None:
    made = standing([(-20.0 * k, 20.0) for k in range(4)] + [(0.0, 17.0), (5.0, 20.0)], [0.0] * 6,
                    ["car"] * 4 + ["person", "car"], grid(), [6] * 4 + [7, 6])
    ride = road.begin(made, 24, [0, 1], arrivals=True)
    known = len(ride.agents) - COMERS
    for _ in range(60):
        ride.step(np.tile(np.array([0.0, 2.5], np.float32), (2, F, 1)))
    told = ride.told()
    assert told.place.shape[2] == known + COMERS and (told.agents[known:] >= 6).all()
    for k in range(2):
        came = told.there[k, :, known:].any(0)
        assert came.sum() == ride.used[k].sum() - known > 0
        assert set(told.kind[k, known:][came].tolist()) <= set(range(5))
        for n in known + np.flatnonzero(came):
            first = int(told.there[k, :, n].argmax())
            far = np.hypot(*(told.place[k, first, n] - told.place[k, first, told.ego]))
            assert EDGE - 15 < far < REACH + 15  # in a latent both go on
        behind = np.hypot(*(told.place[k, -1] - told.place[k, -1, told.ego]).T)
        assert not told.there[k, -1][behind > GONE + 5].any() and told.there[k, 0, :known].all()
        again = ride.trace_of(k, past=8, frame=24)
        assert again.frames == 8 + told.place.shape[1] and len(again.kinds) == known + COMERS
        assert not again.exists[:8, known:].any()
    assert (told.kind[0] != told.kind[1]).any() or (told.paint[0] != told.paint[1]).any()


def full_streets() -> Trace:
    """Our car among others on the grid."""
    return standing([(-20.0 * k, 20.0) for k in range(4)] + [(0.0, 17.0), (5.0, 20.0)], [0.0] * 6,
                    ["car"] * 4 + ["person", "car"], grid(), [6] * 4 + [7, 6])


def test_others_come_into_a_dreamed_ride(road: Road, tmp_path) -> None:
    pytest.importorskip("gymnasium")
    from reverie.envs.road import RoadEnv

    full_streets().save(tmp_path / "one.npz")
    there = {}
    for arrivals in (True, False):
        env = RoadEnv(traces=tmp_path, observation="vector", seconds=40.0, arrivals=arrivals)
        env.road = road
        env.reset(seed=1)
        assert len(env.trace.kinds) == 6 + COMERS * arrivals == env.trace.exists.shape[1] == len(env.trace.size)
        assert env.trace.exists[env.now].sum() == 6
        for k in range(75):
            seen, *_ = env.step(np.array([0.0, 1.0 if k < 35 else 0.0]))
        assert env.observation_space.contains(seen)
        far = np.hypot(*(env.trace.place[env.now] - env.car.place).T)
        there[arrivals] = (env.trace.exists[env.now] & (far < REACH)).sum() - 1
        assert env.render().shape[2] == 3
    trace, new = env.trace, slice(6, None)
    assert there[False] == 0 < there[True] and not trace.exists[:, new].any()


def test_a_seat_is_taken_again_when_it_is_free(road: Road, monkeypatch) -> None:
    monkeypatch.setattr("reverie.road.COMERS", 4)
    ride = road.begin(full_streets(), 24, [0], arrivals=True)
    for _ in range(70):
        ride.step(np.tile(np.array([0.0, 2.5], np.float32), (1, F, 1)))
    there = ride.told().there[0, :, ride.known :]
    came = (np.diff(there.astype(int), axis=0) == 1).sum(0)
    assert came.max() > 1 and there.shape[1] == 4


@pytest.mark.parametrize("look", [{"observation": "vector"}, {"painted": True, "size": (16, 24)}])
def test_dreamed_rides_with_arrivals_keep_the_contract(road: Road, tmp_path, look: dict) -> None:
    pytest.importorskip("gymnasium")
    from gymnasium.utils.env_checker import check_env

    from reverie.envs.road import RoadEnv

    fake_road.trace(96).save(tmp_path / "one.npz")
    env = RoadEnv(traces=tmp_path, seconds=1.5, **look)
    env.road = road
    check_env(env, skip_render_check=True)
