"""Explicit lists of packages (CEP 23), as `kaa list --explicit` and `kaa export` print them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from kaa import __version__
from kaa.cli.called import program_name
from kaa.cli.main import CONDA_VERSION
from kaa.envfiles.text_specs import MARKER, ExplicitEntry, header
from kaa.models.record import RepoDataRecord


def list_header(subdir: str) -> str:
    """The comment lines at the top of a list, with the name by which kaa was called."""
    program = program_name()
    version = CONDA_VERSION if program == "conda" else __version__
    return header(subdir, f"{program} {version}", program)


def explicit_list(subdir: str, records: Sequence[RepoDataRecord], *, md5: bool, sha256: bool) -> str:
    """An explicit list of the packages, dependencies first, with the hashes that are asked for."""
    lines = []
    # Loaded for a list alone: planning is more than showing what is there needs.
    dependency_order = importlib.import_module("kaa.transaction.plan").dependency_order
    for record in dependency_order(records):
        if not record.url:
            lines.append(f"# no URL for: {record.fn or record.dist}")
        elif record.sha256 and (sha256 or (md5 and not record.md5)):
            # As conda writes it; the reader knows the kind of hash by its length. Indexes of wheels tell no MD5.
            lines.append(f"{record.url}#{record.sha256}")
        else:
            lines.append(str(ExplicitEntry(record.url, md5=record.md5 if md5 else None)))
    return list_header(subdir) + "\n".join([MARKER, *lines])
