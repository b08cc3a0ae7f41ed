"""Credentials: to whom they go, on the wire and nowhere else."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from kaa.errors import KaaError
from kaa.events import Event
from kaa.models.channel import UrlCredential
from kaa.net.auth import Credentials, find_netrc
from kaa.net.client import HttpClient
from kaa.net.download import download
from kaa.net.settings import HttpSettings
from tests.channels import Fault, serve

ADDED = [
    # address with credentials, clean address asked for, what goes out, login
    ("https://host/t/tk-1/chan", "https://host/chan/noarch/x", "https://host/t/tk-1/chan/noarch/x", None),
    ("https://host/t/tk-1/chan", "https://host/chan", "https://host/t/tk-1/chan", None),
    ("https://host/t/tk-1/chan", "https://host/channel/x", "https://host/channel/x", None),
    ("https://host/t/tk-1/chan", "https://host/other/x", "https://host/other/x", None),
    ("https://host/t/tk-1/chan", "https://elsewhere/chan/x", "https://elsewhere/chan/x", None),
    ("https://host/t/tk-1/chan", "http://host/chan/x", "http://host/chan/x", None),
    ("https://host/t/tk-1/chan", "https://host:8443/chan/x", "https://host:8443/chan/x", None),
    ("https://host/t/tk-1/chan", "https://HOST:443/chan/x", "https://HOST:443/t/tk-1/chan/x", None),
    (
        "https://host/api/conda/t/tk-1/chan",
        "https://host/api/conda/chan/x",
        "https://host/api/conda/t/tk-1/chan/x",
        None,
    ),
    ("https://host/t/tk-1/", "https://host/any/x", "https://host/t/tk-1/any/x", None),
    ("https://me:pw@host/chan", "https://host/chan/x", "https://host/chan/x", "me:pw"),
    ("https://me:p%40w%3A@host/chan", "https://host/chan/x", "https://host/chan/x", "me:p@w:"),
    ("https://me@host/chan", "https://host/chan/x", "https://host/chan/x", "me:"),
    ("https://me:pw@host/chan", "https://host.evil/chan/x", "https://host.evil/chan/x", None),
    ("https://me:pw@host/t/tk-1/chan", "https://host/chan/x", "https://host/t/tk-1/chan/x", "me:pw"),
    ("https://me:pw@[::1]:8080/chan", "https://[::1]:8080/chan/x", "https://[::1]:8080/chan/x", "me:pw"),
]


@pytest.mark.parametrize(("given", "asked", "wire", "login"), ADDED)
def test_what_goes_out(given: str, asked: str, wire: str, login: str | None) -> None:
    credentials = Credentials()
    clean = credentials.add_url(given)
    assert "tk-1" not in clean
    assert "pw" not in clean
    headers = {} if login is None else {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
    assert credentials.apply(asked) == (wire, headers)


def test_the_longest_prefix_wins() -> None:
    credentials = Credentials()
    credentials.add("https://host", UrlCredential(None, "all", "1"))
    credentials.add("https://host/chan/", UrlCredential(None, "chan", "2"))
    credentials.add("https://host/chan/label/dev", UrlCredential(None, "dev", "3"))
    for path, user in (
        ("/other/x", "all"),
        ("/chan/x", "chan"),
        ("/chan/label/dev/x", "dev"),
        ("/chan/label/x", "chan"),
    ):
        found = credentials.find("https://host" + path)
        assert found is not None
        assert found.user == user


def test_an_address_without_credentials_adds_none() -> None:
    credentials = Credentials()
    assert credentials.add_url("https://host/chan") == "https://host/chan"
    assert credentials.find("https://host/chan/x") is None


NETRC = """
machine host.example login me password pw-secret
machine 127.0.0.1 login local password pw-local
default login anyone password pw-default
"""


def test_netrc(tmp_path: Path) -> None:
    path = tmp_path / "netrc"
    path.write_text(NETRC)
    credentials = Credentials(path)
    found = credentials.find("https://host.example/chan/x")
    assert found is not None
    assert (found.user, found.password) == ("me", "pw-secret")
    # The default entry is for nobody in particular, so nobody gets it.
    assert credentials.find("https://other.example/x") is None
    credentials.add("https://host.example/chan", UrlCredential("tk-1"))
    assert credentials.apply("https://host.example/chan/x") == ("https://host.example/t/tk-1/chan/x", {})


@pytest.mark.parametrize("content", [b"machine", b"nonsense secret", b"\xff\xfe", b"machine h login"])
def test_a_broken_netrc_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "netrc"
    path.write_bytes(content)
    assert Credentials(path).find("https://host/x") is None
    assert Credentials(tmp_path / "missing").find("https://host/x") is None


def test_where_netrc_is_looked_for(tmp_path: Path) -> None:
    assert find_netrc({"HOME": str(tmp_path)}) is None
    assert find_netrc({}) is None
    (tmp_path / "_netrc").touch()
    assert find_netrc({"HOME": str(tmp_path)}) == tmp_path / "_netrc"
    (tmp_path / ".netrc").touch()
    assert find_netrc({"HOME": str(tmp_path)}) == tmp_path / ".netrc"
    assert find_netrc({"HOME": str(tmp_path), "NETRC": "/elsewhere"}) == Path("/elsewhere")


SECRET = "s3cr3t-token"


@pytest.mark.parametrize("kind", ["token", "password", "netrc"])
@pytest.mark.parametrize("fault", [None, "status", "short", "corrupt", "reset", "redirect"])
def test_nothing_that_is_written_or_said_holds_a_secret(tmp_path: Path, kind: str, fault: str | None) -> None:
    served = tmp_path / "served" / "chan"
    served.mkdir(parents=True)
    (served / "tool-1.0-0.conda").write_bytes(os.urandom(5000))
    said: list[Event] = []
    with serve(served.parent) as server:
        netrc = tmp_path / "netrc"
        netrc.write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
        credentials = Credentials(netrc if kind == "netrc" else None)
        if kind == "token":
            server.token = SECRET
            credentials.add(server.url, UrlCredential(SECRET))
        else:
            server.credentials = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
            if kind == "password":
                credentials.add(server.url, UrlCredential(None, "me", SECRET))
        if fault:
            location = {"Location": f"http://127.0.0.1:1/{SECRET[:0]}x?X-Signature={SECRET}"}
            server.faults.append(Fault(".conda", fault, status=403, headers=location))  # type: ignore[arg-type]
        target = tmp_path / "cache" / "tool-1.0-0.conda"
        target.parent.mkdir()
        settings = HttpSettings(backoff_factor=0.01, max_retries=1, connect_timeout=1)
        with HttpClient(settings, credentials, said.append, environ={}) as client:
            error = ""
            url = f"{server.url}/chan/tool-1.0-0.conda"
            try:
                download(url, target, client=client, sha256="0" * 64 if fault else None, reporter=said.append)
            except KaaError as caught:
                error = f"{caught} {caught!r} {caught.fields()} {caught.hints}"
            assert bool(error) == bool(fault)
        written = [str(path) + repr(path.read_bytes()) for path in (tmp_path / "cache").rglob("*")]
        encoded = base64.b64encode(f"me:{SECRET}".encode()).decode()
        for text in (error, repr(said), repr(credentials.find(url)), repr(client.settings), *written):
            assert SECRET not in text
            assert encoded not in text
        assert server.requests
