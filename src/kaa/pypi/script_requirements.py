"""The requirements of a Python script (PEP 723) as specs for conda channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from packaging.utils import canonicalize_name
from packaging.version import Version

from kaa.errors import KaaError
from kaa.pypi.markers import Target, comparisons, decide
from kaa.pypi.pep440 import conda_name, conda_version_spec
from kaa.pypi.requirements import parse_requirements


class NotInChannels(KaaError):
    """Requirements of PyPI that no channel can serve."""

    conda_name = "PackagesNotFoundInChannelsError"

    def __init__(self, requirements: Sequence[str], channels: Sequence[str], reason: str = "") -> None:
        self.requirements = list(requirements)
        self.channels = list(channels)
        searched = f" (searched {', '.join(channels)})" if channels else ""
        super().__init__(
            f"{', '.join(requirements)}: {reason or 'no channel has a package of that name'}{searched}",
            hints=(
                "take what the other channels have not from PyPI: add pypi to the channels",
                'name the conda package in the block, below [tool.kaa]: dependencies = ["NAME"], and take the '
                "requirement out",
                "name a channel that has it with -c, or in the block",
            ),
        )


class ScriptRequirements(msgspec.Struct, frozen=True):
    """What a script asks for, as specs, and what could not be said."""

    specs: tuple[str, ...]
    notes: tuple[str, ...] = ()
    is_open: bool = False
    """Whether what is needed depends on the version of python, which is not known yet; that is left out then."""


def conda_specs(
    requirements: Sequence[str],
    requires_python: str,
    subdir: str,
    has_name: Callable[[str], bool],
    channels: Sequence[str] = (),
    *,
    python: str = "",
    known_name: Callable[[str], str | None] = lambda project: None,
) -> ScriptRequirements:
    """The specs of a script's requirements, by the names under which channels have them, python among them.

    `python` is its whole version where that is settled; it then stays within that minor version. `known_name` tells
    the conda name of a project.

    Raises NotConvertible for what is no requirement, and NotInChannels.
    """
    parsed = parse_requirements("", requirements, requires_python, ())
    target = Target(Version(python) if python else None, subdir)
    specs, notes, missing = [f"python {conda_version_spec(requires_python)}".strip()], [], []
    is_open = False
    if target.python is not None:
        specs = [f"python {target.python.major}.{target.python.minor}.*"]
    for text, (requirement, marker) in zip(requirements, parsed.dists, strict=True):
        held = decide(marker, target)
        if held is False:
            continue
        if not isinstance(held, bool):
            if not python:
                is_open = True
                continue
            asked = ", ".join(sorted({comparison.variable for comparison in comparisons(held)}))
            notes.append(f"{requirement.name} is installed in any case: nothing tells {asked} of this machine")
        if requirement.url:
            raise NotInChannels([text], (), "it is wanted from a URL")
        known = known_name(requirement.name)
        names = dict.fromkeys([*([known] if known else ()), *possible_names(requirement.name)])
        name = next(filter(has_name, names), None)
        if name is None:
            missing.append(text)
            continue
        if requirement.extras:
            extras = ", ".join(sorted(requirement.extras))
            notes.append(f"{name}: the extras {extras} are not asked for; add the packages that they stand for")
        version = conda_version_spec(str(requirement.specifier))
        specs.append(f"{name} {version}".strip())
    if missing:
        raise NotInChannels(missing, channels)
    return ScriptRequirements(tuple(dict.fromkeys(specs)), tuple(notes), is_open)


def possible_names(project: str) -> tuple[str, ...]:
    """The names that a channel may have a Python project under, the likeliest first.

    >>> possible_names("ruamel.yaml")
    ('ruamel.yaml', 'ruamel-yaml', 'ruamel_yaml')
    """
    normal = conda_name(project)
    names = [normal, project.lower(), normal.replace("-", "_"), normal.replace("-", ".")]
    # A name as its project writes it is the one that its conda package mostly has.
    written = project.lower()
    if canonicalize_name(written) == normal and "." in written:
        names.insert(0, written)
    return tuple(dict.fromkeys(name for name in names if "." not in name or name == written))
