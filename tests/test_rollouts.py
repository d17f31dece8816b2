"""Own pasts: what truth does next, from where a model's things have come to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_physics import about, thing

from reverie.data.make import make
from reverie.model import things as th
from reverie.model.sampling import Sampling
from reverie.model.text import TokenVectors
from reverie.model.transformer import Config, Transformer
from reverie.train import rollouts
from reverie.train.encode import Bank, encode, load_bank, save_bank
from reverie.train.transformer import transformer_loss
from reverie.train.windows import Mixture, WindowPlan, draw_windows


def going(kind: str, metres: float, turn: torch.Tensor | None = None) -> torch.Tensor:
    """Four latents (4, 1, WIDTH) of something that goes so far to the right in each."""
    rows = []
    for n in range(4):
        row = thing(kind, (metres * n, 0.0, 0.3), (0.3, 0.3, 0.3), turn)
        path = torch.tensor([[metres * (n + (f + 1) / th.F), 0.0, 0.3] for f in range(th.F)])
        rows.append(th.at_positions(row, path))
        rows[-1][th.THING["velocity"].start] = metres * 6 / th.VELOCITY_SCALE
    return torch.stack(rows)[:, None]


def test_truth_goes_on_from_where_things_have_come_to() -> None:
    true, own = going("box", 0.2), going("box", 0.2, about(2, 20))
    own = th.at_positions(own, th.positions_of(own) + torch.tensor([0.1, 0.2, 0.05]))
    target, agrees = rollouts.going_on(own, true)
    assert agrees.all() and torch.equal(target[0, 0, : th.DECIDED.start], true[0, 0, : th.DECIDED.start])
    step = th.positions_of(target)[1:, 0, -1] - th.positions_of(own)[:-1, 0, -1]
    assert torch.allclose(step, torch.tensor([0.2, 0.0, -0.05]), atol=1e-5)  # how high it is moves no further off
    assert torch.allclose(th.rotations_of(target)[1:, 0], th.rotations_of(own)[1:, 0], atol=1e-5)
    assert torch.equal(target[1:, 0, th.THING["velocity"]], true[1:, 0, th.THING["velocity"]])


@pytest.mark.parametrize(("metres", "off", "agrees"), [(0.2, 0.1, True), (0.2, 0.6, False), (0.0, 0.1, False)])
def test_of_what_is_elsewhere_or_does_another_thing_nothing_is_asked(metres: float, off: float, agrees: bool) -> None:
    own = going("box", metres)
    own = th.at_positions(own, th.positions_of(own) + torch.tensor([off, 0.0, 0.0]))
    assert rollouts.going_on(own, going("box", 0.2))[1][2:].all() == agrees
    gone = own.clone()
    gone[1:] = 0.0
    gone[1:, :, 0] = -1.0
    assert rollouts.going_on(gone, gone)[1].all() and not rollouts.going_on(gone, going("box", 0.2))[1][2:].any()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    folder = tmp_path_factory.mktemp("clips")
    make("lab", folder, clips=4, seconds=3.0, things_only=True, workers=0, progress=False, seed=3)
    return encode(folder, None, vectors=TokenVectors.load())


def test_a_model_makes_the_past_and_windows_show_it(clips: Bank, tmp_path) -> None:
    torch.manual_seed(0)
    model = Transformer(Config(depth=2, channels=8, slots=12)).eval()
    done: list[int] = []
    own = rollouts.own_pasts(model, Sampling(things_steps=1), clips.items, clips.vectors, 8, 5, tell=done.append)
    assert sum(done) == len(own) and {item.key for item in own} <= {item.key for item in clips.items}
    again = rollouts.own_pasts(model, Sampling(things_steps=1), clips.items, clips.vectors, 8, 5)
    save_bank(Bank(own, clips.vectors, clips.digest), tmp_path / "own.npz")
    for item, same, kept in zip(own, again, load_bank(tmp_path / "own.npz").items, strict=True):
        assert np.array_equal(item.own, same.own) and np.array_equal(kept.own, item.own)
        assert kept.own.shape == item.things.shape and kept.agrees.dtype == bool and len(item) >= 8 + rollouts.SEEN
        given = len(item) - 8
        assert item.agrees[: given + 1].all()
        there = item.own[:given, :, 0] > 0
        was, now = (x[:given, :, th.THING["position"]][there] for x in (item.own, item.things))
        assert np.allclose(was, now, atol=2e-2)
    both = Mixture(Bank([*clips.items, *own], clips.vectors, clips.digest), WindowPlan(8, 4, slots=12),
                   WindowPlan(8, 4), 0.0)
    odds = np.diff(both.odds, prepend=0.0)
    assert odds[[item.own is not None for item in both.all]].sum() == pytest.approx(0.5)
    mixture = Mixture(Bank(own, clips.vectors, clips.digest), WindowPlan(8, 4, slots=12), WindowPlan(8, 4), 0.0)
    batch = draw_windows(mixture.all, clips.vectors, mixture.things, np.random.default_rng(0))
    follows = batch["follows"][:, 1:, None, None]
    assert torch.equal(torch.where(follows, batch["own"][:, :-1], 0), torch.where(follows, batch["previous"][:, 1:], 0))
    torch.manual_seed(1)
    loss, _ = transformer_loss(model, batch)
    batch["agrees"] = torch.zeros_like(batch["agrees"])
    assert torch.isfinite(loss) and loss > 0 and float(transformer_loss(model, batch)[0]) == 0.0
