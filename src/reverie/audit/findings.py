"""What an audit finds: tracks, the camera's motion, violations, aspects of a prompt, and the verdict.

Values alone, that every other file of the judge makes or reads. Pixels count from the frame's upper left corner, x to
the right and y down; frames count from 0; seconds are frame / fps.

Legend: n frames of a track, T frames of a clip, K kinds, C colours, E appearance.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

FOVY = 40.0  # degrees: the vertical field of view that a camera is taken to have

# law -> what it forbids, in the words of the report
LAWS = {
    "permanence": "things do not vanish, appear from nothing, split or merge",
    "identity": "things keep their colour and kind",
    "rigidity": "things keep their shape and size",
    "continuity": "things do not jump",
    "support": "what nothing holds does not hang in the air",
    "gravity": "what falls falls as gravity has it",
    "collision": "things do not pass through one another, and no speed comes from nothing",
    "causality": "what rests moves only when something touches it, and not before",
}


@dataclass(frozen=True)
class Track:
    """One thing for as long as it was followed.

    kind, colour: names of core.vocabulary, voted over its frames. frames (n,) int: those in which it was seen,
    ascending, with gaps where it was not. boxes (n, 4) float32: x0 y0 x1 y1, of the whole thing as far as it is in the
    picture. confidence (n,) 0..1. visible (n,): share of it that is in sight, 0..1. depth (n,): metres to its centre
    along the view axis, as guessed. lift (n,): metres from the ground to its lowest point, as guessed. kind_scores
    (n, K), colour_scores (n, C): of sum 1. looks (n, E): appearance, of length 1. began, ended: why there is no more
    of it before and after: "clip" (the clip begins or ends), "border" (it left the picture), "hidden" (behind another
    thing), or "sight" (it was in sight, and then was not).
    """

    number: int
    kind: str
    colour: str
    frames: np.ndarray
    boxes: np.ndarray
    confidence: np.ndarray
    visible: np.ndarray
    depth: np.ndarray
    lift: np.ndarray
    kind_scores: np.ndarray
    colour_scores: np.ndarray
    looks: np.ndarray
    began: str = "clip"
    ended: str = "clip"

    @property
    def name(self) -> str:
        """As a person would say it: "red ball"."""
        return f"{self.colour} {self.kind}"

    @property
    def first(self) -> int:
        """The first frame in which it was seen."""
        return int(self.frames[0])

    @property
    def last(self) -> int:
        """The last frame in which it was seen."""
        return int(self.frames[-1])

    @property
    def centres(self) -> np.ndarray:
        """Middles of the boxes (n, 2), x and y in pixels."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    @property
    def sides(self) -> np.ndarray:
        """Widths and heights (n, 2) in pixels."""
        return self.boxes[:, 2:] - self.boxes[:, :2]


@dataclass(frozen=True)
class Motion:
    """How the camera moved, as the picture tells it.

    warp (T, 2, 3) float32: the affine map from pixels of frame 0 of the background at its mean distance to pixels of
    frame t (the identity for t = 0). known (T,) bool: whether the step to this frame could be estimated at all.
    rates (T, 5) float32: pan, tilt, orbit, dolly, crane in the units of core.vocabulary.CAMERA_UNITS as far as they
    can be told apart, NaN where they can't. cuts: frames that begin a new shot. moves: in words, as core.moves has
    them, or "still"; "" where nothing can be said.
    """

    warp: np.ndarray
    known: np.ndarray
    rates: np.ndarray
    cuts: tuple[int, ...] = ()
    moves: str = ""


@dataclass(frozen=True)
class Violation:
    """One thing that went wrong. law: a key of LAWS; what: the crime in a word or two ("vanished").

    track: number of the thing it happened to; other: of the thing it involved, or None. start, end: seconds. amount:
    how much of it, in ``unit``, against the ``limit`` that truth keeps. box: where, at its start (x0 y0 x1 y1).
    """

    law: str
    what: str
    track: int
    start: float
    end: float
    amount: float
    limit: float
    unit: str
    text: str
    box: tuple[float, float, float, float]
    other: int | None = None


@dataclass(frozen=True)
class Aspect:
    """One question that a prompt asks. name: count, kind, colour, place, event, order or camera; asked: in words.

    score: 0..1, or None where it can't be judged; found: what was seen instead, in words.
    """

    name: str
    asked: str
    score: float | None
    found: str


@dataclass
class Verdict:
    """All that an audit says of a video. size: H, W as looked at; unjudged: what it can't judge, a line each."""

    source: str
    fps: float
    frames: int
    size: tuple[int, int]
    tracks: list[Track]
    motion: Motion
    violations: list[Violation]
    aspects: list[Aspect] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The video's length."""
        return self.frames / self.fps
