"""Self-distillation: a transformer learns to imagine in few steps, and unguided, the things that it imagines in more.

The teacher, the network as it was, denoises a latent's things from noise as a rollout does, guided towards the text;
the student is shown where the teacher stood at each of its levels, and says where it came out, so that 4, 2 and 1 steps
end where 4 do. What exists and what moves stays a chance, which the student goes on learning from truth. In a clip's
first latent, where all is open, only the guidance is distilled. Sources: progressive distillation (arXiv 2202.00512),
distillation of guided models (arXiv 2210.03142).

Legend as in model.transformer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reverie.model import flow
from reverie.model import things as th
from reverie.model.rollout import GUIDED
from reverie.model.sampling import Sampling
from reverie.model.transformer import Transformer, Window
from reverie.train.transformer import things_loss

STEPS = 4  # of the teacher
FEW = {"guidance": 1.0, "things_steps": 2}  # how the student dreams
FINISHED = (0.4, 0.6, 0.85)  # shares of latents that are context


class Distilled:
    """A loss for ``loop.fit``: as ``transformer_loss``, on windows without views. teacher: what it is to be like.
    sampling: how the teacher dreams."""

    def __init__(self, teacher: Transformer, sampling: Sampling) -> None:
        self.teacher, self.sampling = teacher.eval().requires_grad_(False), sampling

    def __call__(self, model: Transformer, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch of train.windows, and its parts. Noise comes from torch's global generator."""
        truth, known = batch["things"], batch["things_known"]
        (b, t), device = batch["index"].shape, truth.device
        first = (batch["index"] == 0)[..., None].expand(known.shape)
        share = torch.tensor(FINISHED)[torch.randint(len(FINISHED), (b, 1))]
        done = (torch.rand(b, t) < share).to(device) & (t > 1)
        open_ = ~known & ~done[..., None]
        w = Window(index=batch["index"], fps=batch["fps"], line=batch["line"], since=batch["since"],
                   actions=batch["actions"], things_known=known, things_seen=batch["things_seen"], things_done=done,
                   previous=batch["previous"], previous_noise=first.float())
        noise = self._begun(torch.randn_like(truth), batch)
        levels = flow.levels(STEPS).tolist()
        level = torch.where(open_, 1.0, 0.0)
        level = torch.where(open_ & first, torch.rand(b, t, 1, device=device), level)
        x = flow.add_noise(truth, noise, level)
        choice = torch.randint(STEPS, (b, t, 1), device=device)
        shown, of_shown, target = x, level, truth
        with torch.no_grad():
            text = self.teacher.encode_text(batch["text"], batch["text_mask"])
            for k, goal in enumerate(levels[1:]):
                clean = _as_in_truth(self._guided(w, text, x, level), truth, batch["previous"])
                target = torch.where((open_ & (~first | (k == 0)))[..., None], clean, target)
                then = torch.where(open_ & ~first, goal, level)
                ratio = torch.where(level > 0, then / level.clamp(min=1e-6), 1.0)[..., None]
                x = torch.where(open_[..., None], clean + ratio * (x - clean), truth)
                level = then
                here = (choice == k + 1) & ~first  # the student is shown one of the teacher's levels
                shown, of_shown = torch.where(here[..., None], x, shown), torch.where(here, level, of_shown)
        w.things, w.things_noise = shown, of_shown
        out = model(w, model.encode_text(batch["text"], batch["text_mask"]))
        return things_loss(out.things.float(), target, of_shown, w.previous_noise, {**batch, "things_known": ~open_})

    def _begun(self, noise: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """What a rollout begins with: what goes on without noise (``heat``), but for half of what is set going, which a
        rollout sees before and after it knows."""
        was, now = batch["previous"][:, :, :-2], batch["things"][:, :, :-2]
        moving = th.THING["moving"].start
        starts = (was[..., moving] <= 0) & (now[..., moving] > 0)
        again = torch.rand(noise.shape[:2], device=noise.device)[..., None] < 0.5
        goes_on = (was[..., 0] > 0) & ~(starts & again)
        heat = torch.full_like(noise[..., :1], self.sampling.heat)
        heat[:, :, :-2] = torch.where(goes_on[..., None], self.sampling.heat, 1.0)
        heat = torch.where((batch["index"] == 0)[..., None, None], 1.0, heat)
        return noise * heat

    def _guided(self, w: Window, text, x: Tensor, level: Tensor) -> Tensor:
        """What the teacher says of x, leaning towards the text where it does so in a rollout."""
        w.things, w.things_noise = x, level
        clean = self.teacher(w, text).things.float()
        fresh = (w.index == 0) | (w.since < GUIDED)
        if self.sampling.guidance == 1.0 or not bool(fresh.any()):
            return clean
        line, w.line = w.line, torch.full_like(w.line, -1)
        other = self.teacher(w, text).things.float()
        w.line = line
        return torch.where(fresh[..., None, None], other + self.sampling.guidance * (clean - other), clean)


def _as_in_truth(clean: Tensor, truth: Tensor, before: Tensor) -> Tensor:
    """What is decided in a rollout before all else is as in truth, and who was there stays who it is."""
    out = clean.clone()
    for channels in (slice(0, 1), th.DECIDED):
        out[:, :, :-2, channels] = truth[:, :, :-2, channels]
    moving = th.CAMERA["moving"]
    out[:, :, -2, moving] = truth[:, :, -2, moving]
    stays = (before[:, :, :-2, :1] > 0) & (truth[:, :, :-2, :1] > 0)
    out[:, :, :-2, th.STATIC] = torch.where(stays, truth[:, :, :-2, th.STATIC], out[:, :, :-2, th.STATIC])
    return out
