"""The live channel: WebSocket /v1/realtime/video. Text, keys or a wheel go in, frames come out while they are made.

A client speaks JSON text messages of at most 8 KiB, 100 a second at most; the first must be session.start:

    {"type": "session.start", "prompt": "a red ball in a room", "world": "lab", "format": "jpeg" | "m4s",
     "size": "256x256", "fps": 24, "seed": 0, "video": "video_...", "record": false}
        All but the type is optional, but for one of prompt and video (a finished job whose end the dream goes on from).
    {"type": "session.interaction", "seq": 7, "text": "a dog walks in", "keys": ["w", "ArrowLeft", "Shift"],
     "axes": {"steering": -0.5, "throttle": 1, "pan": 0, "tilt": 0, "lift": 0}, "rates": {"pan": 20, "dolly": 0.5}}
        All but the type is optional. keys (as KeyboardEvent.key has them) and axes (-1 to 1) are what is held from now
        on, eased; rates are the camera's in degrees or metres a second, exactly. What is left out of keys, axes or
        rates is let go; a message with none of them leaves the camera as it is. w s: dolly, a d: orbit, arrows: pan and
        tilt, q e: crane, shift: twice as fast. seq, the client's number, comes back with the first frames it acts on.
    {"type": "session.shown", "frame": 96}      now and then, of jpeg: at most a second of frames is then on the way
    {"type": "session.record", "on": true}
    {"type": "session.stop"}

The server answers with JSON text messages

    {"type": "session.queued"}                  the model is loading, or the past is being read
    {"type": "session.started", "session", "size", "fps", "format", "mime" (of m4s), "unknown_words", "keys", "idle"}
    {"type": "session.state", "frame", "seconds", "seq", "step_ms", "together", "rates", "text", "recording", "dropped"}
        ahead of each step's four frames. step_ms: what the model took, for ``together`` sessions at once; rates: of the
        camera in this step, null while the dream moves it; dropped: frames that this client was too slow for, so far.
    {"type": "session.recorded", "id" (of the finished job, or null), "seconds"}
    {"type": "session.ended", "reason": "stopped" | "idle" | "long" | "failed"}
    {"type": "error", "error": {"message", "type", "param", "code"}}    the session ends, unless the code is "recording"

and binary messages. jpeg: 16 bytes, big-endian (uint32 frame number, uint32 seq, float32 seconds, float32 step_ms), and
a JPEG. m4s: the MP4's header, then one fragment for each frame (frame k's comes with frame k + 1).

A client that reads too slowly holds nobody up: of its jpeg frames the newest are kept, of an m4s stream all is left out
until the next key frame. At most ``sessions`` at a time (close code 1013); idle ones are ended, ten-minute ones too.
The dreaming runs in a process of its own (live_process.py), begun with the first session; this one never loads the
model.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import queue
import secrets
import threading
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from reverie.core.errors import BadInput, ReverieError
from reverie.foreign.finding import is_foreign
from reverie.serve.jobs import Store
from reverie.serve.live_messages import KEYS, Interaction, Record, Shown, Start, Stop, parse
from reverie.serve.live_outbox import Outbox
from reverie.serve.live_process import Opening, load_world, main
from reverie.serve.live_recording import Recorded

FIRST_MESSAGE = 10.0  # seconds in which session.start must come
PER_SECOND = 100  # messages of one client
LONGEST = 600.0  # seconds of one dream: as long as it remembers
REFUSED, TRY_LATER = 1008, 1013  # WebSocket close codes


def add_live(app: Any, settings: Any) -> None:
    """Give the server its live channel; the dream's process ends with it."""
    def find_video(tenant: str, name: str) -> Path | None:
        with contextlib.closing(Store(settings.data)) as store:  # its own: called in a thread
            job = store.get(tenant, name)
            return None if job is None else store.result(job, "video.mp4")

    def keep(tenant: str, made: Recorded) -> str:
        with contextlib.closing(Store(settings.data)) as store:
            return store.adopt(tenant, kind="drive", prompt=made.prompt, seconds=made.seconds, size=made.size,
                               fps=made.fps, seed=made.seed, files={"video.mp4": made.video, "log.csv": made.log}).id

    own = next((model for model in settings.models if not is_foreign(model)), settings.model)
    live = Live(folder=Path(settings.data) / "live", model=own,
                sessions=getattr(settings, "live_sessions", 4), idle=getattr(settings, "live_idle", 120.0),
                find_video=find_video, keep=keep)
    app.state.live = live
    app.add_api_websocket_route("/v1/realtime/video", live.endpoint)
    app.state.on_stop.append(live.close)


class _Client:
    def __init__(self, session: str, tenant: str, start: Start):
        self.session, self.tenant, self.start = session, tenant, start
        self.outbox = Outbox(start.format)
        self.about: dict | None = None  # of the started session that waits for its m4s header
        self.heard: float | None = None  # when a hand was last felt; None until the dream has begun
        self.ending: asyncio.Task | None = None
        self.closed = asyncio.Event()  # the dream's process has let it go

    def started(self, about: dict, mime: str | None, idle: float) -> None:
        self.heard = time.monotonic()
        keys = {key: list(meaning) for key, meaning in KEYS.items()}
        self.outbox.tell({"type": "session.started", "session": self.session, "format": self.start.format, "mime": mime,
                          "keys": keys, "idle": idle, **about})


class Live:
    """Every live session of a server, and the one process in which they dream.

    folder: where recordings are written; model: for World.load; load: what the process calls with it (a function of a
    module, for tests); sessions: at most so many at a time; idle: seconds without a message after which one is ended;
    find_video(tenant, id): a finished job's file, or None; keep(tenant, Recorded): makes it a finished job, whose id it
    returns.
    """

    def __init__(self, *, folder: Path, model: str = "base", load: Callable = load_world, sessions: int = 4,
                 idle: float = 120.0, find_video: Callable[[str, str], Path | None] | None = None,
                 keep: Callable[[str, Recorded], str] | None = None):
        self.folder, self.model, self.load = Path(folder), model, load
        self.sessions, self.idle, self.find_video, self.keep = sessions, idle, find_video, keep
        self._clients: dict[str, _Client] = {}
        self._waiting = 0  # connections that have not begun
        self._process: Any = None
        self._commands: queue.SimpleQueue | None = None
        self._keeping: set[asyncio.Task] = set()

    # -- one connection -----------------------------------------------------------------------------------

    async def endpoint(self, websocket: WebSocket) -> None:
        """Serve one WebSocket from its handshake to its end."""
        await websocket.accept()
        if self._waiting >= 4 * self.sessions:
            await _refuse(websocket, "too many connections wait to begin", "busy", TRY_LATER)
            return
        self._waiting += 1
        try:
            start = await self._first(websocket)
        finally:
            self._waiting -= 1
        if start is None:
            return
        if is_foreign(self.model):
            await _refuse(websocket, "the model that is served here makes whole videos: it cannot be driven", "model",
                          REFUSED)
            return
        if len(self._clients) >= self.sessions:
            await _refuse(websocket, f"all {self.sessions} live sessions are taken; try again in a minute", "busy",
                          TRY_LATER)
            return
        client = _Client(secrets.token_hex(6), websocket.scope.get("tenant", ""), start)
        self._clients[client.session] = client
        try:
            past = await self._past(client)
        except ReverieError as error:
            del self._clients[client.session]
            await _refuse(websocket, str(error), "video", REFUSED)
            return
        client.outbox.tell({"type": "session.queued"})
        opening = Opening(start.prompt, start.format, start.size, start.fps, start.seed, past, start.record)
        self._command("open", client.session, opening)
        sending = asyncio.create_task(self._send(websocket, client))
        hearing = asyncio.create_task(self._hear(websocket, client))
        try:
            await asyncio.wait({sending, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if hearing.done() and not sending.done() and not client.outbox.over:
                await self._end(client, hearing.result())
            if client.outbox.over:
                with contextlib.suppress(TimeoutError, WebSocketDisconnect):
                    await asyncio.wait_for(asyncio.shield(sending), 5.0)
        finally:
            for task in (sending, hearing):
                task.cancel()
            await asyncio.gather(sending, hearing, return_exceptions=True)
            if not client.closed.is_set():
                self._command("close", client.session)
                client.outbox.over = True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(client.closed.wait(), 10.0)
            self._clients.pop(client.session, None)
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await websocket.close()

    async def _first(self, websocket: WebSocket) -> Start | None:
        """The session.start of a connection, or None when it was refused."""
        try:
            message = await asyncio.wait_for(websocket.receive(), FIRST_MESSAGE)
            if message["type"] != "websocket.receive":
                return None
            start = parse(_text(message))
            if not isinstance(start, Start):
                raise BadInput("the first message must be session.start")
            return start
        except TimeoutError:
            await _refuse(websocket, f"no session.start came in {FIRST_MESSAGE:g} s", "timeout", REFUSED)
        except BadInput as error:
            await _refuse(websocket, str(error), "bad_message", REFUSED)
        return None

    async def _past(self, client: _Client) -> Path | None:
        if client.start.video is None:
            return None
        name = client.start.video
        found = await asyncio.to_thread(self.find_video, client.tenant, name) if self.find_video else None
        if found is None:
            raise BadInput(f"there is no finished video {name[:80]!r} to go on from")
        return found

    async def _send(self, websocket: WebSocket, client: _Client) -> None:
        while (message := await client.outbox.next()) is not None:
            if isinstance(message, str):
                await websocket.send_text(message)
            else:
                await websocket.send_bytes(message)

    async def _hear(self, websocket: WebSocket, client: _Client) -> str:
        """Pass on what a client says; returns why it ended: "gone", "stopped", "idle" or "failed"."""
        allowance, counted = float(PER_SECOND), time.monotonic()
        while True:
            left = self.idle if client.heard is None else client.heard + self.idle - time.monotonic()
            try:
                message = await asyncio.wait_for(websocket.receive(), max(0.0, left))
            except TimeoutError:
                if client.heard is None or client.heard + self.idle > time.monotonic():
                    continue  # the model was still loading
                return "idle"
            if message["type"] != "websocket.receive":
                return "gone"
            now = time.monotonic()
            allowance, counted = min(PER_SECOND, allowance + (now - counted) * PER_SECOND), now
            allowance -= 1
            try:
                if allowance < 0:
                    raise BadInput(f"more than {PER_SECOND} messages a second")
                said = parse(_text(message))
            except BadInput as error:
                client.outbox.tell(_error(str(error), "bad_message"))
                return "failed"
            if isinstance(said, Shown):  # a page says this by itself: nobody need be there
                client.outbox.shown(said.frame)
                continue
            client.heard = client.heard and now
            if isinstance(said, Interaction):
                self._command("input", client.session, said)
            elif isinstance(said, Record):
                self._command("record", client.session, said.on)
            elif isinstance(said, Stop):
                return "stopped"
            else:
                client.outbox.tell(_error("the session has started already", "bad_message"))
                return "failed"

    async def _end(self, client: _Client, why: str) -> None:
        """Let the dream go, with its recording kept, and say so."""
        self._command("close", client.session)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(client.closed.wait(), 10.0)
        client.outbox.tell({"type": "session.ended", "reason": why}, last=True)

    # -- the process --------------------------------------------------------------------------------------

    def _command(self, *command: Any) -> None:
        if self._process is None or not self._process.is_alive():
            if command[0] != "open":
                if client := self._clients.get(command[1]):
                    client.closed.set()
                return
            self._begin()
        assert self._commands is not None
        self._commands.put(command)

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        self._process = context.Process(target=main, args=(there, self.load, self.model, self.folder),
                                        name="reverie dreams", daemon=True)
        self._process.start()
        there.close()
        self._commands = queue.SimpleQueue()
        loop = asyncio.get_running_loop()
        threading.Thread(target=_write_pipe, args=(here, self._commands), name="to the dreams", daemon=True).start()
        threading.Thread(target=self._read_pipe, args=(here, self._process, self._commands, loop),
                         name="from the dreams", daemon=True).start()

    def _read_pipe(self, pipe, process, commands: queue.SimpleQueue, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: so is the server
            with contextlib.suppress(EOFError, OSError):
                while True:
                    loop.call_soon_threadsafe(self._arrived, *pipe.recv())
            commands.put(None)
            loop.call_soon_threadsafe(self._lost, process)

    def _lost(self, process) -> None:
        """The process has ended: those who were dreaming in it are told; the next session begins another."""
        if process is not self._process:
            return
        self._process = None
        for client in self._clients.values():
            client.closed.set()
            if not client.outbox.over:
                client.outbox.tell(_error("the dreaming process has ended; start again", "failed"))
                client.outbox.tell({"type": "session.ended", "reason": "failed"}, last=True)

    def _arrived(self, what: str, name: str | None = None, *rest: Any) -> None:
        if what == "failed" and name is None:  # the model could not be loaded
            for one in self._clients.values():
                self._failed(one, rest[0])
            return
        client = self._clients.get(name) if name is not None else None
        if client is None:
            return
        if what == "opened":
            if client.start.format == "m4s":
                client.about = rest[0]
            else:
                client.started(rest[0], None, self.idle)
        elif what == "block":
            state, pieces = rest
            if client.about is not None and pieces:
                from reverie.core.video_live import mime_of

                client.started(client.about, mime_of(pieces[0][0]), self.idle)
                client.about = None
            client.outbox.show(state, pieces)
            if state["seconds"] >= LONGEST and client.ending is None:
                client.ending = asyncio.create_task(self._end(client, "long"))
        elif what == "recorded":
            task = asyncio.create_task(self._keep(client, rest[0]))
            self._keeping.add(task)
            task.add_done_callback(self._keeping.discard)
        elif what == "failed-recording":
            client.outbox.tell(_error(rest[0], "recording"))
        elif what == "failed":
            self._failed(client, rest[0])
        elif what == "closed":
            if self._keeping:  # what was recorded is told before the end is
                asyncio.gather(*self._keeping, return_exceptions=True).add_done_callback(lambda _: client.closed.set())
            else:
                client.closed.set()

    def _failed(self, client: _Client, why: str) -> None:
        if not client.outbox.over:
            client.outbox.tell(_error(why, "failed"))
            client.outbox.tell({"type": "session.ended", "reason": "failed"}, last=True)
        client.closed.set()

    async def _keep(self, client: _Client, made: Recorded) -> None:
        name = None
        if self.keep is not None:
            try:
                name = await asyncio.to_thread(self.keep, client.tenant, made)
            except (ReverieError, OSError) as error:
                client.outbox.tell(_error(f"the recording is in {made.video.name}, but no job: {error}", "recording"))
        client.outbox.tell({"type": "session.recorded", "id": name, "seconds": round(made.seconds, 3)})

    async def close(self) -> None:
        """End every session and the process."""
        for client in list(self._clients.values()):
            await self._end(client, "stopped")
        if self._commands is not None:
            self._commands.put(("quit",))
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(process.join, 5.0)
            if process.is_alive():
                process.kill()


def _write_pipe(pipe, commands: queue.SimpleQueue) -> None:
    """The thread that writes: a pipe that is full must not hold up the server."""
    with contextlib.suppress(OSError, ValueError):
        while (command := commands.get()) is not None:
            pipe.send(command)


def _text(message: MutableMapping[str, Any]) -> str:
    text = message.get("text")
    if text is None:
        raise BadInput("messages to the server must be text (JSON)")
    return text


def _error(message: str, code: str) -> dict:
    kind = "server_error" if code == "failed" else "invalid_request_error"
    return {"type": "error", "error": {"message": message, "type": kind, "param": None, "code": code}}


async def _refuse(websocket: WebSocket, message: str, code: str, close: int) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await websocket.send_text(json.dumps(_error(message, code)))
        await websocket.close(close)
