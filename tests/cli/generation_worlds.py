"""Environments that real pip changes by hand: a python that is an environment of its own, and wheels made here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from kaa.channels.index import index_channel
from kaa.models.subdir import NOARCH
from kaa.pypi.wheel import package_wheel
from tests.channels import ChannelBuilder, File, Package, Symlink
from tests.cli.commands import tree_of
from tests.pypi.wheels import build_wheel
from tests.transaction.world import SITE, VERSION

SPEECH = "def main() -> None:\n    print('speech {version}')\n"
ENTRY = "[console_scripts]\nspeak = speech:main\n"
NOT_COMPARED = ("conda-meta/history", "conda-meta/generations", "conda-meta/.kaa-lock")


def python_of_its_own() -> Package:
    """A package `python` that makes its environment one that Python itself knows by its `pyvenv.cfg`."""
    base = Path(sys.base_prefix) / "bin" / f"python{VERSION}"
    # Python looks for that file beside what it was called by.
    script = f'#!/bin/bash\nexec -a "$0" "{base}" "$@"\n'.encode()
    return Package(
        "python",
        f"{VERSION}.{sys.version_info.micro}",
        files={
            "pyvenv.cfg": f"home = {base.parent}\ninclude-system-site-packages = false\nversion = {VERSION}\n",
            f"bin/python{VERSION}": File(script, mode=0o755),
            f"{SITE}/README.txt": "for packages",
            "bin/python": Symlink(f"python{VERSION}"),
        },
    )


def wheels(folder: Path) -> Path:
    """speech 1.0 and 2.0 (of different modules), extra 1.0 and 2.0, and other 1.0, which has a module of speech."""
    for version, only in (("1.0", "old"), ("2.0", "new")):
        files: dict[str, bytes | str] = {
            "speech/__init__.py": SPEECH.format(version=version),
            f"speech/{only}.py": f"x = '{only}'\n",
            "speech/same.py": "x = 1\n",
        }
        build_wheel(folder, "speech", version, files=files, entry_points=ENTRY)
        build_wheel(folder, "extra", version, files={"extra.py": f"version = '{version}'\n"})
    build_wheel(folder, "other", "1.0", files={"speech/same.py": "x = 'other'\n", "other.py": ""})
    return folder


def python_channel(folder: Path, wheel_folder: Path) -> Path:
    """A channel with that python, speech and extra 1.0 as packages, and some that are nothing of Python's."""
    channel = ChannelBuilder(folder)
    channel.add(
        python_of_its_own(),
        Package("lib", "1.0", files={"lib/libx.so": "library 1"}),
        Package("lib", "2.0", files={"lib/libx.so": "library 2"}),
        Package("tool", "1.0", depends=["lib <2"], files={"bin/tool": "tool 1"}),
        Package("tool", "2.0", depends=["lib >=2"], files={"bin/tool": "tool 2", "share/tool/new": "new"}),
    )
    for name in ("speech", "extra"):
        package_wheel(wheel_folder / f"{name}-1.0-py3-none-any.whl", folder, subdir=NOARCH, level=1)
    index_channel(folder, workers=1)
    return folder


def pip(prefix: Path, *words: str, environ: Mapping[str, str] | None = None) -> str:
    """Run the pip of the tests on an environment, as its user would by hand."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "--no-input", "-q"]
    done = subprocess.run(
        [*command, "--python", str(prefix / "bin" / f"python{VERSION}"), *words],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PIP_CONFIG_FILE": "/dev/null", **(environ or {})},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def state(prefix: Path) -> dict[str, str]:
    """Everything in an environment but what tells of its past, and where the package cache is."""
    found = {path: value for path, value in tree_of(prefix).items() if not path.startswith(NOT_COMPARED)}
    for path in prefix.glob("conda-meta/*-*-*.json"):
        record = json.loads(path.read_bytes())
        of_the_cache = ("extracted_package_dir", "package_tarball_full_path", "link")
        found[f"conda-meta/{path.name}"] = repr({key: record[key] for key in record if key not in of_the_cache})
    return found
