"""The commands: name, module, one line of help. Nothing of a command is imported to list it."""

from __future__ import annotations


class Command:
    """One command of the program.

    A light command gets no session: its module has `run(arguments)` instead of `run(arguments, session)`.
    """

    __slots__ = ("aliases", "group", "help", "hidden", "light", "module", "name")

    def __init__(
        self,
        name: str,
        module: str,
        help: str,
        group: str,
        aliases: tuple[str, ...] = (),
        *,
        light: bool = False,
        hidden: bool = False,
    ) -> None:
        self.name = name
        self.module = module
        self.help = help
        self.group = group
        self.aliases = aliases
        self.light = light
        self.hidden = hidden


ENVIRONMENTS = "Environments"
PACKAGES = "Packages"
SHELLS = "Shells"
CHANNELS = "Channels and packages of one's own"
SETTINGS = "Settings"
GROUPS = (ENVIRONMENTS, PACKAGES, SHELLS, CHANNELS, SETTINGS)

_MODULES = "kaa.cli.commands."

COMMANDS: tuple[Command, ...] = (
    Command("create", _MODULES + "create", "Make a new environment.", ENVIRONMENTS),
    Command("install", _MODULES + "install", "Add packages to an environment.", ENVIRONMENTS),
    Command("update", _MODULES + "update", "Bring packages to newer versions.", ENVIRONMENTS, ("upgrade",)),
    Command(
        "remove", _MODULES + "remove", "Take packages out, or a whole environment away.", ENVIRONMENTS, ("uninstall",)
    ),
    Command("rename", _MODULES + "rename", "Give an environment another name.", ENVIRONMENTS),
    Command("move", _MODULES + "move", "Move an environment to another path or disk.", ENVIRONMENTS),
    Command("env", _MODULES + "env", "List, make, update, export and remove environments.", ENVIRONMENTS),
    Command("export", _MODULES + "export", "Print an environment as a file to make it again from.", ENVIRONMENTS),
    Command("lock", _MODULES + "lock", "Solve files into exact packages, for several platforms.", ENVIRONMENTS),
    Command("sync", _MODULES + "sync", "Make an environment equal to a lock.", ENVIRONMENTS),
    Command("verify", _MODULES + "verify", "Tell what is not as it was installed.", ENVIRONMENTS),
    Command("repair", _MODULES + "repair", "Bring files back to what their packages brought.", ENVIRONMENTS),
    Command("recover", _MODULES + "recover", "Finish or take back an interrupted change.", ENVIRONMENTS),
    Command("history", _MODULES + "history", "Show what became of an environment over time.", ENVIRONMENTS),
    Command("diff", _MODULES + "diff", "Show what changed in an environment.", ENVIRONMENTS),
    Command("undo", _MODULES + "undo", "Take back the last change of an environment.", ENVIRONMENTS),
    Command("rollback", _MODULES + "rollback", "Go back to an earlier state of an environment.", ENVIRONMENTS),
    Command("adopt", _MODULES + "adopt", "Make packages of what pip or uv installed by hand.", PACKAGES),
    Command("list", _MODULES + "list", "Show the packages of an environment.", PACKAGES),
    Command("compare", _MODULES + "compare", "Tell whether an environment holds what a file asks for.", PACKAGES),
    Command("why", _MODULES + "why", "Tell who needs a package.", PACKAGES),
    Command("why-not", _MODULES + "why_not", "Tell what keeps a package out.", PACKAGES),
    Command("scripts", _MODULES + "scripts", "Show, allow and deny the scripts that packages bring.", PACKAGES),
    Command("search", _MODULES + "search", "Show what the channels offer.", PACKAGES),
    Command(
        "solve-problem", _MODULES + "solve_problem", "Solve again what --save-problem wrote.", PACKAGES, light=True
    ),
    Command("clean", _MODULES + "clean", "Free what the package cache no longer needs.", PACKAGES),
    Command("activate", _MODULES + "activate", "Enter an environment (a function of the shell).", SHELLS, light=True),
    Command(
        "deactivate", _MODULES + "deactivate", "Leave the environment (a function of the shell).", SHELLS, light=True
    ),
    Command("run", _MODULES + "run", "Run a program inside an environment.", SHELLS, light=True),
    Command("tool", _MODULES + "tool", "Install programs, each in an environment of its own.", SHELLS, light=True),
    Command("init", _MODULES + "init", "Teach the shells to activate environments.", SHELLS, light=True),
    Command(
        "shell", _MODULES + "shell", "Print what a shell runs to enter or leave an environment.", SHELLS, light=True
    ),
    Command("completion", _MODULES + "completion", "Teach a shell to complete what is typed.", SHELLS, light=True),
    Command("channel", _MODULES + "channel", "Make and serve channels.", CHANNELS),
    Command("package", _MODULES + "package", "Make packages, and tell which of them brought a file.", CHANNELS),
    Command("info", _MODULES + "info", "Tell about this installation and machine.", SETTINGS),
    Command("doctor", _MODULES + "doctor", "Look at this installation as a whole.", SETTINGS, ("check",), light=True),
    Command("config", _MODULES + "config", "Show and change settings.", SETTINGS, light=True),
    Command("notices", _MODULES + "notices", "Show what the channels have to say.", SETTINGS),
    Command("help", _MODULES + "help", "Show the commands, or what one of them takes.", SETTINGS, light=True),
    Command("commands", _MODULES + "commands", "Print the names of all commands.", SETTINGS, light=True),
    Command("plugins", _MODULES + "plugins", "List plugins, of which there are none.", SETTINGS, light=True),
    Command(
        "tos",
        _MODULES + "tos",
        "Take the words of conda's plugin for terms of service; there is nothing to do.",
        SETTINGS,
        light=True,
    ),
)


SHELL_FORM = "shell."
"""How the word begins that names a shell, as in `conda shell.posix activate`."""


def find_command(word: str) -> Command | None:
    """The command of that name or alias."""
    if word.startswith(SHELL_FORM):
        return Command(word, _MODULES + "shell_form", "Print what a shell evaluates.", SHELLS, light=True, hidden=True)
    for command in COMMANDS:
        if word == command.name or word in command.aliases:
            return command
    return None
