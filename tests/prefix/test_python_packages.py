from __future__ import annotations

import json
from pathlib import Path

import pytest

from kaa.models.prefix_record import PrefixRecord
from kaa.prefix.prefix import Prefix
from kaa.prefix.python_packages import find_distributions, site_packages_directories

SITE = "lib/python3.12/site-packages"


def record(name: str, *files: str, **fields: str) -> PrefixRecord:
    return PrefixRecord(
        name=name,
        version="1",
        build="0",
        files=files,
        python_site_packages_path=fields.get("python_site_packages_path"),
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / SITE
    path.mkdir(parents=True)
    return path


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_what_pip_installed(tmp_path: Path, site: Path) -> None:
    put(
        site / "Flask_Login-0.6.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: Flask-Login\nVersion: 0.6.3\n\nName: no\n",
    )
    put(site / "Flask_Login-0.6.dist-info/INSTALLER", "pip\n")
    put(site / "numpy-1.26.0.dist-info/METADATA", "Name: numpy\nVersion: 1.26.0\n")
    put(site / "old-1.0-py3.12.egg-info", "Name: old\nVersion: 1.0\n")
    put(site / "older-2.0.egg-info/PKG-INFO", "")
    put(site / "broken.dist-info/METADATA", "")
    put(site / "module.py", "")
    owned = record("numpy", f"{SITE}/numpy/__init__.py", f"{SITE}/numpy-1.26.0.dist-info/METADATA")
    found = find_distributions(Prefix(tmp_path), [owned])
    assert [(one.name, one.version, one.installer) for one in found] == [
        ("Flask-Login", "0.6.3", "pip"),
        ("old", "1.0", ""),
        ("older", "2.0", ""),
    ]
    assert found[0].normalized_name == "flask-login"
    assert found[0].metadata == f"{SITE}/Flask_Login-0.6.dist-info"


@pytest.mark.parametrize(
    ("content", "source"),
    [
        ({"url": "file:///home/me/my%20tool", "dir_info": {"editable": True}}, "/home/me/my tool"),
        ({"url": "file:///home/me/tool", "dir_info": {"editable": False}}, None),
        ({"url": "file:///home/me/tool", "dir_info": {}}, None),
        ({"url": "https://host/a.whl", "archive_info": {}}, None),
        ({"dir_info": {"editable": True}}, None),
        ([], None),
    ],
)
def test_editable_installations(tmp_path: Path, site: Path, content: object, source: str | None) -> None:
    put(site / "tool-1.dist-info/METADATA", "Name: tool\nVersion: 1\n")
    put(site / "tool-1.dist-info/direct_url.json", json.dumps(content))
    [found] = find_distributions(Prefix(tmp_path), [])
    assert found.editable_source == source


def test_egg_links(tmp_path: Path, site: Path) -> None:
    put(tmp_path / "src/tool.egg-info/PKG-INFO", "Name: Tool\nVersion: 3\n")
    put(site / "tool.egg-link", f"{tmp_path / 'src'}\n.\n")
    put(site / "away.egg-link", "/no/such/place\n.\n")
    put(site / "empty.egg-link", "")
    found = find_distributions(Prefix(tmp_path), [])
    assert [(one.name, one.version, one.editable_source) for one in found] == [
        ("away", "", "/no/such/place"),
        ("Tool", "3", str(tmp_path / "src")),
    ]


def test_where_python_looks(tmp_path: Path, site: Path) -> None:
    (tmp_path / "lib/python3.1").symlink_to("python3.12")
    (tmp_path / "lib/here").mkdir()
    prefix = Prefix(tmp_path)
    assert site_packages_directories(prefix, []) == (SITE,)
    python = record("python", python_site_packages_path="lib/here")
    assert site_packages_directories(prefix, [python]) == ("lib/here", SITE)
    assert site_packages_directories(Prefix(tmp_path / "missing"), []) == ()
    assert find_distributions(Prefix(tmp_path / "missing"), []) == ()
