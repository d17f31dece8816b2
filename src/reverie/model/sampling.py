"""How dreams are drawn from a network: a few numbers, chosen by measurement and kept in the model's file."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Sampling:
    """How dreams are drawn from the network; a model file says its own under "sampling".

    steps: denoising steps of a view. things_steps: of a latent's things, and opening_steps of the very first
    one's, where all is open. guidance: how far the things lean towards the text (1: not beyond what the network
    says) in the first latent and for GUIDED seconds after each new line. candidates: openings that are dreamt,
    of which the one is taken whose things most of them agree on. takes: how often a line is imagined as things alone
    before it is painted (see rehearsal). sure: how far, in the first line, the chance p that
    a thing exists is drawn to 0 or 1: to p^s / (p^s + (1 - p)^s). heat: the share of the noise that what goes on is
    begun with; what is new has all of it. looks: for each setting some of the looks it had in training, as
    th.SETTING has them, of which a dream takes one. sizes: for each kind the extents it had in training, as th.THING
    has them: a thing's is the nearest. calm: the noise level that the past is said
    to have, so that the network doubts it a little. doubt: noise that is added to painted views before they are
    remembered, so that their flaws are not painted over and over again (the first view, which is painted from no
    other, stays as it is). haze: the noise level that painted views are said to have when they are decoded beside
    their things: at 1 the decoder goes by the things alone, and nothing is painted. lean: how far the views of a log
    lean towards its actions (1: not beyond what the network says).
    """

    steps: int = 2
    things_steps: int = 3
    opening_steps: int = 16
    guidance: float = 3.0
    candidates: int = 8
    takes: int = 8
    sure: float = 2.0
    heat: float = 0.0
    looks: tuple = ()
    sizes: tuple = ()
    calm: float = 0.0
    doubt: float = 0.5
    haze: float = 1.0
    lean: float = 1.0

    @classmethod
    def of(cls, meta: dict, **changes: float | None) -> Sampling:
        """What a model file's meta says, with those changes that are not None."""
        own = {name: value for name, value in meta.get("sampling", {}).items() if name in cls.__dataclass_fields__}
        return replace(cls(**own), **{name: value for name, value in changes.items() if value is not None})
