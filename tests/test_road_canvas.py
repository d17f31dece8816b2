"""The road's canvas: what it paints is where the rig says, without MuJoCo, and the same again."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from fake_road import street, trace

from reverie.core.camera import project
from reverie.core.errors import BadData, BadInput, BadWeights
from reverie.data.road import town
from reverie.data.road.net import Net
from reverie.data.road.rig import FOUR, Mount
from reverie.data.road.weather import of_seed
from reverie.data.road.world import Look, plan, simulate
from reverie.data.sample import Sample
from reverie.data.shards import ClipSet, write_shard
from reverie.evaluate.road_pictures import changed, ssim
from reverie.futures.drawn import _pieces
from reverie.model.checkpoint import save_model
from reverie.model.road.canvas import Config, RoadCanvas
from reverie.model.road.streets import PAVEMENT, ROAD, WHITE, YELLOW
from reverie.painter import WEIGHTS, Painter, canvas_file, shipped, streets_of
from reverie.train.recipes import train
from reverie.train.road_stills import drawn

SIZE = (48, 72)
T = 24


def painter(made=None, weather: str = "fog", size: tuple[int, int] = SIZE) -> Painter:
    return Painter(made or trace(), of_seed(3, weather), size, 3, canvas=shipped()[0])


def path(one: Painter, name: str):
    mount = next(m for m in FOUR if m.name == name)
    return mount.path(one.trace.place[:, one.trace.ego], one.trace.heading[:, one.trace.ego], one.size)


def picture(one: Painter, name: str, t: int = T, without: int | None = None) -> np.ndarray:
    out = np.empty((*one.size, 3), np.uint8)
    one.at(t, without)
    one.through(path(one, name), t, 1.5)
    one.picture(out)
    return out


def box(one: Painter, name: str, n: int, t: int = T) -> np.ndarray:
    """Left, top, right, bottom of an agent's box, which looks along x."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 2)]) * one.trace.size[n] / 2
    corners[:, :2] += one.trace.place[t, n]
    way = path(one, name)
    pixel, depth = project(corners, way.position[t], way.rotation[t], way.fovy, *one.size)
    assert (depth > 0).all()
    return np.concatenate([pixel.min(0), pixel.max(0)])


def test_a_car_ahead_covers_the_pixels_of_its_box() -> None:
    one = painter()
    made = changed(one, path(one, "front"), T, [0])[0]
    left, top, right, bottom = box(one, "front", 0)
    rows, columns = np.nonzero(made)
    assert abs(columns.min() - left) < 2 and abs(columns.max() + 1 - right) < 2
    assert rows.min() > top - 2 and abs(rows.max() + 1 - bottom) < 2.5
    assert made.sum() > 0.6 * (right - left) * (bottom - top)
    assert not any(changed(one, path(one, name), T, [0])[0].any() for name in ("left", "right", "rear"))


@pytest.mark.parametrize("side", [1, -1])
def test_left_is_left(side: int) -> None:
    made = trace()
    made.place[:, 0] = made.place[:, 1] + (1.0, 4.5 * side)
    one = painter(made)
    seen, other = ("left", "right")[:: side]
    assert changed(one, path(one, seen), T, [0])[0].mean() > 0.05
    assert not changed(one, path(one, other), T, [0])[0].any()
    made.place[:, 0] = made.place[:, 1] + (6.0, 3.5 * side)  # before us, aside: on that side of the front picture
    columns = np.nonzero(changed(one, path(one, "front"), T, [0])[0])[1]
    assert (columns.mean() < SIZE[1] / 2) == (side > 0)


def test_an_agent_behind_is_in_the_rear_camera_alone_and_behind_a_house_nowhere() -> None:
    one = painter()
    assert changed(one, path(one, "rear"), 40, [3])[0].any()
    assert not changed(one, path(one, "front"), 40, [3])[0].any()
    solids = one.streets.solids
    gap = torch.tensor([*one.trace.place[T, one.trace.ego] + (8.0, 0.0), 2.0], dtype=torch.float32)
    solids.place[0], solids.half[0], solids.part[0] = gap, torch.tensor([0.5, 9.0, 6.0]), 0
    solids.heading[0] = 0
    one.streets.solids = solids.chosen(torch.arange(len(solids.part)))
    assert not changed(one, path(one, "front"), T, [0])[0].any()


def test_the_same_twice_and_of_some_pixels_as_of_all() -> None:
    one = painter(weather="day")
    assert np.array_equal(picture(one, "front"), picture(one, "front"))
    assert np.array_equal(picture(one, "left"), picture(painter(weather="day"), "left"))
    one.through(path(one, "front"), T, 1.5)
    some = torch.tensor([3, 999, 2000, 3400])
    with torch.inference_mode():
        whole, part = one.canvas(one.sight()).picture, one.canvas(one.sight(some)).picture
    assert torch.allclose(whole[some], part, atol=1e-4)


def test_weathers_and_lights_are_seen() -> None:
    means = {name: picture(painter(weather=name), "front").mean() for name in ("day", "dusk", "night", "fog")}
    assert means["night"] < means["dusk"] < means["day"] < 255 and means["night"] < 60
    red, green = trace(), trace()
    green.signals[:] = 2
    for made in (red, green):
        made.place[:, :2] += (35.0, 0.0)  # 10 m before the light
    shown = [picture(painter(made, "day", (96, 144)), "front", 47).astype(int) for made in (red, green)]
    where = np.abs(shown[0] - shown[1]).sum(-1) > 60
    more = (shown[0] - shown[1])[where]
    assert len(more) and more[more[:, 0] > 0][:, 0].mean() > 20  # the red lamp, where it is lit


def test_what_lies_on_the_ground_is_where_the_town_has_it() -> None:
    built = streets_of(town.built(street(), np.array([[100.0, 0.0], [120.0, 0.0]]), 3))
    spots = torch.tensor([[100.0, 0.0], [100.0, -2.6], [110.0, -1.42], [110.0, 4.68], [100.0, 30.0]])
    small = torch.tensor([[0.01, 0.0]]).repeat(5, 1)
    share = built.ground.covers(spots, small, small.flip(1))
    assert share[torch.arange(4), [ROAD, PAVEMENT, WHITE, YELLOW]].min() > 0.95 and float(share[4].sum()) == 0
    assert share[:2, [WHITE, YELLOW]].max() == 0  # paint lies on the road, which is below it
    wide = built.ground.covers(spots[2:3], small[:1], torch.tensor([[0.0, 1.3]]))  # a line of 0.13 m in 1.3 m
    assert abs(float(wide[0, WHITE]) - 0.1) < 0.01


def test_alone_in_a_bare_place() -> None:
    made = trace()
    made.exists[:, [0, 2, 3]] = False
    one = painter(replace(made, signals=np.zeros((48, 0), np.uint8)), "day")
    one.streets = streets_of(town.Town({name: town.Mesh() for name in ("road", "pavement", "white", "yellow")}, []))
    seen = picture(one, "front").astype(int)
    assert (seen[:10, :, 2] > seen[:10, :, 1]).all() and (seen[-10:, :, 1] > seen[-10:, :, 2]).all()  # sky, and grass


def test_no_mujoco_on_the_way(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco", None)  # whoever imports it now fails
    assert picture(painter(), "front").any()


def test_the_environment_is_painted(tmp_path, monkeypatch) -> None:
    pytest.importorskip("gymnasium")
    from reverie.envs.road import RoadEnv

    monkeypatch.setitem(sys.modules, "mujoco", None)
    trace(96).save(tmp_path / "one.npz")
    env = RoadEnv(traces=tmp_path, size=(32, 64), painted=True, cameras=("front", "rear"))
    seen, _ = env.reset(seed=1)
    after, *_ = env.step(np.zeros(2, np.float32))
    assert env.observation_space.contains(after) and (seen["front"] != after["front"]).any()


def test_what_cannot_be_painted_is_one_clear_line(tmp_path) -> None:
    for size in ((0, 72), (48, 5000), (48.5, 72)):
        with pytest.raises(BadInput, match="cannot be painted: give 16 to 1024 pixels"):
            painter(size=size)
    with pytest.raises(BadInput, match="nobody knows the roads"):
        painter(replace(trace(), net=Net((), (), (), np.zeros((0, 2), np.int32))))
    save_model(tmp_path / WEIGHTS.name, RoadCanvas(Config(8, 8, 8, (4, 3), 2)).state_dict(), {"kind": "traffic"})
    assert canvas_file(tmp_path) == tmp_path / WEIGHTS.name and canvas_file("base") == WEIGHTS
    with pytest.raises(BadWeights, match="no canvas of the road"):
        RoadCanvas.load(tmp_path / WEIGHTS.name)


def test_ssim_is_one_of_the_same_and_less_of_another() -> None:
    one = np.random.default_rng(0).integers(0, 255, (1, 20, 20, 3), np.uint8)
    assert ssim(one, one).min() > 0.999 and ssim(one, 255 - one).mean() < 0


def test_a_canvas_is_trained_and_taken_up(tmp_path) -> None:
    pytest.importorskip("mujoco", reason="drawing the road needs mujoco")
    mounts = (Mount("ahead", (0.7, 0.0, 1.35)),)
    about = {"world": "road", "seed": 5, "weather": "day", "rig": [asdict(mount) for mount in mounts]}
    made = plan(5, 2.0, trace=trace(), weather="day", mounts=mounts)
    write_shard(tmp_path / "road.tar", [Sample("road-0", simulate(made), about, [])])
    trace().save((tmp_path / "traces").mkdir() or tmp_path / "traces" / "road-0.npz")
    stills = tmp_path / "run" / "road_canvas" / "stills.npz"
    stills.parent.mkdir(parents=True)
    drawn(ClipSet(tmp_path), 1, (32, 48), progress=False).save(stills)
    folder = train("debug", stage="road_canvas", data=tmp_path, out=tmp_path / "run", steps=2, device="cpu",
                   progress=False)
    canvas, meta = RoadCanvas.load(canvas_file(folder))
    assert meta["data"] == {"clips": 1, "pictures": 1, "size": [32, 48]} and meta["recipe"]["trained_steps"] == 2
    assert picture(Painter(made.trace, made.weather, SIZE, 5, canvas=canvas), "front").std() > 5
    stills.write_bytes(b"no")
    with pytest.raises(BadData, match="stills.npz is damaged"):
        train("debug", stage="road_canvas", data=tmp_path, out=tmp_path / "run", steps=4, device="cpu", progress=False)


def test_many_processes_paint_what_one_does(monkeypatch) -> None:
    look = Look.of({"seed": 3, "size": (32, 64)})
    traces, made = [trace(30), trace(30, speed=4.0)], []
    for threads in (1, 2):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        with _pieces(traces, look, traces[0].place[:, 1], 30, WEIGHTS) as pieces:
            made.append(list(pieces))
    assert [piece.shape for piece in made[0]] == [(4, frames, 32, 64, 3) for frames in (24, 6, 24, 6)]
    assert all(np.array_equal(one, other) for one, other in zip(*made, strict=True))
    assert not np.array_equal(made[0][0], made[0][2])
