"""What a stretch of pictures looks like, in a few numbers that drift shows in."""

from __future__ import annotations

import numpy as np

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def picture_statistics(frames: np.ndarray) -> dict[str, float]:
    """Of uint8 frames (T, H, W, 3), each in grey levels (0..255), averaged over the frames.

    sharpness: root of the mean squared brightness gradient between neighbouring pixels. contrast:
    deviation of brightness over the picture. saturation: mean of the strongest channel minus the weakest.
    colour_spread: deviation of the colour differences red - green and blue - yellow over the picture.
    motion: mean absolute brightness difference between one frame and the next (0 of a single frame).
    """
    rows = []
    before = None
    for frame in frames:  # one by one: a minute of floats would be gigabytes
        pixels = frame.astype(np.float32)
        luma = pixels @ _LUMA
        gradient = np.square(np.diff(luma, axis=1)).mean() + np.square(np.diff(luma, axis=0)).mean()
        red_green = pixels[..., 0] - pixels[..., 1]
        blue_yellow = pixels[..., 2] - pixels[..., :2].mean(-1)
        spread = np.sqrt(red_green.var() + blue_yellow.var())
        rows.append((np.sqrt(gradient), luma.std(), (pixels.max(-1) - pixels.min(-1)).mean(), spread,
                     0.0 if before is None else np.abs(luma - before).mean()))
        before = luma
    sums = np.array(rows).sum(0) / [len(rows)] * np.array([1, 1, 1, 1, len(rows) / max(len(rows) - 1, 1)])
    return dict(zip(("sharpness", "contrast", "saturation", "colour_spread", "motion"), sums.tolist(), strict=True))
