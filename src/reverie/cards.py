"""What ships: the models in the package, and what each says of itself."""

from __future__ import annotations

import json

from reverie.core.errors import BadInput, BadWeights
from reverie.model.checkpoint import load_model
from reverie.world import WEIGHTS, card_of


def models() -> list[dict]:
    """The models that ship with the package: name, files, sizes in bytes, what they were made with."""
    found = []
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        try:
            meta = load_model(path)[1]
        except BadWeights as error:
            meta = {"error": str(error)}
        found.append({"name": path.stem, "bytes": path.stat().st_size, "card": card_of(path.stem).name,
                      **{k: meta[k] for k in ("kind", "recipe", "commit", "scores", "error", "size") if k in meta}})
    return json.loads(json.dumps(found, default=str))


def card(name: str) -> str:
    """The whole card of a model that ships, by its name or a card's. Raises BadInput for any other."""
    names = sorted({path.stem for kind in ("*.safetensors", "*.md") for path in WEIGHTS.glob(kind)})
    if name not in names:
        raise BadInput(f"no card of a model {name!r}: {', '.join(names)}")
    return card_of(name).read_text(encoding="utf-8")
