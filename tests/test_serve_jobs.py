"""Jobs: claims, orders, what happens when a server or a worker is killed, and what is kept."""

import io
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from server import Server, wait_for

from reverie.serve import keeping
from reverie.serve.jobs import MAX_ATTEMPTS, New, QueueFull, Store, alive, hold_name
from reverie.serve.settings import Settings

SPEC = {"prompt": "a ball", "seconds": 0.5, "size": [64, 64], "fps": 12.0, "seed": 1}


@pytest.fixture
def settings(tmp_path):
    made = Settings(data=tmp_path / "data")
    made.make_folders()
    return made


@pytest.fixture
def store(settings):
    made = Store(settings.data)
    yield made
    made.close()


@pytest.fixture
def serve(tmp_path):
    """Starts servers of the fake world on one folder, and leaves none behind."""
    servers = []

    def start(*args, **env):
        servers.append(Server(tmp_path / "data", *args, fake=True, env=env).start())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def new(store, *, tenant="", kind="generate", limit=100, **more):
    return store.add(tenant, [New(kind, SPEC, 6, **more)], limit)[0]


def made(store, settings, job, size=10):
    """Finish a claimed job, with a file."""
    place = settings.folder("results") / job.folder
    place.mkdir()
    (place / "video.mp4").write_bytes(bytes(size))
    assert store.finish(job, size, {})
    return place


def test_order_is_priority_then_age(store):
    low, first, second, high = (new(store, priority=p) for p in (-1, 0, 0, 5))
    assert [store.before(job) for job in (low, first, second, high)] == [3, 1, 2, 0]
    assert [store.claim("w").id for _ in range(4)] == [high.id, first.id, second.id, low.id]
    assert store.claim("w") is None


def test_a_job_is_claimed_once_however_many_want_it(settings, store):
    for _ in range(60):
        new(store)
    got = []

    def take(name):
        own = Store(settings.data)
        while (job := own.claim(name)) is not None:
            got.append(job.id)
        own.close()

    threads = [threading.Thread(target=take, args=(f"w{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(set(got)) == 60


def test_the_queue_is_bounded_and_takes_all_or_none(store):
    new(store, limit=3)
    with pytest.raises(QueueFull):
        store.add("", [New("future", SPEC)] * 3, 3)
    assert store.counts()["queued"] == 1
    assert len({job.id for job in store.add("", [New("future", SPEC)] * 2, 3)}) == 2


def test_whoever_lost_a_job_can_spoil_nothing(settings, store):
    new(store)
    old = store.claim("dead")
    assert store.recover(300) == [old.id]  # nobody holds the name "dead"
    mine = store.claim("alive")
    assert (mine.id, mine.attempts, old.attempts) == (old.id, 2, 1)
    assert not (store.progress(old, 3) or store.finish(old, 1, {}) or store.fail(old, "x", "y") or store.give_back(old))
    place = made(store, settings, mine)
    done = store.get("", mine.id)
    assert done.status == "completed" and store.result(done, "video.mp4") == place / "video.mp4"
    assert not store.finish(mine, 1, {})
    event = store.due_event(time.time(), 30)
    assert (event["job"], event["type"]) == (mine.id, "video.completed") and store.due_event(time.time(), 30) is None


def test_a_worker_that_lives_keeps_its_job_until_it_hangs(settings, store):
    new(store)
    lock = hold_name(settings.data, "w1")
    assert alive(settings.data, "w1") and store.claim("w1")
    assert store.recover(300) == [] and not store.stalled("w1", 300)
    assert store.stalled("w1", -1) and len(store.recover(-1)) == 1
    lock.close()
    assert not alive(settings.data, "w1")


def test_a_job_that_kills_its_workers_fails_with_a_reason(store):
    job = new(store)
    for _ in range(MAX_ATTEMPTS):
        assert store.claim("dead")
        store.recover(300)
    failed = store.get("", job.id)
    assert (failed.status, failed.code) == ("failed", "worker_lost") and "died" in failed.error


def test_giving_back_does_not_count(store):
    job = new(store)
    for _ in range(2 * MAX_ATTEMPTS):
        assert store.give_back(store.claim("w"))
    assert store.get("", job.id).status == "queued"


def test_tenants_see_only_their_own(settings, store):
    job = new(store, tenant="a")
    assert store.get("b", job.id) is None and store.delete("b", job.id) is None
    assert store.page("b", ["generate"], limit=5) == ([], False)
    assert store.page("a", ["generate"], limit=5)[0] == [job]


def test_deleting_removes_files_and_audits(settings, store):
    new(store)
    place = made(store, settings, job := store.claim("w"))
    new(store, kind="audit", source=job.id, id="audit_1")
    assert store.delete("", job.id) and not place.exists() and store.get("", "audit_1") is None


def test_old_files_go_and_the_rest_fits(settings, store, monkeypatch):
    jobs = []
    for _ in range(4):
        new(store)
        made(store, settings, store.claim("w"), size=100)
        jobs.append(store.page("", ["generate"], limit=1)[0][0])
    stray = settings.folder("results") / "video_of_nobody-1"
    stray.mkdir()
    keeping.sweep(replace(settings, disk_bytes=250), store)
    assert [store.get("", job.id) is not None for job in jobs] == [False, False, True, True]
    assert stray.exists()  # it is young
    monkeypatch.setattr(keeping, "YOUNG", -1.0)
    keeping.sweep(replace(settings, keep_hours=1e-9), store)
    assert store.counts()["completed"] == 0 and not list(settings.folder("results").iterdir())


def test_adopted_videos_are_finished_jobs(settings, store):
    film = settings.data / "film"
    film.write_bytes(b"film")
    job = store.adopt("t", kind="drive", prompt="p", seconds=2, size="64x32", fps=12, seed=3, files={"video.mp4": film})
    assert job.spec["size"] == [32, 64] and store.result(job, "video.mp4").read_bytes() == b"film" and not film.exists()


def test_stopping_puts_the_job_back_and_a_new_server_finishes_it(serve):
    server = serve(FAKE_PAUSE="0.5")  # a minute takes a minute and a half: it cannot be done before it is stopped
    video = server.post("/v1/videos", {"prompt": "a ball", "seconds": 60, "size": "64x64", "fps": 12})[2]
    wait_for(lambda: server.get(f"/v1/videos/{video['id']}")[2]["frames_done"] > 3)
    picture = server.get(f"/v1/videos/{video['id']}/preview")[2]
    assert np.asarray(Image.open(io.BytesIO(picture))).shape == (64, 64, 3)
    server.stop()
    assert wait_for(lambda: not server.workers())
    store = Store(server.data)
    assert store.get("", video["id"]).status == "queued" and store.get("", video["id"]).attempts == 0
    store.close()
    server.env["FAKE_PAUSE"] = "0"
    server.start()
    assert server.finish(video["id"])["status"] == "completed"


def test_a_full_queue_says_when_to_try_again(serve):
    server = serve("--queue", "2")
    body = {"prompt": "a ball", "seconds": 30, "size": "64x64", "fps": 12}
    answers = [server.post("/v1/videos", body) for _ in range(5)]
    full = [headers for status, headers, _ in answers if status == 429]
    assert full and all(int(headers["Retry-After"]) > 0 for headers in full)
    assert {status for status, _, _ in answers} == {200, 429}


def test_two_servers_share_one_folder(serve):
    servers = [serve() for _ in range(2)]
    body = {"prompt": "a ball", "seconds": 1, "size": "64x64", "fps": 12}
    names = [servers[i % 2].post("/v1/videos", body)[2]["id"] for i in range(6)]
    servers[0].kill()
    assert all(servers[1].finish(name)["status"] == "completed" for name in names)
