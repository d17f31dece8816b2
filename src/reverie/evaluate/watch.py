"""The judge at work on many drawn clips: in several processes, through whatever wears the pictures first.

And what truth itself does against the laws: the lab moves things by a hand that nobody sees, which holds what is
dropped, lowers what is stacked and gives a push to what lies still or rolls. An audit that says so is right.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from reverie.audit.findings import Track, Verdict, Violation
from reverie.audit.judge import audit_frames
from reverie.audit.observer import Observer, overlap
from reverie.core.clip import Truth
from reverie.core.runtime import cores, set_threads
from reverie.core.vocabulary import ALIVE
from reverie.data.shards import ClipSet
from reverie.world import World

CONDITIONS = ("plain", "tokenizer", "h264")
CRF = 32  # of H.264, where the condition asks for it
PIECE = 96  # frames that go through the tokenizer together
OWNS = 0.4  # overlap from which a track's box is a true thing's
HANDLED = ("support", "gravity", "causality", "collision")  # laws that the unseen hand breaks
NEAR = 0.35  # seconds around the hand's doing in which an alarm is its
# metres to the side and behind: walls that the lab draws (data/scenes/settings.py) and that stop nothing; what rolls
# into one vanishes, and what comes out of one appears, in truth
WALLS = {"room": (8.0, 4.2)}
_PULL = 2.5  # m/s^2 by which a thing that touches nothing may differ from free fall


@dataclass
class Watched:
    """A clip that was judged. index: its number; provenance: of its meta; truth: without masks; camera: its name."""

    index: int
    provenance: dict
    verdict: Verdict
    truth: Truth
    camera: str


def watched(clips: ClipSet, chosen: Sequence[int], condition: str, model: str | Path | World, observer: Observer
            ) -> Iterator[Watched]:
    """Each of the chosen clips, judged. condition: one of CONDITIONS; model: whose tokenizer wears the pictures; a
    loaded one is used in this process alone, a named one in as many as there are cores."""
    workers = 0 if isinstance(model, World) else min(cores(), len(chosen))
    if workers < 2:
        tokenizer = model.tokenizer if isinstance(model, World) else None
        for i in chosen:
            yield _watch(clips, i, wearing(condition, tokenizer or (lambda: _tokenizer(model))()), observer)
        return
    before = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS",)}
    os.environ["OMP_NUM_THREADS"] = "1"  # one core a process
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
    try:
        jobs = [pool.submit(_watch_elsewhere, str(clips.folder), i, condition, str(model)) for i in chosen]
        for job in jobs:
            yield job.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def _watch_elsewhere(folder: str, i: int, condition: str, model: str) -> Watched:
    """In a process of its own."""
    set_threads(1)
    tokenizer = _tokenizer(model) if condition == "tokenizer" else None
    return _watch(_clips(folder), i, wearing(condition, tokenizer), _observer())


@lru_cache(maxsize=2)
def _clips(folder: str) -> ClipSet:
    return ClipSet(folder)


@lru_cache(maxsize=1)
def _tokenizer(model: str | Path):
    return World.load(model).tokenizer


@lru_cache(maxsize=1)
def _observer() -> Observer:
    return Observer.load()


def _watch(clips: ClipSet, i: int, worn: Callable[[np.ndarray, float], np.ndarray], observer: Observer) -> Watched:
    clip = clips.clip(i, masks=False)
    name, frames = next(iter(clip.views.items()))
    verdict = audit_frames(worn(frames, clip.fps), clip.fps, observer=observer)
    return Watched(i, clips.meta(i)["provenance"], verdict, clip.truth, name)


def wearing(condition: str, tokenizer=None) -> Callable[[np.ndarray, float], np.ndarray]:
    """What is done to frames uint8 (T, H, W, 3) of so many a second before they are judged."""
    from reverie.train.observer_frames import through_h264
    from reverie.train.tokenizer import round_trip

    if condition == "h264":
        return lambda frames, fps: through_h264(frames, fps, CRF)
    if condition == "tokenizer":
        return lambda frames, fps: round_trip(tokenizer, frames, PIECE)
    return lambda frames, fps: frames


def owners(track: Track, truth: Truth, camera: str, low: int, high: int) -> set[int]:
    """The true things whose boxes a track has in the frames low..high, or in those of its nearest to them."""
    rows = np.flatnonzero((track.frames >= low) & (track.frames <= high))
    rows = rows if len(rows) else [int(np.abs(track.frames - low).argmin())]
    found = set()
    for row in rows:
        t = int(track.frames[row])
        if t < len(truth.exists) and len(truth.kinds):
            common = overlap(track.boxes[row][None], truth.boxes[camera][t])[0]
            found |= {int(i) for i in np.flatnonzero(common >= max(OWNS, common.max() - 0.15))}
    return found


def accused(seen: Watched, v: Violation) -> set[int]:
    """The true things that a violation is about."""
    tracks, fps = {t.number: t for t in seen.verdict.tracks}, seen.verdict.fps
    low, high = round((v.start - 0.15) * fps), round((v.end + 0.15) * fps)
    mine = [tracks[n] for n in (v.track, v.other) if n in tracks]
    return set().union(*(owners(track, seen.truth, seen.camera, low, high) for track in mine))


def hand(truth: Truth, fps: float) -> list[tuple[int, float, float]]:
    """When the unseen hand holds or pushes which thing: (thing, from, to) in seconds, of truth alone.

    It is there where a lifeless thing touches nothing and does not fall freely, and where one that lay still moves, or
    one that moves does so otherwise all at once, without anything but the ground touching it.
    """
    frames, count = truth.exists.shape
    touched = np.zeros((frames, count), bool)
    met = np.zeros((frames, count), bool)
    pairs: list[list[tuple[int, int]]] = [[] for _ in range(frames)]
    for k, a, b in truth.contacts:
        touched[k, a] = True
        if b >= 0:
            touched[k, b] = met[k, a] = met[k, b] = True
            pairs[k] += [(int(a), int(b)), (int(b), int(a))]
    velocity = np.gradient(truth.position.astype(float), axis=0) * fps if frames > 1 else truth.position * 0
    pull = np.gradient(velocity, axis=0) * fps if frames > 1 else velocity
    speed = np.linalg.norm(velocity, axis=-1)
    found = []
    for i, kind in enumerate(truth.kinds):
        there = truth.exists[:, i]
        if kind in ALIVE:
            continue
        unfree = np.linalg.norm(pull[:, i] - np.array([0, 0, -9.81]), axis=-1) > _PULL
        held = _within(there, 2) & ~_spread(touched[:, i], 1) & unfree
        for low, high in _spans(held):
            if high - low >= 3:
                found.append((i, low / fps, high / fps))
        rest = speed[:, i] < 0.15
        for k in range(4, frames - 4):
            if not there[k - 4 : k + 5].all():
                continue
            # what rests itself pushes nothing
            pushed = any(one == i and (truth.kinds[other] in ALIVE or speed[k - 4 : k - 1, other].max() > 0.15)
                         for t in range(k - 4, k + 4) for one, other in pairs[t])
            starts = rest[k - 4 : k - 1].all() and speed[k + 3, i] > 0.4 and not pushed
            spurt = np.linalg.norm(velocity[k + 2, i, :2] - velocity[k - 2, i, :2])
            kicked = spurt > 1.0 and not met[k - 4 : k + 4, i].any()
            if starts or kicked:
                found.append((i, (k - 2) / fps, (k + 3) / fps))
    return found


def in_wall(truth: Truth, thing: int, start: float, end: float, fps: float) -> bool:
    """Whether a true thing is in a wall of its setting, or beyond it, at any time between two moments (seconds), or
    NEAR them."""
    if truth.setting not in WALLS:
        return False
    side, back = WALLS[truth.setting]
    rows = slice(max(round((start - NEAR) * fps), 0), round((end + NEAR) * fps) + 1)
    at, reach = truth.position[rows, thing][truth.exists[rows, thing]], float(max(truth.extent[thing]))
    return bool((np.abs(at[:, 0]).max(initial=0) > side - reach) or at[:, 1].max(initial=-np.inf) > back - reach)


def _spread(flags: np.ndarray, by: int) -> np.ndarray:
    out = flags.copy()
    for step in range(1, by + 1):
        out[step:] |= flags[:-step]
        out[:-step] |= flags[step:]
    return out


def _within(flags: np.ndarray, by: int) -> np.ndarray:
    return ~_spread(~flags, by)


def _spans(flags: np.ndarray) -> list[tuple[int, int]]:
    steps = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(steps[::2], steps[1::2], strict=True)]


def alarms(seen: Watched) -> tuple[list, list]:
    """The violations that are false, of a clip of truth, and those that are the unseen hand's doing."""
    hands = hand(seen.truth, seen.verdict.fps)
    false, true = [], []
    for v in seen.verdict.violations:
        things = accused(seen, v)
        handled = v.law in HANDLED and any(i in things and low - NEAR <= v.end and v.start <= high + NEAR
                                           for i, low, high in hands)
        handled = handled or any(in_wall(seen.truth, i, v.start, v.end, seen.verdict.fps) for i in things)
        (true if handled else false).append(v)
    return false, true
