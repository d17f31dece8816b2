"""Words cast the things and cue them; a line is rehearsed, and the take that shows what is asked is painted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_casting import cast_told
from test_physics import about, thing
from tiny_world import tiny_world

from reverie import rehearsal
from reverie.core.clip import Line
from reverie.core.errors import BadInput
from reverie.core.vocabulary import COLOURS, FRAMES_PER_LATENT, KINDS, MAX_THINGS
from reverie.data.scenes import SCENES
from reverie.model import things as th
from reverie.model.cast import ACTS, COMES, LIFTED, SIDES, Cast
from reverie.train import mirror
from reverie.train.bodies import table
from reverie.train.encode import slot_order, true_tokens

F = FRAMES_PER_LATENT


def told(text: str, **more) -> Cast:
    return cast_told([Line(0.0, text)], **more)


def names(cast: Cast) -> list[tuple[str, str]]:
    return [(KINDS[kind], list(COLOURS)[colour] if colour >= 0 else "") for kind, colour in
            zip(cast.kind[0].tolist(), cast.colour[0].tolist(), strict=True) if kind >= 0]


@pytest.mark.parametrize("text", ["a red ball rolls past two green boxes and a chair",
                                  "一个红球滚过两个绿色的箱子和一把椅子"])
def test_who_is_named_plays_in_the_order_of_naming(text: str) -> None:
    cast = told(text)
    assert names(cast) == [("ball", "red"), ("box", "green"), ("box", "green"), ("chair", "")]
    assert cast.present[0, :4].tolist() == [1] * 4 and (cast.present[0, 4:] == 0).all()  # and nobody else
    assert cast.cued[0].tolist() == [0] + [-1] * (MAX_THINGS - 1) and (cast.due == -1).all()


def test_who_comes_is_not_there_at_the_opening_and_is_cued() -> None:
    cast = told("a blue dog walks in from the left. a red wall stands nearby")
    assert names(cast)[0] == ("dog", "blue") and cast.present[0, 0] == -1 and cast.due[0, 0] == cast.cued[0, 0] == 0
    assert cast.present[0, 1] == 1 and cast.due[0, 1] == -1


def test_who_comes_from_the_other_side_is_mirrored() -> None:
    cast = told("a blue dog walks in from the left")
    things, camera = torch.zeros(1, MAX_THINGS, th.WIDTH), torch.zeros(1, th.WIDTH)
    camera[0, th.CAMERA["rotation"]] = torch.tensor([1.0, 0, 0, 0, -1, 0] * F)
    things[0, :, th.THING["position"].start : th.THING["position"].stop : 3] = 1.0
    for new in (True, False):
        other = cast.placed(things, camera, torch.full((1, MAX_THINGS), new))
        assert (th.positions_of(other)[0, 0, :, 0] < 0).all() == new and torch.equal(other[0, 1:], things[0, 1:])


def test_what_runs_into_another_is_in_its_lane_and_goes_there() -> None:
    cast = told("a green box is pushed to the left by a yellow box")
    assert names(cast) == [("box", "green"), ("box", "yellow")] and cast.target[0, :2].tolist() == [-1, 0]
    before = torch.zeros(1, th.TOKENS, th.WIDTH)
    before[0, th.CAMERA_TOKEN, th.CAMERA["rotation"]] = torch.tensor([1.0, 0, 0, 0, -1, 0] * F)
    things = th.at_positions(before[:, :MAX_THINGS], torch.zeros(1, MAX_THINGS, F, 3))
    places = th.positions_of(things)
    places[0, 0], places[0, 1] = torch.tensor([0.2, 0.5, 0.3]), torch.tensor([-0.3, -0.4, 0.3])
    things = th.at_positions(things, places)
    new = torch.ones(1, MAX_THINGS, dtype=torch.bool)
    stands = th.positions_of(cast.placed(things, before[:, th.CAMERA_TOKEN], new))[0, :2, -1]
    assert torch.allclose(stands[0], torch.tensor([0.2, 0.5, 0.3]), atol=1e-5)
    assert torch.allclose(stands[1], torch.tensor([0.2 + 1.6, 0.5, 0.3]), atol=1e-5)  # right of what goes to the left
    before[:, :MAX_THINGS] = cast.placed(things, before[:, th.CAMERA_TOKEN], new)
    gone = cast.kicked(before[:, :MAX_THINGS], before, new, torch.tensor([0]), torch.tensor([1 / 24]), new / 2, 1.0)
    assert gone[0, 1, th.THING["velocity"].start] * th.VELOCITY_SCALE < -2 and torch.equal(gone[0, 0], before[0, 0])
    knocked = told("a green box is pushed by a yellow box")  # to whatever side: towards it, and never away
    for chance in (0.1, 0.9):
        gone = knocked.kicked(before[:, :MAX_THINGS], before, new, torch.tensor([0]), torch.tensor([1 / 24]),
                              new * chance, 1.0)
        assert gone[0, 1, th.THING["velocity"].start] * th.VELOCITY_SCALE < -2


def test_what_another_pushes_out_of_the_picture_does_not_go_by_itself() -> None:
    cast = told("a green ball is pushed to the right by a yellow ball, while the green ball leaves to the right")
    assert names(cast) == [("ball", "green"), ("ball", "yellow")]
    assert cast.cued[0, :2].tolist() == [-1, 0] and cast.target[0, :2].tolist() == [-1, 0]
    alone = told("a green ball leaves to the right. a yellow ball lies there")
    assert alone.cued[0, :2].tolist() == [0, -1]


def test_what_is_thrown_flies_in_from_its_side_as_truth_throws_it() -> None:
    cast = told("a red ball is thrown to the right. a blue box stands there")
    assert cast.due[0, :2].tolist() == [0, -1] and cast.side[0, 0] == SIDES.index("left") and cast.way[0, 0] == -1
    before = torch.zeros(1, th.TOKENS, th.WIDTH)
    before[0, th.CAMERA_TOKEN, th.CAMERA["rotation"]] = torch.tensor([1.0, 0, 0, 0, -1, 0] * F)
    things = th.at_positions(before[:, :MAX_THINGS], torch.tensor([0.5, 1.0, 0.3]).expand(1, MAX_THINGS, F, 3))
    made = cast.placed(things, before[:, th.CAMERA_TOKEN], torch.ones(1, MAX_THINGS, dtype=torch.bool))[0]
    assert th.positions_of(made[:1])[0, -1].tolist() == pytest.approx([-0.5, 1.0, 1.1], abs=1e-5)
    speed = made[0, th.THING["velocity"]] * th.VELOCITY_SCALE
    assert speed[0] > 2 and speed[2] > 1.3 and speed[1] == pytest.approx(0, abs=1e-5)
    assert torch.equal(made[1], things[0, 1])


def test_what_is_put_down_on_another_comes_over_it() -> None:
    cast = told("a green box is stacked on a yellow box")
    things = th.at_positions(torch.ones(1, MAX_THINGS, th.WIDTH), torch.rand(1, MAX_THINGS, F, 3))
    camera = torch.zeros(1, th.WIDTH)
    camera[0, th.CAMERA["rotation"]] = torch.tensor([1.0, 0, 0, 0, -1, 0] * F)
    made = cast.placed(things, camera, torch.ones(1, MAX_THINGS, dtype=torch.bool))
    over, under = th.positions_of(made)[0, :2]
    assert torch.allclose(over[:, :2], under[-1:, :2].expand(F, 2), atol=1e-5)
    assert torch.allclose(over[:, 2], th.positions_of(things)[0, 0, :, 2]) and torch.equal(made[0, 1:], things[0, 1:])
    assert made[0, 0, th.THING["velocity"]].tolist() == [0, 0, 1]


@pytest.mark.parametrize("text, way", [
    ("a red box slides to the right", (1, 0, 0)), ("a red ball rolls to the left", (-1, 0, 0)),
    ("a red ball leaps into the air", (0, 0, 1)), ("a red dog walks to the right", None)])
def test_a_hand_sets_going_what_is_cued_in_the_way_that_it_is_told(text: str, way: tuple | None) -> None:
    cast, before = told(text), torch.zeros(1, th.TOKENS, th.WIDTH)
    before[0, th.CAMERA_TOKEN, th.CAMERA["rotation"]] = torch.tensor([1.0, 0, 0, 0, -1, 0] * F)
    starts, things = torch.ones(1, MAX_THINGS, dtype=torch.bool), before[:, :MAX_THINGS]
    frame, chance = torch.tensor([1 / 24]), torch.full((1, MAX_THINGS), 0.5)
    gone = cast.kicked(things, before, starts, torch.tensor([0]), frame, chance, 1.0)
    assert torch.equal(cast.kicked(things, before, starts, torch.tensor([1]), frame, chance, 1.0), things)  # no such
    assert torch.equal(gone[0, 1:], things[0, 1:])
    speed, path = gone[0, 0, th.THING["velocity"]] * th.VELOCITY_SCALE, th.positions_of(gone)[0, 0]
    if way is None:
        assert torch.equal(gone, things)
        return
    assert 1.5 < float(speed @ torch.tensor(way, dtype=torch.float32)) < 5
    assert (path.diff(dim=0) @ torch.tensor(way, dtype=torch.float32) > 0.05).all()


def test_of_what_follows_something_only_the_first_is_cued() -> None:
    cast = told("a red box slides to the right, and then a blue ball falls")
    assert cast.cued[0, :2].tolist() == [0, 0] and cast.after[0, :2].tolist() == [-1, 0]
    line, chance, met = torch.tensor([0]), torch.full((1, MAX_THINGS), 0.02), torch.arange(MAX_THINGS)[None] == 0
    assert cast.comes(chance, line, met, opening=False)[0, 1] == pytest.approx(0.02)  # it waits
    assert cast.acted(met, ~met, line).comes(chance, line, met, opening=False)[0, 1] == COMES


def test_where_a_word_is_not_known_something_else_may_come() -> None:
    assert (told("a red ball and a zorblax").present[0, 1:] == -1).all() and (told("").present == -1).all()
    assert (told("o cachorro anda").kind == -1).all()


def test_who_is_there_already_is_not_cast_again() -> None:
    there, met = torch.zeros(th.TOKENS, th.WIDTH), torch.zeros(MAX_THINGS, dtype=torch.bool)
    there[1, th.THING["kind"].start + KINDS.index("box")] = there[1, th.THING["colour"].start] = th.ONE_HOT
    met[:2] = True  # the first is gone
    there[1, 0], there[0, 0] = 1.0, -1.0
    colour = list(COLOURS)[0]
    cast = told(f"the {colour} box slides to the right. a green cone falls", things=there, met=met)
    assert names(cast) == [("box", colour), ("cone", "green")] and (cast.kind[0, 1:3] >= 0).all()  # its own, a free one
    assert cast.cued[0, 1] == 0 and cast.due[0, 2] == 0


def test_who_is_named_later_comes_then() -> None:
    cast = cast_told([Line(0.0, "a red ball lies there"), Line(2.0, "a yellow bird walks past")])
    assert cast.present[0, :2].tolist() == [1, -1] and cast.due[0, :2].tolist() == [-1, 1]
    heard = told("a yellow bird walks past", things=torch.full((th.TOKENS, th.WIDTH), -1.0),
                 met=torch.zeros(MAX_THINGS, dtype=torch.bool), numbers=[4])
    assert heard.due[0, 0] == heard.cued[0, 0] == 4


def test_chances_are_as_the_cast_settles_them() -> None:
    cast = told("a blue dog walks in from the left. a red wall stands nearby")
    nobody, line = torch.zeros(1, MAX_THINGS, dtype=torch.bool), torch.tensor([0])
    chance = torch.full((1, MAX_THINGS), 0.02)
    opening = cast.comes(chance, line, nobody, opening=True)[0]
    later = cast.comes(chance, line, nobody, opening=False)[0]
    assert opening[:2].tolist() == [0.0, 1.0] and later[:2].tolist() == pytest.approx([COMES, 0.02])
    assert (opening[2:] == 0).all() and (later[2:] == 0).all()
    assert cast.comes(chance, torch.tensor([1]), nobody, opening=False)[0, 0] == pytest.approx(0.02)  # another line
    assert cast.acts(chance, line, ~nobody, opening=False)[0, 0] == ACTS
    after = cast.acted(nobody | True, nobody, line).acts(chance, line, nobody, opening=False)
    assert (after == chance).all()  # who goes on needs no cue
    assert cast.acts(chance, line, ~nobody, opening=False)[0, 1] == 0  # and the wall has none


def test_where_nobody_is_told_to_do_anything_what_rests_stays() -> None:
    chance, still = torch.full((1, MAX_THINGS), 0.02), torch.ones(1, MAX_THINGS, dtype=torch.bool)
    script = [Line(0.0, "two yellow planks. the camera rises"), Line(2.0, "a yellow plank slides to the left"),
              Line(4.0, "night falls"), Line(6.0, "")]
    still[0, 3] = False
    for line, idle in ((0, True), (1, False), (2, False), (3, False), (70, False)):
        acts = cast_told(script).acts(chance, torch.tensor([line]), still, opening=False)[0]
        assert (acts[2] == 0) == idle and acts[3] > 0, line
    for text, idle in (("a red ball hits a wall", False), ("a red ball spins", False), ("一个红球撞上一面墙", False),
                       ("a red ball and a golden hoop; the camera moves left", True),
                       ("一个光滑的红球。镜头走近", True)):
        assert (told(text).idle[0, -1] > 0) == idle, text  # a verb that nobody reads may be one of motion
    acts = told("a yellow plank explodes").acts(chance, torch.tensor([0]), still, opening=False)
    assert (acts > 0).all()  # whatever that is


def test_a_screen_is_let_down_before_what_it_covers_and_others_stand() -> None:
    for text in ("a red screen covers a green ball", "a green ball is hidden behind a red screen for a while"):
        cast = told(text)
        ball, screen = (int((cast.kind[0] == KINDS.index(kind)).nonzero()) for kind in ("ball", "screen"))
        assert cast.side[0, screen] == SIDES.index("above") and cast.target[0, screen] == ball, text
        assert cast.present[0, ball] == 1 and cast.due[0, screen] == 0, text
        tokens = torch.stack([thing("ball", (0.4, 0.5, 0.2), (0.2,) * 3)] * MAX_THINGS)[None]
        tokens[0, screen] = thing("screen", (-1.0, 2.0, 3.0), (0.7, 0.1, 0.6), about(2, 30))
        camera = torch.zeros(1, th.WIDTH)
        camera[:, th.CAMERA["rotation"]] = torch.tensor([1.0, 0, 0, 0, 0, 1]).repeat(F)
        new = torch.zeros(1, MAX_THINGS, dtype=torch.bool)
        new[0, screen] = True
        place = th.positions_of(cast.placed(tokens, camera, new))[0, screen, -1]
        assert place[0] == pytest.approx(0.4, abs=1e-4) and place[1] < 0.5 - 0.2 - 0.1 - 0.1
        after = th.at_positions(tokens, th.positions_of(tokens) + torch.tensor([0.1, 0.1, -0.3]))
        hung, goes = cast.hung(after, tokens, torch.tensor([1 / 24]))
        place = torch.tensor([-1.0, 2.0, 3.0 - LIFTED / 6])  # whatever the network says
        assert torch.allclose(th.positions_of(hung)[0, screen, -1], place, atol=1e-4) and goes[0, screen]
    for text, hangs in (("A screen comes down in front of everything and rises again.", True),
                        ("a screen drops down, then it goes up", True),
                        ("a screen drops and is lifted again", True), ("a screen drops and the gaze goes up", False),
                        ("一块幕布落下遮住一切，然后升起。", True),
                        ("a screen falls out of the air as the camera rises", False), ("一块幕布掉下来", False)):
        cast = told(text)
        screen = int((cast.kind[0] == KINDS.index("screen")).nonzero())
        assert (cast.side[0, screen] == SIDES.index("above")) == hangs and cast.target[0, screen] == -1, text
        assert cast.due[0, screen] == 0 and bool(cast.lowered()[0, screen]) == hangs, text
    stands = told("a red screen slides to the left")
    for height, stays in ((0.6, True), (2.4, False)):  # unless it fell out of the air
        tokens[0, 0] = thing("screen", (-1.0, 2.0, height), (0.7, 0.1, 0.6))
        after = th.at_positions(tokens, th.positions_of(tokens) + torch.tensor([0.1, 0.0, 0.3]))
        made = th.positions_of(stands.hung(after, tokens, torch.tensor([1 / 24]))[0])[0, 0, -1, 2]
        assert made == pytest.approx(0.6 if stays else height + 0.3, abs=1e-4)


def test_who_is_told_no_colour_has_none_of_those_of_others() -> None:
    cast = told("a red ball and a wall")
    things = torch.zeros(1, MAX_THINGS, th.WIDTH)
    red = th.THING["colour"].start + list(COLOURS).index("red")
    things[..., red] = th.ONE_HOT
    things[..., red + 1] = th.ONE_HOT / 2
    colours = cast.played(things)[0, :3, th.THING["colour"]].argmax(-1)
    assert colours.tolist() == [red - th.THING["colour"].start, red + 1 - th.THING["colour"].start,
                                red - th.THING["colour"].start]  # nobody is told to be the third


def test_what_hides_comes_in_the_lane_behind_and_rolls_on() -> None:
    cast = told("a red ball rolls to the right behind a wall")
    assert cast.due[0, 0] == 0 and cast.target[0, 0] == 1 and cast.behind[0, 0] == 1 and cast.present[0, 1] == 1
    things = torch.zeros(1, MAX_THINGS, th.WIDTH)
    things[0, 0] = thing("ball", (-2.5, -0.5, 0.2), (0.2,) * 3)
    things[0, 1] = thing("wall", (0.2, -0.4, 0.6), (0.8, 0.1, 0.6))
    camera = torch.zeros(1, th.WIDTH)
    camera[:, th.CAMERA["rotation"]] = torch.tensor([1.0, 0, 0, 0, 0, 1]).repeat(F)
    new = torch.zeros(1, MAX_THINGS, dtype=torch.bool)
    new[0, 0] = True
    ball = cast.aimed(cast.placed(things, camera, new), new)[0, 0]
    place, speed = th.positions_of(ball)[-1], ball[th.THING["velocity"]] * th.VELOCITY_SCALE
    assert place[0] == pytest.approx(-2.5, abs=1e-3) and place[1] == pytest.approx(-0.4 + 0.1 + 0.65, abs=1e-3)
    assert speed[0] == pytest.approx(3.0, abs=0.01) and speed[1] == pytest.approx(0, abs=1e-3)


def test_only_what_is_put_down_may_be_lowered() -> None:
    for text, may in (("a red cone falls", False), ("a red cone is put on a blue table", True)):
        cast = told(text)
        assert bool(cast.lowered()[0, 0]) == may and bool(cast.lowered()[0, MAX_THINGS - 1]), text


def test_a_mirror_image_is_the_one_that_training_knows() -> None:
    """Seen from a camera in the plane x = 0 it is the same as the mirror of train.mirror."""
    scene = SCENES["lab"]
    for seed in range(4):
        clip = scene.simulate(scene.plan(seed, 2.0, fps=24.0, split="train", size=(64, 64)))
        tokens = true_tokens(clip)[:1]
        tokens[:, th.CAMERA_TOKEN, th.CAMERA["position"]] = 0  # at CAMERA_CENTRE
        tokens[:, th.CAMERA_TOKEN, th.CAMERA["rotation"]] = np.tile([1, 0, 0, 0, -1, 0], F)
        things, camera = torch.from_numpy(tokens[:, :MAX_THINGS]), torch.from_numpy(tokens[:, th.CAMERA_TOKEN])
        other = th.mirrored(things, camera)
        there = tokens[0, :MAX_THINGS, 0] > 0
        assert np.allclose(other[0, there], mirror.mirrored(tokens)[0, :MAX_THINGS][there], atol=1e-4)
        assert torch.allclose(th.mirrored(other, camera)[0, there], things[0, there], atol=1e-4)


def test_truth_shows_all_that_its_captions_claim() -> None:
    scene, right, asked = SCENES["lab"], 0, 0
    for seed in range(8):
        clip = scene.simulate(scene.plan(seed, 4.0, fps=24.0, split="train", size=(128, 128)))
        for language in ("en", "zh"):
            lines = scene.caption(clip.truth, np.random.default_rng(seed), language=language, long=False,
                                  held_out=False, cameras=clip.cameras, fps=clip.fps)
            script = [Line(line.start, line.text) for line in lines]
            order = slot_order([list(line.order) for line in lines], len(clip.truth.kinds))
            claims = rehearsal.claims_of(script)
            assert claims
            right += rehearsal.shown(claims, true_tokens(clip, order), 24.0, (128, 128), table())[::2] == (1.0, 1.0)
            asked += 1
    assert right >= 0.9 * asked


def test_what_is_behind_another_is_out_of_sight() -> None:
    tokens = np.zeros((1, th.TOKENS, th.WIDTH), np.float32)
    tokens[:, :MAX_THINGS, 0] = -1
    tokens[:, th.CAMERA_TOKEN, th.CAMERA["rotation"]] = np.tile([1, 0, 0, 0, -1, 0], F)
    for slot, (y, size) in enumerate([(0.0, 1.0), (2.0, 0.3), (-2.0, 0.2)]):
        thing = tokens[0, slot]
        thing[0], thing[th.THING["kind"].start + slot] = 1.0, th.ONE_HOT
        thing[th.THING["colour"].start] = th.ONE_HOT
        thing[th.THING["rotation"]] = np.tile([1, 0, 0, 0, 1, 0], 2)
        thing[th.THING["extent"]] = np.log(size / 0.3) / 0.7
        thing[th.THING["position"]] = np.tile([0.0, y / th.POSITION_SCALE, 0.0], F)
    seen = rehearsal.tracks_of(tokens, (64, 64), table())
    assert [track.number for track in seen] == [0, 2] and seen[0].kind == KINDS[0]
    assert seen[0].began == seen[0].ended == "clip" and seen[0].visible.min() < 1


def test_of_two_openings_that_show_the_same_the_plainer_is_taken() -> None:
    claims = rehearsal.claims_of([Line(0.0, "a ball and a box")])

    def scored(x: float, size: float) -> rehearsal.Shown:
        tokens = np.zeros((1, th.TOKENS, th.WIDTH), np.float32)
        tokens[:, :MAX_THINGS, 0] = -1
        tokens[:, th.CAMERA_TOKEN, th.CAMERA["rotation"]] = np.tile([1, 0, 0, 0, -1, 0], F)
        for slot, (kind, place) in enumerate((("ball", (x, 2.0)), ("box", (0.0, 0.0)))):
            tokens[0, slot] = thing(kind, (*place, size), (size,) * 3).numpy()
        return rehearsal.shown(claims, tokens, 24.0, (128, 128), table())

    apart, behind, tiny = scored(1.5, 0.3), scored(0.25, 0.3), scored(1.5, 0.05)
    assert apart.whole == behind.whole == tiny.whole == 1.0 and apart.plain == 1.0
    assert behind.plain < 0.9 and tiny.plain < 0.9
    assert max(behind, apart, tiny) == apart


def test_two_change_places_and_stand_in_nothing() -> None:
    tokens = np.zeros((1, th.TOKENS, th.WIDTH), np.float32)
    tokens[:, :MAX_THINGS, 0] = -1
    for slot, (x, size) in enumerate([(-1.0, 0.3), (1.5, 0.6), (0.0, 0.3)]):
        thing = tokens[0, slot]
        thing[0], thing[th.THING["kind"].start + 1] = 1.0, th.ONE_HOT
        thing[th.THING["rotation"]] = np.tile([1, 0, 0, 0, 1, 0], 2)
        thing[th.THING["extent"]] = np.log(size / 0.3) / 0.7
        thing[th.THING["position"]] = np.tile([x / th.POSITION_SCALE, 0.0, (size - 0.7) / th.POSITION_SCALE], F)
    made = torch.from_numpy(tokens)
    place = th.positions_of(rehearsal._swapped(made, 0, 1)[:, :3])[0, :, -1]
    assert place[0].tolist() == pytest.approx([1.5, 0.0, 0.3]) and place[1, 2] == pytest.approx(0.6)
    assert abs(float(place[1, 0] - place[2, 0])) > 0.9 - 0.02  # 1.0 apart is enough, 0.9 they need
    assert torch.equal(rehearsal._swapped(made, 0, 5), made)  # nobody is there to change with
    claims = rehearsal.claims_of([Line(0.0, "a red ball left of a blue box, and a dog")])
    assert rehearsal._pairs(claims)[0] == (0, 1)


SCRIPT = [Line(0.0, "a red ball rolls to the left"), Line(0.5, "a blue box falls")]


def test_imagine_goes_on_from_the_best_take(monkeypatch: pytest.MonkeyPatch) -> None:
    world, seen = tiny_world(), []
    truly = rehearsal.shown

    def shown(claims, tokens, fps, size, table):
        score = 0.5 * truly(claims, tokens, fps, size, table)[0] + 0.4 * float(np.abs(tokens).sum() % 1)
        seen.append((score, tokens))
        return rehearsal.Shown(score, 0.0, 0.0)

    monkeypatch.setattr(rehearsal, "shown", shown)
    blocks = list(world.imagine(SCRIPT[:1], seconds=1.0, seed=3, takes=4))
    made = np.stack([block.vectors for block in blocks])
    assert len(made) == 6 and sum(len(block.frames) for block in blocks) == 24
    whole = [(score, tokens) for score, tokens in seen if len(tokens) == 6]
    assert len(whole) == 4 and np.array_equal(max(whole, key=lambda pair: pair[0])[1], made)
    same = world.dream(SCRIPT[:1], seed=3, seconds=1.0, takes=4).imagined(6)
    assert np.array_equal(same, made)  # one seed, one dream, painted or not


def test_each_line_is_rehearsed_when_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(rehearsal, "shown", lambda claims, tokens, *of: seen.append(
        ([claim.words for claim in claims if claim.aspect == "event"], len(tokens))) or rehearsal.Shown(0.5, 0.5, 0.5))
    world = tiny_world()
    assert len(world.dream(SCRIPT, seed=3, seconds=1.0, takes=2).imagined(6)) == 6
    first, second = "red ball rolled left", "blue box dropped"
    assert {(words[0], length) for words, length in seen} == {(first, 1), (first, 3), (second, 2), (second, 4)}


def test_what_shows_all_at_once_is_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(rehearsal, "shown", lambda *of: asked.append(len(of[1])) or rehearsal.Shown(1.0, 1.0, 1.0))
    tiny_world().dream(SCRIPT[:1], seed=1, seconds=1.0, takes=3).imagined(4)
    assert asked == [1] * 9  # three openings and their mirror images, and the three that were chosen


def test_what_is_rehearsed_cannot_be_told_otherwise() -> None:
    dream = tiny_world().dream(SCRIPT, seed=1, seconds=1.0, takes=2)
    dream.rehearse(6)
    for told in ({"text": "a dog walks"}, {"rates": {"pan": 1.0}}, {"given": {0: torch.zeros(th.WIDTH)}}):
        with pytest.raises(BadInput, match="rehearsed"):
            dream.step(**told)
    assert dream.n == 0 and len(dream.step().frames) == F


def test_without_words_or_from_a_past_nothing_is_rehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "shown", lambda *of: pytest.fail("it was rehearsed"))
    world = tiny_world()
    list(world.imagine([Line(0.0, "")], seconds=0.2))
    list(world.imagine(SCRIPT, seconds=0.2, takes=1))
    list(world.imagine(SCRIPT, seconds=0.2, past=np.zeros((1, 64, 64, 3), np.uint8)))
    world.dream(SCRIPT).step()
