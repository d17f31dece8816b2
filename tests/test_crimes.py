"""Planted violations: the truth shows the crime and nothing but it, and the victim is in plain sight."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")

import json
from functools import cache

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco", reason="the lab needs mujoco")

from reverie.audit.findings import LAWS  # noqa: E402
from reverie.cli import main  # noqa: E402
from reverie.core.errors import BadInput  # noqa: E402
from reverie.core.vocabulary import ALIVE, COLOURS  # noqa: E402
from reverie.data.info import info  # noqa: E402
from reverie.data.make import make  # noqa: E402
from reverie.data.scenes import SCENES  # noqa: E402
from reverie.data.scenes.bodies import make as body  # noqa: E402
from reverie.data.scenes.bodies import scaled  # noqa: E402
from reverie.data.scenes.crimes import CRIMES, FROM_ENDS, opening, plant  # noqa: E402
from reverie.data.scenes.record import ARRAYS, Thing  # noqa: E402
from reverie.data.scenes.sight import Sight, lowest, spans  # noqa: E402
from reverie.data.shards import ClipSet  # noqa: E402

LAB = SCENES["lab"]
SIZE, SECONDS, FPS = (128, 128), 4.0, 24
SEEDS = range(5)
THROUGH_A_WALL = 30  # a seed of "ghost" whose victim meets one


def _gl_works() -> bool:
    try:
        with mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 32, 32):
            return True
    except Exception:  # whatever the platform's GL raises
        return False


needs_gl = pytest.mark.skipif(not _gl_works(), reason="no offscreen GL here")


@cache
def planted(crime: str):
    seeds = [*SEEDS, THROUGH_A_WALL] if crime == "ghost" else SEEDS
    return [plant(seed, crime, SECONDS, size=SIZE) for seed in seeds]


@cache
def plain(crime: str, seed: int):
    return LAB.plan(seed, SECONDS, split="test", size=SIZE, opening=opening(crime))


def cases(crime: str):
    """(record, the plain one, crime, the victim's index after it, its frame) for each seed."""
    for plan, done in planted(crime):
        after = done.thing if done.other < 0 or crime == "doubled" else done.other
        yield plan.record, plain(crime, plan.seed).record, done, after, done.frame


def test_they_are_listed_and_break_known_laws():
    assert list(CRIMES) == ["deleted", "doubled", "recoloured", "transformed", "scaled", "moved", "weightless",
                            "frozen", "ghost", "pushed"]
    assert {law for law, _ in CRIMES.values()} == set(LAWS)
    with pytest.raises(BadInput, match="deleted, doubled"):
        plant(0, "stolen")
    for bad in ({"seconds": 2.0}, {"seconds": float("nan")}, {"split": "all"}, {"size": (100, 100)}):
        with pytest.raises(BadInput):
            plant(0, "deleted", **bad)


@pytest.mark.parametrize("crime", CRIMES)
def test_same_arguments_same_bytes(crime):
    plan, done = planted(crime)[1]
    again, same = plant(1, crime, SECONDS, size=SIZE)
    assert same == done and again.events == plan.events and again.record.things == plan.record.things
    assert all(getattr(again.record, name).tobytes() == getattr(plan.record, name).tobytes() for name in ARRAYS)
    assert again.record.contacts == plan.record.contacts
    assert len({other.seed for other, _ in planted(crime)}) == len(planted(crime))


@pytest.mark.parametrize("crime", CRIMES)
def test_until_then_it_is_the_plain_clip_and_after_it_only_the_victim_differs(crime):
    for record, before, done, _, k in cases(crime):
        n = len(before.things)
        assert done.kind == crime and done.law == CRIMES[crime][0] and done.time == done.frame / FPS
        assert FROM_ENDS <= done.time <= SECONDS - FROM_ENDS and 0 <= done.thing < n
        assert record.things[:n] == before.things and len(record.things) == n + (done.other >= 0)
        for name in ARRAYS:
            assert np.array_equal(getattr(record, name)[:k, :n], getattr(before, name)[:k]), name
        assert record.contacts[:k] == before.contacts[:k]
        met = set().union(*(set(pair) for pair in before.contacts[k] if done.thing in pair))
        others = [i for i in range(n) if i != done.thing and not (crime == "ghost" and i in met)]
        for name in ARRAYS:
            assert np.array_equal(getattr(record, name)[:, others], getattr(before, name)[:, others]), name
        if done.other >= 0:
            assert done.other == n and not record.exists[:k, n].any() and record.exists[k, n]
        assert np.isfinite(record.position).all()
        for frame, pairs in enumerate(record.contacts):
            for pair in pairs - before.contacts[frame]:
                assert all(record.exists[frame, i] for i in pair if i >= 0)
        # what the others touched does not mind that it is no more what it was: they rest, or it was the ground
        for i in set().union(*(set(pair) for pairs in before.contacts[k:] for pair in pairs if done.thing in pair)):
            if crime != "recoloured" and i not in (-1, done.thing, *met):
                assert np.ptp(before.position[k:, i], 0).max() < 0.01


@pytest.mark.parametrize("crime", CRIMES)
def test_the_victim_is_in_plain_sight_and_the_events_are_those_that_still_are(crime):
    for (plan, done), (record, _, _, after, k) in zip(planted(crime), cases(crime), strict=True):
        sight = Sight(record, plan.path, *SIZE)
        assert sight.whole(14.0)[k - 20 : k, done.thing].all() and sight.apart()[k - 10 : k, done.thing].all()
        if crime not in ("deleted", "ghost"):
            least = 12.0 if crime == "scaled" else 14.0
            assert (sight.whole(least) & sight.apart())[k : k + 20, after].all()
        for event in plan.events:
            if done.thing in (event.actor, event.other) and event.kind != "camera":
                assert event.start <= event.end < done.time
        truth = LAB.simulate(plan).truth
        assert truth.exists.shape == record.exists.shape and truth.extent.shape == (len(record.things), 3)
        assert not truth.position[~truth.exists].any()


def test_deleted_doubled_and_moved():
    for record, before, done, _, k in cases("deleted"):
        assert record.exists[k - 1, done.thing] and before.exists[k, done.thing]
        assert not record.exists[k:, done.thing].any()
        assert not any(done.thing in pair for pairs in record.contacts[k:] for pair in pairs)
    for record, before, done, _, k in cases("doubled"):
        one, two = done.thing, done.other
        assert record.things[two] == record.things[one] and record.exists[k:, one].all()
        away = record.position[k:, two] - record.position[k:, one]
        assert np.allclose(away, away[0], atol=1e-9) and abs(away[0, 2]) < 1e-9
        assert np.array_equal(record.velocity[k:, two], record.velocity[k:, one])
        assert np.array_equal(record.position[:, one], before.position[:, one])
    for (plan, done), (record, before, _, _, k) in zip(planted("moved"), cases("moved"), strict=True):
        step = np.linalg.norm(record.position[k, done.thing] - record.position[k - 1, done.thing])
        usual = np.linalg.norm(before.position[k, done.thing] - before.position[k - 1, done.thing])
        sight = Sight(before, plan.path, *SIZE)
        wide = sight.sides[k, done.thing, 0] / sight.pixels[k, done.thing]
        assert 1.4 * wide - usual < step < 4.1 * wide + usual


def test_recoloured_transformed_and_scaled():
    for crime in ("recoloured", "transformed", "scaled"):
        for record, _, done, new, k in cases(crime):
            assert record.exists[k - 1, done.thing] and not record.exists[k:, done.thing].any()
            assert record.exists[k, new] and len(record.things) == new + 1
    for record, before, done, new, k in cases("recoloured"):
        one, two = record.things[done.thing], record.things[new]
        assert (one.kind, one.size) == (two.kind, two.size)
        assert np.linalg.norm(np.subtract(COLOURS[one.colour], COLOURS[two.colour])) > 0.8
        assert np.array_equal(record.position[k:, new], before.position[k:, done.thing])
    for record, _, done, new, k in cases("transformed"):
        one, two = record.things[done.thing], record.things[new]
        assert one.kind != two.kind and one.colour == two.colour
        assert 0.6 < two.body.extent[2] / one.body.extent[2] < 1.6
        assert np.linalg.norm(record.position[k, new, :2] - record.position[k - 1, done.thing, :2]) < 0.3
    for record, before, done, new, k in cases("scaled"):
        one, two = record.things[done.thing], record.things[new]
        ratio = np.array(two.body.extent) / one.body.extent
        assert np.allclose(ratio, two.scale) and 1.6 <= max(two.scale, 1 / two.scale) <= 2.2
        if one.kind not in ALIVE:
            was = lowest(one, before.position[k, done.thing], before.quat[k, done.thing])
            assert abs(lowest(two, record.position[k, new], record.quat[k, new]) - was) < 0.02
        assert np.allclose(record.position[k, new, :2], before.position[k, done.thing, :2])


def test_weightless_and_frozen():
    for crime in ("weightless", "frozen"):
        for _, before, done, _, k in cases(crime):
            fall = np.diff(before.velocity[k - 1 : k + 8, done.thing, 2]) * FPS
            assert np.allclose(fall, -9.81, atol=0.4)
    for record, before, _, i, k in cases("weightless"):
        touched = [any(i in pair for pair in pairs) for pairs in record.contacts[k:]]
        until = k + (touched.index(True) if any(touched) else len(touched))
        assert until - k >= 9
        start = record.velocity[k - 1, i]
        assert abs(record.velocity[k:until, i] - start).max() < 0.05 * np.linalg.norm(start)
        assert abs(record.position[until - 1, i] - before.position[until - 1, i]).max() > 0.3
        for later in range(until + 2, len(record.exists)):  # then gravity is back
            assert record.position[later, i, 2] < record.position[until - 1, i, 2] + 1.5
    for record, _, _, i, k in cases("frozen"):
        assert record.exists[k:, i].all() and not record.velocity[k:, i].any()
        assert not np.ptp(record.position[k:, i], 0).any() and not np.ptp(record.quat[k:, i], 0).any()
        assert lowest(record.things[i], record.position[k, i], record.quat[k, i]) > 0.5


def test_ghost_and_pushed():
    through = 0
    for record, before, _, i, k in cases("ghost"):
        assert any(i in pair for pair in before.contacts[k])
        if record.exists[-1, i]:  # it went through a thing
            [other] = [sum(pair) - i for pair in before.contacts[k] if i in pair and min(pair) >= 0]
            low, high = spans(record, other)
            inside = ((record.position[k:, i, :2] > low[k:, :2]) & (record.position[k:, i, :2] < high[k:, :2])).all(1)
            through += 1
            assert inside.any() and np.array_equal(record.position[k:, other], before.position[k:, other])
        else:
            gone = np.flatnonzero(record.exists[:, i])[-1]
            assert spans(record, i)[1][gone, 2] < 0.5 and not record.exists[gone + 1 :, i].any()
            assert (np.diff(record.velocity[k : gone + 1, i, 2]) < -0.3).all()
            assert record.position[gone, i, 2] < 0 < record.position[k - 1, i, 2]
        assert not any(i in pair and min(pair) >= 0 for pairs in record.contacts[k:] for pair in pairs)
    assert through
    for record, before, _, i, k in cases("pushed"):
        assert np.linalg.norm(record.velocity[k - 19 : k, i], axis=1).max() < 0.03
        assert 1.0 < np.linalg.norm(record.velocity[k, i]) < 3.3 and abs(record.velocity[k, i, 2]) < 0.6
        assert np.linalg.norm(record.position[k + 19, i] - record.position[k - 1, i]) > 0.4
        assert not any(i in pair and min(pair) >= 0 for pairs in record.contacts[k:] for pair in pairs
                       if pair not in before.contacts[k - 1])


def test_a_scaled_body_is_the_same_but_larger():
    assert Thing("chair", "red", "small", "heavy").body is body("chair", "small")
    for kind, size in (("cone", "small"), ("pendulum", "large"), ("hoop", "medium"), ("dog", "small")):
        one, two = body(kind, size), scaled(kind, size, 2.0)
        assert np.allclose(two.extent, 2 * np.array(one.extent)) and two.pivot == 2 * one.pivot
        for a, b in zip(one.geoms, two.geoms, strict=True):
            assert np.allclose(b.size, 2 * np.array(a.size)) and np.allclose(b.pos, 2 * np.array(a.pos))
            assert (a.quat, a.tint, a.solid, a.shown) == (b.quat, b.tint, b.solid, b.shown)


def test_made_as_data(tmp_path):
    arguments = {"clips": 3, "things_only": True, "seconds": SECONDS, "split": "test", "workers": 0, "shard_size": 2,
                 "progress": False}
    assert make("lab", tmp_path / "some", planted="doubled,ghost", **arguments)["failed"] == []
    clips = ClipSet(tmp_path / "some")
    done = [clips.meta(i)["provenance"]["crime"] for i in range(3)]
    assert [crime["kind"] for crime in done] == ["doubled", "ghost", "doubled"]
    for i, crime in enumerate(done):
        assert set(crime) == {"kind", "law", "thing", "time", "frame", "other"}
        assert crime["frame"] == round(crime["time"] * FPS) and crime["law"] == CRIMES[crime["kind"]][0]
        mentioned = {n for told in clips.meta(i)["captions"] for line in told["lines"] for n in line["order"]}
        assert crime["other"] not in mentioned
        assert f"planted: {crime['kind']} (against {crime['law']})" in info(tmp_path / "some", clips.keys[i])["text"]
    (tmp_path / "some" / "lab-test-000001.tar").unlink()
    assert make("lab", tmp_path / "some", planted=["doubled", "ghost"], **arguments)["made"] == 1
    assert ClipSet(tmp_path / "some").meta(2)["provenance"]["crime"] == done[2]
    for other in ((), "all", "ghost,doubled"):
        with pytest.raises(BadInput, match="planted"):
            make("lab", tmp_path / "some", planted=other, **arguments)
    with pytest.raises(BadInput, match=r"'stolen'.*deleted, doubled"):
        make("lab", tmp_path / "none", planted="deleted,stolen", **arguments)
    with pytest.raises(BadInput, match="3 seconds"):
        make("lab", tmp_path / "none", planted="all", **(arguments | {"seconds": (2, 5)}))
    make("lab", tmp_path / "plain", **(arguments | {"clips": 1}))
    assert "planted" not in json.loads((tmp_path / "plain" / "make.json").read_text())
    assert "crime" not in ClipSet(tmp_path / "plain").meta(0)["provenance"]
    with pytest.raises(BadInput, match="planted"):
        make("lab", tmp_path / "plain", planted="all", **(arguments | {"clips": 1}))


def test_made_from_the_command_line(tmp_path, capsys):
    arguments = ["data", "make", "lab", "-o", str(tmp_path / "some"), "--clips", "2", "--things-only", "--seconds", "4",
                 "--split", "test", "--workers", "0"]
    assert main([*arguments, "--planted", "frozen,pushed"]) == 0
    assert "2 clips" in capsys.readouterr().out
    clips = ClipSet(tmp_path / "some")
    for i, kind in enumerate(("frozen", "pushed")):
        crime, meta = clips.meta(i)["provenance"]["crime"], clips.meta(i)
        assert crime["kind"] == kind and not meta["drawn"]
        again, same = plant(meta["provenance"]["seed"], kind, SECONDS, size=SIZE)
        truth = clips.clip(i).truth
        assert crime["frame"] == same.frame and crime["thing"] == same.thing
        assert np.array_equal(truth.position, LAB.simulate(again).truth.position)
    assert main([*arguments, "--planted", "stolen"]) != 0
    assert "no crime 'stolen'" in capsys.readouterr().err


@needs_gl
@pytest.mark.parametrize("crime", ["doubled", "scaled", "ghost"])
def test_it_can_be_seen(crime):
    plan, done = planted(crime)[0]
    clip = LAB.draw(LAB.ending(plan, SECONDS - done.time + 0.25))  # from 6 frames before it on
    first = len(plan.path) - clip.frames
    k, visible, masks = done.frame - first, clip.truth.visible["front"], clip.truth.masks["front"]
    assert visible[k - 3 : k, done.thing].min() > 0.8
    if crime == "ghost":
        assert visible[-1, done.thing] == 0
        return
    assert visible[k : k + 3, done.other].min() > 0.8 and not visible[:k, done.other].any()
    if crime == "scaled":
        area = (masks[k] == done.other + 1).sum() / (masks[k - 1] == done.thing + 1).sum()
        assert 0.75 < area / plan.record.things[done.other].scale ** 2 < 1.35
