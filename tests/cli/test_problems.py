"""`--save-problem` and `kaa solve-problem`."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
import zstandard

from kaa.models.version import Version
from tests.channels import ChannelBuilder, Package, Server
from tests.cli.commands import Answer, Kaa


@pytest.fixture
def only(channel: ChannelBuilder) -> list[str]:
    """The flags that choose the small channel and no other."""
    return ["-O", "-c", str(channel.folder)]


def packages(answer: Answer) -> dict[str, str]:
    return {entry["name"]: entry["version"] for entry in answer.json()["packages"]}


def explanation(answer: Answer) -> list[str]:
    """What is said of a failure, without the commands for ways out: those are of the command that failed."""
    lines = answer.err.partition("UnsatisfiableError")[2].splitlines()
    return [line for line in lines if not line.startswith("       kaa ")]


def replayed(kaa: Kaa, file: str, channel: ChannelBuilder | None = None) -> Answer:
    """The file solved again where there is nothing else: no channel, no root prefix."""
    if channel is not None:
        channel.folder.rename(channel.folder.with_name("gone"))
    return kaa("solve-problem", file, "--json", "--root-prefix", str(kaa.home / "elsewhere"))


@pytest.mark.parametrize("file", ["problem.json", "problem.json.zst"])
def test_a_dry_run_writes_what_it_saw(kaa: Kaa, only: list[str], channel: ChannelBuilder, file: str) -> None:
    kaa.ok("create", "--dry-run", "--json", "-n", "env", *only, "--save-problem", file, "tool", "notes")
    assert not kaa.environment("env").exists()
    answer = replayed(kaa, file, channel)
    assert answer.code == 0
    assert packages(answer) == {"tool": "2.0", "lib": "2.0", "notes": "1.0"}
    assert answer.json()["problem"]["as_recorded"] is True
    text = kaa.ok("solve-problem", file).out
    assert re.search(r"^tool +2\.0 +0 +channel/linux-64$", text, re.MULTILINE)
    assert "alone" not in text


def test_install_update_and_remove_write_it_too(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "--save-problem", "create.json", "tool=1")
    kaa.ok("install", "-y", "-n", "env", *only, "--save-problem", "install.json", "alone")
    kaa.ok("update", "-y", "-n", "env", *only, "--save-problem", "update.json", "alone")
    kaa.ok("remove", "-y", "-n", "env", "--save-problem", "remove.json", "tool")
    expected = {
        "create": {"tool": "1.0", "lib": "1.0"},
        "install": {"tool": "1.0", "lib": "1.0", "alone": "1.0"},
        "update": {"tool": "1.0", "lib": "1.0", "alone": "1.0"},
        "remove": {"lib": "1.0", "alone": "1.0"},
    }
    for name, versions in expected.items():
        answer = kaa.ok("solve-problem", f"{name}.json", "--json")
        assert packages(answer) == versions
        assert answer.json()["problem"]["as_recorded"] is True


def test_a_failure_is_written_and_fails_again_in_the_same_words(
    kaa: Kaa, only: list[str], channel: ChannelBuilder
) -> None:
    first = kaa("create", "-y", "-n", "env", *only, "--save-problem", "problem.json.zst", "tool=1", "lib=2")
    assert first.code == 1
    assert replayed(kaa, "problem.json.zst", channel).code == 1
    again = kaa("solve-problem", "problem.json.zst")
    assert again.code == 1
    assert "tool" in first.err
    assert explanation(first) == explanation(again) != []
    document = kaa("solve-problem", "problem.json.zst", "--json").json()
    assert document["exception_name"] == "UnsatisfiableError"
    assert document["problem"]["as_recorded"] is True


def test_a_name_that_nobody_offers(kaa: Kaa, only: list[str], channel: ChannelBuilder) -> None:
    first = kaa("create", "-y", "-n", "env", *only, "--save-problem", "problem.json", "tooll")
    again = replayed(kaa, "problem.json", channel)
    assert (first.code, again.code) == (1, 1)
    assert "tool" in " ".join(again.json()["guidance"]["hints"])


def test_it_says_when_it_ends_otherwise(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "--dry-run", "--json", "-n", "env", *only, "--save-problem", "problem.json", "tool")
    file = kaa.home / "problem.json"
    document = msgspec.json.decode(file.read_bytes())
    document["names"]["tool"] = [
        {**group, "records": [record for record in group["records"] if record["version"] != "2.0"]}
        for group in document["names"]["tool"]
    ]
    file.write_bytes(msgspec.json.encode(document))
    answer = kaa("solve-problem", "problem.json")
    assert answer.code == 0
    assert "This is not how it ended when the file was written" in answer.err
    assert re.search(r"then only: \S+::tool-2\.0-0\n", answer.err)
    assert re.search(r"now only:  \S+::tool-1\.0-0\n", answer.err)
    assert kaa("solve-problem", "problem.json", "--json").json()["problem"]["as_recorded"] is False
    del document["outcome"]
    file.write_bytes(msgspec.json.encode(document))
    answer = kaa("solve-problem", "problem.json", "--json")
    assert answer.json()["problem"]["as_recorded"] is None


def test_nothing_private_gets_in(kaa: Kaa, channel: ChannelBuilder, server: Server) -> None:
    private = server.url.replace("http://", "http://ali:Sesame@")
    words = ["create", "-n", "env", "-O", "-c", private, "-c", str(channel.folder), "tool"]
    kaa.ok(*words, "--dry-run", "--json", "--save-problem", "problem.json")
    text = (kaa.home / "problem.json").read_text()
    assert server.url in text
    for word in ("Sesame", "ali:", str(kaa.home), str(channel.folder.parent)):
        assert word not in text
    assert kaa("solve-problem", "problem.json", "--json").json()["problem"]["as_recorded"] is True


def test_credentials_in_a_request_stay_out(kaa: Kaa, server: Server) -> None:
    spec = server.url.replace("http://", "http://ali:Sesame@") + "::tool"
    kaa.ok("create", "-n", "env", "-O", "-c", server.url, spec, "--dry-run", "--json", "--save-problem", "problem.json")
    assert "Sesame" not in (kaa.home / "problem.json").read_text()
    assert packages(kaa.ok("solve-problem", "problem.json", "--json"))["tool"] == "2.0"


@pytest.mark.parametrize(
    ("file", "said"),
    [("nowhere/problem.json", "there is no such directory"), (".", "it is a directory")],
)
def test_a_file_that_cannot_be_written_is_told_before_the_work(kaa: Kaa, only: list[str], file: str, said: str) -> None:
    answer = kaa("create", "-y", "-n", "env", *only, "--save-problem", file, "tool")
    assert answer.code == 1
    assert said in answer.err
    assert not kaa.environment("env").exists()


def bomb() -> bytes:
    """Little that unpacks to more than any problem may have."""
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    block = bytes(1 << 24)
    return b"".join(compressor.compress(block) for _ in range(65)) + compressor.flush()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Input data was truncated"),
        (b"no problem at all", "JSON is malformed"),
        (zstandard.ZstdCompressor().compress(b'{"format": "kaa-problem", "version": 1}')[:-6], "cut off"),
        (b'{"format": "kaa-problem", "version": 99}', "its `version` is 99"),
        (b'{"format": "kaa-problem", "version": 1, "kaa": "1", "request": []}', "$.request"),
        (bomb(), "it unpacks to more than"),
    ],
    ids=["empty", "text", "cut off", "newer", "type", "bomb"],
)
def test_a_broken_file_is_told(kaa: Kaa, content: bytes, said: str) -> None:
    (kaa.home / "problem.json.zst").write_bytes(content)
    answer = kaa("solve-problem", "problem.json.zst")
    assert answer.code == 1
    assert "problem.json.zst is no problem file that can be solved" in answer.err
    assert said in answer.err
    assert kaa("solve-problem", "problem.json.zst", "--json").json()["source"] == "problem.json.zst"


def test_files_that_are_not_there(kaa: Kaa) -> None:
    answer = kaa("solve-problem", "missing.json")
    assert answer.code == 1
    assert "No such file" in answer.err


def test_the_file_of_an_environment_of_many_packages_is_small(kaa: Kaa, tmp_path: Path) -> None:
    channel = ChannelBuilder(tmp_path / "big")
    for number in range(30):
        for version in range(20):
            depends = [f"p{number + 1} >={version}"] if number < 29 else []
            package = Package(f"p{number}", str(version), depends=depends)
            channel.add_record(package.file_name, package.index())
    channel.write()
    kaa.ok(
        "create", "--dry-run", "--json", "-n", "env", "-O", "-c", str(channel.folder), "--save-problem", "p.zst", "p0"
    )
    assert (kaa.home / "p.zst").stat().st_size < 10_000
    assert max(map(Version, packages(kaa.ok("solve-problem", "p.zst", "--json")).values())) == Version("19")
