"""The road: drivers, traces, cameras, towns, words and pictures; SUMO's part and MuJoCo's are skipped without them."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from fake_road import FPS, street, trace

from reverie.core.camera import project
from reverie.core.errors import BadData, BadInput, ReverieError
from reverie.data.make import make
from reverie.data.road import rig
from reverie.data.road.driver import DRIVERS, EAGER, HARDEST, TIGHTEST, Car, Driver, Sight, Way
from reverie.data.road.telling import COMMANDS, HAPPENS, SCENE, caption, command
from reverie.data.road.town import built
from reverie.data.road.trace import Trace
from reverie.data.road.weather import WEATHERS
from reverie.data.road.world import CHANNELS, ending, events_of, from_start, part, plan, simulate
from reverie.data.sample import Sample
from reverie.data.shards import ClipSet, write_shard

SUMO = importlib.util.find_spec("libsumo") is not None
MUJOCO = importlib.util.find_spec("mujoco") is not None
NOBODY = Sight(np.zeros((0, 2)), np.zeros(0), np.zeros(0), "g")


def driven(manner: str, seconds: float = 12.0, sight: Sight = NOBODY, seed: int = 0) -> tuple[list[Car], np.ndarray]:
    """A drive along the street's outer lane from 5 m on: the car in every frame, and the actions."""
    way = next(way for way in (Way.random(street(), 0, 230, np.random.default_rng(n)) for n in range(20))
               if 1 not in way.lanes)  # one that does not change to the lane beside
    driver = Driver(way, manner, FPS, np.random.default_rng(seed))
    cars, actions = [Car(np.array([5.0, 0.0]), 0.0, 6.0)], []
    for _ in range(round(seconds * FPS)):
        actions.append(driver.act(cars[-1], sight))
        cars.append(cars[-1].moved(*actions[-1], 1 / FPS))
    return cars, np.array(actions)


# -- driving ------------------------------------------------------------------------------------------


def test_a_car_goes_round_a_circle():
    car = Car(np.zeros(2), 0.0, 5.0)
    for _ in range(240):
        car = car.moved(0.1, 0.0, 2 * np.pi * 10 / 5 / 240)
    assert np.allclose(car.place, 0, atol=0.01) and car.heading == pytest.approx(2 * np.pi)
    assert Car(np.zeros(2), 0.0, 1.0).moved(0.0, -5.0, 1.0).speed == 0.0  # it does not roll backwards


def test_a_smooth_driver_keeps_the_lane_and_the_limit():
    cars, actions = driven("smooth")
    assert max(abs(car.place[1]) for car in cars) < 0.1
    assert 8 < max(car.speed for car in cars) < 10.5 and abs(actions[:, 0]).max() < 0.02


def test_a_red_light_and_a_standing_car_are_heeded():
    red = replace(NOBODY, lights="r")
    cars, _ = driven("smooth", 25.0, red)
    assert cars[-1].speed < 0.2 and 150 < cars[-1].place[0] + 2.2 < 160
    ahead = Sight(np.array([[80.0, 0.3]]), np.zeros(1), np.array([2.2]), "g")
    cars, _ = driven("smooth", 20.0, ahead)
    assert cars[-1].speed < 0.2 and 70 < cars[-1].place[0] + 2.2 < 77.5
    beside = replace(ahead, places=np.array([[80.0, 3.2]]))
    assert driven("smooth", 20.0, beside)[0][-1].place[0] > 120  # who stands in the other lane is in nobody's way


@pytest.mark.parametrize("manner", DRIVERS)
def test_every_manner_stays_within_what_a_car_can_do(manner):
    cars, actions = driven(manner, 20.0)
    assert (abs(actions[:, 0]) <= TIGHTEST).all() and (actions[:, 1] >= -HARDEST).all()
    assert (actions[:, 1] <= EAGER).all() and all(car.speed >= 0 for car in cars)
    assert np.array_equal(driven(manner, 20.0)[1], actions)  # the same seed, the same drive


def test_manners_differ():
    aside = {manner: max(max(abs(car.place[1]) for car in driven(manner, 20.0, seed=seed)[0]) for seed in range(3))
             for manner in DRIVERS}
    assert aside["smooth"] < 0.1 < aside["clumsy"] and aside["wrong"] > 0.5
    late, early = (driven(manner, 25.0, replace(NOBODY, lights="r"))[0] for manner in ("late", "smooth"))
    assert late[-1].place[0] > early[-1].place[0]  # it stops later


def test_ways_follow_lanes_and_change_between_them():
    ways = [Way.random(street(), 0, 300, np.random.default_rng(seed)) for seed in range(12)]
    assert {1} < {len(set(way.lanes.tolist())) for way in ways}
    for way in ways:
        assert np.hypot(*np.diff(way.line, axis=0).T).max() < 1.6  # no gap, and no corner
        if 4 in way.lanes:
            assert way.turns == ((pytest.approx(160, abs=0.5), "straight"),) and way.stops[0][1] == 0


# -- traces, and the frame of a clip ------------------------------------------------------------------


def test_traces_are_kept_and_damage_is_told(tmp_path):
    made = trace()
    made.save(tmp_path / "a.npz")
    read = Trace.load(tmp_path / "a.npz")
    assert read.kinds == made.kinds and read.turns == made.turns and read.driver == "smooth" and read.ego == 1
    for name in ("paints", "exists", "lane", "signals"):
        assert np.array_equal(getattr(read, name), getattr(made, name))
    for name in ("size", "place", "heading", "speed", "actions"):
        assert np.allclose(getattr(read, name), getattr(made, name), atol=1e-4)
    assert [lane.after for lane in read.net.lanes] == [lane.after for lane in made.net.lanes]
    assert all(np.allclose(a.line, b.line, atol=0.01) for a, b in zip(read.net.lanes, made.net.lanes, strict=True))
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:900])
    for bad in ("b.npz", "none.npz"):
        with pytest.raises(BadData, match=bad):
            Trace.load(tmp_path / bad)


def test_a_clip_begins_with_our_car_at_the_origin():
    turned = from_start(trace())
    assert np.allclose(turned.place[0, 1], 0) and turned.heading[0, 1] == pytest.approx(np.pi / 2)
    assert np.allclose(turned.place[-1, 1], [0, 8 * 47 / 24])
    assert np.allclose(turned.place[0, 0], [-3.2, 12])  # the lane to the left is to the left
    assert np.allclose(turned.place[0, 3], 0) and not turned.exists[0, 3]
    early = part(trace(), 0, 12)
    assert early.kinds == ["car", "car", "person"] and early.ego == 1 and early.frames == 12


def test_a_plan_is_its_trace_and_says_what_it_cannot_be():
    whole = plan(3, 2.0, fps=FPS, trace=trace(), weather="fog")
    rest = ending(whole, 0.5)
    assert rest.trace.frames == 12 and rest.weather.name == "fog"
    assert np.allclose(rest.trace.place[0, rest.trace.ego], 0)
    with pytest.raises(BadInput, match="48 frames"):
        plan(3, 3.0, fps=FPS, trace=trace())
    with pytest.raises(BadInput, match="weather"):
        plan(3, 2.0, fps=FPS, trace=trace(), weather="hail")


def test_truth_and_actions_come_back_from_a_shard(tmp_path):
    clip = simulate(plan(3, 2.0, fps=FPS, trace=trace()))
    truth = clip.truth
    assert truth.ego == 1 and truth.kinds[2] == "person" and np.allclose(truth.extent[1], [2.2, 0.9, 0.75])
    assert np.allclose(truth.velocity[0, 1], [0, 8, 0], atol=1e-5) and truth.position[0, 2, 2] == pytest.approx(0.86)
    assert np.allclose(truth.rotation[0, 1] @ [1, 0, 0], [0, 1, 0], atol=1e-6)
    assert clip.channels == CHANNELS and np.allclose(clip.actions[:, 2], 8) and clip.channels[2].measured
    write_shard(tmp_path / "road-train-000000.tar", [Sample("road-00000000", clip, {"split": "train"}, [])])
    back = ClipSet(tmp_path).clip(0)
    assert np.array_equal(back.truth.lane, truth.lane) and back.truth.ego == 1 and back.channels == CHANNELS
    assert list(back.cameras) == ["front", "left", "right", "rear"]


# -- cameras ------------------------------------------------------------------------------------------


def test_cameras_look_where_the_rig_says():
    place, heading, size = np.array([[10.0, 5.0]]), np.array([np.pi / 2]), (64, 96)
    for mount, spot in zip(rig.FOUR, ([10, 25, 1], [-10, 8.8, 1], [30, 8.8, 1], [10, -15, 1]), strict=True):
        path = mount.path(place, heading, size)
        pixel, depth = project(np.array(spot, float), path.position[0], path.rotation[0], path.fovy, *size)
        assert depth > 5 and abs(pixel[0] - 48) < 6 and 20 < pixel[1] < 44, mount.name
        assert np.allclose(path.rotation[0] @ path.rotation[0].T, np.eye(3), atol=1e-6)
        edge = path.position[0] + 10 * (-path.rotation[0, :, 2] + np.tan(np.radians(mount.across / 2))
                                        * path.rotation[0, :, 0])
        assert project(edge, path.position[0], path.rotation[0], path.fovy, *size)[0][0] == pytest.approx(96, abs=0.1)


def test_a_rig_is_read_from_a_file_and_bad_ones_are_told(tmp_path):
    (tmp_path / "rig.json").write_text(rig.saved(rig.FOUR[:2]))
    assert rig.load(tmp_path / "rig.json") == rig.FOUR[:2]
    for bad in ("[]", "{", '[{"name": "a", "at": [0, 0]}]', '[{"name": "a.b", "at": [0, 0, 1]}]', '[{"eye": 1}]',
                json.dumps([{"name": "a", "at": [0, 0, 1]}] * 2), '[{"name": "a", "at": [0, 0, 1], "across": 190}]'):
        (tmp_path / "bad.json").write_text(bad)
        with pytest.raises(BadInput):
            rig.load(tmp_path / "bad.json")


# -- what happens, in words ---------------------------------------------------------------------------


def test_what_happens_is_noticed():
    found = {event.kind: event for event in events_of(from_start(trace()))}
    assert set(found) == {"turns", "cuts in", "crosses"}
    assert found["cuts in"].actor == 0 and found["crosses"].actor == 2 and found["turns"].detail == "straight"
    stopping = trace()
    stopping.speed[:, 1] = np.maximum(8 - 10 * np.arange(48) / FPS, 0)
    stopping.actions[:20, 1] = -7
    assert {"stops", "brakes"} <= {event.kind for event in events_of(stopping)}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_drives_are_told_in_words_that_training_has_and_in_words_that_it_never_sees(language):
    truth = simulate(plan(3, 2.0, fps=FPS, trace=trace(), weather="night")).truth
    seen, unseen = set(), set()
    for seed in range(60):
        for held_out, used in ((False, seen), (True, unseen)):
            lines = caption(truth, np.random.default_rng(seed), language=language, long=seed % 2 == 0,
                            held_out=held_out, fps=FPS)
            assert [line.start for line in lines] == truth.beats and all(line.text for line in lines)
            used |= {template for line in lines for template in line.template}
    text = " ".join(line.text for line in caption(truth, np.random.default_rng(1), language=language, long=True))
    assert ("blue car" in text and "a red " not in text) if language == "en" else "蓝色的汽车" in text
    assert len(seen) > 6 and "{" not in text
    assert not seen & unseen or len(unseen) < len(seen)  # only where a table has no held-out one
    with pytest.raises(BadInput):
        caption(truth, np.random.default_rng(0), language="de")


def test_every_weather_event_and_command_has_words_in_both_languages():
    assert set(SCENE["en"]) == set(SCENE["zh"]) == set(WEATHERS)
    assert set(HAPPENS["en"]) == set(HAPPENS["zh"]) and set(COMMANDS["en"]) == set(COMMANDS["zh"])
    turn = next(e for e in events_of(from_start(trace())) if e.kind == "turns")
    assert command(turn, "en", np.random.default_rng(0)) in COMMANDS["en"]["turns straight"]
    assert command(None, "zh", np.random.default_rng(0)) in COMMANDS["zh"]["keeps"]


# -- the town, and pictures of it ---------------------------------------------------------------------


def test_no_house_stands_on_a_road():
    net, path = street(), np.array([[100.0, 0.0], [120.0, 0.0]])
    town = built(net, path, 5)
    posts = {what: [p for p in town.posts if p.what == what] for what in ("house", "tree", "lamp", "light")}
    assert len(posts["light"]) == 1 and posts["light"][0].at[1] < -1.6 and all(posts.values())
    for post in town.posts:
        reach = min(post.size[:2]) / 2 if post.what == "house" else 0.2
        assert min(abs(lane.line[0, 1] - post.at[1]) for lane in net.lanes if lane.use == "drive") > 1.6 + reach
    again = built(net, path, 5)
    assert all(np.array_equal(a.at, b.at) for a, b in zip(town.posts, again.posts, strict=True))


@pytest.mark.skipif(not MUJOCO, reason="drawing needs mujoco")
def test_pictures_show_what_the_truth_says():
    from reverie.data.scenes import SCENES

    whole = plan(3, 2.0, fps=FPS, trace=trace(), weather="day", size=(64, 96), mounts=(rig.FOUR[0], rig.FOUR[3]))
    short = replace(whole, trace=part(whole.trace, 20, 22))
    clip = SCENES["road"].draw(short)
    truth, views = clip.truth, clip.views
    assert set(views) == {"front", "rear"} and views["front"].shape == (2, 64, 96, 3) and views["front"].std() > 20
    assert (truth.visible["front"][:, 0] > 0.5).all() and np.isnan(truth.boxes["rear"][:, 0]).all()
    assert np.isnan(truth.boxes["front"][:, truth.ego]).all() and not (truth.masks["front"] == truth.ego + 1).any()
    y, x = np.nonzero(truth.masks["front"][0] == 1)
    low_x, low_y, high_x, high_y = truth.boxes["front"][0, 0]
    assert len(y) > 30 and low_x - 1 <= x.min() and x.max() <= high_x and low_y - 1 <= y.min() and y.max() <= high_y
    again = SCENES["road"].draw(short)
    assert all(np.array_equal(views[name], again.views[name]) for name in views)


def test_stored_traffic_needs_no_sumo(tmp_path, monkeypatch):
    (tmp_path / "traces").mkdir()
    for index in range(2):
        trace().save(tmp_path / "traces" / f"road-{index:08d}.npz")
    monkeypatch.setitem(sys.modules, "libsumo", None)
    arguments = dict(things_only=True, seconds=2.0, workers=0, progress=False, traces=tmp_path / "traces")
    made = make("road", tmp_path / "clips", clips=2, **arguments)
    clips = ClipSet(tmp_path / "clips")
    assert made["clips"] == 2 and clips.clip(1).truth.kinds == trace().kinds
    told = {caption["language"]: caption["lines"][0]["text"] for caption in clips.meta(0)["captions"]}
    assert set(told) == {"en", "zh"} and any(word in told["zh"] for word in ("城镇", "街道"))
    kept = clips.meta(0)["provenance"]
    assert kept["driver"] == "smooth" and len(kept["rig"]) == 4 and {"start", "en", "zh"} == set(kept["commands"][0])
    assert kept["commands"][1]["en"] in COMMANDS["en"]["turns straight"]
    with pytest.raises(ReverieError, match="SUMO"):
        make("road", tmp_path / "more", clips=3, **arguments)
    with pytest.raises(BadInput, match="road-00000000.npz has 48 frames"):
        make("road", tmp_path / "long", clips=1, **(arguments | {"seconds": 3.0}))
    with pytest.raises(BadInput, match="of the road"):
        make("lab", tmp_path / "lab", clips=1, **arguments)


@pytest.mark.skipif(not SUMO, reason="traffic needs SUMO (the extra traffic)")
def test_traffic_is_alive_and_the_same_again():
    from reverie.data.road.traffic import traffic

    one, two = (traffic(4, 2.0, driver="smooth") for _ in range(2))
    assert np.array_equal(one.place, two.place) and one.kinds == two.kinds
    assert one.frames == 48 and len(one.kinds) > 8 and one.kinds[one.ego] == "car" and "person" in one.kinds
    steps = np.hypot(*np.diff(one.place, axis=0).transpose(2, 0, 1)) * FPS
    there = one.exists[1:] & one.exists[:-1]
    assert steps[there].max() < 20 and (steps[there] > 1).mean() > 0.2
    car = Car(one.place[0, 0], one.heading[0, 0], one.speed[0, 0])
    for action, place in zip(one.actions, one.place[1:, 0], strict=False):  # the pose follows from the actions alone
        car = car.moved(*map(float, action), 1 / FPS)
        assert np.allclose(car.place, place, atol=0.02)
    with pytest.raises(BadInput, match="driver"):
        traffic(4, 2.0, driver="drunk")
