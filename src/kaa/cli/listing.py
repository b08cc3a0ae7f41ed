"""The rows of `kaa list` and their columns."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import msgspec

from kaa.cli.configuring import ArgumentsMissing
from kaa.cli.output import size_text
from kaa.cli.records import PYPI, ChannelNames, list_json
from kaa.models.prefix_record import PrefixRecord

PYPI_BUILD = "pypi_0"
USUAL_FIELDS = ("name", "version", "build", "channel_name")
FIELDS = (
    *USUAL_FIELDS,
    "build_number", "build_string", "channel", "base_url", "dist_name", "platform", "subdir", "fn", "url", "md5",
    "sha256", "size", "license", "license_family", "noarch", "timestamp", "arch", "depends", "constrains",
    "track_features", "requested_spec",
)  # fmt: skip
"""What `--fields` can name."""
HEADINGS = {"channel_name": "Channel"}
WIDTHS = {"name": 23}


class Row(msgspec.Struct, frozen=True):
    """A line of the list; `record` is None for what pip installed."""

    name: str
    version: str
    record: PrefixRecord | None

    @property
    def size(self) -> int | None:
        """The bytes of a package's files, as far as its record tells."""
        if self.record is None:
            return None
        return sum(path.size_in_bytes or 0 for path in self.record.paths_data.paths)


def parse_fields(text: str) -> tuple[str, ...]:
    """The names in `a,b`; raises ArgumentsMissing."""
    fields = tuple(filter(None, (name.strip() for name in text.split(","))))
    for name in fields:
        if name not in FIELDS:
            near: list[str] = importlib.import_module("difflib").get_close_matches(name, FIELDS, n=2)
            raise ArgumentsMissing(
                f"{name!r} is no field of a package",
                hints=tuple(f"did you mean {one}?" for one in near) or (f"the fields are {', '.join(FIELDS)}",),
            )
    if not fields:
        raise ArgumentsMissing("--fields names no field", hints=(f"the fields are {', '.join(FIELDS)}",))
    return fields


def row_json(row: Row, names: ChannelNames, *, size: bool = False) -> dict[str, object]:
    """A package with the eight keys of conda's list, and its size where that was asked for."""
    more = {"size": row.size} if size else {}
    if row.record is not None:
        return {**list_json(row.record, names), **more}
    return {
        "base_url": names.pypi_url,
        "build_number": 0,
        "build_string": PYPI_BUILD,
        "channel": PYPI,
        "dist_name": f"{row.name}-{row.version}-{PYPI_BUILD}",
        "name": row.name,
        "platform": PYPI,
        "version": row.version,
        **more,
    }


def table_lines(
    prefix: str, rows: Sequence[Row], names: ChannelNames, *, fields: Sequence[str], urls: bool | None
) -> list[str]:
    """The table under three lines of header; the column of channels is empty for default ones, unless told."""
    header = [HEADINGS.get(field) or field.replace("_", " ").capitalize() for field in fields]
    header[0] = f"# {header[0]}"
    cells = [header, *([_cell(row, field, names, urls=urls) for field in fields] for row in rows)]
    widths = [max(*(len(cell[column]) for cell in cells), WIDTHS.get(field, 0)) for column, field in enumerate(fields)]
    lines = ["   ".join(f"{text:<{widths[column]}}" for column, text in enumerate(cell)).rstrip() for cell in cells]
    return [f"# packages in environment at {prefix}:", "#", *lines]


def _cell(row: Row, field: str, names: ChannelNames, *, urls: bool | None) -> str:
    if field == "channel_name":
        hidden = row.record is not None and (urls is False or (urls is None and names.is_default(row.record)))
        return "" if hidden else PYPI if row.record is None else names.of(row.record)
    if field == "size":
        return "" if row.size is None else size_text(row.size)
    document = row_json(row, names)
    name = {"build": "build_string"}.get(field, field)
    if name in document:
        return str(document[name])
    value = getattr(row.record, field, None)
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
