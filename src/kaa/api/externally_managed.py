"""The mark by which pip and uv know that an environment is not theirs to change (PEP 668), where that is wanted."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from kaa.host.files import read_regular_file
from kaa.transaction.plan import PutFile, PythonInfo, Transaction, python_of

NAME = "EXTERNALLY-MANAGED"
CONTENT = b"""[externally-managed]
Error=This environment is managed by kaa.

 Packages come from channels, and from PyPI, with
     kaa install --prefix PREFIX NAME
     kaa install --prefix PREFIX pypi::NAME
 The option externally_managed of kaa says that pip leaves it alone.
"""
_OWN = b"managed by kaa"
_LIMIT = 1 << 16


def marked(transaction: Transaction) -> Transaction:
    """The change with the mark beside the modules of python; the mark of somebody else stays."""
    prefix = transaction.prefix
    path = marker_path(transaction.python)
    before = marker_path(python_of(transaction.current, transaction.subdir))
    files = transaction.files
    if before and before != path and is_ours(prefix / before):
        files = replace(files, remove=(*files.remove, before))
    if path and not (prefix / path).exists():
        content = CONTENT.replace(b"PREFIX", str(prefix).encode(errors="surrogateescape"))
        files = replace(files, put=(*files.put, PutFile(path, content=content)))
    return transaction if files is transaction.files else replace(transaction, files=files)


def marker_path(python: PythonInfo | None) -> str:
    """Where pip looks for the mark: beside the standard library; empty where there is no python."""
    return f"{python.site_packages.rpartition('/')[0]}/{NAME}" if python is not None else ""


def is_ours(path: Path) -> bool:
    """Whether a mark is there, and kaa wrote it."""
    try:
        return _OWN in read_regular_file(path, _LIMIT)
    except OSError:
        return False
