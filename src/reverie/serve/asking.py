"""From a request's fields to a job's spec: everything is checked here, before a job is accepted.

A spec is plain JSON: prompt, seconds (of new video), size [H, W], fps, model (its name), seed, steps, guidance, avoid
(the negative prompt), camera, script (its lines), rates ([[start second, moves], ...]), loop, things, image and upload
(files in the uploads folder), past (the id of the video it goes on from), at (where that past ends, seconds),
past_seconds, requested_size, notes.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reverie.core.errors import BadInput
from reverie.core.moves import DIRECTIONS, parse_moves
from reverie.core.script import clean_text
from reverie.core.vocabulary import CAMERA_CHANNELS
from reverie.generation import FOREIGN, OWN, check_numbers
from reverie.serve.answers import bad, sound
from reverie.serve.models import ModelFacts
from reverie.serve.scripts import check_script
from reverie.serve.settings import MAX_SECONDS, Settings

DEFAULT_SECONDS = 4.0
LARGEST_ASKED = 8192  # pixels of a side: more is a slip, not another system's size
_SIZE = re.compile(r"(\d{1,5})\s*[xX*]\s*(\d{1,5})", re.ASCII)
MEDIA = ("input_reference", "image_reference", "video_reference", "video", "image")


class Wanted(BaseModel):
    """What a request may say of a video. Fields that it does not know are named in the job's notes."""

    model_config = ConfigDict(extra="allow", str_max_length=200_000)

    prompt: str | None = Field(default=None, description="What happens, in English or Chinese; @name: a character.")
    model: str | None = Field(default=None, description="One of /v1/models; for any other the first answers.")
    seconds: float | None = Field(default=None, description=f"Of new video, above 0, up to {MAX_SECONDS:g} (4).")
    size: str | None = Field(default=None, description="WIDTHxHEIGHT; if it cannot be made, the nearest is.")
    seed: int | None = Field(default=None, description="Same seed, same video; drawn when it is left out.")
    fps: float | None = Field(default=None, description="Frames per second, 1 to 60.")
    steps: int | None = Field(default=None, description="Denoising steps, 1 to 64; also num_inference_steps.")
    guidance: float | None = Field(default=None, description="0 to 20; also guidance_scale.")
    camera: Any = Field(default=None, description='Moves over the whole video: "orbit left 30, dolly in 0.5".')
    script: Any = Field(default=None, description='JSON: [{"start": 0, "text": "...", "camera": "pan left 10"}, ...].')
    actions: Any = Field(default=None, description='JSON: [{"start": 0, "pan": 10}, ...], rates from then on.')
    loop: bool = Field(default=False, description="The end meets the beginning.")
    things: bool = Field(default=True, description="Imagine things first; false: pictures alone.")
    priority: int = Field(default=0, ge=-10, le=10, description="Higher is done first.")
    width: int | None = Field(default=None, description="With height, instead of size.")
    height: int | None = None
    num_frames: int | None = Field(default=None, ge=1, description="With fps, instead of seconds.")
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    negative_prompt: str | None = Field(default=None, description="What should not be seen: for other people's models.")
    extra_params: Any = Field(default=None, description="JSON object of more of these fields.")
    at: float | None = Field(default=None, gt=0, description="Second at which the past that it goes on from ends.")


def wanted_of(fields: dict[str, Any]) -> Wanted:
    """The fields, checked for what each is. Raises Wrong."""
    fields = dict(fields)
    extra = _json(fields.get("extra_params"), "extra_params") or {}
    if not isinstance(extra, dict):
        raise bad("extra_params must be a JSON object", "extra_params")
    fields = {**extra, **{name: value for name, value in fields.items() if value not in ("", None)}}
    try:
        return Wanted.model_validate({name: value for name, value in fields.items() if name not in MEDIA})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise bad(f"{where}: {first['msg']}", where) from None


def spec_of(wanted: Wanted, settings: Settings, model: ModelFacts, *, like: dict[str, Any] | None = None,
            shape: tuple[int, int] | None = None, given: bool = False) -> dict[str, Any]:
    """The spec of a job. ``like``: another's, for what is not said; shape (H, W): of a given picture or video, for the
    size when none is asked for; given: there is a picture or video, so that the prompt may be empty. Raises Wrong."""
    like, notes = like or {}, []
    if wanted.model and wanted.model not in (model.name, model.given):
        notes.append(f"{sound(wanted.model[:60])} is not here: {model.name} is what answers")
    if wanted.negative_prompt and not model.foreign:
        notes.append("negative_prompt is not used by this model")
    unknown = sorted(set(wanted.model_extra or {}))
    if unknown:
        notes.append(sound(f"not used: {', '.join(name[:40] for name in unknown[:20])}"))
    fps = float(_first(wanted.fps, like.get("fps"), model.fps))
    if not (math.isfinite(fps) and 1 <= fps <= 60):
        raise bad(f"fps must be from 1 to 60, not {fps:g}", "fps")
    seconds = _seconds(wanted, fps, like)
    size, asked = _size(wanted, settings, model, like, shape)
    if asked:
        notes.append(f"{asked} cannot be made here: {size[1]}x{size[0]} is the nearest")
    steps = _first(wanted.steps, wanted.num_inference_steps, like.get("steps"))
    guidance = _first(wanted.guidance, wanted.guidance_scale, like.get("guidance"))
    seed = _first(wanted.seed, like.get("seed"), secrets.randbits(31))
    if guidance is not None and not (math.isfinite(guidance) and 0 <= guidance <= 20):
        raise bad(f"guidance must be from 0 to 20, not {guidance:g}", "guidance")
    camera, parts = _camera(wanted, seconds)
    lines = _script(wanted.script, seconds)
    prompt = wanted.prompt or ""
    try:
        check_numbers(seconds=seconds, size=size, fps=fps, seed=seed, steps=steps,
                      limits=FOREIGN if model.foreign else OWN)
        prompt = clean_text(prompt) if prompt.strip() else ""
        avoid = _first(wanted.negative_prompt, like.get("avoid")) if model.foreign else None
        avoid = clean_text(avoid) if avoid else ""
    except BadInput as error:
        raise bad(str(error)) from None
    if lines and prompt:
        prompt = ""  # the script holds the texts
        notes.append("the prompt is not used: the script holds the texts")
    if not prompt and not lines and not given:
        raise bad("the prompt is empty: write what should happen", "prompt", "missing_required_parameter")
    if (camera or parts) and any("camera" in line for line in lines):
        raise bad("the script moves the camera already: leave out camera and actions, or its camera lines", "camera")
    if camera and parts:
        raise bad("give camera or actions, not both", "actions")
    return {"prompt": prompt or (lines[0]["text"] if lines else ""), "script": lines or None,
            "seconds": seconds, "size": list(size), "fps": fps, "seed": seed, "steps": steps, "guidance": guidance,
            "model": model.name, "camera": camera, "rates": parts, "loop": wanted.loop, "things": wanted.things,
            "requested_size": asked, "notes": notes, **({"avoid": avoid} if avoid else {})}


def nearest_size(width: int, height: int, home: tuple[int, int]) -> tuple[int, int]:
    """(H, W) that the model makes whose shape is nearest to the one asked for, at about its ``home`` size (H, W)."""
    short, area = min(home), home[0] * home[1]
    sides = range(OWN.least, OWN.most + 1, OWN.step)
    able = [(h, w) for h in sides for w in sides if min(h, w) >= min(short, 96) and area / 2 <= h * w <= area * 2]
    able = able or [home]
    return min(able, key=lambda one: (round(abs(math.log(one[1] / one[0] * height / width)), 3),
                                      abs(math.log(one[0] * one[1] / area))))


def _seconds(wanted: Wanted, fps: float, like: dict) -> float:
    seconds = wanted.seconds
    if seconds is None and wanted.num_frames:
        seconds = wanted.num_frames / fps
    if seconds is None:
        seconds = like.get("seconds", DEFAULT_SECONDS)
    if not (math.isfinite(seconds) and 0 < seconds <= MAX_SECONDS):
        raise bad(f"seconds must be above 0 and at most {MAX_SECONDS:g}, not {seconds:g}", "seconds")
    return float(seconds)


def _size(wanted: Wanted, settings: Settings, model: ModelFacts, like: dict,
          shape: tuple[int, int] | None) -> tuple[tuple[int, int], str | None]:
    """(H, W) that is made, and WIDTHxHEIGHT as it was asked for if that is another."""
    if wanted.size is not None:
        match = _SIZE.fullmatch(wanted.size.strip())
        if match is None:
            raise bad(f"size {wanted.size[:40]!r} is not WIDTHxHEIGHT, as in 256x256", "size")
        width, height = int(match[1]), int(match[2])
    elif wanted.width or wanted.height:
        width, height = wanted.width or wanted.height or 0, wanted.height or wanted.width or 0
    elif like.get("size"):
        return tuple(like["size"]), None
    elif shape is not None:
        height, width = shape
        able = _able(width, height, settings, model)
        return ((height, width) if able else nearest_size(width, height, model.size)), None
    else:
        return model.size, None
    if not (16 <= width <= LARGEST_ASKED and 16 <= height <= LARGEST_ASKED):
        raise bad(f"size {width}x{height}: each side must be from 16 to {LARGEST_ASKED} pixels", "size")
    if _able(width, height, settings, model):
        return (height, width), None
    return nearest_size(width, height, model.size), f"{width}x{height}"


def _able(width: int, height: int, settings: Settings, model: ModelFacts) -> bool:
    limits = FOREIGN if model.foreign else OWN  # another's model finds the nearest itself, when it makes it
    good = all(side % limits.step == 0 and limits.least <= side <= limits.most for side in (width, height))
    return good and width * height <= max(settings.max_pixels, model.size[0] * model.size[1])


def _camera(wanted: Wanted, seconds: float) -> tuple[str, list[list]]:
    """Moves over the whole video as text, and moves by part: from actions, or from a camera with starts."""
    camera, actions = _json(wanted.camera, "camera"), _json(wanted.actions, "actions")
    if isinstance(camera, list) and all(isinstance(part, str) for part in camera):
        camera = ", ".join(camera)
    if isinstance(actions, str):
        camera, actions = (actions, None) if not camera else (camera, None)
    parts: list[list] = []
    if isinstance(camera, list):
        parts, camera = _parts(camera, seconds, "camera", _moves_text), None
    if actions:
        if parts or camera:
            raise bad("give camera or actions, not both", "actions")
        if not isinstance(actions, list):
            raise bad("actions must be a JSON list, as in [{\"start\": 0, \"pan\": 10}]", "actions")
        parts = _parts(actions, seconds, "actions", _rates_text)
    if camera is None or camera == "":
        return "", parts
    if not isinstance(camera, str):
        raise bad('camera must be text, as in "orbit left 30, dolly in 0.5"', "camera")
    _check_moves(camera, "camera")
    return " ".join(camera.split()), parts


def _parts(rows: list, seconds: float, param: str, text) -> list[list]:
    if len(rows) > 600 or not all(isinstance(row, dict) for row in rows):
        raise bad(f"{param} must be a JSON list of at most 600 objects with start", param)
    starts = [row.get("start", 0.0 if i == 0 else None) for i, row in enumerate(rows)]
    if not all(isinstance(start, (int, float)) and not isinstance(start, bool) and math.isfinite(start)
               for start in starts) or starts != sorted(set(starts)) or starts[:1] < [0]:
        raise bad(f"{param}: every start must be a number of seconds, each after the one before", param)
    parts = []
    for row, start, end in zip(rows, starts, [*starts[1:], seconds], strict=True):
        if start >= seconds:
            raise bad(f"{param}: {start:g} is not before the end at {seconds:g} s", param)
        moves = text(row, max(min(end, seconds) - start, 1e-3))
        _check_moves(moves, param)
        parts.append([float(start), moves])
    return parts


def _moves_text(row: dict, seconds: float) -> str:
    moves = row.get("camera") or row.get("moves") or "still"
    if not isinstance(moves, str):
        raise bad("camera: each part's camera must be text", "camera")
    return moves


def _rates_text(row: dict, seconds: float) -> str:
    """Constant rates of the camera's channels as the moves that they make in ``seconds``."""
    said = []
    for name, rate in row.items():
        if name == "start":
            continue
        if name not in CAMERA_CHANNELS:
            raise bad(f"actions: {name[:40]!r} is none of {', '.join(CAMERA_CHANNELS)}", "actions")
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not math.isfinite(rate):
            raise bad(f"actions: {name} must be a number (a rate per second)", "actions")
        if abs(rate * seconds) >= 1e-3:
            said.append(f"{name} {DIRECTIONS[name][rate < 0]} {abs(rate) * seconds:.9f}")
    return ", ".join(said) or "still"


def _check_moves(text: str, param: str) -> None:
    try:
        parse_moves(text)
    except BadInput as error:
        raise bad(str(error), param) from None


def _script(value: Any, seconds: float) -> list[dict]:
    rows = _json(value, "script")
    if rows in (None, "", []):
        return []
    try:
        return check_script(rows, seconds)
    except BadInput as error:
        raise bad(str(error), "script") from None


def _json(value: Any, param: str) -> Any:
    """A JSON text as what it says; other text, and what is no text, as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise bad(f"{param} is no valid JSON", param) from None
    return value


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


