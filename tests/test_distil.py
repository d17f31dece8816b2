"""Self-distillation: what the student is to say, of what it is shown."""

import numpy as np
import pytest
import torch

from reverie.data.make import make
from reverie.data.shards import ClipSet
from reverie.model import things as th
from reverie.model.sampling import Sampling
from reverie.model.transformer import Config, Transformer
from reverie.train import distil
from reverie.train.distil import Distilled
from reverie.train.encode import encode
from reverie.train.windows import Mixture, WindowPlan


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    make("lab", folder, clips=3, seconds=3.0, things_only=True, workers=0, progress=False)
    assert len(ClipSet(folder)) == 3
    from reverie.model.text import TokenVectors

    bank = encode(folder, None, vectors=TokenVectors.load())
    plan = WindowPlan(10, 12, past=0, slots=12, no_text=0.0, things_known=0.0, mirrored=0.0, from_start=0.5)
    return Mixture(bank, plan, plan, 0.0)(0, np.random.default_rng(0))


def network(seed: int = 0) -> Transformer:
    torch.manual_seed(seed)
    model = Transformer(Config(depth=2, channels=4, slots=12))
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model.eval()


def loss(batch, teacher, student, **sampling) -> dict[str, float]:
    torch.manual_seed(1)
    with torch.no_grad():
        told = Distilled(teacher, Sampling(**{"guidance": 1.0, **sampling}))(student, batch)[1]
    return {name: float(value) for name, value in told.items()}


def test_of_one_step_the_teacher_is_its_own_student(batch, monkeypatch):
    """But for what is decided, which goes on being learned from truth."""
    monkeypatch.setattr(distil, "STEPS", 1)
    same, other = loss(batch, network(), network()), loss(batch, network(), network(7))
    assert same["metres"] < 1e-5 < 0.01 < other["metres"] and same["moving_error"] > 0.01


def test_more_steps_lead_elsewhere_and_so_does_guidance(batch):
    assert loss(batch, network(), network())["metres"] > 1e-3
    plain, guided = (loss(batch, network(), network(), guidance=g)["new_metres"] for g in (1.0, 3.0))
    assert guided != plain


def test_the_teacher_learns_nothing(batch):
    teacher, student = network(), network(7)
    told, _ = Distilled(teacher, Sampling(guidance=2.0))(student, batch)
    told.backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert any(p.grad is not None and bool((p.grad != 0).any()) for p in student.things_out.parameters())


def test_what_is_decided_is_as_in_truth_and_who_was_there_stays_who_it_is():
    truth, before = torch.randn(1, 2, 5, th.WIDTH), torch.randn(1, 2, 5, th.WIDTH)
    truth[:, :, :2, 0], before[:, :, 0, 0], before[:, :, 1, 0] = 1.0, 1.0, -1.0
    out = distil._as_in_truth(torch.zeros_like(truth), truth, before)
    assert torch.equal(out[:, :, :3, 0], truth[:, :, :3, 0])
    assert torch.equal(out[:, :, :3, th.DECIDED], truth[:, :, :3, th.DECIDED])
    assert torch.equal(out[:, :, 0, th.STATIC], truth[:, :, 0, th.STATIC])
    assert not out[:, :, 1, th.THING["kind"]].any() and not out[:, :, 0, th.THING["position"]].any()
