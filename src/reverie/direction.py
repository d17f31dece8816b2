"""What a script's words settle of the camera before a network imagines the rest.

The camera makes its moves to the degree: a network that reads the same words made 0.28 of such moves (0.05 of those
that were asked for in Chinese).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product

from reverie.audit.asking import Claim, asked
from reverie.audit.prompt_camera import USUAL
from reverie.audit.wording_camera import CAMERA_ZH
from reverie.core.camera import CameraPath
from reverie.core.clip import Line
from reverie.core.errors import ReverieError
from reverie.core.moves import DIRECTIONS, LIMITS, Move, camera_path
from reverie.model.steering import Pose, first_pose, in_sight

TAKES, LONGEST = 3.0, 8.0  # seconds from which on a move of no given size is a usual one; that a move takes at most
SHARES = (1.0, 0.75, 0.5, 0.25)  # of a usual move, of which the first is made that keeps the stage in sight
STEPS = 9  # poses of a move, to see where it leads
STILL = (Move("still", "", 0.0),)
# what a text names that tells a camera something, in words that may be understood by the network alone
CAMERA = re.compile(rf"\b(?:camera|shot|view|gaze|lens)\b|{CAMERA_ZH}", re.IGNORECASE)


def moves_told(script: Sequence[Line], seconds: float, opening: CameraPath | None = None
               ) -> list[tuple[float, tuple[Move, ...]]]:
    """Moves of the camera by start second, as World.imagine has them, for a video of so many seconds; empty where no
    move is told, or one that depends on where things will be ("follows the dog"). A line that tells none stands still;
    a move is over after LONGEST seconds. What words leave open is such that a camera that begins at ``opening``, or
    where cameras that are told to go begin, does not lose the stage."""
    try:
        claims = [claim for claim in asked(list(script)) if claim.aspect == "camera"]
    except ReverieError:  # a language that nobody reads: the network may
        return []
    if not claims or any(claim.what not in ("still", *DIRECTIONS) for claim in claims):
        return []
    parts: list[tuple[float, tuple[Move, ...]]] = []
    script = [line for line in script if line.start < seconds]
    ends, pose = [*(line.start for line in script[1:]), seconds], first_pose(opening)
    for start, end in zip((line.start for line in script), ends, strict=True):
        lasts = min(end - start, LONGEST)
        told = {claim.what: claim for claim in claims if claim.start == start and claim.what != "still"}
        moves, pose = _moves(list(told.values()), lasts, pose)
        parts.append((start, moves or STILL))
        if moves and start + lasts < end:
            parts.append((start + lasts, STILL))
    return parts


def _moves(claims: Sequence[Claim], lasts: float, pose: Pose) -> tuple[tuple[Move, ...], Pose]:
    """Claims of one line as moves in so many seconds, from a pose on, and the pose that they lead to."""
    ways = [[claim.detail] if claim.detail in DIRECTIONS[claim.what] else DIRECTIONS[claim.what] for claim in claims]
    for share in SHARES:
        for chosen in product(*ways):
            moves = tuple(_move(claim, way, share * min(lasts / TAKES, 1.0))
                          for claim, way in zip(claims, chosen, strict=True))
            end = camera_path(moves, *pose, STEPS, 1.0)[0][-1:]
            if in_sight(end):
                return moves, first_pose(end)
    return moves, first_pose(end)


def _move(claim: Claim, way: str, share: float) -> Move:
    """A claim as a move; where no size is given, a share of a usual one."""
    return Move(claim.what, way, min(claim.count / 1000 or USUAL[claim.what] * share, LIMITS[claim.what]))
