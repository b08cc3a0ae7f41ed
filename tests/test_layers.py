"""The table of rooms (docs/architecture.md): a room imports only rooms with a smaller number, never a sibling."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "kaa"

ROOMS = [
    ["errors", "events"],
    ["models"],
    ["envfiles", "solver"],
    ["host"],
    ["net", "archive"],
    ["pypi"],
    ["index", "package_cache", "prefix"],
    ["transaction", "shell"],
    ["config"],
    ["api"],
    ["channels", "offline", "installers"],
    ["web"],
    ["cli"],
]
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}

PURE = {"errors", "events", "models", "envfiles", "solver"}
"""Rooms that compute and do nothing else."""
PURE_THIRD_PARTY = {"msgspec", "ruamel", "yaml"}
EFFECTS = {
    "os",
    "pathlib",
    "socket",
    "subprocess",
    "urllib3",
    "shutil",
    "tempfile",
    "time",
    "random",
    "sys",
    "threading",
}

LAZY_IMPORTS = {
    # module → first-party modules that it imports inside a function, for start-up time
    "kaa.cli.main": "the one command that was asked for",
    "kaa": "public names on first use",
    "kaa.index.subdir_source": "reading a document and making its index, when it is new",
    "kaa.index.shard_source": "unpacking and writing, when something was fetched",
    "kaa.net.client": "urllib3 and ssl, when the first request really goes out",
    "kaa.solver.solve": "explanations and repairs, when there is no solution",
    "kaa.api.execution": "changing an environment, when a plan is not only shown",
    "kaa.package_cache.fetch": "downloads, archives and their libraries, when a package is missing",
}
"""Modules that may import kaa's own modules inside functions, and why; at most eight."""


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = list(modules())


def imports_of(path: Path) -> Iterator[tuple[str, int, bool]]:
    """(imported module, line, inside a function) for every import of a file."""
    tree = ast.parse(path.read_text())
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, id(node) in inner
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            base = node.module or ""
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno, id(node) in inner


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "kaa" and len(parts) > 1 and parts[1] in LEVEL else None


def upward(module: str, path: Path) -> list[str]:
    own = room_of(module)
    if own is None:
        return []
    found = []
    for imported, line, _ in imports_of(path):
        other = room_of(imported)
        if other is not None and other != own and LEVEL[other] >= LEVEL[own]:
            found.append(f"{path}:{line}: {own} ({LEVEL[own]}) imports {other} ({LEVEL[other]})")
    return found


@pytest.mark.parametrize(("module", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_imports_point_down(module: str, path: Path) -> None:
    assert upward(module, path) == []


@pytest.mark.parametrize(("module", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_first_party_imports_stand_at_the_top(module: str, path: Path) -> None:
    if module in LAZY_IMPORTS:
        return
    inner = [f"{path}:{line}: {name}" for name, line, inside in imports_of(path) if inside and name.startswith("kaa.")]
    assert inner == []


@pytest.mark.parametrize(("module", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_pure_rooms_touch_nothing(module: str, path: Path) -> None:
    if room_of(module) not in PURE:
        return
    for imported, line, _ in imports_of(path):
        top = imported.split(".")[0]
        assert top not in EFFECTS, f"{path}:{line}: a pure room imports {imported}"
        known = top in sys.stdlib_module_names or top == "kaa" or top in PURE_THIRD_PARTY
        assert known, f"{path}:{line}: a pure room imports the package {imported}"


def test_every_folder_is_a_room() -> None:
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(LEVEL)


def test_packages_hold_a_docstring_and_nothing_else() -> None:
    for module, path in MODULES:
        if path.name == "__init__.py" and module != "kaa":
            body = ast.parse(path.read_text()).body
            only_docstring = len(body) == 1 and isinstance(body[0], ast.Expr)
            assert only_docstring, f"{path} holds more than a docstring"


def test_the_list_of_lazy_imports_is_short() -> None:
    assert len(LAZY_IMPORTS) <= 8


def test_an_upward_import_is_found(tmp_path: Path) -> None:
    path = tmp_path / "version.py"
    path.write_text("from kaa.api import session\nimport kaa.models.record\n")
    assert len(upward("kaa.models.version", path)) == 1
