"""Interpreters of this machine are found where people have them, asked once, and offered as candidates."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from kaa.models.record import RepoDataRecord
from kaa.pypi.interpreters.addresses import interpreter_of, is_interpreter
from kaa.pypi.interpreters.advice import interpreter_hints, interpreter_lines
from kaa.pypi.interpreters.candidates import interpreter_groups
from kaa.pypi.interpreters.description import describe_interpreter
from kaa.pypi.interpreters.discovery import iter_interpreters
from kaa.pypi.interpreters.interpreter import ask_interpreter
from kaa.pypi.interpreters.known import ANSWERS, CONDA, Interpreters, find_interpreters
from tests.pypi.interpreters.copies import OWN, copied_interpreter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="done on Linux only")

VERSION = ".".join(map(str, sys.version_info[:3]))


def program(path: Path) -> Path:
    """A program that would be an interpreter by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x7fELF" + bytes(60))
    path.chmod(0o755)
    return path


def found_in(tmp_path: Path, environ: Mapping[str, str], running: str = "") -> list[Path]:
    """What is found below a directory; the system's own interpreters are always found."""
    return [path for path in iter_interpreters(environ, tmp_path, running) if path.is_relative_to(tmp_path.resolve())]


# -- finding ----------------------------------------------------------------------------------------------------------


def test_where_they_are_looked_for(tmp_path: Path) -> None:
    running = program(tmp_path / "running/bin/python3.11")
    on_path = [program(tmp_path / "bin" / name) for name in ("python3", "python3.9", "python3.10", "python3.13t")]
    program(tmp_path / "bin/python3-config")
    program(tmp_path / "bin/python2.7")
    program(tmp_path / "bin/pythonic")
    pyenv = [program(tmp_path / f".pyenv/versions/{v}/bin/python3") for v in ("3.9.1", "3.10.2", "3.8.9")]
    uv = program(tmp_path / ".local/share/uv/python/cpython-3.12.1-linux/bin/python3")
    found = found_in(tmp_path, {"PATH": f"{tmp_path / 'bin'}:relative"}, str(running))
    python3, python39, python310, python313 = on_path
    assert found == [running, python3, python313, python310, python39, pyenv[1], pyenv[0], pyenv[2], uv]


@pytest.mark.parametrize(
    ("variable", "value", "place"),
    [
        ("PYENV_ROOT", "elsewhere", "elsewhere/versions/3.12.0/bin/python3"),
        ("UV_PYTHON_INSTALL_DIR", "pythons", "pythons/cpython-3.12/bin/python3"),
        ("XDG_DATA_HOME", "data", "data/uv/python/cpython-3.12/bin/python3"),
    ],
)
def test_variables_that_move_them(tmp_path: Path, variable: str, value: str, place: str) -> None:
    path = program(tmp_path / place)
    assert found_in(tmp_path, {variable: str(tmp_path / value)}) == [path]
    assert found_in(tmp_path, {}) == []


def test_what_is_no_program_does_not_count(tmp_path: Path) -> None:
    shim = tmp_path / "bin/python3"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\ntouch ran\n")
    shim.chmod(0o755)
    (tmp_path / "bin/python3.9").symlink_to("nowhere")
    (tmp_path / "bin/python3.8").symlink_to("python3.8")
    (tmp_path / "bin/python3.7").mkdir()
    program(tmp_path / "bin/python3.6").chmod(0o644)
    assert found_in(tmp_path, {"PATH": str(tmp_path / "bin")}) == []


def test_links_and_virtual_environments_are_the_same_one(tmp_path: Path) -> None:
    base = program(tmp_path / "base/bin/python3.12")
    for place in ("bin/python3", "bin/python", "venv/bin/python3"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).symlink_to(base)
    environ = {"PATH": f"{tmp_path / 'venv/bin'}:{tmp_path / 'bin'}:{tmp_path / 'base/bin'}"}
    assert found_in(tmp_path, environ) == [base]


# -- asking -----------------------------------------------------------------------------------------------------------


def only(tmp_path: Path, *directories: Path) -> dict[str, str]:
    """An environment in which interpreters are found in these directories, and in those of the system."""
    return {"PATH": os.pathsep.join(map(str, directories)), "HOME": str(tmp_path)}


def usable(found: Interpreters, below: Path) -> list[str]:
    return [
        each.interpreter.executable for each in found.usable if Path(each.interpreter.executable).is_relative_to(below)
    ]


def test_answers_are_kept_until_something_changes(tmp_path: Path) -> None:
    executable = copied_interpreter(tmp_path / "python")
    environ = only(tmp_path, executable.parent)
    kept = tmp_path / "kept"
    first = find_interpreters(environ, kept, home=tmp_path, running="")
    assert usable(first, tmp_path) == [str(executable)]
    before = (kept / ANSWERS).stat()
    assert find_interpreters(environ, kept, home=tmp_path, running="") == first
    assert (kept / ANSWERS).stat().st_mtime_ns == before.st_mtime_ns
    # Not asked: what cannot be run any more still has its answer.
    state = executable.stat()
    content = executable.read_bytes()
    executable.write_bytes(content[:64] + bytes(len(content) - 64))
    os.utime(executable, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert find_interpreters(environ, kept, home=tmp_path, running="") == first
    os.utime(executable)
    changed = find_interpreters(environ, kept, home=tmp_path, running="")
    assert usable(changed, tmp_path) == []
    assert str(executable) in {each.path for each in changed.unusable}


@pytest.mark.parametrize("content", [b"", b"{", b'{"layout": "0", "answers": {}}', b"[]", b"\xff"])
def test_a_damaged_file_of_answers_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ANSWERS).write_bytes(content)
    found = find_interpreters({}, tmp_path, home=tmp_path, running=sys.executable)
    assert found.usable[0].interpreter.executable == OWN.executable
    assert OWN.executable in json.loads((tmp_path / ANSWERS).read_bytes())["answers"]


def test_answers_that_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = find_interpreters({}, tmp_path / "file", home=tmp_path, running=sys.executable)
    assert found.usable[0].interpreter.executable == OWN.executable
    assert find_interpreters({}, None, home=tmp_path, running=sys.executable) == found


def test_a_copy_in_a_virtual_environment_stands_for_its_base(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([OWN.executable, "-m", "venv", "--copies", "--without-pip", venv], check=True)
    found = find_interpreters(only(tmp_path, venv / "bin"), None, home=tmp_path, running="")
    assert found.usable[0].interpreter.executable in {OWN.executable, "/usr/bin/python" + OWN.minor}
    assert OWN.executable in {each.interpreter.executable for each in found.usable}
    assert usable(found, tmp_path) == []


def test_those_of_conda_environments_are_not_taken(tmp_path: Path) -> None:
    executable = copied_interpreter(tmp_path / "env")
    (tmp_path / "env/conda-meta").mkdir()
    found = find_interpreters(only(tmp_path, executable.parent), None, home=tmp_path, running="")
    assert usable(found, tmp_path) == []
    assert {each.path: each.reason for each in found.unusable}[str(executable)] == CONDA


def test_one_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    path = program(tmp_path / "bin/python3")
    found = find_interpreters(only(tmp_path, tmp_path / "bin"), None, home=tmp_path, running="")
    assert {each.path: bool(each.reason) for each in found.unusable}[str(path)]


def test_of_one_version_the_first_is_taken(tmp_path: Path) -> None:
    one, two = (copied_interpreter(tmp_path / name) for name in ("one", "two"))
    for first, second in ((one, two), (two, one)):
        found = find_interpreters(only(tmp_path, first.parent, second.parent), None, home=tmp_path, running="")
        assert usable(found, tmp_path) == [str(first), str(second)]
        offered = found.offered(found.usable[0].subdir)
        assert [each.interpreter.executable for each in offered if each.interpreter.version == VERSION] == [str(first)]


# -- identity ---------------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    copies = [copied_interpreter(tmp_path / name) for name in ("one", "another place")]
    one, other = (describe_interpreter(path, {}) for path in copies)
    assert one.fingerprint == other.fingerprint
    assert len(one.fingerprint) == 64
    library = Path(other.interpreter.stdlib)
    with (library / "this.py").open("a") as stream:
        stream.write("# changed\n")
    assert describe_interpreter(copies[1], {}).fingerprint != one.fingerprint
    shutil.rmtree(library / "__pycache__", ignore_errors=True)
    assert describe_interpreter(copies[0], {}).fingerprint == one.fingerprint


def candidates(subdir: str = "") -> tuple[Interpreters, list[RepoDataRecord]]:
    found = Interpreters((describe_interpreter(Path(OWN.executable), {}),))
    groups = interpreter_groups(found, "pypi+https://index.example/simple", 3, subdir or found.usable[0].subdir)
    return found, [group.record(position) for group in groups for position in range(group.columns.count)]


def test_a_candidate() -> None:
    found, [record] = candidates()
    assert (record.name, record.version, record.subdir) == ("python", VERSION, found.usable[0].subdir)
    assert record.build == f"h{found.usable[0].fingerprint[:7]}_0_cpython"
    assert record.sha256 == found.usable[0].fingerprint
    assert record.channel == "pypi+https://index.example/simple"
    assert is_interpreter(record)
    assert interpreter_of(record) == OWN.executable
    assert record.url.endswith(f"/{record.subdir}/{record.fn}")
    assert record.fn.startswith(record.dist)
    assert candidates()[1] == [record]


def test_no_candidates_for_another_platform() -> None:
    found, records = candidates("win-64")
    assert records == []
    [line] = interpreter_lines(found, "win-64")
    assert line == f"The interpreters of this machine are for {found.usable[0].subdir}, and none is for win-64."
    [hint] = interpreter_hints(found, "win-64", ["3.12.*"])
    assert hint == "add a conda channel that has python 3.12 for win-64"


@pytest.mark.parametrize(
    ("versions", "wanted"),
    [(["3.9.*"], "3.9"), (["==3.9.2"], "3.9"), (["=3.9"], "3.9"), ([">=3.9"], ""), ([], "")],
)
def test_where_another_version_comes_from(versions: list[str], wanted: str) -> None:
    found, [record] = candidates()
    [line] = interpreter_lines(found, record.subdir)
    assert line == f"The interpreters of this machine: {VERSION} ({OWN.executable})."
    channel, machine = interpreter_hints(found, record.subdir, versions)
    assert channel == f"add a conda channel that has python {wanted}".rstrip() + f" for {record.subdir}"
    assert f"pyenv install {wanted or 'VERSION'}`" in machine
    assert f"uv python install {wanted or 'VERSION'}`" in machine


def test_what_this_machine_has_is_not_too_new() -> None:
    _, [record] = candidates()
    assert record.indexed_timestamp is not None
    year_2000 = 946_684_800_000
    assert record.indexed_timestamp < year_2000


def test_an_interpreter_without_the_usual_layout_says_where_packages_belong() -> None:
    debian = Path("/usr/bin/python3")
    if not debian.exists() or ask_interpreter(debian).has_usual_layout:
        pytest.skip("no Debian here")
    found = Interpreters((describe_interpreter(debian, {}),))
    [group] = interpreter_groups(found, "pypi", 0, found.usable[0].subdir)
    assert group.record(0).python_site_packages_path == f"lib/python{found.usable[0].interpreter.minor}/site-packages"
