"""kaa: a conda-compatible environment and package manager.

The public names are offered lazily, so that importing `kaa` costs next to nothing.

>>> import kaa
>>> kaa.Version("1.1.0") == kaa.Version("1.1")
True
"""

from __future__ import annotations

TYPE_CHECKING = False  # not typing's: importing that would double the time of `kaa --version`
if TYPE_CHECKING:
    from kaa.api.cleaning import clean as clean
    from kaa.api.cleaning import plan_clean as plan_clean
    from kaa.api.environments import ChangeOptions as ChangeOptions
    from kaa.api.environments import plan_create as plan_create
    from kaa.api.environments import plan_explicit as plan_explicit
    from kaa.api.environments import plan_install as plan_install
    from kaa.api.environments import plan_remove as plan_remove
    from kaa.api.environments import plan_update as plan_update
    from kaa.api.execution import execute as execute
    from kaa.api.execution import missing_packages as missing_packages
    from kaa.api.explicit import fetch_explicit as fetch_explicit
    from kaa.api.generations import compare_generations as compare_generations
    from kaa.api.generations import read_environment_history as read_environment_history
    from kaa.api.going_back import plan_rollback as plan_rollback
    from kaa.api.going_back import plan_undo as plan_undo
    from kaa.api.going_back import restore_generation as restore_generation
    from kaa.api.information import describe_installation as describe_installation
    from kaa.api.listing import list_environments as list_environments
    from kaa.api.listing import read_environment as read_environment
    from kaa.api.problems import ProblemWriter as ProblemWriter
    from kaa.api.problems import solve_problem as solve_problem
    from kaa.api.pruning import plan_pruning as plan_pruning
    from kaa.api.pruning import prune_generations as prune_generations
    from kaa.api.recording import change_variables as change_variables
    from kaa.api.recovering import recover_environment as recover_environment
    from kaa.api.relocating import plan_clone as plan_clone
    from kaa.api.relocating import plan_move as plan_move
    from kaa.api.relocating import plan_rename as plan_rename
    from kaa.api.relocating import relocate as relocate
    from kaa.api.removal import plan_environment_removal as plan_environment_removal
    from kaa.api.removal import remove_environment as remove_environment
    from kaa.api.repairing import plan_repair as plan_repair
    from kaa.api.repairing import repair_environment as repair_environment
    from kaa.api.searching import search_packages as search_packages
    from kaa.api.session import Session as Session
    from kaa.api.session import open_session as open_session
    from kaa.api.verifying import verify_environment as verify_environment
    from kaa.api.why import explain_planned_presence as explain_planned_presence
    from kaa.api.why import explain_presence as explain_presence
    from kaa.api.why_not import explain_absence as explain_absence
    from kaa.errors import KaaError as KaaError
    from kaa.models.match_spec import InvalidMatchSpec as InvalidMatchSpec
    from kaa.models.match_spec import MatchSpec as MatchSpec
    from kaa.models.prefix_record import PrefixRecord as PrefixRecord
    from kaa.models.record import PackageRecord as PackageRecord
    from kaa.models.record import RepoDataRecord as RepoDataRecord
    from kaa.models.version import InvalidVersion as InvalidVersion
    from kaa.models.version import Version as Version
    from kaa.models.version_spec import InvalidVersionSpec as InvalidVersionSpec
    from kaa.models.version_spec import VersionSpec as VersionSpec
    from kaa.transaction.plan import Transaction as Transaction

__version__ = "0.1.0"

_PUBLIC = {
    "ChangeOptions": "kaa.api.environments",
    "InvalidMatchSpec": "kaa.models.match_spec",
    "InvalidVersion": "kaa.models.version",
    "InvalidVersionSpec": "kaa.models.version_spec",
    "KaaError": "kaa.errors",
    "MatchSpec": "kaa.models.match_spec",
    "PackageRecord": "kaa.models.record",
    "PrefixRecord": "kaa.models.prefix_record",
    "ProblemWriter": "kaa.api.problems",
    "RepoDataRecord": "kaa.models.record",
    "Session": "kaa.api.session",
    "Transaction": "kaa.transaction.plan",
    "Version": "kaa.models.version",
    "VersionSpec": "kaa.models.version_spec",
    "change_variables": "kaa.api.recording",
    "clean": "kaa.api.cleaning",
    "compare_generations": "kaa.api.generations",
    "describe_installation": "kaa.api.information",
    "execute": "kaa.api.execution",
    "explain_absence": "kaa.api.why_not",
    "explain_planned_presence": "kaa.api.why",
    "explain_presence": "kaa.api.why",
    "fetch_explicit": "kaa.api.explicit",
    "list_environments": "kaa.api.listing",
    "missing_packages": "kaa.api.execution",
    "open_session": "kaa.api.session",
    "plan_clean": "kaa.api.cleaning",
    "plan_clone": "kaa.api.relocating",
    "plan_create": "kaa.api.environments",
    "plan_environment_removal": "kaa.api.removal",
    "plan_explicit": "kaa.api.environments",
    "plan_install": "kaa.api.environments",
    "plan_pruning": "kaa.api.pruning",
    "plan_move": "kaa.api.relocating",
    "plan_remove": "kaa.api.environments",
    "plan_rename": "kaa.api.relocating",
    "plan_repair": "kaa.api.repairing",
    "plan_rollback": "kaa.api.going_back",
    "plan_undo": "kaa.api.going_back",
    "plan_update": "kaa.api.environments",
    "prune_generations": "kaa.api.pruning",
    "read_environment": "kaa.api.listing",
    "read_environment_history": "kaa.api.generations",
    "recover_environment": "kaa.api.recovering",
    "relocate": "kaa.api.relocating",
    "remove_environment": "kaa.api.removal",
    "repair_environment": "kaa.api.repairing",
    "restore_generation": "kaa.api.going_back",
    "search_packages": "kaa.api.searching",
    "solve_problem": "kaa.api.problems",
    "verify_environment": "kaa.api.verifying",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'kaa' has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - only who asks for a name pays for it

    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
