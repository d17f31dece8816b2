"""Traffic lights in what follows a past: they go through their programs from where the past leaves them."""

from dataclasses import replace

import fake_road
import numpy as np
import pytest

from reverie.data.road.lights import LIGHTS, Lights, letter, program
from reverie.data.road.trace import Trace

FPS = 24.0
ONE = program([0, 2], [10, 5, 3, 12], ["gr", "gr", "yr", "rg"])


def shown(*rows: tuple[str, int]) -> np.ndarray:
    """What three signals showed: letters and for how many frames."""
    return np.array([[LIGHTS.index(x) for x in text] for text, count in rows for _ in range(count)], np.uint8)


def texts(lights: Lights, *seconds: float) -> list[str]:
    return ["".join(LIGHTS[x] for x in lights.at(t)) for t in seconds]


def test_phases_alike_are_one():
    assert (ONE.seconds, ONE.shows) == ((15.0, 3.0, 12.0), ("gr", "yr", "rg"))
    assert program([0], [4, 6, 5], ["g", "r", "g"]).seconds == (9.0, 6.0)  # the last goes on as the first
    assert "".join(map(letter, "GgyrusoO")) == "ggyrrggg"


def test_a_light_that_changed_before_ones_eyes_is_known_to_the_frame():
    past = shown(("ygr", 10), ("rgg", 24))  # signal 1 is in no program; a second ago red and green began
    lights = Lights([ONE], past, FPS, np.random.default_rng(0))
    assert lights.known.tolist() == [True, False, True]
    assert texts(lights, 0, 10.9, 11.1, 26.1, 29.1) == ["rgg", "rgg", "ggr", "ygr", "rgg"]
    assert texts(lights, 11.1 + 30, 11.1 + 300) == ["ggr"] * 2  # round and round


def test_a_light_that_stood_is_as_late_as_it_may_be():
    past = shown(("ggr", 48))  # for two seconds at least, of fifteen
    ends = []
    for seed in range(40):
        lights = Lights([ONE], past, FPS, np.random.default_rng(seed))
        ends.append(next(t for t in np.arange(0, 20, 0.25) if texts(lights, t) != ["ggr"]))
    assert 0 <= min(ends) < 2 and 11 < max(ends) <= 13.25 and len(set(ends)) > 15


def test_what_no_program_explains_stays_but_yellow_becomes_red():
    lights = Lights([ONE], shown(("yrg", 12)), FPS, np.random.default_rng(0))  # yellow and green at once: not it
    assert not lights.known.any() and texts(lights, 0, 1.4, 1.6, 60) == ["yrg", "yrg", "rrg", "rrg"]


def test_programs_are_kept_in_a_trace(tmp_path):
    trace = fake_road.trace()
    trace = replace(trace, net=replace(trace.net, programs=(program([0], [30, 3, 27], ["r", "g", "y"]),)))
    trace.save(tmp_path / "a.npz")
    assert Trace.load(tmp_path / "a.npz").net.programs == trace.net.programs


def test_sumos_lights_are_foretold_to_the_frame():
    pytest.importorskip("libsumo", reason="SUMO makes the traffic")
    from reverie.data.road.traffic import traffic

    found = ((trace, np.flatnonzero(np.diff(trace.signals.astype(int), axis=0).any(1)))
             for trace in (traffic(seed, 8.0) for seed in range(2, 12)))
    trace, changes = next((trace, changes) for trace, changes in found if len(changes))
    assert trace.net.programs
    change = int(changes[0]) + 1
    lights = Lights(trace.net.programs, trace.signals[: change + 2], trace.fps, np.random.default_rng(0))
    moved = np.flatnonzero(trace.signals[change] != trace.signals[change - 1])
    own = next(list(p.signals) for p in trace.net.programs if moved[0] in p.signals)
    for t in range(change + 2, trace.frames):
        near = trace.signals[max(t - 2, 0) : t + 3, own]  # SUMO's steps are two frames
        assert (near == lights.at((t - change - 1) / trace.fps)[own]).all(1).any(), t
