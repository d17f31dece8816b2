"""What a ride is worth by what its cameras show: how fast our car goes along its lane, how far it is beside it, and how
hard it must brake for who is ahead or for a red light. Nobody tells it where lanes, lights and others are.

    reader = Reader(mounts, size)
    reader.begin(frames); read = reader.read(frames)      frames: {camera: picture} of one latent after the other

Speed and turning are the odometer's, from all cameras; the lane and the light the probe's, and who is ahead the
observer's, from the first camera, which must look ahead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.road.rig import Mount
from reverie.data.road.traffic import BODIES, PERSON
from reverie.eyes.observer import Agent, RoadObserver
from reverie.eyes.odometer import Odometer, Ride
from reverie.eyes.probe import LANE, Reading, RoadProbe

# metres of each kind, for a gap between bumpers
LENGTHS, WIDTHS = ({**{kind: body[k] for kind, body in BODIES.items()}, "person": PERSON[k - 1]} for k in (1, 2))
OWN = "car"  # what our own car is taken for
BESIDE = 0.5  # metres beside our car within which another is on the lane ahead
ROOM = 0.5  # metres that are left to who is ahead
SURE = 0.35  # the observer's confidence from which somebody is there
TOGETHER = 5  # latents that the odometer reads together
FOLLOWED, LEAST = 6, 3  # moments over which who is ahead comes nearer is told, and from how many on
LEAP = 3.0  # metres from one moment to the next from which it is somebody else
SECONDS = FRAMES_PER_LATENT / 24
LIT = 0.3  # how likely a red light must be: all of 24 on clips kept apart, and 2% of pictures without a light
KEPT = 6.0  # metres to a line from which its light, when it is no longer in the picture, is taken to show what it did
STEADY = 3  # moments whose lanes are averaged: aside 0.19 m instead of 0.215 wrong on four rides of unseen towns
AVERAGED = ("aside", "half", "turned", "light", "red")


@dataclass(frozen=True)
class Read:
    """One moment. speed: m/s; turning: rad/s, to the left; lane: what the probe says; gap: metres to who is ahead on
    the lane, infinite for nobody; closing: m/s by which it shrinks."""

    speed: float
    turning: float
    lane: Reading
    gap: float
    closing: float

    @property
    def braking(self) -> float:
        """How hard our car must brake, in m/s^2, not to run into who is ahead and to stop before a red light."""
        leader = max(self.closing, 0.0) ** 2 / (2 * max(self.gap - ROOM, ROOM))
        chance = self.lane.light * self.lane.red
        return max(leader, chance * (chance > LIT) * self.speed**2 / (2 * max(self.lane.stop, ROOM)))


class Reader:
    """For the cameras of a rig, the first of which looks ahead, and pictures of (H, W) pixels."""

    def __init__(self, mounts: Sequence[Mount], size: tuple[int, int]) -> None:
        self.mounts, self.size = tuple(mounts), size
        self.odometer, self.observer, self.probe = _odometer(self.mounts, size), _observer(), _probe()
        self.ride = Ride(self.odometer, TOGETHER)
        self.gaps: list[float] = []
        self.lanes: list[Reading] = []
        self.light: Reading | None = None  # the last in which it was in sight

    def begin(self, frames: Mapping[str, np.ndarray]) -> None:
        """A ride begins, whose first pictures these are."""
        self.ride, self.gaps, self.lanes, self.light = Ride(self.odometer, TOGETHER), [], [], None
        self.ride.add(self._all(frames))

    def read(self, frames: Mapping[str, np.ndarray]) -> Read:
        """What the pictures of the next moment say, after those before them."""
        self.ride.add(self._all(frames))
        speed, turning, _ = self.ride.read()[-1]
        front = frames[self.mounts[0].name][None]
        self.lanes = [*self.lanes, self._with_light(self.probe.read(front)[0], float(speed))][-STEADY:]
        lane = replace(self.lanes[-1], **{name: float(np.mean([getattr(one, name) for one in self.lanes]))
                                          for name in AVERAGED})
        gap = min((self._gap(one, lane) for one in self.observer.see(front, SURE)[0]), default=np.inf)
        if self.gaps and abs(gap - self.gaps[-1]) < LEAP:
            self.gaps = [*self.gaps, gap][-FOLLOWED:]
        else:
            self.gaps = [gap] if np.isfinite(gap) else []
        closing = 0.0
        if len(self.gaps) >= LEAST:
            when = np.arange(len(self.gaps)) * SECONDS
            closing = -float(np.polyfit(when, self.gaps, 1)[0])
        return Read(float(speed), float(turning), lane, float(gap), min(closing, float(speed)))

    def _all(self, frames: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.stack([frames[mount.name] for mount in self.mounts])

    def _with_light(self, lane: Reading, speed: float) -> Reading:
        """A reading with the light that was in sight before, if it is too near to be in the picture still."""
        if lane.light > LIT:
            self.light = lane
        elif self.light is not None:
            stop = self.light.stop - speed * SECONDS
            self.light = replace(self.light, stop=stop) if 0 < stop < KEPT else None
        if self.light is None:
            return lane
        return replace(lane, light=self.light.light, red=self.light.red, stop=self.light.stop)

    def _gap(self, one: Agent, lane: Reading) -> float:
        """Metres from our car's front to an agent on the lane ahead; infinite for one that is elsewhere."""
        mount, width = self.mounts[0], self.size[1]
        wide = np.tan(np.radians(mount.across) / 2)
        depth = width / 2 / wide / max(one.metre, 1e-3)
        left = -((one.box[0] + one.box[2]) / width - 1) * wide * depth + mount.at[1]
        ahead = mount.at[0] + depth
        line = np.concatenate([[[0.0, 0.0]], lane.lane])
        at = np.interp(ahead, np.maximum.accumulate(line[:, 0]), line[:, 1])
        if ahead > LANE[-1] or abs(left - at) > (WIDTHS[OWN] + WIDTHS[one.kind]) / 2 + BESIDE:
            return np.inf
        return ahead - (LENGTHS[OWN] + LENGTHS[one.kind]) / 2


@lru_cache(maxsize=2)
def _odometer(mounts: tuple[Mount, ...], size: tuple[int, int]) -> Odometer:
    return Odometer(mounts, size)


@lru_cache(maxsize=1)
def _observer() -> RoadObserver:
    return RoadObserver.load()


@lru_cache(maxsize=1)
def _probe() -> RoadProbe:
    return RoadProbe.load()
