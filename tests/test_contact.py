"""Things do not stand in one another."""

from __future__ import annotations

import pytest
import torch
from test_physics import about, thing

from reverie.model import contact
from reverie.model import things as th


def test_a_thing_reaches_as_far_as_it_is() -> None:
    ways = torch.tensor([[0.0, 0, -1], [1, 0, 0], [0.6, 0, 0.8]])
    names = ("box", "ball", "cylinder", "cone")
    box, ball, cylinder, cone = (thing(kind, (0, 0, 1), (0.3, 0.3, 0.5)) for kind in names)
    assert torch.allclose(contact.support(box, ways), torch.tensor([0.5, 0.3, 0.18 + 0.4]), atol=1e-4)
    assert torch.allclose(contact.support(ball, ways), torch.tensor([0.3, 0.3, 0.3]), atol=1e-4)
    assert torch.allclose(contact.support(cylinder, ways), torch.tensor([0.5, 0.3, 0.18 + 0.4]), atol=1e-4)
    assert torch.allclose(contact.support(cone, ways), torch.tensor([0.5, 0.3, 0.4]), atol=1e-4)  # its tip


@pytest.mark.parametrize("kind, size, gap", [
    ("ball", (0.2, 0.2, 0.2), 0.4), ("box", (0.2, 0.2, 0.2), 0.4), ("cylinder", (0.2, 0.2, 0.3), 0.4)])
def test_two_overlap_as_deep_as_they_do(kind: str, size: tuple, gap: float) -> None:
    for away in (gap - 0.1, gap + 0.05):
        pair = torch.stack([thing(kind, (0, 0, 1), size), thing(kind, (away, 0, 1), size)])[None]
        deep, way, steep = contact.overlaps(pair)
        assert float(deep[0, 0, 1]) == pytest.approx(max(gap - away, 0), abs=1e-3) and deep[0, 0, 0] == 0
        assert torch.allclose(way[0, 1, 0], torch.tensor([1.0, 0, 0]), atol=1e-3) and not steep[0, 0, 1]
    corner = torch.stack([thing("box", (0, 0, 1), (0.2,) * 3), thing("box", (0.45, 0, 1), (0.2,) * 3, about(2, 45))])
    assert float(contact.overlaps(corner[None])[0][0, 0, 1]) == pytest.approx(0.2 + 0.2 * 2**0.5 - 0.45, abs=1e-3)


def test_a_ramp_is_a_wedge_and_no_box() -> None:
    """Its slope rises along x from the ground to its full height."""
    ramp = thing("ramp", (0, 0, 0.3), (0.8, 0.4, 0.3))
    for height, deep in ((0.3 + 0.2 * (1 + 0.28), 0.0), (0.3, 0.2)):  # on the middle of the slope; within it
        pair = torch.stack([thing("ball", (0, 0, height), (0.2,) * 3), ramp])[None]
        assert float(contact.overlaps(pair)[0][0, 0, 1]) == pytest.approx(deep, abs=0.03)
    free = torch.stack([thing("ball", (-0.7, 0, 0.5), (0.2,) * 3), ramp])[None]  # within its box alone
    assert not contact.overlaps(free)[0].any()
    assert contact.overlaps(torch.stack([ramp, thing("ramp", (0.5, 0, 0.3), (0.8, 0.4, 0.3))])[None])[0].max() > 0.2


def test_who_is_near_to_what_moves_may_be_struck() -> None:
    row = torch.stack([thing("ball", (0, 0, 0.2), (0.2,) * 3, moving=1.0), thing("box", (0.8, 0, 0.2), (0.2,) * 3),
                       thing("box", (2.0, 0, 0.2), (0.2,) * 3)])[None]
    assert contact.struck(row).tolist() == [[True, True, False]]


def test_what_is_new_or_moves_gives_way_and_the_rest_stays() -> None:
    old = thing("wall", (0, 0, 0.5), (0.8, 0.1, 0.5))
    ball = thing("ball", (0, -0.2, 0.2), (0.2,) * 3, moving=1.0)
    ball[th.THING["velocity"]] = torch.tensor([0.5, 1.0, 0.0]) / th.VELOCITY_SCALE
    before = ball.clone()
    before[th.THING["position"]] = thing("ball", (0, -0.4, 0.2), (0.2,) * 3)[th.THING["position"]]
    now, was = torch.stack([old, ball])[None], torch.stack([old, before])[None]
    out = contact.pushed_apart(now, was)
    assert torch.equal(out[0, 0], old)
    path = th.positions_of(out)[0, 1]
    assert torch.allclose(path[:, 1], torch.tensor([-0.225, -0.25, -0.275, -0.3]), atol=1e-3)  # by the latent's end
    speed = out[0, 1, th.THING["velocity"]] * th.VELOCITY_SCALE
    assert torch.allclose(speed, torch.tensor([0.5, 0.0, 0.0]), atol=1e-3)  # along the wall it goes on
    alone = contact.pushed_apart(now, None)  # both are new: scenery stays, nearly
    assert th.positions_of(alone)[0, 1, 0, 1] == pytest.approx(-0.3, abs=0.01)
    assert th.positions_of(alone)[0, 0, 0, 1] == pytest.approx(0.0, abs=0.01)


def test_a_heap_comes_apart_what_lies_above_goes_up_and_what_is_hollow_may_hold() -> None:
    row = torch.stack([thing("domino", (0.05 * i, 0, 0.3), (0.03, 0.1, 0.3)) for i in range(6)])[None]
    assert contact.overlaps(row)[0].max() > 0.005
    assert contact.overlaps(contact.pushed_apart(row, None, rounds=40))[0].max() < 0.03
    tower = torch.stack([thing("box", (0, 0, 0.2), (0.2,) * 3), thing("box", (0.05, 0, 0.55), (0.2,) * 3)])[None]
    out = th.positions_of(contact.pushed_apart(tower, None))[0, :, -1]
    assert torch.allclose(out, torch.tensor([[0, 0, 0.2], [0.05, 0, 0.6]]), atol=1e-3)
    inside = torch.stack([thing("table", (0, 0, 0.4), (0.5, 0.5, 0.4)), thing("ball", (0, 0, 0.2), (0.2,) * 3)])[None]
    assert torch.equal(contact.pushed_apart(inside, None), inside)


@pytest.mark.parametrize("kind, size, x, z, fits", [
    ("ball", (0.18,) * 3, 0.0, 0.18, True), ("box", (0.36,) * 3, 0.1, 0.36, False),
    ("box", (0.2,) * 3, 0.0, 0.65, True), ("plank", (0.6, 0.1, 0.05), 0.2, 0.05, False)])
def test_only_what_is_slim_goes_between_a_chairs_legs(kind: str, size: tuple, x: float, z: float, fits: bool) -> None:
    pair = torch.stack([thing("chair", (0, 0, 0.45), (0.26, 0.26, 0.45)), thing(kind, (x, 0, z), size)])[None]
    assert bool(contact.overlaps(pair)[0].max() == 0) == fits
