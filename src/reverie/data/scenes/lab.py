"""The lab: a stage with things, and plans of what happens on it, for seconds or for a minute.

    plan(seed, seconds) -> Plan        every random decision, and the physics that makes them true
    simulate(plan) -> Clip             things only
    draw(plan) -> Clip                 the same, with the picture of the camera "front"
    ending(plan, seconds) -> Plan      its last seconds alone

Same arguments, same bytes. A "camera" event's detail is a list of moves as core.moves.parse_moves reads
it, or direct.FOLLOW where the camera pans after the event's ``other``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reverie.core.camera import CameraPath
from reverie.core.clip import Clip, Event, Truth
from reverie.core.errors import BadInput
from reverie.core.vocabulary import CAMERA_CHANNELS, DEFAULT_FPS, SETTINGS
from reverie.data.scenes.direct import next_beat
from reverie.data.scenes.notice import resting
from reverie.data.scenes.record import Record, matrices
from reverie.data.scenes.settings import Look, look
from reverie.data.scenes.stage import Stage
from reverie.data.scenes.view import first_pose

CAMERA = "front"
_SIZES = ((128, 128), (128, 224), (128, 160), (160, 128), (224, 128))  # of plans whose size is left open


@dataclass(frozen=True)
class Plan:
    """A clip decided in full: what happens (already simulated), how it looks, how the camera goes.

    size is (H, W) in pixels that the camera was chosen for; path and actions cover all T frames.
    """

    seed: int
    seconds: float
    fps: float
    split: str
    size: tuple[int, int]
    setting: str
    look: Look
    record: Record
    path: CameraPath
    actions: np.ndarray
    events: tuple[Event, ...]
    beats: tuple[float, ...]


def plan(
    seed: int,
    seconds: float,
    *,
    fps: float = DEFAULT_FPS,
    split: str = "train",
    size: tuple[int, int] | None = None,
    opening: tuple[tuple[str, str], ...] = (),
) -> Plan:
    """Decides a clip of ``seconds`` (at least 1, at most 600).

    split: "train" never shows a held-out colour × kind × event; "test" does in about half of its plans.
    size: (H, W), multiples of 32, that the camera is chosen for; None: one of several, 128 pixels high
    or wide. BadInput for anything else. opening: pairs (kind, event) of direct.REPERTOIRE of which the first
    beat's is one; of none, any.
    """
    _check(seconds, fps, split, size)
    rng = np.random.default_rng([int(seed), 7, ("train", "test").index(split)])
    size = size or _SIZES[rng.integers(len(_SIZES))]
    setting = SETTINGS[rng.integers(len(SETTINGS))]
    scenery = look(setting, int(rng.integers(2**31)))
    frames = max(1, round(seconds * fps))
    pose = first_pose(rng, *size)
    stage = Stage(split, fps, pose, float(np.linalg.norm(pose.position)))
    wild = split == "test" and rng.random() < 0.62
    while stage.frame < frames:
        next_beat(stage, rng, frames - stage.frame, wild, opening)
    path = CameraPath(
        np.concatenate([v.path.position for v in stage.views]),
        np.concatenate([v.path.rotation for v in stage.views]),
        pose.fovy,
    )
    actions = np.concatenate([v.actions for v in stage.views])
    events = sorted(
        [*stage.events, *resting(stage.record, stage.events, stage.beats)],
        key=lambda e: (e.start, e.actor, e.kind),
    )
    return Plan(
        int(seed),
        frames / fps,
        fps,
        split,
        size,
        setting,
        scenery,
        stage.record,
        path,
        actions,
        tuple(events),
        tuple(stage.beats),
    )


def ending(plan: Plan, seconds: float) -> Plan:
    """The last ``seconds`` of a plan as a plan of their own, with times counted from their start: what is over
    before is left out, what is under way has begun at 0."""
    frames = min(len(plan.path), max(1, round(seconds * plan.fps)))
    first = len(plan.path) - frames
    shift = first / plan.fps
    events = (replace(e, start=max(0.0, e.start - shift), end=e.end - shift) for e in plan.events if e.end > shift)
    beats = [beat - shift for beat in plan.beats]
    return replace(plan, seconds=frames / plan.fps, record=plan.record.since(first), path=plan.path[first:],
                   actions=plan.actions[first:], events=tuple(events),
                   beats=(0.0, *(beat for beat in beats if beat > 0)))


def _check(seconds: float, fps: float, split: str, size: tuple[int, int] | None) -> None:
    if not 1 <= seconds <= 600:
        raise BadInput(f"a lab clip lasts 1 to 600 seconds, not {seconds}")
    if not 4 <= fps <= 120:
        raise BadInput(f"a lab clip has 4 to 120 frames a second, not {fps}")
    if split not in ("train", "test"):
        raise BadInput(f'the split is "train" or "test", not "{split}"')
    if size is not None and (
        len(size) != 2 or any(int(s) != s or s % 32 or not 32 <= s <= 2048 for s in size)
    ):
        raise BadInput(f"the frame size must be two multiples of 32 from 32 to 2048, not {size}")


def _truth(plan: Plan) -> Truth:
    record = plan.record
    things = record.things
    rows = [(k, *pair) for k, pairs in enumerate(record.contacts) for pair in sorted(pairs)]
    gone = ~record.exists

    def known(values: np.ndarray) -> np.ndarray:
        values = values.astype(np.float32)
        values[gone] = 0
        return values

    return Truth(
        setting=plan.setting,
        kinds=[t.kind for t in things],
        colours=[t.colour for t in things],
        sizes=[t.size for t in things],
        materials=[t.material for t in things],
        extent=np.array([t.body.extent for t in things], np.float32).reshape(-1, 3),
        exists=record.exists.copy(),
        position=known(record.position),
        rotation=known(matrices(record.quat)),
        velocity=known(record.velocity),
        phase=known(np.mod(record.phase, 2 * np.pi)),
        contacts=np.array(rows, np.int32).reshape(-1, 3),
        events=list(plan.events),
        beats=list(plan.beats),
        look=plan.look.numbers,
    )


def simulate(plan: Plan) -> Clip:
    """The things-only clip of a plan: no views, no boxes, no masks."""
    return Clip(
        plan.fps,
        actions=plan.actions.copy(),
        action_names=CAMERA_CHANNELS,
        cameras={CAMERA: plan.path},
        truth=_truth(plan),
    )


def draw(plan: Plan, size: tuple[int, int] | None = None) -> Clip:
    """The clip of a plan with its picture: views, boxes, visible and masks of the camera "front".

    size: (H, W), multiples of 32; None: the plan's own. Another shape than the plan's shows more or
    less at the sides. ``visible`` is the share of a thing's silhouette that is neither behind another
    thing nor beyond the picture's border; boxes are those of the whole silhouette, cut at the border.
    """
    from reverie.data.scenes.drawing import see

    _check(plan.seconds, plan.fps, plan.split, size)
    height, width = size or plan.size
    clip = simulate(plan)
    seen = see(plan.record, plan.look, plan.path, height, width)
    clip.views[CAMERA] = seen.frames
    clip.truth.boxes[CAMERA], clip.truth.visible[CAMERA], clip.truth.masks[CAMERA] = (
        seen.boxes,
        seen.visible,
        seen.masks,
    )
    return clip
