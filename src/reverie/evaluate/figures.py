"""Figures: a name, a value, a unit, a goal and how many cases stand behind it."""

from __future__ import annotations

import math
import operator

_SIGNS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def figure(name: str, value: float, unit: str = "", goal: str | None = None, n: int = 0) -> dict:
    """One figure, ready for JSON; a value over nothing (NaN) is None. goal: see ``met``."""
    value = float(value)
    return {
        "name": name,
        "value": float(f"{value:.5g}") if math.isfinite(value) else None,
        "unit": unit,
        "goal": goal,
        "n": int(n),
    }


def met(value: float | None, goal: str | None) -> bool | None:
    """Whether a value meets a goal like ">= 0.95", "< 60" or ">= 0.8 and <= 1.2"; None without either."""
    if goal is None or value is None:
        return None
    parts = [part.split() for part in goal.split(" and ")]
    return all(_SIGNS[sign](value, float(bound)) for sign, bound in parts)


def share(hits: int | float, n: int) -> float:
    """hits / n, NaN of nothing."""
    return hits / n if n else math.nan
