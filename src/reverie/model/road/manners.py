"""Who lets whom pass at a junction, by rule: what a network of short sight would at times leave to nobody, for ever.

Who drives inside a junction goes before who is about to enter it, and of two inside who is nearer to where their ways
meet; who has stood for a while for no reason that can be seen sets off, of two who stand in each other's way one
lets the other squeeze by, and people do not stay in the way of who waits for them.
Legend: B scenes, N agents, K neighbours, W points of a line.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reverie.model.road.sight import PERSON, Scene, Sight, neighbours_of, wrapped

BEFORE = 4.0  # metres before the place where two ways meet at which one lets the other pass
GENTLE = 3.0  # m/s^2 by which one brakes for that
ASLANT = 0.35  # radians by which headings differ where ways cross
MOVES, STANDS = 0.5, 0.1  # m/s
PATIENCE = 12  # latents
SETS_OFF, SQUEEZES, WALKS_ON = 0.2, 2.0, 1.2  # m/s: of who has waited, at least; of who squeezes by, at most; on foot
FREE, LIT, CLEAR = 4.0, 15.0, 12.0  # metres without anybody ahead; without a light that is not green; to others' ways


def inside(scene: Scene, sight: Sight) -> Tensor:
    """(B, N) whether who drives is in a junction."""
    here = sight.along.round().long().clamp(0, scene.about.shape[2] - 1)[..., None]
    return (scene.about[..., 1].gather(-1, here)[..., 0] > 0.5) & scene.lined & (scene.kind != PERSON)


def let_pass(scene: Scene, sight: Sight) -> Tensor:
    """(B, N): the speed from which one can still let those pass who go first; inf where there are none."""
    now, within = scene.past[..., -1, :], inside(scene, sight)
    turn = wrapped(neighbours_of(now[..., 2], sight.who) - now[..., 2, None]).abs()
    theirs, mine = sight.theirs, sight.mine
    moves = neighbours_of(now[..., 3], sight.who) > MOVES
    comes = sight.beside & neighbours_of(within, sight.who) & moves & (turn > ASLANT)
    number = torch.arange(scene.kind.shape[1])[:, None]
    sooner = (theirs < mine) | ((theirs == mine) & (sight.who < number))
    first = comes & (mine < 45) & (mine > BEFORE) & (~within[..., None] | sooner)
    room = torch.where(first, mine - BEFORE, torch.full_like(mine, torch.inf)).amin(-1)
    return torch.where(scene.kind == PERSON, torch.inf, (2 * GENTLE * room).sqrt())


def may_go(scene: Scene, sight: Sight) -> Tensor:
    """(B, N): whether nothing that can be seen keeps one who drives from going on."""
    far = torch.arange(scene.about.shape[2]) - sight.along[..., None]
    stops = (scene.about[..., 4:6].sum(-1) > 0) & (far > -1) & (far < LIT)
    walks = neighbours_of(scene.kind, sight.who) == PERSON
    speed = neighbours_of(scene.past[..., -1, 3], sight.who)
    near = sight.beside & (sight.mine < CLEAR) & (sight.theirs < torch.where(walks, FREE, CLEAR))
    comes = near & (speed > torch.where(walks, STANDS, MOVES))
    return (scene.kind != PERSON) & scene.lined & (sight.gap > FREE) & ~stops.any(-1) & ~comes.any(-1)


@dataclass
class Patience:
    """What those who stand remember. waited (B, N): latents for which one stood and might have gone; by (B, N): who
    squeezes by another that stands in its way, or walks out of the way."""

    waited: Tensor
    by: Tensor

    @classmethod
    def of(cls, shape: torch.Size) -> Patience:
        """Nobody has waited yet."""
        return cls(torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.bool))

    def used(self, scene: Scene, sight: Sight) -> Sight:
        """A latent later; the sight without whom one squeezes by."""
        now = scene.past[..., -1, :]

        def other(values: Tensor) -> Tensor:
            return values.gather(-1, sight.ahead)

        walks, stands, number = scene.kind == PERSON, now[..., 3] < STANDS, torch.arange(scene.kind.shape[1]).expand_as(
            scene.kind)
        aslant = (wrapped(other(now[..., 2]) - now[..., 2]).abs() > ASLANT) & (sight.gap < FREE)
        both = ~walks & ~other(walks) & (other(sight.ahead) == number)
        locked = both & aslant & (other(sight.gap) < FREE) & stands & other(stands) & (number < sight.ahead)
        kept = ~walks & stands & (sight.gap < FREE) & scene.there
        pressed = walks & (torch.zeros_like(sight.gap).scatter_add(-1, sight.ahead, kept.to(sight.gap.dtype)) > 0)
        self.waited = torch.where(stands & (locked | pressed | may_go(scene, sight)), self.waited + 1, 0)
        self.by = (aslant & ~walks | pressed) & (self.by | (locked | pressed) & (self.waited > PATIENCE))
        return replace(sight, gap=torch.where(self.by, torch.full_like(sight.gap, 99.0), sight.gap))

    def held(self, pace: Tensor, walks: Tensor) -> Tensor:
        """Speeds (B, N) in m/s, as who has waited, squeezes by or walks on takes them. walks (B, N): on foot."""
        pace = torch.where(self.by & walks, pace.clamp(min=WALKS_ON), pace)
        pace = torch.where(self.by & ~walks, pace.clamp(SETS_OFF, SQUEEZES), pace)
        return torch.where((self.waited > PATIENCE) & ~walks, pace.clamp(min=SETS_OFF), pace)
