"""What the server refuses: foreign hosts and origins, missing keys, too large bodies, files that break decoders."""

import asyncio
import base64
import http.client
import io
import os
import random
import socket
import zlib

import numpy as np
import pytest
from PIL import Image
from server import Server
from starlette.datastructures import Headers

from reverie.core.errors import BadInput, ReverieError
from reverie.core.video import VideoWriter
from reverie.serve import references
from reverie.serve.answers import Wrong
from reverie.serve.asking import nearest_size
from reverie.serve.characters import check_name, mentioned, name_things
from reverie.serve.guard import Rates, key_in, read_keys, tenant_of
from reverie.serve.jobs import New, Store
from reverie.serve.models import model_facts
from reverie.serve.routes import whole_boxes
from reverie.serve.settings import Settings
from reverie.serve.uploads import Decoder, data_url, nested
from reverie.serve.webhooks import signed_headers

KEY, OTHER = "a-key-of-some-length", "another-key-of-length"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One with keys, and small limits."""
    folder = tmp_path_factory.mktemp("guard")
    (folder / "keys").write_text(f"# ours\n{KEY}\n{OTHER}\n")
    running = Server(folder / "data", "--api-key-file", str(folder / "keys"), "--max-upload", "1", "--cors",
                     "https://friend.example", fake=True).start()
    yield running
    running.stop()


def bearer(key=KEY):
    return {"Authorization": f"Bearer {key}"}


def test_keys_are_needed_and_keep_videos_apart(server):
    body = {"prompt": "a ball", "seconds": 1, "size": "64x64", "fps": 12}
    for headers in ({}, bearer("no-such-key-at-all"), {"Authorization": f"Basic {KEY}"}, bearer(KEY + "x")):
        status, _, answer = server.post("/v1/videos", body, headers)
        assert status == 401 and answer["error"]["code"] == "invalid_api_key"
    assert server.get("/v1/about")[2]["keys"] is True and server.get("/metrics")[0] == 401
    name = server.post("/v1/videos", body, bearer())[2]["id"]
    assert server.get(f"/v1/videos/{name}", headers=bearer())[0] == 200
    for path in ("", "/content", "/preview", "/audit"):
        assert server.get(f"/v1/videos/{name}{path}", headers=bearer(OTHER))[0] == 404
    assert server.get(f"/v1/videos/{name}", "DELETE", headers=bearer(OTHER))[0] == 404
    assert server.get("/v1/videos", headers=bearer(OTHER))[2]["data"] == []


def test_the_page_gets_a_cookie_for_a_key(server):
    assert server.post("/session", {"key": "no-such-key-at-all"})[0] == 401
    status, headers, _ = server.post("/session", {"key": KEY})
    cookie = headers["Set-Cookie"]
    assert status == 204 and "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert server.get("/v1/videos", headers={"Cookie": cookie.partition(";")[0]})[0] == 200


def test_hosts_and_origins(server):
    assert server.get("/v1/about", headers={"Host": "evil.example"})[0] == 403  # DNS rebinding
    assert server.get("/v1/about", headers={"Host": f"localhost:{server.port}"})[0] == 200
    body = {"prompt": "a ball", "seconds": 1, "size": "64x64", "fps": 12}
    for foreign in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert server.post("/v1/videos", body, bearer() | foreign)[2]["error"]["code"] == "foreign_origin"
    assert server.post("/v1/videos", body, bearer() | {"Origin": server.url})[0] == 200
    status, headers, _ = server.post("/v1/videos", body, bearer() | {"Origin": "https://friend.example"})
    assert status == 200 and headers["Access-Control-Allow-Origin"] == "https://friend.example"
    status, headers, _ = server.get("/v1/videos", headers=bearer() | {"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in headers and "default-src 'self'" in headers["Content-Security-Policy"]


def test_errors_have_one_shape(server):
    for method, path, status in (("GET", "/v1/nothing", 404), ("PUT", "/v1/videos", 405), ("GET", "/v1/videos/x", 404),
                                 ("GET", "/v1/videos?limit=x", 400), ("GET", "/v1/videos?order=x", 400),
                                 ("GET", "/v1/videos?after=x", 400), ("POST", "/v1/videos/x/remix", 404)):
        got, _, answer = server.get(path, method, {} if method == "POST" else None, bearer())
        assert got == status and set(answer["error"]) == {"message", "type", "param", "code"}, (path, answer)
    for wrong in ({"prompt": "a \ud800"}, {"camera": "\ud800"}, {"script": [{"text": "\ud800"}]}, {"seed": "\ud800"}):
        assert server.post("/v1/videos", {"prompt": "a", "\ud800": 1, **wrong}, bearer())[0] in (200, 400)
    request = bearer() | {"Content-Type": "text/plain"}
    assert server.get("/v1/videos", "POST", "hello", request)[0] == 400


def test_bodies_are_counted(server):
    status, _, answer = server.post("/v1/videos", {"prompt": "x" * (2 << 20)}, bearer())
    assert status == 413 and answer["error"]["code"] == "too_large"
    assert server.post("/v1/videos", {"prompt": "x" * (2 << 20)}, bearer("wrong" * 6))[0] == 401
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)  # without a length
    connection.putrequest("POST", "/v1/videos")
    for name, value in (bearer() | {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}).items():
        connection.putheader(name, value)
    connection.endheaders()
    try:
        for _ in range(64):
            connection.send(b"10000\r\n" + b" " * 65536 + b"\r\n")
        connection.send(b"0\r\n\r\n")
        status = connection.getresponse().status
    except OSError:
        status = 413  # it closed the connection
    assert status == 413 and server.get("/healthz")[0] == 200


def test_it_must_have_keys_where_others_reach_it(tmp_path, capsys):
    from reverie.cli import main

    assert main(["serve", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path)]) == 2
    assert "--api-key-file" in capsys.readouterr().err
    assert main(["serve", "--model", str(tmp_path), "--port", "0", "--data", str(tmp_path)]) == 1
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["serve", "--port", str(taken.getsockname()[1]), "--data", str(tmp_path)]) == 1
    assert "choose another --port" in capsys.readouterr().err


def test_the_schema_and_its_page_need_no_other_site(server):
    schema = server.get("/openapi.json")[2]
    assert {"/v1/videos", "/v1/videos/{id}/content", "/v1/videos/extensions"} <= set(schema["paths"])
    page = server.get("/docs")[2].decode()
    assert "/v1/videos/edits" in page and "http" not in page and "<script" not in page


def test_keys_in_files(tmp_path):
    path = tmp_path / "keys"
    for text in ("", "# none\n", "short\n", "has a space in its middle\n", "schlüssel-schlüssel\n"):
        path.write_text(text)
        with pytest.raises(BadInput):
            read_keys(path)
    path.write_text(f"{KEY}\n\n{OTHER}\n")
    keys = read_keys(path)
    assert tenant_of(KEY, keys) != tenant_of(OTHER, keys) and tenant_of("", keys) is None
    assert key_in(Headers({"authorization": f"bearer  {KEY}"})) == KEY
    assert key_in(Headers({"cookie": "a=\x00;;=b"})) == ""


def test_rates_let_a_burst_through_and_then_a_stream():
    rates = Rates(600)
    assert sum(rates.wait("a") == 0 for _ in range(300)) in range(100, 105)
    assert 0 < rates.wait("a") <= 0.2 and rates.wait("b") == 0 and Rates(0).wait("a") == 0


def test_forms_become_fields():
    assert nested([("a", "1"), ("b[c]", "2"), ("b[d][e]", "3"), ("f[]", "4"), ("f[]", "5")]) == {
        "a": "1", "b": {"c": "2", "d": {"e": "3"}}, "f": ["4", "5"]}
    for wrong in ([("a", "1"), ("a[b]", "2")], [("a[][b]", "1")], [("[a]", "1")], [("a" + "[b]" * 9, "1")], [("", "1")],
                  [("a", "1"), ("a[]", "2")]):
        with pytest.raises(Wrong):
            nested(wrong)


def test_urls_lead_nowhere_private(monkeypatch):
    for url in ("http://127.0.0.1/x", "http://localhost:80/", "http://[::1]/", "http://10.1.2.3/", "http://169.254.1.1/",
                "http://[::ffff:127.0.0.1]/", "http://0.0.0.0/", "file:///etc/passwd", "ftp://example.com/x", "http://",
                "http://a:b@example.com/", "http://[fe80::1%25lo]/", "http://2130706433/", "https://[2002:7f00:1::]/",
                "http://x:99999/", "http://100.64.0.1/"):
        with pytest.raises(Wrong):
            references.fetch(url, 1000, "image_url")
    answers = iter([[(2, 1, 6, "", ("93.184.216.34", 80)), (2, 1, 6, "", ("127.0.0.1", 80))]])
    monkeypatch.setattr(references.socket, "getaddrinfo", lambda *args, **more: next(answers))
    with pytest.raises(Wrong, match="not public"):  # one of its addresses is ours
        references.fetch("http://rebinding.example/", 1000, "image_url")


def test_a_fetch_goes_to_the_address_that_was_looked_at(monkeypatch):
    went = []

    def connect(address, timeout):
        went.append(address)
        raise OSError

    monkeypatch.setattr(references.socket, "getaddrinfo", lambda *args, **more: [(2, 1, 6, "", ("93.184.216.34", 80))])
    monkeypatch.setattr(references.socket, "create_connection", connect)
    with pytest.raises(Wrong, match="cannot be read"):
        references.fetch("http://picture.example/a.png", 1000, "image_url")
    assert went == [("93.184.216.34", 80)]


def test_data_urls():
    text = "data:image/png;base64," + base64.b64encode(b"1234").decode()
    assert data_url(text, 100, "x") == b"1234"
    for wrong in ("data:image/png,abc", "data:image/png;base64,@@@", text + "="):
        with pytest.raises(Wrong):
            data_url(wrong, 100, "x")
    with pytest.raises(Wrong) as caught:
        data_url(text + "A" * 400, 100, "x")
    assert caught.value.status == 413


def png_bomb(width, height) -> bytes:
    def chunk(kind, body):
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    rows = zlib.compress(bytes((width * 3 + 1) * min(height, 2000)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_files_that_break_decoders_break_a_child(tmp_path):
    settings = Settings(data=tmp_path / "data", upload_pixels=4_000_000, upload_seconds=2)
    settings.make_folders()
    with VideoWriter(tmp_path / "a.mp4", fps=24, size=(64, 96)) as writer:
        writer.write(np.zeros((72, 64, 96, 3), np.uint8))
    film = (tmp_path / "a.mp4").read_bytes()
    picture = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)).save(picture, "PNG")
    good, draw = picture.getvalue(), random.Random(3)
    broken = [b"", b"x", good[:40], png_bomb(30000, 30000), b"%!PS-Adobe-3.0 EPSF-3.0\nquit", film[:200],
              b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", b"GIF89a" + bytes(50), os.urandom(5000)]
    for _ in range(6):
        spoilt = bytearray(draw.choice((good, film)))
        for _ in range(draw.randrange(1, 30)):
            spoilt[draw.randrange(len(spoilt))] = draw.randrange(256)
        broken.append(bytes(spoilt))

    async def run():
        decoder = Decoder(settings)
        try:
            kept = await decoder.take(good, "image", "input_reference")
            assert kept.about == {"width": 70, "height": 50}
            with pytest.raises(Wrong, match="long"):
                await decoder.take(film, "video", "video")  # 3 s of at most 2
            for data in broken:
                for kind in ("image", "video"):
                    try:
                        await decoder.take(data, kind, "input_reference")
                    except Wrong as error:
                        assert error.status == 400 and str(settings.data) not in error.message, error.message
            decoder._process.kill()  # whoever comes next gets a new one
            assert (await decoder.take(good, "image", "input_reference")).about["width"] == 70
        finally:
            await decoder.close()

    asyncio.run(run())
    assert not list(settings.folder("incoming").iterdir())


def test_sizes_keep_their_shape():
    assert nearest_size(1280, 720, (128, 128)) == (128, 224) and nearest_size(720, 1280, (128, 128)) == (224, 128)
    assert nearest_size(1000, 1000, (128, 128)) == (128, 128) and nearest_size(8000, 16, (128, 128))[0] == 96


def test_characters_stand_for_what_was_seen(tmp_path):
    settings = Settings(data=tmp_path / "data")
    settings.make_folders()
    store = Store(settings.data)
    job = store.add("", [New("character", {"name": "Rex"}, id="char_1")], 9)[0]
    with pytest.raises(BadInput, match="not looked at"):
        name_things(store, "", ["@rex runs"])
    store.finish(store.claim("w"), 0, {"kind": "dog", "colour": "orange"})
    texts, notes = name_things(store, "", ["@rex runs, and Rex stops", "rexes and a rex"])
    assert texts == ["an orange dog runs, and the orange dog stops", "rexes and a rex"]
    assert notes == ["Rex is read as an orange dog"] and job.kind == "character"
    assert name_things(store, "other", ["@rex runs"]) == (["@rex runs"], [])
    assert mentioned(["@Rex and @max", "a@b"]) == {"rex", "max"}
    with pytest.raises(BadInput):
        check_name("../etc")
    store.close()


def test_growing_films_are_cut_after_whole_fragments():
    def box(kind, length):
        return (8 + length).to_bytes(4, "big") + kind + bytes(length)
    whole = box(b"ftyp", 4) + box(b"moov", 9) + box(b"moof", 5) + box(b"mdat", 50)
    assert whole_boxes(whole + box(b"moof", 5) + box(b"mdat", 50)[:30]) == whole
    assert whole_boxes(b"") == whole_boxes(box(b"ftyp", 4)) == whole_boxes(bytes(20)) == b""


def test_models_and_signatures():
    assert model_facts("base").size == (128, 128)
    with pytest.raises(BadInput):
        model_facts("/nowhere")
    said = signed_headers("whsec_" + base64.b64encode(b"k").decode(), "evt_1", b"{}", 1000.0)
    assert said["webhook-timestamp"] == "1000" and said["webhook-signature"].startswith("v1,")


def test_driving_on_from_a_log(tmp_path):
    import fake_logs

    from reverie.serve.logs import import_log

    settings = Settings(data=tmp_path / "data")
    with VideoWriter(tmp_path / "drive.mp4", fps=10, size=(90, 160)) as writer:
        writer.write(np.zeros((130, 90, 160, 3), np.uint8))
    for path, frames in ((tmp_path / "drive.mp4", 100), (fake_logs.udacity(tmp_path / "udacity"), 30)):
        name = import_log(settings, path)
        store = Store(settings.data)
        job = store.get("", name)
        assert job.status == "completed" and abs(job.frames - frames) <= 1 and store.result(job, "video.mp4")
        store.close()
    with pytest.raises(ReverieError):
        import_log(settings, settings.data)
