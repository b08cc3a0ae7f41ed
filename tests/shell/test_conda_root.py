"""kaa in conda's place: which files come, that they work in real shells, that only they are touched, that all go."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kaa.cli.main import CONDA_VERSION
from kaa.models.prefix_record import PrefixRecord
from kaa.prefix.prefix import Prefix
from kaa.shell.conda_files import CondaFile, CondaPlace, conda_files
from kaa.shell.conda_root import (
    CondaPlan,
    FilesInTheWay,
    execute_conda_plan,
    plan_conda,
    plan_conda_removal,
)
from tests.shell.houses import BASH, DASH, FISH, TCSH, XONSH, ZSH, House, RealShell, variables

FILES = (
    "bin/activate",
    "bin/conda",
    "bin/deactivate",
    "condabin/conda",
    "etc/fish/conf.d/conda.fish",
    "etc/profile.d/conda.csh",
    "etc/profile.d/conda.sh",
    "shell/condabin/Conda.psm1",
    "shell/condabin/conda-hook.ps1",
)
LOADS = {
    "bash": "etc/profile.d/conda.sh",
    "zsh": "etc/profile.d/conda.sh",
    "dash": "etc/profile.d/conda.sh",
    "fish": "etc/fish/conf.d/conda.fish",
    "tcsh": "etc/profile.d/conda.csh",
}


def in_place(house: House) -> Path:
    """The program conda of a house where kaa stands in for it."""
    done = house.kaa("init", "--conda")
    assert (done.returncode, done.stderr) == (0, b"")
    return house.root / "bin" / "conda"


def conda(house: House, *words: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    environ = {key: value for key, value in house.environ.items() if key != "KAA_ROOT_PREFIX"}
    return subprocess.run(
        [house.root / "bin" / "conda", *words],
        env={**environ, **more},
        cwd=house.directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder, but the history and the lock."""
    return {
        path.relative_to(folder).as_posix(): (stat.S_IMODE(path.lstat().st_mode), path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("history", ".kaa-lock")
    }


# -- what comes and goes ----------------------------------------------------------------------------------------------


def test_the_files_come_and_all_of_them_go(house: House) -> None:
    (house.root / "bin").mkdir()
    (house.root / "bin" / "other").write_text("of somebody else")
    (house.root / "conda-meta").mkdir()
    (house.root / "conda-meta" / "pinned").write_text("zlib 1.*")
    before = tree(house.root)
    in_place(house)
    after = tree(house.root)
    assert set(FILES) <= after.keys()
    assert {path for path, (mode, _) in after.items() if mode & 0o111} == {
        "bin/activate", "bin/conda", "bin/deactivate", "condabin/conda"
    }  # fmt: skip
    assert not any(path.startswith("lib") for path in after), "the root has no Python"
    done = house.kaa("init", "--conda", "--reverse")
    assert done.returncode == 0
    # The line of the pins that had no end has got one; nothing else is left, directories included.
    assert tree(house.root) == {**before, "conda-meta/pinned": (before["conda-meta/pinned"][0], b"zlib 1.*\n")}
    assert sorted(path.name for path in house.root.iterdir()) == ["bin", "conda-meta", "envs"]


def test_a_second_run_changes_nothing(house: House) -> None:
    in_place(house)
    before, history = tree(house.root), (house.root / "conda-meta" / "history").read_bytes()
    assert house.kaa("init", "--conda").stdout == b"nothing to change\n"
    assert tree(house.root) == before
    assert (house.root / "conda-meta" / "history").read_bytes() == history


@pytest.mark.parametrize("reverse", [[], ["--reverse"]])
def test_a_dry_run_tells_and_changes_nothing(house: House, reverse: list[str]) -> None:
    if reverse:
        in_place(house)
    before = tree(house.directory)
    told = house.kaa("init", "--conda", "--dry-run", *reverse).stdout.decode()
    word = "would be removed" if reverse else "would be written"
    assert all(f"{word}  {house.root}/{path}\n" in told for path in FILES)
    assert tree(house.directory) == before
    document = json.loads(house.kaa("init", "--conda", "--dry-run", "--json", *reverse).stdout)
    assert document["dry_run"] is True
    assert set(FILES) <= set(document["removed" if reverse else "written"])


def test_what_programs_look_for_is_there(house: House) -> None:
    """A record and a line of the history by which clients find out that conda is installed, and which."""
    in_place(house)
    meta = house.root / "conda-meta"
    (record,) = meta.glob("conda-*-*.json")
    document = json.loads(record.read_text())
    assert re.fullmatch(rf"conda-{re.escape(CONDA_VERSION)}-\w+\.json", record.name)
    assert (document["name"], document["version"]) == ("conda", CONDA_VERSION)
    assert re.search(rf"^\+\S+::conda-{re.escape(CONDA_VERSION)}-\w+$", (meta / "history").read_text(), re.MULTILINE)
    for item, path in zip(document["paths_data"]["paths"], document["files"], strict=True):
        content = (house.root / path).read_bytes()
        assert item["sha256_in_prefix"] == hashlib.sha256(content).hexdigest()
    assert house.kaa("verify", "--name", "base").returncode == 0


# -- what is not touched ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_a_file_of_another_stays_and_is_named(house: House, path: str, kind: str) -> None:
    place = house.root / path
    place.parent.mkdir(parents=True)
    if kind == "file":
        place.write_text("of another installation")
    elif kind == "link":
        place.symlink_to("/etc/passwd")
    else:
        place.mkdir()
    before = tree(house.directory)
    done = house.kaa("init", "--conda")
    assert done.returncode == 1
    assert f"  {house.root}/{path}\n".encode() in done.stderr
    assert tree(house.directory) == before
    assert not (house.root / "conda-meta").exists()


def test_an_installation_of_conda_is_refused(house: House) -> None:
    (house.root / "conda-meta").mkdir()
    (house.root / "conda-meta" / "history").touch()
    record = PrefixRecord(
        name="conda", version="26.1.0", build="py312_0", subdir="linux-64", fn="x", url="", channel=""
    )
    Prefix(house.root).write_record(record)
    before = tree(house.root)
    for words in ([], ["--reverse"], ["--dry-run"]):
        done = house.kaa("init", "--conda", *words)
        assert done.returncode == 1
        assert b"is an installation of conda itself (conda-26.1.0-py312_0)" in done.stderr
    assert tree(house.root) == before


def test_a_file_that_was_changed_since_stays(house: House) -> None:
    """CI appends lines to `etc/profile.d/conda.sh`; they are the user's."""
    in_place(house)
    changed = house.root / "etc" / "profile.d" / "conda.sh"
    changed.write_text(changed.read_text() + "conda activate test\n")
    done = house.kaa("init", "--conda")
    assert done.returncode == 0
    assert f"left as it is  {changed}" in done.stderr.decode()
    done = house.kaa("init", "--conda", "--reverse")
    assert f"left as it is  {changed}" in done.stderr.decode()
    assert changed.read_text().endswith("conda activate test\n")
    assert [path for path in FILES if (house.root / path).exists()] == ["etc/profile.d/conda.sh"]


# -- plans ------------------------------------------------------------------------------------------------------------


OLD = {"bin/conda": CondaFile(b"old", 0o755), "lib/python3.11/conda.py": CondaFile(b"module")}
NEW = {"bin/conda": CondaFile(b"new", 0o755), "lib/python3.12/conda.py": CondaFile(b"module")}


def take(plan: CondaPlan) -> None:
    execute_conda_plan(plan, date="2026-01-01 00:00:00", command="x", program="kaa 1")


def carry_out(root: Path, files: dict[str, CondaFile], version: str) -> None:
    take(plan_conda(str(root), files, version))


def content(root: Path) -> dict[str, bytes]:
    return {path: data for path, (_, data) in tree(root).items() if not path.startswith("conda-meta/")}


def test_another_version_replaces_what_is_its_own(tmp_path: Path) -> None:
    carry_out(tmp_path, OLD, "1.0")
    carry_out(tmp_path, NEW, "2.0")
    assert content(tmp_path) == {path: file.content for path, file in NEW.items()}
    assert [record.dist for record in Prefix(tmp_path).records()] == ["conda-2.0-kaa_0"]
    assert (tmp_path / "conda-meta" / "pinned").read_text().startswith("conda ==2.0 kaa_0  #")
    assert not plan_conda(str(tmp_path), NEW, "2.0").changes


@pytest.mark.parametrize("both_records", [False, True], ids=["one record", "both records"])
@pytest.mark.parametrize("count", range(4))
def test_an_interrupted_change_ends_when_it_is_run_again(tmp_path: Path, count: int, both_records: bool) -> None:
    """After the record come the files, one by one, then the pins and the history."""
    carry_out(tmp_path, OLD, "1.0")
    former = tmp_path / "conda-meta" / "conda-1.0-kaa_0.json"
    old_record = former.read_bytes()
    plan = plan_conda(str(tmp_path), NEW, "2.0")
    assert len(plan.files) == 3
    take(plan._replace(files=plan.files[:count], record=plan.meanwhile, pins=None))
    if both_records:
        former.write_bytes(old_record)
    carry_out(tmp_path, NEW, "2.0")
    assert content(tmp_path) == {path: file.content for path, file in NEW.items()}
    assert [record.dist for record in Prefix(tmp_path).records()] == ["conda-2.0-kaa_0"]
    take(plan_conda_removal(str(tmp_path)))
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("count", range(3))
def test_an_interrupted_removal_ends_when_it_is_run_again(tmp_path: Path, count: int) -> None:
    """The record goes last of what tells which files are kaa's."""
    carry_out(tmp_path, OLD, "1.0")
    plan = plan_conda_removal(str(tmp_path))
    take(plan._replace(files=plan.files[:count], pins=None, stale=()))
    take(plan_conda_removal(str(tmp_path)))
    assert tree(tmp_path) == {}
    carry_out(tmp_path, OLD, "1.0")
    assert content(tmp_path) == {path: file.content for path, file in OLD.items()}


def test_a_changed_file_that_is_to_become_another_is_in_the_way(tmp_path: Path) -> None:
    carry_out(tmp_path, OLD, "1.0")
    (tmp_path / "bin" / "conda").write_text("changed")
    with pytest.raises(FilesInTheWay) as raised:
        plan_conda(str(tmp_path), NEW, "2.0")
    assert raised.value.paths == ("bin/conda",)


# -- the program ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["bin/conda", "condabin/conda"])
def test_the_version_is_condas_and_the_root_is_where_the_program_lies(house: House, program: str) -> None:
    in_place(house)
    for environ in ({"KAA_ROOT_PREFIX": "/elsewhere"}, {"PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere"}, {}):
        variables = {key: value for key, value in house.environ.items() if not key.startswith(("KAA", "PYTHON"))}
        ask = [str(house.root / program)]
        done = subprocess.run([*ask, "--version"], env=variables | environ, capture_output=True, text=True, check=True)
        assert done.stdout == f"conda {CONDA_VERSION}\n"
        done = subprocess.run(
            [*ask, "info", "--base"],
            env=variables | environ,
            cwd=house.home,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"{house.root}\n"


def test_the_first_line_of_the_history_names_the_program(house: House) -> None:
    program = in_place(house)
    assert conda(house, "create", "--yes", "--name", "made", "--offline").returncode == 0
    lines = (house.root / "envs" / "made" / "conda-meta" / "history").read_text().splitlines()
    assert lines[1] == f"# cmd: {program} create --yes --name made --offline"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--help"], "usage: conda COMMAND"),
        (["create", "--help"], "conda create --name demo"),
        (["create", "--help"], "usage: conda create "),
        (["install", "--unknown-flag"], "conda install: error:"),
        (["lits"], "conda: there is no command 'lits'; did you mean list?"),
        (["activate"], "Run 'conda init' before 'conda activate'"),
        (["list", "--name", "missing"], "conda create --name missing"),
    ],
)
def test_texts_say_conda(house: House, words: list[str], expected: str) -> None:
    in_place(house)
    done = conda(house, *words, COLUMNS="300")
    text = (done.stdout + done.stderr).decode()
    assert expected in text
    assert not re.search(r"(?<![/~-])kaa (create|install|init|env|list|activate)\b", text)


def test_programs_by_the_name_of_conda_are_its_commands(house: House) -> None:
    in_place(house)
    program = house.directory / "tools" / "conda-greet"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "greeted $*"\n')
    program.chmod(0o755)
    path = f"{program.parent}:/usr/bin:/bin"
    assert conda(house, "greet", "--loud", PATH=path).stdout == b"greeted --loud\n"
    assert house.kaa("greet", environ={"PATH": path}).returncode == 2


@pytest.mark.parametrize("interpreter", ["/short/python", "/with a space/py'thon", "/" + "long" * 40 + "/python"])
def test_an_interpreter_of_any_path_can_be_started(tmp_path: Path, interpreter: str) -> None:
    """The first line of a program is short and has no space but one; else sh starts the interpreter."""
    root = str(tmp_path / "it's a root")
    program = conda_files(CondaPlace(root, str(tmp_path) + interpreter, "1.0"))["bin/conda"].content.decode()
    stand_in = Path(str(tmp_path) + interpreter)
    stand_in.parent.mkdir(parents=True)
    stand_in.symlink_to(sys.executable)
    assert len(program.splitlines()[0]) <= 127
    modules = tmp_path / "modules" / "kaa" / "cli"
    modules.mkdir(parents=True)
    (modules / "main.py").write_text(
        "import os, sys\ndef main():\n    print([*sys.argv, os.environ['KAA_ROOT_PREFIX']])\n"
    )
    path = tmp_path / "conda"
    path.write_text(program.replace("-EP", "-P"))
    path.chmod(0o755)
    environ = {"PYTHONPATH": str(tmp_path / "modules"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([path, "a b", "$c"], env=environ, capture_output=True, text=True)
    assert done.stdout == f"{[f'{root}/bin/conda', 'a b', '$c', root]}\n", done.stderr


def test_a_kaa_that_only_a_variable_points_to_is_found_by_the_program() -> None:
    files = [conda_files(CondaPlace("/r", "/py", "1.0", None, isolated)) for isolated in (True, False)]
    assert [file["bin/conda"].content.decode().split("\n")[0] for file in files] == ["#!/py -EP", "#!/py -P"]


# -- shells -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", [BASH, ZSH, DASH, FISH, TCSH], ids=lambda shell: shell.name)
def test_the_file_for_a_shell_makes_conda_known(house: House, shell: RealShell) -> None:
    if not shell.installed:
        pytest.skip(f"{shell.name} is not installed")
    program = in_place(house)
    prefix = house.environment("a", variables={"MINE": "yes"})
    script = [
        shell.strict,
        shell.source.format(path=shlex.quote(f"{house.root}/{LOADS[shell.name]}")),
        shell.dump(house, "0").replace(str(house.directory), "."),
        "conda activate a",
        shell.dump(house, "1").replace(str(house.directory), "."),
        "conda deactivate",
        shell.dump(house, "2").replace(str(house.directory), "."),
        "conda --version",
    ]
    done = shell.run(house, script, environ={"KAA_ROOT_PREFIX": ""})
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == f"conda {CONDA_VERSION}\n".encode()
    start, inside, after = (variables(house, str(number)) for number in range(3))
    assert start["CONDA_EXE"] == start["_CONDA_EXE"] == str(program)
    assert (start["CONDA_SHLVL"], start["_CONDA_ROOT"]) == ("0", str(house.root))
    assert start["PATH"] == f"{house.root}/condabin:/usr/bin:/bin"
    assert inside["PATH"] == f"{prefix}/bin:{start['PATH']}"
    assert (inside["CONDA_PREFIX"], inside["CONDA_SHLVL"], inside["MINE"]) == (str(prefix), "1", "yes")
    assert (after["PATH"], after["CONDA_SHLVL"]) == (start["PATH"], "0")
    assert not after.get("CONDA_PREFIX") and "MINE" not in after


@pytest.mark.parametrize("shell", [BASH, ZSH, DASH, FISH, TCSH, XONSH], ids=lambda shell: shell.name)
def test_both_names_live_in_one_shell(house: House, shell: RealShell) -> None:
    """`kaa` and `conda` are functions side by side; what one entered the other leaves."""
    if not shell.installed:
        pytest.skip(f"{shell.name} is not installed")
    program = in_place(house)
    prefix = house.environment("a")
    quoted = f"@({str(program)!r})" if shell.name == "xonsh" else shlex.quote(str(program))
    words = shlex.join(["PROGRAM", f"shell.{shell.name}", "hook"]).replace("PROGRAM", quoted)
    load = {
        "tcsh": "source hook", "xonsh": f"execx($({words}))", "fish": f"{words} | source"
    }.get(shell.name, f'eval "$({words})"')  # fmt: skip
    (house.directory / "hook").write_bytes(conda(house, f"shell.{shell.name}", "hook", PATH="/usr/bin:/bin").stdout)
    script = [
        shell.strict,
        shell.load(),
        load,
        "conda activate a",
        shell.dump(house, "1").replace(str(house.directory), "."),
        "kaa deactivate",
        shell.dump(house, "2").replace(str(house.directory), "."),
        "kaa --version",
        "conda --version",
    ]
    done = shell.run(house, script)
    assert (done.returncode, done.stderr) == (0, b"")
    assert re.fullmatch(rf"kaa \S+\nconda {re.escape(CONDA_VERSION)}\n", done.stdout.decode())
    assert variables(house, "1")["CONDA_PREFIX"] == str(prefix)
    # The root prefix is an environment now, and the one in which shells begin.
    assert variables(house, "2")["CONDA_PREFIX"] == str(house.root)


@pytest.mark.parametrize("shell", [BASH, ZSH], ids=lambda shell: shell.name)
@pytest.mark.parametrize("by", ["name", "path"])
def test_activate_can_be_sourced_where_conda_is_not_known(house: House, shell: RealShell, by: str) -> None:
    if not shell.installed:
        pytest.skip(f"{shell.name} is not installed")
    in_place(house)
    prefix = house.environment("a")
    quoted = shlex.quote(f"{house.root}/bin/activate")
    script = [
        shell.strict,
        f"source {quoted} {'a' if by == 'name' else shlex.quote(str(prefix))}",
        'echo "$CONDA_PREFIX"',
        f"source {shlex.quote(f'{house.root}/bin/deactivate')}",
        'echo "$CONDA_SHLVL"',
        f"source {quoted} missing || echo failed",
    ]
    done = shell.run(house, script, environ={"KAA_ROOT_PREFIX": ""})
    assert done.stdout.decode().splitlines() == [str(prefix), "0", "failed"], done.stderr
    assert b"EnvironmentNameNotFound" in done.stderr


def test_activate_says_that_it_is_to_be_sourced(house: House) -> None:
    in_place(house)
    done = house.start([str(house.root / "bin" / "activate"), "a"])
    assert done.returncode == 1
    assert done.stderr == b"source this file instead of running it: . activate\n"


# -- conda init -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", [BASH, ZSH, FISH], ids=lambda shell: shell.name)
def test_init_teaches_a_shell_conda_between_the_marks_that_tools_look_for(house: House, shell: RealShell) -> None:
    if not shell.installed:
        pytest.skip(f"{shell.name} is not installed")
    in_place(house)
    house.kaa("init", shell.name)
    done = conda(house, "init", shell.name)
    assert (done.returncode, done.stderr) == (0, b"")
    (startup,) = (path for path in house.home.rglob("*") if path.name in (".bashrc", ".zshrc", "config.fish"))
    text = startup.read_text()
    assert text.count("# >>> conda initialize >>>\n") == text.count("# <<< conda initialize <<<\n") == 1
    assert b"no change" in conda(house, "init", shell.name).stdout
    done = shell.run(house, [shell.source.format(path=shlex.quote(str(startup))), "conda --version", "kaa --version"])
    assert re.fullmatch(rf"conda {re.escape(CONDA_VERSION)}\nkaa \S+\n", done.stdout.decode()), done.stderr
    conda(house, "init", "--reverse", shell.name)
    assert "conda initialize" not in startup.read_text()
    assert "kaa initialize" in startup.read_text()


@pytest.mark.parametrize("reverse", [[], ["--reverse"]])
def test_the_lines_of_another_conda_in_a_start_up_file_stay(house: House, reverse: list[str]) -> None:
    in_place(house)
    startup = house.home / ".bashrc"
    startup.write_text(
        "# >>> conda initialize >>>\n# !! Contents within this block are managed by 'conda init' !!\n"
        "eval /opt/conda\n# <<< conda initialize <<<\n"
    )
    before = startup.read_bytes()
    done = conda(house, "init", *reverse, "bash")
    assert done.returncode == 1
    assert b"another installation of conda" in done.stderr
    assert startup.read_bytes() == before


# -- conda shell.<sh> -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["posix", "ash", "bash", "dash", "zsh", "csh", "tcsh", "xonsh", "fish", "powershell"])
def test_the_forms_print_what_the_command_shell_prints(house: House, name: str) -> None:
    in_place(house)
    prefix = house.environment(
        "a", scripts={f"activate.d/a{end}": "" for end in (".sh", ".fish", ".csh", ".ps1", ".xsh")}
    )
    path = f"{house.root}/condabin:/usr/bin"
    inside = {"CONDA_PREFIX": str(prefix), "CONDA_SHLVL": "1", "CONDA_DEFAULT_ENV": "a", "PATH": f"{prefix}/bin:{path}"}
    for verb, word, environ in [
        ("activate", "a", {"PATH": path}),
        ("deactivate", None, inside),
        ("reactivate", None, inside),
        ("hook", None, {"PATH": path}),
    ]:
        words = [verb, *([word] if word else [])]
        form = conda(house, f"shell.{name}", *words, **environ)
        shell = conda(house, "shell", verb, name, *words[1:], **environ)
        assert (form.returncode, form.stderr) == (0, b"")
        assert form.stdout == shell.stdout
        assert form.stdout


def test_the_posix_form_has_the_order_of_steps_that_scripts_rely_on(house: House) -> None:
    in_place(house)
    house.environment("a", variables={"MINE": "a"}, scripts={"deactivate.d/d.sh": ""})
    prefix = house.root / "envs" / "a"
    house.environment("b", scripts={"activate.d/a.sh": ""})
    inside = {
        "CONDA_PREFIX": str(prefix),
        "CONDA_SHLVL": "1",
        "CONDA_DEFAULT_ENV": "a",
        "MINE": "a",
        "PATH": "/usr/bin",
    }
    text = conda(house, "shell.posix", "activate", "b", **inside).stdout.decode()
    places = [
        text.index(part) for part in ("export PATH=", "d.sh", "unset -v MINE", "PS1=", "export CONDA_PREFIX=", "a.sh")
    ]
    assert places == sorted(places)


def test_the_form_with_json_tells_the_same_steps(house: House) -> None:
    program = in_place(house)
    prefix = house.environment("a", variables={"MINE": "yes"}, scripts={"activate.d/a.sh": ""})
    done = conda(house, "shell.posix+json", "activate", "a", PATH="/usr/bin:/bin", PS1="$ ")
    document = json.loads(done.stdout)
    assert document["path"] == {"PATH": [f"{prefix}/bin", f"{house.root}/condabin", "/usr/bin", "/bin"]}
    exported = {"CONDA_PREFIX": str(prefix), "CONDA_SHLVL": "1", "MINE": "yes", "CONDA_EXE": str(program)}
    assert exported.items() <= document["vars"]["export"].items()
    assert document["vars"]["set"] == {"PS1": "(a) $ "}
    assert document["scripts"] == {"activate": [f"{prefix}/etc/conda/activate.d/a.sh"], "deactivate": []}
    inside = {**document["vars"]["export"], "PATH": ":".join(document["path"]["PATH"])}
    back = json.loads(conda(house, "shell.posix+json", "deactivate", **inside).stdout)
    assert back["path"]["PATH"] == document["path"]["PATH"][1:]
    assert {"CONDA_PREFIX", "CONDA_DEFAULT_ENV", "MINE"} <= set(back["vars"]["unset"])
    assert back["vars"]["export"]["CONDA_SHLVL"] == "0"


def test_the_form_for_cmd_writes_a_file(house: House) -> None:
    in_place(house)
    prefix = house.environment("a", scripts={"activate.d/a.bat": ""})
    done = conda(house, "shell.cmd.exe", "activate", "a", PATH="/usr/bin", TMPDIR=str(house.home))
    path = Path(os.fsdecode(done.stdout.rstrip(b"\n")))
    assert path.parent == house.home
    lines = path.read_text().splitlines()
    assert {f"CONDA_PREFIX={prefix}", "CONDA_SHLVL=1", f"_CONDA_SCRIPT={prefix}/etc/conda/activate.d/a.bat"} <= set(
        lines
    )
    assert lines[0] == f"PATH={prefix}/bin:{house.root}/condabin:/usr/bin"
    assert all("=" in line for line in lines)


def test_the_form_commands_names_them(house: House) -> None:
    in_place(house)
    names = conda(house, "shell.posix", "commands").stdout.decode().split()
    assert {"create", "install", "env", "run", "info", "list", "activate"} <= set(names)


@pytest.mark.parametrize(
    ("words", "exception"),
    [(["shell.posix", "activate", "missing"], b"EnvironmentNameNotFound"), (["shell.nosuch", "hook"], b"'nosuch'")],
)
def test_a_form_that_fails_prints_nothing_to_evaluate(house: House, words: list[str], exception: bytes) -> None:
    in_place(house)
    done = conda(house, *words)
    assert (done.returncode, done.stdout) == (1, b"")
    assert exception in done.stderr
