"""What is in a folder of shards: counts, one clip's truth in words, a contact sheet, and the check
that nothing held out stands in the training split."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from reverie.core.errors import BadInput, CannotWrite
from reverie.data.heldout import combination_held_out, template_held_out
from reverie.data.shards import ClipSet, has_truth
from reverie.data.sheet import contact_sheet, frame_boxes, spaced

_ROWS, _COLUMNS = 12, 8
_COUNTED = ("splits", "sizes", "fps", "settings", "kinds", "colours", "materials", "events", "captions", "actions")


def info(folder: Path | str, key: str | None = None, sheet: Path | str | None = None) -> dict:
    """What is in a folder of shards (or in one shard), as plain values.

    Counts: clips, drawn, things_only, frames, hours, hours_drawn, things, things_seen (those of
    them that are seen, not truth), and by name: splits, sizes, fps, settings, kinds, colours,
    materials, events, captions (languages), actions (recorded channels). digest: the data's hash.
    damaged: a line for each shard left out. held_out: a line for each breach of the held-out rule
    (``check_held_out``). With ``key``, "clip": that clip's metadata, and "text": the same in words.
    With ``sheet``, a PNG is written there: 12 drawn clips spread over the folder, or the clip
    ``key`` with its things' boxes.
    Raises BadData (no or only damaged shards), BadInput (no such key, nothing drawn), CannotWrite.
    """
    clips = ClipSet(folder, skip_damaged=True)
    counts: dict[str, Counter] = {name: Counter() for name in _COUNTED}
    drawn, frames, hours, hours_drawn, seen, breaches = [], 0, 0.0, 0.0, 0, []
    for i in range(len(clips)):
        meta = clips.meta(i)
        length = meta["frames"] / meta["fps"] / 3600
        frames, hours = frames + meta["frames"], hours + length
        if meta["drawn"]:
            drawn.append(i)
            hours_drawn += length
            counts["sizes"]["x".join(map(str, reversed(meta["size"])))] += 1
        counts["splits"][meta["provenance"].get("split", "unknown")] += 1
        counts["fps"][f"{meta['fps']:g}"] += 1
        counts["actions"].update(channel["name"] for channel in meta.get("channels", ()))
        counts["captions"].update(variant["language"] for variant in meta["captions"])
        if known := meta["truth"]:
            counts["settings"].update(filter(None, [known["setting"]]))  # "" where nobody knows
            counts["events"].update(event["kind"] for event in known["events"])
            for name in ("kinds", "colours", "materials"):
                counts[name].update(filter(None, known[name]))
            seen += 0 if has_truth(meta) else len(known["kinds"])
        breaches += _breaches(meta)
    result = {
        "folder": str(folder),
        "clips": len(clips), "drawn": len(drawn), "things_only": len(clips) - len(drawn),
        "frames": frames, "hours": round(hours, 4), "hours_drawn": round(hours_drawn, 4),
        "things": counts["kinds"].total(), "things_seen": seen,
        **{name: dict(count.most_common()) for name, count in counts.items()},
        "digest": clips.digest(), "damaged": clips.damaged, "held_out": breaches,
    }
    chosen = None
    if key is not None:
        if key not in clips.keys:
            raise BadInput(f"no clip {key!r} in {folder}: keys run {clips.keys[0]} .. {clips.keys[-1]}")
        chosen = clips.keys.index(key)
        meta = clips.meta(chosen)
        result |= {"clip": {name: value for name, value in meta.items() if name != "members"},
                   "text": _in_words(meta, clips, chosen)}
    if sheet is not None:
        _write_sheet(clips, drawn, chosen, Path(sheet))
        result["sheet"] = str(sheet)
    return result


def readable(result: dict) -> str:
    """What ``info`` found, as lines for a person."""
    lines = [f"{result['folder']}: {result['clips']} clips ({result['drawn']} drawn, {result['things_only']} "
             f"things only), {result['frames']} frames, {result['hours']:.2f} h "
             f"({result['hours_drawn']:.2f} h drawn), {result['things']} things"
             + (f" ({result['things_seen']} seen, not truth)" if result["things_seen"] else "")]
    for name in _COUNTED:
        if result[name]:
            counted = ", ".join(f"{value} {count}" for value, count in result[name].items())
            lines.append(f"  {name:10} {counted}")
    lines.append(f"  digest     {result['digest']}")
    lines += [f"  left out: {line}" for line in result["damaged"]]
    if result["held_out"]:
        count, example = len(result["held_out"]), result["held_out"][0]
        lines.append(f"  {count} breaches of the held-out rule, e.g. {example}")
    if "text" in result:
        lines += ["", result["text"]]
    if "sheet" in result:
        lines.append(f"contact sheet: {result['sheet']}")
    return "\n".join(lines)


def check_held_out(clips: ClipSet) -> list[str]:
    """Every breach of the held-out rule (data.heldout) in clips of split "train", a line each.

    Looked at are colour x kind x event of each event's thing, colour x kind x "rests" of each thing
    to which nothing happens, and the templates of each caption line.
    """
    return [breach for i in range(len(clips)) for breach in _breaches(clips.meta(i))]


def combinations(meta: dict) -> Iterator[tuple[str, str, str]]:
    """All (colour, kind, event) that a clip's metadata shows; none where things were only seen."""
    if not has_truth(meta):
        return
    known, acted = meta["truth"], set()
    for event in known["events"]:
        if event["actor"] >= 0:
            acted.add(event["actor"])
            yield known["colours"][event["actor"]], known["kinds"][event["actor"]], event["kind"]
    for thing in set(range(len(known["kinds"]))) - acted:
        yield known["colours"][thing], known["kinds"][thing], "rests"


def _breaches(meta: dict) -> list[str]:
    if meta["provenance"].get("split") != "train":
        return []
    found = [f"{meta['key']}: {colour} {kind} {event}" for colour, kind, event in combinations(meta)
             if combination_held_out(colour, kind, event)]
    for variant in meta["captions"]:
        for line in variant["lines"]:
            found += [f"{meta['key']}: template {template!r}" for template in line.get("template", ())
                      if template_held_out(template)]
    return found


def _thing_names(meta: dict) -> list[str]:
    known = meta["truth"]
    return [f"{colour} {kind}" for colour, kind in zip(known["colours"], known["kinds"], strict=True)]


def _in_words(meta: dict, clips: ClipSet, i: int) -> str:
    """One clip's truth (or what was seen in it) and texts in words."""
    fps, seconds = meta["fps"], meta["frames"] / meta["fps"]
    size = "x".join(map(str, reversed(meta["size"]))) if meta["drawn"] else "things only"
    crime = meta["provenance"].get("crime")
    provenance = ", ".join(f"{name} {value}" for name, value in meta["provenance"].items() if name != "crime")
    lines = [f"{meta['key']}: {seconds:.2f} s, {meta['frames']} frames at {fps:g} fps, {size} ({provenance})"]
    if "channels" in meta:
        clip = clips.clip(i, views=False)
        steps = np.diff(clip.times)
        lines.append(f"cameras: {', '.join(name[:-5] for name in meta['members'] if name.endswith('.jpgs'))}; "
                     f"{steps.min(initial=1 / fps):.3f}..{steps.max(initial=1 / fps):.3f} s from frame to frame")
        for channel, values in zip(clip.channels, clip.actions.T, strict=True):
            lag = f", seen {channel.lag:g} s later" if channel.lag else ""
            lines.append(f"  {channel.name} ({'measured' if channel.measured else 'asked for'}, unit "
                         f"{channel.unit or 'unknown'}{lag}): {values.min():.3f}..{values.max():.3f}")
    if known := meta["truth"]:
        truth = clips.clip(i, views=False).truth
        names = _thing_names(meta)
        if has_truth(meta):
            lines.append(f"setting: {known['setting']}; script lines begin at "
                         + ", ".join(f"{beat:.2f}" for beat in known["beats"]) + " s")
        if crime:
            other = f" (then {names[crime['other']]}, thing {crime['other']})" if crime["other"] >= 0 else ""
            lines.append(f"planted: {crime['kind']} (against {crime['law']}): {names[crime['thing']]}, thing "
                         f"{crime['thing']}{other}, from {crime['time']:.2f} s (frame {crime['frame']}) on")
        lines.append("things:" if has_truth(meta) else "things: seen, not truth" + ("" if names else " (none)"))
        for n, name in enumerate(names):
            there = np.flatnonzero(truth.exists[:, n]) / fps
            span = f"there {there[0]:.2f}..{there[-1]:.2f} s" if len(there) else "never there"
            half = " x ".join(f"{2 * side:.2f}" for side in truth.extent[n])
            fastest = np.linalg.norm(truth.velocity[:, n], axis=-1).max(initial=0)
            about = ", ".join(filter(None, (known["sizes"][n], known["materials"][n], f"{half} m")))
            lines.append(f"  {n:2} {name} ({about}), {span}, up to {fastest:.1f} m/s")
        lines += ["events:"] if has_truth(meta) else []
        for event in known["events"]:
            who = names[event["actor"]] if event["actor"] >= 0 else "-"
            other = f" with {names[event['other']]}" if event["other"] >= 0 else ""
            detail = f" ({event['detail']})" if event["detail"] else ""
            when = f"{event['start']:6.2f}..{event['end']:6.2f} s"
            lines.append(f"  {when}  {event['kind']}: {who}{other}{detail}")
    for variant in meta["captions"]:
        kind = "long" if variant["long"] else "short"
        held = ", held out" if variant["held_out"] else ""
        lines.append(f"caption ({variant['language']}, {kind}{held}):")
        lines += [f"  {line['start']:6.2f} s  {line['text']}" for line in variant["lines"]]
    for line in meta["script"] if not meta["captions"] else []:
        lines.append(f"  {line['start']:6.2f} s  {line['text']}")
    return "\n".join(lines)


def _row(clips: ClipSet, i: int, boxes: bool) -> tuple[np.ndarray, str]:
    """Evenly spaced frames of one clip's first camera, and its first caption."""
    meta = clips.meta(i)
    shown = []
    for number in spaced(meta["frames"], _COLUMNS):
        clip = clips.clip(i, int(number), int(number) + 1, masks=False)
        camera, frames = next(iter(clip.views.items()))
        if boxes and clip.truth is not None and camera in clip.truth.boxes:
            frames = frame_boxes(frames, clip.truth.boxes[camera], _thing_names(meta))
        shown.append(frames)
    lines = meta["captions"][0]["lines"] if meta["captions"] else meta["script"]
    return np.concatenate(shown), f"{meta['key']}: " + " | ".join(line["text"] for line in lines)


def _write_sheet(clips: ClipSet, drawn: list[int], chosen: int | None, path: Path) -> None:
    if not drawn or (chosen is not None and chosen not in drawn):
        raise BadInput(f"no contact sheet of {clips.folder}: it has no picture of that, only things")
    picked = [chosen] if chosen is not None else [drawn[n] for n in spaced(len(drawn), _ROWS)]
    rows, texts = zip(*(_row(clips, i, chosen is not None) for i in picked), strict=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(rows, texts, _COLUMNS).save(partial, "PNG")
        os.replace(partial, path)
    except OSError as error:
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)
        raise CannotWrite(f"cannot write {path}: {error.strerror or error}") from error
