"""What makes a dream's passes of the transformer instead of its plain forward, if it can be trusted to.

A pass over the 14 thing tokens of a latent is mostly overhead. Whatever has less is given all that goes into a pass as
tensors by name, and held against the plain path before it is trusted: on the first pass of each kind, and on the first
of that kind that has a past.

Legend as in transformer.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from reverie.model.layers import rotate
from reverie.model.transformer import Transformer, expected
from reverie.model.window import Output, Past, Text, Window

TOLERANCE = 1e-4  # of any number of what is imagined or remembered: what dreams side by side may differ by
HALF = 0.1  # the same in bfloat16
ALL = ("index", "fps", "line", "since", "actions")
OWN = {"things": ("things", "things_noise", "things_known", "previous", "previous_noise"),
       "views": ("views", "views_noise", "views_known", "goal", "things_seen", "sketch")}


class StandIn:
    """As Transformer.forward, over one latent's things or views, or two latents' things; by that itself once what is
    used instead has failed or gone astray. called: what that is, for people."""

    called = ""

    def __init__(self, model: Transformer, tell: Callable[[str], None] | None = None) -> None:
        self.model = model
        self.tell = tell or (lambda text: print(f"reverie: {text}", file=sys.stderr, flush=True))
        self.trusted: set[tuple[str, int, bool]] = set()
        self.given_up = False

    def made(self, group: str, latents: int, inputs: dict[str, Tensor]) -> Sequence[Tensor]:
        """What Flat gives for these inputs."""
        raise NotImplementedError

    def __call__(self, w: Window, text: Text, past: Past) -> Output:
        if self.given_up:
            return self.model(w, text, past)
        kind = ("things" if w.views is None else "views", w.index.shape[1], bool(past.things or past.views))
        try:
            output = self._pass(*kind[:2], w, text, past)
        except Exception as error:  # whatever it is, the plain path does without
            return self._plain(w, text, past, f"{type(error).__name__}: {str(error).splitlines()[0][:120]}")
        if kind not in self.trusted:
            plain = self.model(w, text, past)
            apart = max(float((a - b).abs().max()) for a, b in zip(_numbers(output), _numbers(plain), strict=True))
            if not apart <= (HALF if self.model.half and kind[0] == "views" else TOLERANCE):
                return self._plain(w, text, past, f"it differs by {apart:.2g} from the plain path")
            self.trusted.add(kind)
        return output

    def _plain(self, w: Window, text: Text, past: Past, why: str) -> Output:
        self.given_up = True
        self.tell(f"going on without {self.called}: {why}")
        return self.model(w, text, past)

    def _pass(self, group: str, latents: int, w: Window, text: Text, past: Past) -> Output:
        seen, *keys = self.made(group, latents, inputs_of(group, self.model, w, text, past))
        if group == "views":
            return Output(None, seen, [], list(zip(*keys, strict=True)))
        turned, placed, values = keys
        if w.grid is not None:
            placed = rotate(placed, self.model.rotary(self.model.thing_positions(w)))
        things = seen + expected(w.things, w.things_noise[..., None], *w.ahead)
        return Output(things, None, list(zip(turned, placed, values, strict=True)), [])


def _numbers(output: Output) -> list[Tensor]:
    """All that a pass gives."""
    seen = output.views if output.things is None else output.things
    return [seen, *(part for keys in (output.things_keys, output.views_keys) for layer in keys for part in layer)]


def inputs_of(group: str, model: Transformer, w: Window, text: Text, past: Past) -> dict[str, Tensor]:
    """All that a pass is made from, by name. What a layer sees of the past is one, with a mask of which of it is a
    row's own: where there is none, one key that nobody sees."""
    c, (b, t) = model.config, w.index.shape
    found = {name: getattr(w, name) for name in (*ALL, *OWN[group])}
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
            pairs = [(none, none, w.since.new_zeros(b, t, 1, dtype=torch.bool))]
        own = [pair[2] if len(pair) > 2 else w.since.new_ones(b, t, pair[0].shape[1], dtype=torch.bool)
               for pair in pairs]
        found[f"own{i}"] = own[0] if len(own) == 1 else torch.cat(own, 2)
        for name, rows in (("key", [p[0] for p in pairs]), ("value", [p[1] for p in pairs])):
            found[f"{name}{i}"] = rows[0] if len(rows) == 1 else torch.cat(rows, 1)
        for name in (f"key{i}", f"value{i}"):  # (B, K, M, E), as memory has it
            found[name] = found[name].transpose(1, 2).contiguous()
    return found


class Flat(nn.Module):
    """One group's pass as a function of tensors alone."""

    def __init__(self, group: str, model: Transformer, names: list[str]) -> None:
        super().__init__()
        self.group, self.model, self.names = group, model, names

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.names, tensors, strict=True))
        w = Window(**{name: given[name] for name in (*ALL, *OWN[self.group])})
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
