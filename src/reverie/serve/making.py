"""How requests become jobs: one function for each way to ask for a video."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from reverie.serve.answers import bad
from reverie.serve.asking import Wanted, spec_of, wanted_of
from reverie.serve.characters import mentioned
from reverie.serve.jobs import Job, New, Store, new_id
from reverie.serve.models import ModelFacts, chosen
from reverie.serve.references import finished, image_of, video_of
from reverie.serve.settings import MAX_SECONDS, Settings
from reverie.serve.uploads import Decoder, Kept

MOST_FUTURES = 8
LONGEST_PAST = 600.0  # seconds of a video that is extended, after all its extensions


@dataclass
class Maker:
    """What it takes to accept a job."""

    settings: Settings
    store: Store
    decoder: Decoder
    models: tuple[ModelFacts, ...]

    async def create(self, tenant: str, fields: dict[str, Any]) -> Job:
        """POST /v1/videos. A video_reference is gone on from; the result holds it too."""
        wanted = wanted_of(fields)
        image = next((name for name in ("input_reference", "image_reference", "image") if fields.get(name)), None)
        video = next((name for name in ("video_reference", "video") if fields.get(name)), None)
        if image and video:
            raise bad("give an image or a video to begin from, not both", video)
        if video:
            return await self.extend(tenant, {**fields, "video": fields[video]})
        kept = await image_of(fields[image], self.decoder, self.settings, image) if image else None
        spec = spec_of(wanted, self.settings, chosen(self.models, wanted.model), given=kept is not None)
        if kept is not None:
            spec["image"] = kept.name
        self._check_names(tenant, spec)
        return self._add(tenant, [New("generate", spec, _frames(spec), wanted.priority)])[0]

    async def extend(self, tenant: str, fields: dict[str, Any]) -> Job:
        """POST /v1/videos/extensions: the video, and then its continuation."""
        wanted = wanted_of(fields)
        spec, source = await self._onward(tenant, fields, wanted)
        return self._add(tenant, [New("extend", spec, _frames(spec), wanted.priority, source=source)])[0]

    async def futures(self, tenant: str, fields: dict[str, Any]) -> list[Job]:
        """POST /v1/videos/futures: several continuations of one past, that differ by seed, camera or text."""
        count, cameras, prompts = _count(fields), _texts(fields, "cameras"), _texts(fields, "prompts")
        plain = {name: value for name, value in fields.items() if name not in ("count", "cameras", "prompts")}
        wanted = wanted_of(plain)
        spec, source = await self._onward(tenant, plain, wanted)
        new, group, model = [], new_id("group"), chosen(self.models, spec["model"])
        for i in range(count):
            one = spec
            if i < len(cameras) and cameras[i]:
                said = spec_of(Wanted(prompt="-", camera=cameras[i]), self.settings, model)
                one = one | {"camera": said["camera"], "rates": said["rates"]}
            if i < len(prompts) and prompts[i]:
                said = spec_of(Wanted(prompt=prompts[i]), self.settings, model)
                one = one | {"prompt": said["prompt"], "script": None}
                self._check_names(tenant, one)
            seed = (spec["seed"] + i) % 2**63
            new.append(New("future", one | {"seed": seed}, _frames(spec), wanted.priority, group, source))
        return self._add(tenant, new)

    async def edit(self, tenant: str, fields: dict[str, Any]) -> Job:
        """POST /v1/videos/edits: of a video of ours, the same with another text; of one that was sent, another course
        of things from its first frame on."""
        wanted = wanted_of(fields)
        if not fields.get("video"):
            raise bad("say which video: a file, or {\"id\": \"video_...\"}", "video", "missing_required_parameter")
        given = await video_of(fields["video"], self.decoder, self.store, tenant, self.settings, "video")
        if isinstance(given, Job):
            return self._again(tenant, given, wanted, "edit")
        about = given.about
        shape = (about["height"], about["width"])
        like = {"fps": about["fps"], "seconds": min(about["seconds"], MAX_SECONDS)}
        spec = spec_of(wanted, self.settings, chosen(self.models, wanted.model), like=like, shape=shape)
        name = given.name.replace(".mp4", ".png")
        folder = self.settings.folder("uploads")
        await self.decoder.work("first", folder / given.name, folder / name, param="video")
        spec["image"] = name
        self._check_names(tenant, spec)
        return self._add(tenant, [New("edit", spec, _frames(spec), wanted.priority)])[0]

    def remix(self, tenant: str, name: str, fields: dict[str, Any]) -> Job:
        """POST /v1/videos/{id}/remix: the same seed, camera, size and length with another text."""
        return self._again(tenant, finished(self.store, tenant, name), wanted_of(fields), "remix")

    def audit(self, tenant: str, name: str, with_prompt: bool) -> Job:
        """The job that judges a finished video; there is one at most."""
        job = finished(self.store, tenant, name)
        known = self.store.of_source("audit", name)
        if known is not None:
            return known
        asked = job.spec["prompt"] if with_prompt and not job.spec.get("script") else ""
        spec = {"past": name, "prompt": asked, "camera": job.spec.get("camera", "") if with_prompt else ""}
        new = New("audit", spec, priority=5, source=name, id=name.replace("video", "audit", 1))
        try:
            return self._add(tenant, [new])[0]
        except sqlite3.IntegrityError:  # another server has just begun it
            return self.store.of_source("audit", name) or job

    async def character(self, tenant: str, name: str, video: Any) -> Job:
        """A name for what a video shows."""
        given = await video_of(video, self.decoder, self.store, tenant, self.settings, "video")
        if isinstance(given, Kept):
            spec, source = {"name": name, "upload": given.name}, None
        else:
            spec, source = {"name": name, "past": given.id}, given.id
        return self._add(tenant, [New("character", spec, priority=6, source=source, id=new_id("char"))])[0]

    def _again(self, tenant: str, job: Job, wanted: Wanted, kind: str) -> Job:
        if not wanted.prompt and not wanted.script:
            raise bad("the prompt is empty: write what should happen", "prompt", "missing_required_parameter")
        kept = {key: job.spec[key] for key in ("image", "upload", "past", "at", "past_seconds") if key in job.spec}
        spec = spec_of(wanted, self.settings, chosen(self.models, wanted.model, job.spec.get("model")), like=job.spec)
        if not spec["camera"] and not spec["rates"] and not any("camera" in line for line in spec["script"] or ()):
            spec |= {"camera": job.spec.get("camera", ""), "rates": job.spec.get("rates")}
        spec |= kept | {"loop": job.spec.get("loop", False), "things": job.spec.get("things", True)}
        self._check_names(tenant, spec)
        return self._add(tenant, [New(kind, spec, _frames(spec), wanted.priority, source=job.id)])[0]

    async def _onward(self, tenant: str, fields: dict[str, Any], wanted: Wanted) -> tuple[dict[str, Any], str | None]:
        """The spec of a continuation, and the id of the video that it continues, if that is one of ours."""
        if not fields.get("video"):
            raise bad("say which video: a file, or {\"id\": \"video_...\"}", "video", "missing_required_parameter")
        given = await video_of(fields["video"], self.decoder, self.store, tenant, self.settings, "video")
        if isinstance(given, Job):
            height, width = given.spec["size"]
            fps = given.spec["fps"]
            past = given.facts.get("frames", given.frames) / fps
            before = given.spec.get("model")
        else:
            before = None
            height, width = given.about["height"], given.about["width"]
            fps, past = given.about["fps"], given.about["seconds"]
        model = chosen(self.models, wanted.model, before)
        spec = spec_of(wanted, self.settings, model, like={"fps": fps}, shape=(height, width), given=True)
        if spec["loop"]:
            raise bad("a video that is extended cannot also loop", "loop")
        if wanted.at is not None:
            if not wanted.at <= past + 1e-3:
                raise bad(f"at is {wanted.at:g}, and the video ends at {past:g} s", "at")
            if wanted.at < past - 0.5 / fps:
                spec["at"] = past = max(1, round(wanted.at * fps)) / fps
        if past + spec["seconds"] > LONGEST_PAST:
            raise bad(f"the whole would be longer than {LONGEST_PAST:g} s", "seconds")
        spec["past_seconds"] = past
        spec |= {"past": given.id} if isinstance(given, Job) else {"upload": given.name}
        self._check_names(tenant, spec)
        return spec, given.id if isinstance(given, Job) else None

    def _check_names(self, tenant: str, spec: dict[str, Any]) -> None:
        asked = mentioned([spec["prompt"], *(line["text"] for line in spec["script"] or ())])
        if not asked:
            return
        known = [job.spec["name"].lower() for job in self.store.named(tenant, "character")]
        for name in sorted(asked):
            if not any(one == name or one.startswith(name) for one in known):
                raise bad(f"there is no character called @{name[:40]}", "prompt", "character_not_found")

    def _add(self, tenant: str, wanted: list[New]) -> list[Job]:
        return self.store.add(tenant, wanted, self.settings.queue)


def _frames(spec: dict[str, Any]) -> int:
    """How many frames the file will have."""
    return max(1, round(spec["seconds"] * spec["fps"])) + round(spec.get("past_seconds", 0.0) * spec["fps"])


def _count(fields: dict[str, Any]) -> int:
    try:
        count = int(str(fields.get("count") or 4))
    except ValueError:
        count = 0
    if not 1 <= count <= MOST_FUTURES:
        raise bad(f"count must be from 1 to {MOST_FUTURES}", "count")
    return count


def _texts(fields: dict[str, Any], name: str) -> list[str]:
    value = fields.get(name) or []
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise bad(f"{name} must be a JSON list of texts", name) from None
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value) or len(value) > MOST_FUTURES:
        raise bad(f"{name} must be a list of at most {MOST_FUTURES} texts", name)
    return value
