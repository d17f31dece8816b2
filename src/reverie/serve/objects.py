"""What the API shows of a job: the video object, and pages of them."""

from __future__ import annotations

from typing import Any

from reverie.serve.jobs import Job, Store
from reverie.serve.settings import Settings


def video_object(job: Job, store: Store, settings: Settings, model: str) -> dict[str, Any]:
    """A video as OpenAI's API has it, and what Reverie adds. seconds is a text, and that of the whole file.
    model: of jobs that name none."""
    spec, facts = job.spec, job.facts
    whole = spec["seconds"] + spec.get("past_seconds", 0.0)
    ended = int(job.completed) if job.completed else None
    height, width = spec["size"]
    return {
        "id": job.id, "object": "video", "model": spec.get("model") or model, "status": job.status,
        "progress": progress(job), "created_at": int(job.created),
        "completed_at": ended if job.status == "completed" else None,
        "expires_at": int(ended + settings.keep_hours * 3600) if ended else None, "prompt": spec["prompt"],
        "seconds": f"{round(whole, 3):g}", "size": facts.get("size") or f"{width}x{height}",
        "remixed_from_video_id": job.source if job.kind in ("remix", "edit") else None,
        "error": {"code": job.code, "message": job.error} if job.status == "failed" else None,
        "kind": job.kind, "group": job.group, "source_video_id": job.source, "fps": facts.get("fps") or spec["fps"],
        "frames": facts.get("frames", job.frames), "frames_done": job.frames_done, "seed": spec["seed"],
        "steps": spec.get("steps"), "guidance": spec.get("guidance"), "camera": spec.get("camera", ""),
        "script": spec.get("script"), "loop": spec.get("loop", False), "priority": job.priority,
        "requested_size": spec.get("requested_size"), "has_image": bool(spec.get("image")),
        "past_seconds": round(spec.get("past_seconds", 0.0), 3),
        "started_at": int(job.started) if job.started else None,
        "position": store.before(job) if job.status == "queued" else None, "wall_seconds": facts.get("wall_seconds"),
        "notes": [*spec.get("notes", []), *facts.get("notes", [])], "unknown_words": facts.get("unknown_words", []),
    }


def progress(job: Job) -> int:
    """Percent of its frames that are there; 100 only when the file is."""
    if job.status == "completed":
        return 100
    return min(99, 100 * job.frames_done // max(job.frames, 1))


def page_object(objects: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    """A page of a list, as the clients page through it."""
    return {"object": "list", "data": objects, "first_id": objects[0]["id"] if objects else None,
            "last_id": objects[-1]["id"] if objects else None, "has_more": more}
