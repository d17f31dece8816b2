"""The training loop: resumed = uninterrupted, new starts, interruptions, and its optimiser."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
import torch
from torch import nn

from reverie.core.errors import BadInput, BadWeights, ReverieError
from reverie.train.loop import CHECKPOINT, averaged, fit, read_checkpoint, starting_weights
from reverie.train.optim import Ema, MuonAdamW, orthogonalise, schedule


def small_model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.SiLU(), nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 2))


def batches(step, rng):
    x = torch.from_numpy(rng.normal(size=(32, 6)).astype("float32"))
    return {"x": x, "y": torch.stack([x[:, 0] * x[:, 1], x[:, 2]], 1)}


def noisy_loss(model, batch):
    x = batch["x"] + 0.01 * torch.randn_like(batch["x"])  # noise as training uses it: global generator
    error = (model(x) - batch["y"]).square().mean()
    return error, {"error": error}


QUIET = {"progress": False, "precision": "fp32", "lr": 2e-2, "warm_up": 5, "log_every": 5,
         "adam": ("0.", "4.")}


def logged(out) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("prefetch", [0, 2])
def test_resumed_equals_uninterrupted(tmp_path, prefetch):
    whole = fit(small_model(), batches, noisy_loss, out=tmp_path / "whole", steps=40, prefetch=0, **QUIET)

    def interrupted_at_17(model, batch):
        interrupted_at_17.calls += 1
        if interrupted_at_17.calls == 17:
            os.kill(os.getpid(), signal.SIGTERM)
        return noisy_loss(model, batch)

    interrupted_at_17.calls = 0
    out = tmp_path / "parts"
    first = fit(small_model(), batches, interrupted_at_17, out=out, steps=40, prefetch=prefetch, **QUIET)
    assert not first.finished and first.step == 17 and (out / CHECKPOINT).exists()
    second = fit(small_model(), batches, noisy_loss, out=out, steps=40, prefetch=prefetch, **QUIET)
    assert second.finished and second.step == 40
    assert all(torch.equal(t, second.weights[name]) for name, t in whole.weights.items())
    last = read_checkpoint(tmp_path / "whole" / CHECKPOINT), read_checkpoint(out / CHECKPOINT)
    assert all(torch.equal(t, last[1]["model"][name]) for name, t in last[0]["model"].items())
    steps = [line["step"] for line in logged(out)]
    assert steps == sorted(set(steps)) and steps[-1] == 40
    third = fit(small_model(), batches, noisy_loss, out=out, steps=40, prefetch=prefetch, **QUIET)
    assert third.finished and third.step == 40
    assert all(torch.equal(t, third.weights[name]) for name, t in second.weights.items())


def test_log_lines_after_the_checkpoint_are_forgotten(tmp_path):
    fit(small_model(), batches, noisy_loss, out=tmp_path, steps=10, **QUIET)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 15, "loss": 1.0}\n{"step": 2')  # a run that was killed after its checkpoint
    fit(small_model(), batches, noisy_loss, out=tmp_path, steps=20, **QUIET)
    assert [line["step"] for line in logged(tmp_path)] == [5, 10, 15, 20]
    assert "loss" in logged(tmp_path)[2] and "lr" in logged(tmp_path)[2]


def test_it_learns_and_looks_with_the_averaged_weights(tmp_path):
    seen = []

    def evaluate(model):
        assert not model.training and not torch.is_grad_enabled()
        seen.append({n: t.clone() for n, t in model.state_dict().items()})
        return {"error": float("nan")}

    model = small_model()
    result = fit(model, batches, noisy_loss, out=tmp_path, steps=150, ema=0.95, evaluate=evaluate,
                 sheet=lambda m, path: path.with_suffix(".txt").write_text("looked"), **QUIET)
    lines = logged(tmp_path)
    assert lines[-2]["loss"] < 0.3 * lines[0]["loss"]
    assert lines[-1]["held/error"] is None  # NaN is no JSON
    assert all(torch.equal(t, result.weights[n]) for n, t in seen[-1].items())
    assert all(torch.equal(t, result.weights[n]) for n, t in model.state_dict().items())
    assert (tmp_path / "sheet-0000150.txt").exists()


def test_new_start_from_averaged_weights_without_optimiser_state(tmp_path):
    first = fit(small_model(), batches, noisy_loss, out=tmp_path / "a", steps=60, **QUIET)
    rates = []

    def watched(model, batch):
        if not rates:
            started.update({n: t.clone() for n, t in model.state_dict().items()})
        rates.append(1)
        return noisy_loss(model, batch)

    for source in (tmp_path / "a" / CHECKPOINT, first.weights):
        started: dict = {}
        rates.clear()
        out = tmp_path / ("b" if isinstance(source, dict) else "c")
        again = fit(small_model(), batches, watched, out=out, steps=30, start_from=source,
                    **{**QUIET, "warm_up": 20, "log_every": 1})
        assert all(torch.equal(t, first.weights[n]) for n, t in started.items())
        lines = logged(out)
        assert lines[0]["lr"] < 0.2 * max(line["lr"] for line in lines)  # the warm-up is there again
        assert again.step == 30
    saved = read_checkpoint(tmp_path / "c" / CHECKPOINT)
    assert max(float(s["step"]) for s in saved["optimiser"]["state"].values() if "step" in s) == 30


def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_good_checkpoint(tmp_path):
    def failing(model, batch):
        loss, figures = noisy_loss(model, batch)
        failing.calls += 1
        return loss * (float("nan") if failing.calls == 9 else 1.0), figures

    failing.calls = 0
    with pytest.raises(ReverieError, match="not finite at step 8"):
        fit(small_model(), batches, failing, out=tmp_path, steps=20, checkpoint_every_minutes=0.0, **QUIET)
    saved = read_checkpoint(tmp_path / CHECKPOINT)
    assert saved["step"] == 8 and all(t.isfinite().all() for t in saved["model"].values())


def test_an_error_in_making_batches_comes_out(tmp_path):
    def broken(step, rng):
        if step == 3:
            raise BadWeights("this one")
        return batches(step, rng)

    with pytest.raises(BadWeights, match="this one"):
        fit(small_model(), broken, noisy_loss, out=tmp_path, steps=20, **QUIET)


def test_minutes_are_a_budget_and_the_rate_ends_at_zero(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def slow_loss(model, batch):
        clock[0] += 0.5
        return noisy_loss(model, batch)

    result = fit(small_model(), batches, slow_loss, out=tmp_path, minutes=0.5, **{**QUIET, "log_every": 1})
    assert result.finished and result.elapsed == 30 and result.step == 60
    rates = [line["lr"] for line in logged(tmp_path)]
    assert rates[-1] < 0.01 * max(rates)
    clock[0] += 1000  # time between two commands does not count
    more = fit(small_model(), batches, slow_loss, out=tmp_path, minutes=0.75, **QUIET)
    assert more.step == 90 and more.elapsed == 45


def test_budgets_and_checkpoints_that_make_no_sense(tmp_path):
    for bad in ({}, {"steps": 3, "minutes": 1}, {"steps": 0}, {"minutes": float("nan")}, {"minutes": -1}):
        with pytest.raises(BadInput):
            fit(small_model(), batches, noisy_loss, out=tmp_path, **bad, **QUIET)
    fit(small_model(), batches, noisy_loss, out=tmp_path, steps=2, **QUIET)
    with pytest.raises(BadInput, match="seed"):
        fit(small_model(), batches, noisy_loss, out=tmp_path, steps=4, seed=1, **QUIET)
    with pytest.raises(BadWeights, match="does not fit"):
        fit(nn.Linear(6, 2), batches, noisy_loss, out=tmp_path, steps=4, **QUIET)
    file = tmp_path / CHECKPOINT
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(BadWeights, match="damaged"):
        fit(small_model(), batches, noisy_loss, out=tmp_path, steps=4, **QUIET)
    with pytest.raises(BadWeights, match="no checkpoint"):
        starting_weights(tmp_path / "none.pt")


def test_bf16_autocast_trains(tmp_path):
    fit(small_model(), batches, noisy_loss, out=tmp_path, steps=60, **{**QUIET, "precision": "bf16"})
    lines = logged(tmp_path)
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]
    assert read_checkpoint(tmp_path / CHECKPOINT)["precision"] == "bf16"


def test_muon_reduces_a_toy_loss_and_splits_parameters():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 8, 3, padding=1), nn.SiLU(),
                          nn.Conv2d(8, 3, 1))
    optimiser = MuonAdamW(model.named_parameters(), lr=5e-3, adam=("0.", "4."))
    assert [len(g["params"]) for g in optimiser.param_groups] == [1, 5]
    x = torch.randn(4, 3, 8, 8)
    losses = []
    for _ in range(60):
        loss = (model(x) - x.roll(1, 3)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]


def test_orthogonalise_brings_singular_values_near_one():
    torch.manual_seed(0)
    for shape in ((2, 24, 64), (2, 64, 24)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert values.min() > 0.5 and values.max() < 1.3


def test_schedule():
    assert schedule(0.0, 0, warm_up=10) == pytest.approx(0.1)
    assert schedule(0.0, 10, warm_up=10) == 1.0
    assert schedule(0.5, 999, shape="linear") == pytest.approx(0.5)
    assert schedule(0.7, 999, hold=0.7) == 1.0
    assert schedule(1.0, 999) == pytest.approx(0.0) and schedule(1.2, 999, shape="linear") == 0.0
    with pytest.raises(BadInput):
        schedule(0.5, 1, shape="square")


def test_ema_follows_weights_and_copies_buffers():
    model = nn.BatchNorm1d(2)
    ema = Ema(model, 0.9)
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.running_mean.fill_(5.0)
    for step in range(200):
        ema.update(model, step)
    assert torch.allclose(ema.tensors["weight"], model.weight) and ema.tensors["running_mean"][0] == 5
    with averaged(model.train(), ema), torch.no_grad():
        assert not model.training
        model.weight.zero_()
    assert model.training and model.weight[0] == 3
