"""What ships: the models in the package, and what each says of itself."""

from __future__ import annotations

import json

from reverie.core.errors import BadInput, BadWeights
from reverie.model.checkpoint import load_model
from reverie.world import WEIGHTS


def models() -> list[dict]:
    """The models that ship with the package: name, files, sizes in bytes, what they were made with."""
    found = []
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        try:
            meta = load_model(path)[1]
        except BadWeights as error:
            meta = {"error": str(error)}
        card = next((c.name for c in sorted(WEIGHTS.glob("*.md")) if path.stem.startswith(c.stem)), "base.md")
        found.append({"name": path.stem, "bytes": path.stat().st_size, "card": card,
                      **{k: meta[k] for k in ("kind", "recipe", "commit", "scores", "error", "size") if k in meta}})
    return json.loads(json.dumps(found, default=str))


def card(name: str) -> str:
    """The whole card of a model that ships, by its name or a card's. Raises BadInput for any other."""
    cards = {model["name"]: model["card"] for model in models()}
    cards |= {path.stem: path.name for path in WEIGHTS.glob("*.md")}
    if name not in cards:
        raise BadInput(f"no card of a model {name!r}: {', '.join(sorted(cards))}")
    return (WEIGHTS / cards[name]).read_text(encoding="utf-8")
