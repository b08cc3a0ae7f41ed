"""The dialects: the text of shells that do not run here, and for those that do, that every value arrives as it is."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kaa.shell.activation import (
    EmptyVariable,
    SetPrompt,
    SetVariable,
    ShellAction,
    SourceScript,
    UnsetVariable,
    apply,
)
from kaa.shell.dialects.cmd import DIALECT as CMD
from kaa.shell.dialects.dialect import Dialect, Hook
from kaa.shell.dialects.nushell import DIALECT as NUSHELL
from kaa.shell.dialects.powershell import DIALECT as POWERSHELL
from kaa.shell.dialects.table import MODULES, UnknownShell, get_dialect
from kaa.shell.script import HOOKS
from tests.shell.houses import QUICK, SHELLS, XONSH, House, RealShell, variables

ACTIONS: tuple[ShellAction, ...] = (
    SetVariable("PATH", "C:\\a b;C:\\100%"),
    SourceScript("C:\\it's\\x%y"),
    UnsetVariable("OLD"),
    SetPrompt("(a) ", "(b) "),
    SetVariable("TEXT", "a\"b'c&d|e^f<g>(h)!\u2019"),
    SetVariable("NONE", ""),
    EmptyVariable("_CE_M"),
)

POWERSHELL_TEXT = """\
$Env:PATH = 'C:\\a b;C:\\100%'
. 'C:\\it''s\\x%y'
$Env:OLD = $null
$Env:TEXT = 'a"b''c&d|e^f<g>(h)!\u2019\u2019'
$Env:NONE = ''
$Env:_CE_M = $null
"""

CMD_TEXT = """\
@SET PATH=C:\\a b;C:\\100%%
@CALL "C:\\it's\\x%%y"
@SET OLD=
@SET __KAA_OLD=^(a^)\x20
@IF DEFINED __KAA_OLD @CALL SET "PROMPT=%%PROMPT:%__KAA_OLD%=%%"
@SET __KAA_OLD=
@SET PROMPT=^(b^) %PROMPT%
@SET TEXT=a^"b'c^&d^|e^^f^<g^>^(h^)^!\u2019
@SET NONE=
@SET _CE_M=
"""


def test_powershell() -> None:
    assert POWERSHELL.render(ACTIONS) == POWERSHELL_TEXT


def test_cmd() -> None:
    assert CMD.render(ACTIONS) == CMD_TEXT.replace("\n", "\r\n")


def test_nushell() -> None:
    assert json.loads(NUSHELL.render(ACTIONS)) == {
        "set": {"PATH": "C:\\a b;C:\\100%", "TEXT": "a\"b'c&d|e^f<g>(h)!\u2019", "NONE": ""},
        "unset": ["OLD", "_CE_M"],
        "scripts": ["C:\\it's\\x%y"],
    }


@pytest.mark.parametrize(
    ("dialect", "value", "held"),
    [
        (CMD, "two\nlines", False),
        (CMD, "carriage\rreturn", False),
        (CMD, 'quotes "and" & more', True),
        (NUSHELL, "\udc80", False),
        (NUSHELL, "two\nlines\x1b", True),
        (POWERSHELL, "two\nlines", True),
    ],
)
def test_what_shells_cannot_hold(dialect: Dialect, value: str, held: bool) -> None:
    assert dialect.holds(value) is held


def hook_of(shell: str) -> str:
    dialect = get_dialect(shell)
    path = Path(HOOKS) / dialect.hook_file
    start = (SetVariable("KAA_ROOT_PREFIX", "/it's root"), SetVariable("CONDA_SHLVL", "0"))
    entry = (SetVariable("CONDA_PREFIX", "/it's root"),)
    command = ("/it's/kaa", "-m", "kaa")
    source = path.read_bytes().decode()
    return dialect.hook(Hook(command, str(path), source, start, entry, "/it's root"))


@pytest.mark.parametrize(
    ("shell", "parts"),
    [
        (
            "powershell",
            [
                "$Env:KAA_ROOT_PREFIX = '/it''s root'\n",
                "$global:__KaaCommand = @('/it''s/kaa', '-m', 'kaa')\n",
                "function global:kaa {",
                "$Env:CONDA_PREFIX = '/it''s root'\n",
            ],
        ),
        ("cmd", ['@SET __KAA_COMMAND=^"/it\'s/kaa^" ^"-m^" ^"kaa^"\r\n', "GOTO :kaa_enter", ":kaa_call"]),
        (
            "nushell",
            [
                'const KAA_COMMAND = ["/it\'s/kaa", "-m", "kaa"]\n',
                "def --env --wrapped kaa [",
                'load-env {"KAA_ROOT_PREFIX": "/it\'s root"}\n',
                'if ($env.CONDA_SHLVL? | default "0") == "0" { kaa activate "/it\'s root" }\n',
            ],
        ),
    ],
)
def test_hooks_of_shells_that_do_not_run_here(shell: str, parts: list[str]) -> None:
    text = hook_of(shell)
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_the_hook_of_cmd_is_the_command_itself() -> None:
    """It runs each time kaa is called: nothing in it may belong to the start of a shell."""
    text = hook_of("cmd")
    assert "KAA_ROOT_PREFIX" not in text
    assert "CONDA_SHLVL=" not in text
    assert text.count("\n") == text.count("\r\n")


def test_every_shell_has_a_dialect_and_a_hook() -> None:
    for shell in MODULES:
        assert hook_of(shell)


def test_an_unknown_shell() -> None:
    with pytest.raises(UnknownShell, match="bash") as raised:
        get_dialect("elvish")
    assert raised.value.shell == "elvish"


# -- every value arrives ----------------------------------------------------------------------------------------------

values = st.one_of(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12),
    st.text(st.sampled_from("'\"\\$`!%^&|;<>(){}[]*?~#=@+-, \t\n\r:abc"), max_size=12),
    st.sampled_from(
        ["$(touch bad)", "`touch bad`", "';touch bad;'", "\\", "\\'", "!!", "!bad", "-n", "~", "a\n\nb\n", "\n"]
    ),
)
raw_values = st.binary(max_size=8).filter(lambda value: b"\0" not in value).map(os.fsdecode)

EVALUATE = {
    "bash": 'text="$(/bin/cat text)"; eval "$text"',
    "zsh": 'text="$(/bin/cat text)"; eval "$text"',
    "dash": 'text="$(/bin/cat text)"; eval "$text"',
    "fish": "set lines (/bin/cat text); eval (string join \\n -- $lines | string collect)",
    "tcsh": 'source "text"',
    "xonsh": "with open('text', encoding='utf-8', errors='surrogateescape', newline='') as f:\n    execx(f.read())",
}
"""How the hooks evaluate a text."""


def arrive(shell: RealShell, house: House, given: Sequence[str]) -> list[str]:
    """The values as a program sees them that the shell starts."""
    dialect = get_dialect(shell.name)
    actions = [SetVariable(f"V{index}", value) for index, value in enumerate(given)]
    (house.directory / "text").write_bytes(os.fsencode(dialect.render(actions)))
    done = shell.run(house, [EVALUATE[shell.name], "/usr/bin/env -0 > ./seen.env"])
    assert (done.returncode, done.stderr) == (0, b"")
    assert not (house.directory / "bad").exists()
    seen = variables(house, "seen")
    return [seen[f"V{index}"] for index in range(len(given))]


@pytest.mark.parametrize("shell", QUICK, ids=lambda shell: shell.name)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(given=st.lists(values, min_size=1, max_size=30))
def test_every_value_arrives(shell: RealShell, house: House, given: list[str]) -> None:
    if not shell.installed:
        pytest.skip(f"{shell.name} is not installed")
    assert arrive(shell, house, given) == given


@pytest.mark.parametrize("shell", QUICK, ids=lambda shell: shell.name)
def test_long_values_arrive(shell: RealShell, house: House) -> None:
    if not shell.installed:
        pytest.skip(f"{shell.name} is not installed")
    long = ":".join(f"/opt/some package {number}/bin" for number in range(2000))
    assert arrive(shell, house, [long]) == [long]


@pytest.mark.parametrize("shell", [shell for shell in QUICK if shell.name != "fish"], ids=lambda shell: shell.name)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given=st.lists(raw_values, min_size=1, max_size=30))
def test_bytes_that_are_no_text_arrive(shell: RealShell, house: House, given: list[str]) -> None:
    if not shell.installed:
        pytest.skip(f"{shell.name} is not installed")
    assert arrive(shell, house, given) == given


@pytest.mark.skipif(not XONSH.installed, reason="xonsh is not installed")
@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(given=st.lists(values, min_size=60, max_size=120))
def test_every_value_arrives_in_xonsh(house: House, given: list[str]) -> None:
    assert arrive(XONSH, house, given) == given


names_of_directories = st.one_of(
    st.text(st.characters(exclude_characters="\0/", codec="utf-8"), min_size=1, max_size=10),
    st.text(st.sampled_from("'\"\\$`!%^&|;<>(){}[]*?~#=@+-, \t\n:ab"), min_size=1, max_size=10),
    st.sampled_from(["$(touch bad)", "`touch bad`", "';touch bad;'", "-n", "~", "a\n"]),
).filter(lambda name: name not in (".", ".."))


@pytest.mark.parametrize("shell", QUICK, ids=lambda shell: shell.name)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=names_of_directories)
def test_scripts_run_at_any_path(shell: RealShell, house: House, name: str) -> None:
    if not shell.installed:
        pytest.skip(f"{shell.name} is not installed")
    dialect = get_dialect(shell.name)
    path = house.directory / "scripts" / name / f"x{dialect.script_extensions[0]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(shell.export.format(name="RAN", value="yes") + "\n")
    (house.directory / "text").write_bytes(os.fsencode(dialect.render([SourceScript(str(path))])))
    done = shell.run(house, [EVALUATE[shell.name], "/usr/bin/env -0 > ./seen.env"])
    assert (done.returncode, done.stderr) == (0, b"")
    assert variables(house, "seen")["RAN"] == "yes"
    assert not (house.directory / "bad").exists()


steps = st.lists(
    st.one_of(
        st.builds(SetVariable, st.sampled_from(["A", "B", "PATH"]), values),
        st.builds(UnsetVariable, st.sampled_from(["A", "B", "C"])),
        st.just(EmptyVariable("C")),
        st.just(SetPrompt("a", "b")),
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=steps)
def test_a_shell_does_what_apply_says(house: House, actions: list[ShellAction]) -> None:
    dash = next(shell for shell in SHELLS if shell.name == "dash")
    if not dash.installed:
        pytest.skip("dash is not installed")
    (house.directory / "text").write_bytes(os.fsencode(get_dialect("posix").render(actions)))
    before = {**house.environ, "PWD": str(house.directory), "A": "before"}
    dash.run(house, [EVALUATE["dash"], "/usr/bin/env -0 > ./seen.env"], environ=before)
    assert variables(house, "seen") == apply(before, actions)
