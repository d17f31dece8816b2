"""Scripts: what is read, and each way in which one can be wrong."""

import pytest

from reverie.core.clip import Line
from reverie.core.errors import BadInput
from reverie.core.moves import parse_moves
from reverie.core.script import STILL, clean_text, load_script, parse_script

GOOD = """
[[line]]
start = 0
text = "a red  ball\\n falls"

[[line]]
start = 2.5
text = "一个红球落下"
camera = "orbit left 30, dolly in 0.5"
"""


def test_a_good_script(tmp_path):
    (tmp_path / "s.toml").write_text(GOOD, encoding="utf-8")
    script = load_script(tmp_path / "s.toml", 5.0)
    assert script.lines == (Line(0.0, "a red ball falls"), Line(2.5, "一个红球落下"))
    assert script.moves == ((0.0, STILL), (2.5, parse_moves("orbit left 30, dolly in 0.5")))


def test_no_camera_means_no_moves():
    assert parse_script('[[line]]\nstart = 0.0\ntext = "a"', 1.0).moves == ()


def line(start="0.0", text='"a"', more=""):
    return f"[[line]]\nstart = {start}\ntext = {text}\n{more}\n"


@pytest.mark.parametrize("text, why", [
    ("", "no [[line]]"),
    ("line = 3", "no [[line]]"),
    ("line = [1]", "line 1 is not"),
    ("[[line]\n", "not valid TOML"),
    ("title = 'x'\n" + line(), "unknown key 'title'"),
    (line(more="colour = 'red'"), "unknown key 'colour'"),
    ("[[line]]\ntext = 'a'", "has no start"),
    ("[[line]]\nstart = 0.0", "has no text"),
    (line(text="3"), "must be text"),
    (line(text="'  '"), "is empty"),
    (line(text=repr("x" * 1001)), "1001 characters"),
    (line(start="'0'"), "must be a number"),
    (line(start="true"), "must be a number"),
    (line(start="nan"), "must be a number"),
    (line(start="inf"), "must be a number"),
    (line(start="-1"), "negative"),
    (line(start="0.5"), "must start at 0"),
    (line() + line("2") + line("2"), "line 3 overlaps"),
    (line() + line("3") + line("2"), "line 3 starts at 2, before"),
    (line() + line("10.0"), "the video ends at 10 s"),
    (line(more="camera = 'fly up'"), "line 1: camera move"),
    (line(more="camera = 3"), "camera must be text"),
    (line() * 201, "201 lines"),
    ("x = " + "[" * 100_000, "not valid TOML"),
])
def test_bad_scripts_say_what_is_wrong(text, why):
    with pytest.raises(BadInput) as caught:
        parse_script(text, 10.0)
    assert why in str(caught.value) and "\n" not in str(caught.value)


def test_unreadable_scripts(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path, tmp_path / "none.toml", tmp_path / "latin.toml", "zero\0byte"):
        with pytest.raises(BadInput, match="cannot read the script"):
            load_script(path, 10.0)


def test_clean_text():
    assert clean_text("  a\t b\n") == "a b"
    for bad in ("", " \n", "x" * 1001, "a\ud800b"):
        with pytest.raises(BadInput):
            clean_text(bad)
