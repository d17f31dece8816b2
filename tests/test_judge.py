"""The judge: a video file in, a verdict out; what it can't judge it says."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cv2", reason="an audit measures the camera's motion with OpenCV")
pytest.importorskip("trackers", reason="an audit links detections with the package trackers")

import torch  # noqa: E402
from seen_world import FPS, detection  # noqa: E402

from reverie.audit import judge  # noqa: E402
from reverie.audit.findings import Track, Verdict, Violation  # noqa: E402
from reverie.audit.judge import audit, audit_frames, judged, look, looked_at, unjudged  # noqa: E402
from reverie.core.errors import BadInput, BadMedia  # noqa: E402
from reverie.core.video import VideoWriter  # noqa: E402

SIZE = (96, 160)
PLAIN_DELETED = 0  # a seed of "deleted" whose victim is large and does not move
COLOURS = {"red": (220, 30, 30), "blue": (30, 50, 220)}


class Eye:
    """An observer that sees squares of plain colours, and what it is asked for.

    confidence: of the first frame of a chunk and those after it, over and over.
    """

    def __init__(self, *confidence: float) -> None:
        self.net = torch.nn.Linear(1, 1)
        self.confidence = confidence or (0.85,)
        self.asked: list[tuple[int, ...]] = []

    def detect(self, frames, batch=16, threshold=None, *, second=True, every=1, half=False):
        """As Observer.detect."""
        assert frames.dtype == np.uint8 and frames.ndim == 4 and 0 < threshold < 0.28 and half in (False, True)
        self.asked.append(frames.shape)
        return [[detection("box", name, box, self.confidence[t % len(self.confidence)]) for name, rgb in
                 COLOURS.items() if (box := _square(frame, rgb)) is not None] for t, frame in enumerate(frames)]


def _square(frame: np.ndarray, rgb: tuple[int, int, int]) -> tuple[float, ...] | None:
    rows, columns = np.nonzero(np.abs(frame.astype(int) - rgb).max(-1) < 60)
    if len(rows) < 40:
        return None
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def ground(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A picture (H, W, 3) with corners enough to tell that it rests."""
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(90, 150, (size[0] // 8, size[1] // 8, 1)), np.ones((8, 8, 3))).astype(np.uint8)


def clip(frames: int = 72, size: tuple[int, int] = SIZE, squares=None, back=ground) -> np.ndarray:
    """Frames (T, H, W, 3); squares: name -> f(t) giving x, y of its corner or None; 20 pixels wide."""
    out = np.stack([back(size=size)] * frames)
    for name, where in (squares or {}).items():
        for t in range(frames):
            if (spot := where(t)) is not None:
                x, y = (round(value) for value in spot)
                out[t, y : y + 20, x : x + 20] = COLOURS[name]
    return out


def written(path, frames: np.ndarray, fps: float = FPS):
    with VideoWriter(path, fps=fps, size=frames.shape[1:3]) as video:
        video.write(frames)
    return path


rests = {"red": lambda t: (30, 60), "blue": lambda t: (100, 62)}
vanishes = {"red": lambda t: (30, 60) if t < 40 else None, "blue": lambda t: (60 + t // 2, 62)}


# -- a video's verdict ----------------------------------------------------------------------------------


def test_a_file_and_its_frames_have_one_verdict(tmp_path):
    path = written(tmp_path / "a.mp4", clip(squares=vanishes))
    verdict = audit(path, observer=Eye())
    assert (verdict.source, verdict.frames, verdict.size, verdict.seconds) == (str(path), 72, SIZE, 3.0)
    assert verdict.fps == pytest.approx(FPS) and verdict.unjudged == [] and verdict.aspects == []
    assert {track.name for track in verdict.tracks} == {"red box", "blue box"}
    [crime] = verdict.violations
    red = next(track for track in verdict.tracks if track.colour == "red")
    assert (crime.law, crime.what, crime.track) == ("permanence", "vanished", red.number)
    assert crime.start == pytest.approx(40 / FPS, abs=0.1) and "red box" in crime.text
    assert verdict.motion.moves == "still" and verdict.motion.known.all() and verdict.motion.cuts == ()
    raw = audit_frames(clip(squares=vanishes), FPS, observer=Eye())
    assert [(v.what, v.start) for v in raw.violations] == [(crime.what, crime.start)] and raw.source == ""


class Unsteady(Eye):
    """One that in pictures of one height takes what is red for green, or for nothing (None), from a frame on."""

    def __init__(self, height: int, since: int, taken_for: str | None = "green") -> None:
        super().__init__()
        self.height, self.since, self.at, self.taken_for = height, since, 0, taken_for

    def detect(self, frames, *more, **options):
        """As Observer.detect."""
        found = super().detect(frames, *more, **options)
        if frames.shape[1] == self.height:
            found = [[other for d in seen if (other := self._taken(d)) is not None] if self.at + t >= self.since else
                     seen for t, seen in enumerate(found)]
            self.at += len(frames)
        return found

    def _taken(self, d):
        if d.colour != "red":
            return d
        return None if self.taken_for is None else detection(d.kind, self.taken_for, d.box, d.confidence)


def test_a_change_that_is_not_seen_in_pictures_of_another_size_is_not_said(tmp_path):
    still, gone = clip(squares=rests), clip(squares=vanishes)
    for frames, said, looks in ((still, 0, 3), (gone, 1, 2)):
        eye = Unsteady(SIZE[0], 36)  # in the first size the red box seems to become a green one at frame 36
        verdict = audit_frames(frames, FPS, observer=eye)
        assert len(verdict.violations) == said and len({shape[1] for shape in eye.asked}) == looks
    assert len(audit_frames(iter(still), FPS, observer=Unsteady(SIZE[0], 36)).violations) == 1  # once
    assert len(audit_frames(iter(still), FPS, observer=Unsteady(SIZE[0], 36), again=lambda: still).violations) == 0
    assert audit(written(tmp_path / "a.mp4", still), observer=Unsteady(SIZE[0], 36)).violations == []


def test_what_vanishes_in_either_look_is_said():
    for height in (SIZE[0], looked_at(160, 266)[0]):
        [crime] = audit_frames(clip(squares=rests), FPS, observer=Unsteady(height, 40, None)).violations
        assert crime.what == "vanished" and crime.start == pytest.approx(40 / FPS, abs=0.1)


def test_a_second_look_may_call_it_by_another_name_and_what_is_sure_needs_none(monkeypatch):
    def said(what, law, start=1.0, box=(10, 10, 30, 30)):
        return Violation(law, what, 1, start, start, 1.0, 0.5, "m", f"it {what}", box)

    again = [said("vanished", "permanence", 1.1)]
    monkeypatch.setattr(judge, "look", lambda frames, fps, size, observer: ([], None, size))
    monkeypatch.setattr(judge, "judged", lambda *_: Verdict("", FPS, 72, SIZE, [], None, again))
    first = [said("colour", "identity"), said("colour", "identity", 2.0),
             said("colour", "identity", box=(150, 80, 160, 90)), said("sank", "collision", 2.0),
             said("grew", "rigidity", 2.0)]
    verdict = Verdict("", FPS, 72, SIZE, [], None, first)
    assert judge.confirmed(verdict, list) == [first[0], first[3]]


def test_what_both_looks_find_begins_when_either_sees_it():
    late, early = (Violation("gravity", "does not fall", 1, start, 3.0, 1.0, 0.5, "m", "it flies", (10, 10, 30, 30))
                   for start in (1.4, 1.0))
    [found] = judge.agreed(Verdict("", FPS, 72, SIZE, [], None, [late]), [early])
    assert (found.start, found.end) == (1.0, 3.0)


def test_what_the_second_look_finds_is_said_of_what_the_first_followed():
    def said(what, law, start, box=(10, 10, 30, 30), number=1):
        return Violation(law, what, number, start, start, 1.0, 0.5, "m", f"it {what}", box)

    frames = np.arange(72)
    one = np.zeros((72, 1), np.float32)
    track = Track(7, "ball", "red", frames, np.tile(np.array([10, 10, 30, 30], np.float32), (72, 1)), one[:, 0] + 1,
                  one[:, 0] + 1, one[:, 0], one[:, 0], one, one, one)
    verdict = Verdict("", FPS, 72, SIZE, [track], None, [said("colour", "identity", 1.0, number=7)])
    there, elsewhere = (10, 10, 30, 30), (100, 10, 120, 30)
    again = [said("appeared", "permanence", 0.9, there, 3), said("sank", "collision", 2.0, there, 3),
             said("shrank", "rigidity", 2.5, there, 3), said("sank", "collision", 2.0, elsewhere, 4)]
    found = judge.agreed(verdict, again)
    # agreed on under two names; sure; neither; of nothing that was followed
    assert [(v.law, v.track) for v in found] == [("permanence", 7), ("identity", 7), ("collision", 7)]
    assert judge.agreed(verdict, []) == []
    same = judge.agreed(verdict, [said("kind", "identity", 1.1, there, 3)])
    assert same == verdict.violations  # once


def test_what_gained_speed_in_one_look_may_have_gone_into_a_wall_in_the_other():
    frames, one = np.arange(72), np.ones((72, 1), np.float32)
    boxes = np.tile(np.array([10, 10, 30, 30], np.float32), (72, 1))
    track = Track(7, "ball", "red", frames, boxes, one[:, 0], one[:, 0], one[:, 0], one[:, 0], one, one, one)
    sped, entered = (Violation("collision", what, 7, start, start + 0.25, 1.0, 0.5, "m", what, (10, 10, 30, 30))
                     for what, start in (("sped up", 0.9), ("entered", 1.3)))
    assert judge.agreed(Verdict("", FPS, 72, SIZE, [track], None, [sped]), [sped, entered]) == [sped, entered]


def test_how_a_thing_moves_is_no_evidence_of_what_it_is():
    def said(what, law):
        return Violation(law, what, 7, 1.0, 1.0, 2.0, 0.5, "m", f"it {what}", (10, 10, 30, 30))

    kind, early = said("kind", "identity"), said("moved too early", "causality")
    verdict = Verdict("", FPS, 72, SIZE, [], None, [kind])
    assert judge.agreed(verdict, [early]) == [] and judge.disputed(verdict, [early], [early]) == [kind]
    assert judge.agreed(verdict, [said("appeared", "permanence")]) == [kind]


def test_a_third_look_settles_what_a_thing_is_where_two_disagree():
    def said(what, law, start, amount=2.0):
        return Violation(law, what, 7, start, start, amount, 0.5, "m", f"it {what}", (10, 10, 30, 30))

    frames, one = np.arange(72), np.ones((72, 1), np.float32)
    boxes = np.tile(np.array([10, 10, 30, 30], np.float32), (72, 1))
    track = Track(7, "ball", "red", frames, boxes, one[:, 0], one[:, 0], one[:, 0], one[:, 0], one, one, one)
    first = [said("kind", "identity", 1.0), said("does not fall", "gravity", 2.0)]
    verdict, others = Verdict("", FPS, 72, SIZE, [track], None, first), [said("vanished", "permanence", 0.2)]
    kept = judge.agreed(verdict, others)
    doubted = judge.disputed(verdict, others, kept)
    assert kept == others and doubted == first
    third = [said("kind", "identity", 1.1), said("does not fall", "gravity", 2.0), said("colour", "identity", 0.2),
             said("kind", "identity", 2.8)]
    # it agrees; how things move it is not asked; of what is not in doubt; alone
    assert judge.settled(verdict, kept, doubted, third) == [*others, third[0]]


@pytest.mark.parametrize(("size", "second", "third"), [((128, 128), 160, 96), ((160, 284), 128, 96),
                                                       ((96, 160), 160, 128), ((64, 64), 160, 128)])
def test_no_two_looks_are_of_one_size(size, second, third):
    assert [min(other) for other in judge._other_sizes(*size)] == [second, third]


def test_what_became_of_a_thing_is_looked_for_about_the_moment():
    """A second look's crime is the first one's thing's though that looks otherwise right after it."""
    frames, one = np.arange(72), np.ones((72, 1), np.float32)
    boxes = np.tile(np.array([10, 10, 30, 30], np.float32), (72, 1))
    boxes[24:] = 26, 26, 30, 30
    track = Track(7, "ball", "red", frames, boxes, one[:, 0], one[:, 0], one[:, 0], one[:, 0], one, one, one)
    leapt = Violation("continuity", "jumped", 3, 1.0, 1.0, 5.0, 1.4, "widths", "it jumped", (10, 10, 30, 30))
    [found] = judge.agreed(Verdict("", FPS, 72, SIZE, [track], None, []), [leapt])
    assert found.track == 7


def test_what_rests_is_accused_of_nothing(tmp_path):
    verdict = audit(written(tmp_path / "a.mp4", clip(squares=rests)), observer=Eye())
    assert len(verdict.tracks) == 2 and verdict.violations == [] and verdict.unjudged == []


@pytest.mark.parametrize("chunk", [1, 7, 32])
def test_chunks_equal_the_whole(monkeypatch, chunk):
    frames, eye = clip(50, squares=vanishes), Eye()
    whole_eye = Eye()
    monkeypatch.setattr(judge, "CHUNK", 1000)
    seen, motion, size = look(frames, FPS, observer=whole_eye)
    monkeypatch.setattr(judge, "CHUNK", chunk)
    again, same, other = look((frame for frame in frames), FPS, observer=eye)
    assert sum(shape[0] for shape in eye.asked) == len(seen) == len(again) == 50 and size == other == SIZE
    assert len(eye.asked) == -(-50 // chunk) and whole_eye.asked == [(50, *SIZE, 3)]
    assert [[d.box for d in found] for found in seen] == [[d.box for d in found] for found in again]
    assert np.array_equal(motion.warp, same.warp) and np.array_equal(motion.known, same.known)
    assert judged(seen, motion, FPS, size).violations == judged(again, same, FPS, size).violations != []


def test_memory_holds_no_more_than_a_chunk():
    alive = []

    class Counting(Eye):
        def detect(self, frames, *args, **more):
            alive.append(len(frames))
            return super().detect(frames, *args, **more)

    audit_frames(iter(clip(100)), FPS, observer=Counting())
    assert max(alive) <= judge.CHUNK


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_a_video_that_is_too_short_is_not_judged(tmp_path, frames):
    verdict = audit(written(tmp_path / "a.mp4", clip(frames, squares=rests)), observer=Eye())
    assert verdict.frames == frames and verdict.violations == []
    assert verdict.unjudged[0] == f"{frames} frame{'s' * (frames > 1)}: too short to judge what happens"
    assert len(verdict.motion.warp) == frames


def test_a_prompt_and_a_camera_are_judged(tmp_path):
    path = written(tmp_path / "a.mp4", clip(squares=rests))
    verdict = audit(path, "A red box and a blue box.", camera="still", observer=Eye())
    assert {"count", "colour"} & {aspect.name for aspect in verdict.aspects}
    with pytest.raises(BadInput):
        audit(path, "A red box.", camera="fly away", observer=Eye())


def test_camera_moves_are_judged_without_a_prompt():
    verdict = audit_frames(clip(squares=rests), FPS, camera="still", observer=Eye())
    assert [aspect.name for aspect in verdict.aspects] == ["camera"]


# -- what it says that it can't judge ---------------------------------------------------------------------


def test_an_empty_picture(tmp_path):
    for back in (ground, lambda size: np.full((*size, 3), 128, np.uint8), lambda size: np.zeros((*size, 3), np.uint8)):
        verdict = audit(written(tmp_path / "a.mp4", clip(48, back=back)), observer=Eye())
        assert verdict.tracks == [] and verdict.violations == []
        assert verdict.unjudged[0].startswith("no thing of a kind that this judge knows was seen")
        (tmp_path / "a.mp4").unlink()


def test_unknown_things():
    verdict = audit_frames(clip(squares=vanishes), FPS, observer=Eye(0.45, *[0.2] * 7))  # sure for a moment alone
    assert len(verdict.tracks) == 2 and verdict.violations == []
    said = [line for line in verdict.unjudged if "is nothing that this judge knows (nearest: " in line]
    assert len(said) == 2 and "thing 1, seen from 0.0 to " in said[0] and "red box, 23% sure" in "".join(said)
    many = unjudged(replace(verdict, tracks=[replace(verdict.tracks[0], number=n) for n in range(11)]))
    assert sum("is nothing that" in line for line in many) == 8 and "and 3 more things that it does not know" in many


def test_an_unknown_world():
    sure, unsure = (audit_frames(clip(squares=vanishes), FPS, observer=Eye(much)) for much in (0.85, 0.355))
    assert len(sure.tracks) == len(unsure.tracks) == 2
    assert [v.what for v in sure.violations] == ["vanished"] and unsure.violations == []
    assert sure.unjudged == [] and "is not a world that the judge knows" in unsure.unjudged[0]


def test_cuts_are_said_and_what_happens_over_them_is_not_judged(tmp_path):
    frames = np.concatenate([clip(40, squares=rests), clip(40, squares={"red": lambda t: (110, 30)},
                                                           back=lambda size: 255 - ground(1, size) // 2)])
    verdict = audit(written(tmp_path / "a.mp4", frames), observer=Eye())
    assert verdict.motion.cuts == (40,) and verdict.violations == []
    assert [line for line in verdict.unjudged if "cut" in line and "what happens across" in line]
    assert len(verdict.tracks) == 3


def test_a_camera_that_cant_be_told_is_said():
    rng = np.random.default_rng(0)
    verdict = audit_frames(rng.integers(0, 255, (40, *SIZE, 3), dtype=np.uint8), FPS, observer=Eye())
    assert any("camera's motion could not be told" in line for line in verdict.unjudged) or verdict.motion.cuts


# -- sizes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size, seen", [((128, 128), (128, 128)), ((96, 224), (96, 224)), ((720, 1280), (160, 284)),
                                        ((1920, 1080), (284, 160)), ((161, 161), (160, 160)), ((20, 400), (32, 400)),
                                        ((2160, 3840), (160, 284)), ((480, 640), (160, 214))])
def test_the_size_that_is_looked_at(size, seen):
    assert looked_at(*size) == seen


@pytest.mark.parametrize("size", [(160, 96), (320, 192), (192, 336), (480, 320)])
def test_large_and_portrait_videos(tmp_path, size):
    eye = Eye()
    frames = clip(48, size, squares={"red": lambda t: (40, size[0] - 50) if t < 30 else None,
                                     "blue": lambda t: (size[1] - 40, 40)})
    verdict = audit(written(tmp_path / "a.mp4", frames), observer=eye)
    assert verdict.size == looked_at(*size) and (verdict.size[0] > verdict.size[1]) == (size[0] > size[1])
    first, *again = dict.fromkeys(shape[1:3] for shape in eye.asked)  # what vanished is looked at again
    assert first == verdict.size and len(again) == 1 and 128 <= min(again[0]) <= 160
    assert verdict.motion.moves == "still"
    scale = verdict.size[0] / size[0]
    blue = next(track for track in verdict.tracks if track.colour == "blue")
    assert np.abs(blue.boxes[0] - np.array([size[1] - 40, 40, size[1] - 20, 60]) * scale).max() < 3
    if scale == 1:
        assert [v.what for v in verdict.violations] == ["vanished"]


def test_other_rates(tmp_path):
    for fps in (12, 30, 50):
        frames = clip(3 * fps, squares={"red": lambda t, end=1.7 * fps: (30, 60) if t < end else None})
        verdict = audit(written(tmp_path / f"{fps}.mp4", frames, fps), observer=Eye())
        assert verdict.fps == pytest.approx(fps) and verdict.seconds == pytest.approx(3)
        assert [v.what for v in verdict.violations] == ["vanished"]
        assert verdict.violations[0].start == pytest.approx(1.7, abs=0.15)


def test_what_is_no_video(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video at all" * 50)
    for path in (tmp_path / "a.mp4", tmp_path / "none.mp4"):
        with pytest.raises(BadMedia):
            audit(path, observer=Eye())


# -- the package's own observer ---------------------------------------------------------------------------


def test_its_own_observer_finds_a_planted_crime(tmp_path):
    mujoco = pytest.importorskip("mujoco", reason="the lab needs mujoco")
    try:
        with mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 32, 32):
            pass
    except Exception as error:  # whatever the platform's GL raises
        pytest.skip(f"no offscreen GL here: {error}")
    from reverie.data.scenes import lab
    from reverie.data.scenes.crimes import plant

    torch.set_num_threads(1)
    plan, crime = plant(PLAIN_DELETED, "deleted", 3.0, size=(128, 128))
    drawn = lab.draw(plan)
    verdict = audit(written(tmp_path / "a.mp4", drawn.views["front"]))
    victim = f"{drawn.truth.colours[crime.thing]} {drawn.truth.kinds[crime.thing]}"
    names = {track.number: track.name for track in verdict.tracks}
    assert [v for v in verdict.violations if v.law == "permanence" and v.what == "vanished"
            and abs(v.start - crime.time) <= 0.25 and names[v.track] == victim]
