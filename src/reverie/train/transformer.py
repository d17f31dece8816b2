"""Training the transformer: one loss over things and views, each latent at its own noise level."""

from __future__ import annotations

import torch
from torch import Tensor

from reverie.model import flow
from reverie.model import things as th
from reverie.model.sketch import covered
from reverie.model.transformer import Transformer, Window

# AdamW takes what is no hidden matrix: what goes in, what comes out, tables
ADAM = ("things_in", "things_out", "views_in", "views_out", "slots", "marks", "levels_in",
        "sketch.content", "sketch.geometry", "sketch.look", "sketch.ground", "final", "text_encoder.project")
SCENE = 3.0  # how much more a cell of the picture counts where things are: most of a picture is not
START = 0.5  # share of views that are pure noise, as painting begins: only so must they heed the things
OPENING = 3  # a window of so few latents is about how a clip begins: what the text alone decides
CALM = 0.06  # most noise of latents that are context
EXACT = 0.5  # share of windows whose context has none: 0.02 of noise are 7 cm, more than most things move
FORCED = 0.85  # share of windows in which the past is finished, as in a rollout, whatever is being denoised
SMALL = 0.1  # errors of going on as before count squared up to this, and beyond in proportion: not the mean of what may
GOING_ON = 8.0  # happen is asked for but its middle; and they count for so much more, for they are small


def channel_weights(tokens: int) -> Tensor:
    """(S, WIDTH): how much an error of each channel of each token counts (things, camera, setting)."""
    weights = torch.zeros(tokens, th.WIDTH)
    of = {"exists": 4.0, "kind": 2.0, "colour": 2.0, "material": 0.5, "extent": 1.0, "position": 6.0,
          "rotation": 2.0, "velocity": 3.0, "phase": 2.0}
    of["moving"] = 2.0
    for name, weight in of.items():
        part = th.THING[name]
        weights[:-2, part] = weight / (part.stop - part.start) ** 0.5
    for name, weight in {"position": 4.0, "rotation": 6.0, "fovy": 1.0, "moving": 2.0}.items():
        part = th.CAMERA[name]
        weights[-2, part] = weight / (part.stop - part.start) ** 0.5
    weights[-1, th.SETTING["name"]] = 0.5
    weights[-1, th.SETTING["look"]] = 1.0
    return weights


def transformer_loss(model: Transformer, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch of train.windows, and its parts. Noise comes from torch's global generator."""
    index, things = batch["index"], batch["things"]
    b, t = index.shape
    device = things.device
    chance = torch.Generator().manual_seed(int(torch.randint(2**31, ()).item()))
    with_views = "views" in batch
    # things: a scene that is painted is mostly finished, as it is when sampling
    opening = t <= OPENING
    noise = flow.training_levels((b, t), chance, calm=CALM, shares=(0.0,) if opening else (0.3, 0.6, 0.85))
    fresh = torch.rand(b, t, generator=chance) < (START / 2 if opening else START / 3)
    noise = torch.where(fresh & (noise > CALM), 1.0, noise)
    if with_views:
        finished = 0.05 * torch.rand(b, t, generator=chance) ** 2
        noise = torch.where(torch.rand(b, 1, generator=chance) < 0.8, finished, noise)
    noise = torch.where((torch.rand(b, 1, generator=chance) < EXACT) & (noise <= CALM), 0.0, noise)
    forced = torch.rand(b, 1, generator=chance) < FORCED
    done = (~forced | (noise <= CALM)).to(device)
    noise = noise.to(device)[..., None].expand(things.shape[:3])
    noise = torch.where(batch["things_known"], 0.0, noise)
    past = torch.where(noise[..., None] > CALM, things, batch.get("own", things))  # what is context is as it was made
    noisy = flow.add_noise(past, torch.randn_like(things), noise)
    # the latent before stands as noisy as it is in the window, or nearly finished where a rollout has finished it
    # and where it lies outside
    follows = (batch["follows"] & ~forced.to(device))[..., None]
    outside = CALM * torch.rand(b, t, generator=chance) ** 2 * (torch.rand(b, 1, generator=chance) > EXACT)
    outside = torch.where(index > 0, outside.to(device), 1.0)[..., None]
    before = torch.where(follows, noise.roll(1, 1), outside.expand_as(noise))
    previous = batch["previous"]
    previous = torch.where(follows[..., None], noisy.roll(1, 1),
                           flow.add_noise(previous, torch.randn_like(previous), before.clamp(max=0.99)))
    w = Window(index=index, fps=batch["fps"], line=batch["line"], since=batch["since"], actions=batch["actions"],
               things=noisy, things_noise=noise, things_known=batch["things_known"],
               things_seen=batch["things_seen"], things_done=done, previous=previous, previous_noise=before)
    if with_views:
        views = batch["views"]
        given = batch["views_known"] | batch["goal"]
        level = flow.training_levels((b, t), chance, calm=0.06, shares=(0.0, 0.25, 0.5))
        level = torch.where(torch.rand(b, t, generator=chance) < START, 1.0, level).to(device)
        level = torch.where(given, 0.0, level)
        w.views = flow.add_noise(views, torch.randn_like(views), level[:, :, None, None].expand(views.shape[:-1]))
        w.views_noise, w.views_known, w.goal = level, batch["views_known"], batch["goal"]
    out = model(w, model.encode_text(batch["text"], batch["text_mask"]))
    loss, figures = things_loss(out.things.float(), things, noise, before, batch)
    if with_views:
        counted = (~given).float()
        high = (level > 0.5).float() * counted
        error = (out.views.float() - views).square().mean(-1)
        cover = covered(things[:, :, :-2], things[:, :, -2], *views.shape[2:4])
        of_things = cover * high[..., None, None]
        figures["views_things_error"] = ((error * of_things).sum() / of_things.sum().clamp(min=1)).detach()
        part = 1 + SCENE * cover
        error = (error * part).sum((2, 3)) / part.sum((2, 3))
        per = (error * flow.weight(level) * counted).sum() / counted.sum().clamp(min=1)
        figures["views"] = per.detach()
        figures["views_error"] = ((error * high).sum() / high.sum().clamp(min=1)).detach()
        loss = loss * 0.5 + per * 0.5
    return loss, figures


def things_loss(x: Tensor, truth: Tensor, noise: Tensor, before: Tensor,
                batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
    """Loss of what is said of things, x (B, T, S, WIDTH), and its parts, where they are not known and not context.
    noise, before (B, T, S): the levels of them and of the latent before; batch: of train.windows."""
    weights = channel_weights(truth.shape[2]).to(x.device)
    exists = truth[:, :, :-2, 0] > 0
    mask = torch.ones_like(truth)
    mask[:, :, :-2, 1:] = exists[..., None].to(mask.dtype).expand_as(mask[:, :, :-2, 1:])
    error = (x - truth).square()
    goes_on = exists & (batch["previous"][:, :, :-2, 0] > 0) & (before[:, :, :-2] < 0.25)
    of_motion = torch.zeros_like(mask, dtype=torch.bool)
    of_motion[:, :, :-2, th.THING["position"].start : th.THING["phase"].stop] = goes_on[..., None]
    of_motion[:, :, -2, : th.CAMERA["fovy"].stop] = (before[:, :, -2] < 0.25)[..., None]
    robust = 2 * GOING_ON * SMALL**2 * ((1 + error / SMALL**2).sqrt() - 1)
    error = torch.where(of_motion, robust, error) * weights * mask
    free = ~batch["things_known"] & batch["things_seen"][..., None]
    free = free & (noise > CALM) & batch.get("agrees", free)  # what is context has nothing to be said of it
    if "goal" in batch:
        free = free & ~batch["goal"][..., None]
    free = free.float()
    per = error.sum(-1) * flow.weight(noise) * free
    # a slot without a thing has little to say: let the ones with things decide
    loss = per.sum() / free.sum().clamp(min=1)
    high = (noise > 0.5).float() * free

    def mean(value: Tensor, of: Tensor) -> Tensor:
        part = high[:, :, :-2] * of
        return ((value * part).sum() / part.sum().clamp(min=1)).detach()

    away = (x - truth)[:, :, :-2]
    metres = (away[..., th.THING["position"]].square().mean(-1) * 3).sqrt() * th.POSITION_SCALE
    all_of_them = (error.sum(-1) * high).sum() / high.sum().clamp(min=1)
    figures = {"things": loss.detach(), "things_error": all_of_them.detach(),
               "new_metres": mean(metres, (exists & ~goes_on).float()), "metres": mean(metres, goes_on.float()),
               "exists_error": mean(away[..., 0].square(), torch.ones_like(metres)),
               "moving_error": mean(away[..., th.THING["moving"].start].square(), exists.float())}
    return loss, figures
