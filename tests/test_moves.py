"""Camera moves: parsing, and that path and actions are one."""

import numpy as np
import pytest

from reverie.core.camera import look_at, project
from reverie.core.errors import BadInput
from reverie.core.moves import Move, camera_path, integrate, parse_moves
from reverie.core.vocabulary import CAMERA_CHANNELS, STAGE_CENTRE

PLACE = np.array([0.0, -6.0, 1.8])
VIEW = look_at(PLACE, np.array(STAGE_CENTRE))


def test_parse():
    expected = (Move("orbit", "left", 30.0), Move("dolly", "in", 0.5))
    assert parse_moves("orbit left 30, Dolly IN .5") == expected
    assert parse_moves("still") == (Move("still", "", 0.0),)
    for text in ("pan left 20", "tilt up 7.5, crane down 1", "still", "dolly out 20, orbit right 360"):
        assert parse_moves(", ".join(m.text for m in parse_moves(text))) == parse_moves(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        ",",
        "pan",
        "pan left",
        "pan left 20,",
        "pan up 20",
        "zoom in 2",
        "left 20",
        "pan left -20",
        "pan left 0",
        "pan left nan",
        "pan left inf",
        "pan left 1e999",
        "orbit left 361",
        "dolly in 20.5",
        "pan left twenty",
        "pan left 10 20",
        "still 5",
        "still, pan left 3",
        "pan left 3, pan right 3",
        "pan left ٣",
        "pan left 1_0",
        "pan left 0x10",
        "pan left " + "9" * 400,
        "x" * 5000,
    ],
)
def test_nonsense_is_refused_in_one_line(text):
    with pytest.raises(BadInput) as caught:
        parse_moves(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("fps", [10.0, 24.0])
@pytest.mark.parametrize(
    "text", ["pan left 30", "tilt up 10", "orbit left 30, dolly in 0.5", "crane up 1, pan right 5"]
)
def test_path_is_the_integral_of_actions_and_the_amount_arrives(text, fps):
    moves = parse_moves(text)
    path, actions = camera_path(moves, PLACE, VIEW, 40.0, 60, fps, start=5, end=50)
    again = integrate(actions, PLACE, VIEW, 40.0, fps)
    assert np.array_equal(path.position, again.position) and np.array_equal(path.rotation, again.rotation)
    assert actions.dtype == np.float32 and actions.shape == (60, 5) and len(path) == 60
    assert not actions[:6].any() and not actions[51:].any()
    for move in moves:
        total = actions[:, CAMERA_CHANNELS.index(move.kind)].sum() / fps
        assert total == pytest.approx(move.signed, rel=1e-4)
    identity = path.rotation @ path.rotation.transpose(0, 2, 1)
    assert np.allclose(identity, np.eye(3), atol=1e-5)


def test_signs():
    def seen(text):
        path, _ = camera_path(parse_moves(text), PLACE, VIEW, 40.0, 24, 24.0)
        pixel, _ = project(np.array(STAGE_CENTRE), path.position, path.rotation, 40.0, 128, 128)
        return path, pixel[-1] - pixel[0]

    assert seen("pan right 10")[1][0] < -5
    assert seen("tilt up 5")[1][1] > 5
    path, shift = seen("orbit right 90")
    assert np.allclose(path.position[-1], [6, 0, 1.8], atol=1e-4) and np.abs(shift).max() < 1e-3
    path, _ = seen("orbit left 90")
    assert path.position[-1][0] == pytest.approx(-6, abs=1e-4)
    path, _ = seen("dolly in 1")
    assert np.linalg.norm(path.position[-1] - path.position[0]) == pytest.approx(1, abs=1e-4)
    assert path.position[-1][1] > -5.1
    path, _ = seen("crane down 0.5")
    assert path.position[-1][2] == pytest.approx(1.3, abs=1e-5)


def test_still_and_short():
    path, actions = camera_path(parse_moves("still"), PLACE, VIEW, 40.0, 3, 24.0)
    assert not actions.any() and np.allclose(path.position, PLACE)
    assert len(camera_path(parse_moves("pan left 5"), PLACE, VIEW, 40.0, 1, 24.0)[0]) == 1
    assert len(integrate(np.zeros((0, 5)), PLACE, VIEW, 40.0, 24.0)) == 0
