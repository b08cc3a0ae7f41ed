"""Make the package of an interpreter as it lies unpacked in a cache, without an archive in between."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from kaa.errors import KaaError
from kaa.models.package_info import IndexJson
from kaa.models.record import PackageRecord, RepoDataRecord
from kaa.pypi.interpreters.addresses import interpreter_of
from kaa.pypi.interpreters.candidates import record_of
from kaa.pypi.interpreters.description import Description, describe_interpreter
from kaa.pypi.interpreters.known import find_interpreters
from kaa.pypi.interpreters.packaging import built_package, compile_library, try_copy
from kaa.pypi.interpreters.staging import stage_interpreter

OF_RECORDS = {"sha256", "indexed_timestamp"}
"""What a package does not say of itself."""


class InterpreterChanged(KaaError):
    """An interpreter that an environment is to be made of is gone, or is another one now."""

    conda_name = "PackagesNotFoundError"

    def __init__(self, dist: str, interpreter: str, reason: str) -> None:
        self.dist = dist
        self.interpreter = interpreter
        self.reason = reason
        super().__init__(
            f"{dist} is made of {interpreter}, and {reason}; it is not in the package cache either",
            hints=(
                "solve anew, without a lock: another Python of this machine or of a channel is taken then",
                f"bring {interpreter} back as it was",
            ),
        )


def unpack_interpreter(
    record: RepoDataRecord, directory: Path, kept_in: Path | None, environ: Mapping[str, str] | None = None
) -> RepoDataRecord:
    """Make `directory` the unpacked package of a record, whose record is answered: with a hash, if it had none.

    Whichever interpreter of this machine has the record's fingerprint is taken, should its own be gone. `kept_in` is
    the directory of the file of answers. Raises InterpreterChanged, CannotPackage, OSError.
    """
    environ = os.environ if environ is None else environ
    found = _find(record, kept_in, environ)
    own = record_of(found, record.channel)
    staged = stage_interpreter(found.interpreter, directory, environ.get("LD_LIBRARY_PATH", ""), read_only=True)
    try_copy(staged, found.interpreter, environ)
    compile_library(staged, found.interpreter, adopting=True)
    facts = {name: getattr(own, name) for name in PackageRecord.__struct_fields__ if name not in OF_RECORDS}
    for path, content in built_package(IndexJson(**facts), staged, found.interpreter).info().items():
        staged.write(path, content)
    return record if record.sha256 else msgspec.structs.replace(record, sha256=found.fingerprint)


def _find(record: RepoDataRecord, kept_in: Path | None, environ: Mapping[str, str]) -> Description:
    """The interpreter of a record as it is now."""
    path = Path(interpreter_of(record))
    try:
        found = describe_interpreter(path, environ)
    except KaaError as error:
        reason = str(getattr(error, "reason", error.message)) if path.exists() else "it is not there any more"
    else:
        if _is_of(record, found):
            return found
        reason = "it is another one now"
    for other in find_interpreters(environ, kept_in).usable:
        if _is_of(record, other):
            return other
    raise InterpreterChanged(record.dist, str(path), reason)


def _is_of(record: RepoDataRecord, found: Description) -> bool:
    if record.sha256:
        return record.sha256 == found.fingerprint
    return record_of(found, "").dist == record.dist
