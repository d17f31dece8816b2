"""What things are made of: boxes, balls, tubes, cones and wedges, where they are, and where rays meet them.

Which solids make up each kind, and how the limbs of what is alive go, is a table that a canvas learns (train.bodies)
and keeps with its weights. Thing vectors are those of things.py.

Legend: X latents (batch and time as one), F frames of a latent, B bodies, N solids, G solids of one body at most,
M pairs of a ray and a solid, K rays through one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.core.vocabulary import ALIVE, COLOURS, KINDS, SIZES
from reverie.model import pendulum
from reverie.model import things as th

SHAPES = ("box", "ellipsoid", "cylinder", "capsule", "cone", "wedge")
PARTS = 20  # solids of one body at most
STAND, CORDS = len(KINDS), len(KINDS) + 1  # the rows of what pendulums hang from, and screens in the air
ALOFT = 0.05  # metres above the ground from which a screen hangs
TINTS = 9
PHASES, STRIDES = 24, 2  # of a gait, that are kept
NUMBERS = 12  # of a solid: its shape or -1, half sizes, place, quaternion and tint
PACES = {"person": 1.05, "dog": 1.4}  # m/s from which they go with whole strides
SHORTEST, TURNING = 0.35, 0.5  # the strides of what sets out, and of what turns on the spot
LANDS = 0.15  # metres above the ground below which a bird folds its wings
NEAR = 0.05  # metres before the eye within which nothing is seen
SHIFTS, SWINGS = 1e-3, 3e-3  # metres, and of an axis of length 1, within which what is seen is the same
TINY = 1e-6  # that a ray goes along each axis at least
SURE, ROUNDED = 1.001, 1e-5  # so much larger are balls, and nearer their middles, than they are: no rounding loses one


@dataclass
class Table:
    """bodies (kinds, stand and cords, sizes, G, NUMBERS), extents (kinds, sizes, 3) in metres, gaits (alive, PHASES x
    STRIDES, G, 7) places and quaternions of a medium one's solids, tints (TINTS, colours, 3) in 0..1."""

    bodies: Tensor
    extents: Tensor
    gaits: Tensor
    tints: Tensor

    @classmethod
    def plain(cls) -> Table:
        """Of which every kind is a box of its colour, as long as nobody teaches what it is made of."""
        bodies = torch.zeros(CORDS + 1, len(SIZES), PARTS, NUMBERS)
        bodies[..., 0], bodies[..., 7] = -1, 1
        bodies[: len(KINDS), :, 0, 0], bodies[: len(KINDS), :, 0, 1:4] = 0, 1
        gaits = torch.zeros(len(ALIVE), PHASES * STRIDES, PARTS, 7)
        gaits[..., 3] = 1
        return cls(bodies, torch.ones(len(KINDS), len(SIZES), 3), gaits,
                   torch.tensor(list(COLOURS.values())).expand(TINTS, -1, -1).clone())

    def to(self, device: torch.device | str) -> Table:
        """On a device."""
        return Table(*(part.to(device) for part in vars(self).values()))


def rows(x: Tensor, number: Tensor) -> Tensor:
    """The rows x[number] of x (R, ...), in a third of the time that indexing takes. number: int64 of any shape."""
    return x.index_select(0, number.flatten()).unflatten(0, number.shape)


def cells(x: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """What stands in rows (M,) and columns (M,) of x (R, C, ...)."""
    return rows(x.flatten(0, 1), row * x.shape[1] + column)


def _turned(v: Tensor, turn: Tensor) -> Tensor:
    """Vectors (M, 3) along axes (M, 3, 3), their columns; for so small ones faster than matmul is."""
    return v[:, :1] * turn[:, 0] + v[:, 1:2] * turn[:, 1] + v[:, 2:] * turn[:, 2]


@dataclass
class Boxes:
    """Turned boxes in Y frames: place (Y, N, 3), turn (Y, N, 3, 3) with their axes as columns, size (Y, N, 3)."""

    place: Tensor
    turn: Tensor
    size: Tensor

    def entered(self, frame: Tensor, number: Tensor, start: Tensor, way: Tensor, spot: Tensor | None = None
                ) -> tuple[Tensor, Tensor, Tensor]:
        """Which of M rays (m,) from start (M, 3) along way (M, 3) pass through a box each, in a frame (M,) the number
        (M,); and where those start and go in its own frame (m, 3). spot (M,): how wide rays are, for each metre."""
        number = frame * self.place.shape[1] + number
        place, turn, size = (rows(part.flatten(0, 1), number) for part in (self.place, self.turn, self.size))
        apart = start - place
        o, d = _turned(apart, turn), _turned(way, turn)
        d = torch.where(d.abs() < TINY, TINY, d)
        middle, half = -o / d, (size if spot is None else size + (spot * apart.norm(dim=-1))[:, None]) / d.abs()
        enter, leave = (middle - half).amax(-1), (middle + half).amin(-1)
        kept = ((enter < leave) & (leave > 0)).nonzero()[:, 0]
        return kept, rows(o, kept), rows(d, kept)


@dataclass
class Solids:
    """There (X, N) bool; shape (X, N) of SHAPES; boxes: theirs in all Y = X F frames; tint (X, N, 3) in 0..1; material
    (X, N, materials); body (N,): whose it is. Of each body the first of its solids and how many they are (B,), a box
    around all of them, the radius (X, B) of a ball that holds it, 0 where none is there, and whether it rests (X, B):
    is the same in all frames."""

    there: Tensor
    shape: Tensor
    tint: Tensor
    material: Tensor
    body: Tensor
    boxes: Boxes
    first: Tensor
    count: Tensor
    bodies: Boxes
    around: Tensor
    rests: Tensor

    def parts(self, frame: Tensor, body: Tensor, start: Tensor, way: Tensor, spot: Tensor | None = None
              ) -> tuple[Tensor, Tensor]:
        """Of rays from start (M, 3) along way (M, 3), near bodies (M,) in frames (M,), all that may meet a solid of
        theirs: the number (m,) of the ray and of the solid (m,). spot (M,): how wide rays are, for each metre."""
        several = rows(self.count, body) > 1
        asked, first = several.nonzero()[:, 0], rows(self.first, body)
        if not len(asked):
            return torch.arange(len(body), device=body.device), first
        near = self._near(*(rows(part, asked) for part in (frame, body, start, way)),
                          None if spot is None else rows(spot, asked))
        ray = torch.repeat_interleave(torch.ones_like(body).index_copy(0, asked, near.sum(1)))
        among = rows(several, ray).nonzero()[:, 0]
        return ray, rows(first, ray).index_add(0, among, near.nonzero()[:, 1])

    def _near(self, frame: Tensor, body: Tensor, start: Tensor, way: Tensor, spot: Tensor | None) -> Tensor:
        """(M, G): which of a body's solids are held by balls that a ray passes. What ``parts`` is told."""
        each = torch.arange(int(self.count.max()), device=body.device)
        solid = (self.first[:, None] + each).clamp(max=len(self.body) - 1)  # B G
        there = (self.there[:, solid] & (each < self.count[:, None])).repeat_interleave(th.F, 0).flatten(0, 1)
        reach = self.boxes.size.norm(dim=-1)[:, solid].flatten(0, 1)
        place, number = self.boxes.place[:, solid].flatten(0, 1), frame * len(self.count) + body
        gap, along = 0.0, 0.0
        for axis in range(3):
            apart = rows(place[..., axis].contiguous(), number) - start[:, axis, None]
            gap, along = gap + apart.square(), along + apart * way[:, axis, None]
        wide = rows(reach, number) if spot is None else rows(reach, number) + 3 ** 0.5 * spot[:, None] * gap.sqrt()
        far = gap - (SURE * wide).square() - ROUNDED * gap
        return (far * way.square().sum(1, keepdim=True) < along * along.clamp(min=0)) & rows(there, number)


def solids_of(things: Tensor, table: Table) -> Solids:
    """What things (X, S, WIDTH) are made of, and what the pendulums and screens among them hang from."""
    kind = things[..., th.THING["kind"]].argmax(-1).clamp(max=len(KINDS) - 1)
    colour = things[..., th.THING["colour"]].argmax(-1).clamp(max=len(COLOURS) - 1)
    there, own = things[..., 0] > 0, th.extents_of(things)
    apart = (own[:, :, None] / table.extents[kind]).log()  # X S sizes 3
    size = apart.square().sum(-1).argmin(-1)
    scale = apart.gather(2, size[..., None, None].expand(*size.shape, 1, 3))[:, :, 0].exp()  # X S 3
    place, turn = th.positions_of(things).transpose(1, 2), th.turns_of(things).transpose(1, 2)
    rows = table.bodies[kind, size]
    local, quat = (rows[:, None, :, :, part].expand(-1, th.F, -1, -1, -1) for part in (slice(4, 7), slice(7, 11)))
    local, quat = _limbs(things, kind, size, table, local, quat)
    for row, held, where, frame in _holders(things, place, turn):
        slots = held.any(0).nonzero()[:, 0]
        if not len(slots):
            continue
        more = table.bodies[row, size[:, slots]]
        place, turn = torch.cat([place, where[:, :, slots]], 2), torch.cat([turn, frame[:, :, slots]], 2)
        local, quat = (torch.cat([x, more[:, None, :, :, part].expand(-1, th.F, -1, -1, -1)], 2)
                       for x, part in ((local, slice(4, 7)), (quat, slice(7, 11))))
        rows, there = torch.cat([rows, more], 1), torch.cat([there, held[:, slots]], 1)
        scale, colour = torch.cat([scale, scale[:, slots]], 1), torch.cat([colour, colour[:, slots]], 1)
        things = torch.cat([things, things[:, slots]], 1)
    local, turns = local * scale[:, None, :, None], _matrices(quat)
    half = rows[..., 1:4] * scale[..., None, :]
    whose = torch.where((there[..., None] & (rows[..., 0] >= 0))[..., None], 1.0, 0.0)  # X B G 1
    bound = ((local.abs() + (turns.abs() @ half[:, None, ..., None])[..., 0]) * whose[:, None]).amax((1, 3))  # X B 3
    where = place[..., None, :] + (turn[..., None, :, :] @ local[..., None])[..., 0]
    turned = turn[..., None, :, :] @ turns
    still = ((where - where[:, :1]).abs().amax((1, 4)) < SHIFTS) & (
        (turned - turned[:, :1]).abs().amax((1, 4, 5)) < SWINGS)
    tint = table.tints[rows[..., 11].long(), colour[..., None].expand(*rows.shape[:-1])]
    material = things[..., None, th.THING["material"]].expand(-1, -1, PARTS, -1)
    there = whose[..., 0] > 0
    used = there.flatten(1).any(0).nonzero()[:, 0]
    count = torch.bincount(used // PARTS, minlength=there.shape[1])

    def chosen(x: Tensor) -> Tensor:  # (X, B, G, ...)
        return x.flatten(1, 2)[:, used]

    def framed(x: Tensor) -> Tensor:  # (X, F, B, G, ...)
        return x.flatten(2, 3)[:, :, used].flatten(0, 1)

    boxes = Boxes(framed(where), framed(turned), chosen(half).repeat_interleave(th.F, 0))
    bodies = Boxes(place.flatten(0, 1), turn.flatten(0, 1), bound.repeat_interleave(th.F, 0))
    return Solids(chosen(there), chosen(rows[..., 0].long()), chosen(tint), chosen(material), used // PARTS, boxes,
                  count.cumsum(0) - count, count, bodies, bound.norm(dim=-1), (still | ~there).all(-1))


def _holders(things: Tensor, place: Tensor, turn: Tensor) -> list[tuple[int, Tensor, Tensor, Tensor]]:
    """What holds things (X, S, WIDTH) up and is drawn, but is no thing: its row of the table, whose it is (X, S) bool,
    and its frame: places (X, F, S, 3) and axes (X, F, S, 3, 3). place, turn: the things' own."""
    hinge, frame = (x[:, None].expand(-1, th.F, *x.shape[1:]) for x in pendulum.stands(things))
    low = place[..., 2].amin(1) - th.extents_of(things)[..., 2]
    aloft = th.of_kind(things, ("screen",)) & (things[..., 0] > 0) & (low > ALOFT)
    return [(STAND, pendulum.are_pendulums(things), hinge, frame), (CORDS, aloft, place, turn)]


def _limbs(things: Tensor, kind: Tensor, size: Tensor, table: Table, local: Tensor, quat: Tensor
           ) -> tuple[Tensor, Tensor]:
    """Places (X, F, S, G, 3) and quaternions (X, F, S, G, 4) of solids within their bodies, those of what is alive as
    its gait has them."""
    phase = th.phases_of(things).transpose(1, 2)  # X F S 2
    turns = torch.atan2(phase[..., 0], phase[..., 1]) / (2 * torch.pi) * PHASES % PHASES
    low = turns.long().clamp(max=PHASES - 1)
    part, stride = (turns - low)[..., None, None], _strides(things)[..., None, None]
    for row, name in enumerate(ALIVE):
        alive = kind == KINDS.index(name)
        if not bool(alive.any()):
            continue
        gait = table.gaits[row].unflatten(0, (PHASES, STRIDES))
        made = torch.lerp(gait[low], gait[(low + 1) % PHASES], part[..., None])  # X F S STRIDES G 7
        made = torch.lerp(made[..., 0, :, :], made[..., 1, :, :], stride)
        grown = (table.extents[kind, size] / table.extents[kind, 1]).mean(-1)[:, None, :, None, None]
        local = torch.where(alive[:, None, :, None, None], made[..., :3] * grown, local)
        quat = torch.where(alive[:, None, :, None, None], made[..., 3:], quat)
    return local, quat


def _strides(things: Tensor) -> Tensor:
    """(X, F, S): how far what is alive strides, 0 standing to 1 in full motion; told from its speed, its turning and,
    of birds, their height, as the worlds have it."""
    speed = (things[..., th.THING["velocity"]] * th.VELOCITY_SCALE)[..., :2].norm(dim=-1)
    sine, cosine = things[..., th.THING["phase"]].unflatten(-1, (2, 2)).unbind(-2)
    steps = (sine[..., 0] - sine[..., 1]).abs() + (cosine[..., 0] - cosine[..., 1]).abs() > 1e-2
    out = torch.where(steps & (speed <= NEAR), TURNING, torch.zeros_like(speed))
    for name, full in PACES.items():
        goes = th.of_kind(things, (name,)) & (speed > NEAR)
        out = torch.where(goes, SHORTEST + (1 - SHORTEST) * (speed / full).clamp(max=1), out)
    height = th.positions_of(things)[..., 2] - th.extents_of(things)[..., None, 2]
    return torch.where(th.of_kind(things, ("bird",))[..., None], (height / LANDS).clamp(0, 1),
                       out[..., None]).transpose(1, 2)


def _matrices(quat: Tensor) -> Tensor:
    """(..., 3, 3) of quaternions (..., 4), w first, of any length."""
    w, x, y, z = F.normalize(quat, dim=-1, eps=1e-6).unbind(-1)
    rows = (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y))
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


# -- where rays meet solids ------------------------------------------------------------------------------------


def met(shape: Tensor, size: Tensor, start: Tensor, way: Tensor) -> tuple[Tensor, Tensor]:
    """How far along rays (M, K) they enter solids, inf where they do not, and the outward directions there (M, K, 3).

    shape (M,), size (M, 3); start (M, 1 or K, 3) and way (M, K, 3) of the rays, all in the solids' own frames.
    """
    start = start.expand_as(way)
    far = torch.full_like(way[..., 0], torch.inf)
    normal = torch.zeros_like(way)
    for number, inside in enumerate((_box, _ellipsoid, _cylinder, _capsule, _cone, _wedge)):
        some = (shape == number).nonzero()[:, 0]
        if len(some):
            d = rows(way, some)
            t, n = inside(rows(size, some)[:, None], rows(start, some), torch.where(d.abs() < TINY, TINY, d))
            far, normal = far.index_copy(0, some, t), normal.index_copy(0, some, n)
    return far, F.normalize(normal, dim=-1, eps=1e-6)


def _between(enter: Tensor, leave: Tensor) -> Tensor:
    """Where a ray is that is inside from ``enter`` to ``leave``, first: inf where it never is, or is from the start."""
    return torch.where((enter < leave) & (enter > NEAR), enter, torch.inf)


def _box(size: Tensor, o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    middle, half = -o / d, size / d.abs()
    enter, axis = (middle - half).max(-1)
    side = F.one_hot(axis, 3).to(d.dtype) * -d.sign()
    return _between(enter, (middle + half).amin(-1)), side


def _ellipsoid(size: Tensor, o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    o, d = o / size, d / size
    a, b = d.square().sum(-1), (o * d).sum(-1)
    root = b.square() - a * (o.square().sum(-1) - 1)
    enter = torch.where(root > 0, (-b - root.clamp(min=0).sqrt()) / a, torch.inf)
    return torch.where(enter > NEAR, enter, torch.inf), (o + d * enter[..., None].nan_to_num(posinf=0.0)) / size


def _around(radius: Tensor, o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays are within an endless cylinder about z: from and to; from above to where they never are."""
    a, b = d[..., :2].square().sum(-1), (o[..., :2] * d[..., :2]).sum(-1)
    root = b.square() - a * (o[..., :2].square().sum(-1) - radius.square())
    half = torch.where(root > 0, root.clamp(min=0).sqrt() / a, -torch.inf)
    return -b / a - half, -b / a + half


def _cylinder(size: Tensor, o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    enter, leave = _around(size[..., 0], o, d)
    middle, half = -o[..., 2] / d[..., 2], size[..., 2] / d[..., 2].abs()
    top = middle - half > enter
    far = _between(torch.maximum(enter, middle - half), torch.minimum(leave, middle + half))
    spot = o + d * far[..., None].nan_to_num(posinf=0.0)
    end = torch.zeros_like(d)
    end[..., 2] = -d[..., 2].sign()
    return far, torch.where(top[..., None], end, spot * spot.new_tensor([1.0, 1.0, 0.0]))


def _capsule(size: Tensor, o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    radius, length = size[..., 0], size[..., 2] - size[..., 0]
    enter, _ = _around(radius, o, d)
    enter = torch.where(enter.isfinite(), enter, torch.inf)
    along = (o[..., 2] + d[..., 2] * enter.nan_to_num(posinf=0.0))
    far = torch.where((along.abs() <= length) & (enter > NEAR), enter, torch.inf)
    ball = radius[..., None].expand(*radius.shape, 3)
    for side in (-1.0, 1.0):
        shift = torch.zeros_like(o)
        shift[..., 2] = side * length
        far = torch.minimum(far, _ellipsoid(ball, o - shift, d)[0])
    spot = o + d * far[..., None].nan_to_num(posinf=0.0)
    axis = torch.maximum(torch.minimum(spot[..., 2], length), -length)
    return far, torch.stack([spot[..., 0], spot[..., 1], spot[..., 2] - axis], -1)


def _cone(size: Tensor, o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Its tip up."""
    slope = size[..., 0] / (2 * size[..., 2])
    gap = size[..., 2] - o[..., 2]
    a = d[..., :2].square().sum(-1) - (slope * d[..., 2]).square()
    b = (o[..., :2] * d[..., :2]).sum(-1) + slope.square() * gap * d[..., 2]
    root = b.square() - a * (o[..., :2].square().sum(-1) - (slope * gap).square())
    far = torch.full_like(a, torch.inf)
    for sign in (-1.0, 1.0):
        t = (-b + sign * root.clamp(min=0).sqrt()) / torch.where(a.abs() < 1e-9, 1e-9, a)
        height = o[..., 2] + t * d[..., 2]
        far = torch.where((root > 0) & (height.abs() <= size[..., 2]) & (t > NEAR), torch.minimum(far, t), far)
    base = -(size[..., 2] + o[..., 2]) / d[..., 2]
    under = (o[..., :2] + base[..., None] * d[..., :2]).norm(dim=-1) <= size[..., 0]
    under = under & (base > NEAR) & (base < far)
    far = torch.where(under, base, far)
    spot = o + d * far[..., None].nan_to_num(posinf=0.0)
    side = torch.cat([F.normalize(spot[..., :2], dim=-1, eps=1e-6), slope.expand_as(far)[..., None]], -1)
    return far, torch.where(under[..., None], -torch.eye(3, device=d.device, dtype=d.dtype)[2], side)


def _wedge(size: Tensor, o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """A slope that rises towards +x, over a box's lower half."""
    (x, y, z), flat = size.unbind(-1), torch.zeros_like(size[..., 0])

    def rises(v: Tensor) -> Tensor:
        return x * v[..., 2] - z * v[..., 0]

    # how far out a ray is of each face, how that changes along it, and how far out the face is
    faces = [(o[..., 0], d[..., 0], x), (o[..., 1], d[..., 1], y), (-o[..., 1], -d[..., 1], y),
             (-o[..., 2], -d[..., 2], z), (rises(o), rises(d), flat)]
    t = torch.stack([(reach - out) / torch.where(grows.abs() < TINY, TINY, grows) for out, grows, reach in faces], -1)
    towards = torch.stack([grows for _, grows, _ in faces], -1)
    enter, which = torch.where(towards < 0, t, -torch.inf).max(-1)
    leave = torch.where(towards >= 0, t, torch.inf).amin(-1)
    axes = d.new_tensor([[1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, -1], [0, 0, 0]])[which]
    slope = torch.stack([-z, flat, x], -1)
    return _between(enter, leave), torch.where((which == len(faces) - 1)[..., None], slope, axes)
