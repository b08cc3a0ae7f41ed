"""The record of an installed package, `conda-meta/<name>-<version>-<build>.json` (CEP 32)."""

from __future__ import annotations

import enum

import msgspec

from kaa.models.record import RepoDataRecord, Size


class LinkType(enum.IntEnum):
    """How a package's files came into the environment, in conda's numbers."""

    HARDLINK = 1
    SOFTLINK = 2
    COPY = 3
    DIRECTORY = 4


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Where a package was linked from (its extracted directory), and how."""

    source: str
    type: LinkType = LinkType.HARDLINK


class InstalledPath(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One installed path, as `paths_data` keeps it.

    `path` is the path within the package (noarch python: `site-packages/…`), as conda records it; the path within the
    environment stands at the same place in `PrefixRecord.files` for packaged files.
    """

    path: str = msgspec.field(name="_path")
    path_type: str = "hardlink"
    """hardlink, softlink, directory, pyc_file, unix_python_entry_point, windows_python_entry_point_script or _exe."""
    file_mode: str | None = None
    prefix_placeholder: str | None = None
    no_link: bool = False
    sha256: str | None = None
    sha256_in_prefix: str | None = None
    size_in_bytes: Size = None
    inode_paths: tuple[str, ...] = ()
    original_path: str | None = None
    """Where a file belongs that was set aside because another package brings the same; `path` is where it lies."""


class PathsData(msgspec.Struct, frozen=True, kw_only=True):
    """The `paths_data` of a prefix record."""

    paths_version: int = 1
    paths: tuple[InstalledPath, ...] = ()


class PrefixRecord(RepoDataRecord, frozen=True, kw_only=True, omit_defaults=True):
    """A record of conda-meta; `files` are posix paths below the environment, generated files included."""

    extracted_package_dir: str = ""
    package_tarball_full_path: str = ""
    files: tuple[str, ...] = ()
    paths_data: PathsData = PathsData()
    link: Link | None = None
    requested_spec: str | None = None
    requested_specs: tuple[str, ...] = ()
