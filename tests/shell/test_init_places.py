"""`kaa init` beyond the user's own start-up files: --system, --no-user, --condabin, --install."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from kaa.shell.dialects.table import UnknownShell
from kaa.shell.init import UnfitStartupFile, plan_removal
from kaa.shell.init_places import plan_for_all_users, search_path_lines, system_file
from tests.shell.houses import BASH, DASH, FISH, KAA, TCSH, XONSH, ZSH, House, RealShell

SHELLS = [BASH, ZSH, FISH, TCSH, DASH, pytest.param(XONSH, marks=pytest.mark.slow)]


@pytest.mark.parametrize(
    ("shell", "program", "system", "expected"),
    [
        ("bash", "kaa", "linux", ("/etc/profile.d/kaa.sh", "posix")),
        ("posix", "conda", "linux", ("/etc/profile.d/conda.sh", "posix")),
        ("bash", "kaa", "darwin", ("/etc/profile", "posix")),
        ("tcsh", "conda", "linux", ("/etc/profile.d/conda.csh", "tcsh")),
        ("fish", "kaa", "linux", ("/etc/fish/conf.d/kaa.fish", "fish")),
        ("xonsh", "kaa", "linux", ("/etc/xonsh/rc.d/kaa.xsh", "xonsh")),
    ],
)
def test_files_of_all_users(shell: str, program: str, system: str, expected: tuple[str, str]) -> None:
    assert system_file(shell, program, system=system) == expected


def test_shells_without_one() -> None:
    assert system_file("zsh", "kaa", system="linux")[0].endswith("/zshrc")
    for shell, system in (("powershell", "linux"), ("nushell", "linux"), ("bash", "win32"), ("cmd", "win32")):
        with pytest.raises(UnfitStartupFile, match="no start-up file for all users"):
            system_file(shell, "kaa", system=system)
    with pytest.raises(UnknownShell):
        system_file("elvish", "kaa", system="linux")


def test_the_file_of_another_installation_stays() -> None:
    path = "/etc/profile.d/conda.sh"
    for other in (
        b"export CONDA_EXE=/opt/conda/bin/conda\n",
        b"# >>> conda initialize >>>\n# <<< conda initialize <<<\n",
    ):
        with pytest.raises(UnfitStartupFile, match="another installation of conda"):
            plan_for_all_users(path, other, b"true\n", "conda")
    made = plan_for_all_users(path, None, b"true\n", "conda").after
    assert made is not None
    assert plan_for_all_users(path, made, b"false\n", "conda").changes
    assert plan_removal(path, made, "conda").after is None
    # A file that all programs share keeps what others wrote.
    kept = plan_for_all_users("/etc/zsh/zshrc", b"# of the system\n", b"true\n", "kaa").after
    assert kept is not None
    assert kept.startswith(b"# of the system\n")


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell.name)
@pytest.mark.parametrize("folder", ["condabin", "it's a [folder] $HOME"])
def test_a_folder_comes_onto_the_search_path_once(house: House, shell: RealShell, folder: str) -> None:
    if not shell.installed:
        pytest.skip(f"{shell.name} is not installed")
    # A xonsh expands variables in the folders of PATH, wherever they come from.
    directory = house.directory / (folder.replace("$", "") if shell is XONSH else folder)
    directory.mkdir()
    program = directory / "of-that-folder"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$PATH" >> {shlex.quote(str(house.directory / "seen"))}\n')
    program.chmod(0o755)
    lines = search_path_lines(shell.name, str(directory)).decode()
    done = shell.run(house, [lines, "of-that-folder", lines, "of-that-folder"])
    assert (done.returncode, done.stderr) == (0, b"")
    first, second = (house.directory / "seen").read_text().splitlines()
    assert first == second
    assert first.split(":").count(str(directory)) == 1
    assert first.startswith(f"{directory}:")


def test_lines_of_shells_that_do_not_run_here() -> None:
    assert search_path_lines("powershell", "/it's").decode() == (
        "if (($env:PATH -split [IO.Path]::PathSeparator) -notcontains '/it''s') {\n"
        "    $env:PATH = '/it''s' + [IO.Path]::PathSeparator + $env:PATH\n"
        "}\n"
    )
    assert 'prepend "/a\\"b" | uniq' in search_path_lines("nushell", '/a"b').decode()
    with pytest.raises(UnfitStartupFile):
        search_path_lines("cmd", "/x")
    with pytest.raises(UnknownShell):
        search_path_lines("elvish", "/x")


# -- the command ------------------------------------------------------------------------------------------------------


def test_condabin_alone(house: House) -> None:
    refused = house.kaa("init", "--condabin", "bash")
    assert (refused.returncode, b"kaa init --conda" in refused.stderr) == (1, True)
    assert house.kaa("init", "--install").returncode == 0
    assert (house.root / "condabin" / "conda").exists()
    assert house.kaa("init", "--condabin", "bash").returncode == 0
    text = (house.home / ".bashrc").read_text()
    assert shlex.quote(str(house.root / "condabin")).replace("'\"'\"'", "'\\''") in text
    assert "hook" not in text
    if BASH.installed:
        words = ["bash", "-i", "-c", "command -v conda; type -t kaa"]
        done = subprocess.run(words, env=house.environ, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.stdout.decode().splitlines()[0] == str(house.root / "condabin" / "conda")
        assert b"function" not in done.stdout
    # The function takes its place, and goes again.
    assert house.kaa("init", "bash").returncode == 0
    assert (house.home / ".bashrc").read_text().count("kaa initialize") == 2
    assert house.kaa("init", "--reverse", "bash").returncode == 0
    assert not (house.home / ".bashrc").exists()


def test_no_user_leaves_the_users_files_alone(house: House) -> None:
    refused = house.kaa("init", "--no-user", "bash")
    assert (refused.returncode, b"--system" in refused.stderr) == (2, True)
    done = house.kaa("init", "--no-user", "--system", "--dry-run", "bash")
    assert done.returncode == 0
    assert b"would change  /etc/profile.d/kaa.sh\n" in done.stdout
    both = house.kaa("init", "--system", "--dry-run", "--user", "--anaconda-prompt", "bash").stdout.decode()
    assert f"would change  {house.home}/.bashrc\n" in both
    assert "would change  /etc/profile.d/kaa.sh\n" in both
    assert list(house.home.iterdir()) == []
    unfit = house.kaa("init", "--system", "--dry-run", "powershell")
    assert (unfit.returncode, b"no start-up file for all users" in unfit.stderr) == (1, True)
    assert house.kaa("init", "--system", "--all", "--dry-run").returncode == 0


def may_mount() -> bool:
    """Whether a process may have its own view of the file system."""
    words = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/etc/profile.d"]
    if shutil.which("unshare") is None or not Path("/etc/profile.d").is_dir():
        return False
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="this account cannot have a view of /etc of its own")
def test_files_for_all_users(house: House) -> None:
    """In a view of the file system in which /etc/profile.d is this test's own."""
    prefix = house.environment("a")
    kaa = shlex.join(map(str, KAA))
    script = f"""\
        set -e
        mount -t tmpfs none /etc/profile.d
        {kaa} init --no-user --system bash
        ls /etc/profile.d
        bash -l -c 'kaa activate a; echo "$CONDA_PREFIX"'
        {kaa} init --no-user --system --reverse bash
        ls /etc/profile.d
        echo "export CONDA_EXE=/opt/conda" > /etc/profile.d/kaa.sh
        {kaa} init --no-user --system bash || cat /etc/profile.d/kaa.sh
        """
    environ = {**os.environ, **house.environ}
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], env=environ, cwd=house.directory, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.decode().splitlines() if line and not line.startswith("Open a new")]
    assert lines == [
        "changed       /etc/profile.d/kaa.sh", "kaa.sh", str(prefix), "changed       /etc/profile.d/kaa.sh",
        "export CONDA_EXE=/opt/conda",
    ]  # fmt: skip
    assert b"another installation" in done.stderr
    assert list(house.home.iterdir()) == []
