"""What a screen hides, what a past in pictures holds, and how a minute's end is held against its beginning."""

import numpy as np
import pytest
import torch

from reverie import witness
from reverie.audit import judge
from reverie.audit.asking import asked
from reverie.audit.observer import Detection, SeenThing
from reverie.core.camera import project
from reverie.core.clip import Clip, Truth
from reverie.core.vocabulary import COLOURS, KINDS, MAX_THINGS
from reverie.evaluate import curtain, drift, memory, swaps
from reverie.evaluate.figures import met
from reverie.evaluate.pictures import plots, save_picture
from reverie.evaluate.quality import frechet
from reverie.model import things as th
from reverie.model.outline import sights
from reverie.model.solids import Table

FPS = 12.0


def test_a_screen_hides_all_and_leaves_it_as_it_was():
    pytest.importorskip("mujoco")
    short, long = (curtain.curtain(7, hidden, fps=FPS, size=(128, 128)) for hidden in (1.0, 4.0))
    for c, hidden in ((short, 1.0), (long, 4.0)):
        record, down, up = c.plan.record, round(c.down * FPS), round(c.up * FPS)
        assert c.up - c.down == pytest.approx(hidden) and 2 <= c.screen <= 3 and c.screen == len(record.things) - 1
        assert not record.exists[: round(curtain.SEEN * FPS), c.screen].any() and record.exists[:, : c.screen].all()
        assert record.exists[down + 1 : up - 1, c.screen].all() and not record.exists[-1, c.screen]
        assert np.abs(np.ptp(record.position[:, : c.screen], axis=0)).max() < 0.03
        assert len(c.plan.path) >= round((c.gone + curtain.AFTER) * FPS) - 1
    assert short.plan.record.things == long.plan.record.things
    np.testing.assert_array_equal(short.plan.record.position[0], long.plan.record.position[0])


def seen(kind, colour, box):
    return SeenThing(kind, colour, 5, 0, 4, 0.9, np.array([[t, *box] for t in range(5)], np.float32))


def test_what_is_there_again_is_held_against_truth():
    boxes = np.tile(np.array([[10, 10, 30, 30], [60, 10, 80, 30], [0, 0, 9, 9]], np.float32), (5, 1, 1))
    exists = np.ones((5, 3), bool)
    exists[:, 2] = False  # the screen, gone
    zeros = np.zeros((5, 3, 3), np.float32)
    truth = Truth("room", ["ball", "box", "screen"], ["red", "blue", "green"], ["small"] * 3, ["heavy"] * 3,
                  np.ones((3, 3), np.float32), exists, zeros, np.zeros((5, 3, 3, 3), np.float32), zeros,
                  zeros[..., 0], np.zeros((0, 3), np.int32), [], [0.0], {"front": boxes}, {"front": zeros[..., 0]})
    clip = Clip(FPS, truth=truth)
    ball, box = seen("ball", "red", [12, 10, 32, 30]), seen("box", "blue", [60, 11, 80, 31])
    assert all(hit.right for hit in memory.judge([box, ball], clip))
    assert [hit.right for hit in memory.judge([ball], clip)] == [True, False]
    assert not any(hit.right for hit in memory.judge([], clip))
    turned = memory.judge([seen("ball", "red", [60, 11, 80, 31]), seen("box", "blue", [12, 10, 32, 30])], clip)
    assert not any(hit.right for hit in turned)
    other = memory.judge([ball, seen("box", "red", [60, 11, 80, 31])], clip)[1]
    assert other.place and other.kind and not other.colour


def test_the_distance_of_features():
    rng = np.random.default_rng(0)
    some = rng.standard_normal((400, 6))
    assert frechet(some, some) == pytest.approx(0, abs=1e-6)
    assert frechet(some, some + 2) == pytest.approx(6 * 4, rel=1e-6)
    assert frechet(some, 3 * some) == pytest.approx(4 * np.trace(np.cov(some.T)) + 4 * (some.mean(0) ** 2).sum())


def test_drift_is_late_over_early_relative_to_truth():
    def part(violations, things, motion, shift):
        features = np.random.default_rng(1).standard_normal((60, 4)) + shift
        return drift.Seen(2.0, violations, [things], [motion], [features])

    true = {"early": part(2, 3.0, 1.0, 0), "late": part(4, 4.0, 2.0, 0)}
    steady = {"early": part(2, 3.0, 1.0, 1), "late": part(4, 4.0, 2.0, 1)}
    worse = {"early": part(2, 3.0, 1.0, 1), "late": part(40, 1.0, 0.1, 3)}
    for made, good in ((steady, True), (worse, False)):
        figures = drift.figures(made, true, 2)
        assert [met(f["value"], f["goal"]) for f in figures if f["goal"]] == [good] * 4
        if good:
            assert all(f["value"] == pytest.approx(1) for f in figures if f["goal"])


def test_swapped_prompts_differ_in_their_colours_alone():
    for language in ("en", "zh"):
        for pair in swaps.swapped_prompts(np.random.default_rng(3), 12, language):
            one, other = (sorted((c.things[0].kind, c.things[0].colours) for c in asked(text) if c.aspect == "kind")
                          for text in pair)
            assert len(one) == len(other) == 2, pair
            assert [kind for kind, _ in one] == [kind for kind, _ in other]
            assert [colours for _, colours in one] == [colours for _, colours in other][::-1]
            assert one != other


class Eye:
    """Sees the same two things, at every look."""

    def __init__(self, boxes, metre=29.0):
        self.boxes, self.metre = boxes, metre

    def detect(self, frames):
        return [[self.one(name, box) for name, box in self.boxes] for _ in frames]

    def one(self, name, box):
        scores = (np.eye(len(KINDS), dtype=np.float32)[KINDS.index(name[1])],
                  np.eye(len(COLOURS), dtype=np.float32)[list(COLOURS).index(name[0])])
        return Detection(name[1], name[0], box, 0.9, *scores, np.eye(3, dtype=np.float32)[0], 1.0, self.metre, 0.0)


def test_what_was_seen_is_put_where_a_camera_sees_it_so(monkeypatch):
    boxes = [(("red", "ball"), (30.0, 66.0, 46.0, 82.0)), (("blue", "box"), (80.0, 66.0, 96.0, 82.0))]
    monkeypatch.setattr(judge, "package_observer", lambda: Eye(boxes))
    frames = np.zeros((24, 128, 128, 3), np.uint8)
    tokens, hidden = witness.tokens_of(frames, FPS, 12, Table.plain())
    assert not hidden.any() and tokens.shape == (6, th.TOKENS, th.WIDTH)
    assert (tokens[:, :MAX_THINGS, 0] > 0).sum(1).tolist() == [2] * 6
    camera = th.decode_camera(tokens[:, th.CAMERA_TOKEN])
    places = th.positions_of(torch.from_numpy(tokens[-1, :2]))[:, -1].numpy()
    pixel, depth = project(places, camera.position[-1], camera.rotation[-1], camera.fovy, 128, 128)
    centres = sorted(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for _, box in boxes)
    np.testing.assert_allclose(sorted(map(tuple, pixel.tolist())), centres, atol=1.5)
    np.testing.assert_allclose(depth, 0.5 * 128 / np.tan(np.radians(20)) / 29, rtol=0.2)
    seen = sights(tokens, Table.plain(), 128, 128).box[-1, :2]
    np.testing.assert_allclose(sorted(map(tuple, seen[:, 3:].tolist())), [(82.0,), (82.0,)], atol=0.5)  # on their feet
    assert 0 <= places[:, 2].min() < 0.5
    frames[12:] = 90  # all else changes: the camera moves
    assert witness.tokens_of(frames, FPS, 12, Table.plain()) is None
    monkeypatch.setattr(judge, "package_observer", lambda: Eye([]))
    tokens, _ = witness.tokens_of(frames[:12], FPS, 12, Table.plain())
    assert not (tokens[:, :MAX_THINGS, 0] > 0).any()


@pytest.mark.parametrize(("kind", "size", "angle"), [("plank", 0, 3), ("plank", 2, 13), ("domino", 1, None)])
def test_what_was_seen_is_as_large_and_turned_as_its_outline_says(monkeypatch, kind, size, angle):
    known = np.array({"plank": [(0.58, 0.23, 0.1), (0.78, 0.27, 0.11), (1.0, 0.32, 0.13)],
                      "domino": [(0.14, 0.28, 0.5), (0.17, 0.36, 0.64), (0.2, 0.44, 0.78)]}[kind])
    sizes = [[]] * KINDS.index(kind) + [(np.log(known / 0.3) / 0.7).tolist()]
    eye = witness._Eye(witness._pose(1.8), Table.plain(), 128, 128)
    turn = witness._turns(kind)[3 * witness.TURNS + 4 if angle is None else angle]  # a domino that has fallen
    place = np.array([[0.2, 0.1, (np.abs(turn) @ known[size])[2]]])
    truth = witness._truth_of([(kind, "red")], known[size][None].astype(np.float32), np.ones((4, 1), bool),
                              place[None].repeat(4, 0), turn[None, None].repeat(4, 0), np.zeros((4, 1, 3)))
    things = torch.from_numpy(th.encode_things(truth)).transpose(0, 1)
    box, _ = eye.boxes(things)
    picture = np.full((128, 128, 3), 150, np.uint8)
    grid = np.stack(np.meshgrid(np.arange(128), np.arange(128)), -1).reshape(-1, 2) + 0.5
    own = eye.silhouettes(things, grid)[0].reshape(128, 128)
    picture[own] = (200, 30, 30)
    metre = witness._focal(128) / np.linalg.norm(place[0] - eye.camera.position[0])
    seen = Eye([(("red", kind), tuple(box[0].tolist()))], metre)
    monkeypatch.setattr(judge, "package_observer", lambda: seen)
    tokens, _ = witness.tokens_of(picture[None].repeat(16, 0), FPS, 12, Table.plain(), sizes)
    made = torch.from_numpy(tokens[-1:, :1])
    np.testing.assert_allclose(th.extents_of(made)[0, 0], known[size], rtol=0.01)
    again = eye.silhouettes(made, grid)[0].reshape(128, 128)
    assert (again & own).sum() / (again | own).sum() > 0.85


def test_plots_are_drawn_and_written_whole(tmp_path):
    picture = plots([("right", "share", {"": [0.2, 0.5]}), ("time", "s", {"a": [1, 2], "b": [0, 0]})], [1, 2], "steps")
    save_picture(picture, tmp_path / "new" / "plot.png")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["plot.png"]
    assert np.asarray(picture).min() < 100
