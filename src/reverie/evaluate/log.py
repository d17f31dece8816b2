"""Suite ``log``: what a model that was trained on a recorded log makes of the log's held-out end.

Pasts of the test split go on with the actions that the driver chose then, and with others. How like the pictures are to
what followed is measured at some moments, beside the last picture of the past, copied, and the tokenizer alone; whether
the road bends as it is steered is read by a probe (turning.py) that was fitted to the training split's own pictures.

As a set, pictures of the half second that ends at a moment are compared by the Fréchet distance of the observer's
features (features.py). It has never seen a road, and pictures of half a second are much alike: so many cases stand
behind a distance, not so many pictures.

Legend: T frames, N cases, A actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reverie.core.actions import by_name
from reverie.core.errors import BadInput
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.data.shards import ClipSet, split_of
from reverie.evaluate.features import features, frechet_figures, named
from reverie.evaluate.figures import figure
from reverie.evaluate.quality import psnr, ssim
from reverie.evaluate.study import SEED, Study
from reverie.evaluate.turning import Probe, answered, by_blocks, line
from reverie.train.log import is_log
from reverie.train.tokenizer import round_trip
from reverie.world import World, step_together

F = FRAMES_PER_LATENT
MOMENTS = (0.5, 1.0, 2.0, 5.0, 10.0)  # seconds after the past at which pictures are compared
PAST = 32  # frames of a past, at the most
STRETCH = 0.5  # seconds before a moment whose pictures are looked at as a set
STEERED = 4.0  # seconds of the dreams in which it is steered otherwise
BLOCK = 1.0  # seconds over which turning is averaged
MOVING = 2.0  # m/s: below it a car hardly turns, however it is steered
GENTLE, LOCK = 0.5, 1.0  # offsets of the steering, of twice the log's deviation; of all there is


@dataclass
class Case:
    """A stretch of the log: frames (T, H, W, 3), actions (T, A), of which ``past`` are given."""

    key: str
    fps: float
    frames: np.ndarray
    actions: np.ndarray
    past: int


def measure(study: Study) -> list[dict]:
    """The figures of n cases of the test split of the shards in ``study.data``; of a log without steering, how
    its pictures look and no more. Raises BadInput for a model or data that are of no log, or not of one log."""
    world = study.world
    drive = world.transformer.config.drive
    if not world.transformer.config.of_a_log:
        raise BadInput(f"the suite log measures a model that was trained on a recorded log, and {world.name} was not: "
                       "make one with reverie train cpu --from base --data LOG -o OUT, and give --model OUT/model")
    if not is_log(study.data):
        raise BadInput(f"{study.data} holds no ingested log: give the model's shards with --data")
    clips = ClipSet(study.data)
    cases = held_out(clips, world, study.n)
    names = [action.name for action in drive]
    figures = looks(study, world, cases)
    if "steering" in names:
        figures += obeyed(study, world, clips, cases, names.index("steering"),
                          names.index("speed") if "speed" in names else None)
    return figures


def model_name(study: Study) -> str:
    """The model's name and hash, and the observer's."""
    return f"{study.name}, {named(study.observer)}"


def held_out(clips: ClipSet, world: World, n: int) -> list[Case]:
    """n cases, at even distances over all that the test split's unbroken stretches hold; shorter ones where none is as
    long as the last moment. Raises BadInput for other pictures or other actions than the model's."""
    stretches = []
    for i in range(len(clips)):
        meta = clips.meta(i)
        if split_of(meta) != "test":
            continue
        clip = clips.clip(i, masks=False)
        frames = next(iter(clip.views.values()))
        if frames.shape[1:3] != world.default_size:
            raise BadInput(f"{clips.folder} has pictures of {frames.shape[2]}x{frames.shape[1]}, and the model "
                           f"{world.name} was trained on {world.default_size[1]}x{world.default_size[0]}")
        log, row = clips.keys[i].rsplit("-", 1)
        sign = (log, meta["provenance"]["stretch"])
        case = Case(clips.keys[i], clip.fps, frames,
                    by_name(clip.actions, clip.action_names, world.drive, len(frames)), 0)
        if stretches and stretches[-1][0] == sign and stretches[-1][1] == int(row):
            before = stretches[-1][2]
            before.frames = np.concatenate([before.frames, frames])
            before.actions = np.concatenate([before.actions, case.actions])
            stretches[-1] = (sign, int(row) + len(frames), before)
        else:
            stretches.append((sign, int(row) + len(frames), case))
    for seconds in MOMENTS[::-1]:
        starts = [(case, start) for _, _, case in stretches
                  for start in range(len(case.frames) - PAST - _frames(seconds, case.fps) + 1)]
        if len(starts) >= n:
            break
    if not starts:
        raise BadInput(f"{clips.folder}: no stretch of its test split has {PAST} frames and {MOMENTS[0]:g} s after "
                       "them")
    chosen = [starts[int(k)] for k in np.linspace(0, len(starts) - 1, min(n, len(starts)))]
    return [Case(f"{case.key}+{start}", case.fps, case.frames[start : start + PAST + _frames(seconds, case.fps)],
                 case.actions[start : start + PAST + _frames(seconds, case.fps)], PAST) for case, start in chosen]


def _frames(seconds: float, fps: float) -> int:
    return -(-round(seconds * fps) // F) * F


def dreams(world: World, cases: Sequence[Case], asked: Sequence[np.ndarray], *, seed: int = SEED,
           seen: dict | None = None) -> list[np.ndarray]:
    """What follows the pasts with the actions (T, A) asked for, T whole latents: frames (T, H, W, 3) of each. seen:
    the latents of pasts by key, kept for the next call."""
    seen = {} if seen is None else seen
    all_of_them, out = [], [[] for _ in cases]
    for case in cases:
        if case.key not in seen:
            seen[case.key] = world.seen(case.frames[: case.past], case.fps)
        all_of_them.append(world.dream(past=list(seen[case.key]), driven=case.actions[: case.past], fps=case.fps,
                                       seed=seed))
    free = [a for a, action in enumerate(world.drive) if not action.measured]
    for n in range(max(map(len, asked)) // F):
        going = [k for k in range(len(cases)) if n * F < len(asked[k])]
        rates = [{"rates": {world.drive[a].name: asked[k][n * F : n * F + F, a].tolist() for a in free
                            if np.isfinite(asked[k][n * F : n * F + F, a]).all()}} for k in going]
        for k, block in zip(going, step_together([all_of_them[k] for k in going], rates), strict=True):
            out[k].append(block.frames)
    return [np.concatenate(blocks) for blocks in out]


def looks(study: Study, world: World, cases: Sequence[Case]) -> list[dict]:
    """PSNR and SSIM at each moment, of dreams with the true actions, of the copied last picture, and of the
    tokenizer's round trip; and Fréchet distances of these."""
    seen: dict[tuple[str, float], list[np.ndarray]] = {}
    found: dict[tuple[str, float], list[tuple[float, float]]] = {}
    with study.track(len(cases), "dreams with the true actions") as bar:
        for case in cases:
            true = case.frames[case.past :]
            made = dreams(world, [case], [case.actions[case.past :]])[0]
            back = round_trip(world.tokenizer, case.frames[: len(case.frames) // F * F])[case.past :]
            for moment in MOMENTS:
                at = round(moment * case.fps) - 1
                if at < len(true):
                    copied = np.repeat(case.frames[case.past - 1 : case.past], len(true), 0)
                    ways = {"dream": made, "copied": copied, "round_trip": back}
                    stretch = slice(max(at + 1 - round(STRETCH * case.fps), 0), at + 1)
                    for way, frames in {"": true, **ways}.items():
                        seen.setdefault((way, moment), []).append(features(study.observer, frames[stretch]))
                    for way, frames in ways.items():
                        found.setdefault((way, moment), []).append((psnr(frames[at], true[at]),
                                                                    ssim(frames[at], true[at])))
            bar.advance()
    figures = [figure(f"{way}_{what}_{moment:g}s", np.mean([pair[k] for pair in pairs]), unit, None, len(pairs))
               for k, (what, unit) in enumerate((("psnr", "dB"), ("ssim", "")))
               for (way, moment), pairs in found.items()]
    for moment in [moment for way, moment in seen if not way]:
        made = {way: seen[way, moment] for way in ("dream", "copied", "round_trip")}
        figures += frechet_figures(seen["", moment], made, f"{{}}_frechet_{moment:g}s")
    return figures


def obeyed(study: Study, world: World, clips: ClipSet, cases: Sequence[Case], steering: int,
           speed: int | None) -> list[dict]:
    """How the turning that is read follows the turning asked for: on truth, on its round trip, and in dreams that are
    steered as the driver did, otherwise a little, and as far as the wheel goes."""
    probe = fitted(clips, world, steering, speed)
    seen: dict = {}
    lock = world.drive[steering]
    far = GENTLE * lock.scale
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    apart: dict[str, list[float]] = {"seeds": [], "actions": []}
    moving = [case for case in cases if speed is None or case.actions[case.past - 1, speed] > MOVING]
    ways = {"true": lambda s: s, "mirrored": lambda s: -s, "right": lambda s: s + far, "left": lambda s: s - far,
            "lock_right": lambda s: np.full_like(s, LOCK * lock.high),
            "lock_left": lambda s: np.full_like(s, LOCK * lock.low)}
    with study.track(len(moving) * (len(ways) + 1), "dreams steered otherwise") as bar:
        for case in moving:
            length, block = min(_frames(STEERED, case.fps), len(case.frames) - case.past), round(BLOCK * case.fps)
            pace = _way(case.actions[case.past - 1 : case.past], speed, case.fps)
            before = case.actions[: case.past, steering]
            after = case.actions[case.past : case.past + length]
            steered = []
            for change in ways.values():
                other = after.copy()
                other[:, steering] = np.clip(change(after[:, steering]), lock.low, lock.high)
                steered.append(other)
            made = dreams(world, [case] * len(ways), steered, seen=seen)
            again = dreams(world, [case], [after], seed=SEED + 1, seen=seen)[0]
            bar.advance(len(ways) + 1)
            turns = {}
            for way, other, film in zip(ways, steered, made, strict=True):
                whole = np.concatenate([case.frames[case.past - 1 : case.past], film])
                turns[way] = by_blocks(probe.read(whole)[1:], block)
                asked = answered(np.concatenate([before, other[:, steering]]) * pace, probe.lag)[case.past :]
                pairs.setdefault(way, []).append((by_blocks(asked, block), turns[way]))
            whole = np.concatenate([case.frames[case.past - 1 : case.past], again])
            apart["seeds"].append(_rms(by_blocks(probe.read(whole)[1:], block) - turns["true"]))
            apart["actions"].append(_rms(turns["right"] - turns["left"]))
            for name, film in (("truth", case.frames), ("round_trip", round_trip(world.tokenizer, case.frames))):
                asked = np.nan_to_num(case.actions[:, steering] * _way(case.actions, speed, case.fps))
                asked = answered(asked, probe.lag)
                pairs.setdefault(name, []).append((by_blocks(asked, block), by_blocks(probe.read(film), block)))
    pairs["changed"] = [pair for way in ("true", "mirrored", "right", "left") for pair in pairs.get(way, [])]
    pairs["lock"] = [pair for way in ("lock_right", "lock_left") for pair in pairs.get(way, [])]
    figures = []
    for name, of, goal in (("truth", "probe_on_truth", None), ("round_trip", "probe_on_round_trip", ">= 0.98"),
                           ("true", "steered_as_in_truth", None), ("changed", "steered_gently", ">= 0.95"),
                           ("lock", "steered_to_the_lock", ">= 0.95")):
        x, y = (np.concatenate([pair[k] for pair in pairs.get(name, [])] or [np.zeros(0)]) for k in (0, 1))
        correlation, slope = line(x, y)
        figures += [figure(f"{of}_correlation", correlation, "", goal, len(x)),
                    figure(f"{of}_slope", slope, "", ">= 0.9 and <= 1.1" if goal == ">= 0.95" else None, len(x))]
    ratio = np.mean(apart["seeds"]) / np.mean(apart["actions"]) if moving else np.nan
    return [*figures, figure("seeds_apart_over_actions_apart", ratio, "", None, len(moving))]


def fitted(clips: ClipSet, world: World, steering: int, speed: int | None, every: int = 4) -> Probe:
    """The probe, from every fourth clip of the training split, as it is and after the tokenizer's round trip: what is
    dreamed is as blurred."""
    films, turning = [], []
    for i in [i for i in range(len(clips)) if split_of(clips.meta(i)) == "train"][::every]:
        clip = clips.clip(i, masks=False)
        frames = next(iter(clip.views.values()))
        frames = frames[: len(frames) // F * F]
        if len(frames) > 2 * F:
            actions = by_name(clip.actions, clip.action_names, world.drive, len(frames))
            films += [frames, round_trip(world.tokenizer, frames)]
            turning += [np.nan_to_num(actions[:, steering] * _way(actions, speed, clip.fps))] * 2
    return Probe.fitted(films, turning)


def _way(actions: np.ndarray, speed: int | None, fps: float) -> np.ndarray:
    """The way (T,) that is made in each frame, in metres; where no speed is known, its time."""
    return (np.ones(len(actions)) if speed is None else actions[:, speed]) / fps


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))
