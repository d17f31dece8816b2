"""The tokenizer: a causal video autoencoder between pixels and latents.

One latent is four frames times ``spatial`` x ``spatial`` pixels. Four frames of 4x4 pixel patches are
folded into channels, and the rest is plain 3x3 convolutions in residual blocks. At the highest resolution
these have no normalisation: there, on a CPU, it costs as much time as the convolution it serves. At the
lower resolutions one block a level also sees what it held of the latent before, so that encoding and decoding
are causal and can be streamed: the state handed on is a few small feature maps, and there is no seam.

The bottleneck has no learned variance. Latents are brought to zero mean and unit deviation per channel
by batch statistics in training, by the stored buffers afterwards, and training decodes them with noise
added: the noise bounds what a channel can say, and the decoder learns to tolerate a generator's errors.

Where the things in the picture are known, they are drawn on a canvas (canvas.py), pixel by pixel. What stands behind
them is then taken from the canvas or from the latents, by how noisy these are said to be: latents that say nothing
are not decoded at all.

Legend: B batch, T frames, N latent frames (T = 4 N), X = B N, H W pixels, h w latent pixels, C channels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reverie.core.errors import BadInput, BadWeights
from reverie.core.vocabulary import FRAMES_PER_LATENT
from reverie.model.canvas import Canvas, Scene
from reverie.model.checkpoint import load_into, load_model, save_model
from reverie.model.plate import Plate

PATCH = 4  # pixels folded into channels before the first convolution
REFINING = 8  # steps: 0.9 dB near moving things; 4 give 0.6, 16 give 1.1, in as many times the time
State = list[Tensor]  # one (B, C, h, w) feature map per block that looks back, highest resolution first


@dataclass(frozen=True)
class TokenizerConfig:
    """What a tokenizer is built from.

    spatial: pixels per latent pixel along each side, 4 times a power of two. channels: of a latent.
    widths: channels at 1/4, 1/8, ... of the frame's size, one per level; encoder_blocks and
    decoder_blocks: residual blocks at each of these levels. normed: whether blocks below the highest
    resolution normalise what they read; without it activations grow and single windows run away. canvas:
    hidden width of the networks that draw things for the decoder, 0 for a decoder that knows of none.
    """

    spatial: int = 16
    channels: int = 32
    widths: tuple[int, ...] = (64, 128, 160)
    encoder_blocks: tuple[int, ...] = (1, 1, 1)
    decoder_blocks: tuple[int, ...] = (4, 2, 2)
    normed: bool = False
    canvas: int = 0

    def __post_init__(self) -> None:
        for name in ("widths", "encoder_blocks", "decoder_blocks"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON gives lists
        levels = len(self.widths)
        if levels < 1 or self.spatial != PATCH * 2 ** (levels - 1):
            raise BadInput(f"a tokenizer of {levels} widths has spatial {PATCH * 2 ** (levels - 1)}, "
                           f"not {self.spatial}")
        if len(self.encoder_blocks) != levels or len(self.decoder_blocks) != levels:
            raise BadInput(f"a tokenizer of {levels} widths needs {levels} numbers of blocks each way")
        if min(self.widths + (self.channels,)) < 1 or min(self.encoder_blocks + self.decoder_blocks) < 0:
            raise BadInput("a tokenizer's widths and channels are at least 1, its blocks at least 0")


PRESETS = {
    "s16": TokenizerConfig(encoder_blocks=(2, 2, 3), decoder_blocks=(4, 2, 3), normed=True),
    "s32": TokenizerConfig(32, 64, (64, 128, 128, 160), (1, 1, 1, 1), (4, 2, 1, 1), True),
    "tiny": TokenizerConfig(16, 8, (8, 12, 16), (0, 1, 1), (1, 1, 1), True),  # for tests and the debug recipe
}


class Block(nn.Module):
    """x + conv(silu(conv(x))); with ``looks_back`` the first convolution sees the latent before too."""

    def __init__(self, width: int, looks_back: bool = False, normed: bool = False) -> None:
        super().__init__()
        self.looks_back = looks_back
        self.norm = PixelNorm(width) if normed else nn.Identity()
        self.first = nn.Conv2d(width * (2 if looks_back else 1), width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)  # starts as the identity: depth costs nothing at first
        nn.init.zeros_(self.second.bias)

    def forward(self, x_XCHW: Tensor, seen_XCHW: Tensor) -> Tensor:
        """seen_XCHW: x, normed where the block is so, beside its past where the block looks back."""
        return x_XCHW + self.second(F.silu(self.first(seen_XCHW)))


class PixelNorm(nn.Module):
    """Each pixel's channels brought to a mean square of 1, times a learned gain."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x_XCHW: Tensor) -> Tensor:
        x_XHWC = x_XCHW.permute(0, 2, 3, 1)  # a view: channels are last in memory
        return F.rms_norm(x_XHWC, x_XHWC.shape[-1:], self.gain.to(x_XHWC.dtype), 1e-5).permute(0, 3, 1, 2)


class Level(nn.Module):
    """The blocks of one resolution. Below the highest the first looks back, and all may be normed."""

    def __init__(self, width: int, blocks: int, lower: bool, normed: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, lower and i == 0, lower and normed) for i in range(blocks))

    def forward(self, x_XCHW: Tensor, batch: int, past: State | None, kept: State) -> Tensor:
        """past: what is left of the incoming state, first this level's; kept: the outgoing state."""
        for block in self.blocks:
            seen_XCHW = block.norm(x_XCHW)
            if block.looks_back:
                seen_BNCHW = seen_XCHW.unflatten(0, (batch, -1))
                first_BCHW = past.pop(0).to(seen_XCHW.dtype) if past else torch.zeros_like(seen_BNCHW[:, 0])
                before = torch.cat([first_BCHW[:, None], seen_BNCHW[:, :-1]], 1).flatten(0, 1)
                kept.append(seen_BNCHW[:, -1])
                seen_XCHW = torch.cat([seen_XCHW, before], 1).contiguous(memory_format=torch.channels_last)
            x_XCHW = block(x_XCHW, seen_XCHW)
        return x_XCHW


class Encoder(nn.Module):
    """Folded frames to raw (not yet normalised) latents."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        widths = config.widths
        self.stem = nn.Conv2d(FRAMES_PER_LATENT * 3 * PATCH**2, widths[0], 3, padding=1)
        blocks = config.encoder_blocks
        self.levels = nn.ModuleList(Level(w, blocks[i], i > 0, config.normed) for i, w in enumerate(widths))
        self.down = nn.ModuleList(nn.Conv2d(4 * a, b, 1) for a, b in zip(widths, widths[1:], strict=False))
        self.head = nn.Conv2d(widths[-1], config.channels, 3, padding=1)

    def forward(self, patches_XCHW: Tensor, batch: int, past: State | None) -> tuple[Tensor, State]:
        """(X, 192, H/4, W/4) to (X, C, h, w) and the state after the last latent."""
        kept: State = []
        x_XCHW = self.stem(patches_XCHW)
        for i, level in enumerate(self.levels):
            if i:
                x_XCHW = self.down[i - 1](F.pixel_unshuffle(x_XCHW, 2))
            x_XCHW = level(x_XCHW, batch, past, kept)
        return self.head(x_XCHW), kept


class Decoder(nn.Module):
    """Latents to folded frames."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        widths = config.widths[::-1]
        self.stem = nn.Conv2d(config.channels, widths[0], 3, padding=1)
        last = len(widths) - 1
        blocks = config.decoder_blocks[::-1]
        self.levels = nn.ModuleList(Level(w, blocks[i], i < last, config.normed) for i, w in enumerate(widths))
        self.up = nn.ModuleList(nn.Conv2d(a, 4 * b, 1) for a, b in zip(widths, widths[1:], strict=False))
        self.head = nn.Conv2d(widths[-1], FRAMES_PER_LATENT * 3 * PATCH**2, 3, padding=1)

    def forward(self, latents_XCHW: Tensor, batch: int, past: State | None) -> tuple[Tensor, State]:
        """(X, C, h, w) to (X, 192, H/4, W/4) and the state after the last latent."""
        kept: State = []
        x_XCHW = self.stem(latents_XCHW)
        for i, level in enumerate(self.levels):
            if i:
                x_XCHW = F.pixel_shuffle(self.up[i - 1](x_XCHW), 2)
            x_XCHW = level(x_XCHW, batch, past, kept)
        return self.head(x_XCHW), kept


class Tokenizer(nn.Module):
    """Frames (B, T, H, W, 3) in [-1, 1] to latents (B, T/4, H/s, W/s, C) of unit scale, and back."""

    def __init__(self, config: TokenizerConfig | None = None) -> None:
        super().__init__()
        self.config = config or TokenizerConfig()
        self.encoder = Encoder(self.config)
        self.decoder = Decoder(self.config)
        if self.config.canvas:
            self.canvas = Canvas(self.config.canvas)
        self.latents_fixed = False
        self.register_buffer("latent_mean", torch.zeros(self.config.channels))
        self.register_buffer("latent_variance", torch.ones(self.config.channels))
        self.to(memory_format=torch.channels_last)

    def encode(self, frames_BTHWC: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Latents (B, T/4, H/s, W/s, C) and the state with which the next frames are encoded.

        frames_BTHWC: float in [-1, 1], or uint8; T a multiple of 4, H and W of ``spatial`` (of 32, as
        all frame sizes here, it always is). state: None at a clip's start. Raises BadInput.
        """
        raw_XCHW, kept = self._raw(frames_BTHWC, state)
        latents_XCHW = self._normalised(raw_XCHW)
        return latents_XCHW.permute(0, 2, 3, 1).unflatten(0, (len(frames_BTHWC), -1)), kept

    def decode(self, latents_BNHWC: Tensor, state: State | None = None, tokens_BNSW: Tensor | None = None,
               level: float | Tensor = 0.0, plate: Plate | None = None) -> tuple[Tensor, State]:
        """Frames (B, 4 N, H, W, 3) float32 in [-1, 1] and the state for the latents that follow.

        state: None at a clip's start. tokens_BNSW: things, camera and setting of each latent, where they are known
        (a tokenizer without a canvas has no use for them). level: the noise level in 0..1 that the latents have then,
        of all or of each (B, N); at 1 they say nothing. plate: what the canvas is to show behind the things. Raises
        BadInput when the latents have another channel count.
        """
        if latents_BNHWC.ndim != 5 or latents_BNHWC.shape[-1] != self.config.channels:
            raise BadInput(f"latents are (batch, latents, height, width, {self.config.channels}), "
                           f"not {tuple(latents_BNHWC.shape)}")
        if tokens_BNSW is None or not self.config.canvas:
            frames_BTHWC, kept = self._decoded(latents_BNHWC, state)
        else:
            height, width = (self.config.spatial * n for n in latents_BNHWC.shape[2:4])
            drawing = self.canvas(Scene.of(tokens_BNSW.flatten(0, 1)), height, width, plate=plate)
            kept = state or []
            things_BTHWC, cover_BTHWC, behind_BTHWC = (
                v.unflatten(2, (height, width)).flatten(0, 1).unflatten(0, (len(latents_BNHWC), -1))
                for v in (drawing.things, drawing.cover, drawing.back))
            behind_BTHWC = 2 * behind_BTHWC - 1
            level_BN = torch.as_tensor(level, dtype=latents_BNHWC.dtype, device=latents_BNHWC.device).expand(
                latents_BNHWC.shape[:2])
            if bool((level_BN < 1).any()):
                noise_BNHWC = level_BN[:, :, None, None, None]
                keep_BNHWC = 1 - noise_BNHWC  # the best guess of clean latents, which are of unit scale
                guess_BNHWC = latents_BNHWC * keep_BNHWC / (keep_BNHWC.square() + noise_BNHWC.square())
                own_BTHWC, kept = self._decoded(guess_BNHWC, state)
                behind_BTHWC = torch.lerp(own_BTHWC, behind_BTHWC, noise_BNHWC.repeat_interleave(FRAMES_PER_LATENT, 1))
            frames_BTHWC = 2 * things_BTHWC - cover_BTHWC + (1 - cover_BTHWC) * behind_BTHWC
        return (frames_BTHWC if self.training else frames_BTHWC.clamp(-1, 1)), kept

    def refined(self, latents_BNHWC: Tensor, frames_BTHWC: Tensor, state: State | None = None,
                steps: int = REFINING) -> Tensor:
        """Latents that decode to the frames more nearly, by ``steps`` of descent on the squared error of what they
        decode to: the encoder answers for every picture at once, here the decoder is asked about this one.

        Shapes as in encode. state: the decoder's before these latents. A step takes the time of three decodings.
        Source: Campos et al. 2019, arXiv 1906.01200.
        """
        with torch.inference_mode(False), torch.enable_grad():
            state = None if state is None else [kept.clone() for kept in state]
            found, true = latents_BNHWC.detach().clone().requires_grad_(True), _signed(frames_BTHWC).clone()
            optimiser = torch.optim.Adam([found], lr=0.05, betas=(0.9, 0.95))
            for _ in range(steps):
                error = (self._decoded(found, state)[0] - true).square().sum()
                found.grad = torch.autograd.grad(error, found)[0]
                optimiser.step()
        return found.detach()

    def _decoded(self, latents_BNHWC: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Frames (B, 4 N, H, W, 3), not yet within their range, and the state after them."""
        x_XCHW = latents_BNHWC.flatten(0, 1).permute(0, 3, 1, 2)
        patches_XCHW, kept = self.decoder(x_XCHW, len(latents_BNHWC), list(state) if state else None)
        return from_patches(patches_XCHW.float(), len(latents_BNHWC)), kept

    def forward(self, frames_BTHWC: Tensor, noise: Tensor | float) -> tuple[Tensor, Tensor]:
        """Round trip of whole windows, for training: decoded frames, and the latents without noise.

        noise: deviation of what is added to the latents before decoding, broadcast against them.
        """
        latents_BNHWC, _ = self.encode(frames_BTHWC)
        return self.decode(latents_BNHWC + noise * torch.randn_like(latents_BNHWC))[0], latents_BNHWC

    def fix_latents(self) -> None:
        """From here on training changes the decoder only: models of these latents stay valid."""
        self.latents_fixed = True
        self.encoder.requires_grad_(False)

    @torch.no_grad()
    def measure_latents(self, windows: list[Tensor]) -> None:
        """Set the stored mean and variance of the latents from windows of frames (each as in encode)."""
        count, total, squares = 0, 0.0, 0.0
        for frames_BTHWC in windows:
            raw = self._raw(frames_BTHWC, None)[0].double().movedim(1, 0).flatten(1)
            count, total, squares = count + raw.shape[1], total + raw.sum(1), squares + raw.square().sum(1)
        mean = total / count
        self.latent_mean.copy_(mean)
        self.latent_variance.copy_((squares / count - mean.square()).clamp_min(1e-8))

    def save(self, path: str | Path, meta: dict) -> None:
        """Write weights, latent statistics and config; meta (a dict for JSON) is kept beside them."""
        save_model(path, self.state_dict(), {**meta, "kind": "tokenizer", "config": asdict(self.config)})

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """A tokenizer as saved, in evaluation mode. Raises BadWeights."""
        tensors, meta = load_model(path)
        if meta.get("kind") != "tokenizer":
            raise BadWeights(f"{path} is a {meta.get('kind', 'nameless')} model, not a tokenizer")
        try:
            model = cls(TokenizerConfig(**meta["config"]))
        except (KeyError, TypeError, BadInput) as error:
            raise BadWeights(f"{path} has a config that makes no tokenizer: {error}") from None
        load_into(model, tensors, path)
        return model.eval()

    def _raw(self, frames_BTHWC: Tensor, state: State | None) -> tuple[Tensor, State]:
        shape, side = tuple(frames_BTHWC.shape), self.config.spatial
        if len(shape) != 5 or shape[4] != 3 or 0 in shape:
            raise BadInput(f"frames are (batch, time, height, width, 3), not {shape}")
        if shape[1] % FRAMES_PER_LATENT or shape[2] % side or shape[3] % side:
            raise BadInput(f"{shape[1]} frames of {shape[3]}x{shape[2]} cannot be encoded: time must be a "
                           f"multiple of {FRAMES_PER_LATENT}, height and width of {side}")
        return self.encoder(to_patches(_signed(frames_BTHWC)), shape[0], list(state) if state else None)

    def _normalised(self, raw_XCHW: Tensor) -> Tensor:
        # In float32, whatever the convolutions ran in. Training measures each batch (which is what
        # keeps the encoder from outgrowing the noise) and keeps a running average for afterwards.
        with torch.autocast(raw_XCHW.device.type, enabled=False):
            return F.batch_norm(raw_XCHW.float(), self.latent_mean, self.latent_variance,
                                training=self.training and not self.latents_fixed, momentum=0.02, eps=1e-6)


def _signed(frames_BTHWC: Tensor) -> Tensor:
    """Frames as float in [-1, 1], where they are uint8 in 0..255."""
    return frames_BTHWC.float() / 127.5 - 1 if frames_BTHWC.dtype == torch.uint8 else frames_BTHWC


def to_patches(frames_BTHWC: Tensor) -> Tensor:
    """Frames (B, 4 N, H, W, 3) to (X, 192, H/4, W/4): four frames of 4x4 pixels folded into channels."""
    B, T, H, W, C = frames_BTHWC.shape
    f, p = FRAMES_PER_LATENT, PATCH
    x = frames_BTHWC.reshape(B, T // f, f, H // p, p, W // p, p, C)
    x = x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(B * T // f, H // p, W // p, f * p * p * C)
    return x.permute(0, 3, 1, 2)  # channels last in memory, as the convolutions want it


def from_patches(patches_XCHW: Tensor, batch: int) -> Tensor:
    """The inverse of to_patches for ``batch`` sequences."""
    X, _, h, w = patches_XCHW.shape
    f, p = FRAMES_PER_LATENT, PATCH
    x = patches_XCHW.permute(0, 2, 3, 1).reshape(batch, X // batch, h, w, f, p, p, 3)
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(batch, X // batch * f, h * p, w * p, 3)


def flops_per_frame(config: TokenizerConfig, height: int, width: int) -> tuple[float, float]:
    """Floating point operations (a multiply-add is two) of encoding and of decoding one frame."""
    with torch.device("meta"):
        model = Tokenizer(config)
        latents = torch.empty(1, 1, height // config.spatial, width // config.spatial, config.channels)
        frames = torch.empty(1, FRAMES_PER_LATENT, height, width, 3)
    spent = [0.0]

    def count(conv: nn.Conv2d, _: object, out: Tensor) -> None:
        spent[0] += 2.0 * out.numel() * conv.in_channels * conv.kernel_size[0] * conv.kernel_size[1]

    for conv in (m for m in model.modules() if isinstance(m, nn.Conv2d)):
        conv.register_forward_hook(count)
    model._raw(frames, None)
    encoding, spent[0] = spent[0], 0.0
    model.eval().decode(latents)
    return encoding / FRAMES_PER_LATENT, spent[0] / FRAMES_PER_LATENT
