"""PyPI as a channel on the command line: names, extras, ranges, dates, and being offline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa
from tests.pypi_index import IndexServer, PypiIndex, Sdist, Wheel, serve_index

INDEX = PypiIndex().add(
    Wheel("web", "1.0", requires=["http"], upload_time="2023-01-01T00:00:00Z"),
    Wheel("web", "2.0", requires=["http", "socks; extra == 'socks'"], extras=["socks"]),
    Wheel("http", "1.0", upload_time="2023-01-01T00:00:00Z"),
    Wheel("socks", "1.0"),
    Wheel("torch", "2.1.0+cpu", tag="cp311-cp311-linux_x86_64"),
    Sdist("archive", "1.0"),
)


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with serve_index(INDEX) as running:
        yield running


@pytest.fixture
def configured(kaa: Kaa, server: IndexServer, tmp_path: Path) -> Kaa:
    """A user with a conda channel that has python, and an index; `mixed` and `only` are words for both and for one."""
    python = Package("python", "3.11.9", "h_0_cpython", subdir="linux-64", timestamp=1_600_000_000_000)
    ChannelBuilder(tmp_path / "channel").add(python).write()
    (kaa.home / ".condarc").write_text(
        f"channels: [{tmp_path}/channel, pypi]\npypi_indexes: [{server.url}]\n"
        "override_virtual_packages: {glibc: 2.28}\n"
    )
    return kaa


def planned(kaa: Kaa, *words: str) -> dict[str, str]:
    links = kaa.ok("create", "-n", "plan", "--dry-run", "--json", *words).json()["actions"]["LINK"]
    return {link["name"]: link["version"] for link in links}


PLANS = [
    (["web"], {"web": "2.0", "http": "1.0"}),
    (["web[socks]"], {"web": "2.0", "http": "1.0", "socks": "1.0"}),
    (["web[socks]>=1,<3"], {"web": "2.0", "http": "1.0", "socks": "1.0"}),
    (["pypi::Web~=1.0"], {"web": "1.0", "http": "1.0"}),
    (["pypi::torch===2.1.0+cpu"], {"pytorch": "2.1.0+cpu"}),
    (["pypi::torch==2.1.0"], {"pytorch": "2.1.0+cpu"}),
    (["pytorch"], {"pytorch": "2.1.0+cpu"}),
    (["web", "--exclude-newer", "2023-06-01"], {"web": "1.0", "http": "1.0"}),
]


@pytest.mark.parametrize(("words", "expected"), PLANS)
def test_plans(configured: Kaa, words: list[str], expected: dict[str, str]) -> None:
    assert planned(configured, *words) == {"python": "3.11.9", **expected}


def test_where_packages_are_said_to_come_from(configured: Kaa, server: IndexServer) -> None:
    links = configured.ok("create", "-n", "plan", "--dry-run", "--json", "web").json()["actions"]["LINK"]
    [web] = [link for link in links if link["name"] == "web"]
    assert (web["channel"], web["base_url"]) == ("pypi", f"pypi+{server.url}")


def test_a_plain_name_is_one_of_a_conda_package_while_conda_channels_are_in_play(configured: Kaa) -> None:
    failed = configured("create", "-n", "plan", "--dry-run", "torch")
    assert failed.code == 1
    assert "The Python project torch is the package pytorch" in failed.err


def test_what_has_source_archives_only_is_said(configured: Kaa) -> None:
    failed = configured("create", "-n", "plan", "--dry-run", "archive")
    assert failed.code == 1
    assert "Of archive, pypi has only source archives, and no wheels" in failed.err


def test_search(configured: Kaa) -> None:
    found = configured.ok("search", "--json", "pypi::torch").json()
    assert [record["version"] for record in found["pytorch"]] == ["2.1.0+cpu"]
    assert [record["version"] for record in configured.ok("search", "--json", "web>=2").json()["web"]] == ["2.0"]


def test_offline_a_plan_takes_what_is_on_this_machine(configured: Kaa, server: IndexServer) -> None:
    configured.ok("create", "-n", "one", "-y", "web")
    asked = len(server.requests)
    assert planned(configured, "--offline", "web") == {"python": "3.11.9", "web": "2.0", "http": "1.0"}
    assert configured("create", "-n", "two", "--offline", "--dry-run", "socks").code == 1
    assert len(server.requests) == asked


def test_a_password_of_an_index_is_used_and_never_shown(kaa: Kaa, tmp_path: Path) -> None:
    ChannelBuilder(tmp_path / "channel").add(Package("python", "3.11.9", subdir="linux-64")).write()
    with serve_index(INDEX, credentials=("me", "hush")) as running:
        address = running.url.replace("://", "://me:hush@")
        (kaa.home / ".condarc").write_text(f"channels: [{tmp_path}/channel, 'pypi+{address}']\n")
        made = kaa.ok("create", "-n", "one", "-y", "web")
        assert "hush" not in made.out + made.err
        listed = kaa.ok("list", "-n", "one", "--json")
        assert {"web", "http", "python"} == {record["name"] for record in listed.json()}
        kept = [path for path in (kaa.home / "root").rglob("*") if path.is_file() and b"hush" in path.read_bytes()]
        assert kept == []
