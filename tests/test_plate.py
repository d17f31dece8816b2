"""The plate: what was seen behind things is there again, whole, and where the camera goes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from reverie.core.camera import CameraPath, look_at
from reverie.core.vocabulary import SETTINGS
from reverie.model import things as th
from reverie.model.canvas import Canvas, Scene
from reverie.model.plate import OTHER, apart, plate_of
from reverie.world import World

SIDE = 64
LOOKS = [[[0.0, -0.5, 1.0, 0.0, *(c * n for c in (0.9, -0.7, 0.5, 0.8, -0.6, 0.4, 1.0))]] for n in range(4)]


@pytest.fixture(scope="module")
def canvas() -> Canvas:
    torch.manual_seed(1)
    return Canvas(8).eval()


def camera(aside: float = 0.0) -> np.ndarray:
    place = np.array([[aside, -5.9, 1.8]])
    pose = CameraPath(place.repeat(4, 0).astype(np.float32),
                      look_at(place[0], np.array([aside, 0.0, 0.8]))[None].repeat(4, 0).astype(np.float32), 40.0)
    return th.encode_camera(pose)[0]


def empty_tokens(looks: int, setting: int = 2) -> np.ndarray:
    tokens = np.zeros((looks, th.TOKENS, th.WIDTH), np.float32)
    tokens[:, : th.MAX_THINGS, 0] = -1.0
    tokens[:, th.CAMERA_TOKEN] = camera()
    tokens[:, th.SETTING_TOKEN, setting] = th.ONE_HOT
    tokens[:, th.SETTING_TOKEN, th.SETTING["look"]] = LOOKS[setting][0]
    return tokens


def drawn(canvas: Canvas, tokens: np.ndarray, plate=None) -> np.ndarray:
    with torch.no_grad():
        return canvas(Scene.of(torch.from_numpy(tokens)), SIDE, SIDE, plate=plate).picture[0, -1].reshape(
            SIDE, SIDE, 3).numpy()


def pictures(looks: int) -> np.ndarray:
    """Smooth ones, all alike, uint8 (looks, SIDE, SIDE, 3)."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    one = np.stack([0.2 + 0.6 * y, 0.5 + 0.3 * np.sin(6 * x), 0.8 - 0.5 * x * y], -1)
    return (one * 255).round().astype(np.uint8)[None].repeat(looks, 0)


def test_what_was_seen_is_shown_again_and_what_hid_it_is_filled_in(canvas):
    tokens, shown = empty_tokens(3), pictures(3)
    hidden = np.zeros(shown.shape[:3], bool)
    whole, _ = plate_of(canvas, shown, hidden, tokens, LOOKS)
    np.testing.assert_allclose(drawn(canvas, tokens[-1:], whole), shown[0] / 255, atol=2 / 255)
    spoilt = shown.copy()
    for n, left in enumerate((10, 30, 44)):  # somebody goes by, and stands before everything else
        spoilt[n, 20:40, left : left + 8], hidden[n, 20:40, left : left + 8] = 255, True
    went, _ = plate_of(canvas, spoilt, hidden, tokens, LOOKS)
    np.testing.assert_allclose(drawn(canvas, tokens[-1:], went), shown[0] / 255, atol=2 / 255)
    hidden[:], spoilt[:] = False, shown
    spoilt[:, 20:32, 30:40], hidden[:, 20:32, 30:40] = 255, True  # who never goes is not seen through, but not shown
    stayed, _ = plate_of(canvas, spoilt, hidden, tokens, LOOKS)
    np.testing.assert_allclose(drawn(canvas, tokens[-1:], stayed), shown[0] / 255, atol=0.1)
    every, _ = plate_of(canvas, spoilt, np.ones_like(hidden), tokens, LOOKS)
    assert np.isfinite(drawn(canvas, tokens[-1:], every)).all()


def test_the_setting_is_that_which_looks_so(canvas):
    for number in range(len(SETTINGS)):
        tokens = empty_tokens(1, number)
        shown = (drawn(canvas, tokens) * 255).round().astype(np.uint8)[None]
        _, setting = plate_of(canvas, shown, np.zeros((1, SIDE, SIDE), bool), empty_tokens(1, 0), LOOKS)
        np.testing.assert_allclose(setting, tokens[0, th.SETTING_TOKEN], atol=1e-6)


def test_it_stays_on_the_ground_when_the_camera_moves(canvas):
    tokens, shown = empty_tokens(1), pictures(1)
    shown[0, 44:48, 30:34] = (255, 0, 0)  # a mark on the ground
    plate, _ = plate_of(canvas, shown, np.zeros((1, SIDE, SIDE), bool), tokens, LOOKS)
    tokens[:, th.CAMERA_TOKEN] = camera(0.3)
    moved = drawn(canvas, tokens, plate)
    red = np.argwhere((moved[..., 0] > 0.8) & (moved[..., 1] < 0.3))
    focal = 0.5 * SIDE / np.tan(np.radians(20))
    assert len(red) and abs(red[:, 0].mean() - 45.5) < 1
    down = (46 - SIDE / 2) / focal
    pitch = np.arctan2(1.0, 5.9)
    far = 1.8 / (np.sin(pitch) + down * np.cos(pitch))  # metres along the view's axis to the mark
    assert abs((31.5 - red[:, 1].mean()) - 0.3 * focal / far) < 1
    tokens[:, th.CAMERA_TOKEN] = camera(30.0)  # where nobody ever looked
    assert np.isfinite(drawn(canvas, tokens, plate)).all()


def test_what_a_video_shows_behind_its_things_is_shown_on_where_the_canvas_would_not(canvas):
    world = SimpleNamespace(meta={"sampling": {"looks": LOOKS}},
                            tokenizer=SimpleNamespace(canvas=canvas, config=SimpleNamespace(canvas=True)))
    tokens = empty_tokens(6)
    tokens[:2, th.CAMERA_TOKEN] = camera(0.5)  # then the camera stood still
    own = (drawn(canvas, tokens[-1:]) * 255).round().astype(np.uint8)
    assert apart(canvas, own, tokens[-1]) < 0.003 < OTHER
    assert World.behind(world, own[None].repeat(24, 0), tokens, 24.0) is None  # that is what it draws by itself
    seen = pictures(24)
    seen[:8] = 0  # what another camera saw
    plate = World.behind(world, seen, tokens, 24.0)
    np.testing.assert_allclose(drawn(canvas, tokens[-1:], plate), seen[-1] / 255, atol=2 / 255)
    assert World.behind(world, seen[-8:], tokens, 24.0) is not None  # fewer pictures than things
    assert World.behind(world, seen, tokens[-2:], 24.0) is not None  # fewer things than pictures
    assert World.behind(world, seen[:0], tokens, 24.0) is None
