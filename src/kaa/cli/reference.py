"""The reference pages, rendered from the table of commands and the declarations of options.

`docs/generate_reference.py` writes them; a test holds that the written pages are current.
"""

from __future__ import annotations

import argparse
import importlib
import textwrap
from collections.abc import Iterator

from kaa.cli.parsers import make_parser
from kaa.cli.settings import default_text
from kaa.cli.table import COMMANDS, GROUPS, Command
from kaa.config.options import OPTIONS, Option

NOTE = "<!-- Written by docs/generate_reference.py; change the code instead. -->"


def commands_page() -> str:
    """docs/reference/commands.md"""
    lines = [NOTE, "", "# Commands", ""]
    for group in GROUPS:
        for command in COMMANDS:
            if command.group == group and not command.hidden:
                lines += command_section(command)
    return "\n".join(lines).rstrip() + "\n"


def command_section(command: Command) -> list[str]:
    """One command with its arguments, and those of its words."""
    parser = make_parser(command, importlib.import_module(command.module))
    lines = [f"## kaa {command.name}", ""]
    if command.aliases:
        lines += [f"Also: {', '.join(f'`kaa {alias}`' for alias in command.aliases)}.", ""]
    return lines + parser_lines(parser, 3)


def parser_lines(parser: argparse.ArgumentParser, level: int) -> list[str]:
    """Description, arguments and words of a parser."""
    lines = [*_description(parser.description or ""), ""] if parser.description else []
    for group in parser._action_groups:
        actions = [action for action in _actions(group) if not isinstance(action, argparse._SubParsersAction)]
        if actions:
            title = {"positional arguments": "", "options": ""}.get(group.title or "", group.title or "")
            lines += [f"*{title}*", ""] if title else []
            lines += [*map(_action_line, actions), ""]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, inner in action.choices.items():
                lines += [f"{'#' * level} {inner.prog}", ""]
                lines += [_sentence(helps.get(name, "")), ""] if helps.get(name) else []
                lines += parser_lines(inner, level + 1)
    return lines


def _actions(group: argparse._ArgumentGroup) -> Iterator[argparse.Action]:
    for action in group._group_actions:
        if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction):
            yield action


def _action_line(action: argparse.Action) -> str:
    names = ", ".join(f"`{name}`" for name in action.option_strings)
    metavar = action.metavar if action.metavar is not None else ""
    if isinstance(metavar, tuple):
        metavar = " ".join(metavar)
    if action.choices and not metavar:
        metavar = "{" + ",".join(map(str, action.choices)) + "}"
    takes_value = action.nargs != 0
    value = f" `{metavar or action.dest.upper()}`" if takes_value and (metavar or names) else ""
    label = (names + value).strip() or f"`{action.dest}`"
    return f"- {label}: {_sentence(action.help or '')}"


def _sentence(text: str) -> str:
    text = " ".join(text.replace("%%", "%").split())
    return text if not text or text.endswith(".") else f"{text}."


def _description(text: str) -> list[str]:
    """Paragraphs as they are, indented lines as code."""
    lines: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        if paragraph.startswith("    "):
            lines += ["```", *textwrap.dedent(paragraph).splitlines(), "```", ""]
        else:
            lines += [*paragraph.splitlines(), ""]
    return lines[:-1]


def options_page() -> str:
    """docs/reference/options.md"""
    lines = [NOTE, "", "# Options", "", *textwrap.wrap(PREAMBLE, 110), ""]
    active = [option for option in OPTIONS.values() if not option.inert]
    for group in dict.fromkeys(option.group for option in active):
        lines += [f"## {group}", ""]
        for option in active:
            if option.group == group:
                lines += option_lines(option)
    lines += ["## Known, and without effect", "", *textwrap.wrap(INERT, 110), ""]
    lines += [", ".join(f"`{option.name}`" for option in sorted_inert()) + ".", ""]
    return "\n".join(lines).rstrip() + "\n"


PREAMBLE = (
    "Every option can be set in a condarc file (`kaa config --set`), by a variable `KAA_<NAME>` or `CONDA_<NAME>` "
    "(kaa's own wins), and some on the command line. `kaa config --show-sources` tells where a value comes from. "
    "Options marked *trusted* have no effect in files inside an environment, because packages can bring such files."
)
INERT = "These keys of conda's files are accepted and kept; kaa has no use for them."


def sorted_inert() -> list[Option[object]]:
    """The options without effect, by name."""
    return sorted((option for option in OPTIONS.values() if option.inert), key=lambda option: option.name)


def option_lines(option: Option[object]) -> list[str]:
    """One option."""
    facts = [f"default: `{default_text(option)}`", f"takes {option.kind.expected}"]
    if option.aliases:
        facts.append(f"also called {', '.join(f'`{alias}`' for alias in option.aliases)}")
    if option.trusted:
        facts.append("*trusted*")
    return [f"### {option.name}", "", *textwrap.wrap(option.help, 110), "", f"{'; '.join(facts)}.", ""]
