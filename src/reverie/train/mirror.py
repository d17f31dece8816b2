"""Left and right exchanged: things and cameras as a mirror shows them, and texts that say so.

A network told one text of a clip and the other of its mirror image has nothing to go by but the side that is named.
Everything of the simulated worlds has a left side like its right one, and so is its own mirror image, turned.
"""

from __future__ import annotations

import re

import numpy as np

from reverie.core.vocabulary import CAMERA_CHANNELS, FRAMES_PER_LATENT, KINDS, LOOK, MAX_THINGS
from reverie.model import things as th

_BOTH = r"from left to right|左右|左.右"  # swings there and back: nothing to exchange
_SIDES = re.compile(rf"{_BOTH}|\b(?:left|right)(?=wards?\b|\b)|[左右]", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left", "左": "右", "右": "左"}
_STRIDES = [th.THING["kind"].start + KINDS.index(kind) for kind in th.STRIDING]


def other_side(text: str) -> str:
    """A text with left and right exchanged; the same one where it speaks of neither."""
    return _SIDES.sub(lambda match: _OTHER.get(match[0].lower(), match[0]), text)


def _signs(width: int, flipped: list[int]) -> np.ndarray:
    return np.where(np.isin(np.arange(width), flipped), -1.0, 1.0).astype(np.float32)


def _axes(channels: slice, flipped: list[list[int]]) -> list[int]:
    """Channels that change their sign, of vectors that are kept one after the other: of each the axes that do."""
    count = (channels.stop - channels.start) // 3
    return [channels.start + 3 * i + axis for i in range(count) for axis in flipped[i % len(flipped)]]


# what looks along x of its own, with y to its left, does so in the mirror with y to its right; a camera looks along z
_THING = _signs(th.WIDTH, _axes(th.THING["position"], [[0]]) + _axes(th.THING["rotation"], [[0], [1, 2]])
                + _axes(th.THING["velocity"], [[0]]))
_CAMERA = _signs(th.WIDTH, _axes(th.CAMERA["position"], [[0]]) + _axes(th.CAMERA["rotation"], [[1, 2], [0]]))
_SETTING = _signs(th.WIDTH, [th.SETTING["look"].start + LOOK.index("light x")])
ACTIONS = np.tile(_signs(len(CAMERA_CHANNELS), [CAMERA_CHANNELS.index(c) for c in ("pan", "orbit")]), FRAMES_PER_LATENT)


def mirrored(tokens: np.ndarray) -> np.ndarray:
    """Tokens (..., MAX_THINGS + 2, WIDTH) of what a mirror shows. Legs change places: a gait is half a stride on."""
    out = tokens * np.concatenate([np.tile(_THING, (MAX_THINGS, 1)), _CAMERA[None], _SETTING[None]])
    strides = (tokens[..., _STRIDES] > 0).any(-1)
    strides[..., MAX_THINGS:] = False
    out[..., th.THING["phase"]] *= np.where(strides, -1.0, 1.0)[..., None]
    return out
