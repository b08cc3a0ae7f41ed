"""Options of a solve, from the command line and from files, on real channels."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.channels import ChannelBuilder, File, Package, Server, serve
from tests.cli.commands import Kaa

DAY = 24 * 60 * 60 * 1000
OLD, RECENT = 1_767_225_600_000, 1_772_366_400_000
"""1 January 2026 and 1 March 2026, 12:00 UTC."""


def versions(kaa: Kaa, name: str) -> str:
    entries = kaa.ok("list", "-n", name, "--json").json()
    return " ".join(sorted(f"{entry['name']}-{entry['version']}" for entry in entries))


def planned(kaa: Kaa, *words: str) -> str:
    """What a dry run would link."""
    actions = kaa.ok(*words, "--dry-run", "--json").json().get("actions", {})
    return " ".join(sorted(f"{entry['name']}-{entry['version']}" for entry in actions.get("LINK", [])))


def fill(folder: Path, *packages: Package) -> list[str]:
    """The flags that choose a channel with these packages alone."""
    ChannelBuilder(folder).add(*packages).write()
    return ["-O", "-c", str(folder)]


# What is newer


@pytest.fixture
def dated(tmp_path: Path) -> list[str]:
    now = int(time.time() * 1000)
    indexed = {"indexed_timestamp": now - 2 * DAY}
    return fill(
        tmp_path / "dated",
        Package("lib", "1", timestamp=OLD // 1000),
        Package("lib", "2", timestamp=RECENT),
        Package("lib", "3", timestamp=OLD, index_extra=indexed),
        Package("tool", "1", depends=["lib"], timestamp=OLD),
        Package("tool", "2", depends=["lib >=2"], timestamp=now - 10 * DAY),
    )


CUTOFFS = [
    ([], "lib-3 tool-2"),
    (["--exclude-newer", "1d"], "lib-3 tool-2"),
    (["--exclude-newer", "3d"], "lib-2 tool-2"),
    (["--exclude-newer", "P3D"], "lib-2 tool-2"),
    (["--exclude-newer", "2026-03-01"], "lib-2 tool-1"),
    (["--exclude-newer", "2026-03-01T11:59:59Z"], "lib-1 tool-1"),
    (["--exclude-newer", "2026-02-28"], "lib-1 tool-1"),
    (["--exclude-newer", "2026-02-28", "--exclude-newer-package", "lib=false"], "lib-3 tool-1"),
    (["--exclude-newer-package", "lib=2026-03-01"], "lib-2 tool-2"),
    (["--exclude-newer", "false"], "lib-3 tool-2"),
]


@pytest.mark.parametrize(("flags", "answer"), CUTOFFS)
def test_exclude_newer(kaa: Kaa, dated: list[str], flags: list[str], answer: str) -> None:
    assert planned(kaa, "create", "-n", "env", *dated, "tool", *flags) == answer


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_cutoff_does_not_set_the_configured_one_aside(kaa: Kaa, dated: list[str], text: str) -> None:
    answer = kaa("create", "-n", "new", "--dry-run", *dated, "--exclude-newer", text, "tool")
    assert answer.code == 2
    assert "--exclude-newer: it is empty" in answer.err


FILES = [
    ("exclude_newer: 3d", [], "lib-2 tool-2"),
    ("cooldown: 3d", [], "lib-2 tool-2"),
    ("exclude_newer: 2026-03-01", [], "lib-2 tool-1"),
    ("exclude_newer: 3d", ["--exclude-newer", "2026-02-28"], "lib-1 tool-1"),
    ("exclude_newer: 3d", ["--exclude-newer", "false"], "lib-3 tool-2"),
    ("exclude_newer: 2026-02-28\nexclude_newer_package:\n  lib: false\n  tool: null", [], "lib-3 tool-2"),
    ("exclude_newer_package: {lib: 3d}", [], "lib-2 tool-2"),
    ("channel_settings:\n  - channel: CHANNEL\n    exclude_newer: 3d", [], "lib-2 tool-2"),
    ("exclude_newer: 3d\nchannel_settings:\n  - channel: CHANNEL\n    exclude_newer: false", [], "lib-3 tool-2"),
    (
        "exclude_newer_package: {lib: 2026-02-28}\nchannel_settings:\n  - channel: CHANNEL\n    exclude_newer: false",
        [],
        "lib-1 tool-1",
    ),
]


@pytest.mark.parametrize(("text", "flags", "answer"), FILES)
def test_exclude_newer_in_files(kaa: Kaa, dated: list[str], text: str, flags: list[str], answer: str) -> None:
    (kaa.home / ".condarc").write_text(text.replace("CHANNEL", dated[-1]))
    assert planned(kaa, "create", "-n", "env", *dated, "tool", *flags) == answer


def test_an_environment_cannot_lift_a_cutoff(kaa: Kaa, dated: list[str]) -> None:
    """What lies in an environment may come with a package."""
    (kaa.home / ".condarc").write_text("exclude_newer: 2026-03-01")
    kaa.ok("create", "-y", "-n", "env", *dated, "lib=1")
    (kaa.environment("env") / ".condarc").write_text("exclude_newer: false\nexclude_newer_package:\n  lib: false")
    kaa.ok("update", "-y", "-n", "env", *dated, "lib")
    assert versions(kaa, "env") == "lib-2"


def test_what_is_newer_is_told_and_what_is_installed_stays(kaa: Kaa, dated: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *dated, "lib=3")
    assert planned(kaa, "install", "-n", "env", *dated, "tool=1", "--exclude-newer", "2026-03-01") == "tool-1"
    answer = kaa("install", "-n", "env", *dated, "tool=2", "--exclude-newer", "2026-03-01")
    assert answer.code == 1
    assert "newer than the cut-off 2026-03-01" in answer.err
    assert kaa.environment("env").is_dir()


@pytest.mark.parametrize("when", ["soon", "1mo", "2026-13-01"])
def test_no_point_in_time(kaa: Kaa, dated: list[str], when: str) -> None:
    answer = kaa("create", "-n", "env", *dated, "tool", "--exclude-newer", when)
    assert answer.code == 1
    assert when in answer.err
    (kaa.home / ".condarc").write_text(f"# mine\nexclude_newer: {when}")
    answer = kaa("create", "-n", "env", *dated, "tool")
    assert answer.code == 1
    # That date looks like one to a reader of YAML, which refuses it without a line.
    assert (".condarc: " if when == "2026-13-01" else ".condarc, line 2: ") in answer.err


def test_search_shows_all(kaa: Kaa, dated: list[str]) -> None:
    (kaa.home / ".condarc").write_text("exclude_newer: 2026-02-28")
    assert len(kaa.ok("search", *dated, "lib", "--json").json()["lib"]) == 3


# Strategies


@pytest.fixture
def plain(tmp_path: Path) -> list[str]:
    return fill(
        tmp_path / "plain",
        *(Package("lib", version) for version in "123"),
        *(Package("base", version) for version in "12"),
        Package("tool", "1", depends=["lib", "base"]),
        Package("tool", "2", depends=["lib >=2", "base"]),
        Package("other", "1"),
        Package("other", "2"),
    )


@pytest.mark.parametrize(
    ("strategy", "answer"),
    [
        ("highest", "base-2 lib-3 tool-2"),
        ("lowest", "base-1 lib-1 tool-1"),
        ("lowest-direct", "base-2 lib-3 tool-1"),
    ],
)
def test_strategies(kaa: Kaa, plain: list[str], strategy: str, answer: str) -> None:
    assert planned(kaa, "create", "-n", "env", *plain, "tool", "--strategy", strategy) == answer
    (kaa.home / ".condarc").write_text(f"solve_strategy: {strategy}")
    assert planned(kaa, "create", "-n", "env", *plain, "tool") == answer


# What else may change


@pytest.fixture
def older(kaa: Kaa, plain: list[str]) -> list[str]:
    """An environment with old packages, and the flags of their channel."""
    kaa.ok("create", "-y", "-n", "env", *plain, "tool=1", "lib=1", "base=1", "other=1")
    return ["-n", "env", *plain]


CHANGES = [
    ("install tool", "base-1 lib-1 other-1 tool-1"),
    ("install tool=2 lib", "base-1 lib-3 other-1 tool-2"),
    ("install tool>1 lib --update-specs", "base-1 lib-3 other-1 tool-2"),
    ("install tool lib --update-specs", "base-1 lib-3 other-1 tool-2"),
    ("install tool lib --update-deps", "base-2 lib-3 other-1 tool-2"),
    ("install tool --update-deps", "base-2 lib-3 other-1 tool-2"),
    ("install other --update-deps", "base-1 lib-1 other-2 tool-1"),
    ("install tool --freeze-installed", "base-1 lib-1 other-1 tool-1"),
    ("install other=2 --update-all", "base-2 lib-3 other-2 tool-2"),
    ("install --update-all", "base-2 lib-3 other-2 tool-2"),
    ("install tool -S", "base-1 lib-1 other-1 tool-1"),
    ("install tool=1 other -S", "base-1 lib-1 other-1 tool-1"),
    ("install other=2 -S", "base-1 lib-1 other-2 tool-1"),
    ("update other", "base-1 lib-1 other-2 tool-1"),
    ("update other -S", "base-1 lib-1 other-1 tool-1"),
    ("update other --freeze-installed", "base-1 lib-1 other-2 tool-1"),
    ("update tool lib", "base-1 lib-3 other-1 tool-2"),
    ("update tool --freeze-installed", "base-1 lib-1 other-1 tool-1"),
    ("update tool --update-deps", "base-2 lib-3 other-1 tool-2"),
    ("update --all", "base-2 lib-3 other-2 tool-2"),
    ("update other --update-all", "base-2 lib-3 other-2 tool-2"),
    ("update other --force-reinstall", "base-1 lib-1 other-2 tool-1"),
]


@pytest.mark.parametrize(("words", "answer"), CHANGES)
def test_what_else_may_change(kaa: Kaa, older: list[str], words: str, answer: str) -> None:
    verb, *rest = words.split()
    kaa.ok(verb, "-y", *older, *rest)
    assert versions(kaa, "env") == answer


def test_the_named_is_installed_when_it_is_not_there(kaa: Kaa, plain: list[str]) -> None:
    for flag in ("--update-specs", "--update-deps"):
        kaa.ok("create", "-y", "-n", flag[2:], *plain, "base=1")
        kaa.ok("install", "-y", "-n", flag[2:], *plain, "other", "base", flag)
        assert versions(kaa, flag[2:]) == "base-2 other-2"


def test_pins_hold_every_kind_of_update(kaa: Kaa, older: list[str]) -> None:
    (kaa.environment("env") / "conda-meta" / "pinned").write_text("lib <3\n")
    assert planned(kaa, "install", *older, "tool", "--update-deps") == "base-2 lib-2 tool-2"
    assert planned(kaa, "update", *older, "--all") == "base-2 lib-2 other-2 tool-2"
    assert planned(kaa, "update", *older, "--all", "--no-pin") == "base-2 lib-3 other-2 tool-2"
    assert planned(kaa, "update", *older, "lib", "--no-pin") == "lib-3"


def test_some_packages_are_always_brought_up_to_date(kaa: Kaa, older: list[str]) -> None:
    (kaa.home / ".condarc").write_text("aggressive_update_packages: [base, absent]")
    assert planned(kaa, "install", *older, "other=2") == "other-2", "the earlier request was for base=1"
    kaa.ok("install", "-y", *older, "base")
    assert planned(kaa, "install", *older, "other=2") == "base-2 other-2"
    assert planned(kaa, "install", *older, "other=2", "--freeze-installed") == "other-2"
    assert planned(kaa, "create", "-n", "new", *older[2:], "other") == "other-2"


def test_channels_of_earlier_requests_hold_through_an_update_of_all(kaa: Kaa, plain: list[str], tmp_path: Path) -> None:
    newer = fill(tmp_path / "newer", Package("lib", "9"), Package("other", "9"))[-1]
    both = ["-O", "-c", plain[-1], "-c", newer]
    kaa.ok("create", "-y", "-n", "env", *both, f"{newer}::lib", "other=1")
    assert versions(kaa, "env") == "lib-9 other-1"
    ChannelBuilder(Path(newer)).add(Package("lib", "10"), Package("other", "9")).write()
    kaa.ok("update", "-y", "-n", "env", *both, "--all")
    assert versions(kaa, "env") == "lib-10 other-2"


# Without a network


@pytest.fixture
def served(tmp_path: Path) -> Any:
    folder = tmp_path / "served"
    ChannelBuilder(folder).add(
        Package("lib", "1"),
        Package("lib", "2"),
        Package("tool", "1", depends=["lib"]),
        Package("tool", "2", depends=["lib >=2"]),
    ).write()
    with serve(folder) as server:
        yield server


def test_offline_only_what_is_in_the_cache_is_chosen(kaa: Kaa, served: Server) -> None:
    only = ["-O", "-c", served.url]
    kaa.ok("create", "-y", "-n", "one", *only, "tool=1", "lib=1")
    asked = len(served.requests)
    kaa.ok("create", "-y", "-n", "two", *only, "tool", "--offline")
    assert versions(kaa, "two") == "lib-1 tool-1"
    answer = kaa("create", "-n", "three", *only, "tool=2", "--offline")
    assert answer.code == 1
    assert "not in the package cache" in answer.err
    assert "offline" in answer.err
    assert len(served.requests) == asked
    kaa.ok("create", "-y", "-n", "two", *only, "tool")
    assert versions(kaa, "two") == "lib-2 tool-2"
    kaa.ok("update", "-y", "-n", "one", *only, "tool", "lib", "--offline")
    assert versions(kaa, "one") == "lib-2 tool-2"


def test_offline_a_downloaded_archive_is_enough(kaa: Kaa, served: Server) -> None:
    only = ["-O", "-c", served.url]
    kaa.ok("create", "-y", "-n", "one", *only, "lib=1")
    kaa.ok("clean", "-y", "--packages")
    for path in kaa.packages.glob("lib-1-0"):
        (path / "info" / "repodata_record.json").unlink()
    kaa.ok("create", "-y", "-n", "two", *only, "lib", "--offline")
    assert versions(kaa, "two") == "lib-1"


def test_offline_other_content_of_the_same_name_is_not_enough(kaa: Kaa, served: Server, tmp_path: Path) -> None:
    only = ["-O", "-c", served.url]
    kaa.ok("create", "-y", "-n", "one", *only, "lib=2")
    other = tmp_path / "other"
    ChannelBuilder(other).add(Package("lib", "2", files={"share/other": "other"}), Package("lib", "1")).write()
    with serve(other) as server:
        kaa.ok("search", "-O", "-c", server.url, "lib")
        answer = kaa("create", "-n", "two", "-O", "-c", server.url, "lib", "--offline")
    assert answer.code == 1
    assert "not in the package cache" in answer.err


def test_offline_all_of_a_folder_may_be_chosen(kaa: Kaa, plain: list[str]) -> None:
    assert planned(kaa, "create", "-n", "env", *plain, "tool", "--offline") == "base-2 lib-3 tool-2"


# Machines and platforms


@pytest.fixture
def picky(tmp_path: Path) -> list[str]:
    """Packages that ask something of the machine, for three platforms."""
    return fill(
        tmp_path / "picky",
        Package("tool", "2", depends=["__glibc >=2.99"]),
        Package("tool", "1", depends=["__glibc >=2.5"]),
        Package("gpu", "1", depends=["__cuda >=12"]),
        Package("fast", "2", depends=["__archspec * future"]),
        Package("npu", "1", depends=["__npu >=2"]),
        Package("tool", "1", depends=["__osx >=11.0"], subdir="osx-arm64"),
        Package("tool", "2", depends=["__osx >=14"], subdir="osx-arm64"),
        Package("tool", "3", depends=["__win >=10"], subdir="win-64"),
        Package("notes", "1", depends=["__unix"], noarch="generic"),
        Package("notes", "2", depends=["__win"], noarch="generic"),
    )


MACHINES = [
    ("tool", [], "tool-1"),
    ("tool", ["--virtual-package", "__glibc=2.99"], "tool-2"),
    ("tool", ["--virtual-package", "glibc=2.99=0"], "tool-2"),
    ("gpu", ["--virtual-package", "__cuda=12.4"], "gpu-1"),
    ("fast", ["--virtual-package", "__archspec=1=future"], "fast-2"),
    ("npu", ["--virtual-package", "__npu=2.1"], "npu-1"),
    ("npu gpu", ["--virtual-package", "__npu=2.1", "--virtual-package", "__cuda=13"], "gpu-1 npu-1"),
    ("tool", ["--platform", "osx-arm64"], "tool-1"),
    ("tool", ["--platform", "osx-arm64", "--virtual-package", "__osx=14.2"], "tool-2"),
    ("tool", ["--platform", "win-64", "--virtual-package", "__win=10.0.19045"], "tool-3"),
    ("notes", [], "notes-1"),
    ("notes", ["--platform", "win-64"], "notes-2"),
    ("notes", ["--platform", "osx-arm64"], "notes-1"),
]


@pytest.mark.parametrize(("wanted", "flags", "answer"), MACHINES)
def test_a_machine_of_ones_choice(kaa: Kaa, picky: list[str], wanted: str, flags: list[str], answer: str) -> None:
    assert planned(kaa, "create", "-n", "env", *picky, *wanted.split(), *flags) == answer


UNFIT = [
    ("gpu", ["--virtual-package", "__cuda="], "__cuda"),
    ("gpu", ["--virtual-package", "__cuda=11.8"], "__cuda"),
    ("tool", ["--virtual-package", "__glibc="], "__glibc"),
    ("tool", ["--virtual-package", "__glibc=2.4"], "__glibc"),
    ("tool", ["--platform", "win-64"], "__win"),
    ("npu", [], "__npu"),
    ("fast", [], "__archspec"),
]


@pytest.mark.parametrize(("wanted", "flags", "lacking"), UNFIT)
def test_a_machine_that_will_not_do(kaa: Kaa, picky: list[str], wanted: str, flags: list[str], lacking: str) -> None:
    answer = kaa("create", "-n", "env", *picky, *wanted.split(), *flags)
    assert answer.code == 1
    assert lacking in answer.err


def test_which_setting_of_a_machine_counts(kaa: Kaa, picky: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (kaa.home / ".condarc").write_text("override_virtual_packages:\n  cuda: '12.4'")
    assert planned(kaa, "create", "-n", "env", *picky, "gpu") == "gpu-1"
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "11.8")
    assert kaa("create", "-n", "env", *picky, "gpu", "--dry-run").code == 1
    assert planned(kaa, "create", "-n", "env", *picky, "gpu", "--virtual-package", "cuda=12.4") == "gpu-1"


@pytest.mark.parametrize("given", ["__glibc", "=2.28", "__glibc=new", "__unix=1"])
def test_no_virtual_package(kaa: Kaa, picky: list[str], given: str) -> None:
    answer = kaa("create", "-n", "env", *picky, "tool", "--virtual-package", given)
    assert answer.code in (1, 2)
    assert "glibc" in answer.err or "unix" in answer.err or "NAME=VERSION" in answer.err


# Records of the third revision


def move_to_v3(channel: ChannelBuilder) -> ChannelBuilder:
    """All records of a channel, as CEP 48 keeps those with conditions, extras and flags."""
    for repodata in channel.repodata.values():
        buckets = {"conda": repodata.pop("packages.conda"), "tar.bz2": repodata.pop("packages")}
        repodata["v3"] = {
            bucket: {name.removesuffix(f".{bucket}"): record for name, record in records.items()}
            for bucket, records in buckets.items()
        }
    return channel


@pytest.fixture
def third(tmp_path: Path) -> list[str]:
    folder = tmp_path / "third"
    channel = ChannelBuilder(folder).add(
        Package("python", "3.12"),
        Package("python", "3.13"),
        Package("backport", "1"),
        Package("pretty", "1", extension=".tar.bz2"),
        Package("pretty", "2", depends=['wide[when="python>=3.13"]']),
        Package("wide", "1"),
        Package(
            "tool",
            "1",
            depends=['python[version=">=3.12"]', 'backport[when="python<3.13"]'],
            files={"bin/tool": File(b"#!/bin/sh\n", mode=0o755)},
            index_extra={"extra_depends": {"cli": ["pretty"], "none": []}, "schema_version": 3},
        ),
        Package(
            "tool",
            "2",
            depends=['python[version=">=3.12"]', 'backport[when="python<3.13"]'],
            index_extra={"extra_depends": {"cli": ['pretty[version="<2"]']}, "schema_version": 3},
        ),
        Package("math", "1", "mkl_0", index_extra={"flags": ["blas:mkl"]}),
        Package("math", "1", "openblas_0", index_extra={"flags": ["blas:openblas", "release"]}),
        Package("user", "1", depends=['math[flags=["blas:open*"]]', "tool[extras=[cli]]"]),
    )
    move_to_v3(channel).write()
    return ["-O", "-c", str(folder)]


THIRD = [
    ("tool", "python-3.13 tool-2"),
    ("tool python=3.12", "backport-1 python-3.12 tool-2"),
    ("tool[extras=[cli]]", "pretty-1 python-3.13 tool-2"),
    ("tool[version=1,extras=[cli]]", "pretty-2 python-3.13 tool-1 wide-1"),
    ("tool[version=1,extras=[cli]] python=3.12", "backport-1 pretty-2 python-3.12 tool-1"),
    ("tool[extras=[unknown]]", "python-3.13 tool-2"),
    ("user", "math-1 pretty-1 python-3.13 tool-2 user-1"),
    ("math[flags=[release]]", "math-1"),
]


@pytest.mark.parametrize(("wanted", "answer"), THIRD)
def test_conditions_extras_and_flags(kaa: Kaa, third: list[str], wanted: str, answer: str) -> None:
    assert planned(kaa, "create", "-n", "env", *third, *wanted.split(" ")) == answer


def records(kaa: Kaa, name: str) -> dict[str, dict[str, Any]]:
    found = {}
    for path in (kaa.environment(name) / "conda-meta").glob("*.json"):
        record = json.loads(path.read_text())
        found[record["name"]] = record
    return found


def test_installed_records_keep_what_they_need(kaa: Kaa, third: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *third, "user")
    found = records(kaa, "env")
    assert found["tool"]["extra_depends"] == {"cli": ['pretty[version="<2"]']}
    assert 'backport[when="python<3.13"]' in found["tool"]["depends"]
    assert found["math"]["flags"] == ["blas:openblas", "release"]
    assert found["pretty"]["fn"] == "pretty-1-0.tar.bz2"
    # What is installed is enough to see that nothing is missing, and what has to change.
    kaa.ok("install", "-y", "-n", "env", *third, "python=3.12")
    assert versions(kaa, "env") == "backport-1 math-1 pretty-1 python-3.12 tool-2 user-1"


def test_extras_stay_in_force(kaa: Kaa, third: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *third, "tool[version=1,extras=[cli]]")
    assert versions(kaa, "env") == "pretty-2 python-3.13 tool-1 wide-1"
    kaa.ok("install", "-y", "-n", "env", *third, "math")
    assert "pretty-2" in versions(kaa, "env")
    kaa.ok("update", "-y", "-n", "env", *third, "tool")
    assert versions(kaa, "env") == "math-1 pretty-1 python-3.13 tool-2 wide-1"
    assert planned(kaa, "install", "-n", "env", *third, "pretty=2") == "pretty-2 tool-1"
    assert kaa("install", "-n", "env", *third, "pretty=2", "--freeze-installed").code == 1
    kaa.ok("update", "-y", "-n", "env", *third, "--all")
    assert "pretty-1" in versions(kaa, "env")
    kaa.ok("install", "-y", "-n", "env", *third, "tool")
    kaa.ok("install", "-y", "-n", "env", *third, "pretty=2")
    assert "pretty-2 python-3.13 tool-2" in versions(kaa, "env")


def test_what_an_extra_brings_is_needed(kaa: Kaa, third: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *third, "tool[version=1,extras=[cli]]", "math")
    kaa.ok("remove", "-y", "-n", "env", "math", "--prune")
    assert versions(kaa, "env") == "pretty-2 python-3.13 tool-1 wide-1"
    kaa.ok("remove", "-y", "-n", "env", "pretty")
    assert "tool" not in versions(kaa, "env")


def test_an_extra_is_not_skipped(kaa: Kaa, third: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *third, "tool")
    kaa.ok("install", "-y", "-n", "env", *third, "tool[extras=[cli]]", "-S")
    assert versions(kaa, "env") == "pretty-1 python-3.13 tool-2"


# How long it may take


def test_the_time_limit_of_a_solve(kaa: Kaa, dated: list[str]) -> None:
    broken_off = kaa("create", "-n", "t", *dated, "tool", "--solve-timeout", "1e-9", "--json")
    assert broken_off.code == 1
    told = broken_off.json()
    assert told["seconds"] == 1e-9
    assert "within 1e-09 seconds: 0 choices were made" in told["message"]
    assert not kaa.environment("t").exists()
    assert planned(kaa, "create", "-n", "t", *dated, "tool", "--solve-timeout", "0") == "lib-3 tool-2"
    assert planned(kaa, "create", "-n", "t", *dated, "tool", "--solve-timeout", "600") == "lib-3 tool-2"
    assert kaa("create", "-n", "t", *dated, "tool", "--solve-timeout", "soon").code != 0
