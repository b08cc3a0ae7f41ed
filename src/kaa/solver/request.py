"""What a solve is asked: jobs, what is installed, and the options."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.virtual_package import VirtualPackage

ChannelPriority: TypeAlias = Literal["strict", "flexible", "disabled"]
Strategy: TypeAlias = Literal["highest", "lowest", "lowest-direct"]


@dataclass(frozen=True, slots=True)
class SolveOptions:
    """How to choose.

    `channel_priority`: with "strict" a name comes from the first channel that has it, with "flexible" an earlier
    channel wins against a better version, with "disabled" the order of channels decides between equals only.
    `strategy`: "lowest" takes the lowest version of everything, "lowest-direct" of what was asked for by name.
    `time_limit`: seconds after which the search gives up.
    """

    channel_priority: ChannelPriority = "strict"
    strategy: Strategy = "highest"
    time_limit: float | None = None


@dataclass(frozen=True, slots=True)
class SolveRequest:
    """What is to be installed, removed and updated in an environment, and what must hold meanwhile.

    `history` holds the specs of earlier requests: they go on holding for what is installed, unless a job names the
    same package. `pins` hold for what gets installed, and install nothing. `freeze_installed` keeps every installed
    package as it is, but for those that a job names. `no_deps` changes nothing but the named packages, `only_deps`
    everything but them. `prune` removes, with what is removed, what nothing else needs and nobody asked for.
    """

    install: tuple[MatchSpec, ...] = ()
    remove: tuple[MatchSpec, ...] = ()
    update: tuple[MatchSpec, ...] = ()
    update_all: bool = False
    installed: tuple[RepoDataRecord, ...] = ()
    history: tuple[MatchSpec, ...] = ()
    pins: tuple[MatchSpec, ...] = ()
    freeze_installed: bool = False
    no_deps: bool = False
    only_deps: bool = False
    prune: bool = False
    virtual_packages: tuple[VirtualPackage, ...] = ()
    options: SolveOptions = field(default_factory=SolveOptions)
