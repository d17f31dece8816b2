"""What waits to be sent to one live client, never much of it (see live.py)."""

from __future__ import annotations

import asyncio
import json
import struct
from collections import deque

FRAME_HEAD = struct.Struct("!IIff")
HELD_FRAMES = 8  # of jpeg that wait for a client: two steps
HELD_PIECES = 48  # of m4s
AHEAD = 24  # jpeg frames that may be on their way to a client that says which it has shown


class Outbox:
    """What waits to be sent to one client, never much of it: states and frames of jpeg make room for newer ones."""

    def __init__(self, form: str):
        self.form, self.dropped, self.over = form, 0, False
        self._on_way: deque[int] = deque(maxlen=2 * AHEAD)  # numbers of frames that were sent and not yet shown
        self._says = False  # the client says what it has shown
        self._news: deque[str] = deque()  # must arrive
        self._pictures: deque[bytes] = deque()
        self._state: str | None = None
        self._skipping = False
        self._ready = asyncio.Event()

    def tell(self, message: dict, *, last: bool = False) -> None:
        """A message that must arrive; after the last one the connection ends."""
        self._news.append(json.dumps(message, ensure_ascii=False))
        self.over = self.over or last
        self._ready.set()

    def show(self, state: dict, pieces: list[tuple[bytes, bool]]) -> None:
        """One step's state and frames."""
        for number, (piece, begins) in enumerate(pieces):
            if self.form == "jpeg":
                head = FRAME_HEAD.pack(state["frame"] + number, state["seq"], state["seconds"], state["step_ms"])
                self._pictures.append(head + piece)
                if len(self._pictures) > HELD_FRAMES:
                    self._pictures.popleft()
                    self.dropped += 1
                continue
            header = piece[4:8] == b"ftyp"
            if len(self._pictures) >= HELD_PIECES:
                self.dropped += len(self._pictures)
                self._pictures.clear()
                self._skipping = True
            if self._skipping and not begins and not header:
                self.dropped += 1
                continue
            self._skipping = False
            self._pictures.append(piece)
        self._state = json.dumps({"type": "session.state", **state, "dropped": self.dropped})
        self._ready.set()

    def shown(self, frame: int) -> None:
        """The client has shown this frame. Without it what is on the way to a slow client can be many seconds."""
        self._says = True
        while self._on_way and self._on_way[0] <= frame:
            self._on_way.popleft()
        self._ready.set()

    async def next(self) -> str | bytes | None:
        """What is to be sent now; None when all has been said and the connection may end."""
        while True:
            if self._news:
                return self._news.popleft()
            if self.over:
                return None
            if self._state is not None:
                state, self._state = self._state, None
                return state
            if self._pictures and not (self._says and len(self._on_way) >= AHEAD):
                picture = self._pictures.popleft()
                if self.form == "jpeg":
                    self._on_way.append(FRAME_HEAD.unpack_from(picture)[0])
                return picture
            self._ready.clear()
            await self._ready.wait()
