"""From the background's motion to camera moves: which of pan, tilt, orbit, dolly and crane explain it, and how much.

A picture is taken to show ground below a horizon and something behind it, as seen from a camera some six metres from
a stage: where each pixel would go under a unit of each move is known then. Height and backdrop are not known, so a few
are tried; the fewest moves that explain what was seen are taken.

Legend: T frames, P corners, G geometries, S sets of moves, 5 moves in the order of vocabulary.CAMERA_CHANNELS.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from reverie.audit.findings import FOVY, Motion
from reverie.core.camera import look_at, project
from reverie.core.moves import DIRECTIONS, LIMITS, Move, integrate, parse_moves
from reverie.core.vocabulary import CAMERA_CHANNELS, STAGE_CENTRE

DISTANCE, TARGET = 6.0, 0.82  # metres from the stage and height looked at, as lab cameras have it on average
PITCHES = (0.06, 0.11, 0.165, 0.22, 0.27)  # radians that a camera looks down
BACKDROPS = (10.0, 20.0)  # metres to what stands behind
TYPICAL = np.array([8.0, 6.0, 20.0, 0.8, 0.7])  # of a clip's moves: what the ridge measures amounts by
RIDGE = 0.02
RIDGE_SIDE = RIDGE * np.diag(1 / TYPICAL**2)
SPARE = 0.05  # a further move must explain at least this share of what was seen
KNOWN = 0.7  # share of a clip's frames that must be known for anything to be said
NOISE = np.array([1.0, 1.0, 3.0, 0.1, 0.08])  # amounts that can't be told from none
MINOR = 0.2  # of the largest move: less is left out
LARGE = 0.35  # of what was asked for: what is seen besides up to this is no fault
SETS = tuple(np.isin(np.arange(5), chosen) for n in (1, 2, 3) for chosen in combinations(range(5), n))


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
        self._roots = np.zeros((0, 2, 2))
        self._count = 0
        self._starts: list[int] = []  # frames that are key frames
        self._frames: list[int] = []
        self._sides: list[np.ndarray] = []  # (G, 5, 5) of J'WJ
        self._rights: list[np.ndarray] = []  # (G, 5) of J'Wu
        self._squares: list[np.ndarray] = []  # (G,) of u'Wu
        self._lost: list[np.ndarray] = []  # (G,) of what was taken for no background
        self._skipped: list[int] = []

    def __len__(self) -> int:
        return self._count

    def open(self, points: np.ndarray, roots: np.ndarray) -> None:
        """The frame last added (or the first one, if none was) is a key frame with these points: see motion_key.Key."""
        self._flow, self._roots = roots @ _flows(points, self._size, self._fovy), roots
        self._starts.append(max(0, self._count - 1))

    def stay(self) -> None:
        """A frame that stands where its key frame does."""
        self._count += 1

    def skip(self) -> None:
        """A frame of which nothing is known."""
        self._skipped.append(self._count)
        self._count += 1

    def move(self, rows: np.ndarray, shift: np.ndarray) -> None:
        """A frame in which those points of the key frame have moved so far (P, 2)."""
        flow, roots = self._flow[:, rows].reshape(len(self._flow), -1, 5), self._roots[rows]
        seen = (roots @ shift[..., None]).reshape(-1)
        told = (roots**2).sum((1, 2))
        scale = 1 / max(float(told.sum()), 1e-9)
        reach = 0.4 + 0.06 * float(np.median(np.hypot(*shift.T)))
        robust = np.ones((len(flow), len(rows)))
        for _ in range(3):
            held = (flow * np.repeat(robust, 2, axis=1)[..., None]).transpose(0, 2, 1) * scale
            left, right = held @ flow, held @ seen
            off = seen - (flow @ np.linalg.solve(left + RIDGE_SIDE, right[..., None]))[..., 0]
            apart = (off**2).reshape(len(flow), -1, 2).sum(-1) / told
            robust = 1 / (1 + apart / reach**2) ** 2
        self._sides.append(left.astype(np.float32))
        self._rights.append(right.astype(np.float32))
        self._squares.append((np.repeat(robust, 2, axis=1) * seen**2).sum(1) * scale)
        self._lost.append(((1 - np.sqrt(robust)) * told).sum(1) * scale * reach**2)
        self._frames.append(self._count)
        self._count += 1

    def rates(self, fps: float) -> np.ndarray:
        """Rates (T, 5) per second; NaN where nothing is known."""
        steps = np.diff(self._solve(), axis=0, prepend=np.zeros((1, 5))) * fps
        steps[self._skipped] = np.nan
        return steps

    def _solve(self) -> np.ndarray:
        path = np.zeros((self._count, 5))
        if not self._frames:
            return path
        sides, rights = np.stack(self._sides).astype(float), np.stack(self._rights).astype(float)
        starts = np.array(self._starts)
        span = np.searchsorted(starts, np.array(self._frames) - 1, side="right")
        last = np.flatnonzero(np.diff(span, append=span[-1] + 1))  # the last moved frame of each key frame
        best = (np.inf, 0, SETS[-1])
        total = np.sum([self._squares[n] for n in last], axis=0)
        lost = np.sum([self._lost[n] for n in last], axis=0)
        for chosen in SETS:
            a, b = sides[last][..., chosen, :][..., chosen], rights[last][..., chosen]
            x = np.linalg.solve(a + RIDGE_SIDE[np.ix_(chosen, chosen)], b[..., None])[..., 0]
            left = total - (2 * (x * b).sum(-1) - (x[..., None, :] @ a @ x[..., None])[..., 0, 0]).sum(0)
            cost = left + lost + SPARE * total * chosen.sum()
            g = int(cost.argmin())
            if cost[g] < best[0]:
                best = (float(cost[g]), g, chosen)
        _, g, chosen = best
        x = np.linalg.solve(sides[:, g][:, chosen][:, :, chosen] + RIDGE_SIDE[np.ix_(chosen, chosen)],
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


def words(rates: np.ndarray, fps: float) -> str:
    """The moves that rates (T, 5) make over a clip, as core.moves has them; "still"; "" where too little is known."""
    known = np.isfinite(rates).all(1)
    if not len(known) or known.mean() < KNOWN:
        return ""
    return _said(np.nansum(rates, axis=0) / fps)


def _said(total: np.ndarray) -> str:
    """Amounts (5,) in words; what can't be told from noise, or is little beside the rest, is left out."""
    share = np.abs(total) / TYPICAL
    keep = (np.abs(total) >= NOISE) & (share >= MINOR * share.max())
    moves = [Move(kind, DIRECTIONS[kind][0 if amount > 0 else 1], float(f"{min(abs(amount), LIMITS[kind]):.2g}"))
             for kind, amount, kept in zip(CAMERA_CHANNELS, total, keep, strict=True) if kept]
    return ", ".join(move.text for move in moves) or "still"


def path_score(motion: Motion, moves: tuple[Move, ...]) -> tuple[float | None, str]:
    """How well the motion agrees with the moves asked for, 0..1 (None: it can't be judged), and what was seen.

    1 when each kind asked for is there in its direction with half to twice its amount and nothing large besides; a
    move the wrong way or not made counts 0, one too small or too large in between; what was not asked for takes its
    share of the whole away. "still" counts 1 when nothing moved.
    """
    seen = motion.moves
    if not seen or not moves:
        return None, "the camera's motion can't be told"
    total = np.zeros(5)
    for move in parse_moves(seen):
        if move.kind != "still":
            total[CAMERA_CHANNELS.index(move.kind)] = move.signed
    share = np.abs(total) / TYPICAL
    if moves[0].kind == "still":
        return float(np.clip(1 - share.sum() / 0.5, 0, 1)), seen
    asked = {CAMERA_CHANNELS.index(move.kind): move.signed for move in moves}
    if all(abs(amount) < NOISE[k] for k, amount in asked.items()):
        return None, f"{seen}; so little can't be told from none"
    scores, weights = [], []
    for k, amount in asked.items():
        ratio = float(total[k] / amount)
        scores.append(0.0 if ratio <= 0 else min(1.0, 2 * ratio, 2 / ratio))
        weights.append(abs(amount) / TYPICAL[k])
    wanted = sum(weights)
    besides = sum(float(share[k]) for k in range(5) if k not in asked)
    fair = wanted / (wanted + max(0.0, besides - LARGE * wanted))
    return float(np.average(scores, weights=weights)) * fair, seen


def stage_warp(motion: Motion, fps: float, size: tuple[int, int], *, fovy: float = FOVY, distance: float = DISTANCE
               ) -> np.ndarray:
    """Where things at rest on the stage go, as the moves seen say: affine maps (T, 2, 3) like Motion.warp.

    Motion.warp is the background's; under an orbit, a dolly or a crane what stands nearer moves otherwise, and this is
    the map for things ``distance`` metres away, of size H, W in pixels. Unknown steps are taken for none.
    """
    height, width = size
    place = np.array([0.0, -distance * np.cos(0.165), TARGET + distance * np.sin(0.165)])
    view = look_at(place, np.array([0.0, 0.0, TARGET]))
    points = np.array([[x, 0.0, z] for x in (-1.3, 0.0, 1.3) for z in (0.1, 0.8, 1.5)])
    rates = np.nan_to_num(np.asarray(motion.rates, float))
    warps = np.tile(np.eye(2, 3), (len(rates), 1, 1))
    bounds = [0, *motion.cuts, len(rates)]
    for start, stop in zip(bounds, bounds[1:], strict=False):
        if not rates[start:stop].any():
            continue
        path = integrate(rates[start:stop], place, view, fovy, fps)
        pixels, _ = project(points, path.position[:, None].astype(float), path.rotation[:, None].astype(float), fovy,
                            height, width)
        base = np.concatenate([pixels[0], np.ones((len(points), 1))], 1)
        warps[start:stop] = (np.linalg.pinv(base) @ pixels).transpose(0, 2, 1)
    return warps.astype(np.float32)
