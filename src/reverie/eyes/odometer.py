"""A probe that reads from what a car's cameras see how fast it goes and turns; nobody tells it what was asked for.

The ground around the car, seen from above, is laid over what a later picture shows of it, after each way and turn that
a car may make in between; how well patches of it fit says how likely each is. The way of a whole ride is then the
likeliest in which a car brakes no harder and gains speed no faster than it can. What stands above the ground, and who
else drives, fits elsewhere, and is what it errs by. Its few numbers were set on MuJoCo's pictures of towns of the
training split, where the truth is known.

Legend: L latents (a picture of each moment, L + 1), C cameras, H W pixels, K ways and turns, N spots of the ground.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.core.errors import ReverieError
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.road.driver import EAGER, HARDEST, TIGHTEST
from reverie.data.road.rig import Mount

GREY = np.array([0.299, 0.587, 0.114], np.float32)
STEP, PATCH = 0.3, 10  # metres between spots, and spots along a patch's side
AHEAD, BEHIND, ASIDE = 18.0, 16.0, 9.0  # metres of ground that are looked at
NEAR = 5.0  # metres at which a spot counts half
FASTEST, APART = 2.8, 0.1  # metres of a latent's way at the most, and between two that are tried
ROUGH = 3  # of so many ways one is tried with every turn
TURNS = torch.tensor(np.linspace(-0.42, 0.42, 21), dtype=torch.float32)  # radians that are tried
FINE = torch.tensor(np.arange(-2, 3) * 0.0158, dtype=torch.float32)  # and about the best
DOUBT = 0.05  # of a patch's contrast, below which it says nothing
TRUST = 30.0  # how much a fit counts against what a car can do
SOFT, BEYOND = 0.3, 0.03  # metres by which ways of neighbours differ, and by which they go beyond what a car can do
SECONDS = FRAMES_PER_LATENT / 24


class Odometer:
    """For pictures of (H, W) pixels through the cameras of a rig."""

    def __init__(self, mounts: Sequence[Mount], size: tuple[int, int]) -> None:
        self.size = size
        x, y = torch.arange(-BEHIND, AHEAD, STEP), torch.arange(-ASIDE, ASIDE + 1e-6, STEP)
        self.shape = len(x), len(y)
        self.x, self.y = (v.reshape(-1) for v in torch.meshgrid(x, y, indexing="ij"))
        self.cameras = [_ground(mount, size) for mount in mounts]
        self.middles = [_middle(mount) for mount in mounts]
        self.here = self._seen(self.x, self.y)
        self.near = self._patches(1 / (1 + (self.x.square() + self.y.square()) / NEAR**2))
        self.ways = torch.arange(0, FASTEST, APART)
        self.able = TURNS.abs() <= TIGHTEST * self.ways[::ROUGH, None] + 0.045
        self.tried = self._seen(*self._gone(*_pairs(self.ways[::ROUGH], TURNS)))

    def read(self, frames: np.ndarray) -> np.ndarray:
        """What a Ride of pictures (L + 1, C, H, W, 3) uint8 reads (L, 3)."""
        ride = Ride(self)
        for picture in frames:
            ride.add(picture)
        return ride.read()

    def evened(self, picture: np.ndarray) -> list[Tensor]:
        """A moment's pictures (C, H, W, 3) in grey, their contrast the same everywhere: blurred, and less so."""
        grey = torch.from_numpy(picture.astype(np.float32) @ GREY / 255)
        wide = _blurred(grey, 17)
        contrast = _blurred((grey - wide).square(), 33).clamp(min=0).sqrt() + 0.02
        return [(_blurred(grey, side) - wide) / contrast for side in (5, 3)]

    def fits(self, one: list[Tensor], two: list[Tensor]) -> tuple[Tensor, Tensor]:
        """How well each way and each of some turns fits, from one moment to the next, and the turns."""
        rough = self._compared(one[0], two[0], self.tried).view(-1, len(TURNS))
        best = int(torch.where(self.able, rough, -1.0).max(0).values.argmax())
        return self.fit(one, two, self.ways, TURNS[best] + FINE)

    def fit(self, one: list[Tensor], two: list[Tensor], ways: Tensor, turns: Tensor) -> tuple[Tensor, Tensor]:
        at = self._seen(*self._gone(*_pairs(ways, turns)))
        fits = self._compared(one[1], two[1], at).view(len(ways), -1)
        return fits - (turns.abs() > (TIGHTEST + 0.01) * ways[:, None] + 0.02).float(), turns

    def _gone(self, way: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        """Where the spots (K, N) are for a car that has gone some ways and turned (K,)."""
        x = self.x - (way * torch.cos(turn / 2))[:, None]
        y = self.y - (way * torch.sin(turn / 2))[:, None]
        cos, sin = torch.cos(turn)[:, None], torch.sin(turn)[:, None]
        return x * cos + y * sin, y * cos - x * sin

    def _seen(self, x: Tensor, y: Tensor) -> Tensor:
        """Where spots are in the cameras' pictures, one below the other, as grid_sample takes it (..., 2); far outside
        where the camera that looks their way does not see them."""
        high, wide = self.size
        looks, most = torch.zeros_like(x), torch.full_like(x, -torch.inf)
        for c, (along, aside) in enumerate(self.middles):
            facing = along * (x - 0.5) + aside * y
            looks = torch.where(facing > most, float(c), looks)
            most = torch.maximum(most, facing)
        across, down = torch.full_like(x, 9.0), torch.full_like(x, 9.0)
        for c, rows in enumerate(self.cameras):
            u, v, deep = (row[0] * x + row[1] * y + row[2] for row in rows)
            u, v = u / deep, v / deep
            good = (looks == c) & (deep > 0.5) & (u >= 0) & (u <= wide) & (v >= 0) & (v < high)
            across = torch.where(good, u * (2 / wide) - 1, across)
            down = torch.where(good, (v + c * high) * (2 / (len(self.cameras) * high)) - 1, down)
        return torch.stack([across, down], -1)

    def _compared(self, one: Tensor, two: Tensor, at: Tensor) -> Tensor:
        """How alike (K,) the ground of a picture is and that of another, seen at (K, N, 2): the mean correlation of
        patches that have contrast."""
        known = ((at[..., 0] < 5) & (self.here[:, 0] < 5)).float()
        a, b = self._look(one, self.here[None]), self._look(two, at) * known
        share = self._patches(known) + 1e-4
        own, other = self._patches(known * a) / share, self._patches(b) / share
        both = self._patches(b * a) / share - own * other
        plain = (self._patches(known * a.square()) / share - own.square()).clamp(min=0)
        far = (self._patches(b.square()) / share - other.square()).clamp(min=0)
        says = share * plain / (plain + DOUBT) * self.near
        return (says * both / ((plain + DOUBT) * (far + DOUBT)).sqrt()).sum(-1) / (says.sum(-1) + 1e-4)

    def _look(self, pictures: Tensor, at: Tensor) -> Tensor:
        """Values (K, N) of pictures (C, H, W) at spots (K, N, 2)."""
        stacked = pictures.reshape(1, 1, -1, pictures.shape[-1])
        return F.grid_sample(stacked, at[None], align_corners=False)[0, 0]

    def _patches(self, values: Tensor) -> Tensor:
        """Means (K, patches) of values (K, N) over patches."""
        return F.avg_pool2d(values.view(-1, 1, *self.shape), PATCH).flatten(1)


class Ride:
    """A ride as an odometer reads it, picture by picture. most: latents that are kept and read together; None: all."""

    def __init__(self, odometer: Odometer, most: int | None = None) -> None:
        self.odometer, self.most = odometer, most
        self.seen: list[list[Tensor]] = []  # of the last three pictures
        self.one: list[tuple[Tensor, Tensor]] = []  # how well each way and turn fits, from a picture to the next
        self.two: list[Tensor] = []  # and each way, from a picture to the one after the next

    @torch.inference_mode()
    def add(self, picture: np.ndarray) -> None:
        """The next moment's pictures (C, H, W, 3) uint8."""
        self.seen = [*self.seen, self.odometer.evened(picture)][-3:]
        if len(self.seen) < 2:
            return
        self.one.append(self.odometer.fits(*self.seen[-2:]))
        if len(self.seen) == 3:
            best = sum(float(turns[int(fits.max(0).values.argmax())]) for fits, turns in self.one[-2:])
            ways = torch.arange(0, 2 * FASTEST - APART, APART)
            self.two.append(self.odometer.fit(self.seen[0], self.seen[2], ways, best + FINE[1:4])[0])
        if self.most is not None:
            self.one, self.two = self.one[-self.most :], self.two[-self.most + 1 :] if self.most > 1 else []

    def read(self) -> np.ndarray:
        """Speed in m/s, turning in rad/s and how sure it is of the speed (L, 3), latent by latent. Sure is by how much
        the way that is read fits better than ways 0.4 m longer or shorter."""
        rows = []
        curves = np.stack([fits.max(1).values.numpy() for fits, _ in self.one])
        ways = _likeliest(curves, [fits.max(1).values.numpy() for fits in self.two])
        for (fits, turns), curve, k in zip(self.one, curves, ways, strict=True):
            spot = round(k)
            about = fits[min(spot, len(fits) - 1)].numpy()
            turn = float(turns[0]) + _peak(about, int(about.argmax())) * float(turns[1] - turns[0])
            far = max(curve[spot - 4] if spot >= 4 else -np.inf, curve[min(spot + 4, len(curve) - 1)])
            rows.append((k * APART / SECONDS, turn / SECONDS, curve[max(spot - 1, 0) : spot + 2].max() - far))
        return np.array(rows)


def _pairs(ways: Tensor, turns: Tensor) -> list[Tensor]:
    """Every way with every turn: two of (K,)."""
    return [v.reshape(-1) for v in torch.meshgrid(ways, turns, indexing="ij")]


def _ground(mount: Mount, size: tuple[int, int]) -> list[list[float]]:
    """Rows that make of a spot (x, y, 1) on the ground, in the car's frame, a pixel (across, down) times its depth, and
    its depth."""
    path = mount.path(np.zeros((1, 2)), np.zeros(1), size)
    turn, spot, focal = path.rotation[0].astype(float), path.position[0].astype(float), _focal(path.fovy, size[0])
    lens = np.array([[focal, 0, -size[1] / 2], [0, -focal, -size[0] / 2], [0, 0, -1]])
    return (lens @ turn.T @ np.stack([[1, 0, 0], [0, 1, 0], -spot], 1)).tolist()


def _focal(fovy: float, height: int) -> float:
    return height / 2 / np.tan(np.radians(fovy) / 2)


def _middle(mount: Mount) -> tuple[float, float]:
    """The direction, along the car and to its left, that a camera looks in."""
    return float(np.cos(np.radians(mount.yaw))), float(np.sin(np.radians(mount.yaw)))


def _blurred(pictures: Tensor, side: int) -> Tensor:
    """Means of pictures (C, H, W) over squares of pixels; avg_pool2d takes ten times as long for wide ones."""
    high, wide = pictures.shape[-2:]
    summed = F.pad(pictures.double().cumsum(-1).cumsum(-2), (1, 0, 1, 0))
    (top, low), (left, right) = ([(torch.arange(n) + d).clamp(0, n) for d in (-(side // 2), side // 2 + 1)]
                                 for n in (high, wide))
    whole = summed[..., low, :] - summed[..., top, :]
    return ((whole[..., right] - whole[..., left]) / ((low - top)[:, None] * (right - left))).float()


def _likeliest(one: np.ndarray, two: Sequence[np.ndarray], finer: int = 4) -> list[float]:
    """The likeliest ways of a ride, in steps of APART, from how well each fits (L, ways), and how well the sum of each
    two neighbours does."""
    count = one.shape[1]
    spots = np.arange((count - 1) * finer + 1)
    fine = [_between(curve, spots / finer) for curve in one]
    sums = [_between(curve, np.arange(2 * len(spots) - 1) / finer) for curve in two]
    gap = (spots[None] - spots[:, None]) * APART / finer
    gains, brakes = EAGER * SECONDS**2, HARDEST * SECONDS**2
    able = (np.maximum(gap - gains - 0.015, 0) / BEYOND) ** 2 + (np.maximum(-gap - brakes - 0.015, 0) / BEYOND) ** 2
    able += np.abs(gap) / SOFT
    best, back = TRUST * fine[0], []
    for curve, both in zip(fine[1:], sums, strict=True):
        whole = best[:, None] - able + TRUST * both[spots[:, None] + spots]
        back.append(whole.argmax(0))
        best = whole.max(0) + TRUST * curve
    found = [int(best.argmax())]
    for before in back[::-1]:
        found.append(int(before[found[-1]]))
    return [spot / finer for spot in found[::-1]]


def _between(curve: np.ndarray, at: np.ndarray) -> np.ndarray:
    """A curve between its steps, smoothly: straight lines have all their tops at the steps themselves."""
    try:
        from scipy.interpolate import Akima1DInterpolator
    except ImportError:
        raise ReverieError('reading a speed needs the package scipy: pip install "reverie[gym]"') from None
    return Akima1DInterpolator(np.arange(len(curve)), curve)(at)


def _peak(values: np.ndarray, k: int) -> float:
    """Where the parabola through the greatest of some values and its neighbours has its top."""
    if not 0 < k < len(values) - 1:
        return float(k)
    low, top, high = values[k - 1 : k + 2]
    bend = low - 2 * top + high
    return k + float(np.clip((low - high) / (2 * bend), -0.5, 0.5)) if bend < -1e-9 else float(k)
