"""The suites of the server, shrunk, over the tests' own world: each figure is there, and what is broken is counted."""

import random
import subprocess
from collections import Counter

import numpy as np
import pytest
from server import FAKES, Server

from reverie.core.errors import ReverieError
from reverie.evaluate import live, serving, serving_kills, serving_load, serving_schema
from reverie.evaluate.figures import met
from reverie.evaluate.serving_fuzz import Fuzzed, spoil
from reverie.evaluate.serving_kills import Killed
from reverie.evaluate.serving_load import Load
from reverie.evaluate.study import Study


def test_the_suite_measures_a_real_server(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(FAKES))
    monkeypatch.setattr(serving, "UPLOADS", 24)
    monkeypatch.setattr(serving, "SECONDS", 1.0)
    monkeypatch.setattr(serving, "installed", lambda: False)
    monkeypatch.setattr(serving_kills, "SOON", 0.3)
    monkeypatch.setattr(serving_load, "POLLERS", 20)
    figures = {one["name"]: one for one in serving.measure(Study("base", 1, tmp_path, progress=False))}
    wrong = ("errors_other_than_429", "jobs_lost", "jobs_doubled", "files_corrupt", "uploads_answered_with_500",
             "uploads_that_hang", "crashes_by_uploads", "uploads_left_over")
    assert {name: figures[name]["value"] for name in wrong} == dict.fromkeys(wrong, 0)
    assert figures["uploads_that_hang"]["n"] == 24 and figures["jobs_lost"]["n"] == 1
    assert figures["get_p99_200_pollers"]["value"] > 0 and figures["get_p99_200_pollers"]["n"] >= 20
    assert (figures["schemathesis_answers_of_500"]["value"], figures["schemathesis_answers_of_500"]["n"]) == (None, 0)


def test_what_goes_wrong_is_counted():
    load = Load(10.0, Counter({("GET", 200): 9, ("GET", 500): 2, ("GET", 0): 1, ("POST", 429): 5}), [0.01] * 99 + [0.2],
                [0.1], [70_000_000, 71_000_000, 72_000_000, 90_000_000], 3)
    figures = {one["name"]: one for one in serving.of_load(load)}
    assert figures["errors_other_than_429"]["value"] == 3 and figures["memory_growth"]["value"] == 19
    assert not met(figures["get_p99_200_pollers"]["value"], figures["get_p99_200_pollers"]["goal"])
    fuzzed = Fuzzed(Counter({200: 5, 400: 5, 500: 1, 502: 1, "TimeoutError": 2, 301: 1}))
    assert (fuzzed.refused, fuzzed.hangs) == (2, 3)
    assert [one["value"] for one in serving.of_kills(Killed(lost=1, doubled=2, corrupt=3, given_up=4), 9)] == [
        1, 2, 3, 4, 0]


def test_files_are_spoilt_but_never_empty():
    whole = bytes(range(256))
    spoilt = [spoil(whole, random.Random(seed)) for seed in range(200)]
    assert all(spoilt) and sum(one != whole for one in spoilt) > 190


@pytest.mark.parametrize("batch", ["1", "3"])
def test_kills_lose_nothing_and_double_nothing(monkeypatch, tmp_path, batch):
    """Server, worker, or both, killed with SIGKILL while clients ask: every accepted job ends, once, and plays."""
    monkeypatch.setattr(serving_kills, "SOON", 0.5)
    monkeypatch.setattr(serving_kills, "BODY", {**serving_kills.BODY, "seconds": 3})  # half a second of work
    monkeypatch.setattr(serving_kills, "FRAMES", 72)
    server = Server(tmp_path / "data", "--batch", batch, fake=True)
    made = serving_kills.kill(server, 4, most=6, seed=3)
    assert len(made.killed) == 3 and len(made.accepted) >= 10
    assert (made.lost, made.doubled, made.corrupt) == (0, 0, 0)
    assert server.process.returncode in (0, 130)


def test_the_server_itself_says_how_often_it_failed(monkeypatch, tmp_path):
    said = {"status": 200, "text": b'reverie_requests_total{method="GET",route="/x",status="200"} 7\n'}

    class Standing:
        url, data = "http://x", tmp_path / "data"

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def get(self, path):
            return said["status"], {}, said["text"]

    done = subprocess.CompletedProcess([], 0, "Test cases:\n  2088 generated, 2088 passed\n")
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: done)
    assert serving_schema.requests(Standing(), 1) == (2088, 0)
    said["text"] += b'reverie_requests_total{method="GET",route="/x",status="500"} 2\n'
    assert serving_schema.requests(Standing(), 1) == (2088, 2)
    said["status"] = 0
    assert serving_schema.requests(Standing(), 1) == (2088, 1)
    done.stdout = "no such option"
    with pytest.raises(ReverieError, match="no such option"):
        serving_schema.requests(Standing(), 1)


def test_a_key_is_answered_when_pixels_move_more_than_at_rest():
    driver = object.__new__(live.Driver)
    driver.seq, still = 5, np.zeros((4, 4, 3), np.int16)
    pictures = iter([(4, still + 9), (None, None), (5, still + 9), (5, still + 10), (5, still + 20)])
    driver.hear = lambda: next(pictures)
    assert driver._answered(0.0, still, 2.0) is None  # nobody waits for ever
    assert driver._answered(live.time.perf_counter(), still, 2.0) > 0
    assert next(pictures, None) is None
