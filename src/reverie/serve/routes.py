"""The routes of the Sora-style API under /v1, and Reverie's own beside them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from reverie import __version__
from reverie.serve.answers import Wrong, bad, missing
from reverie.serve.asking import Wanted
from reverie.serve.characters import CUT, character_object, check_name
from reverie.serve.jobs import VIDEO_KINDS, Job
from reverie.serve.making import Maker
from reverie.serve.models import ModelFacts
from reverie.serve.objects import page_object, video_object
from reverie.serve.settings import MAX_SECONDS
from reverie.serve.uploads import read_body

POLL_MS = 500
PAGE, LONGEST_PAGE = 20, 100
SYNC_SECONDS = 3600.0  # that POST /v1/videos/sync waits at most
VARIANTS = {"video": ("video.mp4", "video/mp4"), "thumbnail": ("thumbnail.webp", "image/webp"),
            "spritesheet": ("spritesheet.jpg", "image/jpeg"), "things": ("things.jsonl", "application/jsonl"),
            "log": ("log.csv", "text/csv")}
router = APIRouter(prefix="/v1")


def _form(*needed: str, **more: dict) -> dict[str, Any]:
    """The body of a request, for the schema: read_body takes JSON and forms alike."""
    schema = Wanted.model_json_schema()
    schema.pop("title", None)
    schema["properties"] = schema["properties"] | more
    schema["required"] = list(needed)
    return {"requestBody": {"required": True, "content": {
        "multipart/form-data": {"schema": schema}, "application/json": {"schema": schema}}}}


_FILE = {"description": 'A file; in JSON {"image_url": "data:image/png;base64,..."}.'}
_VIDEO = {"description": 'A file, or {"id": "video_..."}.'}
_TEXTS = {"type": "array", "items": {"type": "string"}}


def maker(request: Request) -> Maker:
    """What accepts this server's jobs."""
    return request.app.state.maker


def tenant(request: Request) -> str:
    """Whose request it is."""
    return request.scope["tenant"]


def shown(request: Request, job: Job) -> dict[str, Any]:
    """The job as a video object."""
    state = request.app.state
    return video_object(job, state.store, state.settings, state.models[0].name)


def accepted(request: Request, job: Job) -> JSONResponse:
    """The answer to a request that became a job."""
    request.app.state.worker.wake()
    return JSONResponse(shown(request, job), headers={"openai-poll-after-ms": str(POLL_MS)})


def video(request: Request, name: str) -> Job:
    """The video of that name. Raises Wrong."""
    job = request.app.state.store.get(tenant(request), name)
    if job is None or job.kind not in VIDEO_KINDS:
        raise missing("video", name)
    return job


def known(request: Request, name: str) -> Job:
    """The character of that id. Raises Wrong."""
    job = request.app.state.store.get(tenant(request), name)
    if job is None or job.kind != "character":
        raise missing("character", name)
    return job


@router.post("/videos", openapi_extra=_form("prompt", input_reference=_FILE), summary="Make a video")
async def create(request: Request) -> Response:
    return accepted(request, await maker(request).create(tenant(request), await read_body(request)))


@router.post("/videos/sync", openapi_extra=_form("prompt", input_reference=_FILE),
             summary="Make a video, wait for it, and get the MP4", response_class=FileResponse)
async def create_and_wait(request: Request) -> Response:
    job = await maker(request).create(tenant(request), await read_body(request))
    request.app.state.worker.wake()
    store, until = request.app.state.store, asyncio.get_running_loop().time() + SYNC_SECONDS
    while job.status in ("queued", "in_progress"):
        if await request.is_disconnected():  # nobody waits any more
            store.delete(job.tenant, job.id)
            return Response(status_code=499)
        if asyncio.get_running_loop().time() > until:
            raise Wrong(504, f"{job.id} takes too long to wait for: retrieve it later", code="timeout")
        await asyncio.sleep(0.2)
        again = store.get(job.tenant, job.id)
        if again is None:
            raise Wrong(409, f"{job.id} was deleted", code="video_deleted")
        job = again
    if job.status == "failed":
        status = 400 if job.code == "invalid_input" else 500
        raise Wrong(status, job.error or "it failed", code=job.code)
    model = job.spec.get("model") or request.app.state.models[0].name
    return content_of(request, job, "video", {"x-video-id": job.id, "x-model": model})


@router.post("/videos/edits", openapi_extra=_form("prompt", "video", video=_VIDEO), summary="Another text for a video")
async def edit(request: Request) -> Response:
    return accepted(request, await maker(request).edit(tenant(request), await read_body(request)))


@router.post("/videos/extensions", openapi_extra=_form("video", video=_VIDEO), summary="Go on from a video")
async def extend(request: Request) -> Response:
    return accepted(request, await maker(request).extend(tenant(request), await read_body(request)))


@router.post("/videos/futures", summary="Several continuations of one past", openapi_extra=_form(
    "video", video=_VIDEO, count={"type": "integer", "minimum": 1, "maximum": 8}, cameras=_TEXTS, prompts=_TEXTS))
async def futures(request: Request) -> dict[str, Any]:
    jobs = await maker(request).futures(tenant(request), await read_body(request))
    request.app.state.worker.wake()
    return {"object": "list", "group": jobs[0].group, "data": [shown(request, job) for job in jobs]}


@router.post("/videos/characters", summary="Name what a video shows", openapi_extra={"requestBody": {
    "required": True, "content": {"multipart/form-data": {"schema": {
        "type": "object", "required": ["name", "video"],
        "properties": {"name": {"type": "string"}, "video": _VIDEO}}}}}})
async def create_character(request: Request) -> dict[str, Any]:
    fields = await read_body(request)
    if not isinstance(fields.get("name"), str):
        raise bad("say the character's name", "name", "missing_required_parameter")
    if not fields.get("video"):
        raise bad("send a video of the character", "video", "missing_required_parameter")
    job = await maker(request).character(tenant(request), check_name(fields["name"]), fields["video"])
    request.app.state.worker.wake()
    return character_object(job)


@router.get("/videos/characters", summary="All characters, newest first")
async def characters(request: Request) -> dict[str, Any]:
    found = request.app.state.store.named(tenant(request), "character")
    return page_object([character_object(job) for job in found[:1000]], False)


@router.get("/videos/characters/{id}", summary="One character")
async def character(request: Request, id: str) -> dict[str, Any]:
    return character_object(known(request, id))


@router.get("/videos/characters/{id}/content", summary="The thing, cut out of its video", response_class=FileResponse)
async def character_picture(request: Request, id: str) -> Response:
    path = request.app.state.store.result(known(request, id), CUT)
    if path is None:
        raise Wrong(409, f"{id} was not recognised yet, or could not be", code="character_not_ready")
    return FileResponse(path, media_type="image/webp")


@router.delete("/videos/characters/{id}", summary="Forget a character")
async def delete_character(request: Request, id: str) -> dict[str, Any]:
    known(request, id)
    request.app.state.store.delete(tenant(request), id)
    return {"id": id, "object": "character.deleted", "deleted": True}


@router.get("/videos", summary="Videos, a page at a time")
async def videos(request: Request, after: str | None = None, limit: int = PAGE, order: str = "desc",
                 group: str | None = None) -> dict[str, Any]:
    if not 1 <= limit <= LONGEST_PAGE:
        raise bad(f"limit must be from 1 to {LONGEST_PAGE}", "limit")
    if order not in ("asc", "desc"):
        raise bad("order must be asc or desc", "order")
    store = request.app.state.store
    if after and store.get(tenant(request), after) is None:
        raise bad(f"after: there is no video {after[:80]!r} (any more)", "after")
    found, more = store.page(tenant(request), VIDEO_KINDS, limit=limit, after=after or None,
                             newest_first=order == "desc", group=group)
    return page_object([shown(request, job) for job in found], more)


@router.get("/videos/{id}", summary="One video, and how far it is")
async def retrieve(request: Request, id: str) -> Response:
    return JSONResponse(shown(request, video(request, id)), headers={"openai-poll-after-ms": str(POLL_MS)})


@router.delete("/videos/{id}", summary="Delete a video, or cancel it")
async def delete(request: Request, id: str) -> dict[str, Any]:
    video(request, id)
    request.app.state.store.delete(tenant(request), id)
    return {"id": id, "object": "video.deleted", "deleted": True}


@router.post("/videos/{id}/remix", openapi_extra=_form("prompt"), summary="The same again with another text")
async def remix(request: Request, id: str) -> Response:
    return accepted(request, maker(request).remix(tenant(request), id, await read_body(request)))


@router.get("/videos/{id}/content", summary="The file, or a picture of it", response_class=FileResponse)
async def content(request: Request, id: str, variant: str = "video") -> Response:
    if variant == "preview":
        return await preview(request, id)
    if variant not in VARIANTS:
        raise bad(f"variant must be one of {', '.join(VARIANTS)}", "variant")
    job = video(request, id)
    if job.status == "failed":
        raise Wrong(409, f"the video {id} failed: {job.error}", code="video_failed")
    if job.status != "completed":
        raise Wrong(409, f"the video {id} is not completed yet", code="video_not_ready")
    store = request.app.state.store
    film = store.result(job, "video.mp4")
    if variant in ("thumbnail", "spritesheet") and film and store.result(job, VARIANTS[variant][0]) is None:
        await request.app.state.decoder.work("pictures", film, film.parent, frames=job.frames)
    return content_of(request, job, variant)


def content_of(request: Request, job: Job, variant: str, headers: dict[str, str] | None = None) -> Response:
    """A file of a completed video."""
    name, kind = VARIANTS[variant]
    path = request.app.state.store.result(job, name)
    if path is None:
        raise Wrong(404, f"the video {job.id} has no {variant} (any more)", code="content_not_found")
    return FileResponse(path, media_type=kind, filename=f"{job.id}{path.suffix}", content_disposition_type="inline",
                        headers={"cache-control": "private, max-age=3600", **(headers or {})})


@router.get("/videos/{id}/preview", summary="What there is of a video that grows", response_class=Response)
async def preview(request: Request, id: str, format: str = "jpeg") -> Response:
    if format not in ("jpeg", "mp4"):
        raise bad("format must be jpeg or mp4", "format")
    job = video(request, id)
    folder = request.app.state.settings.folder("work") / job.folder
    if format == "jpeg":
        picture = await asyncio.to_thread(_read, folder / "preview.jpg")
    else:
        grown = next(iter(sorted(folder.glob("video.*.partial.mp4"))), None) if job.status == "in_progress" else None
        picture = whole_boxes(await asyncio.to_thread(_read, grown)) if grown else b""
    if not picture:
        raise Wrong(404, f"there is nothing of {id} to see at the moment", code="no_preview")
    return Response(picture, media_type="image/jpeg" if format == "jpeg" else "video/mp4",
                    headers={"cache-control": "no-store"})


def _read(path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended, and its folder is gone
        return b""


def whole_boxes(data: bytes) -> bytes:
    """The part of a growing fragmented MP4 that is whole: its header and all complete fragments."""
    at = end = 0
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at:at + 4], "big"), data[at + 4:at + 8]
        if length < 8 or at + length > len(data):
            break
        at += length
        if kind == b"mdat":
            end = at
    return data[:end]


@router.get("/videos/{id}/audit", summary="What is wrong with its physics")
async def audit(request: Request, id: str, prompt: bool = True) -> Response:
    job = maker(request).audit(tenant(request), id, prompt)
    said: dict[str, Any] = {"object": "video.audit", "video_id": id, "status": job.status}
    if job.status in ("queued", "in_progress"):
        request.app.state.worker.wake()
        return JSONResponse(said, 202, headers={"openai-poll-after-ms": str(POLL_MS)})
    if job.status == "failed":
        return JSONResponse({**said, "error": {"code": job.code, "message": job.error}})
    path = request.app.state.store.result(job, "verdict.json")
    if path is None:
        raise Wrong(404, f"the audit of {id} is no longer kept", code="content_not_found")
    return JSONResponse({**said, "verdict": json.loads(await asyncio.to_thread(path.read_bytes))})


@router.get("/models", summary="The models there are; the first answers where no other is asked for")
async def models(request: Request) -> dict[str, Any]:
    return {"object": "list", "data": [_model(facts) for facts in request.app.state.models]}


@router.get("/models/{id:path}", summary="One of them")
async def model(request: Request, id: str) -> dict[str, Any]:
    facts = next((facts for facts in request.app.state.models if facts.name == id), None)
    if facts is None:
        raise missing("model", id)
    return _model(facts)


def _model(facts: ModelFacts) -> dict[str, Any]:
    return {"id": facts.name, "object": "model", "created": facts.created, "owned_by": "reverie",
            "size": f"{facts.size[1]}x{facts.size[0]}", "fps": facts.fps}


@router.get("/words", summary="Words that the model never met")
async def words(request: Request, text: str = "") -> dict[str, Any]:
    unknown = await request.app.state.worker.unknown_words(text[:20_000])
    return {"unknown": unknown or [], "ready": unknown is not None}


@router.get("/about", summary="What this server is")
async def about(request: Request) -> dict[str, Any]:
    state = request.app.state
    counts, model = state.store.counts(), state.models[0]
    return {"name": "reverie", "version": __version__, "model": model.name, "keys": bool(state.settings.keys),
            "models": [_model(facts) for facts in state.models],
            "size": f"{model.size[1]}x{model.size[0]}", "fps": model.fps,
            "max_seconds": MAX_SECONDS, "max_pixels": state.settings.max_pixels, "worker": state.worker.state,
            "max_upload_bytes": state.settings.upload_bytes, "max_upload_seconds": state.settings.upload_seconds,
            "keep_hours": state.settings.keep_hours, "queue": {
                "waiting": counts["queued"], "running": counts["in_progress"], "limit": state.settings.queue}}
