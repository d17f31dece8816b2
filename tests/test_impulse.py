"""What is run into is set going, as momentum has it."""

from __future__ import annotations

import pytest
import torch
from test_physics import thing

from reverie.core.vocabulary import MATERIALS
from reverie.model import impulse
from reverie.model import things as th

SECONDS = torch.tensor([1 / 24])


def of(kind: str, x: float, material: str, speed: float = 0.0, size: tuple = (0.3,) * 3, y: float = 0.0
       ) -> torch.Tensor:
    """A thing on the ground, at rest or going along x."""
    row = thing(kind, (x, y, size[2]), size, moving=1.0 if speed else -1.0)
    row[th.THING["material"]] = th.ONE_HOT * torch.eye(3)[MATERIALS.index(material)]
    row[th.THING["velocity"]] = torch.tensor([speed / th.VELOCITY_SCALE, 0.0, 0.0])
    return row


def after(*before: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
    """A latent later, of things that would stay as they are."""
    was = torch.stack(before)[None]
    return impulse.knocked(was.clone(), was, SECONDS, known)[0]


def speed(row: torch.Tensor) -> float:
    return float(row[th.THING["velocity"].start] * th.VELOCITY_SCALE)


def test_things_weigh_what_the_worlds_have_them_weigh() -> None:
    row = torch.stack([of("box", 0, "sliding"), of("ball", 0, "heavy"), of("screen", 0, "bouncy")])[None]
    assert impulse.masses(row)[0].numpy() == pytest.approx([400 * 0.216, 900 * 0.524 * 0.216, 220 * 0.158 * 0.216])


def test_momentum_is_passed_on_in_the_moment_that_is_left() -> None:
    made = after(of("box", -0.8, "sliding", 3.0), of("box", 0.0, "sliding"))  # 0.2 m apart: a fifteenth of a second
    left = 4 / 24 - 0.2 / 3.0
    assert speed(made[1]) == pytest.approx(1.5 - 0.07 * 9.81 * left, abs=1e-3)
    gone = [max(0.0, time - 0.2 / 3) for time in (1 / 24, 2 / 24, 3 / 24, 4 / 24)]
    way = [1.5 * time - 0.07 * 9.81 * time**2 / 2 for time in gone]
    assert th.positions_of(made[1])[:, 0].numpy() == pytest.approx(way, abs=1e-3)
    assert made[1, th.THING["moving"]] == 1
    assert speed(made[0]) == pytest.approx(1.5, abs=1e-4)  # who hit it has lost as much
    assert float(th.positions_of(made[0])[-1, 0]) == pytest.approx(-0.8 + 0.2 + 1.5 * left, abs=1e-3)


def test_what_is_bouncy_rebounds_and_furniture_does_not() -> None:
    ball, screen = (after(of("box", -0.8, "sliding", 3.0), of(kind, 0.0, "bouncy"))[1] for kind in ("ball", "screen"))
    mass = 400 / (400 + 220 * 0.524), 400 / (400 + 220 * 0.158)
    assert speed(ball) == pytest.approx(3 * mass[0] * 1.7, rel=0.01)  # it rolls: nothing slows it
    assert speed(screen) == pytest.approx(3 * mass[1] - 0.6 * 9.81 * (4 / 24 - 0.2 / 3), rel=0.01)
    bouncing = of("ball", -0.8, "bouncy", 3.0), of("wall", 0.0, "bouncy")
    assert torch.equal(after(*bouncing), torch.stack(bouncing))  # at such walls balls are thrown, to bounce


def test_friction_holds_what_is_hit_softly() -> None:
    made = after(of("ball", -0.8, "bouncy", 2.0), of("wall", 0.0, "heavy", size=(0.3, 0.8, 0.8)))
    assert speed(made[1]) == 0 and torch.equal(made[1], of("wall", 0.0, "heavy", size=(0.3, 0.8, 0.8)))


@pytest.mark.parametrize("kind, x, speed, y", [
    ("hoop", -0.8, 3.0, 0.0), ("dog", -0.8, 3.0, 0.0), ("box", -0.8, -3.0, 0.0), ("box", -0.8, 0.4, 0.0),
    ("box", -1.4, 3.0, 0.0), ("box", -0.8, 3.0, 0.7)])
def test_what_is_held_or_not_reached_stays(kind: str, x: float, speed: float, y: float) -> None:
    lies = of(kind, 0.0, "sliding", y=y)
    assert torch.equal(after(of("box", x, "sliding", speed), lies)[1], lies)


def test_what_is_given_or_faster_stays() -> None:
    pair = of("box", -0.8, "sliding", 3.0), of("box", 0.0, "sliding")
    assert torch.equal(after(*pair, known=torch.tensor([[False, True]]))[1], pair[1])
    was = torch.stack(pair)[None]
    runs = torch.stack([pair[0], of("box", 0.1, "sliding", 2.0)])[None]
    assert torch.equal(impulse.knocked(runs, was, SECONDS), runs)
    assert torch.equal(impulse.knocked(was, None, SECONDS), was)


def test_what_is_low_and_fast_does_not_slip_under_a_ball() -> None:
    plank, ball = of("plank", 0.0, "sliding", -2.0, (0.78, 0.27, 0.115)), of("ball", -1.16, "bouncy", size=(0.36,) * 3)
    hit = after(plank, ball)  # a third of a metre on it would lie under it
    assert speed(hit[1]) < -1.5 and -1.2 < speed(hit[0]) < 0
