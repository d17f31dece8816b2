"""What a script's words ask of the camera becomes the moves that it makes."""

import numpy as np
import pytest

from reverie.core.clip import Line
from reverie.core.moves import LIMITS, Move
from reverie.direction import LONGEST, STILL, moves_told

PAN = Move("pan", "left", 8.0)


@pytest.mark.parametrize(("text", "moves"), [
    ("a red ball rolls and the camera pans left", (PAN,)),
    ("the camera pans left 20 degrees", (Move("pan", "left", 20.0),)),
    ("the camera pans left 5000 degrees", (Move("pan", "left", LIMITS["pan"]),)),
    ("the camera moves in an arc to the right", (Move("orbit", "right", 20.0),)),
    ("一只青鸟向右走过。同时摄像机往下倾斜。", (Move("tilt", "down", 6.0),)),
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
    assert pan == (Move("pan", "left", PAN.amount * LONGEST / 4),) and dolly[0].kind == "dolly"
    assert np.isclose(dolly[0].amount, 0.8)
