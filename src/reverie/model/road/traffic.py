"""Traffic imagined without a picture: the network that says how every agent may move in the next latent.

Every agent is a token. It looks at itself, at the line it is on (lanes, crossings, signals; or none) and at its
neighbours' tokens, and answers with a mixture of Gaussians over two numbers: how its speed changes, and how it moves
aside of its line. Our own car's two numbers are its actions: acceleration, and curvature beyond what keeps to the line.
Legend: B scenes, N agents, K neighbours, D width, M parts of the mixture.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from reverie.core.errors import BadWeights
from reverie.model.checkpoint import load_into, load_model
from reverie.model.layers import Attention, GatedMLP, rms_norm
from reverie.model.road.sight import NEAR, OWN, STEP, Scene, Sight, located, look, neighbours_of, tangents

PACE, ASIDE, BEND = 0.5, 0.1, 0.03  # of what is said: m/s, metres aside a latent, 1/m of our own car
LEAST = math.log(0.04)  # of a part's spread, in these units
ADAM = ("own.0", "near.0", "head")  # first and last layers are AdamW's


@dataclass(frozen=True)
class Config:
    """Sizes of the network."""

    width: int = 128
    depth: int = 3
    heads: int = 4
    parts: int = 6
    neighbours: int = 8

    def to_dict(self) -> dict:
        """JSON-ready."""
        return asdict(self)


class Layer(nn.Module):
    """One agent's token looks at its neighbours', then thinks."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads, heads // 2)
        self.other = nn.Linear(width, width, bias=False)
        self.mlp = GatedMLP(width, 32 * round(width * 8 / 3 / 32))

    def forward(self, x_BND: Tensor, near_BNKD: Tensor, who: Tensor, beside: Tensor) -> Tensor:
        """The tokens after this layer. near: what is seen of neighbours; who (B, N, K): which these are."""
        b, n, k = who.shape
        others = self.other(rms_norm(x_BND))
        tokens = rms_norm(near_BNKD + neighbours_of(others, who))
        keys, values = self.attention.keys_values(tokens.flatten(0, 1))
        queries = self.attention.queries(rms_norm(x_BND).reshape(b * n, 1, -1))
        seen = self.attention.attend(queries, [keys], [values], beside.reshape(b * n, 1, k))
        x_BND = x_BND + seen.view(b, n, -1)
        return x_BND + self.mlp(rms_norm(x_BND))


class Traffic(nn.Module):
    """Scene -> mixture over what each agent does in the next latent."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        d = config.width
        self.own = nn.Sequential(nn.Linear(OWN, 2 * d), nn.SiLU(), nn.Linear(2 * d, d))
        self.near = nn.Sequential(nn.Linear(NEAR, d), nn.SiLU(), nn.Linear(d, d))
        self.layers = nn.ModuleList(Layer(d, config.heads) for _ in range(config.depth))
        self.head = nn.Linear(d, 5 * config.parts)
        nn.init.normal_(self.head.weight, std=0.02)

    def forward(self, sight: Sight) -> Mixture:
        """What may come."""
        x = self.own(sight.own)
        near = self.near(sight.near)
        for layer in self.layers:
            x = layer(x, near, sight.who, sight.beside)
        return Mixture.of(self.head(rms_norm(x)).float(), self.config.parts)

    def see(self, scene: Scene) -> tuple[Scene, Sight]:
        """A scene with a line for everybody, and what everybody sees of it."""
        scene = scene.on_lines()
        return scene, look(scene, self.config.neighbours)

    @classmethod
    def load(cls, path) -> tuple[Traffic, dict]:
        """A model file's network, in evaluation mode, and what it says of itself. Raises BadWeights."""
        tensors, meta = load_model(path)
        if meta.get("kind") != "traffic":
            raise BadWeights(f"{path} is no model of traffic but of {meta.get('kind')}")
        model = cls(Config(**meta["config"]))
        load_into(model, tensors, path)
        return model.eval(), meta


@dataclass
class Mixture:
    """weights (B, N, M) logits; middle, spread (B, N, M, 2), spread the logarithm of it."""

    weights: Tensor
    middle: Tensor
    spread: Tensor

    @classmethod
    def of(cls, said: Tensor, parts: int) -> Mixture:
        """From the head's numbers (B, N, 5 M)."""
        weights, rest = said[..., :parts], said[..., parts:].unflatten(-1, (parts, 4))
        return cls(weights, rest[..., :2], (rest[..., 2:] - 1.0).clamp(LEAST, 2.0))

    def cost(self, what: Tensor) -> Tensor:
        """The negative logarithm of its density (B, N) at what happened (B, N, 2)."""
        gap = (what[..., None, :] - self.middle) * (-self.spread).exp()
        each = -(0.5 * gap.square() + self.spread + 0.919).sum(-1)
        return -torch.logsumexp(self.weights.log_softmax(-1) + each, -1)

    def draw(self, noise: Tensor, choice: Tensor, heat: float = 1.0) -> Tensor:
        """One of what may come (B, N, 2). noise (B, N, 2) ~ N(0, 1), choice (B, N) ~ U(0, 1); heat: how much of a
        part's spread there is; 0 takes the likeliest part's middle."""
        share = (self.weights / (1.0 if heat > 0 else 1e-3)).softmax(-1).cumsum(-1)
        part = (share < choice[..., None]).sum(-1).clamp(max=share.shape[-1] - 1)
        index = part[..., None, None].expand(*part.shape, 1, 2)
        middle, spread = (v.gather(-2, index)[..., 0, :] for v in (self.middle, self.spread))
        return middle + heat * noise * spread.exp()


def done(scene: Scene, sight: Sight, after: Tensor, actions: Tensor) -> Tensor:
    """What happened, as the network says it (B, N, 2). after (B, N, 2): where everybody is a latent later; actions
    (B, 2): our own car's mean curvature in 1/m and acceleration in m/s^2 meanwhile."""
    along, aside, _ = located(scene.line, tangents(scene.line), after)
    pace = ((along - sight.along) / STEP - scene.past[..., -1, 3]) / PACE
    others = torch.stack([pace, (aside - sight.aside) / ASIDE], -1)
    own = torch.stack([(actions[:, None, 1] * STEP / PACE).expand_as(pace),
                       (actions[:, None, 0] - sight.pursuit) / BEND], -1)
    return torch.where(scene.ego[..., None], own, others).clamp(-12, 12)
