"""The transformer's bricks: norms, rotary positions, attention, gated MLP, conditioning.

Legend: B batch, N tokens (queries), M keys, D width, G heads, K key/value heads, E head width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def rms_norm(x: Tensor) -> Tensor:
    """Root-mean-square norm over the last dimension, no gain."""
    if torch.onnx.is_in_onnx_export():  # its tracing knows none; with a gain ONNX Runtime makes one node of it
        return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * torch.ones(x.shape[-1])
    return F.rms_norm(x, (x.shape[-1],), eps=1e-6)


def fourier(values: Tensor, width: int, *, scale: float = 1000.0) -> Tensor:
    """Sinusoidal features (..., width) of values (...) in about 0..1 (after ``scale``: 0..1000)."""
    half = width // 2
    rates = torch.exp(-math.log(10000.0) * torch.arange(half, device=values.device) / half)
    angles = values.float()[..., None] * scale * rates
    return torch.cat([angles.cos(), angles.sin()], -1)


class Rotary(nn.Module):
    """3-D rotary positions (time, y, x): the head's width is shared out among the three axes.

    Time is in latents, up to thousands; y and x are in latent cells.
    """

    def __init__(self, head: int) -> None:
        super().__init__()
        space = head // 3 // 2 * 2
        self.sizes = (head - 2 * space, space, space)
        self.spans = (2000.0, 100.0, 100.0)

    def forward(self, positions_BN3: Tensor) -> tuple[Tensor, Tensor]:
        """Positions (B, N, 3) to the cosines and sines (B, N, 1, E/2) that ``rotate`` wants."""
        angles = []
        for axis, (size, span) in enumerate(zip(self.sizes, self.spans, strict=True)):
            steps = torch.arange(size // 2, device=positions_BN3.device) / max(size // 2, 1)
            angles.append(positions_BN3[..., axis, None].float() * span**-steps)
        angle = torch.cat(angles, -1)[:, :, None]
        return angle.cos(), angle.sin()


def rotate(x_BNGE: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair of channels of x by its token's angles."""
    cos, sin = turn
    a, b = x_BNGE.float().chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1).to(x_BNGE.dtype)


class Attention(nn.Module):
    """Projections of one token group: queries, few-headed keys and values, output; QK-norm."""

    def __init__(self, width: int, heads: int, kv_heads: int) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head = heads, kv_heads, width // heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * kv_heads * self.head, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.out.weight)

    def queries(self, x_BND: Tensor) -> Tensor:
        """(B, N, G, E), normed, not yet rotated."""
        return rms_norm(self.query(x_BND).unflatten(-1, (self.heads, self.head)))

    def keys_values(self, x_BMD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys (normed, not yet rotated) and values, each (B, M, K, E)."""
        k, v = self.key_value(x_BMD).unflatten(-1, (2, self.kv_heads, self.head)).unbind(-3)
        return rms_norm(k), v

    def attend(self, q_BNGE: Tensor, keys_BMKE: Sequence[Tensor], values_BMKE: Sequence[Tensor], mask: Tensor | None
               ) -> Tensor:
        """(B, N, D). keys, values: of one source or of several, one after the other. mask: boolean (B or 1, N, M) over
        all of them, True where a query may look, or None for all.

        A query that may look nowhere gets zeros.
        """
        q = q_BNGE.transpose(1, 2)
        if mask is not None:
            mask = mask[:, None]
        if torch.onnx.is_in_onnx_export():
            y = self._apart(q, keys_BMKE, values_BMKE, mask)
        else:
            k, v = (torch.cat(list(parts), 1).transpose(1, 2) for parts in (keys_BMKE, values_BMKE))
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        if mask is not None:
            y = y.masked_fill(~mask.any(-1, keepdim=True), 0.0)
        return self.out(y.transpose(1, 2).flatten(-2))

    def _apart(self, q_BGNE: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], mask: Tensor | None) -> Tensor:
        """The same (B, G, N, E) source by source: what is remembered is neither copied nor turned."""
        grouped = q_BGNE.unflatten(1, (self.kv_heads, -1)) * self.head**-0.5
        scores = torch.cat([grouped @ k.transpose(1, 2)[:, :, None].transpose(-1, -2) for k in keys], -1)
        scores = scores if mask is None else torch.where(mask[:, :, None], scores, -1e9)
        rest, made = scores.softmax(-1), []
        for v in values[:-1]:
            made.append(rest[..., : v.shape[1]] @ v.transpose(1, 2)[:, :, None])
            rest = rest[..., v.shape[1] :]
        return sum(made, rest @ values[-1].transpose(1, 2)[:, :, None]).flatten(1, 2)


class GatedMLP(nn.Module):
    """SiLU-gated two-layer network."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.up(x).chunk(2, -1)
        return self.down(F.silu(gate) * value)


class Block(nn.Module):
    """What one token group owns in one layer: self-attention, text attention, MLP, and their gains.

    The residual stream is (B, T, N, D): N tokens in each of T latent frames. The conditioning enters as
    adaLN: ``gains`` (B, T, 1, 6, D), made once per pass, to which each layer adds its own table.
    """

    def __init__(self, width: int, heads: int, kv_heads: int, *, text: bool) -> None:
        super().__init__()
        self.attention = Attention(width, heads, kv_heads)
        self.text = Attention(width, heads, kv_heads) if text else None
        self.mlp = GatedMLP(width, 32 * round(width * 8 / 3 / 32))
        table = torch.zeros(6, width)
        table[2] = table[5] = 1.0
        self.table = nn.Parameter(table)

    def before(self, x: Tensor, gains: Tensor) -> Tensor:
        """The input of self-attention."""
        gain, shift = (gains + self.table)[..., :2, :].flatten(-2).chunk(2, -1)
        return rms_norm(x) * (1 + gain) + shift

    def after(self, x: Tensor, gains: Tensor, attended: Tensor, text: tuple[Tensor, Tensor, Tensor] | None) -> Tensor:
        """The residual stream after attention's result, the text and the MLP are added."""
        of_attended, gain, shift, of_made = (gains + self.table)[..., 2:, :].flatten(-2).chunk(4, -1)
        x = x + of_attended * attended
        if self.text is not None and text is not None:
            keys, values, mask = text
            queries = self.text.queries(rms_norm(x).flatten(1, 2))
            x = x + self.text.attend(queries, [keys], [values], mask).view_as(x)
        return x + of_made * self.mlp(rms_norm(x) * (1 + gain) + shift)
