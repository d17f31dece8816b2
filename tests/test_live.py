"""The live channel: what clients may say, what they get, and that none of them holds up another."""

import asyncio
import contextlib
import csv
import io
import json
import socket
import threading
import time

import numpy as np
import pytest

from reverie.core.errors import BadInput
from reverie.core.video import VideoWriter, probe, read_video
from reverie.core.video_live import FragmentWriter, mime_of
from reverie.serve import live_messages as lm

pytest.importorskip("fastapi", reason="the server is an extra")
sockets = pytest.importorskip("websockets.sync.client", reason="comes with the server's extra")

import fake_dream  # noqa: E402
import uvicorn  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from websockets.exceptions import ConnectionClosed  # noqa: E402

from reverie.serve import live as live_module  # noqa: E402
from reverie.serve.live import Live  # noqa: E402
from reverie.serve.live_outbox import AHEAD, FRAME_HEAD, HELD_FRAMES, HELD_PIECES, Outbox  # noqa: E402

PAST = "video_past"


# ---------------------------------------------------------------- messages


def test_a_start_says_how_a_dream_begins():
    start = lm.parse('{"type": "session.start", "prompt": " a  red ball ", "size": "128x64", "seed": 3, "fps": 12}')
    assert start == lm.Start("a red ball", "jpeg", (64, 128), 12, 3, None, False)
    assert lm.parse('{"type": "session.start", "video": "video_1", "format": "m4s"}').video == "video_1"


def test_keys_and_sticks_become_camera_rates():
    said = lm.parse('{"type": "session.interaction", "seq": 5, "keys": ["W", "ArrowLeft", "x"], "axes": {"lift": 9}}')
    assert said.seq == 5 and not said.exact
    assert said.rates == {"pan": -lm.FULL["pan"], "tilt": 0.0, "orbit": 0.0, "dolly": lm.FULL["dolly"],
                          "crane": lm.FULL["crane"]}
    fast = lm.parse('{"type": "session.interaction", "keys": ["w", "Shift"]}')
    assert fast.rates["dolly"] == lm.FASTER * lm.FULL["dolly"]
    exact = lm.parse('{"type": "session.interaction", "rates": {"pan": 1e9, "crane": -0.25}}')
    assert exact.exact and exact.rates["pan"] == lm.LIMITS["pan"] and exact.rates["crane"] == -0.25
    assert lm.parse('{"type": "session.interaction", "text": "一只狗走进来"}').rates is None


@pytest.mark.parametrize("text, why", [
    ("", "not JSON"), ("[" * 5000, "not JSON"), ("[]", "type is none of"), ('{"type": ["x"]}', "type is none of"),
    ("x" * 9000, "8192 bytes"), ('{"type": "session.start"}', "prompt is empty"),
    ('{"type": "session.start", "prompt": 5}', "wrong type"),
    ('{"type": "session.start", "prompt": "a", "format": "gif"}', "not jpeg or m4s"),
    ('{"type": "session.start", "prompt": "a", "world": "road"}', "no model has learned"),
    ('{"type": "session.start", "prompt": "a", "size": "100x100"}', "multiples of 32"),
    ('{"type": "session.start", "prompt": "a", "size": "²x²"}', "WIDTHxHEIGHT"),
    ('{"type": "session.start", "prompt": "a", "fps": NaN}', "fps must be from"),
    ('{"type": "session.start", "prompt": "a", "seed": -1}', "seed must be from"),
    ('{"type": "session.start", "prompt": "a", "seed": true}', "wrong type"),
    ('{"type": "session.start", "prompt": "a", "speed": 1}', "unknown field"),
    ('{"type": "session.interaction", "text": "  "}', "text is empty"),
    ('{"type": "session.interaction", "text": "\\ud800"}', "not valid text"),
    ('{"type": "session.interaction", "keys": [1]}', "keys must be"),
    ('{"type": "session.interaction", "axes": {"brake": 1}}', "axes has 'brake'"),
    ('{"type": "session.interaction", "rates": {"pan": Infinity}}', "must be a number"),
    ('{"type": "session.interaction", "rates": {}, "keys": []}', "not both"),
    ('{"type": "session.record"}', "on is missing"),
    ('{"type": "session.shown", "frame": -4}', "frame must be from"),
])
def test_what_makes_no_sense_is_refused_with_the_field_at_fault(text, why):
    with pytest.raises(BadInput, match=why):
        lm.parse(text)


# ---------------------------------------------------------------- what waits for a client


def state(frame, seq=0):
    return {"frame": frame, "seq": seq, "seconds": frame / 24, "step_ms": 1.0}


@pytest.fixture(scope="module")
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def drain(outbox, loop):
    """All that would be sent now."""
    async def take():
        out = []
        with contextlib.suppress(TimeoutError):
            while (message := await asyncio.wait_for(outbox.next(), 0.02)) is not None:
                out.append(message)
        return out
    return loop.run_until_complete(take())


def test_of_jpeg_frames_the_newest_are_kept(loop):
    outbox = Outbox("jpeg")
    for n in range(10):
        outbox.show(state(4 * n), [(b"jpeg", True)] * 4)
    sent = drain(outbox, loop)
    assert json.loads(sent[0])["dropped"] == 40 - HELD_FRAMES  # one state, the last, however many there were
    assert [FRAME_HEAD.unpack_from(m)[0] for m in sent[1:]] == list(range(32, 40))


def test_what_is_on_the_way_to_a_client_that_says_what_it_has_shown_is_bounded(loop):
    outbox, seen = Outbox("jpeg"), []
    outbox.shown(0)
    for n in range(20):
        outbox.show(state(4 * n), [(b"jpeg", True)] * 4)
        seen += [FRAME_HEAD.unpack_from(m)[0] for m in drain(outbox, loop) if isinstance(m, bytes)]
    assert seen == list(range(AHEAD))
    outbox.shown(AHEAD)
    seen = [FRAME_HEAD.unpack_from(m)[0] for m in drain(outbox, loop) if isinstance(m, bytes)]
    assert seen == list(range(72, 80))


def test_an_m4s_stream_that_falls_behind_goes_on_at_a_key_frame(loop):
    outbox = Outbox("m4s")
    header, key, other = b"\0\0\0\0ftyp", b"\0\0\0\0moofK", b"\0\0\0\0moof-"
    outbox.show(state(0), [(header, False), (key, True)])
    assert [m for m in drain(outbox, loop) if isinstance(m, bytes)] == [header, key]
    for n in range(HELD_PIECES + 8):
        outbox.show(state(n), [(other, False)])
    outbox.show(state(99), [(key, True), (other, False)])
    assert [m for m in drain(outbox, loop) if isinstance(m, bytes)] == [key, other]
    assert outbox.dropped == HELD_PIECES + 8


def test_fragments_are_a_video(tmp_path):
    frames = np.zeros((24, 64, 96, 3), np.uint8)
    for n, frame in enumerate(frames):
        frame[:, : 4 * n] = 200
    writer = FragmentWriter(fps=12, size=(64, 96))
    pieces = [piece for n in range(0, 24, 4) for piece in writer.pieces(frames[n : n + 4])]
    writer.close()
    assert pieces[0][0][4:8] == b"ftyp" and [begins for _, begins in pieces[1:]].count(True) == 2
    assert mime_of(pieces[0][0]).startswith('video/mp4; codecs="avc1.42')
    (tmp_path / "live.mp4").write_bytes(b"".join(piece for piece, _ in pieces))
    seen, fps = read_video(tmp_path / "live.mp4")
    assert fps == 12 and len(seen) == 23 and np.abs(seen.astype(int) - frames[:23]).mean() < 4
    with pytest.raises(BadInput, match="even"):
        FragmentWriter(fps=12, size=(63, 96))


# ---------------------------------------------------------------- over the wire


class Server:
    """A Live behind uvicorn, in a thread of its own."""

    def __init__(self, folder, model="quick", **settings):
        self.kept = []
        past = folder / "past.mp4"
        if not past.exists():
            with VideoWriter(past, fps=24, size=(64, 96)) as video:
                video.write(np.full((12, 64, 96, 3), 180, np.uint8))

        def keep(tenant, made):
            self.kept.append(made)
            return f"video_{len(self.kept)}"

        self.live = Live(folder=folder / "live", model=model, load=fake_dream.load, keep=keep,
                         find_video=lambda tenant, name: past if name == PAST else None, **settings)
        app = FastAPI(lifespan=self._lifespan)
        app.add_api_websocket_route("/live", self.live.endpoint)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        self.port = listener.getsockname()[1]
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws_max_size=65536))
        self.thread = threading.Thread(target=self.server.run, args=([listener],), daemon=True)
        self.thread.start()

    @contextlib.asynccontextmanager
    async def _lifespan(self, app):
        yield
        await self.live.close()

    def connect(self, **options):
        return sockets.connect(f"ws://127.0.0.1:{self.port}/live", open_timeout=20, **options)

    def close(self):
        self.server.should_exit = True
        self.thread.join(15)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("live"), sessions=3)
    yield server
    server.close()


def say(client, kind, **fields):
    client.send(json.dumps({"type": f"session.{kind}", **fields}))


def until(client, kind, timeout=30.0):
    """The next message of that type; those before it are in its "before"."""
    before = []
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        message = client.recv(timeout=timeout)
        if isinstance(message, str):
            message = json.loads(message)
            if message["type"] == kind:
                return {**message, "before": before}
        before.append(message)
    raise AssertionError(f"no {kind}")


def frame(message):
    from PIL import Image

    number, seq, seconds, step = FRAME_HEAD.unpack_from(message)
    return number, seq, np.asarray(Image.open(io.BytesIO(message[FRAME_HEAD.size :])))


def pictures(client, count):
    out = []
    while len(out) < count:
        message = client.recv(timeout=30)
        if isinstance(message, bytes):
            out.append(frame(message))
    return out


def test_a_session_from_start_to_end(server):
    with server.connect() as client:
        say(client, "start", prompt="a zorblax ball")
        started = until(client, "session.started")
        assert started["size"] == "96x64" and started["fps"] == 24 and started["unknown_words"] == ["zorblax"]
        first = pictures(client, 4)
        assert [number for number, _, _ in first] == [0, 1, 2, 3] and first[0][2][12, 4, 0] > 150
        say(client, "interaction", seq=9, keys=["ArrowRight"])
        moved = next(p for p in iter(lambda: pictures(client, 1)[0], None) if p[1] == 9)
        assert moved[2][12, 0, 0] < 120 or pictures(client, 8)[-1][2][12, 0, 0] < 120  # the square has gone right
        say(client, "interaction", seq=10, text="it turns blue")
        assert next(p for p in iter(lambda: pictures(client, 1)[0], None) if p[1] == 10)[2][12, :, 2].max() > 150
        say(client, "stop")
        assert until(client, "session.ended")["reason"] == "stopped"


def test_it_runs_at_the_pace_of_its_clock(server):
    with server.connect() as client:
        say(client, "start", prompt="a ball")
        until(client, "session.started")
        pictures(client, 8)
        began = time.monotonic()
        pictures(client, 24)
        assert time.monotonic() - began > 0.7  # a second; a busy machine may be late, never early


def test_what_was_driven_is_kept_with_its_log(server):
    with server.connect() as client:
        say(client, "start", prompt="a ball", record=True, size="64x64")
        until(client, "session.started")
        pictures(client, 4)
        say(client, "interaction", rates={"pan": 12}, text="a dog")
        pictures(client, 12)
        say(client, "record", on=False)
        recorded = until(client, "session.recorded")
        assert recorded["id"].startswith("video_")
        say(client, "record", on=True)
        pictures(client, 8)
        say(client, "stop")
        until(client, "session.recorded")  # a session's end ends its recording too
        assert until(client, "session.ended")["reason"] == "stopped"
    made = server.kept[-2]
    about = probe(made.video)
    assert about["metadata"]["driven"] and about["width"] == 64 and made.prompt == "a ball; a dog"
    rows = list(csv.DictReader(made.log.open()))
    assert len(rows) == about["frames"] == round(made.seconds * 24)
    told = [row["text"] for row in rows].index("a dog")
    assert rows[0]["pan_deg_per_s"] == "" and rows[told]["pan_deg_per_s"] == "12" and told % 4 == 0


def test_a_dream_goes_on_from_a_finished_video(server):
    with server.connect() as client:
        say(client, "start", video=PAST)
        until(client, "session.started")
        assert abs(int(pictures(client, 1)[0][2][40, 40, 0]) - 180) < 8
    with server.connect() as client:
        say(client, "start", video="video_none")
        assert "no finished video" in until(client, "error")["error"]["message"]


def test_m4s_arrives_as_a_video(server, tmp_path):
    with server.connect() as client:
        say(client, "start", prompt="a ball", format="m4s")
        assert 'codecs="avc1' in until(client, "session.started")["mime"]
        pieces = []
        while len(pieces) < 17:
            message = client.recv(timeout=30)
            if isinstance(message, bytes):
                pieces.append(message)
    (tmp_path / "m.mp4").write_bytes(b"".join(pieces))
    assert read_video(tmp_path / "m.mp4")[0].shape == (16, 64, 96, 3)


def test_sessions_share_a_batch_and_there_are_only_so_many(server):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(3)]
        for client in clients:
            say(client, "start", prompt="a ball")
        for client in clients:
            until(client, "session.started")
        end, together = time.monotonic() + 20, 0
        while together < 3 and time.monotonic() < end:
            together = until(clients[0], "session.state")["together"]
        assert together == 3
        extra = stack.enter_context(server.connect())
        say(extra, "start", prompt="a ball")
        assert until(extra, "error")["error"]["code"] == "busy"


def test_a_client_that_does_not_read_holds_nobody_up(server):
    with server.connect(max_queue=1, close_timeout=0.5) as slow, server.connect() as quick:
        for client in (slow, quick):
            say(client, "start", prompt="a ball", size="512x512")
        until(quick, "session.started")
        say(slow, "shown", frame=0)
        pictures(quick, 4)
        began = time.monotonic()
        pictures(quick, 48)  # the slow one has at most a second of frames on its way by now
        assert time.monotonic() - began < 60  # 2 on an idle machine; held up, it would be for ever
        dropped = 0
        end = time.monotonic() + 20
        while not dropped and time.monotonic() < end:
            dropped = until(slow, "session.state")["dropped"]
        assert dropped


@pytest.mark.parametrize("first, why", [("nonsense", "not JSON"), (b"\1", "must be text"), (
    '{"type": "session.stop"}', "first message must be session.start")])
def test_a_bad_beginning_is_refused(server, first, why):
    with server.connect() as client:
        client.send(first)
        assert why in until(client, "error")["error"]["message"]


def test_nonsense_ends_its_own_session_only(server):
    with server.connect() as good, server.connect() as bad:
        for client in (good, bad):
            say(client, "start", prompt="a ball")
            until(client, "session.started")
        bad.send('{"type": "session.interaction", "keys": 5}')
        assert "keys" in until(bad, "error")["error"]["message"]
        assert until(bad, "session.ended")["reason"] == "failed"
        pictures(good, 8)


def test_too_many_messages_end_a_session(server):
    with server.connect() as client:
        say(client, "start", prompt="a ball")
        until(client, "session.started")
        with contextlib.suppress(ConnectionClosed):
            for n in range(400):
                say(client, "interaction", seq=n, keys=[])
        assert "messages a second" in until(client, "error")["error"]["message"]


def test_a_dream_that_breaks_says_so(server):
    with server.connect() as client:
        say(client, "start", prompt="a ball")
        until(client, "session.started")
        say(client, "interaction", text="break")
        assert "the network broke" in until(client, "error")["error"]["message"]
        assert until(client, "session.ended")["reason"] == "failed"
    with server.connect() as client:  # and the others' world is whole
        say(client, "start", prompt="a ball")
        until(client, "session.started")


@pytest.mark.parametrize("model, why", [("broken", "no such weights"), ("dying", "process has ended")])
def test_a_model_that_cannot_be_loaded_is_told(tmp_path, model, why):
    server = Server(tmp_path, model)
    try:
        with server.connect() as client:
            say(client, "start", prompt="a ball")
            assert why in until(client, "error")["error"]["message"]
            assert until(client, "session.ended")["reason"] == "failed"
    finally:
        server.close()


def test_a_dream_is_only_so_long(tmp_path, monkeypatch):
    monkeypatch.setattr(live_module, "LONGEST", 0.5)
    server = Server(tmp_path)
    try:
        with server.connect() as client:
            say(client, "start", prompt="a ball")
            assert until(client, "session.ended")["reason"] == "long"
    finally:
        server.close()


def test_whoever_has_left_the_keys_alone_is_let_go(tmp_path):
    server = Server(tmp_path, idle=1.0)
    try:
        with server.connect() as client:
            say(client, "start", prompt="a ball")
            until(client, "session.started")
            ended = until(client, "session.ended")
            assert ended["reason"] == "idle"
    finally:
        server.close()
    assert not server.thread.is_alive()
