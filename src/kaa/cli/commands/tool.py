"""`kaa tool`: programs for the command line, each in an environment of its own."""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaa.cli.arguments import add_building, add_channels, add_network, add_output
from kaa.cli.commands.run import add_temporary, become
from kaa.cli.entering import Entering, find_command
from kaa.config.sources import expand_text
from kaa.errors import KaaError
from kaa.shell.run import initial_environ

if TYPE_CHECKING:
    from kaa.api.session import Session
    from kaa.api.tools import Tool

HELP = """Install programs for the command line, each in an environment of its own, where nothing else gets in its way.

    kaa tool install ruff
    kaa tool install snakemake --with pandas
    kaa tool run jq jq --version
    kaa tool upgrade --all

The programs of the package get launchers in one directory, ROOT/tools/bin unless --bin-dir names another one, such as
~/.local/bin. Files there that are not kaa's are never touched. What was interrupted is put right by the next command.
"""


class NothingNamed(KaaError):
    """`kaa tool upgrade` without a name."""

    conda_name = "ArgumentError"
    exit_code = 2

    def __init__(self) -> None:
        super().__init__("no tool is named", hints=("kaa tool upgrade NAME", "kaa tool upgrade --all"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of this command and their flags."""
    words = parser.add_subparsers(dest="word", metavar="WORD", required=True)
    installing = words.add_parser("install", help="install a tool, or change what it is to be", allow_abbrev=False)
    installing.add_argument("spec", metavar="SPEC", help="the package")
    add_installing(installing)
    running = words.add_parser("run", help="run a program of a package without installing it", allow_abbrev=False)
    running.add_argument("spec", metavar="SPEC", help="the package")
    add_temporary(running)
    running.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        metavar="PROGRAM …",
        help="the program and its words (default: the program named like the package)",
    )
    upgrading = words.add_parser("upgrade", help="bring tools to newer versions", allow_abbrev=False)
    upgrading.add_argument("names", nargs="*", metavar="NAME", help="the tool")
    upgrading.add_argument("--all", action="store_true", help="all tools")
    add_building(add_channels(upgrading))
    add_network(upgrading)
    listing = words.add_parser("list", help="show the tools", allow_abbrev=False)
    removing = words.add_parser("uninstall", help="remove tools", allow_abbrev=False)
    removing.add_argument("names", nargs="+", metavar="NAME", help="the tool")
    for one, perform in (
        (installing, install),
        (running, run_once),
        (upgrading, upgrade),
        (listing, show),
        (removing, uninstall),
    ):
        add_output(one)
        one.set_defaults(perform=perform)


def add_installing(parser: argparse.ArgumentParser) -> None:
    """What `kaa tool install` takes beside the package."""
    parser.add_argument(
        "--with",
        dest="with_specs",
        action="append",
        default=[],
        metavar="SPEC",
        help="another package in its environment; may be repeated",
    )
    parser.add_argument(
        "--expose",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="another package there whose programs get launchers, too; may be repeated",
    )
    parser.add_argument("--bin-dir", metavar="DIR", help="where the launchers go (default: ROOT/tools/bin)")
    add_building(add_channels(parser))
    add_network(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do what the word says; `run` gets no session, as it may not need one."""
    # Nobody enters these environments by themselves.
    arguments.register_envs = False
    code: int = arguments.perform(arguments)
    return code


def in_session(arguments: argparse.Namespace, perform: object) -> int:
    """Run something in a session as the arguments say."""
    code: int = importlib.import_module("kaa.cli.opening").run_with_session(perform, arguments)
    return code


def words_of_kaa(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The words that run this kaa, for launchers."""
    return find_command(sys.argv[0], environ)


def install(arguments: argparse.Namespace) -> int:
    return in_session(arguments, install_in)


def install_in(arguments: argparse.Namespace, session: Session) -> int:
    """Install a tool."""
    tools = importlib.import_module("kaa.api.tools")
    changing = importlib.import_module("kaa.cli.changing")
    directory = tools.tools_directory(session.config.root_prefix) / "bin"
    if arguments.bin_dir:
        directory = Path(os.path.abspath(session.cwd / expand_text(arguments.bin_dir, session.environ)))  # noqa: PTH100
    asked = tools.Tool(
        name=tools.name_tool(arguments.spec),
        spec=arguments.spec,
        extra=tuple(arguments.with_specs),
        exposed=tuple(map(tools.name_tool, arguments.expose)),
        channels=lasting_channels(session, arguments.channels or ()),
        only_these_channels=bool(arguments.override_channels),
        directory=str(directory),
    )
    command = changing.command_line(arguments)
    tool = tools.install_tool(session, asked, words_of_kaa(session.environ), command=command)
    described = describe(session, tool)
    if session.config.json:
        print_json({"success": True, **described})
    else:
        programs = ", ".join(Path(path).name for path in tool.launchers)
        print(f"Installed {tool.name} {described['version']}: {programs}")
        if str(directory) not in session.environ.get("PATH", "").split(os.pathsep):
            print(f'To find it by name:  export PATH={shlex.quote(str(directory))}:"$PATH"')
    return 0


def lasting_channels(session: Session, channels: Sequence[str]) -> tuple[str, ...]:
    """Channels as they are named from anywhere, without credentials."""
    redact = importlib.import_module("kaa.models.redaction").redact
    paths = [(session.cwd / text) for text in channels]
    return tuple(
        os.path.abspath(path) if text.startswith((".", "/")) else redact(text)  # noqa: PTH100
        for text, path in zip(channels, paths, strict=True)
    )


def run_once(arguments: argparse.Namespace) -> int:
    """Run a program of a package in a temporary environment; returns only by an error."""
    temporary = importlib.import_module("kaa.cli.temporary")
    tools = importlib.import_module("kaa.models.match_spec")
    environ = initial_environ()
    entering = Entering(arguments, environ, sys.argv[0])
    name = tools.MatchSpec.parse(arguments.spec).name or arguments.spec
    wanted = temporary.Wanted([arguments.spec, *arguments.with_specs])
    prefix = temporary.enter_temporary(arguments, environ, wanted)
    words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    become(entering, environ, prefix, words or [name])


def upgrade(arguments: argparse.Namespace) -> int:
    """Upgrade tools, each with the channels that it was installed from."""
    if not arguments.names and not arguments.all:
        raise NothingNamed
    found: list[Tool] = []
    results: list[dict[str, object]] = []

    def look(arguments: argparse.Namespace, session: Session) -> int:
        found.extend(named(arguments, session))
        return 0

    in_session(arguments, look)

    def upgrade_in(tool: Tool, arguments: argparse.Namespace, session: Session) -> int:
        tools = importlib.import_module("kaa.api.tools")
        changing = importlib.import_module("kaa.cli.changing")
        before = tools.tool_package(session, tool)
        command = changing.command_line(arguments)
        transaction = tools.upgrade_tool(session, tool, words_of_kaa(session.environ), command=command)
        described = describe(session, tools.get_tool(session, tool.name))
        results.append({**described, "changed": not transaction.is_empty})
        if not session.config.json:
            news = "is up to date" if transaction.is_empty else f"{before.version if before else '?'} → "
            news += "" if transaction.is_empty else str(described["version"])
            print(f"{tool.name} {news}")
        return 0

    for tool in found:
        own = argparse.Namespace(**vars(arguments))
        own.channels = [*(arguments.channels or ()), *tool.channels] or None
        own.override_channels = arguments.override_channels or tool.only_these_channels
        in_session(own, lambda given, session, tool=tool: upgrade_in(tool, given, session))
        arguments.json = own.json
    if arguments.json:
        print_json({"success": True, "tools": results})
    return 0


def named(arguments: argparse.Namespace, session: Session) -> Sequence[Tool]:
    """The tools that the command line names, after what was interrupted is put right."""
    tools = importlib.import_module("kaa.api.tools")
    tools.check_tools(session, words_of_kaa(session.environ))
    if arguments.all:
        every: Sequence[Tool] = tools.read_tools(session)
        return every
    return [tools.get_tool(session, name) for name in arguments.names]


def show(arguments: argparse.Namespace) -> int:
    return in_session(arguments, show_in)


def show_in(arguments: argparse.Namespace, session: Session) -> int:
    """List the tools."""
    tools = importlib.import_module("kaa.api.tools")
    tools.check_tools(session, words_of_kaa(session.environ))
    found = [describe(session, tool) for tool in tools.read_tools(session)]
    if session.config.json:
        print_json({"tools": found})
        return 0
    rows = [(one["name"], one["version"], ", ".join(map(str, one["programs"]))) for one in found]
    print("\n".join(importlib.import_module("kaa.cli.output").table(rows)) if rows else "No tools are installed.")
    return 0


def uninstall(arguments: argparse.Namespace) -> int:
    return in_session(arguments, uninstall_in)


def uninstall_in(arguments: argparse.Namespace, session: Session) -> int:
    """Remove tools."""
    tools = importlib.import_module("kaa.api.tools")
    for name in arguments.names:
        tools.uninstall_tool(session, name, words_of_kaa(session.environ))
        if not session.config.json:
            print(f"Removed {name}")
    if session.config.json:
        print_json({"success": True, "removed": list(arguments.names)})
    return 0


def describe(session: Session, tool: Tool) -> dict[str, Any]:
    """A tool in its JSON form."""
    tools = importlib.import_module("kaa.api.tools")
    package = tools.tool_package(session, tool)
    return {
        "name": tool.name,
        "version": package.version if package is not None else "",
        "spec": tool.spec,
        "with": list(tool.extra),
        "prefix": str(tools.tool_prefix(session, tool.name)),
        "programs": [Path(path).name for path in tool.launchers],
        "launchers": list(tool.launchers),
    }


def print_json(value: object) -> None:
    importlib.import_module("kaa.cli.output").print_json(value)
