"""Five kinds of weather and light on the road, as numbers that the drawing turns into MuJoCo's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WEATHERS = ("day", "dusk", "night", "rain", "fog")
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Weather:
    """name: of WEATHERS. low, high: the sky at the horizon and above; ambient, sun: how bright, with their tints; to:
    where the sunlight goes; shadows: whether it casts any; haze: metres at which things begin to fade into the
    horizon's colour, and at which they are gone; dark: whether lamps are lit; wet: how much darker and glossier the
    road is, 0..1.
    """

    name: str
    low: Colour
    high: Colour
    ambient: Colour
    sun: Colour
    to: Colour
    shadows: bool
    haze: tuple[float, float]
    dark: bool = False
    wet: float = 0.0


def of_seed(seed: int, name: str | None = None) -> Weather:
    """The weather of the clip with this seed; name: of WEATHERS, where it was not drawn from the seed."""
    rng = np.random.default_rng([seed, 19])
    return drawn(name or str(rng.choice(WEATHERS, p=[0.4, 0.15, 0.15, 0.15, 0.15])), rng)


def drawn(name: str, rng: np.random.Generator) -> Weather:
    """One variety of a weather: where the sun stands, how thick the fog is."""
    turn, low = rng.uniform(0, 2 * np.pi), name == "dusk"
    down = rng.uniform(0.25, 0.4) if low else rng.uniform(0.6, 0.9)
    to = (float(np.cos(turn) * (1 - down)), float(np.sin(turn) * (1 - down)), -float(down))
    b = float(rng.uniform(0.92, 1.08))
    return {
        "day": Weather(name, (0.74, 0.83, 0.92), (0.30, 0.52, 0.85), _times((0.42, 0.43, 0.46), b),
                       _times((0.72, 0.68, 0.60), b), to, True, (120, 320)),
        "dusk": Weather(name, (0.95, 0.62, 0.42), (0.28, 0.28, 0.48), _times((0.30, 0.27, 0.32), b),
                        _times((0.62, 0.38, 0.22), b), to, True, (90, 280), dark=True),
        "night": Weather(name, (0.05, 0.06, 0.10), (0.01, 0.01, 0.03), _times((0.13, 0.13, 0.17), b),
                         (0.06, 0.06, 0.09), to, False, (60, 200), dark=True),
        "rain": Weather(name, (0.60, 0.63, 0.66), (0.48, 0.51, 0.55), _times((0.44, 0.45, 0.47), b),
                        (0.16, 0.16, 0.17), to, False, (40, float(rng.uniform(110, 170))),
                        wet=float(rng.uniform(0.5, 1))),
        "fog": Weather(name, (0.78, 0.79, 0.80), (0.78, 0.79, 0.80), _times((0.52, 0.52, 0.53), b),
                       (0.10, 0.10, 0.10), to, False, (6, float(rng.uniform(38, 75)))),
    }[name]


def _times(colour: Colour, by: float) -> Colour:
    return colour[0] * by, colour[1] * by, colour[2] * by
