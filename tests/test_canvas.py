"""The canvas: what is drawn stands where the camera sees it, the same however it is asked for."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from reverie.core.camera import CameraPath, look_at, project
from reverie.core.vocabulary import KINDS, LOOK
from reverie.model import canvas as cv
from reverie.model import solids as sd
from reverie.model import stage
from reverie.model import things as th
from reverie.model.canvas import Canvas, Scene
from reverie.model.outline import outlines
from reverie.model.tokenizer import PRESETS, Tokenizer
from reverie.train.bodies import table, taught
from reverie.train.canvas import with_canvas

SIDE = 64
SUN = np.array([0.3, -0.4, 0.866, 0, 0.5, 0.5, 0.5, 0.2, 0.2, 0.2, 0], np.float32)


def camera(moves: float = 0.0) -> np.ndarray:
    places = np.array([[0.5 + moves * f, -6.0, 1.8] for f in range(4)], np.float32)
    turns = np.stack([look_at(place, np.array([0.0, 0.0, 0.7])) for place in places]).astype(np.float32)
    return th.encode_camera(CameraPath(places, turns, 40.0))[0]


def scene(*things: tuple, moves: float = 0.0, kind: str = "ball") -> Scene:
    """Things are (place, half size, metres that it moves to the right in each frame, colour)."""
    rows = np.zeros((1, max(1, len(things)), th.WIDTH), np.float32)
    rows[..., 0] = -1
    for row, (place, size, step, colour) in zip(rows[0], things, strict=False):
        row[0], row[1 + KINDS.index(kind)], row[25 + colour], row[37] = 1, th.ONE_HOT, th.ONE_HOT, th.ONE_HOT
        row[th.THING["extent"]] = np.log(size / 0.3) / 0.7
        path = np.array(place) + np.arange(4)[:, None] * [step, 0, 0]
        row[th.THING["position"]] = ((path - th.POSITION_CENTRE) / th.POSITION_SCALE).flatten()
        row[th.THING["rotation"]] = [1, 0, 0, 0, 1, 0] * 2
    return Scene(torch.from_numpy(rows), torch.from_numpy(camera(moves))[None],
                 torch.from_numpy(th.encode_setting("lawn", SUN))[None])


def made(seed: int = 0) -> Canvas:
    torch.manual_seed(seed)
    return taught(Canvas(16)).eval()


BALL, FAR_BALL = ((0.0, 0.0, 0.4), 0.4, 0.0, 0), ((0.1, 2.0, 0.5), 0.5, 0.0, 1)


@torch.no_grad()
def test_a_box_is_drawn_where_it_projects_to() -> None:
    found = scene(((0.4, 0.3, 0.9), 0.36, 0.1, 2), kind="box")
    cover = made()(found, SIDE, SIDE).cover[0, ..., 0].view(4, SIDE, SIDE)
    path = th.decode_camera(found.camera.numpy())
    for f in range(4):
        corners = np.array([0.4 + 0.1 * f, 0.3, 0.9]) + 0.36 * np.array(
            [[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        pixels, _ = project(corners, path.position[f], path.rotation[f], path.fovy, SIDE, SIDE)
        rows, columns = (cover[f] > 0).nonzero().unbind(1)
        assert abs(columns.min() - pixels[:, 0].min()) < 1 and abs(columns.max() + 1 - pixels[:, 0].max()) < 1
        assert abs(rows.min() - pixels[:, 1].min()) < 1 and abs(rows.max() + 1 - pixels[:, 1].max()) < 1


INSIDE = {  # how far in a place is, in no unit, below 0 outside
    "box": lambda p, s: (1 - (p / s).abs()).amin(-1),
    "ellipsoid": lambda p, s: 1 - (p / s).norm(dim=-1),
    "cylinder": lambda p, s: torch.minimum(1 - p[..., :2].norm(dim=-1) / s[0], 1 - p[..., 2].abs() / s[2]),
    "capsule": lambda p, s: s[0] - torch.stack(
        [p[..., 0], p[..., 1], p[..., 2] - p[..., 2].clamp(-(s[2] - s[0]), s[2] - s[0])], -1).norm(dim=-1),
    "cone": lambda p, s: torch.minimum((1 - p[..., 2] / s[2]) / 2 - p[..., :2].norm(dim=-1) / s[0],
                                       1 + p[..., 2] / s[2]),
    "wedge": lambda p, s: torch.minimum((1 - (p / s).abs()).amin(-1), p[..., 0] / s[0] - p[..., 2] / s[2]),
}


@pytest.mark.parametrize("shape", sd.SHAPES)
def test_rays_meet_solids_where_these_begin(shape: str) -> None:
    """Against a walk along each ray in steps of 2 mm; the face looks back along it, and out of the solid."""
    draw = torch.Generator().manual_seed(3)
    size = torch.tensor([0.3, 0.3, 0.5] if shape != "wedge" else [0.7, 0.36, 0.26])
    start = torch.nn.functional.normalize(torch.randn(300, 3, generator=draw), dim=-1) * 2
    way = torch.nn.functional.normalize(torch.randn(300, 3, generator=draw) * 0.3 - start, dim=-1)
    number = torch.full((300,), sd.SHAPES.index(shape))
    far, normal = sd.met(number, size.expand(300, 3), start[:, None], way[:, None])
    steps = torch.arange(0.5, 3.5, 0.002)
    inside = INSIDE[shape](start[:, None] + way[:, None] * steps[:, None], size) > 0
    walked = torch.where(inside.any(1), steps[inside.float().argmax(1)], torch.inf)
    hits = far[:, 0].isfinite() & walked.isfinite()
    assert hits.sum() > 60 and (far[:, 0].isfinite() != walked.isfinite()).sum() < 8  # those that graze it
    assert (far[hits, 0] - walked[hits]).abs().max() < 0.01
    assert ((normal[hits, 0] * way[hits]).sum(-1) < 1e-3).all()
    out = start[hits] + way[hits] * far[hits] + 0.004 * normal[hits, 0]
    assert (INSIDE[shape](out, size) < 0).float().mean() > 0.97


def test_no_ray_that_meets_a_solid_is_left_out() -> None:
    """What ``Solids.parts`` leaves out passes by the boxes, too."""
    things = torch.cat([scene(((x, 1.0, 0.8), np.full(3, 0.5), 0.02, 0), kind=kind).things
                        for x, kind in ((-1.0, "person"), (0.0, "dog"), (1.0, "ball"))], 1)
    solids = sd.solids_of(things, table())
    generator = torch.Generator().manual_seed(3)
    body, frame = (torch.randint(n, (4000,), generator=generator) for n in (things.shape[1], th.F))
    start = 4 * torch.randn(4000, 3, generator=generator)
    way = solids.bodies.place[frame, body] + 0.4 * torch.randn(4000, 3, generator=generator) - start
    found = []
    for spot in (None, torch.full((4000,), 0.01)):
        wide = [] if spot is None else [spot]
        ray = torch.arange(4000).repeat_interleave(solids.count[body])
        solid = torch.cat([torch.arange(solids.count[b]) + solids.first[b] for b in body])
        every, _, _ = solids.boxes.entered(frame[ray], solid, start[ray], way[ray], *(part[ray] for part in wide))
        met = torch.stack([ray[every], solid[every]], 1).tolist()
        ray, solid = solids.parts(frame, body, start, way, spot)
        some, _, _ = solids.boxes.entered(frame[ray], solid, start[ray], way[ray], *(part[ray] for part in wide))
        assert torch.stack([ray[some], solid[some]], 1).tolist() == met
        assert len(some) > 500 and len(ray) < solids.count[body].sum() / 2
        found.append(len(some))
    assert found[1] > found[0]


def test_bodies_fill_their_sizes() -> None:
    """Of each kind, at each size: its solids reach as far as the worlds say, and no farther."""
    known = table()
    for k, kind in enumerate(KINDS):
        for s in range(3):
            row = np.zeros(th.WIDTH, np.float32)
            row[0] = 1
            row[1 + k] = row[25] = row[37] = th.ONE_HOT
            row[th.THING["extent"]] = np.log(known.extents[k, s].numpy() / 0.3) / 0.7
            row[th.THING["position"]] = ((np.array([[0.5, 1.0, 2.0]] * 4) - th.POSITION_CENTRE) / 2).flatten()
            row[th.THING["rotation"]] = [1, 0, 0, 0, 1, 0] * 2
            found = sd.solids_of(torch.from_numpy(row)[None, None], known)
            own = found.body == 0
            boxes = found.boxes
            reach = (boxes.turn[0, own].abs() @ boxes.size[0, own, :, None])[..., 0]
            middle = boxes.place[0, own] - torch.tensor([0.5, 1.0, 2.0])
            both = torch.maximum((middle + reach).amax(0), (reach - middle).amax(0))
            slack = 0.35 if kind in ("person", "dog", "bird") else 0.08
            assert (both < known.extents[k, s] * (1 + slack) + 0.06).all(), (kind, s, both, known.extents[k, s])
            assert (both > known.extents[k, s] * (0.3 if slack > 0.3 else 0.9)).all(), (kind, s, both)


@torch.no_grad()
@pytest.mark.parametrize("seed", [3, 11])
def test_outlines_are_those_of_the_worlds(seed: int) -> None:
    """Of a drawn clip: what covers a pixel here is there too."""
    pytest.importorskip("mujoco")
    from reverie.data.scenes import lab
    from reverie.train.encode import true_tokens

    clip = lab.draw(lab.plan(seed, 2.0, size=(96, 96)))
    masks = next(iter(clip.truth.masks.values())) > 0
    cover = made()(Scene.of(torch.from_numpy(true_tokens(clip))), 96, 96).cover.view(-1, 96, 96).numpy() > 0.5
    both, either = (masks & cover).sum(), (masks | cover)[: len(cover)].sum()
    assert either > 1000 and both / either > 0.9
    tokens = torch.from_numpy(true_tokens(clip))
    found = outlines(tokens[:, :-2], tokens[:, th.CAMERA_TOKEN], table(), 96, 96)
    box, true = found.box.flatten(0, 1).numpy(), next(iter(clip.truth.boxes.values()))
    whole = (true.min(-1) > 1) & (true.max(-1) < 95)  # NaN where nothing is seen
    assert whole.sum() > 40 and np.abs(box[:, : true.shape[1]] - true)[whole].max() < 1.5
    assert np.median(np.abs(box[:, : true.shape[1]] - true)[whole]) < 0.1


@torch.no_grad()
@pytest.mark.parametrize("moves", [0.0, 0.05])
def test_single_pixels_are_those_of_the_whole(moves: float) -> None:
    found, canvas = scene(BALL, FAR_BALL, moves=moves), made()
    whole = canvas(found, SIDE, SIDE)
    some = torch.randint(SIDE * SIDE, (1, 4, 100), generator=torch.Generator().manual_seed(1))
    part = canvas(found, SIDE, SIDE, some)
    for name in ("things", "cover"):
        value = getattr(whole, name).gather(2, some[..., None].expand(-1, -1, -1, getattr(whole, name).shape[-1]))
        assert torch.allclose(value, getattr(part, name), atol=1e-5)


@torch.no_grad()
def test_what_stands_still_is_drawn_as_if_it_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    found, canvas = scene(BALL, ((0.8, 0.2, 0.4), 0.3, 0.05, 3)), made()
    once = canvas(found, SIDE, SIDE)
    solids = cv.solids_of

    def restless(*args: object) -> sd.Solids:
        out = solids(*args)
        assert out.rests.tolist() == [[True, False]]
        out.rests[:] = False
        return out

    monkeypatch.setattr(cv, "solids_of", restless)
    each = canvas(found, SIDE, SIDE)
    assert torch.allclose(once.picture, each.picture, atol=1e-5)


@torch.no_grad()
def test_scenes_of_a_batch_do_not_touch_each_other() -> None:
    one, two = scene(BALL, FAR_BALL), scene(((-0.5, 0.0, 0.4), 0.3, 0.1, 5), moves=0.03)
    wide = torch.cat([two.things, torch.zeros_like(two.things)], 1)
    wide[:, 1, 0] = -1
    both = Scene(torch.cat([one.things, wide]), torch.cat([one.camera, two.camera]),
                 torch.cat([one.setting, two.setting]))
    canvas = made()
    together = canvas(both, SIDE, SIDE).picture
    assert torch.allclose(together[:1], canvas(one, SIDE, SIDE).picture, atol=1e-5)
    assert torch.allclose(together[1:], canvas(two, SIDE, SIDE).picture, atol=1e-5)


@torch.no_grad()
def test_the_nearer_hides_the_farther() -> None:
    canvas = made()
    ball, both = canvas(scene(BALL), SIDE, SIDE), canvas(scene(FAR_BALL, BALL), SIDE, SIDE)
    inside = ball.cover[..., 0] > 0.99
    assert torch.equal(canvas(scene(BALL, BALL), SIDE, SIDE).cover, ball.cover)  # one in the place of the other
    assert inside.sum() > 300 and (both.cover[..., 0] > 0.99).sum() > inside.sum()
    assert torch.allclose(both.things[inside], ball.things[inside], atol=1e-4)


@torch.no_grad()
def test_shadows_fall_away_from_the_light() -> None:
    canvas = made()
    shade = canvas(scene(((0.0, 0.0, 1.2), 0.3, 0.0, 0)), SIDE, SIDE).shade[0, 0, :, 0].view(SIDE, SIDE)
    rows, columns = (shade > 0.5).nonzero().unbind(1)
    path = th.decode_camera(camera()[None])
    middle = np.array([0.0, 0.0, 1.2]) - SUN[:3] / SUN[2] * 1.2
    pixel, _ = project(middle[None], path.position[0], path.rotation[0], path.fovy, SIDE, SIDE)
    assert abs(columns.float().mean() - pixel[0, 0]) < 1.5 and abs(rows.float().mean() - pixel[0, 1]) < 1.5


def test_all_of_a_canvas_learns() -> None:
    canvas = made().train()
    canvas(scene(BALL), SIDE, SIDE).picture.square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in canvas.parameters())


@torch.no_grad()
def test_a_stage_without_things_is_drawn() -> None:
    empty = scene()
    drawn = made()(empty, SIDE, 2 * SIDE)
    assert drawn.picture.shape == (1, 4, 2 * SIDE * SIDE, 3) and not drawn.cover.any() and not drawn.shade.any()
    none = made()(Scene(empty.things[:, :0], empty.camera, empty.setting), SIDE, 2 * SIDE)
    assert torch.equal(none.picture, drawn.picture)
    assert len(LOOK) == th.SETTING["look"].stop - th.SETTING["look"].start


@torch.no_grad()
def test_a_camera_that_stands_still_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    canvas, asked = made(), []
    inner = stage.rays
    monkeypatch.setattr(stage, "rays", lambda *args: asked.append(1) or inner(*args))
    first = canvas(scene(BALL), SIDE, SIDE).picture
    assert torch.equal(first, canvas(scene(BALL), SIDE, SIDE).picture) and len(asked) == 1
    canvas(scene(BALL), SIDE, 2 * SIDE)
    other = scene(BALL, moves=0.02)
    assert torch.equal(canvas(other, SIDE, SIDE).picture, made()(other, SIDE, SIDE).picture) and len(asked) == 4
    canvas.load_state_dict(made(1).state_dict())
    canvas.eval()
    assert torch.equal(canvas(other, SIDE, SIDE).picture, made(1)(other, SIDE, SIDE).picture)


# -- beside the latents -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    torch.manual_seed(0)
    whole = Tokenizer(replace(PRESETS["tiny"], canvas=8)).eval()
    taught(whole.canvas)
    return whole


def tokens(count: int = 3) -> torch.Tensor:
    """(1, count, 4, WIDTH): two things, the camera and the setting, in so many latents."""
    rows = [scene(((0.2 * n, 0.0, 0.4), 0.4, 0.05, 0), FAR_BALL) for n in range(count)]
    return torch.stack([torch.cat([s.things, s.camera[:, None], s.setting[:, None]], 1) for s in rows], 1)


@torch.no_grad()
@pytest.mark.parametrize("level", [0.0, 0.6, 1.0])
def test_drawn_frames_streamed_are_those_of_the_whole(tokenizer: Tokenizer, level: float) -> None:
    latents = torch.randn(1, 3, 4, 4, 8, generator=torch.Generator().manual_seed(0))
    whole, _ = tokenizer.decode(latents, None, tokens(), level)
    state, parts = None, []
    for n in range(3):
        part, state = tokenizer.decode(latents[:, n : n + 1], state, tokens()[:, n : n + 1], level)
        parts.append(part)
    assert whole.shape == (1, 12, 64, 64, 3) and torch.allclose(torch.cat(parts, 1), whole, atol=1e-5)


@torch.no_grad()
def test_latents_that_say_nothing_change_nothing(tokenizer: Tokenizer) -> None:
    one, two = (torch.randn(1, 3, 4, 4, 8, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    assert torch.equal(tokenizer.decode(one, None, tokens(), 1.0)[0], tokenizer.decode(two, None, tokens(), 1.0)[0])
    behind = tokenizer.decode(one, None, tokens(), 0.5)[0] - tokenizer.decode(two, None, tokens(), 0.5)[0]
    assert behind.abs().max() > 1e-3
    plain, drawn = tokenizer.decode(one)[0], tokenizer.decode(one, None, tokens(), 0.0)[0]
    cover = tokenizer.canvas(Scene.of(tokens().flatten(0, 1)), 64, 64).cover.view(1, 12, 64, 64)
    assert torch.allclose(plain[cover == 0], drawn[cover == 0], atol=1e-5)  # all but the things is the latents'


def test_a_canvas_is_put_into_a_tokenizer() -> None:
    torch.manual_seed(0)
    plain = Tokenizer(PRESETS["tiny"]).eval()
    whole, latents = with_canvas(plain, 8), torch.randn(1, 2, 4, 4, 8)
    with torch.no_grad():
        assert torch.equal(whole.decode(latents)[0], plain.decode(latents)[0])
        drawn = whole.decode(latents, None, tokens(2), 1.0)[0]
        picture = whole.canvas(Scene.of(tokens(2).flatten(0, 1)), 64, 64).picture
    assert torch.allclose(drawn[0].flatten(1, 2), (2 * picture - 1).flatten(0, 1), atol=1e-5)
    assert with_canvas(whole, 8) is whole and with_canvas(whole, 16).config.canvas == 16
