"""Recipes: everything that ``reverie train NAME`` does, from data to weights, stage by stage.

    words        captions of clips that will be drawn elsewhere, as token arrays (for a machine without
                 the text package)
    tokenizer    drawn clips -> out/tokenizer/tokenizer.safetensors
    canvas       drawn clips -> out/canvas/tokenizer.safetensors, the same with a canvas to draw things on
    latents      clips -> out/*.npz, the bank that the transformer trains from
    transformer  bank -> out/transformer/transformer.safetensors
    things       clips, drawn or not -> out/things/transformer.safetensors: a finished transformer (start_from) whose
                 things train on, and nothing that paints; no part of all
    distil       clips, drawn or not -> out/distil/transformer.safetensors: its things take few steps, and no guidance
    rollouts     clips, drawn or not -> out/rollouts/transformer.safetensors: its things train on from pasts that it
                 made itself, see train.rollouts
    views        bank -> out/views/transformer.safetensors: the other way round, for latents that have changed
    observer     drawn clips -> out/observer/observer.safetensors
    traffic      traces of the road -> out/road/road.safetensors, which imagines traffic; no part of all
    road_canvas  clips of the road, drawn or not -> out/road_canvas/road_canvas.safetensors, which paints what a car's
                 cameras see; no part of all
    eyes         clips of the road, drawn or not -> out/road_observer/road_observer.safetensors, and road_probe beside
                 it, which read its pictures; no part of all
    all          tokenizer, canvas, latents, transformer, observer

``out`` also gets a folder ``model`` with the finished weights, which --model takes. Every stage goes
on where it was stopped; a finished one is left alone. The stages tokenizer and observer, asked for by name, begin from
start_from's where it is a folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from reverie.core import runtime
from reverie.core.errors import BadInput
from reverie.core.progress import track
from reverie.model.checkpoint import load_into, load_model, save_model
from reverie.model.sampling import Sampling
from reverie.model.tokenizer import Tokenizer
from reverie.model.transformer import Config, Transformer
from reverie.train import road
from reverie.train.distil import FEW, Distilled
from reverie.train.encode import Bank, encode, in_training, load_bank, save_bank, varieties
from reverie.train.log import is_log, train_log
from reverie.train.loop import AGAIN, fit, learns_only
from reverie.train.mirror import other_side
from reverie.train.plans import RECIPES, Recipe
from reverie.train.rollouts import beside_own
from reverie.train.transformer import ADAM, transformer_loss
from reverie.train.windows import Mixture, of_things
from reverie.world import WEIGHTS

STAGES = ("tokenizer", "canvas", "latents", "transformer", "observer")
ALONE = ("words", "things", "distil", "rollouts", "views", *road.FILES)  # stages that are asked for by name only


def train(recipe: str, *, minutes: float | None = None, stage: str = "all", data: str | Path | None = None,
          out: str | Path | None = None, start_from: str | Path | None = None, words: str | Path | None = None,
          device: str = "auto", progress: bool = True, **changes: object) -> Path | None:
    """Run a recipe, or one stage of it; returns the folder of the finished model, None when interrupted.

    minutes: of the whole recipe, or of the one stage. data: a folder of shards (made there where it is
    missing); where they are of a recorded log, see train.log: then there are only the stages tokenizer, latents and
    transformer. start_from: "base", a model folder or transformer weights to begin from, without optimiser state.
    words: token arrays of the captions, where the text package is missing. changes: other fields of the
    Recipe. Raises BadInput for an unknown recipe or stage.
    """
    if recipe not in RECIPES:
        raise BadInput(f"no recipe {recipe!r}: {', '.join(RECIPES)}")
    if stage not in (*STAGES, *ALONE, "all"):
        raise BadInput(f"no stage {stage!r}: {', '.join((*STAGES, *ALONE, 'all'))}")
    plan = replace(RECIPES[recipe], **changes)
    start_from = WEIGHTS if str(start_from) == "base" else start_from
    if data is not None and is_log(data):
        return train_log(plan, recipe, data=Path(data), out=Path(out or f"runs/{recipe}"), minutes=minutes, stage=stage,
                         start_from=Path(start_from) if start_from else None, device=str(runtime.device(device)),
                         progress=progress)
    run = _Run(plan, recipe, Path(out or f"runs/{recipe}"), Path(data or f"data/{recipe}"),
               Path(words) if words else None, start_from, str(runtime.device(device)), progress, stage)
    if stage == "words":
        return run.write_words()
    run.have_data()
    for name in STAGES if stage == "all" else (stage,):
        budget = minutes if stage == name else (minutes or plan.minutes) * plan.shares.get(name, 0.0)
        budget = budget or plan.minutes * plan.shares.get(name, 1.0)
        if not (run.road(name, budget) if name in road.FILES else getattr(run, name)(budget)):
            return None
    return run.gather()


@dataclass
class _Run:
    plan: Recipe
    name: str
    out: Path
    data: Path
    words: Path | None
    start_from: str | Path | None
    device: str
    progress: bool
    asked: str = "all"  # the stage

    # -- data ---------------------------------------------------------------------------------------------

    def have_data(self) -> None:
        """Make the recipe's own data where the folder is missing."""
        if self.data.exists():
            return
        from reverie.data.make import make

        plan = self.plan
        if self.asked in road.FILES:
            make("road", self.data, things_only=True, traces=self.data / "traces", progress=self.progress,
                 **road.own_data(self.asked, plan))
            return
        common = {"seconds": plan.seconds, "size": plan.size, "progress": self.progress}
        make("lab", self.data / "drawn", clips=plan.clips, seed=1, **common)
        make("lab", self.data / "things", clips=plan.things_clips, seed=2, things_only=True, **common)

    def write_words(self) -> Path:
        """Token arrays of all captions of the recipe's own clips: simulated here, to be drawn elsewhere."""
        from reverie.data.shards import ClipSet
        from reverie.model.text import TokenVectors

        clips = ClipSet(self.data)
        self.out.mkdir(parents=True, exist_ok=True)
        told = {line["text"] for i in range(len(clips)) for c in clips.meta(i)["captions"] for line in c["lines"]}
        texts = told | {other_side(text) for text in told}
        path = self.out / "words.npz"
        TokenVectors.load().save(path, sorted(texts))
        return path

    def _vectors(self):
        from reverie.model.text import TokenVectors

        return TokenVectors.open(self.words) if self.words else TokenVectors.load()

    # -- stages -------------------------------------------------------------------------------------------

    def tokenizer(self, minutes: float) -> bool:
        """Train the tokenizer; True when it is finished."""
        from reverie.train.tokenizer import train_tokenizer

        if self._done("tokenizer"):
            return True
        made = train_tokenizer(self.data, self.out / "tokenizer", config=self.plan.tokenizer, device=self.device,
                               start_from=self._given("tokenizer"), precision=self.plan.precision,
                               progress=self.progress, **self._budget(minutes))
        return made is not None

    def canvas(self, minutes: float) -> bool:
        """Train the canvas, on which things are drawn, and put it into the tokenizer."""
        from reverie.train.canvas import train_canvas

        if (self.out / "canvas" / "tokenizer.safetensors").exists():
            return True
        made = train_canvas(self.data, self.out / "canvas", tokenizer=self._file("tokenizer"),
                            hidden=self.plan.canvas, device=self.device, precision=self.plan.precision,
                            progress=self.progress, **self._budget(minutes))
        return made is not None

    def latents(self, minutes: float) -> bool:
        """Encode all clips into the bank."""
        del minutes
        self._bank(self.out / "bank.npz", lambda: Tokenizer.load(self._file("tokenizer")).to(self.device).eval())
        return True

    def _bank(self, path: Path, tokenizer: Callable[[], Tokenizer | None]) -> None:
        """Encode all clips that may be trained on into a bank, if it is not there yet."""
        if path.exists():
            return
        with track(None, "encoding clips", quiet=not self.progress) as bar:
            save_bank(encode(self.data, tokenizer(), vectors=self._vectors(), device=self.device,
                             tell=lambda: bar.advance(), keep=in_training), path)

    def transformer(self, minutes: float) -> bool:
        """Train the transformer from the bank; True when it is finished."""
        plan = self.plan
        bank = load_bank(self.out / "bank.npz")
        drawn = bank.drawn
        if not drawn:
            raise BadInput(f"{self.data} has no drawn clip: make some with 'reverie data make lab'")
        config = Config(depth=plan.depth, channels=drawn[0].latents.shape[-1], text=bank.vectors.shape[1],
                        views_window=plan.views_window, slots=plan.things.slots)
        torch.manual_seed(0)
        model = Transformer(config).to(self.device)
        folder = self.out / "transformer"
        with self._source(bank) as batches:
            result = fit(model, batches, transformer_loss, out=folder, lr=plan.lr, adam=ADAM, ema=plan.ema,
                         precision=plan.precision, hold=0.5, start_from=self._start(), sheet=self._sheet(),
                         progress=self.progress, **self._budget(minutes))
        if not result.finished:
            return False
        save_model(folder / "transformer.safetensors", result.weights, self.card(config, bank, result))
        return True

    def things(self, minutes: float) -> bool:
        """Train on what imagines the things of a finished transformer; all that paints stays as it is, bit by bit."""
        return self._half("things", self._things_bank(), self._of_things, minutes)

    def distil(self, minutes: float) -> bool:
        """Teach what imagines the things of a finished transformer to do so in few steps, see train.distil."""
        return self._half("distil", self._things_bank(), self._of_things, minutes)

    def rollouts(self, minutes: float) -> bool:
        """Train what imagines the things of a finished transformer on pasts that it made itself."""
        bank, own = self._things_bank(), self.out / "rollouts" / "bank.npz"
        bank = beside_own(bank, self.plan.things.latents, own, self._begun("rollouts"), self.device, self.progress)
        return self._half("rollouts", bank, self._of_things, minutes)

    def _of_things(self, bank: Bank, config: Config) -> Mixture:
        return of_things(bank, self.plan.things, self.plan.beginning, self.plan.beginning_share, config.slots)

    def _things_bank(self) -> Bank:
        path = self.out / "things" / "bank.npz"
        self._bank(path, lambda: None)
        return load_bank(path)

    def views(self, minutes: float) -> bool:
        """Train on what paints the views of a finished transformer; all that imagines things stays as it is."""
        self.latents(minutes)
        return self._half("views", load_bank(self.out / "bank.npz"), lambda bank, config: Mixture(
            bank, self.plan.things, replace(self.plan.drawn, slots=config.slots), 1.0), minutes)

    def _half(self, name: str, bank: Bank, mixture: Callable[[Bank, Config], Mixture], minutes: float) -> bool:
        """Train one of a transformer's groups on and leave the other alone; True when it is finished."""
        start, folder = self._begun(name), self.out / name
        tensors, meta = load_model(start)
        config = Config(**meta["config"])
        model = Transformer(config).to(self.device)
        learns_only(model, model.views_parameters() if name == "views" else model.things_parameters())
        loss = transformer_loss
        if name == "distil":
            load_into(teacher := Transformer(config).to(self.device), tensors, start)
            loss = Distilled(teacher, Sampling.of(meta))
        result = fit(model, mixture(bank, config), loss, out=folder, lr=AGAIN * self.plan.lr, adam=ADAM,
                     ema=self.plan.ema, precision=self.plan.precision, hold=0.4, start_from=tensors,
                     progress=self.progress, **self._budget(minutes))
        if result.finished:
            card, own = self.card(config, bank, result), {"distil": FEW, "views": {}}
            card["sampling"] = {**meta.get("sampling", {}), **own.get(name, card["sampling"])}
            save_model(folder / "transformer.safetensors", result.weights, card)
        return result.finished

    def observer(self, minutes: float) -> bool:
        """Train the judge's eye from truth, through the tokenizer as well as plain."""
        from reverie.train.observer import train_observer

        if self._done("observer"):
            return True
        made = train_observer(self.data, self.out / "observer", tokenizer=self._file("tokenizer"),
                              start_from=self._given("observer"), device=self.device,
                              precision=self.plan.precision, progress=self.progress, **self._budget(minutes))
        return made is not None

    def road(self, stage: str, minutes: float) -> bool:
        """Train one of the stages of the road; True when it is finished."""
        name = road.FILES[stage]
        made = road.run(stage, self.plan, self.data, self.out / name, recipe=self.name, device=self.device,
                        progress=self.progress, start_from=self._start(name), **self._budget(minutes))
        return made is not None

    def gather(self) -> Path:
        """Copy what is finished into out/model, which --model takes."""
        folder = self.out / "model"
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("tokenizer", "transformer", "observer", *road.FILES.values()):
            made = ((self._latest() if name == "transformer" else None) or self._file(name)).parent
            for pattern in (name, f"{name}-*", *road.BESIDE.get(name, ())):
                for file in made.glob(f"{pattern}.safetensors"):
                    shutil.copyfile(file, folder / file.name)
        return folder

    # -- parts --------------------------------------------------------------------------------------------

    def card(self, config: Config, bank: Bank, result) -> dict:
        """What the model file says of itself."""
        from reverie.data.captions import known_words

        drawn = bank.drawn
        latents = sum(map(len, drawn))
        return {
            "kind": "transformer", "config": config.to_dict(), "size": list(self.plan.size), "fps": 24.0,
            "recipe": {"name": self.name, **asdict(self.plan), "trained_steps": result.step,
                       "trained_seconds": round(result.elapsed)},
            "data": {"digest": bank.digest[:16], "clips": len(bank.items), "drawn": len(drawn),
                     "drawn_hours": round(latents * 4 / 24 / 3600, 2),
                     "hours": round(sum(map(len, bank.items)) * 4 / 24 / 3600, 2)},
            "commit": runtime.commit(), "scores": result.scores, "sampling": varieties(bank),
            "words": sorted(known_words("en") | known_words("zh")),
        }

    def _source(self, bank: Bank):
        from reverie.train.stream import fixed, growing

        plan = self.plan
        mixture = Mixture(bank, plan.things, plan.drawn, plan.drawn_share, plan.opening, plan.opening_share)
        if not self.plan.growing:
            return fixed(mixture)
        tokenizer = Tokenizer.load(self._file("tokenizer")).to(self.device).eval()
        return growing(mixture, self.data / "drawn", tokenizer, self._vectors(), device=self.device)

    def _sheet(self) -> Callable[[torch.nn.Module, Path], None] | None:
        """Contact sheets of dreams, where the text package is there to prompt them."""
        from reverie.train.look import dream_sheet

        tokenizer = Tokenizer.load(self._file("tokenizer")).to(self.device).eval()
        vectors = self._vectors()

        def sheet(model: torch.nn.Module, path: Path) -> None:
            dream_sheet(model, tokenizer, vectors, self.plan.size, path.with_suffix(".png"))

        return sheet

    def _start(self, name: str = "transformer") -> Path | None:
        if self.start_from is None:
            return None
        path = Path(self.start_from)
        return path / f"{name}.safetensors" if path.is_dir() else path

    def _begun(self, name: str) -> Path:
        """The transformer that such a stage goes on from."""
        if (start := self._latest() or self._start()) is None:
            raise BadInput(f"the stage {name} goes on from a transformer: say which with start_from")
        return start

    def _latest(self) -> Path | None:
        """What a stage that trains one half of a transformer made last in this folder."""
        made = (self.out / half / "transformer.safetensors" for half in ("things", "distil", "rollouts", "views"))
        return max(filter(Path.exists, made), key=lambda path: path.stat().st_mtime, default=None)

    def _given(self, name: str) -> Path | None:
        """The file of start_from that a stage asked for by name begins from."""
        path = Path(self.start_from or "") / f"{name}.safetensors"
        return path if self.asked == name and self.start_from is not None and path.exists() else None

    def _done(self, name: str) -> bool:
        """Whether a stage has made its file, or another model's stands for it."""
        return self._file(name).exists() and self._file(name) != self._given(name)

    def _file(self, name: str) -> Path:
        own = self.out / name / f"{name}.safetensors"
        if name == "tokenizer" and (self.out / "canvas" / own.name).exists():
            return self.out / "canvas" / own.name
        if not own.exists() and self.start_from is not None and Path(self.start_from).is_dir():
            other = Path(self.start_from) / f"{name}.safetensors"
            return other if other.exists() else own
        return own

    def _budget(self, minutes: float) -> dict:
        return {"steps": self.plan.steps} if self.plan.steps else {"minutes": minutes}
