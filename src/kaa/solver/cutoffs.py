"""Which packages are too new to be chosen (`exclude_newer`).

The time of a record is its `indexed_timestamp`, which the server sets when a package first appears in a channel
(CEP 47). Where a channel has none, it is the record's `timestamp`: the time at which it was built, as its builder says.
A record with neither is taken for too new.
"""

from __future__ import annotations

import msgspec


class Cutoffs(msgspec.Struct, frozen=True):
    """Up to when packages must have been on offer, in milliseconds since 1970; None: no matter when.

    What is said of a package counts most, then what is said of its channel (by base URL).
    """

    everywhere: int | None = None
    channels: dict[str, int | None] = {}
    packages: dict[str, int | None] = {}

    @property
    def are_any(self) -> bool:
        """Whether anything at all is left out."""
        cutoffs = (self.everywhere, *self.channels.values(), *self.packages.values())
        return any(cutoff is not None for cutoff in cutoffs)

    def cutoff_of(self, name: str, channel: str) -> int | None:
        """What counts for a package of a channel."""
        if name in self.packages:
            return self.packages[name]
        return self.channels.get(channel, self.everywhere)
