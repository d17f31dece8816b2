"""Things turned, laid down and tinted keep to the ground, and their boxes are told with the pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_physics import thing
from tiny_world import tiny_world

from reverie.core.vocabulary import COLOURS, MAX_THINGS
from reverie.model import things as th
from reverie.train import posing
from reverie.train.bodies import table


def standing(*things: torch.Tensor) -> np.ndarray:
    """Tokens (2, S, WIDTH) of things before a camera six metres away."""
    tokens = np.zeros((2, th.TOKENS, th.WIDTH), np.float32)
    tokens[:, :MAX_THINGS, 0] = -1
    tokens[:, th.CAMERA_TOKEN, th.CAMERA["rotation"]] = np.tile([1, 0, 0, 0, -1, 0], th.F)
    for slot, one in enumerate(things):
        tokens[:, slot] = one.numpy()
        tokens[:, slot, th.THING["colour"].start] = th.ONE_HOT
    return tokens


@pytest.mark.parametrize("kind, size", [("domino", (0.1, 0.25, 0.5)), ("screen", (0.8, 0.05, 0.9))])
def test_what_is_posed_otherwise_stands_as_high_above_the_ground_as_before(kind: str, size: tuple) -> None:
    tokens, kinds, lying = standing(thing(kind, (0.3, 0.5, size[2] + 0.2), size)), set(), 0
    for seed in range(40):
        made = torch.from_numpy(posing.posed(tokens, np.random.default_rng(seed)))[:, :1]
        turn, place = th.rotations_of(made)[0, 0, 1], th.positions_of(made)[0, 0, -1]
        assert torch.allclose(turn @ turn.T, torch.eye(3), atol=1e-5)
        assert float(place[2] - (turn[2].abs() * torch.tensor(size)).sum()) == pytest.approx(0.2, abs=1e-4)
        assert place[:2].tolist() == pytest.approx([0.3, 0.5], abs=1e-5)
        kinds.add(int(made[0, 0, th.THING["colour"]].argmax()))
        lying += abs(float(turn[2, 2])) < 0.5
        assert torch.equal(made[0], made[1])  # all the time the same
    assert len(kinds) > 3 and max(kinds) < len(COLOURS)
    assert (lying > 0) == (kind in posing.LIE)


def test_empty_slots_stay_empty_and_the_camera_where_it_is() -> None:
    tokens = standing(thing("box", (0, 0, 0.3), (0.3, 0.3, 0.3)))
    made = posing.posed(tokens, np.random.default_rng(1))
    assert np.array_equal(made[:, 1:], tokens[:, 1:])


def test_boxes_and_shares_in_sight_are_those_of_the_picture() -> None:
    tokens = standing(thing("box", (0, 0, 0.5), (0.5, 0.5, 0.5)), thing("box", (0.4, 2.0, 0.5), (0.5, 0.5, 0.5)),
                      thing("ball", (9, 0, 0.5), (0.3, 0.3, 0.3)))
    box, visible = posing.boxes_of(tokens, table(), (128, 128))
    assert box.shape == (8, MAX_THINGS, 4) and visible.shape == (8, MAX_THINGS)
    assert np.isfinite(box[:, :2]).all() and np.isnan(box[:, 2:]).all()
    assert (visible[:, 0] > 0.999).all() and (visible[:, 1] > 0).all() and (visible[:, 1] < 0.9).all()
    assert (visible[:, 2:] == 0).all()


def test_frames_are_what_the_canvas_draws() -> None:
    tokenizer = tiny_world().tokenizer
    made = posing.drawn_of(standing(thing("box", (0, 0, 0.3), (0.3, 0.3, 0.3))), tokenizer, (64, 96))
    assert made.shape == (8, 64, 96, 3) and made.dtype == np.uint8
