"""A machine on which kaa stands in for conda, and real programs that drive conda.

What takes long is made once for a whole run of the tests and shared by its processes: a channel with this machine's
Python in it, a package cache, one virtual environment per client. Programs come from the package index that pip is
configured for; where one cannot be had, the test says so and skips.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kaa.host.locks import file_lock
from tests.channels import ChannelBuilder, File, Package

KAA = (str(Path(sys.executable).with_name("kaa")),)
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_INHERITED = (
    "CONDA",
    "_CONDA",
    "_CE_",
    "KAA",
    "MAMBA",
    "PYTHON",
    "VIRTUAL_ENV",
    "XDG_",
    "NOX",
    "PRE_COMMIT",
    "GIT_",
)


class Shared:
    """What the processes of one run of the tests make once; `made` waits for whoever is making it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def made(self, name: str, make: Callable[[Path], None]) -> Path:
        """The folder of that name, made by `make` if it is not there; where that failed once, the tests skip."""
        place, ready, failed = (self.folder / f"{name}{suffix}" for suffix in ("", ".ready", ".failed"))
        with file_lock(self.folder / f"{name}.lock", timeout=1800):
            if failed.exists():
                pytest.skip(failed.read_text())
            if not ready.exists():
                shutil.rmtree(place, ignore_errors=True)
                try:
                    make(place)
                except CannotBeHad as error:
                    failed.write_text(str(error))
                    pytest.skip(str(error))
                ready.touch()
        return place

    def client(self, name: str, *requirements: str) -> Path:
        """The folder `bin` of a virtual environment with a client in it, by the name of the folder."""

        def make(place: Path) -> None:
            run_or_do_without([sys.executable, "-m", "venv", str(place)], name)
            pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            run_or_do_without([*pip, *(requirements or (name,))], name)

        return self.made(f"client-{name}", make) / "bin"

    def channel(self) -> Path:
        """A channel with this machine's Python, its pip and setuptools, and three small packages."""
        return self.made("channel", make_channel)

    def channel_of_wheels(self, *requirements: str) -> Path:
        """A channel of packages made from the wheels of projects, and of all that they need."""
        name = f"wheels-{'-'.join(requirements)}"

        def make(place: Path) -> None:
            folder = self.folder / f"{name}.files"
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
            run_or_do_without([*pip, "--only-binary=:all:", "--dest", str(folder), *requirements], name)
            wheels = sorted(map(str, folder.glob("*.whl")))
            run_or_do_without([*KAA, "package", "wheel", *wheels, "--channel", str(place), "--level", "1"], name)
            run_or_do_without([*KAA, "channel", "index", str(place)], name)

        return self.made(name, make)


class CannotBeHad(Exception):
    """Something that a test needs from outside; the text says what and why."""


def run_or_do_without(words: Sequence[str], name: str) -> None:
    """Run a command that may fail for reasons of this machine."""
    # Not the variables of a coverage run, of a virtual environment …: a user's shell has none of them.
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(words, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise CannotBeHad(f"{name} cannot be had here: {' '.join(last)}")


def make_channel(folder: Path) -> None:
    """Package this machine's Python, and beside it hello (a program), greetings (a module) and data."""
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    words = [*KAA, "package", "python", str(python), "--channel", str(folder), "--level", "1", "--no-index"]
    run_or_do_without(words, "a package of this machine's Python")
    channel = ChannelBuilder(folder)
    for version in ("1.0", "2.0"):
        script = f"#!/bin/sh\necho hello {version} from /opt/placeholder_{'x' * 80}\n".encode()
        channel.add(
            Package(
                "hello",
                version,
                files={"bin/hello": File(script, mode=0o755, placeholder=f"/opt/placeholder_{'x' * 80}")},
            )
        )
    module = {"site-packages/greetings/__init__.py": "def greet():\n    return 'good day'\n"}
    program = ["greet = greetings:main"]
    module["site-packages/greetings/__init__.py"] += "\n\ndef main():\n    print(greet())\n"
    channel.add(
        Package("greetings", "1.0", depends=["python"], noarch="python", files=module, entry_points=program),
        Package("data", "1.0", noarch="generic", files={"share/data.txt": "one\ntwo\n"}),
    )
    channel.write()
    run_or_do_without([*KAA, "channel", "index", str(folder)], "an index of the channel")


@dataclass
class House:
    """A user's machine: a home, a root prefix where kaa stands in for conda, the channel as the only one."""

    directory: Path
    shared: Shared
    channel_url: str
    more: dict[str, str] = field(default_factory=dict)
    """Variables that a test sets"""

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def root(self) -> Path:
        return self.home / "conda"

    @property
    def work(self) -> Path:
        """Where commands run."""
        return self.home / "work"

    def environment(self, name: str) -> Path:
        """The prefix of a named environment."""
        return self.root / "envs" / name

    @property
    def environ(self) -> dict[str, str]:
        """The variables of a login shell of that user, conda's folder on PATH."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(NOT_INHERITED)}
        pip = next((path for path in pip_configurations() if path.is_file()), None)
        return {
            **kept,
            **({"PIP_CONFIG_FILE": str(pip)} if pip else {}),
            "HOME": str(self.home),
            "PATH": f"{self.root}/condabin:{SYSTEM_PATH}",
            "LANG": "C.UTF-8",
            **self.more,
        }

    def furnish(self) -> None:
        """Make the home, put kaa in conda's place, configure the channel."""
        self.work.mkdir(parents=True)
        self.configure(self.channel_url)
        self.ok(*KAA, "init", "--conda", "--root-prefix", str(self.root))

    def configure(self, *channels: str | Path) -> None:
        """Make these channels the only configured ones, and the shared package cache the cache."""
        cache = self.shared.folder / "pkgs"
        cache.mkdir(exist_ok=True)
        lines = "".join(f"  - {channel}\n" for channel in channels)
        (self.home / ".condarc").write_text(f"channels:\n{lines}pkgs_dirs:\n  - {cache}\n")

    def run(
        self, *words: str | Path, environ: Mapping[str, str] | None = None, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the working directory, as the user does; its standard input is closed or `input`."""
        variables = {**self.environ, **(environ or {})}
        program = shutil.which(str(words[0]), path=variables["PATH"]) or str(words[0])
        return subprocess.run(
            [program, *map(str, words[1:])],
            env=variables,
            cwd=self.work,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=900,
        )

    def ok(
        self, *words: str | Path, environ: Mapping[str, str] | None = None, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program that must succeed."""
        done = self.run(*words, environ=environ, input=input)
        shown = " ".join(map(str, words))
        assert done.returncode == 0, f"{shown}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def shell(self, script: str, *, program: str = "bash") -> subprocess.CompletedProcess[str]:
        """Run lines of a shell that must succeed."""
        return self.ok(program, "-c", script)

    def write(self, name: str, text: str) -> Path:
        """A file in the working directory."""
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def wheel(self, name: str, version: str, module: str) -> Path:
        """A wheel with one module in the working directory, for pip to install."""
        path = self.work / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"{name}.py", module)
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        return path


def pip_configurations() -> Iterator[Path]:
    """Where the configuration of pip may be of the account that runs the tests: its home is not that of the house."""
    if named := os.environ.get("PIP_CONFIG_FILE"):
        yield Path(named)
    home = os.environ.get("HOME")
    if home:
        yield Path(os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config") / "pip" / "pip.conf"
        yield Path(home) / ".pip" / "pip.conf"


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes of a run of the tests."""
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "clients"


def records_of(prefix: Path) -> dict[str, str]:
    """Name → version of what is recorded in an environment."""
    names = [path.name.removesuffix(".json") for path in (prefix / "conda-meta").glob("*.json")]
    found = {}
    for name in names:
        with contextlib.suppress(ValueError):
            package, version, _ = name.rsplit("-", 2)
            found[package] = version
    return found
