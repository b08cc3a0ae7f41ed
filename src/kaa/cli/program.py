"""Texts that say what to type, under the name by which kaa was called."""

from __future__ import annotations

import importlib

from kaa.cli.called import program_name


def as_called(text: str, program: str | None = None) -> str:
    """The text with the command lines in it as they are typed under the name by which kaa was called.

    >>> as_called("run `kaa env list`; kaa lives in ~/kaa", "conda")
    'run `conda env list`; kaa lives in ~/kaa'
    """
    program = program_name() if program is None else program
    if program == "kaa" or "kaa" not in text:
        return text
    re = importlib.import_module("re")
    commands = importlib.import_module("kaa.cli.table").COMMANDS
    names = [re.escape(name) for command in commands for name in (command.name, *command.aliases)]
    renamed: str = re.sub(
        rf"(?<![\w./~-])kaa (?=(?:{'|'.join(names)}|COMMAND|--help|--version)\b)", f"{program} ", text
    )
    return renamed
