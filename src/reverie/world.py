"""A World: a model that has been loaded, and the one path through it, ``World.imagine``.

Knows nothing of files but its own weights, and nothing of HTTP.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reverie.core.camera import CameraPath, look_at, project
from reverie.core.clip import Line
from reverie.core.errors import BadInput, BadWeights
from reverie.core.moves import Move, camera_path
from reverie.core.vocabulary import ACTION_SCALE, COLOURS, FRAMES_PER_LATENT, KINDS, MAX_THINGS, SETTINGS, STAGE_CENTRE
from reverie.model import things as th
from reverie.model.checkpoint import content_hash, load_into, load_model
from reverie.model.rollout import Conditions, Rollout, Sampling
from reverie.model.text import TokenVectors, unknown_words
from reverie.model.tokenizer import Tokenizer
from reverie.model.transformer import Config, Text, Transformer

WEIGHTS = Path(__file__).parent / "weights"
FIRST_CAMERA = (0.0, -6.0, 1.8)  # metres; where a camera path that is asked for begins
CONTEXT_SECONDS = 8.0  # of a past video; more of it is not looked at
F = FRAMES_PER_LATENT


@dataclass
class Block:
    """Frames as they are made: uint8 (n, H, W, 3) from frame ``start`` on, and the things in them, one
    dictionary per thing and frame: frame, time, thing (its number), kind, colour, position [x, y, z] in
    metres, velocity in m/s, box [x0, y0, x1, y1] in pixels (None out of the picture). vectors: the latent's tokens
    (S, WIDTH) as model/things.py has them, None where none were imagined."""

    start: int
    frames: np.ndarray
    things: list[dict] = field(default_factory=list)
    vectors: np.ndarray | None = None


@dataclass
class World:
    """A tokenizer and a transformer that belong together."""

    tokenizer: Tokenizer
    transformer: Transformer
    meta: dict
    hash: str
    name: str
    vectors: TokenVectors | None = None  # loaded from the text package when it is first needed

    @classmethod
    def load(cls, name: str | Path = "base") -> World:
        """The model of that name in the package, or of a folder with tokenizer and transformer weights.

        Raises BadInput for a name that is neither, BadWeights for files that are damaged or do not fit.
        """
        folder = WEIGHTS if str(name) == "base" else Path(name)
        if not folder.is_dir():
            raise BadInput(f"no model {str(name)!r}: 'base', or a folder with tokenizer.safetensors and "
                           "transformer.safetensors")
        tokenizer = Tokenizer.load(folder / "tokenizer.safetensors").eval()
        tensors, meta = load_model(folder / "transformer.safetensors")
        try:
            config = Config(**meta["config"])
        except (KeyError, TypeError) as error:
            raise BadWeights(f"{folder / 'transformer.safetensors'} has no usable config ({error})") from None
        transformer = Transformer(config)
        load_into(transformer, tensors, folder / "transformer.safetensors")
        if config.channels != tokenizer.config.channels:
            raise BadWeights(f"the tokenizer and the transformer in {folder} do not belong together")
        both = content_hash(folder / "tokenizer.safetensors") + content_hash(folder / "transformer.safetensors")
        return cls(tokenizer, transformer.eval(), meta, both, str(name))

    @property
    def default_size(self) -> tuple[int, int]:
        """(H, W) that the model was trained at."""
        return tuple(self.meta.get("size", (128, 128)))

    @property
    def fps(self) -> float:
        """Frames per second that the model was trained at."""
        return float(self.meta.get("fps", 24.0))

    def unknown_words(self, text: str) -> list[str]:
        """Words of a prompt that the model never met in training."""
        return unknown_words(text, set(self.meta.get("words", [])))

    @torch.inference_mode()
    def imagine(self, script: Sequence[Line], *, seconds: float, size: tuple[int, int] | None = None,
                fps: float | None = None, seed: int = 0, steps: int | None = None,
                guidance: float | None = None, past: np.ndarray | None = None, goal: np.ndarray | None = None,
                loop: bool = False, moves: Sequence[Move] | Sequence[tuple[float, Sequence[Move]]] = (),
                things: bool = True) -> Iterator[Block]:
        """Imagine ``seconds`` of video, block by block of four frames, as it is made.

        script: lines by start time, the first at 0. size (H, W): multiples of 32. steps: denoising steps
        of a latent (default: the model's). past: uint8 (T, H, W, 3) frames at fps that it goes on from
        (the last 8 s count, and they are not yielded again; an image is T = 1, and the video begins with
        it). goal: an end image, uint8 (H, W, 3). loop: end where it began. moves: camera moves over the
        whole length, or (start second, moves) for each part. things=False: pictures alone.
        """
        height, width = size or self.default_size
        fps = fps or self.fps
        frames = max(1, round(seconds * fps))
        latents = math.ceil(frames / F)
        spatial = self.tokenizer.config.spatial
        sampling = Sampling.of(self.meta, steps=steps, things_steps=steps, guidance=guidance)
        # pictures that were given are gone on from as pictures: 20.1 dB a second after a true past, 15.2 if its things
        # are guessed and drawn
        drawn = things and past is None and goal is None and not loop
        rollout = Rollout(
            self.transformer, self._encode_text(script), fps=torch.tensor([fps]),
            grid=(height // spatial, width // spatial), generator=torch.Generator().manual_seed(seed),
            sampling=sampling, with_things=things, with_views=self.paints(sampling, drawn))
        given = self._encode_past(past, fps) if past is not None else []
        still = past is not None and len(past) == 1
        first = 0 if still else -len(given)  # the latent at which the clip begins
        script = list(script) or [Line(0.0, "")]
        schedule = _Schedule(script, fps)
        camera, decoder = None, None
        if goal is not None:
            rollout.aim(schedule.at(latents - 1), self._encode_still(goal), latents - 1 - first)
        path = _moves_by_time(moves)
        for n in range(first, latents):
            number = n - first
            conditions = schedule.at(n)
            if path and camera is None and n >= 0:
                seen_from = rollout.things[0, None, th.CAMERA_TOKEN] if number and things else None
                start = None if seen_from is None else th.decode_camera(seen_from.numpy())
                camera = _camera_vectors(path, start, latents, fps)
            known = _known_camera(camera, n, things)
            if camera is not None and n >= 0:
                conditions = Conditions(conditions.line, conditions.since, camera[1][n][None])
            view = given[number] if number < len(given) else None
            vectors, latent = rollout.step(conditions, view=view, things=known[0], known=known[1])
            pixels, decoder = self.decode(latent, vectors if drawn else None, decoder, sampling, size=(height, width))
            if n < 0:
                continue
            picture = ((pixels[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
            if n == 0 and loop:
                again = self._encode_still(picture[0])
                rollout.aim(schedule.at(latents - 1), again, latents - 1 - first)
            picture = picture[: frames - n * F]
            seen = describe(vectors[0].numpy(), n * F, fps, height, width, len(picture)) if things else []
            yield Block(n * F, picture, seen, vectors[0].numpy() if things else None)

    # -- decoding -----------------------------------------------------------------------------------------

    def paints(self, sampling: Sampling, things: bool) -> bool:
        """Whether views have to be painted to be seen: not where things alone make the picture, drawn on a canvas."""
        return not things or sampling.haze < 1 or not self.tokenizer.config.canvas

    def decode(self, view: Tensor | None, tokens: Tensor | None, state: list[Tensor] | None, sampling: Sampling, *,
               size: tuple[int, int]) -> tuple[Tensor, list[Tensor]]:
        """One latent's pictures (B, F, H, W, 3) in [-1, 1] and the state for the next latent.

        view (B, h, w, C): as painted or given, None where nothing was. tokens (B, S, WIDTH): the things in it; None
        for a view that was given, or painted without things.
        """
        if view is None:
            side = self.tokenizer.config.spatial
            view = torch.zeros(len(tokens), size[0] // side, size[1] // side, self.tokenizer.config.channels)
        level = sampling.haze if tokens is not None else 0.0
        return self.tokenizer.decode(view[:, None], state, None if tokens is None else tokens[:, None], level)

    # -- encoding -----------------------------------------------------------------------------------------

    def _encode_text(self, script: Sequence[Line]) -> Text:
        source = self.vectors = self.vectors or TokenVectors.load()
        rows = [torch.from_numpy(source.encode(line.text)[1]) for line in script] or [torch.zeros(0, 1)]
        longest = max(1, max(len(row) for row in rows))
        vectors = torch.zeros(1, len(rows), longest, self.transformer.config.text)
        mask = torch.zeros(1, len(rows), longest, dtype=torch.bool)
        for r, row in enumerate(rows):
            vectors[0, r, : len(row)] = row
            mask[0, r, : len(row)] = True
        return self.transformer.encode_text(vectors, mask)

    def _encode_past(self, past: np.ndarray, fps: float) -> list[Tensor]:
        """Past frames to a list of latents (1, H, W, C), one still or whole groups of four, the last 8 s."""
        if len(past) == 1:
            return [self._encode_still(past[0])]
        keep = int(min(len(past), CONTEXT_SECONDS * fps)) // F * F
        frames = past[len(past) - keep :] if keep else np.repeat(past[:1], F, 0)
        latents, _ = self.tokenizer.encode(_pixels(frames))
        near, state = self.transformer.config.views_window, None  # what the first new picture sees of them is refined
        if len(frames) > near * F:
            _, state = self.tokenizer.decode(latents[:, :-near])
        fine = self.tokenizer.refined(latents[:, -near:], _pixels(frames)[:, -near * F :], state)
        return [*latents[:, :-near].unbind(1), *fine.unbind(1)]

    def _encode_still(self, image: np.ndarray) -> Tensor:
        """An image (H, W, 3) to the latent (1, H, W, C) of four equal frames."""
        frames = _pixels(np.repeat(image[None], F, 0))
        return self.tokenizer.refined(self.tokenizer.encode(frames)[0], frames)[:, 0]


def _pixels(frames: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames))[None].float() / 127.5 - 1


class _Schedule:
    """Which line of the script holds in which latent."""

    def __init__(self, script: Sequence[Line], fps: float) -> None:
        self.starts = np.array([line.start for line in script])
        self.fps = fps
        self.unknown = torch.full((1, F * len(ACTION_SCALE)), torch.nan)

    def at(self, n: int) -> Conditions:
        """What holds in latent n; before the beginning, the first line with its clock at zero."""
        time = max(n, 0) * F / self.fps
        line = max(int(np.searchsorted(self.starts, time + 1e-6, side="right")) - 1, 0)
        return Conditions(torch.tensor([line]), torch.tensor([max(time - self.starts[line], 0.0)],
                                                             dtype=torch.float32), self.unknown)


def _moves_by_time(moves: Sequence) -> list[tuple[float, Sequence[Move]]]:
    if moves and isinstance(moves[0], Move):
        return [(0.0, moves)]
    return [(start, part) for start, part in moves if part]


def _camera_vectors(path: list[tuple[float, Sequence[Move]]], start: CameraPath | None, latents: int,
                    fps: float) -> tuple[Tensor, Tensor]:
    """The camera's vectors (latents, WIDTH) and actions (latents, 4 A) along the moves that were asked for."""
    if start is None:
        position, fovy = np.array(FIRST_CAMERA), 40.0
        rotation = look_at(position, np.array(STAGE_CENTRE))
    else:
        position, rotation, fovy = start.position[-1], start.rotation[-1], start.fovy
    frames = latents * F
    bounds = [round(begin * fps) for begin, _ in path] + [frames]
    positions, rotations, actions = [], [], np.zeros((frames, len(ACTION_SCALE)), np.float32)
    at = min(bounds[0], frames)
    positions.append(np.repeat(position[None], at, 0))
    rotations.append(np.repeat(rotation[None], at, 0))
    for (_, part), begin, end in zip(path, bounds[:-1], bounds[1:], strict=True):
        if end <= begin:
            continue
        piece, rates = camera_path(part, position, rotation, fovy, end - begin, fps)
        positions.append(piece.position)
        rotations.append(piece.rotation)
        actions[begin:end] = rates
        position, rotation = piece.position[-1], piece.rotation[-1]
    whole = CameraPath(np.concatenate(positions)[:frames].astype(np.float32),
                       np.concatenate(rotations)[:frames].astype(np.float32), fovy)
    scaled = actions / np.array(ACTION_SCALE, np.float32)
    return torch.from_numpy(th.encode_camera(whole)), torch.from_numpy(scaled.reshape(latents, -1))


def _known_camera(camera: tuple[Tensor, Tensor] | None, n: int, things: bool) -> tuple[Tensor | None, Tensor | None]:
    if camera is None or n < 0 or not things:
        return None, None
    given = torch.zeros(1, th.TOKENS, th.WIDTH)
    given[0, th.CAMERA_TOKEN] = camera[0][n]
    known = torch.zeros(1, th.TOKENS, dtype=torch.bool)
    known[0, th.CAMERA_TOKEN] = True
    return given, known


def describe(vectors: np.ndarray, start: int, fps: float, height: int, width: int, count: int = F) -> list[dict]:
    """Thing vectors (S, WIDTH) of one latent to JSON-ready rows, see Block."""
    camera = th.decode_camera(vectors[None, th.CAMERA_TOKEN])
    things = torch.from_numpy(vectors[:MAX_THINGS].astype(np.float32))
    positions, rotations = th.positions_of(things).numpy(), th.rotations_of(things).numpy()
    extents = th.extents_of(things).numpy()
    corners = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), -1).reshape(8, 3)
    setting = SETTINGS[int(vectors[th.SETTING_TOKEN, : len(SETTINGS)].argmax())]
    rows = []
    for slot in np.flatnonzero(vectors[:MAX_THINGS, 0] > 0):
        kind = KINDS[min(int(vectors[slot, th.THING["kind"]].argmax()), len(KINDS) - 1)]
        colour = list(COLOURS)[min(int(vectors[slot, th.THING["colour"]].argmax()), len(COLOURS) - 1)]
        velocity = vectors[slot, th.THING["velocity"]] * th.VELOCITY_SCALE
        for f in range(count):
            turned = rotations[slot, f // 2] @ (corners * extents[slot]).T
            pixels, depth = project(positions[slot, f] + turned.T, camera.position[f], camera.rotation[f],
                                    camera.fovy, height, width)
            box = None
            if (depth > 0.1).all():
                low = np.clip(pixels.min(0), 0, (width, height))
                high = np.clip(pixels.max(0), 0, (width, height))
                box = [round(float(v), 1) for v in (*low, *high)] if (high - low).min() > 0 else None
            rows.append({"frame": start + f, "time": round((start + f) / fps, 4), "thing": int(slot), "kind": kind,
                         "colour": colour, "position": [round(float(v), 3) for v in positions[slot, f]],
                         "velocity": [round(float(v), 3) for v in velocity], "box": box, "setting": setting})
    return rows


def models() -> list[dict]:
    """The models that ship with the package: name, files, sizes in bytes, what they were made with."""
    found = []
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        try:
            meta = load_model(path)[1]
        except BadWeights as error:
            meta = {"error": str(error)}
        found.append({"name": path.stem, "bytes": path.stat().st_size,
                      **{k: meta[k] for k in ("kind", "recipe", "commit", "scores", "error", "size") if k in meta}})
    return json.loads(json.dumps(found, default=str))
