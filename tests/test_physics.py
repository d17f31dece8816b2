"""What the laws say of things: pendulums swing, what rests lies flat, what nothing holds falls."""

from __future__ import annotations

import math

import pytest
import torch

from reverie.core.vocabulary import KINDS, MATERIALS
from reverie.model import living, physics, resting
from reverie.model import pendulum as pd
from reverie.model import things as th
from reverie.model.solids import solids_of
from reverie.train.bodies import table

FRAME = torch.tensor([1 / 24])


def thing(kind: str, place: tuple[float, float, float], size: tuple[float, float, float],
          turn: torch.Tensor | None = None, moving: float = -1.0) -> torch.Tensor:
    """A still thing's vector, turned by a rotation matrix."""
    row = torch.zeros(th.WIDTH)
    row[0], row[th.THING["kind"].start + KINDS.index(kind)], row[th.THING["moving"]] = 1, th.ONE_HOT, moving
    turn = torch.eye(3) if turn is None else turn
    row[th.THING["rotation"]] = turn[:, :2].T.flatten().repeat(2)
    row[th.THING["extent"]] = (torch.tensor(size) / 0.3).log() / 0.7
    centred = (torch.tensor(place) - torch.tensor(th.POSITION_CENTRE)) / th.POSITION_SCALE
    row[th.THING["position"]] = centred.repeat(th.F)
    return row


def about(axis: int, degrees: float) -> torch.Tensor:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = torch.eye(3)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
    return turn


def test_pendulums_swing_about_their_hinges_in_their_own_time() -> None:
    half, r = 0.61, 0.27
    now = thing("pendulum", (0.5, 0.2, 1.0), (r, r, half), about(2, 30) @ about(1, 8), moving=1.0)[None, None]
    now, free = pd.swung(now, now, torch.zeros(1, 1, dtype=torch.bool), FRAME)
    assert free.all()
    hinge = th.positions_of(now) + th.turns_of(now)[..., 2] * (half - pd.HINGE)
    assert hinge[0, 0, -1, 2] == pytest.approx(2 * half + pd.ABOVE - pd.HINGE, abs=1e-5)
    lean = []
    for _ in range(24):
        now, _ = pd.swung(now, now, torch.zeros(1, 1, dtype=torch.bool), FRAME)
        turn = th.rotations_of(now)[0, 0, -1]
        lean.append(float(turn[:, 2] @ (about(2, 30) @ torch.tensor([1.0, 0, 0]))))
        again = th.positions_of(now)[0, 0, -1] + turn[:, 2] * (half - pd.HINGE)
        assert torch.allclose(again, hinge[0, 0, -1], atol=1e-4) and abs(float(turn[2, 1])) < 1e-5
    crossings = [i + lean[i] / (lean[i] - lean[i + 1]) for i in range(23) if lean[i] * lean[i + 1] < 0]
    bob = 2 * half - r - pd.HINGE
    period = 2 * math.pi * math.sqrt((bob**2 + 0.4 * r**2) / (pd.GRAVITY * bob))
    assert (crossings[2] - crossings[0]) * th.F / 24 == pytest.approx(period, rel=0.02)
    assert max(lean) < 0.14  # sin 8 degrees: nothing is gained


def test_a_pendulum_that_hangs_may_rest_and_goes_as_it_is_told() -> None:
    low = (0.0, 0.0, 0.61 + pd.ABOVE)
    hung = thing("pendulum", low, (0.27, 0.27, 0.61))[None, None]
    ball = thing("ball", (0, 0, 0.3), (0.3, 0.3, 0.3))[None, None]
    assert not pd.swung(hung, hung, torch.zeros(1, 1, dtype=torch.bool), FRAME)[1].any()
    assert torch.equal(pd.swung(ball, ball, torch.zeros(1, 1, dtype=torch.bool), FRAME)[0], ball)
    pushed = hung.clone()
    pushed[..., th.THING["velocity"].start] = 0.5
    gone, free = pd.swung(pushed, hung, torch.ones(1, 1, dtype=torch.bool), FRAME)
    assert free.all() and th.positions_of(gone)[0, 0, -1, 0] > 0.1


def test_a_stand_is_under_the_hinge_and_of_pendulums_only() -> None:
    things = torch.stack([thing("ball", (0, 0, 0.3), (0.3, 0.3, 0.3)),
                          thing("pendulum", (1.0, 0, 0.73), (0.27, 0.27, 0.61), about(2, 90) @ about(1, 20))])[None]
    solids = solids_of(things, table())
    stand = solids.body == 2
    place, size = solids.boxes.place[0, stand], solids.boxes.size[0, stand]
    assert stand.sum() == 3 and float((place - size)[:, 2].min()) == pytest.approx(
        0.73 + (0.61 - pd.HINGE) * math.cos(math.radians(20)) + 0.05 - 2 * 0.61 - 0.18, abs=5e-3)
    assert solids.boxes.turn[0, stand][:, 2, 2] == pytest.approx(1.0)
    assert int(solids_of(things[:, :1], table()).body.max()) == 0


@pytest.mark.parametrize(("kind", "size", "turn", "height"), [
    ("box", (0.3, 0.3, 0.3), about(0, 20), 0.3),
    ("box", (0.2, 0.3, 0.4), about(1, 80), 0.2),
    ("cylinder", (0.3, 0.3, 0.5), about(1, 10), 0.5),
    ("cylinder", (0.3, 0.3, 0.5), about(2, 33) @ about(1, 75), 0.3),
    ("cone", (0.3, 0.3, 0.3), about(0, -10), 0.3),
    ("cone", (0.3, 0.3, 0.3), about(0, 100), 0.3 * 0.3 / math.hypot(0.6, 0.3)),
    ("ball", (0.3, 0.3, 0.3), about(0, 40), 0.3),
])
def test_what_rests_on_the_ground_lies_flat(kind: str, size: tuple, turn: torch.Tensor, height: float) -> None:
    tilted = thing(kind, (0.0, 0.0, 0.0), size, turn)[None, None]
    tilted = thing(kind, (0.0, 0.0, float(resting.depth(tilted)) + 0.02), size, turn)[None, None]
    flat = resting.lying(tilted)
    assert float(th.positions_of(flat)[0, 0, -1, 2]) == pytest.approx(height, abs=1e-4)
    found = th.rotations_of(flat)[0, 0, 0]
    assert torch.allclose(found @ found.T, torch.eye(3), atol=1e-5)
    assert torch.allclose(resting.lying(flat), flat, atol=1e-5)  # and stays so
    turned = torch.linalg.matrix_norm(found @ turn.T - torch.eye(3))
    assert turned < 1.2 and (kind != "ball" or turned < 1e-5)


def test_what_leans_on_another_and_what_hangs_is_left_alone() -> None:
    lean = about(1, 15)
    row = torch.stack([thing("domino", (0.0, 0, 0.5), (0.14, 0.28, 0.5), lean),
                       thing("domino", (0.3, 0, 0.5), (0.14, 0.28, 0.5), lean)])[None]
    found = resting.lying(row)
    assert torch.equal(found[..., th.THING["rotation"]], row[..., th.THING["rotation"]])
    screen = thing("screen", (0.0, 0, 0.62), (0.7, 0.2, 0.6), lean)[None, None]
    assert torch.equal(resting.lying(screen), screen)


def test_what_rests_on_nothing_falls_and_what_rests_stays_exactly() -> None:
    before = torch.stack([thing("box", (0, 0, 2.0), (0.3, 0.3, 0.3)), thing("box", (3, 0, 0.3), (0.3, 0.3, 0.3)),
                          thing("cone", (3, 0, 0.9), (0.3, 0.3, 0.3)), thing("bird", (-3, 0, 2.0), (0.5, 0.6, 0.3))])
    before = before[None]
    moves = torch.zeros(1, 4, 1, dtype=torch.bool)
    after = physics.obeyed(before + 0.01, before, moves, FRAME)
    assert th.positions_of(after)[0, 0, -1, 2] == pytest.approx(2 - 0.5 * 9.81 / 36, abs=1e-4)
    assert torch.equal(after[0, 1:3], before[0, 1:3])
    assert th.positions_of(after)[0, 3, -1, 2] == pytest.approx(2 - living.SETTLES / 6, abs=1e-3)  # birds come down


@pytest.mark.parametrize("holder, size, place, hangs", [
    ("hoop", (0.6, 0.5, 1.1), (0.5, 0.0, 1.1), True),  # beside the post, below the board
    ("table", (0.75, 0.45, 0.36), (0.7, 0.0, 0.36), True), ("table", (0.75, 0.45, 0.36), (0.0, 0.0, 0.36), False),
    ("ramp", (0.88, 0.42, 0.34), (0.7, 0.0, 0.34), True), ("ramp", (0.88, 0.42, 0.34), (-0.7, 0.0, 0.34), False),
    ("wall", (0.78, 0.18, 0.5), (0.0, 0.0, 0.5), False)])
def test_what_is_only_in_the_box_of_something_does_not_hang_there(holder: str, size: tuple, place: tuple,
                                                                  hangs: bool) -> None:
    """A ball at rest at x = 0: in the air within the box of what is hollow, or on it."""
    height = {"hoop": 1.2, "wall": 1.2}.get(holder, 0.92 if not hangs else 0.75)
    ball = thing("ball", (0.0, 0.0, height), (0.2, 0.2, 0.2))
    now = torch.stack([ball, thing(holder, place, size)])[None]
    assert bool(physics.flown(now, now, FRAME)[1][0, 0]) == hangs


def onward(now: torch.Tensor, latents: int, **more: torch.Tensor) -> torch.Tensor:
    """So many latents on of what a network would leave as it is, moving: (latents, N, WIDTH)."""
    made = []
    for _ in range(latents):
        before, now = now, now.clone()
        now = physics.obeyed(now, before, torch.ones(1, now.shape[1], 1, dtype=torch.bool), FRAME, **more)
        made.append(now[0])
    return torch.stack(made)


@pytest.mark.parametrize(("kind", "size", "turn"), [
    ("cone", (0.25, 0.25, 0.3), about(0, 150)), ("box", (0.3, 0.3, 0.3), about(1, 30)),
    ("domino", (0.1, 0.25, 0.4), about(1, 25)), ("cylinder", (0.2, 0.2, 0.4), about(0, 60))])
def test_what_stands_on_an_edge_or_a_tip_tips_over_ever_faster_and_lies(kind: str, size: tuple, turn: torch.Tensor
                                                                        ) -> None:
    tilted = thing(kind, (0.0, 0.0, 0.0), size, turn, moving=1.0)[None, None]
    low = float(resting.depth(tilted))
    made = onward(thing(kind, (0.0, 0.0, low), size, turn, moving=1.0)[None, None], 8)
    tilts = [float(torch.rad2deg(resting._tilt(resting.tipping(each))[0])) for each in made]
    assert all(after <= before + 1e-3 for before, after in zip(tilts, tilts[1:], strict=False)) and tilts[-1] < 1
    foot = th.positions_of(made)[:, 0, -1, 2] - resting.depth(made)[:, 0]
    assert foot.abs().max() < resting.SUNK + 1e-3
    steps = [before - after for before, after in zip(tilts, tilts[1:], strict=False) if after > 1]
    assert steps == sorted(steps)


def test_a_screen_that_may_not_hang_falls() -> None:
    screen = thing("screen", (0.0, 0, 2.6), (0.7, 0.2, 0.6), moving=1.0)[None, None]
    falls, hangs = (onward(screen, 3, lowered=torch.tensor([[may]])) for may in (False, True))
    assert float(th.positions_of(falls)[-1, 0, -1, 2]) == pytest.approx(2.6 - 0.5 * 9.81 / 4, abs=1e-3)
    assert float(th.positions_of(hangs)[-1, 0, -1, 2]) == pytest.approx(2.6, abs=1e-4)


def test_a_ball_that_rolls_does_not_rise_unless_something_lifts_it() -> None:
    before = thing("ball", (0.0, 0, 0.2), (0.2, 0.2, 0.2), moving=1.0)
    before[th.THING["velocity"].start] = 2.0 / th.VELOCITY_SCALE
    for up, speed, beside, height in ((0.05, 0.3, None, 0.2), (-0.01, 0.0, None, 0.2), (0.05, 2.0, None, 0.25),
                                      (0.05, 0.3, "ramp", 0.25)):
        now = before.clone()
        now[th.THING["position"].start + 2 : th.THING["position"].stop : 3] += up / th.POSITION_SCALE
        now[th.THING["velocity"].stop - 1] = speed / th.VELOCITY_SCALE
        others = [] if beside is None else [thing(beside, (0.3, 0, 0.3), (0.8, 0.4, 0.3))]
        made = physics.rolled(torch.stack([now, *others])[None], torch.stack([before, *others])[None],
                              torch.ones(1, 1 + len(others), dtype=torch.bool), FRAME)
        assert float(th.positions_of(made)[0, 0, -1, 2]) == pytest.approx(height, abs=1e-4)


@pytest.mark.parametrize(("kind", "material", "metres"), [
    ("box", "sliding", 1.0 / 0.687 / 2), ("box", "heavy", 0.0), ("ball", "heavy", 3.6), ("person", "sliding", 0.0)])
def test_what_slides_or_rolls_loses_the_speed_that_friction_takes(kind: str, material: str, metres: float) -> None:
    now = thing(kind, (0.0, 0, 0.2), (0.2, 0.2, 0.2), moving=1.0)[None, None]
    now[..., th.THING["velocity"].start] = 1.0 / th.VELOCITY_SCALE
    now[..., th.THING["material"].start + MATERIALS.index(material)] = th.ONE_HOT
    wall = thing("wall", (9.0, 0, 0.5), (0.2, 1, 0.5))[None, None]
    still = now.clone()
    for _ in range(24):  # four seconds, of which the network says that it stays where it is
        now, glides = physics.glided(torch.cat([still, wall], 1), torch.cat([now, wall], 1), FRAME)
        now = now[:, :1]
    place = th.positions_of(now)[0, 0, -1]
    assert place.tolist() == pytest.approx([metres, 0.0, 0.2], abs=0.08) and not glides[0, 1]
    hit = torch.cat([now, thing("wall", (float(place[0]) + 0.42, 0, 0.5), (0.2, 1, 0.5))[None, None]], 1)
    hit[0, 0, th.THING["velocity"].start] = 1.0
    assert not physics.glided(hit, hit, FRAME)[1].any()  # what touches another is the network's


def test_what_is_low_in_the_air_comes_down_and_only_what_may_be_is_lowered() -> None:
    hover = thing("box", (0, 0, 0.45), (0.3, 0.3, 0.3), moving=1.0)[None, None]
    assert float(th.positions_of(onward(hover, 3))[-1, 0, -1, 2]) == pytest.approx(0.3, abs=0.02)
    sinks = thing("box", (0, 0, 2.0), (0.3, 0.3, 0.3), moving=1.0)
    sinks[th.THING["velocity"].stop - 1] = -1.0 / th.VELOCITY_SCALE
    now = sinks[None, None]
    free = [physics.flown(now, now, FRAME, torch.tensor([[may]]))[1].item() for may in (True, False)]
    assert free == [False, True]
    spun = sinks.clone()
    spun[th.THING["rotation"]] = about(0, 40)[:, :2].T.flatten().repeat(2)
    kept, _ = physics.flown(spun[None, None], sinks[None, None], FRAME)
    assert torch.allclose(th.rotations_of(kept), th.rotations_of(sinks[None, None]))  # nor does it turn


def test_nothing_rises_higher_than_its_speed_takes_it() -> None:
    before = thing("ball", (0, 0, 0.3), (0.3, 0.3, 0.3), moving=1.0)[None, None]
    before[..., th.THING["velocity"].start] = 2.0 / th.VELOCITY_SCALE
    after = th.at_positions(before, th.positions_of(before) + torch.tensor([0.1, 0.0, 0.7]))
    after[..., th.THING["velocity"].stop - 1] = 3.0 / th.VELOCITY_SCALE
    spent = physics.spent(after, before)
    assert float(th.positions_of(spent)[0, 0, -1, 2]) == pytest.approx(0.3 + 4 / 19.62 + physics.RISES, abs=1e-3)
    assert float(spent[0, 0, th.THING["velocity"].stop - 1]) == pytest.approx(0.0, abs=1e-3)
    still = before.clone()
    still[..., th.THING["velocity"]] = 0.0
    assert torch.equal(physics.spent(after, still), after)  # what is at rest may be hit


@pytest.mark.parametrize(("kind", "material", "least", "most"), [
    ("box", "heavy", 0.0, 1.5), ("ball", "sliding", 0.0, 1.5), ("box", "bouncy", 2.9, 3.1),
    ("basketball", "heavy", 2.9, 3.1)])
def test_what_falls_rebounds_if_it_is_bouncy(kind, material, least, most) -> None:
    falls = thing(kind, (0, 0, 0.8), (0.3, 0.3, 0.3), moving=1.0)[None, None]
    falls[..., th.THING["material"].start + MATERIALS.index(material)] = th.ONE_HOT
    falls[..., th.THING["velocity"].stop - 1] = -5.0 / th.VELOCITY_SCALE
    lands = th.at_positions(falls, torch.tensor([0.0, 0.0, 0.4]).expand(1, 1, th.F, 3))
    lands[..., th.THING["velocity"].stop - 1] = 3.0 / th.VELOCITY_SCALE
    up = float(physics.spent(lands, falls)[0, 0, th.THING["velocity"].stop - 1]) * th.VELOCITY_SCALE
    assert least < up < most


def test_what_stands_on_a_table_does_not_sink_into_it() -> None:
    table = thing("table", (0, 0, 0.36), (0.75, 0.45, 0.36))
    box = thing("box", (0.2, 0.1, 1.02), (0.3, 0.3, 0.3), moving=1.0)
    before = torch.stack([box, table])[None]
    lower = th.at_positions(before, th.positions_of(before) - torch.tensor([0.0, 0.0, 0.4]) * torch.tensor([1.0, 0.0])[
        None, :, None, None])
    assert float(th.positions_of(resting.not_sunk(lower, before))[0, 0, -1, 2]) == pytest.approx(1.0, abs=0.01)
    aside = th.at_positions(lower, th.positions_of(lower) + torch.tensor([2.0, 0.0, 0.0]) * torch.tensor([1.0, 0.0])[
        None, :, None, None])
    assert torch.equal(resting.not_sunk(aside, before), aside)


def test_what_walks_steps_as_far_as_it_gets_and_faces_where_it_goes() -> None:
    rows = []
    for kind, y in (("person", 0.0), ("ball", 3.0), ("bird", -3.0)):
        row = thing(kind, (0.0, y, 0.75), (0.3, 0.3, 0.75), moving=1.0)
        row[th.THING["velocity"]] = torch.tensor([0.0, -1.2, 0.0]) / th.VELOCITY_SCALE
        row[th.THING["phase"]] = torch.tensor([0.0, 0.0, 1.0, 1.0]) * (kind != "ball")
        rows.append(row)
    before = torch.stack(rows)[None]
    things = before.clone()
    path = th.positions_of(before) + torch.tensor([0.0, -1.2, 0.0]) * torch.arange(1, 5)[:, None] / 24
    things[..., th.THING["position"]] = ((path - torch.tensor(th.POSITION_CENTRE)) / th.POSITION_SCALE).flatten(-2)
    gone = living.walking(things, before, FRAME)
    phase = gone[0, :, th.THING["phase"]].unflatten(-1, (2, 2))
    angles = torch.atan2(phase[:, 0], phase[:, 1])
    assert torch.allclose(angles[0], torch.tensor([0.1, 0.2]) * living.PACES["person"] / 0.75, atol=1e-4)
    assert torch.allclose(angles[2], torch.tensor([2.0, 4.0]) * living.WINGS / 24, atol=1e-4)
    assert torch.allclose(th.rotations_of(gone)[0, 0, :, :, 0], torch.tensor([0.0, -1.0, 0.0]), atol=1e-5)
    assert torch.equal(gone[0, 1], things[0, 1])
    stood = before[:, :1].clone()
    stood[..., th.THING["velocity"]], stood[..., th.THING["phase"]] = 0.0, 0.0
    assert torch.equal(living.walking(stood, stood, FRAME), stood)  # who has not gone anywhere


@pytest.mark.parametrize(("kind", "pace", "kept"), [
    ("dog", 0.9, True), ("bird", 1.1, True), ("dog", 0.5, False), ("box", 0.9, False)])
def test_what_is_alive_keeps_its_pace(kind, pace, kept) -> None:
    before = thing(kind, (0, 0, 0.3), (0.3, 0.3, 0.3), moving=1.0)[None, None]
    before[..., th.THING["velocity"].start] = 1.5 / th.VELOCITY_SCALE
    after = th.at_positions(before, th.positions_of(before) + torch.tensor([pace * 1.5 / 6, 0.0, 0.02]))
    after[..., th.THING["velocity"].start] = pace * 1.5 / th.VELOCITY_SCALE
    gone = living.strolled(after, before, FRAME)
    place, speed = th.positions_of(gone)[0, 0, -1], gone[0, 0, th.THING["velocity"].start] * th.VELOCITY_SCALE
    far = 1.0 if kept else pace
    assert [float(place[0]), float(speed)] == pytest.approx([far * 1.5 / 6, far * 1.5], abs=1e-4)
    assert float(place[2]) == pytest.approx(0.32, abs=1e-4)


@pytest.mark.parametrize(("material", "keeps"), [("bouncy", physics.BOUNCES), ("heavy", 0.0)])
def test_a_ball_that_lands_rebounds_or_stays(material, keeps) -> None:
    ball = thing("ball", (0, 0, 1.3), (0.3,) * 3, moving=1.0)[None, None]
    ball[..., th.THING["material"].start + MATERIALS.index(material)] = th.ONE_HOT
    rate, tops, ends = 1.0, [], []  # m/s upwards
    start = [1.3 + rate * t - th.GRAVITY * t * t / 2 for t in (-3 / 24, -2 / 24, -1 / 24, 0.0)]
    state = th.at_positions(ball, torch.tensor([[0.0, 0.0, z] for z in start]))
    state[..., th.THING["velocity"].stop - 1] = rate / th.VELOCITY_SCALE
    for _ in range(12):
        rests = th.at_positions(state, th.positions_of(state)[:, :, -1:].expand(1, 1, th.F, 3))
        flown, flies = physics.flown(rests, state, FRAME)
        state, lands = physics.rebounded(flown, state, FRAME)
        assert bool((flies | lands).all()) or ends and ends[-1] == 0
        tops += th.positions_of(state)[0, 0, :, 2].tolist()
        ends += [float(state[0, 0, th.THING["velocity"].stop - 1]) * th.VELOCITY_SCALE]
    assert min(tops) == pytest.approx(0.3, abs=0.05) and min(tops) >= 0.3 - 1e-4
    first = next(n for n, top in enumerate(tops) if top < 0.4)
    assert max(tops[first:]) == pytest.approx(0.3 + keeps**2 * (1.0 + rate**2 / 2 / th.GRAVITY), abs=0.03)
    assert keeps or ends[-1] == 0


def test_what_is_beside_another_does_not_rebound_by_this_rule() -> None:
    rows = [thing("ball", (0, 0, 0.8), (0.3,) * 3, moving=1.0), thing("box", (0.5, 0, 0.3), (0.3,) * 3, moving=-1.0)]
    things = torch.stack(rows)[None]
    things[0, 0, th.THING["velocity"].stop - 1] = -4.0 / th.VELOCITY_SCALE
    assert not bool(physics.rebounded(things, things, FRAME)[1].any())


def bird(height: float, speed: float, rise: float = 0.0) -> torch.Tensor:
    row = thing("bird", (0, 0, height), (0.3, 0.3, 0.2), moving=1.0)[None, None]
    row[..., th.THING["velocity"]] = torch.tensor([speed, 0.0, rise]) / th.VELOCITY_SCALE
    return row


def test_a_bird_in_level_flight_does_not_rise_and_one_that_took_off_may() -> None:
    up = torch.tensor([0.3, 0.0, 0.2])
    for rise, gains in ((0.0, 0.0), (1.0, 0.2)):
        before = bird(1.5, 2.0, rise)
        after = th.at_positions(bird(1.5, 2.0, 1.0), th.positions_of(before) + up)
        out, hangs = living.flapping(after, before, torch.ones(1, 1, dtype=torch.bool), FRAME)
        assert float(th.positions_of(out)[0, 0, -1, 2]) == pytest.approx(1.5 + gains, abs=1e-4)
        assert not bool(hangs.any())
    new, _ = living.flapping(bird(1.5, 2.0, 1.0), None, torch.ones(1, 1, dtype=torch.bool), FRAME)
    assert float(new[0, 0, th.THING["velocity"].stop - 1]) <= 0


@pytest.mark.parametrize("moves", [True, False])
def test_a_bird_does_not_hang_in_the_air(moves) -> None:
    state, high = bird(1.5, 1.0), []
    for _ in range(12):
        still = state.clone()
        still[..., th.THING["velocity"]] = 0.0
        state = physics.obeyed(still, state, torch.full((1, 1, 1), moves), FRAME)
        state[..., th.THING["moving"]] = 1.0
        high.append(float(th.positions_of(state)[0, 0, -1, 2]))
    assert high == sorted(high, reverse=True) and high[0] < 1.5 and high[-1] == pytest.approx(0.2, abs=1e-3)
    assert 0.2 < float(th.positions_of(state)[0, 0, -1, 0]) < 1.5  # it went on while it came down


def test_who_gets_slower_and_hardly_goes_stands_and_who_sets_out_goes() -> None:
    for went, goes, stands in ((0.4, 0.3, True), (0.4, 0.5, False), (0.0, 0.3, False), (1.5, 0.5, False)):
        one, two = (thing("dog", (0, 0, 0.3), (0.3,) * 3, moving=1.0)[None, None] for _ in range(2))
        for row, speed in ((one, went), (two, goes)):
            row[..., th.THING["velocity"].start] = speed / th.VELOCITY_SCALE
        assert bool(living.crept(two, one)) is stands


def test_what_is_new_comes_no_faster_than_it_goes() -> None:
    ball = thing("ball", (0, 0, 0.3), (0.3,) * 3, moving=1.0)
    ball[th.THING["velocity"]] = torch.tensor([2.4, 0.0, 0.0]) / th.VELOCITY_SCALE
    wild = th.at_positions(ball, torch.tensor([[-2.0, 1, 0.3], [-0.2, 0, 0.3], [-0.1, 0, 0.3], [0, 0, 0.3]]))
    new = torch.tensor([[True, False]])
    out = physics.coming(torch.stack([wild, wild])[None], new, FRAME)
    path = th.positions_of(out)[0]
    assert torch.equal(out[0, 1], wild) and torch.allclose(path[0, 1:], th.positions_of(wild)[1:], atol=1e-6)
    assert float((path[0, 0] - path[0, 1]).norm()) == pytest.approx(1.3 * 2.4 / 24 + 0.03, abs=1e-4)


def test_what_is_new_spins_on_the_ground_and_not_in_the_air() -> None:
    def spun(height: float) -> float:
        ball = thing("ball", (0, 0, 0.3 + height), (0.3,) * 3, moving=1.0)[None, None]
        ball = th.at_rotations(ball, torch.stack([about(1, 0), about(1, 50)])[None, None])
        first, last = th.rotations_of(physics.coming(ball, torch.ones(1, 1, dtype=torch.bool), FRAME))[0, 0]
        return math.degrees(math.acos(min(1.0, float(((last @ first.T).trace() - 1) / 2))))

    assert spun(0.0) == pytest.approx(50, abs=0.1) and spun(1.0) == pytest.approx(0, abs=0.1)
