"""The transformer: sampling with memory gives what one pass over the whole window gives."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from reverie.core.vocabulary import KINDS, MAX_THINGS
from reverie.model import flow, motion, physics
from reverie.model import things as th
from reverie.model.rollout import Rollout
from reverie.model.sampling import Sampling
from reverie.model.schedule import Conditions
from reverie.model.transformer import Config, Transformer, Window

GRID = (2, 3)
PLAIN = Sampling(steps=1, things_steps=1, opening_steps=2, guidance=1.0, candidates=1, doubt=0.0)


def tiny(seed: int = 0, **options) -> Transformer:
    torch.manual_seed(seed)
    config = Config(depth=4, channels=4, text=16, things_window=5, views_window=3, stride=4, **options)
    model = Transformer(config)
    for parameter in model.parameters():  # nothing may hide behind a zero
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval()


def words(model: Transformer, batch: int = 1, lines: int = 2):
    torch.manual_seed(5)
    mask = torch.ones(batch, lines, 6, dtype=torch.bool)
    mask[:, -1, 4:] = False
    return model.encode_text(torch.randn(batch, lines, 6, 16), mask)


class Recorder(Rollout):
    """Keeps what the last pass over each latent said, its clean one, to hold against the pass over the whole."""

    said: dict

    def _run(self, w, past):
        output = super()._run(w, past)
        for k, n in enumerate(w.index[0].tolist()):
            if w.things is not None:
                self.said[n, "things"] = output.things[0, k]
            if w.views is not None:
                self.said[n, "views"] = output.views[0, k]
        self.latents = max(self.latents, w.index.shape[1])
        return output

    latents = 0


@pytest.mark.parametrize(("given", "painted"), [(0, True), (2, True), (0, False)])
@torch.no_grad()
def test_cached_equals_uncached(given: int, painted: bool) -> None:
    """Where nothing is painted a latent's clean pass is made in one with the next one's first."""
    model, latents = tiny(), 14
    text = words(model)
    roll = Recorder(model, text, fps=torch.tensor([24.0]), grid=GRID, sampling=PLAIN,
                    generator=torch.Generator().manual_seed(1), with_views=painted)
    roll.said = {}
    actions = torch.randn(latents, 20)
    things, views = [], []
    for n in range(latents):
        conditions = Conditions(torch.tensor([n // 7]), torch.tensor([(n % 7) / 6]), actions[n : n + 1])
        view = torch.randn(1, *GRID, 4) if n < given else None
        _, v = roll.step(conditions, view=view)
        things.append(roll.things)  # with what the rollout keeps to itself
        views.append(v)
    roll.pay()
    assert roll.latents == 2 - painted
    stack = torch.stack(things, 1)
    index = torch.arange(latents)[None]
    calm = torch.full((1, latents, th.TOKENS), PLAIN.calm)
    before = calm.clone()
    before[:, 0] = 1.0
    known = index < given
    window = Window(
        index=index, fps=torch.tensor([24.0]), line=index // 7, since=(index % 7) / 6, actions=actions[None],
        things=stack, things_noise=calm, things_known=torch.zeros_like(calm, dtype=torch.bool),
        things_seen=torch.ones(1, latents, dtype=torch.bool),
        previous=torch.cat([torch.zeros_like(stack[:, :1]), stack[:, :-1]], 1), previous_noise=before,
        views=torch.stack(views, 1) if painted else None, views_noise=torch.where(known, 0.0, PLAIN.calm),
        views_known=known)
    whole = model(window, text)
    for n in range(latents):
        for group in ("things", "views")[: 1 + painted]:
            torch.testing.assert_close(roll.said[n, group], getattr(whole, group)[0, n], atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_future_does_not_reach_back() -> None:
    model = tiny()
    text = words(model)
    window = random_window(model, 6)
    first = model(window, text)
    window.things[:, 4:] += 1.0
    window.views[:, 4:] -= 1.0
    second = model(window, text)
    torch.testing.assert_close(first.things[:, :4], second.things[:, :4], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(first.views[:, :4], second.views[:, :4], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(first.views[:, 4:], second.views[:, 4:], atol=1e-3)


@torch.no_grad()
def test_things_are_blind_to_views_that_are_not_given() -> None:
    model = tiny()
    text = words(model)
    window = random_window(model, 5)
    first = model(window, text)
    window.views[:, 2] += 1.0
    second = model(window, text)
    torch.testing.assert_close(first.things, second.things, atol=1e-5, rtol=1e-4)
    window.views_known[:, 2] = True
    third = model(window, text)
    assert not torch.allclose(first.things[:, 2], third.things[:, 2], atol=1e-3)


@torch.no_grad()
def test_views_without_things_do_not_see_them() -> None:
    model = tiny()
    text = words(model)
    window = random_window(model, 4)
    window.things_seen[:] = False
    first = model(window, text)
    window.things += 1.0
    torch.testing.assert_close(first.views, model(window, text).views, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_goal_is_seen_from_the_beginning() -> None:
    model = tiny()
    text = words(model)
    window = random_window(model, 5)
    window.goal = torch.zeros(1, 5, dtype=torch.bool)
    window.goal[:, 0] = True
    window.index[:, 0] = 40
    first = model(window, text)
    window.views[:, 0] += 1.0
    second = model(window, text)
    assert not torch.allclose(first.views[:, 1], second.views[:, 1], atol=1e-3)
    assert not torch.allclose(first.things[:, 1], second.things[:, 1], atol=1e-3)


def random_window(model: Transformer, latents: int) -> Window:
    torch.manual_seed(3)
    c = model.config
    no = torch.zeros(1, latents, dtype=torch.bool)
    return Window(
        index=torch.arange(latents)[None], fps=torch.tensor([24.0]), line=torch.zeros(1, latents, dtype=torch.long),
        since=torch.arange(latents)[None] / 6, actions=torch.full((1, latents, 20), torch.nan),
        things=torch.randn(1, latents, th.TOKENS, th.WIDTH), things_noise=torch.rand(1, latents, th.TOKENS),
        things_known=torch.zeros(1, latents, th.TOKENS, dtype=torch.bool), things_seen=~no,
        previous=torch.randn(1, latents, th.TOKENS, th.WIDTH), previous_noise=torch.rand(1, latents, th.TOKENS),
        views=torch.randn(1, latents, *GRID, c.channels), views_noise=torch.rand(1, latents), views_known=no.clone())


@torch.no_grad()
def test_memory_stays_flat_and_identity_stays() -> None:
    model = tiny()
    roll = Rollout(model, words(model), fps=torch.tensor([24.0]), grid=GRID, sampling=PLAIN,
                   generator=torch.Generator().manual_seed(0))
    nothing = torch.full((1, 20), torch.nan)
    seen = {}
    for n in range(40):
        things, _ = roll.step(Conditions(torch.tensor([0]), torch.tensor([n / 6]), nothing))
        for slot in range(MAX_THINGS):
            if things[0, slot, 0] > 0:
                static = things[0, slot, th.STATIC]
                assert torch.equal(seen.setdefault(slot, static), static)
    c = model.config
    assert len(roll.memory.things) <= c.things_window + 40 // c.stride + 1
    assert len(roll.memory.views) <= c.views_window + 40 // c.stride + 1


@torch.no_grad()
def test_same_seed_same_dream() -> None:
    model = tiny()
    dreams = []
    for seed in (1, 1, 2):
        roll = Rollout(model, words(model), fps=torch.tensor([24.0]), grid=GRID,
                       generator=torch.Generator().manual_seed(seed), sampling=replace(PLAIN, candidates=3))
        nothing = torch.full((1, 20), torch.nan)
        dreams.append(torch.stack([roll.step(Conditions(torch.tensor([0]), torch.zeros(1), nothing))[1]
                                   for _ in range(3)]))
    assert torch.equal(dreams[0], dreams[1])
    assert not torch.equal(dreams[0], dreams[2])


def test_flow_step_ends_at_the_clean_value() -> None:
    x, noise = torch.randn(3, 5), torch.randn(3, 5)
    level = torch.full((3,), 0.6)
    noisy = flow.add_noise(x, noise, level)
    torch.testing.assert_close(flow.step(noisy, x, 0.6, 0.0), x)
    torch.testing.assert_close(flow.step(noisy, x, 0.6, 0.3), flow.add_noise(x, noise, torch.full((3,), 0.3)))


@torch.no_grad()
def test_the_opening_that_most_agree_on_is_taken() -> None:
    model = tiny()
    nothing = torch.full((2, 20), torch.nan)
    conditions = Conditions(torch.tensor([0, 1]), torch.zeros(2), nothing)
    roll = Rollout(model, words(model, batch=2), fps=torch.full((2,), 24.0), grid=GRID, with_views=False,
                   generator=torch.Generator().manual_seed(3), sampling=replace(PLAIN, candidates=9))
    openings = []

    def planted(self, conditions, given, known):  # nine openings of each dream: 3 agree, the rest stand alone
        assert len(given) == 18 and len(conditions.line) == 18 and len(self.text.line) == 18
        x = torch.zeros(18, th.TOKENS, th.WIDTH)
        x[:, :MAX_THINGS, 0] = -1
        x[:, :MAX_THINGS, th.THING["position"]] = torch.arange(MAX_THINGS)[:, None].float()  # metres apart
        for i in range(18):
            slots = [0, 1] if i % 9 in (2, 5, 6) else [0, *range(2, 4 + i % 9)]
            x[i, slots, 0] = 1.0
            x[i, 0, 1 + i // 9] = 2.0
        openings.append(x)
        return x

    plain, Rollout._denoised = Rollout._denoised, planted
    try:
        things, _ = roll.step(conditions)
    finally:
        Rollout._denoised = plain
    assert torch.equal(things[0], openings[0][2]) and torch.equal(things[1], openings[0][11])


@torch.no_grad()
def test_guidance_acts_in_openings_and_after_new_lines() -> None:
    model = tiny()
    passes = []

    class Counting(Rollout):
        def over_things(self, conditions, *given):
            passes.append((self.n, int(conditions.line[0])))
            return super().over_things(conditions, *given)

    roll = Counting(model, words(model), fps=torch.tensor([24.0]), grid=GRID, with_views=False,
                    generator=torch.Generator().manual_seed(0), sampling=replace(PLAIN, guidance=2.0))
    for since in (5.0, 5.2, 0.0, 2.0):
        roll.step(Conditions(torch.tensor([0]), torch.tensor([since]), torch.full((1, 20), torch.nan)))
    free = [n for n, line in passes if line == -1]
    assert free == [0, 0, 2]  # both steps of the opening; the one step of the latent that begins a line


@pytest.mark.parametrize(("speed", "rise", "kicked"), [(0.2, 0.0, True), (2.0, 0.0, False), (0.0, 0.3, False)])
def test_a_hand_takes_what_lies_or_hardly_moves_and_waits_for_the_rest(speed: float, rise: float, kicked: bool) -> None:
    model, line = tiny(), torch.tensor([0])
    roll = Rollout(model, words(model), fps=torch.tensor([24.0]), grid=GRID, with_views=False, sampling=PLAIN,
                   generator=torch.Generator().manual_seed(0))
    thing = torch.zeros(1, th.TOKENS, th.WIDTH)
    thing[0, 0, 0] = thing[0, 0, th.THING["moving"].start] = 1.0
    seconds = torch.arange(-3, 1) / 24
    path = torch.stack([speed * seconds, 0 * seconds, 0.3 + (rise > 0) * (1 + rise * seconds - 4.905 * seconds**2)], -1)
    thing[:, :1] = th.at_positions(thing[:, :1], path[None, None])
    thing[0, 0, th.THING["velocity"]] = torch.tensor([speed, 0.0, rise]) / th.VELOCITY_SCALE
    roll.things, roll.met = thing, thing[:, :MAX_THINGS, 0] > 0
    roll.cast.cued[0, 0], roll.cast.way[0, 0] = 0, 2
    assert bool(roll._starts(thing, line)[0, 0]) is kicked
    roll._meet(thing, line)
    assert int(roll.cast.cued[0, 0]) == (-1 if kicked else 0)  # it is not done with before it was kicked


@torch.no_grad()
def test_nothing_vanishes_within_the_picture_and_nothing_doubles() -> None:
    model = tiny()
    roll = Rollout(model, words(model), fps=torch.tensor([24.0]), grid=GRID, with_views=False, sampling=PLAIN,
                   generator=torch.Generator().manual_seed(0))
    conditions = Conditions(torch.tensor([0]), torch.zeros(1), torch.full((1, 20), torch.nan))
    tokens = torch.zeros(1, th.TOKENS, th.WIDTH)
    tokens[:, :MAX_THINGS, 0] = -1.0
    tokens[0, :2, 0] = 1.0  # in the middle of the stage, and far to the left of the picture
    tokens[0, 0, 1], tokens[0, 1, 2] = th.ONE_HOT, th.ONE_HOT
    tokens[0, 0, th.THING["position"]] = torch.tensor([0.0, 0.0, -0.2]).repeat(4)  # on the ground
    tokens[0, 1, th.THING["position"]] = torch.tensor([-20.0, 0.0, -0.2]).repeat(4)
    tokens[0, th.CAMERA_TOKEN, th.CAMERA["rotation"]] = torch.tensor([1.0, 0, 0, 0, -1, 0]).repeat(4)
    roll.step(conditions, things=tokens, known=torch.ones(1, th.TOKENS, dtype=torch.bool))

    def denying(roll, *args):
        said = Rollout.over_things(roll, *args)
        said[:, :MAX_THINGS, 0] = -1.0
        said[:, 2] = said[:, 0]  # a copy of the first where there was none
        said[:, 2, 0] = 1.0
        said[:, 2, th.STATIC] = tokens[:, 0, th.STATIC]
        said[:, :3, th.THING["moving"]] = 1.0
        return said

    for cast, there in ((-1, [True, False, False]), (1, [True, True, False])):  # who is cast has first to be seen
        again = roll.rows([0])
        again.over_things = partial(denying, again)
        again.cast.kind[0, 1] = cast
        assert (again.step(conditions)[0][0, :3, 0] > 0).tolist() == there


@torch.no_grad()
def test_what_lies_still_lies_exactly_still_and_what_is_gone_stays_gone() -> None:
    model = tiny()
    roll = Rollout(model, words(model), fps=torch.tensor([24.0]), grid=GRID, with_views=False, sampling=PLAIN,
                   generator=torch.Generator().manual_seed(0))
    conditions = Conditions(torch.tensor([0]), torch.zeros(1), torch.full((1, 20), torch.nan))
    tokens = torch.zeros(1, th.TOKENS, th.WIDTH)
    tokens[:, :MAX_THINGS, 0] = -1.0
    tokens[0, :3, 0] = 1.0
    tokens[0, :3, 1] = th.ONE_HOT
    tokens[0, :3, th.THING["position"]] = torch.tensor([0.0, 0.0, -0.2]).repeat(4)  # on the ground
    tokens[0, 1, th.THING["position"].start : th.THING["position"].stop : 3] = -20.0  # out of the picture
    tokens[0, 2, th.THING["position"].start : th.THING["position"].stop : 3] = 1.0
    tokens[0, 2, th.THING["velocity"]] = 1.0
    tokens[0, :3, th.THING["rotation"]] = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(2)
    tokens[0, th.CAMERA_TOKEN, th.CAMERA["rotation"]] = torch.tensor([1.0, 0, 0, 0, -1, 0]).repeat(4)
    before, _ = roll.step(conditions, things=tokens, known=torch.ones(1, th.TOKENS, dtype=torch.bool))
    network, exists = roll.over_things, torch.tensor([1.0, -1.0, 1.0])

    def drifting(*args):
        said = network(*args)
        said[:, :MAX_THINGS, 0] = -1.0
        said[:, :3, 0] = exists
        said[:, :3, th.THING["moving"]] = torch.tensor([[-1.0], [1.0], [1.0]])
        said[:, :3, th.THING["position"]] += 0.01
        return said

    roll.over_things = drifting
    things, _ = roll.step(conditions)
    assert torch.equal(things[0, 0], before[0, 0]) and not torch.equal(things[0, 2], before[0, 2])
    assert things[0, 1, 0] < 0
    exists[1] = 1.0
    things, _ = roll.step(conditions)
    assert things[0, 1, 0] < 0 and torch.equal(things[0, 0], before[0, 0])


@torch.no_grad()
def test_later_latents_see_only_finished_things() -> None:
    model = tiny()
    text, window = words(model), random_window(model, 6)
    window.things_done = torch.tensor([[True, False, True, True, False, True]])
    first = model(window, text).things
    window.things = window.things.clone()
    window.things[:, 1, :, 5] += 1.0
    second = model(window, text).things
    changed = [not torch.allclose(first[:, n], second[:, n], atol=1e-5) for n in range(6)]
    assert changed == [False, True, False, False, False, False]


def test_an_empty_slot_expects_what_an_opening_expects() -> None:
    window = random_window(tiny(), 1)
    window.previous_noise = torch.zeros_like(window.previous_noise)
    window.previous[..., 0, 0], window.previous[..., 1, 0] = -1.0, 1.0
    prior, variance = motion.continuation(window.previous, window.previous_noise, window.fps)
    assert prior[0, 0, 0, 0] == -1 and prior[0, 0, 0, 1:].eq(0).all() and variance[0, 0, 0, 1:].eq(1).all()
    assert torch.equal(prior[0, 0, 1, th.THING["colour"]], window.previous[0, 0, 1, th.THING["colour"]])
    assert variance[0, 0, 1].max() <= 0.5
    window.previous_noise[:] = 1.0  # no past at all
    prior, variance = motion.continuation(window.previous, window.previous_noise, window.fps)
    assert prior.eq(0).all() and variance.eq(1).all()


@torch.no_grad()
def test_what_paints_views_alone_changes_no_thing() -> None:
    model = tiny()
    conditions = Conditions(torch.tensor([0]), torch.zeros(1), torch.full((1, 20), 0.5))

    def dreamt() -> torch.Tensor:
        roll = Rollout(model, words(model), fps=torch.tensor([24.0]), grid=GRID, with_views=False, sampling=PLAIN,
                       generator=torch.Generator().manual_seed(0))
        return torch.stack([roll.step(conditions)[0] for _ in range(3)])

    before, named = dreamt(), dict(model.named_parameters())
    assert not set(model.views_parameters()) & set(model.things_parameters())
    for name in model.views_parameters():
        named[name].add_(1.0)
    assert torch.equal(dreamt(), before)


@torch.no_grad()
def test_cameras_run_no_faster_than_truth_and_dreams_look_like_training() -> None:
    model = tiny()
    looks = tuple([[0.1 * k + 0.01 * i] * 11 for i in range(3)] for k in range(8))
    roll = Rollout(model, words(model), fps=torch.tensor([24.0]), grid=GRID, with_views=False,
                   sampling=replace(PLAIN, looks=looks), generator=torch.Generator().manual_seed(0))
    conditions = Conditions(torch.tensor([0]), torch.zeros(1), torch.full((1, 20), torch.nan))
    first, _ = roll.step(conditions)
    setting = first[0, th.SETTING_TOKEN]
    known = torch.tensor(looks[int(setting[th.SETTING["name"]].argmax())])
    assert (known - setting[th.SETTING["look"]]).abs().amax(1).min() < 1e-6
    last = first
    for _ in range(6):
        now, _ = roll.step(conditions)
        poses = [x[:, th.CAMERA_TOKEN, th.CAMERA["position"]].unflatten(-1, (4, 3))[:, -1] for x in (last, now)]
        assert (poses[1] - poses[0]).abs().max() <= 4 * motion.FASTEST["position"] + 1e-5
        assert torch.equal(now[:, th.SETTING_TOKEN], first[:, th.SETTING_TOKEN])
        last = now


def test_the_living_stand_upright_and_things_come_in_their_sizes() -> None:
    rng = torch.Generator().manual_seed(0)
    things = torch.randn(2, 3, th.WIDTH, generator=rng)
    for n, kind in enumerate(("dog", "bird", "ball")):
        things[:, n, th.THING["kind"]] = 0
        things[:, n, th.THING["kind"].start + KINDS.index(kind)] = th.ONE_HOT
    stood = physics.standing(motion.upright(things))
    up = th.rotations_of(stood)[..., 2, 2]
    assert torch.allclose(up[:, :2], torch.ones(2, 2, 2), atol=1e-5) and (up[:, 2] < 0.999).all()
    foot = th.positions_of(stood)[..., 2] - th.extents_of(stood)[..., 2:]
    assert foot[:, 0].abs().max() < 1e-5 and (foot[:, 1:].abs().amax(-1) > 1e-2).all()
    ahead, before = (th.rotations_of(v)[:, :2, :, :2, 0] for v in (stood, motion.upright(things)))
    assert torch.allclose(ahead, torch.nn.functional.normalize(before, dim=-1), atol=1e-5)  # where they were heading
    sizes = [[[0.1 * k, 0.0, 0.0], [1.0, 1.0, 0.1 * k]] for k in range(len(KINDS))]
    sized = motion.sized(things, sizes)[..., th.THING["extent"]]
    known = torch.tensor(sizes)[[KINDS.index(kind) for kind in ("dog", "bird", "ball")]]
    near = (things[:, :, None, th.THING["extent"]] - known).norm(dim=-1)
    assert torch.equal(sized, known.expand(2, -1, -1, -1).gather(2, near.argmin(-1)[..., None, None].expand(
        -1, -1, 1, 3))[:, :, 0])
    assert motion.sized(things, ()) is things


def test_free_flight_is_computed() -> None:
    def at(place: list[float], kind: str, velocity: list[float], moving: float = 1.0) -> torch.Tensor:
        row = torch.zeros(th.WIDTH)
        row[0], row[th.THING["kind"].start + KINDS.index(kind)], row[th.THING["moving"]] = 1, th.ONE_HOT, moving
        row[th.THING["rotation"]] = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(2)
        path = torch.tensor(place) + torch.arange(-3, 1)[:, None] / 24 * torch.tensor(velocity)
        row[th.THING["position"]] = ((path - torch.tensor(th.POSITION_CENTRE)) / th.POSITION_SCALE).flatten()
        row[th.THING["velocity"]] = torch.tensor(velocity) / th.VELOCITY_SCALE
        return row

    before = torch.stack([at([0, 0, 2.0], "ball", [1, 0, 0.5]), at([3, 0, 0.35], "ball", [1, 0, 0]),
                          at([0, 3, 2.0], "ball", [0, 0, 0], -1.0), at([-3, 0, 2.0], "bird", [1, 0, 0]),
                          at([5, 0, 0.91], "box", [0, 0, 0]), at([5, 0, 0.3], "box", [0, 0, 0], -1.0),
                          at([-6, 0, 3.0], "box", [0, 0, 0]), at([-6, 0, 2.4], "cone", [0, 0, 0]),
                          at([0, -3, 2.0], "plank", [0, 0, -0.5])])[None]
    made, flies = physics.flown(before.clone(), before, torch.tensor([1 / 24]))
    # in the air; on the ground; at rest on nothing; a bird; standing on another; that other; two that hold each other;
    # one that is lowered
    assert flies.tolist() == [[True, False, True, False, False, False, True, True, False]]
    time = torch.arange(1, 5) / 24
    path = th.positions_of(made)[0, 0]
    assert torch.allclose(path[:, 0], time, atol=1e-5) and torch.allclose(
        path[:, 2], 2 + 0.5 * time - 0.5 * physics.GRAVITY * time**2, atol=1e-5)
    assert abs(float(made[0, 0, th.THING["velocity"].stop - 1]) * 3 - (0.5 - physics.GRAVITY / 6)) < 1e-4
    assert torch.equal(made[:, [1, 3, 4, 5]], before[:, [1, 3, 4, 5]])
    again, flies = physics.flown(made.clone(), made, torch.tensor([1 / 24]))  # once it falls, it falls on
    assert flies[0, 0] and th.positions_of(again)[0, 0, -1, 2] < th.positions_of(made)[0, 0, -1, 2]
