"""One call of a pipeline: which arguments it is given, and its frames as this program's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reverie.core.errors import ReverieError
from reverie.foreign import asking
from reverie.foreign.asking import Abilities

GREY = 127  # of frames that are to be made, where known and unknown ones are given together
FEW = 4  # frames decoded at once, where memory is short and the call can be told


@dataclass
class Wish:
    """What one call should make. size (H, W); past: uint8 (n, H, W, 3) that come before, or None; end: the last
    picture (H, W, 3), or None; control: uint8 (frames, H, W, 3), or None; thrifty: memory is short; more: arguments of
    the call by their names there, given where it has them."""

    text: str
    size: tuple[int, int]
    frames: int
    fps: float
    seed: int
    steps: int | None = None
    past: np.ndarray | None = None
    end: np.ndarray | None = None
    control: np.ndarray | None = None
    thrifty: bool = False
    more: dict[str, Any] = field(default_factory=dict)


def arguments(pipe: Any, able: Abilities, wish: Wish) -> dict[str, Any]:
    """The call's arguments for a wish that ``able`` says can be met."""
    import torch

    height, width = wish.size
    told: dict[str, Any] = {"generator": torch.Generator().manual_seed(wish.seed), "output_type": "np"}
    optional = {"prompt": wish.text, "height": height, "width": width, "num_videos_per_prompt": 1,
                able.frames_argument: wish.frames, "num_inference_steps": wish.steps,
                able.fps_argument: int(wish.fps) if able.whole_fps else wish.fps, **wish.more}
    told |= {name: value for name, value in optional.items() if name in able.arguments and value is not None}
    if wish.thrifty and "decode_chunk_size" in able.arguments:
        told["decode_chunk_size"] = FEW
    if wish.control is not None:
        told |= _controlled(pipe, able, wish)
    elif wish.past is not None:
        told |= _continued(pipe, able, wish)
    if wish.end is not None and able.end:
        told[able.end] = picture(wish.end)
    return told


def _continued(pipe: Any, able: Abilities, wish: Wish) -> dict[str, Any]:
    past = wish.past
    if able.past == "mask":
        return _masked(wish, np.full((wish.frames, *wish.size, 3), GREY, np.uint8))
    if able.past and len(past) > 1:
        if able.past == "video":
            return {"video": pictures(past)}
        kind = asking.condition_class(type(pipe), "conditions")
        return {"conditions": [asking.condition(kind, pictures(past))]}
    if able.image:
        return {"image": picture(past[-1])}
    if able.past == "video":
        return {"video": pictures(past)}
    return {"conditions": [asking.condition(asking.condition_class(type(pipe), "conditions"), pictures(past))]}


def _controlled(pipe: Any, able: Abilities, wish: Wish) -> dict[str, Any]:
    if able.past == "mask":
        return _masked(wish, wish.control)
    if able.control == "reference_conditions":
        kind = asking.condition_class(type(pipe), "reference_conditions")
        told = {able.control: [asking.condition(kind, pictures(wish.control))]}
    else:
        told = {able.control: pictures(wish.control)}
    if able.image and wish.past is not None:
        told["image"] = picture(wish.past[-1])
    return told


def _masked(wish: Wish, rest: np.ndarray) -> dict[str, Any]:
    """Known frames first, black in the mask; then what guides the others, white in it."""
    known = 0 if wish.past is None else min(len(wish.past), wish.frames - 1)
    frames, mask = rest.copy(), np.full((wish.frames, *wish.size, 3), 255, np.uint8)
    if known:
        frames[:known], mask[:known] = wish.past[-known:], 0
    return {"video": pictures(frames), "mask": pictures(mask)}


def run(pipe: Any, able: Abilities, wish: Wish, at_step: Callable[[int, Any], None] | None = None) -> np.ndarray:
    """Call the pipeline: uint8 frames (n, H, W, 3). at_step(step, latents) is called after each denoising step, where
    the pipeline allows. Raises ReverieError where what came back is no video; what the pipeline raises passes."""
    told = arguments(pipe, able, wish)
    if at_step is not None and "callback_on_step_end" in able.arguments:
        def after(inner, step, time, tensors):
            at_step(step, tensors.get("latents"))
            return {}

        told |= {"callback_on_step_end": after, "callback_on_step_end_tensor_inputs": ["latents"]}
    elif at_step is not None and {"callback", "callback_steps"} <= able.arguments:
        told |= {"callback": lambda step, time, latents: at_step(step, latents), "callback_steps": 1}
    made = pipe(**told)
    frames = as_frames(made.frames if hasattr(made, "frames") else made[0])
    if frames.shape[1:3] != tuple(wish.size):
        raise ReverieError(f"{able.kind} made {frames.shape[2]}x{frames.shape[1]} where {wish.size[1]}x{wish.size[0]} "
                           "was asked for")
    return frames


def as_frames(made: Any) -> np.ndarray:
    """uint8 (n, H, W, 3) of what pipelines return: an array or tensor of a batch, 0..1, or a list of lists of PIL."""
    if hasattr(made, "detach"):  # a tensor (B, n, 3, H, W)
        made = np.moveaxis(made.detach().float().cpu().numpy(), -3, -1)
    while isinstance(made, (list, tuple)) and len(made) == 1 and not hasattr(made[0], "convert"):
        made = made[0]
    if isinstance(made, (list, tuple)):
        made = np.stack([np.asarray(each.convert("RGB")) if hasattr(each, "convert") else np.asarray(each)
                         for each in made])
    made = np.asarray(made)
    while made.ndim > 4:
        made = made[0]
    if made.ndim != 4 or made.shape[-1] != 3 or not len(made):
        raise ReverieError(f"the pipeline returned something of shape {made.shape}, which is no video")
    if made.dtype == np.uint8:
        return np.ascontiguousarray(made)
    if not np.isfinite(made).all():
        raise ReverieError("the pipeline made numbers that are no colours (NaN): another --seed, or more memory for "
                           "float32, may help")
    return (made.clip(0, 1) * 255).round().astype(np.uint8)


def picture(pixels: np.ndarray) -> Any:
    """uint8 (H, W, 3) as PIL has it."""
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels))


def pictures(frames: Sequence[np.ndarray] | np.ndarray) -> list:
    """uint8 (n, H, W, 3) as PIL has them."""
    return [picture(frame) for frame in frames]


def new_frames(made: np.ndarray, past: np.ndarray | None, shown: int) -> int:
    """How many frames at the beginning of what was made repeat the past: all ``shown``, as nearly all pipelines do, or
    none, where the first frame is clearly nearer to the past's last than the repeats are to what they should repeat."""
    if past is None or not shown:
        return 0
    shown = min(shown, len(past), len(made))
    if shown == 1:
        return 1
    small = [frames[:, ::4, ::4].astype(np.float32) for frames in (made[:shown], past[-shown:])]
    repeats = np.abs(small[0] - small[1]).mean()
    goes_on = np.abs(small[0][0] - small[1][-1]).mean()
    return 0 if goes_on < 8 and repeats > 3 * goes_on + 2 else shown
