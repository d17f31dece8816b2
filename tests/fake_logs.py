"""Small recorded logs of every format, whose pictures say their numbers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reverie.core.video import VideoWriter
from reverie.data.readers import recognise

STEP, SIZE = 0.08, (32, 64)  # seconds; (H, W)


def grey(k: int) -> np.ndarray:
    """A picture that says its number."""
    return np.full((*SIZE, 3), 8 * k, np.uint8)


def shown(frames) -> list[int]:
    return [round(float(frame.mean()) / 8) for frame in frames]


def film(path: Path, count: int, fps: float = 10.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps=fps, size=SIZE) as video:
        video.write(np.stack([grey(k) for k in range(count)]))
    return path


def times(count: int) -> np.ndarray:
    return np.round(1553622320.0 + STEP * np.arange(count), 3)


def write_rows(path: Path, rows, header: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*([header] if header else []), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def udacity(folder: Path, count: int = 30, stamps=None, header: str = "") -> Path:
    (folder / "IMG").mkdir(parents=True)
    rows = []
    for k, stamp in enumerate(times(count) if stamps is None else stamps):
        clock = datetime.fromtimestamp(round(stamp, 3), UTC)
        names = [f"{camera}_{clock:%Y_%m_%d_%H_%M_%S}_{round(clock.microsecond / 1000):03d}.jpg"
                 for camera in ("center", "left", "right")]
        for name in names:
            Image.fromarray(grey(k)).save(folder / "IMG" / name, quality=95)
        rows.append([*(rf"C:\Users\me\IMG\{name}" for name in names), k / 100, 0.5, 0, 10])
    write_rows(folder / "driving_log.csv", rows, header)
    return folder


def donkeycar(folder: Path, count: int = 30, catalogs: int = 3, deleted=(), **more) -> Path:
    (folder / "images").mkdir(parents=True)
    names = [f"catalog_{n}.catalog" for n in range(catalogs)]
    inputs = {"cam/image_array": "image_array", "user/angle": "float", "user/throttle": "float", "user/mode": "str",
              "enc/speed": "float"}
    (folder / "manifest.json").write_text("\r\n".join(map(json.dumps, (
        list(inputs), list(inputs.values()), {}, {"created_at": 1.0},
        {"paths": names, "current_index": count, "max_len": 10, "deleted_indexes": list(deleted)}))))
    for n, name in enumerate(names[:-1]):  # the last is listed and not there
        records = []
        for k in range(10 * n, min(10 * n + 10, count)):
            Image.fromarray(grey(k)).save(folder / "images" / f"{k}_cam_image_array_.jpg", quality=95)
            records.append(json.dumps({"_index": k, "_session_id": "a", "_timestamp_ms": 1706111570011 + 50 * k,
                                       "cam/image_array": f"{k}_cam_image_array_.jpg", "user/angle": -k / 100,
                                       "user/throttle": 0.5, "user/mode": "user", "enc/speed": 1.5} | more))
        (folder / name).write_text("\r\n".join(records) + "\r\n")
    return folder


def lake(folder: Path, count: int = 30, cameras=("left", "center"), stamps=None) -> Path:
    for name in cameras:
        film(folder / f"{name}.mp4", count)
    stamps = STEP * np.arange(count) if stamps is None else stamps
    write_rows(folder / "log.csv", [(k, f"{t:.3f}", k / 100, 0.5, 10) for k, t in enumerate(stamps)],
               "frame,time_s,steering,throttle,speed_mph")
    return folder


def lerobot(folder: Path, version: str, lengths=(12, 9), image: bool = False, fps: int = 10, action=None) -> Path:
    pa = pytest.importorskip("pyarrow", reason="the extra lerobot is not installed")
    from pyarrow import parquet

    later, key = version == "v3.0", "observation.images.top"
    features = {"action": {"dtype": "float32", "shape": [2], "names": ["pan", "lift"]},
                "observation.state": {"dtype": "float32", "shape": [2], "names": {"motors": ["pan", "lift"]}},
                key: {"dtype": "image" if image else "video", "shape": [*SIZE, 3], "names": ["height", "width", "c"]},
                "observation.depth": {"dtype": "video", "shape": [*SIZE, 3], "info": {"video.is_depth_map": True}},
                "next.reward": {"dtype": "float32", "shape": [1], "names": None},
                "timestamp": {"dtype": "float32", "shape": [1], "names": None},
                **{name: {"dtype": "int64", "shape": [1]} for name in ("frame_index", "episode_index", "index")}}
    data, video = ("data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
                   "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4") if later else (
                   "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
                   "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4")
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "info.json").write_text(json.dumps({
        "codebase_version": version, "robot_type": "so100", "fps": fps, "chunks_size": 1000,
        "total_frames": sum(lengths), "total_episodes": len(lengths), "data_path": data, "video_path": video,
        "features": features}))
    tables, episodes, at = [], [], 0
    for n, length in enumerate(lengths):
        ks = range(at, at + length) if later else range(length)
        columns = {"action": [[k / 10, 1.0] for k in range(length)] if action is None else action(length),
                   "observation.state": [[k / 10 - 0.1, 2.0] for k in range(length)],
                   "timestamp": pa.array([k / fps for k in range(length)], pa.float32()),
                   "frame_index": list(range(length)), "episode_index": [n] * length,
                   "index": list(range(at, at + length)), "next.reward": [0.0] * length}
        if image:
            columns[key] = []
            for k in ks:
                file = folder / "one.png"
                Image.fromarray(grey(k)).save(file)
                columns[key].append({"bytes": file.read_bytes(), "path": f"frame-{k:06d}.png"})
        tables.append(pa.table(columns))
        episodes.append({"episode_index": n, "tasks": [f"pick cube {n}"], "length": length, **({
            "data/chunk_index": 0, "data/file_index": 0, f"videos/{key}/chunk_index": 0, f"videos/{key}/file_index": 0,
            "dataset_from_index": at, "dataset_to_index": at + length, f"videos/{key}/from_timestamp": at / fps + 1e-7,
            f"videos/{key}/to_timestamp": (at + length) / fps, "stats/action/min": [0.0, 1.0]} if later else {})})
        at += length
    if later:
        for path, table in (("data", pa.concat_tables(tables)), ("meta/episodes", pa.Table.from_pylist(episodes))):
            (folder / path / "chunk-000").mkdir(parents=True)
            parquet.write_table(table, folder / path / "chunk-000" / "file-000.parquet")
        film(folder / "videos" / key / "chunk-000" / "file-000.mp4", at, fps)
        return folder
    (folder / "meta" / "episodes.jsonl").write_text("\n".join(map(json.dumps, episodes)) + "\n")
    (folder / "data" / "chunk-000").mkdir(parents=True)
    for n, table in enumerate(tables):
        parquet.write_table(table, folder / "data" / "chunk-000" / f"episode_{n:06d}.parquet")
        film(folder / "videos" / "chunk-000" / key / f"episode_{n:06d}.mp4", lengths[n], fps)
    return folder


def one(path: Path):
    [recording] = recognise(path).read(path)
    return recording


def said(recording) -> list[str]:
    return [str(line) for line in [*recording.dropped, *recording.splits()]]
