"""One clip as the members of a tar sample, and back: what a shard's bytes mean.

A clip's members, in this order, are

    KEY.npz             arrays: truth, actions, times, camera poses, sound (compressed)
    KEY.CAMERA.jpgs     that camera's frames: JPEG, quality 95, 4:4:4, packed
    KEY.CAMERA.masks    that camera's truth masks: one zlib stream a frame, packed
    KEY.json            everything else: fps, script, captions, things' names, events, provenance

"Packed" is a uint32 count n, n + 1 uint64 offsets (from the first byte after the table), n uint32
CRC-32s, all little endian, then the frames' bytes: so frames start..stop are one short read. Only
Pillow is needed to read it. Same clip, same bytes: no clock and no user name gets in.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from reverie.core.camera import CameraPath
from reverie.core.clip import Channel, Clip, Event, Line, Truth
from reverie.core.errors import BadData, BadInput

FORMAT = 2
_OVER_TIME = ("exists", "position", "rotation", "velocity", "phase")  # arrays of Truth that start with T


@dataclass
class Sample:
    """One clip on its way to or from a shard.

    key: unique in its shard, without a dot or slash. provenance: plain values (world, seed, index,
    plan_seconds, split, ...). captions: variants as plain dictionaries {"language", "long",
    "held_out", "lines": [{"start", "text", "order", "template"}]}.
    """

    key: str
    clip: Clip
    provenance: dict = field(default_factory=dict)
    captions: list[dict] = field(default_factory=list)


def _pack(blobs: list[bytes]) -> bytes:
    offsets = np.zeros(len(blobs) + 1, "<u8")
    offsets[1:] = np.cumsum([len(blob) for blob in blobs])
    checks = np.array([zlib.crc32(blob) for blob in blobs], "<u4")
    head = np.array([len(blobs)], "<u4")
    return b"".join([head.tobytes(), offsets.tobytes(), checks.tobytes(), *blobs])


def _jpeg(frame: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=95, subsampling=0)
    return out.getvalue()


def _things_meta(truth: Truth) -> dict:
    return {
        **({"source": truth.source} if truth.source != "simulated" else {}),  # absent: simulated
        "setting": truth.setting, "kinds": list(truth.kinds), "colours": list(truth.colours),
        **({"ego": int(truth.ego)} if truth.ego >= 0 else {}),  # absent: nobody
        "sizes": list(truth.sizes), "materials": list(truth.materials),
        "events": [asdict(event) for event in truth.events], "beats": [float(beat) for beat in truth.beats],
    }


def encode(sample: Sample) -> dict[str, bytes]:
    """A sample as its tar members: suffix ("json", "npz", "front.jpgs", ...) -> bytes.

    Raises BadInput for a key or camera name that the layout cannot hold.
    """
    clip, truth = sample.clip, sample.clip.truth
    cameras = list(dict.fromkeys([*clip.views, *clip.cameras]))
    for name in [sample.key, *cameras]:
        if not name or set(name) & set("./\\"):
            raise BadInput(f"a shard cannot hold the key or camera name {name!r}: leave out dots and slashes")
    arrays: dict[str, np.ndarray] = {}
    if clip.actions is not None:
        arrays["actions"] = np.asarray(clip.actions, np.float32)
    if clip.times is not None:
        arrays["times"] = np.asarray(clip.times, np.float64)
    if clip.sound is not None:
        arrays["sound"] = np.asarray(clip.sound, np.float32)
    for name, path in clip.cameras.items():
        arrays[f"camera.{name}.position"] = np.asarray(path.position, np.float32)
        arrays[f"camera.{name}.rotation"] = np.asarray(path.rotation, np.float32)
    if truth is not None:
        arrays["look"] = np.asarray(truth.look, np.float32)
        arrays["extent"] = np.asarray(truth.extent, np.float32)
        arrays["contacts"] = np.asarray(truth.contacts, np.int32).reshape(-1, 3)
        arrays["exists"] = np.asarray(truth.exists, bool)
        for name in _OVER_TIME[1:]:
            arrays[name] = np.asarray(getattr(truth, name), np.float32)
        if truth.lane is not None:
            arrays["lane"] = np.asarray(truth.lane, np.int16)
        for name, boxes in truth.boxes.items():
            arrays[f"boxes.{name}"] = np.asarray(boxes, np.float32)
        for name, visible in truth.visible.items():
            arrays[f"visible.{name}"] = np.asarray(visible, np.float32)
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    members = {"npz": packed.getvalue()}
    for name, frames in clip.views.items():
        members[f"{name}.jpgs"] = _pack([_jpeg(frame) for frame in frames])
    for name, masks in (truth.masks if truth is not None else {}).items():
        members[f"{name}.masks"] = _pack([zlib.compress(mask.astype(np.uint8).tobytes()) for mask in masks])
    size = next(iter(clip.views.values())).shape[1:3] if clip.views else None
    meta = {
        "format": FORMAT, "key": sample.key, "fps": float(clip.fps), "frames": int(clip.frames),
        "size": list(size) if size else None, "drawn": bool(clip.views),
        "cameras": {name: float(path.fovy) for name, path in clip.cameras.items()},
        "action_names": list(clip.action_names),
        **({"channels": [asdict(channel) for channel in clip.channels]} if clip.channels else {}),  # absent: simulated
        "sound_rate": int(clip.sound_rate),
        "script": [asdict(line) for line in clip.script],
        "truth": _things_meta(truth) if truth is not None else None,
        "provenance": sample.provenance, "captions": sample.captions,
        "members": {suffix: {"size": len(data), "crc32": zlib.crc32(data)}
                    for suffix, data in members.items()},
    }
    members["json"] = json.dumps(meta, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()
    return members


def _plain(value):
    """JSON for the NumPy scalars and arrays that a scene may leave in its metadata."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"cannot store {type(value).__name__} in a shard's metadata")


class Reader:
    """Reads one sample of a shard, given where its members lie (suffix -> [offset, size] in bytes).

    Opens the file for each read, so that it is safe between threads and processes. Whatever is
    damaged raises BadData naming file and key.
    """

    def __init__(self, path: Path | str, key: str, places: dict[str, list[int]]):
        self.path, self.key, self.places = Path(path), key, places

    def fail(self, why: str) -> BadData:
        return BadData(f"damaged shard {self.path}: {self.key} {why}; delete the shard and make it again")

    def bytes(self, suffix: str, start: int = 0, size: int | None = None) -> bytes:
        if suffix not in self.places:
            raise self.fail(f"has no {suffix}")
        offset, total = self.places[suffix]
        size = total - start if size is None else size
        try:
            with open(self.path, "rb") as file:
                file.seek(offset + start)
                data = file.read(size) if start + size <= total else b""
        except OSError as error:
            raise self.fail(f"cannot be read ({error.strerror or error})") from error
        if len(data) != size:
            raise self.fail(f"is cut off in {suffix}")
        return data

    def meta(self) -> dict:
        try:
            meta = json.loads(self.bytes("json"))
            version = meta["format"]
        except (ValueError, TypeError, KeyError) as error:
            raise self.fail("has unreadable metadata") from error
        if version != FORMAT:
            raise BadData(f"shard {self.path} has format {version}, not {FORMAT}: make it again")
        return meta

    def packed(self, suffix: str, start: int, stop: int) -> list[bytes]:
        count = int(np.frombuffer(self.bytes(suffix, 0, 4), "<u4")[0])
        if not 0 <= start <= stop <= count or 4 + 12 * count + 8 > self.places[suffix][1]:
            raise self.fail(f"has {count} frames in {suffix}, asked for {start}..{stop}")
        table = self.bytes(suffix, 4, 12 * count + 8)
        offsets = np.frombuffer(table, "<u8", count + 1).astype(np.int64)[start:stop + 1]
        checks = np.frombuffer(table, "<u4", count, 8 * (count + 1))[start:stop]
        if (np.diff(offsets) < 0).any() or offsets[-1] > self.places[suffix][1]:
            raise self.fail(f"has a broken table in {suffix}")
        data = self.bytes(suffix, 4 + len(table) + int(offsets[0]), int(offsets[-1] - offsets[0]))
        blobs = [data[a - offsets[0]:b - offsets[0]] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
        for number, (blob, check) in enumerate(zip(blobs, checks, strict=True), start):
            if zlib.crc32(blob) != check:
                raise self.fail(f"is damaged in {suffix}, frame {number}")
        return blobs

    def arrays(self, check: int) -> dict[str, np.ndarray]:
        data = self.bytes("npz")
        if zlib.crc32(data) != check:  # a zip's own sums leave its headers out
            raise self.fail("is damaged in npz")
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise self.fail("has unreadable arrays") from error

    def clip(self, start: int, stop: int | None, views: bool, masks: bool) -> Clip:
        meta = self.meta()
        frames = meta["frames"]
        stop = frames if stop is None else stop
        if not 0 <= start < stop <= frames:
            raise BadInput(f"{self.key} has frames 0..{frames}, asked for {start}..{stop}")
        arrays, size = self.arrays(meta["members"]["npz"]["crc32"]), meta["size"]
        try:
            clip = _undrawn(meta, arrays, start, stop)
        except (KeyError, TypeError) as error:
            raise self.fail(f"lacks {error}") from error
        for suffix in self.places:
            name, _, what = suffix.partition(".")
            if views and what == "jpgs":
                blobs = self.packed(suffix, start, stop)
                clip.views[name] = np.stack([np.asarray(Image.open(io.BytesIO(blob))) for blob in blobs])
            elif masks and what == "masks" and clip.truth is not None:
                flat = b"".join(zlib.decompress(blob) for blob in self.packed(suffix, start, stop))
                clip.truth.masks[name] = np.frombuffer(flat, np.uint8).reshape(stop - start, *size).copy()
        if views and meta["drawn"] and not clip.views:
            raise self.fail("has lost its frames")
        return clip


def _undrawn(meta: dict, arrays: dict[str, np.ndarray], start: int, stop: int) -> Clip:
    """The clip without its pictures, frames start..stop, with all times counted from frame start."""
    fps, times = meta["fps"], arrays.get("times")  # absent: exactly at fps
    shift, end = (start / fps, stop / fps) if times is None else (float(times[start]), float(times[stop - 1]) + 1 / fps)
    lines = meta["script"] or (meta["captions"][0]["lines"] if meta["captions"] else [])
    script = [Line(line["start"], line["text"]) for line in lines]
    clip = Clip(fps, _cut_script(script, shift, end - shift))
    clip.action_names = tuple(meta["action_names"])
    clip.channels = tuple(Channel(**channel) for channel in meta.get("channels", ()))
    if times is not None:
        clip.times = times[start:stop] - shift
    if "actions" in arrays:
        clip.actions = arrays["actions"][start:stop]
    if "sound" in arrays:
        clip.sound_rate = rate = meta["sound_rate"]
        clip.sound = arrays["sound"][round(shift * rate):round(end * rate)]
    for name, fovy in meta["cameras"].items():
        clip.cameras[name] = CameraPath(arrays[f"camera.{name}.position"][start:stop],
                                        arrays[f"camera.{name}.rotation"][start:stop], fovy)
    if meta["truth"] is None:
        return clip
    known, contacts = meta["truth"], arrays["contacts"]
    within = (contacts[:, 0] >= start) & (contacts[:, 0] < stop)
    contacts = contacts[within] - np.array([start, 0, 0], np.int32)
    events = [Event(**{**event, "start": event["start"] - shift, "end": event["end"] - shift})
              for event in known["events"]]
    seconds = (stop - start) / fps
    clip.truth = Truth(
        known["setting"], known["kinds"], known["colours"], known["sizes"], known["materials"],
        arrays["extent"], *(arrays[name][start:stop] for name in _OVER_TIME), contacts,
        [event for event in events if event.end >= 0 and event.start < seconds],
        [0.0] + [beat - shift for beat in known["beats"] if 0 < beat - shift < seconds],
        {name[6:]: value[start:stop] for name, value in arrays.items() if name.startswith("boxes.")},
        {name[8:]: value[start:stop] for name, value in arrays.items() if name.startswith("visible.")},
        look=arrays["look"], source=known.get("source", "simulated"), ego=known.get("ego", -1),
        lane=arrays["lane"][start:stop] if "lane" in arrays else None)
    return clip


def _cut_script(lines: list[Line], shift: float, seconds: float) -> list[Line]:
    """The lines that hold within ``seconds`` from ``shift`` on; the one running at shift starts at 0."""
    kept = []
    for number, line in enumerate(lines):
        until = lines[number + 1].start if number + 1 < len(lines) else float("inf")
        if until > shift and line.start < shift + seconds:
            kept.append(Line(max(line.start - shift, 0.0), line.text))
    return kept
