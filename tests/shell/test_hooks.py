"""The hooks in the shells they are for: enter, stack, leave, and be where one was before."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.shell.houses import (
    BASH,
    DASH,
    FISH,
    KAA,
    KEEPING,
    QUICK,
    SHELLS,
    TCSH,
    XONSH,
    House,
    RealShell,
    make_environment,
    variables,
)

EXTENSION = {"fish": "fish", "tcsh": "csh", "xonsh": "xsh"}
STRICT = [shell for shell in (*SHELLS, *KEEPING) if shell.strict]
SH = [shell for shell in STRICT if shell.name != "fish"]
"""Those that have a variable PS1."""


@pytest.fixture(params=[*QUICK, *KEEPING, pytest.param(XONSH, marks=pytest.mark.slow)], ids=lambda shell: shell.label)
def shell(request: pytest.FixtureRequest) -> RealShell:
    """Each shell in turn."""
    return installed(request.param)


@pytest.fixture(params=STRICT, ids=lambda shell: shell.label)
def strict_shell(request: pytest.FixtureRequest) -> RealShell:
    """Each shell that can be told to stop at failures and at unset variables."""
    return installed(request.param)


def installed(shell: RealShell) -> RealShell:
    if not shell.installed:
        pytest.skip(f"{shell.name} is not installed")
    return shell


def scripts(shell: RealShell, label: str) -> dict[str, str]:
    """Two scripts each way that append to ORDER and to a file, in the shell's language."""
    extension = EXTENSION.get(shell.name, "sh")
    made = {}
    for folder, verb in (("activate.d", "+"), ("deactivate.d", "-")):
        for name in ("1", "2"):
            word = f"{verb}{label}{name}"
            line = f"echo '{word}' >> ./order\n"
            if shell is XONSH:
                line = f"with open('order', 'a') as f:\n    _ = f.write('{word}\\n')\n"
            made[f"{folder}/{name}.{extension}"] = line
    return made


def order(house: House) -> str:
    path = house.directory / "order"
    return " ".join(path.read_text().split()) if path.exists() else ""


def play(shell: RealShell, house: House, lines: Sequence[str], *, strict: bool = True) -> Iterator[dict[str, str]]:
    """Run the lines after the hook; the variables after the hook and after each line."""
    script = [shell.strict if strict else "", shell.load(), "/usr/bin/env -0 > ./0.env"]
    for number, line in enumerate(lines, 1):
        script += [line, f"/usr/bin/env -0 > ./{number}.env"]
    done = shell.run(house, script)
    assert (done.returncode, done.stderr) == (0, b"")
    for number in range(len(lines) + 1):
        yield variables(house, str(number))


def test_there_and_back(house: House, shell: RealShell) -> None:
    a = house.environment("a", variables={"FOO": "it's a\n$(x)", "HOME2": "x"}, scripts=scripts(shell, "a"))
    b = house.environment("b", variables={"BAR": "b", "FOO": "***unset***"}, scripts=scripts(shell, "b"))
    lines = [f"kaa {words}" for words in ("activate a", "activate b", "deactivate", "deactivate")]
    start, in_a, in_b, back_in_a, end = play(shell, house, lines)
    assert start == {**house.environ, **start, "CONDA_SHLVL": "0", "PATH": "/usr/bin:/bin"}
    assert in_a["PATH"] == f"{a}/bin:/usr/bin:/bin"
    assert (in_a["CONDA_PREFIX"], in_a["CONDA_DEFAULT_ENV"], in_a["CONDA_SHLVL"]) == (str(a), "a", "1")
    assert in_a["FOO"] == "it's a\n$(x)"
    assert in_b["PATH"] == f"{b}/bin:/usr/bin:/bin"
    assert (in_b["CONDA_PREFIX"], in_b["CONDA_PREFIX_1"], in_b["CONDA_SHLVL"]) == (str(b), str(a), "2")
    assert in_b["BAR"] == "b"
    assert not {"FOO", "HOME2"} & in_b.keys()
    assert back_in_a == in_a
    assert end == start
    assert order(house) == "+a1 +a2 -a2 -a1 +b1 +b2 -b2 -b1 +a1 +a2 -a2 -a1"


def test_stacked_there_and_back(house: House, shell: RealShell) -> None:
    a = house.environment("a", variables={"FOO": "a"}, scripts=scripts(shell, "a"))
    b = house.environment("b", variables={"BAR": "b"}, scripts=scripts(shell, "b"))
    lines = [f"kaa {words}" for words in ("activate a", "activate --stack b", "deactivate", "deactivate")]
    start, in_a, in_b, back_in_a, end = play(shell, house, lines)
    assert in_b["PATH"] == f"{b}/bin:{a}/bin:/usr/bin:/bin"
    assert (in_b["FOO"], in_b["BAR"], in_b["CONDA_STACKED_2"]) == ("a", "b", "true")
    assert back_in_a == in_a
    assert end == start
    assert order(house) == "+a1 +a2 +b1 +b2 -b2 -b1 -a2 -a1"


def test_own_variables_come_back(house: House, shell: RealShell) -> None:
    house.environment("a", variables={"FOO": "a", "BAR": "***unset***"})
    lines = [
        shell.export.format(name="FOO", value="mine"),
        shell.export.format(name="BAR", value="mine2"),
        "kaa activate a",
        "kaa deactivate",
    ]
    done = shell.run(house, [shell.strict, shell.load(), *lines, "/usr/bin/env -0 > ./end.env"])
    assert done.returncode == 0
    assert b"warning: the environment sets FOO, BAR, which you had set" in done.stderr
    end = variables(house, "end")
    assert (end["FOO"], end["BAR"]) == ("mine", "mine2")


def test_activating_again_refreshes(house: House, shell: RealShell) -> None:
    house.environment("a", scripts=scripts(shell, "a"))
    _, first, second = play(shell, house, ["kaa activate a", "kaa activate a"])
    assert first == second
    assert order(house) == "+a1 +a2 -a2 -a1 +a1 +a2"


def test_environments_by_path(house: House, shell: RealShell) -> None:
    # xonsh replaces the names of variables in every entry of PATH, whoever wrote it.
    prefix = make_environment(house.directory / ("odd `x`" if shell is XONSH else "odd $HOME `x`") / "en!v")
    quoted = shlex.quote(str(prefix))
    if shell is TCSH:
        quoted = quoted.replace("!", "\\!")
    if shell is XONSH:
        quoted = f"@({str(prefix)!r})"
    _, inside = play(shell, house, [f"kaa activate {quoted}"])
    assert inside["CONDA_PREFIX"] == str(prefix)
    assert inside["CONDA_DEFAULT_ENV"] == str(prefix)
    assert inside["PATH"] == f"{prefix}/bin:/usr/bin:/bin"


def test_a_relative_path_and_a_link_stay_as_they_are_written(house: House, shell: RealShell) -> None:
    make_environment(house.directory / "project" / "env")
    (house.directory / "link").symlink_to("project")
    _, inside = play(shell, house, ["kaa activate ./link/env"])
    assert inside["CONDA_PREFIX"] == f"{house.directory}/link/env"


def test_an_unknown_environment_changes_nothing(house: House, shell: RealShell) -> None:
    failing = {"xonsh": "try:\n    kaa activate nope\nexcept Exception:\n    echo failed"}
    line = failing.get(shell.name, "kaa activate nope || echo failed")
    script = [shell.strict, shell.load(), "/usr/bin/env -0 > ./0.env", line, "/usr/bin/env -0 > ./1.env"]
    done = shell.run(house, script)
    assert done.stdout == b"failed\n"
    assert b"EnvironmentNameNotFound: No environment is named 'nope'" in done.stderr
    assert variables(house, "0") == variables(house, "1")


def test_the_exit_status_of_a_failed_activation(house: House, shell: RealShell) -> None:
    if shell is XONSH:
        pytest.skip("xonsh raises an exception instead")
    status = "$status" if shell.name in ("fish", "tcsh") else "$?"
    done = shell.run(house, [shell.load(), "kaa activate nope", f"echo {status}"])
    assert done.stdout == b"1\n"


def test_a_failed_activation_stops_a_strict_script(house: House, strict_shell: RealShell) -> None:
    done = strict_shell.run(house, [strict_shell.strict, strict_shell.load(), "kaa activate nope", "echo reached"])
    assert (done.returncode, done.stdout) == (1, b"")


def test_deactivating_without_an_environment_is_fine(house: House, shell: RealShell) -> None:
    start, end = play(shell, house, ["kaa deactivate"])
    assert start == end


def test_other_commands_pass_through(house: House, shell: RealShell) -> None:
    done = shell.run(house, [shell.strict, shell.load(), "kaa --version", "kaa activate --help", "kaa shell --help"])
    assert done.returncode == 0
    assert done.stdout.startswith(b"kaa ")
    assert b"usage: kaa activate" in done.stdout
    assert b"usage: kaa shell" in done.stdout


def test_kaa_alone_tells_what_there_is(house: House, shell: RealShell) -> None:
    done = shell.run(house, [shell.strict, shell.load(), "kaa"])
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"usage: kaa COMMAND" in done.stdout


def test_the_exit_status_of_other_commands(house: House, shell: RealShell) -> None:
    if shell is XONSH:
        pytest.skip("xonsh raises an exception instead")
    house.environment("a")
    status = "$status" if shell.name in ("fish", "tcsh") else "$?"
    done = shell.run(house, [shell.load(), "kaa run -n a sh -c 'exit 7'", f"echo {status}"])
    assert done.stdout == b"7\n"


def test_words_reach_kaa_whole(house: House, shell: RealShell) -> None:
    house.environment("a")
    done = shell.run(house, [shell.strict, shell.load(), "kaa run -n a printf '[%s]' 'a b' '*' '' '$x'"])
    # csh cannot hand on a word without a character.
    assert done.stdout == (b"[a b][*][$x]" if shell is TCSH else b"[a b][*][][$x]")


def test_changing_the_active_environment_refreshes_it(house: House, shell: RealShell) -> None:
    """`kaa install` in the environment: here a stand-in for kaa changes its variables, as a package would."""
    prefix = house.environment("a", scripts=scripts(shell, "a"))
    stand_in = house.directory / "bin" / "kaa"
    stand_in.parent.mkdir()
    state = prefix / "conda-meta" / "state"
    stand_in.write_text(
        "#!/bin/sh\n"
        f'case "$1" in (install) printf %s \'{{"env_vars": {{"NEW": "yes"}}}}\' > {shlex.quote(str(state))};;\n'
        f'(*) exec {shlex.join(KAA)} "$@";; esac\n'
    )
    stand_in.chmod(0o755)
    hook = house.kaa("shell", "hook", shell.name).stdout
    (house.directory / "hook").write_bytes(hook.replace(KAA[0].encode(), shell_path(shell, stand_in).encode()))
    load = {"tcsh": 'source "hook"', "xonsh": "execx(open('hook').read())", "fish": "source hook"}
    script = [
        shell.strict,
        load.get(shell.name, ". ./hook"),
        "kaa activate a",
        "kaa install x",
        "/usr/bin/env -0 > ./1.env",
        "kaa deactivate",
        "kaa install x",
        "/usr/bin/env -0 > ./2.env",
    ]
    done = shell.run(house, script)
    assert (done.returncode, done.stderr) == (0, b"")
    assert variables(house, "1")["NEW"] == "yes"
    assert "NEW" not in variables(house, "2")
    assert order(house) == "+a1 +a2 -a2 -a1 +a1 +a2 -a2 -a1"


def shell_path(shell: RealShell, path: Path) -> str:
    """The path as it stands between the quotes of a hook."""
    return str(path).replace("'", {"xonsh": "\\'", "fish": "\\'"}.get(shell.name, "'\\''"))


# -- the hook itself --------------------------------------------------------------------------------------------------


def test_the_default_environment_is_entered(house: House, shell: RealShell) -> None:
    make_environment(house.root / "base").rename(house.root / "moved")
    (house.root / "moved" / "conda-meta").rename(house.root / "conda-meta")
    start, _, end = play(shell, house, ["kaa deactivate", "kaa activate"])
    assert (start["CONDA_PREFIX"], start["CONDA_DEFAULT_ENV"]) == (str(house.root), "base")
    assert start["PATH"] == f"{house.root}/bin:/usr/bin:/bin"
    assert end == start


def test_the_default_environment_can_have_values_that_are_hard_to_write(house: House, shell: RealShell) -> None:
    house.environment("a", variables={"FOO": "two\nlines; $(x)"})
    (house.home / ".condarc").write_text("default_activation_env: a\n")
    (start,) = play(shell, house, [])
    assert start["FOO"] == "two\nlines; $(x)"


@pytest.mark.parametrize("setting", ["auto_activate: false", "auto_activate_base: false"])
def test_no_environment_is_entered_unasked(house: House, setting: str) -> None:
    (house.root / "conda-meta").mkdir()
    (house.home / ".condarc").write_text(f"{setting}\n")
    (start,) = play(installed(DASH), house, [])
    assert start["CONDA_SHLVL"] == "0"


def test_a_default_environment_that_is_not_there_costs_no_function(house: House, shell: RealShell) -> None:
    (house.home / ".condarc").write_text("default_activation_env: nope\n")
    house.environment("a")
    done = shell.run(house, [shell.strict, shell.load(), "kaa activate a", "/usr/bin/env -0 > ./1.env"])
    assert b"warning: no environment is active: No environment is named 'nope'" in done.stderr
    assert variables(house, "1")["CONDA_DEFAULT_ENV"] == "a"


def test_a_nested_shell_is_brought_up_to_date(house: House, shell: RealShell) -> None:
    """As in tmux: the variables are inherited, but PATH was made anew by a login script."""
    (house.root / "conda-meta").mkdir()
    prefix = house.environment("a")
    inherited = {"CONDA_SHLVL": "1", "CONDA_PREFIX": str(prefix), "CONDA_DEFAULT_ENV": "a"}
    done = shell.run(house, [shell.strict, shell.load(), "/usr/bin/env -0 > ./1.env"], environ=inherited)
    assert (done.returncode, done.stderr) == (0, b"")
    assert variables(house, "1")["PATH"] == f"{prefix}/bin:/usr/bin:/bin"
    assert variables(house, "1")["CONDA_PREFIX"] == str(prefix)


def test_condabin_comes_on_the_path_once(house: House) -> None:
    (house.root / "condabin").mkdir()
    shell = installed(BASH)
    start, again = play(shell, house, [shell.load()])
    assert start["PATH"] == f"{house.root}/condabin:/usr/bin:/bin"
    assert again == start


def test_loading_the_hook_twice_changes_nothing(house: House, shell: RealShell) -> None:
    house.environment("a")
    start, again, inside, end = play(shell, house, [shell.load(), "kaa activate a", "kaa deactivate"])
    assert start == again == end
    assert inside["CONDA_DEFAULT_ENV"] == "a"


# -- what is particular to a shell ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SH, ids=lambda shell: shell.label)
def test_the_prompt(house: House, shell: RealShell) -> None:
    installed(shell)
    house.environment("a")
    house.environment("b")
    lines = ["PS1='(venv) $ '"]
    for words in ("activate a", "activate b", "deactivate", "deactivate"):
        lines += [f"kaa {words}", "printf '%s\\n' \"$PS1\""]
    done = shell.run(house, [shell.strict, shell.load(), *lines])
    assert done.stdout.decode().splitlines() == ["(a) (venv) $ ", "(b) (venv) $ ", "(a) (venv) $ ", "(venv) $ "]


@pytest.mark.parametrize("shell", SH, ids=lambda shell: shell.label)
def test_the_prompt_behind_other_texts(house: House, shell: RealShell) -> None:
    """Something else put its own text before ours; ours goes, the other stays."""
    installed(shell)
    house.environment("a")
    done = shell.run(
        house, [shell.load(), "PS1='$ '", "kaa activate a", 'PS1="[x] $PS1"', "kaa deactivate", "printf '%s' \"$PS1\""]
    )
    assert done.stdout == b"[x] $ "


def test_the_prompt_of_tcsh(house: House) -> None:
    installed(TCSH)
    house.environment("a")
    lines = ["set prompt = '%m it\\'s> '", "kaa activate a", "echo $prompt:q", "kaa deactivate", "echo $prompt:q"]
    lines[0] = 'set prompt = "%m it\'s> "'
    done = TCSH.run(house, [TCSH.load(), *lines])
    assert done.stdout.decode().splitlines() == ["(a) %m it's> ", "%m it's> "]


def test_the_prompt_of_fish(house: House) -> None:
    installed(FISH)
    house.environment("a")
    lines = [
        'function fish_prompt; echo -n "$status> "; end',
        FISH.load(),
        "kaa activate a",
        "false",
        "fish_prompt",
        "kaa deactivate",
        "fish_prompt",
    ]
    assert FISH.run(house, lines).stdout == b"(a) 1> 0> "


def test_a_prompt_does_not_run_what_is_in_a_path(house: House) -> None:
    installed(BASH)
    prefix = make_environment(house.directory / "$(touch bad)`touch bad`")
    lines = [BASH.load(), "PS1='$ '", f"kaa activate {shlex.quote(str(prefix))}", 'printf "%s" "${PS1@P}"']
    assert b"?(touch bad)?touch bad?" in BASH.run(house, lines).stdout
    assert not (house.directory / "bad").exists()


@pytest.mark.parametrize(
    "body",
    ["echo $UNSET_VARIABLE", "false\ntrue", "false", "return 3"],
    ids=["unset", "fails", "ends failing", "return"],
)
def test_scripts_that_are_not_written_for_strict_shells(house: House, strict_shell: RealShell, body: str) -> None:
    house.environment("a", scripts={"activate.d/1.sh": f"{body}\n", "activate.d/2.sh": "SECOND=yes\nexport SECOND\n"})
    _, inside, end = play(strict_shell, house, ["kaa activate a", "kaa deactivate"])
    assert inside["SECOND"] == "yes"
    assert end["CONDA_SHLVL"] == "0"


def test_strictness_comes_back_after_scripts(house: House, strict_shell: RealShell) -> None:
    house.environment("a", scripts={"activate.d/1.sh": "true\n"})
    done = strict_shell.run(
        house, [strict_shell.strict, strict_shell.load(), "kaa activate a", "echo $UNSET_VARIABLE", "echo reached"]
    )
    assert done.returncode != 0
    assert b"reached" not in done.stdout


def test_scripts_do_not_see_the_arguments_of_the_function(house: House, strict_shell: RealShell) -> None:
    house.environment("a", scripts={"activate.d/1.sh": 'COUNT="$#"\nexport COUNT\n'})
    _, inside = play(strict_shell, house, ["kaa activate --no-stack a"])
    assert inside["COUNT"] == "0"


def test_aliases_do_not_get_in_the_way(house: House) -> None:
    installed(BASH)
    house.environment("a")
    words = ("export", "unset", "eval", "return", "shift", "set", "local", "hash")
    lines = ["shopt -s expand_aliases", *(f"alias {word}='echo ALIAS'" for word in words)]
    _, inside = play(BASH, house, ["kaa activate a"])
    done = BASH.run(house, [*lines, "\\" + BASH.load(), "kaa activate a", "/usr/bin/env -0 > ./1.env"])
    assert (done.stdout, done.stderr) == (b"", b"")
    assert variables(house, "1") == inside


def test_scripts_for_sh_run_in_xonsh(house: House) -> None:
    installed(XONSH)
    installed(BASH)
    house.environment("a", scripts={"activate.d/1.sh": 'export FROM_SH="in $CONDA_DEFAULT_ENV"\n'})
    _, inside = play(XONSH, house, ["kaa activate a"])
    assert inside["FROM_SH"] == "in a"


def test_a_program_that_conda_knows_is_left_to_it(house: House) -> None:
    installed(BASH)
    house.environment("a")
    script = [BASH.load(), "kaa activate a", "/usr/bin/env -0 > ./1.env"]
    assert BASH.run(house, script, environ={"CONDA_EXE": "/opt/conda/bin/conda"}).returncode == 0
    assert variables(house, "1")["CONDA_EXE"] == "/opt/conda/bin/conda"
