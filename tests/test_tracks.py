"""Tracks: what is one thing is one track, over gaps and apart at cuts; why each begins and ends."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from seen_world import FPS, FRAMES, SIZE, Thing, before, detection, dropped, seconds, see, since

from reverie.audit.tracks import ahead, alike, at_border, covers, follow, merged
from reverie.core.errors import ReverieError

t = seconds()


@pytest.fixture(autouse=True, scope="module")
def trackers():
    return pytest.importorskip("trackers", reason="an audit links detections with the package trackers")


def followed(*things: Thing, cuts=(), frames: int = FRAMES, **eye):
    return follow(see(things, frames, **eye), FPS, SIZE, cuts)


# -- linking --------------------------------------------------------------------------------------------


def test_each_thing_is_one_track_with_all_that_was_seen_of_it():
    things = [Thing(1.0 + 1.2 * t), Thing(6.0 - 1.2 * t, kind="box", colour="blue", nearer=12), Thing(
        3.5, dropped(2.4, 0.8), kind="basketball", colour="orange", wide=0.5, high=0.5, nearer=-12)]
    tracks = followed(*things, noise=0.2)
    assert [track.number for track in tracks] == [1, 2, 3]
    assert sorted(track.name for track in tracks) == ["blue box", "orange basketball", "red ball"]
    for track in tracks:
        thing = next(thing for thing in things if thing.kind == track.kind)
        n = len(track.frames)
        assert n > 0.9 * FRAMES and (np.diff(track.frames) > 0).all() and track.first < 3 and track.last == FRAMES - 1
        shapes = [getattr(track, name).shape[0] for name in ("boxes", "confidence", "visible", "depth", "lift",
                                                             "kind_scores", "colour_scores", "looks")]
        assert shapes == [n] * len(shapes)
        assert np.abs(track.boxes - thing.boxes(FRAMES)[track.frames]).max() < 2
        assert track.depth == pytest.approx(0.5 * SIZE[0] / np.tan(np.radians(20)) / 30, rel=1e-3)
        assert np.allclose(track.lift, np.broadcast_to(thing.lift, FRAMES)[track.frames], atol=0.1)
        assert (track.began, track.ended) == ("clip", "clip")
        assert np.allclose(track.sides, track.boxes[:, 2:] - track.boxes[:, :2])


def test_a_track_is_named_by_most_of_what_it_was_seen_as():
    [track] = followed(Thing(3.0, kind=["box" if n % 4 == 0 else "cone" for n in range(FRAMES)],
                             colour=["pink" if n % 5 == 0 else "red" for n in range(FRAMES)]))
    assert track.name == "red cone"


def test_fast_small_things_stay_one():
    [track] = followed(Thing(3.0, dropped(3.0, 0.9), wide=0.3, high=0.3))  # 10 pixels a frame, 9 wide
    assert len(track.frames) > 0.9 * FRAMES


def test_two_that_meet_stay_two():
    left, right = followed(Thing(1.0 + 1.5 * t), Thing(7.0 - 1.5 * t, kind="box", colour="green", nearer=7))
    assert {left.kind, right.kind} == {"ball", "box"}
    for track in (left, right):
        way = np.diff(track.centres[:, 0])
        assert np.abs(way.mean()) == pytest.approx(1.5 * 30 / FPS, rel=0.1)
        assert (way > 0).mean() > 0.95 or (way < 0).mean() > 0.95


# -- gaps, flickers, cuts, parts --------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0.1, 0.4, 0.9])
def test_pieces_of_one_thing_are_joined(gap):
    [track] = followed(Thing(1.0 + 1.0 * t, there=abs(t - 2.0) > gap / 2))
    assert track.first < 3 and track.last == FRAMES - 1 and len(track.frames) < FRAMES - 0.6 * gap * FPS
    assert (track.began, track.ended) == ("clip", "clip")


def test_what_passes_behind_a_wall_is_one_thing_that_was_hidden():
    wall = Thing(3.7, kind="wall", colour="yellow", wide=1.2, high=1.2, nearer=7)
    tracks = followed(Thing(0.8 + 1.5 * t), wall)
    assert len(tracks) == 2
    ball = next(track for track in tracks if track.kind == "ball")
    assert np.diff(ball.frames).max() > 3 and ball.last > 85 and ball.ended != "sight"
    assert np.nanmin(ball.visible) < 0.6


def test_other_things_are_not_joined():
    for other in (Thing(3.0, kind="box", colour="blue", there=t > 2.5), Thing(6.0, there=t > 2.5),
                  Thing(3.0, wide=1.5, high=1.5, there=t > 2.5)):
        assert len(followed(Thing(3.0, there=t < 2.0), other)) == 2  # of other looks, elsewhere, much larger
    assert len(followed(Thing(3.0, there=t < 1.0), Thing(3.0, there=t > 3.0))) == 2  # after too long


def test_flickers_are_dropped():
    thing = Thing(3.0, kind="box", colour="blue")
    assert len(followed(thing, Thing(5.5, there=abs(t - 2) < 0.05))) == 1
    assert len(followed(thing, Thing(5.5, confidence=0.2))) == 1  # never sure enough to begin one
    assert len(followed(thing, Thing(5.5, there=abs(t - 2) < 0.5))) == 2
    assert followed(Thing(5.5, there=abs(t - 2) < 0.05)) == []


def test_a_cut_ends_every_track():
    cut = 48
    tracks = followed(Thing(3.0), Thing(5.5, kind="box", colour="blue"), cuts=[cut])
    assert len(tracks) == 4
    for track in tracks:
        assert track.last < cut or track.first >= cut
        assert (track.began, track.ended) == ("clip", "clip")
    assert len(followed(Thing(3.0), cuts=[32, 64])) == 3


def test_a_pendulums_bob_is_no_thing_of_its_own():
    swing = 0.6 * np.sin(3.0 * t)
    pendulum = Thing(3.5 + swing / 2, 0.5, kind="pendulum", colour="green", wide=0.5 + abs(swing), high=1.5)
    bob = Thing(3.5 + 0.8 * swing, 0.55, kind="ball", colour="green", wide=0.35, high=0.35)
    [track] = followed(pendulum, bob)
    assert track.kind == "pendulum"
    assert len(followed(pendulum, replace(bob, colour="white"))) == 2  # another thing before it
    assert len(followed(replace(pendulum, kind="wall"), bob)) == 2


def test_a_thing_seen_twice_is_one():
    assert len(followed(Thing(3.0), Thing(3.02, kind="basketball", wide=0.58, high=0.62, there=t < 3.5))) == 1


def test_a_thing_seen_twice_for_as_long_is_one():
    assert len(followed(Thing(3.0), Thing(3.02, kind="basketball", wide=0.58, high=0.62))) == 1


def test_what_is_read_again_faintly_is_no_thing_of_its_own():
    one, again = Thing(3.0, there=t < 2), Thing(3.02, kind="dog", wide=0.64, confidence=0.42)
    assert [track.kind for track in followed(one, replace(again, there=t < 2.0))] == ["ball"]
    assert len(followed(one, replace(again, colour="blue"))) == 2


def test_a_track_does_not_go_on_with_another_thing():
    wall, ball = Thing(3.0, kind="wall", colour="green", wide=1.2, high=1.2, there=t < 2), Thing(3.3, there=t >= 2)
    assert [track.name for track in followed(wall, ball)] == ["green wall", "red ball"]
    assert len(followed(wall, replace(ball, colour="green"))) == 1  # what keeps its colour became another kind


# -- why it begins and ends -------------------------------------------------------------------------------


def reasons(*things: Thing, kind: str = "ball", **eye) -> tuple[str, str]:
    track = next(track for track in followed(*things, **eye) if track.kind == kind)
    return track.began, track.ended


def test_why_tracks_begin_and_end():
    wall = Thing(3.7, kind="wall", colour="yellow", wide=1.4, high=1.2, nearer=7)
    assert reasons(Thing(3.0)) == ("clip", "clip")
    assert reasons(Thing(3.0 + 2.0 * t)) == ("clip", "border")
    assert reasons(Thing(8.4 - 2.0 * t)) == ("border", "clip")
    assert reasons(Thing(3.0, there=before(2.0))) == ("clip", "sight")
    assert reasons(Thing(3.0, there=~before(2.0))) == ("sight", "clip")
    assert reasons(Thing(3.0, there=abs(t - 2.0) < 0.6)) == ("sight", "sight")
    assert reasons(Thing(np.minimum(0.8 + 1.5 * t, 3.7)), wall) == ("clip", "hidden")
    assert reasons(Thing(3.7 + 1.5 * since(2.0)), wall) == ("hidden", "clip")
    assert reasons(Thing(2.2, there=before(2.0)), wall) == ("clip", "sight")  # beside it
    assert reasons(Thing(3.0, 4.0 - 4.905 * since(1.0) ** 2, there=t < 1.8)) == ("border", "sight")


def test_what_stands_behind_a_thing_does_not_hide_it():
    wall = Thing(3.5, kind="wall", colour="yellow", wide=2.0, high=1.4, nearer=-5)
    assert reasons(Thing(3.5, there=before(2.0), nearer=5), wall) == ("clip", "sight")


def test_a_thing_does_not_hide_behind_one_like_itself():
    assert reasons(Thing(3.0, there=before(2.0)), Thing(3.45, nearer=-1)) == ("clip", "sight")


# -- the pieces ---------------------------------------------------------------------------------------------


def test_helpers_of_boxes():
    assert at_border(np.array([0, 40, 20, 60.0]), (128, 128)) and at_border(np.array([50, 100, 70, 127.5]), (128, 128))
    assert not at_border(np.array([10, 10, 118, 118.0]), (128, 128))
    [track] = followed(Thing(1.0 + 1.2 * t))
    step = 1.2 * 30 / FPS
    assert ahead(track, 4)[0] - track.boxes[-1][0] == pytest.approx(4 * step, rel=0.05)
    assert ahead(track, 4, forward=False)[0] - track.boxes[0][0] == pytest.approx(-4 * step, rel=0.05)


def test_alike_covered_and_merged():
    [ball] = followed(Thing(3.0, there=t < 1.5))
    [later] = followed(Thing(3.0, there=t > 2.0))
    [blue] = followed(Thing(3.0, colour="blue", kind="box"))
    assert alike(ball, later) and not alike(ball, blue)
    both = merged(ball, later)
    assert len(both.frames) == len(ball.frames) + len(later.frames) and (np.diff(both.frames) > 0).all()
    assert both.first == ball.first and both.last == later.last and len(merged(ball, ball).frames) == len(ball.frames)
    [wall] = followed(Thing(3.0, kind="wall", colour="yellow", wide=1.5, high=1.5, there=t > 1.4))
    assert covers(wall, ball, ball.last, [ball.boxes[-1]])
    assert not covers(wall, ball, ball.last, [ball.boxes[-1] + 60])


def test_a_frame_of_many_faint_things_is_no_trouble():
    rng = np.random.default_rng(0)
    seen = see([Thing(3.0)])
    for found in seen:
        for _ in range(12):
            x, y = rng.uniform(5, 180), rng.uniform(5, 100)
            found.append(detection("box", "white", (x, y, x + 15, y + 15), float(rng.uniform(0.1, 0.25))))
    tracks = follow(seen, FPS, SIZE)
    assert [track.name for track in tracks] == ["red ball"] and len(tracks[0].frames) > 0.9 * FRAMES


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackers", None)
    with pytest.raises(ReverieError, match=r'package trackers: pip install "reverie\[audit\]"'):
        followed(Thing(3.0))
