"""Videos as people have them, made with PyAV: each comes out upright, in RGB, or is refused in one line."""

import struct
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av")
from PIL import Image  # noqa: E402

from reverie.core.errors import BadMedia  # noqa: E402
from reverie.core.video import probe, read_video, stream_video  # noqa: E402


def ramp(frames: int, height: int = 64, width: int = 96) -> list[np.ndarray]:
    """Grey frames that grow brighter by 8 each, with a white bar at their top."""
    made = []
    for number in range(frames):
        picture = np.full((height, width, 3), 16 + 8 * number % 200, np.uint8)
        picture[: height // 4] = 255
        made.append(picture)
    return made


def encode(path, frames, *, codec="libx264", pixels="yuv420p", fps=24, times=None, options=None):
    """Write frames with any codec and pixel format; times in seconds, or one frame every 1 / fps."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = pixels, options or {}
        if pixels.startswith("gray"):
            stream.codec_context.color_range = 2  # grey is made from 0 to 255: to be tagged so
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
            if times is not None:
                frame.pts, frame.time_base = round(times[number] * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def levels(frames) -> list[int]:
    """The number of each frame of ``ramp``, read from its lower half."""
    return [round((float(frame[len(frame) // 2 :].mean()) - 16) / 8) for frame in frames]


def upright(frames, shape) -> bool:
    return all(frame.shape == shape and frame.dtype == np.uint8 and frame.flags.c_contiguous
               and frame[: len(frame) // 8].mean() > 230 > 220 > frame[len(frame) // 2 :].mean() for frame in frames)


@pytest.mark.parametrize("name, codec, pixels, options", [
    ("plain.mp4", "libx264", "yuv420p", {}), ("grey.mkv", "libx264", "gray", {}),
    ("grey10.mkv", "libx264", "gray10le", {}), ("ffv1.mkv", "ffv1", "gray", {}), ("grey16.mkv", "ffv1", "gray16le", {}),
    ("deep.mkv", "libx264", "yuv420p10le", {}), ("deep422.mov", "prores_ks", "yuv422p10le", {}),
    ("full.mkv", "libx264", "yuv444p", {}), ("rgb.mkv", "libx264rgb", "rgb24", {"crf": "4"}),
    ("b-frames.mp4", "libx264", "yuv420p", {"bf": "3"}), ("phone.mp4", "libx265", "yuv420p10le", {}),
    ("moving.gif", "gif", "rgb8", {}), ("clear.mov", "qtrle", "argb", {}),
    ("clear.webm", "libvpx-vp9", "yuva420p", {})])
def test_pixel_formats(tmp_path, name, codec, pixels, options):
    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no {codec}")
    path = encode(tmp_path / name, ramp(12), codec=codec, pixels=pixels, options=options, fps=20)
    frames = list(stream_video(path))
    assert upright(frames, (64, 96, 3)) and len(frames) == 12
    if pixels != "rgb8":  # of three bits a channel
        assert levels(frames) == list(range(12))
    assert upright(stream_video(path, size=(32, 32)), (32, 32, 3))


@pytest.mark.parametrize("size", [(65, 97), (17, 33), (64, 2), (1, 1), (720, 16)])
def test_odd_and_tiny_sizes(tmp_path, size):
    path = encode(tmp_path / "odd.mkv", ramp(5, *size), codec="ffv1", pixels="yuv444p")
    frames = list(stream_video(path))
    assert len(frames) == 5 and frames[0].shape == (*size, 3)
    assert next(stream_video(path, size=(64, 64))).shape == (64, 64, 3)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_few_frames(tmp_path, count):
    path = encode(tmp_path / "few.mp4", ramp(count), fps=12)
    assert levels(stream_video(path)) == list(range(count))
    assert levels(stream_video(path, fps=24)) in ([n // 2 for n in range(2 * count)],
                                                  [(n + 1) // 2 for n in range(2 * count - 1)] + [count - 1])
    assert probe(path)["fps"] == 12


def test_times_that_vary_are_read_at_the_average_rate(tmp_path):
    """fps None is the file's average: the pace stays that of the clock, frames are dropped and repeated."""
    times = [*np.arange(0, 1, 0.1), *np.arange(1, 2, 0.05)]  # 10 a second, then 20
    path = encode(tmp_path / "varies.mkv", ramp(30, 32, 32), times=times, options={"bf": "0"})
    rate = probe(path)["fps"]
    frames = list(stream_video(path))
    assert len(frames) == pytest.approx(2 * rate, abs=2)
    shown = levels(frames)[: round(1.7 * rate)]  # the grey level wraps after 25 frames, at 1.75 s
    assert all(abs(times[number] - index / rate) <= 0.051 for index, number in enumerate(shown))


def test_a_pause_in_the_times_and_a_late_start(tmp_path):
    times = [5.0, 5.1, 5.2, 7.2, 7.3]
    path = encode(tmp_path / "pause.mkv", ramp(5), times=times, options={"bf": "0"})
    seen = levels(stream_video(path, fps=10))
    assert seen[:3] == [0, 1, 2] and seen[-2:] == [3, 4] and len(seen) == 24
    assert abs(seen.count(2) - 10) <= 1 and abs(seen.count(3) - 11) <= 1  # each to the middle of the pause


@pytest.mark.parametrize("degrees, matrix", [
    (90, (0, 1, 0, -1, 0, 0)), (180, (-1, 0, 0, 0, -1, 0)), (270, (0, -1, 0, 1, 0, 0))])
def test_a_telephone_held_otherwise(tmp_path, degrees, matrix):
    """The matrix says by how much to turn the picture clockwise; the white bar must come out on top."""
    turned = [np.rot90(frame, degrees // 90) for frame in ramp(4, 96, 64)]  # as the sensor saw it
    data = bytearray(encode(tmp_path / "a.mp4", turned).read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, u, c, d, v = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, u, c, d, v, 0, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(data)
    assert upright(stream_video(tmp_path / "turned.mp4"), (96, 64, 3))
    assert upright(stream_video(tmp_path / "turned.mp4", size=(48, 32)), (48, 32, 3))


def test_a_gif_that_can_be_seen_through(tmp_path):
    pictures = []
    for number in range(6):
        picture = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
        picture.paste((200, 0, 0, 255), (number * 5, 10, number * 5 + 12, 22))
        pictures.append(picture)
    first, *rest = pictures
    first.save(tmp_path / "clear.gif", save_all=True, append_images=rest, duration=100, disposal=2, loop=0)
    frames, fps = read_video(tmp_path / "clear.gif")
    assert frames.shape == (6, 40, 60, 3) and fps == pytest.approx(10)
    assert frames[0, 16, 6].tolist() == pytest.approx([200, 0, 0], abs=8)
    assert frames[:, 35, 55].min() == frames[:, 35, 55].max()  # the ground is of one colour throughout


def test_sound_alone_is_refused(tmp_path):
    for name, codec in (("sound.mp4", "aac"), ("sound.mkv", "pcm_s16le"), ("sound.ogg", "libvorbis")):
        if codec not in av.codecs_available:
            continue
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream(codec, rate=48000)
            for _ in range(20):
                sound = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
                sound.sample_rate = 48000
                for piece in av.AudioResampler(stream.format, stream.layout, stream.rate).resample(sound):
                    container.mux(stream.encode(piece))
            container.mux(stream.encode(None))
        with pytest.raises(BadMedia, match="is no video") as caught:
            next(stream_video(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_a_cover_picture_is_no_video(tmp_path):
    """A song with a picture of its cover has a video stream of one picture, shown for no time."""
    picture = encode(tmp_path / "cover.png", ramp(1), codec="png", pixels="rgb24").read_bytes()
    with av.open(str(tmp_path / "song.m4a"), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000)
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 96, 64, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        packet = av.Packet(picture)
        packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 1)
        container.start_encoding()
        container.mux(packet)
        for _ in range(20):
            sound = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            sound.sample_rate = 48000
            container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(BadMedia, match="is no video"):
        next(stream_video(tmp_path / "song.m4a"))


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv", "cut.ts", "cut.avi", "cut.webm"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_cut_off_anywhere_it_plays_or_is_refused_in_one_line(tmp_path, name, share):
    noise = list(np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3), dtype=np.uint8))
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    whole = encode(tmp_path / f"whole{name}", noise, codec=codec, options={"g": "6"}).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    try:
        frames = list(stream_video(tmp_path / name))
    except BadMedia as error:
        assert "\n" not in str(error) and name in str(error)
    else:
        assert 1 <= len(frames) <= 24 and frames[0].shape == (64, 64, 3)


def test_noise_in_the_middle_is_survived(tmp_path):
    data = bytearray(encode(tmp_path / "a.mkv", ramp(24), options={"g": "6"}).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = np.random.default_rng(0).bytes(200)
    (tmp_path / "torn.mkv").write_bytes(data)
    try:
        assert len(list(stream_video(tmp_path / "torn.mkv"))) >= 1
    except BadMedia as error:
        assert "\n" not in str(error)


def test_the_frame_size_changes_on_the_way(tmp_path):
    """Joined recordings do that; with a size given, every frame has it."""
    with open(tmp_path / "joined.ts", "wb") as file:
        for number, size in enumerate(((64, 96), (96, 64))):
            file.write(encode(tmp_path / f"{number}.ts", ramp(6, *size)).read_bytes())
    assert {frame.shape for frame in stream_video(tmp_path / "joined.ts", size=(48, 48))} == {(48, 48, 3)}


def test_a_long_large_video_streams_at_a_flat_memory(tmp_path):
    """60 s of 1080p against 4 s; ten minutes, done by hand, stand in LOG.md."""
    code = ("import sys, numpy as np\nfrom reverie.core.video import stream_video\n"
            "from reverie.core.runtime import peak_memory_bytes\n"
            "for name in ('short', 'long'):\n"
            "    n = sum(1 for f in stream_video(f'{sys.argv[1]}/{name}.mp4', size=(144, 256)))\n"
            "    print(n, peak_memory_bytes())")
    picture = ramp(1, 1080, 1920)[0]
    for name, count in (("short", 8), ("long", 120)):
        encode(tmp_path / f"{name}.mp4", [picture] * count, fps=2, options={"preset": "ultrafast", "bf": "0"})
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    (few, short), (many, long) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert (few, many) == (8, 120) and long - short < 25e6  # 112 frames are 697 MB
