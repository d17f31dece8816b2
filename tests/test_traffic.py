"""Imagined traffic: what is seen, what is learned, what goes on by construction, and the files that come of it."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_road import FPS, line, street, trace

from reverie.cli import main
from reverie.core.errors import BadData, BadInput, BadWeights
from reverie.core.video import probe, read_video
from reverie.data.road import found, routes
from reverie.data.road.driver import Car
from reverie.data.road.lights import program
from reverie.data.road.moments import Moments, shown
from reverie.data.road.rig import Mount
from reverie.data.road.trace import Trace
from reverie.data.road.world import Look, plan, simulate
from reverie.data.sample import Sample
from reverie.data.shards import ClipSet, write_shard
from reverie.envs.seeing import VECTOR
from reverie.evaluate import forecast
from reverie.futures.above import Above
from reverie.futures.making import futures
from reverie.model.road import sight
from reverie.model.road.traffic import Config, Mixture, Traffic, done
from reverie.road import Road
from reverie.train.recipes import train
from reverie.train.traffic import Scenes, TrafficPlan, load_moments, sample, save_moments, scene_of, traffic_loss

SMALL = Config(width=32, depth=1, heads=2, parts=3)


@pytest.fixture(scope="module")
def road() -> Road:
    """An untrained model."""
    torch.manual_seed(0)
    return Road(Traffic(SMALL).eval(), {}, "tiny", heat=1.0)


@pytest.fixture(scope="module")
def weights(road: Road, tmp_path_factory) -> Path:
    from reverie.model.checkpoint import save_model

    path = tmp_path_factory.mktemp("model") / "road.safetensors"
    save_model(path, road.network.state_dict(), {"kind": "traffic", "config": SMALL.to_dict()})
    return path


# -- lines --------------------------------------------------------------------------------------------


def test_lines_follow_lanes_and_know_their_signals() -> None:
    roads = routes.Roads(street())
    assert roads.steps((0, 1)) == [(4, 1)] and roads.steps((5, 1)) == [] and roads.before[5] == [4]
    made = roads.chain(roads.extended([(0, 1)], 500.0, np.random.default_rng(0)))
    assert [n for n, _ in made.lanes] == [0, 4, 5]
    gaps = np.hypot(*np.diff(made.points, axis=0).T)
    assert gaps.min() > 0.8 and gaps.max() < 1.2 and np.abs(made.points[:, 1]).max() < 1e-6
    signal = np.flatnonzero(made.about[:, 4])
    assert len(signal) == 1 and made.points[signal[0], 0] == pytest.approx(160, abs=1.0)
    assert made.about[signal[0] + 3, 1] == 1.0  # inside the junction behind it
    crossing = roads.chain([(3, -1)])
    assert crossing.points[routes.BEHIND, 1] > crossing.points[routes.BEHIND + 9, 1] and crossing.about[12, 3] == 1
    assert roads.walks_from(np.array([150.0, -3.0])) and not roads.walks_from(np.array([80.0, 60.0]))


def test_everybody_is_bound_for_where_it_went() -> None:
    made = trace(96)
    made.lane[10:, 0] = 1
    bound = routes.bound(made, np.random.default_rng(0))
    lanes = [[n for n, _ in bound.lines[k].lanes] for k in bound.number[[0, -1], 0]]
    assert lanes[0][0] == 0 and lanes[1] == [1]  # it changed lanes
    assert (bound.number[:, 1] >= 0).all() and (bound.number[:12, 3] == -1).all()
    x = bound.lines[bound.number[4, 1]].points[bound.nearest[4, 1], 0]
    assert x == pytest.approx(made.place[16, 1, 0], abs=0.6)


def test_a_guess_is_on_the_lane_or_beside_it() -> None:
    roads, rng = routes.Roads(street()), np.random.default_rng(0)
    own = routes.guessed(roads, "car", np.array([50.0, 0.0]), 0.0, 0, rng)
    other = routes.guessed(roads, "car", np.array([50.0, 0.0]), 0.0, 0, rng, change=1.0)
    assert own.lanes[0] == (0, 1) and other.lanes[0] == (1, 1)
    assert routes.guessed(roads, "car", np.array([50.0, 0.0]), 0.0, -1, rng) is None
    walks = routes.guessed(roads, "person", np.array([50.0, -2.6]), np.pi, 2, rng)
    assert walks.lanes[0] == (2, -1)
    assert routes.lane_at(roads, np.array([50.0, 3.0]), 0.1) == 1
    assert routes.lane_at(roads, np.array([50.0, 3.0]), 3.0) == -1


def test_what_signals_show() -> None:
    about = np.zeros((3, 5), np.float32)
    about[:, 4] = 0, 1, 7
    assert shown(about, np.array([2], np.uint8))[:, 4:].tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]


# -- what is seen -------------------------------------------------------------------------------------


def batch(made: Trace, t: int = 6, **plan_changes) -> dict[str, torch.Tensor]:
    quiet = TrafficPlan(agents=6, mapless=0, lineless=0, unlit=0, short=0, nudged=0)
    m = Moments.of(made, np.random.default_rng(0))
    rows = sample(m, t, np.flatnonzero(m.there[t]), replace(quiet, **plan_changes), np.random.default_rng(0))
    return {name: torch.from_numpy(np.asarray(values)[None]) for name, values in rows.items()}


def turned(made: Trace, angle: float, shift: tuple[float, float]) -> Trace:
    """The same trace elsewhere in the world."""
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    lanes = tuple(replace(lane, line=lane.line @ rotation.T + shift) for lane in made.net.lanes)
    return replace(made, net=replace(made.net, lanes=lanes), place=made.place @ rotation.T + shift,
                   heading=made.heading + angle)


def test_what_is_seen_does_not_depend_on_where_the_world_lies() -> None:
    network = Traffic(SMALL)
    one, two = (network.see(scene_of(batch(made)))[1] for made in (trace(96), turned(trace(96), 2.0, (70.0, -30.0))))
    assert torch.allclose(one.own[0, :3], two.own[0, :3], atol=2e-3)
    close = torch.isclose(one.near[0, :3, :2], two.near[0, :3, :2], atol=2e-3)
    assert int((~close).sum()) < 3  # what lies exactly on an edge may fall to either side
    assert one.own.shape[-1] == sight.OWN and one.near.shape[-1] == sight.NEAR


def test_what_happened_is_said_in_the_networks_numbers() -> None:
    made = trace(96)
    made.actions[:] = 0.05, -3.0
    made.lane[:, 2] = -1
    rows = batch(made)
    scene, seen = Traffic(SMALL).see(scene_of(rows))
    what = done(scene, seen, rows["after"], rows["actions"])
    assert what[0, 1, 0] == pytest.approx(-3.0 * sight.STEP / 0.5, abs=1e-3)  # our car's actions
    assert what[0, 1, 1] == pytest.approx(0.05 / 0.03, abs=0.05)
    assert abs(float(what[0, 2, 0])) < 0.05  # the walker goes on as it went
    assert float(seen.gap[0, 1]) == pytest.approx(12 - 4.4, abs=1.0)  # who is ahead


def test_a_mixture_draws_what_it_says() -> None:
    torch.manual_seed(0)
    mixture = Mixture(torch.tensor([[[0.0, 0.0]]]), torch.tensor([[[[-2.0, 0.0], [2.0, 0.0]]]]),
                      torch.full((1, 1, 2, 2), -2.0))
    drawn = torch.cat([mixture.draw(torch.randn(1, 1, 2), torch.rand(1, 1)) for _ in range(200)])[:, 0, 0]
    assert 0.3 < float((drawn > 0).float().mean()) < 0.7 and float((drawn.abs() - 2).abs().max()) < 0.6
    near, far = (float(mixture.cost(torch.tensor([[[x, 0.0]]]))) for x in (2.0, 0.0))
    assert near < far
    assert float(mixture.draw(torch.ones(1, 1, 2), torch.full((1, 1), 0.9), heat=0.0)[0, 0, 0]) == 2.0


# -- how it goes on -----------------------------------------------------------------------------------


def test_our_car_does_as_it_is_told(road: Road) -> None:
    made, rng = trace(96), np.random.default_rng(1)
    actions = np.stack([rng.uniform(-0.18, 0.18, 48), rng.uniform(-7, 2.5, 48)], -1).astype(np.float32)
    told = road.futures(made, at=1.0, count=2, seconds=2.0, actions=actions)
    car = Car(made.place[24, 1].astype(float), float(made.heading[24, 1]), float(made.speed[24, 1]))
    for k, (bend, push) in enumerate(actions):
        car = car.moved(float(bend), float(push), 1 / FPS)
        assert np.allclose(told.place[:, k, told.ego], car.place, atol=2e-3)
        assert told.heading[0, k, told.ego] == pytest.approx(car.heading, abs=1e-3)
    assert np.allclose(told.actions[0], actions)


def test_futures_differ_by_seed_alone(road: Road) -> None:
    told = road.futures(trace(96), at=1.0, count=3, seconds=2.0, seed=4)
    alone = road.futures(trace(96), at=1.0, count=1, seconds=2.0, seed=5)
    assert np.allclose(told.place[1], alone.place[0], atol=1e-4)
    assert np.abs(told.place[0] - told.place[1]).max() > 0.05
    assert told.place.shape == (3, 48, 3, 2) and told.agents.tolist() == [1, 0, 2] and told.ego == 0
    assert np.isfinite(told.place).all() and np.isfinite(told.heading).all()
    assert np.abs(told.actions[..., 0]).max() <= 0.18 + 1e-6


def test_nobody_drives_into_who_stands_ahead(road: Road) -> None:
    made = trace(96, speed=8.0)
    made.place[:, 0] = 124.0, 0.0  # a car that stands 24 m ahead of ours at the start
    made.speed[:, 0] = 0.0
    made.exists[:, 2] = False
    made.exists[:, 3] = True
    made.place[:, 3] = made.place[:, 1] - (14.0, 0.0)  # a truck behind ours
    ride = road.begin(made, 24, [0, 1, 2])
    standing = int(np.flatnonzero(ride.agents == 0)[0])
    ride.drive.told |= {(k, standing): -9.0 for k in range(3)}
    for _ in range(24):
        ride.step()
    told = ride.told()
    assert np.allclose(told.place[:, -1, standing], (124, 0), atol=0.1)
    wheels = np.ones(3, bool)
    for k in range(3):
        assert forecast.collisions(told.place[k], told.heading[k], told.there[k], made.size[told.agents], wheels) == 0


def test_lights_change_as_their_programs_say_unless_somebody_says_otherwise(road: Road) -> None:
    made = trace(96)
    made.net = replace(made.net, programs=(program([0], [10, 3, 12], ["r", "g", "y"]),))
    made.signals[:13] = 1  # yellow, then red for half a second
    ride = road.begin(made, 24, [0, 1])
    for _ in range(66):
        ride.step()
    shows = ride.told().signals[..., 0]
    assert shows.shape == (2, 264) and (shows[:, :227] == 0).all() and (shows[:, 228:] == 2).all()
    assert (ride.trace_of(1, past=4, frame=24).signals[:, 0] == [0] * 4 + shows[1].tolist()).all()
    ride.lights(np.array([1]))
    ride.step()
    assert (ride.told().signals[:, -4:] == 1).all()


def test_without_a_map_it_goes_on_too(road: Road) -> None:
    told = road.futures(trace(96), at=1.0, count=2, seconds=1.0, mapped=False)
    assert np.isfinite(told.place).all() and all(line is None for own in told.lines for line in own)
    with pytest.raises(BadInput, match="futures begin at frame"):
        road.begin(trace(96), 96, [0])
    with pytest.raises(BadData, match="12 frames a second"):
        road.begin(replace(trace(96), fps=12.0), 24, [0])


def test_a_line_grows_as_it_is_driven(road: Road) -> None:
    lanes = list(street().lanes)
    lanes[5] = replace(lanes[5], after=(6,))
    lanes.append(replace(lanes[5], road="c", line=line((250, 0), (600, 0)), after=()))
    made = trace(96)
    made.net = replace(made.net, lanes=tuple(lanes))
    ride = road.begin(made, 24, [0])
    ride.put(0, 0, ride.roads.chain([(0, 1), (4, 1)]))
    far = np.tile(np.array([0.0, 2.5], np.float32), (1, 4, 1))
    for _ in range(30):
        ride.step(far)
    assert ride.lines[0][0].lanes[-1][0] in (5, 6) and int(ride.drive.now.count[0, 0]) > 0


# -- learning -----------------------------------------------------------------------------------------


def test_training_goes_from_traces_to_a_model_and_on(tmp_path: Path) -> None:
    for k, speed in enumerate((4.0, 6.0, 8.0)):
        trace(96, speed).save(tmp_path / "data" / f"{k}.npz") if (tmp_path / "data").exists() else (
            (tmp_path / "data").mkdir(), trace(96, speed).save(tmp_path / "data" / f"{k}.npz"))
    made = train("debug", stage="traffic", data=tmp_path / "data", out=tmp_path / "out", steps=3, device="cpu",
                 progress=False)
    model = Road.load(made)
    assert model.meta["data"]["traces"] == 3 and model.meta["recipe"]["trained_steps"] == 3
    log = (tmp_path / "out" / "road" / "log.jsonl").read_text().splitlines()
    assert np.isfinite(json.loads(log[0])["loss"])
    more = train("debug", stage="traffic", data=tmp_path / "data", out=tmp_path / "more", steps=2, device="cpu",
                 start_from=made, progress=False)
    assert (more / "road.safetensors").exists()
    with pytest.raises(BadData, match="no traces of traffic"):
        (tmp_path / "none").mkdir()
        train("debug", stage="traffic", data=tmp_path / "none", out=tmp_path / "x", steps=1, progress=False)


def test_moments_are_kept_and_batches_are_the_same_again(tmp_path: Path) -> None:
    moments = [Moments.of(trace(96, 5.0), np.random.default_rng(0))]
    save_moments(moments, tmp_path / "m.npz")
    scenes = [Scenes(some, TrafficPlan(scenes=3, agents=5)) for some in (moments, load_moments(tmp_path / "m.npz"))]
    one, two = (s(0, np.random.default_rng(3)) for s in scenes)
    assert all(torch.equal(one[name], two[name]) for name in one)
    loss, figures = traffic_loss(Traffic(SMALL), one)
    assert torch.isfinite(loss) and "ego" in figures
    (tmp_path / "m.npz").write_bytes(b"x")
    with pytest.raises(BadData, match="damaged"):
        load_moments(tmp_path / "m.npz")


# -- files --------------------------------------------------------------------------------------------


def test_futures_of_a_trace_are_written(weights: Path, tmp_path: Path, capsys) -> None:
    trace(96).save(tmp_path / "ride.npz")
    code = main(["futures", str(tmp_path / "ride.npz"), "--count", "2", "--seconds", "1", "--until", "2", "--edit",
                 "0: brake at 0.2", "--edit", "0: left at 0.5", "--model", str(weights), "-o", str(tmp_path / "out"),
                 "--json"])
    made = json.loads(capsys.readouterr().out)
    assert code == 0 and made["count"] == 2 and made["things"][1] == "red car, our own"
    assert {"compare.mp4", "sheet.png", "paths.png", "futures.json", "future-2.mp4", "future-2.jsonl"} <= {
        p.name for p in (tmp_path / "out").iterdir()}
    assert probe(tmp_path / "out" / "future-1.mp4")["frames"] == 24
    rows = [json.loads(text) for text in (tmp_path / "out" / "future-1.jsonl").read_text().splitlines()]
    speeds = [np.hypot(*row["velocity"]) for row in rows if row["thing"] == 0]
    assert len(speeds) == 24 and speeds[-1] < speeds[0] - 2.5
    assert set(rows[0]) == {"future", "frame", "time", "thing", "kind", "colour", "position", "heading", "velocity"}
    assert len(made["divergence"]["agents apart, metres"]) == 1
    assert main(["futures", str(tmp_path / "ride.npz"), "--above", "--draw", "-o", str(tmp_path / "no")]) == 2
    assert "give one of the two" in capsys.readouterr().err and not (tmp_path / "no").exists()


@pytest.mark.parametrize(("options", "said"), [
    ({"edits": ["1: brake"]}, "our own car"), ({"edits": ["3: brake"], "until": 0.5}, "there is no thing 3"),
    ({"until": 9.0}, "the past ends between"), ({"prompt": "rain"}, "learned no words"),
    ({"actions": "away"}, "give a CSV file")])
def test_what_makes_no_sense_is_refused(weights: Path, tmp_path: Path, options: dict, said: str) -> None:
    trace(96).save(tmp_path / "ride.npz")
    with pytest.raises(BadInput, match=said):
        futures(tmp_path / "ride.npz", tmp_path / "out", count=1, seconds=1.0, model=weights, **options)


def test_actions_from_words_and_tables(weights: Path, tmp_path: Path) -> None:
    trace(96).save(tmp_path / "ride.npz")
    made = futures(tmp_path / "ride.npz", tmp_path / "a", count=1, seconds=1.0, model=weights, until=2.0,
                   actions="brake")
    assert made.futures[0]["actions"][0][1] == -5.0 and any("-5 m/s^2" in note for note in made.notes)
    (tmp_path / "a.csv").write_text("time,curvature,acceleration\n0,0.1,1\n0.5,0,9\n")
    with pytest.raises(BadInput, match=r"a.csv row 3: acceleration is 9, out of its range -7 to 2.5"):
        futures(tmp_path / "ride.npz", tmp_path / "b", count=1, seconds=1.0, model=weights, actions=tmp_path / "a.csv")


def test_a_clip_of_data_finds_its_trace_or_goes_without(weights: Path, tmp_path: Path, monkeypatch) -> None:
    made = plan(5, 2.0, trace=trace(48))
    provenance = {"world": "road", "seed": 5, "plan_seconds": 2.0}
    write_shard(tmp_path / "road.tar", [Sample("road-0", simulate(made), provenance, [])])
    monkeypatch.setattr("reverie.data.road.traffic.traffic", lambda *a, **k: trace(48, 3.0))  # another clip's
    alone, said = found.trace_of(ClipSet(tmp_path), 0)
    assert not alone.net.lanes and "nobody knows its net" in said
    assert np.allclose(alone.place, made.trace.place, atol=1e-3) and alone.kinds == made.trace.kinds
    monkeypatch.setattr("reverie.data.road.traffic.traffic", lambda *a, **k: trace(48))
    again, said = found.trace_of(ClipSet(tmp_path), 0)
    assert again.net.lanes and "simulated again" in said
    trace(48).save((tmp_path / "traces").mkdir() or tmp_path / "traces" / "road-0.npz")
    kept, said = found.trace_of(ClipSet(tmp_path), 0)
    assert kept.net.lanes and said == ""
    with pytest.raises(BadInput, match="no clip road-9"):
        futures(tmp_path, tmp_path / "out", count=1, seconds=0.5, model=weights, key="road-9")
    told = futures(tmp_path, tmp_path / "out", count=1, seconds=0.5, model=weights, until=1.5)
    assert "clip road-0" in told.past and told.count == 1


def test_futures_are_drawn_through_the_clips_own_cameras(weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="drawing the road needs mujoco")
    mounts = (Mount("ahead", (0.7, 0.0, 1.35)), Mount("back", (-2.1, 0.0, 1.15), 180))
    made = plan(5, 2.0, trace=trace(48), weather="fog", mounts=mounts, size=(32, 48))
    about = {"world": "road", "seed": 5, "plan_seconds": 2.0, "weather": "fog", "size": [32, 48],
             "rig": [asdict(mount) for mount in mounts]}
    assert Look.of(about) == Look(made.weather, made.mounts, (32, 48), 5) and Look.of({}).weather.name == "day"
    write_shard(tmp_path / "road.tar", [Sample("road-0", simulate(made), about, [])])
    with pytest.raises(BadInput, match="nobody knows its roads"):
        futures(tmp_path / "road.tar", tmp_path / "out", count=1, seconds=0.2, model=weights, draw=True)
    trace(48).save((tmp_path / "traces").mkdir() or tmp_path / "traces" / "road-0.npz")
    told = futures(tmp_path / "road.tar", tmp_path / "out", count=2, seconds=0.25, model=weights, draw=True)
    assert [Path(name).name for name in told.futures[1]["cameras"]] == ["future-2-ahead.mp4", "future-2-back.mp4"]
    whole, one = (read_video(tmp_path / "out" / name)[0] for name in ("future-2-seen.mp4", "future-2-ahead.mp4"))
    assert whole.shape == (6, 32, 96, 3) and one.shape == (6, 32, 48, 3)
    assert np.abs(whole[:, :, :48].astype(int) - one).mean() < 4 and one.std() > 5
    assert any("imagined are the agents" in note for note in told.notes)


def test_futures_are_painted_without_mujoco(weights: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco", None)
    mounts = (Mount("ahead", (0.7, 0.0, 1.35)), Mount("back", (-2.1, 0.0, 1.15), 180))
    about = {"world": "road", "seed": 5, "weather": "night", "size": [32, 48], "rig": [asdict(m) for m in mounts]}
    made = plan(5, 2.0, trace=trace(48), weather="night", mounts=mounts, size=(32, 48))
    write_shard(tmp_path / "road.tar", [Sample("road-0", simulate(made), about, [])])
    told = futures(tmp_path / "road.tar", tmp_path / "bare", count=1, seconds=0.2, model=weights)
    assert "seen" not in told.futures[0] and any("is not painted" in note for note in told.notes)
    trace(48).save((tmp_path / "traces").mkdir() or tmp_path / "traces" / "road-0.npz")
    told = futures(tmp_path / "road.tar", tmp_path / "out", count=1, seconds=0.25, model=weights)
    assert [Path(name).name for name in told.futures[0]["cameras"]] == ["future-1-ahead.mp4", "future-1-back.mp4"]
    assert read_video(told.futures[0]["seen"])[0].shape == (6, 32, 96, 3)
    assert not any("MuJoCo" in note for note in told.notes)
    told = futures(tmp_path / "road.tar", tmp_path / "above", count=1, seconds=0.2, model=weights, painted=False)
    assert "seen" not in told.futures[0]


def test_a_model_of_something_else_is_refused(tmp_path: Path) -> None:
    from reverie.model.checkpoint import save_model

    save_model(tmp_path / "road.safetensors", {"x": torch.zeros(2)}, {"kind": "observer"})
    with pytest.raises(BadWeights, match="no model of traffic"):
        Road.load(tmp_path)


# -- measuring, looking, driving ----------------------------------------------------------------------


def test_errors_collisions_and_roads_left() -> None:
    true = np.zeros((4, 1, 2))
    made = np.stack([true + (3.0, 0.0), true + (0.0, 1.0)])
    tally = forecast.Tally()
    tally.add(*forecast.errors(made, true, 4))
    assert tally.least() == (1.0, 1.0) and tally.mean() == 2.0 and tally.missed() == 0.0
    assert tally.together() == (1.0, 2.0, 0.0)
    t = np.arange(25)[:, None]
    place = np.stack([np.concatenate([t * 0.5, t * 0], 1), np.tile([10.0, 0.0], (25, 1))], 1)
    flat, there, size = np.zeros((25, 2)), np.ones((25, 2), bool), np.array([(4, 2, 1.5), (4, 2, 1.5)])
    assert forecast.collisions(place, flat, there, size, np.array([True, True])) == 1
    assert forecast.collisions(place, flat, there, size, np.array([False, False])) == 0
    assert forecast.Paved(street()).left(np.array([[50.0, 0.0], [50.0, 9.0]])).tolist() == [False, True]
    assert forecast.constant(np.array([[1.0, 0]]), np.array([[0.0, 0]]), 8, 4)[-1].tolist() == [[3.0, 0.0]]


def test_traffic_from_above_shows_roads_and_cars() -> None:
    made = trace(48)
    view = Above(made.net, made.place[0, 1], 40, 160)
    page = view.picture(made.kinds, made.paints, made.size, made.exists[0], made.place[0], made.heading[0], 1,
                        lights=made.signals[0], marked=[0], trails=[(made.place[:, 1], (1, 2, 3))])
    assert page.shape == (160, 160, 3) and page[80, 80].tolist() == [37, 99, 235]  # our car has a blue rim
    assert page[5, 5].tolist() == [214, 222, 205] and Above(None, (0, 0), 40, 64).ground.size == (64, 64)


def test_a_dreamed_ride_keeps_the_contract(weights: Path, tmp_path: Path) -> None:
    gymnasium = pytest.importorskip("gymnasium")
    import reverie.envs  # noqa: F401

    trace(96).save(tmp_path / "ride.npz")
    made = {"traces": tmp_path / "ride.npz", "model": str(weights), "seconds": 3.0}
    for observation in ("vector", "above"):
        env = gymnasium.make("reverie/RoadDream-v0", observation=observation, **made)
        seen, info = env.reset(seed=1)
        assert env.observation_space.contains(seen) and info["speed"] == pytest.approx(8.0, abs=0.5)
        again = gymnasium.make("reverie/RoadDream-v0", observation=observation, **made)
        again.reset(seed=1)
        for _ in range(6):
            one, two = env.step(np.array([0.0, -0.2])), again.step(np.array([0.0, -0.2]))
            assert (one[0] == two[0]).all() and one[1] == two[1]
        assert env.unwrapped.render().shape == (128, 128, 3)
        if observation == "vector":
            assert seen.shape == (VECTOR,)
    with pytest.raises(BadInput, match="no observation"):
        gymnasium.make("reverie/RoadDream-v0", observation="smell", **made)
