"""The passes that a rollout makes over the network: what goes in, what of the past is seen, what is remembered.

A latent's things are remembered by a clean pass over them. Where nothing is painted it is put off and made in one with
the next latent's first, which sees what it remembers.

Legend as in transformer.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reverie.model import motion
from reverie.model import things as th
from reverie.model.memory import Memory, joined, layers
from reverie.model.sampling import Sampling
from reverie.model.schedule import Conditions
from reverie.model.transformer import Output, Past, Text, Transformer, Window


class Passes:
    """Of a batch of dreams, latent n. things (B, S, WIDTH): the last latent's, None before the first. owed: the last
    latent's clean pass, if it is still to be made."""

    def __init__(self, model: Transformer, text: Text, fps: Tensor, grid: tuple[int, int], sampling: Sampling,
                 with_things: bool, with_views: bool) -> None:
        self.model, self.text, self.fps, self.grid, self.sampling = model, text, fps, grid, sampling
        self.with_things, self.with_views = with_things, with_views
        self.batch, self.device = len(fps), fps.device
        self.slots = [*range(model.config.slots), th.CAMERA_TOKEN, th.SETTING_TOKEN]
        self.memory = Memory()
        self.n = 0
        self.things: Tensor | None = None
        self.owed: Window | None = None
        self.seen: Past | None = None  # what latent n's things see of the past
        self._ahead: tuple[Tensor | None, tuple[Tensor, Tensor]] | None = None  # of which things, and how they go on

    def begin(self, pay: bool) -> None:
        """Before anything of latent n. pay: make the last one's clean pass now, for no other will follow."""
        self.seen = None
        if pay:
            self.pay()
        if self.owed is None:
            self._forget()

    def pay(self) -> None:
        """Make the last latent's clean pass now, if it is still to be made; before the text changes, too."""
        if self.owed is not None:
            owed, self.owed = self.owed, None
            self.memory.remember(self.n - 1, "things", self._run(owed, self.past_of_things(self.n - 1)))
            self._forget()

    def over_things(self, conditions: Conditions, things: Tensor, noise: float, known: Tensor) -> Tensor:
        """What the network says of noisy things (B, S, WIDTH), of which some (B, S) are known: (B, S, WIDTH)."""
        w = self._window_of_things(conditions, things, noise, known)
        if self.owed is None:
            self.seen = self.seen or self.past_of_things()
            return self._run(w, self.seen).things[:, 0]
        owed, self.owed = self.owed, None
        output = self._run(owed.followed_by(w), self._past_of_two())
        self.memory.remember(self.n - 1, "things", output.of_first())
        self._forget()
        return output.things[:, 1]

    def finished(self, conditions: Conditions, things: Tensor, known: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Remember latent n's things; per layer the keys by place and the values that its painting sees."""
        w = self._window_of_things(conditions, things, self.sampling.calm, known)
        if not (self.with_views or self.memory.given or self.memory.goal):
            self.owed = w
            return []
        output = self._run(w, self.seen or self.past_of_things())
        self.memory.remember(self.n, "things", output)
        return [(placed, value) for _, placed, value in output.things_keys]

    def over_views(self, conditions: Conditions, view: Tensor, noise: float, past: Past, *, known: bool = False,
                   goal: int | None = None, sketch: Tensor | None = None) -> Output:
        """The pass over a noisy view (B, H, W, C). goal: the latent whose end image it is, if it is one."""
        w = self._window(conditions, self._index() if goal is None else self._full(goal))
        w.views, w.views_noise = view[:, None], self._full(noise)
        w.views_known, w.goal = self._full(known), self._full(goal is not None)
        w.sketch = sketch
        return self._run(w, past)

    # -- what goes in -------------------------------------------------------------------------------------

    def _index(self) -> Tensor:
        """(B, 1): which latent of its dream each row is at."""
        return torch.full((self.batch, 1), self.n, device=self.device)

    def _full(self, value: float | bool, *shape: int) -> Tensor:
        return torch.full((self.batch, 1, *shape), value, device=self.device)

    def _window(self, conditions: Conditions, index: Tensor) -> Window:
        return Window(index=index, fps=self.fps, line=conditions.line[:, None], since=conditions.since[:, None],
                      actions=conditions.actions[:, None], things_seen=self._full(self.with_things))

    def _window_of_things(self, conditions: Conditions, things: Tensor, noise: float, known: Tensor) -> Window:
        w, first, count = self._window(conditions, self._index()), self.things is None, len(self.slots)
        w.things, w.things_known = things[:, None, self.slots], known[:, None, self.slots]
        w.things_noise = torch.where(w.things_known, 0.0, self._full(noise, count))
        w.previous = torch.zeros_like(w.things) if first else self.things[:, None, self.slots]
        w.previous_noise = self._full(1.0 if first else self.sampling.calm, count)
        if self._ahead is None or self._ahead[0] is not self.things:  # the same in all passes of a latent
            self._ahead = self.things, motion.continuation(w.previous, w.previous_noise, w.fps)
        w.ahead, w.grid = self._ahead[1], self.grid if self.with_views else None
        return w

    # -- what is seen of the past -------------------------------------------------------------------------

    def _forget(self) -> None:
        c = self.model.config
        self.memory.forget(self.n, c.things_window, c.views_window, c.stride)

    def past_of_things(self, n: int | None = None) -> Past:
        """What the things of a latent, n or this one, see of the memory, layer by layer."""
        m, n = self.memory, self.n if n is None else n
        things = [m.things[k] for k in sorted(m.things) if k < n]
        given = [m.given[k] for k in sorted(m.given) if n - k < 2] + ([m.goal] if m.goal else [])
        return Past(things=layers(joined(things)), given=layers(joined(given)))

    def past_of_views(self) -> Past:
        """What latent n's view sees of the memory, layer by layer."""
        c, m, n = self.model.config, self.memory, self.n
        earlier = [k for k in sorted(m.views) if k < n]
        goal = [m.goal] if m.goal else []
        near = layers(joined([m.views[k] for k in earlier if n - k < c.views_window or k == 0 < c.stride] + goal))
        far = layers(joined([m.views[k] for k in earlier
                             if n - k < c.views_window or c.stride and k % c.stride == 0] + goal))
        return Past(views=[far[i] if i % 4 == 3 else near[i] for i in range(len(near))])

    def _past_of_two(self) -> Past:
        """What the things of the last latent and of this one see of the memory, which has not yet forgotten what this
        one does not see."""
        c, past = self.model.config, self.past_of_things(self.n - 1)
        stays = [[self.n - k < c.things_window or bool(c.stride) and k % c.stride == 0] * len(self.slots)
                 for k in sorted(self.memory.things)]
        this = torch.tensor(sum(stays, []), dtype=torch.bool, device=self.device)
        both = torch.stack([torch.ones_like(this), this]).expand(self.batch, -1, -1)
        return Past(things=[(*pair, both) for pair in past.things])

    def _run(self, w: Window, past: Past) -> Output:
        with self.model.reckoning(w.views is not None):
            output = (self.model.runner or self.model)(w, self.text, past)
        if output.things is not None and len(self.slots) < th.TOKENS:  # slots that the model has not stay empty
            empty = output.things.new_zeros(*output.things.shape[:2], th.TOKENS - len(self.slots), th.WIDTH)
            empty[..., 0] = -1.0
            output.things = torch.cat([output.things[:, :, :-2], empty, output.things[:, :, -2:]], 2)
        return output
