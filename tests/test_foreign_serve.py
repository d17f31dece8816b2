"""Other people's models behind every route of the HTTP API, with the official client: one server, six families."""

import base64
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av")
import tiny_pipelines  # noqa: E402 - it keeps the hub out, before diffusers is imported

pytest.importorskip("diffusers", reason="the package diffusers is missing")
openai = pytest.importorskip("openai", reason="the official client is missing")
import fake_pipeline  # noqa: E402
from fake_pipeline import FakePipeline  # noqa: E402
from server import Server, wait_for  # noqa: E402

from reverie.core.video import probe, read_video  # noqa: E402
from reverie.foreign import finding  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
FAMILIES = {"ltx": "text, pictures", "wan_ti2v": "text, pictures", "cogvideox": "text", "hunyuan": "text",
            "svd": "pictures", "cosmos": "pictures"}  # what each goes on from
SHORT = {"seconds": "0.3", "size": "48x32", "num_inference_steps": 1, "seed": 3}
REFUSED = {"text": "no form that goes on from a picture", "pictures": "goes on from a picture: give one"}


@pytest.fixture(scope="module")
def server(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign")
    models = [word for name in FAMILIES for word in ("--model", str(tiny(name)))]
    path = os.pathsep.join([str(Server(folder).env["PYTHONPATH"]), str(tiny_pipelines.PACKAGES)])
    running = Server(folder / "data", *models, env={"PYTHONPATH": path}).start()
    yield running
    assert running.stop() in (0, 130)


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="anything", max_retries=0)


def png() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((32, 48, 3), 90, np.uint8)).save(out, "PNG")
    return out.getvalue()


URL = "data:image/png;base64," + base64.b64encode(png()).decode()


class Asked:
    """One family's requests: each is sent, and later held to what the family can do."""

    def __init__(self, server, name):
        self.server, self.takes, self.sent = server, FAMILIES[name], []

    def __call__(self, video, needs):
        """A video that was asked for, as the client or the route has it."""
        self.sent.append((video if isinstance(video, str) else getattr(video, "id", None) or video["id"], needs))
        return self.sent[-1][0]

    def ended(self):
        """All of them at their ends, in order: whole where the family can, else with the reason why not."""
        found = []
        for name, needs in self.sent:
            video = self.server.finish(name)
            if needs in self.takes:
                assert video["status"] == "completed" and video["progress"] == 100, video
            else:
                assert video["status"] == "failed" and video["error"]["code"] == "invalid_input", video
                assert REFUSED[self.takes] in video["error"]["message"], video
            found.append(video)
        return found


def test_all_of_them_are_models(client, server):
    assert [model.id for model in client.models.list()] == list(FAMILIES)
    assert client.models.retrieve("svd").owned_by == "reverie"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("sora-2")
    about = server.get("/v1/about")[2]
    assert [model["id"] for model in about["models"]] == list(FAMILIES) and about["size"] == about["models"][0]["size"]
    assert server.get("/v1/words?text=a%20zorb")[2]["unknown"] == []
    video = client.videos.create(prompt="a ball", model="sora-2", extra_body=SHORT)
    assert video.model == "ltx" and "sora-2 is not here: ltx is what answers" in video.notes
    assert client.videos.delete(video.id).deleted


@pytest.mark.parametrize("name", FAMILIES)
def test_every_route(client, server, name, tmp_path):
    asked, more = Asked(server, name), {"extra_body": SHORT}
    begins = {"input_reference": ("p.png", png(), "image/png")} if FAMILIES[name] == "pictures" else {}
    first = server.finish(client.videos.create(prompt="a red ball falls", model=name, **begins, **more).id)
    assert first["status"] == "completed" and first["model"] == name and first["progress"] == 100, first
    assert first["frames"] == round(0.3 * first["fps"]) and first["has_image"] == bool(begins)
    film = tmp_path / "film.mp4"
    for variant in ("video", "thumbnail", "spritesheet"):
        content = client.videos.download_content(first["id"], variant=variant).read()
        if variant == "video":
            film.write_bytes(content)
            about = probe(film)
            assert about["metadata"]["made_with"] == name and f"{about['width']}x{about['height']}" == first["size"]
            assert abs(about["fps"] - first["fps"]) < 0.01 and about["frames"] == first["frames"]
        else:
            Image.open(io.BytesIO(content)).verify()
    assert server.get(f"/v1/videos/{first['id']}/content", headers={"Range": "bytes=4-7"})[2] == b"ftyp"

    named = {"video": openai.omit, "extra_body": {**SHORT, "video": {"id": first["id"]}}}
    post = {**SHORT, "model": name, "prompt": "it falls"}
    # a text alone
    told = {"guidance_scale": 2, "negative_prompt": "rain"}
    plain = asked(server.post("/v1/videos", {**post, **told})[2], "text")
    asked(server.post("/v1/videos", {**post, "prompt": "", "script": [
        {"start": 0, "text": "a ball"}, {"start": 0.15, "text": "cut to: a box"}]})[2], "text")
    again = "pictures" if begins else "text"  # it begins with the same picture again, or with none
    remix = asked(client.videos.remix(first["id"], prompt="a blue ball falls"), again)
    asked(client.videos.edit(prompt="at night", **named), again)
    # a picture
    asked(client.videos.create(prompt="it falls", model=name, input_reference=("p.png", png(), "image/png"), **more),
          "pictures")
    asked(server.post("/v1/videos", {**post, "image_reference": json.dumps({"image_url": URL})})[2], "pictures")
    asked(client.videos.edit(prompt="it rolls", video=film, extra_body={**SHORT, "model": name}), "pictures")
    # a video
    ours = asked(client.videos.extend(prompt="it rolls", seconds="0.3", **named), "pictures")
    asked(client.videos.extend(prompt="it rolls", seconds="0.3", video=film, extra_body={**SHORT, "model": name}),
          "pictures")
    asked(server.post("/v1/videos", {**post, "video_reference": {"id": first["id"]}})[2], "pictures")
    group = server.post("/v1/videos/futures", {**post, "video": {"id": first["id"]}, "count": 2,
                                               "cameras": ["", "pan left 5"]})[2]
    for video in group["data"]:
        asked(video, "pictures")

    every = asked.ended()
    assert {video["model"] for video in every} == {name}  # what goes on from its video is its too
    if "pictures" in FAMILIES[name]:
        longer = next(video for video in every if video["id"] == ours)
        assert longer["frames"] == 2 * first["frames"] and longer["source_video_id"] == first["id"]
        whole, past = read_video(_download(client, ours, tmp_path))[0], read_video(film)[0]
        assert np.abs(whole[: len(past)].astype(int) - past).mean() < 6
    else:
        with pytest.raises(openai.ConflictError, match=REFUSED["text"]):
            client.videos.download_content(ours)
    unused = [note for video in every if video["id"] == plain for note in video["notes"] if "not used" in note]
    assert not unused, unused
    assert next(video for video in every if video["id"] == remix)["remixed_from_video_id"] == first["id"]
    listed = [video.id for video in client.videos.list(limit=5)]
    assert {first["id"], *(video["id"] for video in every)} <= set(listed) and len(listed) == len(set(listed))

    status, headers, body = server.post("/v1/videos/sync", post)
    if "text" in FAMILIES[name]:
        assert (status, body[4:8], headers["x-model"]) == (200, b"ftyp", name)
    else:
        assert status == 400 and REFUSED["pictures"] in body["error"]["message"] and body["error"]["code"], body
    if name == "ltx":
        assert not list((server.data / "work").iterdir())
    assert server.get(f"/v1/videos/{first['id']}/audit")[0] in (200, 202)
    client.videos.create_character(name=f"Rex{name}", video=film)
    audit = wait_for(lambda: (got := server.get(f"/v1/videos/{first['id']}/audit"))[0] == 200 and got[2])
    assert audit["status"] == "completed" and "violations" in audit["verdict"], audit
    assert client.videos.delete(first["id"]).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(first["id"])


def _download(client, name, folder):
    client.videos.download_content(name).write_to_file(folder / "it.mp4")
    return folder / "it.mp4"


def test_what_they_show_can_be_named(client, server):
    found = server.get("/v1/videos/characters")[2]["data"]
    assert {one["name"] for one in found} == {f"Rex{name}" for name in FAMILIES}
    seen = [wait_for(lambda path=f"/v1/videos/characters/{one['id']}": (got := server.get(path)[2])["status"] in (
        "completed", "failed") and got) for one in found]
    assert client.videos.get_character(seen[0]["id"]).name == seen[0]["name"]
    video = server.finish(client.videos.create(prompt=f"@{seen[0]['name']} falls", model="ltx", extra_body=SHORT).id)
    assert video["status"] == seen[0]["status"], (video, seen[0])  # noise is no thing


def test_they_cannot_be_driven_and_say_so(server):
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
    assert ("has no vae/" if wrong == "missing part" else "does not know") in said[0]


# ---------------------------------------------------------------- the worker alone, with a pipeline made in no time


@pytest.fixture
def worker(tmp_path):
    """A worker with two models, its store, and a way to do a job of one."""
    from reverie.serve.jobs import New, Store
    from reverie.serve.settings import Settings
    from reverie.serve.worker import Worker

    Settings(data=tmp_path / "data").make_folders()
    store, made = Store(tmp_path / "data"), Worker(tmp_path / "data", ["one", "else/two"], "w")
    made.worlds = {name: fake_pipeline.world(tmp_path) for name in made.models}
    for name, world in made.worlds.items():
        world.name = name
    spec = {"prompt": "a ball", "seconds": 4.0, "size": [48, 64], "fps": 8.0, "seed": 1}

    def do(model="one", again=False):
        if not again:
            store.add("", [New("generate", spec | {"model": model}, 32)], 10)
        job = store.claim("w")
        made._do(store, job)
        return store.get("", job.id)

    yield do, made, tmp_path / "data" / "work"
    store.close()


def test_guidance_and_what_to_avoid_reach_the_call_or_are_noted(worker, tmp_path, monkeypatch):
    from reverie.foreign import calling
    from reverie.foreign.asking import ask

    class Guided(FakePipeline):
        def __call__(self, prompt=None, guidance_scale=5.0, num_frames=None, image=None, **more):
            """Takes one of both."""

    world = fake_pipeline.world(tmp_path)
    notes, seen, real = [], [], calling.arguments
    monkeypatch.setattr(calling, "arguments", lambda pipe, able, wish: seen.append(wish.more) or real(pipe, able, wish))
    list(world.imagine([], seconds=1, guidance=2.0, avoid="rain", note=notes.append))
    assert seen[0] == {"guidance_scale": 2.0, "negative_prompt": "rain"}
    assert sum("not used" in one for one in notes) == 2
    wish = calling.Wish("a", (48, 64), 9, 8.0, 0, more=seen[0])
    told = real(Guided(), ask(Guided()), wish)
    assert told["guidance_scale"] == 2.0 and "negative_prompt" not in told


def test_whoever_gets_the_job_again_goes_on_from_its_pieces(worker, monkeypatch):
    do, made, work = worker
    monkeypatch.setattr(FakePipeline, "fail_at", 2)
    monkeypatch.setattr(FakePipeline, "failure", KeyboardInterrupt())  # as when the server is stopped
    job = do()
    assert job.status == "queued" and len(list(work.glob(f"{job.id}/*.pieces/piece-*.npz"))) == 2
    monkeypatch.setattr(FakePipeline, "fail_at", None)
    FakePipeline.calls.clear()
    job = do(again=True)
    assert job.status == "completed" and len(FakePipeline.calls) == 2 and not list(work.iterdir())
    assert any("2 of 4 pieces were made before" in note for note in job.facts["notes"])


@pytest.mark.parametrize("failure, code, says", [
    (RuntimeError("CUDA out of memory. Tried"), "out_of_memory", "else/two ran out of memory in piece 3 of 4, after"),
    (RuntimeError("a kernel\nhas no image"), "model_failed", "failed in piece 3 of 4, after step 1 (RuntimeError: a")])
def test_a_failure_is_told_without_places_and_leaves_nothing(worker, monkeypatch, failure, code, says):
    do, made, work = worker
    monkeypatch.setattr(FakePipeline, "fail_at", 2)
    monkeypatch.setattr(FakePipeline, "failure", failure)
    job = do("else/two")
    assert (job.status, job.code) == ("failed", code) and says in job.error and str(work.parent) not in job.error
    assert not list(work.iterdir())


def test_one_has_its_weights_in_memory_and_a_missing_one_is_named(worker):
    do, made, work = worker
    assert do("one").status == "completed"
    assert made.worlds["one"].loaded and made.worlds["else/two"].loaded is None
    job = do("three")
    assert (job.code, job.error) == ("model_missing", "the model three is served here no longer")


def test_steps_are_progress(worker, monkeypatch):
    from reverie.serve import watching as module

    do, made, work = worker
    monkeypatch.setattr(module, "CHECK_EVERY", 0.0)
    monkeypatch.setattr(module, "PREVIEW_EVERY", 0.0)
    seen, real = [], module.Watch.say

    def say(watch, *args, **more):
        real(watch, *args, **more)
        seen.append((watch.store.get("", watch.job.id).frames_done, (watch.folder / "preview.jpg").exists()))

    monkeypatch.setattr(module.Watch, "say", say)
    for world in made.worlds.values():
        world.able = world.able.__class__(**{**world.able.__dict__, "steps": 2})
    assert do().status == "completed"
    counts = [count for count, _ in seen]
    assert counts == sorted(counts) and counts[:3] == [0, 4, 8] and counts[-1] == 32 and seen[1][1]
