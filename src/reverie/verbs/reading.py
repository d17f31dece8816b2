"""Values of arguments, read from text: argparse says why one is refused."""

from __future__ import annotations

import argparse


def size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT as (H, W)."""
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isascii() and width.isdigit() and height.isascii() and height.isdigit()
            and len(text) < 20):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not WIDTHxHEIGHT, as in 256x256")
    return int(height), int(width)


def number(text: str) -> float:
    """A number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number") from None


def above_zero(text: str) -> float:
    """A number above 0."""
    value = number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {value:g}")
    return value


def count(text: str) -> int:
    """A whole number of at least 1."""
    value = whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text[:40])
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number") from None
