"""How a clip of the road looks: its weather, the cameras it is seen through, and the seed of its town."""

from __future__ import annotations

from dataclasses import dataclass

from reverie.data.road.rig import FOUR, Mount, checked
from reverie.data.road.weather import Weather, of_seed
from reverie.data.road.world import SIZE


@dataclass(frozen=True)
class Look:
    """How a clip of the road is drawn: its weather, its cameras, size (H, W) of their pictures, and its seed."""

    weather: Weather
    mounts: tuple[Mount, ...]
    size: tuple[int, int]
    seed: int

    @classmethod
    def of(cls, about: dict) -> Look:
        """As the provenance of a clip of data says; what it does not say is as a clip of seed 0 by day would be."""
        seed = int(about.get("seed", 0))
        weather, name = of_seed(seed), about.get("weather", "day")
        rig = [Mount(**mount) for mount in about.get("rig", [])]
        height, width = about.get("size", SIZE)
        return cls(weather if weather.name == name else of_seed(seed, name), checked(rig or FOUR), (height, width),
                   seed)

    @property
    def pixels(self) -> int:
        """Of a moment, all cameras together."""
        return len(self.mounts) * self.size[0] * self.size[1]
