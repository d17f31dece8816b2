"""Characters: a thing that was seen in a video, and that prompts may then call by a name.

What is known of it is its kind and its colour, which is what the model understands: "@rex runs" is read as "a white dog
runs", and as "the white dog" from the second time on. Where it was seen best it is cut out, for people to look at.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from reverie.core.errors import BadInput, ReverieError
from reverie.serve.jobs import Job, Store

FRAMES = 48  # of a video, evenly spaced, that are looked at
SURE = 0.35  # confidence from which a detection counts
AROUND = 0.1  # of its sides, left around it where it is cut out
CUT = "thing.webp"  # its picture, among the job's results
NAME = re.compile(r"[^\W_][\w \-]{0,39}")


def check_name(name: str) -> str:
    """A character's name, evened out. Raises BadInput."""
    name = " ".join(name.split())
    if not NAME.fullmatch(name):
        raise BadInput("a character's name has 1 to 40 letters, digits, spaces or hyphens, a letter or digit first")
    return name


def look(video: Path, folder: Path) -> dict:
    """The kind and colour of what fills most of a video, as {"kind", "colour", "confidence"}.

    It is cut out where it is seen best: CUT in ``folder``. Raises ReverieError when nothing is seen that the observer
    knows.
    """
    import numpy as np
    from PIL import Image

    from reverie.audit.judge import package_observer
    from reverie.core.video import pick_frames, probe

    about = probe(video)
    total = about["frames"] or max(1, round(about["seconds"] * about["fps"]))
    frames = list(pick_frames(video, sorted({round(n) for n in np.linspace(0, total - 1, min(FRAMES, total))})))
    area = float(np.prod(frames[0].shape[:2]))
    votes: dict[tuple[str, str], float] = defaultdict(float)
    sure: dict[tuple[str, str], list[float]] = defaultdict(list)
    shown: dict[tuple[str, str], tuple[float, np.ndarray, tuple]] = {}  # where each is seen best: weight, frame, box
    for frame, found in zip(frames, package_observer().detect(np.stack(frames), threshold=SURE), strict=True):
        for one in found:
            x0, y0, x1, y1 = one.box
            weight, name = one.confidence * ((x1 - x0) * (y1 - y0) / area) ** 0.5, (one.kind, one.colour)
            votes[name] += weight
            sure[name].append(one.confidence)
            if weight > shown.get(name, (0.0,))[0]:
                shown[name] = weight, frame, one.box
    if not votes:
        raise ReverieError("no thing that the observer knows was seen in its video")
    best = max(votes, key=lambda name: votes[name])
    _, frame, (x0, y0, x1, y1) = shown[best]
    x, y = AROUND * (x1 - x0), AROUND * (y1 - y0)
    left, top, right, bottom = np.array([x0 - x, y0 - y, x1 + x, y1 + y]).round().clip(min=0)
    Image.fromarray(frame[int(top) : int(bottom), int(left) : int(right)]).save(folder / CUT, quality=90)
    return {"kind": best[0], "colour": best[1], "confidence": round(float(np.mean(sure[best])), 3)}


def name_things(store: Store, tenant: str, given: Sequence[str]) -> tuple[list[str], list[str]]:
    """Texts with each character's name as what it is, and a note for each name that was found.

    Raises BadInput for the name of one that could not be recognised.
    """
    texts, notes, seen = list(given), [], set()
    for job in store.named(tenant, "character"):
        name = job.spec["name"]
        if name.lower() in seen:  # an older one of the same name
            continue
        seen.add(name.lower())
        pattern = re.compile(rf"(?<!\w)(?:@{re.escape(name)}|{_plain(name)})(?!\w)", re.IGNORECASE)
        if not any(pattern.search(text) for text in texts):
            continue
        if job.status != "completed":
            raise BadInput(f"the character {name} is not known: {job.error or 'its video was not looked at yet'}")
        thing = f"{job.facts['colour']} {job.facts['kind']}"
        article = "an" if thing[0] in "aeiou" else "a"
        texts = [_replaced(pattern, text, f"{article} {thing}", f"the {thing}") for text in texts]
        notes.append(f"{name} is read as {article} {thing}")
    return texts, notes


def mentioned(texts: Sequence[str]) -> set[str]:
    """The words that stand behind an @, in lower case."""
    return {match.lower() for text in texts for match in re.findall(r"(?<!\w)@([^\W_][\w\-]*)", text)}


def character_object(job: Job) -> dict:
    """A character as the API shows it."""
    seen = job.status == "completed"
    return {"id": job.id, "object": "character", "name": job.spec["name"], "created_at": int(job.created),
            "status": job.status, "kind": job.facts.get("kind"), "colour": job.facts.get("colour"),
            "description": f"{job.facts['colour']} {job.facts['kind']}" if seen else None,
            "picture": f"/v1/videos/characters/{job.id}/content" if seen else None,
            "error": {"code": job.code, "message": job.error} if job.status == "failed" else None}


def _plain(name: str) -> str:
    """The name without its @, as it was written: a capital letter keeps "Rex" apart from other words."""
    return f"(?-i:{re.escape(name)})"


def _replaced(pattern: re.Pattern, text: str, first: str, again: str) -> str:
    count = 0

    def say(match: re.Match) -> str:
        nonlocal count
        count += 1
        return first if count == 1 else again

    return pattern.sub(say, text)
