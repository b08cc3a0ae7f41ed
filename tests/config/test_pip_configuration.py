"""What pip and uv were told, from files and variables; where pip is there to ask, it says the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kaa.config.pip_configuration import (
    PipConfiguration,
    UnreadablePipConfiguration,
    default_index,
    read_pip_configuration,
)
from kaa.net.settings import HttpSettings

MAIN = default_index()


class Machine:
    """A home, a directory for the system's files, and variables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"HOME": str(folder / "home")}

    def write(self, place: str, text: str) -> Machine:
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return self

    def read(self, **environ: str) -> PipConfiguration:
        return read_pip_configuration(
            {**self.environ, **environ},
            str(self.folder / "work"),
            system_directories=(self.folder / "etc",),
            own_prefix=self.folder / "own",
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_nobody_was_told_anything(machine: Machine) -> None:
    assert machine.read() == PipConfiguration((MAIN.rstrip("/"),), MAIN.rstrip("/"))


PIP_FILES = [
    "etc/xdg/pip/pip.conf",
    "etc/pip.conf",
    "home/.pip/pip.conf",
    "home/.config/pip/pip.conf",
    "own/pip.conf",
    "named.conf",
]


@pytest.mark.skipif(sys.platform != "linux", reason="places of files differ")
@pytest.mark.parametrize("count", range(1, len(PIP_FILES) + 1))
def test_what_counts_most_of_pips_files(machine: Machine, count: int) -> None:
    for number, place in enumerate(PIP_FILES[:count]):
        machine.write(place, f"[global]\nindex-url = https://host/{number}\nextra_index_url = https://extra/{number}\n")
    named = {"PIP_CONFIG_FILE": str(machine.folder / "named.conf")}
    found = machine.read(**named)
    assert found.indexes == (f"https://extra/{count - 1}", f"https://host/{count - 1}")
    assert (found.main, found.source) == (f"https://host/{count - 1}", "pip")
    assert machine.read(PIP_INDEX_URL="https://host/variable/", **named).main == "https://host/variable"
    assert machine.read(PIP_CONFIG_FILE=os.devnull).source == ""


def test_sections_lists_and_paths(machine: Machine) -> None:
    text = (
        "[global]\nextra-index-url =\n  https://one/simple\n  https://two/simple/\nfind-links = wheels ~/w file:///x\n"
    )
    machine.write(
        "home/.config/pip/pip.conf", text + "[install]\nindex-url = https://main/simple\n[list]\nindex-url=z\n"
    )
    assert machine.read().indexes == (
        "https://one/simple",
        "https://two/simple",
        "https://main/simple",
        (machine.folder / "work/wheels").as_uri(),
        (machine.folder / "home/w").as_uri(),
        "file:///x",
    )
    assert machine.read(PIP_NO_INDEX="1").indexes == machine.read().indexes[3:]
    assert machine.read(PIP_NO_INDEX="1").main == ""
    assert machine.read(PIP_FIND_LINKS="/y", PIP_EXTRA_INDEX_URL="https://three").indexes == (
        "https://three",
        "https://main/simple",
        "file:///y",
    )


UV_FILES = [
    ('index-url = "https://a/"', ("https://a",)),
    ('extra-index-url = ["https://b", "https://c"]', ("https://b", "https://c", "<main>")),
    ('[[index]]\nurl = "https://b"\n[[index]]\nurl = "https://d"\ndefault = true', ("https://b", "https://d")),
    (
        '[[index]]\nname = "x"\nurl = "https://b"\nexplicit = true\n[[index]]\nurl = "https://e"',
        ("https://e", "<main>"),
    ),
    ('no-index = true\nfind-links = ["/w"]', ("file:///w",)),
    ('[[index]]\nurl = "https://b/links"\nformat = "flat"', ("<main>", "https://b/links")),
    ('[pip]\nindex-url = "https://f"', ("https://f",)),
]


@pytest.mark.skipif(sys.platform == "win32", reason="places of files differ")
@pytest.mark.parametrize(("text", "indexes"), UV_FILES)
@pytest.mark.parametrize("place", ["etc/uv/uv.toml", "home/.config/uv/uv.toml", "named.toml"])
def test_files_of_uv(machine: Machine, text: str, indexes: tuple[str, ...], place: str) -> None:
    machine.write("home/.config/pip/pip.conf", "[global]\nindex-url = https://pips/simple\n")
    machine.write(place, text)
    named = {"UV_CONFIG_FILE": str(machine.folder / "named.toml")} if place == "named.toml" else {}
    found = machine.read(**named)
    assert found.indexes == tuple(url.replace("<main>", MAIN.rstrip("/")) for url in indexes)
    assert found.source == "uv"
    # It is not asked where it says nothing of indexes.
    machine.write(place, 'python-preference = "system"')
    assert machine.read(**named).indexes == ("https://pips/simple",)
    assert machine.read(UV_NO_CONFIG="1").source == "pip"


@pytest.mark.parametrize(
    ("environ", "indexes"),
    [
        ({"UV_INDEX_URL": "https://a"}, ("https://a",)),
        ({"UV_INDEX_URL": "https://a", "UV_DEFAULT_INDEX": "https://b"}, ("https://b",)),
        (
            {"UV_INDEX": "https://a own=https://b", "UV_DEFAULT_INDEX": "https://c"},
            ("https://a", "https://b", "https://c"),
        ),
        (
            {"UV_INDEX": "my-own=https://b/x", "UV_INDEX_MY_OWN_USERNAME": "me", "UV_INDEX_MY_OWN_PASSWORD": "a/b"},
            ("https://me:a%2Fb@b/x", "<main>"),
        ),
        ({"UV_EXTRA_INDEX_URL": "https://a/?x=y", "PIP_INDEX_URL": "https://z"}, ("https://a/?x=y", "<main>")),
        ({"UV_NO_INDEX": "true", "UV_FIND_LINKS": "/a,/b"}, ("file:///a", "file:///b")),
    ],
)
def test_variables_of_uv(machine: Machine, environ: dict[str, str], indexes: tuple[str, ...]) -> None:
    assert machine.read(**environ).indexes == tuple(url.replace("<main>", MAIN.rstrip("/")) for url in indexes)


def test_certificates_and_proxies_where_kaa_was_told_nothing(machine: Machine) -> None:
    found = machine.read(
        PIP_CERT="/certificates.pem",
        PIP_CLIENT_CERT="/me.pem",
        PIP_PROXY="http://proxy:3128",
        PIP_TRUSTED_HOST="a b:8443",
    )
    settings = found.http_settings(HttpSettings())
    assert (settings.ssl_verify, settings.client_certificate) == ("/certificates.pem", "/me.pem")
    assert settings.proxies == {"http": "http://proxy:3128", "https": "http://proxy:3128"}
    assert settings.unverified_hosts == ("a", "b:8443")
    own = HttpSettings(ssl_verify=False, client_certificate="/own.pem", proxies={"https": "http://own"})
    kept = found.http_settings(own)
    assert (kept.ssl_verify, kept.client_certificate, kept.proxies) == (False, "/own.pem", {"https": "http://own"})
    assert machine.read().http_settings(own) == own


@pytest.mark.skipif(sys.platform == "win32", reason="places of files differ")
@pytest.mark.parametrize(
    ("place", "content"),
    [
        ("home/.config/pip/pip.conf", b"[global]\nindex-url\n  https://me:s3cret@host\ncert\n[global\ns3cret"),
        ("home/.config/pip/pip.conf", b"index-url = https://me:s3cret@host\n"),
        ("home/.config/pip/pip.conf", b"\xff\xfe s3cret"),
        ("home/.config/uv/uv.toml", b'index-url = "https://me:s3cret@host'),
        ("home/.config/uv/uv.toml", b"\xff s3cret"),
    ],
)
def test_files_that_cannot_be_read(machine: Machine, place: str, content: bytes) -> None:
    machine.write(place, "")
    (machine.folder / place).write_bytes(content)
    with pytest.raises(UnreadablePipConfiguration, match=r"cannot be read: .+") as caught:
        machine.read()
    assert place in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(caught.value.fields())


def test_logins_are_not_shown(machine: Machine) -> None:
    found = machine.read(PIP_INDEX_URL="https://me:s3cret@host/simple", PIP_PROXY="http://me:s3cret@proxy")
    assert found.main == "https://me:s3cret@host/simple"
    assert "s3cret" not in repr(found)
    assert "s3cret" not in repr(found.http_settings(HttpSettings()))


@pytest.mark.skipif(sys.platform != "linux", reason="places of files differ")
def test_pip_says_the_same(machine: Machine, tmp_path: Path) -> None:
    machine.write("home/.pip/pip.conf", "[global]\nindex-url = https://one/simple\nfind-links = /a\n  /b\n")
    machine.write(
        "home/.config/pip/pip.conf", "[install]\nextra_index_url = https://two https://three\n[global]\ncert=/c\n"
    )
    program = (
        "import json\n"
        "from pip._internal.commands import create_command\n"
        "options, _ = create_command('install').parse_args(['x'])\n"
        "print(json.dumps([options.extra_index_urls, options.index_url, options.find_links, options.cert]))\n"
    )
    environ = {**machine.environ, "XDG_CONFIG_DIRS": str(tmp_path / "none"), "PIP_TRUSTED_HOST": "h"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    extra, main, links, certificate = json.loads(done.stdout)
    found = machine.read(PIP_TRUSTED_HOST="h")
    system = Path("/etc/pip.conf")
    assert found.indexes == (*extra, main, *(Path(link).as_uri() for link in links))
    assert found.certificates == certificate or system.exists()
