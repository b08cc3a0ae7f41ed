"""Differences between two states of an environment, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kaa.cli.records import ChannelNames
from kaa.models.version import InvalidVersion, Version
from kaa.prefix.differences import Differences, Identified, PackageDifference
from kaa.prefix.generations import InstalledDistribution

MOST_NAMES = 3


def summary(changes: Differences) -> str:
    """`+2 ~1: numpy, pandas, python; pip +1: rich; variables`; empty when nothing changed."""
    parts = []
    for kind, found in (("", changes.packages), ("pip ", changes.distributions)):
        marks = [_mark(one.old, one.new) for one in found]
        counts = [f"{mark}{marks.count(mark)}" for mark in "+~-" if mark in marks]
        if counts:
            names = [one.name for one in found]
            more = ", …" if len(names) > MOST_NAMES else ""
            parts.append(f"{kind}{' '.join(counts)}: {', '.join(names[:MOST_NAMES])}{more}")
    if changes.overwritten and not changes.distributions:
        parts.append(f"pip took away {', '.join(changes.overwritten[:MOST_NAMES])}")
    if changes.requested_specs and not changes.packages:
        parts.append("requests")
    parts += ["variables"] if changes.variables else []
    parts += ["pins"] if changes.pins_text else []
    return "; ".join(parts)


def difference_lines(changes: Differences, names: ChannelNames) -> Iterator[str]:
    """The differences, one line each, below headings."""
    if changes.packages:
        yield "  packages:"
        for package in changes.packages:
            yield f"    {_mark(package.old, package.new)} {package.name} {_package_text(package, names)}"
    if changes.requested_specs:
        yield "  asked for:"
        for text in changes.requested_specs:
            yield f"    {_mark(text.old, text.new)} {_both(text.old, text.new, ' -> ')}"
    if changes.distributions:
        yield "  by pip:"
        for found in changes.distributions:
            versions = _both(_version(found.old), _version(found.new), " -> ")
            again = " (other files)" if found.old and found.new and found.old.version == found.new.version else ""
            name = (found.new or found.old or found).name
            yield f"    {_mark(found.old, found.new)} {name} {versions}{again}"
    if changes.overwritten:
        yield "  packages whose files pip changed:"
        yield from (f"    {name}" for name in changes.overwritten)
    if changes.variables:
        yield "  variables:"
        for text in changes.variables:
            yield f"    {_mark(text.old, text.new)} {text.name} = {_both(text.old, text.new, ' -> ')}"
    if changes.pins_text:
        yield "  pins:"
        yield from (f"    - {pin}" for pin in changes.removed_pins)
        yield from (f"    + {pin}" for pin in changes.added_pins)
        if not changes.removed_pins and not changes.added_pins:
            yield "    comments only"


def _package_text(change: PackageDifference, names: ChannelNames) -> str:
    old, new = change.old, change.new
    if old is None or new is None:
        one = new or old
        assert one is not None
        return f"{one.version} {one.build} ({names.of_url(one.channel)})"
    if old.version != new.version:
        return f"{old.version} -> {new.version}"
    if old.build != new.build:
        return f"{old.version} {old.build} -> {new.build}"
    channels = (names.of_url(old.channel), names.of_url(new.channel))
    return f"{new.version} {new.build} ({' -> '.join(dict.fromkeys(channels))}, other content)"


def _version(found: InstalledDistribution | None) -> str | None:
    return found.version if found is not None else None


def _mark(old: object, new: object) -> str:
    return "+" if old is None else "-" if new is None else "~"


def _both(old: str | None, new: str | None, arrow: str) -> str:
    return arrow.join(dict.fromkeys(text for text in (old, new) if text is not None))


# -- for programs -----------------------------------------------------------------------------------------------------


def differences_json(changes: Differences) -> dict[str, object]:
    """The differences as data."""
    return {
        "packages": [
            {
                "name": one.name,
                "change": _word(one),
                "old": _package_json(one.old),
                "new": _package_json(one.new),
            }
            for one in changes.packages
        ],
        "requested_specs": [_texts_json(one.name, one.old, one.new) for one in changes.requested_specs],
        "pip": [
            {"name": one.name, "old": _distribution_json(one.old), "new": _distribution_json(one.new)}
            for one in changes.distributions
        ],
        "overwritten": list(changes.overwritten),
        "variables": [_texts_json(one.name, one.old, one.new) for one in changes.variables],
        "pins": {"removed": list(changes.removed_pins), "added": list(changes.added_pins)},
    }


def _word(change: PackageDifference) -> str:
    if change.old is None or change.new is None:
        return "install" if change.old is None else "remove"
    try:
        old, new = Version(change.old.version), Version(change.new.version)
    except InvalidVersion:
        return "change"
    return "update" if old < new else "downgrade" if old > new else "change"


def _package_json(package: Identified | None) -> dict[str, object] | None:
    if package is None:
        return None
    keys: Sequence[str] = ("name", "version", "build", "subdir", "channel", "url", "sha256", "md5")
    return {"dist_name": package.dist, **{key: getattr(package, key) for key in keys}}


def _distribution_json(found: InstalledDistribution | None) -> dict[str, object] | None:
    if found is None:
        return None
    return {
        "name": found.name,
        "version": found.version,
        "installer": found.installer,
        "editable_source": found.editable_source,
    }


def _texts_json(name: str, old: str | None, new: str | None) -> dict[str, object]:
    return {"name": name, "old": old, "new": new}
