"""What things are made of: for each kind and size, its geoms in its own frame.

A thing's frame has its origin in the centre of its bounding box, x forward (or along its length),
y to its left, z up, in metres. Geoms that are solid collide; geoms that are shown are drawn. The
living kinds have one coarse solid and many shown geoms, whose places follow the gait (gaits.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from reverie.core.vocabulary import ALIVE, SIZES

# Tints: "main" is the thing's colour, "deep" the same darker; the rest are the same in every thing.
TINTS = {
    "skin": (0.87, 0.66, 0.52),
    "ink": (0.07, 0.07, 0.08),
    "steel": (0.62, 0.64, 0.67),
    "shoe": (0.22, 0.17, 0.15),
    "beak": (0.95, 0.65, 0.15),
    "net": (0.90, 0.90, 0.88),
}
CONE_SIDES = 20


@dataclass(frozen=True)
class Geom:
    """One primitive. shape: a MuJoCo geom type; size, pos, quat as there; points: a mesh's corners (P, 3)."""

    shape: str
    size: tuple[float, ...]
    pos: tuple[float, float, float] = (0.0, 0.0, 0.0)
    quat: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    tint: str = "main"
    solid: bool = True
    shown: bool = True
    points: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True)
class Body:
    """One kind at one size. extent: half sizes (3,); geoms: all its geoms, shown ones in drawing order."""

    kind: str
    size: str
    geoms: tuple[Geom, ...]
    extent: tuple[float, float, float]
    pivot: float = 0.0  # height of a pendulum's hinge above its centre
    shown: tuple[Geom, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shown", tuple(g for g in self.geoms if g.shown))

    @property
    def reach(self) -> float:
        """Radius in metres of the upright cylinder around it."""
        return float(np.hypot(self.extent[0], self.extent[1]))


def _box(x: float, y: float, z: float, pos=(0.0, 0.0, 0.0), tint="main", **more) -> Geom:
    return Geom("box", (x, y, z), tuple(pos), tint=tint, **more)


def ball(size: str) -> Body:
    r = {"small": 0.275, "medium": 0.36, "large": 0.475}[size]
    return Body("ball", size, (Geom("sphere", (r,)),), (r, r, r))


def box(size: str) -> Body:
    r = {"small": 0.27, "medium": 0.36, "large": 0.47}[size]
    return Body("box", size, (_box(r, r, r),), (r, r, r))


def cylinder(size: str) -> Body:
    r, h = {"small": (0.26, 0.32), "medium": (0.33, 0.43), "large": (0.43, 0.57)}[size]
    return Body("cylinder", size, (Geom("cylinder", (r, h)),), (r, r, h))


def cone(size: str) -> Body:
    r, h = {"small": (0.32, 0.34), "medium": (0.42, 0.46), "large": (0.54, 0.60)}[size]
    turn = np.arange(CONE_SIDES) * 2 * np.pi / CONE_SIDES
    rim = [(float(r * np.cos(a)), float(r * np.sin(a)), -h) for a in turn]
    return Body("cone", size, (Geom("mesh", (), points=((0.0, 0.0, h), *rim)),), (r, r, h))


def plank(size: str) -> Body:
    x, y, z = {"small": (0.58, 0.23, 0.10), "medium": (0.78, 0.27, 0.115), "large": (1.0, 0.32, 0.13)}[size]
    return Body("plank", size, (_box(x, y, z),), (x, y, z))


def ramp(size: str) -> Body:
    """A wedge whose slope rises towards +x."""
    x, y, z = {"small": (0.70, 0.36, 0.26), "medium": (0.88, 0.42, 0.34), "large": (1.08, 0.50, 0.42)}[size]
    corners = tuple((sx, sy * y, sz) for sy in (-1, 1) for sx, sz in ((-x, -z), (x, -z), (x, z)))
    return Body("ramp", size, (Geom("mesh", (), points=corners),), (x, y, z))


def domino(size: str) -> Body:
    x, y, z = {"small": (0.14, 0.28, 0.50), "medium": (0.17, 0.36, 0.64), "large": (0.20, 0.44, 0.78)}[size]
    dots = tuple(
        Geom("sphere", (0.20 * y,), (0.0, s * y * 0.45, up * z), tint="net", solid=False)
        for s, up in ((-1, 0.5), (1, 0.5), (0, -0.45))
    )
    dots = tuple(Geom("box", (x * 1.02, 0.13 * y, 0.13 * y), g.pos, tint="net", solid=False) for g in dots)
    line = _box(x * 1.015, y * 1.005, 0.028, tint="ink", solid=False)
    return Body("domino", size, (_box(x, y, z), line, *dots), (x, y, z))


def pendulum(size: str) -> Body:
    """A rod with a bob; its hinge is ``pivot`` above its centre and it swings in its x-z plane."""
    r, rod = {"small": (0.27, 0.95), "medium": (0.34, 1.10), "large": (0.43, 1.25)}[size]
    half = (rod + r) / 2
    geoms = (
        Geom("sphere", (r,), (0.0, 0.0, r - half)),
        Geom("capsule", (0.045, rod / 2 - 0.045), (0.0, 0.0, half - rod / 2), tint="steel", solid=False),
    )
    return Body("pendulum", size, geoms, (r, r, half), pivot=half - 0.045)


def basketball(size: str) -> Body:
    r = {"small": 0.275, "medium": 0.33, "large": 0.39}[size]
    h = float(np.sqrt(0.5))
    turns = ((1.0, 0.0, 0.0, 0.0), (h, h, 0.0, 0.0), (h, 0.0, h, 0.0))
    lines = tuple(Geom("cylinder", (r * 1.012, r * 0.05), quat=q, tint="ink", solid=False) for q in turns)
    return Body("basketball", size, (Geom("sphere", (r,)), *lines), (r, r, r))


RIM = {"small": (0.46, 1.25), "medium": (0.54, 1.45), "large": (0.62, 1.65)}  # rim radius, rim height
RIM_TUBE = 0.035


def hoop(size: str) -> Body:
    """Post, board and rim; the rim is on the -x side of the board. See rim_centre for its place."""
    radius, height = RIM[size]
    board_y, board_z = 0.95 * radius + 0.12, 0.36
    top = height + 2 * board_z - 0.12
    half_x = radius + 0.16
    half_z = top / 2
    board_x = half_x - 0.14
    rim_x = board_x - 0.05 - radius - RIM_TUBE
    z = height - half_z
    geoms = [
        _box(0.05, board_y, board_z, (board_x, 0, half_z - board_z)),
        _box(0.07, 0.09, (top - board_z) / 2, (half_x - 0.07, 0, -half_z + (top - board_z) / 2), "steel"),
        _box(0.30, 0.34, 0.05, (half_x - 0.30, 0, -half_z + 0.05), "steel"),
        _box(0.056, 0.2, 0.15, (board_x, 0, z + 0.2), "net", solid=False),
    ]
    sides = 12
    half = radius * np.tan(np.pi / sides) + 0.01
    for k in range(sides):
        a = 2 * np.pi * k / sides
        # a capsule along z, laid along the tangent: first a quarter turn about x, then the turn about z
        quat = (
            np.cos(a / 2) * np.sqrt(0.5),
            np.cos(a / 2) * np.sqrt(0.5),
            np.sin(a / 2) * np.sqrt(0.5),
            np.sin(a / 2) * np.sqrt(0.5),
        )
        place = (rim_x + radius * np.cos(a), radius * np.sin(a), z)
        geoms.append(
            Geom(
                "capsule",
                (RIM_TUBE, float(half)),
                tuple(map(float, place)),
                tuple(map(float, quat)),
                tint="beak",
            )
        )
    return Body("hoop", size, tuple(geoms), (half_x, max(board_y, radius + RIM_TUBE), half_z))


def rim_centre(size: str) -> np.ndarray:
    """Centre (3,) of a hoop's rim in its own frame."""
    half_x, _, half_z = make("hoop", size).extent
    radius, height = RIM[size]
    return np.array([half_x - 0.14 - 0.05 - radius - RIM_TUBE, 0.0, height - half_z])


def chair(size: str) -> Body:
    s = {"small": 0.95, "medium": 1.2, "large": 1.5}[size]
    w, seat, top, leg, t = 0.27 * s, 0.46 * s, 0.95 * s, 0.045 * s, 0.05 * s
    z = top / 2
    geoms = [
        _box(w, w, t, (0, 0, seat - t - z)),
        _box(t, w, (top - seat) / 2, (t - w, 0, (seat + top) / 2 - z)),
    ]
    for sx in (-1, 1):
        for sy in (-1, 1):
            geoms.append(
                _box(
                    leg,
                    leg,
                    (seat - 2 * t) / 2,
                    (sx * (w - leg), sy * (w - leg), (seat - 2 * t) / 2 - z),
                    "deep",
                )
            )
    return Body("chair", size, tuple(geoms), (w, w, z))


def table(size: str) -> Body:
    s = {"small": 0.8, "medium": 1.0, "large": 1.25}[size]
    x, y, z, t, leg = 0.75 * s, 0.45 * s, 0.36 * s, 0.055 * s, 0.055 * s
    geoms = [_box(x, y, t, (0, 0, z - t))]
    for sx in (-1, 1):
        for sy in (-1, 1):
            geoms.append(_box(leg, leg, z - t, (sx * (x - 1.6 * leg), sy * (y - 1.6 * leg), -t), "deep"))
    return Body("table", size, tuple(geoms), (x, y, z))


def wall(size: str) -> Body:
    x, y, z = {"small": (0.62, 0.17, 0.55), "medium": (0.78, 0.18, 0.70), "large": (0.95, 0.20, 0.85)}[size]
    geoms = [_box(x, y, z)]
    rows = 4  # mortar between four courses of bricks
    for k in range(1, rows):
        geoms.append(_box(x * 1.002, y * 1.01, 0.018, (0, 0, z * (2 * k / rows - 1)), "deep", solid=False))
    for k in range(rows):
        for share in (-0.5, 0.0, 0.5) if k % 2 else (-0.25, 0.25, 0.75, -0.75):
            geoms.append(
                _box(
                    0.018,
                    y * 1.01,
                    z / rows,
                    (share * x, 0, z * ((2 * k + 1) / rows - 1)),
                    "deep",
                    solid=False,
                )
            )
    return Body("wall", size, tuple(geoms), (x, y, z))


def screen(size: str) -> Body:
    """A panel between two bars; the lower bar is wide enough to stand on."""
    x, z = {"small": (0.72, 0.60), "medium": (0.92, 0.75), "large": (1.15, 0.92)}[size]
    y = 0.20
    geoms = (
        _box(x * 0.96, 0.035, z - 0.07, (0, 0, 0.0)),
        _box(x, y, 0.06, (0, 0, 0.06 - z), "ink"),
        _box(x, 0.07, 0.06, (0, 0, z - 0.06), "ink"),
        _box(0.035, 0.05, z - 0.1, (x * 0.96, 0, 0), "ink", solid=False),
        _box(0.035, 0.05, z - 0.1, (-x * 0.96, 0, 0), "ink", solid=False),
    )
    return Body("screen", size, geoms, (x, y, z))


def person(size: str) -> Body:
    h = {"small": 1.25, "medium": 1.5, "large": 1.75}[size]
    limbs = [
        Geom("capsule", (0.115 * h, 0.10 * h)),  # torso
        Geom("sphere", (0.088 * h,), tint="skin"),  # head
        Geom("ellipsoid", (0.085 * h, 0.094 * h, 0.075 * h), tint="shoe"),  # hair
    ]
    for _ in range(2):
        limbs += [
            Geom("capsule", (0.058 * h, 0.105 * h), tint="deep"),  # thigh
            Geom("capsule", (0.048 * h, 0.11 * h), tint="deep"),  # shin
            Geom("box", (0.075 * h, 0.042 * h, 0.028 * h), tint="shoe"),
            Geom("capsule", (0.042 * h, 0.075 * h)),  # upper arm
            Geom("capsule", (0.037 * h, 0.07 * h)),  # forearm
            Geom("sphere", (0.045 * h,), tint="skin"),  # hand
        ]
    solid = Geom("capsule", (0.17 * h, 0.33 * h), shown=False)
    return _living("person", size, limbs, solid, (0.24 * h, 0.21 * h, 0.5 * h))


def dog(size: str) -> Body:
    n = {"small": 0.85, "medium": 1.05, "large": 1.3}[size]  # length of the animal
    limbs = [
        Geom("capsule", (0.155 * n, 0.22 * n)),  # trunk
        Geom("ellipsoid", (0.13 * n, 0.115 * n, 0.12 * n)),  # head
        Geom("capsule", (0.062 * n, 0.05 * n), tint="deep"),  # snout
        Geom("sphere", (0.032 * n,), tint="ink"),  # nose
        Geom("ellipsoid", (0.05 * n, 0.025 * n, 0.09 * n), tint="deep"),
        Geom("ellipsoid", (0.05 * n, 0.025 * n, 0.09 * n), tint="deep"),
        Geom("capsule", (0.035 * n, 0.11 * n), tint="deep"),  # tail
    ]
    for _ in range(4):
        limbs += [Geom("capsule", (0.058 * n, 0.08 * n)), Geom("capsule", (0.045 * n, 0.09 * n), tint="deep")]
    solid = Geom("box", (0.42 * n, 0.15 * n, 0.36 * n), (0, 0, -0.04 * n), shown=False)
    return _living("dog", size, limbs, solid, (0.56 * n, 0.18 * n, 0.42 * n))


def bird(size: str) -> Body:
    n = {"small": 0.75, "medium": 0.92, "large": 1.15}[size]
    limbs = [
        Geom("ellipsoid", (0.30 * n, 0.15 * n, 0.15 * n)),  # trunk
        Geom("sphere", (0.12 * n,)),  # head
        Geom("ellipsoid", (0.09 * n, 0.045 * n, 0.04 * n), tint="beak"),
        Geom("box", (0.13 * n, 0.09 * n, 0.02 * n), tint="deep"),  # tail
    ]
    for _ in range(2):
        limbs += [
            Geom("box", (0.15 * n, 0.14 * n, 0.025 * n)),  # inner wing
            Geom("box", (0.11 * n, 0.13 * n, 0.02 * n), tint="deep"),  # outer wing
            Geom("capsule", (0.025 * n, 0.07 * n), tint="beak"),  # leg
        ]
    solid = Geom("box", (0.3 * n, 0.2 * n, 0.25 * n), shown=False)
    return _living("bird", size, limbs, solid, (0.50 * n, 0.60 * n, 0.30 * n))


def _living(kind: str, size: str, limbs: list[Geom], solid: Geom, extent: tuple[float, float, float]) -> Body:
    shown = tuple(Geom(g.shape, g.size, tint=g.tint, solid=False) for g in limbs)
    return Body(kind, size, (solid, *shown), extent)


_MAKERS = {
    f.__name__: f
    for f in (
        ball,
        box,
        cylinder,
        cone,
        plank,
        ramp,
        domino,
        pendulum,
        basketball,
        hoop,
        chair,
        table,
        wall,
        screen,
        person,
        dog,
        bird,
    )
}


@cache
def make(kind: str, size: str) -> Body:
    """The body of a kind (one of vocabulary.KINDS) at a size (one of vocabulary.SIZES)."""
    return _MAKERS[kind](size)


@cache
def scaled(kind: str, size: str, scale: float) -> Body:
    """The body of a kind at a size, ``scale`` times as large in every direction."""
    body = make(kind, size)

    def times(values: tuple) -> tuple:
        return tuple(float(scale * value) for value in values)

    geoms = tuple(
        replace(g, size=times(g.size), pos=times(g.pos), points=tuple(times(point) for point in g.points))
        for g in body.geoms
    )
    return Body(kind, size, geoms, times(body.extent), scale * body.pivot)


def alive(kind: str) -> bool:
    """Whether a kind walks (or flies) by a gait."""
    return kind in ALIVE


ALL = tuple((kind, size) for kind in _MAKERS for size in SIZES)
