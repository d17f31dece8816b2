"""A probe that reads from what a car's cameras see how fast it goes and how fast it turns.

A small network, which is trained on truth when it is first needed: towns of the training split, drawn by MuJoCo, in
which the car goes as it may be told to, along the road and across it. Of each camera it is given two pictures, a latent
apart: where each spot of the first is found in the second, and what is there, gives a speed and a trust in it.

Legend: N chains, L latents, T pictures of a camera, C cameras, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reverie.core.progress import track
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.road.driver import EAGER, HARDEST, TIGHTEST, Car
from reverie.data.road.rig import FOUR
from reverie.data.road.trace import Trace
from reverie.data.road.weather import WEATHERS, of_seed
from reverie.data.road.world import SIZE, from_start
from reverie.model.checkpoint import load_into, load_model, save_model
from reverie.train.loop import fit

MOUNTS = FOUR[:3]  # ahead, to the left, to the right
LINKS, CHAINS = 5, 2  # latents of a chain, and chains of a town
FASTEST = 16.0  # m/s
SCALE = 10.0, 1.0  # m/s and rad/s that are 1 to the network
BATCH = 16
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


class Odometer(nn.Module):
    """Pairs of grey pictures (N, 2, C, H, W) in 0..1 -> speed in m/s and turning in rad/s (N, 2)."""

    def __init__(self, width: int = 24, wide: int = 12, high: int = 1) -> None:
        super().__init__()
        self.wide, self.high, cameras = wide, high, len(MOUNTS)
        self.stem = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(16, 32, 3, 1, 1), nn.ReLU(), nn.Conv2d(
            32, width, 3, 1, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1))
        shifts = (2 * wide + 1) * (2 * high + 1)
        self.mix = nn.Sequential(nn.Conv2d(shifts + width + cameras + 2, 64, 1), nn.ReLU(), nn.Conv2d(
            64, 48, 3, 2, 1), nn.ReLU(), nn.Conv2d(48, 48, 3, 1, 1), nn.ReLU(), nn.Conv2d(48, 64, 3, 2, 1), nn.ReLU())
        self.head = nn.Conv2d(64, 4, 1)  # of each spot two values, and how much each is to be trusted
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, pairs: Tensor) -> Tensor:
        count, _, cameras = pairs.shape[:3]
        grey = pairs.transpose(1, 2).reshape(-1, 1, *pairs.shape[3:])
        even = (grey - grey.mean((2, 3), keepdim=True)) / (grey.std((2, 3), keepdim=True) + 0.05)
        seen = self.stem(even)
        one, two = seen.view(count * cameras, 2, *seen.shape[1:]).unbind(1)
        high, wide = one.shape[2:]
        camera = torch.eye(cameras).repeat(count, 1)[..., None, None].expand(-1, -1, high, wide)
        y = torch.linspace(-1, 1, high)[:, None].expand(len(one), 1, high, wide)
        x = torch.linspace(-1, 1, wide).expand(len(one), 1, high, wide)
        read = self.head(self.mix(torch.cat([self._found(one, two), one, camera, y, x], 1)))
        read = read.view(count, cameras, 4, -1).transpose(1, 2).reshape(count, 4, -1)
        value, trust = read[:, :2], read[:, 2:].softmax(-1)
        return ((value * trust).sum(-1) + self.bias) * torch.tensor(SCALE)

    def _found(self, one: Tensor, two: Tensor) -> Tensor:
        """How alike each spot of ``one`` (M, K, h, w) and the spots around it in ``two`` are: (M, shifts, h, w)."""
        high, wide = one.shape[2:]
        rows, other = F.normalize(one, dim=1).permute(0, 2, 3, 1), F.normalize(two, dim=1)
        spots = torch.arange(wide)[:, None] + torch.arange(-self.wide, self.wide + 1)
        inside = ((spots >= 0) & (spots < wide)).float()
        spots = spots.clamp(0, wide - 1).expand(len(rows), high, -1, -1)
        padded = F.pad(other, (0, 0, self.high, self.high))
        alike = [(rows @ padded[:, :, j : j + high].permute(0, 2, 1, 3)).gather(3, spots) * inside
                 for j in range(2 * self.high + 1)]
        return torch.cat(alike, -1).permute(0, 3, 1, 2)

    @torch.inference_mode()
    def read(self, frames: np.ndarray) -> np.ndarray:
        """Speed in m/s and turning in rad/s (T - 1, 2) between pictures (T, C, H, W, 3) uint8, a latent apart, through
        MOUNTS."""
        grey = torch.from_numpy(frames.astype(np.float32) @ _GREY / 255)
        return self(torch.stack([grey[:-1], grey[1:]], 1)).numpy()


def trained(folder: Path, files: Sequence[Path], minutes: float, *, progress: bool = True) -> Odometer:
    """The odometer in a folder, or else one that is trained there on towns of these traces (drawn by as many processes
    as there are cores, 3 s each) for so many minutes. Needs mujoco with a working GL."""
    path, probe = folder / "odometer.safetensors", Odometer()
    if path.exists():
        load_into(probe, load_model(path)[0], path)
        return probe.eval()
    parts, workers = [], torch.get_num_threads()
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool, track(
            len(files), "towns drawn for the probe", quiet=not progress) as bar:
        for made in pool.map(chains, files, range(len(files))):
            parts.append(made)
            bar.advance()
    pictures, motion = (np.concatenate(some) for some in zip(*parts, strict=True))
    probe = probe.to(memory_format=torch.channels_last)
    result = fit(probe, _Pairs(pictures, motion), loss_fn, out=folder, minutes=minutes, lr=3e-3, adam_lr=2e-3,
                 adam=[name for name, _ in probe.named_parameters()], progress=progress)
    probe.load_state_dict(result.weights)
    save_model(path, result.weights, {"kind": "odometer", "steps": result.step, "pairs": len(pictures) * LINKS})
    return probe.eval()


def chains(path: Path, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Of a trace's town, in one weather after the other, CHAINS rides that nobody drove: grey pictures (N, L + 1, C, H,
    W) uint8, and speed and turning (N, L, 2)."""
    from reverie.data.road.drawing import staged

    rng, trace = np.random.default_rng([seed, 71]), from_start(Trace.load(path))
    pictures, motion = np.empty((CHAINS, LINKS + 1, len(MOUNTS), *SIZE), np.uint8), np.empty((CHAINS, LINKS, 2))
    with staged(trace, of_seed(seed, WEATHERS[seed % len(WEATHERS)]), SIZE, seed) as stage:
        for n in range(CHAINS):
            start = int(rng.integers(trace.frames - FRAMES_PER_LATENT * LINKS))
            ride = [_strayed(trace, start, rng)]
            for _ in range(LINKS):
                ride.append(_onward(ride[-1], rng))
            for k, car in enumerate(ride):
                now = start + FRAMES_PER_LATENT * k
                stage.at(now)
                pictures[n, k] = list(_seen(stage, car, now))
            motion[n] = [moved(one, two) for one, two in zip(ride, ride[1:], strict=False)]
    return pictures, motion.astype(np.float32)


def _strayed(trace: Trace, t: int, rng: np.random.Generator) -> Car:
    """Our car somewhere about where it was, as fast as it was or otherwise."""
    heading = float(trace.heading[t, trace.ego]) + rng.normal() * (0.05 if rng.random() < 0.6 else 0.5)
    aside = rng.normal() * (0.5 if rng.random() < 0.6 else 2.5)
    place = trace.place[t, trace.ego] + aside * np.array([-np.sin(heading), np.cos(heading)])
    speed = rng.uniform(0, FASTEST)
    if rng.random() < 0.5:
        speed = min(float(trace.speed[t, trace.ego]) * rng.uniform(0.7, 1.3), FASTEST)
    return Car(place, heading, float(speed))


def _onward(car: Car, rng: np.random.Generator) -> Car:
    """A latent later, gently or at full lock, gently or with all its might."""
    bend = rng.choice([-1, 0, 1]) * TIGHTEST if rng.random() < 0.35 else rng.normal() * 0.04
    push = rng.uniform(-HARDEST, EAGER) if rng.random() < 0.4 else rng.uniform(-1.5, 1.5)
    for _ in range(FRAMES_PER_LATENT):
        car = car.moved(float(np.clip(bend, -TIGHTEST, TIGHTEST)), float(push), 1 / 24)
    return car


def _seen(stage, car: Car, now: int) -> Iterator[np.ndarray]:
    for mount in MOUNTS:
        stage.through(mount.path(car.place[None], np.array([car.heading]), SIZE), 0, SIZE[1] / SIZE[0], now=now)
        picture = np.empty((*SIZE, 3), np.uint8)
        stage.picture(picture)
        yield picture @ _GREY


def moved(one: Car, two: Car, seconds: float = FRAMES_PER_LATENT / 24) -> tuple[float, float]:
    """Mean speed and turning between two poses that are a latent apart."""
    return float(np.hypot(*(two.place - one.place))) / seconds, (two.heading - one.heading) / seconds


class _Pairs:
    """Batches of neighbours in chains, some of them backwards, some mirrored, brighter or darker."""

    def __init__(self, pictures: np.ndarray, motion: np.ndarray) -> None:
        self.pictures, self.motion = pictures, motion

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        del step
        pairs = np.empty((BATCH, 2, *self.pictures.shape[2:]), np.float32)
        motion = np.empty((BATCH, 2), np.float32)
        for b in range(BATCH):
            n, k = rng.integers(len(self.pictures)), rng.integers(LINKS)
            pair, told = self.pictures[n, k : k + 2], self.motion[n, k]
            if rng.random() < 0.25:
                pair, told = pair[::-1], -told
            if rng.random() < 0.5:
                pair, told = pair[:, [0, 2, 1], :, ::-1], told * (1, -1)
            pairs[b], motion[b] = pair * (rng.uniform(0.7, 1.3) / 255), told
        return {"pairs": torch.from_numpy(pairs), "motion": torch.from_numpy(motion)}


def loss_fn(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
    """The loss of a batch of _Pairs, for train.loop.fit."""
    gap = (model(batch["pairs"]) - batch["motion"]) / torch.tensor(SCALE)
    speed, turning = gap.detach().square().mean(0).sqrt() * torch.tensor(SCALE)
    return F.smooth_l1_loss(gap, torch.zeros_like(gap), beta=0.05), {"speed": speed, "turning": turning}
