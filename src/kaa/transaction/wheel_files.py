"""What an installation adds to the files of a wheel in its `.dist-info` (PEP 376, 610, 627).

The unpacked RECORD lists what lies in site-packages. Programs, data and headers stand elsewhere in every environment,
so their lines are added when the package is linked; REQUESTED tells that a user asked for the package, and
direct_url.json that it came from an address of its own. A RECORD with nothing to add is linked as it is. Scripts with
the environment's path in them have lines without a hash: they change when the environment is moved.
"""

# Paths are strings here, as everywhere in a transaction.
from __future__ import annotations

import binascii
import hashlib
import posixpath

import msgspec

from kaa.models.artifact import is_python_distribution
from kaa.models.record import RepoDataRecord
from kaa.package_cache.extracted_package import ExtractedPackage, UnreadablePackage
from kaa.transaction.actions import How, PackageActions, PathAction
from kaa.transaction.noarch_python import SITE_PACKAGES
from kaa.transaction.plan import PythonInfo

INDEXES = "pypi"
"""How the channels of package indexes begin."""
_RECORD = ".dist-info/RECORD"


def with_installation(
    planned: PackageActions, package: ExtractedPackage, python: PythonInfo | None, *, requested: bool
) -> PackageActions:
    """The actions for a wheel with the files that tell of its installation; those of other packages as they are."""
    if python is None or not is_python_distribution(planned.record.fn):
        return planned
    position = find_record(planned)
    if position is None:
        return planned
    record = planned.actions[position]
    information = record.target.removesuffix("RECORD")
    added = _added(planned.record, information, requested=requested)
    below = f"{python.site_packages}/"
    # What lies below site-packages is listed already, or bytecode, which nobody lists.
    others = [one for one in planned.actions if not one.target.startswith(below) and one.how is not How.DIRECTORY]
    if not others and not added:
        return planned
    text = "".join(_line(action, python.site_packages) for action in (*others, *added))
    file = package.directory / record.source
    try:
        content = file.read_bytes() + text.encode(errors="surrogateescape")
    except OSError as error:
        raise UnreadablePackage(file, error.strerror or str(error)) from error
    written = PathAction(How.WRITE, "", record.target, None, "hardlink", content)
    actions = (*planned.actions[:position], written, *planned.actions[position + 1 :], *added)
    return PackageActions(planned.record, actions)


def find_record(planned: PackageActions) -> int | None:
    """Where the RECORD of a wheel stands among its actions."""
    for position, action in enumerate(planned.actions):
        source = action.source
        if source.endswith(_RECORD) and source.startswith(SITE_PACKAGES) and source.count("/") == 2:
            return position
    return None


def _added(record: RepoDataRecord, information: str, *, requested: bool) -> list[PathAction]:
    found = []
    if requested:
        found.append(PathAction(How.WRITE, "", f"{information}REQUESTED", None, "hardlink"))
    if not record.channel.startswith(INDEXES):
        content = msgspec.json.encode(_direct_url(record))
        found.append(PathAction(How.WRITE, "", f"{information}direct_url.json", None, "hardlink", content))
    return found


def _direct_url(record: RepoDataRecord) -> dict[str, object]:
    """Where a wheel came from, if not from an index (PEP 610)."""
    hashes = {"sha256": record.sha256} if record.sha256 else {}
    return {"url": record.url, "archive_info": {"hashes": hashes} if hashes else {}}


def _line(action: PathAction, site_packages: str) -> str:
    """The line of RECORD for a file that the unpacked one does not list."""
    entry, digest, size = action.entry, "", ""
    if entry is None and action.target.startswith(f"{site_packages}/"):
        digest, size = _encoded(hashlib.sha256(action.content).digest()), str(len(action.content))
    elif entry is not None and entry.sha256 and action.how is not How.RENDER:
        digest, size = _encoded(bytes.fromhex(entry.sha256)), str(entry.size_in_bytes)
    path = posixpath.relpath(action.target, site_packages)
    if "," in path or '"' in path:
        path = '"' + path.replace('"', '""') + '"'
    return f"{path},{digest},{size}\n"


def _encoded(digest: bytes) -> str:
    text = binascii.b2a_base64(digest, newline=False).decode().rstrip("=")
    return f"sha256={text.replace('+', '-').replace('/', '_')}"
