"""What a script's words ask of the camera becomes the moves that it makes."""

import numpy as np
import pytest

from reverie.core.camera import CameraPath, look_at
from reverie.core.clip import Line
from reverie.core.moves import LIMITS, Move
from reverie.direction import LONGEST, STILL, moves_told
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
