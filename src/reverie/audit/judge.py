"""The judge: a video's pixels in, a verdict out. It knows nothing of who made the video.

    frames -> Observer.detect -> tracks.follow -> laws.violations -> confirmed -> Verdict
         \\-> MotionMeter --------^                 \\-> prompt.judge_prompt

Frames are looked at as they come, in the observer's own size, and forgotten: memory does not grow with the video's
pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from reverie.audit.findings import Motion, Track, Verdict, Violation
from reverie.audit.laws import LAST, SAME_MOMENT, violations
from reverie.audit.laws_things import as_box
from reverie.audit.motion import MotionMeter
from reverie.audit.observer import Detection, Observer, overlap
from reverie.audit.observer_net import SHORT_SIDE
from reverie.audit.scene import Scene, grown, meet
from reverie.audit.tracks import FAINT, follow
from reverie.core.errors import BadInput
from reverie.core.progress import track as progress_bar
from reverie.core.runtime import bf16_pays, device
from reverie.core.script import clean_text
from reverie.core.video import probe, stream_video

CHUNK = 32  # frames that are looked at together
NAMES_EVERY = 4  # one frame in so many is looked at twice, for names
MASK = 0.28  # confidence from which a thing's box is left out of the camera's motion
STRANGE = 0.3  # mean confidence below which a thing is called unknown
# mean confidence of all that is followed below which a world is unknown: the least of 324 clips of the lab, worn ones
# among them, has 0.38, the most of five films and drives 0.31
FOREIGN = 0.36
SURE_ABROAD = 0.6  # mean confidence from which a thing is judged there all the same
FINE, COARSER, COARSEST = 0.9, 0.8, 0.6  # of SHORT_SIDE: see _other_sizes
NEARBY = 1.0  # of its sides: what is found again lies within so much of where it was found
SAME_THING = 0.2  # overlap from which a second look's box is a thing's that the first one followed
# what is said after either look; in 44 minutes of truth, 20 of them worn, two such were false
SURE = ("sank", "entered", "jumped", "vanished", "stopped", "hangs", "moved by itself")
LOOKS = ("identity", "rigidity")  # laws of what a thing is and how large
SETTLED = ("colour", "kind", "grew", "shrank", "split")  # in which a third look is believed
MOTION = ("support", "gravity", "collision", "causality")  # laws of how it moves: no evidence of what it is
FEW = 0.34  # seconds: a shorter video is not judged


@lru_cache(maxsize=1)
def package_observer() -> Observer:
    """The observer that comes with the package, loaded once."""
    return Observer.load(device=device())


def audit(path: str | Path, prompt: str | None = None, camera: str | None = None, progress: bool = False,
          observer: Observer | None = None) -> Verdict:
    """Judge a video file.

    prompt: what it should show; camera: the moves that were asked for, as core.moves has them. Raises BadMedia,
    BadInput, BadWeights, and ReverieError where the package lacks its extra "audit".
    """
    about = probe(path)
    rate = about["fps"]
    height, width = looked_at(about["height"], about["width"])
    total = about["frames"] or round(about["seconds"] * rate)
    first = next(stream_video(path))  # upright; a phone's file may say otherwise of its size
    if (first.shape[0] > first.shape[1]) != (height > width):
        height, width = width, height

    def counted(title: str = "frames looked at") -> Iterator[np.ndarray]:
        with progress_bar(max(total, 1), title, quiet=not progress) as bar:
            for frame in stream_video(path, size=(height, width)):
                yield frame
                bar.advance()

    return audit_frames(counted(), rate, prompt, camera, size=(height, width), source=str(path), observer=observer,
                        again=lambda: counted("frames looked at again"))


def looked_at(height: int, width: int) -> tuple[int, int]:
    """The size (H, W), even, in which a video is looked at: its own, or with a short side of SHORT_SIDE."""
    return _scaled(height, width, min(SHORT_SIDE, height, width))


def _scaled(height: int, width: int, short: float) -> tuple[int, int]:
    """A size (H, W), even, whose short side is about ``short``."""
    scale = short / min(height, width)
    return max(32, round(height * scale / 2) * 2), max(32, round(width * scale / 2) * 2)


def audit_frames(frames: np.ndarray | Iterable[np.ndarray], fps: float, prompt: str | None = None,
                 camera: str | None = None, *, size: tuple[int, int] | None = None, source: str = "",
                 observer: Observer | None = None, again: Callable[[], Iterable[np.ndarray]] | None = None) -> Verdict:
    """Judge frames: uint8 (H, W, 3) each, all of one ``size`` (H, W) (default: the first's).

    again: gives the same frames once more, for another look (see ``confirmed``); an array of frames needs none, and
    other frames without it are looked at once.
    """
    if again is None and isinstance(frames, np.ndarray):
        array = frames
        again = lambda: array  # noqa: E731
    seen, motion, size = look(frames, fps, size, observer)
    verdict = judged(seen, motion, fps, size, prompt, camera, source)
    if again is not None and verdict.tracks:
        verdict.violations = confirmed(verdict, again, observer)
    return verdict


def confirmed(verdict: Verdict, again: Callable[[], Iterable[np.ndarray]], observer: Observer | None = None
              ) -> list[Violation]:
    """What two looks agree on, or three where two do not. again: gives the frames once more.

    What one look at a thing gets wrong (where its border is, what kind it is, whether it is there) another in pictures
    of another size gets wrong otherwise; what went wrong in truth it may call by another law.
    """
    second, third = _other_sizes(*verdict.size)
    others = _looked_again(verdict, again(), second, observer)
    kept = agreed(verdict, others)
    doubted = disputed(verdict, others, kept)
    return settled(verdict, kept, doubted, _looked_again(verdict, again(), third, observer)) if doubted else kept


def _other_sizes(height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The sizes (H, W) in which frames of one are looked at a second and a third time: what is smaller than FINE in
    SHORT_SIDE, else COARSER; and COARSEST, unless they are no larger themselves."""
    side = min(height, width) / SHORT_SIDE
    sides = (1.0 if side < FINE else COARSER), (COARSER if side < (COARSEST + COARSER) / 2 else COARSEST)
    return _scaled(height, width, sides[0] * SHORT_SIDE), _scaled(height, width, sides[1] * SHORT_SIDE)


def _looked_again(verdict: Verdict, frames: Iterable[np.ndarray], size: tuple[int, int], observer: Observer | None
                  ) -> list[Violation]:
    """The violations that a look at a verdict's frames in another size (H, W) finds, in the verdict's pixels."""
    seen, motion, _ = look((resized(frame, size) for frame in frames), verdict.fps, size, observer)
    ratio = np.array([verdict.size[1] / size[1], verdict.size[0] / size[0]] * 2)
    return [replace(v, box=as_box(np.array(v.box) * ratio)) for v in
            judged(seen, motion, verdict.fps, size).violations]


def agreed(verdict: Verdict, others: Sequence[Violation]) -> list[Violation]:
    """Of a verdict's violations and a second look's ``others`` those that are SURE and those at whose moment and place
    the other look finds any; of one law at one moment and place once."""
    kept = [_begun(v, others) for v in verdict.violations if v.what in SURE or any(_alike(v, o) for o in others)]
    return _joined(verdict, kept, [o for o in others
                                   if o.what in SURE or any(_alike(o, v) for v in verdict.violations)])


def disputed(verdict: Verdict, others: Sequence[Violation], kept: Sequence[Violation]) -> list[Violation]:
    """What one of two looks finds, at moments and places of which nothing is ``kept``."""
    return [v for v in (*verdict.violations, *others) if not any(_alike(v, k) for k in kept)]


def settled(verdict: Verdict, kept: list[Violation], doubted: Sequence[Violation], third: Sequence[Violation]
            ) -> list[Violation]:
    """What is kept, and what a third look finds of what is SETTLED by it, where the first two disagree."""
    return _joined(verdict, kept, [v for v in third if v.what in SETTLED and any(_alike(v, d) for d in doubted)])


def _joined(verdict: Verdict, kept: list[Violation], more: Sequence[Violation]) -> list[Violation]:
    """What is kept and what more another look says, each of a track of the verdict's, by their moments."""
    kept = list(kept)
    for v in more:
        own = None if any(_at_once(v, old) and _as_much(old, v) for old in kept) else _followed(verdict, v)
        kept += [] if own is None else [replace(v, track=own.number, other=None)]
    return sorted(kept, key=lambda v: (v.start, v.track))


def _as_much(one: Violation, other: Violation) -> bool:
    """Whether one says all that another of the same moment and place does."""
    return one.law == other.law and (one.what == other.what or one.what not in LAST)


def _begun(v: Violation, others: Sequence[Violation]) -> Violation:
    """A violation from when either look sees it: what is found by and by is found too late rather than too early."""
    same = [o.start for o in others if (o.law, o.what) == (v.law, v.what) and _at_once(o, v)]
    return replace(v, start=min([v.start, *same]))


def _at_once(one: Violation, other: Violation) -> bool:
    """Whether two violations are of one moment and place."""
    together = max(one.start, other.start) - min(one.end, other.end) < SAME_MOMENT
    return together and meet(grown(np.array(one.box), NEARBY), np.array(other.box))


def _alike(one: Violation, other: Violation) -> bool:
    """Whether two violations of one moment and place may be one: another law, but not of LOOKS for one of MOTION."""
    laws = {one.law, other.law}
    return _at_once(one, other) and not (laws.intersection(LOOKS) and laws.intersection(MOTION))


def _followed(verdict: Verdict, v: Violation) -> Track | None:
    """The verdict's track that is nearest to where and when a violation is, if it is the same thing's."""
    best, most = None, SAME_THING
    for track in verdict.tracks:
        boxes = track.boxes[np.abs(track.frames - v.start * verdict.fps) <= SAME_MOMENT * verdict.fps]
        common = float(overlap(np.array(v.box)[None], boxes).max(initial=0.0))
        if common > most:
            best, most = track, common
    return best


def resized(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A frame (H, W, 3) at another size (H, W)."""
    import cv2

    larger = size[0] > frame.shape[0]
    return cv2.resize(frame, size[::-1], interpolation=cv2.INTER_CUBIC if larger else cv2.INTER_AREA)


def look(frames: np.ndarray | Iterable[np.ndarray], fps: float, size: tuple[int, int] | None = None,
         observer: Observer | None = None) -> tuple[list[list[Detection]], Motion, tuple[int, int]]:
    """What is seen in each frame, faint things too; the camera's motion; and the size H, W."""
    eye = observer or package_observer()
    half = bf16_pays(next(eye.net.parameters()).device)
    meter: MotionMeter | None = None
    seen: list[list[Detection]] = []
    waiting: list[np.ndarray] = []

    def chunk() -> None:
        nonlocal meter
        meter = meter or MotionMeter(fps, waiting[0].shape[:2])
        there = eye.detect(np.stack(waiting), threshold=FAINT, every=NAMES_EVERY, half=half)
        for frame, found in zip(waiting, there, strict=True):
            meter.add(frame, np.array([d.box for d in found if d.confidence >= MASK], np.float32).reshape(-1, 4))
            seen.append(found)
        waiting.clear()

    for frame in frames:
        size = size or (int(frame.shape[0]), int(frame.shape[1]))
        waiting.append(frame)
        if len(waiting) == CHUNK:
            chunk()
    if waiting:
        chunk()
    if meter is None or size is None:
        raise BadInput("there is no frame to judge")
    return seen, meter.finish(), size


def judged(seen: list[list[Detection]], motion: Motion, fps: float, size: tuple[int, int], prompt: str | None = None,
           camera: str | None = None, source: str = "") -> Verdict:
    """The verdict on what was seen."""
    tracks = follow(seen, fps, size, motion.cuts)
    scene = Scene(tracks, seen, fps, size, motion)
    short = len(seen) < max(FEW * fps, 2)
    verdict = Verdict(source, fps, len(seen), size, tracks, motion, [] if short else violations(scene))
    doubtful = {t.number for t in tracks if strange_thing(t, foreign(tracks))}
    verdict.violations = [v for v in verdict.violations if not {v.track, v.other} & doubtful]
    verdict.unjudged = unjudged(verdict, short)
    if prompt or camera:
        from reverie.audit.prompt import judge_prompt

        verdict.aspects = judge_prompt(clean_text(prompt) if prompt else "", tracks, motion, fps, size, verdict.seconds,
                                       camera=camera)
    return verdict


def unjudged(verdict: Verdict, short: bool = False) -> list[str]:
    """What can't be judged, a line each."""
    said = []
    if short:
        said.append(f"{verdict.frames} frame{'s' * (verdict.frames != 1)}: too short to judge what happens")
    if not verdict.tracks:
        said.append("no thing of a kind that this judge knows was seen: nothing was held to the laws")
    if foreign(verdict.tracks):
        said.append("this is not a world that the judge knows: only things that it is sure of were held to the laws")
    strange = [t for t in verdict.tracks if strange_thing(t)]
    for t in strange[:8]:
        said.append(f"thing {t.number}, seen from {t.first / verdict.fps:.1f} to {t.last / verdict.fps:.1f} s, is "
                    f"nothing that this judge knows (nearest: {t.name}, {t.confidence.mean():.0%} sure)")
    if len(strange) > 8:
        said.append(f"and {len(strange) - 8} more things that it does not know")
    lost = 1 - float(verdict.motion.known.mean()) if len(verdict.motion.known) else 1.0
    if lost > 0.2:
        said.append(f"the camera's motion could not be told in {lost:.0%} of the frames")
    if verdict.motion.cuts:
        said.append(f"{len(verdict.motion.cuts)} cuts: what happens across them was not judged")
    return said


def strange_thing(track: Track, abroad: bool = False) -> bool:
    """Whether a track is of a thing that the observer does not know: it is not sure of it. abroad: in a world that it
    does not know, where more is asked."""
    return bool(track.confidence.mean() < (SURE_ABROAD if abroad else STRANGE))


def foreign(tracks: list[Track]) -> bool:
    """Whether what was seen is not of a world that the observer knows: of too little is it sure."""
    frames = sum(len(t.frames) for t in tracks)
    return frames > 0 and sum(float(t.confidence.sum()) for t in tracks) / frames < FOREIGN
