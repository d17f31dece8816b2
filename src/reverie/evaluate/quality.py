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


def psnr(made: np.ndarray, true: np.ndarray) -> float:
    """Decibels between uint8 pictures of one shape."""
    error = np.square(made.astype(np.float64) - true).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-3)))


def ssim(made: np.ndarray, true: np.ndarray, window: int = 7) -> float:
    """Structural similarity of the brightness of two uint8 pictures (H, W, 3), in square windows. Source: Wang et al.
    2004."""
    a, b = (picture.astype(np.float64) @ _LUMA for picture in (made, true))

    def mean(x: np.ndarray) -> np.ndarray:
        return np.lib.stride_tricks.sliding_window_view(x, (window, window)).mean((2, 3))

    share = window**2 / (window**2 - 1)  # of samples
    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = (share * (mean(x * x) - m * m) for x, m in ((a, mean_a), (b, mean_b)))
    both = share * (mean(a * b) - mean_a * mean_b)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float((((2 * mean_a * mean_b + c1) * (2 * both + c2))
                  / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def frechet(one: np.ndarray, other: np.ndarray) -> float:
    """The Fréchet distance of two sets of feature vectors (N, D) and (M, D), each taken for a normal distribution
    (Heusel et al., arXiv 1706.08500): of their means, and of how they spread."""
    a, b = (np.asarray(x, np.float64) for x in (one, other))
    spreads = [np.atleast_2d(np.cov(x, rowvar=False)) if len(x) > 1 else np.zeros((x.shape[1],) * 2) for x in (a, b)]
    values, axes = np.linalg.eigh(spreads[0])
    root = axes * np.sqrt(values.clip(0)) @ axes.T
    common = np.sqrt(np.linalg.eigvalsh(root @ spreads[1] @ root).clip(0)).sum()
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(spreads[0] + spreads[1]) - 2 * common)
