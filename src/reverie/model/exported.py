"""A dream's passes of the transformer by ONNX Runtime, where it is installed: the same weights, less overhead.

A pass over the 14 thing tokens of a latent is mostly overhead. Each group's pass is exported once, kept in a folder of
its own, and held against the plain one before it is trusted: on the first pass of a dream, and on the first that has a
past. It is in fp32: in int8 (dynamic, per channel, reduced range) the numbers of things err by up to 0.23, for a sixth
less time.

Legend as in transformer.py.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from reverie.core.errors import CannotWrite
from reverie.core.files import writing
from reverie.model.layers import rotate
from reverie.model.transformer import Transformer, expected
from reverie.model.window import Output, Past, Text, Window

SWITCH = "REVERIE_ONNX"  # in the environment: 0 leaves ONNX Runtime alone
TOLERANCE = 1e-4  # of any number of what is imagined or remembered: what dreams side by side may differ by
KEPT = 8  # exported passes, of some 14 MB each: the latest
_WINDOW = {"things": ("things", "things_noise", "things_known", "previous", "previous_noise"),
           "views": ("views", "views_noise", "views_known", "goal", "things_seen", "sketch")}
_ALL = ("index", "fps", "line", "since", "actions")


def installed() -> bool:
    """Whether there is all that it takes, and nobody said no."""
    there = all(importlib.util.find_spec(name) is not None for name in ("onnxruntime", "onnx"))
    return there and os.environ.get(SWITCH, "") != "0"


class Exported:
    """What makes a transformer's passes, each over one latent's things or views. weights: a name of its weights, by
    which its exported form is kept."""

    def __init__(self, model: Transformer, weights: str, tell: Callable[[str], None] | None = None) -> None:
        self.model, self.weights = model, weights
        self.tell = tell or (lambda text: print(f"reverie: {text}", file=sys.stderr, flush=True))
        self.sessions: dict[str, object] = {}
        self.trusted: set[tuple[str, bool]] = set()
        self.given_up = False

    def __call__(self, w: Window, text: Text, past: Past) -> Output:
        """As Transformer.forward; by that itself once ONNX Runtime has failed or gone astray."""
        if self.given_up:
            return self.model(w, text, past)
        kind = ("things" if w.views is None else "views", bool(past.things or past.views))
        try:
            output = self._pass(w, text, past)
        except Exception as error:  # whatever it is, the plain path does without
            return self._plain(w, text, past, f"{type(error).__name__}: {str(error).splitlines()[0][:120]}")
        if kind not in self.trusted:
            plain = self.model(w, text, past)
            apart = max(float((a - b).abs().max()) for a, b in zip(_numbers(output), _numbers(plain), strict=True))
            if not apart <= TOLERANCE:
                return self._plain(w, text, past, f"it differs by {apart:.2g} from the plain path")
            self.trusted.add(kind)
        return output

    def _plain(self, w: Window, text: Text, past: Past, why: str) -> Output:
        self.given_up = True
        self.tell(f"ONNX Runtime is not used: {why}")
        return self.model(w, text, past)

    def _pass(self, w: Window, text: Text, past: Past) -> Output:
        group = "things" if w.views is None else "views"
        inputs = _inputs(group, self.model, w, text, past)
        if group not in self.sessions:
            self.sessions[group] = self._session(group, inputs)
        session = self.sessions[group]
        feeds = {one.name: inputs[one.name].contiguous().numpy() for one in session.get_inputs()}
        seen, *keys = (torch.from_numpy(made) for made in session.run(None, feeds))
        if group == "views":
            return Output(None, seen, [], list(zip(*keys, strict=True)))
        turned, placed, values = keys
        if w.grid is not None:
            placed = rotate(placed, self.model.rotary(self.model.thing_positions(w)))
        things = seen + expected(w.things, w.things_noise[..., None], *w.ahead)
        return Output(things, None, list(zip(turned, placed, values, strict=True)), [])

    def _session(self, group: str, inputs: dict[str, Tensor]):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        # its threads would keep a core busy between passes, which drawing and the video's encoder want
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        path = Path(home) / "reverie" / f"{group}-{self._name(onnxruntime.__version__)}.onnx"
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
        code = [(Path(__file__).parent / name).read_bytes() for name in ("exported.py", "layers.py", "transformer.py")]
        said = f"{self.weights} {torch.__version__} {version}".encode()
        return hashlib.sha256(b"".join([said, *code])).hexdigest()[:20]


def _numbers(output: Output) -> list[Tensor]:
    """All that a pass gives."""
    seen = output.views if output.things is None else output.things
    return [seen, *(part for keys in (output.things_keys, output.views_keys) for layer in keys for part in layer)]


def _inputs(group: str, model: Transformer, w: Window, text: Text, past: Past) -> dict[str, Tensor]:
    """All that a pass is made from, by name. What a layer sees of the past is one, with a mask of which of it is a
    row's own: where there is none, one key that nobody sees."""
    c, b = model.config, len(w.fps)
    found = {name: getattr(w, name) for name in (*_ALL, *_WINDOW[group])}
    if group == "views" and w.sketch is None:
        found["sketch"] = w.views.new_zeros(*w.views.shape[:4], c.width)
    found["words"] = text.line
    for i, (key, value) in enumerate(text.layers[group]):
        found |= {f"word_key{i}": key, f"word_value{i}": value}
    parts = [part for part in ((past.things, past.given) if group == "things" else (past.views, past.scene)) if part]
    for i in range(c.depth):
        pairs = [part[i] for part in parts]
        if not pairs:
            none = w.since.new_zeros(b, 1, model.layers[group][i].attention.kv_heads, model.head)
            pairs = [(none, none, none[..., 0, 0] > 0)]
        own = [pair[2] if len(pair) > 2 else torch.ones(pair[0].shape[:2], dtype=torch.bool) for pair in pairs]
        for name, rows in (("key", [p[0] for p in pairs]), ("value", [p[1] for p in pairs]), ("own", own)):
            found[f"{name}{i}"] = rows[0] if len(rows) == 1 else torch.cat(rows, 1)
        for name in (f"key{i}", f"value{i}"):  # (B, K, M, E), as memory has it
            found[name] = found[name].transpose(1, 2).contiguous()
    return found


class _Pass(nn.Module):
    """One group's pass as a function of tensors alone."""

    def __init__(self, group: str, model: Transformer, names: list[str]) -> None:
        super().__init__()
        self.group, self.model, self.names = group, model, names

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.names, tensors, strict=True))
        w = Window(**{name: given[name] for name in (*_ALL, *_WINDOW[self.group])})
        blocks = self.model.layers[self.group]
        texts = range(sum(block.text is not None for block in blocks))
        words = [(given[f"word_key{i}"], given[f"word_value{i}"]) for i in texts]
        seen = [(given[f"key{i}"].transpose(1, 2), given[f"value{i}"].transpose(1, 2), given[f"own{i}"])
                for i in range(len(blocks))]
        if self.group == "things":
            nothing = torch.zeros_like(w.things)  # what goes on as before is added outside
            w.ahead = nothing, nothing
        output = self.model(w, Text({self.group: words}, given["words"]), Past(**{self.group: seen}))
        made, keys = ((output.things, output.things_keys) if self.group == "things" else
                      (output.views, output.views_keys))
        return (made, *(torch.stack(part) for part in zip(*keys, strict=True)))


def exported(group: str, model: Transformer, inputs: dict[str, Tensor]) -> bytes:
    """An ONNX graph of one group's passes, of any batch, size of picture, text and past. By the tracing exporter: the
    newer one takes twenty times as long, and gives a graph that does not load (torch 2.13)."""
    axes = {name: {0: "B"} for name in inputs}
    for name in inputs:
        if name.startswith(("word", "key", "value", "own")):
            axis = 2 if name.startswith(("key", "value")) else 1
            axes[name][axis] = "P" if name.startswith("word") else f"M{name.lstrip('keyvaluown')}"
        elif name in ("views", "sketch"):
            axes[name] |= {2: "H", 3: "W"}
    made, names = io.BytesIO(), list(inputs)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(_Pass(group, model, names).eval(), tuple(x.clone() for x in inputs.values()), made,
                          input_names=names, dynamic_axes=axes, opset_version=18, dynamo=False)
    return made.getvalue()
