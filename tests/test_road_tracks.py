"""Figures of tracks and of sets of pictures: what is right scores as right, and what was spoilt on purpose does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_road import trace

from reverie.audit.observer import Observer, ObserverConfig, ObserverNet
from reverie.data.road.weather import of_seed
from reverie.data.road.world import Look
from reverie.evaluate import road_pictures, tracking
from reverie.evaluate.features import features, frechet_figures, named
from reverie.evaluate.road_tracks import Rig, driven, followed, straight
from reverie.model.road.traffic import Config, Traffic
from reverie.painter import shipped
from reverie.road import Road

LOOK = replace(Look.of({"seed": 3}), weather=of_seed(3, "fog"), size=(96, 144))
T = 24


# -- tracks -------------------------------------------------------------------------------------------


def scores(true: Rig, made: Rig) -> dict[str, float]:
    pytest.importorskip("trackeval")
    return tracking.scores([followed(true, made)])


def test_tracks_that_swap_half_way() -> None:
    pytest.importorskip("trackeval")
    ids = np.arange(2)
    rows = [(ids, ids, np.eye(2)[:: 1 if t < 5 else -1]) for t in range(10)]
    found = tracking.scores([tracking.gathered(rows)])
    assert found["deta"] == 1 and found["idf1"] == 0.5 and abs(found["hota"] - 3**-0.5) < 1e-6
    assert np.isnan(tracking.scores([])["hota"])


def test_a_future_like_truth_is_right_and_another_is_not() -> None:
    true = Rig(trace(), LOOK)
    assert min(scores(true, true).values()) == 1
    moved = trace()
    moved.place[:, 0, 1] += 0.4
    beside = scores(true, Rig(moved, LOOK))
    gone = trace()
    gone.exists[T:, 0] = False
    less = scores(true, Rig(gone, LOOK))
    assert 0.3 < beside["hota"] < 0.95 and 0.3 < less["deta"] < 0.95
    twice = trace()
    twice.place[:, 3], twice.exists[:, 3] = twice.place[:, 1] + (14.0, 3.2), True  # a truck where nothing is in truth
    assert scores(true, Rig(twice, LOOK))["deta"] < 0.9


def test_who_goes_straight_is_foretold_by_it() -> None:
    made = straight(trace(), 12, 30)
    true = trace()
    assert made.frames == 30 and np.allclose(made.place[:, 1:3], true.place[13:43, 1:3])
    assert not made.exists[:, 3].any() and np.abs(made.place[:, 0] - true.place[13:43, 0]).max() > 0.3


def test_the_box_of_who_is_near_whole_and_before_everything() -> None:
    rig = Rig(trace(), LOOK)
    painter = rig.painter(shipped()[0])
    assert rig.plain(painter, 0, T).tolist() == [True, False, False, False]  # who walks is too small
    assert not any(rig.plain(painter, m, T)[:3].any() for m in (1, 2, 3))
    assert rig.plain(painter, 3, T + 10).tolist() == [False, False, False, True]
    solids = painter.streets.solids  # a wall before our car
    gap = torch.tensor([*rig.trace.place[T, 1] + (8.0, 0.0), 2.0], dtype=torch.float32)
    solids.place[0], solids.half[0], solids.part[0], solids.heading[0] = gap, torch.tensor([0.5, 9.0, 6.0]), 0, 0
    painter.streets.solids = solids.chosen(torch.arange(len(solids.part)))
    assert not rig.plain(painter, 0, T).any()
    hidden = trace()
    hidden.place[:, 3], hidden.exists[:, 3] = hidden.place[:, 1] + (7.0, 0.0), True  # a truck before the car
    rig = Rig(hidden, LOOK)
    assert not rig.plain(rig.painter(), 0, T).any()  # nor is it wholly in the picture


@pytest.mark.parametrize(("spoilt", "found"), [("nothing", (0, 0)), ("gone", (1, 0)), ("comes", (0, 1)),
                                               ("leaps", (1, 1)), ("gone far away", (0, 0)), ("gone behind", (0, 0))])
def test_who_is_lost_or_invented_in_plain_sight(spoilt: str, found: tuple[int, int]) -> None:
    made = trace()
    made.exists[:, 3] = False
    if spoilt == "leaps":
        made.place[T:, 0] += (5.0, 0.0)
    elif spoilt == "comes":
        made.exists[:T, 0] = False
    elif spoilt != "nothing":
        made.exists[T:, 0] = False
    if spoilt == "gone far away":
        made.place[:, 0] += (40.0, 0.0)
    elif spoilt == "gone behind":
        made.place[:, 3], made.exists[:, 3] = made.place[:, 1] + (7.0, 0.0), True
    assert Rig(made, LOOK).broken().tolist() == list(found)


def test_a_future_begins_where_the_past_ends() -> None:
    torch.manual_seed(0)
    road = Road(Traffic(Config(width=32, depth=1, heads=2, parts=3)).eval(), {}, "tiny", heat=1.0)
    true = trace(96)
    made = driven(road, true, 48, 1.0, 0)
    assert made.frames == 25 and made.kinds[made.ego] == "car"
    assert np.allclose(made.place[0, made.ego], true.place[48, 1])
    assert np.allclose(made.place[:, made.ego], true.place[48:73, 1], atol=0.05)  # the actions are none: straight on
    assert Rig(made, LOOK).broken().sum() == 0


# -- pictures -----------------------------------------------------------------------------------------


def test_what_is_painted_lies_where_the_things_are() -> None:
    pytest.importorskip("trackeval")
    canvas, right, wrong = shipped()[0], Rig(trace(), LOOK), Rig(trace(), LOOK)
    wrong.boxes = [box + 12.0 for box in wrong.boxes]
    wrong.plain = lambda painter, m, t: right.plain(painter, m, t)
    masks = np.zeros((4, *LOOK.size), np.uint8)
    painter = right.painter(canvas)
    for m, n in ((0, 0), (3, 3)):  # a car ahead, a truck behind
        masks[m][road_pictures.changed(painter, right.paths[m], T, [n])[0]] = n + 1
    found = {}
    for name, rig in (("right", right), ("wrong", wrong)):
        one = road_pictures._Clip(trace(), LOOK, canvas, None, road_pictures._Found())
        one.shown("", rig, {T: masks})
        found[name] = {key: tracking.scores(data)["hota"] for key, data in one.found.sequences.items()}
        assert len(one.found.marks["lie iou"]) == 2
    assert found["right"]["lie"] > 0.7 > 0.3 > found["wrong"]["lie"] and found["right"]["masks"] > 0.95
    assert found["right"]["lie_in_truth"] > 0.7 > found["wrong"]["lie_in_truth"]


def test_sets_of_pictures_are_apart_as_they_differ() -> None:
    eye, rng = Observer.load(), np.random.default_rng(0)
    true = [rng.integers(150, 170, (3, 4, 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2) for _ in range(5)]
    kinds = {"same": true, "darker": [frames // 4 for frames in true]}
    seen = [features(eye, frames) for frames in true]
    made = {name: [features(eye, frames) for frames in cases] for name, cases in kinds.items()}
    found = {f["name"]: f for f in frechet_figures(seen, made, "{}_frechet_1s")}
    assert found["same_frechet_1s"]["value"] < 1e-9 < found["truth_halves_frechet_1s"]["value"]
    assert found["darker_frechet_1s"]["value"] > 3 * found["truth_halves_frechet_1s"]["value"]
    assert {f["n"] for f in found.values()} == {6}  # two cases of the five on either side
    one = frechet_figures(seen[:1], {"same": seen[:1]}, "{}")
    assert [f["value"] for f in one] == [None, None]


def test_an_observer_is_named_by_its_weights() -> None:
    eye = Observer(ObserverNet(ObserverConfig(widths=(4,) * 5)))
    before = named(eye)
    with torch.no_grad():
        next(eye.net.parameters())[0, 0, 0, 0] += 1
    assert before.startswith("observer ") and len(before) == 21 and named(eye) != before
