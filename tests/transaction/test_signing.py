from __future__ import annotations

import sys
from pathlib import Path

from kaa.transaction.signing import BATCH, needs_signing, sign_binaries


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
    return str(path)


def test_files_are_signed_in_batches(tmp_path: Path) -> None:
    log = tmp_path / "log"
    codesign = program(tmp_path / "codesign", f'echo "$1 $2 $3 $#" >> {log}\n')
    assert sign_binaries([Path(f"/lib/{number}") for number in range(BATCH + 2)], codesign) == ""
    assert log.read_text().splitlines() == [f"--sign - --force {BATCH + 3}", "--sign - --force 5"]


def test_nothing_to_sign_runs_nothing() -> None:
    assert sign_binaries([], "/no/such/program") == ""


def test_failures_are_told(tmp_path: Path) -> None:
    assert sign_binaries([Path("/a")], program(tmp_path / "one", "echo broken >&2; exit 1\n")) == "broken"
    assert "ended with code 3" in sign_binaries([Path("/a")], program(tmp_path / "two", "exit 3\n"))
    assert "/no/such/program" in sign_binaries([Path("/a")], "/no/such/program")


def test_only_where_it_is_needed_and_possible() -> None:
    assert needs_signing("osx-arm64") is (sys.platform == "darwin")
    assert not needs_signing("linux-64")
    assert not needs_signing("osx-64")
