"""Hooks of build backends, called in real child processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kaa.pypi.build_frontend import BuildFailed, SourceTree, build_environ, call_hook
from kaa.pypi.sdist import BuildSystem

BACKEND = """
import os, sys

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    print("about to work")
    if os.environ.get("PLEASE_FAIL"):
        raise RuntimeError("no compiler at https://me:secret@host/x")
    return os.path.join(os.getcwd(), wheel_directory)

def get_requires_for_build_wheel(config_settings=None):
    return [name for name in os.environ if name.startswith(("PIP_", "CONDA_", "PYTHON"))] + sys.argv[1:]

class Inner:
    @staticmethod
    def build_wheel(wheel_directory):
        return "inner"
"""


def tree_with(folder: Path, backend: str = "backend", backend_path: tuple[str, ...] = ("in",)) -> SourceTree:
    root = folder / "source"
    (root / "in").mkdir(parents=True)
    (root / "in" / "backend.py").write_text(BACKEND)
    (folder / "scratch").mkdir()
    return SourceTree(
        "tool-1.0.tar.gz", root, BuildSystem((), backend, backend_path), folder / "scratch", folder / "log"
    )


def call(tree: SourceTree, hook: str, **arguments: object) -> object:
    return call_hook(tree, Path(sys.prefix), Path(sys.executable), hook, arguments)


def test_hooks_are_called_in_the_source_tree(tmp_path: Path) -> None:
    tree = tree_with(tmp_path)
    assert call(tree, "build_wheel", wheel_directory="x") == str(tree.root / "x")
    assert call(tree, "prepare_metadata_for_build_wheel", metadata_directory="x") is None
    assert "about to work" in tree.log.read_text()


def test_a_backend_may_be_an_attribute(tmp_path: Path) -> None:
    assert call(tree_with(tmp_path, "backend:Inner"), "build_wheel", wheel_directory="x") == "inner"


def test_other_environments_do_not_leak_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_INDEX_URL", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"):
        monkeypatch.setenv(name, "/nowhere")
    found = call(tree_with(tmp_path), "get_requires_for_build_wheel")
    assert isinstance(found, list)
    assert set(found) == {"PYTHONNOUSERSITE", "PYTHONDONTWRITEBYTECODE", "PYTHONIOENCODING"}


def test_a_failure_shows_the_end_of_the_log_without_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLEASE_FAIL", "1")
    tree = tree_with(tmp_path)
    with pytest.raises(BuildFailed) as caught:
        call(tree, "build_wheel", wheel_directory="x")
    assert caught.value.tail[-1] == "RuntimeError: no compiler at https://***@host/x"
    assert "no compiler" in caught.value.message
    assert "secret" not in caught.value.message
    assert any(str(tree.log) in hint for hint in caught.value.hints)


@pytest.mark.parametrize(
    ("backend", "backend_path", "reason"),
    [
        ("json", ("in",), "is not in"),
        ("missing_module", ("in",), "ModuleNotFoundError"),
        ("backend", (), "ModuleNotFoundError"),
        ("backend:nothing", ("in",), "AttributeError"),
    ],
)
def test_backends_that_cannot_be_loaded(
    tmp_path: Path, backend: str, backend_path: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(BuildFailed, match=reason):
        call(tree_with(tmp_path, backend, backend_path), "build_wheel", wheel_directory="x")


def test_the_environment_of_a_build_is_first_on_path() -> None:
    found = build_environ({"PATH": "/usr/bin", "HTTPS_PROXY": "p", "VIRTUAL_ENV": "v", "_CONDA_ROOT": "r"}, Path("/e"))
    assert found["PATH"].split(":") == ["/e/bin", "/usr/bin"]
    assert found["HTTPS_PROXY"] == "p"
    assert not {"VIRTUAL_ENV", "_CONDA_ROOT"} & found.keys()
