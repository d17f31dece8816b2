"""Who is shot at a hoop goes through its ring, or misses it; who comes later comes over the picture's border."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_casting import cast_told

from reverie.core.camera import CameraPath, look_at
from reverie.core.clip import Line
from reverie.core.vocabulary import KINDS, MAX_THINGS
from reverie.data.scenes.bodies import RIM, make, rim_centre
from reverie.model import hoops
from reverie.model import things as th
from reverie.model.arrival import MOST, faced, over_border
from reverie.model.cast import SHOVED, SIDES, WAYS, Cast
from reverie.model.impulse import moving_by
from reverie.model.outline import outlines
from reverie.train.bodies import table


def thing(kind: str, place: tuple, size: tuple, turn: float = 0.0, speed: tuple = (0, 0, 0)) -> torch.Tensor:
    row = np.zeros(th.WIDTH, np.float32)
    row[0], row[th.THING["kind"].start + KINDS.index(kind)], row[25], row[37] = 1, th.ONE_HOT, th.ONE_HOT, th.ONE_HOT
    row[th.THING["extent"]] = np.log(np.array(size) / 0.3) / 0.7
    row[th.THING["position"]] = np.tile((np.array(place) - th.POSITION_CENTRE) / th.POSITION_SCALE, 4)
    row[th.THING["rotation"]] = [np.cos(turn), np.sin(turn), 0, -np.sin(turn), np.cos(turn), 0] * 2
    row[th.THING["velocity"]] = np.array(speed) / th.VELOCITY_SCALE
    return torch.from_numpy(row)


@pytest.mark.parametrize("kind, turn, stands", [
    ("screen", 1.4, MOST), ("screen", -1.4, -MOST), ("screen", 2.0, np.pi - MOST), ("ramp", 0.3, 0.3),
    ("box", 1.4, 1.4), ("table", np.pi - 0.4, np.pi - 0.4)])
def test_what_is_new_looks_across_the_picture_as_worlds_stage_it(kind: str, turn: float, stands: float) -> None:
    eye = np.array([6.0, 0.0, 1.8])  # which looks along -x, so that y is to the right
    path = CameraPath(eye[None].repeat(4, 0), look_at(eye, np.array([0.0, 0, 0.7]))[None].repeat(4, 0), 40.0)
    camera, things = torch.from_numpy(th.encode_camera(path)), thing(kind, (0.5, 1.0, 0.4), (0.5, 0.2, 0.4),
                                                                     np.pi / 2 + turn)[None, None]
    made = faced(things, camera, torch.ones(1, 1, dtype=torch.bool))
    for ahead in th.rotations_of(made)[0, 0, :, :, 0]:
        assert ahead.numpy() == pytest.approx([-np.sin(stands), np.cos(stands), 0], abs=1e-4)
    assert torch.equal(th.positions_of(made), th.positions_of(things))
    assert torch.equal(faced(things, camera, torch.zeros(1, 1, dtype=torch.bool)), things)


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_the_ring_is_where_the_worlds_have_it(size: str) -> None:
    body, turn = make("hoop", size), 0.7
    hoop = thing("hoop", (0.4, 1.0, body.extent[2]), body.extent, turn)
    middle, radius, out = hoops.ring(hoop)
    way = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    assert middle.numpy() == pytest.approx(np.array([0.4, 1.0, body.extent[2]]) + way @ rim_centre(size), abs=1e-4)
    assert float(radius) == pytest.approx(RIM[size][0], abs=1e-4)
    assert out.numpy() == pytest.approx(-way[:, 0], abs=1e-5)


@pytest.mark.parametrize("misses", [False, True])
def test_a_shot_comes_down_through_the_ring_or_beside_it(misses: bool) -> None:
    body = make("hoop", "medium")
    things = torch.stack([thing("basketball", (0, 0, 0.3), (0.39, 0.39, 0.39)),
                          thing("hoop", (0.5, 0.6, body.extent[2]), body.extent, 0.5)])[None]
    target = things[:, [1, 1]]
    place, size = hoops.before_ring(things, target)
    middle, radius, out = hoops.ring(target)
    away = (place - middle)[0, 0]
    assert size[0, 0, 0] == pytest.approx(0.72 * float(radius[0, 0])) and float(place[0, 0, 2]) == float(size[0, 0, 2])
    assert float(away[:2].norm()) >= 1.5 and float(away @ out[0, 0]) > 0.99 * float(away[:2].norm())
    ball = th.at_extents(th.at_positions(things, place[:, :, None].expand(-1, -1, 4, -1)), size)
    ball = torch.stack([ball[:, 0], things[:, 1]], 1)
    speed = hoops.aimed(ball, target, torch.full((1, 2), 0.5), torch.full((1, 2), misses))[0, 0]
    times = torch.arange(0, 2, 1 / 96)[:, None]
    path = place[0, 0] + speed * times - torch.tensor([0, 0, th.GRAVITY / 2]) * times.square()
    falls = ((path[:-1, 2] > middle[0, 0, 2]) & (path[1:, 2] <= middle[0, 0, 2])).nonzero()[0, 0]
    apart = float((path[falls, :2] - middle[0, 0, :2]).norm())
    assert apart > float(radius[0, 0] + size[0, 0, 0]) if misses else apart < 0.05
    step, touched = path[:, None].expand(-1, 2, -1), torch.zeros(1, 2, 2, dtype=torch.bool)
    for k in range(0, len(path) - 5, 4):  # the way of one frame after the other, from the hand to the ring
        if path[k + 4, 2] > 1.3:
            way = step[None, k + 1 : k + 5].transpose(1, 2)
            touched |= hoops.touching(ball, step[None, k], way, size.amax(-1))
    assert not touched.any()  # neither ring nor board
    to_board = torch.tensor([[0.5, 0.6, 2 * body.extent[2] - 0.36]]).expand(2, 3)[None]
    assert hoops.touching(ball, to_board - 0.5, to_board[:, :, None].expand(-1, -1, 4, -1), size.amax(-1))[0, 0, 1]


def test_words_shoot_at_the_hoop_that_is_named() -> None:
    for text, way in (("a basketball goes through a red hoop", "through"), ("a ball misses a hoop", "short"),
                      ("一个篮球投进红色篮筐", "through")):
        cast = cast_told([Line(0.0, text)])
        assert cast.target[0, :2].tolist() == [1, -1] and cast.way[0, 0] == WAYS.index(way)
        assert cast.present[0, :2].tolist() == [1, 1]
    two = cast_told([Line(0.0, "a red hoop, a blue hoop and a ball that scores")])
    assert two.target.max() < 0  # at which of them nobody says


@pytest.mark.parametrize(("place", "speed", "side"), [
    ((0.5, 0.0, 0.3), (-1.0, 0, 0), "right"), ((0.5, 0.0, 0.3), (0, 0, 0), "right"),
    ((0.5, 0.5, 0.3), (1.0, 0, 0), "left"), ((0.0, 0.0, 1.5), (2.0, 0, -1.0), "left")])
def test_newcomers_are_cut_by_the_border(place: tuple, speed: tuple, side: str) -> None:
    eye = np.array([[0.0, -6.0, 1.8]] * 4, np.float32)
    turns = np.stack([look_at(e, np.array([0.0, 0.0, 0.7])) for e in eye]).astype(np.float32)
    camera = torch.from_numpy(th.encode_camera(CameraPath(eye, turns, 40.0))[:1])
    things = torch.stack([thing("box", place, (0.3, 0.3, 0.3), speed=speed),
                          thing("box", (-0.5, 0.0, 0.3), (0.3, 0.3, 0.3))])[None]
    come = over_border(things, camera, torch.tensor([[True, False]]), 1.0)
    assert torch.equal(come[:, 1], things[:, 1])
    x0, y0, x1, y1 = outlines(come, camera, table(), 128, 128).box[0, 0, 0].tolist()
    cut = {"left": x0 < 0 < x1, "right": x0 < 128 < x1, "top": y0 < 0 < y1}
    assert [name for name, is_cut in cut.items() if is_cut] == [side]
    again = over_border(come, camera, torch.tensor([[True, False]]), 1.0)
    assert torch.equal(again, come)  # who is cut already comes as he comes


@pytest.mark.parametrize("height", [1.5, 4.0])
def test_what_is_dropped_begins_above_the_picture_straight_and_slowly(height: float) -> None:
    eye = np.array([[0.0, -6.0, 1.8]] * 4, np.float32)
    turns = np.stack([look_at(e, np.array([0.0, 0.0, 0.7])) for e in eye]).astype(np.float32)
    camera = torch.from_numpy(th.encode_camera(CameraPath(eye, turns, 40.0))[:1])
    box = thing("box", (0.4, 0.5, height), (0.3, 0.2, 0.4), speed=(0.2, 0.1, -6.0))
    leaning = torch.tensor([[1.0, 0, 0], [0, 0.5, -0.866], [0, 0.866, 0.5]])
    things = th.at_rotations(box[None, None], torch.stack([leaning, torch.eye(3)])[[0, 0]][None, None])
    made = over_border(things, camera, torch.ones(1, 1, dtype=torch.bool), 1.0)
    found = outlines(made, camera, table(), 128, 128).box[0, :, 0]
    assert found[:, 3].abs().max() < 5 and (found[:, 0] > 0).all() and (found[:, 2] < 128).all()
    assert made[0, 0, th.THING["velocity"]].tolist() == pytest.approx([0, 0, -1.6 / th.VELOCITY_SCALE])
    first, last = th.rotations_of(made)[0, 0]
    assert torch.equal(first, last) and float(torch.acos(last[2, 2])) == pytest.approx(0.3, abs=1e-3)
    assert th.positions_of(made)[0, 0, :, :2].tolist() == [pytest.approx([0.4, 0.5], abs=1e-4)] * 4


@pytest.mark.parametrize(("kind", "up", "stands"), [("box", 0.35, True), ("box", 1.2, False), ("bird", 0.35, False)])
def test_who_slides_in_touches_the_ground(kind: str, up: float, stands: bool) -> None:
    eye = np.array([0.0, -6.0, 1.8])
    turns = look_at(eye, np.array([0.0, 0, 0.7]))[None].repeat(4, 0)
    camera = torch.from_numpy(th.encode_camera(CameraPath(eye[None].repeat(4, 0), turns, 40.0)))
    things = thing(kind, (-4.0, 0.0, 0.3 + up), (0.3, 0.3, 0.3), speed=(2.0, 0, -0.5))[None, None]
    leaning = torch.tensor([[0.96, 0, 0.28], [0, 1.0, 0], [-0.28, 0, 0.96]])
    things = th.at_rotations(things, leaning.expand(1, 1, 2, 3, 3))
    made = over_border(things, camera, torch.ones(1, 1, dtype=torch.bool), 1.0)
    if not stands:
        assert torch.equal(made, things)
        return
    assert th.positions_of(made)[0, 0, :, 2].numpy() == pytest.approx([0.3] * 4, abs=1e-4)
    assert torch.allclose(th.rotations_of(made)[0, 0], torch.eye(3).expand(2, 3, 3), atol=1e-4)
    assert (made[0, 0, th.THING["velocity"]] * th.VELOCITY_SCALE).tolist() == pytest.approx([2.0, 0, 0])


def test_who_is_to_run_into_another_goes_straight_for_it() -> None:
    cast = Cast.open(1)
    cast.target[0, 1], cast.due[0, 1], cast.pace[0, 1] = 0, 0, 300
    things = torch.zeros(1, MAX_THINGS, th.WIDTH)
    things[0, 0] = thing("box", (0.0, 0.0, 0.3), (0.3, 0.3, 0.3))
    things[0, 1] = thing("ball", (-3.0, 0.4, 0.3), (0.3, 0.3, 0.3), speed=(1.2, 0.9, 0))
    new = torch.arange(MAX_THINGS)[None] == 1
    made = cast.aimed(things, new)
    way = np.array([3.0, -0.4, 0]) / np.hypot(3.0, 0.4)
    fast = float(moving_by(things[:, 1:2], things[:, :1], SHOVED))  # so that what is hit does not stay where it is
    assert fast > 3.0
    assert (made[0, 1, th.THING["velocity"]] * th.VELOCITY_SCALE).numpy() == pytest.approx(fast * way, abs=1e-4)
    assert torch.equal(made[0, 0], things[0, 0]) and torch.equal(cast.aimed(things, ~new), things)
    cast.side[0, 1] = SIDES.index("above")
    assert torch.equal(cast.aimed(things, new), things)
