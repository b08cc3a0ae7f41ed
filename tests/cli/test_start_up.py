"""Which modules the commands load that programs call again and again, so that they stay as fast as they are.

A start costs about a third of a millisecond per module of kaa, and much more for some of the others: what a command
does not need, it must not load.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.shell.houses import make_environment

NEVER = {
    *(
        "argparse",
        "asyncio",
        "bz2",
        "concurrent.futures",
        "dataclasses",
        "difflib",
        "email",
        "http.client",
        "inspect",
        "logging",
    ),
    *("lzma", "multiprocessing", "random", "shutil", "socket", "ssl", "subprocess", "tempfile", "textwrap"),
    *("unittest", "zipfile"),
    *("packaging", "rich", "ruamel", "truststore", "urllib3", "yaml", "zstandard", "starlette", "filelock"),
}
"""None of these commands needs them."""

START = {"kaa", "kaa.errors", "kaa.models", "kaa.models.pattern", "kaa.models.typed", "kaa.models.value"}
LINE = {f"kaa.cli.{name}" for name in ("main", "called", "dispatch", "near_words", "output", "program", "table")}
LINE |= {
    "kaa.cli",
    "kaa.cli.arguments",
    "kaa.cli.plain_words",
    "kaa.cli.commands",
    "kaa.cli.plain_text",
    "kaa.models.subdir",
}
CONFIG = {"kaa.config", "kaa.config.condarc", "kaa.config.inert", "kaa.config.kinds", "kaa.config.options"}
CONFIG |= {"kaa.config.plain_yaml", "kaa.config.sources", "kaa.envfiles", "kaa.envfiles.bounded_yaml"}
CONFIG |= {
    "kaa.models.cutoff",
    "kaa.models.index_words",
    "kaa.models.redaction",
    "kaa.host",
    "kaa.host.directories",
    "kaa.host.files",
}
ENTER = {"kaa.cli.entering", "kaa.prefix", "kaa.prefix.interruption", "kaa.prefix.script_decisions", "kaa.shell"}
ENTER |= {f"kaa.shell.{name}" for name in ("activation", "dialects", "location", "prefix_state", "script")}
ENTER |= {f"kaa.shell.dialects.{name}" for name in ("dialect", "posix", "table")}
LIGHT = START | LINE | CONFIG | ENTER

ROOMS = (
    *("kaa.archive", "kaa.channels", "kaa.index", "kaa.installers", "kaa.offline", "kaa.pypi", "kaa.solver"),
    *("kaa.transaction", "kaa.web", "kaa.net.client", "kaa.net.unchanged", "kaa.config.values", "kaa.envfiles.lock"),
)
"""What a command that only looks at environments has no use for."""

LIGHT_COMMANDS = {
    "run -n demo true": LIGHT | {"kaa.cli.commands.run", "kaa.shell.run"},
    "shell activate posix demo": LIGHT | {"kaa.cli.commands.shell", "kaa.shell.kept"},
    "shell deactivate posix": LIGHT | {"kaa.cli.commands.shell", "kaa.shell.kept"},
    "shell.posix activate demo": LIGHT | {"kaa.cli.commands.shell", "kaa.cli.commands.shell_form", "kaa.shell.kept"},
}
"""Command → all modules of kaa that it may load."""

PROBES = ("info --json", "env list --json", "list -n demo --json")


TELL = """\
import sys

class Telling:
    def find_spec(self, name, path=None, target=None):
        print("LOADED", name, file=sys.stderr)

sys.meta_path.insert(0, Telling())
sys.argv = {words!r}
from kaa.cli.main import main
sys.exit(main())
"""


def loaded(root: Path, words: Sequence[str]) -> set[str]:
    """All modules that a command loads, told while it loads them: `run` is another program at the end."""
    environ = {
        "HOME": str(root),
        "KAA_ROOT_PREFIX": str(root),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    done = subprocess.run(
        [sys.executable, "-c", TELL.format(words=["kaa", *words])],
        env=environ,
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = {line.removeprefix("LOADED ") for line in done.stderr.splitlines() if line.startswith("LOADED ")}
    # Where it is installed (tools need it, kaa does not), msgspec loads it, and it loads inspect and socket.
    return found - {"inspect", "socket"} if "typing_extensions" in found else found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root prefix with an environment that asks for nothing, so that nothing is loaded on its account."""
    make_environment(tmp_path / "envs" / "demo")
    return tmp_path


@pytest.mark.parametrize("command", LIGHT_COMMANDS)
def test_what_entering_an_environment_loads(root: Path, command: str) -> None:
    found = loaded(root, command.split())
    assert {name for name in found if name.partition(".")[0] == "kaa"} - LIGHT_COMMANDS[command] == set()
    assert (
        found & {*NEVER, "typing", "msgspec", "json", "hashlib", "tempfile", "threading", "platform", "datetime"}
        == set()
    )


@pytest.mark.parametrize("command", PROBES)
def test_what_a_look_at_environments_loads(root: Path, command: str) -> None:
    found = loaded(root, command.split())
    # msgspec itself loads textwrap.
    assert found & NEVER - {"textwrap"} == set()
    assert (
        found & {"base64", "netrc", "gettext", "kaa.host.locks", "kaa.host.process", "kaa.models.match_spec"} == set()
    )
    if "typing_extensions" not in found:
        assert found & {"threading", "signal"} == set()
    assert {name for name in found if name.startswith(ROOMS)} == set()
    if not command.startswith("info"):
        assert {name for name in found if name.startswith(("kaa.package_cache", "kaa.host.hashing"))} == set()
        assert "_hashlib" not in found
    assert "kaa.cli.main" in found


def test_a_kept_activation_loads_what_writes_it(root: Path) -> None:
    """The other way round: the table above is not empty because nothing is seen."""
    kept = root / ".cache/kaa/activation/00000000/0/:activate/demo.sh"
    found = loaded(root, ["shell", "activate", "posix", "--keep", str(kept), "demo"])
    assert "kaa.cli.keeping" in found
