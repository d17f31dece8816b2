"""What an audit found, for readers: as JSON, as plain text, and as one page that plays the video and needs no network.

The page is page/report.html with page/report.css, page/report.js, the verdict as JSON and a small copy of the video
put into it, so that one file can be sent to anyone. What a person reads in it stands in the HTML itself; the script
adds what moves. Every string from outside is escaped, and the page's own policy forbids it to load anything.
"""

from __future__ import annotations

import base64
import html
import json
import math
import re
import tempfile
from collections import Counter
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from reverie import __version__
from reverie.audit.findings import LAWS, Track, Verdict, Violation
from reverie.core.errors import CannotWrite
from reverie.core.files import check_output, reason, require_space, writing
from reverie.core.progress import track as progress_of
from reverie.core.runtime import commit
from reverie.core.video import VideoWriter, probe, stream_video

MAX_VIDEO = 20_000_000  # bytes of video in a page
QUALITIES = ((480, 26), (240, 31))  # short side at most, x264's crf: the second where the first comes out too large
BEFORE = 0.4  # seconds before a violation to which a click jumps
HELD = 0.7  # seconds that a violation is shown for, at least
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300)  # seconds between marks of a time axis
ENDS = {"clip": ("the clip begins", "the clip ends"), "border": ("came into the picture", "left the picture"),
        "hidden": ("came from behind something", "went behind something"),
        "sight": ("was suddenly there", "was suddenly gone")}


# ---------------------------------------------------------------- as JSON


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The whole verdict, JSON-ready: the keys below are a contract; what is not finite is None.

    Times are seconds, boxes x0 y0 x1 y1 in pixels of ``size`` (WIDTHxHEIGHT, as looked at) to a tenth; a track's
    ``frames``, ``boxes`` and ``confidences`` have one entry for each frame in which it was seen.
    """
    fps, known = verdict.fps, np.asarray(verdict.motion.known)
    named = {track.number: track.name for track in verdict.tracks}
    found: dict[str, Any] = {
        "source": _clean(verdict.source), "fps": _rounded(fps, 4), "frames": int(verdict.frames),
        "seconds": _rounded(verdict.seconds, 3), "size": f"{verdict.size[1]}x{verdict.size[0]}",
        "verdict": "violations" if verdict.violations else "clean" if verdict.tracks else "cannot judge",
        "sentence": sentence(verdict), "per_minute": _per_minute(len(verdict.violations), verdict.seconds),
        "counts": {law: 0 for law in LAWS} | dict(Counter(v.law for v in verdict.violations)),
        "violations": [{
            "law": v.law, "what": _clean(v.what), "track": int(v.track), "name": named.get(v.track, ""),
            "other": None if v.other is None else int(v.other), "start": _rounded(v.start, 3),
            "end": _rounded(v.end, 3), "amount": _rounded(v.amount, 4), "limit": _rounded(v.limit, 4),
            "unit": _clean(v.unit), "text": _said(v, named), "box": [_rounded(x, 1) for x in v.box],
        } for v in verdict.violations],
        "tracks": [{
            "number": int(t.number), "name": t.name, "kind": t.kind, "colour": t.colour,
            "first": _rounded(t.first / fps, 3), "last": _rounded(t.last / fps, 3), "began": t.began, "ended": t.ended,
            "seen": _rounded(len(t.frames) / (t.last - t.first + 1), 3),
            "confidence": _rounded(np.mean(t.confidence), 3), "frames": [int(n) for n in t.frames],
            "boxes": [[_rounded(x, 1) for x in box] for box in np.asarray(t.boxes).tolist()],
            "confidences": [_rounded(x, 2) for x in np.asarray(t.confidence).tolist()],
        } for t in verdict.tracks if len(t.frames)],
        "camera": {"moves": _clean(verdict.motion.moves), "cuts": [_rounded(n / fps, 3) for n in verdict.motion.cuts],
                   "known": _rounded(known.mean(), 3) if known.size else None},
        "prompt": [{"name": a.name, "asked": _clean(a.asked), "found": _clean(a.found),
                    "score": None if a.score is None else _rounded(a.score, 3)} for a in verdict.aspects],
        "unjudged": [_clean(line) for line in verdict.unjudged],
    }
    return found


def _rounded(value: Any, digits: int) -> float | None:
    value = float(value)
    return round(value, digits) if math.isfinite(value) else None


def _clean(text: str) -> str:
    """Valid Unicode in one line, whatever was in a file's name."""
    return " ".join(str(text).encode("utf-8", "replace").decode().split())


def _per_minute(count: int, seconds: float) -> float | None:
    return round(60 * count / seconds, 1) if seconds > 0 else None


# ---------------------------------------------------------------- in words


def sentence(verdict: Verdict) -> str:
    """The verdict in one plain sentence."""
    count, length = len(verdict.violations), f"{verdict.seconds:.1f} s"
    followed = _count(len(verdict.tracks), "thing was", "things were") + " followed"
    if count:
        laws = Counter(v.law for v in verdict.violations)
        each = ", ".join(f"{laws[law]} of {law}" for law in [*LAWS, *(set(laws) - set(LAWS))] if law in laws)
        return (f"{_count(count, 'violation', 'violations')} in {length} "
                f"({_per_minute(count, verdict.seconds)} a minute): {each}; {followed}.")
    if not verdict.tracks:
        return f"Cannot judge: in {length} nothing was seen that could be followed."
    return f"No violation was found in {length}; {followed}."


def verdict_text(verdict: Verdict) -> str:
    """The verdict as plain lines: the sentence, the violations by time, the prompt's aspects, what can't be judged."""
    named = {track.number: track.name for track in verdict.tracks}
    lines = [f"{_clean(verdict.source)}: {sentence(verdict)}"]
    for v in sorted(verdict.violations, key=lambda v: v.start):
        measured = _measured(v)
        lines.append(f"  at {v.start:.2f} s  {_said(v, named)} ({v.law}{': ' + measured if measured else ''})")
    lines.append(f"camera: {_clean(verdict.motion.moves) or 'its motion can' + chr(39) + 't be told'}")
    if verdict.aspects:
        lines.append("of the prompt:")
        lines += [f"  {a.name:<8} {'  ?  ' if a.score is None else format(a.score, '5.2f')}  {_clean(a.asked)}"
                  + (f"  (found: {_clean(a.found)})" if a.found else "") for a in verdict.aspects]
    if verdict.unjudged:
        lines += ["can't be judged:", *(f"  {_clean(line)}" for line in verdict.unjudged)]
    return "\n".join(lines)


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _said(v: Violation, named: dict[int, str]) -> str:
    return _clean(v.text) or f"the {named.get(v.track, f'thing {v.track}')} {_clean(v.what)}"


def _measured(v: Violation) -> str:
    """How much of it, beside what truth keeps; "" where there is no number."""
    if not math.isfinite(v.amount):
        return ""
    unit = f" {_clean(v.unit)}" if v.unit else ""
    limit = f", truth keeps to {v.limit:.3g}" if math.isfinite(v.limit) else ""
    return f"{v.amount:.3g}{unit}{limit}"


# ---------------------------------------------------------------- as a page


def write_report(verdict: Verdict, video: str | Path, out: str | Path, *, quiet: bool = True) -> Path:
    """Write the verdict and its video as one HTML file; memory stays flat with the video's length.

    video: the file that was judged. out: ends in .html. quiet: no progress bar. A video that can't be made to fit
    MAX_VIDEO is cut, and the page says so. Raises BadInput for another ending, BadMedia, CannotWrite; an older file
    stays until the new one is whole.
    """
    out = check_output(out, ".html")
    require_space(out.parent, 4 * MAX_VIDEO)
    try:
        pictures, seconds = _small_video(verdict, video, out.parent, quiet)
    except (CannotWrite, OSError) as error:  # which speak of a file that nobody knows
        raise CannotWrite(f"cannot write {out}: {reason(error.__cause__ or error)}") from error
    about = probe(video)
    found = verdict_json(verdict)
    found["source"] = Path(found["source"]).name  # a report is sent to others, whom the folders do not concern
    cut = seconds < verdict.seconds - 0.5 / verdict.fps
    height, width = verdict.size
    page = {
        "title": html.escape(f"Physics audit of {found['source']}"),
        "source": html.escape(found["source"]), "state": found["verdict"].replace(" ", "-"),
        "sentence": html.escape(found["sentence"]), "laws": _laws(found), "shape": f"{width / height:.4f}",
        "cut": f"<p class=note>Only the first {seconds:.1f} s of {verdict.seconds:.1f} s are in this file, to keep it "
               "small; what follows is listed, but can't be played here.</p>" if cut else "",
        "list": _list(verdict), "lanes": _lanes(verdict), "rows": _rows(verdict), "ticks": _ticks(verdict.seconds),
        "prompt": _prompt(found), "camera": _camera(verdict, found), "unjudged": _unjudged(found),
        "things": _things(verdict), "provenance": _provenance(verdict, found, about, video),
        "css": _part("report.css"), "js": _part("report.js"),
        "data": _script({**found, "width": width, "height": height, "shown": round(seconds, 3), "before": BEFORE,
                         "held": HELD}),
        "video": base64.b64encode(pictures).decode(),
    }
    whole = re.sub(r"\{\{(\w+)\}\}", lambda match: page[match[1]], _part("report.html"))
    with writing(out) as file:
        file.write(whole)
    return out


def shown_size(size: tuple[int, int], frame: tuple[int, int], most: int) -> tuple[int, int]:
    """(H, W), even, of the shape of ``size``, as large as ``frame`` (H, W), the short side at most ``most``."""
    scale = min(most, *frame) / min(size)
    height, width = (max(16, 2 * round(side * scale / 2)) for side in size)
    return height, width


def _small_video(verdict: Verdict, video: str | Path, folder: Path, quiet: bool) -> tuple[bytes, float]:
    """The video as a small MP4, and how many seconds of it."""
    frame = next(stream_video(video))
    with tempfile.TemporaryDirectory(prefix=".reverie-", dir=folder) as room:
        for most, crf in QUALITIES:
            last = (most, crf) == QUALITIES[-1]
            size = shown_size(verdict.size, frame.shape[:2], most)
            path = Path(room) / f"{crf}.mp4"
            fits = True
            pictures = islice(stream_video(video, fps=verdict.fps, size=size), verdict.frames)
            with (VideoWriter(path, fps=verdict.fps, size=size, crf=crf) as writer,
                  progress_of(verdict.frames, "frames for the page", quiet=quiet) as progress):
                for number, picture in enumerate(pictures, 1):
                    writer.write(picture[None])
                    progress.advance()
                    if number % 48 == 0:
                        made = sum(part.stat().st_size for part in Path(room).glob(f"{crf}.*"))
                        hopeless = number > verdict.frames / 8 and made * verdict.frames / number > 1.5 * MAX_VIDEO
                        if made > MAX_VIDEO or hopeless and not last:
                            fits = False
                            break
            if fits or last:
                break
        return path.read_bytes(), writer.frames / verdict.fps


def _part(name: str) -> str:
    return (files("reverie.audit") / "page" / name).read_text(encoding="utf-8")


def _script(value: dict[str, Any]) -> str:
    """JSON that can stand inside a script element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _jump(v: Violation) -> str:
    return f'data-jump="{max(0.0, v.start - BEFORE):.3f}" data-at="{v.start:.3f}"'


def _share(when: float, seconds: float) -> float:
    """A time as percent of the whole."""
    return round(100 * min(max(when / seconds, 0.0), 1.0), 3) if seconds > 0 else 0.0


def _laws(found: dict[str, Any]) -> str:
    cells, tried = [], found["verdict"] != "cannot judge"
    for law, count in found["counts"].items():
        rate = f"{_per_minute(count, found['seconds'] or 0.0)} a minute" if count else "none" if tried else "not tried"
        cells.append(f'<li class="{"broken" if count else "kept"}" title="{html.escape(LAWS.get(law, ""))}">'
                     f"<b>{count if tried else '–'}</b> <span>{html.escape(law)}</span> <small>{rate}</small></li>")
    return "".join(cells)


def _list(verdict: Verdict) -> str:
    if not verdict.violations:
        why = "Nothing was seen to break these:" if verdict.tracks else "Nothing could be followed to hold to these:"
        rules = "".join(f"<dt>{law}</dt><dd>{html.escape(rule)}</dd>" for law, rule in LAWS.items())
        return f"<h2>What was looked for</h2><p class=none>{why}</p><dl>{rules}</dl>"
    named, rows = {track.number: track.name for track in verdict.tracks}, []
    for v in sorted(verdict.violations, key=lambda v: v.start):
        measured = _measured(v)
        rows.append(f"<li><button class=crime {_jump(v)}><time>{v.start:.2f} s</time>"
                    f"<span>{html.escape(_said(v, named))}<small>{html.escape(v.law)} · no. {int(v.track)}"
                    f"{' · ' + html.escape(measured) if measured else ''}</small></span></button></li>")
    return f"<h2>What went wrong</h2><ol>{''.join(rows)}</ol>"


def _lanes(verdict: Verdict) -> str:
    """The timeline: a lane for each law, a mark for each violation."""
    named, lanes = {track.number: track.name for track in verdict.tracks}, []
    for law in [*LAWS, *sorted({v.law for v in verdict.violations} - set(LAWS))]:
        marks = "".join(
            f'<button class=mark style="--a:{_share(v.start, verdict.seconds)};--b:{_share(v.end, verdict.seconds)}" '
            f'{_jump(v)} title="{html.escape(f"{v.start:.2f} s: {_said(v, named)}")}"></button>'
            for v in verdict.violations if v.law == law)
        lanes.append(f'<div class="row{"" if marks else " idle"}"><span class=label title="'
                     f'{html.escape(LAWS.get(law, ""))}">{html.escape(law)}</span><div class=lane>{marks}</div></div>')
    return "".join(lanes)


def _rows(verdict: Verdict) -> str:
    """When each thing was there: a bar from its first to its last frame, full where it was seen."""
    rows = []
    for t in verdict.tracks:
        if not len(t.frames):
            continue
        first, last = t.first / verdict.fps, (t.last + 1) / verdict.fps
        begin, end = ENDS.get(t.began, ("?", "?"))[0], ENDS.get(t.ended, ("?", "?"))[1]
        title = html.escape(f"{t.number} {t.name}: {first:.2f} s ({begin}) to {last:.2f} s ({end})")
        near, far = _share(first, verdict.seconds), _share(last, verdict.seconds)
        rows.append(
            f'<div class=row><button class=label data-thing="{int(t.number)}" title="{title}"><i data-tint='
            f'"{int(t.number)}"></i>{int(t.number)} {html.escape(t.name)}</button><div class=lane title="{title}">'
            f'<svg viewBox="0 0 1000 10" preserveAspectRatio=none data-tint="{int(t.number)}"><path class=span '
            f'd="M{near * 10:.1f} 4H{far * 10:.1f}V6H{near * 10:.1f}Z"/><path d="{_runs(t, verdict)}"/></svg>'
            f'<i class="end {html.escape(t.began)}" style="--a:{near}"></i>'
            f'<i class="end {html.escape(t.ended)} last" style="--a:{far}"></i></div></div>')
    return "".join(rows) or "<p class=none>No thing was followed.</p>"


def _runs(t: Track, verdict: Verdict) -> str:
    """SVG of the stretches in which a thing was seen, in thousandths of the clip; gaps too short to show are closed."""
    frames = np.asarray(t.frames)
    breaks = np.flatnonzero(np.diff(frames) > max(1, verdict.frames / 600))
    starts, stops = frames[np.r_[0, breaks + 1]], frames[np.r_[breaks, len(frames) - 1]] + 1
    scale = 1000 / max(verdict.frames, 1)
    return "".join(f"M{a * scale:.1f} 1H{b * scale:.1f}V9H{a * scale:.1f}Z"
                   for a, b in zip(starts, stops, strict=True))


def _ticks(seconds: float) -> str:
    step = next((step for step in TICKS if seconds / step <= 8), TICKS[-1])
    return "".join(f'<span style="--a:{_share(n * step, seconds)}"{" class=far" if n * step > 0.96 * seconds else ""}>'
                   f"{n * step:g} s</span>"
                   for n in range(int(seconds / step + 1e-6) + 1))


def _prompt(found: dict[str, Any]) -> str:
    if not found["prompt"]:
        return ""
    rows = []
    for aspect in found["prompt"]:
        score = aspect["score"]
        meter = ("can't be judged" if score is None else
                 f'<meter min=0 max=1 low=0.5 high=0.8 optimum=1 value="{score}"></meter> {score:.2f}')
        rows.append(f"<tr><td>{html.escape(aspect['name'])}</td><td>{html.escape(aspect['asked'])}</td>"
                    f"<td class=score>{meter}</td><td>{html.escape(aspect['found'])}</td></tr>")
    return ("<section class=card><h2>What the prompt asked for</h2><div class=wide><table><thead><tr><th>aspect</th>"
            f"<th>asked</th><th>score</th><th>found</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
            "</section>")


def _camera(verdict: Verdict, found: dict[str, Any]) -> str:
    camera = found["camera"]
    moves = html.escape(camera["moves"]) or "can't be told"
    cuts = ", ".join(f'<button class=link data-jump="{max(0.0, when - BEFORE):.3f}">{when:.2f} s</button>'
                     for when in camera["cuts"]) or "none"
    known = "" if camera["known"] is None else f"<dt>known in</dt><dd>{camera['known']:.0%} of the frames</dd>"
    return f"<dl><dt>motion</dt><dd>{moves}</dd>{known}<dt>cuts</dt><dd>{cuts}</dd></dl>"


def _unjudged(found: dict[str, Any]) -> str:
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in found["unjudged"])
    return f"<ul>{lines}</ul>" if lines else "<p class=none>Nothing was noted.</p>"


def _things(verdict: Verdict) -> str:
    """One folded entry for each thing, the guilty first, into which the script draws its plots."""
    guilty = Counter(number for v in verdict.violations for number in {v.track, v.other} if number is not None)
    unfolded = {number for number, _ in guilty.most_common(3)} or {t.number for t in verdict.tracks[:1]}
    entries = []
    for t in sorted((t for t in verdict.tracks if len(t.frames)), key=lambda t: (-guilty[t.number], t.number)):
        crimes = f"<em>{_count(guilty[t.number], 'violation', 'violations')}</em>" if guilty[t.number] else ""
        entries.append(
            f'<details data-track="{int(t.number)}"{" open" if t.number in unfolded else ""}><summary><i data-tint='
            f'"{int(t.number)}"></i><b>{int(t.number)} {html.escape(t.name)}</b><span>{t.first / verdict.fps:.2f} to '
            f"{(t.last + 1) / verdict.fps:.2f} s</span><span>confidence {np.mean(t.confidence):.2f}</span>{crimes}"
            "</summary><div class=plots></div></details>")
    more = f"<details><summary><b>{len(entries) - 20} more</b></summary>{''.join(entries[20:])}</details>"
    return "".join(entries[:20]) + (more if entries[20:] else "") or "<p class=none>No thing was followed.</p>"


def _provenance(verdict: Verdict, found: dict[str, Any], about: dict[str, Any], video: str | Path) -> str:
    code, length = commit(), Path(video).stat().st_size
    rows = {
        "file": f"{found['source']}, " + (f"{length / 1e6:.1f} MB" if length > 1e6 else f"{length / 1e3:.0f} kB"),
        "video": f"{about['codec']}, {about['width']}x{about['height']}, {about['fps']:.4g} fps",
        "looked at": f"{verdict.frames} frames of {found['size']} at {verdict.fps:.4g} fps, {verdict.seconds:.2f} s",
        "made by": _clean(about["metadata"].get("made_by") or ""),
        "audited by": f"reverie {__version__} {code}".strip(),
    }
    return "".join(f"<dt>{key}</dt><dd>{html.escape(value)}</dd>" for key, value in rows.items() if value)
