"""What becomes of the files that stand where a package's own are to be put again.

What a user may have made is kept. What is left of a package's own files, and what another installer put there and can
put there again, goes.
"""

# Paths are strings here, as in all that looks at many files.
# ruff: noqa: PTH112, PTH114, PTH118
from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kaa.api.repair_plan import PackageRepair
from kaa.models.prefix_record import InstalledPath, PrefixRecord
from kaa.prefix.damage import DamagedPackage, SeenPath, expected_hash
from kaa.prefix.distribution_files import hashes_of_distribution
from kaa.prefix.python_packages import PythonDistribution
from kaa.prefix.recorded_files import hash_and_size, inside_check
from kaa.prefix.verification import projects_of
from kaa.transaction.actions import bytecode_source, why_unsafe


class DamagedFiles:
    """Decides for the packages of one environment; the mappings are by dist string."""

    def __init__(
        self,
        prefix: Path,
        records: Sequence[PrefixRecord],
        paths: Mapping[str, Mapping[str, InstalledPath]],
        seen: Mapping[str, Mapping[str, SeenPath]],
        distributions: Mapping[PythonDistribution, frozenset[str]],
    ) -> None:
        self.prefix = prefix
        self.root = f"{prefix}{os.sep}"
        self.paths = paths
        self.seen = seen
        self.distributions = distributions
        self.owners: dict[str, set[str]] = {}
        for record in records:
            for path in paths[record.dist]:
                self.owners.setdefault(path, set()).add(record.dist)
        self.is_inside = inside_check(prefix)

    def plan(
        self, record: PrefixRecord, damaged: DamagedPackage | None, why: tuple[str, ...], source: str, set_aside: str
    ) -> PackageRepair:
        """The repair of a package that is linked again."""
        keep: dict[str, None] = {}
        remove: dict[str, None] = {}
        took_its_place = self._that_took_the_place(record)
        for distribution in took_its_place:
            digests = hashes_of_distribution(self.prefix, distribution)
            own = f"{distribution.metadata}/RECORD"
            for path in self._files_of(distribution, record.dist):
                if self._is_as_brought(path, digests.get(path)):
                    # Of the package's own files those that tell nothing may be a user's.
                    if path in digests or path == own or path not in self.paths[record.dist]:
                        remove[path] = None
                elif path not in self.paths[record.dist]:
                    keep[path] = None
        if damaged is not None:
            for one in damaged.changed:
                if one.path not in remove:
                    keep.update(dict.fromkeys(self._kept_at(record.dist, one.path)))
            for path in (*damaged.missing, *(one.path for one in damaged.changed)):
                keep.update(dict.fromkeys(self._in_the_way(path)))
        return PackageRepair(
            record=record,
            why=why,
            source=source,
            keep=tuple(keep),
            remove=tuple(path for path in remove if path not in keep),
            distributions=tuple(f"{one.name} {one.version}" for one in took_its_place),
            set_aside=set_aside,
        )

    def _that_took_the_place(self, record: PrefixRecord) -> list[PythonDistribution]:
        """The distributions of the project that a package is of."""
        projects = projects_of(record.files)
        return [one for one in self.distributions if one.normalized_name in projects]

    def _files_of(self, distribution: PythonDistribution, dist: str) -> Iterator[str]:
        """The files of a distribution that no other package has: those listed, its metadata, and bytecode."""
        listed = set(self.distributions[distribution])
        for folder, _, files in os.walk(self.root + distribution.metadata):
            below = folder[len(self.root) :].replace(os.sep, "/")
            listed.update(f"{below}/{name}" for name in files)
        folders = {path.rpartition("/")[0] for path in listed if path.endswith(".py")}
        for folder in folders:
            cache = f"{folder}/__pycache__"
            with contextlib.suppress(OSError):
                compiled = [f"{cache}/{file.name}" for file in Path(self.root + cache).iterdir()]
                listed.update(path for path in compiled if bytecode_source(path) in listed)
        for path in sorted(listed):
            if self.owners.get(path, set()) - {dist} or why_unsafe(path):
                continue
            if self.is_inside(path.rpartition("/")[0]) and _is_file(self.root + path):
                yield path

    def _is_as_brought(self, path: str, digest: str | None) -> bool:
        """Whether a file of a distribution has the content that its RECORD tells, if it tells any."""
        if digest is None:
            return True
        try:
            return hash_and_size(self.root + path)[0] == digest
        except OSError:
            return False

    def _kept_at(self, dist: str, path: str) -> Iterator[str]:
        """What is kept of what stands at the path of a file that changed."""
        there, entry = self.seen[dist][path], self.paths[dist][path]
        if there.kind in ("missing", "outside"):
            return
        if there.kind == "directory":
            yield from self._files_below(path)
            return
        # Of a file that lost its mode, or all its content, nothing is to be kept.
        if there.kind != "file" or (there.size and there.sha256 != expected_hash(entry)):
            yield path

    def _files_below(self, path: str) -> Iterator[str]:
        """The files below a directory that stands where a file belongs, unless they are a package's."""
        for folder, folders, files in os.walk(self.root + path):
            below = folder[len(self.root) :].replace(os.sep, "/")
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            for name in (*files, *links):
                if f"{below}/{name}" not in self.owners:
                    yield f"{below}/{name}"

    def _in_the_way(self, path: str) -> Iterator[str]:
        """What stands where a directory above a path belongs and is none of this environment, and is of no package."""
        parts = path.split("/")
        for count in range(1, len(parts)):
            above = "/".join(parts[:count])
            try:
                mode = os.lstat(self.root + above).st_mode
            except OSError:
                return
            if stat.S_ISDIR(mode):
                continue
            if stat.S_ISLNK(mode) and os.path.isdir(self.root + above) and self.is_inside(above):
                continue
            if above not in self.owners:
                yield above
            return


def _is_file(path: str) -> bool:
    return os.path.islink(path) or (os.path.lexists(path) and not os.path.isdir(path))
