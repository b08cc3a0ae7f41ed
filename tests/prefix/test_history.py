from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.prefix.history import (
    Revision,
    SpecsLine,
    append_revision,
    format_revision,
    new_revision,
    parse_history,
    parse_specs,
    read_history,
    requested_specs,
)
from kaa.prefix.prefix import Prefix

CONDA = """\
==> 2024-05-01 10:00:00 <==
# cmd: /opt/conda/bin/conda create -n demo python=3.11 zlib
# conda version: 24.5.0
+conda-forge/linux-64::python-3.11.9-hb806964_0_cpython
+conda-forge/linux-64::zlib-1.2.13-hd590300_5
# update specs: ['python=3.11', 'zlib']
==> 2024-06-01 11:30:00 <==
# cmd: /opt/conda/bin/conda install zlib>=1.3
# conda version: 24.5.0
-conda-forge/linux-64::zlib-1.2.13-hd590300_5
+conda-forge/linux-64::zlib-1.3.1-h4ab18f5_1
# update specs: ['zlib[version=">=1.3"]']
# neutered specs: ['python']

==> 2024-07-01 11:30:00 <==
# cmd: /opt/conda/bin/conda remove zlib
# conda version: 24.7.1
-conda-forge/linux-64::zlib-1.3.1-h4ab18f5_1
# remove specs: ['zlib']
"""

OLD = """\
==> 2013-08-08 12:00:00 <==
# cmd: conda create -p /opt/old numpy
# create specs: ['numpy']
numpy-1.7.1-py27_0
python-2.7.5-2
==> 2017-01-01 12:00:00 <==
# cmd: conda install param>=1.5.1,<2.0 jupyter
-numpy-1.7.1-py27_0
+param-1.6-0
# install specs: param >=1.5.1,<2.0,jupyter
==> 2017-02-01 12:00:00 <==
# uninstall specs: jupyter
some line that means nothing
"""


def test_what_conda_writes() -> None:
    history = parse_history(CONDA)
    first, second, third = history.revisions
    assert first.date == "2024-05-01 10:00:00"
    assert first.command == "/opt/conda/bin/conda create -n demo python=3.11 zlib"
    assert first.program == "conda 24.5.0"
    assert first.linked[1] == "conda-forge/linux-64::zlib-1.2.13-hd590300_5"
    assert second.unlinked == ("conda-forge/linux-64::zlib-1.2.13-hd590300_5",)
    assert [line.action for line in second.specs] == ["update", "neutered"]
    assert third.specs == (SpecsLine("remove", ("zlib",)),)
    assert history.requested_specs() == {"python": "python"}
    assert history.requested_specs(["zlib"]) == {}


def test_the_latest_request_of_each_package_counts() -> None:
    history = parse_history(CONDA.partition("==> 2024-07")[0])
    assert history.requested_specs() == {"python": "python", "zlib": 'zlib[version=">=1.3"]'}


def test_what_conda_wrote_long_ago() -> None:
    history = parse_history(OLD)
    assert history.revisions[0].listed == ("numpy-1.7.1-py27_0", "python-2.7.5-2")
    assert history.requested_specs() == {"numpy": "numpy", "param": "param >=1.5.1,<2.0"}


def test_states() -> None:
    history = parse_history(OLD)
    assert history.state(0) == {"numpy-1.7.1-py27_0", "python-2.7.5-2"}
    assert history.state(1) == {"param-1.6-0", "python-2.7.5-2"}
    assert parse_history(CONDA).state(2) == {"conda-forge/linux-64::python-3.11.9-hb806964_0_cpython"}


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("['a', \"b >=1\"]", ("a", "b >=1")),
        ("[]", ()),
        ("a,b", ("a", "b")),
        ("a >=1,<2,b", ("a >=1,<2", "b")),
        ("a 1.0,b=2,!=2.1", ("a 1.0", "b=2,!=2.1")),
        ("", ()),
        ("['a'", ()),
        ("[__import__('os')]", ()),
        ("[1]", ("1",)),
        ("['a',", ()),
    ],
)
def test_lists_of_specs(text: str, specs: tuple[str, ...]) -> None:
    assert parse_specs(text) == specs


@pytest.mark.parametrize("text", ["", "\n\n", "+a-1-0\n", "# cmd: x\n", "==> never closed\n+a", "\x00\ufffd"])
def test_odd_files_have_no_revisions(text: str) -> None:
    assert parse_history(text).revisions == ()


def test_writing(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    prefix = Prefix(tmp_path)
    assert read_history(prefix).revisions == ()
    revision = new_revision(
        "2026-01-02 03:04:05",
        "kaa install 'b\n==> 1 <==' a",
        program="kaa 1.0",
        unlinked=["c/linux-64::z-1-0"],
        linked=["c/linux-64::b-1-0", "c/linux-64::a-1-0"],
        update_specs={"a": "a >=1", "b": "b"},
        remove_specs=["z"],
        neutered_specs={"n": "n"},
    )
    append_revision(prefix, revision)
    assert prefix.history_file.read_text() == (
        "==> 2026-01-02 03:04:05 <==\n"
        "# cmd: kaa install 'b ==> 1 <==' a\n"
        "# kaa version: 1.0\n"
        "-c/linux-64::z-1-0\n"
        "+c/linux-64::a-1-0\n"
        "+c/linux-64::b-1-0\n"
        "# update specs: ['a >=1', 'b']\n"
        "# remove specs: ['z']\n"
        "# neutered specs: ['n']\n"
    )
    prefix.history_file.write_text(prefix.history_file.read_text() + "+an open line")
    append_revision(prefix, Revision("2026-01-02 03:04:06"))
    assert [one.date[-2:] for one in read_history(prefix).revisions] == ["05", "06"]


def test_requests_of_programs_that_keep_no_history(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta" / "history").touch()
    record = '{"name": "%s", "version": "1", "build": "0", "build_number": 0, %s}'
    for name, fields in (
        ("new", '"requested_specs": ["new >=1"]'),
        ("old", '"requested_spec": "old"'),
        ("none", '"requested_spec": "None"'),
    ):
        (tmp_path / "conda-meta" / f"{name}-1-0.json").write_text(record % (name, fields))
    assert requested_specs(Prefix(tmp_path)) == {"new": "new >=1", "old": "old"}
    (tmp_path / "conda-meta" / "history").write_text("==> 2026-01-01 00:00:00 <==\n# update specs: ['none', 'gone']\n")
    assert requested_specs(Prefix(tmp_path)) == {"none": "none"}


WORDS = st.text(st.characters(categories=["L", "N"], codec="ascii"), min_size=1, max_size=6)
REVISIONS = st.builds(
    Revision,
    date=st.just("2026-01-01 00:00:00"),
    command=st.lists(WORDS, max_size=3).map(" ".join),
    program=st.just("kaa 1.0"),
    unlinked=st.lists(WORDS, max_size=2).map(tuple),
    linked=st.lists(WORDS, max_size=2).map(tuple),
    specs=st.lists(
        st.builds(SpecsLine, st.sampled_from(["update", "remove"]), st.lists(WORDS, min_size=1).map(tuple)), max_size=2
    ).map(tuple),
)


@given(st.lists(REVISIONS, max_size=3).map(tuple))
def test_what_is_written_is_read(revisions: tuple[Revision, ...]) -> None:
    assert parse_history("".join(map(format_revision, revisions))).revisions == revisions
