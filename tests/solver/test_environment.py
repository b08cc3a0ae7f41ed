"""Changing an environment: what stays, what is updated, what goes."""

from __future__ import annotations

from typing import Any

import pytest

from kaa.models.record import RepoDataRecord
from kaa.solver.failures import NotInstalled, NotInstalledForUpdate, PackagesNotFound, Unsolvable
from tests.solver.packages import ask, package, packages, shown, shown_with_builds, source

CHANNEL = """
    python 3.13.1
    python 3.12.7
    python 3.12.1
    python 3.11.9
    numpy 2.1 py313_0: python 3.13.*; blas
    numpy 2.1 py312_0: python 3.12.*; blas
    numpy 2.1 py311_0: python 3.11.*; blas
    numpy 1.26 py312_0: python 3.12.*; blas
    numpy 1.26 py311_0: python 3.11.*; blas
    pandas 2.2 py313_0: python 3.13.*; numpy >=2; tzdata
    pandas 2.2 py312_0: python 3.12.*; numpy >=1.26; tzdata
    pandas 2.0 py311_0: python 3.11.*; numpy >=1.20,<2; tzdata
    blas 2
    blas 1
    tzdata 2025
    tzdata 2024
    oldtool 1: numpy <2
    newtool 1: numpy >=2
    newtool 0: numpy
    tool 2: helper
    tool 1: helper
    helper 1: lib
    lib 1
    loner 1
    patched 2: python >=3.12.5
    patched 1: python
    either 1: way
    way 2: app >=2
    way 1: python >=3.12.5
    app 2
    app 1
"""


def environment(text: str) -> dict[str, Any]:
    """The installed records of a line: `python-3.12.1 numpy-1.26-py312_0 …`."""
    known = {record.dist: record for record in packages(CHANNEL)}
    return {"installed": tuple(known.get(dist) or known[f"{dist}-0"] for dist in text.split())}


TOOLS = "tool-2 helper-1 lib-1 loner-1"
UNCHANGED = "blas-1 numpy-1.26 python-3.12.1 tzdata-2024"
SMALL = "python-3.12.1 numpy-1.26-py312_0 blas-1 tzdata-2024"

TABLE: list[tuple[str, str, list[str], dict[str, Any], str]] = [
    ("nothing changes without need", SMALL, ["loner"], {}, "blas-1 loner-1 numpy-1.26 python-3.12.1 tzdata-2024"),
    ("what is there already is kept", SMALL, ["numpy"], {}, UNCHANGED),
    ("unless it will not do", SMALL, ["numpy >=2"], {}, "blas-1 numpy-2.1 python-3.12.1 tzdata-2024"),
    (
        "python stays for something new",
        "python-3.11.9 blas-1",
        ["pandas"],
        {},
        "blas-1 numpy-1.26 pandas-2.0 python-3.11.9 tzdata-2025",
    ),
    (
        "python keeps its minor version only, where a request gains by it",
        SMALL,
        ["patched"],
        {},
        "blas-1 numpy-1.26 patched-2 python-3.12.7 tzdata-2024",
    ),
    (
        "and of all that may change it is the last",
        "python-3.12.1 app-1",
        ["either"],
        {},
        "app-2 either-1 python-3.12.1 way-2",
    ),
    (
        "what is asked for is new, the rest is changed if it must be",
        SMALL,
        ["newtool"],
        {},
        "blas-1 newtool-1 numpy-2.1 python-3.12.1 tzdata-2024",
    ),
    (
        "what is installed is not given up for something newer",
        SMALL + " oldtool-1",
        ["newtool"],
        {},
        "blas-1 newtool-0 numpy-1.26 oldtool-1 python-3.12.1 tzdata-2024",
    ),
    (
        "python changes when it is asked for",
        SMALL,
        ["python 3.13.*"],
        {},
        "blas-1 numpy-2.1 python-3.13.1 tzdata-2024",
    ),
    ("one update", SMALL, [], {"update": ["numpy"]}, "blas-1 numpy-2.1 python-3.12.1 tzdata-2024"),
    ("an update of python", SMALL, [], {"update": ["python"]}, "blas-1 numpy-2.1 python-3.13.1 tzdata-2024"),
    (
        "an update to a version",
        SMALL,
        [],
        {"update": ["python <3.13"]},
        "blas-1 numpy-1.26 python-3.12.7 tzdata-2024",
    ),
    ("an update of all", SMALL, [], {"update_all": True}, "blas-2 numpy-2.1 python-3.12.7 tzdata-2025"),
    (
        "an update of all that installs something, too",
        SMALL,
        ["loner"],
        {"update_all": True},
        "blas-2 loner-1 numpy-2.1 python-3.12.7 tzdata-2025",
    ),
    (
        "an earlier request holds",
        SMALL,
        ["newtool"],
        {"history": ["numpy 1.*", "python"]},
        "blas-1 newtool-0 numpy-1.26 python-3.12.1 tzdata-2024",
    ),
    (
        "but not its version when all is updated",
        SMALL,
        [],
        {"update_all": True, "history": ["numpy 1.*", "python"]},
        "blas-2 numpy-2.1 python-3.12.7 tzdata-2025",
    ),
    (
        "nor when it is updated itself",
        SMALL,
        [],
        {"update": ["numpy"], "history": ["numpy 1.*", "tzdata 2024"]},
        "blas-1 numpy-2.1 python-3.12.1 tzdata-2024",
    ),
    (
        "its name holds when all is updated",
        SMALL + " oldtool-1",
        [],
        {"update_all": True, "history": ["oldtool 1"]},
        "blas-2 numpy-1.26 oldtool-1 python-3.12.7 tzdata-2025",
    ),
    (
        "what an update needs is left alone",
        SMALL,
        [],
        {"update": ["numpy"]},
        "blas-1 numpy-2.1 python-3.12.1 tzdata-2024",
    ),
    (
        "or updated, too",
        SMALL,
        [],
        {"update": ["numpy"], "update_deps": True},
        "blas-2 numpy-2.1 python-3.12.7 tzdata-2024",
    ),
    (
        "also what an installation needs",
        SMALL,
        ["newtool"],
        {"update_deps": True},
        "blas-2 newtool-1 numpy-2.1 python-3.12.7 tzdata-2024",
    ),
    (
        "the versions of earlier requests do not hold what is updated along",
        SMALL,
        ["newtool"],
        {"update_deps": True, "history": ["blas 1", "tzdata 2024"]},
        "blas-2 newtool-1 numpy-2.1 python-3.12.7 tzdata-2024",
    ),
    (
        "pins do",
        SMALL,
        ["newtool"],
        {"update_deps": True, "pins": ["blas 1"]},
        "blas-1 newtool-1 numpy-2.1 python-3.12.7 tzdata-2024",
    ),
    (
        "what is refreshed goes along with any change",
        SMALL,
        ["loner"],
        {"refresh": ("tzdata", "tool")},
        "blas-1 loner-1 numpy-1.26 python-3.12.1 tzdata-2025",
    ),
    (
        "unless it is frozen",
        SMALL,
        ["loner"],
        {"refresh": ("tzdata",), "freeze_installed": True},
        "blas-1 loner-1 numpy-1.26 python-3.12.1 tzdata-2024",
    ),
    (
        "a new request replaces an earlier one",
        SMALL,
        ["numpy 2.*"],
        {"history": ["numpy 1.*"]},
        "blas-1 numpy-2.1 python-3.12.1 tzdata-2024",
    ),
    (
        "an earlier request that does not hold any more is no request",
        SMALL,
        ["loner"],
        {"history": ["numpy 2.*", "gone 1.*"]},
        "blas-1 loner-1 numpy-1.26 python-3.12.1 tzdata-2024",
    ),
    (
        "a pin holds",
        SMALL,
        [],
        {"update": ["numpy"], "pins": ["numpy 1.*"]},
        UNCHANGED,
    ),
    (
        "a pin installs nothing",
        SMALL,
        [],
        {"update": ["tzdata"], "pins": ["loner 1.*"]},
        "blas-1 numpy-1.26 python-3.12.1 tzdata-2025",
    ),
    (
        "a pin holds for dependencies",
        "",
        ["newtool"],
        {"pins": ["numpy 1.*"]},
        "blas-2 newtool-0 numpy-1.26 python-3.12.7",
    ),
    (
        "frozen packages stay",
        SMALL,
        ["newtool"],
        {"freeze_installed": True},
        "blas-1 newtool-0 numpy-1.26 python-3.12.1 tzdata-2024",
    ),
    (
        "what is asked for is not frozen",
        SMALL,
        ["numpy 2.*"],
        {"freeze_installed": True},
        "blas-1 numpy-2.1 python-3.12.1 tzdata-2024",
    ),
    ("removal", TOOLS, [], {"remove": ["tool"]}, "helper-1 lib-1 loner-1"),
    (
        "removal with what only it needed",
        TOOLS,
        [],
        {"remove": ["tool"], "prune": True},
        "loner-1",
    ),
    (
        "but not with what was asked for",
        TOOLS,
        [],
        {"remove": ["tool"], "prune": True, "history": ["tool", "lib"]},
        "lib-1 loner-1",
    ),
    ("removal of what others need", TOOLS, [], {"remove": ["lib"]}, "loner-1"),
    ("removal by version", "tool-2 helper-1 lib-1", [], {"remove": ["tool 2"]}, "helper-1 lib-1"),
    ("removal of one alone", "tool-2 helper-1 lib-1", [], {"remove": ["lib"], "no_deps": True}, "helper-1 tool-2"),
    (
        "removal and installation",
        "tool-2 helper-1 lib-1",
        ["loner"],
        {"remove": ["tool"]},
        "helper-1 lib-1 loner-1",
    ),
    ("without dependencies", "python-3.11.9", ["pandas"], {"no_deps": True}, "pandas-2.0 python-3.11.9"),
    ("without dependencies, from nothing", "", ["pandas"], {"no_deps": True}, "pandas-2.2"),
    ("dependencies only", "", ["tool"], {"only_deps": True}, "helper-1 lib-1"),
    ("dependencies only, one needs the other", "", ["tool", "helper"], {"only_deps": True}, "lib-1"),
    (
        "dependencies only, of what is there",
        "tool-1 helper-1 lib-1",
        ["tool"],
        {"only_deps": True},
        "helper-1 lib-1 tool-1",
    ),
]


@pytest.mark.parametrize(
    ("before", "wanted", "jobs", "after"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_changes(before: str, wanted: list[str], jobs: dict[str, Any], after: str) -> None:
    assert shown(ask(source(CHANNEL), *wanted, **environment(before), **jobs)) == after
    backwards = "\n".join(reversed(CHANNEL.splitlines()))
    there = environment(" ".join(reversed(before.split())))
    assert shown(ask(source(backwards), *wanted, **there, **jobs)) == after


def test_builds_stay_with_their_python() -> None:
    solution = ask(source(CHANNEL), "pandas", **environment("python-3.12.1 numpy-2.1-py312_0 blas-1"))
    assert "numpy-2.1-py312_0" in shown_with_builds(solution)
    assert solution.why["pandas"] == "requested"
    assert solution.why["numpy"] == "installed"
    assert solution.why["tzdata"] == "dependency"


def test_an_installed_package_that_no_channel_offers_stays() -> None:
    mine = package("mine 1 local_0: lib", channel="file:///home/me/channel")
    solution = ask(source(CHANNEL), "loner", installed=(mine, package("lib 1")))
    assert shown(solution) == "lib-1 loner-1 mine-1"
    assert solution.find("mine") is mine


def test_an_installed_package_with_other_content_is_another_one() -> None:
    """The channel has a package of the same dist string, but it is not the one that is installed."""
    old = package("lib 1", sha256="0" * 64)
    where = source(package("lib 1", sha256="1" * 64), "loner 1")
    solution = ask(where, "loner", installed=(old,))
    assert solution.find("lib") is old


def test_patched_metadata_of_an_installed_package_counts() -> None:
    """The record of the channel is the newer knowledge about the same file."""
    where = source("tool 1: lib >=2\nlib 2\nlib 1\nloner 1")
    solution = ask(where, "loner", installed=(package("tool 1: lib"), package("lib 1")))
    assert shown(solution) == "lib-2 loner-1 tool-1"


def test_an_older_version_of_a_channel_that_has_only_newer_ones() -> None:
    assert shown(ask(source("lib 2\nloner 1"), "loner", installed=(package("lib 1"),))) == "lib-1 loner-1"
    assert shown(ask(source("lib 2\nloner 1"), update=["lib"], installed=(package("lib 1"),))) == "lib-2"


def test_what_cannot_be_had_without_dependencies_is_taken_all_the_same() -> None:
    where = source("a 2: gone\na 1: gone")
    assert shown(ask(where, "a", no_deps=True)) == "a-2"
    assert shown(ask(where, "a <2", no_deps=True)) == "a-1"


def test_a_pin_holds_without_dependencies() -> None:
    where = source("a 2: gone\na 1: gone")
    assert shown(ask(where, "a", no_deps=True, pins=["a 1.*"])) == "a-1"
    with pytest.raises(Unsolvable):
        ask(where, "a 2.*", no_deps=True, pins=["a 1.*"])


def test_dependents_of_a_removed_package_go_with_it() -> None:
    installed = tuple(
        packages("a 1: b\nb 1: c\nc 1\nd 1: c[when='a']\ne 1: c[when='__win and a']\nf 1: b[when='gone']")
    )
    assert shown(ask(source("a 1"), remove=["c"], installed=installed)) == "f-1"
    assert shown(ask(source("a 1"), remove=["b"], installed=installed)) == "c-1 d-1 e-1 f-1"


def test_a_cycle_that_only_the_removed_needed_goes() -> None:
    installed = tuple(packages("a 1: b\nb 1: c\nc 1: b\nd 1"))
    assert shown(ask(source("a 1"), remove=["a"], prune=True, installed=installed)) == "d-1"


def test_removal_keeps_the_records_as_they_are() -> None:
    installed = (package("a 1"), package("mine 1 local_0", channel="file:///x"))
    solution = ask(source("a 1\na 2"), remove=["a"], installed=installed)
    assert solution.records == (installed[1],)


@pytest.mark.parametrize(
    ("jobs", "error", "text"),
    [
        ({"remove": ["gone"]}, NotInstalled, "Cannot remove gone: it is not installed in this environment."),
        ({"remove": ["lib >=5"]}, NotInstalled, "Cannot remove lib>=5: it is not installed in this environment."),
        ({"update": ["loner"]}, NotInstalledForUpdate, "Cannot update loner: it is not installed in this environment."),
        (
            {"update": ["loner", "tool"]},
            NotInstalledForUpdate,
            "Cannot update loner and tool: they are not installed in this environment.",
        ),
        ({"update": ["lib >=5"]}, PackagesNotFound, "No channel offers lib>=5. There is only 1."),
    ],
)
def test_what_is_not_there(jobs: dict[str, list[str]], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        ask(source(CHANNEL), installed=(package("lib 1"),), **jobs)
    assert str(caught.value).startswith(text)


def test_the_names_under_which_conda_knows_these_errors() -> None:
    assert NotInstalled.conda_name == "PackagesNotFoundError"
    assert NotInstalledForUpdate.conda_name == "PackageNotInstalledError"
    assert Unsolvable.conda_name == "UnsatisfiableError"


def test_an_empty_request_changes_nothing() -> None:
    there: tuple[RepoDataRecord, ...] = environment(SMALL)["installed"]
    assert shown(ask(source(CHANNEL), installed=there)) == UNCHANGED
