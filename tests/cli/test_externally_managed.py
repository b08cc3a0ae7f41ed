"""The option externally_managed: pip leaves the environment alone, kaa does not (PEP 668)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kaa.channels.index import index_channel
from kaa.pypi.interpreters.bundled_pip import package_pip
from kaa.pypi.interpreters.interpreter import ask_interpreter
from kaa.pypi.interpreters.packaging import package_python
from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa
from tests.cli.generation_worlds import python_of_its_own
from tests.pypi_index import PypiIndex, Sdist
from tests.transaction.world import SITE, VERSION

MARKER = f"lib/python{VERSION}/EXTERNALLY-MANAGED"


@pytest.fixture
def channel(kaa: Kaa, tmp_path: Path) -> Path:
    ChannelBuilder(tmp_path / "channel").add(python_of_its_own(), Package("alone", files={"share/alone": "x"})).write()
    (kaa.home / ".condarc").write_text(f"channels: ['{(tmp_path / 'channel').as_uri()}']\n")
    return tmp_path / "channel"


def test_the_mark_comes_and_goes_with_python(kaa: Kaa, channel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kaa.ok("create", "-n", "env", "-y", "python")
    marker = kaa.environment("env") / MARKER
    assert not marker.exists()
    monkeypatch.setenv("KAA_EXTERNALLY_MANAGED", "true")
    kaa.ok("install", "-n", "env", "-y", "alone")
    assert f"kaa install --prefix {kaa.environment('env')} NAME" in marker.read_text()
    assert kaa("verify", "-n", "env").code == 0
    assert "EXTERNALLY" not in kaa.ok("package", "--untracked", "-n", "env").out
    kaa.ok("remove", "-n", "env", "-y", "python")
    assert not marker.exists()
    kaa.ok("undo", "-n", "env", "-y")
    assert marker.exists()
    kaa.ok("create", "-n", "none", "-y", "alone")
    assert not list(kaa.environment("none").rglob("EXTERNALLY-MANAGED"))


def test_the_mark_of_somebody_else_stays(kaa: Kaa, channel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kaa.ok("create", "-n", "env", "-y", "python")
    marker = kaa.environment("env") / MARKER
    marker.write_text("[externally-managed]\nError=ours\n")
    monkeypatch.setenv("KAA_EXTERNALLY_MANAGED", "true")
    kaa.ok("install", "-n", "env", "-y", "alone")
    kaa.ok("remove", "-n", "env", "-y", "python")
    assert marker.read_text() == "[externally-managed]\nError=ours\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="pythons are packaged on Linux only")
def test_pip_by_hand_and_pip_of_kaa(kaa: Kaa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = tmp_path / "real"
    original = ask_interpreter(Path(sys.executable))
    packaged = package_python(Path(sys.executable), channel, environ={}, level=1)
    if not package_pip(original, channel, subdir=packaged.path.parent.name, level=1):
        pytest.skip("this python has no pip")
    index_channel(channel, workers=1)
    PypiIndex().add(Sdist("thing")).write_flat(tmp_path / "wheels")
    monkeypatch.setenv("KAA_EXTERNALLY_MANAGED", "true")
    monkeypatch.setenv("CONDA_SUBDIR", packaged.path.parent.name)
    (kaa.home / "environment.yml").write_text(
        f"name: env\nchannels: ['{channel.as_uri()}', nodefaults]\ndependencies: [pip, {{pip: ['-e ./src']}}]\n"
    )
    (kaa.home / "src").mkdir()
    (kaa.home / "src/backend.py").write_text(BACKEND)
    (kaa.home / "src/pyproject.toml").write_text(
        "[project]\nname = 'live'\nversion = '1'\n[build-system]\nrequires = []\nbuild-backend = 'backend'\n"
        "backend-path = ['.']\n"
    )
    kaa.ok("env", "create")
    prefix = kaa.environment("env")
    assert (prefix / SITE / "live.pth").exists()
    done = subprocess.run(
        [prefix / f"bin/python{VERSION}", "-m", "pip", "uninstall", "-y", "live"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode != 0, "externally" in done.stderr, "kaa install" in done.stderr) == (True, True, True)
    assert (prefix / SITE / "live.pth").exists()


BACKEND = """
import zipfile
def build_editable(directory, settings=None, metadata=None):
    with zipfile.ZipFile(f"{directory}/live-1-py3-none-any.whl", "w") as archive:
        archive.writestr("live.pth", ".")
        archive.writestr("live-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: live\\nVersion: 1\\n")
        archive.writestr("live-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr("live-1.dist-info/RECORD", "live.pth,,\\n")
    return "live-1-py3-none-any.whl"
"""
