"""The format of generations, which one comes before which, and the files that are kept of distributions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.models.prefix_record import PathsData, PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.prefix.differences import SAME, changed_facts, differences
from kaa.prefix.generations import (
    BrokenGeneration,
    Generation,
    GenerationFacts,
    InstalledDistribution,
    NoSuchGeneration,
    State,
    encode_generation,
    generation_before,
    generation_file,
    generation_numbers,
    latest_generation,
    packages_of_generations,
    read_generation,
    read_generations,
    read_outline,
)
from kaa.prefix.kept_distributions import is_key, keep_missing, kept_keys, present_files, with_key
from kaa.prefix.kept_hashes import changed_files
from kaa.prefix.python_packages import PythonDistribution, read_distribution
from tests.pypi.wheels import digest_text

SITE = "lib/python3.12/site-packages"


def package(name: str, version: str = "1.0", **fields: object) -> RepoDataRecord:
    return RepoDataRecord(name=name, version=version, build="0", subdir="linux-64", **fields)  # type: ignore[arg-type]


def write(prefix: Path, *generations: Generation) -> None:
    (prefix / "conda-meta/generations").mkdir(parents=True, exist_ok=True)
    for generation in generations:
        generation_file(prefix, generation.number).write_bytes(encode_generation(generation))


def generation(number: int, **fields: object) -> Generation:
    return Generation(number=number, time="2026-03-01T12:00:00Z", **fields)  # type: ignore[arg-type]


# -- the format -------------------------------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
RECORDS = st.builds(
    package,
    st.sampled_from(["a", "b-c", "python"]),
    depends=st.lists(WORDS).map(tuple),
    sha256=st.none() | st.just("ab" * 32),
    url=WORDS,
    license=st.none() | WORDS,
)
DISTRIBUTIONS = st.builds(InstalledDistribution, WORDS, WORDS, WORDS, WORDS, WORDS, st.none() | WORDS)
GENERATIONS = st.builds(
    Generation,
    number=st.just(7),
    time=WORDS,
    command=WORDS,
    parent=st.none() | st.integers(1, 6),
    restored=st.none() | st.integers(1, 6),
    cause=st.sampled_from(["change", "found", "undo"]),
    packages=st.lists(RECORDS, max_size=3).map(tuple),
    requested_specs=st.dictionaries(WORDS, WORDS),
    distributions=st.lists(DISTRIBUTIONS, max_size=2).map(tuple),
    overwritten=st.dictionaries(WORDS, st.lists(WORDS).map(tuple)),
    taken=st.lists(WORDS).map(tuple),
    variables=st.dictionaries(WORDS, WORDS),
    pins=WORDS,
)


@settings(max_examples=40)
@given(one=GENERATIONS)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, one: Generation) -> None:
    prefix = tmp_path_factory.mktemp("env")
    write(prefix, one)
    assert read_generation(prefix, 7) == one
    outline = read_outline(prefix, 7)
    for name in GenerationFacts.__struct_fields__:
        assert getattr(outline, name) == getattr(one, name)
    assert [record.dist for record in outline.packages] == [record.dist for record in one.packages]
    assert differences(one, outline) == SAME
    assert generation_file(prefix, 7).read_bytes().count(b"\n") == (len(one.packages) + 2 if one.packages else 1)


def test_of_installed_packages_no_files_are_written(tmp_path: Path) -> None:
    record = PrefixRecord(
        name="a", version="1", build="0", files=("x",), paths_data=PathsData(), requested_specs=("a",), sha256="00"
    )
    write(tmp_path, generation(1, packages=(record,)))
    [line] = json.loads(generation_file(tmp_path, 1).read_bytes())["packages"]
    assert line.keys() == {"name", "version", "build", "sha256"}


def test_numbers_and_the_latest(tmp_path: Path) -> None:
    assert generation_numbers(tmp_path) == ()
    assert latest_generation(tmp_path) is None
    assert packages_of_generations(tmp_path) == frozenset()
    write(tmp_path, *(generation(number) for number in (2, 10, 9)))
    for name in ("x.json", "-1.json", "03.json", "0.json", "11.json~", "٣.json", ".12.json.tmp"):
        (tmp_path / "conda-meta/generations" / name).touch()
    assert generation_numbers(tmp_path) == (2, 9, 10)
    latest = latest_generation(tmp_path)
    assert latest is not None
    assert latest.number == 10
    assert [one.number for one in read_generations(tmp_path)] == [2, 9, 10]


def test_what_generations_need(tmp_path: Path) -> None:
    hashed, with_md5, bare = package("a", sha256="aa", md5="bb"), package("b", md5="cc"), package("c", url="http://c")
    write(tmp_path, generation(1, packages=(hashed, with_md5)), generation(2, packages=(hashed, bare)))
    assert packages_of_generations(tmp_path) == {("a-1.0-0", "aa"), ("b-1.0-0", "cc"), ("c-1.0-0", "http://c")}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"number": "1"}', b"\xff", b"[" * 100_000, None, "other"])
def test_what_is_no_generation(tmp_path: Path, content: bytes | str | None) -> None:
    write(tmp_path, generation(1))
    path = generation_file(tmp_path, 1)
    if content == "other":
        path.write_bytes(encode_generation(generation(2)))
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.unlink()
        path.mkdir()
    calls: list[Callable[[], object]] = [
        lambda: read_generation(tmp_path, 1),
        lambda: read_outline(tmp_path, 1),
        lambda: latest_generation(tmp_path),
    ]
    # What a generation needs can be said though its number is wrong.
    calls += [lambda: packages_of_generations(tmp_path)] if content != "other" and content != b'{"number": "1"}' else []
    for call in calls:
        with pytest.raises(BrokenGeneration, match=r"generations/1\.json"):
            call()


def test_a_generation_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NoSuchGeneration, match="there are none yet"):
        read_generation(tmp_path, 1)
    write(tmp_path, generation(3), generation(5))
    with pytest.raises(NoSuchGeneration, match="has no generation 1; there are 3 to 5") as caught:
        read_generation(tmp_path, 1)
    assert caught.value.known == [3, 5]


# -- which comes before which -----------------------------------------------------------------------------------------

PASTS: dict[str, tuple[list[tuple[int, int | None, str, int | None]], list[int | None]]] = {
    # number, parent, cause, restored → where undoing leads from each of them
    "changes": ([(1, None, "change", None), (2, 1, "change", None), (3, 2, "change", None)], [None, 1, 2]),
    "undone": (
        [(1, None, "change", None), (2, 1, "change", None), (3, 2, "change", None), (4, 3, "undo", 2)],
        [None, 1, 2, 1],
    ),
    "undone twice": (
        [(1, None, "change", None), (2, 1, "change", None), (3, 2, "undo", 1), (4, 3, "change", None)]
        + [(5, 4, "undo", 3), (6, 5, "undo", 1)],
        [None, 1, None, 3, None, None],
    ),
    "rolled back": (
        [(1, None, "change", None), (2, 1, "change", None), (3, 2, "rollback", 1), (4, 3, "undo", 2)],
        [None, 1, 2, 1],
    ),
    "found": ([(1, None, "change", None), (2, 1, "found", None), (3, 2, "undo", 1)], [None, 1, None]),
    "of one piece": ([(1, None, "change", None), (2, 1, "change", None), (3, 1, "pip", None)], [None, 1, 1]),
    "an undo of itself": ([(1, None, "undo", 1)], [1]),
}


@pytest.mark.parametrize("name", PASTS)
def test_where_undoing_leads(name: str) -> None:
    past, expected = PASTS[name]
    known = {
        number: generation(number, parent=parent, cause=cause, restored=restored)
        for number, parent, cause, restored in past
    }
    assert [generation_before(one, known)[1] for one in known.values()] == expected


def test_what_was_pruned_is_told_from_what_never_was() -> None:
    known = {3: generation(3, parent=2), 4: generation(4, parent=3, cause="undo", restored=2)}
    assert generation_before(known[3], known) == (None, 2)
    assert generation_before(known[4], known) == (None, 2)
    assert generation_before(generation(1), known) == (None, None)


# -- differences ------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(old=GENERATIONS, new=GENERATIONS)
def test_differences(old: Generation, new: Generation) -> None:
    found = differences(old, new)
    back = differences(new, old)
    assert differences(old, old) == SAME
    assert [(one.name, one.old, one.new) for one in found.packages] == [
        (one.name, one.new, one.old) for one in back.packages
    ]
    assert (found.removed_pins, found.added_pins) == (back.added_pins, back.removed_pins)
    without: dict[str, object] = {"packages": (), "requested_specs": {}}
    same_facts = differences(msgspec.structs.replace(old, **without), msgspec.structs.replace(new, **without)).is_empty
    assert (changed_facts(old, new) == ()) == same_facts


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ({"sha256": "AA"}, {"sha256": "aa"}, True),
        ({"sha256": "aa"}, {"sha256": "bb"}, False),
        ({"sha256": "aa", "md5": "1"}, {"md5": "1"}, True),
        ({"sha256": "aa"}, {"md5": "1"}, True),
        ({"sha256": "aa", "channel": "x"}, {"sha256": "aa", "channel": "y"}, True),
        ({"version": "1.0"}, {"version": "1.1"}, False),
    ],
)
def test_which_packages_are_the_same(old: dict[str, str], new: dict[str, str], same: bool) -> None:
    states = [State(packages=(package("a", **fields),)) for fields in (old, new)]
    assert differences(*states).is_empty is same


# -- kept files -------------------------------------------------------------------------------------------------------


def install(prefix: Path, name: str, files: dict[str, bytes], *, listed: dict[str, str] | None = None) -> str:
    """Put a distribution there as pip would; `listed` are more lines of RECORD. Gives its metadata directory."""
    metadata = f"{SITE}/{name}-1.0.dist-info"
    contents = {**files, f"{name}-1.0.dist-info/METADATA": f"Name: {name}\nVersion: 1.0\n".encode()}
    lines = [f"{path},{digest_text(content)},{len(content)}" for path, content in contents.items()]
    lines += [*(listed or {}).values(), f"{name}-1.0.dist-info/RECORD,,"]
    for path, content in contents.items():
        (prefix / SITE / path).parent.mkdir(parents=True, exist_ok=True)
        (prefix / SITE / path).write_bytes(content)
    (prefix / metadata / "RECORD").write_text("".join(f"{line}\n" for line in lines))
    return metadata


def found_at(prefix: Path, metadata: str) -> InstalledDistribution:
    found = read_distribution(prefix / metadata, metadata)
    assert found is not None
    return with_key(prefix, found)


def keep(prefix: Path, *distributions: InstalledDistribution) -> None:
    (prefix / "conda-meta/generations/files").mkdir(parents=True, exist_ok=True)
    (prefix / "conda-meta/scratch").mkdir()

    def place(made: str, target: str) -> None:
        (prefix / made).rename(prefix / target)

    keep_missing(prefix, distributions, prefix / "conda-meta/scratch", place)
    (prefix / "conda-meta/scratch").rmdir()


def test_files_are_kept_once_and_by_links(tmp_path: Path) -> None:
    metadata = install(tmp_path, "demo", {"demo.py": b"x = 1\n", "../../../bin/demo": b"#!/bin/sh\n"})
    one = found_at(tmp_path, metadata)
    keep(tmp_path, one)
    assert kept_keys(tmp_path) == (one.key,)
    kept = tmp_path / "conda-meta/generations/files" / one.key
    for path in (f"{SITE}/demo.py", "bin/demo", f"{metadata}/RECORD"):
        assert (kept / path).read_bytes() == (tmp_path / path).read_bytes()
        assert (kept / path).samefile(tmp_path / path) or (kept / path).stat().st_nlink == 1
    before = (kept / "bin/demo").stat()
    keep(tmp_path, one)
    assert (kept / "bin/demo").stat() == before
    assert changed_files(tmp_path, one) == ()


CHANGES: dict[str, tuple[Callable[[Path, str], object], list[str]]] = {
    "edited": (lambda kept, metadata: (kept / SITE / "demo.py").write_bytes(b"x = 2\n"), [f"{SITE}/demo.py"]),
    "longer": (lambda kept, metadata: (kept / "bin/demo").write_bytes(b"#!/bin/sh\necho\n"), ["bin/demo"]),
    "its RECORD": (lambda kept, metadata: (kept / metadata / "RECORD").write_text("\n"), ["RECORD"]),
    "no RECORD": (lambda kept, metadata: (kept / metadata / "RECORD").unlink(), ["demo-1.0.dist-info"]),
    "bytecode": (lambda kept, metadata: (kept / SITE / "demo.pyc").write_bytes(b"new"), []),
}


@pytest.mark.parametrize("name", CHANGES)
def test_kept_files_that_changed_are_named(tmp_path: Path, name: str) -> None:
    change, expected = CHANGES[name]
    metadata = install(
        tmp_path,
        "demo",
        {"demo.py": b"x = 1\n", "../../../bin/demo": b"#!/bin/sh\n", "demo.pyc": b"old"},
        listed={"again": "demo.pyc,,"},
    )
    lines = (tmp_path / metadata / "RECORD").read_text().splitlines(keepends=True)
    (tmp_path / metadata / "RECORD").write_text("".join(line for line in lines if not line.startswith("demo.pyc,sha")))
    one = found_at(tmp_path, metadata)
    keep(tmp_path, one)
    change(tmp_path / "conda-meta/generations/files" / one.key, metadata)
    assert [path for path in changed_files(tmp_path, one) if not path.endswith(tuple(expected))] == []
    assert len(changed_files(tmp_path, one)) == len(expected)


def test_nothing_outside_the_environment_is_kept(tmp_path: Path) -> None:
    prefix, outside = tmp_path / "env", tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (prefix / SITE).mkdir(parents=True)
    (prefix / SITE / "led").symlink_to(outside)
    (prefix / "conda-meta").mkdir()
    (prefix / "conda-meta/history").write_text("mine")
    paths = ["../../../../outside/secret", str(outside / "secret"), "led/secret", "../../../conda-meta/history"]
    metadata = install(prefix, "demo", {"demo.py": b""}, listed={path: f"{path},," for path in paths})
    one = found_at(prefix, metadata)
    assert sorted(present_files(prefix, one)) == sorted(
        [f"{SITE}/demo.py", f"{metadata}/METADATA", f"{metadata}/RECORD"]
    )
    keep(prefix, one)
    kept = prefix / "conda-meta/generations/files" / one.key
    assert not [path for path in kept.rglob("*") if path.name in ("secret", "history")]


@pytest.mark.parametrize(
    ("name", "version"), [("demo", "1.0"), ("../../x", "1/0"), ("a b", "1:0"), ("..", ""), ("näme", "1\n0")]
)
def test_keys_are_names_of_directories(tmp_path: Path, name: str, version: str) -> None:
    metadata = install(tmp_path, "demo", {})
    key = with_key(tmp_path, PythonDistribution(name, version, metadata)).key
    assert "/" not in key
    assert is_key(key)
    assert not is_key(f"../{key}")


def test_a_distribution_that_lists_nothing_has_no_key(tmp_path: Path) -> None:
    (tmp_path / SITE).mkdir(parents=True)
    (tmp_path / SITE / "old.egg-info").write_text("Name: old\nVersion: 1\n")
    assert found_at(tmp_path, f"{SITE}/old.egg-info").key == ""
