"""What an environment asks of a shell: variables from three places, scripts by kind and in order, damage survived."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kaa.shell.activation import PrefixState
from kaa.shell.prefix_state import path_entries, read_prefix_state
from tests.shell.houses import make_environment


def variables(prefix: Path, *, uppercase: bool = True) -> dict[str, str | None]:
    return dict(read_prefix_state(str(prefix), script_extensions=(".sh",), uppercase=uppercase).variables)


def warnings(prefix: Path) -> tuple[str, ...]:
    return read_prefix_state(str(prefix), script_extensions=(".sh",)).warnings


def test_later_files_and_the_environments_own_values_win(tmp_path: Path) -> None:
    prefix = make_environment(
        tmp_path / "e",
        package_variables={"b.json": {"A": "b", "B": "b"}, "a.json": {"A": "a", "C": "a"}, "B.json": {"B": "B"}},
        variables={"C": "own", "D": "***unset***"},
    )
    assert variables(prefix) == {"A": "b", "B": "b", "C": "own", "D": None}
    assert [text for text in warnings(prefix) if "own values of C " in text]


def test_equal_values_are_worth_no_warning(tmp_path: Path) -> None:
    prefix = make_environment(tmp_path / "e", package_variables={"a.json": {"A": "1"}}, variables={"A": "1"})
    assert warnings(prefix) == ()


def test_an_environment_without_anything(tmp_path: Path) -> None:
    state = read_prefix_state(str(tmp_path / "gone"), script_extensions=(".sh",))
    assert state == PrefixState(str(tmp_path / "gone"), (f"{tmp_path}/gone/bin",), {}, (), (), ())


@pytest.mark.parametrize(
    ("given", "name", "uppercase"),
    [("lower", "LOWER", True), ("lower", "lower", False), ("UPPER", "UPPER", True), ("Mixed_1", "MIXED_1", True)],
)
def test_case(tmp_path: Path, given: str, name: str, uppercase: bool) -> None:
    prefix = make_environment(tmp_path / "e", variables={given: "x"})
    assert variables(prefix, uppercase=uppercase) == {name: "x"}
    state = read_prefix_state(str(prefix), script_extensions=(), uppercase=uppercase)
    assert bool(state.warnings) is (given != name)


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "path", "CONDA_PREFIX", "CONDA_SHLVL", "CONDA_PREFIX_12", "CONDA_STACKED_1", "CONDA_DEFAULT_ENV"),
        *("CONDA_PROMPT_MODIFIER", "CONDA_EXE", "_CONDA_EXE", "CONDA_PYTHON_EXE", "_CE_M", "_CE_CONDA", "_CONDA_ROOT"),
        *("KAA_EXE", "KAA_ROOT_PREFIX", "__CONDA_SHLVL_0_FOO", "__KAA_SHLVL_1_NAMES"),
        *("IFS", "_", "PWD", "UID", "euid", "SHELLOPTS"),
    ],
)
def test_reserved_names(tmp_path: Path, name: str) -> None:
    prefix = make_environment(tmp_path / "e", variables={name: "x", "FINE": "y"})
    assert variables(prefix) == {"FINE": "y"}
    assert "reserved" in warnings(prefix)[0]


@pytest.mark.parametrize(
    "name", ["CONDA_BUILD", "CONDA_PREFIX_X", "PATHS", "MANPATH", "XPATH", "KAA_EXES", "PYTHONPATH"]
)
def test_names_that_are_only_like_reserved_ones(tmp_path: Path, name: str) -> None:
    assert variables(make_environment(tmp_path / "e", variables={name: "x"})) == {name: "x"}


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "A;touch x", "$(x)", "A\n", "Ä", "A\0"])
def test_names_that_no_shell_takes(tmp_path: Path, name: str) -> None:
    prefix = make_environment(tmp_path / "e", package_variables={"a.json": {name: "x", "FINE": "y"}})
    assert variables(prefix) == {"FINE": "y"}
    assert "no name for a variable" in warnings(prefix)[0]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("text", "text"),
        ("", ""),
        (1, "1"),
        (1.5, "1.5"),
        ("***unset***", None),
        (True, "dropped"),
        (None, "dropped"),
        (["a"], "dropped"),
        ({"a": "b"}, "dropped"),
        ("a\0b", "dropped"),
        ("\ud800", "dropped"),
    ],
)
def test_values(tmp_path: Path, value: object, read: str | None) -> None:
    prefix = make_environment(tmp_path / "e", variables={"A": value})
    assert variables(prefix) == ({} if read == "dropped" else {"A": read})
    assert bool(warnings(prefix)) is (read == "dropped")


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "\xff", '{"env_vars": []}', '{"env_vars": "x"}', "[" * 100_000])
def test_damaged_files_cost_their_variables_and_no_more(tmp_path: Path, text: str) -> None:
    prefix = make_environment(tmp_path / "e", package_variables={"a.json": {"A": "1"}})
    (prefix / "conda-meta" / "state").write_bytes(text.encode("latin-1"))
    assert variables(prefix) == {"A": "1"}
    assert str(prefix / "conda-meta" / "state") in warnings(prefix)[0]


@pytest.mark.parametrize("document", [{}, {"version": 1}, {"env_vars": None}, {"version": 1, "env_vars": {}}])
def test_states_without_variables(tmp_path: Path, document: object) -> None:
    prefix = make_environment(tmp_path / "e")
    (prefix / "conda-meta" / "state").write_text(json.dumps(document))
    assert variables(prefix) == {}
    assert warnings(prefix) == ()


def test_scripts_run_in_the_order_of_their_names_and_back(tmp_path: Path) -> None:
    names = ["b.sh", "a.sh", "B.sh", "10.sh", "9.sh", "ä.sh", "a-b.sh", "other.fish", "sh", "x.sh.bak"]
    scripts = {f"{folder}/{name}": "" for folder in ("activate.d", "deactivate.d") for name in names}
    prefix = make_environment(tmp_path / "e", scripts=scripts)
    (prefix / "etc" / "conda" / "activate.d" / "directory.sh").mkdir()
    state = read_prefix_state(str(prefix), script_extensions=(".sh",))
    ordered = ["10.sh", "9.sh", "B.sh", "a-b.sh", "a.sh", "b.sh", "ä.sh"]
    assert state.activate_scripts == tuple(f"{prefix}/etc/conda/activate.d/{name}" for name in ordered)
    assert state.deactivate_scripts == tuple(f"{prefix}/etc/conda/deactivate.d/{name}" for name in ordered[::-1])


def test_a_script_of_two_kinds_runs_once(tmp_path: Path) -> None:
    scripts = {"activate.d/a.sh": "", "activate.d/a.xsh": "", "activate.d/b.sh": "", "activate.d/c.xsh": ""}
    prefix = make_environment(tmp_path / "e", scripts=scripts)
    state = read_prefix_state(str(prefix), script_extensions=(".xsh", ".sh"))
    assert [Path(path).name for path in state.activate_scripts] == ["a.xsh", "b.sh", "c.xsh"]


def test_path_entries_of_windows(tmp_path: Path) -> None:
    prefix = str(tmp_path)
    plain = [prefix, *(f"{prefix}\\{name}" for name in ("Library\\mingw-w64\\bin", "Library\\usr\\bin"))]
    plain += [f"{prefix}\\{name}" for name in ("Library\\bin", "Scripts", "bin")]
    assert list(path_entries(prefix, windows=True)) == plain
    for name in ("clang64", "mingw64"):
        (tmp_path / "Library" / name).mkdir(parents=True)
    assert list(path_entries(prefix, windows=True)) == [prefix, f"{prefix}\\Library\\clang64\\bin", *plain[1:]]
