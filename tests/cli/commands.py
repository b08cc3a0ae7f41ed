"""Run kaa's commands in this process, in a home of their own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kaa.cli.main import main


@dataclass(frozen=True)
class Answer:
    """What a command left: its exit code and its two outputs."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, all of it, as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Kaa:
    """A user with an empty home, an empty root prefix, and the platform linux-64."""

    home: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def root(self) -> Path:
        return self.home / "root"

    @property
    def packages(self) -> Path:
        return self.root / "pkgs"

    def environment(self, name: str) -> Path:
        return self.root / "envs" / name

    def __call__(self, *words: str) -> Answer:
        """Run one command; what it reads from standard input is empty."""
        self.capsys.readouterr()
        try:
            code = main(list(words))
        except SystemExit as exit:
            code = exit.code if isinstance(exit.code, int) else 1
        captured = self.capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    def ok(self, *words: str) -> Answer:
        """Run one command that must succeed."""
        answer = self(*words)
        assert answer.code == 0, f"kaa {' '.join(words)} failed:\n{answer.out}\n{answer.err}"
        return answer

    def tree(self, path: Path) -> dict[str, str]:
        """What `tree_of` sees."""
        return tree_of(path)


def tree_of(path: Path) -> dict[str, str]:
    """Every path below a directory with its kind and content, to compare before with after."""
    found = {}
    for child in sorted(path.rglob("*")):
        name = child.relative_to(path).as_posix()
        if child.is_symlink():
            found[name] = f"-> {child.readlink()}"
        elif child.is_dir():
            found[name] = "directory"
        else:
            found[name] = f"{child.stat().st_mode & 0o777:o} {child.read_bytes().hex()[:4000]}"
    return found
