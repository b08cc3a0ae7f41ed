from __future__ import annotations

from typing import Any

import pytest

from kaa.models.package_info import LinkJson, NoArchLink, PathEntry
from kaa.models.record import PackageRecord, RepoDataRecord
from kaa.transaction.actions import (
    How,
    PackageActions,
    UnsafePath,
    bytecode_path,
    bytecode_source,
    plan_actions,
    why_unsafe,
)
from kaa.transaction.noarch_python import PythonMissing
from kaa.transaction.plan import python_of

PYTHON = python_of([PackageRecord(name="python", version="3.12.4", build="0")], "linux-64")
PLAIN = LinkJson()
NOARCH = LinkJson(noarch=NoArchLink(type="python", entry_points=("tool = tool:main",)))


def actions(
    *entries: PathEntry | str,
    link: LinkJson = PLAIN,
    subdir: str = "linux-64",
    compiled: bool = True,
    **fields: Any,
) -> PackageActions:
    record = RepoDataRecord(name="tool", version="1.0", build="0", **fields)
    paths = [PathEntry(path=entry) if isinstance(entry, str) else entry for entry in entries]
    return plan_actions(record, paths, link, prefix="/env", subdir=subdir, python=PYTHON, compile_bytecode=compiled)


def hows(found: PackageActions) -> dict[str, How]:
    return {action.target: action.how for action in found.actions}


def test_what_is_done_for_each_kind_of_path() -> None:
    found = actions(
        "lib/a",
        PathEntry(path="lib/b", path_type="softlink"),
        PathEntry(path="lib/c", path_type="directory"),
        PathEntry(path="lib/d", prefix_placeholder="/p", file_mode="text"),
        PathEntry(path="lib/e", prefix_placeholder="/p", file_mode="binary"),
        PathEntry(path="lib/f", no_link=True),
    )
    assert list(hows(found).values()) == [How.LINK, How.SOFTLINK, How.DIRECTORY, How.RENDER, How.RENDER, How.COPY]


def test_binaries_for_windows_are_linked_as_they_are() -> None:
    found = actions(PathEntry(path="a.exe", prefix_placeholder="/p", file_mode="binary"), subdir="win-64")
    assert hows(found) == {"a.exe": How.LINK}


def test_a_noarch_package_gets_entry_points_and_bytecode() -> None:
    assert hows(actions("site-packages/tool.py", "python-scripts/t", link=NOARCH)) == {
        "lib/python3.12/site-packages/tool.py": How.LINK,
        "bin/t": How.LINK,
        "bin/tool": How.WRITE,
        "lib/python3.12/site-packages/__pycache__/tool.cpython-312.pyc": How.BYTECODE,
    }


def test_bytecode_that_comes_along_is_taken() -> None:
    own = "lib/python3.12/site-packages/__pycache__/a.cpython-312.pyc"
    found = actions(
        "lib/python3.12/site-packages/a.py", "lib/python3.12/site-packages/b.py", own, "lib/python3.12/x.py"
    )
    assert [path for path, how in hows(found).items() if how is How.BYTECODE] == [
        "lib/python3.12/site-packages/__pycache__/b.cpython-312.pyc"
    ]
    assert hows(found)[own] is How.LINK


def test_nothing_is_compiled_when_that_is_not_wanted() -> None:
    assert How.BYTECODE not in hows(actions("site-packages/tool.py", link=NOARCH, compiled=False)).values()


def test_the_record_decides_when_the_package_does_not_say() -> None:
    assert "lib/python3.12/site-packages/a" in hows(actions("site-packages/a", noarch="python"))
    assert "site-packages/a" in hows(actions("site-packages/a", noarch="generic"))
    assert "site-packages/a" in hows(actions("site-packages/a", noarch="python", link=LinkJson(noarch=NoArchLink())))


@pytest.mark.parametrize("needs", [["site-packages/a.py"], ["python-scripts/a"], []])
def test_python_packages_need_a_python(needs: list[str]) -> None:
    record = RepoDataRecord(name="tool", version="1.0", build="0")
    entries = [PathEntry(path=path) for path in needs]
    with pytest.raises(PythonMissing, match=r"tool-1\.0-0"):
        plan_actions(record, entries, NOARCH, prefix="/e", subdir="linux-64", python=None, compile_bytecode=True)


def test_case_makes_no_difference_on_some_targets() -> None:
    assert len(actions("share/A", "share/a", subdir="linux-64").actions) == 2
    assert hows(actions("share/A", "share/a", subdir="osx-arm64")) == {"share/a": How.LINK}
    assert hows(actions("share/A", "share/a", subdir="win-64")) == {"share/a": How.LINK}


UNSAFE = [
    "../a",
    "a/../../b",
    "a/..",
    "/etc/passwd",
    "",
    ".",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    "C:/windows",
    "c:a",
    "\\\\host\\share",
    "a\\..\\..\\b",
    "a\0b",
    "conda-meta/history",
    "Conda-Meta/x.json",
    "conda-meta",
    "__clobbers__/a/b",
]


@pytest.mark.parametrize("path", UNSAFE)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    assert why_unsafe(path)
    for kind in ("hardlink", "softlink", "directory"):
        with pytest.raises(UnsafePath) as caught:
            actions(PathEntry(path=path, path_type=kind))
        assert caught.value.package == "tool-1.0-0"


@pytest.mark.parametrize(
    "path", ["a", ".hidden", "a/.b", "a..b/c..d", "...", "conda-metal/x", "lib/conda-meta/x", "a b"]
)
def test_odd_paths_are_fine(path: str) -> None:
    assert why_unsafe(path) == ""
    assert hows(actions(path)) == {path: How.LINK}


@pytest.mark.parametrize("path", ["../outside", "/usr/lib", "lib/../../x", "conda-meta"])
def test_site_packages_must_stay_within(path: str) -> None:
    python = python_of(
        [PackageRecord(name="python", version="3.12.4", build="0", python_site_packages_path=path)], "linux-64"
    )
    with pytest.raises(UnsafePath):
        plan_actions(
            RepoDataRecord(name="tool", version="1.0", build="0"),
            [PathEntry(path="site-packages/a.py")],
            NOARCH,
            prefix="/env",
            subdir="linux-64",
            python=python,
            compile_bytecode=True,
        )


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("lib/__pycache__/a.cpython-312.pyc", "lib/a.py"),
        ("lib/__pycache__/a.cpython-312.opt-2.pyc", "lib/a.py"),
        ("lib/__pycache__/a.b.cpython-313.pyc", "lib/a.b.py"),
        ("lib/__pycache__/a.pypy39.pyc", "lib/a.py"),
        ("__pycache__/a.cpython-38.pyc", "a.py"),
        ("lib/a.pyc", None),
        ("lib/__pycache__/a.pyc", None),
        ("lib/__pycache__/a.txt", None),
        ("lib/my__pycache__/a.cpython-312.pyc", None),
    ],
)
def test_whose_bytecode(path: str, source: str | None) -> None:
    assert bytecode_source(path) == source
    if source is not None and "cpython-312.pyc" in path:
        assert bytecode_path(source, "cpython-312") == path
