"""What can be had without a network: packages in the cache, interpreters and channels in folders of this machine."""

from __future__ import annotations

from kaa.models.record import RepoDataRecord
from kaa.package_cache.cache import PackageCache
from kaa.pypi.interpreters.addresses import is_interpreter


class PackagesOnHand:
    """The packages of a cache, as a solve asks for them (`kaa.solver.request.OnHand`)."""

    def __init__(self, cache: PackageCache) -> None:
        self._cache = cache
        self._dists: frozenset[str] | None = None

    def has_channel(self, channel: str) -> bool:
        """Whether all packages of a channel are on this machine: those in a folder are."""
        return channel.startswith(("file:", "pypi+file:"))

    def may_have(self, dist: str) -> bool:
        """Whether a package of this dist string is here, perhaps with other content."""
        if self._dists is None:
            self._dists = self._cache.dists()
        # A Python may be one of this machine, which is known by its record only.
        return dist in self._dists or dist.startswith("python-")

    def has(self, record: RepoDataRecord) -> bool:
        """Whether the package of a record is here, unpacked or as it was downloaded."""
        if is_interpreter(record):
            return True
        return self._cache.find(record) is not None or self._cache.find_archive(record) is not None
