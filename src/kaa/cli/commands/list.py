"""`kaa list`: the packages of an environment, as a table, as JSON, or as a file to make another one from."""

from __future__ import annotations

import importlib
import re
import shlex

from kaa.api.listing import EnvironmentContent, read_environment
from kaa.api.session import Session
from kaa.cli.arguments import add_output, add_target, flag, ignored
from kaa.cli.configuring import ArgumentsMissing, existing_target
from kaa.cli.listing import PYPI_BUILD, USUAL_FIELDS, Row, parse_fields, row_json, table_lines
from kaa.cli.output import print_json
from kaa.cli.plain_words import SUPPRESS
from kaa.cli.records import channel_names
from kaa.errors import KaaError
from kaa.prefix.python_packages import find_replaced

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

HELP = "Show the packages of an environment."

LISTS = "kaa.cli.explicit_lists"


class NoSuchPackages(KaaError):
    """A pattern that no installed package matches."""

    conda_name = "CondaValueError"

    def __init__(self, pattern: str, prefix: str) -> None:
        super().__init__(
            f"no package in {prefix} matches {pattern!r}",
            hints=(f"see all of them: kaa list --prefix {shlex.quote(prefix)}",),
        )
        self.pattern = pattern
        self.prefix = prefix


class PackageNotInstalled(KaaError):
    """A package that was named in full and is not there."""

    conda_name = "PackageNotInstalledError"

    def __init__(self, name: str, prefix: str) -> None:
        super().__init__(
            f"{name} is not installed in {prefix}", hints=(f"kaa install --prefix {shlex.quote(prefix)} {name}",)
        )
        self.package_name = name
        self.prefix = prefix


class InvalidPattern(KaaError):
    """A pattern that is no regular expression."""

    conda_name = "CondaValueError"

    def __init__(self, pattern: str, reason: str) -> None:
        super().__init__(
            f"{pattern!r} is no regular expression: {reason}",
            hints=("give a part of the name, or a regular expression of Python's re module",),
        )
        self.pattern = pattern


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", metavar="REGEX", help="only packages with names that match")
    parser.add_argument("-f", "--full-name", action="store_true", help="the pattern is a whole name")
    add_target(parser)
    form = parser.add_argument_group("form")
    form.add_argument("-c", "--canonical", action="store_true", help="one `channel/subdir::name-version-build` a line")
    form.add_argument("-e", "--export", action="store_true", help="a file of specs for `kaa create --file`")
    form.add_argument("--explicit", action="store_true", help="a file of addresses for `kaa create --file`")
    hashes = form.add_mutually_exclusive_group()
    hashes.add_argument("--md5", action="store_true", help="with --explicit: add MD5 hashes")
    hashes.add_argument("--sha256", action="store_true", help="with --explicit: add SHA-256 hashes")
    form.add_argument("-r", "--revisions", action="store_true", help="the changes that were made")
    form.add_argument("--reverse", action="store_true", help="in the opposite order")
    flag(form, "--show-channel-urls", option="show_channel_urls", help="show the channel of every package")
    flag(form, "--no-show-channel-urls", option="show_channel_urls", value=False, help=SUPPRESS)
    form.add_argument("--fields", metavar="A,B", help="these columns, as in name,version,size (of the table alone)")
    form.add_argument("--size", action="store_true", help="how much room the files of each package take")
    ignored(form, "--auth")
    ignored(form, "--no-pip")
    add_output(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    if (arguments.md5 or arguments.sha256) and not arguments.explicit:
        raise ArgumentsMissing("--md5 and --sha256 belong to --explicit", hints=("add --explicit",))
    told = arguments.fields if arguments.fields is not None else ",".join(session.config.list_fields)
    fields = parse_fields(told) if told else USUAL_FIELDS
    fields += ("size",) if arguments.size and "size" not in fields else ()
    prefix = existing_target(arguments, session.config, session.environ)
    content = read_environment(session, prefix)
    names = channel_names(session)
    if arguments.revisions:
        # Loaded where they are asked for, as lists are below: programs ask for what is there.
        revisions = importlib.import_module("kaa.cli.revisions")
        if session.config.json:
            print_json(revisions.revisions_json(prefix))
        else:
            print("\n".join(revisions.revisions_text(prefix)))
        return 0
    rows = chosen(content, arguments.pattern, full_name=arguments.full_name)
    if arguments.reverse:
        rows.reverse()
    records = [row.record for row in rows if row.record is not None]
    if arguments.explicit:
        print(
            importlib.import_module(LISTS).explicit_list(
                session.subdir, records, md5=arguments.md5, sha256=arguments.sha256
            )
        )
    elif session.config.json:
        print_json([row_json(row, names, size=arguments.size) for row in rows])
    elif arguments.export:
        print(importlib.import_module(LISTS).list_header(session.subdir), end="")
        for row in rows:
            build = row.record.build if row.record is not None else PYPI_BUILD
            print(f"{row.name}={row.version}={build}")
    elif arguments.canonical:
        for record in records:
            print(f"{names.of(record)}/{record.subdir}::{record.dist}")
    else:
        urls = session.config.show_channel_urls
        lines = table_lines(str(prefix), rows, names, fields=fields, urls=urls)
        print("\n".join([*lines, *replaced_lines(content)]))
    return 0


def replaced_lines(content: EnvironmentContent) -> list[str]:
    """Which packages are not what is there any more."""
    replaced = find_replaced(content.records, content.pip)
    if not replaced:
        return []
    where = shlex.quote(str(content.prefix))
    return [
        "#",
        *(f"# {old.dist} was replaced by {new.installer or 'pip'}: {new.name} {new.version}" for old, new in replaced),
        f"# `kaa adopt --prefix {where}` makes packages of these, `kaa repair --prefix {where}` removes them",
    ]


def chosen(content: EnvironmentContent, pattern: str | None, *, full_name: bool) -> list[Row]:
    """The packages whose names match, by name; raises when a pattern matches nothing."""
    rows = [Row(record.name, record.version, record) for record in content.records]
    rows += [Row(distribution.name, distribution.version, None) for distribution in content.pip]
    rows.sort(key=lambda row: row.name.lower())
    if pattern is None:
        return rows
    if full_name:
        found = [row for row in rows if row.name == pattern]
        if not found:
            raise PackageNotInstalled(pattern, str(content.prefix))
        return found
    try:
        expression = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise InvalidPattern(pattern, str(error)) from None
    found = [row for row in rows if expression.search(row.name)]
    if not found and rows:
        raise NoSuchPackages(pattern, str(content.prefix))
    return found
