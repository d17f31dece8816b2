"""From clips to batches to a loss that falls: encoding, windows, what is given, banks on disk."""

import numpy as np
import pytest
import torch

from reverie.core.camera import CameraPath, look_at
from reverie.core.clip import Clip, Event, Line, Truth
from reverie.core.errors import BadData
from reverie.core.vocabulary import MAX_THINGS
from reverie.model import motion, physics
from reverie.model import things as th
from reverie.model.text import TokenVectors
from reverie.model.tokenizer import PRESETS, Tokenizer
from reverie.model.transformer import Config, Transformer
from reverie.train.encode import Bank, encode_clip, load_bank, save_bank, slot_order
from reverie.train.transformer import transformer_loss
from reverie.train.windows import Mixture, WindowPlan, _chosen, draw_windows

FRAMES = 60


def clip(drawn: bool = True, truth: bool = True) -> Clip:
    rng = np.random.default_rng(0)
    camera = CameraPath(np.tile(np.array([0.3, -6, 1.8], np.float32), (FRAMES, 1)),
                        np.tile(look_at([0.3, -6, 1.8], [0, 0, 0.7]), (FRAMES, 1, 1)), 42.0)
    exists = np.ones((FRAMES, 3), bool)
    exists[:22, 2] = False  # comes in the middle of a latent
    exists[49:, 2] = False  # and goes so
    position = np.cumsum(rng.normal(0, 0.01, (FRAMES, 3, 3)), 0).astype(np.float32) + [[0, 0, 0.5]]
    position = np.where(exists[..., None], position, 0).astype(np.float32)
    known = Truth("lawn", ["ball", "box", "dog"], ["red", "blue", "black"], ["small"] * 3, ["bouncy"] * 3,
                  np.full((3, 3), 0.3, np.float32), exists, position,
                  np.tile(np.eye(3, dtype=np.float32), (FRAMES, 3, 1, 1)), np.zeros((FRAMES, 3, 3), np.float32),
                  np.zeros((FRAMES, 3), np.float32), np.zeros((0, 3), np.int32),
                  [Event("dropped", 0, 1, 0)], [0.0, 1.0])
    views = {"front": rng.integers(0, 255, (FRAMES, 64, 64, 3), np.uint8)} if drawn else {}
    return Clip(24.0, [Line(0.0, "a red ball falls")], views, np.zeros((FRAMES, 5), np.float32), (),
                {"front": camera}, known if truth else None)


CAPTIONS = [{"language": "en", "lines": [{"start": 0.0, "text": "a red ball falls", "order": [0]},
                                         {"start": 1.0, "text": "a dog comes in", "order": [2, 0]}]}]


def token_source():
    table = {}

    def tokens(text: str) -> np.ndarray:
        return np.array([table.setdefault(word, len(table)) for word in text.split()], np.int32)

    return tokens, table


@pytest.fixture(scope="module")
def bank() -> Bank:
    torch.manual_seed(0)
    tokens, table = token_source()
    tokenizer = Tokenizer(PRESETS["tiny"]).eval()
    items = [encode_clip(clip(), "a", CAPTIONS, tokens, tokenizer, "cpu"),
             encode_clip(clip(drawn=False), "b", CAPTIONS, tokens, tokenizer, "cpu"),
             encode_clip(clip(truth=False), "c", [], tokens, tokenizer, "cpu")]
    vectors = np.random.default_rng(1).normal(size=(len(table), 512)).astype(np.float16)
    return Bank(items, vectors, "abc")


def test_things_come_back_from_their_vectors() -> None:
    truth = clip().truth
    vectors = torch.from_numpy(th.encode_things(truth))
    there = truth.exists.reshape(15, 4, 3)
    position = th.positions_of(vectors).permute(0, 2, 1, 3).numpy()
    np.testing.assert_allclose(position[there], truth.position.reshape(15, 4, 3, 3)[there], atol=1e-5)
    np.testing.assert_allclose(th.extents_of(vectors)[there.any(1)], 0.3, rtol=1e-5)
    turned = th.rotations_of(vectors)[there.any(1)][:, 0]
    np.testing.assert_allclose(turned, np.tile(np.eye(3), (len(turned), 1, 1)), atol=1e-5)
    # a thing that enters in the middle of a latent is told from where it first is,
    # one that leaves from where it was last
    entered = th.positions_of(vectors[22 // 4, 2])
    torch.testing.assert_close(entered[:3], torch.from_numpy(truth.position[[22, 22, 22], 2]))
    left = th.positions_of(vectors[48 // 4, 2])
    torch.testing.assert_close(left, torch.from_numpy(truth.position[[48] * 4, 2]))


def test_nothing_sinks_into_the_ground() -> None:
    truth = clip().truth
    truth.position[..., 2] = 0.4
    vectors = torch.from_numpy(th.encode_things(truth))
    torch.testing.assert_close(th.above_ground(vectors), vectors)  # 0.3 m of radius, 0.4 m up: all above
    truth.position[8:, 0, 2] -= 0.5
    truth.velocity[..., 2] = -2.0
    vectors = torch.from_numpy(th.encode_things(truth))
    lifted = th.above_ground(vectors)
    heights = th.positions_of(lifted)[:, 0, :, 2].flatten()
    torch.testing.assert_close(heights[:8], torch.full((8,), 0.4))
    torch.testing.assert_close(heights[8:], torch.full((FRAMES - 8,), 0.3 - th.SINKING))
    fall = lifted[:, :2, th.THING["velocity"]][..., 2] * th.VELOCITY_SCALE
    torch.testing.assert_close(fall[:, 1], torch.full((len(fall),), -2.0))
    torch.testing.assert_close(fall[:, 0], torch.tensor([-2.0] * 2 + [0.0] * (len(fall) - 2)))


def test_camera_comes_back_from_its_vectors() -> None:
    camera = clip().cameras["front"]
    again = th.decode_camera(th.encode_camera(camera))
    np.testing.assert_allclose(again.position, camera.position, atol=1e-5)
    np.testing.assert_allclose(again.rotation, camera.rotation, atol=1e-5)
    assert abs(again.fovy - camera.fovy) < 1e-3


def test_slots_follow_the_order_of_mention() -> None:
    assert slot_order([[2], [0, 2]], 4).tolist() == [2, 0, 1, 3]
    assert slot_order([], 2).tolist() == [0, 1]


def test_bank_comes_back_from_disk(bank: Bank, tmp_path) -> None:
    save_bank(bank, tmp_path / "bank.npz")
    again = load_bank(tmp_path / "bank.npz")
    assert [i.key for i in again.items] == ["a", "b", "c"] and len(again.drawn) == 2
    np.testing.assert_array_equal(again.items[0].latents, bank.items[0].latents)
    np.testing.assert_array_equal(again.items[0].captions[0]["tokens"][1], bank.items[0].captions[0]["tokens"][1])
    (tmp_path / "bank.npz").write_bytes((tmp_path / "bank.npz").read_bytes()[:1000])
    with pytest.raises(BadData, match="damaged"):
        load_bank(tmp_path / "bank.npz")


def test_a_window_shows_what_the_clip_holds(bank: Bank) -> None:
    plan = WindowPlan(6, 8, past=0, no_text=0, things_known=0, thing_known=0, camera_known=0)
    batch = draw_windows(bank.items[:2], bank.vectors, plan, np.random.default_rng(7))
    item = bank.items[0]
    numbers = batch["index"][0].numpy()
    np.testing.assert_allclose(batch["things"][0, :, 0], item.things[numbers, 0], atol=1e-6)
    np.testing.assert_allclose(batch["things"][0, :, 1], item.things[numbers, 2], atol=1e-6)  # the dog is named second
    assert batch["things"].shape == (8, 6, th.TOKENS, th.WIDTH)
    assert bool((batch["things"][:, :, 3:MAX_THINGS, 0] == -1).all())
    line = batch["line"]
    seconds = batch["index"] * 4 / 24
    assert bool((line.max(1).values <= 1).all())
    since = torch.where(seconds + 1e-6 >= 1, seconds - 1, seconds).float()
    torch.testing.assert_close(batch["since"], since, atol=1e-5, rtol=1e-5)
    assert bool(batch["follows"][:, 1:].all()) and not bool(batch["follows"][:, 0].any())
    assert batch["text_mask"].any()


def test_a_video_without_truth_trains_the_views_alone(bank: Bank) -> None:
    plan = WindowPlan(6, 4, past=0, views=True)
    batch = draw_windows(bank.items[2:], bank.vectors, plan, np.random.default_rng(0))
    assert not batch["things_seen"].any()
    model = Transformer(Config(depth=1, channels=8))
    loss, figures = transformer_loss(model, batch)
    loss.backward()
    assert float(figures["things"]) == 0.0 and torch.isfinite(loss)
    assert model.views_in.weight.grad is not None


def test_given_views_and_goals_appear(bank: Bank) -> None:
    plan = WindowPlan(6, 64, past=1, views=True, given=0.5, goal=0.5)
    batch = draw_windows(bank.items[:1], bank.vectors, plan, np.random.default_rng(0))
    assert batch["views_known"].any() and batch["goal"][:, 0].any() and not batch["goal"][:, 1:].any()
    rows = batch["goal"][:, 0]
    assert bool((batch["index"][rows][:, 0] > batch["index"][rows][:, -1]).all())
    assert not (batch["views_known"] & batch["goal"]).any()
    torch.manual_seed(0)
    loss, _ = transformer_loss(Transformer(Config(depth=1, channels=8)), batch)
    assert torch.isfinite(loss)


def test_loss_falls(bank: Bank) -> None:
    torch.manual_seed(0)
    model = Transformer(Config(depth=2, channels=8))
    mixture = Mixture(bank, WindowPlan(6, 4), WindowPlan(6, 4, views=True), 0.5, WindowPlan(2, 4, from_start=1.0), 0.2)
    batches = [mixture(step, np.random.default_rng(step)) for step in range(8)]
    assert {batch["index"].shape[1] for batch in batches} == {6, 2} and any("views" in batch for batch in batches)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)

    def losses() -> list[torch.Tensor]:
        torch.manual_seed(1)
        return [transformer_loss(model, batch)[0] for batch in batches]

    before = float(sum(losses()).detach())
    for _ in range(12):
        optimiser.zero_grad()
        sum(losses()).backward()
        optimiser.step()
    assert float(sum(losses()).detach()) < 0.7 * before


def test_too_short_clips_are_refused(bank: Bank) -> None:
    with pytest.raises(BadData, match="longer clips"):
        Mixture(Bank(bank.items[1:2], bank.vectors), WindowPlan(99, 2), WindowPlan(99, 2, views=True), 0.5)


def test_token_vectors_are_what_the_model_expects() -> None:
    assert Config().text == TokenVectors.width


def test_what_moves_and_what_is_gone_is_said() -> None:
    truth = clip().truth
    truth.position[:, 0] = truth.position[0, 0]
    truth.position[30:34, 0] += np.linspace(0.01, 0.04, 4)[:, None]  # moves in the eighth latent alone, and stays there
    truth.position[34:, 0] = truth.position[33, 0]
    camera = th.encode_camera(clip().cameras["front"])
    things, held = motion.decided_clip(th.encode_things(truth), camera)
    moving = things[:, 0, th.THING["moving"]][:, 0]
    assert np.flatnonzero(moving > 0).tolist() == [7, 8] and (moving[[0, 6, 9]] == -1).all()
    gone = things[:, 2, th.THING["gone"]][:, 0]
    assert gone.tolist() == [0.0] * 13 + [1.0] * 2 and not things[:, :2, th.THING["gone"]].any()
    assert np.array_equal(motion.decided_clip(things, camera)[0], things) and (held[:, th.CAMERA["moving"]] == -1).all()
    camera[4:, 5] += 0.1
    held = motion.decided_clip(things, camera)[1][:, th.CAMERA["moving"]]
    assert np.flatnonzero(held > 0).tolist() == list(range(4, 15))
    still = physics.at_rest(torch.from_numpy(things[3, :1]))
    assert torch.equal(still, physics.at_rest(still)) and (th.positions_of(still).std(1) < 1e-6).all()


def test_windows_lie_about_the_lines() -> None:
    rng, plan = np.random.default_rng(0), WindowPlan(8, 1, past=3, from_start=0.0, at_line=1.0, remembers=0.0)
    lines = np.array([0, 40, 90])
    for _ in range(50):
        numbers = _chosen(120, plan, rng, lines)
        assert len(numbers) == 8 and set(numbers) & set(lines) and (np.diff(numbers) == 1).all()


def test_going_on_as_before_falls_turns_and_walks() -> None:
    seconds, times = 1 / 24, np.arange(8) / 24
    truth = clip().truth
    angle = 2.0 * times
    turns = np.tile(np.eye(3, dtype=np.float32), (8, 1, 1))
    turns[:, 0, 0] = turns[:, 1, 1] = np.cos(angle)
    turns[:, 1, 0], turns[:, 0, 1] = np.sin(angle), -np.sin(angle)
    truth.exists = truth.exists[:8]
    truth.position = np.zeros((8, 3, 3), np.float32)
    truth.position[:, 0] = np.stack([times, 0 * times, 3 - 0.5 * physics.GRAVITY * times**2], -1)
    truth.position[:, 1, 0] = 0.5 * times
    truth.velocity = np.zeros((8, 3, 3), np.float32)
    truth.velocity[:, 0] = np.stack([1 + 0 * times, 0 * times, -physics.GRAVITY * times], -1)
    truth.velocity[:, 1, 0] = 0.5
    truth.rotation = np.repeat(turns[:, None], 3, 1)
    truth.phase = np.stack([0 * times, 6 * times + 0.3, 0 * times], -1).astype(np.float32)
    things = torch.from_numpy(th.encode_things(truth))
    torch.testing.assert_close(motion.extrapolate(things[0, :2], seconds), things[1, :2], atol=2e-3, rtol=0)
    batched = motion.extrapolate(things[None, :1, :2], torch.full((1, 1, 1, 1, 1), seconds))
    torch.testing.assert_close(batched[0, 0], things[1, :2], atol=2e-3, rtol=0)


def test_cameras_keep_the_stage_in_sight_and_never_roll() -> None:
    wild = torch.randn(50, th.WIDTH, generator=torch.Generator().manual_seed(0))
    kept = motion.camera_on_stage(wild)
    seen = th.cameras_of(kept[:, None])
    low, high = torch.tensor(motion.WHERE)
    assert ((seen.position > low - 1e-4) & (seen.position < high + 1e-4)).all()
    right, back = seen.rotation[..., 0], seen.rotation[..., 2]
    assert right[..., 2].abs().max() < 1e-5 and (seen.rotation.mT @ seen.rotation - torch.eye(3)).abs().max() < 1e-5
    towards = torch.nn.functional.normalize(torch.tensor(th.POSITION_CENTRE) - seen.position, dim=-1)
    assert (-(back * towards).sum(-1)).min() > np.cos(np.radians(14))
    assert torch.allclose(motion.camera_on_stage(kept), kept, atol=1e-5)  # what is on stage stays as it is
