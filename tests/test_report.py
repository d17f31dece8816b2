"""The report of an audit: strict JSON, one page that needs nothing and runs nothing of others', a video, the verb."""

import html.parser
import json
import os
import re
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")

from reverie import cli  # noqa: E402
from reverie.audit import overlay as overlay_file  # noqa: E402
from reverie.audit import report as report_file  # noqa: E402
from reverie.audit.findings import LAWS, Aspect, Motion, Track, Verdict, Violation  # noqa: E402
from reverie.audit.overlay import write_overlay  # noqa: E402
from reverie.audit.report import sentence, shown_size, verdict_json, verdict_text, write_report  # noqa: E402
from reverie.core.errors import BadInput, BadMedia, CannotWrite  # noqa: E402
from reverie.core.video import VideoWriter, probe, read_video  # noqa: E402
from reverie.core.vocabulary import COLOURS, KINDS  # noqa: E402

FPS, FRAMES, SIZE = 24.0, 48, (64, 96)
EVIL = "</script><img src=x onerror=alert(1)>{{js}}\u2028\"'"


def a_track(number=1, first=0, last=FRAMES - 1, kind="ball", colour="red", gap=(), **more) -> Track:
    frames = np.array([n for n in range(first, last + 1) if n not in gap])
    x = 4.0 + frames
    boxes = np.stack([x, np.full_like(x, 20), x + 14, np.full_like(x, 36)], 1).astype(np.float32)
    ones = np.ones(len(frames), np.float32)
    scores = (np.ones((len(frames), length)) / length for length in (len(KINDS), len(COLOURS), 4))
    return Track(number, kind, colour, frames, boxes, 0.9 * ones, ones, 3 * ones, 0 * ones, *scores, **more)


def a_violation(**more) -> Violation:
    return replace(Violation("permanence", "vanished", 1, 1.25, 1.25, 1.0, 0.2, "m", "the red ball vanished in sight",
                             (30.0, 20.0, 44.0, 36.0)), **more)


def a_verdict(tracks=None, violations=(), source="a.mp4", frames=FRAMES, **more) -> Verdict:
    warp = np.tile(np.eye(2, 3, dtype=np.float32), (frames, 1, 1))
    motion = Motion(warp, np.ones(frames, bool), np.full((frames, 5), np.nan, np.float32), (24,), "orbit left 30")
    tracks = [a_track()] if tracks is None else tracks
    return Verdict(source, FPS, frames, SIZE, tracks, motion, list(violations), **more)


GUILTY = a_verdict([a_track(gap=(9, 10)), a_track(2, 10, 40, "box", "blue", began="hidden", ended="sight")],
                   [a_violation(law="continuity", what="jumped", track=2, start=0.5, end=0.9, other=1, text=""),
                    a_violation()],
                   aspects=[Aspect("count", "one ball", 1.0, "1 ball"), Aspect("event", "it falls", None, "")],
                   unjudged=["water: no law is about it"])


@pytest.fixture
def video(tmp_path):
    """48 frames of 96x64 in a folder of its own."""
    (tmp_path / "in").mkdir()
    with VideoWriter(tmp_path / "in" / "a.mp4", fps=FPS, size=SIZE) as writer:
        for number in range(FRAMES):
            frame = np.full((1, *SIZE, 3), 90, np.uint8)
            frame[:, 20:36, 4 + number : 18 + number] = (200, 30, 30)
            writer.write(frame)
    (tmp_path / "out").mkdir()
    return tmp_path / "in" / "a.mp4"


class Page(html.parser.HTMLParser):
    """A page's tags with their attributes, and its text outside of scripts and styles."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text, self.raw, self._inside = [], "", {}, ""
        self.feed(Path(path).read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = dict(attributes).get("id") or tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside:
            self.raw[self._inside] = self.raw.get(self._inside, "") + data
        else:
            self.text += data

    def having(self, name) -> list[dict]:
        return [attributes for _, attributes in self.tags if name in attributes]


# ---------------------------------------------------------------- JSON and words


def test_json_is_strict_and_its_keys_are_a_contract():
    found = json.loads(json.dumps(verdict_json(GUILTY), allow_nan=False))
    assert list(found) == ["source", "fps", "frames", "seconds", "size", "verdict", "sentence", "per_minute", "counts",
                           "violations", "tracks", "camera", "prompt", "unjudged"]
    assert (found["size"], found["seconds"], found["verdict"], found["per_minute"]) == ("96x64", 2, "violations", 60)
    assert found["counts"] == {law: int(law in ("permanence", "continuity")) for law in LAWS}
    first, second = found["tracks"]
    assert list(first) == ["number", "name", "kind", "colour", "first", "last", "began", "ended", "seen", "confidence",
                           "frames", "boxes", "confidences"]
    assert (first["name"], first["seen"], first["confidence"]) == ("red ball", round(46 / 48, 3), 0.9)
    assert (second["began"], second["ended"], second["first"]) == ("hidden", "sight", round(10 / 24, 3))
    assert second["boxes"][0] == [14, 20, 28, 36] and len(second["boxes"]) == len(second["frames"]) == 31
    assert found["violations"][0]["text"] == "the blue box jumped" and found["violations"][0]["other"] == 1
    assert found["camera"] == {"moves": "orbit left 30", "cuts": [1.0], "known": 1.0}
    assert [aspect["score"] for aspect in found["prompt"]] == [1.0, None]


def test_what_is_not_finite_becomes_null():
    nan, inf = float("nan"), float("inf")
    track = a_track()
    track.boxes[3, 0], track.confidence[4] = nan, inf
    bad = a_verdict([track], [a_violation(amount=inf, limit=nan, box=(nan, 1, 2, inf))],
                    aspects=[Aspect("kind", "x", nan, "")])
    found = json.loads(json.dumps(verdict_json(bad), allow_nan=False))
    assert found["tracks"][0]["boxes"][3][0] is None and found["tracks"][0]["confidence"] is None
    assert found["violations"][0]["amount"] is None and found["violations"][0]["box"] == [None, 1, 2, None]
    assert "inf" not in verdict_text(bad).replace("infinite", "") and found["prompt"][0]["score"] is None


def test_the_sentence():
    assert sentence(GUILTY) == ("2 violations in 2.0 s (60.0 a minute): 1 of permanence, 1 of continuity; "
                                "2 things were followed.")
    assert sentence(a_verdict()) == "No violation was found in 2.0 s; 1 thing was followed."
    assert sentence(a_verdict([])).startswith("Cannot judge")
    assert [verdict_json(v)["verdict"] for v in (GUILTY, a_verdict(), a_verdict([]))] == [
        "violations", "clean", "cannot judge"]


def test_the_plain_text():
    lines = verdict_text(GUILTY).splitlines()
    assert lines[0].startswith("a.mp4: 2 violations")
    assert lines[1] == "  at 0.50 s  the blue box jumped (continuity: 1 m, truth keeps to 0.2)"
    assert lines[2].startswith("  at 1.25 s  the red ball vanished in sight (permanence")
    assert lines[3].startswith("camera: ")
    assert "1.00" in lines[5] and "?" in lines[6] and lines[-1] == "  water: no law is about it"


def test_names_that_are_no_text_are_made_so():
    found = verdict_json(a_verdict(source="a\udcff\n.mp4"))
    assert found["source"] == "a? .mp4"
    json.dumps(found, ensure_ascii=False).encode()


# ---------------------------------------------------------------- the page


def test_the_page_is_one_file_that_needs_nothing(video, tmp_path):
    out = write_report(GUILTY, video, tmp_path / "out" / "r.html")
    assert os.listdir(tmp_path / "out") == ["r.html"]
    page = Page(out)
    assert not [a for _, a in page.tags if a.keys() & {"src", "href", "srcset", "data", "action", "style"} - {"style"}]
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "img", "base", "form"}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    code = page.raw["style"] + page.raw["script"]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(|fetch\(|innerHTML|eval\(|XMLHttp", code)
    policy = next(a["content"] for a in page.having("content") if "default-src" in a["content"])
    assert "default-src 'none'" in policy
    assert "{{" not in out.read_text(encoding="utf-8")
    data = json.loads(page.raw["verdict"])
    assert (data["width"], data["height"], data["shown"]) == (96, 64, 2.0)


def test_the_video_in_the_page_plays(video, tmp_path):
    import base64

    page = Page(write_report(GUILTY, video, tmp_path / "out" / "r.html"))
    (tmp_path / "v.mp4").write_bytes(base64.b64decode(page.raw["pictures"]))
    frames, fps = read_video(tmp_path / "v.mp4")
    assert frames.shape == (FRAMES, 64, 96, 3) and fps == FPS and probe(tmp_path / "v.mp4")["codec"] == "h264"


def test_jumps_marks_and_text(video, tmp_path):
    page = Page(write_report(GUILTY, video, tmp_path / "out" / "r.html"))
    crimes = [a for a in page.having("data-jump") if a.get("class") == "crime"]
    marks = [a for a in page.having("data-jump") if a.get("class") == "mark"]
    assert [(a["data-jump"], a["data-at"]) for a in crimes] == [("0.100", "0.500"), ("0.850", "1.250")]
    assert [a["data-at"] for a in marks] == ["1.250", "0.500"]  # by law
    assert "the red ball vanished in sight" in marks[0]["title"] and "--a:62.5" in marks[0]["style"]
    assert [a["data-jump"] for a in page.having("data-jump") if a.get("class") == "link"] == ["0.600"]  # the cut
    assert {a["data-track"] for a in page.having("data-track")} == {"1", "2"}
    layers = {a["data-layer"] for a in page.having("data-layer")}
    assert layers == {"boxes", "names", "confidence", "trails", "violations"}
    for words in (sentence(GUILTY), "the blue box jumped", "water: no law", "it falls", "can't be judged",
                  "orbit left 30", "96x64", "reverie 0.", *LAWS):
        assert words in page.text, words
    title = next(a["title"] for a in page.having("data-thing") if a["data-thing"] == "2")
    assert "came from behind something" in title and "suddenly gone" in title


def test_every_string_is_escaped(video, tmp_path):
    track = a_track(kind=EVIL, colour=EVIL, began=EVIL, ended="sight")
    evil = a_verdict([track], [a_violation(law=EVIL, what=EVIL, unit=EVIL, text=EVIL)], source=EVIL,
                     aspects=[Aspect(EVIL, EVIL, 0.5, EVIL)], unjudged=[EVIL])
    evil = replace(evil, motion=replace(evil.motion, moves=EVIL))
    name = video.with_name("<img src=x onerror=alert(1)>.mp4")
    os.rename(video, name)
    page = Page(write_report(evil, name, tmp_path / "out" / "r.html"))
    assert not page.having("onerror") and "img" not in {tag for tag, _ in page.tags}
    assert [tag for tag, _ in page.tags].count("script") == 3
    data = json.loads(page.raw["verdict"])
    assert data["violations"][0]["text"] == data["unjudged"][0] == " ".join(EVIL.split())
    assert "<img src=x onerror=alert(1)>{{js}}" in page.text  # as text, and not filled in


def test_pages_of_every_size(video, tmp_path):
    out = tmp_path / "out" / "r.html"
    many = [a_track(n, n % 40, FRAMES - 1, gap=range(20, 24)) for n in range(1, 201)]
    crimes = [a_violation(track=n, start=n / 100, end=n / 100, law=list(LAWS)[n % 8]) for n in range(1, 150)]
    for verdict in (a_verdict(), a_verdict([]), a_verdict(many, crimes), a_verdict([a_track(first=5, last=5)])):
        page = Page(write_report(verdict, video, out))
        assert len(page.having("data-track")) == len(verdict.tracks)
    assert "What was looked for" in page.text and "No violation" in page.text
    assert "not tried" in Page(write_report(a_verdict([]), video, out)).text
    ten_minutes = a_verdict([a_track(last=14399)], frames=14400)
    page = Page(write_report(ten_minutes, video, out))  # whose file is shorter than was said
    assert "Only the first 2.0 s of 600.0 s" in page.text and "240 s" in page.text


def test_a_large_video_is_made_small_and_then_cut(video, tmp_path, monkeypatch):
    large = tmp_path / "large.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (8, 128, 128, 3), dtype=np.uint8)
    with VideoWriter(large, fps=FPS, size=(128, 128)) as writer:
        for _ in range(18):  # 6 s
            writer.write(noise)
    verdict = replace(a_verdict(frames=144), size=(128, 128))
    monkeypatch.setattr(report_file, "MAX_VIDEO", 150_000)
    monkeypatch.setattr(report_file, "QUALITIES", ((128, 20), (64, 20)))
    page = Page(write_report(verdict, large, tmp_path / "out" / "r.html"))
    assert "Only the first" in page.text and len(page.raw["pictures"]) * 3 / 4 < 400_000
    assert 1 < json.loads(page.raw["verdict"])["shown"] < 6
    assert os.listdir(tmp_path / "out") == ["r.html"]


def test_shapes():
    assert shown_size((128, 128), (1080, 1080), 480) == (480, 480)
    assert shown_size((128, 228), (1080, 1920), 480) == (480, 856)
    assert shown_size((128, 228), (101, 181), 480) == (100, 180)
    assert shown_size((64, 96), (2, 3), 480) == (16, 16)  # what can be encoded at all


# ---------------------------------------------------------------- the overlay


def is_red(pixels) -> np.ndarray:
    """Of the outlines' and labels' red, and not the ball's, which is darker."""
    return (np.abs(pixels.astype(int) - (229, 25, 45)) < 24).all(-1)


def test_the_overlay_has_all_frames_and_shows_what_went_wrong(video, tmp_path):
    source = a_verdict([a_track(last=29)], [a_violation(start=1.0, end=1.0)])
    out = write_overlay(source, video, tmp_path / "out" / "o.mp4")
    assert os.listdir(tmp_path / "out") == ["o.mp4"]
    frames, fps = read_video(out)
    assert len(frames) == FRAMES and fps == FPS and frames.shape[2] == 96 * 6  # 64 x 6 = 384: 360 at least
    assert frames.shape[1] > 64 * 6 and frames.shape[1] % 2 == 0
    border = [is_red(frame[200, :3]).mean() > 0.5 for frame in frames]
    assert border.index(True) == 24 and sum(border) == 17  # 0 to 16 / 24: held for 0.7 s
    assert is_red(frames[24][:384]).sum() > 3 * is_red(frames[20][:384]).sum() + 500  # the crime's name
    assert is_red(frames[0][384:]).any()  # the timeline's mark, from the start
    about = probe(out)["metadata"]
    assert about["audit_of"] == "a.mp4" and "1 violation" in about["verdict"]


def test_boxes_are_where_the_things_are(video, tmp_path):
    frames, _ = read_video(write_overlay(a_verdict([a_track(gap=(9, 10))]), video, tmp_path / "out" / "o.mp4"))
    for number in (0, 9, 30):  # 9: between two sightings
        below = frames[number, 36 * 6 - 4 : 36 * 6 + 4].astype(int)  # the box's lower edge, in blue
        columns = np.flatnonzero((np.abs(below - (59, 130, 246)).sum(-1) < 120).any(0))
        assert abs(columns.min() - (4 + number) * 6) < 5 and abs(columns.max() - (18 + number) * 6) < 5


def test_overlays_of_nothing_and_of_things_outside(video, tmp_path):
    out = tmp_path / "out" / "o.mp4"
    for verdict in (a_verdict([]), a_verdict([], [a_violation(track=7, what=EVIL, box=(-50, -9, 900, 2))]),
                    a_verdict(violations=[a_violation(box=(float("nan"),) * 4, track=9)])):
        assert len(read_video(write_overlay(verdict, video, out))[0]) == FRAMES


def test_the_video_itself_is_not_overwritten(video):
    before = video.read_bytes()
    with pytest.raises(BadInput, match="itself"):
        write_overlay(GUILTY, video, video)
    assert video.read_bytes() == before


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("write, good, bad", [(write_report, "r.html", "r.pdf"), (write_overlay, "o.mp4", "o.avi")])
def test_failures_are_one_line_and_leave_nothing(video, tmp_path, monkeypatch, write, good, bad):
    out = tmp_path / "out"
    with pytest.raises(BadInput, match="must end in"):
        write(GUILTY, video, out / bad)
    with pytest.raises(CannotWrite, match="no folder"):
        write(GUILTY, video, out / "none" / good)
    with pytest.raises(BadMedia, match="no file"):
        write(GUILTY, out / "none.mp4", out / good)
    (out / good).write_text("older")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("av.VideoFrame.from_ndarray", full)
    with pytest.raises(CannotWrite, match=f"{good}: the disk is full") as caught:
        write(GUILTY, video, out / good)
    assert "\n" not in str(caught.value)
    assert os.listdir(out) == [good] and (out / good).read_text() == "older"


def test_stopped_in_the_middle(video, tmp_path, monkeypatch):
    real = overlay_file._Pen.draw

    def draw(self, frame, number):
        if number == 30:
            raise KeyboardInterrupt
        return real(self, frame, number)

    monkeypatch.setattr(overlay_file._Pen, "draw", draw)
    with pytest.raises(KeyboardInterrupt, match=r"the first 1\.2 s are in .*o\.partial\.mp4"):
        write_overlay(GUILTY, video, tmp_path / "out" / "o.mp4")
    assert len(read_video(tmp_path / "out" / "o.partial.mp4")[0]) == 30

    def stop(*args):
        raise KeyboardInterrupt

    os.remove(tmp_path / "out" / "o.partial.mp4")
    monkeypatch.setattr(report_file.VideoWriter, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        write_report(GUILTY, video, tmp_path / "out" / "r.html")
    assert os.listdir(tmp_path / "out") == []


# ---------------------------------------------------------------- the verb


@pytest.fixture
def judged(video, monkeypatch):
    """The verb in a folder with a.mp4, over a judge who says GUILTY; the judge's calls."""
    calls = []

    def audit(path, prompt=None, camera=None, progress=True):
        calls.append((str(path), prompt, camera, progress))
        return replace(GUILTY, source=str(path))

    monkeypatch.setitem(sys.modules, "reverie.audit.judge", types.SimpleNamespace(audit=audit))
    monkeypatch.chdir(video.parent)
    return calls


def test_the_verb_prints_the_verdict(judged, capsys):
    assert cli.main(["audit", "a.mp4", "--prompt", " a  ball ", "--camera", "orbit left 30"]) == 0
    assert judged == [("a.mp4", "a ball", "orbit left 30", True)]
    assert capsys.readouterr().out == verdict_text(GUILTY) + "\n"
    assert cli.main(["audit", "--help"]) == 0 and "--overlay" in capsys.readouterr().out


def test_the_verb_prints_one_json_object(judged, capsys):
    assert cli.main(["audit", "a.mp4", "--json"]) == 0
    out = capsys.readouterr().out
    found = json.loads(out, parse_constant=lambda name: pytest.fail(name))
    assert out.count("\n") == 1 and found["verdict"] == "violations" and found["report"] is found["overlay"] is None
    assert cli.main(["audit", "a.mp4", "--json", "-o", "r.html", "--overlay", "o.mp4"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["report"], found["overlay"]) == ("r.html", "o.mp4")
    assert sorted(os.listdir(".")) == ["a.mp4", "o.mp4", "r.html"]


def test_the_verb_writes_files(judged, capsys):
    assert cli.main(["audit", "a.mp4", "-o", "r.html", "--overlay", "o.mp4"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"r.html: {sentence(GUILTY)}" and second.startswith("o.mp4: ")


@pytest.mark.parametrize("code, extra", [
    (2, ["-o", "r.txt"]), (2, ["--overlay", "o.gif"]), (2, ["--overlay", "a.mp4"]), (2, ["--prompt", " "]),
    (2, ["--camera", "fly up"]), (2, ["--camera", ""]), (2, ["b.mp4"]), (2, ["--nothing"]),
    (1, ["-o", "none/r.html"]), (1, ["--overlay", "none/o.mp4"])])
def test_the_verb_refuses_before_it_judges(judged, capsys, code, extra):
    assert cli.main(["audit", "a.mp4", *extra]) == code
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and not judged and os.listdir(".") == ["a.mp4"]


def test_the_verb_names_a_video_that_is_not_there(judged, capsys):
    assert cli.main(["audit", "none.mp4"]) == 1 and not judged
    out, err = capsys.readouterr()
    assert out == "" and err == "reverie: there is no file none.mp4\n"
