"""Indexes of Python packages beside conda channels: what is offered, in which order, and what it costs to ask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from kaa.index.fetch import IndexSettings
from kaa.index.index import Index, open_index
from kaa.index.pypi_source import PypiGroup, PypiSettings
from kaa.models.channel import ChannelConfig
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.virtual_package import VirtualPackage
from kaa.net.auth import Credentials
from kaa.net.client import HttpClient
from kaa.net.settings import HttpSettings
from kaa.pypi.answers import IndexUnreachable
from kaa.solver.candidates import RecordGroup, UnusableCandidate, decode_texts
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.request import SolveRequest
from kaa.solver.solve import solve
from tests.channels import ChannelBuilder, Package
from tests.pypi_index import IndexFault, IndexServer, PypiIndex, Sdist, Wheel, serve_index

VIRTUAL = (
    VirtualPackage("__glibc", "2.28", "0"),
    VirtualPackage("__linux", "0", "0"),
    VirtualPackage("__unix", "0", "0"),
)
LINUX = "manylinux_2_17_x86_64.manylinux2014_x86_64"


class House:
    """Opens channels on one cache, and solves."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.stack = stack
        self.client = stack.enter_context(
            HttpClient(HttpSettings(max_retries=0, backoff_factor=0.0), Credentials(), environ={})
        )
        channel = ChannelBuilder(directory / "channel")
        for version in ("3.10.4", "3.11.9", "3.12.1"):
            channel.add(Package("python", version, "h_0_cpython", subdir="linux-64"))
        channel.add(Package("libzlib", "1.3", subdir="linux-64"), Package("viewer", depends=["pytorch >=2"]))
        self.channel = channel.write()

    def open(
        self,
        *texts: str,
        strict: bool = True,
        offline: bool = False,
        pythons: Sequence[RepoDataRecord] = (),
        as_one: Sequence[str] = (),
    ) -> Index:
        config = ChannelConfig()
        settings = PypiSettings(
            VIRTUAL,
            {"mine": "their-mine"},
            lambda channel, rank: (RecordGroup("python", channel, "linux-64", rank, pythons),) if pythons else (),
            as_one=frozenset(as_one),
        )
        return self.stack.enter_context(
            open_index(
                [channel for text in texts for channel in config.resolve(text, str(self.directory))],
                ("linux-64", "noarch"),
                cache_directory=self.directory / "cache",
                client=self.client,
                settings=IndexSettings(only_first_channel=strict, offline=offline),
                pypi=lambda: settings,
            )
        )

    def solve(self, index: Index, *specs: str) -> dict[str, str]:
        wanted = tuple(map(MatchSpec.parse, specs))
        index.admit(wanted)
        request = SolveRequest(install=index.agree(wanted), virtual_packages=VIRTUAL)
        return {record.name: record.version for record in solve(request, index).records}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path, stack)


INDEX = PypiIndex().add(
    Wheel("web", "2.0", requires=["http>=1,<3", "socks; extra == 'socks'", "win; sys_platform == 'win32'"],
          extras=["socks"], requires_python=">=3.8"),
    Wheel("web", "3.0rc1"),
    Wheel("http", "2.0"),
    Wheel("http", "2.5", yanked="bad"),
    Wheel("socks", "1.0"),
    Wheel("torch", "2.1.0", tag=f"cp311-cp311-{LINUX}", requires=["http"]),
    Wheel("torch", "2.1.0", tag=f"cp310-cp310-{LINUX}", requires=["http"]),
    Wheel("libzlib", "9"),
    Wheel("local", "1.0+cpu"),
    Wheel("vision", "1.0", requires=["local==1.0", "http==2.5"]),
    Wheel("mine", "1.0"),
    Wheel("new", "1.0", upload_time="2024-01-01T00:00:00Z"),
    Wheel("future", "1.0", tag="cp311-cp311-manylinux_2_99_x86_64"),
    Sdist("archive", "1.0"),
)  # fmt: skip


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with serve_index(INDEX) as running:
        yield running


CASES = [
    (["web"], {"web": "2.0", "http": "2.0"}),
    (["web[extras=[socks]]"], {"web": "2.0", "http": "2.0", "socks": "1.0"}),
    (["web>=3.0rc1"], {"web": "3.0rc1"}),
    (["web", "http==2.5"], {"web": "2.0", "http": "2.5"}),
    (["pytorch"], {"pytorch": "2.1.0", "http": "2.0", "python": "3.11.9"}),
    (["pytorch", "python=3.10"], {"pytorch": "2.1.0", "http": "2.0", "python": "3.10.4"}),
    # A conda package needs a wheel.
    (["viewer"], {"viewer": "1.0", "pytorch": "2.1.0", "http": "2.0", "python": "3.11.9"}),
    # Local versions and withdrawn ones, which another wheel pins.
    (["vision"], {"vision": "1.0", "local": "1.0+cpu", "http": "2.5"}),
    (["local==1.0"], {"local": "1.0+cpu"}),
    (["local>=1.0"], {"local": "1.0+cpu"}),
    (["local=1"], {"local": "1.0+cpu"}),
    (["their-mine"], {"their-mine": "1.0"}),
]


@pytest.mark.parametrize(("specs", "expected"), CASES)
def test_environments_of_both_worlds(
    house: House, server: IndexServer, specs: list[str], expected: dict[str, str]
) -> None:
    index = house.open("./channel", f"pypi+{server.url}")
    assert house.solve(index, *specs) == {"python": "3.12.1", **expected}


@pytest.mark.parametrize(
    ("specs", "left_out"),
    [
        (["archive"], "only source archives, and no wheels"),
        (["http>=2.4"], "withdrawn (yanked: bad); ask for it by its number, as in http==2.5"),
        (["web>=2.1,<4"], "only pre-releases; ask for one by its number, as in web>=3.0rc1"),
    ],
)
def test_what_is_told_of_what_is_left_out(house: House, server: IndexServer, specs: list[str], left_out: str) -> None:
    index = house.open("./channel", f"pypi+{server.url}")
    wanted = tuple(map(MatchSpec.parse, specs))
    with pytest.raises(PackagesNotFound):
        house.solve(index, *specs)
    [said] = index.left_out(wanted)
    assert left_out in said


def test_a_project_that_has_another_name_as_a_package(house: House, server: IndexServer) -> None:
    index = house.open("./channel", f"pypi+{server.url}")
    with pytest.raises(PackagesNotFound):
        house.solve(index, "torch")
    assert index.left_out([MatchSpec.parse("torch")]) == [
        "The Python project torch is the package pytorch: ask for that, or for pypi::torch."
    ]


def test_a_wheel_for_a_newer_system_is_explained(house: House, server: IndexServer) -> None:
    with pytest.raises(Unsolvable, match=r"__glibc >=2\.99"):
        house.solve(house.open("./channel", f"pypi+{server.url}"), "future")


def test_what_a_conda_channel_has_is_not_asked_for(house: House, server: IndexServer) -> None:
    index = house.open("./channel", f"pypi+{server.url}")
    assert house.solve(index, "libzlib") == {"libzlib": "1.3"}
    assert house.solve(index, "python") == {"python": "3.12.1"}
    assert server.requests == []


def test_the_first_channel_of_a_name_counts(house: House, server: IndexServer) -> None:
    other = PypiIndex().add(Wheel("web", "1.0"), Wheel("rare", "1.0"))
    with serve_index(other) as second:
        index = house.open(f"pypi+{second.url}", "./channel", f"pypi+{server.url}")
        assert [group.rank for group in index.groups("web")][:1] == [0]
        assert house.solve(index, "web", "rare", "socks") == {
            "web": "1.0", "rare": "1.0", "socks": "1.0", "python": "3.12.1",
        }  # fmt: skip
        assert server.count("/simple/web/") == 0
        flexible = house.open(f"pypi+{second.url}", f"pypi+{server.url}", strict=False)
        assert {record.version for record in flexible.records("web")} == {"1.0", "2.0"}


def test_of_indexes_that_are_one_the_best_version_counts(house: House, server: IndexServer) -> None:
    other = PypiIndex().add(Wheel("web", "1.0"), Wheel("socks", "2.0"))
    with serve_index(other) as second:
        both = (f"pypi+{second.url}", f"pypi+{server.url}")
        index = house.open("./channel", *both, as_one=[channel.rstrip("/") for channel in both])
        assert {group.rank for group in index.groups("web")} == {1}
        assert house.solve(index, "web", "socks", "libzlib") == {
            "web": "2.0", "http": "2.0", "socks": "2.0", "libzlib": "1.3", "python": "3.12.1",
        }  # fmt: skip


def test_interpreters_are_offered_where_no_channel_has_python(house: House, server: IndexServer) -> None:
    here = RepoDataRecord(name="python", version="3.11.2", build="h_0_cpython", subdir="linux-64")
    only_pypi = house.open(f"pypi+{server.url}", pythons=[here])
    assert house.solve(only_pypi, "http") == {"http": "2.0", "python": "3.11.2"}
    both = house.open("./channel", f"pypi+{server.url}", pythons=[here])
    assert house.solve(both, "http") == {"http": "2.0", "python": "3.12.1"}
    assert server.count("/simple/python/") == 0


def test_a_plan_takes_few_round_trips_and_nothing_in_vain(house: House, server: IndexServer) -> None:
    house.solve(house.open("./channel", f"pypi+{server.url}"), "web")
    asked = [path.rpartition("/")[2] or path for path in server.paths()]
    assert sorted(asked) == ["/simple/http/", "/simple/web/", *asked_metadata("http-2.0", "web-2.0")]
    again = len(server.requests)
    house.solve(house.open("./channel", f"pypi+{server.url}", offline=True), "web")
    assert len(server.requests) == again


def asked_metadata(*stems: str) -> list[str]:
    return [f"{stem}-py3-none-any.whl.metadata" for stem in stems]


def test_a_wheel_with_unusable_metadata_is_passed_over(house: House) -> None:
    index = PypiIndex().add(Wheel("tool", "1.0"), Wheel("tool", "2.0", requires=["lib @ https://host/lib.whl"]))
    with serve_index(index) as running:
        opened = house.open("./channel", f"pypi+{running.url}")
        assert house.solve(opened, "tool")["tool"] == "1.0"
        with pytest.raises(Unsolvable, match="address of its own"):
            house.solve(house.open("./channel", f"pypi+{running.url}"), "tool=2")


def test_candidates_are_read_once_and_complete_then(house: House, server: IndexServer) -> None:
    index = house.open(f"pypi+{server.url}")
    [_, group] = index.groups("web")
    assert isinstance(group, PypiGroup)
    assert (group.subdir, decode_texts(group.columns.versions)) == ("noarch", ["2.0"])
    assert group.record(0).depends == ("python >=3.8",)
    needs = group.read(0)
    assert needs.depends == ("http >=1,<3a0",)
    assert group.read(0) is needs
    record = group.record(0)
    assert record.depends == ("python >=3.8", "http >=1,<3a0")
    assert record.extra_depends == {"socks": ("socks",)}


@pytest.mark.parametrize("specs", [("web",), ("web[extras=[socks]]",), ("web=3.0rc1",), ("vision",), ("pytorch",)])
def test_solves_are_the_same_from_what_is_kept(specs: tuple[str, ...], house: House, server: IndexServer) -> None:
    texts = ("./channel", f"pypi+{server.url}")
    first = house.solve(house.open(*texts), *specs)
    assert house.solve(house.open(*texts), *specs) == first
    assert house.solve(house.open(*texts, offline=True), *specs) == first
    kept = [path for path in (house.directory / "cache" / "pypi" / "offers").rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        path.unlink()
    assert house.solve(house.open(*texts), *specs) == first


def test_offline_only_what_is_kept_is_there(house: House, server: IndexServer) -> None:
    house.open(f"pypi+{server.url}").records("web")
    index = house.open(f"pypi+{server.url}", offline=True)
    assert [record.version for record in index.records("web")] == ["2.0"]
    assert index.groups("http") == ()
    [_, group] = index.groups("web")
    assert isinstance(group, PypiGroup)
    with pytest.raises(UnusableCandidate, match="offline"):
        group.read(0)


def test_names_that_are_near_come_from_what_is_at_hand(house: House, server: IndexServer) -> None:
    index = house.open(f"pypi+{server.url}")
    assert index.records("torch") == []
    assert [record.version for record in index.records("pytorch")] == ["2.1.0", "2.1.0"]
    assert list(index.near_names("pytroch")) == ["pytorch"]
    assert server.count("/simple/") == 0


def test_an_index_that_cannot_be_reached_is_no_empty_one(house: House, server: IndexServer) -> None:
    server.faults.append(IndexFault("/simple/web/", "reset"))
    with pytest.raises(IndexUnreachable):
        house.solve(house.open("./channel", f"pypi+{server.url}"), "web")


def test_a_folder_of_wheels_is_an_index(house: House) -> None:
    INDEX.write_flat(house.directory / "wheels")
    assert house.solve(house.open("./channel", "pypi+./wheels"), "web") == {
        "web": "2.0", "http": "2.5", "python": "3.12.1",
    }  # fmt: skip
