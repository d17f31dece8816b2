"""The lab world: deterministic, sound, complete, and true to what it draws."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")

from collections import Counter
from functools import cache

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco", reason="the lab needs mujoco")

from reverie.core.camera import project  # noqa: E402
from reverie.core.errors import BadInput  # noqa: E402
from reverie.core.moves import integrate, parse_moves  # noqa: E402
from reverie.core.vocabulary import COLOURS, EVENTS, KINDS, MATERIALS, MAX_THINGS, SETTINGS, SIZES  # noqa: E402
from reverie.data.heldout import combination_held_out  # noqa: E402
from reverie.data.scenes import SCENES  # noqa: E402
from reverie.data.scenes.bodies import ALL, make  # noqa: E402
from reverie.data.scenes.direct import FOLLOW, REPERTOIRE  # noqa: E402
from reverie.data.scenes.gaits import pose  # noqa: E402
from reverie.data.scenes.record import matrices  # noqa: E402
from reverie.data.scenes.settings import look  # noqa: E402

LAB = SCENES["lab"]


def _gl_works() -> bool:
    try:
        with mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 32, 32):
            return True
    except Exception:  # whatever the platform's GL raises
        return False


needs_gl = pytest.mark.skipif(not _gl_works(), reason="no offscreen GL here")


@cache
def short_plans(split: str = "train"):
    return [
        LAB.plan(seed, 5.0, split=split, size=(128, 128)) for seed in range(130 if split == "train" else 60)
    ]


@cache
def minute():
    return LAB.plan(4, 60.0)


def test_registry_bodies_and_looks():
    assert {kind for kind, _ in ALL} == set(KINDS) and set(REPERTOIRE) == set(KINDS)
    for kind, size in ALL:
        assert len(make(kind, size).shown) and min(make(kind, size).extent) > 0.05
    widths = [make("ball", size).extent[0] for size in SIZES]
    assert widths == sorted(widths)
    for setting in SETTINGS:
        one, same, other = (look(setting, seed).textures for seed in (3, 3, 4))
        assert all(np.array_equal(one[name], same[name]) for name in one)
        assert any(not np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", ["person", "dog", "bird"])
def test_gaits_swing_and_stay_in_their_box(kind):
    phase = np.linspace(0, 2 * np.pi, 40)
    for size in SIZES:
        body = make(kind, size)
        for stride in (np.zeros(40), np.ones(40)):
            places, quats = pose(kind, size, phase, stride)
            assert places.shape == (40, len(body.shown), 3) and quats.shape == (40, len(body.shown), 4)
            assert np.allclose(np.linalg.norm(quats, axis=-1), 1)
            assert (abs(places) < np.array(body.extent) * 1.02).all()
        assert np.ptp(places, axis=0).max() > 0.1 * max(body.extent)


def test_same_seed_same_truth():
    one, two = (LAB.simulate(LAB.plan(11, 8.0)) for _ in range(2))
    for name in ("position", "rotation", "velocity", "exists", "phase", "contacts", "extent"):
        assert getattr(one.truth, name).tobytes() == getattr(two.truth, name).tobytes()
    assert one.truth.events == two.truth.events and one.truth.colours == two.truth.colours
    assert one.actions.tobytes() == two.actions.tobytes()
    other = LAB.simulate(LAB.plan(12, 8.0)).truth
    assert other.position.shape != one.truth.position.shape or (other.position != one.truth.position).any()


@pytest.mark.parametrize(
    "seconds,fps,size", [(3.0, 24.0, None), (4.0, 10.0, (64, 96)), (1.0, 30.0, (256, 128))]
)
def test_clip_is_whole(seconds, fps, size):
    plan = LAB.plan(5, seconds, fps=fps, size=size)
    clip = LAB.simulate(plan)
    truth, frames = clip.truth, round(seconds * fps)
    n = len(truth.kinds)
    assert clip.frames == frames and clip.actions.shape == (frames, 5) and clip.actions.dtype == np.float32
    assert truth.exists.shape == (frames, n) and truth.rotation.shape == (frames, n, 3, 3)
    assert truth.position.dtype == truth.velocity.dtype == truth.phase.dtype == np.float32
    assert truth.contacts.dtype == np.int32 and truth.beats[0] == 0.0
    assert len(clip.cameras["front"]) == frames
    assert not truth.position[~truth.exists].any()


def test_everything_is_reached_and_sound():
    kinds, colours, sizes, materials, settings, events, beats, moved = (Counter() for _ in range(8))
    simple = 0
    for plan in short_plans():
        truth = LAB.simulate(plan).truth
        n = len(truth.kinds)
        assert 1 <= n <= MAX_THINGS
        simple += n <= 3
        kinds[truth.kinds[0]] += 1
        for counter, names in ((colours, truth.colours), (sizes, truth.sizes), (materials, truth.materials)):
            counter.update(names)
        settings[truth.setting] += 1
        events.update({e.kind for e in truth.events})
        beats[len(truth.beats)] += 1
        moved["camera"] += any(e.kind == "camera" for e in truth.events)
        first = [e for e in truth.events if e.actor == 0]
        assert first, "the main actor does something, if only rest"
        for e in truth.events:
            assert e.kind in EVENTS and 0 <= e.start <= e.end <= 5.0 and -1 <= e.other < n
            assert isinstance(e.start, float) and isinstance(e.end, float)
            if e.kind == "camera":
                assert e.actor == -1 and (e.detail == FOLLOW or parse_moves(e.detail))
            else:
                k0, k1 = round(e.start * 24), round(e.end * 24)
                assert 0 <= e.actor < n and truth.exists[k0 : k1 + 1, e.actor].any()
                assert not combination_held_out(truth.colours[e.actor], truth.kinds[e.actor], e.kind)
        _no_sinking(plan)
        _no_overlap_at_first(plan)
    assert set(kinds) == set(KINDS) and set(colours) == set(COLOURS) and set(settings) == set(SETTINGS)
    assert set(sizes) == set(SIZES) and set(materials) == set(MATERIALS)
    assert set(EVENTS) - set(events) <= {
        "bounced",
        "missed",
        "scored",
        "toppled",
        "hidden",
    }  # rarer than 1 in 50
    assert simple > 0.5 * len(short_plans()) and 0.25 < moved["camera"] / len(short_plans()) < 0.6


def _no_sinking(plan) -> None:
    record = plan.record
    for i, thing in enumerate(record.things):
        turn = matrices(record.quat[:, i])
        corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * thing.body.extent
        low = (record.position[:, i, None] + np.einsum("tij,pj->tpi", turn, corners))[..., 2].min(1)
        # the corners of a round thing's box may dip into the ground when it turns: up to (sqrt 3 - 1) of its size
        slack = 0 if thing.kind in ("box", "plank", "domino", "wall", "table") else 0.75 * max(thing.body.extent)
        assert low[record.exists[:, i]].min() > -0.08 - slack, (plan.seed, thing)
        assert record.position[record.exists[:, i], i, 2].min() > 0


def _no_overlap_at_first(plan) -> None:
    record = plan.record
    there = np.flatnonzero(record.exists[0])
    for a in there:
        for b in there:
            if a < b and {record.things[a].kind, record.things[b].kind} <= {
                "ball",
                "box",
                "cone",
                "basketball",
            }:
                gap = np.linalg.norm(record.position[0, a] - record.position[0, b])
                least = min(record.things[a].body.extent) + min(record.things[b].body.extent)
                assert gap > 0.93 * least, plan.seed


@pytest.mark.parametrize("event", ["bounced", "missed", "scored", "toppled", "hidden", "covered", "stacked"])
def test_arranged_events_can_be_had(event):
    from reverie.data.scenes import direct, view
    from reverie.data.scenes.stage import Stage

    kind = next(k for k in KINDS if event in REPERTOIRE[k])
    for seed in range(60):
        rng = np.random.default_rng(seed)
        camera = view.first_pose(rng, 128, 128)
        stage = Stage("train", 24.0, camera, float(np.linalg.norm(camera.position)))
        beat = direct._try(stage, rng, 130, kind, event, None, False, 0, False)
        if beat is not None and any(e.kind == event and e.actor == 0 for e in beat.events):
            return
    raise AssertionError(f"{event} never came about")


def test_half_of_test_plans_show_a_held_out_combination():
    shown = 0
    for plan in short_plans("test"):
        things = plan.record.things
        shown += any(
            combination_held_out(things[e.actor].colour, things[e.actor].kind, e.kind)
            for e in plan.events
            if e.actor >= 0
        )
    assert 0.3 < shown / len(short_plans("test")) < 0.8


def test_physics_is_what_it_should_be():
    """A thing in free flight falls at g, and what a dropped event says is when it first touched."""
    seen = 0
    for plan in short_plans():
        record = plan.record
        for e in plan.events:
            if e.kind == "dropped":
                k0, k1 = int(np.ceil(e.start * 24)) + 1, round(e.end * 24)
                speed = record.velocity[k0 : k1 - 1, e.actor, 2]
                assert np.allclose(np.diff(speed) * 24, -9.81, atol=0.15)
                assert any(e.actor in pair for pair in record.contacts[k1])
                assert not any(e.actor in pair for k in range(k0, k1) for pair in record.contacts[k])
                seen += 1
    assert seen >= 3


def test_a_minute_is_never_dead_and_its_actions_make_its_path():
    plan = minute()
    clip = LAB.simulate(plan)
    truth = clip.truth
    assert clip.frames == 1440 and len(truth.beats) >= 8
    speed = np.linalg.norm(truth.velocity, axis=-1).max(1)
    step = np.linalg.norm(np.diff(truth.position, axis=0), axis=-1)
    stays = truth.exists[1:] & truth.exists[:-1]
    moving = np.flatnonzero((speed > 0.15) | np.r_[False, (step * stays).max(1) > 0.005])
    assert np.diff(np.r_[0, moving, 1440]).max() < 8 * 24
    path = clip.cameras["front"]
    again = integrate(clip.actions, path.position[0], path.rotation[0], path.fovy, clip.fps)
    assert np.allclose(again.position, path.position, atol=2e-4)
    assert np.allclose(again.rotation, path.rotation, atol=2e-4)
    assert (path.position[:, 2] > 0.5).all()
    # an index is never used again, and what has left stays away
    for i in range(len(truth.kinds)):
        assert (np.diff(truth.exists[:, i].astype(int)) != 0).sum() <= 2
    jumps = step[stays]
    assert jumps.max() < 12 / 24


def test_bad_arguments():
    for bad in (
        {"seconds": 0},
        {"seconds": float("nan")},
        {"seconds": -3},
        {"seconds": 1e4},
        {"seconds": 2, "fps": 0},
        {"seconds": 2, "split": "all"},
        {"seconds": 2, "size": (100, 128)},
        {"seconds": 2, "size": (0, 32)},
    ):
        with pytest.raises(BadInput):
            LAB.plan(0, **bad)


@needs_gl
@pytest.mark.parametrize(
    "seed,size", [(0, (128, 128)), (8, (128, 224)), (21, (224, 128)), (6, (96, 96)), (2, (256, 256))]
)
def test_drawn_truth_is_consistent(seed, size):
    plan = LAB.plan(seed, 2.0, size=size, fps=12.0)
    clip = LAB.draw(plan)
    truth, path = clip.truth, clip.cameras["front"]
    height, width = size
    frames, boxes = clip.views["front"], truth.boxes["front"]
    visible, masks = truth.visible["front"], truth.masks["front"]
    assert (
        frames.shape == (24, height, width, 3)
        and frames.dtype == np.uint8
        and masks.shape == (24, height, width)
    )
    assert boxes.dtype == visible.dtype == np.float32
    assert 15 < frames.mean() < 240 and frames.std() > 5
    assert (visible >= 0).all() and (visible <= 1).all() and masks.max() <= len(truth.kinds)
    assert np.array_equal(visible > 0, ~np.isnan(boxes[..., 0])) and not visible[~truth.exists].any()
    for t in range(0, 24, 3):
        for i in np.flatnonzero(truth.exists[t]):
            area = masks[t] == i + 1
            assert area.any() == (visible[t, i] > 0)
            if not area.any():
                continue
            rows, cols = np.flatnonzero(area.any(1)), np.flatnonzero(area.any(0))
            x0, y0, x1, y1 = boxes[t, i]
            assert x0 - 1.5 <= cols[0] and cols[-1] + 1 <= x1 + 1.5
            assert y0 - 1.5 <= rows[0] and rows[-1] + 1 <= y1 + 1.5
            pixel, depth = project(
                truth.position[t, i], path.position[t], path.rotation[t], path.fovy, height, width
            )
            if visible[t, i] > 0.99:
                assert abs(cols[0] - x0) < 2 and abs(cols[-1] + 1 - x1) < 2
                assert abs(rows[0] - y0) < 2 and abs(rows[-1] + 1 - y1) < 2
                assert x0 <= pixel[0] <= x1 and y0 <= pixel[1] <= y1 and depth > 0
                assert max(x1 - x0, y1 - y0) >= 12 - 0.5
                assert min(x1 - x0, y1 - y0) >= 12 - 0.5 or truth.kinds[i] not in (
                    "ball",
                    "box",
                    "basketball",
                )


@needs_gl
def test_same_seed_same_frames_and_same_truth_as_things_only():
    plan = LAB.plan(3, 1.5)
    one, two = LAB.draw(plan), LAB.draw(LAB.plan(3, 1.5))
    assert one.views["front"].tobytes() == two.views["front"].tobytes()
    assert one.truth.masks["front"].tobytes() == two.truth.masks["front"].tobytes()
    assert one.truth.position.tobytes() == LAB.simulate(plan).truth.position.tobytes()
    wide = LAB.draw(plan, (64, 128))
    assert wide.views["front"].shape[1:3] == (64, 128)


@needs_gl
def test_an_ending_is_the_end_of_the_whole():
    plan = LAB.plan(11, 3.0, size=(64, 64))
    whole, end = LAB.draw(plan), LAB.draw(LAB.ending(plan, 1.0))
    assert end.frames == 24 and np.array_equal(end.views["front"], whole.views["front"][-24:])
    assert np.array_equal(end.truth.position, whole.truth.position[-24:])
    assert np.array_equal(end.truth.masks["front"], whole.truth.masks["front"][-24:])
    assert end.truth.beats[0] == 0 and all(e.end > 0 and e.start >= 0 for e in end.truth.events)
    assert LAB.draw(LAB.ending(plan, 9.0)).frames == whole.frames


@needs_gl
def test_colours_can_be_told_in_every_setting():
    """The mean colour of a ball's lit pixels is nearest its own name among all names."""
    from reverie.data.scenes import drawing, view
    from reverie.data.scenes.record import Record, Thing

    names = list(COLOURS)
    pose_ = view.first_pose(np.random.default_rng(1), 128, 128)
    for k, setting in enumerate(SETTINGS):
        means = {}
        for five in (names[:5], names[5:]):
            things = [Thing("ball", colour, "medium", "heavy") for colour in five]
            record = Record.empty(things, 24.0, 1)
            record.exists[:] = True
            record.position[0] = [[(j - 2) * 0.85, 0.0, 0.36] for j in range(5)]
            seen = drawing.see(record, look(setting, k), view.still(pose_, 1).path, 128, 128)
            for j, colour in enumerate(five):
                means[colour] = seen.frames[0][seen.masks[0] == j + 1].astype(float).mean(0) / 255
        for a in names:
            for b in names:
                assert a == b or np.abs(means[a] - means[b]).max() > 0.08, (setting, a, b)
