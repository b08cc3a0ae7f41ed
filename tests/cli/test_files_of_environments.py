"""--file of `kaa create`, `kaa install` and `kaa update` with environment files, locks and lists, in any mixture."""

from __future__ import annotations

import io
import json

import pytest

from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa


@pytest.fixture
def url(kaa: Kaa, channel: ChannelBuilder) -> str:
    """The address of the small channel; nothing but an empty channel is configured."""
    empty = ChannelBuilder(channel.folder.parent / "empty").write()
    kaa.ok("config", "--add", "channels", empty.folder.as_uri())
    return channel.folder.as_uri()


def write(kaa: Kaa, name: str, text: str) -> None:
    path = kaa.home / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def names(kaa: Kaa, environment: str = "demo") -> list[str]:
    return [f"{r['name']}-{r['version']}" for r in kaa.ok("list", "-n", environment, "--json").json()]


def variables(kaa: Kaa, environment: str = "demo") -> dict[str, str]:
    found: dict[str, str] = kaa.ok("env", "config", "vars", "list", "-n", environment, "--json").json()
    return found


@pytest.fixture
def files(kaa: Kaa, url: str) -> None:
    """An environment file, another one of other channels, a list of specs, an explicit list."""
    write(kaa, "one.yml", f"name: demo\nchannels: ['{url}']\ndependencies: [tool =1]\nvariables: {{A: 1, B: 1}}\n")
    write(kaa, "two.yaml", f"name: second\nchannels: ['{url}']\ndependencies: [notes]\nvariables: {{B: 2}}\n")
    write(kaa, "specs.txt", "alone\n")
    write(kaa, "explicit.txt", f"@EXPLICIT\n{url}/linux-64/alone-1.0-0.conda\n")


@pytest.mark.parametrize(
    ("words", "target", "found", "variables_"),
    [
        (["-f", "one.yml"], "demo", ["lib-1.0", "tool-1.0"], {"A": "1", "B": "1"}),
        (["-f", "one.yml", "-n", "other"], "other", ["lib-1.0", "tool-1.0"], {"A": "1", "B": "1"}),
        (["-f", "one.yml", "lib"], "demo", ["lib-1.0", "tool-1.0"], {"A": "1", "B": "1"}),
        (
            ["-f", "one.yml", "-f", "two.yaml", "-f", "specs.txt"],
            "second",
            ["alone-1.0", "lib-1.0", "notes-1.0", "tool-1.0"],
            {"A": "1", "B": "2"},
        ),
        (["-f", "two.yaml", "-n", "z", "alone"], "z", ["alone-1.0", "notes-1.0"], {"B": "2"}),
    ],
)
def test_create(
    kaa: Kaa, files: None, words: list[str], target: str, found: list[str], variables_: dict[str, str]
) -> None:
    kaa.ok("create", "-y", *words)
    assert names(kaa, target) == found
    assert variables(kaa, target) == variables_


def test_create_asks_and_tells_as_without_files(kaa: Kaa, files: None, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing to read on standard input: the default of the question is yes.
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert "To enter it:" in kaa.ok("create", "-f", "one.yml").out
    dry = kaa.ok("create", "-f", "one.yml", "-n", "dry", "--dry-run", "--json").json()
    assert [record["name"] for record in dry["actions"]["LINK"]] == ["lib", "tool"]
    assert not kaa.environment("dry").exists()
    # An environment that is there stays, unless the answer is another one.
    before = names(kaa)
    assert kaa("create", "-f", "two.yaml", "-n", "demo").code == 0
    assert names(kaa) == before
    kaa.ok("create", "-y", "-f", "two.yaml", "-n", "demo")
    assert names(kaa) == ["notes-1.0"]


@pytest.mark.parametrize(
    ("text", "words", "code", "error"),
    [
        ("dependencies: [tool]\n", [], 2, "ArgumentError"),
        ("name: base\ndependencies: [tool]\n", [], 1, "CondaValueError"),
        ("name: demo\ndependencies: [tool]\n", ["-f", "explicit.txt"], 1, "CondaValueError"),
        ("name: demo\ndependencies: {tool\n", [], 1, "CondaValueError"),
        ("name: demo\ndependencies: [absent-one]\n", [], 1, "PackagesNotFoundInChannelsError"),
        (None, [], 1, "EnvironmentFileNotFound"),
    ],
)
def test_what_is_refused(kaa: Kaa, files: None, text: str | None, words: list[str], code: int, error: str) -> None:
    if text is not None:
        write(kaa, "it.yml", text)
    answer = kaa("create", "--json", "-f", "it.yml", *words)
    assert (answer.code, answer.json()["exception_name"]) == (code, error)
    assert not (kaa.root / "envs").exists()


def test_unknown_keys_are_told_beside_the_json(kaa: Kaa, url: str) -> None:
    write(kaa, "it.yml", f"name: demo\nchannels: ['{url}']\ndependencies: [alone]\nmoods: good\n")
    answer = kaa.ok("create", "-f", "it.yml", "--json")
    assert answer.json()["success"]
    assert "EnvironmentSectionNotValid" in answer.err


@pytest.mark.parametrize("command", ["install", "update"])
def test_install_and_update(kaa: Kaa, files: None, url: str, command: str) -> None:
    kaa.ok("create", "-y", "-n", "demo", "-c", url, "lib=2")
    kaa.ok(command, "-y", "-n", "demo", "-f", "two.yaml", "-f", "specs.txt")
    # What the files do not name stays; the name in a file is no target here.
    assert names(kaa) == ["alone-1.0", "lib-2.0", "notes-1.0"]
    assert variables(kaa) == {"B": "2"}
    assert not kaa.environment("second").exists()
    again = kaa.ok(command, "-y", "-n", "demo", "-f", "two.yaml").out
    assert "All requested packages already installed." in again
    nothing = kaa(command, "-n", "absent", "-f", "two.yaml", "--json")
    assert (nothing.code, nothing.json()["exception_name"]) == (1, "EnvironmentNameNotFound")
    write(kaa, "empty.yml", "dependencies:\n")
    assert kaa(command, "-n", "demo", "-f", "empty.yml", "--json").json()["exception_name"] == "CondaValueError"


@pytest.mark.parametrize("command", ["install", "update"])
@pytest.mark.parametrize("lock", ["kaa.lock", "conda-lock.yml", "pixi.lock"])
def test_a_lock_adds_to_what_is_there(kaa: Kaa, files: None, url: str, command: str, lock: str) -> None:
    kaa.ok("lock", "one.yml", "-o", lock)
    kaa.ok("create", "-y", "-n", "demo", "-c", url, "lib=2", "alone")
    dry = kaa.ok(command, "-n", "demo", "-f", lock, "--dry-run", "--json").json()
    assert [record["dist_name"] for record in dry["actions"]["LINK"]] == ["lib-1.0-0", "tool-1.0-0"]
    assert names(kaa) == ["alone-1.0", "lib-2.0"]
    kaa.ok(command, "-y", "-n", "demo", "-f", lock)
    assert names(kaa) == ["alone-1.0", "lib-1.0", "tool-1.0"]
    beside = kaa(command, "-n", "demo", "-f", lock, "notes", "--json")
    assert (beside.code, beside.json()["exception_name"]) == (2, "ArgumentError")


def test_only_downloading_what_a_lock_names(kaa: Kaa, files: None, url: str) -> None:
    kaa.ok("lock", "one.yml", "-o", "kaa.lock")
    kaa.ok("create", "-y", "-n", "demo", "-c", url, "alone")
    kaa.ok("install", "-y", "-n", "demo", "-f", "kaa.lock", "--download-only")
    assert names(kaa) == ["alone-1.0"]
    assert (kaa.packages / "tool-1.0-0").is_dir()


@pytest.mark.parametrize("words", [["create", "-y", "-n", "demo"], ["env", "create", "-n", "demo"]])
def test_an_explicit_list_that_is_called_lock(kaa: Kaa, url: str, words: list[str]) -> None:
    write(kaa, "conda-linux-64.lock", f"# a comment\n@EXPLICIT\n{url}/linux-64/alone-1.0-0.conda\n")
    kaa.ok(*words, "-f", "conda-linux-64.lock")
    assert names(kaa) == ["alone-1.0"]
    kaa.ok("update", "-y", "-n", "demo", "-f", "conda-linux-64.lock")
    write(kaa, "neither.lock", "something: else\n")
    refused = kaa("create", "-n", "x", "-f", "neither.lock")
    assert (refused.code, "neither kaa.lock, conda-lock.yml nor pixi.lock" in refused.err) == (1, True)


def test_a_dry_run_tells_the_records_of_the_channel(
    kaa: Kaa, channel: ChannelBuilder, url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Programs read the records of packages that are not fetched from the cache: it may know another address."""
    kaa.ok("create", "-y", "-n", "demo", "-c", url, "alone")
    assert kaa.ok("create", "-n", "x", "-c", url, "alone", "--dry-run", "--json").json()["actions"]["FETCH"] == []
    mirror = ChannelBuilder(tmp_path_factory.mktemp("mirror"))
    mirror.add(Package("alone", "1.0", files={"share/alone": "alone"})).write()
    (fetched,) = kaa.ok(
        "create", "-n", "x", "-c", mirror.folder.as_uri(), "--override-channels", "alone", "--dry-run", "--json"
    ).json()["actions"]["FETCH"]
    assert fetched["url"] == f"{mirror.folder.as_uri()}/linux-64/alone-1.0-0.conda"
    kept = json.loads((kaa.packages / "alone-1.0-0" / "info" / "repodata_record.json").read_text())
    assert kept["url"] == f"{url}/linux-64/alone-1.0-0.conda"


@pytest.mark.parametrize(("name", "version"), [("kaa", "1.0"), ("conda", "2.0")])
def test_install_under_the_name_of_conda_updates(
    kaa: Kaa, url: str, monkeypatch: pytest.MonkeyPatch, name: str, version: str
) -> None:
    kaa.ok("create", "-y", "-n", "demo", "-c", url, "lib=1")
    kaa.ok("install", "-y", "-n", "demo", "-c", url, "alone")
    monkeypatch.setattr("sys.argv", [f"/somewhere/bin/{name}"])
    kaa.ok("install", "-y", "-n", "demo", "-c", url, "lib >=1", "--freeze-installed")
    assert names(kaa) == ["alone-1.0", "lib-1.0"]
    kaa.ok("install", "-y", "-n", "demo", "-c", url, "lib >=1")
    assert names(kaa) == ["alone-1.0", f"lib-{version}"]
