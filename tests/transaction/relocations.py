"""Environments for clones, renames and moves: packages of every kind, what pip installed, and files of the user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.channels import ChannelBuilder, File, Package, Symlink
from tests.pypi.wheels import build_wheel
from tests.transaction.world import SITE, TAG, VERSION

PLACEHOLDER = "/opt/placeholder_" + "x" * 230
REAL = os.path.realpath(sys.executable)


def real_python() -> Package:
    """A package `python` whose program is this python, with the environment as its prefix (as `venv` does it)."""
    folder = Path(REAL).parent
    return Package(
        "python",
        f"{VERSION}.{sys.version_info.micro}",
        files={
            f"bin/python{VERSION}": File(Path(REAL).read_bytes(), mode=0o755),
            "bin/python": Symlink(f"python{VERSION}"),
            "pyvenv.cfg": f"home = {folder}\ninclude-system-site-packages = false\nversion = {VERSION}\n",
            "lib/here.txt": "here",
            f"{SITE}/README.txt": "modules",
        },
    )


def channel_of_all_kinds(folder: Path) -> ChannelBuilder:
    """lib (program, scripts, links), python, app (noarch: entry point, a module that names its prefix)."""
    place = PLACEHOLDER
    channel = ChannelBuilder(folder)
    channel.add(
        Package(
            "lib",
            "1.0",
            files={
                "lib/libx.so.1": "a library",
                "lib/libx.so": Symlink("libx.so.1"),
                "lib/nowhere": Symlink("never/there"),
                "bin/script": File(f"#!{place}/bin/sh -e\necho {place}\n".encode(), mode=0o755, placeholder=place),
                "bin/perl-script": File(f"#!{place}/bin/perl -w\n".encode(), mode=0o755, placeholder=place),
                "bin/program": File(
                    b"\x7fELF" + f"{place}/lib:{place}/lib64".encode() + b"\0rest" + place.encode() + b"\0end",
                    mode=0o755,
                    placeholder=place,
                    binary=True,
                ),
                "share/lib/table": "1 2 3",
                "share/lib/own": File(b"no link", no_link=True),
            },
        ),
        real_python(),
        Package(
            "app",
            "1.0",
            depends=["python", "lib"],
            noarch="python",
            files={
                "site-packages/app/__init__.py": "from app.place import PLACE\ndef main() -> int:\n    print(PLACE)\n",
                "site-packages/app/place.py": File(f"PLACE = {place!r}\n".encode(), placeholder=place),
                "site-packages/app-1.0.dist-info/METADATA": "Name: app\nVersion: 1.0\n",
                "site-packages/app-1.0.dist-info/RECORD": "app/__init__.py,,\n",
            },
            entry_points=["app = app:main"],
        ),
    )
    return channel.write()


KERNEL = "share/jupyter/kernels/tool/kernel.json"


def pip_install(prefix: Path, folder: Path, version: str = "1.0") -> None:
    """Install a distribution with the machine's own pip: a module, a command, a file of data with the prefix."""
    code = "import sys\ndef main():\n    print(sys.prefix)\n"
    wheel = build_wheel(
        folder,
        "tool",
        version,
        files={"tool.py": code, "{data}/data/share/tool/data.txt": "data"},
        entry_points="[console_scripts]\ntool = tool:main\n",
    )
    pip = [sys.executable, "-m", "pip", "--python", str(prefix / "bin/python"), "install", "-q", "--no-index"]
    environ = {"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [*pip, "--no-deps", "--upgrade", str(wheel)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def add_user_files(prefix: Path) -> None:
    """What a user may have put into an environment."""
    (prefix / "notes").mkdir()
    (prefix / "notes/empty").mkdir()
    (prefix / "notes/plain.txt").write_text("nothing special")
    (prefix / "notes/paths.txt").write_text(f"it is at {prefix}/lib\n")
    (prefix / "notes/data.bin").write_bytes(b"\0\1" + os.fsencode(prefix))
    (prefix / "bin/mine").write_text(f"#!{prefix}/bin/python\nprint('mine')\n")
    (prefix / "bin/mine").chmod(0o750)
    (prefix / "to-lib").symlink_to(prefix / "lib")
    (prefix / "to-share").symlink_to("share")
    kernel = prefix / "share/jupyter/kernels/mine/kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(f'{{"argv": ["{prefix}/bin/python", "-m", "kernel"]}}\n')


def files_naming(prefix: Path, text: str) -> set[str]:
    """The files of an environment that hold a text; bytecode and what records the past is left out."""
    past = ("conda-meta/history", "conda-meta/generations/")
    found = set()
    for path in prefix.rglob("*"):
        name = path.relative_to(prefix).as_posix()
        if path.is_symlink():
            if text in os.readlink(path):  # noqa: PTH115 - the text of the link is wanted
                found.add(name)
        elif path.is_dir() or path.suffix == ".pyc" or name.startswith(past):
            continue
        elif text.encode() in path.read_bytes():
            found.add(name)
    return found


def run_in(prefix: Path, *command: str) -> str:
    """What a program of an environment prints, with nothing else set."""
    done = subprocess.run([prefix / command[0], *command[1:]], env={}, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


BYTECODE = f"{SITE}/app/__pycache__/place.{TAG}.pyc"
