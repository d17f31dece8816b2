"""A dream's passes of the transformer by ONNX Runtime, where it is installed: the same weights, less overhead.

Each kind of pass is exported once and kept in a folder of its own. It is in fp32: in int8 (dynamic, per channel,
reduced range) the numbers of things err by up to 0.23, for a sixth less time.

Legend as in transformer.py.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from reverie.core.errors import CannotWrite
from reverie.core.files import writing
from reverie.model.standin import Flat, StandIn
from reverie.model.transformer import Transformer

SWITCH = "REVERIE_ONNX"  # in the environment: 0 leaves ONNX Runtime alone
KEPT = 8  # exported passes, of some 14 MB each: the latest
CODE = ("exported.py", "standin.py", "layers.py", "transformer.py")  # what a graph is made by


def installed() -> bool:
    """Whether there is all that it takes, and nobody said no."""
    there = all(importlib.util.find_spec(name) is not None for name in ("onnxruntime", "onnx"))
    return there and os.environ.get(SWITCH, "") != "0"


class Exported(StandIn):
    """weights: a name of the transformer's weights, by which its exported form is kept."""

    called = "ONNX Runtime"

    def __init__(self, model: Transformer, weights: str, tell: Callable[[str], None] | None = None) -> None:
        super().__init__(model, tell)
        self.weights = weights
        self.sessions: dict[tuple[str, int], object] = {}

    def made(self, group: str, latents: int, inputs: dict[str, Tensor]) -> Sequence[Tensor]:
        """As StandIn.made."""
        if (group, latents) not in self.sessions:
            self.sessions[group, latents] = self._session(group, latents, inputs)
        session = self.sessions[group, latents]
        feeds = {one.name: inputs[one.name].contiguous().numpy() for one in session.get_inputs()}
        return [torch.from_numpy(made) for made in session.run(None, feeds)]

    def _session(self, group: str, latents: int, inputs: dict[str, Tensor]):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        # its threads would keep a core busy between passes, which drawing and the video's encoder want
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        path = Path(home) / "reverie" / f"{group}-{latents}-{self._name(onnxruntime.__version__)}.onnx"
        if not path.is_file():
            graph = exported(group, self.model, inputs)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with writing(path, "wb") as file:
                    file.write(graph)
                for old in sorted(path.parent.glob("*.onnx"), key=lambda one: one.stat().st_mtime)[:-KEPT]:
                    old.unlink(missing_ok=True)
            except (OSError, CannotWrite):  # then it is exported anew each time
                return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def _name(self, version: str) -> str:
        """Of these weights, this code and these versions."""
        code = [(Path(__file__).parent / name).read_bytes() for name in CODE]
        said = f"{self.weights} {torch.__version__} {version}".encode()
        return hashlib.sha256(b"".join([said, *code])).hexdigest()[:20]


def exported(group: str, model: Transformer, inputs: dict[str, Tensor]) -> bytes:
    """An ONNX graph of one group's passes over as many latents, of any batch, size of picture, text and past. By the
    tracing exporter: the newer one takes twenty times as long, and gives a graph that does not load (torch 2.13)."""
    axes = {name: {0: "B"} for name in inputs}
    for name in inputs:
        if name.startswith(("word", "key", "value", "own")):
            axis = 1 if name.startswith("word") else 2
            axes[name][axis] = "P" if name.startswith("word") else f"M{name.lstrip('keyvaluown')}"
        elif name in ("views", "sketch"):
            axes[name] |= {2: "H", 3: "W"}
    made, names = io.BytesIO(), list(inputs)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(Flat(group, model, names).eval(), tuple(x.clone() for x in inputs.values()), made,
                          input_names=names, dynamic_axes=axes, opset_version=18, dynamo=False)
    return made.getvalue()
