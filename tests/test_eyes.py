"""The eyes of the road: what is read from pictures of a car's cameras, and how that is learned."""

import importlib.util
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch
from fake_road import trace

from reverie.audit.observer_net import ObserverNet
from reverie.core.errors import BadData, BadInput, BadWeights
from reverie.data.road.gates import RED, Gates
from reverie.data.road.lanes import Lanes
from reverie.data.road.lights import LIGHTS
from reverie.data.road.rig import FOUR, Mount
from reverie.data.road.world import SIZE, plan, simulate
from reverie.data.shards import ClipSet, Sample, write_shard
from reverie.envs.road import RoadEnv, driven
from reverie.evaluate import reading
from reverie.eyes import reader
from reverie.eyes.observer import RoadObserver
from reverie.eyes.probe import CELL, LANE, NUMBERS, ProbeNet, Reading, RoadProbe
from reverie.eyes.reader import Read, Reader
from reverie.model.checkpoint import save_model
from reverie.train import eyes
from reverie.train.recipes import train

drawing = pytest.mark.skipif(importlib.util.find_spec("mujoco") is None, reason="drawing the road needs mujoco")
STRAIGHT = np.stack([LANE, np.zeros(len(LANE))], 1)


def said(**other) -> Reading:
    return Reading(**{"aside": 0.0, "half": 1.6, "turned": 0.0, "lane": STRAIGHT, "light": 0.0, "red": 0.0,
                      "stop": 30.0, **other})


class FakeObserver:
    """Sees the agents that it is told."""

    def __init__(self) -> None:
        self.agents: list = []

    def see(self, pictures: np.ndarray, threshold: float | None = None) -> list[list]:
        assert pictures.shape == (1, *SIZE, 3)
        return [self.agents]


def car_at(ahead: float, left: float, kind: str = "car"):
    """An agent as the front camera sees one in its own frame."""
    from reverie.eyes.observer import Agent

    wide = np.tan(np.radians(FOUR[0].across) / 2)
    depth = ahead - FOUR[0].at[0]
    middle = (1 - (left - FOUR[0].at[1]) / (wide * depth)) * SIZE[1] / 2
    return Agent(kind, "red", (middle - 5, 50.0, middle + 5, 60.0), 0.9, 1.0, SIZE[1] / 2 / wide / depth)


@pytest.fixture
def read_by(monkeypatch):
    """A reader whose eyes say what they are told: the reader, its observer, and a dict with speed and lane."""
    told, observer = {"speed": 8.0, "lane": said()}, FakeObserver()
    monkeypatch.setattr(reader, "_odometer", lambda mounts, size: None)
    monkeypatch.setattr(reader, "Ride", lambda odometer, most: type("R", (), {
        "add": lambda self, picture: None, "read": lambda self: np.array([[told["speed"], 0.1, 1.0]])})())
    monkeypatch.setattr(reader, "_observer", lambda: observer)
    monkeypatch.setattr(reader, "_probe", lambda: type("P", (), {"read": lambda self, pictures: [told["lane"]]})())
    made = Reader(FOUR, SIZE)
    made.begin(black())
    return made, observer, told


def black() -> dict[str, np.ndarray]:
    return {mount.name: np.zeros((*SIZE, 3), np.uint8) for mount in FOUR}


def test_who_is_ahead_on_the_lane_is_told_from_who_is_not(read_by) -> None:
    made, observer, told = read_by
    observer.agents = [car_at(15.0, 4.0), car_at(30.0, 0.0)]
    assert made.read(black()).gap == pytest.approx(30 - 4.4, abs=0.1)
    observer.agents = [car_at(15.0, 4.0)]
    assert made.read(black()).gap == np.inf and made.read(black()).braking == 0
    told["lane"] = said(lane=STRAIGHT + np.array([0.0, 4.0]))  # the lane bends to where that car is
    assert made.read(black()).gap == pytest.approx(15 - 4.4, abs=0.1)
    observer.agents = [car_at(50.0, 0.0)]
    assert made.read(black()).gap == np.inf  # too far


def test_how_hard_to_brake_follows_from_how_fast_who_is_ahead_comes_nearer(read_by) -> None:
    made, observer, _ = read_by
    for gap in (20.0, 19.0, 18.0, 17.0):
        observer.agents = [car_at(gap + 4.4, 0.0)]
        read = made.read(black())
    assert read.closing == pytest.approx(6.0, abs=0.1) and read.braking == pytest.approx(36 / (2 * 16.5), abs=0.1)
    observer.agents = [car_at(10 + 4.4, 0.0)]  # another one
    assert made.read(black()).closing == 0
    assert made.read(black()).closing == 0
    assert made.read(black()).closing == pytest.approx(0, abs=1e-6)


def test_a_red_light_is_a_reason_to_brake_and_a_green_one_is_none(read_by) -> None:
    made, _, told = read_by
    told["lane"] = said(light=1.0, red=1.0, stop=8.0)
    assert made.read(black()).braking == pytest.approx(64 / 16)
    told["lane"] = said(light=1.0, red=0.0, stop=8.0)
    assert [made.read(black()).braking > 0 for _ in range(3)] == [True, True, False]  # it takes three moments' mean
    assert Read(8.0, 0.0, said(light=0.9, red=0.9, stop=0.0), np.inf, 0.0).braking < 100


def test_a_light_that_is_too_near_to_be_seen_is_remembered_until_its_line(read_by) -> None:
    made, _, told = read_by
    told["lane"], told["speed"] = said(light=1.0, red=1.0, stop=20.0), 6.0
    made.read(black())
    told["lane"] = said(light=0.0, red=0.0, stop=0.0)
    assert made.read(black()).braking == 0  # it was far: somebody hides it
    told["lane"] = said(light=1.0, red=1.0, stop=5.0)
    made.read(black())
    told["lane"] = said(light=0.0, red=0.0, stop=0.0)
    read = [made.read(black()) for _ in range(8)]
    assert [one.lane.stop for one in read[:4]] == pytest.approx([4.0, 3.0, 2.0, 1.0])
    assert read[3].braking > 0 and read[7].braking == 0


def test_the_shipped_eyes_read_what_they_should() -> None:
    observer, probe = RoadObserver.load(), RoadProbe.load()
    grey = np.full((2, *SIZE, 3), 90, np.uint8)
    assert observer.see(grey) == [[], []]
    told = probe.read(grey)[0]
    assert told.lane.shape == (len(LANE), 2) and told.aside >= 0 and told.half >= 0.5 and 0 <= told.red <= 1
    assert sum(p.numel() for p in observer.observer.net.parameters()) < 200_000


def test_weights_that_are_no_eyes_are_one_clear_line(tmp_path) -> None:
    save_model(tmp_path / "o.safetensors", ObserverNet().state_dict(), {
        "kind": "observer", "config": asdict(ObserverNet().config)})
    with pytest.raises(BadWeights, match="an observer of another world"):
        RoadObserver.load(tmp_path / "o.safetensors")
    with pytest.raises(BadWeights, match="no lane probe"):
        RoadProbe.load(tmp_path / "o.safetensors")
    with pytest.raises(BadWeights, match="no model at"):
        RoadProbe.load(tmp_path / "none.safetensors")


def test_a_ride_is_worth_what_its_pictures_say(tmp_path, monkeypatch) -> None:
    pytest.importorskip("gymnasium")
    monkeypatch.setitem(sys.modules, "mujoco", None)
    trace(96).save(tmp_path / "one.npz")
    with pytest.raises(BadInput, match="no reward 'pixels': things or observer"):
        RoadEnv(traces=tmp_path, reward="pixels")
    made = {}
    for reward in ("things", "observer"):
        env = RoadEnv(traces=tmp_path, painted=True, reward=reward)
        env.reset(seed=1)
        made[reward] = [env.step(np.zeros(2, np.float32))[1::3] for _ in range(4)]
        assert env.observation_space.contains(env.step(np.zeros(2, np.float32))[0])
    for (known, _), (value, info) in zip(made["things"], made["observer"], strict=True):
        assert info["rewards"]["things"] == known and info["rewards"]["observer"] == value
        assert np.isfinite(value) and info["read"].speed >= 0
    assert driven(1.0, 0.0, 0.0) == 1 and driven(1.4, 0.0, 0.0) < 1 and driven(1.0, 1.0, 7.0) == -0.5


def road_clip(folder, mounts=FOUR) -> ClipSet:
    """One clip of two seconds, its traffic beside it."""
    about = {"world": "road", "seed": 5, "weather": "day", "rig": [asdict(mount) for mount in mounts]}
    made = plan(5, 2.0, trace=trace(), weather="day", mounts=mounts)
    write_shard(folder / "road.tar", [Sample("road-0", simulate(made), about, [])])
    trace().save((folder / "traces").mkdir() or folder / "traces" / "road-0.npz")
    return ClipSet(folder)


@drawing
def test_stills_tell_who_is_where_and_where_the_lane_is(tmp_path) -> None:
    clips = road_clip(tmp_path)
    stills = eyes.drawn(clips, 1, 2, progress=False)
    assert len(stills.pictures) == 4 + 2 and np.isfinite(stills.told[[0, 4, 5], 0]).all()
    assert np.isnan(stills.told[1:4]).all() and len(stills.boxes) == stills.first[-1]
    example = stills.example(0)
    assert example.mask.max() == len(example.kinds) and (example.visible > 0).all()
    twice = eyes.Stills.joined([stills, stills])
    assert len(twice.first) == 13 and np.array_equal(twice.example(6).boxes, example.boxes)
    batch = eyes.Streets(stills, np.arange(6))(0, np.random.default_rng(0))
    assert batch["heat"].shape[1] == batch["weight"].shape[1] == 5
    loss, _ = eyes.observed_loss(ObserverNet(eyes.OBSERVER), batch)
    told, _ = eyes.probe_loss(ProbeNet(), eyes.Fronts(stills, np.array([0, 4, 5]))(0, np.random.default_rng(0)))
    assert torch.isfinite(loss) and torch.isfinite(told)


def test_a_car_beside_its_lane_is_told_so() -> None:
    one, lanes = trace(), Lanes(trace().net)
    before = eyes._told(one, 3, lanes)
    heading = one.heading[3, one.ego]
    one.place[3, one.ego] += 1.0 * np.array([-np.sin(heading), np.cos(heading)])
    one.heading[3, one.ego] += 0.1
    after = eyes._told(one, 3, lanes)
    assert after.shape == (NUMBERS,) and 0.3 * (after[2] - before[2]) == pytest.approx(0.1, abs=1e-3)
    # the lane's middle lies to the right of where our car is now, further on the more so
    assert (10 * (after - before)[4::2] < -0.9).all()


@drawing
@pytest.mark.parametrize("weather", ["day", "night", "rain"])
def test_the_shipped_probe_reads_lights(weather) -> None:
    from reverie.data.road.drawing import staged
    from reverie.data.road.weather import of_seed

    one, picture, probe, t = trace(150), np.empty((*SIZE, 3), np.uint8), RoadProbe.load(), 140
    path = FOUR[0].path(one.place[[t], one.ego], one.heading[[t], one.ego], SIZE)
    for letter in "rg":
        one.signals[:] = LIGHTS.index(letter)
        with staged(one, of_seed(3, weather), SIZE, 3) as stage:
            stage.at(t)
            stage.through(path, 0, SIZE[1] / SIZE[0], now=t)
            stage.picture(picture)
        read = probe.read(picture[None])[0]
        assert read.light > reader.LIT and (read.red > 0.5) == (letter == "r") and abs(read.stop - 11.1) < 3


@drawing
def test_the_light_of_our_lane_is_where_the_picture_has_it() -> None:
    from reverie.data.road.drawing import staged
    from reverie.data.road.weather import WEATHERS, of_seed

    one, size = trace(96), (2 * SIZE[0], 2 * SIZE[1])
    one.signals[:] = LIGHTS.index("g")
    with staged(one, of_seed(3, WEATHERS[0]), size, 3) as stage:
        found = {}
        for t in (0, 95):
            path = FOUR[0].path(one.place[[t], one.ego], one.heading[[t], one.ego], size)
            found[t] = eyes._lights(stage, t, path, np.zeros(size, np.uint8), Gates(one.net))
        assert np.isnan(eyes._lights(stage, 95, path, np.ones(size, np.uint8), Gates(one.net))).all()  # hidden
        stage.at(95)
        stage.through(path, 0, size[1] / size[0], now=95)
        picture = np.empty((*size, 3), np.uint8)
        stage.picture(picture)
    assert np.isnan(found[0]).all()  # 58 m
    (x, y, shown, ours, stop), *others = found[95]
    assert LIGHTS[int(shown)] == "g" and ours == 1 and np.isnan(others).all()
    assert stop == pytest.approx(160 - 100 - 8 * 95 / 24 - 2.2, abs=0.1)
    near = picture[round(y) - 2 : round(y) + 7, round(x) - 3 : round(x) + 4].astype(int)
    assert (near[..., 1] - near[..., 0]).max() > 60


def test_lights_are_learned_place_by_place() -> None:
    lights = torch.full((2, eyes.MOST, 5), torch.nan)
    lights[0, 0] = torch.tensor([101.0, 42.0, 0, 1, 12.0])
    lights[0, 1] = torch.tensor([20.0, 50.0, 2, 0, torch.nan])
    maps = torch.zeros(2, 5, SIZE[0] // CELL, SIZE[1] // CELL)
    maps[:, 0] = -6.0
    right, wrong = maps.clone(), maps.clone()
    for told, (row, column) in ((right, (10, 25)), (wrong, (10, 29))):
        told[0, :, row, column] = torch.tensor([6.0, 1.2, 5.0, 0.0, 0.0])
    right[0, 4, 12, 5] = 5.0
    good, bad = eyes.lights_loss(right, lights), eyes.lights_loss(wrong, lights)
    assert all(one < 0.05 for one in good) and all(one > 0.2 for one in bad)
    assert all(one < 0.05 for one in eyes.lights_loss(maps, torch.full_like(lights, torch.nan)))


def test_a_light_is_switched_in_its_picture() -> None:
    picture = np.full((*SIZE, 3), 90, np.uint8)
    picture[42:51, 98:103], picture[47:50, 99:102] = 20, (25, 230, 76)  # of a light some ten metres away
    light = np.array([100.0, 46.0, LIGHTS.index("g"), 1.0, 10.0])
    green = picture.copy()
    eyes.switch(picture, light)
    assert light[2] == RED and tuple(picture[44, 100]) == (230, 25, 25)
    assert not (picture[..., 1] > 200).any() and (picture[:30] == 90).all() and (picture[:, 110:] == 90).all()
    eyes.switch(picture, light)
    assert light[2] == LIGHTS.index("g") and np.abs(picture.astype(int) - green).max() <= 4
    light[2] = LIGHTS.index("y")
    eyes.switch(picture, light)
    assert light[2] == LIGHTS.index("y") and np.abs(picture.astype(int) - green).max() <= 4


def test_a_light_is_read_where_it_is_likeliest() -> None:
    net, maps = ProbeNet(), torch.zeros(1, 5, SIZE[0] // CELL, SIZE[1] // CELL)
    maps[0, :, 9, 30] = torch.tensor([4.0, 1.4, 3.0, 0.0, -3.0])
    net.lights.forward = lambda pictures: maps
    read = RoadProbe(net).read(np.zeros((1, *SIZE, 3), np.uint8))[0]
    assert read.light > 0.95 and read.red > 0.9 and read.stop == pytest.approx(14.0)


@drawing
def test_eyes_are_trained_and_taken_up(tmp_path) -> None:
    road_clip(tmp_path)
    store = tmp_path / "run" / "road_observer" / "stills.npz"
    store.parent.mkdir(parents=True)
    eyes.drawn(ClipSet(tmp_path), 1, 1, progress=False).save(store)
    folder = train("debug", stage="eyes", data=tmp_path, out=tmp_path / "run", steps=2, device="cpu", progress=False)
    observer, probe = (folder / f"{name}.safetensors" for name in ("road_observer", "road_probe"))
    assert RoadObserver.load(observer).observer.meta["data"] == {"clips": 1, "pictures": 5}
    assert RoadProbe.load(probe).meta["recipe"]["trained_steps"] == 2
    store.write_bytes(b"no")
    with pytest.raises(BadData, match="stills.npz is damaged"):
        train("debug", stage="eyes", data=tmp_path, out=tmp_path / "run", steps=4, device="cpu", progress=False)


@drawing
def test_clips_that_are_not_of_the_road_are_one_clear_line(tmp_path) -> None:
    made = plan(5, 2.0, trace=trace(), weather="day", mounts=(Mount("ahead", (0.7, 0.0, 1.35)),))
    write_shard(tmp_path / "other.tar", [Sample("lab-0", simulate(made), {"world": "lab"}, [])])
    with pytest.raises(BadData, match="lab-0 is not of the road"):
        eyes.drawn(ClipSet(tmp_path), 1, 1, progress=False)


def test_figures_of_rides_are_of_what_is_so_and_what_is_read() -> None:
    one = np.array([0.5, 0.6, 8.0, 8.2, 0.1, 0.1, 0.2, 0.4, 0.0, 0.05, 15.0, 14.0, np.inf, 0.0])
    two = np.array([0.1, 0.1, 4.0, 4.0, 0.0, 0.0, 0.2, 0.2, 0.0, 0.0, np.inf, 12.0, 10.0, 0.9])
    figures = {f["name"]: f["value"] for f in reading._ridden_figures("truth", np.stack([one, two]))}
    assert figures["rewards_apart_in_truth"] == pytest.approx(0.05) and figures["gap_error_in_truth"] == 1
    assert figures["leaders_read_in_truth"] == 1 and figures["leaders_invented_in_truth"] == 1
    assert figures["red_lights_read_in_truth"] == 1 and figures["red_lights_invented_in_truth"] == 0
    clip = {"asked": 4, "found": 3, "said": 5, "right": 4, "alike": [0.8, 0.9, 0.7], "kind": [True, False, True],
            "tracks": []}
    pytest.importorskip("trackeval")
    seen = {f["name"]: f["value"] for f in reading._seen_figures("dream", [clip, clip])}
    assert seen["agents_found_in_dream"] == 0.75 and seen["found_that_are_agents_in_dream"] == 0.8
    assert seen["iou_in_dream"] == pytest.approx(0.8)
