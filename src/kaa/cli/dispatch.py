"""From the words of a command line to one command: find it, load its module, parse, run, and answer an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from kaa import __version__
from kaa.cli.called import program_name
from kaa.cli.near_words import meant
from kaa.cli.output import report_crash, report_error, report_interrupt
from kaa.cli.plain_words import NotPlain, parse_plain
from kaa.cli.program import as_called
from kaa.cli.table import COMMANDS, GROUPS, Command, find_command
from kaa.errors import KaaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

LEADING_FLAGS = frozenset({"-v", "--verbose", "-q", "--quiet", "--debug", "--trace", "--json", "--no-plugins"})
"""Flags that may stand before the command; they mean the same behind it."""
LEADING_VALUES = frozenset({"--root-prefix"})


class Usage(Exception):
    """A command line that cannot be understood; the text says why."""


def dispatch(words: Sequence[str]) -> int:
    """Run one command line and answer the exit code; whatever goes wrong is told, not raised."""
    invocation = Invocation(words)
    try:
        return invocation.run()
    except SystemExit as error:
        # argparse has printed its message, or the help, already.
        return error.code if isinstance(error.code, int) else 1
    except Usage as error:
        print(as_called(f"{program_name()}: {error}"), file=sys.stderr)
        return 2
    except KaaError as error:
        report_error(error, as_json=invocation.wants_json(), words=words)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        report_interrupt(interrupt, as_json=invocation.wants_json())
        return 1
    except BrokenPipeError:
        raise
    except Exception as error:
        report_crash(error, words, as_json=invocation.wants_json())
        return 1


class Invocation:
    """One command line on its way from words to an exit code."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._arguments: Namespace | None = None

    def run(self) -> int:
        """Find the command, parse the rest, and run it."""
        leading, rest = split_leading(self._words)
        if not rest or rest[0] in ("-h", "--help"):
            print(as_called(overview()))
            return 0
        command = find_command(rest[0])
        if command is None:
            return run_external(rest[0], rest[1:])
        module = importlib.import_module(command.module)
        self._arguments = parse(command, module, [*leading, *rest[1:]])
        self._arguments.words = list(self._words)
        return run(command, module, self._arguments)

    def wants_json(self) -> bool:
        """Whether an error is to be told as JSON: a flag, or (as far as it was read) the configuration says so."""
        if self._arguments is None:
            return "--json" in self._words or _variable_says_json()
        return bool(getattr(self._arguments, "json", False)) or _variable_says_json()


def _variable_says_json() -> bool:
    value = os.environ.get("KAA_JSON") or os.environ.get("CONDA_JSON") or ""
    return value.strip().lower() in ("1", "true", "yes", "on", "y")


def split_leading(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The flags before the command, and the rest from the command on."""
    leading: list[str] = []
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-h", "--help"):
        word = words[at]
        if word in LEADING_VALUES:
            if at + 1 == len(words):
                raise Usage(f"{word} needs a value")
            leading += [word, words[at + 1]]
            at += 2
        elif word in LEADING_FLAGS or word.partition("=")[0] in LEADING_VALUES:
            leading.append(word)
            at += 1
        else:
            hint = meant(word, [*LEADING_FLAGS, *LEADING_VALUES, "--help", "--version"], at_most=1)
            raise Usage(f"unknown flag {word} before the command; {hint or '`kaa --help` lists the commands'}")
    return leading, list(words[at:])


def parse(command: Command, module: ModuleType, words: Sequence[str]) -> Namespace:
    """The arguments of a command; exits as argparse does when they are wrong or the help is wanted."""
    found: Namespace
    try:
        found = parse_plain(module, words)
    except NotPlain:
        found = importlib.import_module("kaa.cli.parsers").parse(command, module, words)
    return found


def run(command: Command, module: ModuleType, arguments: Namespace) -> int:
    """Run a parsed command; those that are not light get a session."""
    if command.light:
        code: int = module.run(arguments)
    else:
        code = importlib.import_module("kaa.cli.opening").run_with_session(module.run, arguments)
    return code


def overview() -> str:
    """What `kaa --help` shows."""
    lines = [
        f"kaa {__version__}: environments and packages, compatible with conda.",
        "",
        "usage: kaa COMMAND …        kaa COMMAND --help tells more",
    ]
    for group in GROUPS:
        lines += ["", f"{group}:"]
        for command in COMMANDS:
            if command.group == group and not command.hidden:
                names = ", ".join((command.name, *command.aliases))
                lines.append(f"  {names:<18} {command.help}")
    lines += [
        "",
        "Before or behind the command:",
        "  --json             Print the result as JSON.",
        "  -q, --quiet        Show no progress.",
        "  -v, --verbose      Tell more.",
        "  --root-prefix DIR  Where kaa lives (default: $KAA_ROOT_PREFIX, or ~/kaa).",
        "  -V, --version      Print the version.",
    ]
    return "\n".join(lines)


def run_external(word: str, words: Sequence[str]) -> int:
    """Run the program `kaa-<word>` (or `conda-<word>`, called conda) on PATH; else say what comes near."""
    path = os.environ.get("PATH", "")
    names = dict.fromkeys((program_name(), "kaa"))
    program = next(filter(None, (find_program(f"{name}-{word}", path) for name in names)), None)
    if program is None:
        raise Usage(unknown_command(word))
    sys.stdout.flush()
    os.execv(program, [str(program), *words])


def find_program(name: str, search_path: str) -> Path | None:
    """The first executable file of that name in the directories of PATH."""
    if os.sep in name:
        return None
    for directory in filter(None, search_path.split(os.pathsep)):
        for suffix in (".exe", ".bat") if os.name == "nt" else ("",):
            candidate = Path(directory) / (name + suffix)
            if candidate.is_file() and os.access(candidate, os.X_OK):
                return candidate
    return None


def unknown_command(word: str) -> str:
    """What to tell someone who asks for a command that is not there."""
    names = [name for command in COMMANDS for name in (command.name, *command.aliases)]
    return f"there is no command {word!r}; {meant(word, names) or '`kaa --help` lists the commands'}"
