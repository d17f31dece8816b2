"""The training loop, the same for every model: steps, log, checkpoints, and the way back from them.

A run is a pure function of its seed: batch and noise of step n depend on (seed, n) alone, so a run that
was stopped and resumed makes the same weights as one that was not. The same command resumes: what lies
in the output folder is taken up where it was left.

    out/checkpoint.pt   weights, averaged weights, optimiser, step, elapsed seconds
    out/log.jsonl       one JSON object per line: step, elapsed, loss, figures
    out/events.*        the same for tensorboard, where that is installed
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from reverie.core.errors import BadInput, BadWeights, CannotWrite, ReverieError
from reverie.core.runtime import bf16_pays
from reverie.model.checkpoint import load_into, load_model
from reverie.train.optim import Ema, MuonAdamW, schedule
from reverie.train.progress import Reporter

CHECKPOINT = "checkpoint.pt"
AGAIN = 0.5  # of a learning rate, for trained weights: at all of it 80 steps undo what 1,000 make good again
Batch = dict[str, Tensor]


@dataclass
class FitResult:
    """How a run ended: finished is False when it was interrupted (the same command goes on with it).

    weights: the averaged ones, which are the model; scores: what ``evaluate`` said of them last.
    """

    step: int
    elapsed: float
    finished: bool
    weights: dict[str, Tensor]
    scores: dict[str, float] = field(default_factory=dict)


def fit(model: nn.Module, batches: Callable[[int, np.random.Generator], Batch],
        loss_fn: Callable[[nn.Module, Batch], tuple[Tensor, dict]], *, out: str | Path,
        minutes: float | None = None, steps: int | None = None, lr: float = 2e-3,
        adam_lr: float | None = None, adam: Sequence[str] = (), weight_decay: float = 0.01,
        warm_up: int = 100, hold: float = 0.0, shape: str = "cosine",
        clip: float = 1.0, ema: float = 0.999, seed: int = 0, precision: str = "auto",
        prefetch: int = 2, log_every: int = 20, checkpoint_every_minutes: float = 3.0,
        look_every_minutes: float = 10.0, sheet: Callable[[nn.Module, Path], None] | None = None,
        evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
        start_from: str | Path | dict[str, Tensor] | None = None, progress: bool = True) -> FitResult:
    """Train ``model`` (on the device where it is) for so many minutes, or exactly so many steps.

    batches(step, rng): a dict of tensors, a pure function of its arguments (rng is made of seed and
    step); it runs in a thread, ``prefetch`` batches ahead (0: inline), and must leave torch's global
    random state alone. loss_fn(model, batch): loss and figures for the log; its noise may come from
    torch's global generator, which is seeded anew for every step.

    lr, adam_lr, adam, weight_decay: see MuonAdamW; warm_up, hold, shape: see schedule. clip: greatest
    gradient norm. ema: decay of the averaged weights. precision: "fp32", "bf16" (autocast) or "auto",
    bf16 where this machine is faster with it. sheet(model, file without suffix) and evaluate(model) are
    called with the averaged weights in evaluation mode every ``look_every_minutes`` and at the end.
    start_from: a checkpoint.pt (its averaged weights), a model file or a dict of tensors: begins anew
    from these weights, without optimiser state and with the warm-up. Where ``out`` holds a checkpoint
    already, that is resumed and start_from has had its say.

    On SIGTERM or Ctrl-C the step under way is finished, a checkpoint written and the result returned
    with finished False. ``model`` ends with the averaged weights in it. Raises BadInput for a budget
    that makes no sense, BadWeights for a checkpoint of another model, CannotWrite, and ReverieError
    when the loss is no longer finite.
    """
    run = _Run(model, Path(out), minutes, steps, seed)
    device = run.device
    run.prepare(start_from, ema)
    precision = run.precision = run.precision or _chosen_precision(precision, device)
    half = precision == "bf16"
    optimiser = MuonAdamW(model.named_parameters(), lr=lr, adam_lr=adam_lr, adam=adam,
                          weight_decay=weight_decay, ns_dtype=torch.bfloat16 if half else torch.float32)
    run.take_up(optimiser)
    report = Reporter(run.out, run.step, progress)
    model.train()
    sums: dict[str, list] = {}  # name: sum and number of values, for not every step has every figure
    counted, last_save, last_look, mark = 0, time.monotonic(), time.monotonic(), time.monotonic()
    scores: dict[str, float] = {}
    loss = None

    def look() -> dict[str, float]:
        """Sheet and scores of the averaged weights as they are now."""
        with averaged(model, run.ema):
            if sheet is not None:
                sheet(model, run.out / f"sheet-{run.step:07d}")
            found = evaluate(model) if evaluate is not None else {}
        if found:
            report.scores(run.step, run.elapsed(), found)
        return found

    with _stop_signals() as stopped, _stream(batches, run.step, seed, prefetch, steps) as stream:
        while run.progress() < 1 and not stopped:
            batch = {name: t.to(device, non_blocking=True) for name, t in next(stream).items()}
            optimiser.set_scale(schedule(run.progress(), run.step - run.began, warm_up=warm_up, hold=hold,
                                         shape=shape))
            torch.manual_seed(_step_seed(seed, run.step))
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                loss, figures = loss_fn(model, batch)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
            finite = torch.isfinite(loss.detach() + norm)
            # Asking a GPU for a number makes it wait, so it is asked when something is logged.
            if device.type == "cpu" and not bool(finite):
                raise _not_finite(run)
            optimiser.step()
            run.ema.update(model, run.step - run.began)
            run.step += 1
            for name, value in {"loss": loss.detach(), "gradient": norm, **figures}.items():
                so_far = sums.setdefault(name, [0.0, 0])
                so_far[0] = so_far[0] + (value.detach() if isinstance(value, Tensor) else value)
                so_far[1] += 1
            counted += 1
            now = time.monotonic()
            due = now - last_save > 60 * checkpoint_every_minutes
            if run.step % log_every == 0 or due or run.progress() >= 1 or stopped:
                line = {name: float(total) / n for name, (total, n) in sums.items()}
                if not all(map(math.isfinite, line.values())):
                    raise _not_finite(run)
                line["lr"] = optimiser.param_groups[0]["lr"]
                line["steps_per_second"] = counted / max(now - mark, 1e-9)
                report.line(run.step, run.elapsed(), run.progress(), line)
                sums, counted, mark = {}, 0, now
            if due:
                run.save(optimiser)
                last_save = time.monotonic()
            if now - last_look > 60 * look_every_minutes and run.progress() < 1:
                scores = look()
                last_look = mark = time.monotonic()
    finished = not stopped
    if loss is not None or not (run.out / CHECKPOINT).exists():
        run.save(optimiser)
    if finished:
        scores = look()
    else:
        report.say(f"stopped at step {run.step}; the same command goes on from there")
    report.close()
    model.load_state_dict(run.ema.tensors)
    model.eval()
    return FitResult(run.step, run.elapsed(), finished, run.ema.tensors, scores)


class _Run:
    """Where a run stands, and its checkpoint."""

    def __init__(self, model: nn.Module, out: Path, minutes: float | None, steps: int | None, seed: int) -> None:
        if (minutes is None) == (steps is None):
            raise BadInput("a training run needs either minutes or steps")
        budget = steps if minutes is None else minutes
        if not (math.isfinite(budget) and budget > 0):
            unit = "steps" if minutes is None else "minutes"
            raise BadInput(f"a training run of {budget} {unit} makes no sense")
        self.model, self.out, self.minutes, self.steps, self.seed = model, out, minutes, steps, seed
        self.device = next(model.parameters()).device
        self.step = 0
        self.began = 0  # the step at which the optimiser was new
        self.precision = ""
        self._before = 0.0
        self._since = time.monotonic()
        self._optimiser_state: dict | None = None
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotWrite(f"cannot make the folder {out}: {error.strerror}") from None

    def elapsed(self) -> float:
        """Seconds spent in this run, earlier sessions of it included."""
        return self._before + time.monotonic() - self._since

    def progress(self) -> float:
        """0 at the start, 1 or more when the budget is spent."""
        return self.step / self.steps if self.minutes is None else self.elapsed() / (60 * self.minutes)

    def prepare(self, start_from: str | Path | dict[str, Tensor] | None, decay: float) -> None:
        """Put weights into the model: of the checkpoint in out, or else of start_from, or its own."""
        file = self.out / CHECKPOINT
        if file.exists():
            saved = read_checkpoint(file)
            load_into(self.model, saved["model"], file)
            self.step, self.began, self._before = saved["step"], saved["began"], saved["elapsed"]
            self.precision, self._optimiser_state = saved["precision"], saved["optimiser"]
            if saved["seed"] != self.seed:
                raise BadInput(f"{file} was begun with seed {saved['seed']}, not {self.seed}: "
                               "give that seed, or another folder")
            self.ema = Ema(self.model, decay)
            for name, tensor in saved["ema"].items():
                self.ema.tensors[name].copy_(tensor)
            return
        if start_from is not None:
            load_into(self.model, starting_weights(start_from), "start_from")
        self.ema = Ema(self.model, decay)

    def take_up(self, optimiser: MuonAdamW) -> None:
        """Give the optimiser its state of the checkpoint; peaks and decays stay as asked for now."""
        if self._optimiser_state is None:
            return
        asked = [(g["peak"], g["decay"], g["momentum"], g["betas"]) for g in optimiser.param_groups]
        optimiser.load_state_dict(self._optimiser_state)
        for group, values in zip(optimiser.param_groups, asked, strict=True):
            group["peak"], group["decay"], group["momentum"], group["betas"] = values
        self._optimiser_state = None

    def save(self, optimiser: MuonAdamW) -> None:
        """Write the checkpoint, atomically."""
        part = self.out / f".{CHECKPOINT}.{os.getpid()}.part"
        state = {"format": 1, "model": self.model.state_dict(), "ema": self.ema.tensors,
                 "optimiser": optimiser.state_dict(), "step": self.step, "began": self.began,
                 "elapsed": self.elapsed(), "seed": self.seed, "precision": self.precision}
        try:
            torch.save(state, part)
            os.replace(part, self.out / CHECKPOINT)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            raise CannotWrite(f"cannot write {self.out / CHECKPOINT}: {str(error).splitlines()[0]}") from None
        finally:
            with contextlib.suppress(OSError):
                part.unlink()


def read_checkpoint(file: str | Path) -> dict:
    """What a checkpoint.pt holds, on the CPU. Raises BadWeights when it is missing or damaged."""
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)
        if saved["format"] == 1:
            return saved
    except FileNotFoundError:
        raise BadWeights(f"no checkpoint at {file}") from None
    except Exception as error:  # torch.load raises half a dozen kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadWeights(f"{file} is damaged or no checkpoint ({reason[:80]}): "
                         "remove it to begin anew") from None
    raise BadWeights(f"{file} is a checkpoint of another version: remove it to begin anew")


def starting_weights(source: str | Path | dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights to begin from: of a dict, a model file, or the averaged ones of a checkpoint.pt."""
    if isinstance(source, dict):
        return source
    if Path(source).suffix == ".safetensors":
        return load_model(source)[0]
    return read_checkpoint(source)["ema"]


@contextlib.contextmanager
def averaged(model: nn.Module, ema: Ema) -> Iterator[nn.Module]:
    """The model with the averaged weights, in evaluation mode and without gradients; then as before."""
    own = {name: t.detach().clone() for name, t in model.state_dict().items()}
    training = model.training
    model.load_state_dict(ema.tensors)
    model.eval()
    try:
        with torch.no_grad():
            yield model
    finally:
        model.load_state_dict(own)
        model.train(training)


def learns_only(model: nn.Module, names: Sequence[str]) -> None:
    """Let the parameters of these names learn, and no others."""
    chosen = set(names)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)


def _chosen_precision(precision: str, device: torch.device) -> str:
    if precision not in ("auto", "bf16", "fp32"):
        raise BadInput(f"precision is auto, bf16 or fp32, not {precision!r}")
    if precision == "auto":
        return "bf16" if bf16_pays(device) else "fp32"
    return precision


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step, 1]).generate_state(1, np.uint64)[0]) & (2**63 - 1)


def _not_finite(run: _Run) -> ReverieError:
    return ReverieError(f"the loss is not finite at step {run.step}: lower the learning rate; the last good "
                        f"checkpoint is in {run.out}")


@contextlib.contextmanager
def _stream(batches: Callable[[int, np.random.Generator], Batch], first: int, seed: int,
            ahead: int, steps: int | None) -> Iterator[Iterator[Batch]]:
    """Batches of step ``first`` and on, made in a thread ``ahead`` of need."""

    def make(step: int) -> Batch:
        return batches(step, np.random.default_rng([seed, step]))

    if ahead < 1:
        yield map(make, itertools.count(first))
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")

    def taken() -> Iterator[Batch]:
        waiting: deque = deque()
        step = first
        while True:
            while len(waiting) <= ahead and (steps is None or step < steps):
                waiting.append(pool.submit(make, step))
                step += 1
            yield waiting.popleft().result()

    try:
        yield taken()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that is no longer empty once SIGTERM or Ctrl-C came; a second Ctrl-C stops at once."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught  # only the main thread may set handlers
        return

    def handler(number: int, _frame: object) -> None:
        if caught and number == signal.SIGINT:
            raise KeyboardInterrupt
        caught.append(number)

    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield caught
    finally:
        for number, old in before.items():
            signal.signal(number, old)
