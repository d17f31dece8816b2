"""The camera's motion from the picture alone: known shifts are found, still cameras stand still, cuts are cuts."""

import functools
import sys

import numpy as np
import pytest

from reverie.audit.findings import Motion
from reverie.audit.motion import MotionMeter, camera_motion, path_score, stage_warp
from reverie.core.camera import look_at, project
from reverie.core.errors import BadInput, ReverieError
from reverie.core.moves import camera_path, parse_moves
from reverie.core.vocabulary import CAMERA_CHANNELS

FPS, SIDE = 24.0, 128
CORNERS = np.array([[0, 0], [SIDE, 0], [0, SIDE], [SIDE, SIDE], [SIDE / 2, SIDE / 2]], float)


@functools.cache
def texture(seed, side=400):
    """A picture (side, side, 3) of soft blobs, uint8."""
    cv2 = pytest.importorskip("cv2")
    noise = np.random.default_rng(seed).standard_normal((side, side, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return np.clip(120 + 45 * soft / soft.std(), 0, 255).astype(np.uint8)


def seen_through(picture, warp):
    """The frame in which ``picture``'s middle stands as an affine map (2, 3) of the frame's pixels says."""
    cv2 = pytest.importorskip("cv2")
    start = np.array([[1, 0, -136], [0, 1, -136], [0, 0, 1]], float)
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # cv2 counts from a pixel's middle
    whole = np.linalg.inv(half) @ np.vstack([warp, [0, 0, 1]]) @ start @ half
    return cv2.warpAffine(picture, whole[:2], (SIDE, SIDE), flags=cv2.INTER_LINEAR)


def about_middle(zoom, degrees, shift):
    turn = np.radians(degrees)
    part = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = np.array([SIDE / 2, SIDE / 2])
    return np.concatenate([part, (middle - part @ middle + shift)[:, None]], 1)


def moved(warp, points=CORNERS):
    return points @ warp[:, :2].T + warp[:, 2]


@pytest.mark.parametrize("zoom, degrees, shift", [(0, 0, (1.3, 0)), (0, 0, (-0.4, 0.9)), (0.004, 0, (0, 0)),
                                                  (0, 0.4, (0, 0)), (-0.003, -0.2, (0.5, -0.3))])
def test_known_motion_is_found(zoom, degrees, shift):
    truth = [about_middle(1 + zoom * t, degrees * t, t * np.array(shift)) for t in range(30)]
    motion = camera_motion([seen_through(texture(0), warp) for warp in truth], FPS)
    assert motion.known.all() and not motion.cuts
    off = [np.abs(moved(found) - moved(warp)).max() for found, warp in zip(motion.warp, truth, strict=True)]
    assert np.median(off) < 0.3 and max(off) < 0.6  # at the picture's corners
    middle = [np.abs(moved(found)[4] - moved(warp)[4]).max() for found, warp in zip(motion.warp, truth, strict=True)]
    assert max(middle) < 0.3


def test_larger_frames_are_measured_in_their_own_pixels():
    cv2 = pytest.importorskip("cv2")
    frames = [cv2.resize(seen_through(texture(1), about_middle(1, 0, (t, 0.0))), (512, 512)) for t in range(15)]
    motion = camera_motion(frames, FPS)
    assert motion.known.all() and abs(motion.warp[-1][0, 2] - 4 * 14) < 1.5 and abs(motion.warp[-1][1, 2]) < 1


def test_a_still_noisy_video_never_moves():
    rng = np.random.default_rng(2)
    base = seen_through(texture(2), np.eye(2, 3)).astype(float)
    meter = MotionMeter(FPS, (SIDE, SIDE))
    for _ in range(240):
        meter.add(np.clip(base + rng.normal(0, 5, base.shape), 0, 255).astype(np.uint8))
    motion = meter.finish()
    assert (motion.warp == np.eye(2, 3, dtype=np.float32)).all() and motion.known.all()
    assert not motion.cuts and motion.moves == "still" and not motion.rates.any()


@pytest.mark.parametrize("told", [True, False])
def test_a_large_thing_moves_before_a_still_background(told):
    base, thing = seen_through(texture(3), np.eye(2, 3)), texture(4)[:70, :56]
    frames, boxes = [], []
    for t in range(40):
        frame, x = base.copy(), 2 * t
        if t < 35:  # then it vanishes, which is no cut
            seen = min(56, SIDE - x)
            frame[30:100, x : x + seen] = thing[:, :seen]
        frames.append(frame)
        boxes.append(np.array([[x, 30, x + 56, 100]], float) if told and t < 35 else np.zeros((0, 4)))
    motion = camera_motion(frames, FPS, boxes)
    assert (motion.warp == np.eye(2, 3, dtype=np.float32)).all()
    assert motion.moves == "still" and not motion.cuts


def test_featureless_grey_tells_nothing_wild():
    pytest.importorskip("cv2")
    rng = np.random.default_rng(5)
    grey = [np.full((SIDE, SIDE, 3), 128, np.uint8)] * 20
    noisy = [np.clip(128 + rng.normal(0, 3, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8) for _ in range(20)]
    for frames in (grey, noisy):
        motion = camera_motion(frames, FPS)
        assert max(np.abs(moved(warp) - CORNERS).max() for warp in motion.warp) < 1
        assert motion.moves in ("", "still") and not motion.cuts


def test_a_cut_begins_a_new_shot():
    shots = [[seen_through(texture(seed), about_middle(1, 0, (t * step, 0.0))) for t in range(20)]
             for seed, step in ((6, 1.0), (7, -0.5))]
    motion = camera_motion(shots[0] + shots[1], FPS)
    assert motion.cuts == (20,)
    assert (motion.warp[20] == np.eye(2, 3)).all() and not motion.rates[20].any()
    assert abs(motion.warp[19][0, 2] - 19) < 0.3 and abs(motion.warp[39][0, 2] + 9.5) < 0.3


def test_a_map_of_a_shot_left_behind_is_not_known():
    frames = [seen_through(texture(8), about_middle(1.08**t, 0, (0.0, 0.0))) for t in range(30)]
    motion = camera_motion(frames, FPS)
    assert motion.known[:12].all() and not motion.known[-1]
    assert np.linalg.norm(motion.warp[-1][:, :2], 2) < 4.5


def room(path):
    """Frames of a textured ground and a wall ten metres away, as a camera on a path sees them."""
    cv2 = pytest.importorskip("cv2")
    focal = 0.5 * SIDE / np.tan(np.radians(path.fovy) / 2)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    rays = np.stack([(x - SIDE / 2) / focal, (SIDE / 2 - y) / focal, -np.ones_like(x)], -1)
    ground, wall = texture(9), texture(10)
    for place, view in zip(path.position.astype(float), path.rotation.astype(float), strict=True):
        ray = rays @ view.T
        down = np.where(ray[..., 2] < -1e-3, -place[2] / np.minimum(ray[..., 2], -1e-3), 1e3)
        away = (4.2 - place[1]) / ray[..., 1]
        at = place + ray * np.minimum(down, away)[..., None]
        spots = (35 * at[..., [0, 1]] % 399).astype(np.float32), (25 * at[..., [0, 2]] % 399).astype(np.float32)
        near, far = (cv2.remap(picture, spot[..., 0], spot[..., 1], cv2.INTER_LINEAR)
                     for picture, spot in zip((ground, wall), spots, strict=True))
        yield np.where((down < away)[..., None], near, far)


PLACE = np.array([0.3, -5.9, 1.8])
VIEW = look_at(PLACE, np.array([0.0, 0.0, 0.8]))


@pytest.mark.parametrize("asked", ["pan right 9", "tilt up 5", "orbit left 22", "dolly in 0.9", "crane down 0.5"])
def test_moves_are_told_apart(asked):
    path, actions = camera_path(parse_moves(asked), PLACE, VIEW, 40.0, 48, FPS)
    motion = camera_motion(room(path), FPS)
    score, found = path_score(motion, parse_moves(asked))
    assert found == motion.moves and found.split(",")[0].startswith(asked.rsplit(" ", 1)[0]) and score > 0.8
    kind = CAMERA_CHANNELS.index(asked.split()[0])
    assert np.nansum(motion.rates[:, kind]) / np.sum(actions[:, kind]) == pytest.approx(1, abs=0.3)
    stage = np.array([[0.0, 0.0, 0.5], [0.8, 0.0, 1.0]])
    first, last = (project(stage, path.position[t], path.rotation[t], 40.0, SIDE, SIDE)[0] for t in (0, -1))
    assert np.abs(moved(stage_warp(motion, FPS, (SIDE, SIDE))[-1], first) - last).max() < 5


def seen(moves, known=True):
    return Motion(np.tile(np.eye(2, 3), (24, 1, 1)), np.full(24, known), np.zeros((24, 5)), (), moves)


@pytest.mark.parametrize("found, asked, least, most", [
    ("pan right 12", "pan right 10", 1, 1),
    ("pan right 12", "pan left 10", 0, 0),
    ("still", "pan right 10", 0, 0),
    ("pan right 2.5", "pan right 10", 0.4, 0.6),
    ("pan right 40", "pan right 10", 0.4, 0.6),
    ("pan right 10, crane up 0.1", "pan right 10", 1, 1),
    ("pan right 10, orbit left 40", "pan right 10", 0.2, 0.6),
    ("orbit left 20", "orbit left 20, dolly in 0.8", 0.4, 0.6),
    ("still", "still", 1, 1),
    ("pan left 8", "still", 0, 0),
])
def test_path_score(found, asked, least, most):
    score, said = path_score(seen(found), parse_moves(asked))
    assert least <= score <= most and said == found


def test_path_score_that_cannot_be_judged():
    assert path_score(seen(""), parse_moves("pan left 10"))[0] is None
    assert path_score(seen("still"), parse_moves("pan left 0.3"))[0] is None


def test_errors(monkeypatch):
    pytest.importorskip("cv2")
    with pytest.raises(BadInput, match="16x16"):
        MotionMeter(FPS, (8, 128))
    with pytest.raises(BadInput, match="frame 0"):
        MotionMeter(FPS, (SIDE, SIDE)).add(np.zeros((64, 64, 3), np.uint8))
    empty = camera_motion([], FPS)
    assert empty.warp.shape == (0, 2, 3) and empty.moves == ""
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ReverieError, match=r"reverie\[audit\]"):
        MotionMeter(FPS, (SIDE, SIDE))
