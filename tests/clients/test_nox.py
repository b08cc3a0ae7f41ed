"""nox with its conda backend: sessions in environments that kaa makes, in conda's place."""

from __future__ import annotations

import sys

import pytest

from tests.clients.house import House, Shared, records_of

pytestmark = [pytest.mark.slow, pytest.mark.clients]

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"

NOXFILE = f"""\
import nox


@nox.session(venv_backend="conda", python="{VERSION}", venv_params=["--override-channels", "-c", "CHANNEL"])
def tests(session):
    session.conda_install("hello=1.0", "greetings", channel="CHANNEL")
    session.install("--no-deps", "./project-1.0-py3-none-any.whl")
    session.run("hello")
    session.run("greet")
    session.run("python", "-c", "import project, sys; print(project.WORD, sys.prefix)")


@nox.session(venv_backend="conda", reuse_venv=True)
def again(session):
    session.run("python", "-c", "import sys; print('again', sys.prefix)")


@nox.session(venv_backend="conda")
def failing(session):
    session.conda_install("there-is-no-such-package")
"""


@pytest.fixture
def nox(house: House, shared: Shared) -> str:
    folder = shared.client("nox")
    house.more["PATH"] = f"{house.root}/condabin:{folder}:{house.environ['PATH']}"
    # nox adds --offline where it cannot reach the internet, so the channel is a folder, which is always there.
    house.write("noxfile.py", NOXFILE.replace("CHANNEL", str(shared.channel())))
    house.configure(shared.channel())
    house.wheel("project", "1.0", "WORD = 'installed by pip'\n")
    return str(folder / "nox")


def test_a_session_installs_with_conda_and_pip_and_runs(house: House, nox: str) -> None:
    done = house.ok(nox, "--sessions", "tests")
    prefix = house.work / ".nox" / "tests"
    assert f"hello 1.0 from {prefix}" in done.stdout
    assert "good day" in done.stdout
    assert f"installed by pip {prefix}" in done.stdout
    assert {"python", "hello", "greetings", "pip"} <= records_of(prefix).keys()
    first = (prefix / "conda-meta" / "history").read_text().splitlines()[1]
    assert first.startswith(f"# cmd: {house.root}/bin/conda create ")


def test_an_environment_is_used_again(house: House, nox: str) -> None:
    house.ok(nox, "--sessions", "again")
    records = house.work / ".nox" / "again" / "conda-meta" / "history"
    before = records.stat().st_mtime_ns
    assert f"again {house.work}/.nox/again" in house.ok(nox, "--sessions", "again").stdout
    assert records.stat().st_mtime_ns == before


def test_a_session_fails_where_conda_fails(house: House, nox: str) -> None:
    done = house.run(nox, "--sessions", "failing")
    assert done.returncode == 1
    assert "there-is-no-such-package" in done.stderr
