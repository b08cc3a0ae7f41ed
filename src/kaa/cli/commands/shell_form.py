"""`conda shell.<sh> …`: the forms in which shells, editors and scripts ask conda for the text of an activation.

`shell.posix activate E` prints what a shell of that kind evaluates; `shell.posix+json activate E` prints the same as
JSON; for cmd.exe, which cannot evaluate a text, the answer is the path of a file with a line for each variable.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence

from kaa.cli.arguments import add_output
from kaa.cli.commands.shell import SuperfluousEnvironment, add_stacking, hook_text, steps_for
from kaa.cli.entering import Entering, tell
from kaa.cli.output import print_json
from kaa.shell.activation import (
    EmptyVariable,
    SetPrompt,
    SetVariable,
    ShellAction,
    SourceScript,
    UnsetVariable,
    level_of,
)
from kaa.shell.dialects.table import get_dialect

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

HELP = "Print what a shell evaluates to enter or leave an environment, in the form in which conda is asked for it."

JSON = "+json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words and flags of this command; the name of the shell is a part of its own name."""
    parser.add_argument("verb", choices=("activate", "deactivate", "reactivate", "hook", "commands"))
    parser.add_argument("environment", nargs="?", metavar="ENV", help="name or path of the environment (activate)")
    add_stacking(parser)
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what was asked for; warnings go to standard error."""
    name = next(word for word in arguments.words if word.startswith("shell.")).removeprefix("shell.")
    as_json, name = name.endswith(JSON), name.removesuffix(JSON)
    dialect = get_dialect(name)
    verb, word = arguments.verb, arguments.environment
    if verb == "commands":
        code: int = importlib.import_module("kaa.cli.commands.commands").run(arguments)
        return code
    if verb != "activate" and word is not None:
        raise SuperfluousEnvironment(verb, word)
    entering = Entering(arguments, os.environ, sys.argv[0])
    entering.environ = with_condabin(entering)
    if verb == "hook":
        made = hook_text(entering, name)
        tell(made.warnings)
        write(made.text)
        return 0
    shell = entering.shell(dialect)
    steps = steps_for(entering, shell, verb, word, arguments.stack)
    if as_json:
        tell(steps.warnings)
        print_json(as_document(steps.actions, os.environ))
    elif dialect.hook_file == "kaa.bat":
        tell(steps.warnings)
        print(write_lines(as_lines(steps.actions, os.environ)))
    else:
        made = shell.text_of(steps)
        tell(made.warnings)
        write(made.text)
    return 0


def with_condabin(entering: Entering) -> Mapping[str, str]:
    """The variables; of a shell without an environment, the folder of conda itself is on PATH, so that it is found."""
    environ, folder = entering.environ, f"{entering.installation.root_prefix}/condabin"
    path = environ.get("PATH", "")
    known = any(entry.replace("\\", "/").rstrip("/").endswith("/condabin") for entry in path.split(os.pathsep))
    if level_of(environ) or known or not os.path.isdir(folder):  # noqa: PTH112
        return environ
    return {**environ, "PATH": f"{folder}{os.pathsep}{path}" if path else folder}


def write(text: str) -> None:
    """Put a text on standard output, whatever bytes the paths in it are made of."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(text))
    sys.stdout.buffer.flush()


def as_document(actions: Sequence[ShellAction], environ: Mapping[str, str]) -> dict[str, object]:
    """The steps in the shape in which conda tells them to programs."""
    path: list[str] = []
    exported: dict[str, str] = {}
    unset: list[str] = []
    variables: dict[str, str] = {}
    scripts: dict[str, list[str]] = {"activate": [], "deactivate": []}
    for action in actions:
        match action:
            case SetVariable("PATH", value):
                path = value.split(os.pathsep)
            case SetVariable(name, value):
                exported[name] = value
            case EmptyVariable(name) | UnsetVariable(name):
                unset.append(name)
            case SetPrompt(old, new):
                if "PS1" in environ:
                    variables["PS1"] = new + environ["PS1"].replace(old, "", 1)
            case SourceScript(script):
                scripts["deactivate" if "/deactivate.d/" in script.replace("\\", "/") else "activate"].append(script)
    return {
        "path": {"PATH": path} if path else {},
        "vars": {"export": exported, "unset": unset, "set": variables},
        "scripts": scripts,
    }


def as_lines(actions: Sequence[ShellAction], environ: Mapping[str, str]) -> list[str]:
    """The steps as lines `NAME=value`, an empty value for what is to go, `_CONDA_SCRIPT=path` for what is to run."""
    lines = []
    for action in actions:
        match action:
            case SetVariable(name, value):
                if not any(character in value for character in "\0\r\n"):
                    lines.append(f"{name}={value}")
            case EmptyVariable(name) | UnsetVariable(name):
                lines.append(f"{name}=")
            case SetPrompt(old, new):
                lines.append(f"PROMPT={new}{environ.get('PROMPT', '$P$G').replace(old, '', 1)}")
            case SourceScript(script):
                lines.append(f"_CONDA_SCRIPT={script}")
    return lines


def write_lines(lines: Sequence[str]) -> str:
    """Write a file of its own for who asked, who removes it; gives its path."""
    tempfile = importlib.import_module("tempfile")
    descriptor, path = tempfile.mkstemp(prefix="conda-activation-", suffix=".env")
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(os.fsencode("".join(f"{line}\n" for line in lines)))
    return str(path)
