"""Dreams in batches: what World.imagine does one at a time, for many scripts of one length at once.

Legend: N dreams, B of them in a batch, T latents, S tokens of a latent (things, camera, setting), W their
channels, F frames in a latent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from reverie.casting import Casting
from reverie.core.beside import each
from reverie.core.camera import CameraPath
from reverie.core.clip import Line
from reverie.core.vocabulary import ACTION_SCALE, FRAMES_PER_LATENT, MAX_THINGS
from reverie.direction import moves_told
from reverie.model import things as th
from reverie.model.block import picture
from reverie.model.cast import Cast
from reverie.model.plate import Plate
from reverie.model.rollout import Rollout
from reverie.model.sampling import Sampling
from reverie.model.schedule import Conditions
from reverie.model.steering import camera_vectors, opening_camera
from reverie.model.text import TokenVectors
from reverie.world import World

F = FRAMES_PER_LATENT
BATCH = 25


@dataclass
class Known:
    """What is given of each dream: things (N, K, S, W) of the first K latents, of them only those that ``which``
    (N, K, S) names, if it is there; views (N, P, H, W, C) of the first P; actions (N, T, 4 A) or None where unknown.
    past: latents before the script's clock begins."""

    things: np.ndarray | None = None
    which: np.ndarray | None = None
    views: Tensor | None = None
    actions: np.ndarray | None = None
    past: int = 0


class Script:
    """Several scripts at once: which line of each holds in a latent. past: latents before their clocks begin."""

    def __init__(self, world: World, scripts: Sequence[Sequence[Line]], actions: np.ndarray | None, past: int = 0
                 ) -> None:
        self.fps, self.actions, self.past = world.fps, actions, past
        self.starts = [np.array([line.start for line in script]) for script in scripts]
        world.vectors = world.vectors or TokenVectors.load()
        rows = [[torch.from_numpy(world.vectors.encode(line.text)[1]) for line in script] for script in scripts]
        lines, words = max(map(len, rows)), max(1, max(len(row) for script in rows for row in script))
        vectors = torch.zeros(len(rows), lines, words, world.transformer.config.text)
        mask = torch.zeros(len(rows), lines, words, dtype=torch.bool)
        for b, script in enumerate(rows):
            for r, row in enumerate(script):
                vectors[b, r, : len(row)] = row
                mask[b, r, : len(row)] = True
        self.text = world.transformer.encode_text(vectors, mask)

    def at(self, n: int) -> Conditions:
        """What holds in latent n."""
        time = max(n - self.past, 0) * F / self.fps
        line = [max(int(np.searchsorted(starts, time + 1e-6, side="right")) - 1, 0) for starts in self.starts]
        since = [time - float(starts[r]) for starts, r in zip(self.starts, line, strict=True)]
        actions = (torch.full((len(line), F * len(ACTION_SCALE)), torch.nan) if self.actions is None else
                   torch.from_numpy(self.actions[:, n]))
        return Conditions(torch.tensor(line), torch.tensor(since), actions)


@torch.inference_mode()
def dream(world: World, scripts: Sequence[Sequence[Line]], latents: int, *, seed: int, known: Known | None = None,
          with_things: bool = True, with_views: bool = True, batch: int = BATCH, tell: Callable[[int], None] | None =
          None) -> tuple[np.ndarray | None, Tensor | None]:
    """Things (N, T, S, W) and views (N, T, H, W, C) of each script's dream, at the model's own settings; no views
    where they are not asked for, or not needed to see the things. known: None goes by the words alone, as
    World.imagine does, whose dreams are rehearsed one by one, on all cores.

    tell is called with the number of dreams done after each batch.
    """
    sampling = Sampling.of(world.meta)
    paints = with_views and (known is not None and known.views is not None or world.paints(sampling, with_things))
    if known is None and with_things and not paints and sampling.takes > 1:
        made = []
        for one in each(partial(imagined, world, latents), [(script, seed + i) for i, script in enumerate(scripts)]):
            made.append(one)
            if tell is not None:
                tell(1)
        return np.stack(made) if made else None, None
    known = known or _directed(scripts, latents, world.fps, seed)
    height, width = world.default_size
    spatial = world.tokenizer.config.spatial
    things, views = [], []
    for first in range(0, len(scripts), batch):
        part = slice(first, first + batch)
        count = len(scripts[part])
        script = Script(world, scripts[part], None if known.actions is None else known.actions[part], known.past)
        rollout = Rollout(world.transformer, script.text, fps=torch.full((count,), world.fps),
                          grid=(height // spatial, width // spatial), sampling=sampling,
                          generator=torch.Generator().manual_seed(seed + first), with_things=with_things,
                          with_views=paints)
        seen, painted, cast_for = [], [], [-1] * count
        for n in range(latents):
            conditions = script.at(n)
            if with_things and n == known.past:  # what the words name is sought among what is there
                there = [None] * count if rollout.things is None else rollout.things
                castings = [Casting(*told, seats=world.transformer.config.slots) for told in zip(
                    scripts[part], there, rollout.met, strict=True)]
            if with_things and n >= known.past and cast_for != (lines := conditions.line.tolist()):
                rows = [rollout.cast.rows(torch.tensor([b])) for b in range(count)]
                for b, line in enumerate(lines):
                    if line != cast_for[b]:
                        rollout.vacate(castings[b].seat(line, rollout.gone(b)), b)
                        rows[b] = castings[b].at(line)
                rollout.cast, cast_for = Cast.stacked(rows), lines
            given = {}
            if known.things is not None and n < known.things.shape[1]:
                given["things"] = torch.from_numpy(known.things[part, n])
                given["known"] = (torch.ones(given["things"].shape[:2], dtype=torch.bool) if known.which is None else
                                  torch.from_numpy(known.which[part, n]))
            if known.views is not None and n < known.views.shape[1]:
                given["view"] = known.views[part, n]
            thing, view = rollout.step(conditions, **given)
            seen.append(thing)
            painted.append(view)
        if with_things:
            things.append(torch.stack(seen, 1).numpy())
        if paints:
            views.append(torch.stack(painted, 1))
        if tell is not None:
            tell(count)
    return np.concatenate(things) if things else None, torch.cat(views) if views else None


def _directed(scripts: Sequence[Sequence[Line]], latents: int, fps: float, seed: int) -> Known:
    """The cameras that scripts ask for in words, as World.imagine has them go."""
    shape = len(scripts), latents
    things, which = np.zeros((*shape, th.TOKENS, th.WIDTH), np.float32), np.zeros((*shape, th.TOKENS), bool)
    actions = np.full((*shape, F * len(ACTION_SCALE)), np.nan, np.float32)
    for i, script in enumerate(scripts):
        opening = opening_camera(seed + i)
        if moves := moves_told(script, latents * F / fps, opening):
            vectors, rates = camera_vectors(moves, opening, latents, fps)
            things[i, :, th.CAMERA_TOKEN], which[i, :, th.CAMERA_TOKEN], actions[i] = vectors, True, rates
    return Known(things, which, actions=actions)


def imagined(world: World, latents: int, script: Sequence[Line], seed: int) -> np.ndarray:
    """Things (T, S, W) of one script's dream, by its words alone."""
    return world.dream(script, seed=seed, seconds=latents * F / world.fps).imagined(latents)


@torch.inference_mode()
def pixels_of(world: World, things_TSW: np.ndarray | None, latents_THWC: Tensor | None, haze: float | None = None,
              plate: Plate | None = None) -> np.ndarray:
    """The things and views of one dream, as ``dream`` gives them, to uint8 frames (T F, height, width, 3), as
    World.imagine makes them. haze: of the views, if not the model's. plate: what is behind the things, if seen."""
    pieces, state, sampling = [], None, Sampling.of(world.meta, haze=haze)
    for n in range(len(things_TSW) if latents_THWC is None else len(latents_THWC)):
        view = None if latents_THWC is None else latents_THWC[n : n + 1]
        tokens = None if things_TSW is None else torch.from_numpy(things_TSW[n : n + 1])
        pixels, state = world.decode(view, tokens, state, sampling, size=world.default_size, plate=plate)
        pieces.append(picture(pixels[0]))
    return np.concatenate(pieces)


@dataclass
class Happening:
    """One dream's (or one truth's) tokens read out, by latent T or by frame T F.

    exists (T, 16); kinds, colours (T, 16) indices into the vocabularies; position (T F, 16, 3) metres.
    """

    exists: np.ndarray
    kinds: np.ndarray
    colours: np.ndarray
    position: np.ndarray
    camera: CameraPath

    @classmethod
    def of(cls, tokens: np.ndarray) -> Happening:
        """From tokens (T, S, W)."""
        things = torch.from_numpy(np.ascontiguousarray(tokens[:, :MAX_THINGS]))
        position = th.positions_of(things).transpose(1, 2).flatten(0, 1).numpy()
        return cls((things[..., 0] > 0).numpy(), things[..., th.THING["kind"]].argmax(-1).numpy(), things[...,
                   th.THING["colour"]].argmax(-1).numpy(), position, th.decode_camera(tokens[:, th.CAMERA_TOKEN]))
