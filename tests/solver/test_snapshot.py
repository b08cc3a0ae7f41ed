"""Problems: what a solve saw, written down, read back and solved again."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kaa.errors import KaaError
from kaa.models.match_spec import ChannelText
from kaa.models.record import RepoDataRecord
from kaa.solver.candidates import CandidateSource, RecordSource
from kaa.solver.cutoffs import Cutoffs
from kaa.solver.problem import (
    InvalidProblem,
    Problem,
    ProblemRecord,
    ProblemRequest,
    decode_problem,
    encode_problem,
)
from kaa.solver.request import SolveOptions, SolveRequest
from kaa.solver.snapshot import ALWAYS_READ, problem_of, record, replay
from kaa.solver.solution import Solution
from kaa.solver.solve import solve
from tests.solver import conda_forge
from tests.solver.conda_forge import needs_records
from tests.solver.packages import LINUX, MAIN, OTHER, package, packages, source, specs
from tests.solver.test_worlds import NAMES, RANGES, requests, small_worlds

WORLD = """
    python 3.13.1
    python 3.12.7
    python 3.11.9
    numpy 2.1 py313_0: python 3.13.*; blas
    numpy 2.1 py312_0: python 3.12.*; blas
    numpy 1.26 py311_0: python 3.11.*; blas <2
    blas 2
    blas 1
    untouched 1: nobody
"""


def recorded(request: SolveRequest, where: CandidateSource, **options: Any) -> tuple[Problem, Solution | KaaError]:
    """The problem of a solve, and how that ended."""
    request, recording = record(request, where)
    outcome: Solution | KaaError
    try:
        outcome = solve(request, recording)
    except KaaError as error:
        outcome = error
    return problem_of(request, recording, outcome, kaa="1.2.3", **options), outcome


def read_again(problem: Problem) -> Problem:
    return decode_problem(encode_problem(problem), "problem.json")


def ending(outcome: Solution | KaaError) -> object:
    """What must be the same in two solves."""
    if isinstance(outcome, Solution):
        return [(record.dist, record.channel, record.subdir, record.fn) for record in outcome.records], outcome.why
    return type(outcome), str(outcome)


specs_of_names = st.lists(
    st.builds(str.__add__, st.sampled_from(NAMES), st.sampled_from(RANGES)), max_size=2, unique=True
)


@st.composite
def solves(draw: st.DrawFn) -> tuple[SolveRequest, tuple[RepoDataRecord, ...]]:
    """Requests of all kinds on worlds of two channels; what is installed may be in no channel."""
    records = draw(small_worlds())
    channels = st.sampled_from([MAIN, OTHER])
    records = tuple(replace(record, channel=draw(channels)) for record in records)
    held = draw(st.lists(st.sampled_from(records), max_size=3)) if records else []
    installed = {record.name: draw(st.sampled_from([record, replace(record, build="x")])) for record in held}
    updated = draw(st.sampled_from([(), tuple(installed)[:1]]))
    removed = draw(st.sampled_from([(), (), (), tuple(installed)[-1:]]))
    request = SolveRequest(
        install=specs(*draw(requests)) if not removed or draw(st.booleans()) else (),
        update=specs(*updated),
        remove=specs(*removed),
        update_all=draw(st.booleans()),
        installed=tuple(installed.values()),
        history=specs(*draw(specs_of_names)),
        pins=specs(*draw(specs_of_names)),
        freeze_installed=draw(st.booleans()),
        no_deps=draw(st.sampled_from([False, False, False, True])),
        only_deps=draw(st.sampled_from([False, False, False, True])),
        prune=draw(st.booleans()),
        virtual_packages=LINUX,
        options=SolveOptions(
            channel_priority=draw(st.sampled_from(["strict", "flexible", "disabled"])),
            strategy=draw(st.sampled_from(["highest", "lowest", "lowest-direct"])),
        ),
    )
    return request, records


@given(solves())
@settings(max_examples=500)
def test_solving_again_ends_in_the_same_way(solves: tuple[SolveRequest, tuple[RepoDataRecord, ...]]) -> None:
    request, records = solves
    by_channel = {channel: [record for record in records if record.channel == channel] for channel in (MAIN, OTHER)}
    problem, before = recorded(request, RecordSource(by_channel))
    again = read_again(problem)
    assert again == problem
    after, outcome = replay(again, "problem.json")
    assert ending(after) == ending(before)
    assert outcome == problem.outcome


@pytest.mark.parametrize(
    "texts",
    [
        ["python=3.12", "numpy", "pandas"],
        ["python=3.13", "numpy=1.24.4"],
        ["gdal", "geopandas", "dask"],
        ["numpyy"],
        ["tensorflow", "python=3.14", "numpy<2"],
    ],
)
@needs_records
def test_problems_of_conda_forge(texts: list[str]) -> None:
    request = SolveRequest(install=specs(*texts), virtual_packages=conda_forge.MACHINE)
    problem, before = recorded(request, conda_forge.where())
    after, outcome = replay(read_again(problem), "problem.json")
    assert ending(after) == ending(before)
    assert outcome == problem.outcome
    assert len(encode_problem(problem)) < 3_000_000


def test_only_what_was_touched_is_kept() -> None:
    problem, _ = recorded(SolveRequest(install=specs("numpy=2.1", "missing")), source(WORLD))
    assert set(problem.names) == {"numpy", "missing"}
    assert problem.names["missing"] == ()
    assert problem.near_names == {"missing": ()}
    problem, _ = recorded(SolveRequest(install=specs("numpy=2.1")), source(WORLD))
    assert set(problem.names) == {"numpy", "python", "blas"}


def test_channels_that_priority_shuts_out_are_kept_by_name() -> None:
    other = packages("numpy 3", channel=OTHER)
    problem, before = recorded(SolveRequest(install=specs("numpy")), source(WORLD, *other))
    assert [(group.channel, len(group.records)) for group in problem.names["numpy"]] == [(0, 3), (1, 0)]
    assert ending(replay(read_again(problem), "file")[0]) == ending(before)


def test_a_problem_carries_all_of_a_request() -> None:
    written = set(ProblemRequest.__struct_fields__)
    assert written - {"channel_names"} == set(SolveRequest.__struct_fields__)
    options = SolveOptions(channel_priority="flexible", strategy="lowest", time_limit=60.0)
    problem, _ = recorded(SolveRequest(install=specs("numpy"), options=options), source(WORLD))
    assert problem.request.options == {"channel_priority": "flexible", "strategy": "lowest", "time_limit": 60.0}


def test_hashes_are_kept_where_they_may_count() -> None:
    one, two = (package("tool 1", sha256=letter * 64, md5=letter * 32) for letter in "ab")
    request = SolveRequest(install=specs("tool"), installed=(one,))
    problem, before = recorded(request, source(two, package("lib 1", sha256="c" * 64)))
    assert ending(replay(read_again(problem), "file")[0]) == ending(before)
    assert problem.names["tool"][0].records[0].sha256 == "b" * 64
    whole, _ = recorded(SolveRequest(install=specs("tool[md5=%s]" % ("b" * 32))), source(two), whole=True)
    assert isinstance(replay(read_again(whole), "file")[0], Solution)


def test_what_is_left_out_of_records_is_asked_for_by_hardly_anybody() -> None:
    left_out = set(ProblemRecord.__struct_fields__) - ALWAYS_READ
    assert left_out == {"features", "license", "license_family", "md5", "sha256", "fn"}


class Shelf:
    """One channel that is all here, and single packages."""

    def __init__(self, *dists: str) -> None:
        self.dists = dists

    def has_channel(self, channel: str) -> bool:
        return channel == "file:///home/ali/channel"

    def may_have(self, dist: str) -> bool:
        return dist in self.dists

    def has(self, record: RepoDataRecord) -> bool:
        return record.dist in self.dists


@pytest.mark.parametrize("dists", [(), ("numpy-1.26-py311_0",), ("numpy-2.1-py312_0", "python-3.12.7-0")])
def test_what_was_on_hand_is_on_hand_again(dists: tuple[str, ...]) -> None:
    here = [package(line, channel="file:///home/ali/channel") for line in ("blas 1", "python 3.11.9", "blas 2")]
    options = SolveOptions(channel_priority="disabled")
    request = SolveRequest(install=specs("numpy"), on_hand=Shelf(*dists), options=options)
    problem, before = recorded(request, source(WORLD, *here))
    after, outcome = replay(read_again(problem), "file")
    assert type(after) is type(before)
    assert outcome == problem.outcome


def test_cutoffs_hold_for_the_channels_of_the_problem() -> None:
    here = "file:///home/ali/channel"
    where = source(package("tool 1", channel=here, timestamp=1), package("tool 2", channel=here, timestamp=20))
    cutoffs = Cutoffs(everywhere=30_000, channels={here: 10_000}, packages={"other": None})
    problem, before = recorded(SolveRequest(install=specs("tool"), options=SolveOptions(cutoffs=cutoffs)), where)
    assert isinstance(before, Solution)
    after, outcome = replay(read_again(problem), "file")
    assert isinstance(after, Solution)
    assert [record.version for record in after.records] == [record.version for record in before.records] == ["1"]
    assert outcome == problem.outcome


# -- what must not get in -----------------------------------------------------------------------------------------


def test_directories_and_credentials_stay_here() -> None:
    here, there = "file:///home/ali/secret/stuff/channel", "file:///home/ali/other/channel"
    where = source(package("tool 1", channel=here), package("tool 2", channel=there), package("lib 1", channel=there))
    held = package("lib 1", channel=there)
    request = SolveRequest(
        install=specs(
            "/home/ali/secret/stuff/channel::tool=2", "https://ali:Sesame@conda.example.com/t/tk-1/x::tool", "lib"
        ),
        pins=specs("../ali/channel::tool"),
        installed=(held,),
    )
    problem, before = recorded(request, where)
    text = encode_problem(problem).decode()
    for word in ("ali", "secret", "stuff", "Sesame", "tk-1"):
        assert word not in text
    assert problem.channels == ("file:///redacted/channel", "file:///redacted/2/channel")
    after, outcome = replay(read_again(problem), "file")
    assert type(after) is type(before)
    assert outcome == problem.outcome


def test_a_channel_of_this_machine_is_still_the_one_that_was_asked_for() -> None:
    here, there = "file:///home/ali/one/channel", "file:///home/ali/two/channel"
    where = source(package("tool 1", channel=here), package("tool 2", channel=there))
    for wanted, version in (("/home/ali/one/channel", "1"), (there, "2"), ("channel", "2")):
        request = SolveRequest(install=specs(f"{wanted}::tool"), options=SolveOptions(channel_priority="disabled"))
        problem, before = recorded(request, where)
        assert isinstance(before, Solution)
        after, outcome = replay(read_again(problem), "file")
        assert isinstance(after, Solution)
        assert [record.version for record in after.records] == [version]
        assert outcome == problem.outcome


def test_names_of_channels_go_on_standing_for_their_addresses() -> None:
    here = "file:///home/ali/mine"
    where = source(package("tool 1"), package("tool 2", channel=OTHER), package("tool 3", channel=here))
    options = SolveOptions(channel_priority="disabled")
    for name, urls, version in (
        ("defaults", [MAIN, OTHER], "2"),
        ("mine", [here], "3"),
        ("main", [OTHER], "2"),
        ("gone", ["file:///home/ali/gone"], None),
    ):
        spec = replace(specs("x::tool")[0], channel=ChannelText(name, urls))
        problem, before = recorded(SolveRequest(install=(spec,), options=options), where)
        assert "ali" not in encode_problem(problem).decode()
        after, outcome = replay(read_again(problem), "file")
        assert outcome == problem.outcome
        assert type(after) is type(before)
        found = [record.version for record in after.records] if isinstance(after, Solution) else [None]
        assert found == [version]


# -- files that somebody else wrote -------------------------------------------------------------------------------

GOOD: dict[str, Any] = msgspec.json.decode(
    encode_problem(recorded(SolveRequest(install=specs("numpy"), virtual_packages=LINUX), source(WORLD))[0])
)


def changed(path: str, value: object) -> bytes:
    """The good problem with another value at a path."""
    document: Any = msgspec.json.decode(msgspec.json.encode(GOOD))
    place = document
    *way, last = path.split(".")
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    place[int(last) if last.isdigit() else last] = value
    return msgspec.json.encode(document)


DAMAGED: list[tuple[bytes, str]] = [
    (b"", "Input data was truncated"),
    (b"{}", "its `format` is not 'kaa-problem'"),
    (b"[]", "Expected `object`, got `array`"),
    (b"\xff\xfe\x00", "JSON is malformed"),
    (msgspec.json.encode(GOOD)[:-20], "Input data was truncated"),
    (changed("version", 2), "its `version` is 2, and this kaa reads version 1"),
    (changed("version", "1"), "$.version"),
    (changed("names", []), "$.names"),
    (changed("names.numpy.0.records.1.depends", "python"), "$.names.numpy[0].records[1].depends"),
    (changed("names.numpy.0.records.1.build_number", 1 << 70), "$.names.numpy[0].records[1].build_number"),
    (changed("names.numpy.0.channel", 7), "$.names.numpy[0].channel"),
    (changed("request.install.0", "numpy >="), "$.request.install[0]"),
    (changed("request.surprise", True), "surprise"),
    (changed("request.options", {"channel_priority": "random"}), "$.request.options"),
    (changed("request.options", {"luck": 7}), "'luck' - at `$.request.options`"),
    (changed("request.virtual_packages.0", {"name": 1}), "$.request.virtual_packages[0].name"),
    (changed("request.options", {}).replace(b'"options":{}', b'"options":{"a":' + b"[" * 100_000), "nested"),
]


@pytest.mark.parametrize(("content", "said"), DAMAGED, ids=[said[:40] for _, said in DAMAGED])
def test_a_damaged_problem_is_named_with_file_and_field(content: bytes, said: str) -> None:
    with pytest.raises(InvalidProblem) as caught:
        replay(decode_problem(content, "some/problem.json"), "some/problem.json")
    assert str(caught.value).startswith("some/problem.json is no problem file that can be solved: ")
    assert said in str(caught.value)
    assert caught.value.hints


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 66), 1 << 66) | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.randoms(use_true_random=False), values, st.sampled_from(["3", "", "*", "x y z", "__glibc >=9", "[[", "1|"]))
@settings(max_examples=400)
def test_any_change_of_a_problem_is_an_answer_or_an_invalid_problem(
    chance: random.Random, value: object, text: str
) -> None:
    document: Any = msgspec.json.decode(msgspec.json.encode(GOOD))
    place = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = chance.choice(keys)
        if not isinstance(place[key], dict | list) or not place[key] or chance.random() < 0.2:
            break
        place = place[key]
    place[key] = text if isinstance(place[key], str) and chance.random() < 0.5 else value
    try:
        result, _ = replay(decode_problem(msgspec.json.encode(document), "file"), "file")
    except InvalidProblem as error:
        assert error.reason
    else:
        assert isinstance(result, Solution | KaaError)
