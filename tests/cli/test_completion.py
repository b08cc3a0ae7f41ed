"""What completion offers, and that real shells offer it."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
from pathlib import Path

import pytest

from kaa.cli.commands.completion import completion_text
from tests.channels import ChannelBuilder, Server
from tests.cli.commands import Kaa
from tests.shell.houses import KAA, House, make_environment


def suggestions(kaa: Kaa, *words: str) -> list[str]:
    """The words that are offered; where the shell is to look itself, the kind in angle brackets."""
    answer = kaa.ok("completion", "--complete", "--", *words)
    assert answer.err == ""
    lines = [line.partition("\t") for line in answer.out.splitlines()]
    return [word or f"<{meaning}>" for word, _, meaning in lines]


TABLE: list[tuple[list[str], list[str]]] = [
    (["ins"], ["install"]),
    (["un"], ["uninstall", "undo"]),
    (["--json", "ins"], ["install"]),
    (["--root-prefix", "/elsewhere", "ins"], ["install"]),
    (["--jso"], ["--json"]),
    (["env", "l"], ["list"]),
    (["env", "config", "v"], ["vars"]),
    (["env", "config", "vars", "s"], ["set"]),
    (["env", "nothing", ""], []),
    (["nothing", ""], []),
    (["env", "list", "--s"], ["--size"]),
    (["install", "--channel-priority", "s"], ["strict"]),
    (["install", "--channel-priority=s"], ["--channel-priority=strict"]),
    (["install", "--strategy", ""], ["highest", "lowest", "lowest-direct"]),
    (["install", "--subdir", "osx-"], ["osx-64", "osx-arm64"]),
    (["install", "--file", ""], ["<files>"]),
    (["install", "-p", ""], ["<directories>"]),
    (["install", "--prefix="], ["<directories>"]),
    (["install", "--solve-timeout", ""], []),
    (["install", "--json", "--", "--s"], []),
    (["config", "--set", "always_y"], ["always_yes"]),
    (["activate", "de"], ["demo", "<directories>"]),
    (["activate", "--st"], ["--stack"]),
    (["shell", "activate", "fi"], ["fish"]),
    (["shell", "activate", "fish", "de"], ["demo", "<directories>"]),
    (["list", "-n", ""], ["base", "demo", "other"]),
    (["env", "remove", "--name", "de"], ["demo"]),
    (["env", "remove", "--name=de"], ["--name=demo"]),
    (["create", "--clone", "o"], ["other", "<directories>"]),
    (["remove", "-n", "demo", ""], ["alone", "lib", "two-words"]),
    (["uninstall", "lib", "-n", "demo", "al"], ["alone"]),
    (["remove", "--name=demo", "t"], ["two-words"]),
    (["update", "-n", "demo", "--dry-run", "t"], ["two-words"]),
    (["why", "-n", "demo", "l"], ["lib"]),
    (["remove", "-n", "other", ""], []),
    (["remove", "-n", "absent", ""], []),
    (["run", "-n", "demo", "to"], ["tool", "<programs>"]),
    (["run", "-n", "demo", "tool", "--"], ["<files>"]),
    (["completion", "--comp"], ["--complete"]),
    (["completion", ""], ["bash", "zsh", "fish"]),
    (["help", "ins"], ["install"]),
    (["help", "env", "l"], ["list"]),
    (["help", "env", "config", "vars", "u"], ["unset"]),
    (["help", "install", ""], []),
    (["help", "nothing", ""], []),
]


@pytest.fixture
def environments(kaa: Kaa) -> Kaa:
    make_environment(kaa.root)
    demo = make_environment(kaa.environment("demo"))
    for name in ("lib-2.0-0", "alone-1.0-0", "two-words-1.0-py_0"):
        (demo / "conda-meta" / f"{name}.json").write_text("{}")
    program = demo / "bin" / "tool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (demo / "bin" / "tool.txt").write_text("no program")
    make_environment(kaa.environment("other"))
    return kaa


@pytest.mark.parametrize(("words", "expected"), TABLE, ids=lambda value: " ".join(value) if value else "nothing")
def test_what_is_offered(environments: Kaa, words: list[str], expected: list[str]) -> None:
    assert suggestions(environments, *words) == expected


def test_every_command_every_flag(environments: Kaa) -> None:
    names = suggestions(environments, "")
    assert {"create", "upgrade", "env", "completion"} <= set(names)
    for name in names:
        assert "--help" in suggestions(environments, name, "--"), name


def test_tools_by_their_names(environments: Kaa) -> None:
    assert suggestions(environments, "tool", "uninstall", "") == []
    records = environments.root / "tools" / ".records"
    records.mkdir(parents=True)
    for name in ("ruff", "black", ".unfinished"):
        (records / name).touch()
    assert suggestions(environments, "tool", "uninstall", "") == ["black", "ruff"]
    assert suggestions(environments, "tool", "upgrade", "ru") == ["ruff"]


def test_external_commands(environments: Kaa, monkeypatch: pytest.MonkeyPatch) -> None:
    program = environments.home / "bin" / "kaa-frobnicate"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    assert suggestions(environments, "frob") == ["frobnicate"]


@pytest.mark.parametrize("command", ["install", "create", "search"])
def test_packages_of_channels(kaa: Kaa, channel: ChannelBuilder, server: Server, command: str) -> None:
    assert suggestions(kaa, command, "-c", server.url, "l") == []
    kaa.ok("create", "-n", "demo", "-O", "-c", server.url, "--dry-run", "tool")
    asked = len(server.requests)
    assert suggestions(kaa, command, "-c", server.url, "l") == ["lib"]
    assert suggestions(kaa, command, "-c", server.url, "NO") == []
    assert suggestions(kaa, command, "-c", server.url, "n") == ["notes"]
    # Of a whole channel without a letter to go by, and of others than the configured ones: nothing.
    assert suggestions(kaa, command, "-c", server.url, "") == []
    assert suggestions(kaa, command, "l") == []
    assert suggestions(kaa, command, "-c", server.url, "--subdir", "osx-64", "t") == []
    assert len(server.requests) == asked
    # An index that is cut off has no names.
    for path in (kaa.packages / "cache").glob("*.index"):
        path.write_bytes(path.read_bytes()[:100])
    assert suggestions(kaa, command, "-c", server.url, "l") == []


def test_packages_of_a_folder_that_is_configured(kaa: Kaa, channel: ChannelBuilder) -> None:
    (kaa.home / ".condarc").write_text(f"channels: [{channel.folder}]\n")
    kaa.ok("create", "-n", "demo", "--dry-run", "tool")
    assert suggestions(kaa, "install", "-n", "demo", "to") == ["tool"]
    assert suggestions(kaa, "install", "--unknown-flag", "to") == ["tool"]


def test_channels_by_their_names(kaa: Kaa) -> None:
    (kaa.home / ".condarc").write_text("channels: [bioconda, 'https://me:secret@host/x']\n")
    assert suggestions(kaa, "install", "-c", "") == ["bioconda", *suggestions(kaa, "install", "-c", "c")]


def test_a_configuration_that_cannot_be_read_offers_nothing(kaa: Kaa) -> None:
    (kaa.home / ".condarc").write_text("channels: {")
    assert suggestions(kaa, "remove", "-n", "") == []


def test_names_that_a_line_cannot_hold(environments: Kaa) -> None:
    (environments.environment("demo") / "conda-meta" / "bad\nname-1-0.json").write_text("{}")
    (environments.environment("demo") / "conda-meta" / "bad\x1bname-1-0.json").write_text("{}")
    assert suggestions(environments, "remove", "-n", "demo", "bad") == []


def test_completion_takes_one_shell(kaa: Kaa) -> None:
    for words in ([], ["tcl"], ["bash", "zsh"]):
        answer = kaa("completion", *words)
        assert answer.code == 2
        assert "one of: bash, zsh, fish" in answer.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("program", ["kaa", "conda"])
def test_the_text_is_for_the_name_by_which_kaa_is_called(shell: str, program: str) -> None:
    text = completion_text(shell, program)
    assert f"__{program}_complete" in text
    assert f"{program} completion --complete -- " in text
    assert "@" not in text.replace("[@]", "").replace("(@", "")
    code = [line for line in text.splitlines() if not line.lstrip().startswith("# ")]
    assert any("kaa " in line for line in code) == (program == "kaa")


# -- in real shells ---------------------------------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A house with an environment, a package in it, a file, and kaa on PATH."""
    house = House(tmp_path)
    make_environment(house.root)
    demo = house.environment("demo")
    (demo / "conda-meta" / "numpy-2.0-0.json").write_text("{}")
    (house.directory / "some file.yml").write_text("")
    (house.directory / "folder").mkdir()
    program = house.directory / "bin" / "kaa"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {" ".join(KAA)} "$@"\n')
    program.chmod(0o755)
    return house


def start(house: House, *words: str) -> str:
    """The output of a shell that must not complain."""
    environ = {**house.environ, "PATH": f"{house.directory}/bin:/usr/bin:/bin", "TERM": "dumb"}
    done = subprocess.run(words, env=environ, cwd=house.directory, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def need(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


BASH: list[tuple[list[str], list[str]]] = [
    (["kaa", "insta"], ["install"]),
    (["kaa", "env", "remove", "-n", "d"], ["demo"]),
    (["kaa", "remove", "-n", "demo", ""], ["numpy"]),
    (["kaa", "install", "--channel-priority", "=", "st"], ["strict"]),
    (["kaa", "install", "--channel-priority", "="], ["strict", "flexible", "disabled"]),
    (["kaa", "install", "-n", "demo", "--strategy", "hi"], ["highest"]),
    (["kaa", "install", "--file", "some"], ["some file.yml"]),
    (["kaa", "install", "--prefix", "fol"], ["folder"]),
    (["kaa", "install", "--prefix", "=", "fol"], ["folder"]),
    (["kaa", "run", "-n", "demo", "tru"], ["true", "truncate"]),
    (["kaa", "nothing", "x"], []),
]


@pytest.mark.parametrize(("words", "expected"), BASH, ids=lambda value: " ".join(value) if value else "nothing")
def test_bash(house: House, words: list[str], expected: list[str]) -> None:
    need("bash")
    quoted = " ".join(f"'{word}'" for word in words)
    script = f"""set -u
eval "$(kaa completion bash)"
[[ $(complete -p kaa) == *-F* ]] || exit 9
COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}
__kaa_complete kaa '{words[-1]}' '{words[-2]}' 2>&1 || exit 8
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    found = start(house, "bash", "--norc", "--noprofile", "-c", script).splitlines()
    assert list(dict.fromkeys(filter(None, found))) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("kaa insta", ["install"]),
        ("kaa env remove -n d", ["demo"]),
        ("kaa remove -n demo ", ["numpy"]),
        ("kaa install --channel-priority=st", ["--channel-priority=strict"]),
        ("kaa install --prefix fol", ["folder/"]),
        ("kaa install --file some", ["some file.yml"]),
    ],
)
def test_fish(house: House, line: str, expected: list[str]) -> None:
    need("fish")
    out = start(house, "fish", "--no-config", "-c", f"kaa completion fish | source; complete -C '{line}'")
    assert [found.partition("\t")[0] for found in out.splitlines()] == expected


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("kaa insta", "kaa install "),
        ("kaa env remove -n d", "kaa env remove -n demo "),
        ("kaa remove -n demo nu", "kaa remove -n demo numpy "),
        ("kaa install --channel-priority=st", "kaa install --channel-priority=strict "),
        ("kaa install --prefix fol", "kaa install --prefix folder/"),
        ("kaa install --file some", "kaa install --file some\\ file.yml "),
    ],
)
def test_zsh(house: House, typed: str, completed: str) -> None:
    need("zsh")
    seen = house.directory / "seen"
    setting = [
        "autoload -Uz compinit && compinit -D -u",
        'eval "$(kaa completion zsh)"',
        f"show() {{ print -rn -- \"$BUFFER\" >{seen}.part; mv {seen}.part {seen}; BUFFER='exit'; zle accept-line }}",
        "zle -N show; bindkey '^X' show; bindkey '^I' expand-or-complete; PS1='ready> '",
    ]
    (house.directory / ".zshrc").write_text("\n".join(setting) + "\n")
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(house.directory)
        environ = {**house.environ, "PATH": f"{house.directory}/bin:/usr/bin:/bin", "TERM": "xterm"}
        os.execvpe("zsh", ["zsh", "-i"], {**environ, "ZDOTDIR": str(house.directory)})
    answer_until(terminal, b"ready> ")
    os.write(terminal, typed.encode() + b"\t\x18")
    answer_until(terminal, None)
    os.close(terminal)
    os.waitpid(process, 0)
    assert seen.read_text() == completed


def answer_until(terminal: int, text: bytes | None) -> None:
    """Read what a terminal shows up to a text, or to its end."""
    shown = b""
    while text is None or text not in shown:
        readable, _, _ = select.select([terminal], [], [], 60)
        assert readable, shown
        try:
            more = os.read(terminal, 4096)
        except OSError:  # what Linux says when the other end is closed
            more = b""
        if not more:
            assert text is None, shown
            return
        shown += more
