"""How the four settings look: ground, walls, sky, light and shadow, as MuJoCo XML and painted textures.

The ground is z = 0 in all of them (for "table" it is the table's top). Textures are soft, but carry
enough large-scale pattern that a moving camera is seen to move.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

TEXTURE = 256  # pixels of a painted texture's side


@dataclass(frozen=True)
class Look:
    """One drawn variety of a setting.

    setting: its name; assets, world: XML; visual: attributes of <headlight>; textures: name -> uint8
    (TEXTURE, TEXTURE, 3) pictures that replace the placeholder textures of that name.
    """

    setting: str
    assets: str
    world: str
    headlight: str
    numbers: np.ndarray  # (11,) float32, see vocabulary.LOOK
    textures: dict[str, np.ndarray] = field(default_factory=dict)


def _rgb(colour: np.ndarray) -> str:
    return " ".join(f"{min(max(c, 0.0), 1.0):.4f}" for c in colour)


def _noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise (TEXTURE, TEXTURE) in about -1..1 that wraps around."""
    coarse = rng.standard_normal((cells, cells))
    at = np.arange(TEXTURE) * cells / TEXTURE
    low = at.astype(int)
    part = at - low
    part = part * part * (3 - 2 * part)
    rows = coarse[low] * (1 - part)[:, None] + coarse[(low + 1) % cells] * part[:, None]
    return 0.5 * (rows[:, low] * (1 - part) + rows[:, (low + 1) % cells] * part)


def _paint(base: np.ndarray, light: np.ndarray) -> np.ndarray:
    """A colour (3,) shaded by ``light`` (TEXTURE, TEXTURE) as uint8."""
    return np.clip(base * (1 + light[..., None]) * 255, 0, 255).astype(np.uint8)


def _checks(rng: np.random.Generator, contrast: float) -> np.ndarray:
    half = TEXTURE // 2
    light = np.zeros((TEXTURE, TEXTURE))
    light[:half, :half] = light[half:, half:] = contrast
    return light - contrast / 2 + 0.02 * _noise(rng, 16)


def _boards(rng: np.random.Generator) -> np.ndarray:
    """Wooden boards side by side, with a little grain along them."""
    count = 4
    light = np.zeros((TEXTURE, TEXTURE))
    wide = TEXTURE // count
    for k in range(count):
        light[k * wide : (k + 1) * wide] = rng.uniform(-0.10, 0.10)
        light[k * wide : k * wide + 3] -= 0.16
    grain = np.repeat(_noise(rng, 64)[:, ::8], 8, axis=1)
    return light + 0.04 * grain


_PLACEHOLDER = (
    '<texture name="{0}" type="2d" builtin="flat" width="256" height="256"/>'
    '<material name="{0}" texture="{0}" texrepeat="{1} {2}" texuniform="{3}" specular="{4}" shininess="0.3"'
    ' reflectance="0"/>'
)


def _numbers(light: np.ndarray, ground: np.ndarray, back: np.ndarray, pattern: float = 0.0, *,
             sun: bool = True) -> np.ndarray:
    """A look as vocabulary.LOOK has it; light: where it comes from, as seen from the stage's foot."""
    distance = float(np.linalg.norm(light))
    near = 0.0 if sun else 1 / distance
    return np.array([*(light / distance), near, *ground, *back, pattern], np.float32)


def _asset(name: str, repeat: tuple[float, float], uniform: bool = True, specular: float = 0.0) -> str:
    return _PLACEHOLDER.format(name, *repeat, "true" if uniform else "false", specular)


def _sky(low: np.ndarray, high: np.ndarray) -> str:
    return (
        f'<texture type="skybox" builtin="gradient" rgb1="{_rgb(high)}" rgb2="{_rgb(low)}"'
        ' width="64" height="384"/>'
    )


def _room(rng: np.random.Generator) -> Look:
    warm = rng.uniform(0, 1)
    ground = np.array([0.72, 0.66, 0.58]) * (1 - warm) + np.array([0.60, 0.64, 0.68]) * warm
    wood = rng.random() < 0.5
    if wood:
        ground = np.array([0.66, 0.53, 0.40]) * rng.uniform(0.9, 1.1)
    tints = (
        (0.80, 0.78, 0.72),
        (0.70, 0.78, 0.80),
        (0.74, 0.80, 0.72),
        (0.82, 0.74, 0.72),
        (0.76, 0.74, 0.82),
    )
    plaster = np.array(tints[rng.integers(len(tints))])
    stripes = np.tile(np.where(np.arange(TEXTURE) < TEXTURE // 2, 0.03, -0.03), (TEXTURE, 1))
    textures = {
        "floor": _paint(ground, _boards(rng) if wood else _checks(rng, 0.16)),
        "plaster": _paint(plaster, stripes + 0.02 * _noise(rng, 4)),
    }
    side = rng.choice([-1.0, 1.0])
    world = f"""
      <geom type="plane" size="9 13 1" pos="0 -6 0" material="floor"/>
      <geom type="plane" size="9 3.5 1" pos="0 4.2 3.5" euler="90 0 0" material="plaster"/>
      <geom type="plane" size="3.5 13 1" pos="-8 -6 3.5" euler="0 90 0" material="plaster"/>
      <geom type="plane" size="3.5 13 1" pos="8 -6 3.5" euler="0 -90 0" material="plaster"/>
      <geom type="box" size="9 0.04 0.12" pos="0 4.17 0.12" rgba="0.9 0.89 0.86 1"/>
      <light pos="{2.4 * side} -3.0 6.5" dir="{-0.33 * side} 0.42 -1" diffuse="0.58 0.57 0.54"
       specular="0.25 0.25 0.25" castshadow="true" directional="true"/>"""
    assets = _asset("floor", (0.5, 0.5)) + _asset("plaster", (0.7, 0.7)) + _sky(plaster * 0.9, plaster)
    return Look(
        "room", assets, world, 'ambient="0.40 0.40 0.41" diffuse="0.20 0.20 0.20" specular="0 0 0"',
        _numbers(np.array([0.33 * side, -0.42, 1]), ground, plaster, 1.0 if wood else -1.0), textures
    )


def _table(rng: np.random.Generator) -> Look:
    shade = rng.uniform(0.85, 1.1)
    woods = ((0.62, 0.42, 0.26), (0.72, 0.55, 0.36), (0.50, 0.36, 0.26), (0.78, 0.68, 0.54))
    wood = np.array(woods[rng.integers(len(woods))]) * shade
    base = np.array(((0.50, 0.47, 0.44), (0.42, 0.46, 0.50), (0.52, 0.46, 0.42))[rng.integers(3)])
    blur = 0.45 * _noise(rng, 5)
    backdrop = np.stack([blur + 0.12 * _noise(rng, 4) for _ in range(3)], -1)
    picture = np.clip(base * (1 + backdrop) * 255, 0, 255).astype(np.uint8)
    side = rng.choice([-1.0, 1.0])
    world = f"""
      <geom type="plane" size="7 6 1" pos="0 -2.6 0" material="wood"/>
      <geom type="box" size="7 0.03 0.11" pos="0 3.43 -0.12" rgba="{_rgb(wood * 0.6)} 1"/>
      <geom type="plane" size="26 13 1" pos="0 14 2" euler="90 0 0" material="backdrop"/>
      <light pos="{2.8 * side} -3.0 6.0" dir="{-0.42 * side} 0.40 -1" diffuse="0.60 0.57 0.52"
       specular="0.3 0.3 0.3" castshadow="true" directional="true"/>"""
    assets = (
        _asset("wood", (0.35, 0.35), specular=0.1)
        + _asset("backdrop", (1.0, 0.6), uniform=False)
        + _sky(base * 0.8, base * 0.9)
    )
    textures = {"wood": _paint(wood, _boards(rng)), "backdrop": picture}
    return Look(
        "table", assets, world, 'ambient="0.40 0.39 0.38" diffuse="0.20 0.20 0.20" specular="0 0 0"',
        _numbers(np.array([0.42 * side, -0.40, 1]), wood, base), textures
    )


def _lawn(rng: np.random.Generator) -> Look:
    grass = np.array([0.36, 0.55, 0.24]) * rng.uniform(0.88, 1.08)
    mown = np.tile(np.where(np.arange(TEXTURE) < TEXTURE // 2, 0.06, -0.06), (TEXTURE, 1))
    turned = mown.T if rng.random() < 0.5 else mown
    hedge = np.array([0.20, 0.36, 0.18]) * rng.uniform(0.85, 1.15)
    side = rng.choice([-1.0, 1.0])
    horizon = np.array([0.80, 0.89, 0.95])
    zenith = np.array([0.36, 0.60, 0.90]) * rng.uniform(0.9, 1.1)
    bushes = ""
    for x in range(-16, 17, 4):
        bushes += (
            f'<geom type="ellipsoid" size="{rng.uniform(2, 4):.2f} 1.2 {rng.uniform(0.9, 2.2):.2f}"'
            f' pos="{x + rng.uniform(-1, 1):.2f} {13 + rng.uniform(0, 3):.2f} 0"'
            f' rgba="{_rgb(hedge * rng.uniform(0.85, 1.2))} 1"/>'
        )
    world = f"""
      <geom type="plane" size="40 30 1" pos="0 10 0" material="grass"/>{bushes}
      <light pos="{3.5 * side} -3.5 7" dir="{-0.5 * side} 0.45 -1" diffuse="0.66 0.64 0.58"
       specular="0.2 0.2 0.2" castshadow="true" directional="true"/>"""
    assets = _asset("grass", (0.4, 0.4)) + _sky(horizon, zenith)
    textures = {"grass": _paint(grass, turned + 0.05 * _noise(rng, 32) + 0.05 * _noise(rng, 6))}
    return Look(
        "lawn", assets, world, 'ambient="0.40 0.42 0.45" diffuse="0.16 0.16 0.16" specular="0 0 0"',
        _numbers(np.array([0.5 * side, -0.45, 1]), grass, hedge, 1.0 if turned is not mown else -1.0), textures
    )


def _night(rng: np.random.Generator) -> Look:
    tints = ((0.34, 0.36, 0.44), (0.38, 0.36, 0.40), (0.32, 0.38, 0.40))
    ground = np.array(tints[rng.integers(len(tints))])
    low = np.array([0.10, 0.11, 0.17]) * rng.uniform(0.8, 1.2)
    lamp = rng.uniform(-1.6, 1.6)
    world = f"""
      <geom type="plane" size="30 25 1" pos="0 8 0" material="tiles"/>
      <light pos="{lamp:.3f} -1.2 5.6" dir="{-0.17 * lamp:.3f} 0.16 -1" diffuse="0.78 0.73 0.62" cutoff="62"
       exponent="2" attenuation="1 0 0.006" specular="0.25 0.25 0.22" castshadow="true"/>"""
    assets = _asset("tiles", (0.45, 0.45)) + _sky(low, low * 0.45)
    textures = {"tiles": _paint(ground, _checks(rng, 0.22))}
    return Look(
        "night", assets, world, 'ambient="0.29 0.30 0.36" diffuse="0.16 0.16 0.18" specular="0 0 0"',
        _numbers(np.array([lamp, -1.2, 5.6]), ground, low, sun=False), textures
    )


_LOOKS = {"room": _room, "table": _table, "lawn": _lawn, "night": _night}


def look(setting: str, seed: int) -> Look:
    """The look of a setting (one of vocabulary.SETTINGS), varied a little by the seed."""
    return _LOOKS[setting](np.random.default_rng(seed))
