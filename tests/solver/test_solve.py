"""Which candidates are chosen: tables of small worlds."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable

import pytest

from kaa.models.virtual_package import VirtualPackage
from kaa.solver.failures import PackagesNotFound, TimeLimitReached, UnnamedRequest, Unsolvable
from kaa.solver.request import SolveOptions, SolveRequest
from kaa.solver.solve import solve
from tests.solver.packages import LINUX, OTHER, ask, package, packages, shown, shown_with_builds, source, specs

PYTHONS = """
    python 3.12.1
    python 3.11.9
    python 3.10.2
"""

TABLE = [
    ("the highest version", "a 1\na 2\na 10", ["a"], "a-10"),
    ("a range", "a 1\na 2\na 10", ["a <10"], "a-2"),
    ("dependencies come along", "a 1: b >=2; c\nb 1\nb 2: d\nc 1\nd 1\ne 1", ["a"], "a-1 b-2 c-1 d-1"),
    ("an older version when the newest does not fit", "a 2: b <2\na 1\nb 2\nb 1", ["b >=2", "a"], "a-1 b-2"),
    ("the first request comes first", "a 2: b <2\na 1\nb 2\nb 1", ["a", "b"], "a-2 b-1"),
    ("and so it does the other way round", "a 2: b <2\na 1\nb 2\nb 1", ["b", "a"], "a-1 b-2"),
    ("a constraint holds when the other one is there", "a 2: / b <2\na 1\nb 2\nb 1", ["b 2", "a"], "a-1 b-2"),
    ("a constraint installs nothing", "a 2: / b <2\nb 1", ["a"], "a-2"),
    ("a constraint on what does not exist", "a 2: / nothing ==999999999999", ["a"], "a-2"),
    ("a dependency that nobody offers", "a 2: gone\na 1", ["a"], "a-1"),
    ("a version that nobody offers", "a 2: b >=5\na 1: b\nb 1", ["a"], "a-1 b-1"),
    ("a dependency that cannot be read", "a 2: b >>1\na 1\nb 1", ["a"], "a-1"),
    ("an unreadable name", "a 2: ]\na 1", ["a"], "a-1"),
    ("a cycle", "a 1: b\nb 1: c\nc 1: a", ["a"], "a-1 b-1 c-1"),
    ("a package that needs itself", "a 2: a >=2\na 1: a <1", ["a"], "a-2"),
    ("a package that cannot need itself", "a 2: a <2\na 1", ["a"], "a-1"),
    ("two strings on one name", "a 2: b >=2; b <3\nb 1\nb 2\nb 3", ["a"], "a-2 b-2"),
    ("two strings that contradict each other", "a 2: b >=2; b <2\na 1\nb 1\nb 2", ["a"], "a-1"),
    ("a channel in a dependency", "a 2: main::b\nb 1", ["a"], "a-2 b-1"),
    ("a missing channel in a dependency", "a 2: nowhere::b\na 1\nb 1", ["a"], "a-1"),
    ("a virtual package", "a 2: __glibc >=2.36\na 1: __glibc >=2.17", ["a"], "a-1"),
    ("a missing virtual package", "a 2: __cuda\na 1: __unix", ["a"], "a-1"),
    ("a constraint on a virtual package", "a 2: / __glibc <2.30\na 1: / __cuda >=12", ["a"], "a-1"),
    ("a virtual package by its build", "a 2: __archspec 1 x86_64_v4\na 1: __archspec * x86_64_v3", ["a"], "a-1"),
    ("what other builds need is not loaded", "a 2: b\na 1: c\nb 1\nc 1: gone", ["a"], "a-2 b-1"),
    ("several specs on one name", "a 1\na 2\na 3", ["a >1", "a <3"], "a-2"),
    ("nothing at all", "a 1", [], ""),
]


@pytest.mark.parametrize(("records", "wanted", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_versions(records: str, wanted: list[str], expected: str) -> None:
    assert shown(ask(source(records), *wanted)) == expected
    backwards = "\n".join(reversed(records.splitlines()))
    assert shown(ask(source(backwards), *wanted)) == expected


CONDITIONS = [
    ("that holds", "a 1: b[when='c']\nb 1\nc 1", ["a", "c"], "a-1 b-1 c-1"),
    ("that does not hold", "a 1: b[when='c']\nb 1\nc 1", ["a"], "a-1"),
    ("with a version", "a 1: b[when='c>=2']\nb 1\nc 1\nc 2", ["a", "c 1"], "a-1 c-1"),
    ("both of two", "a 1: b[when='c and d']\nb 1\nc 1\nd 1", ["a", "c"], "a-1 c-1"),
    ("one of two", "a 1: b[when='c or d']\nb 1\nc 1\nd 1", ["a", "d"], "a-1 b-1 d-1"),
    ("on this machine", "a 1: b[when='__unix']; c[when='__win']\nb 1\nc 1", ["a"], "a-1 b-1"),
    ("on a machine like none", "a 1: b[when='__glibc>=3']\nb 1", ["a"], "a-1"),
    ("on a missing package", "a 1: gone[when='c']\nc 1", ["a"], "a-1"),
    ("that is better avoided", "a 1: gone[when='b>=2']; b\nb 1\nb 2", ["a"], "a-1 b-1"),
    ("with a version of the dependency", "a 1: b[version='<2',when='c']\nb 1\nb 2\nc 1", ["b", "c"], "b-2 c-1"),
    ("of a constraint", "a 1: / b[version='<2',when='c']\nb 1\nb 2\nc 1", ["a", "c", "b"], "a-1 b-1 c-1"),
    ("of a constraint that does not hold", "a 1: / b[version='<2',when='c']\nb 1\nb 2\nc 1", ["a", "b"], "a-1 b-2"),
    ("on itself", "a 1: b[when='a>=2']\na 2: b[when='a>=2']\nb 1", ["a"], "a-2 b-1"),
    ("that cannot be read", "a 2: b[when='c and']\na 1\nb 1", ["a"], "a-1"),
]


@pytest.mark.parametrize(
    ("records", "wanted", "expected"), [row[1:] for row in CONDITIONS], ids=[row[0] for row in CONDITIONS]
)
def test_a_condition(records: str, wanted: list[str], expected: str) -> None:
    assert shown(ask(source(records), *wanted)) == expected


def test_extras_add_dependencies() -> None:
    where = source(
        package("a 2", extra_depends={"test": ("pytest >=8", "b[extras=[more]]"), "doc": ("sphinx",)}),
        package("a 1", extra_depends={"test": ("nose",)}),
        package("b 1", extra_depends={"more": ("c", "a[extras=[test]]")}),
        "c 1\npytest 7\npytest 8\nsphinx 1\nnose 1\nuser 1: a[extras=[doc]]",
    )
    assert shown(ask(where, "a")) == "a-2"
    assert shown(ask(where, "a[extras=[test]]")) == "a-2 b-1 c-1 pytest-8"
    assert shown(ask(where, "a[extras=[test]]", "pytest <8")) == "a-1 nose-1 pytest-7"
    assert shown(ask(where, "user")) == "a-2 sphinx-1 user-1"
    assert shown(ask(where, "a[extras=[unheard_of]]")) == "a-2"


def test_an_extra_with_an_unreadable_dependency_takes_out_its_record_only() -> None:
    where = source(package("a 2", extra_depends={"x": ("b >>",)}), package("a 1", extra_depends={"x": ("b",)}), "b 1")
    assert shown(ask(where, "a")) == "a-2"
    assert shown(ask(where, "a[extras=[x]]")) == "a-1 b-1"


def test_extras_with_conditions() -> None:
    where = source(package("a 1", extra_depends={"x": ("b[when='c']",)}), "b 1\nc 1")
    assert shown(ask(where, "a[extras=[x]]")) == "a-1"
    assert shown(ask(where, "a[extras=[x]]", "c")) == "a-1 b-1 c-1"


def test_flags_filter_candidates() -> None:
    where = source(
        package("a 3"),
        package("a 2", flags=("gpu",)),
        package("a 1", flags=("gpu", "blas:mkl")),
        "b 1: a[flags='blas:*']",
    )
    assert shown(ask(where, "a")) == "a-3"
    assert shown(ask(where, "a[flags=gpu]")) == "a-2"
    assert shown(ask(where, "b")) == "a-1 b-1"


BUILDS = [
    ("build number before timestamp", [package("a 1 x_1", timestamp=1), package("a 1 x_0", timestamp=9)], "a-1-x_1"),
    ("then the newest", [package("a 1 x_0", timestamp=1), package("a 1 y_0", timestamp=9)], "a-1-y_0"),
    ("then the build string", [package("a 1 x_0"), package("a 1 y_0")], "a-1-x_0"),
    ("no track_features before a version", [package("a 1 x_0"), package("a 2 y_0", track_features="f")], "a-1-x_0"),
    ("noarch and platform compete", [package("a 1 x_0"), package("a 2 y_0", subdir="noarch")], "a-2-y_0"),
    (
        "noarch and platform compete to the end",
        [package("a 1 x_0", timestamp=1), package("a 1 y_0", subdir="noarch", timestamp=2)],
        "a-1-y_0",
    ),
]


@pytest.mark.parametrize(("records", "expected"), [row[1:] for row in BUILDS], ids=[row[0] for row in BUILDS])
def test_builds(records: list[object], expected: str) -> None:
    assert shown_with_builds(ask(source(*records), "a")) == expected  # type: ignore[arg-type]


def test_all_that_a_build_asks_of_a_dependency_counts_together() -> None:
    """The free-threaded build asks for any python, and for one with that name."""
    where = source(
        package("a 1 t_0: python; python 3.14.* *_t", timestamp=9),
        package("a 1 g_0: python; python 3.14.* *_g", timestamp=1),
        "python 3.14.6 0_g\npython 3.14.3 0_t",
    )
    assert shown_with_builds(ask(where, "a")) == "a-1-g_0 python-3.14.6-0_g"


def test_a_dependency_under_a_condition_breaks_no_tie() -> None:
    where = source(
        package("a 1 x_0: b; b[version='<2',when='c']", timestamp=9), package("a 1 y_0: b", timestamp=1), "b 1\nb 2"
    )
    assert shown_with_builds(ask(where, "a")) == "a-1-x_0 b-2-0"


def test_a_dependency_is_as_good_as_its_best_candidate_without_features() -> None:
    where = source(
        package("a 1 x_0: python >=3.13", timestamp=9),
        package("a 1 y_0: python 3.13.*", timestamp=1),
        package("python 3.14 1_t", track_features="free"),
        "python 3.13 1_g",
    )
    assert shown_with_builds(ask(where, "a")) == "a-1-x_0 python-3.13-1_g"


def test_among_equals_the_one_with_the_newest_dependencies_wins() -> None:
    where = source(
        package("a 1 py311_0: python 3.11.*; zlib", timestamp=9),
        package("a 1 py312_0: python 3.12.*; zlib", timestamp=1),
        package("a 1 py310_0: python 3.10.*; zlib", timestamp=5),
        PYTHONS,
        "zlib 1",
    )
    assert shown_with_builds(ask(where, "a")) == "a-1-py312_0 python-3.12.1-0 zlib-1-0"


def test_only_dependencies_that_all_equals_share_are_compared() -> None:
    where = source(
        package("a 1 x_0: python 3.12.*; b", timestamp=1), package("a 1 y_0: b <2", timestamp=2), PYTHONS, "b 1\nb 2"
    )
    assert shown_with_builds(ask(where, "a")) == "a-1-x_0 b-2-0 python-3.12.1-0"


def test_a_dependency_with_features_makes_a_build_worse() -> None:
    where = source(
        package("a 1 x_0: b 2.*", timestamp=9),
        package("a 1 y_0: b 1.*", timestamp=1),
        package("b 2", track_features="f"),
        package("b 1"),
    )
    assert shown_with_builds(ask(where, "a")) == "a-1-y_0 b-1-0"


def test_a_dependency_that_nobody_offers_makes_a_build_worse() -> None:
    where = source(package("a 1 x_0: b 9", timestamp=9), package("a 1 y_0: b 1", timestamp=1), "b 1")
    assert shown_with_builds(ask(where, "a")) == "a-1-y_0 b-1-0"


TWO_CHANNELS = [
    *packages("a 1\nb 1"),
    *packages("a 2\nb 2: a >=2\nc 1", channel=OTHER),
]

PRIORITIES = [
    ("strict", ["a"], "a-1"),
    ("strict", ["other::a"], "a-2"),
    ("strict", ["c"], "c-1"),
    ("flexible", ["a"], "a-1"),
    ("flexible", ["a >=2"], "a-2"),
    ("flexible", ["b"], "b-1"),
    ("flexible", ["b 2"], "a-2 b-2"),
    ("disabled", ["a"], "a-2"),
    ("disabled", ["b"], "a-2 b-2"),
    ("disabled", ["main::a"], "a-1"),
]


@pytest.mark.parametrize(("priority", "wanted", "expected"), PRIORITIES)
def test_channel_priority(priority: str, wanted: list[str], expected: str) -> None:
    assert shown(ask(source(*TWO_CHANNELS), *wanted, channel_priority=priority)) == expected


def test_strict_priority_hides_what_a_later_channel_has() -> None:
    with pytest.raises(PackagesNotFound):
        ask(source(*TWO_CHANNELS), "a >=2")
    with pytest.raises(PackagesNotFound):
        ask(source(*TWO_CHANNELS), "b >=2")


STRATEGIES = [
    ("highest", "a-3-0 b-3-0"),
    ("lowest", "a-2-y_1 b-1-0"),
    ("lowest-direct", "a-2-y_1 b-3-0"),
]


@pytest.mark.parametrize(("strategy", "expected"), STRATEGIES)
def test_strategy(strategy: str, expected: str) -> None:
    where = source("a 2 x_0: b\na 2 y_1: b\na 3: b\nb 1\nb 2\nb 3")
    assert shown_with_builds(ask(where, "a", strategy=strategy)) == expected


def test_lowest_prefers_builds_with_low_dependencies() -> None:
    where = source(PYTHONS, "a 1 x_0: python 3.12.*\na 1 y_0: python 3.10.*\na 2: python")
    assert shown_with_builds(ask(where, "a", strategy="lowest")) == "a-1-y_0 python-3.10.2-0"


def test_the_newest_python_is_not_given_up_for_a_library() -> None:
    """The library has fewer candidates, but python needs it, so python is decided first."""
    where = source("app 1: python\npython 3.13.9: ffi <2\npython 3.13.1: ffi\npython 3.12.0: ffi\nffi 1\nffi 2")
    assert shown(ask(where, "app")) == "app-1 ffi-1 python-3.13.9"


def test_python_is_decided_before_a_library_that_excludes_it() -> None:
    """Neither needs the other, and they do not agree on a third; the library has fewer candidates."""
    where = source(
        "app 1: python; glib\nglib 2: ffi >=4\nglib 1: ffi\nffi 4\nffi 3\n"
        "python 3.13.9: ffi <4\npython 3.13.1: ffi\npython 3.12.0: ffi"
    )
    assert shown(ask(where, "app")) == "app-1 ffi-3 glib-1 python-3.13.9"


def test_records_come_in_the_order_of_their_dependencies() -> None:
    solution = ask(source("a 1: b; c\nb 1: c\nc 1"), "a")
    assert [record.name for record in solution.records] == ["c", "b", "a"]
    assert solution.why == {"a": "requested", "b": "dependency", "c": "dependency"}
    assert solution.find("b") is solution.records[1]
    assert solution.find("z") is None


def test_names_that_are_only_constrained_are_never_loaded() -> None:
    class Watching:
        def __init__(self) -> None:
            self.inner = source("a 1: b / c <2\nb 1: / d\nc 1\nd 1")
            self.loaded: set[str] = set()

        def load(self, names: Iterable[str]) -> None:
            self.loaded.update(names)

        def groups(self, name: str) -> object:
            assert name in self.loaded
            return self.inner.groups(name)

        def near_names(self, name: str) -> object:
            return self.inner.near_names(name)

    watching = Watching()
    solution = solve(SolveRequest(install=specs("a")), watching)  # type: ignore[arg-type]
    assert shown(solution) == "a-1 b-1"
    assert watching.loaded == {"a", "b"}


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (["numpyy"], "No channel offers a package named numpyy.\n  try: use one of these names: numpy\n"),
        (["numpy >=9"], "No channel offers numpy>=9. There are 2 versions, 1.26.0 to 2.1.0.\n"),
        (["other >=9"], "No channel offers other>=9. There is only 1.0.\n"),
        (["nowhere::numpy"], "No channel offers nowhere::numpy. There are 2 versions, 1.26.0 to 2.1.0.\n"),
    ],
)
def test_what_nobody_offers(wanted: list[str], text: str) -> None:
    where = source("numpy 2.1.0\nnumpy 1.26.0\nother 1.0")
    with pytest.raises(PackagesNotFound) as caught:
        ask(where, *wanted)
    assert str(caught.value).startswith(text)
    assert caught.value.conda_name == "PackagesNotFoundInChannelsError"
    assert caught.value.packages


def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(PackagesNotFound) as caught:
        ask(source("a 1"), "b", "a", "c")
    assert caught.value.packages == ["b", "c"]


def test_a_request_names_a_package() -> None:
    with pytest.raises(UnnamedRequest):
        ask(source("a 1"), "*")


def test_the_time_limit_is_kept() -> None:
    ticks = iter(range(1000))
    request = SolveRequest(install=specs("a"), options=SolveOptions(time_limit=0.5), virtual_packages=LINUX)
    with pytest.raises(TimeLimitReached) as caught:
        solve(request, source("a 1: b\nb 1"), clock=lambda: next(ticks))
    assert caught.value.seconds == 0.5
    assert solve(request, source("a 1"), clock=lambda: 0).records


QUARREL = """
    a 3: b; c
    a 2: b; c
    a 1
    b 3: d 1; e
    b 2: d 1; e
    c 3: e 1; d
    c 2: e 1; d
    d 2: f
    d 1: e 2
    e 2: d
    e 1: d 2
    f 1
"""


def after(checks: int, error: type[BaseException] | None = None) -> Callable[[], float]:
    """A clock on which the time is over after so many looks at it, or which raises then."""
    left = checks

    def clock() -> float:
        nonlocal left
        left -= 1
        if left < 0 and error is not None:
            raise error
        return 0.0 if left >= 0 else 100.0

    return clock


def test_who_runs_out_of_time_hears_how_far_it_came() -> None:
    request = SolveRequest(install=specs("a"), options=SolveOptions(time_limit=10), virtual_packages=LINUX)
    told: list[TimeLimitReached] = []
    for checks in range(1, 100):
        try:
            solve(request, source(QUARREL), clock=after(checks))
        except TimeLimitReached as error:
            told.append(error)
        else:
            break
    assert [error.conflicts for error in told] == sorted(error.conflicts for error in told)
    assert told[0].message.endswith("within 10 seconds: 0 choices were made, none of them in vain so far.")
    assert told[-1].conflicts >= 1
    assert set(told[-1].contested) <= set("abcdef")
    assert told[-1].contested[0] in told[-1].message
    assert told[-1].contested[0] in told[-1].hints[0]
    assert "--solve-timeout" in told[-1].hints[1]


def test_an_explanation_that_runs_out_of_time_is_what_was_found_until_then() -> None:
    where = source("a 1: c 1\nb 1: c 2\nc 1\nc 2\nd 1: c 2\ne 1: c")
    request = SolveRequest(
        install=specs("e", "a", "b", "d"), options=SolveOptions(time_limit=10), virtual_packages=LINUX
    )
    asked: set[tuple[str, ...]] = set()
    for checks in range(1, 100):
        try:
            solve(request, where, clock=after(checks))
        except TimeLimitReached:
            assert not asked
        except Unsolvable as error:
            asked.add(tuple(error.requests))
    assert ("a", "b") in asked or ("a", "d") in asked
    assert all("a" in requests for requests in asked)


@pytest.mark.parametrize("checks", [0, 1])
def test_an_interrupt_passes_through(checks: int) -> None:
    request = SolveRequest(install=specs("a"), options=SolveOptions(time_limit=1))
    with pytest.raises(KeyboardInterrupt) as caught:
        solve(request, source("a 1"), clock=after(checks, KeyboardInterrupt))
    notes = getattr(caught.value, "__notes__", [])
    assert len(notes) == (checks > 0)
    assert all(note.startswith("while looking for packages that go together: 0 choices were made") for note in notes)


def test_an_interrupt_of_an_explanation_says_so() -> None:
    request = SolveRequest(install=specs("a", "b"), options=SolveOptions(time_limit=1))
    where = source("a 1: c 1\nb 1: c 2\nc 1\nc 2")
    for checks in range(100):
        try:
            solve(request, where, clock=after(checks, KeyboardInterrupt))
        except KeyboardInterrupt as interrupt:
            notes = getattr(interrupt, "__notes__", [])
        except Unsolvable:
            break
    assert notes == ["while finding out why there is no set of packages that go together"]


def test_a_virtual_package_can_be_asked_for() -> None:
    where = source("a 1")
    assert shown(ask(where, "a", "__glibc >=2.17")) == "a-1"
    with pytest.raises(Unsolvable):
        ask(where, "a", "__cuda")
    assert shown(ask(where, "a", "__cuda", virtual_packages=(VirtualPackage("__cuda", "12"),))) == "a-1"


def test_the_collector_is_as_it_was_after_a_solve() -> None:
    where = source("a 1", "b 1: c")
    for switch in (gc.disable, gc.enable):
        switch()
        before = gc.isenabled()
        ask(where, "a")
        assert gc.isenabled() == before
        with pytest.raises(Unsolvable):
            ask(where, "b")
        assert gc.isenabled() == before


def test_a_search_leaves_no_circles_that_would_stay_in_memory() -> None:
    where = source("a 1: b", "b 1: c", "c 1: a", "c 2")
    ask(where, "a")
    gc.collect()
    gc.disable()
    try:
        ask(where, "a")
        assert gc.collect() == 0
    finally:
        gc.enable()
