"""What a script's words ask of the camera, as moves that it then makes to the degree: a network that reads the same
words made 0.28 of such moves (0.05 of those that were asked for in Chinese)."""

from __future__ import annotations

from collections.abc import Sequence

from reverie.audit.asking import Claim, asked
from reverie.audit.prompt_camera import USUAL
from reverie.core.clip import Line
from reverie.core.errors import ReverieError
from reverie.core.moves import DIRECTIONS, LIMITS, Move

TAKES, LONGEST = 4.0, 8.0  # seconds in which a move of no given size is a usual one; that a move takes at most
STILL = (Move("still", "", 0.0),)


def moves_told(script: Sequence[Line], seconds: float) -> list[tuple[float, tuple[Move, ...]]]:
    """Moves of the camera by start second, as World.imagine has them, for a video of so many seconds; empty where no
    move is told, or one that depends on where things will be ("follows the dog"). A line that tells none stands still;
    a move is over after LONGEST seconds."""
    try:
        claims = [claim for claim in asked(list(script)) if claim.aspect == "camera"]
    except ReverieError:  # a language that nobody reads: the network may
        return []
    if not claims or any(claim.what not in ("still", *DIRECTIONS) for claim in claims):
        return []
    parts: list[tuple[float, tuple[Move, ...]]] = []
    ends = [*(line.start for line in script[1:]), seconds]
    for start, end in zip((line.start for line in script), ends, strict=True):
        lasts = min(end - start, LONGEST)
        moves = {claim.what: _move(claim, lasts) for claim in claims if claim.start == start and claim.what != "still"}
        parts.append((start, tuple(moves.values()) or STILL))
        if moves and start + lasts < end:
            parts.append((start + lasts, STILL))
    return parts if any(part != STILL for _, part in parts) else []


def _move(claim: Claim, lasts: float) -> Move:
    """A claim as a move in so many seconds; where no way is given the first, where no size is given a usual one."""
    way = claim.detail if claim.detail in DIRECTIONS[claim.what] else DIRECTIONS[claim.what][0]
    return Move(claim.what, way, min(claim.count / 1000 or USUAL[claim.what] * lasts / TAKES, LIMITS[claim.what]))
