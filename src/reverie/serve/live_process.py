"""The process that dreams: every live session of the server steps here, together, at the pace of its own clock.

It is the only part of the live channel that loads the model. It speaks with the server through a pipe of small tuples:

    in:   ("open", session, Opening)  ("input", session, Interaction)  ("record", session, on)  ("close", session)
          ("quit",)
    out:  ("ready",)  ("opened", session, about)  ("block", session, state, pieces)  ("recorded", session, Recorded)
          ("failed", session, message)  ("failed-recording", session, message)  ("closed", session)

A session is stepped when its last four frames have been shown, never earlier: what a hand does now is then seen after
one step at most, however fast the machine is. Sessions of one rate are due at the same moment, and so share a batch.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reverie.core.errors import ReverieError
from reverie.core.vocabulary import CAMERA_CHANNELS, FRAMES_PER_LATENT
from reverie.serve.live_driving import stepping
from reverie.serve.live_messages import Interaction

EASE = 0.6  # of the way to the asked rate that a camera goes in one step, so that it starts and stops softly
STILL = {"pan": 0.2, "tilt": 0.2, "orbit": 0.2, "dolly": 0.01, "crane": 0.01}  # rates below which it stands
PAST_SECONDS = 8.0  # of a given video that the model looks at
QUIT_AFTER = 300.0  # seconds without a session


@dataclass(frozen=True)
class Opening:
    """How a dream begins. size: (H, W) or None; past: a video file or None; record: from the first frame on."""

    prompt: str
    format: str
    size: tuple[int, int] | None = None
    fps: float | None = None
    seed: int = 0
    past: Path | None = None
    record: bool = False


@dataclass
class _Session:
    name: str
    opening: Opening
    dream: Any
    unknown: list[str]
    first: tuple[Any, float]  # its first Block, and the seconds it took
    due: float = 0.0  # on time.monotonic's clock
    seq: int = 0
    texts: list[str] = field(default_factory=list)  # still to be said to the dream
    wanted: dict[str, float] | None = None  # None until the camera is first driven
    rates: dict[str, float] = field(default_factory=lambda: dict.fromkeys(CAMERA_CHANNELS, 0.0))
    exact: bool = False
    coder: Any = None  # of m4s
    recording: Any = None


def load_world(model: str) -> tuple[Any, Callable]:
    """The world of that name, and what steps its dreams together."""
    from reverie.core.runtime import set_threads
    from reverie.world import World, step_together

    set_threads()
    world = World.load(model)
    if world.transformer.config.of_a_log:
        return world, stepping(world.transformer.config.drive, step_together)
    return world, step_together


def main(pipe, load: Callable, model: str, folder: Path) -> None:
    """Run until the server says quit, goes away, or no session was open for QUIT_AFTER seconds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which then says quit
    commands: queue.Queue = queue.Queue()
    threading.Thread(target=_listen, args=(pipe, commands), name="commands", daemon=True).start()
    try:
        world, step = load(model)
    except Exception as error:
        pipe.send(("failed", None, _explain(error)))
        return
    pipe.send(("ready",))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        Dreaming(pipe.send, commands, world, step, folder).run()


def _listen(pipe, commands: queue.Queue) -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            commands.put(pipe.recv())
    commands.put(("quit",))


class Dreaming:
    """The loop: takes what came in, steps what is due, hands out what was made.

    send: called with each outgoing tuple; commands: the incoming ones; world: has dream, fps, default_size and
    unknown_words; step: ``step_together``.
    """

    def __init__(self, send: Callable[[tuple], None], commands: queue.Queue, world, step: Callable, folder: Path):
        self.send, self.commands, self.world, self.step, self.folder = send, commands, world, step, folder
        self.sessions: dict[str, _Session] = {}
        self._opening: set[str] = set()
        self._said: dict[str, list[tuple]] = {}  # what came for sessions that were not open yet
        self._wishes: queue.Queue = queue.Queue()
        self._empty_since = time.monotonic()

    def run(self) -> None:
        """Until ("quit",) comes."""
        threading.Thread(target=self._open_all, name="opening", daemon=True).start()
        going = True
        while going:
            going = self._take(self._wait())
            self._step(time.monotonic())
            if not self.sessions and not self._opening and time.monotonic() - self._empty_since > QUIT_AFTER:
                break
        for name in list(self.sessions):
            self._close(name)

    def _wait(self) -> float:
        if not self.sessions:
            return 1.0
        return max(0.0, min(s.due for s in self.sessions.values()) - time.monotonic())

    def _take(self, wait: float) -> bool:
        """Take every command there is, waiting for the first; False when it is time to go."""
        while True:
            try:
                command = self.commands.get(timeout=wait) if wait > 0 else self.commands.get_nowait()
            except queue.Empty:
                return True
            wait = 0.0
            if command[0] == "quit":
                return False
            self._obey(*command)

    def _obey(self, what: str, name: str, *rest) -> None:
        if what == "open":
            self._opening.add(name)
            self._wishes.put((name, *rest))
        elif what == "opened":  # from the thread that opens
            self._adopt(name, *rest)
        elif name in self._opening:
            self._said.setdefault(name, []).append((what, name, *rest))
        elif session := self.sessions.get(name):
            if what == "input":
                self._hear(session, *rest)
            elif what == "record":
                self._record(session, *rest)
            elif what == "close":
                self._close(name)
        elif what == "close":
            self.send(("closed", name))

    # -- beginning and ending -----------------------------------------------------------------------------

    def _open_all(self) -> None:
        """The opening thread: taking a past in takes a while, in which the others dream on."""
        while True:
            name, opening = self._wishes.get()
            try:
                made: Any = self._begin(name, opening)
            except Exception as error:
                made = error
            self.commands.put(("opened", name, made))

    def _begin(self, name: str, opening: Opening) -> _Session:
        from reverie.core.clip import Line

        size, fps = opening.size or tuple(self.world.default_size), opening.fps or self.world.fps
        past = {} if opening.past is None else _past(opening.past, fps, size)
        script = (Line(0.0, opening.prompt),) if opening.prompt else ()
        dream = self.world.dream(script, size=size, fps=fps, seed=opening.seed, **past)
        unknown = self.world.unknown_words(opening.prompt) if opening.prompt else []
        began = time.monotonic()
        first = self.step([dream], [{}])[0]  # takes the past in
        return _Session(name, opening, dream, list(unknown), (first, time.monotonic() - began))

    def _adopt(self, name: str, made: _Session | Exception) -> None:
        self._opening.discard(name)
        said = self._said.pop(name, [])
        if isinstance(made, Exception):
            self.send(("failed", name, _explain(made)))
            return
        now, period = time.monotonic(), FRAMES_PER_LATENT / made.dream.fps
        others = [s.due for s in self.sessions.values() if s.dream.fps == made.dream.fps and 0 <= s.due - now <= period]
        made.due = min(others, default=now + period)  # in step with those of its rate: that is what makes a batch
        self.sessions[name] = made
        about = {"size": _size(made.dream.size), "fps": made.dream.fps, "unknown_words": made.unknown}
        if made.opening.format == "m4s":
            from reverie.core.video_live import FragmentWriter

            made.coder = FragmentWriter(fps=made.dream.fps, size=tuple(made.dream.size))
        self.send(("opened", name, about))
        if made.opening.record:
            self._record(made, True)
        self._hand_out(made, {}, *made.first, 1)
        for command in said:
            self._obey(*command)

    def _close(self, name: str) -> None:
        session = self.sessions.pop(name)
        self._record(session, False)
        if session.coder is not None:
            session.coder.close()
        if not self.sessions:
            self._empty_since = time.monotonic()
        self.send(("closed", name))

    def _fail(self, session: _Session, error: Exception) -> None:
        self.send(("failed", session.name, _explain(error)))
        self._close(session.name)

    def _hear(self, session: _Session, said: Interaction) -> None:
        session.seq = said.seq
        if said.text is not None:
            session.texts = [*session.texts[-3:], said.text]
        if said.rates is not None:
            session.wanted, session.exact = dict(said.rates), said.exact

    def _record(self, session: _Session, on: bool) -> None:
        from reverie.serve.live_recording import Recording

        try:
            if on and session.recording is None:
                session.recording = Recording(self.folder, session.name, session.dream, session.opening)
            elif not on and session.recording is not None:
                recording, session.recording = session.recording, None
                made = recording.close()
                if made is not None:
                    self.send(("recorded", session.name, made))
        except (ReverieError, OSError) as error:
            session.recording = None
            self.send(("failed-recording", session.name, _explain(error)))

    # -- dreaming -----------------------------------------------------------------------------------------

    def _step(self, now: float) -> None:
        """One latent of every session that is due."""
        batch = [s for s in self.sessions.values() if s.due <= now + 0.002]
        if not batch:
            return
        told = [self._input(session) for session in batch]
        try:
            blocks = self.step([s.dream for s in batch], told)
        except Exception as error:
            for session in batch:
                self._fail(session, error)
            return
        end = time.monotonic()
        for session, said, block in zip(batch, told, blocks, strict=True):
            # a machine that is too slow for real time goes as fast as it can
            session.due = max(session.due + FRAMES_PER_LATENT / session.dream.fps, end)
            self._hand_out(session, said, block, end - now, len(batch))

    def _input(self, session: _Session) -> dict:
        """What the dream is told for its next latent: the next text, and the camera's rates on their way."""
        told: dict = {}
        if session.texts:
            told["text"] = session.texts.pop(0)
        if session.wanted is not None:
            for channel, wanted in session.wanted.items():
                rate = session.rates[channel]
                rate = wanted if session.exact else rate + EASE * (wanted - rate)
                session.rates[channel] = 0.0 if not wanted and abs(rate) < STILL[channel] else rate
            told["rates"] = dict(session.rates)
        return told

    def _hand_out(self, session: _Session, told: dict, block, took: float, beside: int) -> None:
        from reverie.core.image import jpeg

        try:
            if session.coder is not None:
                pieces = session.coder.pieces(block.frames)
            else:
                pieces = [(jpeg(frame), True) for frame in block.frames]
        except Exception as error:
            self._fail(session, error)
            return
        state = {"frame": int(block.start), "seconds": round(float(session.dream.seconds), 3), "seq": session.seq,
                 "step_ms": round(1000 * took, 1), "together": beside, "rates": told.get("rates"),
                 "text": told.get("text"), "recording": session.recording is not None}
        self.send(("block", session.name, state, pieces))
        if session.recording is not None:
            try:
                full = session.recording.write(block.frames, told)
            except (ReverieError, OSError) as error:
                session.recording = None
                self.send(("failed-recording", session.name, _explain(error)))
                return
            if full:
                self._record(session, False)


def _size(size: Sequence[int]) -> str:
    return f"{size[1]}x{size[0]}"


def _past(video: Path, fps: float, size: tuple[int, int]) -> dict[str, Any]:
    """The end of a video, as World.dream takes it: the things that it carries, or else its pictures."""
    from reverie.core.video import read_video
    from reverie.model.record import things_of

    known = things_of(video, fps)
    if known is not None:
        return {"known": known[-round(PAST_SECONDS * fps / FRAMES_PER_LATENT) :]}
    return {"past": read_video(video, fps=fps, size=size, last_seconds=PAST_SECONDS)[0]}


def _explain(error: Exception) -> str:
    if isinstance(error, ReverieError):
        return str(error)
    return f"unexpected failure in the dream: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
