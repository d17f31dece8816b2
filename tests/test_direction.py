"""What a script's words ask of the camera becomes the moves that it makes."""

import numpy as np
import pytest
import torch
from test_physics import thing
from tiny_world import tiny_world

from reverie.core.camera import CameraPath, look_at
from reverie.core.clip import Line
from reverie.core.moves import LIMITS, Move
from reverie.core.vocabulary import COLOURS, KINDS, MAX_THINGS
from reverie.direction import LONGEST, STILL, cast_told, moves_told
from reverie.evaluate import dreams
from reverie.model import things as th
from reverie.model.cast import LIFTED, WAYS
from reverie.model.steering import camera_vectors

PAN = Move("pan", "left", 7.5)


@pytest.mark.parametrize(("text", "moves"), [
    ("a red ball rolls and the camera pans left", (PAN,)),
    ("the camera pans left 20 degrees", (Move("pan", "left", 20.0),)),
    ("the camera pans left 5000 degrees", (Move("pan", "left", LIMITS["pan"]),)),
    ("the camera moves in an arc to the right", (Move("orbit", "right", 22.0),)),
    ("一只青鸟向右走过。同时摄像机往下倾斜。", (Move("tilt", "down", 5.0),)),
    ("镜头向左摇20度，一个红球滚动", (Move("pan", "left", 20.0),)),
    ("a dog walks and the camera stands still", STILL),
])
def test_words_become_moves(text, moves):
    assert moves_told([Line(0.0, text)], 4.0) == [(0.0, moves)]


@pytest.mark.parametrize("text", [
    "", "a cat walks", "a dog walks and the camera follows it", "o cachorro anda",
    "a person walks towards the camera",
])
def test_where_no_move_is_told_nothing_is(text):
    assert moves_told([Line(0.0, text)], 4.0) == []


def test_each_line_has_its_own_and_a_move_is_over_in_time():
    script = [Line(0.0, "a red ball rolls"), Line(2.0, "the camera pans left"), Line(30.0, "the camera zooms in")]
    (first, still), (second, pan), (third, over), (fourth, dolly) = moves_told(script, 34.0)
    assert (first, second, third, fourth) == (0.0, 2.0, 2.0 + LONGEST, 30.0) and still == over == STILL
    assert pan == (PAN,) and dolly == (Move("dolly", "in", 0.7),)
    assert np.isclose(moves_told([Line(0.0, "the camera pans left")], 1.5)[0][1][0].amount, PAN.amount / 2)


def test_what_comes_after_the_end_moves_nothing():
    script = [Line(0.0, "a red ball"), Line(3.0, "the camera pans left"), Line(8.0, "the camera pans right")]
    told = moves_told(script, 5.0)
    assert [start for start, _ in told] == [0.0, 3.0]
    for path in (told, [*told, (8.0, (PAN,))]):
        vectors, actions = camera_vectors(path, None, 30, 24.0)
        assert len(vectors) == len(actions) == 30 and actions[:18].abs().max() == 0 < actions[18:].abs().max()


def test_what_words_leave_open_keeps_the_stage_in_sight():
    script = [Line(5.0 * n, "the camera tilts down") for n in range(4)]
    tilts = [moves[0].amount for _, moves in moves_told(script, 20.0)]
    assert tilts == [5.0, 1.25, 1.25, 1.25]  # it does what is said, if not by much
    told = moves_told([Line(5.0 * n, f"the camera {told}") for n, told in enumerate(("tilts down", "tilts up"))], 10.0)
    assert [moves[0].signed for _, moves in told] == [-5.0, 5.0]
    place = np.array([0.0, -6.0, 2.5])
    low = CameraPath(place[None], look_at(place, np.array([0.0, -1.0, 0.0]))[None], 40.0)
    assert moves_told(script[:1], 5.0, low)[0][1][0].amount == 1.25  # it looks down already
    exact = moves_told([Line(5.0 * n, "the camera tilts down by 9 degrees") for n in range(3)], 15.0)
    assert [moves[0].amount for _, moves in exact] == [9.0] * 3


@pytest.mark.parametrize(("text", "colours"), [
    ("a line of three domino tiles in cyan, red and blue and a white ball", ["cyan", "red", "blue", "white"]),
    ("排成一列的四块红色和黄色的多米诺", ["red", "yellow", "red", "yellow"]),
    ("three red dominoes", ["red", "red", "red"]),
])
def test_of_a_row_in_several_colours_each_has_one(text, colours):
    told = cast_told([Line(0.0, text)]).colour[0]
    assert [list(COLOURS)[number] for number in told[told >= 0].tolist()] == colours


BALL_TWICE = [Line(0.0, "a red ball and a blue box stand there"), Line(4.0, "the red ball rolls to the left"),
              Line(8.0, "then the red ball rolls to the right"),
              Line(12.0, "then the box slides to the left, and it leaves"),
              Line(16.0, "after that a green cone slides in from the right")]


def test_who_does_something_in_several_lines_is_cast_for_each():
    ways = {now: cast_told(BALL_TWICE, now=now) for now in range(5)}
    assert [(cast.cued[0, 0].item(), WAYS[cast.way[0, 0]]) for cast in ways.values()] == [
        (1, "left"), (1, "left"), (2, "right"), (2, "right"), (2, "right")]  # or last, when it is told no more
    assert ways[0].cued[0, 1] == ways[3].cued[0, 1] == 3 and ways[0].pace[0, 1] == 320  # what leaves goes that fast
    assert all((cast.after == -1).all() and cast.due[0, 2] == 4 for cast in ways.values())  # it waits for none before


def test_who_is_due_later_does_not_come_before():
    cast, chance = cast_told(BALL_TWICE), torch.full((1, MAX_THINGS), 0.9)
    met = torch.arange(MAX_THINGS)[None] < 2
    comes = [cast.comes(chance, torch.tensor([line]), met, opening=False)[0, 2].item() for line in (1, 3, 4)]
    assert comes == pytest.approx([0.0, 0.0, 0.9])


def test_a_dream_casts_each_line_and_so_do_many_together(monkeypatch):
    world, heard = tiny_world(sampling={"takes": 1}), []
    alone = world.dream(BALL_TWICE, seed=3, seconds=20.0)
    for alone.n in range(120):
        alone._take_cast()
        assert alone._rollout.cast.cued[0, 0] == cast_told(BALL_TWICE, now=min(alone.n // 24, 4)).cued[0, 0]

    def told(script, *among, now):
        heard.append((len(script), now))
        return cast_told(script, *among, now=now)

    monkeypatch.setattr(dreams, "cast_told", told)
    dreams.dream(world, [BALL_TWICE, BALL_TWICE[:1]], 60, seed=0, with_views=False)
    assert heard == [(5, 0), (1, 0), (5, 1), (5, 2)]


@pytest.mark.parametrize(("text", "goes"), [("a red ball rolls", -1), ("a red ball leaves the picture", 1)])
def test_what_goes_no_told_way_stays_and_what_leaves_goes_out(text, goes):
    before = torch.zeros(1, MAX_THINGS + 2, th.WIDTH)
    before[0, -2, th.CAMERA["rotation"]] = torch.tensor([1.0, 0, 0, 0, -1, 0]).repeat(th.F)
    starts = torch.ones(1, MAX_THINGS, dtype=torch.bool)
    for side in (-1.5, 1.5):
        before[:, :, th.THING["position"].start : th.THING["position"].stop : 3] = side / th.POSITION_SCALE
        for chance in (0.1, 0.9):
            gone = cast_told([Line(0.0, text)]).kicked(before[:, :-2], before, starts, torch.tensor([0]),
                                                       torch.tensor([1 / 24]), torch.full((1, MAX_THINGS), chance))
            assert gone[0, 0, th.THING["velocity"].start] * side * goes > 0


def test_a_screen_comes_down_stands_and_rises_evenly_until_it_is_gone():
    cast = cast_told([Line(0.0, "a red screen covers a green ball")])
    screen = int((cast.kind[0] == KINDS.index("screen")).nonzero())
    ball = thing("ball", (0.4, 0.5, 0.2), (0.2,) * 3)
    now = torch.stack([ball] * MAX_THINGS)[None]
    now[0, screen] = thing("screen", (0.0, 0.0, 3.0), (0.7, 0.1, 0.6), moving=1.0)
    up, feet = th.THING["velocity"].stop - 1, []
    now[0, screen, up] = -2.0 / th.VELOCITY_SCALE
    for n in range(24):  # the network leaves it where it is, but that once it would lift it a little
        said = th.at_positions(now, th.positions_of(now) + 0.03) if n == 12 else now
        now, goes = cast.hung(said, now, torch.tensor([1 / 24]))
        feet.append(float(th.positions_of(now)[0, screen, -1, 2]) - 0.6)
        assert bool(goes[0, screen]) == (n < 8 or n >= 12)
    steps = np.diff(feet)
    assert feet[7:12] == pytest.approx([0.0] * 5, abs=1e-5)
    assert steps[:6] == pytest.approx([-2.0 / 6] * 6, abs=1e-4) and steps[11:] == pytest.approx([LIFTED / 6] * 12, abs=1e-4)
