"""Shards to a bank: small arrays from which the transformer trains, all of them in memory.

A bank is one ``.npz`` per shard folder: every clip's things, camera, setting and actions as the model's
vectors, its captions as token numbers into one table of pretrained vectors, and, for drawn clips, the
tokenizer's latents. It needs neither video codecs nor the text package, so it can travel to a machine
that has neither.

Legend: T latent frames of a clip, N its things, H W latent cells, C latent channels, A action channels.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from reverie.core.actions import CAMERA, scaled
from reverie.core.clip import Clip
from reverie.core.errors import BadData
from reverie.core.vocabulary import FRAMES_PER_LATENT, KINDS, MAX_THINGS, SETTINGS
from reverie.data.shards import ClipSet
from reverie.model import things as th
from reverie.train.mirror import other_side

STILL_STRIDE = 8  # every eighth latent is also kept as the latent of a still image of its first frame
FORMAT = 1
ARRAYS = ("things", "camera", "setting", "actions", "latents", "still", "own", "agrees")  # of an item


@dataclass
class Item:
    """One clip of a bank."""

    key: str
    fps: float
    things: np.ndarray  # (T, N, WIDTH) float16
    camera: np.ndarray  # (T, WIDTH) float16
    setting: np.ndarray  # (WIDTH,) float16
    actions: np.ndarray  # (T, 4 A) float16
    captions: list[dict]  # {"start": [s], "tokens": [int array], "order": [slots], "language": str}, and, where the
    # text speaks of left and right, "other": the tokens of the text with both exchanged
    latents: np.ndarray | None = None  # (T, H, W, C) float16
    still: np.ndarray | None = None  # (ceil(T / STILL_STRIDE), H, W, C) float16
    seen: bool = True  # whether the truth is known; if not, things and camera are empty
    own: np.ndarray | None = None  # (T, N, WIDTH) float16: what a model made of the past; things: how truth goes on
    # from the latent before of that; agrees (T, N) bool: of which of them it can be said (train.rollouts)
    agrees: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.camera)


@dataclass
class Bank:
    """All clips in memory, with the table of token vectors and the hash of the shards they came from."""

    items: list[Item] = field(default_factory=list)
    vectors: np.ndarray = field(default_factory=lambda: np.zeros((0, 512), np.float16))
    digest: str = ""

    @property
    def drawn(self) -> list[Item]:
        """The clips that have latents."""
        return [item for item in self.items if item.latents is not None]


def action_vectors(actions: np.ndarray | None, frames: int) -> np.ndarray:
    """(frames, A) actions in their units, or None, to (frames // 4, 4 A) network inputs (NaN: unknown)."""
    latents = frames // FRAMES_PER_LATENT
    if actions is None:
        return np.full((latents, FRAMES_PER_LATENT * len(CAMERA)), np.nan, np.float32)
    return scaled(actions[: latents * FRAMES_PER_LATENT], CAMERA)


def slot_order(orders: list[list[int]], count: int) -> np.ndarray:
    """Slots by first mention over all lines, then the unmentioned in the order of the truth."""
    named = list(dict.fromkeys(i for order in orders for i in order if 0 <= i < count))
    return np.array(named + [i for i in range(count) if i not in named], np.int64)


def true_tokens(clip: Clip, order: Sequence[int] | None = None) -> np.ndarray:
    """A clip's truth as tokens (T, MAX_THINGS + 2, WIDTH) float32, as a rollout gives them; its things in the slots of
    ``order``, or in the truth's own."""
    things = th.encode_things(clip.truth)
    order = list(range(things.shape[1]) if order is None else order)[:MAX_THINGS]
    return tokens_of(things, th.encode_camera(next(iter(clip.cameras.values()))),
                     th.encode_setting(clip.truth.setting, clip.truth.look), order)


def tokens_of(things: np.ndarray, camera: np.ndarray, setting: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """Things (T, N, WIDTH) in the slots of ``order``, camera (T, WIDTH) and setting (WIDTH,) as tokens
    (T, MAX_THINGS + 2, WIDTH) float32."""
    out = np.zeros((len(things), th.TOKENS, th.WIDTH), np.float32)
    out[:, :MAX_THINGS, 0] = -1.0
    out[:, : len(order)] = things[:, order]
    out[:, th.CAMERA_TOKEN], out[:, th.SETTING_TOKEN] = camera, setting
    return out


def encode_clip(clip: Clip, key: str, captions: list[dict], tokens, tokenizer, device: str) -> Item:
    """One clip to an Item; ``tokens`` maps a text to its token numbers. Without exact truth, ``seen`` is False."""
    frames = clip.frames // FRAMES_PER_LATENT * FRAMES_PER_LATENT
    latents, truth = frames // FRAMES_PER_LATENT, clip.exact
    actions = None if clip.channels else clip.actions  # a car's: train.log has them
    captions = captions or [{"language": "", "lines": [{"start": line.start, "text": line.text, "order": []}
                                                       for line in clip.script]}]
    described = [{"start": [line["start"] for line in c["lines"]] or [0.0],
                  "tokens": [tokens(line["text"]) for line in c["lines"]] or [np.zeros(0, np.int32)],
                  "order": slot_order([line["order"] for line in c["lines"]], len(truth.kinds) if truth else 0),
                  "language": c["language"]} for c in captions]
    for caption, c in zip(described, captions, strict=True):
        texts = [line["text"] for line in c["lines"]]
        if any(other_side(text) != text for text in texts):
            caption["other"] = [tokens(other_side(text)) for text in texts]
    item = Item(
        key, clip.fps, np.zeros((latents, 0, th.WIDTH), np.float16), np.zeros((latents, th.WIDTH), np.float16),
        np.zeros(th.WIDTH, np.float16), action_vectors(actions, frames).astype(np.float16),
        described, seen=truth is not None)
    if truth is not None:
        item.things = th.encode_things(truth).astype(np.float16)
        item.camera = th.encode_camera(next(iter(clip.cameras.values()))).astype(np.float16)
        item.setting = th.encode_setting(truth.setting, truth.look).astype(np.float16)
    if clip.views and tokenizer is not None:
        view = next(iter(clip.views.values()))[:frames]
        item.latents = latents_of(tokenizer, view, device)
        stills = view[:: FRAMES_PER_LATENT * STILL_STRIDE]
        item.still = np.concatenate([latents_of(tokenizer, np.repeat(frame[None], FRAMES_PER_LATENT, 0), device)
                                     for frame in stills])
    return item


@torch.no_grad()
def latents_of(tokenizer, frames: np.ndarray, device: str, chunk: int = 64) -> np.ndarray:
    """Frames uint8 (T, H, W, 3) to float16 (T / 4, h, w, C), in pieces that carry the encoder's state on."""
    state, out = None, []
    for start in range(0, len(frames), chunk):
        piece = torch.from_numpy(frames[start : start + chunk]).to(device).float() / 127.5 - 1
        latents, state = tokenizer.encode(piece[None], state)
        out.append(latents[0].half().cpu().numpy())
    return np.concatenate(out)


class _TokenTable:
    """Texts to token numbers in one table of vectors that grows as new tokens come."""

    def __init__(self, source, rows: np.ndarray) -> None:
        self.source, self.rows, self.texts = source, list(rows), {}
        self.numbers = {row.tobytes(): i for i, row in enumerate(self.rows)}

    def __call__(self, text: str) -> np.ndarray:
        if text not in self.texts:
            found = []
            for vector in self.source.encode(text)[1].astype(np.float16):
                key = vector.tobytes()
                if key not in self.numbers:
                    self.numbers[key] = len(self.rows)
                    self.rows.append(vector)
                found.append(self.numbers[key])
            self.texts[text] = np.array(found, np.int32)
        return self.texts[text]


def encode(data: str | Path, tokenizer, *, vectors, device: str = "cpu", tell: Callable[[], None] | None = None,
           keep: Callable[[dict], bool] | None = None, table: np.ndarray | None = None) -> Bank:
    """All clips of a folder of shards to a Bank.

    tokenizer: a model.tokenizer.Tokenizer, or None for things without latents. vectors: a TokenVectors.
    tell is called after each clip; keep(meta) says which clips to take (default: all). table: token
    vectors that the bank's table begins with.
    """
    clips = ClipSet(data, skip_damaged=True)
    tokens = _TokenTable(vectors, np.zeros((0, 512), np.float16) if table is None else table)
    bank = Bank(digest=clips.digest())
    for i in range(len(clips)):
        meta = clips.meta(i)
        if keep is None or keep(meta):
            drawn = meta["drawn"] and tokenizer is not None
            clip = clips.clip(i, views=drawn, masks=False)
            bank.items.append(encode_clip(clip, clips.keys[i], meta["captions"], tokens, tokenizer, device))
        if tell is not None:
            tell()
    bank.vectors = np.stack(tokens.rows) if tokens.rows else bank.vectors
    return bank


def varieties(bank: Bank, looks: int = 32) -> dict[str, list]:
    """What a dream may take from a bank as it is: some "looks" of each setting and the "sizes" of each kind, as
    model.sampling has them; no sizes where a kind is missing."""
    seen: list[list[list[float]]] = [[] for _ in SETTINGS]
    extents: list[dict[tuple, int]] = [{} for _ in KINDS]
    for item in (item for item in bank.items if item.seen):
        found = seen[int(item.setting[th.SETTING["name"]].argmax())]
        if len(found) < looks:
            found.append([round(float(v), 3) for v in item.setting[th.SETTING["look"]]])
        for n in range(item.things.shape[1]):
            there = np.flatnonzero(item.things[:, n, 0] > 0)
            if len(there):
                row = item.things[there[0], n]
                key = tuple(round(float(v), 3) for v in row[th.THING["extent"]])
                kind = extents[int(row[th.THING["kind"]].argmax())]
                kind[key] = kind.get(key, 0) + 1
    most = max(map(len, extents))
    sizes = [sorted(found, key=found.get, reverse=True) for found in extents]
    if not all(sizes):
        return {"looks": seen, "sizes": []}
    return {"looks": seen, "sizes": [[list(found[k % len(found)]) for k in range(most)] for found in sizes]}


def save_bank(bank: Bank, path: str | Path) -> None:
    """One ``.npz`` file, written atomically."""
    arrays: dict[str, np.ndarray] = {"vectors": bank.vectors}
    index = []
    for i, item in enumerate(bank.items):
        for name in ARRAYS:
            value = getattr(item, name)
            if value is not None:
                arrays[f"{i}.{name}"] = value
        captions = [{**c, **{name: [t.tolist() for t in c[name]] for name in ("tokens", "other") if name in c},
                     "order": c["order"].tolist()} for c in item.captions]
        index.append({"key": item.key, "fps": item.fps, "seen": item.seen, "captions": captions})
    head = {"format": FORMAT, "digest": bank.digest, "items": index}
    arrays["index"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "wb") as file:
        np.savez(file, **arrays)
    os.replace(temporary, path)


def load_bank(path: str | Path) -> Bank:
    """Reads what save_bank wrote; BadData when it is missing, damaged or of another format."""
    try:
        with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as file:
            head = json.loads(file["index"].tobytes())
            if head["format"] != FORMAT:
                raise BadData(f"{path} was made by another version: delete it and encode again")
            names = set(file.files)
            items = []
            for i, entry in enumerate(head["items"]):
                captions = [{**c, **{name: [np.array(t, np.int32) for t in c[name]]
                                     for name in ("tokens", "other") if name in c},
                             "order": np.array(c["order"], np.int64)} for c in entry["captions"]]
                part = {n: file[f"{i}.{n}"] if f"{i}.{n}" in names else None for n in ARRAYS}
                items.append(Item(entry["key"], entry["fps"], captions=captions, seen=entry["seen"], **part))
            return Bank(items, file["vectors"], head["digest"])
    except BadData:
        raise
    except FileNotFoundError:
        raise BadData(f"no bank at {path}: run the latents stage first") from None
    except Exception as error:
        raise BadData(f"{path} is damaged ({error}): delete it and encode again") from None


def in_training(meta: dict) -> bool:
    """Whether a clip's metadata let it be trained on."""
    return meta["provenance"].get("split", "train") == "train"
