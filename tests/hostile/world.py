"""What a hostile case has around it: a user with a home, a canary beside it, a channel, and an environment to spoil."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import zstandard

from tests.archive.builders import Entry, Found, conda, tar_bz2, tree
from tests.channels import ChannelBuilder, Package
from tests.hostile.runner import Outcome, Runner

CANARY = "the canary sings\n"
OWN_FILES = ("home/root/pkgs/", "home/.conda/", "home/.cache/", "home/.local/", "home/root/.kaa", "home/.condarc")
"""Where kaa keeps what it keeps; everything else beside the environment must stay as it was."""


@dataclass
class World:
    """One case's directory: `home` of the user, `canary` beside it, a channel below the loopback server."""

    folder: Path
    url: str
    """Where the server serves `folder / "served"`."""
    runner: Runner
    environ: dict[str, str] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    """What the making of a case wants to tell its check."""

    def __post_init__(self) -> None:
        for path in (self.home, self.canary / "lib", self.served):
            path.mkdir(parents=True)
        (self.canary / "victim").write_text(CANARY)
        (self.canary / "lib" / "victim.py").write_text(CANARY)
        self.environ |= {
            "PATH": os.defpath,
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "KAA_ROOT_PREFIX": str(self.home / "root"),
            "CONDA_SUBDIR": "linux-64",
            "CONDA_REMOTE_BACKOFF_FACTOR": "0.01",
        }

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def canary(self) -> Path:
        return self.folder / "canary"

    @property
    def served(self) -> Path:
        return self.folder / "served"

    @property
    def packages(self) -> Path:
        return self.home / "root" / "pkgs"

    def environment(self, name: str = "env") -> Path:
        return self.home / "root" / "envs" / name

    @property
    def channel(self) -> list[str]:
        """The words that name the channel."""
        return ["--override-channels", "-c", self.url]

    def kaa(self, *words: str) -> Outcome:
        """Run a command as the user, with limits."""
        return self.runner.run(words, environ=self.environ, cwd=self.home)

    def ok(self, *words: str) -> Outcome:
        """Run a command that must succeed: the ground that the case stands on."""
        outcome = self.kaa(*words)
        assert outcome.code == 0, f"kaa {' '.join(words)}\n{outcome.text}"
        return outcome

    # What cases put into the world

    def offer(self, *packages: Package) -> ChannelBuilder:
        """A channel with these packages."""
        return ChannelBuilder(self.served).add(*packages).write()

    def offer_bytes(self, content: bytes, *, extension: str = ".conda", **record: Any) -> None:
        """A channel with one package `tool-1.0-0` of exactly these bytes."""
        package = Package("tool", extension=".tar.bz2" if extension == ".tar.bz2" else ".conda")
        builder = ChannelBuilder(self.served)
        path = self.served / "linux-64" / package.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        builder.add_record(package.file_name, {**package.record(content), **record})
        builder.write()

    def offer_entries(self, *entries: Entry, extension: str = ".conda") -> None:
        """A channel with one package `tool-1.0-0` of these raw members."""
        self.offer_bytes((tar_bz2 if extension == ".tar.bz2" else conda)(*entries), extension=extension)

    def offer_document(self, document: object, subdir: str = "linux-64") -> None:
        """A channel whose repodata is whatever this is: text, bytes, or a value for JSON."""
        ChannelBuilder(self.served).write()
        text = document if isinstance(document, bytes | str) else json.dumps(document)
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        folder = self.served / subdir
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "repodata.json").write_bytes(data)
        (folder / "repodata.json.zst").write_bytes(zstandard.ZstdCompressor().compress(data))

    def make_environment(self, *packages: Package, name: str = "env") -> Path:
        """An environment with these packages, and a file of the user's."""
        self.offer(*(packages or (Package("good", files={"share/good": "good"}),)))
        names = [package.name for package in packages] or ["good"]
        self.ok("create", "-y", "-n", name, *self.channel, *names)
        (self.environment(name) / "users-own").write_text("mine")
        return self.environment(name)

    def add_record(self, environment: Path, **fields: Any) -> Path:
        """A record in conda-meta that no honest program wrote."""
        record: dict[str, Any] = {
            "name": "evil",
            "version": "1.0",
            "build": "0",
            "build_number": 0,
            "depends": [],
            "channel": "https://nowhere.invalid/c/linux-64",
            "subdir": "linux-64",
            "fn": "evil-1.0-0.conda",
            "url": "https://nowhere.invalid/c/linux-64/evil-1.0-0.conda",
            "files": [],
            "paths_data": {"paths_version": 1, "paths": []},
            **fields,
        }
        path = environment / "conda-meta" / "evil-1.0-0.json"
        path.write_text(json.dumps(record))
        return path

    # What stands there

    def cached(self) -> dict[str, Found]:
        """What lies unpacked in the cache; its records and lists of addresses are kaa's own affair."""
        return {
            path: found
            for path, found in tree(self.packages, times=False).items()
            if not path.startswith(("cache", ".", "urls")) and "/" in path and not path.endswith("repodata_record.json")
        }

    def tree(self, *, ignore_environment: str = "") -> dict[str, Found]:
        """All of the case's directory but what kaa keeps for itself, and an environment."""
        skipped = (
            *OWN_FILES,
            *([f"home/root/{ignore_environment}/".replace("/./", "/")] if ignore_environment else []),
        )
        made = ("home/root", "home/root/envs", "home/root/pkgs")
        ignored = frozenset({"served", *(name.rstrip("/") for name in skipped)})
        return {
            path: found
            for path, found in tree(self.folder, times=False, ignore=ignored).items()
            if not f"{path}/".startswith(skipped) and path not in made and not path.startswith("served")
        }


Words: TypeAlias = Sequence[str]
Make: TypeAlias = Callable[[World], Sequence[str]]
"""Makes what is hostile, and gives the words of the command that meets it."""


@dataclass(frozen=True)
class Refused:
    """The command ends with this error, which matches the patterns and names a way out; nothing was changed."""

    name: str
    patterns: tuple[str, ...] = ()
    code: int = 1
    way_out: bool = True
    """Whether there is a hint; what is drawn with a caret below the fault, or explained as a conflict, needs none."""

    def __str__(self) -> str:
        # Where conda has no name for an error, the text begins with this.
        return "refused" if self.name == "error" else f"refused: `{self.name}`"


@dataclass(frozen=True)
class Harmless:
    """The command does its work, `how` without harm; only the environment changes, and `check` holds."""

    how: str
    check: Callable[[World, Outcome], None] = lambda world, outcome: None
    codes: tuple[int, ...] = (0,)

    def __str__(self) -> str:
        return f"harmless: {self.how}"


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    make: Make
    expected: Refused | Harmless
    changes: str = ""
    """What the command may change below the root prefix, when it is harmless: `envs/new`, or `.` for all of it."""


Cases: TypeAlias = Mapping[str, Case]

STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What could steer a terminal, or show text in another order than it has."""


def check_case(case: Case, world: World) -> Outcome:
    """Make the case, run its command, and hold the outcome against what is expected of all and of this one."""
    words = case.make(world)
    before, environments, cached = world.tree(ignore_environment=case.changes), world.tree(), world.cached()
    outcome = world.kaa(*words)
    shown = f"kaa {' '.join(words)[:300]}\ncode {outcome.code}\n{outcome.text[:4000]}"
    assert "Traceback" not in outcome.text, shown
    assert "fault in kaa" not in outcome.text, shown
    assert outcome.code >= 0, shown
    steering = STEERING.search(outcome.text)
    assert steering is None, f"{steering} in {shown!r}"
    assert not outcome.left_processes, shown
    after = world.tree(ignore_environment=case.changes)
    assert {path: after.get(path) for path in before} == before, shown
    assert after.keys() - before.keys() == set(), shown
    assert {path: found for path, found in world.cached().items() if path in cached} == cached, shown
    assert [path.name for path in world.packages.glob(".*~")] == [], shown
    if isinstance(case.expected, Refused):
        assert world.tree() == environments, shown
        assert outcome.code == case.expected.code, shown
        assert re.search(case.expected.name, outcome.text), shown
        assert "try:" in outcome.text or not case.expected.way_out, shown
        for pattern in case.expected.patterns:
            assert re.search(pattern, outcome.text, re.DOTALL), f"{pattern!r} does not match\n{shown}"
    else:
        assert outcome.code in case.expected.codes, shown
        case.expected.check(world, outcome)
    return outcome
