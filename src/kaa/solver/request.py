"""What a solve is asked: jobs, what is installed, and the options."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import msgspec

from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.virtual_package import VirtualPackage
from kaa.solver.cutoffs import Cutoffs

ChannelPriority: TypeAlias = Literal["strict", "flexible", "disabled"]
Strategy: TypeAlias = Literal["highest", "lowest", "lowest-direct"]


class SolveOptions(msgspec.Struct, frozen=True):
    """How to choose.

    `channel_priority`: with "strict" a name comes from the first channel that has it, with "flexible" an earlier
    channel wins against a better version, with "disabled" the order of channels decides between equals only.
    `strategy`: "lowest" takes the lowest version of everything, "lowest-direct" of what was asked for by name.
    `time_limit`: seconds after which the search gives up. `cutoffs`: what is newer is left out, unless it is installed.
    """

    channel_priority: ChannelPriority = "strict"
    strategy: Strategy = "highest"
    time_limit: float | None = None
    cutoffs: Cutoffs = Cutoffs()


class OnHand(Protocol):
    """Which packages can be had without a network; asked when only those may be chosen."""

    def has_channel(self, channel: str) -> bool:
        """Whether all packages of a channel (by base URL) are on this machine."""

    def may_have(self, dist: str) -> bool:
        """Whether a package of this dist string is here, perhaps with other content."""

    def has(self, record: RepoDataRecord) -> bool:
        """Whether the package of a record is here."""


class SolveRequest(msgspec.Struct, frozen=True):
    """What is to be installed, removed and updated in an environment, and what must hold meanwhile.

    `history` holds the specs of earlier requests: they go on holding for what is installed, unless a job names the
    same package. `pins` hold for what gets installed, and install nothing. `freeze_installed` keeps every installed
    package as it is, but for those that a job names. `update_all` brings everything to the best candidate that fits,
    `update_deps` what the named packages need, `refresh` the packages of these names where they are installed; the
    former two hold the names of `history`, not the versions. With `on_hand` nothing is chosen that would have to be
    fetched. `no_deps` changes nothing but the named packages, `only_deps`
    everything but them. `prune` removes, with what is removed, what nothing else needs and nobody asked for.
    """

    install: tuple[MatchSpec, ...] = ()
    remove: tuple[MatchSpec, ...] = ()
    update: tuple[MatchSpec, ...] = ()
    update_all: bool = False
    update_deps: bool = False
    refresh: tuple[str, ...] = ()
    installed: tuple[RepoDataRecord, ...] = ()
    history: tuple[MatchSpec, ...] = ()
    pins: tuple[MatchSpec, ...] = ()
    freeze_installed: bool = False
    no_deps: bool = False
    only_deps: bool = False
    prune: bool = False
    virtual_packages: tuple[VirtualPackage, ...] = ()
    options: SolveOptions = msgspec.field(default_factory=SolveOptions)
    on_hand: OnHand | None = None
