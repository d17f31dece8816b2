"""The numbers of every recipe: how large a model is, what it trains on, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field

from reverie.train.log import LogPlan
from reverie.train.windows import WindowPlan


@dataclass(frozen=True)
class Recipe:
    """How a model is made. shares: of the minutes, for each stage that takes minutes."""

    tokenizer: str
    depth: int
    minutes: float
    things: WindowPlan
    drawn: WindowPlan
    opening: WindowPlan
    beginning: WindowPlan  # of the stage things: a clip's first second, in which what is named appears
    shares: dict = field(default_factory=lambda: {"tokenizer": 0.2, "canvas": 0.3, "transformer": 0.4,
                                                  "observer": 0.1})
    canvas: int = 64  # hidden width of its networks
    drawn_share: float = 0.5
    opening_share: float = 0.25
    beginning_share: float = 0.5
    lr: float = 2e-3
    ema: float = 0.998
    precision: str = "auto"
    views_window: int = 4
    clips: int = 0  # drawn clips that the recipe makes for itself where there is no data
    things_clips: int = 0
    seconds: str = "6"
    traffic_width: int = 128
    traces: int = 1500  # of traffic
    towns: int = 160  # of which stills are painted
    canvas_width: int = 64  # of the network that paints agents
    streets: int = 600  # of which stills are shown to the eyes
    size: tuple[int, int] = (128, 128)
    growing: bool = False  # whether more clips are drawn into the data folder while it trains
    log: LogPlan = field(default_factory=LogPlan)  # on a recorded log
    steps: int | None = None  # a budget in steps instead of minutes (tests)


RECIPES = {
    # two cores: a small network, short windows, every minute goes into steps
    "cpu": Recipe("s16", 6, 90.0, WindowPlan(24, 9, past=10, remembers=0.8, slots=12),
                  WindowPlan(4, 12, past=1, slots=12, views=True), WindowPlan(1, 128, past=0, slots=12, from_start=1.0),
                  WindowPlan(6, 32, past=0, slots=12, from_start=1.0), drawn_share=0.5, opening_share=0.33, ema=0.99,
                  clips=800, things_clips=9000, seconds="2.4..4:4,6..16:1"),
    # one GPU: a wider network, long windows, clips drawn on all cores while it trains
    "one_gpu": Recipe("s16", 10, 28.0, WindowPlan(48, 64, past=16), WindowPlan(20, 48, past=6, views=True),
                      WindowPlan(1, 768, past=0, from_start=1.0), WindowPlan(6, 160, past=0, from_start=1.0),
                      opening_share=0.2, drawn_share=0.5, clips=3000, things_clips=6000, seconds="8..20:2,40..60:1",
                      lr=2e-3, ema=0.999, views_window=8, growing=True,
                      log=LogPlan(12, 96, 6, 48 * 128 * 256, ema=0.999, side=128, phases=(0, 2))),
    # a minute, on data it makes itself: does everything work?
    "debug": Recipe("tiny", 2, 0.5, WindowPlan(8, 4, past=2), WindowPlan(6, 2, past=1, views=True),
                    WindowPlan(2, 4, past=0, from_start=1.0), WindowPlan(4, 4, past=0, from_start=1.0),
                    opening_share=0.2, canvas=8, clips=4, things_clips=4, seconds="3", size=(64, 64), precision="fp32",
                    traffic_width=32, traces=3, towns=2, canvas_width=8, streets=2,
                    log=LogPlan(4, 2, 2, 16 * 64 * 64, steps=1, side=32)),
}
