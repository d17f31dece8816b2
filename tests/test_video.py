"""Video and picture files: what is written plays and keeps its colours, what is read is what was there."""

import errno
import os
import struct
import subprocess
import sys
import threading
import time
import wave
from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av")
from PIL import Image  # noqa: E402

from reverie.core import files, video  # noqa: E402
from reverie.core.errors import BadInput, BadMedia, CannotWrite  # noqa: E402
from reverie.core.image import read_image, write_image  # noqa: E402
from reverie.core.video import VideoWriter, probe, read_video, stream_video  # noqa: E402
from reverie.core.vocabulary import COLOURS  # noqa: E402


def counted(frames: int, height: int = 64, width: int = 96) -> np.ndarray:
    """Frames whose grey level is their number times four."""
    return np.repeat((np.arange(frames) * 4 % 256).astype(np.uint8), height * width * 3).reshape(
        frames, height, width, 3)


def python(code: str, *args) -> str:
    """What a Python program of its own prints."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(frames: np.ndarray) -> list[int]:
    return [round(float(frame.mean()) / 4) for frame in frames]


def write(path, frames, fps=24, **more):
    with VideoWriter(path, fps=fps, size=frames.shape[1:3], **more) as writer:
        writer.write(frames)
    return path


def patches() -> np.ndarray:
    colours = [*(np.array(list(COLOURS.values())) * 255).round(), (255, 0, 0), (0, 255, 0), (0, 0, 255),
               (0, 0, 0), (255, 255, 255), (128, 128, 128)]
    grid = np.array(colours, np.uint8).reshape(4, 4, 3)
    return np.repeat(np.repeat(grid, 32, 0), 32, 1)


def test_colours_survive_and_are_tagged(tmp_path):
    picture = patches()
    path = write(tmp_path / "a.mp4", np.stack([picture] * 12))
    frames, fps = read_video(path)
    assert frames.shape == (12, 128, 128, 3) and fps == 24
    centres = frames[:, 16::32, 16::32].astype(int) - picture[16::32, 16::32]
    assert np.abs(centres).max() <= 4
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)
        assert context.color_range == 1
        assert (context.name, context.pix_fmt, context.profile) == ("h264", "yuv420p", "High")
        assert context.has_b_frames == 0


def test_the_index_stands_first_and_nothing_is_left_beside(tmp_path):
    path = write(tmp_path / "a.mp4", counted(30))
    head = path.read_bytes()
    assert head.index(b"moov") < head.index(b"mdat") and b"moof" not in head
    assert os.listdir(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("fps", [1, 12, 23.976, 29.97, 60])
def test_every_frame_in_order_at_its_fps(tmp_path, fps):
    path = write(tmp_path / "a.mp4", counted(50), fps=fps)
    frames, rate = read_video(path)
    assert numbers(frames) == list(range(50)) and rate == pytest.approx(fps, rel=1e-4)
    assert probe(path)["seconds"] == pytest.approx(50 / fps, rel=1e-3)


def test_metadata_comes_back(tmp_path):
    metadata = {"prompt": "一个红球 \"falls\" = ; #\\\n", "seed": 2**62,
                "script": [{"start": 0.0, "text": "é"}]}
    assert probe(write(tmp_path / "a.mp4", counted(3), metadata=metadata))["metadata"] == metadata
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert "一个红球" in container.metadata["title"]


def test_same_frames_same_bytes(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    write(tmp_path / "a.mp4", frames)
    with VideoWriter(tmp_path / "b.mp4", fps=24, size=(64, 64)) as writer:  # however it was cut into pieces
        for frame in frames:
            writer.write(frame[None])
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_the_writer_keeps_its_own_copy(tmp_path):
    frame = np.zeros((1, 64, 64, 3), np.uint8)
    with VideoWriter(tmp_path / "a.mp4", fps=24, size=(64, 64)) as writer:
        for number in range(20):
            frame[:] = number * 4
            writer.write(frame)
    assert numbers(read_video(tmp_path / "a.mp4")[0]) == list(range(20))


def test_ctrl_c_keeps_what_there_is(tmp_path):
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "a.mp4", fps=24, size=(64, 96)) as writer:
        writer.write(counted(30))
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["a.partial.mp4"] and writer.kept == tmp_path / "a.partial.mp4"
    assert numbers(read_video(writer.kept)[0]) == list(range(30))


def test_ctrl_c_before_the_first_frame_and_failures_leave_nothing(tmp_path):
    for error in (KeyboardInterrupt, RuntimeError):
        with pytest.raises(error), VideoWriter(tmp_path / "a.mp4", fps=24, size=(64, 96)) as writer:
            if error is RuntimeError:
                writer.write(counted(30))
            raise error
        assert os.listdir(tmp_path) == []


def test_an_older_file_stays_until_the_new_one_is_whole(tmp_path):
    path = write(tmp_path / "a.mp4", counted(3))
    before = path.read_bytes()
    with pytest.raises(RuntimeError), VideoWriter(path, fps=24, size=(64, 96)) as writer:
        writer.write(counted(30))
        raise RuntimeError
    assert path.read_bytes() == before
    write(path, counted(5))
    assert len(read_video(path)[0]) == 5


def test_a_killed_process_leaves_a_file_that_plays(tmp_path):
    code = ("import os, sys, time, numpy as np\nfrom reverie.core.video import VideoWriter\n"
            f"writer = VideoWriter({str(tmp_path / 'a.mp4')!r}, fps=24, size=(64, 64))\n"
            "writer.write(np.random.default_rng(0).integers(0, 256, (240, 64, 64, 3), dtype=np.uint8))\n"
            "while writer.encoded < 240: time.sleep(0.01)\n"
            "os.kill(os.getpid(), 9)")
    subprocess.run([sys.executable, "-c", code])
    (left,) = os.listdir(tmp_path)
    assert left.endswith(".partial.mp4")
    assert len(read_video(tmp_path / left)[0]) >= 24 * 6  # all but what the encoder still held


LIMIT = """
import resource, sys, numpy as np
from reverie.core.video import VideoWriter
from reverie.core.errors import CannotWrite
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
noise = np.random.default_rng(0).integers(0, 256, (240, 64, 64, 3), dtype=np.uint8)
try:
    with VideoWriter(sys.argv[1], fps=24, size=(64, 64)) as writer:
        for start in range(0, 240, 4):
            writer.write(noise[start : start + 4])
except CannotWrite as error:
    print(error)
"""


def test_no_more_room_keeps_what_plays_and_says_so(tmp_path):
    """A limit on the file's length stands for a full disk: the same calls fail in the same places."""
    done = python(LIMIT, tmp_path / "a.mp4")
    assert done.startswith("cannot write") and "a.partial.mp4" in done and done.count("\n") == 1
    assert os.listdir(tmp_path) == ["a.partial.mp4"]
    assert 24 <= len(read_video(tmp_path / "a.partial.mp4")[0]) < 240


def test_a_full_disk_is_named():
    error = OSError(errno.ENOSPC, "No space left on device")
    assert files.reason(error) == "the disk is full"
    with pytest.raises(CannotWrite, match="MB free"):
        files.require_space("/", 1 << 62)


def test_encoding_runs_beside_the_caller_with_a_bounded_queue(tmp_path, monkeypatch):
    original, slow = av.VideoFrame.from_ndarray, threading.Event()

    def from_ndarray(*args, **kwargs):
        slow.wait(5)
        return original(*args, **kwargs)

    monkeypatch.setattr(av, "VideoFrame", type("Slow", (), {"from_ndarray": staticmethod(from_ndarray)}))
    writer = VideoWriter(tmp_path / "a.mp4", fps=24, size=(64, 96), depth=2)
    handed = []

    def feed():
        for piece in np.split(counted(40), 10):
            writer.write(piece)
            handed.append(len(piece))

    feeder = threading.Thread(target=feed)
    feeder.start()
    time.sleep(0.3)
    assert 2 <= len(handed) <= 4  # did not wait for the first, but for the third or so
    slow.set()
    feeder.join()
    assert len(read_video(writer.close())[0]) == 40


@pytest.mark.parametrize("frames", [np.zeros((1, 64, 95, 3), np.uint8), np.zeros((1, 64, 96, 3), np.float32),
                                    np.zeros((64, 96, 3), np.uint8)])
def test_wrong_frames_are_refused(tmp_path, frames):
    with pytest.raises(BadInput), VideoWriter(tmp_path / "a.mp4", fps=24, size=(64, 96)) as writer:
        writer.write(frames)
    assert os.listdir(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "dir.mp4").mkdir()
    for path, error in [(tmp_path / "a.avi", BadInput), (tmp_path / "dir.mp4", CannotWrite),
                        (tmp_path / "none" / "a.mp4", CannotWrite),
                        (tmp_path / ("x" * 300 + ".mp4"), CannotWrite),
                        ("zero\0.mp4", CannotWrite)]:
        with pytest.raises(error) as caught:
            VideoWriter(path, fps=24, size=(64, 96))
        assert "\n" not in str(caught.value)
    for size, fps in [((63, 96), 24), ((64, 0), 24), ((64, 96), 0), ((64, 96), float("nan"))]:
        with pytest.raises(BadInput):
            VideoWriter(tmp_path / "a.mp4", fps=fps, size=size)


# ---------------------------------------------------------------- reading video


def test_another_fps_takes_the_nearest_frames(tmp_path):
    path = write(tmp_path / "a.mp4", counted(60), fps=30)
    assert numbers(read_video(path, fps=15)[0]) == list(range(0, 60, 2))
    assert numbers(read_video(path, fps=10)[0]) == list(range(0, 60, 3))
    doubled = numbers(read_video(path, fps=60)[0])
    assert len(doubled) == 120 and doubled[::2] == list(range(60))
    odd = numbers(read_video(path, fps=24)[0])
    assert odd == [round(k * 30 / 24 - 1e-6) for k in range(48)]


def test_only_the_end_is_kept_and_it_ends_at_the_end(tmp_path):
    path = write(tmp_path / "a.mp4", counted(63), fps=12)
    whole = read_video(path)[0]
    for seconds in (0.01, 1, 2.5, 100):
        tail, _ = read_video(path, last_seconds=seconds)
        assert len(tail) == min(63, max(1, round(seconds * 12)))
        assert np.array_equal(tail, whole[-len(tail):])


def test_streaming_gives_what_reading_gives(tmp_path):
    path = write(tmp_path / "a.mp4", counted(40))
    assert np.array_equal(np.stack(list(stream_video(path, fps=10, size=(32, 32)))),
                          read_video(path, fps=10, size=(32, 32))[0])


def test_the_middle_is_cut_and_scaled(tmp_path):
    frames = np.zeros((3, 64, 128, 3), np.uint8)
    frames[:, :, 32:96] = 200  # the middle square
    path = write(tmp_path / "a.mp4", frames)
    small = read_video(path, size=(32, 32))[0]
    assert small.shape == (3, 32, 32, 3) and small[:, :, 2:-2].min() > 190
    large = read_video(path, size=(256, 256))[0]
    assert large.shape == (3, 256, 256, 3) and large[:, :, 16:-16].min() > 190
    assert read_video(path, size=(64, 32))[0].shape == (3, 64, 32, 3)


def test_times_that_vary_keep_their_pace(tmp_path):
    path = tmp_path / "vfr.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.options = {"bf": "0"}
        stream.codec_context.time_base = Fraction(1, 1000)
        times = [*range(0, 1000, 100), *range(1000, 2000, 50)]  # 10 fps, then 20
        for pixels, when in zip(counted(30, 64, 64), times, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = when, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    seen = numbers(read_video(path, fps=10)[0])
    assert seen[:10] == list(range(10)) and seen[10:20] == list(range(10, 30, 2))


def test_a_video_from_a_telephone_is_shown_upright(tmp_path):
    frames = np.zeros((6, 64, 96, 3), np.uint8)
    frames[:, :32] = 255  # its top
    data = bytearray(write(tmp_path / "a.mp4", frames).read_bytes())
    matrix = data.index(b"tkhd") + 44
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 64 << 16, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(data)  # to be shown turned by 90 degrees clockwise
    for size in (None, (64, 64)):
        seen = read_video(tmp_path / "turned.mp4", size=size)[0]
        assert seen.shape[1:3] == (size or (96, 64))
        assert seen[:, :, :16].max() < 10 and seen[:, :, -16:].min() > 245


@pytest.mark.parametrize("name, codec, pixels", [
    ("untagged.mp4", "libx264", "yuv420p"), ("full.mp4", "libx264", "yuvj420p"),
    ("deep.mkv", "libx264", "yuv420p10le"), ("old.avi", "mjpeg", "yuvj420p"),
    ("web.webm", "libvpx-vp9", "yuv420p")])
def test_colours_of_videos_from_elsewhere(tmp_path, name, codec, pixels):
    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no {codec}")
    picture = patches()
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.width = stream.height = 128
        stream.pix_fmt, stream.options = pixels, {"qscale": "1"} if codec == "mjpeg" else {"crf": "10"}
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frames, _ = read_video(tmp_path / name)
    assert np.abs(frames[1, 16::32, 16::32].astype(int) - picture[16::32, 16::32]).max() <= 8


def test_a_damaged_end_gives_what_came_before(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 64, 3), dtype=np.uint8)
    path = write(tmp_path / "a.mp4", noise)
    data = path.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    assert 1 <= len(read_video(tmp_path / "cut.mp4")[0]) < 48


def bad_files(folder):
    (folder / "empty").write_bytes(b"")
    (folder / "text.txt").write_text("hello\n" * 1000)
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.mp4\n#EXT-X-ENDLIST\n")
    (folder / "concat.txt").write_text("ffconcat version 1.0\nfile a.mp4\n")
    (folder / "dir").mkdir()
    write(folder / "a.mp4", counted(30))
    whole = (folder / "a.mp4").read_bytes()
    (folder / "head.mp4").write_bytes(whole[:200])
    with open(folder / "huge.mp4", "wb") as file:
        file.truncate(files.MAX_BYTES + 1)
    with wave.open(str(folder / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    return ["empty", "text.txt", "noise.mp4", "list.m3u8", "concat.txt", "dir", "head.mp4", "huge.mp4",
            "none.mp4", "sound.wav"]


def test_what_is_no_video_is_refused_in_one_line(tmp_path):
    for name in [*bad_files(tmp_path), "zero\0byte", "https://example.invalid/a.mp4"]:
        for read in (probe, read_video, lambda path: next(stream_video(path))):
            with pytest.raises(BadMedia) as caught:
                read(tmp_path / name if "//" not in name else name)
            assert "\n" not in str(caught.value), name
    Image.new("RGB", (64, 64)).save(tmp_path / "p.png")
    with pytest.raises(BadMedia, match="picture"):
        read_video(tmp_path / "p.png")


def test_limits_on_what_is_read(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", counted(60), fps=10)
    monkeypatch.setattr(video, "MAX_SECONDS", 4.0)
    with pytest.raises(BadMedia, match="longer than 4 s"):
        read_video(path)
    monkeypatch.undo()
    monkeypatch.setattr(video, "MAX_MEMORY", 10 * 64 * 96 * 3)
    with pytest.raises(BadMedia, match="smaller or shorter"):
        read_video(path)
    assert len(read_video(path, last_seconds=1)[0]) == 10
    monkeypatch.undo()
    monkeypatch.setattr(video, "MAX_PIXELS", 1000)
    with pytest.raises(BadMedia, match="megapixels"):
        probe(path)


def test_memory_is_flat_with_length(tmp_path):
    """Three times the length, read and written again, at the same peak."""
    code = ("import sys, numpy as np\nfrom reverie.core.video import VideoWriter, stream_video\n"
            "from reverie.core.runtime import peak_memory_bytes\n"
            "for number, n in enumerate((60, 60, 400)):\n"
            "    with VideoWriter(f'{sys.argv[1]}/{number}.mp4', fps=24, size=(256, 256)) as w:\n"
            "        for k in range(n): w.write(np.full((1, 256, 256, 3), k % 256, np.uint8))\n"
            "    for f in stream_video(f'{sys.argv[1]}/{number}.mp4', size=(256, 256)): pass\n"
            "    print(peak_memory_bytes())")
    _, short, long = map(int, python(code, tmp_path).split())
    assert long - short < 20e6  # 340 frames are 67 MB


# ---------------------------------------------------------------- pictures


def test_pictures_of_every_mode(tmp_path):
    base = np.full((40, 60), 100, np.uint8)
    cases = {
        "rgb.png": Image.fromarray(np.stack([base] * 3, -1)),
        "grey.png": Image.fromarray(base),
        "grey16.png": Image.fromarray(base.astype(np.uint16) * 257),
        "palette.gif": Image.fromarray(base).convert("P"),
        "one.png": Image.fromarray(base).convert("1"),
        "cmyk.jpg": Image.fromarray(np.stack([base] * 3, -1)).convert("CMYK"),
    }
    for name, picture in cases.items():
        picture.save(tmp_path / name)
        pixels = read_image(tmp_path / name, (32, 32))
        assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8
        if name != "one.png":
            assert abs(pixels.astype(int) - 100).max() <= 3, name
    clear = Image.new("RGBA", (60, 40), (255, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png").min() == 255


def test_a_picture_is_turned_upright(tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30] = 255  # its left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "p.png", exif=exif)
    seen = read_image(tmp_path / "p.png")
    assert seen.shape == (60, 40, 3) and seen[:30].min() == 255 and seen[30:].max() == 0


def test_what_is_no_picture_is_refused_in_one_line(tmp_path):
    Image.new("RGB", (64, 64), "red").save(tmp_path / "good.png")
    data = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "bad.png").write_bytes(data[:40] + bytes(30) + data[70:])
    bomb = bytearray(data)
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    (tmp_path / "bomb.png").write_bytes(bomb)
    (tmp_path / "script.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    for name in [*bad_files(tmp_path), "a.mp4", "cut.png", "bad.png", "bomb.png", "script.eps", "zero\0byte"]:
        with pytest.raises(BadMedia) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_large_picture_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (10_000, 5_001)).save(tmp_path / "large.png")
    with pytest.raises(BadMedia, match="50 megapixels"):
        read_image(tmp_path / "large.png")


def test_writing_a_picture_and_a_text_is_all_or_nothing(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    assert np.array_equal(read_image(write_image(tmp_path / "a.png", pixels)), pixels)
    with pytest.raises(CannotWrite):
        write_image(tmp_path / "a.nothing", pixels)
    with pytest.raises(RuntimeError), files.writing(tmp_path / "t.jsonl") as file:
        file.write("half")
        raise RuntimeError
    with pytest.raises(KeyboardInterrupt), files.writing(tmp_path / "k.jsonl") as file:
        file.write("half")
        raise KeyboardInterrupt
    with files.writing(tmp_path / "w.jsonl") as file:
        file.write("一")
    assert sorted(os.listdir(tmp_path)) == ["a.png", "k.partial.jsonl", "w.jsonl"]
    assert (tmp_path / "w.jsonl").read_text(encoding="utf-8") == "一"
