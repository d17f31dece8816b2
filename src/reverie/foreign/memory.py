"""What a model needs, what the machine has, and how the one is fitted into the other, said before anything is loaded.

The weights' size is exact (their files' headers); what the work takes beside them is an estimate of the widest moment:
a layer of the denoiser over all tokens, or the VAE's last level over all pixels.
"""

from __future__ import annotations

import contextlib
import importlib.util
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reverie.core.errors import ReverieError
from reverie.core.runtime import device
from reverie.foreign.asking import DENOISERS, Abilities
from reverie.foreign.finding import parameters, weight_files

SPARE = 0.92  # of what is free, how much is planned with
LAYER = 12  # numbers per token and channel that a layer holds at once: queries, keys, values, a fourfold inner layer
LEVEL = 4  # copies of the VAE's widest level at once
TILE = 256  # pixels of a tile's side
TILE_FRAMES = 16
GIGA = 1e9


@dataclass(frozen=True)
class Machine:
    """ram: bytes free for this process. gpu: torch's name of it, "" where there is none; vram: its free bytes."""

    ram: int
    gpu: str = ""
    vram: int = 0

    @classmethod
    def here(cls) -> Machine:
        """This machine, now."""
        import torch

        if device().type != "cuda":
            return cls(free_ram())
        return cls(free_ram(), "cuda", torch.cuda.mem_get_info()[0])


@dataclass(frozen=True)
class Plan:
    """dtype: of torch. place: "whole" (all on the GPU), "parts" (each there in its turn), "layers" (each layer in its
    turn), "cpu". quantise: "" or "fp8" (the denoiser's weights kept in 8 bits) or "nf4" (in 4, by bitsandbytes).
    tiled: the VAE works tile by tile. weights, working: bytes, as kept there and beside them. pixels: in a call, at
    most, that it was made for."""

    dtype: Any
    place: str
    quantise: str
    tiled: bool
    weights: int
    working: int
    denoisers: tuple[str, ...] = field(default=())
    pixels: int = 1 << 62

    def words(self) -> str:
        """One line: what it takes and how it is done."""
        where = {"whole": "all on the GPU", "parts": "each part on the GPU in its turn",
                 "layers": "each layer on the GPU in its turn (slow)", "cpu": "on the CPU"}[self.place]
        how = [str(self.dtype).removeprefix("torch."), where]
        how += [f"the denoiser in {self.quantise}"] * bool(self.quantise) + ["the VAE in tiles"] * self.tiled
        return (f"{self.weights / GIGA:.3g} GB of weights and about {max(self.working / GIGA, 0.01):.2g} GB to work "
                f"in: {', '.join(how)}")

    def quantised(self) -> dict:
        """What from_pretrained is told of quantisation."""
        if self.quantise != "nf4":
            return {}
        from diffusers import PipelineQuantizationConfig

        return {"quantization_config": PipelineQuantizationConfig(
            quant_backend="bitsandbytes_4bit", components_to_quantize=list(self.denoisers),
            quant_kwargs={"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": self.dtype})}

    def place_parts(self, pipe: Any) -> None:
        """Let the pipeline's weights be where they should be while it works; again for another that shares them."""
        if self.place == "whole":
            pipe.to("cuda")
        elif self.place == "parts":
            pipe.enable_model_cpu_offload()
        elif self.place == "layers":
            pipe.enable_sequential_cpu_offload()

    def put(self, pipe: Any) -> None:
        """All of the plan on a pipeline that has just been loaded."""
        import torch

        if self.quantise == "fp8":
            for name in self.denoisers:
                part = getattr(pipe, name, None)
                if part is not None:
                    part.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=self.dtype)
        vae = getattr(pipe, "vae", None)
        if self.tiled:
            for name in ("enable_tiling", "enable_slicing"):
                with contextlib.suppress(AttributeError, NotImplementedError):  # not every VAE has them
                    getattr(vae, name)()
        self.place_parts(pipe)


def weigh(folder: Path, names: list[str]) -> dict[str, int]:
    """How many numbers each part's weights hold."""
    return {name: sum(parameters(file) for file in weight_files(folder / name)) for name in names}


def working_bytes(pipe: Any, able: Abilities, size: tuple[int, int], frames: int, width: int,
                  tiled: bool) -> tuple[int, int]:
    """(denoiser, VAE): bytes of the widest moment of each over ``frames`` frames of ``size`` (H, W), in numbers of
    ``width`` bytes."""
    network = next((part for part in (getattr(pipe, name, None) for name in DENOISERS) if part is not None), None)
    config = getattr(network, "config", {})
    latents = -(-frames // able.step)
    tokens = latents * (size[0] // able.multiple) * (size[1] // able.multiple)
    channels = (config.get("num_attention_heads") or 1) if hasattr(config, "get") else 1
    head = config.get("attention_head_dim") if hasattr(config, "get") else 64
    levels = config.get("block_out_channels") if hasattr(config, "get") else None
    if levels:  # a UNet: its first level has the most numbers
        denoiser = latents * (size[0] // able.ratio) * (size[1] // able.ratio) * levels[0] * LAYER * width
    else:
        across = (channels if isinstance(channels, int) else max(channels)) * (head if isinstance(head, int) else 64)
        denoiser = tokens * across * LAYER * width
    high, wide, long = (*size, frames) if not tiled else (min(size[0], TILE), min(size[1], TILE),
                                                          min(frames, TILE_FRAMES))
    decoder = long * high * wide * _vae_width(pipe) * LEVEL * width + frames * size[0] * size[1] * 3 * 4 * 2
    return 2 * denoiser, decoder  # two: with the prompt and without it


def _vae_width(pipe: Any) -> int:
    """Channels of the VAE's last level before the pixels."""
    config = getattr(getattr(pipe, "vae", None), "config", {})
    for name in ("decoder_block_out_channels", "decode_block_out_channels", "block_out_channels", "base_dim"):
        value = config.get(name) if hasattr(config, "get") else None
        if value:
            return int(value if isinstance(value, int) else value[0])
    return 128


def choose(counts: dict[str, int], pipe: Any, able: Abilities, size: tuple[int, int], frames: int, name: str,
           machine: Machine | None = None) -> Plan:
    """The first way that fits, from the fastest to the slowest. Raises ReverieError, in one line, when none does."""
    import torch

    machine = machine or Machine.here()
    denoisers = tuple(part for part in DENOISERS if counts.get(part))
    half = Plan(torch.bfloat16, "cpu", "", False, 2 * sum(counts.values()), 0, denoisers,
                size[0] * size[1] * frames)
    if machine.gpu:
        places = [("whole", ""), ("parts", "")] + [("parts", "fp8")] + (
            [("parts", "nf4")] if importlib.util.find_spec("bitsandbytes") else []) + [("layers", "")]
        tries = [replace(half, place=place, quantise=kept) for place, kept in places]
    else:
        full = replace(half, dtype=torch.float32, weights=2 * half.weights)
        # on a CPU float32 is as fast or nearly, and never worse; not where it would take most of the memory
        tries = [full, half] if 2 * full.weights < machine.ram else [half]
    refused: list[tuple[float, Plan]] = []
    for plan in tries:
        for tiled in (False, True):
            kept = {"fp8": 1.0, "nf4": 0.6}.get(plan.quantise, 2.0)
            sizes = {part: count * (kept if part in denoisers and plan.quantise else plan.dtype.itemsize)
                     for part, count in counts.items()}
            work = working_bytes(pipe, able, size, frames, plan.dtype.itemsize, tiled)
            plan = replace(plan, tiled=tiled, weights=int(sum(sizes.values())), working=max(work))
            need = _need(plan, sizes, work)
            if need[0] <= SPARE * machine.vram and need[1] <= SPARE * machine.ram:
                return plan
            refused.append((sum(need), plan))
    raise ReverieError(_too_much(name, min(refused, key=lambda each: each[0])[1], machine, size, frames))


def _need(plan: Plan, sizes: dict[str, float], work: tuple[int, int]) -> tuple[float, float]:
    """(bytes of the GPU's memory, bytes of the CPU's) at the widest moment."""
    if plan.place == "cpu":
        return 0.0, sum(sizes.values()) + max(work)
    if plan.place == "whole":
        return sum(sizes.values()) + max(work), max(sizes.values(), default=0)
    if plan.place == "parts":
        most = max([size for part, size in sizes.items() if part not in (*plan.denoisers, "vae")] + [0])
        denoiser = max([size for part, size in sizes.items() if part in plan.denoisers] + [0]) + work[0]
        return max(most, denoiser, sizes.get("vae", 0) + work[1]), sum(sizes.values())
    return max(work) + max(sizes.values(), default=0) / 20, sum(sizes.values())


def _too_much(name: str, plan: Plan, machine: Machine, size: tuple[int, int], frames: int) -> str:
    has = f"{machine.vram / GIGA:.2g} GB free on the GPU and {machine.ram / GIGA:.2g} GB beside it" if machine.gpu \
        else f"{machine.ram / GIGA:.2g} GB free and no GPU"
    return (f"{name} does not fit: {plan.weights / GIGA:.3g} GB of weights and about {plan.working / GIGA:.2g} GB for "
            f"{frames} frames of {size[1]}x{size[0]}, and this machine has {has}; take a smaller --size, a shorter "
            "--chunk or a smaller model")


def free_ram() -> int:
    """Bytes that this process may still take: the system's, or what is left of a container's limit."""
    free = 1 << 62
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    with contextlib.suppress(OSError, ValueError):
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit != "max":
            free = min(free, int(limit) - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    if free == 1 << 62:  # not Linux
        with contextlib.suppress(ImportError):
            import psutil

            free = psutil.virtual_memory().available
    return free
