"""What a car does in the pictures, as the probe reads it: fed with what is known, and from commands to figures."""

from __future__ import annotations

import importlib.util
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_road import trace

from reverie.core.vocabulary import FRAMES_PER_LATENT as F
from reverie.data.road.weather import of_seed
from reverie.data.road.world import Look
from reverie.evaluate import odometer, road_actions
from reverie.evaluate.odometer import LINKS, MOUNTS, Odometer, _Pairs, chains, loss_fn, trained
from reverie.evaluate.pictures import scatters
from reverie.model.road.traffic import Config, Traffic
from reverie.painter import WEIGHTS
from reverie.road import Road

MUJOCO = importlib.util.find_spec("mujoco") is not None
drawing = pytest.mark.skipif(not MUJOCO, reason="drawing needs mujoco")


def test_a_probe_finds_spots_again_where_they_are() -> None:
    torch.manual_seed(0)
    probe, one = Odometer(wide=3, high=1), torch.randn(1, 8, 6, 12)
    two = torch.roll(one, (1, -2), (2, 3))  # a row down, two columns to the left
    best = probe._found(one, two)[0, :, 1:-1, 4:-4].argmax(0)
    assert (best == 2 * 7 + 1).all()  # of rows -1, 0, 1 the last; of columns -3..3 the second
    assert probe(torch.rand(3, 2, 3, 128, 192)).shape == (3, 2)
    seen = np.random.default_rng(0).integers(0, 255, (4, 3, 128, 192, 3)).astype(np.uint8)
    assert probe.read(seen).shape == (3, 2) and np.isfinite(probe.read(seen)).all()


def test_pairs_are_mirrored_and_turned_round_with_what_is_told() -> None:
    pictures = np.zeros((1, LINKS + 1, 3, 8, 8), np.uint8)
    pictures[:, :, 1], pictures[:, :, :, :, 0] = 100, 255  # the left camera's is grey, and every picture white at left
    pictures[0, :, 0, 4, 4] = 10 * np.arange(LINKS + 1)
    pairs = _Pairs(pictures, np.full((1, LINKS, 2), (3.0, 0.5), np.float32))
    seen = set()
    for n in range(4):
        batch = pairs(n, np.random.default_rng(n))
        for pair, (speed, turning) in zip(batch["pairs"], batch["motion"], strict=True):
            back = bool(pair[1, 0].sum() < pair[0, 0].sum())
            mirrored = bool(pair[0, 1, 2, 2] < pair[0, 2, 2, 2])
            assert speed == (-3 if back else 3) and turning == 0.5 * (-1) ** (back + mirrored)
            seen.add((back, mirrored))
    assert len(seen) == 4


@drawing
def test_rides_that_nobody_drove_and_a_probe_that_learns_of_them(tmp_path, monkeypatch) -> None:
    path = trace(60).save(tmp_path / "one.npz") or tmp_path / "one.npz"
    pictures, motion = chains(path, 4)
    assert pictures.shape == (odometer.CHAINS, LINKS + 1, len(MOUNTS), 128, 192) and motion.shape[1:] == (LINKS, 2)
    assert (pictures[:, 1:] != pictures[:, :-1]).mean() > 0.01 and (motion[..., 0] >= 0).all()
    again, _ = chains(path, 4)
    assert np.array_equal(pictures, again)
    loss, figures = loss_fn(Odometer(), _Pairs(pictures, motion)(0, np.random.default_rng(0)))
    assert loss.isfinite() and set(figures) == {"speed", "turning"}
    made = trained(tmp_path / "probe", [path], 0.02, progress=False)
    kept = trained(tmp_path / "probe", [], 0.0)  # it is there already
    some = np.random.default_rng(1).integers(0, 255, (3, 3, 128, 192, 3)).astype(np.uint8)
    assert np.allclose(made.read(some), kept.read(some), atol=0.02)


def test_commands_come_back_from_what_is_read(monkeypatch, tmp_path) -> None:
    """The suite with a probe that reads the very pose: all is as it was told."""
    true = trace(120)
    true.save(tmp_path / "clip.npz")
    torch.manual_seed(0)
    model = Road(Traffic(Config(width=16, heads=2, depth=1)).eval(), "tiny", 0.0)
    painted: list[int] = []

    def read(probe, ride, look, canvas) -> np.ndarray:
        painted.append(ride.frames)
        return road_actions._motion(ride)

    for name, other in (("traces", lambda study, n, seconds, split="test": [tmp_path / "clip.npz"] * min(n, 4)),
                        ("trained", lambda *rest: None), ("_read", read), ("model_of", lambda study: model),
                        ("PRESENT", 0.5), ("AGAIN", 2)):
        monkeypatch.setattr(road_actions, name, other)
    bar = nullcontext(SimpleNamespace(advance=lambda: None))
    study = SimpleNamespace(n=4, data=tmp_path, model="base", track=lambda *rest: bar)
    figures = {f["name"]: f["value"] for f in road_actions.measure(study)}
    for way in ("gentle", "full_lock"):
        for what in ("speed", "yaw_rate"):
            assert figures[f"{what}_changes_correlation_{way}"] > 0.99, (what, way)
            assert abs(figures[f"{what}_changes_slope_{way}"] - 1) < 0.05
    assert figures["speed_apart_other_seeds"] < 1e-3 < figures["speed_apart_other_commands"]
    assert (tmp_path / "road_actions.png").exists() and set(painted) == {97}


@drawing
def test_what_is_painted_is_read_at_every_latent() -> None:
    seen: list[np.ndarray] = []
    probe = SimpleNamespace(read=lambda frames: seen.append(frames) or np.zeros((len(frames) - 1, 2)))
    look = Look(of_seed(3, "day"), MOUNTS, (128, 192), 3)
    for canvas in (WEIGHTS, None):
        assert road_actions._read(probe, trace(2 * F + 1), look, canvas).shape == (2, 2)
    painted, drawn = seen
    assert painted.shape == drawn.shape == (3, 3, 128, 192, 3)
    assert np.abs(painted.astype(float) - drawn).mean() < 20


def test_a_cloud_of_points() -> None:
    picture = scatters([("a", "m/s", [1.0, -2.0], [0.9, -2.1]), ("b", "rad/s", [], [])], "asked for", "read")
    assert picture.size[0] == 2 * (300 + 112) and len(picture.getcolors(10000)) > 4
