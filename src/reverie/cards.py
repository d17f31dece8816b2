"""What ships: the models in the package, and what each says of itself."""

from __future__ import annotations

import json

from reverie.core.errors import BadWeights
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
