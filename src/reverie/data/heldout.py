"""What training never sees, decided by hash and so fixed for good.

A combination of colour, kind and event, or a caption template, is held out when its hash says so:
no list to keep in step with the code, and nothing that a later session could move by accident.
"""

from __future__ import annotations

import hashlib


def _bucket(text: str, buckets: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % buckets


def combination_held_out(colour: str, kind: str, event: str) -> bool:
    """Whether this colour × kind × event is kept out of training (about 1 in 20)."""
    return _bucket(f"combination {colour} {kind} {event}", 20) == 0


def template_held_out(template: str) -> bool:
    """Whether this caption template (its text with the blanks unfilled) is kept out (about 1 in 8)."""
    return _bucket(f"template {template}", 8) == 0
