"""What a pipeline can do, asked of the pipeline itself: its call's arguments and defaults, and its parts' configs.

There is no table of models here. A pipeline that has not been loaded (its parts on the meta device, see loading.py)
answers as well as one that has.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import math
import re
import textwrap
import typing
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from reverie.core.errors import BadInput

FRAMES = ("num_frames", "video_length", "frames")  # how calls name the number of frames
RATES = ("frame_rate", "fps", "target_fps")
ENDS = ("last_image", "end_image")
CONTROLS = ("control_video", "controls", "conditioning_frames", "reference_conditions")
TEMPORAL = ("vae_scale_factor_temporal", "vae_temporal_compression_ratio", "temporal_compression_ratio")
SPATIAL = ("vae_scale_factor_spatial", "vae_spatial_compression_ratio", "vae_scale_factor",
           "spatial_compression_ratio")
BEGINS = "ImageToVideo|Image2Video|I2V|VideoToWorld"  # in a class's name: what it begins with, if its call is silent
DENOISERS = ("transformer", "transformer_2", "unet")
USUAL_FPS, USUAL_FRAMES, USUAL_SIZE = 24.0, 49, (480, 832)  # where a pipeline says nothing at all


@dataclass(frozen=True)
class Abilities:
    """kind: the class's name. text: it reads a prompt. image: it can begin with a picture; needs: it cannot without one
    (or a video). past: the argument that takes the frames before ("video", "conditions"), or "mask" where known frames
    of the whole are marked, or "". end: the argument of a last picture. control: the argument of a control video.
    repaints: the control argument takes pictures to paint anew, and no depth or edges.

    size (H, W): its own; multiple: of which sides must be; fixed_size: no other will do. frames: its own number in one
    call, step and rest: n must be rest modulo step; fixed_frames: fewer than its own are not what it was trained for;
    frames_argument. fps: its own; fps_argument: "" where it makes no difference to the call. steps: its own number.
    ratio: pixels of a latent's side, whole_fps: only whole numbers.
    """

    kind: str
    text: bool
    image: bool
    needs: bool
    past: str
    end: str
    control: str
    repaints: bool
    size: tuple[int, int]
    multiple: int
    fixed_size: bool
    frames: int
    step: int
    rest: int
    fixed_frames: bool
    frames_argument: str
    fps: float
    fps_argument: str
    whole_fps: bool
    steps: int | None
    ratio: int
    arguments: frozenset[str]

    @property
    def guided(self) -> bool:
        """Whether nothing can be made without a control video, or one to paint anew."""
        return self.repaints or self.control in CONTROLS[:3]

    def nearest_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The (H, W) nearest to what was asked that it can make."""
        if self.fixed_size:
            return self.size
        return tuple(max(1, round(side / self.multiple)) * self.multiple for side in size)

    def nearest_frames(self, wanted: int) -> int:
        """The fewest frames, at least ``wanted``, that one call can make; never more than its own number."""
        if self.fixed_frames or wanted >= self.frames:
            return self.frames
        return min(self.frames, -(-(max(wanted, self.rest, 1) - self.rest) // self.step) * self.step + self.rest)

    def nearest_fps(self, fps: float) -> float:
        """The frames per second nearest to what was asked."""
        if not self.fps_argument:
            return self.fps
        return max(1.0, float(round(fps))) if self.whole_fps else fps

    def words(self) -> str:
        """What goes in, in a few words: "text, image, video, control"."""
        takes = [("text", self.text), ("image", self.image), ("video", bool(self.past)),
                 ("control", bool(self.control) and not self.repaints)]
        return ", ".join(name for name, there in takes if there)


def parameters(cls: type) -> dict[str, inspect.Parameter]:
    """The arguments of a pipeline class's call, by name."""
    found = dict(inspect.signature(cls.__call__).parameters)
    found.pop("self", None)
    return found


def ask(pipe: Any, folder: Path | None = None) -> Abilities:
    """What ``pipe`` can do; ``folder``: where its model card may lie. Raises BadInput for one that makes no video."""
    cls = type(pipe)
    takes = parameters(cls)
    count = next((name for name in FRAMES if name in takes), "")
    control, repaints = _control(takes)
    if not count and not control or not {"prompt", "image"} & set(takes):
        raise BadInput(f"{cls.__name__} makes no video of texts or pictures: take a text-to-video or image-to-video "
                       "model")
    step = int(_number(pipe, TEMPORAL) or 1)
    ratio = int(_number(pipe, SPATIAL) or 8)
    network = next((part for part in (getattr(pipe, name, None) for name in DENOISERS)
                    if part is not None), None)
    config = getattr(network, "config", {})
    frames = int(_default(pipe, takes, count) or _get(config, "sample_frames") or _get(config, "num_frames")
                 or USUAL_FRAMES)
    room = _get(config, "max_size")  # of places that the network has learned: latents, rows, columns
    if isinstance(room, (list, tuple)) and len(room) == 3:
        frames = min(frames, (room[0] - 1) * step + 1)
    multiple = max(2, ratio * _patch(config))  # 2: no video file has odd sides
    refused = re.search(r"divisible by (\d+)", _refusal(pipe, takes, multiple, multiple))
    multiple = math.lcm(multiple, int(refused[1])) if refused else multiple
    sides = [_default(pipe, takes, side) for side in ("height", "width")]
    guess = _config_size(config, ratio)
    height, width = (int(side or guess[i]) for i, side in enumerate(sides))
    rate = next((name for name in RATES if name in takes and isinstance(takes[name].default, (int, float))), "")
    steps = takes["num_inference_steps"].default if "num_inference_steps" in takes else None
    return Abilities(
        kind=cls.__name__, text="prompt" in takes, image="image" in takes, needs=_needs_picture(pipe, takes),
        past=_past(takes, count), end=next((name for name in ENDS if name in takes), ""), control=control,
        repaints=repaints, size=(height, width), multiple=multiple,
        fixed_size=bool(_get(config, "use_learned_positional_embeddings")), frames=frames, step=step,
        rest=frames % step if step > 1 else 0, fixed_frames=step == 1, frames_argument=count,
        fps=float(takes[rate].default) if rate else _told_fps(cls, folder), fps_argument=rate,
        whole_fps=bool(rate) and isinstance(takes[rate].default, int),
        steps=steps if isinstance(steps, int) else None, ratio=ratio, arguments=frozenset(takes))


def condition_class(cls: type, argument: str) -> type | None:
    """The dataclass that the call's ``argument`` is a list of, as its annotation says; None where it does not."""
    try:
        hint = typing.get_type_hints(cls.__call__).get(argument)
    except Exception:  # annotations that cannot be resolved here
        return None
    waiting = [hint]
    while waiting:
        each = waiting.pop()
        if inspect.isclass(each) and is_dataclass(each):
            return each
        waiting += typing.get_args(each)
    return None


def condition(cls: type, frames: list) -> Any:
    """One such condition: these frames (PIL) at the beginning, at full strength."""
    names = {field.name for field in fields(cls)}
    given = {"frames" if "frames" in names else "video": frames, "strength": 1.0}
    for where in ("frame_index", "index"):
        if where in names:
            given[where] = 0
    return cls(**given)


# -- the call's arguments ------------------------------------------------------------------------------------


def _control(takes: dict) -> tuple[str, bool]:
    """The argument that takes a control video, and whether it takes pictures to be painted anew."""
    for name in CONTROLS:
        if name in takes:
            return name, False
    if "video" in takes and "mask" in takes:
        return "video", False
    if "video" in takes and "image" not in takes and not _past(takes, "num_frames"):
        return "video", True
    return "", False


def _past(takes: dict, count: str) -> str:
    if "video" in takes and "mask" in takes:
        return "mask"
    grows = "image" in takes or any("history" in name or "overlap" in name for name in takes)
    masked = any("mask" in name and "embeds" not in name and "attention" not in name for name in takes)
    if "video" in takes and count and grows and not masked:
        return "video"
    return "conditions" if "conditions" in takes else ""


def _needs_picture(pipe: Any, takes: dict) -> bool:
    """Whether nothing can be made from text alone: no default, or the pipeline's own check of its arguments refuses."""
    for name in ("image", "video"):
        if name in takes and takes[name].default is inspect.Parameter.empty:
            return True
    if "image" in takes and re.search(BEGINS, type(pipe).__name__):
        return True
    refused = _refusal(pipe, takes, 768, 768) if "image" in takes else ""
    return "image" in refused and "provided" in refused


def _refusal(pipe: Any, takes: dict, height: int, width: int) -> str:
    """What the pipeline's own check of its arguments says of a prompt and a size alone; "" where it has no objection
    that it puts in words."""
    check = getattr(pipe, "check_inputs", None)
    if check is None:
        return ""
    given = {}
    for name, about in inspect.signature(check).parameters.items():
        told = takes[name].default if name in takes and takes[name].default is not inspect.Parameter.empty else None
        given[name] = {"prompt": "a", "height": height, "width": width}.get(
            name, told if about.default is inspect.Parameter.empty else about.default)
    try:
        check(**given)
    except ValueError as error:
        return str(error)
    except Exception:  # of something else that it was not given
        return ""
    return ""


def _default(pipe: Any, takes: dict, name: str) -> Any:
    """The default of the call's argument ``name``; where that is None, what its source puts in its place."""
    if name not in takes:
        return None
    told = takes[name].default
    if told is None:
        return _default_in_source(pipe, name)
    return None if told is inspect.Parameter.empty else told


def _default_in_source(pipe: Any, name: str) -> Any:
    """From ``name = name or X``, ``name = name if ... else X`` or ``if name is None: name = X``: the value of X."""
    with contextlib.suppress(OSError, TypeError, SyntaxError):
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(type(pipe).__call__))))
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == [name]):
                continue
            value = node.value
            if isinstance(value, ast.BoolOp):
                value = value.values[-1]
            elif isinstance(value, ast.IfExp):
                value = value.orelse
            with contextlib.suppress(Exception):  # it may name what only a call knows
                code = compile(ast.Expression(value), "default", "eval")
                found = eval(code, {"__builtins__": {}}, {"self": pipe})  # noqa: S307 - the pipeline's own source
                if isinstance(found, (int, float)) and found > 0:
                    return found
    return None


# -- the parts' configs --------------------------------------------------------------------------------------


def _get(config: Any, name: str) -> Any:
    return config.get(name) if hasattr(config, "get") else getattr(config, name, None)


def _number(pipe: Any, names: tuple[str, ...]) -> float | None:
    """The first of these that the pipeline, its VAE or the VAE's config has as a number."""
    vae = getattr(pipe, "vae", None)
    config = getattr(vae, "config", None)
    for owner in (pipe, vae, config):
        for name in names:
            told = owner is config or (owner is vae and name not in vars(vae) and _get(config, name))
            value = _get(config, name) if told else getattr(owner, name, None)
            if isinstance(value, (int, float)) and value >= 1:
                return value
    return None


def _patch(config: Any) -> int:
    """How many latents' sides the network takes at once: its patch, or what its levels halve."""
    patch = _get(config, "patch_size")
    if isinstance(patch, (list, tuple)):
        return int(max(patch[-2:]))
    if isinstance(patch, int):
        return patch
    levels = _get(config, "block_out_channels")
    return 2 ** (len(levels) - 1) if levels else 1


def _config_size(config: Any, ratio: int) -> tuple[int, int]:
    """(H, W) from the sizes in latents that some configs give."""
    one = _get(config, "sample_size")
    if isinstance(one, int):
        return one * ratio, one * ratio
    if isinstance(one, (list, tuple)) and len(one) >= 2:
        return int(one[-2]) * ratio, int(one[-1]) * ratio
    high, wide = _get(config, "sample_height"), _get(config, "sample_width")
    return (high * ratio, wide * ratio) if high and wide else USUAL_SIZE


def _told_fps(cls: type, folder: Path | None) -> float:
    """The frames per second at which the model's card, or else its class's documentation, writes its example."""
    texts = []
    if folder is not None:
        with contextlib.suppress(OSError, ValueError):
            texts.append((folder / "README.md").read_text(encoding="utf-8")[:200_000])
    texts.append(cls.__call__.__doc__ or "")
    for text in texts:
        found = re.search(r"export_to_video\([^)\n]*fps\s*=\s*(\d+(?:\.\d+)?)", text)
        if found and 1 <= float(found[1]) <= 120:
            return float(found[1])
    return USUAL_FPS
