"""conda-lock: locks with kaa as its conda, and installs its locks through kaa."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from kaa.envfiles.conda_lock import parse_conda_lock
from kaa.envfiles.lock import Lock
from tests.clients.house import KAA, House, Shared, records_of
from tests.pypi_index import PypiIndex, Wheel, serve_index

pytestmark = [pytest.mark.slow, pytest.mark.clients]

MACHINE = """\
subdirs:
  linux-64:
    packages:
      __unix: "0"
      __linux: "6.1"
      __glibc: "GLIBC"
"""


@pytest.fixture
def index() -> Iterator[str]:
    """An index of Python packages: tool needs more."""
    packages = PypiIndex().add(Wheel("tool", "1.0", requires=["more>=1"]), Wheel("more", "1.5"))
    with serve_index(packages, formats=("html",)) as server:
        yield server.url


@pytest.fixture
def project(house: House, shared: Shared) -> House:
    """An environment file, and what conda-lock fetches from the internet unless it is told of another place."""
    house.more["PATH"] = f"{house.root}/condabin:{shared.client('conda-lock')}:{house.environ['PATH']}"
    packages = "  - python\n  - greetings\n  - hello =1.0\n"
    house.write("environment.yml", f"channels:\n  - {house.channel_url}\n  - nodefaults\ndependencies:\n{packages}")
    virtual = json.loads(house.ok("conda", "info", "--json").stdout)["virtual_pkgs"]
    glibc = next(version for name, version, _ in virtual if name == "__glibc")
    house.write("machine.yml", MACHINE.replace("GLIBC", glibc))
    house.write("names.json", "{}")
    return house


def lock(house: House, *words: str) -> Lock:
    conda = str(house.root / "bin" / "conda")
    told = ("--virtual-package-spec", "machine.yml", "--pypi_to_conda_lookup_file", "names.json")
    house.ok("conda-lock", "lock", "--conda", conda, "--platform", "linux-64", *told, *words)
    return parse_conda_lock((house.work / "conda-lock.yml").read_text())


def install(house: House, *words: str) -> None:
    house.ok("conda-lock", "install", "--conda", str(house.root / "bin" / "conda"), *words)


def test_lock_and_install(project: House) -> None:
    found = {record.name: record for record in lock(project).environments[0].conda["linux-64"]}
    assert found.keys() == {"python", "greetings", "hello"}
    # Whatever the package cache knows of other addresses: these are of the channel that was asked.
    for record in found.values():
        assert record.url.startswith(f"{project.channel_url}/")
        assert record.sha256
        assert record.md5
    install(project, "--name", "locked", "conda-lock.yml")
    prefix = project.environment("locked")
    assert records_of(prefix) == {name: record.version for name, record in found.items()}
    assert project.ok("conda", "run", "-n", "locked", "greet").stdout == "good day\n"
    # Over what is there, and without links to the cache.
    install(project, "--copy", "--prefix", str(prefix), "conda-lock.yml")
    assert (prefix / "bin" / "hello").stat().st_nlink == 1


def test_what_is_in_the_package_cache_already(project: House) -> None:
    project.ok("conda", "create", "--yes", "--name", "before", "python", "greetings", "hello=1.0")
    locked = lock(project).environments[0].conda["linux-64"]
    assert {record.url.rpartition("/")[0].rpartition("/")[0] for record in locked} == {project.channel_url}


def test_one_package_is_updated(project: House) -> None:
    text = (project.work / "environment.yml").read_text()
    lock(project)
    project.write("environment.yml", text.replace("hello =1.0", "hello"))
    found = lock(project, "--lockfile", "conda-lock.yml", "--update", "hello").environments[0].conda["linux-64"]
    assert {record.name: record.version for record in found}["hello"] == "2.0"


def test_what_it_renders(project: House) -> None:
    lock(project)
    project.ok("conda-lock", "render", "--kind", "explicit", "--kind", "env", "--platform", "linux-64")
    # Its explicit lists are called *.lock.
    project.ok("conda", "create", "--yes", "--name", "listed", "--file", "conda-linux-64.lock")
    project.ok("conda", "env", "create", "--name", "described", "--file", "conda-linux-64.lock.yml")
    listed, described = (records_of(project.environment(name)) for name in ("listed", "described"))
    assert listed == described
    assert listed["hello"] == "1.0"


def test_the_part_of_pip(project: House, index: str) -> None:
    text = (project.work / "environment.yml").read_text()
    more = f"pip-repositories:\n  - {index}\nallow-pypi-requests: false\n"
    project.write("environment.yml", f"{text}  - pip\n  - pip:\n    - tool\n{more}")
    locked = lock(project).environments[0]
    assert {wheel.name: wheel.version for wheel in locked.pypi["linux-64"]} == {"tool": "1.0", "more": "1.5"}
    install(project, "--name", "both", "conda-lock.yml")
    found = json.loads(project.ok("conda", "list", "--name", "both", "--json").stdout)
    assert {one["name"] for one in found if one["channel"] == "pypi"} == {"tool", "more"}


def test_wheels_go_both_ways(project: House, index: str) -> None:
    """conda-lock installs the wheels of a lock that kaa wrote, and kaa those of its locks, without pip."""
    channels = f"channels:\n  - {project.channel_url}\n  - pypi+{index}\n  - nodefaults\n"
    project.write("wheels.yml", f"{channels}dependencies:\n  - python\n  - pip\n  - tool\n")
    project.ok(*KAA, "lock", "wheels.yml", "--output", "conda-lock.yml")
    locked = parse_conda_lock((project.work / "conda-lock.yml").read_text()).environments[0]
    assert {wheel.name: wheel.version for wheel in locked.pypi["linux-64"]} == {"tool": "1.0", "more": "1.5"}
    install(project, "--name", "by-conda-lock", "conda-lock.yml")
    project.ok("conda", "create", "--yes", "--name", "by-kaa", "--file", "conda-lock.yml")
    listed = [
        json.loads(project.ok("conda", "list", "-n", name, "--json").stdout) for name in ("by-conda-lock", "by-kaa")
    ]
    one, other = ({(found["name"], found["version"]) for found in every} for every in listed)
    assert one == other
    assert {"tool", "more"} <= records_of(project.environment("by-kaa")).keys()


def test_kaa_installs_the_same(project: House) -> None:
    """Without conda-lock: kaa reads the lock itself."""
    wanted = {record.name: record.version for record in lock(project).environments[0].conda["linux-64"]}
    project.ok("conda", "create", "--yes", "--name", "itself", "--file", "conda-lock.yml")
    assert records_of(project.environment("itself")) == wanted


def test_what_cannot_be_solved_is_told(project: House) -> None:
    project.write("environment.yml", f"channels: [{project.channel_url}]\ndependencies: [there-is-no-such-package]\n")
    conda = str(project.root / "bin" / "conda")
    done = project.run("conda-lock", "lock", "--conda", conda, "--platform", "linux-64")
    assert done.returncode != 0
    assert "there-is-no-such-package" in done.stderr
