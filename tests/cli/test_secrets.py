"""Tokens and passwords of channels: used on the wire, and neither shown nor written anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from tests.channels import ChannelBuilder, Server, serve
from tests.cli.commands import Answer, Kaa

SECRETS = ("tk-0123-secret", "Sesame", base64.b64encode(b"ali:Sesame").decode())


@pytest.fixture(params=["token", "password", "netrc"])
def private(
    request: pytest.FixtureRequest, kaa: Kaa, channel: ChannelBuilder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Server, str]]:
    """A server that wants credentials, and the address as a user would write it."""
    with serve(channel.folder) as server:
        host = server.url.removeprefix("http://")
        address = server.url
        if request.param == "token":
            server.token = "tk-0123-secret"
            address = f"http://{host}/t/tk-0123-secret"
        else:
            server.credentials = "Basic " + base64.b64encode(b"ali:Sesame").decode()
        if request.param == "password":
            address = f"http://ali:Sesame@{host}"
        if request.param == "netrc":
            (kaa.home / ".netrc").write_text(f"machine {host.partition(':')[0]} login ali password Sesame\n")
            (kaa.home / ".netrc").chmod(0o600)
        yield server, address


def check(answer: Answer) -> None:
    for secret in SECRETS:
        assert secret not in answer.out
        assert secret not in answer.err


def test_secrets_are_used_and_never_shown_or_written(kaa: Kaa, private: tuple[Server, str]) -> None:
    server, address = private
    only = ["-O", "-c", address]
    commands = [
        ["create", "-y", "-v", "-n", "env", *only, "tool=1.0", "notes"],
        ["list", "-n", "env", "--json"],
        ["list", "-n", "env", "--explicit"],
        ["list", "-n", "env", "--show-channel-urls"],
        ["search", *only, "tool", "--info"],
        ["search", *only, "tool", "--json"],
        ["install", "-y", "-n", "env", *only, f"{address}::alone", "--json"],
        ["update", "-y", "-n", "env", *only, "--all", "--json"],
        ["info", "--json"],
        ["list", "-n", "env", "--revisions"],
        ["remove", "-y", "-n", "env", "notes"],
    ]
    for words in commands:
        check(kaa.ok(*words))
    for words in (
        ["create", "-y", "-n", "none", *only, "no-such-package"],
        ["create", "-y", "-n", "none", *only, "tool=2", "lib=1", "--json"],
        ["create", "-y", "-n", "none", *only, f"{address}::tool>>1"],
        ["create", "-y", "-n", "none", "-O", "-c", f"{address}/nowhere", "lib"],
    ):
        answer = kaa(*words)
        assert answer.code == 1
        check(answer)
    assert all("tk-0123" not in request.path or server.token for request in server.requests)
    written = [path for path in kaa.home.rglob("*") if path.is_file() and path.name != ".netrc"]
    assert len(written) > 20
    for path in written:
        content = path.read_bytes()
        for secret in SECRETS:
            assert secret.encode() not in content, f"{path} holds a secret"
            assert secret not in str(path)


def test_an_explicit_list_with_a_token(kaa: Kaa, channel: ChannelBuilder) -> None:
    with serve(channel.folder) as server:
        server.token = "tk-0123-secret"
        host = server.url.removeprefix("http://")
        (kaa.home / "list.txt").write_text(f"@EXPLICIT\nhttp://{host}/t/tk-0123-secret/linux-64/lib-1.0-0.conda\n")
        check(kaa.ok("create", "-y", "-n", "env", "--file", "list.txt"))
        check(kaa.ok("list", "-n", "env", "--explicit"))
    for path in kaa.root.rglob("*"):
        if path.is_file():
            assert b"tk-0123-secret" not in path.read_bytes(), path


def test_a_wrong_password_says_what_to_check(kaa: Kaa, channel: ChannelBuilder) -> None:
    with serve(channel.folder) as server:
        server.credentials = "Basic right"
        host = server.url.removeprefix("http://")
        answer = kaa("create", "-y", "-n", "env", "-O", "-c", f"http://ali:Sesame@{host}", "lib")
    assert answer.code == 1
    assert "401" in answer.err
    assert "password" in answer.err
    check(answer)
    assert {path.name for path in kaa.root.iterdir()} <= {"pkgs"}
