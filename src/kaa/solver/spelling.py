"""Specs and package names as people write them, for sentences and command lines."""

from __future__ import annotations

from kaa.models.match_spec import MatchSpec


def spell(spec: MatchSpec) -> str:
    """A spec as people write it."""
    if spec.name is None or not spec.is_simple or spec.when is not None:
        return str(spec)
    if spec.extras:
        return f"{spec.name}[extras=[{','.join(spec.extras)}]]" if spec.version is None else str(spec)
    version = "" if spec.version is None else str(spec.version)
    head = spec.name + version if version[:1] in "=<>!~" else f"{spec.name} {version}"
    if spec.build is None:
        return head
    return f"{head}={spec.build}" if version.startswith("==") else str(spec)
