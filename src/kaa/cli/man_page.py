"""The manual page `kaa(1)`, rendered from the table of commands and the declarations of their arguments.

`docs/generate_reference.py` writes it; a test holds that the written page is current. The format is roff with the man
macros: a line that begins with a point or an apostrophe is a request, and `\\` begins an escape.
"""

from __future__ import annotations

import argparse
import importlib
import textwrap
from collections.abc import Iterator

from kaa.cli.parsers import make_parser
from kaa.cli.table import COMMANDS, GROUPS, Command

EVERYWHERE = ("--json", "-q", "-v", "--root-prefix")
"""Flags of every command, told once."""

FILES = (
    ("~/.condarc, ~/.config/kaa/config.yaml", "Settings; `kaa config --show-sources` tells what is set where."),
    ("ROOT", "Environments (envs), packages (pkgs) and tools; $KAA_ROOT_PREFIX, else ~/kaa."),
    ("~/.conda/environments.txt", "The environments that the user has made."),
)
VARIABLES = (
    ("KAA_ROOT_PREFIX", "Where kaa lives."),
    ("KAA_NAME, CONDA_NAME", "The setting of that name; kaa's own variable wins."),
    ("CONDA_PREFIX", "The active environment, to which commands without --name and --prefix apply."),
)
CODES = (
    ("0", "Done; also a dry run, and a question that was answered with no."),
    ("1", "It could not be done; the message says why, and what to try."),
    ("2", "The command line is not understood."),
)


def man_page() -> str:
    """docs/reference/kaa.1"""
    lines = [
        r".\" Written by docs/generate_reference.py; change the code instead.",
        '.TH KAA 1 "" "kaa" "Environments and packages"',
        *_heading("NAME"),
        escape("kaa") + r" \- environments and packages, compatible with conda",
        *_heading("SYNOPSIS"),
        r".B kaa",
        r"[\fIFLAG\fR …] \fICOMMAND\fR [\fIWORD\fR …]",
        *_heading("DESCRIPTION"),
        escape(
            "kaa makes and changes environments: directories that hold a chosen, consistent set of packages. It takes "
            "conda's commands, files and channels. `kaa COMMAND --help` tells what is told here."
        ),
        *_heading("FLAGS OF EVERY COMMAND"),
    ]
    first = make_parser(COMMANDS[0], importlib.import_module(COMMANDS[0].module))
    for action in first._actions:
        if action.option_strings and action.option_strings[0] in EVERYWHERE:
            lines += _action(action)
    for group in GROUPS:
        lines += _heading(f"COMMANDS: {group.upper()}")
        for command in COMMANDS:
            if command.group == group and not command.hidden:
                lines += _command(command)
    for title, entries in (("FILES", FILES), ("ENVIRONMENT", VARIABLES), ("EXIT STATUS", CODES)):
        lines += _heading(title)
        for name, text in entries:
            lines += [".TP", rf"\fB{escape(name)}\fR", escape(text)]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text that roff prints as it stands: nothing in it is a request or an escape, and hyphens stay hyphens."""
    return "\n".join(_line(line) for line in text.split("\n"))


def _line(line: str) -> str:
    line = line.replace("\\", r"\e").replace("-", r"\-").replace("`", r"\(ga").replace("^", r"\(ha")
    line = line.replace("~", r"\(ti").replace("'", r"\(aq").replace('"', r"\(dq")
    return rf"\&{line}" if line.startswith(".") else line


def _heading(title: str) -> list[str]:
    return [f'.SH "{escape(title)}"']


def _command(command: Command) -> Iterator[str]:
    parser = make_parser(command, importlib.import_module(command.module))
    names = ", ".join(f"kaa {name}" for name in (command.name, *command.aliases))
    yield f'.SS "{escape(names)}"'
    yield from _parser(parser)


def _parser(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Description, arguments and words of a parser."""
    for paragraph in (parser.description or "").strip().split("\n\n"):
        if paragraph.startswith("    "):
            yield from (".P", ".nf", ".RS", *escape(textwrap.dedent(paragraph)).split("\n"), ".RE", ".fi")
        elif paragraph:
            yield from (".P", escape(" ".join(paragraph.split())))
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, inner in action.choices.items():
                yield from (f'.SS "{escape(inner.prog)}"', escape(_sentence(helps.get(name, ""))))
                yield from _parser(inner)
        elif action.help != argparse.SUPPRESS and not {"--help", *EVERYWHERE}.intersection(action.option_strings):
            yield from _action(action)


def _action(action: argparse.Action) -> list[str]:
    """One argument: its names, what it takes, what it does."""
    metavar = action.metavar if action.metavar is not None else ""
    if isinstance(metavar, tuple):
        metavar = " ".join(metavar)
    if action.choices and not metavar:
        metavar = "{" + ",".join(map(str, action.choices)) + "}"
    value = metavar or action.dest.upper()
    names = ", ".join(rf"\fB{escape(name)}\fR" for name in action.option_strings)
    takes = rf"\fI{escape(value)}\fR" if action.nargs != 0 else ""
    help = action.help or ""
    return [".TP", " ".join(filter(None, (names, takes))), escape(_sentence(help.replace("%%", "%")))]


def _sentence(text: str) -> str:
    """A help text as a sentence."""
    text = " ".join(text.split())
    text = text[:1].upper() + text[1:]
    return text if not text or text.endswith((".", "…")) else f"{text}."
