"""How the living move: where each shown geom of a person, dog or bird is at a phase of its gait.

All functions take phase (T,) in radians and stride (T,) in 0 (standing) to 1 (in full motion), and
return places (T, G, 3) metres and quaternions (T, G, 4) in the thing's frame, in the order of the
body's shown geoms.
"""

from __future__ import annotations

import numpy as np

from reverie.data.scenes.bodies import make

# Metres travelled in one cycle of the gait, for a body of height or length 1.
STRIDE = {"person": 0.80, "dog": 0.85, "bird": 1.0}
FLAPS = 2.4  # wing beats of a bird per second, of any size


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    """Quaternions (T, 4) of turns about x (1), y (2) or z (3)."""
    quat = np.zeros((*np.shape(angle), 4))
    quat[..., 0] = np.cos(angle / 2)
    quat[..., axis] = np.sin(angle / 2)
    return quat


def _times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product of quaternions (..., 4)."""
    w, v, x, u = a[..., :1], a[..., 1:], b[..., :1], b[..., 1:]
    return np.concatenate([w * x - (v * u).sum(-1, keepdims=True), w * u + x * v + np.cross(v, u)], -1)


def _down(angle: np.ndarray) -> np.ndarray:
    """Direction (T, 3) of a limb that hangs down, swung about y."""
    return np.stack([-np.sin(angle), np.zeros_like(angle), -np.cos(angle)], -1)


def person(size: str, phase: np.ndarray, stride: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    h = 2 * make("person", size).extent[2]
    count = len(phase)
    still = np.zeros(count)
    level = _about(2, still)
    lean = 0.06 * stride
    hip, shoulder = 0.475 * h, 0.775 * h
    places, quats = [], []

    def put(place: np.ndarray, quat: np.ndarray) -> None:
        places.append(np.broadcast_to(place, (count, 3)))
        quats.append(np.broadcast_to(quat, (count, 4)))

    put(np.array([0.0, 0.0, 0.635 * h]), _about(2, lean))
    put(np.array([0.02 * h, 0.0, 0.905 * h]), level)
    put(np.array([-0.022 * h, 0.0, 0.93 * h]), level)
    feet = []
    for side, offset in ((1.0, 0.0), (-1.0, np.pi)):
        swing = 0.50 * stride * np.sin(phase + offset)
        # the knee bends while the leg swings forward (angle falling), so the shin trails the thigh
        bend = np.where(
            np.cos(phase + offset) < 0, stride * (0.15 + 0.65 * np.cos(phase + offset) ** 2), 0.08 * stride
        )
        root = np.array([0.0, side * 0.068 * h, hip])
        knee = root + 0.22 * h * _down(swing)
        ankle = knee + 0.21 * h * _down(swing + bend)
        put(root + 0.11 * h * _down(swing), _about(2, swing))
        put(knee + 0.105 * h * _down(swing + bend), _about(2, swing + bend))
        put(ankle + np.array([0.028 * h, 0.0, -0.012 * h]), _about(2, 0.5 * (swing + bend)))
        feet.append(ankle[:, 2] - 0.04 * h)
        arm = -0.55 * stride * np.sin(phase + offset)
        elbow_bend = -0.12 - 0.35 * stride
        top = np.array([0.0, side * 0.152 * h, shoulder])
        elbow = top + 0.155 * h * _down(arm)
        wrist = elbow + 0.15 * h * _down(arm + elbow_bend)
        put(top + 0.0775 * h * _down(arm), _about(2, arm))
        put(elbow + 0.075 * h * _down(arm + elbow_bend), _about(2, arm + elbow_bend))
        put(wrist, level)
    return _grounded(places, quats, np.minimum(*feet), h / 2)


def dog(size: str, phase: np.ndarray, stride: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = make("dog", size).extent[0] / 0.56
    half = make("dog", size).extent[2]
    count = len(phase)
    still = np.zeros(count)
    places, quats = [], []

    def put(place: np.ndarray, quat: np.ndarray) -> None:
        places.append(np.broadcast_to(place, (count, 3)))
        quats.append(np.broadcast_to(quat, (count, 4)))

    nod = 0.05 * stride * np.sin(2 * phase)
    wag = 0.35 * np.sin(2 * phase) * stride
    put(np.array([-0.05 * n, 0, 0.50 * n]), _about(2, still + np.pi / 2))
    head = np.stack([still + 0.37 * n, still, 0.69 * n + 0.3 * nod * n], -1)
    put(head, _about(2, nod))
    put(head + np.array([0.11 * n, 0, -0.03 * n]), _about(2, still + np.pi / 2))
    put(head + np.array([0.185 * n, 0, -0.01 * n]), _about(2, still))
    for side in (1.0, -1.0):
        put(head + np.array([-0.05 * n, side * 0.09 * n, 0.03 * n]), _about(1, still - side * 0.25))
    tail = _times(_about(1, wag), _about(2, still - 0.7))
    put(np.stack([still - 0.46 * n, -0.09 * n * np.sin(wag), still + 0.66 * n], -1), tail)
    feet = []
    for x, side, offset in ((0.19, 1, 0.0), (0.19, -1, np.pi), (-0.28, 1, np.pi), (-0.28, -1, 0.0)):
        swing = 0.52 * stride * np.sin(phase + offset)
        bend = np.where(np.cos(phase + offset) < 0, 0.8 * np.cos(phase + offset) ** 2, 0.0) * stride
        root = np.array([x * n, side * 0.09 * n, 0.42 * n])
        knee = root + 0.17 * n * _down(swing)
        put(root + 0.085 * n * _down(swing), _about(2, swing))
        put(knee + 0.095 * n * _down(swing + bend), _about(2, swing + bend))
        feet.append((knee + 0.19 * n * _down(swing + bend))[:, 2] - 0.04 * n)
    return _grounded(places, quats, np.min(feet, 0), half)


def bird(size: str, phase: np.ndarray, stride: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = make("bird", size).extent[0] / 0.50
    count = len(phase)
    still = np.zeros(count)
    places, quats = [], []

    def put(place: np.ndarray, quat: np.ndarray) -> None:
        places.append(np.broadcast_to(place, (count, 3)))
        quats.append(np.broadcast_to(quat, (count, 4)))

    lift = -0.03 * n * stride * np.sin(phase)
    rise = np.stack([still, still, lift], -1)
    put(rise, _about(2, still - 0.15 * (1 - stride)))
    put(rise + np.array([0.29 * n, 0, 0.10 * n]), _about(2, still))
    put(rise + np.array([0.41 * n, 0, 0.09 * n]), _about(2, still))
    put(rise + np.array([-0.37 * n, 0, 0.02 * n]), _about(2, still - 0.15))
    for side in (1.0, -1.0):
        # standing, the wings hang folded along the trunk
        inner = stride * (0.10 + 0.50 * np.sin(phase)) - (1 - stride) * 1.25
        outer = inner + stride * 0.45 * np.sin(phase - 0.9) - (1 - stride) * 0.2
        root = rise + np.array([0.0, side * 0.11 * n, 0.06 * n])
        arm = np.stack([still, side * np.cos(inner), np.sin(inner)], -1)
        hand = np.stack([still, side * np.cos(outer), np.sin(outer)], -1)
        put(root + 0.14 * n * arm, _about(1, side * inner))
        fold = (1 - stride)[:, None] * np.array([-0.12 * n, 0, 0])
        spread = (0.28 + 0.13 * stride)[:, None] * n - 0.16 * n * (1 - stride)[:, None]
        put(root + spread * arm * 0.95 + 0.02 * n * hand + fold, _about(1, side * outer))
        leg = np.stack(
            [still - 0.05 * n - 0.12 * n * stride, still + side * 0.06 * n, -0.21 * n + 0.08 * n * stride], -1
        )
        put(rise + leg, _about(2, 1.3 * stride))
    return np.stack(places, 1), np.stack(quats, 1)


def _grounded(places: list, quats: list, lowest: np.ndarray, half: float) -> tuple[np.ndarray, np.ndarray]:
    """Shifts all geoms so that the lower foot is on the ground and the origin is the box's centre."""
    stacked = np.stack(places, 1).copy()
    stacked[..., 2] -= lowest[:, None] + half
    return stacked, np.stack(quats, 1)


_POSES = {"person": person, "dog": dog, "bird": bird}


def pose(kind: str, size: str, phase: np.ndarray, stride: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (T, G, 3) and quaternions (T, G, 4) of a living thing's shown geoms."""
    return _POSES[kind](size, np.asarray(phase, float), np.asarray(stride, float))


def cycle_rate(kind: str, size: str, speed: float) -> float:
    """Radians of phase per second at a speed in m/s."""
    if kind == "bird":
        return 2 * np.pi * FLAPS
    extent = make(kind, size).extent
    length = STRIDE[kind] * (2 * extent[2] if kind == "person" else extent[0] / 0.56)
    return 2 * np.pi * speed / length
