"""The process that generates: it loads the model once, takes one job after another, and says how far each is.

    python -m reverie.serve.worker --data DIR --model NAME [--model NAME ...] --name WORKER [--batch N]

Of several models the first is loaded at once and the others when a job wants them; of other people's, whose weights are
large, one has its weights in memory at a time.

Its standard input is held open by the server: when that ends, the server is dead and the worker goes too, whatever it
is doing. Lines of JSON come in there and go out on standard output: {"n", "text"} is answered by {"n", "unknown"}, the
words of the text that the model never met; {"wake"} says that a job has come. Jobs come from the table (jobs.py).

One job at a time on a CPU, several on a GPU (together.py); their order is the queue's in any case.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from reverie.core.errors import BadWeights, ReverieError
from reverie.serve.jobs import VIDEO_KINDS, Job, Store, hold_name
from reverie.serve.models import called
from reverie.serve.pictures import pictures
from reverie.serve.scripts import toml_of
from reverie.serve.together import Apart, Meeting, jobs_at_once
from reverie.serve.watching import Gone, Watch, Watched

if TYPE_CHECKING:
    from reverie.world import World

PLACE = re.compile(r"(?<![\w.~-])/\w")  # a path of this machine, and no OWNER/NAME


class Refused(ReverieError):
    """The job cannot be done. code: for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Worker:
    """One worker process."""

    def __init__(self, data: Path, models: list[str], name: str, batch: int = 0) -> None:
        self.data, self.name, self.batch = data, name, batch
        self.models = {called(model): model for model in models}  # name: what it is loaded by
        self.wake, self.stopping = threading.Event(), False
        self.worlds: dict[str, World] = {}
        self.job: Job | None = None  # that is made by the main thread

    def run(self) -> None:
        """Work until the server goes or says so."""
        lock = hold_name(self.data, self.name)
        store = Store(self.data)
        threading.Thread(target=self._listen, name="server's words", daemon=True).start()
        self.world(None)
        self._tell({"ready": True})
        while not self.stopping:
            self.wake.clear()
            job = store.claim(self.name)
            if job is None:
                self.wake.wait(0.25)
                continue
            if job.kind in VIDEO_KINDS and job.attempts == 1 and (at_once := self._at_once(job)) > 1:
                self._do_several(store, job, at_once)
            else:
                self._do_alone(store, job)
        store.close()
        lock.close()

    def world(self, name: str | None) -> World:
        """The world of that name, None for the first; weights of other people's other models are let go."""
        from reverie.generation import load_world

        name = name or next(iter(self.models))
        if name not in self.models:
            raise Refused("model_missing", f"the model {name} is served here no longer")
        if name not in self.worlds:
            world = self.worlds[name] = load_world(self.models[name])
            if hasattr(world, "free"):
                world.name = name  # and not the folder's place on this machine
        for other, world in self.worlds.items():
            if other != name and hasattr(world, "free"):
                world.free()
        return self.worlds[name]

    def _at_once(self, job: Job) -> int:
        """How many jobs are made in one pass, if this one is the first of them; its world is loaded."""
        try:
            return jobs_at_once(self.world(job.spec.get("model")), self.batch)
        except Exception:
            return 1  # whoever does the job is told the same, and tells why

    def stop(self, *_) -> None:
        """The signal to end: the job in hand goes back into the queue."""
        self.stopping = True
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.job is not None:
            raise KeyboardInterrupt

    def _do_alone(self, store: Store, job: Job) -> None:
        self.job = job
        self._do(store, job)
        self.job = None

    def _do_several(self, store: Store, first: Job, at_once: int) -> None:
        """A job, and beside it, while it is made, those after it in the queue that can be stepped in the same pass."""
        from reverie.world import step_together

        meeting, apart = Meeting(step_together), []

        def do(job: Job) -> None:
            own = Store(self.data)
            try:
                self._do(own, job, meeting)
            except Apart:
                apart.append(job)
            finally:
                own.close()
                self.wake.set()

        running: list[threading.Thread] = []
        job: Job | None = first
        while not self.stopping:
            if job is not None:
                running.append(threading.Thread(target=do, args=(job,), name=job.id))
                running[-1].start()
            running = [thread for thread in running if thread.is_alive()]
            if not running:
                break
            self.wake.clear()
            job = store.claim(self.name, first) if len(running) < at_once and not apart else None
            if job is None:
                self.wake.wait(0.1)
        meeting.end()
        for thread in running:
            thread.join()
        for job in apart:
            if self.stopping:
                store.give_back(job)
            else:
                self._do_alone(store, job)

    def _do(self, store: Store, job: Job, meeting: Meeting | None = None) -> None:
        """Raises Apart, which only a meeting does."""
        folder = self.data / "work" / job.folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        over = True  # nobody will go on with it
        try:
            facts = DOES[job.kind](self, store, job, folder, meeting)
            size = sum(path.stat().st_size for path in folder.iterdir())
            place = self.data / "results" / job.folder
            shutil.rmtree(place, ignore_errors=True)
            os.rename(folder, place)
            if not store.finish(job, size, facts):
                shutil.rmtree(place, ignore_errors=True)
        except Gone:
            pass
        except Apart:
            raise
        except KeyboardInterrupt:
            store.give_back(job)
            over = False
        except Exception as error:
            code, message = explain(error)
            if code in ("internal", "model_broken"):
                print(f"reverie: job {job.id}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            store.fail(job, code, message)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if over:
                shutil.rmtree(self.data / "work" / job.id, ignore_errors=True)

    def _listen(self) -> None:
        for line in sys.stdin.buffer:
            message = json.loads(line)
            if "text" in message:
                world = next(iter(list(self.worlds.values())), None)
                unknown = world.unknown_words(message["text"]) if world is not None else None
                self._tell({"n": message["n"], "unknown": unknown})
            else:
                self.wake.set()
        os._exit(0)  # the server is gone: whoever comes next finds the job unlocked

    def _tell(self, message: dict) -> None:
        sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
        sys.stdout.buffer.flush()


def do_video(worker: Worker, store: Store, job: Job, folder: Path, meeting: Meeting | None) -> dict:
    """Generate a video, with its pictures and things, into the folder."""
    from reverie.generation import generate
    from reverie.serve.characters import name_things

    spec = job.spec
    lines = spec.get("script") or []
    (prompt, *texts), notes = name_things(store, job.tenant, [spec["prompt"], *(line["text"] for line in lines)])
    script = folder / "script.toml" if lines else None
    if script:
        told = [line | {"text": text} for line, text in zip(lines, texts, strict=True)]
        script.write_text(toml_of(told), encoding="utf-8")
    past = _past(store, job)
    if past and spec.get("at"):
        past = cut(past, folder / "past.mp4", spec["at"])
    watch, asked = Watch(store, job, folder), worker.world(spec.get("model"))
    things = spec.get("things", True) and getattr(asked, "imagines_things", True)
    world = Watched(asked, watch, spec, store.data / "work" / job.id, meeting)
    made = generate(
        "" if script else prompt, folder / "video.mp4", seconds=spec["seconds"], size=tuple(spec["size"]),
        fps=spec["fps"], model=world, seed=spec["seed"], steps=spec.get("steps"),  # type: ignore[arg-type]
        image=_upload(store, spec.get("image")), video=past, loop=spec.get("loop", False), script=script,
        camera=spec.get("camera", ""), things=things, things_out=folder / "things.jsonl" if things else None)
    watch.done = made.frames
    watch.say(force=True)
    for name in ("script.toml", "past.mp4", "preview.jpg"):
        (folder / name).unlink(missing_ok=True)
    pictures(folder / "video.mp4", folder, made.frames)
    return {"unknown_words": made.unknown_words, "wall_seconds": round(made.wall_seconds, 2), "model_hash": made.model,
            "notes": notes + [note for note in made.notes if str(store.data) not in note], "frames": made.frames,
            "size": f"{made.size[1]}x{made.size[0]}", "fps": made.fps}


def cut(video: Path, to: Path, seconds: float) -> Path:
    """The beginning of a video, as a file of its own, with the things that it carries."""
    from itertools import islice

    from reverie.core.video import VideoWriter, probe, stream_video
    from reverie.model.record import latents, packed, things_of

    fps, writer = probe(video)["fps"], None
    known, count = things_of(video, fps), max(1, round(seconds * fps))
    for frame in islice(stream_video(video), count):
        writer = writer or VideoWriter(to, fps=fps, size=frame.shape[:2], crf=8)  # it will be encoded once more
        writer.write(frame[None])
    if known is not None and writer is not None:
        writer.carried = packed(known[: latents(count)], fps)
    return writer.close()  # type: ignore[union-attr] # stream_video yields a frame or raises


def do_audit(worker: Worker, store: Store, job: Job, folder: Path, meeting: Meeting | None) -> dict:
    """Judge a finished video; the verdict as JSON into the folder."""
    from reverie.auditing import audit_video

    verdict = audit_video(_past(store, job), prompt=job.spec.get("prompt") or None,  # type: ignore[arg-type]
                          camera=job.spec.get("camera") or None).as_dict()
    made = {key: value for key, value in verdict.items() if key not in ("report", "overlay", "source")}
    (folder / "verdict.json").write_text(json.dumps(made, ensure_ascii=False, default=str), encoding="utf-8")
    return {}


def do_character(worker: Worker, store: Store, job: Job, folder: Path, meeting: Meeting | None) -> dict:
    """See what a video shows: the thing's kind and colour; its picture into the folder."""
    from reverie.serve.characters import look

    return look(_past(store, job), folder)  # type: ignore[arg-type]


DOES = dict.fromkeys(VIDEO_KINDS, do_video) | {"audit": do_audit, "character": do_character}


def _upload(store: Store, name: str | None) -> Path | None:
    """A picture or video that a client sent, as decoding.py left it."""
    if not name:
        return None
    path = store.data / "uploads" / name
    if not path.is_file():
        raise Refused("input_expired", "the picture or video that it begins with is no longer kept")
    return path


def _past(store: Store, job: Job) -> Path | None:
    """The video that a job goes on from, or looks at: an upload, or another job's result."""
    if job.spec.get("upload"):
        return _upload(store, job.spec["upload"])
    if not job.spec.get("past"):
        return None
    source = store.get(job.tenant, job.spec["past"])
    path = store.result(source, "video.mp4") if source else None
    if path is None:
        raise Refused("source_missing", "the video that it goes on from was deleted")
    return path


def explain(error: Exception) -> tuple[str, str]:
    """A failure as a code and one line, without a path of this machine."""
    if isinstance(error, Refused):
        return error.code, str(error)
    if isinstance(error, ModuleNotFoundError):
        extra = "audit" if error.name in ("trackers", "supervision", "cv2", "scipy") else "dev"
        return "package_missing", f'the server needs the package {error.name}: pip install "reverie[{extra}]"'
    if isinstance(error, MemoryError):
        return "out_of_memory", "out of memory: ask for a smaller size"
    if isinstance(error, BadWeights):
        return "model_broken", "the model's files are damaged, or not all there: the server's log says which"
    if isinstance(error, ReverieError) and not PLACE.search(said := getattr(error, "brief", str(error))):
        return getattr(error, "code", "invalid_input"), said
    if isinstance(error, ReverieError) and "disk is full" in str(error):
        return "disk_full", "the server's disk is full"
    return "internal", f"unexpected failure: {type(error).__name__}"


def main() -> None:
    """Read the arguments and work."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--batch", type=int, default=0)
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the server decides
    os.nice(10)  # whoever polls is answered while it computes
    worker = Worker(args.data, args.model, args.name, args.batch)
    signal.signal(signal.SIGTERM, worker.stop)
    try:
        worker.run()
    except ReverieError as error:
        sys.exit(f"reverie: the worker cannot start: {error}")
    except KeyboardInterrupt:
        pass
    os._exit(0)  # the thread that reads standard input cannot be ended


if __name__ == "__main__":
    main()
