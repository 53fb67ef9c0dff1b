"""House rules that nothing else would notice being broken: what may import what, and what help must not import."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "facemotion"

LAYERS = (
    "errors profiling version",
    "expressions media weights",
    "device faces",
    "models compositing head rendering",
    "datasets settings",
    "animation",
    "api",
    "batch training evaluation",
    "ui",
    "cli",
)
"""Modules and folders of the package, lowest first: a file may import from its own line and from those above it."""

HEAVY = {
    "aiohttp",
    "torch",
    "numpy",
    "PIL",
    "cv2",
    "scipy",
    "numba",
    "requests",
    "face_alignment",
    "av",
    "skimage",
    "filelock",
}

LOADED_BY_HELP = """
import contextlib, io, json, sys
import typer
from facemotion.cli.app import app

loaded = {}
for command in ["", *typer.main.get_command(app).commands]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        app([*command.split(), "--help"])
    loaded[command] = sorted(sys.modules)
print(json.dumps(loaded))
"""


def test_every_part_of_the_package_has_its_layer():
    parts = {path.stem for path in PACKAGE.iterdir() if (path / "__init__.py").exists() or path.suffix == ".py"}
    assert parts - {"__init__", "__main__"} == set(" ".join(LAYERS).split())


@pytest.mark.parametrize("part", " ".join(LAYERS).split())
def test_imports_point_downwards(part):
    rank = {name: level for level, line in enumerate(LAYERS) for name in line.split()}
    files = [PACKAGE / f"{part}.py"] if (PACKAGE / f"{part}.py").exists() else sorted((PACKAGE / part).rglob("*.py"))
    upwards = [
        f"{file.relative_to(PACKAGE.parent)} imports {imported}"
        for file in files
        for imported in imported_parts(file)
        if rank[imported] > rank[part]
    ]
    assert upwards == []


def imported_parts(file: Path) -> set[str]:
    """Parts of the package that a file imports anywhere, also inside functions; relative imports are not used."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    split = [name.split(".") for name in names if name.startswith("facemotion.")]
    return {parts[1] for parts in split if (PACKAGE / parts[1]).exists() or (PACKAGE / f"{parts[1]}.py").exists()}


def test_no_file_imports_itself_in_a_circle():
    """Imports inside functions and those for types alone count: a circle of any kind is read as one large file."""
    files = {module_name(path): path for path in PACKAGE.rglob("*.py")}
    graph = {name: imported_files(path, files) - {name} for name, path in files.items()}
    assert [sorted(circle) for circle in circles(graph)] == []


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def imported_files(path: Path, files: dict[str, Path]) -> set[str]:
    """Files of the package that a file imports anywhere."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names |= {name if name in files else node.module for name in whole}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names & files.keys()


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Sets of files each of which reaches every other one."""
    reach = {name: reached(graph, name) for name in graph}
    found = []
    for name in sorted(graph):
        circle = {other for other in reach[name] if name in reach[other]}
        if circle and circle not in found:
            found.append(circle)
    return found


def reached(graph: dict[str, set[str]], start: str) -> set[str]:
    seen, waiting = set(), [*graph[start]]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph[name]
    return seen


def test_no_two_classes_share_a_name():
    """One word, one meaning."""
    homes: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(name)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_help_imports_nothing_heavy():
    loaded = json.loads(python(LOADED_BY_HELP))
    assert {"", "animate", "faces", "expressions", "weights", "prepare", "train", "evaluate"} <= set(loaded)
    assert {command: HEAVY & set(modules) for command, modules in loaded.items() if HEAVY & set(modules)} == {}


def test_the_package_itself_imports_nothing_heavy():
    loaded = json.loads(python("import json, sys, facemotion; print(json.dumps(sorted(sys.modules)))"))
    assert HEAVY & set(loaded) == set()


def python(script: str) -> str:
    """What the script prints in a process of its own."""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


def test_no_pickled_network_is_loaded():
    """Weights are safetensors; only training states and face-alignment's own files go through torch.load."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert options.get("weights_only") == "True", f"{file}:{node.lineno}"
