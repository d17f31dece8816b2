"""Several jobs of one worker at once: each generates in a thread of its own, and their dreams are stepped in one pass.

Worth it where a pass over several costs little more than one over one, as on a GPU. On two CPU cores (bench/
serve_batch.py, 128x128) two videos together made 1.12 times and four 1.27 times the frames a second of one. All of a
batch end last, so for the mean wait to shrink two would have to make more than 1.33 and four more than 1.6 times as
many: there, whoever waits is served sooner one by one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

ON_GPU = 4  # jobs at once, unless the server is told another number


def jobs_at_once(world: Any, asked: int) -> int:
    """How many: as asked, or (0) what suits the device. One where dreams cannot be stepped from outside."""
    if not hasattr(world, "dream"):
        return 1  # somebody else's model
    if asked:
        return asked
    parameters = getattr(getattr(world, "transformer", None), "parameters", None)
    return ON_GPU if parameters is not None and next(parameters()).device.type == "cuda" else 1


class Apart(Exception):
    """A pass over several failed: each is to be made again, alone."""


@dataclass
class _Seat:
    """One dream that waits for its next block."""

    dream: Any
    block: Any = None
    error: BaseException | None = None

    @property
    def served(self) -> bool:
        return self.block is not None or self.error is not None


class Meeting:
    """Where dreams of several threads meet for each of their steps. step: ``world.step_together``.

    A member is whoever has stepped once and did not leave; a pass begins when all members wait for it. So nobody waits
    for one that still reads its past, or writes its pictures afterwards.
    """

    def __init__(self, step: Callable[[Sequence[Any], Sequence[dict]], list]) -> None:
        self._step = step
        self._turn = threading.Condition()
        self._members: set[object] = set()
        self._waiting: dict[object, _Seat] = {}
        self._ended = False

    def step(self, who: object, dream: Any) -> Any:
        """The dream's next block, made together with those of all other members; ``who``: the member.

        Raises what the pass raised if it was over this dream alone, Apart if it was over several, and
        KeyboardInterrupt when the meeting has ended.
        """
        with self._turn:
            self._members.add(who)
            seat = self._waiting[who] = _Seat(dream)
            while not seat.served:
                if self._ended:
                    seat.error = KeyboardInterrupt()
                elif self._members == self._waiting.keys():
                    self._pass()
                else:
                    self._turn.wait()
            self._waiting.pop(who, None)
        if seat.error is not None:
            raise seat.error
        return seat.block

    def leave(self, who: object) -> None:
        """This member steps no more; the others go on."""
        with self._turn:
            self._members.discard(who)
            self._turn.notify_all()

    def end(self) -> None:
        """Nobody steps any more."""
        with self._turn:
            self._ended = True
            self._turn.notify_all()

    def _pass(self) -> None:
        """One step of all; the lock is held, for all members wait in it."""
        seats = list(self._waiting.values())
        self._waiting.clear()
        try:
            blocks = self._step([seat.dream for seat in seats], [{}] * len(seats))
            for seat, block in zip(seats, blocks, strict=True):
                seat.block = block
        except Exception as error:
            for seat in seats:
                seat.error = error if len(seats) == 1 else Apart()
        self._turn.notify_all()
