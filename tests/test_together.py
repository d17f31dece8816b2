"""Jobs that are made side by side: each as when made alone, and none of them can spoil another."""

import threading

import numpy as np
import pytest
from server import Server, wait_for
from tiny_world import tiny_world

from reverie.core.clip import Line
from reverie.core.moves import parse_moves
from reverie.core.video import read_video
from reverie.serve.jobs import New, Store
from reverie.serve.settings import Settings
from reverie.serve.together import Apart, Meeting, jobs_at_once
from reverie.world import step_together

SPEC = {"prompt": "a ball", "seconds": 0.5, "size": [64, 64], "fps": 12.0, "seed": 1, "things": True}


@pytest.fixture
def store(tmp_path):
    settings = Settings(data=tmp_path / "data")
    settings.make_folders()
    made = Store(settings.data)
    yield made
    made.close()


def meet(meeting, *members):
    """Run each member's function in a thread of its own, which leaves at its end; what they returned or raised."""
    ends = [None] * len(members)

    def run(i):
        try:
            ends[i] = members[i]()
        except BaseException as error:
            ends[i] = error
        finally:
            meeting.leave(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(members))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return ends


def test_videos_made_together_are_those_made_alone():
    """The real thing, untrained: three dreams of other texts, seeds, lengths and cameras."""
    world = tiny_world()
    said = [("a red ball falls", 0.5, "still"), ("a dog walks", 0.67, "tilt up 5"),
            ("a blue box slides", 0.17, "pan left 9")]
    asked = [dict(script=[Line(0.0, text)], seconds=seconds, seed=seed, fps=24.0, takes=1, moves=parse_moves(camera))
             for seed, (text, seconds, camera) in enumerate(said)]
    alone = [np.concatenate([block.frames for block in world.imagine(**one)]) for one in asked]
    passes = []

    def step(dreams, inputs):
        passes.append(len(dreams))
        return step_together(dreams, inputs)

    meeting = Meeting(step)

    def make(i):
        own = lambda dream: meeting.step(i, dream)  # noqa: E731 - shorter so
        return lambda: np.concatenate([block.frames for block in world.imagine(**asked[i], step=own)])

    together = meet(meeting, *(make(i) for i in range(3)))
    assert max(passes) > 1 and sum(passes) == sum(len(frames) for frames in alone) / 4
    for one, other in zip(alone, together, strict=True):
        assert one.shape == other.shape
        apart = np.abs(one.astype(int) - other)  # the last bit of a place may turn a ray at an edge: few, by any amount
        assert np.percentile(apart, 99.9) <= 2 and apart.mean() < 0.01


def test_a_member_is_waited_for_from_its_first_step_until_it_leaves():
    sizes, gate = [], threading.Event()
    meeting = Meeting(lambda dreams, inputs: sizes.append(len(dreams)) or list(dreams))

    def steady():
        got = [meeting.step(0, n) for n in range(1, 4)]
        gate.set()
        wait_for(lambda: 1 in meeting._waiting)
        return got + [meeting.step(0, 4)]

    def late():
        gate.wait(60)  # it reads its past
        return [meeting.step(1, "late")]

    assert meet(meeting, steady, late) == [[1, 2, 3, 4], ["late"]]
    assert sizes == [1, 1, 1, 2]


def test_a_pass_that_fails_is_for_each_to_make_alone():
    def step(dreams, inputs):
        raise MemoryError

    meeting = Meeting(step)
    assert isinstance(meet(meeting, lambda: meeting.step(0, "x"))[0], MemoryError)
    meeting._members = {0, 1}
    assert all(isinstance(end, Apart) for end in meet(
        meeting, lambda: meeting.step(0, "x"), lambda: meeting.step(1, "y")))
    meeting._members = {0, 1}
    threading.Timer(0.1, meeting.end).start()
    assert isinstance(meet(meeting, lambda: meeting.step(0, "x"))[0], KeyboardInterrupt)


def test_one_by_one_on_a_cpu():
    class Foreign:
        pass

    assert jobs_at_once(tiny_world(), 0) == 1 and jobs_at_once(tiny_world(), 3) == 3 and jobs_at_once(Foreign(), 3) == 1


def test_only_the_next_in_the_queue_joins_and_only_if_it_fits(store):
    def add(kind="generate", **more):
        return store.add("", [New(kind, SPEC | more, 6)], 100)[0].id

    names = [add(), add("extend", seed=2, prompt="b"), add(size=[64, 96]), add()]
    first = store.claim("w")
    assert first.id == names[0] and store.claim("w", first).id == names[1]
    assert store.claim("w", first) is None  # the next is of another size, and is not passed over
    wide = store.claim("w")
    assert wide.id == names[2] and store.claim("w", wide) is None and store.claim("w", first).id == names[3]
    for odd in ({"model": "b"}, {"fps": 24.0}, {"steps": 4}, {"guidance": 2.0}, {"things": False}, {"loop": True},
                {"image": "a.png"}):
        name = add(**odd)
        assert store.claim("w", first) is None and store.claim("w").id == name
    assert add("audit") and store.claim("w", first) is None and store.claim("w")
    again = add()
    store._db.execute("UPDATE jobs SET attempts = 1 WHERE id = ?", (again,))
    assert store.claim("w", first) is None and store.claim("w").attempts == 2  # its worker died of it, perhaps


BODY = {"prompt": "a ball", "seconds": 4, "size": "64x64", "fps": 12}


@pytest.fixture
def server(tmp_path):
    """Of the world without a network, that takes three jobs at once."""
    running = Server(tmp_path / "data", "--batch", "3", fake=True).start()
    yield running
    running.stop()


def status(server, name):
    return server.get(f"/v1/videos/{name}")[2].get("status")


def ask(server, **more):
    return server.post("/v1/videos", {**BODY, **more})[2]["id"]


def test_three_at_once_of_which_one_is_cancelled_and_one_fails(server, tmp_path):
    kept, gone, wrong = ask(server, seed=1), ask(server, seed=2, seconds=60), ask(server, seed=3, prompt="explode")
    late = ask(server, seed=4)
    wait_for(lambda: status(server, kept) == status(server, gone) == "in_progress")
    assert server.get(f"/v1/videos/{gone}", "DELETE")[0] == 200
    failed = server.finish(wrong)
    assert failed["status"] == "failed" and failed["error"]["code"] == "internal"
    for name, seed in ((kept, 1), (late, 4)):
        assert server.finish(name)["status"] == "completed"
        (tmp_path / "it.mp4").write_bytes(server.get(f"/v1/videos/{name}/content")[2])
        frames = read_video(tmp_path / "it.mp4")[0]
        assert len(frames) == 48
        for n in (0, 20, 47):  # the square is where this seed's is
            left = (seed + 2 * n) % 48
            reds = np.flatnonzero(frames[n, 28, :, 0].astype(int) - frames[n, 28, :, 1] > 80)
            assert abs(reds.min() - left) <= 1 and abs(reds.max() - left - 15) <= 1
    assert status(server, gone) is None and not list((server.data / "work").iterdir())


def test_stopping_puts_a_batch_back(server):
    names = [ask(server, seed=seed, seconds=15) for seed in range(5)]  # none is done before it stops
    wait_for(lambda: sum(status(server, name) == "in_progress" for name in names) == 3)
    server.stop()
    assert wait_for(lambda: not server.workers())
    store = Store(server.data)
    waiting = [job for job in (store.get("", name) for name in names) if job.status == "queued"]
    assert store.counts()["in_progress"] == 0 and len(waiting) >= 2 and all(job.attempts == 0 for job in waiting)
    store.close()
    server.start()
    assert all(server.finish(name)["status"] == "completed" for name in names)
