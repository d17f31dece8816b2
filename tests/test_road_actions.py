"""What a car does in the pictures, as the probe reads it: fed with what is known, and from commands to figures."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_road import trace

from reverie.core.vocabulary import FRAMES_PER_LATENT as F
from reverie.data.road.rig import FOUR
from reverie.data.road.weather import of_seed
from reverie.data.road.world import SIZE, Look
from reverie.evaluate import road_actions
from reverie.evaluate.pictures import scatters
from reverie.eyes.odometer import Odometer, _likeliest, _peak
from reverie.model.road.traffic import Config, Traffic
from reverie.painter import WEIGHTS
from reverie.road import Road

MUJOCO = importlib.util.find_spec("mujoco") is not None
drawing = pytest.mark.skipif(not MUJOCO, reason="drawing needs mujoco")


def ground(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How bright the ground is: blotches of some metres."""
    return 127 + 60 * np.sin(2.1 * x + 0.9 * y) * np.cos(1.7 * y - 0.6 * x) + 40 * np.sin(0.7 * x - 2.3 * y)


def ride(ways: Sequence[float], turns: Sequence[float]) -> np.ndarray:
    """What cameras see of it (L + 1, C, H, W, 3) on a way of so many metres and radians a latent."""
    place, heading, rows = np.zeros(2), 0.3, []
    down, across = np.mgrid[:128, :192] + 0.5
    for k in range(len(ways) + 1):
        row = []
        for mount in FOUR:
            path = mount.path(place[None], np.array([heading]), SIZE)
            focal = 64 / np.tan(np.radians(path.fovy) / 2)
            rays = np.stack([across - 96, 64 - down, -np.full_like(down, focal)], -1) @ path.rotation[0].T
            far = path.position[0, 2] / np.maximum(-rays[..., 2], 1e-6)
            spot = path.position[0, :2] + far[..., None] * rays[..., :2]
            grey = np.where(rays[..., 2] < -0.02 * focal, ground(*np.moveaxis(spot, -1, 0)), 200)
            row.append(np.repeat(grey[..., None], 3, -1))
        rows.append(row)
        if k < len(ways):
            middle = heading + turns[k] / 2
            place = place + ways[k] * np.array([np.cos(middle), np.sin(middle)])
            heading += turns[k]
    return np.array(rows).clip(0, 255).astype(np.uint8)


def test_the_probe_reads_how_a_car_goes() -> None:
    ways, turns = [1.2, 1.27, 1.34, 1.2, 1.0], [0.0, 0.15, 0.2, -0.1, -0.17]
    read = Odometer(FOUR, SIZE).read(ride(ways, turns))
    assert read.shape == (5, 3) and (read[:, 2] > 0).all()
    assert np.allclose(read[:, 0] / 6, ways, atol=0.06) and np.allclose(read[:, 1] / 6, turns, atol=0.01)
    still = Odometer(FOUR, SIZE).read(ride([0.0, 0.0], [0.0, 0.0]))
    assert np.abs(still[:, :2]).max() < 0.2
    blank = Odometer(FOUR, SIZE).read(np.full((4, 4, *SIZE, 3), 128, np.uint8))
    assert (blank[:, 2] < road_actions.SURE).all() and np.isfinite(blank[:, :2]).all()


def test_the_likeliest_way_is_one_that_a_car_can_go() -> None:
    fits = np.zeros((4, 28))
    fits[[0, 1, 2, 3], [10, 10, 25, 11]] = 0.5, 0.5, 0.6, 0.5  # 1.5 m more within a sixth of a second
    assert np.allclose(_likeliest(fits, [np.zeros(55)] * 3), [10, 10, 10, 11], atol=0.8)
    assert _peak(np.array([0.0, 1.0, 1.0, 0.0]), 1) == 1.5 and _peak(np.array([2.0, 1.0]), 0) == 0


def test_commands_come_back_from_what_is_read(monkeypatch, tmp_path) -> None:
    """The suite with a probe that reads the very pose: all is as it was told."""
    true = trace(120)
    true.save(tmp_path / "clip.npz")
    torch.manual_seed(0)
    model = Road(Traffic(Config(width=16, heads=2, depth=1)).eval(), "tiny", 0.0)
    painted: list[int] = []

    class Others:
        """Reads the very pose."""

        def __init__(self, *rest) -> None:
            pass

        def __enter__(self):
            return self

        def __exit__(self, *rest) -> None:
            return None

        def ask(self, ride, look, canvas) -> Future:
            painted.append(ride.frames)
            future: Future = Future()
            motion = road_actions._motion(ride)
            future.set_result(np.concatenate([motion, np.ones((len(motion), 1))], 1))
            return future

    for name, other in (("traces", lambda study, n, seconds: [tmp_path / "clip.npz"] * n), ("Beside", Others),
                        ("model_of", lambda study: model), ("PRESENT", 0.5), ("AGAIN", 2), ("TRUTH", 2)):
        monkeypatch.setattr(road_actions, name, other)
    bar = nullcontext(SimpleNamespace(advance=lambda n: None))
    study = SimpleNamespace(n=4, data=tmp_path, model="base", track=lambda *rest: bar)
    figures = {f["name"]: f["value"] for f in road_actions.measure(study)}
    for way in ("gentle", "full_lock"):
        for what in ("speed", "yaw_rate"):
            assert figures[f"{what}_changes_correlation_{way}"] > 0.99, (what, way)
            assert abs(figures[f"{what}_changes_slope_{way}"] - 1) < 0.05
        assert figures[f"changes_that_can_be_read_{way}"] == 1
    assert figures["probe_on_truth_speed_changes_correlation"] > 0.999
    assert figures["speed_apart_other_seeds"] < 1e-3 < figures["speed_apart_other_commands"]
    assert (tmp_path / "road_actions.png").exists() and set(painted) == {97}


@drawing
def test_what_is_painted_is_read_at_every_latent() -> None:
    look = Look(of_seed(3, "day"), FOUR, (64, 96), 3)
    for canvas in (WEIGHTS, None):
        made = road_actions.read(trace(3 * F + 1), look, canvas)
        assert made.shape == (3, 3) and np.isfinite(made).all()


def test_a_cloud_of_points() -> None:
    picture = scatters([("a", "m/s", [1.0, -2.0], [0.9, -2.1]), ("b", "rad/s", [], [])], "asked for", "read")
    assert picture.size[0] == 2 * (300 + 112) and len(picture.getcolors(10000)) > 4
