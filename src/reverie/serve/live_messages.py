"""What a live client may say, checked: text of a WebSocket in, one of five small values out (see live.py)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from reverie.core.errors import BadInput
from reverie.core.script import clean_text
from reverie.core.vocabulary import CAMERA_CHANNELS

MAX_MESSAGE = 8192  # bytes
MAX_SIDE, MIN_SIDE, SIDE_STEP = 512, 64, 32
FORMATS = ("jpeg", "m4s")
# a second, of a key that is held or a stick that is pushed
FULL = {"pan": 40.0, "tilt": 25.0, "orbit": 40.0, "dolly": 1.2, "crane": 0.8}
LIMITS = {"pan": 180.0, "tilt": 180.0, "orbit": 180.0, "dolly": 5.0, "crane": 5.0}  # of rates given as numbers
# key, as KeyboardEvent.key has it in lower case -> (channel, sign)
KEYS = {"w": ("dolly", 1), "s": ("dolly", -1), "a": ("orbit", -1), "d": ("orbit", 1),
        "arrowleft": ("pan", -1), "arrowright": ("pan", 1), "arrowup": ("tilt", 1), "arrowdown": ("tilt", -1),
        "e": ("crane", 1), "q": ("crane", -1)}
FASTER = 2.0  # with shift held
# of a wheel or gamepad, each -1 to 1 -> channel
AXES = {"steering": "orbit", "throttle": "dolly", "pan": "pan", "tilt": "tilt", "lift": "crane"}


@dataclass(frozen=True)
class Start:
    """session.start. size: (H, W) or None; video: the past's job id or None; record: from the first frame on."""

    prompt: str
    format: str
    size: tuple[int, int] | None
    fps: float | None
    seed: int
    video: str | None
    record: bool


@dataclass(frozen=True)
class Interaction:
    """session.interaction. seq: the client's number of it; text: what happens from now on, or None; rates: the camera's
    rates from now on by channel, or None for no change; exact: they hold at once, without easing."""

    seq: int
    text: str | None = None
    rates: dict[str, float] | None = None
    exact: bool = False


@dataclass(frozen=True)
class Record:
    """session.record: begin (on) or end a recording."""

    on: bool


@dataclass(frozen=True)
class Shown:
    """session.shown: the client has shown frames up to this number."""

    frame: int


@dataclass(frozen=True)
class Stop:
    """session.stop."""


Message = Start | Interaction | Record | Shown | Stop


@dataclass
class _Fields:
    """A message's fields, each taken once, so that what is left over is unknown."""

    kind: str
    values: dict
    taken: set[str] = field(default_factory=lambda: {"type"})

    def take(self, name: str, kinds: tuple[type, ...], default=None):
        """The field, of one of these types; ``default`` where it is missing or null."""
        self.taken.add(name)
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, kinds) or isinstance(value, bool) and bool not in kinds:
            raise BadInput(f"{self.kind}: {name} is {_brief(value)}, which is of the wrong type")
        return value

    def number(self, name: str, low: float, high: float, default=None):
        """A finite number in a range."""
        value = self.take(name, (int, float), default)
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            raise BadInput(f"{self.kind}: {name} must be from {low:g} to {high:g}, not {_brief(value)}")
        return value

    def done(self) -> None:
        """BadInput when there are fields that nobody asked for."""
        if spare := sorted(set(self.values) - self.taken):
            raise BadInput(f"{self.kind} has the unknown field {_brief(spare[0])}; known: "
                           f"{', '.join(sorted(self.taken - {'type'}))}")


def parse(text: str) -> Message:
    """One message of a client. Raises BadInput, with the field at fault."""
    if len(text.encode("utf-8", "replace")) > MAX_MESSAGE:
        raise BadInput(f"a message may have {MAX_MESSAGE} bytes")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput("the message is not JSON") from error
    kind = values.get("type") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in _READ:
        raise BadInput(f"the message's type is none of {', '.join(_READ)}")
    fields = _Fields(kind, values)
    message = _READ[kind](fields)
    fields.done()
    return message


def _start(fields: _Fields) -> Start:
    prompt = fields.take("prompt", (str,), "")
    form = fields.take("format", (str,), "jpeg")
    if form not in FORMATS:
        raise BadInput(f"session.start: format is {_brief(form)}, not {' or '.join(FORMATS)}")
    world = fields.take("world", (str,), "lab")
    if world != "lab":
        raise BadInput(f"session.start: no model has learned the world {_brief(world)} yet; only lab can be driven")
    video = fields.take("video", (str,))
    if not prompt.strip() and video is None:
        raise BadInput("session.start: prompt is empty: write what there is, or give a video to go on from")
    return Start(clean_text(prompt) if prompt.strip() else "", form, _size(fields.take("size", (str,))),
                 fields.number("fps", 4, 60), int(fields.number("seed", 0, 2**53 - 1, 0)), video,
                 fields.take("record", (bool,), False))


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, cross, height = text.lower().partition("x")
    if cross and all(side.isascii() and side.isdigit() and len(side) < 5 for side in (width, height)):
        size = int(height), int(width)
        if all(side % SIDE_STEP == 0 and MIN_SIDE <= side <= MAX_SIDE for side in size):
            return size
    raise BadInput(f"session.start: size is {_brief(text)}, not WIDTHxHEIGHT with multiples of {SIDE_STEP} from "
                   f"{MIN_SIDE} to {MAX_SIDE}")


def _interaction(fields: _Fields) -> Interaction:
    seq = int(fields.number("seq", 0, 2**32 - 1, 0))
    text = fields.take("text", (str,))
    keys = fields.take("keys", (list,))
    axes = fields.take("axes", (dict,))
    given = fields.take("rates", (dict,))
    rates = None
    if given is not None:
        if keys is not None or axes is not None:
            raise BadInput("session.interaction: give rates, or keys and axes, not both")
        rates = _numbers(given, "rates", {name: LIMITS[name] for name in CAMERA_CHANNELS})
    elif keys is not None or axes is not None:
        rates = _held(keys or [], _numbers(axes or {}, "axes", dict.fromkeys(AXES, 1.0)))
    return Interaction(seq, None if text is None else clean_text(text, "session.interaction: text"), rates,
                       given is not None)


def _held(keys: list, axes: dict[str, float]) -> dict[str, float]:
    """Camera rates of the keys that are held and the sticks that are pushed."""
    rates = dict.fromkeys(CAMERA_CHANNELS, 0.0)
    if len(keys) > 16 or not all(isinstance(key, str) for key in keys):
        raise BadInput("session.interaction: keys must be a list of at most 16 names")
    held = {key.lower() for key in keys}
    for key in held & set(KEYS):
        channel, sign = KEYS[key]
        rates[channel] += sign * FULL[channel] * (FASTER if "shift" in held else 1.0)
    for axis, value in axes.items():
        rates[AXES[axis]] += value * FULL[AXES[axis]]
    return rates


def _numbers(values: dict, where: str, limits: dict[str, float]) -> dict[str, float]:
    """Finite numbers by known names, cut to +- their limit; what is missing is 0."""
    for name, value in values.items():
        if name not in limits:
            raise BadInput(f"session.interaction: {where} has {_brief(name)}; known: {', '.join(limits)}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise BadInput(f"session.interaction: {where}.{name} must be a number")
    return {name: max(-limit, min(limit, float(values.get(name, 0.0)))) for name, limit in limits.items()}


def _record(fields: _Fields) -> Record:
    on = fields.take("on", (bool,))
    if on is None:
        raise BadInput("session.record: on is missing: true or false")
    return Record(on)


def _shown(fields: _Fields) -> Shown:
    return Shown(int(fields.number("frame", 0, 2**32 - 1, 0)))


_READ: dict[str, Callable[[_Fields], Message]] = {
    "session.start": _start, "session.interaction": _interaction, "session.record": _record, "session.shown": _shown,
    "session.stop": lambda fields: Stop()}


def _brief(value) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
