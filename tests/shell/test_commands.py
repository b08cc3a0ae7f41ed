"""The commands around activation as programs: what they print, what they refuse, and what they do not load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kaa.cli.entering import current_directory, find_command
from tests.shell.houses import House, make_environment

HEAVY = (
    *("msgspec", "ssl", "yaml", "ruamel", "subprocess", "urllib3", "zstandard", "rich", "packaging"),
    *("socket", "http", "email", "asyncio", "logging", "tempfile"),
)

LOADED = """\
import sys
from kaa.cli.main import main
sys.argv = ["kaa", *{words!r}]
code = main()
sys.stderr.write("\\n".join(["", "LOADED", *sorted(sys.modules)]))
sys.exit(code)
"""


@pytest.mark.parametrize(
    "words",
    [
        ["shell", "hook", "bash"],
        ["shell", "activate", "zsh", "a"],
        ["shell", "activate", "fish", "./project/env"],
        ["shell", "deactivate", "tcsh"],
        ["shell", "reactivate", "xonsh"],
        ["shell", "activate", "powershell", "a", "--stack"],
        ["--version"],
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_loaded(house: House, words: list[str]) -> None:
    prefix = house.environment("a", variables={"FOO": "x"}, package_variables={"a.json": {"BAR": "y"}})
    make_environment(house.directory / "project" / "env")
    (house.home / ".condarc").write_text("changeps1: false\nenvs_dirs:\n  - ~/envs\nchannels: # mine\n  - x\n")
    active = {"CONDA_SHLVL": "1", "CONDA_PREFIX": str(prefix)}
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(words=words)],
        env={**house.environ, **active},
        cwd=house.directory,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stderr.partition("LOADED\n")[2].splitlines())
    assert "kaa.cli.main" in loaded
    assert loaded & set(HEAVY) == set()


@pytest.mark.parametrize("verb", ["activate", "deactivate"])
@pytest.mark.parametrize(
    ("login_shell", "by_hand"),
    [
        ("/bin/bash", 'eval "$(kaa shell hook bash)"'),
        ("/usr/bin/fish", "kaa shell hook fish | source"),
        ("/bin/tcsh", 'eval "`kaa shell hook tcsh`"'),
        ("", 'eval "$(kaa shell hook posix)"'),
    ],
)
def test_without_the_function(house: House, verb: str, login_shell: str, by_hand: str) -> None:
    words = [verb, "a"] if verb == "activate" else [verb]
    done = house.kaa(*words, environ={"SHELL": login_shell})
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"Run 'kaa init' before 'kaa {verb}'" in done.stderr.decode()
    assert by_hand in done.stderr.decode()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["activate", "elvish", "a"], 1, "does not know the shell 'elvish'"),
        (["activate", "bash", "nope"], 1, "EnvironmentNameNotFound"),
        (["activate", "bash", "./nope"], 1, "EnvironmentLocationNotFound"),
        (["activate", "bash", "a", "b"], 2, "unrecognized arguments"),
        (["activate", "bash", "a", "--stack", "--no-stack"], 2, "not allowed with"),
        (["deactivate", "bash", "a"], 2, "takes no environment"),
        (["activate"], 2, "SHELL"),
        (["enter", "bash"], 2, "invalid choice"),
    ],
)
def test_what_cannot_be_done_prints_no_text(house: House, words: list[str], code: int, said: str) -> None:
    house.environment("a")
    done = house.kaa("shell", *words)
    assert (done.returncode, done.stdout) == (code, b"")
    assert said in done.stderr.decode()


def activated(house: House, word: str, *more: str, **environ: str) -> dict[str, str]:
    """What activating in nushell sets: its text is a document."""
    done = house.kaa("shell", "activate", "nushell", word, *more, environ=environ)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)["set"]
    return found


def test_the_options_of_the_configuration_count(house: House) -> None:
    elsewhere = make_environment(house.home / "more" / "e", variables={"mixed_Case": "x"})
    (house.home / ".condarc").write_text(
        "envs_dirs: [~/more]\nenv_prompt: '<{name}> '\nauto_stack: 1\nenvvars_force_uppercase: false\n"
    )
    a = house.environment("a")
    inside = activated(house, "e", CONDA_SHLVL="1", CONDA_PREFIX=str(a))
    assert inside["CONDA_PREFIX"] == str(elsewhere)
    assert inside["CONDA_PROMPT_MODIFIER"] == "<e> "
    assert inside["CONDA_STACKED_2"] == "true"
    assert inside["mixed_Case"] == "x"
    switched = activated(house, "e", "--no-stack", CONDA_SHLVL="1", CONDA_PREFIX=str(a))
    assert "CONDA_STACKED_2" not in switched
    assert activated(house, "e", CONDA_CHANGEPS1="false")["CONDA_PROMPT_MODIFIER"] == ""


def test_directories_of_environments_from_variables(house: House) -> None:
    one = make_environment(house.directory / "one" / "e")
    two = make_environment(house.directory / "two" / "e")
    both = f"{house.directory}/two:{house.directory}/one"
    assert activated(house, "e", CONDA_ENVS_PATH=both)["CONDA_PREFIX"] == str(two)
    assert activated(house, "e", CONDA_ENVS_DIRS=f"{house.directory}/one")["CONDA_PREFIX"] == str(one)
    in_home = make_environment(house.home / ".conda" / "envs" / "h")
    assert activated(house, "h")["CONDA_PREFIX"] == str(in_home)


def test_the_root_prefix_can_be_given(house: House) -> None:
    root = house.directory / "other"
    prefix = make_environment(root / "envs" / "x")
    inside = activated(house, "x", "--root-prefix", "./other")
    assert (inside["CONDA_PREFIX"], inside["KAA_ROOT_PREFIX"]) == (str(prefix), str(root))


def test_a_conda_of_the_root_prefix_is_told(house: House) -> None:
    house.environment("a")
    (house.root / "bin").mkdir()
    (house.root / "bin" / "conda").touch(mode=0o755)
    assert activated(house, "a")["CONDA_EXE"] == f"{house.root}/bin/conda"


def test_find_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "kaa"
    program.touch(mode=0o755)
    environ = {"PATH": f"/nowhere:{tmp_path}", "PWD": "/"}
    assert find_command(str(program), {}) == (str(program),)
    assert find_command("kaa", environ) == (str(program),)
    monkeypatch.chdir(tmp_path)
    assert find_command("./kaa", {"PWD": str(tmp_path)}) == (str(program),)
    own = Path(sys.executable).with_name("kaa")
    module = (str(own),) if own.exists() else (sys.executable, "-m", "kaa")
    assert find_command("/site-packages/kaa/__main__.py", environ) == module
    assert find_command("kaa", {"PATH": "/nowhere"}) == module


def test_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "link")
    real, link = str((tmp_path / "real").resolve()), str(tmp_path / "link")
    assert current_directory({"PWD": link}) == link
    for wrong in ("", "relative", "/", "/nowhere"):
        assert current_directory({"PWD": wrong}) == real
    assert current_directory({}) == real
