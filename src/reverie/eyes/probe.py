"""The lane probe: where our car is on its lane and what the light ahead shows, from the picture of its front camera.

The lane is told by the whole picture. A light is two pixels of it, so that a path of its own looks for the one that
holds for our lane, place by place, and says there what it shows.

Legend: B pictures, H W pixels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reverie.audit.observer_net import resized, to_input
from reverie.core.errors import BadInput, BadWeights
from reverie.data.road.gates import RED
from reverie.data.road.lights import LIGHTS
from reverie.model.checkpoint import load_into, load_model

WEIGHTS = Path(__file__).parents[1] / "weights" / "road_probe.safetensors"
SIZE = (128, 192)  # of the picture that it looks at
LANE = (4.0, 8.0, 14.0, 22.0, 32.0)  # metres ahead at which the lane's middle is told
# what each number is divided by for the network: metres aside, half the lane's width, radians, the lane ahead
SCALES = (1.0, 1.0, 0.3, *([10.0] * 2 * len(LANE)))
NUMBERS = len(SCALES)
CELL, STOP = 4, 10.0  # pixels of a place at which a light may be; what metres to its line are divided by
KIND = "road_probe"


@dataclass(frozen=True)
class Config:
    """widths: channels at 1/4, 1/8, 1/16 and 1/32 of the picture's size; hidden: numbers between it and its answer;
    lights: channels of what looks for lights."""

    widths: tuple[int, ...] = (20, 28, 28, 28)
    hidden: int = 40
    lights: int = 12

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))  # JSON gives lists
        if len(self.widths) != 4 or min(*self.widths, self.hidden, self.lights) < 1:
            raise BadInput(f"a lane probe has four widths of at least 1, not {self}")


@dataclass(frozen=True)
class Reading:
    """What one picture says. aside: metres from the middle of the lane; half: half its width; turned: radians to the
    left of the lane's way; lane (5, 2): its middle at LANE metres ahead, in the car's frame (x forward, y to the
    left); light, red: how likely our lane's light is in sight, and that it is red, 0..1; stop: metres to its line."""

    aside: float
    half: float
    turned: float
    lane: np.ndarray
    light: float
    red: float
    stop: float


class LightsNet(nn.Module):
    """Pictures to maps of their lights, a place for CELL x CELL pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.down2, self.down4, self.down8, self.down16 = (nn.Conv2d(width, width, 3, 2, 1) for _ in range(4))
        self.near = nn.Conv2d(3 * width + 2, width, 3, padding=1)
        self.head = nn.Conv2d(width, 2 + len(LIGHTS), 1)
        nn.init.constant_(self.head.bias[:1], -5.0)  # there is none nearly everywhere
        rows, columns = (torch.linspace(-1, 1, side // CELL) for side in SIZE)
        self.register_buffer("where", torch.stack(torch.meshgrid(rows, columns, indexing="ij")), persistent=False)

    def forward(self, pictures_BCHW: Tensor) -> Tensor:
        """(B, 5, H / CELL, W / CELL): the logit of our lane's light being there, metres to its line / STOP, and the
        logits of what it shows."""
        x = F.relu(self.stem(pictures_BCHW))
        x4 = F.relu(self.down4(F.relu(self.down2(x))))
        x8 = F.relu(self.down8(x4))
        x16 = F.relu(self.down16(x8))
        around = [F.interpolate(wide, x4.shape[2:]) for wide in (x8, x16)]
        where = self.where.to(x4.dtype).expand(len(x4), -1, -1, -1)
        return self.head(F.relu(self.near(torch.cat([x4, *around, where], 1)))).float()


class ProbeNet(nn.Module):
    """Pictures to NUMBERS values each, and maps of their lights."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = config = config or Config()
        w4, w8, w16, w32 = config.widths
        self.stem = nn.Conv2d(48, w4, 3, padding=1)
        self.level4 = nn.Conv2d(w4, w4, 3, padding=1)
        self.down8 = nn.Conv2d(w4, w8, 3, 2, 1)
        self.down16 = nn.Conv2d(w8, w16, 3, 2, 1)
        self.down32 = nn.Conv2d(w16, w32, 3, 2, 1)
        self.gather = nn.Conv2d(w32, 8, 1)
        self.mix = nn.Linear(8 * (SIZE[0] // 32) * (SIZE[1] // 32) + w32, config.hidden)
        self.head = nn.Linear(config.hidden, NUMBERS)
        self.lights = LightsNet(config.lights)

    def forward(self, pictures_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """pictures: (B, 3, *SIZE) in -1..1; numbers (B, NUMBERS) as SCALES has them, and maps as LightsNet's."""
        lights = self.lights(pictures_BCHW)
        x = F.relu(self.stem(F.pixel_unshuffle(pictures_BCHW, 4).contiguous(memory_format=torch.channels_last)))
        x = x + F.relu(self.level4(x))
        for down in (self.down8, self.down16, self.down32):
            x = F.relu(down(x))
        whole = torch.cat([F.relu(self.gather(x)).flatten(1), x.mean((2, 3))], 1)
        return self.head(F.relu(self.mix(whole))).float(), lights


class RoadProbe:
    """A network with its reading of pictures. It was trained on the front camera of rig.FOUR."""

    def __init__(self, net: ProbeNet, meta: dict | None = None) -> None:
        self.net, self.meta = net.eval(), meta or {}

    @classmethod
    def load(cls, path: str | Path | None = None) -> RoadProbe:
        """The one in a safetensors file (default: what comes with the package). Raises BadWeights."""
        path = WEIGHTS if path is None else Path(path)
        tensors, meta = load_model(path)
        if meta.get("kind") != KIND:
            raise BadWeights(f"{path} is no lane probe: get it again, or train one")
        net = ProbeNet(Config(**meta["config"]))
        load_into(net, tensors, path)
        return cls(net, meta)

    def card(self) -> dict:
        """What a file of it says of its making."""
        return {"kind": KIND, "config": asdict(self.net.config)}

    @torch.inference_mode()
    def read(self, pictures: np.ndarray) -> list[Reading]:
        """What each of some pictures uint8 (B, H, W, 3) says."""
        said, maps = self.net(to_input(resized(torch.from_numpy(np.ascontiguousarray(pictures)), SIZE)))
        numbers = (said * torch.tensor(SCALES)).numpy().astype(float)
        maps = maps.flatten(2)
        best = maps[torch.arange(len(maps)), :, maps[:, 0].argmax(1)]
        lights = torch.stack([best[:, 0].sigmoid(), best[:, 2:].softmax(1)[:, RED], STOP * best[:, 1].clamp(min=0)], 1)
        return [Reading(abs(row[0]), max(row[1], 0.5), row[2], row[3:].reshape(-1, 2), *light)
                for row, light in zip(numbers, lights.double().tolist(), strict=True)]
