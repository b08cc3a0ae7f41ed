"""The index over channels: what is offered, in which order, and what is said when something is missing or broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kaa.index.fetch import ChannelUnreachable
from kaa.index.index import ChannelNotFound, ChannelsNotCached
from kaa.models.match_spec import MatchSpec
from kaa.models.repodata import RepodataInvalid
from kaa.net.client import HttpStatusError
from kaa.solver.candidates import RecordSource, columns_of
from tests.channels import ChannelBuilder, Fault, Package, serve
from tests.index.worlds import Reader, record


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path / "cache")


def channel(folder: Path, *dists: str, subdir: str = "linux-64") -> ChannelBuilder:
    builder = ChannelBuilder(folder)
    for dist in dists:
        name, version, build = dist.rsplit("-", 2)
        builder.add_record(f"{dist}.conda", record(name, version, build), subdir)
    return builder.write()


def write_repodata(folder: Path, subdir: str, document: dict[str, Any]) -> None:
    (folder / subdir).mkdir(parents=True, exist_ok=True)
    (folder / subdir / "repodata.json").write_text(json.dumps(document))


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_what_a_channel_offers(tmp_path: Path, reader: Reader, scheme: str) -> None:
    builder = ChannelBuilder(tmp_path / "channel")
    builder.add(
        Package("tool", "1.0", depends=["python >=3.9"]),
        Package("tool", "2.0", extension=".tar.bz2"),
        Package("pure", "1.5", noarch="python"),
        Package("other", "1.0", subdir="win-64"),
    ).write()
    with serve(builder.folder) as server:
        url = server.url if scheme == "http" else builder.url
        with reader.open(url) as index:
            assert sorted(index.names()) == ["pure", "tool"]
            tool = {one.version: one for one in index.records("tool")}
            assert tool["1.0"].depends == ("python >=3.9",)
            assert tool["1.0"].url == f"{url}/linux-64/tool-1.0-0.conda"
            assert tool["2.0"].url == f"{url}/linux-64/tool-2.0-0.tar.bz2"
            assert (tool["1.0"].channel, tool["1.0"].subdir, tool["1.0"].fn) == (url, "linux-64", "tool-1.0-0.conda")
            [pure] = index.records("pure")
            assert (pure.subdir, pure.noarch, len(pure.sha256 or "")) == ("noarch", "python", 64)
            assert index.records("absent") == []
            assert index.groups("absent") == ()


def test_channels_in_order(tmp_path: Path, reader: Reader) -> None:
    first = channel(tmp_path / "first", "a-1-0", "b-1-0")
    second = channel(tmp_path / "second", "a-2-0", "c-1-0")
    channel(tmp_path / "second", "a-3-0", subdir="noarch")
    with reader.open(first.url, second.url, first.url + "/") as index:
        assert [(group.channel, group.subdir, group.rank) for group in index.groups("a")] == [
            (first.url, "linux-64", 0),
            (second.url, "linux-64", 1),
            (second.url, "noarch", 1),
        ]
        assert [record.version for record in index.records("a")] == ["1", "2", "3"]
        assert [group.rank for group in index.groups("b")] == [0]
    assert reader.dists(second.url, first.url) == ["a-1-0", "a-2-0", "a-3-0", "b-1-0", "c-1-0"]


WORLD = [
    record("a", "1.0", "h1_0", depends=["b >=1", "c"], timestamp=1_600_000_000_000),
    record("a", "1.10", "h1_0", depends=["b >=1"], timestamp=1_600_000_000_001),
    record("a", "1.9", "h2_1", depends=["b >=2", "c"], build_number=1),
    record("a", "2.0rc1", "h2_1", depends=["b"], track_features="slow"),
    record("a", "2.0", "h2_1", depends=["b"], track_features="slow"),
]


def test_groups_for_the_solver(tmp_path: Path, reader: Reader) -> None:
    builder = ChannelBuilder(tmp_path / "channel")
    for fields in WORLD:
        builder.add_record(f"a-{fields['version']}-{fields['build']}.conda", fields)
    builder.write()
    for _ in range(3):  # computed, kept, and read back
        with reader.open(builder.url) as index:
            index.load(["a", "absent"])
            [group] = index.groups("a")
            records = index.records("a")
            assert group.columns == columns_of(records)
            [expected] = RecordSource({builder.url: records}).groups("a")
            found = [group.record(position) for position in range(group.columns.count)]
            assert found == [expected.record(position) for position in range(expected.columns.count)]
            assert [one.version for one in found] == ["1.10", "1.9", "1.0", "2.0", "2.0rc1"]


def test_conda_before_tar_bz2_of_the_same_dist(tmp_path: Path, reader: Reader) -> None:
    builder = ChannelBuilder(tmp_path / "channel")
    for version in ("1", "2", "3"):
        builder.add_record(f"a-{version}-0.tar.bz2", record("a", version, license="old"))
    builder.add_record("a-2-0.conda", record("a", "2", license="new"))
    builder.add_record("a-3-0.conda", {"name": "a", "version": 3})
    builder.write()
    with reader.open(builder.url) as index:
        assert [(one.fn, one.license) for one in sorted(index.records("a"), key=lambda one: one.version)] == [
            ("a-1-0.tar.bz2", "old"),
            ("a-2-0.conda", "new"),
            ("a-3-0.tar.bz2", "old"),
        ]
        [group] = index.groups("a")
        assert [group.record(position).fn for position in range(group.columns.count)] == [
            "a-3-0.tar.bz2",
            "a-2-0.conda",
            "a-1-0.tar.bz2",
        ]


def test_the_newer_revision_before_the_older(tmp_path: Path, reader: Reader) -> None:
    write_repodata(
        tmp_path / "channel",
        "noarch",
        {
            "info": {"repodata_revisions": {"v3": {"n_packages": 3}}},
            "packages.conda": {"a-1-0.conda": record("a", license="classic"), "b-1-0.conda": record("b")},
            "v3": {
                "conda": {"a-1-0": record("a", license="v3", flags=["x"]), "c-1-0": record("c")},
                "tar.bz2": {"b-1-0": record("b", license="v3"), "c-1-0": record("c", license="old")},
                "whl": {"w-1-py3_none_any_0": record("w", build="py3_none_any_0", fn="w-1-py3-none-any.whl")},
            },
        },
    )
    with reader.open(str(tmp_path / "channel")) as index:
        found = {one.name: (one.fn, one.license) for name in index.names() for one in index.records(name)}
    assert found == {
        "a": ("a-1-0.conda", "v3"),
        "b": ("b-1-0.tar.bz2", "v3"),
        "c": ("c-1-0.conda", None),
    }
    assert any("1 packages in the archive format 'whl'" in remark for remark in reader.remarks)


def test_removed_records_are_not_offered(tmp_path: Path, reader: Reader) -> None:
    builder = channel(tmp_path / "channel", "a-1-0", "a-2-0")
    builder.repodata["linux-64"]["removed"] = ["a-2-0.conda"]
    builder.write()
    assert reader.dists(builder.url) == ["a-1-0"]


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("../../pkgs/", "{host}/pkgs/a-1-0.conda"),
        ("/pkgs", "{host}/pkgs/a-1-0.conda"),
        ("packages", "{host}/chan/noarch/packages/a-1-0.conda"),
        ("https://other.example/pkgs", "https://other.example/pkgs/a-1-0.conda"),
        ("https://me:secret@other.example/t/tk-1/pkgs", "https://other.example/pkgs/a-1-0.conda"),
    ],
)
def test_packages_elsewhere(tmp_path: Path, reader: Reader, base_url: str, expected: str) -> None:
    document = {"repodata_version": 2, "info": {"base_url": base_url}, "packages.conda": {"a-1-0.conda": record("a")}}
    write_repodata(tmp_path / "root" / "chan", "noarch", document)
    with serve(tmp_path / "root") as server, reader.open(f"{server.url}/chan") as index:
        [one] = index.records("a")
        assert one.url == expected.format(host=server.url)
        assert one.channel == f"{server.url}/chan"


@pytest.mark.parametrize(
    ("file_name", "fields", "reason"),
    [
        ("a-2-0.conda", {"name": "a", "version": None, "build": "0"}, "Expected `str`"),
        ("a-2-0.conda", {"version": "2", "build": "0"}, "missing required field `name`"),
        ("a-2-0.conda", ["a", "2", "0"], "Expected `object`"),
        ("a-2-0.conda", None, "Expected `object`"),
        ("a-2-0.conda", record("a", "2", depends="python"), "Expected `array | null`"),
        ("a-2-0.conda", record("a", "2", timestamp="now"), "Expected `int | float | null`"),
        ("a-2-0.conda", record("b", "2"), "the record is of 'b-2-0'"),
        ("a-2-0.conda", record("a", "3"), "the record is of 'a-3-0'"),
        ("a-2-0.conda", record("a", "2", "../../x"), "the record is of 'a-2-../../x'"),
        ("a-2.conda", record("a", "2"), "the record is of 'a-2-0'"),
        ("a-2-0.zip", record("a", "2"), "the record is of 'a-2-0'"),
    ],
)
def test_one_bad_record_spoils_nothing_else(
    tmp_path: Path, reader: Reader, file_name: str, fields: Any, reason: str
) -> None:
    packages = {"a-1-0.conda": record("a"), file_name: fields, "b-1-0.conda": record("b")}
    write_repodata(tmp_path / "channel", "noarch", {"packages.conda": packages})
    with reader.open(str(tmp_path / "channel")) as index:
        [group] = index.groups("a")
        assert [group.record(place).dist for place in range(group.columns.count)] == ["a-1-0"]
        assert [one.dist for one in index.records("a")] == ["a-1-0"]
        assert [one.dist for one in index.records("b")] == ["b-1-0"]
    [remark] = reader.remarks
    assert f"/noarch: the record of {file_name} is left out: " in remark and reason in remark


def test_a_record_under_the_name_of_another(tmp_path: Path, reader: Reader) -> None:
    """The dist string is the same, but it is not this name's."""
    fields = {"name": "a", "version": "b-1", "build": "0"}
    write_repodata(tmp_path / "channel", "noarch", {"packages.conda": {"a-b-1-0.conda": fields}})
    with reader.open(str(tmp_path / "channel")) as index:
        assert index.records("a-b") == index.records("a") == []
    [remark] = reader.remarks
    assert "the record of a-b-1-0.conda is left out" in remark


def test_texts_of_the_channel_do_not_reach_the_terminal_raw(tmp_path: Path, reader: Reader) -> None:
    escape = "\x1b[31m"
    document = {
        "info": {"repodata_revisions": {f"v4{escape}": {"n_packages": 1, "message": escape}}},
        "packages.conda": {"a-1-0.conda": record(f"a{escape}"), f"b{escape}-1-0.conda": record("b")},
        "v3": {f"odd{escape}": {"c-1-0": record("c")}},
    }
    write_repodata(tmp_path / "channel", "noarch", document)
    with reader.open(str(tmp_path / "channel")) as index:
        assert index.records("a") == []
    assert len(reader.remarks) == 4
    assert all(remark.isprintable() for remark in reader.remarks)
    write_repodata(tmp_path / "channel", "noarch", {"info": {"subdir": escape}})
    with pytest.raises(RepodataInvalid) as caught:
        reader.dists(str(tmp_path / "channel"))
    assert caught.value.message.isprintable()


def test_packages_of_a_server_are_not_files_of_this_machine(tmp_path: Path, reader: Reader) -> None:
    document = {"info": {"base_url": "FILE:///etc"}, "packages.conda": {"a-1-0.conda": record("a")}}
    write_repodata(tmp_path / "channel", "noarch", document)
    with serve(tmp_path / "channel") as server, pytest.raises(RepodataInvalid, match="files of this machine"):
        reader.dists(server.url)


@pytest.mark.parametrize("scheme", ["file", "http"])
@pytest.mark.parametrize("present", ["noarch", "linux-64"])
def test_a_missing_subdir_is_fine(tmp_path: Path, reader: Reader, scheme: str, present: str) -> None:
    write_repodata(tmp_path / "channel", present, {"packages.conda": {"a-1-0.conda": record("a")}})
    with serve(tmp_path / "channel") as server:
        url = server.url if scheme == "http" else str(tmp_path / "channel")
        assert reader.dists(url) == ["a-1-0"]
        assert reader.remarks == []


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_no_channel_at_all(tmp_path: Path, reader: Reader, scheme: str) -> None:
    good = channel(tmp_path / "good", "a-1-0")
    (tmp_path / "empty").mkdir()
    with serve(tmp_path / "empty") as server:
        url = server.url if scheme == "http" else (tmp_path / "empty").as_uri()
        with pytest.raises(ChannelNotFound) as caught, reader.open(good.url, url):
            pass
    assert caught.value.url == url
    assert ("404" if scheme == "http" else "no repodata.json in") in str(caught.value)
    assert any("spelling" in hint for hint in caught.value.hints)


def test_a_channel_that_one_may_not_see(tmp_path: Path, reader: Reader) -> None:
    with serve(tmp_path) as server:
        server.faults.append(Fault("", "status", status=403))
        with pytest.raises(ChannelNotFound, match="the server says 403") as caught, reader.open(server.url):
            pass
    assert any("token" in hint for hint in caught.value.hints)


def test_a_channel_that_wants_credentials(tmp_path: Path, reader: Reader) -> None:
    with serve(tmp_path) as server:
        server.token = "tk-1"
        with pytest.raises(HttpStatusError, match="401"), reader.open(server.url):
            pass


def test_secrets_stay_out_of_the_cache(tmp_path: Path, reader: Reader) -> None:
    builder = channel(tmp_path / "channel", "a-1-0")
    with serve(builder.folder) as server:
        server.token = "tk-very-secret"
        with reader.open(server.url + "/t/tk-very-secret") as index:
            [one] = index.records("a")
            assert index.groups("a")[0].columns.count == 1
            assert one.url == f"{server.url}/linux-64/a-1-0.conda"
    for path in reader.cache.iterdir():
        assert b"very-secret" not in path.read_bytes()
        assert "secret" not in path.name
    assert "very-secret" not in repr(reader.events)


def test_an_unreachable_host(reader: Reader) -> None:
    with pytest.raises(ChannelUnreachable) as caught, reader.open("http://127.0.0.1:9/channel"):
        pass
    assert caught.value.host == "127.0.0.1:9"
    text = str(caught.value)
    assert "the channel http://127.0.0.1:9/channel/linux-64 cannot be read" in text
    for way_out in ("mirror", "another channel", "proxy_servers", "--offline"):
        assert way_out in text


def test_an_unreachable_host_that_was_reached_before(tmp_path: Path, reader: Reader) -> None:
    builder = channel(tmp_path / "channel", "a-1-0")
    with serve(builder.folder) as server:
        reader.dists(server.url)
    with pytest.raises(ChannelUnreachable) as caught, reader.open(server.url):
        pass
    assert caught.value.hints[0] == "use --offline to work with what was fetched from this channel before"
    assert sum("--offline" in hint for hint in caught.value.hints) == 1
    assert reader.dists(server.url, offline=True) == ["a-1-0"]


def test_offline_with_nothing_at_hand(tmp_path: Path, reader: Reader) -> None:
    builder = channel(tmp_path / "channel", "a-1-0")
    with pytest.raises(ChannelsNotCached, match="nothing is on this machine of http:"):
        reader.dists("http://host.invalid/x", offline=True)
    assert reader.dists("http://host.invalid/x", builder.url, offline=True) == ["a-1-0"]
    assert any("http://host.invalid/x" in remark for remark in reader.remarks)


def test_a_document_for_another_subdir(tmp_path: Path, reader: Reader) -> None:
    write_repodata(tmp_path / "channel", "noarch", {"info": {"subdir": "win-64"}})
    with pytest.raises(RepodataInvalid, match="for the subdir 'win-64', not for noarch"):
        reader.dists(str(tmp_path / "channel"))


def test_a_folder_that_changes(tmp_path: Path, reader: Reader) -> None:
    builder = channel(tmp_path / "channel", "a-1-0")
    assert reader.dists(builder.url) == ["a-1-0"]
    channel(tmp_path / "channel", "a-2-0", "b-1-0")
    assert reader.dists(builder.url) == ["a-2-0", "b-1-0"]
    indexes = list(reader.cache.glob("*.index"))
    assert len(indexes) == 2, "the indexes of the earlier documents are removed"


def test_a_folder_with_a_compressed_document_only(tmp_path: Path, reader: Reader) -> None:
    builder = channel(tmp_path / "channel", "a-1-0")
    for path in builder.folder.glob("*/repodata.json"):
        path.unlink()
    assert reader.dists(builder.url) == ["a-1-0"]


def test_a_plain_document_of_a_folder_counts_more_than_a_stale_compressed_one(tmp_path: Path, reader: Reader) -> None:
    builder = channel(tmp_path / "channel", "a-1-0")
    write_repodata(builder.folder, "linux-64", {"packages.conda": {"b-1-0.conda": record("b")}})
    assert reader.dists(builder.url) == ["b-1-0"]


@pytest.mark.parametrize("name", ["a channel with spaces", "c#1?x=%41", "ünïcode"])
def test_folders_with_odd_names(tmp_path: Path, reader: Reader, name: str) -> None:
    builder = channel(tmp_path / name, "a-1-0")
    assert reader.dists(str(builder.folder)) == ["a-1-0"]
    assert reader.dists(builder.url) == ["a-1-0"]


QUERY = ["numpy-1.9-0", "numpy-1.10-0", "numpy-1.10-1", "numpy-base-1.10-0", "scipy-1.0-0"]


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("numpy", ["numpy-1.9-0", "numpy-1.10-0", "numpy-1.10-1"]),
        ("numpy >=1.10", ["numpy-1.10-0", "numpy-1.10-1"]),
        ("numpy=1.10=1", ["numpy-1.10-1"]),
        ("num*", ["numpy-1.9-0", "numpy-1.10-0", "numpy-1.10-1", "numpy-base-1.10-0"]),
        ("*py", ["numpy-1.9-0", "numpy-1.10-0", "numpy-1.10-1", "scipy-1.0-0"]),
        ("*", ["numpy-1.9-0", "numpy-1.10-0", "numpy-1.10-1", "numpy-base-1.10-0", "scipy-1.0-0"]),
        ("*[version='1.0']", ["scipy-1.0-0"]),
        ("numpy[subdir=win-64]", []),
        ("NumPy <1.10", ["numpy-1.9-0"]),
        ("absent", []),
        ("absent*", []),
    ],
)
def test_queries(tmp_path: Path, reader: Reader, spec: str, found: list[str]) -> None:
    builder = channel(tmp_path / "channel", *QUERY)
    with reader.open(builder.url) as index:
        assert [one.dist for one in index.query(MatchSpec.parse(spec))] == found


def test_a_query_for_one_channel(tmp_path: Path, reader: Reader) -> None:
    one = channel(tmp_path / "one", "a-1-0")
    two = channel(tmp_path / "two", "a-1-0", "a-not.a..version-0")
    with reader.open(one.url, two.url) as index:
        assert [record.channel for record in index.query(MatchSpec.parse("a=1"))] == [one.url, two.url]
        found = index.query(MatchSpec.parse(f"{two.url}::a"))
        assert [(record.channel, record.version) for record in found] == [(two.url, "not.a..version"), (two.url, "1")]


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("numpi", "numpy"),
        ("NUMPY", "numpy"),
        ("scikitlearn", "scikit-learn"),
        ("python_dateutil", "python-dateutil"),
        ("dateutil", "python-dateutil"),
        ("yaml", "pyyaml"),
        ("curl4", "libcurl4"),
        ("pandsa", "pandas"),
    ],
)
def test_near_names(tmp_path: Path, reader: Reader, name: str, best: str) -> None:
    names = ["numpy", "scikit-learn", "python-dateutil", "pyyaml", "libcurl4", "pandas", "zlib", "_private"]
    builder = channel(tmp_path / "channel", *(f"{one}-1-0" for one in names))
    with reader.open(builder.url) as index:
        assert index.near_names(name)[0] == best
        assert index.near_names("qqqqqqqq") == []
        assert name not in index.near_names(name)
