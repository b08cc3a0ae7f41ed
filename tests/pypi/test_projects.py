"""Popular projects from the user's index: kaa installs what uv installs, and it works.

Needs an index with all of PyPI, and is skipped where none can be reached. `KAA_ALL_PROJECTS=1` tests every group.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from kaa.config.pip_configuration import PipConfiguration, read_pip_configuration
from kaa.errors import KaaError
from kaa.net.client import HttpClient
from kaa.net.settings import HttpSettings
from kaa.pypi.index_client import open_index
from tests.pypi.projects import GROUPS, Group, files_of_venv, files_of_wheels, find_versions

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(sys.platform != "linux", reason="what is compared is the wheels for Linux"),
]

CUT_OFF = "2026-10-01T00:00:00Z"
PYTHON = ".".join(map(str, sys.version_info[:3]))
SITE_PACKAGES = f"lib/python3.{sys.version_info[1]}/site-packages"
OTHER_VERSIONS: dict[tuple[str, str], str] = {}
"""(group, project) → why kaa chooses another version than uv."""


class House(msgspec.Struct):
    """Where both install to, and how they reach the index."""

    root: Path
    uv: Path
    pip: Path
    environ: dict[str, str]
    cut_off: tuple[str, ...]

    def run(self, *command: str | Path) -> str:
        done = subprocess.run(
            command, cwd=self.root, env=self.environ, capture_output=True, text=True, errors="replace", timeout=1500
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    root = tmp_path_factory.mktemp("projects")
    told = read_pip_configuration(os.environ, str(root))
    if not told.main.startswith("http"):
        pytest.skip("no index of Python packages is configured here")
    has_times = _tells_times(told, root)
    venv.create(root / "tools", with_pip=True)
    uv, pip = root / "tools" / "bin" / "uv", root / "tools" / "bin" / "pip"
    done = subprocess.run([pip, "install", "--quiet", "uv"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"uv cannot be installed here: {done.stderr.strip()[-200:]}")
    kept = {key: value for key, value in os.environ.items() if key.lower().endswith("_proxy") or key == "PATH"}
    environ = kept | {
        "HOME": str(root / "home"),
        "KAA_ROOT_PREFIX": str(root / "kaa"),
        "UV_CACHE_DIR": str(root / "uv"),
        "UV_NO_CONFIG": "1",
        "UV_DEFAULT_INDEX": told.main,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": told.main,
    }
    if told.certificates:
        environ |= {"SSL_CERT_FILE": told.certificates, "PIP_CERT": told.certificates}
    (root / "home").mkdir()
    return House(root, uv, pip, environ, ("--exclude-newer", CUT_OFF) if has_times else ())


def _tells_times(told: PipConfiguration, folder: Path) -> bool:
    """Whether the index says when files were uploaded; skips where it cannot be reached."""
    with HttpClient(told.http_settings(HttpSettings())) as client:
        try:
            page = open_index(told.main, client, folder / "pages").page("packaging")
        except KaaError as error:
            pytest.skip(f"no index of Python packages can be reached: {error.message}")
    if page is None:
        pytest.skip("the index that is configured here has no `packaging`")
    return all(file.upload_time for file in page.files)


def _chosen(name: str) -> object:
    left_out = name != "mixed" and os.environ.get("KAA_ALL_PROJECTS") != "1"
    return pytest.param(name, marks=pytest.mark.skipif(left_out, reason="tested with KAA_ALL_PROJECTS=1"))


def test_there_are_sixty() -> None:
    assert len({project.partition("[")[0] for group in GROUPS.values() for project in group.projects}) >= 60


@pytest.mark.parametrize("name", [_chosen(name) for name in GROUPS])
def test_kaa_installs_what_uv_installs(name: str, house: House) -> None:
    group = GROUPS[name]
    theirs, ours = house.root / f"uv-{name}", house.root / f"kaa-{name}"
    _install_with_uv(house, theirs, group.projects)
    _install_with_kaa(house, ours, group.projects)
    expected, found = find_versions(theirs / SITE_PACKAGES), find_versions(ours / SITE_PACKAGES)
    explained = {project for of, project in OTHER_VERSIONS if of == name}
    different = {one for one in expected.keys() | found.keys() if expected.get(one) != found.get(one)}
    # What is said to differ and does not is no explanation any more.
    assert {one: (expected.get(one), found.get(one)) for one in different ^ explained} == {}
    if not different:
        _compare_files(theirs, ours)
    house.run(house.pip, "--python", ours / "bin" / "python", "check")
    house.run(house.uv, "pip", "check", "--python", ours / "bin" / "python")
    _use(house, ours, group)


def _install_with_uv(house: House, prefix: Path, projects: Sequence[str]) -> None:
    house.run(house.uv, "venv", "--quiet", "--python", sys.executable, prefix)
    python = prefix / "bin" / "python"
    house.run(house.uv, "pip", "install", "--quiet", "--no-build", *house.cut_off, "--python", python, *projects)


def _install_with_kaa(house: House, prefix: Path, projects: Sequence[str]) -> None:
    words = ("create", "--yes", "--quiet", "--override-channels", "--channel", "pypi", "--prefix", prefix)
    house.run(sys.executable, "-m", "kaa", *words, *house.cut_off, f"python={PYTHON}", *projects)


def _compare_files(theirs: Path, ours: Path) -> None:
    """The same files with the same content (programs but for the path of their python) that may be run alike."""
    expected, found = files_of_venv(theirs), files_of_wheels(ours)
    assert sorted(expected ^ found) == []
    for path in sorted(found):
        there = theirs / path.replace("include/", "include/site/") if path.startswith("include/") else theirs / path
        here = ours / path
        assert os.access(here, os.X_OK) == os.access(there, os.X_OK), path
        if not path.startswith("bin/"):
            assert here.stat().st_size == there.stat().st_size, path
            assert here.read_bytes() == there.read_bytes(), path


def _use(house: House, prefix: Path, group: Group) -> None:
    program = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    house.run(prefix / "bin" / "python", "-I", "-c", program, *group.modules)
    for command, *arguments in group.commands:
        house.run(prefix / "bin" / command, *arguments)
    # Using them has changed nothing that is theirs.
    house.run(sys.executable, "-m", "kaa", "verify", "--prefix", prefix)
