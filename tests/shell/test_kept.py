"""Activations that are kept: when a shell takes them, when it asks again, and whose they must be."""

from __future__ import annotations

import json
import os
import shlex
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaa.cli.keeping import RESERVED_OPTIONS, variables_read
from kaa.config.options import OPTIONS
from kaa.shell.activation import PathChange, replace_in_path
from kaa.shell.dialects.fish import quote as fish_quote
from kaa.shell.dialects.kept_fish import render_kept as render_fish
from kaa.shell.dialects.kept_posix import render_kept as render_posix
from kaa.shell.kept import MOST, Kept, ReadVariables, is_own, keep, keep_few, plan_stamps
from kaa.shell.prefix_state import RESERVED
from tests.shell.houses import BASH, DASH, FISH, KAA, ZSH, House, RealShell, make_environment, variables

SHELLS = (BASH, ZSH, DASH, FISH)
DAY = 86_400_000_000_000

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")


@pytest.fixture(params=SHELLS, ids=lambda shell: shell.name)
def shell(request: pytest.FixtureRequest) -> RealShell:
    """Each shell in turn for which activations are kept."""
    if not request.param.installed:
        pytest.skip(f"{request.param.name} is not installed")
    found: RealShell = request.param
    return found


class Counted:
    """A shell whose function calls kaa by way of a program that writes down how it is called."""

    def __init__(self, shell: RealShell, house: House, name: str = "kaa") -> None:
        self.shell, self.house = shell, house
        self.calls = house.directory / "calls"
        program = house.directory / "counting" / name
        program.parent.mkdir()
        program.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$*" >> {shlex.quote(str(self.calls))}\nexec {shlex.join(KAA)} "$@"\n'
        )
        program.chmod(0o755)
        quoted = str(program).replace("'", "\\'" if shell.name == "fish" else "'\\''")
        hook = house.kaa("shell", "hook", shell.name).stdout.replace(KAA[0].encode(), quoted.encode())
        (house.directory / "hook").write_bytes(hook)

    def run(
        self, *lines: str, environ: dict[str, str] | None = None, load: str = ""
    ) -> tuple[list[str], list[dict[str, str]], str]:
        """How kaa was called, the variables after each line, and what was said."""
        self.calls.write_bytes(b"")
        load = load or ("source hook" if self.shell.name == "fish" else ". ./hook")
        script = [self.shell.strict, load]
        for number, line in enumerate(lines):
            script += [line, f"/usr/bin/env -0 > ./{number}.env"]
        done = self.shell.run(self.house, script, environ=environ)
        assert done.returncode == 0, done.stderr
        assert done.stdout == b""
        seen = [variables(self.house, str(number)) for number in range(len(lines))]
        return self.calls.read_text().splitlines(), seen, done.stderr.decode()


@pytest.fixture
def counted(house: House, shell: RealShell) -> Counted:
    """The shell in the house."""
    return Counted(shell, house)


def furnish(house: House) -> None:
    """Three environments, of which two ask for something."""
    scripts = {
        f"{folder}/1.{extension}": f"echo {folder} >> ./order\n"
        for folder in ("activate.d", "deactivate.d")
        for extension in ("sh", "fish")
    }
    house.environment("a", variables={"FOO": "it's\n$(a) \\ \"", "GONE": "***unset***"}, scripts=scripts)
    house.environment("b", package_variables={"p.json": {"FOO": "b", "BAR": "*?[x] ~"}})
    make_environment(house.directory / "some project" / "it's (an) env")


WALKS = {
    "there and back": ["activate a", "deactivate"],
    "switching": ["activate a", "activate b", "deactivate", "deactivate"],
    "stacked": ["activate a", "activate --stack b", "deactivate", "deactivate"],
    "not stacked": ["activate a", "activate --no-stack b", "deactivate", "deactivate"],
    "again": ["activate a", "activate a", "deactivate"],
    "by default": ["activate", "activate a", "activate base", "deactivate", "deactivate", "deactivate"],
    "deep": ["activate a", "activate b", "activate a", "activate b", "deactivate", "deactivate", "deactivate"],
    "by relative path": ["activate './some project/it'\\''s (an) env'", "activate ./root/envs/a/", "deactivate"],
}


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)
def test_the_second_time_no_process_is_started(counted: Counted, walk: Sequence[str]) -> None:
    furnish(counted.house)
    if walk is WALKS["by default"]:
        # Where there is a base environment, a new shell begins there.
        (counted.house.root / "conda-meta").mkdir()
        (counted.house.root / "conda-meta" / "history").touch()
    counted.house.age()
    lines = [f"kaa {words}" for words in walk]
    if counted.shell.name == "fish":
        lines = [line.replace("'\\''", "\\'") for line in lines]
    order = counted.house.directory / "order"
    first_calls, first, first_said = counted.run(*lines)
    first_order = order.read_text() if order.exists() else ""
    order.unlink(missing_ok=True)
    calls, second, said = counted.run(*lines)
    assert len({(words, tuple(sorted(state))) for words, state in zip(first_calls, first, strict=True)}) <= len(walk)
    assert all(words.startswith("shell ") for words in first_calls)
    assert calls == []
    assert second == first
    assert said == first_said
    assert (order.read_text() if order.exists() else "") == first_order


def test_by_an_absolute_path(counted: Counted) -> None:
    furnish(counted.house)
    counted.house.age()
    prefix = counted.house.directory / "some project" / "it's (an) env"
    quoted = str(prefix).replace("'", "\\'" if counted.shell.name == "fish" else "'\\''")
    line = f"kaa activate '{quoted}'"
    _, first, _ = counted.run(line)
    calls, second, _ = counted.run(line)
    assert calls == []
    assert second == first
    assert second[0]["CONDA_PREFIX"] == str(prefix)


def test_any_search_path_will_do(counted: Counted) -> None:
    furnish(counted.house)
    counted.house.age()
    counted.run("kaa activate a", "kaa activate b", "kaa deactivate", "kaa deactivate")
    path = f"/opt/x:{counted.house.directory}/it's:/usr/bin:/bin:/usr/bin"
    calls, (in_a, in_b, back, out), _ = counted.run(
        "kaa activate a", "kaa activate b", "kaa deactivate", "kaa deactivate", environ={"PATH": path}
    )
    envs = f"{counted.house.root}/envs"
    assert calls == []
    assert in_a["PATH"] == back["PATH"] == f"{envs}/a/bin:{path}"
    assert in_b["PATH"] == f"{envs}/b/bin:{path}"
    assert out["PATH"] == path


def test_warnings_are_said_each_time(counted: Counted) -> None:
    furnish(counted.house)
    counted.house.age()
    environ = {"FOO": "mine"}
    _, _, first = counted.run("kaa activate a", environ=environ)
    calls, _, second = counted.run("kaa activate a", environ=environ)
    assert calls == []
    assert second == first
    assert "which you had set" in second


# -- when it is asked again -------------------------------------------------------------------------------------------


def write(path: Path, text: str) -> None:
    """Write a file as it would have been a while ago: its time alone does not give it away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for one in (path, path.parent):
        changed = one.stat().st_mtime_ns - 3 * DAY
        os.utime(one, ns=(changed, changed))


CHANGES: dict[str, Callable[[House], object]] = {
    "its variables": lambda house: write(house.root / "envs/a/conda-meta/state", '{"env_vars": {"FOO": "new"}}'),
    "a package's variables": lambda house: write(house.root / "envs/a/etc/conda/env_vars.d/q.json", '{"QUX": "q"}'),
    "a script more": lambda house: write(house.root / "envs/a/etc/conda/activate.d/2.sh", "true\n"),
    "a script less": lambda house: (house.root / "envs/a/etc/conda/activate.d/1.sh").unlink(),
    "a package": lambda house: write(house.root / "envs/a/conda-meta/x-1-0.json", "{}"),
    "the user's condarc": lambda house: write(house.home / ".condarc", "changeps1: false\n"),
    "a condarc of kaa": lambda house: write(house.home / ".config/kaa/config.yaml", "changeps1: false\n"),
    "a condarc in .conda": lambda house: write(house.home / ".conda/condarc.d/x.yml", "changeps1: false\n"),
    "a condarc in .config": lambda house: write(house.home / ".config/conda/.condarc", "changeps1: false\n"),
    "the root's condarc": lambda house: write(house.root / "condarc", "changeps1: false\n"),
    "decisions about scripts": lambda house: write(house.home / ".conda/scripts.json", '{"scripts": {}}'),
    "a conda in the root prefix": lambda house: write(house.root / "bin/conda", ""),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_seen(house: House, change: Callable[[House], object]) -> None:
    counted = Counted(DASH, house)
    furnish(house)
    house.age()
    counted.run("kaa activate a", "kaa deactivate")
    assert counted.run("kaa activate a", "kaa deactivate")[0] == []
    change(house)
    calls, seen, _ = counted.run("kaa activate a")
    assert [words.split()[:3] for words in calls] == [["shell", "activate", "posix"]]
    fresh = house.kaa("shell", "activate", "nushell", "a", environ={"CONDA_EXE": "/left/to/conda"})
    told: dict[str, str] = json.loads(fresh.stdout)["set"]
    del told["PATH"]
    assert {**seen[0], **told} == seen[0]


def test_an_environment_that_comes_before_is_found(house: House) -> None:
    write(house.home / ".condarc", "envs_dirs: [~/first]\n")
    furnish(house)
    counted = Counted(DASH, house)
    house.age()
    counted.run("kaa activate a")
    assert counted.run("kaa activate a")[0] == []
    prefix = make_environment(house.home / "first" / "a")
    _, (inside,), _ = counted.run("kaa activate a")
    assert inside["CONDA_PREFIX"] == str(prefix)


@pytest.mark.parametrize(
    "environ",
    [
        {"CONDA_CHANGEPS1": "false"},
        {"KAA_ENV_PROMPT": "<{name}>"},
        {"CONDA_ENVS_PATH": "/not-there"},
        {"FOO": "mine"},
        {"GONE": ""},
        {"XDG_CONFIG_HOME": "/not-there"},
    ],
    ids=lambda environ: next(iter(environ)),
)
def test_a_variable_is_seen(counted: Counted, environ: dict[str, str]) -> None:
    furnish(counted.house)
    counted.house.age()
    environ = {name: value.replace("@", str(counted.house.directory)) for name, value in environ.items()}
    counted.run("kaa activate a")
    assert counted.run("kaa activate a")[0] == []
    calls, first, said = counted.run("kaa activate a", environ=environ)
    assert len(calls) == 1
    calls, second, said_again = counted.run("kaa activate a", environ=environ)
    assert (calls, second, said_again) == ([], first, said)


def test_a_variable_without_a_meaning_here_does_not_matter(counted: Counted) -> None:
    furnish(counted.house)
    counted.house.age()
    counted.run("kaa activate a")
    assert counted.run("kaa activate a", environ={"CONDA_SOLVER": "x", "SOME_OTHER": "y"})[0] == []


def test_an_environment_that_is_gone(counted: Counted) -> None:
    furnish(counted.house)
    counted.house.age()
    counted.run("kaa activate b")
    (counted.house.root / "envs/b").rename(counted.house.directory / "elsewhere")
    load = "source hook" if counted.shell.name == "fish" else ". ./hook"
    done = counted.shell.run(counted.house, [load, "kaa activate b"])
    assert done.returncode == 1
    assert b"EnvironmentNameNotFound" in done.stderr


def test_what_has_just_changed_is_not_kept(house: House) -> None:
    furnish(house)
    counted = Counted(DASH, house)
    house.age()
    write(house.root / "envs/a/conda-meta/state", '{"env_vars": {"FOO": "new"}}')
    (house.root / "envs/a/conda-meta/state").touch()
    assert len(counted.run("kaa activate a")[0]) == 1
    assert not list(house.home.rglob("*.sh"))


def test_a_relative_path_means_another_environment_elsewhere(counted: Counted) -> None:
    for place in ("one", "two"):
        make_environment(counted.house.directory / place / "env")
    counted.house.age()
    lines = ["cd one", "kaa activate ./env", "cd ../two", "kaa activate ./env"]
    for expected in (2, 0):
        calls, seen, _ = counted.run("; ".join([*lines, "cd .."]))
        assert len(calls) == expected
        assert seen[0]["CONDA_PREFIX"] == str(counted.house.directory / "two" / "env")


# -- whose it must be -------------------------------------------------------------------------------------------------


def kept_scripts(house: House) -> list[Path]:
    return sorted(path for path in house.caches.rglob("*") if path.name.endswith((".sh", ".fish")))


def test_where_it_is_kept(counted: Counted) -> None:
    furnish(counted.house)
    counted.house.age()
    before = set(counted.house.root.rglob("*"))
    counted.run("kaa activate a", "kaa deactivate")
    assert set(counted.house.root.rglob("*")) == before
    (inside, outside) = kept_scripts(counted.house)
    for path in (inside, outside):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert all(stat.S_IMODE(parent.stat().st_mode) == 0o700 for parent in path.parents[:6])


def test_the_directory_of_caches_is_the_users_choice(counted: Counted) -> None:
    furnish(counted.house)
    counted.house.age()
    environ = {"XDG_CACHE_HOME": str(counted.house.directory / "caches")}
    counted.run("kaa activate a", environ=environ)
    assert counted.run("kaa activate a", environ=environ)[0] == []
    assert not counted.house.caches.exists()


@needs_root
def test_a_script_of_somebody_else_is_not_taken(counted: Counted) -> None:
    furnish(counted.house)
    counted.house.age()
    counted.run("kaa activate a")
    (script,) = kept_scripts(counted.house)
    script.write_text("set -gx BAD yes\n" if counted.shell.name == "fish" else "export BAD=yes\n")
    assert counted.run("kaa activate a")[1][0].get("BAD") == "yes"
    script.write_text("set -gx BAD yes\n" if counted.shell.name == "fish" else "export BAD=yes\n")
    os.chown(script, 12345, -1)
    calls, (inside,), _ = counted.run("kaa activate a")
    assert len(calls) == 1
    assert "BAD" not in inside


def test_a_link_is_not_taken(counted: Counted) -> None:
    furnish(counted.house)
    counted.house.age()
    counted.run("kaa activate a")
    (script,) = kept_scripts(counted.house)
    script.rename(script.with_name("other"))
    script.symlink_to("other")
    assert len(counted.run("kaa activate a")[0]) == 1


@pytest.mark.parametrize("loosened", [".", ".cache", ".cache/kaa/activation"])
def test_nothing_is_kept_where_others_may_write(counted: Counted, loosened: str) -> None:
    furnish(counted.house)
    folder = counted.house.home / loosened
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o775)
    counted.house.age()
    for _ in range(2):
        calls, (inside,), _ = counted.run("kaa activate a")
        assert len(calls) == 1
        assert inside["CONDA_DEFAULT_ENV"] == "a"
    assert kept_scripts(counted.house) == []


@needs_root
def test_root_leaves_nothing_in_the_home_of_somebody_else(counted: Counted) -> None:
    furnish(counted.house)
    os.chown(counted.house.home, 12345, 12345)
    counted.house.age()
    counted.run("kaa activate a")
    assert not counted.house.caches.exists()


@pytest.mark.parametrize("where", ["cache is a file", "cache is a dangling link"])
def test_without_a_place_all_goes_on_as_before(counted: Counted, where: str) -> None:
    furnish(counted.house)
    if "file" in where:
        counted.house.caches.touch()
    else:
        counted.house.caches.symlink_to("not-there/at/all")
    counted.house.age()
    calls, (inside,), said = counted.run("kaa activate a")
    assert (len(calls), inside["CONDA_DEFAULT_ENV"], said) == (1, "a", "")


def test_without_a_home(house: House) -> None:
    furnish(house)
    counted = Counted(DASH, house)
    house.age()
    calls, (inside, outside), _ = counted.run("kaa activate a", "kaa deactivate", environ={"HOME": ""})
    assert len(calls) == 2
    assert inside["CONDA_DEFAULT_ENV"] == "a"
    assert outside["CONDA_SHLVL"] == "0"


def test_the_function_conda_keeps_as_well(house: House, shell: RealShell) -> None:
    furnish(house)
    made = house.kaa("init", "--conda")
    assert made.returncode == 0, made.stderr
    house.age()
    file = "etc/fish/conf.d/conda.fish" if shell.name == "fish" else "etc/profile.d/conda.sh"
    quoted = str(house.root / file).replace("'", "\\'" if shell.name == "fish" else "'\\''")
    lines = [shell.strict, f"{'source' if shell.name == 'fish' else '.'} '{quoted}'"]
    walk = ("activate a", "activate b", "deactivate", "deactivate")
    for number, words in enumerate(walk):
        lines += [f"conda {words}", f"/usr/bin/env -0 > ./{number}.env"]
    states = []
    program = house.root / "bin" / "conda"
    for text in (program.read_text(), "#!/bin/sh\nexit 9\n"):
        # The second time a process would fail, and does not look as if it would.
        times = program.stat()
        program.write_text(text)
        os.utime(program, ns=(times.st_atime_ns, times.st_mtime_ns))
        done = shell.run(house, lines)
        assert (done.returncode, done.stderr) == (0, b"")
        states.append([variables(house, str(number)) for number in range(len(walk))])
    assert states[0] == states[1]
    assert states[0][0]["CONDA_EXE"] == str(program)


# -- the parts --------------------------------------------------------------------------------------------------------

directories = st.lists(
    st.one_of(
        st.sampled_from(["/e/a/bin", "/e/b/bin", "/usr/bin", "", "/e/a/bin2", "/x"]),
        st.text(st.sampled_from("'\"\\$`!*?[]~ ab/"), max_size=6),
    ),
    max_size=6,
)
path_changes = st.sampled_from(
    [
        PathChange((), ("/e/it's [a]/bin",)),
        PathChange(("/e/a/bin",), ("/e/b/bin",)),
        PathChange(("/e/a/bin",), ("/e/a/bin",)),
        PathChange(("/e/a/bin",), ()),
        PathChange((), ()),
    ]
)


@pytest.mark.parametrize("shell", (BASH, ZSH, DASH), ids=lambda shell: shell.name)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=directories, change=path_changes)
def test_the_search_path(house: House, shell: RealShell, entries: list[str], change: PathChange) -> None:
    if not shell.installed:
        pytest.skip(f"{shell.name} is not installed")
    path = ":".join(entries)
    text = render_posix(Kept({}, (), (str(house.directory / "not there"),), change, (), ()))
    (house.directory / "text").write_bytes(os.fsencode(text))
    lines = [shell.strict, f"PATH={shlex.quote(path)}", "__entered=''", ". ./text", "/usr/bin/env -0 > ./1.env"]
    done = shell.run(house, lines)
    assert (done.returncode, done.stderr) == (0, b"")
    assert variables(house, "1").get("PATH", "") == replace_in_path(path, change.old, change.new)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=directories.map(lambda found: [entry for entry in found if entry]), change=path_changes)
def test_the_search_path_of_fish(house: House, entries: list[str], change: PathChange) -> None:
    if not FISH.installed:
        pytest.skip("fish is not installed")
    path = ":".join(entries)
    text = render_fish(Kept({}, (), (str(house.directory / "not there"),), change, (), ()))
    (house.directory / "text").write_bytes(os.fsencode(text))
    done = FISH.run(house, [f"set PATH {fish_quote(path) if path else ''}", "source text", "/usr/bin/env -0 > ./1.env"])
    assert (done.returncode, done.stderr) == (0, b"")
    assert variables(house, "1").get("PATH", "") == replace_in_path(path, change.old, change.new)


def test_the_variables_that_are_read() -> None:
    environ = ReadVariables({"A": "1", "CONDA_SOLVER": "x", "CONDA_CHANGEPS1": "no", "PATH": "/bin"})
    assert [environ.get(name) for name in ("A", "B", "CONDA_SOLVER", "CONDA_CHANGEPS1", "PATH")][1] is None
    assert "C" not in environ
    assert variables_read(environ) == {"A": "1", "B": None, "C": None, "CONDA_CHANGEPS1": "no"}
    assert not environ.listed
    assert dict(environ)["A"] == "1"
    assert environ.listed


def test_no_option_has_the_name_of_a_variable_of_activation() -> None:
    names = {
        f"{prefix}_{key.upper()}"
        for option in OPTIONS.values()
        for key in (option.name, *option.aliases)
        for prefix in ("CONDA", "KAA")
    }
    assert {name for name in names if RESERVED.fullmatch(name)} == RESERVED_OPTIONS


def test_stamps(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.touch()
    new.touch()
    now = new.stat().st_mtime_ns
    os.utime(old, ns=(5, 5))
    planned = plan_stamps([str(old), "/not-there/x", str(old / "inside"), str(old)], "/s", now)
    assert planned == (((str(old), "/s/5"),), ("/not-there/x", str(old / "inside")))
    assert plan_stamps([str(old), str(new)], "/s", now) is None
    assert plan_stamps([str(new)], "/s", now - DAY) is None
    assert plan_stamps([str(new)], "/s", now + DAY) is not None


def test_keeping_replaces_what_was_kept(tmp_path: Path) -> None:
    script = tmp_path / "k" / "x.sh"
    for text, times in (("one", ["5", "7"]), ("two", ["7", "8"])):
        keep(str(script), text, [f"{script}.times/{time}" for time in times])
        assert script.read_text() == text
        stamps = sorted(Path(f"{script}.times").iterdir())
        assert [path.name for path in stamps] == times
        assert [str(path.stat().st_mtime_ns) for path in stamps] == times
    assert sorted(path.name for path in script.parent.iterdir()) == ["x.sh", "x.sh.times"]


def test_no_more_than_some_are_kept(tmp_path: Path) -> None:
    for number in range(MOST):
        keep(str(tmp_path / "k" / str(number) / "x.sh"), "", [])
    keep_few(str(tmp_path / "k"))
    assert len(list((tmp_path / "k").rglob("*.sh"))) == MOST
    keep(str(tmp_path / "k" / "one more" / "x.sh"), "", [])
    keep_few(str(tmp_path / "k"))
    assert list((tmp_path / "k").iterdir()) == []


@pytest.mark.parametrize(
    ("modes", "own"),
    [((0o700, 0o700), True), ((0o755, 0o700), True), ((0o775, 0o700), False), ((0o700, 0o702), False),
     ((0o1777, 0o700), True), ((0o700, 0o1777), False)],
    ids=str,
)  # fmt: skip
def test_is_own(tmp_path: Path, modes: tuple[int, int], own: bool) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    inner.parent.chmod(modes[0])
    inner.chmod(modes[1])
    (tmp_path / "link").symlink_to("outer")
    assert is_own(str(inner), os.geteuid()) is own
    assert is_own(str(tmp_path / "link" / "inner"), os.geteuid()) is own
    assert is_own(str(inner), os.geteuid() + 1) is (os.geteuid() == 0 and own)
