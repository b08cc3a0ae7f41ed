"""A house whose processes take packages from a channel of its own, served on loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.channels import ChannelBuilder, File, Package, Server
from tests.shell.houses import KAA, House

NO_PYTHON = """#!/bin/sh
# A program that reads a script as python would: it shows how it was called.
printf 'python 3 %s\\n' "$*"
cat "$1" >/dev/null && exit 5
"""


def program(text: str) -> File:
    """An executable of a package."""
    return File(text.encode(), mode=0o755)


def tool_channel(folder: Path) -> ChannelBuilder:
    """tool 1.0 and 2.0 (each with lib), greeter, two pythons that only tell how they are called, libraries."""
    channel = ChannelBuilder(folder)
    for version in ("1.0", "2.0"):
        channel.add(
            Package("lib", version, files={"lib/libx.so": f"library {version}"}),
            Package(
                "tool",
                version,
                depends=[f"lib {version}"],
                files={"bin/tool": program(f'#!/bin/sh\necho "tool {version}" "$@"\nexit ${{TOOL_CODE:-0}}\n')},
            ),
        )
    channel.add(Package("greeter", files={"bin/greet": program("#!/bin/sh\necho hello; tool\n")}))
    for version in ("3.9.1", "3.12.4"):
        channel.add(Package("python", version, files={"bin/python": program(NO_PYTHON), "v": version}))
    for name in ("requests", "tomli", "typing_extensions", "ruamel.yaml"):
        channel.add(Package(name, "2.1", files={f"share/{name}": name}))
    return channel.write()


class Street:
    """A house and a channel."""

    def __init__(self, house: House, channel: ChannelBuilder, server: Server) -> None:
        self.house = house
        self.channel = channel
        self.server = server

    @property
    def environ(self) -> dict[str, str]:
        return {
            **self.house.environ,
            "CONDA_SUBDIR": "linux-64",
            "CONDA_CHANNELS": self.server.url,
            "CONDA_REMOTE_MAX_RETRIES": "0",
            "KAA_CLEAN_FOR_ALL_USERS": "false",
        }

    @property
    def temporary(self) -> Path:
        return self.house.root / "temporary"

    def environments(self) -> list[Path]:
        """The temporary environments."""
        return sorted(path for path in self.temporary.glob("*") if not path.name.startswith("."))

    def kaa(
        self, *words: str, environ: Mapping[str, str] | None = None, input: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return self.house.kaa(*words, environ={**self.environ, **(environ or {})}, input=input)

    def out(self, *words: str, environ: Mapping[str, str] | None = None) -> str:
        """The output of a command that must succeed."""
        done = self.kaa(*words, environ=environ)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout.decode()

    def start(self, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """A command that goes on meanwhile."""
        return subprocess.Popen(
            [*KAA, *words],
            env={**self.environ, **(environ or {})},
            cwd=self.house.directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
