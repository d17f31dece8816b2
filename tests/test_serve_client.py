"""The official clients against a real server with the shipped model: every route, unmodified but for the base URL."""

import base64
import io
import json
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from server import Server, wait_for

from reverie.core.video import VideoWriter, probe, read_video

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # every method of it says that its home is gone
openai = pytest.importorskip("openai")
SECRET = "whsec_" + base64.b64encode(b"a secret that only two know").decode()
SMALL = {"size": "64x64", "seconds": "0.25"}


@pytest.fixture(scope="module")
def hooks():
    """A receiver of webhooks: (headers, body) of each."""
    got = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    receiver = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    yield got, f"http://127.0.0.1:{receiver.server_port}/hook"
    receiver.shutdown()


@pytest.fixture(scope="module")
def server(tmp_path_factory, hooks):
    folder = tmp_path_factory.mktemp("serve")
    running = Server(folder / "data", "--webhook-url", hooks[1], env={"REVERIE_WEBHOOK_SECRET": SECRET}).start()
    yield running
    assert running.stop() in (0, 130)


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="anything", webhook_secret=SECRET, max_retries=0)


def png(width=64, height=64) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("film") / "past.mp4"
    with VideoWriter(path, fps=24, size=(64, 64)) as writer:
        for i in range(24):
            frame = np.full((1, 64, 64, 3), 120, np.uint8)
            frame[0, 20:36, i : i + 16] = (210, 30, 30)
            writer.write(frame)
    return path


@pytest.fixture(scope="module")
def first(client):
    return client.videos.create_and_poll(prompt="a red ball falls", model="sora-2", **SMALL)


def test_create_poll_download(client, first, tmp_path):
    assert (first.status, first.progress, first.seconds, first.size) == ("completed", 100, "0.25", "64x64"), first
    assert first.model == "base" and "sora-2 is not here" in first.notes[0]
    for variant, kind in (("video", "mp4"), ("thumbnail", "webp"), ("spritesheet", "jpg")):
        content = client.videos.download_content(first.id, variant=variant)
        path = tmp_path / f"it.{kind}"
        content.write_to_file(path)
        if variant == "video":
            frames, fps = read_video(path)
            assert frames.shape == (6, 64, 64, 3) and fps == 24
            assert probe(path)["metadata"]["prompt"] == "a red ball falls"
        else:
            assert Image.open(path).size[0] >= 64


def test_parts_of_a_file_can_be_had(server, first):
    status, headers, body = server.get(f"/v1/videos/{first.id}/content", headers={"Range": "bytes=4-7"})
    assert (status, body, headers["Content-Type"]) == (206, b"ftyp", "video/mp4")


def test_sizes_of_sora_are_answered_with_the_nearest(client):
    for asked, made in (("1280x720", "224x128"), ("720x1280", "128x224"), ("1792x1024", "224x128")):
        video = client.videos.create(prompt="a dog walks", size=asked, seconds="4")
        assert (video.size, video.requested_size, video.seconds) == (made, asked, "4")
        assert asked in " ".join(video.notes)
        client.videos.delete(video.id)


def test_input_reference_in_every_form(client, server):
    url = "data:image/png;base64," + base64.b64encode(png()).decode()
    made = [client.videos.create(prompt="a ball", input_reference=("it.png", png(), "image/png"), **SMALL),
            client.videos.create(prompt="a ball", extra_body={"input_reference": {"image_url": url}}, **SMALL)]
    for body in ({"input_reference": {"image_url": url}}, {"input_reference": url}, {"image_reference": json.dumps(
            {"image_url": url})}):
        status, _, video = server.post("/v1/videos", {"prompt": "a ball", **SMALL, **body})
        assert status == 200, video
        made.append(client.videos.retrieve(video["id"]))
    assert all(video.has_image for video in made)
    for video in made[1:]:
        client.videos.delete(video.id)
    assert client.videos.poll(made[0].id).status == "completed"
    for wrong in ({"file_id": "file_1"}, {"image_url": "http://127.0.0.1:1/x.png"}, {"image_url": "data:,x"}, 7):
        assert server.post("/v1/videos", {"prompt": "a ball", **SMALL, "input_reference": wrong})[0] == 400


def test_remix_edit_extend(client, first, film):
    remix = client.videos.remix(first.id, prompt="a blue ball falls")
    assert remix.remixed_from_video_id == first.id and remix.seed == first.seed and remix.size == "64x64"
    named = {"video": openai.omit, "extra_body": {"video": {"id": first.id}}}  # what it does not send of itself
    edit = client.videos.edit(prompt="a green ball falls", **named)
    edited = client.videos.edit(prompt="it rolls", video=film, extra_body={"seconds": "0.25"})
    extended = client.videos.extend(prompt="it rolls", seconds="0.25", **named)
    sent = client.videos.extend(prompt="it rolls", seconds="0.25", video=film)
    for video in (remix, edit, edited, extended, sent):
        assert client.videos.poll(video.id).status == "completed"
    assert (extended.seconds, sent.seconds, edited.seconds) == ("0.5", "1.25", "0.25")


def test_list_pages_and_delete(client, first):
    every = [video.id for video in client.videos.list(limit=2)]
    assert len(every) == len(set(every)) and every[-1] == first.id
    assert [video.id for video in client.videos.list(limit=2, order="asc")] == every[::-1]
    page = client.videos.list(limit=1)
    assert page.has_more and page.last_id == every[0]
    gone = client.videos.delete(every[0])
    assert gone.deleted and gone.object == "video.deleted" and gone.id == every[0]
    with pytest.raises(openai.NotFoundError) as caught:
        client.videos.retrieve(every[0])
    assert caught.value.code == "video_not_found"


def test_characters(client, server, film):
    made = client.videos.create_character(name="Rex", video=film)
    assert client.videos.get_character(made.id).name == "Rex"
    seen = wait_for(lambda: (got := server.get(f"/v1/videos/characters/{made.id}")[2])["status"] in
                    ("completed", "failed") and got)
    with pytest.raises(openai.BadRequestError, match="@max"):
        client.videos.create(prompt="@max falls", **SMALL)
    video = client.videos.create_and_poll(prompt="@Rex falls", **SMALL)
    if seen["status"] == "completed":  # a square on grey is no picture of the lab: it may be seen as nothing
        assert video.prompt == "@Rex falls" and f"Rex is read as a {seen['description']}" in video.notes
        Image.open(io.BytesIO(server.get(seen["picture"])[2])).verify()
    else:
        assert video.error.code == "invalid_input"
        assert server.get(f"/v1/videos/characters/{made.id}/content")[0] == 409


def test_models(client):
    assert [model.id for model in client.models.list()] == ["base"]
    assert client.models.retrieve("base").owned_by == "reverie"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("sora-2")


def test_webhooks_are_signed(client, hooks, first):
    got = wait_for(lambda: [one for one in hooks[0] if json.loads(one[1])["data"]["id"] == first.id])
    headers, body = got[0]
    event = client.webhooks.unwrap(body, headers)
    assert event.type == "video.completed" and event.data.id == first.id
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(body.replace(b"completed", b"failed"), headers)
    assert len(got) == 1


def test_futures_audit_sync_and_words(server, client, first):
    status, _, made = server.post("/v1/videos/futures", {
        "video": {"id": first.id}, "seconds": 0.25, "count": 2, "seed": 5, "at": 0.125, "cameras": ["", "pan left 5"]})
    assert status == 200, made
    assert [(video["seed"], video["camera"], video["past_seconds"]) for video in made["data"]] == [
        (5, "", 0.125), (6, "pan left 5", 0.125)]
    group = server.get(f"/v1/videos?group={made['group']}&order=asc")[2]["data"]
    assert [video["id"] for video in group] == [video["id"] for video in made["data"]]
    for video in made["data"]:
        done = server.finish(video["id"])
        assert (done["status"], done["frames"], done["seconds"]) == ("completed", 9, "0.375"), done
    assert server.get(f"/v1/videos/{first.id}/audit")[0] in (200, 202)
    audit = wait_for(lambda: (got := server.get(f"/v1/videos/{first.id}/audit"))[0] == 200 and got[2])
    assert audit["status"] == "completed" and "violations" in audit["verdict"], audit
    assert str(server.data) not in json.dumps(audit)
    status, headers, body = server.post("/v1/videos/sync", {
        "prompt": "a red ball", "width": 64, "height": 64, "num_frames": 12, "fps": 12, "num_inference_steps": 1,
        "guidance_scale": 1.5, "seed": 3, "negative_prompt": "rain", "extra_params": "{\"flow_shift\": 2}"})
    assert status == 200 and headers["Content-Type"] == "video/mp4" and body[4:8] == b"ftyp"
    video = server.get(f"/v1/videos/{headers['x-video-id']}")[2]
    assert (video["frames"], video["fps"], video["steps"], video["guidance"]) == (12, 12.0, 1, 1.5)
    assert video["notes"] == ["negative_prompt is not used by this model", "not used: flow_shift"]
    assert server.get("/v1/words?text=a%20zorb%20falls")[2] == {"unknown": ["zorb"], "ready": True}


def test_scripts_cameras_and_actions(server):
    lines = [{"start": 0, "text": "a red ball in a room"}, {"start": 0.125, "text": "it \"rolls\"\x7f"}]
    made = [{"script": json.dumps(lines)}, {"script": lines}, {"prompt": "a ball", "camera": "orbit left 30"},
            {"prompt": "a ball", "actions": "[{\"start\": 0, \"pan\": 10}, {\"start\": 0.125, \"pan\": -10}]"}]
    names = []
    for body in made:
        status, _, video = server.post("/v1/videos", {**SMALL, **body})
        assert status == 200, video
        names.append(video["id"])
    for name in names:
        assert server.finish(name)["status"] == "completed"
    assert server.get(f"/v1/videos/{names[0]}")[2]["script"][1]["start"] == 0.125
    for wrong in ({"script": "[1]"}, {"script": "{"}, {"script": [{"start": 3, "text": "x"}]}, {"camera": "fly"},
                  {"actions": "[{\"jump\": 1}]"}, {"actions": [{"start": 2, "pan": 1}]}, {"seconds": "61"},
                  {"seconds": "nan"}, {"size": "big"}, {"size": "9999x64"}, {"seed": -1}, {"fps": 0}, {"steps": 99},
                  {"prompt": " "}, {"prompt": "x" * 1001}, {"priority": 11}, {"guidance": -1}):
        status, _, answer = server.post("/v1/videos", {"prompt": "a ball", **SMALL, **wrong})
        assert status == 400 and set(answer["error"]) == {"message", "type", "param", "code"}, (wrong, answer)


def test_a_running_video_shows_and_is_cancelled(server):
    video = server.post("/v1/videos", {"prompt": "a red ball", "seconds": 60, "size": "64x64"})[2]
    before = wait_for(lambda: (got := server.get(f"/v1/videos/{video['id']}")[2])["frames_done"] > 47 and got)
    assert before["status"] == "in_progress" and 0 < before["progress"] < 100 and before["frames"] == 1440
    status, headers, body = server.get(f"/v1/videos/{video['id']}/preview")
    assert status == 200 and Image.open(io.BytesIO(body)).size == (64, 64)
    status, headers, body = server.get(f"/v1/videos/{video['id']}/preview?format=mp4")
    assert status == 200 and body[4:8] == b"ftyp"
    assert server.get(f"/v1/videos/{video['id']}/content")[0] == 409
    assert server.get(f"/v1/videos/{video['id']}", "DELETE")[2]["deleted"]
    assert server.get(f"/v1/videos/{video['id']}")[0] == 404
    wait_for(lambda: not list((server.data / "work").iterdir()))


def test_the_server_process_has_no_torch(server, first):
    assert "libtorch" not in Path(f"/proc/{server.process.pid}/maps").read_text()


def test_the_javascript_client(server, first, tmp_path_factory):
    """Skipped only where there is no node, or the package cannot be installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not here")
    folder = Path(tmp_path_factory.mktemp("js"))
    (folder / "package.json").write_text("{\"type\": \"module\"}")
    made = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "openai"], cwd=folder, capture_output=True,
                          text=True, timeout=120)
    if made.returncode:
        pytest.skip(f"npm cannot install openai: {made.stderr[-200:]}")
    script = Path(__file__).with_name("serve_client.mjs")
    (folder / "client.mjs").write_text(script.read_text())
    done = subprocess.run(["node", "client.mjs", f"{server.url}/v1", first.id], cwd=folder, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.strip().endswith("all routes"), done.stdout + done.stderr
