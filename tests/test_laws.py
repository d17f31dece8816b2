"""The laws, both ways: nothing clean is accused, and of each crime the right law says what, to whom and when."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("trackers", reason="an audit links detections with the package trackers")

from seen_world import FPS, FRAMES, SIZE, Thing, before, dropped, seconds, since, staged  # noqa: E402

from reverie.audit.findings import LAWS  # noqa: E402
from reverie.audit.laws import ORDER, RULES, violations  # noqa: E402
from reverie.audit.observer import overlap  # noqa: E402
from reverie.audit.scene import Scene  # noqa: E402
from reverie.audit.tracks import follow  # noqa: E402
from reverie.core.vocabulary import KINDS  # noqa: E402

WHEN = 2.0  # seconds: the time of each crime
SOON = 0.25  # seconds by which a finding's time may be off
EYES = {"sharp": {}, "tired": {"noise": 0.25, "misses": 0.03}}  # how well the things are seen
t, k = seconds(), round(WHEN * FPS)


def panned(pixels: float) -> np.ndarray:
    """Motion.warp (T, 2, 3) of a camera that pans to and fro, by so much."""
    warp = np.tile(np.eye(2, 3), (FRAMES, 1, 1))
    warp[:, 0, 2] = pixels * np.sin(np.linspace(0, 2 * np.pi, FRAMES)) / 2
    return warp


def zoomed(factor: float) -> np.ndarray:
    """The same of one that goes nearer, by so much."""
    warp = np.tile(np.eye(2, 3), (FRAMES, 1, 1))
    scale = np.linspace(1, factor, FRAMES)
    warp[:, :, :2] *= scale[:, None, None]
    warp[:, :, 2] = (1 - scale)[:, None] * np.array([SIZE[1] / 2, SIZE[0] / 2])
    return warp


def held(values: np.ndarray) -> np.ndarray:
    """Values as a video shows them that went through latents of four frames."""
    return np.asarray(values)[np.arange(FRAMES) // 4 * 4]


def behind(x: np.ndarray, edge: float, wide: float = 0.6) -> dict:
    """What is seen of a thing that goes right, as far as an edge (in metres) that hides the rest: of a Thing."""
    left, right = x - wide / 2, np.minimum(x + wide / 2, edge)
    return {"x": (left + right) / 2, "wide": np.maximum(right - left, 0.05), "there": right - left > 0.12}


# -- what is no crime -----------------------------------------------------------------------------------

END_ON = Thing(3.1, -0.1, kind="wall", colour="yellow", wide=0.6, high=1.4)  # a wall, its edge to the left at 2.8 m
lifted = np.minimum(1.0 * since(1.0), 1.5)
CLEAN = {
    "rests": [Thing(2.0), Thing(4.5, kind="box", colour="blue", wide=0.9, high=0.7)],
    "rolls and slows down": [Thing(1.0 + 1.4 * t - 0.17 * t * t)],
    "falls and bounces": [Thing(3.0, dropped(2.2, 0.75), kind="basketball", colour="orange")],
    "falls and stays": [Thing(3.0, dropped(2.2, start=0.5), kind="box", colour="green")],
    "is thrown": [Thing(0.8 + 1.6 * t, np.maximum(1.0 + 3.5 * t - 4.905 * t * t, 0))],
    "is thrown, as latents show it": [Thing(held(0.8 + 1.6 * t), held(np.maximum(1.0 + 3.5 * t - 4.905 * t * t, 0)))],
    "comes to lie on a table": [Thing(3.5, dropped(2.3, 0.4, floor=0.8)),
                                Thing(3.5, kind="table", colour="white", wide=1.6, high=0.8)],
    "rests on a table": [Thing(3.5, 0.8), Thing(3.5, kind="table", colour="white", wide=1.6, high=0.8)],
    "passes behind a wall": [Thing(0.8 + 1.5 * t), Thing(3.7, kind="wall", colour="yellow", wide=1.2, high=1.2,
                                                        nearer=7)],
    "passes before a box": [Thing(0.8 + 1.5 * t, nearer=9), Thing(3.7, kind="box", colour="yellow", wide=0.9,
                                                                 high=0.9)],
    "rolls through a table's legs": [Thing(0.8 + 2.4 * t), Thing(3.7, kind="table", colour="white", wide=1.2,
                                                                high=0.8)],
    "goes down behind a low wall": [
        Thing(3.7, 0.7, kind="box", colour="green", wide=0.5, high=0.9, sunk=np.minimum(1.2 * since(WHEN), 0.9),
              there=since(WHEN) < 0.5),
        Thing(3.7, kind="wall", colour="yellow", wide=1.4, high=0.7, nearer=4)],
    "stays behind a wall": [Thing(np.minimum(0.8 + 1.5 * t, 3.7)), Thing(3.7, kind="wall", colour="yellow", wide=1.4,
                                                                       high=1.2, nearer=7)],
    "leaves the picture": [Thing(3.0 + 1.8 * t)],
    "comes into the picture": [Thing(8.4 - 1.8 * t)],
    "is pushed by another": [Thing(np.where(t < 1.5, 1.2 + 1.4 * t, 3.3 + 0.1 * since(1.5))),
                             Thing(3.9 + 1.1 * since(1.5), kind="box", colour="blue")],
    "bounces off a wall": [Thing(np.where(t < 1.6, 1.2 + 1.8 * t, 4.08 - 1.2 * since(1.6))),
                           Thing(4.75, kind="wall", colour="cyan", wide=0.7, high=1.4)],
    "passes behind a wall seen end on": [Thing(**behind(1.0 + 1.2 * t, 2.8)), END_ON],
    "rises on what rises": [Thing(3.0, 0.6 + lifted), Thing(3.0, lifted, kind="box", colour="blue")],
    "a person walks": [Thing(1.2 + 1.1 * t, kind="person", colour="purple", wide=0.6 + 0.12 * np.sin(9 * t), high=1.7)],
    "a bird flies": [Thing(1.0 + 1.2 * t, 1.6 + 0.2 * np.sin(3 * t), kind="bird", colour="black", wide=0.6 + 0.15 *
                           np.sin(20 * t), high=0.5)],
    "a hoop hangs": [Thing(3.5, 2.2, kind="hoop", colour="orange", wide=0.8, high=0.5)],
    "a pendulum swings": [Thing(3.5 + 0.7 * np.sin(3.5 * t), 0.6 + 0.3 * np.sin(3.5 * t) ** 2, kind="pendulum",
                                colour="red", wide=0.4 + abs(np.sin(3.5 * t)), high=1.5)],
    "comes nearer": [Thing(3.0 * 30 / (30 + 4 * t), metre=30 + 4 * t, nearer=0)],
    "two that look the same": [Thing(2.0), Thing(4.0), Thing(5.2)],
}


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("name", CLEAN)
def test_what_is_no_crime_is_not_accused(name, eye):
    scene = staged(CLEAN[name], **EYES[eye])
    assert len(scene.tracks) == len(CLEAN[name])
    assert violations(scene) == []


@pytest.mark.parametrize("warp", [panned(60), zoomed(1.3)], ids=["pan", "dolly"])
@pytest.mark.parametrize("name", ["rests", "falls and bounces", "rolls and slows down", "is pushed by another"])
def test_a_camera_that_moves_is_no_crime(name, warp):
    metre = 30 * np.sqrt(np.linalg.det(warp[:, :, :2]))
    scene = staged(CLEAN[name], warp=warp)
    for track in scene.tracks:  # an eye that sees the thing nearer says so
        track.depth[:] = track.depth * 30 / metre[track.frames]
    assert violations(scene) == []
    still = scene.paths[1].at
    assert np.ptp(still[:, 0]) < 1.0 or name != "rests"  # freed of the camera's motion


def test_a_cut_is_no_crime():
    first = before(WHEN)
    scene = staged([Thing(2.0, there=first), Thing(4.0, kind="box", colour="blue", wide=1.2, high=1.2, there=~first),
                    Thing(5.5, colour="green", there=first), Thing(1.0, colour="green", there=~first)],
                   cuts=[round(WHEN * FPS)])
    assert len(scene.tracks) == 4 and violations(scene) == []


# -- crimes ---------------------------------------------------------------------------------------------

rolling = 0.8 + 1.2 * t
bouncing = dropped(2.6, 0.9, start=0.3)  # on its way down again at the crime, 1.6 m up
thrown = np.maximum(5.5 * since(1.4) - 4.905 * since(1.4) ** 2, 0)  # up from the ground, at its highest at the crime
flying = 1.2 + 4.5 * (t - 1.2) - 4.905 * (t - 1.2) ** 2  # comes in from the left, on its way down at the crime


def frozen(values: np.ndarray) -> np.ndarray:
    """Values that stay what they are at the crime."""
    return np.where(before(WHEN), values, values[k])


def straight(values: np.ndarray) -> np.ndarray:
    """Values that go on from the crime as they went."""
    return np.where(before(WHEN), values, values[k - 1] + (values[k - 1] - values[k - 2]) * (np.arange(FRAMES) - k + 1))


def changed(old: str, new: str) -> list[str]:
    return [old if first else new for first in before(WHEN)]


sinking = since(WHEN) * 1.2  # metres of it that are in the ground
CRIMES = {  # name -> (law, what, index of the victim, all things)
    "vanishes at rest": ("permanence", "vanished", 0, [Thing(3.0, there=before(WHEN)), Thing(5.5, kind="box",
                                                                                          colour="blue")]),
    "vanishes as it rolls": ("permanence", "vanished", 0, [Thing(rolling, there=before(WHEN))]),
    "vanishes beside a wall": ("permanence", "vanished", 0, [
        Thing(2.5, there=before(WHEN)), Thing(3.6, kind="wall", colour="yellow", wide=1.2, high=1.2, nearer=7)]),
    "vanishes, though it was read twice": ("permanence", "vanished", 0, [
        Thing(3.0, there=before(WHEN)), Thing(3.02, kind="box", confidence=0.35, there=before(WHEN))]),
    "appears as another, unlike it, goes": ("permanence", "appeared", 0, [
        Thing(4.6, kind="cone", there=~before(WHEN)),
        Thing(0.9, kind="cone", wide=0.4, high=1.5, there=before(WHEN - 0.05),
              confidence=np.where(t < 1.4, 0.8, 0.2))]),
    "appears": ("permanence", "appeared", 0, [Thing(3.0, there=~before(WHEN)), Thing(5.5, kind="box", colour="blue")]),
    "splits": ("permanence", "split", 1, [Thing(3.0), Thing(3.85, there=~before(WHEN))]),
    "splits as it rolls": ("permanence", "split", 1, [Thing(rolling), Thing(rolling - 0.8, there=~before(WHEN))]),
    "merges": ("permanence", "merged", 1, [Thing(3.0), Thing(3.85, there=before(WHEN))]),
    "another colour": ("identity", "colour", 0, [Thing(3.0, colour=changed("red", "cyan"))]),
    "another colour as it rolls": ("identity", "colour", 0, [Thing(rolling, colour=changed("yellow", "blue"))]),
    "another kind": ("identity", "kind", 0, [Thing(3.0, kind=changed("cone", "box"))]),
    "another colour as it is set going": ("identity", "colour", 0, [
        Thing(2.0 + 2.0 * since(WHEN - 0.15), colour=changed("red", "cyan"))]),
    "another colour beside what moves with it": ("identity", "colour", 0, [
        Thing(rolling + 0.4, kind="box", colour=changed("red", "cyan")),
        Thing(rolling - 0.1, kind="box", colour="green", high=0.9)]),
    "grows all around itself": ("rigidity", "grew", 0, [Thing(3.0, wide=np.where(before(WHEN), 0.6, 1.7), high=np.where(
        before(WHEN), 0.6, 1.7))]),
    "shrinks within itself": ("rigidity", "shrank", 0, [Thing(3.0, wide=np.where(before(WHEN), 1.7, 0.6), high=np.where(
        before(WHEN), 1.7, 0.6))]),
    "grows": ("rigidity", "grew", 0, [Thing(3.0, wide=np.where(before(WHEN), 0.6, 1.2), high=np.where(
        before(WHEN), 0.6, 1.2))]),
    "shrinks": ("rigidity", "shrank", 0, [Thing(3.0, wide=np.where(before(WHEN), 1.2, 0.6), high=np.where(
        before(WHEN), 1.2, 0.6))]),
    "grows as it rolls": ("rigidity", "grew", 0, [Thing(rolling, wide=np.where(before(WHEN), 0.6, 1.1), high=np.where(
        before(WHEN), 0.6, 1.1))]),
    "jumps": ("continuity", "jumped", 0, [Thing(np.where(before(WHEN), 2.0, 4.0))]),
    "jumps as it rolls": ("continuity", "jumped", 0, [Thing(rolling + np.where(before(WHEN), 0, 1.6))]),
    "jumps a little": ("continuity", "jumped", 0, [Thing(np.where(before(WHEN), 2.0, 2.95))]),
    "stops in the air": ("support", "stopped", 0, [Thing(3.0, frozen(bouncing))]),
    "stops over a table": ("support", "stopped", 0, [
        Thing(3.0, frozen(dropped(2.6, 0.9, start=0.4, floor=0.8))),
        Thing(3.0, kind="table", colour="white", wide=1.6, high=0.8)]),
    "does not fall": ("gravity", "does not fall", 0, [Thing(1.0 + 1.5 * since(1.4), straight(thrown))]),
    "does not fall on its way down": ("gravity", "does not fall", 0, [
        Thing(2.5 * (t - 1.4), np.maximum(straight(flying), 0))]),
    "does not fall, as latents show it": ("gravity", "does not fall", 0, [
        Thing(held(1.0 + 1.5 * since(1.4)), held(straight(thrown)))]),
    "rises beside what rests": ("gravity", "does not fall", 0, [
        Thing(3.0, straight(np.maximum(5.0 * since(1.7) - 4.905 * since(1.7) ** 2, 0))),
        Thing(3.55, kind="box", colour="blue", wide=0.5, high=2.4)]),
    "sinks": ("collision", "sank", 0, [Thing(3.0, kind="box", colour="green", wide=0.9, high=0.9, sunk=np.minimum(
        sinking, 0.9), there=sinking < 0.6)]),
    "sinks beside another": ("collision", "sank", 0, [
        Thing(3.0, kind="box", colour="green", wide=0.9, high=0.9, sunk=np.minimum(sinking, 0.9), there=sinking < 0.6),
        Thing(3.6, colour="pink", nearer=4)]),
    "goes into a wall": ("collision", "entered", 0, [Thing(**behind(2.7 + 1.2 * (t - WHEN), 3.0)), END_ON]),
    "passes through": ("collision", "passed through", 0, [
        Thing(3.0 - 1.2 + 1.5 * (t - WHEN + 0.3)), Thing(3.0, kind="box", colour="blue", wide=0.7, high=0.7)]),
    "gains speed": ("collision", "sped up", 0, [Thing(0.6 + 0.6 * t + 10.0 * since(WHEN))]),
    "moves by itself": ("causality", "moved by itself", 0, [Thing(2.0 + 2.0 * since(WHEN))]),
    "moves by itself, a box": ("causality", "moved by itself", 0, [
        Thing(5.0 - 2.5 * since(WHEN) + 0.6 * since(WHEN) ** 2, kind="box", colour="green"),
        Thing(1.5, colour="blue")]),
    "moves by itself beside what rests": ("causality", "moved by itself", 0, [
        Thing(3.0 - 1.2 * since(WHEN)), Thing(3.75, kind="box", colour="blue")]),
    "moves too early": ("causality", "moved too early", 0, [
        Thing(4.2 + 1.2 * since(WHEN)), Thing(3.0 + 3.0 * (t - WHEN) - 1.8 * since(WHEN + 1 / 3), kind="box",
                                              colour="blue")]),
}


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("name", CRIMES)
def test_each_crime_is_found(name, eye):
    law, what, victim, things = CRIMES[name]
    misses = 0.0 if law == "support" else EYES[eye].get("misses", 0.0)  # see the test after this one
    scene = staged(things, **(EYES[eye] | {"misses": misses}))
    [crime] = violations(scene)
    assert (crime.law, crime.what) == (law, what)
    assert abs(crime.start - WHEN) <= SOON and crime.start <= crime.end <= scene.frames / FPS
    thing, track = things[victim], next(s for s in scene.tracks if s.number == crime.track)
    kinds, colours = ({name} if isinstance(name, str) else set(name) for name in (thing.kind, thing.colour))
    assert track.kind in kinds and track.colour in colours
    assert overlap(np.array([crime.box]), thing.boxes(FRAMES)[k - 6 : k + 16]).max() > 0.6
    assert crime.unit and any(colour in crime.text for colour in colours) and any(kind in crime.text for kind in kinds)
    # only its own law says so, and says it of nothing else
    assert [v.what for v in RULES[law](scene)] == [what] and violations(scene, laws=[law]) == [crime]


def test_a_thing_that_stops_in_the_air_is_found_by_an_eye_that_misses_a_frame():
    scene = staged([Thing(3.0, frozen(bouncing))])
    seen = [found if t not in (k + 9, k + 20) else [] for t, found in enumerate(scene.seen)]
    scene = Scene(follow(seen, FPS, SIZE), seen, FPS, SIZE)
    [crime] = violations(scene)
    assert crime.what == "stopped" and abs(crime.start - WHEN) <= SOON


def test_what_sinks_where_it_lands_sinks_or_vanishes():
    depth, fall = 2.0 * since(WHEN), np.maximum(3.8 - 4.905 * since(WHEN - 0.88) ** 2, 0)
    [crime] = violations(staged([Thing(3.0, fall, kind="box", colour="green", wide=0.9, high=0.9, there=depth < 0.7,
                                       sunk=depth.clip(0, 0.9))]))
    assert (crime.law, crime.what) in (("collision", "sank"), ("permanence", "vanished"))
    assert crime.start == pytest.approx(WHEN, abs=0.5)


def test_what_is_lowered_on_a_box_and_vanishes_before_it_lies_there_has_vanished():
    scene = staged([Thing(3.0, 0.75 + 0.95 * (WHEN - t).clip(0), there=before(WHEN)),
                    Thing(3.0, kind="box", colour="blue", wide=0.65, high=0.7)])
    [crime] = RULES["permanence"](scene)
    assert (crime.what, crime.track) == ("vanished", 1) and abs(crime.start - WHEN) <= SOON


def test_what_becomes_another_thing_of_another_size_does_both():
    size = np.where(before(WHEN), 0.6, 1.0)
    crimes = violations(staged([Thing(3.0, kind=changed("cone", "box"), wide=size, high=size)]))
    assert {(v.law, v.what) for v in crimes} == {("identity", "kind"), ("rigidity", "grew")}
    assert all(abs(v.start - WHEN) <= SOON for v in crimes)


@pytest.mark.parametrize(("sure", "said"), [(0.85, ["identity"]), (0.62, [])])
def test_a_kind_that_surely_comes_is_a_change_though_the_thing_turns_back(sure, said):
    """What it was is told badly, and it bounces at that moment: then what it is now must be told well."""
    scene = staged([Thing(3.0 - 1.5 * np.abs(t - WHEN), kind="cylinder")])
    [track] = scene.tracks
    row, scores = int(np.searchsorted(track.frames, k)), np.zeros((len(track.frames), len(KINDS)), np.float32)
    scores[:row, [KINDS.index("cylinder"), KINDS.index("box")]] = 0.5
    scores[row:, KINDS.index("basketball")], scores[row:, KINDS.index("cone")] = sure, 1 - sure
    scene = Scene([replace(track, kind_scores=scores)], scene.seen, FPS, SIZE, scene.motion)
    assert [v.law for v in violations(scene, laws=["identity"])] == said


def test_two_crimes_are_both_found():
    colours = ["blue" if s < 2.8 else "yellow" for s in t]
    scene = staged([Thing(2.0, there=t < 1.2), Thing(5.0, kind="box", colour=colours)])
    assert [(v.law, v.what, v.track) for v in violations(scene)] == [("permanence", "vanished", 1),
                                                                   ("identity", "colour", 2)]


# -- what can't be judged -------------------------------------------------------------------------------

dwindling = 1 - 0.7 * since(1.2).clip(0, 1)
UNJUDGED = {  # crimes of which there is no good evidence
    "vanishes behind a wall": [Thing(np.minimum(0.8 + 1.5 * t, 3.7), there=t < 2.6), Thing(
        3.7, kind="wall", colour="yellow", wide=1.4, high=1.2, nearer=7)],
    "vanishes at the border": [Thing(0.2, there=before(WHEN))],
    "vanishes in the last frames": [Thing(3.0, there=t < 3.9)],
    "is there in the first frames alone": [Thing(3.0, there=t < 0.2)],
    "flickers once": [Thing(3.0, there=abs(t - WHEN) > 0.06)],
    "comes and goes": [Thing(3.0, there=(t > 1.5) & (t < 2.5))],
    "hangs, but is small": [Thing(3.0, frozen(bouncing), wide=0.35, high=0.35)],
    "is never sure": [Thing(3.0, there=before(WHEN), confidence=0.2)],
    "changes its colour behind a wall": [Thing(0.8 + 1.5 * t, colour=changed("red", "cyan")), Thing(
        3.8, kind="wall", colour="yellow", wide=1.4, high=1.2, nearer=7)],
    "dwindles and is gone": [Thing(3.0, wide=0.9 * dwindling, high=0.9 * dwindling, there=dwindling > 0.35)],
    "goes behind a wall and comes out by a twin": [
        Thing(np.where(t < 2.0, 0.8 + 1.4 * t, 5.1 + 0.02 * t), there=(t < 1.85) | (t > 2.6)), Thing(5.9),
        Thing(3.9, kind="wall", colour="yellow", wide=1.2, high=1.2, nearer=7)],
    "another shade": [Thing(3.0, colour=["red" if n % 3 else "pink" for n in range(FRAMES)])],
}


@pytest.mark.parametrize("name", UNJUDGED)
def test_what_is_no_evidence_is_left_alone(name):
    assert violations(staged(UNJUDGED[name])) == []


def test_nothing_seen_breaks_no_law():
    for frames in (1, 2, FRAMES):
        scene = Scene(follow([[]] * frames, FPS, SIZE), [[]] * frames, FPS, SIZE)
        assert scene.tracks == [] and violations(scene) == []
    for frames in range(1, 12):  # too short for any law
        assert violations(staged([Thing(3.0), Thing(5.0, there=before(0.2, frames))], frames)) == []


def test_every_law_is_tested():
    assert set(RULES) == set(LAWS) == set(ORDER) == {law for law, *_ in CRIMES.values()}
