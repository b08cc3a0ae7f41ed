"""Signing programs again after their prefix was replaced: macOS on arm64 starts nothing whose signature is broken."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from kaa.host.process import CannotRun, run

BATCH = 500
"""How many files one call is given."""


def needs_signing(subdir: str) -> bool:
    """Whether patched binaries for `subdir` must, and can, be signed on this machine."""
    return subdir == "osx-arm64" and sys.platform == "darwin"


def sign_binaries(paths: Sequence[Path], program: str = "codesign") -> str:
    """Give files a new signature without identity (ad hoc); what went wrong, or an empty text."""
    for start in range(0, len(paths), BATCH):
        try:
            done = run([program, "--sign", "-", "--force", *paths[start : start + BATCH]])
        except CannotRun as error:
            return error.message
        if done.code != 0:
            return done.stderr.decode(errors="replace").strip() or f"{program} ended with code {done.code}"
    return ""
