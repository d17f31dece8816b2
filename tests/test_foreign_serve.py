"""Somebody else's model behind every route of the HTTP API, with the official client."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av")
import tiny_pipelines  # noqa: E402 - it keeps the hub out, before diffusers is imported

pytest.importorskip("diffusers", reason="the package diffusers is missing")
openai = pytest.importorskip("openai", reason="the official client is missing")
from server import Server  # noqa: E402

from reverie.core.video import probe  # noqa: E402
from reverie.foreign import finding  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ASKED = {"seconds": "0.5", "size": "48x32", "extra_body": {"num_inference_steps": 1, "seed": 3}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    finding.import_diffusers()
    folder = tmp_path_factory.mktemp("foreign")
    tiny_pipelines.build("ltx", folder / "tiny-ltx")
    running = Server(folder / "data", "--model", str(folder / "tiny-ltx")).start()
    yield running
    assert running.stop() in (0, 130)


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="anything", max_retries=0)


@pytest.fixture(scope="module")
def first(server, client):
    """A video from a text."""
    made = client.videos.create(prompt="a red ball falls", model="tiny-ltx", **ASKED)
    return server.finish(made.id)


def picture() -> tuple[str, bytes, str]:
    out = io.BytesIO()
    Image.fromarray(np.full((32, 48, 3), 90, np.uint8)).save(out, "PNG")
    return "p.png", out.getvalue(), "image/png"


def test_it_is_the_model_and_makes_what_it_can(server, client, first, tmp_path):
    assert [model.id for model in client.models.list()] == ["tiny-ltx"]
    assert first["status"] == "completed", first
    client.videos.download_content(first["id"]).write_to_file(tmp_path / "v.mp4")
    about = probe(tmp_path / "v.mp4")
    assert first["size"] == f"{about['width']}x{about['height']}" and abs(first["fps"] - about["fps"]) < 0.01
    assert about["frames"] == first["frames"] and abs(about["seconds"] - 0.5) < 0.1
    assert any("nearest" in note or "frames per second" in note for note in first["notes"]) or first["size"] == "48x32"
    for variant in ("thumbnail", "spritesheet"):
        Image.open(io.BytesIO(client.videos.download_content(first["id"], variant=variant).read())).verify()
    assert first["id"] in [video.id for video in client.videos.list()]


def test_every_other_route(server, client, first, tmp_path):
    made = {
        "image": client.videos.create(prompt="it falls", input_reference=picture(), **ASKED).id,
        "remix": client.videos.remix(first["id"], prompt="a blue ball falls").id,
        "extension": server.post("/v1/videos/extensions", {"prompt": "it rolls", "seconds": "0.5", "video": {
            "id": first["id"]}, "num_inference_steps": 1})[2]["id"],
        "edit": server.post("/v1/videos/edits", {"prompt": "at night", "video": {"id": first["id"]},
                                                 "num_inference_steps": 1})[2]["id"],
    }
    ended = {name: server.finish(video) for name, video in made.items()}
    for name, video in ended.items():
        assert video["status"] == "completed", (name, video)
    assert ended["extension"]["frames"] > first["frames"]
    status, _, body = server.post("/v1/videos/sync", {"prompt": "a dog", "seconds": "0.3", "size": "48x32",
                                                      "num_inference_steps": 1})
    assert status == 200 and body[4:8] == b"ftyp"
    assert client.videos.delete(made["remix"]).deleted


def test_it_cannot_be_driven_and_says_so(server):
    live = pytest.importorskip("websockets.sync.client")
    with live.connect(server.url.replace("http", "ws") + "/v1/realtime/video") as channel:
        channel.send('{"type": "session.start", "prompt": "a red ball"}')
        assert "cannot be driven" in channel.recv(timeout=30)


@pytest.mark.parametrize("wrong", ["missing part", "unknown class"])
def test_a_model_that_cannot_be_served_is_one_line(tmp_path, wrong, capsys):
    from reverie import cli

    folder = tmp_path / "model"
    folder.mkdir()
    kind = "LTXPipeline" if wrong == "missing part" else "NoSuchPipeline"
    about = {"_class_name": kind, "vae": ["diffusers", "AutoencoderKLLTXVideo"]}
    (folder / finding.INDEX).write_text(json.dumps(about))
    assert cli.main(["serve", "--port", "0", "--data", str(tmp_path / "data"), "--model", str(folder)]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("reverie: ") and not Path(tmp_path / "data" / "jobs.sqlite3").exists()
