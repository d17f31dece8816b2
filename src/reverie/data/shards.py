"""Clips on disk: WebDataset-layout tar shards (one sample = one clip, see data.sample), written
atomically and read at random."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from reverie.core.clip import Clip
from reverie.core.errors import BadData, CannotWrite
from reverie.data.sample import FORMAT, Reader, Sample, encode

INDEX = ".shards-index.json"


def has_truth(meta: dict) -> bool:
    """Whether a clip's metadata hold truth that is exact: not for things that were only seen (see Clip.exact)."""
    return meta["truth"] is not None and meta["truth"].get("source", "simulated") == "simulated"


def split_of(meta: dict) -> str:
    """The split of a clip by its metadata: "train" unless it says otherwise."""
    return meta["provenance"].get("split", "train")


def write_members(path: Path | str, samples: Iterable[tuple[str, dict[str, bytes]]]) -> None:
    """Write encoded samples (key, members) as one tar, atomically. Raises CannotWrite."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
            for key, members in samples:
                for suffix, data in members.items():
                    member = tarfile.TarInfo(f"{key}.{suffix}")
                    member.size, member.mode = len(data), 0o644
                    tar.addfile(member, io.BytesIO(data))
        os.replace(partial, path)
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def write_shard(path: Path | str, samples: Iterable[Sample]) -> None:
    """Write one shard, atomically, one sample at a time (samples may be a generator).

    Raises BadInput for a key or camera name with a dot or slash, CannotWrite for the file.
    """
    write_members(path, ((sample.key, encode(sample)) for sample in samples))


def scan(path: Path | str) -> dict[str, dict[str, list[int]]]:
    """Where everything in a shard lies: key -> suffix -> [offset, size] in bytes.

    Raises BadData, naming file and key, for a shard that is cut off or not a tar, or a sample that
    is not complete.
    """
    keys: dict[str, dict[str, list[int]]] = {}
    end = 0
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                key, _, suffix = os.path.basename(member.name).partition(".")
                places = keys.setdefault(key, {})
                if suffix in places:
                    raise BadData(f"damaged shard {path}: {key}.{suffix} stands in it twice; make it again")
                places[suffix] = [member.offset_data, member.size]
                end = member.offset_data + -(-member.size // 512) * 512
        with open(path, "rb") as file:
            file.seek(end)
            closed = file.read(1024) == bytes(1024)
    except FileNotFoundError as error:
        raise BadData(f"no such shard: {path}") from error
    except (tarfile.TarError, OSError, EOFError) as error:
        where = f" after {list(keys)[-1]}" if keys else ""
        raise BadData(f"damaged shard {path}{where}: {error}; delete it and make it again") from error
    if not closed:
        where = f" in or after {list(keys)[-1]}" if keys else ""
        raise BadData(f"damaged shard {path}: cut off{where}; delete it and make it again")
    for key, places in keys.items():
        if "json" not in places or "npz" not in places:
            raise BadData(f"damaged shard {path}: {key} is not complete; delete it and make it again")
    return keys


def read_shard(path: Path | str) -> list[Sample]:
    """All samples of one shard, whole. Raises BadData naming file and key."""
    samples = []
    for key, places in scan(path).items():
        reader = Reader(path, key, places)
        meta = reader.meta()
        samples.append(Sample(key, reader.clip(0, None, True, True), meta["provenance"], meta["captions"]))
    return samples


class ClipSet:
    """All clips of a folder of shards (searched recursively), by number, in the shards' sorted order.

    Holds offsets only: a clip, or a few frames of one, is read when asked for, so a set may be far
    larger than memory, and may be used by many threads and (forked or pickled) processes. Offsets
    are cached in one hidden file of the folder, which is made again for shards that changed.

    keys: the clips' keys. damaged: with ``skip_damaged``, one line for each shard left out; without
    it a damaged shard raises BadData. A folder without shards raises BadData.
    """

    def __init__(self, folder: Path | str, *, skip_damaged: bool = False):
        self.folder = Path(folder)
        if not self.folder.exists():
            raise BadData(f"no such data folder: {folder}; make one with: reverie data make lab -o {folder}")
        paths = [self.folder] if self.folder.is_file() else sorted(
            path for path in self.folder.rglob("*.tar")
            if not any(part.startswith(".") for part in path.relative_to(self.folder).parts))
        if not paths:
            raise BadData(f"no shards (*.tar) in {folder}; make some with: reverie data make lab -o {folder}")
        self.damaged: list[str] = []
        self._readers: list[Reader] = []
        self._hashes: list[str] = []
        cache = {} if self.folder.is_file() else self._cached()
        fresh, changed = {}, False
        for path in paths:
            name = path.relative_to(self.folder).as_posix()
            state = path.stat()
            entry = cache.get(name)
            if not entry or entry["state"] != [state.st_size, state.st_mtime_ns]:
                changed = True
                try:
                    entry = self._entry(path, [state.st_size, state.st_mtime_ns])
                except BadData as error:
                    if not skip_damaged:
                        raise
                    self.damaged.append(str(error))
                    continue
            fresh[name] = entry
            for key, places in entry["keys"].items():
                self._readers.append(Reader(path, key, places))
                self._hashes.append(entry["hashes"][key])
        if (changed or len(fresh) != len(cache)) and not self.folder.is_file():
            self._store(fresh)
        if not self._readers:
            raise BadData(f"no usable clip in {folder}" + (f": {self.damaged[0]}" if self.damaged else ""))
        self.keys = [reader.key for reader in self._readers]

    @staticmethod
    def _entry(path: Path, state: list[int]) -> dict:
        keys = scan(path)
        hashes = {}
        for key, places in keys.items():
            reader = Reader(path, key, places)
            for suffix, member in reader.meta()["members"].items():
                if places.get(suffix, [0, -1])[1] != member["size"]:
                    raise reader.fail(f"has no whole {suffix}")
            hashes[key] = hashlib.sha256(reader.bytes("json")).hexdigest()
        return {"state": state, "keys": keys, "hashes": hashes}

    def _cached(self) -> dict:
        try:
            stored = json.loads((self.folder / INDEX).read_bytes())
            return stored["shards"] if stored["format"] == FORMAT else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}  # none yet, or not ours: made again from the shards

    def _store(self, shards: dict) -> None:
        partial = self.folder / f"{INDEX}.{os.getpid()}.tmp"
        try:
            partial.write_text(json.dumps({"format": FORMAT, "shards": shards}, separators=(",", ":")))
            os.replace(partial, self.folder / INDEX)
        except OSError:  # a read-only folder is scanned each time it is opened
            with contextlib.suppress(OSError):
                partial.unlink()

    def __len__(self) -> int:
        return len(self._readers)

    def meta(self, i: int) -> dict:
        """Everything of clip i but arrays and pictures (see ``encode`` for its entries). Raises BadData."""
        return self._readers[i].meta()

    def clip(self, i: int, start: int = 0, stop: int | None = None, views: bool = True,
             masks: bool | None = None) -> Clip:
        """Frames start..stop of clip i, its times counted from frame ``start``.

        The frames are decoded only when ``views``, truth masks only when ``masks`` (default: as
        views). Events that are over before ``start`` or begin after ``stop`` are left out.
        Raises BadInput for frames that the clip does not have, BadData for damage.
        """
        return self._readers[i].clip(start, stop, views, views if masks is None else masks)

    def digest(self) -> str:
        """One hash (hex) over all keys and metadata, CRCs of arrays and frames among them."""
        whole = hashlib.sha256()
        for key, metadata in sorted(zip(self.keys, self._hashes, strict=True)):
            whole.update(f"{key} {metadata}\n".encode())
        return whole.hexdigest()
