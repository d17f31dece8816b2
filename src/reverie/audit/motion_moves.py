"""From the background's motion to camera moves: which of pan, tilt, orbit, dolly and crane explain it, and how much.

A picture is taken to show ground below a horizon and something behind it, as seen from a camera some six metres from
a stage: where each pixel would go under a unit of each move is known then. Height and backdrop are not known, so a few
are tried; the fewest moves that explain what was seen are taken.

Legend: T frames, P corners, G geometries, S sets of moves, 5 moves in the order of vocabulary.CAMERA_CHANNELS.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from reverie.audit.findings import Motion
from reverie.core.camera import look_at
from reverie.core.moves import DIRECTIONS, Move
from reverie.core.vocabulary import CAMERA_CHANNELS, STAGE_CENTRE

DISTANCE, TARGET = 6.0, 0.82  # metres from the stage and height looked at, as lab cameras have it on average
PITCHES = (0.06, 0.11, 0.165, 0.22, 0.27)  # radians that a camera looks down
BACKDROPS = (10.0, 20.0)  # metres to what stands behind
TYPICAL = np.array([8.0, 6.0, 20.0, 0.8, 0.7])  # of a clip's moves: what the ridge measures amounts by
RIDGE = 0.02
SPARE = 0.1  # a further move must explain at least this share of what was seen
SETS = tuple(np.isin(np.arange(5), chosen) for n in (1, 2) for chosen in combinations(range(5), n)) + (
    np.ones(5, bool),)


def _flows(points: np.ndarray, size: tuple[int, int], fovy: float) -> np.ndarray:
    """How background points (P, 2) move in pixels for one unit (degree or metre) of each move: (G, P, 2, 5)."""
    h, w = size
    focal = 0.5 * h / np.tan(np.radians(fovy) / 2)
    rays = np.stack([(points[:, 0] - 0.5 * w) / focal, -(points[:, 1] - 0.5 * h) / focal, -np.ones(len(points))], 1)
    out = []
    for pitch in PITCHES:
        place = np.array([0.0, -DISTANCE * np.cos(pitch), TARGET + DISTANCE * np.sin(pitch)])
        view = look_at(place, np.array([0.0, 0.0, TARGET])).astype(float)
        down = -(rays @ view.T)[:, 2]
        ground = np.where(down > 1e-3, place[2] / np.maximum(down, 1e-3), np.inf)
        up = view.T @ [0.0, 0.0, 1.0]
        turn = np.radians(1.0)
        arm = np.cross([0.0, 0.0, turn], place - np.array(STAGE_CENTRE)) @ view
        spins = np.stack([-turn * up, turn * np.array([1.0, 0, 0]), turn * up, np.zeros(3), np.zeros(3)])
        steps = np.stack([np.zeros(3), np.zeros(3), arm, np.array([0.0, 0, -1]), up])
        for backdrop in BACKDROPS:
            depth = np.minimum(ground, backdrop)
            local = rays * depth[:, None]
            change = -steps[:, None] - np.cross(spins[:, None], local[None])  # (5, P, 3)
            x = focal * (change[..., 0] + rays[:, 0] * change[..., 2]) / depth
            y = -focal * (change[..., 1] + rays[:, 1] * change[..., 2]) / depth
            out.append(np.stack([x, y], -1).transpose(1, 2, 0))
    return np.stack(out)


class Shot:
    """The equations of one shot, frame by frame: what the corners of key frames did. size: h, w looked at."""

    def __init__(self, size: tuple[int, int], fovy: float) -> None:
        self._size, self._fovy = size, fovy
        self._flow = np.zeros((len(PITCHES) * len(BACKDROPS), 0, 2, 5))
        self._count = 0
        self._starts: list[int] = []  # frames that are key frames
        self._frames: list[int] = []
        self._sides: list[np.ndarray] = []  # (G, 5, 5) of J'WJ
        self._rights: list[np.ndarray] = []  # (G, 5) of J'Wu
        self._squares: list[float] = []  # u'Wu
        self._skipped: list[int] = []

    def __len__(self) -> int:
        return self._count

    def open(self, corners: np.ndarray) -> None:
        """The frame last added (or the first one, if none was) is a key frame with these corners (P, 2)."""
        self._flow = _flows(corners, self._size, self._fovy)
        self._starts.append(max(0, self._count - 1))

    def stay(self) -> None:
        """A frame that stands where its key frame does."""
        self._count += 1

    def skip(self) -> None:
        """A frame of which nothing is known."""
        self._skipped.append(self._count)
        self._count += 1

    def move(self, rows: np.ndarray, shift: np.ndarray, weight: np.ndarray) -> None:
        """A frame in which those corners have moved so (P, 2) from the key frame, with weights (P,) 0..1."""
        flow = self._flow[:, rows]
        share = (weight / len(rows))[:, None, None]
        wide = (flow * share).reshape(len(flow), -1, 5)
        narrow = flow.reshape(len(flow), -1, 5)
        self._sides.append(wide.transpose(0, 2, 1) @ narrow)
        self._rights.append(wide.transpose(0, 2, 1) @ shift.reshape(-1))
        self._squares.append(float((share[:, 0] * shift**2).sum()))
        self._frames.append(self._count)
        self._count += 1

    def amounts(self) -> np.ndarray:
        """What each frame has moved since the shot began, (T, 5) in degrees and metres."""
        return self._amounts

    def rates(self, fps: float) -> np.ndarray:
        """Rates (T, 5) per second; NaN where nothing is known."""
        self._amounts = self._solve()
        steps = np.diff(self._amounts, axis=0, prepend=self._amounts[:1] if self._count else None) * fps
        steps[self._skipped] = np.nan
        return steps

    def _solve(self) -> np.ndarray:
        path = np.zeros((self._count, 5))
        if not self._frames:
            return path
        ridge = RIDGE * np.diag(1 / TYPICAL**2)
        sides, rights = np.stack(self._sides), np.stack(self._rights)
        starts = np.array(self._starts)
        span = np.searchsorted(starts, np.array(self._frames) - 1, side="right")
        last = np.flatnonzero(np.diff(span, append=span[-1] + 1))  # the last moved frame of each key frame
        best = (np.inf, 0, SETS[-1])
        total = sum(self._squares[n] for n in last)
        for chosen in SETS:
            a, b = sides[np.ix_(last, range(sides.shape[1]), chosen, chosen)], rights[last][..., chosen]
            x = np.linalg.solve(a + ridge[np.ix_(chosen, chosen)], b[..., None])[..., 0]
            left = total - (2 * (x * b).sum(-1) - (x[..., None, :] @ a @ x[..., None])[..., 0, 0]).sum(0)
            cost = left + SPARE * total * min(3, chosen.sum())
            g = int(cost.argmin())
            if cost[g] < best[0]:
                best = (float(cost[g]), g, chosen)
        _, g, chosen = best
        x = np.linalg.solve(sides[:, g][:, chosen][:, :, chosen] + ridge[np.ix_(chosen, chosen)],
                            rights[:, g][:, chosen][..., None])[..., 0]
        since = np.full((self._count, int(chosen.sum())), np.nan)
        since[self._frames] = x
        at = np.zeros(x.shape[1])
        bounds = [*self._starts, self._count]
        full = np.zeros((self._count, x.shape[1]))
        for start, stop in zip(bounds, bounds[1:], strict=False):
            full[start] = at
            for t in range(start + 1, min(stop + 1, self._count)):
                if t in self._skipped:
                    full[t] = full[t - 1]
                else:
                    full[t] = at if np.isnan(since[t, 0]) else at + since[t]
            at = full[min(stop, self._count - 1)]
        path[:, chosen] = full
        return path


NOISE = np.array([1.0, 1.0, 3.0, 0.1, 0.08])  # amounts that can't be told from none


def words(shots: Sequence[Shot], known: np.ndarray) -> str:
    """The moves of a clip as core.moves has them, "still", or "" where too little is known."""
    if not len(known) or known.mean() < 0.7:
        return ""
    total = np.sum([shot.amounts()[-1] for shot in shots if len(shot)], axis=0)
    said = []
    for kind, amount, least in zip(CAMERA_CHANNELS, total, NOISE, strict=True):
        if abs(amount) >= least:
            said.append(Move(kind, DIRECTIONS[kind][0 if amount > 0 else 1], float(f"{abs(amount):.2g}")))
    return ", ".join(move.text for move in said) or "still"


def path_score(motion: Motion, moves: tuple[Move, ...]) -> tuple[float | None, str]:
    """How well the motion agrees with the moves asked for, 0..1 (None: can't be judged), and what was seen."""
    return None, ""
