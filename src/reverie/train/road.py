"""The stages of the road in a recipe: what imagines its traffic, what paints it, and what reads its pictures."""

from __future__ import annotations

from pathlib import Path

from reverie.core.errors import BadInput

FILES = {"traffic": "road", "road_canvas": "road_canvas", "eyes": "road_observer"}  # stage -> its folder and weights
BESIDE = {"road_observer": ("road_probe",)}  # weights that are made with others, in their folder


def run(stage: str, plan, data: Path, out: Path, *, recipe: str, **how) -> Path | None:
    """One of FILES, as a recipe's plan has it; how: what ``train.loop.fit`` takes. Returns the file of its weights, or
    None when it was interrupted. Raises what that stage does."""
    if stage == "traffic":
        from reverie.model.road.traffic import Config as Sizes
        from reverie.train.traffic import train_traffic

        return train_traffic(data, out, config=Sizes(width=plan.traffic_width), name=recipe, **how)
    if stage == "road_canvas":
        from reverie.model.road.canvas import Config as Widths
        from reverie.train.road_canvas import train_road_canvas

        return train_road_canvas(data, out, config=Widths(plan.canvas_width), **how)
    if stage == "eyes":
        from reverie.train.eyes import train_eyes

        return train_eyes(data, out, **how)
    raise BadInput(f"no stage {stage!r} of the road: {', '.join(FILES)}")


def own_data(stage: str, plan) -> dict:
    """What ``data.make`` is told where a stage has no data: traces for traffic, and towns for the other two."""
    clips, seconds, seed = {"traffic": (plan.traces, 11.0, 5), "road_canvas": (plan.towns, 8.0, 71),
                            "eyes": (plan.streets, 11.0, 5)}[stage]
    return {"clips": clips, "seconds": seconds, "seed": seed}
