"""The lab: a stage with things, and plans of what happens on it, for seconds or for a minute.

    plan(seed, seconds) -> Plan        every random decision, and the physics that makes them true
    simulate(plan) -> Clip             things only
    draw(plan) -> Clip                 the same, with the picture of the camera "front"

Same arguments, same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reverie.core.camera import CameraPath
from reverie.core.clip import Clip, Event, Truth
from reverie.core.errors import BadInput
from reverie.core.vocabulary import ALIVE, CAMERA_CHANNELS, DEFAULT_FPS, KINDS, MAX_THINGS, SETTINGS
from reverie.data.scenes import acts_alive, acts_loose, acts_made
from reverie.data.scenes.notice import notice, resting
from reverie.data.scenes.record import Record, matrices
from reverie.data.scenes.settings import Look, look
from reverie.data.scenes.stage import Beat, Misfit, Stage
from reverie.data.scenes.view import first_pose, follow, moving, still

CAMERA = "front"
FOLLOW = "follow"  # detail of a camera event whose camera pans after the actor; no move of core.moves
_SIZES = ((128, 128), (128, 224), (128, 160), (160, 128), (224, 128))  # of plans whose size is left open

_LOOSE = {
    "rests": acts_loose.rests,
    "dropped": acts_loose.dropped,
    "thrown": acts_loose.thrown,
    "rolled": acts_loose.rolled,
    "slid": acts_loose.slid,
    "pushed": acts_loose.pushed,
    "launched": acts_loose.launched,
    "enters": acts_loose.enters,
    "leaves": acts_loose.leaves,
}
_ALIVE = {
    "rests": acts_loose.rests,
    "walks": acts_alive.walks,
    "enters": acts_alive.enters,
    "leaves": acts_alive.leaves,
}
_MADE = acts_made.ACTS

# kind -> events of which it can be the main actor, a more likely one standing more than once
REPERTOIRE: dict[str, tuple[str, ...]] = {
    "ball": (
        "rests",
        "dropped",
        "thrown",
        "rolled",
        "pushed",
        "launched",
        "enters",
        "leaves",
        "bounced",
        "hidden",
        "covered",
        "dropped",
        "rolled",
    ),
    "box": (
        "rests",
        "dropped",
        "thrown",
        "slid",
        "pushed",
        "launched",
        "enters",
        "leaves",
        "toppled",
        "stacked",
        "bounced",
        "hidden",
        "covered",
    ),
    "cylinder": (
        "rests",
        "dropped",
        "thrown",
        "rolled",
        "slid",
        "pushed",
        "launched",
        "enters",
        "leaves",
        "stacked",
        "hidden",
        "covered",
    ),
    "cone": (
        "rests",
        "dropped",
        "thrown",
        "slid",
        "pushed",
        "launched",
        "enters",
        "leaves",
        "stacked",
        "covered",
    ),
    "plank": ("rests", "dropped", "thrown", "slid", "pushed", "launched", "stacked", "covered"),
    "ramp": ("rests", "dropped", "slid", "pushed", "covered"),
    "domino": ("rests", "dropped", "toppled", "toppled", "toppled", "covered"),
    "pendulum": ("rests", "swung", "swung", "swung"),
    "basketball": (
        "rests",
        "dropped",
        "thrown",
        "rolled",
        "launched",
        "enters",
        "leaves",
        "scored",
        "scored",
        "missed",
        "missed",
        "bounced",
        "hidden",
        "covered",
        "pushed",
    ),
    "hoop": ("rests",),
    "chair": ("rests", "dropped", "slid", "pushed", "covered"),
    "table": ("rests", "dropped", "slid", "pushed", "covered", "stacked"),
    "wall": ("rests", "dropped", "slid", "pushed"),
    "screen": ("rests", "dropped", "slid", "pushed"),
    "person": ("rests", "walks", "walks", "enters", "leaves", "hidden", "covered"),
    "dog": ("rests", "walks", "walks", "enters", "leaves", "hidden", "covered"),
    "bird": ("rests", "walks", "walks", "enters", "leaves", "covered"),
}
_SAFE = (("ball", "dropped"), ("ball", "rolled"), ("box", "dropped"), ("person", "walks"), ("bird", "walks"))


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
) -> Plan:
    """Decides a clip of ``seconds`` (at least 1, at most 600).

    split: "train" never shows a held-out colour × kind × event; "test" does in about half of its plans.
    size: (H, W), multiples of 32, that the camera is chosen for; None: one of several, 128 pixels high
    or wide. BadInput for anything else.
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
        _next_beat(stage, rng, frames - stage.frame, wild)
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


def _next_beat(stage: Stage, rng: np.random.Generator, left: int, wild: bool) -> None:
    """Settles one more beat of the stage; ``left`` frames are still to fill."""
    fps = stage.fps
    opening = stage.frame == 0
    lasting = opening and (left <= 8.5 * fps or (left <= 20 * fps and rng.random() < 0.12))
    frames = left if lasting else min(left, int(rng.uniform(4.2, 7.0) * fps))
    if left - frames < 3.0 * fps:
        frames = left
    kind = KINDS[rng.integers(len(KINDS))]
    event = REPERTOIRE[kind][rng.integers(len(REPERTOIRE[kind]))]
    extra = int(rng.choice([0, 0, 0, 1, 1, 2, 3, 4])) if opening else 0
    for attempt in range(60):
        lead = None
        if not opening or attempt > 8:
            # what has no room, or what is not to be, gives way; the opening keeps its main kind
            if not opening or attempt > 40:
                kind, event, lead = _choose(stage, rng, attempt)
            else:
                event = REPERTOIRE[kind][rng.integers(len(REPERTOIRE[kind]))]
        if not opening and event == "rests" or opening and event == "rests" and left > frames + 8 * fps:
            continue
        beat = _try(
            stage,
            rng,
            frames,
            kind,
            event,
            lead,
            wild and opening and attempt < 30,
            max(0, extra - attempt // 6),
        )
        if beat is not None:
            _settle(stage, beat)
            return
    _settle(stage, _quiet_beat(stage, rng, frames))


def _choose(stage: Stage, rng: np.random.Generator, attempt: int) -> tuple[str, str, int | None]:
    """Kind, event and, if it is one that is there, index of a later beat's main actor."""
    present = [i for i, s in enumerate(stage.states) if not s.gone]
    full = len(stage.things) > MAX_THINGS - 3
    if present and (full or rng.random() < 0.5):
        lead = int(present[rng.integers(len(present))])
        kind = stage.things[lead].kind
        later = {"rests", "dropped", "thrown", "enters", "stacked", "toppled", "scored", "missed", "bounced"}
        if full:
            later |= {"hidden", "covered"}
        options = [e for e in REPERTOIRE[kind] if e not in later]
        if kind in acts_loose.SLIDERS and len(present) > 4:
            options += ["leaves"] if "leaves" in REPERTOIRE[kind] else []
        if options:
            return kind, options[rng.integers(len(options))], lead
    if attempt > 40 or full:
        return (*_SAFE[rng.integers(len(_SAFE))], None)
    kind = KINDS[rng.integers(len(KINDS))]
    return kind, REPERTOIRE[kind][rng.integers(len(REPERTOIRE[kind]))], None


def _try(
    stage: Stage,
    rng: np.random.Generator,
    frames: int,
    kind: str,
    event: str,
    lead: int | None,
    wild: bool,
    extra: int,
) -> Beat | None:
    """One attempt at a beat, with its events; None when it did not work out."""
    moves, style = (), rng.random()
    view = still(stage.pose, frames)
    begin = int(rng.integers(0, max(1, frames // 6)))
    if style < 0.40:
        view, moves = moving(rng, stage.pose, stage.home, frames, stage.fps, begin)
    beat = Beat(stage, rng, frames, view)
    acts = _ALIVE if kind in ALIVE else _LOOSE
    act = _MADE.get(event) or acts.get(event)
    try:
        if act is None:
            return None
        act(beat, kind, lead, wild)
        if extra:
            acts_loose.bystanders(beat, extra)
        beat.run()
        beat.events = notice(beat)
        if 0.40 <= style < 0.50:
            beat.pan_after_actor(follow)
    except Misfit:
        return None
    if moves:
        detail = ", ".join(move.text for move in moves)
        beat.events.append(Event("camera", beat.time(begin), beat.end, -1, detail=detail))
    elif beat.view is not view:
        main = next(e.actor for e in beat.events if e.actor >= 0)
        beat.events.append(Event("camera", beat.start, beat.end, -1, main, FOLLOW))
    return beat


def _quiet_beat(stage: Stage, rng: np.random.Generator, frames: int) -> Beat:
    """When nothing else would do: everything goes on as it is."""
    beat = Beat(stage, rng, frames, still(stage.pose, frames))
    beat.run()
    beat.events = []
    return beat


def _settle(stage: Stage, beat: Beat) -> None:
    """Makes a beat part of the stage."""
    stage.beats.append(beat.first / stage.fps)
    stage.events += beat.events
    stage.record = beat.record if stage.record is None else stage.record.joined(beat.record)
    stage.views.append(beat.view)
    stage.pose = beat.view.last()
    stage.things, stage.states = beat.things, beat.after
    stage.drives = [d for d in beat.drives if not d.done and not stage.states[d.thing].gone]


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
