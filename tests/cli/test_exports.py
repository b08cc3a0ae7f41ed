"""`kaa export` to every format, and environments made from what it writes; specs saved into an environment file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kaa.api.lock_formats import parse_lock
from kaa.envfiles.environment_yaml import parse_environment_yaml
from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa


@pytest.fixture
def url(kaa: Kaa, tmp_path: Path) -> str:
    """A channel: tool and lib for two platforms, deep for one."""
    channel = ChannelBuilder(tmp_path / "channel")
    for subdir in ("linux-64", "osx-arm64"):
        build = subdir[:3]
        channel.add(
            Package("lib", "1.0", build, subdir=subdir, files={"lib/x": "1"}),
            Package("lib", "2.0", build, subdir=subdir, files={"lib/x": "2"}),
            Package("tool", "1.0", build, subdir=subdir, depends=["lib <2"], files={"bin/tool": "1"}),
        )
    channel.add(
        Package("deep", "1.0", depends=["tool"], files={"lib/deep": "x"}),
        Package("notes", "1.0", noarch="generic", files={"share/notes": "x"}),
    )
    folder = channel.write().folder.as_uri()
    (kaa.home / ".condarc").write_text(f"channels: ['{folder}']\n")
    return folder


def dists(kaa: Kaa, environment: str) -> list[str]:
    return [record["dist_name"] for record in kaa.ok("list", "-n", environment, "--json").json()]


MADE_FROM = {
    "environment-yaml": ("environment.yml", ["env", "create"]),
    "explicit": ("explicit.txt", ["create", "-y"]),
    "requirements": ("specs.txt", ["create", "-y"]),
    "kaa-lock": ("kaa.lock", ["create", "-y"]),
    "conda-lock": ("conda-lock.yml", ["create", "-y"]),
    "pixi-lock": ("pixi.lock", ["env", "create"]),
    "pixi-lock-v7": ("pixi.lock", ["sync", "-y"]),
}


@pytest.mark.parametrize("form", MADE_FROM)
def test_an_environment_from_each_format(kaa: Kaa, url: str, form: str) -> None:
    kaa.ok("create", "-n", "demo", "-y", "tool", "notes")
    kaa.ok("env", "config", "vars", "set", "-n", "demo", "A=b c")
    name, command = MADE_FROM[form]
    text = kaa.ok("export", "-n", "demo", "--format", form).out
    (kaa.home / name).write_text(text)
    again = kaa.ok("export", "-n", "demo", "--format", form, "--file", f"again-{name}", "--json").json()
    assert (again["success"], again["format"]) == (True, form)
    assert (kaa.home / f"again-{name}").read_text() == text
    file = [name] if command[0] == "sync" else ["--file", name]
    kaa.ok(*command, *file, "-n", "other")
    assert dists(kaa, "other") == dists(kaa, "demo") == ["lib-1.0-lin", "notes-1.0-0", "tool-1.0-lin"]
    if form in ("environment-yaml", "kaa-lock"):
        assert kaa.ok("env", "config", "vars", "list", "-n", "other").out == "A = b c\n"


def test_hashes_of_explicit_lists(kaa: Kaa, url: str) -> None:
    kaa.ok("create", "-n", "demo", "-y", "notes")
    for words, length in (([], 32), (["--sha256"], 64)):
        line = kaa.ok("export", "-n", "demo", "--format", "explicit", *words).out.splitlines()[-1]
        assert len(line.partition("#")[2]) == length


@pytest.mark.parametrize("form", ["kaa-lock", "conda-lock", "pixi-lock"])
def test_a_lock_for_several_platforms(kaa: Kaa, url: str, form: str) -> None:
    kaa.ok("create", "-n", "demo", "-y", "tool", "notes")
    both = ["--platform", "linux-64", "--platform", "osx-arm64"]
    lock = parse_lock(kaa.ok("export", "-n", "demo", "--format", form, *both).out, "")
    found = {name: {one.dist for one in records} for name, records in lock.environments[0].conda.items()}
    assert found == {
        "linux-64": {"lib-1.0-lin", "notes-1.0-0", "tool-1.0-lin"},
        "osx-arm64": {"lib-1.0-osx", "notes-1.0-0", "tool-1.0-osx"},
    }


def test_what_blocks_a_platform(kaa: Kaa, url: str) -> None:
    kaa.ok("create", "-n", "demo", "-y", "tool", "deep")
    both = ["--platform", "linux-64", "--platform", "osx-arm64"]
    for words in (["--from-history"], ["--no-builds"], ["--format", "kaa-lock"]):
        answer = kaa("export", "-n", "demo", *both, *words, "--json")
        assert answer.code == 1
        document = answer.json()
        assert (document["platforms"], document["solved"]) == (
            ["osx-arm64"],
            [] if "kaa-lock" in words else ["linux-64"],
        )
        assert [name.partition("=")[0] for name in document["blocking"]["osx-arm64"]] == ["deep"]
    # Builds are those of one platform.
    answer = kaa("export", "-n", "demo", "--platform", "osx-arm64")
    assert (answer.code, "--from-history" in answer.err, "for osx-arm64" in answer.err) == (1, True, True)


def test_platforms_that_are_served(kaa: Kaa, url: str) -> None:
    kaa.ok("create", "-n", "demo", "-y", "tool", "notes")
    both = ["--platform", "linux-64", "--platform", "osx-arm64"]
    spec = parse_environment_yaml(kaa.ok("export", "-n", "demo", "--from-history", *both).out)
    assert spec.platforms == ("linux-64", "osx-arm64")
    assert sorted(str(wanted) for wanted in spec.specs) == ["notes", "tool"]
    answer = kaa("export", "-n", "demo", "--format", "explicit", *both)
    assert (answer.code, "for one platform" in answer.err) == (2, True)
    only = kaa.ok("export", "-n", "demo", "--format", "explicit", "--platform", "osx-arm64").out
    assert "# platform: osx-arm64" in only
    assert "tool-1.0-osx" in only


# -- what pip brought -------------------------------------------------------------------------------------------------


def distribution(prefix: Path, name: str, *, direct: dict[str, object] | None = None, requested: bool = True) -> None:
    folder = prefix / "lib/python3.12/site-packages" / f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\n")
    (folder / "INSTALLER").write_text("pip\n")
    if requested:
        (folder / "REQUESTED").touch()
    if direct is not None:
        (folder / "direct_url.json").write_text(json.dumps(direct))


def test_history_with_pip(kaa: Kaa, url: str) -> None:
    kaa.ok("create", "-n", "demo", "-y", "notes")
    distribution(kaa.environment("demo"), "wanted")
    distribution(kaa.environment("demo"), "needed", requested=False)
    everything = parse_environment_yaml(kaa.ok("export", "-n", "demo").out)
    assert everything.pip == ("needed==1.0", "wanted==1.0")
    assert parse_environment_yaml(kaa.ok("export", "-n", "demo", "--from-history").out).pip == ("wanted==1.0",)
    assert parse_environment_yaml(kaa.ok("export", "-n", "demo", "--without-pip").out).pip == ()


def test_locks_hold_what_can_be_recognised(kaa: Kaa, url: str) -> None:
    kaa.ok("create", "-n", "demo", "-y", "notes")
    archive: dict[str, object] = {
        "url": "https://files/known-1.0-py3-none-any.whl",
        "archive_info": {"hashes": {"sha256": "0" * 64}},
    }
    distribution(kaa.environment("demo"), "known", direct=archive)
    for form in ("kaa-lock", "conda-lock", "pixi-lock"):
        lock = parse_lock(kaa.ok("export", "-n", "demo", "--format", form).out, "")
        [one] = lock.environments[0].pypi["linux-64"]
        assert (one.name, one.url, one.sha256) == ("known", archive["url"], "0" * 64)
    distribution(kaa.environment("demo"), "unknown")
    answer = kaa("export", "-n", "demo", "--format", "kaa-lock")
    assert (answer.code, "unknown==1.0" in answer.err) == (1, True)
    lock = parse_lock(kaa.ok("export", "-n", "demo", "--format", "kaa-lock", "--without-pip").out, "")
    assert not lock.environments[0].pypi


# -- env update --save ------------------------------------------------------------------------------------------------

COMMENTED = """# ours
name: demo   # the name
dependencies:
    # what we work with
    - "tool"   # why
    - notes

    # nothing else
variables: {A: 1}
"""


def test_what_is_saved_into_a_file(kaa: Kaa, url: str) -> None:
    path = kaa.home / "environment.yml"
    path.write_text(COMMENTED)
    kaa.ok("env", "create")
    kaa.ok("env", "update", "--file", "environment.yml", "--save", "tool =1", "deep")
    wanted = COMMENTED.replace('"tool"', '"tool =1"').replace("- notes\n", "- notes\n    - deep\n")
    assert path.read_text() == wanted
    assert dists(kaa, "demo") == ["deep-1.0-0", "lib-1.0-lin", "notes-1.0-0", "tool-1.0-lin"]
    # What cannot be had is not written.
    assert kaa("env", "update", "--save", "nothing-like-it").code == 1
    assert kaa("env", "update", "--save", "tool >=9").code == 1
    assert path.read_text() == wanted


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--save"], "what to write"),
        (["notes"], "belong together"),
        (["--save", "notes", "-f", "list.txt"], "nothing can be written into list.txt"),
        (["--save", "notes", "-f", "kaa.lock"], "a lock is made from them"),
    ],
)
def test_what_cannot_be_saved(kaa: Kaa, url: str, words: list[str], said: str) -> None:
    (kaa.home / "environment.yml").write_text(COMMENTED)
    (kaa.home / "list.txt").write_text("notes\n")
    answer = kaa("env", "update", *words)
    assert (answer.code, said in answer.err) == (2, True)
    assert (kaa.home / "environment.yml").read_text() == COMMENTED
    assert not kaa.environment("demo").exists()
