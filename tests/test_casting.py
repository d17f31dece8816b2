"""Who plays in a script, line by line, and how the cast has things go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_physics import thing
from tiny_world import tiny_world

from reverie.casting import Casting
from reverie.core.clip import Line
from reverie.core.vocabulary import COLOURS, KINDS, MAX_THINGS
from reverie.evaluate import dreams
from reverie.model import things as th
from reverie.model.cast import CREEPS, LIFTED, WAYS, Cast
from reverie.model.physics import SLIPS


def cast_told(script: Sequence[Line], *among, now: int = 0, **more) -> Cast:
    return Casting(script, *among, **more).at(now)


@pytest.mark.parametrize(("text", "colours"), [
    ("a line of three domino tiles in cyan, red and blue and a white ball", ["cyan", "red", "blue", "white"]),
    ("排成一列的四块红色和黄色的多米诺", ["red", "yellow", "red", "yellow"]),
    ("three red dominoes", ["red", "red", "red"]),
])
def test_of_a_row_in_several_colours_each_has_one(text, colours):
    told = cast_told([Line(0.0, text)]).colour[0]
    assert [list(COLOURS)[number] for number in told[told >= 0].tolist()] == colours


BALL_TWICE = [Line(0.0, "a red ball and a blue box stand there"), Line(4.0, "the red ball rolls to the left"),
              Line(8.0, "then the red ball rolls to the right"),
              Line(12.0, "then the box slides to the left, and it leaves"),
              Line(16.0, "after that a green cone slides in from the right")]


def test_who_does_something_in_several_lines_is_cast_for_each():
    ways = {now: cast_told(BALL_TWICE, now=now) for now in range(5)}
    assert [(cast.cued[0, 0].item(), WAYS[cast.way[0, 0]]) for cast in ways.values()] == [
        (1, "left"), (1, "left"), (2, "right"), (2, "right"), (2, "right")]  # or last, when it is told no more
    assert ways[0].cued[0, 1] == ways[3].cued[0, 1] == 3 and ways[0].pace[0, 1] == 320  # what leaves goes that fast
    assert all((cast.after == -1).all() and cast.due[0, 2] == 4 for cast in ways.values())  # it waits for none before


def test_who_is_due_later_does_not_come_before():
    cast, chance = cast_told(BALL_TWICE), torch.full((1, MAX_THINGS), 0.9)
    met = torch.arange(MAX_THINGS)[None] < 2
    comes = [cast.comes(chance, torch.tensor([line]), met, opening=False)[0, 2].item() for line in (1, 3, 4)]
    assert comes == pytest.approx([0.0, 0.0, 0.9])


def test_a_dream_casts_each_line_and_so_do_many_together(monkeypatch):
    world, heard = tiny_world(sampling={"takes": 1}), []
    alone = world.dream(BALL_TWICE, seed=3, seconds=20.0)
    for alone.n in range(120):
        alone._take_cast()
        assert alone._rollout.cast.cued[0, 0] == cast_told(BALL_TWICE, now=min(alone.n // 24, 4)).cued[0, 0]

    class Heard(Casting):
        def at(self, now):
            heard.append((len(self._script), now))
            return super().at(now)

    monkeypatch.setattr(dreams, "Casting", Heard)
    dreams.dream(world, [BALL_TWICE, BALL_TWICE[:1]], 60, seed=0, with_views=False)
    assert heard == [(5, 0), (1, 0), (5, 1), (5, 2)]


def test_whom_the_network_has_no_slot_for_takes_that_of_who_is_gone():
    script = [Line(0.0, "a red ball and a blue box stand there"), Line(4.0, "the red ball leaves"),
              Line(8.0, "a green cone falls"), Line(12.0, "the green cone slides to the left")]
    casting = Casting(script, seats=2)
    assert {thing.kind: slot for thing, slot in casting.slots.items()} == {"ball": 0, "box": 1}
    assert casting.seat(1, [0]) == [] and casting.seat(2, []) == []  # it is not its turn, and nobody is gone
    assert casting.seat(2, [0]) == [0] and casting.seat(3, [0]) == []
    cast = casting.at(3)
    assert cast.kind[0, 0] == KINDS.index("cone") and cast.due[0, 0] == 2 and WAYS[cast.way[0, 0]] == "left"
    heard = Casting(script[2:], torch.full((MAX_THINGS, th.WIDTH), -1.0), torch.arange(MAX_THINGS) < 2, [5, 6], seats=2)
    assert not heard.slots and heard.seat(5, [0, 1]) == [0] and heard.at(5).due[0, 0] == 5  # told live
    world = tiny_world(sampling={"takes": 1})
    rollout = world.dream(script, seed=1)._rollout
    rollout.things = torch.zeros(1, MAX_THINGS + 2, th.WIDTH)
    rollout.things[0, :, 0], rollout.met = -1.0, torch.arange(MAX_THINGS)[None] < 2
    assert rollout.gone(0) == [0, 1]
    rollout.vacate([1])
    assert rollout.gone(0) == [0] and not rollout.shown.any()


@pytest.mark.parametrize(("text", "goes"), [("a red ball rolls", -1), ("a red ball leaves the picture", 1)])
def test_what_goes_no_told_way_stays_and_what_leaves_goes_out(text, goes):
    before = torch.zeros(1, MAX_THINGS + 2, th.WIDTH)
    before[0, -2, th.CAMERA["rotation"]] = torch.tensor([1.0, 0, 0, 0, -1, 0]).repeat(th.F)
    starts = torch.ones(1, MAX_THINGS, dtype=torch.bool)
    for side in (-1.5, 1.5):
        before[:, :, th.THING["position"].start : th.THING["position"].stop : 3] = side / th.POSITION_SCALE
        for chance in (0.1, 0.9):
            gone = cast_told([Line(0.0, text)]).kicked(before[:, :-2], before, starts, torch.tensor([0]),
                                                       torch.tensor([1 / 24]), torch.full((1, MAX_THINGS), chance), 1.0)
            assert gone[0, 0, th.THING["velocity"].start] * side * goes > 0


@pytest.mark.parametrize(("later", "stays"), [("nothing moves", 0), ("the red box leaves the picture", 1)])
def test_who_acts_again_later_is_not_sent_out_of_the_picture(later, stays):
    cast = cast_told([Line(0.0, "a red box slides to the right"), Line(5.0, later)])
    before = torch.zeros(1, th.TOKENS, th.WIDTH)
    before[0, th.CAMERA_TOKEN, th.CAMERA["rotation"]] = torch.tensor([1.0, 0, 0, 0, -1, 0]).repeat(th.F)
    things = th.at_positions(before[:, :MAX_THINGS], torch.tensor([3.5, 6.0, 0.3]).expand(1, MAX_THINGS, th.F, 3))
    before[:, :MAX_THINGS] = things
    eye = th.cameras_of(before[:, None, th.CAMERA_TOKEN]).position[0, 0, 0]
    edge = (6.0 - float(eye[1])) * np.tan(np.radians(20))
    gone = cast.kicked(things, before, torch.ones(1, MAX_THINGS, dtype=torch.bool), torch.tensor([0]),
                       torch.tensor([1 / 24]), torch.full((1, MAX_THINGS), 0.5), 1.0)
    speed = float(gone[0, 0, th.THING["velocity"].start]) * th.VELOCITY_SCALE
    assert (3.5 + speed**2 / (2 * SLIPS) < edge) == bool(stays) and speed > CREEPS - 1e-3


def test_who_rolls_in_and_acts_again_stops_in_the_picture_too():
    camera = torch.zeros(1, th.WIDTH)
    camera[0, th.CAMERA["rotation"]] = torch.tensor([1.0, 0, 0, 0, -1, 0]).repeat(th.F)
    comes = thing("box", (-4.0, 6.0, 0.3), (0.3,) * 3, moving=1.0).expand(1, MAX_THINGS, -1).clone()
    comes[..., th.THING["velocity"].start] = 4.0 / th.VELOCITY_SCALE
    new = torch.ones(1, MAX_THINGS, dtype=torch.bool)
    for later, most in (("the red box slides to the left", 3.2), ("a cone jumps", 4.0)):
        cast = cast_told([Line(0.0, "a cone"), Line(3.0, "a red box enters and slides to the right"), Line(6.0, later)],
                         now=1)
        box = int((cast.kind[0] == KINDS.index("box")).nonzero())
        pace = cast.held_back(comes, camera, new, 1.0)[0, box, th.THING["velocity"].start] * th.VELOCITY_SCALE
        assert most - 0.3 < float(pace) <= most + 1e-4


def test_nobody_waits_for_who_is_gone():
    cast = cast_told([Line(0.0, "first a red ball rolls, then a blue box slides")])
    line, still = torch.tensor([0]), torch.ones(1, MAX_THINGS, dtype=torch.bool)
    chance, gone = torch.zeros(1, MAX_THINGS), torch.zeros(1, MAX_THINGS, dtype=torch.bool)
    gone[0, 0] = True
    assert cast.acts(chance, line, still, opening=False)[0, 1] == 0
    assert cast.acted(gone, ~gone, line).acts(chance, line, still, opening=False)[0, 1] > 0


def test_who_acts_again_later_is_thrown_up_as_high():
    before = torch.zeros(1, th.TOKENS, th.WIDTH)
    before[0, th.CAMERA_TOKEN, th.CAMERA["rotation"]] = torch.tensor([1.0, 0, 0, 0, -1, 0]).repeat(th.F)
    things, rises = th.at_positions(before[:, :MAX_THINGS], torch.tensor([3.5, 6.0, 0.3]).expand(1, 16, th.F, 3)), []
    before[:, :MAX_THINGS] = things
    for later in ("nothing moves", "the red box slides to the left"):
        cast = cast_told([Line(0.0, "a red box hops up over and over"), Line(5.0, later)])
        gone = cast.kicked(things, before, torch.ones(1, MAX_THINGS, dtype=torch.bool), torch.tensor([0]),
                           torch.tensor([1 / 24]), torch.full((1, MAX_THINGS), 0.5), 1.0)
        rises.append(float(gone[0, 0, th.THING["velocity"].stop - 1]))
    assert rises[0] == rises[1] > 0


@pytest.mark.parametrize(("text", "hops"), [
    ("a red ball hops up over and over", 2), ("a red ball is launched upwards", -1), ("红球反复跳起", 2),
    ("a red ball jumps up again and again", 2)])
def test_who_is_thrown_up_again_and_again_is_so_while_the_line_lasts(text, hops):
    cast = cast_told([Line(0.0, text), Line(6.5, "a box falls")])
    assert int(cast.hops[0, 0]) == hops
    if hops < 0:
        return
    line, there = torch.tensor([0]), torch.zeros(1, MAX_THINGS, dtype=torch.bool)
    there[0, 0] = True
    for left in (1, 0):
        flies = cast.acted(there, ~there, line)
        assert int(flies.cued[0, 0]) == -1  # no other throw while it flies
        cast = flies.acted(~there, there, line)
        assert (int(cast.cued[0, 0]), int(cast.hops[0, 0])) == (0, left)
    last = cast.acted(there, ~there, line).acted(~there, there, line)
    assert int(last.cued[0, 0]) == -1


def test_a_screen_comes_down_stands_and_rises_evenly_until_it_is_gone():
    cast = cast_told([Line(0.0, "a red screen covers a green ball")])
    screen = int((cast.kind[0] == KINDS.index("screen")).nonzero())
    cast = replace(cast, stands=torch.full_like(cast.stands, -1))  # it is lifted when the network says so
    ball = thing("ball", (0.4, 0.5, 0.2), (0.2,) * 3)
    now = torch.stack([ball] * MAX_THINGS)[None]
    now[0, screen] = thing("screen", (0.0, 0.0, 3.0), (0.7, 0.1, 0.6), moving=1.0)
    up, feet = th.THING["velocity"].stop - 1, []
    now[0, screen, up] = -2.0 / th.VELOCITY_SCALE
    for n in range(24):  # the network leaves it where it is, but that once it would lift it a little
        said = th.at_positions(now, th.positions_of(now) + 0.03) if n == 12 else now
        now, goes = cast.hung(said, now, torch.tensor([1 / 24]))
        feet.append(float(th.positions_of(now)[0, screen, -1, 2]) - 0.6)
        assert bool(goes[0, screen]) == (n < 8 or n >= 12)
    steps = np.diff(feet)
    assert feet[7:12] == pytest.approx([0.0] * 5, abs=1e-5)
    assert steps[:6] == pytest.approx([-2.0 / 6] * 6, abs=1e-4)
    assert steps[11:] == pytest.approx([LIFTED / 6] * 12, abs=1e-4)


@pytest.mark.parametrize(("later", "lifted"), [
    ([], 0), ([Line(5.0, "the ball jumps as the camera rises")], 0), ([Line(5.0, "the screen rises")], 1),
    ([Line(5.0, "the screen stays as the camera rises")], 0), ([Line(5.0, "幕布升起")], 1),
    ([Line(5.0, "a blue screen covers the green ball and rises again")], 0)])
def test_a_screen_stands_as_long_as_truths_and_is_lifted_then_or_when_a_later_line_says_so(later, lifted):
    script, frame = [Line(0.0, "a red screen covers a green ball"), *later], torch.tensor([1 / 24])
    cast = cast_told(script)
    screen = int((cast.kind[0] == KINDS.index("screen")).nonzero()[0])
    now = torch.stack([thing("ball", (0.4, 0.5, 0.2), (0.2,) * 3)] * MAX_THINGS)[None]
    now[0, screen] = thing("screen", (0.0, 0.0, 0.6), (0.7, 0.1, 0.6))
    for line in range(2):  # the network leaves it where it is, and wishes it up at once
        cast, stood = cast_told(script, now=line), 0
        wished = th.at_positions(now, th.positions_of(now) + torch.tensor([0.0, 0.0, 0.1]))
        wished[0, screen, th.THING["moving"].start] = 1.0
        while stood < 60 and not bool(cast.hung(now if stood % 2 else wished, now, frame)[1][0, screen]):
            cast, stood = cast.stood(torch.ones(1, MAX_THINGS, dtype=torch.bool), frame), stood + 1
        assert stood == (7 if line >= lifted else 60)
