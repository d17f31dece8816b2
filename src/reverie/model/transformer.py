"""The transformer: in every latent frame first the things, then the views painted given them.

Two groups of tokens, each with its own weights in every layer, joined by attention. Who sees whom:

    things see   the things of their latent and of the past: the last ``things_window`` latents and every
                 ``stride``-th one before, so that a whole minute stays in view; and views that were given
                 (an image, a video), of their own latent, the one before and the goal
    views see    the views of their latent, of the last ``views_window`` latents and of the first one (every
                 ``stride``-th one too in every fourth layer), the goal, and their own latent's things
                 (but for views that were given: those are not painted)

The same forward serves training (a window of many latents, no memory) and sampling (one latent, with the
keys and values of the past in a memory): tested to give the same numbers.

Legend: B batch, T latent frames, S thing tokens (things, then camera, then setting), H W cells, L = H W, C latent
channels, D width, A action channels, R script lines, P text tokens of a line, M keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reverie.core.actions import CAMERA, Action
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.model import motion
from reverie.model import things as th
from reverie.model.layers import Block, Rotary, fourier, rms_norm, rotate
from reverie.model.sketch import Sketch
from reverie.model.text import TextEncoder
from reverie.model.window import Output, Past, Text, Window

Runner = Callable[[Window, Text, Past], Output]


@dataclass(frozen=True)
class Config:
    """One dial, ``depth``, sets the size; the rest says what is seen and what goes in.

    stride: 0 for views that see the last ``views_window`` latents and nothing before.
    """

    depth: int = 6
    channels: int = 32  # of the tokenizer's latents
    text: int = 512  # width of the pretrained token vectors
    things_window: int = 16
    views_window: int = 4
    stride: int = 8
    actions: int = len(CAMERA)
    slots: int = th.MAX_THINGS  # thing tokens that it was trained with
    drive: tuple[Action, ...] = CAMERA  # what they are

    def __post_init__(self) -> None:
        drive = tuple(Action(**one) if isinstance(one, dict) else one for one in self.drive)  # JSON gives dicts
        object.__setattr__(self, "drive", drive)
        object.__setattr__(self, "actions", len(drive))

    @property
    def of_a_log(self) -> bool:
        """Whether it was trained on a recorded log: then it has that log's actions, and imagines no things."""
        return self.drive != CAMERA

    @property
    def width(self) -> int:
        """D: 32 channels for each layer."""
        return 32 * self.depth

    def to_dict(self) -> dict:
        """Plain values, for a model file; a camera's actions are not named."""
        plain = asdict(self)
        if not self.of_a_log:
            del plain["drive"]
        return plain


def _sees(queries: Tensor, keys: Tensor, window: int, stride: int | None, first: bool) -> Tensor:
    """(B, T, T) bool: which latents of ``keys`` (B, T) the latents of ``queries`` (B, T) look at."""
    gap = queries[:, :, None] - keys[:, None, :]
    near = gap < window
    if stride is not None:
        near = near | (keys % stride == 0)[:, None, :]
    if first:
        near = near | (keys == 0)[:, None, :]
    return (gap >= 0) & near


def _spread(mask_BTT: Tensor, rows: int, columns: int) -> Tensor:
    """A mask between latents to one between their tokens."""
    return mask_BTT.repeat_interleave(rows, 1).repeat_interleave(columns, 2)


def expected(noisy: Tensor, level: Tensor, prior: Tensor, variance: Tensor) -> Tensor:
    """What is best said of x, of this mean and variance, from the noisy x alone: the network says the rest.

    Without it the first hundreds of steps go into learning to copy what has little noise.
    """
    keep = 1 - level
    gain = keep * variance / (keep**2 * variance + level**2).clamp(min=1e-6)
    return prior + gain * (noisy - keep * prior)


def _seen(sources: list[tuple[Tensor, ...]], latents: int) -> Tensor | None:
    """(B, 1 or T N, M) bool: which keys of the past's sources and of this pass's own, the last, its queries see: of
    their own latents no later one. None where each sees all."""
    if latents == 1 and all(len(source) == 2 for source in sources):
        return None
    masks = [s[2] if len(s) > 2 else s[0].new_ones(s[0].shape[0], latents, s[0].shape[1], dtype=torch.bool)
             for s in sources]
    if latents == 1:
        return torch.cat(masks, 2)
    tokens = masks[-1].shape[2] // latents
    order = torch.arange(latents, device=masks[-1].device)
    own = order[:, None] >= order
    masks[-1] = own.repeat_interleave(tokens, 1).expand_as(masks[-1])
    return torch.cat(masks, 2).repeat_interleave(tokens, 1)


def _level(w: Window) -> Tensor:
    """(B, T): the noise level of a latent's things, that of its noisiest token."""
    return w.things_noise.amax(-1)


class Transformer(nn.Module):
    """Denoises things and views; see the module's head."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = c = config
        d, heads, kv = c.width, 4, 2
        self.head = d // heads
        self.half = False  # whether it paints in bfloat16 when dreaming
        self.runner: Runner | None = None  # what makes the passes of dreams instead of ``forward``, if anything does
        self.rotary = Rotary(self.head)
        self.text_encoder = TextEncoder(d, vector_width=c.text)
        # things
        self.things_in = nn.ModuleList(nn.Linear(2 * th.WIDTH, d) for _ in range(3))
        self.slots = nn.Parameter(0.5 * torch.randn(th.TOKENS, d))
        self.levels_in = nn.Linear(2, d, bias=False)  # noise of a thing token and of the one before it
        self.things_out = nn.ModuleList(nn.Linear(d, th.WIDTH) for _ in range(3))
        # views
        self.views_in = nn.Linear(c.channels, d)
        self.sketch = Sketch(d)
        self.views_out = nn.Linear(d, c.channels)
        self.marks = nn.Parameter(torch.zeros(3, d))  # a known thing, a known view, a goal
        # conditions
        self.condition = nn.ModuleDict({g: nn.Sequential(nn.Linear(4 * 64, d), nn.SiLU(), nn.Linear(d, d))
                                        for g in ("things", "views")})
        self.actions_in = nn.Linear(2 * FRAMES_PER_LATENT * c.actions, d)
        self.gains = nn.ModuleDict({g: nn.Linear(d, 6 * d) for g in ("things", "views")})
        self.final = nn.ModuleDict({g: nn.Linear(d, 2 * d) for g in ("things", "views")})
        for module in (*self.things_out, self.views_out, *self.gains.values(), *self.final.values()):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
        self.layers = nn.ModuleDict({
            "things": nn.ModuleList(Block(d, heads, kv, text=i % 2 == 0) for i in range(c.depth)),
            "views": nn.ModuleList(Block(d, heads, kv, text=i % 4 == 1) for i in range(c.depth)),
        })

    def reckoning(self, pictures: bool = True) -> torch.autocast:
        """A context in which networks of a dream reckon in bfloat16 where ``half``, else as they are; things are few,
        and exact: they always do as they are."""
        return torch.autocast(self.marks.device.type, torch.bfloat16, enabled=self.half and pictures)

    # -- text ---------------------------------------------------------------------------------------------

    def encode_text(self, vectors_BRPD: Tensor, mask_BRP: Tensor) -> Text:
        """A batch of scripts (pretrained vectors of R lines of P tokens) to what the layers look at."""
        b, r, p = mask_BRP.shape
        tokens = self.text_encoder(vectors_BRPD.flatten(0, 1), mask_BRP.flatten(0, 1)).view(b, r * p, -1)
        layers = {group: [block.text.keys_values(tokens) for block in blocks if block.text is not None]
                  for group, blocks in self.layers.items()}
        line = torch.arange(r, device=tokens.device)[None, :, None].expand(b, r, p)
        return Text(layers, torch.where(mask_BRP, line, -1).reshape(b, r * p))

    def no_words(self, batch: int) -> Text:
        """A script without a word, for each of a batch."""
        mask = torch.zeros(batch, 1, 1, dtype=torch.bool, device=self.marks.device)
        return self.encode_text(torch.zeros(*mask.shape, self.config.text, device=mask.device), mask)

    def things_parameters(self) -> list[str]:
        """The names of what imagines things and paints nothing; the text's encoder, which both groups read, is one."""
        own = ("layers.things.", "things_in.", "things_out.", "slots", "levels_in.", "condition.things.",
               "gains.things.", "final.things.", "text_encoder.")
        return [name for name, _ in self.named_parameters() if name.startswith(own)]

    def views_parameters(self) -> list[str]:
        """The names of what paints views alone; what both groups read (text, actions, marks) is not among them."""
        others = {*self.things_parameters(), "actions_in.weight", "actions_in.bias", "marks"}
        return [name for name, _ in self.named_parameters() if name not in others]

    def draw(self, things: Tensor, grid: tuple[int, int]) -> Tensor:
        """Thing tokens (B, T, S, WIDTH) sketched onto a view's cells: (B, T, H, W, D)."""
        things = motion.plain(things)
        return self.sketch(things[:, :, :-2], things[:, :, -2], things[:, :, -1], *grid)

    # -- the pass -----------------------------------------------------------------------------------------

    def forward(self, w: Window, text: Text, past: Past | None = None) -> Output:
        """One pass over the latents of ``w``; with ``past``, the past is what memory holds, and T is 1, or 2 of things
        alone, of which the first is finished."""
        states, gains, turns = {}, {}, {}
        if w.things is not None:
            states["things"] = self._embed_things(w)
            gains["things"] = self.gains["things"](F.silu(self._conditions("things", w, _level(w))))
            zeros = torch.zeros_like(w.index)
            time = torch.stack([w.index, zeros, zeros], -1).repeat_interleave(w.things.shape[2], 1)
            turns["things"] = self.rotary(time)
        if w.views is not None:
            states["views"] = self._embed_views(w)
            gains["views"] = self.gains["views"](F.silu(self._conditions("views", w, w.views_noise)))
            turns["views"] = self.rotary(self._view_positions(w))
        if w.things is not None and (w.views is not None or w.grid is not None):
            turns["place"] = self.rotary(self.thing_positions(w))
        masks = self._masks(w, text, past is not None)
        gains = {g: x.unflatten(-1, (6, -1)) for g, x in gains.items()}
        things_keys, views_keys, count = [], [], {"things": 0, "views": 0}
        for i in range(self.config.depth):
            blocks = {g: self.layers[g][i] for g in states}
            inputs = {g: blocks[g].before(states[g], gains[g]).flatten(1, 2) for g in states}
            if "things" in states:
                key, value = blocks["things"].attention.keys_values(inputs["things"])
                placed = rotate(key, turns["place"]) if "place" in turns else key
                things_keys.append((rotate(key, turns["things"]), placed, value))
            if "views" in states:
                key, value = blocks["views"].attention.keys_values(inputs["views"])
                views_keys.append((rotate(key, turns["views"]), value))
            for g in states:
                attention = blocks[g].attention
                sources = self._sources(g, i, w, things_keys, views_keys, past)
                queries = rotate(attention.queries(inputs[g]), turns[g])
                keys, values = [s[0] for s in sources], [s[1] for s in sources]
                mask = masks[g][i % 4 == 3] if past is None else _seen(sources, w.index.shape[1])
                attended = attention.attend(queries, keys, values, mask).view_as(states[g])
                words = None
                if blocks[g].text is not None and not self.config.of_a_log:
                    words = (*text.layers[g][count[g]], masks[g + " text"])
                    count[g] += 1
                states[g] = blocks[g].after(states[g], gains[g], attended, words)
        return Output(self._things_out(states["things"], w) if "things" in states else None,
                      self._views_out(states["views"], w) if "views" in states else None,
                      things_keys, views_keys)

    def _sources(self, group: str, i: int, w: Window, things_keys: list, views_keys: list,
                 past: Past | None) -> list[tuple[Tensor, ...]]:
        """The keys and values that a group looks at in layer i: the past's, then this pass's own."""
        sources: list[tuple[Tensor, ...]] = []
        if group == "things":
            if past is not None:
                sources += past.things[i : i + 1] + past.given[i : i + 1]
            sources.append((things_keys[i][0], things_keys[i][2]))
            if w.views is not None:
                sources.append(views_keys[i])
        else:
            if past is not None:
                sources += past.views[i : i + 1] + past.scene[i : i + 1]
            sources.append(views_keys[i])
            if w.things is not None:
                sources.append((things_keys[i][1], things_keys[i][2]))
        return sources

    def _masks(self, w: Window, text: Text, remembered: bool) -> dict:
        """Per group its masks over this pass's own keys (local layers, global layers), and over the text."""
        c, masks = self.config, {}
        line = torch.where(w.line < 0, -2, w.line)
        for g, x in (("things", w.things), ("views", w.views)):
            if x is not None:
                tokens = x.shape[2] if g == "things" else x.shape[2] * x.shape[3]
                masks[g + " text"] = (line[:, :, None] == text.line[:, None, :]).repeat_interleave(tokens, 1)
        if remembered:
            return masks
        b, t = w.index.shape
        nowhere = w.index.new_zeros(b, t, dtype=torch.bool)
        goal = nowhere if w.goal is None else w.goal
        cells = 0 if w.views is None else w.views.shape[2] * w.views.shape[3]
        tokens = 0 if w.things is None else w.things.shape[2]
        if w.things is not None:
            sees = _sees(w.index, w.index, c.things_window, c.stride or None, False) & w.things_seen[:, None, :]
            if w.things_done is not None:
                sees = sees & (w.things_done[:, None, :] | torch.eye(t, dtype=torch.bool, device=goal.device))
            mask = _spread(sees & ~goal[:, None, :], tokens, tokens)
            if w.views is not None:
                gap = w.index[:, :, None] - w.index[:, None, :]
                near = ((gap >= 0) & (gap < 2) & w.views_known[:, None, :]) | goal[:, None, :]
                mask = torch.cat([mask, _spread(near, tokens, cells)], 2)
            masks["things"] = (mask, mask)
        if w.views is not None:
            both = []
            for stride in (None, c.stride or None):
                sees = _sees(w.index, w.index, c.views_window, stride, c.stride > 0) & ~goal[:, None, :]
                sees = sees | goal[:, None, :]
                mask = _spread(sees, cells, cells)
                if w.things is not None:
                    own = torch.eye(t, dtype=torch.bool, device=goal.device)[None]
                    scene = own & w.things_seen[:, None, :] & ~(w.views_known | goal)[:, :, None]
                    mask = torch.cat([mask, _spread(scene, cells, tokens)], 2)
                both.append(mask)
            masks["views"] = tuple(both)
        return masks

    # -- in and out ---------------------------------------------------------------------------------------

    def _conditions(self, group: str, w: Window, noise_BT: Tensor) -> Tensor:
        """(B, T, 1, D) from noise level, frame rate, time since the line began, actions."""
        whole = torch.stack([noise_BT, (w.fps / 60.0)[:, None].expand_as(noise_BT),
                             torch.log1p(w.since.clamp(0, 60)) / 4.2, w.since.clamp(0, 8) / 8.0], -1)
        known = torch.isfinite(w.actions)
        actions = self.actions_in(torch.cat([torch.nan_to_num(w.actions), known.to(w.actions.dtype)], -1))
        return (self.condition[group](fourier(whole, 64).flatten(-2)) + actions)[:, :, None]

    def _embed_things(self, w: Window) -> Tensor:
        pair = torch.cat([w.things, w.previous * (w.previous_noise < 1)[..., None]], -1)
        n = w.things.shape[2] - 2
        slots = torch.cat([self.slots[:n], self.slots[-2:]])
        parts = [self.things_in[0](pair[:, :, :n]), self.things_in[1](pair[:, :, n : n + 1]),
                 self.things_in[2](pair[:, :, n + 1 :])]
        levels = torch.stack([w.things_noise, w.previous_noise], -1)
        x = torch.cat(parts, 2) + slots + self.levels_in(levels)
        return x + w.things_known[..., None] * self.marks[0]

    def _things_out(self, x: Tensor, w: Window) -> Tensor:
        gain, shift = self.final["things"](F.silu(self._conditions("things", w, _level(w)))).chunk(2, -1)
        x = rms_norm(x) * (1 + gain) + shift
        n = w.things.shape[2] - 2
        out = torch.cat([self.things_out[0](x[:, :, :n]), self.things_out[1](x[:, :, n : n + 1]),
                         self.things_out[2](x[:, :, n + 1 :])], 2)
        prior, variance = w.ahead or motion.continuation(w.previous, w.previous_noise, w.fps)
        return out.float() + expected(w.things, w.things_noise[..., None], prior, variance)

    def _embed_views(self, w: Window) -> Tensor:
        b, t, height, width, _ = w.views.shape
        x = self.views_in(w.views)
        given = w.views_known if w.goal is None else w.views_known | w.goal
        drawn = w.sketch if w.things is None else self.draw(w.things, (height, width))
        if drawn is not None:
            shown = w.things_seen & ~given
            x = x + drawn * shown[:, :, None, None, None]
        x = x + w.views_known[:, :, None, None, None] * self.marks[1]
        if w.goal is not None:
            x = x + w.goal[:, :, None, None, None] * self.marks[2]
        return x.flatten(2, 3)

    def _views_out(self, x: Tensor, w: Window) -> Tensor:
        b, t, height, width, c = w.views.shape
        gain, shift = self.final["views"](F.silu(self._conditions("views", w, w.views_noise))).chunk(2, -1)
        out = self.views_out(rms_norm(x) * (1 + gain) + shift).view(b, t, height, width, c)
        level = w.views_noise[:, :, None, None, None]
        return out.float() + expected(w.views, level, torch.zeros_like(w.views), torch.ones_like(level))

    # -- positions ----------------------------------------------------------------------------------------

    def _view_positions(self, w: Window) -> Tensor:
        b, t, height, width, _ = w.views.shape
        device = w.views.device
        y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
        place = torch.stack([y, x], -1).flatten(0, 1)[None, None].expand(b, t, -1, 2)
        time = w.index[:, :, None, None].expand(b, t, height * width, 1)
        return torch.cat([time, place], -1).flatten(1, 2)

    def thing_positions(self, w: Window) -> Tensor:
        """(B, T S, 3): where the view sees each thing token, in cells; camera and setting stand in the middle."""
        b, t = w.index.shape
        height, width = w.views.shape[2:4] if w.views is not None else w.grid
        cameras = th.cameras_of(w.things[:, :, -2].float())
        local, _ = th.place(w.things[:, :, :-2].float(), cameras)
        local = local.mean(3)
        focal = 0.5 * height / torch.tan(torch.deg2rad(cameras.fovy) / 2)[..., None]
        depth = local[..., 2].clamp(min=0.3)
        y = (0.5 * height - focal * local[..., 1] / depth).clamp(-height, 2 * height)
        x = (0.5 * width + focal * local[..., 0] / depth).clamp(-width, 2 * width)
        place = torch.stack([y, x], -1)
        middle = place.new_tensor([height / 2, width / 2]).expand(b, t, 2, 2)
        time = w.index[:, :, None, None].expand(b, t, w.things.shape[2], 1)
        return torch.cat([time.to(place.dtype), torch.cat([place, middle], 2)], -1).flatten(1, 2)
