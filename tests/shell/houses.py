"""Environments to enter, as small as they can be, and the shells of this machine to enter them with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_SCRIPT = Path(sys.executable).with_name("kaa")
KAA = (str(_SCRIPT),) if _SCRIPT.exists() else (sys.executable, "-m", "kaa")


def make_environment(
    prefix: Path,
    *,
    variables: Mapping[str, object] | None = None,
    package_variables: Mapping[str, Mapping[str, object]] | None = None,
    scripts: Mapping[str, str] | None = None,
) -> Path:
    """An environment: its own variables, those of packages by file, scripts by `activate.d/…` or `deactivate.d/…`."""
    (prefix / "conda-meta").mkdir(parents=True)
    (prefix / "conda-meta" / "history").touch()
    (prefix / "bin").mkdir()
    if variables is not None:
        (prefix / "conda-meta" / "state").write_text(json.dumps({"env_vars": dict(variables)}))
    for name, values in (package_variables or {}).items():
        path = prefix / "etc" / "conda" / "env_vars.d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    for name, text in (scripts or {}).items():
        path = prefix / "etc" / "conda" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return prefix


class House:
    """A home and a root prefix in one temporary directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.root = directory / "root"
        self.home.mkdir(parents=True)
        (self.root / "envs").mkdir(parents=True)

    @property
    def environ(self) -> dict[str, str]:
        """The variables of a fresh login."""
        return {
            "HOME": str(self.home),
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "KAA_ROOT_PREFIX": str(self.root),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }

    def environment(
        self,
        name: str,
        *,
        variables: Mapping[str, object] | None = None,
        package_variables: Mapping[str, Mapping[str, object]] | None = None,
        scripts: Mapping[str, str] | None = None,
    ) -> Path:
        """A named environment."""
        prefix = self.root / "envs" / name
        return make_environment(prefix, variables=variables, package_variables=package_variables, scripts=scripts)

    def kaa(
        self, *words: str, environ: Mapping[str, str] | None = None, input: bytes | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run kaa."""
        return subprocess.run(
            [*KAA, *words],
            env={**self.environ, **(environ or {})},
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            cwd=cwd or self.directory,
            capture_output=True,
            check=False,
        )

    @property
    def caches(self) -> Path:
        return self.home / ".cache"

    def age(self) -> None:
        """Let all that is here, but what kaa keeps, be a day old: kaa takes no file as settled that just changed."""
        for folder, folders, files in os.walk(self.directory):
            folders[:] = [name for name in folders if name != self.caches.name]
            for path in (Path(folder), *(Path(folder, name) for name in files)):
                if not path.is_symlink():
                    changed = path.stat().st_mtime_ns - 86_400_000_000_000
                    os.utime(path, ns=(changed, changed))

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Take back, at the end, all that was done here meanwhile; only what kaa keeps in its cache stays."""
        self.age()
        copy = self.directory.with_name(f"{self.directory.name} before")
        shutil.copytree(self.directory, copy, symlinks=True)
        yield
        kept = self.directory.with_name("kept")
        if self.caches.exists():
            self.caches.rename(kept)
        shutil.rmtree(self.directory)
        copy.rename(self.directory)
        if kept.exists():
            shutil.rmtree(self.caches, ignore_errors=True)
            times = self.home.stat()
            kept.rename(self.caches)
            os.utime(self.home, ns=(times.st_atime_ns, times.st_mtime_ns))

    def start(self, words: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        """Run any program with the variables of this process."""
        return subprocess.run(words, cwd=self.directory, stdin=subprocess.DEVNULL, capture_output=True, check=False)


class RealShell(NamedTuple):
    """How to run a script in a shell of this machine."""

    name: str
    program: tuple[str, ...]
    """The words before the path of the script."""
    hook: str
    """The line that loads the hook; `{kaa}` stands for the words that run kaa."""
    strict: str = ""
    """A line that makes the shell stop at the first failure and at unset variables."""
    extension: str = ".sh"
    export: str = "export {name}={value}"
    unset: str = "unset {name}"
    source: str = ". {path}"
    kept: bool = False
    """Run every script a second time, when its activations are kept from the first; the second run is what counts."""

    @property
    def label(self) -> str:
        return f"{self.name}-kept" if self.kept else self.name

    @property
    def installed(self) -> bool:
        return shutil.which(self.program[0]) is not None

    def run(
        self, house: House, lines: Sequence[str], *, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the lines as a script of this shell."""
        script = house.directory / f"script-{self.name}{self.extension}"
        script.write_bytes(os.fsencode("\n".join(lines) + "\n"))
        if self.kept:
            with house.rehearsal():
                self._start(house, script, environ)
        return self._start(house, script, environ)

    def _start(
        self, house: House, script: Path, environ: Mapping[str, str] | None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self.program, str(script)],
            env={**house.environ, **(environ or {})},
            cwd=house.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )

    def load(self) -> str:
        return self.hook.replace("{kaa}", " ".join(KAA))

    def dump(self, house: House, name: str) -> str:
        """The line that writes all variables to a file, to be read by `variables`."""
        return f"/usr/bin/env -0 > {house.directory / name}.env"


def variables(house: House, name: str) -> dict[str, str]:
    """The variables that a script dumped; without those that every command changes."""
    text = os.fsdecode((house.directory / f"{name}.env").read_bytes())
    pairs = dict(item.split("=", 1) for item in text.split("\0") if item)
    for noise in ("_", "SHLVL", "OLDPWD"):
        pairs.pop(noise, None)
    return pairs


_POSIX_HOOK = 'eval "$({kaa} shell hook NAME)"'

BASH = RealShell("bash", ("bash", "--norc", "--noprofile"), _POSIX_HOOK.replace("NAME", "bash"), "set -eu -o pipefail")
ZSH = RealShell("zsh", ("zsh", "-f"), _POSIX_HOOK.replace("NAME", "zsh"), "set -eu -o pipefail")
DASH = RealShell("dash", ("dash",), _POSIX_HOOK.replace("NAME", "dash"), "set -eu")
FISH = RealShell(
    "fish",
    ("fish", "--no-config"),
    "{kaa} shell hook fish | source",
    extension=".fish",
    export="set -gx {name} {value}",
    unset="set -e {name}",
    source="source {path}",
)
TCSH = RealShell(
    "tcsh",
    ("tcsh", "-f"),
    'eval "`{kaa} shell hook tcsh`"',
    extension=".csh",
    export="setenv {name} {value}",
    unset="unsetenv {name}",
    source="source {path}",
)
XONSH = RealShell(
    "xonsh",
    (str(Path(sys.executable).with_name("xonsh")), "--no-rc"),
    "execx($({kaa} shell hook xonsh))",
    extension=".xsh",
    export="${name} = '{value}'",
    unset="del ${name}",
    source="source {path}",
)
KEEPING = tuple(shell._replace(kept=True) for shell in (BASH, ZSH, DASH, FISH))
"""Those for which activations are kept, as they are when one is."""
SHELLS = (BASH, ZSH, DASH, FISH, TCSH, XONSH)
QUICK = (BASH, ZSH, DASH, FISH, TCSH)
"""Those that start in a few milliseconds."""
