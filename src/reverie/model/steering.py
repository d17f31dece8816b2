"""Where the camera of a dream is told to be: along moves that were asked for, or at rates given latent by latent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from reverie.core.camera import CameraPath, look_at
from reverie.core.errors import BadInput
from reverie.core.moves import LIMITS, Move, camera_path, integrate
from reverie.core.vocabulary import ACTION_SCALE, CAMERA_CHANNELS, FRAMES_PER_LATENT, STAGE_CENTRE
from reverie.model import things as th

FIRST_CAMERA = (0.0, -6.0, 1.8)  # metres; where a camera that is driven begins
F = FRAMES_PER_LATENT
Pose = tuple[np.ndarray, np.ndarray, float]  # position (3,), rotation (3, 3) and fovy
ACROSS, ALONG, AROUND = 11.0, (-8.0, 7.0), 38.0  # degrees that the stage may be off the view's middle; gone around it
HIGH, OFF = (0.55, 3.2), (4.5, 7.6)  # metres above the ground, and from the stage


class Steering:
    """The camera of one dream. moves: over the whole length of ``latents``, or (start second, moves) for each part.
    opening: where they begin if nothing was before; None is FIRST_CAMERA."""

    def __init__(self, moves: Sequence, latents: int, fps: float, opening: CameraPath | None = None) -> None:
        self.fps, self.latents, self.opening = fps, latents, opening
        if moves and isinstance(moves[0], Move):
            moves = [(0.0, moves)]
        self.moves = [(start, part) for start, part in moves if part]
        self.plan: tuple[Tensor, Tensor] | None = None  # the moves' vectors and actions, once the dream begins
        self.pose: Pose | None = None  # once it was driven

    def at(self, n: int, before: Tensor | None, rates: Mapping[str, float] | None) -> tuple[Tensor, Tensor] | None:
        """Camera vector (WIDTH,) and actions (4 A,) of latent n; None where nobody says.

        before: the camera's vector one latent earlier, None where there is none. rates: see ``checked_rates``; None
        goes on along the moves, or stands still once it was driven.
        """
        if rates is not None or self.pose is not None:
            return self._driven(n, before, rates or {})
        if self.moves and self.plan is None:
            start = self.opening if before is None else th.decode_camera(before[None].numpy())
            self.plan = camera_vectors(self.moves, start, self.latents, self.fps)
        if self.plan is None:
            return None
        vectors, actions = self.plan
        if n < len(vectors):
            return vectors[n], actions[n]
        end = th.decode_camera(vectors[-1:].numpy())[-1:]  # past the last move it stands
        stands = CameraPath(end.position.repeat(F, 0), end.rotation.repeat(F, 0), end.fovy)
        return torch.from_numpy(th.encode_camera(stands))[0], torch.zeros_like(actions[-1])

    def _driven(self, n: int, before: Tensor | None, rates: Mapping[str, float]) -> tuple[Tensor, Tensor]:
        if self.pose is None:
            if before is None and self.plan is not None and n > 0:
                before = self.plan[0][min(n, self.latents) - 1]
            start = None if before is None else th.decode_camera(before[None].numpy())
            self.pose = first_pose(start)
        opening = n == 0 and before is None  # frame 0 is the first pose itself
        actions = np.zeros((F + 1, len(CAMERA_CHANNELS)), np.float32)
        actions[1:] = [rates.get(name, 0.0) for name in CAMERA_CHANNELS]
        part = slice(0, F) if opening else slice(1, F + 1)
        path, actions = integrate(actions, *self.pose, self.fps)[part], actions[part]
        self.pose = path.position[-1], path.rotation[-1], path.fovy
        return torch.from_numpy(th.encode_camera(path))[0], _scaled(actions, 1)[0]


def checked_rates(rates: Mapping[str, float]) -> dict[str, float]:
    """Camera rates per second by channel, degrees for pan, tilt and orbit, metres for dolly and crane, missing ones 0.

    Raises BadInput for a channel that is none, and for a rate beyond what a second may hold.
    """
    for name, value in rates.items():
        if name not in CAMERA_CHANNELS:
            raise BadInput(f"camera rate {str(name)[:30]!r}: the channels are {', '.join(CAMERA_CHANNELS)}")
        if not (isinstance(value, (int, float, np.number)) and math.isfinite(value) and abs(value) <= LIMITS[name]):
            raise BadInput(f"camera rate {name}: {str(value)[:30]} is not a number from -{LIMITS[name]:g} to "
                           f"{LIMITS[name]:g} per second")
    return {name: float(value) for name, value in rates.items()}


def in_sight(path: CameraPath) -> bool:
    """Whether a camera sees the stage all along a path, from where cameras of truth stay (data/scenes/view.py)."""
    gap = np.array(STAGE_CENTRE) - path.position
    right, up, back = np.moveaxis(np.einsum("ti,tij->tj", gap, path.rotation), 1, 0)
    across, along = (np.degrees(np.arctan2(side, -back)) for side in (right, up))
    around = np.degrees(np.arctan2(path.position[:, 0], -path.position[:, 1]))
    far, high = np.linalg.norm(gap, axis=1), path.position[:, 2]
    return all(bool(((low < value) & (value < most)).all()) for value, (low, most) in (
        (across, (-ACROSS, ACROSS)), (along, ALONG), (around, (-AROUND, AROUND)), (far, OFF), (high, HIGH)))


def opening_camera(seed: int) -> CameraPath:
    """A camera (one pose) that faces the stage, by chance as those of truth begin (data/scenes/view.py)."""
    rng = np.random.default_rng([seed, 61])
    far, aside, above = rng.uniform(5.7, 6.4), rng.uniform(-0.17, 0.17), rng.uniform(0.06, 0.27)
    target = np.array([rng.uniform(-0.1, 0.1), 0.0, rng.uniform(0.72, 0.92)])
    place = target + far * np.array([np.sin(aside) * np.cos(above), -np.cos(aside) * np.cos(above), np.sin(above)])
    return CameraPath(place[None].astype(np.float32), look_at(place, target)[None], rng.uniform(38.5, 41.5))


def first_pose(start: CameraPath | None) -> Pose:
    """Position (3,), rotation (3, 3) and fovy at the end of a path, or of the camera that a clip begins with."""
    if start is not None:
        return start.position[-1], start.rotation[-1], start.fovy
    return np.array(FIRST_CAMERA), look_at(np.array(FIRST_CAMERA), np.array(STAGE_CENTRE)), 40.0


def camera_vectors(path: list[tuple[float, Sequence[Move]]], start: CameraPath | None, latents: int,
                   fps: float) -> tuple[Tensor, Tensor]:
    """The camera's vectors (latents, WIDTH) and actions (latents, 4 A) along the moves that were asked for."""
    position, rotation, fovy = first_pose(start)
    frames = latents * F
    bounds = [min(round(begin * fps), frames) for begin, _ in path] + [frames]
    positions, rotations, actions = [], [], np.zeros((frames, len(ACTION_SCALE)), np.float32)
    positions.append(np.repeat(position[None], bounds[0], 0))
    rotations.append(np.repeat(rotation[None], bounds[0], 0))
    for (_, part), begin, end in zip(path, bounds[:-1], bounds[1:], strict=True):
        if end <= begin:
            continue
        piece, rates = camera_path(tuple(part), position, rotation, fovy, end - begin, fps)
        positions.append(piece.position)
        rotations.append(piece.rotation)
        actions[begin:end] = rates
        position, rotation = piece.position[-1], piece.rotation[-1]
    whole = CameraPath(np.concatenate(positions)[:frames].astype(np.float32),
                       np.concatenate(rotations)[:frames].astype(np.float32), fovy)
    return torch.from_numpy(th.encode_camera(whole)), _scaled(actions, latents)


def _scaled(actions: np.ndarray, latents: int) -> Tensor:
    """Actions (4 latents, A) per second as the network sees them, (latents, 4 A)."""
    return torch.from_numpy((actions / np.array(ACTION_SCALE, np.float32)).reshape(latents, -1))
