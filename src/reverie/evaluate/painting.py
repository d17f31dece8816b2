"""Suite ``painting``: the pixels of things painted from true things, against truth."""

from __future__ import annotations

import numpy as np
import torch

from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.sheet import contact_sheet
from reverie.evaluate import physics
from reverie.evaluate.dreams import Known, dream, pixels_of
from reverie.evaluate.figures import figure
from reverie.evaluate.pictures import save_picture
from reverie.evaluate.study import SEED, Study, held_out_caption
from reverie.train.encode import action_vectors, true_tokens
from reverie.train.losses import PooledError
from reverie.train.tokenizer import near, round_trip

SECONDS, BATCH = 6.0, 8
PAST = 8  # latents that the model without things is given, and that no figure counts
F = FRAMES_PER_LATENT
ON_SHEET, AFTER = 8, 3  # clips of the sheet, and pictures after the past's last one: as made, then as in truth
WAYS = {"painted": "from true things", "round_trip": "the tokenizer alone", "without_things": "from a true past",
        "from_pictures": "a second from a true past"}


@torch.no_grad()  # given pictures are refined by gradients, which weights that are loaded in inference mode have not
def measure(study: Study) -> list[dict]:
    """PSNR in dB within 2 pixels of things' masks and over all pixels, of n held-out clips: painted from
    true things, cameras and actions; after the tokenizer's round trip; by the same model without things, going on from
    a true past. All over the frames after that past; and over one second of them as World.imagine goes on from it, of
    which the first clips are shown in pictures.png in the study's folder."""
    world = study.world
    clips = study.clips(study.n, SECONDS, drawn=True)
    rows, texts = [], []
    pools = {(way, what): PooledError() for way in WAYS for what in ("things", "all")}
    latents = round(SECONDS * world.fps) // F
    with study.track(len(clips), "paintings") as bar:
        for first in range(0, len(clips), BATCH):
            numbers = range(first, min(first + BATCH, len(clips)))
            truths = [clips.clip(i) for i in numbers]
            captions = [held_out_caption(clips.meta(i), i) for i in numbers]
            scripts = [physics.told(caption) for caption in captions]
            orders = [physics.slots(caption, clip) for caption, clip in zip(captions, truths, strict=True)]
            things = np.stack([true_tokens(clip, o)[:latents] for clip, o in zip(truths, orders, strict=True)])
            actions = np.stack([action_vectors(clip.actions, latents * F) for clip in truths])
            _, painted = dream(world, scripts, latents, seed=SEED + first, batch=BATCH,
                               known=Known(things=things, actions=actions))
            frames = [next(iter(clip.views.values()))[: latents * F] for clip in truths]
            past = torch.cat([world.tokenizer.encode(torch.from_numpy(f[None, : PAST * F]))[0] for f in frames])
            _, free = dream(world, scripts, latents, seed=SEED + first, batch=BATCH, with_things=False,
                            known=Known(views=past, actions=actions))
            for b, (clip, true) in enumerate(zip(truths, frames, strict=True)):
                masks = next(iter(clip.truth.masks.values()))[: latents * F]
                made = {
                    "painted": pixels_of(world, things[b], None if painted is None else painted[b]),
                    "round_trip": round_trip(world.tokenizer, true),
                    "without_things": pixels_of(world, None, free[b]),
                    "from_pictures": np.concatenate([true[: PAST * F], *(block.frames for block in world.imagine(
                        scripts[b][:1], past=true[: PAST * F], seconds=1.0, seed=SEED + first + b))]),
                }
                gone_on = made["from_pictures"]
                shown = [PAST * F - 1, *np.linspace(PAST * F, len(gone_on) - 1, AFTER).round().astype(int)]
                both = np.concatenate([gone_on[shown], true[shown]])
                rows, texts = [*rows, both], [*texts, physics.told(held_out_caption(clips.meta(numbers[b]), 0))[0].text]
                for way, pixels in made.items():
                    _add(pools[way, "things"], pixels, true, near(masks > 0))
                    _add(pools[way, "all"], pixels, true, np.ones(masks.shape, bool))
                bar.advance()
    save_picture(contact_sheet(rows[:ON_SHEET], texts[:ON_SHEET], 2 * (1 + AFTER)), study.data / "pictures.png")
    return [figure(f"{way}_psnr_{what}", pool.psnr, "dB", None, len(clips)) for (way, what), pool in pools.items()]


def _add(pool: PooledError, made: np.ndarray, true: np.ndarray, mask: np.ndarray) -> None:
    after = slice(PAST * F, len(made))
    pool.add(torch.from_numpy(made[after]).float() / 127.5 - 1, torch.from_numpy(true[after]).float() / 127.5 - 1,
             torch.from_numpy(mask[after]))
