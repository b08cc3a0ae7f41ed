"""Start-up files: a block comes and goes, and everything else stays byte for byte."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.shell.dialects.table import UnknownShell
from kaa.shell.init import (
    END,
    SHELLS,
    START,
    DamagedBlock,
    Edit,
    UnfitStartupFile,
    execute,
    installed_shells,
    plan_install,
    plan_removal,
    read_startup_file,
    startup_file,
    startup_lines,
)
from tests.shell.houses import BASH, DASH, FISH, KAA, TCSH, XONSH, ZSH, House, RealShell, variables

LINES = b'eval "$(kaa shell hook bash)"\n'
CONDAS = b"# >>> conda initialize >>>\neval conda\n# <<< conda initialize <<<\n"

texts = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.lists(st.sampled_from([b"alias x=y\n", b"\n", b"\r\n", b"  # comment", CONDAS, b"\xff\n"]), max_size=5).map(
        b"".join
    ),
).filter(
    lambda text: (
        text is None or (not text.startswith((b"\xff\xfe", b"\xfe\xff")) and START not in text and END not in text)
    )
)


@given(texts)
def test_taking_out_gives_back_the_file(before: bytes | None) -> None:
    edit = plan_install("f", before, LINES)
    assert edit.changes
    assert edit.after is not None
    assert (before or b"") in edit.after
    assert plan_removal("f", edit.after).after == before


@given(texts)
def test_installing_twice_changes_nothing(before: bytes | None) -> None:
    after = plan_install("f", before, LINES).after
    assert not plan_install("f", after, LINES).changes


@given(texts, st.lists(st.sampled_from([b"later\n", b"end"]), max_size=3).map(b"".join))
def test_lines_written_later_stay(before: bytes | None, later: bytes) -> None:
    after = plan_install("f", before, LINES).after
    assert after is not None
    updated = plan_install("f", after + later, b"other\n").after
    assert updated is not None
    assert updated.endswith(END + b"\n" + later)
    left = plan_removal("f", updated).after or b""
    assert left.startswith(before or b"")
    assert left.endswith(later)
    # A line that had no end keeps the one it was given if something follows it now.
    assert left in ((before or b"") + later, (before or b"") + b"\n" + later)
    if later and before and not before.endswith(b"\n"):
        assert left == before + b"\n" + later


@given(texts)
def test_nothing_to_take_out(before: bytes | None) -> None:
    assert not plan_removal("f", before).changes


def test_a_newer_block_takes_the_place_of_the_older() -> None:
    before = b"one\n" + START + b"\nold\n" + END + b"\ntwo\n"
    after = plan_install("f", before, LINES).after
    assert after is not None
    assert after.startswith(b"one\n" + START)
    assert after.endswith(END + b"\ntwo\n")
    assert b"old" not in after


def test_two_blocks_become_one() -> None:
    block = START + b"\nold\n" + END + b"\n"
    after = plan_install("f", b"a\n" + block + b"b\n" + block + b"c\n", LINES).after
    assert after is not None
    assert after.count(START) == 1
    assert plan_removal("f", after).after == b"a\nb\nc\n"
    assert plan_removal("f", b"a\n" + block + b"b\n" + block).after == b"a\nb\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"a\n" + START + b"\nx\n", 2),
        (b"a\nb\n" + END + b"\n", 3),
        (START + b"\n" + START + b"\n" + END + b"\n", 2),
    ],
)
def test_marks_that_do_not_match(text: bytes, line: int) -> None:
    with pytest.raises(DamagedBlock, match=rf"/x/.bashrc, line {line}:") as raised:
        plan_install("/x/.bashrc", text, LINES)
    assert raised.value.line == line
    with pytest.raises(DamagedBlock):
        plan_removal("/x/.bashrc", text)


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_a_file_in_utf_16_is_left_alone(mark: bytes) -> None:
    with pytest.raises(UnfitStartupFile, match="UTF-16"):
        plan_install("f", mark + b"x\0", LINES)


# -- which file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shell", "system", "environ", "there", "expected"),
    [
        ("bash", "linux", {}, [".bash_profile"], ".bashrc"),
        ("bash", "darwin", {}, [], ".bash_profile"),
        ("bash", "darwin", {}, [".profile"], ".profile"),
        ("bash", "darwin", {}, [".profile", ".bash_login"], ".bash_login"),
        ("bash", "darwin", {}, [".profile", ".bash_profile"], ".bash_profile"),
        ("zsh", "linux", {}, [], ".zshrc"),
        ("zsh", "linux", {"ZDOTDIR": "HOME/z"}, [], "z/.zshrc"),
        ("fish", "linux", {}, [], ".config/fish/config.fish"),
        ("fish", "linux", {"XDG_CONFIG_HOME": "HOME/c"}, [], "c/fish/config.fish"),
        ("tcsh", "linux", {}, [], ".tcshrc"),
        ("tcsh", "linux", {}, [".cshrc"], ".cshrc"),
        ("tcsh", "linux", {}, [".cshrc", ".tcshrc"], ".tcshrc"),
        ("csh", "linux", {}, [".tcshrc"], ".cshrc"),
        ("xonsh", "linux", {}, [], ".xonshrc"),
        ("powershell", "linux", {}, [], ".config/powershell/profile.ps1"),
        ("pwsh", "win32", {}, [], "Documents/PowerShell/profile.ps1"),
        ("nu", "linux", {}, [], ".config/nushell/config.nu"),
        ("nushell", "darwin", {}, [], "Library/Application Support/nushell/config.nu"),
        ("nushell", "darwin", {"XDG_CONFIG_HOME": "HOME/c"}, [], "c/nushell/config.nu"),
        ("dash", "linux", {}, [], ".profile"),
        ("posix", "linux", {}, [], ".profile"),
    ],
)
def test_start_up_files(
    tmp_path: Path, shell: str, system: str, environ: dict[str, str], there: list[str], expected: str
) -> None:
    for name in there:
        (tmp_path / name).touch()
    given = {name: value.replace("HOME", str(tmp_path)) for name, value in environ.items()}
    assert startup_file(shell, given, home=str(tmp_path), system=system) == str(tmp_path / expected)


def test_shells_without_a_start_up_file() -> None:
    with pytest.raises(UnknownShell):
        startup_file("elvish", {}, home="/h", system="linux")
    with pytest.raises(UnfitStartupFile, match=r"kaa\.bat"):
        startup_file("cmd", {}, home="/h", system="win32")


def test_installed_shells(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "zsh"
    program.parent.mkdir()
    program.touch(mode=0o755)
    (tmp_path / ".xonshrc").touch()
    environ = {"PATH": f"/nowhere:{tmp_path}/bin"}
    assert installed_shells(environ, home=str(tmp_path), system="linux") == ("zsh", "xonsh")
    assert set(installed_shells(environ, home=str(tmp_path), system="linux")) <= set(SHELLS)


# -- the effects ------------------------------------------------------------------------------------------------------


def test_links_and_permissions_stay(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "bashrc"
    target.parent.mkdir()
    target.write_bytes(b"mine\n")
    target.chmod(0o600)
    link = tmp_path / ".bashrc"
    link.symlink_to("dotfiles/bashrc")
    execute(plan_install(str(link), read_startup_file(str(link)), LINES))
    assert link.is_symlink()
    assert target.read_bytes().startswith(b"mine\n" + START)
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in target.parent.iterdir()) == ["bashrc"]


def test_a_link_to_nothing_gets_its_file(tmp_path: Path) -> None:
    link = tmp_path / ".bashrc"
    link.symlink_to("elsewhere/bashrc")
    execute(plan_install(str(link), read_startup_file(str(link)), LINES))
    assert link.is_symlink()
    assert (tmp_path / "elsewhere" / "bashrc").read_bytes().startswith(START)


def test_missing_directories_are_made_and_a_new_file_goes_again(tmp_path: Path) -> None:
    path = tmp_path / ".config" / "fish" / "config.fish"
    execute(plan_install(str(path), None, LINES))
    assert path.read_bytes().startswith(START)
    execute(plan_removal(str(path), path.read_bytes()))
    assert not path.exists()


def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / ".bashrc"
    path.write_bytes(b"one\n")
    edit = plan_install(str(path), path.read_bytes(), LINES)
    path.write_bytes(b"two\n")
    with pytest.raises(UnfitStartupFile, match="changed by someone else"):
        execute(edit)
    assert path.read_bytes() == b"two\n"


def test_an_edit_without_a_change_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / ".bashrc"
    execute(Edit(str(path), None, None))
    execute(Edit(str(path), b"x", b"x"))
    assert not path.parent.exists()


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").mkdir()
    with pytest.raises(UnfitStartupFile, match="cannot be read"):
        read_startup_file(str(tmp_path / ".bashrc"))
    (tmp_path / "file").touch()
    with pytest.raises(UnfitStartupFile, match="cannot be"):
        execute(plan_install(str(tmp_path / "file" / ".bashrc"), None, LINES))


# -- the lines do their work in the shells ----------------------------------------------------------------------------

START_UP = [
    (BASH, ("bash", "-i", "-c", "SCRIPT")),
    (ZSH, ("zsh", "-i", "-c", "SCRIPT")),
    (FISH, ("fish", "-c", "SCRIPT")),
    (TCSH, ("tcsh", "-c", "SCRIPT")),
    (DASH, ("dash", "-l", "-c", "SCRIPT")),
    pytest.param(XONSH, (XONSH.program[0], "-i", "-c", "SCRIPT"), marks=pytest.mark.slow),
]


@pytest.mark.parametrize(
    ("shell", "words"), START_UP, ids=lambda value: value.name if isinstance(value, RealShell) else ""
)
def test_a_new_shell_has_the_function(house: House, shell: RealShell, words: tuple[str, ...]) -> None:
    if not shell.installed:
        pytest.skip(f"{shell.name} is not installed")
    prefix = house.environment("a")
    assert house.kaa("init", shell.name).returncode == 0
    script = f"kaa activate a; /usr/bin/env -0 > {shlex.quote(str(house.directory / 'seen.env'))}"
    if shell is XONSH:
        script = f"kaa activate a\n/usr/bin/env -0 > @({str(house.directory / 'seen.env')!r})"
    # The start-up file must know the root prefix by itself.
    environ = {name: value for name, value in house.environ.items() if name != "KAA_ROOT_PREFIX"}
    login = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in environ.items())]
    done = house.start([*login, *(word.replace("SCRIPT", script) for word in words)])
    assert done.returncode == 0, done.stderr
    assert variables(house, "seen")["CONDA_PREFIX"] == str(prefix)
    assert variables(house, "seen")["KAA_ROOT_PREFIX"] == str(house.root)


@pytest.mark.parametrize("shell", [BASH, ZSH, FISH, TCSH, DASH, XONSH], ids=lambda shell: shell.name)
def test_the_lines_do_nothing_when_kaa_is_gone(house: House, shell: RealShell) -> None:
    if not shell.installed:
        pytest.skip(f"{shell.name} is not installed")
    lines = startup_lines(shell.name, ["/it's gone/kaa", "shell", "hook", shell.name], "")
    done = shell.run(house, [lines.decode(), "echo fine"])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"fine\n", b"")


def test_lines_of_shells_that_do_not_run_here() -> None:
    words = ["/it's/kaa", "shell", "hook", "powershell"]
    assert startup_lines("pwsh", words, "").decode() == (
        "if (Test-Path -LiteralPath '/it''s/kaa') {\n"
        "    (& '/it''s/kaa' 'shell' 'hook' 'powershell') -join \"`n\" | Invoke-Expression\n"
        "}\n"
    )
    assert startup_lines("nu", words, "the hook\n") == b"the hook\n"


# -- the command ------------------------------------------------------------------------------------------------------


def test_init_and_reverse_leave_the_files_as_they_were(house: House) -> None:
    (house.home / ".bashrc").write_bytes(CONDAS + b"mine without an end")
    (house.home / ".zshrc").write_bytes(b"")
    done = house.kaa("init", "bash", "zsh", "fish", "powershell", "nushell")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().count("changed ") == 5
    assert f"changed       {house.home}/.bashrc\n" in done.stdout.decode()
    assert "Open a new shell" in done.stdout.decode()
    assert b"def --env" in (house.home / ".config/nushell/config.nu").read_bytes()
    again = house.kaa("init", "bash", "zsh", "fish", "powershell", "nushell")
    assert again.stdout.decode().count("no change ") == 5
    assert house.kaa("init", "--reverse", "bash", "zsh", "fish", "powershell", "nushell").returncode == 0
    assert (house.home / ".bashrc").read_bytes() == CONDAS + b"mine without an end"
    assert (house.home / ".zshrc").read_bytes() == b""
    files = {str(path.relative_to(house.home)) for path in house.home.rglob("*") if path.is_file()}
    assert files == {".bashrc", ".zshrc"}


def test_a_dry_run_shows_and_changes_nothing(house: House) -> None:
    (house.home / ".bashrc").write_bytes(b"mine")
    done = house.kaa("init", "--dry-run", "bash")
    assert done.returncode == 0
    assert f"would change  {house.home}/.bashrc\n" in done.stdout.decode()
    assert "\n+# >>> kaa initialize >>>\n" in done.stdout.decode()
    assert (house.home / ".bashrc").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("login_shell", "name"), [("/bin/zsh", ".zshrc"), ("/usr/bin/elvish", ".bashrc"), ("", ".bashrc")]
)
def test_without_a_shell_it_is_the_users_own(house: House, login_shell: str, name: str) -> None:
    assert house.kaa("init", environ={"SHELL": login_shell}).returncode == 0
    assert [path.name for path in house.home.iterdir()] == [name]


def test_all_shells(house: House) -> None:
    (house.home / ".xonshrc").touch()
    done = house.kaa("init", "--all", "--json")
    told = json.loads(done.stdout)
    assert told["success"] is True
    assert f"{house.home}/.xonshrc" in told["changed"]
    reverse = json.loads(house.kaa("init", "--all", "--reverse", "--json").stdout)
    assert reverse["changed"] == told["changed"]
    assert (house.home / ".xonshrc").read_bytes() == b""


def test_an_unknown_shell_is_an_error(house: House) -> None:
    done = house.kaa("init", "bash", "elvish")
    assert done.returncode == 1
    assert b"does not know the shell 'elvish'" in done.stderr
    assert not (house.home / ".bashrc").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    path = tmp_path / ".bashrc"
    path.write_bytes(b"mine\n")
    os.chown(path, 1234, 1235)
    execute(plan_install(str(path), path.read_bytes(), LINES))
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)


def test_the_program_that_is_called_is_this_one(house: House) -> None:
    house.kaa("init", "bash")
    assert shlex.quote(KAA[0]).strip("'") in (house.home / ".bashrc").read_text()
