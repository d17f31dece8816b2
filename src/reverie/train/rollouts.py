"""Own pasts: clips as a model goes on with them by itself, and how truth goes on from there.

In training the past of a latent is truth, at most with a little noise; in a dream it is what the model imagined. Here a
model goes on with clips, by the very laws of its dreams; what it made is the past that windows show (train.windows),
and what is to be said next of each thing is what truth does next, from where the thing has come to and as it is turned.
Of what is APART from truth by then nothing is asked. Sources: scheduled sampling (arXiv 1506.03099), DAgger (arXiv
1011.0686).

Legend: T latents of a clip, N its things, B clips at once, S tokens of a latent, W their channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reverie.core.progress import track
from reverie.core.vocabulary import FRAMES_PER_LATENT, MAX_THINGS
from reverie.model import motion
from reverie.model import things as th
from reverie.model.checkpoint import load_into, load_model
from reverie.model.rollout import Rollout
from reverie.model.sampling import Sampling
from reverie.model.schedule import Conditions
from reverie.model.transformer import Config, Transformer
from reverie.train.encode import Bank, Item, load_bank, save_bank, tokens_of
from reverie.train.windows import padded

SEEN = 2  # latents of truth that are given at least
BATCH = 24
CLIPS, LONGEST = 1200, 110  # clips that are gone on with, and their latents: of longer ones truth is nearly all
APART = {"place": 0.5, "speed": 1.0}  # metres, m/s: of what is further off, truth says nothing of what it does next


def beside_own(bank: Bank, made: int, path: Path, start: Path, device: str, progress: bool) -> Bank:
    """A bank's clips and, beside them, as the transformer of the file ``start`` goes on with CLIPS of them for so many
    latents, kept at ``path``."""
    if not path.exists():
        some = [item for item in bank.items if len(item) <= LONGEST][:CLIPS]
        tensors, meta = load_model(start)
        load_into(model := Transformer(Config(**meta["config"])), tensors, start)
        with track(len(some), "going on with clips", quiet=not progress) as bar:
            own = own_pasts(model.to(device).eval(), Sampling.of(meta), some, bank.vectors, made, 0, tell=bar.advance)
        save_bank(Bank(own, bank.vectors, bank.digest), path)
    return Bank([*bank.items, *load_bank(path).items], bank.vectors, bank.digest)


@torch.inference_mode()
def own_pasts(model: Transformer, sampling: Sampling, items: Sequence[Item], vectors: np.ndarray, made: int,
              seed: int, *, tell: Callable[[int], None] | None = None) -> list[Item]:
    """Of each item that is longer than ``made`` and SEEN latents, and of no more things than the model knows, the clip
    up to somewhere, and ``made`` latents on, of which the model made the past: ``own`` and ``agrees`` are set.

    vectors: of the items' tokens. tell is called with the number of items that are done.
    """
    rng = np.random.default_rng(seed)
    fit = [item for item in items if item.seen and len(item) >= made + SEEN
           and item.things.shape[1] <= model.config.slots]
    cuts = [int(rng.integers(SEEN, len(item) - made + 1)) for item in fit]
    order = sorted(range(len(fit)), key=cuts.__getitem__)  # those of a batch are given as much
    found = []
    for first in range(0, len(order), BATCH):
        some = order[first : first + BATCH]
        given = min(cuts[i] for i in some)
        found += _gone_on([fit[i] for i in some], model, sampling, vectors, given, made, rng)
        if tell is not None:
            tell(len(some))
    return found


def _gone_on(items: Sequence[Item], model: Transformer, sampling: Sampling, vectors: np.ndarray, given: int, made: int,
             rng: np.random.Generator) -> list[Item]:
    """A batch of clips of which so many latents are given, and so many are made."""
    told = [item.captions[int(rng.integers(len(item.captions)))] for item in items]
    words, mask = padded([caption["tokens"] for caption in told], vectors)
    device = model.marks.device
    text = model.encode_text(torch.from_numpy(words).to(device), torch.from_numpy(mask).to(device))
    rollout = Rollout(model, text, fps=torch.tensor([item.fps for item in items], device=device), grid=(1, 1),
                      generator=torch.Generator().manual_seed(int(rng.integers(2**31))), sampling=sampling,
                      with_views=False)
    last = given + made
    truth = torch.from_numpy(np.stack([
        tokens_of(item.things[:last], item.camera[:last], item.setting, caption["order"])
        for item, caption in zip(items, told, strict=True)])).to(device)
    known = torch.ones(truth.shape[:1] + truth.shape[2:3], dtype=torch.bool, device=device)
    steps = []
    for n in range(last):
        known[:, :MAX_THINGS] = n < given  # cameras go as they go
        steps.append(rollout.step(_conditions(items, told, n, device), things=truth[:, n], known=known)[0])
    out = []
    for item, caption, tokens in zip(items, told, torch.stack(steps, 1).cpu(), strict=True):
        own = torch.empty(last, *item.things.shape[1:])
        own[:, caption["order"]] = tokens[:, : len(caption["order"])]
        target, agrees = going_on(own, torch.from_numpy(item.things[:last]).float())
        out.append(replace(item, things=target.numpy().astype(np.float16), own=own.numpy().astype(np.float16),
                           agrees=agrees.numpy(), latents=None, still=None,
                           **{name: getattr(item, name)[:last] for name in ("camera", "actions")}))
    return out


def _conditions(items: Sequence[Item], told: Sequence[dict], n: int, device: torch.device) -> Conditions:
    """What holds of each clip in latent n."""
    lines, since = [], []
    for item, caption in zip(items, told, strict=True):
        seconds = n * FRAMES_PER_LATENT / item.fps
        lines.append(max(int(np.searchsorted(caption["start"], seconds + 1e-6, side="right")) - 1, 0))
        since.append(seconds - caption["start"][lines[-1]])
    actions = np.stack([item.actions[n] for item in items]).astype(np.float32)
    return Conditions(torch.tensor(lines, device=device), torch.tensor(since, dtype=torch.float32, device=device),
                      torch.from_numpy(actions).to(device))


def going_on(own: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """What truth (T, N, W) does in each latent as if its things had been, in the latent before, where ``own`` (T, N, W)
    has them: (T, N, W). And of which things it can be said (T, N) bool: that there was none, or one no further off than
    APART, which moved where truth's did."""
    own, truth = _decided(own), _decided(truth)
    was, then = own[:-1], truth[:-1]
    moving = th.THING["moving"].start
    off = (th.positions_of(was) - th.positions_of(then))[..., -1, :]
    speeds = (was - then)[..., th.THING["velocity"]].norm(dim=-1) * th.VELOCITY_SCALE
    near = (off.norm(dim=-1) < APART["place"]) & (speeds < APART["speed"]) & (
        (was[..., moving] > 0) == (then[..., moving] > 0))
    there, before = was[..., 0] > 0, then[..., 0] > 0
    agrees = torch.where(there, near & before, ~before)
    stays = (there & before & (truth[1:, :, 0] > 0))[..., None]
    shift = off.clone()
    shift[..., 2] *= truth[1:, :, moving] <= 0  # how high it is, what moves knows by itself
    next_ = th.at_positions(truth[1:], th.positions_of(truth[1:]) + shift[..., None, :])
    turn = th.rotations_of(was)[..., -1, :, :] @ th.rotations_of(then)[..., -1, :, :].mT
    next_ = th.at_rotations(next_, turn[..., None, :, :] @ th.rotations_of(truth[1:]))
    (sine, cosine), (sine_then, cosine_then) = (x[..., th.THING["phase"]].unflatten(-1, (2, 2))[..., 1].unbind(-1)
                                                for x in (was, then))
    strides = torch.polar(torch.ones_like(sine), torch.atan2(sine, cosine) - torch.atan2(sine_then, cosine_then))
    phase = truth[1:, :, th.THING["phase"]].unflatten(-1, (2, 2))
    turned = torch.complex(phase[..., 1, :], phase[..., 0, :]) * strides[..., None]
    next_[..., th.THING["phase"]] = torch.cat([turned.imag, turned.real], -1)
    return (torch.cat([truth[:1], torch.where(stays, next_, truth[1:])]),
            torch.cat([torch.ones_like(agrees[:1]), agrees]))


def _decided(things: Tensor) -> Tensor:
    """Things (T, N, W) of a clip with what they do said of each, as training has them."""
    before = torch.cat([torch.full_like(things[:1], -1.0), things[:-1]])
    return motion.decided(things, before, torch.cummax((things[..., 0] > 0).int(), 0).values > 0)
