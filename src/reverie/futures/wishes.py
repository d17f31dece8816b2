"""What is wished of a future: how the camera that looks into it moves, and what a thing of the past does otherwise."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reverie.core.camera import CameraPath
from reverie.core.errors import BadInput
from reverie.core.files import check_input
from reverie.core.moves import LIMITS, integrate
from reverie.core.vocabulary import CAMERA_CHANNELS, CAMERA_UNITS, FRAMES_PER_LATENT
from reverie.model import things as th

F = FRAMES_PER_LATENT
WORDS = ("none", "keep", "left", "right", "brake")
TURN, ADVANCE = 15.0, 0.5  # degrees/s and m/s of "left" and "right"
BRAKING = 1.0  # seconds in which "brake" comes to a stand
DEEDS = ("brake", "left", "right", "go", "vanish")
TAKES = 0.5  # seconds in which a thing does as it is told; from then on the model goes on
PUSH, STANDS = 1.0, 0.05  # m/s at least of a thing that is told to go; m/s up to which it stood
# columns of a table of actions: unit, least and greatest
CAMERA = {name: (unit, -LIMITS[name], LIMITS[name]) for name, unit in zip(CAMERA_CHANNELS, CAMERA_UNITS, strict=True)}
_EDIT = re.compile(r"(\d{1,3})\s*:\s*([a-z]+)(?:\s+at\s+(\d+(?:\.\d*)?|\.\d+))?", re.ASCII)


# -- the camera ---------------------------------------------------------------------------------------


def rates_of(actions: str, *, latents: int, frames: int, fps: float, seen: CameraPath | None
             ) -> list[dict[str, float] | None]:
    """Camera rates of each latent, as Dream.step takes them. actions: a word of WORDS, or a CSV file. seen: the last
    poses of the past. Raises BadInput, BadMedia."""
    if actions == "none":
        return [None] * latents
    if actions in WORDS:
        kept = last_rates(seen, fps) if seen is not None else np.zeros(len(CAMERA_CHANNELS))
        times = (np.arange(latents) + 0.5) * F / fps
        share = np.clip(1 - times / BRAKING, 0, 1) if actions == "brake" else np.ones(latents)
        if actions in ("left", "right"):
            kept = np.array([TURN if actions == "right" else -TURN, 0, 0, ADVANCE, 0])
        return [dict(zip(CAMERA_CHANNELS, (kept * s).tolist(), strict=True)) for s in share]
    table = read_actions(actions, frames=frames, fps=fps)
    table = np.concatenate([table, np.repeat(table[-1:], latents * F - len(table), 0)])
    return [dict(zip(CAMERA_CHANNELS, row.tolist(), strict=True)) for row in table.reshape(latents, F, -1).mean(1)]


def told_of(actions: str, seen: CameraPath | None, fps: float) -> str:
    """What is said of an action word: the model has learned camera motion, and no car."""
    if actions not in WORDS or actions == "none":
        return ""
    moves = {"left": f"the camera pans left {TURN:g} degrees and goes {ADVANCE:g} m forward a second",
             "right": f"the camera pans right {TURN:g} degrees and goes {ADVANCE:g} m forward a second",
             "keep": "the camera goes on as it moved when the past ended",
             "brake": f"the camera's motion when the past ended comes to rest within {BRAKING:g} s"}[actions]
    stood = seen is None or bool(np.abs(last_rates(seen, fps)).max() < 0.05)
    stands = " (it stood, so it stays)" if actions in ("keep", "brake") and stood else ""
    return f"the model has learned how cameras move, and no car's steering: for {actions} {moves}{stands}"


def read_actions(path: str | Path, *, frames: int, fps: float,
                 channels: Mapping[str, tuple[str, float, float]] = CAMERA,
                 missing: Sequence[float] | None = None) -> np.ndarray:
    """A CSV of actions to (frames, channels): columns by channel name, those that are ``missing`` 0 or so much each; a
    row for each frame, or rows with a rising "time" in seconds, each until the next. channels: of each its unit, least
    and greatest (default: rates of a camera). Raises BadInput, BadMedia naming file and row."""
    path = check_input(path)
    try:
        lines = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"the actions {path} are no CSV in UTF-8 ({error})") from None
    lines = [[cell.strip() for cell in line] for line in lines]
    rows = [(number, line) for number, line in enumerate(lines, 1) if any(line)]
    names = [name.lower() for name in rows[0][1]] if rows else []
    known = ", ".join(f"{name} ({unit})" for name, (unit, _, _) in channels.items())
    for name in names:
        if name not in ("time", "frame", *channels):
            raise BadInput(f"{path} row {rows[0][0]}: no model has learned the action {name[:30]!r}; columns may be "
                           f"time (s) and {known}")
    if not set(names) & set(channels) or len(set(names)) < len(names):
        raise BadInput(f"{path} row {rows[0][0] if rows else 1}: give a header with each column once: time, {known}")
    values = np.zeros((len(rows) - 1, len(names)))
    for n, (number, line) in enumerate(rows[1:]):
        if len(line) != len(names):
            raise BadInput(f"{path} row {number}: {len(line)} columns, and the header has {len(names)}")
        for c, (name, cell) in enumerate(zip(names, line, strict=True)):
            try:
                values[n, c] = float(cell)
            except ValueError:
                raise BadInput(f"{path} row {number}: {name} is {cell[:30]!r}, no number") from None
            _, least, most = channels.get(name, ("", -math.inf, math.inf))
            if not math.isfinite(values[n, c]) or not least <= values[n, c] <= most:
                raise BadInput(f"{path} row {number}: {name} is {cell[:30]}, out of its range {least:g} to {most:g}")
    if "time" in names:
        held = _held(path, [number for number, _ in rows[1:]], values[:, names.index("time")], frames, fps)
    elif len(values) != frames:
        raise BadInput(f"{path} has {len(values)} rows, and the future has {frames} frames ({frames / fps:g} s at "
                       f"{fps:g} fps): give a row for each, or a column time")
    else:
        held = np.arange(frames)
    out = np.zeros((frames, len(channels))) + (0.0 if missing is None else np.array(missing))
    for c, name in enumerate(names):
        if name in channels:
            out[:, list(channels).index(name)] = values[held, c]
    return out


def _held(path: Path, numbers: list[int], times: np.ndarray, frames: int, fps: float) -> np.ndarray:
    """Which row holds in each frame."""
    if not len(times) or times[0] > 0:
        raise BadInput(f"{path} row {numbers[0] if numbers else 2}: the first time must be 0, when the future begins")
    back = np.flatnonzero(np.diff(times) <= 0)
    if back.size:
        raise BadInput(f"{path} row {numbers[back[0] + 1]}: time goes from {times[back[0]]:g} to "
                       f"{times[back[0] + 1]:g}: it must rise")
    if times[-1] > frames / fps:
        late = int(np.argmax(times > frames / fps))
        raise BadInput(f"{path} row {numbers[late]}: time {times[late]:g} is past the future's end at "
                       f"{frames / fps:g} s")
    return np.searchsorted(times, np.arange(frames) / fps + 1e-9, side="right") - 1


def last_rates(path: CameraPath, fps: float) -> np.ndarray:
    """The rates (5,) that best explain how a camera went from the first to the last pose of a path, by Newton steps."""
    steps = len(path) - 1
    if steps < 1:
        return np.zeros(len(CAMERA_CHANNELS))

    def gap(rates: np.ndarray) -> np.ndarray:
        moved = integrate(np.tile(rates, (steps + 1, 1)), path.position[0], path.rotation[0], path.fovy, fps)
        turn = moved.rotation[-1].T.astype(float) @ path.rotation[-1]
        axis = [turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]
        return np.concatenate([path.position[-1] - moved.position[-1].astype(float), np.array(axis) / 2])

    rates, least = np.zeros(len(CAMERA_CHANNELS)), 1.0 * np.eye(len(CAMERA_CHANNELS))
    for _ in range(3):
        here = gap(rates)
        slope = np.stack([gap(rates + unit) - here for unit in least], 1)
        rates = rates - np.linalg.lstsq(slope, here, rcond=None)[0]
    limits = np.array([LIMITS[name] for name in CAMERA_CHANNELS])
    return np.clip(np.where(np.abs(rates) < 0.02, 0.0, rates), -limits, limits)


# -- things -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edit:
    """Thing ``thing`` does ``deed`` from second ``at`` of the future on."""

    thing: int
    deed: str
    at: float

    @property
    def text(self) -> str:
        """As parse_edit reads it."""
        return f"{self.thing}: {self.deed} at {self.at:g}"

    def holds(self, n: int, fps: float) -> bool:
        """Whether latent n is given."""
        first = int(self.at * fps / F)
        return first <= n < first + (1 if self.deed == "vanish" else max(1, math.ceil(TAKES * fps / F)))

    def target(self, tokens: Tensor) -> Tensor:
        """The velocity (3,) in m/s that the thing comes to, from the tokens (S, WIDTH) of the latent before. left and
        right are those of the picture; go is on along its way twice as fast, or away from the camera if it stood."""
        velocity = tokens[self.thing][th.THING["velocity"]] * th.VELOCITY_SCALE
        if self.deed in ("brake", "vanish"):
            return torch.zeros_like(velocity)
        rotation = th.cameras_of(tokens[None, None, th.CAMERA_TOKEN].float()).rotation[0, 0, -1]
        speed = velocity[:2].norm()
        if self.deed == "go":
            way = velocity[:2] if bool(speed > STANDS) else -rotation[:2, 2]
            speed = 2 * speed
        else:
            way = rotation[:2, 0] * (1 if self.deed == "right" else -1)
        level = torch.nn.functional.normalize(way, dim=0, eps=1e-6) * speed.clamp(min=PUSH)
        return torch.cat([level, velocity[2:]])

    def vector(self, n: int, tokens: Tensor, target: Tensor, fps: float) -> Tensor:
        """The thing's vector in latent n, on its way to ``target``. tokens (S, WIDTH): the latent before."""
        before = tokens[self.thing]
        if self.deed == "vanish":
            gone = torch.zeros_like(before)
            gone[0] = -1.0
            return gone
        left = (math.ceil(TAKES * fps / F) - (n - int(self.at * fps / F))) * F  # frames until it has done it
        velocity = before[th.THING["velocity"]] * th.VELOCITY_SCALE
        speeds = velocity + torch.arange(1, F + 1)[:, None] / max(left, F) * (target - velocity)
        out = th.at_positions(before, th.positions_of(before)[-1] + speeds.cumsum(0) / fps)
        out[th.THING["rotation"]] = before[th.THING["rotation"]].unflatten(-1, (2, 6))[1].repeat(2)
        out[th.THING["phase"]] = before[th.THING["phase"]].unflatten(-1, (2, 2))[:, 1:].expand(2, 2).flatten()
        out[th.THING["velocity"]] = speeds[-1] / th.VELOCITY_SCALE
        return out


def parse_edit(text: str, seconds: float) -> Edit:
    """An edit like "3: brake at 1.5". Raises BadInput."""
    found = _EDIT.fullmatch(" ".join(text.lower().split()))
    if not found or found[2] not in DEEDS:
        raise BadInput(f'the edit {text[:60]!r} is not like "3: brake at 1.5": a thing\'s number, one of '
                       f"{', '.join(DEEDS)}, and a second")
    at = float(found[3] or 0.0)
    if at >= seconds:
        raise BadInput(f"the edit {text[:60]!r} is at {at:g} s, and the future ends at {seconds:g} s")
    return Edit(int(found[1]), found[2], at)


def check_edits(edits: Sequence[Edit], names: Sequence[str], exists: Sequence[bool]) -> None:
    """Raise BadInput for an edit of a thing that is not there when the past ends."""
    there = ", ".join(f"{n} ({name})" for n, name in enumerate(names) if exists[n])
    for edit in edits:
        if edit.thing >= len(names) or not exists[edit.thing]:
            raise BadInput(f"there is no thing {edit.thing} at the end of the past: there are {there or 'none'}")
